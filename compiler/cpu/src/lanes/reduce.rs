//! Reductions: partial results while the reduced loops run, and the tree at the end, in the order that
//! `whorl_core::prim::Reduce` fixes.
//!
//! Interleaved along the vectors, the 16 partial results are the lanes of four vectors. Otherwise each lane has 16 of its own:
//! in registers where the loops are such that the position mod 16 is known at each body, else in memory.

use cranelift_codegen::ir::types::{I32, I32X4, I64};
use cranelift_codegen::ir::{InstBuilder, StackSlot, StackSlotData, StackSlotKind, Value};
use cranelift_frontend::Variable;
use whorl_core::ir::{DType, Lit};
use whorl_core::prim::{Compare, Monoid};
use whorl_schedule::loop_ir::{LaneKind, ReduceOrder, Reduction, ReductionKind};

use super::normal::size;
use super::walk::Walker;
use crate::CpuError;
use crate::emit::machine::{shuffle, splat32};
use crate::emit::value::{Address, Lane4, literal, memory, vector_type};

/// A lane value that loops change.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    lo: Variable,
    /// Of `f64` only.
    hi: Option<Variable>,
}

/// What one reduction has so far.
#[derive(Clone, Debug)]
pub enum Accumulator {
    /// Of the lanes of four vectors.
    Along(Vec<Cell>),
    /// For each group, one.
    Sequential(Vec<Cell>),
    /// For each group, 16 by position.
    Registers(Vec<Vec<Cell>>),
    /// For each group, 16 by position, 32 bytes each.
    Memory(Vec<StackSlot>),
    /// For each group, the best and its position.
    Best(Vec<(Cell, Cell)>),
}

pub fn identity(op: Monoid, dtype: DType) -> Lit {
    match op {
        Monoid::Sum => Lit::zero(dtype),
        Monoid::Prod => Lit::of(dtype, 1.0),
        Monoid::Max => Lit::of(dtype, f64::NEG_INFINITY),
        Monoid::Min => Lit::of(dtype, f64::INFINITY),
        Monoid::All => Lit::bool(true),
        Monoid::Any => Lit::bool(false),
    }
}

