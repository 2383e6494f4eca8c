//! Control flow, kernels, effects, phases and runs.

mod common;

use std::sync::Arc;

use common::*;
use smallvec::SmallVec;
use whorl_core::check::{Check, CheckKind};
use whorl_core::ir::{ArrayData, DType, Lit, Shape, Spans};
use whorl_core::prim::{Binary, Compare};
use whorl_cpu::{LogElement, Options, Sink, compile};
use whorl_schedule::loop_ir::*;

/// `to = from op lit` of scalars.
fn scalar(from: BufferId, b: Binary, lit: Lit, to: BufferId) -> Node {
    let d = lit.dtype;
    let ops = vec![
        load(from, &[], d),
        op(LaneKind::Lit(lit), d),
        op(LaneKind::Binary(b, Value(0), Value(1)), d),
        store(to, &[], 2, d),
    ];
    lanes(&[], ops)
}

fn below(from: BufferId, lit: Lit, to: BufferId) -> Node {
    let ops = vec![
        load(from, &[], lit.dtype),
        op(LaneKind::Lit(lit), lit.dtype),
        op(LaneKind::Compare(Compare::Lt, Value(0), Value(1)), DType::Bool),
        store(to, &[], 2, DType::Bool),
    ];
    lanes(&[], ops)
}

/// `to = to * 3 + index`, so that the order of steps shows.
fn mix(index: BufferId, to: BufferId) -> Node {
    let d = DType::I32;
    let ops = vec![
        load(to, &[], d),
        op(LaneKind::Lit(Lit::i32(3)), d),
        op(LaneKind::Binary(Binary::Mul, Value(0), Value(1)), d),
        load(index, &[], d),
        op(LaneKind::Binary(Binary::Add, Value(2), Value(3)), d),
        store(to, &[], 4, d),
    ];
    lanes(&[], ops)
}

#[test]
fn loops() {
    for (n, reverse) in [(0, false), (1, true), (9, false), (9, true)] {
        let mut build = Build::new();
        let x = build.input(ArrayData::scalar(1i32));
        build.program.outputs.push(x);
        let (index, inner) = (build.buffer(DType::I32, &[]), build.buffer(DType::I32, &[]));
        let nested = Node::Loop { n: 3, reverse: !reverse, index: inner, body: vec![mix(inner, x)] };
        build.straight(vec![Node::Loop { n, reverse, index, body: vec![mix(index, x), nested] }]);
        build.check();
    }
}

#[test]
fn whiles() {
    for max in [None, Some(0), Some(3), Some(100)] {
        for start in [0i32, 7, 50] {
            let mut build = Build::new();
            let x = build.input(ArrayData::scalar(start));
            build.program.outputs.push(x);
            let test = build.buffer(DType::Bool, &[]);
            let condition = vec![below(x, Lit::i32(20), test)];
            let body = vec![scalar(x, Binary::Add, Lit::i32(3), x)];
            build.straight(vec![Node::While { condition, test, max, body }]);
            build.check();
        }
    }
}

#[test]
fn switches() {
    let arms = |x| (0..3).map(|k| vec![scalar(x, Binary::Add, Lit::i32(10 + k), x)]).collect::<Vec<_>>();
    for which in [-5i32, 0, 1, 2, 9] {
        for literal in [false, true] {
            let mut build = Build::new();
            let (x, w) = (build.input(ArrayData::scalar(1i32)), build.input(ArrayData::scalar(which)));
            build.program.outputs.push(x);
            let which = if literal { Scalar::Lit(Lit::i32(which)) } else { Scalar::Buffer(w) };
            build.straight(vec![Node::Switch { which, arms: arms(x) }]);
            build.check();
        }
    }
    for which in [false, true] {
        let mut build = Build::new();
        let (x, w) = (build.input(ArrayData::scalar(1i32)), build.input(ArrayData::scalar(which)));
        build.program.outputs.push(x);
        build.straight(vec![Node::Switch { which: Scalar::Buffer(w), arms: arms(x)[..2].to_vec() }]);
        build.check();
    }
}

