//! `whorl run`: compile the script, run it, and leave a run folder.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use whorl_core::data::bracketed;
use whorl_core::fault::Run;
use whorl_core::ir::{ArrayData, DType};
use whorl_cpu::RunError;
use whorl_host::checkpoint::{self, Header};
use whorl_host::curve;
use whorl_host::drive::{End, Observer, Pace, Progress, Saved, drive};
use whorl_host::engine::{Engine, LogValue, StateArray};
use whorl_host::folder::{Folder, record_json, values_json};
use whorl_host::metrics::{Metrics, spread};
use whorl_source::SourceMap;

use crate::args;
use crate::engine::{CpuEngine, State};
use crate::fault;
use crate::memory::{self, Room};
use crate::pipeline;

/// Time between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// A line of progress fits a narrow terminal.
const LINE_WIDTH: usize = 79;
/// Time between two lines of progress where the output is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub fn run(options: &args::Run) -> Result<ExitCode, String> {
    let begin = Instant::now();
    let source = pipeline::load(&options.script)?;
    let traced = source.script.trace_main().map_err(|d| pipeline::render(&d, &source.map))?;
    pipeline::warn(&traced, &source.map);
    let trace_time = begin.elapsed();
    let inputs = main_arguments(&traced.params, options.seed)?;
    let program = pipeline::checked(traced.program, options.checks);
    let (program, after) = pipeline::cut(program);
    let compiled = pipeline::compile(program, &source.map, options.threads)?;
    let after = after.map(|p| pipeline::compile(p, &source.map, options.threads)).transpose()?;
    let compile_time = compiled.time + after.as_ref().map_or(Duration::ZERO, |c| c.time);
    let engine = CpuEngine::new(compiled.program, compiled.executable, inputs);
    let arenas = memory::plan(&engine.program, engine.runs(), options.threads, Room::now(options.memory), &source.map)?;
    let engine = engine.in_arenas(arenas);
    let mut watch = Watch::new(&engine, options, &source)?;
    let arena_bytes = engine.program.arena_bytes;
    watch.say_json(json!({
        "event": "compiled",
        "trace_s": trace_time.as_secs_f64(),
        "compile_s": compile_time.as_secs_f64(),
        "arena_bytes": arena_bytes,
    }));
    if !options.quiet && !options.json {
        let seconds = (trace_time + compile_time).as_secs_f64();
        eprintln!("compiled in {seconds:.2} s, {} a run", bytes(arena_bytes));
    }

    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Without the handlers a signal ends the process at once: nothing else depends on them. The second one does so, too.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone());
        let _ = signal_hook::flag::register(signal, stop.clone());
    }
    let pace = Pace { threads: options.threads, ..Pace::default() };
    let driven = drive(&engine, &pace, &stop, &mut watch);
    let results = match driven.end {
        End::Finished => Some(results(&engine, &driven.states, after.as_ref())),
        End::Stopped { .. } | End::Failed(_) => None,
    };
    let saved = match &results {
        Some(Ok(results)) => watch.save(&traced.saves, results),
        Some(Err(_)) | None => watch.nothing_saved(&traced.saves),
    };
    watch.finish(&driven.end, &driven.states, driven.elapsed)?;
    match driven.end {
        End::Finished => match results.unwrap_or(Ok(Vec::new())) {
            Ok(results) => {
                if !options.quiet && !options.json {
                    print_results(&traced.results, &results);
                }
                Ok(saved)
            }
            Err(error) => Ok(watch.fail(&error, None, &source.map)),
        },
        End::Stopped { .. } => Ok(ExitCode::from(130)),
        End::Failed(failure) => {
            let run = engine.program.runs.map(|of| Run { number: failure.run, of });
            Ok(watch.fail(&failure.error, run, &source.map))
        }
    }
}

/// What the program gives: of runs a row of each, and behind them what is computed of them together.
fn results(
    engine: &CpuEngine,
    states: &[State],
    after: Option<&pipeline::Compiled>,
) -> Result<Vec<ArrayData>, RunError> {
    let given = engine.results(0, states);
    let Some(after) = after else { return Ok(given) };
    let inputs: Vec<ArrayData> = engine.inputs.iter().cloned().chain(given).collect();
    after.executable.run_to_end(&inputs, 1)
}

