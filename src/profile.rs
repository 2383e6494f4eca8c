//! `whorl profile`: where the time of a run goes, by line and by loop or kernel, beside what the machine can do.
//!
//! One run is executed on one thread, with a clock read behind every loop and kernel of it ([`whorl_cpu::Options::profile`]). The
//! time between two reads belongs to the later of them, so that control flow and calls count for the node they lead to.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;
use whorl_cpu::{Lap, Options};
use whorl_kernels::matmul::{Epilogue, MatmulDesc, matmul_f32};
use whorl_schedule::cost::{self, Cost};
use whorl_schedule::loop_ir::{LoopProgram, Node, Phase};
use whorl_source::SourceMap;

use crate::args;
use crate::check::analysis::Part;
use crate::check::cost::fitted;
use crate::check::layout::section;
use crate::check::schedule::{lines_of, short};
use crate::fault;
use crate::pipeline;

/// Rows of a table.
const MOST: usize = 16;
/// Train steps between two looks at the clock.
const STRIDE: usize = 4;

pub fn profile(options: &args::Profile) -> Result<ExitCode, String> {
    let begin = Instant::now();
    let source = pipeline::load(&options.script)?;
    let traced = source.script.trace_main().map_err(|d| pipeline::render(&d, &source.map))?;
    let traced_in = begin.elapsed();
    let inputs = crate::run::prepare::main_arguments(&traced.params, options.seed)?;
    let (program, _) = pipeline::cut(pipeline::checked(traced.program, options.checks));
    let part = Part::new(program, &source.map)?;
    let begin = Instant::now();
    let cpu = Options { profile: true, ..Options::default() };
    let executable = whorl_cpu::compile(&part.program, &cpu).map_err(|e| format!("error: {e}"))?;
    let compile = [traced_in, part.times[0], part.times[1], begin.elapsed()];

    let failed = |e: whorl_cpu::RunError| fault::told(&e, None, None, None, &source.map).text;
    let mut state = executable.new_run(0, &inputs).map_err(failed)?;
    state.set_sink(Box::new(whorl_cpu::Dropped));
    let (mut steps, mut of) = (0, None);
    let (begin, clock) = (Instant::now(), whorl_cpu::ticks());
    let budget = Duration::from_secs_f64(options.seconds);
    for (k, phase) in part.program.phases.iter().enumerate() {
        let Phase::Train { n, .. } = phase else {
            executable.run_phase(k, &mut state, 0, 0).map_err(failed)?;
            continue;
        };
        let (most, mut at) = (options.steps.map_or(*n, |s| s.min(*n)), 0);
        while at < most && (options.steps.is_some() || begin.elapsed() < budget) {
            let to = (at + STRIDE).min(most);
            executable.run_phase(k, &mut state, at, to).map_err(failed)?;
            at = to;
        }
        (steps, of) = (steps + at, Some(*n));
        // What follows would be of a loop that is not done.
        if at < *n {
            break;
        }
    }
    let (elapsed, ticks) = (begin.elapsed(), whorl_cpu::ticks() - clock);
    let speed = ticks as f64 / elapsed.as_secs_f64().max(1e-9);
    let laps = state.laps().to_vec();
    let report = Report::new(&part.program, &laps, speed, elapsed, &source.map);
    let machine = Machine::measured();
    let ran = Ran { steps, of, runs: part.program.runs, elapsed };
    if options.json {
        say!("{}", report.json(&ran, &compile, &machine));
    } else {
        report.print(&ran, &compile, &machine);
    }
    Ok(ExitCode::SUCCESS)
}

/// How much was run.
struct Ran {
    steps: usize,
    of: Option<usize>,
    runs: Option<usize>,
    elapsed: Duration,
}

/// Executions of something, and what they took.
#[derive(Clone, Copy, Default)]
struct Sum {
    calls: u64,
    seconds: f64,
    cost: Cost,
}

impl Sum {
    fn add(&mut self, more: Sum) {
        self.calls += more.calls;
        self.seconds += more.seconds;
        self.cost += more.cost;
    }

    fn per_second(&self, n: u64) -> f64 {
        if self.seconds > 0.0 { n as f64 / self.seconds / 1e9 } else { 0.0 }
    }
}

struct Report {
    lines: Vec<(String, Sum)>,
    nodes: Vec<(String, String, Sum)>,
    total: f64,
    /// Of the time, what the clock itself took.
    overhead: f64,
}

