//! Lane loops: which points a thread does, and the ops of a point.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use whorl_core::ir::{DType, Shape};
use whorl_schedule::loop_ir::*;
use whorl_schedule::{normal, view_of};

use crate::CudaError;
use crate::address::{Address, Space, Term};
use crate::emit;
use crate::homes::{Home, width};
use crate::kernel::Kernel;
use crate::modes::{self, Mode};
use crate::ptx::{Class, Operand, Reg};

/// One of several points that a thread does at once: the indices of all are the loop's, plus constants.
#[derive(Clone, Debug)]
pub struct Copy {
    pub add: Vec<i64>,
    pub values: Vec<Option<Operand>>,
    /// The other word of a Threefry block, at its first op.
    other_words: Vec<Option<Operand>>,
}

/// In bytes.
type Strides = SmallVec<[i64; 4]>;

/// What the addresses of a view begin with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    space: Space,
    strides: Strides,
    dynamic: SmallVec<[Dynamic; 1]>,
}

pub struct Loop<'x, 'p> {
    pub k: &'x mut Kernel<'p>,
    pub l: &'x Lanes,
    pub levels: Vec<usize>,
    /// Where the loop is in each of `dims` ++ `reduced`.
    pub index: Vec<Operand>,
    pub copies: Vec<Copy>,
    /// Stores are for threads where this holds.
    pub guard: Option<Reg>,
    /// A fold whose every step is stored.
    pub cumulative: bool,
    points: FxHashMap<Key, (Reg, i64)>,
    within: FxHashMap<(Key, Strides), (Reg, i64)>,
}

/// Rough instructions of the bodies that stand next to each other.
const TOGETHER: usize = 128;
/// … at most so many bodies.
const MOST: usize = 8;

pub fn size(l: &Lanes, d: usize) -> usize {
    normal::size(l, d)
}

/// The loop, done by the threads that are right for it.
pub fn emit(k: &mut Kernel, l: &Lanes) -> Result<(), CudaError> {
    let l = normal::normalise(l);
    if l.dims.contains(&0) {
        return Ok(());
    }
    match modes::mode(k.p, &l, &k.homes.promoted, k.threads) {
        Mode::Everyone => {
            let first = k.first();
            Loop::new(k, &l, Some(first)).point()
        }
        Mode::First => by_first(k, &l, false),
        Mode::Points => Loop::new(k, &l, None).points(),
        Mode::Sixteens => Loop::new(k, &l, None).sixteens(),
        Mode::FirstSixteen => {
            let skip = k.text.label();
            let warp = k.text.two("setp.lt.u32", Class::Predicate, k.thread, Operand::Int(32));
            k.text.jump_unless(warp, skip);
            Loop::new(k, &l, None).sixteens()?;
            k.text.place(skip);
            Ok(())
        }
        // Reduced dimensions have an end of their own: what is folded over them is stored there.
        Mode::InOrder(keep) if !l.reductions.is_empty() => Loop::new(k, &l, None).in_order(keep),
        Mode::InOrder(keep) => {
            let (dims, rest) = l.dims.split_at(keep);
            let reduced: Shape = rest.iter().chain(&l.reduced).copied().collect();
            let l = Lanes { dims: dims.into(), reduced, ..l.clone() };
            if keep == 0 { by_first(k, &l, false) } else { Loop::new(k, &l, None).points() }
        }
    }
}

/// A fold whose every step is stored: a thread a row.
pub fn cumulative(k: &mut Kernel, c: &Cumulative) -> Result<(), CudaError> {
    let turned = |view: &View| {
        let mut view = view.clone();
        if let (true, Some(last)) = (c.reverse, view.strides.last_mut()) {
            view.offset += *last * (c.n as isize - 1);
            *last = -*last;
        }
        view
    };
    let op = |kind| LaneOp { kind, dtype: c.dtype };
    let into = View { strides: c.to.strides[..c.rows.len()].into(), ..c.to.clone() };
    let l = Lanes {
        dims: c.rows.clone(),
        reduced: Shape::from_slice(&[c.n]),
        ops: vec![op(LaneKind::Load(turned(&c.from))), op(LaneKind::Store(turned(&c.to), Value(0)))],
        reductions: vec![Reduction {
            kind: ReductionKind::Fold(c.op),
            value: Value(0),
            into,
            order: ReduceOrder::Sequential,
        }],
        spans: c.spans.clone(),
    };
    let l = normal::normalise(&l);
    if l.dims.contains(&0) || c.n == 0 {
        return Ok(());
    }
    if l.dims.is_empty() {
        return by_first(k, &l, true);
    }
    let mut lanes = Loop::new(k, &l, None);
    lanes.cumulative = true;
    lanes.points()
}

