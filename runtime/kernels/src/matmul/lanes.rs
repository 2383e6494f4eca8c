//! The vectors that the tiles are written with.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::tile::{Panel, rows};
use crate::math::exp::tanh;
use crate::math::scalar::{ScalarF32, ScalarF64};
use crate::math::{F32, F64};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2::Avx2, avx512::Avx512};

/// Vectors of T on one instruction set.
///
/// # Safety
/// Of all methods: the processor must have the instruction set, and pointers must be good for the elements moved.
pub trait Lanes<T: Copy> {
    type V: Copy;
    /// Chooses the first few lanes.
    type Mask: Copy;
    /// Elements of a vector.
    const N: usize;
    /// The widest tile, in vectors: that times its rows must leave registers for operands.
    const WIDTH: usize;

    unsafe fn splat(x: T) -> Self::V;
    unsafe fn load(p: *const T) -> Self::V;
    unsafe fn store(p: *mut T, v: Self::V);
    /// For 1 to N lanes.
    unsafe fn mask(lanes: usize) -> Self::Mask;
    /// Zero beyond the mask, where nothing is read.
    unsafe fn load_some(p: *const T, mask: Self::Mask) -> Self::V;
    unsafe fn store_some(p: *mut T, mask: Self::Mask, v: Self::V);
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn relu(a: Self::V) -> Self::V;
    unsafe fn tanh(a: Self::V) -> Self::V;
    /// [`rows`] as a function of its own: what is compiled alone gets the registers.
    ///
    /// # Safety
    /// As [`rows`].
    unsafe fn panel<const W: usize, const R: usize, const FULL: bool>(panel: &Panel<T>);
    /// `to[p * to_row + j] = from[j * from_col + p]` for j, p below N.
    unsafe fn transpose(from: *const T, from_col: isize, to: *mut T, to_row: usize) {
        for j in 0..Self::N {
            for p in 0..Self::N {
                // SAFETY: the caller's.
                unsafe { *to.add(p * to_row + j) = *from.offset(j as isize * from_col).add(p) };
            }
        }
    }
}

/// Plain arrays, which compilers turn into whatever vectors there are.
pub struct Portable;

macro_rules! portable {
    ($t:ty, $n:literal, $machine:expr, $width:ty) => {
        impl Lanes<$t> for Portable {
            type V = [$t; $n];
            type Mask = usize;
            const N: usize = $n;
            const WIDTH: usize = 2;

            #[inline(always)]
            unsafe fn splat(x: $t) -> Self::V {
                [x; $n]
            }
            #[inline(always)]
            unsafe fn load(p: *const $t) -> Self::V {
                // SAFETY: the caller's.
                unsafe { p.cast::<Self::V>().read_unaligned() }
            }
            #[inline(always)]
            unsafe fn store(p: *mut $t, v: Self::V) {
                // SAFETY: the caller's.
                unsafe { p.cast::<Self::V>().write_unaligned(v) }
            }
            #[inline(always)]
            unsafe fn mask(lanes: usize) -> usize {
                lanes
            }
            #[inline(always)]
            unsafe fn load_some(p: *const $t, mask: usize) -> Self::V {
                let mut v = [0.0; $n];
                // SAFETY: the caller's; at most N lanes.
                unsafe { std::ptr::copy_nonoverlapping(p, v.as_mut_ptr(), mask) };
                v
            }
            #[inline(always)]
            unsafe fn store_some(p: *mut $t, mask: usize, v: Self::V) {
                // SAFETY: the caller's; at most N lanes.
                unsafe { std::ptr::copy_nonoverlapping(v.as_ptr(), p, mask) };
            }
            #[inline(always)]
            unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
            }
            #[inline(always)]
            unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
                std::array::from_fn(|i| a[i] + b[i])
            }
            #[inline(always)]
            unsafe fn relu(a: Self::V) -> Self::V {
                a.map(|x| if x > 0.0 || x.is_nan() { x } else { 0.0 })
            }
            #[inline(always)]
            unsafe fn tanh(a: Self::V) -> Self::V {
                a.map(|x| tanh::<_, $width>(&mut $machine, x))
            }
            unsafe fn panel<const W: usize, const R: usize, const FULL: bool>(panel: &Panel<$t>) {
                // SAFETY: the caller's.
                unsafe { rows::<$t, Portable, W, R, FULL>(panel) }
            }
        }
    };
}

portable!(f32, 8, ScalarF32, F32);
portable!(f64, 4, ScalarF64, F64);

