//! One element's arithmetic, on bits.

use std::cmp::Ordering;

use whorl_core::halves::{narrowed, widened};
use whorl_core::ir::DType;
use whorl_core::prim::{Binary, Compare, Monoid, Unary};
use whorl_kernels::math::{self, MathFn2};

use crate::loop_ir::{ReduceOrder, ReductionKind};

/// A Rust type for each element type.
trait Element: Copy + PartialOrd {
    fn of(bits: u64) -> Self;
    fn bits(self) -> u64;
    fn unary(op: Unary, x: Self) -> Self;
    fn binary(op: Binary, a: Self, b: Self) -> Self;
}

macro_rules! with {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
            DType::I32 => {
                type $T = i32;
                $body
            }
            DType::U32 => {
                type $T = u32;
                $body
            }
            DType::F16 | DType::BF16 => unreachable!("arithmetic of halves"),
            DType::U8 => {
                type $T = u8;
                $body
            }
            DType::Bool => {
                type $T = bool;
                $body
            }
        }
    };
}

pub fn unary(op: Unary, d: DType, x: u64) -> u64 {
    with!(d, T => T::unary(op, <T as Element>::of(x)).bits())
}

pub fn binary(op: Binary, d: DType, a: u64, b: u64) -> u64 {
    with!(d, T => T::binary(op, <T as Element>::of(a), <T as Element>::of(b)).bits())
}

#[allow(clippy::bool_comparison)] // One of the types is bool.
pub fn compare(op: Compare, d: DType, a: u64, b: u64) -> bool {
    with!(d, T => {
        let (a, b) = (<T as Element>::of(a), <T as Element>::of(b));
        match op {
            Compare::Eq => a == b,
            Compare::Ne => a != b,
            Compare::Lt => a < b,
            Compare::Le => a <= b,
            Compare::Gt => a > b,
            Compare::Ge => a >= b,
        }
    })
}

pub fn mul_add(d: DType, a: u64, b: u64, c: u64) -> u64 {
    match d {
        DType::F32 => <f32 as Element>::of(a).mul_add(<f32 as Element>::of(b), <f32 as Element>::of(c)).bits(),
        DType::F64 => <f64 as Element>::of(a).mul_add(<f64 as Element>::of(b), <f64 as Element>::of(c)).bits(),
        DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 | DType::Bool => {
            unreachable!("mul_add of {}", d.name())
        }
    }
}

pub fn convert(from: DType, to: DType, x: u64) -> u64 {
    macro_rules! to {
        ($x:expr) => {
            match to {
                DType::F32 => ($x as f32).bits(),
                DType::F64 => ($x as f64).bits(),
                DType::F16 | DType::BF16 => narrowed(to, $x as f32) as u64,
                DType::I32 => ($x as i32).bits(),
                DType::U32 => ($x as u32).bits(),
                DType::U8 => ($x as u8).bits(),
                DType::Bool => ($x as f64 != 0.0).bits(),
            }
        };
    }
    match from {
        DType::F32 => to!(<f32 as Element>::of(x)),
        DType::F64 => to!(<f64 as Element>::of(x)),
        DType::F16 | DType::BF16 => to!(widened(from, x as u16)),
        DType::I32 => to!(<i32 as Element>::of(x)),
        DType::U32 => to!(<u32 as Element>::of(x)),
        DType::U8 | DType::Bool => to!(<u8 as Element>::of(x)),
    }
}

pub fn threefry(x: [u64; 4]) -> [u64; 2] {
    let (a, b) = math::threefry2x32(x[0] as u32, x[1] as u32, x[2] as u32, x[3] as u32);
    [a as u64, b as u64]
}

/// The order of sorting: zeros are equal, and NaNs, which come last.
pub fn order(d: DType, a: u64, b: u64) -> Ordering {
    let floats = |a: f64, b: f64| a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
    match d {
        DType::F32 => floats(<f32 as Element>::of(a) as f64, <f32 as Element>::of(b) as f64),
        DType::F64 => floats(f64::from_bits(a), f64::from_bits(b)),
        DType::I32 => (a as u32 as i32).cmp(&(b as u32 as i32)),
        DType::U32 | DType::U8 | DType::Bool => a.cmp(&b),
        DType::F16 | DType::BF16 => unreachable!("an order of halves"),
    }
}

pub fn identity(op: Monoid, d: DType) -> u64 {
    op.identity(d).bits
}

/// One step of a reduction.
pub fn fold(op: Monoid, d: DType, a: u64, b: u64) -> u64 {
    binary(op.binary(), d, a, b)
}

/// A reduction of these values.
pub fn reduce(kind: ReductionKind, order: ReduceOrder, d: DType, values: &[u64]) -> u64 {
    match kind {
        ReductionKind::Fold(op) => match order {
            ReduceOrder::Sequential => values.iter().fold(identity(op, d), |a, &b| fold(op, d, a, b)),
            ReduceOrder::Interleaved => {
                let mut p = [identity(op, d); 16];
                for (r, &x) in values.iter().enumerate() {
                    p[r % 16] = fold(op, d, p[r % 16], x);
                }
                for w in [8, 4, 2, 1] {
                    (0..w).for_each(|l| p[l] = fold(op, d, p[l], p[l + w]));
                }
                p[0]
            }
        },
        ReductionKind::ArgMax => best(values, d, Compare::Gt),
        ReductionKind::ArgMin => best(values, d, Compare::Lt),
    }
}

