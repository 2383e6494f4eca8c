//! How a lane loop is walked: which dimension goes into vectors, how often bodies are repeated.

use serde::{Deserialize, Serialize};
use whorl_core::ir::{DType, Shape};
use whorl_core::prim::{Binary, Unary};
use whorl_schedule::loop_ir::{
    Cumulative, LaneKind, LaneOp, Lanes, LoopProgram, ReduceOrder, Reduction, ReductionKind, Value, View,
};

use super::narrow;
use super::normal::{make_last, normalise, rank, size};
use crate::VectorMode;
use crate::wide::{self, Set};
use whorl_schedule::{operands, view_of};

/// A lane loop ready for emission: its dimensions are in the order of its loops.
#[derive(Clone, Debug)]
pub struct Plan {
    pub lanes: Lanes,
    /// The dimension (of `dims` ++ `reduced`) whose neighbours share a vector; none in scalar code.
    pub vector: Option<usize>,
    /// Lanes of a vector.
    pub width: usize,
    /// Vectors to a turn of that dimension's loop.
    pub unroll: usize,
    /// For each op, how many of the loops (from the outside) it is in: 0 is before all of them.
    pub depth: Vec<usize>,
    /// Stores write what the one reduction has folded so far.
    pub cumulative: bool,
    /// Of a function that does part of the lanes.
    pub range: Option<Range>,
}

/// Which part of its lanes a function does is said by its arguments: from where to where in this dimension.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
pub struct Range {
    pub level: usize,
    /// Where ranges may end: after so many, or their multiples, or at `whole`; what the dimension has behind it belongs to the last.
    pub unit: usize,
    pub whole: usize,
}

impl Plan {
    /// Whether it is for `crate::wide`.
    pub fn is_wide(&self) -> bool {
        self.set().is_some()
    }

    /// The instructions of `crate::wide` that it is for.
    pub fn set(&self) -> Option<Set> {
        self.vector.and_then(|_| Set::of_lanes(self.width))
    }

    /// Whether lanes are neighbours of a reduced dimension, so that a reduction's partial results are lanes.
    pub fn along(&self) -> bool {
        self.vector.is_some_and(|v| v >= self.lanes.dims.len())
    }
}

/// A loop that is to be done in `parts` (at most) has a range.
pub fn plan(program: &LoopProgram, lanes: &Lanes, mode: VectorMode, parts: usize) -> Plan {
    let lanes = normalise(lanes);
    let set = Set::of(mode).filter(|_| wide::fits(program, &lanes));
    let width = set.map_or(narrow::LANES, Set::lanes);
    let vector = match mode {
        VectorMode::Scalar => None,
        VectorMode::Auto | VectorMode::Avx2 | VectorMode::Narrow => choose(&lanes, width),
    };
    let (depth, cumulative, range) = (Vec::new(), false, None);
    let mut plan = Plan { lanes, vector: None, width, unroll: 1, depth, cumulative, range };
    if let Some(d) = vector {
        plan.vector = Some(d);
        if d < plan.lanes.dims.len() && !has_scatter(&plan.lanes) {
            make_last(&mut plan.lanes, d);
            plan.vector = Some(plan.lanes.dims.len() - 1);
        }
        plan.unroll = unroll(&plan);
    }
    plan.range = divide(&mut plan, parts);
    plan.depth = depths(&plan.lanes);
    if plan.lanes.reduced.contains(&0) {
        // Nothing is folded: ops are not to be reached.
        plan.depth.fill(usize::MAX);
    }
    plan
}

