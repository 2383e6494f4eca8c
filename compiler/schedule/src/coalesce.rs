//! Gives one place to buffers that are copies of each other, so that carries, branches and updates happen in place.
//!
//! Lowering copies wherever a value changes its name. Two buffers become one if nothing writes the one while the other still
//! holds something to be read, unless what it writes is the very same value; and if a loop that reads the one and
//! writes the other does so at the same element, the read first. (Register coalescing: Chaitin 1982, on arrays.)

use rustc_hash::{FxHashMap, FxHashSet};

use crate::accesses::*;
use crate::array::injective;
use crate::clean::rename;
use crate::fuse::gcd;
use crate::lanes::{view_of, writes};
use crate::liveness::{BufferSet, Liveness};
use crate::loop_ir::*;
use crate::space::full;

/// Each round sees liveness anew; the second finds little, the third nearly nothing.
const ROUNDS: usize = 4;

pub fn run(p: &mut LoopProgram) {
    for _ in 0..ROUNDS {
        let Some(classes) = find(p) else { break };
        rename(p, &|b| classes[b.0 as usize]);
        crate::clean::run(p);
    }
}

/// The place of each buffer, if any two share one.
fn find(p: &LoopProgram) -> Option<Vec<BufferId>> {
    let liveness = Liveness::of(p);
    let mut c = Classes::new(p, &liveness);
    let mut pairs: Vec<(BufferId, BufferId)> = c.leaves.iter().flat_map(|l| l.equal.iter().copied()).collect();
    pairs.sort_by_key(|(a, b)| (std::cmp::Reverse(p.buffer(*a).bytes()), *a, *b));
    pairs.dedup();
    let mut any = false;
    for (a, b) in pairs {
        let (a, b) = (c.of[a.0 as usize], c.of[b.0 as usize]);
        if a != b && !c.interfere(a, b) && !c.interfere(b, a) && c.fixed(a, b) {
            c.unite(a, b);
            any = true;
        }
    }
    any.then_some(c.of)
}

struct Leaf<'a> {
    node: &'a Node,
    after: &'a BufferSet,
    reads: Vec<BufferId>,
    writes: Vec<BufferId>,
    /// Pairs that hold the same after the node, element by element.
    equal: FxHashSet<(BufferId, BufferId)>,
}

struct Classes<'a> {
    p: &'a LoopProgram,
    leaves: Vec<Leaf<'a>>,
    /// By buffer: the class, named by one of its members.
    of: Vec<BufferId>,
    members: FxHashMap<BufferId, Vec<BufferId>>,
    /// By class: numbers of the leaves that write a member.
    writers: FxHashMap<BufferId, Vec<usize>>,
    /// What others than nodes write: inputs, counters.
    foreign: FxHashSet<BufferId>,
}

