//! Long reductions, as a loop that a team can divide and the rest.
//!
//! ```text
//! lanes [] over [16384] { much; store a; f = any(v) }  ─▶  lanes [16384] { much; store a; store t = v }
//!                                                          lanes [] over [16384] { f = any(load t) }
//! ```
//!
//! A reduction has one order, which several threads cannot keep. What is computed for it in each lane, they can. The second loop only
//! loads and folds, which takes a small part of the time.

use whorl_core::ir::{DType, Shape, Spans};
use whorl_core::prim::{Binary, Unary};
use whorl_schedule::loop_ir::{
    Buffer, BufferId, LaneKind, LaneOp, Lanes, LoopProgram, Node, Phase, Place, Reduction, Value, View,
};
use whorl_schedule::view_of;

use crate::Options;
use crate::share::{self, Share, nanoseconds};

/// The whole takes so many times what the second loop does.
const WORTH: u64 = 3;
/// So many operations are done once more rather than that their result goes through memory.
const FEW: usize = 6;

/// Divides all loops of the program that are worth it. What goes from one loop to the other lies behind the rest of the arena.
pub fn divide(program: &mut LoopProgram, options: &Options) {
    if options.team.threads < 2 || options.profile {
        return;
    }
    let mut phases = std::mem::take(&mut program.phases);
    let start = program.arena_bytes.next_multiple_of(64);
    for phase in &mut phases {
        let options = &share::in_phase(program, phase, options);
        let mut divided = LongReductions { start, program, options };
        let (Phase::Straight(nodes) | Phase::Train { body: nodes, .. }) = phase;
        divided.list(nodes);
    }
    program.phases = phases;
}

struct LongReductions<'x> {
    program: &'x mut LoopProgram,
    options: &'x Options,
    /// Where the arena ended before: one loop after the other uses what is behind.
    start: usize,
}

impl LongReductions<'_> {
    fn list(&mut self, nodes: &mut Vec<Node>) {
        let mut all = Vec::with_capacity(nodes.len());
        for mut node in nodes.drain(..) {
            match &mut node {
                Node::Loop { body, .. } => self.list(body),
                Node::While { condition, body, .. } => {
                    self.list(condition);
                    self.list(body);
                }
                Node::Switch { arms, .. } => arms.iter_mut().for_each(|arm| self.list(arm)),
                Node::Lanes(lanes) => {
                    if let Some(two) = self.lanes(lanes) {
                        all.extend(two);
                        continue;
                    }
                }
                Node::MatMul(_) | Node::Sort(_) | Node::Cumulative(_) | Node::Log { .. } | Node::Check(_) => {}
            }
            all.push(node);
        }
        *nodes = all;
    }

    fn lanes(&mut self, lanes: &Lanes) -> Option<[Node; 2]> {
        let count = |sizes: &[usize]| sizes.iter().product::<usize>();
        if lanes.reduced.is_empty() || count(&lanes.dims) >= self.options.team.threads || count(&lanes.reduced) < 2 {
            return None;
        }
        let whole = Node::Lanes(lanes.clone());
        Share::of(self.program, &whole, self.options)?;
        if !independent(lanes) {
            return None;
        }
        let known = self.program.buffers.len();
        let two = self.divided(lanes);
        let time = |node: &Node| nanoseconds(self.program, node, self.options.vector).unwrap_or(0);
        let worth = self.options.team.worth == 0 || time(&two[1]) * WORTH <= time(&whole);
        let [Node::Lanes(first), _] = &two else { return None };
        if !worth || stores(first).next().is_none() {
            self.program.buffers.truncate(known);
            return None;
        }
        let end = |b: &Buffer| if let Place::Arena(at) = b.place { at + b.bytes() } else { 0 };
        let ends = self.program.buffers[known..].iter().map(end).max().unwrap_or(0);
        self.program.arena_bytes = self.program.arena_bytes.max(ends);
        Some(two)
    }

    fn divided(&mut self, lanes: &Lanes) -> [Node; 2] {
        let dims: Shape = lanes.dims.iter().chain(&lanes.reduced).copied().collect();
        let (mut ops, mut again) = (lanes.ops.clone(), Again::default());
        let mut at = self.start;
        let mut reductions: Vec<Reduction> = lanes.reductions.clone();
        for r in &mut reductions {
            r.value = again.value(lanes, r.value).unwrap_or_else(|| {
                let dtype = lanes.ops[r.value.0 as usize].dtype;
                let view = stored(lanes, r.value).unwrap_or_else(|| {
                    let view = self.room(dtype, &dims, &lanes.spans, &mut at);
                    ops.push(LaneOp { kind: LaneKind::Store(view.clone(), r.value), dtype });
                    view
                });
                again.put(r.value, LaneOp { kind: LaneKind::Load(view), dtype })
            });
        }
        let first = Lanes { dims, reduced: Shape::new(), ops, reductions: Vec::new(), spans: lanes.spans.clone() };
        [Node::Lanes(first), Node::Lanes(Lanes { ops: again.ops, reductions, ..lanes.clone() })]
    }

    /// A new array, seen in row-major order.
    fn room(&mut self, dtype: DType, shape: &Shape, spans: &Spans, at: &mut usize) -> View {
        let (shape, spans) = (shape.clone(), spans.clone());
        let buffer = Buffer { dtype, shape, place: Place::Arena(*at), name: None, spans };
        *at = (*at + buffer.bytes()).next_multiple_of(64);
        let mut strides = vec![1isize; buffer.shape.len()];
        for d in (1..strides.len()).rev() {
            strides[d - 1] = strides[d] * buffer.shape[d] as isize;
        }
        self.program.buffers.push(buffer);
        let buffer = BufferId(self.program.buffers.len() as u32 - 1);
        View { buffer, offset: 0, dynamic: Default::default(), strides: strides.into() }
    }
}

