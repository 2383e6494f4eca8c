//! Jaxpr texts as Core, their values, derivatives and lanes.

mod arrays;
mod case;
mod compare;
mod control;
mod convolution;
mod derivatives;
mod elementwise;
mod gather;
mod indexing;
mod lanes;
mod loops;
mod places;
mod prng;
mod random;
mod reductions;
mod scatter;
mod text;
mod translate;
mod undefined;
mod windows;

use whorl_core::interp;
use whorl_core::ir::{ArrayData, Program};

use crate::report::{self, Bar, Outcome};
use crate::support::machines::on_cpu;
use crate::support::recorded::Recorded;
use case::Case;
use translate::Refusal;

/// What runs the programs, as reports name them.
const MACHINES: &[&str] = &["interpreter", "cpu"];

/// A program on one of [`MACHINES`].
fn run(machine: &str, program: &Program, args: &[ArrayData]) -> Result<Vec<ArrayData>, String> {
    match machine {
        "interpreter" => interp::run(program, args).map(|o| o.results).map_err(|e| e.to_string()),
        _ => on_cpu(program.clone(), args),
    }
}

/// The value of a program against the recorded one, on every machine.
fn values(case: &Case, recorded: &Recorded) -> Result<Outcome, Refusal> {
    let program = case.program()?;
    let (args, wanted) = (case.arguments(recorded)?, case.results(recorded)?);
    let judged = |machine: &&str| {
        let got = run(machine, &program, &args)?;
        match case.unordered() {
            Some(axis) => compare::same(&compare::sorted(&got, axis), &compare::sorted(&wanted, axis)),
            None => compare::same(&got, &wanted),
        }
    };
    Ok(Outcome::Judged(MACHINES.iter().map(judged).collect()))
}

fn outcome(result: Result<Outcome, Refusal>) -> Outcome {
    match result {
        Ok(outcome) => outcome,
        Err(Refusal::Excluded(reason)) => Outcome::Excluded(reason),
        Err(Refusal::Failed(e)) => Outcome::Judged(MACHINES.iter().map(|_| Err(e.clone())).collect()),
    }
}

#[test]
fn jax_harness() {
    let Some(recorded) = Recorded::open("jax_harness") else { return };
    let cases = case::cases(&recorded);
    let names: Vec<String> = cases.iter().map(|c| c.name.clone()).collect();
    let bar = Bar { applicable: 0.9, passed: 1.0 };
    report::judge("jax_harness", MACHINES, bar, &names, |k| outcome(values(&cases[k], &recorded)));
}
