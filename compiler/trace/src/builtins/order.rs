//! Sorting, and what is found in sorted arrays.

use smallvec::SmallVec;
use whorl_core::prim::{Binary, Compare, Unary};
use whorl_core::{Atom, DType, Lit, Prim};
use whorl_source::Diagnostic;

use super::{Builtin, Given};
use crate::index::gathered;
use crate::tracer::{Tracer, fail};
use crate::value::{Arg, R, Value};

macro_rules! table {
    ($($name:literal ($($p:literal)*) $run:expr, $doc:literal)*) => {
        &[$(Builtin { name: $name, params: &[$($p),*], doc: $doc, run: $run }),*]
    };
}

pub const TABLE: &[Builtin] = table! {
    "sort" ("x" "axis?" "by?" "descending?") |t, g| sort(t, g, false), "ascending along an axis (the last); equal ones keep their order, NaN comes last, also descending. `by: fn(x) = x.cost` sorts an array of anything by a number of each element"
    "argsort" ("x" "axis?" "by?" "descending?") |t, g| sort(t, g, true), "the places from which `sort` takes its elements"
    "topk" ("x" "k") topk, "(the k largest along the last axis, their places), largest first"
    "searchsorted" ("sorted" "x" "right?") searchsorted, "how many elements of an ascending vector are below x: the place where x keeps it ascending; with right: true, below or equal"
};

/// A key whose ascending order is the descending order of `a`: exact for all integers, where `-a` is not.
fn descending<'a>(t: &mut Tracer<'a>, a: Atom, g: &Given<'a>) -> R<Atom> {
    let op = if t.b.ty(a).dtype.is_float() { Unary::Neg } else { Unary::Not };
    t.prim(Prim::Unary(op), &[a], g.span)
}

/// The places 0, 1, … along an axis, in the shape of `a`.
fn places<'a>(t: &mut Tracer<'a>, a: Atom, axis: usize, g: &Given<'a>) -> R<Atom> {
    let shape = t.b.ty(a).shape;
    let iota = t.b.prim1(Prim::Iota(shape[axis]), &[]);
    t.prim(Prim::Broadcast { shape, axes: SmallVec::from_iter([axis]) }, &[iota], g.span)
}

fn sort<'a>(t: &mut Tracer<'a>, g: &Given<'a>, only_places: bool) -> R<Value<'a>> {
    let down = match g.opt(3) {
        Some(flag) => t.flag(&flag.value, flag.span)?,
        None => false,
    };
    if let Some(by) = g.opt(2) {
        return sort_by(t, g, by, down, only_places);
    }
    if g.arg(0).value.is_tree() {
        let e = Diagnostic::error("E0206", format!("`{}` needs a number of each element", g.name));
        let e = e.at(g.arg(0).span, format!("this is {}", g.arg(0).value.describe(&t.b)));
        return fail(e.help(format!("`{}(xs, by: fn(x) = x.cost)`", g.name)));
    }
    let (a, axis) = t.one_axis(g, g.opt(1), |rank| Some(rank - 1))?;
    let key = if down { descending(t, a, g)? } else { a };
    if only_places {
        let payload = places(t, a, axis, g)?;
        return Ok(Value::Leaf(t.b.prim(Prim::Sort { axis, keys: 1 }, &[key, payload])[1]));
    }
    Ok(Value::Leaf(if down {
        t.b.prim(Prim::Sort { axis, keys: 1 }, &[key, a])[1]
    } else {
        t.prim(Prim::Sort { axis, keys: 1 }, &[a], g.span)?
    }))
}

