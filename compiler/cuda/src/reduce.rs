//! What is reduced: loops inside of a point, partial results and their tree, in the order that `whorl_core::prim::Reduce` fixes.

use whorl_core::ir::{DType, Lit};
use whorl_core::prim::{Binary, Compare, Monoid, Unary};
use whorl_schedule::loop_ir::*;

use crate::CudaError;
use crate::elements::{Elements, class, literal};
use crate::emit;
use crate::lanes::{Loop, size};
use crate::modes::ordered;
use crate::ptx::{Class, Operand, Reg};

/// What one reduction has so far, of one copy.
#[derive(Clone, Debug)]
enum Partial {
    /// By position mod 16.
    Sixteen(Vec<Option<Operand>>, Vec<Reg>),
    One(Reg),
    /// The best, and its position.
    Best(Reg, Reg),
}

/// Bodies of so few instructions in all stand one after the other.
const STRAIGHT: usize = 500;
/// A loop's turn has so many steps of a sequential fold.
const STEPS: usize = 4;
/// A loop's turn has so many steps of each of sixteen threads.
const ROUNDS: usize = 4;
/// … of a group: their loads are on their way together, and global memory is far.
pub const FAR_ROUNDS: usize = 32;
/// … if all of them are not more instructions, roughly.
const TOGETHER: usize = 128;

impl Loop<'_, '_> {
    fn reduced_count(&self) -> usize {
        self.l.reduced.iter().product()
    }

    fn value_dtype(&self, r: &Reduction) -> DType {
        self.l.ops[r.value.0 as usize].dtype
    }

    /// Whether partial results are kept by position mod 16.
    fn by_position(&self, r: &Reduction) -> bool {
        r.order == ReduceOrder::Interleaved && ordered(self.l, r)
    }

    /// Everything of a point that is reduced, by one thread.
    pub fn reduce(&mut self) -> Result<(), CudaError> {
        let n = self.reduced_count();
        let inside = self.levels.iter().filter(|level| **level == 2).count() + self.l.reductions.len();
        let interleaved = self.l.reductions.iter().any(|r| self.by_position(r));
        let last = self.l.reduced.last().copied().unwrap_or(1);
        let rows = self.l.reduced.len() > 1;
        let turn = if interleaved {
            16
        } else if rows && last % STEPS != 0 {
            1
        } else {
            STEPS
        };
        let straight = n <= turn || n * inside * self.copies.len() <= STRAIGHT && n <= 64;
        let mut partial = self.begin(!straight)?;
        if straight {
            for r in 0..n {
                self.at_constant(r);
                self.element(&mut partial, Operand::Int(r as i64), r)?;
            }
        } else if rows {
            self.reduce_rows(n, turn, &mut partial)?;
        } else {
            self.reduce_row(n, turn, &mut partial)?;
        }
        self.end(&partial)
    }

    /// One dimension: pointers move along.
    fn reduce_row(&mut self, n: usize, turn: usize, partial: &mut [Vec<Partial>]) -> Result<(), CudaError> {
        let d = self.l.dims.len();
        let at = self.k.text.reg(Class::Word);
        self.k.text.assign(at, Operand::Int(0));
        self.index[d] = at.into();
        let head = self.k.text.label();
        self.k.text.place_loop(head);
        self.forget_within();
        self.steps(0..turn, partial)?;
        emit!(self.k.text, "add.s32 {at}, {at}, {turn}");
        let whole = n / turn * turn;
        let more = self.k.text.two("setp.lt.s32", Class::Predicate, at, Operand::Int(whole as i64));
        self.k.text.jump_if(more, head);
        self.index[d] = Operand::Int(whole as i64);
        self.forget_within();
        self.steps(0..n - whole, partial)
    }

    fn steps(&mut self, steps: std::ops::Range<usize>, partial: &mut [Vec<Partial>]) -> Result<(), CudaError> {
        let d = self.l.dims.len();
        for step in steps {
            self.copies.iter_mut().for_each(|c| c.add[d] = step as i64);
            let position = self.k.text.plus(self.index[d], Operand::Int(step as i64));
            self.element(partial, position, step)?;
        }
        self.copies.iter_mut().for_each(|c| c.add[d] = 0);
        Ok(())
    }

