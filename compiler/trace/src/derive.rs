//! `grad` and its relatives: the function is traced as a function of the floats in one argument, and differentiated.

use std::rc::Rc;
use std::sync::Arc;

use whorl_core::prim::{Custom, CustomRule};
use whorl_core::rewrite::free_vars_of;
use whorl_core::{Atom, DType, Function as CoreFunction, Lit, Prim, Type, Var};
use whorl_source::{Diagnostic, Span};
use whorl_transform::ad::AdError;

use crate::limits::MOST_VALUES;
use crate::names::did_you_mean;
use crate::tracer::{Tracer, fail};
use crate::value::{Arg, Argument, CustomVjp, Derivative, DerivativeKind, Function, Part, R, Record, Value, Wrt};

/// A function traced over the floats of one of its arguments.
pub(crate) struct Linked<'a> {
    pub function: CoreFunction,
    /// What it gives: one scalar first, if it is to be differentiated in reverse.
    pub result: Value<'a>,
}

impl<'a> Tracer<'a> {
    /// `grad(f)(x, …)`: the gradient has the structure of `x`; what is not a float in it has the gradient 0.
    pub fn call_derivative(&mut self, d: &Derivative<'a>, mut args: Vec<Arg<'a>>, span: Span) -> R<Value<'a>> {
        let parts: &[Part] = match &d.wrt {
            Wrt::One(part) => std::slice::from_ref(part),
            Wrt::Several(parts) => parts,
        };
        let mut places = Vec::new();
        for part in parts {
            places.push(self.wrt_place(d, part, &args, span)?);
        }
        let Some(&place) = places.first() else {
            return fail(Diagnostic::error("E0501", "there is nothing to differentiate by").at(span, ""));
        };
        let mut chosen = Vec::new();
        for (part, &place) in parts.iter().zip(&places) {
            let whole = self.settle(&args[place].value, args[place].span)?;
            args[place].value = whole.clone();
            chosen.push(self.part_of(&whole, &part.fields, args[place].span)?);
        }
        let x = match &d.wrt {
            Wrt::One(_) => chosen.swap_remove(0),
            Wrt::Several(_) => Value::tuple(chosen),
        };
        let floats = self.floats(&x);
        if floats.is_empty() {
            let e = Diagnostic::error("E0501", "there is nothing to differentiate by");
            let e = e.at(args[place].span, format!("this is {}, without an f32 or f64", x.describe(&self.b)));
            return fail(if x.leaves().iter().any(|a| matches!(a, Atom::Lit(_))) {
                e.help("write the number with a point: `3.0`")
            } else {
                e
            });
        }
        let (params, inner) = self.with_params(&x);
        for (k, (part, &place)) in parts.iter().zip(&places).enumerate() {
            let new = match (&d.wrt, &inner) {
                (Wrt::Several(_), Value::Tuple(items)) => items[k].clone(),
                _ => inner.clone(),
            };
            args[place].value = replaced(&args[place].value, &part.fields, &new);
        }
        let linked = self.link(&d.of, params, args, span)?;
        if d.kind == DerivativeKind::Jacobian {
            let of_gradient = matches!(*d.of, Function::Derivative(_));
            return self.jacobian(&linked, &x, d.aux, of_gradient, span);
        }
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
        let vjp = self.reverse_here(&linked.function, &floats, &wrt, seed, span)?;
        let gradient = self.in_structure(&x, vjp.gradients);
        let mut results = vjp.results.into_iter();
        let loss = loss.with_leaves(&mut results);
        let aux = aux.with_leaves(&mut results);
        let value = if d.aux { Value::tuple(vec![loss, aux]) } else { loss };
        let value = self.renew_keys(&value);
        Ok(match (d.kind == DerivativeKind::ValueAndGrad, d.aux) {
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
                let e = Diagnostic::error("E0507", "a tangent has the structure of the value");
                return fail(
                    e.at(t.span, format!("{} is {}", m.place(), m.right))
                        .at(x.span, format!("{} is {}", m.place(), m.left)),
                );
            }
        };
        let (points, directions) = (self.floats(&value), self.floats(&tangent));
        let (params, inner) = self.with_params(&value);
        let linked = self.link(f, params, self.spread(f, inner, x.span), span)?;
        let directions: Vec<Option<Atom>> = directions.into_iter().map(Some).collect();
        let (results, tangents) = self.forward_here(&linked.function, &points, &directions, span)?;
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

