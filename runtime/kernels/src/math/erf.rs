//! The error function and its inverse.

use super::exp::{power_of_two, reduce};
use super::log::log;
use super::poly::{poly, with_sign_of};
use super::{Width, width::Piece};
use crate::ops::Ops;

/// x + x E(x²) near zero; beyond, 1 - exp(Q(|x|)), Q the logarithm of erfc.
#[inline(always)]
pub fn erf<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let a = o.abs(x);
    let z = o.mul(x, x);
    let p = poly(o, z, W::ERF);
    let near = o.fma(x, p, x);
    let (split, top, middle, one) = (o.f(W::ERF_SPLIT), o.f(W::ERF_MAX), o.f(W::ERFC_MIDDLE), o.f(1.0));
    // NaN stays, as the second operand.
    let clamped = o.min(top, a);
    let t = o.sub(clamped, middle);
    let q = poly(o, t, W::ERFC);
    let reduced = reduce::<O, W>(o, q);
    let p = poly(o, reduced.r, W::EXP);
    let p = o.fma(p, reduced.r, one);
    let p = o.fma(p, reduced.r, one);
    let scale = power_of_two::<O, W>(o, reduced.shifted, 0);
    let scale = o.neg(scale);
    let far = o.fma(scale, p, one);
    let far = with_sign_of::<O, W>(o, far, x);
    let is_near = o.lt(a, split);
    o.select(is_near, near, far)
}

/// x P(t) with t = -log(1 - x²), in pieces over t (after Giles, "Approximating the erfinv function", 2010).
#[inline(always)]
pub fn erf_inv<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let one = o.f(1.0);
    let minus_x = o.neg(x);
    let rest = o.fma(x, minus_x, one);
    let t = log::<O, W>(o, rest);
    let t = o.neg(t);
    let root = o.sqrt(t);
    // The first piece also passes NaN on.
    let mut p = erf_inv_piece(o, t, root, &W::ERF_INV[0]);
    for piece in &W::ERF_INV[1..] {
        let value = erf_inv_piece(o, t, root, piece);
        let from = o.f(piece.from);
        let inside = o.lt(from, t);
        p = o.select(inside, value, p);
    }
    let y = o.mul(x, p);
    let a = o.abs(x);
    let pole = o.eq(a, one);
    let infinity = o.f(f64::INFINITY);
    let at_pole = o.mul(x, infinity);
    o.select(pole, at_pole, y)
}

#[inline(always)]
fn erf_inv_piece<O: Ops>(o: &mut O, t: O::F, root: O::F, piece: &Piece) -> O::F {
    let middle = o.f(piece.middle);
    let v = o.sub(if piece.of_root { root } else { t }, middle);
    poly(o, v, piece.coefficients)
}
