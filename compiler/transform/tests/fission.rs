//! Loops are split where a step by itself has little to do, and keep every bit.

use whorl_core::builder::Builder;
use whorl_core::check::{Check, CheckKind};
use whorl_core::interp;
use whorl_core::ir::*;
use whorl_core::prim::*;
use whorl_core::verify::verify;
use whorl_transform::fission::fission;

const STEPS: usize = 6;

fn f32s(shape: &[usize]) -> Type {
    Type::new(DType::F32, shape)
}

/// A program of a loop with one carry of `rows` rows, started from the first parameter; `step` gives the next carry and yields.
fn program(
    params: &[Type],
    reverse: bool,
    step: impl FnOnce(&mut Builder, &[Atom], Atom, Atom) -> Vec<Atom>,
) -> (Program, Vec<ArrayData>) {
    let mut b = Builder::default();
    let vars: Vec<Var> = params.iter().map(|t| b.fresh(t.clone())).collect();
    let atoms: Vec<Atom> = vars.iter().map(|v| (*v).into()).collect();
    b.begin();
    let outs = b.scan(STEPS, reverse, &atoms[..1], |b, i, carry| step(b, &atoms, i, carry[0]));
    let body = b.end(outs.to_vec());
    let program = Program { vars: b.vars, main: Function { params: vars, body } };
    verify(&program).expect("a well-formed program");
    let data = |(k, ty): (usize, &Type)| {
        let lits: Vec<Lit> =
            (0..ty.size()).map(|i| Lit::of(ty.dtype, ((i * 7 + k * 3) % 11) as f64 * 0.25 - 1.0)).collect();
        ArrayData::from_lits(ty.dtype, &ty.shape, &lits)
    };
    let args = params.iter().enumerate().map(data).collect();
    (program, args)
}

/// The split program, which gives the same bits.
fn split(program: &Program, args: &[ArrayData]) -> Program {
    let after = fission(program.clone());
    verify(&after).unwrap_or_else(|e| panic!("{e:?}\n{}", whorl_core::print::print(&after)));
    let run = |p: &Program| interp::run(p, args).map(|o| o.results).map_err(|e| e.to_string());
    assert_eq!(run(program), run(&after), "{}", whorl_core::print::print(&after));
    after
}

/// How many statements of the kind stand in loops, and outside.
fn count(body: &Body, is: &impl Fn(&Prim) -> bool) -> (usize, usize) {
    let mut counts = (0, 0);
    for stmt in &body.stmts {
        match &stmt.op {
            Op::Prim(p, _) => counts.1 += usize::from(is(p)),
            Op::Form(f) => {
                for (inside, here) in f.bodies().iter().map(|b| count(b, is)) {
                    counts.0 += inside + here;
                }
            }
            Op::Constant(_) | Op::Effect(_) => {}
        }
    }
    counts
}

fn is_dot(p: &Prim) -> bool {
    matches!(p, Prim::Dot(_))
}

fn is_math(p: &Prim) -> bool {
    matches!(p, Prim::Unary(Unary::Math(_)))
}

fn dot(b: &mut Builder, x: Atom, w: Atom) -> Atom {
    b.prim1(Prim::Dot(Dot::matmul(b.ty(x).rank())), &[x, w])
}

fn index(b: &mut Builder, x: Atom, i: Atom) -> Atom {
    b.prim1(Prim::Index(None), &[x, i])
}

fn tanh(b: &mut Builder, x: Atom) -> Atom {
    b.unary(Unary::Tanh, x)
}

/// An actor that makes the next state and a critic that is only looked at.
fn actor_and_critic(rows: usize, reverse: bool) -> (Program, Vec<ArrayData>) {
    let types = [f32s(&[rows, 4]), f32s(&[4, 4]), f32s(&[4, 3])];
    program(&types, reverse, |b, a, _, s| {
        let h = dot(b, s, a[1]);
        let next = tanh(b, h);
        let v = dot(b, s, a[2]);
        let v = tanh(b, v);
        let twice = b.add(v, v);
        vec![next, v, s, twice]
    })
}

