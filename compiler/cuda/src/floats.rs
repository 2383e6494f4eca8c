//! [`whorl_kernels::ops::Ops`] by writing PTX: elementary functions are those of all backends, operation for operation.

use whorl_kernels::ops::{Ops, Table};

use crate::emit;
use crate::ptx::{Class, Operand, Reg, Text};
use crate::tables::Tables;

/// A thread as a machine of one `f32`, or of one `f64`.
pub struct Floats<'x> {
    pub text: &'x mut Text,
    pub tables: &'x mut Tables,
    pub double: bool,
}

/// The instruction for `f32` and for `f64`, and what it gives.
macro_rules! by_width {
    ($self:ident, $narrow:literal, $wide:literal) => {
        if $self.double { $wide } else { $narrow }
    };
}

impl Floats<'_> {
    fn float(&self) -> Class {
        if self.double { Class::F64 } else { Class::F32 }
    }

    fn int(&self) -> Class {
        if self.double { Class::Long } else { Class::Word }
    }

    fn rounded(&mut self, direction: &str, a: Operand) -> Operand {
        let ty = by_width!(self, "f32", "f64");
        self.text.one(&format!("cvt.{direction}.{ty}.{ty}"), self.float(), a).into()
    }

    fn f1(&mut self, op: &str, a: Operand) -> Operand {
        self.text.one(op, self.float(), a).into()
    }

    fn f2(&mut self, op: &str, a: Operand, b: Operand) -> Operand {
        self.text.two(op, self.float(), a, b).into()
    }

    fn i2(&mut self, op: &str, a: Operand, b: Operand) -> Operand {
        self.text.two(op, self.int(), a, b).into()
    }

    fn test(&mut self, op: &str, a: Operand, b: Operand) -> Reg {
        self.text.two(op, Class::Predicate, a, b)
    }
}

