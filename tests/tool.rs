//! The command line, from outside: the built binary in a folder of its own.

mod support;

use std::path::Path;

use serde_json::Value;
use support::tool::{Folder, events, kind, parts};

const TRAINING: &str = r#"/// A tiny learner.

param lr: f32 = 0.1 in (0, 1) "step size"
size runs = 2 "side by side"
size steps = 40

fn main(key: Key) = for k in split(key, runs) {
  train scan w = 5.0 * normal(k) for t in 0..steps {
    let loss = w * w
    log("loss", loss)
    if t % 10 == 9 { log("rare", w) }
    w - lr * grad(fn(w) = w * w)(w)
  }
}

test "it shrinks" { assert 0.5 * 0.5 < 0.5 }
"#;

#[test]
fn json_tells_what_happened() {
    let folder = Folder::with("json", TRAINING);
    let said = folder.whorl("run script.whorl --json --out out").good();
    let events = events(&said.out);
    let first = events.first().expect("an event");
    assert_eq!(kind(first), "compiled");
    for field in ["trace_s", "compile_s", "arena_bytes"] {
        assert!(first[field].is_number(), "{first}");
    }
    let last = events.last().expect("an event");
    assert_eq!(kind(last), "done");
    assert!(last["run_s"].is_number() && last["env_steps"].is_number(), "{last}");
    assert_eq!(last["final"]["loss"].as_array().map(Vec::len), Some(2), "{last}");
    let logs = &events[1..events.len() - 1];
    assert!(logs.iter().all(|e| kind(e) == "log"));
    let of = |name: &str| logs.iter().filter(|e| e["name"] == name).collect::<Vec<_>>();
    let losses = of("loss");
    assert!(losses.windows(2).all(|w| w[0]["step"].as_u64() < w[1]["step"].as_u64()));
    for e in losses.iter().chain(&of("rare")) {
        assert_eq!(e["values"].as_array().map(Vec::len), Some(2), "{e}");
    }
    assert!(!losses.is_empty() && !of("rare").is_empty());
}

#[test]
fn the_run_folder() {
    let folder = Folder::with("folder", TRAINING);
    let said = folder.whorl("run script.whorl --out out --seed 7 --runs 3 --lr 0.05 --quiet").good();
    assert!(said.out.is_empty() && said.err.is_empty(), "--quiet says nothing: {}{}", said.out, said.err);
    let config = folder.text("out/config.toml");
    for line in ["seed = 7", "\"runs\" = 3", "\"lr\" = 0.05", "\"steps\" = 40"] {
        assert!(config.contains(line), "no `{line}` in\n{config}");
    }
    let metrics = folder.text("out/metrics.jsonl");
    let records = events(&metrics);
    assert!(records.iter().any(|r| r["name"] == "loss" && r["values"].as_array().is_some_and(|v| v.len() == 3)));
    assert!(folder.text("out/curve.svg").contains("<svg"));
    let checkpoint = folder.read("out/checkpoint.safetensors");
    let (header, _) = parts(&checkpoint);
    let about = header["__metadata__"]["whorl"].as_str().expect("what the checkpoint says of itself");
    let about: Value = serde_json::from_str(about).expect("JSON");
    assert_eq!(about["step"], 40, "{about}");
    let arrays = header.as_object().expect("an object").keys().filter(|k| k.starts_with("run2/")).count();
    assert!(arrays > 0, "{header}");
}

#[test]
fn the_default_folder_is_named_after_the_script() {
    let folder = Folder::with("default", TRAINING);
    folder.whorl("run script.whorl --quiet").good();
    folder.whorl("run script.whorl --quiet").good();
    let runs = std::fs::read_dir(folder.0.join("runs")).expect("runs").map(|e| e.expect("an entry").file_name());
    let runs: Vec<String> = runs.map(|n| n.to_string_lossy().into_owned()).collect();
    assert!(runs.len() == 2 && runs.iter().all(|r| r.starts_with("script-2")), "{runs:?}");
}

/// All that a run leaves but for times and the command: the bytes of its checkpoint, and its records.
fn traces(folder: &Folder, out: &str) -> (Vec<u8>, String) {
    (folder.read(&format!("{out}/checkpoint.safetensors")), folder.text(&format!("{out}/metrics.jsonl")))
}

/// Two runs left the same, to the bit.
#[track_caller]
fn same(a: &(Vec<u8>, String), b: &(Vec<u8>, String)) {
    assert_eq!(a.1, b.1, "metrics");
    assert!(a.0 == b.0, "the checkpoints differ");
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let folder = Folder::with("seed", TRAINING);
    for (out, rest) in [("a", "--seed 5 --threads 1"), ("b", "--seed 5 --threads 2"), ("c", "--seed 6 --threads 2")] {
        folder.whorl(&format!("run script.whorl --quiet --runs 4 --out {out} {rest}")).good();
    }
    let (a, b, c) = (traces(&folder, "a"), traces(&folder, "b"), traces(&folder, "c"));
    same(&a, &b);
    assert!(parts(&a.0).1 != parts(&c.0).1, "seeds 5 and 6 are the same");
}

