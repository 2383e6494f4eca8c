//! PTX text as it is written: registers, labels, lines.
//!
//! Registers are variables, which may be set anywhere and as often as is wanted; `ptxas` makes single assignments of them.

use std::fmt::{self, Write};

/// What a register holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    Predicate,
    /// Integers of 32 bits, and what is narrower, with zeros above.
    Word,
    /// Addresses.
    Long,
    F32,
    F64,
}

impl Class {
    const ALL: [Class; 5] = [Class::Predicate, Class::Word, Class::Long, Class::F32, Class::F64];

    fn prefix(self) -> &'static str {
        match self {
            Class::Predicate => "p",
            Class::Word => "r",
            Class::Long => "rd",
            Class::F32 => "f",
            Class::F64 => "fd",
        }
    }

    fn declared(self) -> &'static str {
        match self {
            Class::Predicate => "pred",
            Class::Word => "b32",
            Class::Long => "b64",
            Class::F32 => "f32",
            Class::F64 => "f64",
        }
    }

    /// The type of a `mov`.
    pub fn moved(self) -> &'static str {
        self.declared()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Reg {
    pub class: Class,
    pub number: u32,
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "%{}{}", self.class.prefix(), self.number)
    }
}

/// What an instruction takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    Reg(Reg),
    Int(i64),
    /// The bits of a float.
    F32(u32),
    F64(u64),
    Bool(bool),
}

impl Operand {
    pub fn f32(x: f32) -> Operand {
        Operand::F32(x.to_bits())
    }

    pub fn f64(x: f64) -> Operand {
        Operand::F64(x.to_bits())
    }
}

impl From<Reg> for Operand {
    fn from(r: Reg) -> Operand {
        Operand::Reg(r)
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Operand::Reg(r) => r.fmt(f),
            Operand::Int(i) => i.fmt(f),
            Operand::F32(bits) => write!(f, "0f{bits:08X}"),
            Operand::F64(bits) => write!(f, "0d{bits:016X}"),
            Operand::Bool(b) => f.write_str(if *b { "-1" } else { "0" }),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Label(u32);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "$L{}", self.0)
    }
}

/// The body of one entry.
#[derive(Debug, Default)]
pub struct Text {
    lines: String,
    registers: [u32; 5],
    labels: u32,
    /// Instructions so far.
    pub instructions: usize,
}

/// One instruction: `emit!(text, "add.s32 {out}, {a}, {b}")`.
#[macro_export]
macro_rules! emit {
    ($text:expr, $($format:tt)*) => {
        $text.line(format_args!($($format)*))
    };
}

impl Text {
    pub fn reg(&mut self, class: Class) -> Reg {
        let count = &mut self.registers[class as usize];
        *count += 1;
        Reg { class, number: *count - 1 }
    }

    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    pub fn line(&mut self, line: fmt::Arguments) {
        self.instructions += 1;
        // Writing to a string does not fail.
        let _ = writeln!(self.lines, "    {line};");
    }

    /// A comment or a directive, as it is.
    pub fn raw(&mut self, line: fmt::Arguments) {
        let _ = writeln!(self.lines, "    {line}");
    }

    pub fn place(&mut self, label: Label) {
        let _ = writeln!(self.lines, "{label}:");
    }

    /// The head of a loop that is to be left as it is: `ptxas` takes seconds to unroll.
    pub fn place_loop(&mut self, label: Label) {
        self.place(label);
        self.raw(format_args!(".pragma \"nounroll\";"));
    }

    /// A new register with the result of an instruction of two operands.
    pub fn two(&mut self, op: &str, class: Class, a: impl Into<Operand>, b: impl Into<Operand>) -> Reg {
        let (out, a, b) = (self.reg(class), a.into(), b.into());
        emit!(self, "{op} {out}, {a}, {b}");
        out
    }

    /// A new register with what has a name of its own.
    pub fn one_special(&mut self, op: &str, class: Class, name: &str) -> Reg {
        let out = self.reg(class);
        emit!(self, "{op} {out}, {name}");
        out
    }

    pub fn one(&mut self, op: &str, class: Class, a: impl Into<Operand>) -> Reg {
        let (out, a) = (self.reg(class), a.into());
        emit!(self, "{op} {out}, {a}");
        out
    }

