//! Runs on a card, which is emulated unless `WHORL_CARD` names one: the tool does the same with them as with those on the CPU, to the bit.

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::tool::{Folder, card, events, kind};
use whorl_host::checkpoint;

/// Two `train scan`s, work before, between and behind them and behind the runs, logs in branches, and files.
const SCRIPT: &str = r#"
size runs = 3
size steps = 30
size work = 20
param rate = 0.1

fn learn(key: Key) {
  let (k0, k1, k2) = split(key, 3)
  let start = normal(k0, 8)
  log("start", mean(start))
  let first = train scan w = start for k in split(k1, steps) {
    let noise = mean(for n in split(k, work) { mean(normal(n, 8)) })
    log("w", mean(w))
    if w[0] > 0.0 { log("positive", w[0]) }
    for x in w { log("each", x) }
    0.9 * w + rate * noise
  }
  let between = first * 2.0
  log("between", sum(between))
  let (last, seen) = train scan s = { w: between, n: 0 } for k in split(k2, steps) {
    let x = uniform(k)
    log("env_steps", 4.0)
    log("x", x)
    yield x
    { w: s.w + x, n: s.n + 1 }
  }
  log("end", mean(last.w))
  { w: last.w, n: last.n, seen }
}

fn main(key: Key) {
  let all = for k in split(key, runs) { learn(k) }
  save("all.npz", { w: all.w, seen: all.seen })
  { mean: mean(all.w), n: all.n }
}
"#;

/// All that a finished run leaves but for times.
#[derive(PartialEq)]
struct Left {
    checkpoint: Vec<u8>,
    metrics: String,
    each: Option<Vec<u8>>,
    saved: Vec<u8>,
    last: Value,
}

impl Left {
    fn of(folder: &Folder, out: &str) -> Left {
        let summary: Value = serde_json::from_str(&folder.text(&format!("{out}/summary.json"))).expect("JSON");
        assert_eq!(summary["status"], "finished", "{summary}");
        Left {
            checkpoint: folder.read(&format!("{out}/checkpoint.safetensors")),
            metrics: folder.text(&format!("{out}/metrics.jsonl")),
            each: std::fs::read(folder.0.join(out).join("log_each.jsonl")).ok(),
            saved: folder.read(&format!("{out}/all.npz")),
            last: serde_json::json!([summary["final"], summary["env_steps"], summary["step"], summary["saved"]]),
        }
    }

    #[track_caller]
    fn is(&self, other: &Left, what: &str) {
        assert_eq!(self.metrics, other.metrics, "{what}: the records differ");
        assert_eq!(self.last, other.last, "{what}");
        assert!(self.each == other.each, "{what}: what was logged one by one differs");
        assert!(self.checkpoint == other.checkpoint, "{what}: the checkpoints differ");
        assert!(self.saved == other.saved, "{what}: what was saved differs");
    }
}

#[test]
fn a_run_on_a_card_leaves_what_one_on_the_cpu_leaves() {
    let folder = Folder::with("device", SCRIPT);
    folder.whorl("run script.whorl --quiet --log-each --out cpu").good();
    let card = card();
    let said = folder.whorl(&format!("run script.whorl --json --log-each --device {card} --out card")).good();
    let compiled = events(&said.out).into_iter().find(|e| kind(e) == "compiled").expect("a compiled event");
    assert!(compiled["device"].as_str().is_some_and(|name| name != "cpu"), "{compiled}");
    Left::of(&folder, "card").is(&Left::of(&folder, "cpu"), "on the card");
    // Another device does it again, to the bit; the folder remembers which it was.
    folder.whorl("repeat card --device cpu --quiet --out again").good();
    assert!(folder.text("card/config.toml").contains(&format!("device = \"{card}\"")));
    assert!(folder.text("again/config.toml").contains("device = \"cpu\""));
}

