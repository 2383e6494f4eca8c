//! Making, reshaping and joining arrays.

use smallvec::SmallVec;
use whorl_core::prim::{Binary, Compare};
use whorl_core::{Atom, DType, Lit, Prim, Shape};
use whorl_source::Diagnostic;

use super::{Builtin, Given};
use crate::tracer::{Tracer, fail};
use crate::tree::shape_text;
use crate::value::{Arg, R, Value};

macro_rules! table {
    ($($name:literal ($($p:literal)*) $run:expr, $doc:literal)*) => {
        &[$(Builtin { name: $name, params: &[$($p),*], doc: $doc, run: $run }),*]
    };
}

pub const TABLE: &[Builtin] = table! {
    "zeros" ("sizes*" "dtype?") |t, g| filled(t, g, 0.0), "an array of zeros of these sizes, of f32 if no dtype is given"
    "ones" ("sizes*" "dtype?") |t, g| filled(t, g, 1.0), "an array of ones of these sizes, of f32 if no dtype is given"
    "full" ("value" "sizes*") full, "the value (of any structure) repeated to an array of these sizes"
    "eye" ("n") eye, "the identity matrix f32[n, n]"
    "arange" ("n") arange, "0, 1, … n - 1 as i32"
    "linspace" ("low" "high" "n") linspace, "n numbers from low to high, both included, at equal distances"
    "one_hot" ("i" "n") one_hot, "f32 zeros with a one at place i of a new last axis of size n"
    "len" ("x") len, "the size of the first axis"
    "shape" ("x") shape, "all sizes, as a list"
    "reshape" ("x" "sizes*") reshape, "the same elements in arrays of these sizes; one may be -1. Of an array of records, its own sizes"
    "flatten" ("x" "axes?") flatten, "the first two axes (or so many) of every leaf as one"
    "transpose" ("x" "axes*") transpose, "the two axes of a matrix exchanged, or all axes in the order given: `1, 0, 2`, or `1..3, 0`"
    "reverse" ("x" "axis?") reverse, "backward along an axis (0)"
    "pad" ("x" "low" "high" "axis?" "value?") pad, "so many elements of value (0) before and behind an axis (0)"
    "roll" ("x" "shift" "axis?") roll, "moved by shift places along an axis (0); what leaves at an end comes in at the other"
    "concat" ("arrays*" "axis?") concat, "arrays of one structure joined along an axis (0)"
    "stack" ("arrays*" "axis?") stack, "values of one structure along a new axis (0)"
    "zip" ("arrays*") zip, "arrays of one length as an array of tuples"
    "enumerate" ("x") enumerate, "pairs of place and element"
    "outer" ("x" "y") outer, "x[i] * y[j] for all i and j"
};

fn filled<'a>(t: &mut Tracer<'a>, g: &Given<'a>, value: f64) -> R<Value<'a>> {
    let sizes = t.sizes(&g.rest)?;
    let dtype = t.dtype(g.opt(1), DType::F32)?;
    Ok(Value::Leaf(t.b.broadcast(Lit::of(dtype, value).into(), &sizes)))
}

fn full<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let (sizes, x) = (t.sizes(&g.rest)?, g.arg(0));
    let v = t.settle(&x.value, x.span)?;
    t.use_keys_in(&v, x.span, "full")?;
    let v = v.map_leaves::<Box<Diagnostic>>(&mut |a| {
        let own = t.b.ty(a).shape;
        let shape: Shape = sizes.iter().copied().chain(own).collect();
        Ok(t.b.broadcast(a, &shape))
    })?;
    Ok(Value::within(&sizes, v))
}

fn arange<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let n = t.size(&g.arg(0).value, g.arg(0).span)?;
    Ok(Value::Leaf(t.b.prim1(Prim::Iota(n), &[])))
}

