//! The remainder of floats: exact, and so with a loop over the bits of the quotient.

use whorl_core::ir::DType;

use crate::elements::Elements;
use crate::emit;
use crate::ptx::{Class, Operand, Reg};

/// What the loop needs to know of a type.
struct Format {
    class: Class,
    bits: &'static str,
    signed: &'static str,
    mantissa: i64,
    /// Above the mantissa, without the sign.
    exponents: i64,
    sign: i64,
}

const NARROW: Format =
    Format { class: Class::Word, bits: "b32", signed: "s32", mantissa: 23, exponents: 0xff, sign: i32::MIN as i64 };

const WIDE: Format =
    Format { class: Class::Long, bits: "b64", signed: "s64", mantissa: 52, exponents: 0x7ff, sign: i64::MIN };

impl Elements<'_> {
    fn int(&mut self, f: &Format, op: &str, a: impl Into<Operand>, b: impl Into<Operand>) -> Reg {
        self.text.two(&format!("{op}.{}", if op == "add" || op == "sub" { f.signed } else { f.bits }), f.class, a, b)
    }

    fn int_test(&mut self, f: &Format, op: &str, a: impl Into<Operand>, b: impl Into<Operand>) -> Reg {
        self.text.two(&format!("setp.{op}.{}", f.signed), Class::Predicate, a, b)
    }

    /// The exponent and the mantissa with its leading one; numbers below the normal ones are shifted up to it.
    fn taken_apart(&mut self, f: &Format, size: Reg) -> (Reg, Reg) {
        let shift = Operand::Int(f.mantissa);
        let exponent = self.text.reg(f.class);
        let unsigned = f.signed.replace('s', "u");
        emit!(self.text, "shr.{unsigned} {exponent}, {size}, {shift}");
        let mantissa = self.int(f, "and", size, Operand::Int((1 << f.mantissa) - 1));
        let (normal, done) = (self.text.label(), self.text.label());
        let is_normal = self.int_test(f, "ne", exponent, Operand::Int(0));
        self.text.jump_if(is_normal, normal);
        // exponent = 1 - shift, mantissa <<= shift
        let zeros = self.text.reg(Class::Word);
        emit!(self.text, "clz.{} {zeros}, {mantissa}", f.bits);
        let width = if f.class == Class::Long { 64 } else { 32 };
        let by = self.text.two("sub.s32", Class::Word, zeros, Operand::Int(width - 1 - f.mantissa));
        emit!(self.text, "shl.{} {mantissa}, {mantissa}, {by}", f.bits);
        let by = self.same_width(f, by);
        emit!(self.text, "sub.{} {exponent}, 1, {by}", f.signed);
        self.text.jump(done);
        self.text.place(normal);
        emit!(self.text, "or.{} {mantissa}, {mantissa}, {}", f.bits, Operand::Int(1 << f.mantissa));
        self.text.place(done);
        (exponent, mantissa)
    }

    fn same_width(&mut self, f: &Format, x: Reg) -> Reg {
        if f.class == Class::Long { self.text.one("cvt.s64.s32", Class::Long, x) } else { x }
    }

    /// `a - b trunc(a / b)`, with the sign of a; NaN where a is not finite, b is zero, or either is NaN. By subtracting the mantissa of b as often
    /// as it fits into that of a, from the highest bit of the quotient down.
    pub fn float_remainder(&mut self, dtype: DType, a: Operand, b: Operand) -> Operand {
        let f = if dtype == DType::F64 { &WIDE } else { &NARROW };
        let class = if dtype == DType::F64 { Class::F64 } else { Class::F32 };
        let (a, b) = (self.text.in_register(class, a), self.text.in_register(class, b));
        let (a_bits, b_bits) = (self.text.reg(f.class), self.text.reg(f.class));
        emit!(self.text, "mov.{} {a_bits}, {a}", f.bits);
        emit!(self.text, "mov.{} {b_bits}, {b}", f.bits);
        let sign = self.int(f, "and", a_bits, Operand::Int(f.sign));
        let below_sign = if dtype == DType::F64 { i64::MAX } else { i32::MAX as i64 };
        let (x, y) = (
            self.int(f, "and", a_bits, Operand::Int(below_sign)),
            self.int(f, "and", b_bits, Operand::Int(below_sign)),
        );
        let infinite = f.exponents << f.mantissa;
        let out = self.text.reg(class);
        let (done, defined, bigger) = (self.text.label(), self.text.label(), self.text.label());
        // NaN.
        let finite = self.int_test(f, "lt", x, Operand::Int(infinite));
        let not_zero = self.int_test(f, "gt", y, Operand::Int(0));
        let number = self.int_test(f, "le", y, Operand::Int(infinite));
        let fine = self.text.two("and.pred", Class::Predicate, finite, not_zero);
        let fine = self.text.two("and.pred", Class::Predicate, fine, number);
        let nan = if dtype == DType::F64 { Operand::f64(f64::NAN) } else { Operand::f32(f32::NAN) };
        self.text.assign(out, nan);
        self.text.jump_if(fine, defined);
        self.text.jump(done);
        self.text.place(defined);
        // A smaller one is its own remainder.
        self.text.assign(out, a);
        let is_bigger = self.int_test(f, "ge", x, y);
        self.text.jump_if(is_bigger, bigger);
        self.text.jump(done);
        self.text.place(bigger);
        let (ex, mx) = self.taken_apart(f, x);
        let (ey, my) = self.taken_apart(f, y);
        let (turn, last, normal, put) = (self.text.label(), self.text.label(), self.text.label(), self.text.label());
        self.text.place_loop(turn);
        let rest = self.int(f, "sub", mx, my);
        let fits = self.int_test(f, "ge", rest, Operand::Int(0));
        emit!(self.text, "@{fits} mov.{} {mx}, {rest}", f.bits);
        let over = self.int_test(f, "le", ex, ey);
        self.text.jump_if(over, last);
        emit!(self.text, "shl.{} {mx}, {mx}, 1", f.bits);
        emit!(self.text, "sub.{} {ex}, {ex}, 1", f.signed);
        self.text.jump(turn);
        self.text.place(last);
        // Nothing left is a zero of a's sign.
        let r = self.text.reg(f.class);
        self.text.assign(r, Operand::Int(0));
        let none = self.int_test(f, "eq", mx, Operand::Int(0));
        self.text.jump_if(none, put);
        // The leading one back to its place, and the exponent with it.
        let zeros = self.text.reg(Class::Word);
        emit!(self.text, "clz.{} {zeros}, {mx}", f.bits);
        let width = if f.class == Class::Long { 64 } else { 32 };
        let by = self.text.two("sub.s32", Class::Word, zeros, Operand::Int(width - 1 - f.mantissa));
        emit!(self.text, "shl.{} {mx}, {mx}, {by}", f.bits);
        let by = self.same_width(f, by);
        let e = self.int(f, "sub", ex, by);
        let is_normal = self.int_test(f, "gt", e, Operand::Int(0));
        self.text.jump_if(is_normal, normal);
        let down = self.int(f, "sub", Operand::Int(1), e);
        let down = if f.class == Class::Long { self.text.one("cvt.u32.u64", Class::Word, down) } else { down };
        emit!(self.text, "shr.{} {r}, {mx}, {down}", f.signed.replace('s', "u"));
        self.text.jump(put);
        self.text.place(normal);
        let mantissa = self.int(f, "and", mx, Operand::Int((1 << f.mantissa) - 1));
        let up = self.int_shifted(f, e);
        emit!(self.text, "or.{} {r}, {mantissa}, {up}", f.bits);
        self.text.place(put);
        emit!(self.text, "or.{} {r}, {r}, {sign}", f.bits);
        emit!(self.text, "mov.{} {out}, {r}", f.bits);
        self.text.place(done);
        out.into()
    }

    fn int_shifted(&mut self, f: &Format, e: Reg) -> Reg {
        let out = self.text.reg(f.class);
        emit!(self.text, "shl.{} {out}, {e}, {}", f.bits, f.mantissa);
        out
    }
}
