//! What the primitives mean for one element of each type.

use std::cmp::Ordering;

use half::{bf16, f16};
use whorl_kernels::math::{MathFn2, scalar};

use super::value::Stored;
use crate::prim::{Binary, Compare, Monoid, Unary};

/// One element's arithmetic. What the type rules exclude panics.
pub trait Number: Stored + PartialOrd {
    fn unary(op: Unary, x: Self) -> Self;
    fn binary(op: Binary, a: Self, b: Self) -> Self;
    fn mul_add(a: Self, b: Self, c: Self) -> Self;
    fn identity(op: Monoid) -> Self;
    /// The order that sorting uses, over all values.
    fn order(a: Self, b: Self) -> Ordering;
    fn is_nan(self) -> bool;
}

pub fn compare<T: PartialOrd>(op: Compare, a: T, b: T) -> bool {
    match op {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    }
}

/// One step of a reduction.
pub fn fold<T: Number>(op: Monoid, a: T, b: T) -> T {
    T::binary(op.binary(), a, b)
}

fn ill<T: Stored>(op: impl std::fmt::Debug) -> ! {
    panic!("ill-typed Core: {op:?} of {}", T::DTYPE.name())
}

macro_rules! float {
    ($t:ident, $unary:ident, $binary:ident) => {
        impl Number for $t {
            fn unary(op: Unary, x: $t) -> $t {
                match op {
                    Unary::Neg => -x,
                    Unary::Abs => x.abs(),
                    // Zeros and NaN stay as they are.
                    Unary::Sign if x > 0.0 => 1.0,
                    Unary::Sign if x < 0.0 => -1.0,
                    Unary::Sign => x,
                    Unary::Floor => x.floor(),
                    Unary::Ceil => x.ceil(),
                    Unary::Round => x.round_ties_even(),
                    Unary::Sqrt => x.sqrt(),
                    Unary::Math(f) => scalar::$unary(f, x),
                    Unary::Not | Unary::PopCount => ill::<$t>(op),
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
                    Binary::Pow => scalar::$binary(MathFn2::Pow, a, b),
                    Binary::Atan2 => scalar::$binary(MathFn2::Atan2, a, b),
                    Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr | Binary::ShrLogical => {
                        ill::<$t>(op)
                    }
                }
            }
            fn mul_add(a: $t, b: $t, c: $t) -> $t {
                a.mul_add(b, c)
            }
            fn identity(op: Monoid) -> $t {
                match op {
                    Monoid::Sum => 0.0,
                    Monoid::Prod => 1.0,
                    Monoid::Max => $t::NEG_INFINITY,
                    Monoid::Min => $t::INFINITY,
                    Monoid::All | Monoid::Any => ill::<$t>(op),
                }
            }
            fn order(a: $t, b: $t) -> Ordering {
                // Only a NaN compares with nothing: it is behind all numbers, and equal to another.
                a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
            }
            fn is_nan(self) -> bool {
                self != self
            }
        }
    };
}

float!(f32, unary_f32, binary_f32);
float!(f64, unary_f64, binary_f64);

/// Halves are stored and compared; arithmetic on them is conversions to `f32` and back.
macro_rules! half {
    ($t:ident) => {
        impl Number for $t {
            fn unary(op: Unary, _: $t) -> $t {
                ill::<$t>(op)
            }
            fn binary(op: Binary, _: $t, _: $t) -> $t {
                ill::<$t>(op)
            }
            fn mul_add(_: $t, _: $t, _: $t) -> $t {
                ill::<$t>("mul_add")
            }
            fn identity(op: Monoid) -> $t {
                ill::<$t>(op)
            }
            fn order(_: $t, _: $t) -> Ordering {
                ill::<$t>("order")
            }
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
        }
    };
}

half!(f16);
half!(bf16);

