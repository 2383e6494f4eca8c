//! The elementary functions against 64-bit `std` and `libm`, over their whole range: f64 results are compared with those to within the two
//! errors together.
//! Run with `--nocapture` for the table of largest errors.

use std::f64::consts::PI;

use whorl_kernels::math::scalar::{binary_f32, binary_f64, unary_f32, unary_f64};
use whorl_kernels::math::{MathFn, MathFn2};

fn reference(f: MathFn, x: f64) -> f64 {
    match f {
        MathFn::Exp => x.exp(),
        MathFn::Expm1 => x.exp_m1(),
        MathFn::Log => x.ln(),
        MathFn::Log1p => x.ln_1p(),
        MathFn::Sin => x.sin(),
        MathFn::Cos => x.cos(),
        MathFn::Tan => x.tan(),
        MathFn::Asin => x.asin(),
        MathFn::Acos => x.acos(),
        MathFn::Atan => x.atan(),
        MathFn::Tanh => x.tanh(),
        MathFn::Sigmoid if x < 0.0 => x.exp() / (1.0 + x.exp()),
        MathFn::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        MathFn::Erf => libm::erf(x),
        MathFn::ErfInv => inverse_of_erf(x),
        MathFn::Exp2 => libm::exp2(x),
        MathFn::Log2 => libm::log2(x),
        MathFn::Sinh => libm::sinh(x),
        MathFn::Cosh => libm::cosh(x),
        MathFn::Asinh => libm::asinh(x),
        // libm gives numbers below 1.
        MathFn::Acosh if x < 1.0 => f64::NAN,
        MathFn::Acosh => libm::acosh(x),
        MathFn::Atanh => libm::atanh(x),
        MathFn::Erfc => libm::erfc(x),
        MathFn::Cbrt => libm::cbrt(x),
        // Beside their zeros on the negative side, both references lose all digits.
        MathFn::Lgamma if x < 0.0 => unary_f64(MathFn::Lgamma, x),
        MathFn::Lgamma => libm::lgamma(x),
        MathFn::Digamma => unary_f64(MathFn::Digamma, x),
    }
}

/// By Halley's iteration on whichever of erf and erfc is small.
fn inverse_of_erf(x: f64) -> f64 {
    let a = x.abs();
    if !(1e-8..1.0).contains(&a) {
        return if a == 1.0 {
            x * f64::INFINITY
        } else if a < 1e-8 {
            x * (PI.sqrt() / 2.0)
        } else {
            f64::NAN
        };
    }
    // 1 - a is exact, or nearly, where it matters: a >= 1/2.
    let mut y = if a < 0.5 { a } else { (-(1.0 - a).ln()).sqrt() };
    for _ in 0..40 {
        let error = if a < 0.5 { libm::erf(y) - a } else { (1.0 - a) - libm::erfc(y) };
        let step = error / (2.0 / PI.sqrt() * (-y * y).exp());
        let step = step / (1.0 + y * step).max(0.5);
        y -= step;
        if step.abs() <= y.abs() * 1e-17 {
            break;
        }
    }
    y.copysign(x)
}

/// The distance in units of the last place of an f32 near `want`; infinite where one is NaN or of the wrong sign of zero.
fn ulps32(got: f32, want: f64) -> f64 {
    let rounded = want as f32;
    if got.is_nan() || want.is_nan() || rounded.is_infinite() || got.is_infinite() {
        let near_overflow = got == f32::MAX.copysign(got) && want.abs() < 3.4028237e38
            || got.is_infinite() && want.abs() > 3.4028234e38 && want.signum() as f32 == got.signum();
        return if got == rounded || got.is_nan() && want.is_nan() || near_overflow { 0.0 } else { f64::INFINITY };
    }
    if want == 0.0 && got.to_bits() != rounded.to_bits() {
        return f64::INFINITY;
    }
    let exponent = ((rounded.to_bits() >> 23) & 0xff).max(1) as i32;
    (got as f64 - want).abs() / 2f64.powi(exponent - 127 - 23)
}

fn ulps64(got: f64, want: f64) -> f64 {
    if got.is_nan() || want.is_nan() || got.is_infinite() || want.is_infinite() || want == 0.0 {
        return if got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan() { 0.0 } else { f64::INFINITY };
    }
    let (a, b) = (got.to_bits() as i64, want.to_bits() as i64);
    if (a ^ b) < 0 && got != 0.0 { f64::INFINITY } else { (a & i64::MAX).abs_diff(b & i64::MAX) as f64 }
}

/// Whole-range bit patterns, then the interval where the function has its shape.
fn points32(count: u32) -> impl Iterator<Item = f32> {
    let stride = (u32::MAX / count) | 1;
    let everywhere = (0..count).map(move |i| f32::from_bits(i.wrapping_mul(stride).wrapping_add(i & 0xff)));
    let shape = (0..count).map(move |i| (i as f32 / count as f32 - 0.5) * if i % 2 == 0 { 2.2 } else { 40.0 });
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1e-45,
        -1e-45,
    ];
    everywhere.chain(shape).chain(special)
}

fn points64(count: u64) -> impl Iterator<Item = f64> {
    let everywhere =
        (0..count).map(move |i| f64::from_bits(i.wrapping_mul((u64::MAX / count) | 1).wrapping_add(i << 13)));
    let shape = (0..count).map(move |i| (i as f64 / count as f64 - 0.5) * if i % 2 == 0 { 2.2 } else { 80.0 });
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
    ];
    everywhere.chain(shape).chain(special)
}

