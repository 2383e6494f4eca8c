//! `whorl bench`: how long a script takes to compile and how fast it runs, several times over.
//!
//! Each repetition reads, compiles and runs the script anew, in this process: nothing is written, and nothing is looked at while it runs but the clock.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use whorl_host::drive::{End, Observer, Pace, Progress, Saved, drive};
use whorl_host::engine::{Engine, LogValue};
use whorl_host::metrics::ENV_STEPS;

use crate::args;
use crate::cache::Cache;
use crate::card::Card;
use crate::check::layout::section;
use crate::engine::{ProgramEngine, State};
use crate::fault;
use crate::run::How;
use crate::run::prepare::Prepared;
use crate::run::sources::Sources;
use crate::words::{bytes, si};

/// One repetition. Seconds, but for the counts.
struct Sample {
    trace: f64,
    compile: f64,
    /// The same from the cache.
    cached: f64,
    run: f64,
    train_steps: u64,
    /// Of all runs, where the script counts them.
    env_steps: f64,
    finished: bool,
}

impl Sample {
    /// Environment steps a second, or train steps of all runs.
    fn rate(&self, runs: usize) -> f64 {
        let steps = if self.env_steps > 0.0 { self.env_steps } else { self.train_steps as f64 * runs as f64 };
        steps / self.run.max(1e-9)
    }
}

pub fn bench(options: &args::Bench) -> Result<ExitCode, String> {
    let how = How { device: Some(options.device), threads: options.threads, quiet: true, ..How::default() };
    let own = Folder::new();
    let kept = How { cache: Cache::in_folder(&own.0), ..how.clone() };
    let (mut samples, mut shape) = (Vec::new(), None);
    for k in 0..options.repeats {
        let begin = Instant::now();
        let sources = Sources::load(&options.job.script)?;
        let read = begin.elapsed();
        let prepare = if k == 0 { Prepared::new } else { Prepared::again };
        let prepared = prepare(sources, &options.job, &how)?;
        if k == 0 {
            Prepared::again(Sources::load(&options.job.script)?, &options.job, &kept)?;
        }
        let again = Prepared::again(Sources::load(&options.job.script)?, &options.job, &kept)?;
        samples.push(sample(&prepared, read, again.compile_time, options)?);
        let engine = &prepared.engine;
        shape = Some((engine.runs(), engine.program.arena_bytes, prepared.steps(), engine.card().map(Card::name)));
    }
    let Some((runs, arena, steps, card)) = shape else { return Ok(ExitCode::SUCCESS) };
    let report = Report { samples, runs, arena, steps, threads: options.threads, card, peak: peak_memory() };
    if options.json {
        say!("{}", report.json());
    } else {
        report.print();
    }
    Ok(ExitCode::SUCCESS)
}

fn sample(prepared: &Prepared, read: Duration, again: Duration, options: &args::Bench) -> Result<Sample, String> {
    let engine = &prepared.engine;
    let stop = AtomicBool::new(false);
    let counted = engine.log_names().iter().position(|n| n == ENV_STEPS).map(|k| k as u32);
    let budget = Duration::from_secs_f64(options.seconds);
    let mut clock = Clock { counted, env_steps: 0.0, begin: Instant::now(), budget, stop: &stop };
    let pace = Pace { threads: options.threads, ..Pace::default() };
    let driven = drive(engine, &pace, &stop, None, &mut clock);
    let (run, env_steps) = (driven.elapsed.as_secs_f64(), clock.env_steps);
    let (train_steps, finished) = match driven.end {
        End::Finished => {
            // What is computed behind the runs counts as well, where they came to their end.
            let failed = |e| fault::told(&e, None, None, None, prepared.map()).text;
            for point in 0..engine.points().len() {
                prepared.outcome(point, &driven.states).map_err(failed)?;
            }
            (prepared.steps(), true)
        }
        End::Stopped { phase, step } => (whorl_host::drive::steps_before(&engine.phases(), phase) + step as u64, false),
        End::Failed(failure) => return Err(fault::told(&failure.error, None, None, None, prepared.map()).text),
    };
    let (trace, compile) = ((read + prepared.trace_time).as_secs_f64(), prepared.compile_time.as_secs_f64());
    let cached = again.as_secs_f64();
    Ok(Sample { trace, compile, cached, run, train_steps, env_steps, finished })
}

/// A folder for as long as this takes.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("whorl-bench-{}", std::process::id()));
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in the temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Counts environment steps, and stops the run when its time is over.
struct Clock<'a> {
    counted: Option<u32>,
    env_steps: f64,
    begin: Instant,
    budget: Duration,
    stop: &'a AtomicBool,
}

