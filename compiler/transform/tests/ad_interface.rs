//! What `vjp` and `jvp` promise beside the numbers: constants, effects, errors, places, memory.

mod derivatives;

use derivatives::layers::{Layer, nest};
use derivatives::{Numbers, check, f64s, jvp_program, program, results, vjp_program};
use smallvec::{SmallVec, smallvec};
use whorl_core::interp::run;
use whorl_core::prim::{Binary, Compare, Dot, Monoid, Prim, Unary};
use whorl_core::print::print;
use whorl_core::{
    ArrayData, Atom, Body, Builder, Carry, Checkpoint, DType, Effect, Form, Function, Lit, Map, Op, Program, Stmt,
    Switch, Type, Var, While,
};
use whorl_source::{FileId, Span};
use whorl_transform::ad::{AdError, jvp, vjp};
use whorl_transform::dce::dce;

fn scalar(x: f64) -> ArrayData {
    ArrayData::scalar(x)
}

fn function(b: &mut Builder, types: &[Type], f: impl FnOnce(&mut Builder, &[Atom]) -> Vec<Atom>) -> Function {
    let params: Vec<Var> = types.iter().map(|t| b.fresh(t.clone())).collect();
    let atoms: Vec<Atom> = params.iter().map(|v| Atom::Var(*v)).collect();
    b.begin();
    let results = f(b, &atoms);
    Function { params, body: b.end(results) }
}

fn seed(_: &mut Builder, _: &[Atom]) -> Vec<Option<Atom>> {
    vec![Some(Lit::f64(1.0).into())]
}

#[test]
fn one_argument_twice_and_literals() {
    let p = program(&[f64s(&[])], |b, x| {
        let f = function(b, &[f64s(&[]), f64s(&[]), f64s(&[])], |b, a| {
            let y = b.mul(a[0], a[1]);
            let y = b.mul(y, a[0]);
            vec![b.mul(y, a[2])]
        });
        let all = vjp(b, &f, &[x[0], x[0], Lit::f64(5.0).into()], &[true, true, true], seed).unwrap();
        all.results.into_iter().chain(all.gradients).collect()
    });
    let out: Vec<f64> = results(&p, &[scalar(3.0)]).iter().map(|r| r.to_f64()[0]).collect();
    assert_eq!(out, [135.0, 90.0, 45.0, 27.0]);
}

#[test]
fn what_comes_from_outside_is_constant_to_the_inner_and_not_to_the_outer_gradient() {
    // d/dx (d/dy x² y³ at y = x), with x from outside: 3 x² y² there, so 12 x³.
    let inner = program(&[f64s(&[])], |b, x| {
        let f = function(b, &[f64s(&[])], |b, y| {
            let xx = b.mul(x[0], x[0]);
            let yyy = b.binary(Binary::Pow, y[0], Lit::f64(3.0).into());
            vec![b.mul(xx, yyy)]
        });
        vjp(b, &f, &[x[0]], &[true], seed).unwrap().gradients
    });
    assert_eq!(results(&inner, &[scalar(2.0)])[0].to_f64(), [48.0]);
    assert_eq!(results(&vjp_program(&inner), &[scalar(2.0), scalar(1.0)])[0].to_f64(), [96.0]);
}

#[test]
fn no_dependence_gives_zeros_of_the_argument() {
    let p = program(&[f64s(&[2]), Type::new(DType::I32, &[3]), f64s(&[])], |b, x| {
        let f = function(b, &[f64s(&[2]), Type::new(DType::I32, &[3]), f64s(&[])], |b, a| vec![b.mul(a[2], a[2])]);
        let all = vjp(b, &f, x, &[true, true, false], seed).unwrap();
        assert_eq!(all.gradients.len(), 2);
        let (_, t) = jvp(b, &f, x, &[Some(x[0]), None, None]).unwrap();
        assert_eq!(t, [None]);
        all.gradients
    });
    let out = results(&p, &[ArrayData::vector(&[1.0, 2.0]), ArrayData::vector(&[1i32, 2, 3]), scalar(1.0)]);
    assert_eq!(out[0], ArrayData::vector(&[0.0f64, 0.0]));
    assert_eq!(out[1], ArrayData::vector(&[0i32, 0, 0]));
}

