//! The values of four neighbouring lanes, and how they are loaded and stored.
//!
//! `f32` is an `F32X4`; `i32` and `u32` an `I32X4`; `u8` an `I32X4` of numbers 0–255; `f16` and `bf16` one of their bits; `bool` an `I32X4` of masks (all ones or all
//! zeros). `f64` is two `F64X2`. One kind of code serves whole vectors, the last one to three elements of a row, and scalars.

use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32, I32X4, I64, I64X2};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};
use cranelift_frontend::FunctionBuilder;
use whorl_core::ir::{DType, Lit};

use super::machine::{cast, first, first_two, shuffle, splat32, splat64};
use crate::paired::Paired;

/// Four lanes, two of an `f64` a vector.
pub type Lane4 = Paired<Value>;

/// A place in memory: a pointer and a constant distance in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    pub pointer: Value,
    pub bytes: i32,
}

impl Address {
    pub fn plus(self, bytes: i32) -> Address {
        Address { bytes: self.bytes + bytes, ..self }
    }
}

/// The vector type that holds lanes of an element type.
pub fn vector_type(dtype: DType) -> Type {
    match dtype {
        DType::F32 => F32X4,
        DType::F64 => F64X2,
        DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 | DType::Bool => I32X4,
    }
}

/// Memory that is there, at any alignment.
pub fn memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

pub fn literal(builder: &mut FunctionBuilder, lit: Lit) -> Lane4 {
    Lane4::one(match lit.dtype {
        DType::F32 => splat32(builder, F32X4, lit.bits as u32),
        DType::F64 => splat64(builder, F64X2, lit.bits),
        DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 => splat32(builder, I32X4, lit.bits as u32),
        DType::Bool => splat32(builder, I32X4, if lit.bits != 0 { !0 } else { 0 }),
    })
}

/// One element, in a scalar register: those of one or two bytes as an `i32`, zeros above.
fn load_scalar(builder: &mut FunctionBuilder, dtype: DType, at: Address) -> Value {
    match dtype {
        DType::U8 | DType::Bool => builder.ins().uload8(I32, memory(), at.pointer, at.bytes),
        DType::F16 | DType::BF16 => builder.ins().uload16(I32, memory(), at.pointer, at.bytes),
        DType::F32 | DType::F64 | DType::I32 | DType::U32 => {
            builder.ins().load(vector_type(dtype).lane_type(), memory(), at.pointer, at.bytes)
        }
    }
}

/// From bytes 0 and 1, zero-extended, to masks.
fn finish_load(builder: &mut FunctionBuilder, dtype: DType, v: Value) -> Value {
    if dtype == DType::Bool { builder.ins().ineg(v) } else { v }
}

/// One element in all lanes.
pub fn load_splat(builder: &mut FunctionBuilder, dtype: DType, at: Address) -> Lane4 {
    let x = load_scalar(builder, dtype, at);
    let v = builder.ins().splat(vector_type(dtype), x);
    Lane4::one(finish_load(builder, dtype, v))
}

/// `width` (1–4) elements from places of their own; lanes beyond are harmless.
pub fn load_each(builder: &mut FunctionBuilder, dtype: DType, places: &[Address]) -> Lane4 {
    let ty = vector_type(dtype);
    let half = if dtype == DType::F64 { 2 } else { 4 };
    let mut halves = places.chunks(half).map(|places| {
        let x = load_scalar(builder, dtype, places[0]);
        let mut v = first(builder, ty, x);
        for (lane, at) in places.iter().enumerate().skip(1) {
            let x = load_scalar(builder, dtype, *at);
            v = builder.ins().insertlane(v, x, lane as u8);
        }
        finish_load(builder, dtype, v)
    });
    let lo = halves.next().expect("at least one place");
    let hi = halves.next().unwrap_or(lo);
    Lane4 { lo, hi }
}

/// `width` (1–4) elements, neighbours in memory; lanes beyond are harmless.
pub fn load_row(builder: &mut FunctionBuilder, dtype: DType, at: Address, width: usize) -> Lane4 {
    let ty = vector_type(dtype);
    let places: [Address; 4] = std::array::from_fn(|k| at.plus((k * dtype.bytes()) as i32));
    match (dtype, width) {
        (DType::F32 | DType::I32 | DType::U32, 4) => Lane4::one(builder.ins().load(ty, memory(), at.pointer, at.bytes)),
        (DType::F32 | DType::I32 | DType::U32, 2 | 3) => {
            let two = builder.ins().load(I64, memory(), at.pointer, at.bytes);
            let mut v = first_two(builder, ty, two);
            if width == 3 {
                let x = load_scalar(builder, dtype, places[2]);
                v = builder.ins().insertlane(v, x, 2);
            }
            Lane4::one(v)
        }
        (DType::F64, 2..) => {
            let lo = builder.ins().load(F64X2, memory(), at.pointer, at.bytes);
            let hi = match width {
                2 => lo,
                3 => load_each(builder, dtype, &places[2..3]).lo,
                _ => builder.ins().load(F64X2, memory(), at.pointer, at.bytes + 16),
            };
            Lane4 { lo, hi }
        }
        (DType::U8 | DType::Bool, 4) => {
            let four = builder.ins().load(I32, memory(), at.pointer, at.bytes);
            let v = builder.ins().scalar_to_vector(I32X4, four);
            let v = cast(builder, I8X16, v);
            let v = builder.ins().uwiden_low(v);
            let v = builder.ins().uwiden_low(v);
            Lane4::one(finish_load(builder, dtype, v))
        }
        (DType::F16 | DType::BF16, 4) => {
            let four = builder.ins().load(I64, memory(), at.pointer, at.bytes);
            let v = builder.ins().scalar_to_vector(I64X2, four);
            let v = cast(builder, I16X8, v);
            Lane4::one(builder.ins().uwiden_low(v))
        }
        _ => load_each(builder, dtype, &places[..width]),
    }
}

