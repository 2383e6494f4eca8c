//! A failed check in the user's words.

use whorl_source::{Diagnostic, SourceMap, Span};

use crate::check::{CheckKind, Fault};
use crate::ir::{DType, Lit};
use crate::prim::Compare;

/// The run of a program of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    pub number: usize,
    pub of: usize,
}

/// What failed, in one line.
pub fn headline(fault: &Fault) -> String {
    match fault.check.kind {
        CheckKind::Assert(_) if fault.check.text.is_empty() => "the assertion does not hold".to_string(),
        CheckKind::Assert(_) => format!("assertion failed: {}", fault.check.text),
        CheckKind::Index { width: 1, len } => {
            format!("index {} is out of range of an axis of {len} elements", number(fault.values[0]))
        }
        CheckKind::Index { width, len } => {
            let start = fault.values[0].to_f64() as i64;
            format!("the slice {start}..{} is out of range of an axis of {len} elements", start + width as i64)
        }
        CheckKind::Finite => {
            let what = if fault.check.text.is_empty() { "a result".into() } else { format!("`{}`", fault.check.text) };
            format!("{what} is {}", number(fault.values[0]))
        }
    }
}

/// The error to show, with the places that are known.
pub fn diagnostic(fault: &Fault, run: Option<Run>, map: &SourceMap) -> Diagnostic {
    let place = &fault.place[fault.check.lanes.len().min(fault.place.len())..];
    let here = if place.is_empty() { String::new() } else { format!("at {place:?}: ") };
    let (code, label) = match fault.check.kind {
        CheckKind::Assert(_) => ("E0701", format!("{here}{}", compared(fault))),
        CheckKind::Index { width: 1, len } if len > 0 => {
            ("E0702", format!("{here}{} is not from 0 to {}", number(fault.values[0]), len - 1))
        }
        CheckKind::Index { .. } => ("E0702", format!("{here}it begins at {}", number(fault.values[0]))),
        CheckKind::Finite => ("E0703", format!("{here}{}", made_of(fault))),
    };
    let mut e = Diagnostic::error(code, headline(fault));
    if let Some(span) = fault.spans.first().filter(|s| **s != Span::NONE) {
        e = e.at(*span, label);
    } else {
        e = e.note(label);
    }
    let around = around(fault, run, map);
    if !around.is_empty() {
        e = e.note(format!("in {}; all count from 0", around.join(", ")));
    }
    let mut calls: Vec<String> = Vec::new();
    for span in fault.check.calls.iter().rev().filter(|s| map.file(s.file).is_some()) {
        let call = map.line_name(*span);
        if calls.last() != Some(&call) {
            calls.push(call);
        }
    }
    if !calls.is_empty() {
        e = e.note(format!("called from {}", calls.join(", from ")));
    }
    match fault.check.kind {
        CheckKind::Index { .. } => {
            e.help("`clamp(i, 0, len(xs) - 1)` keeps an index in range; a guard is `if i < len(xs) { … }`")
        }
        CheckKind::Assert(_) | CheckKind::Finite => e,
    }
}

/// The run, the steps of the loops and the lanes, outermost first.
fn around(fault: &Fault, run: Option<Run>, map: &SourceMap) -> Vec<String> {
    let mut all = Vec::new();
    let line = |span: Option<Span>| {
        let known = span.filter(|s| map.file(s.file).is_some());
        known.map_or(String::new(), |s| format!(" ({})", map.line_name(s)))
    };
    if let Some(run) = run {
        all.push(format!("run {} of {}", run.number, run.of));
    }
    for step in &fault.steps {
        let kind = if step.train { "`train scan`" } else { "`scan`" };
        all.push(format!("step {} of {} of the {kind}{}", step.at, step.n, line(step.span)));
    }
    for (lane, at) in fault.check.lanes.iter().zip(&fault.place) {
        all.push(format!("lane {at} of {} of the `for`{}", lane.n, line(Some(lane.span))));
    }
    all
}

/// `-2.5 >= 0 does not hold`
fn compared(fault: &Fault) -> String {
    match (fault.check.kind, &fault.values[1..]) {
        (CheckKind::Assert(Some(op)), [left, right]) => {
            format!("{} {} {} does not hold", number(*left), symbol(op), number(*right))
        }
        _ => "this is false".to_string(),
    }
}

/// `made of 0 and 0`
fn made_of(fault: &Fault) -> String {
    let operands: Vec<String> = fault.values[1..].iter().map(|v| number(*v)).collect();
    if operands.is_empty() { "made of finite numbers".into() } else { format!("made of {}", operands.join(" and ")) }
}

fn symbol(op: Compare) -> &'static str {
    match op {
        Compare::Eq => "==",
        Compare::Ne => "!=",
        Compare::Lt => "<",
        Compare::Le => "<=",
        Compare::Gt => ">",
        Compare::Ge => ">=",
    }
}

/// The shortest text that reads back as the number.
fn number(lit: Lit) -> String {
    let x = lit.to_f64();
    let text = match lit.dtype {
        DType::Bool => return (lit.bits != 0).to_string(),
        DType::F32 => format!("{:?}", x as f32),
        _ if lit.dtype.is_float() => format!("{x:?}"),
        _ => x.to_string(),
    };
    if x.is_nan() { "NaN".into() } else { text }
}
