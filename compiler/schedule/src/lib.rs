//! Core to Loop IR: levels, fusion, places, arena; and the plain evaluator of Loop IR.
//!
//! ```text
//! flat Core ─ lower ─▶ one loop a statement, copies everywhere ─ inline, fuse, clean, coalesce, collapse ─▶ few loops, in place
//!                                                                                     ─ arena ─▶ LoopProgram
//! ```
//!
//! Lowering is naive and obviously right; everything that makes the program fast is a pass from Loop IR to Loop IR, which
//! [`evaluate`] can check by itself.

mod accesses;
mod accumulate;
pub mod arena;
mod array;
mod clean;
mod coalesce;
mod collapse;
pub mod cost;
mod epilogue;
mod eval;
mod fuse;
mod inline;
mod lanes;
mod liveness;
mod log_sites;
pub mod loop_ir;
mod lower;
pub mod normal;
mod print;
mod space;
mod unroll;
mod verify;

use whorl_core::ir::Program;
use whorl_source::Span;

pub use accesses::{Touch, bodies, bodies_mut, each_access, each_view};
pub use arena::{Interval, lifetimes};
pub use eval::{EvalError, LogEntry, Outcome, evaluate};
pub use lanes::{operands, view_of, view_of_mut};
pub use log_sites::{LogElement, LogSite, log_sites};
pub use loop_ir::*;
pub use print::{memory_map, memory_table, print, print_some};
pub use verify::verify;

/// Why a program has no schedule: it is not flat (see [`schedule`]).
#[derive(Clone, PartialEq, Debug)]
pub struct ScheduleError {
    pub span: Option<Span>,
    pub message: String,
}

impl std::fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScheduleError {}

/// The Loop IR of a flat program: no `Map` may hold a `Scan`, `While` or `Switch`, but the one whose results are the program's
/// (the runs).
pub fn schedule(program: &Program) -> Result<LoopProgram, ScheduleError> {
    let mut lowered = lower::lower(program)?;
    optimise(&mut lowered);
    arena::place(&mut lowered);
    Ok(lowered)
}

type Pass = (&'static str, fn(&mut LoopProgram));

/// In order. Fusing brings copies next to what is copied, so that more can be recomputed; places shared by coalescing make
/// more loops touch the same elements only. What products take over is cheap to read again, hence the inlining after it.
const PASSES: &[Pass] = &[
    ("inline", inline::run),
    ("clean", clean::run),
    ("unroll", unroll::run),
    ("fuse", fuse::run),
    ("clean", clean::run),
    ("inline", inline::run),
    ("clean", clean::run),
    ("fuse", fuse::run),
    ("clean", clean::run),
    ("epilogue", epilogue::run),
    ("inline", inline::run),
    ("clean", clean::run),
    ("coalesce", coalesce::run),
    ("fuse", fuse::run),
    ("clean", clean::run),
    ("accumulate", accumulate::run),
    ("clean", clean::run),
    ("collapse", collapse::run),
];

fn optimise(p: &mut LoopProgram) {
    PASSES.iter().for_each(|(_, pass)| pass(p));
}

/// The schedule after the first so many passes; `None` where there are not so many.
#[cfg(test)]
fn schedule_partly(program: &Program, passes: usize) -> Option<Result<(LoopProgram, &'static str), ScheduleError>> {
    let last = if passes == 0 { "lower" } else { PASSES.get(passes - 1)?.0 };
    Some(lower::lower(program).map(|mut p| {
        PASSES[..passes].iter().for_each(|(_, pass)| pass(&mut p));
        arena::place(&mut p);
        (p, last)
    }))
}

#[cfg(test)]
mod tests;
