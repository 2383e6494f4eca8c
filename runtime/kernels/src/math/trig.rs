//! sin, cos and tan, accurate for every finite argument.
//!
//! x = m π + r with |r| <= π/2 (a little more after rounding), m an integer for sin and an integer and a half for cos, so that both are
//! ±sin(r), one odd polynomial. Up to [`Width::PI_LIMIT`] r comes from subtracting m π in three pieces (Cody and Waite), the
//! products exact through fma; beyond it, from the bits of 1/π that matter (Payne and Hanek), in floats alone.

use super::Width;
use super::poly::{fast_two_sum, poly, two_product, two_sum, with_sign_of};
use crate::ops::Ops;

#[inline(always)]
pub fn sin<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (one_over_pi, magic) = (o.f(std::f64::consts::FRAC_1_PI), o.f(W::MAGIC));
    let shifted = o.fma(x, one_over_pi, magic);
    let n = o.sub(shifted, magic);
    let r = subtract_pi::<O, W>(o, x, n);
    let y = sin_of_remainder::<O, W>(o, r);
    let y = flip_if_odd::<O, W>(o, y, shifted);
    let a = o.abs(x);
    let limit = o.f(W::PI_LIMIT);
    let far = o.lt(limit, a);
    o.rarely(far, y, |o| far_sin::<O, W>(o, x, 0.0))
}

#[inline(always)]
pub fn cos<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (one_over_pi, magic, half) = (o.f(std::f64::consts::FRAC_1_PI), o.f(W::MAGIC), o.f(0.5));
    let minus_half = o.f(-0.5);
    let turns = o.fma(x, one_over_pi, minus_half);
    let shifted = o.add(turns, magic);
    let n = o.sub(shifted, magic);
    let n = o.add(n, half);
    // cos(x) = -sin(x - n π - π/2) (-1)ⁿ
    let r = subtract_pi::<O, W>(o, x, n);
    let r = o.neg(r);
    let y = sin_of_remainder::<O, W>(o, r);
    let y = flip_if_odd::<O, W>(o, y, shifted);
    let a = o.abs(x);
    let limit = o.f(W::PI_LIMIT);
    let far = o.lt(limit, a);
    o.rarely(far, y, |o| far_sin::<O, W>(o, x, 0.5))
}

#[inline(always)]
pub fn tan<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let s = sin::<O, W>(o, x);
    let c = cos::<O, W>(o, x);
    o.div(s, c)
}

#[inline(always)]
fn subtract_pi<O: Ops, W: Width>(o: &mut O, x: O::F, n: O::F) -> O::F {
    let mut r = x;
    for part in W::PI {
        let part = o.f(-part);
        r = o.fma(n, part, r);
    }
    r
}

/// r + r³ S(r²), for |r| <= 1.58; the sign of a zero stays.
#[inline(always)]
pub fn sin_of_remainder<O: Ops, W: Width>(o: &mut O, r: O::F) -> O::F {
    let z = o.mul(r, r);
    let p = poly(o, z, W::SIN);
    let cube = o.mul(z, r);
    let y = o.fma(cube, p, r);
    with_sign_of::<O, W>(o, y, r)
}

/// -y where the integer in the low bits of `shifted` is odd.
#[inline(always)]
fn flip_if_odd<O: Ops, W: Width>(o: &mut O, y: O::F, shifted: O::F) -> O::F {
    let bits = o.bits(shifted);
    let sign = o.ishl(bits, W::SIGN_SHIFT);
    let y = o.bits(y);
    let y = o.ixor(y, sign);
    o.from_bits(y)
}

/// sin((x/π + offset) π) for large |x|; NaN for infinities.
///
/// 1/π is cut into chunks of one mantissa each. Chunks whose product with x is a multiple of 2 do not matter, which leaves five, chosen by the
/// size of x. The products are exact in pairs of floats, and their sum is kept in three, which leaves a full mantissa
/// even where x is closest to a multiple of π/2.
#[inline(always)]
fn far_sin<O: Ops, W: Width>(o: &mut O, x: O::F, offset: f64) -> O::F {
    let a = o.abs(x);
    let mut chunks: [O::F; 5] = std::array::from_fn(|j| o.f(W::ONE_OVER_PI[j]));
    for first in 1..W::ONE_OVER_PI.len() - 4 {
        let from = o.f(W::far_threshold(first));
        let matters = o.le(from, a);
        for (j, chunk) in chunks.iter_mut().enumerate() {
            let next = o.f(W::ONE_OVER_PI[first + j]);
            *chunk = o.select(matters, next, *chunk);
        }
    }
    let scale = o.f(W::FAR_SCALE);
    let x = o.mul(x, scale);
    let (h0, l0) = two_product(o, x, chunks[0]);
    let (h1, l1) = two_product(o, x, chunks[1]);
    let (h2, l2) = two_product(o, x, chunks[2]);
    let (h3, l3) = two_product(o, x, chunks[3]);
    let h4 = o.mul(x, chunks[4]);
    // s carries the sum, e its rounding errors, t theirs.
    let mut s = o.f(offset);
    let mut e = o.f(0.0);
    let mut t = o.add(l3, h4);
    for term in [modulo_two(o, h0), modulo_two(o, l0), modulo_two(o, h1), l1, h2] {
        let (sum, error) = two_sum(o, s, term);
        let (error, rest) = two_sum(o, e, error);
        (s, e) = (sum, error);
        t = o.add(t, rest);
    }
    for term in [l2, h3] {
        let (error, rest) = two_sum(o, e, term);
        e = error;
        t = o.add(t, rest);
    }
    let magic = o.f(W::MAGIC);
    let shifted = o.add(s, magic);
    let n = o.sub(shifted, magic);
    let s = o.sub(s, n);
    let (s, rest) = two_sum(o, s, e);
    let rest = o.add(rest, t);
    let (s, e) = fast_two_sum(o, s, rest);
    let (pi_high, pi_low) = (o.f(W::PI[0]), o.f(W::PI[1]));
    let low = o.mul(e, pi_high);
    let low = o.fma(s, pi_low, low);
    let r = o.fma(s, pi_high, low);
    let y = sin_of_remainder::<O, W>(o, r);
    flip_if_odd::<O, W>(o, y, shifted)
}

/// x less the nearest multiple of 2, exactly.
#[inline(always)]
fn modulo_two<O: Ops>(o: &mut O, x: O::F) -> O::F {
    let (half, minus_two) = (o.f(0.5), o.f(-2.0));
    let n = o.mul(x, half);
    let n = o.round(n);
    o.fma(n, minus_two, x)
}
