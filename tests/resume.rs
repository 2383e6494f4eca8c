//! Runs that are stopped, killed and resumed come to the bits of an undisturbed run; whatever is wrong with a run folder is told.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::tool::{Folder, events};
use whorl_host::checkpoint;

/// Two `train scan`s, work before, between and behind them and behind the runs, logs in branches, and files.
const SCRIPT: &str = r#"import helper { decay }

size runs = 3
size steps = 300
size work = 4000

fn learn(key: Key) {
  let (k0, k1, k2) = split(key, 3)
  let start = normal(k0, 8)
  log("start", mean(start))
  let first = train scan w = start for k in split(k1, steps) {
    let noise = mean(for n in split(k, work) { mean(normal(n, 8)) })
    log("w", mean(w))
    if w[0] > 0.0 { log("positive", w[0]) }
    decay * w + 0.1 * noise
  }
  let between = first * 2.0
  log("between", sum(between))
  let (last, seen) = train scan s = { w: between, n: 0 } for k in split(k2, steps) {
    let (kx, kw) = split(k)
    let x = uniform(kx)
    log("env_steps", 4.0)
    log("x", x)
    yield x
    { w: s.w + x * mean(for n in split(kw, work) { normal(n) }), n: s.n + 1 }
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

const HELPER: &str = "pub let decay = 0.99\n";

fn folder(name: &str) -> Folder {
    let folder = Folder::with(name, SCRIPT);
    folder.write("helper.whorl", HELPER);
    folder
}

/// All that a finished run leaves but for times: checkpoint, records, what the script saved, what it came to.
#[derive(PartialEq)]
struct Left {
    checkpoint: Vec<u8>,
    metrics: String,
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
            saved: folder.read(&format!("{out}/all.npz")),
            last: serde_json::json!([summary["final"], summary["env_steps"], summary["step"], summary["saved"]]),
        }
    }
}

#[track_caller]
fn same(a: &Left, b: &Left, what: &str) {
    assert_eq!(a.metrics, b.metrics, "{what}: the records differ");
    assert_eq!(a.last, b.last, "{what}");
    assert!(a.checkpoint == b.checkpoint, "{what}: the checkpoints differ");
    assert!(a.saved == b.saved, "{what}: what was saved differs");
}

fn start(folder: &Folder, line: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whorl"));
    command.env("WHORL_CACHE", "off");
    command.args(line.split_whitespace()).current_dir(&folder.0);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs")
}

/// Random numbers enough for moments (Steele, Lea & Flood, 2014: SplitMix64).
struct Moments(u64);

impl Moments {
    fn next(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        most.mul_f64((z ^ (z >> 31)) as f64 / u64::MAX as f64)
    }
}

