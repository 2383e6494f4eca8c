//! Arithmetic and logic: the table of what each instruction computes.

use super::{Decoder, Result, count, refuse};
use crate::emulator::alu::*;
use crate::emulator::code::*;
use crate::emulator::lanes::{F1, F2, F3, one, test, three, two};
use crate::emulator::ptx::{Class, Operand, Type};

use Type::{B16, B32, B64, F32, F64, Pred as P, S16, S32, S64, U16, U32, U64};

/// An operation and the types of its result and operands.
enum Row {
    One(F1, Type, Type),
    Two(F2, Type, Type, Type),
    Three(F3, Type, Type, Type, Type),
    Rare(fn(u64, u64, u64) -> u64, Type, [Type; 3], usize),
    /// A truth table over one or two predicates.
    Logic(u8, usize),
}

impl Decoder<'_> {
    pub(super) fn arithmetic(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        let (name, last) = (words[0], words[words.len() - 1]);
        match name {
            "lop3" => return self.lop3(words, ops),
            "bfi" => return self.bfi(words, ops),
            "set" => return self.set(words, ops),
            _ => {}
        }
        let Some(ty) = Type::parse(last).filter(|_| words.len() > 1) else {
            return refuse(format!("the instruction {} is not emulated", words.join(".")));
        };
        let mods = &words[1..words.len() - 1];
        if matches!(name, "add" | "sub" | "mul" | "fma" | "mad") && ty.class() == Class::Float && mods.is_empty() {
            let hint = if name == "mad" { "fma.rn" } else { name };
            return refuse(format!(
                "{name}.{last} without .rn may be contracted by ptxas, so that its bits are open: write {hint}.rn.{last}"
            ));
        }
        if mods.contains(&"ftz") {
            return refuse("subnormal numbers are not flushed here: .ftz is not emulated");
        }
        let row = float_row(name, mods, ty).or_else(|| int_row(name, mods, ty)).or_else(|| bit_row(name, mods, ty));
        let Some(row) = row else {
            return refuse(format!("the instruction {} is not emulated", words.join(".")));
        };
        self.row(row, ops)
    }

    fn row(&mut self, row: Row, ops: &[Operand]) -> Result<()> {
        let op = match row {
            Row::One(f, d, a) => {
                count(ops, 2)?;
                Op::One { f, d: self.dst(&ops[0], d)?, a: self.src(&ops[1], a)? }
            }
            Row::Two(f, d, a, b) => {
                count(ops, 3)?;
                Op::Two { f, d: self.dst(&ops[0], d)?, a: self.src(&ops[1], a)?, b: self.src(&ops[2], b)? }
            }
            Row::Three(f, d, a, b, c) => {
                count(ops, 4)?;
                let (a, b, c) = (self.src(&ops[1], a)?, self.src(&ops[2], b)?, self.src(&ops[3], c)?);
                Op::Three { f, d: self.dst(&ops[0], d)?, a, b, c }
            }
            Row::Rare(f, d, types, n) => {
                count(ops, n + 1)?;
                let mut slots = [NONE; 3];
                for i in 0..n {
                    slots[i] = self.src(&ops[i + 1], types[i])?;
                }
                let wide = |i: usize| i < n && types[i].bytes() == 8;
                let wide = Wide { d: d.bytes() == 8, a: wide(0), b: wide(1), c: wide(2) };
                Op::Rare { f, d: self.dst(&ops[0], d)?, a: slots[0], b: slots[1], c: slots[2], wide }
            }
            Row::Logic(table, n) => {
                count(ops, n + 1)?;
                let d = self.dst(&ops[0], P)?;
                let (a, not_a) = self.pred(&ops[1])?;
                let (b, not_b) = if n == 2 { self.pred(&ops[2])? } else { (a, not_a) };
                // What is negated is looked up in a table in which its place is the other one.
                let flip = u8::from(not_a) | u8::from(not_b) << 1;
                let table = (0..4).fold(0, |out, i: u8| out | (table >> (i ^ flip) & 1) << i);
                Op::Logic { table, d, a, b }
            }
        };
        self.emit(op);
        Ok(())
    }

    fn lop3(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        if words != ["lop3", "b32"] {
            return refuse(format!("the instruction {} is not emulated", words.join(".")));
        }
        count(ops, 5)?;
        let Operand::Int(table @ 0..=255) = ops[4] else { return refuse("the table of lop3 is a number of 8 bits") };
        let (a, b, c) = (self.src(&ops[1], B32)?, self.src(&ops[2], B32)?, self.src(&ops[3], B32)?);
        let d = self.dst(&ops[0], B32)?;
        self.emit(Op::Lop3 { table: table as u8, d, a, b, c });
        Ok(())
    }

    pub(super) fn mov(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        count(ops, 2)?;
        let Some(ty) = Type::parse(words[words.len() - 1]).filter(|_| words.len() == 2) else {
            return refuse(format!("the instruction {} is not emulated", words.join(".")));
        };
        match (&ops[0], &ops[1]) {
            (Operand::List(_), _) | (_, Operand::List(_)) => self.pack(ty, ops),
            (d, Operand::Int(value)) if ty == P => {
                let d = self.dst(d, P)?;
                self.emit(Op::SetPred { d, value: *value != 0 });
                Ok(())
            }
            (_, _) if ty == P => self.row(Row::Logic(0b1010, 1), ops),
            (d, Operand::Special(name)) => self.special(d, name, ty),
            (d, Operand::Name(name)) => {
                let Some((space, at)) = self.places.get(name).copied() else {
                    return refuse(format!("there is no variable {name}"));
                };
                if !matches!(ty, U32 | B32 | U64 | B64 | S32 | S64) || (ty.bytes() == 4 && at > u32::MAX.into()) {
                    return refuse(format!("the address of {name}, in {space:?} memory, is not a .{}", ty.name()));
                }
                let a = self.constant(at, ty.bytes() == 8);
                let d = self.dst(d, ty)?;
                self.emit(move_op(d, a, ty.bytes() == 8));
                Ok(())
            }
            (d, a) => {
                let (d, a) = (self.dst(d, ty)?, self.src(a, ty)?);
                self.emit(move_op(d, a, ty.bytes() == 8));
                Ok(())
            }
        }
    }

    /// `mov.b64 {lo, hi}, a` and `mov.b64 d, {lo, hi}`; the same with halves of 32 bits.
    fn pack(&mut self, ty: Type, ops: &[Operand]) -> Result<()> {
        let half = match ty {
            B64 => B32,
            B32 => B16,
            _ => return refuse("only b32 and b64 are packed"),
        };
        for list in ops {
            if let Operand::List(list) = list {
                let types: Vec<Type> = list
                    .iter()
                    .filter_map(|part| if let Operand::Reg(reg) = part { Some(self.vreg(*reg).ty) } else { None })
                    .collect();
                if types.windows(2).any(|pair| pair[0] != pair[1]) {
                    return refuse("both halves have one type");
                }
            }
        }
        match (&ops[0], &ops[1]) {
            (Operand::List(to), from) if to.len() == 2 => {
                let a = self.src(from, ty)?;
                let (low, high): (F1, F1) = if ty == B64 {
                    (one!(u64 => u32, |a| a as u32), one!(u64 => u32, |a| (a >> 32) as u32))
                } else {
                    (one!(u32 => u16, |a| a as u16), one!(u32 => u16, |a| (a >> 16) as u16))
                };
                // The second half is still to be read when the first is written.
                if to[0] == *from {
                    return refuse("a register cannot be split into itself");
                }
                for (d, f) in [(&to[0], low), (&to[1], high)] {
                    if *d != Operand::Sink {
                        let d = self.dst(d, half)?;
                        self.emit(Op::One { f, d, a });
                    }
                }
                Ok(())
            }
            (to, Operand::List(from)) if from.len() == 2 => {
                let f: F2 = if ty == B64 {
                    two!(u32, u32 => u64, |a, b| u64::from(a) | u64::from(b) << 32)
                } else {
                    two!(u16, u16 => u32, |a, b| u32::from(a) | u32::from(b) << 16)
                };
                let (a, b) = (self.src(&from[0], half)?, self.src(&from[1], half)?);
                let d = self.dst(to, ty)?;
                self.emit(Op::Two { f, d, a, b });
                Ok(())
            }
            _ => refuse("only two halves are packed and unpacked"),
        }
    }

    fn special(&mut self, d: &Operand, name: &str, ty: Type) -> Result<()> {
        let (which, bits) = special(name)?;
        if ty.bytes() * 8 != bits || ty.class() == Class::Float {
            return refuse(format!("{name} has {bits} bits and is no .{}", ty.name()));
        }
        let d = self.dst(d, ty)?;
        self.emit(Op::Special { which, d });
        Ok(())
    }

    pub(super) fn setp(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        let (joined, rest) = match words {
            ["setp", cmp, joined @ ("and" | "or" | "xor"), ty] => (Some(*joined), (*cmp, *ty)),
            ["setp", cmp, ty] => (None, (*cmp, *ty)),
            _ => return refuse(format!("the instruction {} is not emulated", words.join("."))),
        };
        let Some(ty) = Type::parse(rest.1) else { return refuse(format!("{} is not a type", rest.1)) };
        let Some(f) = comparison(rest.0, ty) else {
            return refuse(format!("the comparison {}.{} is not emulated", rest.0, rest.1));
        };
        count(ops, 3 + usize::from(joined.is_some()))?;
        let (d, not) = match &ops[0] {
            Operand::Pair(d, not) => (self.pred_dst(d)?, self.pred_dst(not)?),
            other => (self.pred_dst(other)?, NONE),
        };
        let (a, b) = (self.src(&ops[1], ty)?, self.src(&ops[2], ty)?);
        let with = match joined {
            None => Combine::None,
            Some(word) => {
                let (p, negated) = self.pred(&ops[3])?;
                match word {
                    "and" => Combine::And(p, negated),
                    "or" => Combine::Or(p, negated),
                    _ => Combine::Xor(p, negated),
                }
            }
        };
        self.emit(Op::Compare { f, d, not, a, b, with });
        Ok(())
    }

    pub(super) fn selp(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        count(ops, 4)?;
        let ty = match words {
            ["selp", ty] => Type::parse(ty).filter(|ty| ty.bytes() > 1),
            _ => None,
        };
        let Some(ty) = ty else { return refuse(format!("the instruction {} is not emulated", words.join("."))) };
        let (d, a, b) = (self.dst(&ops[0], ty)?, self.src(&ops[1], ty)?, self.src(&ops[2], ty)?);
        let (p, negated) = self.pred(&ops[3])?;
        let (a, b) = if negated { (b, a) } else { (a, b) };
        self.emit(if ty.bytes() == 8 { Op::Select64 { d, a, b, p } } else { Op::Select32 { d, a, b, p } });
        Ok(())
    }
}

