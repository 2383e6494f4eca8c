//! The three machines: the interpreter of Core, the evaluator of Loop IR, and the CPU. What one computes, all must.
//!
//! ```text
//! traced Core ── interpreter                    the same values but for regrouped sums
//!      │ flatten
//! flat Core ──── interpreter ┐
//!      │ schedule            │
//! Loop IR ────── evaluator   ├ the same bits, results and logs
//!      │ compile             │
//! machine code ─ CPU ────────┤ (vectors and scalars, one thread and two, one thread a run and teams)
//! PTX ────────── emulator ───┘ (many threads and few, with shared memory and almost without, a block a run and several; `WHORL_CARD=cuda:0`: a card)
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};

use whorl_core::check::Fault;
use whorl_core::ir::{ArrayData, Atom, Lit, Program};
use whorl_core::{interp, print, verify};
use whorl_cpu::{Executable, LogElement, Options, RunError, RunState, TeamOptions, VectorMode};
use whorl_device::device_of_tests;
use whorl_schedule::loop_ir::{LoopProgram, Phase};
use whorl_schedule::{LogSite, log_sites};
use whorl_transform::flatten::{PASSES, PASSES_FOR_CARDS, Pass};

/// What a machine leaves: results and what was logged, or the message of the assertion that failed.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    pub results: Vec<ArrayData>,
    /// In order; records of nothing are left out.
    pub logs: Vec<Logged>,
}

/// One execution of a log.
#[derive(Clone, PartialEq, Debug)]
pub struct Logged {
    name: String,
    /// The steps of the loops around, outermost first.
    steps: Vec<usize>,
    /// Where among the lanes and in the value, and what.
    elements: Vec<(Vec<usize>, f64)>,
}

/// `Err` is the program's own failure (an `assert`), which machines must agree on as well.
pub type Run = Result<Outcome, String>;

/// How far the values of traced and flat Core may lie apart, relative to the largest of their array.
const REGROUPED: f64 = 1e-4;

/// Runs the program on all machines. `Ok` is what they agree on; `Err` says which differ, or which pass broke the program.
pub fn agree(traced: &Program, args: &[ArrayData]) -> Result<Run, String> {
    verify::verify(traced).map_err(|e| format!("tracing made ill-formed Core: {e:?}"))?;
    let reference = guarded("the interpreter on traced Core", || Ok(interpreted(traced, args)))?;
    let flat = flatten(traced.clone())?;
    let run = same_bits(&flat, args)?;
    let for_cards = passed(traced.clone(), PASSES_FOR_CARDS)?;
    if for_cards != flat {
        let loops = guarded("schedule for cards", || whorl_schedule::schedule(&for_cards).map_err(|e| e.to_string()))?;
        let on_card = guarded("the emulated card", || emulated(&loops, args, 1, 64, 16 * 1024))?;
        // Of several failures another may be the first.
        if run.is_ok() || on_card.is_ok() {
            compare("the emulated card, by passes of its own", &run, &on_card)?;
        }
    }
    match (&reference, &run) {
        (Ok(a), Ok(b)) => {
            let (left, right) = (a.results.iter().map(ArrayData::to_f64), b.results.iter().map(ArrayData::to_f64));
            for (k, (x, y)) in left.zip(right).enumerate() {
                near(&x, &y).map_err(|e| format!("result {k} differs between traced and flat Core: {e}"))?;
            }
            logs_near(&a.logs, &b.logs).map_err(|e| format!("logs differ between traced and flat Core: {e}"))?;
        }
        // Lanes that fail differently: which is first depends on their order, which distribution changes.
        (Err(_), Err(_)) => {}
        (a, b) => return Err(format!("traced Core: {}, flat Core: {}", said(a), said(b))),
    }
    Ok(run)
}

