//! The type of a function as it was traced, in the user's words: records with their fields, sizes by the names that they were
//! written with.
//!
//! ```text
//! main(key: Key) -> { weight: f32[n_in, hidden], bias: f32[hidden] }[seeds]      n_in = 4, hidden = 64, seeds = 8
//! ```

use whorl_source::{Diagnostic, Span};

use crate::entry::{Traced, main_arguments};
use crate::origin::Makers;
use crate::script::Script;
use crate::tracer::{Tracer, own_dtype};
use crate::value::Value;

/// A function's type.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Signature {
    pub params: Vec<(String, Shown)>,
    pub result: Shown,
    /// What the sizes' names stand for, in the order of their use.
    pub sizes: Vec<(String, usize)>,
}

/// A type, to be laid out.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Shown {
    /// `f32[n, 4]`, `Key`, a name of the user's.
    Word(String),
    #[default]
    Unit,
    Tuple(Vec<Shown>),
    /// With the name that it was declared by.
    Record(Option<String>, Vec<(String, Shown)>),
    /// Arrays of these, and their sizes.
    Array(Box<Shown>, Vec<String>),
}

impl Script {
    /// As [`Script::trace_main`], and the type of `main`.
    pub fn trace_main_shown(&self) -> Result<(Traced, Signature), Vec<Diagnostic>> {
        let args = main_arguments(self)?;
        let mut signature = Signature::default();
        let mut traced = self.traced(|t| {
            let (params, result) = t.entry("main", args)?;
            t.check_eval(&result)?;
            signature = t.signature(&result);
            Ok((params, result))
        })?;
        if let (false, Some(name)) = (args.is_empty(), traced.params.first().and_then(|p| p.path.strip_suffix(".0"))) {
            signature.params.push((name.to_string(), Shown::Word("Key".to_string())));
        }
        traced.warnings.splice(0..0, self.unused().iter().cloned());
        Ok((traced, signature))
    }
}

impl Shown {
    /// On one line.
    pub fn text(&self) -> String {
        match self {
            Shown::Word(text) => text.clone(),
            Shown::Unit => "()".to_string(),
            Shown::Tuple(parts) => format!("({})", parts.iter().map(Shown::text).collect::<Vec<_>>().join(", ")),
            Shown::Record(name, fields) => {
                let fields: Vec<String> = fields.iter().map(|(n, v)| format!("{n}: {}", v.text())).collect();
                let name = name.as_ref().map_or(String::new(), |n| format!("{n} "));
                if fields.is_empty() { format!("{name}{{}}") } else { format!("{name}{{ {} }}", fields.join(", ")) }
            }
            Shown::Array(of, sizes) => format!("{}[{}]", of.text(), sizes.join(", ")),
        }
    }
}

impl<'a> Tracer<'a> {
    fn signature(&self, result: &Value<'a>) -> Signature {
        let makers = self.makers();
        let mut sizes = Vec::new();
        let result = self.shown(result, &makers, &mut Vec::new(), &mut sizes);
        Signature { params: Vec::new(), result, sizes }
    }

    /// `outer`: of the arrays around, the sizes; the first array of numbers inside knows their names.
    fn shown(&self, v: &Value<'a>, makers: &Makers, outer: &mut Vec<usize>, sizes: &mut Vec<(String, usize)>) -> Shown {
        match v {
            Value::Leaf(a) => {
                let axes = self.axis_names(makers, *a, sizes);
                let dtype = self.b.ty(*a).dtype.name();
                let own = &axes[outer.len().min(axes.len())..];
                Shown::Word(if own.is_empty() { dtype.to_string() } else { format!("{dtype}[{}]", own.join(", ")) })
            }
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => Shown::Word(own_dtype(v).name().to_string()),
            Value::Str(_) => Shown::Word("string".to_string()),
            Value::List(items) => {
                let dtype = items.first().map_or("f32", |v| own_dtype(v).name());
                Shown::Word(format!("{dtype}[{}]", items.len()))
            }
            Value::Range(from, to) => Shown::Word(format!("i32[{}]", (to - from).max(0))),
            Value::Unit => Shown::Unit,
            Value::Tuple(parts) => Shown::Tuple(parts.iter().map(|p| self.shown(p, makers, outer, sizes)).collect()),
            Value::Record(r) => {
                let fields = r.fields.iter();
                let fields = fields.map(|(n, v)| (n.to_string(), self.shown(v, makers, outer, sizes)));
                Shown::Record(r.name.map(|n| n.name().to_string()), fields.collect())
            }
            Value::Array { n, elem } => {
                let (mut all, mut inner) = (vec![*n], &**elem);
                while let Value::Array { n, elem } = inner {
                    all.push(*n);
                    inner = elem;
                }
                let first = outer.len();
                outer.extend(&all);
                let names = inner.leaves().first().map(|a| self.axis_names(makers, *a, sizes)).unwrap_or_default();
                let name = |k: usize| names.get(first + k).cloned().unwrap_or_else(|| all[k].to_string());
                let names = (0..all.len()).map(name).collect();
                let of = self.shown(inner, makers, outer, sizes);
                outer.truncate(first);
                Shown::Array(Box::new(of), names)
            }
            Value::Key(_) => Shown::Word("Key".to_string()),
            Value::Function(_) => Shown::Word("function".to_string()),
            Value::Module(_) => Shown::Word("module".to_string()),
        }
    }

    /// The sizes of an array by their names, each of which stands for one size; by numbers where they have none.
    fn axis_names(&self, makers: &Makers, a: whorl_core::Atom, sizes: &mut Vec<(String, usize)>) -> Vec<String> {
        let ty = self.b.ty(a);
        let named = self.named_by(makers, a, Span::NONE).axes.into_iter().chain(std::iter::repeat(None));
        let name = |(name, n): (Option<String>, &usize)| match name {
            Some(name) => match sizes.iter().find(|(known, _)| *known == name) {
                Some((_, m)) if m == n => name,
                Some(_) => n.to_string(),
                None => {
                    sizes.push((name.clone(), *n));
                    name
                }
            },
            None => n.to_string(),
        };
        named.zip(&ty.shape).map(name).collect()
    }
}