/// The loop that leaves prefix results: a fold whose every step is stored.
pub fn cumulative(program: &LoopProgram, c: &Cumulative, mode: VectorMode, parts: usize) -> Plan {
    let turned = |view: &View| {
        let mut view = view.clone();
        if c.reverse
            && let Some(last) = view.strides.last_mut()
        {
            view.offset += *last * (c.n as isize - 1);
            *last = -*last;
        }
        view
    };
    let op = |kind| LaneOp { kind, dtype: c.dtype };
    let into = View { strides: c.to.strides[..c.rows.len()].into(), ..c.to.clone() };
    let kind = ReductionKind::Fold(c.op);
    let lanes = Lanes {
        dims: c.rows.clone(),
        reduced: Shape::from_slice(&[c.n]),
        ops: vec![op(LaneKind::Load(turned(&c.from))), op(LaneKind::Store(turned(&c.to), Value(0)))],
        reductions: vec![Reduction { kind, value: Value(0), into, order: ReduceOrder::Sequential }],
        spans: c.spans.clone(),
    };
    Plan { cumulative: true, ..plan(program, &lanes, mode, parts) }
}

pub fn has_scatter(lanes: &Lanes) -> bool {
    lanes.ops.iter().any(|op| matches!(op.kind, LaneKind::Scatter { .. }))
}

/// The range of a loop of so many parts: along its longest dimension of which all lanes write places of their own, so that the same
/// thread comes to the same elements loop after loop.
fn divide(plan: &mut Plan, parts: usize) -> Option<Range> {
    let lanes = &plan.lanes;
    if parts < 2 || has_scatter(lanes) || (0..rank(lanes)).any(|d| size(lanes, d) == 0) {
        return None;
    }
    let stores = lanes.ops.iter().filter(|op| matches!(op.kind, LaneKind::Store(..)));
    let stored = stores.filter_map(|op| view_of(&op.kind));
    let written: Vec<&View> = stored.chain(lanes.reductions.iter().map(|r| &r.into)).collect();
    let apart = |d: &usize| written.iter().all(|view| view.strides[*d] != 0);
    let level = (0..lanes.dims.len()).filter(apart).max_by_key(|d| (size(lanes, *d), std::cmp::Reverse(*d)))?;
    let n = size(lanes, level);
    let mut step = 1;
    if plan.vector == Some(level) {
        plan.unroll = plan.unroll.min(n / plan.width / parts).max(1);
        step = plan.width * plan.unroll;
    }
    let whole = n / step * step;
    // Two threads that write one line of the cache wait for each other.
    let line = 64usize.next_multiple_of(step);
    let unit = if whole / line >= 4 * parts { line } else { step };
    (whole.div_ceil(unit) >= 2).then_some(Range { level, unit, whole })
}

/// Roughly, instructions for four lanes, memory aside.
pub fn op_cost(op: &LaneOp) -> usize {
    let wide = if op.dtype == DType::F64 { 2 } else { 1 };
    let cost = match &op.kind {
        LaneKind::Lit(_) | LaneKind::Bitcast(_) => 0,
        LaneKind::Load(_)
        | LaneKind::Store(..)
        | LaneKind::Position(_)
        | LaneKind::Compare(..)
        | LaneKind::Select(..)
        | LaneKind::MulAdd(..) => 1,
        LaneKind::Convert(_) if op.dtype.is_half() => 12,
        LaneKind::Convert(_) => 3,
        LaneKind::Gather(_, at) | LaneKind::Scatter { at, .. } => 8 + 3 * at.len(),
        LaneKind::Unary(op, _) => match op {
            Unary::Neg | Unary::Abs | Unary::Floor | Unary::Ceil | Unary::Round | Unary::Not => 1,
            Unary::Sqrt | Unary::Sign => 4,
            Unary::PopCount => 12,
            Unary::Math(f) => f.cost(),
        },
        LaneKind::Binary(op, ..) => match op {
            Binary::Add | Binary::Sub | Binary::Mul | Binary::And | Binary::Or | Binary::Xor => 1,
            Binary::Div => 5,
            Binary::Min | Binary::Max => 3,
            Binary::Shl | Binary::Shr | Binary::ShrLogical => 8,
            Binary::Rem => 20,
            Binary::Pow | Binary::Atan2 => 80,
        },
        LaneKind::Threefry(..) => 60,
    };
    cost * wide
}