fn log(b: &mut Builder, value: Atom) {
    b.effect(Effect::Log { name: "seen".into(), value, mask: Lit::bool(true).into() });
}

#[test]
fn effects_happen_once() {
    let p = program(&[f64s(&[2])], |b, x| {
        log(b, x[0]);
        let rows = b.map(2, |b, i| {
            let x = b.prim1(Prim::Index(None), &[x[0], i]);
            let steps = b.scan(3, false, &[x], |b, _, c| {
                log(b, c[0]);
                vec![b.unary(Unary::Sin, c[0])]
            });
            vec![steps[0]]
        });
        vec![b.reduce(Monoid::Sum, &[0], rows[0])]
    });
    let args = [ArrayData::vector(&[0.3, 0.4])];
    let logs = run(&p, &args).unwrap().logs;
    assert_eq!(logs.len(), 7);
    let more = [args[0].clone(), scalar(1.0)];
    assert_eq!(run(&vjp_program(&p), &more).unwrap().logs, logs);
    assert_eq!(run(&jvp_program(&p), &[args[0].clone(), args[0].clone()]).unwrap().logs, logs);
    assert_eq!(run(&vjp_program(&jvp_program(&p)), &[&args[..], &args, &[scalar(1.0)]].concat()).unwrap().logs, logs);
    assert_eq!(run(&jvp_program(&vjp_program(&p)), &[&more[..], &more].concat()).unwrap().logs, logs);
}

/// `while x < 100 { x = x * x }`
fn squares(b: &mut Builder, x: Atom, max: Option<usize>) -> Atom {
    let c = b.fresh(f64s(&[]));
    b.begin();
    let more = b.prim1(Prim::Compare(Compare::Lt), &[c.into(), Lit::f64(100.0).into()]);
    let condition = b.end(vec![more]);
    b.begin();
    let next = b.mul(c.into(), c.into());
    let body = b.end(vec![next]);
    b.form(Form::While(While {
        carries: vec![Carry { var: c, init: x }],
        condition,
        body,
        max,
        checkpoint: Checkpoint::Carries,
    }))[0]
}

#[test]
fn bounded_while() {
    let p = program(&[f64s(&[])], |b, x| vec![squares(b, x[0], Some(9))]);
    // 2, 4, 16, 256 = x⁸
    assert_eq!(results(&vjp_program(&p), &[scalar(2.0), scalar(1.0)])[0].to_f64(), [1024.0]);
    check(&p, &[scalar(2.0)], 2);
    let p = program(&[f64s(&[])], |b, x| vec![squares(b, x[0], Some(2))]);
    assert_eq!(results(&vjp_program(&p), &[scalar(2.0), scalar(1.0)])[0].to_f64(), [32.0]);
    let none = program(&[f64s(&[])], |b, x| vec![squares(b, x[0], Some(0))]);
    assert_eq!(results(&vjp_program(&none), &[scalar(2.0), scalar(1.0)])[0].to_f64(), [1.0]);
}

