//! Wrong programs and what is said of them: `errors/NAME.whorl` and beside it `errors/NAME.txt`.
//!
//! `UPDATE=1 cargo test --test errors` writes the texts anew; read them before you commit them. A first line
//! `// set NAME=VALUE` sets a param.

mod support;

use std::path::Path;

use whorl::pipeline;

#[test]
fn wrong_programs() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut failures = Vec::new();
    let scripts = support::scripts("tests/errors");
    for path in &scripts {
        let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
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
    assert!(scripts.len() >= 30, "only {} wrong programs", scripts.len());
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
