//! Lane loops in their simplest form: no dimension of size 1, neighbours that are walked as one merged.

use smallvec::SmallVec;
use whorl_core::ir::{DType, Lit, Shape};

use crate::lanes::{view_of, view_of_mut};
use crate::loop_ir::{LaneKind, Lanes};

/// The same loop with as few dimensions as can be.
pub fn normalise(lanes: &Lanes) -> Lanes {
    let mut lanes = lanes.clone();
    for d in (0..rank(&lanes)).rev() {
        if size(&lanes, d) == 1 {
            drop_dimension(&mut lanes, d);
        }
    }
    for d in (1..rank(&lanes)).rev() {
        if d != lanes.dims.len() && mergeable(&lanes, d) {
            merge(&mut lanes, d);
        }
    }
    lanes
}

/// Dimensions of `dims` ++ `reduced`.
pub fn rank(lanes: &Lanes) -> usize {
    lanes.dims.len() + lanes.reduced.len()
}

/// The size of one of them.
pub fn size(lanes: &Lanes, d: usize) -> usize {
    if d < lanes.dims.len() { lanes.dims[d] } else { lanes.reduced[d - lanes.dims.len()] }
}

/// Every list of strides, those of reductions' results too where they have dimension `d`.
fn each_strides(lanes: &mut Lanes, d: usize, mut f: impl FnMut(&mut SmallVec<[isize; 4]>)) {
    lanes.ops.iter_mut().filter_map(|op| view_of_mut(&mut op.kind)).for_each(|view| f(&mut view.strides));
    if d < lanes.dims.len() {
        lanes.reductions.iter_mut().for_each(|r| f(&mut r.into.strides));
    }
}

fn remove_size(lanes: &mut Lanes, d: usize) {
    let dims = lanes.dims.len();
    let (sizes, k): (&mut Shape, usize) = if d < dims { (&mut lanes.dims, d) } else { (&mut lanes.reduced, d - dims) };
    sizes.remove(k);
}

/// Removes a dimension of size 1.
fn drop_dimension(lanes: &mut Lanes, d: usize) {
    each_strides(lanes, d, |strides| {
        strides.remove(d);
    });
    for op in &mut lanes.ops {
        if let LaneKind::Position(p) = &mut op.kind {
            if *p == d {
                op.kind = LaneKind::Lit(Lit::zero(DType::I32));
            } else if *p > d {
                *p -= 1;
            }
        }
    }
    remove_size(lanes, d);
}

/// Whether stepping over the end of dimension `d` is one step of `d - 1` everywhere.
fn mergeable(lanes: &Lanes, d: usize) -> bool {
    let n = size(lanes, d) as isize;
    let walks = |strides: &[isize]| strides[d - 1] == strides[d] * n;
    lanes.ops.iter().all(|op| match &op.kind {
        LaneKind::Position(p) => *p != d && *p != d - 1,
        kind => view_of(kind).is_none_or(|view| walks(&view.strides)),
    }) && (d >= lanes.dims.len() || lanes.reductions.iter().all(|r| walks(&r.into.strides)))
}

/// Makes dimension `d` part of `d - 1`.
fn merge(lanes: &mut Lanes, d: usize) {
    let n = size(lanes, d);
    each_strides(lanes, d, |strides| {
        strides.remove(d - 1);
    });
    for op in &mut lanes.ops {
        if let LaneKind::Position(p) = &mut op.kind
            && *p > d
        {
            *p -= 1;
        }
    }
    remove_size(lanes, d);
    let dims = lanes.dims.len();
    if d - 1 < dims { lanes.dims[d - 1] *= n } else { lanes.reduced[d - 1 - dims] *= n }
}

/// Moves dimension `d` of `dims` to the end of `dims`; the order of independent lanes is free.
pub fn make_last(lanes: &mut Lanes, d: usize) {
    let last = lanes.dims.len() - 1;
    let rotate = |s: &mut [isize]| s[d..=last].rotate_left(1);
    each_strides(lanes, d, |strides| rotate(strides));
    lanes.dims[d..=last].rotate_left(1);
    for op in &mut lanes.ops {
        if let LaneKind::Position(p) = &mut op.kind {
            if *p == d {
                *p = last;
            } else if *p > d && *p <= last {
                *p -= 1;
            }
        }
    }
}
