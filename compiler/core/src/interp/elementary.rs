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
    op.elementary().unwrap_or_else(|| unreachable!("{op:?} is not elementary"))
}

fn function2(op: Binary) -> MathFn2 {
    op.elementary().unwrap_or_else(|| unreachable!("{op:?} is not elementary"))
}