fn linspace<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let n = t.size(&g.arg(2).value, g.arg(2).span)?;
    let ends = [0, 1].map(|k| {
        let arg = g.arg(k);
        Arg { value: if let Value::Int(i) = arg.value { Value::Float(i as f64) } else { arg.value.clone() }, ..arg }
    });
    let [low, high] = t.numbers("`linspace`", g.span, &ends)?[..] else { return Ok(Value::Unit) };
    let dtype = t.b.ty(low).dtype;
    if !dtype.is_float() || !t.b.ty(low).is_scalar() || !t.b.ty(high).is_scalar() {
        return fail(Diagnostic::error("E0206", "`linspace` goes between two numbers with a point").at(g.span, ""));
    }
    let iota = t.b.prim1(Prim::Iota(n), &[]);
    let steps = t.prim(Prim::Convert(dtype), &[iota], g.span)?;
    let width = t.prim(Prim::Binary(Binary::Sub), &[high, low], g.span)?;
    let step = t.prim(Prim::Binary(Binary::Div), &[width, Lit::of(dtype, n.max(2) as f64 - 1.0).into()], g.span)?;
    let offsets = t.prim(Prim::Binary(Binary::Mul), &[steps, step], g.span)?;
    Ok(Value::Leaf(t.prim(Prim::Binary(Binary::Add), &[offsets, low], g.span)?))
}

fn eye<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let n = t.size(&g.arg(0).value, g.arg(0).span)?;
    let iota = t.b.prim1(Prim::Iota(n), &[]);
    hot(t, g, iota, n)
}

fn one_hot<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let i = g.arg(0);
    let a = t.atom(&i.value, Some(DType::I32), i.span)?;
    let n = t.size(&g.arg(1).value, g.arg(1).span)?;
    if t.b.ty(a).dtype != DType::I32 {
        let e = Diagnostic::error("E0206", "`one_hot` takes i32");
        return fail(e.at(i.span, format!("this is {}", i.value.describe(&t.b))));
    }
    hot(t, g, a, n)
}

fn hot<'a>(t: &mut Tracer<'a>, g: &Given<'a>, i: Atom, n: usize) -> R<Value<'a>> {
    let rank = t.b.ty(i).rank();
    let mut shape = t.b.ty(i).shape;
    shape.push(n);
    let iota = t.b.prim1(Prim::Iota(n), &[]);
    let columns =
        t.prim(Prim::Broadcast { shape: shape.clone(), axes: SmallVec::from_iter([rank]) }, &[iota], g.span)?;
    let places =
        if rank == 0 { i } else { t.prim(Prim::Broadcast { shape, axes: (0..rank).collect() }, &[i], g.span)? };
    let hit = t.prim(Prim::Compare(Compare::Eq), &[columns, places], g.span)?;
    Ok(Value::Leaf(t.prim(Prim::Convert(DType::F32), &[hit], g.span)?))
}

/// The sizes of an argument that is an array.
fn sizes_of<'a>(t: &mut Tracer<'a>, g: &Given<'a>, x: &Arg<'a>) -> R<Vec<usize>> {
    let sizes = match &x.value {
        Value::List(items) => return Ok(vec![items.len()]),
        Value::Range(a, b) => return Ok(vec![(b - a) as usize]),
        v => t.arrayed(v, usize::MAX, x.span)?.outer(&t.b).0,
    };
    if sizes.is_empty() && !matches!(x.value, Value::Leaf(_)) {
        let e = Diagnostic::error("E0206", format!("`{}` is of an array", g.name));
        return fail(e.at(x.span, format!("this is {}", x.value.describe(&t.b))));
    }
    Ok(sizes)
}

fn len<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    match sizes_of(t, g, &x)?.first() {
        Some(&n) => Ok(Value::Int(n as i64)),
        None => fail(Diagnostic::error("E0206", "`len` is of an array").at(x.span, "this is one number")),
    }
}

fn shape<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    let sizes = if x.value.is_static_number() { Vec::new() } else { sizes_of(t, g, &x)? };
    Ok(Value::List(sizes.into_iter().map(|n| Value::Int(n as i64)).collect()))
}