    /// Several dimensions: indices are found at every turn.
    fn reduce_rows(&mut self, n: usize, turn: usize, partial: &mut [Vec<Partial>]) -> Result<(), CudaError> {
        let at = self.k.text.reg(Class::Word);
        self.k.text.assign(at, Operand::Int(0));
        let head = self.k.text.label();
        self.k.text.place_loop(head);
        let last = self.l.reduced.last().copied().unwrap_or(1);
        if last % turn == 0 {
            self.decompose_reduced(at.into());
            let d = self.index.len() - 1;
            for step in 0..turn {
                self.copies.iter_mut().for_each(|c| c.add[d] = step as i64);
                let position = self.k.text.plus(at.into(), Operand::Int(step as i64));
                self.element(partial, position, step)?;
            }
            self.copies.iter_mut().for_each(|c| c.add[d] = 0);
        } else {
            for step in 0..turn {
                let position = self.k.text.plus(at.into(), Operand::Int(step as i64));
                self.decompose_reduced(position);
                self.element(partial, position, step)?;
            }
        }
        emit!(self.k.text, "add.s32 {at}, {at}, {turn}");
        let whole = n / turn * turn;
        let more = self.k.text.two("setp.lt.s32", Class::Predicate, at, Operand::Int(whole as i64));
        self.k.text.jump_if(more, head);
        for r in whole..n {
            self.at_constant(r);
            self.element(partial, Operand::Int(r as i64), r)?;
        }
        Ok(())
    }

    /// The indices of a position that is known.
    fn at_constant(&mut self, r: usize) {
        self.decompose_reduced(Operand::Int(r as i64));
    }

    fn decompose_reduced(&mut self, r: Operand) {
        let dims = self.l.dims.len();
        let mut rest = r;
        for d in (dims..self.index.len()).rev() {
            if d == dims {
                self.index[d] = rest;
            } else {
                (rest, self.index[d]) = self.k.text.divided(rest, size(self.l, d));
            }
        }
        self.forget_within();
    }

    /// The ops at one position, and what they add to the partial results.
    fn element(&mut self, partial: &mut [Vec<Partial>], position: Operand, step: usize) -> Result<(), CudaError> {
        self.ops_of(2)?;
        let l = self.l;
        for (k, r) in l.reductions.iter().enumerate() {
            let dtype = self.value_dtype(r);
            for (c, own) in partial.iter_mut().enumerate() {
                let v = self.value(c, r.value)?;
                self.fold_in(r, dtype, &mut own[k], v, position, step)?;
            }
        }
        if self.cumulative {
            self.store_prefix(partial)?;
        }
        Ok(())
    }

    fn fold_in(
        &mut self,
        r: &Reduction,
        dtype: DType,
        partial: &mut Partial,
        v: Operand,
        position: Operand,
        step: usize,
    ) -> Result<(), CudaError> {
        match (partial, r.kind) {
            (Partial::Best(best, at), kind) => self.take_better(kind, dtype, (*best, *at), v, position),
            (Partial::One(sum), ReductionKind::Fold(op)) => {
                let new = self.k.elements().fold(op, dtype, (*sum).into(), v)?;
                self.k.text.assign(*sum, new);
                Ok(())
            }
            (Partial::Sixteen(values, registers), ReductionKind::Fold(op)) => {
                let place = step % 16;
                let old = match (values[place], registers.get(place)) {
                    (Some(old), _) => old,
                    (None, Some(r)) => (*r).into(),
                    (None, None) => literal(op.identity(dtype)),
                };
                let new = self.k.elements().fold(op, dtype, old, v)?;
                match registers.get(place) {
                    Some(r) => {
                        self.k.text.assign(*r, new);
                        values[place] = Some((*r).into());
                    }
                    None => values[place] = Some(new),
                }
                Ok(())
            }
            (_, _) => Err(CudaError::internal("a position into a fold")),
        }
    }

    /// Whether a is better than b, and not as good.
    fn better(&mut self, kind: ReductionKind, dtype: DType, a: Operand, b: Operand) -> Result<Operand, CudaError> {
        let better = if kind == ReductionKind::ArgMax { Compare::Gt } else { Compare::Lt };
        let mut e = self.k.elements();
        let take = e.compare(better, dtype, a, b);
        if !dtype.is_float() {
            return Ok(take);
        }
        // A NaN beats all but a NaN.
        let nan = e.compare(Compare::Ne, dtype, a, a);
        let number = e.compare(Compare::Eq, dtype, b, b);
        let first_nan = e.binary(Binary::And, DType::Bool, nan, number)?;
        e.binary(Binary::Or, DType::Bool, take, first_nan)
    }

