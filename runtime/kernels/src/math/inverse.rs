//! asin, acos, atan and atan2.

use super::Width;
use super::poly::{poly, with_sign_of};
use crate::ops::Ops;

/// x + x³ A(x²) up to 1/2; beyond, asin(x) = π/2 - 2 asin(√((1 - x)/2)).
#[inline(always)]
pub fn asin<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let parts = arc::<O, W>(o, x);
    let (high, low, minus_two) = (o.f(W::HALF_PI[0]), o.f(W::HALF_PI[1]), o.f(-2.0));
    let outer = o.fma(parts.arc, minus_two, low);
    let outer = o.add(high, outer);
    let y = o.select(parts.outer, outer, parts.arc);
    with_sign_of::<O, W>(o, y, x)
}

#[inline(always)]
pub fn acos<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let parts = arc::<O, W>(o, x);
    let zero = o.f(0.0);
    let (high, low) = (o.f(W::HALF_PI[0]), o.f(W::HALF_PI[1]));
    let (pi_high, pi_low) = (o.f(W::PI[0]), o.f(W::PI[1]));
    let negative = o.lt(x, zero);
    let twice = o.add(parts.arc, parts.arc);
    let reflected = o.sub(pi_low, twice);
    let reflected = o.add(pi_high, reflected);
    let outer = o.select(negative, reflected, twice);
    let minus_arc = o.neg(parts.arc);
    let signed = o.select(negative, parts.arc, minus_arc);
    let inner = o.add(signed, low);
    let inner = o.add(high, inner);
    o.select(parts.outer, outer, inner)
}

struct Arc<O: Ops> {
    /// |x| > 1/2
    outer: O::M,
    /// asin of |x|, or where outer, of √((1 - |x|)/2): NaN beyond 1.
    arc: O::F,
}

#[inline(always)]
fn arc<O: Ops, W: Width>(o: &mut O, x: O::F) -> Arc<O> {
    let (half, minus_half) = (o.f(0.5), o.f(-0.5));
    let a = o.abs(x);
    let outer = o.lt(half, a);
    let square = o.mul(a, a);
    let half_rest = o.fma(a, minus_half, half);
    let z = o.select(outer, half_rest, square);
    let root = o.sqrt(half_rest);
    let a = o.select(outer, root, a);
    let p = poly(o, z, W::ASIN);
    let cube = o.mul(a, z);
    Arc { outer, arc: o.fma(cube, p, a) }
}

#[inline(always)]
pub fn atan<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let one = o.f(1.0);
    let a = o.abs(x);
    let inverted = o.lt(one, a);
    let inverse = o.div(one, a);
    let t = o.select(inverted, inverse, a);
    let y = atan_up_to_one::<O, W>(o, t);
    let complement = from_half_pi::<O, W>(o, y);
    let y = o.select(inverted, complement, y);
    with_sign_of::<O, W>(o, y, x)
}

/// The angle of the point (x, y).
#[inline(always)]
pub fn atan2<O: Ops, W: Width>(o: &mut O, y: O::F, x: O::F) -> O::F {
    let (zero, one) = (o.f(0.0), o.f(1.0));
    let (ax, ay) = (o.abs(x), o.abs(y));
    let steep = o.lt(ax, ay);
    let large = o.select(steep, ay, ax);
    let small = o.select(steep, ax, ay);
    let t = o.div(small, large);
    // 0/0 and inf/inf are directions of their own: 0 and 1.
    let equal = o.eq(ax, ay);
    let t = o.select(equal, one, t);
    let origin = o.eq(large, zero);
    let t = o.select(origin, zero, t);
    let angle = atan_up_to_one::<O, W>(o, t);
    let complement = from_half_pi::<O, W>(o, angle);
    let angle = o.select(steep, complement, angle);
    let (pi_high, pi_low) = (o.f(W::PI[0]), o.f(W::PI[1]));
    let reflected = o.sub(pi_low, angle);
    let reflected = o.add(pi_high, reflected);
    let x_bits = o.bits(x);
    let no_bits = o.i(0);
    let left = o.ilt(x_bits, no_bits);
    let angle = o.select(left, reflected, angle);
    let angle = with_sign_of::<O, W>(o, angle, y);
    let x_number = o.eq(x, x);
    let y_number = o.eq(y, y);
    let numbers = o.mand(x_number, y_number);
    let nan = o.add(x, y);
    o.select(numbers, angle, nan)
}

/// t + t³ A(t²), for 0 <= t <= 1.
#[inline(always)]
fn atan_up_to_one<O: Ops, W: Width>(o: &mut O, t: O::F) -> O::F {
    let z = o.mul(t, t);
    let p = poly(o, z, W::ATAN);
    let cube = o.mul(t, z);
    o.fma(cube, p, t)
}

#[inline(always)]
fn from_half_pi<O: Ops, W: Width>(o: &mut O, y: O::F) -> O::F {
    let (high, low) = (o.f(W::HALF_PI[0]), o.f(W::HALF_PI[1]));
    let y = o.sub(low, y);
    o.add(high, y)
}