#[test]
fn unbounded_while_has_only_the_forward_derivative() {
    let span = Span::new(FileId(0), 3, 8);
    let mut b = Builder::default();
    let f = function(&mut b, &[f64s(&[])], |b, x| {
        b.at(span);
        let rows = b.map(2, |b, _| vec![squares(b, x[0], None)]);
        b.at(Span::NONE);
        vec![b.reduce(Monoid::Sum, &[0], rows[0])]
    });
    let p = Program { vars: b.vars.clone(), main: f.clone() };
    assert_eq!(results(&jvp_program(&p), &[scalar(2.0), scalar(1.0)])[0].to_f64(), [2048.0]);
    let x = b.fresh(f64s(&[]));
    b.begin();
    let error = vjp(&mut b, &f, &[x.into()], &[true], seed).unwrap_err();
    assert_eq!(b.depth(), 1);
    assert_eq!(
        error,
        AdError {
            code: "E0502",
            message: "`while` has no reverse derivative unless it is bounded".into(),
            spans: smallvec![span],
            help: Some("while s = s0; cond max 1000 { … }".into()),
        }
    );
    // Where it does not depend on the argument, it may stay.
    let p = program(&[f64s(&[])], |b, x| {
        let n = squares(b, Lit::f64(3.0).into(), None);
        vec![b.mul(n, x[0])]
    });
    assert_eq!(results(&vjp_program(&p), &[scalar(2.0), scalar(1.0)])[0].to_f64(), [6561.0]);
}

#[test]
fn loops_of_no_steps() {
    let p = program(&[f64s(&[])], |b, x| {
        let rows = b.map(0, |b, i| {
            let k = b.prim1(Prim::Convert(DType::F64), &[i]);
            vec![b.mul(k, x[0])]
        });
        let steps = b.scan(0, false, &[x[0]], |b, _, c| {
            let y = b.mul(c[0], c[0]);
            vec![y, y]
        });
        let sums = [b.reduce(Monoid::Sum, &[0], rows[0]), b.reduce(Monoid::Sum, &[0], steps[1])];
        let sum = b.add(sums[0], sums[1]);
        vec![b.prim1(Prim::MulAdd, &[steps[0], steps[0], sum])]
    });
    check(&p, &[scalar(3.0)], 2);
}

#[test]
fn an_arm_may_ignore_what_another_uses() {
    let p = program(&[f64s(&[]), f64s(&[]), Type::scalar(DType::I32)], |b, x| {
        let arms = [x[0], x[1], Lit::f64(7.0).into()].map(|y| {
            b.begin();
            let y = b.mul(y, y);
            b.end(vec![y, Lit::i32(1).into(), x[0]])
        });
        b.form(Form::Switch(Switch { which: x[2], arms: arms.to_vec() })).to_vec()
    });
    for which in [-1, 0, 1, 2, 9] {
        check(&p, &[scalar(0.6), scalar(0.7), ArrayData::scalar::<i32>(which)], 2);
    }
}

#[test]
fn derivatives_stand_where_their_statements_stand() {
    let mut b = Builder::default();
    let spans = [Span::new(FileId(0), 0, 1), Span::new(FileId(0), 5, 6)];
    let f = function(&mut b, &[f64s(&[2])], |b, x| {
        b.at(spans[0]);
        let rows = b.map(2, |b, i| {
            let x = b.prim1(Prim::Index(None), &[x[0], i]);
            vec![b.unary(Unary::Sin, x)]
        });
        b.at(spans[1]);
        vec![b.reduce(Monoid::Prod, &[0], rows[0])]
    });
    b.at_spans(SmallVec::new());
    let p = dce(vjp_program(&Program { vars: b.vars, main: f }));
    fn without(body: &Body, found: &mut Vec<Stmt>) {
        for s in &body.stmts {
            if s.spans.is_empty() && !matches!(&s.op, Op::Prim(Prim::Broadcast { .. } | Prim::Index(_), _)) {
                found.push(s.clone());
            }
            if let Op::Form(form) = &s.op {
                form.bodies().into_iter().for_each(|b| without(b, found));
            }
        }
    }
    let mut found = Vec::new();
    without(&p.main.body, &mut found);
    assert_eq!(found, []);
    let cos = |s: &Stmt| matches!(s.op, Op::Prim(Prim::Unary(Unary::Cos), _));
    let forms = p.main.body.stmts.iter().filter_map(|s| if let Op::Form(f) = &s.op { Some(f) } else { None });
    let all: Vec<&Stmt> = forms.flat_map(|f| f.bodies()).flat_map(|b| &b.stmts).filter(|s| cos(s)).collect();
    assert!(!all.is_empty() && all.iter().all(|s| s.spans.as_slice() == [spans[0]]));
}

