//! Quotients by a number that many vectors share.
//!
//! The divider takes 16 cycles a vector, as long as 30 other instructions. For `z = 1 / y`, rounded, `q = x z`, `r = q y - x` and
//! `q - r z` are the quotient, rounded once (Markstein, "Computation of elementary functions on the IBM RISC System/6000 processor", 1990): `r` is exact,
//! and what is left of the error is far below the distance to a point halfway between two floats, but for quotients next to such a
//! point. These are those with `2^k x - m y` small for an odd `m` of 25 bits: all of them with a difference of up to 64 were tried, for all
//! mantissas of `y` (372 million), and all are right (docs/notes/026).
//!
//! It holds as long as nothing is subnormal or overflows; what is not in range is divided. Zeros keep their signs for a positive `y`.

use iced_x86::Code as Op;
use whorl_kernels::ops::Ops;

use super::code::{Class, Fold, Inst, Kind, Reg};
use super::machine::Wide;
use super::ops::INT_GREATER;

/// Exponents within which everything is normal.
const DIVISOR: i32 = 20;
const DIVIDEND: i32 = 100;

/// The bits of 2^exponent.
const fn power(exponent: i32) -> u32 {
    ((127 + exponent) as u32) << 23
}

impl Wide<'_> {
    /// `x / y` of `f32`, the bits of `y` being known perhaps.
    pub fn quotient(&mut self, x: Reg, y: Reg, literal: Option<u64>) -> Reg {
        let in_range = |y: u64| (power(-DIVISOR)..=power(DIVISOR)).contains(&(y as u32));
        if literal.is_some_and(|y| !in_range(y)) {
            return self.ints().div(x, y);
        }
        let mut v = self.ints();
        let one = v.f(1.0);
        let z = v.div(one, y);
        let q = v.mul(x, z);
        let minus_x = v.neg(x);
        let r = v.fma(q, y, minus_x);
        let minus_r = v.neg(r);
        let quotient = v.fma(minus_r, z, q);
        // Twice the bits have no sign.
        let twice = v.iadd(x, x);
        let strange = self.outside(twice, 2 * power(-DIVIDEND), 2 * power(DIVIDEND));
        let not_zero = Op::EVEX_Vptestmd_kr_k1_zmm_zmmm512b32;
        let strange_x = self.code.mask(not_zero, Fold::No, &[twice.into(), twice.into()], None);
        self.code.last().mask = Some(strange);
        let strange_y = if literal.is_some() { strange_x } else { self.outside(y, power(-DIVISOR), power(DIVISOR)) };

        let out = self.code.fresh(Class::Vector);
        self.code.copy(out, quotient);
        let usual = self.code.label();
        self.code.effect(Op::VEX_Kortestw_kr_kr, &[strange_x.into(), strange_y.into()], None);
        self.code.jump(Op::Je_rel32_64, usual);
        let kind = Kind::Plain(Op::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er);
        self.code.push(Inst { fold: Fold::Each32, ..Inst::new(kind, Some(out), &[x.into(), y.into()]) });
        self.code.place(usual);
        out
    }

    /// Where unsigned numbers are not in `low..=high`.
    fn outside(&mut self, x: Reg, low: u32, high: u32) -> Reg {
        let (first, length) = (self.code.each32(low), self.code.each32(high - low));
        let distance = self.ints().isub(x, first);
        self.ints().unsigned_compare(INT_GREATER, distance, length)
    }
}
