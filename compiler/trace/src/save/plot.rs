//! Plots: a record whose fields are what is drawn.
//!
//! ```text
//! { x, mean, spread: { low, high }, data: { x: xs, y: ys }, target: 0.5 }
//! ```
//!
//! The field `x` is the horizontal axis of all that has none of its own; without it, that is 0, 1, …. Of the others, each
//! under its name in the legend, `f32[n]` is a line and `f32[k, n]` are k lines; a number is a level; `{ x, y }` are
//! points, `{ x, line }` is a line, and `{ x, low, high }` the band between two lines, where `x` may be left out. A band takes
//! the colour of the line before it.

use whorl_core::Atom;
use whorl_source::{Diagnostic, Span};

use super::Options;
use crate::names::listed;
use crate::tracer::{Tracer, fail};
use crate::tree::shape_text;
use crate::value::{Arg, R, Value};

/// What a plot shows; numbers are places in [`super::Save::arrays`].
#[derive(Clone, PartialEq, Debug)]
pub struct Plot {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub curves: Vec<Curve>,
}

/// Something drawn, under its name in the legend. Without an `x` it is drawn over 0, 1, ….
#[derive(Clone, PartialEq, Debug)]
pub struct Curve {
    pub name: String,
    pub mark: Mark,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Mark {
    /// A line, or several: one a row. `x` is for all of them, or has a row for each.
    Line {
        x: Option<usize>,
        y: usize,
    },
    Points {
        x: Option<usize>,
        y: usize,
    },
    Band {
        x: Option<usize>,
        low: usize,
        high: usize,
    },
    /// A number, as a horizontal line.
    Level {
        y: usize,
    },
}

/// The arrays of a plot so far, and what is made of them.
struct Drawing {
    span: Span,
    arrays: Vec<(String, Atom)>,
    curves: Vec<Curve>,
}

impl Drawing {
    fn array(&mut self, path: String, a: Atom) -> usize {
        self.arrays.push((path, a));
        self.arrays.len() - 1
    }
}

impl<'a> Tracer<'a> {
    pub(super) fn plot(&self, v: &Value<'a>, span: Span, options: &Options<'_, 'a>) -> R<(Plot, Vec<(String, Atom)>)> {
        let mut d = Drawing { span, arrays: Vec::new(), curves: Vec::new() };
        match fields(v) {
            Some(parts) => {
                let x = match parts.iter().find(|(n, _)| *n == "x") {
                    Some((_, x)) => Some(self.axis_of(x, "x", &mut d)?),
                    None => None,
                };
                for (name, part) in parts.iter().filter(|(n, _)| *n != "x") {
                    self.curve(name, part, x, &mut d)?;
                }
            }
            None => self.curve("", v, None, &mut d)?,
        }
        if d.curves.is_empty() {
            let e = Diagnostic::error("E0804", "there is nothing to draw over `x`").at(span, "");
            return fail(e.help("save(\"fit.svg\", { x, mean })"));
        }
        let text = |t: &Self, arg: Option<&Arg<'a>>| match arg {
            Some(arg) => t.string(&arg.value, arg.span).map(|s| s.to_string()),
            None => Ok(String::new()),
        };
        let (title, x_label) = (text(self, options.title)?, text(self, options.x_label)?);
        Ok((Plot { title, x_label, y_label: text(self, options.y_label)?, curves: d.curves }, d.arrays))
    }