impl<'a> Classes<'a> {
    fn new(p: &'a LoopProgram, liveness: &'a Liveness) -> Classes<'a> {
        let mut leaves = Vec::new();
        let mut foreign: FxHashSet<BufferId> = p.inputs.iter().chain(&p.run_index).copied().collect();
        for phase in &p.phases {
            if let Phase::Train { index, .. } = phase {
                foreign.insert(*index);
            }
            phase.body().iter().for_each(|n| collect(p, n, liveness, &mut leaves, &mut foreign));
        }
        let mut writers: FxHashMap<BufferId, Vec<usize>> = FxHashMap::default();
        for (k, leaf) in leaves.iter().enumerate() {
            leaf.writes.iter().for_each(|b| writers.entry(*b).or_default().push(k));
        }
        let of: Vec<BufferId> = (0..p.buffers.len()).map(|k| BufferId(k as u32)).collect();
        let members = of.iter().map(|b| (*b, vec![*b])).collect();
        Classes { p, leaves, of, members, writers, foreign }
    }

    /// Whether the class of both can be: one type, and not two places that the host knows.
    fn fixed(&self, a: BufferId, b: BufferId) -> bool {
        let all = || self.members[&a].iter().chain(&self.members[&b]);
        let known = all().filter(|m| self.p.outputs.contains(m)).count();
        let (x, y) = (self.p.buffer(a), self.p.buffer(b));
        let constant = all().any(|m| matches!(self.p.buffer(*m).place, Place::Constant(_)));
        x.dtype == y.dtype && x.len() == y.len() && known < 2 && !constant && !all().any(|m| self.foreign.contains(m))
    }

    /// Whether writing a member of class `a` would spoil what a member of `b` holds, or what is being read.
    fn interfere(&self, a: BufferId, b: BufferId) -> bool {
        let is = |x: &BufferId, class: BufferId| self.of[x.0 as usize] == class;
        self.writers.get(&a).into_iter().flatten().any(|&k| {
            let leaf = &self.leaves[k];
            let same_value = leaf.equal.iter().any(|(x, y)| is(x, a) && is(y, b) || is(x, b) && is(y, a));
            let spoils = !same_value && self.members[&b].iter().any(|y| leaf.after.contains(*y));
            let touches = leaf.reads.iter().any(|y| is(y, b)) || !same_value && leaf.writes.iter().any(|y| is(y, b));
            spoils || touches && !self.in_place(leaf.node, a, b)
        })
    }

    /// Whether the node may write members of `a` where it reads members of `b`.
    fn in_place(&self, node: &Node, a: BufferId, b: BufferId) -> bool {
        let Node::Lanes(l) = node else { return false };
        let is = |x: BufferId, class: BufferId| self.of[x.0 as usize] == class;
        let sizes = full(l);
        // One lane does one thing after the other: what it has read before it writes is not spoiled, wherever it is.
        let alone = sizes.iter().product::<usize>() == 1;
        let mut loads: Vec<(usize, &View)> = Vec::new();
        for (k, op) in l.ops.iter().enumerate() {
            match &op.kind {
                LaneKind::Load(v) if is(v.buffer, b) => loads.push((k, v)),
                LaneKind::Gather(v, _) if alone && is(v.buffer, b) => loads.push((k, v)),
                _ => {}
            }
        }
        let same = |v: &View, w: &View| {
            v.offset == w.offset && v.strides == w.strides && v.dynamic == w.dynamic && injective(&sizes, &v.strides)
        };
        let mut fits = true;
        each_view(node, &mut |v, _| fits &= !v.dynamic.iter().any(|d| is(d.index, b)));
        for (k, op) in l.ops.iter().enumerate() {
            match &op.kind {
                LaneKind::Gather(v, _) => fits &= !is(v.buffer, a) && (alone || !is(v.buffer, b)),
                LaneKind::Scatter { view: v, .. } => fits &= !is(v.buffer, a) && !is(v.buffer, b),
                LaneKind::Store(w, _) if is(w.buffer, a) => {
                    fits &= loads.iter().all(|(at, v)| *at < k && (alone || same(v, w) || rows(&sizes, v, w)));
                }
                LaneKind::Store(w, _) if is(w.buffer, b) => {
                    // Both are written: fine if with the same value.
                    fits &= l.ops.iter().all(|other| match (&other.kind, &op.kind) {
                        (LaneKind::Store(v, x), LaneKind::Store(_, y)) if is(v.buffer, a) => x == y && same(v, w),
                        _ => true,
                    });
                }
                _ => {}
            }
        }
        fits && !l.reductions.iter().any(|r| is(r.into.buffer, a) || is(r.into.buffer, b))
    }

    fn unite(&mut self, a: BufferId, b: BufferId) {
        // The host's own place keeps its number.
        let is_output = |c: BufferId| self.members[&c].iter().any(|m| self.p.outputs.contains(m));
        let (keep, gone) = if is_output(b) { (b, a) } else { (a, b) };
        let name = match self.members[&keep].iter().find(|m| self.p.outputs.contains(m)) {
            Some(output) => *output,
            None => keep,
        };
        let mut members = self.members.remove(&keep).unwrap_or_default();
        members.extend(self.members.remove(&gone).unwrap_or_default());
        let mut writers = self.writers.remove(&keep).unwrap_or_default();
        writers.extend(self.writers.remove(&gone).unwrap_or_default());
        members.iter().for_each(|m| self.of[m.0 as usize] = name);
        self.members.insert(name, members);
        self.writers.insert(name, writers);
    }
}

