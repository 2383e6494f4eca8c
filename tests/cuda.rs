//! Kernels for NVIDIA cards, on the emulator: whole training loops, barriers that are needed, and what `ptxas` says.

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use whorl_core::ir::ArrayData;
use whorl_cuda::{Card, Executable, Module, Options, RunError, Schedule};
use whorl_device::emulator::counters::Counters;
use whorl_device::{Checks, Emulator, Limits, Properties};
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

/// A run by two blocks.
fn wide() -> Options {
    Options { threads: 128, blocks: 2, ..Options::default() }
}

#[test]
fn ppo_trains_as_on_the_cpu() {
    let program = scheduled(PPO, SMALL);
    let executable = whorl_cpu::compile(&program, &whorl_cpu::Options::default()).expect("code");
    let expected = executable.run_to_end(&key(), 1).expect("it runs");
    for options in [Options::default(), wide()] {
        let (got, device) = run(&program, compiled(&program, &options), Checks::ALL).unwrap_or_else(|e| panic!("{e}"));
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
    for options in [Options::default(), wide()] {
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

/// Where there is a `ptxas` (`WHORL_PTXAS`), it takes the kernels of all examples, without spills in PPO's.
#[test]
fn ptxas_takes_the_examples() {
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
        let program = whorl::pipeline::schedule(&whorl::pipeline::flatten(program), &source.map).expect("a schedule");
        for (architecture, options) in [80, 90].into_iter().flat_map(|a| [(a, Options::default()), (a, wide())]) {
            let module = compiled(&program, &Options { architecture, ..options });
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

/// Blocks that wait for each other have to be on the card together: runs that are too many come one after the other.
#[test]
fn runs_that_do_not_fit_together_wait() {
    let program = scheduled(PPO, &[("seeds", "3"), ("ppo.total_steps", "512")]);
    let executable = whorl_cpu::compile(&program, &whorl_cpu::Options::default()).expect("code");
    let expected = executable.run_to_end(&key(), 1).expect("it runs");
    let of = |threads_a_multiprocessor: u32| {
        let card = Properties { multiprocessors: 1, threads_a_multiprocessor, ..Emulator::hopper() };
        let device = Arc::new(Emulator::new(card, Checks::FEW, Limits::default()));
        let executable = Executable::new(program.clone(), compiled(&program, &wide()), device).expect("loaded");
        executable.run_to_end(&key(), &mut |_, _| ())
    };
    for threads in [256, 512] {
        assert_eq!(expected, of(threads).unwrap_or_else(|e| panic!("{e}")), "the card's bits");
    }
    let said = of(128).expect_err("one block fits").to_string();
    assert!(said.contains("a run has 2 blocks that wait for each other, and 1 fit"), "{said}");
}

const PRODUCTS: &str = "
fn main(key: Key) {
  let (k_a, k_b) = split(key)
  let a = normal(k_a, [256, 192])
  let b = normal(k_b, [192, 128])
  let c = tanh(a @ b)
  (c, transpose(a) @ c, c @ transpose(b))
}
";

/// What so many blocks do, with the CPU's results.
fn as_on_the_cpu(text: &str, blocks: usize, shared: usize) -> Counters {
    let source = support::load_text("script.whorl", text, &[]);
    let program = whorl::pipeline::flatten(source.script.trace_main().expect("a program").program);
    let program = whorl::pipeline::schedule(&program, &source.map).expect("a schedule");
    let executable = whorl_cpu::compile(&program, &whorl_cpu::Options::default()).expect("code");
    let expected = executable.run_to_end(&key(), 1).expect("it runs");
    let module = compiled(&program, &Options { blocks, shared, ..Options::default() });
    let (got, device) = run(&program, module, Checks::ALL).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(expected, got, "the card's bits");
    let counters = device.take_counters().swap_remove(0).1;
    eprintln!("{blocks} blocks with {shared} bytes: {counters:?}");
    counters
}

/// A long sort by a group waits for all of it only where numbers go from block to block.
#[test]
fn long_sorts_stay_within_blocks() {
    let counters = as_on_the_cpu("fn main(key: Key) = sort(uniform(key, [32768]))", 8, 0);
    // Of 120 steps of the network. Each block adds to the counter once a barrier.
    assert!(counters.atomics / 8 < 60, "{} barriers of the group", counters.atomics / 8);
}

/// A group of blocks reads the numbers of large products from global memory once a tile.
#[test]
fn large_products_go_through_shared_memory() {
    let loaded = [0, 48 << 10].map(|shared| as_on_the_cpu(PRODUCTS, 4, shared).global_loaded);
    assert!(loaded[1] * 8 < loaded[0], "{loaded:?} bytes");
}

/// The schedule follows from the program's shape and the card.
#[test]
fn schedules_are_chosen_by_shape() {
    let h100 = Card {
        multiprocessors: 132,
        threads_a_multiprocessor: 2048,
        shared_a_block: 227 << 10,
        shared_a_multiprocessor: 228 << 10,
        cooperative: true,
    };
    let a100 = Card { multiprocessors: 108, shared_a_block: 163 << 10, shared_a_multiprocessor: 164 << 10, ..h100 };
    let ppo = |settings: &[(&str, &str)]| scheduled(PPO, settings);
    let (one, large) = (ppo(&[("seeds", "1")]), ppo(&[("seeds", "1"), ("ppo.n_envs", "2048"), ("ppo.hidden", "512")]));
    let stepping = scheduled("examples/cartpole_random.whorl", &[("envs", "1048576")]);
    let mandelbrot = scheduled("examples/mandelbrot.whorl", &[]);
    let blocks = |program: &LoopProgram, runs: usize, card: &Card| {
        let schedule = Schedule::choose(program, runs, card);
        eprintln!("{runs} on {} multiprocessors: {schedule}", card.multiprocessors);
        assert_eq!(schedule, Schedule::choose(program, runs, card));
        schedule.blocks
    };
    for card in [&h100, &a100] {
        for runs in [1, 8, 2048] {
            assert_eq!(blocks(&one, runs, card), 1);
        }
        assert!(blocks(&large, 1, card) >= 64);
        assert!(blocks(&large, 8, card) >= 8);
        assert_eq!(blocks(&large, 2048, card), 1);
        // Folds of numbers have an order, and so few threads.
        assert!(blocks(&stepping, 1, card) >= 8);
        assert!(blocks(&mandelbrot, 1, card) >= 64);
        assert_eq!(blocks(&large, 1, &Card { cooperative: false, ..*card }), 1);
    }
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