fn reshape<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    let x = Arg { value: t.arrayed(&x.value, usize::MAX, x.span)?, ..x };
    let old = sizes_of(t, g, &x)?;
    let v = t.settle(&x.value, x.span)?;
    let total: usize = old.iter().product();
    let mut args = Vec::new();
    for arg in &g.rest {
        match &arg.value {
            Value::List(items) | Value::Tuple(items) => {
                args.extend(items.iter().map(|v| Arg { value: v.clone(), ..arg.clone() }));
            }
            _ => args.push(arg.clone()),
        }
    }
    let open = args.iter().position(|a| matches!(a.value, Value::Int(-1)));
    let known: Vec<Arg<'a>> =
        args.iter().enumerate().filter(|(k, _)| Some(*k) != open).map(|(_, a)| a.clone()).collect();
    let mut new = t.sizes(&known)?;
    if let Some(k) = open {
        let others: usize = new.iter().product();
        new.insert(k, total.checked_div(others).unwrap_or(0));
    }
    if new.iter().product::<usize>() != total {
        let e = Diagnostic::error("E0108", format!("{} elements do not fill {}", total, shape_text(&new)));
        return fail(e.at(x.span, format!("this is {}", x.value.describe(&t.b))).at(g.span, ""));
    }
    t.use_keys_in(&v, x.span, "reshape")?;
    let (_, inner) = v.outer(&t.b);
    let inner = inner.map_leaves(&mut |a| {
        let own = t.b.ty(a).shape;
        let shape: Shape = new.iter().copied().chain(own[old.len()..].iter().copied()).collect();
        t.prim(Prim::Reshape(shape), &[a], g.span)
    })?;
    let v = Value::within(&new, inner);
    Ok(t.renew_keys(&v))
}

fn flatten<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    let x = Arg { value: t.arrayed(&x.value, usize::MAX, x.span)?, ..x };
    let count = match g.opt(1) {
        Some(n) => t.size(&n.value, n.span)?,
        None => 2,
    };
    let old = sizes_of(t, g, &x)?;
    if count == 0 || count > old.len() {
        let e = Diagnostic::error("E0107", format!("there are no {count} axes to make one of"));
        return fail(e.at(x.span, format!("this is {}", x.value.describe(&t.b))));
    }
    t.use_keys_in(&x.value, x.span, "flatten")?;
    let one: usize = old[..count].iter().product();
    let new: Vec<usize> = std::iter::once(one).chain(old[count..].iter().copied()).collect();
    let (_, inner) = x.value.outer(&t.b);
    let inner = inner.map_leaves(&mut |a| {
        let own = t.b.ty(a).shape;
        let shape: Shape = std::iter::once(one).chain(own[count..].iter().copied()).collect();
        t.prim(Prim::Reshape(shape), &[a], g.span)
    })?;
    let v = Value::within(&new, inner);
    Ok(t.renew_keys(&v))
}

fn transpose<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    let x = Arg { value: t.arrayed(&x.value, usize::MAX, x.span)?, ..x };
    let sizes = sizes_of(t, g, &x)?;
    let order: Vec<Arg<'a>> = g
        .rest
        .iter()
        .map(|arg| Arg { value: listed(&arg.value).unwrap_or(arg.value.clone()), ..arg.clone() })
        .collect();
    let perm: Vec<usize> = match t.sizes(&order)? {
        given if !given.is_empty() => given,
        _ if sizes.len() == 2 => vec![1, 0],
        _ => {
            let e = Diagnostic::error("E0107", "`transpose` exchanges the axes of a matrix");
            let e = e.at(x.span, format!("this is {}", x.value.describe(&t.b)));
            return fail(e.help("give the order of all axes: `transpose(x, 1, 0, 2)`"));
        }
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..sizes.len()) {
        let e = Diagnostic::error("E0107", format!("{} is not an order of {} axes", shape_text(&perm), sizes.len()));
        return fail(e.at(g.span, ""));
    }
    let new: Vec<usize> = perm.iter().map(|&k| sizes[k]).collect();
    t.use_keys_in(&x.value, x.span, "transpose")?;
    let (_, inner) = x.value.outer(&t.b);
    let inner = inner.map_leaves(&mut |a| {
        let rank = t.b.ty(a).rank();
        t.prim(Prim::Transpose(perm.iter().copied().chain(sizes.len()..rank).collect()), &[a], g.span)
    })?;
    let v = Value::within(&new, inner);
    Ok(t.renew_keys(&v))
}