/// The flat program on the interpreter, the evaluator and the CPU: the same to the bit.
pub fn same_bits(flat: &Program, args: &[ArrayData]) -> Result<Run, String> {
    let expected = guarded("the interpreter on flat Core", || Ok(interpreted(flat, args)))?;
    let loops = guarded("schedule", || whorl_schedule::schedule(flat).map_err(|e| e.to_string()))?;
    whorl_schedule::verify(&loops).map_err(|e| format!("ill-formed Loop IR: {e}"))?;
    let evaluated = guarded("the evaluator", || evaluated(&loops, args))?;
    compare("the evaluator", &expected, &evaluated)?;
    for (name, vector, team) in [
        ("the CPU", VectorMode::Auto, 1),
        ("the CPU with vectors of AVX2", VectorMode::Avx2, 1),
        ("the CPU with narrow vectors", VectorMode::Narrow, 1),
        ("the CPU without vectors", VectorMode::Scalar, 1),
        ("the CPU by a team of two", VectorMode::Auto, 2),
        ("the CPU by a team of five", VectorMode::Auto, 5),
        ("the CPU with vectors of AVX2 by a team of two", VectorMode::Avx2, 2),
        ("the CPU with narrow vectors by a team of three", VectorMode::Narrow, 3),
    ] {
        let executable = guarded("compile", || {
            let options = Options { threads: 1, vector, team: TeamOptions::eager(team), ..Options::default() };
            whorl_cpu::compile(&loops, &options).map_err(|e| e.to_string())
        })?;
        let run = guarded(name, || Ok(executed(&loops, &executable, args, 2, team)))?;
        compare(name, &expected, &run)?;
        if loops.runs.is_some() && vector == VectorMode::Auto && team == 1 {
            for threads in [1, 2] {
                let together = guarded(name, || Ok(executable.run_to_end(args, threads)))?;
                let mut together = together.map(|results| Outcome { results, logs: Vec::new() }).map_err(stopped);
                if let (Ok(a), Ok(b)) = (&mut together, &expected) {
                    a.logs.clone_from(&b.logs);
                }
                compare(&format!("{name} on {threads} threads"), &expected, &together)?;
            }
        }
    }
    for (blocks, threads, shared) in [(1, 256, 64 * 1024), (1, 32, 512), (3, 32, 0), (2, 64, 16 * 1024)] {
        let name =
            format!("the emulated card with {blocks} times {threads} threads and {shared} bytes of shared memory");
        let run = guarded(&name, || emulated(&loops, args, blocks, threads, shared))?;
        compare(&name, &expected, &run)?;
    }
    Ok(expected)
}

/// Run side by side on the emulator, with every check that it has, or on the card that tests are to run on.
fn emulated(
    loops: &LoopProgram,
    args: &[ArrayData],
    blocks: usize,
    threads: usize,
    shared: usize,
) -> Result<Run, String> {
    let options = whorl_cuda::Options { threads, blocks, shared, ..whorl_cuda::Options::default() };
    let module = whorl_cuda::compile(loops, &options, &[], &|_| None).map_err(|e| e.to_string())?;
    if let Some(path) = std::env::var_os("WHORL_PTX_OUT") {
        // The last one that was run: that of the finding.
        let text = whorl_schedule::print(loops, &|_| String::new());
        std::fs::write(path, format!("{}\n/*\n{text}*/\n", module.ptx)).map_err(|e| e.to_string())?;
    }
    let executable =
        whorl_cuda::Executable::new(loops.clone(), module, device_of_tests()).map_err(|e| e.to_string())?;
    let sites = log_sites(loops);
    let numbers: Vec<(usize, &[ArrayData])> = (0..loops.runs.unwrap_or(1)).map(|run| (run, args)).collect();
    let mut results = Vec::new();
    let mut logs = vec![Vec::new(); numbers.len()];
    if !numbers.is_empty() {
        let mut runs = executable.start(&numbers).map_err(|e| e.to_string())?;
        for (k, phase) in loops.phases.iter().enumerate() {
            let n = if let Phase::Train { n, .. } = phase { *n } else { 0 };
            // In two chunks, and what is between them in memory.
            for (from, to) in if n > 1 { vec![(0, 1), (1, n)] } else { vec![(0, n)] } {
                let mut elements: Vec<Vec<LogElement>> = vec![Vec::new(); numbers.len()];
                let ran = executable.run_phase(k, &mut runs, from, to, &mut |run, e| elements[run].push(e));
                match ran {
                    Err(whorl_cuda::RunError::Fault(_, fault)) => return Ok(Err(whole(&fault))),
                    Err(e) => return Err(e.to_string()),
                    Ok(()) => {}
                }
                for (log, own) in logs.iter_mut().zip(&elements) {
                    log.extend(together(loops, &sites, own, n > 0));
                }
            }
        }
        for k in 0..loops.outputs.len() {
            let rows = (0..numbers.len()).map(|run| executable.outputs(&runs, run).map(|mut o| o.swap_remove(k)));
            let rows = rows.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
            let ty = rows[0].ty.clone();
            let bytes = rows.iter().flat_map(|row| row.bytes.iter().copied()).collect();
            results.push(ArrayData { ty: loops.runs.map_or(ty.clone(), |n| ty.stacked(n)), bytes });
        }
    }
    Ok(Ok(Outcome { results, logs: logs.concat() }))
}

