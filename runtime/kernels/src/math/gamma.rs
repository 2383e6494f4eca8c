//! The logarithm of the gamma function, and its derivative.

use super::Width;
use super::log::log;
use super::poly::{poly, two_product, two_sum};
use super::pow::log_in_pair;
use super::trig::sin_of_remainder;
use crate::ops::Ops;

/// log|Γ(x)|. Around the zeros at 1 and 2, z A(z) and z B(z) with z = x - 1 and z = x - 2, which lose nothing there; below 3/4, the same
/// of x + 1, less log|x|; from 5/2 on, Stirling's series around u = x - 1/2, u log u - u + log(2π)/2 + S(1/u²)/u, in pairs;
/// and for x < -1/4, log(π / |x sin πx|) - log Γ(-x).
#[inline(always)]
pub fn lgamma<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (zero, half, one, two, infinity) = (o.f(0.0), o.f(0.5), o.f(1.0), o.f(2.0), o.f(f64::INFINITY));
    let (minus_quarter, three_quarters) = (o.f(-0.25), o.f(0.75));
    let (three_halves, five_halves) = (o.f(1.5), o.f(2.5));
    let reflected = o.lt(x, minus_quarter);
    let a = o.abs(x);
    let v = o.select(reflected, a, x);

    // Which polynomial, and of what.
    let below_half = o.lt(v, half);
    let below_three_quarters = o.lt(v, three_quarters);
    let below_three_halves = o.lt(v, three_halves);
    let around_one = o.select(below_three_quarters, zero, one);
    let around_one = o.select(below_half, one, around_one);
    let zero_or_one = o.select(below_three_halves, around_one, zero);
    let of_one = o.eq(zero_or_one, one);
    let from = o.select(below_three_halves, one, two);
    let from = o.select(below_half, zero, from);
    let z = o.sub(v, from);
    let p = poly_of_two(o, z, of_one, W::LGAMMA_1, W::LGAMMA_2);
    let near = o.mul(z, p);

    // One logarithm, of |v| or of u.
    let large = o.le(five_halves, v);
    let u = o.sub(v, half);
    let of = o.select(large, u, a);
    let (high, low) = log_in_pair::<O, W>(o, of);

    // log Γ(1 + v) - log|v|
    let minus_high = o.neg(high);
    let (small, small_low) = two_sum(o, minus_high, near);
    let small_low = o.sub(small_low, low);

    // Stirling's series.
    let minus_one = o.f(-1.0);
    let (m, m_low) = two_sum(o, high, minus_one);
    let m_low = o.add(m_low, low);
    let (product, product_low) = two_product(o, u, m);
    let product_low = o.fma(u, m_low, product_low);
    let (c, c_low) = (o.f(W::HALF_LOG_2_PI[0]), o.f(W::HALF_LOG_2_PI[1]));
    let (far, far_low) = two_sum(o, product, c);
    let inverse = o.div(one, u);
    let w = o.mul(inverse, inverse);
    let s = poly(o, w, W::STIRLING);
    let tail = o.fma(s, inverse, c_low);
    let tail = o.add(tail, product_low);
    let far_low = o.add(far_low, tail);
    // An infinite product has no error.
    let finite = o.lt(product, infinity);
    let far_low = o.select(finite, far_low, zero);

    let y = o.select(below_three_quarters, small, near);
    let y_low = o.select(below_three_quarters, small_low, zero);
    let y = o.select(large, far, y);
    let y_low = o.select(large, far_low, y_low);
    let direct = o.add(y, y_low);

    // Reflection.
    let r = fraction(o, a);
    let sine = sin_of_pi_times::<O, W>(o, r);
    let below = o.mul(a, sine);
    let pi = o.f(std::f64::consts::PI);
    let ratio = o.div(pi, below);
    let (mirror, mirror_low) = log_in_pair::<O, W>(o, ratio);
    let minus_y = o.neg(y);
    let (mirrored, mirrored_low) = two_sum(o, mirror, minus_y);
    let mirror_low = o.sub(mirror_low, y_low);
    let mirrored_low = o.add(mirrored_low, mirror_low);
    let mirrored = o.add(mirrored, mirrored_low);
    let result = o.select(reflected, mirrored, direct);

    // Poles at 0, -1, -2, …, and both infinities; NaN stays.
    let whole = o.eq(r, zero);
    let at_pole = o.mand(whole, reflected);
    let at_zero = o.eq(a, zero);
    let at_end = o.eq(a, infinity);
    let infinite = o.mor(at_pole, at_zero);
    let infinite = o.mor(infinite, at_end);
    let result = o.select(infinite, infinity, result);
    let number = o.eq(x, x);
    o.select(number, result, x)
}

