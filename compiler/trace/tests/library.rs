//! The library's own tests under the interpreter, and the shipped examples.

mod common;

fn module(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).expect("a file of the repository")
}

#[track_caller]
fn passes(path: &str) {
    let failures = common::run_tests(&module(path));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn nn() {
    passes("stdlib/nn.whorl");
}

#[test]
fn attention() {
    passes("stdlib/nn/attention.whorl");
}

#[test]
fn recurrent() {
    passes("stdlib/nn/recurrent.whorl");
}

#[test]
fn optim() {
    passes("stdlib/optim.whorl");
}

#[test]
fn dist() {
    passes("stdlib/dist.whorl");
}

#[test]
fn env() {
    passes("stdlib/env.whorl");
}

#[test]
fn cartpole() {
    passes("stdlib/env/cartpole.whorl");
}

#[test]
fn classic_control() {
    for name in ["pendulum", "acrobot", "mountain_car", "mountain_car_continuous"] {
        passes(&format!("stdlib/env/{name}.whorl"));
    }
}

#[test]
fn rl() {
    passes("stdlib/rl.whorl");
}

#[test]
fn ppo() {
    passes("stdlib/rl/ppo.whorl");
}

#[test]
fn examples_trace() {
    for path in ["examples/cartpole_ppo.whorl", "examples/cartpole_random.whorl", "examples/linear_regression.whorl"] {
        common::check(&common::trace(&module(path)));
    }
}

#[test]
fn a_small_ppo_run() {
    let small =
        [("seeds", "2"), ("ppo.total_steps", "64"), ("ppo.n_envs", "2"), ("ppo.n_steps", "16"), ("ppo.hidden", "8")];
    let script =
        common::load_with(&[], &module("examples/cartpole_ppo.whorl"), &small).unwrap_or_else(|e| panic!("{e}"));
    let traced = common::shown(&script, script.trace_main()).unwrap_or_else(|e| panic!("{e}"));
    common::check(&traced);
    assert_eq!(traced.params.iter().map(|l| l.path.as_str()).collect::<Vec<_>>(), ["key.0", "key.1"]);
    let key = [whorl_core::ArrayData::scalar(0u32), whorl_core::ArrayData::scalar(0u32)];
    let outcome = whorl_core::interp::run(&traced.program, &key).unwrap_or_else(|e| panic!("{e}"));
    let losses: Vec<f64> = outcome.logs.iter().filter(|l| &*l.name == "loss").flat_map(|l| l.recorded()).collect();
    assert_eq!(losses.len(), 4, "two runs of two updates");
    assert!(losses.iter().all(|x| x.is_finite()), "{losses:?}");
    let weights = traced.results.iter().zip(&outcome.results).find(|(l, _)| l.path == "net.policy.first.weight");
    let (leaf, value) = weights.expect("the trained network");
    assert_eq!(leaf.ty.shape.as_slice(), [2, 4, 8]);
    assert!(value.to_f64().iter().all(|x| x.is_finite()));
}

#[test]
fn linalg() {
    passes("stdlib/linalg.whorl");
}
