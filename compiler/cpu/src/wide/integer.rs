//! Arithmetic of `i32`, `u32` and `u8` lanes, and random words. `u8` lanes are numbers 0–255 in 32 bits.

use iced_x86::Code as Op;
use whorl_core::ir::DType;
use whorl_core::prim::{Binary, Compare, Unary};
use whorl_kernels::ops::Ops;

use super::code::{Fold, Reg};
use super::machine::{Lane, Wide};
use super::ops::{self, Vectors};
use super::set::Set;
use crate::CpuError;

impl Vectors<'_> {
    /// The bits of each number moved up, and in again below. Whole bytes are moved by one instruction.
    fn rotated(&mut self, x: Reg, by: u8) -> Reg {
        match self.code.set {
            Set::Avx512 => self.code.vector_by(Op::EVEX_Vprold_zmm_k1z_zmmm512b32_imm8, Fold::No, &[x.into()], by),
            Set::Avx2 if by % 8 == 0 => {
                let from = |k: u8| u32::from_le_bytes(std::array::from_fn(|b| 4 * k + (b as u8 + 4 - by / 8) % 4));
                let places = self.code.words(std::array::from_fn(|k| from(k as u8 % 4)));
                self.two(Op::VEX_Vpshufb_ymm_ymm_ymmm256, x, places)
            }
            Set::Avx2 => {
                let (up, down) = (self.ishl(x, by as u32), self.ishr(x, 32 - by as u32));
                self.ior(up, down)
            }
        }
    }
}

