//! Building blocks of the elementary functions.

use super::Width;
use crate::ops::Ops;

/// `c[0] + c[1] x + c[2] x² + …`, by Horner's rule: the fewest operations; independent lanes hide its latency.
#[inline(always)]
pub fn poly<O: Ops>(o: &mut O, x: O::F, c: &[f64]) -> O::F {
    let mut y = o.f(c[c.len() - 1]);
    for &c in c[..c.len() - 1].iter().rev() {
        let c = o.f(c);
        y = o.fma(y, x, c);
    }
    y
}

/// Twice [`poly`] of 2x: the same roundings, and no doubling of x.
#[inline(always)]
pub fn poly_of_double<O: Ops>(o: &mut O, x: O::F, c: &[f64]) -> O::F {
    let scaled = |k: usize| c[k] * (2u64 << k) as f64;
    let mut y = o.f(scaled(c.len() - 1));
    for k in (0..c.len() - 1).rev() {
        let c = o.f(scaled(k));
        y = o.fma(y, x, c);
    }
    y
}

/// y with the sign of x, for y that is not negative, or that has the sign of x unless it is zero.
#[inline(always)]
pub fn with_sign_of<O: Ops, W: Width>(o: &mut O, y: O::F, x: O::F) -> O::F {
    let mask = o.i(W::SIGN);
    let x = o.bits(x);
    let sign = o.iand(x, mask);
    let y = o.bits(y);
    let y = o.ior(y, sign);
    o.from_bits(y)
}

/// `(s, e)`: s = a + b rounded, s + e = a + b (Knuth). Six additions.
#[inline(always)]
pub fn two_sum<O: Ops>(o: &mut O, a: O::F, b: O::F) -> (O::F, O::F) {
    let s = o.add(a, b);
    let b_part = o.sub(s, a);
    let a_part = o.sub(s, b_part);
    let b_error = o.sub(b, b_part);
    let a_error = o.sub(a, a_part);
    (s, o.add(a_error, b_error))
}

/// As [`two_sum`], where |a| >= |b| or a = 0 (Dekker). Three additions.
#[inline(always)]
pub fn fast_two_sum<O: Ops>(o: &mut O, a: O::F, b: O::F) -> (O::F, O::F) {
    let s = o.add(a, b);
    let b_part = o.sub(s, a);
    (s, o.sub(b, b_part))
}

/// `(p, e)`: p = a b rounded, p + e = a b.
#[inline(always)]
pub fn two_product<O: Ops>(o: &mut O, a: O::F, b: O::F) -> (O::F, O::F) {
    let p = o.mul(a, b);
    let minus_p = o.neg(p);
    (p, o.fma(a, b, minus_p))
}
