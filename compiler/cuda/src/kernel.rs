//! What the text of one kernel is written with.

use whorl_schedule::loop_ir::LoopProgram;

use crate::elements::Elements;
use crate::group::Group;
use crate::homes::Homes;
use crate::ptx::{Class, Operand, Reg, Text};
use crate::tables::Tables;

pub struct Kernel<'p> {
    pub p: &'p LoopProgram,
    pub homes: Homes,
    pub text: Text,
    pub tables: Tables,
    /// Of the team.
    pub threads: usize,
    /// Which of them.
    pub thread: Reg,
    /// Of the team, where it has more than one block.
    pub group: Option<Group>,
    /// Bytes of shared memory that no buffer has, and how many of them products use.
    pub room: usize,
    pub staged: usize,
    pub slab: Reg,
    pub constants: Reg,
    pub shared: Reg,
    /// The step of the `train scan`, a long; 0 in a straight phase.
    pub step: Operand,
    pub status: Reg,
    pub ring: Reg,
    /// Elements that warp 0 has written to the ring, a long.
    pub written: Reg,
    /// Nodes that a barrier stands before, by their address.
    pub barriers: crate::barriers::Barriers,
    pub exit: crate::ptx::Label,
    /// See [`crate::Options::fast_math`].
    pub fast: bool,
}

impl Kernel<'_> {
    pub fn elements(&mut self) -> Elements<'_> {
        Elements { text: &mut self.text, tables: &mut self.tables, fast: self.fast }
    }

    /// Whether this is thread 0 of the team.
    pub fn first(&mut self) -> Reg {
        self.text.two("setp.eq.s32", Class::Predicate, self.thread, Operand::Int(0))
    }
}
