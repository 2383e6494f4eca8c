//! Conversions between types, and between address spaces.

use super::{Decoder, Result, SHARED_WINDOW, count, refuse};
use crate::emulator::code::*;
use crate::emulator::convert::{self, Round};
use crate::emulator::lanes::{F1, one, two};
use crate::emulator::ptx::{Class, Operand, Type};

use Type::{B32, Bf16, F16, F32, F64, S8, S16, S32, S64, U8, U16, U32, U64};

impl Decoder<'_> {
    pub(super) fn convert(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        if words[0] == "cvta" {
            return self.convert_address(words, ops);
        }
        if let ["cvt", "rn", pair @ ("f16x2" | "bf16x2"), "f32"] = words {
            count(ops, 3)?;
            let (a, b) = (self.src(&ops[1], F32)?, self.src(&ops[2], F32)?);
            let d = self.dst(&ops[0], B32)?;
            // The first operand becomes the upper half.
            let f = if *pair == "f16x2" {
                two!(f32, f32 => u32, |a, b| convert::to_half(a) << 16 | convert::to_half(b))
            } else {
                two!(f32, f32 => u32, |a, b| convert::to_bfloat(a) << 16 | convert::to_bfloat(b))
            };
            self.emit(Op::Two { f, d, a, b });
            return Ok(());
        }
        if let ["cvt", "rna", "tf32", "f32"] = words {
            count(ops, 2)?;
            let (d, a) = (self.dst(&ops[0], B32)?, self.src(&ops[1], F32)?);
            if self.vregs[d as usize].ty != B32 {
                return refuse("tf32 stands in registers of .b32");
            }
            self.emit(Op::One { f: one!(u32 => u32, |a| convert::to_tf32(a)), d, a });
            return Ok(());
        }
        count(ops, 2)?;
        let unknown = || refuse(format!("the conversion {} is not emulated", words.join(".")));
        let [middle @ .., to, from] = &words[1..] else { return unknown() };
        let (Some(to), Some(from)) = (Type::parse(to), Type::parse(from)) else { return unknown() };
        let (mut round, mut saturate) = (None, false);
        for word in middle {
            match (*word, Round::parse(word)) {
                ("sat", _) => saturate = true,
                (_, Some(found)) if round.is_none() => round = Some(found),
                _ => return unknown(),
            }
        }
        let round = check_rounding(round, to, from)?;
        if saturate && fits(from, to) {
            return refuse(format!("a .{} always fits into a .{}: .sat has no place here", from.name(), to.name()));
        }
        if let Operand::Special(name) = &ops[1] {
            return self.convert_special(&ops[0], name, to, from);
        }
        let d = self.loose(&ops[0], to)?;
        let a = match &ops[1] {
            Operand::Reg(_) => self.loose(&ops[1], from)?,
            other => self.src(other, from)?,
        };
        let wide = self.vregs[d as usize].wide();
        if let Some(f) = usual(to, from, round, saturate, wide) {
            self.emit(Op::One { f, d, a });
            return Ok(());
        }
        let source_wide = self.vregs[a as usize].wide();
        self.emit(Op::Convert { d, a, to, from, round, saturate, wide, source_wide });
        Ok(())
    }

    /// A register at least as wide as the type, as conversions and accesses to memory allow.
    pub(super) fn loose(&mut self, operand: &Operand, ty: Type) -> Result<Slot> {
        let Operand::Reg(reg) = operand else { return refuse("the operand must be a register") };
        let found = self.vreg(*reg).ty;
        let sort = match (found.class(), ty.class()) {
            (Class::Pred, _) => false,
            (Class::Float, Class::Float) => found == ty,
            (Class::Float, Class::Bits) => found.bytes() == ty.bytes(),
            (Class::Float, _) => false,
            (Class::Int, Class::Float) => false,
            (Class::Bits, Class::Float) => found.bytes() == ty.bytes(),
            _ => true,
        };
        if !sort || found.bytes() < ty.bytes() {
            return refuse(format!(
                "{} is a register of .{} and does not go with .{}",
                self.names[reg.0 as usize],
                found.name(),
                ty.name()
            ));
        }
        Ok(reg.0)
    }

    fn convert_special(&mut self, d: &Operand, name: &str, to: Type, from: Type) -> Result<()> {
        let (which, bits) = super::arithmetic::special(name)?;
        if bits != 32 || from != U32 || to.class() == Class::Float {
            return refuse(format!("{name} is converted from .u32 to whole numbers only"));
        }
        let d = self.loose(d, to)?;
        let wide = self.vregs[d as usize].wide();
        let raw = self.temporary(U32);
        self.emit(Op::Special { which, d: raw });
        let f = usual(to, U32, Round::None, false, wide);
        match f {
            Some(f) => self.emit(Op::One { f, d, a: raw }),
            None => {
                let (round, saturate) = (Round::None, false);
                self.emit(Op::Convert { d, a: raw, to, from, round, saturate, wide, source_wide: false });
            }
        }
        Ok(())
    }

    fn convert_address(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        count(ops, 2)?;
        let (to, space) = match words {
            ["cvta", "to", space, "u64"] => (true, *space),
            ["cvta", space, "u64"] => (false, *space),
            _ => return refuse(format!("the instruction {} is not emulated", words.join("."))),
        };
        let a = match &ops[1] {
            Operand::Name(name) => match self.places.get(name).copied() {
                Some((_, at)) => self.constant(at, true),
                None => return refuse(format!("there is no variable {name}")),
            },
            other => self.src(other, U64)?,
        };
        let d = self.dst(&ops[0], U64)?;
        let f: F1 = match (space, to) {
            ("global" | "const", _) => one!(u64 => u64, |a| a),
            ("shared", true) => one!(u64 => u64, |a| a.wrapping_sub(SHARED_WINDOW)),
            ("shared", false) => one!(u64 => u64, |a| a.wrapping_add(SHARED_WINDOW)),
            _ => return refuse(format!("there is no address space {space} here")),
        };
        self.emit(Op::One { f, d, a });
        Ok(())
    }
}

