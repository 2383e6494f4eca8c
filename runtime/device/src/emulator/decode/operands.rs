//! Which registers an instruction reads and writes.

use crate::emulator::code::*;

/// Whether a register is read or written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Read,
    Write,
}

/// The tables that instructions refer to.
pub struct Tables<'a> {
    pub accesses: &'a mut [Access],
    pub copies: &'a mut [Copy16],
    pub shuffles: &'a mut [Shuffle],
    pub mmas: &'a mut [Mma],
}

/// Calls `f` for each register of an instruction: values read first, then those written. `true` says it is a predicate.
pub fn visit(inst: &mut Inst, tables: &mut Tables<'_>, f: &mut dyn FnMut(&mut u32, Role, bool)) {
    let mut each = |slot: &mut u32, role: Role, pred: bool| {
        if *slot != NONE {
            f(slot, role, pred);
        }
    };
    each(&mut inst.guard, Role::Read, true);
    let (read, write) = (Role::Read, Role::Write);
    match &mut inst.op {
        Op::One { d, a, .. } | Op::Convert { d, a, .. } => {
            each(a, read, false);
            each(d, write, false);
        }
        Op::Two { d, a, b, .. } => {
            each(a, read, false);
            each(b, read, false);
            each(d, write, false);
        }
        Op::Three { d, a, b, c, .. } | Op::Rare { d, a, b, c, .. } | Op::Lop3 { d, a, b, c, .. } => {
            each(a, read, false);
            each(b, read, false);
            each(c, read, false);
            each(d, write, false);
        }
        Op::Compare { d, not, a, b, with, .. } => {
            each(a, read, false);
            each(b, read, false);
            match with {
                Combine::None => {}
                Combine::And(p, _) | Combine::Or(p, _) | Combine::Xor(p, _) => each(p, read, true),
            }
            each(d, write, true);
            each(not, write, true);
        }
        Op::Logic { d, a, b, .. } => {
            each(a, read, true);
            each(b, read, true);
            each(d, write, true);
        }
        Op::Select32 { d, a, b, p } | Op::Select64 { d, a, b, p } => {
            each(a, read, false);
            each(b, read, false);
            each(p, read, true);
            each(d, write, false);
        }
        Op::SetPred { d, .. } => each(d, write, true),
        Op::Special { d, .. } | Op::LoadParam { d, .. } | Op::ActiveMask { d } => each(d, write, false),
        Op::Load(i) => {
            let access = &mut tables.accesses[*i as usize];
            each(&mut access.address.base, read, false);
            access.values.iter_mut().for_each(|value| each(value, write, false));
        }
        Op::Store(i) | Op::Atomic(i) => {
            let access = &mut tables.accesses[*i as usize];
            each(&mut access.address.base, read, false);
            access.values.iter_mut().for_each(|value| each(value, read, false));
            each(&mut access.d, write, false);
        }
        Op::Copy(i) => {
            let copy = &mut tables.copies[*i as usize];
            each(&mut copy.to.base, read, false);
            each(&mut copy.from.base, read, false);
            each(&mut copy.read, read, false);
        }
        Op::Barrier { id, count, red, .. } => {
            each(id, read, false);
            each(count, read, false);
            if let Some((kind, p, d)) = red {
                each(p, read, true);
                each(d, write, *kind != Red::Popc);
            }
        }
        Op::WarpBarrier { members } => each(members, read, false),
        Op::Shuffle(i) => {
            let shuffle = &mut tables.shuffles[*i as usize];
            for slot in [&mut shuffle.a, &mut shuffle.b, &mut shuffle.c, &mut shuffle.members] {
                each(slot, read, false);
            }
            each(&mut shuffle.d, write, false);
            each(&mut shuffle.p, write, true);
        }
        Op::Vote { kind, d, p, members, .. } => {
            each(p, read, true);
            each(members, read, false);
            each(d, write, *kind != Vote::Ballot);
        }
        Op::Mma(i) => {
            let mma = &mut tables.mmas[*i as usize];
            for slot in mma.a.iter_mut().chain(&mut mma.b).chain(&mut mma.c) {
                each(slot, read, false);
            }
            mma.d.iter_mut().for_each(|slot| each(slot, write, false));
        }
        Op::CopyCommit
        | Op::CopyWait(_)
        | Op::Fence { .. }
        | Op::Jump(_)
        | Op::Exit
        | Op::Trap
        | Op::Sleep
        | Op::Nothing
        | Op::NeedsDefined(_)
        | Op::Defines(_) => {}
    }
}
