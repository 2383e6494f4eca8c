//! Generated programs: the verifier holds after every pass, and the interpreter, the evaluator and the CPU agree.

mod support;

use support::machines::{agree, exposed, flatten, same_bits};
use whorl_core::generate::{Config, arguments, program};
use whorl_core::ir::DType;
use whorl_core::print;

/// Runs programs of many seeds; the first that fails is shown whole. `WHORL_SEED` runs one alone, `WHORL_SEEDS` many times
/// as many as usual.
#[track_caller]
fn hold(config: &Config, seeds: std::ops::Range<u64>) {
    let number = |name: &str| std::env::var(name).ok().and_then(|s| s.parse::<u64>().ok());
    let times = number("WHORL_SEEDS").unwrap_or(1);
    let seeds = number("WHORL_SEED").map_or(seeds.start..seeds.start + times * (seeds.end - seeds.start), |s| s..s + 1);
    for seed in seeds {
        let traced = program(seed, config);
        let args = arguments(seed, &traced);
        let checked = agree(&traced, &args).and_then(|_| {
            let all = exposed(&flatten(traced.clone())?);
            same_bits(&all, &args).map_err(|e| format!("with all values kept: {e}"))
        });
        if let Err(e) = checked {
            panic!("seed {seed} of {config:?}: {e}\n{}", print::print(&traced));
        }
    }
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

#[test]
fn doubles() {
    hold(&Config { float: DType::F64, unbounded: true, ..Config::default() }, 3000..3030);
}
