//! Lane loops by Cranelift: vectors of 128 bits, on any machine.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I32X4, I64};
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, StackSlot, StackSlotData, StackSlotKind, Value};
use cranelift_frontend::{FunctionBuilder, Variable};
use whorl_core::ir::{DType, Lit};
use whorl_core::prim::{Binary, Compare, Monoid, Unary};
use whorl_schedule::loop_ir::View;

use super::machine::{LaneOffset, Layout, Machine};
use crate::CpuError;
use crate::emit::arith::Arith;
use crate::emit::convert;
use crate::emit::machine::{constant, shuffle, splat32};
use crate::emit::value::{
    Address, Lane4, literal, load_each, load_row, load_splat, memory, store_each, store_row, to_front, vector_type,
};
use crate::frame::Frame;

/// Of a vector.
pub const LANES: usize = 4;

pub struct Narrow<'x, 'b, 'p> {
    pub builder: &'x mut FunctionBuilder<'b>,
    pub frame: &'x Frame<'p>,
}

/// A lane value that loops change.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    lo: Variable,
    /// Of `f64` only.
    hi: Option<Variable>,
}

#[derive(Clone, Copy, Debug)]
pub struct Started {
    body: Block,
    done: Block,
    next: Value,
    more: Value,
}

fn apart(at: Address, bytes: i32, width: usize) -> [Address; 4] {
    std::array::from_fn(|k| if k < width { at.plus(k as i32 * bytes) } else { at })
}

/// Bytes from one lane to the next.
fn lane_bytes(layout: Layout, dtype: DType) -> i32 {
    match layout {
        Layout::Row => dtype.bytes() as i32,
        Layout::Same => 0,
        Layout::Apart(bytes) => bytes,
    }
}

impl<'b> Narrow<'_, 'b, '_> {
    fn arith(&mut self) -> Arith<'_, 'b> {
        Arith { builder: self.builder, target: self.frame.target }
    }

    /// `address + offset`, an `i64` of bytes.
    fn moved(&mut self, at: Address, offset: Value) -> Address {
        debug_assert_eq!(self.builder.func.dfg.value_type(offset), I64);
        Address { pointer: self.builder.ins().iadd(at.pointer, offset), ..at }
    }

    /// The bytes that lanes' own indices add to an address: one `i64` for each of so many lanes.
    fn offsets(&mut self, at: &[LaneOffset<Lane4>], lanes: usize) -> Vec<Value> {
        let reach: i64 = at.iter().map(|i| (i.max as i64 * i.step).abs()).sum();
        let zero = constant(self.builder, I32X4, [0; 16]);
        let mut clamped = Vec::new();
        for i in at {
            let most = splat32(self.builder, I32X4, i.max as u32);
            let v = self.builder.ins().smax(i.index.lo, zero);
            clamped.push((self.builder.ins().smin(v, most), i.step));
        }
        if reach <= i32::MAX as i64 {
            let mut sum = None;
            for (v, step) in clamped {
                let step = splat32(self.builder, I32X4, step as u32);
                let v = self.builder.ins().imul(v, step);
                sum = Some(sum.map_or(v, |s| self.builder.ins().iadd(s, v)));
            }
            let sum = sum.unwrap_or(zero);
            return (0..lanes)
                .map(|lane| {
                    let x = self.builder.ins().extractlane(sum, lane as u8);
                    self.builder.ins().sextend(I64, x)
                })
                .collect();
        }
        (0..lanes)
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
            .collect()
    }

    /// Where each lane's element is.
    fn places(&mut self, at: Address, lane_bytes: i32, offsets: &[Value], width: usize) -> Vec<Address> {
        let places = apart(at, lane_bytes, width);
        (0..width).map(|k| self.moved(places[k], offsets[k.min(offsets.len() - 1)])).collect()
    }

    /// A loop's block, the one behind it, its index from `first` on, and the next.
    fn turns(&mut self, first: Value, step: usize) -> (Block, Block, Value, Value) {
        let (body, done) = (self.builder.create_block(), self.builder.create_block());
        let at = self.builder.append_block_param(body, I64);
        self.builder.ins().jump(body, &[BlockArg::Value(first)]);
        self.builder.switch_to_block(body);
        let next = self.builder.ins().iadd_imm_s(at, step as i64);
        (body, done, at, next)
    }

    fn rotated(&mut self, v: Lane4, bytes: usize) -> Lane4 {
        Lane4::one(shuffle(self.builder, v.lo, v.lo, std::array::from_fn(|k| ((k + bytes) % 16) as u8)))
    }

    fn in_slot(&mut self, slot: StackSlot, var: Option<Value>, add: i64) -> Address {
        let base = self.builder.ins().stack_addr(I64, slot, 0);
        let Some(var) = var else { return Address { pointer: base, bytes: 32 * (add % 16) as i32 } };
        let r = self.builder.ins().iadd_imm_s(var, add);
        let r = self.builder.ins().band_imm_u(r, 15);
        let r = self.scaled(r, 32);
        Address { pointer: self.builder.ins().iadd(base, r), bytes: 0 }
    }
}