/// A range of axes, as the list of them.
pub(super) fn listed<'a>(v: &Value<'a>) -> Option<Value<'a>> {
    match v {
        Value::Range(a, b) if b.saturating_sub(*a) <= 64 => Some(Value::List((*a..*b).map(Value::Int).collect())),
        _ => None,
    }
}

fn reverse<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    let x = Arg { value: t.arrayed(&x.value, usize::MAX, x.span)?, ..x };
    let v = t.settle(&x.value, x.span)?;
    let sizes = sizes_of(t, g, &x)?;
    let axis = match g.opt(1) {
        Some(axis) => t.axis(axis, sizes.len())?,
        None => 0,
    };
    if sizes.is_empty() {
        return fail(Diagnostic::error("E0206", "`reverse` is of an array").at(x.span, "this is one number"));
    }
    t.use_keys_in(&v, x.span, "reverse")?;
    let v = v.map_leaves(&mut |a| t.prim(Prim::Reverse(SmallVec::from_iter([axis])), &[a], g.span))?;
    Ok(t.renew_keys(&v))
}

fn pad<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let (x, low, high) = (g.arg(0), g.arg(1), g.arg(2));
    let (low, high) = (t.size(&low.value, low.span)?, t.size(&high.value, high.span)?);
    let a = t.atom(&x.value, None, x.span)?;
    let ty = t.b.ty(a);
    if ty.is_scalar() {
        return fail(Diagnostic::error("E0206", "`pad` is of an array").at(x.span, "this is one number"));
    }
    let axis = match g.opt(3) {
        Some(axis) => t.axis(axis, ty.rank())?,
        None => 0,
    };
    let fill = match g.opt(4) {
        Some(v) => t.atom(&v.value, Some(ty.dtype), v.span)?,
        None => Lit::zero(ty.dtype).into(),
    };
    if t.b.ty(fill) != whorl_core::Type::scalar(ty.dtype) {
        let e = Diagnostic::error("E0206", format!("`pad` fills with one {}", ty.dtype.name()));
        return fail(e.at(g.opt(4).map_or(g.span, |v| v.span), ""));
    }
    let one_axis = |n: usize| -> Shape { (0..ty.rank()).map(|k| if k == axis { n } else { 0 }).collect() };
    let prim = Prim::Pad { low: one_axis(low), high: one_axis(high), interior: one_axis(0) };
    Ok(Value::Leaf(t.prim(prim, &[a, fill], g.span)?))
}

