//! The transpose of each primitive that is linear in an operand: from the cotangents of its results, what its linear operands
//! receive.

use smallvec::SmallVec;
use whorl_core::prim::{self, Binary, Dot, Monoid, Prim, Unary};
use whorl_core::{Atom, Builder, DType, Shape, Type};

use super::emit::{inverse, number, transpose, unfit};
use super::transpose::{Cotangents, cotangent_type};

/// Adds to the cotangents of the linear ones among `args` what those of the results, `ct`, give. At least one of `ct` is there.
pub(super) fn transpose_prim(b: &mut Builder, prim: &Prim, args: &[Atom], ct: &[Option<Atom>], cts: &mut Cotangents) {
    use Prim::*;
    if let Sort { axis, keys } = prim {
        return sort(b, prim, *axis, *keys, args, ct, cts);
    }
    if let Custom(c) = prim {
        return custom(b, c, args, ct, cts);
    }
    let Some(ct) = ct[0] else { return };
    let linear = |k: usize, cts: &Cotangents| args.get(k).is_some_and(|a| cts.is_linear(*a));
    match prim {
        Unary(op) => unary(b, *op, args[0], ct, cts),
        Binary(op) => binary(b, *op, args, ct, cts),
        Select => {
            let zero = number(b, ct, 0.0);
            if linear(1, cts) {
                let part = b.prim1(Select, &[args[0], ct, zero]);
                give(b, args[1], part, cts);
            }
            if linear(2, cts) {
                let part = b.prim1(Select, &[args[0], zero, ct]);
                give(b, args[2], part, cts);
            }
        }
        MulAdd => {
            let (from, by) = if linear(0, cts) { (args[0], args[1]) } else { (args[1], args[0]) };
            if cts.is_linear(from) {
                let part = b.mul(ct, by);
                give(b, from, part, cts);
            }
            give(b, args[2], ct, cts);
        }
        Convert(_) => {
            let back = b.prim1(Convert(cotangent_type(&b.ty(args[0])).dtype), &[ct]);
            cts.add(b, args[0], back);
        }
        Broadcast { shape, axes } => {
            let repeated: Vec<usize> = (0..shape.len()).filter(|k| !axes.contains(k)).collect();
            let sum = if repeated.is_empty() { ct } else { b.reduce(Monoid::Sum, &repeated, ct) };
            cts.add(b, args[0], sum);
        }
        Reshape(_) => {
            let back = b.prim1(Reshape(b.ty(args[0]).shape), &[ct]);
            cts.add(b, args[0], back);
        }
        Transpose(perm) => {
            let back = transpose(b, ct, &inverse(perm));
            cts.add(b, args[0], back);
        }
        Slice { starts, shape, strides } => {
            let back = unslice(b, ct, &cotangent_type(&b.ty(args[0])), starts, shape, strides);
            cts.add(b, args[0], back);
        }
        Pad { low, interior, .. } => {
            let strides: Shape = interior.iter().map(|i| i + 1).collect();
            let middle = Slice { starts: low.clone(), shape: b.ty(args[0]).shape, strides };
            let inner = b.prim1(middle, &[ct]);
            cts.add(b, args[0], inner);
            if linear(1, cts) {
                let scalar = Type::scalar(b.ty(ct).dtype);
                let (all, inner) = (unfit(b, ct, &scalar), unfit(b, inner, &scalar));
                let fill = b.binary(prim::Binary::Sub, all, inner);
                cts.add(b, args[1], fill);
            }
        }
        Reverse(_) => {
            let back = b.prim1(prim.clone(), &[ct]);
            cts.add(b, args[0], back);
        }
        Concat(axis) => {
            let mut starts = b.ty(ct).shape;
            starts.fill(0);
            for &a in args {
                let shape = b.ty(a).shape;
                let next = starts[*axis] + shape[*axis];
                if cts.is_linear(a) {
                    let strides = shape.iter().map(|_| 1).collect();
                    let part = b.prim1(Slice { starts: starts.clone(), shape, strides }, &[ct]);
                    cts.add(b, a, part);
                }
                starts[*axis] = next;
            }
        }
        Index(window) => cts.add_at(b, args[0], *window, ct, &args[1..]),
        IndexSet(window) => {
            place(b, *window, args, ct, cts);
            if linear(0, cts) {
                let zeros = b.zeros(&cotangent_type(&b.ty(args[1])));
                let mut operands: SmallVec<[Atom; 4]> = SmallVec::from_iter([ct, zeros]);
                operands.extend_from_slice(&args[2..]);
                let rest = b.prim1(prim.clone(), &operands);
                cts.add(b, args[0], rest);
            }
        }
        IndexAdd(window) => {
            place(b, *window, args, ct, cts);
            cts.add(b, args[0], ct);
        }
        Reduce(r) if r.op == Monoid::Sum => {
            let shape = b.ty(args[0]).shape;
            let axes = (0..shape.len()).filter(|k| !r.axes.contains(k)).collect();
            let wide = b.prim1(Broadcast { shape, axes }, &[ct]);
            cts.add(b, args[0], wide);
        }
        Cumulative { op: Monoid::Sum, axis, reverse } => {
            let back = b.prim1(Cumulative { op: Monoid::Sum, axis: *axis, reverse: !reverse }, &[ct]);
            cts.add(b, args[0], back);
        }
        Dot(d) => dot(b, d, args[0], args[1], ct, cts),
        Compare(_)
        | Bitcast(_)
        | StopGradient
        | Custom(_)
        | Threefry
        | Iota(_)
        | Reduce(_)
        | ArgMax(_)
        | ArgMin(_)
        | Cumulative { .. }
        | Sort { .. } => unreachable!("{prim:?} is not linear"),
    }
}

