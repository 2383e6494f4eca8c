//! Removes what no one reads: ops, stores, nodes, and at last the buffers themselves; and joins equal ops of one loop.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use crate::accesses::*;
use crate::lanes::{operands, operands_mut, view_of, writes};
use crate::liveness::BufferSet;
use crate::loop_ir::*;

pub fn run(p: &mut LoopProgram) {
    // A loop is cleaned until nothing is left to do in it: later only what writes buffers that are no longer read is looked at again.
    let mut again = false;
    loop {
        let read = read_anywhere(p);
        let mut changed = false;
        p.phases.iter_mut().for_each(|phase| block(phase.body_mut(), &read, again, &mut changed));
        if !changed {
            break;
        }
        again = true;
    }
    p.phases.retain(|phase| match phase {
        Phase::Straight(body) => !body.is_empty(),
        Phase::Train { .. } => true,
    });
    drop_buffers(p);
}

fn read_anywhere(p: &LoopProgram) -> BufferSet {
    let mut read = BufferSet::new(p.buffers.len());
    p.outputs.iter().for_each(|b| read.insert(*b));
    let mut f = |b: BufferId, t: Touch| {
        if t == Touch::Read {
            read.insert(b);
        }
    };
    p.phases.iter().flat_map(Phase::body).for_each(|n| each_access(n, &mut f));
    read
}

fn block(nodes: &mut Vec<Node>, read: &BufferSet, again: bool, changed: &mut bool) {
    for node in nodes.iter_mut() {
        bodies_mut(node).into_iter().for_each(|b| block(b, read, again, changed));
        if let Node::Lanes(l) = node
            && (!again || writes_in_vain(l, read))
        {
            *changed |= lanes(l, read);
        }
    }
    let count = nodes.len();
    nodes.retain(|n| does_something(n, read));
    *changed |= nodes.len() != count;
}

fn writes_in_vain(l: &Lanes, read: &BufferSet) -> bool {
    let stored = l.ops.iter().filter(|op| writes(&op.kind)).filter_map(|op| view_of(&op.kind));
    stored.chain(l.reductions.iter().map(|r| &r.into)).any(|v| !read.contains(v.buffer))
}

/// Whether anything was removed.
fn lanes(l: &mut Lanes, read: &BufferSet) -> bool {
    let before = (l.ops.len(), l.reductions.len());
    l.reductions.retain(|r| read.contains(r.into.buffer));
    // A store or load that is gone may have kept others apart.
    loop {
        join_equal(l);
        if !drop_unused(l, read) {
            break;
        }
    }
    if l.reductions.is_empty() && !l.reduced.is_empty() {
        // Only stores are left, of a loop over all dimensions.
        l.dims.extend(std::mem::take(&mut l.reduced));
    }
    before != (l.ops.len(), l.reductions.len())
}

fn does_something(n: &Node, read: &BufferSet) -> bool {
    match n {
        Node::Lanes(l) => {
            let empty = l.dims.contains(&0);
            !empty && (!l.reductions.is_empty() || l.ops.iter().any(|op| writes(&op.kind)))
        }
        Node::MatMul(m) => read.contains(m.c.buffer),
        Node::Sort(s) => s.to.iter().any(|v| read.contains(v.buffer)),
        Node::Cumulative(c) => read.contains(c.to.buffer),
        Node::Log { .. } | Node::Check(_) => true,
        Node::Loop { n, body, .. } => *n > 0 && !body.is_empty(),
        // Whether it ends is not ours to decide.
        Node::While { .. } => true,
        Node::Switch { arms, .. } => arms.iter().any(|a| !a.is_empty()),
    }
}

/// A store of what was just loaded from the same place.
fn stores_itself(l: &Lanes, view: &View, value: Value) -> bool {
    matches!(&l.ops[value.0 as usize].kind, LaneKind::Load(from) if from == view)
        && l.ops
            .iter()
            .filter(|op| writes(&op.kind) && view_of(&op.kind).is_some_and(|v| v.buffer == view.buffer))
            .count()
            == 1
}

/// Whether a later store to the same elements makes this one vain, with no other access to the buffer between.
fn overwritten(l: &Lanes, k: usize) -> bool {
    let view = view_of(&l.ops[k].kind).expect("a store");
    let next = l.ops[k + 1..].iter().find(|op| view_of(&op.kind).is_some_and(|v| v.buffer == view.buffer));
    next.is_some_and(|op| matches!(&op.kind, LaneKind::Store(v, _) if v == view))
}

/// Whether any of what was removed touched a buffer that the loop writes.
fn drop_unused(l: &mut Lanes, read: &BufferSet) -> bool {
    let mut used = vec![false; l.ops.len()];
    l.reductions.iter().for_each(|r| used[r.value.0 as usize] = true);
    for k in (0..l.ops.len()).rev() {
        match &l.ops[k].kind {
            LaneKind::Store(v, x) => {
                used[k] = read.contains(v.buffer) && !stores_itself(l, v, *x) && !overwritten(l, k);
            }
            LaneKind::Scatter { view, .. } => used[k] = read.contains(view.buffer),
            _ => {}
        }
        if used[k] {
            operands(&l.ops[k].kind).iter().for_each(|v| used[v.0 as usize] = true);
        }
    }
    let written: SmallVec<[BufferId; 8]> = written(l).collect();
    let gone = l.ops.iter().zip(&used).filter(|(_, used)| !**used);
    let matters = gone.filter_map(|(op, _)| view_of(&op.kind)).any(|v| written.contains(&v.buffer));
    keep(l, &used);
    matters
}

