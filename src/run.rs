//! `whorl run`: compile the script, run it, and leave a run folder.

pub mod job;
pub mod prepare;
pub mod sources;
pub mod summary;
pub mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use whorl_core::data::bracketed;
use whorl_core::fault::Run;
use whorl_core::ir::{ArrayData, DType};
use whorl_cpu::RunError;
use whorl_host::curve;
use whorl_host::drive::{Driven, End, Pace, Place, drive, steps_before};
use whorl_host::engine::Engine;
use whorl_host::folder::Folder;
use whorl_host::log_each;
use whorl_host::metrics::{Final, spread, values_json};
use whorl_trace::{Leaf, Save};

use crate::args;
use crate::cache::Cache;
use crate::card::Card;
use crate::device::Choice;
use crate::engine::ProgramEngine;
use crate::fault;
use crate::run::job::{Config, Job};
use crate::run::prepare::Prepared;
use crate::run::sources::Sources;
use crate::run::summary::{Ending, Status};
use crate::run::watch::{METRICS, Watch};
use crate::sweep::each;
use crate::sweep::outcome::Outcome;
use crate::words::{bytes, si, timestamp, with_spread};

/// Looking in more often would cost.
const SHORTEST_CHUNK: Duration = Duration::from_millis(5);

/// How a job is carried out: nothing of it changes results.
#[derive(Clone, Debug)]
pub struct How {
    /// Where; as before, or on the CPU, where it is not said.
    pub device: Option<Choice>,
    pub threads: usize,
    pub json: bool,
    pub quiet: bool,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// So many checkpoints are kept, with the present one; where it is not said, no further ones are kept and none is removed.
    pub keep: Option<usize>,
    /// Bytes that runs may take at most.
    pub memory: Option<usize>,
    /// Whether every element that is logged is written, beside the means.
    pub log_each: bool,
    /// Where compiled programs are kept.
    pub cache: Cache,
}

impl Default for How {
    fn default() -> How {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let checkpoint_every = Duration::from_secs(60);
        let cache = Cache::none();
        let device = None;
        How {
            device,
            threads,
            json: false,
            quiet: false,
            checkpoint_every,
            keep: None,
            memory: None,
            log_each: false,
            cache,
        }
    }
}

impl How {
    pub fn device(&self) -> Choice {
        self.device.unwrap_or_default()
    }

    /// The same where the run was, unless another device was asked for.
    pub fn where_it_was(&self, device: Choice) -> How {
        How { device: self.device.or(Some(device)), ..self.clone() }
    }
}

pub fn run(options: &args::Run) -> Result<ExitCode, String> {
    options.how.device().check()?;
    let mut sources = Sources::load(&options.job.script)?;
    if let Some(parts) = each::parts(&mut sources, &options.job)? {
        let folder = new_folder(&sources, &options.job, &options.how, 0, options.out.as_deref())?;
        return each::carry_out(
            &Config::new(options.job.clone(), &sources, &options.how, 0),
            &parts,
            &options.how,
            folder,
        );
    }
    let prepared = Prepared::new(sources, &options.job, &options.how)?;
    let folder = new_folder(&prepared.sources, &options.job, &options.how, prepared.steps(), options.out.as_deref())?;
    carry_out(&prepared, &options.how, folder, None)
}

/// The folder of a new run, with what it is: `out`, or one named after the script.
pub fn new_folder(sources: &Sources, job: &Job, how: &How, steps: u64, out: Option<&Path>) -> Result<Folder, String> {
    let config = Config::new(job.clone(), sources, how, steps);
    let mut files = vec![(job::FILE.to_string(), config.text(&sources.source.script.knobs()).into_bytes())];
    files.extend(sources.files.iter().map(|f| (f.stored.clone(), f.text.clone().into_bytes())));
    files.push((METRICS.to_string(), Vec::new()));
    let folder = match out {
        Some(path) => Folder::create(path, &files),
        None => Folder::create_new(Path::new("runs"), &format!("{}-{}", title(&job.script), timestamp()), &files),
    };
    folder.map_err(|e| format!("error: the run folder: {e}; choose another with --out DIR"))
}

/// The script's name without its folder and ending.
pub(crate) fn title(script: &args::Script) -> String {
    script.file.file_stem().map_or("run".into(), |s| s.to_string_lossy().into_owned())
}

