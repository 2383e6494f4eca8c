//! `scatter` and its kin: windows of updates put into an array at run-time starts.
//!
//! What is only added is a `Map` with an accumulator. Everything else is a scan over the updates, in XLA's order on the CPU, so that of two
//! updates of one place the later wins, and has the derivative.

use whorl_core::Builder;
use whorl_core::ir::{Atom, DType, Lit};
use whorl_core::prim::Unary;
use whorl_core::prim::{Binary, Prim};

use super::gather::Mode;
use super::places::{self, Outside, Windows, reshape, rows, transpose, with_spare, without_spare};

/// `ScatterDimensionNumbers`
#[derive(Clone, Default, Debug)]
pub struct ScatterDimensions {
    /// The axes of the updates that are a window's.
    pub update_window_dims: Vec<usize>,
    /// The axes of the operand that a window has no axis for.
    pub inserted_window_dims: Vec<usize>,
    /// The axis of the operand that each component of an index is for.
    pub scatter_dims_to_operand_dims: Vec<usize>,
    /// Axes of the operand, and those of the indices that go along with them.
    pub operand_batching_dims: Vec<usize>,
    pub scatter_indices_batching_dims: Vec<usize>,
}

/// What an update does to the element that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Combine {
    Set,
    Add,
    Sub,
    Mul,
    Min,
    Max,
}

pub fn scatter(
    b: &mut Builder,
    operand: Atom,
    indices: Atom,
    updates: Atom,
    dims: &ScatterDimensions,
    mode: Mode,
    combine: Combine,
) -> Atom {
    let ty = b.ty(operand);
    let along = dims.operand_batching_dims.iter().copied().zip(dims.scatter_indices_batching_dims.iter().copied());
    let mut windows = Windows {
        shape: ty.shape.to_vec(),
        sizes: vec![1; ty.rank()],
        dropped: dims.inserted_window_dims.clone(),
        starts: dims.scatter_dims_to_operand_dims.clone(),
        along: along.collect(),
    };
    let given = b.ty(updates).shape;
    for (axis, &of) in windows.axes().into_iter().zip(&dims.update_window_dims) {
        windows.sizes[axis] = given[of];
    }
    let outside = match mode {
        Mode::Clip => Outside::Clamped,
        Mode::FillOrDrop | Mode::PromiseInBounds => Outside::Spare,
    };
    let target = rows(b, operand, windows.front());
    let target = with_spare(b, target, Lit::zero(ty.dtype).into());
    let places = windows.places(b, indices, outside);
    let order = (0..given.len()).filter(|k| !dims.update_window_dims.contains(k));
    let order: Vec<usize> = order.chain(dims.update_window_dims.iter().copied()).collect();
    let updates = transpose(b, updates, &order);
    let count = b.ty(places).shape[0];
    let rows: Vec<usize> = std::iter::once(count).chain(b.ty(target).shape[1..].iter().copied()).collect();
    let updates = reshape(b, updates, &rows);
    let done = combined(b, target, places, updates, combine);
    let done = without_spare(b, done);
    reshape(b, done, &ty.shape)
}

fn combined(b: &mut Builder, rows: Atom, at: Atom, updates: Atom, combine: Combine) -> Atom {
    let op = match (combine, b.ty(rows).dtype) {
        (Combine::Set, _) => return places::replace(b, rows, at, updates, |_, _, new| new),
        (Combine::Add | Combine::Max, DType::Bool) => Binary::Or,
        (Combine::Mul | Combine::Min, DType::Bool) => Binary::And,
        (Combine::Add, _) => return places::add(b, rows, at, updates),
        (Combine::Sub, DType::U32 | DType::U8) => Binary::Sub,
        (Combine::Sub, _) => {
            let negative = b.unary(Unary::Neg, updates);
            return places::add(b, rows, at, negative);
        }
        (Combine::Mul, _) => Binary::Mul,
        (Combine::Min, _) => Binary::Min,
        (Combine::Max, _) => Binary::Max,
    };
    places::replace(b, rows, at, updates, |b, old, new| b.prim1(Prim::Binary(op), &[old, new]))
}
