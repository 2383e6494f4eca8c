//! `whorl eval`: the agents of a run, tried out and drawn.

pub mod film;
pub mod play;
pub mod table;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use whorl_host::checkpoint;
use whorl_host::drive::steps_before;
use whorl_host::engine::Engine;

use crate::args;
use crate::engine::ProgramEngine;
use crate::eval::film::Film;
use crate::eval::play::{Agents, Episodes};
use crate::past::{self, Past};
use crate::pipeline::{self, Source};
use crate::run::How;
use crate::run::job::Config;
use crate::run::prepare::Prepared;
use crate::run::sources::Sources;
use crate::sweep::each;
use crate::terminal_picture;

/// Films that are drawn side by side.
const MOST_FILMS: usize = 9;
/// Viewers slow down what is faster.
const FASTEST_GIF: f64 = 50.0;

pub fn eval(options: &args::Eval) -> Result<ExitCode, String> {
    let past = Past::open(&options.folder)?;
    each::is_one_program(&past, "eval")?;
    let other = options.script.as_ref().map(|file| script(file, &past.config)).transpose()?;
    // What is wrong with `eval` is told before anything takes time.
    play::known(other.as_ref().unwrap_or(&past.sources.source), &options.folder)?;
    let found = past::checkpoint(&options.folder, options.checkpoint.as_deref(), &past.config.run_hash())?;
    let Some(found) = found else {
        let name = options.folder.display();
        return Err(format!(
            "error: {name}: there is no checkpoint yet; one is made every minute, and when the run is stopped (Ctrl-C)"
        ));
    };
    let (config, prepared) =
        past.prepare(&How { threads: options.threads, cache: options.cache.clone(), ..How::default() })?;
    let trained = trained(&prepared, found.header.phase, found.header.step);
    let results = past::results(&prepared, past::place(&prepared, found)?)?;
    let sources: Vec<Source> = points(&prepared, &config)
        .iter()
        .map(|config| match &options.script {
            Some(file) => script(file, config),
            None => Ok(Sources::stored(config, &options.folder)?.source),
        })
        .collect::<Result<_, String>>()?;
    let agents = sources
        .iter()
        .zip(results)
        .map(|(source, results)| Agents::of(source, &prepared.results, results, config.job.checks, options));
    let all = All { agents: agents.collect::<Result<_, _>>()?, engine: &prepared.engine };
    let chosen = chosen(options, &all)?;
    let numbers: Vec<u32> = (options.episode..).take(options.episodes).collect();
    let played = all.by_point(&chosen, |agents, own| agents.play(own, options.seed, &numbers))?;
    if options.json {
        table::json(&chosen, &played, &numbers, |k| all.point(k));
    } else {
        say!("{}, {trained}", options.folder.display());
        let name = |k: usize| all.point(k).map_or_else(|| k.to_string(), |point| format!("{point}  {k}"));
        crate::put(table::table(&chosen.iter().map(|k| name(*k)).collect::<Vec<_>>(), &played, all.several()));
    }
    if options.gif.is_none() && options.png.is_none() && !options.term {
        return Ok(ExitCode::SUCCESS);
    }

    let drawn = drawn(options, &chosen, &played)?;
    let films = all.by_point(&drawn, |agents, own| agents.films(own, options.seed, options.episode, options.fps))?;
    let told = whose(&drawn, &chosen, &all, options.episode);
    if let Some(path) = &options.png {
        written(path, film::sheet(&films, options.scale), &told, options)?;
    }
    let film = Film::side_by_side(films);
    if let Some(path) = &options.gif {
        written(path, film.gif(options.scale, FASTEST_GIF), &told, options)?;
    }
    if options.term {
        return terminal_picture::show(&film, &told, std::io::stdout().is_terminal());
    }
    Ok(ExitCode::SUCCESS)
}

/// The agents of all points of a sweep, numbered through; of one point, where nothing is swept.
struct All<'s> {
    agents: Vec<Agents<'s>>,
    engine: &'s ProgramEngine,
}

