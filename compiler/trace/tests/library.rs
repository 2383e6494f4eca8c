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
