//! Runs that take turns in a few arenas, runs that begin from a checkpoint, and runs by teams leave the same bits as runs of their own.

mod support;

use std::sync::atomic::AtomicBool;

use whorl::engine::{ProgramEngine, State};
use whorl::memory::{Arenas, Room, plan};
use whorl::pipeline;
use whorl_core::ir::ArrayData;
use whorl_cpu::{Options, TeamOptions};
use whorl_host::drive::{End, Observer, Pace, Place, Progress, Saved, drive};
use whorl_host::engine::{Engine, LogValue, StateArray};

/// All that a run leaves: logs by run, the state behind each chunk, results.
#[derive(Default, PartialEq, Debug)]
struct Trace {
    logs: Vec<Vec<LogValue>>,
    states: Vec<(usize, usize, Vec<Vec<StateArray>>)>,
    results: Vec<ArrayData>,
}

struct Watch<'a>(&'a ProgramEngine, Trace);

impl Observer<ProgramEngine> for Watch<'_> {
    fn chunk(&mut self, p: Progress, logs: &[Vec<LogValue>], states: &[State]) {
        self.1.logs.resize(logs.len(), Vec::new());
        self.1.logs.iter_mut().zip(logs).for_each(|(all, new)| all.extend_from_slice(new));
        if p.total > 0 {
            let arrays = states.iter().map(|s| self.0.state_arrays(p.phase, s).expect("arrays")).collect();
            self.1.states.push((p.phase, p.done, arrays));
        }
    }

    fn failed(&mut self, _: Progress, _: &[Vec<LogValue>], _: Option<&Saved>) {}
}

fn traced(engine: &ProgramEngine, threads: usize, chunk: usize, from: Option<Place<ProgramEngine>>) -> Trace {
    let pace = Pace { threads, fixed_chunk: Some(chunk), ..Pace::default() };
    let mut watch = Watch(engine, Trace::default());
    let driven = drive(engine, &pace, &AtomicBool::new(false), from, &mut watch);
    assert_eq!(driven.end, End::Finished);
    let mut trace = watch.1;
    trace.results = engine.results(0, &driven.states).expect("results");
    trace
}

const KEY: [u32; 2] = [0, 5];

fn engine(source: &pipeline::Source, team: TeamOptions) -> ProgramEngine {
    let traced = source.script.trace_main().unwrap_or_else(|d| panic!("{}", pipeline::render(&d, &source.map)));
    let inputs = traced.params.iter().zip(KEY).map(|(_, word)| ArrayData::scalar(word)).collect();
    let (program, _) = pipeline::cut(traced.program);
    let program = pipeline::schedule(&pipeline::flatten(program), &source.map).unwrap_or_else(|e| panic!("{e}"));
    let options = Options { threads: 1, team, ..Options::default() };
    let executable = whorl_cpu::compile(&program, &options).unwrap_or_else(|e| panic!("{e}"));
    ProgramEngine::new(program, executable, inputs)
}

/// Runs the script with an arena for each run, and taking turns in one and two arenas of which nothing may be expected; and begins
/// again from the state behind every chunk, with other threads.
fn check(name: &str, source: &pipeline::Source, chunk: usize) {
    let expected = traced(&engine(source, TeamOptions::ALONE), 2, chunk, None);
    // Of several runs the last have the threads that are left over; a single one has all.
    for (most, threads, poison) in [(1, 1, 0xff), (1, 2, 0xa5), (2, 2, 0x01), (2, 3, 0x81), (2, 8, 0xff)] {
        let engine = engine(source, TeamOptions::eager(4)).in_arenas(Arenas::Shared(most)).poisoned(poison);
        let trace = traced(&engine, threads, chunk, None);
        assert!(trace.logs == expected.logs, "{name}: logs in {most} arenas");
        assert!(trace.results == expected.results, "{name}: results in {most} arenas");
        for (a, b) in trace.states.iter().zip(&expected.states) {
            assert!(a == b, "{name}: the state behind step {} of phase {} in {most} arenas", a.1, a.0);
        }
        assert_eq!(trace.states.len(), expected.states.len());
    }
    for (arenas, threads) in [(Arenas::EachItsOwn, 2), (Arenas::Shared(1), 2), (Arenas::EachItsOwn, 4)] {
        let engine = engine(source, TeamOptions::eager(3)).in_arenas(arenas).poisoned(0x5a);
        for (phase, step, arrays) in &expected.states {
            let saved = Saved { phase: *phase, step: *step, states: arrays.clone() };
            let place = Place::restored(&engine, &saved).unwrap_or_else(|e| panic!("{name}: {e}"));
            let trace = traced(&engine, threads, chunk, Some(place));
            assert!(trace.results == expected.results, "{name}: from step {step} of phase {phase}, {arenas:?}");
            assert!(trace.states.last() == expected.states.last(), "{name}: from step {step} of phase {phase}");
        }
    }
}

