//! What an expression comes to: its structure, over the arrays that its program gives. With the arrays it is a value that a
//! session keeps and uses in later programs.

use std::sync::Arc;

use whorl_core::{ArrayData, Builder, DType, Type};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{EnumDef, ItemKind};

use crate::script::{ItemId, ModuleId};
use crate::tracer::{Tracer, fail, own_dtype, wider};
use crate::tree::{shape_text, type_text};
use crate::value::{EnumRef, Function, Of, R, Value};

/// The structure of a value; its arrays follow one another in the order of the leaves.
#[derive(Clone, PartialEq, Debug)]
pub enum Outline {
    /// A number, or an array of numbers: one array. Inside of [`Outline::Array`] without the sizes around it.
    Numbers(Type),
    /// Known while tracing: no array.
    Known(Known),
    /// Two arrays.
    Key,
    Unit,
    Tuple(Vec<Outline>),
    Record {
        name: Option<String>,
        fields: Vec<(String, Outline)>,
    },
    /// The first field is the tag, the others are the fields of all variants.
    Enum {
        of: EnumName,
        variants: Vec<(String, bool, usize)>,
        fields: Vec<(String, Outline)>,
    },
    /// `n` of what is no number, held as one of arrays.
    Array(usize, Box<Outline>),
    /// Said in words.
    Function(String),
    /// By its path.
    Module(String),
}

/// A number or a string known while tracing; such a number takes the type of what it meets.
#[derive(Clone, PartialEq, Debug)]
pub enum Known {
    Int(i64),
    Float(f64),
    Bool(bool),
    Str(String),
    List(Vec<Known>),
    Range(i64, i64),
}

/// An enum as it was when a value of it was made.
#[derive(Clone, PartialEq, Debug)]
pub struct EnumName {
    pub name: String,
    /// What the file is called that declares it.
    file: String,
    /// The text of its declaration.
    text: String,
}

/// A value of an earlier program.
#[derive(Clone, PartialEq, Debug)]
pub struct Kept {
    pub outline: Outline,
    pub arrays: Vec<Arc<ArrayData>>,
}

impl Outline {
    /// How many arrays it has.
    pub fn arrays(&self) -> usize {
        match self {
            Outline::Numbers(_) => 1,
            Outline::Key => 2,
            Outline::Known(_) | Outline::Unit | Outline::Function(_) | Outline::Module(_) => 0,
            Outline::Tuple(parts) => parts.iter().map(Outline::arrays).sum(),
            Outline::Record { fields, .. } | Outline::Enum { fields, .. } => {
                fields.iter().map(|(_, part)| part.arrays()).sum()
            }
            Outline::Array(_, inner) => inner.arrays(),
        }
    }

    /// Whether it is made of numbers, keys and strings alone, so that its value can be kept.
    pub fn is_plain(&self) -> bool {
        match self {
            Outline::Numbers(_) | Outline::Key | Outline::Known(_) | Outline::Unit => true,
            Outline::Function(_) | Outline::Module(_) => false,
            Outline::Tuple(parts) => parts.iter().all(Outline::is_plain),
            Outline::Record { fields, .. } | Outline::Enum { fields, .. } => {
                fields.iter().all(|(_, part)| part.is_plain())
            }
            Outline::Array(_, inner) => inner.is_plain(),
        }
    }

    /// As an annotation would say it.
    pub fn type_text(&self) -> String {
        match self {
            Outline::Numbers(ty) => type_text(ty),
            Outline::Known(known) => known.type_text(),
            Outline::Key => "Key".to_string(),
            Outline::Unit => "()".to_string(),
            Outline::Tuple(parts) => {
                format!("({})", parts.iter().map(Outline::type_text).collect::<Vec<_>>().join(", "))
            }
            Outline::Record { name: Some(name), .. } => name.clone(),
            Outline::Record { name: None, fields } => {
                let fields: Vec<String> = fields.iter().map(|(n, part)| format!("{n}: {}", part.type_text())).collect();
                format!("{{ {} }}", fields.join(", "))
            }
            Outline::Enum { of, .. } => of.name.clone(),
            Outline::Array(n, inner) => {
                let (mut sizes, mut inner) = (vec![*n], &**inner);
                while let Outline::Array(n, below) = inner {
                    sizes.push(*n);
                    inner = below;
                }
                format!("{}{}", inner.type_text(), shape_text(&sizes))
            }
            Outline::Function(text) => text.clone(),
            Outline::Module(path) => format!("the module {path}"),
        }
    }

