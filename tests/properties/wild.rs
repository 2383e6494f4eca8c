//! Programs of anything on any values: what must hold of each.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, RngAlgorithm, RngSeed, TestCaseError, TestError, TestRunner};
use whorl_core::Builder;
use whorl_core::generate::{Config, Wild, program_of, wild_arguments};
use whorl_core::interp::{self, Outcome, run_with_one_zero};
use whorl_core::ir::*;
use whorl_core::verify::verify;
use whorl_transform::ad::{jvp, vjp};
use whorl_transform::flatten::PASSES;
use whorl_transform::nests::join;
use whorl_transform::simplify::simplify;
use whorl_transform::stages::cut;
use whorl_transform::trap::trap_nan;

use crate::cases::written;
use crate::in_lanes;
use crate::reduce::{Case, reduced};
use crate::support::machines::{exposed, flatten, guarded, paced, same_bits};

/// How many programs of each kind are tried: `WHORL_PROGRAMS` of them, or so many.
const PROGRAMS: u32 = 250;

fn programs() -> u32 {
    std::env::var("WHORL_PROGRAMS").ok().and_then(|s| s.parse().ok()).unwrap_or(PROGRAMS)
}

/// The same programs every time, others with another `WHORL_SEED`.
fn first() -> u64 {
    std::env::var("WHORL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

/// `check` holds of every program of the configuration. One that does not hold is made small, told, and left as a file.
fn all_hold(name: &str, config: &Config, choices: usize, check: impl Fn(&Case) -> Result<(), String>) {
    let runs = Runs {
        cases: programs(),
        failure_persistence: None,
        max_shrink_iters: 600,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(first()),
        ..Runs::default()
    };
    let case = |choices: &[u32]| {
        let (program, args) = program_of(choices, config);
        Case { program, args }
    };
    // The kind of the first failure: shrinking stays with it.
    let kind = RefCell::new(None);
    let strategy = prop::collection::vec(any::<u32>(), choices / 8..choices);
    let outcome = TestRunner::new(runs).run(&strategy, |choices| {
        let Err(e) = check(&case(&choices)) else { return Ok(()) };
        let same = *kind.borrow_mut().get_or_insert_with(|| kind_of(&e)) == kind_of(&e);
        if same { Err(TestCaseError::fail(e)) } else { Ok(()) }
    });
    let Err(error) = outcome else { return };
    let TestError::Fail(_, choices) = error else { panic!("{error}") };
    let kind = kind.into_inner();
    let small = reduced(case(&choices), &|c| check(c).err().map(|e| kind_of(&e)) == kind);
    let said = check(&small).err().unwrap_or_default();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.core"));
    let told: String = said.lines().take(20).map(|l| format!("// {l}\n")).collect();
    let text = format!("{told}{}", written(&small));
    std::fs::write(&path, &text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    panic!("{said}\n{text}\nin {}; once it is mended, it belongs into tests/generated", path.display());
}

/// What an error says but for the values: a smaller program has others.
fn kind_of(e: &str) -> String {
    let line = e.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_ascii_digit()).take(40).collect()
}

/// Everything that a program is judged by.
pub fn judged(case: &Case, exact: bool) -> Result<(), String> {
    verify(&case.program).map_err(|e| format!("the generator made ill-formed Core: {e}"))?;
    if exact {
        passes_keep_bits(case)?;
    }
    let flat = flatten(case.program.clone())?;
    same_bits(&flat, &case.args)?.ok();
    // The loop of runs is one as long as nothing else is asked for.
    if whorl_schedule::schedule(&flat).is_ok_and(|loops| loops.runs.is_some()) {
        return Ok(());
    }
    same_bits(&exposed(&flat), &case.args).map_err(|e| format!("with all values kept: {e}"))?.ok();
    Ok(())
}

/// The interpreter gives the same bits after every pass, but for the sign of zeros.
fn passes_keep_bits(case: &Case) -> Result<(), String> {
    let run = |p: &Program| guarded("the interpreter", || Ok(run_with_one_zero(p, &case.args)));
    let expected = run(&case.program)?;
    let mut program = case.program.clone();
    for (pass, apply) in PASSES {
        program = guarded(pass, || Ok(apply(program)))?;
        verify(&program).map_err(|e| format!("{pass} made ill-formed Core: {e}"))?;
        match (&expected, run(&program)?) {
            (Ok(a), Ok(b)) => same(a, &b).map_err(|e| format!("after {pass}, {e}"))?,
            (Err(_), Err(_)) => {}
            (a, b) => return Err(format!("after {pass}, a run that {}, not {}", ended(a.is_ok()), ended(b.is_ok()))),
        }
    }
    Ok(())
}

fn ended(well: bool) -> &'static str {
    if well { "ends" } else { "stops" }
}

fn same(a: &Outcome, b: &Outcome) -> Result<(), String> {
    for (k, (x, y)) in a.results.iter().zip(&b.results).enumerate() {
        let (before, after) = (bits(x), bits(y));
        if before.0 != after.0 {
            return Err(format!("result {k}: {:?}, not {:?}", y.ty, x.ty));
        }
        if let Some(at) = (0..x.ty.size()).find(|at| before.1[*at] != after.1[*at]) {
            let (x, y) = (x.to_f64()[at], y.to_f64()[at]);
            return Err(format!("result {k}: {y:?}, not {x:?}, at place {at}"));
        }
    }
    // Distribution records lanes together: all elements are there, in another order.
    let logged = |o: &Outcome| {
        let mut all: Vec<u64> = o.logs.iter().flat_map(|l| l.recorded()).map(canonical).collect();
        all.sort_unstable();
        all
    };
    if logged(a) == logged(b) { Ok(()) } else { Err("other things are logged".to_string()) }
}

fn bits(data: &ArrayData) -> (Type, Vec<u64>) {
    (data.ty.clone(), data.to_f64().into_iter().map(canonical).collect())
}

fn canonical(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }
}

