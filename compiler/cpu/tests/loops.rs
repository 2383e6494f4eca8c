//! Shapes, strides, tails and reductions of lane loops.

mod common;

use common::*;
use smallvec::SmallVec;
use whorl_core::ir::{DType, Lit, Shape, Spans};
use whorl_core::prim::{Binary, Monoid, Unary};
use whorl_schedule::loop_ir::*;

/// A view of a fresh input that has an element for each point of `sizes`: permuted, broadcast or reversed.
fn odd_view(random: &mut Random, build: &mut Build, dtype: DType, sizes: &[usize]) -> View {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    if random.below(3) == 0 {
        (1..order.len()).for_each(|k| order.swap(k, random.below(k + 1)));
    }
    let (mut strides, mut len, mut offset) = (vec![0; sizes.len()], 1, 0);
    for &d in order.iter().rev() {
        if random.below(5) == 0 {
            continue;
        }
        strides[d] = len as isize;
        len *= sizes[d].max(1);
        if random.below(8) == 0 {
            len += 3;
        }
        if random.below(8) == 0 {
            offset += strides[d] * (sizes[d] as isize - 1).max(0);
            strides[d] = -strides[d];
        }
    }
    let data = random.array(dtype, &[len]);
    let input = if random.below(6) == 0 { build.constant(data) } else { build.input(data) };
    View { offset, ..view(input, &strides) }
}

fn size(random: &mut Random) -> usize {
    match random.below(8) {
        0 => 1,
        1..=5 => 1 + random.below(20),
        6 => 63 + random.below(3),
        _ => 16 * (1 + random.below(3)),
    }
}

fn sizes(random: &mut Random, most: usize) -> Vec<usize> {
    let rank = random.below(most + 1);
    let mut sizes: Vec<usize> = (0..rank).map(|_| size(random)).collect();
    while sizes.iter().product::<usize>() > 3000 {
        sizes.pop();
    }
    sizes
}

/// `out = f(a, b, position)` over random shapes.
#[test]
fn shapes_and_strides() {
    let random = &mut Random(10);
    for turn in 0..400 {
        let d = COMPUTED[turn % 6];
        let dims = sizes(random, 3);
        let mut build = Build::new();
        let mut ops = Vec::new();
        for _ in 0..2 {
            let view = odd_view(random, &mut build, d, &dims);
            ops.push(op(LaneKind::Load(view), d));
        }
        let binary = if d == DType::Bool { Binary::Xor } else { Binary::Add };
        ops.push(op(LaneKind::Binary(binary, Value(0), Value(1)), d));
        let out = build.output(d, &dims);
        ops.push(store(out, &row_major(&dims), 2, d));
        if !dims.is_empty() {
            let axis = random.below(dims.len());
            ops.push(op(LaneKind::Position(axis), DType::I32));
            let out = build.output(DType::I32, &dims);
            ops.push(store(out, &row_major(&dims), 4, DType::I32));
        }
        build.straight(vec![lanes(&dims, ops)]);
        build.check();
    }
}

#[test]
fn every_length() {
    let random = &mut Random(11);
    for d in COMPUTED {
        for n in (0..=20).chain(63..=65) {
            let mut build = Build::new();
            let (x, y) = (build.input(random.array(d, &[n.max(1)])), build.output(d, &[n]));
            let unary = if d == DType::Bool { Unary::Not } else { Unary::Neg };
            let ops = vec![load(x, &[1], d), op(LaneKind::Unary(unary, Value(0)), d), store(y, &[1], 1, d)];
            build.straight(vec![lanes(&[n], ops)]);
            build.check();
        }
    }
}

#[test]
fn in_place() {
    let random = &mut Random(12);
    for n in [1, 5, 64, 67] {
        let d = DType::F32;
        let mut build = Build::new();
        let x = build.input(random.array(d, &[n]));
        build.program.outputs.push(x);
        let ops = vec![
            load(x, &[1], d),
            op(LaneKind::Unary(Unary::Tanh, Value(0)), d),
            op(LaneKind::MulAdd(Value(0), Value(1), Value(1)), d),
            store(x, &[1], 2, d),
        ];
        build.straight(vec![lanes(&[n], ops)]);
        build.check();
    }
}

