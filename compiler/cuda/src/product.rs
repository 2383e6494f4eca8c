//! Matrix products: a tile of the result for each thread, in registers, with the contracted dimension in order.

use whorl_core::ir::DType;
use whorl_core::prim::{Binary, Unary};
use whorl_schedule::loop_ir::*;

use crate::CudaError;
use crate::address::{Address, Term};
use crate::elements::class;
use crate::emit;
use crate::homes::width;
use crate::kernel::Kernel;
use crate::mma;
use crate::ptx::{Class, Operand, Reg};
use crate::staged;

/// Steps of the contracted dimension that are loaded together.
const STEPS: usize = 4;
/// Numbers of a tile.
const MOST: usize = 32;
/// Sums and loads of one turn of the loop over the contracted dimension, roughly: more of them, and its registers are too many.
const TURN: usize = 160;
/// … and at most so many steps.
const MOST_STEPS: usize = 16;

/// How neighbours are loaded, four at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Along {
    /// The contracted dimension.
    Steps,
    /// The tile's own.
    Free,
    Nothing,
}

/// One operand: its strides along batches, along its free dimension, along the contracted one.
struct Side<'x> {
    view: &'x View,
    free: isize,
    step: isize,
    /// Numbers along the free dimension.
    tile: usize,
    along: Along,
}

impl Side<'_> {
    /// Loads for one turn.
    fn loads(&self) -> usize {
        match self.along {
            Along::Steps => self.tile,
            Along::Free => self.tile.div_ceil(4) * STEPS,
            Along::Nothing => self.tile * STEPS,
        }
    }
}

fn divisors(n: usize) -> impl Iterator<Item = usize> {
    (1..=8).filter(move |d| n.is_multiple_of(*d))
}

pub fn emit(k: &mut Kernel, m: &MatMul) -> Result<(), CudaError> {
    let tiles = |tm: usize, tn: usize| m.batch.iter().product::<usize>() * (m.m / tm) * (m.n / tn);
    if tiles(1, 1) == 0 {
        return Ok(());
    }
    let mut best: Option<(usize, usize, usize)> = None;
    for tm in divisors(m.m) {
        for tn in divisors(m.n).filter(|tn| tm * tn <= MOST) {
            let (a, b) = sides(k, m, tm, tn);
            // What a thread does, one after the other; loads take longer than sums.
            let loads = match k.group {
                None => 2 * (a.loads() + b.loads()),
                // Those of global memory take longer still, most of all where neighbouring threads read different lines.
                Some(_) => 4 * a.loads() + if b.free.abs() <= 1 { 4 } else { 16 } * b.loads(),
            };
            let turn = tm * tn * STEPS + loads;
            let cost = tiles(tm, tn).div_ceil(k.threads) * (turn * m.k.div_ceil(STEPS) + 20 + 4 * tm * tn);
            if best.is_none_or(|(least, _, _)| cost < least) {
                best = Some((cost, tm, tn));
            }
        }
    }
    let Some((cost, tm, tn)) = best else { return Err(CudaError::internal("a product without a tile")) };
    if let Some(plan) = mma::plan(k, m, cost) {
        return mma::emit(k, m, plan);
    }
    if let Some(plan) = staged::plan(k, m, cost) {
        return staged::emit(k, m, &plan);
    }
    let (tiles, threads) = (tiles(tm, tn), k.threads);
    let at = k.text.reg(Class::Word);
    k.text.assign(at, k.thread);
    let (head, done) = (k.text.label(), k.text.label());
    if tiles > threads {
        k.text.place_loop(head);
    }
    if tiles % threads != 0 {
        let over = k.text.two("setp.ge.u32", Class::Predicate, at, Operand::Int(tiles as i64));
        k.text.jump_if(over, done);
    }
    tile(k, m, tm, tn, at.into())?;
    if tiles > threads {
        emit!(k.text, "add.s32 {at}, {at}, {threads}");
        if tiles % threads == 0 {
            let more = k.text.two("setp.lt.u32", Class::Predicate, at, Operand::Int(tiles as i64));
            k.text.jump_if(more, head);
        } else {
            k.text.jump(head);
        }
    }
    k.text.place(done);
    Ok(())
}

/// Whether numbers from a multiple of four on are at a multiple of 16 bytes, if their strides allow it.
pub fn in_fours(k: &Kernel, m: &MatMul, view: &View) -> bool {
    let fours = |s: isize| s % 4 == 0;
    m.dtype == DType::F32
        && k.start(view.buffer).is_ok_and(|(_, start)| start % 16 == 0)
        && fours(view.offset)
        && view.strides[..m.batch.len()].iter().all(|s| fours(*s))
        && view.dynamic.iter().all(|d| fours(d.stride))
}

