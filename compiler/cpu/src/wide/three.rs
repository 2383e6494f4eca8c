//! Instructions of three operands, one of which is where the result goes: which one depends on the registers.

use iced_x86::Code as Op;

use super::allocate::Place;
use super::code::{Fold, Immediate, Inst, MulAdd, Operand, Part, Reg};
use super::encode::{Emitter, Final, Scratch, failed};
use crate::CpuError;

impl Emitter<'_> {
    /// `out = a * b + c`: 213 (out = b * out + c) or 231 (out = a * b + out) by what `out` holds already.
    pub fn mul_add(&mut self, inst: &Inst, kind: MulAdd) -> Result<(), CpuError> {
        let (Some((out, _)), [Operand::Reg(a, _), Operand::Reg(b, _), Operand::Reg(c, _)]) = (inst.out, &inst.ins[..])
        else {
            return Err(failed("a product and sum of something else"));
        };
        let (op213, op231) = products(kind);
        let fold = if kind.double { Fold::Each64 } else { Fold::Each32 };
        let n = self.out(out, false)?;
        if let Some(merge) = inst.merge {
            self.load_into(merge, n)?;
        }
        let is = |this: &Self, r: Reg| inst.merge == Some(r) || this.place(r) == Place::Register(n);
        // Of the three, one is in `out` (or goes there), one in a register, one anywhere.
        let (op, register, anywhere) = if is(self, *c) {
            let in_memory = |r: Reg| !matches!(self.place(r), Place::Register(_));
            if in_memory(*a) { (op231, *b, *a) } else { (op231, *a, *b) }
        } else if is(self, *a) {
            (op213, *b, *c)
        } else if is(self, *b) {
            (op213, *a, *c)
        } else {
            // What is not in a register already is loaded to `out` at the cost of the copy.
            let in_register = |r: Reg| matches!(self.place(r), Place::Register(_));
            let (first, second) = if in_register(*a) && !in_register(*b) { (*b, *a) } else { (*a, *b) };
            self.load_into(first, n)?;
            (op213, second, *c)
        };
        self.three(op, n, register, anywhere, fold, inst, None)?;
        self.keep(out, n)
    }

    /// `vpternlog`, whose first operand is the result: the table is turned to the order that suits the registers.
    pub fn logic(&mut self, inst: &Inst, table: u8) -> Result<(), CpuError> {
        let (Some((out, _)), [Operand::Reg(a, _), Operand::Reg(b, _), Operand::Reg(c, _)]) = (inst.out, &inst.ins[..])
        else {
            return Err(failed("logic of something else"));
        };
        let operands = [*a, *b, *c];
        let n = self.out(out, false)?;
        let in_register = operands.map(|r| matches!(self.place(r), Place::Register(_)));
        let here = operands.iter().position(|r| self.place(*r) == Place::Register(n));
        let first = match here {
            Some(k) => k,
            None => {
                let k = in_register.iter().position(|r| *r).unwrap_or(0);
                self.load_into(operands[k], n)?;
                k
            }
        };
        let others = [(first + 1) % 3, (first + 2) % 3];
        let [second, third] = if in_register[others[0]] { others } else { [others[1], others[0]] };
        // Bit `k` of the new table is that of the old one's number with the operands where they were.
        let turned = (0..8u8)
            .filter(|k| {
                let bit = |place: usize| (k >> (2 - place)) & 1;
                let number = bit(0) << (2 - first) | bit(1) << (2 - second) | bit(2) << (2 - third);
                table >> number & 1 == 1
            })
            .fold(0, |all, k| all | 1 << k);
        let op = if inst.fold == Fold::Each64 {
            Op::EVEX_Vpternlogq_zmm_k1z_zmm_zmmm512b64_imm8
        } else {
            Op::EVEX_Vpternlogd_zmm_k1z_zmm_zmmm512b32_imm8
        };
        let immediate = Some(Immediate::Byte(turned));
        self.three(op, n, operands[second], operands[third], inst.fold, inst, immediate)?;
        self.keep(out, n)
    }

    /// An instruction on the vector `n`, a register, and a register or memory.
    #[allow(clippy::too_many_arguments)]
    fn three(
        &mut self,
        op: Op,
        n: u8,
        register: Reg,
        anywhere: Reg,
        fold: Fold,
        inst: &Inst,
        immediate: Option<Immediate>,
    ) -> Result<(), CpuError> {
        let mut scratch = Scratch::default();
        let register = self.loaded(register, Part::Whole, &mut scratch)?;
        let (last, each) = match self.folded(anywhere, fold) {
            Some(folded) => folded,
            None => (Final::Register(self.loaded(anywhere, Part::Whole, &mut scratch)?), false),
        };
        let mask = match inst.mask {
            Some(mask) => Some(self.loaded(mask, Part::Whole, &mut scratch)?),
            None => None,
        };
        let operands = [Final::Register(self.vector(n, Part::Whole)), Final::Register(register), last];
        self.full(op, &operands, immediate, mask, inst.zero, each)
    }
}

/// The instructions for `out = out * second + third` and `out = second * third + out`.
fn products(kind: MulAdd) -> (Op, Op) {
    match (kind.double, kind.minus_product, kind.minus_sum) {
        (false, false, false) => {
            (Op::EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er, Op::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er)
        }
        (false, false, true) => {
            (Op::EVEX_Vfmsub213ps_zmm_k1z_zmm_zmmm512b32_er, Op::EVEX_Vfmsub231ps_zmm_k1z_zmm_zmmm512b32_er)
        }
        (false, true, false) => {
            (Op::EVEX_Vfnmadd213ps_zmm_k1z_zmm_zmmm512b32_er, Op::EVEX_Vfnmadd231ps_zmm_k1z_zmm_zmmm512b32_er)
        }
        (false, true, true) => {
            (Op::EVEX_Vfnmsub213ps_zmm_k1z_zmm_zmmm512b32_er, Op::EVEX_Vfnmsub231ps_zmm_k1z_zmm_zmmm512b32_er)
        }
        (true, false, false) => {
            (Op::EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er, Op::EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er)
        }
        (true, false, true) => {
            (Op::EVEX_Vfmsub213pd_zmm_k1z_zmm_zmmm512b64_er, Op::EVEX_Vfmsub231pd_zmm_k1z_zmm_zmmm512b64_er)
        }
        (true, true, false) => {
            (Op::EVEX_Vfnmadd213pd_zmm_k1z_zmm_zmmm512b64_er, Op::EVEX_Vfnmadd231pd_zmm_k1z_zmm_zmmm512b64_er)
        }
        (true, true, true) => {
            (Op::EVEX_Vfnmsub213pd_zmm_k1z_zmm_zmmm512b64_er, Op::EVEX_Vfnmsub231pd_zmm_k1z_zmm_zmmm512b64_er)
        }
    }
}
