//! The host's side of a run: pacing compiled programs over threads, collecting what they log, and the run folder.
//!
//! A compiled program is an [`Engine`]; [`drive::drive`] runs it to its end in chunks and tells an [`drive::Observer`] what happened.

pub mod checkpoint;
pub mod curve;
pub mod drive;
pub mod engine;
pub mod folder;
pub mod hash;
pub mod lines;
pub mod log_each;
pub mod metrics;
pub mod plot;
mod style;
mod sums;
pub mod sweep_plot;
pub mod tensorboard;

pub use engine::Engine;
pub use sums::Sums;
