//! Primitives that make arrays or move their elements, to places known beforehand or at run time.

use whorl_core::Builder;
use whorl_core::ir::{Atom, DType, Lit, Shape};
use whorl_core::prim::{Binary, Prim};

use super::text::Eqn;
use super::translate::{Refusal, Rule, Translator};

pub const RULES: &[(&str, Rule)] = &[
    ("broadcast_in_dim", broadcast_in_dim),
    ("concatenate", |t, e, x| Ok(vec![t.b.prim1(Prim::Concat(e.param("dimension").size()?), x)])),
    ("dynamic_slice", |t, e, x| Ok(vec![window(&mut t.b, x[0], &e.param("slice_sizes").sizes()?, &x[1..])])),
    ("dynamic_update_slice", |t, _, x| Ok(vec![update(&mut t.b, x[0], x[1], &x[2..])])),
    ("iota", iota),
    ("pad", pad),
    ("reshape", reshape),
    ("rev", |t, e, x| Ok(vec![t.b.prim1(Prim::Reverse(e.param("dimensions").sizes()?.into()), x)])),
    ("slice", slice),
    ("split", split),
    ("squeeze", reshape),
    ("tile", tile),
    ("transpose", |t, e, x| Ok(vec![t.b.prim1(Prim::Transpose(e.param("permutation").sizes()?.into()), x)])),
];

type Results = Result<Vec<Atom>, Refusal>;

/// Axis k of the operand becomes axis `broadcast_dimensions[k]`; one of size 1 may be repeated.
fn broadcast_in_dim(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let (own, shape) = (t.b.ty(x[0]).shape, t.out(eqn, 0)?.shape);
    let axes = match eqn.param("broadcast_dimensions") {
        v if v.is_none() => Vec::new(),
        v => v.sizes()?,
    };
    let kept: Vec<usize> = (0..own.len()).filter(|&k| own[k] == shape[axes[k]]).collect();
    let x = t.b.prim1(Prim::Reshape(kept.iter().map(|&k| own[k]).collect()), &[x[0]]);
    let axes = kept.iter().map(|&k| axes[k]).collect();
    Ok(vec![t.b.prim1(Prim::Broadcast { shape, axes }, &[x])])
}

/// Along one axis, repeated along the others.
fn iota(t: &mut Translator, eqn: &Eqn, _: &[Atom]) -> Results {
    let (ty, axis) = (t.out(eqn, 0)?, eqn.param("dimension").size()?);
    let counted = t.b.prim1(Prim::Iota(ty.shape[axis]), &[]);
    let counted = if ty.dtype == DType::I32 { counted } else { t.b.prim1(Prim::Convert(ty.dtype), &[counted]) };
    Ok(vec![t.b.prim1(Prim::Broadcast { shape: ty.shape, axes: Shape::from_iter([axis]) }, &[counted])])
}

/// Low, high and interior for each axis; negative ones cut off.
fn pad(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let shape = t.b.ty(x[0]).shape;
    let config = eqn.param("padding_config").list()?;
    let config = config.iter().map(|axis| axis.ints()).collect::<Result<Vec<_>, _>>()?;
    let part = |k: usize| config.iter().map(|axis| axis[k].max(0) as usize).collect::<Shape>();
    // Only what is put between elements can be cut off as well, so that comes first.
    let padded = t.b.prim1(Prim::Pad { low: part(0), high: part(1), interior: part(2) }, x);
    let whole = t.b.ty(padded).shape;
    let cut = |k: usize, end: usize| (-config[k][end]).max(0) as usize;
    let starts: Shape = (0..shape.len()).map(|k| cut(k, 0)).collect();
    let sizes = (0..shape.len()).map(|k| whole[k].saturating_sub(cut(k, 0) + cut(k, 1))).collect();
    Ok(vec![t.b.prim1(Prim::Slice { strides: starts.iter().map(|_| 1).collect(), shape: sizes, starts }, &[padded])])
}

/// With `dimensions`, the axes are taken in that order.
fn reshape(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let (shape, order) = (t.out(eqn, 0)?.shape, eqn.param("dimensions"));
    let ordered = match eqn.prim == "reshape" && !order.is_none() {
        true => t.b.prim1(Prim::Transpose(order.sizes()?.into()), x),
        false => x[0],
    };
    Ok(vec![t.b.prim1(Prim::Reshape(shape), &[ordered])])
}

