//! Makes one loop of several, where lanes of the one need nothing of the other but what the same lane computed.
//!
//! In each block, every loop tries to join an earlier one: the two go over the same points (dimensions may be split, and, where a
//! reduction reads what the other stores, reordered), one of them can move to the other past everything between, and whatever
//! both touch they touch at the same element. What the first stored, the second then has in a register; [`crate::clean`] drops the
//! array if no one else reads it.

use std::collections::HashSet;

use smallvec::SmallVec;
use whorl_core::prim::Unary;

use crate::accesses::*;
use crate::array::injective;
use crate::lanes::{join_spans, operands_mut, view_of};
use crate::loop_ir::*;
use crate::space::{Space, common, full, respaced};

/// Longer loops spill more than they save.
const MOST_OPS: usize = 480;
/// How far back a loop looks for company.
const LOOK_BACK: usize = 96;

pub fn run(p: &mut LoopProgram) {
    each_block_mut(p, &mut |nodes| {
        while round(nodes) {}
    });
}

/// What a node touches, its bodies included.
struct Effects {
    reads: HashSet<BufferId>,
    writes: HashSet<BufferId>,
}

impl Effects {
    fn of(node: &Node) -> Effects {
        let mut e = Effects { reads: HashSet::new(), writes: HashSet::new() };
        each_access(node, &mut |b, t| {
            match t {
                Touch::Read => e.reads.insert(b),
                Touch::Write => e.writes.insert(b),
            };
        });
        e
    }

    fn conflicts(&self, other: &Effects) -> bool {
        !self.writes.is_disjoint(&other.writes)
            || !self.writes.is_disjoint(&other.reads)
            || !self.reads.is_disjoint(&other.writes)
    }
}

fn round(nodes: &mut Vec<Node>) -> bool {
    let mut slots: Vec<Option<Node>> = nodes.drain(..).map(Some).collect();
    let mut effects: Vec<Effects> = slots.iter().flatten().map(Effects::of).collect();
    let mut changed = false;
    for k in 0..slots.len() {
        let Some(Node::Lanes(second)) = &slots[k] else { continue };
        let mut moves_up = true;
        let mut seen = 0;
        for g in (0..k).rev() {
            let Some(earlier) = &slots[g] else { continue };
            if let Node::Lanes(first) = earlier
                && (moves_up || !(g + 1..k).any(|m| slots[m].is_some() && effects[m].conflicts(&effects[g])))
                && let Some(both) = merged(first, second)
            {
                let both = Node::Lanes(both);
                let at = if moves_up { g } else { k };
                (slots[g], slots[k]) = (None, None);
                effects[at] = Effects::of(&both);
                slots[at] = Some(both);
                changed = true;
                break;
            }
            moves_up &= !effects[g].conflicts(&effects[k]);
            seen += 1;
            if seen == LOOK_BACK {
                break;
            }
        }
    }
    nodes.extend(slots.into_iter().flatten());
    changed
}

fn has_scatter(l: &Lanes) -> bool {
    l.ops.iter().any(|op| matches!(op.kind, LaneKind::Scatter { .. }))
}

/// Whether an op is worth more than a few loads.
pub fn is_heavy(kind: &LaneKind) -> bool {
    match kind {
        LaneKind::Unary(u, _) => match u {
            Unary::Neg
            | Unary::Abs
            | Unary::Sign
            | Unary::Floor
            | Unary::Ceil
            | Unary::Round
            | Unary::Not
            | Unary::PopCount => false,
            Unary::Sqrt | Unary::Math(_) => true,
        },
        LaneKind::Binary(b, ..) => {
            use whorl_core::prim::Binary::*;
            match b {
                Div | Rem | Pow | Atan2 => true,
                Add | Sub | Mul | Min | Max | And | Or | Xor | Shl | Shr | ShrLogical => false,
            }
        }
        LaneKind::Threefry(..) => true,
        LaneKind::Lit(_)
        | LaneKind::Position(_)
        | LaneKind::Load(_)
        | LaneKind::Gather(..)
        | LaneKind::Compare(..)
        | LaneKind::Select(..)
        | LaneKind::MulAdd(..)
        | LaneKind::Convert(_)
        | LaneKind::Bitcast(_)
        | LaneKind::Store(..)
        | LaneKind::Scatter { .. } => false,
    }
}

