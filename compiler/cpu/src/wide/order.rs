//! The order of instructions between jumps: long chains begin early, and independent ones stand between each other.
//!
//! A core runs ahead of an instruction that waits, but only by about a hundred others that wait too: two chains one behind the other are no
//! longer two chains. This is list scheduling (Gibbons and Muchnick, "Efficient instruction scheduling for a pipelined architecture", 1986) by
//! what is left of the longest chain, and by the registers that are free.

use std::ops::Range;

use iced_x86::Code as Op;
use smallvec::SmallVec;

use super::code::{Class, Code, Inst, Kind, Memory, Operand, Reg};
use super::set::Set;

/// Masks that may live at once, before it is looked at that there are fewer.
const MASKS: i32 = 3;

/// Vectors that may, and how many of them are left to constants.
fn vectors(set: Set) -> (i32, i32) {
    match set {
        Set::Avx512 => (28, 18),
        Set::Avx2 => (12, 4),
    }
}

pub fn order(code: &mut Code) {
    let mut uses = vec![0; code.regs.len()];
    count_uses(&code.insts, &mut uses);
    for region in regions(code) {
        let units = units(code, region.clone());
        if units.len() > 3 {
            let order = Region::of(code, &units, &uses).scheduled();
            let mut new: Vec<Inst> = order.iter().flat_map(|k| code.insts[units[*k].clone()].to_vec()).collect();
            new.resize(region.len(), Inst::new(Kind::Nothing, None, &[]));
            code.insts.splice(region, new);
        }
    }
}

/// How often each register is read or written.
fn count_uses(insts: &[Inst], uses: &mut [u32]) {
    for inst in insts {
        let all = inst.reads().into_iter().chain(inst.out.map(|(r, _)| r));
        all.for_each(|r| uses[r.0 as usize] += 1);
    }
}

/// Stretches without loops' ends and beginnings.
fn regions(code: &Code) -> Vec<Range<usize>> {
    let mut ends: Vec<usize> = code.loops.iter().flat_map(|l| [l.from, l.to]).collect();
    // A detour with loops in it is no unit: its question, its jump and its place stay where they are.
    for detour in code.detours() {
        if code.loops.iter().any(|l| (detour.from..detour.to).contains(&l.from)) {
            let question = (0..detour.from - 1).rev().find(|at| !matches!(code.insts[*at].kind, Kind::Nothing));
            ends.extend(question.into_iter().chain([detour.from - 1, detour.to]));
        }
    }
    ends.push(code.insts.len());
    ends.sort_unstable();
    ends.dedup();
    let starts = std::iter::once(0).chain(ends.iter().map(|e| e + 1));
    starts.zip(&ends).map(|(from, to)| from..*to).filter(|r| !r.is_empty()).collect()
}

/// What moves as one: an instruction, or a detour with its question and jump.
fn units(code: &Code, region: Range<usize>) -> Vec<Range<usize>> {
    let detours = code.detours();
    let mut units: Vec<Range<usize>> = Vec::new();
    let mut at = region.start;
    while at < region.end {
        let unit = match (code.insts[at].kind, detours.iter().find(|d| d.from == at + 1)) {
            (Kind::Nothing, _) => {
                at += 1;
                continue;
            }
            (Kind::Jump(..), Some(detour)) => {
                let question = units.pop().unwrap_or(at..at);
                question.start..detour.to + 1
            }
            _ => at..at + 1,
        };
        at = unit.end;
        units.push(unit);
    }
    units
}

/// The instructions of a unit as one.
#[derive(Default)]
struct Unit {
    reads: Vec<Reg>,
    writes: Vec<Reg>,
    loads: SmallVec<[Memory; 1]>,
    stores: SmallVec<[Memory; 1]>,
    /// Reads or writes the flags, or jumps.
    in_order: bool,
    latency: u32,
}

fn unit(code: &Code, insts: &[Inst]) -> Unit {
    let mut all = Unit { in_order: insts.len() > 1, ..Unit::default() };
    for inst in insts {
        all.reads.extend(inst.reads());
        all.writes.extend(inst.out.map(|(r, _)| r));
        let memory = inst.ins.iter().find_map(|o| match o {
            Operand::Memory(m) => Some(m),
            Operand::Reg(..) => None,
        });
        let address = matches!(inst.kind, Kind::Plain(Op::Lea_r64_m));
        if let Some(memory) = memory.filter(|_| !address) {
            let places = memory.index.is_some_and(|i| code.class(i) == Class::Vector);
            // Gathers and scatters take bits from their mask until there is none.
            all.writes.extend(inst.mask.filter(|_| places));
            if inst.out.is_some() { all.loads.push(*memory) } else { all.stores.push(*memory) }
        }
        let class = inst.out.map(|(r, _)| code.class(r));
        let moves = matches!(
            inst.kind,
            Kind::Plain(
                Op::Lea_r64_m | Op::Mov_r64_imm64 | Op::Movsxd_r64_rm32 | Op::Movzx_r32_rm8 | Op::Movzx_r32_rm16
            )
        );
        all.in_order |= match class {
            Some(Class::General) => !moves,
            Some(Class::Vector | Class::Mask) => false,
            None => memory.is_none(),
        };
        // What a detour takes is seldom waited for.
        all.latency = if insts.len() > 1 { 1 } else { latency(inst, memory.is_some()) };
    }
    all
}

