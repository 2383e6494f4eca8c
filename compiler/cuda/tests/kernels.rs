//! What only the cards' code does in a way of its own: long sorts, loops whose order matters, long folds. The emulator leaves the evaluator's bits.

#[path = "../../cpu/tests/common/build.rs"]
#[allow(dead_code)]
mod build;

use std::sync::Arc;

use build::*;
use whorl_core::ir::{ArrayData, DType, Lit, Shape, Spans};
use whorl_core::prim::{Binary, Monoid};
use whorl_cuda::{Executable, Options};
use whorl_device::Emulator;
use whorl_schedule::evaluate;
use whorl_schedule::loop_ir::*;

/// Many threads with all in shared memory, few with nothing there.
const WAYS: [(usize, usize); 3] = [(256, 160 * 1024), (64, 0), (32, 1024)];

#[track_caller]
fn check(build: &Build, ways: &[(usize, usize)]) {
    let program = &build.program;
    whorl_schedule::verify(program).expect("Loop IR");
    let expected = evaluate(program, &build.args).unwrap_or_else(|e| panic!("{e:?}")).results;
    for &(threads, shared) in ways {
        let options = Options { threads, shared, ..Options::default() };
        let module = whorl_cuda::compile(program, &options, &[], &|_| None).unwrap_or_else(|e| panic!("{e}"));
        let device = Arc::new(Emulator::default());
        let executable = Executable::new(program.clone(), module, device).unwrap_or_else(|e| panic!("{e}"));
        let got = executable.run_to_end(&build.args, &mut |_, _| ());
        let got = got.unwrap_or_else(|e| panic!("{threads} threads: {e}\n{:?}", program.phases));
        for (k, (e, g)) in expected.iter().zip(&got).enumerate() {
            if let Err(what) = same(e, g) {
                panic!("{threads} threads, {shared} bytes: result {k}: {what}\n{:?}", program.phases);
            }
        }
    }
}

/// Few different numbers, so that many keys are equal, with all that compares in a way of its own.
fn keys(random: &mut Random, dtype: DType, shape: &[usize]) -> ArrayData {
    let odd = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-41, 7.0];
    let lits: Vec<Lit> = (0..shape.iter().product())
        .map(|_| match dtype {
            DType::F32 | DType::F64 if random.below(3) == 0 => Lit::of(dtype, random.one_of(&odd)),
            DType::F32 | DType::F64 => Lit::of(dtype, random.below(50) as f64 - 25.0),
            dtype => random.element(dtype),
        })
        .collect();
    ArrayData::from_lits(dtype, shape, &lits)
}

/// Sorts with what each element was for a payload, so that the order of equal keys shows.
fn sort(random: &mut Random, dtype: DType, rows: usize, n: usize, keys_in_all: usize, ways: &[(usize, usize)]) {
    let mut build = Build::new();
    let (by_row, by_column) = ([n as isize, 1], [1, rows as isize]);
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for number in 0..keys_in_all {
        let data = keys(random, if number == 0 { dtype } else { DType::U8 }, &[rows, n]);
        let ty = data.ty.dtype;
        let input = build.input(data);
        from.push(view(input, if number == 0 { &by_column } else { &by_row }));
        // The second key is sorted in its own place.
        let out = if number == 1 { input } else { build.buffer(ty, &[rows, n]) };
        build.program.outputs.push(out);
        to.push(view(out, &by_row));
    }
    let places: Vec<i32> = (0..(rows * n) as i32).map(|k| k % n as i32).collect();
    let places = build.input(ArrayData::new(&[rows, n], &places));
    from.push(view(places, &by_row));
    to.push(view(build.output(DType::I32, &[rows, n]), &by_row));
    let rows = Shape::from_slice(&[rows]);
    build.straight(vec![Node::Sort(Sort { rows, n, keys: keys_in_all, from, to, spans: Spans::new() })]);
    check(&build, ways);
}

/// Rows that are counted and rows that go through the network, which are no powers of two.
#[test]
fn sorts() {
    let random = &mut Random(31);
    for (turn, (rows, n)) in
        [(1, 33), (3, 33), (2, 100), (5, 257), (1, 1000), (3, 1023), (2, 1025), (1, 2049)].into_iter().enumerate()
    {
        for (k, dtype) in COMPUTED.into_iter().enumerate() {
            sort(random, dtype, rows, n, 1 + (turn + k) % 2, &[WAYS[(turn + k) % 3]]);
        }
    }
    sort(random, DType::F32, 2, 5000, 2, &WAYS);
    sort(random, DType::F64, 1, 4097, 1, &WAYS[..1]);
}

fn fold(value: u32, op: Monoid, order: ReduceOrder, into: View) -> Reduction {
    Reduction { kind: ReductionKind::Fold(op), value: Value(value), into, order }
}