impl Report {
    fn new(p: &LoopProgram, laps: &[Lap], speed: f64, elapsed: Duration, map: &SourceMap) -> Report {
        let leaves = p.phases.iter().flat_map(|phase| cost::leaves(p, phase.body()));
        let each = whorl_cpu::lap_ticks();
        let mut lines: HashMap<String, Sum> = HashMap::new();
        let mut nodes = Vec::new();
        let (mut total, mut calls) = (0.0, 0);
        for (leaf, lap) in leaves.zip(laps).filter(|(_, lap)| lap.calls > 0) {
            // What the clock takes is no time of the node's.
            let seconds = (lap.ticks as f64 - each * lap.calls as f64).max(0.0) / speed;
            let sum = Sum { calls: lap.calls, seconds, cost: leaf.each.times(lap.calls) };
            (total, calls) = (total + seconds, calls + lap.calls);
            let mut places = cost::spans_of(leaf.node).map(|s| lines_of(map, s)).unwrap_or_default();
            if places.is_empty() {
                places.push("(no line)".to_string());
            }
            let n = places.len() as u64;
            let cost = sum.cost;
            let cost =
                Cost { flops: cost.flops / n, other: cost.other / n, read: cost.read / n, written: cost.written / n };
            for place in &places {
                lines.entry(place.clone()).or_default().add(Sum {
                    calls: sum.calls,
                    seconds: seconds / n as f64,
                    cost,
                });
            }
            nodes.push((described(leaf.node), places.iter().map(|p| short(p)).collect::<Vec<_>>().join(", "), sum));
        }
        let mut lines: Vec<(String, Sum)> = lines.into_iter().collect();
        lines.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds).then(a.0.cmp(&b.0)));
        nodes.sort_by(|a, b| b.2.seconds.total_cmp(&a.2.seconds));
        let overhead = calls as f64 * each / speed / elapsed.as_secs_f64().max(1e-9);
        Report { lines, nodes, total, overhead }
    }

    fn print(&self, ran: &Ran, compile: &[Duration; 4], machine: &Machine) {
        let ms = |d: &Duration| format!("{:.0} ms", d.as_secs_f64() * 1e3);
        let runs = ran.runs.map_or(String::new(), |n| format!("one run of {n}, "));
        let steps = ran.of.map_or(String::new(), |n| format!("{} of {n} train steps, ", ran.steps));
        let each = if ran.steps > 0 {
            format!(", {:.1} µs a step", ran.elapsed.as_secs_f64() * 1e6 / ran.steps as f64)
        } else {
            String::new()
        };
        let rows = vec![
            format!("{runs}{steps}{:.2} s on one thread{each}", ran.elapsed.as_secs_f64()),
            format!("{:.1} % of that is the measurement itself, and is taken off below", 100.0 * self.overhead),
            format!(
                "compiled: trace {}, flatten {}, schedule {}, machine code {}",
                ms(&compile[0]),
                ms(&compile[1]),
                ms(&compile[2]),
                ms(&compile[3])
            ),
            format!(
                "this machine, one thread: {:.0} GFLOP/s (matrix product), {:.1} GB/s (copy)",
                machine.gflops, machine.gbytes
            ),
        ];
        crate::put(section("profile", &rows));
        let head =
            |what: &str| format!("{what:<31}{:>7}{:>9}{:>11}{:>9}{:>8}", "share", "ms", "calls", "GFLOP/s", "GB/s");
        let row = |name: &str, s: &Sum| {
            let (share, ms) = (100.0 * s.seconds / self.total.max(1e-12), s.seconds * 1e3);
            let (flops, bytes) = (s.per_second(s.cost.flops), s.per_second(s.cost.bytes()));
            format!("{:<31}{share:>5.1} %{ms:>9.1}{:>11}{flops:>9.1}{bytes:>8.1}", fitted(name, 30), s.calls)
        };
        let mut rows = vec![head("line")];
        rows.extend(self.lines.iter().take(MOST).map(|(line, s)| row(line, s)));
        rows.extend(
            rest(self.lines.iter().skip(MOST).map(|(_, s)| s)).map(|(n, s)| row(&format!("{n} lines more"), &s)),
        );
        crate::put(section("by line (a loop of several lines counts for each in equal parts)", &rows));
        let mut rows = vec![head("loop or kernel")];
        for (what, lines, s) in self.nodes.iter().take(MOST) {
            rows.push(row(what, s));
            rows.push(format!("  {}", fitted(lines, 74)));
        }
        rows.extend(rest(self.nodes.iter().skip(MOST).map(|(_, _, s)| s)).map(|(n, s)| row(&format!("{n} more"), &s)));
        crate::put(section("by loop and kernel", &rows));
    }

    fn json(&self, ran: &Ran, compile: &[Duration; 4], machine: &Machine) -> serde_json::Value {
        let sum = |s: &Sum| {
            json!({
                "seconds": s.seconds, "share": s.seconds / self.total.max(1e-12), "calls": s.calls,
                "flops": s.cost.flops, "bytes": s.cost.bytes(),
                "gflops_per_s": s.per_second(s.cost.flops), "gbytes_per_s": s.per_second(s.cost.bytes()),
            })
        };
        let lines: Vec<_> = self.lines.iter().map(|(line, s)| json!({ "line": line, "time": sum(s) })).collect();
        let nodes: Vec<_> =
            self.nodes.iter().map(|(what, lines, s)| json!({ "what": what, "lines": lines, "time": sum(s) })).collect();
        let seconds = |k: usize| compile[k].as_secs_f64();
        json!({
            "seconds": ran.elapsed.as_secs_f64(), "train_steps": ran.steps, "of_train_steps": ran.of, "runs": ran.runs,
            "measured_share": self.overhead,
            "compile_s": { "trace": seconds(0), "flatten": seconds(1), "schedule": seconds(2), "machine_code": seconds(3) },
            "machine": { "gflops_per_s": machine.gflops, "gbytes_per_s": machine.gbytes },
            "lines": lines, "nodes": nodes,
        })
    }
}

