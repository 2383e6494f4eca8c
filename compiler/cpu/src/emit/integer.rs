//! Arithmetic of `i32`, `u32`, `u8` and `bool` lanes. `u8` lanes are numbers 0–255 in 32 bits, `bool` lanes masks.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32X4, F64X2, I32, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Value};
use whorl_core::ir::DType;
use whorl_core::prim::{Binary, Unary};

use super::arith::Arith;
use super::convert::{low_words, to_double};
use super::machine::{blend, cast, splat32, splat64};
use super::value::Lane4;
use crate::CpuError;

/// The bits of an element.
fn width(dtype: DType) -> u32 {
    8 * dtype.bytes() as u32
}

/// Cuts a 32-bit result down to what the element type holds.
pub fn wrap(to: &mut Arith, dtype: DType, x: Lane4) -> Lane4 {
    if dtype != DType::U8 {
        return x;
    }
    let byte = splat32(to.builder, I32X4, 0xff);
    x.map(|x| to.builder.ins().band(x, byte))
}

fn splat(to: &mut Arith, bits: u32) -> Value {
    splat32(to.builder, I32X4, bits)
}

pub fn unary(to: &mut Arith, op: Unary, dtype: DType, x: Lane4) -> Result<Lane4, CpuError> {
    if dtype == DType::Bool {
        return match op {
            Unary::Not => Ok(x.map(|x| to.builder.ins().bnot(x))),
            _ => Err(CpuError::ill_typed(op, dtype)),
        };
    }
    let signed = dtype == DType::I32;
    let zero = splat(to, 0);
    let r = match op {
        Unary::Neg => x.map(|x| to.builder.ins().ineg(x)),
        Unary::Abs if signed => x.map(|x| to.builder.ins().iabs(x)),
        Unary::Abs => x,
        Unary::Sign if signed => {
            // Masks are 0 and -1.
            let below = to.builder.ins().icmp(IntCC::SignedLessThan, x.lo, zero);
            let above = to.builder.ins().icmp(IntCC::SignedGreaterThan, x.lo, zero);
            Lane4::one(to.builder.ins().isub(below, above))
        }
        Unary::Sign => {
            let some = to.builder.ins().icmp(IntCC::NotEqual, x.lo, zero);
            Lane4::one(to.builder.ins().ineg(some))
        }
        Unary::Not => x.map(|x| to.builder.ins().bnot(x)),
        Unary::PopCount => Lane4::one(pop_count(to, x.lo)),
        Unary::Floor | Unary::Ceil | Unary::Round | Unary::Sqrt | Unary::Math(_) => {
            return Err(CpuError::ill_typed(op, dtype));
        }
    };
    Ok(wrap(to, dtype, r))
}

/// Sums of bits in pairs, nibbles, bytes: Warren, "Hacker's Delight", section 5-1.
fn pop_count(to: &mut Arith, x: Value) -> Value {
    let (pairs, nibbles) = (splat(to, 0x5555_5555), splat(to, 0x3333_3333));
    let (bytes, ones) = (splat(to, 0x0f0f_0f0f), splat(to, 0x0101_0101));
    let half = shift_by(to, Binary::ShrLogical, x, 1);
    let half = to.builder.ins().band(half, pairs);
    let x = to.builder.ins().isub(x, half);
    let high = shift_by(to, Binary::ShrLogical, x, 2);
    let (high, low) = (to.builder.ins().band(high, nibbles), to.builder.ins().band(x, nibbles));
    let x = to.builder.ins().iadd(high, low);
    let high = shift_by(to, Binary::ShrLogical, x, 4);
    let x = to.builder.ins().iadd(x, high);
    let x = to.builder.ins().band(x, bytes);
    let x = to.builder.ins().imul(x, ones);
    shift_by(to, Binary::ShrLogical, x, 24)
}

/// By a constant below 32.
fn shift_by(to: &mut Arith, op: Binary, x: Value, by: u32) -> Value {
    let by = to.builder.ins().iconst(I32, by as i64);
    match op {
        Binary::Shl => to.builder.ins().ishl(x, by),
        Binary::Shr => to.builder.ins().sshr(x, by),
        _ => to.builder.ins().ushr(x, by),
    }
}