/// `WHORL_KILLS=200 cargo test --release --test resume kill` kills as often; 20 times without it.
#[test]
fn a_killed_run_comes_to_the_same_bits() {
    let kills = std::env::var("WHORL_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let seed = std::env::var("WHORL_KILL_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let folder = folder("killed");
    let begin = Instant::now();
    folder.whorl("run script.whorl --quiet --out undisturbed --checkpoint-every 0.01").good();
    let took = begin.elapsed();
    let expected = Left::of(&folder, "undisturbed");
    let mut moments = Moments(seed);
    let (mut killed, mut places) = (0, Vec::new());
    for round in 0.. {
        if killed >= kills {
            break;
        }
        let out = format!("killed-{round}");
        let threads = 1 + round % 2;
        let first = format!("run script.whorl --quiet --out {out} --checkpoint-every 0.01 --threads {threads}");
        let mut line = first.clone();
        // Kill it, and what resumes it, until a process comes to its end; one is left alone if the machine has become too slow.
        for attempt in 0.. {
            let mut child = start(&folder, &line);
            if attempt < 10 {
                std::thread::sleep(moments.next(took.mul_f64(1.1)));
                child.kill().expect("killed");
            }
            let status = child.wait().expect("a status");
            if status.code().is_some() {
                assert!(status.success(), "round {round}: {line}: {status}");
                break;
            }
            killed += 1;
            let path = folder.0.join(&out);
            let there = path.join("config.toml").exists();
            assert_eq!(path.exists(), there, "a folder is there as a whole or not at all");
            places.push(checkpoint::read_header(&path.join(checkpoint::FILE)).map_or(0, |h| h.steps_done));
            line = if there {
                format!("resume {out} --quiet --checkpoint-every 0.01 --threads {}", 3 - threads)
            } else {
                first.clone()
            };
        }
        same(&Left::of(&folder, &out), &expected, &format!("round {round}"));
        std::fs::remove_dir_all(folder.0.join(&out)).expect("removed");
    }
    places.sort_unstable();
    places.dedup();
    assert!(places.len() > (kills / 4).min(10), "the moments were too much alike: {places:?}");
    eprintln!("{killed} kills, at {} different checkpoints", places.len());
}

/// Sends a signal to a run once it has made a checkpoint.
fn signalled(folder: &Folder, line: &str, out: &str, signal: &str) -> (Option<i32>, String) {
    let child = start(folder, line);
    let made = folder.0.join(out).join(checkpoint::FILE);
    let begin = Instant::now();
    while !made.exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::sleep(Duration::from_millis(2));
    }
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    let output = child.wait_with_output().expect("an end");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn signals_stop_a_run_that_can_go_on() {
    let folder = folder("signals");
    folder.whorl("run script.whorl --quiet --out undisturbed --work 3000").good();
    let expected = Left::of(&folder, "undisturbed");
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let out = format!("out{signal}");
        let line = format!("run script.whorl --out {out} --work 3000 --checkpoint-every 0");
        let (ended, said) = signalled(&folder, &line, &out, signal);
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains("stopped at step") && said.contains(&format!("whorl resume {out}")), "{said}");
        let summary: Value = serde_json::from_str(&folder.text(&format!("{out}/summary.json"))).expect("JSON");
        assert_eq!(summary["status"], "stopped");
        let step = summary["step"].as_u64().expect("a step");
        assert!(step < 600, "{summary}");
        let listed = folder.whorl(&format!("runs {out}")).good().out;
        assert!(listed.contains("stopped") && listed.contains(&format!("{step}/600")), "{listed}");
        let said = folder.whorl(&format!("resume {out} --threads 1")).good();
        assert!(said.err.contains(&format!("goes on at step {step} of 600")), "{}", said.err);
        assert!(said.out.starts_with("mean = ") && said.out.ends_with("n = [300, 300, 300]\n"), "{}", said.out);
        same(&Left::of(&folder, &out), &expected, signal);
    }
}

#[test]
fn two_processes_do_not_write_in_one_folder() {
    let folder = folder("busy");
    let mut child = start(&folder, "run script.whorl --quiet --out out --work 100000 --checkpoint-every 0");
    let begin = Instant::now();
    while !folder.0.join("out").join(checkpoint::FILE).exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::sleep(Duration::from_millis(2));
    }
    folder.whorl("resume out").bad(1, &["out", "another process is at work in it"]);
    assert!(folder.whorl("runs out").good().out.contains("running"));
    child.kill().expect("killed");
    child.wait().expect("an end");
    let listed = folder.whorl("runs out").good().out;
    assert!(listed.contains("cut off") && listed.contains("/600"), "{listed}");
}

/// A finished run whose last part is still to do: its end is taken away.
fn unfinished(folder: &Folder, out: &str) {
    std::fs::remove_file(folder.0.join(out).join("summary.json")).expect("removed");
}

#[test]
fn a_finished_run_is_not_done_again() {
    let folder = folder("finished");
    folder.whorl("run script.whorl --quiet --out out --steps 20 --keep 3 --checkpoint-every 0").good();
    let expected = Left::of(&folder, "out");
    let said = folder.whorl("resume out").good();
    assert!(said.err.contains("finished") && said.err.contains("whorl repeat out"), "{}", said.err);
    // From the end on, and from earlier checkpoints, it comes to the same again.
    unfinished(&folder, "out");
    folder.whorl("resume out --quiet").good();
    same(&Left::of(&folder, "out"), &expected, "from the end");
    let earlier = checkpoint::earlier(&folder.0.join("out"));
    assert_eq!(earlier.len(), 2, "{earlier:?}");
    folder.whorl(&format!("resume out --quiet --keep 3 --checkpoint {}", earlier[0].display())).good();
    same(&Left::of(&folder, "out"), &expected, "from an earlier checkpoint");
    // Without any checkpoint from the beginning.
    unfinished(&folder, "out");
    std::fs::remove_file(folder.0.join("out").join(checkpoint::FILE)).expect("removed");
    let said = folder.whorl("resume out").good();
    assert!(said.err.contains("no checkpoint yet; the run starts at the beginning"), "{}", said.err);
    same(&Left::of(&folder, "out"), &expected, "from the beginning");
}