pub(super) fn move_op(d: Slot, a: Slot, wide: bool) -> Op {
    let f = if wide { one!(u64 => u64, |a| a) } else { one!(u32 => u32, |a| a) };
    Op::One { f, d, a }
}

/// A special register and its bits.
pub(super) fn special(name: &str) -> Result<(Special, u32)> {
    Ok(match name {
        "%tid.x" => (Special::Tid, 32),
        "%ntid.x" => (Special::Ntid, 32),
        "%ctaid.x" => (Special::Ctaid, 32),
        "%nctaid.x" => (Special::Nctaid, 32),
        "%tid.y" | "%tid.z" | "%ctaid.y" | "%ctaid.z" => (Special::Zero, 32),
        "%ntid.y" | "%ntid.z" | "%nctaid.y" | "%nctaid.z" => (Special::One, 32),
        "%laneid" => (Special::Lane, 32),
        "%warpid" => (Special::Warp, 32),
        "%nwarpid" => (Special::Warps, 32),
        "%smid" => (Special::Multiprocessor, 32),
        "%lanemask_lt" => (Special::LaneLess, 32),
        "%lanemask_le" => (Special::LaneLessEqual, 32),
        "%lanemask_eq" => (Special::LaneEqual, 32),
        "%lanemask_gt" => (Special::LaneGreater, 32),
        "%lanemask_ge" => (Special::LaneGreaterEqual, 32),
        "%dynamic_smem_size" => (Special::DynamicShared, 32),
        "%clock" => (Special::Clock, 32),
        "%clock64" => (Special::Clock64, 64),
        "%globaltimer" => (Special::Time, 64),
        _ => return refuse(format!("{name} is neither declared nor a special register that is emulated")),
    })
}

