//! The arithmetic of elements: what `whorl_core::prim` says, as PTX.
//!
//! An element is in a register of its class: bools in predicates, integers in words (`u8` with zeros above), halves as the word of
//! their bits.

use whorl_core::ir::{DType, Lit};
use whorl_core::prim::{Binary, Compare, Monoid, Unary};
use whorl_kernels::math::{self, MathFn, MathFn2, halves};

use crate::CudaError;
use crate::emit;
use crate::fast;
use crate::floats::Floats;
use crate::ptx::{Class, Operand, Reg, Text};
use crate::tables::Tables;

/// Where arithmetic is written.
pub struct Elements<'x> {
    pub text: &'x mut Text,
    pub tables: &'x mut Tables,
    /// Whether functions of `f32` may be the card's approximations.
    pub fast: bool,
}

/// The registers that hold elements of a type.
pub fn class(dtype: DType) -> Class {
    match dtype {
        DType::F32 => Class::F32,
        DType::F64 => Class::F64,
        DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 => Class::Word,
        DType::Bool => Class::Predicate,
    }
}

pub fn literal(lit: Lit) -> Operand {
    match lit.dtype {
        DType::F32 => Operand::F32(lit.bits as u32),
        DType::F64 => Operand::F64(lit.bits),
        DType::I32 => Operand::Int(lit.bits as u32 as i32 as i64),
        DType::U32 | DType::U8 | DType::F16 | DType::BF16 => Operand::Int(lit.bits as i64),
        DType::Bool => Operand::Bool(lit.bits != 0),
    }
}

/// As it is in memory.
pub fn stored(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::F64 => "f64",
        DType::F16 | DType::BF16 => "u16",
        DType::I32 => "s32",
        DType::U32 => "u32",
        DType::U8 | DType::Bool => "u8",
    }
}

