//! Reductions: partial results while the reduced loops run, and the tree at the end, in the order that
//! `whorl_core::prim::Reduce` fixes.
//!
//! Interleaved along the vectors, the 16 partial results are the lanes of four vectors. Otherwise each lane has 16 of its own:
//! in registers where the loops are such that the position mod 16 is known at each body, else in memory.

use whorl_core::ir::{DType, Lit};
use whorl_core::prim::{Binary, Compare, Monoid};
use whorl_schedule::loop_ir::{LaneKind, ReduceOrder, Reduction, ReductionKind};

use super::machine::Machine;
use super::normal::size;
use super::walk::{Group, Walker};
use crate::CpuError;

/// What one reduction has so far.
pub enum Accumulator<M: Machine> {
    /// Of the lanes of as many groups as have 16.
    Along(Vec<M::Cell>),
    /// For each group, one.
    Sequential(Vec<M::Cell>),
    /// For each group, 16 by position.
    Registers(Vec<Vec<M::Cell>>),
    /// For each group, 16 by position.
    Memory(Vec<M::Slot>),
    /// For each group, the best and its position.
    Best(Vec<(M::Cell, M::Cell)>),
}

impl<M: Machine> Walker<'_, '_, M> {
    fn value_dtype(&self, r: &Reduction) -> DType {
        self.plan.lanes.ops[r.value.0 as usize].dtype
    }

    /// Whether all positions mod 16 can be told apart by the bodies' constant indices.
    pub fn registers(&self) -> bool {
        let plan = self.plan;
        let dims = plan.lanes.dims.len();
        let reduced = &plan.lanes.reduced;
        let Some(last) = reduced.last() else { return true };
        if plan.along() || !plan.lanes.reductions.iter().any(|r| r.order == ReduceOrder::Interleaved) {
            return false;
        }
        let groups = self.groups.len().max(1);
        let body = super::plan::body_cost_at(plan, dims + reduced.len() - 1) * groups;
        let points: usize = reduced.iter().product();
        (reduced.len() == 1 || last % 16 == 0) && body <= 40 || points <= 16 && points * body <= 400
    }

    /// Whether loop `level` is to be unrolled so that positions mod 16 are constants.
    pub fn by_sixteen(&self, level: usize) -> bool {
        let plan = self.plan;
        let dims = plan.lanes.dims.len();
        let points: usize = plan.lanes.reduced.iter().product();
        let last = dims + plan.lanes.reduced.len() - 1;
        level >= dims && self.registers() && (level == last || points <= 16)
    }

    pub fn begin_reductions(&mut self) -> Result<(), CpuError> {
        let groups = self.groups.len();
        self.accumulators.clear();
        for r in &self.plan.lanes.reductions {
            let dtype = self.value_dtype(r);
            let accumulator = match (r.kind, r.order) {
                (ReductionKind::ArgMax | ReductionKind::ArgMin, _) => {
                    let first = if r.kind == ReductionKind::ArgMax { Monoid::Max } else { Monoid::Min };
                    let start = match (dtype, first) {
                        (DType::Bool, _) => Lit::bool(first == Monoid::Min),
                        _ => first.identity(dtype),
                    };
                    let cells = |m: &mut M| (m.new_cell(dtype, start), m.new_cell(DType::I32, Lit::i32(0)));
                    Accumulator::Best((0..groups).map(|_| cells(self.machine)).collect())
                }
                (ReductionKind::Fold(op), ReduceOrder::Interleaved) if self.plan.along() => {
                    let vectors = 16 / self.machine.lanes();
                    let cell = |_| self.machine.new_cell(dtype, op.identity(dtype));
                    Accumulator::Along((0..vectors).map(cell).collect())
                }
                (ReductionKind::Fold(op), ReduceOrder::Sequential) => Accumulator::Sequential(
                    (0..groups).map(|_| self.machine.new_cell(dtype, op.identity(dtype))).collect(),
                ),
                (ReductionKind::Fold(op), ReduceOrder::Interleaved) if self.registers() => {
                    let sixteen = |m: &mut M| (0..16).map(|_| m.new_cell(dtype, op.identity(dtype))).collect();
                    Accumulator::Registers((0..groups).map(|_| sixteen(self.machine)).collect())
                }
                (ReductionKind::Fold(op), ReduceOrder::Interleaved) => {
                    let slot = |_| self.machine.new_slot(dtype, op.identity(dtype));
                    Accumulator::Memory((0..groups).map(slot).collect())
                }
            };
            self.accumulators.push(accumulator);
        }
        Ok(())
    }

