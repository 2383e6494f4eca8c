//! Which variables have a tangent, found without writing anything: loops need it before their bodies are walked.
//!
//! The answer may be too large (a rule may find that a tangent is zero after all), never too small.

use std::collections::HashSet;

use whorl_core::prim::{Prim, Unary};
use whorl_core::{Atom, Body, Carry, Form, Map, Op, Scan, Stmt, Var, Vars, While};

use super::linearise::Tangents;

/// What is active beside what has a tangent already.
pub(super) struct Activity<'a> {
    vars: &'a Vars,
    known: &'a Tangents,
    found: HashSet<Var>,
}

impl<'a> Activity<'a> {
    pub(super) fn new(vars: &'a Vars, known: &'a Tangents) -> Activity<'a> {
        Activity { vars, known, found: HashSet::new() }
    }

    /// The carries of a `Scan` that are active in some step.
    pub(super) fn of_scan(vars: &'a Vars, known: &'a Tangents, s: &Scan) -> Vec<bool> {
        Activity::new(vars, known).carries(&s.carries, &[&s.body])
    }

    pub(super) fn of_while(vars: &'a Vars, known: &'a Tangents, w: &While) -> Vec<bool> {
        Activity::new(vars, known).carries(&w.carries, &[&w.body])
    }

    /// The accumulators of a `Map` that something active is added to.
    pub(super) fn of_map(vars: &'a Vars, known: &'a Tangents, m: &Map) -> Vec<bool> {
        Activity::new(vars, known).carries(&m.accs, &[&m.body])
    }

    /// The results that are active in one of the arms.
    pub(super) fn of_arms(vars: &'a Vars, known: &'a Tangents, arms: &[Body]) -> Vec<bool> {
        Activity::new(vars, known).arms(arms)
    }

    fn has(&self, a: Atom) -> bool {
        a.var().is_some_and(|v| self.known.contains_key(&v) || self.found.contains(&v))
    }

    fn mark(&mut self, outs: &[Var], active: impl IntoIterator<Item = bool>) {
        for (&out, active) in outs.iter().zip(active) {
            if active && self.vars.ty(out).dtype.is_float() {
                self.found.insert(out);
            }
        }
    }

    fn body(&mut self, body: &Body) -> Vec<bool> {
        body.stmts.iter().for_each(|s| self.stmt(s));
        body.results.iter().map(|r| self.has(*r)).collect()
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.op {
            Op::Prim(Prim::Sort { .. }, args) => {
                let active: Vec<bool> = args.iter().map(|a| self.has(*a)).collect();
                self.mark(&stmt.outs, active);
            }
            Op::Prim(p, args) => {
                let active = !blocks(p) && args.iter().any(|a| self.has(*a));
                self.mark(&stmt.outs, std::iter::repeat(active));
            }
            Op::Constant(_) | Op::Effect(_) => {}
            Op::Form(form) => {
                let active = match &**form {
                    Form::Map(m) => self.looped(&m.accs, &m.body),
                    Form::Scan(s) => self.looped(&s.carries, &s.body),
                    Form::While(w) => self.carries(&w.carries, &[&w.body]),
                    Form::Switch(s) => self.arms(&s.arms),
                };
                self.mark(&stmt.outs, active);
            }
        }
    }

    fn looped(&mut self, carries: &[Carry], body: &Body) -> Vec<bool> {
        self.carries(carries, &[body]);
        self.body(body)
    }

    fn arms(&mut self, arms: &[Body]) -> Vec<bool> {
        let mut active = vec![false; arms[0].results.len()];
        for arm in arms {
            self.body(arm).into_iter().zip(&mut active).for_each(|(a, any)| *any |= a);
        }
        active
    }

    /// The least set of carries that holds the active initial ones and is closed under a step.
    fn carries(&mut self, carries: &[Carry], bodies: &[&Body]) -> Vec<bool> {
        let vars: Vec<Var> = carries.iter().map(|c| c.var).collect();
        let mut active: Vec<bool> =
            carries.iter().map(|c| self.has(c.init) && self.vars.ty(c.var).dtype.is_float()).collect();
        loop {
            self.mark(&vars, active.iter().copied());
            let mut grew = false;
            for body in bodies {
                for (k, after) in self.body(body).into_iter().take(carries.len()).enumerate() {
                    let new = after && !active[k];
                    active[k] |= new;
                    grew |= new;
                }
            }
            if !grew {
                return active;
            }
        }
    }
}

/// Whether no tangent passes, whatever the operands.
pub(super) fn blocks(prim: &Prim) -> bool {
    use Prim::*;
    match prim {
        Unary(op) => flat(*op),
        StopGradient | Bitcast(_) | Compare(_) | Threefry | Iota(_) | ArgMax(_) | ArgMin(_) => true,
        Binary(_)
        | Custom(_)
        | Select
        | MulAdd
        | Convert(_)
        | Broadcast { .. }
        | Reshape(_)
        | Transpose(_)
        | Slice { .. }
        | Pad { .. }
        | Reverse(_)
        | Concat(_)
        | Index(_)
        | IndexSet(_)
        | IndexAdd(_)
        | Reduce(_)
        | Cumulative { .. }
        | Dot(_)
        | Sort { .. } => false,
    }
}

/// Whether the function is constant between its jumps, or not of floats.
fn flat(op: Unary) -> bool {
    use Unary::*;
    match op {
        Sign | Floor | Ceil | Round | Not | PopCount => true,
        Neg | Abs | Sqrt | Math(_) => false,
    }
}
