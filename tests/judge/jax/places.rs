//! Places in arrays, by numbers of rows: what gathers, scatters, windows and convolutions come to.
//!
//! An array is seen as rows `[n, row…]`; which of them are wanted is an array of `i32`, made beside the loop by arithmetic on whole
//! arrays. A place that is none is the number `n`: of a spare row behind the others.
//!
//! ```text
//! gather:  map k < m { index(rows, index(places, k)) }
//! scatter: map k < m, sums = rows { index_add(sums, index(updates, k), index(places, k)) }
//! ```

use whorl_core::Builder;
use whorl_core::ir::{Atom, Carry, DType, Form, Lit, Map, Shape, Type};
use whorl_core::prim::{Binary, Compare, Monoid, Prim, Reduce};

/// The first `axes` axes as one.
pub fn rows(b: &mut Builder, x: Atom, axes: usize) -> Atom {
    let shape = b.ty(x).shape;
    let (front, row) = shape.split_at(axes);
    let shape = std::iter::once(front.iter().product()).chain(row.iter().copied()).collect();
    b.prim1(Prim::Reshape(shape), &[x])
}

/// With a row of the scalar `fill` behind the others.
pub fn with_spare(b: &mut Builder, rows: Atom, fill: Atom) -> Atom {
    let none: Shape = b.ty(rows).shape.iter().map(|_| 0).collect();
    let mut high = none.clone();
    high[0] = 1;
    b.prim1(Prim::Pad { low: none.clone(), high, interior: none }, &[rows, fill])
}

pub fn without_spare(b: &mut Builder, rows: Atom) -> Atom {
    let mut shape = b.ty(rows).shape;
    shape[0] -= 1;
    let (starts, strides) = (shape.iter().map(|_| 0).collect(), shape.iter().map(|_| 1).collect());
    b.prim1(Prim::Slice { starts, shape, strides }, &[rows])
}

/// The rows at these places, one for each.
pub fn pick(b: &mut Builder, rows: Atom, places: Atom) -> Atom {
    let (ty, m) = (b.ty(rows), b.ty(places).shape[0]);
    let row = Type::new(ty.dtype, &ty.shape[1..]);
    // Nothing is read of an array without elements, which may have no rows at all.
    if row.stacked(m).size() == 0 {
        return b.zeros(&row.stacked(m));
    }
    b.map(m, |b, k| {
        let place = at(b, places, k);
        vec![at(b, rows, place)]
    })[0]
}

/// The rows with update `k` added to the row at place `k`, for all `k`.
pub fn add(b: &mut Builder, rows: Atom, places: Atom, updates: Atom) -> Atom {
    let dtype = b.ty(rows).dtype;
    if b.ty(updates).size() == 0 {
        return rows;
    }
    // Sums are made in whole registers: halves in `f32`, rounded once.
    let (rows, updates) = (b.widen(rows), b.widen(updates));
    let index = b.fresh(Type::scalar(DType::I32));
    let sums = b.fresh(b.ty(rows));
    b.begin();
    let (place, update) = (at(b, places, index.into()), at(b, updates, index.into()));
    let next = b.prim1(Prim::IndexAdd(None), &[sums.into(), update, place]);
    let body = b.end(vec![next]);
    let accs = vec![Carry { var: sums, init: rows }];
    let sums = b.form(Form::Map(Map { n: b.ty(places).shape[0], index, accs, body }))[0];
    if b.ty(sums).dtype == dtype { sums } else { b.prim1(Prim::Convert(dtype), &[sums]) }
}

/// The rows with the row at place `k` replaced by `new(row, update k)`, one after the other.
pub fn replace(
    b: &mut Builder,
    rows: Atom,
    places: Atom,
    updates: Atom,
    new: impl Fn(&mut Builder, Atom, Atom) -> Atom,
) -> Atom {
    if b.ty(updates).size() == 0 {
        return rows;
    }
    let m = b.ty(places).shape[0];
    b.scan(m, false, &[rows], |b, k, rows| {
        let (place, update) = (at(b, places, k), at(b, updates, k));
        let old = at(b, rows[0], place);
        let new = new(b, old, update);
        vec![b.prim1(Prim::IndexSet(None), &[rows[0], new, place])]
    })[0]
}

pub fn at(b: &mut Builder, x: Atom, i: Atom) -> Atom {
    b.prim1(Prim::Index(None), &[x, i])
}

/// What becomes of a window that does not lie in the array as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outside {
    /// It is moved into the array.
    Clamped,
    /// All of it is the spare row.
    Spare,
}

/// Windows of one size into an array, at run-time starts.
#[derive(Clone, Debug)]
pub struct Windows {
    /// The sizes of the array, and of a window on each of its axes.
    pub shape: Vec<usize>,
    pub sizes: Vec<usize>,
    /// The axes that a window has no axis of its own for.
    pub dropped: Vec<usize>,
    /// The axis that each component of a start is for.
    pub starts: Vec<usize>,
    /// Axes of the array that go along with an axis of the starts.
    pub along: Vec<(usize, usize)>,
}

