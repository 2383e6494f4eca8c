//! Cuts a program behind its `for` over training runs, so that runs stay independent programs whatever is done with them later.
//!
//! ```text
//! { key ->  a = map seeds { … train scan … }   mean(a) }
//!     ==>   { key -> a = map seeds { … } }   { key, a -> mean(a) }
//! ```
//!
//! What stands before the runs and is needed behind them is computed again, which is cheap beside a training run.

use std::collections::HashMap;

use whorl_core::ir::*;
use whorl_core::prim::Prim;

use crate::dce::dce;
use crate::distribute::cost::{holds_train, records};

/// The program up to its runs, whose results it gives, and what comes after them: a program of the parameters and of those
/// results. Where only sizes are put around these ([`crate::nests`]), they are given without, which the host does not see: the
/// elements are the same. A program that has no runs, or gives them as they are, is left whole; so is one that logs or trains elsewhere,
/// since the host paces and watches one program.
pub fn cut(program: Program) -> (Program, Option<Program>) {
    let body = &program.main.body;
    let Some(k) = body.stmts.iter().position(trains) else { return (program, None) };
    let outs = body.stmts[k].outs.clone();
    let own = |a: &Atom| a.var().is_some_and(|v| outs.contains(&v));
    let is_all = k + 1 == body.stmts.len() && body.results.iter().all(own);
    if let (false, true, Some(results)) = (is_all, is_runs(&body.stmts[k]), reshaped(&body.stmts[k..], &body.results)) {
        let mut first = program;
        first.main.body.stmts.truncate(k + 1);
        first.main.body.results = results;
        return (dce(first), None);
    }
    let others = || body.stmts.iter().enumerate().filter(|(i, _)| *i != k).map(|(_, s)| s);
    if is_all || !is_runs(&body.stmts[k]) || others().any(|s| trains(s) || records(s)) {
        return (program, None);
    }
    let mut first = program.clone();
    first.main.body.stmts.truncate(k + 1);
    first.main.body.results = outs.iter().map(|v| Atom::Var(*v)).collect();
    let mut rest = program;
    rest.main.body.stmts.remove(k);
    rest.main.params.extend(outs);
    (dce(first), Some(dce(rest)))
}

/// How many training runs a program of these statements is of: the rows of the one `for` that trains.
pub fn runs<'s>(stmts: impl IntoIterator<Item = &'s Stmt>) -> Option<usize> {
    let mut training = stmts.into_iter().filter(|s| trains(s));
    let (Some(one), None) = (training.next(), training.next()) else { return None };
    match &one.op {
        Op::Form(f) => match &**f {
            Form::Map(m) if m.n > 0 => Some(m.n),
            Form::Map(_) | Form::Scan(_) | Form::While(_) | Form::Switch(_) => None,
        },
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => None,
    }
}

/// What the first statement gives for the results, if those after it only reshape that.
fn reshaped(stmts: &[Stmt], results: &[Atom]) -> Option<Vec<Atom>> {
    let (runs, rest) = stmts.split_first()?;
    let mut from: HashMap<Var, Var> = runs.outs.iter().map(|v| (*v, *v)).collect();
    for stmt in rest {
        let Op::Prim(Prim::Reshape(_), args) = &stmt.op else { return None };
        let of = *from.get(&args[0].var()?)?;
        from.insert(stmt.outs[0], of);
    }
    results.iter().map(|a| from.get(&a.var()?).map(|v| Atom::Var(*v))).collect()
}

pub(crate) fn trains(stmt: &Stmt) -> bool {
    match &stmt.op {
        Op::Form(f) => matches!(&**f, Form::Scan(s) if s.train) || f.bodies().into_iter().any(holds_train),
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => false,
    }
}

pub(crate) fn is_runs(stmt: &Stmt) -> bool {
    match &stmt.op {
        Op::Form(f) => matches!(&**f, Form::Map(m) if m.accs.is_empty() && m.n > 0),
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => false,
    }
}
