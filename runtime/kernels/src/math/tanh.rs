//! tanh: of f32 by a table of polynomials, of f64 by exp.
//!
//! A division takes the time of seven other operations, and exp comes before it. One of 32 pieces of the range is short
//! enough for a polynomial of degree six, and a machine with `vpermi2ps` looks a coefficient up in one operation (docs/notes/027).

use super::Width;
use super::poly::{poly_of_double, with_sign_of};
use crate::ops::{Ops, Table};

#[inline(always)]
pub fn tanh<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    if W::NARROW { by_table::<O, W>(o, x) } else { by_exp::<O, W>(o, x) }
}

/// Rows of the table in one unit of |x|.
const ROWS_IN_ONE: f64 = 3.48;

/// c₀ + d c₁ + d² c₂ + …, d = |x| - the middle of its row. It never exceeds 1.
#[inline(always)]
fn by_table<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let (most, rows_in_one, magic) = (o.f(W::TANH_MAX), o.f(ROWS_IN_ONE), o.f(W::MAGIC));
    let a = o.abs(x);
    // NaN stays, as the second operand.
    let a = o.min(most, a);
    // The row's number is in the low bits, with no conversion.
    let shifted = o.fma(a, rows_in_one, magic);
    let at = o.bits(shifted);
    let [middle, c @ ..] = o.row(&ROWS, at);
    let d = o.sub(a, middle);
    let mut y = c[6];
    for c in c[..6].iter().rev() {
        y = o.fma(y, d, *c);
    }
    with_sign_of::<O, W>(o, y, x)
}

/// tanh|x| = h / (1 + h), h = (exp(2|x|) - 1) / 2: errors of a large h fade, and the result never exceeds 1. Where h is small, the rounding of
/// 1 + h would show, and y = h - h y once more shrinks it.
///
/// All is halved on the way: r is half of what is left of 2|x|. MAGIC with the bias added leaves not n but the exponent of 2ⁿ in the low bits.
#[inline(always)]
fn by_exp<O: Ops, W: Width>(o: &mut O, x: O::F) -> O::F {
    let most = o.f(W::TANH_MAX);
    let a = o.abs(x);
    // NaN stays, as the second operand.
    let a = o.min(most, a);
    let (two_log2_e, magic) = (o.f(2.0 * std::f64::consts::LOG2_E), o.f(W::MAGIC + W::BIAS as f64));
    let shifted = o.fma(a, two_log2_e, magic);
    let n = o.sub(shifted, magic);
    let high = o.f(-W::LN2_HIGH / 2.0);
    let r = o.fma(n, high, a);
    let low = o.f(-W::LN2_LOW / 2.0);
    let r = o.fma(n, low, r);
    let p = poly_of_double(o, r, W::EXP);
    let square = o.mul(r, r);
    let half_expm1 = o.fma(square, p, r);
    let (half, minus_half, one) = (o.f(0.5), o.f(-0.5), o.f(1.0));
    let bits = o.bits(shifted);
    let bits = o.ishl(bits, W::MANTISSA);
    let scale = o.from_bits(bits);
    let rest = o.fma(scale, half, minus_half);
    let h = o.fma(scale, half_expm1, rest);
    let below = o.add(h, one);
    let y = o.div(h, below);
    let minus_h = o.neg(h);
    let refined = o.fma(minus_h, y, h);
    let small = o.lt(h, one);
    let y = o.select(small, refined, y);
    with_sign_of::<O, W>(o, y, x)
}