/// The passes of `pipeline::flatten`, with the verifier after each in every build.
pub fn flatten(program: Program) -> Result<Program, String> {
    passed(program, PASSES)
}

fn passed(program: Program, passes: &[Pass]) -> Result<Program, String> {
    let checked = |pass: &str, program: Program| match verify::verify(&program) {
        Ok(()) => Ok(program),
        Err(e) => Err(format!("{pass} made ill-formed Core: {e:?}\n{}", print::print(&program))),
    };
    passes.iter().try_fold(program, |program, (name, pass)| checked(name, guarded(name, || Ok(pass(program)))?))
}

/// The program with everything it computes at its top as a result, so that all of it is compared, not only what is asserted.
pub fn exposed(flat: &Program) -> Program {
    let mut out = flat.clone();
    let made = flat.main.body.stmts.iter().flat_map(|s| s.outs.iter().copied());
    let results: Vec<Atom> = made.map(Atom::Var).collect();
    out.main.body.results = results.into_iter().collect();
    out
}

/// Runs everything on the CPU; for tests whose reference is recorded.
pub fn on_cpu(traced: Program, args: &[ArrayData]) -> Result<Vec<ArrayData>, String> {
    let loops = whorl_schedule::schedule(&flatten(traced)?).map_err(|e| e.to_string())?;
    let executable = whorl_cpu::compile(&loops, &Options::default()).map_err(|e| e.to_string())?;
    executable.run_to_end(args, 1).map_err(|e| e.to_string())
}

fn interpreted(program: &Program, args: &[ArrayData]) -> Run {
    let outcome = interp::run(program, args).map_err(|e| whole(&e))?;
    // The outermost map of a program with runs is that of the runs; what stands before it is of none.
    let runs = usize::from(whorl_schedule::schedule(program).is_ok_and(|loops| loops.runs.is_some()));
    let logged = |r: &interp::LogRecord| {
        let place = |at: Vec<usize>| r.maps.iter().skip(runs).copied().chain(at).collect();
        let elements = r.elements().into_iter().map(|(at, x)| (place(at), x)).collect();
        Logged { name: r.name.to_string(), steps: r.steps.iter().map(|s| s.at).collect(), elements }
    };
    Ok(Outcome { results: outcome.results, logs: filled(outcome.logs.iter().map(logged)) })
}

fn evaluated(loops: &LoopProgram, args: &[ArrayData]) -> Result<Run, String> {
    match whorl_schedule::evaluate(loops, args) {
        Ok(outcome) => {
            let logged =
                |r: whorl_schedule::LogEntry| Logged { name: r.name.to_string(), steps: r.steps, elements: r.elements };
            let logs = outcome.logs.into_iter().map(logged);
            Ok(Ok(Outcome { results: outcome.results, logs: filled(logs) }))
        }
        Err(whorl_schedule::EvalError::Fault(fault)) => Ok(Err(whole(&fault))),
        Err(e @ whorl_schedule::EvalError::Defect(_)) => Err(e.to_string()),
    }
}

