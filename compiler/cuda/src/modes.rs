//! Which threads do a node, and which scalars all of them can keep for themselves.

use rustc_hash::FxHashSet;
use whorl_schedule::loop_ir::*;
use whorl_schedule::{Touch, bodies, each_access, each_view, view_of};

/// Scalars that live in registers of every thread.
pub type Promoted = FxHashSet<BufferId>;

/// Which threads do a lane loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// There is one point. Every thread computes it; what goes to memory, thread 0 stores.
    Everyone,
    /// There is one point, of which memory is read and written: thread 0 does it.
    First,
    /// Point p is thread p mod T's, and what is reduced it does by itself.
    Points,
    /// Sixteen threads a point, each with one partial result. If there is one point, all sixteens do it, for themselves.
    Sixteens,
    /// There is one point with much to fold: sixteen threads of the first warp do it, and thread 0 stores.
    FirstSixteen,
    /// Places may be written twice: threads share the first so many dimensions, in which that cannot be, and do the others in order.
    InOrder(usize),
}

/// Loops of one point that are so short are done by all.
pub const SHORT: usize = 32;
/// Longer folds are not done by all sixteens, for themselves: their loads would cost more than a barrier.
const LONG: usize = 512;
/// Rough instructions of a body that is repeated sixteen times.
const SMALL: usize = 40;

fn count(sizes: &[usize]) -> usize {
    sizes.iter().product()
}

fn is_scatter(op: &LaneOp) -> bool {
    matches!(op.kind, LaneKind::Scatter { .. })
}

fn is_write(op: &LaneOp) -> bool {
    matches!(op.kind, LaneKind::Store(..) | LaneKind::Scatter { .. })
}

fn bytes(p: &LoopProgram, b: BufferId) -> Option<std::ops::Range<usize>> {
    match p.buffer(b).place {
        Place::Arena(at) => Some(at..at + p.buffer(b).bytes()),
        Place::Constant(_) => None,
    }
}

/// Whether two buffers may be the same bytes.
pub fn overlap(p: &LoopProgram, a: BufferId, b: BufferId) -> bool {
    match (bytes(p, a), bytes(p, b)) {
        (Some(x), Some(y)) => a == b || (x.start < y.end && y.start < x.end),
        (_, None) | (None, _) => false,
    }
}

/// Whether what the loop's ops write (or its reductions, if these count) may be what it reads, in memory.
fn in_place(p: &LoopProgram, l: &Lanes, promoted: &Promoted, reductions: bool) -> bool {
    let reads = l.ops.iter().filter(|op| !is_write(op)).filter_map(|op| view_of(&op.kind));
    let read: Vec<BufferId> = reads.map(|v| v.buffer).filter(|b| !promoted.contains(b)).collect();
    let stored = l.ops.iter().filter(|op| is_write(op)).filter_map(|op| view_of(&op.kind));
    let reduced = l.reductions.iter().map(|r| &r.into).filter(|_| reductions);
    let written = stored.chain(reduced).map(|v| v.buffer).filter(|b| !promoted.contains(b));
    written.into_iter().any(|w| read.iter().any(|r| overlap(p, w, *r)))
}

/// Whether every reduction can be made of sixteen partial results: its order says so, or no order makes a difference.
fn in_sixteen_parts(l: &Lanes) -> bool {
    l.reductions.iter().all(|r| r.order == ReduceOrder::Interleaved || !ordered(l, r))
}

/// Whether the order of a reduction shows: that of numbers that are rounded does. Of equal elements the first has the lowest number in any order.
pub fn ordered(l: &Lanes, r: &Reduction) -> bool {
    matches!(r.kind, ReductionKind::Fold(_)) && l.ops[r.value.0 as usize].dtype.is_float()
}

/// The mode of a loop in its normal form.
pub fn mode(p: &LoopProgram, l: &Lanes, promoted: &Promoted, threads: usize) -> Mode {
    let (points, reduced) = (count(&l.dims), count(&l.reduced));
    if l.ops.iter().any(is_scatter) {
        return Mode::InOrder(apart(l));
    }
    let sixteens = in_sixteen_parts(l) && !l.reductions.is_empty() && reduced > SHORT && !writes_points(l);
    if points == 1 {
        return if reduced <= SHORT {
            if in_place(p, l, promoted, true) { Mode::First } else { Mode::Everyone }
        } else if sixteens && !in_place(p, l, promoted, true) {
            if reduced > LONG { Mode::FirstSixteen } else { Mode::Sixteens }
        } else {
            Mode::First
        };
    }
    if !sixteens || in_place(p, l, promoted, true) {
        return Mode::Points;
    }
    let body = l.ops.len() + l.reductions.len();
    // What one thread does, one after the other.
    let alone = points.div_ceil(threads) * (reduced * body + 16);
    let together = (points * 16).div_ceil(threads) * (reduced.div_ceil(16) * body + 20);
    if body > SMALL || together < alone { Mode::Sixteens } else { Mode::Points }
}

/// Whether an op writes a place that is the same for all that is reduced.
fn writes_points(l: &Lanes) -> bool {
    l.ops.iter().filter(|op| is_write(op)).filter_map(|op| view_of(&op.kind)).any(|v| own_level(l, v) < 2)
}