    /// The fields of a record, or of every record in an array.
    pub fn fields(&self) -> &[(String, Outline)] {
        match self {
            Outline::Record { fields, .. } => fields,
            Outline::Array(_, inner) => inner.fields(),
            Outline::Numbers(_)
            | Outline::Known(_)
            | Outline::Key
            | Outline::Unit
            | Outline::Tuple(_)
            | Outline::Enum { .. }
            | Outline::Function(_)
            | Outline::Module(_) => &[],
        }
    }
}

impl Known {
    fn type_text(&self) -> String {
        match self {
            Known::Int(_) | Known::Float(_) | Known::Bool(_) => self.dtype().name().to_string(),
            Known::Str(_) => "string".to_string(),
            Known::List(items) => format!("{}[{}]", self.dtype().name(), items.len()),
            Known::Range(from, to) => format!("i32[{}]", (to - from).max(0)),
        }
    }

    /// The element type, where nothing else decides it.
    fn dtype(&self) -> DType {
        match self {
            Known::List(items) => items.iter().map(Known::dtype).reduce(wider).unwrap_or(DType::F32),
            Known::Int(_) | Known::Str(_) | Known::Range(..) => DType::I32,
            Known::Float(_) => own_dtype(&Value::Float(0.0)),
            Known::Bool(_) => DType::Bool,
        }
    }

    fn of(v: &Value) -> Option<Known> {
        Some(match v {
            Value::Int(i) => Known::Int(*i),
            Value::Float(x) => Known::Float(*x),
            Value::Bool(b) => Known::Bool(*b),
            Value::Str(s) => Known::Str(s.to_string()),
            Value::List(items) => Known::List(items.iter().map(Known::of).collect::<Option<_>>()?),
            Value::Range(from, to) => Known::Range(*from, *to),
            Value::Leaf(_)
            | Value::Unit
            | Value::Tuple(_)
            | Value::Record(_)
            | Value::Array { .. }
            | Value::Key(_)
            | Value::Function(_)
            | Value::Module(_) => return None,
        })
    }

    fn value<'a>(&self) -> Value<'a> {
        match self {
            Known::Int(i) => Value::Int(*i),
            Known::Float(x) => Value::Float(*x),
            Known::Bool(b) => Value::Bool(*b),
            Known::Str(s) => Value::Str(s.as_str().into()),
            Known::List(items) => Value::List(items.iter().map(Known::value).collect()),
            Known::Range(from, to) => Value::Range(*from, *to),
        }
    }
}

impl<'a> Tracer<'a> {
    pub(crate) fn outline(&self, v: &Value<'a>) -> Outline {
        self.outline_below(v, &self.b, 0)
    }

    /// Of what stands in arrays of so many axes.
    fn outline_below(&self, v: &Value<'a>, b: &Builder, outer: usize) -> Outline {
        match v {
            Value::Leaf(a) => {
                let ty = b.ty(*a);
                Outline::Numbers(Type { dtype: ty.dtype, shape: ty.shape.iter().skip(outer).copied().collect() })
            }
            Value::Key(_) => Outline::Key,
            Value::Unit => Outline::Unit,
            Value::Tuple(items) => Outline::Tuple(items.iter().map(|v| self.outline_below(v, b, outer)).collect()),
            Value::Record(r) => {
                let fields = r.fields.iter().map(|(n, v)| (n.to_string(), self.outline_below(v, b, outer))).collect();
                match r.name {
                    Some(Of::Enum(of)) => Outline::Enum {
                        of: self.enum_name(of),
                        variants: of.def.variants.iter().map(variant).collect(),
                        fields,
                    },
                    Some(Of::Type(name)) => Outline::Record { name: Some(name.to_string()), fields },
                    None => Outline::Record { name: None, fields },
                }
            }
            Value::Array { n, elem } => Outline::Array(*n, Box::new(self.outline_below(elem, b, outer + 1))),
            Value::Function(f) => Outline::Function(self.function_text(f)),
            Value::Module(id) => Outline::Module(self.script.module(*id).path.join(".")),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Str(_) | Value::List(_) | Value::Range(..) => {
                Known::of(v).map_or(Outline::Unit, Outline::Known)
            }
        }
    }

