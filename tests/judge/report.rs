//! How many cases of a file pass, on each machine, and why the others are left out.
//!
//! The report on the recorded cases is kept in `reports/FILE.txt`: a case that comes to pass, fails or is left out changes it, and so shows
//! in the diff (`UPDATE=1` writes it anew). Other cases, by the content of their `FILE.json`, have a report that is printed only.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use whorl_host::hash::Checksum;

use crate::support::{recorded, root};

/// What became of a case.
pub enum Outcome {
    /// What each machine said, in the order of the report's machines.
    Judged(Vec<Result<(), String>>),
    /// Left out, for a reason that names what Whorl does not have: of the kind, not of the case.
    Excluded(String),
}

/// The least share of the cases that is to be applicable, and of the applicable that is to pass.
#[derive(Clone, Copy)]
pub struct Bar {
    pub applicable: f64,
    pub passed: f64,
}

/// Judges `cases` (their names, in order) with `judge`, on all cores, and compares the report with the one that is kept. A panic is a failure.
pub fn judge(file: &str, machines: &[&str], bar: Bar, cases: &[String], judge: impl Fn(usize) -> Outcome + Sync) {
    judge_as(file, file, machines, bar, cases, judge);
}

/// The same of the cases of a file in another respect, which has a report of its own.
pub fn judge_as(
    report: &str,
    file: &str,
    machines: &[&str],
    bar: Bar,
    cases: &[String],
    judge: impl Fn(usize) -> Outcome + Sync,
) {
    let outcomes: Vec<Mutex<Option<Outcome>>> = cases.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let one = |k: usize| {
        catch_unwind(AssertUnwindSafe(|| judge(k))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("of no text");
            Outcome::Judged(machines.iter().map(|_| Err(format!("panic: {text}"))).collect())
        })
    };
    std::thread::scope(|s| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
            s.spawn(|| {
                loop {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    if k >= cases.len() {
                        return;
                    }
                    let outcome = one(k);
                    *outcomes[k].lock().expect("no panic inside") = Some(outcome);
                }
            });
        }
    });
    let outcomes: Vec<Outcome> =
        outcomes.into_iter().map(|o| o.into_inner().expect("no panic inside").expect("all were judged")).collect();
    let of = Report::of(report, file, machines, cases, &outcomes);
    println!("{}", of.text);
    of.compare(report);
    of.hold(bar);
}

struct Report {
    text: String,
    total: usize,
    applicable: usize,
    passed: Vec<usize>,
    /// What failed, in full.
    failures: Vec<String>,
}

impl Report {
    fn of(name: &str, file: &str, machines: &[&str], cases: &[String], outcomes: &[Outcome]) -> Report {
        let mut excluded: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut passed = vec![0; machines.len()];
        let (mut applicable, mut failing, mut failures) = (0, Vec::new(), Vec::new());
        for (name, outcome) in cases.iter().zip(outcomes) {
            match outcome {
                Outcome::Excluded(reason) => excluded.entry(reason).or_default().push(name),
                Outcome::Judged(results) => {
                    applicable += 1;
                    assert_eq!(results.len(), machines.len(), "{name}: a result for each machine");
                    for (k, result) in results.iter().enumerate() {
                        match result {
                            Ok(()) => passed[k] += 1,
                            Err(e) => {
                                failing.push(format!("{name} on {}", machines[k]));
                                failures.push(format!("{name} on {}: {e}", machines[k]));
                            }
                        }
                    }
                }
            }
        }
        let total = cases.len();
        let mut text = format!("# {name}, {}\n", identity(file));
        for (machine, n) in machines.iter().zip(&passed) {
            let _ = writeln!(text, "{machine}: {n} passed / {applicable} applicable / {total} total");
        }
        for (reason, names) in &excluded {
            let _ = writeln!(text, "\nexcluded: {reason}");
            names.iter().for_each(|n| text += &format!("  {n}\n"));
        }
        if !failing.is_empty() {
            let _ = writeln!(text, "\nfailing");
            failing.iter().for_each(|n| text += &format!("  {n}\n"));
        }
        Report { text, total, applicable, passed, failures }
    }

    /// The report that is kept, if it is of the same cases, is the same.
    fn compare(&self, file: &str) {
        let path = root().join(format!("tests/judge/reports/{file}.txt"));
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &self.text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        } else if kept.is_empty() || kept.lines().next() == self.text.lines().next() {
            assert!(
                kept == self.text,
                "{} says otherwise (UPDATE=1 writes it anew):\n{}\n{}",
                path.display(),
                differences(&kept, &self.text),
                self.failures.join("\n")
            );
        } else {
            println!("{}: of other cases, not compared", path.display());
        }
    }

    fn hold(&self, bar: Bar) {
        let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
        let few = self.passed.iter().any(|&n| share(n, self.applicable) < bar.passed);
        assert!(!few, "{} failures\n{}", self.failures.len(), self.failures.join("\n"));
        let applicable = share(self.applicable, self.total);
        assert!(applicable >= bar.applicable, "{} of {} applicable", self.applicable, self.total);
    }
}

/// Which cases these are: the hash of the file that lists them.
fn identity(file: &str) -> String {
    let path = recorded::folder().expect("was read before").join(format!("{file}.json"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut sum = Checksum::new();
    sum.add(&bytes);
    format!("crc64 {}", sum.text())
}

/// Lines that only one of two texts has.
fn differences(kept: &str, new: &str) -> String {
    let missing = |of: &str, from: &str, mark: &str| {
        let lines: std::collections::BTreeSet<&str> = from.lines().collect();
        of.lines().filter(|l| !lines.contains(l)).map(|l| format!("{mark} {l}\n")).collect::<String>()
    };
    missing(kept, new, "-") + &missing(new, kept, "+")
}
