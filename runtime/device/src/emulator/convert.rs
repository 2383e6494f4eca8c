//! Conversions of one value, with every rounding.

use super::ptx::{Class, Type};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Round {
    None,
    Near,
    Zero,
    Down,
    Up,
    WholeNearest,
    WholeZero,
    WholeDown,
    WholeUp,
}

impl Round {
    pub fn parse(word: &str) -> Option<Round> {
        Some(match word {
            "rn" => Round::Near,
            "rz" => Round::Zero,
            "rm" => Round::Down,
            "rp" => Round::Up,
            "rni" => Round::WholeNearest,
            "rzi" => Round::WholeZero,
            "rmi" => Round::WholeDown,
            "rpi" => Round::WholeUp,
            _ => return None,
        })
    }
}

pub fn to_half(a: f32) -> u32 {
    half::f16::from_f32(a).to_bits().into()
}

pub fn to_bfloat(a: f32) -> u32 {
    half::bf16::from_f32(a).to_bits().into()
}

/// To 10 bits of mantissa, ties away from zero.
pub fn to_tf32(bits: u32) -> u32 {
    let exponent = bits >> 23 & 255;
    if exponent == 255 { bits } else { (bits + (1 << 12)) & !0x1fff }
}

/// What a conversion gives, as the bits of a register of 64 bits if `wide`, else of 32.
pub fn convert(value: u64, to: Type, from: Type, round: Round, saturate: bool) -> u64 {
    match (to.class(), from.class()) {
        (Class::Float, Class::Float) => {
            let rounded = whole(float(value, from), round);
            let bits = pack(rounded, to, round);
            if saturate { pack(unit(float(bits, to)), to, Round::Near) } else { bits }
        }
        (Class::Float, _) => {
            let exact = integer(value, from);
            let bits = from_integer(exact, to, round);
            if saturate { pack(unit(float(bits, to)), to, Round::Near) } else { bits }
        }
        (_, Class::Float) => to_integer(float(value, from), to, from, round),
        _ => {
            let exact = integer(value, from);
            let exact = if saturate { exact.clamp(lowest(to), highest(to)) } else { exact };
            // Registers wider than the type hold it extended by its sign.
            integer(exact as u64, to) as u64
        }
    }
}

/// Between zero and one; a NaN becomes zero.
fn unit(value: f64) -> f64 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

fn integer(value: u64, ty: Type) -> i128 {
    let bits = ty.bytes() * 8;
    if ty.signed() {
        i128::from((value << (64 - bits)) as i64 >> (64 - bits))
    } else {
        i128::from(value << (64 - bits) >> (64 - bits))
    }
}

fn lowest(ty: Type) -> i128 {
    if ty.signed() { -(1 << (ty.bytes() * 8 - 1)) } else { 0 }
}

fn highest(ty: Type) -> i128 {
    let bits = ty.bytes() * 8;
    (1 << if ty.signed() { bits - 1 } else { bits }) - 1
}

/// The value of a float of any width, which is exact in f64.
fn float(value: u64, ty: Type) -> f64 {
    match ty {
        Type::F16 => half::f16::from_bits(value as u16).to_f64(),
        Type::Bf16 => half::bf16::from_bits(value as u16).to_f64(),
        Type::F32 => f32::from_bits(value as u32).into(),
        _ => f64::from_bits(value),
    }
}

fn whole(value: f64, round: Round) -> f64 {
    match round {
        Round::WholeNearest => value.round_ties_even(),
        Round::WholeZero => value.trunc(),
        Round::WholeDown => value.floor(),
        Round::WholeUp => value.ceil(),
        Round::None | Round::Near | Round::Zero | Round::Down | Round::Up => value,
    }
}

/// Rounds an f64 to a narrower type. What is nearest is found first, and moved by one place where it lies on the side
/// that was not asked for.
fn pack(value: f64, to: Type, round: Round) -> u64 {
    let nearest = match to {
        Type::F16 => u64::from(half::f16::from_f64(value).to_bits()),
        Type::Bf16 => u64::from(half::bf16::from_f64(value).to_bits()),
        Type::F32 => u64::from((value as f32).to_bits()),
        _ => return value.to_bits(),
    };
    directed(nearest, to, round, |rounded| value.partial_cmp(&rounded))
}

fn from_integer(exact: i128, to: Type, round: Round) -> u64 {
    let nearest = match to {
        // f64 holds the integers that f16 has exactly, and what is larger is infinite.
        Type::F16 => u64::from(half::f16::from_f64(exact as f64).to_bits()),
        Type::Bf16 => u64::from(half::bf16::from_f32(exact as f32).to_bits()),
        Type::F32 => u64::from((exact as f32).to_bits()),
        _ => (exact as f64).to_bits(),
    };
    directed(nearest, to, round, |rounded| {
        if rounded.is_infinite() {
            return 0f64.partial_cmp(&rounded);
        }
        exact.partial_cmp(&(rounded as i128))
    })
}

/// Moves `nearest` by one place if it is on the wrong side of the exact value, of which `compare` says how it compares
/// with a rounded one.
fn directed(nearest: u64, to: Type, round: Round, compare: impl Fn(f64) -> Option<std::cmp::Ordering>) -> u64 {
    use std::cmp::Ordering::{Greater, Less};
    let rounded = float(nearest, to);
    let side = compare(rounded);
    let down = |bits: u64| step(bits, to, false);
    let up = |bits: u64| step(bits, to, true);
    match (round, side) {
        (Round::Down, Some(Less)) => down(nearest),
        (Round::Up, Some(Greater)) => up(nearest),
        (Round::Zero, Some(Less)) if rounded > 0.0 => down(nearest),
        (Round::Zero, Some(Greater)) if rounded < 0.0 => up(nearest),
        _ => nearest,
    }
}

/// The next float of a type upwards or downwards.
fn step(bits: u64, ty: Type, upwards: bool) -> u64 {
    let sign = 1u64 << (ty.bytes() * 8 - 1);
    let negative = bits & sign != 0;
    match (bits & !sign == 0, negative == upwards) {
        (true, _) => {
            if upwards {
                1
            } else {
                sign | 1
            }
        }
        (false, true) => bits - 1,
        (false, false) => bits + 1,
    }
}

fn to_integer(value: f64, to: Type, from: Type, round: Round) -> u64 {
    if value.is_nan() {
        let zero = from != Type::F64 && to.bytes() < 8;
        return if zero { 0 } else { 1 << (to.bytes() * 8 - 1) };
    }
    let whole = whole(value, round);
    // The cast saturates, and i128 is wider than any type here.
    (whole as i128).clamp(lowest(to), highest(to)) as u64
}
