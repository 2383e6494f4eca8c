//! Registers that may be read before they are written.
//!
//! Where every way to a read passes a write, nothing is checked at run time. Other registers keep a mask of the lanes
//! that have written them, by instructions that stand before those that read and write them.

use super::Vreg;
use super::flow::{blocks, registers};
use super::operands::Role;
use crate::emulator::code::*;

/// Adds checks to a kernel for the registers that need them.
pub fn check(code: &mut Code, vregs: &[Vreg], names: &[String]) {
    let uses = registers(code);
    let blocks = blocks(&code.insts);
    let words = vregs.len().div_ceil(64);
    let mut entry = vec![0u64; words];
    for (i, vreg) in vregs.iter().enumerate() {
        // Immediates have their value from the start; registers without a name are written where they are made.
        if vreg.constant || names[i].is_empty() {
            entry[i / 64] |= 1 << (i % 64);
        }
    }
    // What is written on every way to a block. At first everything, but for the entry.
    let mut before = vec![vec![u64::MAX; words]; blocks.len()];
    before[0] = entry;
    let mut work: Vec<usize> = vec![0];
    let mut seen = vec![false; blocks.len()];
    while let Some(b) = work.pop() {
        seen[b] = true;
        let mut now = before[b].clone();
        let range = blocks[b].start..blocks[b].end;
        code.insts[range.clone()].iter().zip(&uses[range]).for_each(|(inst, uses)| write(inst, uses, &mut now));
        for &next in &blocks[b].next {
            let mut changed = !seen[next];
            for (to, from) in before[next].iter_mut().zip(&now) {
                changed |= *to & !from != 0;
                *to &= from;
            }
            if changed && !work.contains(&next) {
                work.push(next);
            }
        }
    }
    let mut doubtful = vec![NONE; vregs.len()];
    for (b, block) in blocks.iter().enumerate().filter(|(b, _)| seen[*b]) {
        let mut now = before[b].clone();
        let range = block.start..block.end;
        for (inst, uses) in code.insts[range.clone()].iter().zip(&uses[range]) {
            for (reg, role) in uses {
                if *role == Role::Read && now[*reg as usize / 64] >> (reg % 64) & 1 == 0 {
                    doubtful[*reg as usize] = 0;
                }
            }
            write(inst, uses, &mut now);
        }
    }
    for (i, place) in doubtful.iter_mut().enumerate().filter(|(_, place)| **place == 0) {
        *place = code.doubtful.len() as u32;
        code.doubtful.push(names[i].clone());
    }
    if !code.doubtful.is_empty() {
        insert(code, &uses, &doubtful);
    }
}

fn write(inst: &Inst, uses: &[(u32, Role)], now: &mut [u64]) {
    // Where a guard does not hold nothing is written.
    if inst.guard == NONE {
        for (reg, _) in uses.iter().filter(|(_, role)| *role == Role::Write) {
            now[*reg as usize / 64] |= 1 << (reg % 64);
        }
    }
}

/// Puts the checks in. All jumps move along.
fn insert(code: &mut Code, uses: &[Vec<(u32, Role)>], doubtful: &[u32]) {
    let (mut insts, mut lines, mut locs, mut moved) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (i, inst) in code.insts.iter().enumerate() {
        moved.push(insts.len() as u32);
        let mut put = |inst: Inst| {
            insts.push(inst);
            lines.push(code.lines[i]);
            locs.push(code.locs[i]);
        };
        for role in [Role::Read, Role::Write] {
            for (n, (reg, _)) in uses[i].iter().enumerate().filter(|(_, (_, found))| *found == role) {
                let place = doubtful[*reg as usize];
                if place == NONE {
                    continue;
                }
                let op = if role == Role::Read { Op::NeedsDefined(place) } else { Op::Defines(place) };
                // The guard itself is read in all lanes.
                let guard = n == 0 && inst.guard == *reg;
                put(Inst { guard: if guard { NONE } else { inst.guard }, negated: inst.negated, op });
            }
        }
        put(*inst);
    }
    moved.push(insts.len() as u32);
    for inst in &mut insts {
        if let Op::Jump(to) = &mut inst.op {
            *to = moved[*to as usize];
        }
    }
    (code.insts, code.lines, code.locs) = (insts, lines, locs);
}
