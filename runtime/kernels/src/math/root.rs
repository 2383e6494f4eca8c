//! The cube root. The square root is an instruction of every machine.

use super::Width;
use super::exp::power_of_two;
use super::log::split;
use super::poly::{poly, with_sign_of};
use crate::ops::Ops;

/// x = m 8^q with 3/8 <= m < 3: a polynomial, then Newton's steps, the residue y³ - m without rounding of y².
#[inline(always)]
pub fn cbrt<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let a = o.abs(x);
    let (k, f) = split::<O, W>(o, a);
    let (third, minus_three, magic, zero, one) = (o.f(1.0 / 3.0), o.f(-3.0), o.f(W::MAGIC), o.f(0.0), o.f(1.0));
    let shifted = o.fma(k, third, magic);
    let q = o.sub(shifted, magic);
    let rest = o.fma(q, minus_three, k);
    let (above, below) = (o.lt(zero, rest), o.lt(rest, zero));
    let one_of = |o: &mut O, less: f64, more: f64| {
        let (less, more) = (o.f(less), o.f(more));
        let r = o.select(above, more, one);
        o.select(below, less, r)
    };
    let factor = one_of(o, 0.5, 2.0);
    let root_of_factor = one_of(o, W::CBRT_2[0], W::CBRT_2[1]);
    let m = o.add(f, one);
    let y = poly(o, m, W::CBRT);
    let mut y = o.mul(y, root_of_factor);
    let m = o.mul(m, factor);
    let minus_m = o.neg(m);
    for _ in 0..if W::NARROW { 1 } else { 2 } {
        let square = o.mul(y, y);
        let minus_square = o.neg(square);
        let lost = o.fma(y, y, minus_square);
        let residue = o.fma(square, y, minus_m);
        let residue = o.fma(lost, y, residue);
        let slope = o.mul(square, minus_three);
        let step = o.div(residue, slope);
        y = o.add(y, step);
    }
    let scale = power_of_two::<O, W>(o, shifted, 0);
    let y = o.mul(y, scale);
    let y = with_sign_of::<O, W>(o, y, x);
    // Zeros, infinities and NaN are their own roots.
    let infinity = o.f(f64::INFINITY);
    let (some, finite) = (o.lt(zero, a), o.lt(a, infinity));
    let usual = o.mand(some, finite);
    o.select(usual, y, x)
}
