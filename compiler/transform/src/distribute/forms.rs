//! Forms and effects over levels.

use std::sync::Arc;

use smallvec::SmallVec;
use whorl_core::check::{Check, Lane};
use whorl_core::ir::*;
use whorl_core::prim::{Binary, Compare, Monoid, Prim, Unary};
use whorl_source::Span;

use super::cost::{CHEAP, cost};
use super::levels::Levels;
use super::notes::{Became, Choice};
use super::{Distributor, Value, compact, prims};

pub(crate) fn form(d: &mut Distributor, form: &Form, outs: &[Var]) -> SmallVec<[Value; 2]> {
    match form {
        Form::Map(m) => map(d, m),
        Form::Scan(s) => scan(d, s, outs),
        Form::While(w) => while_loop(d, w),
        Form::Switch(s) => {
            // The only arm is taken whatever `which` says.
            if let [arm] = &s.arms[..] {
                return d.body(arm).into();
            }
            let which = d.value(s.which);
            if which.levels.is_empty() { uniform_switch(d, s, which.atom) } else { varying_switch(d, s, &which) }
        }
    }
}

/// A `Map` is a level for the time of its body, and an axis of its results after it.
fn map(d: &mut Distributor, m: &Map) -> SmallVec<[Value; 2]> {
    let level = d.sizes.len() as u32;
    let own = Levels::of(level);
    for acc in &m.accs {
        let init = d.value(acc.init);
        d.bind(acc.var, Value { sums: init.sums.with(level), ..init });
    }
    d.sizes.push(m.n);
    d.spans.push(d.b.spans().first().copied().unwrap_or(Span::NONE));
    let iota = d.b.prim1(Prim::Iota(m.n), &[]);
    d.bind(m.index, Value { index_of: Some(level), ..Value::over(iota, own.clone()) });
    if let Some(t) = &mut d.taking {
        t.open(d.b.spans(), m.n, Became::Lanes);
    }
    let results = d.body(&m.body);
    if let Some(t) = &mut d.taking {
        t.close();
    }
    let mut outs = SmallVec::new();
    for (k, r) in results.iter().enumerate() {
        outs.push(if k < m.accs.len() {
            Value { sums: r.sums.without(&own), ..r.clone() }
        } else {
            let atom = d.spread(r, &r.levels.with(level));
            Value::over(atom, r.levels.without(&own))
        });
    }
    d.sizes.pop();
    d.spans.pop();
    outs
}

/// Carries vary over the levels that they start with and those that a step brings in.
fn scan(d: &mut Distributor, s: &Scan, outs: &[Var]) -> SmallVec<[Value; 2]> {
    let inits: Vec<Value> = s.carries.iter().map(|c| d.value(c.init)).collect();
    let mut levels: Vec<Levels> = inits.iter().map(|v| v.levels.clone()).collect();
    let dots = d.dots.clone();
    loop {
        let carries = bind_carries(d, &s.carries, &inits, &levels);
        let index = d.b.fresh(Type::scalar(DType::I32));
        d.keep_name(s.index, index);
        d.bind(s.index, Value::uniform(index.into()));
        d.b.begin();
        let results = d.body(&s.body);
        if widen(&mut levels, &results) {
            d.b.end(Vec::new());
            d.dots = dots.clone();
            continue;
        }
        let count = carries.len();
        let atoms = results.iter().enumerate();
        let atoms: Vec<Atom> = atoms.map(|(k, r)| if k < count { d.spread(r, &levels[k]) } else { r.atom }).collect();
        let body = d.b.end(atoms);
        let carries = spread_inits(d, carries, &inits, &levels);
        let form = Scan { index, carries, body, ..*s };
        let last = d.b.form(Form::Scan(form));
        debug_assert_eq!(last.len(), outs.len());
        let mut values = SmallVec::new();
        for (k, atom) in last.into_iter().enumerate() {
            values.push(if k < count {
                Value { atom, levels: levels[k].clone(), sums: inits[k].sums.clone(), index_of: None }
            } else {
                behind_levels(d, atom, &results[k].levels)
            });
        }
        return values;
    }
}

