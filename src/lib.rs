//! Whorl: from a script to a compiled program. The rooms are crates of their own (see docs/architecture.md); this one joins them.

pub mod args;
pub mod check;
pub mod data;
pub mod engine;
pub mod explain;
pub mod fault;
pub mod fmt;
pub mod pipeline;
pub mod property;
pub mod run;
pub mod save;
pub mod show;
pub mod standard_library;
pub mod test;