/// The flat program on the CPU, whatever the chunks of its train scans and the number of threads: the same to the bit.
pub fn paced(flat: &Program, args: &[ArrayData]) -> Result<(), String> {
    let expected = guarded("the interpreter on flat Core", || Ok(interpreted(flat, args)))?;
    let loops = guarded("schedule", || whorl_schedule::schedule(flat).map_err(|e| e.to_string()))?;
    let options = Options { threads: 1, team: TeamOptions::eager(5), ..Options::default() };
    let executable = guarded("compile", || whorl_cpu::compile(&loops, &options).map_err(|e| e.to_string()))?;
    for (chunk, team) in [(1, 1), (1, 2), (2, 1), (3, 3), (usize::MAX, 1), (usize::MAX, 5)] {
        let run = guarded("the CPU", || Ok(executed(&loops, &executable, args, chunk, team)))?;
        compare(&format!("the CPU in chunks of {chunk} steps by a team of {team}"), &expected, &run)?;
    }
    for threads in [1, 2, 3, 8] {
        let run = guarded("the CPU", || Ok(executable.run_to_end(args, threads)))?;
        let mut run = run.map(|results| Outcome { results, logs: Vec::new() }).map_err(stopped);
        if let (Ok(a), Ok(b)) = (&mut run, &expected) {
            a.logs.clone_from(&b.logs);
        }
        compare(&format!("the CPU on {threads} threads"), &expected, &run)?;
    }
    Ok(())
}

/// A run in memory that is full of what is no number, so that reading what nobody wrote does not go unseen.
fn poisoned_run(executable: &Executable, run: usize, args: &[ArrayData]) -> Result<RunState, RunError> {
    let mut arena = executable.arena()?;
    arena.fill(0xFF);
    let mut state = executable.run_without_arena(run);
    state.exchange(&mut arena);
    let program = executable.program();
    for (id, arg) in program.inputs.iter().zip(args) {
        executable.write(&mut state, *id, arg)?;
    }
    if let Some(index) = program.run_index {
        executable.write(&mut state, index, &ArrayData::scalar(run as i32))?;
    }
    Ok(state)
}

/// Run after run, phase after phase, as the host does it; every train scan so many steps at a time, each run by so many threads.
fn executed(loops: &LoopProgram, executable: &Executable, args: &[ArrayData], chunk: usize, team: usize) -> Run {
    let (mut rows, mut logs) = (Vec::new(), Vec::new());
    let sites = log_sites(loops);
    for run in 0..loops.runs.unwrap_or(1) {
        let mut state = poisoned_run(executable, run, args).map_err(|e| e.to_string())?;
        // A ring of another size for each run.
        state.set_ring(run + 1);
        executable.set_threads(&mut state, team);
        for (k, phase) in loops.phases.iter().enumerate() {
            let n = if let Phase::Train { n, .. } = phase { *n } else { 0 };
            let mut from = 0usize;
            loop {
                let to = from.saturating_add(chunk).min(n);
                executable.run_phase(k, &mut state, from, to).map_err(stopped)?;
                from = to;
                if from == n {
                    break;
                }
            }
            logs.extend(together(loops, &sites, &state.take_logs(), n > 0));
        }
        rows.push(executable.outputs(&state));
    }
    let results = (0..loops.outputs.len()).map(|k| {
        let ty = rows[0][k].ty.clone();
        let bytes = rows.iter().flat_map(|row| row[k].bytes.iter().copied()).collect();
        ArrayData { ty: loops.runs.map_or(ty.clone(), |n| ty.stacked(n)), bytes }
    });
    Ok(Outcome { results: results.collect(), logs })
}

/// What a phase logged, each execution's elements together.
fn together(loops: &LoopProgram, sites: &[LogSite], all: &[LogElement], train: bool) -> Vec<Logged> {
    // Places go up within an execution; the next begins anew, in the same place or another.
    let joins =
        |a: &LogElement, b: &LogElement| (a.site, a.step, a.loops) == (b.site, b.step, b.loops) && a.place < b.place;
    let logged = |elements: &[LogElement]| {
        let (first, site) = (elements[0], &sites[elements[0].site as usize]);
        assert!(train || first.step == 0, "a step of a straight phase");
        let step = train.then_some(first.step as usize);
        let steps = step.into_iter().chain(unravelled(first.loops, &site.loops)).collect();
        let elements = elements.iter().map(|e| (unravelled(e.place, &site.dims), e.value)).collect();
        Logged { name: loops.logs[site.log as usize].to_string(), steps, elements }
    };
    all.chunk_by(joins).map(logged).collect()
}

/// A row-major number as its indices.
fn unravelled(mut at: u64, sizes: &[usize]) -> Vec<usize> {
    let mut indices = vec![0; sizes.len()];
    for (index, n) in indices.iter_mut().zip(sizes).rev() {
        (*index, at) = ((at % *n as u64) as usize, at / *n as u64);
    }
    indices
}