    fn take_better(
        &mut self,
        kind: ReductionKind,
        dtype: DType,
        (best, at): (Reg, Reg),
        v: Operand,
        position: Operand,
    ) -> Result<(), CudaError> {
        let take = self.better(kind, dtype, v, best.into())?;
        let mut e = self.k.elements();
        let new = e.select(take, dtype, v, best.into());
        let new_at = e.select(take, DType::I32, position, at.into());
        self.k.text.assign(best, new);
        self.k.text.assign(at, new_at);
        Ok(())
    }

    /// In a cumulative loop, what is stored is the fold so far.
    fn store_prefix(&mut self, partial: &[Vec<Partial>]) -> Result<(), CudaError> {
        let l = self.l;
        for (c, own) in partial.iter().enumerate() {
            let Some(Partial::One(sum)) = own.first() else {
                return Err(CudaError::internal("prefix results without a fold"));
            };
            for op in &l.ops {
                if let LaneKind::Store(view, _) = &op.kind {
                    self.put(view, op.dtype, (*sum).into(), c)?;
                }
            }
        }
        Ok(())
    }

    /// In a loop, sixteen partial results are in registers that its body changes.
    fn begin(&mut self, looped: bool) -> Result<Vec<Vec<Partial>>, CudaError> {
        let l = self.l;
        let mut all = Vec::new();
        for _ in 0..self.copies.len() {
            let mut own = Vec::new();
            for r in &l.reductions {
                let dtype = self.value_dtype(r);
                own.push(match r.kind {
                    ReductionKind::Fold(op) if self.by_position(r) => {
                        let start = literal(op.identity(dtype));
                        let registers = (0..if looped { 16 } else { 0 }).map(|_| self.started(dtype, start)).collect();
                        Partial::Sixteen(vec![None; 16], registers)
                    }
                    _ => self.one(r),
                });
            }
            all.push(own);
        }
        Ok(all)
    }

    /// What a thread begins with that folds one element after the other.
    fn one(&mut self, r: &Reduction) -> Partial {
        let dtype = self.value_dtype(r);
        let worst = match r.kind {
            ReductionKind::Fold(op) => return Partial::One(self.started(dtype, literal(op.identity(dtype)))),
            ReductionKind::ArgMax => Monoid::Max,
            ReductionKind::ArgMin => Monoid::Min,
        };
        let start = match dtype {
            DType::Bool => Lit::bool(worst == Monoid::Min),
            _ => worst.identity(dtype),
        };
        let best = self.started(dtype, literal(start));
        Partial::Best(best, self.started(DType::I32, Operand::Int(0)))
    }

    fn started(&mut self, dtype: DType, start: Operand) -> Reg {
        let r = self.k.text.reg(class(dtype));
        self.k.text.assign(r, start);
        r
    }

    /// Combines partial results and stores the reductions'.
    fn end(&mut self, partial: &[Vec<Partial>]) -> Result<(), CudaError> {
        if self.cumulative {
            return Ok(());
        }
        let l = self.l;
        for (k, r) in l.reductions.iter().enumerate() {
            let dtype = self.value_dtype(r);
            for (c, own) in partial.iter().enumerate() {
                let (v, dtype) = match (&own[k], r.kind) {
                    (Partial::Best(_, at), _) => ((*at).into(), DType::I32),
                    (Partial::One(sum), _) => ((*sum).into(), dtype),
                    (Partial::Sixteen(values, registers), ReductionKind::Fold(op)) => {
                        (self.tree(op, dtype, values, registers)?, dtype)
                    }
                    (Partial::Sixteen(..), _) => return Err(CudaError::internal("a position into a fold")),
                };
                self.put(&r.into, dtype, v, c)?;
            }
        }
        Ok(())
    }

    /// `p[l] op p[l + w]` for w = 8, 4, 2, 1. One that has no element is the identity, which changes nothing.
    fn tree(
        &mut self,
        op: Monoid,
        dtype: DType,
        values: &[Option<Operand>],
        registers: &[Reg],
    ) -> Result<Operand, CudaError> {
        let mut p: Vec<Option<Operand>> =
            (0..16).map(|l| values[l].or_else(|| registers.get(l).map(|r| (*r).into()))).collect();
        for w in [8, 4, 2, 1] {
            for l in 0..w {
                p[l] = match (p[l], p[l + w]) {
                    (Some(a), Some(b)) => Some(self.k.elements().fold(op, dtype, a, b)?),
                    (a, b) => a.or(b),
                };
            }
        }
        Ok(p[0].unwrap_or(literal(op.identity(dtype))))
    }

