//! Over all leaves of records, tuples and arrays of them: what optimisers are written with.

use whorl_core::prim::{Binary, Dot, Monoid, Unary};
use whorl_core::{Atom, Lit, Prim};
use whorl_source::Diagnostic;

use super::{Builtin, Given};
use crate::tracer::{Tracer, fail};
use crate::value::{Arg, R, Value};

macro_rules! table {
    ($($name:literal ($($p:literal)*) $run:expr, $doc:literal)*) => {
        &[$(Builtin { name: $name, params: &[$($p),*], doc: $doc, run: $run }),*]
    };
}

pub const TABLE: &[Builtin] = table! {
    "tree_map" ("f" "tree" "more*") tree_map, "f of every leaf, or of the corresponding leaves of several trees of one structure. A leaf in an array of records is the whole array of that field"
    "tree_sum" ("tree") tree_sum, "the sum of all elements of all leaves"
    "tree_size" ("tree") tree_size, "how many numbers there are in all leaves"
    "zeros_like" ("tree") |t, g| like(t, g, 0.0), "zeros of the same structure, sizes and types"
    "ones_like" ("tree") |t, g| like(t, g, 1.0), "ones of the same structure, sizes and types"
    "dot" ("a" "b") dot, "the sum of the products of all corresponding elements, of vectors, arrays or trees"
    "norm" ("tree") norm, "the square root of the sum of the squares of all elements"
};

fn tree_map<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let f = g.arg(0);
    let Value::Function(f) = f.value else {
        let e = Diagnostic::error("E0603", "`tree_map` takes a function first");
        return fail(e.at(f.span, format!("this is {}", f.value.describe(&t.b))));
    };
    let mut trees = vec![g.arg(1)];
    trees.extend(g.rest.iter().cloned());
    for tree in &mut trees {
        tree.value = t.settle(&tree.value, tree.span)?;
    }
    let in_array = matches!(trees[0].value, Value::Array { .. });
    t.leafwise("`tree_map`", &trees, &mut |t, leaves| {
        let v = t.call(&f, leaves.to_vec(), g.span)?;
        let v = t.settle(&v, g.span)?;
        let (Value::Leaf(old), Value::Leaf(new)) = (&leaves[0].value, &v) else { return Ok(v) };
        let (old, new) = (t.b.ty(*old), t.b.ty(*new));
        if in_array && old.shape.first() != new.shape.first() {
            let e = Diagnostic::error("E0104", "`tree_map` over an array of records keeps its length");
            return fail(e.at(
                g.span,
                format!("a leaf {} becomes {}", crate::tree::type_text(&old), crate::tree::type_text(&new)),
            ));
        }
        Ok(v)
    })
}

/// All numbers in an argument, in one element type.
fn leaves<'a>(t: &mut Tracer<'a>, g: &Given<'a>, x: &Arg<'a>) -> R<Vec<Atom>> {
    let v = t.settle(&x.value, x.span)?;
    let leaves = v.leaves();
    let dtype = leaves.first().map(|a| t.b.ty(*a).dtype);
    if let Some(other) =
        leaves.iter().map(|a| t.b.ty(*a).dtype).find(|d| Some(*d) != dtype || !(d.is_float() || d.is_int()))
    {
        let e = Diagnostic::error("E0201", format!("`{}` over numbers of different types", g.name));
        let first = dtype.map_or("", |d| d.name());
        return fail(e.at(x.span, format!("there are {first} and {}", other.name())));
    }
    if leaves.is_empty() {
        return fail(Diagnostic::error("E0206", format!("`{}` of no numbers", g.name)).at(x.span, ""));
    }
    Ok(leaves)
}

/// The sums of arrays, added up in order.
fn total<'a>(t: &mut Tracer<'a>, arrays: &[Atom]) -> Atom {
    let mut sum: Option<Atom> = None;
    for &a in arrays {
        let axes: Vec<usize> = (0..t.b.ty(a).rank()).collect();
        let part = if axes.is_empty() { a } else { t.b.reduce(Monoid::Sum, &axes, a) };
        sum = Some(match sum {
            None => part,
            Some(sum) => t.b.add(sum, part),
        });
    }
    sum.unwrap_or(Lit::f32(0.0).into())
}

fn tree_sum<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let leaves = leaves(t, g, &g.arg(0))?;
    Ok(Value::Leaf(total(t, &leaves)))
}

fn tree_size<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let v = t.settle(&g.arg(0).value, g.arg(0).span)?;
    let sizes = v.leaves().into_iter().map(|a| t.b.ty(a).size() as i64);
    Ok(Value::Int(sizes.sum()))
}

fn like<'a>(t: &mut Tracer<'a>, g: &Given<'a>, value: f64) -> R<Value<'a>> {
    let x = g.arg(0);
    let v = t.settle(&x.value, x.span)?;
    let v = v.map_leaves::<Box<Diagnostic>>(&mut |a| {
        let ty = t.b.ty(a);
        Ok(t.b.broadcast(Lit::of(ty.dtype, value).into(), &ty.shape))
    })?;
    Ok(t.renew_keys(&v))
}

fn products<'a>(t: &mut Tracer<'a>, g: &Given<'a>, x: &Arg<'a>, y: &Arg<'a>, contracted: bool) -> R<Atom> {
    let mut products = Vec::new();
    t.leafwise(&format!("`{}`", g.name), &[x.clone(), y.clone()], &mut |t, pair| {
        let atoms = t.numbers(&format!("`{}`", g.name), g.span, pair)?;
        let types = [t.b.ty(atoms[0]), t.b.ty(atoms[1])];
        let vectors = types.iter().all(|ty| ty.rank() == 1);
        products.push(if vectors && contracted {
            t.prim(Prim::Dot(Dot::matmul(1)), &atoms, g.span)?
        } else {
            t.prim(Prim::Binary(Binary::Mul), &atoms, g.span)?
        });
        Ok(Value::Unit)
    })?;
    if let Some(&a) = products.first()
        && let Some(other) = products.iter().find(|p| t.b.ty(**p).dtype != t.b.ty(a).dtype)
    {
        let e = Diagnostic::error("E0201", format!("`{}` over numbers of different types", g.name));
        let names = (t.b.ty(a).dtype.name(), t.b.ty(*other).dtype.name());
        return fail(e.at(x.span, format!("there are {} and {}", names.0, names.1)));
    }
    Ok(total(t, &products))
}

fn dot<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    Ok(Value::Leaf(products(t, g, &g.arg(0), &g.arg(1), true)?))
}

fn norm<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    let x = Arg { value: t.settle(&x.value, x.span)?, ..x };
    // A sum adds up in sixteen lanes; nothing makes a product of matrices of it.
    let squares = products(t, g, &x, &x, false)?;
    if !t.b.ty(squares).dtype.is_float() {
        return fail(Diagnostic::error("E0201", "`norm` is of floats").at(x.span, "").help("`f32(x)` converts"));
    }
    Ok(Value::Leaf(t.prim(Prim::Unary(Unary::Sqrt), &[squares], g.span)?))
}
