//! The gradient of a layer over a batch becomes products of matrices, with nothing computed twice.

use whorl_core::builder::Builder;
use whorl_core::interp;
use whorl_core::ir::*;
use whorl_core::prim::*;
use whorl_core::verify::verify;
use whorl_transform::ad::vjp;
use whorl_transform::flatten::flatten;

fn f32s(shape: &[usize]) -> Type {
    Type::new(DType::F32, shape)
}

/// `sum over lanes of sum(tanh(tanh(x w + b) w2))`, with x captured.
fn network(b: &mut Builder, x: Atom) -> Function {
    let params: Vec<Var> = [&[4, 8][..], &[8], &[8, 8]].iter().map(|s| b.fresh(f32s(s))).collect();
    b.begin();
    let outs = b.map(16, |b, i| {
        let row = b.prim1(Prim::Index(None), &[x, i]);
        let z = b.prim1(Prim::Dot(Dot::matmul(1)), &[row, params[0].into()]);
        let z = b.add(z, params[1].into());
        let h = b.unary(Unary::Tanh, z);
        let z = b.prim1(Prim::Dot(Dot::matmul(1)), &[h, params[2].into()]);
        vec![b.unary(Unary::Tanh, z)]
    });
    let loss = b.reduce(Monoid::Sum, &[0, 1], outs[0]);
    let body = b.end(vec![loss]);
    Function { params, body }
}

#[test]
fn layers_over_a_batch() {
    let mut b = Builder::default();
    let params: Vec<Var> = [&[16, 4][..], &[4, 8], &[8], &[8, 8]].iter().map(|s| b.fresh(f32s(s))).collect();
    let atoms: Vec<Atom> = params.iter().map(|v| (*v).into()).collect();
    b.begin();
    let f = network(&mut b, atoms[0]);
    let back =
        vjp(&mut b, &f, &atoms[1..], &[true; 3], |_, _| vec![Some(Lit::f32(1.0).into())]).expect("differentiable");
    let body = b.end(back.results.into_iter().chain(back.gradients).collect());
    let p = Program { vars: b.vars, main: Function { params, body } };
    verify(&p).expect("well-formed");
    let flat = flatten(p.clone());
    verify(&flat).expect("well-formed");
    let count = |is: &dyn Fn(&Prim) -> bool| {
        flat.main.body.stmts.iter().filter(|s| matches!(&s.op, Op::Prim(q, _) if is(q))).count()
    };
    let text = whorl_core::print::print(&flat);
    assert!(flat.main.body.stmts.iter().all(|s| !matches!(s.op, Op::Form(_))), "{text}");
    assert_eq!(count(&|p| matches!(p, Prim::Unary(Unary::Tanh))), 2, "{text}");
    // Two forward, one for the gradient of the hidden layer, two for weights.
    assert_eq!(count(&|p| matches!(p, Prim::Dot(_))), 5, "{text}");
    let args: Vec<ArrayData> = p
        .main
        .params
        .iter()
        .map(|v| {
            let ty = p.vars.ty(*v);
            let lits: Vec<Lit> = (0..ty.size()).map(|i| Lit::f32(((i * 37) % 19) as f32 * 0.05 - 0.4)).collect();
            ArrayData::from_lits(ty.dtype, &ty.shape, &lits)
        })
        .collect();
    let (a, e) = (interp::run(&flat, &args).expect("runs"), interp::run(&p, &args).expect("runs"));
    for (x, y) in a.results.iter().zip(&e.results) {
        for (x, y) in x.to_f64().iter().zip(y.to_f64()) {
            assert!((x - y).abs() < 1e-4 * (1.0 + y.abs()), "{x} {y}");
        }
    }
}
