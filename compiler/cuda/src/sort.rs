//! Stable sorts of rows by several keys.
//!
//! Short rows by counting: an element's place is the number of those that come before it. Long ones by Batcher's bitonic network on the elements' numbers
//! (K. E. Batcher, "Sorting networks and their applications", 1968), with the number as the last key, which makes it stable.

use whorl_core::ir::DType;
use whorl_schedule::loop_ir::*;

use crate::CudaError;
use crate::address::{Address, Space, Term};
use crate::elements::class;
use crate::emit;
use crate::homes::width;
use crate::kernel::Kernel;
use crate::modes::overlap;
use crate::ptx::{Class, Label, Operand, Reg};

mod count;

/// Elements that one thread keeps in registers.
const MOST: usize = 16;
/// Longer rows are not counted.
const LONGEST: usize = 2048;

/// Whether it is done by counting.
fn counted(s: &Sort, threads: usize) -> bool {
    s.n <= LONGEST && (s.rows.iter().product::<usize>() * s.n).div_ceil(threads) <= MOST
}

/// Bytes that a sort needs besides, behind the run's arena: the order, and a copy of one array.
pub fn scratch(p: &LoopProgram, s: &Sort, threads: usize) -> usize {
    if counted(s, threads) {
        return 0;
    }
    let widest = s.from.iter().map(|v| width(p, v.buffer) as usize).max().unwrap_or(0);
    s.n.next_power_of_two() * 4 + s.n * widest
}

pub fn emit(k: &mut Kernel, s: &Sort, scratch: usize) -> Result<(), CudaError> {
    let rows: usize = s.rows.iter().product();
    if rows == 0 || s.n == 0 {
        return Ok(());
    }
    if counted(s, k.threads) { by_counting(k, s, rows) } else { by_network(k, s, rows, scratch) }
}

fn dtype(k: &Kernel, v: &View) -> DType {
    k.p.buffer(v.buffer).dtype
}

/// Where the first element of a row is; `row` is the row's number.
fn row_start(k: &mut Kernel, s: &Sort, view: &View, row: Operand) -> Result<Address, CudaError> {
    let (space, start) = k.start(view.buffer)?;
    let bytes = width(k.p, view.buffer);
    let mut terms: Vec<Term> = k.dynamic(view)?;
    let mut rest = row;
    for d in (0..s.rows.len()).rev() {
        let (quotient, index) = if d == 0 { (rest, rest) } else { k.text.divided(rest, s.rows[d]) };
        rest = quotient;
        terms.push((index, view.strides[d] as i64 * bytes));
    }
    let base = k.base(space);
    let (reg, constant) = k.sum(space, base, &terms);
    Ok(Address { space, reg, bytes: start + constant + view.offset as i64 * bytes })
}

fn element(k: &mut Kernel, s: &Sort, view: &View, row: Address, at: Operand) -> Address {
    let by = view.strides[s.rows.len()] as i64 * width(k.p, view.buffer);
    let (reg, constant) = k.sum(row.space, row.reg, &[(at, by)]);
    Address { reg, ..row.plus(constant) }
}

/// The keys of element number `at` of a row, which begin there.
fn keys_at(k: &mut Kernel, s: &Sort, starts: &[Address], at: Operand) -> Vec<Operand> {
    let load = |(v, start): (&View, &Address)| {
        let place = element(k, s, v, *start, at);
        k.load(dtype(k, v), place)
    };
    s.from[..s.keys].iter().zip(starts).map(load).collect()
}

fn key_types(k: &Kernel, s: &Sort) -> Vec<DType> {
    s.from[..s.keys].iter().map(|v| dtype(k, v)).collect()
}

fn key_starts(k: &mut Kernel, s: &Sort, row: Operand) -> Result<Vec<Address>, CudaError> {
    s.from[..s.keys].iter().map(|v| row_start(k, s, v, row)).collect()
}

/// Whether element a comes before b, and whether they are equal: NaN is behind all numbers.
fn compared(k: &mut Kernel, dtype: DType, a: Operand, b: Operand) -> (Reg, Reg) {
    use whorl_core::prim::{Binary, Compare};
    let mut e = k.elements();
    let mut less = e.compare(Compare::Lt, dtype, a, b);
    let mut equal = e.compare(Compare::Eq, dtype, a, b);
    if dtype.is_float() {
        let a_nan = e.compare(Compare::Ne, dtype, a, a);
        let b_nan = e.compare(Compare::Ne, dtype, b, b);
        let (a_nan, b_nan) = (e.predicate(a_nan), e.predicate(b_nan));
        let a_number = e.text.one("not.pred", Class::Predicate, a_nan);
        let first = e.text.two("and.pred", Class::Predicate, a_number, b_nan);
        let both = e.text.two("and.pred", Class::Predicate, a_nan, b_nan);
        let or = |e: &mut crate::elements::Elements, x: Operand, y: Reg| {
            e.binary(Binary::Or, DType::Bool, x, y.into()).unwrap_or(x)
        };
        less = or(&mut e, less, first);
        equal = or(&mut e, equal, both);
    }
    (e.predicate(less), e.predicate(equal))
}

