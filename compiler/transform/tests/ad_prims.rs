//! Every primitive: derivatives to third order, and the conventions where there is none.

mod derivatives;

use derivatives::{Numbers, check, f64s, program, results, vjp_program};
use smallvec::smallvec;
use whorl_core::prim::{Binary, Compare, Dot, Monoid, Prim, Reduce, Unary};
use whorl_core::{ArrayData, Atom, Builder, DType, Lit, Program, Type};

/// `prim` of float operands of these shapes, at values from `low` to `high`.
fn check_prim(prim: Prim, shapes: &[&[usize]], low: f64, high: f64) {
    let types: Vec<Type> = shapes.iter().map(|s| f64s(s)).collect();
    let p = program(&types, |b, x| b.prim(prim.clone(), x).to_vec());
    check(&p, &spread(&types, low, high), 3);
}

fn spread(types: &[Type], low: f64, high: f64) -> Vec<ArrayData> {
    let mut numbers = Numbers(5);
    let one = |t: &Type| {
        let values: Vec<f64> = (0..t.size()).map(|_| low + (high - low) * (numbers.next() + 1.0) / 2.0).collect();
        ArrayData::new(&t.shape, &values)
    };
    types.iter().map(one).collect()
}

#[test]
fn unary() {
    for &op in Unary::ALL {
        let (low, high) = match op {
            Unary::Not | Unary::PopCount => continue,
            Unary::Sqrt | Unary::Log | Unary::Log2 | Unary::Cbrt => (0.5, 2.0),
            Unary::Lgamma | Unary::Digamma => (0.7, 3.0),
            Unary::Acosh => (1.5, 3.0),
            Unary::Log1p => (-0.5, 2.0),
            Unary::Asin | Unary::Acos | Unary::Atanh | Unary::ErfInv => (-0.7, 0.7),
            Unary::Abs | Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round => (0.1, 0.4),
            _ => (-1.2, 1.2),
        };
        check_prim(Prim::Unary(op), &[&[3]], low, high);
    }
    check_prim(Prim::Unary(Unary::Abs), &[&[3]], -2.0, -0.5);
    check_prim(Prim::Unary(Unary::Cbrt), &[&[3]], -2.0, -0.5);
    for op in [Unary::Lgamma, Unary::Digamma] {
        check_prim(Prim::Unary(op), &[&[3]], -1.7, -1.3);
        check_prim(Prim::Unary(op), &[&[3]], 0.3, 0.45);
    }
}

#[test]
fn binary_with_scalars_on_either_side() {
    for &op in Binary::ALL {
        if matches!(op, Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr | Binary::ShrLogical) {
            continue;
        }
        for shapes in [[&[3][..], &[3]], [&[], &[3]], [&[3], &[]], [&[], &[]]] {
            check_prim(Prim::Binary(op), &shapes, 0.6, 1.9);
        }
    }
}

#[test]
fn one_variable_on_both_sides() {
    for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Pow, Binary::Atan2] {
        let p = program(&[f64s(&[3])], |b, x| vec![b.binary(op, x[0], x[0])]);
        check(&p, &spread(&[f64s(&[3])], 0.6, 1.9), 3);
    }
}

#[test]
fn powers_of_literals() {
    for e in [0.0, 1.0, 2.0, 3.0, -1.0, 0.5] {
        let p = program(&[f64s(&[3])], |b, x| vec![b.binary(Binary::Pow, x[0], Lit::f64(e).into())]);
        check(&p, &spread(&[f64s(&[3])], 0.6, 1.9), 3);
    }
    let p = program(&[f64s(&[3])], |b, x| vec![b.binary(Binary::Pow, Lit::f64(1.7).into(), x[0])]);
    check(&p, &spread(&[f64s(&[3])], -1.0, 1.0), 3);
}

