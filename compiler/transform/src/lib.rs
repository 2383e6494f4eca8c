//! Core to Core: derivatives, simplification, distribution.

pub mod ad;
pub mod dce;
pub mod distribute;
pub mod fission;
pub mod flatten;
pub mod late;
pub mod nests;
pub mod ranges;
pub mod simplify;
pub mod sink;
pub mod stages;
pub mod trap;
