//! Large products of a group: a block takes tiles of the result, and what they need of both operands goes through its shared memory, each number once a tile.
//!
//! ```text
//! a turn of 16 steps    A [rows, 16] and B [16, columns]: global memory ─▶ registers ─▶ one half of shared memory, [16, rows] and [16, columns]
//!                       while that of the turn before is added up: 8 × 8 sums a thread
//! ```
//!
//! The contracted dimension is in order, so the bits are those of `product`.

use whorl_core::ir::DType;
use whorl_schedule::loop_ir::*;

use crate::CudaError;
use crate::address::{Address, Space};
use crate::emit;
use crate::kernel::Kernel;
use crate::product::{self, Target};
use crate::ptx::{Class, Operand, Reg};

/// Numbers behind each row of shared memory, so that columns are in different banks.
const PAD: usize = 4;
/// Bytes of a number.
const WIDTH: usize = 4;
/// The most shared memory that a product asks for.
pub const BYTES: usize = 2 * 16 * (128 + PAD + 128 + PAD) * WIDTH;
/// Sums that stand one after the other.
const STRAIGHT: usize = 128;

/// How one operand is copied.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Side {
    free: isize,
    step: isize,
    /// Of a tile, along its free dimension.
    size: usize,
    /// A thread's sums along it.
    tile: usize,
    /// Neighbouring threads have neighbouring steps, and not neighbours along the free dimension.
    along_steps: bool,
    /// Numbers that are loaded at once: four or one.
    four: bool,
}

/// How a product is done.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Plan {
    steps: usize,
    a: Side,
    b: Side,
}

impl Side {
    fn of(k: &Kernel, m: &MatMul, view: &View, free: usize, step: usize, size: usize, tile: usize) -> Option<Side> {
        let (by_free, by_step) = (view.strides[free], view.strides[step]);
        let along_steps = by_step.abs() <= by_free.abs();
        let (inner, outer) = if along_steps { (by_step, by_free) } else { (by_free, by_step) };
        let whole = product::in_fours(k, m, view);
        Some(Side {
            free: by_free,
            step: by_step,
            size,
            tile,
            along_steps,
            four: whole && inner == 1 && outer % 4 == 0,
        })
    }

    fn at_once(&self) -> usize {
        if self.four { 4 } else { 1 }
    }

    /// Pieces along the dimension in which neighbouring threads have neighbours.
    fn inner(&self, steps: usize) -> usize {
        (if self.along_steps { steps } else { self.size }) / self.at_once()
    }

    fn pieces(&self, steps: usize) -> usize {
        steps * self.size / self.at_once()
    }

    /// Loads of a step from shared memory.
    fn loads(&self) -> usize {
        if self.tile < 4 { self.tile } else { self.tile / 4 }
    }

    /// Bytes of a row of shared memory.
    fn row(&self) -> usize {
        (self.size + PAD) * WIDTH
    }

    /// Where a thread's sums are, from its first on: fours, as far apart as the fours of all threads are long.
    fn offsets(&self) -> Vec<isize> {
        let apart = self.size / self.tile * 4;
        (0..self.tile).map(|i| (i / 4 * apart + i % 4) as isize).collect()
    }

    /// Neighbours that are a thread's.
    fn together(&self) -> usize {
        self.tile.min(4)
    }
}

impl Plan {
    fn half(&self) -> usize {
        self.steps * (self.a.row() + self.b.row())
    }

    pub fn bytes(&self) -> usize {
        2 * self.half()
    }

    fn tiles(&self, m: &MatMul) -> usize {
        m.batch.iter().product::<usize>() * (m.m / self.a.size) * (m.n / self.b.size)
    }