fn by_first(k: &mut Kernel, l: &Lanes, cumulative: bool) -> Result<(), CudaError> {
    let (first, skip) = (k.first(), k.text.label());
    k.text.jump_unless(first, skip);
    let mut lanes = Loop::new(k, l, None);
    lanes.cumulative = cumulative;
    lanes.point()?;
    k.text.place(skip);
    Ok(())
}

impl<'x, 'p> Loop<'x, 'p> {
    fn new(k: &'x mut Kernel<'p>, l: &'x Lanes, guard: Option<Reg>) -> Loop<'x, 'p> {
        let rank = normal::rank(l);
        let copy = Copy { add: vec![0; rank], values: vec![None; l.ops.len()], other_words: vec![None; l.ops.len()] };
        Loop {
            levels: modes::levels(l),
            index: vec![Operand::Int(0); rank],
            copies: vec![copy],
            guard,
            cumulative: false,
            points: FxHashMap::default(),
            within: FxHashMap::default(),
            k,
            l,
        }
    }

    fn nothing_reduced(&self) -> bool {
        self.l.reduced.contains(&0)
    }

    /// The only point.
    fn point(&mut self) -> Result<(), CudaError> {
        self.uniform()?;
        self.body()
    }

    fn uniform(&mut self) -> Result<(), CudaError> {
        if self.nothing_reduced() {
            return Ok(());
        }
        self.ops_of(0)
    }

    /// Points p mod T.
    fn points(&mut self) -> Result<(), CudaError> {
        self.uniform()?;
        let (n, threads) = (self.l.dims.iter().product::<usize>(), self.k.threads);
        let inner: usize = self.l.dims.iter().skip(1).product();
        let thread: Operand = self.k.thread.into();
        if n <= threads {
            let skip = self.k.text.label();
            if n < threads {
                let inside = self.k.text.two("setp.lt.u32", Class::Predicate, thread, Operand::Int(n as i64));
                self.k.text.jump_unless(inside, skip);
            }
            self.decompose(thread);
            self.body()?;
            self.k.text.place(skip);
            return Ok(());
        }
        if threads % inner == 0 { self.straight(n, threads / inner) } else { self.winding(n) }
    }

    /// Each turn moves the outermost dimension by `rows`, and no other.
    fn straight(&mut self, n: usize, rows: usize) -> Result<(), CudaError> {
        let threads = self.k.threads;
        let (whole, rest) = (n / threads, n % threads);
        let body = self.l.ops.len() + 16 * self.l.reductions.len();
        let together = (TOGETHER / body.max(1)).clamp(1, MOST).min(whole);
        let base = self.copies.clone();
        let copies = |from: usize, count: usize| -> Vec<Copy> {
            (from..from + count)
                .map(|k| {
                    let mut copy = base[0].clone();
                    copy.add[0] = (k * rows) as i64;
                    copy
                })
                .collect()
        };
        let thread = self.k.thread.into();
        self.decompose(thread);
        let turns = whole / together;
        let rows_a_turn = (rows * together) as i64;
        let mut behind = 0;
        if turns <= 2 {
            for turn in 0..turns {
                self.copies = copies(turn * together, together);
                self.body()?;
            }
            behind = turns * together;
        } else {
            self.find_pointers(rows_a_turn)?;
            let (count, head) = (self.k.text.reg(Class::Word), self.k.text.label());
            self.k.text.assign(count, Operand::Int(0));
            // The index is changed in place.
            if let Some(Operand::Reg(r)) = self.index.first().copied() {
                let own = self.k.text.reg(Class::Word);
                self.k.text.assign(own, r);
                self.index[0] = own.into();
            }
            self.k.text.place_loop(head);
            self.copies = copies(0, together);
            self.body()?;
            self.advance(rows_a_turn);
            emit!(self.k.text, "add.s32 {count}, {count}, 1");
            let more = self.k.text.two("setp.lt.s32", Class::Predicate, count, Operand::Int(turns as i64));
            self.k.text.jump_if(more, head);
        }
        let left = whole - turns * together;
        if left > 0 {
            self.copies = copies(behind, left);
            self.body()?;
        }
        if rest > 0 {
            let skip = self.k.text.label();
            let inside = self.k.text.two("setp.lt.u32", Class::Predicate, self.k.thread, Operand::Int(rest as i64));
            self.k.text.jump_unless(inside, skip);
            self.copies = copies(behind + left, 1);
            self.body()?;
            self.k.text.place(skip);
        }
        self.copies = base;
        Ok(())
    }

