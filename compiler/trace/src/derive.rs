//! `grad` and its relatives: the function is traced as a function of the floats in one argument, and differentiated.

use whorl_core::{Atom, DType, Function as CoreFunction, Lit, Type};
use whorl_source::{Diagnostic, Span};
use whorl_transform::ad::{self, AdError};

use crate::tracer::{Tracer, fail};
use crate::value::{Arg, Derivative, Function, R, Value, Wrt};

/// A function traced over the floats of one of its arguments.
struct Linked<'a> {
    function: CoreFunction,
    /// What it gives: one scalar first, if it is to be differentiated in reverse.
    result: Value<'a>,
}

impl<'a> Tracer<'a> {
    /// `grad(f)(x, …)`: the gradient has the structure of `x`; what is not a float in it has the gradient 0.
    pub fn call_derivative(&mut self, d: &Derivative<'a>, mut args: Vec<Arg<'a>>, span: Span) -> R<Value<'a>> {
        let place = self.wrt_place(d, &args, span)?;
        let x = self.settle(&args[place].value, args[place].span)?;
        let floats = self.floats(&x);
        if floats.is_empty() {
            let e = Diagnostic::error("E0501", "there is nothing to differentiate by");
            let e = e.at(args[place].span, format!("this is {}, without an f32 or f64", x.describe(&self.b)));
            return fail(if matches!(args[place].value, Value::Int(_)) {
                e.help("write the number with a point: `3.0`")
            } else {
                e
            });
        }
        let (params, inner) = self.with_params(&x);
        args[place].value = inner;
        let linked = self.link(&d.of, params, args, span)?;
        let (loss, aux) = match (&linked.result, d.aux) {
            (Value::Tuple(parts), true) if parts.len() == 2 => (parts[0].clone(), parts[1].clone()),
            (other, true) => {
                let e =
                    Diagnostic::error("E0503", "with `aux: true` the function gives two values, the loss and the rest");
                return fail(e.at(span, format!("it gives {}", other.describe(&self.b))));
            }
            (other, false) => (other.clone(), Value::Unit),
        };
        let one = self.loss_one(&loss, span)?;
        let wrt = vec![true; floats.len()];
        let seed = move |_: &mut whorl_core::Builder, results: &[Atom]| {
            results.iter().enumerate().map(|(k, _)| (k == 0).then_some(one.into())).collect()
        };
        let vjp = ad::vjp(&mut self.b, &linked.function, &floats, &wrt, seed).map_err(|e| self.ad_error(e, span))?;
        let gradient = self.in_structure(&x, vjp.gradients);
        let mut results = vjp.results.into_iter();
        let loss = loss.with_leaves(&mut results);
        let aux = aux.with_leaves(&mut results);
        let value = if d.aux { Value::tuple(vec![loss, aux]) } else { loss };
        let value = self.renew_keys(&value);
        Ok(match (d.with_value, d.aux) {
            (true, _) => Value::tuple(vec![value, gradient]),
            (false, false) => gradient,
            (false, true) => match value {
                Value::Tuple(parts) => Value::tuple(vec![gradient, parts[1].clone()]),
                other => other,
            },
        })
    }

    /// `jvp(f, x, t)`: the value of `f(x)` and its derivative along `t`.
    pub fn forward(&mut self, f: &std::rc::Rc<Function<'a>>, x: &Arg<'a>, t: &Arg<'a>, span: Span) -> R<Value<'a>> {
        let value = self.settle(&x.value, x.span)?;
        let tangent = self.settle(&t.value, t.span)?;
        let tangent = match crate::tree::join(&self.b, &value, &tangent) {
            Ok((_, tangent)) => tangent,
            Err(m) => {
                let e = Diagnostic::error("E0502", "a tangent has the structure of the value");
                return fail(
                    e.at(t.span, format!("{} is {}", m.place(), m.right))
                        .at(x.span, format!("{} is {}", m.place(), m.left)),
                );
            }
        };
        let (points, directions) = (self.floats(&value), self.floats(&tangent));
        let (params, inner) = self.with_params(&value);
        let linked = self.link(f, params, vec![Arg::new(inner, x.span)], span)?;
        let directions: Vec<Option<Atom>> = directions.into_iter().map(Some).collect();
        let (results, tangents) =
            ad::jvp(&mut self.b, &linked.function, &points, &directions).map_err(|e| self.ad_error(e, span))?;
        let mut out = Vec::with_capacity(results.len());
        for (r, t) in results.iter().zip(tangents) {
            let ty = self.b.ty(*r);
            out.push(match t {
                Some(t) => t,
                None => self.b.zeros(&ty),
            });
        }
        let primal = linked.result.with_leaves(&mut results.into_iter());
        let tangent = linked.result.with_leaves(&mut out.into_iter());
        Ok(Value::tuple(vec![self.renew_keys(&primal), self.renew_keys(&tangent)]))
    }

    fn wrt_place(&self, d: &Derivative<'a>, args: &[Arg<'a>], span: Span) -> R<usize> {
        let name = match &d.wrt {
            Wrt::Place(k) if *k < args.len() => return Ok(*k),
            Wrt::Place(k) => {
                let e = Diagnostic::error("E0601", format!("the derivative is by argument number {k}"));
                return fail(e.at(span, format!("there are {}", args.len())));
            }
            Wrt::Name(name) => name,
        };
        if let Some(k) = args.iter().position(|a| a.name == Some(name)) {
            return Ok(k);
        }
        let params = self.parameter_names(&d.of);
        match params.iter().position(|p| *p == Some(name)) {
            Some(k) if k < args.len() => Ok(k),
            _ => fail(
                Diagnostic::error("E0602", format!("there is no argument `{name}` to differentiate by")).at(span, ""),
            ),
        }
    }

    fn parameter_names(&self, f: &Function<'a>) -> Vec<Option<&'a str>> {
        let of = |params: &'a [whorl_syntax::ast::FnParam]| params.iter().map(crate::call::param_name).collect();
        match f {
            Function::Item { def, .. } => of(&def.params),
            Function::Closure { lambda, .. } => of(lambda.params),
            Function::Derivative(d) => self.parameter_names(&d.of),
            Function::Variant { .. } | Function::VariantOf(_) => Vec::new(),
            Function::Builtin(b) => b.params.iter().map(|p| Some(p.trim_end_matches(['?', '*']))).collect(),
        }
    }

    fn is_float(&self, a: Atom) -> bool {
        self.b.ty(a).dtype.is_float()
    }

    fn floats(&self, v: &Value<'a>) -> Vec<Atom> {
        v.leaves().into_iter().filter(|a| self.is_float(*a)).collect()
    }

    /// The value with fresh variables for its floats.
    fn with_params(&mut self, v: &Value<'a>) -> (Vec<whorl_core::Var>, Value<'a>) {
        let mut params = Vec::new();
        let Ok(inner) = v.map_leaves::<std::convert::Infallible>(&mut |a| {
            if !self.is_float(a) {
                return Ok(a);
            }
            let var = self.b.fresh(self.b.ty(a));
            params.push(var);
            Ok(var.into())
        });
        (params, inner)
    }

    fn link(
        &mut self,
        f: &std::rc::Rc<Function<'a>>,
        params: Vec<whorl_core::Var>,
        args: Vec<Arg<'a>>,
        span: Span,
    ) -> R<Linked<'a>> {
        self.b.begin();
        let result = self.call(f, args, span)?;
        let result = self.settle(&result, span)?;
        let body = self.b.end(result.leaves());
        Ok(Linked { function: CoreFunction { params, body }, result })
    }

    /// The cotangent of the loss.
    fn loss_one(&self, loss: &Value<'a>, span: Span) -> R<Lit> {
        let ty = match loss {
            Value::Leaf(a) => self.b.ty(*a),
            _ => Type::scalar(DType::Bool),
        };
        if ty.is_scalar() && ty.dtype.is_float() {
            return Ok(Lit::of(ty.dtype, 1.0));
        }
        let e = Diagnostic::error("E0503", "a gradient is of a function that gives one f32");
        let e = e.at(span, format!("it gives {}", loss.describe(&self.b)));
        fail(match loss {
            Value::Tuple(_) => e.help("`aux: true` if it gives the loss and something else"),
            Value::Leaf(_) if ty.dtype.is_float() => e.help("`sum` or `mean` makes one number of many"),
            _ => e,
        })
    }

    /// Gradients at the floats of `x`, zeros elsewhere.
    fn in_structure(&mut self, x: &Value<'a>, gradients: Vec<Atom>) -> Value<'a> {
        let mut gradients = gradients.into_iter();
        let Ok(v) = x.map_leaves::<std::convert::Infallible>(&mut |a| {
            let ty = self.b.ty(a);
            let given = if ty.dtype.is_float() { gradients.next() } else { None };
            Ok(given.unwrap_or_else(|| self.b.zeros(&ty)))
        });
        self.renew_keys(&v)
    }

    fn ad_error(&self, e: AdError, span: Span) -> Box<Diagnostic> {
        let mut d = Diagnostic::error(e.code, e.message);
        d.help = e.help;
        for s in &e.spans {
            d = d.at(*s, "");
        }
        Box::new(d.at(span, "differentiated here"))
    }
}
