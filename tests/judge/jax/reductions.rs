//! Primitives over whole axes: sums, prefixes, sorts, products.

use whorl_core::ir::{Atom, DType, Lit, Shape, Type};
use whorl_core::prim::{Binary, Compare, Dot, MathFn, Monoid, Prim, Reduce, Unary};

use super::arrays::{from_front, to_front};
use super::text::Eqn;
use super::translate::{Refusal, Rule, Translator};

pub const RULES: &[(&str, Rule)] = &[
    ("reduce_and", |t, e, x| bits(t, e, (Monoid::All, Binary::And), x)),
    ("reduce_max", |t, e, x| reduce(t, e, (Monoid::Max, Monoid::Any), x)),
    ("reduce_min", |t, e, x| reduce(t, e, (Monoid::Min, Monoid::All), x)),
    ("reduce_or", |t, e, x| bits(t, e, (Monoid::Any, Binary::Or), x)),
    ("reduce_prod", |t, e, x| reduce(t, e, (Monoid::Prod, Monoid::All), x)),
    ("reduce_sum", |t, e, x| reduce(t, e, (Monoid::Sum, Monoid::Any), x)),
    ("reduce_xor", reduce_xor),
    ("reduce", reduce_by),
    ("cummax", |t, e, x| prefixes(t, e, (Monoid::Max, Monoid::Any), x)),
    ("cummin", |t, e, x| prefixes(t, e, (Monoid::Min, Monoid::All), x)),
    ("cumprod", |t, e, x| prefixes(t, e, (Monoid::Prod, Monoid::All), x)),
    ("cumsum", |t, e, x| prefixes(t, e, (Monoid::Sum, Monoid::Any), x)),
    ("cumlogsumexp", cumlogsumexp),
    ("argmax", |t, e, x| place(t, e, Prim::ArgMax, x)),
    ("argmin", |t, e, x| place(t, e, Prim::ArgMin, x)),
    ("approx_top_k", approx_top_k),
    ("sort", sort),
    ("top_k", |t, e, x| top_k(t, (e.param("axis").size()?, e.param("k").size()?), x[0], true)),
    ("dot_general", dot_general),
];

type Results = Result<Vec<Atom>, Refusal>;

fn axes(eqn: &Eqn, name: &str) -> Result<Shape, Refusal> {
    let mut axes: Shape = eqn.param(name).sizes()?.into();
    axes.sort_unstable();
    Ok(axes)
}

fn of_type(dtype: DType, (op, of_bools): (Monoid, Monoid)) -> Monoid {
    if dtype == DType::Bool { of_bools } else { op }
}

fn reduce(t: &mut Translator, eqn: &Eqn, ops: (Monoid, Monoid), x: &[Atom]) -> Results {
    let op = of_type(t.b.ty(x[0]).dtype, ops);
    Ok(vec![t.b.prim1(Prim::Reduce(Reduce { op, axes: axes(eqn, "axes")? }), x)])
}

/// Of bools a reduction of Core; of integers one bit after the other is.
fn bits(t: &mut Translator, eqn: &Eqn, (of_bools, op): (Monoid, Binary), x: &[Atom]) -> Results {
    let axes = axes(eqn, "axes")?;
    match t.b.ty(x[0]).dtype {
        DType::Bool => Ok(vec![t.b.prim1(Prim::Reduce(Reduce { op: of_bools, axes }), x)]),
        dtype => {
            let init = if op == Binary::And {
                t.b.unary(Unary::Not, Lit::zero(dtype).into())
            } else {
                Lit::zero(dtype).into()
            };
            fold(t, &axes, x, &[init], |t, a, b| Ok(vec![t.b.binary(op, a[0], b[0])]))
        }
    }
}

fn reduce_xor(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let init = Lit::zero(t.b.ty(x[0]).dtype).into();
    fold(t, &axes(eqn, "axes")?, x, &[init], |t, a, b| Ok(vec![t.b.binary(Binary::Xor, a[0], b[0])]))
}

