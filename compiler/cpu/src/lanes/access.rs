//! Where the elements of views lie.

use whorl_core::ir::DType;
use whorl_schedule::loop_ir::{Buffer, BufferId, View};
use whorl_schedule::view_of;

use super::machine::{Layout, Machine};
use super::plan::Plan;
use super::walk::{Group, Walker};
use crate::CpuError;

/// The views of ops, then of reductions.
fn views(plan: &Plan) -> impl Iterator<Item = Option<&View>> {
    let lanes = &plan.lanes;
    let of_ops = lanes.ops.iter().map(|op| view_of(&op.kind));
    of_ops.chain(lanes.reductions.iter().map(|r| Some(&r.into)))
}

impl<M: Machine> Walker<'_, '_, M> {
    pub fn buffer(&self, id: BufferId) -> Result<&Buffer, CpuError> {
        self.program.buffers.get(id.0 as usize).ok_or_else(|| CpuError::internal("a buffer that is not there"))
    }

    /// Computes the parts of addresses that are the same for the whole loop, before it.
    pub fn find_dynamic(&mut self) -> Result<(), CpuError> {
        for view in views(self.plan) {
            let dynamic = match view {
                Some(view) => self.machine.dynamic(view)?,
                None => None,
            };
            self.dynamic.push(dynamic);
        }
        Ok(())
    }

    /// So many bytes for each index of the loops around.
    fn terms(&self, strides: &[isize], width: i64) -> Vec<(M::Int, i64)> {
        let of =
            |(d, &stride): (usize, &isize)| Some((self.index[d].var.filter(|_| stride != 0)?, stride as i64 * width));
        strides.iter().enumerate().filter_map(of).collect()
    }

    /// Tells the machine what addresses will begin with inside loop `level`.
    pub fn expect(&mut self, level: usize) -> Result<(), CpuError> {
        let plan = self.plan;
        let ops = plan.lanes.ops.len();
        let inside = |k: usize| if k < ops { plan.depth[k] > level } else { level < plan.lanes.dims.len() };
        for (k, view) in views(plan).enumerate().filter(|(k, _)| inside(*k)) {
            let Some(view) = view else { continue };
            let width = self.buffer(view.buffer)?.dtype.bytes() as i64;
            let terms = self.terms(&view.strides[..level.min(view.strides.len())], width);
            self.machine.expect(view, self.dynamic[k], &terms)?;
        }
        Ok(())
    }

    /// The address of the group's first lane. `place` numbers the view among ops, then reductions.
    pub fn address(&mut self, view: &View, place: usize, group: &Group<M>) -> Result<M::Address, CpuError> {
        let width = self.buffer(view.buffer)?.dtype.bytes() as i64;
        let mut bytes = view.offset as i64 * width;
        for (d, &stride) in view.strides.iter().enumerate() {
            let start = if self.plan.vector == Some(d) { group.start } else { 0 };
            bytes += stride as i64 * width * (self.index[d].add + start);
        }
        let terms = self.terms(&view.strides, width);
        self.machine.address(view, self.dynamic[place], &terms, bytes)
    }

    pub fn layout(&self, view: &View, dtype: DType) -> Layout {
        let stride = self.plan.vector.and_then(|d| view.strides.get(d)).copied().unwrap_or(0);
        match stride {
            1 => Layout::Row,
            0 => Layout::Same,
            _ => Layout::Apart((stride * dtype.bytes() as isize) as i32),
        }
    }

    /// The group's elements at `at`, the address of its first.
    pub fn load(&mut self, view: &View, dtype: DType, at: M::Address, width: usize) -> M::Lane {
        // Scalar code has one lane, which is a row of one.
        let layout = if self.plan.vector.is_none() { Layout::Row } else { self.layout(view, dtype) };
        let width = if self.plan.vector.is_none() { 1 } else { width };
        self.machine.load(dtype, at, layout, width)
    }

    pub fn store(&mut self, view: &View, dtype: DType, v: M::Lane, at: M::Address, width: usize) {
        let layout = self.layout(view, dtype);
        self.machine.store(dtype, v, at, layout, width)
    }
}
