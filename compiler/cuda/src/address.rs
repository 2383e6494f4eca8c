//! Where elements are: addresses from views, loads and stores.

use whorl_core::ir::DType;
use whorl_schedule::loop_ir::{BufferId, View};

use crate::CudaError;
use crate::elements::{class, stored};
use crate::emit;
use crate::homes::{Home, width};
use crate::kernel::Kernel;
use crate::ptx::{Class, Operand, Reg};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Space {
    Shared,
    /// The run's slab.
    Slab,
    /// Constants, which nobody writes.
    Constant,
}

impl Space {
    pub fn class(self) -> Class {
        match self {
            Space::Shared => Class::Word,
            Space::Slab | Space::Constant => Class::Long,
        }
    }

    pub fn load(self) -> &'static str {
        match self {
            Space::Shared => "ld.shared",
            Space::Slab => "ld.global",
            Space::Constant => "ld.global.nc",
        }
    }

    fn store(self) -> &'static str {
        match self {
            Space::Shared => "st.shared",
            Space::Slab | Space::Constant => "st.global",
        }
    }
}

/// `[reg + bytes]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Address {
    pub space: Space,
    pub reg: Reg,
    pub bytes: i64,
}

impl Address {
    pub fn plus(self, bytes: i64) -> Address {
        Address { bytes: self.bytes + bytes, ..self }
    }
}

/// So many bytes for each step of an index.
pub type Term = (Operand, i64);

impl Kernel<'_> {
    /// The space of a buffer that is in memory, and the bytes before its first element.
    pub fn start(&self, b: BufferId) -> Result<(Space, i64), CudaError> {
        match self.homes.get(b) {
            Home::Shared(at) => Ok((Space::Shared, at as i64)),
            Home::Slab(at) => Ok((Space::Slab, at as i64)),
            Home::Constant(at) => Ok((Space::Constant, at as i64)),
            Home::Register(_) => Err(CudaError::internal("the address of what is in a register")),
        }
    }

    pub fn base(&self, space: Space) -> Reg {
        match space {
            Space::Shared => self.shared,
            Space::Slab => self.slab,
            Space::Constant => self.constants,
        }
    }

    /// A scalar, wherever it is.
    pub fn scalar(&mut self, b: BufferId) -> Result<Operand, CudaError> {
        if let Home::Register(r) = self.homes.get(b) {
            return Ok(r.into());
        }
        let (space, bytes) = self.start(b)?;
        let dtype = self.p.buffer(b).dtype;
        Ok(self.load(dtype, Address { space, reg: self.base(space), bytes }))
    }

    /// The run-time parts of a view, as terms of clamped indices.
    pub fn dynamic(&mut self, view: &View) -> Result<Vec<Term>, CudaError> {
        let bytes = width(self.p, view.buffer);
        let mut terms = Vec::new();
        for d in &view.dynamic {
            let index = self.scalar(d.index)?;
            let index = self.clamped(index, d.max);
            terms.push((index, d.stride as i64 * bytes));
        }
        Ok(terms)
    }

    pub fn clamped(&mut self, index: Operand, max: i32) -> Operand {
        if let Operand::Int(i) = index {
            return Operand::Int(i.clamp(0, max.into()));
        }
        let index = self.text.two("max.s32", Class::Word, index, Operand::Int(0));
        self.text.two("min.s32", Class::Word, index, Operand::Int(max.into())).into()
    }

    /// `base + terms`, in a register, and the constant part of the terms.
    pub fn sum(&mut self, space: Space, base: Reg, terms: &[Term]) -> (Reg, i64) {
        let mut constant = 0;
        let mut reg = base;
        for &(index, step) in terms {
            match index {
                Operand::Int(i) => constant += i * step,
                _ if step == 0 => {}
                index if space == Space::Shared => {
                    reg = match self.text.times_plus(index, step, reg.into()) {
                        Operand::Reg(r) => r,
                        _ => reg,
                    };
                }
                index => {
                    reg = match i32::try_from(step) {
                        Ok(step) => self.text.three("mad.wide.s32", Class::Long, index, Operand::Int(step.into()), reg),
                        Err(_) => {
                            let index = self.text.one("cvt.s64.s32", Class::Long, index);
                            self.text.three("mad.lo.s64", Class::Long, index, Operand::Int(step), reg)
                        }
                    };
                }
            }
        }
        (reg, constant)
    }

    /// The same place by a constant that an instruction can have.
    pub fn reachable(&mut self, at: Address) -> Address {
        if at.space == Space::Shared || i32::try_from(at.bytes).is_ok() {
            return at;
        }
        let reg = self.text.two("add.s64", Class::Long, at.reg, Operand::Int(at.bytes));
        Address { reg, bytes: 0, ..at }
    }

    pub fn load(&mut self, dtype: DType, at: Address) -> Operand {
        let at = self.reachable(at);
        let class = class(dtype);
        let out = self.text.reg(if dtype == DType::Bool { Class::Word } else { class });
        emit!(self.text, "{}.{} {out}, [{}+{}]", at.space.load(), stored(dtype), at.reg, at.bytes);
        if dtype == DType::Bool {
            return self.text.two("setp.ne.s32", Class::Predicate, out, Operand::Int(0)).into();
        }
        out.into()
    }

    /// `only`: by threads for which it holds.
    pub fn store(&mut self, dtype: DType, v: Operand, at: Address, only: Option<Reg>) {
        let v = match dtype {
            DType::Bool => self.elements().convert(DType::Bool, DType::U8, v),
            _ => v,
        };
        let v = self.text.in_register(if dtype == DType::Bool { Class::Word } else { class(dtype) }, v);
        let at = self.reachable(at);
        let guard = only.map_or(String::new(), |p| format!("@{p} "));
        emit!(self.text, "{guard}{}.{} [{}+{}], {v}", at.space.store(), stored(dtype), at.reg, at.bytes);
    }

    /// Four neighbours of 32 bits at a multiple of 16 bytes.
    pub fn load_four(&mut self, dtype: DType, at: Address) -> [Operand; 4] {
        let at = self.reachable(at);
        let [a, b, c, d]: [Reg; 4] = std::array::from_fn(|_| self.text.reg(class(dtype)));
        emit!(self.text, "{}.v4.{} {{{a}, {b}, {c}, {d}}}, [{}+{}]", at.space.load(), stored(dtype), at.reg, at.bytes);
        [a, b, c, d].map(Operand::from)
    }
}