fn small(float_sums: bool) -> Config {
    Config { statements: 5, depth: 1, ..Config::wild(float_sums) }
}

#[test]
fn small_wild_programs() {
    all_hold("small-wild-programs", &small(false), 300, |c| judged(c, true));
}

#[test]
fn nested_wild_programs() {
    let config = Config { statements: 10, depth: 3, ..Config::wild(false) };
    all_hold("nested-wild-programs", &config, 1500, |c| judged(c, true));
}

#[test]
fn wild_programs_that_sum() {
    let config = Config { statements: 12, depth: 2, ..Config::wild(true) };
    all_hold("wild-programs-that-sum", &config, 1000, |c| judged(c, false));
}

#[test]
fn failing_wild_programs() {
    let config = Config { checks: true, depth: 2, ..Config::wild(false) };
    all_hold("failing-wild-programs", &config, 600, |c| judged(c, true));
}

/// The same programs with every operation looked at.
#[test]
fn trapped_wild_programs() {
    let config = Config { statements: 6, depth: 2, ..Config::wild(true) };
    all_hold("trapped-wild-programs", &config, 500, |c| {
        let program = guarded("trap_nan", || Ok(trap_nan(simplify(c.program.clone()))))?;
        judged(&Case { program, args: c.args.clone() }, false)
    });
}

#[test]
fn wide_wild_programs() {
    let config = Config { largest: 40, statements: 10, ..small(false) };
    all_hold("wide-wild-programs", &config, 600, |c| judged(c, true));
}

/// Any number of threads, every size of a chunk of a train scan, and a ring of any size: the same bits. Nests of runs are one loop of runs,
/// and what comes behind them is a program of its own.
#[test]
fn wild_programs_in_runs() {
    let wild = Some(Wild { float_sums: true, train: true });
    let config = Config { statements: 4, depth: 1, wild, ..Config::wild(true) };
    all_hold("wild-programs-in-runs", &config, 300, |c| {
        let all = in_nest(c, 3, 2).0;
        let whole = interp::run(&all.program, &all.args).map_err(|e| e.to_string())?;
        let (first, rest) = guarded("cut", || Ok(cut(join(all.program.clone()))))?;
        let (mut args, mut results) = (all.args.clone(), Vec::new());
        for part in [Some(&first), rest.as_ref()].into_iter().flatten() {
            verify(part).map_err(|e| format!("cut made ill-formed Core: {e}"))?;
            results = interp::run(part, &args).map_err(|e| e.to_string())?.results;
            args.extend(results.clone());
        }
        // Sizes that only the whole gives are the host's to put around.
        let elements = |all: &[ArrayData]| all.iter().map(|r| bits(r).1).collect::<Vec<_>>();
        if elements(&results) != elements(&whole.results) {
            return Err("the parts of a program that was cut give other results".to_string());
        }
        paced(&flatten(first)?, &all.args)?;
        paced(&flatten(c.program.clone())?, &c.args)
    });
}