fn roll<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let (x, shift) = (g.arg(0), g.arg(1));
    let v = t.settle(&x.value, x.span)?;
    let x = Arg { value: t.arrayed(&v, usize::MAX, x.span)?, ..x };
    let sizes = sizes_of(t, g, &x)?;
    if sizes.is_empty() {
        return fail(Diagnostic::error("E0206", "`roll` is of an array").at(x.span, "this is one number"));
    }
    let axis = match g.opt(2) {
        Some(axis) => t.axis(axis, sizes.len())?,
        None => 0,
    };
    let n = sizes[axis];
    if n == 0 {
        return Ok(x.value);
    }
    t.use_keys_in(&x.value, x.span, "roll")?;
    let rolled = match &shift.value {
        Value::Int(by) => {
            let start = (-by).rem_euclid(n as i64) as usize;
            x.value.map_leaves(&mut |a| {
                let back = t.slice_axis(a, axis, start, n - start, g.span)?;
                let front = t.slice_axis(a, axis, 0, start, g.span)?;
                t.prim(Prim::Concat(axis), &[back, front], g.span)
            })?
        }
        by => {
            let by = t.atom(by, Some(DType::I32), shift.span)?;
            if t.b.ty(by) != whorl_core::Type::scalar(DType::I32) {
                let e = Diagnostic::error("E0206", "`roll` moves by one i32");
                return fail(e.at(shift.span, format!("this is {}", shift.value.describe(&t.b))));
            }
            // The window of n that begins at (-shift) mod n in the array beside itself.
            let n_lit = Lit::i32(n as i32).into();
            let rest = t.prim(Prim::Binary(Binary::Rem), &[by, n_lit], g.span)?;
            let above = t.prim(Prim::Binary(Binary::Sub), &[n_lit, rest], g.span)?;
            let start = t.prim(Prim::Binary(Binary::Rem), &[above, n_lit], g.span)?;
            x.value.map_leaves(&mut |a| {
                let twice = t.prim(Prim::Concat(axis), &[a, a], g.span)?;
                let front = t.move_axis(twice, axis, 0, g.span)?;
                let window = t.prim(Prim::Index(Some(n)), &[front, start], g.span)?;
                t.move_axis(window, 0, axis, g.span)
            })?
        }
    };
    Ok(t.renew_keys(&rolled))
}

fn concat<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let mut arrays = Vec::new();
    for arg in &g.rest {
        let value = t.settle(&arg.value, arg.span)?;
        t.use_keys_in(&value, arg.span, "concat")?;
        arrays.push(Arg { value, ..arg.clone() });
    }
    let Some(first) = arrays.first() else {
        return fail(Diagnostic::error("E0601", "`concat` joins arrays").at(g.span, "none are given"));
    };
    let (sizes, _) = first.value.outer(&t.b);
    let axis = match g.opt(1) {
        Some(axis) => t.axis(axis, sizes.len())?,
        None => 0,
    };
    let (mut inners, mut total) = (Vec::new(), 0);
    for array in &arrays {
        let (own, inner) = array.value.outer(&t.b);
        let fits = own.len() == sizes.len() && (0..own.len()).all(|k| k == axis || own[k] == sizes[k]);
        if own.is_empty() || !fits {
            let e = Diagnostic::error("E0109", "arrays are joined that do not fit together");
            let e = e.at(array.span, t.describe(&array.value, array.span));
            let e = e.at(first.span, t.describe(&first.value, first.span));
            return fail(e.help(if own.is_empty() {
                "`stack(a, b)` or `[a, b]` makes an array of its elements"
            } else {
                "all sizes but that of the axis must be equal"
            }));
        }
        total += own[axis];
        inners.push(Arg { value: inner, ..array.clone() });
    }
    let joined = t.leafwise("`concat`", &inners, &mut |t, x| {
        if let Value::Key(_) = x[0].value {
            let words =
                |k: usize| x.iter().map(move |a| if let Value::Key(key) = &a.value { Some(key.data[k]) } else { None });
            if let (Some(first), Some(second)) =
                (words(0).collect::<Option<Vec<_>>>(), words(1).collect::<Option<Vec<_>>>())
            {
                let data = [t.prim(Prim::Concat(axis), &first, g.span)?, t.prim(Prim::Concat(axis), &second, g.span)?];
                return Ok(Value::Key(t.new_key(data)));
            }
        }
        let atoms = x.iter().map(|a| t.atom(&a.value, None, a.span)).collect::<R<Vec<Atom>>>()?;
        Ok(Value::Leaf(t.prim(Prim::Concat(axis), &atoms, g.span)?))
    })?;
    let mut sizes = sizes;
    sizes[axis] = total;
    let v = Value::within(&sizes, joined);
    Ok(t.renew_keys(&v))
}

