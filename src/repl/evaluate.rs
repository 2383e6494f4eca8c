//! Programs of a session: compiled, run, and left alone if they do not end.
//!
//! A program runs on a thread of its own. When the user interrupts it, a `train scan` stops between two chunks; whatever else does
//! not end within a moment is abandoned: its thread goes on, but nobody waits for it.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use whorl_core::fault::Run;
use whorl_core::ir::ArrayData;
use whorl_cpu::RunState;
use whorl_host::drive::{End, Observer, Pace, Progress, Saved, drive};
use whorl_host::engine::{Engine, LogValue};
use whorl_source::SourceMap;
use whorl_trace::Traced;

use super::engine::SessionEngine;
use crate::fault;
use crate::memory::{self, Arenas, Room};
use crate::pipeline::{self, Checks};

/// From when on it is told how far a `train scan` has come.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the wish to stop is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Passes follow programs on the stack.
pub const STACK: usize = 64 << 20;
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
    let thread = std::thread::Builder::new().name("session".to_string()).stack_size(STACK);
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
    let engine = SessionEngine { program: compiled.program, executable: compiled.executable };
    match memory::plan(&engine.program, engine.runs(), threads, Room::now(None), map).map_err(Stopped::Failed)? {
        Arenas::EachItsOwn => {}
        Arenas::Shared(_) => {
            let text = "error: these runs do not fit into memory together; `whorl run` has a few at a time";
            return Err(Stopped::Failed(text.to_string()));
        }
    }
    let compile = begin.elapsed();

    let begin = Instant::now();
    let mut watching = Watching::default();
    let mut driven = drive(&engine, &Pace::default(), stop, None, &mut watching);
    if watching.shown {
        eprint!("\r\x1b[2K");
    }
    let failed = |error, run| Stopped::Failed(fault::told(&error, run, None, None, map).text);
    let results = match driven.end {
        End::Finished => {
            let outputs = |s: &RunState| engine.executable.outputs(s);
            engine.executable.gathered(&driven.states.iter().map(outputs).collect::<Vec<_>>())
        }
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
    let mut logged = engine.logged(&mut driven.states);
    for file in crate::save::write_all(&traced.saves, &results, Path::new("")) {
        let path = file.path.display();
        match file.result {
            Ok(()) => logged.push(format!("saved {path}")),
            Err(why) => return Err(Stopped::Failed(format!("error: {path} was not saved: {why}"))),
        }
    }
    Ok(Ran { results, logged, compile, run: begin.elapsed() })
}

/// Tells how far a `train scan` has come, if it takes long.
#[derive(Default)]
struct Watching {
    /// Something of it is on the screen.
    shown: bool,
}

impl Observer<SessionEngine> for Watching {
    fn chunk(&mut self, p: Progress, _: &[Vec<LogValue>], _: &[RunState]) {
        if p.total > 0 && p.elapsed > PATIENCE && std::io::stderr().is_terminal() {
            let left = p.elapsed.as_secs_f64() * (p.total - p.done) as f64 / p.done.max(1) as f64;
            eprint!("\r\x1b[2K{:5.1} %  {left:.0} s left", 100.0 * p.done as f64 / p.total as f64);
            self.shown = true;
        }
    }

    fn failed(&mut self, _: Progress, _: &[Vec<LogValue>], _: Option<&Saved>) {}
}
