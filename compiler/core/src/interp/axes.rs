//! Primitives over whole axes: reductions, prefix operations, places of extremes, products, sorting.

use std::cmp::Ordering;

use super::number::{Number, fold};
use super::value::{Value, each_index, strides, with_dtype};
use crate::ir::Shape;
use crate::prim::{Dot, Monoid, Reduce};

/// How far a multi-index over some axes lies from the array's start.
fn offsets(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let s = strides(shape);
    let sizes: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
    let mut out = Vec::with_capacity(sizes.iter().product());
    each_index(&sizes, |i| out.push(i.iter().zip(axes).map(|(i, &a)| i * s[a]).sum()));
    out
}

fn sizes(shape: &[usize], axes: &[usize]) -> Shape {
    axes.iter().map(|&a| shape[a]).collect()
}

/// All axes but these.
fn others(rank: usize, axes: &[usize]) -> Vec<usize> {
    (0..rank).filter(|k| !axes.contains(k)).collect()
}

pub fn reduce(r: &Reduce, x: &Value) -> Value {
    let rank = x.shape.len();
    let kept = others(rank, &r.axes);
    let suffix = r.axes.iter().copied().eq(rank - r.axes.len()..rank);
    let (starts, steps) = (offsets(&x.shape, &kept), offsets(&x.shape, &r.axes));
    with_dtype!(x.dtype(), T => {
        let elements = x.values::<T>();
        let one = |start: &usize| {
            let reduced = steps.iter().map(|step| elements[start + step]);
            if suffix { in_partials(r.op, reduced) } else { reduced.fold(T::identity(r.op), |a, b| fold(r.op, a, b)) }
        };
        Value::new::<T>(sizes(&x.shape, &kept), starts.iter().map(one).collect())
    })
}

/// The order of [`Reduce`] over last axes: sixteen partial results, folded by halves.
fn in_partials<T: Number>(op: Monoid, elements: impl Iterator<Item = T>) -> T {
    let mut p = [T::identity(op); 16];
    for (r, x) in elements.enumerate() {
        p[r % 16] = fold(op, p[r % 16], x);
    }
    for w in [8, 4, 2, 1] {
        for l in 0..w {
            p[l] = fold(op, p[l], p[l + w]);
        }
    }
    p[0]
}

pub fn cumulative(op: Monoid, axis: usize, reverse: bool, x: Value) -> Value {
    let starts = offsets(&x.shape, &others(x.shape.len(), &[axis]));
    let mut steps = offsets(&x.shape, &[axis]);
    if reverse {
        steps.reverse();
    }
    let mut out = x;
    with_dtype!(out.dtype(), T => {
        let elements = out.values_mut::<T>();
        for start in starts {
            let mut sum = T::identity(op);
            for step in &steps {
                sum = fold(op, sum, elements[start + step]);
                elements[start + step] = sum;
            }
        }
    });
    out
}

/// The place of the first extreme along an axis: the largest if `wanted` is `Greater`, the smallest if `Less`.
pub fn arg_extreme(wanted: Ordering, axis: usize, x: &Value) -> Value {
    let kept = others(x.shape.len(), &[axis]);
    let (starts, steps) = (offsets(&x.shape, &kept), offsets(&x.shape, &[axis]));
    let values = with_dtype!(x.dtype(), T => {
        let elements = x.values::<T>();
        let better = |a: T, b: T| !b.is_nan() && (a.is_nan() || a.partial_cmp(&b) == Some(wanted));
        let one = |start: &usize| {
            let mut best = 0;
            for k in 1..steps.len() {
                if better(elements[start + steps[k]], elements[start + steps[best]]) {
                    best = k;
                }
            }
            best as i32
        };
        starts.iter().map(one).collect::<Vec<i32>>()
    });
    Value::new(sizes(&x.shape, &kept), values)
}

pub fn dot(d: &Dot, a: &Value, b: &Value) -> Value {
    let shape = d.shape(&a.shape, &b.shape).unwrap_or_else(|e| panic!("ill-typed Core: {}", e.0));
    let left_free = Dot::free(a.shape.len(), &d.lhs_batch, &d.lhs_contract);
    let right_free = Dot::free(b.shape.len(), &d.rhs_batch, &d.rhs_contract);
    let batches = offsets(&a.shape, &d.lhs_batch).into_iter().zip(offsets(&b.shape, &d.rhs_batch));
    let (rows, columns) = (offsets(&a.shape, &left_free), offsets(&b.shape, &right_free));
    let pairs: Vec<(usize, usize)> =
        offsets(&a.shape, &d.lhs_contract).into_iter().zip(offsets(&b.shape, &d.rhs_contract)).collect();
    with_dtype!(a.dtype(), T => {
        let (x, y) = (a.values::<T>(), b.values::<T>());
        let mut values = Vec::with_capacity(shape.iter().product());
        for (i, j) in batches {
            for row in &rows {
                for column in &columns {
                    let step = |sum, &(l, r): &(usize, usize)| T::mul_add(x[i + row + l], y[j + column + r], sum);
                    values.push(pairs.iter().fold(T::default(), step));
                }
            }
        }
        Value::new::<T>(shape, values)
    })
}

pub fn sort(axis: usize, keys: usize, args: &[Value]) -> Vec<Value> {
    let shape = &args[0].shape;
    let (starts, steps) = (offsets(shape, &others(shape.len(), &[axis])), offsets(shape, &[axis]));
    // Where each element of the results comes from.
    let mut places: Vec<usize> = (0..args[0].size()).collect();
    for start in starts {
        let mut order: Vec<usize> = steps.iter().map(|step| start + step).collect();
        order.sort_by(|&a, &b| {
            let by_key = args[..keys].iter().map(|key| compare_elements(key, a, b));
            by_key.fold(Ordering::Equal, Ordering::then)
        });
        for (step, from) in steps.iter().zip(order) {
            places[start + step] = from;
        }
    }
    args.iter().map(|x| x.gather(x.shape.clone(), places.iter().map(|p| Some(*p)), None)).collect()
}

fn compare_elements(x: &Value, a: usize, b: usize) -> Ordering {
    with_dtype!(x.dtype(), T => T::order(x.values::<T>()[a], x.values::<T>()[b]))
}