/// One of the elements in a scalar register; of a `bool`, 0 or 1.
pub fn extract(builder: &mut FunctionBuilder, dtype: DType, v: Lane4, lane: usize) -> Value {
    let x = match dtype {
        DType::F64 => builder.ins().extractlane(if lane < 2 { v.lo } else { v.hi }, (lane % 2) as u8),
        DType::F32 | DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 | DType::Bool => {
            builder.ins().extractlane(v.lo, lane as u8)
        }
    };
    if dtype == DType::Bool { builder.ins().band_imm_u(x, 1) } else { x }
}

/// Lane `lane` as the first (and only meaningful) lane.
pub fn to_front(builder: &mut FunctionBuilder, dtype: DType, v: Lane4, lane: usize) -> Lane4 {
    let (from, bytes) = match dtype {
        DType::F64 => (if lane < 2 { v.lo } else { v.hi }, 8 * (lane % 2)),
        DType::F32 | DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 | DType::Bool => (v.lo, 4 * lane),
    };
    if bytes == 0 {
        return Lane4::one(from);
    }
    let order = std::array::from_fn(|k| ((k + bytes) % 16) as u8);
    Lane4::one(shuffle(builder, from, from, order))
}

fn store_scalar(builder: &mut FunctionBuilder, dtype: DType, x: Value, at: Address) {
    match dtype {
        DType::U8 | DType::Bool => builder.ins().istore8(memory(), x, at.pointer, at.bytes),
        DType::F16 | DType::BF16 => builder.ins().istore16(memory(), x, at.pointer, at.bytes),
        DType::F32 | DType::F64 | DType::I32 | DType::U32 => builder.ins().store(memory(), x, at.pointer, at.bytes),
    };
}

/// The first lanes to places of their own, in order.
pub fn store_each(builder: &mut FunctionBuilder, dtype: DType, v: Lane4, places: &[Address]) {
    for (lane, at) in places.iter().enumerate() {
        let x = extract(builder, dtype, v, lane);
        store_scalar(builder, dtype, x, *at);
    }
}

/// The first `width` lanes to neighbours in memory.
pub fn store_row(builder: &mut FunctionBuilder, dtype: DType, v: Lane4, at: Address, width: usize) {
    let places: [Address; 4] = std::array::from_fn(|k| at.plus((k * dtype.bytes()) as i32));
    match (dtype, width) {
        (DType::F32 | DType::I32 | DType::U32, 4) => {
            builder.ins().store(memory(), v.lo, at.pointer, at.bytes);
        }
        (DType::F32 | DType::I32 | DType::U32, 2 | 3) => {
            let wide = cast(builder, F64X2, v.lo);
            let two = builder.ins().extractlane(wide, 0);
            builder.ins().store(memory(), two, at.pointer, at.bytes);
            if width == 3 {
                let x = extract(builder, dtype, v, 2);
                store_scalar(builder, dtype, x, places[2]);
            }
        }
        (DType::F64, 2..) => {
            builder.ins().store(memory(), v.lo, at.pointer, at.bytes);
            match width {
                2 => {}
                3 => {
                    let x = extract(builder, dtype, v, 2);
                    store_scalar(builder, dtype, x, places[2]);
                }
                _ => {
                    builder.ins().store(memory(), v.hi, at.pointer, at.bytes + 16);
                }
            }
        }
        (DType::U8 | DType::Bool, 4) => {
            let v = if dtype == DType::Bool { builder.ins().ineg(v.lo) } else { v.lo };
            // 0–255 fits a signed 16-bit lane, and then an unsigned 8-bit one.
            let v = builder.ins().snarrow(v, v);
            debug_assert_eq!(builder.func.dfg.value_type(v), I16X8);
            let v = builder.ins().unarrow(v, v);
            let v = cast(builder, I32X4, v);
            let four = builder.ins().extractlane(v, 0);
            builder.ins().store(memory(), four, at.pointer, at.bytes);
        }
        (DType::F16 | DType::BF16, 4) => {
            // The low two bytes of each lane, side by side.
            let low = [0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13];
            let v = shuffle(builder, v.lo, v.lo, low);
            let v = cast(builder, I64X2, v);
            let four = builder.ins().extractlane(v, 0);
            builder.ins().store(memory(), four, at.pointer, at.bytes);
        }
        _ => store_each(builder, dtype, v, &places[..width]),
    }
}
