//! `whorl repl`: a script that grows line by line, and answers.

mod commands;
mod completion;
mod evaluate;
mod print;
pub mod session;
mod terminal;

pub use commands::Desk;
pub use terminal::repl;
