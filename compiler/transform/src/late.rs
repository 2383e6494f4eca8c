//! Updates wait for those who read what they replace, so that they can happen in place.
//!
//! ```text
//! y = index_set(x, v, i); a = index(x, j)     ==>     a = index(x, j); y = index_set(x, v, i)
//! ```
//!
//! A replay buffer that is written and then sampled as it was would be copied at each step otherwise. Whoever needs both the array before and what was
//! made of the array after gets the copy.

use std::collections::{HashMap, HashSet};

use whorl_core::ir::*;
use whorl_core::prim::Prim;
use whorl_core::rewrite::{free_vars, has_effect};

/// The flat program with its updates as late as readers of the arrays before them.
pub fn late(mut program: Program) -> Program {
    body(&mut program.main.body, &mut HashSet::new());
    program
}

/// `filled`: arrays of one literal, which are made again where they are needed.
fn body(body: &mut Body, filled: &mut HashSet<Var>) {
    for stmt in &mut body.stmts {
        match &mut stmt.op {
            Op::Form(form) => form.bodies_mut().into_iter().for_each(|b| self::body(b, filled)),
            Op::Prim(_, args) if args.iter().all(|a| matches!(a, Atom::Lit(_))) => filled.extend(&stmt.outs),
            Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => {}
        }
    }
    let updated = |stmt: &Stmt| -> Vec<Var> { updated(stmt).into_iter().filter(|v| !filled.contains(v)).collect() };
    let updates: Vec<usize> = (0..body.stmts.len()).filter(|k| !updated(&body.stmts[*k]).is_empty()).collect();
    if updates.is_empty() {
        return;
    }
    let mut reads = reads(&body.stmts);
    // The last first: what it moves past then is where it stays.
    for k in updates.into_iter().rev() {
        let replaced = updated(&body.stmts[k]);
        let Some(last) = (k + 1..reads.len()).rev().find(|r| reads[*r].iter().any(|v| replaced.contains(v))) else {
            continue;
        };
        let Some(waits) = waiting(&body.stmts, &reads, k, last) else { continue };
        if (k + 1..=last).any(|r| waits.contains(&r) && reads[r].iter().any(|v| replaced.contains(v))) {
            continue;
        }
        let order: Vec<usize> = (k..=last).filter(|r| !waits.contains(r)).chain(waits.iter().copied()).collect();
        let stmts: Vec<Stmt> = order.iter().map(|r| body.stmts[*r].clone()).collect();
        let read: Vec<Vec<Var>> = order.iter().map(|r| reads[*r].clone()).collect();
        body.stmts.splice(k..=last, stmts);
        reads.splice(k..=last, read);
    }
}

/// What each statement reads; if that is a part of an array or the array in another order, the array too, since it is read through such views.
fn reads(stmts: &[Stmt]) -> Vec<Vec<Var>> {
    let mut of: HashMap<Var, Vec<Var>> = HashMap::new();
    let mut all = Vec::new();
    for stmt in stmts {
        let mut read = free_vars(stmt);
        let arrays: Vec<Var> = read.iter().filter_map(|v| of.get(v)).flatten().copied().collect();
        read.extend(arrays);
        if let (Op::Prim(prim, _), [out]) = (&stmt.op, &stmt.outs[..])
            && is_view(prim)
        {
            of.insert(*out, read.clone());
        }
        all.push(read);
    }
    all
}

fn is_view(prim: &Prim) -> bool {
    matches!(
        prim,
        Prim::Index(_)
            | Prim::Slice { .. }
            | Prim::Broadcast { .. }
            | Prim::Reshape(_)
            | Prim::Transpose(_)
            | Prim::Reverse(_)
            | Prim::StopGradient
    )
}

/// The arrays of which the statement makes others that differ in a few places.
fn updated(stmt: &Stmt) -> Vec<Var> {
    match &stmt.op {
        Op::Prim(Prim::IndexSet(_) | Prim::IndexAdd(_), args) => args[0].var().into_iter().collect(),
        Op::Form(form) => match &**form {
            Form::Map(m) => m.accs.iter().filter_map(|a| a.init.var()).collect(),
            Form::Scan(s) => s.carries.iter().filter_map(|c| c.init.var()).collect(),
            Form::While(w) => w.carries.iter().filter_map(|c| c.init.var()).collect(),
            Form::Switch(_) => Vec::new(),
        },
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => Vec::new(),
    }
}

/// The statements of `from..=last` that depend on the first of them, itself included, in order; `None` where effects would change places.
fn waiting(stmts: &[Stmt], reads: &[Vec<Var>], from: usize, last: usize) -> Option<Vec<usize>> {
    let mut made: HashSet<Var> = stmts[from].outs.iter().copied().collect();
    let mut waits = vec![from];
    for k in from + 1..=last {
        if reads[k].iter().any(|v| made.contains(v)) {
            made.extend(&stmts[k].outs);
            waits.push(k);
        }
    }
    let effects = |waiting: bool| (from..=last).any(|k| waits.contains(&k) == waiting && has_effect(&stmts[k]));
    let change = effects(true) && effects(false);
    (!change).then_some(waits)
}