pub fn binary(
    to: &mut Arith,
    op: Binary,
    dtype: DType,
    a: Lane4,
    b: Lane4,
    literal: Option<u64>,
) -> Result<Lane4, CpuError> {
    let (x, y) = (a.lo, b.lo);
    let signed = dtype == DType::I32;
    if dtype == DType::Bool && !matches!(op, Binary::And | Binary::Or | Binary::Xor) {
        return Err(CpuError::ill_typed(op, dtype));
    }
    let r = match op {
        Binary::Add => to.builder.ins().iadd(x, y),
        Binary::Sub => to.builder.ins().isub(x, y),
        Binary::Mul => to.builder.ins().imul(x, y),
        Binary::Div | Binary::Rem => return Ok(Lane4::one(divide(to, op, dtype, x, y, literal))),
        Binary::Min if signed => to.builder.ins().smin(x, y),
        Binary::Min => to.builder.ins().umin(x, y),
        Binary::Max if signed => to.builder.ins().smax(x, y),
        Binary::Max => to.builder.ins().umax(x, y),
        Binary::And => to.builder.ins().band(x, y),
        Binary::Or => to.builder.ins().bor(x, y),
        Binary::Xor => to.builder.ins().bxor(x, y),
        Binary::Shl | Binary::Shr | Binary::ShrLogical => shift(to, op, dtype, x, y, literal),
        Binary::Pow | Binary::Atan2 => return Err(CpuError::ill_typed(op, dtype)),
    };
    Ok(wrap(to, dtype, Lane4::one(r)))
}

/// The quotient through floating point, exact since a quotient that is no integer is further than 2^-32 of itself from one, and
/// a double is good to 2^-53. x86 has no vector division of integers.
fn divide(to: &mut Arith, op: Binary, dtype: DType, x: Value, y: Value, literal: Option<u64>) -> Value {
    if let Some(by) = literal.filter(|by| dtype != DType::I32 && by.is_power_of_two()) {
        return if op == Binary::Div {
            shift_by(to, Binary::ShrLogical, x, by.trailing_zeros())
        } else {
            let mask = splat(to, by as u32 - 1);
            to.builder.ins().band(x, mask)
        };
    }
    let quotient = if dtype == DType::U8 {
        let a = to.builder.ins().fcvt_from_sint(F32X4, x);
        let b = to.builder.ins().fcvt_from_sint(F32X4, y);
        let q = to.builder.ins().fdiv(a, b);
        to.builder.ins().fcvt_to_sint_sat(I32X4, q)
    } else {
        let (a, b) = (to_double(to.builder, dtype, x), to_double(to.builder, dtype, y));
        let bias = splat64(to.builder, F64X2, 6_755_399_441_055_744.0f64.to_bits());
        let q = a.zip(b, |a, b| {
            let q = to.builder.ins().fdiv(a, b);
            let whole = to.builder.ins().trunc(q);
            // The integer modulo 2^32 is now in the low word: i32::MIN / -1 wraps.
            let biased = to.builder.ins().fadd(whole, bias);
            cast(to.builder, I64X2, biased)
        });
        low_words(to.builder, q)
    };
    let zero = splat(to, 0);
    let by_zero = to.builder.ins().icmp(IntCC::Equal, y, zero);
    if op == Binary::Div {
        let ones = splat(to, if dtype == DType::U8 { 0xff } else { !0 });
        blend(to.builder, to.target, by_zero, ones, quotient)
    } else {
        let product = to.builder.ins().imul(quotient, y);
        let rest = to.builder.ins().isub(x, product);
        blend(to.builder, to.target, by_zero, x, rest)
    }
}

/// Shifts by lanes' own amounts, as there is no such vector instruction before AVX2: by 1, 2, 4, 8, 16, each where the amount has that bit.
fn shift(to: &mut Arith, op: Binary, dtype: DType, x: Value, y: Value, literal: Option<u64>) -> Value {
    let arithmetic = op == Binary::Shr && dtype == DType::I32;
    if let Some(by) = literal {
        // The bits of a negative amount are a large number.
        return if by < width(dtype) as u64 {
            let op = if op == Binary::Shr && !arithmetic { Binary::ShrLogical } else { op };
            shift_by(to, op, x, by as u32)
        } else if arithmetic {
            shift_by(to, Binary::Shr, x, 31)
        } else {
            splat(to, 0)
        };
    }
    let op = if op == Binary::Shr && !arithmetic { Binary::ShrLogical } else { op };
    let by = if arithmetic {
        let most = splat(to, 31);
        to.builder.ins().umin(y, most)
    } else {
        y
    };
    let mut r = x;
    for bit in 0..5 {
        // The bit in the sign's place, spread over the lane.
        let up = shift_by(to, Binary::Shl, by, 31 - bit);
        let mask = shift_by(to, Binary::Shr, up, 31);
        let shifted = shift_by(to, op, r, 1 << bit);
        r = blend(to.builder, to.target, mask, shifted, r);
    }
    if arithmetic {
        return r;
    }
    let limit = splat(to, width(dtype));
    let below = to.builder.ins().icmp(IntCC::UnsignedLessThan, y, limit);
    to.builder.ins().band(r, below)
}
