//! PTX text to statements: declarations are resolved, instructions still have their words.

mod lex;
mod parse;
mod syntax;

pub use parse::parse;
pub use syntax::*;
