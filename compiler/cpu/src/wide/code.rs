//! Machine code in the making: x86-64 instructions by their names in AVX-512 on virtual registers, of which there are as many as are asked for.
//!
//! A register may be written more than once; what a loop carries is such a register. [`super::allocate`] gives the registers places,
//! [`super::encode`] makes bytes of it.

use std::collections::HashMap;

use iced_x86::Code as Op;
use smallvec::SmallVec;

use super::set::Set;

/// A virtual register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Reg(pub u32);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// 512 bits, or 256.
    Vector,
    /// A bit for each lane.
    Mask,
    /// 64 bits.
    General,
}

/// How much of a register an operand names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    Whole,
    /// Half of a vector, 32 bits of a general register.
    Half,
    /// 128 bits of a vector.
    Quarter,
}

/// `base + index * scale + bytes`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Memory {
    pub base: Reg,
    /// A general register, or a vector of places.
    pub index: Option<Reg>,
    pub scale: u32,
    pub bytes: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    Reg(Reg, Part),
    Memory(Memory),
}

impl From<Reg> for Operand {
    fn from(r: Reg) -> Operand {
        Operand::Reg(r, Part::Whole)
    }
}

impl From<Memory> for Operand {
    fn from(m: Memory) -> Operand {
        Operand::Memory(m)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Immediate {
    Byte(u8),
    /// Of an operation on 32 bits.
    Word(u32),
    /// Of an operation on 64 bits, sign-extended.
    Signed(i32),
    Quad(u64),
    /// Where a buffer lies that is a constant.
    Constant(u32),
}

/// What memory may stand for the last operand, if its register has no place but memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fold {
    No,
    /// All of the vector, or one element for all lanes.
    Each32,
    Each64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Label(pub u32);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Plain(Op),
    /// `out = a * b + c`; which of the three instructions depends on the registers.
    MulAdd(MulAdd),
    /// `out` has the bit of `table` that the bits of a (4), b (2) and c (1) number.
    Logic {
        table: u8,
    },
    /// `out = a`, of any class.
    Copy,
    /// To a place in the code.
    Jump(Op, Label),
    /// Such a place.
    Place(Label),
    /// What was here was for nothing.
    Nothing,
}

/// The kind of a product and sum.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MulAdd {
    /// `f64`, not `f32`.
    pub double: bool,
    /// `-(a * b)`
    pub minus_product: bool,
    /// `- c`
    pub minus_sum: bool,
}

/// One instruction: operands in the order of the machine's manual, `out` first.
#[derive(Clone, Debug)]
pub struct Inst {
    pub kind: Kind,
    pub out: Option<(Reg, Part)>,
    /// `out` is read as well.
    pub tied: bool,
    pub ins: SmallVec<[Operand; 3]>,
    pub mask: Option<Reg>,
    /// Lanes outside of the mask become zero.
    pub zero: bool,
    /// Lanes outside of the mask are this register's; of a product and sum, it is one of the operands.
    pub merge: Option<Reg>,
    pub immediate: Option<Immediate>,
    pub fold: Fold,
}

impl Inst {
    pub fn new(kind: Kind, out: Option<Reg>, ins: &[Operand]) -> Inst {
        let out = out.map(|r| (r, Part::Whole));
        let (mask, merge, immediate) = (None, None, None);
        Inst { kind, out, tied: false, ins: ins.into(), mask, zero: false, merge, immediate, fold: Fold::No }
    }

    /// Every register that is read.
    pub fn reads(&self) -> SmallVec<[Reg; 8]> {
        let mut all = SmallVec::new();
        for operand in &self.ins {
            match operand {
                Operand::Reg(r, _) => all.push(*r),
                Operand::Memory(m) => {
                    all.push(m.base);
                    all.extend(m.index);
                }
            }
        }
        all.extend(self.mask);
        all.extend(self.merge);
        if self.tied {
            all.extend(self.out.map(|(r, _)| r));
        }
        all
    }
}

/// What a register always holds, and need not be kept for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Constant {
    Each32(u32),
    Each64(u64),
    Vector([u8; 64]),
    Mask(u16),
}