    pub fn three(
        &mut self,
        op: &str,
        class: Class,
        a: impl Into<Operand>,
        b: impl Into<Operand>,
        c: impl Into<Operand>,
    ) -> Reg {
        let (out, a, b, c) = (self.reg(class), a.into(), b.into(), c.into());
        emit!(self, "{op} {out}, {a}, {b}, {c}");
        out
    }

    pub fn assign(&mut self, to: Reg, from: impl Into<Operand>) {
        let (op, from) = (to.class.moved(), from.into());
        emit!(self, "mov.{op} {to}, {from}");
    }

    /// In a register, whatever it is.
    pub fn in_register(&mut self, class: Class, x: impl Into<Operand>) -> Reg {
        match x.into() {
            Operand::Reg(r) => r,
            x => self.one(&format!("mov.{}", class.moved()), class, x),
        }
    }

    pub fn jump(&mut self, to: Label) {
        emit!(self, "bra {to}");
    }

    /// Where all threads of the block go the same way.
    pub fn jump_together(&mut self, to: Label) {
        emit!(self, "bra.uni {to}");
    }

    pub fn jump_if(&mut self, predicate: Reg, to: Label) {
        emit!(self, "@{predicate} bra {to}");
    }

    pub fn jump_unless(&mut self, predicate: Reg, to: Label) {
        emit!(self, "@!{predicate} bra {to}");
    }

    /// `x * by`, of words.
    pub fn times(&mut self, x: Operand, by: i64) -> Operand {
        match (x, by) {
            (_, 0) => Operand::Int(0),
            (x, 1) => x,
            (Operand::Int(x), by) => Operand::Int(x * by),
            (x, by) if by > 0 && (by as u64).is_power_of_two() => {
                self.two("shl.b32", Class::Word, x, Operand::Int(by.trailing_zeros().into())).into()
            }
            (x, by) => self.two("mul.lo.s32", Class::Word, x, Operand::Int(by)).into(),
        }
    }

    /// `a + b`, of words.
    pub fn plus(&mut self, a: Operand, b: Operand) -> Operand {
        match (a, b) {
            (Operand::Int(a), Operand::Int(b)) => Operand::Int(a + b),
            (x, Operand::Int(0)) | (Operand::Int(0), x) => x,
            (a @ Operand::Int(_), b) => self.two("add.s32", Class::Word, b, a).into(),
            (a, b) => self.two("add.s32", Class::Word, a, b).into(),
        }
    }

    /// `x * by + to`, of words.
    pub fn times_plus(&mut self, x: Operand, by: i64, to: Operand) -> Operand {
        match (x, to) {
            (Operand::Reg(_), Operand::Reg(_)) if by != 0 && by != 1 => {
                self.three("mad.lo.s32", Class::Word, x, Operand::Int(by), to).into()
            }
            _ => {
                let product = self.times(x, by);
                self.plus(product, to)
            }
        }
    }

    /// Quotient and remainder of an index, which is not negative.
    pub fn divided(&mut self, x: Operand, by: usize) -> (Operand, Operand) {
        match x {
            Operand::Int(x) => (Operand::Int(x / by as i64), Operand::Int(x % by as i64)),
            _ if by == 1 => (x, Operand::Int(0)),
            _ if by.is_power_of_two() => {
                let (shift, mask) = (by.trailing_zeros() as i64, by as i64 - 1);
                let quotient = self.two("shr.u32", Class::Word, x, Operand::Int(shift));
                (quotient.into(), self.two("and.b32", Class::Word, x, Operand::Int(mask)).into())
            }
            _ => {
                let quotient = self.two("div.u32", Class::Word, x, Operand::Int(by as i64));
                let rest = self.three("mad.lo.s32", Class::Word, quotient, Operand::Int(-(by as i64)), x);
                (quotient.into(), rest.into())
            }
        }
    }

    /// The whole entry, with the declarations of its registers.
    pub fn entry(self, head: &str) -> String {
        let mut out = format!("{head}\n{{\n");
        for class in Class::ALL {
            let count = self.registers[class as usize];
            if count > 0 {
                let _ = writeln!(out, "    .reg .{} %{}<{count}>;", class.declared(), class.prefix());
            }
        }
        out.push_str(&self.lines);
        out.push_str("}\n");
        out
    }
}