impl Machine for Narrow<'_, '_, '_> {
    type Lane = Lane4;
    type Int = Value;
    type Address = Address;
    type Cell = Cell;
    type Slot = StackSlot;
    type Loop = Started;
    type Branch = Block;

    fn lanes(&self) -> usize {
        LANES
    }

    fn begin_loop(&mut self, n: usize, step: usize) -> (Started, Value) {
        let zero = self.builder.ins().iconst(I64, 0);
        let (body, done, at, next) = self.turns(zero, step);
        let more = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, next, n as i64);
        (Started { body, done, next, more }, at)
    }

    fn begin_range(&mut self, step: usize) -> (Started, Value) {
        let (from, to) = self.frame.range.expect("a function of a range");
        let (body, done, at, next) = self.turns(from, step);
        let more = self.builder.ins().icmp(IntCC::SignedLessThan, next, to);
        (Started { body, done, next, more }, at)
    }

    fn end_loop(&mut self, Started { body, done, next, more }: Started) {
        self.builder.ins().brif(more, body, &[BlockArg::Value(next)], done, &[]);
        self.builder.seal_block(body);
        self.builder.seal_block(done);
        self.builder.switch_to_block(done);
    }

    fn begin_last(&mut self, at: usize) -> Block {
        let (_, to) = self.frame.range.expect("a function of a range");
        let (here, done) = (self.builder.create_block(), self.builder.create_block());
        let is = self.builder.ins().icmp_imm_s(IntCC::Equal, to, at as i64);
        self.builder.ins().brif(is, here, &[], done, &[]);
        self.builder.seal_block(here);
        self.builder.switch_to_block(here);
        done
    }

    fn end_last(&mut self, done: Block) {
        self.builder.ins().jump(done, &[]);
        self.builder.seal_block(done);
        self.builder.switch_to_block(done);
    }

    fn scaled(&mut self, index: Value, step: i64) -> Value {
        if step == 1 {
            index
        } else if step > 0 && (step as u64).is_power_of_two() {
            self.builder.ins().ishl_imm_u(index, step.trailing_zeros() as i64)
        } else {
            self.builder.ins().imul_imm_s(index, step)
        }
    }

    fn plus(&mut self, x: Value, y: Value) -> Value {
        self.builder.ins().iadd(x, y)
    }

    fn dynamic(&mut self, view: &View) -> Result<Option<Value>, CpuError> {
        self.frame.dynamic(self.builder, view)
    }

    fn address(
        &mut self,
        view: &View,
        dynamic: Option<Value>,
        terms: &[(Value, i64)],
        bytes: i64,
    ) -> Result<Address, CpuError> {
        let start = self.frame.start(self.builder, view.buffer)?;
        let mut pointer = start.pointer;
        if let Some(dynamic) = dynamic {
            pointer = self.builder.ins().iadd(pointer, dynamic);
        }
        for &(index, step) in terms {
            let moved = self.scaled(index, step);
            pointer = self.builder.ins().iadd(pointer, moved);
        }
        Ok(self.frame.near(self.builder, pointer, start.bytes as i64 + bytes))
    }

    /// Cranelift itself moves what is the same for all steps out of a loop.
    fn expect(&mut self, _view: &View, _dynamic: Option<Value>, _terms: &[(Value, i64)]) -> Result<(), CpuError> {
        Ok(())
    }

    fn load(&mut self, dtype: DType, at: Address, layout: Layout, width: usize) -> Lane4 {
        match layout {
            Layout::Row => load_row(self.builder, dtype, at, width),
            Layout::Same => load_splat(self.builder, dtype, at),
            Layout::Apart(bytes) => load_each(self.builder, dtype, &apart(at, bytes, width)[..width]),
        }
    }

    fn store(&mut self, dtype: DType, v: Lane4, at: Address, layout: Layout, width: usize) {
        match layout {
            Layout::Row => store_row(self.builder, dtype, v, at, width),
            Layout::Same => store_each(self.builder, dtype, v, &apart(at, 0, width)[..width]),
            Layout::Apart(bytes) => store_each(self.builder, dtype, v, &apart(at, bytes, width)[..width]),
        }
    }

    fn gather(
        &mut self,
        dtype: DType,
        at: Address,
        layout: Layout,
        offsets: &[LaneOffset<Lane4>],
        each: bool,
        width: usize,
    ) -> Lane4 {
        let offsets = self.offsets(offsets, if each { width } else { 1 });
        if let [offset] = offsets[..] {
            let at = self.moved(at, offset);
            return self.load(dtype, at, layout, width);
        }
        let places = self.places(at, lane_bytes(layout, dtype), &offsets, width);
        load_each(self.builder, dtype, &places)
    }

    fn scatter(
        &mut self,
        dtype: DType,
        value: Lane4,
        at: Address,
        layout: Layout,
        offsets: &[LaneOffset<Lane4>],
        each: bool,
        add: bool,
        width: usize,
    ) -> Result<(), CpuError> {
        let offsets = self.offsets(offsets, if each { width } else { 1 });
        let places = self.places(at, lane_bytes(layout, dtype), &offsets, width);
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

    fn literal(&mut self, lit: Lit) -> Lane4 {
        literal(self.builder, lit)
    }

    fn position(&mut self, var: Option<Value>, add: i64, along: bool) -> Lane4 {
        let mut bytes = [0; 16];
        for (k, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            chunk.copy_from_slice(&((add + if along { k as i64 } else { 0 }) as u32).to_le_bytes());
        }
        let fixed = constant(self.builder, I32X4, bytes);
        let Some(var) = var else { return Lane4::one(fixed) };
        let var = self.builder.ins().ireduce(I32, var);
        let var = self.builder.ins().splat(I32X4, var);
        Lane4::one(self.builder.ins().iadd(var, fixed))
    }

    fn unary(&mut self, op: Unary, dtype: DType, x: Lane4) -> Result<Lane4, CpuError> {
        self.arith().unary(op, dtype, x)
    }

    fn binary(
        &mut self,
        op: Binary,
        dtype: DType,
        a: Lane4,
        b: Lane4,
        literal: Option<u64>,
        width: usize,
    ) -> Result<Lane4, CpuError> {
        self.arith().binary(op, dtype, a, b, literal, width)
    }

    fn compare(&mut self, op: Compare, dtype: DType, a: Lane4, b: Lane4) -> Lane4 {
        self.arith().compare(op, dtype, a, b)
    }

    fn select(&mut self, c: Lane4, dtype: DType, a: Lane4, b: Lane4) -> Lane4 {
        self.arith().select(c, dtype, a, b)
    }

    fn mul_add(&mut self, dtype: DType, a: Lane4, b: Lane4, c: Lane4) -> Lane4 {
        self.arith().mul_add(dtype, a, b, c)
    }

    fn convert(&mut self, from: DType, to: DType, x: Lane4, width: usize) -> Lane4 {
        convert::convert(&mut self.arith(), from, to, x, width)
    }

    fn bitcast(&mut self, from: DType, to: DType, x: Lane4) -> Lane4 {
        convert::bitcast(&mut self.arith(), from, to, x)
    }

    fn threefry(&mut self, inputs: [Lane4; 4]) -> [Lane4; 2] {
        self.arith().threefry(inputs.map(|x| x.lo)).map(Lane4::one)
    }

    fn first_lanes(&mut self, count: usize, dtype: DType, a: Lane4, b: Lane4) -> Lane4 {
        self.arith().first_lanes(count, dtype, a, b)
    }

    fn across_lanes(&mut self, op: Monoid, dtype: DType, v: &[Lane4]) -> Result<Lane4, CpuError> {
        let low = self.fold(op, dtype, v[0], v[2])?;
        let high = self.fold(op, dtype, v[1], v[3])?;
        let four = self.fold(op, dtype, low, high)?;
        let (two, by) = if dtype == DType::F64 {
            (self.fold(op, dtype, Lane4::one(four.lo), Lane4::one(four.hi))?, 8)
        } else {
            let upper = self.rotated(four, 8);
            (self.fold(op, dtype, four, upper)?, 4)
        };
        let second = self.rotated(two, by);
        self.fold(op, dtype, two, second)
    }

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

    fn new_slot(&mut self, dtype: DType, start: Lit) -> StackSlot {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 16 * 32, 4);
        let slot = self.builder.create_sized_stack_slot(data);
        let start = literal(self.builder, start);
        (0..16).for_each(|k| self.write_slot(slot, dtype, None, k, start));
        slot
    }

    fn read_slot(&mut self, slot: StackSlot, dtype: DType, var: Option<Value>, add: i64) -> Lane4 {
        let at = self.in_slot(slot, var, add);
        let ty = vector_type(dtype);
        let lo = self.builder.ins().load(ty, memory(), at.pointer, at.bytes);
        let hi =
            if dtype == DType::F64 { self.builder.ins().load(ty, memory(), at.pointer, at.bytes + 16) } else { lo };
        Lane4 { lo, hi }
    }

    fn write_slot(&mut self, slot: StackSlot, dtype: DType, var: Option<Value>, add: i64, v: Lane4) {
        let at = self.in_slot(slot, var, add);
        self.builder.ins().store(memory(), v.lo, at.pointer, at.bytes);
        if dtype == DType::F64 {
            self.builder.ins().store(memory(), v.hi, at.pointer, at.bytes + 16);
        }
    }
}