/// The arrays that `main`'s parameters are: a key, from the seed.
fn main_arguments(params: &[whorl_trace::Leaf], seed: u32) -> Result<Vec<ArrayData>, String> {
    let argument = |leaf: &whorl_trace::Leaf| match leaf.path.as_str() {
        "key.0" => Ok(ArrayData::scalar(0u32)),
        "key.1" => Ok(ArrayData::scalar(seed)),
        other => Err(format!("error: `main` takes a key and nothing else, not `{other}`")),
    };
    params.iter().map(argument).collect()
}

/// The script's results, if they are few; larger ones are in the checkpoint, and of a few only what they are is said.
fn print_results(leaves: &[whorl_trace::Leaf], results: &[ArrayData]) {
    /// Numbers in all, and arrays.
    const MOST: (usize, usize) = (64, 8);
    let all = leaves.iter().map(|l| l.ty.size()).sum::<usize>() <= MOST.0;
    if !all && leaves.len() > MOST.1 {
        return;
    }
    for (leaf, result) in leaves.iter().zip(results) {
        let name = if leaf.path.is_empty() { "result" } else { &leaf.path };
        if !all && leaf.ty.size() > MOST.0 / MOST.1 {
            say!("{name}: {}{:?}", leaf.ty.dtype.name(), leaf.ty.shape.as_slice());
            continue;
        }
        let values: Vec<String> = result.to_f64().into_iter().map(|x| shortest(leaf.ty.dtype, x)).collect();
        say!("{name} = {}", bracketed(&leaf.ty.shape, &values));
    }
}

/// The shortest text that reads back as the number of this type.
fn shortest(dtype: DType, x: f64) -> String {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => format!("{}", x as f32),
        DType::Bool => format!("{}", x != 0.0),
        DType::F64 | DType::I32 | DType::U32 | DType::U8 => format!("{x}"),
    }
}

/// Collects what the run logs, writes the folder, and tells the user.
struct Watch<'a> {
    engine: &'a CpuEngine,
    options: &'a args::Run,
    metrics: Metrics,
    folder: Folder,
    source_hash: String,
    title: String,
    /// Steps of the `train scan`.
    steps: usize,
    last_checkpoint: Instant,
    last_line: Option<Duration>,
    terminal: bool,
    /// Where the state from before a failure is.
    saved: Option<String>,
}

