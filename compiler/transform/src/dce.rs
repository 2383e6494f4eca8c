//! Removes what nothing needs: statements, yields, carries and accumulators whose values do not reach a result or an effect.

use std::collections::HashSet;

use whorl_core::ir::*;
use whorl_core::rewrite::{each_use, has_effect};

/// The program without what its results and effects do not need.
pub fn dce(mut program: Program) -> Program {
    let mut live = Live::default();
    live.body(&mut program.main.body, None);
    program
}

/// The variables that are needed by what comes later.
#[derive(Default)]
struct Live {
    vars: HashSet<Var>,
}

impl Live {
    fn need(&mut self, a: Atom) {
        if let Atom::Var(v) = a {
            self.vars.insert(v);
        }
    }

    fn any(&self, outs: &[Var]) -> bool {
        outs.iter().any(|v| self.vars.contains(v))
    }

    /// Keeps of the body what its results (those marked in `wanted`, or all) and its effects need.
    fn body(&mut self, body: &mut Body, wanted: Option<&[bool]>) {
        for (i, r) in body.results.iter().enumerate() {
            if wanted.is_none_or(|w| w[i]) {
                self.need(*r);
            }
        }
        let mut kept = Vec::with_capacity(body.stmts.len());
        for mut stmt in std::mem::take(&mut body.stmts).into_iter().rev() {
            if !self.any(&stmt.outs) && !has_effect(&stmt) {
                continue;
            }
            match &mut stmt.op {
                Op::Form(form) => {
                    let outs = std::mem::take(&mut stmt.outs);
                    stmt.outs = self.form(form, outs);
                }
                Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => each_use(&stmt, &mut |a| self.need(a)),
            }
            kept.push(stmt);
        }
        kept.reverse();
        body.stmts = kept;
    }

    /// Shrinks a form to its needed results; returns the variables for what remains.
    fn form(&mut self, form: &mut Form, outs: smallvec::SmallVec<[Var; 2]>) -> smallvec::SmallVec<[Var; 2]> {
        match form {
            Form::Map(m) => self.looped(&mut m.accs, &mut m.body, outs),
            Form::Scan(s) => self.looped(&mut s.carries, &mut s.body, outs),
            Form::While(w) => {
                // The condition needs its carries whatever is read afterwards, so all of them stay.
                self.body(&mut w.condition, None);
                self.body(&mut w.body, None);
                w.carries.iter().for_each(|c| self.need(c.init));
                outs
            }
            Form::Switch(s) => {
                let wanted: Vec<bool> = outs.iter().map(|v| self.vars.contains(v)).collect();
                for arm in &mut s.arms {
                    self.body(arm, Some(&wanted));
                    retain(&mut arm.results, &wanted);
                }
                self.need(s.which);
                outs.into_iter().zip(&wanted).filter(|(_, w)| **w).map(|(v, _)| v).collect()
            }
        }
    }

    /// A loop's carries are needed if their last value is, or if the body reads them for something that is.
    fn looped(
        &mut self,
        carries: &mut Vec<Carry>,
        body: &mut Body,
        outs: smallvec::SmallVec<[Var; 2]>,
    ) -> smallvec::SmallVec<[Var; 2]> {
        let mut wanted: Vec<bool> = outs.iter().map(|v| self.vars.contains(v)).collect();
        loop {
            let mut inner = Live { vars: self.vars.clone() };
            let mut trial = Body { stmts: body.stmts.clone(), results: body.results.clone() };
            inner.body(&mut trial, Some(&wanted));
            let more: Vec<usize> =
                (0..carries.len()).filter(|&k| !wanted[k] && inner.vars.contains(&carries[k].var)).collect();
            if more.is_empty() {
                *self = inner;
                *body = trial;
                break;
            }
            more.into_iter().for_each(|k| wanted[k] = true);
        }
        let count = carries.len();
        let mut k = 0;
        carries.retain(|_| {
            k += 1;
            wanted[k - 1]
        });
        retain(&mut body.results, &wanted);
        carries.iter().for_each(|c| self.need(c.init));
        debug_assert!(count <= outs.len());
        outs.into_iter().zip(&wanted).filter(|(_, w)| **w).map(|(v, _)| v).collect()
    }
}

fn retain<T>(items: &mut Vec<T>, wanted: &[bool]) {
    let mut k = 0;
    items.retain(|_| {
        k += 1;
        wanted[k - 1]
    });
}
