//! Conversions between element types.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32X4, F64X2, I32, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use whorl_core::ir::DType;
use whorl_kernels::math::halves;

use super::arith::Arith;
use super::machine::{VectorMachine, cast, constant, shuffle, splat32};
use super::value::{Lane4, extract};

/// The upper half in the lower half's place.
fn upper(builder: &mut FunctionBuilder, x: Value) -> Value {
    shuffle(builder, x, x, [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15])
}

/// The low 32 bits of each of four 64-bit lanes.
pub fn low_words(builder: &mut FunctionBuilder, x: Lane4) -> Value {
    let (lo, hi) = (cast(builder, I32X4, x.lo), cast(builder, I32X4, x.hi));
    shuffle(builder, lo, hi, [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27])
}

/// Masks of 64-bit lanes as masks of 32-bit lanes.
pub fn join_masks(builder: &mut FunctionBuilder, masks: Lane4) -> Value {
    low_words(builder, masks)
}

/// Masks of 32-bit lanes as masks of 64-bit lanes.
pub fn split_mask(builder: &mut FunctionBuilder, mask: Value) -> Lane4 {
    let lo = shuffle(builder, mask, mask, [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7]);
    let hi = shuffle(builder, mask, mask, [8, 9, 10, 11, 8, 9, 10, 11, 12, 13, 14, 15, 12, 13, 14, 15]);
    Lane4 { lo: cast(builder, I64X2, lo), hi: cast(builder, I64X2, hi) }
}

/// `i32`, `u32` or `u8` lanes as `f64`.
pub fn to_double(builder: &mut FunctionBuilder, dtype: DType, x: Value) -> Lane4 {
    let high = upper(builder, x);
    let mut one = |x: Value| {
        if dtype == DType::U32 {
            let wide = builder.ins().uwiden_low(x);
            builder.ins().fcvt_from_uint(F64X2, wide)
        } else {
            let wide = builder.ins().swiden_low(x);
            builder.ins().fcvt_from_sint(F64X2, wide)
        }
    };
    let lo = one(x);
    Lane4 { lo, hi: one(high) }
}

/// `x` of type `from` as `to`; the first `width` lanes count.
pub fn convert(at: &mut Arith, from: DType, to: DType, x: Lane4, width: usize) -> Lane4 {
    match (from, to) {
        _ if from == to => x,
        (DType::F32, DType::F64) => {
            let high = upper(at.builder, x.lo);
            let lo = at.builder.ins().fvpromote_low(x.lo);
            Lane4 { lo, hi: at.builder.ins().fvpromote_low(high) }
        }
        (DType::F64, DType::F32) => {
            let halves = x.map(|x| at.builder.ins().fvdemote(x));
            let order = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
            Lane4::one(shuffle(at.builder, halves.lo, halves.hi, order))
        }
        (DType::F16, _) => {
            let wide = halves::from_f16(&mut VectorMachine::f32(at.builder, at.target), x.lo);
            convert(at, DType::F32, to, Lane4::one(wide), width)
        }
        (DType::BF16, _) => {
            let wide = halves::from_bf16(&mut VectorMachine::f32(at.builder, at.target), x.lo);
            convert(at, DType::F32, to, Lane4::one(wide), width)
        }
        (_, DType::F16 | DType::BF16) => {
            let x = convert(at, from, DType::F32, x, width).lo;
            let mut machine = VectorMachine::f32(at.builder, at.target);
            Lane4::one(match to == DType::F16 {
                true => halves::to_f16(&mut machine, x),
                false => halves::to_bf16(&mut machine, x),
            })
        }
        (DType::F32 | DType::F64, DType::Bool) => {
            let zero = super::arith::zero(at.builder, from);
            let masks = x.map(|x| at.builder.ins().fcmp(FloatCC::NotEqual, x, zero));
            if from == DType::F64 { Lane4::one(join_masks(at.builder, masks)) } else { masks }
        }
        (DType::F32, DType::I32) => Lane4::one(at.builder.ins().fcvt_to_sint_sat(I32X4, x.lo)),
        (DType::F32, DType::U32) => Lane4::one(at.builder.ins().fcvt_to_uint_sat(I32X4, x.lo)),
        (DType::F64, DType::I32 | DType::U32) => {
            let lanes: Vec<Value> = (0..width)
                .map(|lane| {
                    let x = extract(at.builder, from, x, lane);
                    if to == DType::U32 {
                        at.builder.ins().fcvt_to_uint_sat(I32, x)
                    } else {
                        at.builder.ins().fcvt_to_sint_sat(I32, x)
                    }
                })
                .collect();
            at.gather_scalars(to, &lanes)
        }
        (DType::F32 | DType::F64, DType::U8) => {
            let whole = convert(at, from, DType::I32, x, width);
            let (zero, most) = (constant(at.builder, I32X4, [0; 16]), splat32(at.builder, I32X4, 255));
            let v = at.builder.ins().smax(whole.lo, zero);
            Lane4::one(at.builder.ins().smin(v, most))
        }
        (DType::I32 | DType::U8, DType::F32) => Lane4::one(at.builder.ins().fcvt_from_sint(F32X4, x.lo)),
        (DType::U32, DType::F32) => Lane4::one(at.builder.ins().fcvt_from_uint(F32X4, x.lo)),
        (DType::I32 | DType::U32 | DType::U8, DType::F64) => to_double(at.builder, from, x.lo),
        (DType::I32 | DType::U32, DType::U8) => super::integer::wrap(at, to, x),
        (DType::I32 | DType::U32 | DType::U8, DType::I32 | DType::U32 | DType::U8) => x,
        (DType::I32 | DType::U32 | DType::U8, DType::Bool) => {
            let zero = constant(at.builder, I32X4, [0; 16]);
            Lane4::one(at.builder.ins().icmp(IntCC::NotEqual, x.lo, zero))
        }
        (DType::Bool, DType::F32 | DType::F64 | DType::I32 | DType::U32 | DType::U8 | DType::Bool) => {
            let number = Lane4::one(at.builder.ins().ineg(x.lo));
            convert(at, DType::I32, to, number, width)
        }
        (DType::F32, DType::F32) | (DType::F64, DType::F64) => x,
    }
}

/// The same bits as another type of the same width; a bool is `bits != 0`.
pub fn bitcast(at: &mut Arith, from: DType, to: DType, x: Lane4) -> Lane4 {
    match (from, to) {
        (DType::Bool, DType::U8) => convert(at, from, to, x, 4),
        (DType::U8, DType::Bool) => convert(at, from, to, x, 4),
        (DType::F32, DType::I32 | DType::U32) => x.map(|x| cast(at.builder, I32X4, x)),
        (DType::I32 | DType::U32, DType::F32) => x.map(|x| cast(at.builder, F32X4, x)),
        _ => x,
    }
}
