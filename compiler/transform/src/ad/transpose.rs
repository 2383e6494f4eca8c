//! Turns linear statements round: from the cotangents of what they bind to those of what they use.
//!
//! [`split`] emits the statements that depend on no linear variable, in order; [`pull`] then goes through the others from the last
//! to the first. Bodies of linear forms are treated in the same way. A linear variable that a loop body uses from outside
//! becomes an accumulator of the transposed loop: it comes in with what it has received, and only receives more.
//!
//! ```text
//! y' = map i < n { index(x', i) }      x̄ = map i < n, a = zeros { index_add(a, index(ȳ, i), i) }
//! ```

use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;
use whorl_core::prim::Prim;
use whorl_core::rewrite::{free_vars, free_vars_of};
use whorl_core::{Atom, Body, Builder, Carry, DType, Form, Map, Op, Scan, Stmt, Switch, Type, Var};

use super::adjoint::transpose_prim;
use super::emit::{or_zeros, prune};

/// Which variables are linear, and what each has received so far in the innermost open body. What halves receive is kept in
/// `f32`: sums of many small parts would be lost in 16 bits, and accumulators are added to, which halves are not.
#[derive(Debug)]
pub(super) struct Cotangents {
    linear: HashSet<Var>,
    of: HashMap<Var, Atom>,
}

impl Cotangents {
    pub(super) fn new(linear: HashSet<Var>) -> Cotangents {
        Cotangents { linear, of: HashMap::new() }
    }

    pub(super) fn is_linear(&self, a: Atom) -> bool {
        a.var().is_some_and(|v| self.linear.contains(&v))
    }

    pub(super) fn get(&self, v: Var) -> Option<Atom> {
        self.of.get(&v).copied()
    }

    /// Adds `ct` to what `a` has received; nothing if it is not linear.
    pub(super) fn add(&mut self, b: &mut Builder, a: Atom, ct: Atom) {
        let Some(v) = a.var().filter(|v| self.linear.contains(v)) else { return };
        let ct = b.widen(ct);
        debug_assert_eq!(cotangent_type(b.vars.ty(v)), b.ty(ct), "a cotangent has the type of its variable");
        let sum = match self.get(v) {
            Some(old) => b.add(old, ct),
            None => ct,
        };
        self.of.insert(v, sum);
    }

    /// Adds `ct` to the place at `indices` in what `a` has received.
    pub(super) fn add_at(&mut self, b: &mut Builder, a: Atom, window: Option<usize>, ct: Atom, indices: &[Atom]) {
        let Some(v) = a.var().filter(|v| self.linear.contains(v)) else { return };
        if indices.is_empty() {
            return self.add(b, a, ct);
        }
        let old = received_or_zeros(b, self.get(v), a);
        let ct = b.widen(ct);
        let mut operands: SmallVec<[Atom; 4]> = SmallVec::from_iter([old, ct]);
        operands.extend_from_slice(indices);
        let sum = b.prim1(Prim::IndexAdd(window), &operands);
        self.of.insert(v, sum);
    }
}

/// The type of what a variable of this type receives.
pub(super) fn cotangent_type(ty: &Type) -> Type {
    Type { dtype: if ty.dtype.is_half() { DType::F32 } else { ty.dtype }, shape: ty.shape.clone() }
}

/// What `of` received, or zeros.
fn received_or_zeros(b: &mut Builder, received: Option<Atom>, of: Atom) -> Atom {
    let ty = cotangent_type(&b.ty(of));
    received.unwrap_or_else(|| b.zeros(&ty))
}

/// Emits the statements that do not depend on `linear`; gives back the others, whose results are added to it.
pub(super) fn split(b: &mut Builder, stmts: Vec<Stmt>, linear: &mut HashSet<Var>) -> Vec<Stmt> {
    let mut rest = Vec::new();
    for stmt in stmts {
        if free_vars(&stmt).iter().any(|v| linear.contains(v)) {
            linear.extend(&stmt.outs);
            rest.push(stmt);
        } else {
            b.push(stmt);
        }
    }
    rest
}