fn best(values: &[u64], d: DType, better: Compare) -> u64 {
    let nan = |x: u64| !compare(Compare::Eq, d, x, x);
    let mut at = 0;
    for k in 1..values.len() {
        if !nan(values[at]) && (nan(values[k]) || compare(better, d, values[k], values[at])) {
            at = k;
        }
    }
    at as u64
}

fn math2(op: Binary) -> MathFn2 {
    op.elementary().unwrap_or_else(|| unreachable!("{op:?} is not elementary"))
}

macro_rules! float {
    ($t:ident, $bits:ident, $unary:ident, $binary:ident) => {
        impl Element for $t {
            fn of(bits: u64) -> $t {
                $t::from_bits(bits as $bits)
            }
            fn bits(self) -> u64 {
                self.to_bits() as u64
            }
            fn unary(op: Unary, x: $t) -> $t {
                match op {
                    Unary::Neg => -x,
                    Unary::Abs => x.abs(),
                    Unary::Sign => {
                        if x > 0.0 {
                            1.0
                        } else if x < 0.0 {
                            -1.0
                        } else {
                            x
                        }
                    }
                    Unary::Floor => x.floor(),
                    Unary::Ceil => x.ceil(),
                    Unary::Round => x.round_ties_even(),
                    Unary::Sqrt => x.sqrt(),
                    Unary::Math(f) => math::scalar::$unary(f, x),
                    Unary::Not | Unary::PopCount => unreachable!("{op:?} of a float"),
                }
            }
            fn binary(op: Binary, a: $t, b: $t) -> $t {
                match op {
                    Binary::Add => a + b,
                    Binary::Sub => a - b,
                    Binary::Mul => a * b,
                    Binary::Div => a / b,
                    Binary::Rem => a % b,
                    Binary::Min => {
                        if a < b || a.is_nan() {
                            a
                        } else {
                            b
                        }
                    }
                    Binary::Max => {
                        if a > b || a.is_nan() {
                            a
                        } else {
                            b
                        }
                    }
                    _ => math::scalar::$binary(math2(op), a, b),
                }
            }
        }
    };
}

float!(f32, u32, unary_f32, binary_f32);
float!(f64, u64, unary_f64, binary_f64);

macro_rules! integer {
    ($t:ident, $unsigned:ident) => {
        impl Element for $t {
            fn of(bits: u64) -> $t {
                bits as $t
            }
            fn bits(self) -> u64 {
                self as $unsigned as u64
            }
            #[allow(unused_comparisons)]
            fn unary(op: Unary, x: $t) -> $t {
                match op {
                    Unary::Neg => x.wrapping_neg(),
                    Unary::Abs => {
                        if x < 0 {
                            x.wrapping_neg()
                        } else {
                            x
                        }
                    }
                    Unary::Sign => {
                        if x < 0 {
                            (0 as $t).wrapping_sub(1)
                        } else {
                            (x > 0) as $t
                        }
                    }
                    Unary::Not => !x,
                    Unary::PopCount => x.count_ones() as $t,
                    _ => unreachable!("{op:?} of an integer"),
                }
            }
            fn binary(op: Binary, a: $t, b: $t) -> $t {
                let by = b as $unsigned as u32;
                match op {
                    Binary::Add => a.wrapping_add(b),
                    Binary::Sub => a.wrapping_sub(b),
                    Binary::Mul => a.wrapping_mul(b),
                    Binary::Div => {
                        if b == 0 {
                            !0
                        } else {
                            a.wrapping_div(b)
                        }
                    }
                    Binary::Rem => {
                        if b == 0 {
                            a
                        } else {
                            a.wrapping_rem(b)
                        }
                    }
                    Binary::Min => a.min(b),
                    Binary::Max => a.max(b),
                    Binary::And => a & b,
                    Binary::Or => a | b,
                    Binary::Xor => a ^ b,
                    Binary::Shl => a.checked_shl(by).unwrap_or(0),
                    Binary::Shr => a.checked_shr(by).unwrap_or((a >> ($t::BITS - 1)) >> 1),
                    Binary::ShrLogical => (a as $unsigned).checked_shr(by).unwrap_or(0) as $t,
                    Binary::Pow | Binary::Atan2 => unreachable!("{op:?} of an integer"),
                }
            }
        }
    };
}

integer!(i32, u32);
integer!(u32, u32);
integer!(u8, u8);

impl Element for bool {
    fn of(bits: u64) -> bool {
        bits != 0
    }
    fn bits(self) -> u64 {
        self as u64
    }
    fn unary(op: Unary, x: bool) -> bool {
        assert_eq!(op, Unary::Not, "of a bool");
        !x
    }
    fn binary(op: Binary, a: bool, b: bool) -> bool {
        match op {
            Binary::And => a & b,
            Binary::Or => a | b,
            Binary::Xor => a ^ b,
            _ => unreachable!("{op:?} of bools"),
        }
    }
}