macro_rules! integer {
    ($t:ident, $unsigned:ident) => {
        impl Number for $t {
            fn unary(op: Unary, x: $t) -> $t {
                match op {
                    Unary::Neg => x.wrapping_neg(),
                    #[allow(unused_comparisons)]
                    Unary::Abs => {
                        if x < 0 {
                            x.wrapping_neg()
                        } else {
                            x
                        }
                    }
                    #[allow(unused_comparisons)]
                    Unary::Sign => {
                        if x < 0 {
                            (0 as $t).wrapping_sub(1)
                        } else {
                            (x > 0) as $t
                        }
                    }
                    Unary::Not => !x,
                    Unary::PopCount => x.count_ones() as $t,
                    Unary::Floor | Unary::Ceil | Unary::Round | Unary::Sqrt | Unary::Math(_) => ill::<$t>(op),
                }
            }
            fn binary(op: Binary, a: $t, b: $t) -> $t {
                // A shift by a negative number is one by a large number.
                let by = b as $unsigned as u64;
                let below = by < $t::BITS as u64;
                match op {
                    Binary::Add => a.wrapping_add(b),
                    Binary::Sub => a.wrapping_sub(b),
                    Binary::Mul => a.wrapping_mul(b),
                    Binary::Div if b == 0 => !0,
                    Binary::Div => a.wrapping_div(b),
                    Binary::Rem if b == 0 => a,
                    Binary::Rem => a.wrapping_rem(b),
                    Binary::Min => a.min(b),
                    Binary::Max => a.max(b),
                    Binary::And => a & b,
                    Binary::Or => a | b,
                    Binary::Xor => a ^ b,
                    Binary::Shl => {
                        if below {
                            a << by
                        } else {
                            0
                        }
                    }
                    // As far as there are bits: all sign bits for a negative `i32`, zero otherwise.
                    Binary::Shr if below => a >> by,
                    Binary::Shr => (a >> ($t::BITS - 1)) >> 1,
                    Binary::ShrLogical => {
                        if below {
                            (a as $unsigned >> by) as $t
                        } else {
                            0
                        }
                    }
                    Binary::Pow | Binary::Atan2 => ill::<$t>(op),
                }
            }
            fn mul_add(a: $t, b: $t, c: $t) -> $t {
                a.wrapping_mul(b).wrapping_add(c)
            }
            fn identity(op: Monoid) -> $t {
                match op {
                    Monoid::Sum => 0,
                    Monoid::Prod => 1,
                    Monoid::Max => $t::MIN,
                    Monoid::Min => $t::MAX,
                    Monoid::All | Monoid::Any => ill::<$t>(op),
                }
            }
            fn order(a: $t, b: $t) -> Ordering {
                a.cmp(&b)
            }
            fn is_nan(self) -> bool {
                false
            }
        }
    };
}

integer!(i32, u32);
integer!(u32, u32);
integer!(u8, u8);

impl Number for bool {
    fn unary(op: Unary, x: bool) -> bool {
        if op == Unary::Not { !x } else { ill::<bool>(op) }
    }
    fn binary(op: Binary, a: bool, b: bool) -> bool {
        match op {
            Binary::And => a & b,
            Binary::Or => a | b,
            Binary::Xor => a ^ b,
            Binary::Add
            | Binary::Sub
            | Binary::Mul
            | Binary::Div
            | Binary::Rem
            | Binary::Pow
            | Binary::Atan2
            | Binary::Min
            | Binary::Max
            | Binary::Shl
            | Binary::Shr
            | Binary::ShrLogical => ill::<bool>(op),
        }
    }
    fn mul_add(_: bool, _: bool, _: bool) -> bool {
        ill::<bool>("mul_add")
    }
    fn identity(op: Monoid) -> bool {
        match op {
            Monoid::All => true,
            Monoid::Any => false,
            Monoid::Sum | Monoid::Prod | Monoid::Max | Monoid::Min => ill::<bool>(op),
        }
    }
    fn order(a: bool, b: bool) -> Ordering {
        a.cmp(&b)
    }
    fn is_nan(self) -> bool {
        false
    }
}