    /// Points whose indices are to be found at each turn.
    fn winding(&mut self, n: usize) -> Result<(), CudaError> {
        let (at, head, done) = (self.k.text.reg(Class::Word), self.k.text.label(), self.k.text.label());
        self.k.text.assign(at, self.k.thread);
        self.k.text.place_loop(head);
        let over = self.k.text.two("setp.ge.u32", Class::Predicate, at, Operand::Int(n as i64));
        self.k.text.jump_if(over, done);
        self.forget_points();
        self.decompose(at.into());
        self.body()?;
        emit!(self.k.text, "add.s32 {at}, {at}, {}", self.k.threads);
        self.k.text.jump(head);
        self.k.text.place(done);
        Ok(())
    }

    /// Threads share the first dimensions; each goes through the others in order.
    fn in_order(&mut self, shared: usize) -> Result<(), CudaError> {
        self.uniform()?;
        let (shared, own) = self.l.dims.split_at(shared);
        let (shared, own) = (shared.iter().product::<usize>(), own.iter().product::<usize>());
        let (at, head, done) = (self.k.text.reg(Class::Word), self.k.text.label(), self.k.text.label());
        let (step, next) = (self.k.text.reg(Class::Word), self.k.text.label());
        self.k.text.assign(at, self.k.thread);
        self.k.text.place_loop(head);
        let over = self.k.text.two("setp.ge.u32", Class::Predicate, at, Operand::Int(shared as i64));
        self.k.text.jump_if(over, done);
        self.k.text.assign(step, Operand::Int(0));
        self.k.text.place_loop(next);
        self.forget_points();
        let point = self.k.text.times_plus(at.into(), own as i64, step.into());
        self.decompose(point);
        self.body()?;
        emit!(self.k.text, "add.s32 {step}, {step}, 1");
        let more = self.k.text.two("setp.lt.u32", Class::Predicate, step, Operand::Int(own as i64));
        self.k.text.jump_if(more, next);
        emit!(self.k.text, "add.s32 {at}, {at}, {}", self.k.threads);
        self.k.text.jump(head);
        self.k.text.place(done);
        Ok(())
    }

    /// The indices of point p, row-major.
    pub fn decompose(&mut self, p: Operand) {
        let mut rest = p;
        for d in (0..self.l.dims.len()).rev() {
            if d == 0 {
                self.index[0] = rest;
            } else {
                (rest, self.index[d]) = self.k.text.divided(rest, self.l.dims[d]);
            }
        }
    }

    /// A point, of all copies: ops, reduced loops, results.
    pub fn body(&mut self) -> Result<(), CudaError> {
        self.forget_within();
        if !self.nothing_reduced() {
            self.ops_of(1)?;
        }
        if !self.l.reductions.is_empty() || !self.l.reduced.is_empty() {
            self.reduce()?;
        }
        Ok(())
    }

    fn key(&self, view: &View) -> Result<Key, CudaError> {
        let (space, _) = self.k.start(view.buffer)?;
        let bytes = width(self.k.p, view.buffer) as isize;
        let dims = self.l.dims.len().min(view.strides.len());
        let strides = view.strides[..dims].iter().map(|s| (s * bytes) as i64).collect();
        let dynamic = view.dynamic.iter().map(|d| Dynamic { stride: d.stride * bytes, ..*d }).collect();
        Ok(Key { space, strides, dynamic })
    }

    /// All pointers of the body, before a loop that moves them.
    fn find_pointers(&mut self, rows: i64) -> Result<(), CudaError> {
        let in_memory = |k: &Kernel, b: BufferId| !matches!(k.homes.get(b), Home::Register(_));
        let l = self.l;
        let of_ops =
            l.ops.iter().zip(&self.levels).filter(|(_, level)| **level > 0).filter_map(|(op, _)| view_of(&op.kind));
        let views: Vec<&View> = of_ops.chain(l.reductions.iter().map(|r| &r.into)).collect();
        for view in views {
            if !in_memory(self.k, view.buffer) {
                continue;
            }
            let key = self.key(view)?;
            let moves = key.strides.first().is_some_and(|s| s * rows != 0);
            let (reg, bytes) = self.pointer(view)?;
            if moves && reg == self.k.base(key.space) {
                let own = self.k.text.reg(key.space.class());
                self.k.text.assign(own, reg);
                self.points.insert(key, (own, bytes));
            }
        }
        Ok(())
    }

