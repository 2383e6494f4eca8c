//! The arithmetic of lanes: one function for each kind of operation, over all element types.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32X4, F64X2, I32, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use whorl_core::ir::DType;
use whorl_core::prim::{Binary, Compare, Unary};
use whorl_kernels::math::{self, MathFn, MathFn2};

use super::convert::{join_masks, split_mask};
use super::integer;
use super::machine::{Target, VectorMachine, blend, splat32};
use super::value::{Lane4, extract, vector_type};
use crate::CpuError;

/// Where arithmetic is emitted.
pub struct Arith<'x, 'b> {
    pub builder: &'x mut FunctionBuilder<'b>,
    pub target: Target,
}

impl<'b> Arith<'_, 'b> {
    /// A function of one float, in the element type's width.
    fn math(&mut self, f: MathFn, dtype: DType, x: Lane4) -> Lane4 {
        let target = self.target;
        x.map(|x| match dtype {
            DType::F64 => f.apply64(&mut VectorMachine::f64(self.builder, target), x),
            DType::F32 | DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 | DType::Bool => {
                f.apply32(&mut VectorMachine::f32(self.builder, target), x)
            }
        })
    }

    fn math2(&mut self, f: MathFn2, dtype: DType, a: Lane4, b: Lane4) -> Lane4 {
        let target = self.target;
        a.zip(b, |a, b| match dtype {
            DType::F64 => f.apply64(&mut VectorMachine::f64(self.builder, target), a, b),
            DType::F32 | DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 | DType::Bool => {
                f.apply32(&mut VectorMachine::f32(self.builder, target), a, b)
            }
        })
    }

    pub fn unary(&mut self, op: Unary, dtype: DType, x: Lane4) -> Result<Lane4, CpuError> {
        if dtype.is_half() {
            return Err(CpuError::ill_typed(op, dtype));
        }
        if !dtype.is_float() {
            return integer::unary(self, op, dtype, x);
        }
        match op {
            Unary::Math(function) => Ok(self.math(function, dtype, x)),
            Unary::Sign => {
                let target = self.target;
                Ok(x.map(|x| match dtype == DType::F64 {
                    true => math::sign(&mut VectorMachine::f64(self.builder, target), x),
                    false => math::sign(&mut VectorMachine::f32(self.builder, target), x),
                }))
            }
            Unary::Neg => Ok(x.map(|x| self.builder.ins().fneg(x))),
            Unary::Abs => Ok(x.map(|x| self.builder.ins().fabs(x))),
            Unary::Floor => Ok(x.map(|x| self.builder.ins().floor(x))),
            Unary::Ceil => Ok(x.map(|x| self.builder.ins().ceil(x))),
            Unary::Round => Ok(x.map(|x| self.builder.ins().nearest(x))),
            Unary::Sqrt => Ok(x.map(|x| self.builder.ins().sqrt(x))),
            Unary::Not | Unary::PopCount => Err(CpuError::ill_typed(op, dtype)),
        }
    }

    /// `literal` is `b` where it is known, as in [`whorl_core::ir::Lit`]; the first `width` lanes count.
    pub fn binary(
        &mut self,
        op: Binary,
        dtype: DType,
        a: Lane4,
        b: Lane4,
        literal: Option<u64>,
        width: usize,
    ) -> Result<Lane4, CpuError> {
        if dtype.is_half() {
            return Err(CpuError::ill_typed(op, dtype));
        }
        if !dtype.is_float() {
            return integer::binary(self, op, dtype, a, b, literal);
        }
        Ok(match op {
            Binary::Add => a.zip(b, |a, b| self.builder.ins().fadd(a, b)),
            Binary::Sub => a.zip(b, |a, b| self.builder.ins().fsub(a, b)),
            Binary::Mul => a.zip(b, |a, b| self.builder.ins().fmul(a, b)),
            Binary::Div => a.zip(b, |a, b| self.builder.ins().fdiv(a, b)),
            Binary::Rem => self.float_remainder(dtype, a, b, width),
            Binary::Pow | Binary::Atan2 | Binary::Min | Binary::Max => {
                let function = op.elementary().ok_or_else(|| CpuError::ill_typed(op, dtype))?;
                self.math2(function, dtype, a, b)
            }
            Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr | Binary::ShrLogical => {
                return Err(CpuError::ill_typed(op, dtype));
            }
        })
    }

    /// The remainder has no instruction: a call for each lane.
    fn float_remainder(&mut self, dtype: DType, a: Lane4, b: Lane4, width: usize) -> Lane4 {
        let lanes: Vec<Value> = (0..width)
            .map(|lane| {
                let a = extract(self.builder, dtype, a, lane);
                let b = extract(self.builder, dtype, b, lane);
                super::calls::remainder(self.builder, dtype, a, b)
            })
            .collect();
        self.gather_scalars(dtype, &lanes)
    }

    /// Lanes from scalar registers.
    pub fn gather_scalars(&mut self, dtype: DType, lanes: &[Value]) -> Lane4 {
        let half = if dtype == DType::F64 { 2 } else { 4 };
        let mut halves = lanes.chunks(half).map(|lanes| {
            let mut v = self.builder.ins().scalar_to_vector(vector_type(dtype), lanes[0]);
            for (k, x) in lanes.iter().enumerate().skip(1) {
                v = self.builder.ins().insertlane(v, *x, k as u8);
            }
            v
        });
        let lo = halves.next().expect("at least one lane");
        Lane4 { lo, hi: halves.next().unwrap_or(lo) }
    }

    /// Masks of a comparison of operands of type `dtype`.
    pub fn compare(&mut self, op: Compare, dtype: DType, a: Lane4, b: Lane4) -> Lane4 {
        let float = match op {
            Compare::Eq => FloatCC::Equal,
            Compare::Ne => FloatCC::NotEqual,
            Compare::Lt => FloatCC::LessThan,
            Compare::Le => FloatCC::LessThanOrEqual,
            Compare::Gt => FloatCC::GreaterThan,
            Compare::Ge => FloatCC::GreaterThanOrEqual,
        };
        match dtype {
            DType::F32 => a.zip(b, |a, b| self.builder.ins().fcmp(float, a, b)),
            DType::F64 => {
                let masks = a.zip(b, |a, b| self.builder.ins().fcmp(float, a, b));
                Lane4::one(join_masks(self.builder, masks))
            }
            DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 | DType::Bool => {
                // False is 0 and true all ones, so that bools are ordered as unsigned numbers.
                let signed = dtype == DType::I32;
                let int = match op {
                    Compare::Eq => IntCC::Equal,
                    Compare::Ne => IntCC::NotEqual,
                    Compare::Lt if signed => IntCC::SignedLessThan,
                    Compare::Lt => IntCC::UnsignedLessThan,
                    Compare::Le if signed => IntCC::SignedLessThanOrEqual,
                    Compare::Le => IntCC::UnsignedLessThanOrEqual,
                    Compare::Gt if signed => IntCC::SignedGreaterThan,
                    Compare::Gt => IntCC::UnsignedGreaterThan,
                    Compare::Ge if signed => IntCC::SignedGreaterThanOrEqual,
                    Compare::Ge => IntCC::UnsignedGreaterThanOrEqual,
                };
                a.zip(b, |a, b| self.builder.ins().icmp(int, a, b))
            }
        }
    }

    /// `mask` holds for which lanes `a` is taken; of `dtype` are `a` and `b`.
    pub fn select(&mut self, mask: Lane4, dtype: DType, a: Lane4, b: Lane4) -> Lane4 {
        let target = self.target;
        if dtype == DType::F64 {
            let mask = split_mask(self.builder, mask.lo);
            let lo = blend(self.builder, target, mask.lo, a.lo, b.lo);
            return Lane4 { lo, hi: blend(self.builder, target, mask.hi, a.hi, b.hi) };
        }
        Lane4::one(blend(self.builder, target, mask.lo, a.lo, b.lo))
    }

    pub fn mul_add(&mut self, dtype: DType, a: Lane4, b: Lane4, c: Lane4) -> Lane4 {
        if !dtype.is_float() {
            let product = a.zip(b, |a, b| self.builder.ins().imul(a, b));
            let sum = product.zip(c, |p, c| self.builder.ins().iadd(p, c));
            return integer::wrap(self, dtype, sum);
        }
        let lo = self.builder.ins().fma(a.lo, b.lo, c.lo);
        let same = a.hi == a.lo && b.hi == b.lo && c.hi == c.lo;
        Lane4 { lo, hi: if same { lo } else { self.builder.ins().fma(a.hi, b.hi, c.hi) } }
    }

    /// Both words of Threefry-2x32 (20 rounds) of `(k0, k1, c0, c1)`; see `whorl_kernels::math::threefry2x32`.
    pub fn threefry(&mut self, [k0, k1, c0, c1]: [Value; 4]) -> [Value; 2] {
        const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
        let b = &mut *self.builder;
        let parity = splat32(b, I32X4, 0x1bd1_1bda);
        let keys = b.ins().bxor(k0, k1);
        let key = [k0, k1, b.ins().bxor(keys, parity)];
        let (mut x, mut y) = (b.ins().iadd(c0, k0), b.ins().iadd(c1, k1));
        for group in 0..5 {
            for by in ROTATIONS[group % 2] {
                x = b.ins().iadd(x, y);
                let (left, right) = (b.ins().iconst(I32, by as i64), b.ins().iconst(I32, 32 - by as i64));
                let (high, low) = (b.ins().ishl(y, left), b.ins().ushr(y, right));
                let rotated = b.ins().bor(high, low);
                y = b.ins().bxor(rotated, x);
            }
            let count = splat32(b, I32X4, group as u32 + 1);
            x = b.ins().iadd(x, key[(group + 1) % 3]);
            let schedule = b.ins().iadd(key[(group + 2) % 3], count);
            y = b.ins().iadd(y, schedule);
        }
        [x, y]
    }

    /// `a` where all bits of the lane's mask are set, else `b`: the first `count` lanes are `a`'s.
    pub fn first_lanes(&mut self, count: usize, dtype: DType, a: Lane4, b: Lane4) -> Lane4 {
        if count >= 4 {
            return a;
        }
        let mut bytes = [0; 16];
        bytes[..4 * count].fill(0xff);
        let mask = super::machine::constant(self.builder, I32X4, bytes);
        self.select(Lane4::one(mask), dtype, a, b)
    }
}

/// Zeros of the vector type.
pub fn zero(builder: &mut FunctionBuilder, dtype: DType) -> Value {
    let ty = vector_type(dtype);
    debug_assert!([F32X4, F64X2, I32X4, I64X2].contains(&ty));
    super::machine::constant(builder, ty, [0; 16])
}
