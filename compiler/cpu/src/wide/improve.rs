//! Fewer instructions for the same values: what is computed twice is computed once, what a loop does not change is computed before it, and
//! pairs of instructions become one where the machine has it.
//!
//! All of this is about values that one instruction writes, once: they are the same wherever they are read.

use std::collections::HashMap;

use iced_x86::Code as Op;
use smallvec::SmallVec;

use super::code::{ARENA, Code, Constant, Extent, FRAME, Fold, Immediate, Inst, Kind, Label, Operand, Part, Reg};
use super::set::Set;

pub fn improve(code: &mut Code) {
    compute_once(code);
    join(code);
    code.clean();
    hoist(code);
}

/// How often each register is written.
fn writes(code: &Code) -> Vec<u32> {
    let mut writes = vec![0; code.regs.len()];
    code.insts.iter().filter_map(|i| i.out).for_each(|(r, _)| writes[r.0 as usize] += 1);
    writes
}

/// Whether the register holds the same whenever it is read.
fn settled(code: &Code, writes: &[u32], r: Reg) -> bool {
    writes[r.0 as usize] == 1 || r == ARENA || r == FRAME || code.regs[r.0 as usize].constant.is_some()
}

/// Whether the instruction computes its one result from settled registers and nothing else.
fn pure(code: &Code, writes: &[u32], inst: &Inst) -> bool {
    let computes = match inst.kind {
        Kind::Plain(op) => {
            let address = matches!(op, Op::Lea_r64_m);
            address || !inst.ins.iter().any(|o| matches!(o, Operand::Memory(_)))
        }
        Kind::MulAdd(_) | Kind::Logic { .. } => true,
        // A copy is there to be changed.
        Kind::Copy | Kind::Jump(..) | Kind::Place(_) | Kind::Nothing => false,
    };
    let out = inst.out.is_some_and(|(r, _)| writes[r.0 as usize] == 1);
    computes && out && !inst.tied && inst.reads().into_iter().all(|r| settled(code, writes, r))
}

type Same = (Kind, Part, SmallVec<[Operand; 3]>, Option<Reg>, bool, Option<Reg>, Option<Immediate>);

/// Takes the earlier result where an instruction is there again.
fn compute_once(code: &mut Code) {
    let writes = writes(code);
    let mut known: HashMap<Same, Reg> = HashMap::new();
    let mut instead: HashMap<Reg, Reg> = HashMap::new();
    // What is known only where a jump was not taken, by the jump's label.
    let mut jumped: Vec<(Label, Vec<Same>)> = Vec::new();
    let mut insts = std::mem::take(&mut code.insts);
    let mut placed: Vec<Label> = Vec::new();
    for inst in &mut insts {
        replace(inst, &instead);
        match inst.kind {
            Kind::Jump(_, label) if !placed.contains(&label) => jumped.push((label, Vec::new())),
            Kind::Place(label) => {
                placed.push(label);
                if let Some(k) = jumped.iter().position(|(l, _)| *l == label) {
                    jumped.drain(k..).flat_map(|(_, same)| same).for_each(|same| {
                        known.remove(&same);
                    });
                }
            }
            Kind::Plain(_) | Kind::MulAdd(_) | Kind::Logic { .. } | Kind::Copy | Kind::Jump(..) | Kind::Nothing => {}
        }
        let Some((out, part)) = inst.out.filter(|_| pure(code, &writes, inst)) else { continue };
        let same = (inst.kind, part, inst.ins.clone(), inst.mask, inst.zero, inst.merge, inst.immediate);
        match known.get(&same) {
            Some(&earlier) => {
                instead.insert(out, earlier);
                *inst = Inst::new(Kind::Nothing, None, &[]);
            }
            None => {
                if let Some((_, here)) = jumped.last_mut() {
                    here.push(same.clone());
                }
                known.insert(same, out);
            }
        }
    }
    code.insts = insts;
}

