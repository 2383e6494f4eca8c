//! A failing program made smaller, statement by statement, while it fails in the same way.

use std::sync::Arc;

use whorl_core::ir::*;
use whorl_core::rewrite::Substitution;
use whorl_core::verify::verify;
use whorl_transform::dce::dce;

/// A program and arguments for it.
#[derive(Clone)]
pub struct Case {
    pub program: Program,
    pub args: Vec<ArrayData>,
}

/// The smallest case that was found for which `fails` still holds.
pub fn reduced(case: Case, fails: &dyn Fn(&Case) -> bool) -> Case {
    let mut best = case;
    loop {
        let smaller = candidates(&best).find(|c| verify(&c.program).is_ok() && fails(c));
        match smaller {
            Some(c) => best = c,
            None => return best,
        }
    }
}

fn candidates(case: &Case) -> impl Iterator<Item = Case> {
    let case = case.clone();
    let n = count(&case.program.main.body);
    let results = case.program.main.body.results.len();
    let params = case.program.main.params.len();
    let fewer_results = {
        let case = case.clone();
        (0..results).filter(move |_| results > 1).map(move |k| {
            let mut c = case.clone();
            c.program.main.body.results.remove(k);
            c.program = dce(c.program);
            c
        })
    };
    let edited = {
        let case = case.clone();
        // The last statements first: what they use may disappear with them.
        (0..n).rev().flat_map(|at| EDITS.iter().map(move |edit| (at, *edit))).filter_map(move |(at, edit)| {
            let mut c = case.clone();
            let Program { vars, main } = &mut c.program;
            edit_at(vars, &mut main.body, at, edit)?;
            c.program = dce(c.program);
            (weight(&c.program.main.body) < weight(&case.program.main.body)).then_some(c)
        })
    };
    let fewer_params = {
        let case = case.clone();
        (0..params).filter_map(move |k| {
            let mut c = case.clone();
            c.program.main.params.remove(k);
            c.args.remove(k);
            verify(&c.program).is_ok().then_some(c)
        })
    };
    let plain_values = (0..params).flat_map({
        let case = case.clone();
        move |k| (0..case.args[k].ty.size()).map(move |at| (k, at))
    });
    let plain_values = plain_values.flat_map(|(k, at)| [0.0, 1.0].map(|x| (k, at, x))).filter_map(move |(k, at, x)| {
        let arg = &case.args[k];
        let mut lits: Vec<Lit> = (0..arg.ty.size()).map(|i| arg.element(i)).collect();
        let plain = Lit::of(arg.ty.dtype, x);
        if lits[at] == plain || lits[at].bits == 0 {
            return None;
        }
        lits[at] = plain;
        let mut c = case.clone();
        c.args[k] = ArrayData::from_lits(arg.ty.dtype, &arg.ty.shape, &lits);
        Some(c)
    });
    fewer_results.chain(fewer_params).chain(edited).chain(plain_values)
}

#[derive(Clone, Copy)]
enum Edit {
    /// Without what it does.
    Remove,
    /// One of its operands in its place.
    Operand(usize),
    /// Zeros, or ones, in place of its results.
    Zeros,
    Ones,
    /// The statements of one of its bodies in its place.
    Inner(usize),
    /// Without one of what it yields or carries.
    Result(usize),
}

const EDITS: &[Edit] = &[
    Edit::Remove,
    Edit::Operand(0),
    Edit::Operand(1),
    Edit::Operand(2),
    Edit::Inner(0),
    Edit::Inner(1),
    Edit::Inner(2),
    Edit::Result(0),
    Edit::Result(1),
    Edit::Result(2),
    Edit::Zeros,
    Edit::Ones,
];

fn count(body: &Body) -> usize {
    body.stmts.iter().map(|s| 1 + inner(s).map(count).sum::<usize>()).sum()
}

/// Constants weigh less than what they stand for.
fn weight(body: &Body) -> usize {
    let of = |s: &Stmt| match &s.op {
        Op::Constant(_) => 1,
        Op::Prim(_, args) => 2 + args.len(),
        Op::Effect(_) => 4,
        Op::Form(f) => 6 + 2 * f.binders().len() + f.bodies().iter().map(|b| weight(b)).sum::<usize>(),
    };
    body.results.len() + body.stmts.iter().map(of).sum::<usize>()
}

fn inner(s: &Stmt) -> impl Iterator<Item = &Body> {
    match &s.op {
        Op::Form(f) => f.bodies().into_vec(),
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => Vec::new(),
    }
    .into_iter()
}