/// Instructions that memory costs for four lanes along dimension `d`.
fn memory_cost(view: &View, d: usize) -> usize {
    if matches!(view.strides.get(d), Some(0 | 1) | None) { 1 } else { 8 }
}

/// What one body inside loops `0..=level` costs, loops within it counted in full.
pub fn body_cost_at(plan: &Plan, level: usize) -> usize {
    let inside = |d: usize| (level + 1..=d.min(rank(&plan.lanes) - 1)).map(|d| size(&plan.lanes, d)).product::<usize>();
    let vectors = |d: usize| {
        if plan.vector.is_some_and(|v| v > level && v <= d) { inside(d).div_ceil(plan.width) } else { inside(d) }
    };
    let ops = plan.lanes.ops.iter().zip(&plan.depth).filter(|(_, depth)| **depth > level);
    ops.map(|(op, depth)| (op_cost(op) + 1) * vectors(depth.saturating_sub(1))).sum::<usize>()
        + plan.lanes.reductions.len()
}

fn body_cost(lanes: &Lanes, d: usize) -> usize {
    let memory = lanes.ops.iter().filter_map(|op| view_of(&op.kind)).map(|view| memory_cost(view, d)).sum::<usize>();
    lanes.ops.iter().map(op_cost).sum::<usize>() + memory + lanes.reductions.len()
}

/// The dimension that is cheapest to put into vectors.
fn choose(lanes: &Lanes, width: usize) -> Option<usize> {
    let dims = lanes.dims.len();
    let points: usize = (0..rank(lanes)).map(|d| size(lanes, d)).product();
    if points <= 1 {
        return None;
    }
    // Scatters write in the order of the lanes: only the last dimension's neighbours may go together.
    let across = if has_scatter(lanes) { dims.saturating_sub(1)..dims } else { 0..dims };
    if has_scatter(lanes) && scatters_overlap(lanes) {
        return None;
    }
    let reduced: usize = lanes.reduced.iter().product();
    let tree = if lanes.reduced.is_empty() { 0 } else { 16 * lanes.reductions.len() };
    let mut best: Option<(usize, usize)> = None;
    let mut offer = |cost: usize, d: usize| {
        if best.is_none_or(|(c, _)| cost < c) {
            best = Some((cost, d));
        }
    };
    for d in across.rev() {
        let vectors = points / size(lanes, d) * size(lanes, d).div_ceil(width);
        offer(vectors * (body_cost(lanes, d) + 2 * lanes.reductions.len()) + vectors / reduced.max(1) * tree, d);
    }
    if along_fits(lanes) {
        let d = rank(lanes) - 1;
        let vectors = points / size(lanes, d) * size(lanes, d).div_ceil(width);
        offer(vectors * body_cost(lanes, d) + points / reduced * tree, d);
    }
    best.map(|(_, d)| d)
}

/// Whether partial results of reductions can be lanes: position mod 16 must not move between rows.
fn along_fits(lanes: &Lanes) -> bool {
    let Some(&last) = lanes.reduced.last() else { return false };
    let interleaved = |r: &Reduction| r.order == ReduceOrder::Interleaved && matches!(r.kind, ReductionKind::Fold(_));
    lanes.reductions.iter().all(interleaved) && (lanes.reduced.len() == 1 || last % 16 == 0)
}

/// Whether several ops of a lane write the same buffer, one of them a scatter: then lanes must go one after the other.
fn scatters_overlap(lanes: &Lanes) -> bool {
    let mut written = Vec::new();
    for op in &lanes.ops {
        let (LaneKind::Scatter { view, .. } | LaneKind::Store(view, _)) = &op.kind else { continue };
        if written.contains(&view.buffer) {
            return true;
        }
        written.push(view.buffer);
    }
    false
}

