//! Writes out short reductions, so that the loop is over the long dimension alone.
//!
//! A softmax over two actions for 128 environments is a loop over 128 lanes, not 128 loops over two: lanes are what is
//! vectorised, and what follows the reduction joins the same loop. The loops that make or use what such a reduction reads are
//! written out with it. The order of combination stays that of the reduction, to the bit.

use rustc_hash::FxHashSet;

use whorl_core::ir::{DType, Lit, Shape};
use whorl_core::prim::{Binary, Compare, Monoid};

use crate::accesses::*;
use crate::array::Strides;
use crate::fuse::is_heavy;
use crate::lanes::{LaneBuilder, operands_mut, view_of_mut};
use crate::loop_ir::*;
use crate::space::full;

/// Longest reduction that is written out.
const MOST: usize = 8;
/// Most ops that a loop may grow to.
const MOST_OPS: usize = 160;

pub fn run(p: &mut LoopProgram) {
    each_block_mut(p, &mut |nodes| {
        let mut shapes: Vec<(Shape, usize)> = Vec::new();
        let mut touched: FxHashSet<BufferId> = FxHashSet::default();
        for node in nodes.iter_mut() {
            if let Node::Lanes(l) = node
                && short(l)
            {
                if l.dims.iter().product::<usize>() >= 16 {
                    shapes.push((full(l), l.dims.len()));
                    each_access_of(l, &mut touched);
                }
                *l = unrolled(l, l.dims.len());
            }
        }
        while !shapes.is_empty() {
            let mut changed = false;
            for node in nodes.iter_mut() {
                if let Node::Lanes(l) = node
                    && l.reductions.is_empty()
                    && let Some((_, keep)) = shapes.iter().find(|s| s.0 == l.dims)
                    && small_enough(l, *keep)
                    && touches(l, &touched)
                {
                    each_access_of(l, &mut touched);
                    *l = unrolled(l, *keep);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
    });
}

fn each_access_of(l: &Lanes, touched: &mut FxHashSet<BufferId>) {
    l.ops.iter().filter_map(|op| crate::lanes::view_of(&op.kind)).for_each(|v| {
        touched.insert(v.buffer);
    });
}

fn touches(l: &Lanes, touched: &FxHashSet<BufferId>) -> bool {
    l.ops.iter().filter_map(|op| crate::lanes::view_of(&op.kind)).any(|v| touched.contains(&v.buffer))
}

fn small_enough(l: &Lanes, keep: usize) -> bool {
    let n: usize = full(l)[keep..].iter().product();
    let scatters = l.ops.iter().any(|op| matches!(op.kind, LaneKind::Scatter { .. }));
    n <= MOST && n * l.ops.len() <= MOST_OPS && !scatters
}

/// Whether a loop has a reduction that is to be written out.
fn short(l: &Lanes) -> bool {
    let n: usize = l.reduced.iter().product();
    let few_lanes = l.dims.iter().product::<usize>() < 4;
    let works = l.ops.iter().any(|op| is_heavy(&op.kind));
    !l.reductions.is_empty() && n > 0 && small_enough(l, l.dims.len()) && !(n > 1 && few_lanes && works)
}

/// The loop over its first `keep` dimensions, with one copy of the ops for every point of the others.
fn unrolled(l: &Lanes, keep: usize) -> Lanes {
    let sizes = full(l);
    let rest = &sizes[keep..];
    let mut b = LaneBuilder::default();
    let mut values: Vec<Vec<Value>> = vec![Vec::new(); l.reductions.len()];
    for point in crate::eval::indices(rest) {
        let mut new: Vec<Value> = Vec::new();
        for op in &l.ops {
            let mut op = op.clone();
            operands_mut(&mut op.kind).into_iter().for_each(|v| *v = new[v.0 as usize]);
            if let Some(v) = view_of_mut(&mut op.kind) {
                v.offset += v.strides[keep..].iter().zip(&point).map(|(s, &k)| s * k as isize).sum::<isize>();
                v.strides = Strides::from_slice(&v.strides[..keep]);
            }
            if let LaneKind::Position(d) = op.kind
                && d >= keep
            {
                op.kind = LaneKind::Lit(Lit::i32(point[d - keep] as i32));
            }
            new.push(b.op(op.kind, op.dtype));
        }
        for (v, r) in values.iter_mut().zip(&l.reductions) {
            v.push(new[r.value.0 as usize]);
        }
    }
    for (values, r) in values.iter().zip(&l.reductions) {
        let dtype = b.ops[values[0].0 as usize].dtype;
        let value = match r.kind {
            ReductionKind::Fold(op) => fold(&mut b, op, dtype, r.order, values),
            ReductionKind::ArgMax => best(&mut b, Compare::Gt, dtype, values),
            ReductionKind::ArgMin => best(&mut b, Compare::Lt, dtype, values),
        };
        b.store(r.into.clone(), value);
    }
    let (dims, spans) = (sizes[..keep].into(), l.spans.clone());
    Lanes { dims, reduced: Shape::new(), ops: b.ops, reductions: Vec::new(), spans }
}

/// Combines at most 16 values. Starting from the identity changes nothing but the sum of negative zeros, which is +0:
/// hence the last addition.
fn fold(b: &mut LaneBuilder, op: Monoid, dtype: DType, order: ReduceOrder, values: &[Value]) -> Value {
    let step = |b: &mut LaneBuilder, x: Value, y: Value| b.op(LaneKind::Binary(op.binary(), x, y), dtype);
    let result = match order {
        ReduceOrder::Sequential => values[1..].iter().fold(values[0], |sum, x| step(b, sum, *x)),
        ReduceOrder::Interleaved => {
            let mut p = values.to_vec();
            for w in [8, 4, 2, 1] {
                for k in 0..w.min(p.len().saturating_sub(w)) {
                    p[k] = step(b, p[k], p[k + w]);
                }
                p.truncate(w);
            }
            p[0]
        }
    };
    if op == Monoid::Sum && dtype.is_float() {
        let zero = b.lit(Lit::zero(dtype));
        return step(b, result, zero);
    }
    result
}

/// The position of the first best value; NaN is best.
fn best(b: &mut LaneBuilder, better: Compare, dtype: DType, values: &[Value]) -> Value {
    let (mut value, mut at) = (values[0], b.lit(Lit::i32(0)));
    for (k, &x) in values.iter().enumerate().skip(1) {
        let mut takes = b.op(LaneKind::Compare(better, x, value), DType::Bool);
        if dtype.is_float() {
            let is_nan = b.op(LaneKind::Compare(Compare::Ne, x, x), DType::Bool);
            let still_number = b.op(LaneKind::Compare(Compare::Eq, value, value), DType::Bool);
            takes = b.op(LaneKind::Binary(Binary::Or, takes, is_nan), DType::Bool);
            takes = b.op(LaneKind::Binary(Binary::And, takes, still_number), DType::Bool);
        }
        let k = b.lit(Lit::i32(k as i32));
        value = b.op(LaneKind::Select(takes, x, value), dtype);
        at = b.op(LaneKind::Select(takes, k, at), DType::I32);
    }
    at
}
