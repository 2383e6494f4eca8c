//! `whorl show`: the program after a stage.

use std::process::ExitCode;

use crate::args::{self, Stage};
use crate::pipeline;

pub fn show(options: &args::Show) -> Result<ExitCode, String> {
    let source = pipeline::load(&options.script)?;
    if options.stage == Stage::Tree {
        let (file, text) = (whorl_source::FileId(0), &source.text);
        crate::put(whorl_syntax::parse(file, text).tree.outline());
        return Ok(ExitCode::SUCCESS);
    }
    let traced = source.script.trace_main().map_err(|d| pipeline::render(&d, &source.map))?;
    match options.stage {
        Stage::Tree => {}
        Stage::Core => say!("{}", whorl_core::print::print(&traced.program)),
        Stage::Fused => say!("{}", whorl_core::print::print(&pipeline::flatten(traced.program))),
        Stage::Loops => {
            let program = pipeline::schedule(&pipeline::flatten(traced.program), &source.map)?;
            say!("{}", whorl_schedule::print(&program, &|spans| pipeline::lines(&source.map, spans)));
        }
        Stage::Asm => {
            let compiled = pipeline::compile(traced.program, &source.map, 1)?;
            say!("{}", compiled.executable.assembly().map_err(|e| format!("error: {e}"))?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
