//! Forms that compute values and tangents together.

use whorl_core::{Atom, Body, Builder, Carry, Form, Map, Scan, Switch, Var, While};

use super::AdError;
use super::activity::Activity;
use super::emit::or_zeros;
use super::linearise::{Mode, Tangents, push_form, tangent, walk};

/// Emits the form, with the tangents of its active results as further results, and adds these to `t`.
pub(super) fn form(b: &mut Builder, outs: &[Var], form: Form, t: &mut Tangents) -> Result<(), AdError> {
    match form {
        Form::Map(m) => {
            let active = Activity::of_map(&b.vars, t, &m);
            let accs = with_tangents(b, &m.accs, &active, t);
            let (body, outs) = looped(b, &active, m.body, outs, m.n, t)?;
            push_form(b, outs, Form::Map(Map { n: m.n, index: m.index, accs, body }));
        }
        Form::Scan(s) => {
            let active = Activity::of_scan(&b.vars, t, &s);
            let carries = with_tangents(b, &s.carries, &active, t);
            let (body, outs) = looped(b, &active, s.body, outs, s.n, t)?;
            push_form(b, outs, Form::Scan(Scan { carries, body, ..s }));
        }
        Form::While(w) => {
            let active = Activity::of_while(&b.vars, t, &w);
            let carries = with_tangents(b, &w.carries, &active, t);
            let (body, outs) = looped(b, &active, w.body, outs, 0, t)?;
            push_form(b, outs, Form::While(While { carries, body, ..w }));
        }
        Form::Switch(s) => {
            let active = Activity::of_arms(&b.vars, t, &s.arms);
            let mut arms = Vec::new();
            for arm in s.arms {
                b.begin();
                walk(b, arm.stmts, t, Mode::Fused)?;
                let mut results = arm.results.clone();
                for (&r, _) in arm.results.iter().zip(&active).filter(|(_, a)| **a) {
                    results.push(or_zeros(b, tangent(t, r), r));
                }
                arms.push(b.end(results));
            }
            let mut all = outs.to_vec();
            for k in (0..outs.len()).filter(|&k| active[k]) {
                all.push(tangent_of(b, outs[k], t));
            }
            push_form(b, all, Form::Switch(Switch { which: s.which, arms }));
        }
    }
    Ok(())
}

/// A fresh variable for the tangent of `v`.
fn tangent_of(b: &mut Builder, v: Var, t: &mut Tangents) -> Var {
    let tangent = b.fresh(b.vars.ty(v).clone());
    t.insert(v, tangent.into());
    tangent
}

/// The carries, then the tangents of the active ones.
fn with_tangents(b: &mut Builder, carries: &[Carry], active: &[bool], t: &mut Tangents) -> Vec<Carry> {
    let mut all = carries.to_vec();
    for c in carries.iter().zip(active).filter(|(_, a)| **a).map(|(c, _)| c) {
        let init = or_zeros(b, tangent(t, c.init), c.var.into());
        all.push(Carry { var: tangent_of(b, c.var, t), init });
    }
    all
}

/// The body of a loop with tangents among its results, and what the loop then binds: carries, their tangents, the stacked
/// values, their tangents.
fn looped(
    b: &mut Builder,
    active: &[bool],
    body: Body,
    outs: &[Var],
    n: usize,
    t: &mut Tangents,
) -> Result<(Body, Vec<Var>), AdError> {
    b.begin();
    walk(b, body.stmts, t, Mode::Fused)?;
    let carried = active.len();
    let (mut results, mut all) = (body.results[..carried].to_vec(), outs[..carried].to_vec());
    for k in (0..carried).filter(|&k| active[k]) {
        let r: Atom = body.results[k];
        results.push(or_zeros(b, tangent(t, r), r));
        all.push(tangent_of(b, outs[k], t));
    }
    results.extend(&body.results[carried..]);
    all.extend(&outs[carried..]);
    for (r, out) in body.results.iter().zip(outs).skip(carried) {
        if let Some(r) = tangent(t, *r) {
            debug_assert_eq!(*b.vars.ty(*out), b.ty(r).stacked(n));
            results.push(r);
            all.push(tangent_of(b, *out, t));
        }
    }
    Ok((b.end(results), all))
}