/// Emits the transposes of linear statements, last first.
pub(super) fn pull(b: &mut Builder, stmts: Vec<Stmt>, cts: &mut Cotangents) {
    for stmt in stmts.into_iter().rev() {
        let received: SmallVec<[Option<Atom>; 2]> = stmt.outs.iter().map(|v| cts.get(*v)).collect();
        if received.iter().all(Option::is_none) {
            continue;
        }
        let before = b.at_spans(stmt.spans);
        match stmt.op {
            Op::Prim(prim, args) => transpose_prim(b, &prim, &args, &received, cts),
            Op::Form(form) => match *form {
                Form::Map(m) => map(b, m, &received, cts),
                Form::Scan(s) => scan(b, s, &received, cts),
                Form::Switch(s) => switch(b, s, &received, cts),
                Form::While(_) => unreachable!("a linear `while`"),
            },
            Op::Constant(_) | Op::Effect(_) => unreachable!("not linear"),
        }
        b.at_spans(before);
    }
}

fn map(b: &mut Builder, m: Map, received: &[Option<Atom>], cts: &mut Cotangents) {
    for (acc, ct) in m.accs.iter().zip(received) {
        if let Some(ct) = *ct {
            cts.add(b, acc.init, ct);
        }
    }
    let count = m.accs.len();
    let free = Receivers::of_body(b, &m.body, cts);
    cts.linear.extend(m.accs.iter().map(|a| a.var));
    b.begin();
    let stmts = split(b, m.body.stmts, &mut cts.linear);
    let outside = free.enter(cts);
    for (k, (&r, ct)) in m.body.results.iter().zip(received).enumerate() {
        if let Some(ct) = ct.filter(|_| cts.is_linear(r)) {
            // Each lane's share of a sum has the cotangent of the sum.
            let ct = if k < count { ct } else { b.prim1(Prim::Index(None), &[ct, m.index.into()]) };
            cts.add(b, r, ct);
        }
    }
    pull(b, stmts, cts);
    let (kept, results) = free.leave(cts);
    let body = prune(b.end(results));
    cts.of = outside;
    let accs = free.carries(b, cts, &kept);
    if !accs.is_empty() {
        let sums = b.form(Form::Map(Map { n: m.n, index: m.index, accs, body }));
        free.bind(cts, &kept, &sums);
    }
}

fn scan(b: &mut Builder, s: Scan, received: &[Option<Atom>], cts: &mut Cotangents) {
    let count = s.carries.len();
    let free = Receivers::of_body(b, &s.body, cts);
    cts.linear.extend(s.carries.iter().map(|c| c.var));
    // The carries that some cotangent reaches.
    let last: Vec<bool> = received[..count].iter().map(Option::is_some).collect();
    let mut live = last.clone();
    loop {
        let wanted = |k: usize| if k < count { live[k] } else { received[k].is_some() };
        let seeds = (0..received.len()).filter(|&k| wanted(k)).filter_map(|k| s.body.results[k].var());
        let reached = reached(&s.body.stmts, seeds.collect());
        let more: Vec<usize> = (0..count).filter(|&k| !live[k] && reached.contains(&s.carries[k].var)).collect();
        if more.is_empty() {
            break;
        }
        more.into_iter().for_each(|k| live[k] = true);
    }
    let live: Vec<usize> = (0..count).filter(|&k| live[k]).collect();
    let mut carries = Vec::new();
    for &k in &live {
        let init = received_or_zeros(b, received[k], s.carries[k].var.into());
        carries.push(Carry { var: b.fresh(b.ty(init)), init });
    }

    b.begin();
    let stmts = split(b, s.body.stmts, &mut cts.linear);
    let outside = free.enter(cts);
    for (&k, c) in live.iter().zip(&carries) {
        cts.add(b, s.body.results[k], c.var.into());
    }
    for (r, ct) in s.body.results.iter().zip(received).skip(count) {
        if let Some(ct) = ct.filter(|_| cts.is_linear(*r)) {
            let row = b.prim1(Prim::Index(None), &[ct, s.index.into()]);
            cts.add(b, *r, row);
        }
    }
    pull(b, stmts, cts);
    let mut results: Vec<Atom> = Vec::new();
    for &k in &live {
        let v = s.carries[k].var;
        results.push(received_or_zeros(b, cts.get(v), v.into()));
    }
    let (kept, sums) = free.leave(cts);
    results.extend(sums);
    let body = prune(b.end(results));
    cts.of = outside;
    carries.extend(free.carries(b, cts, &kept));
    if carries.is_empty() {
        return;
    }
    let (n, reverse, checkpoint) = (s.n, !s.reverse, s.checkpoint);
    let form = Scan { n, reverse, train: false, checkpoint, index: s.index, carries, body };
    let outs = b.form(Form::Scan(form));
    free.bind(cts, &kept, &outs[live.len()..]);
    for (&k, ct) in live.iter().zip(&outs) {
        cts.add(b, s.carries[k].init, *ct);
    }
}

