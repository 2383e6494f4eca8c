//! [`whorl_kernels::ops::Ops`] by emitting Cranelift instructions on vectors of 128 bits: so the elementary functions of compiled
//! code are those of the interpreter, operation for operation.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F32X4, F64X2, I32X4, I64, I64X2};
use cranelift_codegen::ir::{BlockArg, ConstantData, Endianness, InstBuilder, MemFlagsData, Type, Value};
use cranelift_frontend::FunctionBuilder;
use whorl_kernels::math;
use whorl_kernels::ops::{Ops, Table};

use super::calls::address;
use super::value::memory;
use crate::image::Symbol;

/// What the emitter needs to know of the target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// `blendv` and `cvttps2dq` can be had.
    pub sse41: bool,
}

/// A machine of four `f32` or of two `f64`.
pub struct VectorMachine<'x, 'b> {
    pub builder: &'x mut FunctionBuilder<'b>,
    pub target: Target,
    float: Type,
    int: Type,
}

/// Little end first, as bitcasts between vectors of different lanes must say.
pub fn lanes() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

/// The same bits as another type of the same width.
pub fn cast(builder: &mut FunctionBuilder, ty: Type, x: Value) -> Value {
    if builder.func.dfg.value_type(x) == ty { x } else { builder.ins().bitcast(ty, lanes(), x) }
}

/// A vector constant.
pub fn constant(builder: &mut FunctionBuilder, ty: Type, bytes: [u8; 16]) -> Value {
    let handle = builder.func.dfg.constants.insert(ConstantData::from(&bytes[..]));
    builder.ins().vconst(ty, handle)
}

/// All lanes of 32 bits the same.
pub fn splat32(builder: &mut FunctionBuilder, ty: Type, bits: u32) -> Value {
    let mut bytes = [0; 16];
    bytes.chunks_exact_mut(4).for_each(|lane| lane.copy_from_slice(&bits.to_le_bytes()));
    constant(builder, ty, bytes)
}

/// Both lanes of 64 bits the same.
pub fn splat64(builder: &mut FunctionBuilder, ty: Type, bits: u64) -> Value {
    let mut bytes = [0; 16];
    bytes.chunks_exact_mut(8).for_each(|lane| lane.copy_from_slice(&bits.to_le_bytes()));
    constant(builder, ty, bytes)
}

/// Where the bits of the mask are set, `a`'s; the mask's lanes are all ones or all zeros. Any vector types of 128 bits.
pub fn blend(builder: &mut FunctionBuilder, target: Target, mask: Value, a: Value, b: Value) -> Value {
    let ty = builder.func.dfg.value_type(a);
    let mask_ty = builder.func.dfg.value_type(mask);
    let (a, b) = (cast(builder, mask_ty, a), cast(builder, mask_ty, b));
    let r = if target.sse41 { builder.ins().blendv(mask, a, b) } else { builder.ins().bitselect(mask, a, b) };
    cast(builder, ty, r)
}

impl<'x, 'b> VectorMachine<'x, 'b> {
    pub fn f32(builder: &'x mut FunctionBuilder<'b>, target: Target) -> VectorMachine<'x, 'b> {
        VectorMachine { builder, target, float: F32X4, int: I32X4 }
    }

    pub fn f64(builder: &'x mut FunctionBuilder<'b>, target: Target) -> VectorMachine<'x, 'b> {
        VectorMachine { builder, target, float: F64X2, int: I64X2 }
    }

    fn wide(&self) -> bool {
        self.float == F64X2
    }

    fn splat(&mut self, ty: Type, bits: u64) -> Value {
        if self.wide() { splat64(self.builder, ty, bits) } else { splat32(self.builder, ty, bits as u32) }
    }

    fn compare(&mut self, op: FloatCC, a: Value, b: Value) -> Value {
        self.builder.ins().fcmp(op, a, b)
    }

    fn shift_amount(&mut self, by: u32) -> Value {
        self.builder.ins().iconst(cranelift_codegen::ir::types::I32, by as i64)
    }

    /// `1.5 * 2^52`: added to a double below 2^51, it leaves the integer in the low bits.
    fn integer_bias(&mut self) -> (Value, Value) {
        let bits = 6_755_399_441_055_744.0f64.to_bits();
        (splat64(self.builder, F64X2, bits), splat64(self.builder, I64X2, bits))
    }

