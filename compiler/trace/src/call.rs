//! Calls: arguments to parameters, the body, and what an error says of the way there.

use std::rc::Rc;

use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Expr, FnParam, PatternKind, Type};

use crate::limits::MOST_CALLS;
use crate::names::{did_you_mean, listed};
use crate::report::Call;
use crate::script::ModuleId;
use crate::tracer::{Tracer, fail};
use crate::types::Site;
use crate::value::{Arg, Env, Function, R, Value};

/// Calls inside of one another; more is recursion that does not end, since every call is traced.
const DEEPEST: usize = 200;

/// A function of the user's, ready to be run.
struct Callee<'a> {
    name: &'a str,
    module: ModuleId,
    env: Env<'a>,
    params: &'a [FnParam],
    result: Option<&'a Type>,
    body: &'a Expr,
}

impl<'a> Tracer<'a> {
    pub fn call(&mut self, f: &Rc<Function<'a>>, args: Vec<Arg<'a>>, span: Span) -> R<Value<'a>> {
        let callee = match &**f {
            Function::Builtin(b) => return crate::builtins::call(self, b, args, span),
            Function::Derivative(d) => return self.call_derivative(d, args, span),
            Function::Custom(c) => return self.call_custom(c, args, span),
            Function::Variant { of, variant, types } => {
                return self.call_variant(*of, *variant, types.clone(), args, span);
            }
            Function::VariantOf(of) => return self.variant_of(*of, args, span),
            Function::Item { module, def } => {
                if *module == ModuleId::MAIN {
                    self.script.called.lock().unwrap_or_else(|e| e.into_inner()).insert(def.name.span);
                }
                Callee {
                    name: &def.name.text,
                    module: *module,
                    env: Env::default(),
                    params: &def.params,
                    result: def.result.as_ref(),
                    body: &def.body,
                }
            }
            Function::Closure { module, env, lambda, .. } => Callee {
                name: "",
                module: *module,
                env: env.clone(),
                params: lambda.params,
                result: lambda.result,
                body: lambda.body,
            },
        };
        if self.stack.len() >= DEEPEST {
            let name = if callee.name.is_empty() { "a function" } else { callee.name };
            let e = Diagnostic::error("E0604", format!("`{name}` calls itself without end")).at(span, "again here");
            let e = e.note("every call is followed when the program is traced, also in an arm that would not be taken");
            return fail(e.help(
                "a loop carries what changes from call to call:\n\
                 `scan s = s0 for i in 0..n { … }` for a number of rounds known before the program runs,\n\
                 `while s = s0; condition { … }` for any other",
            ));
        }
        self.calls += 1;
        if self.calls > MOST_CALLS {
            let e = Diagnostic::error("E0604", "following the calls of this program comes to no end").at(span, "");
            let e = e.note(format!("{MOST_CALLS} calls so far: every call is followed when the program is traced"));
            return fail(e.help(
                "functions that call one another several times over are better loops: `for`, `scan` and `while`",
            ));
        }
        let given = self.place(&callee, args, span)?;
        let caller = std::mem::replace(&mut self.function, callee.name);
        self.stack.push(Call { span, by: caller, sizes: Vec::new() });
        let module = std::mem::replace(&mut self.module, callee.module);
        self.yields.push(None);
        let result = self.run(&callee, given, span).map_err(|mut e| {
            self.trail(&mut e);
            e
        });
        self.stack.pop();
        self.yields.pop();
        self.module = module;
        self.function = caller;
        result
    }

    fn run(&mut self, f: &Callee<'a>, given: Vec<Option<Arg<'a>>>, span: Span) -> R<Value<'a>> {
        let mut env = f.env.clone();
        for (param, arg) in f.params.iter().zip(given) {
            let arg = match (arg, &param.default) {
                (Some(arg), _) => arg,
                (None, Some(default)) => self.arg(default, &env)?,
                (None, None) => return self.missing(f, param, span),
            };
            let value = match &param.ty {
                Some(ty) => {
                    let what = format!("the argument `{}`", self.text(param.pattern.span).trim_matches('`'));
                    self.promise_param(&arg.value, ty, &mut env, &Site::new(what, arg.span))?
                }
                None => arg.value.clone(),
            };
            if let (Value::Int(_), Some(name), Some(call)) = (&value, param_name(param), self.stack.last_mut()) {
                call.sizes.push((name, arg.span));
            }
            self.bind(&param.pattern, value, &mut env)?;
        }
        let value = self.expr(f.body, &env)?;
        match f.result {
            Some(ty) => {
                let place = result_span(f.body);
                self.promise(&value, ty, &mut env, &Site::new("the result", place))
            }
            None => Ok(value),
        }
    }

    /// Arguments by parameter.
    fn place(&mut self, f: &Callee<'a>, args: Vec<Arg<'a>>, span: Span) -> R<Vec<Option<Arg<'a>>>> {
        let mut given: Vec<Option<Arg<'a>>> = vec![None; f.params.len()];
        let mut next = 0;
        for arg in args {
            let place = match arg.name {
                Some(name) => match f.params.iter().position(|p| param_name(p) == Some(name)) {
                    Some(k) => k,
                    None => {
                        let mut e = Diagnostic::error("E0602", format!("{} has no parameter `{name}`", called(f)));
                        e.help = did_you_mean(name, f.params.iter().filter_map(param_name));
                        if e.help.is_none() {
                            let names = listed(f.params.iter().filter_map(param_name));
                            e.notes.push(format!("its parameters are {names}"));
                        }
                        return fail(e.at(self.name_span(name, arg.span), ""));
                    }
                },
                None => {
                    next += 1;
                    next - 1
                }
            };
            match given.get_mut(place) {
                None => {
                    let takes = format!("{} takes {}", called(f), arguments(f.params.len()));
                    let given = given.iter().flatten().count() + 1;
                    let names = listed(f.params.iter().filter_map(param_name));
                    return fail(
                        Diagnostic::error("E0601", takes)
                            .at(arg.span, format!("this is argument {given}"))
                            .note(format!("its parameters are {names}")),
                    );
                }
                Some(Some(_)) => {
                    let name = param_name(&f.params[place]).unwrap_or("this parameter");
                    return fail(
                        Diagnostic::error("E0602", format!("`{name}` is given twice")).at(arg.span, "").at(span, ""),
                    );
                }
                Some(slot) => *slot = Some(arg),
            }
        }
        Ok(given)
    }

    /// Where the name of a named argument stands, before its value.
    pub fn name_span(&self, name: &str, value: Span) -> Span {
        let before = self.script.map.file(value.file).and_then(|f| f.text.get(..value.start as usize));
        match before.and_then(|t| t.rfind(name)) {
            Some(start) => Span::new(value.file, start, start + name.len()),
            None => value,
        }
    }

    fn missing<T>(&self, f: &Callee<'a>, param: &FnParam, span: Span) -> R<T> {
        let name = param_name(param).unwrap_or("…");
        let e = Diagnostic::error("E0601", format!("{} needs `{name}`", called(f))).at(span, "not given here");
        fail(e.at(param.pattern.span, "declared here"))
    }
}

fn called(f: &Callee) -> String {
    if f.name.is_empty() { "this function".to_string() } else { format!("`{}`", f.name) }
}

pub fn arguments(n: usize) -> String {
    match n {
        0 => "no arguments".to_string(),
        1 => "1 argument".to_string(),
        n => format!("{n} arguments"),
    }
}

pub fn param_name(p: &FnParam) -> Option<&str> {
    match &p.pattern.kind {
        PatternKind::Name(name) => Some(name),
        PatternKind::Ignore
        | PatternKind::Tuple(_)
        | PatternKind::Array(_)
        | PatternKind::Record(_)
        | PatternKind::Error => None,
    }
}

/// Where a body's value is written.
pub fn result_span(body: &Expr) -> Span {
    match &body.kind {
        whorl_syntax::ast::ExprKind::Block(b) => b.result.as_ref().map_or(body.span, |r| result_span(r)),
        _ => body.span,
    }
}
