//! `whorl fmt`: puts scripts into the standard style.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::args;

/// Formats files, and all scripts in folders. With `check` nothing is written, and the exit status says whether all was well.
pub fn fmt(options: &args::Fmt) -> Result<ExitCode, String> {
    let mut files = Vec::new();
    for path in &options.files {
        scripts(path, &mut files)?;
    }
    let (mut changed, mut broken) = (0, 0);
    for file in &files {
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|e| format!("error: {name}: {e}"))?;
        let Some(formatted) = whorl_syntax::format(&text) else {
            broken += 1;
            eprintln!("{name}: has errors, and stays as it is; `whorl check {name}` tells them");
            continue;
        };
        if formatted == text {
            continue;
        }
        changed += 1;
        if options.check {
            say!("{name}: would be formatted");
        } else {
            std::fs::write(file, formatted).map_err(|e| format!("error: {name}: {e}"))?;
            say!("{name}: formatted");
        }
    }
    let well = broken == 0 && !(options.check && changed > 0);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The script, or the scripts in the folder and in those below it, by name.
pub fn scripts(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    if !path.is_dir() {
        found.push(path.to_path_buf());
        return Ok(());
    }
    let say = |e: std::io::Error| format!("error: {}: {e}", path.display());
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(say)? {
        entries.push(entry.map_err(say)?.path());
    }
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|e| e == "whorl") {
            scripts(&entry, found)?;
        }
    }
    Ok(())
}
