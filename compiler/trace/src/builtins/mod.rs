//! The functions that are there without an import: one row each, with parameters, documentation and what it does.
//!
//! A parameter `x?` may be left out, `x*` takes any number of arguments; what stands behind it goes by name only.

mod arrays;
mod examples;
mod files;
mod functions;
mod loops;
mod math;
mod numbers;
mod order;
mod random;
mod reduce;
mod trees;

use whorl_source::{Diagnostic, Span};

use crate::call::arguments;
use crate::limits::MOST_ELEMENTS;
use crate::names::{did_you_mean, listed};
use crate::tracer::{Tracer, fail};
use crate::value::{Arg, R, Value};

pub struct Builtin {
    pub name: &'static str,
    pub params: &'static [&'static str],
    pub doc: &'static str,
    pub run: for<'a> fn(&mut Tracer<'a>, &Given<'a>) -> R<Value<'a>>,
}

/// A row of the table, for the book and for editors.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BuiltinDoc {
    pub name: &'static str,
    /// `x?` may be left out, `x*` takes any number.
    pub params: &'static [&'static str],
    pub doc: &'static str,
    /// Lines of code with what they give, as in doc comments.
    pub example: Option<&'static str>,
}

/// Every function that is there without an import.
pub fn prelude() -> impl Iterator<Item = BuiltinDoc> {
    rows().map(|b| BuiltinDoc { name: b.name, params: b.params, doc: b.doc, example: examples::find(b.name) })
}

fn rows() -> impl Iterator<Item = &'static Builtin> {
    [
        math::TABLE,
        numbers::TABLE,
        reduce::TABLE,
        arrays::TABLE,
        order::TABLE,
        loops::TABLE,
        trees::TABLE,
        random::TABLE,
        functions::TABLE,
        files::TABLE,
    ]
    .into_iter()
    .flatten()
}

pub fn find(name: &str) -> Option<&'static Builtin> {
    rows().find(|b| b.name == name)
}

pub fn names() -> impl Iterator<Item = &'static str> {
    rows().map(|b| b.name)
}

/// The arguments of a call, by parameter.
pub struct Given<'a> {
    pub name: &'static str,
    pub span: Span,
    slots: Vec<Option<Arg<'a>>>,
    /// What `x*` took.
    pub rest: Vec<Arg<'a>>,
}

impl<'a> Given<'a> {
    /// A parameter that may be left out, by its place.
    pub fn opt(&self, k: usize) -> Option<&Arg<'a>> {
        self.slots.get(k).and_then(Option::as_ref)
    }

    /// A parameter that was given, as [`call`] saw to.
    pub fn arg(&self, k: usize) -> Arg<'a> {
        self.opt(k).cloned().unwrap_or(Arg::new(Value::Unit, self.span))
    }
}

pub fn call<'a>(t: &mut Tracer<'a>, b: &'static Builtin, args: Vec<Arg<'a>>, span: Span) -> R<Value<'a>> {
    let many = b.params.iter().position(|p| p.ends_with('*'));
    let positional = many.unwrap_or(b.params.len());
    let mut given = Given { name: b.name, span, slots: vec![None; b.params.len()], rest: Vec::new() };
    let mut next = 0;
    for arg in args {
        let place = match arg.name {
            Some(name) => b.params.iter().position(|p| plain(p) == name && !p.ends_with('*')),
            None if next < positional => {
                next += 1;
                Some(next - 1)
            }
            None if many.is_some() => {
                given.rest.push(arg);
                continue;
            }
            None => {
                let e = Diagnostic::error("E0601", format!("`{}` takes {}", b.name, arguments(b.params.len())));
                let e = e.at(arg.span, format!("this is argument {}", next + 1)).note(signature(b));
                return fail(if b.name == "arange" { e.help("`2..5` goes from one number to another") } else { e });
            }
        };
        match place {
            Some(k) if given.slots[k].is_none() => given.slots[k] = Some(arg),
            Some(k) => {
                let e = Diagnostic::error("E0602", format!("`{}` is given twice", plain(b.params[k])));
                return fail(e.at(arg.span, "").note(signature(b)));
            }
            None => {
                let name = arg.name.unwrap_or("");
                let mut e = Diagnostic::error("E0602", format!("`{}` has no parameter `{name}`", b.name));
                e.help = crate::habits::of_argument(name, b.params)
                    .or_else(|| did_you_mean(name, b.params.iter().map(|p| plain(p))));
                return fail(e.at(t.name_span(name, arg.span), "").note(signature(b)));
            }
        }
    }
    let missing = b.params.iter().enumerate().filter(|(k, p)| !p.ends_with(['?', '*']) && given.slots[*k].is_none());
    let missing: Vec<&str> = missing.map(|(_, p)| *p).collect();
    if !missing.is_empty() {
        let e = Diagnostic::error("E0601", format!("`{}` needs {}", b.name, listed(missing)));
        return fail(e.at(span, "").note(signature(b)));
    }
    let outer = t.b.at(span);
    let value = (b.run)(t, &given);
    t.b.at_spans(outer);
    if let Ok(made) = &value {
        note_sizes(t, b, &given, made);
    }
    value
}

