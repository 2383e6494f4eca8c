//! Loops by functions, and scatters.

use std::rc::Rc;

use smallvec::SmallVec;
use whorl_core::{Atom, Carry, Checkpoint, DType, Form, Map, Prim, Shape, Type};
use whorl_source::Diagnostic;

use super::{Builtin, Given};
use crate::tracer::{Tracer, fail};
use crate::value::{Arg, Function, R, Value};

macro_rules! table {
    ($($name:literal ($($p:literal)*) $run:expr, $doc:literal)*) => {
        &[$(Builtin { name: $name, params: &[$($p),*], doc: $doc, run: $run }),*]
    };
}

pub const TABLE: &[Builtin] = table! {
    "fold" ("f" "init" "xs" "checkpoint?") fold, "f(… f(f(init, xs[0]), xs[1]) …, xs[n - 1]): a scan that yields nothing. `checkpoint: 10` or `checkpoint: \"sqrt\"` says which states a derivative keeps, as in the head of a scan"
    "associative_scan" ("f" "xs" "reverse?") associative_scan, "all xs[0], f(xs[0], xs[1]), f(f(xs[0], xs[1]), xs[2]), …, in about 2 log n steps: f must be associative. Elements may be records"
    "scatter_add" ("xs" "places" "values") scatter_add, "xs with each value added at its place; several may go to one place"
    "scatter_set" ("xs" "places" "values") scatter_set, "xs with each value put at its place; of several for one place the last stays"
};

fn function<'a>(t: &Tracer<'a>, g: &Given<'a>) -> R<Rc<Function<'a>>> {
    let arg = g.arg(0);
    match &arg.value {
        Value::Function(f) => Ok(f.clone()),
        other => {
            let e = Diagnostic::error("E0603", format!("`{}` takes a function first", g.name));
            fail(e.at(arg.span, format!("this is {}", other.describe(&t.b))))
        }
    }
}

fn fold<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let f = function(t, g)?;
    let checkpoint = match g.opt(3) {
        None => Checkpoint::Carries,
        Some(arg) => match &arg.value {
            Value::Str(s) if **s == *"sqrt" => Checkpoint::Sqrt,
            Value::Str(s) if **s == *"carries" => Checkpoint::Carries,
            Value::Str(_) => {
                let e = Diagnostic::error("E0508", "`checkpoint` is a number of steps, \"sqrt\" or \"carries\"");
                return fail(e.at(arg.span, ""));
            }
            v => t.checkpoint_every(v, arg.span)?,
        },
    };
    t.fold_over(&f, &g.arg(1), &g.arg(2), checkpoint, g.span)
}

/// Pairs are joined, the half as many are scanned in the same way, and the places between are filled in (Ladner & Fischer,
/// 1980, as in `jax.lax.associative_scan`).
fn associative_scan<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let f = function(t, g)?;
    let xs = g.arg(1);
    let reverse = match g.opt(2) {
        Some(flag) => t.flag(&flag.value, flag.span)?,
        None => false,
    };
    let v = t.settle(&xs.value, xs.span)?;
    let v = t.arrayed(&v, 1, xs.span)?;
    t.use_keys_in(&v, xs.span, "associative_scan")?;
    let (sizes, _) = v.outer(&t.b);
    let Some(&n) = sizes.first().filter(|n| **n > 0) else {
        let e = Diagnostic::error("E0206", "`associative_scan` goes over an array");
        return fail(e.at(xs.span, format!("this is {}", v.describe(&t.b))));
    };
    let turned = |t: &mut Tracer<'a>, v: &Value<'a>| {
        v.map_leaves(&mut |a| t.prim(Prim::Reverse(SmallVec::from_iter([0])), &[a], g.span))
    };
    if !reverse {
        return level(t, g, &f, &v, n);
    }
    let v = turned(t, &v)?;
    let v = level(t, g, &f, &v, n)?;
    turned(t, &v)
}

