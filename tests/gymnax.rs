//! The classic control environments of the library along trajectories that gymnax recorded.

mod support;

use support::machines::on_cpu;
use support::recorded::Recorded;
use whorl_core::ir::ArrayData;
use whorl_trace::Tree;

/// An environment and what is recorded of it.
struct Case {
    /// gymnax's name.
    env: &'static str,
    /// The function of `classic_replay.whorl`.
    function: &'static str,
    /// Of the state: gymnax's names, in the function's order, and ours.
    fields: &'static [(&'static str, &'static str)],
    /// Whether actions are numbers of choices; else vectors of one number.
    discrete: bool,
    /// How far a whole trajectory may come to lie from the recorded one, where each step may be off by [`TOLERANCE`]:
    /// swinging systems carry a difference on.
    drift: f64,
}

/// How far one step may lie from the recorded one, of numbers of size 1 or less; of larger ones, in proportion.
const TOLERANCE: f64 = 1e-6;

#[test]
fn cartpole() {
    follows(&Case {
        env: "CartPole-v1",
        function: "follow_cartpole",
        fields: &[("x", "x"), ("x_dot", "x_dot"), ("theta", "theta"), ("theta_dot", "theta_dot")],
        discrete: true,
        drift: 1e-5,
    });
}

#[test]
fn pendulum() {
    follows(&Case {
        env: "Pendulum-v1",
        function: "follow_pendulum",
        fields: &[("theta", "theta"), ("theta_dot", "theta_dot"), ("last_u", "torque")],
        discrete: false,
        drift: 1e-4,
    });
}

#[test]
fn acrobot() {
    const FIELDS: &[(&str, &str)] = &[
        ("joint_angle1", "theta_1"),
        ("joint_angle2", "theta_2"),
        ("velocity_1", "theta_1_dot"),
        ("velocity_2", "theta_2_dot"),
    ];
    follows(&Case { env: "Acrobot-v1", function: "follow_acrobot", fields: FIELDS, discrete: true, drift: 1e-5 });
}

#[test]
fn mountain_car() {
    follows(&Case {
        env: "MountainCar-v0",
        function: "follow_mountain_car",
        fields: &[("position", "position"), ("velocity", "velocity")],
        discrete: true,
        drift: 1e-5,
    });
}

#[test]
fn mountain_car_continuous() {
    follows(&Case {
        env: "MountainCarContinuous-v0",
        function: "follow_mountain_car_continuous",
        fields: &[("position", "position"), ("velocity", "velocity")],
        discrete: false,
        drift: 1e-5,
    });
}

fn follows(case: &Case) {
    let Some(mut recorded) = Recorded::open("gymnax_classic") else { return };
    let source = support::load(&support::root().join("tests/replay/classic_replay.whorl"), &[]);
    let mut followed = 0;
    for (trajectory, steps) in trajectories(&recorded, case.env) {
        let mut array = |name: &str| recorded.array(&format!("{}/{trajectory}/{name}", case.env)).to_f64();
        let states: Vec<Vec<f64>> = case.fields.iter().map(|f| array(&format!("state/{}", f.0))).collect();
        let (time, actions) = (array("state/time"), array("action"));
        let (observations, rewards, dones) = (array("obs"), array("reward"), array("done"));

        let floats = |x: &[f64]| ArrayData::vector(&x.iter().map(|x| *x as f32).collect::<Vec<_>>());
        let ints = |x: &[f64]| ArrayData::vector(&x.iter().map(|x| *x as i32).collect::<Vec<_>>());
        let mut args: Vec<ArrayData> = states.iter().map(|s| floats(&s[..steps])).collect();
        args.push(ints(&time[..steps]));
        let mut actions = if case.discrete { ints(&actions) } else { floats(&actions) };
        if !case.discrete {
            actions.ty.shape.push(1);
        }
        args.push(actions);
        let trees: Vec<Tree> = args.iter().map(|a| Tree::Leaf(a.ty.clone())).collect();
        let traced = support::function(&source, case.function, &trees);
        let paths: Vec<String> = traced.results.iter().map(|l| l.path.clone()).collect();
        let results = on_cpu(traced.program, &args).unwrap_or_else(|e| panic!("{e}"));

        let width = observations.len() / (steps + 1);
        let mut furthest = Vec::new();
        for (way, tolerance) in [("each", TOLERANCE), ("follow", case.drift)] {
            let got = |path: &str| {
                let path = format!("{way}.{path}");
                let k =
                    paths.iter().position(|p| *p == path).unwrap_or_else(|| panic!("no result {path} in {paths:?}"));
                results[k].to_f64()
            };
            let mut far = 0.0;
            let mut near = |what: &str, ours: &[f64], theirs: &[f64]| {
                let off = furthest_of(ours, theirs);
                assert!(off <= tolerance, "{} {trajectory}, {way}: {what} is off by {off:e}", case.env);
                far = f64::max(far, off);
            };
            near("observation", &got("observation"), &observations[width..]);
            near("reward", &got("reward"), &rewards);
            for ((theirs, ours), recorded) in case.fields.iter().zip(&states) {
                near(theirs, &got(&format!("state.{ours}")), &recorded[1..]);
            }
            assert_eq!(got("state.time"), time[1..], "{} {trajectory}, {way}: time", case.env);
            assert_eq!(got("done"), dones, "{} {trajectory}, {way}: done", case.env);
            furthest.push(far);
        }
        println!("{}/{trajectory}: {steps} steps, each to {:.1e}, all to {:.1e}", case.env, furthest[0], furthest[1]);
        followed += 1;
    }
    assert!(followed > 0, "no trajectory of {} is recorded", case.env);
}

/// Number and steps of an environment's trajectories.
fn trajectories(recorded: &Recorded, env: &str) -> Vec<(u64, usize)> {
    let all = recorded.about["trajectories"].as_array().expect("a list of trajectories");
    let ours = all.iter().filter(|t| t["env"] == env);
    ours.map(|t| (t["traj"].as_u64().expect("its number"), t["steps"].as_u64().expect("its length") as usize)).collect()
}

/// The largest difference, of large numbers in proportion to them.
fn furthest_of(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "number of values");
    a.iter().zip(b).map(|(x, y)| (x - y).abs() / y.abs().max(1.0)).fold(0.0, f64::max)
}