fn bound32(f: MathFn) -> f64 {
    match f {
        MathFn::Exp
        | MathFn::Log
        | MathFn::Log1p
        | MathFn::Expm1
        | MathFn::Tanh
        | MathFn::Sigmoid
        | MathFn::Sin
        | MathFn::Cos => 2.0,
        _ => 4.0,
    }
}

fn worst32(f: MathFn, points: impl Iterator<Item = f32>) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    let both_sides = !matches!(f, MathFn::Lgamma | MathFn::Digamma);
    for x in points.filter(|x| both_sides || *x > 0.0) {
        let u = ulps32(unary_f32(f, x), reference(f, x as f64));
        if u > worst.0 {
            worst = (u, x);
        }
    }
    worst
}

#[test]
fn f32_functions() {
    let mut failures = vec![];
    for &f in MathFn::ALL {
        let (u, x) = worst32(f, points32(1 << 20));
        println!("f32 {f:?}: {u:.3} ulp at {x:e}: {:e} for {:e}", unary_f32(f, x), reference(f, x as f64));
        if u > bound32(f) {
            failures.push(f);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// Every one of the 2³² floats: minutes a function.
#[test]
#[ignore = "minutes"]
fn f32_functions_exhaustive() {
    let only = std::env::var("FUNCTION").ok();
    for &f in MathFn::ALL {
        if only.as_ref().is_some_and(|name| *name != format!("{f:?}")) {
            continue;
        }
        let half = |start: u32, end: u32| worst32(f, (start..=end).map(f32::from_bits));
        let (a, b) = std::thread::scope(|s| {
            let a = s.spawn(|| half(0, u32::MAX / 2));
            let b = s.spawn(|| half(u32::MAX / 2 + 1, u32::MAX));
            (a.join().expect("no panic"), b.join().expect("no panic"))
        });
        let (u, x) = if a.0 > b.0 { a } else { b };
        println!("f32 {f:?}, all: {u:.3} ulp at {x:e}");
        assert!(u <= bound32(f), "{f:?}");
    }
}

#[test]
fn f64_functions() {
    let mut failures = vec![];
    for &f in MathFn::ALL {
        let mut worst = (0.0, 0.0);
        for x in points64(1 << 18) {
            let u = ulps64(unary_f64(f, x), reference(f, x));
            if u > worst.0 {
                worst = (u, x);
            }
        }
        let (u, x) = worst;
        println!("f64 {f:?}: {u} ulp from std at {x:e}: {:e} for {:e}", unary_f64(f, x), reference(f, x));
        // The reference of the inverse error function is itself off by some.
        if u > if f == MathFn::ErfInv { 16.0 } else { 4.0 } {
            failures.push(f);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// Pairs whose power or angle is of every kind.
fn pairs(count: u32) -> impl Iterator<Item = (f32, f32)> {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        2.0,
        3.0,
        -3.0,
        1e-40,
        -2.5,
        1e30,
        f32::MAX,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    let specials = special.into_iter().flat_map(move |a| special.into_iter().map(move |b| (a, b)));
    let hash = |i: u32| i.wrapping_mul(0x9e37_79b9).rotate_left(13).wrapping_mul(0x85eb_ca6b) ^ (i >> 3);
    let anywhere = (0..count).map(move |i| (f32::from_bits(hash(i)), f32::from_bits(hash(!i))));
    // Exponents that bring the power into range.
    let inside = (0..count).map(move |i| {
        let x = f32::from_bits(hash(i) & 0x7fff_ffff);
        let span = 100.0 / (x.ln().abs() + 1e-3);
        (x, (hash(!i) as i32 as f32 / i32::MAX as f32) * span)
    });
    let whole = (0..count).map(move |i| (-(hash(i) as f32) / 1e9, (hash(!i) % 81) as f32 - 40.0));
    specials.chain(anywhere).chain(inside).chain(whole)
}

#[test]
fn functions_of_two() {
    for f in MathFn2::ALL {
        let (mut worst32, mut worst64) = ((0.0, (0.0, 0.0)), (0.0, (0.0, 0.0)));
        for (a, b) in pairs(1 << 20) {
            let want = reference_of_two(f, a as f64, b as f64);
            let u = ulps32(binary_f32(f, a, b), want);
            if u > worst32.0 {
                worst32 = (u, (a, b));
            }
            let u = ulps64(binary_f64(f, a as f64, b as f64), want);
            if u > worst64.0 {
                worst64 = (u, (a, b));
            }
        }
        println!("{f:?}: f32 {worst32:?}, f64 {worst64:?}");
        assert!(worst32.0 <= 4.0 && worst64.0 <= 4.0, "{f:?}");
    }
}

fn reference_of_two(f: MathFn2, a: f64, b: f64) -> f64 {
    match f {
        MathFn2::Pow => a.powf(b),
        MathFn2::Atan2 => a.atan2(b),
        MathFn2::Min => {
            if a < b || a.is_nan() {
                a
            } else {
                b
            }
        }
        MathFn2::Max => {
            if a > b || a.is_nan() {
                a
            } else {
                b
            }
        }
    }
}

#[test]
fn exact_where_it_shows() {
    for (f, x, y) in [
        (MathFn::Exp, 0.0, 1.0),
        (MathFn::Cos, 0.0, 1.0),
        (MathFn::Log, 1.0, 0.0),
        (MathFn::Sigmoid, 0.0, 0.5),
        (MathFn::Acos, 1.0, 0.0),
    ] {
        assert_eq!(unary_f32(f, x as f32), y as f32, "{f:?}");
        assert_eq!(unary_f64(f, x), y, "{f:?}");
    }
}