    /// `vjp(f, x, c)`: the value of `f(x)`, and the cotangent of `x` for the cotangent `c` of the value.
    pub fn backward(&mut self, f: &Rc<Function<'a>>, x: &Arg<'a>, c: &Arg<'a>, span: Span) -> R<Value<'a>> {
        let value = self.settle(&x.value, x.span)?;
        let cotangent = self.settle(&c.value, c.span)?;
        let points = self.floats(&value);
        let (params, inner) = self.with_params(&value);
        let linked = self.link(f, params, self.spread(f, inner, x.span), span)?;
        let cotangent = match crate::tree::join(&self.b, &linked.result, &cotangent) {
            Ok((_, cotangent)) => cotangent,
            Err(m) => {
                let e = Diagnostic::error("E0507", "a cotangent has the structure of the value of the function");
                let e = e.at(c.span, format!("{} is {}", m.place(), m.right));
                return fail(e.at(span, format!("{} is {} in the value", m.place(), m.left)));
            }
        };
        let seeds = cotangent.leaves();
        let seed = move |b: &mut whorl_core::Builder, _: &[Atom]| {
            seeds.into_iter().map(|a| b.ty(a).dtype.is_float().then_some(a)).collect()
        };
        let wrt = vec![true; points.len()];
        let vjp = self.reverse_here(&linked.function, &points, &wrt, seed, span)?;
        let gradient = self.in_structure(&value, vjp.gradients);
        let primal = linked.result.with_leaves(&mut vjp.results.into_iter());
        Ok(Value::tuple(vec![self.renew_keys(&primal), gradient]))
    }

    /// The arguments of a function of several, given as a tuple; a function of one takes what is given.
    fn spread(&self, f: &Function<'a>, given: Value<'a>, span: Span) -> Vec<Arg<'a>> {
        match given {
            Value::Tuple(items) if self.arguments_needed(f) > 1 => {
                items.iter().map(|v| Arg::new(v.clone(), span)).collect()
            }
            one => vec![Arg::new(one, span)],
        }
    }

    /// How many parameters have no default.
    fn arguments_needed(&self, f: &Function<'a>) -> usize {
        let of = |params: &'a [whorl_syntax::ast::FnParam]| params.iter().filter(|p| p.default.is_none()).count();
        match f {
            Function::Item { def, .. } => of(&def.params),
            Function::Closure { lambda, .. } => of(lambda.params),
            Function::Derivative(d) => self.arguments_needed(&d.of),
            Function::Custom(c) => self.arguments_needed(&c.forward),
            Function::Variant { .. } | Function::VariantOf(_) => 1,
            Function::Builtin(b) => b.params.iter().filter(|p| !p.ends_with(['?', '*'])).count(),
        }
    }

