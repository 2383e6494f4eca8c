//! `whorl repl`: a script that grows line by line, and answers.

mod commands;
mod completion;
mod engine;
mod evaluate;
mod print;
pub mod session;
mod terminal;

pub use commands::{Desk, Flow, Said};
pub use evaluate::STACK;
pub use terminal::repl;
