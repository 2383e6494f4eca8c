//! Kernels for NVIDIA cards, on the emulator: whole training loops, all of the library, barriers that are needed, and what `ptxas` says.

mod support;

#[path = "cuda/barriers.rs"]
mod barriers;
#[path = "cuda/fast.rs"]
mod fast;
#[path = "cuda/figures.rs"]
mod figures;
#[path = "cuda/programs.rs"]
mod programs;
#[path = "cuda/wide.rs"]
mod wide;

use std::path::PathBuf;
use std::process::Command;
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
    let flat = whorl::pipeline::flatten_for_cards(program);
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

/// A run by two blocks.
fn by_two() -> Options {
    Options { threads: 128, blocks: 2, ..Options::default() }
}

#[test]
fn ppo_trains_as_on_the_cpu() {
    as_on_the_cpu(SMALL, &[Options::default(), by_two()]);
}

/// Environments enough for lanes that are parted, folds that are split from steps, and tiles in shared memory.
#[test]
fn many_environments_step_as_on_the_cpu() {
    let settings = [SMALL, &[("ppo.n_envs", "128"), ("ppo.n_steps", "4")]].concat();
    as_on_the_cpu(&settings, &[Options::default(), Options { threads: 64, blocks: 3, ..Options::default() }]);
}

fn as_on_the_cpu(settings: &[(&str, &str)], all: &[Options]) {
    let program = scheduled(PPO, settings);
    let executable = whorl_cpu::compile(&program, &whorl_cpu::Options::default()).expect("code");
    let expected = executable.run_to_end(&key(), 1).expect("it runs");
    for options in all {
        let (got, device) = run(&program, compiled(&program, options), Checks::ALL).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(expected, got, "the card's bits");
        for (name, counters) in device.take_counters() {
            eprintln!("{} blocks, {name}: {counters:?}", options.blocks);
        }
    }
}

/// Every barrier of PPO's update that is left out shows.
#[test]
fn a_barrier_that_is_left_out_is_found() {
    let program = scheduled(PPO, SMALL);
    for options in [Options::default(), by_two()] {
        left_out(&program, &options);
    }
}

fn left_out(program: &LoopProgram, options: &Options) {
    let count: usize = compiled(program, options).kernels.iter().map(|k| k.barriers).max().unwrap_or(0);
    let mut unseen = Vec::new();
    for number in (0..count).step_by(7) {
        let options = Options { without_barrier: Some(number), ..options.clone() };
        match run(program, compiled(program, &options), Checks::ALL) {
            Err(RunError::Device(e)) if e.finding().is_some() => {}
            Err(e) => panic!("barrier {number}: {e}"),
            Ok(_) => unseen.push(number),
        }
    }
    eprintln!("{} blocks: of every seventh of {count} barriers, those that do not show: {unseen:?}", options.blocks);
    assert!(unseen.len() * 4 <= count / 7, "{unseen:?} of {count} are not needed");
}

/// Where there is a `ptxas` (`WHORL_PTXAS`), it takes the kernels of all examples by groups of blocks; `figures` has those of single blocks.
#[test]
fn ptxas_takes_the_examples_by_groups() {
    let Some(ptxas) = std::env::var_os("WHORL_PTXAS") else {
        eprintln!("skipped: WHORL_PTXAS names no ptxas");
        return;
    };
    let folder = std::env::temp_dir().join(format!("whorl-ptxas-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let scripts: Vec<PathBuf> = support::scripts("examples");
    for script in scripts {
        let source = support::load(&script, &[]);
        let traced = source.script.trace_main().expect("a program").program;
        let (program, _) = whorl::pipeline::cut(traced);
        let program =
            whorl::pipeline::schedule(&whorl::pipeline::flatten_for_cards(program), &source.map).expect("a schedule");
        for architecture in [80, 90] {
            let module = compiled(&program, &Options { architecture, ..by_two() });
            let path = folder.join("kernels.ptx");
            std::fs::write(&path, &module.ptx).expect("written");
            let mut command = Command::new(&ptxas);
            command.arg("-v").arg(format!("-arch=sm_{architecture}")).arg(&path).arg("-o").arg(folder.join("out"));
            let output = command.output().expect("ptxas runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", script.display());
            eprintln!("{} sm_{architecture}\n{said}", script.display());
        }
    }
    let _ = std::fs::remove_dir_all(folder);
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
