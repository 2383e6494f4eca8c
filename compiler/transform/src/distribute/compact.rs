//! A costly arm that few of many lanes take is computed for those alone, a block of them at a time.
//!
//! ```text
//! order = the lanes, those that take the arm first; count = how many those are
//! while start < count {
//!   lane = order[start .. start + BLOCK]
//!   results[lane] = arm of those lanes
//!   start = start + BLOCK
//! }
//! ```
//!
//! The arm is distributed over a level of its own, the block, which is in place of those that the choice varies over.

use smallvec::SmallVec;
use whorl_core::ir::*;
use whorl_core::prim::{Binary, Compare, Monoid, Prim, Unary};
use whorl_core::rewrite::{free_vars_of, has_effect};
use whorl_source::Span;

use super::levels::Levels;
use super::{Distributor, Value, prims};

/// Fewer lanes are computed all together.
const LANES: usize = 64;
/// What an arm costs in a lane, in simple operations, to be worth it; and for each element that goes in or out.
const COSTLY: usize = 256;
const COSTLY_ELEMENT: usize = 24;

/// Lanes of a block: at most so many are computed in vain.
fn block(lanes: usize) -> usize {
    (lanes / 64).next_power_of_two().clamp(16, 512)
}

/// What of each lane an arm reads: variables that vary over the levels of its choice. `None` where blocks do not pay, or where lanes do more
/// than compute.
pub(crate) fn reads(d: &Distributor, takes: &Value, arm: &Body, cost: usize) -> Option<Vec<Var>> {
    let lanes: usize = d.dims(&takes.levels).iter().product();
    if lanes < LANES || cost < COSTLY || arm.stmts.iter().any(has_effect) {
        return None;
    }
    let mut read = Vec::new();
    for v in free_vars_of(arm) {
        let value = &d.values[&v];
        if !value.sums.is_empty() || !value.levels.without(&takes.levels).is_empty() {
            return None;
        }
        if !value.levels.is_empty() {
            read.push(v);
        }
    }
    let size = |ty: Type| ty.size();
    let given: usize = arm.results.iter().map(|a| size(d.source_type(*a))).sum();
    let elements = given + read.iter().map(|v| size(d.source_type((*v).into()))).sum::<usize>();
    (cost >= elements * COSTLY_ELEMENT).then_some(read)
}

