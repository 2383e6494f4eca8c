//! Text to tree: lexer, parser that never fails, and the tree that tracing reads.
//!
//! [`parse`] is the one way in. It reads the text once and builds two trees side by side: the lossless [`tree`], whose
//! tokens laid end to end are the file, and the [`ast`], which is what the program says. Mistakes become diagnostics
//! (their codes are listed in [`codes`]); the trees are always there.
//!
//! ```
//! use whorl_source::FileId;
//! let parse = whorl_syntax::parse(FileId(0), "fn double(x) = 2 * x  // twice\n");
//! assert!(parse.diagnostics.is_empty());
//! assert_eq!(parse.module.items.len(), 1);
//! assert_eq!(parse.tree.text(), "fn double(x) = 2 * x  // twice\n");
//! ```

pub mod ast;
pub mod codes;
mod format;
pub mod lexer;
mod parser;
pub mod tree;

pub use format::format;
pub use parser::{Entry, EntryKind, is_incomplete, parse, parse_block, parse_entries, parse_statements};

/// What [`parse`] makes of a file.
#[derive(Clone, Debug)]
pub struct Parse {
    /// Every byte of the file, with its structure.
    pub tree: tree::Tree,
    /// What the program says; `Error` nodes stand where it made no sense.
    pub module: ast::Module,
    /// Mistakes, in the order of the text.
    pub diagnostics: Vec<whorl_source::Diagnostic>,
}
