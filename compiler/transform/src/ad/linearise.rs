//! Writes, behind each statement, the tangent of what it binds; for forms: the primal form, then a linear form of the same kind.
//!
//! ```text
//! c', ys' of  c, ys = scan c = c0 for i < n { body }        c, ys, saved = scan c = c0 for i < n { body; yield …, c }
//!                                                           c', ys'      = scan c' = c0' for i < n {
//!                                                                            c = index(saved, i)
//!                                                                            body again, each statement's tangent behind it
//!                                                                          }
//! ```
//!
//! The body of a linear form runs the primal statements again, without effects, and yields tangents alone. Only carries
//! that the tangents need are saved.

use std::collections::HashMap;

use smallvec::SmallVec;
use whorl_core::prim::Prim;
use whorl_core::rewrite::{Substitution, free_vars, free_vars_of};
use whorl_core::{
    Atom, Body, Builder, Carry, Checkpoint, DType, Form, Lit, Map, Op, Scan, Spans, Stmt, Switch, Type, Var, While,
};

use super::activity::Activity;
use super::emit::{or_zeros, prune};
use super::{AdError, checkpoint, fused, rules};

/// The tangent of each active variable.
pub(super) type Tangents = HashMap<Var, Atom>;

/// What becomes of a form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// One form computes values and tangents together: for [`super::jvp`].
    Fused,
    /// The form, then a form of the tangents alone, which can be transposed: for [`super::vjp`].
    Linear,
}

pub(super) fn tangent(t: &Tangents, a: Atom) -> Option<Atom> {
    a.var().and_then(|v| t.get(&v).copied())
}

/// Emits the statements and the tangents of what they bind; adds these to `t`.
pub(super) fn walk(b: &mut Builder, stmts: Vec<Stmt>, t: &mut Tangents, mode: Mode) -> Result<(), AdError> {
    for stmt in stmts {
        let before = b.at_spans(stmt.spans.clone());
        let done = statement(b, stmt, t, mode);
        b.at_spans(before);
        done?;
    }
    Ok(())
}

fn statement(b: &mut Builder, stmt: Stmt, t: &mut Tangents, mode: Mode) -> Result<(), AdError> {
    if !free_vars(&stmt).iter().any(|v| t.contains_key(v)) {
        b.push(stmt);
        return Ok(());
    }
    let Stmt { outs, op, spans } = stmt;
    match op {
        Op::Prim(Prim::Custom(c), args) if mode == Mode::Fused => {
            let direct = args[..c.rule.inputs].iter().any(|a| tangent(t, *a).is_some());
            b.push(Stmt { outs, op: Op::Prim(Prim::Custom(c), args), spans: spans.clone() });
            if !direct {
                return Ok(());
            }
            Err(AdError {
                code: "E0504",
                message: "a function with a derivative from `custom_vjp` has no forward derivative".into(),
                spans,
                help: Some("`grad`, `vjp` and `jacobian` of few results go backward".into()),
            })
        }
        Op::Prim(prim, args) => {
            let operands: SmallVec<[Option<Atom>; 4]> = args.iter().map(|a| tangent(t, *a)).collect();
            b.push(Stmt { outs: outs.clone(), op: Op::Prim(prim.clone(), args.clone()), spans });
            let tangents = rules::jvp(b, &prim, &args, &outs, &operands);
            for (&out, tangent) in outs.iter().zip(tangents) {
                if let Some(tangent) = tangent {
                    debug_assert_eq!(*b.vars.ty(out), b.ty(tangent), "the tangent of a result of {prim:?}");
                    t.insert(out, tangent);
                }
            }
            Ok(())
        }
        Op::Constant(_) | Op::Effect(_) => {
            b.push(Stmt { outs, op, spans });
            Ok(())
        }
        Op::Form(form) => match (mode, *form) {
            (Mode::Fused, form) => fused::form(b, &outs, form, t),
            (Mode::Linear, Form::Map(m)) => map(b, &outs, m, t),
            (Mode::Linear, Form::Scan(s)) => scan(b, &outs, s, t),
            (Mode::Linear, Form::Switch(s)) => switch(b, &outs, s, t),
            (Mode::Linear, Form::While(w)) => while_(b, &outs, w, t, spans),
        },
    }
}

/// Appends a form that binds `outs`, at the builder's present place.
pub(super) fn push_form(b: &mut Builder, outs: impl IntoIterator<Item = Var>, form: Form) {
    let spans = b.at_spans(Spans::new());
    b.push(Stmt { outs: outs.into_iter().collect(), op: Op::Form(Box::new(form)), spans: spans.clone() });
    b.at_spans(spans);
}

