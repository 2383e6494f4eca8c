//! `whorl check`: errors, knobs, types, schedule and memory of a script, without running it.

use std::process::ExitCode;

use whorl_core::Checkpoint;
use whorl_schedule::loop_ir::Phase;
use whorl_source::Span;
use whorl_transform::ad::kept::{Kept, kept};

use crate::args;
use crate::pipeline;
use crate::words::bytes;

pub fn check(options: &args::Script) -> Result<ExitCode, String> {
    let source = pipeline::load(options)?;
    let traced = source.script.trace_main().map_err(|d| pipeline::render(&d, &source.map))?;
    pipeline::warn(&traced, &source.map);
    for knob in source.script.knobs() {
        say!("{:24} {:>12}  {}", knob.name, knob.value, knob.about);
    }
    for file in source.script.data_files() {
        say!("{}", crate::data::described(&file));
    }
    let results = traced.results.iter();
    for leaf in results {
        let name = if leaf.path.is_empty() { "(result)" } else { &leaf.path };
        say!("main gives {name}: {}{:?}", leaf.ty.dtype.name(), leaf.ty.shape.as_slice());
    }
    for save in &traced.saves {
        say!("{}", crate::save::described(save));
    }
    let (program, after) = pipeline::cut(traced.program);
    let flat = pipeline::flatten(program);
    let program = pipeline::schedule(&flat, &source.map)?;
    match program.runs {
        Some(n) => say!("{n} runs, {} each", bytes(program.arena_bytes)),
        None => say!("one run, {}", bytes(program.arena_bytes)),
    }
    for phase in &program.phases {
        if let Phase::Train { n, .. } = phase {
            say!("train scan of {n} steps");
        }
    }
    if let Some(after) = after {
        let after = pipeline::schedule(&pipeline::flatten(after), &source.map)?;
        say!("one program over all runs behind them, {}", bytes(after.arena_bytes));
    }
    crate::put(whorl_schedule::memory_table(&program, 8, &|spans| pipeline::lines(&source.map, spans)));
    crate::put(kept_table(&kept(&flat), &|spans| pipeline::lines(&source.map, spans)));
    Ok(ExitCode::SUCCESS)
}

/// What derivatives keep of the states of loops, and what they would under other policies. Nothing, if they keep none.
fn kept_table(loops: &[Kept], line: &dyn Fn(&[Span]) -> String) -> String {
    if loops.is_empty() {
        return String::new();
    }
    let mut rows = vec![["steps", "a state", "kept", "carries", "sqrt", "loop"].map(String::from).to_vec()];
    for k in loops {
        let place =
            if k.every > 1 { format!("{}, checkpoint every {}", line(&k.spans), k.every) } else { line(&k.spans) };
        let (all, sqrt) = (k.with(Checkpoint::Carries), k.with(Checkpoint::Sqrt));
        let sizes = [k.state_bytes, k.now(), all, sqrt].map(bytes);
        rows.push([k.steps.to_string()].into_iter().chain(sizes).chain([place]).collect());
    }
    let mut text =
        String::from("states of loops that derivatives keep, and would keep with `checkpoint carries` or `sqrt`:\n");
    for row in rows {
        let (place, sizes) = row.split_last().expect("six columns");
        sizes.iter().for_each(|s| text += &format!("{s:>12}"));
        text += &format!("  {place}\n");
    }
    text
}