/// How many there are, and their sum; nothing of none.
fn rest<'a>(sums: impl Iterator<Item = &'a Sum>) -> Option<(usize, Sum)> {
    let (mut n, mut all) = (0, Sum::default());
    for s in sums {
        (n, _) = (n + 1, all.add(*s));
    }
    (n > 0).then_some((n, all))
}

fn described(node: &Node) -> String {
    let sizes = |s: &[usize]| s.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
    match node {
        Node::Lanes(l) if l.dims.is_empty() && l.reduced.is_empty() => format!("scalar, {} ops", l.ops.len()),
        Node::Lanes(l) if l.reduced.is_empty() => format!("lanes [{}], {} ops", sizes(&l.dims), l.ops.len()),
        Node::Lanes(l) => format!("reduce [{}] over [{}]", sizes(&l.dims), sizes(&l.reduced)),
        Node::MatMul(m) => {
            let batch: String = m.batch.iter().map(|b| format!("{b}×")).collect();
            let end = if m.epilogue.is_some() { " + …" } else { "" };
            format!("product {batch}[{}×{}][{}×{}]{end}", m.m, m.k, m.k, m.n)
        }
        Node::Sort(s) => format!("sort {} of {}", sizes(&s.rows), s.n),
        Node::Cumulative(c) => format!("cumulative {} of {}", sizes(&c.rows), c.n),
        Node::Log { .. } => "log".to_string(),
        Node::Check(_) => "check".to_string(),
        Node::Loop { .. } | Node::While { .. } | Node::Switch { .. } => "control".to_string(),
    }
}

/// What one thread of this machine reaches.
struct Machine {
    gflops: f64,
    gbytes: f64,
}

impl Machine {
    /// Takes about a tenth of a second.
    fn measured() -> Machine {
        // Larger than the caches of most machines.
        let (from, mut to) = (vec![1u8; 64 << 20], vec![0u8; 64 << 20]);
        let copy = fastest(|| {
            to.copy_from_slice(&from);
            std::hint::black_box(&to);
        });
        let gflops = [64, 128, 256].map(product).into_iter().fold(0.0, f64::max);
        Machine { gflops, gbytes: 2.0 * from.len() as f64 / copy / 1e9 }
    }
}

/// GFLOP/s of products of square matrices, of which some sizes stay in nearer caches than others.
fn product(n: usize) -> f64 {
    let (a, b, mut c) = (vec![0.5f32; n * n], vec![0.25f32; n * n], vec![0.0f32; n * n]);
    let row = n as isize;
    let desc = MatmulDesc {
        batch: 1,
        m: n,
        n,
        k: n,
        a_batch: 0,
        a_row: row,
        a_col: 1,
        b_batch: 0,
        b_row: row,
        b_col: 1,
        c_batch: 0,
        c_row: row,
        c_col: 1,
        accumulate: false,
        epilogue: Epilogue::None,
    };
    // Long enough for the clock.
    let times = (1 << 24) / (n * n * n);
    let seconds = fastest(|| {
        for _ in 0..times {
            // SAFETY: the three arrays have the sizes and strides that the description says; there is no bias to read.
            unsafe { matmul_f32(&desc, a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), std::ptr::null()) };
            std::hint::black_box(&c);
        }
    });
    2.0 * (times * n * n * n) as f64 / seconds / 1e9
}

/// Seconds of the fastest of some executions, the first of which are not counted.
fn fastest(mut f: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    for k in 0..64 {
        let one = Instant::now();
        f();
        if k > 0 {
            best = best.min(one.elapsed().as_secs_f64());
        }
        if k > 2 && begin.elapsed() > Duration::from_millis(40) {
            break;
        }
    }
    best
}
