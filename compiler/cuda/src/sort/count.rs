//! How many elements of a row come before one: the inner loop of sorts by counting.
//!
//! Of those with equal keys the ones before it count, so a thread looks at the row in three stretches: well before its own element, where equal keys
//! count; around it, where the places are compared too; and well behind it, where they do not. A step is then half a load, a comparison and a sum.

use whorl_core::ir::DType;
use whorl_core::prim::Compare;
use whorl_schedule::loop_ir::*;

use super::{before, dtype, element, key_starts, key_types, keys_at, row_start};
use crate::CudaError;
use crate::address::{Address, Space};
use crate::elements::stored;
use crate::emit;
use crate::kernel::Kernel;
use crate::ptx::{Class, Operand, Reg};

/// Elements of a loop's turn.
const TURN: usize = 16;
/// Around the own element, so that a warp of neighbours goes the same way.
const AROUND: i64 = 32;

/// What becomes of elements with the same key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Equal {
    Counts,
    /// Only before the own place.
    ByPlace,
    Not,
}

struct Counting {
    /// Of the key as it is compared: a bool is a byte.
    dtype: DType,
    key: Operand,
    /// The own place.
    i: Operand,
    /// The result.
    place: Reg,
    /// Bytes from one key to the next.
    step: i64,
}

/// Adds to `place` the number of elements that come before number `i`.
pub fn by_one_key(
    k: &mut Kernel,
    s: &Sort,
    view: &View,
    row: Operand,
    i: Operand,
    place: Reg,
) -> Result<(), CudaError> {
    if s.n == 1 {
        return Ok(());
    }
    let dtype = match dtype(k, view) {
        DType::Bool => DType::U8,
        other => other,
    };
    let start = row_start(k, s, view, row)?;
    let own = element(k, s, view, start, i);
    let key = k.load(dtype, own);
    let step = view.strides[s.rows.len()] as i64 * dtype.bytes() as i64;
    let c = Counting { dtype, key, i, place, step };
    let (at, pointer) = (k.text.reg(Class::Word), k.text.reg(start.space.class()));
    k.text.assign(at, Operand::Int(0));
    k.text.assign(pointer, start.reg);
    let next = Address { reg: pointer, ..start };
    let whole = s.n / TURN * TURN;
    if whole > 0 {
        let first = k.text.two("and.b32", Class::Word, i, Operand::Int(-AROUND));
        let last = k.text.two("add.s32", Class::Word, first, Operand::Int(AROUND));
        let last = k.text.two("min.u32", Class::Word, last, Operand::Int(whole as i64));
        let stretches =
            [(first.into(), Equal::Counts), (last.into(), Equal::ByPlace), (Operand::Int(whole as i64), Equal::Not)];
        let aligned = starts_aligned(k, s, view);
        for (end, equal) in stretches {
            let (head, done) = (k.text.label(), k.text.label());
            k.text.place_loop(head);
            let over = k.text.two("setp.ge.u32", Class::Predicate, at, end);
            k.text.jump_if(over, done);
            c.steps(k, next, at.into(), TURN, equal, aligned);
            emit!(k.text, "add.s32 {at}, {at}, {TURN}");
            let op = if start.space == Space::Shared { "add.s32" } else { "add.s64" };
            emit!(k.text, "{op} {pointer}, {pointer}, {}", TURN as i64 * step);
            k.text.jump(head);
            k.text.place(done);
        }
    }
    c.steps(k, next, Operand::Int(whole as i64), s.n - whole, Equal::ByPlace, false);
    if !dtype.is_float() {
        return Ok(());
    }
    // Nothing is less than a NaN or equal to it: for one, nothing has been counted yet.
    let number = k.elements().compare(Compare::Eq, dtype, key, key);
    let (number, skip) = (k.elements().predicate(number), k.text.label());
    k.text.jump_if(number, skip);
    by_all_keys(k, s, &[key], row, i, place)?;
    k.text.place(skip);
    Ok(())
}

/// Whether four neighbours of a row that begin at a multiple of four can be loaded at once.
fn starts_aligned(k: &Kernel, s: &Sort, view: &View) -> bool {
    let words = dtype(k, view).bytes() == 4;
    let (rows, along) = view.strides.split_at(s.rows.len());
    let fours = |s: &isize| s % 4 == 0;
    words
        && along == [1]
        && k.start(view.buffer).is_ok_and(|(_, start)| start % 16 == 0)
        && fours(&view.offset)
        && rows.iter().zip(&s.rows).all(|(stride, n)| *n == 1 || fours(stride))
        && view.dynamic.iter().all(|d| fours(&d.stride))
}

impl Counting {
    /// So many elements from number `at` on, the first of which is at `from`.
    fn steps(&self, k: &mut Kernel, from: Address, at: Operand, n: usize, equal: Equal, aligned: bool) {
        for first in (0..n).step_by(4) {
            let count = (n - first).min(4);
            let others: Vec<Operand> = if aligned {
                k.load_four(self.dtype, from.plus(first as i64 * self.step)).into()
            } else {
                (first..first + count).map(|e| k.load(self.dtype, from.plus(e as i64 * self.step))).collect()
            };
            for (e, other) in others.into_iter().enumerate() {
                let counts = self.comes_before(k, other, at, first + e, equal);
                emit!(k.text, "@{counts} add.s32 {}, {}, 1", self.place, self.place);
            }
        }
    }

    fn comes_before(&self, k: &mut Kernel, other: Operand, at: Operand, more: usize, equal: Equal) -> Reg {
        let compare = |k: &mut Kernel, op: Compare| {
            let r = k.elements().compare(op, self.dtype, other, self.key);
            k.elements().predicate(r)
        };
        match equal {
            Equal::Counts => compare(k, Compare::Le),
            Equal::Not => compare(k, Compare::Lt),
            Equal::ByPlace => {
                let ty = if self.dtype == DType::U8 { "u32" } else { stored(self.dtype) };
                let place = k.text.plus(at, Operand::Int(more as i64));
                let earlier = k.text.two("setp.gt.u32", Class::Predicate, self.i, place);
                let (tie, less) = (k.text.reg(Class::Predicate), k.text.reg(Class::Predicate));
                emit!(k.text, "setp.eq.and.{ty} {tie}, {other}, {}, {earlier}", self.key);
                emit!(k.text, "setp.lt.or.{ty} {less}, {other}, {}, {tie}", self.key);
                less
            }
        }
    }
}

/// The same, where several keys say it.
pub fn by_all_keys(
    k: &mut Kernel,
    s: &Sort,
    mine: &[Operand],
    row: Operand,
    i: Operand,
    place: Reg,
) -> Result<(), CudaError> {
    let types = key_types(k, s);
    let starts = key_starts(k, s, row)?;
    let (other, head) = (k.text.reg(Class::Word), k.text.label());
    k.text.assign(other, Operand::Int(0));
    k.text.place_loop(head);
    let others = keys_at(k, s, &starts, other.into());
    let less = before(k, &types, (&others, other.into()), (mine, i));
    emit!(k.text, "@{less} add.s32 {place}, {place}, 1");
    emit!(k.text, "add.s32 {other}, {other}, 1");
    let more = k.text.two("setp.lt.s32", Class::Predicate, other, Operand::Int(s.n as i64));
    k.text.jump_if(more, head);
    Ok(())
}
