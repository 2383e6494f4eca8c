//! [`whorl_kernels::ops::Ops`] by emitting vectors: elementary functions are those of all backends, operation for operation.

use iced_x86::Code as Op;
use whorl_kernels::ops::{Ops, Table};

use super::code::{Class, Code, Constant, Fold, Inst, Kind, MulAdd, Operand, Part, Reg};
use super::set::Set;

/// A machine of as many `f32` as a vector has, or `f64`.
pub struct Vectors<'x> {
    pub code: &'x mut Code,
    pub double: bool,
}

/// The instruction for `f32` and for `f64`.
macro_rules! by_width {
    ($self:ident, $narrow:ident, $wide:ident) => {
        if $self.double { Op::$wide } else { Op::$narrow }
    };
}

/// `vrndscaleps`: without exceptions, in the direction of the last bits.
pub const TO_NEAREST: u8 = 8;
pub const DOWN: u8 = 9;
pub const UP: u8 = 10;

/// `vcmpps`: ordered and quiet, but for the unordered `NOT_EQUAL`.
pub const EQUAL: u8 = 0;
pub const NOT_EQUAL: u8 = 4;
pub const LESS: u8 = 0x11;
pub const LESS_OR_EQUAL: u8 = 0x12;
pub const GREATER_OR_EQUAL: u8 = 0x1d;
pub const GREATER: u8 = 0x1e;

/// `vpcmpd`
pub const INT_EQUAL: u8 = 0;
pub const INT_LESS: u8 = 1;
pub const INT_LESS_OR_EQUAL: u8 = 2;
pub const INT_NOT_EQUAL: u8 = 4;
pub const INT_GREATER_OR_EQUAL: u8 = 5;
pub const INT_GREATER: u8 = 6;