/// The cotangent of an elementwise operand, which may be a scalar where the result is not.
fn give(b: &mut Builder, to: Atom, ct: Atom, cts: &mut Cotangents) {
    if cts.is_linear(to) {
        let ct = unfit(b, ct, &b.ty(to));
        cts.add(b, to, ct);
    }
}

fn unary(b: &mut Builder, op: Unary, x: Atom, ct: Atom, cts: &mut Cotangents) {
    use Unary::*;
    match op {
        Neg => {
            let back = b.unary(Neg, ct);
            cts.add(b, x, back);
        }
        Abs | Sign | Floor | Ceil | Round | Sqrt | Math(_) | Not | PopCount => unreachable!("{op:?} is not linear"),
    }
}

fn binary(b: &mut Builder, op: Binary, args: &[Atom], ct: Atom, cts: &mut Cotangents) {
    use Binary::*;
    match op {
        Add => {
            give(b, args[0], ct, cts);
            give(b, args[1], ct, cts);
        }
        Sub => {
            give(b, args[0], ct, cts);
            if cts.is_linear(args[1]) {
                let sum = unfit(b, ct, &b.ty(args[1]));
                let back = b.unary(Unary::Neg, sum);
                cts.add(b, args[1], back);
            }
        }
        Mul | Div => {
            let (from, by) = if cts.is_linear(args[0]) { (args[0], args[1]) } else { (args[1], args[0]) };
            let part = b.binary(op, ct, by);
            give(b, from, part, cts);
        }
        Rem | Pow | Atan2 | Min | Max | And | Or | Xor | Shl | Shr | ShrLogical => unreachable!("{op:?} is not linear"),
    }
}

/// The elements of a slice put back where they came from, zeros elsewhere.
fn unslice(b: &mut Builder, ct: Atom, from: &Type, starts: &Shape, shape: &Shape, strides: &Shape) -> Atom {
    if shape.contains(&0) {
        return b.zeros(from);
    }
    let high = (0..shape.len()).map(|k| from.shape[k] - (starts[k] + (shape[k] - 1) * strides[k] + 1)).collect();
    let interior = strides.iter().map(|s| s - 1).collect();
    let zero = number(b, ct, 0.0);
    b.prim1(Prim::Pad { low: starts.clone(), high, interior }, &[ct, zero])
}

/// The cotangent of the value that was put or added at a place.
fn place(b: &mut Builder, window: Option<usize>, args: &[Atom], ct: Atom, cts: &mut Cotangents) {
    if cts.is_linear(args[1]) {
        let mut operands: SmallVec<[Atom; 4]> = SmallVec::from_iter([ct]);
        operands.extend_from_slice(&args[2..]);
        let part = b.prim1(Prim::Index(window), &operands);
        cts.add(b, args[1], part);
    }
}

