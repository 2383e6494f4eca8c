//! The threads of a run: one block, or a group of blocks that wait for each other by a counter in global memory.

use crate::emit;
use crate::kernel::Kernel;
use crate::ptx::{Class, Operand, Reg, Text};

/// How many threads a run has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Team {
    pub blocks: usize,
    /// Threads of a block.
    pub of_block: usize,
}

impl Team {
    pub fn threads(self) -> usize {
        self.blocks * self.of_block
    }

    /// Bytes of a run's words: its status, and the counter of its barriers. Those of groups are lines of memory of their own.
    pub fn words(self) -> usize {
        if self.blocks > 1 { 128 } else { 4 }
    }
}

/// Of the words, where the counter is.
const COUNTER: usize = 64;

/// What the barriers of a group need.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub team: Team,
    /// Which of its blocks this is.
    pub member: Reg,
    /// Which thread of the block.
    pub own: Reg,
    /// The run's words.
    words: Reg,
    /// What a block adds to the counter.
    share: Reg,
    /// Whether this is thread 0 of its block.
    leads: Reg,
}

/// Where a thread is.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// Which run of the launch.
    pub run: Reg,
    /// Which thread of the run.
    pub thread: Reg,
    /// Which block of the run's, and which thread of that block, where there are several.
    member: Reg,
    own: Reg,
}

impl Team {
    pub fn seat(self, text: &mut Text) -> Seat {
        let own = text.one_special("mov.u32", Class::Word, "%tid.x");
        let block = text.one_special("mov.u32", Class::Word, "%ctaid.x");
        if self.blocks == 1 {
            return Seat { run: block, thread: own, member: block, own };
        }
        let (run, member) = text.divided(block.into(), self.blocks);
        let (run, member) = (text.in_register(Class::Word, run), text.in_register(Class::Word, member));
        let thread = text.times_plus(member.into(), self.of_block as i64, own.into());
        Seat { run, thread: text.in_register(Class::Word, thread), member, own }
    }
}

impl Group {
    /// All blocks together add 2^31 to the counter, which turns its highest bit: nobody has to set it back, and it does not matter how often it was used.
    pub fn of(team: Team, text: &mut Text, seat: Seat, words: Reg) -> Option<Group> {
        if team.blocks == 1 {
            return None;
        }
        let Seat { member, own, .. } = seat;
        let leads = text.two("setp.eq.s32", Class::Predicate, own, Operand::Int(0));
        let first = text.two("setp.eq.s32", Class::Predicate, member, Operand::Int(0));
        let rest = (1 << 31) - (team.blocks as i64 - 1);
        let share = text.three("selp.b32", Class::Word, Operand::Int(rest), Operand::Int(1), first);
        Some(Group { team, member, own, words, share, leads })
    }
}

impl Kernel<'_> {
    /// All threads of the team wait for each other.
    pub fn barrier(&mut self) {
        self.block_barrier();
        let Some(Group { words, share, leads, .. }) = self.group else { return };
        // What the block did before, its first thread releases; what it acquires, the block may read behind its second barrier.
        let (spin, over) = (self.text.label(), self.text.label());
        let (old, now) = (self.text.reg(Class::Word), self.text.reg(Class::Word));
        self.text.jump_unless(leads, over);
        emit!(self.text, "atom.add.release.gpu.global.u32 {old}, [{words}+{COUNTER}], {share}");
        self.text.place_loop(spin);
        emit!(self.text, "ld.acquire.gpu.global.u32 {now}, [{words}+{COUNTER}]");
        let turned = self.text.two("xor.b32", Class::Word, old, now);
        let same = self.text.two("setp.ge.s32", Class::Predicate, turned, Operand::Int(0));
        self.text.jump_if(same, spin);
        self.text.place(over);
        self.block_barrier();
    }

    /// All threads wait for each other, or those of each block alone where that is enough: `within` says so of blocks of so many threads, a power of two, to all
    /// threads alike.
    pub fn barrier_within(&mut self, within: impl FnOnce(&mut Self, i64) -> Reg) {
        let Some(threads) = self.group.map(|g| g.team.of_block).filter(|n| n.is_power_of_two()) else {
            return self.barrier();
        };
        let (of_block, over) = (self.text.label(), self.text.label());
        let enough = within(self, threads as i64);
        self.text.jump_if(enough, of_block);
        self.barrier();
        self.text.jump_together(over);
        self.text.place(of_block);
        self.block_barrier();
        self.text.place(over);
    }

    /// The threads of each block wait for each other.
    pub fn block_barrier(&mut self) {
        emit!(self.text, "bar.sync 0");
    }
}