fn map(b: &mut Builder, outs: &[Var], m: Map, t: &mut Tangents) -> Result<(), AdError> {
    let active = Activity::of_map(&b.vars, t, &m);
    let mut copy = Substitution::default();
    let index = copy.refresh(&mut b.vars, m.index);
    let partial: Vec<Var> = m.accs.iter().map(|a| copy.refresh(&mut b.vars, a.var)).collect();
    let again = rerun(b, &mut copy, &m.body);
    let (n, inits) = (m.n, m.accs.iter().map(|a| a.init).collect::<Vec<_>>());
    push_form(b, outs.iter().copied(), Form::Map(m));

    let (accs, mut bound) = tangent_carries(b, &inits, &active, &partial, outs, t);
    if n == 0 {
        bind_last(&accs, &bound, t);
        return Ok(());
    }
    b.begin();
    // Partial sums reach nothing but the sums, so what stands for them is pruned with what adds to them.
    for &v in &partial {
        let ty = b.vars.ty(v).clone();
        let zeros = Prim::Broadcast { shape: ty.shape, axes: SmallVec::new() };
        b.push(Stmt {
            outs: SmallVec::from_iter([v]),
            op: Op::Prim(zeros, SmallVec::from_iter([Lit::zero(ty.dtype).into()])),
            spans: Spans::new(),
        });
    }
    walk(b, again.stmts, t, Mode::Linear)?;
    let results = tangent_results(b, &again.results, inits.len(), &active, &mut bound, outs, t);
    let body = prune(b.end(results));
    let linear = b.form(Form::Map(Map { n, index, accs, body }));
    bind(t, &bound, &linear);
    Ok(())
}

fn scan(b: &mut Builder, outs: &[Var], mut s: Scan, t: &mut Tangents) -> Result<(), AdError> {
    if let Some(every) = checkpoint::blocks_of(&s) {
        let stmts = checkpoint::nested(b, outs, s, every);
        return walk(b, stmts, t, Mode::Linear);
    }
    let active = Activity::of_scan(&b.vars, t, &s);
    let count = s.carries.len();
    let inits: Vec<Atom> = s.carries.iter().map(|c| c.init).collect();
    let mut copy = Substitution::default();
    let index = copy.refresh(&mut b.vars, s.index);
    let entering: Vec<Var> = s.carries.iter().map(|c| copy.refresh(&mut b.vars, c.var)).collect();
    let again = rerun(b, &mut copy, &s.body);
    let (carries, mut bound) = tangent_carries(b, &inits, &active, &entering, outs, t);
    if s.n == 0 {
        push_form(b, outs.iter().copied(), Form::Scan(s));
        bind_last(&carries, &bound, t);
        return Ok(());
    }

    b.begin();
    walk(b, again.stmts, t, Mode::Linear)?;
    let results = tangent_results(b, &again.results, count, &active, &mut bound, outs, t);
    let mut body = prune(b.end(results));

    let needed = free_vars_of(&body);
    let mut all: Vec<Var> = outs.to_vec();
    let mut restore = Vec::new();
    for k in (0..count).filter(|&k| needed.contains(&entering[k])) {
        let ty = b.vars.ty(entering[k]).clone();
        let (prim, args): (Prim, SmallVec<[Atom; 3]>) = if s.body.results[k] == Atom::Var(s.carries[k].var) {
            (Prim::Reshape(ty.shape), SmallVec::from_iter([inits[k]]))
        } else {
            let saved = b.fresh(ty.stacked(s.n));
            s.body.results.push(s.carries[k].var.into());
            all.push(saved);
            if !matches!(s.checkpoint, Checkpoint::Kept { .. }) {
                s.checkpoint = Checkpoint::Kept { steps: s.n, every: 1 };
            }
            (Prim::Index(None), SmallVec::from_iter([saved.into(), index.into()]))
        };
        let outs = SmallVec::from_iter([entering[k]]);
        restore.push(Stmt { outs, op: Op::Prim(prim, args), spans: Spans::new() });
    }
    restore.append(&mut body.stmts);
    body.stmts = restore;
    let (n, reverse) = (s.n, s.reverse);
    push_form(b, all, Form::Scan(s));
    let checkpoint = Checkpoint::Carries;
    let linear = b.form(Form::Scan(Scan { n, reverse, train: false, checkpoint, index, carries, body }));
    bind(t, &bound, &linear);
    Ok(())
}

