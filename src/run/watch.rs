//! Between chunks: what was logged is written and shown, and checkpoints are made.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use whorl_host::checkpoint::{self, Header};
use whorl_host::drive::{Observer, Progress, Saved, steps_before};
use whorl_host::engine::{Engine, LogValue, Phase, StateArray};
use whorl_host::folder::Folder;
use whorl_host::lines::Lines;
use whorl_host::log_each::{self, LogEach};
use whorl_host::metrics::{Metrics, read_record, record_line, spread};
use whorl_source::SourceMap;

use crate::engine::{CpuEngine, State};
use crate::run::How;
use crate::words::{si, with_spread};

/// The records of a run folder.
pub const METRICS: &str = "metrics.jsonl";
/// A line of progress fits a narrow terminal.
const LINE_WIDTH: usize = 79;
/// Time between two lines of progress where the output is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub struct Watch<'a> {
    engine: &'a CpuEngine,
    how: &'a How,
    source_hash: String,
    pub folder: Folder,
    pub metrics: Metrics,
    lines: Lines,
    /// Environment steps before this process.
    pub env_steps_before: f64,
    last_checkpoint: Instant,
    last_line: Option<Duration>,
    terminal: bool,
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
}

impl<'a> Watch<'a> {
    /// `step`: of all `train scan`s, where the run goes on; records from there on are dropped.
    pub fn new(
        engine: &'a CpuEngine,
        how: &'a How,
        source_hash: String,
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
        Ok(Watch {
            engine,
            how,
            source_hash,
            folder,
            metrics,
            lines,
            env_steps_before,
            last_checkpoint: Instant::now(),
            last_line: None,
            terminal: std::io::stderr().is_terminal(),
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
        let places = CpuEngine::log_places(&self.engine.program, map);
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
        let arrays: Vec<_> = states.iter().map(|s| self.engine.state_arrays(phase, s)).collect();
        self.write_checkpoint(phase, step, &arrays)
    }

    fn write_checkpoint(&mut self, phase: usize, step: usize, arrays: &[Vec<StateArray>]) -> Result<PathBuf, String> {
        self.last_checkpoint = Instant::now();
        let path = self.folder.file(checkpoint::FILE);
        let steps_done = steps_before(&self.engine.phases(), phase) + step as u64;
        let header = Header { phase, step, steps_done, source_hash: self.source_hash.clone() };
        // Records that a checkpoint stands behind are on the disk before it.
        let written = self.lines.flush().and_then(|()| self.lines.sync()).and_then(|()| {
            self.how.keep.map_or(Ok(()), |keep| checkpoint::keep_earlier(&self.folder.path, keep))?;
            checkpoint::write(&path, &header, arrays)
        });
        written.map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }

    /// Takes in what was logged.
    fn record(&mut self, logs: &[Vec<LogValue>]) {
        let records = self.metrics.add(logs).to_vec();
        for r in &records {
            let line = record_line(r);
            if self.how.json {
                // A reader that has gone away is no reason to stop the run.
                let _ = writeln!(std::io::stdout(), "{{\"event\":\"log\",{}", &line[1..]);
            }
            self.lines.add(line);
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
        if self.terminal && self.talks() {
            eprint!("\r\x1b[2K");
        }
        eprintln!("warning: {text}");
    }

    /// One line: how far, how fast, and the latest values.
    fn line(&self, p: &Progress) -> String {
        let seconds = p.elapsed.as_secs_f64().max(1e-9);
        let mut line = format!("{:5.1} %", 100.0 * p.done as f64 / p.total.max(1) as f64);
        if self.metrics.env_steps > 0.0 {
            line += &format!("  {} steps/s", si((self.metrics.env_steps - self.env_steps_before) / seconds));
        } else {
            line += &format!("  {:.1} updates/s", p.done as f64 / seconds);
        }
        let left = seconds * (p.total - p.done) as f64 / p.done.max(1) as f64;
        line += &format!("  {left:.0} s left");
        for name in self.metrics.logged() {
            let latest = self.metrics.records.iter().rev().find(|r| r.name == *name);
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
        if !self.talks() || p.total == 0 {
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
}

impl Observer<CpuEngine> for Watch<'_> {
    fn chunk(&mut self, p: Progress, logs: &[Vec<LogValue>], states: &[State]) {
        self.step = steps_before(&self.engine.phases(), p.phase) + p.done as u64;
        self.record(logs);
        self.show(&p);
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

    fn failed(&mut self, p: Progress, logs: &[Vec<LogValue>], saved: Option<&Saved>) {
        self.record(logs);
        if self.terminal && self.talks() && p.total > 0 {
            // Out of the line of progress.
            eprintln!();
        }
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