    /// Sixteen threads a point; where there is but one, all sixteens do it.
    pub fn sixteens(&mut self) -> Result<(), CudaError> {
        let threads = self.k.threads;
        let (teams, points) = (threads / 16, self.l.dims.iter().product::<usize>());
        self.ops_of(0)?;
        let own = self.k.text.two("and.b32", Class::Word, self.k.thread, Operand::Int(15));
        if points == 1 {
            self.guard = Some(self.k.text.two("setp.lt.u32", Class::Predicate, self.k.thread, Operand::Int(16)));
            return self.by_sixteen(own, None);
        }
        // Warps that have no point, of a group: they would only read.
        let (wanted, idle) = ((points * 16).next_multiple_of(32), self.k.text.label());
        let some_idle = self.k.group.is_some() && wanted < threads;
        if some_idle {
            let has = self.k.text.two("setp.lt.u32", Class::Predicate, self.k.thread, Operand::Int(wanted as i64));
            self.k.text.jump_unless(has, idle);
        }
        let team = self.k.text.two("shr.u32", Class::Word, self.k.thread, Operand::Int(4));
        let at = self.k.text.reg(Class::Word);
        self.k.text.assign(at, team);
        // All threads take as many turns, as they meet in the tree; those without a point do the last one again.
        let turns = points.div_ceil(teams);
        let (count, head) = (self.k.text.reg(Class::Word), self.k.text.label());
        if turns > 1 {
            self.k.text.assign(count, Operand::Int(0));
            self.k.text.place_loop(head);
        }
        let valid = self.k.text.two("setp.lt.u32", Class::Predicate, at, Operand::Int(points as i64));
        let point = self.k.text.two("min.u32", Class::Word, at, Operand::Int(points as i64 - 1));
        self.forget_points();
        self.decompose(point.into());
        self.guard = Some(valid);
        self.by_sixteen(own, Some(valid))?;
        if turns > 1 {
            emit!(self.k.text, "add.s32 {at}, {at}, {teams}");
            emit!(self.k.text, "add.s32 {count}, {count}, 1");
            let more = self.k.text.two("setp.lt.s32", Class::Predicate, count, Operand::Int(turns as i64));
            self.k.text.jump_if(more, head);
        }
        if some_idle {
            self.k.text.place(idle);
        }
        Ok(())
    }

    /// One point: thread `own` of sixteen folds positions `own`, `own + 16`, ….
    fn by_sixteen(&mut self, own: Reg, valid: Option<Reg>) -> Result<(), CudaError> {
        self.ops_of(1)?;
        let n = self.reduced_count();
        let l = self.l;
        let mut sums: Vec<Vec<Partial>> = vec![l.reductions.iter().map(|r| self.one(r)).collect()];
        let at = self.k.text.reg(Class::Word);
        self.k.text.assign(at, own);
        let whole = n / 16;
        let body = self.levels.iter().filter(|level| **level == 2).count() + l.reductions.len();
        let rounds = if self.k.group.is_some() { (TOGETHER / body.max(1)).clamp(ROUNDS, FAR_ROUNDS) } else { ROUNDS };
        let turns = whole / rounds;
        if turns > 0 {
            let head = self.k.text.label();
            self.k.text.place_loop(head);
            self.rounds(at, rounds, &mut sums)?;
            emit!(self.k.text, "add.s32 {at}, {at}, {}", 16 * rounds);
            let limit = Operand::Int((turns * rounds * 16) as i64);
            let more = self.k.text.two("setp.lt.s32", Class::Predicate, at, limit);
            self.k.text.jump_if(more, head);
        }
        let left = whole - turns * rounds;
        self.rounds(at, left, &mut sums)?;
        let rest = n % 16;
        if rest > 0 {
            emit!(self.k.text, "add.s32 {at}, {at}, {}", 16 * left);
            let skip = self.k.text.label();
            let inside = self.k.text.two("setp.lt.u32", Class::Predicate, own, Operand::Int(rest as i64));
            self.k.text.jump_unless(inside, skip);
            self.rounds(at, 1, &mut sums)?;
            self.k.text.place(skip);
        }
        let leader = self.k.text.two("setp.eq.s32", Class::Predicate, own, Operand::Int(0));
        let leader = match valid {
            Some(valid) => self.k.text.two("and.pred", Class::Predicate, leader, valid),
            None => self.k.first(),
        };
        let stores = self.guard.replace(leader);
        for (r, sum) in l.reductions.iter().zip(&sums[0]) {
            let (mut v, dtype) = match (r.kind, sum) {
                (ReductionKind::Fold(op), Partial::One(sum)) => {
                    let (dtype, mut v) = (self.value_dtype(r), (*sum).into());
                    for w in [8, 4, 2, 1] {
                        let other = self.shuffled("down", dtype, v, w);
                        v = self.k.elements().fold(op, dtype, v, other)?;
                    }
                    (v, dtype)
                }
                (kind, Partial::Best(best, at)) => {
                    (self.best_of_sixteen(kind, self.value_dtype(r), *best, *at)?, DType::I32)
                }
                (_, _) => return Err(CudaError::internal("a position into a fold")),
            };
            if valid.is_none() {
                v = self.shuffled("idx", dtype, v, 0);
            }
            self.put(&r.into, dtype, v, 0)?;
        }
        self.guard = stores;
        Ok(())
    }