/// Whether the views are rows of one array, at positions known at run time: the same row or different ones, so that lanes meet only themselves.
fn rows(sizes: &[usize], v: &View, w: &View) -> bool {
    let step = v.dynamic.iter().chain(&w.dynamic).fold(0, |g, d| gcd(g, d.stride.unsigned_abs()));
    let reach: usize = sizes.iter().zip(&v.strides).map(|(n, s)| n.saturating_sub(1) * s.unsigned_abs()).sum();
    let apart = v.offset.abs_diff(w.offset);
    v.strides == w.strides
        && v.strides.iter().all(|s| *s >= 0)
        && injective(sizes, &v.strides)
        && reach < step
        && apart.is_multiple_of(step)
}

fn collect<'a>(
    p: &LoopProgram,
    node: &'a Node,
    liveness: &'a Liveness,
    leaves: &mut Vec<Leaf<'a>>,
    foreign: &mut FxHashSet<BufferId>,
) {
    match node {
        Node::Loop { index, .. } => {
            foreign.insert(*index);
        }
        Node::While { .. } | Node::Switch { .. } => {}
        Node::Lanes(_) | Node::MatMul(_) | Node::Sort(_) | Node::Cumulative(_) | Node::Log { .. } | Node::Check(_) => {
            let (mut reads, mut writes) = (Vec::new(), Vec::new());
            each_access(node, &mut |b, t| match t {
                Touch::Read => reads.push(b),
                Touch::Write => writes.push(b),
            });
            let equal = match node {
                Node::Lanes(l) => equal_pairs(p, l),
                _ => FxHashSet::default(),
            };
            leaves.push(Leaf { node, after: liveness.after(node), reads, writes, equal });
        }
    }
    bodies(node).into_iter().flatten().for_each(|n| collect(p, n, liveness, leaves, foreign));
}

/// Buffers that a loop copies whole, and those that it fills with the same values.
fn equal_pairs(p: &LoopProgram, l: &Lanes) -> FxHashSet<(BufferId, BufferId)> {
    let sizes = full(l);
    let whole = |v: &View| {
        let len = p.buffer(v.buffer).len();
        v.dynamic.is_empty() && sizes.iter().product::<usize>() == len && injective(&sizes, &v.strides)
    };
    // What is written twice, or loaded and written, may hold something else in the end.
    let count = |b: BufferId| {
        l.ops.iter().filter(|op| writes(&op.kind) && view_of(&op.kind).is_some_and(|v| v.buffer == b)).count()
    };
    let mut pairs = FxHashSet::default();
    let mut add = |v: &View, w: &View, copy: bool| {
        if copy && count(v.buffer) > 0 || !copy && count(v.buffer) > 1 || count(w.buffer) > 1 {
            return;
        }
        if v.buffer != w.buffer && v.offset == w.offset && v.strides == w.strides && whole(v) && whole(w) {
            pairs.insert((v.buffer.min(w.buffer), v.buffer.max(w.buffer)));
        }
    };
    for (k, op) in l.ops.iter().enumerate() {
        let LaneKind::Store(w, value) = &op.kind else { continue };
        if let LaneKind::Load(v) = &l.ops[value.0 as usize].kind {
            add(v, w, true);
        }
        for other in &l.ops[..k] {
            if let LaneKind::Store(v, x) = &other.kind
                && x == value
            {
                add(v, w, false);
            }
        }
    }
    pairs
}