impl Windows {
    /// How many axes are in front of the rows: behind them, windows take the whole of the array.
    pub fn front(&self) -> usize {
        let dropped = |k: usize| self.dropped.contains(&k) || self.along.iter().any(|a| a.0 == k);
        let whole = |k: usize| self.sizes[k] == self.shape[k] && !dropped(k);
        (0..self.shape.len()).rev().find(|&k| !whole(k)).map_or(0, |k| k + 1)
    }

    /// The axes that a window has, outermost first.
    pub fn axes(&self) -> Vec<usize> {
        let has = |k: &usize| !self.dropped.contains(k) && self.along.iter().all(|a| a.0 != *k);
        (0..self.shape.len()).filter(has).collect()
    }

    /// How far apart neighbours on each axis are, in rows.
    fn strides(&self) -> Vec<usize> {
        let front = self.front();
        let stride = |k: usize| if k < front { self.shape[k + 1..front].iter().product() } else { 0 };
        (0..self.shape.len()).map(stride).collect()
    }

    /// The places of all windows' rows, window after window: `i32[m]`. The last axis of `starts` is that of their components.
    pub fn places(&self, b: &mut Builder, starts: Atom, outside: Outside) -> Atom {
        let strides = self.strides();
        let ty = b.ty(starts);
        let lanes = Type::new(DType::I32, &ty.shape[..ty.rank() - 1]);
        let (mut sum, mut inside): (Atom, Option<Atom>) = (b.zeros(&lanes), None);
        for (component, &axis) in self.starts.iter().enumerate() {
            let start = part(b, starts, component);
            let start = whole(b, start);
            let last: Atom = Lit::i32(self.shape[axis] as i32 - self.sizes[axis] as i32).into();
            let low = b.binary(Binary::Max, start, Lit::i32(0).into());
            let clamped = b.binary(Binary::Min, low, last);
            if outside == Outside::Spare {
                let fits = b.prim1(Prim::Compare(Compare::Eq), &[start, clamped]);
                inside = Some(inside.map_or(fits, |i| b.binary(Binary::And, i, fits)));
            }
            sum = step(b, sum, clamped, strides[axis]);
        }
        for &(axis, along) in &self.along {
            let iota = b.prim1(Prim::Iota(lanes.shape[along]), &[]);
            let axes = std::iter::once(along).collect();
            let own = b.prim1(Prim::Broadcast { shape: lanes.shape.clone(), axes }, &[iota]);
            sum = step(b, sum, own, strides[axis]);
        }
        let mut all = lanes.shape.clone();
        for axis in self.axes().into_iter().filter(|&k| k < self.front()) {
            all.push(self.sizes[axis]);
            let iota = b.prim1(Prim::Iota(self.sizes[axis]), &[]);
            let own = b.broadcast(iota, &all);
            let repeated = b.prim1(Prim::Broadcast { shape: all.clone(), axes: (0..all.len() - 1).collect() }, &[sum]);
            sum = step(b, repeated, own, strides[axis]);
        }
        if let Some(inside) = inside {
            let axes = (0..lanes.rank()).collect();
            let inside = b.prim1(Prim::Broadcast { shape: all.clone(), axes }, &[inside]);
            let spare = self.shape[..self.front()].iter().product::<usize>() as i32;
            sum = b.prim1(Prim::Select, &[inside, sum, Lit::i32(spare).into()]);
        }
        b.prim1(Prim::Reshape(std::iter::once(all.iter().product()).collect()), &[sum])
    }
}

/// `sum + by * stride`
fn step(b: &mut Builder, sum: Atom, by: Atom, stride: usize) -> Atom {
    let far = b.mul(by, Lit::i32(stride as i32).into());
    b.add(sum, far)
}

/// One of the last axis, which goes.
fn part(b: &mut Builder, x: Atom, component: usize) -> Atom {
    let mut shape = b.ty(x).shape;
    let mut starts: Shape = shape.iter().map(|_| 0).collect();
    let strides = shape.iter().map(|_| 1).collect();
    *starts.last_mut().expect("an axis of components") = component;
    *shape.last_mut().expect("an axis of components") = 1;
    let one = b.prim1(Prim::Slice { starts, shape: shape.clone(), strides }, &[x]);
    shape.pop();
    b.prim1(Prim::Reshape(shape), &[one])
}

/// As `i32`; what is too large for it stays large.
fn whole(b: &mut Builder, x: Atom) -> Atom {
    let x = match b.ty(x).dtype {
        DType::U32 => b.binary(Binary::Min, x, Lit::u32(i32::MAX as u32).into()),
        _ => x,
    };
    if b.ty(x).dtype == DType::I32 { x } else { b.prim1(Prim::Convert(DType::I32), &[x]) }
}

/// The axes in another order: axis `k` of the result is axis `perm[k]`.
pub fn transpose(b: &mut Builder, x: Atom, perm: &[usize]) -> Atom {
    if perm.iter().copied().eq(0..perm.len()) { x } else { b.prim1(Prim::Transpose(perm.into()), &[x]) }
}

pub fn reshape(b: &mut Builder, x: Atom, shape: &[usize]) -> Atom {
    b.prim1(Prim::Reshape(shape.into()), &[x])
}

/// Over the last axis.
pub fn reduce_last(b: &mut Builder, op: Monoid, x: Atom) -> Atom {
    let last = b.ty(x).rank() - 1;
    b.prim1(Prim::Reduce(Reduce { op, axes: std::iter::once(last).collect() }), &[x])
}