    /// `fcmp` and `bitselect` in the form that Cranelift knows as `minps` and `maxps`.
    fn select_by_less(&mut self, less: (Value, Value), a: Value, b: Value) -> Value {
        let mask = self.compare(FloatCC::LessThan, less.0, less.1);
        let mask = self.builder.ins().bitcast(self.float, lanes(), mask);
        self.builder.ins().bitselect(mask, a, b)
    }
}

impl Ops for VectorMachine<'_, '_> {
    type F = Value;
    type I = Value;
    type M = Value;

    fn f(&mut self, x: f64) -> Value {
        let bits = if self.wide() { x.to_bits() } else { (x as f32).to_bits() as u64 };
        self.splat(self.float, bits)
    }
    fn i(&mut self, x: i64) -> Value {
        self.splat(self.int, x as u64)
    }

    fn add(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().fadd(a, b)
    }
    fn sub(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().fsub(a, b)
    }
    fn mul(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().fmul(a, b)
    }
    fn div(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().fdiv(a, b)
    }
    fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.builder.ins().fma(a, b, c)
    }
    fn sqrt(&mut self, a: Value) -> Value {
        self.builder.ins().sqrt(a)
    }
    fn neg(&mut self, a: Value) -> Value {
        self.builder.ins().fneg(a)
    }
    fn abs(&mut self, a: Value) -> Value {
        self.builder.ins().fabs(a)
    }
    fn floor(&mut self, a: Value) -> Value {
        self.builder.ins().floor(a)
    }
    fn ceil(&mut self, a: Value) -> Value {
        self.builder.ins().ceil(a)
    }
    fn round(&mut self, a: Value) -> Value {
        self.builder.ins().nearest(a)
    }

    fn lt(&mut self, a: Value, b: Value) -> Value {
        self.compare(FloatCC::LessThan, a, b)
    }
    fn le(&mut self, a: Value, b: Value) -> Value {
        self.compare(FloatCC::LessThanOrEqual, a, b)
    }
    fn eq(&mut self, a: Value, b: Value) -> Value {
        self.compare(FloatCC::Equal, a, b)
    }
    fn select(&mut self, m: Value, a: Value, b: Value) -> Value {
        blend(self.builder, self.target, m, a, b)
    }
    fn min(&mut self, a: Value, b: Value) -> Value {
        self.select_by_less((a, b), a, b)
    }
    fn max(&mut self, a: Value, b: Value) -> Value {
        self.select_by_less((b, a), a, b)
    }
    fn rarely(&mut self, m: Value, usual: Value, rare: impl FnOnce(&mut Self) -> Value) -> Value {
        let (slow, done) = (self.builder.create_block(), self.builder.create_block());
        self.builder.append_block_param(done, self.float);
        self.builder.set_cold_block(slow);
        let any = self.builder.ins().vany_true(m);
        self.builder.ins().brif(any, slow, &[], done, &[BlockArg::Value(usual)]);
        self.builder.seal_block(slow);
        self.builder.switch_to_block(slow);
        let r = rare(self);
        let r = self.select(m, r, usual);
        self.builder.ins().jump(done, &[BlockArg::Value(r)]);
        self.builder.seal_block(done);
        self.builder.switch_to_block(done);
        self.builder.block_params(done)[0]
    }

    fn row(&mut self, table: &'static Table, at: Value) -> [Value; 8] {
        debug_assert!(!self.wide(), "rows are of 32-bit floats");
        let number = math::tables().iter().position(|t| std::ptr::eq(*t, table)).expect("a table of ours");
        let table = address(self.builder, Symbol::Table(number as u32));
        // Two vectors of each lane's row, then four lanes of each number.
        let mut rows = [[table; 2]; 4];
        for (lane, row) in rows.iter_mut().enumerate() {
            let number = self.builder.ins().extractlane(at, lane as u8);
            let number = self.builder.ins().band_imm_u(number, 31);
            let number = self.builder.ins().uextend(I64, number);
            let bytes = self.builder.ins().imul_imm_s(number, size_of::<[f32; 8]>() as i64);
            let place = self.builder.ins().iadd(table, bytes);
            for (half, v) in row.iter_mut().enumerate() {
                *v = self.builder.ins().load(F32X4, memory(), place, 16 * half as i32);
            }
        }
        let mut pairs = |a: Value, b: Value, high: bool| {
            let first = if high { 8 } else { 0 };
            let bytes =
                std::array::from_fn(|k| (first + 4 * (k as u8 / 8) + k as u8 % 4) + if k % 8 < 4 { 0 } else { 16 });
            shuffle(self.builder, a, b, bytes)
        };
        let mut halves = [[table; 4]; 2];
        for (half, numbers) in halves.iter_mut().enumerate() {
            let [a, b, c, d] = rows.map(|row| row[half]);
            for high in [false, true] {
                let (ac, bd) = (pairs(a, c, high), pairs(b, d, high));
                numbers[2 * usize::from(high)] = pairs(ac, bd, false);
                numbers[2 * usize::from(high) + 1] = pairs(ac, bd, true);
            }
        }
        let [[a, b, c, d], [e, f, g, h]] = halves;
        [a, b, c, d, e, f, g, h]
    }

    fn bits(&mut self, a: Value) -> Value {
        cast(self.builder, self.int, a)
    }
    fn from_bits(&mut self, a: Value) -> Value {
        cast(self.builder, self.float, a)
    }
    fn to_int(&mut self, a: Value) -> Value {
        if self.wide() {
            let whole = self.builder.ins().trunc(a);
            let (float, bits) = self.integer_bias();
            let biased = self.builder.ins().fadd(whole, float);
            let biased = cast(self.builder, I64X2, biased);
            self.builder.ins().isub(biased, bits)
        } else if self.target.sse41 {
            self.builder.ins().x86_cvtt2dq(I32X4, a)
        } else {
            self.builder.ins().fcvt_to_sint_sat(I32X4, a)
        }
    }
    fn to_float(&mut self, a: Value) -> Value {
        if self.wide() {
            let (float, bits) = self.integer_bias();
            let biased = self.builder.ins().iadd(a, bits);
            let biased = cast(self.builder, F64X2, biased);
            self.builder.ins().fsub(biased, float)
        } else {
            self.builder.ins().fcvt_from_sint(F32X4, a)
        }
    }

    fn iadd(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().iadd(a, b)
    }
    fn isub(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().isub(a, b)
    }
    fn iand(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().band(a, b)
    }
    fn ior(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().bor(a, b)
    }
    fn ixor(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().bxor(a, b)
    }
    fn ishl(&mut self, a: Value, by: u32) -> Value {
        let by = self.shift_amount(by);
        self.builder.ins().ishl(a, by)
    }
    fn ishr(&mut self, a: Value, by: u32) -> Value {
        let by = self.shift_amount(by);
        self.builder.ins().ushr(a, by)
    }
    fn isar(&mut self, a: Value, by: u32) -> Value {
        let by = self.shift_amount(by);
        self.builder.ins().sshr(a, by)
    }
    fn ieq(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().icmp(IntCC::Equal, a, b)
    }
    fn ilt(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().icmp(IntCC::SignedLessThan, a, b)
    }
    fn iselect(&mut self, m: Value, a: Value, b: Value) -> Value {
        blend(self.builder, self.target, m, a, b)
    }
    fn mand(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().band(a, b)
    }
    fn mor(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().bor(a, b)
    }
}