impl All<'_> {
    /// How many one point has.
    fn each(&self) -> usize {
        self.agents.first().and_then(Agents::runs).unwrap_or(1)
    }

    fn len(&self) -> usize {
        self.agents.len() * self.each()
    }

    /// Whether they need numbers to be told apart.
    fn several(&self) -> bool {
        self.agents.len() > 1 || self.agents.iter().any(|a| a.runs().is_some())
    }

    /// What the point of an agent is called.
    fn point(&self, k: usize) -> Option<String> {
        self.engine.point_label(k / self.each())
    }

    /// What is made of each of the chosen, in their order; those of one point are made together.
    fn by_point<T>(
        &self,
        chosen: &[usize],
        make: impl Fn(&Agents, &[usize]) -> Result<Vec<T>, String>,
    ) -> Result<Vec<T>, String> {
        let each = self.each();
        let mut made: Vec<(usize, T)> = Vec::new();
        for (point, agents) in self.agents.iter().enumerate() {
            let places: Vec<usize> = (0..chosen.len()).filter(|i| chosen[*i] / each == point).collect();
            let own: Vec<usize> = places.iter().map(|i| chosen[*i] % each).collect();
            if !own.is_empty() {
                made.extend(places.into_iter().zip(make(agents, &own)?));
            }
        }
        made.sort_by_key(|(place, _)| *place);
        Ok(made.into_iter().map(|(_, t)| t).collect())
    }
}

/// A script whose `eval` takes the place of that of the run.
fn script(file: &Path, config: &Config) -> Result<Source, String> {
    let settings = config.job.script.settings.clone();
    pipeline::load(&args::Script { file: file.to_path_buf(), settings })
}

/// The run at each point of its sweep, as if the values had been set.
fn points(prepared: &Prepared, config: &Config) -> Vec<Config> {
    let at = |k: usize| {
        let mut config = config.clone();
        config.job.script.settings.extend(prepared.settings(k));
        config
    };
    (0..prepared.engine.points().len()).map(at).collect()
}

/// `trained for 976 of 976 steps`
fn trained(prepared: &Prepared, phase: usize, step: usize) -> String {
    let done = steps_before(&prepared.engine.phases(), phase) + step as u64;
    format!("trained for {done} of {} steps", prepared.steps())
}

/// The agents that are tried out.
fn chosen(options: &args::Eval, all: &All) -> Result<Vec<usize>, String> {
    let n = all.len();
    let Some(chosen) = &options.runs else { return Ok((0..n).collect()) };
    match chosen.iter().find(|k| **k >= n) {
        None => Ok(chosen.clone()),
        Some(k) => {
            let there = if n == 1 { "there is only run 0".to_string() } else { format!("there are 0 to {}", n - 1) };
            Err(format!("error: --runs {k}: there is no run {k}; {there}"))
        }
    }
}

/// The agents that are drawn: those that were asked for, or the best.
fn drawn(options: &args::Eval, chosen: &[usize], played: &[Episodes]) -> Result<Vec<usize>, String> {
    if options.runs.is_none() {
        let mean = |k: usize| played[k].returns().iter().sum::<f64>();
        let best = (0..chosen.len()).max_by(|a, b| mean(*a).total_cmp(&mean(*b)).then(b.cmp(a)));
        return Ok(best.map(|k| chosen[k]).into_iter().collect());
    }
    if chosen.len() > MOST_FILMS {
        return Err(format!(
            "error: {} runs cannot be drawn side by side; --runs 0,3 draws two, up to {MOST_FILMS}",
            chosen.len()
        ));
    }
    Ok(chosen.to_vec())
}

/// `run 3, the best of 8, episode 0`
fn whose(drawn: &[usize], chosen: &[usize], all: &All, episode: u32) -> String {
    let name = |k: &usize| all.point(*k).map_or(k.to_string(), |point| format!("{k} ({point})"));
    let who = match drawn {
        _ if !all.several() => String::new(),
        [one] if chosen.len() > 1 => format!("run {}, the best of {}, ", name(one), chosen.len()),
        [one] => format!("run {}, ", name(one)),
        several => format!("runs {}, ", several.iter().map(name).collect::<Vec<_>>().join(", ")),
    };
    format!("{who}episode {episode}")
}

/// Writes a picture, whole or not at all, and says so.
fn written(path: &Path, bytes: Result<Vec<u8>, String>, told: &str, options: &args::Eval) -> Result<(), String> {
    let failed = |e: &dyn std::fmt::Display| format!("error: {} was not written: {e}", path.display());
    let bytes = bytes.map_err(|e| failed(&e))?;
    checkpoint::replace(path, &bytes).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => failed(&"there is no such folder"),
        _ => failed(&e),
    })?;
    if options.json {
        say!("{}", serde_json::json!({ "event": "saved", "path": path.display().to_string() }));
    } else {
        say!("{}: {told}, {}", path.display(), crate::words::bytes(bytes.len()));
    }
    Ok(())
}
