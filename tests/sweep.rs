//! Sweeps: a point of a sweep is the same, to the bit, as a run with that value set, and everything of it is told by its point.

mod support;

use serde_json::Value;
use support::tool::Folder;
use whorl_host::checkpoint::{self, Checkpoint};
use whorl_host::engine::StateArray;

/// Of the learner's loop.
const STEPS: usize = 12;

const LEARNER: &str = r#"
param lr:     f32  = 0.1   in (0, 1) "step size"
param double: f32  = 2 * lr
param steep:  bool = false
param turns:  i32  = 3     in [1, 9]
param wide:   f64  = 0.5
param seeded: u32  = 7
size  runs   = 2
size  width  = 3 in [1, 64]
size  steps  = 12

fn loss(w) = if steep { sum(w * w * w * w) } else { sum(w * w) }

fn main(key: Key) {
  let all = for k in split(key, runs) {
    let (k1, k2) = split(k)
    let noise = normal(k2, steps)
    train scan w = 0.5 * normal(k1, width) for t in 0..steps {
      let g = grad(loss)(w)
      let w = w - lr * g + 0.01 * noise[t] * f32(wide)
      log("loss", loss(w))
      if t % turns == 0 { log("rare", sum(w) / double) }
      scan w for i in 0..2 { w * (1.0 - 0.1 * lr) + 0.0 * f32(bit_xor(seeded, u32(i))) }
    }
  }
  save("weights.npz", { all, middle: mean(all, axis: 0) })
  { all, spread: max(all) - min(all), lr }
}
"#;

/// The state of every run at the end.
fn states(folder: &Folder, out: &str) -> Vec<Vec<StateArray>> {
    let Ok(Checkpoint { states, .. }) = checkpoint::read(&folder.0.join(out).join(checkpoint::FILE)) else {
        panic!("no checkpoint in {out}")
    };
    states
}

/// The records of some of the runs.
fn records(folder: &Folder, out: &str, runs: std::ops::Range<usize>) -> Vec<(u64, String, Vec<Value>)> {
    let record = |line: &str| {
        let r: Value = serde_json::from_str(line).expect("JSON");
        let values = r["values"].as_array().expect("values")[runs.clone()].to_vec();
        (r["step"].as_u64().expect("a step"), r["name"].as_str().expect("a name").to_string(), values)
    };
    // Where none of these runs logged, a run by itself has no record.
    let all = folder.text(&format!("{out}/metrics.jsonl")).lines().map(record).collect::<Vec<_>>();
    all.into_iter().filter(|r| r.2.iter().any(|v| !v.is_null())).collect()
}

/// What the loop carries of arrays. (Numbers that are constants here are inputs there; and of what the loop only reads, another
/// intermediate result may be kept.)
fn carried(state: &[StateArray]) -> Vec<&StateArray> {
    state.iter().filter(|a| !a.shape.is_empty() && a.shape[0] != STEPS).collect()
}

/// Sweeps, and runs every point by itself; states and records must be the same. `points` are the settings of each.
fn check(folder: &Folder, rest: &str, sweep: &[&str], points: &[&str], runs: usize) {
    let swept: String = sweep.iter().map(|s| format!(" --sweep {s}")).collect();
    folder.whorl(&format!("run script.whorl {rest}{swept} --out swept --quiet --threads 2")).good();
    let all = states(folder, "swept");
    assert_eq!(all.len(), points.len() * runs);
    for (k, settings) in points.iter().enumerate() {
        let set: String = settings.split_whitespace().map(|s| format!(" --set {s}")).collect();
        let out = format!("single{k}");
        folder.whorl(&format!("run script.whorl {rest}{set} --out {out} --quiet --threads 1")).good();
        for (run, state) in states(folder, &out).iter().enumerate() {
            let (together, alone) = (carried(&all[k * runs + run]), carried(state));
            assert!(!alone.is_empty() && together == alone, "the state of run {run} at {settings} differs");
        }
        let (together, alone) = (records(folder, "swept", k * runs..(k + 1) * runs), records(folder, &out, 0..runs));
        assert!(!alone.is_empty());
        assert_eq!(together, alone, "records at {settings}");
    }
}

#[test]
fn a_point_is_a_run_with_its_value_set() {
    let folder = Folder::with("sweep-points", LEARNER);
    check(&folder, "--seed 3", &["lr=0.05,0.3"], &["lr=0.05", "lr=0.3"], 2);
    for (k, value) in ["0.05", "0.3"].iter().enumerate() {
        let (a, b) =
            (folder.read(&format!("swept/lr={value}/weights.npz")), folder.read(&format!("single{k}/weights.npz")));
        assert!(a == b, "what is saved at lr={value}");
    }
}

