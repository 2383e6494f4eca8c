//! The blocks of a kernel, in which every instruction follows the one before, and the registers of its instructions.

use super::operands::{Role, Tables, visit};
use crate::emulator::code::*;

pub struct Block {
    pub start: usize,
    pub end: usize,
    pub next: Vec<usize>,
}

/// The registers of each instruction.
pub fn registers(code: &mut Code) -> Vec<Vec<(u32, Role)>> {
    let mut tables = Tables {
        accesses: &mut code.accesses,
        copies: &mut code.copies,
        shuffles: &mut code.shuffles,
        mmas: &mut code.mmas,
    };
    let each = |inst: &mut Inst| {
        let mut found = Vec::new();
        visit(inst, &mut tables, &mut |reg, role, _| found.push((*reg, role)));
        found
    };
    code.insts.iter_mut().map(each).collect()
}

/// The blocks, in the order of the instructions.
pub fn blocks(insts: &[Inst]) -> Vec<Block> {
    let mut leads = vec![false; insts.len() + 1];
    leads[0] = true;
    for (i, inst) in insts.iter().enumerate() {
        match inst.op {
            Op::Jump(to) => {
                leads[to as usize] = true;
                leads[i + 1] = true;
            }
            Op::Exit | Op::Trap => leads[i + 1] = true,
            _ => {}
        }
    }
    let starts: Vec<usize> = (0..insts.len()).filter(|i| leads[*i]).collect();
    let number = |at: usize| starts.binary_search(&at).ok();
    let make = |(b, start): (usize, &usize)| {
        let end = starts.get(b + 1).copied().unwrap_or(insts.len());
        let last = insts[end - 1];
        let through =
            number(end).filter(|_| last.guard != NONE || !matches!(last.op, Op::Jump(_) | Op::Exit | Op::Trap));
        let jump = match last.op {
            Op::Jump(to) => number(to as usize),
            _ => None,
        };
        Block { start: *start, end, next: through.into_iter().chain(jump).collect() }
    };
    starts.iter().enumerate().map(make).collect()
}