impl Elements<'_> {
    pub fn floats(&mut self, dtype: DType) -> Floats<'_> {
        Floats { text: self.text, tables: self.tables, double: dtype == DType::F64 }
    }

    fn math(&mut self, f: MathFn, dtype: DType, x: Operand) -> Operand {
        if self.fast
            && dtype == DType::F32
            && let Some(y) = fast::function(self.text, f, x)
        {
            return y;
        }
        let mut floats = self.floats(dtype);
        if dtype == DType::F64 { f.apply64(&mut floats, x) } else { f.apply32(&mut floats, x) }
    }

    fn math2(&mut self, f: MathFn2, dtype: DType, a: Operand, b: Operand) -> Operand {
        let mut floats = self.floats(dtype);
        if dtype == DType::F64 { f.apply64(&mut floats, a, b) } else { f.apply32(&mut floats, a, b) }
    }

    fn word(&mut self, op: &str, a: impl Into<Operand>, b: impl Into<Operand>) -> Operand {
        self.text.two(op, Class::Word, a, b).into()
    }

    fn test(&mut self, op: &str, a: impl Into<Operand>, b: impl Into<Operand>) -> Reg {
        self.text.two(op, Class::Predicate, a, b)
    }

    /// A bool in a register.
    pub fn predicate(&mut self, x: Operand) -> Reg {
        self.text.in_register(Class::Predicate, x)
    }

    pub fn unary(&mut self, op: Unary, dtype: DType, x: Operand) -> Result<Operand, CudaError> {
        use whorl_kernels::ops::Ops;
        let ill = || CudaError::ill_typed(op, dtype);
        if dtype.is_half() {
            return Err(ill());
        }
        if !dtype.is_float() {
            return self.integer_unary(op, dtype, x);
        }
        if self.fast && dtype == DType::F32 && op == Unary::Sqrt {
            return Ok(fast::sqrt(self.text, x));
        }
        let mut floats = self.floats(dtype);
        Ok(match op {
            Unary::Neg => floats.neg(x),
            Unary::Abs => floats.abs(x),
            Unary::Sign => math::sign(&mut floats, x),
            Unary::Floor => floats.floor(x),
            Unary::Ceil => floats.ceil(x),
            Unary::Round => floats.round(x),
            Unary::Sqrt => floats.sqrt(x),
            Unary::Math(f) => self.math(f, dtype, x),
            Unary::Not | Unary::PopCount => return Err(ill()),
        })
    }

    fn integer_unary(&mut self, op: Unary, dtype: DType, x: Operand) -> Result<Operand, CudaError> {
        let ill = || CudaError::ill_typed(op, dtype);
        if dtype == DType::Bool {
            return match op {
                Unary::Not => {
                    let x = self.predicate(x);
                    Ok(self.text.one("not.pred", Class::Predicate, x).into())
                }
                _ => Err(ill()),
            };
        }
        let signed = dtype == DType::I32;
        let r = match op {
            Unary::Neg => self.word("sub.s32", Operand::Int(0), x),
            Unary::Abs if signed => {
                let minus = self.word("sub.s32", Operand::Int(0), x);
                let below = self.test("setp.lt.s32", x, Operand::Int(0));
                self.text.three("selp.b32", Class::Word, minus, x, below).into()
            }
            Unary::Abs => x,
            Unary::Sign if signed => {
                let above = self.word("max.s32", x, Operand::Int(-1));
                self.word("min.s32", above, Operand::Int(1))
            }
            Unary::Sign => self.word("min.u32", x, Operand::Int(1)),
            Unary::Not => self.text.one("not.b32", Class::Word, x).into(),
            Unary::PopCount => self.text.one("popc.b32", Class::Word, x).into(),
            Unary::Floor | Unary::Ceil | Unary::Round | Unary::Sqrt | Unary::Math(_) => return Err(ill()),
        };
        Ok(self.wrapped(dtype, r))
    }

    /// The low bits of narrow integers.
    fn wrapped(&mut self, dtype: DType, x: Operand) -> Operand {
        if dtype == DType::U8 { self.word("and.b32", x, Operand::Int(0xff)) } else { x }
    }

    pub fn binary(&mut self, op: Binary, dtype: DType, a: Operand, b: Operand) -> Result<Operand, CudaError> {
        use whorl_kernels::ops::Ops;
        let ill = || CudaError::ill_typed(op, dtype);
        if dtype.is_half() {
            return Err(ill());
        }
        if dtype == DType::Bool {
            let op = match op {
                Binary::And => "and.pred",
                Binary::Or => "or.pred",
                Binary::Xor => "xor.pred",
                _ => return Err(ill()),
            };
            let (a, b) = (self.predicate(a), self.predicate(b));
            return Ok(self.text.two(op, Class::Predicate, a, b).into());
        }
        if !dtype.is_float() {
            return self.integer_binary(op, dtype, a, b);
        }
        if self.fast && dtype == DType::F32 && op == Binary::Div {
            return Ok(fast::divide(self.text, a, b));
        }
        let mut floats = self.floats(dtype);
        Ok(match op {
            Binary::Add => floats.add(a, b),
            Binary::Sub => floats.sub(a, b),
            Binary::Mul => floats.mul(a, b),
            Binary::Div => floats.div(a, b),
            Binary::Rem => self.float_remainder(dtype, a, b),
            Binary::Pow | Binary::Atan2 | Binary::Min | Binary::Max => {
                self.math2(op.elementary().ok_or_else(ill)?, dtype, a, b)
            }
            Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr | Binary::ShrLogical => {
                return Err(ill());
            }
        })
    }

    fn integer_binary(&mut self, op: Binary, dtype: DType, a: Operand, b: Operand) -> Result<Operand, CudaError> {
        let signed = dtype == DType::I32;
        let bits = 8 * dtype.bytes() as i64;
        let by_sign = |s: &'static str, u: &'static str| if signed { s } else { u };
        let r = match op {
            Binary::Add => self.word("add.s32", a, b),
            Binary::Sub => self.word("sub.s32", a, b),
            Binary::Mul => self.word("mul.lo.s32", a, b),
            Binary::Div | Binary::Rem => return Ok(self.divide(op, dtype, a, b)),
            Binary::Min => self.word(by_sign("min.s32", "min.u32"), a, b),
            Binary::Max => self.word(by_sign("max.s32", "max.u32"), a, b),
            Binary::And => self.word("and.b32", a, b),
            Binary::Or => self.word("or.b32", a, b),
            Binary::Xor => self.word("xor.b32", a, b),
            // Amounts from the width up, which a negative one is too, count as the width.
            Binary::Shl => {
                let r = self.word("shl.b32", a, b);
                self.none_from(bits, b, r)
            }
            Binary::Shr if signed => self.word("shr.s32", a, b),
            Binary::Shr | Binary::ShrLogical => {
                let r = self.word("shr.u32", a, b);
                self.none_from(bits, b, r)
            }
            Binary::Pow | Binary::Atan2 => return Err(CudaError::ill_typed(op, dtype)),
        };
        Ok(self.wrapped(dtype, r))
    }

    /// Zero where a narrow shift is not below its width; PTX clamps amounts at 32 by itself.
    fn none_from(&mut self, bits: i64, by: Operand, x: Operand) -> Operand {
        if bits == 32 {
            return x;
        }
        let below = self.test("setp.lt.u32", by, Operand::Int(bits));
        self.text.three("selp.b32", Class::Word, x, Operand::Int(0), below).into()
    }

    /// By zero, all bits set and the dividend; the smallest by -1 wraps.
    fn divide(&mut self, op: Binary, dtype: DType, a: Operand, b: Operand) -> Operand {
        if let (Operand::Int(by), true) = (b, dtype != DType::I32)
            && by > 0
        {
            let (quotient, rest) = self.text.divided(a, by as usize);
            return if op == Binary::Div { quotient } else { rest };
        }
        let (a, b) = (self.text.in_register(Class::Word, a), self.text.in_register(Class::Word, b));
        // A divisor that is harmless, where it is not: 0 / 1 and x / 1 are not used.
        let zero = self.test("setp.eq.s32", b, Operand::Int(0));
        let minus = (dtype == DType::I32).then(|| self.test("setp.eq.s32", b, Operand::Int(-1)));
        let mut by: Operand = self.text.three("selp.b32", Class::Word, Operand::Int(1), b, zero).into();
        if let Some(minus) = minus {
            by = self.text.three("selp.b32", Class::Word, Operand::Int(1), by, minus).into();
        }
        let instruction = match (op, dtype) {
            (Binary::Div, DType::I32) => "div.s32",
            (Binary::Div, _) => "div.u32",
            (_, DType::I32) => "rem.s32",
            _ => "rem.u32",
        };
        let mut r: Operand = self.word(instruction, a, by);
        if let (Some(minus), Binary::Div) = (minus, op) {
            let negated = self.word("sub.s32", Operand::Int(0), a);
            r = self.text.three("selp.b32", Class::Word, negated, r, minus).into();
        }
        let ones = if dtype == DType::U8 { 0xff } else { -1 };
        let by_zero = if op == Binary::Div { Operand::Int(ones) } else { a.into() };
        self.text.three("selp.b32", Class::Word, by_zero, r, zero).into()
    }

    pub fn compare(&mut self, op: Compare, dtype: DType, a: Operand, b: Operand) -> Operand {
        if dtype.is_half() {
            let (a, b) = (self.convert(dtype, DType::F32, a), self.convert(dtype, DType::F32, b));
            return self.compare(op, DType::F32, a, b);
        }
        if dtype == DType::Bool {
            let (a, b) = (self.convert(dtype, DType::I32, a), self.convert(dtype, DType::I32, b));
            return self.compare(op, DType::I32, a, b);
        }
        let name = match op {
            Compare::Eq => "eq",
            // True of a NaN.
            Compare::Ne if dtype.is_float() => "neu",
            Compare::Ne => "ne",
            Compare::Lt => "lt",
            Compare::Le => "le",
            Compare::Gt => "gt",
            Compare::Ge => "ge",
        };
        let ty = if dtype == DType::U8 { "u32" } else { stored(dtype) };
        self.test(&format!("setp.{name}.{ty}"), a, b).into()
    }

    pub fn select(&mut self, c: Operand, dtype: DType, a: Operand, b: Operand) -> Operand {
        let c = match c {
            Operand::Bool(c) => return if c { a } else { b },
            c => self.predicate(c),
        };
        let class = class(dtype);
        match class {
            Class::Predicate => {
                let (a, b) = (self.predicate(a), self.predicate(b));
                let (yes, other) = (self.text.two("and.pred", class, c, a), self.text.one("not.pred", class, c));
                let no = self.text.two("and.pred", class, other, b);
                self.text.two("or.pred", class, yes, no).into()
            }
            Class::F32 => self.text.three("selp.f32", class, a, b, c).into(),
            Class::F64 => self.text.three("selp.f64", class, a, b, c).into(),
            Class::Word | Class::Long => self.text.three("selp.b32", class, a, b, c).into(),
        }
    }

    pub fn mul_add(&mut self, dtype: DType, a: Operand, b: Operand, c: Operand) -> Operand {
        use whorl_kernels::ops::Ops;
        if dtype.is_float() {
            return self.floats(dtype).fma(a, b, c);
        }
        let r = self.text.three("mad.lo.s32", Class::Word, a, b, c).into();
        self.wrapped(dtype, r)
    }

    /// To the nearest, towards zero and saturating, as Core says; a bool is 0 or 1, and `x != 0`.
    pub fn convert(&mut self, from: DType, to: DType, x: Operand) -> Operand {
        match (from, to) {
            _ if from == to => x,
            (DType::F16, _) => {
                let wide = halves::from_f16(&mut self.floats(DType::F32), x);
                self.convert(DType::F32, to, wide)
            }
            (DType::BF16, _) => {
                let wide = halves::from_bf16(&mut self.floats(DType::F32), x);
                self.convert(DType::F32, to, wide)
            }
            (_, DType::F16 | DType::BF16) => {
                let x = self.convert(from, DType::F32, x);
                let mut floats = self.floats(DType::F32);
                if to == DType::F16 { halves::to_f16(&mut floats, x) } else { halves::to_bf16(&mut floats, x) }
            }
            (DType::F32, DType::F64) => {
                let x = self.text.in_register(Class::F32, x);
                self.text.one("cvt.f64.f32", Class::F64, x).into()
            }
            (DType::F64, DType::F32) => {
                let x = self.text.in_register(Class::F64, x);
                self.text.one("cvt.rn.f32.f64", Class::F32, x).into()
            }
            (DType::F32 | DType::F64, DType::Bool) => {
                let zero = if from == DType::F64 { Operand::f64(0.0) } else { Operand::f32(0.0) };
                self.compare(Compare::Ne, from, x, zero)
            }
            (DType::F32 | DType::F64, DType::I32 | DType::U32) => {
                let x = self.text.in_register(class(from), x);
                let whole = self.text.one(&format!("cvt.rzi.{}.{}", stored(to), stored(from)), Class::Word, x);
                // What the instruction makes of a NaN depends on the types.
                let number = self.test(&format!("setp.eq.{}", stored(from)), x, x);
                self.text.three("selp.b32", Class::Word, whole, Operand::Int(0), number).into()
            }
            (DType::F32 | DType::F64, DType::U8) => {
                let whole = self.convert(from, DType::I32, x);
                let above = self.word("max.s32", whole, Operand::Int(0));
                self.word("min.s32", above, Operand::Int(255))
            }
            (DType::I32 | DType::U32 | DType::U8, DType::F32 | DType::F64) => {
                let x = self.text.in_register(Class::Word, x);
                let from = if from == DType::I32 { "s32" } else { "u32" };
                self.text.one(&format!("cvt.rn.{}.{from}", stored(to)), class(to), x).into()
            }
            (DType::I32 | DType::U32, DType::U8) => self.wrapped(to, x),
            (DType::I32 | DType::U32 | DType::U8, DType::I32 | DType::U32 | DType::U8) => x,
            (DType::I32 | DType::U32 | DType::U8, DType::Bool) => self.test("setp.ne.s32", x, Operand::Int(0)).into(),
            (DType::Bool, DType::F32 | DType::F64 | DType::I32 | DType::U32 | DType::U8 | DType::Bool) => {
                let (one, zero) = match to {
                    DType::F32 => (Operand::f32(1.0), Operand::f32(0.0)),
                    DType::F64 => (Operand::f64(1.0), Operand::f64(0.0)),
                    _ => (Operand::Int(1), Operand::Int(0)),
                };
                self.select(x, to, one, zero)
            }
            (DType::F32, DType::F32) | (DType::F64, DType::F64) => x,
        }
    }

    /// The same bits as another type of the same width; a bool is `bits != 0`.
    pub fn bitcast(&mut self, from: DType, to: DType, x: Operand) -> Operand {
        use whorl_kernels::ops::Ops;
        match (from, to) {
            (DType::Bool, DType::U8) | (DType::U8, DType::Bool) => self.convert(from, to, x),
            (DType::F32, DType::I32 | DType::U32) => self.floats(from).bits(x),
            (DType::I32 | DType::U32, DType::F32) => self.floats(to).from_bits(x),
            _ => x,
        }
    }

    /// One step of a reduction.
    pub fn fold(&mut self, op: Monoid, dtype: DType, a: Operand, b: Operand) -> Result<Operand, CudaError> {
        self.binary(op.binary(), dtype, a, b)
    }

    /// Both words of a block: see `whorl_kernels::math::threefry`.
    pub fn threefry(&mut self, inputs: [Operand; 4]) -> [Operand; 2] {
        const ROTATIONS: [[i64; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
        let [k0, k1, c0, c1] = inputs;
        let parity = self.word("xor.b32", k0, Operand::Int(0x1bd1_1bda));
        let key = [k0, k1, self.word("xor.b32", parity, k1)];
        let (mut x, mut y) = (self.word("add.s32", c0, k0), self.word("add.s32", c1, k1));
        for group in 0..5 {
            for by in ROTATIONS[group % 2] {
                x = self.word("add.s32", x, y);
                let y_in = self.text.in_register(Class::Word, y);
                let out = self.text.reg(Class::Word);
                emit!(self.text, "shf.l.wrap.b32 {out}, {y_in}, {y_in}, {by}");
                y = self.word("xor.b32", out, x);
            }
            x = self.word("add.s32", x, key[(group + 1) % 3]);
            let next = self.word("add.s32", key[(group + 2) % 3], Operand::Int(group as i64 + 1));
            y = self.word("add.s32", y, next);
        }
        [x, y]
    }
}