fn float_row(name: &str, mods: &[&str], ty: Type) -> Option<Row> {
    Some(match (name, mods, ty) {
        ("add", ["rn"], F32) => Row::Two(two!(f32, f32 => f32, |a, b| a + b), F32, F32, F32),
        ("sub", ["rn"], F32) => Row::Two(two!(f32, f32 => f32, |a, b| a - b), F32, F32, F32),
        ("mul", ["rn"], F32) => Row::Two(two!(f32, f32 => f32, |a, b| a * b), F32, F32, F32),
        ("div", ["rn"] | ["approx"] | ["full"], F32) => Row::Two(two!(f32, f32 => f32, |a, b| a / b), F32, F32, F32),
        ("fma" | "mad", ["rn"], F32) => {
            Row::Three(three!(f32, f32, f32 => f32, |a, b, c| a.mul_add(b, c)), F32, F32, F32, F32)
        }
        ("sqrt", ["rn"] | ["approx"], F32) => Row::One(one!(f32 => f32, |a| a.sqrt()), F32, F32),
        ("rcp", ["rn"] | ["approx"], F32) => Row::One(one!(f32 => f32, |a| 1.0 / a), F32, F32),
        ("neg", [], F32) => Row::One(one!(u32 => u32, |a| a ^ 1 << 31), F32, F32),
        ("abs", [], F32) => Row::One(one!(u32 => u32, |a| a & !(1 << 31)), F32, F32),
        ("min", [], F32) => Row::Two(two!(f32, f32 => f32, |a, b| min32(a, b)), F32, F32, F32),
        ("max", [], F32) => Row::Two(two!(f32, f32 => f32, |a, b| max32(a, b)), F32, F32, F32),
        ("min", ["NaN"], F32) => Row::Two(two!(f32, f32 => f32, |a, b| min32_nan(a, b)), F32, F32, F32),
        ("max", ["NaN"], F32) => Row::Two(two!(f32, f32 => f32, |a, b| max32_nan(a, b)), F32, F32, F32),
        // The sign is that of the first operand.
        ("copysign", [], F32) => {
            Row::Two(two!(u32, u32 => u32, |a, b| (a & 1 << 31) | (b & !(1 << 31))), F32, F32, F32)
        }
        ("rsqrt", ["approx"], F32) => Row::One(one!(f32 => f32, |a| (1.0 / f64::from(a).sqrt()) as f32), F32, F32),
        ("ex2", ["approx"], F32) => Row::One(one!(f32 => f32, |a| f64::from(a).exp2() as f32), F32, F32),
        ("lg2", ["approx"], F32) => Row::One(one!(f32 => f32, |a| f64::from(a).log2() as f32), F32, F32),
        ("sin", ["approx"], F32) => Row::One(one!(f32 => f32, |a| f64::from(a).sin() as f32), F32, F32),
        ("cos", ["approx"], F32) => Row::One(one!(f32 => f32, |a| f64::from(a).cos() as f32), F32, F32),
        ("tanh", ["approx"], F32) => Row::One(one!(f32 => f32, |a| f64::from(a).tanh() as f32), F32, F32),
        ("add", ["rn"], F64) => Row::Two(two!(f64, f64 => f64, |a, b| a + b), F64, F64, F64),
        ("sub", ["rn"], F64) => Row::Two(two!(f64, f64 => f64, |a, b| a - b), F64, F64, F64),
        ("mul", ["rn"], F64) => Row::Two(two!(f64, f64 => f64, |a, b| a * b), F64, F64, F64),
        ("div", ["rn"], F64) => Row::Two(two!(f64, f64 => f64, |a, b| a / b), F64, F64, F64),
        ("fma" | "mad", ["rn"], F64) => {
            Row::Three(three!(f64, f64, f64 => f64, |a, b, c| a.mul_add(b, c)), F64, F64, F64, F64)
        }
        ("sqrt", ["rn"], F64) => Row::One(one!(f64 => f64, |a| a.sqrt()), F64, F64),
        ("rcp", ["rn"], F64) => Row::One(one!(f64 => f64, |a| 1.0 / a), F64, F64),
        ("neg", [], F64) => Row::One(one!(u64 => u64, |a| a ^ 1 << 63), F64, F64),
        ("abs", [], F64) => Row::One(one!(u64 => u64, |a| a & !(1 << 63)), F64, F64),
        ("min", [], F64) => Row::Two(two!(f64, f64 => f64, |a, b| min64(a, b)), F64, F64, F64),
        ("max", [], F64) => Row::Two(two!(f64, f64 => f64, |a, b| max64(a, b)), F64, F64, F64),
        ("copysign", [], F64) => {
            Row::Two(two!(u64, u64 => u64, |a, b| (a & 1 << 63) | (b & !(1 << 63))), F64, F64, F64)
        }
        _ => return None,
    })
}

