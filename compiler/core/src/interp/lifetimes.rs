//! Where the variables of a body are used for the last time.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::ir::*;
use crate::rewrite::each_use;

/// For each statement of a body, the variables bound by this body that no later one uses; at the end, those that only its
/// results use.
pub type Deaths = Rc<Vec<Vec<Var>>>;

pub struct Lifetimes {
    /// By the body's address: the program does not move while it runs.
    by_body: HashMap<*const Body, Deaths>,
}

impl Lifetimes {
    pub fn of(function: &Function) -> Lifetimes {
        let mut all = Lifetimes { by_body: HashMap::new() };
        all.body(&function.body, &function.params);
        all
    }

    pub fn deaths(&self, body: &Body) -> Deaths {
        self.by_body[&std::ptr::from_ref(body)].clone()
    }

    /// `binders`: the variables that are bound anew whenever the body runs, by what holds it.
    fn body(&mut self, body: &Body, binders: &[Var]) {
        let mut mine: HashSet<Var> = binders.iter().copied().collect();
        body.stmts.iter().for_each(|s| mine.extend(&s.outs));
        let mut deaths = vec![Vec::new(); body.stmts.len() + 1];
        let mut die = |a: Atom, at: usize| {
            if let Atom::Var(v) = a
                && mine.remove(&v)
            {
                deaths[at].push(v);
            }
        };
        body.results.iter().for_each(|a| die(*a, body.stmts.len()));
        for (k, stmt) in body.stmts.iter().enumerate().rev() {
            each_use(stmt, &mut |a| die(a, k));
        }
        self.by_body.insert(body, Rc::new(deaths));
        for stmt in &body.stmts {
            if let Op::Form(form) = &stmt.op {
                self.form(form);
            }
        }
    }

    fn form(&mut self, form: &Form) {
        let binders = form.binders();
        match form {
            Form::Map(Map { body, .. }) | Form::Scan(Scan { body, .. }) => self.body(body, &binders),
            Form::While(w) => {
                // The condition leaves the carries to the body.
                self.body(&w.condition, &[]);
                self.body(&w.body, &binders);
            }
            Form::Switch(s) => s.arms.iter().for_each(|arm| self.body(arm, &[])),
        }
    }
}
