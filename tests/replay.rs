//! PureJaxRL's PPO from its recorded parameters and key: `replay/README.md` says how.

mod support;

use support::machines::on_cpu;
use support::recorded::Recorded;
use whorl::pipeline::Source;
use whorl_core::ir::{ArrayData, DType, Type};
use whorl_trace::{Leaf, Tree};

/// ‖difference‖ / ‖reference‖ of a parameter tensor.
const TOLERANCE: f64 = 1e-4;

/// Of the last observations: what a last bit of a force grows to in an episode of some hundred steps.
const OBSERVED: f64 = 1e-4;

const LAYERS: [(&str, &str); 6] = [
    ("Dense_0", "policy.first"),
    ("Dense_1", "policy.second"),
    ("Dense_2", "policy.output"),
    ("Dense_3", "value.first"),
    ("Dense_4", "value.second"),
    ("Dense_5", "value.output"),
];

fn script() -> Source {
    support::load(&support::root().join("tests/replay/ppo_replay.whorl"), &[("updates", "3")])
}

#[test]
fn the_start() {
    let Some(mut recorded) = Recorded::open("purejaxrl_ppo_cartpole") else { return };
    let source = script();
    for key in recorded.numbers("keys") {
        let traced = support::function(&source, "start", &[Tree::Key]);
        let results = on_cpu(traced.program, &[ArrayData::scalar(0u32), ArrayData::scalar(key as u32)])
            .unwrap_or_else(|e| panic!("{e}"));
        let results = Results { leaves: traced.results, arrays: results };
        let observations = recorded.array(&format!("k{key}/u0/obs")).to_f64();
        let far = results.of("observations").iter().zip(&observations).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(far <= 1e-7, "key {key}: the first observations are off by {far:e}");
        assert_eq!(
            results.key("run"),
            recorded.array(&format!("k{key}/u0/rng")).to_f64(),
            "key {key}: the key of the run"
        );
    }
}

#[test]
fn three_updates() {
    let Some(mut recorded) = Recorded::open("purejaxrl_ppo_cartpole") else { return };
    let source = script();
    for key in recorded.numbers("keys") {
        let results = replay(&source, &mut recorded, key);
        for update in 1..=3 {
            compare(&results, &mut recorded, key, update);
        }
        let last = recorded.array(&format!("k{key}/u3/rng")).to_f64();
        assert_eq!(results.key("run"), last, "key {key}: the key after the last update");
    }
}

/// Runs the replay from what is recorded for update 0.
fn replay(source: &Source, recorded: &mut Recorded, key: u64) -> Results {
    let net = recorded_net(recorded, key);
    let tree = net_tree(&net);
    let observations = recorded.array(&format!("k{key}/u0/obs"));
    let run = recorded.array(&format!("k{key}/u0/rng")).values::<u32>();
    let traced = support::function(source, "replay", &[tree, Tree::Leaf(Type::new(DType::F32, &[4, 4])), Tree::Key]);
    let argument = |leaf: &Leaf| match leaf.path.as_str() {
        "observations" => observations.clone(),
        "run.0" => ArrayData::scalar(run[0]),
        "run.1" => ArrayData::scalar(run[1]),
        path => {
            let (_, array) = net.iter().find(|(p, _)| format!("net.{p}") == path).unwrap_or_else(|| panic!("{path}"));
            array.clone()
        }
    };
    let args: Vec<ArrayData> = traced.params.iter().map(argument).collect();
    let arrays = on_cpu(traced.program, &args).unwrap_or_else(|e| panic!("{e}"));
    Results { leaves: traced.results, arrays }
}