#[test]
fn select_and_mul_add() {
    for shapes in [[&[3][..], &[3], &[3]], [&[], &[3], &[]], [&[3], &[], &[]], [&[], &[], &[3]], [&[], &[], &[]]] {
        check_prim(Prim::MulAdd, &shapes, -1.0, 1.0);
        let types: Vec<Type> = shapes.iter().map(|s| f64s(s)).collect();
        let p = program(&types, |b, x| {
            let c = b.prim1(Prim::Compare(Compare::Gt), &[x[0], Lit::f64(0.1).into()]);
            vec![b.prim1(Prim::Select, &[c, x[1], x[2]])]
        });
        check(&p, &spread(&types, -1.0, 1.0), 3);
        let p = program(&types, |b, x| {
            let c = b.prim1(Prim::Compare(Compare::Gt), &[x[0], Lit::f64(0.1).into()]);
            let y = b.mul(x[1], x[2]);
            vec![b.prim1(Prim::Select, &[c, y, Lit::f64(2.0).into()])]
        });
        check(&p, &spread(&types, -1.0, 1.0), 2);
    }
}

#[test]
fn conversion_and_stop() {
    let p = program(&[f64s(&[3])], |b, x| {
        let narrow = b.prim1(Prim::Convert(DType::F32), &[x[0]]);
        vec![b.prim1(Prim::Convert(DType::F64), &[narrow])]
    });
    let x = ArrayData::vector(&[0.5f64, 1.5, -2.0]);
    let g = results(&vjp_program(&p), &[x.clone(), ArrayData::vector(&[1.0f64, 2.0, 3.0])]);
    assert_eq!(g[0].to_f64(), [1.0, 2.0, 3.0]);

    let p = program(&[f64s(&[3])], |b, x| {
        let still = b.prim1(Prim::StopGradient, &[x[0]]);
        let whole = b.prim1(Prim::Convert(DType::I32), &[x[0]]);
        let whole = b.prim1(Prim::Convert(DType::F64), &[whole]);
        let y = b.mul(still, x[0]);
        vec![b.mul(y, whole)]
    });
    let g = results(&vjp_program(&p), &[x, ArrayData::vector(&[1.0f64, 1.0, 1.0])]);
    assert_eq!(g[0].to_f64(), [0.0, 1.5, 4.0]);
}

#[test]
fn rearrangement() {
    check_prim(Prim::Broadcast { shape: smallvec![2, 3, 4], axes: smallvec![1] }, &[&[3]], -1.0, 1.0);
    check_prim(Prim::Broadcast { shape: smallvec![2], axes: smallvec![] }, &[&[]], -1.0, 1.0);
    check_prim(Prim::Reshape(smallvec![3, 2]), &[&[2, 3]], -1.0, 1.0);
    check_prim(Prim::Transpose(smallvec![2, 0, 1]), &[&[2, 3, 4]], -1.0, 1.0);
    check_prim(
        Prim::Slice { starts: smallvec![1, 0], shape: smallvec![2, 3], strides: smallvec![2, 1] },
        &[&[5, 4]],
        -1.0,
        1.0,
    );
    check_prim(Prim::Slice { starts: smallvec![1], shape: smallvec![0], strides: smallvec![1] }, &[&[3]], -1.0, 1.0);
    check_prim(
        Prim::Pad { low: smallvec![1, 0], high: smallvec![0, 2], interior: smallvec![1, 0] },
        &[&[3, 2], &[]],
        -1.0,
        1.0,
    );
    check_prim(Prim::Reverse(smallvec![0, 1]), &[&[2, 3]], -1.0, 1.0);
    check_prim(Prim::Concat(1), &[&[2, 1], &[2, 3], &[2, 2]], -1.0, 1.0);
}

/// With the indices 1 and (clamped) 9.
fn check_place(prim: Prim, shapes: &[&[usize]], indices: usize) {
    let types: Vec<Type> =
        shapes.iter().map(|s| f64s(s)).chain((0..indices).map(|_| Type::scalar(DType::I32))).collect();
    let p = program(&types, |b, x| {
        let squares: Vec<Atom> = x[..shapes.len()].iter().map(|x| b.mul(*x, *x)).collect();
        b.prim(prim.clone(), &[&squares, &x[shapes.len()..]].concat()).to_vec()
    });
    let mut args = spread(&types[..shapes.len()], -1.0, 1.0);
    args.extend([1, 9][..indices].iter().map(|i| ArrayData::scalar::<i32>(*i)));
    check(&p, &args, 3);
}

