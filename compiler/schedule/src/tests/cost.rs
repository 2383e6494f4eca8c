//! Counted costs, by value.

use whorl_core::ir::*;
use whorl_core::prim::*;
use whorl_kernels::math::MathFn;

use super::program;
use crate::cost::{self, Cost, Known, flops_of};
use crate::schedule;

fn f32s(shape: &[usize]) -> Type {
    Type::new(DType::F32, shape)
}

/// Of all phases together.
#[track_caller]
fn cost_of(p: &Program) -> (Cost, Known) {
    let s = schedule(p).unwrap_or_else(|e| panic!("{e}"));
    let phases = cost::of_phases(&s);
    (phases.iter().map(|p| p.0).sum(), phases.iter().map(|p| p.1).max().unwrap_or_default())
}

#[test]
fn products_are_two_mnk() {
    let p = program(&[f32s(&[8, 16]), f32s(&[16, 4])], |b, x| vec![b.prim1(Prim::Dot(Dot::matmul(2)), &[x[0], x[1]])]);
    let (c, known) = cost_of(&p);
    assert_eq!((c.flops, known), (2 * 8 * 4 * 16, Known::Exactly));
    assert_eq!((c.read, c.written), (4 * (8 * 16 + 16 * 4), 4 * 8 * 4));
}

#[test]
fn elementwise_loops_count_what_they_do_and_touch() {
    let p = program(&[f32s(&[100]), f32s(&[100]), f32s(&[])], |b, x| {
        let product = b.mul(x[0], x[1]);
        vec![b.add(product, x[2])]
    });
    let (c, _) = cost_of(&p);
    // The scalar is read once.
    assert_eq!(c, Cost { flops: 200, other: 0, read: 804, written: 400 });
}

#[test]
fn elementary_functions_are_their_polynomials() {
    let p = program(&[f32s(&[64])], |b, x| vec![b.unary(Unary::Tanh, x[0])]);
    let (c, _) = cost_of(&p);
    assert_eq!(c.flops, 64 * flops_of(MathFn::Tanh, DType::F32));
    for f in MathFn::ALL {
        let (narrow, wide) = (flops_of(*f, DType::F32), flops_of(*f, DType::F64));
        assert!((5..250).contains(&narrow) && narrow <= wide && wide < 350, "{f:?}: {narrow} and {wide}");
    }
}

#[test]
fn reductions_are_an_operation_an_element() {
    let sum = |op: Monoid, dtype: DType| {
        let p = program(&[Type::new(dtype, &[40, 25])], |b, x| vec![b.reduce(op, &[0, 1], x[0])]);
        cost_of(&p).0
    };
    let (adds, most) = (sum(Monoid::Sum, DType::F32), sum(Monoid::Max, DType::F32));
    assert_eq!((adds.flops, adds.other, adds.read), (1000, 0, 4000));
    assert_eq!((most.flops, most.other), (0, 1000));
    assert_eq!(sum(Monoid::Sum, DType::I32).flops, 0);
}

/// A loop of `n` steps of `c = c * 2` over `[50]`.
fn doubling(n: usize) -> Program {
    program(&[f32s(&[50])], |b, x| {
        let (index, c) = (b.fresh(Type::scalar(DType::I32)), b.fresh(f32s(&[50])));
        b.begin();
        let next = b.mul(c.into(), Lit::f32(2.0).into());
        let body = b.end(vec![next]);
        let carries = vec![Carry { var: c, init: x[0] }];
        let (reverse, train, checkpoint) = (false, false, Checkpoint::Carries);
        b.form(Form::Scan(Scan { n, reverse, train, checkpoint, index, carries, body })).to_vec()
    })
}

#[test]
fn loops_multiply() {
    let (one, many) = (cost_of(&doubling(1)).0, cost_of(&doubling(11)).0);
    assert_eq!((one.flops, many.flops), (50, 550));
    // A step reads and writes the state in place.
    assert_eq!((many.read - one.read, many.written - one.written), (10 * 200, 10 * 200));
}

#[test]
fn what_is_not_known_is_said() {
    let halving = |max: Option<usize>| {
        let p = program(&[f32s(&[])], |b, x| {
            let c = b.fresh(f32s(&[]));
            b.begin();
            let test = b.prim1(Prim::Compare(Compare::Gt), &[c.into(), Lit::f32(1.0).into()]);
            let condition = b.end(vec![test]);
            b.begin();
            let next = b.mul(c.into(), Lit::f32(0.5).into());
            let body = b.end(vec![next]);
            let (carries, checkpoint) = (vec![Carry { var: c, init: x[0] }], Checkpoint::Carries);
            b.form(Form::While(While { carries, condition, body, max, checkpoint })).to_vec()
        });
        let (c, known) = cost_of(&p);
        (c.flops, known)
    };
    assert_eq!(halving(None), (1, Known::ARound));
    assert_eq!(halving(Some(7)), (7, Known::AtMost));
}