    /// Rough instructions of a thread, as `product` counts them.
    fn cost(&self, m: &MatMul, blocks: usize, threads: usize) -> usize {
        let (a, b) = (&self.a, &self.b);
        let sums = self.steps * (a.tile * b.tile + 2 * (a.loads() + b.loads()));
        // A load, and four stores where it has to be turned.
        let copies = |s: &Side| s.pieces(self.steps).div_ceil(threads) * (4 + s.at_once());
        let turn = sums + copies(a) + copies(b) + 40;
        self.tiles(m).div_ceil(blocks) * (turn * (m.k / self.steps) + 100 + 4 * a.tile * b.tile)
    }
}

/// The best way, if it is better than what costs so much.
pub fn plan(k: &Kernel, m: &MatMul, cost: usize) -> Option<Plan> {
    let group = k.group?;
    let steps = [16, 8].into_iter().find(|s| m.k.is_multiple_of(*s))?;
    if m.dtype != DType::F32 || m.k == 0 {
        return None;
    }
    let (threads, batch) = (group.team.of_block, m.batch.len());
    let sizes = |n: usize| [128, 64, 32, 16].into_iter().filter(move |s| n.is_multiple_of(*s));
    let mut best: Option<(usize, Plan)> = None;
    for (rows, columns) in sizes(m.m).flat_map(|r| sizes(m.n).map(move |c| (r, c))) {
        for (tm, tn) in [(8, 8), (8, 4), (4, 8), (4, 4), (4, 2), (2, 4), (2, 2), (1, 2), (1, 1)] {
            if (rows / tm) * (columns / tn) != threads {
                continue;
            }
            let a = Side::of(k, m, &m.a, batch, batch + 1, rows, tm)?;
            let b = Side::of(k, m, &m.b, batch + 1, batch, columns, tn)?;
            let plan = Plan { steps, a, b };
            // A thread's pieces are the same number of rows, or of columns, apart.
            let regular = |s: &Side| threads.is_multiple_of(s.inner(steps));
            let own = plan.cost(m, group.team.blocks, threads);
            if regular(&a) && regular(&b) && plan.bytes() <= k.room && own < best.map_or(cost, |(least, _)| least) {
                best = Some((own, plan));
            }
        }
    }
    best.map(|(_, plan)| plan)
}

pub fn emit(k: &mut Kernel, m: &MatMul, plan: &Plan) -> Result<(), CudaError> {
    let Some(group) = k.group else { return Err(CudaError::internal("tiles without a group")) };
    k.staged = k.staged.max(plan.bytes());
    let (tiles, blocks) = (plan.tiles(m), group.team.blocks);
    let at = k.text.reg(Class::Word);
    k.text.assign(at, group.member);
    let (head, done) = (k.text.label(), k.text.label());
    k.text.place_loop(head);
    let over = k.text.two("setp.ge.u32", Class::Predicate, at, Operand::Int(tiles as i64));
    k.text.jump_if(over, done);
    tile(k, m, plan, group.own, at.into())?;
    emit!(k.text, "add.s32 {at}, {at}, {blocks}");
    k.text.jump(head);
    k.text.place(done);
    Ok(())
}

/// What a thread copies of one operand.
struct Copied {
    side: Side,
    from: Address,
    to: Address,
    values: Vec<Reg>,
    /// Between two of its pieces, in bytes.
    from_apart: i64,
    to_apart: i64,
    /// Fewer pieces than threads.
    only: Option<Reg>,
}

