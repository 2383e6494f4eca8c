//! The process that puts texts through the compiler, and who watches it.
//!
//! A task is `seeds FOLDER FIRST`: texts of ever further seeds until the process is killed; or `one FOLDER`: the text in
//! `FOLDER/one.whorl`; or `text SEED`, which prints a text. What the worker says, it says on standard output, a line each: `#at SEED`, `#reached NAME`,
//! `#failed FILE`. The text at work lies in `FOLDER/current.whorl`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::random::Random;
use crate::{grammar, judge, mutate};

/// A kilobyte count for `ulimit -v`: far more than any text needs, a tracer's stack included.
const MEMORY_KB: u64 = 6 << 20;
/// Processor time for one text.
const SECONDS: f64 = 20.0;

/// A text that the compiler did not stand.
pub struct Found {
    pub kind: String,
    pub detail: String,
    pub seed: u64,
    pub text: String,
}

/// Why the watch ended.
pub struct Ended {
    pub next_seed: u64,
    /// The text at which the process died or hung.
    pub killed_by: Option<Found>,
}

pub struct Worker {
    child: Child,
    lines: Receiver<String>,
    folder: std::path::PathBuf,
    first: u64,
}

fn spawn(task: &str) -> (Child, Receiver<String>) {
    let program = std::env::current_exe().expect("this program has a path");
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -v {MEMORY_KB}; ulimit -c 0; exec \"$0\" --exact worker_process --nocapture")])
        .arg(program)
        .env("WHORL_FUZZ_TASK", task)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process to work in");
    let out = child.stdout.take().expect("a pipe");
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // The first word may stand behind what the test harness says.
            if let Some(at) = line.find('#')
                && send.send(line[at..].to_string()).is_err()
            {
                return;
            }
        }
    });
    (child, lines)
}

impl Worker {
    pub fn start(folder: &Path, first: u64) -> Worker {
        let (child, lines) = spawn(&format!("seeds {} {first}", folder.display()));
        Worker { child, lines, folder: folder.to_path_buf(), first }
    }

    /// Listens to the worker for so long, or up to a seed, or until it dies or hangs.
    pub fn watch(
        &mut self,
        time: Duration,
        last: u64,
        mut found: impl FnMut(Found),
        counts: &mut BTreeMap<String, usize>,
    ) -> Ended {
        let begin = Instant::now();
        let (mut seed, mut began) = (self.first, 0.0);
        loop {
            let line = self.lines.recv_timeout(Duration::from_millis(200));
            let words: Vec<&str> = line.as_deref().map(|l| l.split_whitespace().collect()).unwrap_or_default();
            match words[..] {
                ["#at", at] => (seed, began) = (at.parse().unwrap_or(seed), self.processor_time()),
                ["#reached", name] => *counts.entry(name.to_string()).or_default() += 1,
                ["#failed"] => found(self.failure(seed)),
                _ => {}
            }
            if begin.elapsed() >= time || seed >= last {
                self.stop();
                return Ended { next_seed: seed + 1, killed_by: None };
            }
            let kind = match line {
                Err(RecvTimeoutError::Timeout) if self.processor_time() - began > SECONDS => {
                    format!("takes more than {SECONDS} s")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    format!("the process dies: {}", self.child.wait().map_or("?".into(), |s| s.to_string()))
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => continue,
            };
            self.stop();
            let text = std::fs::read_to_string(self.folder.join("current.whorl")).unwrap_or_default();
            let killed_by = Some(Found { kind, detail: String::new(), seed, text });
            return Ended { next_seed: seed + 1, killed_by };
        }
    }

    fn failure(&self, seed: u64) -> Found {
        let read = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let said = read(&format!("failed-{seed}.txt"));
        let (kind, detail) = said.split_once('\n').unwrap_or((&said, ""));
        Found { kind: kind.to_string(), detail: detail.to_string(), seed, text: read(&format!("failed-{seed}.whorl")) }
    }

    fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn processor_time(&self) -> f64 {
        processor_time(self.child.id())
    }
}

/// Seconds that a process has computed, of which a busy machine takes nothing away; 0 where the system does not say.
fn processor_time(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |k: usize| fields.get(k).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// What goes wrong with one text, in a process of its own; `None` if all is well.
pub fn kind_of(folder: &Path, text: &str) -> Option<String> {
    std::fs::write(folder.join("one.whorl"), text).expect("to write");
    let (mut child, lines) = spawn(&format!("one {}", folder.display()));
    let mut said = None;
    let kind = loop {
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => said = Some(line.trim_start_matches('#').to_string()),
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait();
                break match said {
                    Some(s) if s == "well" => None,
                    Some(s) => Some(s),
                    None => Some(format!("the process dies: {}", status.map_or("?".into(), |s| s.to_string()))),
                };
            }
            Err(RecvTimeoutError::Timeout) if processor_time(child.id()) > SECONDS => {
                break Some(format!("takes more than {SECONDS} s"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    kind
}

/// The worker's own side.
pub fn work(task: &str) {
    judge::remember_panics();
    let words: Vec<&str> = task.split_whitespace().collect();
    match words[..] {
        ["seeds", folder, first] => seeds(Path::new(folder), first.parse().expect("a seed")),
        ["one", folder] => {
            let mut text = String::new();
            std::fs::File::open(Path::new(folder).join("one.whorl"))
                .and_then(|mut f| f.read_to_string(&mut text))
                .expect("a text");
            match judge::judge(&text, true) {
                Ok(_) => println!("\n#well"),
                Err(f) => println!("\n#{}", f.kind),
            }
        }
        ["text", seed] => println!("{}", text(seed.parse().expect("a seed"), &scripts()).0),
        _ => panic!("{task}: no such task"),
    }
}

fn seeds(folder: &Path, first: u64) {
    let corpus = scripts();
    for seed in first.. {
        let (text, made) = text(seed, &corpus);
        std::fs::write(folder.join("current.whorl"), &text).expect("to write");
        println!("\n#at {seed}");
        match judge::judge(&text, seed % 16 == 0 || made && seed % 4 == 0) {
            Ok(reached) => println!("\n#reached {reached:?}"),
            Err(failure) => {
                let said = format!("{}\n{}", failure.kind, failure.detail);
                std::fs::write(folder.join(format!("failed-{seed}.whorl")), &text).expect("to write");
                std::fs::write(folder.join(format!("failed-{seed}.txt")), said).expect("to write");
                println!("\n#failed");
            }
        }
    }
}

fn scripts() -> Vec<mutate::Text> {
    let corpus = mutate::corpus(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(corpus.len() > 20, "where are the scripts?");
    corpus
}

/// The text of a seed, and whether it was made up as a whole.
fn text(seed: u64, corpus: &[mutate::Text]) -> (String, bool) {
    let mut r = Random::new(seed);
    match r.once_in(3) {
        true => (grammar::program(&mut r), true),
        false => (mutate::mutate(corpus, &mut r), false),
    }
}
