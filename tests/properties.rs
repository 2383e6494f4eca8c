//! Generated programs: the verifier holds after every pass, and the interpreter, the evaluator and the CPU agree.

mod support;

use support::machines::{agree, exposed, flatten, same_bits};
use whorl_core::generate::{Config, arguments, program};
use whorl_core::ir::{ArrayData, DType, Lit};
use whorl_core::print;
use whorl_transform::simplify::simplify;
use whorl_transform::trap::trap_nan;

/// Runs programs of many seeds; the first that fails is shown whole. `WHORL_SEED` runs one alone, `WHORL_SEEDS` many times
/// as many as usual. Gives how many stopped at a check.
#[track_caller]
fn hold(config: &Config, seeds: std::ops::Range<u64>) -> usize {
    let number = |name: &str| std::env::var(name).ok().and_then(|s| s.parse::<u64>().ok());
    let times = number("WHORL_SEEDS").unwrap_or(1);
    let seeds = number("WHORL_SEED").map_or(seeds.start..seeds.start + times * (seeds.end - seeds.start), |s| s..s + 1);
    let mut stopped = 0;
    for seed in seeds {
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
