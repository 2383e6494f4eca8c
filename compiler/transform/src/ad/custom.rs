//! Takes the user's own derivatives out of a finished program: what they stand for is there, beside them.

use whorl_core::prim::Prim;
use whorl_core::rewrite::Substitution;
use whorl_core::{Body, Op, Program};

/// The program with every [`Prim::Custom`] replaced by its y.
pub fn strip(mut program: Program) -> Program {
    let mut rename = Substitution::default();
    if !holds(&program.main.body) {
        return program;
    }
    body(&mut program.main.body, &mut rename);
    program
}

/// Whether there is a derivative of the user's in the body, which has no forward mode.
pub fn holds(body: &Body) -> bool {
    body.stmts.iter().any(|s| match &s.op {
        Op::Prim(Prim::Custom(_), _) => true,
        Op::Form(f) => f.bodies().into_iter().any(holds),
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => false,
    })
}

fn body(of: &mut Body, rename: &mut Substitution) {
    let mut kept = Vec::with_capacity(of.stmts.len());
    for mut stmt in std::mem::take(&mut of.stmts) {
        match &mut stmt.op {
            Op::Prim(prim, args) => {
                args.iter_mut().for_each(|a| *a = rename.get(*a));
                if let Prim::Custom(c) = prim {
                    for (out, y) in stmt.outs.iter().zip(&args[c.rule.inputs..]) {
                        rename.insert(*out, *y);
                    }
                    continue;
                }
            }
            Op::Constant(_) => {}
            Op::Form(form) => {
                form.operands_mut().into_iter().for_each(|a| *a = rename.get(*a));
                form.bodies_mut().into_iter().for_each(|b| body(b, rename));
            }
            Op::Effect(effect) => effect.operands_mut().into_iter().for_each(|a| *a = rename.get(*a)),
        }
        kept.push(stmt);
    }
    of.stmts = kept;
    of.results.iter_mut().for_each(|a| *a = rename.get(*a));
}
