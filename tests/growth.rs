//! Compilation grows with the program as the program does.
//!
//! What is counted is the memory that the compiler asks for, of which every pass asks for some wherever it looks: how often, and how
//! many bytes. Both are (nearly) the same each time, which times are not.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use whorl::pipeline;

struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn count(bytes: usize) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

// SAFETY: everything is the system's allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Trains so many agents, one after the other.
fn agents(n: usize) -> String {
    let trained: String = (0..n).map(|k| format!("  let r{k} = ppo.train(cartpole.env, ks[{k}])\n")).collect();
    let names: Vec<String> = (0..n).map(|k| format!("r{k}")).collect();
    format!(
        "import std.rl.ppo\nimport std.env.cartpole\n\nfn main(key: Key) = {{\n  let ks = split(key, {n})\n{trained}  ({},)\n}}\n",
        names.join(", ")
    )
}

/// A network of so many layers, all of another width, and a step along its gradient.
fn layers(n: usize) -> String {
    let width = |k: usize| 16 + k;
    let made: String =
        (0..n).map(|k| format!("  let w{k} = normal(ks[{k}], {}, {})\n", width(k), width(k + 1))).collect();
    let through: String = (0..n).map(|k| format!("    let h = tanh(h @ w.{k})\n")).collect();
    let names: Vec<String> = (0..n).map(|k| format!("w{k}")).collect();
    format!(
        "fn main(key: Key) = {{\n  let ks = split(key, {n})\n{made}  let loss = fn(w) = {{\n    let h = ones(8, 16)\n{through}    mean(h)\n  }}\n  grad(loss)(({},))\n}}\n",
        names.join(", ")
    )
}

/// From text to machine code, on one thread: calls and bytes.
fn work(text: String) -> [f64; 2] {
    let begin = [&CALLS, &BYTES].map(|c| c.load(Ordering::Relaxed));
    let source = pipeline::load_text("growth.whorl", text.clone(), &[]).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let traced = source.script.trace_main();
    let traced = traced.unwrap_or_else(|d| panic!("{}\n{text}", pipeline::render(&d, &source.map)));
    let (program, _) = pipeline::cut(traced.program);
    pipeline::compile(program, &source.map, 1).unwrap_or_else(|e| panic!("{e}"));
    let end = [&CALLS, &BYTES].map(|c| c.load(Ordering::Relaxed));
    [0, 1].map(|k| (end[k] - begin[k]) as f64)
}

#[test]
fn twice_the_program_is_twice_the_work() {
    // The first has to read what all need.
    work(agents(1));
    for (what, text, sizes) in
        [("agents", agents as fn(usize) -> String, [1, 2, 4, 8]), ("layers", layers, [4, 8, 16, 32])]
    {
        let of: Vec<[f64; 2]> = sizes.iter().map(|&n| work(text(n))).collect();
        println!("{what} {sizes:?}: {of:?}");
        for (k, n) in sizes.iter().enumerate().skip(1) {
            for (unit, (more, less)) in ["calls", "bytes"].into_iter().zip(of[k].iter().zip(&of[k - 1])) {
                assert!(*more <= MOST * less, "{n} {what}: {more} {unit}, of half as many {less}");
            }
        }
    }
}

/// Times the work for twice the program; a pass that looks at all pairs takes four times as much.
const MOST: f64 = 2.25;
