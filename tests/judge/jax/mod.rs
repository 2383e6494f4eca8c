//! Jaxpr texts as Core, their values, derivatives and lanes.

mod arrays;
mod control;
mod elementwise;
mod random;
mod reductions;
mod text;
mod translate;

use serde_json::Value as Json;
use whorl_core::ir::Program;

use crate::support::recorded::Recorded;
use translate::Refusal;

/// A program of JAX.
pub struct Case {
    /// Its arrays are `{i}/a0`, ….
    pub i: u64,
    pub name: String,
    pub text: text::Text,
}

/// The programs of a file, in order.
pub fn cases(recorded: &Recorded) -> Vec<Case> {
    let list = recorded.about.as_array().expect("a list of cases");
    let case = |about: &Json| {
        let name = about["name"].as_str().expect("a name").to_string();
        let text = text::read(about["jaxpr"].as_str().expect("a text")).unwrap_or_else(|e| panic!("{name}: {e}"));
        Case { i: about["i"].as_u64().expect("a number"), name, text }
    };
    list.iter().map(case).collect()
}

#[test]
fn jax_harness() {
    let Some(recorded) = Recorded::open("jax_harness") else { return };
    let mut why = std::collections::BTreeMap::<String, usize>::new();
    for case in cases(&recorded) {
        let result: Result<Program, Refusal> = translate::translate(&case.text);
        *why.entry(result.err().map_or("ok".into(), |e| format!("{e:?}"))).or_default() += 1;
    }
    println!("{why:#?}");
}
