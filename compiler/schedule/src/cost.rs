//! What a scheduled program costs, counted and not measured: operations, and bytes of arrays read and written.
//!
//! ```text
//! matmul [512, 64] = [512, 64] @ [64, 64]    2 · 512 · 64 · 64 FLOPs, (512 · 64 + 64 · 64) · 4 bytes read, 512 · 64 · 4 written
//! ```
//!
//! A FLOP is a floating-point addition, multiplication, division or root; a fused multiply-add is two. An elementary function
//! is as many as its polynomial has ([`flops_of`]), a random block has none. Comparisons, choices, whole numbers and moves are
//! `other`. Bytes are those of the elements that a node touches, each once: what stays in a cache between nodes is not known here.

use std::collections::HashSet;
use std::ops::{Add, AddAssign};

use whorl_core::ir::{DType, Spans};
use whorl_core::prim::{Binary, Monoid, Unary};
use whorl_kernels::math::{MathFn, MathFn2};

use crate::accesses::bodies;
use crate::lanes::{operands, view_of};
use crate::loop_ir::*;

mod elementary;

pub use elementary::{flops_of, flops_of2};

/// What something costs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cost {
    pub flops: u64,
    /// Operations that are no FLOPs.
    pub other: u64,
    pub read: u64,
    pub written: u64,
}

impl Cost {
    /// So many times this.
    pub fn times(self, n: u64) -> Cost {
        Cost {
            flops: self.flops.saturating_mul(n),
            other: self.other.saturating_mul(n),
            read: self.read.saturating_mul(n),
            written: self.written.saturating_mul(n),
        }
    }

    pub fn bytes(self) -> u64 {
        self.read.saturating_add(self.written)
    }

    /// One number to compare by: a byte takes about as long as a quarter of a FLOP of a lane loop.
    pub fn weight(self) -> u64 {
        self.flops.saturating_add(self.other).saturating_add(self.bytes() / 4)
    }
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, more: Cost) -> Cost {
        Cost {
            flops: self.flops.saturating_add(more.flops),
            other: self.other.saturating_add(more.other),
            read: self.read.saturating_add(more.read),
            written: self.written.saturating_add(more.written),
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, more: Cost) {
        *self = *self + more;
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), Cost::add)
    }
}

/// A node without bodies, in its place.
#[derive(Clone, Debug)]
pub struct Leaf<'a> {
    pub node: &'a Node,
    /// Of one execution.
    pub each: Cost,
    /// How often it is executed in a step of its phase (of a straight one: in all).
    pub times: u64,
    /// How far `times` is known.
    pub known: Known,
    /// The loops around, outermost first.
    pub around: Vec<&'a Node>,
}

impl Leaf<'_> {
    pub fn cost(&self) -> Cost {
        self.each.times(self.times)
    }
}

/// How far a count holds; the later, the less.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Known {
    #[default]
    Exactly,
    /// It stands in an arm of a branch, or in a `while` with `max`.
    AtMost,
    /// It stands in a `while` without `max`, of which one round is counted.
    ARound,
}

/// The nodes without bodies, in the order of the text. Of the arms of a branch the costliest counts; the others have no `times`.
pub fn leaves<'a>(p: &LoopProgram, nodes: &'a [Node]) -> Vec<Leaf<'a>> {
    let mut found = Vec::new();
    Walk { p, found: &mut found, around: Vec::new() }.block(nodes, 1, Known::Exactly);
    found
}

/// Of a step of each phase (of a straight one: in all), and how far it is known.
pub fn of_phases(p: &LoopProgram) -> Vec<(Cost, Known)> {
    let of = |phase: &Phase| total(&leaves(p, phase.body()));
    p.phases.iter().map(of).collect()
}

pub fn total(leaves: &[Leaf]) -> (Cost, Known) {
    let counted = leaves.iter().filter(|l| l.cost() != Cost::default());
    let known = counted.map(|l| l.known).max().unwrap_or_default();
    (leaves.iter().map(Leaf::cost).sum(), known)
}

/// Where a node without bodies comes from.
pub fn spans_of(node: &Node) -> Option<&Spans> {
    match node {
        Node::Lanes(l) => Some(&l.spans),
        Node::MatMul(m) => Some(&m.spans),
        Node::Sort(s) => Some(&s.spans),
        Node::Cumulative(c) => Some(&c.spans),
        Node::Check(c) => Some(&c.spans),
        Node::Log { .. } | Node::Loop { .. } | Node::While { .. } | Node::Switch { .. } => None,
    }
}

