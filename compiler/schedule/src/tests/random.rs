//! Generated programs, as they come from the compiler's front: distributed, and simplified or not.

use whorl_core::generate::{self, Config};
use whorl_transform::distribute::distribute;
use whorl_transform::simplify::simplify;

use super::*;

fn check_seeds(seeds: std::ops::Range<u64>, config: &Config) {
    for seed in seeds {
        let p = generate::program(seed, config);
        let args = generate::arguments(seed, &p);
        let flat = distribute(&p);
        let flat = if seed % 2 == 0 { simplify(flat) } else { flat };
        let outcome = std::panic::catch_unwind(|| check_program(&flat, &args));
        assert!(outcome.is_ok(), "seed {seed}:\n{}", whorl_core::print::print(&flat));
    }
}

#[test]
fn generated_programs() {
    let most = std::env::var("WHORL_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    check_seeds(0..most, &Config::default());
}

#[test]
fn large_generated_programs() {
    let large = Config { statements: 12, depth: 3, unbounded: true, ..Config::default() };
    check_seeds(1000..1006, &large);
}