impl Walker<'_, '_, '_> {
    fn new_cell(&mut self, dtype: DType, start: Lit) -> Cell {
        let ty = vector_type(dtype);
        let lo = self.builder.declare_var(ty);
        let hi = (dtype == DType::F64).then(|| self.builder.declare_var(ty));
        let cell = Cell { lo, hi };
        let start = literal(self.builder, start);
        self.set(cell, start);
        cell
    }

    fn read(&mut self, cell: Cell) -> Lane4 {
        let lo = self.builder.use_var(cell.lo);
        Lane4 { lo, hi: cell.hi.map_or(lo, |hi| self.builder.use_var(hi)) }
    }

    fn set(&mut self, cell: Cell, v: Lane4) {
        self.builder.def_var(cell.lo, v.lo);
        if let Some(hi) = cell.hi {
            self.builder.def_var(hi, v.hi);
        }
    }

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
                        _ => identity(first, dtype),
                    };
                    let cells = |this: &mut Self| (this.new_cell(dtype, start), this.new_cell(DType::I32, Lit::i32(0)));
                    Accumulator::Best((0..groups).map(|_| cells(self)).collect())
                }
                (ReductionKind::Fold(op), ReduceOrder::Interleaved) if self.plan.along() => {
                    Accumulator::Along((0..4).map(|_| self.new_cell(dtype, identity(op, dtype))).collect())
                }
                (ReductionKind::Fold(op), ReduceOrder::Sequential) => {
                    Accumulator::Sequential((0..groups).map(|_| self.new_cell(dtype, identity(op, dtype))).collect())
                }
                (ReductionKind::Fold(op), ReduceOrder::Interleaved) if self.registers() => {
                    let sixteen =
                        |this: &mut Self| (0..16).map(|_| this.new_cell(dtype, identity(op, dtype))).collect();
                    Accumulator::Registers((0..groups).map(|_| sixteen(self)).collect())
                }
                (ReductionKind::Fold(op), ReduceOrder::Interleaved) => {
                    let slots = (0..groups).map(|_| self.sixteen_in_memory(op, dtype)).collect();
                    Accumulator::Memory(slots)
                }
            };
            self.accumulators.push(accumulator);
        }
        Ok(())
    }

    fn sixteen_in_memory(&mut self, op: Monoid, dtype: DType) -> StackSlot {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 16 * 32, 4);
        let slot = self.builder.create_sized_stack_slot(data);
        let start = literal(self.builder, identity(op, dtype));
        for k in 0..16 {
            let pointer = self.builder.ins().stack_addr(I64, slot, 0);
            self.write_partial(Address { pointer, bytes: 32 * k }, dtype, start);
        }
        slot
    }

    fn write_partial(&mut self, at: Address, dtype: DType, v: Lane4) {
        self.builder.ins().store(memory(), v.lo, at.pointer, at.bytes);
        if dtype == DType::F64 {
            self.builder.ins().store(memory(), v.hi, at.pointer, at.bytes + 16);
        }
    }

    fn read_partial(&mut self, at: Address, dtype: DType) -> Lane4 {
        let ty = vector_type(dtype);
        let lo = self.builder.ins().load(ty, memory(), at.pointer, at.bytes);
        let hi =
            if dtype == DType::F64 { self.builder.ins().load(ty, memory(), at.pointer, at.bytes + 16) } else { lo };
        Lane4 { lo, hi }
    }

    /// The row-major position in `reduced`: a run-time part and a constant.
    fn position_in_reduced(&mut self) -> (Option<Value>, i64) {
        let dims = self.plan.lanes.dims.len();
        let (mut var, mut add, mut stride) = (None, 0, 1);
        for d in (dims..self.index.len()).rev() {
            let index = self.index[d];
            add += index.add * stride;
            if let Some(i) = index.var {
                let i = self.scaled(i, stride);
                var = Some(var.map_or(i, |v| self.builder.ins().iadd(v, i)));
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

    fn fold_one(&mut self, k: usize, r: &Reduction, dtype: DType, g: usize, v: Lane4) -> Result<(), CpuError> {
        let op = match r.kind {
            ReductionKind::Fold(op) => op,
            ReductionKind::ArgMax | ReductionKind::ArgMin => return self.fold_best(k, r, dtype, g, v),
        };
        let cell = match &self.accumulators[k] {
            Accumulator::Along(cells) | Accumulator::Sequential(cells) => cells[g],
            Accumulator::Registers(groups) => {
                let cells = groups[g].clone();
                cells[self.position_in_reduced().1 as usize % 16]
            }
            Accumulator::Memory(slots) => {
                let slot = slots[g];
                let at = self.partial_address(slot);
                let old = self.read_partial(at, dtype);
                let new = self.arith().fold(op, dtype, old, v)?;
                self.write_partial(at, dtype, new);
                return Ok(());
            }
            Accumulator::Best(_) => return Err(CpuError::internal("a fold into a position")),
        };
        let old = self.read(cell);
        let mut new = self.arith().fold(op, dtype, old, v)?;
        if self.plan.along() {
            let width = self.groups[g].width;
            new = self.arith().first_lanes(width, dtype, new, old);
        }
        self.set(cell, new);
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
        let folds: Vec<Lane4> = cells.into_iter().map(|c| self.read(c)).collect();
        let swap = |groups: &mut [super::walk::Group], values: Vec<Option<Lane4>>| -> Vec<Option<Lane4>> {
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

    fn partial_address(&mut self, slot: StackSlot) -> Address {
        let (var, add) = self.position_in_reduced();
        let Some(var) = var else {
            let pointer = self.builder.ins().stack_addr(I64, slot, 0);
            return Address { pointer, bytes: 32 * (add % 16) as i32 };
        };
        let r = self.builder.ins().iadd_imm_s(var, add);
        let r = self.builder.ins().band_imm_u(r, 15);
        let r = self.scaled(r, 32);
        let base = self.builder.ins().stack_addr(I64, slot, 0);
        Address { pointer: self.builder.ins().iadd(base, r), bytes: 0 }
    }

    fn fold_best(&mut self, k: usize, r: &Reduction, dtype: DType, g: usize, v: Lane4) -> Result<(), CpuError> {
        let Accumulator::Best(cells) = &self.accumulators[k] else {
            return Err(CpuError::internal("a position into a fold"));
        };
        let (best, at) = cells[g];
        let (old, old_at) = (self.read(best), self.read(at));
        let better = if r.kind == ReductionKind::ArgMax { Compare::Gt } else { Compare::Lt };
        let mut take = self.arith().compare(better, dtype, v, old);
        if dtype.is_float() {
            // A NaN beats all but a NaN.
            let (new_nan, old_number) =
                (self.arith().is_nan(dtype, v), self.arith().compare(Compare::Eq, dtype, old, old));
            let first_nan = self.builder.ins().band(new_nan.lo, old_number.lo);
            take = Lane4::one(self.builder.ins().bor(take.lo, first_nan));
        }
        let (var, add) = self.position_in_reduced();
        let mut position = splat32(self.builder, I32X4, add as u32);
        if let Some(var) = var {
            let var = self.builder.ins().ireduce(I32, var);
            let var = self.builder.ins().splat(I32X4, var);
            position = self.builder.ins().iadd(var, position);
        }
        let new = self.arith().select(take, dtype, v, old);
        let new_at = self.arith().select(take, DType::I32, Lane4::one(position), old_at);
        self.set(best, new);
        self.set(at, new_at);
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
    fn result(&mut self, k: usize, r: &Reduction, dtype: DType, g: usize) -> Result<(Lane4, DType), CpuError> {
        let op = match r.kind {
            ReductionKind::Fold(op) => op,
            ReductionKind::ArgMax | ReductionKind::ArgMin => Monoid::Max,
        };
        let partial: Vec<Lane4> = match self.accumulators[k].clone() {
            Accumulator::Best(cells) => return Ok((self.read(cells[g].1), DType::I32)),
            Accumulator::Sequential(cells) => return Ok((self.read(cells[g]), dtype)),
            Accumulator::Along(cells) => {
                let vectors: Vec<Lane4> = cells.into_iter().map(|cell| self.read(cell)).collect();
                return Ok((self.across_lanes(op, dtype, &vectors)?, dtype));
            }
            Accumulator::Registers(groups) => groups[g].iter().map(|cell| self.read(*cell)).collect(),
            Accumulator::Memory(slots) => {
                let pointer = self.builder.ins().stack_addr(I64, slots[g], 0);
                (0..16).map(|l| self.read_partial(Address { pointer, bytes: 32 * l }, dtype)).collect()
            }
        };
        let mut partial = partial;
        for w in [8, 4, 2, 1] {
            for l in 0..w {
                partial[l] = self.arith().fold(op, dtype, partial[l], partial[l + w])?;
            }
        }
        Ok((partial[0], dtype))
    }

    /// The tree over the 16 lanes of four vectors; the result is the first lane.
    fn across_lanes(&mut self, op: Monoid, dtype: DType, v: &[Lane4]) -> Result<Lane4, CpuError> {
        let low = self.arith().fold(op, dtype, v[0], v[2])?;
        let high = self.arith().fold(op, dtype, v[1], v[3])?;
        let four = self.arith().fold(op, dtype, low, high)?;
        let (two, by) = if dtype == DType::F64 {
            (self.arith().fold(op, dtype, Lane4::one(four.lo), Lane4::one(four.hi))?, 8)
        } else {
            let upper = self.rotated(four, 8);
            (self.arith().fold(op, dtype, four, upper)?, 4)
        };
        let second = self.rotated(two, by);
        self.arith().fold(op, dtype, two, second)
    }

    fn rotated(&mut self, v: Lane4, bytes: usize) -> Lane4 {
        Lane4::one(shuffle(self.builder, v.lo, v.lo, std::array::from_fn(|k| ((k + bytes) % 16) as u8)))
    }
}
