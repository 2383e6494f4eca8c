//! Sums and their kin over axes.

use whorl_core::prim::{Binary, Monoid, Reduce};
use whorl_core::{Atom, DType, Lit, Prim};
use whorl_source::Diagnostic;

use super::arrays::listed;
use super::{Builtin, Given};
use crate::tracer::{Tracer, fail};
use crate::value::{Arg, R, Value};

macro_rules! table {
    ($($name:literal ($($p:literal)*) $run:expr, $doc:literal)*) => {
        &[$(Builtin { name: $name, params: &[$($p),*], doc: $doc, run: $run }),*]
    };
}

pub const TABLE: &[Builtin] = table! {
    "sum" ("x" "axis?") |t, g| fold(t, g, Monoid::Sum), "the sum over all axes, or one, a list, or a range; of an array of records, by field"
    "prod" ("x" "axis?") |t, g| fold(t, g, Monoid::Prod), "the product over all axes or one"
    "mean" ("x" "axis?") mean, "the mean over all axes or one"
    "max" ("x" "y?" "axis?") |t, g| extreme(t, g, Binary::Max, Monoid::Max), "the largest over all axes or one; of two, the larger, element by element"
    "min" ("x" "y?" "axis?") |t, g| extreme(t, g, Binary::Min, Monoid::Min), "the smallest over all axes or one; of two, the smaller, element by element"
    "any" ("x" "axis?") |t, g| fold(t, g, Monoid::Any), "whether one holds"
    "all" ("x" "axis?") |t, g| fold(t, g, Monoid::All), "whether each holds"
    "argmax" ("x" "axis?") |t, g| arg_extreme(t, g, true), "the place of the first largest along an axis; over a list of axes, its place in them row by row"
    "argmin" ("x" "axis?") |t, g| arg_extreme(t, g, false), "the place of the first smallest along an axis, or in a list of axes"
    "cumsum" ("x" "axis?" "reverse?") |t, g| cumulative(t, g, Monoid::Sum), "sums of all up to each place of an axis (0)"
    "cumprod" ("x" "axis?" "reverse?") |t, g| cumulative(t, g, Monoid::Prod), "products of all up to each place of an axis (0)"
    "cummax" ("x" "axis?" "reverse?") |t, g| cumulative(t, g, Monoid::Max), "the largest of all up to each place of an axis (0)"
    "cummin" ("x" "axis?" "reverse?") |t, g| cumulative(t, g, Monoid::Min), "the smallest of all up to each place of an axis (0)"
};

fn fold<'a>(t: &mut Tracer<'a>, g: &Given<'a>, op: Monoid) -> R<Value<'a>> {
    t.over_axes(g, &g.arg(0), g.opt(1), &mut |t, a, axes| reduced(t, g, op, a, axes))
}

fn reduced<'a>(t: &mut Tracer<'a>, g: &Given<'a>, op: Monoid, a: Atom, axes: &[usize]) -> R<Atom> {
    let dtype = t.b.ty(a).dtype;
    let bools = matches!(op, Monoid::All | Monoid::Any);
    if bools != (dtype == DType::Bool) {
        let e = Diagnostic::error("E0201", format!("`{}` of {}", g.name, dtype.name())).at(g.arg(0).span, "");
        return fail(if bools {
            e.help("compare first: `any(x > 0)`")
        } else {
            e.help("count with `sum(i32(b))`, average with `mean(f32(b))`")
        });
    }
    let empty = matches!(op, Monoid::Max | Monoid::Min) && axes.iter().any(|&k| t.b.ty(a).shape[k] == 0);
    if empty {
        return fail(Diagnostic::error("E0107", format!("`{}` of no elements", g.name)).at(g.arg(0).span, ""));
    }
    if axes.is_empty() {
        return Ok(a);
    }
    t.prim(Prim::Reduce(Reduce { op, axes: axes.into() }), &[a], g.span)
}

fn mean<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    t.over_axes(g, &g.arg(0), g.opt(1), &mut |t, a, axes| {
        let ty = t.b.ty(a);
        if !ty.dtype.is_float() {
            let e = Diagnostic::error("E0201", format!("`mean` of {}", ty.dtype.name())).at(g.arg(0).span, "");
            return fail(e.help(format!("`mean(f32({}))`", t.text(g.arg(0).span).trim_matches('`'))));
        }
        let count: usize = axes.iter().map(|&k| ty.shape[k]).product();
        // The sum of many halves, and their number, may be larger than halves are.
        let a = t.b.widen(a);
        let wide = t.b.ty(a).dtype;
        let sum = reduced(t, g, Monoid::Sum, a, axes)?;
        let mean = if count == 1 {
            sum
        } else {
            t.prim(Prim::Binary(Binary::Div), &[sum, Lit::of(wide, count as f64).into()], g.span)?
        };
        if wide == ty.dtype { Ok(mean) } else { t.prim(Prim::Convert(ty.dtype), &[mean], g.span) }
    })
}

fn extreme<'a>(t: &mut Tracer<'a>, g: &Given<'a>, two: Binary, many: Monoid) -> R<Value<'a>> {
    let Some(y) = g.opt(1) else {
        return t.over_axes(g, &g.arg(0), g.opt(2), &mut |t, a, axes| reduced(t, g, many, a, axes));
    };
    let what = format!("`{}`", g.name);
    t.leafwise(&what, &[g.arg(0), y.clone()], &mut |t, x| {
        let larger = two == Binary::Max;
        match (&x[0].value, &x[1].value) {
            (Value::Int(a), Value::Int(b)) => return Ok(Value::Int(if larger { *a.max(b) } else { *a.min(b) })),
            (Value::Float(a), Value::Float(b)) => return Ok(Value::Float(if larger { a.max(*b) } else { a.min(*b) })),
            _ => {}
        }
        let atoms = t.numbers(&what, g.span, x)?;
        Ok(Value::Leaf(t.prim(Prim::Binary(two), &atoms, g.span)?))
    })
}