/// Killed on one device, it goes on on the other.
#[test]
fn checkpoints_move_between_devices() {
    let folder = Folder::with("device-moves", SCRIPT);
    let settings = "--steps 150 --checkpoint-every 0.01 --quiet";
    folder.whorl(&format!("run script.whorl {settings} --out undisturbed")).good();
    let expected = Left::of(&folder, "undisturbed");
    let card = &card();
    for (from, to) in [(card.as_str(), "cpu"), ("cpu", card), (card, card)] {
        let out = format!("{from}-{to}").replace(':', "-");
        let mut child = Command::new(env!("CARGO_BIN_EXE_whorl"))
            .env("WHORL_CACHE", "off")
            .args(format!("run script.whorl {settings} --device {from} --out {out}").split_whitespace())
            .current_dir(&folder.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let file = folder.0.join(&out).join(checkpoint::FILE);
        let begin = Instant::now();
        while !file.exists() && begin.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("killed");
        child.wait().expect("a status");
        let step = checkpoint::read_header(&file).map_or(0, |h| h.steps_done);
        assert!(step > 0, "{out}: no checkpoint");
        // Elsewhere it may be over before it is stopped: then it is the last checkpoint that moves.
        if from == "emulated" {
            assert!(step < 300, "{out}: it was at its end");
        }
        let _ = std::fs::remove_file(folder.0.join(&out).join("summary.json"));
        folder.whorl(&format!("resume {out} --quiet --checkpoint-every 0.01 --device {to}")).good();
        Left::of(&folder, &out).is(&expected, &out);
    }
}

/// Few runs with large loops have several blocks each, and leave the same.
#[test]
fn wide_runs_leave_the_same() {
    let folder = Folder::with("device-wide", SCRIPT);
    let line = "run script.whorl --quiet --runs 1 --steps 3 --work 20000";
    folder.whorl(&format!("{line} --out cpu")).good();
    folder.whorl(&format!("{line} --device {} --out card", card())).good();
    let told = folder.whorl("check script.whorl --device emulated --runs 1 --steps 3 --work 20000").good().out;
    assert!(told.contains("emulated sm_90: wide"), "{told}");
    Left::of(&folder, "card").is(&Left::of(&folder, "cpu"), "by several blocks");
}

#[test]
fn a_sweep_on_a_card() {
    let folder = Folder::with("device-sweep", SCRIPT);
    let line = "run script.whorl --quiet --runs 2 --sweep rate=0.1,0.2,0.4";
    folder.whorl(&format!("{line} --out cpu")).good();
    folder.whorl(&format!("{line} --device {} --out card", card())).good();
    assert_eq!(folder.text("card/metrics.jsonl"), folder.text("cpu/metrics.jsonl"));
    assert!(folder.read("card/checkpoint.safetensors") == folder.read("cpu/checkpoint.safetensors"));
    for point in ["rate=0.1", "rate=0.2", "rate=0.4"] {
        let name = format!("{point}/all.npz");
        assert!(folder.read(&format!("card/{name}")) == folder.read(&format!("cpu/{name}")), "{name}");
    }
}

/// The kernels are kept, and used the next time.
#[test]
fn kernels_are_kept() {
    let folder = Folder::with("device-cache", SCRIPT);
    let cached = |out: &str| {
        let run = Command::new(env!("CARGO_BIN_EXE_whorl"))
            .env("WHORL_CACHE", folder.0.join("cache"))
            .args(format!("run script.whorl --device {} --json --quiet --out {out}", card()).split_whitespace())
            .current_dir(&folder.0)
            .output()
            .expect("the binary runs");
        let out = String::from_utf8(run.stdout).expect("text");
        events(&out).into_iter().find(|e| kind(e) == "compiled").expect("a compiled event")["cached"].clone()
    };
    assert_eq!(cached("first"), false);
    assert_eq!(cached("second"), true);
    Left::of(&folder, "second").is(&Left::of(&folder, "first"), "from the cache");
}

#[test]
fn benches_run_on_it_too() {
    let folder = Folder::with("device-bench", SCRIPT);
    let said = folder.whorl(&format!("bench script.whorl --device {} --repeats 1 --json", card())).good();
    let report: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_ne!(report["device"], "cpu");
    assert_eq!(report["repetitions"][0]["finished"], true, "{report}");
}

#[test]
fn what_is_not_there_is_told() {
    let folder = Folder::with("device-none", SCRIPT);
    folder.whorl("run script.whorl --device gpu").bad(2, &["--device gpu: write cpu, cuda", "whorl devices"]);
    folder.whorl("run script.whorl --device cuda:x").bad(2, &["--device cuda:x"]);
    // No machine has so many.
    folder.whorl("run script.whorl --device cuda:4096 --out none").bad(1, &["error: --device cuda:4096: ", "help: "]);
    folder.whorl("run script.whorl --device cuda:4096 --sweep steps=5,6 --out none").bad(1, &["error: --device"]);
    assert!(!folder.0.join("none").exists(), "a folder was made");
    let limited = folder.whorl(&format!("run script.whorl --device {} --memory 1K --out none", card()));
    limited.bad(1, &["more memory than `--memory` allows", "together they need", "fewer runs at once"]);
    assert!(!folder.0.join("none").exists(), "a folder was made");
}

#[test]
fn devices_are_listed() {
    let folder = Folder::new("device-list");
    let said = folder.whorl("devices").good();
    assert!(said.out.starts_with("cpu      "), "{}", said.out);
    let listed: Value = serde_json::from_str(&folder.whorl("devices --json").good().out).expect("JSON");
    assert_eq!(listed["devices"][0]["device"], "cpu");
    let cards = listed["devices"].as_array().map_or(0, |d| d.len() - 1);
    assert_eq!(said.out.contains("no NVIDIA card"), cards == 0, "{}", said.out);
}

/// `whorl check` says how a card would execute the program, with and without one.
#[test]
fn schedules_are_told() {
    let folder = Folder::with("device-check", SCRIPT);
    let few = folder.whorl("check script.whorl --device cuda:4096").good().out;
    assert!(few.contains("an H100 (cuda:4096 is not there): block per run"), "{few}");
    assert!(few.contains("there are 3 runs for 132 multiprocessors"), "{few}");
    assert!(!folder.whorl("check script.whorl").good().out.contains("multiprocessors"));
    let line = "check script.whorl --json --device emulated --set runs=1 --set work=100000";
    let json: Value = serde_json::from_str(&folder.whorl(line).good().out).expect("JSON");
    let card = &json["card"];
    assert_eq!((card["schedule"].as_str(), card["card"].as_str()), (Some("wide"), Some("emulated sm_90")), "{card}");
    assert!(card["blocks"].as_u64().is_some_and(|n| n > 1), "{card}");
    let steps: Vec<Option<u64>> =
        card["kernels"].as_array().expect("kernels").iter().map(|k| k["train_steps"].as_u64()).collect();
    assert_eq!(steps, [None, Some(30), None, Some(30), None]);
}

/// It belongs to the run, and to cards.
#[test]
fn fast_math_is_part_of_the_run() {
    let folder = Folder::with(
        "device-fast",
        "fn main(key: Key) = { let (a, b) = split(key)\n  tanh(normal(a, [32, 16]) @ normal(b, [16, 8])) }\n",
    );
    let card = card();
    folder
        .whorl("run script.whorl --fast-math --out none")
        .bad(1, &["--fast-math is what a card computes", "--device cuda"]);
    assert!(!folder.0.join("none").exists(), "a folder was made");
    folder.whorl(&format!("run script.whorl --fast-math --device {card} --quiet --out fast")).good();
    let config = folder.text("fast/config.toml");
    assert!(config.contains("fast_math = true") && config.contains("--fast-math --device"), "{config}");
    folder.whorl("repeat fast --quiet --out again").good();
    folder.whorl("repeat fast --device cpu --quiet --out other").bad(1, &["--fast-math is what a card computes"]);
    let told = folder.whorl("check script.whorl --device emulated --fast-math --json").good().out;
    let exact = folder.whorl("check script.whorl --device emulated --json").good().out;
    assert_ne!(told, exact, "the kernels are the same");
}