    /// One field of the plot, over the common `x`.
    fn curve(&self, name: &str, v: &Value<'a>, x: Option<usize>, d: &mut Drawing) -> R<()> {
        let mark = match fields(v) {
            None => self.line(name, v, x, d)?,
            Some(parts) => {
                let own = |n: &str| parts.iter().find(|(field, _)| *field == n).map(|(_, v)| v);
                let path = |part: &str| format!("{name}.{part}");
                let x = match own("x") {
                    Some(x) => Some(self.axis_of(x, &path("x"), d)?),
                    None => x,
                };
                let mut others: Vec<&str> = parts.iter().map(|(n, _)| *n).filter(|n| *n != "x").collect();
                others.sort();
                match (&others[..], own("y"), own("line"), own("low"), own("high")) {
                    (["line"], _, Some(line), _, _) => self.line(&path("line"), line, x, d)?,
                    (["y"], Some(y), ..) => {
                        let y = self.along(&path("y"), y, x, d)?;
                        Mark::Points { x, y }
                    }
                    (["high", "low"], _, _, Some(low), Some(high)) => {
                        let low = self.along(&path("low"), low, x, d)?;
                        Mark::Band { x, low, high: self.along(&path("high"), high, Some(x.unwrap_or(low)), d)? }
                    }
                    _ => {
                        let e = Diagnostic::error("E0804", format!("`{name}` is nothing that a plot can show"));
                        let e = e.at(d.span, format!("its fields are {}", listed(parts.iter().map(|(n, _)| *n))));
                        return fail(e.help(
                            "`{ x, y }` are points, `{ x, line }` is a line, `{ x, low, high }` a band; `x` may be left out",
                        ));
                    }
                }
            }
        };
        d.curves.push(Curve { name: name.to_string(), mark });
        Ok(())
    }

    /// One line, lines, or a level.
    fn line(&self, path: &str, v: &Value<'a>, x: Option<usize>, d: &mut Drawing) -> R<Mark> {
        let a = self.numbers_of(path, v, d)?;
        if self.b.ty(a).rank() == 0 {
            return Ok(Mark::Level { y: d.array(path.to_string(), a) });
        }
        let y = self.along(path, v, x, d)?;
        Ok(Mark::Line { x, y })
    }

    /// A vector, or a matrix of rows, as long as `x`.
    fn along(&self, path: &str, v: &Value<'a>, x: Option<usize>, d: &mut Drawing) -> R<usize> {
        let a = self.numbers_of(path, v, d)?;
        let shape = self.b.ty(a).shape;
        let named = if path.is_empty() { "the value".to_string() } else { format!("`{path}`") };
        let (1 | 2, Some(&n)) = (shape.len(), shape.last()) else {
            let e = Diagnostic::error("E0804", "a plot shows vectors, or the rows of a matrix");
            return fail(e.at(d.span, format!("{named} is {}", v.describe(&self.b))));
        };
        if let Some(x) = x {
            let (across, over) = (&d.arrays[x].0, self.b.ty(d.arrays[x].1).shape);
            if over.last() != Some(&n) || (over.len() == 2 && over != shape) {
                let e = Diagnostic::error("E0804", "what is drawn has a point for each place on its axis");
                let e =
                    e.at(d.span, format!("{named} is {}, and `{across}` is {}", shape_text(&shape), shape_text(&over)));
                return fail(e.help("`{ x, line }` or `{ x, y }` gives something an `x` of its own"));
            }
        }
        Ok(d.array(path.to_string(), a))
    }

    fn axis_of(&self, v: &Value<'a>, path: &str, d: &mut Drawing) -> R<usize> {
        let a = self.numbers_of(path, v, d)?;
        if matches!(self.b.ty(a).rank(), 1 | 2) {
            return Ok(d.array(path.to_string(), a));
        }
        let e = Diagnostic::error("E0804", "the horizontal axis is a vector");
        fail(e.at(d.span, format!("`{path}` is {}", v.describe(&self.b))))
    }

    fn numbers_of(&self, path: &str, v: &Value<'a>, d: &Drawing) -> R<Atom> {
        match v {
            Value::Leaf(a) if self.b.ty(*a).size() > 0 => Ok(*a),
            other => {
                let e = Diagnostic::error("E0804", "a plot shows numbers");
                let named = if path.is_empty() { "this".to_string() } else { format!("`{path}`") };
                fail(e.at(d.span, format!("{named} is {}", other.describe(&self.b))))
            }
        }
    }
}

/// The fields of a record, or of the records of an array, whose arrays have its axes in front.
fn fields<'v, 'a>(v: &'v Value<'a>) -> Option<Vec<(&'a str, &'v Value<'a>)>> {
    match v {
        Value::Record(r) => Some(r.fields.iter().map(|(n, v)| (*n, v)).collect()),
        Value::Array { elem, .. } => fields(elem),
        Value::Leaf(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::Str(_)
        | Value::List(_)
        | Value::Unit
        | Value::Tuple(_)
        | Value::Key(_)
        | Value::Function(_)
        | Value::Module(_)
        | Value::Range(..) => None,
    }
}
