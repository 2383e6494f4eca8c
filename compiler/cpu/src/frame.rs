//! What the emission of any function needs: the program, its buffers' addresses, and the function's own parameters.

use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use whorl_schedule::loop_ir::{Buffer, BufferId, LoopProgram, Place, View};

use crate::CpuError;
use crate::emit::calls::address;
use crate::emit::machine::Target;
use crate::emit::value::{Address, memory};
use crate::image::Symbol;

pub struct Frame<'p> {
    pub program: &'p LoopProgram,
    pub target: Target,
    pub arena: Value,
    pub context: Value,
    /// Of a function that does part of a loop: from where, and to where.
    pub range: Option<(Value, Value)>,
}

impl<'p> Frame<'p> {
    pub fn buffer(&self, id: BufferId) -> Result<&'p Buffer, CpuError> {
        self.program.buffers.get(id.0 as usize).ok_or_else(|| CpuError::internal("a buffer that is not there"))
    }

    /// The address of a buffer's first element.
    pub fn start(&self, builder: &mut FunctionBuilder, id: BufferId) -> Result<Address, CpuError> {
        Ok(match self.buffer(id)?.place {
            Place::Arena(at) => self.near(builder, self.arena, at as i64),
            Place::Constant(_) => Address { pointer: address(builder, Symbol::Constant(id.0)), bytes: 0 },
        })
    }

    /// `pointer + bytes`, with the constant in the instruction where it fits.
    pub fn near(&self, builder: &mut FunctionBuilder, pointer: Value, bytes: i64) -> Address {
        // Lanes of a group are at most a few strides further on.
        if bytes.abs() < 1 << 30 {
            return Address { pointer, bytes: bytes as i32 };
        }
        Address { pointer: builder.ins().iadd_imm_s(pointer, bytes), bytes: 0 }
    }

    /// An `i32` scalar of the arena.
    pub fn load_index(&self, builder: &mut FunctionBuilder, id: BufferId) -> Result<Value, CpuError> {
        let at = self.start(builder, id)?;
        Ok(builder.ins().load(I32, memory(), at.pointer, at.bytes))
    }

    /// The bytes that a view's run-time indices add to its address.
    pub fn dynamic(&self, builder: &mut FunctionBuilder, view: &View) -> Result<Option<Value>, CpuError> {
        let width = self.buffer(view.buffer)?.dtype.bytes() as i64;
        let mut sum = None;
        for d in &view.dynamic {
            let index = self.load_index(builder, d.index)?;
            let (zero, most) = (builder.ins().iconst(I32, 0), builder.ins().iconst(I32, d.max as i64));
            let index = builder.ins().smax(index, zero);
            let index = builder.ins().smin(index, most);
            let index = builder.ins().sextend(I64, index);
            let bytes = builder.ins().imul_imm_s(index, d.stride as i64 * width);
            sum = Some(sum.map_or(bytes, |s| builder.ins().iadd(s, bytes)));
        }
        Ok(sum)
    }

    /// The address of a view's first element, in a register.
    pub fn pointer(&self, builder: &mut FunctionBuilder, view: &View) -> Result<Value, CpuError> {
        let at = self.start(builder, view.buffer)?;
        let width = self.buffer(view.buffer)?.dtype.bytes() as i64;
        let bytes = at.bytes as i64 + view.offset as i64 * width;
        let pointer = builder.ins().iadd_imm_s(at.pointer, bytes);
        Ok(match self.dynamic(builder, view)? {
            Some(dynamic) => builder.ins().iadd(pointer, dynamic),
            None => pointer,
        })
    }
}