/// With `C` the cotangent of `X Y`: `C Yᵀ` for the left operand, `Xᵀ C` for the right, axes put back in the operand's order.
fn dot(b: &mut Builder, d: &Dot, x: Atom, y: Atom, ct: Atom, cts: &mut Cotangents) {
    let (x_rank, y_rank) = (b.ty(x).rank(), b.ty(y).rank());
    let x_free = Dot::free(x_rank, &d.lhs_batch, &d.lhs_contract);
    let y_free = Dot::free(y_rank, &d.rhs_batch, &d.rhs_contract);
    let batch = d.lhs_batch.len();
    let of_x: SmallVec<[usize; 2]> = (batch..batch + x_free.len()).collect();
    let of_y: SmallVec<[usize; 2]> = (batch + x_free.len()..batch + x_free.len() + y_free.len()).collect();
    // The axis of the operand that each axis of its cotangent belongs to: batch, free, and those contracted before, which come
    // in the order of the other operand's axes.
    let contracted = |own: &[usize], other: &[usize]| {
        let mut pairs: Vec<(usize, usize)> = other.iter().copied().zip(own.iter().copied()).collect();
        pairs.sort_unstable();
        pairs.into_iter().map(|(_, own)| own).collect::<Vec<_>>()
    };
    if cts.is_linear(x) {
        let product = Dot {
            lhs_batch: (0..batch).collect(),
            rhs_batch: d.rhs_batch.clone(),
            lhs_contract: of_y,
            rhs_contract: y_free.iter().copied().collect(),
        };
        let part = b.prim1(Prim::Dot(product), &[ct, y]);
        let mut axes = d.lhs_batch.to_vec();
        axes.extend(&x_free);
        axes.extend(contracted(&d.lhs_contract, &d.rhs_contract));
        let part = transpose(b, part, &inverse(&axes));
        cts.add(b, x, part);
    } else {
        let product = Dot {
            lhs_batch: d.lhs_batch.clone(),
            rhs_batch: (0..batch).collect(),
            lhs_contract: x_free.iter().copied().collect(),
            rhs_contract: of_x,
        };
        let part = b.prim1(Prim::Dot(product), &[x, ct]);
        let mut axes = d.rhs_batch.to_vec();
        axes.extend(contracted(&d.rhs_contract, &d.lhs_contract));
        axes.extend(&y_free);
        let part = transpose(b, part, &inverse(&axes));
        cts.add(b, y, part);
    }
}

/// The user's function for the cotangents.
fn custom(b: &mut Builder, c: &prim::Custom, args: &[Atom], ct: &[Option<Atom>], cts: &mut Cotangents) {
    let (inputs, outputs) = (c.rule.inputs, c.rule.outputs);
    let mut given: Vec<Atom> = args[inputs + outputs..].to_vec();
    for (k, ct) in ct.iter().enumerate() {
        let zeros = b.zeros(&b.ty(args[inputs + k]));
        // The user's function takes it as the half that it is the cotangent of.
        given.push(match ct {
            Some(ct) if b.ty(zeros).dtype.is_half() => b.prim1(Prim::Convert(b.ty(zeros).dtype), &[*ct]),
            Some(ct) => *ct,
            None => zeros,
        });
    }
    let parts = b.inline(&c.rule.backward.body, &c.rule.backward.params, &given);
    for (a, part) in args[..inputs].iter().zip(parts) {
        cts.add(b, *a, part);
    }
}

/// Payload element i of the result is element `p_i` of the operand: sorting by `p` carries the cotangents back.
fn sort(
    b: &mut Builder,
    prim: &Prim,
    axis: usize,
    keys: usize,
    args: &[Atom],
    ct: &[Option<Atom>],
    cts: &mut Cotangents,
) {
    let shape = b.ty(args[0]).shape;
    let places = b.prim1(Prim::Iota(shape[axis]), &[]);
    let axes = SmallVec::from_iter([axis]);
    let places = b.prim1(Prim::Broadcast { shape, axes }, &[places]);
    let mut operands: Vec<Atom> = args[..keys].to_vec();
    operands.push(places);
    let order = b.prim(prim.clone(), &operands)[keys];
    debug_assert_eq!(b.ty(order).dtype, DType::I32);
    let given: Vec<(Atom, Atom)> = args.iter().zip(ct).filter_map(|(a, ct)| ct.map(|ct| (*a, ct))).collect();
    let mut operands = vec![order];
    operands.extend(given.iter().map(|(_, ct)| *ct));
    let back = b.prim(Prim::Sort { axis, keys: 1 }, &operands);
    for ((a, _), ct) in given.iter().zip(&back[1..]) {
        cts.add(b, *a, *ct);
    }
}
