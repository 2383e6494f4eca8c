//! Compiled programs that are kept: the tool from outside, with a cache of its own.

mod support;

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::tool::Folder;

const TRAIN: &str = "
size steps = 40

fn main(key: Key) = for k in split(key, 3) {
  train scan x = normal(k, 64, 64) for t in 0..steps {
    log(\"size\", sum(x * x))
    let s = sort(x[0])
    for row in x @ x * 0.1 { tanh(row + s) }
  }
}
";

const FAILS: &str = "
fn main(key: Key) = for k in split(key, 2) {
  train scan x = uniform(k) for t in 0..9 {
    assert(x < 3.0, \"too large\")
    x + 0.7
  }
}
";

fn whorl(folder: &Folder, cache: &str, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whorl"));
    command.args(line.split_whitespace()).current_dir(&folder.0).env("WHORL_CACHE", folder.0.join(cache));
    command
}

fn run(folder: &Folder, cache: &str, line: &str) -> Output {
    whorl(folder, cache, line).output().expect("the binary runs")
}

/// Whether the program was there already.
fn cached(output: &Output) -> bool {
    let out = String::from_utf8_lossy(&output.stdout);
    let compiled = out.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()).find(|v| v["event"] == "compiled");
    compiled.expect("an event of compilation")["cached"].as_bool().expect("it says so")
}

/// What a run leaves that does not depend on time.
fn left(folder: &Folder, run: &str) -> (Vec<u8>, Vec<u8>) {
    let path = folder.0.join(run);
    let metrics = std::fs::read_to_string(path.join("metrics.jsonl")).expect("metrics");
    let timeless = |line: &str| {
        let mut value: Value = serde_json::from_str(line).expect("a record");
        value.as_object_mut().expect("a record").retain(|k, _| !k.contains("time") && !k.ends_with("_s"));
        value.to_string()
    };
    let metrics: Vec<String> = metrics.lines().map(timeless).collect();
    (std::fs::read(path.join("checkpoint.safetensors")).expect("a checkpoint"), metrics.join("\n").into_bytes())
}

#[test]
fn what_was_compiled_before_does_the_same() {
    let folder = Folder::with("cache-same", TRAIN);
    for (threads, team) in [("1", "a"), ("8", "b")] {
        let line = |out: &str| format!("run script.whorl --json --threads {threads} --out {team}{out}");
        let first = run(&folder, "cache", &line("1"));
        let second = run(&folder, "cache", &line("2"));
        let without = run(&folder, "cache", &(line("3") + " --no-cache"));
        assert!(!cached(&first) && cached(&second) && !cached(&without));
        let one = left(&folder, &format!("{team}1"));
        assert_eq!(one, left(&folder, &format!("{team}2")));
        assert_eq!(one, left(&folder, &format!("{team}3")));
    }
    // Another value is another program; the same one with other seeds is not.
    assert!(!cached(&run(&folder, "cache", "run script.whorl --json --threads 1 --steps 41 --out c")));
    assert!(cached(&run(&folder, "cache", "run script.whorl --json --threads 1 --seed 5 --out d")));
}

#[test]
fn a_run_that_fails_says_where_from_the_cache_too() {
    let folder = Folder::with("cache-fails", FAILS);
    let first = run(&folder, "cache", "run script.whorl --out a");
    let second = run(&folder, "cache", "run script.whorl --out a2");
    let told = |o: &Output| {
        let text = String::from_utf8_lossy(&o.stderr).into_owned();
        text[text.find("error").expect("an error")..].to_string()
    };
    assert!(!first.status.success() && !second.status.success());
    assert!(told(&first).contains("script.whorl:4"), "{}", told(&first));
    assert_eq!(told(&first).replace("a/", "a2/"), told(&second).replace("a/", "a2/"));
}

#[test]
fn several_processes_share_it() {
    let folder = Folder::with("cache-several", TRAIN);
    let start = |k: usize| {
        let line = format!("run script.whorl --json --threads 1 --out r{k}");
        whorl(&folder, "cache", &line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
    };
    let running: Vec<_> = (0..4).map(start).collect();
    for process in running {
        let output = process.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let first = left(&folder, "r0");
    assert!((1..4).all(|k| left(&folder, &format!("r{k}")) == first));
    assert!(cached(&run(&folder, "cache", "run script.whorl --json --threads 1 --out last")));
}

#[test]
fn a_place_that_cannot_be_written_is_no_error() {
    let folder = Folder::with("cache-place", TRAIN);
    folder.write("file", "not a folder");
    for _ in 0..2 {
        let output = run(&folder, "file", "run script.whorl --json --out r");
        assert!(!cached(&output));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::remove_dir_all(folder.0.join("r")).expect("the run's folder");
    }
}

#[test]
fn it_can_be_asked_and_cleared() {
    let folder = Folder::with("cache-asked", TRAIN);
    run(&folder, "cache", "run script.whorl --json --out r");
    let text = |line: &str| String::from_utf8(run(&folder, "cache", line).stdout).expect("text");
    assert!(text("cache").contains("1 compiled programs"), "{}", text("cache"));
    assert!(text("cache clear").contains("removed 1"));
    assert!(text("cache").contains("0 compiled programs"));
}
