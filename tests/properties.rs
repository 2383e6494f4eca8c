//! Generated programs: the verifier holds after every pass, and the interpreter, the evaluator and the CPU agree.

#[path = "properties/cases.rs"]
mod cases;
#[path = "properties/reduce.rs"]
mod reduce;
mod support;
#[path = "properties/wild.rs"]
mod wild;

use support::machines::{agree, exposed, flatten, same_bits};
use whorl_core::generate::{Config, arguments, program};
use whorl_core::ir::{ArrayData, Atom, DType, Form, Function, Lit, Map, Program, Type};
use whorl_core::{Builder, Prim, interp, print};
use whorl_transform::simplify::simplify;
use whorl_transform::trap::trap_nan;

fn chosen(seeds: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|s| s.parse::<u64>().ok());
    let times = number("WHORL_SEEDS").unwrap_or(1);
    number("WHORL_SEED").map_or(seeds.start..seeds.start + times * (seeds.end - seeds.start), |s| s..s + 1)
}

/// Runs programs of many seeds; the first that fails is shown whole. `WHORL_SEED` runs one alone, `WHORL_SEEDS` many times
/// as many as usual. Gives how many stopped at a check.
#[track_caller]
fn hold(config: &Config, seeds: std::ops::Range<u64>) -> usize {
    let mut stopped = 0;
    for seed in chosen(seeds) {
        let traced = program(seed, config);
        let args = arguments(seed, &traced);
        let checked = agree(&traced, &args).and_then(|run| {
            stopped += run.is_err() as usize;
            let all = exposed(&flatten(traced.clone())?);
            same_bits(&all, &args).map_err(|e| format!("with all values kept: {e}"))
        });
        if let Err(e) = checked {
            panic!("seed {seed} of {config:?}: {e}\n{}", print::print(&traced));
        }
    }
    stopped
}

#[test]
fn small_programs() {
    hold(&Config { statements: 4, depth: 1, unbounded: true, ..Config::default() }, 0..150);
}

#[test]
fn nested_programs() {
    hold(&Config { unbounded: true, ..Config::default() }, 0..60);
    hold(&Config { statements: 4, depth: 3, unbounded: true, ..Config::default() }, 1000..1030);
}

#[test]
fn wide_programs() {
    hold(&Config { statements: 5, depth: 2, largest: 19, ..Config::default() }, 2000..2030);
}

/// Which check fails first, on what, and in which steps.
#[test]
fn failing_programs() {
    let config = Config { checks: true, unbounded: true, ..Config::default() };
    let stopped = hold(&Config { statements: 4, depth: 1, ..config.clone() }, 4000..4200)
        + hold(&config, 5000..5150)
        + hold(&Config { depth: 3, ..config }, 6000..6030);
    let alone = std::env::var_os("WHORL_SEED").is_some();
    assert!(alone || (80..300).contains(&stopped), "{stopped} of 380 programs stopped");
}

/// The same programs with every operation looked at, on arguments some of which are not finite or make others so.
#[test]
fn trapped_programs() {
    let mut stopped = [0; 3];
    for seed in 0..60 {
        let config = Config { unbounded: true, ..Config::default() };
        let traced = trap_nan(simplify(program(seed, &config)));
        for (k, factor) in [1.0, 1e30, f64::NAN].into_iter().enumerate() {
            let args: Vec<ArrayData> = arguments(seed, &traced).iter().map(|a| scaled(a, factor)).collect();
            match agree(&traced, &args) {
                Ok(run) => stopped[k] += run.is_err() as usize,
                Err(e) => panic!("seed {seed} times {factor}: {e}\n{}", print::print(&traced)),
            }
        }
    }
    // Programs are tame; a NaN that is given is not made.
    assert!(stopped[0] == 0 && stopped[1] > 10 && stopped[2] == 0, "{stopped:?} of 60 programs stopped");
}

fn scaled(a: &ArrayData, factor: f64) -> ArrayData {
    if !a.ty.dtype.is_float() {
        return a.clone();
    }
    let lits: Vec<Lit> = a.to_f64().into_iter().map(|x| Lit::of(a.ty.dtype, x * factor)).collect();
    ArrayData::from_lits(a.ty.dtype, &a.ty.shape, &lits)
}

#[test]
fn doubles() {
    hold(&Config { float: DType::F64, unbounded: true, ..Config::default() }, 3000..3030);
}