impl<'a> Watch<'a> {
    fn new(engine: &'a CpuEngine, options: &'a args::Run, source: &pipeline::Source) -> Result<Watch<'a>, String> {
        let stem = options.script.file.file_stem().map_or("run".into(), |s| s.to_string_lossy().into_owned());
        let folder = match &options.out {
            Some(path) => Folder::create(path),
            None => Folder::create_new(Path::new("runs"), &format!("{stem}-{}", timestamp())),
        };
        let folder = folder.map_err(|e| format!("error: the run folder: {e}; choose another with --out DIR"))?;
        let source_hash = hash(source.map.files().map(|(_, f)| f.text.as_str()));
        let write = |name: &str, text: &str| {
            folder.write(name, text.as_bytes()).map_err(|e| format!("error: {}: {e}", folder.path.join(name).display()))
        };
        write("config.toml", &config(options, source, &source_hash))?;
        write("source.whorl", &source.text)?;
        Ok(Watch {
            engine,
            options,
            metrics: Metrics::new(engine.log_names(), engine.runs()),
            folder,
            source_hash,
            title: stem,
            steps: 0,
            last_checkpoint: Instant::now(),
            last_line: None,
            terminal: std::io::stderr().is_terminal(),
            saved: None,
        })
    }

    fn say_json(&self, value: serde_json::Value) {
        if self.options.json {
            // A reader that has gone away is no reason to stop the run.
            let _ = writeln!(std::io::stdout(), "{value}");
        }
    }

    fn checkpoint(&mut self, phase: usize, step: usize, states: &[State]) -> Result<(), String> {
        let arrays: Vec<_> = states.iter().map(|s| self.engine.state_arrays(phase, s)).collect();
        self.last_checkpoint = Instant::now();
        self.write_checkpoint(phase, step, &arrays).map(|_| ())
    }

    fn write_checkpoint(&self, phase: usize, step: usize, arrays: &[Vec<StateArray>]) -> Result<PathBuf, String> {
        let path: PathBuf = self.folder.path.join("checkpoint.safetensors");
        let header = Header { phase, step, source_hash: self.source_hash.clone() };
        checkpoint::write(&path, &header, arrays).map_err(|e| format!("error: {}: {e}", path.display()))?;
        Ok(path)
    }

    /// Takes in what was logged.
    fn record(&mut self, logs: &[Vec<LogValue>]) {
        let records = self.metrics.add(logs).to_vec();
        if let Err(e) = self.folder.append(&records) {
            eprintln!("warning: metrics.jsonl: {e}");
        }
        for r in &records {
            let mut event = record_json(r);
            if let Some(fields) = event.as_object_mut() {
                fields.shift_insert(0, "event".into(), "log".into());
            }
            self.say_json(event);
        }
    }

    /// One line: how far, how fast, and the latest values.
    fn line(&self, p: &Progress) -> String {
        let seconds = p.elapsed.as_secs_f64().max(1e-9);
        let mut line = format!("{:5.1} %", 100.0 * p.done as f64 / p.total.max(1) as f64);
        if self.metrics.env_steps > 0.0 {
            line += &format!("  {} steps/s", si(self.metrics.env_steps / seconds));
        } else {
            line += &format!("  {:.1} updates/s", p.done as f64 / seconds);
        }
        let left = seconds * (p.total - p.done) as f64 / p.done.max(1) as f64;
        line += &format!("  {left:.0} s left");
        for name in self.engine.log_names() {
            let latest = self.metrics.records.iter().rev().find(|r| r.name == name);
            let Some((mean, deviation)) = latest.and_then(|r| spread(&r.values)) else { continue };
            let field = format!("  {name} {}", with_spread(mean, deviation, self.engine.runs()));
            if line.chars().count() + field.chars().count() > LINE_WIDTH {
                break;
            }
            line += &field;
        }
        line
    }

    fn show(&mut self, p: &Progress) {
        if self.options.quiet || self.options.json || p.total == 0 {
            return;
        }
        let line = self.line(p);
        let done = p.done == p.total;
        if self.terminal {
            eprint!("\r\x1b[2K{line}{}", if done { "\n" } else { "" });
        } else if done || self.last_line.is_none_or(|t| p.elapsed >= t + LINE_EVERY) {
            self.last_line = Some(p.elapsed);
            eprintln!("{line}");
        }
    }

    /// What stopped the run, told and written as an event.
    fn fail(&mut self, error: &RunError, run: Option<Run>, map: &SourceMap) -> ExitCode {
        let told = fault::told(error, run, self.saved.take(), map);
        let mut event = told.json;
        if let Some(fields) = event.as_object_mut() {
            fields.shift_insert(0, "event".into(), "error".into());
        }
        self.say_json(event);
        eprint!("{}", told.text);
        ExitCode::FAILURE
    }

    fn nothing_saved(&self, saves: &[whorl_trace::Save]) -> ExitCode {
        if !saves.is_empty() && !self.options.quiet {
            eprintln!("nothing was saved: the program did not come to its end");
        }
        ExitCode::SUCCESS
    }

    /// Writes what the script saves, and says so.
    fn save(&self, saves: &[whorl_trace::Save], results: &[ArrayData]) -> ExitCode {
        let mut code = ExitCode::SUCCESS;
        for file in crate::save::write_all(saves, results, &self.folder.path) {
            let path = file.path.display();
            match file.result {
                Ok(()) => {
                    self.say_json(json!({ "event": "saved", "path": path.to_string() }));
                    if !self.options.quiet && !self.options.json {
                        eprintln!("saved {path}");
                    }
                }
                Err(why) => {
                    eprintln!("error: {path} was not saved: {why}");
                    code = ExitCode::FAILURE;
                }
            }
        }
        code
    }

    /// The last checkpoint (of a failure it is written already), the picture, the summary, and the last words.
    fn finish(&mut self, end: &End<RunError>, states: &[State], elapsed: Duration) -> Result<(), String> {
        let train =
            self.engine.program.phases.iter().position(|p| matches!(p, whorl_schedule::loop_ir::Phase::Train { .. }));
        match (end, train) {
            (End::Finished, Some(phase)) => self.checkpoint(phase, self.steps, states)?,
            (End::Stopped { phase, step }, _) => self.checkpoint(*phase, *step, states)?,
            (End::Failed(_), _) | (End::Finished, None) => {}
        }
        let last = self.metrics.last(self.steps);
        if let Some(svg) = curve::svg(&self.metrics, &self.title, self.steps) {
            self.folder.write("curve.svg", svg.as_bytes()).map_err(|e| format!("error: curve.svg: {e}"))?;
        }
        let last_json: serde_json::Map<String, serde_json::Value> =
            last.iter().map(|(name, values)| (name.clone(), values_json(values).into())).collect();
        self.say_json(json!({
            "event": "done",
            "run_s": elapsed.as_secs_f64(),
            "env_steps": self.metrics.env_steps,
            "final": last_json,
        }));
        if !self.options.quiet && !self.options.json {
            for (name, values) in &last {
                if let Some((mean, deviation)) = spread(values) {
                    eprintln!("{name:>12}  {}", with_spread(mean, deviation, values.len()));
                }
            }
            let rate = self.metrics.env_steps / elapsed.as_secs_f64().max(1e-9);
            let rate = if rate > 0.0 { format!(", {} steps/s", si(rate)) } else { String::new() };
            eprintln!("{:.2} s{rate}; {}", elapsed.as_secs_f64(), self.folder.path.display());
        }
        Ok(())
    }
}

