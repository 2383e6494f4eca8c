//! The passes from traced Core to flat Core, in order.

use whorl_core::ir::Program;

use crate::distribute::{Notes, distribute, distribute_noted, distribute_whole};
use crate::fission::fission;
use crate::late::late;
use crate::simplify::simplify;
use crate::sink::sink;

pub type Pass = (&'static str, fn(Program) -> Program);

/// What tests look at after each.
pub const PASSES: &[Pass] = &[
    ("simplify", simplify),
    ("sink", sink),
    ("distribute", |p| distribute(&p)),
    ("simplify again", simplify),
    ("fission", fission),
    ("late", late),
];

/// The same for cards, whose threads are many and sort slowly: nothing is gained there by picking lanes out.
pub const PASSES_FOR_CARDS: &[Pass] = &[
    ("simplify", simplify),
    ("sink", sink),
    ("distribute", |p| distribute_whole(&p)),
    ("simplify again", simplify),
    ("fission", fission),
    ("late", late),
];

/// Core as it is scheduled: simplified, with statements in the arms that need them, with inner maps distributed, loops split,
/// and updates behind those who read what they replace.
pub fn flatten(program: Program) -> Program {
    passed(program, PASSES)
}

/// The same for cards: its values are those of [`flatten`].
pub fn flatten_for_cards(program: Program) -> Program {
    passed(program, PASSES_FOR_CARDS)
}

fn passed(program: Program, passes: &[Pass]) -> Program {
    passes.iter().fold(program, |program, (name, pass)| {
        let program = pass(program);
        if cfg!(debug_assertions)
            && let Err(e) = whorl_core::verify::verify(&program)
        {
            panic!("{name} made ill-formed Core: {e:?}\n{}", whorl_core::print::print(&program));
        }
        program
    })
}

/// The same, with what became of each `for`, for reports.
pub fn flatten_noted(program: Program) -> (Program, Notes) {
    let (program, notes) = distribute_noted(&sink(simplify(program)));
    (late(fission(simplify(program))), notes)
}
