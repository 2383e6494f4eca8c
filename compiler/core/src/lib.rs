//! Core: the intermediate language, its builder, printer, reader, verifier and interpreter.

pub mod builder;
pub mod check;
pub mod data;
mod elementary;
pub mod fault;
pub mod generate;
pub mod halves;
pub mod interp;
pub mod ir;
pub mod names;
pub mod prim;
pub mod print;
pub mod read;
pub mod rewrite;
pub mod verify;

pub use builder::Builder;
pub use ir::*;
pub use prim::Prim;
