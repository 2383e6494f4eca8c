//! Places for registers.
//!
//! PTX has as many registers as its author likes, and a slot for each would be megabytes a warp, which no cache holds. So
//! registers share slots where they are not live together: a register's interval, in the order of the instructions, is
//! all of every block in which it is live, and intervals that do not meet may have one slot. A register that is written
//! by an instruction shares with none that it reads, since not every operation reads all lanes before it writes.

use super::Vreg;
use super::flow::{Block, blocks, registers};
use super::operands::{Role, Tables, visit};
use crate::emulator::code::*;
use crate::emulator::ptx::Type;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Replaces the numbers of registers by slots and predicates.
pub fn assign(code: &mut Code, vregs: &[Vreg]) {
    let places = places(code, vregs);
    let mut tables = Tables {
        accesses: &mut code.accesses,
        copies: &mut code.copies,
        shuffles: &mut code.shuffles,
        mmas: &mut code.mmas,
    };
    for inst in &mut code.insts {
        visit(inst, &mut tables, &mut |reg, _, _| *reg = places[*reg as usize]);
    }
    for (slot, ..) in &mut code.constants {
        *slot = places[*slot as usize];
    }
}

/// What registers have in common that may share a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Pred,
    Narrow,
    Wide,
}

fn places(code: &mut Code, vregs: &[Vreg]) -> Vec<u32> {
    let intervals = intervals(code, vregs.len());
    // What no instruction reads (how long to sleep) has no place.
    code.constants.retain(|(reg, ..)| intervals[*reg as usize].is_some());
    let mut order: Vec<usize> = (0..vregs.len()).filter(|reg| intervals[*reg].is_some()).collect();
    order.sort_by_key(|reg| intervals[*reg]);
    let mut places = vec![0; vregs.len()];
    for sort in [Sort::Pred, Sort::Narrow, Sort::Wide] {
        // Places in use, by the end of the interval; and free ones.
        let (mut used, mut free) = (BinaryHeap::new(), Vec::new());
        for &reg in &order {
            let this = match vregs[reg].ty {
                Type::Pred => Sort::Pred,
                _ if vregs[reg].wide() => Sort::Wide,
                _ => Sort::Narrow,
            };
            let Some((start, end)) = intervals[reg].filter(|_| this == sort) else { continue };
            while let Some(Reverse((over, place))) = used.peek().copied()
                && over < start
            {
                used.pop();
                free.push(place);
            }
            // Constants are there from the start, so that they have places of their own.
            let again = if vregs[reg].constant { None } else { free.pop() };
            let place = again.unwrap_or_else(|| {
                let (counter, size) = match sort {
                    Sort::Pred => (&mut code.preds, 1),
                    Sort::Narrow => (&mut code.slots, 1),
                    Sort::Wide => (&mut code.slots, 2),
                };
                *counter += size;
                *counter - size
            });
            places[reg] = place;
            if !vregs[reg].constant {
                used.push(Reverse((end, place)));
            }
        }
    }
    places
}

/// From where to where, in the order of the instructions, each register is live. Those that are never used have none.
fn intervals(code: &mut Code, registers_in_all: usize) -> Vec<Option<(usize, usize)>> {
    let uses = registers(code);
    let blocks = blocks(&code.insts);
    let live = live(code, &uses, &blocks, registers_in_all);
    let mut out: Vec<Option<(usize, usize)>> = vec![None; registers_in_all];
    let mut extend = |reg: usize, at: usize| {
        let (start, end) = out[reg].unwrap_or((at, at));
        out[reg] = Some((start.min(at), end.max(at)));
    };
    for (i, uses) in uses.iter().enumerate() {
        uses.iter().for_each(|(reg, _)| extend(*reg as usize, i));
    }
    for (block, (before, after)) in blocks.iter().zip(&live) {
        set_bits(before, |reg| extend(reg, block.start));
        set_bits(after, |reg| extend(reg, block.end - 1));
    }
    out
}

fn set_bits(words: &[u64], mut f: impl FnMut(usize)) {
    for (i, word) in words.iter().enumerate() {
        let mut left = *word;
        while left != 0 {
            f(i * 64 + left.trailing_zeros() as usize);
            left &= left - 1;
        }
    }
}

/// The registers that are live before and after each block.
fn live(code: &Code, uses: &[Vec<(u32, Role)>], blocks: &[Block], registers: usize) -> Vec<(Vec<u64>, Vec<u64>)> {
    let words = registers.div_ceil(64);
    let mut live = vec![(vec![0u64; words], vec![0u64; words]); blocks.len()];
    // What a block reads before it writes it, and what it writes for certain.
    let effects: Vec<(Vec<u64>, Vec<u64>)> = blocks
        .iter()
        .map(|block| {
            let (mut reads, mut writes) = (vec![0u64; words], vec![0u64; words]);
            let range = block.start..block.end;
            for (inst, uses) in code.insts[range.clone()].iter().zip(&uses[range]) {
                for (reg, role) in uses {
                    let (word, bit) = (*reg as usize / 64, 1 << (reg % 64));
                    match role {
                        Role::Read if writes[word] & bit == 0 => reads[word] |= bit,
                        Role::Write if inst.guard == NONE => writes[word] |= bit,
                        Role::Read | Role::Write => {}
                    }
                }
            }
            (reads, writes)
        })
        .collect();
    let mut changed = true;
    while changed {
        changed = false;
        for (b, block) in blocks.iter().enumerate().rev() {
            let mut after = std::mem::take(&mut live[b].1);
            for &next in &block.next {
                let from = if next == b { &live[b].0 } else { &live[next].0 };
                after.iter_mut().zip(from).for_each(|(to, from)| *to |= from);
            }
            let (reads, writes) = &effects[b];
            for (word, before) in live[b].0.iter_mut().enumerate() {
                let now = reads[word] | (after[word] & !writes[word]);
                changed |= now != *before;
                *before = now;
            }
            live[b].1 = after;
        }
    }
    live
}
