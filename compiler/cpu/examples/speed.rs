//! How fast compilation and a few loops are: `cargo run --release -p whorl-cpu --example speed`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Instant;

use common::*;
use whorl_core::ir::{DType, Lit};
use whorl_core::prim::{Binary, Unary};
use whorl_cpu::{Options, VectorMode, compile};
use whorl_schedule::loop_ir::*;

const F32: DType = DType::F32;

fn main() {
    compile_time();
    speed("tanh [128, 64]", 8192, tanh(8192));
    speed("add [8192]", 8192, chain(8192, 1));
    speed("30 ops [8192]", 8192, chain(8192, 30));
    speed("adam 9000", 9000, adam(9000));
    speed("threefry 16384 blocks", 16384, threefry(16384));
    speed("sum [64, 1024]", 65536, sum(64, 1024, ReduceOrder::Interleaved, false));
    speed("sum over rows [1024, 64]", 65536, sum(64, 1024, ReduceOrder::Sequential, true));
    speed("sum [16384, 4]", 65536, sum(16384, 4, ReduceOrder::Interleaved, false));
    speed("transpose [128, 64]", 8192, transpose(128, 64));
    speed("exp f64 [8192]", 8192, exp64(8192));
}

fn compile_time() {
    let mut build = Build::new();
    let mut random = Random(1);
    let nodes = (0..200).flat_map(|k| chain_nodes(&mut build, &mut random, 1000 + k, 30)).collect();
    build.straight(nodes);
    for threads in [1, 2] {
        let start = Instant::now();
        let options = Options { threads, vector: VectorMode::Auto, ..Options::default() };
        let executable = compile(&build.program, &options).expect("compiles");
        println!("200 loops of 30 ops: {:.1} ms on {threads} threads", start.elapsed().as_secs_f64() * 1e3);
        drop(executable);
    }
}

/// By the vectors that the machine has, by those of AVX2, and by four lanes.
fn speed(name: &str, elements: usize, build: Build) {
    let times = [VectorMode::Auto, VectorMode::Avx2, VectorMode::Narrow].map(|vector| {
        let options = Options { vector, ..Options::default() };
        let executable = compile(&build.program, &options).expect("compiles");
        let mut state = executable.new_run(0, &build.args).expect("inputs fit");
        let mut best = f64::INFINITY;
        for _ in 0..50 {
            let start = Instant::now();
            for _ in 0..20 {
                executable.run_phase(0, &mut state, 0, 0).expect("runs");
            }
            best = best.min(start.elapsed().as_secs_f64() / 20.0);
        }
        format!("{:.3} ns", best / elements as f64 * 1e9)
    });
    println!("{name}: {} an element", times.join(", "));
}

fn numbers(random: &mut Random, n: usize) -> whorl_core::ir::ArrayData {
    let lits: Vec<Lit> = (0..n).map(|_| Lit::f32((random.bits() >> 40) as f32 / 1e7 + 0.1)).collect();
    whorl_core::ir::ArrayData::from_lits(F32, &[n], &lits)
}

fn tanh(n: usize) -> Build {
    let mut build = Build::new();
    let x = build.input(numbers(&mut Random(2), n));
    let y = build.output(F32, &[n]);
    let ops = vec![load(x, &[1], F32), op(LaneKind::Unary(Unary::Tanh, Value(0)), F32), store(y, &[1], 1, F32)];
    build.straight(vec![lanes(&[n], ops)]);
    build
}

fn chain_nodes(build: &mut Build, random: &mut Random, n: usize, ops: u32) -> Vec<Node> {
    let (x, y) = (build.input(numbers(random, n)), build.input(numbers(random, n)));
    let out = build.output(F32, &[n]);
    let mut list = vec![load(x, &[1], F32), load(y, &[1], F32)];
    for k in 0..ops {
        let kinds = [Binary::Add, Binary::Mul, Binary::Sub, Binary::Max];
        list.push(op(LaneKind::Binary(kinds[k as usize % 4], Value(k + 1), Value(k)), F32));
    }
    list.push(store(out, &[1], ops + 1, F32));
    vec![lanes(&[n], list)]
}

