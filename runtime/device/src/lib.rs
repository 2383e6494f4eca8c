//! Devices: memory, modules of PTX, launches, waiting. One trait, [`Device`], and what implements it.
//!
//! The [`emulator`] executes PTX text on the CPU and finds what a card would not tell: races, reads of what was never
//! written, barriers that not all threads reach, deadlocks, and accesses out of bounds. [`cuda`] has NVIDIA's cards. Nothing here knows of the compiler.

pub mod cuda;
pub mod device;
pub mod emulator;
pub mod error;
mod tested;

pub use cuda::Cuda;
pub use device::{Device, HostMemory, Launch, ModuleId, Properties};
pub use emulator::{Checks, Emulator, Limits};
pub use error::{Error, Kind};
pub use tested::device_of_tests;