/// ψ(x) = Γ'(x) / Γ(x). From 2 on, log u + w D(w), u = x - 1/2 and w = 1/u²; between 1 and 2, (x - x₀) P(x) around the zero x₀; between
/// 0 and 1, ψ(x + 1) - 1/x; below, ψ(1 - x) - π / tan πx. NaN at its poles.
#[inline(always)]
pub fn digamma<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (zero, half, one, two) = (o.f(0.0), o.f(0.5), o.f(1.0), o.f(2.0));
    let negative = o.lt(x, zero);
    let mirrored = o.sub(one, x);
    let v = o.select(negative, mirrored, x);
    // What 1 - x was rounded by: it matters beside the other term.
    let back = o.sub(one, mirrored);
    let lost = o.sub(back, x);
    let lost = o.select(negative, lost, zero);

    let u = o.sub(v, half);
    let inverse = o.div(one, u);
    let w = o.mul(inverse, inverse);
    let d = poly(o, w, W::PSI_TAIL);
    let l = log::<O, W>(o, u);
    let l = o.fma(lost, inverse, l);
    let far = o.fma(w, d, l);

    let below_one = o.lt(v, one);
    let more = o.select(below_one, one, zero);
    // Exact: a root between 1 and 2, less 1.
    let (root, root_low) = (o.f(W::PSI_ROOT[0]), o.f(W::PSI_ROOT[1]));
    let root = o.sub(root, more);
    let (three_halves, above) = (o.f(1.5), v);
    let middle = o.sub(three_halves, more);
    let s = o.sub(above, middle);
    let p = poly(o, s, W::PSI);
    let from_root = o.sub(above, root);
    let low = o.sub(lost, root_low);
    let from_root = o.add(from_root, low);
    let near = o.mul(from_root, p);
    let pole = o.div(one, v);
    let beside_pole = o.sub(near, pole);
    let near = o.select(below_one, beside_pole, near);
    let is_far = o.le(two, v);
    let y = o.select(is_far, far, near);

    // π / tan πr = cos πr / (sin πr / π), r = x less the nearest integer.
    let r = fraction(o, x);
    let t = times_pi::<O, W>(o, r);
    let z = o.mul(t, t);
    let p = poly(o, z, W::SIN);
    let a = o.abs(r);
    let to_half = o.sub(half, a);
    let cosine = sin_of_pi_times::<O, W>(o, to_half);
    let cube = o.mul(r, z);
    let below = o.fma(cube, p, r);
    let cotangent = o.div(cosine, below);
    let reflected = o.sub(y, cotangent);
    let y = o.select(negative, reflected, y);
    let (at_most_zero, whole, nan) = (o.le(x, zero), o.eq(r, zero), o.f(f64::NAN));
    let at_pole = o.mand(at_most_zero, whole);
    o.select(at_pole, nan, y)
}

/// x less the nearest integer, exactly; NaN for infinities.
#[inline(always)]
fn fraction<O: Ops>(o: &mut O, x: O::F) -> O::F {
    let n = o.round(x);
    o.sub(x, n)
}

#[inline(always)]
fn times_pi<O: Ops, W: Width>(o: &mut O, r: O::F) -> O::F {
    let (high, low) = (o.f(W::PI[0]), o.f(W::PI[1]));
    let rest = o.mul(r, low);
    o.fma(r, high, rest)
}

/// sin π|r|, for |r| <= 1/2.
#[inline(always)]
fn sin_of_pi_times<O: Ops, W: Width>(o: &mut O, r: O::F) -> O::F {
    let a = o.abs(r);
    let t = times_pi::<O, W>(o, a);
    sin_of_remainder::<O, W>(o, t)
}

/// The one polynomial where m, else the other of as many terms.
#[inline(always)]
fn poly_of_two<O: Ops>(o: &mut O, x: O::F, m: O::M, one: &[f64], other: &[f64]) -> O::F {
    let mut y = None;
    for (&one, &other) in one.iter().zip(other).rev() {
        let (one, other) = (o.f(one), o.f(other));
        let c = o.select(m, one, other);
        y = Some(match y {
            None => c,
            Some(y) => o.fma(y, x, c),
        });
    }
    y.expect("polynomials have terms")
}