/// The program in so many lanes of so many runs, each with other arguments, and what these are, run after run.
fn in_nest(c: &Case, runs: usize, lanes: usize) -> (Case, Vec<Vec<ArrayData>>) {
    let program = in_lanes(&in_lanes(&c.program, lanes), runs);
    let given: Vec<Vec<ArrayData>> = (0..(runs * lanes) as u64)
        .map(|k| if k == 0 { c.args.clone() } else { wild_arguments(k, &c.program) })
        .collect();
    let args = (0..c.args.len())
        .map(|k| ArrayData {
            ty: c.args[k].ty.stacked(lanes).stacked(runs),
            bytes: given.iter().flat_map(|lane| lane[k].bytes.iter().copied()).collect(),
        })
        .collect();
    (Case { program, args }, given)
}

/// A lane is the body alone, to the bit: lanes of lanes, which distribution makes axes of, with other arguments each.
#[test]
fn a_wild_lane_is_the_body_alone() {
    let config = Config { statements: 5, depth: 2, ..Config::wild(false) };
    all_hold("a-wild-lane-is-the-body-alone", &config, 400, |c| {
        let (together, given) = in_nest(c, 2, 3);
        let outcome = interp::run(&together.program, &together.args).map_err(|e| e.to_string())?;
        for (lane, args) in given.iter().enumerate() {
            let alone = interp::run(&c.program, args).map_err(|e| e.to_string())?;
            for (k, (t, a)) in outcome.results.iter().zip(&alone.results).enumerate() {
                let size = a.bytes.len();
                let row = ArrayData { ty: a.ty.clone(), bytes: t.bytes[lane * size..(lane + 1) * size].to_vec() };
                if bits(&row) != bits(a) {
                    return Err(format!("result {k} of lane {lane}: {:?}, not {:?}", row.to_f64(), a.to_f64()));
                }
            }
        }
        // Traced, they are the same; so they stay behind every pass and on every machine.
        passes_keep_bits(&together)?;
        same_bits(&flatten(together.program.clone())?, &together.args)?.ok();
        Ok(())
    });
}

/// The gradients of the sum of all float results by all float parameters, or their derivatives along ones.
fn derivative(p: &Program, reverse: bool) -> Option<Program> {
    let mut b = Builder::new(p.vars.clone());
    let params: Vec<Var> = p.main.params.iter().map(|v| b.fresh(p.vars.ty(*v).clone())).collect();
    let args: Vec<Atom> = params.iter().map(|v| (*v).into()).collect();
    b.begin();
    let ones = |b: &mut Builder, atoms: &[Atom]| -> Vec<Option<Atom>> {
        let one = |a: &Atom| {
            let ty = b.ty(*a);
            ty.dtype.is_float().then(|| b.broadcast(Lit::of(ty.dtype, 1.0).into(), &ty.shape))
        };
        atoms.iter().map(one).collect()
    };
    let results = if reverse {
        let wrt: Vec<bool> = params.iter().map(|v| b.vars.ty(*v).dtype.is_float()).collect();
        vjp(&mut b, &p.main, &args, &wrt, ones).ok()?.gradients
    } else {
        let tangents = ones(&mut b, &args);
        jvp(&mut b, &p.main, &args, &tangents).ok()?.1.into_iter().flatten().collect()
    };
    let body = b.end(results);
    Some(Program { vars: b.vars, main: Function { params, body } })
}

/// What differentiation makes of any program is well-formed, to second order, and every machine computes the same with it.
#[test]
fn derivatives_of_wild_programs() {
    let config = Config { statements: 5, depth: 2, unbounded: false, ..Config::wild(true) };
    all_hold("derivatives-of-wild-programs", &config, 400, |c| {
        for (first, second) in [(true, None), (false, Some(true)), (true, Some(false)), (true, Some(true))] {
            let derived = guarded("differentiation", || Ok(derivative(&c.program, first)))?;
            let derived = match (derived, second) {
                (Some(d), Some(again)) => guarded("differentiation, twice", || Ok(derivative(&d, again)))?,
                (d, _) => d,
            };
            if let Some(program) = derived {
                judged(&Case { program, args: c.args.clone() }, false)?;
            }
        }
        Ok(())
    });
}