#[test]
fn a_run_folder_is_enough() {
    let folder = folder("alone");
    folder.whorl("run script.whorl --quiet --out out --steps 20 --seed 4").good();
    let expected = Left::of(&folder, "out");
    // Whatever has become of the script and its modules.
    std::fs::remove_file(folder.0.join("script.whorl")).expect("removed");
    folder.write("helper.whorl", "pub let decay = 0.5\n");
    unfinished(&folder, "out");
    std::fs::remove_file(folder.0.join("out").join(checkpoint::FILE)).expect("removed");
    folder.whorl("resume out --quiet").good();
    same(&Left::of(&folder, "out"), &expected, "resumed");
    let said = folder.whorl("repeat out --quiet").good();
    assert_eq!(said.out.trim_end(), "out-repeat is out again, to the bit");
    same(&Left::of(&folder, "out-repeat"), &expected, "repeated");
    folder.whorl("repeat out --quiet").good();
    assert!(folder.0.join("out-repeat-2").exists());
}

#[test]
fn a_repetition_that_differs_is_told() {
    let folder = folder("differs");
    folder.whorl("run script.whorl --quiet --out out --steps 20").good();
    let path = folder.0.join("out/metrics.jsonl");
    let good = std::fs::read_to_string(&path).expect("records");
    std::fs::write(&path, good.replacen("\"values\":[", "\"values\":[1", 1)).expect("written");
    folder.whorl("repeat out --quiet").bad(1, &["metrics.jsonl differs: first {", "is not the same as out"]);
    std::fs::write(&path, good).expect("written");
    std::fs::write(folder.0.join("out/all.npz"), b"x").expect("written");
    folder.whorl("repeat out --quiet").bad(1, &["all.npz differs", "is not the same as out"]);
    folder.whorl("run script.whorl --quiet --out other --steps 20 --seed 1").good();
    std::fs::copy(folder.0.join("other/checkpoint.safetensors"), folder.0.join("out/checkpoint.safetensors"))
        .expect("copied");
    folder.whorl("repeat out --quiet").bad(1, &["the final states differ, first in `", "of run 0"]);
    unfinished(&folder, "out");
    folder.whorl("repeat out --quiet").bad(1, &["has not come to its end", "whorl resume out"]);
}