/// Runs to the end, or until it is stopped, and leaves what there is to leave in the folder.
pub fn carry_out(
    prepared: &Prepared,
    how: &How,
    folder: Folder,
    from: Option<Place<ProgramEngine>>,
) -> Result<ExitCode, String> {
    let engine = &prepared.engine;
    let phases = engine.phases();
    let step = from.as_ref().map_or(0, |p| steps_before(&phases, p.phase) + p.step as u64);
    let mut watch = Watch::new(engine, how, prepared.run_hash.clone(), folder, step)?;
    // Of an earlier end: from here on the run is under way.
    let _ = std::fs::remove_file(watch.folder.file(summary::FILE));
    announce(prepared, &watch, step);
    if how.log_each || watch.folder.file(log_each::FILE).exists() {
        watch.log_each(prepared.map(), step)?;
    }
    if let Some(place) = &from {
        watch.progress.begin_at(place.phase, place.step, watch.env_steps_before);
    }
    let signals = Signals::heard();
    // Checkpoints are made between chunks.
    let chunk = Pace::default().chunk.min(how.checkpoint_every.max(SHORTEST_CHUNK));
    let pace = Pace { threads: how.threads, chunk, fixed_chunk: None };
    let driven = drive(engine, &pace, &signals.stop, from, &mut watch);
    watch.progress.finish();
    let ended = finish(prepared, &mut watch, driven)?;
    Ok(match ended {
        Status::Finished => ExitCode::SUCCESS,
        Status::Stopped => ExitCode::from(128 + signals.last()),
        Status::Failed => ExitCode::FAILURE,
    })
}

/// Ctrl-C, and being asked to end: the first asks the run to stop, the second ends the process at once.
struct Signals {
    stop: Arc<AtomicBool>,
    asked_to_end: Arc<AtomicBool>,
}

impl Signals {
    /// Those of the process: one that comes between two programs of a sweep stops the second.
    fn heard() -> &'static Signals {
        static HEARD: OnceLock<Signals> = OnceLock::new();
        HEARD.get_or_init(Signals::new)
    }

    fn new() -> Signals {
        let signals = Signals { stop: Arc::default(), asked_to_end: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            // Without the handlers a signal ends the process at once: nothing else depends on them.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, signals.stop.clone());
            let _ = signal_hook::flag::register(signal, signals.stop.clone());
        }
        let _ = signal_hook::flag::register(SIGTERM, signals.asked_to_end.clone());
        signals
    }

    fn last(&self) -> u8 {
        let signal = if self.asked_to_end.load(Ordering::Relaxed) { SIGTERM } else { SIGINT };
        signal as u8
    }
}

/// What is about to run.
fn announce(prepared: &Prepared, watch: &Watch, step: u64) {
    let (engine, folder) = (&prepared.engine, watch.folder.path.display());
    let arena_bytes = engine.program.arena_bytes;
    watch.say_json(json!({
        "event": "compiled",
        "trace_s": prepared.trace_time.as_secs_f64(),
        "compile_s": prepared.compile_time.as_secs_f64(),
        "cached": prepared.cached,
        "device": engine.card().map_or("cpu".to_string(), Card::name),
        "arena_bytes": arena_bytes,
        "folder": folder.to_string(),
        "step": step,
    }));
    if !watch.talks() {
        return;
    }
    let seconds = (prepared.trace_time + prepared.compile_time).as_secs_f64();
    let of = match (engine.points().len(), engine.program.runs) {
        (1, _) => String::new(),
        (points, None) => format!(" ({points} points)"),
        (points, Some(n)) => format!(" ({points} points of {n})"),
    };
    let turns = engine.arenas().map_or(String::new(), |k| format!(", {k} at a time"));
    let runs = match engine.runs() {
        1 => format!("one run of {}", bytes(arena_bytes)),
        n => format!("{n} runs{of} of {}{turns}", bytes(arena_bytes)),
    };
    let on = if step > 0 { format!("; goes on at step {step} of {}", prepared.steps()) } else { String::new() };
    let compiled = if prepared.cached { "compiled before, there in" } else { "compiled in" };
    let where_to = engine.card().map_or(String::new(), |card| format!(" on {}", card.name()));
    eprintln!("{folder}: {runs}{where_to}, {compiled} {seconds:.2} s{on}");
}

/// How far a run came.
enum Came {
    /// The results of each point.
    End(Vec<Vec<ArrayData>>),
    Stop,
    /// Of which run it is told, where it is one run's, and of which point.
    Error(RunError, Option<Run>, Option<String>),
}