struct Walk<'a, 'w> {
    p: &'w LoopProgram,
    found: &'w mut Vec<Leaf<'a>>,
    around: Vec<&'a Node>,
}

impl<'a> Walk<'a, '_> {
    fn block(&mut self, nodes: &'a [Node], times: u64, known: Known) {
        for node in nodes {
            match node {
                Node::Loop { n, body, .. } => self.inside(node, body, times.saturating_mul(*n as u64), known),
                Node::While { condition, max, body, .. } => {
                    let (rounds, least) = match max {
                        Some(max) => (*max as u64, Known::AtMost),
                        None => (1, Known::ARound),
                    };
                    let (times, known) = (times.saturating_mul(rounds), known.max(least));
                    self.inside(node, condition, times, known);
                    self.inside(node, body, times, known);
                }
                Node::Switch { .. } => self.switch(node, times, known),
                Node::Lanes(_)
                | Node::MatMul(_)
                | Node::Sort(_)
                | Node::Cumulative(_)
                | Node::Log { .. }
                | Node::Check(_) => {
                    let (each, around) = (of_node(self.p, node), self.around.clone());
                    self.found.push(Leaf { node, each, times, known, around });
                }
            }
        }
    }

    fn inside(&mut self, node: &'a Node, body: &'a [Node], times: u64, known: Known) {
        self.around.push(node);
        self.block(body, times, known);
        self.around.pop();
    }

    fn switch(&mut self, node: &'a Node, times: u64, known: Known) {
        let arms = bodies(node);
        let weight = |arm: &&Vec<Node>| total(&leaves(self.p, arm)).0.weight();
        let weights: Vec<u64> = arms.iter().map(weight).collect();
        let most = weights.iter().copied().max().unwrap_or(0);
        let costliest = weights.iter().position(|w| *w == most);
        for (k, arm) in arms.into_iter().enumerate() {
            let times = if Some(k) == costliest { times } else { 0 };
            self.inside(node, arm, times, known.max(Known::AtMost));
        }
    }
}

/// One execution of a node without bodies; nothing for others.
pub fn of_node(p: &LoopProgram, node: &Node) -> Cost {
    match node {
        Node::Lanes(l) => of_lanes(p, l),
        Node::MatMul(m) => of_product(m),
        Node::Sort(s) => {
            let (rows, n) = (count(&s.rows), s.n as u64);
            let compared = n.saturating_mul(u64::from(n.max(1).ilog2()));
            let bytes =
                |views: &[View]| views.iter().map(|v| rows * n * p.buffer(v.buffer).dtype.bytes() as u64).sum::<u64>();
            Cost { flops: 0, other: rows * compared, read: bytes(&s.from), written: bytes(&s.to) }
        }
        Node::Cumulative(c) => {
            let elements = count(&c.rows) * c.n as u64;
            let (flops, other) = if folds_floats(c.op, c.dtype) { (elements, 0) } else { (0, elements) };
            let bytes = elements * c.dtype.bytes() as u64;
            Cost { flops, other, read: bytes, written: bytes }
        }
        Node::Log { dims, value, mask, .. } => {
            let read = count(dims) * (p.buffer(value.buffer).dtype.bytes() as u64 + u64::from(mask.is_some()));
            Cost { read, ..Cost::default() }
        }
        // It is reached once at most.
        Node::Check(_) | Node::Loop { .. } | Node::While { .. } | Node::Switch { .. } => Cost::default(),
    }
}

fn count(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1, |n, &s| n.saturating_mul(s as u64))
}

fn folds_floats(op: Monoid, dtype: DType) -> bool {
    dtype.is_float() && matches!(op, Monoid::Sum | Monoid::Prod)
}

fn of_product(m: &MatMul) -> Cost {
    let batch = count(&m.batch);
    let (rows, columns, depth) = (m.m as u64, m.n as u64, m.k as u64);
    let elements = batch * rows * columns;
    let width = m.dtype.bytes() as u64;
    let sizes = |last: [usize; 2]| -> Vec<usize> { m.batch.iter().copied().chain(last).collect() };
    let read = touched(&m.a.strides, &sizes([m.m, m.k])) + touched(&m.b.strides, &sizes([m.k, m.n]));
    let mut cost = Cost { flops: 2 * elements * depth, other: 0, read: read * width, written: elements * width };
    if m.accumulate {
        cost.flops += elements;
        cost.read += elements * width;
    }
    if let Some(e) = &m.epilogue {
        cost.flops += elements;
        cost.read += touched(&e.bias.strides, &sizes([m.m, m.n])) * width;
        match e.activation {
            Activation::None => {}
            Activation::Tanh => cost.flops += elements * flops_of(MathFn::Tanh, m.dtype),
            Activation::Relu => cost.other += elements,
        }
    }
    cost
}

