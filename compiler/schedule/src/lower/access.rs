//! Reading and writing at run-time positions: `Index`, `IndexSet`, `IndexAdd`, and the accumulators of maps.

use smallvec::SmallVec;
use whorl_core::ir::*;
use whorl_core::prim::{Binary, Prim};

use super::{Bound, Lowerer};
use crate::ScheduleError;
use crate::array::{Array, Content, injective};
use crate::lanes::LaneBuilder;
use crate::loop_ir::*;

/// An array that lanes add to, and what they do to it, in the order of the lane's statements.
pub(super) struct Accumulator {
    array: Array,
    /// The number of maps around the one that brought it.
    depth: usize,
    updates: Vec<Update>,
}

struct Update {
    target: Target,
    value: Array,
    add: bool,
    spans: Spans,
}

/// A place in an array: for each lane, a view of it, and offsets that lanes compute.
struct Target {
    shape: Shape,
    view: View,
    lanes: Vec<LaneOffset>,
}

struct LaneOffset {
    /// One `i32` a lane.
    index: Array,
    max: i32,
    stride: isize,
}

impl Lowerer<'_> {
    /// What `indices` (an `i32` for each lane) reach in `x`, whose first dimensions are the lanes'.
    fn target(&mut self, x: &Array, window: Option<usize>, indices: &[Array]) -> Target {
        let lanes = self.lanes.len();
        let mut x = x.clone();
        let mut view = self.view(&x);
        let mut offsets = Vec::new();
        for (k, index) in indices.iter().enumerate() {
            // Axes that an index consumes disappear, so that the next one is always the first behind the lanes.
            let kept = if k + 1 == indices.len() { window } else { None };
            let (n, stride) = (x.shape[lanes], view.strides[lanes]);
            let max = (n - kept.unwrap_or(1)) as isize;
            match &index.content {
                Content::Lit(lit) => view.offset += (lit.to_f64() as isize).clamp(0, max) * stride,
                Content::Position { offset, strides } if stays_within(&index.shape, *offset, strides, 0, max) => {
                    view.offset += offset * stride;
                    (0..lanes).for_each(|d| view.strides[d] += strides[d] * stride);
                }
                Content::View(i) if (0..lanes).all(|d| i.strides[d] == 0 || index.shape[d] == 1) => {
                    let one = Array { shape: Shape::new(), dtype: DType::I32, content: Content::View(uniform(i)) };
                    let index = self.scalar(&one);
                    view.dynamic.push(Dynamic { index, max: max as i32, stride });
                }
                Content::Position { .. } | Content::View(_) => {
                    offsets.push(LaneOffset { index: index.clone(), max: max as i32, stride });
                }
            }
            match kept {
                Some(w) => x.shape[lanes] = w,
                None => {
                    x.shape.remove(lanes);
                    view.strides.remove(lanes);
                }
            }
        }
        Target { shape: x.shape, view, lanes: offsets }
    }

    pub(super) fn index(&mut self, x: &Array, window: Option<usize>, indices: &[Array], out: Var) -> Array {
        if let Content::Lit(lit) = x.content {
            let mut shape = self.lanes.clone();
            shape.extend_from_slice(&self.vars.ty(out).shape);
            return Array::lit(lit, &shape);
        }
        if let Some(position) = self.position_at(x, window, indices) {
            return position;
        }
        let target = self.target(x, window, indices);
        if target.lanes.is_empty() {
            return Array { dtype: x.dtype, shape: target.shape, content: Content::View(target.view) };
        }
        let mut b = LaneBuilder::default();
        let at = offsets(&mut b, &target);
        let value = b.op(LaneKind::Gather(target.view, at), x.dtype);
        let (to, array) = self.fresh(out);
        b.store(to, value);
        let node = b.node(&target.shape, &self.spans);
        self.emit(node);
        array
    }

    /// An element of a list of positions is a position.
    fn position_at(&self, x: &Array, window: Option<usize>, indices: &[Array]) -> Option<Array> {
        let lanes = self.lanes.len();
        let (Content::Position { offset, strides }, [index], None) = (&x.content, indices, window) else { return None };
        let (n, step) = (*x.shape.get(lanes)? as isize, strides[lanes]);
        if n == 0 {
            return None;
        }
        let mut at = x.clone();
        at.remove(lanes);
        let content = match &index.content {
            Content::Lit(lit) => {
                let moved = (lit.to_f64() as isize).clamp(0, n - 1) * step;
                Content::Position { offset: offset + moved, strides: at.strides() }
            }
            Content::Position { offset: first, strides: by } if stays_within(&index.shape, *first, by, 0, n - 1) => {
                let mut strides = at.strides();
                (0..lanes).for_each(|d| strides[d] += by[d] * step);
                Content::Position { offset: offset + first * step, strides }
            }
            Content::Position { .. } | Content::View(_) => return None,
        };
        Some(Array { content, ..at })
    }

    /// A copy of the first array, and then the second at its place.
    pub(super) fn index_update(&mut self, arrays: &[Array], window: Option<usize>, add: bool, out: Var) -> Array {
        let (to, array) = self.fresh(out);
        self.copy(&to, &arrays[0]);
        let target = self.target(&array, window, &arrays[2..]);
        let spans = self.spans.clone();
        self.update(&[&Update { target, value: arrays[1].clone(), add, spans }]);
        array
    }

    /// One loop that makes these updates, which have one shape; in order for each lane.
    fn update(&mut self, updates: &[&Update]) {
        let mut b = LaneBuilder::default();
        for u in updates {
            let at = offsets(&mut b, &u.target);
            let mut value = b.read(&u.value);
            let apart = at.is_empty() && injective(&u.target.shape, &u.target.view.strides);
            if !apart || updates.len() > 1 {
                let (view, add) = (u.target.view.clone(), u.add);
                b.op(LaneKind::Scatter { view, at, value, add }, u.value.dtype);
                continue;
            }
            if u.add {
                let old = b.op(LaneKind::Load(u.target.view.clone()), u.value.dtype);
                value = b.op(LaneKind::Binary(Binary::Add, old, value), u.value.dtype);
            }
            b.store(u.target.view.clone(), value);
        }
        let node = b.node(&updates[0].target.shape, &updates[0].spans);
        self.emit(node);
    }

    /// Makes the accumulators of a map that begins; `end_accumulators` makes their updates happen.
    pub(super) fn begin_accumulators(&mut self, accs: &[Carry]) -> Result<Vec<usize>, ScheduleError> {
        let mut ids = Vec::new();
        for acc in accs {
            let outer = acc.init.var().and_then(|v| match self.bound.get(&v) {
                Some(Bound::Accumulator(id)) => Some(*id),
                Some(Bound::Array { .. }) | None => None,
            });
            let id = match outer {
                Some(id) => id,
                None => {
                    let init = self.get(acc.init)?;
                    let (to, array) = self.fresh(acc.var);
                    self.copy(&to, &init);
                    self.accumulators.push(Accumulator { array, depth: self.lanes.len(), updates: Vec::new() });
                    self.accumulators.len() - 1
                }
            };
            self.bound.insert(acc.var, Bound::Accumulator(id));
            ids.push(id);
        }
        Ok(ids)
    }

    /// At the end of a map (its dimension already gone), binds what `outs` are: the accumulators after their updates.
    pub(super) fn end_accumulators(
        &mut self,
        ids: &[usize],
        results: &[Atom],
        outs: &[Var],
    ) -> Result<(), ScheduleError> {
        for ((&id, result), out) in ids.iter().zip(results).zip(outs) {
            match result.var().and_then(|v| self.bound.get(&v)) {
                Some(Bound::Accumulator(r)) if *r == id => {}
                Some(_) | None => return Err(self.error("an accumulator of a map is not only added to or set")),
            }
            if self.accumulators[id].depth < self.lanes.len() {
                self.bound.insert(*out, Bound::Accumulator(id));
                continue;
            }
            let updates = std::mem::take(&mut self.accumulators[id].updates);
            self.apply(&updates)?;
            let array = self.accumulators[id].array.clone();
            self.bind(*out, array);
        }
        Ok(())
    }

    fn apply(&mut self, updates: &[Update]) -> Result<(), ScheduleError> {
        let Some(first) = updates.first() else { return Ok(()) };
        if updates.iter().all(|u| u.target.shape == first.target.shape) {
            self.update(&updates.iter().collect::<Vec<_>>());
        } else if updates.iter().all(|u| u.add) {
            // The order of sums into an accumulator is the schedule's.
            updates.iter().for_each(|u| self.update(&[u]));
        } else {
            return Err(self.error("a map sets places of different shapes in one array"));
        }
        Ok(())
    }

    /// What an update of an accumulator gives; `None` for everything else.
    pub(super) fn update_accumulator(&mut self, prim: &Prim, args: &[Atom]) -> Result<Option<Bound>, ScheduleError> {
        let id_of = |a: &Atom| match a.var().and_then(|v| self.bound.get(&v)) {
            Some(Bound::Accumulator(id)) => Some(*id),
            Some(Bound::Array { .. }) | None => None,
        };
        let (id, window, value, indices, add) = match prim {
            Prim::IndexSet(w) if id_of(&args[0]).is_some() => (id_of(&args[0]), *w, args[1], &args[2..], false),
            Prim::IndexAdd(w) if id_of(&args[0]).is_some() => (id_of(&args[0]), *w, args[1], &args[2..], true),
            Prim::Binary(Binary::Add) if id_of(&args[0]).is_some() => (id_of(&args[0]), None, args[1], &[][..], true),
            Prim::Binary(Binary::Add) if id_of(&args[1]).is_some() => (id_of(&args[1]), None, args[0], &[][..], true),
            _ => return Ok(None),
        };
        let Some(id) = id else { return Ok(None) };
        let indices = indices.iter().map(|a| self.get(*a)).collect::<Result<Vec<Array>, ScheduleError>>()?;
        let Accumulator { array, depth, .. } = &self.accumulators[id];
        let x = array.clone().repeated(*depth, &self.lanes[*depth..]);
        let target = self.target(&x, window, &indices);
        let mut value = self.get(value)?;
        if value.rank() < target.shape.len() && value.rank() == self.lanes.len() {
            value = value.repeated(self.lanes.len(), &target.shape[self.lanes.len()..]);
        }
        let spans = self.spans.clone();
        self.accumulators[id].updates.push(Update { target, value, add, spans });
        Ok(Some(Bound::Accumulator(id)))
    }
}

/// The ops that read a target's lane-computed offsets.
fn offsets(b: &mut LaneBuilder, target: &Target) -> Vec<LaneIndex> {
    let mut at = Vec::new();
    for LaneOffset { index, max, stride } in &target.lanes {
        let index = b.read(&index.clone().repeated(index.rank(), &target.shape[index.rank()..]));
        at.push(LaneIndex { index, max: *max, stride: *stride });
    }
    at
}

/// Whether an affine index is within 0..=max for all lanes, so that it needs no clamp.
pub(super) fn stays_within(shape: &[usize], offset: isize, strides: &[isize], min: isize, max: isize) -> bool {
    let reach = |sign: isize| -> isize {
        let ends = shape.iter().zip(strides).map(|(&n, &s)| (n as isize - 1).max(0) * s);
        offset + ends.filter(|e| e * sign > 0).sum::<isize>()
    };
    reach(-1) >= min && reach(1) <= max
}

fn uniform(v: &View) -> View {
    View { strides: SmallVec::new(), ..v.clone() }
}
