//! Lets a matrix product add to its destination, where all that happens to it is to be added to an array in place.

use crate::accesses::*;
use crate::array::injective;
use crate::lanes::{operands, view_of};
use crate::loop_ir::*;
use whorl_core::prim::Binary;

pub fn run(p: &mut LoopProgram) {
    let mut readers = vec![0usize; p.buffers.len()];
    let mut lens = Vec::new();
    for b in &p.buffers {
        lens.push(b.len());
    }
    p.outputs.iter().for_each(|b| readers[b.0 as usize] += 1);
    let mut count = |b: BufferId, t: Touch| readers[b.0 as usize] += (t == Touch::Read) as usize;
    p.phases.iter().flat_map(Phase::body).for_each(|n| each_access(n, &mut count));
    each_block_mut(p, &mut |nodes| {
        for k in 0..nodes.len() {
            while let Some((gone, product, sum)) = find(nodes, k, &readers, &lens) {
                let Node::MatMul(m) = &mut nodes[product] else { unreachable!("found as a product") };
                m.c.buffer = sum;
                m.accumulate = true;
                let Node::Lanes(l) = &mut nodes[k] else { unreachable!("found as a loop") };
                let used: Vec<bool> = (0..l.ops.len()).map(|i| !gone.contains(&i)).collect();
                crate::clean::keep(l, &used);
            }
        }
    });
}

/// In the loop `nodes[k]`: a store of `x + t` over x, where t is the whole of what an earlier product gives and no one else reads.
/// Gives the ops that become vain, the product's place, and x's buffer.
fn find(nodes: &[Node], k: usize, readers: &[usize], lens: &[usize]) -> Option<([usize; 4], usize, BufferId)> {
    let Node::Lanes(l) = &nodes[k] else { return None };
    if !l.reduced.is_empty() {
        return None;
    }
    let uses = |v: Value| l.ops.iter().flat_map(|op| operands(&op.kind)).filter(|o| *o == v).count();
    l.ops.iter().enumerate().find_map(|(at, op)| {
        let LaneKind::Store(x, sum) = &op.kind else { return None };
        let LaneKind::Binary(Binary::Add, a, b) = &l.ops[sum.0 as usize].kind else { return None };
        let load = |v: &Value| match &l.ops[v.0 as usize].kind {
            LaneKind::Load(view) if uses(*v) == 1 => Some(view),
            _ => None,
        };
        let gone = [at, sum.0 as usize, a.0 as usize, b.0 as usize];
        let (a, b) = (load(a)?, load(b)?);
        let t = if a == x {
            b
        } else if b == x {
            a
        } else {
            return None;
        };
        let only_here = l.ops.iter().filter_map(|op| view_of(&op.kind)).filter(|v| v.buffer == x.buffer).count() == 2;
        let whole = x.dynamic.is_empty()
            && t.dynamic.is_empty()
            && (x.offset, &x.strides) == (t.offset, &t.strides)
            && injective(&l.dims, &x.strides)
            && l.dims.iter().product::<usize>() == lens[x.buffer.0 as usize]
            && lens[t.buffer.0 as usize] == lens[x.buffer.0 as usize];
        if !whole || !only_here || uses(*sum) != 1 || readers[t.buffer.0 as usize] != 1 {
            return None;
        }
        let product = writer(&nodes[..k], t.buffer, x.buffer)?;
        Some((gone, product, x.buffer))
    })
}

/// The product that writes all of `t`, if after it nothing touches `x`.
fn writer(nodes: &[Node], t: BufferId, x: BufferId) -> Option<usize> {
    for (at, node) in nodes.iter().enumerate().rev() {
        let (mut writes_t, mut touches_x) = (false, false);
        each_access(node, &mut |b, touch| {
            writes_t |= b == t && touch == Touch::Write;
            touches_x |= b == x;
        });
        if touches_x {
            return None;
        }
        if writes_t {
            let Node::MatMul(m) = node else { return None };
            let dims: Vec<usize> = m.batch.iter().chain([&m.m, &m.n]).copied().collect();
            let all = !m.accumulate && m.epilogue.is_none() && m.c.dynamic.is_empty() && injective(&dims, &m.c.strides);
            return all.then_some(at);
        }
    }
    None
}
