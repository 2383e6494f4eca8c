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
use prepare::Form;

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

/// A product made ready for one machine: which operand is walked how is decided once, not at each call.
#[derive(Clone, Copy, Debug)]
pub struct Plan<T> {
    form: Form,
    entry: Entry<T>,
}

type Entry<T> = unsafe fn(&Form, *const T, *const T, *mut T, *const T);

fn plan<T>(form: Form, in_blocks: Entry<T>, at_once: Entry<T>) -> Plan<T> {
    Plan { form, entry: if form.is_blocked() { in_blocks } else { at_once } }
}

impl<T> Plan<T> {
    /// # Safety
    /// a, b and c must be valid for every element that the plan's shape and strides reach, c for writing, each element of C at a place of
    /// its own that neither A nor B has; `bias` must hold n elements unless the epilogue is `None`.
    #[inline]
    pub unsafe fn run(&self, a: *const T, b: *const T, c: *mut T, bias: *const T) {
        // SAFETY: the caller's promises; the machine has the level that the entry was chosen for.
        unsafe { (self.entry)(&self.form, a, b, c, bias) }
    }
}

macro_rules! plans {
    ($t:ty, $name:ident) => {
        impl Plan<$t> {
            /// For this machine's level.
            pub fn new(desc: &MatmulDesc) -> Plan<$t> {
                // SAFETY: the machine has its own level.
                unsafe { Plan::<$t>::at(Level::of_machine(), desc) }
            }

            /// # Safety
            /// The machine must have the level.
            pub unsafe fn at(level: Level, desc: &MatmulDesc) -> Plan<$t> {
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f")]
                unsafe fn wide<const BLOCKED: bool>(
                    form: &Form,
                    a: *const $t,
                    b: *const $t,
                    c: *mut $t,
                    bias: *const $t,
                ) {
                    // SAFETY: the caller's promises; AVX-512F is here.
                    unsafe { prepare::run::<$t, Avx512Lanes, BLOCKED>(form, a, b, c, bias) }
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,fma")]
                unsafe fn narrow<const BLOCKED: bool>(
                    form: &Form,
                    a: *const $t,
                    b: *const $t,
                    c: *mut $t,
                    bias: *const $t,
                ) {
                    // SAFETY: the caller's promises; AVX2 and FMA are here.
                    unsafe { prepare::run::<$t, Avx2Lanes, BLOCKED>(form, a, b, c, bias) }
                }
                match level {
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => plan(Form::new::<$t, Avx512Lanes>(desc), wide::<true>, wide::<false>),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => plan(Form::new::<$t, Avx2Lanes>(desc), narrow::<true>, narrow::<false>),
                    Level::Portable => plan(
                        Form::new::<$t, Portable>(desc),
                        prepare::run::<$t, Portable, true>,
                        prepare::run::<$t, Portable, false>,
                    ),
                }
            }
        }

        /// Plans and runs.
        ///
        /// # Safety
        /// As [`Plan::run`].
        pub unsafe fn $name(desc: &MatmulDesc, a: *const $t, b: *const $t, c: *mut $t, bias: *const $t) {
            // SAFETY: the caller's promises.
            unsafe { Plan::<$t>::new(desc).run(a, b, c, bias) }
        }
    };
}

plans!(f32, matmul_f32);
plans!(f64, matmul_f64);