#[test]
fn the_critic_goes_behind_the_loop() {
    for reverse in [false, true] {
        let (p, args) = actor_and_critic(2, reverse);
        let q = split(&p, &args);
        assert_eq!(count(&q.main.body, &is_dot), (1, 1));
        assert_eq!(count(&q.main.body, &is_math), (1, 1));
    }
}

#[test]
fn a_product_of_many_rows_stays() {
    let (p, args) = actor_and_critic(32, false);
    assert_eq!(count(&split(&p, &args).main.body, &is_dot), (2, 0));
}

#[test]
fn what_needs_no_carry_goes_before_the_loop() {
    for reverse in [false, true] {
        let types = [f32s(&[2, 3]), f32s(&[STEPS, 2, 4]), f32s(&[4, 3]), f32s(&[3, 3])];
        let (p, args) = program(&types, reverse, |b, a, i, h| {
            let x = index(b, a[1], i);
            let from_x = dot(b, x, a[2]);
            let from_h = dot(b, h, a[3]);
            let sum = b.add(from_x, from_h);
            vec![tanh(b, sum), from_x, x]
        });
        let q = split(&p, &args);
        assert_eq!(count(&q.main.body, &is_dot), (1, 1));
        assert_eq!(count(&q.main.body, &is_math), (1, 0));
    }
}

#[test]
fn the_same_of_both_kinds_at_once() {
    let types = [f32s(&[3]), f32s(&[STEPS, 3])];
    let (p, args) = program(&types, false, |b, a, i, s| {
        let x = index(b, a[1], i);
        let noise = b.unary(Unary::Math(MathFn::Sin), x);
        let next = b.add(s, noise);
        let seen = b.mul(next, noise);
        vec![next, b.unary(Unary::Math(MathFn::Cos), seen)]
    });
    assert_eq!(count(&split(&p, &args).main.body, &is_math), (0, 2));
}

#[test]
fn what_a_check_reads_stays() {
    let types = [f32s(&[3])];
    let (p, args) = program(&types, false, |b, _, _, s| {
        let seen = tanh(b, s);
        let good = b.prim1(Prim::Compare(Compare::Lt), &[seen, Lit::f32(2.0).into()]);
        let check = Check::new(CheckKind::Assert(None), "");
        b.effect(Effect::Check { check: check.into(), values: Atoms::from_iter([good]), mask: Lit::bool(true).into() });
        vec![b.add(s, s), seen]
    });
    assert_eq!(count(&split(&p, &args).main.body, &is_math), (1, 0));
}

#[test]
fn loops_and_branches_stay() {
    let types = [f32s(&[3])];
    let (p, args) = program(&types, false, |b, _, i, s| {
        let seen = tanh(b, s);
        let inner = b.scan(3, false, &[seen], |b, _, c| vec![b.add(c[0], s)]);
        let even = b.prim1(Prim::Compare(Compare::Lt), &[i, Lit::i32(2).into()]);
        let arm = |b: &mut Builder, x: Atom| {
            b.begin();
            let y = tanh(b, x);
            b.end(vec![y])
        };
        let arms = vec![arm(b, inner[0]), arm(b, s)];
        let chosen = b.form(Form::Switch(Switch { which: even, arms }));
        vec![b.add(s, s), chosen[0]]
    });
    assert_eq!(count(&split(&p, &args).main.body, &is_math), (3, 0));
}

#[test]
fn the_loop_that_the_host_paces_stays_whole() {
    let (mut p, args) = actor_and_critic(2, false);
    for stmt in &mut p.main.body.stmts {
        if let Op::Form(f) = &mut stmt.op
            && let Form::Scan(s) = &mut **f
        {
            s.train = true;
        }
    }
    assert_eq!(count(&split(&p, &args).main.body, &is_dot), (2, 0));
}