/// Element by element, for functions that have no vector form in f64.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn tanh_of_each<const N: usize>(x: [f64; N]) -> [f64; N] {
    x.map(|x| tanh::<_, F64>(&mut ScalarF64, x))
}

#[cfg(target_arch = "x86_64")]
pub struct Avx512Lanes;

#[cfg(target_arch = "x86_64")]
pub struct Avx2Lanes;

macro_rules! vectors {
    ($lanes:ty, $features:literal, $t:ty, $v:ty, $n:literal, $width:literal, $mask:ty, splat $splat:ident, load $load:ident, store $store:ident,
     fma $fma:ident, add $add:ident; $($rest:item)*) => {
        // SAFETY of every block: the trait's contract, which callers keep.
        #[cfg(target_arch = "x86_64")]
        impl Lanes<$t> for $lanes {
            type V = $v;
            type Mask = $mask;
            const N: usize = $n;
            const WIDTH: usize = $width;

            #[inline(always)]
            unsafe fn splat(x: $t) -> $v {
                // SAFETY: see above.
                unsafe { $splat(x) }
            }
            #[inline(always)]
            unsafe fn load(p: *const $t) -> $v {
                // SAFETY: see above.
                unsafe { $load(p) }
            }
            #[inline(always)]
            unsafe fn store(p: *mut $t, v: $v) {
                // SAFETY: see above.
                unsafe { $store(p, v) }
            }
            #[inline(always)]
            unsafe fn fma(a: $v, b: $v, c: $v) -> $v {
                // SAFETY: see above.
                unsafe { $fma(a, b, c) }
            }
            #[inline(always)]
            unsafe fn add(a: $v, b: $v) -> $v {
                // SAFETY: see above.
                unsafe { $add(a, b) }
            }
            #[target_feature(enable = $features)]
            unsafe fn panel<const W: usize, const R: usize, const FULL: bool>(panel: &Panel<$t>) {
                // SAFETY: see above.
                unsafe { rows::<$t, $lanes, W, R, FULL>(panel) }
            }
            $($rest)*
        }
    };
}

vectors! { Avx512Lanes, "avx512f", f32, __m512, 16, 4, __mmask16, splat _mm512_set1_ps, load _mm512_loadu_ps, store _mm512_storeu_ps,
    fma _mm512_fmadd_ps, add _mm512_add_ps;
    #[inline(always)]
    unsafe fn mask(lanes: usize) -> __mmask16 {
        u16::MAX >> (16 - lanes)
    }
    #[inline(always)]
    unsafe fn load_some(p: *const f32, mask: __mmask16) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_maskz_loadu_ps(mask, p) }
    }
    #[inline(always)]
    unsafe fn store_some(p: *mut f32, mask: __mmask16, v: __m512) {
        // SAFETY: see above.
        unsafe { _mm512_mask_storeu_ps(p, mask, v) }
    }
    #[inline(always)]
    unsafe fn relu(a: __m512) -> __m512 {
        // "Not at most zero" holds for NaN, which so stays.
        // SAFETY: see above.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(a, _mm512_setzero_ps()), _mm512_setzero_ps(), a) }
    }
    #[inline(always)]
    unsafe fn tanh(a: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { tanh::<_, F32>(&mut Avx512::new(), a) }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_col: isize, to: *mut f32, to_row: usize) {
        // SAFETY: see above.
        unsafe { transpose_16(from, from_col, to, to_row) }
    }
}

vectors! { Avx512Lanes, "avx512f", f64, __m512d, 8, 4, __mmask8, splat _mm512_set1_pd, load _mm512_loadu_pd, store _mm512_storeu_pd,
    fma _mm512_fmadd_pd, add _mm512_add_pd;
    #[inline(always)]
    unsafe fn mask(lanes: usize) -> __mmask8 {
        u8::MAX >> (8 - lanes)
    }
    #[inline(always)]
    unsafe fn load_some(p: *const f64, mask: __mmask8) -> __m512d {
        // SAFETY: see above.
        unsafe { _mm512_maskz_loadu_pd(mask, p) }
    }
    #[inline(always)]
    unsafe fn store_some(p: *mut f64, mask: __mmask8, v: __m512d) {
        // SAFETY: see above.
        unsafe { _mm512_mask_storeu_pd(p, mask, v) }
    }
    #[inline(always)]
    unsafe fn relu(a: __m512d) -> __m512d {
        // SAFETY: see above.
        unsafe { _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_NLE_UQ>(a, _mm512_setzero_pd()), _mm512_setzero_pd(), a) }
    }
    #[inline(always)]
    unsafe fn tanh(a: __m512d) -> __m512d {
        // SAFETY: a vector is its eight numbers.
        unsafe { std::mem::transmute(tanh_of_each::<8>(std::mem::transmute::<__m512d, [f64; 8]>(a))) }
    }
}