impl Ops for Floats<'_> {
    type F = Operand;
    type I = Operand;
    type M = Reg;

    fn f(&mut self, x: f64) -> Operand {
        if self.double { Operand::f64(x) } else { Operand::f32(x as f32) }
    }
    fn i(&mut self, x: i64) -> Operand {
        Operand::Int(if self.double { x } else { x as i32 as i64 })
    }

    fn add(&mut self, a: Operand, b: Operand) -> Operand {
        self.f2(by_width!(self, "add.rn.f32", "add.rn.f64"), a, b)
    }
    fn sub(&mut self, a: Operand, b: Operand) -> Operand {
        self.f2(by_width!(self, "sub.rn.f32", "sub.rn.f64"), a, b)
    }
    fn mul(&mut self, a: Operand, b: Operand) -> Operand {
        self.f2(by_width!(self, "mul.rn.f32", "mul.rn.f64"), a, b)
    }
    fn div(&mut self, a: Operand, b: Operand) -> Operand {
        self.f2(by_width!(self, "div.rn.f32", "div.rn.f64"), a, b)
    }
    fn fma(&mut self, a: Operand, b: Operand, c: Operand) -> Operand {
        let op = by_width!(self, "fma.rn.f32", "fma.rn.f64");
        self.text.three(op, self.float(), a, b, c).into()
    }
    fn sqrt(&mut self, a: Operand) -> Operand {
        self.f1(by_width!(self, "sqrt.rn.f32", "sqrt.rn.f64"), a)
    }
    fn neg(&mut self, a: Operand) -> Operand {
        self.f1(by_width!(self, "neg.f32", "neg.f64"), a)
    }
    fn abs(&mut self, a: Operand) -> Operand {
        self.f1(by_width!(self, "abs.f32", "abs.f64"), a)
    }
    fn floor(&mut self, a: Operand) -> Operand {
        self.rounded("rmi", a)
    }
    fn ceil(&mut self, a: Operand) -> Operand {
        self.rounded("rpi", a)
    }
    fn round(&mut self, a: Operand) -> Operand {
        self.rounded("rni", a)
    }

    fn lt(&mut self, a: Operand, b: Operand) -> Reg {
        self.test(by_width!(self, "setp.lt.f32", "setp.lt.f64"), a, b)
    }
    fn le(&mut self, a: Operand, b: Operand) -> Reg {
        self.test(by_width!(self, "setp.le.f32", "setp.le.f64"), a, b)
    }
    fn eq(&mut self, a: Operand, b: Operand) -> Reg {
        self.test(by_width!(self, "setp.eq.f32", "setp.eq.f64"), a, b)
    }
    fn select(&mut self, m: Reg, a: Operand, b: Operand) -> Operand {
        let op = by_width!(self, "selp.f32", "selp.f64");
        self.text.three(op, self.float(), a, b, m).into()
    }
    fn rarely(&mut self, m: Reg, usual: Operand, rare: impl FnOnce(&mut Self) -> Operand) -> Operand {
        let out = self.text.reg(self.float());
        self.text.assign(out, usual);
        let skip = self.text.label();
        self.text.jump_unless(m, skip);
        let r = rare(self);
        self.text.assign(out, r);
        self.text.place(skip);
        out.into()
    }

    fn row(&mut self, table: &'static Table, at: Operand) -> [Operand; 8] {
        let name = self.tables.name(table);
        let number = self.text.two("and.b32", Class::Word, at, Operand::Int(31));
        let start = self.text.reg(Class::Long);
        emit!(self.text, "mov.u64 {start}, {name}");
        let bytes = Operand::Int(size_of::<[f32; 8]>() as i64);
        let place = self.text.three("mad.wide.u32", Class::Long, number, bytes, start);
        let row: [Reg; 8] = std::array::from_fn(|_| self.text.reg(Class::F32));
        for (half, four) in row.chunks_exact(4).enumerate() {
            let [a, b, c, d] = [four[0], four[1], four[2], four[3]];
            emit!(self.text, "ld.global.nc.v4.f32 {{{a}, {b}, {c}, {d}}}, [{place}+{}]", 16 * half);
        }
        row.map(Operand::from)
    }

    fn bits(&mut self, a: Operand) -> Operand {
        match a {
            Operand::F32(bits) => Operand::Int(bits as i32 as i64),
            Operand::F64(bits) => Operand::Int(bits as i64),
            a => self.text.one(by_width!(self, "mov.b32", "mov.b64"), self.int(), a).into(),
        }
    }
    fn from_bits(&mut self, a: Operand) -> Operand {
        match a {
            Operand::Int(bits) if self.double => Operand::F64(bits as u64),
            Operand::Int(bits) => Operand::F32(bits as u32),
            a => self.text.one(by_width!(self, "mov.b32", "mov.b64"), self.float(), a).into(),
        }
    }
    fn to_int(&mut self, a: Operand) -> Operand {
        self.text.one(by_width!(self, "cvt.rzi.s32.f32", "cvt.rzi.s64.f64"), self.int(), a).into()
    }
    fn to_float(&mut self, a: Operand) -> Operand {
        let a = self.text.in_register(self.int(), a);
        self.text.one(by_width!(self, "cvt.rn.f32.s32", "cvt.rn.f64.s64"), self.float(), a).into()
    }

    fn iadd(&mut self, a: Operand, b: Operand) -> Operand {
        self.i2(by_width!(self, "add.s32", "add.s64"), a, b)
    }
    fn isub(&mut self, a: Operand, b: Operand) -> Operand {
        self.i2(by_width!(self, "sub.s32", "sub.s64"), a, b)
    }
    fn iand(&mut self, a: Operand, b: Operand) -> Operand {
        self.i2(by_width!(self, "and.b32", "and.b64"), a, b)
    }
    fn ior(&mut self, a: Operand, b: Operand) -> Operand {
        self.i2(by_width!(self, "or.b32", "or.b64"), a, b)
    }
    fn ixor(&mut self, a: Operand, b: Operand) -> Operand {
        self.i2(by_width!(self, "xor.b32", "xor.b64"), a, b)
    }
    fn ishl(&mut self, a: Operand, by: u32) -> Operand {
        self.i2(by_width!(self, "shl.b32", "shl.b64"), a, Operand::Int(by.into()))
    }
    fn ishr(&mut self, a: Operand, by: u32) -> Operand {
        self.i2(by_width!(self, "shr.u32", "shr.u64"), a, Operand::Int(by.into()))
    }
    fn isar(&mut self, a: Operand, by: u32) -> Operand {
        self.i2(by_width!(self, "shr.s32", "shr.s64"), a, Operand::Int(by.into()))
    }
    fn ieq(&mut self, a: Operand, b: Operand) -> Reg {
        self.test(by_width!(self, "setp.eq.s32", "setp.eq.s64"), a, b)
    }
    fn ilt(&mut self, a: Operand, b: Operand) -> Reg {
        self.test(by_width!(self, "setp.lt.s32", "setp.lt.s64"), a, b)
    }
    fn iselect(&mut self, m: Reg, a: Operand, b: Operand) -> Operand {
        let op = by_width!(self, "selp.b32", "selp.b64");
        self.text.three(op, self.int(), a, b, m).into()
    }
    fn mand(&mut self, a: Reg, b: Reg) -> Reg {
        self.text.two("and.pred", Class::Predicate, a, b)
    }
    fn mor(&mut self, a: Reg, b: Reg) -> Reg {
        self.text.two("or.pred", Class::Predicate, a, b)
    }
}
