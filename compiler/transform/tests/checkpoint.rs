//! Which states a derivative keeps of a loop changes no bit of what it computes.

mod derivatives;

use derivatives::{Numbers, check, f64s, program, results, vjp_program};
use whorl_core::generate::{Config, arguments, program as generated};
use whorl_core::prim::{Binary, Monoid, Unary};
use whorl_core::print::print;
use whorl_core::verify::verify;
use whorl_core::{ArrayData, Body, Carry, Checkpoint, DType, Form, Lit, Op, Prim, Program, Type, While};
use whorl_transform::ad::kept::kept;

const POLICIES: [Checkpoint; 5] =
    [Checkpoint::Every(2), Checkpoint::Every(3), Checkpoint::Every(4), Checkpoint::Every(100), Checkpoint::Sqrt];

/// The program with this policy in every loop.
fn with_policy(p: &Program, policy: Checkpoint) -> Program {
    fn set(body: &mut Body, policy: Checkpoint) {
        for stmt in &mut body.stmts {
            let Op::Form(form) = &mut stmt.op else { continue };
            match &mut **form {
                Form::Scan(s) => s.checkpoint = policy,
                Form::While(w) => w.checkpoint = policy,
                Form::Map(_) | Form::Switch(_) => {}
            }
            form.bodies_mut().into_iter().for_each(|b| set(b, policy));
        }
    }
    let mut p = p.clone();
    set(&mut p.main.body, policy);
    p
}

fn same_bits(what: &str, a: &[ArrayData], b: &[ArrayData], p: &Program) {
    for (x, y) in a.iter().zip(b) {
        for (x, y) in x.to_f64().iter().zip(y.to_f64()) {
            let same = x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
            assert!(same, "{what}: {x:?} and {y:?} of\n{}", print(p));
        }
    }
}

/// Values, gradients and, to `order`, gradients of gradients.
fn policies_agree(p: &Program, args: &[ArrayData], order: usize) {
    let mut numbers = Numbers(9);
    let plain = vjp_program(&with_policy(p, Checkpoint::Carries));
    let mut all = args.to_vec();
    for v in &plain.main.params[args.len()..] {
        all.push(numbers.array(plain.vars.ty(*v)));
    }
    let expected = results(&plain, &all);
    for policy in POLICIES {
        let given = with_policy(p, policy);
        same_bits("values", &results(p, args), &results(&given, args), p);
        let derived = vjp_program(&given);
        verify(&derived).expect("well-formed");
        same_bits(&format!("{policy:?}"), &expected, &results(&derived, &all), p);
        if order > 1 {
            let twice = vjp_program(&derived);
            let again = vjp_program(&plain);
            let mut args = all.clone();
            args.extend(again.main.params[all.len()..].iter().map(|v| numbers.array(again.vars.ty(*v))));
            let (a, b) = (results(&again, &args), results(&twice, &args));
            for (x, y) in a.iter().zip(&b) {
                for (x, y) in x.to_f64().iter().zip(y.to_f64()) {
                    let close = (x - y).abs() <= 1e-11 * (1.0 + x.abs());
                    assert!(close, "{policy:?}, twice: {x} and {y} of\n{}", print(p));
                }
            }
        }
    }
}

/// `n` steps with a state of three parts, one of which stays and one of which counts; they read and yield.
fn steps(n: usize, reverse: bool) -> Program {
    program(&[f64s(&[3]), f64s(&[n.max(1)]), f64s(&[3])], |b, a| {
        let carries = b.scan(n, reverse, &[a[0], Lit::i32(0).into(), a[2]], |b, i, c| {
            let x = b.prim1(Prim::Index(None), &[a[1], i]);
            let count = b.add(c[1], Lit::i32(1).into());
            let t = b.prim1(Prim::Convert(DType::F64), &[count]);
            let t = b.mul(t, Lit::f64(0.1).into());
            let sum = b.prim1(Prim::MulAdd, &[c[0], x, c[2]]);
            let sum = b.prim1(Prim::MulAdd, &[sum, t, a[0]]);
            let next = b.unary(Unary::Sin, sum);
            let seen = b.reduce(Monoid::Prod, &[0], next);
            vec![next, count, c[2], seen, c[0]]
        });
        vec![carries[0], carries[1], carries[2], carries[3], carries[4]]
    })
}

