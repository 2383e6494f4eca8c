//! Places for registers.

use super::Vreg;
use super::operands::{Tables, visit};
use crate::emulator::code::*;
use crate::emulator::ptx::Type;

/// Replaces the numbers of registers by slots and predicates.
pub fn assign(code: &mut Code, vregs: &[Vreg]) {
    let mut places = Vec::with_capacity(vregs.len());
    for vreg in vregs {
        if vreg.ty == Type::Pred {
            places.push(code.preds);
            code.preds += 1;
        } else {
            places.push(code.slots);
            code.slots += if vreg.wide() { 2 } else { 1 };
        }
    }
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
