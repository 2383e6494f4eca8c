//! Removes what no one reads: ops, stores, nodes, and at last the buffers themselves; and joins equal ops of one loop.

use std::collections::{HashMap, HashSet};

use whorl_core::ir::DType;

use crate::accesses::*;
use crate::lanes::{operands, operands_mut, view_of, writes};
use crate::loop_ir::*;

pub fn run(p: &mut LoopProgram) {
    loop {
        let read = read_anywhere(p);
        let mut changed = false;
        p.phases.iter_mut().for_each(|phase| block(phase.body_mut(), &read, &mut changed));
        if !changed {
            break;
        }
    }
    p.phases.retain(|phase| match phase {
        Phase::Straight(body) => !body.is_empty(),
        Phase::Train { .. } => true,
    });
    drop_buffers(p);
}

fn read_anywhere(p: &LoopProgram) -> HashSet<BufferId> {
    let mut read: HashSet<BufferId> = p.outputs.iter().copied().collect();
    let mut f = |b: BufferId, t: Touch| {
        if t == Touch::Read {
            read.insert(b);
        }
    };
    p.phases.iter().flat_map(Phase::body).for_each(|n| each_access(n, &mut f));
    read
}

fn block(nodes: &mut Vec<Node>, read: &HashSet<BufferId>, changed: &mut bool) {
    for node in nodes.iter_mut() {
        bodies_mut(node).into_iter().for_each(|b| block(b, read, changed));
        if let Node::Lanes(l) = node {
            let before = (l.ops.len(), l.reductions.len());
            l.reductions.retain(|r| read.contains(&r.into.buffer));
            join_equal(l);
            drop_unused(l, read);
            if l.reductions.is_empty() && !l.reduced.is_empty() {
                // Only stores are left, of a loop over all dimensions.
                l.dims.extend(std::mem::take(&mut l.reduced));
            }
            *changed |= before != (l.ops.len(), l.reductions.len());
        }
    }
    let count = nodes.len();
    nodes.retain(|n| does_something(n, read));
    *changed |= nodes.len() != count;
}

fn does_something(n: &Node, read: &HashSet<BufferId>) -> bool {
    match n {
        Node::Lanes(l) => {
            let empty = l.dims.contains(&0);
            !empty && (!l.reductions.is_empty() || l.ops.iter().any(|op| writes(&op.kind)))
        }
        Node::MatMul(m) => read.contains(&m.c.buffer),
        Node::Sort(s) => s.to.iter().any(|v| read.contains(&v.buffer)),
        Node::Cumulative(c) => read.contains(&c.to.buffer),
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

fn drop_unused(l: &mut Lanes, read: &HashSet<BufferId>) {
    let mut used = vec![false; l.ops.len()];
    l.reductions.iter().for_each(|r| used[r.value.0 as usize] = true);
    for k in (0..l.ops.len()).rev() {
        match &l.ops[k].kind {
            LaneKind::Store(v, x) => {
                used[k] = read.contains(&v.buffer) && !stores_itself(l, v, *x) && !overwritten(l, k);
            }
            LaneKind::Scatter { view, .. } => used[k] = read.contains(&view.buffer),
            _ => {}
        }
        if used[k] {
            operands(&l.ops[k].kind).iter().for_each(|v| used[v.0 as usize] = true);
        }
    }
    keep(l, &used);
}

/// Keeps these ops, in order, with values renumbered.
pub fn keep(l: &mut Lanes, used: &[bool]) {
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
    let mut known: HashMap<(LaneKind, DType), Value> = HashMap::new();
    let mut new: Vec<Value> = Vec::new();
    for k in 0..l.ops.len() {
        operands_mut(&mut l.ops[k].kind).into_iter().for_each(|v| *v = new[v.0 as usize]);
        let op = &l.ops[k];
        let mut this = Value(k as u32);
        if writes(&op.kind) {
            let written = view_of(&op.kind).expect("writes have views").buffer;
            known.retain(|(kind, _), _| view_of(kind).is_none_or(|v| v.buffer != written));
        } else {
            this = *known.entry((op.kind.clone(), op.dtype)).or_insert(this);
        }
        new.push(this);
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
