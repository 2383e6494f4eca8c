//! Where imported modules come from: `std` is part of the program, other modules are files beside the importing one.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use whorl_trace::{Data, DataProblem, DataRequest, Loader};

static STANDARD: Dir = include_dir!("$CARGO_MANIFEST_DIR/stdlib");

/// Reads modules.
pub struct Modules;

impl Loader for Modules {
    fn load(&mut self, path: &[String], from: Option<&str>) -> Result<(String, String), String> {
        if path.first().is_some_and(|p| p == "std") {
            let file = format!("{}.whorl", path[1..].join("/"));
            let text = STANDARD.get_file(&file).and_then(|f| f.contents_utf8());
            let text = text.ok_or_else(|| format!("the standard library has no module `{}`", path.join(".")))?;
            return Ok((format!("std/{file}"), text.to_string()));
        }
        let file = file(path, from);
        let text = std::fs::read_to_string(&file).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => format!("there is no file {}", file.display()),
            _ => format!("{}: {e}", file.display()),
        })?;
        Ok((file.display().to_string(), text))
    }

    fn data(&mut self, request: &DataRequest, from: Option<&str>) -> Result<Data, DataProblem> {
        crate::data::load(request, from)
    }

    fn known(&self) -> Vec<String> {
        modules().into_iter().map(|(file, _)| file.trim_end_matches(".whorl").replace('/', ".")).collect()
    }
}

/// The file of a module that the file `from` imports.
pub fn file(path: &[String], from: Option<&str>) -> PathBuf {
    let folder = from.map(Path::new).and_then(Path::parent).map_or(PathBuf::new(), Path::to_path_buf);
    folder.join(format!("{}.whorl", path.join("/")))
}

/// All modules of the standard library: name of the file, text.
pub fn modules() -> Vec<(String, &'static str)> {
    fn walk(dir: &'static Dir, found: &mut Vec<(String, &'static str)>) {
        for file in dir.files() {
            if let (true, Some(text)) = (file.path().extension().is_some_and(|e| e == "whorl"), file.contents_utf8()) {
                found.push((format!("std/{}", file.path().display()), text));
            }
        }
        dir.dirs().for_each(|d| walk(d, found));
    }
    let mut found = Vec::new();
    walk(&STANDARD, &mut found);
    found.sort();
    found
}
