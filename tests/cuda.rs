//! Kernels for NVIDIA cards, on the emulator: whole training loops, all of the library, barriers that are needed, and what `ptxas` says.

mod support;

#[path = "cuda/barriers.rs"]
mod barriers;
#[path = "cuda/figures.rs"]
mod figures;
#[path = "cuda/programs.rs"]
mod programs;

use std::sync::Arc;

use whorl_core::ir::ArrayData;
use whorl_cuda::{Executable, Module, Options, RunError};
use whorl_device::{Checks, Emulator, Limits};
use whorl_schedule::loop_ir::{LoopProgram, Phase};

/// A script's program, up to its runs.
fn scheduled(file: &str, settings: &[(&str, &str)]) -> LoopProgram {
    let source = support::load(&support::root().join(file), settings);
    let traced = source.script.trace_main().expect("a program").program;
    let (program, _) = whorl::pipeline::cut(traced);
    let flat = whorl::pipeline::flatten(program);
    whorl::pipeline::schedule(&flat, &source.map).expect("a schedule")
}

fn compiled(program: &LoopProgram, options: &Options) -> Module {
    whorl_cuda::compile(program, options, &[], &|_| None).expect("kernels")
}

const PPO: &str = "examples/cartpole_ppo.whorl";

/// Few steps of small networks.
const SMALL: &[(&str, &str)] = &[("seeds", "1"), ("ppo.total_steps", "1024")];

fn key() -> Vec<ArrayData> {
    vec![ArrayData::scalar(0u32), ArrayData::scalar(7u32)]
}

/// Runs everything with few checks, and gives the results and the counters of all kernels.
fn run(program: &LoopProgram, module: Module, checks: Checks) -> Result<(Vec<ArrayData>, Arc<Emulator>), RunError> {
    let device = Arc::new(Emulator::new(Emulator::hopper(), checks, Limits::default()));
    let executable = Executable::new(program.clone(), module, device.clone())?;
    let results = executable.run_to_end(&key(), &mut |_, _| ())?;
    Ok((results, device))
}

#[test]
fn ppo_trains_as_on_the_cpu() {
    let program = scheduled(PPO, SMALL);
    let executable = whorl_cpu::compile(&program, &whorl_cpu::Options::default()).expect("code");
    let expected = executable.run_to_end(&key(), 1).expect("it runs");
    let (got, device) =
        run(&program, compiled(&program, &Options::default()), Checks::ALL).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(expected, got, "the card's bits");
    for (name, counters) in device.take_counters() {
        eprintln!("{name}: {counters:?}");
    }
}

/// Every barrier of PPO's update that is left out shows.
#[test]
fn a_barrier_that_is_left_out_is_found() {
    let program = scheduled(PPO, SMALL);
    let count: usize = compiled(&program, &Options::default()).kernels.iter().map(|k| k.barriers).max().unwrap_or(0);
    let mut unseen = Vec::new();
    for number in (0..count).step_by(7) {
        let options = Options { without_barrier: Some(number), ..Options::default() };
        match run(&program, compiled(&program, &options), Checks::ALL) {
            Err(RunError::Device(e)) if e.finding().is_some() => {}
            Err(e) => panic!("barrier {number}: {e}"),
            Ok(_) => unseen.push(number),
        }
    }
    eprintln!("of every seventh of {count} barriers, those that do not show: {unseen:?}");
    assert!(unseen.len() * 4 <= count / 7, "{unseen:?} of {count} are not needed");
}

/// A `train scan` in chunks of any size, with all that is between in the slab.
#[test]
fn chunks_change_nothing() {
    let program = scheduled(PPO, SMALL);
    let module = compiled(&program, &Options::default());
    let (whole, _) = run(&program, module.clone(), Checks::FEW).unwrap_or_else(|e| panic!("{e}"));
    let device = Arc::new(Emulator::new(Emulator::hopper(), Checks::FEW, Limits::default()));
    let executable = Executable::new(program.clone(), module, device).expect("loaded");
    let inputs = key();
    let mut runs = executable.start(&[(0, &inputs)]).expect("a run");
    for (k, phase) in program.phases.iter().enumerate() {
        let n = if let Phase::Train { n, .. } = phase { *n } else { 1 };
        for step in 0..n {
            executable.run_phase(k, &mut runs, step, step + 1, &mut |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
        }
    }
    let outputs = executable.outputs(&runs, 0).expect("results");
    for (a, b) in whole.iter().zip(&outputs) {
        assert_eq!(a.bytes, b.bytes);
    }
}
