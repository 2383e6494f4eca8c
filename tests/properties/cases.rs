//! Programs with arguments as text: `tests/generated/*.core`.
//!
//! ```text
//! // What was wrong.
//! { %0 : f32[2] -> … }
//! // arguments
//! { ->
//!   %0 : f32[2] = constant [1.0, 0x7fc00000]
//!   %0
//! }
//! ```

use std::sync::Arc;

use whorl_core::ir::*;
use whorl_core::{Builder, interp, print, read};

use crate::reduce::Case;

const ARGUMENTS: &str = "// arguments\n";

pub fn written(case: &Case) -> String {
    let mut b = Builder::default();
    b.begin();
    let results = case.args.iter().map(|a| b.constant(Arc::new(a.clone()))).collect();
    let body = b.end(results);
    let arguments = Program { vars: b.vars, main: Function { params: Vec::new(), body } };
    // Numbered anew.
    let program = read::read(&print::print(&case.program)).unwrap_or_else(|_| case.program.clone());
    format!("{}{ARGUMENTS}{}", print::print(&program), print::print(&arguments))
}

pub fn read_case(text: &str) -> Result<Case, String> {
    let (program, arguments) = text.split_once(ARGUMENTS).ok_or("no arguments")?;
    let program = read::read(program).map_err(|e| e.to_string())?;
    let arguments = read::read(arguments).map_err(|e| format!("the arguments: {e}"))?;
    let args = interp::run(&arguments, &[]).map_err(|e| e.to_string())?.results;
    Ok(Case { program, args })
}
