//! What a body costs, as far as distribution must know.

use whorl_core::ir::*;
use whorl_core::prim::{Prim, Unary};

/// Whether the body holds the loop that the host paces.
pub(crate) fn holds_train(body: &Body) -> bool {
    holds(body, &|f| matches!(f, Form::Scan(s) if s.train))
}

pub(crate) fn holds_loop(body: &Body) -> bool {
    holds(body, &|f| matches!(f, Form::Scan(_) | Form::While(_)))
}

fn holds(body: &Body, is: &impl Fn(&Form) -> bool) -> bool {
    body.stmts.iter().any(|s| match &s.op {
        Op::Form(f) => is(f) || f.bodies().iter().any(|b| holds(b, is)),
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => false,
    })
}

/// Whether the statement logs.
pub(crate) fn records(stmt: &Stmt) -> bool {
    match &stmt.op {
        Op::Prim(..) | Op::Constant(_) | Op::Effect(Effect::Check { .. }) => false,
        Op::Effect(Effect::Log { .. }) => true,
        Op::Form(f) => f.bodies().iter().any(|b| b.stmts.iter().any(records)),
    }
}

/// The most that an arm may cost in a lane, in simple operations, to be computed in all lanes whether they take it or not.
/// A branch on `any` costs a reduction over the lanes and ends the loop around it: about this much for a few lanes.
pub(crate) const CHEAP: usize = 64;

/// Simple operations of one execution of the body.
pub(crate) fn cost(vars: &Vars, body: &Body) -> usize {
    body.stmts.iter().map(|s| stmt_cost(vars, s)).sum()
}

fn stmt_cost(vars: &Vars, stmt: &Stmt) -> usize {
    let size = |a: &Atom| vars.atom_type(a).size();
    let out = stmt.outs.first().map_or(0, |v| vars.ty(*v).size());
    match &stmt.op {
        Op::Prim(p, args) => match p {
            Prim::Unary(u) => out * unary_cost(*u),
            Prim::Threefry => out * 100,
            Prim::Binary(_) | Prim::Compare(_) | Prim::Select | Prim::MulAdd | Prim::Convert(_) | Prim::Index(_) => out,
            Prim::Bitcast(_)
            | Prim::StopGradient
            | Prim::Custom(_)
            | Prim::Iota(_)
            | Prim::Broadcast { .. }
            | Prim::Reshape(_)
            | Prim::Transpose(_)
            | Prim::Slice { .. }
            | Prim::Reverse(_) => 0,
            Prim::Pad { .. } | Prim::Concat(_) | Prim::IndexSet(_) | Prim::IndexAdd(_) | Prim::Cumulative { .. } => out,
            Prim::Reduce(_) | Prim::ArgMax(_) | Prim::ArgMin(_) => size(&args[0]),
            Prim::Dot(_) => size(&args[0]).max(size(&args[1])).max(out) * 4,
            Prim::Sort { .. } => size(&args[0]) * 32,
        },
        Op::Constant(_) => 0,
        Op::Form(form) => {
            let inner: usize = form.bodies().iter().map(|b| cost(vars, b)).sum();
            match &**form {
                Form::Map(m) => inner.saturating_mul(m.n),
                Form::Scan(s) => (inner + 10).saturating_mul(s.n),
                Form::While(_) => usize::MAX / 1024,
                Form::Switch(_) => inner,
            }
        }
        Op::Effect(_) => 1,
    }
}

fn unary_cost(op: Unary) -> usize {
    use Unary::*;
    match op {
        Neg | Abs | Sign | Floor | Ceil | Round | Not => 1,
        Sqrt | PopCount => 4,
        Math(_) => 16,
    }
}