fn sides<'m>(k: &Kernel, m: &'m MatMul, tm: usize, tn: usize) -> (Side<'m>, Side<'m>) {
    let batch = m.batch.len();
    let side = |view: &'m View, free: usize, step: usize, tile: usize| {
        let (free, step) = (view.strides[free], view.strides[step]);
        let mut side = Side { view, free, step, tile, along: Along::Nothing };
        let whole = in_fours(k, m, view);
        if whole && step == 1 && free % 4 == 0 {
            side.along = Along::Steps;
        } else if whole && free == 1 && step % 4 == 0 && tile.is_multiple_of(4) {
            side.along = Along::Free;
        }
        side
    };
    (side(&m.a, batch, batch + 1, tm), side(&m.b, batch + 1, batch, tn))
}

/// Of tile number `at` the place in the batch, the first row and the first column: neighbouring numbers are neighbouring columns.
pub fn tile_at(k: &mut Kernel, m: &MatMul, at: Operand, (tm, tn): (usize, usize)) -> (Vec<Operand>, Operand, Operand) {
    let batch = m.batch.len();
    let (rest, column) = k.text.divided(at, m.n / tn);
    let (mut rest, row) = k.text.divided(rest, m.m / tm);
    let mut index = vec![Operand::Int(0); batch];
    for d in (0..batch).rev() {
        if d == 0 {
            index[0] = rest;
        } else {
            (rest, index[d]) = k.text.divided(rest, m.batch[d]);
        }
    }
    let (row, column) = (k.text.times(row, tm as i64), k.text.times(column, tn as i64));
    (index, row, column)
}

fn tile(k: &mut Kernel, m: &MatMul, tm: usize, tn: usize, at: Operand) -> Result<(), CudaError> {
    let (index, row, column) = tile_at(k, m, at, (tm, tn));
    let (a, b) = sides(k, m, tm, tn);
    let a_at = pointer(k, a.view, &index, &[(row, a.free)])?;
    let b_at = pointer(k, b.view, &index, &[(column, b.free)])?;
    let zero = if m.dtype == DType::F64 { Operand::f64(0.0) } else { Operand::f32(0.0) };
    let class = class(m.dtype);
    let sums: Vec<Reg> = (0..tm * tn)
        .map(|_| {
            let r = k.text.reg(class);
            k.text.assign(r, zero);
            r
        })
        .collect();
    let group = tm * tn * STEPS + a.loads() + b.loads();
    let turn = (TURN / group).clamp(1, MOST_STEPS / STEPS) * STEPS;
    let turns = m.k / turn;
    let (mut a_at, mut b_at, mut done) = (a_at, b_at, 0);
    if turns > 2 {
        (a_at, b_at) = (moving(k, a_at), moving(k, b_at));
        let (count, head) = (k.text.reg(Class::Word), k.text.label());
        k.text.assign(count, Operand::Int(turns as i64));
        k.text.place_loop(head);
        steps(k, m, (&a, a_at), (&b, b_at), turn, &sums);
        for (side, at) in [(&a, a_at), (&b, b_at)] {
            let by = (turn as isize * side.step) as i64 * m.dtype.bytes() as i64;
            let op = if at.space.class() == Class::Word { "add.s32" } else { "add.s64" };
            emit!(k.text, "{op} {}, {}, {by}", at.reg, at.reg);
        }
        emit!(k.text, "sub.s32 {count}, {count}, 1");
        let more = k.text.two("setp.gt.s32", Class::Predicate, count, Operand::Int(0));
        k.text.jump_if(more, head);
        done = turns * turn;
    }
    steps(k, m, (&a, a_at), (&b, b_at), m.k - done, &sums);
    let (rows, columns): (Vec<isize>, Vec<isize>) = ((0..tm as isize).collect(), (0..tn as isize).collect());
    finish(k, m, &Target { index: &index, row, column, rows: &rows, columns: &columns }, &sums)
}

/// The same address in a register that the loop may change.
pub fn moving(k: &mut Kernel, at: Address) -> Address {
    let reg = k.text.reg(at.space.class());
    k.text.assign(reg, at.reg);
    Address { reg, ..at }
}

pub fn pointer(
    k: &mut Kernel,
    view: &View,
    batch: &[Operand],
    more: &[(Operand, isize)],
) -> Result<Address, CudaError> {
    let (space, start) = k.start(view.buffer)?;
    let bytes = width(k.p, view.buffer);
    let mut terms: Vec<Term> = k.dynamic(view)?;
    terms.extend(batch.iter().zip(&view.strides).map(|(i, s)| (*i, *s as i64 * bytes)));
    terms.extend(more.iter().map(|(i, s)| (*i, *s as i64 * bytes)));
    let base = k.base(space);
    let (reg, constant) = k.sum(space, base, &terms);
    Ok(Address { space, reg, bytes: start + constant + view.offset as i64 * bytes })
}