/// A loop that can not be vectorised shall not draw work into it that can.
fn keeps_apart(first: &Lanes, second: &Lanes) -> bool {
    let serial = |l: &Lanes| {
        let few = l.dims.iter().product::<usize>() < 8;
        has_scatter(l) || few && l.reductions.iter().any(|r| r.order == ReduceOrder::Sequential)
    };
    let works = |l: &Lanes| l.ops.iter().any(|op| is_heavy(&op.kind));
    serial(first) != serial(second) && (has_scatter(first) != has_scatter(second) || works(first) || works(second))
}

fn merged(first: &Lanes, second: &Lanes) -> Option<Lanes> {
    if first.ops.len() + second.ops.len() > MOST_OPS || keeps_apart(first, second) {
        return None;
    }
    let (f, s) = (full(first), full(second));
    if f.iter().product::<usize>() != s.iter().product::<usize>() || f.contains(&0) {
        return None;
    }
    aligned(first, second).or_else(|| {
        let (a, b) = reordered(first, second)?;
        aligned(&a, &b)
    })
}

/// Joins loops whose points correspond in row-major order.
fn aligned(first: &Lanes, second: &Lanes) -> Option<Lanes> {
    let (f, s) = common(&full(first), &full(second))?;
    // Where the reduced dimensions begin; a reduction over one element would lose them.
    let boundary = |l: &Lanes, space: &Space| -> Option<Option<usize>> {
        if l.reductions.is_empty() {
            return Some(None);
        }
        if l.reduced.iter().all(|&n| n == 1) {
            return None;
        }
        Some(Some(space.of[..l.dims.len()].iter().map(|d| d.len()).sum()))
    };
    let dims = match (boundary(first, &f)?, boundary(second, &s)?) {
        (Some(a), Some(b)) if a != b => return None,
        (Some(a), _) | (None, Some(a)) => a,
        (None, None) => f.sizes.len(),
    };
    join(respaced(first, &f, dims), respaced(second, &s, dims))
}

/// With the dimensions of one of them in the order of the other's, judged by an array that the first stores and the second loads.
fn reordered(first: &Lanes, second: &Lanes) -> Option<(Lanes, Lanes)> {
    let ordered = |l: &Lanes| !l.reduced.is_empty() || has_scatter(l);
    if ordered(first) && ordered(second) {
        return None;
    }
    let stored = |v: &View| {
        first.ops.iter().find_map(|op| match &op.kind {
            LaneKind::Store(w, _) if w.buffer == v.buffer && w.offset == v.offset => Some(w.clone()),
            _ => None,
        })
    };
    let (w, v) = second.ops.iter().find_map(|op| match &op.kind {
        LaneKind::Load(v) => stored(v).map(|w| (w, v.clone())),
        _ => None,
    })?;
    let (f, s) = (full(first), full(second));
    // Of the loop that stays: sizes and strides of its dimensions longer than one.
    let long = |sizes: &[usize], v: &View| -> Vec<(usize, isize)> {
        sizes.iter().copied().zip(v.strides.iter().copied()).filter(|d| d.0 != 1).collect()
    };
    let (keep, change, l) = if ordered(second) {
        (long(&s, &v), f.iter().copied().zip(w.strides.iter().copied()).collect::<Vec<_>>(), first)
    } else {
        (long(&f, &w), s.iter().copied().zip(v.strides.iter().copied()).collect::<Vec<_>>(), second)
    };
    let mut of: Vec<SmallVec<[usize; 2]>> = Vec::new();
    for d in &change {
        if d.0 == 1 {
            of.push(SmallVec::new());
            continue;
        }
        let at = keep.iter().position(|k| k == d)?;
        if of.iter().any(|o| o.contains(&at)) {
            return None;
        }
        of.push(SmallVec::from_slice(&[at]));
    }
    if of.iter().map(|o| o.len()).sum::<usize>() != keep.len() {
        return None;
    }
    let space = Space { sizes: keep.iter().map(|d| d.0).collect(), of };
    let changed = respaced(l, &space, space.sizes.len());
    Some(if ordered(second) { (changed, second.clone()) } else { (first.clone(), changed) })
}

