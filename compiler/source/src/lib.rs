//! Source files, spans in them, and diagnostics that point at them.
//!
//! Every stage above machine code carries [`Span`]s; only this crate knows how to show one.
//!
//! ```
//! use whorl_source::{Diagnostic, SourceMap, Span};
//! let mut map = SourceMap::new();
//! let file = map.add("a.whorl", "let x = y\n");
//! let error = Diagnostic::error("E0001", "unknown name `y`").at(Span::new(file, 8, 9), "not defined");
//! assert!(error.render(&map).contains("a.whorl:1:9"));
//! ```

mod diagnostic;
mod map;
mod render;

pub use diagnostic::{Diagnostic, Label, Severity};
pub use map::{FileId, SourceFile, SourceMap, Span};
