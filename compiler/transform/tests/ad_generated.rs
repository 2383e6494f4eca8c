//! Generated programs: derivatives of derivatives, to third order. `WHORL_SEEDS` times as many as usual, `WHORL_SEED` one alone.

mod derivatives;

use derivatives::check;
use whorl_core::generate::{Config, arguments, program};
use whorl_core::ir::DType;

fn hold(config: &Config, seeds: std::ops::Range<u64>, order: usize) {
    let number = |name: &str| std::env::var(name).ok().and_then(|s| s.parse::<u64>().ok());
    let times = number("WHORL_SEEDS").unwrap_or(1);
    let seeds = number("WHORL_SEED").map_or(seeds.start..seeds.start + times * (seeds.end - seeds.start), |s| s..s + 1);
    for seed in seeds {
        let p = program(seed, config);
        let args = arguments(seed, &p);
        let checked = std::panic::catch_unwind(|| check(&p, &args, order));
        assert!(checked.is_ok(), "seed {seed} of {config:?}, order {order}");
    }
}

fn smooth() -> Config {
    Config { float: DType::F64, statements: 4, depth: 2, largest: 3, smooth: true, halves: false, ..Config::default() }
}

#[test]
fn first_order() {
    hold(&Config { statements: 6, largest: 4, ..smooth() }, 0..400, 1);
    hold(&Config { depth: 3, ..smooth() }, 1000..1200, 1);
}

#[test]
fn second_order() {
    hold(&smooth(), 2000..2200, 2);
}

#[test]
fn third_order() {
    hold(&Config { statements: 3, ..smooth() }, 3000..3120, 3);
    hold(&smooth(), 10_000..10_040, 3);
    hold(&Config { depth: 3, largest: 2, ..smooth() }, 20_000..20_020, 3);
}
