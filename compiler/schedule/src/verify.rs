//! Whether a program is well-formed: every view stays within its buffer, types and strides fit, and buffers that live at the
//! same time share no bytes (by [`Liveness`], which is not what the arena was laid out by).

use whorl_core::ir::{DType, Shape};

use crate::accesses::*;
use crate::lanes::operands;
use crate::liveness::Liveness;
use crate::loop_ir::*;

pub fn verify(p: &LoopProgram) -> Result<(), String> {
    for (k, b) in p.buffers.iter().enumerate() {
        if let Place::Arena(at) = b.place
            && (at % 64 != 0 || at + b.bytes() > p.arena_bytes && b.bytes() > 0 && is_used(p, BufferId(k as u32)))
        {
            return Err(format!("buffer {k} at {at} of an arena of {} bytes", p.arena_bytes));
        }
    }
    p.phases.iter().flat_map(Phase::body).try_for_each(|n| node(p, n))?;
    let liveness = Liveness::of(p);
    p.phases.iter().flat_map(Phase::body).try_for_each(|n| overlaps(p, &liveness, n))
}

fn is_used(p: &LoopProgram, id: BufferId) -> bool {
    let mut used = p.inputs.contains(&id) || p.outputs.contains(&id);
    p.phases.iter().flat_map(Phase::body).for_each(|n| each_access(n, &mut |b, _| used |= b == id));
    used
}

fn node(p: &LoopProgram, n: &Node) -> Result<(), String> {
    bodies(n).into_iter().flatten().try_for_each(|inner| node(p, inner))?;
    match n {
        Node::Loop { index, .. } => scalar(p, *index, DType::I32),
        Node::While { test, .. } => scalar(p, *test, DType::Bool),
        Node::Switch { which: Scalar::Buffer(b), .. } if p.buffer(*b).dtype == DType::Bool => {
            scalar(p, *b, DType::Bool)
        }
        Node::Switch { which: Scalar::Buffer(b), .. } => scalar(p, *b, DType::I32),
        Node::Switch { which: Scalar::Lit(_), .. } => Ok(()),
        Node::Lanes(l) => lanes(p, l).map_err(|e| format!("{e} in {l:?}")),
        Node::MatMul(m) => {
            let dims = |x: usize, y: usize| -> Shape { m.batch.iter().copied().chain([x, y]).collect() };
            view(p, &m.a, &dims(m.m, m.k), &[], m.dtype)?;
            view(p, &m.b, &dims(m.k, m.n), &[], m.dtype)?;
            view(p, &m.c, &dims(m.m, m.n), &[], m.dtype)?;
            let mut apart = m.c.buffer != m.a.buffer && m.c.buffer != m.b.buffer;
            if let Some(Epilogue { bias, .. }) = &m.epilogue {
                view(p, bias, &dims(m.m, m.n), &[], m.dtype)?;
                let rank = bias.strides.len();
                // Kernels take it as a row.
                let row = bias.strides[..rank - 1].iter().all(|s| *s == 0) && (m.n == 1 || bias.strides[rank - 1] == 1);
                apart &= row && m.c.buffer != bias.buffer;
            }
            if apart && matches!(m.dtype, DType::F32 | DType::F64) {
                Ok(())
            } else {
                Err(format!("a product into its operand: {m:?}"))
            }
        }
        Node::Sort(s) => {
            let dims: Shape = s.rows.iter().copied().chain([s.n]).collect();
            if let Some(to) = s.to.iter().find(|to| p.buffer(to.buffer).dtype.is_half()) {
                return Err(format!("a sort of {}", p.buffer(to.buffer).dtype.name()));
            }
            let all = s.from.iter().zip(&s.to);
            all.into_iter().try_for_each(|(from, to)| {
                view(p, from, &dims, &[], p.buffer(to.buffer).dtype)?;
                view(p, to, &dims, &[], p.buffer(to.buffer).dtype)
            })
        }
        Node::Cumulative(c) => {
            let dims: Shape = c.rows.iter().copied().chain([c.n]).collect();
            view(p, &c.from, &dims, &[], c.dtype)?;
            view(p, &c.to, &dims, &[], c.dtype)
        }
        Node::Log { dims, value, mask, steps, .. } => {
            view(p, value, dims, &[], p.buffer(value.buffer).dtype)?;
            steps.iter().try_for_each(|s| view(p, &s.index, &[], &[], DType::I32))?;
            mask.iter().try_for_each(|m| view(p, m, dims, &[], DType::Bool))
        }
        Node::Check(c) => {
            c.values.iter().try_for_each(|v| view(p, v, &c.dims, &[], p.buffer(v.buffer).dtype))?;
            c.steps.iter().try_for_each(|s| view(p, &s.index, &[], &[], DType::I32))?;
            c.mask.iter().try_for_each(|m| view(p, m, &c.dims, &[], DType::Bool))
        }
    }
}

fn scalar(p: &LoopProgram, b: BufferId, dtype: DType) -> Result<(), String> {
    let buffer = p.buffer(b);
    let fits = buffer.dtype == dtype && buffer.len() == 1 && matches!(buffer.place, Place::Arena(_));
    if fits { Ok(()) } else { Err(format!("buffer {} is no {} scalar", b.0, dtype.name())) }
}