fn stack<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    if g.rest.is_empty() {
        return fail(Diagnostic::error("E0601", "`stack` joins values").at(g.span, "none are given"));
    }
    let axis = match g.opt(1) {
        Some(axis) => t.size(&axis.value, axis.span)?,
        None => 0,
    };
    if axis == 0 {
        return t.array_of(g.rest.clone(), g.span);
    }
    if let Some(tree) = g.rest.iter().find(|a| a.value.is_tree()) {
        let e = Diagnostic::error("E0107", "records are stacked along axis 0");
        return fail(e.at(tree.span, format!("this is {}", tree.value.describe(&t.b))));
    }
    t.stack(&g.rest, axis, g.span)
}

fn zip<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let (mut parts, mut length) = (Vec::new(), None);
    for arg in &g.rest {
        let v = t.settle(&arg.value, arg.span)?.arrayed(&t.b, 1);
        let n = match sizes_of(t, g, &Arg { value: v.clone(), ..arg.clone() })?.first() {
            Some(&n) => n,
            None => return fail(Diagnostic::error("E0206", "`zip` is of arrays").at(arg.span, "this is one number")),
        };
        match length {
            None => length = Some((n, arg.span)),
            Some((m, first)) if m != n => {
                let e = Diagnostic::error("E0106", "`zip` of arrays of different lengths");
                let e = e.at(arg.span, elements(t, &arg.value, n, arg.span));
                let other = g.rest.iter().find(|a| a.span == first).map_or(Value::Unit, |a| a.value.clone());
                return fail(e.at(first, elements(t, &other, m, first)));
            }
            Some(_) => {}
        }
        parts.push(match v {
            Value::Array { elem, .. } => (*elem).clone(),
            other => other,
        });
    }
    match length {
        Some((n, _)) => Ok(Value::array(n, Value::tuple(parts))),
        None => fail(Diagnostic::error("E0601", "`zip` needs arrays").at(g.span, "none are given")),
    }
}

/// "3 elements, n, made at model.whorl:4"
fn elements<'a>(t: &Tracer<'a>, v: &Value<'a>, n: usize, span: whorl_source::Span) -> String {
    let first = v.leaves().first().map(|a| t.named(*a, span));
    match first {
        Some(named) => match named.axes.first() {
            Some(Some(name)) => format!("{n} elements, {name}{}", named.at),
            Some(None) | None => format!("{n} elements"),
        },
        None => format!("{n} elements"),
    }
}

fn enumerate<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    let Some(&n) = sizes_of(t, g, &x)?.first() else {
        return fail(Diagnostic::error("E0206", "`enumerate` is of an array").at(x.span, "this is one number"));
    };
    let v = t.settle(&x.value, x.span)?.arrayed(&t.b, 1);
    let elem = match v {
        Value::Array { elem, .. } => (*elem).clone(),
        other => other,
    };
    let places = Value::Leaf(t.b.prim1(Prim::Iota(n), &[]));
    Ok(Value::array(n, Value::tuple(vec![places, elem])))
}

fn outer<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let (x, y) = (g.arg(0), g.arg(1));
    let (a, b) = (t.atom(&x.value, None, x.span)?, t.atom(&y.value, None, y.span)?);
    let (ta, tb) = (t.b.ty(a), t.b.ty(b));
    if ta.rank() != 1 || tb.rank() != 1 || ta.dtype != tb.dtype {
        let e = Diagnostic::error("E0101", "`outer` is of two vectors of one element type");
        return fail(e.at(x.span, x.value.describe(&t.b)).at(y.span, y.value.describe(&t.b)));
    }
    let shape: Shape = SmallVec::from_iter([ta.shape[0], tb.shape[0]]);
    let rows = t.prim(Prim::Broadcast { shape: shape.clone(), axes: SmallVec::from_iter([0]) }, &[a], g.span)?;
    let columns = t.prim(Prim::Broadcast { shape, axes: SmallVec::from_iter([1]) }, &[b], g.span)?;
    Ok(Value::Leaf(t.prim(Prim::Binary(Binary::Mul), &[rows, columns], g.span)?))
}
