//! Elementwise functions of one operand.

use whorl_core::prim::{Binary, Compare, Unary};
use whorl_core::{Atom, DType, Lit, Prim};
use whorl_source::{Diagnostic, Span};

use super::{Builtin, Given};
use crate::tracer::{Tracer, fail};
use crate::value::{R, Value};

macro_rules! unary {
    ($($name:literal $op:ident $doc:literal)*) => {
        &[$(Builtin { name: $name, params: &["x"], doc: $doc, run: |t, g| unary(t, g, Unary::$op) }),*,
            Builtin { name: "square", params: &["x"], doc: "x * x", run: square },
            Builtin { name: "rsqrt", params: &["x"], doc: "1 / sqrt(x)", run: rsqrt },
            Builtin { name: "isnan", params: &["x"], doc: "whether x is not a number", run: isnan },
            Builtin { name: "isfinite", params: &["x"], doc: "whether x is neither infinite nor not a number", run: isfinite },
            Builtin { name: "stop_gradient", params: &["x"], doc: "x, of which derivatives know nothing", run: stop_gradient },
        ]
    };
}

pub const TABLE: &[Builtin] = unary! {
    "abs" Abs "the size of x without its sign"
    "sign" Sign "-1, 0 or 1"
    "floor" Floor "the largest whole number not above x"
    "ceil" Ceil "the smallest whole number not below x"
    "round" Round "the nearest whole number; of two, the even one"
    "sqrt" Sqrt "the square root"
    "exp" Exp "e to the power x"
    "exp2" Exp2 "2 to the power x"
    "log2" Log2 "the logarithm to base 2"
    "log1p" Log1p "log(1 + x), exact for small x"
    "expm1" Expm1 "exp(x) - 1, exact for small x"
    "sin" Sin "the sine of x radians"
    "cos" Cos "the cosine of x radians"
    "tan" Tan "the tangent of x radians"
    "asin" Asin "the angle with sine x"
    "acos" Acos "the angle with cosine x"
    "atan" Atan "the angle with tangent x"
    "sinh" Sinh "the hyperbolic sine"
    "cosh" Cosh "the hyperbolic cosine"
    "tanh" Tanh "the hyperbolic tangent"
    "asinh" Asinh "the number with hyperbolic sine x"
    "acosh" Acosh "the number, not negative, with hyperbolic cosine x"
    "atanh" Atanh "the number with hyperbolic tangent x"
    "sigmoid" Sigmoid "1 / (1 + exp(-x))"
    "erf" Erf "the error function"
    "erfc" Erfc "1 - erf(x), exact for large x"
    "erf_inv" ErfInv "the inverse of the error function"
    "cbrt" Cbrt "the cube root, of negative numbers too"
    "lgamma" Lgamma "the logarithm of the size of the gamma function; lgamma(n + 1) is log(1 * 2 * … * n)"
    "digamma" Digamma "the derivative of lgamma; not a number at 0, -1, -2, …"
    "pop_count" PopCount "how many bits of a whole number are set"
};

fn unary<'a>(t: &mut Tracer<'a>, g: &Given<'a>, op: Unary) -> R<Value<'a>> {
    let x = g.arg(0);
    t.leafwise1(&format!("`{}`", g.name), &x.value, x.span, &mut |t, x| t.unary(g.name, op, &x.value, x.span))
}