impl Vectors<'_> {
    /// What memory can stand for the last operand.
    pub fn fold(&self) -> Fold {
        if self.double { Fold::Each64 } else { Fold::Each32 }
    }

    pub fn constant(&mut self, bits: u64) -> Reg {
        if self.double { self.code.each64(bits) } else { self.code.each32(bits as u32) }
    }

    pub fn one(&mut self, op: Op, a: Reg) -> Reg {
        self.code.vector(op, self.fold(), &[a.into()])
    }

    pub fn two(&mut self, op: Op, a: Reg, b: Reg) -> Reg {
        self.code.vector(op, self.fold(), &[a.into(), b.into()])
    }

    /// The same with operands that may change places: what memory holds comes last.
    fn either(&mut self, op: Op, a: Reg, b: Reg) -> Reg {
        let constant = |r: Reg| self.code.regs[r.0 as usize].constant.is_some();
        if constant(a) && !constant(b) { self.two(op, b, a) } else { self.two(op, a, b) }
    }

    pub fn rounded(&mut self, a: Reg, direction: u8) -> Reg {
        let op =
            by_width!(self, EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae, EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae);
        self.code.vector_by(op, self.fold(), &[a.into()], direction)
    }

    pub fn compare(&mut self, predicate: u8, a: Reg, b: Reg) -> Reg {
        let op = by_width!(self, EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae, EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae);
        self.code.mask(op, self.fold(), &[a.into(), b.into()], Some(predicate))
    }

    /// Signed.
    pub fn int_compare(&mut self, predicate: u8, a: Reg, b: Reg) -> Reg {
        if self.code.set == Set::Avx2 {
            let equal = by_width!(self, VEX_Vpcmpeqd_ymm_ymm_ymmm256, VEX_Vpcmpeqq_ymm_ymm_ymmm256);
            let greater = by_width!(self, VEX_Vpcmpgtd_ymm_ymm_ymmm256, VEX_Vpcmpgtq_ymm_ymm_ymmm256);
            return match predicate {
                INT_EQUAL => self.either(equal, a, b),
                INT_GREATER => self.two(greater, a, b),
                INT_LESS => self.two(greater, b, a),
                // The opposite of its opposite.
                _ => {
                    let opposite = self.int_compare(predicate ^ 4, a, b);
                    self.not(opposite)
                }
            };
        }
        let op = by_width!(self, EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8, EVEX_Vpcmpq_kr_k1_zmm_zmmm512b64_imm8);
        self.code.mask(op, self.fold(), &[a.into(), b.into()], Some(predicate))
    }

    pub fn unsigned_compare(&mut self, predicate: u8, a: Reg, b: Reg) -> Reg {
        if self.code.set == Set::Avx512 {
            let op = Op::EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8;
            return self.code.mask(op, Fold::Each32, &[a.into(), b.into()], Some(predicate));
        }
        let bound = match predicate {
            INT_EQUAL | INT_NOT_EQUAL => return self.int_compare(predicate, a, b),
            INT_LESS_OR_EQUAL | INT_GREATER => self.two(Op::EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32, a, b),
            _ => self.two(Op::EVEX_Vpmaxud_zmm_k1z_zmm_zmmm512b32, a, b),
        };
        let holds = matches!(predicate, INT_LESS_OR_EQUAL | INT_GREATER_OR_EQUAL);
        self.int_compare(if holds { INT_EQUAL } else { INT_NOT_EQUAL }, bound, a)
    }

    /// Of numbers of 32 bits.
    pub fn not_zero(&mut self, a: Reg) -> Reg {
        match self.code.set {
            Set::Avx512 => {
                self.code.mask(Op::EVEX_Vptestmd_kr_k1_zmm_zmmm512b32, Fold::No, &[a.into(), a.into()], None)
            }
            Set::Avx2 => {
                let zero = self.code.each32(0);
                self.int_compare(INT_NOT_EQUAL, a, zero)
            }
        }
    }

    /// Where a mask does not hold.
    pub fn not(&mut self, mask: Reg) -> Reg {
        match self.code.set {
            Set::Avx512 => self.code.mask(Op::VEX_Knotw_kr_kr, Fold::No, &[mask.into()], None),
            Set::Avx2 => {
                let ones = self.code.each32(!0);
                self.ixor(mask, ones)
            }
        }
    }

    /// The lower 32 bits of each 64, in the lower half of a vector.
    fn words(&mut self, a: Reg) -> Reg {
        let even = self.code.words([0, 2, 4, 6, 0, 2, 4, 6]);
        self.code.vector(Op::VEX_Vpermd_ymm_ymm_ymmm256, Fold::No, &[even.into(), a.into()])
    }

    /// By a constant.
    fn shifted(&mut self, op: Op, a: Reg, by: u32) -> Reg {
        self.code.vector_by(op, Fold::No, &[a.into()], by as u8)
    }

    pub fn blend(&mut self, mask: Reg, a: Reg, b: Reg) -> Reg {
        // The lanes of the mask are the last operand's.
        let op = by_width!(self, EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32, EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64);
        let r = self.two(op, b, a);
        self.code.last().mask = Some(mask);
        r
    }
}

impl Vectors<'_> {
    /// A column is four vectors. A permutation's bits are linear in what is permuted: what the later ones differ by is put over the first, where
    /// the place's upper bits say so, which are two cheap instructions where a choice is three.
    fn row_of_quarters(&mut self, table: &'static Table, at: Reg) -> [Reg; 8] {
        let [second, third] = [28, 27].map(|by| {
            let bit = self.ishl(at, by);
            self.isar(bit, 31)
        });
        let last = self.iand(second, third);
        table.columns.map(|column| {
            let bits = |k: usize| column[k].to_bits();
            let mut permuted = |word: &dyn Fn(usize) -> u32| {
                let numbers = self.code.words(std::array::from_fn(word));
                let ins = [at.into(), numbers.into()];
                self.code.vector(Op::VEX_Vpermps_ymm_ymm_ymmm256, Fold::Each32, &ins)
            };
            let first = permuted(&bits);
            let to_second = permuted(&|k| bits(k) ^ bits(k + 8));
            let to_third = permuted(&|k| bits(k) ^ bits(k + 16));
            let to_last = permuted(&|k| bits(k) ^ bits(k + 8) ^ bits(k + 16) ^ bits(k + 24));
            [(to_second, second), (to_third, third), (to_last, last)].into_iter().fold(first, |number, (by, mask)| {
                let here = self.iand(by, mask);
                self.ixor(number, here)
            })
        })
    }
}