/// Of Intel's cores since Ice Lake, about: <https://uops.info>.
fn latency(inst: &Inst, memory: bool) -> u32 {
    let op = match inst.kind {
        Kind::Plain(op) => op,
        Kind::MulAdd(_) => return 4,
        Kind::Logic { .. } | Kind::Copy => return 1,
        Kind::Jump(..) | Kind::Place(_) | Kind::Nothing => return 0,
    };
    match op {
        Op::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er => 18,
        Op::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er => 20,
        Op::EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er => 24,
        Op::EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er => 32,
        Op::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32 => 10,
        Op::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32
        | Op::EVEX_Vpord_zmm_k1z_zmm_zmmm512b32
        | Op::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32
        | Op::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32
        | Op::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32
        | Op::EVEX_Vprold_zmm_k1z_zmmm512b32_imm8
        | Op::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32
        | Op::EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8
        | Op::EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8 => 1,
        _ if memory => 7,
        _ => 4,
    }
}

/// Units and what they wait for.
struct Region<'c> {
    code: &'c Code,
    units: Vec<Unit>,
    /// Who waits for each, and how long from its beginning.
    after: Vec<Vec<(usize, u32)>>,
    waits_for: Vec<u32>,
    /// From the beginning of each to the end of all.
    height: Vec<u32>,
    /// Whether a register is read outside, or was written there.
    outside: Vec<bool>,
}

