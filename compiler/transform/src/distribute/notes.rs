//! What distribution did, for reports: what became of each `for`, and of each branch whose lanes take different arms.
//!
//! Statements that come out of the body of a `for` are marked with its number ([`Span::mark`]), and keep the mark through the
//! schedule: so it is known which loops and kernels a `for` became.

use whorl_core::ir::Spans;
use whorl_source::Span;

#[derive(Clone, PartialEq, Default, Debug)]
pub struct Notes {
    /// By their mark.
    pub fors: Vec<ForNote>,
    pub branches: Vec<BranchNote>,
}

/// A `for`: all that are written at one place and have as many lanes.
#[derive(Clone, PartialEq, Debug)]
pub struct ForNote {
    pub span: Span,
    pub n: usize,
    pub became: Became,
    /// The marks of those around.
    pub inside: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Became {
    /// Programs of their own, a run each.
    Runs,
    /// An axis of the arrays of its body.
    Lanes,
}

#[derive(Clone, PartialEq, Debug)]
pub struct BranchNote {
    pub span: Span,
    pub how: Choice,
}

/// What a branch became, of whose arms lanes take different ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// All arms are computed for all lanes; the dearest costs so many simple operations a lane.
    Selected { operations: usize },
    /// So many arms are computed only where some lane takes them; the dearest costs so many operations.
    Guarded { arms: usize, operations: usize },
}

/// Notes being taken, and the marks of the levels that are open.
#[derive(Default)]
pub(crate) struct Taking {
    pub notes: Notes,
    open: Vec<u32>,
}

impl Taking {
    pub fn open(&mut self, spans: &Spans, n: usize, became: Became) {
        let span = spans.iter().copied().find(|s| s.marked().is_none()).unwrap_or(Span::NONE);
        let known = self.notes.fors.iter().position(|f| (f.span, f.n, f.became) == (span, n, became));
        let mark = known.unwrap_or_else(|| {
            self.notes.fors.push(ForNote { span, n, became, inside: self.open.clone() });
            self.notes.fors.len() - 1
        });
        self.open.push(mark as u32);
    }

    pub fn close(&mut self) {
        self.open.pop();
    }

    pub fn branch(&mut self, spans: &Spans, how: Choice) {
        let span = spans.iter().copied().find(|s| s.marked().is_none()).unwrap_or(Span::NONE);
        let note = BranchNote { span, how };
        if !self.notes.branches.contains(&note) {
            self.notes.branches.push(note);
        }
    }

    pub fn marked(&self, mut spans: Spans) -> Spans {
        spans.extend(self.open.iter().map(|m| Span::mark(*m)));
        spans
    }
}
