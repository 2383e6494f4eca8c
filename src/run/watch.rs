//! Between chunks: what was logged is written and shown, and checkpoints are made.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use whorl_host::checkpoint::{self, Header};
use whorl_host::drive::{self, Observer, Saved, steps_before};
use whorl_host::engine::{Engine, LogValue, Phase, StateArray};
use whorl_host::folder::Folder;
use whorl_host::lines::Lines;
use whorl_host::log_each::{self, LogEach};
use whorl_host::metrics::{Metrics, read_record, record_line};
use whorl_host::tensorboard::Events;
use whorl_source::SourceMap;

use crate::engine::{ProgramEngine, State};
use crate::progress::{self, Progress};
use crate::run::How;

/// The records of a run folder.
pub const METRICS: &str = "metrics.jsonl";

pub struct Watch<'a> {
    engine: &'a ProgramEngine,
    how: &'a How,
    run_hash: String,
    pub folder: Folder,
    pub metrics: Metrics,
    lines: Lines,
    /// TensorBoard's files, unless they could not be opened.
    events: Option<Events>,
    pub progress: Progress,
    /// Environment steps before this process.
    pub env_steps_before: f64,
    last_checkpoint: Instant,
    /// Steps that are done, of all `train scan`s.
    pub step: u64,
    /// Where the state from before a failure is.
    pub saved: Option<String>,
    /// Why the state at the end could not be written.
    pub no_last_checkpoint: Option<String>,
    /// What could not be written the last time.
    troubles: Troubles,
}

/// Files that could not be written: said once, until they can be again.
#[derive(Default)]
struct Troubles {
    metrics: bool,
    checkpoint: bool,
    events: bool,
    each: bool,
}

impl<'a> Watch<'a> {
    /// `step`: of all `train scan`s, where the run goes on; records from there on are dropped.
    pub fn new(
        engine: &'a ProgramEngine,
        how: &'a How,
        run_hash: String,
        folder: Folder,
        step: u64,
    ) -> Result<Watch<'a>, String> {
        let mut metrics = Metrics::new(engine.log_names(), engine.runs());
        let path = folder.file(METRICS);
        let keep = |line: &str| match read_record(line) {
            Some(record) if record.step < step && record.values.len() == engine.runs() => {
                metrics.take(record);
                true
            }
            Some(_) | None => false,
        };
        let lines = Lines::reopen(&path, keep).map_err(|e| format!("error: {}: {e}", path.display()))?;
        let env_steps_before = metrics.env_steps;
        let events = Events::reopen(&folder.path, engine.runs(), &engine.log_names(), step);
        let style = match () {
            () if how.quiet || how.json => progress::Style::Silent,
            () if std::io::stderr().is_terminal() => progress::Style::Terminal,
            () => progress::Style::Lines,
        };
        let progress = Progress::new(style, engine.log_names(), engine.runs());
        if let Err(e) = &events {
            progress.note(&format!("warning: {}: {e}; the run goes on without", folder.file("tensorboard").display()));
        }
        Ok(Watch {
            engine,
            how,
            run_hash,
            folder,
            metrics,
            lines,
            events: events.ok(),
            progress,
            env_steps_before,
            last_checkpoint: Instant::now(),
            step,
            saved: None,
            no_last_checkpoint: None,
            troubles: Troubles::default(),
        })
    }

    pub fn say_json(&self, value: serde_json::Value) {
        if self.how.json {
            // A reader that has gone away is no reason to stop the run.
            let _ = writeln!(std::io::stdout(), "{value}");
        }
    }

    /// From now on every element that is logged is written; what a run that goes on wrote of the steps before stays.
    pub fn log_each(&mut self, map: &SourceMap, step: u64) -> Result<(), String> {
        let places = ProgramEngine::log_places(&self.engine.program, map);
        let each = LogEach::open(&self.folder.path, places, self.engine.runs(), step);
        let each = each.map_err(|e| format!("error: {}: {e}", self.folder.file(log_each::FILE).display()))?;
        let _ = self.engine.each.set(each);
        Ok(())
    }

    /// Whether people are told on standard error.
    pub fn talks(&self) -> bool {
        !self.how.quiet && !self.how.json
    }

    /// Writes the present states as the checkpoint.
    pub fn checkpoint(&mut self, phase: usize, step: usize, states: &[State]) -> Result<PathBuf, String> {
        let arrays: Result<Vec<_>, _> = states.iter().map(|s| self.engine.state_arrays(phase, s)).collect();
        let arrays = arrays.map_err(|e| e.to_string())?;
        self.write_checkpoint(phase, step, &arrays)
    }

    fn write_checkpoint(&mut self, phase: usize, step: usize, arrays: &[Vec<StateArray>]) -> Result<PathBuf, String> {
        self.last_checkpoint = Instant::now();
        let path = self.folder.file(checkpoint::FILE);
        let steps_done = steps_before(&self.engine.phases(), phase) + step as u64;
        let header = Header { phase, step, steps_done, run_hash: self.run_hash.clone() };
        // Records that a checkpoint stands behind are on the disk before it.
        let written = self.lines.flush().and_then(|()| self.lines.sync()).and_then(|()| {
            self.how.keep.map_or(Ok(()), |keep| checkpoint::keep_earlier(&self.folder.path, keep))?;
            checkpoint::write(&path, &header, arrays)
        });
        written.map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }

    /// Takes in what was logged.
    fn record(&mut self, phase: usize, logs: &[Vec<LogValue>]) {
        let records = self.metrics.add(logs);
        for r in records {
            let line = record_line(r);
            if self.how.json {
                // A reader that has gone away is no reason to stop the run.
                let _ = writeln!(std::io::stdout(), "{{\"event\":\"log\",{}", &line[1..]);
            }
            self.lines.add(line);
        }
        let events = self.events.as_mut().map_or(Ok(()), |e| e.append(records).and_then(|()| e.flush()));
        let each = self.engine.each.get();
        let each = each.map_or(Ok(()), |e| e.write(steps_before(&self.engine.phases(), phase)));
        for (result, what, told) in
            [(events, "tensorboard", &mut self.troubles.events), (each, log_each::FILE, &mut self.troubles.each)]
        {
            if let Err(e) = result
                && !std::mem::replace(told, true)
            {
                let path = self.folder.file(what);
                self.progress
                    .note(&format!("warning: {}: {e}; some of what is logged is missing there", path.display()));
            }
        }
        match self.lines.flush() {
            Ok(()) => self.troubles.metrics = false,
            Err(e) if !self.troubles.metrics => {
                self.troubles.metrics = true;
                let path = self.lines.path.display();
                self.warn(&format!("{path}: {e}; the run goes on, and what is logged is kept and written later"));
            }
            Err(_) => {}
        }
    }

    /// All that was logged is written; an error says what is missing.
    pub fn flush(&mut self) -> Result<(), String> {
        let path = self.lines.path.display().to_string();
        self.lines.flush().map_err(|e| format!("error: {path}: {e}; the last records are missing"))
    }

    fn warn(&self, text: &str) {
        self.progress.note(&format!("warning: {text}"));
    }
}

