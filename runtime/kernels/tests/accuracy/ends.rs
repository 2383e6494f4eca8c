//! What functions are at zeros, poles, infinities and NaN: as in C99's annex F, and as in JAX where that says nothing.

use std::f64::consts::{FRAC_PI_2, PI};

use whorl_kernels::math::MathFn::{self, *};
use whorl_kernels::math::scalar::{unary_f32, unary_f64};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Values that both widths have to the bit, if rounded.
const ENDS: &[(MathFn, &[(f64, f64)])] = &[
    (Exp, &[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1e4, INF), (-1e4, 0.0)]),
    (Exp2, &[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (10.0, 1024.0), (-3.0, 0.125), (1e4, INF), (-1e4, 0.0)]),
    (Expm1, &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (1e4, INF), (-1e4, -1.0)]),
    (Log, &[(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-1.0, NAN), (INF, INF), (-INF, NAN)]),
    (
        Log2,
        &[(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-1.0, NAN), (INF, INF), (-INF, NAN), (1024.0, 10.0), (0.125, -3.0)],
    ),
    (Log1p, &[(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (-2.0, NAN), (INF, INF), (-INF, NAN)]),
    (Sin, &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)]),
    (Cos, &[(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN)]),
    (Tan, &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)]),
    (Asin, &[(0.0, 0.0), (-0.0, -0.0), (1.0, FRAC_PI_2), (-1.0, -FRAC_PI_2), (1.5, NAN), (-INF, NAN)]),
    (Acos, &[(1.0, 0.0), (0.0, FRAC_PI_2), (-1.0, PI), (1.5, NAN), (-INF, NAN)]),
    (Atan, &[(0.0, 0.0), (-0.0, -0.0), (INF, FRAC_PI_2), (-INF, -FRAC_PI_2)]),
    (Sinh, &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (1e4, INF), (-1e4, -INF)]),
    (Cosh, &[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, INF), (-1e4, INF)]),
    (Tanh, &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (100.0, 1.0)]),
    (Asinh, &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF)]),
    (Acosh, &[(1.0, 0.0), (0.5, NAN), (-1.0, NAN), (-10.0, NAN), (INF, INF), (-INF, NAN)]),
    (Atanh, &[(0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (-3.0, NAN), (INF, NAN), (-INF, NAN)]),
    (Sigmoid, &[(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (-1e4, 0.0)]),
    (Erf, &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (10.0, 1.0)]),
    (Erfc, &[(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 2.0), (30.0, 0.0), (-30.0, 2.0)]),
    (ErfInv, &[(0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (INF, NAN), (-INF, NAN)]),
    (Cbrt, &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (8.0, 2.0), (-27.0, -3.0), (0.125, 0.5)]),
    (
        Lgamma,
        &[
            (0.0, INF),
            (-0.0, INF),
            (1.0, 0.0),
            (2.0, 0.0),
            (-1.0, INF),
            (-2.0, INF),
            (-3e9, INF),
            (INF, INF),
            (-INF, INF),
        ],
    ),
    (Digamma, &[(0.0, NAN), (-0.0, NAN), (-1.0, NAN), (-2.0, NAN), (-3e9, NAN), (INF, INF), (-INF, NAN)]),
];

#[test]
fn at_zeros_poles_and_infinities() {
    for f in MathFn::ALL {
        let (_, ends) = ENDS.iter().find(|(g, _)| g == f).unwrap_or_else(|| panic!("what is {f:?} at its ends?"));
        for (x, want) in ends.iter().chain(&[(NAN, NAN)]) {
            let (narrow, wide) = (unary_f32(*f, *x as f32), unary_f64(*f, *x));
            let same = |got: f64, want: f64| got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
            assert!(same(narrow as f64, *want as f32 as f64), "{f:?} of {x}: {narrow}f32, not {want}");
            assert!(same(wide, *want), "{f:?} of {x}: {wide}f64, not {want}");
        }
    }
}
