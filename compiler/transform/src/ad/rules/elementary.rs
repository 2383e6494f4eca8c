//! The derivatives of the elementary functions.

use whorl_core::prim::{Binary, Compare, MathFn, Prim, Unary};
use whorl_core::{Atom, Builder};

use crate::ad::emit::number;

/// The tangent of `y = f(x)`, for the tangent `t` of x.
pub(super) fn tangent(b: &mut Builder, f: MathFn, x: Atom, y: Atom, t: Atom) -> Atom {
    let one = number(b, x, 1.0);
    let scale = match f {
        MathFn::Exp => y,
        MathFn::Exp2 => times(b, y, std::f64::consts::LN_2),
        MathFn::Log => return b.binary(Binary::Div, t, x),
        MathFn::Log2 => {
            let below = times(b, x, std::f64::consts::LN_2);
            return b.binary(Binary::Div, t, below);
        }
        MathFn::Log1p => {
            let below = b.add(x, one);
            return b.binary(Binary::Div, t, below);
        }
        MathFn::Expm1 => b.add(y, one),
        MathFn::Sin => b.unary(Unary::Cos, x),
        MathFn::Cos => {
            let sin = b.unary(Unary::Sin, x);
            b.unary(Unary::Neg, sin)
        }
        MathFn::Tan => {
            let square = b.mul(y, y);
            b.add(square, one)
        }
        MathFn::Asin | MathFn::Acos => {
            let square = b.mul(x, x);
            let left = b.binary(Binary::Sub, one, square);
            let root = b.unary(Unary::Sqrt, left);
            let sign = number(b, x, if f == MathFn::Asin { 1.0 } else { -1.0 });
            b.binary(Binary::Div, sign, root)
        }
        MathFn::Atan => {
            let square = b.mul(x, x);
            let below = b.add(square, one);
            return b.binary(Binary::Div, t, below);
        }
        MathFn::Sinh => b.unary(Unary::Cosh, x),
        MathFn::Cosh => b.unary(Unary::Sinh, x),
        MathFn::Tanh => {
            let square = b.mul(y, y);
            b.binary(Binary::Sub, one, square)
        }
        MathFn::Asinh => {
            let square = b.mul(x, x);
            let sum = b.add(square, one);
            let root = b.unary(Unary::Sqrt, sum);
            return b.binary(Binary::Div, t, root);
        }
        // √(x² - 1), without a square that may overflow and loses digits at 1. Below -1, where there is no value, it is JAX's all the same.
        MathFn::Acosh => {
            let (less, more) = (b.binary(Binary::Sub, x, one), b.add(x, one));
            let ratio = b.binary(Binary::Div, less, more);
            let (root, size) = (b.unary(Unary::Sqrt, ratio), b.unary(Unary::Abs, more));
            let below = b.mul(root, size);
            return b.binary(Binary::Div, t, below);
        }
        MathFn::Atanh => {
            let (less, more) = (b.binary(Binary::Sub, one, x), b.add(one, x));
            let below = b.mul(less, more);
            return b.binary(Binary::Div, t, below);
        }
        MathFn::Sigmoid => {
            let rest = b.binary(Binary::Sub, one, y);
            b.mul(y, rest)
        }
        MathFn::Erf => bell(b, x, -1.0, std::f64::consts::FRAC_2_SQRT_PI),
        MathFn::Erfc => bell(b, x, -1.0, -std::f64::consts::FRAC_2_SQRT_PI),
        MathFn::ErfInv => bell(b, y, 1.0, 1.0 / std::f64::consts::FRAC_2_SQRT_PI),
        MathFn::Cbrt => {
            let square = b.mul(y, y);
            let below = times(b, square, 3.0);
            return b.binary(Binary::Div, t, below);
        }
        MathFn::Lgamma => b.unary(Unary::Digamma, x),
        MathFn::Digamma => trigamma(b, x),
    };
    b.mul(t, scale)
}

fn times(b: &mut Builder, x: Atom, factor: f64) -> Atom {
    let factor = number(b, x, factor);
    b.mul(x, factor)
}

/// norm × exp(±x²)
fn bell(b: &mut Builder, x: Atom, sign: f64, norm: f64) -> Atom {
    let square = b.mul(x, x);
    let power = if sign < 0.0 { b.unary(Unary::Neg, square) } else { square };
    let bell = b.unary(Unary::Exp, power);
    times(b, bell, norm)
}

/// ψ'(x), of operations that have derivatives of their own: 1/v² + 1/(v + 1)² + … as far as v + 10, and from there the asymptotic series
/// (Abramowitz and Stegun, 6.4.12); v = 1 - x for x < 1/2, where ψ'(x) = (π / sin πx)² - ψ'(1 - x) (6.4.7).
fn trigamma(b: &mut Builder, x: Atom) -> Atom {
    /// The Bernoulli numbers B₂, B₄, ….
    const BERNOULLI: [f64; 9] = [
        1.0 / 6.0,
        -1.0 / 30.0,
        1.0 / 42.0,
        -1.0 / 30.0,
        5.0 / 66.0,
        -691.0 / 2730.0,
        7.0 / 6.0,
        -3617.0 / 510.0,
        43867.0 / 798.0,
    ];
    let (half, one) = (number(b, x, 0.5), number(b, x, 1.0));
    let reflected = b.prim1(Prim::Compare(Compare::Lt), &[x, half]);
    let mirror = b.binary(Binary::Sub, one, x);
    let v = b.prim1(Prim::Select, &[reflected, mirror, x]);

    // 1/z + 1/(2z²) + Σ B₂ₖ / z²ᵏ⁺¹
    let ten = number(b, x, 10.0);
    let z = b.add(v, ten);
    let inverse = b.binary(Binary::Div, one, z);
    let square = b.mul(inverse, inverse);
    let mut series = number(b, x, BERNOULLI[8]);
    for c in BERNOULLI[..8].iter().rev() {
        let c = number(b, x, *c);
        series = b.prim1(Prim::MulAdd, &[series, square, c]);
    }
    let series = b.prim1(Prim::MulAdd, &[series, inverse, half]);
    let mut sum = b.prim1(Prim::MulAdd, &[series, square, inverse]);
    for k in (0..10).rev() {
        let k = number(b, x, k as f64);
        let z = b.add(v, k);
        let inverse = b.binary(Binary::Div, one, z);
        sum = b.prim1(Prim::MulAdd, &[inverse, inverse, sum]);
    }

    // Where there is nothing to reflect, derivatives must not meet a pole: NaN passes through a select.
    let whole = b.unary(Unary::Round, x);
    let r = b.binary(Binary::Sub, x, whole);
    let quarter = number(b, x, 0.25);
    let r = b.prim1(Prim::Select, &[reflected, r, quarter]);
    let angle = times(b, r, std::f64::consts::PI);
    let sine = b.unary(Unary::Sin, angle);
    let pi = number(b, x, std::f64::consts::PI);
    let ratio = b.binary(Binary::Div, pi, sine);
    let square = b.mul(ratio, ratio);
    let mirrored = b.binary(Binary::Sub, square, sum);
    b.prim1(Prim::Select, &[reflected, mirrored, sum])
}