fn switch(b: &mut Builder, outs: &[Var], s: Switch, t: &mut Tangents) -> Result<(), AdError> {
    let active = Activity::of_arms(&b.vars, t, &s.arms);
    let copies: Vec<Body> = s.arms.iter().map(|a| rerun(b, &mut Substitution::default(), a)).collect();
    let which = s.which;
    push_form(b, outs.iter().copied(), Form::Switch(s));
    let bound: Vec<Var> = (0..outs.len()).filter(|&k| active[k]).map(|k| outs[k]).collect();
    let mut arms = Vec::new();
    for arm in copies {
        b.begin();
        walk(b, arm.stmts, t, Mode::Linear)?;
        let results = arm.results.iter().zip(&active).filter(|(_, a)| **a);
        let results = results.map(|(r, _)| or_zeros(b, tangent(t, *r), *r)).collect();
        arms.push(prune(b.end(results)));
    }
    if !bound.is_empty() {
        let linear = b.form(Form::Switch(Switch { which, arms }));
        bind(t, &bound, &linear);
    }
    Ok(())
}

/// A bounded loop is a `Scan` of so many steps, which do nothing once the condition has failed.
fn while_(b: &mut Builder, outs: &[Var], w: While, t: &mut Tangents, spans: Spans) -> Result<(), AdError> {
    if !Activity::of_while(&b.vars, t, &w).contains(&true) {
        push_form(b, outs.iter().copied(), Form::While(w));
        return Ok(());
    }
    let Some(n) = w.max else {
        return Err(AdError {
            code: "E0502",
            message: "`while` has no reverse derivative unless it is bounded".into(),
            spans,
            help: Some("while s = s0; cond max 1000 { … }".into()),
        });
    };
    let mut body = w.condition;
    let stay = Body { stmts: Vec::new(), results: w.carries.iter().map(|c| c.var.into()).collect() };
    let next: Vec<Var> = w.carries.iter().map(|c| b.fresh(b.vars.ty(c.var).clone())).collect();
    b.begin();
    push_form(b, next.iter().copied(), Form::Switch(Switch { which: body.results[0], arms: vec![stay, w.body] }));
    body.stmts.append(&mut b.end(Vec::new()).stmts);
    body.results = next.into_iter().map(Atom::Var).collect();
    let index = b.fresh(Type::scalar(DType::I32));
    let (carries, checkpoint) = (w.carries, w.checkpoint);
    scan(b, outs, Scan { n, reverse: false, train: false, checkpoint, index, carries, body }, t)
}

/// A fresh copy of the body that only computes.
fn rerun(b: &mut Builder, copy: &mut Substitution, body: &Body) -> Body {
    let mut again = copy.body(&mut b.vars, body);
    only_compute(&mut again);
    again
}

/// What the body computes, without effects.
pub fn without_effects(mut body: Body) -> Body {
    only_compute(&mut body);
    body
}

/// Drops effects and the host's pace.
fn only_compute(body: &mut Body) {
    body.stmts.retain(|s| !matches!(s.op, Op::Effect(_)));
    for stmt in &mut body.stmts {
        if let Op::Form(form) = &mut stmt.op {
            form.bodies_mut().into_iter().for_each(only_compute);
            if let Form::Scan(s) = &mut **form {
                s.train = false;
            }
        }
    }
}

/// Carries for the tangents of the active ones of `vars`, and the variables outside whose tangents they are at the end.
fn tangent_carries(
    b: &mut Builder,
    inits: &[Atom],
    active: &[bool],
    vars: &[Var],
    outs: &[Var],
    t: &mut Tangents,
) -> (Vec<Carry>, Vec<Var>) {
    let (mut carries, mut bound) = (Vec::new(), Vec::new());
    for k in (0..vars.len()).filter(|&k| active[k]) {
        let init = or_zeros(b, tangent(t, inits[k]), vars[k].into());
        let var = b.fresh(b.vars.ty(vars[k]).clone());
        t.insert(vars[k], var.into());
        carries.push(Carry { var, init });
        bound.push(outs[k]);
    }
    (carries, bound)
}

/// What the linear body yields: the next tangents of the active carries, then those of the other results that have one.
fn tangent_results(
    b: &mut Builder,
    results: &[Atom],
    carried: usize,
    active: &[bool],
    bound: &mut Vec<Var>,
    outs: &[Var],
    t: &Tangents,
) -> Vec<Atom> {
    let mut tangents = Vec::new();
    for (k, &r) in results.iter().enumerate() {
        if k < carried {
            if active[k] {
                tangents.push(or_zeros(b, tangent(t, r), r));
            }
        } else if let Some(tangent) = tangent(t, r) {
            tangents.push(tangent);
            bound.push(outs[k]);
        }
    }
    tangents
}

fn bind(t: &mut Tangents, bound: &[Var], tangents: &[Atom]) {
    t.extend(bound.iter().copied().zip(tangents.iter().copied()));
}

/// A loop of no steps leaves its carries as they were.
fn bind_last(carries: &[Carry], bound: &[Var], t: &mut Tangents) {
    let inits: Vec<Atom> = carries.iter().map(|c| c.init).collect();
    bind(t, bound, &inits);
}
