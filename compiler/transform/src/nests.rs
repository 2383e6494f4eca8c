//! A `for` over tasks around a `for` over seeds that trains is one of tasks times seeds: each is a run of its own, in place of a run
//! a task with the seeds as its lanes.
//!
//! ```text
//! map t < T { p = before(t)   a = map s < S { … train scan … }   behind(a) }
//!     ==>   A = map r < T·S { t = r / S   s = r % S   p = before(t)   … train scan … }
//!           B = reshape(A, [T, S])   map t < T { a = B[t]   behind(a) }
//! ```
//!
//! What stands in the outer loop before the inner one is done in every run, and is cheap beside training; what stands behind it is
//! done behind all runs ([`crate::stages`]).

use std::collections::HashMap;

use smallvec::SmallVec;
use whorl_core::builder::Builder;
use whorl_core::ir::*;
use whorl_core::prim::{Binary, Prim};
use whorl_core::rewrite::{Substitution, has_effect};

use crate::dce::dce;
use crate::distribute::cost::records;
use crate::stages::{is_runs, trains};

/// The program with nests of loops around training made into one loop.
pub fn join(mut program: Program) -> Program {
    while let Some((outer, inner)) = nest(&program.main.body) {
        program = dce(joined(program, outer, inner));
    }
    program
}

/// The one statement that trains, if it is a loop with one statement that trains, which is a loop as well: the places of both.
fn nest(body: &Body) -> Option<(usize, usize)> {
    let outer = only(body)?;
    let tasks = map(&body.stmts[outer])?;
    let inner = only(&tasks.body)?;
    let seeds = map(&tasks.body.stmts[inner])?;
    let all = tasks.n.checked_mul(seeds.n)?;
    i32::try_from(all).is_ok().then_some((outer, inner))
}

/// The place of the statement that trains, if it is a loop without sums and no other trains or logs.
fn only(body: &Body) -> Option<usize> {
    let k = body.stmts.iter().position(trains)?;
    let others = || body.stmts.iter().enumerate().filter(|(i, _)| *i != k).map(|(_, s)| s);
    (is_runs(&body.stmts[k]) && !others().any(|s| trains(s) || records(s))).then_some(k)
}

fn map(stmt: &Stmt) -> Option<&Map> {
    match &stmt.op {
        Op::Form(f) => match &**f {
            Form::Map(m) => Some(m),
            Form::Scan(_) | Form::While(_) | Form::Switch(_) => None,
        },
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => None,
    }
}

fn joined(mut program: Program, outer: usize, inner: usize) -> Program {
    let mut stmts = std::mem::take(&mut program.main.body.stmts);
    let behind = stmts.split_off(outer + 1);
    let stmt = stmts.pop().expect("the outer loop");
    let (tasks, seeds) = both(&stmt, inner);
    let inner_stmt = &tasks.body.stmts[inner];
    let mut b = Builder::new(std::mem::take(&mut program.vars));
    b.begin();
    stmts.into_iter().for_each(|s| b.push(s));

    let spans = b.at_spans(inner_stmt.spans.clone());
    let all = b.map(tasks.n * seeds.n, |b, run| {
        let size = Lit::i32(seeds.n as i32).into();
        let (task, seed) = (b.binary(Binary::Div, run, size), b.binary(Binary::Rem, run, size));
        let mut s = Substitution::new([(tasks.index, task), (seeds.index, seed)]);
        let copied = tasks.body.stmts[..inner].iter().chain(&seeds.body.stmts);
        for stmt in copied {
            let stmt = s.stmt(&mut b.vars, stmt);
            b.push(stmt);
        }
        seeds.body.results.iter().map(|a| s.get(*a)).collect()
    });
    let shaped: HashMap<Var, Atom> =
        inner_stmt.outs.iter().zip(all).map(|(out, a)| (*out, shaped(&mut b, *out, tasks.n, a))).collect();
    b.at_spans(stmt.spans.clone());

    // What the outer loop gives: what the inner one gave, or something of a task, which is computed behind the runs.
    let given = |a: &Atom| a.var().and_then(|v| shaped.get(&v).copied());
    let (mut rest, mut results, mut rename) = (Vec::new(), Vec::new(), Substitution::default());
    for (out, a) in stmt.outs.iter().zip(&tasks.body.results) {
        match given(a) {
            Some(shaped) => rename.insert(*out, shaped),
            None => {
                rest.push(*out);
                results.push(*a);
            }
        }
    }
    let checks = tasks.body.stmts[inner + 1..].iter().any(has_effect);
    if !rest.is_empty() || checks {
        let map = of_tasks(&mut b, tasks, inner, &shaped, &results);
        b.push(Stmt {
            outs: SmallVec::from_vec(rest),
            op: Op::Form(Box::new(Form::Map(map))),
            spans: stmt.spans.clone(),
        });
    }
    b.at_spans(spans);
    for stmt in &behind {
        let stmt = rename.stmt(&mut b.vars, stmt);
        b.push(stmt);
    }
    let results = program.main.body.results.iter().map(|a| rename.get(*a)).collect();
    program.main.body = b.end(results);
    program.vars = b.vars;
    program
}

fn both(stmt: &Stmt, inner: usize) -> (&Map, &Map) {
    let tasks = map(stmt).expect("checked by nest");
    (tasks, map(&tasks.body.stmts[inner]).expect("checked by nest"))
}

/// What the inner loop gave in all tasks, of the type of `out` with the tasks in front.
fn shaped(b: &mut Builder, out: Var, tasks: usize, all: Atom) -> Atom {
    let ty = b.vars.ty(out).stacked(tasks);
    let name = b.vars.info(out).name.clone();
    if let (Some(name), Some(v)) = (name, all.var()) {
        b.vars.set_name(v, name);
    }
    b.prim1(Prim::Reshape(ty.shape), &[all])
}

/// The outer loop without the inner one, whose results are read.
fn of_tasks(b: &mut Builder, tasks: &Map, inner: usize, shaped: &HashMap<Var, Atom>, results: &[Atom]) -> Map {
    let index = b.fresh(Type::scalar(DType::I32));
    b.begin();
    let mut s = Substitution::new([(tasks.index, index.into())]);
    for (k, stmt) in tasks.body.stmts.iter().enumerate() {
        if k != inner {
            let stmt = s.stmt(&mut b.vars, stmt);
            b.push(stmt);
            continue;
        }
        for out in &stmt.outs {
            let row = b.prim1(Prim::Index(None), &[shaped[out], index.into()]);
            s.insert(*out, row);
        }
    }
    let results = results.iter().map(|a| s.get(*a)).collect();
    Map { n: tasks.n, index, accs: Vec::new(), body: b.end(results) }
}