/// One row for both signs of one width.
macro_rules! both {
    ($U:ident, $S:ident, $u:ty, $s:ty, $bits:expr, $D:ident, $name:expr, $mods:expr, $ty:expr) => {{
        let ty = $ty;
        match ($name, $mods) {
            ("add", []) => Row::Two(two!($u, $u => $u, |a, b| a.wrapping_add(b)), ty, ty, ty),
            ("sub", []) => Row::Two(two!($u, $u => $u, |a, b| a.wrapping_sub(b)), ty, ty, ty),
            ("mul", ["lo"]) => Row::Two(two!($u, $u => $u, |a, b| a.wrapping_mul(b)), ty, ty, ty),
            ("mad", ["lo"]) => {
                Row::Three(three!($u, $u, $u => $u, |a, b, c| a.wrapping_mul(b).wrapping_add(c)), ty, ty, ty, ty)
            }
            ("mul", ["hi"]) if ty == Type::$U => {
                Row::Two(two!($u, $u => $u, |a, b| ((a as u128 * b as u128) >> $bits) as $u), ty, ty, ty)
            }
            ("mul", ["hi"]) => {
                Row::Two(two!($s, $s => $s, |a, b| ((a as i128 * b as i128) >> $bits) as $s), ty, ty, ty)
            }
            ("mad", ["hi"]) if ty == Type::$U => Row::Three(
                three!($u, $u, $u => $u, |a, b, c| (((a as u128 * b as u128) >> $bits) as $u).wrapping_add(c)),
                ty, ty, ty, ty,
            ),
            ("mad", ["hi"]) => Row::Three(
                three!($s, $s, $s => $s, |a, b, c| (((a as i128 * b as i128) >> $bits) as $s).wrapping_add(c)),
                ty, ty, ty, ty,
            ),
            // What a division by zero gives is unspecified; cards give all ones.
            ("div", []) if ty == Type::$U => {
                Row::Two(two!($u, $u => $u, |a, b| a.checked_div(b).unwrap_or(!0)), ty, ty, ty)
            }
            ("div", []) => {
                Row::Two(two!($s, $s => $s, |a, b| if b == 0 { -1 } else { a.wrapping_div(b) }), ty, ty, ty)
            }
            ("rem", []) if ty == Type::$U => {
                Row::Two(two!($u, $u => $u, |a, b| a.checked_rem(b).unwrap_or(a)), ty, ty, ty)
            }
            ("rem", []) => {
                Row::Two(two!($s, $s => $s, |a, b| if b == 0 { a } else { a.wrapping_rem(b) }), ty, ty, ty)
            }
            ("min", []) if ty == Type::$U => Row::Two(two!($u, $u => $u, |a, b| a.min(b)), ty, ty, ty),
            ("min", []) => Row::Two(two!($s, $s => $s, |a, b| a.min(b)), ty, ty, ty),
            ("max", []) if ty == Type::$U => Row::Two(two!($u, $u => $u, |a, b| a.max(b)), ty, ty, ty),
            ("max", []) => Row::Two(two!($s, $s => $s, |a, b| a.max(b)), ty, ty, ty),
            ("neg", []) if ty == Type::$S => Row::One(one!($s => $s, |a| a.wrapping_neg()), ty, ty),
            ("abs", []) if ty == Type::$S => Row::One(one!($s => $s, |a| a.wrapping_abs()), ty, ty),
            // Shifts to the right of 32 bits and more leave the sign; their count is not taken modulo the width.
            ("shr", []) if ty == Type::$S => {
                Row::Two(two!($s, u32 => $s, |a, b| a >> b.min($bits - 1)), ty, ty, U32)
            }
            ("shr", []) => Row::Two(two!($u, u32 => $u, |a, b| if b < $bits { a >> b } else { 0 }), ty, ty, U32),
            _ => return None,
        }
    }};
}