/// Whether element number `i` with keys a comes before number `j` with keys b.
fn before(k: &mut Kernel, types: &[DType], (a, i): (&[Operand], Operand), (b, j): (&[Operand], Operand)) -> Reg {
    let mut r = k.text.two("setp.lt.u32", Class::Predicate, i, j);
    for (n, dtype) in types.iter().enumerate().rev() {
        let (less, equal) = compared(k, *dtype, a[n], b[n]);
        let rest = k.text.two("and.pred", Class::Predicate, equal, r);
        r = k.text.two("or.pred", Class::Predicate, less, rest);
    }
    r
}

/// An element that a thread keeps while it counts.
struct Own {
    /// Past what is done where there is no such element.
    skip: Label,
    inside: Option<Reg>,
    row: Operand,
    values: Vec<Reg>,
    place: Reg,
}

fn by_counting(k: &mut Kernel, s: &Sort, rows: usize) -> Result<(), CudaError> {
    let (total, threads) = (rows * s.n, k.threads);
    let mut own = Vec::new();
    for turn in 0..total.div_ceil(threads) {
        let at = k.text.plus(k.thread.into(), Operand::Int((turn * threads) as i64));
        let all = (turn + 1) * threads <= total;
        let inside = (!all).then(|| k.text.two("setp.lt.u32", Class::Predicate, at, Operand::Int(total as i64)));
        let values: Vec<Reg> = s.from.iter().map(|v| k.text.reg(class(dtype(k, v)))).collect();
        let place = k.text.reg(Class::Word);
        k.text.assign(place, Operand::Int(0));
        let skip = k.text.label();
        if let Some(inside) = inside {
            k.text.jump_unless(inside, skip);
        }
        let (row, i) = k.text.divided(at, s.n);
        for (v, r) in s.from.iter().zip(&values) {
            let start = row_start(k, s, v, row)?;
            let place = element(k, s, v, start, i);
            let x = k.load(dtype(k, v), place);
            k.text.assign(*r, x);
        }
        match s.from[..s.keys] {
            [ref key] => count::by_one_key(k, s, key, row, i, place)?,
            _ => {
                let mine: Vec<Operand> = values[..s.keys].iter().map(|r| (*r).into()).collect();
                count::by_all_keys(k, s, &mine, row, i, place)?;
            }
        }
        k.text.place(skip);
        own.push(Own { skip: k.text.label(), inside, row, values, place });
    }
    let in_place = s.from.iter().any(|from| s.to.iter().any(|to| overlap(k.p, from.buffer, to.buffer)));
    if in_place {
        // All are read before any is written.
        k.barrier();
    }
    for o in own {
        if let Some(inside) = o.inside {
            k.text.jump_unless(inside, o.skip);
        }
        for (v, r) in s.to.iter().zip(&o.values) {
            let start = row_start(k, s, v, o.row)?;
            let place = element(k, s, v, start, o.place.into());
            k.store(dtype(k, v), (*r).into(), place, None);
        }
        k.text.place(o.skip);
    }
    Ok(())
}

/// A loop of all threads over `0..n`.
fn each(k: &mut Kernel, n: usize, f: impl FnOnce(&mut Kernel, Reg) -> Result<(), CudaError>) -> Result<(), CudaError> {
    let (at, head, done) = (k.text.reg(Class::Word), k.text.label(), k.text.label());
    k.text.assign(at, k.thread);
    k.text.place_loop(head);
    let over = k.text.two("setp.ge.u32", Class::Predicate, at, Operand::Int(n as i64));
    k.text.jump_if(over, done);
    f(k, at)?;
    emit!(k.text, "add.s32 {at}, {at}, {}", k.threads);
    k.text.jump(head);
    k.text.place(done);
    Ok(())
}

/// A place of the scratch memory, which begins so many bytes into the slab.
fn in_scratch(k: &mut Kernel, start: usize, at: Operand, bytes: i64) -> Address {
    let base = k.slab;
    let (reg, constant) = k.sum(Space::Slab, base, &[(at, bytes)]);
    Address { space: Space::Slab, reg, bytes: start as i64 + constant }
}