/// Results, files, the last checkpoint, the picture, the summary, and the last words. What cannot be written, because the disk is
/// full, keeps nothing else from being told or written, and is the error in the end.
fn finish(prepared: &Prepared, watch: &mut Watch, driven: Driven<ProgramEngine>) -> Result<Status, String> {
    let (engine, states) = (&prepared.engine, &driven.states);
    let mut problems: Vec<String> = Vec::new();
    if let End::Stopped { phase, step } = driven.end {
        watch.no_last_checkpoint = watch.checkpoint(phase, step, states).err();
    }
    let came = match driven.end {
        End::Finished => {
            let of = |k: usize| prepared.outcome(k, states).map_err(|e| Came::Error(e, None, engine.point_label(k)));
            (0..engine.points().len()).map(of).collect::<Result<_, _>>().map_or_else(|error| error, Came::End)
        }
        End::Stopped { .. } => Came::Stop,
        End::Failed(failure) => {
            let (point, number) = engine.place_of(failure.run);
            let run = engine.program.runs.map(|of| Run { number, of });
            Came::Error(failure.error, run, engine.point_label(point))
        }
    };
    let status = match came {
        Came::End(_) => Status::Finished,
        Came::Stop => Status::Stopped,
        Came::Error(..) => Status::Failed,
    };
    problems.extend(watch.no_last_checkpoint.take().map(|e| format!("error: no checkpoint: {e}")));
    let saved = match &came {
        Came::End(results) => {
            let mut saved = Vec::new();
            for (k, results) in results.iter().enumerate() {
                saved.extend(save(watch, &prepared.saves, results, engine.point_label(k), &mut problems));
            }
            saved
        }
        Came::Stop | Came::Error(..) => {
            if !prepared.saves.is_empty() && watch.talks() {
                eprintln!("nothing was saved: the program did not come to its end");
            }
            Vec::new()
        }
    };
    problems.extend(watch.flush().err());
    let steps = prepared.steps();
    draw_curves(prepared, watch, &mut problems);
    let told = match &came {
        Came::Error(error, run, point) => {
            Some(fault::told(error, *run, point.as_deref(), watch.saved.take(), prepared.map()))
        }
        Came::End(_) | Came::Stop => None,
    };
    let last = watch.metrics.last(steps as usize);
    let swept = swept(prepared, &last, &came);
    if let Some(swept) = &swept
        && let Err(e) = swept.draw(&watch.folder, &title(&prepared.script))
    {
        problems.push(e);
    }
    let ending = Ending {
        status,
        step: if status == Status::Finished { steps } else { watch.step },
        steps,
        runs: engine.runs(),
        elapsed: driven.elapsed,
        env_steps_before: watch.env_steps_before,
        error: told.as_ref().map(|t| t.json.clone()),
        saved,
        sweep: swept.as_ref().map(Outcome::json),
        env_steps: watch.metrics.env_steps,
        last: &last,
    };
    // The last file of all: with it the run has ended.
    if problems.is_empty()
        && let Err(e) = watch.folder.write(summary::FILE, format!("{:#}\n", ending.json()).as_bytes())
    {
        problems.push(format!("error: {}: {e}", watch.folder.file(summary::FILE).display()));
    }
    last_words(prepared, watch, &came, &last, swept.as_ref(), driven.elapsed);
    if let Some(told) = told {
        let mut event = told.json;
        if let Some(fields) = event.as_object_mut() {
            fields.shift_insert(0, "event".into(), "error".into());
        }
        watch.say_json(event);
        eprint!("{}", told.text);
    }
    if problems.is_empty() {
        return Ok(status);
    }
    let folder = watch.folder.path.display();
    problems.push(format!("help: once there is room, `whorl resume {folder}` goes on from the last good checkpoint"));
    Err(problems.join("\n"))
}

/// The final values by point of a sweep: of what was logged, or if nothing was, of the results that are numbers.
fn swept(prepared: &Prepared, last: &[Final], came: &Came) -> Option<Outcome> {
    if prepared.sweep.is_empty() {
        return None;
    }
    let mut values = last.to_vec();
    if let (true, Came::End(results)) = (values.is_empty(), came) {
        let runs = prepared.engine.program.runs;
        for (k, leaf) in prepared.results.iter().enumerate() {
            if leaf.ty.is_scalar() || runs.is_some_and(|n| leaf.ty.shape[..] == [n]) {
                let name = if leaf.path.is_empty() { "result" } else { &leaf.path };
                let numbers = results.iter().flat_map(|of_point| of_point[k].to_f64()).map(Some);
                values.push((name.to_string(), numbers.collect()));
            }
        }
    }
    Some(Outcome::new(&prepared.sweep, &prepared.points, &values))
}