fn switch(b: &mut Builder, s: Switch, received: &[Option<Atom>], cts: &mut Cotangents) {
    let mut free: Vec<Var> = Vec::new();
    for arm in &s.arms {
        for v in free_vars_of(arm) {
            if cts.linear.contains(&v) && !free.contains(&v) {
                free.push(v);
            }
        }
    }
    let mut touched = vec![false; free.len()];
    let outside = std::mem::take(&mut cts.of);
    let mut arms = Vec::new();
    for arm in s.arms {
        b.begin();
        cts.of.clear();
        let stmts = split(b, arm.stmts, &mut cts.linear);
        for (r, ct) in arm.results.iter().zip(received) {
            if let Some(ct) = *ct {
                cts.add(b, *r, ct);
            }
        }
        pull(b, stmts, cts);
        let mut results = Vec::new();
        for (k, &v) in free.iter().enumerate() {
            touched[k] |= cts.get(v).is_some();
            results.push(received_or_zeros(b, cts.get(v), v.into()));
        }
        arms.push(b.end(results));
    }
    cts.of = outside;
    let kept: Vec<usize> = (0..free.len()).filter(|&k| touched[k]).collect();
    if kept.is_empty() {
        return;
    }
    for arm in &mut arms {
        let results = kept.iter().map(|&k| arm.results[k]).collect();
        *arm = prune(Body { stmts: std::mem::take(&mut arm.stmts), results });
    }
    let parts = b.form(Form::Switch(Switch { which: s.which, arms }));
    for (&k, part) in kept.iter().zip(&parts) {
        cts.add(b, free[k].into(), *part);
    }
}

/// The variables that cotangents of `live` reach through the statements; too many rather than too few.
fn reached(stmts: &[Stmt], mut live: HashSet<Var>) -> HashSet<Var> {
    for stmt in stmts.iter().rev() {
        if stmt.outs.iter().any(|v| live.contains(v)) {
            live.extend(free_vars(stmt));
        }
    }
    live
}

/// The linear variables that a loop body uses from outside, and for each the accumulator that stands for it in the body.
struct Receivers {
    vars: Vec<Var>,
    accs: Vec<Var>,
}

impl Receivers {
    /// Call before the variables that the loop itself binds are marked linear.
    fn of_body(b: &mut Builder, body: &Body, cts: &Cotangents) -> Receivers {
        let vars: Vec<Var> = free_vars_of(body).into_iter().filter(|v| cts.linear.contains(v)).collect();
        let accs = vars.iter().map(|v| b.fresh(cotangent_type(b.vars.ty(*v)))).collect();
        Receivers { vars, accs }
    }

    /// Starts the body: what they have received is in the accumulators. Gives back what holds outside.
    fn enter(&self, cts: &mut Cotangents) -> HashMap<Var, Atom> {
        let inside = self.vars.iter().copied().zip(self.accs.iter().map(|a| Atom::Var(*a))).collect();
        std::mem::replace(&mut cts.of, inside)
    }

    /// Ends the body: which of them received something in it, and the accumulators' new values.
    fn leave(&self, cts: &Cotangents) -> (Vec<usize>, Vec<Atom>) {
        let sums = self.vars.iter().zip(&self.accs).enumerate();
        let sums = sums.map(|(k, (v, acc))| (k, cts.of[v], *acc)).filter(|(_, sum, acc)| *sum != Atom::Var(*acc));
        sums.map(|(k, sum, _)| (k, sum)).unzip()
    }

    fn carries(&self, b: &mut Builder, cts: &Cotangents, kept: &[usize]) -> Vec<Carry> {
        let carry =
            |&k: &usize| Carry { var: self.accs[k], init: or_zeros(b, cts.get(self.vars[k]), self.accs[k].into()) };
        kept.iter().map(carry).collect()
    }

    fn bind(&self, cts: &mut Cotangents, kept: &[usize], sums: &[Atom]) {
        cts.of.extend(kept.iter().zip(sums).map(|(&k, sum)| (self.vars[k], *sum)));
    }
}
