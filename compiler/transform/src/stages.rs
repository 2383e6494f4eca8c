//! Cuts a program behind each `for` over training runs, so that runs stay independent programs whatever is done with them later.
//!
//! ```text
//! { key ->  a = map seeds { … train scan … }   mean(a) }
//!     ==>   { key -> a = map seeds { … } }   { key, a -> mean(a) }
//! ```
//!
//! A stage's parameters are the program's and the results of all stages before it, in order; the last stage's results are the
//! program's. What stands before the runs and is needed behind them is computed again, which is cheap beside a training run.

use whorl_core::ir::*;
use whorl_core::rewrite::has_effect;

use crate::dce::dce;
use crate::distribute::cost::holds_train;

/// The program as stages, at least one.
pub fn stages(program: Program) -> Vec<Program> {
    let mut found = Vec::new();
    let mut rest = program;
    while let Some(k) = runs(&rest.main.body) {
        let outs = rest.main.body.stmts[k].outs.clone();
        let mut first = rest.clone();
        first.main.body.stmts.truncate(k + 1);
        first.main.body.results = outs.iter().map(|v| Atom::Var(*v)).collect();
        found.push(dce(first));
        rest.main.body.stmts.remove(k);
        rest.main.params.extend(outs);
        rest = dce(rest);
    }
    found.push(rest);
    found
}

/// The place of a `Map` over training runs that something comes after. What has an effect before it must happen once: no cut there.
fn runs(body: &Body) -> Option<usize> {
    let training = |s: &Stmt| matches!(&s.op, Op::Form(f) if matches!(&**f, Form::Map(m) if m.accs.is_empty() && m.n > 0 && holds_train(&m.body)));
    let k = body.stmts.iter().position(training)?;
    let outs = &body.stmts[k].outs;
    let own = |a: &Atom| a.var().is_some_and(|v| outs.contains(&v));
    let is_all = k + 1 == body.stmts.len() && body.results.iter().all(own);
    (!is_all && !body.stmts[..k].iter().any(has_effect)).then_some(k)
}
