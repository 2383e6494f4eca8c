//! exp, exp2, expm1 and sigmoid.
//!
//! x = n ln 2 + r with n an integer and |r| <= (ln 2) / 2; exp(x) = 2ⁿ exp(r), and exp(r) = 1 + r + r² E(r).
//! n comes from adding [`Width::MAGIC`], 1.5 × 2^mantissa: the sum's low bits are n, with no conversion.

use super::Width;
use super::poly::{poly, with_sign_of};
use crate::ops::Ops;

#[inline(always)]
pub fn exp<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let x = clamp(o, x, W::EXP_MIN, W::EXP_MAX);
    let reduced = reduce::<O, W>(o, x);
    exp_reduced::<O, W>(o, reduced)
}

/// 2^x: the fraction of x is taken exactly, then times ln 2.
#[inline(always)]
pub fn exp2<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let x = clamp(o, x, W::EXP2_MIN, W::EXP2_MAX);
    let magic = o.f(W::MAGIC);
    let shifted = o.add(x, magic);
    let n = o.sub(shifted, magic);
    let fraction = o.sub(x, n);
    let (high, low) = (o.f(W::LN2_HIGH), o.f(W::LN2_LOW));
    let r = o.mul(fraction, low);
    let r = o.fma(fraction, high, r);
    exp_reduced::<O, W>(o, Reduced { shifted, n, r })
}

/// exp(x) / 2 for x >= 0, finite wherever the result is.
#[inline(always)]
pub fn half_exp<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (most, one) = (o.f(W::HALF_EXP_MAX), o.f(1.0));
    // NaN stays, as the second operand.
    let x = o.min(most, x);
    let Reduced { shifted, n, r } = reduce::<O, W>(o, x);
    let (shifted, n) = (o.sub(shifted, one), o.sub(n, one));
    exp_reduced::<O, W>(o, Reduced { shifted, n, r })
}

/// What is left of an exponent: `shifted` = MAGIC + n, `n` as a float, and the remainder `r`.
#[derive(Clone, Copy)]
pub struct Reduced<F> {
    pub shifted: F,
    pub n: F,
    pub r: F,
}

/// x within bounds; NaN stays.
#[inline(always)]
pub fn clamp<O: Ops>(o: &mut O, x: O::F, low: f64, high: f64) -> O::F {
    let (low, high) = (o.f(low), o.f(high));
    let x = o.min(high, x);
    o.max(low, x)
}

/// For finite |x| below 2^(mantissa - 2), or NaN.
#[inline(always)]
pub fn reduce<O: Ops, W: Width>(o: &mut O, x: O::F) -> Reduced<O::F> {
    let (log2_e, magic) = (o.f(std::f64::consts::LOG2_E), o.f(W::MAGIC));
    let shifted = o.fma(x, log2_e, magic);
    let n = o.sub(shifted, magic);
    let (high, low) = (o.f(-W::LN2_HIGH), o.f(-W::LN2_LOW));
    let r = o.fma(n, high, x);
    let r = o.fma(n, low, r);
    Reduced { shifted, n, r }
}

/// 2ⁿ exp(r), with one rounding where it is subnormal and infinity where it is too large.
#[inline(always)]
pub fn exp_reduced<O: Ops, W: Width>(o: &mut O, x: Reduced<O::F>) -> O::F {
    let p = exp_of_remainder::<O, W>(o, x.r);
    scaled::<O, W>(o, p, x)
}

/// exp(r).
#[inline(always)]
pub fn exp_of_remainder<O: Ops, W: Width>(o: &mut O, r: O::F) -> O::F {
    let one = o.f(1.0);
    let p = poly(o, r, W::EXP);
    let p = o.fma(p, r, one);
    o.fma(p, r, one)
}

/// 2ⁿ p, rounded once more only where it is subnormal.
#[inline(always)]
pub fn scaled<O: Ops, W: Width>(o: &mut O, p: O::F, x: Reduced<O::F>) -> O::F {
    match o.scale(p, x.n) {
        Some(y) => y,
        None => scale_in_two::<O, W>(o, p, x.shifted),
    }
}

/// 2ⁿ for a normal result, from MAGIC + n + `more`.
#[inline(always)]
pub fn power_of_two<O: Ops, W: Width>(o: &mut O, shifted: O::F, more: i64) -> O::F {
    let bits = o.bits(shifted);
    let bits = o.ishl(bits, W::MANTISSA);
    let bias = o.i((W::BIAS + more) << W::MANTISSA);
    let bits = o.iadd(bits, bias);
    o.from_bits(bits)
}

/// p 2ⁿ in two factors, since 2ⁿ alone may not be a normal number; the first product is exact.
/// MAGIC's own bits vanish: they are even multiples of 2^(width - mantissa), also when halved.
#[inline(always)]
fn scale_in_two<O: Ops, W: Width>(o: &mut O, p: O::F, shifted: O::F) -> O::F {
    let one = o.i(W::BIAS << W::MANTISSA);
    let bits = o.bits(shifted);
    let half = o.isar(bits, 1);
    let rest = o.isub(bits, half);
    let mut p = p;
    for n in [half, rest] {
        let n = o.ishl(n, W::MANTISSA);
        let n = o.iadd(n, one);
        let factor = o.from_bits(n);
        p = o.mul(p, factor);
    }
    p
}

/// exp(r) - 1 of a remainder r.
#[inline(always)]
fn expm1_of_remainder<O: Ops, W: Width>(o: &mut O, r: O::F) -> O::F {
    let p = poly(o, r, W::EXP);
    let square = o.mul(r, r);
    o.fma(square, p, r)
}

/// exp(x) - 1 = 2ⁿ (exp(r) - 1) + (2ⁿ - 1), all in halves since 2ⁿ may overflow where the result does not.
#[inline(always)]
pub fn expm1<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let clamped = clamp(o, x, W::EXPM1_MIN, W::EXP_MAX);
    let Reduced { shifted, r, .. } = reduce::<O, W>(o, clamped);
    let p = expm1_of_remainder::<O, W>(o, r);
    let half = o.f(0.5);
    let scale = power_of_two::<O, W>(o, shifted, -1);
    let rest = o.sub(scale, half);
    let y = o.fma(scale, p, rest);
    let y = o.add(y, y);
    with_sign_of::<O, W>(o, y, x)
}

/// 1 / (1 + e) for x >= 0, e = exp(-|x|); below, y = e / (1 + e) once more through y = e - e y, which shrinks its error.
#[inline(always)]
pub fn sigmoid<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (zero, one, low) = (o.f(0.0), o.f(1.0), o.f(W::EXP_MIN));
    let a = o.abs(x);
    let a = o.neg(a);
    let a = o.max(low, a);
    let reduced = reduce::<O, W>(o, a);
    let e = exp_reduced::<O, W>(o, reduced);
    let negative = o.lt(x, zero);
    let above = o.select(negative, e, one);
    let below = o.add(e, one);
    let y = o.div(above, below);
    let minus_e = o.neg(e);
    let refined = o.fma(minus_e, y, e);
    o.select(negative, refined, y)
}