/// The bytes of two vectors, rearranged: 0–15 are `a`'s, 16–31 `b`'s; the result has `a`'s type.
pub fn shuffle(builder: &mut FunctionBuilder, a: Value, b: Value, bytes: [u8; 16]) -> Value {
    let ty = builder.func.dfg.value_type(a);
    let i8x16 = cranelift_codegen::ir::types::I8X16;
    let (a, b) = (cast(builder, i8x16, a), cast(builder, i8x16, b));
    let mask = builder.func.dfg.immediates.push(ConstantData::from(&bytes[..]));
    let r = builder.ins().shuffle(a, b, mask);
    cast(builder, ty, r)
}

/// The vector whose first element is the scalar; the others are unspecified but harmless.
pub fn first(builder: &mut FunctionBuilder, ty: Type, x: Value) -> Value {
    builder.ins().scalar_to_vector(ty, x)
}

/// Eight bytes in front of a vector of 32-bit elements.
pub fn first_two(builder: &mut FunctionBuilder, ty: Type, x: Value) -> Value {
    let wide = if ty.lane_type() == F32 { F64X2 } else { I64X2 };
    let scalar = if wide == I64X2 { I64 } else { cranelift_codegen::ir::types::F64 };
    let x = cast(builder, scalar, x);
    let v = builder.ins().scalar_to_vector(wide, x);
    cast(builder, ty, v)
}
