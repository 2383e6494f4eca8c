//! A program cut into stages computes what it did before.

use whorl_core::builder::Builder;
use whorl_core::interp;
use whorl_core::ir::*;
use whorl_core::prim::*;
use whorl_core::verify::verify;
use whorl_transform::nests::join;
use whorl_transform::simplify::simplify;
use whorl_transform::stages::cut;

/// `n` lanes that each train: `x -> x * 0.5 + step`, four steps from `start + lane`.
fn runs(b: &mut Builder, n: usize, start: Atom) -> Atom {
    let index = b.fresh(Type::scalar(DType::I32));
    b.begin();
    let lane = b.prim1(Prim::Convert(DType::F32), &[index.into()]);
    let init = b.add(lane, start);
    let step = b.fresh(Type::scalar(DType::I32));
    let carry = b.fresh(Type::scalar(DType::F32));
    b.begin();
    let half = b.mul(carry.into(), Lit::f32(0.5).into());
    let number = b.prim1(Prim::Convert(DType::F32), &[step.into()]);
    let next = b.add(half, number);
    let body = b.end(vec![next]);
    let carries = vec![Carry { var: carry, init }];
    let last = b.form(Form::Scan(Scan {
        n: 4,
        reverse: false,
        train: true,
        index: step,
        carries,
        body,
        checkpoint: Checkpoint::Carries,
    }))[0];
    let body = b.end(vec![last]);
    b.form(Form::Map(Map { n, index, accs: Vec::new(), body }))[0]
}

fn program(write: impl FnOnce(&mut Builder, Atom) -> Vec<Atom>) -> Program {
    let mut b = Builder::default();
    let x = b.fresh(Type::scalar(DType::F32));
    b.begin();
    let results = write(&mut b, x.into());
    let body = b.end(results);
    simplify(Program { vars: b.vars, main: Function { params: vec![x], body } })
}

/// Runs the parts one after the other, and compares with the whole; says whether there are two.
fn check(p: Program) -> bool {
    check_parts(p.clone(), p)
}

/// The same of a program that was changed before it is cut.
fn check_parts(p: Program, changed: Program) -> bool {
    let args = vec![ArrayData::scalar(3.0f32)];
    let whole = interp::run(&p, &args).expect("runs");
    let (first, rest) = cut(changed);
    let parts = [Some(&first), rest.as_ref()].into_iter().flatten();
    let (mut inputs, mut results, mut logs) = (args, Vec::new(), Vec::new());
    for part in parts {
        verify(part).unwrap_or_else(|e| panic!("{e:?}\n{}", whorl_core::print::print(part)));
        let outcome = interp::run(part, &inputs).expect("runs");
        logs.extend(outcome.logs.iter().map(|l| (l.name.clone(), l.recorded())));
        inputs.extend(outcome.results.clone());
        results = outcome.results;
    }
    // Whatever the sizes around the elements.
    let bytes = |all: &[ArrayData]| all.iter().map(|a| a.bytes.clone()).collect::<Vec<_>>();
    assert_eq!(bytes(&results), bytes(&whole.results));
    assert_eq!(logs, whole.logs.iter().map(|l| (l.name.clone(), l.recorded())).collect::<Vec<_>>());
    rest.is_some()
}

fn mean(b: &mut Builder, x: Atom) -> Atom {
    b.reduce(Monoid::Sum, &[0], x)
}

#[test]
fn runs_alone_stay_whole() {
    assert!(!check(program(|b, x| vec![runs(b, 5, x)])));
}

#[test]
fn what_is_done_with_the_runs_comes_after_them() {
    let two = program(|b, x| {
        let start = b.mul(x, x);
        let all = runs(b, 5, start);
        let sum = mean(b, all);
        vec![b.add(sum, start), all]
    });
    assert!(check(two));
}

#[test]
fn runs_from_what_runs_gave_stay_whole() {
    let three = program(|b, x| {
        let first = runs(b, 5, x);
        let sum = mean(b, first);
        vec![runs(b, 3, sum)]
    });
    assert!(!check(three));
}