#[test]
fn an_agent_gives_the_same_bits_on_one_thread_and_two() {
    let folder = Folder::new("agent");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cartpole_ppo.whorl");
    for threads in [1, 2] {
        let line = format!(
            "run {} --seeds 2 --set ppo.total_steps=4096 --seed 3 --quiet --threads {threads} --out t{threads}",
            script.display()
        );
        folder.whorl(&line).good();
    }
    same(&traces(&folder, "t1"), &traces(&folder, "t2"));
}

#[test]
fn a_calculation_prints_its_result() {
    let folder = Folder::with("calculation", "fn main() = { total: sum([1.0, 2.0, 3.0]), twice: 2 * [1, 2] }\n");
    let said = folder.whorl("run script.whorl --out out").good();
    assert_eq!(said.out, "total = 6\ntwice = [2, 4]\n");
}

#[test]
fn mistakes_on_the_command_line() {
    let folder = Folder::with("mistakes", TRAINING);
    folder.whorl("").good();
    folder.whorl("--help").good();
    folder.whorl("run --help").good();
    folder.whorl("fly script.whorl").bad(2, &["there is no command `fly`", "run, resume, repeat, runs, eval, check"]);
    folder.whorl("run").bad(2, &["which file?"]);
    folder.whorl("run missing.whorl").bad(1, &["missing.whorl"]);
    folder.whorl("run script.whorl --stepz 3").bad(1, &["`stepz`", "did you mean `steps`?"]);
    folder.whorl("run script.whorl --lr 2").bad(1, &["E0405", "`lr` = 2", "bounds"]);
    folder.whorl("run script.whorl --lr fast").bad(1, &["`fast`", "`lr`"]);
    folder.whorl("run script.whorl --steps 1.5").bad(1, &["steps"]);
    folder.whorl("run script.whorl --set lr").bad(2, &["--set name=value"]);
    folder.whorl("run script.whorl --seed x").bad(2, &["x"]);
    folder.whorl("run script.whorl --threads 0").bad(2, &["at least one thread"]);
    folder
        .whorl("show script.whorl --stage soup")
        .bad(2, &["soup", "tree, core, grad, fused, loops, memory, asm and ptx"]);
}

#[test]
fn a_folder_is_not_written_over() {
    let folder = Folder::with("over", TRAINING);
    folder.whorl("run script.whorl --quiet --out out").good();
    let before = traces(&folder, "out");
    folder.whorl("run script.whorl --quiet --out out --seed 1").bad(1, &["out", "exists", "--out DIR"]);
    assert!(traces(&folder, "out") == before, "the first run's files changed");
}

#[test]
fn a_wrong_script_is_answered_with_its_place() {
    let folder = Folder::with("wrong", "fn main(key: Key) = normal(kex, 3)\n");
    for command in ["run", "check", "show"] {
        folder
            .whorl(&format!("{command} script.whorl"))
            .bad(1, &["error[E0401]", "script.whorl:1:", "did you mean `key`?"]);
    }
    assert!(!folder.0.join("runs").exists(), "a script that does not compile leaves no folder");
}

#[test]
fn explain_tells_of_errors() {
    let folder = Folder::with("explain", "fn main(key: Key) = normal(key) + uniform(key)\n");
    let page = folder.whorl("explain e301").good().out;
    assert!(page.starts_with("# E0301: ") && page.contains("split(key)"), "{page}");
    let all = folder.whorl("explain").good().out;
    assert!(all.lines().any(|l| l.starts_with("W0001  ")) && all.lines().count() >= 60, "{all}");
    folder.whorl("explain E0321").bad(1, &["there is no error or warning `E0321`; did you mean `E0301`?"]);
    // Said once, after the errors.
    let said = folder.whorl("check script.whorl");
    assert!(said.err.trim_end().ends_with("`whorl explain E0301` says more"), "{}", said.err);
    said.bad(1, &["error[E0301]"]);
}

#[test]
fn a_failed_assert_ends_the_run() {
    let script = "fn main(key: Key) {\n  let x = uniform(key, 3)\n  assert all(x > 2.0), \"x is large\"\n  x\n}\n";
    let folder = Folder::with("assert", script);
    folder.whorl("run script.whorl --quiet --out out").bad(1, &["x is large", "script.whorl:3"]);
}

#[test]
fn what_a_failed_run_leaves() {
    let script = "fn main(key: Key) = for run in 0..3 {
  train scan w = f32(run) for i in 0..50 {
    log(\"w\", w)
    assert w < 12.5
    w + [0.5, 1.0][i % 3]
  }
}
";
    let folder = Folder::with("failed", script);
    for (options, code, line, step) in [("", "E0702", 5, 2), ("--no-checks", "E0701", 4, 13)] {
        let out = format!("out-{step}");
        let said = folder.whorl(&format!("run script.whorl --json --out {out} {options}"));
        assert_eq!(said.code, Some(1), "{}", said.err);
        let error = events(&said.out).into_iter().find(|e| e["event"] == "error").expect("an error event");
        assert_eq!((error["code"].as_str(), error["line"].as_u64()), (Some(code), Some(line)), "{error}");
        assert_eq!(error["steps"][0], step, "{error}");
        assert!(said.err.contains(&format!("error[{code}]")), "{}", said.err);
        let records = events(&folder.text(&format!("{out}/metrics.jsonl")));
        assert_eq!(records.len() as u64, step, "what was logged in the steps before");
        let (header, _) = parts(&folder.read(&format!("{out}/checkpoint.safetensors")));
        assert!(header.as_object().is_some_and(|h| h.keys().any(|k| k.starts_with("run2/"))), "{header}");
    }
}

