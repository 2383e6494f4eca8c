//! What is logged, from the compiled loop to the files of the run folder.

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use serde_json::Value;
use support::tool::Folder;
use whorl::engine::{ProgramEngine, State};
use whorl::pipeline;
use whorl_host::drive::{End, Observer, Pace, Progress, Saved, drive, steps_before};
use whorl_host::engine::{Engine, LogValue};
use whorl_host::log_each::LogEach;
use whorl_host::metrics::{Metrics, record_line};

/// Logs before, in, between and behind two `train scan`s, in loops and lanes, and in branches of lanes.
const SCRIPT: &str = r#"size runs = 3
size steps = 7

fn learn(key: Key) {
  let start = uniform(key)
  log("start", start)
  let a = train scan x = 0.0 for _ in arange(steps) {
    let ys = for j in arange(3) {
      scan y = x + f32(j) for t in arange(2) {
        log("inner", y)
        if j + t == 2 { log("branch", f32(100 * j + t)) }
        y + 1.0
      }
    }
    log("ys", ys)
    log("env_steps", 4.0)
    x + 0.5
  }
  log("between", a)
  train scan x = a for i in arange(2) {
    if start < 0.5 { log("ys", f32(i)) }
    scan reverse x = x for _ in arange(2) { log("back", x); x + 1.0 }
  }
}

fn main(key: Key) = for k in split(key, runs) { learn(k) }
"#;

/// Gathers records as a run does.
struct Gathers<'a> {
    engine: &'a ProgramEngine,
    metrics: Metrics,
}

impl Gathers<'_> {
    fn take(&mut self, phase: usize, logs: &[Vec<LogValue>]) {
        self.metrics.add(logs);
        let each = self.engine.each.get().expect("opened");
        each.write(steps_before(&self.engine.phases(), phase)).expect("written");
    }
}

impl Observer<ProgramEngine> for Gathers<'_> {
    fn chunk(&mut self, p: Progress, logs: &[Vec<LogValue>], _: &[State]) {
        self.take(p.phase, logs);
    }
    fn failed(&mut self, p: Progress, logs: &[Vec<LogValue>], _: Option<&Saved>) {
        self.take(p.phase, logs);
    }
}

/// The lines of `metrics.jsonl` and of `log_each.jsonl`, and whether the run failed.
fn logged(
    name: &str,
    script: &str,
    threads: usize,
    chunk: usize,
    ring: usize,
    memory: usize,
) -> (String, String, bool) {
    let folder = Folder::with(&format!("{name}-{threads}-{chunk}-{ring}"), script);
    let source = support::load_text("script.whorl", script, &[]);
    let traced = source.script.trace_main().expect("a good script");
    let (program, _) = pipeline::cut(pipeline::checked(traced.program, pipeline::Checks::default()));
    let compiled = pipeline::compile(program, &source.map, 1).expect("compiled");
    let inputs = vec![whorl_core::ir::ArrayData::scalar(0u32), whorl_core::ir::ArrayData::scalar(7u32)];
    let engine = ProgramEngine::new(compiled.program, compiled.executable, inputs).with_rings(ring);
    let places = ProgramEngine::log_places(&engine.program, &source.map);
    let each = LogEach::with_memory(&folder.0, places, engine.runs(), 0, memory).expect("opened");
    assert!(engine.each.set(each).is_ok());
    let metrics = Metrics::new(engine.log_names(), engine.runs());
    let mut gathers = Gathers { engine: &engine, metrics };
    let pace = Pace { threads, fixed_chunk: Some(chunk), ..Pace::default() };
    let driven = drive(&engine, &pace, &AtomicBool::new(false), None, &mut gathers);
    let records = gathers.metrics.records.iter().map(|r| record_line(r) + "\n").collect();
    (records, folder.text("log_each.jsonl"), matches!(driven.end, End::Failed(_)))
}

/// Step, run, loop, lane and value.
type Element = (u64, u64, Vec<u64>, Vec<u64>, f64);

/// The elements of a log, as they stand in the file.
fn elements(each: &str, name: &str) -> Vec<Element> {
    let numbers = |v: &Value| v.as_array().expect("a list").iter().map(|x| x.as_u64().expect("a place")).collect();
    let lines = each.lines().map(|l| serde_json::from_str::<Value>(l).unwrap_or_else(|e| panic!("{l}: {e}")));
    let of = lines.filter(|v| v["name"] == name);
    of.map(|v| {
        let number = |name: &str| v[name].as_u64().expect("a number");
        (number("step"), number("run"), numbers(&v["loop"]), numbers(&v["lane"]), v["value"].as_f64().expect("a value"))
    })
    .collect()
}