#[test]
fn products() {
    let random = &mut Random(20);
    for turn in 0..110 {
        let d = if turn % 4 == 0 { DType::F64 } else { DType::F32 };
        let (m, n, k) = match turn {
            // Those that several blocks stage in shared memory.
            80.. => (16 << random.below(3), 32 * (1 + random.below(3)), 8 * (1 + random.below(9))),
            _ => (1 + random.below(20), 1 + random.below(40), random.below(20)),
        };
        let batch: Vec<usize> = (0..random.below(3)).map(|_| 1 + random.below(3)).collect();
        let mut build = Build::new();
        let operand = |random: &mut Random, build: &mut Build, r: usize, c: usize| {
            let turned = random.below(2) == 0;
            let shape: Vec<usize> = batch.iter().copied().chain(if turned { [c, r] } else { [r, c] }).collect();
            let mut strides = row_major(&shape);
            if turned {
                let rank = strides.len();
                strides.swap(rank - 2, rank - 1);
            }
            let total: usize = shape.iter().product();
            let lits: Vec<Lit> = (0..total).map(|_| Lit::of(d, random.below(1000) as f64 / 300.0 - 1.5)).collect();
            view(build.input(ArrayData::from_lits(d, &shape, &lits)), &strides)
        };
        let (a, b) = (operand(random, &mut build, m, k), operand(random, &mut build, k, n));
        let c = operand(random, &mut build, m, n);
        build.program.outputs.push(c.buffer);
        let bias = build.input(ArrayData::from_lits(d, &[n], &vec![Lit::of(d, 0.25); n]));
        let mut along_n = vec![0; batch.len() + 1];
        along_n.push(1);
        let activations = [None, Some(Activation::None), Some(Activation::Tanh), Some(Activation::Relu)];
        let epilogue =
            activations[random.below(4)].map(|activation| Epilogue { bias: view(bias, &along_n), activation });
        let (batch, accumulate) = (Shape::from_slice(&batch), random.below(2) == 0);
        build.straight(vec![Node::MatMul(MatMul {
            dtype: d,
            batch,
            m,
            n,
            k,
            a,
            b,
            c,
            accumulate,
            epilogue,
            spans: Spans::new(),
        })]);
        build.check();
    }
}

#[test]
fn sorts() {
    let random = &mut Random(21);
    for turn in 0..66 {
        let d = COMPUTED[turn % 6];
        let (rows, n) = (1 + random.below(4), if turn < 60 { random.below(40) } else { 1600 + random.below(1000) });
        let keys = 1 + random.below(2);
        let mut build = Build::new();
        let types = [d, DType::U8, DType::I32];
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for t in types {
            // Sorted along the second or the first axis.
            let strides = if turn % 2 == 0 { [n as isize, 1] } else { [1, rows as isize] };
            let data = if t == DType::F64 { no_nan(random.array(t, &[rows, n])) } else { random.array(t, &[rows, n]) };
            from.push(view(build.input(data), &strides));
            to.push(view(build.output(t, &[rows, n]), &[n as isize, 1]));
        }
        let rows = Shape::from_slice(&[rows]);
        build.straight(vec![Node::Sort(Sort { rows, n, keys, from, to, spans: Spans::new() })]);
        build.check();
    }
}

/// NaNs stay NaNs but of one kind.
fn no_nan(data: ArrayData) -> ArrayData {
    let lits: Vec<Lit> = data.to_f64().into_iter().map(|x| Lit::f64(if x.is_nan() { f64::NAN } else { x })).collect();
    ArrayData::from_lits(DType::F64, &data.ty.shape, &lits)
}

/// A train phase of 10 steps that logs and mixes; whatever the chunks, the state is the same.
fn training() -> Build {
    let mut build = Build::new();
    let x = build.input(ArrayData::scalar(1i32));
    build.program.outputs.push(x);
    let index = build.buffer(DType::I32, &[]);
    let log = log(&[], view(x, &[]), None, Vec::new());
    build.straight(vec![scalar(x, Binary::Add, Lit::i32(4), x)]);
    build.program.phases.push(Phase::Train { n: 10, index, state: vec![x], body: vec![mix(index, x), log.clone()] });
    build.straight(vec![scalar(x, Binary::Mul, Lit::i32(3), x)]);
    build
}

