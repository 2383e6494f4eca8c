//! When two arrays are the same.

use std::cmp::Ordering;

use whorl_core::ir::{ArrayData, DType, Lit};

/// How far floats may lie apart, relative to the larger of the value itself and 1: ten times what JAX's own tests allow between its backends
/// (`jax.test_util`: 1e-6 of f32, 1e-15 of f64), since sums come in another order here; of halves, whose sums JAX rounds at every step, four units in the
/// last place. Others are equal.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 1e-5,
        DType::F64 => 1e-14,
        DType::F16 => 4e-3,
        DType::BF16 => 3e-2,
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

/// The same rows in another order: all arrays of both reordered along an axis, by all of them. What a sort that is not stable leaves of equal keys is in
/// any order.
pub fn sorted(arrays: &[ArrayData], axis: usize) -> Vec<ArrayData> {
    let shape = arrays[0].ty.shape.clone();
    let (n, step) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let values: Vec<Vec<f64>> = arrays.iter().map(ArrayData::to_f64).collect();
    let mut from: Vec<usize> = (0..arrays[0].ty.size()).collect();
    for first in (0..from.len()).filter(|k| k / step % n == 0) {
        let mut row: Vec<usize> = (0..n).map(|k| first + k * step).collect();
        row.sort_by(|&a, &b| values.iter().fold(Ordering::Equal, |o, v| o.then(v[a].total_cmp(&v[b]))));
        row.into_iter().enumerate().for_each(|(k, at)| from[first + k * step] = at);
    }
    let reordered = |a: &ArrayData| {
        let lits: Vec<Lit> = from.iter().map(|&at| a.element(at)).collect();
        ArrayData::from_lits(a.ty.dtype, &a.ty.shape, &lits)
    };
    arrays.iter().map(reordered).collect()
}

/// NaN is NaN, an infinity itself.
pub fn near(got: &ArrayData, wanted: &ArrayData) -> Result<(), String> {
    if got.ty != wanted.ty {
        return Err(format!("{:?}, not {:?}", got.ty, wanted.ty));
    }
    let allowed = tolerance(got.ty.dtype);
    for (at, (x, y)) in got.to_f64().into_iter().zip(wanted.to_f64()).enumerate() {
        let same = x == y || x.is_nan() && y.is_nan() || y.is_finite() && (x - y).abs() <= allowed * y.abs().max(1.0);
        if !same {
            return Err(format!("{x:?}, not {y:?}, at place {at} of {:?}", got.ty));
        }
    }
    Ok(())
}