/// Loops that scatter and reduce: whatever the dimensions that places may meet in.
#[test]
fn scatters_beside_reductions() {
    let random = &mut Random(32);
    for turn in 0..40 {
        let d = [DType::F32, DType::I32, DType::F64, DType::U32][turn % 4];
        let (tables, rows, n, k) =
            (1 + random.below(3), 1 + random.below(6), 1 + random.below(70), 1 + random.below(9));
        let mut build = Build::new();
        let shape = [tables, rows, n];
        let (at, values) = (build.input(random.array(DType::I32, &shape)), build.input(random.array(d, &shape)));
        let table = build.input(random.array(d, &[tables, rows, k]));
        build.program.outputs.push(table);
        // A row of the table for each row, or the same for all.
        let own = if turn % 3 == 0 { 0 } else { k as isize };
        let to = [(rows * k) as isize, own, 0];
        let strides = row_major(&shape);
        let scatter = |value: u32, add| LaneKind::Scatter {
            view: view(table, &to),
            at: vec![LaneIndex { index: Value(0), max: k as i32 - 1, stride: 1 }],
            value: Value(value),
            add,
        };
        let mut ops = vec![
            load(at, &strides, DType::I32),
            load(values, &strides, d),
            op(scatter(1, turn % 2 == 0), d),
            op(LaneKind::Lit(Lit::of(d, 1.0)), d),
        ];
        if turn % 5 == 0 {
            // The same for all that is reduced, and counted as often.
            let view = view(table, &to);
            ops.push(op(LaneKind::Scatter { view, at: Vec::new(), value: Value(3), add: true }, d));
        }
        let points = [rows as isize, 1];
        let order = random.one_of(&[ReduceOrder::Interleaved, ReduceOrder::Sequential]);
        let sum = build.output(d, &[tables, rows]);
        let best = build.output(DType::I32, &[tables, rows]);
        let argmax = Reduction {
            kind: ReductionKind::ArgMax,
            value: Value(1),
            into: view(best, &points),
            order: ReduceOrder::Sequential,
        };
        let reductions = vec![fold(1, Monoid::Sum, order, view(sum, &points)), argmax];
        let node = reducing(&[tables, rows], &[n], ops, reductions);
        // What comes out is read by thread 0 alone.
        let next = Node::Cumulative(Cumulative {
            op: Monoid::Sum,
            dtype: DType::I32,
            rows: Shape::new(),
            n: tables * rows,
            reverse: false,
            from: view(best, &[1]),
            to: view(build.output(DType::I32, &[tables * rows]), &[1]),
            spans: Spans::new(),
        });
        build.straight(vec![node, next]);
        check(&build, &WAYS);
    }
}

/// Folds of one result or few, long and short, of every order and type, that store what they fold.
#[test]
fn long_folds() {
    let random = &mut Random(33);
    let lengths = [15, 16, 17, 31, 33, 100, 511, 513, 1000, 4099];
    for turn in 0..60 {
        let d = COMPUTED[turn % 5];
        let (rows, n) = ([1, 1, 2, 5, 40][turn % 5], lengths[turn % lengths.len()]);
        let rows = if n > 600 { rows.min(2) } else { rows };
        let mut build = Build::new();
        let x = build.input(if turn % 2 == 0 { random.array(d, &[rows, n]) } else { keys(random, d, &[rows, n]) });
        let strides = [n as isize, 1];
        let mut ops = vec![load(x, &strides, d), op(LaneKind::Binary(Binary::Add, Value(0), Value(0)), d)];
        if turn % 3 == 0 {
            let stored = build.output(d, &[rows, n]);
            ops.push(store(stored, &strides, 1, d));
        }
        let monoid = random.one_of(&[Monoid::Sum, Monoid::Prod, Monoid::Min, Monoid::Max]);
        let mut reductions = Vec::new();
        let orders = [ReduceOrder::Interleaved, ReduceOrder::Sequential];
        let place = |build: &mut Build, d| view(build.output(d, &[rows]), &[1]);
        if turn % 4 != 3 {
            reductions.push(fold(1, monoid, orders[turn / 2 % 2], place(&mut build, d)));
        }
        if turn % 4 != 1 {
            for kind in [ReductionKind::ArgMax, ReductionKind::ArgMin] {
                let into = place(&mut build, DType::I32);
                reductions.push(Reduction { kind, value: Value(0), into, order: ReduceOrder::Sequential });
            }
        }
        build.straight(vec![reducing(&[rows], &[n], ops, reductions)]);
        check(&build, &WAYS);
    }
}

/// The first of all that are equally good, of numbers that are all the worst, and of no numbers.
#[test]
fn the_first_of_equals() {
    for (d, x) in [
        (DType::F32, f64::NEG_INFINITY),
        (DType::F32, f64::NAN),
        (DType::F64, f64::INFINITY),
        (DType::I32, f64::from(i32::MIN)),
        (DType::U8, 0.0),
        (DType::Bool, 1.0),
    ] {
        for n in [40, 700] {
            for first in [0, 3, 37] {
                let mut build = Build::new();
                let lits: Vec<Lit> = (0..n).map(|k| if k < first { Lit::zero(d) } else { Lit::of(d, x) }).collect();
                let input = build.input(ArrayData::from_lits(d, &[n], &lits));
                let reductions = [ReductionKind::ArgMax, ReductionKind::ArgMin].map(|kind| {
                    let into = view(build.output(DType::I32, &[]), &[]);
                    Reduction { kind, value: Value(0), into, order: ReduceOrder::Sequential }
                });
                build.straight(vec![reducing(&[], &[n], vec![load(input, &[1], d)], reductions.into())]);
                check(&build, &WAYS);
            }
        }
    }
}
