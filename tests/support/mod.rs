//! What the tests of the whole share: scripts, the three machines that run them, and recorded values.

#![allow(dead_code)] // Each test file is a program of its own and uses some of this.

pub mod machines;
pub mod recorded;
pub mod tool;

use std::path::{Path, PathBuf};

use whorl::pipeline::{self, Source};
use whorl_trace::{Traced, Tree};

/// The folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The scripts directly in a folder of the repository, sorted by name.
pub fn scripts(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let paths = entries.map(|entry| entry.unwrap_or_else(|e| panic!("{folder}: {e}")).path());
    let mut found: Vec<PathBuf> = paths.filter(|p| p.extension().is_some_and(|e| e == "whorl")).collect();
    found.sort();
    found
}

/// A script of the repository with some params and sizes set; a script that does not load fails the test.
#[track_caller]
pub fn load(path: &Path, settings: &[(&str, &str)]) -> Source {
    try_load(path, settings).unwrap_or_else(|e| panic!("{e}"))
}

/// The same; an error is the rendered text.
pub fn try_load(path: &Path, settings: &[(&str, &str)]) -> Result<Source, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let settings: Vec<(String, String)> = settings.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    pipeline::load_text(&path.display().to_string(), text, &settings)
}

#[track_caller]
pub fn load_text(name: &str, text: &str, settings: &[(&str, &str)]) -> Source {
    let settings: Vec<(String, String)> = settings.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    pipeline::load_text(name, text.to_string(), &settings).unwrap_or_else(|e| panic!("{e}"))
}

/// A function of the script, traced on arguments of these types.
#[track_caller]
pub fn function(source: &Source, name: &str, args: &[Tree]) -> Traced {
    source.script.trace_function(name, args).unwrap_or_else(|d| panic!("{}", pipeline::render(&d, &source.map)))
}
