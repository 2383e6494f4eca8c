//! Texts that nobody would write: scripts of the repository with changes, and programs made up by a grammar. Whatever
//! they are, nothing panics, overflows the stack, eats the memory or hangs; `fuzz/judge.rs` says what else must hold.
//!
//! `WHORL_FUZZ_SECONDS=600 cargo test --release --test fuzz` works for ten minutes (otherwise through a few hundred
//! texts, always the same), from `WHORL_FUZZ_SEED` on (0). The texts depend on their seeds and the repository's scripts alone. Each failure is told with
//! the smallest text that was found for it, which then becomes a test.
//!
//! The work is done in a process of its own, with bounded memory: where it dies or hangs, the text it worked on is known
//! and another process goes on with the next.

#[path = "fuzz/grammar.rs"]
mod grammar;
#[path = "fuzz/judge.rs"]
mod judge;
#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/random.rs"]
mod random;
#[path = "fuzz/reduce.rs"]
mod reduce;
mod support;
#[path = "fuzz/worker.rs"]
mod worker;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use worker::{Found, Worker};

/// How many texts are tried unless a time is given.
const TEXTS: u64 = 600;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|s| s.parse().ok())
}

#[test]
fn any_text_is_answered() {
    let first = setting("WHORL_FUZZ_SEED").unwrap_or(0);
    let (seconds, last) = match setting("WHORL_FUZZ_SECONDS") {
        Some(seconds) => (Duration::from_secs(seconds), u64::MAX),
        None => (Duration::MAX, first + TEXTS),
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&folder).expect("a folder to work in");
    let begin = Instant::now();
    let mut failures: BTreeMap<String, Found> = BTreeMap::new();
    let (mut seed, mut counts) = (first, BTreeMap::<String, usize>::new());
    while begin.elapsed() < seconds && seed < last {
        let mut worker = Worker::start(&folder, seed);
        let ended = worker.watch(
            seconds.saturating_sub(begin.elapsed()),
            last,
            |found| keep(&mut failures, found),
            &mut counts,
        );
        seed = ended.next_seed;
        if let Some(found) = ended.killed_by {
            keep(&mut failures, found);
        }
    }
    println!("{} texts from seed {first} on: {counts:?}", seed - first);
    assert!(seed > first, "nothing was tried");
    let mut report = String::new();
    for (kind, found) in failures {
        let small = reduce::reduce(&found.text, 200, |text| worker::kind_of(&folder, text).as_deref() == Some(&kind));
        report += &format!("==== {kind} (seed {})\n{}\n---- text\n{small}\n", found.seed, found.detail);
    }
    assert!(report.is_empty(), "{report}");
}

/// Of several texts for one failure the smallest stays.
fn keep(failures: &mut BTreeMap<String, Found>, found: Found) {
    let smaller = failures.get(&found.kind).is_none_or(|known| found.text.len() < known.text.len());
    if smaller {
        eprintln!("seed {}: {}", found.seed, found.kind);
        failures.insert(found.kind.clone(), found);
    }
}

/// What `Worker::start` and `kind_of` run: not a test of its own.
#[test]
fn worker_process() {
    if let Some(task) = std::env::var_os("WHORL_FUZZ_TASK") {
        worker::work(&task.to_string_lossy());
    }
}

