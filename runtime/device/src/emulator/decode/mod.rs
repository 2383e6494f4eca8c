//! Statements to executable code: operands are resolved and their types checked as `ptxas` checks them.

mod arithmetic;
mod control;
mod convert;
mod defined;
mod flow;
mod memory;
mod operands;
mod slots;

use super::code::*;
use super::ptx::{self, Class, Entry, Operand, Refusal, Reg, Space, Statement, Type, Variable};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Where a module's variables are, by name.
pub type Places = FxHashMap<String, (Space, u64)>;

/// Where shared and constant memory stand among generic addresses.
pub const SHARED_WINDOW: u64 = 0x7f00_0000_0000;
pub const SHARED_WINDOW_BYTES: u64 = 1 << 24;

type Result<T> = std::result::Result<T, Refusal>;

/// What the kernels of a module have in common.
pub struct Around<'a> {
    /// Variables of global and constant memory, which have addresses, and shared ones of the module.
    pub places: &'a Places,
    pub shared: &'a [Variable],
    pub files: Arc<Vec<(u32, String)>>,
    pub text: Arc<Vec<String>>,
}

/// Decodes one kernel.
pub fn decode(entry: &Entry, around: &Around<'_>) -> Result<Code> {
    let mut decoder = Decoder::new(entry, around)?;
    for statement in &entry.statements {
        decoder.starts.push(decoder.code.insts.len() as u32);
        let fail = |refusal: Refusal| match refusal.line {
            0 => Refusal { line: statement.line, ..refusal },
            _ => refusal,
        };
        decoder.statement(statement).map_err(fail)?;
    }
    decoder.starts.push(decoder.code.insts.len() as u32);
    let last = entry.statements.last();
    decoder.emit_raw(NONE, false, Op::Exit, last.map_or(entry.line, |s| s.line), last.and_then(|s| s.loc));
    decoder.resolve_labels(entry)?;
    let Decoder { mut code, vregs, names, .. } = decoder;
    defined::check(&mut code, &vregs, &names);
    slots::assign(&mut code, &vregs);
    Ok(code)
}

/// Says what is wrong; the line is filled in by [`decode`].
pub fn refuse<T>(what: impl Into<String>) -> Result<T> {
    Err(Refusal::new(0, what))
}

/// A register while decoding: predicates and values are numbered together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vreg {
    pub ty: Type,
    /// Not a register of the PTX but a value that never changes.
    pub constant: bool,
}

impl Vreg {
    pub fn wide(self) -> bool {
        self.ty.bytes() == 8
    }
}

pub struct Decoder<'a> {
    entry: &'a Entry,
    code: Code,
    vregs: Vec<Vreg>,
    names: Vec<String>,
    constants: FxHashMap<(u64, bool), Slot>,
    places: Places,
    /// The first instruction of each statement.
    starts: Vec<u32>,
    /// Jumps whose places are labels still.
    jumps: Vec<(usize, String, u32)>,
    now: (u32, Option<ptx::Loc>, Pred, bool),
}