    /// The row-major position in `reduced`: a run-time part and a constant.
    fn position_in_reduced(&mut self) -> (Option<M::Int>, i64) {
        let dims = self.plan.lanes.dims.len();
        let (mut var, mut add, mut stride) = (None, 0, 1);
        for d in (dims..self.index.len()).rev() {
            let index = self.index[d];
            add += index.add * stride;
            if let Some(i) = index.var {
                let i = self.machine.scaled(i, stride);
                var = Some(var.map_or(i, |v| self.machine.plus(v, i)));
            }
            stride *= size(&self.plan.lanes, d) as i64;
        }
        (var, add)
    }

    /// Takes the body's values in.
    pub fn fold(&mut self) -> Result<(), CpuError> {
        let plan = self.plan;
        for (k, r) in plan.lanes.reductions.iter().enumerate() {
            let dtype = self.value_dtype(r);
            for g in 0..self.groups.len() {
                let v = self.groups[g].values[r.value.0 as usize];
                let v = v.ok_or_else(|| CpuError::internal("a reduction of a value that is not there"))?;
                self.fold_one(k, r, dtype, g, v)?;
            }
        }
        if plan.cumulative {
            self.store_prefix()?;
        }
        Ok(())
    }

    fn fold_one(&mut self, k: usize, r: &Reduction, dtype: DType, g: usize, v: M::Lane) -> Result<(), CpuError> {
        let op = match r.kind {
            ReductionKind::Fold(op) => op,
            ReductionKind::ArgMax | ReductionKind::ArgMin => return self.fold_best(k, r, dtype, g, v),
        };
        let cell = match &self.accumulators[k] {
            // Groups behind the sixteenth lane go on with the first.
            Accumulator::Along(cells) => cells[g % cells.len()],
            Accumulator::Sequential(cells) => cells[g],
            Accumulator::Registers(groups) => {
                let cells = groups[g].clone();
                cells[self.position_in_reduced().1 as usize % 16]
            }
            Accumulator::Memory(slots) => {
                let slot = slots[g];
                let (var, add) = self.position_in_reduced();
                let old = self.machine.read_slot(slot, dtype, var, add);
                let new = self.machine.fold(op, dtype, old, v)?;
                self.machine.write_slot(slot, dtype, var, add, new);
                return Ok(());
            }
            Accumulator::Best(_) => return Err(CpuError::internal("a fold into a position")),
        };
        let old = self.machine.read(cell);
        let mut new = self.machine.fold(op, dtype, old, v)?;
        if self.plan.along() {
            let width = self.groups[g].width;
            new = self.machine.first_lanes(width, dtype, new, old);
        }
        self.machine.set(cell, new);
        Ok(())
    }

    /// In a cumulative loop, what is stored is the fold so far, not the element. The element stays the op's value: where it is the
    /// same for all steps, it was loaded once, before them.
    fn store_prefix(&mut self) -> Result<(), CpuError> {
        let plan = self.plan;
        let Some(r) = plan.lanes.reductions.first() else { return Ok(()) };
        let element = r.value.0 as usize;
        let Some(Accumulator::Sequential(cells)) = self.accumulators.first() else {
            return Err(CpuError::internal("prefix results without a fold"));
        };
        let cells = cells.clone();
        let folds: Vec<M::Lane> = cells.into_iter().map(|c| self.machine.read(c)).collect();
        let swap = |groups: &mut [Group<M>], values: Vec<Option<M::Lane>>| -> Vec<Option<M::Lane>> {
            groups.iter_mut().zip(values).map(|(g, v)| std::mem::replace(&mut g.values[element], v)).collect()
        };
        let elements = swap(&mut self.groups, folds.into_iter().map(Some).collect());
        for (k, op) in plan.lanes.ops.iter().enumerate() {
            if matches!(op.kind, LaneKind::Store(..)) {
                self.op(k, op)?;
            }
        }
        swap(&mut self.groups, elements);
        Ok(())
    }