impl<'a> Tracer<'a> {
    pub(crate) fn unary(&mut self, name: &str, op: Unary, v: &Value<'a>, span: Span) -> R<Value<'a>> {
        if let Some(v) = exact(op, v) {
            return Ok(v);
        }
        let a = self.float_or_number(name, op, v, span)?;
        Ok(Value::Leaf(self.prim(Prim::Unary(op), &[a], span)?))
    }

    /// The operand, if the operation works on numbers of its type.
    fn float_or_number(&mut self, name: &str, op: Unary, v: &Value<'a>, span: Span) -> R<Atom> {
        let any_number = matches!(op, Unary::Abs | Unary::Sign | Unary::Neg);
        let whole = op == Unary::PopCount;
        let dtype = if any_number || whole { None } else { literal_float(v) };
        let a = self.atom(v, dtype, span)?;
        let d = self.b.ty(a).dtype;
        let fits = if whole { d.is_int() } else { d.is_float() || (any_number && d.is_int()) };
        if fits {
            return Ok(a);
        }
        let e =
            Diagnostic::error("E0201", format!("`{name}` of {}", d.name())).at(span, format!("this is {}", d.name()));
        fail(if whole { e } else { e.help(format!("`{name}(f32({}))`", self.text(span).trim_matches('`'))) })
    }
}

/// Whole numbers known while tracing are floats to a function of floats.
fn literal_float(v: &Value) -> Option<DType> {
    match v {
        Value::Int(_) | Value::List(_) | Value::Range(..) => Some(DType::F32),
        _ => None,
    }
}

/// What is exact on every machine is done while tracing.
fn exact<'a>(op: Unary, v: &Value<'a>) -> Option<Value<'a>> {
    match (op, v) {
        (Unary::Abs, Value::Int(i)) => Some(Value::Int(i.saturating_abs())),
        (Unary::Sign, Value::Int(i)) => Some(Value::Int(i.signum())),
        (Unary::Sqrt, Value::Int(i)) => Some(Value::Float((*i as f64).sqrt())),
        (Unary::Floor | Unary::Ceil | Unary::Round, Value::Int(i)) => Some(Value::Int(*i)),
        (Unary::Abs, Value::Float(x)) => Some(Value::Float(x.abs())),
        (Unary::Sqrt, Value::Float(x)) => Some(Value::Float(x.sqrt())),
        (Unary::Floor, Value::Float(x)) => Some(Value::Float(x.floor())),
        (Unary::Ceil, Value::Float(x)) => Some(Value::Float(x.ceil())),
        (Unary::Round, Value::Float(x)) => Some(Value::Float(x.round_ties_even())),
        _ => None,
    }
}

fn square<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    t.leafwise1("`square`", &x.value, x.span, &mut |t, x| match x.value {
        Value::Int(i) => Ok(Value::Int(i.saturating_mul(i))),
        Value::Float(f) => Ok(Value::Float(f * f)),
        _ => {
            let a = t.atom(&x.value, None, x.span)?;
            Ok(Value::Leaf(t.prim(Prim::Binary(Binary::Mul), &[a, a], x.span)?))
        }
    })
}

fn rsqrt<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    t.leafwise1("`rsqrt`", &x.value, x.span, &mut |t, x| {
        let a = t.float_or_number("rsqrt", Unary::Sqrt, &x.value, x.span)?;
        let root = t.prim(Prim::Unary(Unary::Sqrt), &[a], x.span)?;
        let one = Lit::of(t.b.ty(a).dtype, 1.0).into();
        Ok(Value::Leaf(t.prim(Prim::Binary(Binary::Div), &[one, root], x.span)?))
    })
}

fn isnan<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    let a = t.float_or_number("isnan", Unary::Exp, &x.value, x.span)?;
    Ok(Value::Leaf(t.prim(Prim::Compare(Compare::Ne), &[a, a], x.span)?))
}

fn isfinite<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    let a = t.float_or_number("isfinite", Unary::Exp, &x.value, x.span)?;
    let size = t.prim(Prim::Unary(Unary::Abs), &[a], x.span)?;
    let infinity = Lit::of(t.b.ty(a).dtype, f64::INFINITY).into();
    Ok(Value::Leaf(t.prim(Prim::Compare(Compare::Lt), &[size, infinity], x.span)?))
}

fn stop_gradient<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let x = g.arg(0);
    x.value.map_leaves(&mut |a| match t.b.ty(a).dtype.is_float() {
        true => t.prim(Prim::StopGradient, &[a], x.span),
        false => Ok(a),
    })
}