    /// The position of the best of sixteen, the first of those that are equally good.
    fn best_of_sixteen(&mut self, kind: ReductionKind, dtype: DType, best: Reg, at: Reg) -> Result<Operand, CudaError> {
        let both = |k: &mut Elements, op, a, b| k.binary(op, DType::Bool, a, b);
        for w in [8, 4, 2, 1] {
            let other = self.shuffled("down", dtype, best.into(), w);
            let other_at = self.shuffled("down", DType::I32, at.into(), w);
            let better = self.better(kind, dtype, other, best.into())?;
            let worse = self.better(kind, dtype, best.into(), other)?;
            let mut e = self.k.elements();
            let earlier = e.compare(Compare::Lt, DType::I32, other_at, at.into());
            let unless_worse = e.unary(Unary::Not, DType::Bool, worse)?;
            let first = both(&mut e, Binary::And, earlier, unless_worse)?;
            let take = both(&mut e, Binary::Or, better, first)?;
            let (new, new_at) =
                (e.select(take, dtype, other, best.into()), e.select(take, DType::I32, other_at, at.into()));
            self.k.text.assign(best, new);
            self.k.text.assign(at, new_at);
        }
        Ok(at.into())
    }

    /// Positions `at`, `at + 16`, …
    fn rounds(&mut self, at: Reg, rounds: usize, sums: &mut [Vec<Partial>]) -> Result<(), CudaError> {
        let row = self.l.reduced.len() == 1;
        let d = self.l.dims.len();
        let positions = self.l.reductions.iter().any(|r| !matches!(r.kind, ReductionKind::Fold(_)));
        for round in 0..rounds {
            let mut position = Operand::Int(0);
            if positions || !row {
                position = self.k.text.plus(at.into(), Operand::Int(16 * round as i64));
            }
            if row {
                if round == 0 {
                    self.index[d] = at.into();
                    self.forget_within();
                }
                self.copies[0].add[d] = 16 * round as i64;
            } else {
                self.decompose_reduced(position);
            }
            self.element(sums, position, 0)?;
        }
        if row {
            self.copies[0].add[d] = 0;
        }
        Ok(())
    }

    /// The value of another of the sixteen: `down` by so many, or number `by` of them.
    fn shuffled(&mut self, kind: &str, dtype: DType, v: Operand, by: i64) -> Operand {
        // Segments of 16 lanes: the bound of a segment, and which bits of a lane's number are its own.
        const SEGMENTS: &str = "4127, -1";
        match dtype {
            DType::Bool => {
                let word = self.k.elements().convert(DType::Bool, DType::I32, v);
                let other = self.shuffled(kind, DType::I32, word, by);
                self.k.elements().convert(DType::I32, DType::Bool, other)
            }
            DType::F64 => {
                let (low, high) = (self.k.text.reg(Class::Word), self.k.text.reg(Class::Word));
                let v = self.k.text.in_register(Class::F64, v);
                emit!(self.k.text, "mov.b64 {{{low}, {high}}}, {v}");
                let (a, b) = (self.k.text.reg(Class::Word), self.k.text.reg(Class::Word));
                emit!(self.k.text, "shfl.sync.{kind}.b32 {a}, {low}, {by}, {SEGMENTS}");
                emit!(self.k.text, "shfl.sync.{kind}.b32 {b}, {high}, {by}, {SEGMENTS}");
                let out = self.k.text.reg(Class::F64);
                emit!(self.k.text, "mov.b64 {out}, {{{a}, {b}}}");
                out.into()
            }
            dtype => {
                let v = self.k.text.in_register(class(dtype), v);
                let out = self.k.text.reg(class(dtype));
                emit!(self.k.text, "shfl.sync.{kind}.b32 {out}, {v}, {by}, {SEGMENTS}");
                out.into()
            }
        }
    }
}
