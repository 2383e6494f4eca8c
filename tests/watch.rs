//! `whorl watch`, while files change under it.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use support::tool::Folder;

/// Longer than any of it takes, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Watching {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Watching {
    fn new(folder: &Folder, arguments: &[&str]) -> Watching {
        let mut child = Command::new(env!("CARGO_BIN_EXE_whorl"))
            .env("WHORL_CACHE", "off")
            .arg("watch")
            .args(arguments)
            .current_dir(&folder.0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Watching { child, lines, seen: Vec::new() }
    }

    /// Waits for a line with this in it.
    #[track_caller]
    fn until(&mut self, part: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = line.contains(part);
                    self.seen.push(line);
                    if found {
                        return;
                    }
                }
                Err(e) => panic!("no line with `{part}` ({e}):\n{}", self.seen.join("\n")),
            }
        }
    }

    fn signal(&mut self, name: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill is there").success());
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_saved_is_tested() {
    let folder =
        Folder::with("watch", "import lib\ndata d = load(\"d.csv\")\ntest \"a\" { assert lib.two() == d.x[0] }\n");
    folder.write("lib.whorl", "pub fn two() = 2\n");
    folder.write("d.csv", "x\n2\n");
    let mut w = Watching::new(&folder, &["script.whorl"]);
    w.until("script.whorl: 1 passed, 0 failed");
    // A module, and a data file.
    folder.write("lib.whorl", "pub fn two() = 3\n");
    w.until("FAILED a");
    w.until("0 passed, 1 failed");
    folder.write("d.csv", "x\n3\n");
    w.until("1 passed, 0 failed");
    // Editors write another file and rename it.
    folder.write("new", "test \"b\" { assert true }\ntest \"c\" { assert true }\n");
    std::fs::rename(folder.0.join("new"), folder.0.join("script.whorl")).expect("a rename");
    w.until("2 passed, 0 failed");
    folder.write("script.whorl", "test \"b\" { assert tru }\n");
    w.until("unknown name `tru`");
    w.until("script.whorl: errors");
    // It goes, and comes again.
    std::fs::remove_file(folder.0.join("script.whorl")).expect("a file to remove");
    w.until("waiting for it");
    folder.write("script.whorl", "fn f(x) {\n  let y = x\n  x\n}\n");
    w.until("W0002");
    w.until("no errors, no tests, ");
    // A burst is one change, of which the last counts.
    for n in 1..=5 {
        let tests: Vec<String> = (0..n).map(|k| format!("test \"{k}\" {{ assert true }}\n")).collect();
        folder.write("script.whorl", &tests.concat());
    }
    w.until("5 passed, 0 failed");
    assert_eq!(w.signal("-INT"), Some(130));
}

#[test]
fn tests_that_never_end_are_left_for_a_change() {
    let folder = Folder::with("watch-loop", "test \"a\" { assert (while i = 1; i > 0 { 1 }) == 0 }\n");
    let mut w = Watching::new(&folder, &["script.whorl"]);
    // Nothing is said of a test that runs: the change itself must come behind its start.
    std::thread::sleep(Duration::from_millis(500));
    folder.write("script.whorl", "test \"a\" { assert true }\n");
    w.until("1 passed, 0 failed");
    assert_eq!(w.signal("-TERM"), Some(143));
}

#[test]
fn runs_follow_tests_and_are_replaced() {
    let training = |steps: &str| {
        format!(
            "param lr: f32 = 0.5\nfn main(key: Key) = train scan w = normal(key) for t in 0..{steps} {{ lr * w }}\ntest \"a\" {{ assert true }}\n"
        )
    };
    let folder = Folder::with("watch-run", &training("2000000000"));
    let mut w = Watching::new(&folder, &["script.whorl", "--run", "--lr", "0.25"]);
    w.until("1 passed, 0 failed");
    // The long run writes its folder; the next one comes to its end and prints its result.
    let end = Instant::now() + PATIENCE;
    while !folder.0.join("runs").is_dir() {
        assert!(Instant::now() < end, "no run");
        std::thread::sleep(Duration::from_millis(20));
    }
    folder.write("script.whorl", &training("1"));
    w.until("1 passed, 0 failed");
    w.until("result = ");
    assert_eq!(w.signal("-INT"), Some(130));
}

#[test]
fn a_name_that_is_none_is_told_at_once() {
    let folder = Folder::new("watch-none");
    folder.whorl("watch none.whorl").bad(1, &["none.whorl"]);
    folder.whorl("watch").bad(2, &["which file?"]);
}
