//! Where the elements of views lie.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use whorl_core::ir::DType;
use whorl_schedule::loop_ir::View;

use super::walk::{Group, Walker};
use crate::CpuError;
use crate::emit::value::{Address, Lane4, load_each, load_row, load_splat, store_each, store_row};
use whorl_schedule::view_of;

/// How a group's lanes lie in memory.
enum Layout {
    /// Neighbours.
    Row,
    /// All lanes at one place.
    Same,
    /// So many bytes apart.
    Apart(i32),
}

impl Walker<'_, '_, '_> {
    /// Computes the parts of addresses that are the same for the whole loop, before it.
    pub fn find_dynamic(&mut self) -> Result<(), CpuError> {
        let lanes = &self.plan.lanes;
        let of_ops = lanes.ops.iter().map(|op| view_of(&op.kind));
        let views: Vec<Option<&View>> = of_ops.chain(lanes.reductions.iter().map(|r| Some(&r.into))).collect();
        for view in views {
            let dynamic = match view {
                Some(view) => self.frame.dynamic(self.builder, view)?,
                None => None,
            };
            self.dynamic.push(dynamic);
        }
        Ok(())
    }

    /// The address of the group's first lane. `place` numbers the view among ops, then reductions.
    pub fn address(&mut self, view: &View, place: usize, group: &Group) -> Result<Address, CpuError> {
        let width = self.frame.buffer(view.buffer)?.dtype.bytes() as i64;
        let Address { mut pointer, bytes } = self.frame.start(self.builder, view.buffer)?;
        let mut bytes = bytes as i64 + view.offset as i64 * width;
        if let Some(dynamic) = self.dynamic[place] {
            pointer = self.builder.ins().iadd(pointer, dynamic);
        }
        for (d, &stride) in view.strides.iter().enumerate() {
            let step = stride as i64 * width;
            let index = self.index[d];
            bytes += step * (index.add + if self.plan.vector == Some(d) { group.start } else { 0 });
            if let Some(var) = index.var.filter(|_| stride != 0) {
                let moved = self.scaled(var, step);
                pointer = self.builder.ins().iadd(pointer, moved);
            }
        }
        Ok(self.frame.near(self.builder, pointer, bytes))
    }

    pub fn scaled(&mut self, index: Value, step: i64) -> Value {
        if step == 1 {
            index
        } else if step > 0 && (step as u64).is_power_of_two() {
            self.builder.ins().ishl_imm_u(index, step.trailing_zeros() as i64)
        } else {
            self.builder.ins().imul_imm_s(index, step)
        }
    }

    fn layout(&self, view: &View, dtype: DType) -> Layout {
        let stride = self.plan.vector.and_then(|d| view.strides.get(d)).copied().unwrap_or(0);
        match stride {
            1 => Layout::Row,
            0 => Layout::Same,
            _ => Layout::Apart((stride * dtype.bytes() as isize) as i32),
        }
    }

    /// The group's elements at `at`, the address of its first.
    pub fn load(&mut self, view: &View, dtype: DType, at: Address, width: usize) -> Lane4 {
        match self.layout(view, dtype) {
            Layout::Row => load_row(self.builder, dtype, at, width),
            Layout::Same if self.plan.vector.is_none() => load_row(self.builder, dtype, at, 1),
            Layout::Same => load_splat(self.builder, dtype, at),
            Layout::Apart(bytes) => {
                let places = apart(at, bytes, width);
                load_each(self.builder, dtype, &places[..width])
            }
        }
    }

    pub fn store(&mut self, view: &View, dtype: DType, v: Lane4, at: Address, width: usize) {
        match self.layout(view, dtype) {
            Layout::Row => store_row(self.builder, dtype, v, at, width),
            Layout::Same => store_each(self.builder, dtype, v, &apart(at, 0, width)[..width]),
            Layout::Apart(bytes) => store_each(self.builder, dtype, v, &apart(at, bytes, width)[..width]),
        }
    }

    /// Bytes from one lane of the view to the next.
    pub fn lane_bytes(&self, view: &View, dtype: DType) -> i32 {
        match self.layout(view, dtype) {
            Layout::Row => dtype.bytes() as i32,
            Layout::Same => 0,
            Layout::Apart(bytes) => bytes,
        }
    }

    /// `address + offset`, an `i64` of bytes.
    pub fn moved(&mut self, at: Address, offset: Value) -> Address {
        debug_assert_eq!(self.builder.func.dfg.value_type(offset), I64);
        Address { pointer: self.builder.ins().iadd(at.pointer, offset), ..at }
    }
}

pub fn apart(at: Address, bytes: i32, width: usize) -> [Address; 4] {
    std::array::from_fn(|k| if k < width { at.plus(k as i32 * bytes) } else { at })
}