/// What a scan yields has the steps' axis in front of the levels; it belongs behind them.
fn behind_levels(d: &mut Distributor, stacked: Atom, levels: &Levels) -> Value {
    let u = levels.len();
    if u == 0 {
        return Value::uniform(stacked);
    }
    let rank = d.b.ty(stacked).rank();
    let perm = (1..=u).chain([0]).chain(u + 1..rank).collect();
    Value::over(d.b.prim1(Prim::Transpose(perm), &[stacked]), levels.clone())
}

/// Fresh variables for carries over `levels`; their initial values are still to be spread.
fn bind_carries(d: &mut Distributor, carries: &[Carry], inits: &[Value], levels: &[Levels]) -> Vec<Carry> {
    let mut fresh = Vec::new();
    for ((c, init), levels) in carries.iter().zip(inits).zip(levels) {
        let own = d.source_type(c.var.into());
        let mut shape = d.dims(levels);
        shape.extend_from_slice(&own.shape);
        let var = d.b.fresh(Type { dtype: own.dtype, shape });
        d.keep_name(c.var, var);
        let value = Value { atom: var.into(), levels: levels.clone(), sums: init.sums.clone(), index_of: None };
        d.bind(c.var, value);
        fresh.push(Carry { var, init: init.atom });
    }
    fresh
}

fn spread_inits(d: &mut Distributor, carries: Vec<Carry>, inits: &[Value], levels: &[Levels]) -> Vec<Carry> {
    let spread = carries.into_iter().zip(inits).zip(levels);
    spread.map(|((c, init), levels)| Carry { var: c.var, init: d.spread(init, levels) }).collect()
}

/// Adds to the levels of carries those of their next values; whether any was new.
fn widen(levels: &mut [Levels], results: &[Value]) -> bool {
    let mut wider = false;
    for (l, r) in levels.iter_mut().zip(results) {
        let all = l.union(&r.levels);
        wider |= all != *l;
        *l = all;
    }
    wider
}

/// A loop whose condition varies over lanes runs until no lane continues; lanes that are done keep their carries.
fn while_loop(d: &mut Distributor, w: &While) -> SmallVec<[Value; 2]> {
    let inits: Vec<Value> = w.carries.iter().map(|c| d.value(c.init)).collect();
    let mut levels: Vec<Levels> = inits.iter().map(|v| v.levels.clone()).collect();
    let outer_mask = d.mask.clone();
    loop {
        let carries = bind_carries(d, &w.carries, &inits, &levels);
        d.b.begin();
        let test = d.body(&w.condition).remove(0);
        let test = in_lanes_of(d, test, outer_mask.as_ref());
        let any = any_lane(d, &test);
        let condition = d.b.end(vec![any]);

        d.b.begin();
        let again = d.body(&w.condition).remove(0);
        let again = in_lanes_of(d, again, outer_mask.as_ref());
        if !again.levels.is_empty() {
            d.mask = Some(again.clone());
        }
        let mut results = d.body(&w.body);
        d.mask = outer_mask.clone();
        if !again.levels.is_empty() {
            for (k, c) in w.carries.iter().enumerate() {
                let old = d.value(c.var.into());
                let rank = d.source_type(c.var.into()).rank();
                results[k] = select(d, &again, &results[k], &old, rank);
            }
        }
        if widen(&mut levels, &results) {
            d.b.end(Vec::new());
            continue;
        }
        let atoms = results.iter().zip(&levels).map(|(r, l)| d.spread(r, l)).collect();
        let body = d.b.end(atoms);
        let carries = spread_inits(d, carries, &inits, &levels);
        let last = d.b.form(Form::While(While { carries, condition, body, ..*w }));
        return last.into_iter().zip(levels).map(|(atom, l)| Value::over(atom, l)).collect();
    }
}

/// A test that varies over lanes counts only in the lanes that execute it.
fn in_lanes_of(d: &mut Distributor, test: Value, mask: Option<&Value>) -> Value {
    match mask {
        Some(mask) if !test.levels.is_empty() => and(d, &test, mask),
        Some(_) | None => test,
    }
}

fn and(d: &mut Distributor, a: &Value, b: &Value) -> Value {
    prims::prim(d, &Prim::Binary(Binary::And), &[a.clone(), b.clone()], &[0, 0]).remove(0)
}

fn any_lane(d: &mut Distributor, test: &Value) -> Atom {
    let axes: Vec<usize> = (0..test.levels.len()).collect();
    if axes.is_empty() { test.atom } else { d.b.reduce(Monoid::Any, &axes, test.atom) }
}

