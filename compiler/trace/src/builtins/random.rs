//! Keys, and random numbers made from them.

use whorl_core::{Atom, Builder, DType, Lit, Prim, Type};
use whorl_source::Diagnostic;

use super::{Builtin, Given};
use crate::keys::Key;
use crate::random;
use crate::tracer::{Tracer, fail};
use crate::value::{Arg, R, Value};

macro_rules! table {
    ($($name:literal ($($p:literal)*) $run:expr, $doc:literal)*) => {
        &[$(Builtin { name: $name, params: &[$($p),*], doc: $doc, run: $run }),*]
    };
}

pub const TABLE: &[Builtin] = table! {
    "key" ("seed") key, "the key that a whole number stands for"
    "split" ("key" "n?") split, "n keys (2) in place of one"
    "fold_in" ("key" "data") fold_in, "the key for a number under a key; the key itself stays unused"
    "bits" ("key" "sizes*") bits, "random u32"
    "uniform" ("key" "sizes*" "low?" "high?") |t, g| between(t, g, random::uniform, 0.0, 1.0, DType::F32), "f32 from low (0) up to but without high (1)"
    "normal" ("key" "sizes*") |t, g| plain(t, g, random::normal), "f32 of mean 0 and variance 1"
    "normal_like" ("key" "tree") normal_like, "f32 of mean 0 and variance 1, of the structure and sizes of a record of parameters or of an array"
    "gumbel" ("key" "sizes*") |t, g| plain(t, g, random::gumbel), "-log(-log(u)) of uniform u"
    "exponential" ("key" "sizes*") |t, g| plain(t, g, random::exponential), "f32 of the exponential distribution of mean 1"
    "bernoulli" ("key" "p" "sizes*") bernoulli, "true with probability p"
    "randint" ("key" "sizes*" "low" "high") randint, "i32 from low up to but without high"
    "truncated_normal" ("key" "sizes*" "low?" "high?") truncated_normal, "normal, but only between low (-2) and high (2)"
    "categorical" ("key" "logits") categorical, "the place chosen with probabilities softmax(logits) along the last axis"
    "permutation" ("key" "n") permutation, "0, 1, … n - 1 in random order"
};

/// The first argument, used by this.
fn used<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<[Atom; 2]> {
    let key = the_key(t, g)?;
    t.use_key(&key, g.span, g.name)?;
    Ok(key.data)
}

fn the_key<'a>(t: &Tracer<'a>, g: &Given<'a>) -> R<Key> {
    let arg = g.arg(0);
    match &arg.value {
        Value::Key(k) => Ok(k.clone()),
        other => {
            let e = Diagnostic::error("E0302", format!("`{}` takes a key first", g.name));
            let e = e.at(arg.span, format!("this is {}", other.describe(&t.b)));
            fail(match other {
                Value::Array { .. } => e.help("take one of the keys: `for k in keys { … }`"),
                Value::Function(f) if f.name() == "key" => {
                    e.help("`key` is a function here: the key is a parameter `key: Key`, or `key(0)`")
                }
                _ => e.help(format!(
                    "`{}(key, …)`: `key` is a parameter `key: Key`, or one of those that `split(key)` gives",
                    g.name
                )),
            })
        }
    }
}

fn key<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let seed = word(t, g, &g.arg(0))?;
    let data = random::key_data(&mut t.b, seed);
    Ok(Value::Key(t.new_key(data)))
}

/// A whole number as the 32 bits of a `u32`.
fn word<'a>(t: &mut Tracer<'a>, g: &Given<'a>, arg: &Arg<'a>) -> R<Atom> {
    let a = match &arg.value {
        Value::Int(i) => return Ok(Lit::u32(*i as u32).into()),
        v => t.atom(v, None, arg.span)?,
    };
    let ty = t.b.ty(a);
    match ty.dtype {
        DType::U32 if ty.is_scalar() => Ok(a),
        DType::I32 if ty.is_scalar() => t.prim(Prim::Bitcast(DType::U32), &[a], arg.span),
        _ => {
            let e = Diagnostic::error("E0206", format!("`{}` takes one i32 or u32", g.name));
            fail(e.at(arg.span, format!("this is {}", arg.value.describe(&t.b))))
        }
    }
}

