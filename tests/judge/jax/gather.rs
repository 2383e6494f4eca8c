//! `gather`: windows at run-time starts, by dimension numbers as XLA has them.

use whorl_core::Builder;
use whorl_core::ir::{Atom, DType, Lit};

use super::places::{Outside, Windows, pick, reshape, rows, transpose, with_spare};

/// What an index out of range is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Moved into the range, window and all.
    Clip,
    /// Gathers give a fill value for all of the window, scatters drop it.
    FillOrDrop,
    /// Promised not to be: XLA clips in gathers, and drops in scatters.
    PromiseInBounds,
}

/// `GatherDimensionNumbers`
#[derive(Clone, Default, Debug)]
pub struct GatherDimensions {
    /// The axes of the result that are a window's.
    pub offset_dims: Vec<usize>,
    /// The axes of the operand that a window has no axis for.
    pub collapsed_slice_dims: Vec<usize>,
    /// The axis of the operand that each component of an index is for.
    pub start_index_map: Vec<usize>,
    /// Axes of the operand, and those of the indices that go along with them.
    pub operand_batching_dims: Vec<usize>,
    pub start_indices_batching_dims: Vec<usize>,
}

/// What JAX fills with where the program does not say.
pub fn default_fill(dtype: DType) -> Lit {
    match dtype {
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 => Lit::of(dtype, f64::NAN),
        DType::I32 => Lit::i32(i32::MIN),
        DType::U32 => Lit::u32(u32::MAX),
        DType::U8 => Lit::u8(u8::MAX),
        DType::Bool => Lit::bool(true),
    }
}

/// The components of `indices` are along its last axis.
pub fn gather(
    b: &mut Builder,
    operand: Atom,
    indices: Atom,
    dims: &GatherDimensions,
    slice_sizes: &[usize],
    mode: Mode,
    fill: Lit,
) -> Atom {
    let shape = b.ty(operand).shape.to_vec();
    let along = dims.operand_batching_dims.iter().copied().zip(dims.start_indices_batching_dims.iter().copied());
    let windows = Windows {
        sizes: slice_sizes.to_vec(),
        dropped: dims.collapsed_slice_dims.clone(),
        starts: dims.start_index_map.clone(),
        along: along.collect(),
        shape,
    };
    let mut source = rows(b, operand, windows.front());
    let outside = match mode {
        Mode::Clip | Mode::PromiseInBounds => Outside::Clamped,
        Mode::FillOrDrop => {
            source = with_spare(b, source, fill.into());
            Outside::Spare
        }
    };
    let places = windows.places(b, indices, outside);
    let picked = pick(b, source, places);
    let mut all = b.ty(indices).shape.to_vec();
    all.pop();
    let lanes = all.len();
    all.extend(windows.axes().iter().map(|&k| windows.sizes[k]));
    let picked = reshape(b, picked, &all);
    transpose(b, picked, &interleaved(lanes, &dims.offset_dims))
}

/// The order of axes that puts those of a window, which are behind `lanes` others, at `offsets` of the result.
fn interleaved(lanes: usize, offsets: &[usize]) -> Vec<usize> {
    let mut others = 0..lanes;
    let axis = |k| match offsets.iter().position(|&o| o == k) {
        Some(own) => lanes + own,
        None => others.next().expect("as many axes as the result has"),
    };
    (0..lanes + offsets.len()).map(axis).collect()
}
