//! The code in the book is executed: every `whorl` block of README.md and docs/ traces, compiles, and its tests hold.

use std::path::{Path, PathBuf};

use whorl::pipeline;

/// The `whorl` blocks of a text, with the line each begins on.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        match line.trim() {
            "```whorl" => {
                open = true;
                found.push((number + 2, String::new()));
            }
            "```" => open = false,
            _ if open => {
                if let Some((_, block)) = found.last_mut() {
                    block.push_str(line);
                    block.push('\n');
                }
            }
            _ => {}
        }
    }
    found
}

fn pages() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md")];
    walk(&root.join("docs"), &mut found);
    found.sort();
    found
}

/// Traces and compiles what the block holds: `main`, if there is one, and its tests, which are run.
fn execute(name: &str, text: String) -> Result<(), String> {
    let source = pipeline::load_text(name, text.clone(), &[])?;
    if text.contains("fn main(") {
        let traced = source.script.trace_main().map_err(|d| pipeline::render(&d, &source.map))?;
        pipeline::compile(traced.program, &source.map, 1)?;
    }
    for k in 0..source.script.tests().len() {
        let traced = source.script.trace_test(k).map_err(|d| pipeline::render(&d, &source.map))?;
        let compiled = pipeline::compile(traced.program, &source.map, 1)?;
        compiled.executable.run_to_end(&[], 1).map_err(|e| e.to_string())?;
    }
    Ok(())
}

#[test]
fn code_in_the_book() {
    let (mut count, mut failures) = (0, Vec::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        for (line, block) in blocks(&text) {
            count += 1;
            let name = format!("{}:{line}", page.display());
            if let Err(e) = execute(&name, block) {
                failures.push(format!("{name}\n{e}"));
            }
        }
    }
    assert!(count > 0, "no code in the book");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
