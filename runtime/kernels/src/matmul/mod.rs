//! Matrix products for generated code: any strides, fast where the shapes of reinforcement learning are.
//!
//! Every element is the fma chain over k upward from +0, whatever the path, the tile or the instruction set: so all agree to the bit.
//! `lanes.rs` has the vectors, `tile.rs` the loops, `prepare.rs` which operand is walked how.

mod lanes;
mod prepare;

mod tile;

use crate::simd::Level;
use lanes::Portable;
#[cfg(target_arch = "x86_64")]
use lanes::{Avx2Lanes, Avx512Lanes};

/// What is done with a sum on its way to C.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Epilogue {
    #[default]
    None = 0,
    /// Adds `bias[column]`.
    Bias = 1,
    /// tanh of the sum with bias.
    BiasTanh = 2,
    /// The larger of the sum with bias and zero.
    BiasRelu = 3,
}

/// `C[i, j] = epilogue(Σ_p A[i, p] B[p, j])` for `batch` pairs, or `epilogue(C[i, j] + Σ…)` if `accumulate`, the sum being complete
/// before C is added to it. Strides count elements, and may be zero or negative in A and B.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MatmulDesc {
    pub batch: usize,
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    pub a_batch: isize,
    pub a_row: isize,
    pub a_col: isize,
    pub b_batch: isize,
    pub b_row: isize,
    pub b_col: isize,
    pub c_batch: isize,
    pub c_row: isize,
    pub c_col: isize,
    pub accumulate: bool,
    pub epilogue: Epilogue,
}

/// # Safety
/// `desc` must be readable; a, b and c must be valid for every element that its shape and strides reach, c for writing, each element of C
/// at a place of its own that neither A nor B has; `bias` must hold n elements unless the epilogue is `None`.
pub unsafe extern "C" fn matmul_f32(
    desc: *const MatmulDesc,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    bias: *const f32,
) {
    // SAFETY: the caller's promises are the ones asked for, and the machine has its own level.
    unsafe { matmul_f32_at(Level::of_machine(), &*desc, a, b, c, bias) }
}

/// # Safety
/// As [`matmul_f32`].
pub unsafe extern "C" fn matmul_f64(
    desc: *const MatmulDesc,
    a: *const f64,
    b: *const f64,
    c: *mut f64,
    bias: *const f64,
) {
    // SAFETY: the caller's promises are the ones asked for, and the machine has its own level.
    unsafe { matmul_f64_at(Level::of_machine(), &*desc, a, b, c, bias) }
}

macro_rules! at_level {
    ($name:ident, $t:ty, $doc:literal) => {
        /// # Safety
        #[doc = $doc]
        pub unsafe fn $name(level: Level, desc: &MatmulDesc, a: *const $t, b: *const $t, c: *mut $t, bias: *const $t) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            unsafe fn wide(desc: &MatmulDesc, a: *const $t, b: *const $t, c: *mut $t, bias: *const $t) {
                // SAFETY: the caller's promises; AVX-512F is here.
                unsafe { prepare::run::<$t, Avx512Lanes>(desc, a, b, c, bias) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn narrow(desc: &MatmulDesc, a: *const $t, b: *const $t, c: *mut $t, bias: *const $t) {
                // SAFETY: the caller's promises; AVX2 and FMA are here.
                unsafe { prepare::run::<$t, Avx2Lanes>(desc, a, b, c, bias) }
            }
            match level {
                // SAFETY: the caller's promises.
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => unsafe { wide(desc, a, b, c, bias) },
                // SAFETY: the caller's promises.
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => unsafe { narrow(desc, a, b, c, bias) },
                // SAFETY: the caller's promises.
                Level::Portable => unsafe { prepare::run::<$t, Portable>(desc, a, b, c, bias) },
            }
        }
    };
}

at_level!(matmul_f32_at, f32, "As [`matmul_f32`]; the machine must have the level.");
at_level!(matmul_f64_at, f64, "As [`matmul_f64`]; the machine must have the level.");
