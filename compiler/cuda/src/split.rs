//! Long folds into one result that stand beside other work: all threads do the work and put what is folded into memory, and then it is folded.
//!
//! ```text
//! lanes [] over [n] { s[d0] = step(s[d0]); any = Fold(Any) ended(s[d0]) }
//!     lanes [n] { s[d0] = step(s[d0]); t[d0] = ended(s[d0]) }
//!     lanes [] over [n] { any = Fold(Any) t[d0] }
//! ```
//!
//! A fold has an order, and so at most sixteen threads; where its loop also changes what it reads, one. Whole numbers and truths have none: of those of a group each of
//! many threads folds a part, and then the parts are folded.

use smallvec::SmallVec;
use whorl_core::ir::{DType, Shape, Spans};
use whorl_schedule::loop_ir::*;
use whorl_schedule::normal::normalise;
use whorl_schedule::{bodies_mut, view_of, view_of_mut};

use crate::group::Team;
use crate::modes::{self, Mode, Promoted, SHORT};

/// Operations of a position that sixteen threads may do.
const FEW: usize = 8;
/// Parts of a fold that has no order.
const PARTS: usize = 4096;

/// The program with such loops in two, or three.
pub fn split(p: &LoopProgram, team: Team) -> LoopProgram {
    let mut out = p.clone();
    let mut places =
        Places { start: p.arena_bytes.next_multiple_of(64), end: p.arena_bytes, buffers: p.buffers.clone() };
    for phase in &mut out.phases {
        let promoted = modes::promoted(p, phase);
        block(p, phase.body_mut(), team, &promoted, &mut places);
    }
    (out.buffers, out.arena_bytes) = (places.buffers, places.end);
    out
}

fn block(p: &LoopProgram, nodes: &mut Vec<Node>, team: Team, promoted: &Promoted, places: &mut Places) {
    for mut node in std::mem::take(nodes) {
        bodies_mut(&mut node).into_iter().for_each(|body| block(p, body, team, promoted, places));
        let instead = if let Node::Lanes(l) = &node { divided(p, l, team, promoted, places) } else { None };
        nodes.extend(instead.unwrap_or_else(|| vec![node]));
    }
}

/// Memory between the parts of a loop, which those of others may have as well.
struct Places {
    start: usize,
    end: usize,
    buffers: Vec<Buffer>,
}

impl Places {
    fn new_buffer(&mut self, dtype: DType, shape: &[usize], at: &mut usize) -> BufferId {
        let shape = Shape::from_slice(shape);
        let buffer = Buffer { dtype, shape, place: Place::Arena(*at), name: None, spans: Spans::new() };
        *at = (*at + buffer.bytes()).next_multiple_of(64);
        self.end = self.end.max(*at);
        self.buffers.push(buffer);
        BufferId(self.buffers.len() as u32 - 1)
    }
}

fn row_major(shape: &[usize]) -> SmallVec<[isize; 4]> {
    let mut strides: SmallVec<[isize; 4]> = shape.iter().map(|_| 1).collect();
    for k in (1..shape.len()).rev() {
        strides[k - 1] = strides[k] * shape[k] as isize;
    }
    strides
}

fn plain(buffer: BufferId, strides: SmallVec<[isize; 4]>) -> View {
    View { buffer, offset: 0, dynamic: SmallVec::new(), strides }
}

/// The loops instead of this one, if they are better.
fn divided(p: &LoopProgram, l: &Lanes, team: Team, promoted: &Promoted, places: &mut Places) -> Option<Vec<Node>> {
    let l = normalise(l);
    let n = l.reduced.iter().product::<usize>();
    if !l.dims.is_empty() || l.reductions.is_empty() || n <= SHORT || !independent(p, &l) {
        return None;
    }
    let moves = |op: &LaneOp| matches!(op.kind, LaneKind::Lit(_) | LaneKind::Position(_) | LaneKind::Load(_));
    let stores = l.ops.iter().any(|op| matches!(op.kind, LaneKind::Store(..)));
    let group = team.blocks > 1;
    let worth = modes::mode(p, &l, promoted, team.threads()) == Mode::First
        || group && (stores || l.ops.iter().filter(|op| !moves(op)).count() > FEW);
    let mut at = places.start;
    let (work, fold) = if worth { apart(&l, places, &mut at) } else { (None, l) };
    let folds = if group && n > PARTS { in_parts(&fold, n, places, &mut at) } else { None };
    if work.is_none() && folds.is_none() {
        return None;
    }
    Some(work.into_iter().chain(folds.unwrap_or_else(|| vec![fold])).map(Node::Lanes).collect())
}

