//! x to the power y.

use super::Width;
use super::exp::{Reduced, exp_reduced, reduce};
use super::log::split;
use super::poly::{fast_two_sum, poly, two_product, two_sum};
use crate::ops::Ops;

/// exp(y log|x|), the logarithm and the product kept in pairs of floats; then the cases that IEEE 754 lists.
#[inline(always)]
pub fn pow<O: Ops, W: Width>(o: &mut O, x: O::F, y: O::F) -> O::F {
    let a = o.abs(x);
    let magnitude = power_of_positive::<O, W>(o, a, y);
    let (zero, one, half, infinity) = (o.f(0.0), o.f(1.0), o.f(0.5), o.f(f64::INFINITY));
    let nan = o.f(f64::NAN);

    // |x| of zero or infinity.
    let y_negative = o.lt(y, zero);
    let x_zero = o.eq(a, zero);
    let x_infinite = o.eq(a, infinity);
    let of_zero = o.select(y_negative, infinity, zero);
    let of_infinite = o.select(y_negative, zero, infinity);
    let r = o.select(x_zero, of_zero, magnitude);
    let r = o.select(x_infinite, of_infinite, r);

    // Negative x: the sign of an odd power, NaN of a power that is no integer.
    let whole = o.round(y);
    let integer = o.eq(whole, y);
    let half_y = o.mul(y, half);
    let whole_half = o.round(half_y);
    let even = o.eq(whole_half, half_y);
    let x_bits = o.bits(x);
    let no_bits = o.i(0);
    let sign_set = o.ilt(x_bits, no_bits);
    let minus_r = o.neg(r);
    let odd_power = o.select(even, r, minus_r);
    let x_special = o.mor(x_zero, x_infinite);
    let fractional = o.select(x_special, r, nan);
    let of_negative = o.select(integer, odd_power, fractional);
    let r = o.select(sign_set, of_negative, r);

    // NaN operands, then the two powers that are 1 even of those; (-1)^±inf is 1 as well.
    let x_number = o.eq(x, x);
    let y_number = o.eq(y, y);
    let numbers = o.mand(x_number, y_number);
    let unordered = o.add(x, y);
    let r = o.select(numbers, r, unordered);
    let y_zero = o.eq(y, zero);
    let x_one = o.eq(x, one);
    let always_one = o.mor(y_zero, x_one);
    let a_one = o.eq(a, one);
    let ay = o.abs(y);
    let y_infinite = o.eq(ay, infinity);
    let unit_circle = o.mand(a_one, y_infinite);
    let always_one = o.mor(always_one, unit_circle);
    o.select(always_one, one, r)
}

/// a^y for a positive, finite and not zero.
#[inline(always)]
fn power_of_positive<O: Ops, W: Width>(o: &mut O, a: O::F, y: O::F) -> O::F {
    let (high, low) = log_in_pair::<O, W>(o, a);
    let (product, error) = two_product(o, y, high);
    let error = o.fma(y, low, error);
    let (least, most, zero) = (o.f(W::EXP_MIN), o.f(W::EXP_MAX), o.f(0.0));
    let above = o.lt(product, most);
    let below = o.lt(least, product);
    let inside = o.mand(above, below);
    // Beyond, the product may be infinite and its error NaN; the result is 0 or infinity anyway.
    let error = o.select(inside, error, zero);
    let product = o.min(most, product);
    let product = o.max(least, product);
    let Reduced { shifted, n, r } = reduce::<O, W>(o, product);
    let r = o.add(r, error);
    exp_reduced::<O, W>(o, Reduced { shifted, n, r })
}

/// log(a) as an unevaluated sum, good to about 10 bits more than a float.
///
/// log(1 + f) = 2s + (2/3) s³ + s⁵ L(s²), s = f / (2 + f): the first two terms in pairs.
#[inline(always)]
pub fn log_in_pair<O: Ops, W: Width>(o: &mut O, a: O::F) -> (O::F, O::F) {
    let (k, f) = split::<O, W>(o, a);
    let two = o.f(2.0);
    let (below, below_low) = fast_two_sum(o, two, f);
    let s = o.div(f, below);
    let minus_s = o.neg(s);
    let rest = o.fma(minus_s, below, f);
    let rest = o.fma(minus_s, below_low, rest);
    let s_low = o.div(rest, below);

    // z = s², w = (2/3) z + z² L(z), both in pairs.
    let (z, z_low) = two_product(o, s, s);
    let s_twice = o.add(s, s);
    let z_low = o.fma(s_twice, s_low, z_low);
    let (c, c_low) = (o.f(W::TWO_THIRDS[0]), o.f(W::TWO_THIRDS[1]));
    let (w, w_low) = two_product(o, z, c);
    let w_low = o.fma(z, c_low, w_low);
    let w_low = o.fma(z_low, c, w_low);
    let l = poly(o, z, W::ATANH_TAIL);
    let z_square = o.mul(z, z);
    let w_low = o.fma(z_square, l, w_low);
    let (w, w_low) = fast_two_sum(o, w, w_low);

    // 2s + s w
    let (p, p_low) = two_product(o, s, w);
    let p_low = o.fma(s, w_low, p_low);
    let p_low = o.fma(s_low, w, p_low);
    let (m, m_low) = fast_two_sum(o, s_twice, p);
    let m_low = o.add(m_low, p_low);
    let m_low = o.fma(two, s_low, m_low);

    // k ln 2: the first piece is short, so that its product is exact.
    let (ln2, ln2_low) = (o.f(W::LN2_SHORT), o.f(W::LN2_SHORT_REST));
    let k_high = o.mul(k, ln2);
    let (high, low) = two_sum(o, k_high, m);
    let low = o.add(low, m_low);
    let low = o.fma(k, ln2_low, low);
    fast_two_sum(o, high, low)
}