/// By a program of scalars: `operands…, what each starts from…`
fn reduce_by(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let (program, (arrays, init)) = (t.program(eqn.param("jaxpr"))?, x.split_at(x.len() / 2));
    fold(t, &axes(eqn, "dimensions")?, arrays, init, |t, a, b| t.inline(&program, &[a, b].concat()))
}

/// Every place by itself, its elements one after the other.
fn fold(
    t: &mut Translator,
    axes: &[usize],
    arrays: &[Atom],
    init: &[Atom],
    op: impl Fn(&mut Translator, &[Atom], &[Atom]) -> Results,
) -> Results {
    let shape = t.b.ty(arrays[0]).shape;
    let kept: Shape = (0..shape.len()).filter(|k| !axes.contains(k)).collect();
    let order: Shape = kept.iter().chain(axes).copied().collect();
    let (rows, n) = (kept.iter().map(|&k| shape[k]).product(), axes.iter().map(|&k| shape[k]).product());
    let flat = |t: &mut Translator, x: Atom| {
        let ordered = t.b.prim1(Prim::Transpose(order.clone()), &[x]);
        t.b.prim1(Prim::Reshape(Shape::from_iter([rows, n])), &[ordered])
    };
    let flat: Vec<Atom> = arrays.iter().map(|x| flat(t, *x)).collect();
    let folded = t.map(rows, |t, row| {
        t.scan(n, false, init, |t, step, carried| {
            let element = |x: &Atom| t.b.prim1(Prim::Index(None), &[*x, row, step]);
            let elements: Vec<Atom> = flat.iter().map(element).collect();
            op(t, carried, &elements)
        })
    })?;
    let sizes: Shape = kept.iter().map(|&k| shape[k]).collect();
    Ok(folded.iter().map(|x| t.b.prim1(Prim::Reshape(sizes.clone()), &[*x])).collect())
}

fn prefixes(t: &mut Translator, eqn: &Eqn, ops: (Monoid, Monoid), x: &[Atom]) -> Results {
    let (axis, reverse) = (eqn.param("axis").size()?, eqn.param("reverse").bool()?);
    let op = of_type(t.b.ty(x[0]).dtype, ops);
    Ok(vec![t.b.prim1(Prim::Cumulative { op, axis, reverse }, x)])
}

/// `log(exp(a) + exp(b))`, step by step.
fn cumlogsumexp(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let (axis, reverse) = (eqn.param("axis").size()?, eqn.param("reverse").bool()?);
    let ty = t.b.ty(x[0]);
    let front = to_front(&mut t.b, x[0], axis);
    let row = Type::new(ty.dtype, &t.b.ty(front).shape[1..]);
    let number = |x: f64| Atom::from(Lit::of(ty.dtype, x));
    let start = t.b.broadcast(number(f64::NEG_INFINITY), &row.shape);
    if ty.shape[axis] == 0 {
        return Ok(x.to_vec());
    }
    let sums = t.scan(ty.shape[axis], reverse, &[start], |t, step, carried| {
        let next = t.b.prim1(Prim::Index(None), &[front, step]);
        let larger = t.b.binary(Binary::Max, carried[0], next);
        let smaller = t.b.binary(Binary::Min, carried[0], next);
        let apart = t.b.binary(Binary::Sub, smaller, larger);
        let ratio = t.b.unary(Unary::Math(MathFn::Exp), apart);
        let more = t.b.unary(Unary::Math(MathFn::Log1p), ratio);
        let sum = t.b.add(larger, more);
        // Two infinities of one sign have no difference.
        let equal = t.b.prim1(Prim::Compare(Compare::Eq), &[smaller, larger]);
        let twice = t.b.add(larger, number(std::f64::consts::LN_2));
        let sum = t.b.prim1(Prim::Select, &[equal, twice, sum]);
        Ok(vec![sum, sum])
    })?;
    Ok(vec![from_front(&mut t.b, sums[1], axis)])
}

