//! How long each stage of the compiler takes, by criterion: text to tree, tree to Core, Core to flat Core, Loop IR, machine code.
//!
//!     cargo bench --bench stages [-- PART OF A NAME]
//!
//! The programs are training loops: PPO on CartPole (as many agents in one script as the name says), and a transformer. `grad` is
//! the same small network traced for its loss alone, and for the loss's gradient.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use whorl::pipeline::{self, Source};
use whorl_core::Program;
use whorl_cpu::Options;
use whorl_source::SourceMap;

/// So many agents, one after the other.
fn agents(n: usize) -> String {
    let trained: String = (0..n).map(|k| format!("  let r{k} = ppo.train(cartpole.env, ks[{k}])\n")).collect();
    let names: Vec<String> = (0..n).map(|k| format!("r{k}")).collect();
    format!(
        "import std.rl.ppo\nimport std.env.cartpole\n\nfn main(key: Key) = {{\n  let ks = split(key, {n})\n{trained}  ({},)\n}}\n",
        names.join(", ")
    )
}

const TRANSFORMER: &str = include_str!("../examples/transformer_reverse.whorl");

const NETWORK: &str = "
fn loss(w, rows) = mean(for x in rows {
  let h = tanh(x @ w.a + w.b)
  let h = tanh(h @ w.c + w.d)
  mean(h * h)
})

fn main(key: Key) = {
  let (a, c, x) = split(key, 3)
  let w = { a: normal(a, 64, 64), b: zeros(64), c: normal(c, 64, 64), d: zeros(64) }
  GIVEN
}
";

fn source(text: &str) -> Source {
    pipeline::load_text("bench.whorl", text.to_string(), &[]).unwrap_or_else(|e| panic!("{e}"))
}

fn traced(source: &Source) -> Program {
    let traced = source.script.trace_main().unwrap_or_else(|d| panic!("{}", pipeline::render(&d, &source.map)));
    pipeline::cut(traced.program).0
}

fn stages(c: &mut Criterion, name: &str, text: &str) {
    let mut group = c.benchmark_group(name);
    group.sample_size(20);
    let file = SourceMap::new().add(name, text);
    group.bench_function("parse", |b| b.iter(|| black_box(whorl_syntax::parse(file, text))));
    // The library's modules that the script imports are read and resolved as well.
    group.bench_function("load", |b| b.iter(|| black_box(source(text))));
    let source = source(text);
    group.bench_function("trace", |b| b.iter(|| black_box(traced(&source))));
    let program = traced(&source);
    let clone = || program.clone();
    group.bench_function("flatten", |b| b.iter_batched(clone, pipeline::flatten, BatchSize::LargeInput));
    let flat = pipeline::flatten(program.clone());
    group.bench_function("schedule", |b| b.iter(|| black_box(pipeline::schedule(&flat, &source.map))));
    let loops = pipeline::schedule(&flat, &source.map).unwrap_or_else(|e| panic!("{e}"));
    for threads in [1, 2] {
        let options = Options { threads, ..Options::default() };
        let code = format!("code on {threads} thread{}", if threads == 1 { "" } else { "s" });
        group.bench_function(code, |b| b.iter(|| black_box(whorl_cpu::compile(&loops, &options))));
    }
}

fn programs(c: &mut Criterion) {
    stages(c, "1 agent", &agents(1));
    stages(c, "4 agents", &agents(4));
    stages(c, "transformer", TRANSFORMER);
}

fn grad(c: &mut Criterion) {
    let mut group = c.benchmark_group("grad");
    for (name, given) in
        [("loss", "loss(w, normal(x, 32, 64))"), ("gradient", "grad(fn(w) = loss(w, normal(x, 32, 64)))(w)")]
    {
        let source = source(&NETWORK.replace("GIVEN", given));
        group.bench_function(name, |b| b.iter(|| black_box(traced(&source))));
    }
}

criterion_group!(all, programs, grad);
criterion_main!(all);