/// `curve.svg` and `curve.png`: of a sweep a line for each point.
fn draw_curves(prepared: &Prepared, watch: &Watch, problems: &mut Vec<String>) {
    let (metrics, title, steps) = (&watch.metrics, title(&prepared.script), prepared.steps() as usize);
    let groups = prepared.engine.groups();
    let svg = curve::svg(metrics, &title, steps, &groups).map(String::into_bytes);
    let png = curve::png(metrics, &title, steps, &groups);
    for (name, picture) in [("curve.svg", svg), ("curve.png", png)] {
        if let Some(bytes) = picture
            && let Err(e) = watch.folder.write(name, &bytes)
        {
            problems.push(format!("error: {}: {e}", watch.folder.file(name).display()));
        }
    }
}

/// Writes what the script saves, and says so; gives the paths. Points of a sweep have folders of their own.
fn save(
    watch: &Watch,
    saves: &[Save],
    results: &[ArrayData],
    point: Option<String>,
    problems: &mut Vec<String>,
) -> Vec<String> {
    let mut saved = Vec::new();
    let folder = point.map_or_else(|| watch.folder.path.clone(), |p| watch.folder.file(&p));
    if !saves.is_empty()
        && let Err(e) = std::fs::create_dir_all(&folder)
    {
        problems.push(format!("error: {}: {e}", folder.display()));
        return saved;
    }
    for file in crate::save::write_all(saves, results, &folder) {
        let path = file.path.display().to_string();
        match file.result {
            Ok(()) => {
                watch.say_json(json!({ "event": "saved", "path": path }));
                if watch.talks() {
                    eprintln!("saved {path}");
                }
                let inside = file.path.strip_prefix(&watch.folder.path).unwrap_or(&file.path);
                saved.push(inside.display().to_string());
            }
            Err(why) => problems.push(format!("error: {path} was not saved: {why}")),
        }
    }
    saved
}

fn last_words(
    prepared: &Prepared,
    watch: &Watch,
    came: &Came,
    last: &[Final],
    swept: Option<&Outcome>,
    elapsed: Duration,
) {
    let seconds = elapsed.as_secs_f64();
    let env_steps = watch.metrics.env_steps - watch.env_steps_before;
    watch.say_json(json!({
        "event": "done",
        "run_s": seconds,
        "env_steps": env_steps,
        "sweep": swept.map(Outcome::json),
        "final": last.iter().map(|(n, v)| (n.clone(), values_json(v).into())).collect::<serde_json::Map<_, _>>(),
    }));
    if !watch.talks() {
        return;
    }
    if let Some(swept) = swept {
        eprint!("{}", swept.table());
    }
    for (name, values) in last.iter().filter(|_| swept.is_none()) {
        if let Some((mean, deviation)) = spread(values) {
            eprintln!("{name:>12}  {}", with_spread(mean, deviation, values.len()));
        }
    }
    let rate = env_steps / seconds.max(1e-9);
    let rate = if rate > 0.0 { format!(", {} steps/s", si(rate)) } else { String::new() };
    let folder = watch.folder.path.display();
    eprintln!("{seconds:.2} s{rate}; {folder}");
    match came {
        Came::End(results) => {
            let (leaves, results) = together(&prepared.results, results, !prepared.sweep.is_empty());
            print_results(&leaves, &results);
        }
        Came::Stop => {
            eprintln!("stopped at step {} of {}; `whorl resume {folder}` goes on", watch.step, prepared.steps())
        }
        Came::Error(..) => {}
    }
}

/// The results of all points, of a sweep with an axis of the points in front.
fn together(leaves: &[Leaf], results: &[Vec<ArrayData>], swept: bool) -> (Vec<Leaf>, Vec<ArrayData>) {
    let all = leaves.iter().enumerate().map(|(k, leaf)| {
        let ty = if swept { leaf.ty.stacked(results.len()) } else { leaf.ty.clone() };
        let bytes = results.iter().flat_map(|of_point| of_point[k].bytes.iter().copied()).collect();
        (Leaf { path: leaf.path.clone(), ty: ty.clone() }, ArrayData { ty, bytes })
    });
    all.unzip()
}

/// The script's results, if they are few; larger ones are in the checkpoint, and of a few only what they are is said.
fn print_results(leaves: &[Leaf], results: &[ArrayData]) {
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
