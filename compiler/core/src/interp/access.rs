//! Access by run-time positions. The place that indices reach is one run of elements, as arrays are row-major.

use super::number::Number;
use super::value::{Value, with_dtype};
use crate::ir::Shape;
use crate::prim::Binary;

/// Where a place begins, in elements, and its shape.
struct Place {
    start: usize,
    shape: Shape,
}

fn place(x: &Value, window: Option<usize>, indices: &[Value]) -> Place {
    let mut start = 0;
    for (k, index) in indices.iter().enumerate() {
        let width = if k + 1 == indices.len() { window.unwrap_or(1) } else { 1 };
        let last = (x.shape[k] - width) as i64;
        let clamped = (index.one::<i32>() as i64).clamp(0, last) as usize;
        start = start * x.shape[k] + clamped;
    }
    let rest = &x.shape[indices.len()..];
    let shape = window.into_iter().chain(rest.iter().copied()).collect();
    Place { start: start * rest.iter().product::<usize>(), shape }
}

pub fn index(x: &Value, window: Option<usize>, indices: &[Value]) -> Value {
    let Place { start, shape } = place(x, window, indices);
    let size: usize = shape.iter().product();
    with_dtype!(x.dtype(), T => Value::new::<T>(shape, x.values::<T>()[start..start + size].to_vec()))
}

pub fn index_set(mut x: Value, v: &Value, window: Option<usize>, indices: &[Value]) -> Value {
    let start = place(&x, window, indices).start;
    x.write(start, v);
    x
}

pub fn index_add(mut x: Value, v: &Value, window: Option<usize>, indices: &[Value]) -> Value {
    let start = place(&x, window, indices).start;
    with_dtype!(x.dtype(), T => {
        let v = v.values::<T>();
        for (x, &v) in x.values_mut::<T>()[start..].iter_mut().zip(v) {
            *x = T::binary(Binary::Add, *x, v);
        }
    });
    x
}
