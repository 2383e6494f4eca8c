//! Errors and warnings: a stable code, a sentence, the places it speaks of, and what to write instead.

use crate::Span;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    Error,
    Warning,
}

/// A place a diagnostic speaks of, with a few words about it (may be empty).
#[derive(Clone, PartialEq, Debug)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// One thing to tell the user. The first label is where it happened.
#[derive(Clone, PartialEq, Debug)]
pub struct Diagnostic {
    pub severity: Severity,
    /// `E0101`: stable, explained by a page of the docs.
    pub code: &'static str,
    pub message: String,
    pub labels: Vec<Label>,
    /// Facts that help: sizes as they are here.
    pub notes: Vec<String>,
    /// The calls that lead there, the nearest first.
    pub calls: Vec<String>,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(code: &'static str, message: impl Into<String>) -> Diagnostic {
        let (labels, notes, calls) = (Vec::new(), Vec::new(), Vec::new());
        Diagnostic { severity: Severity::Error, code, message: message.into(), labels, notes, calls, help: None }
    }

    pub fn warning(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message) }
    }

    /// Adds a place; the first one added is where the diagnostic happened.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }
}
