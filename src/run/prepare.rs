//! From sources to a program that is ready to run.

use std::time::{Duration, Instant};

use whorl_core::ir::ArrayData;
use whorl_cpu::RunError;
use whorl_host::drive::steps_before;
use whorl_host::engine::Engine;
use whorl_source::SourceMap;
use whorl_trace::{Leaf, Save, SweptPoint};

use crate::args;
use crate::cuda;
use crate::engine::{Point, ProgramEngine, State};
use crate::memory::{self, Arenas, Room};
use crate::pipeline::{self, Compiled};
use crate::run::How;
use crate::run::job::Job;
use crate::run::sources::Sources;
use crate::sweep::Sweep;

/// A compiled job.
pub struct Prepared {
    pub script: args::Script,
    pub sources: Sources,
    /// See [`Job::hash`].
    pub run_hash: String,
    pub engine: ProgramEngine,
    /// What is swept, if anything is, and the places of the points' values.
    pub sweep: Sweep,
    pub points: Vec<Vec<usize>>,
    /// The program of what comes behind the runs, if there is any.
    after: Option<Compiled>,
    pub results: Vec<Leaf>,
    pub saves: Vec<Save>,
    pub trace_time: Duration,
    pub compile_time: Duration,
    /// Whether all was compiled before.
    pub cached: bool,
}

impl Prepared {
    /// Traces and compiles; warnings are printed, and an error is the rendered text.
    pub fn new(sources: Sources, job: &Job, how: &How) -> Result<Prepared, String> {
        Prepared::warning(sources, job, how, true)
    }

    /// The same again, of what was warned of already.
    pub fn again(sources: Sources, job: &Job, how: &How) -> Result<Prepared, String> {
        Prepared::warning(sources, job, how, false)
    }

    fn warning(mut sources: Sources, job: &Job, how: &How, warn: bool) -> Result<Prepared, String> {
        let begin = Instant::now();
        let (sweep, points) = swept(&mut sources, job)?;
        let source = &sources.source;
        let traced = source.script.trace_main().map_err(|d| pipeline::render(&d, &source.map))?;
        if warn {
            pipeline::warn(&traced, &source.map);
        }
        let trace_time = begin.elapsed();
        let own = traced.params.len() - points.first().map_or(0, |p| p.inputs.len());
        let inputs = main_arguments(&traced.params[..own], job.seed)?;
        let program = pipeline::checked(traced.program, job.checks);
        let (program, after) = pipeline::cut(program);
        let (engine, time, cached) = match how.device().open()? {
            None if job.fast_math => {
                return Err("error: --fast-math is what a card computes, and the CPU does not\nhelp: add --device cuda, or leave it out"
                    .to_string());
            }
            None => {
                let runs = points.len().max(1);
                let compiled = pipeline::compile_swept(program, &source.map, how.threads, runs, &how.cache)?;
                let engine = ProgramEngine::new(compiled.program, compiled.executable, inputs);
                (engine, compiled.time, compiled.cached)
            }
            Some(device) => {
                let compiled =
                    cuda::compile(program, &source.map, device, points.len().max(1), job.fast_math, &how.cache)?;
                (ProgramEngine::on_card(compiled.executable, inputs), compiled.time, compiled.cached)
            }
        };
        // What is computed behind the runs is little: the CPU does it.
        let after = after.map(|p| pipeline::compile_swept(p, &source.map, how.threads, 1, &how.cache)).transpose()?;
        let cached = cached && after.as_ref().is_none_or(|c| c.cached);
        let compile_time = time + after.as_ref().map_or(Duration::ZERO, |c| c.time);
        let mut engine = engine;
        if !sweep.is_empty() {
            relative(&traced.saves)?;
            let point = |p: &SweptPoint| Point {
                label: sweep.label(&p.at),
                inputs: p.inputs.iter().copied().map(ArrayData::from).collect(),
            };
            engine = engine.over(points.iter().map(point).collect());
        }
        let (runs, map) = (engine.runs(), &source.map);
        let arenas = match engine.card() {
            None => memory::plan(&engine.program, runs, how.threads, Room::now(how.memory), map)?,
            Some(card) => {
                memory::fits_on_card(&engine.program, runs, card.bytes(runs), card.room(how.memory)?, map)?;
                Arenas::EachItsOwn
            }
        };
        let engine = engine.in_arenas(arenas);
        let (results, saves) = (traced.results, traced.saves);
        let points = points.into_iter().map(|p| p.at).collect();
        let script = job.script.clone();
        let run_hash = job.hash(&sources.hash);
        Ok(Prepared {
            script,
            sources,
            run_hash,
            engine,
            sweep,
            points,
            after,
            results,
            saves,
            trace_time,
            compile_time,
            cached,
        })
    }