/// Edits the statement of this number, outer ones before those inside of them.
fn edit_at(vars: &mut Vars, body: &mut Body, mut at: usize, edit: Edit) -> Option<()> {
    for k in 0..body.stmts.len() {
        if at == 0 {
            return edited(vars, body, k, edit);
        }
        at -= 1;
        let n = inner(&body.stmts[k]).map(count).sum::<usize>();
        if at < n {
            let Op::Form(form) = &mut body.stmts[k].op else { return None };
            for b in form.bodies_mut() {
                let n = count(b);
                if at < n {
                    return edit_at(vars, b, at, edit);
                }
                at -= n;
            }
        }
        at -= n;
    }
    None
}

fn edited(vars: &mut Vars, body: &mut Body, k: usize, edit: Edit) -> Option<()> {
    let stmt = body.stmts[k].clone();
    match (edit, &stmt.op) {
        (Edit::Remove, Op::Effect(_)) => {
            body.stmts.remove(k);
            Some(())
        }
        (Edit::Operand(n), Op::Prim(_, args)) => {
            let (operand, out) = (*args.get(n)?, *stmt.outs.first()?);
            if stmt.outs.len() > 1 || vars.atom_type(&operand) != *vars.ty(out) {
                return None;
            }
            replace(vars, body, k, &[(out, operand)], Vec::new());
            Some(())
        }
        (Edit::Inner(n), Op::Form(form)) => {
            let bodies = form.bodies();
            let inner = (*bodies.get(n)?).clone();
            let (starts, carried): (Vec<(Var, Atom)>, usize) = match &**form {
                Form::Switch(_) => (Vec::new(), inner.results.len()),
                Form::Map(m) => (started(m.index, &m.accs), m.accs.len()),
                Form::Scan(s) => (started(s.index, &s.carries), s.carries.len()),
                Form::While(w) if n == 1 => (w.carries.iter().map(|c| (c.var, c.init)).collect(), w.carries.len()),
                Form::While(_) => return None,
            };
            let mut renaming = Substitution::new(starts);
            let inner = renaming.body(vars, &inner);
            // What was stacked is zeros; what was carried is as after one step.
            let pairs: Vec<(Var, Atom)> =
                stmt.outs.iter().zip(&inner.results).take(carried).map(|(v, a)| (*v, *a)).collect();
            let mut stmts = inner.stmts;
            for out in &stmt.outs[carried..] {
                stmts.push(constant(vars, *out, 0.0));
            }
            replace(vars, body, k, &pairs, stmts);
            Some(())
        }
        (Edit::Result(n), Op::Form(_)) => {
            let Op::Form(form) = &mut body.stmts[k].op else { return None };
            let carried = match &**form {
                Form::Map(m) => m.accs.len(),
                Form::Scan(s) => s.carries.len(),
                Form::While(_) => return None,
                Form::Switch(_) => 0,
            };
            if n + 1 > stmt.outs.len() || stmt.outs.len() == 1 {
                return None;
            }
            let out = stmt.outs[n];
            match &mut **form {
                Form::Map(m) if n < carried => {
                    m.accs.remove(n);
                }
                Form::Scan(s) if n < carried => {
                    s.carries.remove(n);
                }
                _ => {}
            }
            form.bodies_mut().into_iter().for_each(|b| {
                b.results.remove(n);
            });
            body.stmts[k].outs.remove(n);
            let made = constant(vars, out, 0.0);
            body.stmts.insert(k, made);
            Some(())
        }
        (Edit::Zeros | Edit::Ones, Op::Prim(..) | Op::Form(_)) => {
            let x = if matches!(edit, Edit::Zeros) { 0.0 } else { 1.0 };
            let made = stmt.outs.iter().map(|v| constant(vars, *v, x)).collect();
            replace(vars, body, k, &[], made);
            Some(())
        }
        _ => None,
    }
}

fn started(index: Var, carries: &[Carry]) -> Vec<(Var, Atom)> {
    carries.iter().map(|c| (c.var, c.init)).chain([(index, Lit::i32(0).into())]).collect()
}

fn constant(vars: &Vars, out: Var, x: f64) -> Stmt {
    let ty = vars.ty(out);
    let lits = vec![Lit::of(ty.dtype, x); ty.size()];
    let data = ArrayData::from_lits(ty.dtype, &ty.shape, &lits);
    Stmt { outs: [out].into_iter().collect(), op: Op::Constant(Arc::new(data)), spans: Spans::new() }
}

/// Other statements in place of statement `k`, and atoms in place of variables behind it.
fn replace(vars: &mut Vars, body: &mut Body, k: usize, pairs: &[(Var, Atom)], by: Vec<Stmt>) {
    let mut renaming = Substitution::new(pairs.iter().copied());
    let behind: Vec<Stmt> = body.stmts.drain(k..).skip(1).collect();
    body.stmts.extend(by);
    if pairs.is_empty() {
        body.stmts.extend(behind);
        return;
    }
    for stmt in &behind {
        let renamed = renaming.stmt(vars, stmt);
        body.stmts.push(renamed);
    }
    for r in &mut body.results {
        *r = renaming.get(*r);
    }
}
