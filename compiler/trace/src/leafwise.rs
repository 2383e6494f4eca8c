//! What works on each leaf of records, tuples and arrays of them: arithmetic, `tree_map`, most of the library.

use whorl_source::{Diagnostic, Span};

use crate::tracer::{Tracer, fail};
use crate::value::{Arg, Of, R, Record, Value};

/// What is done with the leaves that stand at one place of every tree.
pub type OnLeaves<'f, 'a> = &'f mut dyn FnMut(&mut Tracer<'a>, &[Arg<'a>]) -> R<Value<'a>>;

impl<'a> Tracer<'a> {
    /// Calls `f` with the corresponding leaves of trees of one structure; scalars go along to every leaf.
    /// The result has the structure of the first tree. `what` names the operation in errors.
    pub fn leafwise(&mut self, what: &str, args: &[Arg<'a>], f: OnLeaves<'_, 'a>) -> R<Value<'a>> {
        let Some(first) = args.iter().position(|a| a.value.is_tree()) else {
            return f(self, args);
        };
        match args[first].value.clone() {
            Value::Tuple(items) => {
                let parts = (0..items.len()).map(|i| {
                    let name = i.to_string();
                    self.part(what, args, first, &name, f, &|v| match v {
                        Value::Tuple(other) if other.len() == items.len() => other.get(i).cloned(),
                        _ => None,
                    })
                });
                Ok(Value::tuple(parts.collect::<R<_>>()?))
            }
            Value::Record(record) => {
                let mut fields = Vec::new();
                for (name, _) in &record.fields {
                    let part = self.part(what, args, first, name, f, &|v| match v {
                        Value::Record(other) if same_fields(&record, other) => other.get(name).cloned(),
                        _ => None,
                    })?;
                    fields.push((*name, part));
                }
                Ok(Value::record(record.name, fields))
            }
            Value::Array { n, .. } => {
                let elem = self.part(what, args, first, "", f, &|v| match v {
                    Value::Array { n: m, elem } if *m == n => Some((**elem).clone()),
                    _ => None,
                })?;
                Ok(Value::array(n, elem))
            }
            other => f(self, &[Arg { value: other, ..args[first].clone() }]),
        }
    }

    fn part(
        &mut self,
        what: &str,
        args: &[Arg<'a>],
        first: usize,
        name: &str,
        f: OnLeaves<'_, 'a>,
        pick: &dyn Fn(&Value<'a>) -> Option<Value<'a>>,
    ) -> R<Value<'a>> {
        let mut parts = Vec::with_capacity(args.len());
        for arg in args {
            let value = if arg.value.is_tree() { pick(&arg.value) } else { self.scalar_beside_tree(&arg.value) };
            match value {
                Some(value) => parts.push(Arg { value, ..arg.clone() }),
                None => return self.structures_differ(what, &args[first], arg),
            }
        }
        self.leafwise(what, &parts, f).map_err(|mut e| {
            if !name.is_empty() {
                match e.notes.iter_mut().find(|n| n.starts_with("in the part ")) {
                    Some(note) => *note = format!("in the part {name}.{}", &note["in the part ".len()..]),
                    None => e.notes.push(format!("in the part {name}")),
                }
            }
            e
        })
    }

    /// A number beside a tree goes to all its leaves; an array does not, nor does anything else but a function.
    fn scalar_beside_tree(&self, v: &Value<'a>) -> Option<Value<'a>> {
        match v {
            Value::Leaf(a) if self.b.ty(*a).is_scalar() => Some(v.clone()),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => Some(v.clone()),
            Value::Leaf(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Unit
            | Value::Tuple(_)
            | Value::Record(_)
            | Value::Array { .. }
            | Value::Key(_)
            | Value::Function(_)
            | Value::Module(_)
            | Value::Range(..) => None,
        }
    }

    fn structures_differ<T>(&self, what: &str, first: &Arg<'a>, other: &Arg<'a>) -> R<T> {
        let e = Diagnostic::error("E0206", format!("{what} needs values of the same structure"));
        let e = e.at(other.span, other.value.describe(&self.b)).at(first.span, first.value.describe(&self.b));
        fail(e.note("records, tuples and arrays of them work part by part, with one another and with scalars"))
    }

    /// One tree and a function of one leaf.
    pub fn leafwise1(
        &mut self,
        what: &str,
        v: &Value<'a>,
        span: Span,
        f: &mut dyn FnMut(&mut Tracer<'a>, &Arg<'a>) -> R<Value<'a>>,
    ) -> R<Value<'a>> {
        self.leafwise(what, &[Arg::new(v.clone(), span)], &mut |t, leaves| f(t, &leaves[0]))
    }
}

fn same_fields(a: &Record, b: &Record) -> bool {
    Of::fits(a.name, b.name) && a.fields.len() == b.fields.len() && a.fields.iter().all(|(n, _)| b.get(n).is_some())
}