/// What the loop's ops write, with repetition.
fn written(l: &Lanes) -> impl Iterator<Item = BufferId> + '_ {
    l.ops.iter().filter(|op| writes(&op.kind)).filter_map(|op| view_of(&op.kind)).map(|v| v.buffer)
}

/// Keeps these ops, in order, with values renumbered.
pub fn keep(l: &mut Lanes, used: &[bool]) {
    if used.iter().all(|u| *u) {
        return;
    }
    let mut new = vec![Value(u32::MAX); l.ops.len()];
    let mut ops = Vec::new();
    for (k, mut op) in std::mem::take(&mut l.ops).into_iter().enumerate().filter(|(k, _)| used[*k]) {
        operands_mut(&mut op.kind).into_iter().for_each(|v| *v = new[v.0 as usize]);
        new[k] = Value(ops.len() as u32);
        ops.push(op);
    }
    l.ops = ops;
    l.reductions.iter_mut().for_each(|r| r.value = new[r.value.0 as usize]);
}

/// Equal ops are one; loads only if no write to their buffer lies between.
fn join_equal(l: &mut Lanes) {
    const NONE: u32 = u32::MAX;
    // By hash the last op that has it, and by op the one before it with the same hash: kinds are compared where they are.
    let mut last: FxHashMap<u64, u32> = FxHashMap::default();
    let mut before: Vec<u32> = Vec::with_capacity(l.ops.len());
    let mut writes_at: SmallVec<[(BufferId, u32); 8]> = SmallVec::new();
    let mut new: Vec<Value> = Vec::with_capacity(l.ops.len());
    for k in 0..l.ops.len() {
        operands_mut(&mut l.ops[k].kind).into_iter().for_each(|v| *v = new[v.0 as usize]);
        let op = &l.ops[k];
        let view = view_of(&op.kind).map(|v| v.buffer);
        before.push(NONE);
        new.push(Value(k as u32));
        if writes(&op.kind) {
            let buffer = view.expect("writes have views");
            match writes_at.iter_mut().find(|(b, _)| *b == buffer) {
                Some((_, at)) => *at = k as u32,
                None => writes_at.push((buffer, k as u32)),
            }
            continue;
        }
        let written = view.and_then(|b| writes_at.iter().find(|(w, _)| *w == b)).map(|w| w.1);
        let mut hasher = FxHasher::default();
        (&op.kind, op.dtype).hash(&mut hasher);
        let head = last.entry(hasher.finish()).or_insert(NONE);
        let mut candidate = *head;
        while candidate != NONE {
            let other = &l.ops[candidate as usize];
            if written.is_none_or(|at| at < candidate) && other.dtype == op.dtype && other.kind == op.kind {
                break;
            }
            candidate = before[candidate as usize];
        }
        if candidate == NONE {
            before[k] = std::mem::replace(head, k as u32);
        } else {
            new[k] = Value(candidate);
        }
    }
    l.reductions.iter_mut().for_each(|r| r.value = new[r.value.0 as usize]);
}

/// Renumbers the buffers that are still used.
fn drop_buffers(p: &mut LoopProgram) {
    let mut used = vec![false; p.buffers.len()];
    for b in p.inputs.iter().chain(&p.outputs).chain(&p.run_index) {
        used[b.0 as usize] = true;
    }
    for phase in &p.phases {
        if let Phase::Train { index, .. } = phase {
            used[index.0 as usize] = true;
        }
        phase.body().iter().for_each(|n| each_access(n, &mut |b, _| used[b.0 as usize] = true));
    }
    let mut new = vec![BufferId(u32::MAX); used.len()];
    let mut buffers = Vec::new();
    for (k, b) in std::mem::take(&mut p.buffers).into_iter().enumerate().filter(|(k, _)| used[*k]) {
        new[k] = BufferId(buffers.len() as u32);
        buffers.push(b);
    }
    p.buffers = buffers;
    rename(p, &|b| new[b.0 as usize]);
}

/// Replaces every mention of a buffer.
pub fn rename(p: &mut LoopProgram, to: &impl Fn(BufferId) -> BufferId) {
    p.inputs.iter_mut().chain(&mut p.outputs).chain(&mut p.run_index).for_each(|b| *b = to(*b));
    for phase in &mut p.phases {
        if let Phase::Train { index, state, .. } = phase {
            *index = to(*index);
            state.iter_mut().for_each(|b| *b = to(*b));
        }
        for n in phase.body_mut() {
            each_scalar_mut(n, &mut |b| *b = to(*b));
            each_view_mut(n, &mut |v| {
                v.buffer = to(v.buffer);
                v.dynamic.iter_mut().for_each(|d| d.index = to(d.index));
            });
        }
    }
}
