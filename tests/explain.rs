//! The pages of errors are tests: every code has a page and every page a code, what a page says fails does so with its
//! code, and what it says to write instead has neither errors nor warnings.
//!
//! A block of a page begins with `whorl fails E0301`, where a setting may follow (`--set rate=2`), or with `whorl`.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use whorl::test::Trials;
use whorl::{explain, pipeline};
use whorl_source::Diagnostic;

/// Codes that no program brings about: their pages only say what they mean.
const WITHOUT_PROGRAM: &[&str] = &["E0217", "E0400", "E0411", "E0415", "E0420", "E0614", "E0616", "E0703"];

struct Block {
    line: usize,
    /// The code it fails with; it is well where there is none.
    fails: Option<String>,
    settings: Vec<(String, String)>,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in page.lines().enumerate() {
        match line.strip_prefix("```whorl") {
            Some(head) => {
                open = true;
                let words: Vec<&str> = head.split_whitespace().collect();
                let fails = words.iter().position(|w| *w == "fails").map(|k| words[k + 1].to_string());
                let set = |w: &&str| w.split_once('=').map(|(n, v)| (n.to_string(), v.to_string()));
                let settings = words.iter().filter_map(set).collect();
                found.push(Block { line: number + 2, fails, settings, text: String::new() });
            }
            None if line.starts_with("```") => open = false,
            None if open => {
                if let Some(block) = found.last_mut() {
                    block.text += &format!("{line}\n");
                }
            }
            None => {}
        }
    }
    found
}

/// The code of the first thing said of a program: of its parts, its `main`, and its tests, which run as `whorl test` runs them.
fn first_code(block: &Block) -> Result<Option<String>, String> {
    // In a file of its own, so that it can import itself.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("explain");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    // Beside the data files that wrong programs load.
    for entry in std::fs::read_dir(support::root().join("tests/errors/files")).map_err(|e| e.to_string())?.flatten() {
        if entry.path().extension().is_some_and(|e| e == "csv" || e == "npy") {
            std::fs::copy(entry.path(), folder.join(entry.file_name())).map_err(|e| e.to_string())?;
        }
    }
    let file = folder.join("script.whorl");
    std::fs::write(&file, &block.text).map_err(|e| e.to_string())?;
    let source = match pipeline::load_text(&file.display().to_string(), block.text.clone(), &block.settings) {
        Ok(source) => source,
        Err(rendered) => return Ok(rendered_code(&rendered)),
    };
    let code = |d: &[Diagnostic]| d.first().map(|d| d.code.to_string());
    if block.text.contains("fn main(") || source.script.tests().is_empty() {
        match source.script.trace_main() {
            Err(diagnostics) => return Ok(code(&diagnostics)),
            Ok(traced) if !traced.warnings.is_empty() => return Ok(code(&traced.warnings)),
            Ok(traced) => {
                pipeline::compile(traced.program.clone(), &source.map, 1)?;
                let parts = whorl::check::analysis::parts(traced.program, &source.map)?;
                let costly = whorl::check::warnings::warnings(&parts, &source.map);
                if !costly.is_empty() {
                    return Ok(code(&costly));
                }
            }
        }
    }
    for k in 0..source.script.tests().len() {
        if let Err(diagnostics) = whorl::test::check(&source, k, Trials::default()) {
            return Ok(code(&diagnostics));
        }
    }
    Ok(code(source.script.unused()))
}

fn rendered_code(rendered: &str) -> Option<String> {
    let (_, rest) = rendered.split_once('[')?;
    Some(rest.split_once(']')?.0.to_string())
}

#[test]
fn pages_do_what_they_say() {
    let mut wrong = Vec::new();
    for page in explain::pages() {
        let blocks = blocks(page.text);
        let (failing, well): (Vec<&Block>, Vec<&Block>) = blocks.iter().partition(|b| b.fails.is_some());
        if !WITHOUT_PROGRAM.contains(&page.code) && (failing.is_empty() || well.is_empty()) {
            wrong.push(format!("{}: a page has a program that fails, and one that does not", page.code));
        }
        for block in &blocks {
            let place = format!("{}:{}", page.code, block.line);
            if block.fails.as_deref().is_some_and(|c| c != page.code) {
                wrong.push(format!("{place}: the failing program of another page"));
            }
            let formatted = whorl_syntax::format(&block.text);
            if block.fails.is_none() && formatted.as_ref() != Some(&block.text) {
                wrong.push(format!("{place}: `whorl fmt` would write it as\n{}", formatted.unwrap_or_default()));
            }
            match first_code(block) {
                Ok(code) if code == block.fails => {}
                Ok(code) => wrong.push(format!("{place}: expected {:?}, found {code:?}", block.fails)),
                Err(e) => wrong.push(format!("{place}: {e}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let codes = codes_in_the_source();
    let pages: BTreeSet<String> = explain::pages().iter().map(|p| p.code.to_string()).collect();
    assert!(pages.len() >= 60, "only {} pages", pages.len());
    let missing: Vec<_> = codes.difference(&pages).collect();
    let idle: Vec<_> = pages.difference(&codes).collect();
    assert!(missing.is_empty() && idle.is_empty(), "without a page: {missing:?}; pages of no code: {idle:?}");
}

#[test]
fn pages_are_part_of_the_program() {
    let mut on_disk = Vec::new();
    for entry in std::fs::read_dir(support::root().join("docs/errors")).expect("the pages").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        on_disk.push(name.trim_end_matches(".md").to_string());
    }
    on_disk.sort();
    let known: Vec<&str> = explain::pages().iter().map(|p| p.code).collect();
    assert_eq!(known, on_disk, "a page that `whorl explain` does not know begins with another line than `# E0000: …`");
    for page in explain::pages() {
        assert!((6..=60).contains(&page.text.lines().count()), "{} is too long, or too short", page.code);
        let mut code = false;
        for line in page.text.lines() {
            code ^= line.starts_with("```");
            assert!(code || line.chars().count() <= 80, "{}: more than a terminal shows: {line}", page.code);
        }
        assert!(page.title.len() > 5 && !page.title.ends_with('.'), "{}: {}", page.code, page.title);
    }
}

/// Every string of the form `"E0301"` outside of tests.
fn codes_in_the_source() -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_none_or(|n| n != "tests" && n != "target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                let text = text.split("#[cfg(test)]").next().unwrap_or("");
                let program = text.lines().filter(|l| !l.trim_start().starts_with("//"));
                found.extend(program.flat_map(|l| l.split('"')).filter(|s| is_code(s)).map(str::to_string));
            }
        }
    }
    let mut found = BTreeSet::new();
    ["compiler", "src", "runtime"].iter().for_each(|f| walk(&support::root().join(f), &mut found));
    found
}

fn is_code(s: &str) -> bool {
    s.len() == 5 && s.starts_with(['E', 'W']) && s[1..].bytes().all(|b| b.is_ascii_digit())
}