fn level<'a>(t: &mut Tracer<'a>, g: &Given<'a>, f: &Rc<Function<'a>>, v: &Value<'a>, n: usize) -> R<Value<'a>> {
    if n == 1 {
        return Ok(v.clone());
    }
    let half = n / 2;
    let (even, odd) = (every_second(t, g, v, 0, half)?, every_second(t, g, v, 1, half)?);
    let pairs = joined(t, g, f, &even, &odd)?;
    // The results at odd places.
    let at_odd = level(t, g, f, &pairs, half)?;
    let first = sliced(t, g, v, 0, 1)?;
    let between = n - half - 1;
    let at_even = if between > 0 {
        let before = sliced(t, g, &at_odd, 0, between)?;
        let own = every_second(t, g, v, 2, between)?;
        let filled = joined(t, g, f, &before, &own)?;
        together(t, g, &first, &filled)?
    } else {
        first
    };
    // 0, 2, 4, … and 1, 3, 5, … woven together; of an odd number the last even one is left over.
    let evens = sliced(t, g, &at_even, 0, half)?;
    let woven = of_both(t, g, half * 2, &evens, &at_odd, &mut |t, a, b| {
        let ty = t.b.ty(a);
        let mut paired = ty.shape.clone();
        paired.insert(1, 1);
        let columns = [a, b].map(|x| t.prim(Prim::Reshape(paired.clone()), &[x], g.span));
        let [x, y] = columns;
        let both = t.prim(Prim::Concat(1), &[x?, y?], g.span)?;
        let mut flat = ty.shape;
        flat[0] *= 2;
        t.prim(Prim::Reshape(flat), &[both], g.span)
    })?;
    if n.is_multiple_of(2) {
        return Ok(woven);
    }
    let last = sliced(t, g, &at_even, half, 1)?;
    together(t, g, &woven, &last)
}

/// `f` of the elements of two arrays, pair by pair, which must give an element of the same type.
fn joined<'a>(t: &mut Tracer<'a>, g: &Given<'a>, f: &Rc<Function<'a>>, x: &Value<'a>, y: &Value<'a>) -> R<Value<'a>> {
    let args = [x, y].map(|v| Arg::new(v.clone(), g.arg(1).span));
    let result = t.map_over(f, &args, g.span)?;
    match crate::tree::join(&t.b, x, &result) {
        Ok((_, fitted)) => Ok(fitted),
        Err(m) => {
            let e = Diagnostic::error("E0204", "`associative_scan` needs a function that gives what it takes");
            let e = e.at(g.arg(0).span, format!("{} is {} in what it gives", m.place(), m.right));
            fail(e.at(g.arg(1).span, format!("{} is {} in what it takes", m.place(), m.left)))
        }
    }
}

/// The first axis of each leaf replaced; `n` is its new size.
fn with_axis<'a>(v: &Value<'a>, n: usize) -> Value<'a> {
    match v {
        Value::Array { elem, .. } => Value::array(n, (**elem).clone()),
        other => other.clone(),
    }
}

fn every_second<'a>(t: &mut Tracer<'a>, g: &Given<'a>, v: &Value<'a>, start: usize, n: usize) -> R<Value<'a>> {
    let taken = v.map_leaves(&mut |a| {
        let mut shape = t.b.ty(a).shape;
        let mut starts: Shape = SmallVec::from_elem(0, shape.len());
        let mut strides: Shape = SmallVec::from_elem(1, shape.len());
        (starts[0], shape[0], strides[0]) = (start, n, 2);
        t.prim(Prim::Slice { starts, shape, strides }, &[a], g.span)
    })?;
    Ok(with_axis(&taken, n))
}

fn sliced<'a>(t: &mut Tracer<'a>, g: &Given<'a>, v: &Value<'a>, start: usize, n: usize) -> R<Value<'a>> {
    let taken = v.map_leaves(&mut |a| t.slice_axis(a, 0, start, n, g.span))?;
    Ok(with_axis(&taken, n))
}

fn together<'a>(t: &mut Tracer<'a>, g: &Given<'a>, x: &Value<'a>, y: &Value<'a>) -> R<Value<'a>> {
    let n = x.outer(&t.b).0[0] + y.outer(&t.b).0[0];
    of_both(t, g, n, x, y, &mut |t, a, b| t.prim(Prim::Concat(0), &[a, b], g.span))
}

fn of_both<'a>(
    t: &mut Tracer<'a>,
    _: &Given<'a>,
    n: usize,
    x: &Value<'a>,
    y: &Value<'a>,
    f: &mut dyn FnMut(&mut Tracer<'a>, Atom, Atom) -> R<Atom>,
) -> R<Value<'a>> {
    let mut others = y.leaves().into_iter();
    let made = x.map_leaves(&mut |a| f(t, a, others.next().unwrap_or(a)))?;
    Ok(with_axis(&made, n))
}

/// The array, the places as a vector, and the values with one leading axis to match, all leaves of one structure.
struct Scatter<'a> {
    xs: Value<'a>,
    n: usize,
    places: Atom,
    values: Value<'a>,
}