    fn fold_best(&mut self, k: usize, r: &Reduction, dtype: DType, g: usize, v: M::Lane) -> Result<(), CpuError> {
        let Accumulator::Best(cells) = &self.accumulators[k] else {
            return Err(CpuError::internal("a position into a fold"));
        };
        let (best, at) = cells[g];
        let (old, old_at) = (self.machine.read(best), self.machine.read(at));
        let better = if r.kind == ReductionKind::ArgMax { Compare::Gt } else { Compare::Lt };
        let mut take = self.machine.compare(better, dtype, v, old);
        if dtype.is_float() {
            // A NaN beats all but a NaN.
            let new_nan = self.machine.compare(Compare::Ne, dtype, v, v);
            let old_number = self.machine.compare(Compare::Eq, dtype, old, old);
            let lanes = self.machine.lanes();
            let first_nan = self.machine.binary(Binary::And, DType::Bool, new_nan, old_number, None, lanes)?;
            take = self.machine.binary(Binary::Or, DType::Bool, take, first_nan, None, lanes)?;
        }
        let (var, add) = self.position_in_reduced();
        let position = self.machine.position(var, add, false);
        let new = self.machine.select(take, dtype, v, old);
        let new_at = self.machine.select(take, DType::I32, position, old_at);
        self.machine.set(best, new);
        self.machine.set(at, new_at);
        Ok(())
    }

    /// Combines partial results and stores the reductions'.
    pub fn finish_reductions(&mut self) -> Result<(), CpuError> {
        let plan = self.plan;
        if plan.cumulative {
            return Ok(());
        }
        for (k, r) in plan.lanes.reductions.iter().enumerate() {
            let dtype = self.value_dtype(r);
            for g in 0..self.groups.len() {
                let (v, stored) = self.result(k, r, dtype, g)?;
                let group = self.groups[g].clone();
                let at = self.address(&r.into, plan.lanes.ops.len() + k, &group)?;
                self.store(&r.into, stored, v, at, group.width);
            }
        }
        Ok(())
    }

    /// The result of group `g`, and its type.
    fn result(&mut self, k: usize, r: &Reduction, dtype: DType, g: usize) -> Result<(M::Lane, DType), CpuError> {
        let op = match r.kind {
            ReductionKind::Fold(op) => op,
            ReductionKind::ArgMax | ReductionKind::ArgMin => Monoid::Max,
        };
        let partial: Vec<M::Lane> = match &self.accumulators[k] {
            Accumulator::Best(cells) => return Ok((self.machine.read(cells[g].1), DType::I32)),
            Accumulator::Sequential(cells) => return Ok((self.machine.read(cells[g]), dtype)),
            Accumulator::Along(cells) => {
                let vectors: Vec<M::Lane> = cells.iter().map(|cell| self.machine.read(*cell)).collect();
                return Ok((self.machine.across_lanes(op, dtype, &vectors)?, dtype));
            }
            Accumulator::Registers(groups) => groups[g].iter().map(|cell| self.machine.read(*cell)).collect(),
            Accumulator::Memory(slots) => {
                let slot = slots[g];
                (0..16).map(|l| self.machine.read_slot(slot, dtype, None, l)).collect()
            }
        };
        let mut partial = partial;
        for w in [8, 4, 2, 1] {
            for l in 0..w {
                partial[l] = self.machine.fold(op, dtype, partial[l], partial[l + w])?;
            }
        }
        Ok((partial[0], dtype))
    }
}
