//! Kernels that generated code calls, and the elementary functions that all backends share.

pub mod elem;
pub mod math;
pub mod matmul;
pub mod ops;
pub mod part;
mod scratch;
pub mod simd;
pub mod sort;
pub mod tiles;