impl Ops for Vectors<'_> {
    type F = Reg;
    type I = Reg;
    type M = Reg;

    fn f(&mut self, x: f64) -> Reg {
        self.constant(if self.double { x.to_bits() } else { (x as f32).to_bits() as u64 })
    }
    fn i(&mut self, x: i64) -> Reg {
        self.constant(x as u64)
    }

    fn add(&mut self, a: Reg, b: Reg) -> Reg {
        let op = by_width!(self, EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er);
        self.two(op, a, b)
    }
    fn sub(&mut self, a: Reg, b: Reg) -> Reg {
        let op = by_width!(self, EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er);
        self.two(op, a, b)
    }
    fn mul(&mut self, a: Reg, b: Reg) -> Reg {
        let op = by_width!(self, EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er);
        self.two(op, a, b)
    }
    fn div(&mut self, a: Reg, b: Reg) -> Reg {
        let op = by_width!(self, EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er);
        self.two(op, a, b)
    }
    fn fma(&mut self, a: Reg, b: Reg, c: Reg) -> Reg {
        let out = self.code.fresh(Class::Vector);
        let ins: [Operand; 3] = [a.into(), b.into(), c.into()];
        let kind = Kind::MulAdd(MulAdd { double: self.double, minus_product: false, minus_sum: false });
        self.code.push(Inst { fold: self.fold(), ..Inst::new(kind, Some(out), &ins) });
        out
    }
    fn sqrt(&mut self, a: Reg) -> Reg {
        self.one(by_width!(self, EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er, EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er), a)
    }
    fn neg(&mut self, a: Reg) -> Reg {
        let sign = self.constant(if self.double { 1 << 63 } else { 1 << 31 });
        self.ixor(a, sign)
    }
    fn abs(&mut self, a: Reg) -> Reg {
        let rest = self.constant(if self.double { !(1 << 63) } else { !(1 << 31) });
        self.iand(a, rest)
    }
    fn floor(&mut self, a: Reg) -> Reg {
        self.rounded(a, DOWN)
    }
    fn ceil(&mut self, a: Reg) -> Reg {
        self.rounded(a, UP)
    }
    fn round(&mut self, a: Reg) -> Reg {
        self.rounded(a, TO_NEAREST)
    }

    fn lt(&mut self, a: Reg, b: Reg) -> Reg {
        self.compare(LESS, a, b)
    }
    fn le(&mut self, a: Reg, b: Reg) -> Reg {
        self.compare(LESS_OR_EQUAL, a, b)
    }
    fn eq(&mut self, a: Reg, b: Reg) -> Reg {
        self.compare(EQUAL, a, b)
    }
    fn select(&mut self, m: Reg, a: Reg, b: Reg) -> Reg {
        self.blend(m, a, b)
    }
    fn min(&mut self, a: Reg, b: Reg) -> Reg {
        self.two(by_width!(self, EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae, EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae), a, b)
    }
    fn max(&mut self, a: Reg, b: Reg) -> Reg {
        self.two(by_width!(self, EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae, EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae), a, b)
    }
    fn rarely(&mut self, m: Reg, usual: Reg, rare: impl FnOnce(&mut Self) -> Reg) -> Reg {
        let out = self.code.fresh(Class::Vector);
        self.code.copy(out, usual);
        let none = self.code.label();
        self.code.effect(Op::VEX_Kortestw_kr_kr, &[m.into(), m.into()], None);
        self.code.jump(Op::Je_rel32_64, none);
        let r = rare(self);
        let r = self.blend(m, r, out);
        self.code.copy(out, r);
        self.code.place(none);
        out
    }
    fn scale(&mut self, a: Reg, n: Reg) -> Option<Reg> {
        if self.code.set == Set::Avx2 {
            return None;
        }
        let op = by_width!(self, EVEX_Vscalefps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vscalefpd_zmm_k1z_zmm_zmmm512b64_er);
        Some(self.two(op, a, n))
    }

    fn row(&mut self, table: &'static Table, at: Reg) -> [Reg; 8] {
        if self.code.set == Set::Avx2 {
            return self.row_of_quarters(table, at);
        }
        let mut row = [at; 8];
        for (number, column) in row.iter_mut().zip(&table.columns) {
            let mut halves = column.chunks_exact(16).map(|half| {
                let mut bytes = [0; 64];
                bytes.chunks_exact_mut(4).zip(half).for_each(|(to, x)| to.copy_from_slice(&x.to_le_bytes()));
                self.code.constant(Constant::Vector(bytes))
            });
            let (Some(low), Some(high)) = (halves.next(), halves.next()) else {
                unreachable!("a column has 32 numbers")
            };
            // The places are overwritten by what is found there.
            *number = self.code.fresh(Class::Vector);
            self.code.copy(*number, at);
            let kind = Kind::Plain(Op::EVEX_Vpermi2ps_zmm_k1z_zmm_zmmm512b32);
            let inst = Inst::new(kind, Some(*number), &[low.into(), high.into()]);
            self.code.push(Inst { tied: true, fold: Fold::Each32, ..inst });
        }
        row
    }
    fn bits(&mut self, a: Reg) -> Reg {
        a
    }
    fn from_bits(&mut self, a: Reg) -> Reg {
        a
    }
    fn to_int(&mut self, a: Reg) -> Reg {
        if self.code.set == Set::Avx2 && self.double {
            let narrow = self.code.vector(Op::EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae, Fold::No, &[a.into()]);
            self.code.last().out = Some((narrow, Part::Half));
            let ins = [Operand::Reg(narrow, Part::Half)];
            return self.code.vector(Op::VEX_Vpmovsxdq_ymm_xmmm128, Fold::No, &ins);
        }
        self.one(by_width!(self, EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae, EVEX_Vcvttpd2qq_zmm_k1z_zmmm512b64_sae), a)
    }
    fn to_float(&mut self, a: Reg) -> Reg {
        if self.code.set == Set::Avx2 && self.double {
            let words = self.words(a);
            let ins = [Operand::Reg(words, Part::Half)];
            return self.code.vector(Op::EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er, Fold::No, &ins);
        }
        self.one(by_width!(self, EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er, EVEX_Vcvtqq2pd_zmm_k1z_zmmm512b64_er), a)
    }

    fn iadd(&mut self, a: Reg, b: Reg) -> Reg {
        self.either(by_width!(self, EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64), a, b)
    }
    fn isub(&mut self, a: Reg, b: Reg) -> Reg {
        self.two(by_width!(self, EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64), a, b)
    }
    fn iand(&mut self, a: Reg, b: Reg) -> Reg {
        self.either(by_width!(self, EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64), a, b)
    }
    fn ior(&mut self, a: Reg, b: Reg) -> Reg {
        self.either(by_width!(self, EVEX_Vpord_zmm_k1z_zmm_zmmm512b32, EVEX_Vporq_zmm_k1z_zmm_zmmm512b64), a, b)
    }
    fn ixor(&mut self, a: Reg, b: Reg) -> Reg {
        self.either(by_width!(self, EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64), a, b)
    }
    fn ishl(&mut self, a: Reg, by: u32) -> Reg {
        self.shifted(by_width!(self, EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8, EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8), a, by)
    }
    fn ishr(&mut self, a: Reg, by: u32) -> Reg {
        self.shifted(by_width!(self, EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8, EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8), a, by)
    }
    fn isar(&mut self, a: Reg, by: u32) -> Reg {
        if self.code.set == Set::Avx2 && self.double {
            let zero = self.code.each64(0);
            let sign = self.int_compare(INT_LESS, a, zero);
            let (low, high) = (self.ishr(a, by), self.ishl(sign, 64 - by));
            return self.ior(low, high);
        }
        self.shifted(by_width!(self, EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8, EVEX_Vpsraq_zmm_k1z_zmmm512b64_imm8), a, by)
    }
    fn ieq(&mut self, a: Reg, b: Reg) -> Reg {
        self.int_compare(INT_EQUAL, a, b)
    }
    fn ilt(&mut self, a: Reg, b: Reg) -> Reg {
        self.int_compare(INT_LESS, a, b)
    }
    fn iselect(&mut self, m: Reg, a: Reg, b: Reg) -> Reg {
        self.blend(m, a, b)
    }
    fn mand(&mut self, a: Reg, b: Reg) -> Reg {
        self.code.mask(Op::VEX_Kandw_kr_kr_kr, Fold::No, &[a.into(), b.into()], None)
    }
    fn mor(&mut self, a: Reg, b: Reg) -> Reg {
        self.code.mask(Op::VEX_Korw_kr_kr_kr, Fold::No, &[a.into(), b.into()], None)
    }
}
