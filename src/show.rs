//! `whorl show`: the program after a stage.

use std::process::ExitCode;

use crate::args::{self, Stage};
use crate::pipeline;

pub fn show(options: &args::Show) -> Result<ExitCode, String> {
    let source = pipeline::load(&options.script)?;
    if options.stage == Stage::Tree {
        println!("{:#?}", source.script.main_tree());
        return Ok(ExitCode::SUCCESS);
    }
    let traced = source.script.trace_main().map_err(|d| pipeline::render(&d, &source.map))?;
    let lines = |span| source.map.line_name(span);
    match options.stage {
        Stage::Tree => {}
        Stage::Core => println!("{}", whorl_core::print::print(&traced.program)),
        Stage::Fused => println!("{}", whorl_core::print::print(&pipeline::flatten(traced.program))),
        Stage::Loops => {
            let program = pipeline::schedule(&pipeline::flatten(traced.program), &source.map)?;
            println!("{}", whorl_schedule::print(&program, &lines));
        }
        Stage::Asm => {
            let compiled = pipeline::compile(traced.program, &source.map, 1)?;
            println!("{}", compiled.executable.assembly());
        }
    }
    Ok(ExitCode::SUCCESS)
}