fn select(d: &mut Distributor, mask: &Value, yes: &Value, no: &Value, rank: usize) -> Value {
    if yes.atom == no.atom {
        return yes.clone();
    }
    let plain = |v: &Value| Value::over(v.atom, v.levels.clone());
    prims::prim(d, &Prim::Select, &[mask.clone(), plain(yes), plain(no)], &[0, rank, rank]).remove(0)
}

/// All lanes take the same arm: it stays a branch.
fn uniform_switch(d: &mut Distributor, s: &Switch, which: Atom) -> SmallVec<[Value; 2]> {
    let mut arms = Vec::new();
    for arm in &s.arms {
        d.b.begin();
        let results = d.body(arm);
        arms.push((d.b.end(Vec::new()), results));
    }
    let count = s.arms[0].results.len();
    let levels: Vec<Levels> =
        (0..count).map(|k| arms.iter().fold(Levels::default(), |l, (_, r)| l.union(&r[k].levels))).collect();
    let close = |d: &mut Distributor, (body, results): (Body, Vec<Value>)| {
        d.b.begin();
        body.stmts.into_iter().for_each(|s| d.b.push(s));
        let atoms = results.iter().zip(&levels).map(|(r, l)| d.spread(r, l)).collect();
        d.b.end(atoms)
    };
    let arms = arms.into_iter().map(|arm| close(d, arm)).collect();
    let outs = d.b.form(Form::Switch(Switch { which, arms }));
    outs.into_iter().zip(levels).map(|(atom, l)| Value::over(atom, l)).collect()
}

/// Lanes take different arms: selects, with costly arms behind a branch on whether any lane takes them.
fn varying_switch(d: &mut Distributor, s: &Switch, which: &Value) -> SmallVec<[Value; 2]> {
    let costs: Vec<usize> = s.arms.iter().map(|a| cost(&d.source.vars, a)).collect();
    let mut order: Vec<usize> = (0..s.arms.len()).collect();
    order.sort_by_key(|&k| costs[k]);
    let ranks: Vec<usize> = s.arms[0].results.iter().map(|a| d.source_type(*a).rank()).collect();
    let outer = d.mask.clone();
    let mut sofar: Option<Vec<Value>> = None;
    if let Some(t) = &mut d.taking {
        let guarded: Vec<usize> = costs.iter().copied().filter(|c| *c > CHEAP).collect();
        let operations = costs.iter().copied().max().unwrap_or(0);
        t.branch(
            d.b.spans(),
            match guarded.len() {
                0 => Choice::Selected { operations },
                arms => Choice::Guarded { arms, operations },
            },
        );
    }
    for k in order {
        let takes = takes_arm(d, which, k, s.arms.len());
        let takes = in_lanes_of(d, takes, outer.as_ref());
        d.mask = Some(takes.clone());
        sofar = Some(if costs[k] <= CHEAP {
            let results = d.body(&s.arms[k]);
            match sofar {
                None => results,
                Some(before) => merge(d, &takes, &results, &before, &ranks),
            }
        } else {
            let before = sofar.unwrap_or_else(|| zeros(d, &s.arms[k]));
            guarded(d, &takes, &s.arms[k], costs[k], &before, &ranks)
        });
        d.mask = outer.clone();
    }
    sofar.into_iter().flatten().collect()
}

/// Where lanes take arm `k` of `n`.
fn takes_arm(d: &mut Distributor, which: &Value, k: usize, n: usize) -> Value {
    let atom = if d.b.ty(which.atom).dtype == DType::Bool {
        if k == 1 { which.atom } else { d.b.unary(Unary::Not, which.atom) }
    } else {
        let compare = match k {
            0 => Compare::Le,
            _ if k + 1 == n => Compare::Ge,
            _ => Compare::Eq,
        };
        d.b.prim1(Prim::Compare(compare), &[which.atom, Lit::i32(k as i32).into()])
    };
    Value::over(atom, which.levels.clone())
}

fn merge(d: &mut Distributor, takes: &Value, yes: &[Value], no: &[Value], ranks: &[usize]) -> Vec<Value> {
    yes.iter().zip(no).zip(ranks).map(|((y, n), &r)| select(d, takes, y, n, r)).collect()
}