#[test]
fn every_type_is_an_input() {
    let folder = Folder::with("sweep-types", LEARNER);
    let sweep = ["steep=true,false", "turns=2..4", "wide=0.25,-1.5", "seeded=1,4000000000"];
    let mut points = Vec::new();
    for steep in ["true", "false"] {
        for turns in ["2", "3"] {
            for wide in ["0.25", "-1.5"] {
                for seeded in ["1", "4000000000"] {
                    points.push(format!("steep={steep} turns={turns} wide={wide} seeded={seeded}"));
                }
            }
        }
    }
    let points: Vec<&str> = points.iter().map(String::as_str).collect();
    check(&folder, "--runs 3", &sweep, &points, 3);
}

#[test]
fn an_agent_at_each_point_is_the_agent_by_itself() {
    let folder = Folder::new("sweep-agent");
    std::fs::copy(support::root().join("examples/cartpole_ppo.whorl"), folder.0.join("script.whorl")).expect("a copy");
    let sweep = ["ppo.lr=1e-4,3e-3", "ppo.anneal=true,false", "ppo.clip=0.2,0.05"];
    let mut points = Vec::new();
    for lr in ["1e-4", "3e-3"] {
        for anneal in ["true", "false"] {
            for clip in ["0.2", "0.05"] {
                points.push(format!("ppo.lr={lr} ppo.anneal={anneal} ppo.clip={clip}"));
            }
        }
    }
    let points: Vec<&str> = points.iter().map(String::as_str).collect();
    let rest = "--seeds 2 --set ppo.total_steps=3072 --set ppo.hidden=16 --seed 5";
    check(&folder, rest, &sweep, &points, 2);
}

/// Without a loop that the host paces, without runs, and without any loop.
#[test]
fn calculations_have_an_axis_of_points() {
    let folder = Folder::with(
        "sweep-plain",
        "param p: f32 = 2.0\nparam k: i32 = 1\nfn main(key: Key) {\n  let x = uniform(key, 5, low: p, high: p + 1.0)\n  { sum: sum(x * x) * p, both: f32(k) * p, loop: scan s = p for i in 0..4 { sin(s) * f32(i) } }\n}\n",
    );
    let said = folder.whorl("run script.whorl --sweep p=-1,0,2.5 --sweep k=1,7 --out out").good();
    let values = |out: &str, name: &str| -> Vec<f64> {
        let line = out.lines().find_map(|l| l.strip_prefix(&format!("{name} = "))).unwrap_or_else(|| panic!("{out}"));
        line.trim_matches(['[', ']']).split(',').map(|x| x.trim().parse().expect("a number")).collect()
    };
    assert_eq!(values(&said.out, "both"), [-1.0, -7.0, 0.0, 0.0, 2.5, 17.5]);
    for (k, p) in ["-1", "-1", "0", "0", "2.5", "2.5"].iter().enumerate() {
        let single = folder.whorl(&format!("run script.whorl --set p={p} --out s{k}")).good();
        for name in ["sum", "loop"] {
            assert_eq!(values(&said.out, name)[k], values(&single.out, name)[0], "{name} at {p}");
        }
    }
    let table = &said.err;
    assert!(
        table.contains("p   k") && table.contains("17.50"),
        "nothing is logged: the table has the results\n{table}"
    );
}

#[test]
fn sizes_are_programs_of_their_own() {
    let folder = Folder::with("sweep-sizes", LEARNER);
    let said =
        folder.whorl("run script.whorl --sweep width=2,5 --sweep lr=log(0.01,0.4,3) --sweep steps=5 --out out").good();
    for (k, name) in ["out/width=2", "out/width=5"].iter().enumerate() {
        let inside: Value = serde_json::from_slice(&folder.read(&format!("{name}/summary.json"))).expect("JSON");
        assert_eq!((&inside["status"], &inside["runs"]), (&"finished".into(), &6.into()));
        let single = format!("run script.whorl --width {} --lr 0.01 --steps 5 --out s{k} --quiet", [2, 5][k]);
        folder.whorl(&single).good();
        assert_eq!(records(&folder, name, 0..2), records(&folder, &format!("s{k}"), 0..2));
        folder.whorl(&format!("repeat {name} --quiet")).good();
    }
    let summary: Value = serde_json::from_slice(&folder.read("out/summary.json")).expect("JSON");
    let points = summary["sweep"]["points"].as_array().expect("points");
    assert_eq!(points.len(), 6);
    assert_eq!(points[4]["at"], serde_json::json!({ "width": "5", "lr": "0.0632456", "steps": "5" }));
    assert!(points[4]["final"]["loss"]["mean"].is_number());
    let table = said.err.lines().rev().take_while(|l| !l.is_empty()).collect::<Vec<_>>();
    assert_eq!(table.iter().filter(|l| l.contains('±')).count(), 6, "{}", said.err);
    assert!(folder.text("out/sweep.svg").contains("width=5") || folder.text("out/sweep.svg").contains("lr="));
    assert!(folder.read("out/sweep.png").starts_with(b"\x89PNG"));
    folder.whorl("repeat out").bad(1, &["a run for each of its programs"]);
    // A part that is missing is run again, the others stay.
    let before = folder.read("out/width=2/summary.json");
    std::fs::remove_dir_all(folder.0.join("out/width=5")).expect("removed");
    std::fs::remove_file(folder.0.join("out/summary.json")).expect("removed");
    folder.whorl("resume out --quiet").good();
    assert!(before == folder.read("out/width=2/summary.json"));
    let again: Value = serde_json::from_slice(&folder.read("out/summary.json")).expect("JSON");
    assert_eq!(again["sweep"], summary["sweep"]);
}

