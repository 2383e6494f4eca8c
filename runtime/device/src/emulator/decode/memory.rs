//! Loads, stores, atomics, asynchronous copies and fences.

use super::{Decoder, Result, count, refuse};
use crate::emulator::code::*;
use crate::emulator::ptx::{Operand, Space, Type};

use Type::{B32, B64, F32, F64, S32, S64, U32, U64};

/// What the words between an instruction and its type say.
struct Words {
    space: Space,
    order: Order,
    cta: bool,
    count: u32,
    rest: Vec<String>,
    ty: Type,
}

impl Decoder<'_> {
    fn words(&self, words: &[&str], usual: Order) -> Result<Words> {
        let Some(ty) = Type::parse(words[words.len() - 1]) else {
            return refuse(format!("{} does not end with a type", words.join(".")));
        };
        let has = |word: &str| words.contains(&word);
        let (scope, plain) = (has("cta") || has("gpu") || has("sys"), matches!(words[0], "ld" | "st"));
        if plain && scope != (has("relaxed") || has("acquire") || has("release")) {
            return refuse("relaxed, acquire and release say within what (.cta, .gpu or .sys), and others do not");
        }
        let mut out = Words { space: Space::Generic, order: usual, cta: false, count: 1, rest: Vec::new(), ty };
        for word in &words[1..words.len() - 1] {
            match *word {
                "global" => out.space = Space::Global,
                "shared" | "shared::cta" => out.space = Space::Shared,
                "const" => out.space = Space::Const,
                "param" => out.space = Space::Param,
                "volatile" | "relaxed" => out.order = Order::Relaxed,
                "acquire" => out.order = Order::Acquire,
                "release" => out.order = Order::Release,
                "acq_rel" => out.order = Order::AcquireRelease,
                "weak" => out.order = Order::Weak,
                "cta" => out.cta = true,
                "gpu" | "sys" => out.cta = false,
                "v2" => out.count = 2,
                "v4" => out.count = 4,
                // Hints of the caches, without a meaning for values.
                "nc" | "ca" | "cg" | "cs" | "lu" | "cv" | "wb" | "wt" => out.rest.push(word.to_string()),
                _ if word.contains("L1::") || word.contains("L2::") => {}
                other => out.rest.push(other.to_string()),
            }
        }
        Ok(out)
    }

    fn check_rest(&self, words: &[&str], rest: &[String], known: &[&str]) -> Result<()> {
        match rest.iter().find(|word| !known.contains(&word.as_str())) {
            Some(word) => refuse(format!(".{word} of {} is not emulated", words.join("."))),
            None => Ok(()),
        }
    }

    pub(super) fn address(&mut self, operand: &Operand, space: Space) -> Result<Address> {
        let Operand::Memory(base, offset) = operand else { return refuse("an address stands in [ ]") };
        match &**base {
            Operand::Reg(reg) => {
                let ty = self.vreg(*reg).ty;
                let short = space == Space::Shared && matches!(ty, U32 | B32 | S32);
                if !short && !matches!(ty, U64 | B64 | S64) {
                    return refuse(format!(
                        "{} is a register of .{}, no address",
                        self.names[reg.0 as usize],
                        ty.name()
                    ));
                }
                Ok(Address { base: reg.0, wide: ty.bytes() == 8, offset: *offset })
            }
            Operand::Name(name) => match self.places.get(name).copied() {
                Some((found, at)) if found == space || space == Space::Generic => {
                    if space == Space::Generic && found == Space::Shared {
                        return refuse(format!("the generic address of {name} comes from cvta"));
                    }
                    Ok(Address { base: self.constant(at, true), wide: true, offset: *offset })
                }
                Some((found, _)) => refuse(format!("{name} is in {found:?} memory, not in {space:?}")),
                None => refuse(format!("there is no variable {name}")),
            },
            Operand::Int(at) => Ok(Address { base: self.constant(*at as u64, true), wide: true, offset: *offset }),
            other => refuse(format!("{} is no address", self.show(other))),
        }
    }

    /// The registers of a load or the values of a store.
    fn values(&mut self, operand: &Operand, words: &Words, load: bool) -> Result<([Slot; 4], bool)> {
        let single = [operand.clone()];
        let list: &[Operand] = match operand {
            Operand::List(list) => list,
            _ => &single,
        };
        if list.len() as u32 != words.count {
            return refuse(format!("{} registers for {} values", list.len(), words.count));
        }
        if words.count * words.ty.bytes() > 16 {
            return refuse("an access has at most 16 bytes");
        }
        let (mut slots, mut wide) = ([NONE; 4], None);
        for (slot, operand) in slots.iter_mut().zip(list) {
            *slot = match operand {
                Operand::Sink if load => continue,
                Operand::Reg(_) => self.loose(operand, words.ty)?,
                other if !load => self.src(other, words.ty)?,
                other => return refuse(format!("{} cannot be loaded to", self.show(other))),
            };
            let this = self.vregs[*slot as usize].wide();
            if *wide.get_or_insert(this) != this {
                return refuse("the registers of one access have one width");
            }
        }
        Ok((slots, wide.unwrap_or(false)))
    }

    pub(super) fn load(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        count(ops, 2)?;
        let w = self.words(words, Order::Weak)?;
        self.check_rest(words, &w.rest, &["nc", "ca", "cg", "cs", "lu", "cv"])?;
        if !matches!(w.order, Order::Weak | Order::Relaxed | Order::Acquire) {
            return refuse("a load is weak, volatile, relaxed or acquire");
        }
        if w.rest.iter().any(|word| word == "nc") && w.space != Space::Global {
            return refuse(".nc is for global memory");
        }
        if w.space == Space::Param {
            return self.load_param(&w, ops);
        }
        let (values, wide) = self.values(&ops[0], &w, true)?;
        let address = self.address(&ops[1], w.space)?;
        self.access(&w, address, values, wide, Op::Load);
        Ok(())
    }

    fn access(&mut self, w: &Words, address: Address, values: [Slot; 4], wide: bool, op: fn(u32) -> Op) {
        self.code.accesses.push(Access {
            space: w.space,
            address,
            ty: w.ty,
            count: w.count,
            values,
            wide,
            order: w.order,
            cta: w.cta,
            atomic: Atomic::None,
            d: NONE,
        });
        self.emit(op(self.code.accesses.len() as u32 - 1));
    }

    fn load_param(&mut self, w: &Words, ops: &[Operand]) -> Result<()> {
        let Operand::Memory(base, offset) = &ops[1] else { return refuse("an address stands in [ ]") };
        let Operand::Name(name) = &**base else { return refuse("parameters are loaded by name") };
        let Some(param) = self.entry.params.iter().find(|param| param.name == *name) else {
            return refuse(format!("there is no parameter {name}"));
        };
        let size = w.ty.bytes();
        if *offset < 0 || *offset as u32 + w.count * size > param.ty.bytes() {
            return refuse(format!("the parameter {name} has {} bytes", param.ty.bytes()));
        }
        let first = param.offset + *offset as u32;
        if !first.is_multiple_of(size) {
            return refuse(format!("byte {offset} of {name} is not aligned for .{}", w.ty.name()));
        }
        let (values, wide) = self.values(&ops[0], w, true)?;
        for (i, d) in values.into_iter().take(w.count as usize).enumerate().filter(|(_, d)| *d != NONE) {
            self.emit(Op::LoadParam { d, offset: first + i as u32 * size, ty: w.ty, wide });
        }
        Ok(())
    }

    pub(super) fn store(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        count(ops, 2)?;
        let w = self.words(words, Order::Weak)?;
        self.check_rest(words, &w.rest, &["wb", "cg", "cs", "wt"])?;
        if !matches!(w.order, Order::Weak | Order::Relaxed | Order::Release) {
            return refuse("a store is weak, volatile, relaxed or release");
        }
        if matches!(w.space, Space::Const | Space::Param) {
            return refuse(format!("{:?} memory is not written to", w.space));
        }
        let (values, wide) = self.values(&ops[1], &w, false)?;
        let address = self.address(&ops[0], w.space)?;
        self.access(&w, address, values, wide, Op::Store);
        Ok(())
    }

    pub(super) fn atomic(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        let w = self.words(words, Order::Relaxed)?;
        let unknown = || refuse(format!("the instruction {} is not emulated", words.join(".")));
        let [operation] = w.rest.as_slice() else { return unknown() };
        let (atomic, types): (Atomic, &[Type]) = match operation.as_str() {
            "add" => (Atomic::Add, &[U32, S32, U64, F32, F64]),
            "cas" => (Atomic::Cas, &[B32, B64]),
            "exch" => (Atomic::Exch, &[B32, B64]),
            "min" => (Atomic::Min, &[U32, S32, U64, S64]),
            "max" => (Atomic::Max, &[U32, S32, U64, S64]),
            "and" => (Atomic::And, &[B32, B64]),
            "or" => (Atomic::Or, &[B32, B64]),
            "xor" => (Atomic::Xor, &[B32, B64]),
            "inc" => (Atomic::Inc, &[U32]),
            "dec" => (Atomic::Dec, &[U32]),
            _ => return unknown(),
        };
        if !types.contains(&w.ty) || w.count != 1 || matches!(w.space, Space::Const | Space::Param) {
            return unknown();
        }
        let result = words[0] == "atom";
        if !result && matches!(atomic, Atomic::Cas | Atomic::Exch) {
            return unknown();
        }
        let first = usize::from(result);
        count(ops, first + 2 + usize::from(atomic == Atomic::Cas))?;
        let d = match &ops[0] {
            _ if !result => NONE,
            Operand::Sink => NONE,
            other => self.dst(other, w.ty)?,
        };
        let address = self.address(&ops[first], w.space)?;
        let a = self.src(&ops[first + 1], w.ty)?;
        let b = if atomic == Atomic::Cas { self.src(&ops[first + 2], w.ty)? } else { NONE };
        self.code.accesses.push(Access {
            space: w.space,
            address,
            ty: w.ty,
            count: 1,
            values: [a, b, NONE, NONE],
            wide: w.ty.bytes() == 8,
            order: w.order,
            cta: w.cta,
            atomic,
            d,
        });
        self.emit(Op::Atomic(self.code.accesses.len() as u32 - 1));
        Ok(())
    }

    pub(super) fn copy(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        match words {
            ["cp", "async", "commit_group"] => {
                count(ops, 0)?;
                self.emit(Op::CopyCommit);
            }
            ["cp", "async", "wait_all"] => {
                count(ops, 0)?;
                self.emit(Op::CopyCommit);
                self.emit(Op::CopyWait(0));
            }
            ["cp", "async", "wait_group"] => {
                let [Operand::Int(left)] = ops else { return refuse("wait_group takes a number") };
                self.emit(Op::CopyWait(*left as u32));
            }
            ["cp", "async", level @ ("ca" | "cg"), "shared" | "shared::cta", "global", ..] => {
                let (3 | 4, Some(Operand::Int(bytes))) = (ops.len(), ops.get(2)) else {
                    return refuse("cp.async takes two addresses and a size");
                };
                if !matches!((*level, bytes), ("ca", 4 | 8 | 16) | ("cg", 16)) {
                    return refuse(format!("cp.async.{level} does not copy {bytes} bytes"));
                }
                let (to, from) = (self.address(&ops[0], Space::Shared)?, self.address(&ops[1], Space::Global)?);
                let read = if ops.len() == 4 { self.src(&ops[3], U32)? } else { NONE };
                self.code.copies.push(Copy16 { to, from, bytes: *bytes as u32, read });
                self.emit(Op::Copy(self.code.copies.len() as u32 - 1));
            }
            _ => return refuse(format!("the instruction {} is not emulated", words.join("."))),
        }
        Ok(())
    }

    pub(super) fn fence(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        count(ops, 0)?;
        let cta = match words {
            ["membar", "cta"] | ["fence", "acq_rel" | "sc", "cta"] => true,
            ["membar", "gl" | "sys"] | ["fence", "acq_rel" | "sc", "gpu" | "sys"] => false,
            _ => return refuse(format!("the instruction {} is not emulated", words.join("."))),
        };
        self.emit(Op::Fence { cta });
        Ok(())
    }
}