fn zeros(d: &mut Distributor, arm: &Body) -> Vec<Value> {
    arm.results.iter().map(|a| Value::uniform(d.b.zeros(&d.source_type(*a)))).collect()
}

/// `if any(takes) { select(takes, arm, before) } else { before }`; of many lanes, only those that take the arm compute it.
fn guarded(
    d: &mut Distributor,
    takes: &Value,
    arm: &Body,
    cost: usize,
    before: &[Value],
    ranks: &[usize],
) -> Vec<Value> {
    let any = any_lane(d, takes);
    let of_lane = |v: &Value| v.levels.without(&takes.levels).is_empty() && v.sums.is_empty();
    let reads = if d.compacts && before.iter().all(of_lane) { compact::reads(d, takes, arm, cost) } else { None };
    d.b.begin();
    let merged = match reads {
        Some(reads) => compact::compacted(d, takes, arm, &reads, before, ranks),
        None => {
            let results = d.body(arm);
            merge(d, takes, &results, before, ranks)
        }
    };
    let levels: Vec<Levels> = merged.iter().zip(before).map(|(m, b)| m.levels.union(&b.levels)).collect();
    let atoms = merged.iter().zip(&levels).map(|(v, l)| d.spread(v, l)).collect();
    let yes = d.b.end(atoms);
    d.b.begin();
    let atoms = before.iter().zip(&levels).map(|(v, l)| d.spread(v, l)).collect();
    let no = d.b.end(atoms);
    let outs = d.b.form(Form::Switch(Switch { which: any, arms: vec![no, yes] }));
    outs.into_iter().zip(levels).map(|(atom, l)| Value::over(atom, l)).collect()
}

/// Records are made in every lane that executes them: their values and masks have all levels. A check is made where the lanes
/// that execute it differ.
pub(crate) fn effect(d: &mut Distributor, effect: &Effect) {
    let effect = match effect {
        Effect::Log { name, value, mask } => {
            let levels = Levels::all(d.sizes.len());
            let (v, shape) = (d.value(*value), d.source_type(*value).shape);
            let (value, mask) = (d.spread(&v, &levels), masked(d, *mask, &levels, &shape));
            Effect::Log { name: name.clone(), value, mask }
        }
        Effect::Check { check, values, mask } => {
            let shape = d.source_type(values[0]).shape;
            let lanes = d.mask.as_ref().map_or(Levels::default(), |m| m.levels.clone());
            let own = d.value(*mask).levels.union(&lanes);
            let levels = values.iter().fold(own, |l, a| l.union(&d.value(*a).levels));
            let spread = |a: &Atom| over(d, &d.value(*a), d.source_type(*a).rank(), &levels, &shape);
            let spread = values.iter().map(spread).collect();
            let mask = masked(d, *mask, &levels, &shape);
            let mut check = Check::clone(check);
            let lanes = levels.iter().map(|l| Lane { n: d.sizes[l as usize], span: d.spans[l as usize] });
            check.lanes = lanes.chain(check.lanes).collect();
            Effect::Check { check: Arc::new(check), values: spread, mask }
        }
    };
    d.b.effect(effect);
}

/// An operand over these levels: its own shape there, or a scalar repeated to it.
fn over(d: &mut Distributor, v: &Value, rank: usize, levels: &Levels, own: &[usize]) -> Atom {
    if rank == own.len() {
        return d.spread(v, levels);
    }
    let mut shape = d.dims(levels);
    shape.extend_from_slice(own);
    let axes = v.levels.iter().map(|l| levels.place(l)).collect();
    d.b.prim1(Prim::Broadcast { shape, axes }, &[v.atom])
}

/// The effect's own mask, where the lanes that execute it are.
fn masked(d: &mut Distributor, mask: Atom, levels: &Levels, own: &[usize]) -> Atom {
    let (v, rank) = (d.value(mask), d.source_type(mask).rank());
    let mask = match (d.mask.clone(), v.atom) {
        (None, Atom::Lit(_)) => return v.atom,
        (None, Atom::Var(_)) => v,
        (Some(m), Atom::Lit(l)) if l.bits != 0 => m,
        (Some(m), _) => prims::prim(d, &Prim::Binary(Binary::And), &[v, m], &[rank, 0]).remove(0),
    };
    let rank = d.b.ty(mask.atom).rank() - mask.levels.len();
    over(d, &mask, rank, levels, own)
}