#[test]
fn a_default_follows_what_it_is_made_of() {
    let text = "param a: f32 = 1.0\nparam b: f32 = 2 * a\nparam n: i32 = 3\nsize m = 2 * n\nfn main() = { b: b, m: len(zeros(m)), a: a }\n";
    let folder = Folder::with("sweep-derived", text);
    let said = folder.whorl("run script.whorl --sweep a=1,4 --out one").good();
    assert!(said.out.contains("b = [2, 8]"), "{}", said.out);
    // A size made of a param: the param shapes the program.
    let said = folder.whorl("run script.whorl --sweep n=1,2 --sweep a=1,4 --out two").good();
    assert!(said.out.contains("m = [2, 2]") && said.out.contains("m = [4, 4]"), "{}", said.out);
    assert!(folder.text("two/n=2/config.toml").contains("\"n\" = [2]"));
}

#[test]
fn a_failure_names_its_point_and_its_run() {
    let text = "param limit: f32 = 9.0\nsize runs = 2\nfn main(key: Key) = for k in split(key, runs) {\n  train scan s = uniform(k) for t in 0..20 {\n    assert s < limit, \"too far\"\n    s + 1.0\n  }\n}\n";
    let folder = Folder::with("sweep-failure", text);
    folder
        .whorl("run script.whorl --sweep limit=90,5,70 --out out")
        .bad(1, &["E0701", "too far", "at limit=5", "run 0 of 2"]);
    let summary: Value = serde_json::from_slice(&folder.read("out/summary.json")).expect("JSON");
    assert_eq!((&summary["status"], &summary["error"]["point"]), (&"failed".into(), &"limit=5".into()));
}

#[test]
fn a_sweep_that_was_stopped_goes_on() {
    let folder = Folder::with("sweep-resume", LEARNER);
    folder.whorl("run script.whorl --sweep lr=0.05,0.3 --checkpoint-every 0 --keep 100 --out out --quiet").good();
    let (expected, metrics) = (states(&folder, "out"), folder.text("out/metrics.jsonl"));
    let earlier = checkpoint::earlier(&folder.0.join("out"));
    assert!(!earlier.is_empty());
    let first = earlier.first().expect("one").display().to_string();
    folder.whorl(&format!("resume out --checkpoint {first} --threads 1 --memory 1G --quiet")).good();
    assert!(states(&folder, "out") == expected);
    assert_eq!(folder.text("out/metrics.jsonl"), metrics);
    folder.whorl("repeat out --quiet").good();
}

#[test]
fn mistakes_are_answered_before_anything_is_compiled() {
    let folder = Folder::with("sweep-mistakes", LEARNER);
    let wrong: [(&str, i32, &[&str]); 9] = [
        ("--sweep lr=0.1,7", 1, &["E0405", "`lr` = 7.0 is out of its bounds", "less than 1"]),
        ("--sweep lr=0.1,fast", 1, &["E0406", "`fast`"]),
        ("--sweep turns=1,2.5", 1, &["E0406", "`turns`", "not a whole number"]),
        ("--sweep width=2,0", 1, &["E0405", "`width` = 0"]),
        ("--sweep wdth=2,3", 1, &["E0404", "to sweep", "did you mean `width`?"]),
        ("--sweep lr=0.1,0.2 --lr 0.1", 1, &["E0411", "`lr` is set and swept"]),
        ("--sweep lr=0.1,0.2 --sweep lr=0.3", 1, &["E0411", "`lr` is swept twice"]),
        ("--sweep lr=0.1,0.10", 2, &["there twice"]),
        ("--sweep lr", 2, &["write --sweep name="]),
    ];
    for (options, code, parts) in wrong {
        folder.whorl(&format!("run script.whorl {options} --out out")).bad(code, parts);
        assert!(!folder.0.join("out").exists(), "{options}");
    }
    let text = "param p: f32 = 1.0\nfn main() { save(\"/nowhere/x.npy\", [p]); p }\n";
    folder.write("absolute.whorl", text);
    folder.whorl("run absolute.whorl --sweep p=1,2 --out out").bad(1, &["every point of the sweep would save"]);
}