fn replace(inst: &mut Inst, instead: &HashMap<Reg, Reg>) {
    let new = |r: &mut Reg| {
        if let Some(other) = instead.get(r) {
            *r = *other;
        }
    };
    for operand in &mut inst.ins {
        match operand {
            Operand::Reg(r, _) => new(r),
            Operand::Memory(m) => {
                new(&mut m.base);
                m.index.iter_mut().for_each(new);
            }
        }
    }
    inst.mask.iter_mut().chain(&mut inst.merge).for_each(new);
}

/// Moves what a loop does not change before it, but for what it jumps over.
fn hoist(code: &mut Code) {
    // Loops are listed as they end, inner ones first.
    for which in 0..code.loops.len() {
        let Extent { from, to } = code.loops[which];
        let writes = writes(code);
        let detours = code.detours();
        let mut inside = vec![false; code.regs.len()];
        code.insts[from..=to].iter().filter_map(|i| i.out).for_each(|(r, _)| inside[r.0 as usize] = true);
        let mut moved = Vec::new();
        for at in from..=to {
            let inst = &code.insts[at];
            let may = pure(code, &writes, inst)
                && !inst.reads().into_iter().any(|r| inside[r.0 as usize])
                && !detours.iter().any(|d| (d.from..d.to).contains(&at) && d.from > from);
            if let Some((out, _)) = inst.out.filter(|_| may) {
                inside[out.0 as usize] = false;
                moved.push(std::mem::replace(&mut code.insts[at], Inst::new(Kind::Nothing, None, &[])));
            }
        }
        let by = moved.len();
        code.insts.splice(from..from, moved);
        for extent in &mut code.loops {
            if extent.from >= from {
                extent.from += by;
            }
            if extent.to >= from {
                extent.to += by;
            }
        }
    }
}

/// The definitions and uses of registers.
struct Uses {
    writes: Vec<u32>,
    reads: Vec<u32>,
    defined: Vec<Option<usize>>,
}

impl Uses {
    fn of(code: &Code) -> Uses {
        let mut reads = vec![0; code.regs.len()];
        let mut defined = vec![None; code.regs.len()];
        for (at, inst) in code.insts.iter().enumerate() {
            inst.reads().into_iter().for_each(|r| reads[r.0 as usize] += 1);
            if let Some((out, _)) = inst.out {
                defined[out.0 as usize] = Some(at);
            }
        }
        Uses { writes: writes(code), reads, defined }
    }

    /// The instruction that makes `r`, if it could as well stand where `r` is read.
    fn maker<'c>(&self, code: &'c Code, r: Reg) -> Option<&'c Inst> {
        let inst = &code.insts[self.defined[r.0 as usize]?];
        (pure(code, &self.writes, inst) && inst.mask.is_none()).then_some(inst)
    }

    /// An instruction is no longer: what only it read is for nothing.
    fn forget(&mut self, code: &mut Code, old: &Inst) {
        for r in old.reads() {
            let reads = &mut self.reads[r.0 as usize];
            *reads -= 1;
            let maker = self.defined[r.0 as usize].filter(|_| *reads == 0);
            if let Some(at) = maker
                && pure(code, &self.writes, &code.insts[at])
            {
                let maker = std::mem::replace(&mut code.insts[at], Inst::new(Kind::Nothing, None, &[]));
                self.forget(code, &maker);
            }
        }
    }

    /// The same if nothing else reads it than instruction `at`, which is in the same loops.
    fn own_maker<'c>(&self, code: &'c Code, at: usize, r: Reg) -> Option<&'c Inst> {
        let defined = self.defined[r.0 as usize]?;
        let holds = |extent: &Extent, k: usize| (extent.from..=extent.to).contains(&k);
        let together = code.loops.iter().all(|l| holds(l, at) == holds(l, defined));
        self.maker(code, r).filter(|_| together && self.reads[r.0 as usize] == 1)
    }
}

