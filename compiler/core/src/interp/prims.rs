//! Which function evaluates a primitive.

use std::cmp::Ordering;

use smallvec::{SmallVec, smallvec};

use super::value::Value;
use super::{access, arrays, axes, elementwise};
use crate::prim::Prim;

/// The results of a primitive for operands that its type rule admits.
pub fn apply(prim: &Prim, mut args: SmallVec<[Value; 3]>) -> SmallVec<[Value; 2]> {
    // The first operand is given away where it may be overwritten.
    let mut first = || args.remove(0);
    let one = match prim {
        Prim::Unary(op) => elementwise::unary(*op, &args[0]),
        Prim::Binary(op) => {
            let a = first();
            elementwise::binary(*op, a, &args[0])
        }
        Prim::Compare(op) => elementwise::comparison(*op, &args[0], &args[1]),
        Prim::Select => elementwise::select(&args[0], &args[1], &args[2]),
        Prim::MulAdd => elementwise::mul_add(&args[0], &args[1], &args[2]),
        Prim::Convert(to) => elementwise::convert(*to, &args[0]),
        Prim::Bitcast(to) => elementwise::bitcast(*to, &args[0]),
        Prim::StopGradient => first(),
        Prim::Custom(c) => return args.drain(c.rule.inputs..).take(c.rule.outputs).collect(),
        Prim::Threefry => return elementwise::threefry([&args[0], &args[1], &args[2], &args[3]]).into(),
        Prim::Iota(n) => arrays::iota(*n),
        Prim::Broadcast { shape, axes } => arrays::broadcast(&args[0], shape, axes),
        Prim::Reshape(shape) => arrays::reshape(first(), shape),
        Prim::Transpose(perm) => arrays::transpose(&args[0], perm),
        Prim::Slice { starts, shape, strides } => arrays::slice(&args[0], starts, shape, strides),
        Prim::Pad { low, high, interior } => arrays::pad(&args[0], &args[1], low, high, interior),
        Prim::Reverse(axes) => arrays::reverse(&args[0], axes),
        Prim::Concat(axis) => arrays::concat(&args, *axis),
        Prim::Index(window) => access::index(&args[0], *window, &args[1..]),
        Prim::IndexSet(window) => {
            let x = first();
            access::index_set(x, &args[0], *window, &args[1..])
        }
        Prim::IndexAdd(window) => {
            let x = first();
            access::index_add(x, &args[0], *window, &args[1..])
        }
        Prim::Reduce(r) => axes::reduce(r, &args[0]),
        Prim::ArgMax(axis) => axes::arg_extreme(Ordering::Greater, *axis, &args[0]),
        Prim::ArgMin(axis) => axes::arg_extreme(Ordering::Less, *axis, &args[0]),
        Prim::Cumulative { op, axis, reverse } => axes::cumulative(*op, *axis, *reverse, first()),
        Prim::Dot(d) => axes::dot(d, &args[0], &args[1]),
        Prim::Sort { axis, keys } => return axes::sort(*axis, *keys, &args).into(),
    };
    smallvec![one]
}
