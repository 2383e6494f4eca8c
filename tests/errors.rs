//! Wrong programs and what is said of them: `errors/SUBJECT/NAME.whorl` and beside it `NAME.txt`.
//!
//! `UPDATE=1 cargo test --test errors` writes the texts anew; read them before you commit them. A first line
//! `// set NAME=VALUE` sets a param. What lies in a folder `lib` is imported by programs and is none itself.

mod support;

use std::path::{Path, PathBuf};

use whorl::pipeline;

#[test]
fn wrong_programs() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut failures = Vec::new();
    let root = support::root().join("tests/errors");
    let scripts = programs(&root);
    for path in &scripts {
        let name = path.strip_prefix(&root).unwrap_or(path).display().to_string();
        let expected = path.with_extension("txt");
        let text = match said(path) {
            Some(text) => text,
            None => {
                failures.push(format!("{name}: nothing was wrong"));
                continue;
            }
        };
        if update {
            std::fs::write(&expected, &text).unwrap_or_else(|e| panic!("{}: {e}", expected.display()));
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != text {
            failures.push(format!("{name} is answered with another text than {}:\n{text}", expected.display()));
        }
    }
    assert!(scripts.len() >= 200, "only {} wrong programs", scripts.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The library, the examples and the test programs are written as we ask users to.
#[test]
fn our_own_programs_have_no_warnings() {
    let mut told = Vec::new();
    let library = whorl::standard_library::modules().into_iter().map(|(name, text)| (name, text.to_string()));
    let files = ["examples", "tests/programs"].into_iter().flat_map(support::scripts);
    let files = files.map(|p| (p.display().to_string(), std::fs::read_to_string(&p).expect("a script")));
    for (name, text) in library.chain(files) {
        let source = pipeline::load_text(&name, text, &[]).unwrap_or_else(|e| panic!("{e}"));
        let traced = source.script.trace_main();
        let warnings = traced.map_or(source.script.unused().to_vec(), |t| t.warnings);
        if !warnings.is_empty() {
            told.push(pipeline::render(&warnings, &source.map));
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// The programs of all subjects, sorted.
fn programs(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).expect("the folder of errors").flatten() {
        let subject = entry.file_name().to_string_lossy().into_owned();
        assert!(entry.path().is_dir(), "{subject}: a program belongs to a subject");
        found.extend(support::scripts(&format!("tests/errors/{subject}")));
    }
    found.sort();
    found
}

/// Ten mistakes in a file are told in one go.
#[test]
fn many_mistakes_are_told_at_once() {
    for path in support::scripts("tests/errors/many") {
        let text = said(&path).unwrap_or_default();
        let told = text.lines().filter(|l| l.starts_with("error[")).count();
        assert!(told >= 10, "{}: {told} errors\n{text}", path.display());
    }
}

/// What the user reads; `None` if all is well. Paths are as if the user stood beside the script.
fn said(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let set = text.lines().next().and_then(|l| l.strip_prefix("// set ")).and_then(|l| l.split_once('='));
    let settings: Vec<(String, String)> = set.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    let name = path.display().to_string();
    let folder = format!("{}/", path.parent().map_or(String::new(), |p| p.display().to_string()));
    let rendered = match pipeline::load_text(&name, text, &settings) {
        Err(rendered) => rendered,
        Ok(source) => match source.script.trace_main() {
            Err(diagnostics) => pipeline::render(&diagnostics, &source.map),
            Ok(traced) if !traced.warnings.is_empty() => pipeline::render(&traced.warnings, &source.map),
            Ok(_) => return None,
        },
    };
    Some(rendered.replace(&folder, ""))
}
