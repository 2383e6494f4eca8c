//! `jacobian(f)(x)`: of every part of what f gives, the derivatives by every part of x.
//!
//! ```text
//! f: { a: f32[2], b: f32 } -> (f32, f32[3])       jacobian(f)(x): ({ a: f32[2], b: f32 }, { a: f32[3, 2], b: f32[3] })
//! ```
//!
//! Backward, a cotangent for each element of the result, or forward, a tangent for each element of x, whichever are fewer.

use whorl_core::prim::Compare;
use whorl_core::{Atom, Form, Map, Prim, Shape, Type};
use whorl_source::{Diagnostic, Span};
use whorl_transform::ad;

use crate::derive::Linked;
use crate::tracer::{Tracer, fail};
use crate::value::{R, Record, Value};

impl<'a> Tracer<'a> {
    /// With `aux`, of the first of two values; the second is given along. A part of the result that is no float is an error, but in
    /// a gradient, where it is zero.
    pub(crate) fn jacobian(
        &mut self,
        linked: &Linked<'a>,
        x: &Value<'a>,
        aux: bool,
        of_gradient: bool,
        span: Span,
    ) -> R<Value<'a>> {
        let (y, rest) = match &linked.result {
            Value::Tuple(parts) if aux && parts.len() == 2 => (parts[0].clone(), Some(parts[1].clone())),
            other if aux => {
                let e = Diagnostic::error("E0503", "with `aux: true` the function gives two values, one of them along");
                return fail(e.at(span, format!("it gives {}", other.describe(&self.b))));
            }
            other => (other.clone(), None),
        };
        let (points, leaves) = (self.floats(x), y.leaves());
        if leaves.is_empty() || (!of_gradient && leaves.iter().any(|a| !self.is_float(*a))) {
            let e = Diagnostic::error("E0505", "a jacobian is of floats");
            let e = e.at(span, format!("the function gives {}", linked.result.describe(&self.b)));
            return fail(match leaves.is_empty() {
                true => e,
                false => e.help(
                    "give what is no float along: `jacobian(f, aux: true)` of a function that gives (floats, rest)",
                ),
            });
        }
        // What happens beside computing happens once, not for each direction.
        let effects = linked.function.body.stmts.iter().any(whorl_core::rewrite::has_effect);
        let mut function = linked.function.clone();
        let mut along = Vec::new();
        if effects || rest.is_some() {
            along = self.b.inline(&function.body, &function.params, &points);
            function.body = ad::without_effects(function.body);
        }
        let size = |t: &Tracer<'a>, atoms: &[Atom]| atoms.iter().map(|a| t.b.ty(*a).size()).sum::<usize>();
        let backward = size(self, &leaves) < size(self, &points) || ad::custom::holds(&function.body);
        let of = Directions { function: &function, points: &points, results: &leaves, span };
        let blocks = if backward { self.backward_blocks(&of)? } else { self.forward_blocks(&of)? };
        let mut rows = blocks.into_iter();
        let jacobian = self.grafted(&y, 0, &mut |t, leaf| t.in_blocks(leaf, x, rows.next().unwrap_or_default()));
        let jacobian = self.renew_keys(&jacobian);
        let Some(rest) = rest else { return Ok(jacobian) };
        let rest = rest.with_leaves(&mut along.into_iter().skip(leaves.len()));
        Ok(Value::tuple(vec![jacobian, self.renew_keys(&rest)]))
    }

    /// For each result and each point, `[sizes of the result…, sizes of the point…]`; nothing of what is no float.
    fn backward_blocks(&mut self, of: &Directions) -> R<Vec<Vec<Atom>>> {
        let wrt = vec![true; of.points.len()];
        let mut blocks = Vec::new();
        for (k, &y) in of.results.iter().enumerate() {
            let to = self.b.ty(y);
            if !to.dtype.is_float() {
                blocks.push(Vec::new());
                continue;
            }
            let rows = self.by_direction(&to, |t, direction| {
                let seed = |_: &mut whorl_core::Builder, all: &[Atom]| {
                    (0..all.len()).map(|j| (j == k).then_some(direction)).collect()
                };
                Ok(t.reverse_here(of.function, of.points, &wrt, seed, of.span)?.gradients)
            })?;
            let mut row = Vec::new();
            for (rows, point) in rows.into_iter().zip(of.points) {
                let sizes = joined(&to.shape, &self.b.ty(*point).shape);
                row.push(self.prim(Prim::Reshape(sizes), &[rows], of.span)?);
            }
            blocks.push(row);
        }
        Ok(blocks)
    }

    fn forward_blocks(&mut self, of: &Directions) -> R<Vec<Vec<Atom>>> {
        let mut blocks = vec![Vec::new(); of.results.len()];
        for (k, &point) in of.points.iter().enumerate() {
            let from = self.b.ty(point);
            let columns = self.by_direction(&from, |t, direction| {
                let tangents: Vec<Option<Atom>> = (0..of.points.len()).map(|j| (j == k).then_some(direction)).collect();
                let (_, given) = t.forward_here(of.function, of.points, &tangents, of.span)?;
                let given = given.into_iter().zip(of.results);
                Ok(given.map(|(g, y)| g.unwrap_or_else(|| t.b.zeros(&t.b.ty(*y)))).collect())
            })?;
            for ((block, columns), &y) in blocks.iter_mut().zip(columns).zip(of.results) {
                let to = self.b.ty(y);
                if to.dtype.is_float() {
                    let rows = self.move_axis(columns, 0, to.rank(), of.span)?;
                    let rows = self.prim(Prim::Reshape(joined(&to.shape, &from.shape)), &[rows], of.span)?;
                    // As a gradient it has the type of the point.
                    block.push(self.b.prim1(Prim::Convert(from.dtype), &[rows]));
                }
            }
        }
        Ok(blocks)
    }

    /// `f` of each array of `around`'s type that is one at a place and zero elsewhere: its results, stacked.
    fn by_direction(&mut self, around: &Type, f: impl FnOnce(&mut Tracer<'a>, Atom) -> R<Vec<Atom>>) -> R<Vec<Atom>> {
        let n = around.size();
        let index = self.b.fresh(Type::scalar(whorl_core::DType::I32));
        self.b.begin();
        let iota = self.b.prim1(Prim::Iota(n), &[]);
        let hit = self.b.prim1(Prim::Compare(Compare::Eq), &[iota, index.into()]);
        let one = self.b.prim1(Prim::Convert(around.dtype), &[hit]);
        let direction = self.b.prim1(Prim::Reshape(around.shape.clone()), &[one]);
        let given = f(self, direction);
        let body = self.b.end(given.clone().unwrap_or_default());
        given?;
        Ok(self.b.form(Form::Map(Map { n, index, accs: Vec::new(), body })).to_vec())
    }

    /// The structure of x around the blocks of a result, whose own axes are outermost; zeros where x is no float.
    fn in_blocks(&mut self, result: Atom, x: &Value<'a>, blocks: Vec<Atom>) -> Value<'a> {
        let sizes = self.b.ty(result).shape;
        let mut blocks = blocks.into_iter();
        let Ok(v) = x.map_leaves::<std::convert::Infallible>(&mut |a| {
            let ty = self.b.ty(a);
            let given = if ty.dtype.is_float() { blocks.next() } else { None };
            Ok(given.unwrap_or_else(|| self.b.zeros(&Type { dtype: ty.dtype, shape: joined(&sizes, &ty.shape) })))
        });
        v
    }

    /// The value with something else for each leaf, which stands under so many axes of arrays of records.
    fn grafted(
        &mut self,
        v: &Value<'a>,
        axes: usize,
        f: &mut dyn FnMut(&mut Tracer<'a>, Atom) -> Value<'a>,
    ) -> Value<'a> {
        match v {
            Value::Leaf(a) => {
                let own: Vec<usize> = self.b.ty(*a).shape[axes..].to_vec();
                let inner = f(self, *a);
                own.into_iter().rev().fold(inner, |inner, n| Value::array(n, inner))
            }
            Value::Tuple(items) => Value::tuple(items.iter().map(|v| self.grafted(v, axes, f)).collect()),
            Value::Record(r) => {
                let fields = r.fields.iter().map(|(n, v)| (*n, self.grafted(v, axes, f))).collect();
                Value::Record(std::rc::Rc::new(Record { name: None, fields }))
            }
            Value::Array { n, elem } => Value::array(*n, self.grafted(elem, axes + 1, f)),
            Value::Key(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Unit
            | Value::Function(_)
            | Value::Module(_)
            | Value::Range(..) => v.clone(),
        }
    }
}

/// A function of floats at points, and what it gives there.
struct Directions<'f> {
    function: &'f whorl_core::Function,
    points: &'f [Atom],
    results: &'f [Atom],
    span: Span,
}

fn joined(outer: &[usize], inner: &[usize]) -> Shape {
    outer.iter().chain(inner).copied().collect()
}
