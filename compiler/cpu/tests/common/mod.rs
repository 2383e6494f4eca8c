//! Hand-built programs, and the one check: compiled code gives the evaluator's bits.
#![allow(dead_code)]

mod build;

use whorl_core::ir::ArrayData;
use whorl_cpu::{Options, RunError, TeamOptions, VectorMode, compile};
use whorl_schedule::loop_ir::*;
use whorl_schedule::{EvalError, Outcome, evaluate};

pub use build::*;

impl Build {
    #[track_caller]
    pub fn check(&self) {
        check(&self.program, &self.args);
    }
}

/// Compiled code, in all ways, by one thread and by teams, leaves what the evaluator leaves.
#[track_caller]
pub fn check(program: &LoopProgram, args: &[ArrayData]) {
    let expected = evaluate(program, args);
    for (vector, threads) in [
        (VectorMode::Auto, 1),
        (VectorMode::Avx2, 1),
        (VectorMode::Narrow, 1),
        (VectorMode::Scalar, 2),
        (VectorMode::Auto, 2),
        (VectorMode::Auto, 5),
        (VectorMode::Avx2, 4),
        (VectorMode::Narrow, 3),
    ] {
        let team = TeamOptions::eager(threads);
        let executable = compile(program, &Options { threads, vector, team, ..Options::default() }).expect("compiles");
        match (&expected, executable.run_to_end(args, threads)) {
            (Ok(expected), Ok(got)) => {
                assert_eq!(expected.results.len(), got.len());
                for (k, (e, g)) in expected.results.iter().zip(&got).enumerate() {
                    if let Err(what) = same(e, g) {
                        panic!("{vector:?} by {threads}: result {k}: {what}\n{:?}", program.phases);
                    }
                }
            }
            (Err(EvalError::Fault(fault)), Err(error)) => assert_eq!(error, RunError::Fault(fault.clone())),
            (Err(EvalError::Defect(what)), _) => panic!("the test is wrong: {what}"),
            (e, g) => panic!("{vector:?}: expected {e:?}, got {g:?}"),
        }
    }
    for (blocks, threads, shared) in [(1, 64, 48 * 1024), (1, 32, 0), (3, 32, 0), (2, 64, 16 * 1024)] {
        emulated(program, args, &expected, blocks, threads, shared);
    }
}

/// The same on the emulated card, with every check that it has, or on the card that tests are to run on.
#[track_caller]
fn emulated(
    program: &LoopProgram,
    args: &[ArrayData],
    expected: &Result<Outcome, EvalError>,
    blocks: usize,
    threads: usize,
    shared: usize,
) {
    let options = whorl_cuda::Options { threads, blocks, shared, ..whorl_cuda::Options::default() };
    let module = whorl_cuda::compile(program, &options, &[], &|_| None).unwrap_or_else(|e| panic!("{e}"));
    let device = whorl_device::device_of_tests();
    let executable =
        whorl_cuda::Executable::new(program.clone(), module, device).unwrap_or_else(|e| panic!("{e}\n{program:?}"));
    match (expected, executable.run_to_end(args, &mut |_, _| ())) {
        (Ok(expected), Ok(got)) => {
            for (k, (e, g)) in expected.results.iter().zip(&got).enumerate() {
                if let Err(what) = same(e, g) {
                    panic!("emulated, {blocks} times {threads} threads: result {k}: {what}\n{:?}", program.phases);
                }
            }
        }
        (Err(EvalError::Fault(fault)), Err(whorl_cuda::RunError::Fault(_, own))) => assert_eq!(&own, fault),
        (e, Ok(_)) => panic!("emulated, {blocks} times {threads} threads: expected {e:?}"),
        (e, Err(g)) => {
            panic!("emulated, {blocks} times {threads} threads: expected {e:?}, got {g}\n{:?}", program.phases)
        }
    }
}