fn scatter<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Scatter<'a>> {
    let (x, at, given) = (g.arg(0), g.arg(1), g.arg(2));
    let xs = t.settle(&x.value, x.span)?;
    let xs = t.arrayed(&xs, 1, x.span)?;
    let places = t.atom(&at.value, Some(DType::I32), at.span)?;
    let ty = t.b.ty(places);
    if ty.dtype != DType::I32 || ty.rank() == 0 {
        let e = Diagnostic::error("E0206", format!("`{}` takes an array of i32 as places", g.name));
        let e = e.at(at.span, format!("this is {}", at.value.describe(&t.b)));
        return fail(if ty.rank() == 0 { e.help("one place: `xs with [i] = v`") } else { e });
    }
    if xs.outer(&t.b).0.first().is_none_or(|n| *n == 0) {
        let e = Diagnostic::error("E0206", format!("`{}` is into an array", g.name));
        return fail(e.at(x.span, format!("this is {}", xs.describe(&t.b))));
    }
    t.use_keys_in(&xs, x.span, g.name)?;
    t.check_index(places, xs.outer(&t.b).0[0], at.span);
    let n = ty.size();
    let flat = t.prim(Prim::Reshape(SmallVec::from_iter([n])), &[places], at.span)?;
    // What one place holds, for every place.
    let each = t.settle_lists(&given.value, given.span)?;
    let each = if each.is_tree() { t.settle(&each, given.span)?.arrayed(&t.b, ty.rank()).outer(&t.b).1 } else { each };
    let inside = [x_arg(&xs.outer(&t.b).1, &x), x_arg(&each, &given)];
    let values = t.leafwise(&format!("`{}`", g.name), &inside, &mut |t, pair| {
        let Value::Leaf(array) = pair[0].value else {
            return fail(Diagnostic::error("E0206", format!("`{}` is of numbers", g.name)).at(x.span, ""));
        };
        let array = t.b.ty(array);
        let v = t.atom(&pair[1].value, Some(array.dtype), given.span)?;
        let own = t.b.ty(v);
        let each: Shape = array.shape[1..].into();
        let wanted: Shape = ty.shape.iter().chain(&each).copied().collect();
        let flat: Shape = [n].into_iter().chain(each.iter().copied()).collect();
        let fits = own.dtype == array.dtype && (own.shape == wanted || own.is_scalar());
        if !fits {
            let e = Diagnostic::error("E0102", format!("`{}` needs a value for each place", g.name));
            let wanted = crate::tree::type_text(&Type { dtype: array.dtype, shape: wanted });
            let e = e.at(given.span, format!("this is {}, not {wanted}", crate::tree::type_text(&own)));
            return fail(e.at(at.span, format!("{n} places")));
        }
        Ok(Value::Leaf(if own.is_scalar() {
            t.b.broadcast(v, &flat)
        } else {
            t.prim(Prim::Reshape(flat), &[v], given.span)?
        }))
    })?;
    Ok(Scatter { xs, n, places: flat, values })
}

fn x_arg<'a>(v: &Value<'a>, x: &Arg<'a>) -> Arg<'a> {
    Arg { value: v.clone(), ..x.clone() }
}

fn scatter_add<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let s = scatter(t, g)?;
    if s.n == 0 {
        return Ok(s.xs);
    }
    let mut values = s.values.leaves().into_iter();
    s.xs.map_leaves(&mut |x| {
        let v = values.next().unwrap_or(x);
        if t.b.ty(x).dtype == DType::Bool {
            return fail(Diagnostic::error("E0201", "`scatter_add` of bools").at(g.span, "").help("`scatter_set`"));
        }
        // Sums of halves are sums of `f32`, rounded at the end.
        let dtype = t.b.ty(x).dtype;
        let (x, v) = (t.b.widen(x), t.b.widen(v));
        let (index, var) = (t.b.fresh(Type::scalar(DType::I32)), t.b.fresh(t.b.ty(x)));
        t.b.begin();
        let place = t.b.prim1(Prim::Index(None), &[s.places, index.into()]);
        let v = t.b.prim1(Prim::Index(None), &[v, index.into()]);
        let sum = t.b.prim1(Prim::IndexAdd(None), &[var.into(), v, place]);
        let body = t.b.end(vec![sum]);
        let accs = vec![Carry { var, init: x }];
        let sum = t.b.form(Form::Map(Map { n: s.n, index, accs, body }))[0];
        if dtype.is_half() { t.prim(Prim::Convert(dtype), &[sum], g.span) } else { Ok(sum) }
    })
}

fn scatter_set<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let s = scatter(t, g)?;
    if s.n == 0 {
        return Ok(s.xs);
    }
    let mut values = s.values.leaves().into_iter();
    s.xs.map_leaves(&mut |x| {
        let v = values.next().unwrap_or(x);
        Ok(t.b.scan(s.n, false, &[x], |b, i, carry| {
            let place = b.prim1(Prim::Index(None), &[s.places, i]);
            let v = b.prim1(Prim::Index(None), &[v, i]);
            vec![b.prim1(Prim::IndexSet(None), &[carry[0], v, place])]
        })[0])
    })
}