const TWO_SCANS: &str = "
size runs = 5
fn main(key: Key) = for k in split(key, runs) {
  let (k1, k2, k3) = split(k, 3)
  let noise = normal(k1, 40)
  let before = cumsum(noise)
  let (w, ws) = train scan w = 5.0 * normal(k2, 3) for t in 0..20 {
    let loss = sum(w * w) + before[t]
    log(\"loss\", loss)
    yield w[0]
    w - 0.1 * grad(fn(w) = sum(w * w))(w)
  }
  let middle = sort(concat(ws, noise))
  let v = train scan v = sum(w) for x in middle {
    if v > 0.0 { log(\"v\", v) }
    0.5 * v + x
  }
  let spread = max(middle) - min(middle)
  log(\"behind\", spread)
  { v, w, spread, turned: reverse(ws), random: normal(k3, 4) + before[0] }
}
";

/// Training that begins at once, and a second loop that follows the first with nothing in between.
const AT_ONCE: &str = "
fn main(key: Key) {
  let a = train scan a = 1.0 for t in 0..6 { a + f32(t) }
  train scan b = a for t in 0..6 { log(\"b\", b); b * 0.5 + a }
}
";

const NO_TRAINING: &str = "
fn main(key: Key) = for k in split(key, 7) {
  scan s = normal(k, 4) for t in 0..9 { sin(s) + f32(t) }
}
";

#[test]
fn scripts_take_turns() {
    for (name, text) in [("two scans", TWO_SCANS), ("at once", AT_ONCE), ("no training", NO_TRAINING)] {
        let source = support::load_text(&format!("{name}.whorl"), text, &[]);
        for chunk in [1, 7, 100] {
            check(name, &source, chunk);
        }
    }
}

/// With little to do in each.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    ("cartpole_ppo", &[("seeds", "3"), ("ppo.total_steps", "2048")]),
    ("cartpole_random", &[("envs", "16"), ("steps", "20")]),
    ("digits_mlp", &[("batch", "8"), ("steps", "6"), ("tests", "200"), ("width", "16")]),
    ("es_cartpole", &[("pairs", "4"), ("generations", "4"), ("tests", "4")]),
    ("gaussian_process", &[("points", "8"), ("steps", "7"), ("grid", "10")]),
    ("grid_world", &[("rounds", "7"), ("steps", "50"), ("sweeps", "9")]),
    ("kalman", &[("steps", "12")]),
    ("linear_regression", &[("steps", "9")]),
    ("lstm", &[("length", "6"), ("units", "5"), ("batch", "4"), ("steps", "5"), ("tests", "4")]),
    ("maml_sinusoid", &[("waves", "3"), ("steps", "4"), ("tests", "5"), ("width", "6")]),
    ("mandelbrot", &[("frames", "2"), ("height", "9"), ("width", "11"), ("steps", "20")]),
    ("n_body", &[("steps", "40")]),
    ("regret_matching", &[("rounds", "40")]),
    (
        "transformer_reverse",
        &[("length", "4"), ("width", "8"), ("heads", "2"), ("batch", "4"), ("steps", "4"), ("tests", "3")],
    ),
];

#[test]
fn examples_take_turns() {
    for path in support::scripts("examples") {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let settings =
            EXAMPLES.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{name} has no sizes here")).1;
        check(&name, &support::load(&path, settings), 3);
    }
}

#[test]
fn memory_decides() {
    let source = support::load_text("two scans.whorl", TWO_SCANS, &[("runs", "100")]);
    let program = engine(&source, TeamOptions::ALONE).program;
    let arena = program.arena_bytes;
    let of = |free: usize, threads: usize| plan(&program, 100, threads, Room { free, is_limit: true }, &source.map);
    assert_eq!(of(300 * arena, 2), Ok(Arenas::EachItsOwn));
    let state: usize = whorl::park::most_bytes(&program);
    assert!(state < arena / 2, "{state} of {arena}: nothing is gained by taking turns");
    let parked = 300 * state;
    if parked + 4 * arena < 100 * arena + 200 * state {
        assert_eq!(of(parked + 4 * arena, 4), Ok(Arenas::Shared(4)));
        assert_eq!(of(parked + 3 * arena, 4), Ok(Arenas::Shared(3)));
        assert_eq!(of(parked + arena, 4), Ok(Arenas::Shared(1)));
    }
    let refused = of(parked.min(100 * arena) - 1, 4).expect_err("too little");
    for part in ["100 runs of", "`--memory` allows", "one at a time", "more memory than", "help: "] {
        assert!(refused.contains(part), "no `{part}` in\n{refused}");
    }
}