fn split<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let n = match g.opt(1) {
        Some(n) => t.size(&n.value, n.span)?,
        None => 2,
    };
    let key = used(t, g)?;
    let data = random::split(&mut t.b, key, n);
    let keys = t.new_key(data);
    t.note_split(&keys, key);
    Ok(Value::array(n, Value::Key(keys)))
}

fn fold_in<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let key = the_key(t, g)?;
    let word = word(t, g, &g.arg(1))?;
    let data = random::fold_in(&mut t.b, key.data, word);
    Ok(Value::Key(t.new_key(data)))
}

fn bits<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    plain(t, g, random::bits)
}

fn plain<'a>(t: &mut Tracer<'a>, g: &Given<'a>, f: fn(&mut Builder, [Atom; 2], &[usize]) -> Atom) -> R<Value<'a>> {
    let sizes = t.sizes(&g.rest)?;
    let key = used(t, g)?;
    Ok(Value::Leaf(f(&mut t.b, key, &sizes)))
}

/// Each leaf under a key of its own.
fn normal_like<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let tree = g.arg(1);
    let v = t.settle(&tree.value, tree.span)?;
    let leaves = v.leaves();
    if leaves.is_empty() || leaves.iter().any(|a| t.b.ty(*a).dtype != DType::F32) {
        let e = Diagnostic::error("E0206", "`normal_like` takes f32, in any structure");
        return fail(e.at(tree.span, format!("this is {}", v.describe(&t.b))));
    }
    let key = used(t, g)?;
    let mut place = 0;
    v.map_leaves(&mut |a| {
        let here = random::fold_in(&mut t.b, key, Lit::u32(place).into());
        place += 1;
        let shape = t.b.ty(a).shape;
        Ok(random::normal(&mut t.b, here, &shape))
    })
}

type Between = fn(&mut Builder, [Atom; 2], &[usize], Atom, Atom) -> Atom;

fn between<'a>(t: &mut Tracer<'a>, g: &Given<'a>, f: Between, low: f64, high: f64, dtype: DType) -> R<Value<'a>> {
    let sizes = t.sizes(&g.rest)?;
    let low = scalar(t, g.opt(2), low, dtype)?;
    let high = scalar(t, g.opt(3), high, dtype)?;
    let key = used(t, g)?;
    Ok(Value::Leaf(f(&mut t.b, key, &sizes, low, high)))
}

/// A bound: one number of this type.
fn scalar<'a>(t: &mut Tracer<'a>, arg: Option<&Arg<'a>>, default: f64, dtype: DType) -> R<Atom> {
    let Some(arg) = arg else { return Ok(Lit::of(dtype, default).into()) };
    let a = t.atom(&arg.value, Some(dtype), arg.span)?;
    if t.b.ty(a) == Type::scalar(dtype) {
        return Ok(a);
    }
    let e = Diagnostic::error("E0206", format!("one {} is needed here", dtype.name()));
    fail(e.at(arg.span, format!("this is {}", arg.value.describe(&t.b))))
}

fn bernoulli<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let sizes = t.sizes(&g.rest)?;
    let p = scalar(t, g.opt(1), 0.5, DType::F32)?;
    let key = used(t, g)?;
    Ok(Value::Leaf(random::bernoulli(&mut t.b, key, p, &sizes)))
}

fn randint<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    between(t, g, random::randint, 0.0, 1.0, DType::I32)
}

fn truncated_normal<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let in_order: Between = |b, key, sizes, low, high| random::truncated_normal(b, key, low, high, sizes);
    between(t, g, in_order, -2.0, 2.0, DType::F32)
}

fn categorical<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let logits = g.arg(1);
    let a = t.atom(&logits.value, Some(DType::F32), logits.span)?;
    let ty = t.b.ty(a);
    if ty.dtype != DType::F32 || ty.rank() == 0 || ty.shape[ty.rank() - 1] == 0 {
        let e = Diagnostic::error("E0206", "`categorical` takes an array of f32");
        return fail(e.at(logits.span, format!("this is {}", logits.value.describe(&t.b))));
    }
    let key = used(t, g)?;
    Ok(Value::Leaf(random::categorical(&mut t.b, key, a)))
}

fn permutation<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let n = t.size(&g.arg(1).value, g.arg(1).span)?;
    let key = used(t, g)?;
    Ok(Value::Leaf(random::permutation(&mut t.b, key, n)))
}