#[test]
fn loops_of_all_lengths() {
    for n in [0, 1, 2, 3, 4, 7, 8, 9, 10, 12] {
        for reverse in [false, true] {
            let p = steps(n, reverse);
            let mut numbers = Numbers(n as u64);
            let args: Vec<ArrayData> = p.main.params.iter().map(|v| numbers.array(p.vars.ty(*v))).collect();
            policies_agree(&p, &args, 2);
            check(&with_policy(&p, Checkpoint::Every(3)), &args, 2);
        }
    }
}

/// A bounded loop that ends by itself after six or seven of eleven steps.
#[test]
fn bounded_loops() {
    let p = program(&[f64s(&[3]), f64s(&[3])], |b, a| {
        let (x, k) = (b.fresh(f64s(&[3])), b.fresh(Type::scalar(DType::I32)));
        let carries = vec![Carry { var: x, init: a[0] }, Carry { var: k, init: Lit::i32(0).into() }];
        b.begin();
        let more = b.prim1(Prim::Compare(whorl_core::prim::Compare::Lt), &[k.into(), Lit::i32(6).into()]);
        let condition = b.end(vec![more]);
        b.begin();
        let y = b.prim1(Prim::MulAdd, &[x.into(), a[1], a[0]]);
        let y = b.unary(Unary::Tanh, y);
        let next = b.binary(Binary::Add, k.into(), Lit::i32(1).into());
        let body = b.end(vec![y, next]);
        let w = While { carries, condition, body, max: Some(11), checkpoint: Checkpoint::Carries };
        b.form(Form::While(w)).to_vec()
    });
    let mut numbers = Numbers(4);
    let args: Vec<ArrayData> = p.main.params.iter().map(|v| numbers.array(p.vars.ty(*v))).collect();
    policies_agree(&p, &args, 2);
}

#[test]
fn generated_programs() {
    let config = Config { float: DType::F64, statements: 5, smooth: true, ..Config::default() };
    for seed in 0..60 {
        let p = generated(seed, &config);
        policies_agree(&p, &arguments(seed, &p), 2);
    }
}

#[test]
fn what_is_kept_is_known() {
    let p = steps(100, false);
    // Of the state two parts change, and the derivative needs both.
    let of = |policy| {
        let all = kept(&vjp_program(&with_policy(&p, policy)));
        assert_eq!(all.len(), 1);
        (all[0].steps, all[0].every, all[0].state_bytes, all[0].now())
    };
    assert_eq!(of(Checkpoint::Carries), (100, 1, 28, 2800));
    assert_eq!(of(Checkpoint::Every(7)), (100, 7, 28, (14 + 7) * 28));
    assert_eq!(of(Checkpoint::Sqrt), (100, 10, 28, 20 * 28));
    assert_eq!(kept(&p), []);
}

/// The sizes of what scans yield: nothing of the length of the loop is left.
#[test]
fn nothing_as_long_as_the_loop_is_made() {
    let long = program(&[f64s(&[5])], |b, a| {
        let outs = b.scan(400, false, &[a[0]], |b, _, c| vec![b.unary(Unary::Sin, c[0])]);
        outs.to_vec()
    });
    let longest = |policy| {
        let p = vjp_program(&with_policy(&long, policy));
        (0..p.vars.len()).map(|k| p.vars.ty(whorl_core::Var(k as u32)).size()).max()
    };
    assert_eq!(longest(Checkpoint::Carries), Some(2000));
    assert_eq!(longest(Checkpoint::Sqrt), Some(100));
    assert_eq!(longest(Checkpoint::Every(8)), Some(250));
}

#[test]
fn lengths_of_blocks() {
    let of = |policy: Checkpoint, n| policy.every(n);
    assert_eq!(of(Checkpoint::Sqrt, 10_000), 100);
    assert_eq!(of(Checkpoint::Sqrt, 0), 1);
    assert_eq!(of(Checkpoint::Every(0), 5), 1);
    assert_eq!(of(Checkpoint::Every(9), 5), 5);
}
