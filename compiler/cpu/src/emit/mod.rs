//! Instructions for lane values: machine, memory, arithmetic, calls.

pub mod arith;
pub mod calls;
pub mod convert;
pub mod integer;
pub mod machine;
pub mod value;
