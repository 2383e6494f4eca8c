//! Runs by groups of blocks, on the emulator: what waits for what, what goes through shared memory, and which schedule is chosen.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use whorl_cuda::{Card, Executable, Options, Schedule};
use whorl_device::emulator::counters::Counters;
use whorl_device::{Checks, Emulator, Limits, Properties};
use whorl_schedule::loop_ir::LoopProgram;

use crate::{PPO, by_two, compiled, key, run, scheduled, support};

/// Blocks that wait for each other have to be on the card together: runs that are too many come one after the other.
#[test]
fn runs_that_do_not_fit_together_wait() {
    let program = scheduled(PPO, &[("seeds", "3"), ("ppo.total_steps", "512")]);
    let executable = whorl_cpu::compile(&program, &whorl_cpu::Options::default()).expect("code");
    let expected = executable.run_to_end(&key(), 1).expect("it runs");
    let of = |threads_a_multiprocessor: u32| {
        let card = Properties { multiprocessors: 1, threads_a_multiprocessor, ..Emulator::hopper() };
        let device = Arc::new(Emulator::new(card, Checks::FEW, Limits::default()));
        let executable = Executable::new(program.clone(), compiled(&program, &by_two()), device).expect("loaded");
        executable.run_to_end(&key(), &mut |_, _| ())
    };
    for threads in [256, 512] {
        assert_eq!(expected, of(threads).unwrap_or_else(|e| panic!("{e}")), "the card's bits");
    }
    let said = of(128).expect_err("one block fits").to_string();
    assert!(said.contains("a run has 2 blocks that wait for each other, and 1 fit"), "{said}");
}

const FOLDS: &str = "
fn main(key: Key) {
  let x = uniform(key, [3, 4000])
  (any(x > 0.9999), all(x > 0.9999), sum(i32(x * 100.0)), max(i32(x * 1e6)), sum(x), argmax(flatten(x)))
}
";

/// Folds of whole numbers have many threads, those of others the order that they have on the CPU.
#[test]
fn long_folds_are_those_of_the_cpu() {
    as_on_the_cpu(FOLDS, 4, 0);
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

const H100: Card = Card {
    multiprocessors: 132,
    threads_a_multiprocessor: 2048,
    shared_a_block: 227 << 10,
    shared_a_multiprocessor: 228 << 10,
    cooperative: true,
};
const A100: Card = Card { multiprocessors: 108, shared_a_block: 163 << 10, shared_a_multiprocessor: 164 << 10, ..H100 };

/// PPO with much to do.
fn large() -> LoopProgram {
    scheduled(PPO, &[("seeds", "1"), ("ppo.n_envs", "2048"), ("ppo.hidden", "512")])
}

fn stepping() -> LoopProgram {
    scheduled("examples/cartpole_random.whorl", &[("envs", "1048576")])
}

/// The schedule follows from the program's shape and the card.
#[test]
fn schedules_are_chosen_by_shape() {
    let (small, large) = (scheduled(PPO, &[("seeds", "1")]), large());
    let (stepping, mandelbrot) = (stepping(), scheduled("examples/mandelbrot.whorl", &[]));
    let blocks = |program: &LoopProgram, runs: usize, card: &Card| {
        let schedule = Schedule::choose(program, runs, card);
        eprintln!("{runs} on {} multiprocessors: {schedule}", card.multiprocessors);
        assert_eq!(schedule, Schedule::choose(program, runs, card));
        schedule.blocks
    };
    for card in [&H100, &A100] {
        for runs in [1, 8, 2048] {
            assert_eq!(blocks(&small, runs, card), 1);
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

/// Where there is a `ptxas` (`WHORL_PTXAS`), it takes what is chosen for large programs, without many spills.
#[test]
fn ptxas_takes_what_is_chosen() {
    let Some(ptxas) = std::env::var_os("WHORL_PTXAS").map(PathBuf::from) else {
        eprintln!("skipped: WHORL_PTXAS names no ptxas");
        return;
    };
    let folder = std::env::temp_dir().join(format!("whorl-ptxas-wide-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (program, card, architecture) in [(large(), H100, 90), (large(), A100, 80), (stepping(), H100, 90)] {
        let schedule = Schedule::choose(&program, 1, &card);
        let path = folder.join("kernels.ptx");
        std::fs::write(&path, compiled(&program, &schedule.options(architecture)).ptx).expect("written");
        let mut command = Command::new(&ptxas);
        command.arg("-v").arg(format!("-arch=sm_{architecture}")).arg(&path).arg("-o").arg(folder.join("out"));
        let output = command.output().expect("ptxas runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        eprintln!("sm_{architecture}, {schedule}\n{said}");
        for line in said.lines().filter(|line| line.contains("bytes spill stores")) {
            let before = line.split(" bytes spill stores").next().unwrap_or_default();
            let spilled: usize = before.rsplit(", ").next().unwrap_or_default().parse().expect("a number");
            assert!(spilled <= 64, "{line}");
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}