#[derive(Clone, Debug)]
pub struct Info {
    pub class: Class,
    pub constant: Option<Constant>,
}

/// From the first to the last instruction of a loop.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub from: usize,
    pub to: usize,
}

/// The code of one function.
#[derive(Default, Debug)]
pub struct Code {
    pub set: Set,
    pub insts: Vec<Inst>,
    pub regs: Vec<Info>,
    pub loops: Vec<Extent>,
    constants: HashMap<Constant, Reg>,
    pub labels: u32,
    /// Bytes of memory of the function's own, behind the places of registers.
    pub memory: usize,
    /// Where the function's own range is kept: so many bytes from [`FRAME`], and eight more.
    pub range: Option<i32>,
}

/// The function's first argument: where the run's arena is.
pub const ARENA: Reg = Reg(0);
/// The start of the function's own memory.
pub const FRAME: Reg = Reg(1);

impl Code {
    pub fn new(set: Set) -> Code {
        let mut code = Code { set, ..Code::default() };
        let (arena, frame) = (code.fresh(Class::General), code.fresh(Class::General));
        debug_assert!(arena == ARENA && frame == FRAME);
        code
    }

    pub fn fresh(&mut self, class: Class) -> Reg {
        self.regs.push(Info { class, constant: None });
        Reg(self.regs.len() as u32 - 1)
    }

    pub fn class(&self, r: Reg) -> Class {
        self.regs[r.0 as usize].class
    }

    pub fn constant(&mut self, constant: Constant) -> Reg {
        if let Some(&r) = self.constants.get(&constant) {
            return r;
        }
        let class = if matches!(constant, Constant::Mask(_)) { Class::Mask } else { Class::Vector };
        let r = self.fresh(class);
        self.regs[r.0 as usize].constant = Some(constant.clone());
        self.constants.insert(constant, r);
        r
    }

    pub fn each32(&mut self, bits: u32) -> Reg {
        self.constant(Constant::Each32(bits))
    }

    pub fn each64(&mut self, bits: u64) -> Reg {
        self.constant(Constant::Each64(bits))
    }

    /// The lanes that the bits say, of 32 bits or of 64.
    pub fn lanes(&mut self, bits: u16, double: bool) -> Reg {
        let lane = if double { 8 } else { 4 };
        let all = if double { self.set.lanes() / 2 } else { self.set.lanes() };
        let bits = bits & ((1u32 << all) - 1) as u16;
        match self.set {
            Set::Avx512 => self.constant(Constant::Mask(bits)),
            Set::Avx2 if bits.count_ones() as usize == all => self.each32(!0),
            Set::Avx2 if bits == 0 => self.each32(0),
            Set::Avx2 => {
                let byte = |k: usize| if k / lane < all && bits >> (k / lane) & 1 == 1 { 0xff } else { 0 };
                self.constant(Constant::Vector(std::array::from_fn(byte)))
            }
        }
    }

    /// A vector of 256 bits.
    pub fn words(&mut self, words: [u32; 8]) -> Reg {
        let bytes = std::array::from_fn(|k| if k < 32 { words[k / 4].to_le_bytes()[k % 4] } else { 0 });
        self.constant(Constant::Vector(bytes))
    }

    pub fn push(&mut self, inst: Inst) {
        self.insts.push(inst);
    }

    /// A vector from registers or memory; the last operand may stay in memory as `fold` says.
    pub fn vector(&mut self, op: Op, fold: Fold, ins: &[Operand]) -> Reg {
        let out = self.fresh(Class::Vector);
        self.push(Inst { fold, ..Inst::new(Kind::Plain(op), Some(out), ins) });
        out
    }

    pub fn vector_by(&mut self, op: Op, fold: Fold, ins: &[Operand], immediate: u8) -> Reg {
        let out = self.vector(op, fold, ins);
        self.last().immediate = Some(Immediate::Byte(immediate));
        out
    }

    pub fn mask(&mut self, op: Op, fold: Fold, ins: &[Operand], immediate: Option<u8>) -> Reg {
        let out = self.fresh(self.set.masks());
        let immediate = immediate.map(Immediate::Byte);
        self.push(Inst { fold, immediate, ..Inst::new(Kind::Plain(op), Some(out), ins) });
        out
    }