fn place(t: &mut Translator, eqn: &Eqn, op: fn(usize) -> Prim, x: &[Atom]) -> Results {
    let of_bools = t.b.ty(x[0]).dtype == DType::Bool;
    let x = if of_bools { t.b.prim1(Prim::Convert(DType::U8), x) } else { x[0] };
    let place = t.b.prim1(op(eqn.param("axes").sizes()?[0]), &[x]);
    let dtype = t.out(eqn, 0)?.dtype;
    Ok(vec![if dtype == DType::I32 { place } else { t.b.prim1(Prim::Convert(dtype), &[place]) }])
}

fn sort(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let (axis, keys) = (eqn.param("dimension").size()?, eqn.param("num_keys").size()?);
    Ok(t.b.prim(Prim::Sort { axis, keys }, x).to_vec())
}

/// The largest (or smallest) and their places, the first of equal ones first. Floats are in IEEE's total order, as on CPUs: -NaN < -inf … -0 < +0 … inf < NaN.
fn top_k(t: &mut Translator, (axis, k): (usize, usize), x: Atom, largest: bool) -> Results {
    let ty = t.b.ty(x);
    let places = t.b.prim1(Prim::Iota(ty.shape[axis]), &[]);
    let axes = Shape::from_iter([axis]);
    let places = t.b.prim1(Prim::Broadcast { shape: ty.shape.clone(), axes }, &[places]);
    let key = match ty.dtype {
        DType::F64 => return Err(Refusal::Excluded("bits of an f64".into())),
        DType::F32 | DType::F16 | DType::BF16 => {
            let wide = t.b.widen(x);
            let bits = t.b.prim1(Prim::Bitcast(DType::I32), &[wide]);
            // The lower bits of what is negative are inverted.
            let sign = t.b.binary(Binary::Shr, bits, Lit::i32(31).into());
            let lower = t.b.binary(Binary::And, sign, Lit::i32(i32::MAX).into());
            t.b.binary(Binary::Xor, bits, lower)
        }
        DType::I32 | DType::U32 | DType::U8 | DType::Bool => x,
    };
    let key = if largest { t.b.unary(Unary::Not, key) } else { key };
    let sorted = t.b.prim(Prim::Sort { axis, keys: 1 }, &[key, x, places]);
    let mut shape = ty.shape.clone();
    shape[axis] = k;
    let (starts, strides) = (Shape::from_elem(0, shape.len()), Shape::from_elem(1, shape.len()));
    let first = Prim::Slice { starts, shape, strides };
    Ok(sorted[1..].iter().map(|x| t.b.prim1(first.clone(), &[*x])).collect())
}

/// On CPUs nothing is approximate.
fn approx_top_k(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let axis = eqn.param("reduction_dimension").int()?;
    let axis = if axis < 0 { axis + t.b.ty(x[0]).rank() as i64 } else { axis } as usize;
    top_k(t, (axis, eqn.param("k").size()?), x[0], eqn.param("is_max_k").bool()?)
}

fn dot_general(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let pairs = eqn.param("dimension_numbers").list()?;
    let axes = |pair: usize, side: usize| -> Result<Vec<usize>, String> { pairs[pair].list()?[side].sizes() };
    let dot = Dot {
        lhs_contract: axes(0, 0)?.into(),
        rhs_contract: axes(0, 1)?.into(),
        lhs_batch: axes(1, 0)?.into(),
        rhs_batch: axes(1, 1)?.into(),
    };
    let out = t.out(eqn, 0)?.dtype;
    // As exact as the widest of operands and result, of which some may be floats; whether any pair of bools holds is whether there are any.
    let all = [t.b.ty(x[0]).dtype, t.b.ty(x[1]).dtype, out];
    let widest = all.into_iter().max_by_key(|d| (d.is_float(), d.bytes())).unwrap_or(out);
    let within = if widest == DType::Bool { DType::I32 } else { widest };
    let convert = |t: &mut Translator, x: Atom, d: DType| {
        if t.b.ty(x).dtype == d { x } else { t.b.prim1(Prim::Convert(d), &[x]) }
    };
    let x: Vec<Atom> = x.iter().map(|a| convert(t, *a, within)).collect();
    let product = t.b.prim1(Prim::Dot(dot), &x);
    Ok(vec![convert(t, product, out)])
}