/// Makes one of two instructions, the later of which reads what the earlier makes.
fn join(code: &mut Code) {
    let mut uses = Uses::of(code);
    for at in 0..code.insts.len() {
        while let Some(new) = joined(code, &uses, at) {
            new.reads().into_iter().for_each(|r| uses.reads[r.0 as usize] += 1);
            let old = std::mem::replace(&mut code.insts[at], new);
            uses.forget(code, &old);
        }
    }
}

fn joined(code: &Code, uses: &Uses, at: usize) -> Option<Inst> {
    let inst = &code.insts[at];
    match inst.kind {
        Kind::MulAdd(_) => signs_into_product(code, uses, inst),
        // Its instructions have neither masks nor three operands of logic.
        Kind::Plain(_) if code.set == Set::Avx2 => None,
        Kind::Plain(op) => match op {
            Op::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32 => choice_into_mask(code, uses, at, inst, 32),
            Op::EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64 => choice_into_mask(code, uses, at, inst, 64),
            Op::VEX_Kandw_kr_kr_kr => conjunction_into_mask(code, uses, at, inst),
            Op::VEX_Knotw_kr_kr => opposite(code, uses, at, inst),
            _ => three_way_logic(code, uses, at, inst),
        },
        Kind::Logic { .. } | Kind::Copy | Kind::Jump(..) | Kind::Place(_) | Kind::Nothing => None,
    }
}

fn register(operand: &Operand) -> Option<Reg> {
    match operand {
        Operand::Reg(r, Part::Whole) => Some(*r),
        Operand::Reg(..) | Operand::Memory(_) => None,
    }
}

fn is_constant(code: &Code, r: Reg, which: Constant) -> bool {
    code.regs[r.0 as usize].constant == Some(which)
}

/// A product of a number's opposite is another instruction.
fn signs_into_product(code: &Code, uses: &Uses, inst: &Inst) -> Option<Inst> {
    let Kind::MulAdd(mut kind) = inst.kind else { return None };
    if inst.merge.is_some() {
        return None;
    }
    let sign = if kind.double { Constant::Each64(1 << 63) } else { Constant::Each32(1 << 31) };
    let xor = if kind.double { Op::EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64 } else { Op::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32 };
    for (k, operand) in inst.ins.iter().enumerate() {
        let Some(maker) = uses.maker(code, register(operand)?).filter(|m| m.kind == Kind::Plain(xor)) else { continue };
        let (Some(a), Some(b)) = (register(&maker.ins[0]), register(&maker.ins[1])) else { continue };
        let of = if is_constant(code, b, sign.clone()) {
            a
        } else if is_constant(code, a, sign.clone()) {
            b
        } else {
            continue;
        };
        let turned = if k == 2 { &mut kind.minus_sum } else { &mut kind.minus_product };
        *turned = !*turned;
        let mut new = Inst { kind: Kind::MulAdd(kind), ..inst.clone() };
        new.ins[k] = of.into();
        return Some(new);
    }
    None
}

/// The table of an operation on bits, of `a` and `b` that are tables themselves, and the width of its elements.
fn table(op: Op, a: u8, b: u8) -> Option<(u8, Fold)> {
    Some(match op {
        Op::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32 => (a & b, Fold::Each32),
        Op::EVEX_Vpord_zmm_k1z_zmm_zmmm512b32 => (a | b, Fold::Each32),
        Op::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32 => (a ^ b, Fold::Each32),
        Op::EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64 => (a & b, Fold::Each64),
        Op::EVEX_Vporq_zmm_k1z_zmm_zmmm512b64 => (a | b, Fold::Each64),
        Op::EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64 => (a ^ b, Fold::Each64),
        _ => return None,
    })
}