fn sort_by<'a>(t: &mut Tracer<'a>, g: &Given<'a>, by: &Arg<'a>, down: bool, only_places: bool) -> R<Value<'a>> {
    let x = g.arg(0);
    let Value::Function(f) = &by.value else {
        let e = Diagnostic::error("E0603", "`by` is a function of one element");
        return fail(e.at(by.span, format!("this is {}", by.value.describe(&t.b))));
    };
    if let Some(axis) = g.opt(1) {
        return fail(Diagnostic::error("E0107", "`by` sorts along the first axis").at(axis.span, "there is no choice"));
    }
    let v = t.settle(&x.value, x.span)?;
    let v = t.arrayed(&v, 1, x.span)?;
    t.use_keys_in(&v, x.span, g.name)?;
    let keys = t.map_over(f, &[Arg { value: v.clone(), ..x.clone() }], g.span)?;
    let a = match &keys {
        Value::Leaf(a) if t.b.ty(*a).rank() == 1 => *a,
        other => {
            let e = Diagnostic::error("E0206", "`by` gives one number for an element");
            return fail(e.at(by.span, format!("for all it gives {}", other.describe(&t.b))));
        }
    };
    let key = if down { descending(t, a, g)? } else { a };
    let payload = places(t, a, 0, g)?;
    let order = t.b.prim(Prim::Sort { axis: 0, keys: 1 }, &[key, payload])[1];
    if only_places {
        return Ok(Value::Leaf(order));
    }
    let sorted = t.take_places(&v, order, g.span)?;
    Ok(t.renew_keys(&sorted))
}

fn topk<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let (a, axis) = t.one_axis(g, None, |rank| Some(rank - 1))?;
    let k = t.size(&g.arg(1).value, g.arg(1).span)?;
    let n = t.b.ty(a).shape[axis];
    if k > n {
        let e = Diagnostic::error("E0107", format!("there are no {k} largest of {n}"));
        return fail(e.at(g.arg(1).span, ""));
    }
    let key = descending(t, a, g)?;
    let payload = places(t, a, axis, g)?;
    let sorted = t.b.prim(Prim::Sort { axis, keys: 1 }, &[key, a, payload]);
    let values = t.slice_axis(sorted[1], axis, 0, k, g.span)?;
    let places = t.slice_axis(sorted[2], axis, 0, k, g.span)?;
    Ok(Value::tuple(vec![Value::Leaf(values), Value::Leaf(places)]))
}

/// Halving: after each step the place is known to lie in a window half as wide.
fn searchsorted<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let right = match g.opt(2) {
        Some(flag) => t.flag(&flag.value, flag.span)?,
        None => false,
    };
    let (xs, x) = (g.arg(0), g.arg(1));
    let sorted = t.atom(&xs.value, None, xs.span)?;
    let ty = t.b.ty(sorted);
    let wanted = t.atom(&x.value, Some(ty.dtype), x.span)?;
    let of = t.b.ty(wanted);
    if ty.rank() != 1 || of.dtype != ty.dtype || ty.shape[0] == 0 {
        let e = Diagnostic::error("E0206", "`searchsorted` looks for numbers in a vector of the same type");
        return fail(e.at(xs.span, xs.value.describe(&t.b)).at(x.span, x.value.describe(&t.b)));
    }
    let n = ty.shape[0];
    let places = whorl_core::Type { dtype: DType::I32, shape: of.shape.clone() };
    let low = t.b.zeros(&places);
    let high = t.b.broadcast(Lit::i32(n as i32).into(), &of.shape);
    let steps = (usize::BITS - n.leading_zeros()) as usize;
    let op = if right { Compare::Le } else { Compare::Lt };
    let outs = t.b.scan(steps, false, &[low, high], |b, _, carry| {
        let sum = b.add(carry[0], carry[1]);
        let middle = b.binary(Binary::Div, sum, Lit::i32(2).into());
        let there = gathered(b, sorted, middle, of.rank());
        let below = b.prim1(Prim::Compare(op), &[there, wanted]);
        let open = b.prim1(Prim::Compare(Compare::Lt), &[carry[0], carry[1]]);
        let up = b.binary(Binary::And, below, open);
        let next = b.add(middle, Lit::i32(1).into());
        let low = b.prim1(Prim::Select, &[up, next, carry[0]]);
        let high = b.prim1(Prim::Select, &[up, carry[1], middle]);
        let high = b.prim1(Prim::Select, &[open, high, carry[1]]);
        vec![low, high]
    });
    Ok(Value::Leaf(outs[0]))
}