/// What is done with the arrays of a value, over these axes of each.
type OnAxes<'f, 'a> = &'f mut dyn FnMut(&mut Tracer<'a>, Atom, &[usize]) -> R<Atom>;

impl<'a> Tracer<'a> {
    /// A function of whole axes: of numbers, all their axes; of an array of records, those of the array.
    fn over_axes(&mut self, g: &Given<'a>, x: &Arg<'a>, axis: Option<&Arg<'a>>, f: OnAxes<'_, 'a>) -> R<Value<'a>> {
        let v = if matches!(x.value, Value::Tuple(_) | Value::Record(_)) {
            x.value.clone()
        } else {
            self.settle(&x.value, x.span)?
        };
        let (sizes, inner) = v.outer(&self.b);
        if sizes.is_empty() && !matches!(v, Value::Leaf(_)) {
            let e = Diagnostic::error("E0206", format!("`{}` is over an array", g.name));
            return fail(
                e.at(x.span, format!("this is {}", v.describe(&self.b))).help("`tree_sum(t)` adds up all leaves"),
            );
        }
        let axes = match axis {
            None => (0..sizes.len()).collect(),
            Some(axis) => self.axes(axis, sizes.len())?,
        };
        let left: Vec<usize> = (0..sizes.len()).filter(|k| !axes.contains(k)).map(|k| sizes[k]).collect();
        let inner = inner.map_leaves(&mut |a| f(self, a, &axes))?;
        Ok(Value::within(&left, inner))
    }

    fn axes(&mut self, arg: &Arg<'a>, rank: usize) -> R<Vec<usize>> {
        let items: Vec<Value<'a>> = match listed(&arg.value).as_ref().unwrap_or(&arg.value) {
            Value::List(items) | Value::Tuple(items) => items.to_vec(),
            other => vec![other.clone()],
        };
        let axes = items.into_iter().map(|value| self.axis(&Arg { value, ..arg.clone() }, rank));
        let mut axes = axes.collect::<R<Vec<usize>>>()?;
        axes.sort_unstable();
        axes.dedup();
        Ok(axes)
    }

    /// An array with some of its axes made one, the last.
    fn joined_axes(&mut self, x: &Arg<'a>, axes: &Arg<'a>) -> R<(Atom, usize)> {
        let a = self.atom(&x.value, None, x.span)?;
        let shape = self.b.ty(a).shape;
        let axes = self.axes(axes, shape.len())?;
        let kept: Vec<usize> = (0..shape.len()).filter(|k| !axes.contains(k)).collect();
        let perm = kept.iter().chain(&axes).copied().collect();
        let moved = self.prim(Prim::Transpose(perm), &[a], x.span)?;
        let joined = axes.iter().map(|&k| shape[k]).product();
        let shape = kept.iter().map(|&k| shape[k]).chain([joined]).collect();
        Ok((self.prim(Prim::Reshape(shape), &[moved], x.span)?, kept.len()))
    }

    /// A number array and one of its axes, `default` where none is given.
    pub(super) fn one_axis(
        &mut self,
        g: &Given<'a>,
        axis: Option<&Arg<'a>>,
        default: impl Fn(usize) -> Option<usize>,
    ) -> R<(Atom, usize)> {
        let x = g.arg(0);
        let a = self.atom(&x.value, None, x.span)?;
        let rank = self.b.ty(a).rank();
        if rank == 0 {
            let e = Diagnostic::error("E0206", format!("`{}` is over an array", g.name));
            return fail(e.at(x.span, format!("this is {}", x.value.describe(&self.b))));
        }
        let axis = match axis {
            Some(axis) => self.axis(axis, rank)?,
            None => match default(rank) {
                Some(k) => k,
                None => {
                    let e =
                        Diagnostic::error("E0107", format!("`{}` of an array of {rank} axes", g.name)).at(x.span, "");
                    return fail(e.help("say along which: `axis: 1`"));
                }
            },
        };
        Ok((a, axis))
    }
}

fn arg_extreme<'a>(t: &mut Tracer<'a>, g: &Given<'a>, largest: bool) -> R<Value<'a>> {
    let (a, axis) = match g.opt(1) {
        Some(axes) if matches!(axes.value, Value::List(_) | Value::Tuple(_) | Value::Range(..)) => {
            t.joined_axes(&g.arg(0), axes)?
        }
        axis => t.one_axis(g, axis, |rank| (rank == 1).then_some(0))?,
    };
    if t.b.ty(a).shape[axis] == 0 {
        return fail(Diagnostic::error("E0107", format!("`{}` of no elements", g.name)).at(g.arg(0).span, ""));
    }
    let prim = if largest { Prim::ArgMax(axis) } else { Prim::ArgMin(axis) };
    Ok(Value::Leaf(t.prim(prim, &[a], g.span)?))
}

fn cumulative<'a>(t: &mut Tracer<'a>, g: &Given<'a>, op: Monoid) -> R<Value<'a>> {
    let (a, axis) = t.one_axis(g, g.opt(1), |_| Some(0))?;
    let reverse = match g.opt(2) {
        Some(flag) => t.flag(&flag.value, flag.span)?,
        None => false,
    };
    if t.b.ty(a).dtype == DType::Bool {
        let e = Diagnostic::error("E0201", format!("`{}` of bools", g.name)).at(g.arg(0).span, "");
        return fail(e.help("`i32(b)` makes them 0 and 1"));
    }
    Ok(Value::Leaf(t.prim(Prim::Cumulative { op, axis, reverse }, &[a], g.span)?))
}
