//! What is too large to be a program, said before anything counts its bytes.

use whorl_core::{Body, Op, Stmt, Vars};
use whorl_source::{Diagnostic, Span};

use crate::tracer::fail;
use crate::value::{R, Value};

/// Elements of an array: no machine has room for more.
pub(crate) const MOST_ELEMENTS: usize = 1 << 44;
/// Elements along an axis: places are `i32`.
pub(crate) const LONGEST_AXIS: usize = i32::MAX as usize;
/// Calls that are followed: a function that calls itself twice, forty deep, would be followed for days.
pub(crate) const MOST_CALLS: usize = 1 << 17;
/// Values of a program that is differentiated again: each derivative of a derivative has about twice as many.
pub(crate) const MOST_VALUES: usize = 1 << 18;
/// Parts of a value: what doubles from line to line has too many soon.
const MOST_PARTS: usize = 1 << 16;

/// The record or tuple, if it can be walked through.
pub(crate) fn of_bearable_size<'a>(v: Value<'a>, span: Span) -> R<Value<'a>> {
    if count(&v, 0) <= MOST_PARTS {
        return Ok(v);
    }
    let e = Diagnostic::error("E0105", "this value has too many parts").at(span, "");
    fail(e.note(format!("{MOST_PARTS} are the most")).help("keep numbers in arrays: `for x in xs { … }` builds one"))
}

/// So many parts, and those of the value; it stops where there are too many.
fn count(v: &Value, before: usize) -> usize {
    if before > MOST_PARTS {
        return before;
    }
    match v {
        Value::Tuple(items) => items.iter().fold(before, |n, item| count(item, n)),
        Value::Record(r) => r.fields.iter().fold(before, |n, field| count(&field.1, n)),
        Value::Array { elem, .. } => count(elem, before),
        Value::Leaf(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::Str(_)
        | Value::List(_)
        | Value::Unit
        | Value::Key(_)
        | Value::Function(_)
        | Value::Module(_)
        | Value::Range(..) => before + 1,
    }
}

/// An error about the first array that is too large, if there is one.
pub(crate) fn too_large(vars: &Vars, body: &Body) -> Option<Diagnostic> {
    body.stmts.iter().find_map(|stmt| of_statement(vars, stmt))
}

fn of_statement(vars: &Vars, stmt: &Stmt) -> Option<Diagnostic> {
    let inner = match &stmt.op {
        Op::Form(form) => form.bodies().into_iter().find_map(|b| too_large(vars, b)),
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => None,
    };
    inner.or_else(|| {
        let too_long = |n: &usize| *n > LONGEST_AXIS;
        let ty = stmt.outs.iter().map(|v| vars.ty(*v)).find(|ty| {
            let elements = ty.shape.iter().try_fold(1usize, |total, n| total.checked_mul(*n));
            elements.is_none_or(|n| n > MOST_ELEMENTS) || ty.shape.iter().any(too_long)
        })?;
        let span = stmt.spans.first().copied().unwrap_or(Span::NONE);
        let text = crate::tree::type_text(ty);
        let e = Diagnostic::error("E0105", "this array is too large").at(span, format!("it would be {text}"));
        Some(match ty.shape.iter().find(|n| too_long(n)) {
            Some(n) => e.note(format!("an axis has at most {LONGEST_AXIS} elements, this one {n}")),
            None => e,
        })
    })
}