vectors! { Avx2Lanes, "avx2,fma", f32, __m256, 8, 2, __m256i, splat _mm256_set1_ps, load _mm256_loadu_ps, store _mm256_storeu_ps,
    fma _mm256_fmadd_ps, add _mm256_add_ps;
    #[inline(always)]
    unsafe fn mask(lanes: usize) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
    }
    #[inline(always)]
    unsafe fn load_some(p: *const f32, mask: __m256i) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_maskload_ps(p, mask) }
    }
    #[inline(always)]
    unsafe fn store_some(p: *mut f32, mask: __m256i, v: __m256) {
        // SAFETY: see above.
        unsafe { _mm256_maskstore_ps(p, mask, v) }
    }
    #[inline(always)]
    unsafe fn relu(a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLE_UQ>(a, _mm256_setzero_ps()), a) }
    }
    #[inline(always)]
    unsafe fn tanh(a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { tanh::<_, F32>(&mut Avx2::new(), a) }
    }
}

vectors! { Avx2Lanes, "avx2,fma", f64, __m256d, 4, 2, __m256i, splat _mm256_set1_pd, load _mm256_loadu_pd, store _mm256_storeu_pd,
    fma _mm256_fmadd_pd, add _mm256_add_pd;
    #[inline(always)]
    unsafe fn mask(lanes: usize) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_cmpgt_epi64(_mm256_set1_epi64x(lanes as i64), _mm256_setr_epi64x(0, 1, 2, 3)) }
    }
    #[inline(always)]
    unsafe fn load_some(p: *const f64, mask: __m256i) -> __m256d {
        // SAFETY: see above.
        unsafe { _mm256_maskload_pd(p, mask) }
    }
    #[inline(always)]
    unsafe fn store_some(p: *mut f64, mask: __m256i, v: __m256d) {
        // SAFETY: see above.
        unsafe { _mm256_maskstore_pd(p, mask, v) }
    }
    #[inline(always)]
    unsafe fn relu(a: __m256d) -> __m256d {
        // SAFETY: see above.
        unsafe { _mm256_and_pd(_mm256_cmp_pd::<_CMP_NLE_UQ>(a, _mm256_setzero_pd()), a) }
    }
    #[inline(always)]
    unsafe fn tanh(a: __m256d) -> __m256d {
        // SAFETY: a vector is its four numbers.
        unsafe { std::mem::transmute(tanh_of_each::<4>(std::mem::transmute::<__m256d, [f64; 4]>(a))) }
    }
}

/// Transposes a block of 16 × 16 in registers: 64 shuffles.
///
/// # Safety
/// AVX-512F; 16 rows of 16 elements on both sides.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn transpose_16(from: *const f32, from_col: isize, to: *mut f32, to_row: usize) {
    // SAFETY: the caller's.
    unsafe {
        let mut r = [_mm512_setzero_ps(); 16];
        for (j, r) in r.iter_mut().enumerate() {
            *r = _mm512_loadu_ps(from.offset(j as isize * from_col));
        }
        let mut t = r;
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        let mut u = t;
        for i in 0..4 {
            for h in 0..2 {
                let (a, b) = (_mm512_castps_pd(t[4 * i + h]), _mm512_castps_pd(t[4 * i + 2 + h]));
                u[4 * i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                u[4 * i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
            }
        }
        for c in 0..4 {
            let a = _mm512_shuffle_f32x4::<0x88>(u[c], u[c + 4]);
            let b = _mm512_shuffle_f32x4::<0xdd>(u[c], u[c + 4]);
            let e = _mm512_shuffle_f32x4::<0x88>(u[c + 8], u[c + 12]);
            let f = _mm512_shuffle_f32x4::<0xdd>(u[c + 8], u[c + 12]);
            _mm512_storeu_ps(to.add(c * to_row), _mm512_shuffle_f32x4::<0x88>(a, e));
            _mm512_storeu_ps(to.add((c + 4) * to_row), _mm512_shuffle_f32x4::<0x88>(b, f));
            _mm512_storeu_ps(to.add((c + 8) * to_row), _mm512_shuffle_f32x4::<0xdd>(a, e));
            _mm512_storeu_ps(to.add((c + 12) * to_row), _mm512_shuffle_f32x4::<0xdd>(b, f));
        }
    }
}