/// Whether every whole number of a type is one of another.
fn fits(from: Type, to: Type) -> bool {
    let (signed, target) = (from.signed(), to.signed());
    let whole = from.class() == Class::Int && to.class() == Class::Int;
    whole
        && match (signed, target) {
            (true, false) => false,
            (false, true) => from.bytes() < to.bytes(),
            _ => from.bytes() <= to.bytes(),
        }
}

/// Where a conversion must say how it rounds, and where it must not.
fn check_rounding(round: Option<Round>, to: Type, from: Type) -> Result<Round> {
    let whole = matches!(round, Some(Round::WholeNearest | Round::WholeZero | Round::WholeDown | Round::WholeUp));
    let float = round.is_some() && !whole;
    match (to.class(), from.class()) {
        (Class::Float, Class::Float) if to == from => {
            if float {
                return refuse("from a type to itself one rounds to whole numbers: .rni, .rzi, .rmi or .rpi");
            }
        }
        (Class::Float, Class::Float) if to.bytes() < from.bytes() => {
            if !float {
                return refuse("a conversion to fewer bits says how it rounds: .rn, .rz, .rm or .rp");
            }
        }
        (Class::Float, Class::Float) => {
            if round.is_some() {
                return refuse("a conversion that is exact does not round");
            }
        }
        (Class::Int, Class::Float) => {
            if !whole {
                return refuse("from floats to whole numbers one rounds by .rni, .rzi, .rmi or .rpi");
            }
        }
        (Class::Float, Class::Int) => {
            if !float {
                return refuse("from whole numbers to floats one rounds by .rn, .rz, .rm or .rp");
            }
        }
        (Class::Int, Class::Int) => {
            if round.is_some() {
                return refuse("whole numbers are not rounded");
            }
        }
        _ => return refuse("only numbers are converted"),
    }
    Ok(round.unwrap_or(Round::None))
}

/// Conversions that programs do in their inner loops, for all lanes at once.
fn usual(to: Type, from: Type, round: Round, saturate: bool, wide: bool) -> Option<F1> {
    if saturate || wide != (to.bytes() == 8) {
        return None;
    }
    Some(match (to, from, round) {
        (U64 | S64, U32, _) => one!(u32 => u64, |a| a.into()),
        (U64 | S64, S32, _) => one!(i32 => i64, |a| a.into()),
        (U32 | S32, U64 | S64, _) => one!(u64 => u32, |a| a as u32),
        (U32 | S32, U32 | S32, _) => one!(u32 => u32, |a| a),
        (U32 | S32, U16, _) => one!(u16 => u32, |a| a.into()),
        (U32 | S32, S16, _) => one!(i16 => i32, |a| a.into()),
        (U32 | S32, U8, _) => one!(u32 => u32, |a| a & 255),
        (U32 | S32, S8, _) => one!(u32 => i32, |a| i32::from(a as i8)),
        (U16, U32 | S32, _) => one!(u32 => u16, |a| a as u16),
        (F32, S32, Round::Near) => one!(i32 => f32, |a| a as f32),
        (F32, U32, Round::Near) => one!(u32 => f32, |a| a as f32),
        (F64, S32, Round::Near) => one!(i32 => f64, |a| a.into()),
        (F64, U32, Round::Near) => one!(u32 => f64, |a| a.into()),
        // Rust's casts saturate, and give zero for a NaN, as cards do.
        (S32, F32, Round::WholeZero) => one!(f32 => i32, |a| a as i32),
        (U32, F32, Round::WholeZero) => one!(f32 => u32, |a| a as u32),
        (F64, F32, _) => one!(f32 => f64, |a| a.into()),
        (F32, F64, Round::Near) => one!(f64 => f32, |a| a as f32),
        (F32, F32, Round::WholeNearest) => one!(f32 => f32, |a| a.round_ties_even()),
        (F32, F32, Round::WholeZero) => one!(f32 => f32, |a| a.trunc()),
        (F32, F32, Round::WholeDown) => one!(f32 => f32, |a| a.floor()),
        (F32, F32, Round::WholeUp) => one!(f32 => f32, |a| a.ceil()),
        (F32, Bf16, _) => one!(u32 => u32, |a| a << 16),
        (F32, F16, _) => one!(u32 => f32, |a| half::f16::from_bits(a as u16).to_f32()),
        (F16, F32, Round::Near) => one!(f32 => u32, |a| convert::to_half(a)),
        (Bf16, F32, Round::Near) => one!(f32 => u32, |a| convert::to_bfloat(a)),
        _ => return None,
    })
}