impl Observer<ProgramEngine> for Clock<'_> {
    fn chunk(&mut self, _: Progress, logs: &[Vec<LogValue>], _: &[State]) {
        let counted = logs.iter().flatten().filter(|v| Some(v.log) == self.counted);
        self.env_steps += counted.map(|v| v.value).sum::<f64>();
        if self.begin.elapsed() >= self.budget {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn failed(&mut self, _: Progress, _: &[Vec<LogValue>], _: Option<&Saved>) {}
}

struct Report {
    samples: Vec<Sample>,
    runs: usize,
    arena: usize,
    steps: u64,
    threads: usize,
    /// What executes the runs, where it is not the CPU.
    card: Option<String>,
    /// Of the process, in bytes, where the system tells.
    peak: Option<usize>,
}

/// The middle, the least and the largest of some numbers.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(mut numbers: Vec<f64>) -> Spread {
        numbers.sort_by(f64::total_cmp);
        let n = numbers.len();
        let median = (numbers[(n - 1) / 2] + numbers[n / 2]) / 2.0;
        Spread { median, least: numbers[0], most: numbers[n - 1] }
    }

    fn json(&self) -> serde_json::Value {
        json!({ "median": self.median, "min": self.least, "max": self.most })
    }
}

impl Report {
    fn spread(&self, of: impl Fn(&Sample) -> f64) -> Spread {
        Spread::of(self.samples.iter().map(of).collect())
    }

    fn counts_env_steps(&self) -> bool {
        self.samples.iter().all(|s| s.env_steps > 0.0)
    }

    fn print(&self) {
        let last = &self.samples[self.samples.len() - 1];
        let runs = if self.runs == 1 { "one run".to_string() } else { format!("{} runs", self.runs) };
        let threads = if self.threads == 1 { "one thread".to_string() } else { format!("{} threads", self.threads) };
        let place = self.card.as_ref().unwrap_or(&threads);
        let mut head = format!("{runs} on {place}, {}", counted(self.samples.len(), "repetition"));
        if self.steps > 0 {
            head += &format!(", {} of {} train steps", last.train_steps, self.steps);
        }
        let mut rows = vec![head, format!("{:<26}{:>11}{:>11}{:>11}", "", "median", "min", "max")];
        let seconds = |x: f64| if x < 1.0 { format!("{:.1} ms", x * 1e3) } else { format!("{x:.3} s") };
        let mut row = |name: &str, s: Spread, text: &dyn Fn(f64) -> String| {
            rows.push(format!("{name:<26}{:>11}{:>11}{:>11}", text(s.median), text(s.least), text(s.most)));
        };
        row("read and trace", self.spread(|s| s.trace), &seconds);
        row("compile", self.spread(|s| s.compile), &seconds);
        row("compile, from the cache", self.spread(|s| s.cached), &seconds);
        row("run", self.spread(|s| s.run), &seconds);
        let what = if self.counts_env_steps() { "environment steps/s" } else { "train steps/s" };
        if self.steps > 0 || self.counts_env_steps() {
            row(what, self.spread(|s| s.rate(self.runs)), &|x| si(x));
        }
        let peak = self.peak.map_or(String::new(), |p| format!("; the process had {} at most", bytes(p)));
        rows.push(format!("memory: {} a run{peak}", bytes(self.arena)));
        if !last.finished {
            rows.push("runs were stopped when their time was over".to_string());
        }
        crate::put(section("bench", &rows));
    }

    fn json(&self) -> serde_json::Value {
        let all = self.samples.iter().map(|s| {
            json!({
                "trace_s": s.trace, "compile_s": s.compile, "cached_s": s.cached, "run_s": s.run, "train_steps": s.train_steps,
                "env_steps": s.env_steps, "steps_per_s": s.rate(self.runs), "finished": s.finished,
            })
        });
        json!({
            "runs": self.runs, "device": self.card.as_deref().unwrap_or("cpu"), "threads": self.threads, "of_train_steps": self.steps,
            "trace_s": self.spread(|s| s.trace).json(),
            "compile_s": self.spread(|s| s.compile).json(),
            "cached_s": self.spread(|s| s.cached).json(),
            "run_s": self.spread(|s| s.run).json(),
            "steps_per_s": self.spread(|s| s.rate(self.runs)).json(),
            "counted": if self.counts_env_steps() { "environment steps" } else { "train steps" },
            "arena_bytes": self.arena, "peak_bytes": self.peak, "repetitions": all.collect::<Vec<_>>(),
        })
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The most memory that the process has had at once.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_even_and_odd_numbers() {
        let s = Spread::of(vec![3.0, 1.0, 9.0]);
        assert_eq!((s.median, s.least, s.most), (3.0, 1.0, 9.0));
        assert_eq!(Spread::of(vec![4.0, 1.0]).median, 2.5);
    }
}
