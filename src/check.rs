//! `whorl check`: errors, knobs, types, schedule and memory of a script, without running it.

use std::process::ExitCode;

use whorl_schedule::loop_ir::Phase;

use crate::args;
use crate::pipeline;
use crate::run::bytes;

pub fn check(options: &args::Script) -> Result<ExitCode, String> {
    let source = pipeline::load(options)?;
    let traced = source.script.trace_main().map_err(|d| pipeline::render(&d, &source.map))?;
    pipeline::warn(&traced, &source.map);
    for knob in source.script.knobs() {
        println!("{:24} {:>12}  {}", knob.name, knob.value, knob.about);
    }
    for file in source.script.data_files() {
        println!("{}", crate::data::described(&file));
    }
    let results = traced.results.iter();
    for leaf in results {
        let name = if leaf.path.is_empty() { "(result)" } else { &leaf.path };
        println!("main gives {name}: {}{:?}", leaf.ty.dtype.name(), leaf.ty.shape.as_slice());
    }
    for save in &traced.saves {
        println!("{}", crate::save::described(save));
    }
    let program = pipeline::schedule(&pipeline::flatten(traced.program), &source.map)?;
    match program.runs {
        Some(n) => println!("{n} runs, {} each", bytes(program.arena_bytes)),
        None => println!("one run, {}", bytes(program.arena_bytes)),
    }
    for phase in &program.phases {
        if let Phase::Train { n, .. } = phase {
            println!("train scan of {n} steps");
        }
    }
    print!("{}", whorl_schedule::memory_table(&program, 8, &|spans| pipeline::lines(&source.map, spans)));
    Ok(ExitCode::SUCCESS)
}
