//! Makes one loop of several, where lanes of the one need nothing of the other but what the same lane computed.
//!
//! In each block, every loop tries to join an earlier one: the two go over the same points (dimensions may be split, and, where a
//! reduction reads what the other stores, reordered), one of them can move to the other past everything between, and whatever
//! both touch they touch at the same element. What the first stored, the second then has in a register; [`crate::clean`] drops the
//! array if no one else reads it.

use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use whorl_core::prim::Unary;

use crate::accesses::*;
use crate::array::injective;
use crate::lanes::{join_spans, operands_mut, view_of};
use crate::loop_ir::*;
use crate::space::{Space, common, full, respaced, strides};

/// Longer loops spill more than they save.
const MOST_OPS: usize = 480;
/// How far back a loop looks for company.
const LOOK_BACK: usize = 96;

pub fn run(p: &mut LoopProgram) {
    each_block_mut(p, &mut |nodes| {
        let mut block = Block::of(std::mem::take(nodes));
        while block.round() {}
        nodes.extend(block.slots.into_iter().flatten().map(|s| s.node));
    });
}

/// What a node touches, its bodies included; in the order of buffers.
struct Effects {
    reads: Vec<BufferId>,
    writes: Vec<BufferId>,
}

impl Effects {
    fn of(node: &Node) -> Effects {
        let mut e = Effects { reads: Vec::new(), writes: Vec::new() };
        each_access(node, &mut |b, t| {
            match t {
                Touch::Read => e.reads.push(b),
                Touch::Write => e.writes.push(b),
            };
        });
        for all in [&mut e.reads, &mut e.writes] {
            all.sort_unstable();
            all.dedup();
        }
        e
    }

    fn conflicts(&self, other: &Effects) -> bool {
        meet(&self.writes, &other.writes) || meet(&self.writes, &other.reads) || meet(&self.reads, &other.writes)
    }
}

/// Whether two ordered lists have something in common.
fn meet(a: &[BufferId], b: &[BufferId]) -> bool {
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    few.iter().any(|x| many.binary_search(x).is_ok())
}

struct Slot {
    node: Node,
    effects: Effects,
    /// None that the block has had before has the same.
    number: u32,
}

/// The nodes of a block, empty where one has moved away.
struct Block {
    slots: Vec<Option<Slot>>,
    next: u32,
    /// Loops that are known not to fit together, by their numbers.
    misfits: FxHashSet<(u32, u32)>,
}

impl Block {
    fn of(nodes: Vec<Node>) -> Block {
        let mut block = Block { slots: Vec::with_capacity(nodes.len()), next: 0, misfits: FxHashSet::default() };
        for node in nodes {
            let slot = block.slot(node);
            block.slots.push(Some(slot));
        }
        block
    }

    fn slot(&mut self, node: Node) -> Slot {
        self.next += 1;
        Slot { effects: Effects::of(&node), node, number: self.next }
    }

    /// Every loop looks for an earlier one once; whether any found one.
    fn round(&mut self) -> bool {
        let mut changed = false;
        for k in 0..self.slots.len() {
            let Some((both, g, moves_up)) = self.company(k) else { continue };
            (self.slots[g], self.slots[k]) = (None, None);
            let both = self.slot(Node::Lanes(both));
            self.slots[if moves_up { g } else { k }] = Some(both);
            changed = true;
        }
        self.slots.retain(Option::is_some);
        changed
    }

    /// The loop at `k` and an earlier one as one, where the earlier one is, and whether it is there that they meet.
    fn company(&mut self, k: usize) -> Option<(Lanes, usize, bool)> {
        let Slot { node: Node::Lanes(second), effects, number } = self.slots[k].as_ref()? else { return None };
        let mut moves_up = true;
        let earlier = (0..k).rev().filter_map(|g| self.slots[g].as_ref().map(|s| (g, s)));
        for (g, slot) in earlier.take(LOOK_BACK) {
            if let Node::Lanes(first) = &slot.node {
                let pair = (slot.number, *number);
                let between = || self.slots[g + 1..k].iter().flatten();
                if (moves_up || !between().any(|m| m.effects.conflicts(&slot.effects))) && !self.misfits.contains(&pair)
                {
                    match merged(first, second) {
                        Some(both) => return Some((both, g, moves_up)),
                        None => self.misfits.insert(pair),
                    };
                }
            }
            moves_up &= !slot.effects.conflicts(effects);
        }
        None
    }
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
    // Most loops that do not fit are seen not to before anything is copied.
    if !independent(first, second, |_, _| true) {
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
    let fits = |v: &View, w: &View| {
        let v = View { strides: strides(&v.strides, &f), ..v.clone() };
        let w = View { strides: strides(&w.strides, &s), ..w.clone() };
        apart(&v, &w) || v == w && injective(&f.sizes, &v.strides)
    };
    independent(first, second, fits).then(|| join(respaced(first, &f, dims), respaced(second, &s, dims)))
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

/// Joins loops over the same dimensions, whose lanes stay independent.
fn join(first: Lanes, second: Lanes) -> Lanes {
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
    both
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

/// Whether lanes stay independent; `fits` says it of a buffer's views, of which one is a store and the other a store or a load.
fn independent(first: &Lanes, second: &Lanes, fits: impl Fn(&View, &View) -> bool) -> bool {
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
            plain(*how_v) && plain(*how_w) && fits(v, w)
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