#[test]
fn chunks() {
    let build = training();
    build.check();
    let executable = compile(&build.program, &Options::default()).unwrap();
    let whole = executable.run_to_end(&build.args, 1).unwrap();
    for chunk in [1, 3, 7, 10, 30] {
        let mut state = executable.new_run(0, &build.args).unwrap();
        executable.run_phase(0, &mut state, 0, 0).unwrap();
        for from in (0..10).step_by(chunk) {
            executable.run_phase(1, &mut state, from, from + chunk).unwrap();
        }
        assert_eq!(state.take_logs().iter().map(|l| l.step).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        executable.run_phase(2, &mut state, 0, 0).unwrap();
        assert_eq!(executable.outputs(&state), whole);
    }
}

#[test]
fn runs() {
    let mut build = Build::new();
    build.program.runs = Some(5);
    let run = build.buffer(DType::I32, &[]);
    build.program.run_index = Some(run);
    let x = build.input(ArrayData::scalar(2i32));
    build.program.outputs.push(x);
    build.straight(vec![mix(run, x), mix(run, x)]);
    build.check();
    let executable = compile(&build.program, &Options { threads: 2, ..Options::default() }).unwrap();
    assert_eq!(executable.run_to_end(&build.args, 1), executable.run_to_end(&build.args, 2));
}

fn log(dims: &[usize], value: View, mask: Option<View>, steps: Vec<CheckStep>) -> Node {
    Node::Log { site: 0, log: 0, dims: Shape::from_slice(dims), value, mask, steps, spans: Spans::new() }
}

/// Two train scans of 3 and 2 steps, in which a loop of 4 logs half of `[3, 2]`: before, between and behind them as well.
fn logging() -> Build {
    let mut build = Build::new();
    let x = build.input(ArrayData::new(&[2, 3], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let mask = build.input(ArrayData::vector(&[false, true]));
    let (train, inner) = (build.buffer(DType::I32, &[]), build.buffer(DType::I32, &[]));
    let (value, mask) = (view(x, &[1, 3]), Some(view(mask, &[0, 1])));
    let step = CheckStep { index: view(inner, &[]), n: 4, train: false, span: None };
    let inside = log(&[3, 2], value.clone(), mask.clone(), vec![step]);
    let looped = Node::Loop { n: 4, reverse: true, index: inner, body: vec![inside] };
    let alone = log(&[3, 2], value, mask, Vec::new());
    for n in [3, 2] {
        build.straight(vec![alone.clone()]);
        build.program.phases.push(Phase::Train { n, index: train, state: vec![], body: vec![looped.clone()] });
    }
    build.straight(vec![alone]);
    build
}

#[test]
fn logs_know_their_places() {
    let build = logging();
    let executable = compile(&build.program, &Options::default()).unwrap();
    let mut state = executable.new_run(0, &build.args).unwrap();
    for (k, n) in [0, 3, 0, 2, 0].into_iter().enumerate() {
        executable.run_phase(k, &mut state, 0, n).unwrap();
    }
    let logs = state.take_logs();
    // Steps are those of the phase.
    let steps: Vec<u64> = logs.iter().map(|l| l.step).collect();
    let expected = [(0, 3), (0, 12), (1, 12), (2, 12), (0, 3), (0, 12), (1, 12), (0, 3)];
    assert_eq!(steps, expected.iter().flat_map(|(step, n)| vec![*step; *n]).collect::<Vec<u64>>());
    // The mask lets the second column through; the loop goes down.
    assert_eq!(logs[..3].iter().map(|l| (l.place, l.value)).collect::<Vec<_>>(), [(1, 4.0), (3, 5.0), (5, 6.0)]);
    assert_eq!(logs[3..15].iter().map(|l| l.loops).collect::<Vec<_>>(), [3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0]);
    let evaluated = whorl_schedule::evaluate(&build.program, &build.args).unwrap();
    assert_eq!(evaluated.logs[0].elements, [(vec![0, 1], 4.0), (vec![1, 1], 5.0), (vec![2, 1], 6.0)]);
    assert_eq!(evaluated.logs[2].steps, [0, 2]);
    assert_eq!(evaluated.logs[2].elements, evaluated.logs[0].elements);
}

/// However small the ring, and whoever takes what is in it, nothing is lost and the order stays.
#[test]
fn rings_lose_nothing() {
    struct Told(std::sync::mpsc::Sender<Vec<LogElement>>);
    impl Sink for Told {
        fn take(&mut self, elements: &[LogElement]) {
            self.0.send(elements.to_vec()).unwrap();
        }
    }
    let build = logging();
    let executable = compile(&build.program, &Options::default()).unwrap();
    let logs = |ring: Option<usize>| {
        let mut state = executable.new_run(0, &build.args).unwrap();
        let (to, from) = std::sync::mpsc::channel();
        state.set_sink(Box::new(Told(to)));
        ring.into_iter().for_each(|n| state.set_ring(n));
        for (k, n) in [0, 3, 0, 2, 0].into_iter().enumerate() {
            executable.run_phase(k, &mut state, 0, n).unwrap();
        }
        state.sink();
        drop(state);
        let parts: Vec<Vec<LogElement>> = from.iter().collect();
        assert!(parts.iter().all(|p| p.len() <= ring.unwrap_or(512)));
        parts.concat()
    };
    let whole = logs(None);
    assert_eq!(whole.len(), 69);
    for ring in [0, 1, 2, 7, 68, 69, 70] {
        assert_eq!(logs(Some(ring.max(1))), whole, "{ring}");
    }
}

#[test]
fn assertions() {
    for (mask, good) in [(None, false), (Some(false), true), (Some(true), false)] {
        for n in [1usize, 4] {
            let mut build = Build::new();
            let x = build.input(ArrayData::scalar(0i32));
            build.program.outputs.push(x);
            let mut conditions = vec![true; n];
            conditions[n - 1] = false;
            let condition = build.input(ArrayData::vector(&conditions));
            let mask = mask.map(|m| build.input(ArrayData::scalar(m)));
            let node = Node::Check(CheckNode {
                check: Arc::new(Check::new(CheckKind::Assert(None), "the sky is up")),
                dims: Shape::from_slice(&[n]),
                values: SmallVec::from_iter([view(condition, &[1])]),
                mask: mask.map(|m| view(m, &[0])),
                steps: Vec::new(),
                in_run: false,
                spans: Spans::new(),
            });
            let index = build.buffer(DType::I32, &[]);
            let add = scalar(x, Binary::Add, Lit::i32(1), x);
            let body = vec![add, node];
            let state = [x, condition].into_iter().chain(mask).collect();
            build.program.phases.push(Phase::Train { n: 3, index, state, body });
            if !good {
                // Who comes to a check knows that it fails: see `CheckNode`. The CPU asks all the same.
                build.check();
            }
            let executable = compile(&build.program, &Options::default()).unwrap();
            let mut state = executable.new_run(0, &build.args).unwrap();
            let result = executable.run_phase(0, &mut state, 0, 3);
            assert_eq!(result.is_ok(), good);
            assert_eq!(executable.outputs(&state)[0], ArrayData::scalar(if good { 3 } else { 1 }));
            assert_eq!(state.error().is_some(), !good);
        }
    }
}

/// Long lists are cut into several functions.
#[test]
fn long_programs() {
    let mut build = Build::new();
    let x = build.input(ArrayData::scalar(1i32));
    build.program.outputs.push(x);
    let index = build.buffer(DType::I32, &[]);
    let body: Vec<Node> = (0..300).map(|k| scalar(x, Binary::Add, Lit::i32(k), x)).collect();
    let twice: Vec<Node> = (0..300).map(|_| mix(index, x)).collect();
    build.straight(vec![Node::Loop { n: 3, reverse: false, index, body: [body, twice].concat() }]);
    build.check();
    assert!(
        compile(&build.program, &Options::default()).unwrap().assembly().unwrap()[1].head.starts_with("function 1")
    );
}