fn int_row(name: &str, mods: &[&str], ty: Type) -> Option<Row> {
    Some(match (name, mods, ty) {
        ("mul", ["wide"], U32) => Row::Two(two!(u32, u32 => u64, |a, b| u64::from(a) * u64::from(b)), U64, U32, U32),
        ("mul", ["wide"], S32) => Row::Two(two!(i32, i32 => i64, |a, b| i64::from(a) * i64::from(b)), S64, S32, S32),
        ("mul", ["wide"], U16) => Row::Two(two!(u16, u16 => u32, |a, b| u32::from(a) * u32::from(b)), U32, U16, U16),
        ("mul", ["wide"], S16) => Row::Two(two!(i16, i16 => i32, |a, b| i32::from(a) * i32::from(b)), S32, S16, S16),
        ("mad", ["wide"], U32) => Row::Three(
            three!(u32, u32, u64 => u64, |a, b, c| (u64::from(a) * u64::from(b)).wrapping_add(c)),
            U64,
            U32,
            U32,
            U64,
        ),
        ("mad", ["wide"], S32) => Row::Three(
            three!(i32, i32, i64 => i64, |a, b, c| (i64::from(a) * i64::from(b)).wrapping_add(c)),
            S64,
            S32,
            S32,
            S64,
        ),
        ("slct", [kind], S32 | F32) => {
            let kind = Type::parse(kind)?;
            match (kind.bytes(), ty) {
                (4, S32) => {
                    Row::Three(three!(u32, u32, i32 => u32, |a, b, c| if c >= 0 { a } else { b }), kind, kind, kind, ty)
                }
                (8, S32) => {
                    Row::Three(three!(u64, u64, i32 => u64, |a, b, c| if c >= 0 { a } else { b }), kind, kind, kind, ty)
                }
                (4, _) => Row::Three(
                    three!(u32, u32, f32 => u32, |a, b, c| if c >= 0.0 { a } else { b }),
                    kind,
                    kind,
                    kind,
                    ty,
                ),
                _ => return None,
            }
        }
        (_, _, U16 | S16) => both!(U16, S16, u16, i16, 16, U16, name, mods, ty),
        (_, _, U32 | S32) => both!(U32, S32, u32, i32, 32, U32, name, mods, ty),
        (_, _, U64 | S64) => both!(U64, S64, u64, i64, 64, U64, name, mods, ty),
        _ => return None,
    })
}

