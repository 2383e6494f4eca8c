//! Lets a matrix product add the bias and apply the activation, where a loop would do no more than that to what it gives.
//!
//! ```text
//! matmul z = x @ w                                   matmul z = x @ w + b, tanh
//! lanes [128, 64] { h = tanh(z + b); … }       ⟶     lanes [128, 64] { h = z; … }
//! ```
//!
//! The copy goes when h and z become one array. Kernels have wider vectors than lane loops, and meet the sum while it is near.

use crate::accesses::*;
use crate::array::contiguous;
use crate::lanes::operands;
use crate::loop_ir::*;
use crate::space::full;
use whorl_core::ir::{Lit, Shape};
use whorl_core::prim::{Binary, Unary};

pub fn run(p: &mut LoopProgram) {
    let mut readers = vec![0usize; p.buffers.len()];
    p.outputs.iter().for_each(|b| readers[b.0 as usize] += 1);
    let mut count = |b: BufferId, t: Touch| readers[b.0 as usize] += (t == Touch::Read) as usize;
    p.phases.iter().flat_map(Phase::body).for_each(|n| each_access(n, &mut count));
    let lens: Vec<usize> = p.buffers.iter().map(Buffer::len).collect();
    each_block_mut(p, &mut |nodes| {
        for k in 0..nodes.len() {
            while let Some((value, from, product, epilogue)) = find(nodes, k, &readers, &lens) {
                let Node::Lanes(l) = &mut nodes[k] else { unreachable!("found as a loop") };
                l.ops[value].kind = LaneKind::Load(from);
                let used: Vec<bool> = live(l);
                crate::clean::keep(l, &used);
                let Node::MatMul(m) = &mut nodes[product] else { unreachable!("found as a product") };
                m.epilogue = Some(epilogue);
            }
        }
    });
}

/// Ops that a store, or a reduction, needs.
fn live(l: &Lanes) -> Vec<bool> {
    let mut used: Vec<bool> = l.ops.iter().map(|op| crate::lanes::writes(&op.kind)).collect();
    l.reductions.iter().for_each(|r| used[r.value.0 as usize] = true);
    for k in (0..l.ops.len()).rev() {
        if used[k] {
            operands(&l.ops[k].kind).iter().for_each(|v| used[v.0 as usize] = true);
        }
    }
    used
}

type Found = (usize, View, usize, Epilogue);

/// In the loop `nodes[k]`: a value `activation(z + b)` that is the only use of z, which is the whole of what an earlier product
/// gives. Gives the value's place, the load of z, the product's place, and its epilogue.
fn find(nodes: &[Node], k: usize, readers: &[usize], lens: &[usize]) -> Option<Found> {
    let Node::Lanes(l) = &nodes[k] else { return None };
    let uses = |v: Value| {
        let of_ops = l.ops.iter().flat_map(|op| operands(&op.kind)).filter(|o| *o == v).count();
        of_ops + l.reductions.iter().filter(|r| r.value == v).count()
    };
    let once = |v: &Value| (uses(*v) == 1).then_some(v.0 as usize);
    l.ops.iter().enumerate().find_map(|(at, op)| {
        let (sum, activation) = match &op.kind {
            LaneKind::Unary(Unary::Tanh, x) => (once(x)?, Activation::Tanh),
            LaneKind::Binary(Binary::Max, x, y) if is_zero(l, *y) => (once(x)?, Activation::Relu),
            // Worth it where the loop does nothing else.
            LaneKind::Binary(Binary::Add, ..) if only_adds(l, at) => (at, Activation::None),
            _ => return None,
        };
        let LaneKind::Binary(Binary::Add, a, b) = &l.ops[sum].kind else { return None };
        [(a, b), (b, a)].into_iter().find_map(|(z, b)| {
            let LaneKind::Load(z) = &l.ops[once(z)?].kind else { return None };
            let LaneKind::Load(b) = &l.ops[b.0 as usize].kind else { return None };
            let id = z.buffer.0 as usize;
            let whole = z.dynamic.is_empty() && z.offset == 0 && full(l).iter().product::<usize>() == lens[id];
            if !whole || readers[id] != 1 || stored(l, z.buffer) || stored(l, b.buffer) {
                return None;
            }
            let product = writer(&nodes[..k], z.buffer, b)?;
            let Node::MatMul(m) = &nodes[product] else { return None };
            let bias = bias(&full(l), z, b, m)?;
            Some((at, z.clone(), product, Epilogue { bias, activation }))
        })
    })
}

fn is_zero(l: &Lanes, v: Value) -> bool {
    l.ops[v.0 as usize].kind == LaneKind::Lit(Lit::zero(l.ops[v.0 as usize].dtype))
}

/// Whether the loop loads two numbers and stores their sum, the op `sum`.
fn only_adds(l: &Lanes, sum: usize) -> bool {
    let is_store = |op: &LaneOp| matches!(&op.kind, LaneKind::Store(_, v) if v.0 as usize == sum);
    l.ops.len() == 4 && l.reductions.is_empty() && l.ops.iter().any(is_store)
}

fn stored(l: &Lanes, b: BufferId) -> bool {
    let is = |v: &View| v.buffer == b;
    l.ops.iter().any(|op| crate::lanes::writes(&op.kind) && crate::lanes::view_of(&op.kind).is_some_and(is))
        || l.reductions.iter().any(|r| is(&r.into))
}

/// The product that writes all of `z`, row-major, if after it nothing changes where `bias` lies or what it holds.
fn writer(nodes: &[Node], z: BufferId, bias: &View) -> Option<usize> {
    for (at, node) in nodes.iter().enumerate().rev() {
        let (mut writes_z, mut changes_bias) = (false, false);
        each_access(node, &mut |b, touch| {
            let write = touch == Touch::Write;
            writes_z |= b == z && write;
            changes_bias |= write && (b == bias.buffer || bias.dynamic.iter().any(|d| d.index == b));
        });
        if changes_bias {
            return None;
        }
        if writes_z {
            let Node::MatMul(m) = node else { return None };
            let dims: Shape = m.batch.iter().chain([&m.m, &m.n]).copied().collect();
            let whole = m.c.dynamic.is_empty() && m.c.offset == 0 && row_major(&dims, &m.c.strides);
            return (whole && !m.accumulate && m.epilogue.is_none()).then_some(at);
        }
    }
    None
}

fn row_major(dims: &[usize], strides: &[isize]) -> bool {
    dims.iter().zip(contiguous(dims)).zip(strides).all(|((&n, a), &b)| n == 1 || a == b)
}

/// The loop's `b` as the product's bias: if it goes by columns of z, of which a row has n.
fn bias(sizes: &[usize], z: &View, b: &View, m: &MatMul) -> Option<View> {
    let mut dims: Vec<(isize, isize, usize)> =
        (0..sizes.len()).filter(|d| sizes[*d] != 1).map(|d| (z.strides[d], b.strides[d], sizes[d])).collect();
    dims.sort();
    // Innermost first: z is walked row-major in whatever order of dimensions, and b with it within a row.
    let mut walked = 1;
    for (of_z, of_b, n) in dims {
        let of_row = if walked < m.n { walked as isize } else { 0 };
        if of_z != walked as isize || of_b != of_row || walked < m.n && walked * n > m.n {
            return None;
        }
        walked *= n;
    }
    let mut strides = smallvec::SmallVec::from_elem(0, m.batch.len() + 2);
    strides[m.batch.len() + 1] = 1;
    Some(View { strides, ..b.clone() })
}