#[test]
fn runs_that_do_not_fit_take_turns() {
    // Much is needed in a step, and little stays.
    let text = "param lr: f32 = 0.1\nsize runs = 6\nsize n = 20000\nfn main(key: Key) = for k in split(key, runs) {\n  train scan w = 0.0 for t in 0..5 {\n    let x = sort(uniform(fold_in(k, t), n))\n    log(\"x\", x[100])\n    w + lr * mean(cumsum(x))\n  }\n}\n";
    let folder = Folder::with("sweep-memory", text);
    let line = "run script.whorl --sweep lr=0.1,0.5 --threads 2";
    let whole = folder.whorl(&format!("{line} --out whole")).good();
    assert!(!whole.err.contains("at a time"), "{}", whole.err);
    let turns = folder.whorl(&format!("{line} --memory 700K --out turns")).good();
    assert!(turns.err.contains("2 at a time"), "{}", turns.err);
    let one = folder.whorl(&format!("{line} --memory 300K --out one")).good();
    assert!(one.err.contains("1 at a time"), "{}", one.err);
    for out in ["turns", "one"] {
        assert!(states(&folder, out) == states(&folder, "whole"), "{out}");
        assert_eq!(folder.text(&format!("{out}/metrics.jsonl")), folder.text("whole/metrics.jsonl"), "{out}");
        assert_eq!(turns.out, whole.out);
    }
    let refused = ["more memory than `--memory` allows", "12 runs of", "one at a time", "script.whorl:6"];
    folder.whorl(&format!("{line} --memory 64K --out no")).bad(1, &refused);
    folder.whorl(&format!("{line} --memory lots --out no")).bad(2, &["--memory lots", "as in 800M"]);
}

/// A `for` over tasks around a `for` over seeds.
#[test]
fn tasks_times_seeds_are_runs() {
    let text = |main: &str| {
        format!(
            "size seeds = 3\nparam only: f32 = 0.5\nfn learn(key: Key, goal) = train scan w = normal(key, 2) for t in 0..9 {{\n  log(\"loss\", sum((w - goal) * (w - goal)))\n  w - 0.2 * (w - goal)\n}}\n{main}\n"
        )
    };
    let folder = Folder::with(
        "nest",
        &text(
            "fn main(key: Key) = for (i, goal) in enumerate([0.5, -2.0]) {\n  let twice = 2.0 * goal\n  let all = for k in split(fold_in(key, i), seeds) { learn(k, twice) }\n  { all, mean: mean(all), twice }\n}",
        ),
    );
    folder.write("alone.whorl", &text("size task = 0 in [0, 9]\nfn main(key: Key) {\n  let all = for k in split(fold_in(key, task), seeds) { learn(k, 2.0 * only) }\n  { all, mean: mean(all), twice: 2.0 * only }\n}"));
    let nest = folder.whorl("run script.whorl --out nest --threads 2").good();
    assert!(nest.err.contains("6 runs"), "{}", nest.err);
    folder.whorl("check script.whorl").good();
    let mut alone = Vec::new();
    for (k, goal) in ["0.5", "-2"].iter().enumerate() {
        let said = folder.whorl(&format!("run alone.whorl --only {goal} --task {k} --out alone{k}")).good();
        assert_eq!(records(&folder, "nest", k * 3..k * 3 + 3), records(&folder, &format!("alone{k}"), 0..3));
        alone.push(said.out);
    }
    let line = |out: &str, name: &str| {
        let line = out.lines().find_map(|l| l.strip_prefix(&format!("{name} = ")).map(str::to_string));
        line.unwrap_or_else(|| panic!("no {name} in\n{out}"))
    };
    for name in ["all", "mean", "twice"] {
        let both = format!("[{}, {}]", line(&alone[0], name), line(&alone[1], name));
        assert_eq!(line(&nest.out, name), both, "{name}");
    }
    // And a sweep of it: points times tasks times seeds.
    let swept = folder.whorl("run script.whorl --sweep only=1,2 --out swept").good();
    assert!(swept.err.contains("12 runs (2 points of 6)"), "{}", swept.err);
}
