//! What a value is made of, for those who draw, compare or print one outside of the program.

use whorl_core::data::bracketed;
use whorl_core::{ArrayData, Builder, DType, Type};

use crate::value::{EnumRef, Of, Value};

/// The structure of a value over its arrays, which are the parameters or results of a program, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Layout {
    /// A number, or an array of numbers: one array.
    Numbers(Type),
    /// Two arrays.
    Key,
    Unit,
    Tuple(Vec<Layout>),
    Record(Vec<(String, Layout)>),
    /// The variant's number, then the fields of all variants, zero in those that it is not one of.
    Enum {
        name: String,
        variants: Vec<VariantLayout>,
    },
    /// `n` of what is no number, held as one of arrays.
    Array(usize, Box<Layout>),
}

/// A variant of an enum and its fields.
#[derive(Clone, PartialEq, Debug)]
pub struct VariantLayout {
    pub name: String,
    pub named: bool,
    pub fields: Vec<(String, Layout)>,
}

impl Layout {
    /// Of a value that is settled; `None` where a part is a function, or something else without arrays.
    pub(crate) fn of(v: &Value, b: &Builder) -> Option<Layout> {
        below(v, b, 0)
    }

    /// The value as the language writes it; `data` are its arrays, from the first to the last.
    pub fn text(&self, data: &[ArrayData]) -> String {
        let mut cursors: Vec<(&ArrayData, usize)> = data.iter().map(|d| (d, 0)).collect();
        let mut out = String::new();
        write(self, &mut cursors, &mut 0, true, &mut out);
        out
    }

    /// How many arrays it has.
    pub fn arrays(&self) -> usize {
        match self {
            Layout::Numbers(_) => 1,
            Layout::Key => 2,
            Layout::Unit => 0,
            Layout::Tuple(parts) => parts.iter().map(Layout::arrays).sum(),
            Layout::Record(fields) => fields.iter().map(|(_, l)| l.arrays()).sum(),
            Layout::Enum { variants, .. } => {
                1 + variants.iter().flat_map(|v| &v.fields).map(|(_, l)| l.arrays()).sum::<usize>()
            }
            Layout::Array(_, inner) => inner.arrays(),
        }
    }
}

/// The layout of what stands in arrays of so many axes.
fn below(v: &Value, b: &Builder, outer: usize) -> Option<Layout> {
    match v {
        Value::Leaf(a) => {
            let ty = b.ty(*a);
            Some(Layout::Numbers(Type { dtype: ty.dtype, shape: ty.shape.get(outer..)?.into() }))
        }
        Value::Key(_) => Some(Layout::Key),
        Value::Unit => Some(Layout::Unit),
        Value::Tuple(items) => Some(Layout::Tuple(items.iter().map(|v| below(v, b, outer)).collect::<Option<_>>()?)),
        Value::Record(r) => {
            let fields = r.fields.iter().map(|(n, v)| Some((n.to_string(), below(v, b, outer)?)));
            let fields: Vec<(String, Layout)> = fields.collect::<Option<_>>()?;
            Some(match r.name {
                Some(Of::Enum(of)) => of_enum(of, fields),
                Some(Of::Type(_)) | None => Layout::Record(fields),
            })
        }
        Value::Array { n, elem } => Some(Layout::Array(*n, Box::new(below(elem, b, outer + 1)?))),
        Value::Int(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::Str(_)
        | Value::List(_)
        | Value::Function(_)
        | Value::Module(_)
        | Value::Range(..) => None,
    }
}

fn of_enum(of: EnumRef, fields: Vec<(String, Layout)>) -> Layout {
    // The first is the tag.
    let mut rest = fields.into_iter().skip(1);
    let variants = of.def.variants.iter().map(|v| {
        let own = v.fields.iter().filter_map(|f| Some((f.name.text.clone(), rest.next()?.1)));
        VariantLayout { name: v.name.text.clone(), named: v.named, fields: own.collect() }
    });
    Layout::Enum { name: of.def.name.text.clone(), variants: variants.collect() }
}

/// Writes the next value and moves the cursors past it; `at` is the first of its arrays. What is not `shown` is only passed.
fn write(layout: &Layout, data: &mut [(&ArrayData, usize)], at: &mut usize, shown: bool, out: &mut String) {
    let mut say = |text: &str| {
        if shown {
            out.push_str(text);
        }
    };
    match layout {
        Layout::Numbers(ty) => {
            let (array, cursor) = &mut data[*at];
            let numbers: Vec<String> = (*cursor..*cursor + ty.size()).map(|k| number(array, k)).collect();
            *cursor += ty.size();
            *at += 1;
            say(&bracketed(&ty.shape, &numbers));
        }
        Layout::Key => {
            let mut word = |k: usize| {
                let (array, cursor) = &mut data[*at + k];
                *cursor += 1;
                number(array, *cursor - 1)
            };
            let (high, low) = (word(0), word(1));
            *at += 2;
            say(&if high == "0" { format!("key({low})") } else { format!("a key of the words {high} and {low}") });
        }
        Layout::Unit => say("()"),
        Layout::Tuple(parts) => {
            say("(");
            for (k, part) in parts.iter().enumerate() {
                if k > 0 && shown {
                    out.push_str(", ");
                }
                write(part, data, at, shown, out);
            }
            if shown {
                out.push(')');
            }
        }
        Layout::Record(fields) => {
            say("{ ");
            write_fields(fields, true, data, at, shown, out);
            if shown {
                out.push_str(" }");
            }
        }
        Layout::Enum { name, variants } => {
            let (array, cursor) = &mut data[*at];
            let tag = array.element(*cursor).to_f64() as usize;
            *cursor += 1;
            *at += 1;
            say(&format!("{name}."));
            for (k, variant) in variants.iter().enumerate() {
                let shown = shown && k == tag;
                let (open, close) = match (variant.fields.is_empty(), variant.named) {
                    (true, _) => ("", ""),
                    (false, true) => (" { ", " }"),
                    (false, false) => ("(", ")"),
                };
                if shown {
                    *out += &format!("{}{open}", variant.name);
                }
                write_fields(&variant.fields, variant.named, data, at, shown, out);
                if shown {
                    *out += close;
                }
            }
        }
        Layout::Array(n, inner) => {
            say("[");
            let first = *at;
            *at += if *n == 0 { inner.arrays() } else { 0 };
            for k in 0..*n {
                if k > 0 && shown {
                    out.push_str(", ");
                }
                *at = first;
                write(inner, data, at, shown, out);
            }
            if shown {
                out.push(']');
            }
        }
    }
}

fn write_fields(
    fields: &[(String, Layout)],
    named: bool,
    data: &mut [(&ArrayData, usize)],
    at: &mut usize,
    shown: bool,
    out: &mut String,
) {
    for (k, (name, layout)) in fields.iter().enumerate() {
        if shown {
            *out += if k > 0 { ", " } else { "" };
            *out += &if named { format!("{name}: ") } else { String::new() };
        }
        write(layout, data, at, shown, out);
    }
}

/// The shortest text that reads back as this element.
fn number(array: &ArrayData, k: usize) -> String {
    let x = array.element(k).to_f64();
    match array.ty.dtype {
        DType::F32 | DType::F16 | DType::BF16 => format!("{:?}", x as f32),
        DType::F64 => format!("{x:?}"),
        DType::Bool => format!("{}", x != 0.0),
        DType::I32 | DType::U32 | DType::U8 => format!("{x}"),
    }
}