fn stores(lanes: &Lanes) -> impl Iterator<Item = (&View, Value)> {
    lanes
        .ops
        .iter()
        .filter_map(|op| if let LaneKind::Store(view, value) = &op.kind { Some((view, *value)) } else { None })
}

/// Where the loop leaves the value in memory all the same.
fn stored(lanes: &Lanes, value: Value) -> Option<View> {
    let (view, _) = stores(lanes).find(|(_, v)| *v == value)?;
    let once = stores(lanes).filter(|(s, _)| s.buffer == view.buffer).count() == 1;
    // What lies there is the value itself, but for halves.
    (once && !lanes.ops[value.0 as usize].dtype.is_half()).then(|| view.clone())
}

/// The ops of the second loop, and which of the first they are.
#[derive(Default)]
struct Again {
    ops: Vec<LaneOp>,
    known: Vec<(Value, Value)>,
}

impl Again {
    fn put(&mut self, value: Value, op: LaneOp) -> Value {
        self.ops.push(op);
        let new = Value(self.ops.len() as u32 - 1);
        self.known.push((value, new));
        new
    }

    /// Computes the value once more, if that is a few operations on what is still in memory.
    fn value(&mut self, lanes: &Lanes, value: Value) -> Option<Value> {
        let before = (self.ops.len(), self.known.len());
        let new = self.copied(lanes, value, &mut FEW.clone());
        if new.is_none() {
            self.ops.truncate(before.0);
            self.known.truncate(before.1);
        }
        new
    }

    fn copied(&mut self, lanes: &Lanes, value: Value, left: &mut usize) -> Option<Value> {
        if let Some((_, new)) = self.known.iter().find(|(old, _)| *old == value) {
            return Some(*new);
        }
        *left = left.checked_sub(1)?;
        let op = &lanes.ops[value.0 as usize];
        let mut copy = |v: &Value| self.copied(lanes, *v, left);
        let kind = match &op.kind {
            LaneKind::Lit(_) | LaneKind::Position(_) => op.kind.clone(),
            LaneKind::Load(view) if stores(lanes).all(|(s, _)| s.buffer != view.buffer) => op.kind.clone(),
            LaneKind::Binary(b @ (Binary::Add | Binary::Sub | Binary::Mul | Binary::And | Binary::Or), x, y) => {
                LaneKind::Binary(*b, copy(x)?, copy(y)?)
            }
            LaneKind::Compare(c, x, y) => LaneKind::Compare(*c, copy(x)?, copy(y)?),
            LaneKind::Select(c, x, y) => LaneKind::Select(copy(c)?, copy(x)?, copy(y)?),
            LaneKind::Unary(u @ (Unary::Neg | Unary::Not | Unary::Abs), x) => LaneKind::Unary(*u, copy(x)?),
            LaneKind::Convert(x) if !op.dtype.is_half() => LaneKind::Convert(copy(x)?),
            LaneKind::Load(_)
            | LaneKind::Binary(..)
            | LaneKind::Unary(..)
            | LaneKind::Convert(_)
            | LaneKind::Gather(..)
            | LaneKind::MulAdd(..)
            | LaneKind::Bitcast(_)
            | LaneKind::Threefry(..)
            | LaneKind::Store(..)
            | LaneKind::Scatter { .. } => return None,
        };
        Some(self.put(value, LaneOp { kind, dtype: op.dtype }))
    }
}

/// Whether the positions that are reduced over could as well be lanes: each writes places of its own, and reads none that another
/// writes.
fn independent(lanes: &Lanes) -> bool {
    // Smallest first; of a dimension of one position none.
    let steps = |view: &View| {
        let sizes = lanes.dims.iter().chain(&lanes.reduced);
        let steps = view.strides.iter().zip(sizes).filter(|(_, n)| **n > 1).map(|(s, n)| (s.unsigned_abs(), *n));
        let mut steps: Vec<(usize, usize)> = steps.collect();
        steps.sort();
        steps
    };
    let own_place = |view: &View| {
        // Each step is longer than all shorter ones together.
        let mut reach = 0;
        steps(view).into_iter().all(|(step, n)| {
            let apart = step > reach;
            reach += step * (n - 1);
            apart
        })
    };
    // The same place in each lane, or places between those of the other: the columns of a matrix by itself.
    let beside = |a: &View, b: &View| {
        let same = a.strides == b.strides && a.dynamic == b.dynamic;
        let step = steps(a).first().map_or(usize::MAX, |(step, _)| *step);
        a.buffer != b.buffer || same && a.offset.abs_diff(b.offset) < step
    };
    let writes_apart = stores(lanes).all(|(view, _)| own_place(view));
    let touches_own = lanes.ops.iter().all(|op| match &op.kind {
        LaneKind::Scatter { .. } => false,
        LaneKind::Gather(view, _) => stores(lanes).all(|(s, _)| s.buffer != view.buffer),
        kind => view_of(kind).is_none_or(|view| stores(lanes).all(|(s, _)| beside(s, view))),
    });
    let into_read =
        |r: &Reduction| lanes.ops.iter().any(|op| view_of(&op.kind).is_some_and(|v| v.buffer == r.into.buffer));
    writes_apart && touches_own && !lanes.reductions.iter().any(into_read)
}
