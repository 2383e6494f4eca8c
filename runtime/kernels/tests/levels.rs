//! Every function is the same bits on plain numbers and on the wide vectors of this machine.
#![cfg(target_arch = "x86_64")]

use std::arch::x86_64::*;

use whorl_kernels::math::scalar::{binary_f32, unary_f32};
use whorl_kernels::math::{self, MathFn, MathFn2};
use whorl_kernels::ops::Ops;
use whorl_kernels::simd::avx2::Avx2;
use whorl_kernels::simd::avx512::Avx512;

type One = unsafe fn(&[f32; 16], &mut [f32; 16]);
type Two = unsafe fn(&[f32; 16], &[f32; 16], &mut [f32; 16]);
/// Its name, on vectors, and on numbers.
type OperationOfOne = (&'static str, Vec<One>, fn(f32) -> f32);
type OperationOfTwo = (&'static str, Vec<Two>, fn(f32, f32) -> f32);

/// A function of vectors on both kinds of them: eight lanes twice, and sixteen.
macro_rules! on_vectors {
    ($type:ty, |$o:ident, $($x:ident),*| $call:expr) => {{
        #[target_feature(enable = "avx2,fma")]
        unsafe fn narrow($($x: &[f32; 16],)* y: &mut [f32; 16]) {
            for half in [0, 8] {
                // SAFETY: this function runs only where AVX2 and FMA are, and the arrays have sixteen elements.
                unsafe {
                    let $o = &mut Avx2::new();
                    $(let $x = _mm256_loadu_ps($x.as_ptr().add(half));)*
                    _mm256_storeu_ps(y.as_mut_ptr().add(half), $call);
                }
            }
        }
        #[target_feature(enable = "avx512f")]
        unsafe fn wide($($x: &[f32; 16],)* y: &mut [f32; 16]) {
            // SAFETY: this function runs only where AVX-512 is, and the arrays have sixteen elements.
            unsafe {
                let $o = &mut Avx512::new();
                $(let $x = _mm512_loadu_ps($x.as_ptr());)*
                _mm512_storeu_ps(y.as_mut_ptr(), $call);
            }
        }
        let mut both: Vec<$type> = Vec::new();
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            both.push(narrow);
        }
        if is_x86_feature_detected!("avx512f") {
            both.push(wide);
        }
        both
    }};
}

macro_rules! functions_of_one {
    ($($function:ident $name:literal $module:ident::$definition:ident $cost:literal;)*) => {
        fn vectors_of(f: MathFn) -> Vec<One> {
            match f {
                $(MathFn::$function => on_vectors!(One, |o, x| MathFn::$function.apply32(o, x)),)*
            }
        }
    };
}

whorl_kernels::with_functions_of_one_float!(functions_of_one);

fn vectors_of_two(f: MathFn2) -> Vec<Two> {
    match f {
        MathFn2::Pow => on_vectors!(Two, |o, a, b| MathFn2::Pow.apply32(o, a, b)),
        MathFn2::Atan2 => on_vectors!(Two, |o, a, b| MathFn2::Atan2.apply32(o, a, b)),
        MathFn2::Min => on_vectors!(Two, |o, a, b| MathFn2::Min.apply32(o, a, b)),
        MathFn2::Max => on_vectors!(Two, |o, a, b| MathFn2::Max.apply32(o, a, b)),
    }
}

/// Every 4099th bit pattern, and special floats, whole vectors of them.
fn floats() -> Vec<[f32; 16]> {
    let special = [
        0.0,
        1.0,
        0.5,
        2.0,
        1e-45,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
        88.7,
        104.0,
        9.1,
        10.06,
        1e10,
        3.0,
        0.75,
    ];
    let strided =
        (0..u32::MAX / 4099 / 16).map(|i| std::array::from_fn(|k| f32::from_bits((16 * i + k as u32) * 4099)));
    strided.chain([special, special.map(|x| -x)]).collect()
}

#[track_caller]
fn same(what: &str, got: f32, want: f32, at: &[f32]) {
    let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
    assert!(same, "{what} of {at:?}: {got:e} on vectors, {want:e} on numbers");
}

#[test]
fn functions_of_one_float() {
    let floats = floats();
    for f in MathFn::ALL {
        for vectors in vectors_of(*f) {
            for x in &floats {
                let mut y = [0.0; 16];
                // SAFETY: only functions of instructions that this machine has are in the list.
                unsafe { vectors(x, &mut y) };
                (0..16).for_each(|k| same(f.name(), y[k], unary_f32(*f, x[k]), &[x[k]]));
            }
        }
    }
}

#[test]
fn functions_of_two_floats() {
    let floats = floats();
    for f in MathFn2::ALL {
        for vectors in vectors_of_two(f) {
            for (i, a) in floats.iter().enumerate() {
                let (b, mut y) = (&floats[(i * 7919) % floats.len()], [0.0; 16]);
                // SAFETY: as above.
                unsafe { vectors(a, b, &mut y) };
                (0..16).for_each(|k| same(&format!("{f:?}"), y[k], binary_f32(f, a[k], b[k]), &[a[k], b[k]]));
            }
        }
    }
}

#[test]
fn single_operations() {
    let floats = floats();
    let one: [OperationOfOne; 8] = [
        ("sqrt", on_vectors!(One, |o, x| o.sqrt(x)), f32::sqrt),
        (
            "rsqrt",
            on_vectors!(One, |o, x| {
                let (one, root) = (o.f(1.0), o.sqrt(x));
                o.div(one, root)
            }),
            |x| 1.0 / x.sqrt(),
        ),
        ("neg", on_vectors!(One, |o, x| o.neg(x)), |x| -x),
        ("abs", on_vectors!(One, |o, x| o.abs(x)), f32::abs),
        ("floor", on_vectors!(One, |o, x| o.floor(x)), f32::floor),
        ("ceil", on_vectors!(One, |o, x| o.ceil(x)), f32::ceil),
        ("round", on_vectors!(One, |o, x| o.round(x)), f32::round_ties_even),
        ("sign", on_vectors!(One, |o, x| math::sign(o, x)), |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }),
    ];
    for (name, both, number) in one {
        for vectors in both {
            for x in &floats {
                let mut y = [0.0; 16];
                // SAFETY: as above.
                unsafe { vectors(x, &mut y) };
                (0..16).for_each(|k| same(name, y[k], number(x[k]), &[x[k]]));
            }
        }
    }
    let two: [OperationOfTwo; 5] = [
        ("add", on_vectors!(Two, |o, a, b| o.add(a, b)), |a, b| a + b),
        ("sub", on_vectors!(Two, |o, a, b| o.sub(a, b)), |a, b| a - b),
        ("mul", on_vectors!(Two, |o, a, b| o.mul(a, b)), |a, b| a * b),
        ("div", on_vectors!(Two, |o, a, b| o.div(a, b)), |a, b| a / b),
        ("fma", on_vectors!(Two, |o, a, b| o.fma(a, b, a)), |a, b| a.mul_add(b, a)),
    ];
    for (name, both, numbers) in two {
        for vectors in both {
            for (i, a) in floats.iter().enumerate() {
                let (b, mut y) = (&floats[(i * 7919) % floats.len()], [0.0; 16]);
                // SAFETY: as above.
                unsafe { vectors(a, b, &mut y) };
                (0..16).for_each(|k| same(name, y[k], numbers(a[k], b[k]), &[a[k], b[k]]));
            }
        }
    }
}