/// Two operations on bits are one of three operands.
fn three_way_logic(code: &Code, uses: &Uses, at: usize, inst: &Inst) -> Option<Inst> {
    const TABLES: [u8; 3] = [0xf0, 0xcc, 0xaa];
    let Kind::Plain(outer) = inst.kind else { return None };
    table(outer, 0, 0)?;
    if inst.mask.is_some() {
        return None;
    }
    let operands = [register(&inst.ins[0])?, register(&inst.ins[1])?];
    [0, 1].into_iter().find_map(|k| {
        let inner = uses.own_maker(code, at, operands[k])?;
        let Kind::Plain(op) = inner.kind else { return None };
        let (inside, _) = table(op, TABLES[0], TABLES[1])?;
        let (table, fold) = table(outer, inside, TABLES[2])?;
        let ins = [inner.ins[0], inner.ins[1], operands[1 - k].into()];
        Some(Inst { fold, out: inst.out, ..Inst::new(Kind::Logic { table }, None, &ins) })
    })
}

/// Bits of the elements that the lanes of an instruction's mask stand for, where it may have one.
fn maskable(kind: Kind) -> Option<usize> {
    let op = match kind {
        Kind::Plain(op) => op,
        Kind::MulAdd(kind) => return Some(if kind.double { 64 } else { 32 }),
        Kind::Logic { .. } | Kind::Copy | Kind::Jump(..) | Kind::Place(_) | Kind::Nothing => return None,
    };
    match op {
        Op::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er
        | Op::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er
        | Op::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er
        | Op::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er
        | Op::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae
        | Op::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae
        | Op::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er
        | Op::EVEX_Vscalefps_zmm_k1z_zmm_zmmm512b32_er
        | Op::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32
        | Op::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32
        | Op::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32
        | Op::EVEX_Vpord_zmm_k1z_zmm_zmmm512b32
        | Op::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32
        | Op::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32 => Some(32),
        Op::EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er
        | Op::EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er
        | Op::EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er
        | Op::EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er
        | Op::EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae
        | Op::EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae
        | Op::EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er
        | Op::EVEX_Vscalefpd_zmm_k1z_zmm_zmmm512b64_er => Some(64),
        _ => None,
    }
}

/// A choice between a result and something else is that result's instruction under a mask.
fn choice_into_mask(code: &Code, uses: &Uses, at: usize, inst: &Inst, bits: usize) -> Option<Inst> {
    let (other, chosen) = (register(&inst.ins[0])?, register(&inst.ins[1])?);
    let maker = uses.own_maker(code, at, chosen).filter(|m| maskable(m.kind) == Some(bits))?;
    let new = Inst { out: inst.out, mask: inst.mask, ..maker.clone() };
    if is_constant(code, other, Constant::Each32(0)) || is_constant(code, other, Constant::Each64(0)) {
        return Some(Inst { zero: true, ..new });
    }
    if matches!(maker.kind, Kind::MulAdd(_)) && !maker.ins.iter().any(|o| register(o) == Some(other)) {
        return None;
    }
    // Its registers are to hold until the whole instruction is done: a value that changes may be in the result's place.
    Some(Inst { merge: Some(other), ..new })
}

fn is_comparison(inst: &Inst) -> bool {
    matches!(
        inst.kind,
        Kind::Plain(
            Op::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae
                | Op::EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8
                | Op::EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8
        )
    )
}

/// What holds with another mask is compared under that.
fn conjunction_into_mask(code: &Code, uses: &Uses, at: usize, inst: &Inst) -> Option<Inst> {
    let masks = [register(&inst.ins[0])?, register(&inst.ins[1])?];
    [1, 0].into_iter().find_map(|k| {
        let maker = uses.own_maker(code, at, masks[k]).filter(|m| is_comparison(m))?;
        Some(Inst { out: inst.out, mask: Some(masks[1 - k]), ..maker.clone() })
    })
}

/// What does not hold: comparisons have opposites.
fn opposite(code: &Code, uses: &Uses, at: usize, inst: &Inst) -> Option<Inst> {
    let maker = uses.own_maker(code, at, register(&inst.ins[0])?).filter(|m| is_comparison(m))?;
    let Some(Immediate::Byte(predicate)) = maker.immediate else { return None };
    Some(Inst { out: inst.out, immediate: Some(Immediate::Byte(predicate ^ 4)), ..maker.clone() })
}
