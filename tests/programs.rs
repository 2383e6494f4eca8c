//! Every test, property and example of the standard library, of `tests/programs` and of the examples on the three machines, and what the
//! `main`s of the programs and examples compute and log.

mod support;

use support::machines::{Outcome, agree, exposed, flatten, same_bits};
use whorl::pipeline::{self, Source};
use whorl::property;
use whorl::test::Trials;
use whorl_core::ir::ArrayData;
use whorl_source::Diagnostic;
use whorl_trace::{TestKind, Traced};

#[test]
fn standard_library() {
    let failures = whorl::standard_library::modules().into_iter().flat_map(|(name, text)| {
        let source = support::load_text(&name, text, &[]);
        blocks(&name, &source)
    });
    report(failures.collect());
}

#[test]
fn programs() {
    let mut failures = Vec::new();
    for path in support::scripts("tests/programs") {
        let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        match support::try_load(&path, &[]) {
            Ok(source) => {
                failures.extend(blocks(&name, &source));
                failures.extend(main(&name, &source));
            }
            Err(e) => failures.push(format!("{name}: {e}")),
        }
    }
    report(failures);
}

#[test]
fn examples() {
    // As small as they go: the interpreter runs them too.
    let small: [(&str, &[(&str, &str)]); 14] = [
        ("cartpole_ppo", &[("seeds", "2"), ("ppo.total_steps", "128"), ("ppo.n_steps", "16"), ("ppo.hidden", "8")]),
        ("cartpole_random", &[("envs", "10"), ("steps", "40")]),
        ("digits_mlp", &[("side", "8"), ("width", "8"), ("batch", "4"), ("steps", "3"), ("tests", "200")]),
        ("es_cartpole", &[("pairs", "3"), ("generations", "2"), ("hidden", "4"), ("tests", "2")]),
        ("gaussian_process", &[("points", "6"), ("steps", "5"), ("grid", "5")]),
        ("grid_world", &[("sweeps", "3"), ("rounds", "2"), ("steps", "30")]),
        ("kalman", &[("steps", "5")]),
        ("linear_regression", &[("steps", "10")]),
        ("lstm", &[("length", "6"), ("units", "4"), ("batch", "3"), ("steps", "3"), ("tests", "5")]),
        ("maml_sinusoid", &[("waves", "2"), ("steps", "2"), ("width", "4"), ("tests", "3")]),
        ("mandelbrot", &[("frames", "2"), ("height", "8"), ("width", "10"), ("steps", "30")]),
        ("n_body", &[("steps", "40")]),
        ("regret_matching", &[("rounds", "50")]),
        ("transformer_reverse", &[("width", "8"), ("length", "3"), ("batch", "2"), ("steps", "2"), ("tests", "3")]),
    ];
    let mut failures = Vec::new();
    for path in support::scripts("examples") {
        let name = path.file_stem().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        failures.extend(blocks(&name, &support::load(&path, &[])));
        let settings = small.iter().find(|(n, _)| *n == name);
        let (_, settings) = settings.unwrap_or_else(|| panic!("say how small {name} can be made"));
        failures.extend(main(&name, &support::load(&path, settings)));
    }
    report(failures);
}

#[track_caller]
fn report(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} failed\n{}", failures.len(), failures.join("\n"));
}

/// Every test of a script; what fails, by name.
fn blocks(file: &str, source: &Source) -> Vec<String> {
    let mut failures = Vec::new();
    let only = std::env::var("WHORL_TEST").ok();
    for (k, case) in source.script.tests().iter().enumerate() {
        let name = format!("{file}: {}", case.name);
        if only.as_ref().is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        match run_case(source, k, &case.kind) {
            Ok(()) => println!("ok      {name}"),
            Err(e) => {
                println!("FAILED  {name}\n{e}");
                failures.push(format!("{name}: {e}"));
            }
        }
    }
    failures
}

/// Cases of a property: the interpreter runs them too.
const CASES: usize = 24;

/// A test, a property or an example of a script on all machines.
fn run_case(source: &Source, k: usize, kind: &TestKind) -> Result<(), String> {
    let render = |d: Vec<Diagnostic>| pipeline::render(&d, &source.map);
    match kind {
        TestKind::Test => run_block(&source.script.trace_test(k).map_err(render)?, &[]).map(|_| ()),
        TestKind::Example => {
            let traced = source.script.trace_test(k).map_err(render)?;
            let results = run_block(&traced, &[])?.results;
            let wrong = whorl::test::false_claims(&traced.claims, &results);
            if wrong.is_empty() { Ok(()) } else { Err(render(wrong)) }
        }
        TestKind::Fails(_) => {
            if let Ok(traced) = source.script.trace_test(k)
                && agree(&traced.program, &[])?.is_ok()
            {
                return Err("passes, and should fail".to_string());
            }
            whorl::test::check(source, k, Trials::default()).map_err(render)
        }
        TestKind::Prop => {
            for batch in property::batches(source, k, Trials { cases: CASES, seed: 0 }).map_err(render)? {
                for (input, _) in batch.inputs() {
                    run_block(&batch.traced, &input)?;
                }
            }
            whorl::test::check(source, k, Trials::default()).map_err(render)
        }
    }
}

/// The asserts hold on all machines, as does all else that the block computes.
fn run_block(traced: &Traced, args: &[ArrayData]) -> Result<Outcome, String> {
    let outcome = agree(&traced.program, args)??;
    let all = exposed(&flatten(traced.program.clone())?);
    same_bits(&all, args).map_err(|e| format!("with all values kept: {e}"))??;
    Ok(outcome)
}

/// The results and logs of `main`, if the script has one.
fn main(file: &str, source: &Source) -> Option<String> {
    let name = format!("{file}: main");
    let traced = match source.script.trace_main() {
        Ok(traced) => traced,
        Err(d) if d.iter().any(|d| d.code == "E0409") => return None,
        Err(d) => return Some(format!("{name}: {}", pipeline::render(&d, &source.map))),
    };
    let seed = |leaf: &whorl_trace::Leaf| ArrayData::scalar(u32::from(leaf.path == "key.1"));
    let args: Vec<ArrayData> = traced.params.iter().map(seed).collect();
    match agree(&traced.program, &args) {
        Ok(Ok(_)) => {
            println!("ok      {name}");
            None
        }
        Ok(Err(e)) | Err(e) => Some(format!("{name}: {e}")),
    }
}
