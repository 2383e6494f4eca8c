//! Tree to Core: the script is run once on abstract values, and what it does with arrays is written down.
//!
//! Numbers, records, keys and functions of the language are [`value::Value`]s here; only the arrays in their leaves reach
//! Core. A call is followed into the body of the function, so the result is specialised to the shapes it met; `for`, `scan`,
//! `while` and branches on run-time values become forms; `grad` traces its function and hands it to `whorl_transform::ad`.
//!
//! ```text
//! Script::load   parse all imports, bind names, apply settings   (script)
//! trace_main     run `main` on parameters                          (entry → call → expr → ops, index, control, builtins)
//! ```

mod builtins;
mod call;
mod checks;
mod control;
mod derive;
mod entry;
mod enums;
mod expr;
mod habits;
mod index;
mod keys;
mod leafwise;
mod matching;
mod names;
mod ops;
mod params;
mod pattern;
pub mod random;
mod script;
mod tracer;
mod tree;
mod types;
mod value;
mod window;

pub use builtins::{BuiltinDoc, prelude};
pub use entry::{Leaf, TestCase, Traced, Tree};
pub use params::Knob;
pub use script::{Loader, Script};