    /// Moves all pointers, and the index.
    fn advance(&mut self, rows: i64) {
        let mut pointers: Vec<(Key, Reg)> = self.points.iter().map(|(k, (r, _))| (k.clone(), *r)).collect();
        pointers.sort_by_key(|(_, r)| r.number);
        for (key, reg) in pointers {
            let by = key.strides.first().map_or(0, |s| s * rows);
            if by != 0 {
                let op = if key.space == Space::Shared { "add.s32" } else { "add.s64" };
                emit!(self.k.text, "{op} {reg}, {reg}, {by}");
            }
        }
        if let Some(Operand::Reg(r)) = self.index.first() {
            emit!(self.k.text, "add.s32 {r}, {r}, {rows}");
        }
    }

    /// What the addresses of a view begin with at this point.
    fn pointer(&mut self, view: &View) -> Result<(Reg, i64), CudaError> {
        let key = self.key(view)?;
        if let Some(known) = self.points.get(&key) {
            return Ok(*known);
        }
        let mut terms: Vec<Term> = self.k.dynamic(view)?;
        terms.extend(self.index.iter().copied().zip(key.strides.iter().copied()));
        let base = self.k.base(key.space);
        let pointer = self.k.sum(key.space, base, &terms);
        self.points.insert(key, pointer);
        Ok(pointer)
    }

    /// Addresses are to be found anew.
    pub fn forget_points(&mut self) {
        self.points.clear();
        self.within.clear();
    }

    /// Addresses of reduced elements are to be found anew.
    pub fn forget_within(&mut self) {
        self.within.clear();
    }

    /// Where the element of copy `c` is.
    pub fn address(&mut self, view: &View, c: usize) -> Result<Address, CudaError> {
        let (space, start) = self.k.start(view.buffer)?;
        let bytes = width(self.k.p, view.buffer);
        let dims = self.l.dims.len().min(view.strides.len());
        let (mut reg, mut constant) = self.pointer(view)?;
        let inner: Strides = view.strides[dims..].iter().map(|s| *s as i64 * bytes).collect();
        if inner.iter().any(|s| *s != 0) {
            let key = (self.key(view)?, inner);
            (reg, constant) = match self.within.get(&key) {
                Some(known) => *known,
                None => {
                    let terms: Vec<Term> = self.index[dims..].iter().copied().zip(key.1.iter().copied()).collect();
                    let (reg, more) = self.k.sum(space, reg, &terms);
                    self.within.insert(key, (reg, constant + more));
                    (reg, constant + more)
                }
            };
        }
        let add: i64 = view.strides.iter().zip(&self.copies[c].add).map(|(s, a)| *s as i64 * a).sum();
        Ok(Address { space, reg, bytes: start + constant + (view.offset as i64 + add) * bytes })
    }

    /// Emits the ops of a level, for all copies.
    pub fn ops_of(&mut self, level: usize) -> Result<(), CudaError> {
        for at in 0..self.l.ops.len() {
            let stores = matches!(self.l.ops[at].kind, LaneKind::Store(..));
            // The stores of a cumulative loop come after its fold.
            if self.levels[at] == level && !(self.cumulative && stores) {
                for c in 0..self.copies.len() {
                    self.op(at, c)?;
                }
            }
        }
        Ok(())
    }

    pub fn value(&self, c: usize, v: Value) -> Result<Operand, CudaError> {
        let value = self.copies[c].values.get(v.0 as usize).copied().flatten();
        value.ok_or_else(|| CudaError::internal("a lane op uses a value that is not there"))
    }

    fn dtype(&self, v: Value) -> DType {
        self.l.ops[v.0 as usize].dtype
    }