fn tile(k: &mut Kernel, m: &MatMul, plan: &Plan, own: Reg, at: Operand) -> Result<(), CudaError> {
    let (steps, a, b) = (plan.steps, plan.a, plan.b);
    let (index, row, column) = product::tile_at(k, m, at, (a.size, b.size));
    // Its halves are in use until all threads are done with the tile before.
    k.block_barrier();
    let mut copied = [
        copied(k, plan, &m.a, a, &index, row, own, 0)?,
        copied(k, plan, &m.b, b, &index, column, own, steps * a.row())?,
    ];
    let (own_row, own_column) = k.text.divided(own.into(), b.size / b.tile);
    let (own_row, own_column) =
        (k.text.times(own_row, a.together() as i64), k.text.times(own_column, b.together() as i64));
    let base = k.shared;
    let (a_at, _) = k.sum(Space::Shared, base, &[(own_row, WIDTH as i64)]);
    let (b_at, _) = k.sum(Space::Shared, base, &[(own_column, WIDTH as i64)]);
    let sums: Vec<Reg> = (0..a.tile * b.tile)
        .map(|_| {
            let r = k.text.reg(Class::F32);
            k.text.assign(r, Operand::f32(0.0));
            r
        })
        .collect();
    let (turns, half) = (m.k / steps, plan.half() as i64);
    let (left, there, head) = (k.text.reg(Class::Word), k.text.reg(Class::Word), k.text.label());
    k.text.assign(left, Operand::Int(turns as i64));
    k.text.assign(there, Operand::Int(0));
    copied.iter_mut().for_each(|c| load(k, c, c.only));
    k.text.place_loop(head);
    copied.iter().for_each(|c| store(k, c, there));
    k.block_barrier();
    // The next turn's numbers are on their way while this one's are added up.
    emit!(k.text, "sub.s32 {left}, {left}, 1");
    let more = k.text.two("setp.gt.s32", Class::Predicate, left, Operand::Int(0));
    for c in &mut copied {
        let by = steps as i64 * c.side.step as i64 * WIDTH as i64;
        emit!(k.text, "add.s64 {}, {}, {by}", c.from.reg, c.from.reg);
        let only = match c.only {
            Some(only) => k.text.two("and.pred", Class::Predicate, only, more),
            None => more,
        };
        load(k, c, Some(only));
    }
    let a_at = k.text.two("add.s32", Class::Word, a_at, there);
    let b_at = k.text.two("add.s32", Class::Word, b_at, there);
    add_up(k, plan, a_at, b_at, &sums);
    emit!(k.text, "sub.s32 {there}, {half}, {there}");
    k.text.jump_if(more, head);
    let (row, column) = (k.text.plus(row, own_row), k.text.plus(column, own_column));
    let target = Target { index: &index, row, column, rows: &a.offsets(), columns: &b.offsets() };
    product::finish(k, m, &target, &sums)
}

/// `first`: where the tile begins along the free dimension; `part`: where the operand's part of a half is.
#[allow(clippy::too_many_arguments)]
fn copied(
    k: &mut Kernel,
    plan: &Plan,
    view: &View,
    side: Side,
    index: &[Operand],
    first: Operand,
    own: Reg,
    part: usize,
) -> Result<Copied, CudaError> {
    let threads = k.group.map_or(1, |g| g.team.of_block);
    let (inner, pieces) = (side.inner(plan.steps), side.pieces(plan.steps));
    let (outer_at, inner_at) = k.text.divided(own.into(), inner);
    let inner_at = k.text.times(inner_at, side.at_once() as i64);
    let (step, free) = if side.along_steps { (inner_at, outer_at) } else { (outer_at, inner_at) };
    let from = product::pointer(k, view, index, &[(first, side.free), (free, side.free), (step, side.step)])?;
    // The other pieces are not far from the first.
    let from =
        Address { bytes: 0, reg: k.text.two("add.s64", Class::Long, from.reg, Operand::Int(from.bytes)), ..from };
    let base = k.shared;
    let (to, _) = k.sum(Space::Shared, base, &[(step, side.row() as i64), (free, WIDTH as i64)]);
    let outer = (threads / inner) as i64;
    let (from_apart, to_apart) = if side.along_steps {
        (outer * side.free as i64 * WIDTH as i64, outer * WIDTH as i64)
    } else {
        (outer * side.step as i64 * WIDTH as i64, outer * side.row() as i64)
    };
    let only =
        (pieces < threads).then(|| k.text.two("setp.lt.u32", Class::Predicate, own, Operand::Int(pieces as i64)));
    let values = (0..pieces.div_ceil(threads) * side.at_once()).map(|_| k.text.reg(Class::F32)).collect();
    let to = Address { space: Space::Shared, reg: to, bytes: part as i64 };
    Ok(Copied { side, from, to, values, from_apart, to_apart, only })
}

