//! Cuts a program behind its `for` over training runs, so that runs stay independent programs whatever is done with them later.
//!
//! ```text
//! { key ->  a = map seeds { … train scan … }   mean(a) }
//!     ==>   { key -> a = map seeds { … } }   { key, a -> mean(a) }
//! ```
//!
//! What stands before the runs and is needed behind them is computed again, which is cheap beside a training run.

use whorl_core::ir::*;

use crate::dce::dce;
use crate::distribute::cost::{holds_train, records};

/// The program up to its runs, whose results it gives, and what comes after them: a program of the parameters and of those
/// results. A program that has no runs, or gives them as they are, is left whole; so is one that logs or trains elsewhere,
/// since the host paces and watches one program.
pub fn cut(program: Program) -> (Program, Option<Program>) {
    let body = &program.main.body;
    let Some(k) = body.stmts.iter().position(trains) else { return (program, None) };
    let outs = body.stmts[k].outs.clone();
    let own = |a: &Atom| a.var().is_some_and(|v| outs.contains(&v));
    let is_all = k + 1 == body.stmts.len() && body.results.iter().all(own);
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

fn trains(stmt: &Stmt) -> bool {
    match &stmt.op {
        Op::Form(f) => matches!(&**f, Form::Scan(s) if s.train) || f.bodies().into_iter().any(holds_train),
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => false,
    }
}

fn is_runs(stmt: &Stmt) -> bool {
    match &stmt.op {
        Op::Form(f) => matches!(&**f, Form::Map(m) if m.accs.is_empty() && m.n > 0),
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => false,
    }
}
