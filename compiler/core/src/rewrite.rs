//! Renaming and looking into bodies: copies with fresh variables, free variables.

use std::collections::{HashMap, HashSet};

use crate::builder::Builder;
use crate::ir::*;

/// What variables are to be replaced by.
#[derive(Clone, Default, Debug)]
pub struct Substitution {
    map: HashMap<Var, Atom>,
}

impl Substitution {
    pub fn new(pairs: impl IntoIterator<Item = (Var, Atom)>) -> Substitution {
        Substitution { map: pairs.into_iter().collect() }
    }

    pub fn insert(&mut self, v: Var, a: Atom) {
        self.map.insert(v, a);
    }

    pub fn get(&self, a: Atom) -> Atom {
        match a {
            Atom::Var(v) => self.map.get(&v).copied().unwrap_or(a),
            Atom::Lit(_) => a,
        }
    }

    /// A fresh variable in place of `v`, with its type and name.
    pub fn refresh(&mut self, vars: &mut Vars, v: Var) -> Var {
        let info = vars.info(v).clone();
        let new = vars.fresh(info.ty);
        if let Some(name) = info.name {
            vars.set_name(new, name);
        }
        self.map.insert(v, new.into());
        new
    }

    /// A copy of the statement with operands replaced and everything it binds fresh.
    pub fn stmt(&mut self, vars: &mut Vars, stmt: &Stmt) -> Stmt {
        let op = match &stmt.op {
            Op::Prim(p, args) => Op::Prim(p.clone(), args.iter().map(|a| self.get(*a)).collect()),
            Op::Constant(c) => Op::Constant(c.clone()),
            Op::Form(f) => Op::Form(Box::new(self.form(vars, f))),
            Op::Effect(Effect::Log { name, value, mask }) => {
                Op::Effect(Effect::Log { name: name.clone(), value: self.get(*value), mask: self.get(*mask) })
            }
            Op::Effect(Effect::Assert { message, condition, mask }) => {
                let (condition, mask) = (self.get(*condition), self.get(*mask));
                Op::Effect(Effect::Assert { message: message.clone(), condition, mask })
            }
        };
        let outs = stmt.outs.iter().map(|v| self.refresh(vars, *v)).collect();
        Stmt { outs, op, spans: stmt.spans.clone() }
    }

    pub fn body(&mut self, vars: &mut Vars, body: &Body) -> Body {
        let stmts = body.stmts.iter().map(|s| self.stmt(vars, s)).collect();
        Body { stmts, results: body.results.iter().map(|a| self.get(*a)).collect() }
    }

    fn carries(&mut self, vars: &mut Vars, carries: &[Carry]) -> Vec<Carry> {
        let inits: Vec<Atom> = carries.iter().map(|c| self.get(c.init)).collect();
        carries.iter().zip(inits).map(|(c, init)| Carry { var: self.refresh(vars, c.var), init }).collect()
    }

    fn form(&mut self, vars: &mut Vars, form: &Form) -> Form {
        match form {
            Form::Map(m) => {
                let accs = self.carries(vars, &m.accs);
                let index = self.refresh(vars, m.index);
                Form::Map(Map { n: m.n, index, accs, body: self.body(vars, &m.body) })
            }
            Form::Scan(s) => {
                let carries = self.carries(vars, &s.carries);
                let index = self.refresh(vars, s.index);
                let body = self.body(vars, &s.body);
                Form::Scan(Scan { index, carries, body, ..*s })
            }
            Form::While(w) => {
                let carries = self.carries(vars, &w.carries);
                let (condition, body) = (self.body(vars, &w.condition), self.body(vars, &w.body));
                Form::While(While { carries, condition, body, ..*w })
            }
            Form::Switch(s) => {
                let which = self.get(s.which);
                Form::Switch(Switch { which, arms: s.arms.iter().map(|a| self.body(vars, a)).collect() })
            }
        }
    }
}

impl Builder {
    /// Appends a fresh copy of `body` with `params` replaced by `args`; returns its results.
    pub fn inline(&mut self, body: &Body, params: &[Var], args: &[Atom]) -> Vec<Atom> {
        let mut s = Substitution::new(params.iter().copied().zip(args.iter().copied()));
        for stmt in &body.stmts {
            let stmt = s.stmt(&mut self.vars, stmt);
            self.push(stmt);
        }
        body.results.iter().map(|a| s.get(*a)).collect()
    }
}

/// Calls `f` with every atom that the statement reads, those inside its bodies included.
pub fn each_use(stmt: &Stmt, f: &mut impl FnMut(Atom)) {
    match &stmt.op {
        Op::Prim(_, args) => args.iter().for_each(|a| f(*a)),
        Op::Constant(_) => {}
        Op::Form(form) => {
            let carries: &[Carry] = match &**form {
                Form::Map(m) => &m.accs,
                Form::Scan(s) => &s.carries,
                Form::While(w) => &w.carries,
                Form::Switch(s) => {
                    f(s.which);
                    &[]
                }
            };
            carries.iter().for_each(|c| f(c.init));
            for body in form.bodies() {
                each_use_in(body, f);
            }
        }
        Op::Effect(Effect::Log { value, mask, .. }) => [*value, *mask].into_iter().for_each(f),
        Op::Effect(Effect::Assert { condition, mask, .. }) => [*condition, *mask].into_iter().for_each(f),
    }
}

pub fn each_use_in(body: &Body, f: &mut impl FnMut(Atom)) {
    body.stmts.iter().for_each(|s| each_use(s, f));
    body.results.iter().for_each(|a| f(*a));
}

/// The variables that a statement reads and does not itself bind, in order of first use.
pub fn free_vars(stmt: &Stmt) -> Vec<Var> {
    let mut bound = HashSet::new();
    bind(stmt, &mut bound);
    let (mut seen, mut free) = (HashSet::new(), Vec::new());
    each_use(stmt, &mut |a| {
        if let Atom::Var(v) = a
            && !bound.contains(&v)
            && seen.insert(v)
        {
            free.push(v);
        }
    });
    free
}

/// The free variables of a body.
pub fn free_vars_of(body: &Body) -> Vec<Var> {
    let mut bound = HashSet::new();
    body.stmts.iter().for_each(|s| {
        bind(s, &mut bound);
        bound.extend(&s.outs);
    });
    let (mut seen, mut free) = (HashSet::new(), Vec::new());
    each_use_in(body, &mut |a| {
        if let Atom::Var(v) = a
            && !bound.contains(&v)
            && seen.insert(v)
        {
            free.push(v);
        }
    });
    free
}

fn bind(stmt: &Stmt, bound: &mut HashSet<Var>) {
    if let Op::Form(form) = &stmt.op {
        bound.extend(form.binders());
        for body in form.bodies() {
            for s in &body.stmts {
                bind(s, bound);
                bound.extend(&s.outs);
            }
        }
    }
}

/// Whether anything in the statement does more than compute.
pub fn has_effect(stmt: &Stmt) -> bool {
    match &stmt.op {
        Op::Prim(..) | Op::Constant(_) => false,
        Op::Effect(_) => true,
        Op::Form(f) => f.bodies().iter().any(|b| b.stmts.iter().any(has_effect)),
    }
}
