//! When two arrays are the same.

use whorl_core::ir::{ArrayData, DType};

/// How far floats may lie apart, relative to the larger of the value itself and 1: ten times what JAX's own tests allow between its backends
/// (`jax.test_util`: 1e-6 of f32, 1e-3 of f16, 1e-2 of bf16), since sums come in another order here. Others are equal.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 1e-5,
        DType::F64 => 1e-14,
        DType::F16 => 1e-3,
        DType::BF16 => 1e-2,
        DType::I32 | DType::U32 | DType::U8 | DType::Bool => 0.0,
    }
}

/// All of one machine's results are those that were recorded.
pub fn same(got: &[ArrayData], wanted: &[ArrayData]) -> Result<(), String> {
    if got.len() != wanted.len() {
        return Err(format!("{} results, not {}", got.len(), wanted.len()));
    }
    got.iter().zip(wanted).enumerate().try_for_each(|(k, (g, w))| near(g, w).map_err(|e| format!("result {k}: {e}")))
}

/// NaN is NaN, an infinity itself.
pub fn near(got: &ArrayData, wanted: &ArrayData) -> Result<(), String> {
    if got.ty != wanted.ty {
        return Err(format!("{:?}, not {:?}", got.ty, wanted.ty));
    }
    let allowed = tolerance(got.ty.dtype);
    for (at, (x, y)) in got.to_f64().into_iter().zip(wanted.to_f64()).enumerate() {
        let same = x == y || x.is_nan() && y.is_nan() || (x - y).abs() <= allowed * y.abs().max(1.0);
        if !same {
            return Err(format!("{x:?}, not {y:?}, at place {at} of {:?}", got.ty));
        }
    }
    Ok(())
}
