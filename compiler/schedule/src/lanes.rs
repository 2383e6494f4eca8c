//! Writes the ops of one lane loop.

use smallvec::SmallVec;
use whorl_core::ir::{DType, Lit, Shape, Spans};
use whorl_core::prim::Binary;

use crate::array::{Array, Content};
use crate::loop_ir::*;

#[derive(Default)]
pub struct LaneBuilder {
    pub ops: Vec<LaneOp>,
}

impl LaneBuilder {
    pub fn op(&mut self, kind: LaneKind, dtype: DType) -> Value {
        self.ops.push(LaneOp { kind, dtype });
        Value(self.ops.len() as u32 - 1)
    }

    pub fn lit(&mut self, lit: Lit) -> Value {
        self.op(LaneKind::Lit(lit), lit.dtype)
    }

    /// The element of an array that has the shape of the loop.
    pub fn read(&mut self, a: &Array) -> Value {
        match &a.content {
            Content::Lit(lit) => self.lit(*lit),
            Content::View(view) => self.op(LaneKind::Load(view.clone()), a.dtype),
            Content::Position { offset, strides } => self.affine(*offset, strides),
        }
    }

    fn affine(&mut self, offset: isize, strides: &[isize]) -> Value {
        let mut sum: Option<Value> = None;
        for (k, &stride) in strides.iter().enumerate().filter(|s| *s.1 != 0) {
            let mut term = self.op(LaneKind::Position(k), DType::I32);
            if stride != 1 {
                let factor = self.lit(Lit::i32(stride as i32));
                term = self.op(LaneKind::Binary(Binary::Mul, term, factor), DType::I32);
            }
            sum = Some(match sum {
                Some(s) => self.op(LaneKind::Binary(Binary::Add, s, term), DType::I32),
                None => term,
            });
        }
        match (sum, offset) {
            (Some(s), 0) => s,
            (Some(s), _) => {
                let offset = self.lit(Lit::i32(offset as i32));
                self.op(LaneKind::Binary(Binary::Add, s, offset), DType::I32)
            }
            (None, _) => self.lit(Lit::i32(offset as i32)),
        }
    }

    pub fn store(&mut self, view: View, value: Value) {
        let dtype = self.ops[value.0 as usize].dtype;
        self.op(LaneKind::Store(view, value), dtype);
    }

    pub fn node(self, dims: &[usize], spans: &Spans) -> Node {
        self.reduce(dims, &[], Vec::new(), spans)
    }

    pub fn reduce(self, dims: &[usize], reduced: &[usize], reductions: Vec<Reduction>, spans: &Spans) -> Node {
        let (dims, reduced) = (Shape::from_slice(dims), Shape::from_slice(reduced));
        Node::Lanes(Lanes { dims, reduced, ops: self.ops, reductions, spans: spans.clone() })
    }
}

/// The values that an op uses.
pub fn operands(kind: &LaneKind) -> SmallVec<[Value; 4]> {
    match kind {
        LaneKind::Lit(_) | LaneKind::Position(_) | LaneKind::Load(_) => SmallVec::new(),
        LaneKind::Gather(_, at) => at.iter().map(|i| i.index).collect(),
        LaneKind::Unary(_, a) | LaneKind::Convert(a) | LaneKind::Bitcast(a) | LaneKind::Store(_, a) => {
            SmallVec::from_slice(&[*a])
        }
        LaneKind::Binary(_, a, b) | LaneKind::Compare(_, a, b) => SmallVec::from_slice(&[*a, *b]),
        LaneKind::Select(a, b, c) | LaneKind::MulAdd(a, b, c) => SmallVec::from_slice(&[*a, *b, *c]),
        LaneKind::Threefry(_, x) => SmallVec::from_slice(x),
        LaneKind::Scatter { at, value, .. } => at.iter().map(|i| i.index).chain([*value]).collect(),
    }
}

pub fn operands_mut(kind: &mut LaneKind) -> SmallVec<[&mut Value; 4]> {
    match kind {
        LaneKind::Lit(_) | LaneKind::Position(_) | LaneKind::Load(_) => SmallVec::new(),
        LaneKind::Gather(_, at) => at.iter_mut().map(|i| &mut i.index).collect(),
        LaneKind::Unary(_, a) | LaneKind::Convert(a) | LaneKind::Bitcast(a) | LaneKind::Store(_, a) => {
            SmallVec::from_iter([a])
        }
        LaneKind::Binary(_, a, b) | LaneKind::Compare(_, a, b) => SmallVec::from_iter([a, b]),
        LaneKind::Select(a, b, c) | LaneKind::MulAdd(a, b, c) => SmallVec::from_iter([a, b, c]),
        LaneKind::Threefry(_, x) => x.iter_mut().collect(),
        LaneKind::Scatter { at, value, .. } => at.iter_mut().map(|i| &mut i.index).chain([value]).collect(),
    }
}

/// Where an op reads or writes, if it does.
pub fn view_of(kind: &LaneKind) -> Option<&View> {
    match kind {
        LaneKind::Load(v) | LaneKind::Gather(v, _) | LaneKind::Store(v, _) | LaneKind::Scatter { view: v, .. } => {
            Some(v)
        }
        LaneKind::Lit(_)
        | LaneKind::Position(_)
        | LaneKind::Unary(..)
        | LaneKind::Binary(..)
        | LaneKind::Compare(..)
        | LaneKind::Select(..)
        | LaneKind::MulAdd(..)
        | LaneKind::Convert(_)
        | LaneKind::Bitcast(_)
        | LaneKind::Threefry(..) => None,
    }
}

/// The same, to be changed.
pub fn view_of_mut(kind: &mut LaneKind) -> Option<&mut View> {
    match kind {
        LaneKind::Load(v) | LaneKind::Gather(v, _) | LaneKind::Store(v, _) | LaneKind::Scatter { view: v, .. } => {
            Some(v)
        }
        LaneKind::Lit(_)
        | LaneKind::Position(_)
        | LaneKind::Unary(..)
        | LaneKind::Binary(..)
        | LaneKind::Compare(..)
        | LaneKind::Select(..)
        | LaneKind::MulAdd(..)
        | LaneKind::Convert(_)
        | LaneKind::Bitcast(_)
        | LaneKind::Threefry(..) => None,
    }
}

pub fn writes(kind: &LaneKind) -> bool {
    matches!(kind, LaneKind::Store(..) | LaneKind::Scatter { .. })
}

/// Adds what is new, up to eight spans: more lines than that explain nothing. Marks are no lines.
pub fn join_spans(into: &mut Spans, more: &Spans) {
    for s in more {
        let room = into.len() < 8 || s.marked().is_some() || into.iter().filter(|s| s.marked().is_none()).count() < 8;
        if room && !into.contains(s) {
            into.push(*s);
        }
    }
}