/// By `fits/tanh.py`: the middle of a row, a float whose tanh is all but a float, and the coefficients around it.
#[rustfmt::skip]
#[allow(clippy::excessive_precision, clippy::approx_constant, reason = "shortest decimals of floats that were fitted")]
pub static ROWS: Table = Table::new([
    [0.0, 0.0, 1.0, -7.716625e-08, -0.33332568, -0.0002464426, 0.13680588, -0.022314543],
    [0.28732982, 0.27967533, 0.9217817, -0.2577995, -0.23516117, 0.1516763, 0.056340344, -0.07045442],
    [0.5736669, 0.51804715, 0.73162717, -0.3790174, -0.047536794, 0.15096736, -0.045048706, -0.03507176],
    [0.86193615, 0.6972539, 0.51383704, -0.35827485, 0.078523815, 0.06466903, -0.059357934, 0.012037551],
    [1.1493438, 0.8175366, 0.33163393, -0.27112287, 0.111107886, -0.0004592107, -0.02934835, 0.017960861],
    [1.4362993, 0.8929503, 0.20263976, -0.18094724, 0.094033144, -0.023648357, -0.0059336163, 0.008982055],
    [1.7235383, 0.9382877, 0.11961623, -0.11223444, 0.065437645, -0.02398641, 0.0032447374, 0.0023778738],
    [2.0094304, 0.9646878, 0.0693774, -0.06692754, 0.041438863, -0.017665714, 0.004738057, -0.00019604091],
    [2.2946906, 0.97988605, 0.03982332, -0.039022315, 0.024962887, -0.011453429, 0.003789755, -0.00075968023],
    [2.5830612, 0.98865145, 0.022568302, -0.022312183, 0.014536062, -0.0069339816, 0.0025191053, -0.00066417747],
    [2.870159, 0.9935931, 0.0127727585, -0.012690923, 0.008351933, -0.0040683337, 0.001547954, -0.0004552007],
    [3.1578822, 0.99639136, 0.007204266, -0.007178267, 0.0047509097, -0.0023411904, 0.0009118669, -0.00028017376],
    [3.4450996, 0.99796665, 0.004062571, -0.0040543103, 0.0026918817, -0.001335006, 0.00052603736, -0.00016783619],
    [3.7330596, 0.99885637, 0.0022859608, -0.0022833452, 0.001518724, -0.0007560332, 0.00030112948, -9.4244686e-05],
    [4.017481, 0.99935234, 0.0012949087, -0.001294071, 0.00086158904, -0.00042957297, 0.00017156555, -5.9498496e-05],
    [4.304263, 0.999635, 0.00072990445, -0.0007296382, 0.0004860685, -0.00024266719, 9.704884e-05, -3.2283504e-05],
    [4.5904994, 0.99979407, 0.0004118257, -0.00041174135, 0.00027437956, -0.00013702846, 5.489663e-05, -1.9491566e-05],
    [4.8816733, 0.99988496, 0.0002300607, -0.00023003791, 0.00015332142, -7.618142e-05, 3.0648956e-05, -2.3639064e-05],
    [5.1659827, 0.99993485, 0.0001302915, -0.00013028321, 8.684487e-05, -4.3393036e-05, 1.7356624e-05, -6.196362e-06],
    [5.4600663, 0.9999638, 7.235873e-05, -7.235599e-05, 4.8233906e-05, -2.4127055e-05, 9.660571e-06, -2.8193e-06],
    [5.739672, 0.9999793, 4.1365198e-05, -4.1364736e-05, 2.7574775e-05, -1.374048e-05, 5.537021e-06, -3.1778786e-06],
    [6.0252795, 0.9999883, 2.3364884e-05, -2.3364344e-05, 1.5575839e-05, -7.817856e-06, 3.1290956e-06, -1.8130952e-07],
    [6.314098, 0.99999344, 1.311298e-05, -1.311343e-05, 8.741857e-06, -4.3092205e-06, 1.7495745e-06, -2.356799e-06],
    [6.608902, 0.99999636, 7.2717526e-06, -7.271344e-06, 4.8477755e-06, -2.4729475e-06, 9.712255e-07, 1.2583182e-06],
    [6.783739, 0.99999744, 5.1259926e-06, -5.125752e-06, 3.4141367e-06, -1.6968944e-06, 6.8551265e-07, -2.6362963e-07],
    [7.1664734, 0.9999988, 2.384184e-06, -2.384072e-06, 1.5894557e-06, -8.0599676e-07, 3.1922363e-07, 1.8014772e-07],
    [7.465392, 0.99999934, 1.3113014e-06, -1.3111396e-06, 8.7418755e-07, -4.5618108e-07, 1.7565338e-07, 5.0908903e-07],
    [7.624619, 0.9999995, 9.536738e-07, -9.532482e-07, 6.259048e-07, -2.3482924e-07, -1.7132328e-07, 3.4880497e-07],
    [7.9711924, 0.99999976, 4.768373e-07, -4.769202e-07, 3.1826568e-07, -1.4719072e-07, -4.3876028e-08, 2.2612213e-07],
    [8.317766, 0.9999999, 2.3841854e-07, -2.384097e-07, 1.5894567e-07, -8.040362e-08, 3.1887573e-08, 1.3786814e-08],
    [8.317766, 0.9999999, 2.3841767e-07, -2.3839539e-07, 1.5872428e-07, -7.8391295e-08, 2.8864681e-08, -6.301274e-09],
    [8.66434, 0.99999994, 1.1921009e-07, -1.1921716e-07, 7.949746e-08, -3.9677914e-08, 1.5290453e-08, -3.7549706e-09],
]);