    pub fn map(&self) -> &SourceMap {
        &self.sources.source.map
    }

    /// What the program gives at a point of a sweep (the only one, where nothing is swept): of runs a row of each, and behind
    /// them what is computed of them together.
    pub fn outcome(&self, point: usize, states: &[State]) -> Result<Vec<ArrayData>, RunError> {
        let given = self.engine.results(point, states)?;
        let mut results = match &self.after {
            None => given,
            Some(after) => {
                let inputs: Vec<ArrayData> = self.engine.arguments(point).into_iter().chain(given).collect();
                after.executable.run_to_end(&inputs, 1)?
            }
        };
        // Runs of a nest of loops are counted through; the script has an axis for each loop.
        let leaves = self.results.iter().chain(self.saves.iter().flat_map(|s| &s.arrays));
        results.iter_mut().zip(leaves).for_each(|(array, leaf)| array.ty = leaf.ty.clone());
        Ok(results)
    }

    /// What a point of a sweep sets.
    pub fn settings(&self, point: usize) -> Vec<(String, String)> {
        let Some(at) = self.points.get(point) else { return Vec::new() };
        self.sweep.axes.iter().zip(at).map(|(a, &k)| (a.name.clone(), a.values[k].clone())).collect()
    }

    /// Steps of all `train scan`s.
    pub fn steps(&self) -> u64 {
        steps_before(&self.engine.phases(), self.engine.program.phases.len())
    }
}

/// What is swept, and the points; the script is set to be traced for them.
fn swept(sources: &mut Sources, job: &Job) -> Result<(Sweep, Vec<SweptPoint>), String> {
    let mut sweep = Sweep::parse(&job.sweep).map_err(|e| format!("error: {e}"))?;
    if sweep.is_empty() {
        return Ok((sweep, Vec::new()));
    }
    let source = &mut sources.source;
    let programs = sweep.programs(&mut source.script, &job.script.settings);
    match &programs.map_err(|d| pipeline::render(&d, &source.map))?[..] {
        [program] => {
            source.script.set_program(program);
            Ok((sweep, program.points.clone()))
        }
        several => Err(format!("error: the sweep takes {} programs, each a run of its own", several.len())),
    }
}

/// Each point of a sweep saves its own files, in a folder of its own.
fn relative(saves: &[Save]) -> Result<(), String> {
    match saves.iter().find(|s| std::path::Path::new(&s.file).is_absolute()) {
        None => Ok(()),
        Some(save) => Err(format!(
            "error: every point of the sweep would save {}\nhelp: a relative path is in a folder of the point's own",
            save.file
        )),
    }
}

/// The arrays that `main`'s parameters are: a key, from the seed.
pub fn main_arguments(params: &[Leaf], seed: u32) -> Result<Vec<ArrayData>, String> {
    let argument = |leaf: &Leaf| match leaf.path.as_str() {
        "key.0" => Ok(ArrayData::scalar(0u32)),
        "key.1" => Ok(ArrayData::scalar(seed)),
        other => Err(format!("error: `main` takes a key and nothing else, not `{other}`")),
    };
    params.iter().map(argument).collect()
}