impl Wide<'_> {
    /// Cuts a 32-bit result down to what the element type holds.
    pub fn wrapped(&mut self, dtype: DType, x: Reg) -> Reg {
        if dtype != DType::U8 {
            return x;
        }
        let byte = self.code.each32(0xff);
        self.ints().iand(x, byte)
    }

    pub fn int_unary(&mut self, op: Unary, dtype: DType, x: Lane) -> Result<Lane, CpuError> {
        let x = x.lo;
        if dtype == DType::Bool {
            return match op {
                Unary::Not => Ok(Lane::one(self.not(x))),
                _ => Err(CpuError::ill_typed(op, dtype)),
            };
        }
        let signed = dtype == DType::I32;
        let zero = self.code.each32(0);
        let r = match op {
            Unary::Neg => self.ints().isub(zero, x),
            Unary::Abs if signed => self.ints().one(Op::EVEX_Vpabsd_zmm_k1z_zmmm512b32, x),
            Unary::Abs => x,
            Unary::Sign => {
                let (one, minus_one) = (self.code.each32(1), self.code.each32(!0));
                if signed {
                    let most = self.ints().two(Op::EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32, x, one);
                    self.ints().two(Op::EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32, most, minus_one)
                } else {
                    self.ints().two(Op::EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32, x, one)
                }
            }
            Unary::Not => {
                let ones = self.code.each32(!0);
                self.ints().ixor(x, ones)
            }
            Unary::PopCount => self.bits_set(x),
            Unary::Floor | Unary::Ceil | Unary::Round | Unary::Sqrt | Unary::Math(_) => {
                return Err(CpuError::ill_typed(op, dtype));
            }
        };
        Ok(Lane::one(self.wrapped(dtype, r)))
    }

    /// Sums of bits in pairs, nibbles, bytes (Warren, "Hacker's Delight", section 5-1) where there is no instruction.
    fn bits_set(&mut self, x: Reg) -> Reg {
        if self.has_popcount() {
            return self.ints().one(Op::EVEX_Vpopcntd_zmm_k1z_zmmm512b32, x);
        }
        let [pairs, nibbles, bytes, ones] =
            [0x5555_5555, 0x3333_3333, 0x0f0f_0f0f, 0x0101_0101].map(|bits| self.code.each32(bits));
        let mut v = self.ints();
        let half = v.ishr(x, 1);
        let half = v.iand(half, pairs);
        let x = v.isub(x, half);
        let high = v.ishr(x, 2);
        let (high, low) = (v.iand(high, nibbles), v.iand(x, nibbles));
        let x = v.iadd(high, low);
        let high = v.ishr(x, 4);
        let x = v.iadd(x, high);
        let x = v.iand(x, bytes);
        let x = v.two(Op::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, x, ones);
        v.ishr(x, 24)
    }

    pub fn int_compare(&mut self, op: Compare, dtype: DType, a: Reg, b: Reg) -> Reg {
        let predicate = match op {
            Compare::Eq => ops::INT_EQUAL,
            Compare::Ne => ops::INT_NOT_EQUAL,
            Compare::Lt => ops::INT_LESS,
            Compare::Le => ops::INT_LESS_OR_EQUAL,
            Compare::Gt => ops::INT_GREATER,
            Compare::Ge => ops::INT_GREATER_OR_EQUAL,
        };
        if dtype == DType::U32 {
            return self.ints().unsigned_compare(predicate, a, b);
        }
        self.ints().int_compare(predicate, a, b)
    }

    pub fn int_binary(
        &mut self,
        op: Binary,
        dtype: DType,
        a: Lane,
        b: Lane,
        literal: Option<u64>,
    ) -> Result<Lane, CpuError> {
        let (x, y) = (a.lo, b.lo);
        let signed = dtype == DType::I32;
        let mut v = self.ints();
        let r = match op {
            Binary::Add => v.iadd(x, y),
            Binary::Sub => v.isub(x, y),
            Binary::Mul => v.two(Op::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, x, y),
            Binary::Div | Binary::Rem => return Ok(Lane::one(self.divided(op, dtype, x, y, literal))),
            Binary::Min if signed => v.two(Op::EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32, x, y),
            Binary::Min => v.two(Op::EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32, x, y),
            Binary::Max if signed => v.two(Op::EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32, x, y),
            Binary::Max => v.two(Op::EVEX_Vpmaxud_zmm_k1z_zmm_zmmm512b32, x, y),
            Binary::And => v.iand(x, y),
            Binary::Or => v.ior(x, y),
            Binary::Xor => v.ixor(x, y),
            // Beyond the width there are zeros, or the sign.
            Binary::Shl => v.two(Op::EVEX_Vpsllvd_zmm_k1z_zmm_zmmm512b32, x, y),
            Binary::Shr if signed => v.two(Op::EVEX_Vpsravd_zmm_k1z_zmm_zmmm512b32, x, y),
            Binary::Shr | Binary::ShrLogical => v.two(Op::EVEX_Vpsrlvd_zmm_k1z_zmm_zmmm512b32, x, y),
            Binary::Pow | Binary::Atan2 => return Err(CpuError::ill_typed(op, dtype)),
        };
        Ok(Lane::one(self.wrapped(dtype, r)))
    }

    /// The quotient through floating point, exact since a quotient that is no integer is further than 2^-32 of itself from one, and
    /// a double is good to 2^-53. There is no vector division of integers.
    fn divided(&mut self, op: Binary, dtype: DType, x: Reg, y: Reg, literal: Option<u64>) -> Reg {
        if let Some(by) = literal.filter(|by| dtype != DType::I32 && by.is_power_of_two()) {
            return if op == Binary::Div {
                self.ints().ishr(x, by.trailing_zeros())
            } else {
                let mask = self.code.each32(by as u32 - 1);
                self.ints().iand(x, mask)
            };
        }
        if let Some(by) = literal.filter(|by| dtype != DType::I32 && *by != 0) {
            let quotient = self.divided_by(x, by as u32);
            if op == Binary::Div {
                return quotient;
            }
            let mut v = self.ints();
            let product = v.two(Op::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, quotient, y);
            return v.isub(x, product);
        }
        let (a, b) = (self.doubled(dtype, x), self.doubled(dtype, y));
        // i32::MIN / -1 is out of range, which gives i32::MIN: it wraps.
        let halves = a.zip(b, |a, b| self.vectors(DType::F64).div(a, b));
        let quotient = if dtype == DType::U32 {
            self.whole_quotient(halves)
        } else {
            let halves = halves.map(|q| self.narrowed(Op::EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae, q));
            self.together(halves)
        };
        let zero = self.code.each32(0);
        let by_zero = self.ints().ieq(y, zero);
        if op == Binary::Div {
            let ones = self.code.each32(if dtype == DType::U8 { 0xff } else { !0 });
            self.ints().blend(by_zero, ones, quotient)
        } else {
            let mut v = self.ints();
            let product = v.two(Op::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, quotient, y);
            let rest = v.isub(x, product);
            v.blend(by_zero, x, rest)
        }
    }

    /// The quotient by a number that is known, at least 3 and no power of two: a product's upper half (Granlund & Montgomery,
    /// "Division by invariant integers using multiplication", 1994, figure 4.1).
    fn divided_by(&mut self, x: Reg, by: u32) -> Reg {
        let bits = 32 - (by - 1).leading_zeros();
        // 2^(32 + bits) / by rounded up has 33 bits; without the last shift, or the leading one, 32 may do.
        let exact = (1u64 << bits).wrapping_sub(by as u64);
        let factor = ((exact << 32) / by as u64 + 1) as u32;
        let short = ((1u128 << (31 + bits)).div_ceil(by as u128)) as u64;
        if short <= u32::MAX as u64 && short * by as u64 - (1 << (31 + bits)) <= 1 << (bits - 1) {
            let high = self.upper_half(x, short as u32);
            return self.ints().ishr(high, bits - 1);
        }
        let high = self.upper_half(x, factor);
        let mut v = self.ints();
        let rest = v.isub(x, high);
        let half = v.ishr(rest, 1);
        let sum = v.iadd(half, high);
        v.ishr(sum, bits - 1)
    }

    /// The upper 32 bits of x times a number.
    fn upper_half(&mut self, x: Reg, by: u32) -> Reg {
        let by = self.code.each64(by as u64);
        let mut v = self.vectors(DType::F64);
        let even = v.two(Op::EVEX_Vpmuludq_zmm_k1z_zmm_zmmm512b64, x, by);
        let even = v.ishr(even, 32);
        let odd = v.ishr(x, 32);
        let odd = v.two(Op::EVEX_Vpmuludq_zmm_k1z_zmm_zmmm512b64, odd, by);
        let odds = self.code.lanes(0xaaaa, false);
        self.ints().blend(odds, odd, even)
    }

    /// Both words of Threefry-2x32 (20 rounds) of `(k0, k1, c0, c1)`; see `whorl_kernels::math::threefry2x32`.
    pub fn random_words(&mut self, [k0, k1, c0, c1]: [Reg; 4]) -> [Reg; 2] {
        const ROTATIONS: [[u8; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
        let parity = self.code.each32(0x1bd1_1bda);
        let mut v = self.ints();
        let keys = v.ixor(k0, k1);
        let key = [k0, k1, v.ixor(keys, parity)];
        let (mut x, mut y) = (v.iadd(c0, k0), v.iadd(c1, k1));
        for group in 0..5 {
            for by in ROTATIONS[group % 2] {
                x = v.iadd(x, y);
                let rotated = v.rotated(y, by);
                y = v.ixor(rotated, x);
            }
            let count = v.code.each32(group as u32 + 1);
            x = v.iadd(x, key[(group + 1) % 3]);
            let schedule = v.iadd(key[(group + 2) % 3], count);
            y = v.iadd(y, schedule);
        }
        [x, y]
    }
}
