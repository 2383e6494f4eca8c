//! `whorl test`: runs the `test` blocks of files.

use std::process::ExitCode;

use crate::args;
use crate::fault;
use crate::pipeline::{self, Checks};
use crate::standard_library;

pub fn test(options: &args::Test) -> Result<ExitCode, String> {
    let mut files = Vec::new();
    for file in &options.files {
        if file.as_os_str() == "std" && !file.exists() {
            files.extend(standard_library::modules().into_iter().map(|(n, t)| (n, t.to_string())));
        } else {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(file).map_err(|e| format!("error: {name}: {e}"))?;
            files.push((name, text));
        }
    }
    let (mut passed, mut failed) = (0, 0);
    for (name, text) in files {
        let source = match pipeline::load_text(&name, text, &[]) {
            Ok(source) => source,
            Err(text) => {
                eprintln!("{text}");
                failed += 1;
                continue;
            }
        };
        for (k, case) in source.script.tests().iter().enumerate() {
            if options.filter.as_ref().is_some_and(|f| !case.name.contains(f.as_str())) {
                continue;
            }
            match run_one(&source, k, options.checks) {
                Ok(()) => passed += 1,
                Err(text) => {
                    failed += 1;
                    eprintln!("FAILED {name}: {}\n{}", case.name, text.trim_end());
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_one(source: &pipeline::Source, k: usize, checks: Checks) -> Result<(), String> {
    let traced = source.script.trace_test(k).map_err(|d| pipeline::render(&d, &source.map))?;
    let program = pipeline::checked(traced.program, checks);
    let compiled = pipeline::compile(program, &source.map, 1)?;
    let run = compiled.executable.run_to_end(&[], 1);
    run.map(|_| ()).map_err(|e| fault::told(&e, None, None, &source.map).text)
}