/// The next so many steps.
fn steps(k: &mut Kernel, m: &MatMul, (a, a_at): (&Side, Address), (b, b_at): (&Side, Address), n: usize, sums: &[Reg]) {
    let op = if m.dtype == DType::F64 { "fma.rn.f64" } else { "fma.rn.f32" };
    for first in (0..n).step_by(STEPS) {
        let count = STEPS.min(n - first);
        let left = numbers(k, m, a, a_at, first, count);
        let right = numbers(k, m, b, b_at, first, count);
        for (step, i) in (0..count).flat_map(|step| (0..a.tile).map(move |i| (step, i))) {
            for j in 0..b.tile {
                let (x, y, sum) = (left[i][step], right[j][step], sums[i * b.tile + j]);
                emit!(k.text, "{op} {sum}, {x}, {y}, {sum}");
            }
        }
    }
}

/// By place in the tile, then by step.
fn numbers(k: &mut Kernel, m: &MatMul, side: &Side, at: Address, first: usize, count: usize) -> Vec<Vec<Operand>> {
    let bytes = m.dtype.bytes() as isize;
    let place = |i: usize, step: usize| ((i as isize * side.free + (first + step) as isize * side.step) * bytes) as i64;
    let mut all = vec![vec![Operand::Int(0); count]; side.tile];
    match side.along {
        Along::Steps if count == STEPS => {
            for (i, row) in all.iter_mut().enumerate() {
                row.copy_from_slice(&k.load_four(m.dtype, at.plus(place(i, 0))));
            }
        }
        Along::Free => {
            for (step, i) in (0..count).flat_map(|step| (0..side.tile).step_by(4).map(move |i| (step, i))) {
                let four = k.load_four(m.dtype, at.plus(place(i, step)));
                all[i..i + 4].iter_mut().zip(four).for_each(|(row, x)| row[step] = x);
            }
        }
        Along::Steps | Along::Nothing => {
            for (i, row) in all.iter_mut().enumerate() {
                for (step, x) in row.iter_mut().enumerate() {
                    *x = k.load(m.dtype, at.plus(place(i, step)));
                }
            }
        }
    }
    all
}

/// Where the sums of a thread belong.
pub struct Target<'x> {
    /// In the batch.
    pub index: &'x [Operand],
    pub row: Operand,
    pub column: Operand,
    /// From that row and that column on.
    pub rows: &'x [isize],
    pub columns: &'x [isize],
}

/// Adds what was there, then the bias, then the activation, and stores.
pub fn finish(k: &mut Kernel, m: &MatMul, target: &Target, sums: &[Reg]) -> Result<(), CudaError> {
    let Target { index, row, column, rows, columns } = *target;
    let batch = m.batch.len();
    let bytes = m.dtype.bytes() as isize;
    let (by_row, by_column) = (m.c.strides[batch], m.c.strides[batch + 1]);
    let c_at = pointer(k, &m.c, index, &[(row, by_row), (column, by_column)])?;
    let mut biases = Vec::new();
    if let Some(e) = &m.epilogue {
        let by_column = e.bias.strides[batch + 1];
        let at = pointer(k, &e.bias, index, &[(column, by_column)])?;
        for j in columns {
            biases.push(k.load(m.dtype, at.plus((j * by_column * bytes) as i64)));
        }
    }
    for (i, by_i) in rows.iter().enumerate() {
        for (j, by_j) in columns.iter().enumerate() {
            let at = c_at.plus((by_i * by_row + by_j * by_column) as i64 * bytes as i64);
            let mut sum: Operand = sums[i * columns.len() + j].into();
            if m.accumulate {
                let old = k.load(m.dtype, at);
                sum = k.elements().binary(Binary::Add, m.dtype, sum, old)?;
            }
            if let Some(e) = &m.epilogue {
                sum = k.elements().binary(Binary::Add, m.dtype, sum, biases[j])?;
                let zero = if m.dtype == DType::F64 { Operand::f64(0.0) } else { Operand::f32(0.0) };
                sum = match e.activation {
                    Activation::None => sum,
                    Activation::Tanh => k.elements().unary(Unary::Tanh, m.dtype, sum)?,
                    Activation::Relu => k.elements().binary(Binary::Max, m.dtype, sum, zero)?,
                };
            }
            k.store(m.dtype, sum, at, None);
        }
    }
    Ok(())
}