#[test]
fn damaged_folders_are_refused() {
    let folder = folder("damaged");
    folder.whorl("run script.whorl --quiet --out out --steps 20 --keep 2 --checkpoint-every 0").good();
    unfinished(&folder, "out");
    let path = |name: &str| folder.0.join("out").join(name);
    let (config, good) = (folder.text("out/config.toml"), folder.read("out/checkpoint.safetensors"));

    let earlier = checkpoint::earlier(&path("")).pop().expect("an earlier one");
    let goes_on = format!("--checkpoint out/{}", earlier.file_name().expect("a name").to_string_lossy());
    let with_checkpoint = |bytes: &[u8], parts: &[&str]| {
        std::fs::write(path(checkpoint::FILE), bytes).expect("written");
        folder.whorl("resume out").bad(1, &[&["out/checkpoint.safetensors", &goes_on], parts].concat());
    };
    with_checkpoint(&good[..good.len() / 2], &["damaged"]);
    with_checkpoint(&good[..40], &["damaged", "cut off after 40 bytes"]);
    with_checkpoint(b"", &["no checkpoint of Whorl"]);
    with_checkpoint(b"something else entirely", &["no checkpoint of Whorl"]);
    let mut flipped = good.clone();
    *flipped.last_mut().expect("a byte") ^= 4;
    with_checkpoint(&flipped, &["damaged", "checksum"]);
    for other in ["--steps 21", "--steps 20 --seed 1"] {
        folder.whorl(&format!("run script.whorl --quiet --out other {other}")).good();
        with_checkpoint(&folder.read("other/checkpoint.safetensors"), &["it is of another run", "other settings"]);
        std::fs::remove_dir_all(folder.0.join("other")).expect("removed");
    }
    folder.write("script2.whorl", &SCRIPT.replace("2.0", "3.0"));
    folder.whorl("run script2.whorl --quiet --out second --steps 20").good();
    with_checkpoint(&folder.read("second/checkpoint.safetensors"), &["it is of another run: of another script"]);
    std::fs::remove_file(&earlier).expect("removed");
    std::fs::write(path(checkpoint::FILE), &flipped).expect("written");
    folder.whorl("resume out").bad(1, &["damaged", "whorl repeat out"]);
    folder.whorl("resume out --checkpoint nowhere").bad(1, &["nowhere: there is no such file"]);

    std::fs::write(path(checkpoint::FILE), &good).expect("written");
    std::fs::write(path("config.toml"), &config[..config.len() / 3]).expect("written");
    folder.whorl("resume out").bad(1, &["out/config.toml is damaged"]);
    std::fs::write(path("config.toml"), config.replace("seed = 0", "")).expect("written");
    folder.whorl("resume out").bad(1, &["out/config.toml is damaged", "`seed`"]);
    assert!(folder.whorl("runs out").good().out.contains("damaged"), "a list has all");
    std::fs::remove_file(path("config.toml")).expect("removed");
    folder.whorl("resume out").bad(1, &["no run folder", "whorl runs"]);
    std::fs::write(path("config.toml"), config.replace("whorl = \"0.1.0\"", "whorl = \"0.0.1\"")).expect("written");
    folder.whorl("resume out --quiet").good();

    std::fs::write(path("config.toml"), &config).expect("written");
    unfinished(&folder, "out");
    std::fs::write(path("source/helper.whorl"), "pub let decay = 0.5\n").expect("written");
    folder.whorl("resume out").bad(1, &["changed since the run", "whorl run script.whorl --seed 0"]);
    std::fs::remove_file(path("source/helper.whorl")).expect("removed");
    folder.whorl("resume out").bad(1, &["source/helper.whorl"]);
    std::fs::write(path("source/helper.whorl"), HELPER).expect("written");
    // Records that were not written whole are made again.
    let records = folder.text("out/metrics.jsonl");
    std::fs::write(path("metrics.jsonl"), &records[..records.len() - 9]).expect("written");
    folder.whorl("resume out --quiet").good();
    folder.whorl("resume nowhere").bad(1, &["nowhere: there is no such folder"]);
    folder.whorl("runs nowhere").bad(1, &["nowhere: there is no such folder"]);
}

#[test]
fn data_files_belong_to_the_run() {
    let text = "data xs = load(\"xs.csv\")\nfn main(key: Key) = train scan s = 0.0 for x in xs.a {\n  log(\"s\", s)\n  s + x\n}\n";
    let folder = Folder::with("data", text);
    folder.write("xs.csv", "a\n1.5\n2\n3\n");
    folder.whorl("run script.whorl --quiet --out out").good();
    unfinished(&folder, "out");
    folder.whorl("resume out --quiet").good();
    unfinished(&folder, "out");
    folder.write("xs.csv", "a\n1.5\n2\n4\n");
    folder.whorl("resume out").bad(1, &["the data file xs.csv has been changed since the run"]);
    std::fs::remove_file(folder.0.join("xs.csv")).expect("removed");
    folder.whorl("resume out").bad(1, &["xs.csv"]);
}

