//! Generated programs, scheduled and compiled, against the evaluator of Loop IR.

mod common;

use common::check;
use whorl_core::generate::{self, Config};
use whorl_schedule::schedule;
use whorl_transform::distribute::distribute;
use whorl_transform::simplify::simplify;

#[test]
fn generated_programs() {
    let most = std::env::var("WHORL_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(150);
    for seed in 0..most {
        let p = generate::program(seed, &Config::default());
        let args = generate::arguments(seed, &p);
        let flat = distribute(&p);
        let flat = if seed % 2 == 0 { simplify(flat) } else { flat };
        let scheduled = schedule(&flat).expect("a flat program has a schedule");
        let outcome = std::panic::catch_unwind(|| check(&scheduled, &args));
        assert!(outcome.is_ok(), "seed {seed}:\n{}", whorl_core::print::print(&flat));
    }
}
