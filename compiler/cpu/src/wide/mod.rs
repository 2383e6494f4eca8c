//! Lane loops on x86-64 with AVX-512, or with AVX2: vectors of 512 or 256 bits, from loop to bytes without Cranelift, which has none.
//!
//! What differs between the two is in [`set`], and in short sequences next to each other.
//!
//! [`machine`] writes what a loop does as [`code`] on virtual registers, with [`ops`], [`memory`], [`strided`], [`convert`],
//! [`divide`] and [`integer`]; [`improve`] makes it shorter, [`order`] puts it in order, [`allocate`] places the registers, [`encode`] makes bytes.
//! Results are those of the portable path, bit for bit.

mod allocate;
mod code;
mod convert;
mod divide;
mod encode;
mod improve;
mod integer;
mod machine;
mod memory;
mod ops;
mod order;
mod pieces;
mod set;
mod strided;
mod three;

use whorl_core::prim::Binary;
use whorl_schedule::loop_ir::{LaneIndex, LaneKind, LaneOp, Lanes, LoopProgram};

use crate::CpuError;
use crate::lanes::{self, Plan};

pub use encode::Encoded;
pub use machine::Wide;
pub use set::Set;

/// What of the machine the code depends on.
pub fn features() -> String {
    let sets = [Set::Avx512, Set::Avx2].map(|set| (set, set.supported()));
    format!("wide={sets:?} popcount={}", machine::counts_bits())
}

/// Whether the loop can be written so: what writes lane after lane, or calls, is left to the portable path.
pub fn fits(program: &LoopProgram, lanes: &Lanes) -> bool {
    let reach = |at: &[LaneIndex], bytes: usize| {
        at.iter().map(|i| (i.max as i64 * i.stride as i64 * bytes as i64).abs()).sum::<i64>() <= i32::MAX as i64
    };
    let op_fits = |op: &LaneOp| match &op.kind {
        LaneKind::Scatter { .. } => false,
        LaneKind::Binary(Binary::Rem, ..) => !op.dtype.is_float(),
        LaneKind::Gather(view, at) => {
            program.buffers.get(view.buffer.0 as usize).is_some_and(|b| reach(at, b.dtype.bytes()))
        }
        LaneKind::Lit(_)
        | LaneKind::Position(_)
        | LaneKind::Load(_)
        | LaneKind::Unary(..)
        | LaneKind::Binary(..)
        | LaneKind::Compare(..)
        | LaneKind::Select(..)
        | LaneKind::MulAdd(..)
        | LaneKind::Convert(_)
        | LaneKind::Bitcast(_)
        | LaneKind::Threefry(..)
        | LaneKind::Store(..) => true,
    };
    lanes.ops.iter().all(op_fits)
}

/// The bytes of a function for the loop, which begins at a multiple of 64, and their text if it is wanted.
pub fn compile(program: &LoopProgram, plan: &Plan, text: bool) -> Result<Encoded, CpuError> {
    let set = plan.set().ok_or_else(|| CpuError::internal("a loop of no set's vectors"))?;
    let mut machine = Wide::new(program, set);
    lanes::emit(&mut machine, program, plan)?;
    machine.code.clean();
    improve::improve(&mut machine.code);
    order::order(&mut machine.code);
    encode::encode(&machine.code, text)
}
