//! Tree to Core: the script is run once on abstract values, and what it does with arrays is written down.
//!
//! Numbers, records, keys and functions of the language are [`value::Value`]s here; only the arrays in their leaves reach
//! Core. A call is followed into the body of the function, so the result is specialised to the shapes it met; `for`, `scan`,
//! `while` and branches on run-time values become forms; `grad` traces its function and hands it to `whorl_transform::ad`.
//!
//! ```text
//! Script::load   parse all imports, bind names, apply settings   (script)
//! trace_main     run `main` on parameters                          (entry → call → expr → ops, index, control, builtins)
//! trace_eval     run `eval` on what `main` gives                    (evaluate)
//! trace_test     run a test, a property or an example               (checks)
//! ```

mod builtins;
mod call;
mod cases;
mod checks;
mod control;
mod data;
mod derive;
mod entry;
mod enums;
mod evaluate;
mod expr;
mod generics;
mod habits;
mod index;
mod jacobian;
mod keys;
mod leafwise;
mod limits;
mod made;
mod matching;
mod names;
mod ops;
mod origin;
mod outline;
mod params;
mod parts;
mod pattern;
pub mod random;
mod report;
mod resolve;
mod runtime_checks;
mod save;
mod script;
mod session;
mod signature;
mod sweep;
mod tracer;
mod tree;
mod types;
mod unused;
mod usefulness;
mod value;
mod window;

pub use builtins::{BuiltinDoc, prelude};
pub use checks::{Claim, Drawn, Expected, Interval, Layout, SizeRange, TestCase, TestKind, VariantLayout};
pub use data::{Data, DataFile, DataProblem, DataRequest};
pub use entry::{Leaf, Traced, Tree};
pub use evaluate::{Evaluation, Plays};
pub use made::Made;
pub use names::nearest;
pub use outline::{EnumName, Kept, Known, Outline};
pub use params::Knob;
pub use parts::{Part, PartKind};
pub use save::{Curve, Mark, Plot, Save, SaveFormat};
pub use script::{Loader, Script};
pub use session::{Input, NameKind, Named};
pub use signature::{Shown, Signature};
pub use sweep::{SweptPoint, SweptProgram};