/// Enough bodies to hide what the loop itself costs, and to keep a reduction's additions apart.
fn unroll(plan: &Plan) -> usize {
    let two = plan.is_wide() && in_pairs(plan);
    if plan.along() {
        return 16 / plan.width * if two { 2 } else { 1 };
    }
    let interleaved = plan.lanes.reductions.iter().any(|r| r.order == ReduceOrder::Interleaved);
    if plan.is_wide() && interleaved {
        // Sixteen partial results are half of all registers, or all of them.
        return 1;
    }
    let d = plan.vector.expect("a vector dimension");
    let most = match body_cost(&plan.lanes, d) {
        0..=12 => 4,
        13..=32 => 2,
        _ if two => 2,
        _ => 1,
    };
    most.min(size(&plan.lanes, d) / plan.width).max(1)
}

/// Whether two groups are computed together, so that one goes on where the other waits for a result: a chain of operations, such as a block of
/// random numbers, keeps half of the machine idle. Their values must fit into the registers, or be few beside the work.
fn in_pairs(plan: &Plan) -> bool {
    let ops = &plan.lanes.ops;
    let mut last = vec![0; ops.len()];
    for (k, op) in ops.iter().enumerate() {
        operands(&op.kind).iter().for_each(|v| last[v.0 as usize] = k);
    }
    plan.lanes.reductions.iter().for_each(|r| last[r.value.0 as usize] = ops.len());
    let (mut live, mut most, mut cost) = (0, 0, 0);
    let mut ends = vec![0; ops.len() + 1];
    for (k, op) in ops.iter().enumerate() {
        // Literals are operands in memory.
        if !matches!(op.kind, LaneKind::Lit(_)) && last[k] > k {
            live += if op.dtype == DType::F64 { 2 } else { 1 };
            ends[last[k]] += if op.dtype == DType::F64 { 2 } else { 1 };
        }
        most = most.max(live);
        live -= ends[k];
        cost += op_cost(op);
    }
    let vector = plan.vector.expect("a vector dimension");
    let registers = plan.set().map_or(0, |set| set.registers() as usize);
    let fits = 2 * most + TEMPORARIES <= registers || cost >= WORTH_A_SPILL * most;
    fits && cost <= MOST_IN_PAIRS && size(&plan.lanes, vector) >= 2 * plan.width
}

/// Vector registers that an elementary function takes beside its operand, about.
const TEMPORARIES: usize = 8;
const WORTH_A_SPILL: usize = 60;
/// Of a body whose code is not to be there twice.
const MOST_IN_PAIRS: usize = 2000;

fn depths(lanes: &Lanes) -> Vec<usize> {
    let all = rank(lanes);
    let mut depth: Vec<usize> = Vec::with_capacity(lanes.ops.len());
    for op in &lanes.ops {
        let of_view = |view: &View| view.strides.iter().rposition(|&s| s != 0).map_or(0, |d| d + 1);
        let of = |values: &[Value]| {
            values.iter().map(|v| depth.get(v.0 as usize).copied().unwrap_or(all)).max().unwrap_or(0)
        };
        let d = match &op.kind {
            LaneKind::Lit(_) => 0,
            LaneKind::Position(d) => d + 1,
            LaneKind::Load(view) => of_view(view),
            LaneKind::Gather(view, at) => at.iter().map(|i| of(&[i.index])).max().unwrap_or(0).max(of_view(view)),
            LaneKind::Unary(_, a) | LaneKind::Convert(a) | LaneKind::Bitcast(a) => of(&[*a]),
            LaneKind::Binary(_, a, b) | LaneKind::Compare(_, a, b) => of(&[*a, *b]),
            LaneKind::Select(a, b, c) | LaneKind::MulAdd(a, b, c) => of(&[*a, *b, *c]),
            LaneKind::Threefry(_, values) => of(values),
            LaneKind::Store(..) | LaneKind::Scatter { .. } => all,
        };
        depth.push(d);
    }
    depth
}

/// Rough instructions of the whole loop's code.
pub fn size_of_code(plan: &Plan) -> usize {
    let body = plan.lanes.ops.iter().map(|op| op_cost(op) + 2).sum::<usize>() + 30 * plan.lanes.reductions.len();
    body * if plan.vector.is_some() { plan.unroll + 1 } else { 1 }
}
