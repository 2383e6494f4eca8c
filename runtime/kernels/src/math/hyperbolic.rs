//! sinh, cosh and the inverse hyperbolic functions. tanh is with exp.

use super::Width;
use super::exp::half_exp;
use super::log::log1p;
use super::poly::{poly, with_sign_of};
use crate::ops::Ops;

/// x + x³ S(x²) up to 1; beyond, h - 1/(4h) with h = exp(|x|) / 2.
#[inline(always)]
pub fn sinh<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (one, minus_quarter) = (o.f(1.0), o.f(-0.25));
    let a = o.abs(x);
    let z = o.mul(a, a);
    let p = poly(o, z, W::SINH);
    let cube = o.mul(z, a);
    let near = o.fma(cube, p, a);
    let h = half_exp::<O, W>(o, a);
    let rest = o.div(minus_quarter, h);
    let far = o.add(h, rest);
    let is_near = o.lt(a, one);
    let y = o.select(is_near, near, far);
    with_sign_of::<O, W>(o, y, x)
}

/// h + 1/(4h) with h = exp(|x|) / 2.
#[inline(always)]
pub fn cosh<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let quarter = o.f(0.25);
    let a = o.abs(x);
    let h = half_exp::<O, W>(o, a);
    let rest = o.div(quarter, h);
    o.add(h, rest)
}

/// log(a + √(a² + 1)) = log1p(a + a² / (1 + √(a² + 1))), a = |x|; log(2a) where the root is a to the last bit.
#[inline(always)]
pub fn asinh<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let one = o.f(1.0);
    let a = o.abs(x);
    let square = o.mul(a, a);
    let sum = o.add(square, one);
    let root = o.sqrt(sum);
    let below = o.add(root, one);
    let more = o.div(square, below);
    let w = o.add(a, more);
    let y = log1p_or_log_of_twice::<O, W>(o, w, a);
    with_sign_of::<O, W>(o, y, x)
}

/// log(x + √(x² - 1)) = log1p(t + √(t² + 2t)), t = x - 1; log(2x) where the root is x to the last bit.
#[inline(always)]
pub fn acosh<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (one, nan) = (o.f(1.0), o.f(f64::NAN));
    let t = o.sub(x, one);
    let twice = o.add(t, t);
    let square = o.fma(t, t, twice);
    let root = o.sqrt(square);
    let w = o.add(t, root);
    let y = log1p_or_log_of_twice::<O, W>(o, w, x);
    let outside = o.lt(x, one);
    o.select(outside, nan, y)
}

/// log1p(w), or log(2x) for an x so large that 1 does not count beside it.
#[inline(always)]
fn log1p_or_log_of_twice<O: Ops, W: Width>(o: &mut O, w: O::F, x: O::F) -> O::F {
    let (large, ln2, zero) = (o.f((1i64 << (W::MANTISSA + 4)) as f64), o.f(std::f64::consts::LN_2), o.f(0.0));
    let is_large = o.lt(large, x);
    let w = o.select(is_large, x, w);
    let more = o.select(is_large, ln2, zero);
    let y = log1p::<O, W>(o, w);
    o.add(y, more)
}

/// log1p(2a / (1 - a)) / 2, a = |x|: infinite at 1, NaN beyond.
#[inline(always)]
pub fn atanh<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (one, half) = (o.f(1.0), o.f(0.5));
    let a = o.abs(x);
    let twice = o.add(a, a);
    let below = o.sub(one, a);
    let w = o.div(twice, below);
    let y = log1p::<O, W>(o, w);
    let y = o.mul(y, half);
    with_sign_of::<O, W>(o, y, x)
}