/// Texts that would need more stack, memory or time than there is, one by one.
#[test]
fn too_much_is_refused() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-large");
    std::fs::create_dir_all(&folder).expect("a folder to work in");
    let deep = |open: &str, close: &str| format!("fn main() = {}1.0{}\n", open.repeat(10_000), close.repeat(10_000));
    let texts = [
        deep("(", ")"),
        deep("[", "]"),
        deep("-", ""),
        deep("sin(", ")"),
        deep("{ a: ", " }"),
        format!("fn main() = 1.0{}\n", " + 1.0".repeat(10_000)),
        format!("fn main() = [{}]\n", "1.0, ".repeat(100_000)),
        format!("fn main(key: Key) {{\n{}  x\n}}\n", "  let x = normal(key)\n".repeat(2_000)),
        format!(
            "fn main() {{\n  let x0 = 1.0\n{}  x200\n}}\n",
            (0..200).map(|k| format!("  let x{} = x{k} + x{k}\n", k + 1)).collect::<String>()
        ),
        format!(
            "fn main() {{\n  let x0 = 1.0\n{}  x60\n}}\n",
            (0..60).map(|k| format!("  let x{} = (x{k}, x{k})\n", k + 1)).collect::<String>()
        ),
        format!(
            "{}fn main() = f1000(1.0)\nfn f0(x) = x\n",
            (0..1000).map(|k| format!("fn f{}(x) = f{k}(x)\n", k + 1)).collect::<String>()
        ),
        format!(
            "{}fn main() = f40(1.0)\nfn f0(x) = x\n",
            (0..40).map(|k| format!("fn f{}(x) = f{k}(x) + f{k}(x)\n", k + 1)).collect::<String>()
        ),
        format!("fn main() = {}sin{}(1.0)\n", "grad(".repeat(30), ")".repeat(30)),
        "fn main() = sum(zeros(99999, 99999))\n".to_string(),
        "fn main() = zeros(99999, 99999)\n".to_string(),
        "fn main() = sum(for i in 0..1000000000 { f32(i) })\n".to_string(),
        "fn main() = for i in 0..1000000000 { for j in 0..1000000000 { i + j } }\n".to_string(),
        "fn main() = scan s = 0.0 for i in 0..1000000000 { s + 1.0 }\n".to_string(),
        "fn main() = grad(fn(x) = scan s = x for i in 0..1000000000 { s * x })(1.0)\n".to_string(),
        "fn main() = sort(arange(2000000000))\n".to_string(),
        "fn main() = permutation(key(0), 2000000000)\n".to_string(),
        "fn main() = cumsum(ones(1000000000))\n".to_string(),
        "fn main() = associative_scan(fn(a, b) = a + b, ones(1000000000))\n".to_string(),
        "fn main() = eye(100000) @ eye(100000)\n".to_string(),
        "fn main() = split(key(0), 1000000000)\n".to_string(),
        "fn main() = one_hot(arange(1000000), 1000000)\n".to_string(),
        "fn main() = linspace(0.0, 1.0, 1000000000)\n".to_string(),
        "fn main() = full({ a: 1.0, b: zeros(1000000) }, 1000000)\n".to_string(),
        "fn main() = hessian(fn(x) = sum(x * x * x))(ones(100000))\n".to_string(),
        "fn main() = jacobian(fn(x) = x * x)(ones(1000000))\n".to_string(),
        "fn main() = pad([1.0], 1000000000, 1000000000)\n".to_string(),
        "fn main() {\n  let [a, b] = zeros(1000000000)\n  a\n}\n".to_string(),
        "size n = 2000000000\nfn main() = for i in 0..n { zeros(n) }\n".to_string(),
        "fn f(n) = if n == 0 { 0.0 } else { f(n - 1) + f(n - 1) }\nfn main() = f(40)\n".to_string(),
        "fn f(n) = if n == 0 { 0 } else { f(n - 1) }\nfn main() = f(100000)\n".to_string(),
        "fn f(g) = f(fn(x) = g(g(x)))\nfn main() = f(fn(x) = x + 1.0)\n".to_string(),
        "type T[A] = { a: A, b: A }\nfn main() = (T[T[T[T[f32]]]]).a\n".to_string(),
        format!(
            "type T0 = f32\n{}fn f(x: T60) = 1.0\nfn main() = f(1.0)\n",
            (0..60).map(|k| format!("type T{} = (T{k}, T{k})\n", k + 1)).collect::<String>()
        ),
    ];
    let mut report = String::new();
    for text in texts {
        if let Some(kind) = worker::kind_of(&folder, &text) {
            let shown: String = text.chars().take(200).collect();
            report += &format!("==== {kind}\n{shown}\n");
        }
    }
    assert!(report.is_empty(), "{report}");
}