fn slice(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let starts: Shape = eqn.param("start_indices").sizes()?.into();
    let strides = match eqn.param("strides") {
        v if v.is_none() => starts.iter().map(|_| 1).collect(),
        v => v.sizes()?.into(),
    };
    Ok(vec![t.b.prim1(Prim::Slice { starts, shape: t.out(eqn, 0)?.shape, strides }, x)])
}

/// Consecutive parts along an axis.
fn split(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let (axis, mut at) = (eqn.param("axis").size()?, 0);
    let whole = t.b.ty(x[0]).shape;
    let mut parts = Vec::new();
    for size in eqn.param("sizes").sizes()? {
        let (mut starts, mut shape) = (Shape::from_elem(0, whole.len()), whole.clone());
        (starts[axis], shape[axis]) = (at, size);
        let strides = Shape::from_elem(1, whole.len());
        parts.push(t.b.prim1(Prim::Slice { starts, shape, strides }, x));
        at += size;
    }
    Ok(parts)
}

/// The whole, so many times along each axis.
fn tile(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let (own, reps) = (t.b.ty(x[0]).shape, eqn.param("reps").sizes()?);
    let shape: Shape = reps.iter().zip(&own).flat_map(|(r, n)| [*r, *n]).collect();
    let axes = (0..own.len()).map(|k| 2 * k + 1).collect();
    let repeated = t.b.prim1(Prim::Broadcast { shape, axes }, x);
    Ok(vec![t.b.prim1(Prim::Reshape(t.out(eqn, 0)?.shape), &[repeated])])
}

/// A run-time place as an `i32`; one that is larger than any stays the largest.
pub fn index(b: &mut Builder, i: Atom) -> Atom {
    match b.ty(i).dtype {
        DType::I32 => i,
        DType::U32 => {
            let limited = b.binary(Binary::Min, i, Lit::u32(i32::MAX as u32).into());
            b.prim1(Prim::Convert(DType::I32), &[limited])
        }
        _ => b.prim1(Prim::Convert(DType::I32), &[i]),
    }
}

/// So many along each axis, from run-time places that are moved so that they fit.
pub fn window(b: &mut Builder, mut x: Atom, sizes: &[usize], starts: &[Atom]) -> Atom {
    for (axis, (&n, &at)) in sizes.iter().zip(starts).enumerate() {
        let (front, at) = (to_front(b, x, axis), index(b, at));
        let some = b.prim1(Prim::Index(Some(n)), &[front, at]);
        x = from_front(b, some, axis);
    }
    x
}

/// `x` with `part` put at run-time places, moved so that it fits.
pub fn update(b: &mut Builder, x: Atom, part: Atom, starts: &[Atom]) -> Atom {
    fn along(b: &mut Builder, x: Atom, part: Atom, starts: &[Atom], axis: usize) -> Atom {
        let Some((&at, rest)) = starts.split_first() else { return part };
        let n = b.ty(part).shape[axis];
        let (front, at) = (to_front(b, x, axis), index(b, at));
        let slab = b.prim1(Prim::Index(Some(n)), &[front, at]);
        let slab = from_front(b, slab, axis);
        let slab = along(b, slab, part, rest, axis + 1);
        let slab = to_front(b, slab, axis);
        let whole = b.prim1(Prim::IndexSet(Some(n)), &[front, slab, at]);
        from_front(b, whole, axis)
    }
    along(b, x, part, starts, 0)
}

/// An axis before all others.
pub fn to_front(b: &mut Builder, x: Atom, axis: usize) -> Atom {
    let mut perm: Shape = (0..b.ty(x).rank()).collect();
    let own = perm.remove(axis);
    perm.insert(0, own);
    b.prim1(Prim::Transpose(perm), &[x])
}

/// The first axis back to where it was.
pub fn from_front(b: &mut Builder, x: Atom, axis: usize) -> Atom {
    let mut perm: Shape = (0..b.ty(x).rank()).collect();
    let first = perm.remove(0);
    perm.insert(axis, first);
    b.prim1(Prim::Transpose(perm), &[x])
}
