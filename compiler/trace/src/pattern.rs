//! Binding values to patterns.

use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Pattern, PatternKind};

use crate::names::{did_you_mean, listed};
use crate::tracer::{Tracer, fail};
use crate::value::{Env, Of, R, Value};

impl<'a> Tracer<'a> {
    /// Binds the names of `pattern` to the parts of `value`. `(a, b)` also takes apart an array of tuples, part by part,
    /// and an array of as many keys; `[a, b]` takes an array apart by its first axis.
    pub fn bind(&mut self, pattern: &'a Pattern, value: Value<'a>, env: &mut Env<'a>) -> R<()> {
        match &pattern.kind {
            PatternKind::Name(name) => {
                self.bind_name(name, value, pattern.span, env);
                Ok(())
            }
            PatternKind::Ignore | PatternKind::Error => Ok(()),
            PatternKind::Tuple(parts) => {
                let values = self.tuple_parts(pattern.span, &value, parts.len())?;
                parts.iter().zip(values).try_for_each(|(p, v)| self.bind(p, v, env))
            }
            PatternKind::Array(parts) => {
                let values = self.array_parts(pattern.span, &value, parts.len())?;
                parts.iter().zip(values).try_for_each(|(p, v)| self.bind(p, v, env))
            }
            PatternKind::Record(fields) => {
                for (name, inner) in fields {
                    let part = self.field(&value, name, pattern.span)?;
                    match inner {
                        Some(p) => self.bind(p, part, env)?,
                        None => {
                            self.name_key(&part, &name.text, name.span);
                            env.bind(&name.text, part, name.span);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    pub fn bind_name(&mut self, name: &'a str, value: Value<'a>, span: Span, env: &mut Env<'a>) {
        let mut leaves = Vec::new();
        value.leaf_paths(name, &mut leaves);
        for (path, a) in leaves {
            if let Some(v) = a.var() {
                self.b.vars.set_name(v, path);
            }
        }
        self.name_key(&value, name, span);
        env.bind(name, value, span);
    }

    pub fn tuple_parts(&mut self, pattern: Span, value: &Value<'a>, count: usize) -> R<Vec<Value<'a>>> {
        let found = match value {
            Value::Tuple(items) if items.len() == count => return Ok(items.to_vec()),
            Value::Tuple(items) => format!("the value is a tuple of {}", items.len()),
            Value::Array { n, elem } => match &**elem {
                Value::Tuple(items) if items.len() == count => {
                    return Ok(items.iter().map(|v| Value::array(*n, v.clone())).collect());
                }
                Value::Key(_) if *n == count => return self.array_parts(pattern, value, count),
                Value::Key(_) => format!("the value is {n} keys"),
                _ => format!("the value is {}", value.describe(&self.b)),
            },
            Value::Leaf(a) if self.b.ty(*a).shape.first() == Some(&count) => {
                let e = Diagnostic::error("E0208", format!("a tuple pattern for {}", value.describe(&self.b)));
                return fail(e.at(pattern, "").help("an array is taken apart by `[a, b]`"));
            }
            other => format!("the value is {}", other.describe(&self.b)),
        };
        fail(Diagnostic::error("E0208", format!("this pattern takes a tuple of {count}")).at(pattern, found))
    }

    pub fn array_parts(&mut self, pattern: Span, value: &Value<'a>, count: usize) -> R<Vec<Value<'a>>> {
        if let Value::List(items) = value
            && items.len() == count
        {
            return Ok(items.to_vec());
        }
        let value = match value {
            Value::List(_) | Value::Range(..) => &self.settle(value, pattern)?,
            other => other,
        };
        let (sizes, _) = value.outer(&self.b);
        match sizes.first() {
            Some(&n) if n == count => (0..n).map(|i| self.element(value, i, pattern)).collect(),
            Some(n) => {
                let e = Diagnostic::error("E0208", format!("this pattern takes {count} elements"));
                fail(e.at(pattern, format!("the array has {n}")))
            }
            None => {
                let e = Diagnostic::error("E0208", "this pattern takes an array");
                let e = e.at(pattern, format!("the value is {}", value.describe(&self.b)));
                fail(if matches!(value, Value::Tuple(_)) { e.help("a tuple is taken apart by `(a, b)`") } else { e })
            }
        }
    }

    /// `v.name`: of a record, or of every record in an array.
    pub fn field(&mut self, v: &Value<'a>, name: &'a whorl_syntax::ast::Name, whole: Span) -> R<Value<'a>> {
        match v {
            Value::Record(r) if matches!(r.name, Some(Of::Enum(_))) => {
                let Some(Of::Enum(of)) = r.name else { return Ok(v.clone()) };
                let variants = listed(of.def.variants.iter().map(|v| v.name.text.as_str()));
                let e =
                    Diagnostic::error("E0202", format!("there is no field `{}` before it is known which", name.text));
                let e = e.at(name.span, format!("this is {}, one of {variants}", of.def.name.text));
                fail(e.help("`match` tells the variants apart and binds their fields"))
            }
            Value::Record(r) => match r.get(&name.text) {
                Some(v) => Ok(v.clone()),
                None => {
                    let of = r.name.map_or("the record".to_string(), |n| format!("`{}`", n.name()));
                    let mut e =
                        Diagnostic::error("E0202", format!("{of} has no field `{}`", name.text)).at(name.span, "");
                    e.help = did_you_mean(&name.text, r.fields.iter().map(|f| f.0));
                    let module = self.script.module(self.module);
                    if module.values.contains_key(&name.text) || crate::builtins::find(&name.text).is_some() {
                        let receiver = self.plain_text(whole, "x");
                        e.help = Some(format!("functions are not methods: `{}({receiver}, …)`", name.text));
                    }
                    fail(e.note(format!("its fields are {}", listed(r.fields.iter().map(|f| f.0)))))
                }
            },
            Value::Array { n, elem } => {
                let part = self.field(elem, name, whole)?;
                Ok(Value::array(*n, part))
            }
            Value::Module(id) => self.module_member(*id, name),
            other => {
                let mut e = Diagnostic::error("E0202", format!("there is no field `{}` here", name.text));
                let receiver = self.text(whole);
                let receiver = if receiver.starts_with('`') { receiver.trim_matches('`') } else { "" };
                e.help = crate::habits::of_member(&name.text, receiver);
                fail(e.at(whole, format!("this is {}", other.describe(&self.b))))
            }
        }
    }
}