/// A file system of so many kilobytes, while the test lasts; none where mounting is not allowed.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, options: &str) -> Option<Small> {
        std::fs::create_dir_all(at).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).stderr(Stdio::null()).status();
        mounted.is_ok_and(|s| s.success()).then(|| Small(at.to_path_buf()))
    }

    fn again(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().is_ok_and(|s| s.success()));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let folder = folder("full");
    folder.whorl("run script.whorl --quiet --out undisturbed").good();
    let expected = Left::of(&folder, "undisturbed");
    let Some(disk) = Small::mount(&folder.0.join("disk"), "size=2m") else {
        eprintln!("skipped: mounting a small file system is not allowed here");
        return;
    };
    // Room for the folder, and for nothing behind it.
    std::fs::write(folder.0.join("disk/ballast"), vec![1; (2 << 20) - (64 << 10)]).expect("ballast");
    let said = folder.whorl("run script.whorl --out disk/out --checkpoint-every 0");
    assert!(said.err.contains("warning: disk/out/metrics.jsonl: No space left"), "{}", said.err);
    assert!(said.err.contains("the run goes on"), "{}", said.err);
    assert!(said.err.contains("once there is room, `whorl resume disk/out`"), "{}", said.err);
    assert!(said.out.starts_with("mean = "), "results are told all the same: {}", said.out);
    assert_eq!(said.code, Some(1));
    let records = folder.text("disk/out/metrics.jsonl");
    assert!(records.is_empty() || records.ends_with('\n'), "whole lines only");
    let last = checkpoint::read(&folder.0.join("disk/out").join(checkpoint::FILE));
    assert!(matches!(last, Ok(_) | Err(checkpoint::Unreadable::Missing)), "the last good one stays: {last:?}");
    while std::fs::OpenOptions::new().append(true).open(folder.0.join("disk/ballast")).is_ok_and(|mut f| {
        use std::io::Write;
        f.write_all(&[1; 4096]).is_ok()
    }) {}
    folder.whorl("run script.whorl --out disk/second").bad(1, &["the run folder", "No space left"]);
    std::fs::remove_file(folder.0.join("disk/ballast")).expect("removed");
    folder.whorl("resume disk/out --quiet").good();
    same(&Left::of(&folder, "disk/out"), &expected, "after there was room");

    disk.again("ro");
    folder.whorl("run script.whorl --out disk/other").bad(1, &["the run folder", "Read-only", "--out DIR"]);
    unfinished_is_refused(&folder);
}

/// On a disk that takes nothing.
fn unfinished_is_refused(folder: &Folder) {
    folder.whorl("resume disk/out").bad(1, &["disk/out", "Read-only"]);
    assert!(folder.whorl("runs disk/out").good().out.contains("finished"), "reading is no writing");
}

#[test]
fn folders_that_cannot_be_made() {
    let folder = folder("unmade");
    folder.write("file", "x");
    folder.whorl("run script.whorl --out file/out").bad(1, &["the run folder", "--out DIR"]);
    folder.whorl("run script.whorl --out file").bad(1, &["the run folder", "--out DIR"]);
    let left: Vec<_> =
        std::fs::read_dir(&folder.0).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(left.len(), 3, "nothing is left behind: {left:?}");
}

#[test]
fn a_failed_run_can_be_resumed_from_before_the_failure() {
    let text = "fn main(key: Key) = train scan s = 0.0 for i in 0..60 {\n  log(\"s\", s)\n  assert s < 30.0, \"too large\"\n  s + 1.0\n}\n";
    let folder = Folder::with("failed", text);
    folder
        .whorl("run script.whorl --out out")
        .bad(1, &["too large", "checkpoint.safetensors holds the state before step"]);
    let summary: Value = serde_json::from_str(&folder.text("out/summary.json")).expect("JSON");
    assert_eq!((summary["status"].as_str(), summary["error"]["code"].as_str()), (Some("failed"), Some("E0701")));
    let before = folder.text("out/metrics.jsonl");
    assert_eq!(before.lines().count(), 30);
    // It fails there again, and the records are the same.
    folder.whorl("resume out").bad(1, &["too large"]);
    assert_eq!(folder.text("out/metrics.jsonl"), before);
    let listed = folder.whorl("runs out --json").good().out;
    assert_eq!(events(&listed)[0]["status"], "failed");
}

/// What is logged before a `train scan` is not lost when the scan fails in its first steps and the run is resumed.
#[test]
fn logs_before_a_scan_that_fails_are_kept() {
    let text = "fn main(key: Key) {\n  let a = train scan s = 0.0 for i in 0..20 { s + 1.0 }\n  log(\"between\", a)\n  \
                train scan s = a for i in 0..20 {\n    log(\"s\", s)\n    assert s < AT\n    s + 1.0\n  }\n}\n";
    for (at, logged) in [("20.0", 1), ("21.5", 3), ("35.5", 17)] {
        let folder = Folder::with(&format!("before-{at}"), &text.replace("AT", at));
        folder.whorl("run script.whorl --quiet --out out").bad(1, &["E0701"]);
        let before = folder.text("out/metrics.jsonl");
        assert_eq!(before.lines().count(), logged, "{at}: {before}");
        folder.whorl("resume out --quiet").bad(1, &["E0701"]);
        assert_eq!(folder.text("out/metrics.jsonl"), before, "{at}");
    }
}
