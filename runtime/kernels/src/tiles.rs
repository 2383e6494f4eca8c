//! Elementary functions over contiguous arrays, to the bit what [`crate::math::scalar`] computes (but for the bits of a NaN).

use crate::math::{MathFn, scalar};
use crate::simd::Level;
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2::Avx2, avx512::Avx512};

/// `y[i] = f(x[i])` for i below n; x and y may be the same array.
pub type TileF32 = unsafe extern "C" fn(x: *const f32, y: *mut f32, n: usize);

macro_rules! tiles {
    ($($function:ident: $name:ident, $at_level:ident;)*) => {
        $(
            #[doc = concat!("`y[i] = ", stringify!($function), "(x[i])` for i below n.")]
            ///
            /// # Safety
            /// x must be readable and y writable for n elements; they may be equal, and must not overlap otherwise.
            pub unsafe extern "C" fn $name(x: *const f32, y: *mut f32, n: usize) {
                // SAFETY: the caller's promise is the one asked for, and the machine has its own level.
                unsafe { $at_level(Level::of_machine(), x, y, n) }
            }

            /// # Safety
            #[doc = concat!("As [`", stringify!($name), "`]; the machine must have the level.")]
            pub unsafe fn $at_level(level: Level, x: *const f32, y: *mut f32, n: usize) {
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f")]
                unsafe fn wide(x: *const f32, y: *mut f32, n: usize) {
                    use std::arch::x86_64::*;
                    // SAFETY: this function runs only where AVX-512F is; whole vectors end at or before n, and the mask
                    // keeps the last one within n.
                    unsafe {
                        let mut o = Avx512::new();
                        let mut at = 0;
                        while at + 16 <= n {
                            let v = MathFn::$function.apply32(&mut o, _mm512_loadu_ps(x.add(at)));
                            _mm512_storeu_ps(y.add(at), v);
                            at += 16;
                        }
                        if at < n {
                            let mask = (1u16 << (n - at)) - 1;
                            let v = MathFn::$function.apply32(&mut o, _mm512_maskz_loadu_ps(mask, x.add(at)));
                            _mm512_mask_storeu_ps(y.add(at), mask, v);
                        }
                    }
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,fma")]
                unsafe fn narrow(x: *const f32, y: *mut f32, n: usize) {
                    use std::arch::x86_64::*;
                    // SAFETY: this function runs only where AVX2 and FMA are; whole vectors end at or before n, the rest
                    // goes through a buffer of one vector.
                    unsafe {
                        let mut o = Avx2::new();
                        let mut at = 0;
                        while at + 8 <= n {
                            let v = MathFn::$function.apply32(&mut o, _mm256_loadu_ps(x.add(at)));
                            _mm256_storeu_ps(y.add(at), v);
                            at += 8;
                        }
                        if at < n {
                            let mut rest = [0f32; 8];
                            std::ptr::copy_nonoverlapping(x.add(at), rest.as_mut_ptr(), n - at);
                            let v = MathFn::$function.apply32(&mut o, _mm256_loadu_ps(rest.as_ptr()));
                            _mm256_storeu_ps(rest.as_mut_ptr(), v);
                            std::ptr::copy_nonoverlapping(rest.as_ptr(), y.add(at), n - at);
                        }
                    }
                }
                match level {
                    // SAFETY: the caller's promise.
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => unsafe { wide(x, y, n) },
                    // SAFETY: the caller's promise.
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => unsafe { narrow(x, y, n) },
                    Level::Portable => {
                        for i in 0..n {
                            // SAFETY: i < n, for which the caller promises x and y.
                            unsafe { *y.add(i) = scalar::unary_f32(MathFn::$function, *x.add(i)) };
                        }
                    }
                }
            }
        )*

        /// Every function that has a tile, with it.
        pub const TILES_F32: &[(MathFn, TileF32)] = &[$((MathFn::$function, $name)),*];

        /// Every function that has a tile, with the choice of a level.
        pub const TILES_F32_AT_LEVEL: &[(MathFn, unsafe fn(Level, *const f32, *mut f32, usize))] =
            &[$((MathFn::$function, $at_level)),*];
    };
}

tiles! {
    Tanh: tanh_f32, tanh_f32_at;
    Exp: exp_f32, exp_f32_at;
    Expm1: expm1_f32, expm1_f32_at;
    Log: log_f32, log_f32_at;
    Log1p: log1p_f32, log1p_f32_at;
    Sigmoid: sigmoid_f32, sigmoid_f32_at;
    Sin: sin_f32, sin_f32_at;
    Cos: cos_f32, cos_f32_at;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_levels_agree_to_the_bit() {
        let x: Vec<f32> = (0..1u32 << 16)
            .map(|i| f32::from_bits(i.wrapping_mul(65_537)))
            .chain((0..30_011).map(|i| (i - 15_000) as f32 * 0.003))
            .collect();
        for (f, tile) in TILES_F32_AT_LEVEL {
            let want: Vec<f32> = x.iter().map(|&x| scalar::unary_f32(*f, x)).collect();
            for level in Level::available() {
                let mut y = x.clone();
                // SAFETY: y has its own length, and the level is available.
                unsafe { tile(level, y.as_ptr(), y.as_mut_ptr(), y.len()) };
                for i in 0..x.len() {
                    let same = y[i].to_bits() == want[i].to_bits() || y[i].is_nan() && want[i].is_nan();
                    assert!(same, "{f:?} at {level:?} of {:e}: {:e} for {:e}", x[i], y[i], want[i]);
                }
            }
        }
    }
}