/// Joins loops over the same dimensions, if lanes stay independent.
fn join(first: Lanes, second: Lanes) -> Option<Lanes> {
    let sizes = full(&first);
    if !independent(&first, &second, &sizes) {
        return None;
    }
    let mut both = first;
    if both.reductions.is_empty() {
        (both.dims, both.reduced) = (second.dims, second.reduced);
    }
    let mut new: Vec<Value> = Vec::new();
    for mut op in second.ops {
        operands_mut(&mut op.kind).into_iter().for_each(|v| *v = new[v.0 as usize]);
        if let LaneKind::Load(v) = &op.kind
            && let Some(value) = stored_value(&both, v)
        {
            new.push(value);
            continue;
        }
        new.push(Value(both.ops.len() as u32));
        both.ops.push(op);
    }
    both.reductions.extend(second.reductions.into_iter().map(|r| Reduction { value: new[r.value.0 as usize], ..r }));
    join_spans(&mut both.spans, &second.spans);
    Some(both)
}

fn stored_value(l: &Lanes, view: &View) -> Option<Value> {
    l.ops.iter().rev().find_map(|op| match &op.kind {
        LaneKind::Store(v, value) if v == view => Some(*value),
        _ => None,
    })
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    Load,
    Store,
    /// At an offset the lane computes, or once for all reduced points.
    Elsewhere {
        writes: bool,
    },
}

impl How {
    fn writes(self) -> bool {
        match self {
            How::Load => false,
            How::Store => true,
            How::Elsewhere { writes } => writes,
        }
    }
}

fn views(l: &Lanes) -> Vec<(&View, How)> {
    let of_op = |op: &'_ LaneOp| match op.kind {
        LaneKind::Load(_) => How::Load,
        LaneKind::Store(..) => How::Store,
        LaneKind::Gather(..) => How::Elsewhere { writes: false },
        _ => How::Elsewhere { writes: true },
    };
    let ops = l.ops.iter().filter_map(|op| view_of(&op.kind).map(|v| (v, of_op(op))));
    ops.chain(l.reductions.iter().map(|r| (&r.into, How::Elsewhere { writes: true }))).collect()
}

fn independent(first: &Lanes, second: &Lanes, sizes: &[usize]) -> bool {
    let (a, b) = (views(first), views(second));
    let indices = |x: &[(&View, How)], writes: &[(&View, How)]| {
        x.iter().flat_map(|(v, _)| &v.dynamic).any(|d| writes.iter().any(|(w, h)| h.writes() && w.buffer == d.index))
    };
    if indices(&a, &b) || indices(&b, &a) {
        return false;
    }
    a.iter().all(|(v, how_v)| {
        b.iter().filter(|(w, how_w)| v.buffer == w.buffer && (how_v.writes() || how_w.writes())).all(|(w, how_w)| {
            let plain = |h: How| h == How::Load || h == How::Store;
            plain(*how_v) && plain(*how_w) && (apart(v, w) || v == w && injective(sizes, &v.strides))
        })
    })
}

/// Whether two views of one loop never meet: equal steps, from beginnings that differ by less than the steps' common measure.
fn apart(v: &View, w: &View) -> bool {
    if v.strides != w.strides || v.dynamic != w.dynamic {
        return false;
    }
    let steps = v.strides.iter().copied().chain(v.dynamic.iter().map(|d| d.stride));
    let measure = steps.fold(0usize, |g, s| gcd(g, s.unsigned_abs()));
    let distance = v.offset.abs_diff(w.offset);
    if measure == 0 { distance != 0 } else { !distance.is_multiple_of(measure) }
}

pub fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