    pub fn general(&mut self, op: Op, ins: &[Operand], immediate: Option<Immediate>) -> Reg {
        let out = self.fresh(Class::General);
        self.push(Inst { immediate, ..Inst::new(Kind::Plain(op), Some(out), ins) });
        out
    }

    /// Nothing but its effect.
    pub fn effect(&mut self, op: Op, ins: &[Operand], immediate: Option<Immediate>) {
        self.push(Inst { immediate, ..Inst::new(Kind::Plain(op), None, ins) });
    }

    /// The instruction that was written last.
    pub fn last(&mut self) -> &mut Inst {
        self.insts.last_mut().expect("an instruction was written")
    }

    pub fn copy(&mut self, to: Reg, from: Reg) {
        self.push(Inst::new(Kind::Copy, Some(to), &[from.into()]));
    }

    /// `to = from`, where `from` is for nothing else if it was made just before: then it is made in `to`.
    pub fn set(&mut self, to: Reg, from: Reg) {
        for inst in self.insts.iter_mut().rev().take(8) {
            if let Some((out, _)) = &mut inst.out
                && *out == from
                && !inst.tied
                && self.regs[from.0 as usize].constant.is_none()
            {
                *out = to;
                return;
            }
            let leaves = match inst.kind {
                Kind::Jump(..) | Kind::Place(_) => true,
                Kind::Plain(_) | Kind::MulAdd(_) | Kind::Logic { .. } | Kind::Copy | Kind::Nothing => false,
            };
            if leaves || inst.reads().contains(&to) || inst.reads().contains(&from) {
                break;
            }
        }
        self.copy(to, from);
    }

    /// Takes out what computes values that are for nothing.
    pub fn clean(&mut self) {
        let mut uses = vec![0usize; self.regs.len()];
        self.insts.iter().flat_map(|i| i.reads()).for_each(|r| uses[r.0 as usize] += 1);
        for inst in self.insts.iter_mut().rev() {
            if let Some((out, _)) = inst.out
                && uses[out.0 as usize] == 0
            {
                inst.reads().into_iter().for_each(|r| uses[r.0 as usize] -= 1);
                *inst = Inst::new(Kind::Nothing, None, &[]);
            }
        }
    }

    /// What is jumped over: from behind each forward jump to its place.
    pub fn detours(&self) -> Vec<Extent> {
        let mut open: Vec<(Label, usize)> = Vec::new();
        let mut all = Vec::new();
        let mut placed = Vec::new();
        for (at, inst) in self.insts.iter().enumerate() {
            match inst.kind {
                Kind::Jump(_, label) if !placed.contains(&label) => open.push((label, at + 1)),
                Kind::Place(label) => {
                    placed.push(label);
                    if let Some(k) = open.iter().position(|(l, _)| *l == label) {
                        all.push(Extent { from: open.remove(k).1, to: at });
                    }
                }
                Kind::Plain(_) | Kind::MulAdd(_) | Kind::Logic { .. } | Kind::Copy | Kind::Jump(..) | Kind::Nothing => {
                }
            }
        }
        all
    }

    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    pub fn place(&mut self, label: Label) {
        self.push(Inst::new(Kind::Place(label), None, &[]));
    }

    pub fn jump(&mut self, op: Op, label: Label) {
        self.push(Inst::new(Kind::Jump(op, label), None, &[]));
    }

    /// Where the third and the fourth argument of the function are: from where it does its loop, and to where.
    pub fn range(&mut self) -> (Memory, Memory) {
        let at = match self.range {
            Some(at) => at,
            None => self.allocate(1),
        };
        self.range = Some(at);
        let from = Memory { base: FRAME, index: None, scale: 1, bytes: at };
        (from, Memory { bytes: at + 8, ..from })
    }

    /// Memory of the function's own, in vectors: the distance in bytes from [`FRAME`].
    pub fn allocate(&mut self, vectors: usize) -> i32 {
        let at = self.memory;
        self.memory += 64 * vectors;
        at as i32
    }
}
