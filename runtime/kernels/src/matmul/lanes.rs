//! The vectors that the tiles are written with.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::tile::{Panel, rows};
use crate::math::scalar::{ScalarF32, ScalarF64};
use crate::math::tanh::tanh;
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
    unsafe fn panel<const W: usize, const R: usize, const FULL: bool, const PART: bool>(panel: &Panel<T>);
    /// Lane j, for j below `lanes`, to `p[j * stride]`.
    unsafe fn scatter(p: *mut T, stride: isize, v: Self::V, lanes: usize) {
        // SAFETY: the caller's; a vector is its elements.
        unsafe { scatter_each(p, stride, (&raw const v).cast(), lanes) }
    }
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

/// # Safety
/// `v` has so many lanes, and the places are good for them.
#[inline(always)]
unsafe fn scatter_each<T: Copy>(p: *mut T, stride: isize, v: *const T, lanes: usize) {
    for j in 0..lanes {
        // SAFETY: the caller's.
        unsafe { *p.offset(j as isize * stride) = *v.add(j) };
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
            unsafe fn panel<const W: usize, const R: usize, const FULL: bool, const PART: bool>(panel: &Panel<$t>) {
                // SAFETY: the caller's.
                unsafe { rows::<$t, Portable, W, R, FULL, PART>(panel) }
            }
        }
    };
}

portable!(f32, 8, ScalarF32, F32);
portable!(f64, 4, ScalarF64, F64);

/// Element by element, for functions that have no vector form in f64.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn tanh_of_each<const N: usize>(mut x: [f64; N]) -> [f64; N] {
    // No closure: it would not have the caller's instructions.
    for x in &mut x {
        *x = tanh::<_, F64>(&mut ScalarF64, *x);
    }
    x
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
            unsafe fn panel<const W: usize, const R: usize, const FULL: bool, const PART: bool>(panel: &Panel<$t>) {
                // SAFETY: see above.
                unsafe { rows::<$t, $lanes, W, R, FULL, PART>(panel) }
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
    #[inline(always)]
    unsafe fn scatter(p: *mut f32, stride: isize, v: __m512, lanes: usize) {
        if stride.unsigned_abs() >= 1 << 26 {
            // SAFETY: the caller's.
            return unsafe { scatter_each(p, stride, (&raw const v).cast(), lanes) };
        }
        // SAFETY: see above; 16 strides fit in 32 bits.
        unsafe {
            let lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let at = _mm512_mullo_epi32(lane, _mm512_set1_epi32(stride as i32));
            _mm512_mask_i32scatter_ps::<4>(p, u16::MAX >> (16 - lanes), at, v);
        }
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

/// Transposes a block of 16 × 16 in registers: 48 insertions of four elements, which two ports do, and 32 shuffles, which one does.
///
/// # Safety
/// AVX-512F; 16 rows of 16 elements on both sides.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn transpose_16(from: *const f32, from_col: isize, to: *mut f32, to_row: usize) {
    // SAFETY: the caller's.
    unsafe {
        for g in 0..4 {
            // Rows j, j + 4, j + 8 and j + 12, of each the same four elements.
            let mut r = [_mm512_setzero_ps(); 4];
            for (j, r) in r.iter_mut().enumerate() {
                let from = from.offset(j as isize * from_col).add(4 * g);
                let x = _mm512_castps128_ps512(_mm_loadu_ps(from));
                let x = _mm512_insertf32x4::<1>(x, _mm_loadu_ps(from.offset(4 * from_col)));
                let x = _mm512_insertf32x4::<2>(x, _mm_loadu_ps(from.offset(8 * from_col)));
                *r = _mm512_insertf32x4::<3>(x, _mm_loadu_ps(from.offset(12 * from_col)));
            }
            let a = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
            let b = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
            let c = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
            let d = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
            let to = to.add(4 * g * to_row);
            _mm512_storeu_ps(to, _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)));
            _mm512_storeu_ps(to.add(to_row), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
            _mm512_storeu_ps(to.add(2 * to_row), _mm512_castpd_ps(_mm512_unpacklo_pd(c, d)));
            _mm512_storeu_ps(to.add(3 * to_row), _mm512_castpd_ps(_mm512_unpackhi_pd(c, d)));
        }
    }
}