fn monoids(d: DType) -> &'static [Monoid] {
    if d == DType::Bool { &[Monoid::All, Monoid::Any] } else { &[Monoid::Sum, Monoid::Prod, Monoid::Max, Monoid::Min] }
}

/// Several reductions, of either order and of positions, over random shapes.
#[test]
fn reductions() {
    let random = &mut Random(13);
    for turn in 0..500 {
        let d = COMPUTED[turn % 6];
        let (dims, mut reduced) = (sizes(random, 2), sizes(random, 2));
        if reduced.is_empty() {
            reduced.push(size(random));
        }
        let all: Vec<usize> = dims.iter().chain(&reduced).copied().collect();
        if all.iter().product::<usize>() > 20_000 {
            continue;
        }
        let mut build = Build::new();
        let view_of_input = odd_view(random, &mut build, d, &all);
        let ops = vec![op(LaneKind::Load(view_of_input), d)];
        let mut reductions = Vec::new();
        let mode = random.below(3);
        for _ in 0..1 + random.below(2) {
            let order = match mode {
                0 => ReduceOrder::Interleaved,
                1 => ReduceOrder::Sequential,
                _ => random.one_of(&[ReduceOrder::Interleaved, ReduceOrder::Sequential]),
            };
            let fold = ReductionKind::Fold(random.one_of(monoids(d)));
            let kind =
                if mode == 0 { fold } else { random.one_of(&[fold, ReductionKind::ArgMax, ReductionKind::ArgMin]) };
            let (dtype, order) = match kind {
                ReductionKind::Fold(_) => (d, order),
                ReductionKind::ArgMax | ReductionKind::ArgMin => (DType::I32, ReduceOrder::Sequential),
            };
            let out = build.output(dtype, &dims);
            reductions.push(Reduction { kind, value: Value(0), into: view(out, &row_major(&dims)), order });
        }
        build.straight(vec![reducing(&dims, &reduced, ops, reductions)]);
        build.check();
    }
}

#[test]
fn reductions_of_nothing() {
    for d in COMPUTED {
        let mut build = Build::new();
        let x = build.input(Random(14).array(d, &[3]));
        let out = build.output(d, &[3]);
        let kind = ReductionKind::Fold(monoids(d)[0]);
        let into = view(out, &[1]);
        let r = Reduction { kind, value: Value(0), into, order: ReduceOrder::Interleaved };
        build.straight(vec![reducing(&[3], &[0], vec![load(x, &[0, 1], d)], vec![r])]);
        build.check();
    }
}

#[test]
fn gathers() {
    let random = &mut Random(15);
    for turn in 0..120 {
        let d = COMPUTED[turn % 6];
        let (rows, columns) = (1 + random.below(9), 1 + random.below(9));
        let (n, m) = (size(random), 1 + random.below(6));
        let mut build = Build::new();
        let table = build.input(random.array(d, &[rows, columns]));
        let at = build.input(random.array(DType::I32, &[n]));
        let out = build.output(d, &[n, m]);
        let index = |index, max: usize, stride| LaneIndex { index: Value(index), max: max as i32 - 1, stride };
        // Row by the input, column by the lane's own position or a part of the view.
        let both = vec![index(0, rows, columns as isize), index(1, columns, 1)];
        let ops = vec![
            load(at, &[1, 0], DType::I32),
            op(LaneKind::Position(1), DType::I32),
            op(LaneKind::Gather(view(table, &[0, 0]), both), d),
            store(out, &[m as isize, 1], 2, d),
        ];
        let mut nodes = vec![lanes(&[n, m], ops)];
        if m <= columns {
            let out = build.output(d, &[n, m]);
            let row = vec![index(0, rows, columns as isize)];
            let ops = vec![
                load(at, &[1, 0], DType::I32),
                op(LaneKind::Gather(view(table, &[0, 1]), row), d),
                store(out, &[m as isize, 1], 1, d),
            ];
            nodes.push(lanes(&[n, m], ops));
        }
        build.straight(nodes);
        build.check();
    }
}

