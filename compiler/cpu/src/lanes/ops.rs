//! The ops of a body.

use cranelift_codegen::ir::types::{I32, I32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use whorl_core::ir::{DType, Lit};
use whorl_core::prim::Binary;
use whorl_schedule::loop_ir::{LaneIndex, LaneKind, LaneOp, Value as Op, View};

use super::access::apart;
use super::plan::Plan;
use super::walk::{Group, Walker};
use crate::CpuError;
use crate::emit::convert::{bitcast, convert};
use crate::emit::machine::{constant, splat32};
use crate::emit::value::{Address, Lane4, literal, load_row, store_row, to_front};

impl Walker<'_, '_, '_> {
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

    fn get(&self, group: &Group, v: Op) -> Result<Lane4, CpuError> {
        let value = group.values.get(v.0 as usize).copied().flatten();
        value.ok_or_else(|| CpuError::internal("a lane op uses a value that is not there"))
    }

    fn dtype(&self, v: Op) -> DType {
        self.plan.lanes.ops[v.0 as usize].dtype
    }

    fn value(&mut self, k: usize, op: &LaneOp, group: &mut Group) -> Result<Option<Lane4>, CpuError> {
        // What is the same for all lanes of a vector is needed in all of them.
        let uniform = self.plan.vector.is_some_and(|v| self.plan.depth[k] <= v);
        let (dtype, width) = (op.dtype, if uniform { 4 } else { group.width });
        Ok(Some(match &op.kind {
            LaneKind::Lit(lit) => literal(self.builder, *lit),
            LaneKind::Position(d) => self.position(*d, group),
            LaneKind::Load(view) => {
                let at = self.address(view, k, group)?;
                self.load(view, dtype, at, width)
            }
            LaneKind::Gather(view, at) => self.gather(k, view, at, dtype, group)?,
            LaneKind::Unary(op, a) => {
                let a = self.get(group, *a)?;
                self.arith().unary(*op, dtype, a)?
            }
            LaneKind::Binary(op, a, b) => {
                let literal = literal_of(self.plan, *b);
                let (a, b) = (self.get(group, *a)?, self.get(group, *b)?);
                self.arith().binary(*op, dtype, a, b, literal, width)?
            }
            LaneKind::Compare(op, a, b) => {
                let dtype = self.dtype(*a);
                let (a, b) = (self.get(group, *a)?, self.get(group, *b)?);
                self.arith().compare(*op, dtype, a, b)
            }
            LaneKind::Select(c, a, b) => {
                let (c, a, b) = (self.get(group, *c)?, self.get(group, *a)?, self.get(group, *b)?);
                self.arith().select(c, dtype, a, b)
            }
            LaneKind::MulAdd(a, b, c) => {
                let (a, b, c) = (self.get(group, *a)?, self.get(group, *b)?, self.get(group, *c)?);
                self.arith().mul_add(dtype, a, b, c)
            }
            LaneKind::Convert(a) => {
                let (from, a) = (self.dtype(*a), self.get(group, *a)?);
                convert(&mut self.arith(), from, dtype, a, width)
            }
            LaneKind::Bitcast(a) => {
                let (from, a) = (self.dtype(*a), self.get(group, *a)?);
                bitcast(&mut self.arith(), from, dtype, a)
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

    fn position(&mut self, d: usize, group: &Group) -> Lane4 {
        let index = self.index[d];
        let along = self.plan.vector == Some(d);
        let add = index.add + if along { group.start } else { 0 };
        let lane = if along { 1 } else { 0 };
        let mut bytes = [0; 16];
        for (k, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            chunk.copy_from_slice(&((add + lane * k as i64) as u32).to_le_bytes());
        }
        let fixed = constant(self.builder, I32X4, bytes);
        let Some(var) = index.var else { return Lane4::one(fixed) };
        let var = self.builder.ins().ireduce(I32, var);
        let var = self.builder.ins().splat(I32X4, var);
        Lane4::one(self.builder.ins().iadd(var, fixed))
    }

    /// Both words of a block at the first of its ops.
    fn threefry(&mut self, k: usize, word: u8, operands: &[Op; 4], group: &mut Group) -> Result<Lane4, CpuError> {
        let same = |op: &LaneOp| matches!(&op.kind, LaneKind::Threefry(_, other) if other == operands);
        let first = self.plan.lanes.ops[..k].iter().position(same);
        if let Some(first) = first
            && let LaneKind::Threefry(first_word, _) = self.plan.lanes.ops[first].kind
        {
            let known = if first_word == word { group.values[first] } else { group.other_words[first] };
            return known.ok_or_else(|| CpuError::internal("half a block of random words"));
        }
        let mut inputs = [self.get(group, operands[0])?.lo; 4];
        for (input, operand) in inputs.iter_mut().zip(operands) {
            *input = self.get(group, *operand)?.lo;
        }
        let words = self.arith().threefry(inputs);
        let word = word as usize & 1;
        group.other_words[k] = Some(Lane4::one(words[1 - word]));
        Ok(Lane4::one(words[word]))
    }

    /// The bytes that lanes' own indices add to an address: one `i64` for each lane, or one for all.
    fn offsets(&mut self, view: &View, at: &[LaneIndex], group: &Group) -> Result<Vec<Value>, CpuError> {
        let bytes = self.frame.buffer(view.buffer)?.dtype.bytes() as i64;
        let outside = self.plan.vector.map_or(0, |v| v + 1);
        let varies = |i: &LaneIndex| self.plan.depth[i.index.0 as usize] >= outside;
        let lanes = if self.plan.vector.is_some() && at.iter().any(varies) { group.width } else { 1 };
        let reach: i64 = at.iter().map(|i| (i.max as i64 * i.stride as i64 * bytes).abs()).sum();
        let zero = constant(self.builder, I32X4, [0; 16]);
        let mut clamped = Vec::new();
        for i in at {
            let most = splat32(self.builder, I32X4, i.max as u32);
            let v = self.get(group, i.index)?.lo;
            let v = self.builder.ins().smax(v, zero);
            clamped.push((self.builder.ins().smin(v, most), i.stride as i64 * bytes));
        }
        if reach <= i32::MAX as i64 {
            let mut sum = None;
            for (v, step) in clamped {
                let step = splat32(self.builder, I32X4, step as u32);
                let v = self.builder.ins().imul(v, step);
                sum = Some(sum.map_or(v, |s| self.builder.ins().iadd(s, v)));
            }
            let sum = sum.unwrap_or(zero);
            return Ok((0..lanes)
                .map(|lane| {
                    let x = self.builder.ins().extractlane(sum, lane as u8);
                    self.builder.ins().sextend(I64, x)
                })
                .collect());
        }
        Ok((0..lanes)
            .map(|lane| {
                let mut sum = self.builder.ins().iconst(I64, 0);
                for (v, step) in &clamped {
                    let x = self.builder.ins().extractlane(*v, lane as u8);
                    let x = self.builder.ins().sextend(I64, x);
                    let x = self.builder.ins().imul_imm_s(x, *step);
                    sum = self.builder.ins().iadd(sum, x);
                }
                sum
            })
            .collect())
    }

    /// Where each lane's element is.
    fn places(&mut self, view: &View, dtype: DType, at: Address, offsets: &[Value], width: usize) -> Vec<Address> {
        let places = apart(at, self.lane_bytes(view, dtype), width);
        (0..width).map(|k| self.moved(places[k], offsets[k.min(offsets.len() - 1)])).collect()
    }

    fn gather(
        &mut self,
        k: usize,
        view: &View,
        at: &[LaneIndex],
        dtype: DType,
        group: &Group,
    ) -> Result<Lane4, CpuError> {
        let address = self.address(view, k, group)?;
        let offsets = self.offsets(view, at, group)?;
        if let [offset] = offsets[..] {
            let address = self.moved(address, offset);
            return Ok(self.load(view, dtype, address, group.width));
        }
        let places = self.places(view, dtype, address, &offsets, group.width);
        Ok(crate::emit::value::load_each(self.builder, dtype, &places))
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
        group: &Group,
    ) -> Result<(), CpuError> {
        let value = self.get(group, value)?;
        let address = self.address(view, k, group)?;
        let offsets = self.offsets(view, at, group)?;
        let places = self.places(view, dtype, address, &offsets, group.width);
        for (lane, place) in places.into_iter().enumerate() {
            let mut v = to_front(self.builder, dtype, value, lane);
            if add {
                let old = load_row(self.builder, dtype, place, 1);
                v = self.arith().binary(Binary::Add, dtype, old, v, None, 1)?;
            }
            store_row(self.builder, dtype, v, place, 1);
        }
        Ok(())
    }
}

/// The bits of an op that is a literal.
fn literal_of(plan: &Plan, v: Op) -> Option<u64> {
    match plan.lanes.ops.get(v.0 as usize)?.kind {
        LaneKind::Lit(Lit { bits, .. }) => Some(bits),
        _ => None,
    }
}