fn lanes(p: &LoopProgram, l: &Lanes) -> Result<(), String> {
    let dims: Shape = l.dims.iter().chain(&l.reduced).copied().collect();
    for (k, op) in l.ops.iter().enumerate() {
        if let Some(v) = operands(&op.kind).iter().find(|v| v.0 as usize >= k) {
            return Err(format!("op {k} uses {}", v.0));
        }
        let type_of = |v: &Value| l.ops[v.0 as usize].dtype;
        let same = |vs: &[Value]| vs.iter().all(|v| type_of(v) == op.dtype);
        let typed = match &op.kind {
            LaneKind::Lit(lit) => lit.dtype == op.dtype,
            LaneKind::Position(d) => op.dtype == DType::I32 && *d < dims.len(),
            LaneKind::Load(_) | LaneKind::Gather(..) | LaneKind::Convert(_) => true,
            LaneKind::Unary(_, a) | LaneKind::Store(_, a) => same(&[*a]),
            LaneKind::Binary(_, a, b) => same(&[*a, *b]),
            LaneKind::Compare(_, a, b) => op.dtype == DType::Bool && type_of(a) == type_of(b),
            LaneKind::Select(c, a, b) => type_of(c) == DType::Bool && same(&[*a, *b]),
            LaneKind::MulAdd(a, b, c) => same(&[*a, *b, *c]) && op.dtype.is_float(),
            LaneKind::Bitcast(a) => type_of(a).bytes() == op.dtype.bytes(),
            LaneKind::Threefry(_, x) => same(x) && op.dtype == DType::U32,
            LaneKind::Scatter { value, .. } => same(&[*value]),
        };
        let computes = matches!(
            op.kind,
            LaneKind::Unary(..) | LaneKind::Binary(..) | LaneKind::MulAdd(..) | LaneKind::Scatter { add: true, .. }
        );
        let compares_halves = matches!(&op.kind, LaneKind::Compare(_, a, _) if type_of(a).is_half());
        if !typed || (computes && op.dtype.is_half()) || compares_halves {
            return Err(format!("ill-typed op {k}"));
        }
        match &op.kind {
            LaneKind::Gather(v, at) | LaneKind::Scatter { view: v, at, .. } => {
                if at.iter().any(|i| type_of(&i.index) != DType::I32) {
                    return Err(format!("an index of op {k} is no i32"));
                }
                view(p, v, &dims, at, op.dtype)?;
            }
            LaneKind::Load(v) | LaneKind::Store(v, _) => view(p, v, &dims, &[], op.dtype)?,
            LaneKind::Lit(_)
            | LaneKind::Position(_)
            | LaneKind::Unary(..)
            | LaneKind::Binary(..)
            | LaneKind::Compare(..)
            | LaneKind::Select(..)
            | LaneKind::MulAdd(..)
            | LaneKind::Convert(_)
            | LaneKind::Bitcast(_)
            | LaneKind::Threefry(..) => {}
        }
    }
    for r in &l.reductions {
        let value = l.ops.get(r.value.0 as usize).ok_or("a reduction of nothing")?.dtype;
        if value.is_half() {
            return Err(format!("a reduction of {}", value.name()));
        }
        let result = match r.kind {
            ReductionKind::Fold(_) => value,
            ReductionKind::ArgMax | ReductionKind::ArgMin => DType::I32,
        };
        view(p, &r.into, &l.dims, &[], result)?;
    }
    if l.reductions.is_empty() != l.reduced.is_empty() {
        return Err("`reduced` without reductions, or the other way round".to_string());
    }
    Ok(())
}

/// Every address that the view can give lies in its buffer.
fn view(p: &LoopProgram, v: &View, dims: &[usize], lanes: &[LaneIndex], dtype: DType) -> Result<(), String> {
    let b = p.buffer(v.buffer);
    if b.dtype != dtype || v.strides.len() != dims.len() {
        return Err(format!("{v:?} of {} over {dims:?} as {}", b.dtype.name(), dtype.name()));
    }
    v.dynamic.iter().try_for_each(|d| scalar(p, d.index, DType::I32))?;
    if dims.contains(&0) {
        return Ok(());
    }
    let (mut low, mut high) = (v.offset, v.offset);
    let dynamic = v.dynamic.iter().map(|d| d.max as isize * d.stride);
    let computed = lanes.iter().map(|i| i.max as isize * i.stride);
    let looped = v.strides.iter().zip(dims).map(|(s, &n)| s * (n as isize - 1));
    for reach in dynamic.chain(computed).chain(looped) {
        if reach < 0 { low += reach } else { high += reach }
    }
    if low < 0 || high >= b.len() as isize {
        return Err(format!("{v:?} over {dims:?} reaches {low}..={high} of {} elements", b.len()));
    }
    Ok(())
}

fn overlaps(p: &LoopProgram, liveness: &Liveness, n: &Node) -> Result<(), String> {
    let inner = bodies(n);
    if !inner.is_empty() || matches!(n, Node::Loop { .. } | Node::While { .. } | Node::Switch { .. }) {
        return inner.into_iter().flatten().try_for_each(|n| overlaps(p, liveness, n));
    }
    let place = |b: BufferId| match p.buffer(b).place {
        Place::Arena(at) => Some(at..at + p.buffer(b).bytes()),
        Place::Constant(_) => None,
    };
    let mut touched = Vec::new();
    each_access(n, &mut |b, t| touched.push((b, t)));
    for &(b, _) in touched.iter().filter(|t| t.1 == Touch::Write) {
        let Some(mine) = place(b) else { return Err(format!("constant buffer {} is written", b.0)) };
        for other in liveness.after(n).iter().chain(touched.iter().map(|t| t.0)).filter(|o| *o != b) {
            let Some(theirs) = place(other) else { continue };
            if mine.start < theirs.end && theirs.start < mine.end {
                return Err(format!("buffers {} and {} live at once and overlap: {mine:?}, {theirs:?}", b.0, other.0));
            }
        }
    }
    Ok(())
}
