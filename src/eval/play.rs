//! Episodes of the agents that a run has come to.

use std::path::Path;

use whorl_core::ir::{ArrayData, DType, Type};
use whorl_trace::{Evaluation, Leaf, Plays};

use crate::args;
use crate::cache::Cache;
use crate::eval::film::Film;
use crate::fault;
use crate::memory::{self, Room};
use crate::pipeline::{self, Checks, Compiled, Source};

/// Frames a second where `eval` does not say.
const FPS: f64 = 20.0;

/// What `main` gave, and the script that tries it out.
pub struct Agents<'s> {
    source: &'s Source,
    checks: Checks,
    threads: usize,
    cache: &'s Cache,
    /// Arrays of [agents, …].
    arrays: Vec<ArrayData>,
    runs: Option<usize>,
}

/// All episodes of one agent: its numbers, by name, one an episode.
pub struct Episodes(pub Vec<(String, DType, Vec<f64>)>);

impl Episodes {
    pub fn numbers(&self, name: &str) -> Option<&[f64]> {
        self.0.iter().find(|(n, ..)| n == name).map(|(.., x)| &x[..])
    }

    pub fn returns(&self) -> &[f64] {
        self.numbers("episode_return").unwrap_or_default()
    }
}

/// Whether the script says how its agent is tried out, well.
pub fn known(source: &Source, folder: &Path) -> Result<(), String> {
    let hint = if source.script.has_eval() {
        String::new()
    } else {
        format!(
            "\nhelp: write `eval` into the script: `whorl eval {} --script FILE` takes it from there for this run, too\n",
            folder.display()
        )
    };
    traced(source, Plays { agents: 1, episodes: 1, frames: false })
        .map(|_| ())
        .map_err(|e| e.trim_end().to_string() + &hint)
}

fn traced(source: &Source, plays: Plays) -> Result<Evaluation, String> {
    source.script.trace_eval(plays).map_err(|d| pipeline::render(&d, &source.map))
}

impl<'s> Agents<'s> {
    /// `results` are what `main` gave: one array for each of `leaves`.
    pub fn of(
        source: &'s Source,
        leaves: &[Leaf],
        results: Vec<ArrayData>,
        checks: Checks,
        options: &'s args::Eval,
    ) -> Result<Agents<'s>, String> {
        let evaluation = traced(source, Plays { agents: 1, episodes: 1, frames: false })?;
        let axes = evaluation.runs.len();
        let runs = (axes > 0).then(|| evaluation.runs.iter().product());
        let arrays: Vec<ArrayData> = results.into_iter().map(|a| rows(a, axes)).collect();
        let params = &evaluation.traced.params;
        let own = &params[..params.len() - 3];
        let same = |(param, array): (&Leaf, &ArrayData)| {
            param.ty.dtype == array.ty.dtype && param.ty.shape.get(1..) == array.ty.shape.get(1..)
        };
        if own.len() != arrays.len() || !own.iter().zip(&arrays).all(same) {
            let gives = crate::save::arrays_described(leaves);
            return Err(format!(
                "error: `main` of the other script gives something else than the run has, which is {gives}\n\
                 help: take the script that was run, with another `eval`"
            ));
        }
        let (threads, cache) = (options.threads, &options.cache);
        Ok(Agents { source, checks, threads, cache, arrays, runs })
    }

    /// How many there are, if the script makes several, side by side.
    pub fn runs(&self) -> Option<usize> {
        self.runs
    }

    /// These agents in the episodes of these numbers.
    pub fn play(&self, chosen: &[usize], seed: u32, numbers: &[u32]) -> Result<Vec<Episodes>, String> {
        let plays = Plays { agents: chosen.len(), episodes: numbers.len(), frames: false };
        let (evaluation, compiled) = self.compiled(plays)?;
        let results = self.run(&compiled, chosen, seed, numbers)?;
        let mut all: Vec<Episodes> = chosen.iter().map(|_| Episodes(Vec::new())).collect();
        for (leaf, result) in evaluation.traced.results.iter().zip(&results) {
            let values = result.to_f64();
            for (agent, row) in all.iter_mut().zip(values.chunks(numbers.len())) {
                agent.0.push((leaf.path.clone(), leaf.ty.dtype, row.to_vec()));
            }
        }
        Ok(all)
    }

    /// One episode of each, drawn.
    pub fn films(&self, chosen: &[usize], seed: u32, number: u32, fps: Option<f64>) -> Result<Vec<Film>, String> {
        let (evaluation, compiled) = self.compiled(Plays { agents: 1, episodes: 1, frames: true })?;
        let leaves = &evaluation.traced.results;
        let place = |name: &str| leaves.iter().position(|l| l.path == name);
        let Some(frames) = place("frames") else { return Err("error: `eval` gives no frames".to_string()) };
        let film = |agent: &usize| {
            let mut results = self.run(&compiled, &[*agent], seed, &[number])?;
            let number = |name: &str| place(name).map(|k| results[k].to_f64()[0]);
            let length = number("length");
            let fps = fps.or(number("fps")).unwrap_or(FPS);
            if !(fps > 0.0 && fps.is_finite()) {
                return Err(format!("error: `fps` of what `eval` gives is {fps}; it is more than 0"));
            }
            let mut array = results.swap_remove(frames);
            // Of one agent and one episode.
            array.ty.shape.drain(..2);
            let there = array.ty.shape[0];
            // The first state, and that after each step.
            let count = length.map_or(there, |steps| (steps.max(0.0) as usize).saturating_add(1).min(there));
            Film::of(&array, count, fps).map_err(|e| format!("error: {e}"))
        };
        chosen.iter().map(film).collect()
    }

    fn compiled(&self, plays: Plays) -> Result<(Evaluation, Compiled), String> {
        let mut evaluation = traced(self.source, plays)?;
        let program = std::mem::take(&mut evaluation.traced.program);
        let program = pipeline::checked(program, self.checks);
        let compiled = pipeline::compile_swept(program, &self.source.map, self.threads, 1, self.cache)?;
        memory::plan(&compiled.program, 1, 1, Room::now(None), &self.source.map)?;
        Ok((evaluation, compiled))
    }

    fn run(&self, compiled: &Compiled, chosen: &[usize], seed: u32, numbers: &[u32]) -> Result<Vec<ArrayData>, String> {
        let rows = |a: &ArrayData| {
            let shape: Vec<usize> = [chosen.len()].iter().chain(&a.ty.shape[1..]).copied().collect();
            let row = a.bytes.len() / a.ty.shape[0];
            let bytes = chosen.iter().flat_map(|k| &a.bytes[k * row..(k + 1) * row]).copied().collect();
            ArrayData { ty: Type::new(a.ty.dtype, &shape), bytes }
        };
        let mut inputs: Vec<ArrayData> = self.arrays.iter().map(rows).collect();
        inputs.extend([ArrayData::scalar(0u32), ArrayData::scalar(seed), ArrayData::vector(numbers)]);
        compiled
            .executable
            .run_to_end(&inputs, self.threads)
            .map_err(|e| fault::told(&e, None, None, None, &self.source.map).text)
    }
}

/// The array with one axis in place of the first few, or in front of it.
fn rows(a: ArrayData, axes: usize) -> ArrayData {
    let (runs, own) = a.ty.shape.split_at(axes.min(a.ty.shape.len()));
    let shape: Vec<usize> = [runs.iter().product()].iter().chain(own).copied().collect();
    ArrayData { ty: Type::new(a.ty.dtype, &shape), bytes: a.bytes }
}