/// `before`, with the results of the arm in the lanes that take it.
pub(crate) fn compacted(
    d: &mut Distributor,
    takes: &Value,
    arm: &Body,
    read: &[Var],
    before: &[Value],
    ranks: &[usize],
) -> Vec<Value> {
    let sizes = d.dims(&takes.levels);
    let lanes: usize = sizes.iter().product();
    let block = block(lanes);
    let i32s = |n: i32| Atom::from(Lit::i32(n));

    let flat = d.b.prim1(Prim::Reshape(Shape::from_slice(&[lanes])), &[takes.atom]);
    let last = d.b.unary(Unary::Not, flat);
    let iota = d.b.prim1(Prim::Iota(lanes), &[]);
    let order = d.b.prim(Prim::Sort { axis: 0, keys: 1 }, &[last, iota])[1];
    let ones = d.b.prim1(Prim::Convert(DType::I32), &[flat]);
    let count = d.b.reduce(Monoid::Sum, &[0], ones);
    let inits: Vec<Atom> = before.iter().map(|v| d.spread(v, &takes.levels)).collect();

    let start = d.b.fresh(Type::scalar(DType::I32));
    let mut carries = vec![Carry { var: start, init: i32s(0) }];
    for init in inits {
        let var = d.b.fresh(d.b.ty(init));
        carries.push(Carry { var, init });
    }
    d.b.begin();
    let more = d.b.prim1(Prim::Compare(Compare::Lt), &[start.into(), count]);
    let condition = d.b.end(vec![more]);

    d.b.begin();
    // The last block ends with the last lane; what it has in common with the one before is not done again.
    let first = d.b.binary(Binary::Min, start.into(), i32s((lanes - block) as i32));
    let lane = d.b.prim1(Prim::Index(Some(block)), &[order, first]);
    let within = d.b.prim1(Prim::Iota(block), &[]);
    let place = d.b.add(within, first);
    let fresh = d.b.prim1(Prim::Compare(Compare::Ge), &[place, start.into()]);
    let taken = d.b.prim1(Prim::Compare(Compare::Lt), &[place, count]);
    let valid = d.b.binary(Binary::And, fresh, taken);
    let at = positions(d, lane, &sizes);

    let level = d.sizes.len() as u32;
    let own = Levels::of(level);
    d.sizes.push(block);
    d.spans.push(d.b.spans().first().copied().unwrap_or(Span::NONE));
    let mask = Value::over(valid, own.clone());
    let outer = d.mask.replace(mask.clone());
    let kept: Vec<Value> = read.iter().map(|v| d.values[v].clone()).collect();
    for (v, value) in read.iter().zip(&kept) {
        let at: Vec<Atom> = value.levels.iter().map(|l| at[takes.levels.place(l)]).collect();
        let atom = rows(d, value.atom, &at, block);
        d.bind(*v, Value::over(atom, own.clone()));
    }
    let results = d.body(arm);
    let mut next = vec![d.b.add(start.into(), i32s(block as i32))];
    for ((result, carry), rank) in results.iter().zip(&carries[1..]).zip(ranks) {
        let old = Value::over(rows(d, carry.var.into(), &at, block), own.clone());
        let result = Value::over(result.atom, result.levels.clone());
        let new = prims::prim(d, &Prim::Select, &[mask.clone(), result, old], &[0, *rank, *rank]).remove(0);
        next.push(with_rows(d, carry.var.into(), new.atom, &at, block));
    }
    for (v, value) in read.iter().zip(kept) {
        d.bind(*v, value);
    }
    d.mask = outer;
    d.sizes.pop();
    d.spans.pop();
    let body = d.b.end(next);
    let form = While { carries, condition, body, max: None, checkpoint: Checkpoint::Carries };
    let outs = d.b.form(Form::While(form));
    outs.into_iter().skip(1).map(|atom| Value::over(atom, takes.levels.clone())).collect()
}

/// Lanes' places on each axis, from their numbers.
fn positions(d: &mut Distributor, lane: Atom, sizes: &Shape) -> SmallVec<[Atom; 2]> {
    let mut at = SmallVec::new();
    for (k, &size) in sizes.iter().enumerate() {
        let inner: usize = sizes[k + 1..].iter().product();
        let mut here = lane;
        if inner > 1 {
            here = d.b.binary(Binary::Div, here, Lit::i32(inner as i32).into());
        }
        if k > 0 {
            here = d.b.binary(Binary::Rem, here, Lit::i32(size as i32).into());
        }
        at.push(here);
    }
    at
}

/// `map b < block { x[at[b]…] }`
fn rows(d: &mut Distributor, x: Atom, at: &[Atom], block: usize) -> Atom {
    d.b.map(block, |b, k| {
        let mut operands: Atoms = SmallVec::from_iter([x]);
        for a in at {
            operands.push(b.prim1(Prim::Index(None), &[*a, k]));
        }
        vec![b.prim1(Prim::Index(None), &operands)]
    })[0]
}

/// x with `rows[b]` at `at[b]…`, for each b.
fn with_rows(d: &mut Distributor, x: Atom, rows: Atom, at: &[Atom], block: usize) -> Atom {
    let (index, acc) = (d.b.fresh(Type::scalar(DType::I32)), d.b.fresh(d.b.ty(x)));
    d.b.begin();
    let row = d.b.prim1(Prim::Index(None), &[rows, index.into()]);
    let mut operands: Atoms = SmallVec::from_iter([acc.into(), row]);
    for a in at {
        operands.push(d.b.prim1(Prim::Index(None), &[*a, index.into()]));
    }
    let set = d.b.prim1(Prim::IndexSet(None), &operands);
    let body = d.b.end(vec![set]);
    d.b.form(Form::Map(Map { n: block, index, accs: vec![Carry { var: acc, init: x }], body }))[0]
}
