//! log, log2 and log1p.
//!
//! x = 2ᵏ (1 + f) with -1/4 <= f < 1/2, so that k = 0 around x = 1 and nothing cancels there.

use super::Width;
use super::poly::{poly, with_sign_of};
use crate::ops::Ops;

#[inline(always)]
pub fn log<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (k, f) = split::<O, W>(o, x);
    let y = log_of_parts::<O, W>(o, k, f);
    at_the_ends(o, x, y)
}

/// k + log(1 + f) / ln 2: whole for powers of two.
#[inline(always)]
pub fn log2<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (k, f) = split::<O, W>(o, x);
    let zero = o.f(0.0);
    let y = log_of_parts::<O, W>(o, zero, f);
    let (high, low) = (o.f(W::LOG2_E[0]), o.f(W::LOG2_E[1]));
    let rest = o.fma(y, low, k);
    let y = o.fma(y, high, rest);
    at_the_ends(o, x, y)
}

/// y, a logarithm of x, where x is positive and finite; elsewhere what logarithms are there.
#[inline(always)]
fn at_the_ends<O: Ops>(o: &mut O, x: O::F, y: O::F) -> O::F {
    let (zero, infinity) = (o.f(0.0), o.f(f64::INFINITY));
    let (minus_infinity, nan) = (o.f(f64::NEG_INFINITY), o.f(f64::NAN));
    let is_zero = o.eq(x, zero);
    let at_most_zero = o.select(is_zero, minus_infinity, nan);
    let positive = o.lt(zero, x);
    let y = o.select(positive, y, at_most_zero);
    let finite = o.lt(x, infinity);
    // Infinity and NaN are their own logarithms.
    let unordered_or_infinite = o.select(positive, x, at_most_zero);
    o.select(finite, y, unordered_or_infinite)
}

/// `(k, f)` of a positive finite x, k as a float.
#[inline(always)]
pub fn split<O: Ops, W: Width>(o: &mut O, x: O::F) -> (O::F, O::F) {
    let (smallest, up) = (o.f(W::MIN_NORMAL), o.f((1i64 << (W::MANTISSA + 1)) as f64));
    let (zero, down) = (o.f(0.0), o.f(-(W::MANTISSA as f64 + 1.0)));
    let subnormal = o.lt(x, smallest);
    let larger = o.mul(x, up);
    let x = o.select(subnormal, larger, x);
    let k0 = o.select(subnormal, down, zero);
    let (k, _) = exponent::<O, W>(o, x);
    let bits = o.bits(x);
    let shifted = o.ishl(k, W::MANTISSA);
    let m = o.isub(bits, shifted);
    let m = o.from_bits(m);
    let one = o.f(1.0);
    let f = o.sub(m, one);
    let k = o.to_float(k);
    (o.add(k, k0), f)
}

/// k with 3/4 <= x 2⁻ᵏ < 3/2, and x's bits less those of 3/4.
#[inline(always)]
fn exponent<O: Ops, W: Width>(o: &mut O, x: O::F) -> (O::I, O::I) {
    let bits = o.bits(x);
    let three_quarters = o.i(((W::BIAS - 1) << W::MANTISSA) + (1 << (W::MANTISSA - 1)));
    let above = o.isub(bits, three_quarters);
    (o.isar(above, W::MANTISSA), above)
}

/// k ln 2 + log(1 + f).
#[inline(always)]
pub fn log_of_parts<O: Ops, W: Width>(o: &mut O, k: O::F, f: O::F) -> O::F {
    if W::NARROW {
        let p = poly(o, f, W::LOG);
        let square = o.mul(f, f);
        let y = o.fma(square, p, f);
        // This constant's error is 2.7e-9 of itself, below what f32 sees.
        let ln2 = o.f(W::LN2_HIGH);
        return o.fma(k, ln2, y);
    }
    // log(1 + f) = 2 atanh(s), s = f / (2 + f), arranged as in fdlibm's e_log.c so that the leading terms are exact.
    let (half, two) = (o.f(0.5), o.f(2.0));
    let below = o.add(f, two);
    let s = o.div(f, below);
    let z = o.mul(s, s);
    let p = poly(o, z, W::ATANH);
    let p = o.mul(z, p);
    let half_f = o.mul(half, f);
    let half_square = o.mul(half_f, f);
    let (high, low) = (o.f(W::LN2_SHORT), o.f(W::LN2_SHORT_REST));
    let tail = o.add(half_square, p);
    let k_low = o.mul(k, low);
    let tail = o.fma(s, tail, k_low);
    let tail = o.sub(half_square, tail);
    let rest = o.sub(tail, f);
    let k_high = o.mul(k, high);
    o.sub(k_high, rest)
}

/// log(1 + x): the exponent is taken from the rounded sum, and applied to 1 and x separately.
#[inline(always)]
pub fn log1p<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (one, minus_one, quarter) = (o.f(1.0), o.f(-1.0), o.f(0.25));
    let sum = o.add(x, one);
    let (k, _) = exponent::<O, W>(o, sum);
    let shifted = o.ishl(k, W::MANTISSA);
    let bits = o.bits(x);
    let scaled_x = o.isub(bits, shifted);
    let scaled_x = o.from_bits(scaled_x);
    // 4 × 2⁻ᵏ is a normal number for every k; 2⁻ᵏ need not be.
    let four = o.i((W::BIAS + 2) << W::MANTISSA);
    let scale = o.isub(four, shifted);
    let scale = o.from_bits(scale);
    let f = o.fma(quarter, scale, minus_one);
    let f = o.add(scaled_x, f);
    let k = o.to_float(k);
    let y = log_of_parts::<O, W>(o, k, f);
    let y = with_sign_of::<O, W>(o, y, x);
    let (infinity, minus_infinity, nan) = (o.f(f64::INFINITY), o.f(f64::NEG_INFINITY), o.f(f64::NAN));
    let pole = o.eq(x, minus_one);
    let at_most = o.select(pole, minus_infinity, nan);
    let inside = o.lt(minus_one, x);
    let y = o.select(inside, y, at_most);
    let not_large = o.lt(x, infinity);
    let large = o.select(inside, x, at_most);
    o.select(not_large, y, large)
}