impl Observer<CpuEngine> for Watch<'_> {
    fn chunk(&mut self, p: Progress, logs: &[Vec<LogValue>], states: &[State]) {
        self.steps = self.steps.max(p.total);
        self.record(logs);
        self.show(&p);
        if p.done < p.total
            && self.last_checkpoint.elapsed() > CHECKPOINT_EVERY
            && let Err(e) = self.checkpoint(p.phase, p.done, states)
        {
            eprintln!("warning: no checkpoint: {e}");
        }
    }

    fn failed(&mut self, p: Progress, logs: &[Vec<LogValue>], saved: Option<&Saved>) {
        self.steps = self.steps.max(p.total);
        self.record(logs);
        if self.terminal && !self.options.quiet && !self.options.json && p.total > 0 {
            // Out of the line of progress.
            eprintln!();
        }
        let Some(saved) = saved else { return };
        match self.write_checkpoint(saved.phase, saved.step, &saved.states) {
            Ok(path) => {
                self.saved =
                    Some(format!("{} holds the state before step {} of the `train scan`", path.display(), saved.step));
            }
            Err(e) => eprintln!("warning: no checkpoint: {e}"),
        }
    }
}

/// All that is needed to repeat the run.
fn config(options: &args::Run, source: &pipeline::Source, source_hash: &str) -> String {
    let quoted = |text: &str| format!("{:?}", text);
    let mut out = format!(
        "whorl = {}\nscript = {}\nsource_hash = {}\nseed = {}\ndevice = \"cpu\"\nthreads = {}\ncommand = {}\n\n[params]\n",
        quoted(env!("CARGO_PKG_VERSION")),
        quoted(&options.script.file.display().to_string()),
        quoted(source_hash),
        options.seed,
        options.threads,
        quoted(&std::env::args().collect::<Vec<_>>().join(" ")),
    );
    for knob in source.script.knobs() {
        out += &format!("{} = {}\n", quoted(&knob.name), knob.value);
    }
    out
}

/// FNV-1a of 64 bits over the texts: tells whether a source is the same, not who made it.
fn hash<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let mut h = 0xcbf2_9ce4_8422_2325u64;
    for byte in texts.flat_map(|t| t.bytes().chain([0])) {
        h = (h ^ byte as u64).wrapping_mul(0x100_0000_01b3);
    }
    format!("{h:016x}")
}

/// Seconds since 1970 as `20261122-120632` (UTC).
fn timestamp() -> String {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (seconds / 86400, seconds % 86400);
    // Days to a date of the Gregorian calendar (H. Hinnant, chrono-compatible low-level date algorithms, 2013).
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

fn with_spread(mean: f64, deviation: f64, runs: usize) -> String {
    let digits = if mean.abs() >= 100.0 { 1 } else { 4 };
    if runs > 1 { format!("{mean:.digits$} ± {deviation:.digits$}") } else { format!("{mean:.digits$}") }
}

fn si(x: f64) -> String {
    match x {
        x if x >= 1e6 => format!("{:.2} M", x / 1e6),
        x if x >= 1e3 => format!("{:.0} k", x / 1e3),
        x => format!("{x:.0}"),
    }
}

pub fn bytes(n: usize) -> String {
    match n {
        n if n >= 1 << 20 => format!("{:.1} MiB", n as f64 / (1 << 20) as f64),
        n if n >= 1 << 10 => format!("{:.1} KiB", n as f64 / 1024.0),
        n => format!("{n} bytes"),
    }
}
