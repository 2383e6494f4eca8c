//! AVX2 with FMA: eight `f32` lanes, masks as vectors.

use std::arch::x86_64::*;

use crate::ops::{Ops, Table};

/// A machine of eight `f32` lanes. To make one is to promise that the processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor must have AVX2 and FMA.
    #[inline(always)]
    pub unsafe fn new() -> Avx2 {
        Avx2(())
    }
}

// SAFETY of every block below: the intrinsics only compute on their operands, and need nothing but the instruction set, which whoever
// called `new` has promised.
impl Ops for Avx2 {
    type F = __m256;
    type I = __m256i;
    type M = __m256;

    #[inline(always)]
    fn f(&mut self, x: f64) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_set1_ps(x as f32) }
    }
    #[inline(always)]
    fn i(&mut self, x: i64) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_set1_epi32(x as i32) }
    }
    #[inline(always)]
    fn add(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(&mut self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn sqrt(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    fn neg(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_xor_ps(a, _mm256_set1_ps(-0.0)) }
    }
    #[inline(always)]
    fn abs(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    }
    #[inline(always)]
    fn floor(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn ceil(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn round(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn lt(&mut self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn le(&mut self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm256_cmp_ps::<_CMP_LE_OQ>(a, b) }
    }
    #[inline(always)]
    fn eq(&mut self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b) }
    }
    #[inline(always)]
    fn select(&mut self, m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_blendv_ps(b, a, m) }
    }
    #[inline(always)]
    fn min(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn rarely(&mut self, m: Self::M, usual: Self::F, rare: impl FnOnce(&mut Self) -> Self::F) -> Self::F {
        // SAFETY: see above.
        if unsafe { _mm256_movemask_ps(m) } == 0 {
            return usual;
        }
        let r = rare(self);
        self.select(m, r, usual)
    }
    #[inline(always)]
    fn row(&mut self, table: &'static Table, at: Self::I) -> [Self::F; 8] {
        let mut places = [0u32; 8];
        // SAFETY: see above; a row has eight numbers. Rows of two lanes four apart share a vector; then 4 × 4 in each half.
        unsafe {
            _mm256_storeu_si256(places.as_mut_ptr().cast(), at);
            let mut row = [_mm256_setzero_ps(); 8];
            for from in [0, 4] {
                let mut lanes = [_mm256_setzero_ps(); 4];
                for (k, v) in lanes.iter_mut().enumerate() {
                    let low = table.rows[(places[k] & 31) as usize].as_ptr().add(from);
                    let high = table.rows[(places[k + 4] & 31) as usize].as_ptr().add(from);
                    *v = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high));
                }
                let [a, b, c, d] = lanes;
                let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                row[from] = _mm256_shuffle_ps::<0x44>(ab, cd);
                row[from + 1] = _mm256_shuffle_ps::<0xee>(ab, cd);
                let (ab, cd) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                row[from + 2] = _mm256_shuffle_ps::<0x44>(ab, cd);
                row[from + 3] = _mm256_shuffle_ps::<0xee>(ab, cd);
            }
            row
        }
    }
    #[inline(always)]
    fn bits(&mut self, a: Self::F) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_castps_si256(a) }
    }
    #[inline(always)]
    fn from_bits(&mut self, a: Self::I) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_castsi256_ps(a) }
    }
    #[inline(always)]
    fn to_int(&mut self, a: Self::F) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_cvttps_epi32(a) }
    }
    #[inline(always)]
    fn to_float(&mut self, a: Self::I) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm256_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn iadd(&mut self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    fn isub(&mut self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_sub_epi32(a, b) }
    }
    #[inline(always)]
    fn iand(&mut self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_and_si256(a, b) }
    }
    #[inline(always)]
    fn ior(&mut self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_or_si256(a, b) }
    }
    #[inline(always)]
    fn ixor(&mut self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_xor_si256(a, b) }
    }
    #[inline(always)]
    fn ishl(&mut self, a: Self::I, by: u32) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_sll_epi32(a, _mm_cvtsi32_si128(by as i32)) }
    }
    #[inline(always)]
    fn ishr(&mut self, a: Self::I, by: u32) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_srl_epi32(a, _mm_cvtsi32_si128(by as i32)) }
    }
    #[inline(always)]
    fn isar(&mut self, a: Self::I, by: u32) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_sra_epi32(a, _mm_cvtsi32_si128(by as i32)) }
    }
    #[inline(always)]
    fn ieq(&mut self, a: Self::I, b: Self::I) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)) }
    }
    #[inline(always)]
    fn ilt(&mut self, a: Self::I, b: Self::I) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a)) }
    }
    #[inline(always)]
    fn iselect(&mut self, m: Self::M, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm256_blendv_epi8(b, a, _mm256_castps_si256(m)) }
    }
    #[inline(always)]
    fn mand(&mut self, a: Self::M, b: Self::M) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm256_and_ps(a, b) }
    }
    #[inline(always)]
    fn mor(&mut self, a: Self::M, b: Self::M) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm256_or_ps(a, b) }
    }
}
