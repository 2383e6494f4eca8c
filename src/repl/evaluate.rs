//! Programs of a session: compiled, run, and left alone if they do not end.
//!
//! A program runs on a thread of its own. When the user interrupts it, a `train scan` stops between two chunks; whatever else does
//! not end within a moment is abandoned: its thread goes on, but nobody waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use whorl_core::fault::Run;
use whorl_core::ir::ArrayData;
use whorl_host::drive::{End, Observer, Pace, Progress, Saved, Start, drive};
use whorl_host::engine::{Engine, LogValue};
use whorl_source::SourceMap;
use whorl_trace::Traced;

use crate::engine::CpuEngine;
use crate::fault;
use crate::pipeline::{self, Checks};
use crate::run::prepare::fits;

/// How often the wish to stop is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long a program may go on that is to stop.
const GRACE: Duration = Duration::from_millis(400);

/// What a program gave.
pub struct Ran {
    pub results: Vec<ArrayData>,
    /// What it logged, a line a name, and what it saved.
    pub logged: Vec<String>,
    pub compile: Duration,
    pub run: Duration,
}

/// Why a program gave nothing.
pub enum Stopped {
    /// The text to show.
    Failed(String),
    /// Told to.
    Interrupted,
    /// Told to, and did not.
    Abandoned,
}

/// Compiles and runs a program without parameters.
pub fn evaluate(traced: Traced, map: SourceMap, stop: &Arc<AtomicBool>) -> Result<Ran, Stopped> {
    let flag = stop.clone();
    stoppable(stop, move || compile_and_run(traced, &map, &flag))?
}

/// Does `work` on another thread, and waits for it; not long, once `stop` is set.
pub fn stoppable<T: Send + 'static>(
    stop: &Arc<AtomicBool>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stopped> {
    let (done, wait) = mpsc::channel();
    let thread = std::thread::Builder::new().name("session".to_string());
    let thread = thread.spawn(move || {
        // Nobody may be waiting any more.
        let _ = done.send(work());
    });
    let thread = thread.map_err(|e| Stopped::Failed(format!("error: no thread to run on: {e}")))?;
    let mut asked: Option<Instant> = None;
    loop {
        match wait.recv_timeout(LOOK) {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Ok(()) => return Err(Stopped::Interrupted),
                Err(panic) => std::panic::resume_unwind(panic),
            },
            Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => {
                if asked.get_or_insert_with(Instant::now).elapsed() > GRACE {
                    return Err(Stopped::Abandoned);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn compile_and_run(traced: Traced, map: &SourceMap, stop: &AtomicBool) -> Result<Ran, Stopped> {
    let begin = Instant::now();
    let threads = Pace::default().threads;
    let (program, after) = pipeline::cut(pipeline::checked(traced.program, Checks::default()));
    let compile = |program| pipeline::compile(program, map, threads).map_err(Stopped::Failed);
    let compiled = compile(program)?;
    let after = after.map(compile).transpose()?;
    let engine = CpuEngine { program: compiled.program, executable: compiled.executable, inputs: Vec::new() };
    fits(&engine.program, map).map_err(Stopped::Failed)?;
    let compile = begin.elapsed();

    let begin = Instant::now();
    let mut logs = Logs { names: engine.log_names(), values: vec![Vec::new(); engine.log_names().len()] };
    let driven = drive(&engine, &Pace::default(), stop, Start::Beginning, &mut logs);
    let failed = |error, run| Stopped::Failed(fault::told(&error, run, None, map).text);
    let results = match driven.end {
        End::Finished => engine.executable.gathered(&driven.states),
        End::Stopped { .. } => return Err(Stopped::Interrupted),
        End::Failed(failure) => {
            let run = engine.program.runs.map(|of| Run { number: failure.run, of });
            return Err(failed(failure.error, run));
        }
    };
    let results = match after {
        Some(after) => after.executable.run_to_end(&results, 1).map_err(|e| failed(e, None))?,
        None => results,
    };
    let mut logged = logs.lines();
    for file in crate::save::write_all(&traced.saves, &results, Path::new("")) {
        let path = file.path.display();
        match file.result {
            Ok(()) => logged.push(format!("saved {path}")),
            Err(why) => return Err(Stopped::Failed(format!("error: {path} was not saved: {why}"))),
        }
    }
    Ok(Ran { results, logged, compile, run: begin.elapsed() })
}

/// What was logged, by name.
struct Logs {
    names: Vec<String>,
    values: Vec<Vec<f64>>,
}

impl Logs {
    fn add(&mut self, logs: &[Vec<LogValue>]) {
        for value in logs.iter().flatten() {
            if let Some(of) = self.values.get_mut(value.log as usize) {
                of.push(value.value);
            }
        }
    }

    /// All values of a name, or how many and the first and last of them.
    fn lines(&self) -> Vec<String> {
        const MOST: usize = 8;
        let text = |x: &f64| format!("{}", *x as f32);
        let line = |(name, values): (&String, &Vec<f64>)| match values.as_slice() {
            [] => None,
            [first, .., last] if values.len() > MOST => {
                Some(format!("{name}: {} … {} ({} values)", text(first), text(last), values.len()))
            }
            few => Some(format!("{name}: {}", few.iter().map(text).collect::<Vec<_>>().join(", "))),
        };
        self.names.iter().zip(&self.values).filter_map(line).collect()
    }
}

impl Observer<CpuEngine> for Logs {
    fn chunk(&mut self, _: Progress, logs: &[Vec<LogValue>], _: &[whorl_cpu::RunState]) {
        self.add(logs);
    }

    fn failed(&mut self, _: Progress, logs: &[Vec<LogValue>], _: Option<&Saved>) {
        self.add(logs);
    }
}