#[test]
fn places() {
    check_place(Prim::Index(None), &[&[3, 4]], 0);
    check_place(Prim::Index(None), &[&[3, 4]], 1);
    check_place(Prim::Index(None), &[&[3, 4]], 2);
    check_place(Prim::Index(Some(2)), &[&[3, 4]], 1);
    check_place(Prim::Index(Some(2)), &[&[3, 4]], 2);
    for prim in [Prim::IndexSet as fn(Option<usize>) -> Prim, Prim::IndexAdd] {
        check_place(prim(None), &[&[3, 4], &[4]], 1);
        check_place(prim(None), &[&[3, 4], &[]], 2);
        check_place(prim(Some(2)), &[&[3, 4], &[2, 4]], 1);
        check_place(prim(Some(2)), &[&[3, 4], &[2]], 2);
        check_place(prim(None), &[&[3, 4], &[3, 4]], 0);
    }
}

#[test]
fn places_of_which_one_side_is_constant() {
    for prim in [Prim::IndexSet(None), Prim::IndexAdd(None)] {
        let p = program(&[f64s(&[3])], |b, x| {
            let one = b.prim1(prim.clone(), &[x[0], Lit::f64(2.0).into(), Lit::i32(1).into()]);
            let first = b.prim1(Prim::Index(None), &[x[0], Lit::i32(0).into()]);
            let zeros = b.zeros(&f64s(&[3]));
            let two = b.prim1(prim.clone(), &[zeros, first, Lit::i32(2).into()]);
            vec![b.mul(one, one), b.mul(two, one)]
        });
        check(&p, &spread(&[f64s(&[3])], -1.0, 1.0), 3);
    }
}

#[test]
fn reductions() {
    for op in [Monoid::Sum, Monoid::Prod, Monoid::Max, Monoid::Min] {
        for axes in [&[][..], &[0], &[1], &[0, 2], &[0, 1, 2]] {
            check_prim(Prim::Reduce(Reduce { op, axes: axes.into() }), &[&[2, 3, 2]], -1.0, 1.0);
        }
    }
}

#[test]
fn products_with_zeros() {
    let p = program(&[f64s(&[4])], |b, x| vec![b.reduce(Monoid::Prod, &[0], x[0])]);
    let gradient = |x: &[f64]| results(&vjp_program(&p), &[ArrayData::vector(x), ArrayData::scalar(1.0)])[0].to_f64();
    assert_eq!(gradient(&[2.0, 0.0, 3.0, 4.0]), [0.0, 24.0, 0.0, 0.0]);
    assert_eq!(gradient(&[0.0, 0.0, 3.0, 4.0]), [0.0; 4]);
    check(&p, &[ArrayData::vector(&[2.0, 0.0, 0.0, 4.0])], 3);
}

#[test]
fn cumulative() {
    for op in [Monoid::Sum, Monoid::Prod, Monoid::Max, Monoid::Min] {
        for reverse in [false, true] {
            check_prim(Prim::Cumulative { op, axis: 0, reverse }, &[&[4]], -1.0, 1.0);
            check_prim(Prim::Cumulative { op, axis: 1, reverse }, &[&[2, 3]], -1.0, 1.0);
            check_prim(Prim::Cumulative { op, axis: 0, reverse }, &[&[0, 2]], -1.0, 1.0);
        }
    }
}

fn dims(lhs_batch: &[usize], rhs_batch: &[usize], lhs_contract: &[usize], rhs_contract: &[usize]) -> Prim {
    Prim::Dot(Dot {
        lhs_batch: lhs_batch.into(),
        rhs_batch: rhs_batch.into(),
        lhs_contract: lhs_contract.into(),
        rhs_contract: rhs_contract.into(),
    })
}

#[test]
fn products_of_arrays() {
    let shapes: &[(Prim, [&[usize]; 2])] = &[
        (dims(&[], &[], &[1], &[0]), [&[2, 3], &[3, 4]]),
        (dims(&[], &[], &[0], &[0]), [&[3], &[3, 2]]),
        (dims(&[], &[], &[0], &[0]), [&[3], &[3]]),
        (dims(&[], &[], &[], &[]), [&[2], &[3]]),
        (dims(&[], &[], &[0, 2], &[1, 0]), [&[2, 5, 3], &[3, 2, 4]]),
        (dims(&[1], &[2], &[0], &[1]), [&[3, 2, 4], &[5, 3, 2]]),
        (dims(&[2, 0], &[0, 1], &[1], &[3]), [&[2, 3, 4], &[4, 2, 5, 3]]),
        (dims(&[1], &[1], &[2, 0], &[0, 2]), [&[2, 3, 4], &[4, 3, 2]]),
    ];
    for (prim, shapes) in shapes {
        check_prim(prim.clone(), shapes, -1.0, 1.0);
    }
}

