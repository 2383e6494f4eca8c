//! The ops of a body.

use whorl_core::ir::{DType, Lit};
use whorl_core::prim::Binary;
use whorl_schedule::loop_ir::{LaneIndex, LaneKind, LaneOp, Value as Op, View};

use super::machine::{LaneOffset, Machine};
use super::normal::size;
use super::plan::Plan;
use super::walk::{Group, Walker};
use crate::CpuError;

/// What lanes' own indices add to an address, and whether it differs from lane to lane.
type Offsets<M> = (Vec<LaneOffset<<M as Machine>::Lane>>, bool);

impl<M: Machine> Walker<'_, '_, M> {
    /// Emits the ops that belong between loop `level - 1` and loop `level`, for all groups.
    pub fn ops_of_depth(&mut self, level: usize) -> Result<(), CpuError> {
        let plan = self.plan;
        for (k, op) in plan.lanes.ops.iter().enumerate() {
            // The stores of a cumulative loop come after its fold.
            if plan.depth[k] == level && !(plan.cumulative && matches!(op.kind, LaneKind::Store(..))) {
                self.op(k, op)?;
            }
        }
        Ok(())
    }

    /// Emits op `k` for all groups.
    pub fn op(&mut self, k: usize, op: &LaneOp) -> Result<(), CpuError> {
        let mut groups = std::mem::take(&mut self.groups);
        let result = groups.iter_mut().try_for_each(|group| {
            group.values[k] = self.value(k, op, group)?;
            Ok(())
        });
        self.groups = groups;
        result
    }

    fn get(&self, group: &Group<M>, v: Op) -> Result<M::Lane, CpuError> {
        let value = group.values.get(v.0 as usize).copied().flatten();
        value.ok_or_else(|| CpuError::internal("a lane op uses a value that is not there"))
    }

    fn dtype(&self, v: Op) -> DType {
        self.plan.lanes.ops[v.0 as usize].dtype
    }

    fn value(&mut self, k: usize, op: &LaneOp, group: &mut Group<M>) -> Result<Option<M::Lane>, CpuError> {
        // What is the same for all lanes of a vector is needed in all of them.
        let uniform = self.plan.vector.is_some_and(|v| self.plan.depth[k] <= v);
        let (dtype, width) = (op.dtype, if uniform { self.machine.lanes() } else { group.width });
        Ok(Some(match &op.kind {
            LaneKind::Lit(lit) => self.machine.literal(*lit),
            LaneKind::Position(d) => self.position(*d, group),
            LaneKind::Load(view) => {
                let at = self.address(view, k, group)?;
                self.load(view, dtype, at, width)
            }
            LaneKind::Gather(view, at) => self.gather(k, view, at, dtype, group)?,
            LaneKind::Unary(op, a) => {
                let a = self.get(group, *a)?;
                self.machine.unary(*op, dtype, a)?
            }
            LaneKind::Binary(op, a, b) => {
                let literal = literal_of(self.plan, *b);
                let shared = *op == Binary::Div && dtype.is_float() && self.shared(*a, *b);
                let (a, b) = (self.get(group, *a)?, self.get(group, *b)?);
                if shared {
                    return self.machine.divide_by_one(dtype, a, b, literal).map(Some);
                }
                self.machine.binary(*op, dtype, a, b, literal, width)?
            }
            LaneKind::Compare(op, a, b) => {
                let dtype = self.dtype(*a);
                let (a, b) = (self.get(group, *a)?, self.get(group, *b)?);
                self.machine.compare(*op, dtype, a, b)
            }
            LaneKind::Select(c, a, b) => {
                let (c, a, b) = (self.get(group, *c)?, self.get(group, *a)?, self.get(group, *b)?);
                self.machine.select(c, dtype, a, b)
            }
            LaneKind::MulAdd(a, b, c) => {
                let (a, b, c) = (self.get(group, *a)?, self.get(group, *b)?, self.get(group, *c)?);
                self.machine.mul_add(dtype, a, b, c)
            }
            LaneKind::Convert(a) => {
                let (from, a) = (self.dtype(*a), self.get(group, *a)?);
                self.machine.convert(from, dtype, a, width)
            }
            LaneKind::Bitcast(a) => {
                let (from, a) = (self.dtype(*a), self.get(group, *a)?);
                self.machine.bitcast(from, dtype, a)
            }
            LaneKind::Threefry(word, operands) => self.threefry(k, *word, operands, group)?,
            LaneKind::Store(view, v) => {
                let v = self.get(group, *v)?;
                let at = self.address(view, k, group)?;
                self.store(view, dtype, v, at, width);
                return Ok(None);
            }
            LaneKind::Scatter { view, at, value, add } => {
                self.scatter(k, view, at, *value, *add, dtype, group)?;
                return Ok(None);
            }
        }))
    }

