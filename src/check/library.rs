//! A script without `main`: its tests, properties and examples are traced, and with them the functions that they reach.

use std::process::ExitCode;

use serde_json::json;
use whorl_source::{Diagnostic, Severity};
use whorl_trace::TestKind;

use super::layout::{counted, section};
use crate::args;
use crate::pipeline::{self, Source};

pub fn check(source: &Source, options: &args::Check) -> Result<ExitCode, String> {
    let cases = source.script.tests();
    let mut errors: Vec<Diagnostic> = Vec::new();
    let (mut tests, mut properties, mut examples) = (0, 0, 0);
    for (k, case) in cases.iter().enumerate() {
        let found = match &case.kind {
            TestKind::Test => {
                tests += 1;
                source.script.trace_test(k).err()
            }
            // Whether it fails as it says is for `whorl test` to find out.
            TestKind::Fails(_) => continue,
            TestKind::Prop => {
                properties += 1;
                let sizes = source.script.size_ranges(k);
                sizes
                    .and_then(|s| {
                        let smallest: Vec<usize> = s.iter().map(|r| r.low).collect();
                        source.script.trace_prop(k, &smallest, None)
                    })
                    .err()
            }
            TestKind::Example => {
                examples += 1;
                source.script.trace_test(k).err()
            }
        };
        for e in found.into_iter().flatten() {
            if !errors.contains(&e) {
                errors.push(e);
            }
        }
    }
    if !errors.is_empty() {
        return Err(pipeline::render(&errors, &source.map));
    }
    let reached: Vec<(usize, &str)> = vec![(tests, "test"), (properties, "property"), (examples, "example")];
    let what: Vec<String> = reached
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, noun)| if *n != 1 && *noun == "property" { format!("{n} properties") } else { counted(*n, noun) })
        .collect();
    let (called, missed) = source.script.reached();
    if options.json {
        let warnings: Vec<_> = source.script.unused().iter().map(|d| super::diagnostic_json(d, &source.map)).collect();
        say!(
            "{}",
            json!({
                "file": source.map.files().next().map(|(_, f)| f.name.clone()),
                "main": null, "tests": tests, "properties": properties, "examples": examples,
                "functions_reached": called, "functions_not_reached": missed, "warnings": warnings,
            })
        );
        return Ok(ExitCode::SUCCESS);
    }
    let unused = source.script.unused();
    if unused.iter().any(|d| d.severity == Severity::Warning) {
        eprintln!("{}", pipeline::render(unused, &source.map));
    }
    crate::put(section("params and sizes (--set name=value)", &super::knob_rows(&source.script.knobs())));
    let mut rows = Vec::new();
    rows.push(match what.is_empty() {
        true => "there is no `main`, and there are no tests: only names and params are checked".to_string(),
        false => format!("there is no `main`; traced: {}", what.join(", ")),
    });
    if !called.is_empty() {
        rows.extend(super::layout::wrapped(&format!("functions that these reach: {}", called.join(", ")), 78, 2));
    }
    if !missed.is_empty() {
        let text = format!("not reached, so not checked for sizes and types: {}", missed.join(", "));
        rows.extend(super::layout::wrapped(&text, 78, 2));
    }
    crate::put(section("checked", &rows));
    say!("no errors");
    Ok(ExitCode::SUCCESS)
}
