//! Elementwise functions of several operands, and conversions.

use whorl_core::prim::{Binary, Compare, Unary};
use whorl_core::{DType, Lit, Prim};
use whorl_source::Diagnostic;

use super::{Builtin, Given};
use crate::tracer::{Tracer, fail};
use crate::tree::{join, static_lit};
use crate::value::{Arg, R, Value};

macro_rules! table {
    ($($name:literal ($($p:literal)*) $run:expr, $doc:literal)*) => {
        &[$(Builtin { name: $name, params: &[$($p),*], doc: $doc, run: $run }),*]
    };
}

pub const TABLE: &[Builtin] = table! {
    "pow" ("x" "y") |t, g| pair(t, g, Binary::Pow), "x to the power y, of floats"
    "atan2" ("y" "x") |t, g| pair(t, g, Binary::Atan2), "the angle of the point (x, y), from -pi to pi"
    "div" ("a" "b") div, "the quotient of whole numbers without its remainder, towards zero: div(-7, 2) is -3"
    "rem" ("a" "b") |t, g| whole(t, g, Whole::Rem), "what `div` leaves, with the sign of a; also written a % b"
    "mod" ("a" "b") |t, g| whole(t, g, Whole::Mod), "a - b floor(a / b), with the sign of b; what % is in Python"
    "floor_div" ("a" "b") |t, g| whole(t, g, Whole::FloorDiv), "the largest whole number not above a / b; what // is in Python"
    "bit_and" ("a" "b") |t, g| pair(t, g, Binary::And), "bits set in both"
    "bit_or" ("a" "b") |t, g| pair(t, g, Binary::Or), "bits set in either"
    "bit_xor" ("a" "b") |t, g| pair(t, g, Binary::Xor), "bits set in one"
    "bit_not" ("a") bit_not, "all bits the other way"
    "shift_left" ("a" "b") |t, g| pair(t, g, Binary::Shl), "bits moved up by b places"
    "shift_right" ("a" "b") |t, g| pair(t, g, Binary::Shr), "bits moved down by b places; i32 keeps its sign"
    "clamp" ("x" "low" "high") clamp, "x, but not below low and not above high"
    "select" ("c" "a" "b") select, "a where c holds, else b; both are computed. Of arrays of records by record"
    "where" ("c" "a" "b") select, "as `select`"
    "f32" ("x") |t, g| convert(t, g, DType::F32), "as f32"
    "f64" ("x") |t, g| convert(t, g, DType::F64), "as f64"
    "f16" ("x") |t, g| convert(t, g, DType::F16), "as f16: 11 bits of precision, up to 65504"
    "bf16" ("x") |t, g| convert(t, g, DType::BF16), "as bf16: 8 bits of precision, the range of f32"
    "i32" ("x") |t, g| convert(t, g, DType::I32), "as i32: floats lose what is behind the point"
    "u32" ("x") |t, g| convert(t, g, DType::U32), "as u32"
    "u8" ("x") |t, g| convert(t, g, DType::U8), "as u8"
    "bool" ("x") |t, g| convert(t, g, DType::Bool), "whether it is not 0"
};

fn pair<'a>(t: &mut Tracer<'a>, g: &Given<'a>, op: Binary) -> R<Value<'a>> {
    let what = format!("`{}`", g.name);
    t.leafwise(&what, &[g.arg(0), g.arg(1)], &mut |t, x| {
        let mut args = x.to_vec();
        if matches!(op, Binary::Pow | Binary::Atan2) && args.iter().all(|a| matches!(a.value, Value::Int(_))) {
            args.iter_mut().for_each(|a| a.value = as_float(&a.value));
        }
        let atoms = t.numbers(&what, g.span, &args)?;
        let dtype = t.b.ty(atoms[0]).dtype;
        let fits = match op {
            Binary::Pow | Binary::Atan2 => dtype.is_float(),
            Binary::Shl | Binary::Shr => dtype.is_int(),
            _ => !dtype.is_float(),
        };
        if !fits {
            let e = Diagnostic::error("E0201", format!("{what} of {}", dtype.name())).at(g.span, "");
            return fail(if dtype.is_float() { e } else { e.help("`f32(x)` converts") });
        }
        Ok(Value::Leaf(t.prim(Prim::Binary(op), &atoms, g.span)?))
    })
}

