//! Sinking: what only one arm of a branch needs is computed in that arm.
//!
//! ```text
//! k = split(key); s = if done { reset(k) } else { next }     ==>     s = if done { k = split(key); reset(k) } else { next }
//! ```
//!
//! Tracing writes down statements where the script has them, before the branch. In the arm they are done only where it is taken: by
//! no one where no lane is.
//!
//! Only into arms that are costly by themselves: they are branches for lanes too (see [`crate::distribute`]). An arm that is cheap without would
//! become one by what sinks into it, and mostly is the one that is taken: an environment's next state, where it is not done.

use std::collections::HashMap;

use whorl_core::ir::*;
use whorl_core::rewrite::{each_use, each_use_in, has_effect};

use crate::distribute::cost::{CHEAP, cost};

/// The program with statements in the arms that alone need them.
pub fn sink(mut program: Program) -> Program {
    body(&program.vars, &mut program.main.body);
    program
}

/// Where a variable is needed: in one costly arm of the statement so far from the end of the body, or elsewhere too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Arm { stmt: usize, arm: usize },
    Several,
}

fn body(vars: &Vars, body: &mut Body) {
    let mut needs: HashMap<Var, Need> = HashMap::new();
    body.results.iter().for_each(|a| need(&mut needs, *a, Need::Several));
    // From the last statement on, so that what a sunk statement needs may sink with it.
    let mut kept: Vec<Stmt> = Vec::with_capacity(body.stmts.len());
    let mut sunk: HashMap<(usize, usize), Vec<Stmt>> = HashMap::new();
    for stmt in std::mem::take(&mut body.stmts).into_iter().rev() {
        if let Some(at) = only_arm(&stmt, &needs) {
            each_use(&stmt, &mut |a| need(&mut needs, a, Need::Arm { stmt: at.0, arm: at.1 }));
            sunk.entry(at).or_default().push(stmt);
            continue;
        }
        match switch(&stmt) {
            Some(s) => {
                need(&mut needs, s.which, Need::Several);
                for (arm, b) in s.arms.iter().enumerate() {
                    let costly = cost(vars, b) > CHEAP;
                    let at = if costly { Need::Arm { stmt: kept.len(), arm } } else { Need::Several };
                    each_use_in(b, &mut |a| need(&mut needs, a, at));
                }
            }
            None => each_use(&stmt, &mut |a| need(&mut needs, a, Need::Several)),
        }
        kept.push(stmt);
    }
    for ((stmt, arm), mut stmts) in sunk {
        stmts.reverse();
        let Op::Form(form) = &mut kept[stmt].op else { continue };
        form.bodies_mut()[arm].stmts.splice(0..0, stmts);
    }
    kept.reverse();
    body.stmts = kept;
    for stmt in &mut body.stmts {
        if let Op::Form(form) = &mut stmt.op {
            form.bodies_mut().into_iter().for_each(|b| self::body(vars, b));
        }
    }
}

/// The branch, of several arms, that the statement is.
fn switch(stmt: &Stmt) -> Option<&Switch> {
    match &stmt.op {
        Op::Form(form) => match &**form {
            Form::Switch(s) if s.arms.len() > 1 => Some(s),
            Form::Switch(_) | Form::Map(_) | Form::Scan(_) | Form::While(_) => None,
        },
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => None,
    }
}

/// The arm that the statement may sink into, if all that needs it is there.
fn only_arm(stmt: &Stmt, needs: &HashMap<Var, Need>) -> Option<(usize, usize)> {
    let Need::Arm { stmt: to, arm } = *needs.get(stmt.outs.first()?)? else { return None };
    // What nothing needs at all is for another pass to drop.
    let there = stmt.outs.iter().all(|v| needs.get(v).is_none_or(|n| *n == Need::Arm { stmt: to, arm }));
    (there && !has_effect(stmt) && always_ends(stmt)).then_some((to, arm))
}

/// Whether it is sure to end: a program that runs for ever goes on doing so.
fn always_ends(stmt: &Stmt) -> bool {
    match &stmt.op {
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => true,
        Op::Form(form) => {
            !matches!(&**form, Form::While(w) if w.max.is_none())
                && form.bodies().iter().all(|b| b.stmts.iter().all(always_ends))
        }
    }
}

fn need(needs: &mut HashMap<Var, Need>, a: Atom, n: Need) {
    if let Atom::Var(v) = a {
        needs.entry(v).and_modify(|known| *known = if *known == n { n } else { Need::Several }).or_insert(n);
    }
}