    fn enum_name(&self, of: EnumRef<'a>) -> EnumName {
        let file = self.script.module(of.module).display.clone();
        let text = self.enum_text(of.def).unwrap_or("").to_string();
        EnumName { name: of.def.name.text.clone(), file, text }
    }

    fn enum_text(&self, def: &EnumDef) -> Option<&'a str> {
        let last = def.variants.last()?;
        let end = last.fields.last().map_or(last.name.span, |f| f.ty.span);
        self.source_text(def.name.span.to(end))
    }

    /// `fn loss(net: Net, x) -> f32`
    fn function_text(&self, f: &Function<'a>) -> String {
        match f {
            Function::Item { def, .. } => self.script.signature(def),
            Function::Builtin(b) => format!("{}({})", b.name, b.params.join(", ").replace('*', "…")),
            Function::Closure { lambda, .. } => {
                let params = lambda.params.iter().map(|p| self.source_text(p.pattern.span).unwrap_or("_"));
                format!("fn({})", params.collect::<Vec<_>>().join(", "))
            }
            Function::Derivative(_) | Function::Custom(_) | Function::Variant { .. } | Function::VariantOf(_) => {
                f.name()
            }
        }
    }

    /// The value as a constant of this program. It takes its arrays from the front.
    pub(crate) fn kept_value(
        &mut self,
        outline: &'a Outline,
        arrays: &mut std::slice::Iter<'a, Arc<ArrayData>>,
        span: Span,
    ) -> R<Value<'a>> {
        Ok(match outline {
            Outline::Numbers(_) => Value::Leaf(self.kept_array(arrays)),
            Outline::Known(known) => known.value(),
            Outline::Key => {
                let data = [self.kept_array(arrays), self.kept_array(arrays)];
                Value::Key(self.new_key(data))
            }
            Outline::Unit | Outline::Function(_) | Outline::Module(_) => Value::Unit,
            Outline::Tuple(parts) => {
                Value::tuple(parts.iter().map(|p| self.kept_value(p, arrays, span)).collect::<R<_>>()?)
            }
            Outline::Record { name, fields } => {
                let fields = fields.iter().map(|(n, part)| Ok((n.as_str(), self.kept_value(part, arrays, span)?)));
                Value::record(name.as_deref().map(Of::Type), fields.collect::<R<_>>()?)
            }
            Outline::Enum { of, fields, .. } => {
                let now = self.enum_now(of, span)?;
                let fields = fields.iter().map(|(n, part)| Ok((n.as_str(), self.kept_value(part, arrays, span)?)));
                Value::record(Some(Of::Enum(now)), fields.collect::<R<_>>()?)
            }
            Outline::Array(n, inner) => Value::array(*n, self.kept_value(inner, arrays, span)?),
        })
    }

    fn kept_array(&mut self, arrays: &mut std::slice::Iter<'a, Arc<ArrayData>>) -> whorl_core::Atom {
        let array = arrays.next().expect("as many arrays as the outline has");
        if array.ty.is_scalar() { array.element(0).into() } else { self.b.outer_constant(array.clone()) }
    }

    /// The enum of a kept value, if it is still declared as it was.
    fn enum_now(&self, of: &EnumName, span: Span) -> R<EnumRef<'a>> {
        for (k, module) in self.script.modules.iter().enumerate().filter(|(_, m)| m.display == of.file) {
            for item in 0..module.tree.items.len() {
                let module = ModuleId(k as u32);
                if let ItemKind::Enum(def) = &self.script.item(ItemId { module, item }).kind
                    && def.name.text == of.name
                    && self.enum_text(def) == Some(of.text.as_str())
                {
                    return Ok(EnumRef { module, def });
                }
            }
        }
        let e =
            Diagnostic::error("E0420", format!("this is a value of `{}` as it was before it was redefined", of.name));
        fail(e.at(span, "made here").help("define it again, of the new enum"))
    }
}

/// Its name, whether its fields have names, and how many there are.
fn variant(v: &whorl_syntax::ast::Variant) -> (String, bool, usize) {
    (v.name.text.clone(), v.named, v.fields.len())
}