fn bit_not<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    t.leafwise1("`bit_not`", &x.value, x.span, &mut |t, x| {
        let a = t.atom(&x.value, None, x.span)?;
        let dtype = t.b.ty(a).dtype;
        if !dtype.is_int() {
            let e = Diagnostic::error("E0201", format!("`bit_not` of {}", dtype.name())).at(x.span, "");
            return fail(if dtype == DType::Bool { e.help("`not b`") } else { e });
        }
        Ok(Value::Leaf(t.prim(Prim::Unary(Unary::Not), &[a], x.span)?))
    })
}

fn as_float<'a>(v: &Value<'a>) -> Value<'a> {
    match v {
        Value::Int(i) => Value::Float(*i as f64),
        other => other.clone(),
    }
}

fn div<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    t.leafwise("`div`", &[g.arg(0), g.arg(1)], &mut |t, x| match (&x[0].value, &x[1].value) {
        (Value::Int(a), Value::Int(b)) if *b != 0 => Ok(Value::Int(a.wrapping_div(*b))),
        _ => {
            let atoms = t.numbers("`div`", g.span, x)?;
            let dtype = t.b.ty(atoms[0]).dtype;
            if !dtype.is_int() {
                let e = Diagnostic::error("E0201", format!("`div` of {}", dtype.name())).at(g.span, "");
                return fail(e.help("`a / b` divides numbers with a point; `floor(a / b)` makes the quotient whole"));
            }
            Ok(Value::Leaf(t.prim(Prim::Binary(Binary::Div), &atoms, g.span)?))
        }
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Whole {
    Rem,
    Mod,
    FloorDiv,
}

fn whole<'a>(t: &mut Tracer<'a>, g: &Given<'a>, which: Whole) -> R<Value<'a>> {
    let what = format!("`{}`", g.name);
    t.leafwise(&what, &[g.arg(0), g.arg(1)], &mut |t, x| {
        if let (Value::Int(a), Value::Int(b)) = (&x[0].value, &x[1].value)
            && let (Some(quotient), Some(rest)) = (a.checked_div(*b), a.checked_rem(*b))
        {
            let off = rest != 0 && (rest < 0) != (*b < 0);
            return Ok(Value::Int(match which {
                Whole::Rem => rest,
                Whole::Mod => rest + if off { *b } else { 0 },
                Whole::FloorDiv => quotient - i64::from(off),
            }));
        }
        let atoms = t.numbers(&what, g.span, x)?;
        let dtype = t.b.ty(atoms[0]).dtype;
        if dtype == DType::Bool || (which == Whole::FloorDiv && dtype.is_float()) {
            let e = Diagnostic::error("E0201", format!("{what} of {}", dtype.name())).at(g.span, "");
            return fail(if dtype.is_float() { e.help("`floor(a / b)`") } else { e.help("`i32(b)` makes it 0 or 1") });
        }
        let rest = t.prim(Prim::Binary(Binary::Rem), &atoms, g.span)?;
        if which == Whole::Rem {
            return Ok(Value::Leaf(rest));
        }
        // Off by one where there is a rest of the other sign.
        let zero = Lit::zero(dtype).into();
        let some = t.prim(Prim::Compare(Compare::Ne), &[rest, zero], g.span)?;
        let below = t.prim(Prim::Compare(Compare::Lt), &[rest, zero], g.span)?;
        let divisor_below = t.prim(Prim::Compare(Compare::Lt), &[atoms[1], zero], g.span)?;
        let differ = t.prim(Prim::Binary(Binary::Xor), &[below, divisor_below], g.span)?;
        let off = t.prim(Prim::Binary(Binary::And), &[some, differ], g.span)?;
        Ok(Value::Leaf(if which == Whole::Mod {
            let moved = t.prim(Prim::Binary(Binary::Add), &[rest, atoms[1]], g.span)?;
            t.prim(Prim::Select, &[off, moved, rest], g.span)?
        } else {
            let quotient = t.prim(Prim::Binary(Binary::Div), &atoms, g.span)?;
            let one = t.prim(Prim::Convert(dtype), &[off], g.span)?;
            t.prim(Prim::Binary(Binary::Sub), &[quotient, one], g.span)?
        }))
    })
}

fn clamp<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    t.leafwise("`clamp`", &[g.arg(0), g.arg(1), g.arg(2)], &mut |t, x| {
        if let (Value::Int(v), Value::Int(low), Value::Int(high)) = (&x[0].value, &x[1].value, &x[2].value) {
            return Ok(Value::Int(*v.max(low).min(high)));
        }
        let atoms = t.numbers("`clamp`", g.span, x)?;
        let above = t.prim(Prim::Binary(Binary::Max), &[atoms[0], atoms[1]], g.span)?;
        Ok(Value::Leaf(t.prim(Prim::Binary(Binary::Min), &[above, atoms[2]], g.span)?))
    })
}

fn select<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let (c, a, b) = (g.arg(0), g.arg(1), g.arg(2));
    let condition = match &c.value {
        Value::Bool(true) => return Ok(a.value),
        Value::Bool(false) => return Ok(b.value),
        v => t.atom(v, None, c.span)?,
    };
    let ty = t.b.ty(condition);
    if ty.dtype != DType::Bool {
        let e = Diagnostic::error("E0201", "`select` is by a bool");
        return fail(
            e.at(c.span, format!("this is {}", c.value.describe(&t.b))).help("compare it with something: `x != 0`"),
        );
    }
    let trees = a.value.is_tree() || b.value.is_tree();
    t.leafwise("`select`", &[a, b], &mut |t, x| {
        match (&x[0].value, &x[1].value) {
            (Value::Key(p), Value::Key(q)) if ty.is_scalar() => {
                t.use_key(p, x[0].span, "select")?;
                t.use_key(q, x[1].span, "select")?;
                let word =
                    |t: &mut Tracer<'a>, k: usize| t.prim(Prim::Select, &[condition, p.data[k], q.data[k]], g.span);
                let data = [word(t, 0)?, word(t, 1)?];
                return Ok(Value::Key(t.new_key(data)));
            }
            (p @ (Value::Function(_) | Value::Str(_) | Value::Unit), q) if join(&t.b, p, q).is_ok() => {
                return Ok(p.clone());
            }
            _ => {}
        }
        let atoms = t.numbers("`select`", g.span, x)?;
        let shape = atoms.iter().map(|a| t.b.ty(*a).shape).find(|s| !s.is_empty()).unwrap_or_default();
        let whole = if ty.is_scalar() || shape.is_empty() || shape == ty.shape {
            condition
        } else if trees && shape.starts_with(&ty.shape) {
            let axes = (0..ty.rank()).collect();
            t.prim(Prim::Broadcast { shape: shape.clone(), axes }, &[condition], g.span)?
        } else {
            let text = crate::tree::shape_text;
            let e = Diagnostic::error("E0102", "sizes do not agree in `select`");
            let e = e.at(c.span, format!("the condition is bool{}", text(&ty.shape)));
            return fail(e.at(x[0].span, format!("the values are {}", text(&shape))));
        };
        Ok(Value::Leaf(t.prim(Prim::Select, &[whole, atoms[0], atoms[1]], g.span)?))
    })
}

