//! What nodes read and write.

use crate::lanes::view_of;
use crate::loop_ir::*;

/// How a node touches a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touch {
    Read,
    Write,
}

/// Calls `f` with every access of the node, those of its bodies included, in the order of execution as written.
pub fn each_access(node: &Node, f: &mut impl FnMut(BufferId, Touch)) {
    match node {
        Node::Loop { index, body, .. } => {
            f(*index, Touch::Write);
            body.iter().for_each(|n| each_access(n, f));
        }
        Node::While { condition, test, body, .. } => {
            condition.iter().for_each(|n| each_access(n, f));
            f(*test, Touch::Read);
            body.iter().for_each(|n| each_access(n, f));
        }
        Node::Switch { which, arms } => {
            scalar(which, f);
            arms.iter().flatten().for_each(|n| each_access(n, f));
        }
        Node::Lanes(_) | Node::MatMul(_) | Node::Sort(_) | Node::Cumulative(_) | Node::Log { .. } | Node::Check(_) => {
            each_view(node, &mut |v, touch| {
                v.dynamic.iter().for_each(|d| f(d.index, Touch::Read));
                f(v.buffer, touch);
            });
        }
    }
}

/// The views of a node without bodies; reads before writes.
pub fn each_view(node: &Node, f: &mut impl FnMut(&View, Touch)) {
    match node {
        Node::Loop { .. } | Node::While { .. } | Node::Switch { .. } => {}
        Node::Lanes(l) => {
            for op in &l.ops {
                let Some(view) = view_of(&op.kind) else { continue };
                match op.kind {
                    LaneKind::Store(..) => {}
                    LaneKind::Scatter { add: false, .. } => {}
                    LaneKind::Scatter { add: true, .. } => f(view, Touch::Read),
                    _ => f(view, Touch::Read),
                }
            }
            for op in l.ops.iter().filter(|op| crate::lanes::writes(&op.kind)) {
                if let Some(view) = view_of(&op.kind) {
                    f(view, Touch::Write);
                }
            }
            l.reductions.iter().for_each(|r| f(&r.into, Touch::Write));
        }
        Node::MatMul(m) => {
            f(&m.a, Touch::Read);
            f(&m.b, Touch::Read);
            m.epilogue.iter().for_each(|e| f(&e.bias, Touch::Read));
            if m.accumulate {
                f(&m.c, Touch::Read);
            }
            f(&m.c, Touch::Write);
        }
        Node::Sort(s) => {
            s.from.iter().for_each(|v| f(v, Touch::Read));
            s.to.iter().for_each(|v| f(v, Touch::Write));
        }
        Node::Cumulative(c) => {
            f(&c.from, Touch::Read);
            f(&c.to, Touch::Write);
        }
        Node::Log { value, mask, steps, .. } => {
            let indices = steps.iter().map(|s| &s.index);
            [value].into_iter().chain(mask).chain(indices).for_each(|v| f(v, Touch::Read));
        }
        Node::Check(c) => {
            let indices = c.steps.iter().map(|s| &s.index);
            c.values.iter().chain(&c.mask).chain(indices).for_each(|v| f(v, Touch::Read));
        }
    }
}

