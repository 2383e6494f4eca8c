//! Conversions between element types.

use iced_x86::Code as Op;
use whorl_core::ir::DType;
use whorl_kernels::math::halves;
use whorl_kernels::ops::Ops;

use super::code::{Fold, Operand, Part, Reg};
use super::machine::{Lane, Wide};
use super::ops;
use super::set::Set;

impl Wide<'_> {
    /// The masks of an `f64`'s halves as one.
    pub fn joined(&mut self, masks: Lane) -> Reg {
        if self.code.set == Set::Avx2 {
            // The lower words of both, in pairs, which are then put in order.
            let ins = [masks.lo.into(), masks.hi.into()];
            let pairs = self.code.vector_by(Op::VEX_Vshufps_ymm_ymm_ymmm256_imm8, Fold::No, &ins, 0x88);
            return self.code.vector_by(Op::VEX_Vpermq_ymm_ymmm256_imm8, Fold::No, &[pairs.into()], 0xd8);
        }
        self.mask_op(Op::VEX_Kunpckbw_kr_kr_kr, masks.hi, masks.lo)
    }

    pub fn split(&mut self, mask: Reg) -> Lane {
        if self.code.set == Set::Avx2 {
            let upper = self.upper(mask);
            let [lo, hi] = [mask, upper].map(|half| {
                self.code.vector(Op::VEX_Vpmovsxdq_ymm_xmmm128, Fold::No, &[Operand::Reg(half, Part::Half)])
            });
            return Lane { lo, hi };
        }
        let hi = self.code.mask(Op::VEX_Kshiftrw_kr_kr_imm8, Fold::No, &[mask.into()], Some(8));
        Lane { lo: mask, hi }
    }

    /// `i32`, `u32` or `u8` lanes as `f64`.
    pub fn doubled(&mut self, dtype: DType, x: Reg) -> Lane {
        if self.code.set == Set::Avx2 && dtype == DType::U32 {
            let sign = self.code.each32(1 << 31);
            let less = self.ints().ixor(x, sign);
            return self.doubled(DType::I32, less).map(|x| {
                let mut v = self.vectors(DType::F64);
                let most = v.f(2_147_483_648.0);
                v.add(x, most)
            });
        }
        let op = if dtype == DType::U32 {
            Op::EVEX_Vcvtudq2pd_zmm_k1z_ymmm256b32_er
        } else {
            Op::EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er
        };
        let upper = self.upper(x);
        let lo = self.code.vector(op, Fold::No, &[Operand::Reg(x, Part::Half)]);
        Lane { lo, hi: self.code.vector(op, Fold::No, &[Operand::Reg(upper, Part::Half)]) }
    }

    /// Two halves of 32-bit lanes as one vector.
    pub fn together(&mut self, x: Lane) -> Reg {
        let ins = [x.lo.into(), Operand::Reg(x.hi, Part::Half)];
        self.code.vector_by(Op::EVEX_Vinserti64x4_zmm_k1z_zmm_ymmm256_imm8, Fold::No, &ins, 1)
    }

    /// A vector of `f64` to 32-bit lanes in the lower half of a vector.
    pub fn narrowed(&mut self, op: Op, x: Reg) -> Reg {
        let r = self.code.vector(op, Fold::No, &[x.into()]);
        self.code.last().out = Some((r, Part::Half));
        r
    }

    /// `a` where the mask holds, and 0.
    fn or_zero(&mut self, mask: Reg, a: Reg) -> Reg {
        let zero = self.code.each32(0);
        self.ints().blend(mask, a, zero)
    }

    /// Whole numbers of zero and more as unsigned ones, all ones above the range. AVX2 converts to signed numbers alone.
    fn unsigned(&mut self, from: DType, x: Lane) -> Reg {
        let sign = self.code.each32(1 << 31);
        if from == DType::F64 {
            let whole = x.map(|x| self.below_zero(x));
            let halves = whole.map(|x| self.narrowed(Op::EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae, x));
            let all = self.together(halves);
            return self.ints().ixor(all, sign);
        }
        let x = x.lo;
        let mut v = self.ints();
        let (half, all) = (v.f(2_147_483_648.0), v.f(4_294_967_296.0));
        let (large, over) = (v.le(half, x), v.le(all, x));
        let less = v.sub(x, half);
        let rest = v.select(large, less, x);
        let rest = v.to_int(rest);
        let upper = v.iand(large, sign);
        let whole = v.ixor(rest, upper);
        v.ior(whole, over)
    }

    /// `f64` from zero on, truncated, at most 2^32 - 1, less 2^31.
    fn below_zero(&mut self, x: Reg) -> Reg {
        let mut v = self.vectors(DType::F64);
        let (most, half) = (v.f(4_294_967_295.0), v.f(2_147_483_648.0));
        let x = v.min(x, most);
        let x = v.floor(x);
        v.sub(x, half)
    }

    /// `u32` as `f32`: both halves are exact, their sum is rounded once.
    fn float_of_unsigned(&mut self, x: Reg) -> Reg {
        if self.code.set == Set::Avx512 {
            return self.ints().one(Op::EVEX_Vcvtudq2ps_zmm_k1z_zmmm512b32_er, x);
        }
        let low = self.code.each32(0xffff);
        let mut v = self.ints();
        let (high, low) = (v.ishr(x, 16), v.iand(x, low));
        let (high, low) = (v.to_float(high), v.to_float(low));
        let scale = v.f(65536.0);
        v.fma(high, scale, low)
    }

    /// Quotients of `u32`, which are in range, as whole numbers.
    pub fn whole_quotient(&mut self, halves: Lane) -> Reg {
        if self.code.set == Set::Avx2 {
            return self.unsigned(DType::F64, halves);
        }
        let halves = halves.map(|q| self.narrowed(Op::EVEX_Vcvttpd2udq_ymm_k1z_zmmm512b64_sae, q));
        self.together(halves)
    }

    /// Truncated and saturated; NaN gives 0.
    fn truncated(&mut self, from: DType, to: DType, x: Lane) -> Reg {
        let double = from == DType::F64;
        let signed = to == DType::I32;
        if !signed {
            // Of a NaN and zero, the maximum is its second operand; above the range there are all ones.
            let floor = x.map(|x| {
                let mut v = self.vectors(from);
                let zero = v.f(0.0);
                v.max(x, zero)
            });
            return if self.code.set == Set::Avx2 {
                self.unsigned(from, floor)
            } else if double {
                let halves = floor.map(|x| self.narrowed(Op::EVEX_Vcvttpd2udq_ymm_k1z_zmmm512b64_sae, x));
                self.together(halves)
            } else {
                self.code.vector(Op::EVEX_Vcvttps2udq_zmm_k1z_zmmm512b32_sae, Fold::No, &[floor.lo.into()])
            };
        }
        // Below the range there is the least number already, as for NaN and above.
        let number = x.map(|x| self.vectors(from).compare(ops::EQUAL, x, x));
        let above = x.map(|x| {
            let mut v = self.vectors(from);
            let limit = v.f(2_147_483_648.0);
            v.compare(ops::GREATER_OR_EQUAL, x, limit)
        });
        let (number, above, r) = if double {
            let halves = x.map(|x| self.narrowed(Op::EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae, x));
            (self.joined(number), self.joined(above), self.together(halves))
        } else {
            let r = self.code.vector(Op::EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae, Fold::No, &[x.lo.into()]);
            (number.lo, above.lo, r)
        };
        let most = self.code.each32(i32::MAX as u32);
        let r = self.ints().blend(above, most, r);
        self.or_zero(number, r)
    }

    pub fn converted(&mut self, from: DType, to: DType, x: Lane) -> Lane {
        match (from, to) {
            _ if from == to => x,
            (DType::F32, DType::F64) => {
                let op = Op::EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae;
                let upper = self.upper(x.lo);
                let lo = self.code.vector(op, Fold::No, &[Operand::Reg(x.lo, Part::Half)]);
                Lane { lo, hi: self.code.vector(op, Fold::No, &[Operand::Reg(upper, Part::Half)]) }
            }
            (DType::F64, DType::F32) => {
                let halves = x.map(|x| self.narrowed(Op::EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er, x));
                Lane::one(self.together(halves))
            }
            (DType::F16, _) => {
                let wide = halves::from_f16(&mut self.ints(), x.lo);
                self.converted(DType::F32, to, Lane::one(wide))
            }
            (DType::BF16, _) => {
                let wide = halves::from_bf16(&mut self.ints(), x.lo);
                self.converted(DType::F32, to, Lane::one(wide))
            }
            (_, DType::F16) => {
                let x = self.converted(from, DType::F32, x).lo;
                Lane::one(halves::to_f16(&mut self.ints(), x))
            }
            (_, DType::BF16) => {
                let x = self.converted(from, DType::F32, x).lo;
                Lane::one(halves::to_bf16(&mut self.ints(), x))
            }
            (DType::F32 | DType::F64, DType::Bool) => {
                let masks = x.map(|x| {
                    let mut v = self.vectors(from);
                    let zero = v.f(0.0);
                    v.compare(ops::NOT_EQUAL, x, zero)
                });
                Lane::one(if from == DType::F64 { self.joined(masks) } else { masks.lo })
            }
            (DType::F32 | DType::F64, DType::I32 | DType::U32) => Lane::one(self.truncated(from, to, x)),
            (DType::F32 | DType::F64, DType::U8) => {
                let whole = self.truncated(from, DType::I32, x);
                let (zero, most) = (self.code.each32(0), self.code.each32(255));
                let v = self.ints().two(Op::EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32, whole, zero);
                Lane::one(self.ints().two(Op::EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32, v, most))
            }
            (DType::I32 | DType::U8, DType::F32) => Lane::one(self.ints().to_float(x.lo)),
            (DType::U32, DType::F32) => Lane::one(self.float_of_unsigned(x.lo)),
            (DType::I32 | DType::U32 | DType::U8, DType::F64) => self.doubled(from, x.lo),
            (DType::I32 | DType::U32, DType::U8) => Lane::one(self.wrapped(to, x.lo)),
            (DType::I32 | DType::U32 | DType::U8, DType::I32 | DType::U32 | DType::U8) => x,
            (DType::I32 | DType::U32 | DType::U8, DType::Bool) => Lane::one(self.ints().not_zero(x.lo)),
            (DType::Bool, DType::F32 | DType::I32 | DType::U32 | DType::U8) => {
                let one = self.code.each32(if to == DType::F32 { 1f32.to_bits() } else { 1 });
                Lane::one(self.or_zero(x.lo, one))
            }
            (DType::Bool, DType::F64) => {
                let number = self.converted(from, DType::I32, x);
                self.converted(DType::I32, to, number)
            }
            (DType::F32, DType::F32) | (DType::F64, DType::F64) | (DType::Bool, DType::Bool) => x,
        }
    }
}