fn convert<'a>(t: &mut Tracer<'a>, g: &Given<'a>, dtype: DType) -> R<Value<'a>> {
    let mut x = g.arg(0);
    if let Some(tag) = t.tag_of(&x.value) {
        x.value = tag;
    }
    t.leafwise1(&format!("`{}`", g.name), &x.value, x.span, &mut |t, x: &Arg<'a>| {
        let number = match (&x.value, dtype) {
            (Value::Int(i), DType::Bool) => Some(Value::Bool(*i != 0)),
            (Value::Bool(b), _) if dtype != DType::Bool => Some(Value::Int(i64::from(*b))),
            (Value::Float(f), DType::I32 | DType::U32 | DType::U8) => Some(Value::Int(f.trunc() as i64)),
            (Value::Int(_) | Value::Float(_) | Value::Bool(_), _) => Some(x.value.clone()),
            _ => None,
        };
        if let Some(number) = number {
            return match static_lit(&number, dtype) {
                Ok(lit) => Ok(Value::Leaf(lit.into())),
                Err(why) => fail(Diagnostic::error("E0207", "this number does not fit").at(x.span, why)),
            };
        }
        let own = if matches!(x.value, Value::Range(..)) { Some(dtype) } else { None };
        let a = t.atom(&x.value, own, x.span)?;
        if t.b.ty(a).dtype == dtype {
            return Ok(Value::Leaf(a));
        }
        Ok(Value::Leaf(t.prim(Prim::Convert(dtype), &[a], x.span)?))
    })
}
