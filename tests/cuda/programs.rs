//! Small programs that use all of the standard library, and what they compute on the emulated card.

use whorl_core::ir::ArrayData;
use whorl_cpu::Options as CpuOptions;
use whorl_cuda::Options;
use whorl_device::Checks;
use whorl_schedule::loop_ir::LoopProgram;

use crate::{compiled, key, run, scheduled, support};

/// Two updates of a small PPO.
const SMALL_PPO: &[(&str, &str)] = &[
    ("seeds", "1"),
    ("ppo.total_steps", "64"),
    ("ppo.n_steps", "8"),
    ("ppo.hidden", "12"),
    ("ppo.epochs", "2"),
    ("ppo.minibatches", "2"),
];

/// By name, as small as they go.
pub fn all() -> Vec<(String, LoopProgram)> {
    let mut all = vec![("cartpole_ppo".to_string(), scheduled(crate::PPO, SMALL_PPO))];
    for path in support::scripts("tests/cuda/programs") {
        let name = path.file_stem().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        let settings: &[_] = if name == "learners" { &SMALL_PPO[1..] } else { &[] };
        all.push((name.clone(), scheduled(&format!("tests/cuda/programs/{name}.whorl"), settings)));
    }
    all
}

/// A team of many threads with all that fits in shared memory, and one of few with next to nothing.
pub fn ways() -> [Options; 2] {
    let of = |threads, shared| Options { threads, shared, ..Options::default() };
    [of(256, 160 * 1024), of(64, 1024)]
}

pub fn on_the_cpu(program: &LoopProgram) -> Vec<ArrayData> {
    let executable = whorl_cpu::compile(program, &CpuOptions::default()).expect("code");
    executable.run_to_end(&key(), 1).expect("it runs")
}

/// Every environment, learner, optimiser and layer; the examples' own sizes are `tests/programs.rs`'s.
#[test]
fn the_library_runs_as_on_the_cpu() {
    for (name, program) in all() {
        let expected = on_the_cpu(&program);
        for options in ways() {
            let (got, _) =
                run(&program, compiled(&program, &options), Checks::ALL).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(expected.len(), got.len());
            for (k, (e, g)) in expected.iter().zip(&got).enumerate() {
                assert!(e == g, "{name}: result {k} by {} threads: {g:?}, not {e:?}", options.threads);
            }
        }
    }
}

/// A module that none of them imports, nor one that they import, is not tested.
#[test]
fn all_of_the_library_is_in_them() {
    let read = |path| std::fs::read_to_string(path).expect("a script");
    let mut texts: Vec<String> = support::scripts("tests/cuda/programs").into_iter().map(read).collect();
    let mut left: Vec<(String, &str)> = whorl::standard_library::modules();
    loop {
        let imported = |(file, _): &(String, &str)| {
            let import = format!("import {}", file.trim_end_matches(".whorl").replace('/', "."));
            let lines = texts.iter().flat_map(|text| text.lines());
            lines.filter_map(|line| line.strip_prefix(&import)).any(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let (found, others): (Vec<_>, Vec<_>) = left.into_iter().partition(imported);
        left = others;
        if found.is_empty() {
            break;
        }
        texts.extend(found.into_iter().map(|(_, text)| text.to_string()));
    }
    let left: Vec<&String> = left.iter().map(|(file, _)| file).collect();
    assert!(left.is_empty(), "no program for {left:?}");
}