#[test]
fn scatters() {
    let random = &mut Random(16);
    for turn in 0..120 {
        let d = COMPUTED[turn % 5];
        let (n, m, k) = (1 + random.below(5), size(random), 1 + random.below(12));
        let mut build = Build::new();
        let table = build.input(random.array(d, &[n, k]));
        build.program.outputs.push(table);
        let (at, values) = (build.input(random.array(DType::I32, &[n, m])), build.input(random.array(d, &[n, m])));
        let strides = [m as isize, 1];
        let scatter = |add| LaneKind::Scatter {
            view: view(table, &[if turn % 2 == 0 { k as isize } else { 0 }, 0]),
            at: vec![LaneIndex { index: Value(0), max: k as i32 - 1, stride: 1 }],
            value: Value(1),
            add,
        };
        let mut ops = vec![load(at, &strides, DType::I32), load(values, &strides, d), op(scatter(turn % 3 == 0), d)];
        if turn % 7 == 0 {
            ops.push(op(scatter(true), d));
        }
        build.straight(vec![lanes(&[n, m], ops)]);
        build.check();
    }
}

#[test]
fn cumulative() {
    let random = &mut Random(17);
    for turn in 0..120 {
        let d = COMPUTED[turn % 6];
        let (rows, n) = (size(random), size(random));
        let mut build = Build::new();
        let (x, y) = (build.input(random.array(d, &[rows, n])), build.output(d, &[rows, n]));
        let node = Node::Cumulative(Cumulative {
            op: random.one_of(monoids(d)),
            dtype: d,
            rows: Shape::from_slice(&[rows]),
            n,
            reverse: random.below(2) == 0,
            // Every fourth sums the same element over and over, which is loaded outside of the loop.
            from: view(x, &[n as isize, (turn % 4 != 0) as isize]),
            to: view(y, &[n as isize, 1]),
            spans: Spans::new(),
        });
        build.straight(vec![node]);
        build.check();
    }
}

#[test]
fn dynamic_offsets() {
    let random = &mut Random(18);
    for at in [-3, 0, 4, 99] {
        let d = DType::F32;
        let mut build = Build::new();
        let x = build.input(random.array(d, &[7, 10]));
        let index = build.input(whorl_core::ir::ArrayData::scalar(at));
        let out = build.output(d, &[10]);
        let dynamic = SmallVec::from_iter([Dynamic { index, max: 6, stride: 10 }]);
        let ops = vec![
            op(LaneKind::Load(View { dynamic, ..view(x, &[1]) }), d),
            op(LaneKind::Lit(Lit::f32(2.0)), d),
            op(LaneKind::Binary(Binary::Mul, Value(0), Value(1)), d),
            store(out, &[1], 2, d),
        ];
        build.straight(vec![lanes(&[10], ops)]);
        build.check();
    }
}

/// Elements a few apart, forwards and backwards, in groups of every size; what is between stored ones stays.
#[test]
fn a_few_apart() {
    let random = &mut Random(77);
    for dtype in [DType::F32, DType::I32, DType::F64, DType::U8] {
        for step in [-5, -4, -3, -2, -1, 2, 3, 4, 5] {
            for n in [2, 3, 4, 5, 11, 15, 16, 17, 31, 33, 47, 64] {
                let mut build = Build::new();
                let long = 5 * n + 3;
                let (from, to) = (random.array(dtype, &[long]), random.array(dtype, &[long]));
                let (from, to) = (build.input(from), build.input(to));
                build.program.outputs.push(to);
                let place = |buffer: BufferId, step: isize| View {
                    offset: if step < 0 { (long - 2) as isize } else { 1 },
                    ..view(buffer, &[step])
                };
                let ops = vec![
                    op(LaneKind::Load(place(from, step)), dtype),
                    op(LaneKind::Store(place(to, -step), Value(0)), dtype),
                ];
                build.straight(vec![lanes(&[n], ops)]);
                build.check();
            }
        }
    }
}