fn bit_row(name: &str, mods: &[&str], ty: Type) -> Option<Row> {
    Some(match (name, mods, ty) {
        ("and", [], P) => Row::Logic(0b1000, 2),
        ("or", [], P) => Row::Logic(0b1110, 2),
        ("xor", [], P) => Row::Logic(0b0110, 2),
        ("not", [], P) => Row::Logic(0b0101, 1),
        ("and", [], B16 | B32) => Row::Two(two!(u32, u32 => u32, |a, b| a & b), ty, ty, ty),
        ("or", [], B16 | B32) => Row::Two(two!(u32, u32 => u32, |a, b| a | b), ty, ty, ty),
        ("xor", [], B16 | B32) => Row::Two(two!(u32, u32 => u32, |a, b| a ^ b), ty, ty, ty),
        ("not", [], B32) => Row::One(one!(u32 => u32, |a| !a), ty, ty),
        ("not", [], B16) => Row::One(one!(u16 => u16, |a| !a), ty, ty),
        ("cnot", [], B32) => Row::One(one!(u32 => u32, |a| u32::from(a == 0)), ty, ty),
        ("and", [], B64) => Row::Two(two!(u64, u64 => u64, |a, b| a & b), ty, ty, ty),
        ("or", [], B64) => Row::Two(two!(u64, u64 => u64, |a, b| a | b), ty, ty, ty),
        ("xor", [], B64) => Row::Two(two!(u64, u64 => u64, |a, b| a ^ b), ty, ty, ty),
        ("not", [], B64) => Row::One(one!(u64 => u64, |a| !a), ty, ty),
        ("shl", [], B16) => Row::Two(two!(u16, u32 => u16, |a, b| if b < 16 { a << b } else { 0 }), ty, ty, U32),
        ("shl", [], B32) => Row::Two(two!(u32, u32 => u32, |a, b| if b < 32 { a << b } else { 0 }), ty, ty, U32),
        ("shl", [], B64) => Row::Two(two!(u64, u32 => u64, |a, b| if b < 64 { a << b } else { 0 }), ty, ty, U32),
        ("shr", [], B16) => Row::Two(two!(u16, u32 => u16, |a, b| if b < 16 { a >> b } else { 0 }), ty, ty, U32),
        ("shr", [], B32) => Row::Two(two!(u32, u32 => u32, |a, b| if b < 32 { a >> b } else { 0 }), ty, ty, U32),
        ("shr", [], B64) => Row::Two(two!(u64, u32 => u64, |a, b| if b < 64 { a >> b } else { 0 }), ty, ty, U32),
        ("shf", ["l", "wrap"], B32) => {
            Row::Three(three!(u32, u32, u32 => u32, |a, b, c| funnel_left(a, b, c & 31)), ty, ty, ty, U32)
        }
        ("shf", ["l", "clamp"], B32) => {
            Row::Three(three!(u32, u32, u32 => u32, |a, b, c| funnel_left(a, b, c.min(32))), ty, ty, ty, U32)
        }
        ("shf", ["r", "wrap"], B32) => {
            Row::Three(three!(u32, u32, u32 => u32, |a, b, c| funnel_right(a, b, c & 31)), ty, ty, ty, U32)
        }
        ("shf", ["r", "clamp"], B32) => {
            Row::Three(three!(u32, u32, u32 => u32, |a, b, c| funnel_right(a, b, c.min(32))), ty, ty, ty, U32)
        }
        ("popc", [], B32) => Row::One(one!(u32 => u32, |a| a.count_ones()), U32, ty),
        ("popc", [], B64) => Row::One(one!(u64 => u32, |a| a.count_ones()), U32, ty),
        ("clz", [], B32) => Row::One(one!(u32 => u32, |a| a.leading_zeros()), U32, ty),
        ("clz", [], B64) => Row::One(one!(u64 => u32, |a| a.leading_zeros()), U32, ty),
        ("brev", [], B32) => Row::One(one!(u32 => u32, |a| a.reverse_bits()), ty, ty),
        ("brev", [], B64) => Row::One(one!(u64 => u64, |a| a.reverse_bits()), ty, ty),
        ("bfind", [], U32) => Row::One(one!(u32 => u32, |a| 31u32.wrapping_sub(a.leading_zeros())), U32, ty),
        ("bfe", [], U32) => Row::Rare(bfe_u32, ty, [ty, U32, U32], 3),
        ("bfe", [], S32) => Row::Rare(bfe_s32, ty, [ty, U32, U32], 3),
        ("bfe", [], U64) => Row::Rare(bfe_u64, ty, [ty, U32, U32], 3),
        ("bfe", [], S64) => Row::Rare(bfe_s64, ty, [ty, U32, U32], 3),
        ("prmt", [], B32) => Row::Rare(prmt, ty, [ty, ty, ty], 3),
        _ => return None,
    })
}