#[test]
fn a_program_that_logs_outside_of_the_runs_stays_whole() {
    let logs = |b: &mut Builder, value: Atom| {
        let (name, mask) = ("start".into(), Lit::bool(true).into());
        b.effect(Effect::Log { name, value, mask });
    };
    let before = program(|b, x| {
        logs(b, x);
        let all = runs(b, 5, x);
        vec![mean(b, all)]
    });
    assert!(!check(before));
    let behind = program(|b, x| {
        let all = runs(b, 5, x);
        let sum = mean(b, all);
        logs(b, sum);
        vec![sum]
    });
    assert!(!check(behind));
}

/// The lanes of the last statement that is a loop.
fn runs_of(p: &Program) -> Option<usize> {
    p.main.body.stmts.iter().rev().find_map(|s| match &s.op {
        Op::Form(f) => match &**f {
            Form::Map(m) => Some(m.n),
            Form::Scan(_) | Form::While(_) | Form::Switch(_) => None,
        },
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => None,
    })
}

/// Joins and cuts; how many runs there are, and whether something comes behind them.
fn check_nest(write: impl FnOnce(&mut Builder, Atom) -> Vec<Atom>) -> (Option<usize>, bool) {
    let p = program(write);
    let joined = join(p.clone());
    verify(&joined).unwrap_or_else(|e| panic!("{e:?}\n{}", whorl_core::print::print(&joined)));
    let args = [ArrayData::scalar(3.0f32)];
    assert_eq!(interp::run(&joined, &args).expect("runs").results, interp::run(&p, &args).expect("runs").results);
    let (first, _) = cut(joined.clone());
    (runs_of(&first), check_parts(p, joined))
}

fn number(b: &mut Builder, i: Atom) -> Atom {
    b.prim1(Prim::Convert(DType::F32), &[i])
}

#[test]
fn loops_around_training_are_one() {
    let two = check_nest(|b, x| {
        b.map(3, |b, task| {
            let task = number(b, task);
            let start = b.mul(task, x);
            vec![runs(b, 5, start)]
        })
        .to_vec()
    });
    assert_eq!(two, (Some(15), false));
    let three = check_nest(|b, x| {
        b.map(2, |b, a| {
            let a = number(b, a);
            let outer = b.add(a, x);
            b.map(3, |b, task| {
                let task = number(b, task);
                let start = b.mul(task, outer);
                vec![runs(b, 5, start)]
            })
            .to_vec()
        })
        .to_vec()
    });
    assert_eq!(three, (Some(30), false));
}

#[test]
fn what_tasks_do_with_their_runs_comes_after_all() {
    let nest = check_nest(|b, x| {
        let tasks = b.map(3, |b, task| {
            let number = number(b, task);
            let start = b.mul(number, x);
            let all = runs(b, 5, start);
            let sum = mean(b, all);
            let more = b.add(sum, start);
            vec![more, all, task, Lit::f32(7.0).into(), start]
        });
        let sum = mean(b, tasks[0]);
        let rows = b.reduce(Monoid::Sum, &[1], tasks[1]);
        [&tasks[..], &[sum, rows]].concat()
    });
    assert_eq!(nest, (Some(15), true));
}

#[test]
fn loops_that_log_or_train_besides_stay() {
    let logs = check_nest(|b, x| {
        b.map(3, |b, task| {
            let start = number(b, task);
            let (name, mask) = ("task".into(), Lit::bool(true).into());
            b.effect(Effect::Log { name, value: start, mask });
            let start = b.add(start, x);
            vec![runs(b, 5, start)]
        })
        .to_vec()
    });
    assert_eq!(logs, (Some(3), false));
    let trains_twice = check_nest(|b, x| {
        b.map(3, |b, task| {
            let start = number(b, task);
            let first = runs(b, 5, start);
            let sum = mean(b, first);
            let start = b.add(sum, x);
            vec![runs(b, 2, start)]
        })
        .to_vec()
    });
    assert_eq!(trains_twice, (Some(3), false));
}
