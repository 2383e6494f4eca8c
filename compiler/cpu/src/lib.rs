//! Loop IR to machine code, through Cranelift; lane loops through [`wide`] where the machine has AVX-512 or AVX2.
//!
//! ```text
//! LoopProgram ─ jobs ─▶ functions ─ lanes, control (in parallel) ─▶ Cranelift IR ─▶ code ─ build ─▶ Executable
//!                                   └──────────── wide ───────────────────────────▶ code ┘
//! ```
//!
//! Each lane loop is a function of its own; one function a phase (or several, where it is long) holds the control flow and the
//! small scalar loops, and calls the others. All have the shape `fn(arena, context) -> status`.

mod build;
mod control;
mod emit;
mod execute;

mod frame;
mod image;
mod jobs;
mod kernels;
mod lanes;
mod long_reductions;
mod paired;
mod ring;
mod runtime;
mod share;
mod state;
mod team;
mod wide;

use std::fmt;

use serde::{Deserialize, Serialize};
use whorl_core::check::Fault;
use whorl_core::ir::DType;
use whorl_schedule::loop_ir::LoopProgram;

pub use build::FunctionText;
pub use execute::Executable;
pub use image::Image;
pub use ring::{Dropped, Kept, LogElement, Sink};
pub use runtime::{Lap, lap_ticks, ticks};
pub use state::{Arena, RunState};
pub use team::threads_of;

/// How to compile.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
pub struct Options {
    /// Threads to compile on.
    pub threads: usize,
    pub vector: VectorMode,
    /// Measures the time of every node without bodies: see [`RunState::laps`].
    pub profile: bool,
    pub team: TeamOptions,
}

/// Several threads in one run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
pub struct TeamOptions {
    /// The most threads that one run will have.
    pub threads: usize,
    /// What is done on several threads takes so many nanoseconds on one, by a rough estimate.
    pub worth: u64,
}

impl TeamOptions {
    /// One thread a run.
    pub const ALONE: TeamOptions = TeamOptions { threads: 1, worth: WORTH };

    /// As many for a run as there are left for one, of so many threads for so many runs, and no more than the machine has cores.
    pub fn of(runs: usize, threads: usize) -> TeamOptions {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let last = runs.saturating_sub(1);
        TeamOptions { threads: threads_of(last, runs, threads).min(cores), ..TeamOptions::ALONE }
    }

    /// For tests: so many for a run, and everything that can be is done in parts.
    pub fn eager(threads: usize) -> TeamOptions {
        TeamOptions { threads, worth: 0 }
    }
}

/// A fork and its join take about a microsecond: see docs/notes/028.
const WORTH: u64 = 4000;

impl Default for Options {
    fn default() -> Options {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        Options { threads, vector: VectorMode::Auto, profile: false, team: TeamOptions::ALONE }
    }
}

/// How many lanes lane loops work on at once. The results are the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
pub enum VectorMode {
    /// As many as the machine has: 16 with AVX-512, eight with AVX2.
    Auto,
    /// Eight where the machine has AVX2, else four.
    Avx2,
    /// Four, as on any machine.
    Narrow,
    Scalar,
}

/// Why a program could not be compiled. Every kind is a defect of the compiler or a limit of the machine, not of the user's program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuError {
    pub message: String,
}

impl CpuError {
    pub(crate) fn internal(what: impl Into<String>) -> CpuError {
        CpuError { message: what.into() }
    }

    pub(crate) fn ill_typed(op: impl fmt::Debug, dtype: DType) -> CpuError {
        CpuError { message: format!("ill-typed Loop IR: {op:?} of {}", dtype.name()) }
    }
}

impl fmt::Display for CpuError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CpuError {}

/// Why a run stopped.
#[derive(Clone, PartialEq, Debug)]
pub enum RunError {
    /// A check of the program failed.
    Fault(Box<Fault>),
    /// The host asked for what cannot be.
    Misuse(String),
}

impl RunError {
    pub(crate) fn misuse(what: impl Into<String>) -> RunError {
        RunError::Misuse(what.into())
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            RunError::Fault(fault) => write!(f, "{fault}"),
            RunError::Misuse(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for RunError {}

/// Compiles a program for this machine.
pub fn compile(program: &LoopProgram, options: &Options) -> Result<Executable, CpuError> {
    Executable::new(program, options)
}

/// What of this machine decides which code is made for it.
pub fn features() -> Result<String, CpuError> {
    build::features()
}

/// Compiles a program for this machine, to be loaded now or later.
pub fn image(program: &LoopProgram, options: &Options) -> Result<Image, CpuError> {
    execute::image(program, options)
}

/// Makes compiled code ready to run. The image is one that [`image`] made, on a machine with the same [`features`], by the same build of this crate.
pub fn load(image: Image) -> Result<Executable, CpuError> {
    Executable::load(image)
}