#[test]
fn every_element_knows_its_place() {
    let (records, each, _) = logged("places", SCRIPT, 1, 3, 512, 1 << 20);
    // In step 1 the carry is 0.5. Lane by lane of each turn of the inner loop; runs one after the other.
    let inner: Vec<_> = elements(&each, "inner").into_iter().filter(|e| e.0 == 1).collect();
    let expected = (0..3u64).flat_map(|run| {
        (0..2).flat_map(move |t| (0..3).map(move |j| (1, run, vec![t], vec![j], 0.5 + j as f64 + t as f64)))
    });
    assert_eq!(inner, expected.collect::<Vec<_>>());
    // Of a branch that one lane takes, that lane's.
    let branch: Vec<_> = elements(&each, "branch").into_iter().filter(|e| (e.0, e.1) == (4, 2)).collect();
    assert_eq!(branch, [(4, 2, vec![0], vec![2], 200.0), (4, 2, vec![1], vec![1], 101.0)]);
    // Of an array, its places; of a loop that goes down, its indices, and the second train scan counts on.
    let first_ys: Vec<_> = elements(&each, "ys").into_iter().take(3).map(|e| e.3).collect();
    assert_eq!(first_ys, [[0], [1], [2]]);
    let back: Vec<_> = elements(&each, "back").into_iter().filter(|e| e.1 == 0).map(|e| (e.0, e.2, e.4)).collect();
    assert_eq!(back, [(7, vec![1], 3.5), (7, vec![0], 4.5), (8, vec![1], 5.5), (8, vec![0], 6.5)]);
    assert_eq!(
        elements(&each, "between").into_iter().map(|e| (e.0, e.1)).collect::<Vec<_>>(),
        [(7, 0), (7, 1), (7, 2)]
    );
    assert!(each.lines().any(|l| l.ends_with("\"line\":\"script.whorl:10\"}")), "{each}");
    // Records are the means of the elements, and counts their sums.
    assert!(records.contains("{\"step\":1,\"name\":\"inner\",\"values\":[2.0,2.0,2.0]}\n"), "{records}");
    assert!(records.contains("{\"step\":1,\"name\":\"branch\",\"values\":[150.5,150.5,150.5]}\n"), "{records}");
    assert!(records.contains("{\"step\":1,\"name\":\"env_steps\",\"values\":[4.0,4.0,4.0]}\n"), "{records}");
    // A branch of a whole run: the others have no value there.
    let starts: Vec<f64> = elements(&each, "start").into_iter().map(|e| e.4).collect();
    let values: Vec<&str> = starts.iter().map(|s| if *s < 0.5 { "1.0" } else { "null" }).collect();
    assert!(values.contains(&"null") && values.contains(&"1.0"), "{starts:?}: choose another seed");
    let record = format!("{{\"step\":8,\"name\":\"ys\",\"values\":[{}]}}\n", values.join(","));
    assert!(records.contains(&record), "{records}");
}

#[test]
fn files_do_not_depend_on_rings_chunks_threads_or_memory() {
    let whole = logged("whole", SCRIPT, 1, 100, 512, 1 << 20);
    assert!(whole.0.lines().count() > 30 && whole.1.lines().count() > 200);
    for (threads, chunk, ring, memory) in [(1, 1, 1, 1), (2, 100, 3, 40), (3, 2, 7, 1 << 20), (2, 5, 1, 8)] {
        let other = logged("other", SCRIPT, threads, chunk, ring, memory);
        assert!(whole == other, "{threads} threads, {chunk} steps, rings of {ring}, {memory} in memory:\n{}", other.1);
    }
}

#[test]
fn of_a_run_that_fails_the_steps_before_are_told() {
    let script = SCRIPT.replace("    log(\"ys\", ys)", "    assert x < 2.0 or start > 0.5\n    log(\"ys\", ys)");
    for (threads, chunk, ring) in [(1, 1, 1), (2, 3, 5), (1, 100, 512)] {
        let (records, each, failed) = logged("failed", &script, threads, chunk, ring, 1 << 20);
        assert!(failed);
        // The state is 2 in step 4, in which `inner` was logged already.
        let last = elements(&each, "inner").into_iter().map(|e| e.0).max();
        assert_eq!((last, records.contains("\"step\":4")), (Some(3), false), "{records}");
        assert_eq!(elements(&each, "inner").len(), 4 * 3 * 6);
    }
}

