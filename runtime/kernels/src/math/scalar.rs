//! [`Ops`] on plain numbers: what the interpreter runs.

use super::{MathFn, MathFn2};
use crate::ops::{Ops, Table};

/// The machine whose values are single `f32` numbers.
#[derive(Clone, Copy, Default, Debug)]
pub struct ScalarF32;

/// The machine whose values are single `f64` numbers.
#[derive(Clone, Copy, Default, Debug)]
pub struct ScalarF64;

pub fn unary_f32(f: MathFn, x: f32) -> f32 {
    f.apply32(&mut ScalarF32, x)
}

pub fn unary_f64(f: MathFn, x: f64) -> f64 {
    f.apply64(&mut ScalarF64, x)
}

pub fn binary_f32(f: MathFn2, a: f32, b: f32) -> f32 {
    f.apply32(&mut ScalarF32, a, b)
}

pub fn binary_f64(f: MathFn2, a: f64, b: f64) -> f64 {
    f.apply64(&mut ScalarF64, a, b)
}

macro_rules! scalar_ops {
    ($machine:ty, $f:ty, $i:ty, $u:ty) => {
        impl Ops for $machine {
            type F = $f;
            type I = $i;
            type M = bool;

            #[inline(always)]
            fn f(&mut self, x: f64) -> $f {
                x as $f
            }
            #[inline(always)]
            fn i(&mut self, x: i64) -> $i {
                x as $i
            }
            #[inline(always)]
            fn add(&mut self, a: $f, b: $f) -> $f {
                a + b
            }
            #[inline(always)]
            fn sub(&mut self, a: $f, b: $f) -> $f {
                a - b
            }
            #[inline(always)]
            fn mul(&mut self, a: $f, b: $f) -> $f {
                a * b
            }
            #[inline(always)]
            fn div(&mut self, a: $f, b: $f) -> $f {
                a / b
            }
            #[inline(always)]
            fn fma(&mut self, a: $f, b: $f, c: $f) -> $f {
                a.mul_add(b, c)
            }
            #[inline(always)]
            fn sqrt(&mut self, a: $f) -> $f {
                a.sqrt()
            }
            #[inline(always)]
            fn neg(&mut self, a: $f) -> $f {
                -a
            }
            #[inline(always)]
            fn abs(&mut self, a: $f) -> $f {
                a.abs()
            }
            #[inline(always)]
            fn floor(&mut self, a: $f) -> $f {
                a.floor()
            }
            #[inline(always)]
            fn ceil(&mut self, a: $f) -> $f {
                a.ceil()
            }
            #[inline(always)]
            fn round(&mut self, a: $f) -> $f {
                a.round_ties_even()
            }
            #[inline(always)]
            fn lt(&mut self, a: $f, b: $f) -> bool {
                a < b
            }
            #[inline(always)]
            fn le(&mut self, a: $f, b: $f) -> bool {
                a <= b
            }
            #[inline(always)]
            fn eq(&mut self, a: $f, b: $f) -> bool {
                a == b
            }
            #[inline(always)]
            fn select(&mut self, m: bool, a: $f, b: $f) -> $f {
                if m { a } else { b }
            }
            #[inline(always)]
            fn rarely(&mut self, m: bool, usual: $f, rare: impl FnOnce(&mut Self) -> $f) -> $f {
                if m { rare(self) } else { usual }
            }
            #[inline(always)]
            fn row(&mut self, table: &'static Table, at: $i) -> [$f; 8] {
                table.rows[(at & 31) as usize].map(<$f>::from)
            }
            #[inline(always)]
            fn bits(&mut self, a: $f) -> $i {
                a.to_bits() as $i
            }
            #[inline(always)]
            fn from_bits(&mut self, a: $i) -> $f {
                <$f>::from_bits(a as $u)
            }
            #[inline(always)]
            fn to_int(&mut self, a: $f) -> $i {
                a as i32 as $i
            }
            #[inline(always)]
            fn to_float(&mut self, a: $i) -> $f {
                a as $f
            }
            #[inline(always)]
            fn iadd(&mut self, a: $i, b: $i) -> $i {
                a.wrapping_add(b)
            }
            #[inline(always)]
            fn isub(&mut self, a: $i, b: $i) -> $i {
                a.wrapping_sub(b)
            }
            #[inline(always)]
            fn iand(&mut self, a: $i, b: $i) -> $i {
                a & b
            }
            #[inline(always)]
            fn ior(&mut self, a: $i, b: $i) -> $i {
                a | b
            }
            #[inline(always)]
            fn ixor(&mut self, a: $i, b: $i) -> $i {
                a ^ b
            }
            #[inline(always)]
            fn ishl(&mut self, a: $i, by: u32) -> $i {
                a << by
            }
            #[inline(always)]
            fn ishr(&mut self, a: $i, by: u32) -> $i {
                (a as $u >> by) as $i
            }
            #[inline(always)]
            fn isar(&mut self, a: $i, by: u32) -> $i {
                a >> by
            }
            #[inline(always)]
            fn ieq(&mut self, a: $i, b: $i) -> bool {
                a == b
            }
            #[inline(always)]
            fn ilt(&mut self, a: $i, b: $i) -> bool {
                a < b
            }
            #[inline(always)]
            fn iselect(&mut self, m: bool, a: $i, b: $i) -> $i {
                if m { a } else { b }
            }
            #[inline(always)]
            fn mand(&mut self, a: bool, b: bool) -> bool {
                a & b
            }
            #[inline(always)]
            fn mor(&mut self, a: bool, b: bool) -> bool {
                a | b
            }
        }
    };
}

scalar_ops!(ScalarF32, f32, i32, u32);
scalar_ops!(ScalarF64, f64, i64, u64);