fn guard(only: Option<Reg>) -> String {
    only.map_or(String::new(), |p| format!("@{p} "))
}

fn load(k: &mut Kernel, c: &Copied, only: Option<Reg>) {
    let (guard, instruction) = (guard(only), c.from.space.load());
    for (piece, values) in c.values.chunks(c.side.at_once()).enumerate() {
        let at = k.reachable(c.from.plus(piece as i64 * c.from_apart));
        match values {
            [x, y, z, w] => {
                emit!(k.text, "{guard}{instruction}.v4.f32 {{{x}, {y}, {z}, {w}}}, [{}+{}]", at.reg, at.bytes)
            }
            values => {
                values.iter().for_each(|x| emit!(k.text, "{guard}{instruction}.f32 {x}, [{}+{}]", at.reg, at.bytes))
            }
        }
    }
}

fn store(k: &mut Kernel, c: &Copied, half: Reg) {
    let guard = guard(c.only);
    let to = k.text.two("add.s32", Class::Word, c.to.reg, half);
    for (piece, values) in c.values.chunks(c.side.at_once()).enumerate() {
        let at = c.to.bytes + piece as i64 * c.to_apart;
        match values {
            [x, y, z, w] if !c.side.along_steps => {
                emit!(k.text, "{guard}st.shared.v4.f32 [{to}+{at}], {{{x}, {y}, {z}, {w}}}");
            }
            values => {
                for (step, x) in values.iter().enumerate() {
                    emit!(k.text, "{guard}st.shared.f32 [{to}+{}], {x}", at + (step * c.side.row()) as i64);
                }
            }
        }
    }
}

/// The steps of a turn.
fn add_up(k: &mut Kernel, plan: &Plan, a_at: Reg, b_at: Reg, sums: &[Reg]) {
    let Plan { steps, a, b } = plan;
    let straight = (STRAIGHT / sums.len()).clamp(1, *steps);
    let b_part = (steps * a.row()) as i64;
    let (left, head) = (k.text.reg(Class::Word), k.text.label());
    let turns = steps / straight;
    if turns > 1 {
        k.text.assign(left, Operand::Int(turns as i64));
        k.text.place_loop(head);
    }
    for step in 0..straight {
        let numbers = |k: &mut Kernel, side: &Side, reg: Reg, part: i64| -> Vec<Operand> {
            let at = Address { space: Space::Shared, reg, bytes: part + (step * side.row()) as i64 };
            let offsets = side.offsets();
            if side.tile < 4 {
                return offsets.iter().map(|o| k.load(DType::F32, at.plus(*o as i64 * WIDTH as i64))).collect();
            }
            offsets.iter().step_by(4).flat_map(|o| k.load_four(DType::F32, at.plus(*o as i64 * WIDTH as i64))).collect()
        };
        let (left, right) = (numbers(k, a, a_at, 0), numbers(k, b, b_at, b_part));
        for (i, x) in left.iter().enumerate() {
            for (j, y) in right.iter().enumerate() {
                let sum = sums[i * right.len() + j];
                emit!(k.text, "fma.rn.f32 {sum}, {x}, {y}, {sum}");
            }
        }
    }
    if turns > 1 {
        for (side, at) in [(a, a_at), (b, b_at)] {
            emit!(k.text, "add.s32 {at}, {at}, {}", straight * side.row());
        }
        emit!(k.text, "sub.s32 {left}, {left}, 1");
        let more = k.text.two("setp.gt.s32", Class::Predicate, left, Operand::Int(0));
        k.text.jump_if(more, head);
    }
}
