//! What a run is checked for, and what a check that fails tells.
//!
//! A check is an effect beside the computation: what it guards is computed whether it holds or not (an index is clamped), so that
//! loops stay plain and a failure may be noticed a little later. Which failure is told is fixed all the same: the first, in the
//! order of the program's checks and of their elements.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use whorl_source::Span;

use crate::ir::{Lit, Spans};
use crate::prim::Compare;

/// One check of the program. It is made of values element by element: see [`CheckKind`].
#[derive(Clone, PartialEq, Debug, Hash, Serialize, Deserialize)]
pub struct Check {
    pub kind: CheckKind,
    /// The message of an `assert`, or the name of what is looked at; may be empty.
    pub text: Arc<str>,
    /// Where the calls are written that lead to it, outermost first.
    pub calls: Spans,
    /// The `for`s that the leading axes of its values stand for, once distribution has made axes of them.
    pub lanes: SmallVec<[Lane; 2]>,
}

/// A `for` that became an axis of so many lanes.
#[derive(Clone, Copy, PartialEq, Debug, Hash, Serialize, Deserialize)]
pub struct Lane {
    pub n: usize,
    pub span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum CheckKind {
    /// An `assert`: the first value is a `bool` that must hold. If it is a comparison, the other two are its sides.
    Assert(Option<Compare>),
    /// The one value, an `i32`, is the start of so many places (1 for an index) on an axis of so many elements.
    Index { width: usize, len: usize },
    /// The first value is a float that an operation made of the others: it must be finite, or they were not.
    Finite,
}

impl CheckKind {
    /// Whether the check holds of one element of each value.
    pub fn holds(self, values: &[Lit]) -> bool {
        match self {
            CheckKind::Assert(_) => values[0].bits != 0,
            CheckKind::Index { width, len } => {
                let start = values[0].to_f64();
                start >= 0.0 && start + width as f64 <= len as f64
            }
            CheckKind::Finite => {
                let x = values[0].to_f64();
                let others = || values[1..].iter().map(|v| v.to_f64());
                x.is_finite() || others().any(f64::is_nan) || !x.is_nan() && others().any(f64::is_infinite)
            }
        }
    }
}

impl Check {
    pub fn new(kind: CheckKind, text: impl Into<Arc<str>>) -> Check {
        Check { kind, text: text.into(), calls: Spans::new(), lanes: SmallVec::new() }
    }
}

/// A check that failed: where, and on what.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    pub check: Arc<Check>,
    /// The places of the check in the user's program.
    pub spans: Spans,
    /// The element of each value that it failed on.
    pub values: Vec<Lit>,
    /// Where in the values that element is; its lanes first.
    pub place: Vec<usize>,
    /// The loops around, outermost first.
    pub steps: Vec<Step>,
    /// The lanes of the `Map`s around, outermost first; in a scheduled program the run.
    pub maps: Vec<usize>,
}

/// How far a loop was.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    pub at: usize,
    /// Of so many steps.
    pub n: usize,
    /// The loop that the host paces.
    pub train: bool,
    pub span: Option<Span>,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::fault::headline(self))
    }
}

impl std::error::Error for Fault {}
