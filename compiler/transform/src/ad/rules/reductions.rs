//! Derivatives of reductions and cumulative operations, whole arrays at a time but for one linear recurrence.

use whorl_core::prim::{Compare, Monoid, Prim, Reduce};
use whorl_core::{Atom, Builder, Type};

use super::share;
use crate::ad::emit::{inverse, number, transpose};

pub(super) fn reduce(b: &mut Builder, r: &Reduce, x: Atom, y: Atom, t: Atom) -> Option<Atom> {
    match r.op {
        Monoid::Sum => Some(b.reduce(Monoid::Sum, &r.axes, t)),
        Monoid::Prod => Some(product(b, r, x, t)),
        Monoid::Max | Monoid::Min => Some(extremum(b, r, x, y, t)),
        Monoid::All | Monoid::Any => None,
    }
}

pub(super) fn cumulative(
    b: &mut Builder,
    op: Monoid,
    axis: usize,
    reverse: bool,
    x: Atom,
    y: Atom,
    t: Atom,
) -> Option<Atom> {
    let ty = b.ty(x);
    if ty.shape[axis] == 0 {
        return Some(t);
    }
    let line = Line { ty, axis, reverse };
    match op {
        Monoid::Sum => Some(b.prim1(Prim::Cumulative { op, axis, reverse }, &[t])),
        Monoid::Prod => {
            // y_i = y_{i-1} x_i
            let before = line.shifted(b, y, 1.0);
            let new = b.mul(t, before);
            Some(line.recurrence(b, x, new))
        }
        Monoid::Max | Monoid::Min => {
            // y_i = max(y_{i-1}, x_i), ties by halves
            let wins = if op == Monoid::Max { Compare::Gt } else { Compare::Lt };
            let (before, here) = (line.all_but_last(b, y), line.all_but_first(b, x));
            let (old, new) = (share(b, wins, before, here), share(b, wins, here, before));
            let (old, new) = (line.with_first(b, old, 0.0), line.with_first(b, new, 1.0));
            let new = b.mul(t, new);
            Some(line.recurrence(b, old, new))
        }
        Monoid::All | Monoid::Any => None,
    }
}

/// `sum(t * product of the other elements)`; the product of the others is that of those before and those after, so that zeros
/// need no care.
fn product(b: &mut Builder, r: &Reduce, x: Atom, t: Atom) -> Atom {
    let shape = b.ty(x).shape;
    let mut perm: Vec<usize> = (0..shape.len()).filter(|k| !r.axes.contains(k)).collect();
    let kept = perm.len();
    perm.extend(&r.axes);
    let mut flat: Vec<usize> = perm[..kept].iter().map(|&a| shape[a]).collect();
    flat.push(r.axes.iter().map(|&a| shape[a]).product());
    let flatten = |b: &mut Builder, x: Atom| {
        let x = transpose(b, x, &perm);
        b.prim1(Prim::Reshape(flat.as_slice().into()), &[x])
    };
    let (x, t) = (flatten(b, x), flatten(b, t));
    if flat[kept] == 0 {
        return b.reduce(Monoid::Sum, &[kept], t);
    }
    let mut others = |reverse: bool| {
        let line = Line { ty: b.ty(x), axis: kept, reverse };
        let all = b.prim1(Prim::Cumulative { op: Monoid::Prod, axis: kept, reverse }, &[x]);
        line.shifted(b, all, 1.0)
    };
    let (before, after) = (others(false), others(true));
    let scale = b.mul(before, after);
    let terms = b.mul(t, scale);
    b.reduce(Monoid::Sum, &[kept], terms)
}

/// The mean of the tangents of those elements that are the extremum.
fn extremum(b: &mut Builder, r: &Reduce, x: Atom, y: Atom, t: Atom) -> Atom {
    let ty = b.ty(x);
    let axes = (0..ty.rank()).filter(|k| !r.axes.contains(k)).collect();
    let wide = b.prim1(Prim::Broadcast { shape: ty.shape, axes }, &[y]);
    let hit = b.prim1(Prim::Compare(Compare::Eq), &[x, wide]);
    let hit = b.prim1(Prim::Convert(ty.dtype), &[hit]);
    let count = b.reduce(Monoid::Sum, &r.axes, hit);
    let terms = b.mul(t, hit);
    let sum = b.reduce(Monoid::Sum, &r.axes, terms);
    b.binary(whorl_core::prim::Binary::Div, sum, count)
}

/// Arrays of one type, and a direction along one of their axes; the axis is not empty.
struct Line {
    ty: Type,
    axis: usize,
    reverse: bool,
}

impl Line {
    fn without(&self, b: &mut Builder, x: Atom, low: bool) -> Atom {
        let (mut starts, mut shape) = (self.ty.shape.clone(), self.ty.shape.clone());
        starts.fill(0);
        let mut strides = starts.clone();
        strides.fill(1);
        shape[self.axis] -= 1;
        starts[self.axis] = low as usize;
        b.prim1(Prim::Slice { starts, shape, strides }, &[x])
    }

    fn all_but_last(&self, b: &mut Builder, x: Atom) -> Atom {
        self.without(b, x, self.reverse)
    }

    fn all_but_first(&self, b: &mut Builder, x: Atom) -> Atom {
        self.without(b, x, !self.reverse)
    }

    /// An array of one element less along the axis, with `fill` put first.
    fn with_first(&self, b: &mut Builder, x: Atom, fill: f64) -> Atom {
        let mut none = self.ty.shape.clone();
        none.fill(0);
        let mut one = none.clone();
        one[self.axis] = 1;
        let (low, high) = if self.reverse { (none.clone(), one) } else { (one, none.clone()) };
        let fill = number(b, x, fill);
        b.prim1(Prim::Pad { low, high, interior: none }, &[x, fill])
    }

    /// Each element moved on by one, `fill` put first.
    fn shifted(&self, b: &mut Builder, x: Atom, fill: f64) -> Atom {
        let x = self.all_but_last(b, x);
        self.with_first(b, x, fill)
    }

    /// `t_i = t_{i-1} * scale_i + new_i`, from zero; linear in `new`.
    fn recurrence(&self, b: &mut Builder, scale: Atom, new: Atom) -> Atom {
        let mut perm = vec![self.axis];
        perm.extend((0..self.ty.rank()).filter(|&k| k != self.axis));
        let (scale, new) = (transpose(b, scale, &perm), transpose(b, new, &perm));
        let mut row = self.ty.clone();
        row.shape.remove(self.axis);
        let zero = b.zeros(&row);
        let steps = b.scan(self.ty.shape[self.axis], self.reverse, &[zero], |b, i, carries| {
            let scale = b.prim1(Prim::Index(None), &[scale, i]);
            let new = b.prim1(Prim::Index(None), &[new, i]);
            let next = b.prim1(Prim::MulAdd, &[carries[0], scale, new]);
            vec![next, next]
        });
        transpose(b, steps[1], &inverse(&perm))
    }
}