fn by_network(k: &mut Kernel, s: &Sort, rows: usize, scratch: usize) -> Result<(), CudaError> {
    let n = s.n.next_power_of_two();
    let types = key_types(k, s);
    let (row, next_row) = (k.text.reg(Class::Word), k.text.label());
    k.text.assign(row, Operand::Int(0));
    k.text.place_loop(next_row);
    each(k, n, |k, at| {
        let place = in_scratch(k, scratch, at.into(), 4);
        k.store(DType::U32, at.into(), place, None);
        Ok(())
    })?;
    k.barrier();
    let starts = key_starts(k, s, row.into())?;
    let (size, next_size) = (k.text.reg(Class::Word), k.text.label());
    let (stride, next_stride) = (k.text.reg(Class::Word), k.text.label());
    if n > 1 {
        k.text.assign(size, Operand::Int(2));
        k.text.place_loop(next_size);
        emit!(k.text, "shr.u32 {stride}, {size}, 1");
        k.text.place_loop(next_stride);
        each(k, n, |k, i| {
            let skip = k.text.label();
            let j = k.text.two("xor.b32", Class::Word, i, stride);
            let once = k.text.two("setp.gt.u32", Class::Predicate, j, i);
            k.text.jump_unless(once, skip);
            let (i_at, j_at) = (in_scratch(k, scratch, i.into(), 4), in_scratch(k, scratch, j.into(), 4));
            let (x, y) = (k.load(DType::U32, i_at), k.load(DType::U32, j_at));
            let later = y_before_x(k, s, &types, &starts, x, y)?;
            let down = k.text.two("and.b32", Class::Word, i, size);
            let falling = k.text.two("setp.ne.s32", Class::Predicate, down, Operand::Int(0));
            let swap = k.text.two("xor.pred", Class::Predicate, later, falling);
            k.store(DType::U32, y, i_at, Some(swap));
            k.store(DType::U32, x, j_at, Some(swap));
            k.text.place(skip);
            Ok(())
        })?;
        // What is exchanged nearer than a block has threads stays within the block.
        k.barrier_within(|k, threads| {
            let next = k.text.two("shr.u32", Class::Word, stride, Operand::Int(1));
            let last = k.text.two("setp.eq.s32", Class::Predicate, stride, Operand::Int(1));
            let next = k.text.three("selp.b32", Class::Word, size, next, last);
            let farther = k.text.two("max.u32", Class::Word, stride, next);
            k.text.two("setp.lt.u32", Class::Predicate, farther, Operand::Int(threads))
        });
        emit!(k.text, "shr.u32 {stride}, {stride}, 1");
        let more = k.text.two("setp.gt.u32", Class::Predicate, stride, Operand::Int(0));
        k.text.jump_if(more, next_stride);
        emit!(k.text, "shl.b32 {size}, {size}, 1");
        let more = k.text.two("setp.le.u32", Class::Predicate, size, Operand::Int(n as i64));
        k.text.jump_if(more, next_size);
    }
    // Through a copy, as an array may be sorted in its own place.
    let copy = scratch + 4 * n;
    for (from, to) in s.from.iter().zip(&s.to) {
        let (ty, bytes) = (dtype(k, from), width(k.p, from.buffer));
        let (from_row, to_row) = (row_start(k, s, from, row.into())?, row_start(k, s, to, row.into())?);
        each(k, s.n, |k, at| {
            let order = in_scratch(k, scratch, at.into(), 4);
            let which = k.load(DType::U32, order);
            let place = element(k, s, from, from_row, which);
            let x = k.load(ty, place);
            let place = in_scratch(k, copy, at.into(), bytes);
            k.store(ty, x, place, None);
            Ok(())
        })?;
        k.barrier();
        each(k, s.n, |k, at| {
            let place = in_scratch(k, copy, at.into(), bytes);
            let x = k.load(ty, place);
            let place = element(k, s, to, to_row, at.into());
            k.store(ty, x, place, None);
            Ok(())
        })?;
        k.barrier();
    }
    emit!(k.text, "add.s32 {row}, {row}, 1");
    let more = k.text.two("setp.lt.u32", Class::Predicate, row, Operand::Int(rows as i64));
    k.text.jump_if(more, next_row);
    Ok(())
}

/// Numbers beyond the row come last.
fn y_before_x(
    k: &mut Kernel,
    s: &Sort,
    types: &[DType],
    starts: &[Address],
    x: Operand,
    y: Operand,
) -> Result<Reg, CudaError> {
    let (out, done) = (k.text.reg(Class::Predicate), k.text.label());
    let y_less = k.text.two("setp.lt.u32", Class::Predicate, y, x);
    k.text.assign(out, y_less);
    let larger = k.text.two("max.u32", Class::Word, x, y);
    let beyond = k.text.two("setp.ge.u32", Class::Predicate, larger, Operand::Int(s.n as i64));
    k.text.jump_if(beyond, done);
    let (of_x, of_y) = (keys_at(k, s, starts, x), keys_at(k, s, starts, y));
    let r = before(k, types, (&of_y, y), (&of_x, x));
    k.text.assign(out, r);
    k.text.place(done);
    Ok(out)
}
