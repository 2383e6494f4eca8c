//! Functions of functions, and what is recorded.

use std::rc::Rc;

use whorl_core::{DType, Effect, Lit, Prim, prim::Unary};
use whorl_source::Diagnostic;

use super::{Builtin, Given};
use crate::tracer::{Tracer, fail};
use crate::value::{Argument, CustomVjp, Derivative, DerivativeKind, Function, Part, R, Value, Wrt};

macro_rules! table {
    ($($name:literal ($($p:literal)*) $run:expr, $doc:literal)*) => {
        &[$(Builtin { name: $name, params: &[$($p),*], doc: $doc, run: $run }),*]
    };
}

pub const TABLE: &[Builtin] = table! {
    "grad" ("f" "wrt?" "aux?") |t, g| derivative(t, g, DerivativeKind::Grad), "the function that gives the gradient of f, which gives one f32, by its first argument, or by what wrt says: the number or name of an argument, a field of one (\"net.first\"), or a tuple of these"
    "value_and_grad" ("f" "wrt?" "aux?") |t, g| derivative(t, g, DerivativeKind::ValueAndGrad), "the function that gives (f, its gradient); with aux: true f gives (loss, rest), and the result is ((loss, rest), gradient)"
    "jacobian" ("f" "wrt?" "aux?") |t, g| derivative(t, g, DerivativeKind::Jacobian), "the function that gives the derivatives of every array in f(x) by every array in x, each of the sizes of the first and then those of the second: for each part of f(x) a value like x. With aux: true f gives (y, rest), and the result is (jacobian of y, rest)"
    "hessian" ("f" "wrt?") hessian, "the function that gives the second derivatives of f, which gives one number, by x: the jacobian of its gradient, for each part of x a value like x"
    "jvp" ("f" "x" "t") jvp, "(f(x), the derivative of f at x along t); where f takes several arguments, x and t are tuples"
    "vjp" ("f" "x" "c") vjp, "(f(x), what the cotangent c of f(x) gives for x: the derivative of f transposed); where f takes several arguments, x is a tuple"
    "custom_vjp" ("forward" "backward") custom_vjp, "a function with a reverse derivative of your own: forward(x, …) gives (its value, anything to keep), backward(kept, c) the cotangents of the arguments, a tuple where there are several"
    "checkpoint" ("f") checkpoint, "f itself: a derivative runs the bodies of loops again, and keeps their states and what is computed outside of loops. The head of a loop says how many states: `scan … checkpoint sqrt`"
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

fn derivative<'a>(t: &mut Tracer<'a>, g: &Given<'a>, kind: DerivativeKind) -> R<Value<'a>> {
    let of = function(t, g)?;
    let wrt = wrt(t, g)?;
    let aux = match g.opt(2) {
        Some(flag) => t.flag(&flag.value, flag.span)?,
        None => false,
    };
    Ok(Value::Function(Rc::new(Function::Derivative(Derivative { of, kind, wrt, aux }))))
}

fn hessian<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let (of, wrt) = (function(t, g)?, wrt(t, g)?);
    let of = Derivative { of, kind: DerivativeKind::Grad, wrt: wrt.clone(), aux: false };
    let of = Rc::new(Function::Derivative(of));
    let jacobian = Derivative { of, kind: DerivativeKind::Jacobian, wrt, aux: false };
    Ok(Value::Function(Rc::new(Function::Derivative(jacobian))))
}

fn wrt<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Wrt> {
    let Some(arg) = g.opt(1) else {
        return Ok(Wrt::One(Part { argument: Argument::Place(0), fields: Rc::default() }));
    };
    match &arg.value {
        Value::Tuple(items) | Value::List(items) => {
            Ok(Wrt::Several(items.iter().map(|v| part(t, v, arg.span)).collect::<R<_>>()?))
        }
        one => Ok(Wrt::One(part(t, one, arg.span)?)),
    }
}

fn part<'a>(t: &mut Tracer<'a>, v: &Value<'a>, span: whorl_source::Span) -> R<Part> {
    match v {
        Value::Str(path) => {
            let mut names = path.split('.').map(Rc::from);
            let argument = Argument::Name(names.next().unwrap_or_default());
            Ok(Part { argument, fields: names.collect() })
        }
        Value::Int(_) => Ok(Part { argument: Argument::Place(t.size(v, span)?), fields: Rc::default() }),
        other => {
            let e = Diagnostic::error("E0206", "by what is differentiated is the number or the name of an argument");
            let e = e.at(span, format!("this is {}", other.describe(&t.b)));
            fail(e.help("the gradient is a function: `grad(f)(x)`, or `grad(f, wrt: 1)(x, y)`"))
        }
    }
}

fn jvp<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let f = function(t, g)?;
    t.forward(&f, &g.arg(1), &g.arg(2), g.span)
}

fn vjp<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let f = function(t, g)?;
    t.backward(&f, &g.arg(1), &g.arg(2), g.span)
}

fn custom_vjp<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let forward = function(t, g)?;
    let second = g.arg(1);
    let Value::Function(backward) = second.value else {
        let e = Diagnostic::error("E0603", "`custom_vjp` takes two functions");
        return fail(e.at(second.span, format!("this is {}", second.value.describe(&t.b))));
    };
    Ok(Value::Function(Rc::new(Function::Custom(CustomVjp { forward, backward }))))
}

fn checkpoint<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    Ok(Value::Function(function(t, g)?))
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
        t.effects += 1;
        t.b.effect(Effect::Log { name: path.into(), value: a, mask: Lit::bool(true).into() });
    }
    Ok(Value::Unit)
}