/// All views of a node and its bodies, for changing. Not the scalars that control flow reads: see [`each_scalar_mut`].
pub fn each_view_mut(node: &mut Node, f: &mut impl FnMut(&mut View)) {
    match node {
        Node::Loop { body, .. } => body.iter_mut().for_each(|n| each_view_mut(n, f)),
        Node::While { condition, body, .. } => {
            condition.iter_mut().chain(body).for_each(|n| each_view_mut(n, f));
        }
        Node::Switch { arms, .. } => arms.iter_mut().flatten().for_each(|n| each_view_mut(n, f)),
        Node::Lanes(l) => {
            l.ops.iter_mut().filter_map(|op| crate::lanes::view_of_mut(&mut op.kind)).for_each(&mut *f);
            l.reductions.iter_mut().for_each(|r| f(&mut r.into));
        }
        Node::MatMul(m) => {
            let bias = m.epilogue.as_mut().map(|e| &mut e.bias);
            [&mut m.a, &mut m.b, &mut m.c].into_iter().chain(bias).for_each(f);
        }
        Node::Sort(s) => s.from.iter_mut().chain(&mut s.to).for_each(f),
        Node::Cumulative(c) => [&mut c.from, &mut c.to].into_iter().for_each(f),
        Node::Log { value, mask, steps, .. } => {
            let indices = steps.iter_mut().map(|s| &mut s.index);
            [value].into_iter().chain(mask).chain(indices).for_each(f);
        }
        Node::Check(c) => {
            let indices = c.steps.iter_mut().map(|s| &mut s.index);
            c.values.iter_mut().chain(&mut c.mask).chain(indices).for_each(f);
        }
    }
}

/// The scalar buffers that control flow names: indices, tests, choices.
pub fn each_scalar_mut(node: &mut Node, f: &mut impl FnMut(&mut BufferId)) {
    match node {
        Node::Loop { index, body, .. } => {
            f(index);
            body.iter_mut().for_each(|n| each_scalar_mut(n, f));
        }
        Node::While { condition, test, body, .. } => {
            f(test);
            condition.iter_mut().chain(body).for_each(|n| each_scalar_mut(n, f));
        }
        Node::Switch { which, arms } => {
            if let Scalar::Buffer(b) = which {
                f(b);
            }
            arms.iter_mut().flatten().for_each(|n| each_scalar_mut(n, f));
        }
        Node::Lanes(_) | Node::MatMul(_) | Node::Sort(_) | Node::Cumulative(_) | Node::Log { .. } | Node::Check(_) => {}
    }
}

fn scalar(s: &Scalar, f: &mut impl FnMut(BufferId, Touch)) {
    match s {
        Scalar::Lit(_) => {}
        Scalar::Buffer(b) => f(*b, Touch::Read),
    }
}

/// The bodies of a node, for passes that go through all blocks.
pub fn bodies_mut(node: &mut Node) -> Vec<&mut Vec<Node>> {
    match node {
        Node::Loop { body, .. } => vec![body],
        Node::While { condition, body, .. } => vec![condition, body],
        Node::Switch { arms, .. } => arms.iter_mut().collect(),
        Node::Lanes(_) | Node::MatMul(_) | Node::Sort(_) | Node::Cumulative(_) | Node::Log { .. } | Node::Check(_) => {
            Vec::new()
        }
    }
}

pub fn bodies(node: &Node) -> Vec<&Vec<Node>> {
    match node {
        Node::Loop { body, .. } => vec![body],
        Node::While { condition, body, .. } => vec![condition, body],
        Node::Switch { arms, .. } => arms.iter().collect(),
        Node::Lanes(_) | Node::MatMul(_) | Node::Sort(_) | Node::Cumulative(_) | Node::Log { .. } | Node::Check(_) => {
            Vec::new()
        }
    }
}

impl Phase {
    pub fn body(&self) -> &Vec<Node> {
        match self {
            Phase::Straight(body) | Phase::Train { body, .. } => body,
        }
    }

    pub fn body_mut(&mut self) -> &mut Vec<Node> {
        match self {
            Phase::Straight(body) | Phase::Train { body, .. } => body,
        }
    }
}

impl LoopProgram {
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }
}

/// Calls `f` with every block, inner ones first.
pub fn each_block_mut(p: &mut LoopProgram, f: &mut impl FnMut(&mut Vec<Node>)) {
    p.phases.iter_mut().for_each(|phase| block(phase.body_mut(), f));

    fn block(nodes: &mut Vec<Node>, f: &mut impl FnMut(&mut Vec<Node>)) {
        nodes.iter_mut().flat_map(bodies_mut).for_each(|b| block(b, f));
        f(nodes);
    }
}