impl Observer<ProgramEngine> for Watch<'_> {
    fn chunk(&mut self, p: drive::Progress, logs: &[Vec<LogValue>], states: &[State]) {
        self.step = steps_before(&self.engine.phases(), p.phase) + p.done as u64;
        self.record(p.phase, logs);
        self.progress.update(&p, &self.metrics);
        // What comes behind the last `train scan` may use the memory of its state.
        let trained = self.engine.phases().iter().rposition(|k| matches!(k, Phase::Train(_))) == Some(p.phase);
        let last = trained && p.done == p.total;
        let due = p.done < p.total && self.last_checkpoint.elapsed() >= self.how.checkpoint_every;
        if last || due {
            match self.checkpoint(p.phase, p.done, states) {
                Ok(_) => self.troubles.checkpoint = false,
                Err(e) if last => self.no_last_checkpoint = Some(e),
                Err(e) if !self.troubles.checkpoint => {
                    self.troubles.checkpoint = true;
                    self.warn(&format!("no checkpoint: {e}; the run goes on, and the last good one stays"));
                }
                Err(_) => {}
            }
        }
    }

    fn failed(&mut self, p: drive::Progress, logs: &[Vec<LogValue>], saved: Option<&Saved>) {
        self.record(p.phase, logs);
        self.progress.finish();
        let Some(saved) = saved else { return };
        match self.write_checkpoint(saved.phase, saved.step, &saved.states) {
            Ok(path) => {
                let step = steps_before(&self.engine.phases(), saved.phase) + saved.step as u64;
                self.saved = Some(format!("{} holds the state before step {step} of the `train scan`", path.display()));
            }
            Err(e) => self.warn(&format!("no checkpoint: {e}")),
        }
    }
}