    /// Emits op `at` for copy `c`.
    pub fn op(&mut self, at: usize, c: usize) -> Result<(), CudaError> {
        let l = self.l;
        let op = &l.ops[at];
        let dtype = op.dtype;
        let value = match &op.kind {
            LaneKind::Lit(lit) => crate::elements::literal(*lit),
            LaneKind::Position(d) => {
                let add = Operand::Int(self.copies[c].add[*d]);
                self.k.text.plus(self.index[*d], add)
            }
            LaneKind::Load(view) => self.load(view, dtype, c)?,
            LaneKind::Gather(view, indices) => {
                let at = self.gathered(view, indices, c)?;
                self.k.load(dtype, at)
            }
            LaneKind::Unary(op, a) => {
                let a = self.value(c, *a)?;
                self.k.elements().unary(*op, dtype, a)?
            }
            LaneKind::Binary(op, a, b) => {
                let (a, b) = (self.value(c, *a)?, self.value(c, *b)?);
                self.k.elements().binary(*op, dtype, a, b)?
            }
            LaneKind::Compare(op, a, b) => {
                let dtype = self.dtype(*a);
                let (a, b) = (self.value(c, *a)?, self.value(c, *b)?);
                self.k.elements().compare(*op, dtype, a, b)
            }
            LaneKind::Select(test, a, b) => {
                let (test, a, b) = (self.value(c, *test)?, self.value(c, *a)?, self.value(c, *b)?);
                self.k.elements().select(test, dtype, a, b)
            }
            LaneKind::MulAdd(x, y, z) => {
                let (x, y, z) = (self.value(c, *x)?, self.value(c, *y)?, self.value(c, *z)?);
                self.k.elements().mul_add(dtype, x, y, z)
            }
            LaneKind::Convert(a) => {
                let (from, a) = (self.dtype(*a), self.value(c, *a)?);
                self.k.elements().convert(from, dtype, a)
            }
            LaneKind::Bitcast(a) => {
                let (from, a) = (self.dtype(*a), self.value(c, *a)?);
                self.k.elements().bitcast(from, dtype, a)
            }
            LaneKind::Threefry(word, operands) => self.threefry(at, *word, operands, c)?,
            LaneKind::Store(view, v) => {
                let v = self.value(c, *v)?;
                return self.put(view, dtype, v, c);
            }
            LaneKind::Scatter { view, at, value, add } => {
                let mut value = self.value(c, *value)?;
                let place = self.gathered(view, at, c)?;
                if *add {
                    let old = self.k.load(dtype, place);
                    value = self.k.elements().binary(whorl_core::prim::Binary::Add, dtype, old, value)?;
                }
                self.k.store(dtype, value, place, self.guard);
                return Ok(());
            }
        };
        self.copies[c].values[at] = Some(value);
        Ok(())
    }

    fn load(&mut self, view: &View, dtype: DType, c: usize) -> Result<Operand, CudaError> {
        if let Home::Register(r) = self.k.homes.get(view.buffer) {
            let own = |b: &View| b.buffer == view.buffer;
            let mut written = self.l.ops.iter().filter(|op| matches!(op.kind, LaneKind::Store(..)));
            if !written.any(|op| view_of(&op.kind).is_some_and(own)) {
                return Ok(r.into());
            }
            // The register will be something else before all of the ops are done.
            let kept = self.k.text.reg(r.class);
            self.k.text.assign(kept, r);
            return Ok(kept.into());
        }
        let at = self.address(view, c)?;
        Ok(self.k.load(dtype, at))
    }

    /// Stores an element, or sets the scalar that every thread has.
    pub fn put(&mut self, view: &View, dtype: DType, v: Operand, c: usize) -> Result<(), CudaError> {
        if let Home::Register(r) = self.k.homes.get(view.buffer) {
            self.k.text.assign(r, v);
            return Ok(());
        }
        let at = self.address(view, c)?;
        self.k.store(dtype, v, at, self.guard);
        Ok(())
    }

    fn gathered(&mut self, view: &View, indices: &[LaneIndex], c: usize) -> Result<Address, CudaError> {
        let at = self.address(view, c)?;
        let bytes = width(self.k.p, view.buffer);
        let mut terms: Vec<Term> = Vec::new();
        for i in indices {
            let index = self.value(c, i.index)?;
            let index = self.k.clamped(index, i.max);
            terms.push((index, i.stride as i64 * bytes));
        }
        let (reg, constant) = self.k.sum(at.space, at.reg, &terms);
        Ok(Address { reg, ..at.plus(constant) })
    }

    /// Both words of a block at the first of its ops.
    fn threefry(&mut self, at: usize, word: u8, operands: &[Value; 4], c: usize) -> Result<Operand, CudaError> {
        let same = |op: &LaneOp| matches!(&op.kind, LaneKind::Threefry(_, other) if other == operands);
        let first = self.l.ops[..at].iter().position(same);
        if let Some(first) = first
            && let LaneKind::Threefry(first_word, _) = self.l.ops[first].kind
        {
            let copy = &self.copies[c];
            let known = if first_word == word { copy.values[first] } else { copy.other_words[first] };
            return known.ok_or_else(|| CudaError::internal("half a block of random words"));
        }
        let mut inputs = [Operand::Int(0); 4];
        for (input, operand) in inputs.iter_mut().zip(operands) {
            *input = self.value(c, *operand)?;
        }
        let words = self.k.elements().threefry(inputs);
        let word = word as usize & 1;
        self.copies[c].other_words[at] = Some(words[1 - word]);
        Ok(words[word])
    }
}
