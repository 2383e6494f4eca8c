//! The error function, its complement and its inverse.

use super::exp::{exp_of_remainder, power_of_two, reduce, scaled};
use super::log::log;
use super::poly::{poly, two_product, with_sign_of};
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

/// 1 - erf(x), which keeps all its digits where erf is 1: exp(-x²) / (1 + 2|x|) times a polynomial in (|x| - 2) / (|x| + 2) (after
/// Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x", 1981), x² in a pair. Near zero, from erf.
#[inline(always)]
pub fn erfc<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (zero, one, two, minus_two) = (o.f(0.0), o.f(1.0), o.f(2.0), o.f(-2.0));
    let a = o.abs(x);
    let z = o.mul(x, x);
    let p = poly(o, z, W::ERF);
    let near = o.fma(x, p, x);
    let near = o.sub(one, near);

    let top = o.f(W::ERFC_MAX);
    // NaN stays, as the second operand.
    let c = o.min(top, a);
    let above = o.add(c, minus_two);
    let below = o.add(c, two);
    let t = o.div(above, below);
    let p = poly(o, t, W::ERFCX);
    let below = o.fma(two, c, one);
    let p = o.div(p, below);
    let (square, rest) = two_product(o, c, c);
    let minus_square = o.neg(square);
    let mut reduced = reduce::<O, W>(o, minus_square);
    reduced.r = o.sub(reduced.r, rest);
    let bell = exp_of_remainder::<O, W>(o, reduced.r);
    let far = o.mul(bell, p);
    let far = scaled::<O, W>(o, far, reduced);
    let reflected = o.sub(two, far);
    let negative = o.lt(x, zero);
    let far = o.select(negative, reflected, far);
    // Where erfc is at least 1/2, nothing cancels.
    let split = o.f(0.46875);
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