/// Whether no position needs another's: what is written is another element at each, and read as that element alone.
fn independent(p: &LoopProgram, l: &Lanes) -> bool {
    let mut written: Vec<&View> = Vec::new();
    for op in &l.ops {
        match &op.kind {
            LaneKind::Store(view, _) => written.push(view),
            LaneKind::Scatter { .. } => return false,
            _ => {}
        }
    }
    let apart = |v: &View| modes::injective(&l.reduced, &v.strides, 0);
    // Neighbours in rows of one array never meet: different positions are further apart than they are.
    let beside = |w: &View, v: &View| {
        let alike = (w.buffer, &w.strides, &w.dynamic) == (v.buffer, &v.strides, &v.dynamic);
        alike && modes::injective(&l.reduced, &w.strides, (w.offset - v.offset).abs())
    };
    let meets = |w: &View, v: &View| modes::overlap(p, w.buffer, v.buffer) && !beside(w, v);
    let reads = || l.ops.iter().filter(|op| !matches!(op.kind, LaneKind::Store(..))).filter_map(|op| view_of(&op.kind));
    let gathers = l.ops.iter().filter_map(|op| match &op.kind {
        LaneKind::Gather(view, _) => Some(view),
        _ => None,
    });
    let gathered: Vec<&View> = gathers.collect();
    written.iter().all(|w| {
        apart(w)
            && reads().all(|r| !meets(w, r))
            && written.iter().all(|v| !meets(w, v))
            && gathered.iter().all(|g| !modes::overlap(p, w.buffer, g.buffer))
    })
}

/// The work of all positions, and the folds of what it leaves.
fn apart(l: &Lanes, places: &mut Places, at: &mut usize) -> (Option<Lanes>, Lanes) {
    let mut ops = l.ops.clone();
    let (mut loads, mut kept): (Vec<LaneOp>, Vec<Value>) = (Vec::new(), Vec::new());
    let mut reductions = l.reductions.clone();
    for r in &mut reductions {
        let known = kept.iter().position(|v| *v == r.value);
        let value = known.unwrap_or_else(|| {
            let dtype = l.ops[r.value.0 as usize].dtype;
            let view = plain(places.new_buffer(dtype, &l.reduced, at), row_major(&l.reduced));
            ops.push(LaneOp { kind: LaneKind::Store(view.clone(), r.value), dtype });
            loads.push(LaneOp { kind: LaneKind::Load(view), dtype });
            kept.push(r.value);
            kept.len() - 1
        });
        r.value = Value(value as u32);
    }
    let fold = Lanes { dims: Shape::new(), reduced: l.reduced.clone(), ops: loads, reductions, spans: l.spans.clone() };
    let work =
        Lanes { dims: l.reduced.clone(), reduced: Shape::new(), ops, reductions: Vec::new(), spans: l.spans.clone() };
    (Some(work), fold)
}

/// Folds without an order of one dimension, in parts that lie between each other.
fn in_parts(l: &Lanes, n: usize, places: &mut Places, at: &mut usize) -> Option<Vec<Lanes>> {
    let l = normalise(l);
    let no_order =
        |r: &Reduction| matches!(r.kind, ReductionKind::Fold(_)) && !l.ops[r.value.0 as usize].dtype.is_float();
    let only_views = l.ops.iter().all(|op| !matches!(op.kind, LaneKind::Position(_) | LaneKind::Store(..)));
    if l.reduced.len() != 1 || !only_views || !l.reductions.iter().all(no_order) {
        return None;
    }
    let parts = (2..=PARTS).rev().find(|parts| n.is_multiple_of(*parts))?;
    let mut ops = l.ops.clone();
    for op in &mut ops {
        if let Some(view) = view_of_mut(&mut op.kind) {
            let stride = view.strides[0];
            view.strides = SmallVec::from_slice(&[stride, stride * parts as isize]);
        }
    }
    let (mut first, mut second, mut loads) = (l.reductions.clone(), l.reductions.clone(), Vec::new());
    for (k, (of_part, of_all)) in first.iter_mut().zip(&mut second).enumerate() {
        let dtype = l.ops[of_part.value.0 as usize].dtype;
        let view = plain(places.new_buffer(dtype, &[parts], at), SmallVec::from_slice(&[1]));
        of_part.into = view.clone();
        of_all.value = Value(k as u32);
        loads.push(LaneOp { kind: LaneKind::Load(view), dtype });
    }
    let (one, rest) = (Shape::from_slice(&[parts]), Shape::from_slice(&[n / parts]));
    let of_parts = Lanes { dims: one.clone(), reduced: rest, ops, reductions: first, spans: l.spans.clone() };
    let of_all = Lanes { dims: Shape::new(), reduced: one, ops: loads, reductions: second, spans: l.spans };
    Some(vec![of_parts, of_all])
}
