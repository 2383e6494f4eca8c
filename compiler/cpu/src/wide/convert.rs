//! Conversions between element types.

use iced_x86::Code as Op;
use whorl_core::ir::DType;
use whorl_kernels::math::halves;
use whorl_kernels::ops::Ops;

use super::code::{Fold, Operand, Part, Reg};
use super::machine::{Lane, Wide};
use super::ops;

impl Wide<'_> {
    /// The masks of an `f64`'s halves as one.
    pub fn joined(&mut self, masks: Lane) -> Reg {
        self.mask_op(Op::VEX_Kunpckbw_kr_kr_kr, masks.hi, masks.lo)
    }

    pub fn split(&mut self, mask: Reg) -> Lane {
        let hi = self.code.mask(Op::VEX_Kshiftrw_kr_kr_imm8, Fold::No, &[mask.into()], Some(8));
        Lane { lo: mask, hi }
    }

    /// `i32`, `u32` or `u8` lanes as `f64`.
    pub fn doubled(&mut self, dtype: DType, x: Reg) -> Lane {
        let op = if dtype == DType::U32 {
            Op::EVEX_Vcvtudq2pd_zmm_k1z_ymmm256b32_er
        } else {
            Op::EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er
        };
        let upper = self.upper(x);
        let lo = self.code.vector(op, Fold::No, &[Operand::Reg(x, Part::Half)]);
        Lane { lo, hi: self.code.vector(op, Fold::No, &[Operand::Reg(upper, Part::Half)]) }
    }

    /// Two halves of eight 32-bit lanes as one vector.
    pub fn together(&mut self, x: Lane) -> Reg {
        let ins = [x.lo.into(), Operand::Reg(x.hi, Part::Half)];
        self.code.vector_by(Op::EVEX_Vinserti64x4_zmm_k1z_zmm_ymmm256_imm8, Fold::No, &ins, 1)
    }

    /// Eight `f64` to 32-bit lanes in the lower half of a vector.
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
            return if double {
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
            (DType::U32, DType::F32) => Lane::one(self.ints().one(Op::EVEX_Vcvtudq2ps_zmm_k1z_zmmm512b32_er, x.lo)),
            (DType::I32 | DType::U32 | DType::U8, DType::F64) => self.doubled(from, x.lo),
            (DType::I32 | DType::U32, DType::U8) => Lane::one(self.wrapped(to, x.lo)),
            (DType::I32 | DType::U32 | DType::U8, DType::I32 | DType::U32 | DType::U8) => x,
            (DType::I32 | DType::U32 | DType::U8, DType::Bool) => {
                let op = Op::EVEX_Vptestmd_kr_k1_zmm_zmmm512b32;
                Lane::one(self.code.mask(op, Fold::No, &[x.lo.into(), x.lo.into()], None))
            }
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