#[test]
fn sorts() {
    check_prim(Prim::Sort { axis: 0, keys: 1 }, &[&[5]], -1.0, 1.0);
    check_prim(Prim::Sort { axis: 0, keys: 1 }, &[&[5], &[5]], -1.0, 1.0);
    check_prim(Prim::Sort { axis: 1, keys: 2 }, &[&[2, 4], &[2, 4], &[2, 4]], -1.0, 1.0);
    // By an integer key with equal elements; one payload has no derivative.
    let p = program(&[Type::new(DType::I32, &[5]), f64s(&[5]), f64s(&[5])], |b, x| {
        let still = b.prim1(Prim::StopGradient, &[x[2]]);
        let y = b.mul(x[1], x[1]);
        let sorted = b.prim(Prim::Sort { axis: 0, keys: 1 }, &[x[0], still, y]);
        vec![b.mul(sorted[1], sorted[2]), sorted[0]]
    });
    let mut args = vec![ArrayData::vector(&[2i32, 1, 2, 0, 1])];
    args.extend(spread(&[f64s(&[5]), f64s(&[5])], -1.0, 1.0));
    let g = results(&vjp_program(&p), &[args, vec![ArrayData::vector(&[1.0f64; 5])]].concat());
    assert!(g[1].to_f64().iter().all(|g| *g == 0.0));
    assert!(g[0].to_f64().iter().all(|g| *g != 0.0));
}

fn gradient(p: &Program, args: &[ArrayData], c: ArrayData) -> Vec<Vec<f64>> {
    results(&vjp_program(p), &[args, &[c]].concat()).iter().map(ArrayData::to_f64).collect()
}

#[test]
fn conventions_at_kinks() {
    let scalar = ArrayData::scalar::<f64>;
    let abs = program(&[f64s(&[])], |b, x| vec![b.unary(Unary::Abs, x[0])]);
    assert_eq!(gradient(&abs, &[scalar(0.0)], scalar(1.0)), [[0.0]]);
    for op in [Binary::Max, Binary::Min] {
        let p = program(&[f64s(&[]), f64s(&[])], |b, x| vec![b.binary(op, x[0], x[1])]);
        assert_eq!(gradient(&p, &[scalar(3.0), scalar(3.0)], scalar(1.0)), [[0.5], [0.5]]);
    }
    let relu = program(&[f64s(&[3])], |b, x| vec![b.binary(Binary::Max, x[0], Lit::f64(0.0).into())]);
    let g = gradient(&relu, &[ArrayData::vector(&[-1.0, 0.0, 1.0])], ArrayData::vector(&[1.0, 1.0, 1.0]));
    assert_eq!(g, [[0.0, 0.5, 1.0]]);
    for op in [Monoid::Max, Monoid::Min] {
        let p = program(&[f64s(&[4])], |b: &mut Builder, x| vec![b.reduce(op, &[0], x[0])]);
        let sign = if op == Monoid::Max { 1.0 } else { -1.0 };
        let x: Vec<f64> = [2.0, 1.0, 2.0, 0.0].iter().map(|x| x * sign).collect();
        assert_eq!(gradient(&p, &[ArrayData::vector(&x)], scalar(1.0)), [[0.5, 0.0, 0.5, 0.0]]);
    }
    let power = program(&[f64s(&[]), f64s(&[])], |b, x| vec![b.binary(Binary::Pow, x[0], x[1])]);
    assert_eq!(gradient(&power, &[scalar(0.0), scalar(0.0)], scalar(1.0)), [[0.0], [0.0]]);
    assert_eq!(gradient(&power, &[scalar(0.0), scalar(2.0)], scalar(1.0)), [[0.0], [0.0]]);
}