/// `for i in 0..n { p(arguments[i]) }`
fn in_lanes(p: &Program, n: usize) -> Program {
    let mut b = Builder::new(p.vars.clone());
    let types: Vec<Type> = p.main.params.iter().map(|v| p.vars.ty(*v).stacked(n)).collect();
    let params: Vec<_> = types.into_iter().map(|t| b.fresh(t)).collect();
    b.begin();
    let index = b.fresh(Type::scalar(DType::I32));
    b.begin();
    let args: Vec<Atom> = params.iter().map(|v| b.prim1(Prim::Index(None), &[(*v).into(), index.into()])).collect();
    let results = b.inline(&p.main.body, &p.main.params, &args);
    let body = b.end(results);
    let outs = b.form(Form::Map(Map { n, index, accs: Vec::new(), body })).to_vec();
    let body = b.end(outs);
    Program { vars: b.vars, main: Function { params, body } }
}

/// Sums of products become products of matrices, which add in another order, only where lanes make an axis that one alone has not.
fn regroups(p: &Program) -> bool {
    let dots = |p: &Program| print::print(p).matches(" dot[").count();
    flatten(p.clone()).is_ok_and(|flat| dots(&flat) != dots(p))
}

fn bits(data: &ArrayData) -> Vec<u64> {
    // Which NaN it is does not matter, nor the sign of a zero, which a pass may drop.
    data.to_f64().into_iter().map(|x| if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() }).collect()
}

/// A lane is the body alone: as traced, to the bit, and flat, where all machines agree.
fn lanes_are_alone(config: &Config, seeds: std::ops::Range<u64>) {
    let n = 3;
    let (mut compared, mut regrouped) = (0, 0);
    for seed in chosen(seeds) {
        let p = program(seed, config);
        let given: Vec<Vec<ArrayData>> = (0..n as u64).map(|lane| arguments(seed * 7 + lane, &p)).collect();
        let stacked: Vec<ArrayData> = (0..p.main.params.len())
            .map(|k| ArrayData {
                ty: given[0][k].ty.stacked(n),
                bytes: given.iter().flat_map(|lane| lane[k].bytes.iter().copied()).collect(),
            })
            .collect();
        let all = in_lanes(&p, n);
        let row = |data: &ArrayData, lane: usize| {
            let size = data.bytes.len() / n;
            let ty = Type::new(data.ty.dtype, &data.ty.shape[1..]);
            ArrayData { ty, bytes: data.bytes[lane * size..(lane + 1) * size].to_vec() }
        };
        let compare = |what: &str, together: &[ArrayData], alone: &[ArrayData], lane: usize| {
            for (k, (t, a)) in together.iter().zip(alone).enumerate() {
                let (t, a) = (bits(&row(t, lane)), bits(a));
                assert!(t == a, "seed {seed}, {what}, lane {lane}, result {k}\n{}", print::print(&p));
            }
        };
        let traced = interp::run(&all, &stacked).expect("runs").results;
        let flat = flatten(all.clone()).unwrap_or_else(|e| panic!("{e}"));
        let together =
            same_bits(&flat, &stacked).and_then(|r| r).unwrap_or_else(|e| panic!("seed {seed}: {e}")).results;
        let same_order = !regroups(&all) && !regroups(&p);
        for (lane, args) in given.iter().enumerate() {
            compare("traced", &traced, &interp::run(&p, args).expect("runs").results, lane);
            if same_order {
                let flat = flatten(p.clone()).unwrap_or_else(|e| panic!("{e}"));
                let alone = same_bits(&flat, args).and_then(|r| r).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
                compare("on the machines", &together, &alone.results, lane);
            }
        }
        compared += usize::from(same_order);
        regrouped += usize::from(!same_order);
    }
    assert!(compared > regrouped, "{compared} programs compared, {regrouped} have sums that are regrouped");
}

#[test]
fn a_lane_is_the_body_alone() {
    lanes_are_alone(&Config { statements: 5, depth: 2, unbounded: true, ..Config::default() }, 5000..5040);
    lanes_are_alone(&Config { float: DType::F64, statements: 4, depth: 3, ..Config::default() }, 6000..6015);
}

/// What generated programs have found, made small: `tests/generated/*.core`.
#[test]
fn what_was_found_before() {
    let folder = support::root().join("tests/generated");
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "core"));
    paths.sort();
    assert!(!paths.is_empty(), "no programs in {}", folder.display());
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a text");
        let case = cases::read_case(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // Those of sums of floats say so in their names.
        let sums = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("sum"));
        wild::judged(&case, !sums).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}
