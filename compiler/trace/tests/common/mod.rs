//! Loads scripts for the tests: text in memory, `std` from the library's folder.
#![allow(dead_code)]

use std::collections::HashMap;

use whorl_core::{ArrayData, interp};
use whorl_source::{Diagnostic, SourceMap};
use whorl_trace::{Loader, Script, TestKind, Traced};

#[derive(Default)]
pub struct Files(pub HashMap<String, String>);

impl Loader for Files {
    fn load(&mut self, path: &[String], _from: Option<&str>) -> Result<(String, String), String> {
        let dotted = path.join(".");
        if let Some(text) = self.0.get(&dotted) {
            return Ok((format!("{dotted}.whorl"), text.clone()));
        }
        let [first, rest @ ..] = path else { return Err("nothing to import".to_string()) };
        if first != "std" {
            return Err(format!("no file {dotted}"));
        }
        let file = format!("{}/../../stdlib/{}.whorl", env!("CARGO_MANIFEST_DIR"), rest.join("/"));
        let text = std::fs::read_to_string(&file).map_err(|_| "not in the library".to_string())?;
        Ok((format!("std/{}.whorl", rest.join("/")), text))
    }
}

pub fn render(errors: &[Diagnostic], map: &SourceMap) -> String {
    errors.iter().map(|e| e.render(map)).collect()
}

pub fn load_with(files: &[(&str, &str)], text: &str, settings: &[(&str, &str)]) -> Result<Script, String> {
    let mut map = SourceMap::new();
    let mut loader = Files(files.iter().map(|(n, t)| (n.to_string(), t.to_string())).collect());
    let settings: Vec<(String, String)> = settings.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    Script::load(&mut loader, &mut map, "test.whorl", text, &settings).map_err(|e| render(&e, &map))
}

pub fn load(text: &str) -> Script {
    load_with(&[], text, &[]).unwrap_or_else(|e| panic!("{e}"))
}

pub fn shown<T>(script: &Script, result: Result<T, Vec<Diagnostic>>) -> Result<T, String> {
    result.map_err(|e| render(&e, script.source_map()))
}

pub fn trace(text: &str) -> Traced {
    let script = load(text);
    shown(&script, script.trace_main()).unwrap_or_else(|e| panic!("{e}"))
}

/// Traces, verifies and runs `main`; what it gives, by path.
pub fn run_all(text: &str, args: &[ArrayData]) -> HashMap<String, ArrayData> {
    let traced = trace(text);
    check(&traced);
    let outcome = interp::run(&traced.program, args).unwrap_or_else(|e| panic!("{e}"));
    traced.results.iter().map(|l| l.path.clone()).zip(outcome.results).collect()
}

pub fn check(traced: &Traced) {
    if let Err(e) = whorl_core::verify::verify(&traced.program) {
        panic!("ill-formed Core: {e:?}");
    }
}

/// The one array that `main` gives.
pub fn run(text: &str) -> Vec<f64> {
    let all = run_all(text, &[]);
    assert_eq!(all.len(), 1, "results {:?}", all.keys());
    all.into_values().next().expect("one").to_f64()
}

/// The value of one expression.
pub fn value(expression: &str) -> Vec<f64> {
    run(&format!("fn main() = {expression}\n"))
}

/// The rendered error of a script that does not trace.
pub fn error(text: &str) -> String {
    error_with(&[], text, &[])
}

pub fn error_with(files: &[(&str, &str)], text: &str, settings: &[(&str, &str)]) -> String {
    match load_with(files, text, settings) {
        Err(e) => e,
        Ok(script) => match shown(&script, script.trace_main()) {
            Err(e) => e,
            Ok(_) => panic!("no error"),
        },
    }
}

/// Runs every test of a module of the library, or of a script.
pub fn run_tests(text: &str) -> Vec<String> {
    let script = load(text);
    let mut failures = Vec::new();
    // Properties are drawn, and errors expected, by the tool: its tests run them.
    let here = |kind: &TestKind| matches!(kind, TestKind::Test | TestKind::Example);
    for (i, case) in script.tests().iter().enumerate().filter(|(_, case)| here(&case.kind)) {
        match shown(&script, script.trace_test(i)) {
            Err(e) => failures.push(format!("{}: {e}", case.name)),
            Ok(traced) => {
                check(&traced);
                if let Err(e) = interp::run(&traced.program, &[]) {
                    failures.push(format!("{}: {e}", case.name));
                }
            }
        }
    }
    failures
}