    /// A call of `custom_vjp(forward, backward)`: forward runs, and what it gives is marked with the way back.
    pub fn call_custom(&mut self, c: &CustomVjp<'a>, args: Vec<Arg<'a>>, span: Span) -> R<Value<'a>> {
        let mut settled = Vec::with_capacity(args.len());
        for arg in args {
            settled.push(Arg { value: self.settle(&arg.value, arg.span)?, ..arg });
        }
        let given = Value::tuple(settled.iter().map(|a| a.value.clone()).collect());
        let result = self.call(&c.forward, settled.clone(), span)?;
        let (value, kept) = match self.settle(&result, span)? {
            Value::Tuple(parts) if parts.len() == 2 => (parts[0].clone(), parts[1].clone()),
            other => {
                let e =
                    Diagnostic::error("E0506", "the first function of `custom_vjp` gives its value and what to keep");
                let e = e.at(span, format!("it gives {}", other.describe(&self.b)));
                return fail(e.help("`fn(x) = (exp(x), exp(x))`; `(…, ())` keeps nothing"));
            }
        };
        let (xs, ys) = (self.floats(&given), self.floats(&value));
        if xs.is_empty() || ys.is_empty() {
            return Ok(value);
        }
        let fresh = |t: &mut Tracer<'a>, v: &Value<'a>, params: &mut Vec<Var>, only: bool| {
            let Ok(inner) = v.map_leaves::<std::convert::Infallible>(&mut |a| {
                let ty = t.b.ty(a);
                if only && !ty.dtype.is_float() {
                    return Ok(t.b.zeros(&ty));
                }
                let var = t.b.fresh(ty);
                params.push(var);
                Ok(var.into())
            });
            inner
        };
        let mut params = Vec::new();
        self.b.begin();
        let kept_inside = fresh(self, &kept, &mut params, false);
        let mut cotangents = Vec::new();
        let cotangent = fresh(self, &value, &mut cotangents, true);
        let back = self.call(&c.backward, vec![Arg::new(kept_inside, span), Arg::new(cotangent, span)], span)?;
        let back = self.settle(&back, span)?;
        let back = if settled.len() == 1 { Value::tuple(vec![back]) } else { back };
        let back = match crate::tree::join(&self.b, &given, &back) {
            Ok((_, back)) => back,
            Err(m) => {
                let e = Diagnostic::error(
                    "E0506",
                    "the second function of `custom_vjp` gives a cotangent for each argument",
                );
                let e = e.at(span, format!("{} is {}, and the argument {}", m.place(), m.right, m.left));
                return fail(e.help("of the argument's structure; a tuple where there are several arguments"));
            }
        };
        let results = self.floats(&back);
        let body = self.b.end(results);
        let own: Vec<Var> = params.iter().chain(&cotangents).copied().collect();
        let outside: Vec<Var> = free_vars_of(&body).into_iter().filter(|v| !own.contains(v)).collect();
        let mut operands = [xs.clone(), ys.clone(), kept.leaves()].concat();
        operands.extend(outside.iter().map(|v| Atom::Var(*v)));
        params.extend(outside);
        params.extend(cotangents);
        let backward = CoreFunction { params, body };
        let rule = Arc::new(CustomRule { inputs: xs.len(), outputs: ys.len(), backward });
        let marked = self.b.prim(Prim::Custom(Custom { rule, pull: false }), &operands);
        let mut marked = marked.into_iter();
        let value = value.map_leaves::<Box<Diagnostic>>(&mut |a| {
            let float = self.b.ty(a).dtype.is_float();
            Ok(if float { marked.next().unwrap_or(a) } else { a })
        })?;
        Ok(value)
    }

    fn wrt_place(&self, d: &Derivative<'a>, part: &Part, args: &[Arg<'a>], span: Span) -> R<usize> {
        let name = match &part.argument {
            Argument::Place(k) if *k < args.len() => return Ok(*k),
            Argument::Place(k) => {
                let e = Diagnostic::error("E0601", format!("the derivative is by argument number {k}"));
                let e = e.at(span, format!("it has {}", crate::call::arguments(args.len())));
                return fail(match args.len() {
                    0 => e.help("a derivative is of a function of something: `grad(fn(x) = x * x)(3.0)`"),
                    _ => e.help("arguments are counted from 0"),
                });
            }
            Argument::Name(name) => name,
        };
        if let Some(k) = args.iter().position(|a| a.name.is_some_and(|n| *n == **name)) {
            return Ok(k);
        }
        let params = self.parameter_names(&d.of);
        match params.iter().position(|p| p.is_some_and(|p| *p == **name)) {
            Some(k) if k < args.len() => Ok(k),
            _ => {
                let message = format!("there is no argument `{name}` to differentiate by");
                let mut e = Diagnostic::error("E0602", message).at(span, "");
                e.help = did_you_mean(name, params.into_iter().flatten());
                fail(e)
            }
        }
    }

    /// The field at a path.
    fn part_of(&self, v: &Value<'a>, fields: &[Rc<str>], span: Span) -> R<Value<'a>> {
        let Some((name, rest)) = fields.split_first() else { return Ok(v.clone()) };
        match v {
            Value::Record(r) if r.get(name).is_some() => {
                let inner = r.get(name).cloned().unwrap_or(Value::Unit);
                self.part_of(&inner, rest, span)
            }
            Value::Tuple(items) => match name.parse::<usize>().ok().and_then(|k| items.get(k)) {
                Some(inner) => self.part_of(inner, rest, span),
                None => {
                    fail(Diagnostic::error("E0202", format!("there is no `.{name}` to differentiate by")).at(span, ""))
                }
            },
            Value::Array { n, elem } => Ok(Value::array(*n, self.part_of(elem, fields, span)?)),
            other => {
                let e = Diagnostic::error("E0202", format!("there is no field `{name}` to differentiate by"));
                let mut e = e.at(span, format!("this is {}", other.describe(&self.b)));
                if let Value::Record(r) = other {
                    e.help = did_you_mean(name, r.fields.iter().map(|f| f.0));
                }
                fail(e)
            }
        }
    }

    fn parameter_names(&self, f: &Function<'a>) -> Vec<Option<&'a str>> {
        let of = |params: &'a [whorl_syntax::ast::FnParam]| params.iter().map(crate::call::param_name).collect();
        match f {
            Function::Item { def, .. } => of(&def.params),
            Function::Closure { lambda, .. } => of(lambda.params),
            Function::Derivative(d) => self.parameter_names(&d.of),
            Function::Custom(c) => self.parameter_names(&c.forward),
            Function::Variant { .. } | Function::VariantOf(_) => Vec::new(),
            Function::Builtin(b) => b.params.iter().map(|p| Some(p.trim_end_matches(['?', '*']))).collect(),
        }
    }

    pub(crate) fn is_float(&self, a: Atom) -> bool {
        self.b.ty(a).dtype.is_float()
    }

    pub(crate) fn floats(&self, v: &Value<'a>) -> Vec<Atom> {
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
        if self.b.vars.len() > MOST_VALUES {
            let e = Diagnostic::error("E0604", "derivatives of this program come to no end").at(span, "");
            let e = e.note(format!("{MOST_VALUES} values so far: a derivative of a derivative is about twice as long"));
            return fail(e.help("differentiate fewer times, or a smaller function"));
        }
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

    pub(crate) fn ad_error(&self, e: AdError, span: Span) -> Box<Diagnostic> {
        let mut d = Diagnostic::error(e.code, e.message);
        d.help = e.help;
        for s in &e.spans {
            d = d.at(*s, "");
        }
        Box::new(d.at(span, "differentiated here"))
    }
}

/// The value with the part at a path replaced.
fn replaced<'a>(v: &Value<'a>, fields: &[Rc<str>], new: &Value<'a>) -> Value<'a> {
    let Some((name, rest)) = fields.split_first() else { return new.clone() };
    match v {
        Value::Record(r) => {
            let fields = r
                .fields
                .iter()
                .map(|(n, old)| (*n, if **name == **n { replaced(old, rest, new) } else { old.clone() }));
            Value::Record(Rc::new(Record { name: r.name, fields: fields.collect() }))
        }
        Value::Tuple(items) => {
            let at = name.parse::<usize>().ok();
            let items = items.iter().enumerate();
            Value::tuple(
                items.map(|(k, old)| if at == Some(k) { replaced(old, rest, new) } else { old.clone() }).collect(),
            )
        }
        Value::Array { n, elem } => {
            let inner = match new {
                Value::Array { elem, .. } => elem,
                other => other,
            };
            Value::array(*n, replaced(elem, fields, inner))
        }
        other => other.clone(),
    }
}