    /// Whether many vectors of `a` meet one value of `b`.
    fn shared(&self, a: Op, b: Op) -> bool {
        const MANY: usize = 4;
        let depth = |v: Op| self.plan.depth[v.0 as usize];
        let vectors = |d: usize| size(&self.plan.lanes, d) / self.machine.lanes();
        self.plan.vector.is_some_and(|d| depth(b) <= d && depth(a) > d && vectors(d) >= MANY)
    }

    fn position(&mut self, d: usize, group: &Group<M>) -> M::Lane {
        let index = self.index[d];
        let along = self.plan.vector == Some(d);
        self.machine.position(index.var, index.add + if along { group.start } else { 0 }, along)
    }

    /// Both words of a block at the first of its ops.
    fn threefry(&mut self, k: usize, word: u8, operands: &[Op; 4], group: &mut Group<M>) -> Result<M::Lane, CpuError> {
        let same = |op: &LaneOp| matches!(&op.kind, LaneKind::Threefry(_, other) if other == operands);
        let first = self.plan.lanes.ops[..k].iter().position(same);
        if let Some(first) = first
            && let LaneKind::Threefry(first_word, _) = self.plan.lanes.ops[first].kind
        {
            let known = if first_word == word { group.values[first] } else { group.other_words[first] };
            return known.ok_or_else(|| CpuError::internal("half a block of random words"));
        }
        let mut inputs = [self.get(group, operands[0])?; 4];
        for (input, operand) in inputs.iter_mut().zip(operands) {
            *input = self.get(group, *operand)?;
        }
        let words = self.machine.threefry(inputs);
        let word = word as usize & 1;
        group.other_words[k] = Some(words[1 - word]);
        Ok(words[word])
    }

    fn offsets(&mut self, view: &View, at: &[LaneIndex], group: &Group<M>) -> Result<Offsets<M>, CpuError> {
        let bytes = self.buffer(view.buffer)?.dtype.bytes() as i64;
        let outside = self.plan.vector.map_or(0, |v| v + 1);
        let varies = |i: &LaneIndex| self.plan.depth[i.index.0 as usize] >= outside;
        let each = self.plan.vector.is_some() && at.iter().any(varies);
        let of = |i: &LaneIndex| {
            Ok(LaneOffset { index: self.get(group, i.index)?, max: i.max, step: i.stride as i64 * bytes })
        };
        Ok((at.iter().map(of).collect::<Result<_, CpuError>>()?, each))
    }

    fn gather(
        &mut self,
        k: usize,
        view: &View,
        at: &[LaneIndex],
        dtype: DType,
        group: &Group<M>,
    ) -> Result<M::Lane, CpuError> {
        let address = self.address(view, k, group)?;
        let (offsets, each) = self.offsets(view, at, group)?;
        let layout = self.layout(view, dtype);
        Ok(self.machine.gather(dtype, address, layout, &offsets, each, group.width))
    }

    #[allow(clippy::too_many_arguments)]
    fn scatter(
        &mut self,
        k: usize,
        view: &View,
        at: &[LaneIndex],
        value: Op,
        add: bool,
        dtype: DType,
        group: &Group<M>,
    ) -> Result<(), CpuError> {
        let value = self.get(group, value)?;
        let address = self.address(view, k, group)?;
        let (offsets, each) = self.offsets(view, at, group)?;
        let layout = self.layout(view, dtype);
        self.machine.scatter(dtype, value, address, layout, &offsets, each, add, group.width)
    }
}

/// The bits of an op that is a literal.
fn literal_of(plan: &Plan, v: Op) -> Option<u64> {
    match plan.lanes.ops.get(v.0 as usize)?.kind {
        LaneKind::Lit(Lit { bits, .. }) => Some(bits),
        _ => None,
    }
}
