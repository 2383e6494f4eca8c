//! Functions of functions, and what is recorded.

use std::rc::Rc;

use whorl_core::{DType, Effect, Lit, Prim, prim::Unary};
use whorl_source::Diagnostic;

use super::{Builtin, Given};
use crate::tracer::{Tracer, fail};
use crate::value::{Derivative, Function, R, Value, Wrt};

macro_rules! table {
    ($($name:literal ($($p:literal)*) $run:expr, $doc:literal)*) => {
        &[$(Builtin { name: $name, params: &[$($p),*], doc: $doc, run: $run }),*]
    };
}

pub const TABLE: &[Builtin] = table! {
    "grad" ("f" "wrt?" "aux?") |t, g| derivative(t, g, false), "the function that gives the gradient of f, which gives one f32, by its first argument (or the one that wrt names or counts)"
    "value_and_grad" ("f" "wrt?" "aux?") |t, g| derivative(t, g, true), "the function that gives (f, its gradient); with aux: true f gives (loss, rest), and the result is ((loss, rest), gradient)"
    "jvp" ("f" "x" "t") jvp, "(f(x), the derivative of f at x along t)"
    "log" ("x" "value?") log, "of a number, its natural logarithm; log(\"name\", value) records a value"
};

fn function<'a>(t: &Tracer<'a>, g: &Given<'a>) -> R<Rc<Function<'a>>> {
    let arg = g.arg(0);
    if let Value::Function(f) = &arg.value {
        return Ok(f.clone());
    }
    let e = Diagnostic::error("E0603", format!("`{}` is of a function", g.name));
    fail(
        e.at(arg.span, format!("this is {}", arg.value.describe(&t.b)))
            .help(format!("`{0}(f)(x)`, not `{0}(f(x))`", g.name)),
    )
}

fn derivative<'a>(t: &mut Tracer<'a>, g: &Given<'a>, with_value: bool) -> R<Value<'a>> {
    let of = function(t, g)?;
    let wrt = match g.opt(1).map(|w| (&w.value, w.span)) {
        None => Wrt::Place(0),
        Some((Value::Str(name), _)) => Wrt::Name(name.clone()),
        Some((v, span)) => Wrt::Place(t.size(v, span)?),
    };
    let aux = match g.opt(2) {
        Some(flag) => t.flag(&flag.value, flag.span)?,
        None => false,
    };
    Ok(Value::Function(Rc::new(Function::Derivative(Derivative { of, with_value, wrt, aux }))))
}

fn jvp<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let f = function(t, g)?;
    t.forward(&f, &g.arg(1), &g.arg(2), g.span)
}

fn log<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let first = g.arg(0);
    let Some(value) = g.opt(1) else {
        if matches!(first.value, Value::Str(_)) {
            return fail(
                Diagnostic::error("E0601", "`log` needs a value to record").at(g.span, "").help("log(\"loss\", loss)"),
            );
        }
        return t
            .leafwise1("`log`", &first.value, first.span, &mut |t, x| t.unary("log", Unary::Log, &x.value, x.span));
    };
    let name = t.string(&first.value, first.span)?;
    let v = t.settle(&value.value, value.span)?;
    let mut leaves = Vec::new();
    v.leaf_paths(&name, &mut leaves);
    if leaves.is_empty() {
        let e = Diagnostic::error("E0206", "there is no number to record here");
        return fail(e.at(value.span, format!("this is {}", v.describe(&t.b))));
    }
    for (path, a) in leaves {
        // Records are numbers; a bool counts as 0 or 1.
        let a = if t.b.ty(a).dtype == DType::Bool { t.prim(Prim::Convert(DType::F32), &[a], value.span)? } else { a };
        t.b.effect(Effect::Log { name: path.into(), value: a, mask: Lit::bool(true).into() });
    }
    Ok(Value::Unit)
}