/// Elements that a view reaches: once along dimensions that it does not move along.
fn touched(strides: &[isize], sizes: &[usize]) -> u64 {
    sizes.iter().zip(strides).filter(|(_, s)| **s != 0).map(|(n, _)| *n as u64).fold(1, u64::saturating_mul)
}

/// Operations that do not vary along the inner dimensions are done outside of them, as the code generator does.
fn of_lanes(p: &LoopProgram, l: &Lanes) -> Cost {
    let sizes: Vec<usize> = l.dims.iter().chain(&l.reduced).copied().collect();
    let points = count(&sizes);
    let mut cost = Cost::default();
    if points == 0 {
        return cost;
    }
    let mut depths: Vec<usize> = Vec::with_capacity(l.ops.len());
    let mut seen: HashSet<&View> = HashSet::new();
    for op in &l.ops {
        let own = match &op.kind {
            LaneKind::Position(d) => d + 1,
            kind => view_of(kind).map_or(0, |v| v.strides.iter().rposition(|s| *s != 0).map_or(0, |d| d + 1)),
        };
        let depth = operands(&op.kind).iter().map(|v| depths[v.0 as usize]).fold(own, usize::max);
        depths.push(depth);
        let times = count(&sizes[..depth]);
        let width = op.dtype.bytes() as u64;
        match &op.kind {
            LaneKind::Load(v) => {
                if seen.insert(v) {
                    cost.read += touched(&v.strides, &sizes) * width;
                }
            }
            LaneKind::Gather(..) => cost.read += times * width,
            LaneKind::Store(v, _) => {
                // What is reduced over and stored all the same is stored at every point.
                cost.written += touched(&v.strides, &sizes) * width;
            }
            LaneKind::Scatter { add, .. } => {
                cost.written += points * width;
                if *add {
                    cost.read += points * width;
                    let (flops, other) = if op.dtype.is_float() { (points, 0) } else { (0, points) };
                    cost.flops += flops;
                    cost.other += other;
                }
            }
            kind => {
                let (flops, other) = of_op(kind, op.dtype);
                cost.flops += flops * times;
                cost.other += other * times;
            }
        }
    }
    for r in &l.reductions {
        let dtype = p.buffer(r.into.buffer).dtype;
        let folds = matches!(r.kind, ReductionKind::Fold(op) if folds_floats(op, dtype));
        if folds {
            cost.flops += points
        } else {
            cost.other += points
        }
        cost.written += count(&l.dims) * dtype.bytes() as u64;
    }
    cost
}

/// Of one lane: FLOPs, and other operations. Accesses are counted elsewhere.
fn of_op(kind: &LaneKind, dtype: DType) -> (u64, u64) {
    let float = dtype.is_float();
    let one = |is_flop: bool| if is_flop { (1, 0) } else { (0, 1) };
    match kind {
        LaneKind::Lit(_)
        | LaneKind::Position(_)
        | LaneKind::Load(_)
        | LaneKind::Gather(..)
        | LaneKind::Bitcast(_)
        | LaneKind::Store(..)
        | LaneKind::Scatter { .. } => (0, 0),
        LaneKind::Unary(u, _) => match u.elementary() {
            Some(f) if float => (flops_of(f, dtype), 0),
            Some(_) | None => one(*u == Unary::Sqrt),
        },
        LaneKind::Binary(b, ..) => match b {
            Binary::Pow => (flops_of2(MathFn2::Pow, dtype), 0),
            Binary::Atan2 => (flops_of2(MathFn2::Atan2, dtype), 0),
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div => one(float),
            Binary::Rem
            | Binary::Min
            | Binary::Max
            | Binary::And
            | Binary::Or
            | Binary::Xor
            | Binary::Shl
            | Binary::Shr
            | Binary::ShrLogical => (0, 1),
        },
        LaneKind::MulAdd(..) => (2, 0),
        LaneKind::Compare(..) | LaneKind::Select(..) | LaneKind::Convert(_) => (0, 1),
        // Twenty rounds of an addition, a rotation and an exclusive or, and five injections of the key; two words a block.
        LaneKind::Threefry(..) => (0, 55),
    }
}