/// All that is known of a failure.
fn whole(fault: &Fault) -> String {
    let Fault { values, place, steps, maps, .. } = fault;
    // Which NaN it is does not matter.
    let one_nan = |l: &Lit| if l.to_f64().is_nan() { Lit::of(l.dtype, f64::NAN) } else { *l };
    let values: Vec<Lit> = values.iter().map(one_nan).collect();
    format!("{fault}: {values:?} at {place:?} in {steps:?} and {maps:?}")
}

fn stopped(error: RunError) -> String {
    match error {
        RunError::Fault(fault) => whole(&fault),
        RunError::Misuse(what) => what,
    }
}

fn filled(logs: impl Iterator<Item = Logged>) -> Vec<Logged> {
    logs.filter(|l| !l.elements.is_empty()).collect()
}

/// A panic is a defect with a name, not the end of the test.
pub fn guarded<T>(what: &str, f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(|e| format!("{what}: {e}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or(panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
            Err(format!("{what} panicked: {text}"))
        }
    }
}

fn compare(machine: &str, expected: &Run, got: &Run) -> Result<(), String> {
    match (expected, got) {
        (Ok(a), Ok(b)) => {
            for (k, (x, y)) in a.results.iter().zip(&b.results).enumerate() {
                if x.ty != y.ty {
                    return Err(format!("result {k} on {machine}: {:?}, not {:?}", y.ty, x.ty));
                }
                if let Some(at) = (0..x.ty.size()).find(|&i| !same(x.element(i).to_f64(), y.element(i).to_f64())) {
                    let (x, y, ty) = (x.element(at).to_f64(), y.element(at).to_f64(), &x.ty);
                    return Err(format!("result {k} on {machine}: {y:?}, not {x:?}, at place {at} of {ty:?}"));
                }
            }
            if a.results.len() != b.results.len() {
                return Err(format!("{machine}: {} results, not {}", b.results.len(), a.results.len()));
            }
            let equal = a.logs.len() == b.logs.len()
                && a.logs.iter().zip(&b.logs).all(|(x, y)| {
                    (&x.name, &x.steps, x.elements.len()) == (&y.name, &y.steps, y.elements.len())
                        && x.elements.iter().zip(&y.elements).all(|(p, q)| p.0 == q.0 && same(p.1, q.1))
                });
            if equal { Ok(()) } else { Err(format!("logs on {machine}: {:?}, not {:?}", b.logs, a.logs)) }
        }
        (Err(a), Err(b)) if a == b => Ok(()),
        (a, b) => Err(format!("{machine}: {}, not {}", said(b), said(a))),
    }
}

/// The same bits; which NaN it is does not matter.
fn same(x: f64, y: f64) -> bool {
    x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan()
}

fn said(run: &Run) -> String {
    match run {
        Ok(_) => "no failure".to_string(),
        Err(message) => format!("`{message}`"),
    }
}

fn logs_near(a: &[Logged], b: &[Logged]) -> Result<(), String> {
    // Distribution takes the records of lanes together: by name all elements are the same, in another order.
    let mut names: Vec<&String> = a.iter().chain(b).map(|l| &l.name).collect();
    names.sort();
    names.dedup();
    for name in names {
        let all = |logs: &[Logged]| -> Vec<f64> {
            let of_name = logs.iter().filter(|l| l.name == *name);
            let mut all: Vec<f64> = of_name.flat_map(|l| l.elements.iter().map(|e| e.1)).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        near(&all(a), &all(b)).map_err(|e| format!("`{name}`: {e}"))?;
    }
    Ok(())
}

fn near(a: &[f64], b: &[f64]) -> Result<(), String> {
    if a.len() != b.len() {
        return Err(format!("{} elements and {}", a.len(), b.len()));
    }
    let scale = a.iter().filter(|x| x.is_finite()).fold(1e-3f64, |m, x| m.max(x.abs()));
    let far = |x: f64, y: f64| !(same(x, y) || x == y || (x - y).abs() <= REGROUPED * scale);
    match a.iter().zip(b).position(|(x, y)| far(*x, *y)) {
        Some(at) => Err(format!("{:?} and {:?} at place {at} of {}", a[at], b[at], a.len())),
        None => Ok(()),
    }
}
