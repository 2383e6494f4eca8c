//! What the targets of cargo-fuzz hold of a text, whatever it is: a panic is a failure. `tests/fuzz_corpus.rs` runs the same
//! functions over the corpora, with a stable compiler.

use std::path::{Path, PathBuf};

use whorl_source::{Diagnostic, FileId, SourceMap};
use whorl_trace::{Loader, Script};

/// The tree is the text, and every diagnostic has a place in it and something to say.
pub fn parser(text: &str) {
    let mut map = SourceMap::new();
    let file = map.add("fuzz.whorl", text);
    let parse = whorl_syntax::parse(file, text);
    assert_eq!(parse.tree.text(), text, "the tree is not the text");
    parse.diagnostics.iter().for_each(|d| placed(d, &map));
    // What the prompt and the debugger read in other ways.
    whorl_syntax::is_incomplete(text);
    whorl_syntax::parse_entries(file, text);
}

/// The formatter moves lines and spaces and nothing else, and what is formatted stays as it is.
pub fn formatter(text: &str) {
    let Some(formatted) = whorl_syntax::format(text) else { return };
    let (before, after) = (whorl_syntax::parse(FileId(0), text), whorl_syntax::parse(FileId(0), &formatted));
    assert!(
        after.diagnostics.is_empty(),
        "the formatter breaks the program: {}\n{formatted}",
        after.diagnostics[0].message
    );
    assert_eq!(before.tree.outline(), after.tree.outline(), "the formatter changes the program\n{formatted}");
    let again = whorl_syntax::format(&formatted);
    assert_eq!(again.as_deref(), Some(&formatted[..]), "formatting twice is not formatting once");
}

/// A script is traced to well-formed Core, or refused with reasons. The standard library lies in the folder `library`; there
/// are no other files.
pub fn tracer(text: &str, library: &Path) {
    let mut map = SourceMap::new();
    let loaded = Script::load(&mut Library(library.to_path_buf()), &mut map, "fuzz.whorl", text, &[]);
    let script = match loaded {
        Ok(script) => script,
        Err(diagnostics) => return refused(&diagnostics, &map),
    };
    let tests = (0..script.tests().len().min(3)).map(|k| script.trace_test(k));
    for program in std::iter::once(script.trace_main()).chain(tests) {
        match program {
            Err(diagnostics) => refused(&diagnostics, &map),
            Ok(traced) => {
                traced.warnings.iter().for_each(|d| placed(d, &map));
                if let Err(e) = whorl_core::verify::verify(&traced.program) {
                    panic!("tracing made ill-formed Core: {e}\n{}", whorl_core::print::print(&traced.program));
                }
            }
        }
    }
}

/// A text of Core is read or refused, what was read is printed and read to the same, and the verifier says yes or no.
pub fn core_reader(text: &str) {
    let Ok(program) = whorl_core::read::read(text) else { return };
    let printed = whorl_core::print::print(&program);
    let again = whorl_core::read::read(&printed);
    assert_eq!(again.as_ref(), Ok(&program), "printing and reading changes the program\n{printed}");
    // That of a program without a flaw must hold, too, and that of another must not fall over it.
    if whorl_core::verify::verify(&program).is_ok() {
        let simple = whorl_transform::simplify::simplify(program);
        if let Err(e) = whorl_core::verify::verify(&simple) {
            panic!("simplify made ill-formed Core: {e}\n{printed}");
        }
    }
}

fn refused(diagnostics: &[Diagnostic], map: &SourceMap) {
    assert!(!diagnostics.is_empty(), "refused without a reason");
    diagnostics.iter().for_each(|d| placed(d, map));
}

fn placed(d: &Diagnostic, map: &SourceMap) {
    for label in &d.labels {
        if let Some(file) = map.file(label.span.file) {
            let part = file.text.get(label.span.start as usize..label.span.end as usize);
            assert!(part.is_some(), "a diagnostic points outside of the text: {d:?}");
        }
    }
    assert!(!d.render(map).is_empty(), "a diagnostic says nothing: {d:?}");
}

struct Library(PathBuf);

impl Loader for Library {
    fn load(&mut self, path: &[String], _from: Option<&str>) -> Result<(String, String), String> {
        match path.split_first() {
            Some((first, rest)) if first == "std" => {
                let file = format!("{}.whorl", rest.join("/"));
                let text = std::fs::read_to_string(self.0.join(&file)).map_err(|_| "no such module".to_string())?;
                Ok((format!("std/{file}"), text))
            }
            _ => Err("no file".to_string()),
        }
    }
}
