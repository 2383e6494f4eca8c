//! What logging costs: PPO on CartPole with every `log` taken out of the traced program, and as it is, in turns.
//!
//!     cargo bench --bench logs [-- ROUNDS]
//!
//! With logs, the whole of the host's part is done too: means, `metrics.jsonl` and TensorBoard's files, as `whorl run` does it. Without
//! them, what is computed only to be logged (the loss, where its gradient is all that training needs) is not computed either. What it costs
//! to record and write is told by a third program, in which every `log` stands eleven times, under eleven names: the tenth part of what
//! the ten more cost. Time is that of the processor, of the one thread that does everything: what else the machine does falls into
//! it as little as can be.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use whorl::engine::{ProgramEngine, State};
use whorl::pipeline;
use whorl_core::Program;
use whorl_core::ir::{ArrayData, Body, Effect, Op, Stmt};
use whorl_host::drive::{Observer, Pace, Progress, Saved, drive};
use whorl_host::engine::{Engine, LogValue};
use whorl_host::lines::Lines;
use whorl_host::metrics::{Metrics, record_line};
use whorl_host::tensorboard::Events;

/// Environment steps of a turn: 200 updates, about a third of a second.
const STEPS: &str = "102400";

fn main() {
    let rounds = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(40);
    let engines = [engine(|p| with_logs(p, 0)), engine(|p| with_logs(p, 1)), engine(|p| with_logs(p, 11))];
    let counts = engines.each_ref().map(|e| e.log_names().len());
    assert!(counts[0] == 0 && counts[1] > 0 && counts[2] == 11 * counts[1], "{counts:?}");
    let mut times: Vec<[f64; 3]> = Vec::new();
    let mut clock = "processor";
    for round in 0..=rounds {
        let mut of_round = [0.0; 3];
        for k in 0..3 {
            // Each comes first, second and last as often as the others.
            let which = (k + round) % 3;
            (of_round[which], clock) = turn(&engines[which]);
        }
        // The first round warms up.
        if round > 0 {
            times.push(of_round);
        }
    }
    println!("{rounds} rounds of PPO on CartPole, {STEPS} environment steps, one run, {clock} seconds");
    let sorted = |of: &dyn Fn(&[f64; 3]) -> f64| {
        let mut all: Vec<f64> = times.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let half = times.len() / 2;
    for (k, name) in ["without logs", "with logs", "with eleven of each"].iter().enumerate() {
        let all = sorted(&|t| t[k]);
        println!("{name:20} best {:.4}  median {:.4}", all[0], all[half]);
    }
    let base = sorted(&|t| t[0]);
    let percent = |x: f64| format!("{:+.2} %", 100.0 * x);
    let recorded = |from: f64, to: f64| percent((to - from) / 10.0 / base[half]);
    let (one, eleven) = (sorted(&|t| t[1]), sorted(&|t| t[2]));
    let difference = sorted(&|t| (t[2] - t[1]) / 10.0 / t[0])[half];
    println!(
        "to record and write  {} (by the best)  {} (by the medians)  {} (median of the rounds)",
        recorded(one[0], eleven[0]),
        recorded(one[half], eleven[half]),
        percent(difference),
    );
    println!(
        "to compute as well   {} (by the best)  {} (by the medians)  {} (median of the rounds)",
        percent(one[0] / base[0] - 1.0),
        percent(one[half] / base[half] - 1.0),
        percent(sorted(&|t| t[1] / t[0])[half] - 1.0),
    );
}

fn engine(change: impl Fn(Program) -> Program) -> ProgramEngine {
    let settings = [("seeds".to_string(), "1".to_string()), ("ppo.total_steps".to_string(), STEPS.to_string())];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cartpole_ppo.whorl");
    let text = std::fs::read_to_string(path).expect("the example");
    let source = pipeline::load_text(path, text, &settings).unwrap_or_else(|e| panic!("{e}"));
    let traced = source.script.trace_main().unwrap_or_else(|d| panic!("{}", pipeline::render(&d, &source.map)));
    let (program, _) = pipeline::cut(pipeline::checked(change(traced.program), pipeline::Checks::default()));
    let compiled = pipeline::compile(program, &source.map, 1).unwrap_or_else(|e| panic!("{e}"));
    let inputs = vec![ArrayData::scalar(0u32), ArrayData::scalar(0u32)];
    ProgramEngine::new(compiled.program, compiled.executable, inputs)
}

/// The program with each `log` so many times.
fn with_logs(mut program: Program, times: usize) -> Program {
    fn change(body: &mut Body, times: usize) {
        for stmt in std::mem::take(&mut body.stmts) {
            let Op::Effect(Effect::Log { name, value, mask }) = &stmt.op else {
                body.stmts.push(stmt);
                continue;
            };
            for k in 0..times {
                let name = if k == 0 { name.clone() } else { format!("{name}_{k}").into() };
                let op = Op::Effect(Effect::Log { name, value: *value, mask: *mask });
                body.stmts.push(Stmt { op, ..stmt.clone() });
            }
        }
        for stmt in &mut body.stmts {
            if let Op::Form(form) = &mut stmt.op {
                form.bodies_mut().into_iter().for_each(|body| change(body, times));
            }
        }
    }
    change(&mut program.main.body, times);
    program
}

/// Seconds of a whole run, and by which clock.
fn turn(engine: &ProgramEngine) -> (f64, &'static str) {
    let folder = std::env::temp_dir().join(format!("whorl-bench-logs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (names, runs) = (engine.log_names(), engine.runs());
    let mut writes = Writes {
        lines: Lines::create(&folder.join("metrics.jsonl")).expect("a file"),
        events: Events::create(&folder, runs, &names).expect("files"),
        metrics: Metrics::new(names, runs),
    };
    let pace = Pace { threads: 1, ..Pace::default() };
    let (begin, processor) = (Instant::now(), processor_time());
    drive(engine, &pace, &AtomicBool::new(false), None, &mut writes);
    let wall = begin.elapsed().as_secs_f64();
    let processor = processor.zip(processor_time()).map(|(from, to)| (to - from).as_secs_f64());
    std::fs::remove_dir_all(&folder).expect("removed");
    processor.map_or((wall, "wall"), |s| (s, "processor"))
}

/// What this thread has run so far, where the system tells.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

struct Writes {
    metrics: Metrics,
    lines: Lines,
    events: Events,
}

impl Writes {
    fn take(&mut self, logs: &[Vec<LogValue>]) {
        let records = self.metrics.add(logs);
        records.iter().for_each(|r| self.lines.add(record_line(r)));
        self.lines.flush().expect("written");
        self.events.append(records).and_then(|()| self.events.flush()).expect("written");
    }
}

impl Observer<ProgramEngine> for Writes {
    fn chunk(&mut self, _: Progress, logs: &[Vec<LogValue>], _: &[State]) {
        self.take(logs);
    }
    fn failed(&mut self, _: Progress, logs: &[Vec<LogValue>], _: Option<&Saved>) {
        self.take(logs);
    }
}