impl<'a> Decoder<'a> {
    fn new(entry: &'a Entry, around: &Around<'_>) -> Result<Decoder<'a>> {
        let mut places = around.places.clone();
        let (mut shared, mut static_shared, mut dynamic) = (Vec::new(), 0u32, None);
        for variable in around.shared.iter().chain(&entry.variables) {
            if variable.space != Space::Shared {
                return refuse(format!(
                    "{}: variables of .{:?} stand outside of kernels",
                    variable.name, variable.space
                ));
            }
            if variable.external {
                dynamic = Some((variable.name.clone(), variable.align.max(16)));
                continue;
            }
            static_shared = static_shared.next_multiple_of(variable.align.max(1));
            places.insert(variable.name.clone(), (Space::Shared, static_shared.into()));
            shared.push(SharedVariable {
                name: variable.name.clone(),
                offset: static_shared,
                bytes: variable.bytes as u32,
            });
            static_shared += variable.bytes as u32;
        }
        if let Some((name, align)) = &dynamic {
            static_shared = static_shared.next_multiple_of(*align);
            places.insert(name.clone(), (Space::Shared, static_shared.into()));
            shared.push(SharedVariable { name: name.clone(), offset: static_shared, bytes: u32::MAX });
        }
        let code = Code {
            name: entry.name.clone(),
            insts: Vec::new(),
            lines: Vec::new(),
            locs: Vec::new(),
            accesses: Vec::new(),
            copies: Vec::new(),
            shuffles: Vec::new(),
            mmas: Vec::new(),
            slots: 0,
            preds: 0,
            constants: Vec::new(),
            doubtful: Vec::new(),
            params: entry.params.clone(),
            param_bytes: entry.params.last().map_or(0, |param| param.offset + param.ty.bytes()),
            max_threads: entry.max_threads,
            shared,
            static_shared,
            dynamic: dynamic.is_some(),
            files: around.files.clone(),
            text: around.text.clone(),
        };
        let vregs = entry.registers.iter().map(|register| Vreg { ty: register.ty, constant: false }).collect();
        let names = entry.registers.iter().map(|register| register.name.clone()).collect();
        let mut decoder = Decoder {
            entry,
            code,
            vregs,
            names,
            constants: FxHashMap::default(),
            places,
            starts: Vec::new(),
            jumps: Vec::new(),
            now: (0, None, NONE, false),
        };
        decoder.starts.reserve(entry.statements.len());
        Ok(decoder)
    }

    fn emit_raw(&mut self, guard: Pred, negated: bool, op: Op, line: u32, loc: Option<ptx::Loc>) {
        self.code.insts.push(Inst { guard, negated, op });
        self.code.lines.push(line);
        self.code.locs.push(loc);
    }

    fn emit(&mut self, op: Op) {
        let (line, loc, guard, negated) = self.now;
        self.emit_raw(guard, negated, op, line, loc);
    }

    fn resolve_labels(&mut self, entry: &Entry) -> Result<()> {
        let labels: FxHashMap<&str, u32> =
            entry.labels.iter().map(|(name, at, _)| (name.as_str(), self.starts[*at])).collect();
        for (at, label, line) in &self.jumps {
            let Some(to) = labels.get(label.as_str()) else {
                return Err(Refusal::new(*line, format!("there is no label {label}")));
            };
            self.code.insts[*at].op = Op::Jump(*to);
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement) -> Result<()> {
        let (guard, negated) = statement.guard.map_or((NONE, false), |(reg, negated)| (reg.0, negated));
        self.now = (statement.line, statement.loc, guard, negated);
        let words: Vec<&str> = statement.opcode.split('.').collect();
        let ops = &statement.operands;
        match words[0] {
            "ld" | "ldu" => self.load(&words, ops),
            "st" => self.store(&words, ops),
            "atom" | "red" => self.atomic(&words, ops),
            "cp" => self.copy(&words, ops),
            "fence" | "membar" => self.fence(&words, ops),
            "cvt" | "cvta" => self.convert(&words, ops),
            "mov" => self.mov(&words, ops),
            "bra" | "ret" | "exit" | "trap" | "bar" | "barrier" | "shfl" | "vote" | "activemask" | "nanosleep"
            | "mma" => self.control(&words, ops),
            "setp" => self.setp(&words, ops),
            "selp" => self.selp(&words, ops),
            _ => self.arithmetic(&words, ops),
        }
    }

    fn vreg(&self, reg: Reg) -> Vreg {
        self.vregs[reg.0 as usize]
    }

    /// A constant's slot.
    fn constant(&mut self, value: u64, wide: bool) -> Slot {
        let value = if wide { value } else { value & 0xffff_ffff };
        if let Some(slot) = self.constants.get(&(value, wide)) {
            return *slot;
        }
        let slot = self.vregs.len() as u32;
        self.vregs.push(Vreg { ty: if wide { Type::B64 } else { Type::B32 }, constant: true });
        self.names.push(String::new());
        self.constants.insert((value, wide), slot);
        self.code.constants.push((slot, value, wide));
        slot
    }

    /// A register that the PTX does not have. It is written before it is read.
    fn temporary(&mut self, ty: Type) -> Slot {
        self.vregs.push(Vreg { ty, constant: false });
        self.names.push(String::new());
        self.vregs.len() as u32 - 1
    }

    /// Whether a register of type `reg` may be an operand of an instruction of type `ty`.
    fn agrees(reg: Type, ty: Type) -> bool {
        let same_size = reg.bytes() == ty.bytes();
        match (reg.class(), ty.class()) {
            (Class::Pred, Class::Pred) => true,
            (Class::Pred, _) | (_, Class::Pred) => false,
            (Class::Bits, _) | (_, Class::Bits) => same_size,
            (Class::Int, Class::Int) => same_size,
            (Class::Float, Class::Float) => reg == ty,
            (Class::Int, Class::Float) | (Class::Float, Class::Int) => false,
        }
    }

    /// A register to be written with a value of type `ty`.
    fn dst(&mut self, operand: &Operand, ty: Type) -> Result<Slot> {
        match operand {
            Operand::Reg(reg) if Self::agrees(self.vreg(*reg).ty, ty) => Ok(reg.0),
            Operand::Reg(reg) => refuse(format!(
                "{} is a register of .{}, the instruction gives .{}",
                self.names[reg.0 as usize],
                self.vreg(*reg).ty.name(),
                ty.name()
            )),
            other => refuse(format!("the result must be a register, not {other:?}")),
        }
    }

    /// A register or an immediate that is read as type `ty`.
    fn src(&mut self, operand: &Operand, ty: Type) -> Result<Slot> {
        let wide = ty.bytes() == 8;
        match operand {
            Operand::Reg(reg) if Self::agrees(self.vreg(*reg).ty, ty) => Ok(reg.0),
            Operand::Reg(reg) => refuse(format!(
                "{} is a register of .{}, the instruction takes .{}",
                self.names[reg.0 as usize],
                self.vreg(*reg).ty.name(),
                ty.name()
            )),
            Operand::Int(value) if ty.class() != Class::Float && ty != Type::Pred => {
                let bits = ty.bytes() * 8;
                let low = (*value as u128 & (u128::MAX >> (128 - bits))) as u64;
                Ok(self.constant(low, wide))
            }
            Operand::F32(bits) if ty == Type::F32 || ty == Type::B32 => Ok(self.constant((*bits).into(), false)),
            Operand::F64(bits) if ty == Type::F64 || ty == Type::B64 => Ok(self.constant(*bits, true)),
            Operand::F64(bits) if ty == Type::F32 => {
                Ok(self.constant((f64::from_bits(*bits) as f32).to_bits().into(), false))
            }
            Operand::Special(name) => {
                refuse(format!("{name} is neither declared nor read here: special registers are read by mov"))
            }
            other => refuse(format!("{} is no operand of .{}", self.show(other), ty.name())),
        }
    }

    fn show(&self, operand: &Operand) -> String {
        match operand {
            Operand::Reg(reg) => self.names[reg.0 as usize].clone(),
            Operand::Name(name) | Operand::Special(name) => name.clone(),
            Operand::Int(value) => value.to_string(),
            other => format!("{other:?}"),
        }
    }

    /// A predicate that is read.
    fn pred(&mut self, operand: &Operand) -> Result<(Pred, bool)> {
        match operand {
            Operand::Reg(reg) if self.vreg(*reg).ty == Type::Pred => Ok((reg.0, false)),
            Operand::Not(reg) if self.vreg(*reg).ty == Type::Pred => Ok((reg.0, true)),
            other => refuse(format!("{} is not a predicate", self.show(other))),
        }
    }

    /// A predicate that is written; `_` is [`NONE`].
    fn pred_dst(&mut self, operand: &Operand) -> Result<Pred> {
        match operand {
            Operand::Sink => Ok(NONE),
            Operand::Reg(_) => match self.pred(operand)? {
                (reg, false) => Ok(reg),
                _ => refuse("a result cannot be negated"),
            },
            other => refuse(format!("{} is not a predicate", self.show(other))),
        }
    }
}

/// Refuses an instruction with another number of operands.
pub fn count(ops: &[Operand], expected: usize) -> Result<()> {
    if ops.len() == expected { Ok(()) } else { refuse(format!("{} operands where {expected} belong", ops.len())) }
}
