//! From sources to a program that is ready to run.

use std::time::{Duration, Instant};

use whorl_core::ir::ArrayData;
use whorl_cpu::RunError;
use whorl_host::engine::Engine;
use whorl_schedule::loop_ir::Phase;
use whorl_source::SourceMap;
use whorl_trace::{Leaf, Save};

use crate::args;
use crate::engine::{CpuEngine, State};
use crate::memory::{self, Room};
use crate::pipeline::{self, Compiled};
use crate::run::How;
use crate::run::job::Job;
use crate::run::sources::Sources;

/// A compiled job.
pub struct Prepared {
    pub script: args::Script,
    pub sources: Sources,
    pub engine: CpuEngine,
    /// The program of what comes behind the runs, if there is any.
    after: Option<Compiled>,
    pub results: Vec<Leaf>,
    pub saves: Vec<Save>,
    pub trace_time: Duration,
    pub compile_time: Duration,
}

impl Prepared {
    /// Traces and compiles; warnings are printed, and an error is the rendered text.
    pub fn new(sources: Sources, job: &Job, how: &How) -> Result<Prepared, String> {
        let begin = Instant::now();
        let source = &sources.source;
        let traced = source.script.trace_main().map_err(|d| pipeline::render(&d, &source.map))?;
        pipeline::warn(&traced, &source.map);
        let trace_time = begin.elapsed();
        let inputs = main_arguments(&traced.params, job.seed)?;
        let program = pipeline::checked(traced.program, job.checks);
        let (program, after) = pipeline::cut(program);
        let compiled = pipeline::compile(program, &source.map, how.threads)?;
        let after = after.map(|p| pipeline::compile(p, &source.map, how.threads)).transpose()?;
        let compile_time = compiled.time + after.as_ref().map_or(Duration::ZERO, |c| c.time);
        let engine = CpuEngine::new(compiled.program, compiled.executable, inputs);
        let arenas = memory::plan(&engine.program, engine.runs(), how.threads, Room::now(how.memory), &source.map)?;
        let engine = engine.in_arenas(arenas);
        let (results, saves) = (traced.results, traced.saves);
        Ok(Prepared { script: job.script.clone(), sources, engine, after, results, saves, trace_time, compile_time })
    }

    pub fn map(&self) -> &SourceMap {
        &self.sources.source.map
    }

    /// What the program gives: of runs a row of each, and behind them what is computed of them together.
    pub fn outcome(&self, states: &[State]) -> Result<Vec<ArrayData>, RunError> {
        let given = self.engine.results(0, states);
        let Some(after) = &self.after else { return Ok(given) };
        let inputs: Vec<ArrayData> = self.engine.inputs.iter().cloned().chain(given).collect();
        after.executable.run_to_end(&inputs, 1)
    }

    /// Steps of all `train scan`s.
    pub fn steps(&self) -> u64 {
        let steps = |p: &Phase| match p {
            Phase::Train { n, .. } => *n as u64,
            Phase::Straight(_) => 0,
        };
        self.engine.program.phases.iter().map(steps).sum()
    }
}

/// The arrays that `main`'s parameters are: a key, from the seed.
fn main_arguments(params: &[Leaf], seed: u32) -> Result<Vec<ArrayData>, String> {
    let argument = |leaf: &Leaf| match leaf.path.as_str() {
        "key.0" => Ok(ArrayData::scalar(0u32)),
        "key.1" => Ok(ArrayData::scalar(seed)),
        other => Err(format!("error: `main` takes a key and nothing else, not `{other}`")),
    };
    params.iter().map(argument).collect()
}
