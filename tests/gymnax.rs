//! `std.env.cartpole` along trajectories that gymnax recorded.

mod support;

use support::machines::on_cpu;
use support::recorded::Recorded;
use whorl_core::ir::{ArrayData, DType, Type};
use whorl_trace::Tree;

/// How far observations may lie from the recorded ones.
const TOLERANCE: f64 = 1e-5;

#[test]
fn cartpole() {
    let Some(mut recorded) = Recorded::open("gymnax_classic") else { return };
    let source = support::load(&support::root().join("tests/replay/cartpole_replay.whorl"), &[]);
    let mut followed = 0;
    for (trajectory, steps) in trajectories(&recorded, "CartPole-v1") {
        let mut array = |name: &str| recorded.array(&format!("CartPole-v1/{trajectory}/{name}"));
        let state = ["x", "x_dot", "theta", "theta_dot"].map(|field| array(&format!("state/{field}")));
        let actions = array("action");
        let scalar = Tree::Leaf(Type::scalar(DType::F32));
        let trees =
            [scalar.clone(), scalar.clone(), scalar.clone(), scalar, Tree::Leaf(Type::new(DType::I32, &[steps]))];
        let traced = support::function(&source, "follow", &trees);
        let mut args: Vec<ArrayData> = state.iter().map(|s| ArrayData::scalar(s.to_f64()[0] as f32)).collect();
        args.push(ArrayData::vector(&actions.to_f64().iter().map(|a| *a as i32).collect::<Vec<_>>()));

        let paths: Vec<String> = traced.results.iter().map(|l| l.path.clone()).collect();
        let results = on_cpu(traced.program, &args).unwrap_or_else(|e| panic!("{e}"));
        let got = |path: &str| {
            let k = paths.iter().position(|p| p == path).unwrap_or_else(|| panic!("no result {path} in {paths:?}"));
            results[k].to_f64()
        };
        let observations = got("observation");
        let far = furthest(&observations, &array("obs").to_f64()[4..]);
        assert!(far <= TOLERANCE, "trajectory {trajectory}: observations are off by {far:e}");
        for (k, field) in state.iter().enumerate() {
            let column: Vec<f64> = observations.iter().skip(k).step_by(4).copied().collect();
            let far = furthest(&column, &field.to_f64()[1..]);
            assert!(far <= TOLERANCE, "trajectory {trajectory}: field {k} of the state is off by {far:e}");
        }
        assert_eq!(got("time"), array("state/time").to_f64()[1..], "trajectory {trajectory}: time");
        assert_eq!(got("reward"), array("reward").to_f64(), "trajectory {trajectory}: reward");
        assert_eq!(got("done"), array("done").to_f64(), "trajectory {trajectory}: done");
        println!("CartPole-v1/{trajectory}: {steps} steps, observations to {far:.1e}");
        followed += 1;
    }
    assert!(followed > 0, "no trajectory of CartPole-v1 is recorded");
}

/// Number and steps of an environment's trajectories.
fn trajectories(recorded: &Recorded, env: &str) -> Vec<(u64, usize)> {
    let all = recorded.about["trajectories"].as_array().expect("a list of trajectories");
    let ours = all.iter().filter(|t| t["env"] == env);
    ours.map(|t| (t["traj"].as_u64().expect("its number"), t["steps"].as_u64().expect("its length") as usize)).collect()
}

fn furthest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "number of values");
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}
