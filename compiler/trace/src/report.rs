//! Errors: tracing goes on after one, so that each mistake of a script is told, and each once.
//!
//! A statement that fails is reported, and the names that it would have bound are *broken*: reading one fails again, but
//! silently. A broken name silences the statements that need it, and no others.

use whorl_source::{Diagnostic, Label, Span};
use whorl_syntax::ast::{Pattern, PatternKind};

use crate::script::ModuleId;
use crate::tracer::{Tracer, fail};
use crate::value::{Env, R};

/// What follows from an error that is reported already has no code.
const FOLLOWS: &str = "";
/// More errors than these are not read.
const MOST: usize = 40;
/// Lines of the call chain that an error shows; the middle of a longer one is left out.
const SHOWN_CALLS: usize = 6;
/// A call's text is shown up to so many characters.
const LONGEST_CALL: usize = 60;

/// Who calls `main`.
pub const OUTSIDE: &str = "(whorl)";

/// A call that is being followed.
pub struct Call<'a> {
    /// Where it is written.
    pub span: Span,
    /// The function in which it is written; empty for one without a name.
    pub by: &'a str,
    /// Parameters that are whole numbers known while tracing, and where they are given.
    pub sizes: Vec<(&'a str, Span)>,
}

/// Where a tracer stands, to come back to after an error.
pub struct Place<'a> {
    depth: usize,
    loops: usize,
    yields: usize,
    stack: usize,
    module: ModuleId,
    function: &'a str,
    plain_params: bool,
}

/// The error that says nothing: what went wrong is reported already.
pub fn follows<T>() -> R<T> {
    fail(Diagnostic::error(FOLLOWS, ""))
}

impl<'a> Tracer<'a> {
    /// Runs `f`; an error is reported, and `None` is what is left. `Err` is only what ends tracing at once.
    pub fn attempt<T>(&mut self, f: impl FnOnce(&mut Tracer<'a>) -> R<T>) -> R<Option<T>> {
        let place = Place {
            depth: self.b.depth(),
            loops: self.loops,
            yields: self.yields.len(),
            stack: self.stack.len(),
            module: self.module,
            function: self.function,
            plain_params: self.plain_params,
        };
        match f(self) {
            Ok(value) => Ok(Some(value)),
            Err(e) if ends_tracing(&e) || self.errors.len() >= MOST => Err(e),
            Err(e) => {
                self.back_to(&place);
                self.report(*e);
                Ok(None)
            }
        }
    }

    /// `f` of each item; the errors of all are reported.
    pub fn each<I, T>(&mut self, items: &'a [I], mut f: impl FnMut(&mut Tracer<'a>, &'a I) -> R<T>) -> R<Vec<T>> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            out.extend(self.attempt(|t| f(t, item))?);
        }
        if out.len() == items.len() { Ok(out) } else { follows() }
    }

    fn back_to(&mut self, place: &Place<'a>) {
        while self.b.depth() > place.depth {
            self.b.end(Vec::new());
        }
        self.loops = place.loops;
        self.yields.truncate(place.yields);
        self.stack.truncate(place.stack);
        self.module = place.module;
        self.function = place.function;
        self.plain_params = place.plain_params;
    }

    /// Keeps an error, unless it follows from another or is known.
    pub fn report(&mut self, mut e: Diagnostic) {
        if e.code == FOLLOWS {
            return;
        }
        self.trail(&mut e);
        let same = |known: &Diagnostic| known.code == e.code && told_at(known) == told_at(&e);
        if !self.errors.iter().any(same) {
            self.errors.push(e);
        }
    }

    /// Adds the calls that lead to an error, as long as they are known: from where it happened.
    pub fn trail(&self, e: &mut Diagnostic) {
        if e.code == FOLLOWS || !e.calls.is_empty() {
            return;
        }
        let Some(place) = e.labels.first().map(|l| l.span) else { return };
        let mut calls: &[Call<'a>] = &self.stack;
        // What fails in the library was given by the call that leads into it.
        if self.in_library(place)
            && let Some(k) = calls.iter().rposition(|c| !self.in_library(c.span) && c.span != Span::NONE)
        {
            e.labels.insert(0, Label { span: calls[k].span, text: "in this call".to_string() });
            calls = &calls[..k];
        }
        // A call that the first label stands in is shown already; the outermost is the compiler's own.
        let shown = e.labels[0].span;
        let calls: Vec<&Call<'a>> =
            calls.iter().rev().filter(|c| !contains(c.span, shown) && c.by != OUTSIDE).collect();
        let left_out = calls.len().saturating_sub(SHOWN_CALLS);
        for (k, call) in calls.iter().enumerate() {
            if left_out > 0 && k == SHOWN_CALLS / 2 {
                e.calls.push(format!("… {left_out} more calls"));
            }
            let text = self.call_text(call);
            // A function that calls itself tells it once.
            let shown = left_out == 0 || k < SHOWN_CALLS / 2 || k >= SHOWN_CALLS / 2 + left_out;
            if shown && !e.calls.contains(&text) {
                e.calls.push(text);
            }
        }
    }

    fn call_text(&self, call: &Call<'a>) -> String {
        let by = if call.by.is_empty() { "a function" } else { call.by };
        format!("called from {by} ({}): `{}`", self.script.map.line_name(call.span), self.short_text(call.span))
    }

    /// The user's text at a span on one line, shortened in the middle.
    pub fn short_text(&self, span: Span) -> String {
        let file = self.script.map.file(span.file);
        let text = file.and_then(|f| f.text.get(span.start as usize..span.end as usize)).unwrap_or("…");
        let words: Vec<&str> = text.split_whitespace().collect();
        let text: Vec<char> = words.join(" ").chars().collect();
        if text.len() <= LONGEST_CALL {
            return text.into_iter().collect();
        }
        let (front, back) = (LONGEST_CALL - 15, 12);
        let front: String = text[..front].iter().collect();
        let back: String = text[text.len() - back..].iter().collect();
        format!("{} … {}", front.trim_end(), back.trim_start())
    }

    /// Whether a place is in the standard library.
    pub fn in_library(&self, span: Span) -> bool {
        self.script.map.file(span.file).is_some_and(|f| f.name.starts_with("std/"))
    }

    /// The names that a pattern would have bound: reading them fails, and says nothing.
    pub fn break_names(&mut self, pattern: &'a Pattern, env: &mut Env<'a>) {
        match &pattern.kind {
            PatternKind::Name(name) => env.bind_broken(name, pattern.span),
            PatternKind::Ignore | PatternKind::Error => {}
            PatternKind::Tuple(parts) | PatternKind::Array(parts) => {
                parts.iter().for_each(|p| self.break_names(p, env));
            }
            PatternKind::Record(fields) => {
                for (name, part) in fields {
                    match part {
                        Some(part) => self.break_names(part, env),
                        None => env.bind_broken(&name.text, name.span),
                    }
                }
            }
        }
    }
}

/// Recursion would be followed again from every statement on the way back.
fn ends_tracing(e: &Diagnostic) -> bool {
    e.code == "E0604"
}

fn told_at(e: &Diagnostic) -> Option<Span> {
    e.labels.first().map(|l| l.span)
}

fn contains(outer: Span, inner: Span) -> bool {
    outer.file == inner.file && outer.start <= inner.start && inner.end <= outer.end
}