/// What update `n` left, and what happened in it.
fn compare(results: &Results, recorded: &mut Recorded, key: u64, n: usize) {
    let mut worst: f64 = 0.0;
    for (theirs, ours) in LAYERS {
        for (part, field) in [("kernel", "weight"), ("bias", "bias")] {
            let reference = recorded.array(&format!("k{key}/u{n}/{theirs}/{part}")).to_f64();
            let got = results.row(&format!("records.net.{ours}.{field}"), n - 1);
            let far = relative(&got, &reference);
            assert!(far <= TOLERANCE, "key {key}, update {n}: {ours}.{field} is off by {far:e}");
            worst = worst.max(far);
        }
    }
    let observations = recorded.array(&format!("k{key}/u{n}/obs")).to_f64();
    let last = results.row("records.observations", n - 1);
    let far = last.iter().zip(&observations).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(far <= OBSERVED, "key {key}, update {n}: observations are off by {far:e}");
    let mut ended = 0.0;
    for name in ["returned_episode", "returned_episode_returns", "returned_episode_lengths"] {
        let reference = recorded.array(&format!("k{key}/u{n}/metrics/{name}"));
        let steps = reference.to_f64();
        // All updates so far are recorded, the last behind the others.
        let size = steps.len() / n;
        let reference = &steps[(n - 1) * size..];
        let got = results.row(&format!("records.{name}"), n - 1);
        assert_eq!(got, reference, "key {key}, update {n}: {name}");
        if name == "returned_episode" {
            ended = got.iter().sum();
        }
    }
    println!("key {key}, update {n}: parameters to {worst:.1e}, observations to {far:.1e}, {ended} episodes exactly");
}

fn recorded_net(recorded: &mut Recorded, key: u64) -> Vec<(String, ArrayData)> {
    let mut net = Vec::new();
    for (theirs, ours) in LAYERS {
        for (part, field) in [("kernel", "weight"), ("bias", "bias")] {
            net.push((format!("{ours}.{field}"), recorded.array(&format!("k{key}/u0/{theirs}/{part}"))));
        }
    }
    net
}

/// `{ policy: { first: { weight, bias }, … }, value: … }` of the types of these arrays, which are named by their paths.
fn net_tree(net: &[(String, ArrayData)]) -> Tree {
    /// What is left of its path, and the array.
    type Place<'a> = (Vec<&'a str>, &'a ArrayData);
    fn below(net: &[Place]) -> Tree {
        if let [(path, array)] = net
            && path.is_empty()
        {
            return Tree::Leaf(array.ty.clone());
        }
        let mut fields: Vec<(String, Vec<Place>)> = Vec::new();
        for (path, array) in net {
            let rest = (path[1..].to_vec(), *array);
            match fields.iter_mut().find(|(name, _)| name == path[0]) {
                Some((_, inside)) => inside.push(rest),
                None => fields.push((path[0].to_string(), vec![rest])),
            }
        }
        Tree::Record(fields.iter().map(|(name, inside)| (name.clone(), below(inside))).collect())
    }
    below(&net.iter().map(|(path, array)| (path.split('.').collect(), array)).collect::<Vec<_>>())
}

/// ‖a - b‖ / ‖b‖
fn relative(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "number of values");
    let difference: f64 = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum();
    let reference: f64 = b.iter().map(|y| y * y).sum();
    (difference / reference).sqrt()
}

/// Results by their paths.
struct Results {
    leaves: Vec<Leaf>,
    arrays: Vec<ArrayData>,
}

impl Results {
    #[track_caller]
    fn of(&self, path: &str) -> Vec<f64> {
        let Some(k) = self.leaves.iter().position(|l| l.path == path) else {
            panic!("no result {path} among {:?}", self.leaves.iter().map(|l| &l.path).collect::<Vec<_>>());
        };
        self.arrays[k].to_f64()
    }

    /// Row `k` along the first axis, flat.
    #[track_caller]
    fn row(&self, path: &str, k: usize) -> Vec<f64> {
        let all = self.of(path);
        let at = self.leaves.iter().position(|l| l.path == path).unwrap_or_default();
        let rows = self.arrays[at].ty.shape[0];
        let size = all.len() / rows;
        all[k * size..(k + 1) * size].to_vec()
    }

    /// The two words of a key.
    fn key(&self, path: &str) -> Vec<f64> {
        [self.of(&format!("{path}.0")), self.of(&format!("{path}.1"))].concat()
    }
}