impl Decoder<'_> {
    /// `bfi` has four operands: it is decoded as the mask, in a register of its own, and the choice of bits.
    pub(super) fn bfi(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        let ["bfi", ty @ ("b32" | "b64")] = words else {
            return refuse(format!("the instruction {} is not emulated", words.join(".")));
        };
        count(ops, 5)?;
        let ty = if *ty == "b32" { B32 } else { B64 };
        let (field, base) = (self.src(&ops[1], ty)?, self.src(&ops[2], ty)?);
        let (start, length) = (self.src(&ops[3], U32)?, self.src(&ops[4], U32)?);
        let d = self.dst(&ops[0], ty)?;
        let (mask, shifted) = (self.temporary(ty), self.temporary(ty));
        if ty == B32 {
            let f = two!(u32, u32 => u32, |s, n| field_mask(s, n, 32) as u32);
            self.emit(Op::Two { f, d: mask, a: start, b: length });
            let f = two!(u32, u32 => u32, |a, s| a.checked_shl(s & 255).unwrap_or(0));
            self.emit(Op::Two { f, d: shifted, a: field, b: start });
            let f = three!(u32, u32, u32 => u32, |a, b, m| (a & m) | (b & !m));
            self.emit(Op::Three { f, d, a: shifted, b: base, c: mask });
        } else {
            let f = two!(u32, u32 => u64, |s, n| field_mask(s, n, 64));
            self.emit(Op::Two { f, d: mask, a: start, b: length });
            let f = two!(u64, u32 => u64, |a, s| a.checked_shl(s & 255).unwrap_or(0));
            self.emit(Op::Two { f, d: shifted, a: field, b: start });
            let f = three!(u64, u64, u64 => u64, |a, b, m| (a & m) | (b & !m));
            self.emit(Op::Three { f, d, a: shifted, b: base, c: mask });
        }
        Ok(())
    }

    /// `set.lt.f32.s32 d, a, b`: all ones or 1.0 where the comparison holds, as a comparison and a choice.
    pub(super) fn set(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        let ["set", cmp, to, ty] = words else {
            return refuse(format!("the instruction {} is not emulated", words.join(".")));
        };
        let (Some(to), Some(ty)) = (Type::parse(to), Type::parse(ty)) else { return refuse("unknown types") };
        let (Some(f), true) = (comparison(cmp, ty), matches!(to, U32 | S32 | F32)) else {
            return refuse(format!("the instruction {} is not emulated", words.join(".")));
        };
        count(ops, 3)?;
        let (a, b) = (self.src(&ops[1], ty)?, self.src(&ops[2], ty)?);
        let d = self.dst(&ops[0], to)?;
        let p = self.temporary(P);
        self.emit(Op::Compare { f, d: p, not: NONE, a, b, with: Combine::None });
        let yes = self.constant(if to == F32 { 1f32.to_bits().into() } else { u32::MAX.into() }, false);
        let no = self.constant(0, false);
        self.emit(Op::Select32 { d, a: yes, b: no, p });
        Ok(())
    }
}

