//! The elementary functions: those that every backend shares.

use whorl_kernels::math::{MathFn, MathFn2, scalar};

use crate::prim::{Binary, Unary};

pub fn unary_f32(op: Unary, x: f32) -> f32 {
    scalar::unary_f32(function(op), x)
}

pub fn unary_f64(op: Unary, x: f64) -> f64 {
    scalar::unary_f64(function(op), x)
}

pub fn binary_f32(op: Binary, a: f32, b: f32) -> f32 {
    scalar::binary_f32(function2(op), a, b)
}

pub fn binary_f64(op: Binary, a: f64, b: f64) -> f64 {
    scalar::binary_f64(function2(op), a, b)
}

fn function(op: Unary) -> MathFn {
    match op {
        Unary::Exp => MathFn::Exp,
        Unary::Log => MathFn::Log,
        Unary::Log1p => MathFn::Log1p,
        Unary::Expm1 => MathFn::Expm1,
        Unary::Sin => MathFn::Sin,
        Unary::Cos => MathFn::Cos,
        Unary::Tan => MathFn::Tan,
        Unary::Asin => MathFn::Asin,
        Unary::Acos => MathFn::Acos,
        Unary::Atan => MathFn::Atan,
        Unary::Tanh => MathFn::Tanh,
        Unary::Sigmoid => MathFn::Sigmoid,
        Unary::Erf => MathFn::Erf,
        Unary::ErfInv => MathFn::ErfInv,
        Unary::Sign => MathFn::Sign,
        Unary::Neg
        | Unary::Abs
        | Unary::Floor
        | Unary::Ceil
        | Unary::Round
        | Unary::Sqrt
        | Unary::Not
        | Unary::PopCount => unreachable!("{op:?} is not elementary"),
    }
}

fn function2(op: Binary) -> MathFn2 {
    match op {
        Binary::Pow => MathFn2::Pow,
        Binary::Atan2 => MathFn2::Atan2,
        Binary::Min => MathFn2::Min,
        Binary::Max => MathFn2::Max,
        Binary::Add
        | Binary::Sub
        | Binary::Mul
        | Binary::Div
        | Binary::Rem
        | Binary::And
        | Binary::Or
        | Binary::Xor
        | Binary::Shl
        | Binary::Shr
        | Binary::ShrLogical => unreachable!("{op:?} is not elementary"),
    }
}