#[test]
fn check_tells_of_knobs_and_memory() {
    let folder = Folder::with("check", TRAINING);
    let said = folder.whorl("check script.whorl --runs 5").good();
    for part in ["lr", "step size", "5 runs", "train scan 40", "f32[runs]"] {
        assert!(said.out.contains(part), "no `{part}` in\n{}", said.out);
    }
    assert!(!folder.0.join("runs").exists());
}

#[test]
fn show_prints_every_stage() {
    let folder = Folder::with("show", TRAINING);
    for (stage, part) in [("tree", "Module"), ("core", "scan"), ("fused", "scan"), ("loops", "train"), ("asm", "ret")] {
        let said = folder.whorl(&format!("show script.whorl --stage {stage}")).good();
        assert!(said.out.contains(part), "no `{part}` in --stage {stage}:\n{}", said.out);
    }
}

#[test]
fn test_runs_the_tests() {
    let folder = Folder::with(
        "test",
        "test \"good\" { assert 1 < 2 }\ntest \"wrong\" {\n  let x = uniform(key(0), 2)\n  assert all(x > 2.0)\n}\n",
    );
    let said = folder.whorl("test script.whorl");
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.out.contains("1 passed, 1 failed"), "{}", said.out);
    assert!(said.err.contains("FAILED script.whorl: wrong") && said.err.contains("script.whorl:4"), "{}", said.err);
    let said = folder.whorl("test script.whorl --filter good").good();
    assert!(said.out.contains("1 passed, 0 failed"), "{}", said.out);
    folder.whorl("test std --filter gae").good();
    folder.whorl("test").bad(2, &["which file?"]);
}

#[test]
fn test_runs_folders() {
    let folder = Folder::with("folders", "/// ```\n/// f(2)  // = 4\n/// ```\nfn f(x) = 2 * x\n");
    std::fs::create_dir_all(folder.0.join("below")).expect("a folder");
    folder.write(
        "below/more.whorl",
        "prop \"small\" (x: i32 in [0, 9]) { assert x < 10 }\ntest \"no\" { assert 1 > 2 }\n",
    );
    folder.write("notes.txt", "no script");
    let said = folder.whorl("test .");
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.out.contains("2 passed, 1 failed") && said.err.contains("more.whorl: no"), "{}{}", said.out, said.err);
    let said = folder.whorl("test script.whorl below --filter small --cases 1000 --seed 3").good();
    assert!(said.out.contains("1 passed, 0 failed"), "{}", said.out);
    folder.whorl("test . --filter nothing").bad(1, &["none of the 3 tests", "`nothing`"]);
    folder.whorl("test std.rl --filter gae").good();
    folder.whorl("test std.nowhere").bad(1, &["no module `std.nowhere`"]);
    folder.whorl("test elsewhere").bad(1, &["elsewhere"]);
    folder.whorl("test . --cases 0").bad(2, &["at least one case"]);
}

#[test]
fn what_does_not_fit_is_refused_with_its_largest_arrays() {
    let text = "fn main() = sum(for i in 0..100000 {\n  scan s = zeros(1000000) for x in 0..10 { s + f32(i) }\n})\n";
    let folder = Folder::with("large", text);
    let wanted = ["more memory than there is", "f32[100000, 1000000]", "script.whorl:1", "checkpoint sqrt"];
    folder.whorl("run script.whorl").bad(1, &wanted);
    let said = folder.whorl("check script.whorl").good();
    assert!(said.out.contains("this does not fit"), "{}", said.out);
}

#[test]
fn work_behind_the_runs_is_done_once() {
    let text = "fn learn(key: Key) = train scan x = uniform(key) for _ in 0..50 { log(\"x\", x); 0.5 * x + 1.0 }\n\
                fn main(key: Key) {\n  let xs = for k in split(key, 4) { learn(k) }\n  { mean: mean(xs), xs }\n}\n";
    let folder = Folder::with("behind", text);
    let said = folder.whorl("run script.whorl").good();
    assert_eq!(said.out, "mean = 2\nxs = [2, 2, 2, 2]\n");
    let said = folder.whorl("check script.whorl").good();
    assert!(said.out.contains("4 runs") && said.out.contains("what follows the runs"), "{}", said.out);
}

#[test]
fn of_large_results_their_types_are_said() {
    let folder = Folder::with("results", "fn main() = { all: zeros(10, 10), sum: sum(ones(10)) }\n");
    let said = folder.whorl("run script.whorl").good();
    assert_eq!(said.out, "all: f32[10, 10]\nsum = 10\n");
}