/// The gradient of a layer applied in every lane: what `distribute` turns into matrix products.
#[test]
fn weights_of_a_layer_in_every_lane() {
    let f32s = |shape: &[usize]| Type::new(DType::F32, shape);
    let p = program(&[f32s(&[8, 4]), f32s(&[4, 5])], |b, a| {
        let y = b.map(8, |b, i| {
            let x = b.prim1(Prim::Index(None), &[a[0], i]);
            let y = b.prim1(Prim::Dot(Dot::matmul(1)), &[x, a[1]]);
            vec![b.unary(Unary::Tanh, y)]
        });
        vec![b.reduce(Monoid::Sum, &[0, 1], y[0])]
    });
    let gradient = dce(vjp_program(&p));
    let text = print(&gradient);
    let [Form::Map(m)] = &forms(&gradient.main.body)[..] else { panic!("one map in\n{text}") };
    assert_eq!(m.accs.len(), 2);
    let Some(Atom::Var(sum)) = m.body.results.get(1) else { panic!("{text}") };
    let define = |v: Var| m.body.stmts.iter().find(|s| s.outs.contains(&v)).map(|s| s.op.clone());
    let Some(Op::Prim(Prim::Binary(Binary::Add), operands)) = define(*sum) else { panic!("{text}") };
    assert_eq!(operands[0], m.accs[1].var.into());
    let outer = operands[1].var().and_then(define);
    assert!(matches!(outer, Some(Op::Prim(Prim::Dot(ref d), _)) if *d == Dot::default()), "{text}");
}

fn forms(body: &Body) -> Vec<Form> {
    let form = |s: &Stmt| if let Op::Form(f) = &s.op { Some((**f).clone()) } else { None };
    body.stmts.iter().filter_map(form).collect()
}

/// A scan saves what the way back reads: not sums of gradients, not what stays.
#[test]
fn only_needed_carries_are_saved() {
    let p = program(&[f64s(&[3]), f64s(&[7])], |b, x| {
        let steps = b.scan(4, false, &[x[0], x[1], x[1]], |b, _, c| {
            let y = b.unary(Unary::Sin, c[0]);
            let first = b.prim1(Prim::Index(None), &[c[2], Lit::i32(0).into()]);
            let y = b.mul(y, first);
            let sum = b.add(c[1], c[2]);
            vec![y, sum, c[2]]
        });
        vec![steps[0], steps[1]]
    });
    let all = dce(vjp_program(&p));
    let [Form::Scan(s), _] = &forms(&all.main.body)[..] else { panic!("two scans in\n{}", print(&all)) };
    let saved: Vec<Type> = s.body.results[s.carries.len()..].iter().map(|r| all.vars.atom_type(r)).collect();
    assert_eq!(saved, [f64s(&[3])], "{}", print(&all));
}

#[test]
fn sums_stay_sums_in_derivatives_of_derivatives() {
    // The verifier, which `vjp_program` calls, checks the accumulators; here that there are some.
    let p = vjp_program(&vjp_program(&nest(&[Layer::Map, Layer::Scan])));
    fn count(body: &Body) -> usize {
        let maps = forms(body);
        let own: usize = maps.iter().map(|f| if let Form::Map(Map { accs, .. }) = f { accs.len() } else { 0 }).sum();
        own + maps.iter().flat_map(|f| f.bodies()).map(count).sum::<usize>()
    }
    assert!(count(&dce(p).main.body) > 2);
    let mut numbers = Numbers(9);
    let w = numbers.array(&f64s(&[3, 3]));
    check(&nest(&[Layer::Map, Layer::Scan]), &[ArrayData::vector(&[0.1, 0.2, -0.3]), w], 1);
}