#[test]
fn a_run_that_goes_on_writes_the_same_files() {
    let folder = Folder::with("goes-on", SCRIPT);
    folder.whorl("run script.whorl --seed 7 --out a --log-each --quiet --checkpoint-every 0 --keep 100").good();
    let files = ["metrics.jsonl", "log_each.jsonl", "curve.svg", "curve.png"];
    let whole: Vec<Vec<u8>> = files.iter().map(|f| folder.read(&format!("a/{f}"))).collect();
    let events = scalars_by_file(&folder.0.join("a"));
    let mut earlier: Vec<PathBuf> = std::fs::read_dir(folder.0.join("a"))
        .expect("listed")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.to_string_lossy().ends_with(".safetensors"))
        .collect();
    earlier.sort();
    assert!(earlier.len() > 3, "{earlier:?}");
    for checkpoint in &earlier[..3] {
        // As after a kill in the middle of a line.
        let text = folder.text("a/metrics.jsonl");
        folder.write("a/metrics.jsonl", &text[..text.len() - 5]);
        let name = checkpoint.file_name().expect("a name").to_string_lossy().into_owned();
        folder.whorl(&format!("resume a --quiet --checkpoint a/{name}")).good();
        for (file, bytes) in files.iter().zip(&whole) {
            assert!(folder.read(&format!("a/{file}")) == *bytes, "{file}, from {name}");
        }
        assert_eq!(scalars_by_file(&folder.0.join("a")), events, "from {name}");
    }
}

/// The lengths of event files without the times in them, which is all that differs: what they hold is looked at elsewhere.
fn scalars_by_file(run: &Path) -> Vec<(String, usize)> {
    let mut all = Vec::new();
    for folder in std::fs::read_dir(run.join("tensorboard")).expect("listed") {
        let folder = folder.expect("an entry").path();
        for file in std::fs::read_dir(&folder).expect("listed") {
            let path = file.expect("an entry").path();
            let bytes = std::fs::read(&path).expect("read");
            all.push((folder.file_name().expect("a name").to_string_lossy().into_owned(), bytes.len()));
        }
    }
    all.sort();
    all
}

#[test]
fn progress_is_lines_where_there_is_no_terminal() {
    let folder = Folder::with("progress", SCRIPT);
    let said = folder.whorl("run script.whorl --steps 2000 --out a").good().err;
    let lines: Vec<&str> = said.lines().filter(|l| l.contains(" %  ")).collect();
    // Of each train scan the last, and the first of all; less than one a second.
    assert!((2..6).contains(&lines.len()), "{said}");
    assert!(lines.iter().all(|l| l.contains(" steps/s  ") || l.contains(" updates/s  ")), "{said}");
    assert!(lines.last().is_some_and(|l| l.starts_with("100 %") && l.contains("  inner ")), "{said}");
    assert!(lines.iter().all(|l| l.chars().count() < 80) && !said.contains('\u{1b}'), "{said}");
    let quiet = folder.whorl("run script.whorl --out b --quiet").good();
    assert_eq!(quiet.err, "");
    let json = folder.whorl("run script.whorl --out c --json").good();
    assert_eq!(json.err, "");
    let logs = support::tool::events(&json.out).into_iter().filter(|e| support::tool::kind(e) == "log").count();
    assert_eq!(logs, folder.text("c/metrics.jsonl").lines().count());
}

/// TensorBoard's own reader sees what `metrics.jsonl` has.
#[test]
fn tensorboard_reads_it() {
    let Ok(python) = std::env::var("WHORL_TENSORBOARD_PYTHON") else {
        eprintln!("skipped: WHORL_TENSORBOARD_PYTHON names no Python with the package `tensorboard`");
        return;
    };
    let folder = Folder::with("tensorboard", SCRIPT);
    folder.whorl("run script.whorl --seed 7 --out a --quiet").good();
    folder.write("read.py", READER);
    let output = Command::new(python).args(["-W", "error", "read.py", "a/tensorboard"]).current_dir(&folder.0).output();
    let output = output.expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // What TensorFlow's stand-in says of itself is none of ours; of our files there is nothing to say.
    assert!(!said.to_lowercase().contains("corrupt") && !said.contains("Unable"), "{said}");
    let read: HashMap<String, Value> = serde_json::from_slice(&output.stdout).expect("what was read");
    let mut names: Vec<&String> = read.keys().collect();
    names.sort();
    assert_eq!(names, ["mean", "run0", "run1", "run2"]);
    let text = folder.text("a/metrics.jsonl");
    let records: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("a record")).collect();
    for run in 0..3 {
        let mut expected: HashMap<String, Vec<(u64, f64)>> = HashMap::new();
        for r in records.iter().filter(|r| r["name"] != "env_steps") {
            if let Some(value) = r["values"][run].as_f64() {
                let name = r["name"].as_str().expect("a name").to_string();
                expected.entry(name).or_default().push((r["step"].as_u64().expect("a step"), f64::from(value as f32)));
            }
        }
        let seen: HashMap<String, Vec<(u64, f64)>> =
            serde_json::from_value(read[&format!("run{run}")].clone()).expect("scalars");
        assert_eq!(seen, expected, "run {run}");
    }
}

const READER: &str = r#"
import json, os, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
out = {}
for name in sorted(os.listdir(sys.argv[1])):
    events = EventAccumulator(os.path.join(sys.argv[1], name), size_guidance={"scalars": 0})
    events.Reload()
    assert events.file_version == 2.0, events.file_version
    assert events.Tags()["tensors"] == [], events.Tags()
    out[name] = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
json.dump(out, sys.stdout)
"#;