fn chain(n: usize, ops: u32) -> Build {
    let mut build = Build::new();
    let nodes = chain_nodes(&mut build, &mut Random(3), n, ops);
    build.straight(nodes);
    build
}

/// Kingma and Ba (2015), algorithm 1.
fn adam(n: usize) -> Build {
    let mut build = Build::new();
    let random = &mut Random(4);
    let [p, g, m, v] = std::array::from_fn(|_| build.input(numbers(random, n)));
    let lit = |x: f32| op(LaneKind::Lit(Lit::f32(x)), F32);
    let two = |b, x, y| op(LaneKind::Binary(b, Value(x), Value(y)), F32);
    let ops = vec![
        load(p, &[1], F32),
        load(g, &[1], F32),
        load(m, &[1], F32),
        load(v, &[1], F32),
        lit(0.9),
        lit(0.1),
        lit(0.999),
        lit(0.001),
        two(Binary::Mul, 2, 4),
        two(Binary::Mul, 1, 5),
        two(Binary::Add, 8, 9),
        two(Binary::Mul, 3, 6),
        two(Binary::Mul, 1, 1),
        two(Binary::Mul, 12, 7),
        two(Binary::Add, 11, 13),
        op(LaneKind::Unary(Unary::Sqrt, Value(14)), F32),
        lit(1e-5),
        two(Binary::Add, 15, 16),
        two(Binary::Div, 10, 17),
        two(Binary::Mul, 18, 7),
        two(Binary::Sub, 0, 19),
        store(p, &[1], 20, F32),
        store(m, &[1], 10, F32),
        store(v, &[1], 14, F32),
    ];
    build.straight(vec![lanes(&[n], ops)]);
    build
}

fn threefry(n: usize) -> Build {
    let mut build = Build::new();
    let d = DType::U32;
    let (x, y) = (build.output(d, &[n]), build.output(d, &[n]));
    let words = [Value(0), Value(0), Value(2), Value(2)];
    let ops = vec![
        op(LaneKind::Lit(Lit::u32(7)), d),
        op(LaneKind::Position(0), DType::I32),
        op(LaneKind::Convert(Value(1)), d),
        op(LaneKind::Threefry(0, words), d),
        op(LaneKind::Threefry(1, words), d),
        store(x, &[1], 3, d),
        store(y, &[1], 4, d),
    ];
    build.straight(vec![lanes(&[n], ops)]);
    build
}

fn sum(n: usize, m: usize, order: ReduceOrder, turned: bool) -> Build {
    let mut build = Build::new();
    let x = build.input(numbers(&mut Random(5), n * m));
    let out = build.output(F32, &[n]);
    let strides = if turned { [1, n as isize] } else { [m as isize, 1] };
    let kind = ReductionKind::Fold(whorl_core::prim::Monoid::Sum);
    let r = Reduction { kind, value: Value(0), into: view(out, &[1]), order };
    build.straight(vec![reducing(&[n], &[m], vec![load(x, &strides, F32)], vec![r])]);
    build
}

fn transpose(n: usize, m: usize) -> Build {
    let mut build = Build::new();
    let x = build.input(numbers(&mut Random(6), n * m));
    let out = build.output(F32, &[m, n]);
    let ops = vec![load(x, &[1, m as isize], F32), store(out, &[n as isize, 1], 0, F32)];
    build.straight(vec![lanes(&[m, n], ops)]);
    build
}

fn exp64(n: usize) -> Build {
    let mut build = Build::new();
    let d = DType::F64;
    let x = build.input(Random(7).array(d, &[n]));
    let y = build.output(d, &[n]);
    let ops = vec![load(x, &[1], d), op(LaneKind::Unary(Unary::Exp, Value(0)), d), store(y, &[1], 1, d)];
    build.straight(vec![lanes(&[n], ops)]);
    build
}