impl<'c> Region<'c> {
    /// `uses` are those of the whole code.
    fn of(code: &'c Code, ranges: &[Range<usize>], uses: &[u32]) -> Region<'c> {
        let units: Vec<Unit> = ranges.iter().map(|r| unit(code, &code.insts[r.clone()])).collect();
        let n = units.len();
        let mut region = Region {
            code,
            after: vec![Vec::new(); n],
            waits_for: vec![0; n],
            height: vec![0; n],
            outside: vec![false; code.regs.len()],
            units,
        };
        region.find_waits();
        for k in (0..n).rev() {
            let longest = region.after[k].iter().map(|(other, wait)| wait + region.height[*other]).max();
            region.height[k] = longest.unwrap_or(0).max(region.units[k].latency);
        }
        let mut own = vec![0; uses.len()];
        ranges.iter().for_each(|r| count_uses(&code.insts[r.clone()], &mut own));
        region.outside = uses.iter().zip(&own).map(|(all, own)| all > own).collect();
        region
    }

    /// Whether two accesses may be to the same bytes. Neighbours in the same turn of the loops are not.
    fn may_meet(&self, a: &Memory, b: &Memory) -> bool {
        let places = a.index.is_some_and(|i| self.code.class(i) == Class::Vector);
        let same = a.base == b.base && a.index == b.index && a.scale == b.scale;
        places || !same || (a.bytes.abs_diff(b.bytes) as usize) < self.code.set.bytes()
    }

    fn wait(&mut self, first: usize, then: usize, how_long: u32) {
        if first != then {
            self.after[first].push((then, how_long));
            self.waits_for[then] += 1;
        }
    }

    fn find_waits(&mut self) {
        let mut written: Vec<Option<usize>> = vec![None; self.code.regs.len()];
        let mut read: Vec<SmallVec<[usize; 4]>> = vec![SmallVec::new(); self.code.regs.len()];
        let mut ordered: Option<usize> = None;
        let (mut loading, mut storing): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        for k in 0..self.units.len() {
            let latency = |this: &Self, k: usize| this.units[k].latency;
            for r in std::mem::take(&mut self.units[k].reads) {
                if let Some(w) = written[r.0 as usize] {
                    self.wait(w, k, latency(self, w));
                }
                read[r.0 as usize].push(k);
                self.units[k].reads.push(r);
            }
            for r in self.units[k].writes.clone() {
                if let Some(w) = written[r.0 as usize] {
                    self.wait(w, k, 0);
                }
                std::mem::take(&mut read[r.0 as usize]).into_iter().for_each(|other| self.wait(other, k, 0));
                written[r.0 as usize] = Some(k);
            }
            let meet = |a: &[Memory], b: &[Memory]| a.iter().any(|x| b.iter().any(|y| self.may_meet(x, y)));
            let this = &self.units[k];
            let mut before: Vec<usize> = Vec::new();
            if !this.stores.is_empty() {
                before.extend(loading.iter().filter(|other| meet(&this.stores, &self.units[**other].loads)));
            }
            let either = |other: &&usize| {
                let stores = &self.units[**other].stores;
                meet(&this.stores, stores) || meet(&this.loads, stores)
            };
            before.extend(storing.iter().filter(either));
            if !this.loads.is_empty() {
                loading.push(k);
            }
            if !this.stores.is_empty() {
                storing.push(k);
            }
            before.into_iter().for_each(|other| self.wait(other, k, 0));
            if self.units[k].in_order {
                if let Some(other) = ordered {
                    self.wait(other, k, 0);
                }
                ordered = Some(k);
            }
        }
    }

    /// Which of the limits the register counts for.
    fn kind(&self, r: Reg) -> Option<usize> {
        let constant = self.code.regs[r.0 as usize].constant.is_some();
        match self.code.class(r) {
            Class::Vector => Some(0),
            Class::Mask => Some(1),
            Class::General => None,
        }
        .filter(|_| !constant)
    }

    /// How many registers of a kind are given back and taken by a unit, `left` reads of each being to come.
    fn takes(&self, k: usize, kind: usize, left: &[u32], lives: &[bool]) -> i32 {
        let unit = &self.units[k];
        let here = |r: &Reg| unit.reads.iter().filter(|other| *other == r).count() as u32;
        let mut all: SmallVec<[Reg; 8]> = unit.reads.iter().chain(&unit.writes).copied().collect();
        all.sort_unstable();
        all.dedup();
        let takes = |r: &Reg| {
            let i = r.0 as usize;
            match (lives[i], left[i] > here(r)) {
                (true, false) if !self.outside[i] => -1,
                (false, true) => 1,
                _ => 0,
            }
        };
        all.iter().filter(|r| self.kind(**r) == Some(kind)).map(takes).sum()
    }

    /// The numbers of the units in their new order.
    fn scheduled(mut self) -> Vec<usize> {
        let n = self.units.len();
        let mut left = vec![0u32; self.code.regs.len()];
        self.units.iter().flat_map(|u| &u.reads).for_each(|r| left[r.0 as usize] += 1);
        let mut lives: Vec<bool> = (0..left.len()).map(|r| self.outside[r] && left[r] > 0).collect();
        let through = [0, 1].map(|kind| {
            let of_kind = |r: &usize| lives[*r] && self.kind(Reg(*r as u32)) == Some(kind);
            (0..lives.len()).filter(of_kind).count() as i32
        });
        let mut living = through;
        let mut constants: Vec<Reg> = self.units.iter().flat_map(|u| u.reads.clone()).collect();
        constants.retain(|r| self.code.class(*r) == Class::Vector && self.code.regs[r.0 as usize].constant.is_some());
        constants.sort_unstable();
        constants.dedup();
        let (vectors, most_constants) = vectors(self.code.set);
        let constants = (constants.len() as i32).min(most_constants);
        let limits = [(vectors - constants).max(through[0] + 6), MASKS.max(through[1] + 2)];
        let mut ready: Vec<usize> = (0..n).filter(|k| self.waits_for[*k] == 0).collect();
        let mut order = Vec::with_capacity(n);
        while !ready.is_empty() {
            let tight = [0, 1].map(|kind| living[kind] >= limits[kind]);
            let worth = |k: &usize| {
                let pressure = [0, 1].map(|kind| if tight[kind] { self.takes(*k, kind, &left, &lives) } else { 0 });
                // A store is in nobody's way.
                let store = !self.units[*k].stores.is_empty();
                (pressure[0] + pressure[1], !store, std::cmp::Reverse(self.height[*k]), *k)
            };
            let best = (0..ready.len()).min_by_key(|i| worth(&ready[*i])).unwrap_or(0);
            let k = ready.swap_remove(best);
            for kind in [0, 1] {
                living[kind] += self.takes(k, kind, &left, &lives);
            }
            for r in std::mem::take(&mut self.units[k].reads) {
                left[r.0 as usize] -= 1;
                lives[r.0 as usize] &= left[r.0 as usize] > 0 || self.outside[r.0 as usize];
            }
            for r in std::mem::take(&mut self.units[k].writes) {
                lives[r.0 as usize] |= left[r.0 as usize] > 0;
            }
            for (other, _) in std::mem::take(&mut self.after[k]) {
                self.waits_for[other] -= 1;
                if self.waits_for[other] == 0 {
                    ready.push(other);
                }
            }
            order.push(k);
        }
        order
    }
}
