//! Errors and warnings: a stable code, a sentence, the places it speaks of, and what to write instead.

use crate::{SourceMap, Span};

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
    /// Facts that help: sizes as they are here, the chain of calls.
    pub notes: Vec<String>,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(code: &'static str, message: impl Into<String>) -> Diagnostic {
        let (labels, notes) = (Vec::new(), Vec::new());
        Diagnostic { severity: Severity::Error, code, message: message.into(), labels, notes, help: None }
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

    /// The text a terminal shows, without colours, ending in a newline.
    pub fn render(&self, map: &SourceMap) -> String {
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut out = format!("{kind}[{}]: {}\n", self.code, self.message);
        let gutter = self.labels.iter().filter_map(|l| Some(map.file(l.span.file)?.position(l.span.start).0));
        let gutter = gutter.max().unwrap_or(1).to_string().len();
        let mut previous = None;
        for label in &self.labels {
            let Some(file) = map.file(label.span.file) else { continue };
            let (line, column) = file.position(label.span.start);
            if previous != Some(label.span.file) {
                out += &format!("{:gutter$} ┌─ {}:{line}:{column}\n", "", file.name);
            }
            previous = Some(label.span.file);
            let text = file.line(line);
            let (end_line, end_column) = file.position(label.span.end);
            let end_column = if end_line == line { end_column } else { text.chars().count() + 1 };
            let carets = "^".repeat(end_column.saturating_sub(column).max(1));
            out += &format!("{line:>gutter$} │ {text}\n");
            let pad: String = text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            out += format!("{:gutter$} │ {pad}{carets} {}", "", label.text).trim_end();
            out.push('\n');
        }
        for note in &self.notes {
            out += &format!("{:gutter$} = {note}\n", "");
        }
        if let Some(help) = &self.help {
            out += &format!("{:gutter$} help: {}\n", "", help.replace('\n', &format!("\n{:w$}", "", w = gutter + 7)));
        }
        out
    }
}
