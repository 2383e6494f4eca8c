//! Loops that are long enough for parts of whole cache lines, and reductions that are divided, or may not be.

mod common;

use common::*;
use whorl_core::ir::DType;
use whorl_core::prim::{Binary, Compare, Monoid, Unary};
use whorl_schedule::loop_ir::*;

const F: DType = DType::F32;

fn fold(kind: ReductionKind, value: u32, into: BufferId, order: ReduceOrder) -> Reduction {
    Reduction { kind, value: Value(value), into: view(into, &[]), order }
}

#[test]
fn long_loops() {
    let random = &mut Random(20);
    for dtype in COMPUTED {
        for dims in [vec![1000], vec![4099], vec![3, 700], vec![700, 3], vec![2, 5, 331]] {
            let mut build = Build::new();
            let x = build.input(random.array(dtype, &dims));
            let (y, at) = (build.output(dtype, &dims), build.output(DType::I32, &dims));
            let own = row_major(&dims);
            let unary = if dtype == DType::Bool { Unary::Not } else { Unary::Abs };
            let ops = vec![
                load(x, &own, dtype),
                op(LaneKind::Unary(unary, Value(0)), dtype),
                store(y, &own, 1, dtype),
                op(LaneKind::Position(dims.len() - 1), DType::I32),
                store(at, &own, 3, DType::I32),
            ];
            build.straight(vec![lanes(&dims, ops)]);
            build.check();
        }
    }
}

/// What each element goes through, stores in place, and folds of several kinds: of a stored value, of one that is nowhere, of one
/// that is done again.
#[test]
fn long_reductions() {
    let random = &mut Random(21);
    for n in [2, 15, 16, 17, 100, 1000, 4099] {
        for order in [ReduceOrder::Interleaved, ReduceOrder::Sequential] {
            let mut build = Build::new();
            let (x, w) = (build.input(random.array(F, &[n])), build.input(random.array(F, &[n])));
            build.program.outputs.push(x);
            let [sum, most, weights] = [(); 3].map(|()| build.output(F, &[]));
            let (any, first) = (build.output(DType::Bool, &[]), build.output(DType::I32, &[]));
            let ops = vec![
                load(x, &[1], F),
                load(w, &[1], F),
                op(LaneKind::Unary(Unary::Tanh, Value(0)), F),
                op(LaneKind::MulAdd(Value(2), Value(1), Value(0)), F),
                store(x, &[1], 3, F),
                op(LaneKind::Binary(Binary::Mul, Value(2), Value(2)), F),
                op(LaneKind::Compare(Compare::Gt, Value(3), Value(1)), DType::Bool),
                op(LaneKind::Binary(Binary::Add, Value(1), Value(1)), F),
            ];
            let folds = vec![
                fold(ReductionKind::Fold(Monoid::Sum), 5, sum, order),
                fold(ReductionKind::Fold(Monoid::Max), 3, most, order),
                fold(ReductionKind::Fold(Monoid::Sum), 7, weights, order),
                fold(ReductionKind::Fold(Monoid::Any), 6, any, order),
                fold(ReductionKind::ArgMin, 3, first, ReduceOrder::Sequential),
            ];
            build.straight(vec![reducing(&[], &[n], ops, folds)]);
            build.check();
        }
    }
}

/// Positions that are reduced over come one after the other: here that is seen.
#[test]
fn what_depends_on_the_order_is_not_divided() {
    let random = &mut Random(22);
    for n in [5, 16, 100, 1000] {
        // The last one's is what stays.
        let mut build = Build::new();
        let (x, last, sum) = (build.input(random.array(F, &[n])), build.output(F, &[]), build.output(F, &[]));
        let ops = vec![load(x, &[1], F), op(LaneKind::Unary(Unary::Sin, Value(0)), F), store(last, &[0], 1, F)];
        let folds = vec![fold(ReductionKind::Fold(Monoid::Sum), 1, sum, ReduceOrder::Sequential)];
        build.straight(vec![reducing(&[], &[n], ops, folds)]);
        build.check();

        // The result so far is what was there before.
        let mut build = Build::new();
        let (x, y, sum) =
            (build.input(random.array(F, &[n])), build.output(F, &[n]), build.input(random.array(F, &[])));
        build.program.outputs.push(sum);
        let ops = vec![
            load(sum, &[0], F),
            load(x, &[1], F),
            op(LaneKind::Binary(Binary::Mul, Value(0), Value(1)), F),
            store(y, &[1], 2, F),
        ];
        let folds = vec![fold(ReductionKind::Fold(Monoid::Sum), 2, sum, ReduceOrder::Interleaved)];
        build.straight(vec![reducing(&[], &[n], ops, folds)]);
        build.check();
    }
}