/// Remembers where the sizes of a new array are written.
fn note_sizes<'a>(t: &mut Tracer<'a>, b: &Builtin, given: &Given<'a>, made: &Value<'a>) {
    if b.params.contains(&"sizes*") && !given.rest.is_empty() {
        t.note_made(made, &given.rest, 0);
    }
    let n = b.params.iter().position(|p| plain(p) == "n").and_then(|k| given.opt(k));
    match (b.name, n) {
        ("arange" | "linspace" | "permutation" | "split", Some(n)) => t.note_made(made, std::slice::from_ref(n), 0),
        ("eye", Some(n)) => t.note_made(made, &[n.clone(), n.clone()], 0),
        _ => {}
    }
}

fn plain(param: &str) -> &str {
    param.trim_end_matches(['?', '*'])
}

fn signature(b: &Builtin) -> String {
    format!("{}({}): {}", b.name, b.params.join(", ").replace('*', "…"), b.doc)
}

impl<'a> Tracer<'a> {
    /// Sizes as arguments: one by one, or as a list.
    pub(crate) fn sizes(&mut self, args: &[Arg<'a>]) -> R<Vec<usize>> {
        let mut out = Vec::new();
        for arg in args {
            match &arg.value {
                Value::List(items) | Value::Tuple(items) => {
                    for v in items.iter() {
                        out.push(self.size(v, arg.span)?);
                    }
                }
                Value::Unit => {}
                v => out.push(self.size(v, arg.span)?),
            }
        }
        let total = out.iter().try_fold(1usize, |total, n| total.checked_mul(*n));
        match (total, args.last()) {
            (Some(total), _) if total <= MOST_ELEMENTS => Ok(out),
            (_, None) => Ok(out),
            (_, Some(last)) => fail(Diagnostic::error("E0105", "this array is too large").at(last.span, "")),
        }
    }

    /// An axis of an array of so many, counted from the end if it is negative.
    pub(crate) fn axis(&mut self, arg: &Arg<'a>, rank: usize) -> R<usize> {
        let Value::Int(k) = arg.value else {
            return self.size(&arg.value, arg.span);
        };
        let from_front = if k < 0 { k + rank as i64 } else { k };
        if (0..rank as i64).contains(&from_front) {
            return Ok(from_front as usize);
        }
        let axes = if rank == 1 { "1 axis, 0".to_string() } else { format!("{rank} axes, from 0") };
        fail(Diagnostic::error("E0107", format!("there is no axis {k}")).at(arg.span, format!("the array has {axes}")))
    }

    /// `dtype: i32`: a conversion function stands for its type.
    pub(crate) fn dtype(&self, arg: Option<&Arg<'a>>, default: whorl_core::DType) -> R<whorl_core::DType> {
        let Some(arg) = arg else { return Ok(default) };
        let name = match &arg.value {
            Value::Function(f) => f.name(),
            _ => String::new(),
        };
        match whorl_core::DType::ALL.into_iter().find(|d| d.name() == name) {
            Some(d) => Ok(d),
            None => fail(
                Diagnostic::error("E0206", "an element type is needed here").at(arg.span, "").help("`f32`, `i32`, …"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn examples_are_of_functions_and_in_order() {
        let examples: Vec<&str> = super::examples::names().collect();
        let strays: Vec<_> = examples.iter().filter(|n| super::find(n).is_none()).collect();
        assert!(strays.is_empty(), "{strays:?}");
        assert!(examples.is_sorted());
    }
}