fn own_level(l: &Lanes, v: &View) -> usize {
    let (points, reduced) = v.strides.split_at(l.dims.len().min(v.strides.len()));
    let varies = |strides: &[isize]| strides.iter().any(|s| *s != 0);
    if varies(reduced) { 2 } else { usize::from(varies(points)) }
}

/// For each op: 0 if it is the same for all points, 1 if for all that is reduced, else 2. What is written, is at least once a point; a scatter
/// each time, as what is added counts as often, and what several set has an order.
pub fn levels(l: &Lanes) -> Vec<usize> {
    let mut levels: Vec<usize> = Vec::new();
    for op in &l.ops {
        let own = match &op.kind {
            LaneKind::Position(d) => 1 + usize::from(*d >= l.dims.len()),
            kind => view_of(kind).map_or(0, |v| own_level(l, v)),
        };
        let operands = whorl_schedule::operands(&op.kind).into_iter().map(|v| levels[v.0 as usize]).max();
        let least = match op.kind {
            LaneKind::Scatter { .. } if !l.reduced.is_empty() => 2,
            _ => usize::from(is_write(op)),
        };
        levels.push(own.max(operands.unwrap_or(0)).max(least));
    }
    levels
}

/// How many of the outer dimensions keep the places apart that scatters write: no two of their points can meet.
fn apart(l: &Lanes) -> usize {
    let dims = l.dims.len();
    let separate = |keep: usize| {
        l.ops.iter().all(|op| match &op.kind {
            LaneKind::Scatter { view, at, .. } => {
                let inner: isize = view.strides[keep..]
                    .iter()
                    .enumerate()
                    .map(|(k, s)| {
                        let size = if keep + k < dims { l.dims[keep + k] } else { l.reduced[keep + k - dims] };
                        s.abs() * (size as isize - 1)
                    })
                    .sum();
                let reach: isize = at.iter().map(|i| i.stride.abs() * i.max as isize).sum();
                injective(&l.dims[..keep], &view.strides[..keep], inner + reach)
            }
            LaneKind::Store(view, _) => injective(&l.dims[..keep], &view.strides[..keep], 0),
            _ => true,
        })
    };
    (0..=dims).rev().find(|keep| separate(*keep)).unwrap_or(0)
}

/// Whether different points lie further apart than `reach`.
pub fn injective(dims: &[usize], strides: &[isize], reach: isize) -> bool {
    let mut order: Vec<(isize, isize)> =
        dims.iter().zip(strides).filter(|(n, _)| **n > 1).map(|(n, s)| (s.abs(), *n as isize)).collect();
    order.sort_unstable();
    let mut below = reach;
    order.into_iter().all(|(stride, n)| {
        let fits = stride > below;
        below += stride * (n - 1);
        fits
    })
}

/// The scalars of a phase that registers can hold: everything that writes them, all threads do.
pub fn promoted(p: &LoopProgram, phase: &Phase) -> Promoted {
    let mut candidates: Promoted = FxHashSet::default();
    let scalar = |b: BufferId| p.buffer(b).len() == 1 && matches!(p.buffer(b).place, Place::Arena(_));
    if let Phase::Train { index, .. } = phase {
        candidates.insert(*index);
    }
    let mut all = |b: BufferId, _: Touch| {
        if scalar(b) {
            candidates.insert(b);
        }
    };
    phase.body().iter().for_each(|n| each_access(n, &mut all));
    // A test is read by control flow, which is no view.
    loop {
        let before = candidates.len();
        phase.body().iter().for_each(|n| remove(p, n, &mut candidates));
        if candidates.len() == before {
            return candidates;
        }
    }
}

fn remove(p: &LoopProgram, node: &Node, candidates: &mut Promoted) {
    match node {
        Node::Loop { .. } | Node::While { .. } | Node::Switch { .. } => {
            bodies(node).into_iter().flatten().for_each(|n| remove(p, n, candidates));
        }
        Node::Lanes(l) => {
            let l = whorl_schedule::normal::normalise(l);
            let everyone = match mode(p, &l, candidates, 32) {
                Mode::Everyone => true,
                // The results are everybody's; what else is stored is not.
                Mode::Sixteens => count(&l.dims) == 1,
                Mode::First | Mode::FirstSixteen | Mode::Points | Mode::InOrder(_) => false,
            };
            for op in l.ops.iter().filter(|op| is_write(op)) {
                if let Some(view) = view_of(&op.kind)
                    && !(everyone && l.reduced.is_empty() && matches!(op.kind, LaneKind::Store(..)))
                {
                    candidates.remove(&view.buffer);
                }
            }
            for op in &l.ops {
                if let LaneKind::Gather(view, _) = &op.kind {
                    candidates.remove(&view.buffer);
                }
            }
            if !everyone {
                l.reductions.iter().for_each(|r| {
                    candidates.remove(&r.into.buffer);
                });
            }
        }
        // Read or written by address.
        Node::MatMul(_) | Node::Sort(_) | Node::Cumulative(_) => each_view(node, &mut |v, _| {
            candidates.remove(&v.buffer);
        }),
        Node::Log { .. } | Node::Check(_) => {}
    }
}
