//! Arrays from less, and rearrangement: every result is a list of places in the operand.

use super::value::{Value, each_index, strides};
use crate::ir::Shape;

/// The result of `shape` whose element at an index is the operand's at `place(index)`, or `fill`.
fn gather(x: &Value, shape: &[usize], fill: Option<&Value>, mut place: impl FnMut(&[usize]) -> Option<usize>) -> Value {
    let mut places = Vec::with_capacity(shape.iter().product());
    each_index(shape, |index| places.push(place(index)));
    x.gather(Shape::from_slice(shape), places.into_iter(), fill)
}

pub fn iota(n: usize) -> Value {
    Value::new(Shape::from_slice(&[n]), (0..n as i32).collect())
}

pub fn broadcast(x: &Value, shape: &[usize], axes: &[usize]) -> Value {
    let s = strides(&x.shape);
    gather(x, shape, None, |i| Some(axes.iter().zip(&s).map(|(&a, s)| i[a] * s).sum()))
}

pub fn reshape(x: Value, shape: &Shape) -> Value {
    Value { shape: shape.clone(), data: x.data }
}

pub fn transpose(x: &Value, perm: &[usize]) -> Value {
    let s = strides(&x.shape);
    let shape: Shape = perm.iter().map(|&a| x.shape[a]).collect();
    gather(x, &shape, None, |i| Some(perm.iter().zip(i).map(|(&a, i)| i * s[a]).sum()))
}

pub fn slice(x: &Value, starts: &[usize], shape: &[usize], steps: &[usize]) -> Value {
    let s = strides(&x.shape);
    gather(x, shape, None, |i| Some((0..i.len()).map(|k| (starts[k] + i[k] * steps[k]) * s[k]).sum()))
}

pub fn pad(x: &Value, fill: &Value, low: &[usize], high: &[usize], interior: &[usize]) -> Value {
    let s = strides(&x.shape);
    let n = &x.shape;
    let padded = |k: usize| low[k] + n[k] + n[k].saturating_sub(1) * interior[k] + high[k];
    let shape: Shape = (0..n.len()).map(padded).collect();
    gather(x, &shape, Some(fill), |i| {
        let mut place = 0;
        for k in 0..i.len() {
            let from_first = i[k].checked_sub(low[k])?;
            let step = interior[k] + 1;
            if from_first % step != 0 || from_first / step >= n[k] {
                return None;
            }
            place += from_first / step * s[k];
        }
        Some(place)
    })
}

pub fn reverse(x: &Value, axes: &[usize]) -> Value {
    let s = strides(&x.shape);
    gather(x, &x.shape, None, |i| {
        let at = |k: usize| if axes.contains(&k) { x.shape[k] - 1 - i[k] } else { i[k] };
        Some((0..i.len()).map(|k| at(k) * s[k]).sum())
    })
}

pub fn concat(args: &[Value], axis: usize) -> Value {
    let mut ty = args[0].ty();
    ty.shape[axis] = args.iter().map(|a| a.shape[axis]).sum();
    let mut out = Value::zeros(&ty);
    let inner: usize = ty.shape[axis + 1..].iter().product();
    let outer: usize = ty.shape[..axis].iter().product();
    let mut before = 0;
    for a in args {
        let chunk = a.shape[axis] * inner;
        for o in 0..outer {
            let part = a.gather(Shape::from_slice(&[chunk]), (o * chunk..(o + 1) * chunk).map(Some), None);
            out.write((o * ty.shape[axis]) * inner + before, &part);
        }
        before += chunk;
    }
    out
}
