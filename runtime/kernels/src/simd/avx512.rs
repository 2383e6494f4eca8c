//! AVX-512: sixteen `f32` lanes, masks in their own registers.

use std::arch::x86_64::*;

use crate::ops::{Ops, Table};

/// A machine of 16 `f32` lanes. To make one is to promise that the processor has AVX-512F.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The processor must have AVX-512F.
    #[inline(always)]
    pub unsafe fn new() -> Avx512 {
        Avx512(())
    }
}

// SAFETY of every block below: the intrinsics only compute on their operands, and need nothing but the instruction set, which whoever
// called `new` has promised.
impl Ops for Avx512 {
    type F = __m512;
    type I = __m512i;
    type M = __mmask16;

    #[inline(always)]
    fn f(&mut self, x: f64) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(x as f32) }
    }
    #[inline(always)]
    fn i(&mut self, x: i64) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi32(x as i32) }
    }
    #[inline(always)]
    fn add(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(&mut self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn sqrt(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn neg(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(a), _mm512_set1_epi32(i32::MIN))) }
    }
    #[inline(always)]
    fn abs(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_abs_ps(a) }
    }
    #[inline(always)]
    fn floor(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn ceil(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn round(&mut self, a: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn lt(&mut self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn le(&mut self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b) }
    }
    #[inline(always)]
    fn eq(&mut self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b) }
    }
    #[inline(always)]
    fn select(&mut self, m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_mask_blend_ps(m, b, a) }
    }
    #[inline(always)]
    fn min(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(&mut self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn rarely(&mut self, m: Self::M, usual: Self::F, rare: impl FnOnce(&mut Self) -> Self::F) -> Self::F {
        if m == 0 {
            return usual;
        }
        let r = rare(self);
        self.select(m, r, usual)
    }
    #[inline(always)]
    fn scale(&mut self, a: Self::F, n: Self::F) -> Option<Self::F> {
        // SAFETY: see above.
        unsafe { Some(_mm512_scalef_ps(a, n)) }
    }
    #[inline(always)]
    fn row(&mut self, table: &'static Table, at: Self::I) -> [Self::F; 8] {
        let mut row = [self.f(0.0); 8];
        for (number, column) in row.iter_mut().zip(&table.columns) {
            // SAFETY: see above; a column has 32 numbers.
            *number = unsafe {
                let (low, high) = (_mm512_loadu_ps(column.as_ptr()), _mm512_loadu_ps(column.as_ptr().add(16)));
                _mm512_permutex2var_ps(low, at, high)
            };
        }
        row
    }
    #[inline(always)]
    fn bits(&mut self, a: Self::F) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_castps_si512(a) }
    }
    #[inline(always)]
    fn from_bits(&mut self, a: Self::I) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_castsi512_ps(a) }
    }
    #[inline(always)]
    fn to_int(&mut self, a: Self::F) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_cvttps_epi32(a) }
    }
    #[inline(always)]
    fn to_float(&mut self, a: Self::I) -> Self::F {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn iadd(&mut self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn isub(&mut self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_sub_epi32(a, b) }
    }
    #[inline(always)]
    fn iand(&mut self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_and_si512(a, b) }
    }
    #[inline(always)]
    fn ior(&mut self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_or_si512(a, b) }
    }
    #[inline(always)]
    fn ixor(&mut self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_xor_si512(a, b) }
    }
    #[inline(always)]
    fn ishl(&mut self, a: Self::I, by: u32) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_sll_epi32(a, _mm_cvtsi32_si128(by as i32)) }
    }
    #[inline(always)]
    fn ishr(&mut self, a: Self::I, by: u32) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_srl_epi32(a, _mm_cvtsi32_si128(by as i32)) }
    }
    #[inline(always)]
    fn isar(&mut self, a: Self::I, by: u32) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_sra_epi32(a, _mm_cvtsi32_si128(by as i32)) }
    }
    #[inline(always)]
    fn ieq(&mut self, a: Self::I, b: Self::I) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm512_cmpeq_epi32_mask(a, b) }
    }
    #[inline(always)]
    fn ilt(&mut self, a: Self::I, b: Self::I) -> Self::M {
        // SAFETY: see above.
        unsafe { _mm512_cmplt_epi32_mask(a, b) }
    }
    #[inline(always)]
    fn iselect(&mut self, m: Self::M, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see above.
        unsafe { _mm512_mask_blend_epi32(m, b, a) }
    }
    #[inline(always)]
    fn mand(&mut self, a: Self::M, b: Self::M) -> Self::M {
        a & b
    }
    #[inline(always)]
    fn mor(&mut self, a: Self::M, b: Self::M) -> Self::M {
        a | b
    }
}