// With a NaN a comparison does not hold, and its negation does: the negations are meant.
#[allow(clippy::neg_cmp_op_on_partial_ord, clippy::double_comparisons)]
fn comparison(name: &str, ty: Type) -> Option<crate::emulator::lanes::FTest> {
    macro_rules! floats {
        ($T:ty) => {
            match name {
                "eq" => test!($T, |a, b| a == b),
                "ne" => test!($T, |a, b| a < b || a > b),
                "lt" => test!($T, |a, b| a < b),
                "le" => test!($T, |a, b| a <= b),
                "gt" => test!($T, |a, b| a > b),
                "ge" => test!($T, |a, b| a >= b),
                // Those with u hold as well where an operand is a NaN.
                "equ" => test!($T, |a, b| !(a < b || a > b)),
                "neu" => test!($T, |a, b| a != b),
                "ltu" => test!($T, |a, b| !(a >= b)),
                "leu" => test!($T, |a, b| !(a > b)),
                "gtu" => test!($T, |a, b| !(a <= b)),
                "geu" => test!($T, |a, b| !(a < b)),
                "num" => test!($T, |a, b| !a.is_nan() && !b.is_nan()),
                "nan" => test!($T, |a, b| a.is_nan() || b.is_nan()),
                _ => return None,
            }
        };
    }
    macro_rules! ints {
        ($T:ty, $lt:literal, $le:literal, $gt:literal, $ge:literal) => {
            match name {
                "eq" => test!($T, |a, b| a == b),
                "ne" => test!($T, |a, b| a != b),
                _ if name == $lt || name == "lt" => test!($T, |a, b| a < b),
                _ if name == $le || name == "le" => test!($T, |a, b| a <= b),
                _ if name == $gt || name == "gt" => test!($T, |a, b| a > b),
                _ if name == $ge || name == "ge" => test!($T, |a, b| a >= b),
                _ => return None,
            }
        };
    }
    let bits_only = matches!(name, "eq" | "ne");
    Some(match ty {
        F32 => floats!(f32),
        F64 => floats!(f64),
        U16 => ints!(u16, "lo", "ls", "hi", "hs"),
        U32 => ints!(u32, "lo", "ls", "hi", "hs"),
        U64 => ints!(u64, "lo", "ls", "hi", "hs"),
        S16 => ints!(i16, "", "", "", ""),
        S32 => ints!(i32, "", "", "", ""),
        S64 => ints!(i64, "", "", "", ""),
        B16 if bits_only => ints!(u16, "", "", "", ""),
        B32 if bits_only => ints!(u32, "", "", "", ""),
        B64 if bits_only => ints!(u64, "", "", "", ""),
        _ => return None,
    })
}
