//! The code in the book is executed: README.md and docs/.
//!
//! - ```` ```whorl ````: a script. Its `main` compiles; its tests, properties and examples hold.
//! - ```` ```whorl fails E0101 ````: a script that is refused with this code; a ```` ```text ```` behind it is what is said, word for word.
//! - ```` ```console ```` behind a script, with output in it: the commands are run on the script, and print that.
//!
//! `UPDATE=1 cargo test --test docs` writes what is said and printed anew; read it before you commit it.

use std::path::{Path, PathBuf};
use std::process::Command;

use whorl::pipeline;
use whorl::test::Trials;

/// A block between ``` and ```.
struct Fence {
    /// The number of its first line inside, from 0.
    first: usize,
    info: String,
    body: String,
}

fn fences(text: &str) -> Vec<Fence> {
    let mut found: Vec<Fence> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(info) if !open => {
                found.push(Fence { first: number + 1, info: info.trim().to_string(), body: String::new() });
                open = true;
            }
            Some(_) => open = false,
            None if open => {
                if let Some(fence) = found.last_mut() {
                    fence.body.push_str(line);
                    fence.body.push('\n');
                }
            }
            None => {}
        }
    }
    found
}

fn pages() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
            let path = entry.path();
            // The pages of errors have a test of their own.
            if path.is_dir() && path.file_name().is_some_and(|n| n == "errors") {
                continue;
            }
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
    // The pages of errors say more of their programs, and have a test of their own.
    found.retain(|page| !page.starts_with(root.join("docs/errors")));
    found.sort();
    found
}

/// Where the scripts of a page are, so that one may import another; it goes when the page is done.
struct Folder(PathBuf);

impl Folder {
    fn new(page: &Path) -> Folder {
        let name = page.file_stem().map_or("page".into(), |n| n.to_string_lossy().into_owned());
        let path = std::env::temp_dir().join(format!("whorl-docs-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the scripts");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in the temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Compiles `main`, if there is one, and runs the tests; an error is the rendered text, as if one stood in the folder.
fn execute(folder: &Folder, text: &str) -> Result<(), String> {
    let name = folder.0.join("script.whorl").display().to_string();
    run(&name, text).map_err(|e| e.replace(&format!("{}/", folder.0.display()), ""))
}

fn run(name: &str, text: &str) -> Result<(), String> {
    let source = pipeline::load_text(name, text.to_string(), &[])?;
    let render = |d: Vec<whorl_source::Diagnostic>| pipeline::render(&d, &source.map);
    if text.contains("fn main(") {
        let traced = source.script.trace_main().map_err(render)?;
        if !traced.warnings.is_empty() {
            return Err(render(traced.warnings));
        }
        pipeline::compile(traced.program, &source.map, 1)?;
    }
    for k in 0..source.script.tests().len() {
        whorl::test::check(&source, k, Trials::default()).map_err(render)?;
    }
    Ok(())
}

/// The commands of a console block, each with what it prints to standard output.
fn printed(folder: &Folder, script: &str, console: &str) -> String {
    let mut out = String::new();
    for line in console.lines().filter_map(|l| l.strip_prefix("$ whorl ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(file) = words.iter().find(|w| w.ends_with(".whorl")) {
            std::fs::write(folder.0.join(file), script).expect("the script");
        }
        let run = Command::new(env!("CARGO_BIN_EXE_whorl"))
            .env("WHORL_CACHE", "off")
            .args(&words)
            .current_dir(&folder.0)
            .output();
        out += &format!("$ whorl {line}\n{}", String::from_utf8_lossy(&run.expect("the binary runs").stdout));
    }
    out
}

/// What is wrong with a page, by line; with what must stand in those of its blocks that are made by others.
fn check(folder: &Folder, page: &str) -> (Vec<String>, Vec<(usize, String)>) {
    let (mut failures, mut made) = (Vec::new(), Vec::new());
    let fences = fences(page);
    for (k, fence) in fences.iter().enumerate() {
        let next = fences.get(k + 1);
        let line = fence.first + 1;
        match fence.info.strip_prefix("whorl") {
            Some("") => {
                if let Err(e) = execute(folder, &fence.body) {
                    failures.push(format!("line {line}\n{e}"));
                }
                if let Some(console) =
                    next.filter(|n| n.info == "console" && n.body.lines().any(|l| !l.starts_with('$')))
                {
                    let printed = printed(folder, &fence.body, &console.body);
                    if printed != console.body {
                        failures.push(format!("line {} prints\n{printed}", console.first + 1));
                    }
                    made.push((k + 1, printed));
                }
            }
            Some(fails) if fails.starts_with(" fails ") => {
                let said = execute(folder, &fence.body).err().unwrap_or_default();
                let code = fails.trim_start_matches(" fails ");
                if !said.contains(&format!("[{code}]")) {
                    failures.push(format!("line {line} does not fail with {code}, but\n{said}"));
                }
                if let Some(text) = next.filter(|n| n.info == "text") {
                    if text.body != said {
                        failures.push(format!("line {} is not what is said:\n{said}", text.first + 1));
                    }
                    made.push((k + 1, said));
                }
            }
            Some(_) | None => {}
        }
    }
    (failures, made)
}

#[test]
fn code_in_the_book() {
    let update = std::env::var_os("UPDATE").is_some();
    let (mut count, mut failures) = (0, Vec::new());
    for path in pages() {
        let page = std::fs::read_to_string(&path).expect("a page");
        count += fences(&page).iter().filter(|f| f.info.starts_with("whorl")).count();
        let (wrong, made) = check(&Folder::new(&path), &page);
        failures.extend(wrong.into_iter().map(|e| format!("{}: {e}", path.display())));
        if update {
            std::fs::write(&path, with_blocks(&page, &made)).expect("to write the page");
        }
    }
    assert!(count > 10, "only {count} scripts in the book");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The page with other text in some of its blocks.
fn with_blocks(page: &str, made: &[(usize, String)]) -> String {
    let fences = fences(page);
    let mut lines: Vec<String> = page.lines().map(|l| format!("{l}\n")).collect();
    for (k, text) in made.iter().rev() {
        if let Some(fence) = fences.get(*k) {
            lines.splice(fence.first..fence.first + fence.body.lines().count(), [text.clone()]);
        }
    }
    lines.concat()
}

#[test]
fn the_tour_has_ten_lessons_of_a_page() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tour.md");
    let tour = std::fs::read_to_string(path).expect("the tour");
    let lessons: Vec<&str> = tour.split("\n## ").skip(1).collect();
    assert_eq!(lessons.len(), 10);
    for (k, lesson) in lessons.iter().enumerate() {
        assert!(lesson.starts_with(&format!("{}. ", k + 1)), "lesson {} begins {:?}", k + 1, lesson.lines().next());
        let fences = fences(lesson);
        let failing = fences.iter().filter(|f| f.info.starts_with("whorl fails")).count();
        let running = fences.iter().filter(|f| f.info == "whorl").count();
        let told = fences.iter().filter(|f| f.info == "text").count();
        assert_eq!(failing, told, "lesson {} does not show what is said of each mistake", k + 1);
        assert!(failing > 0 && running > 0, "lesson {} shows {running} scripts and {failing} errors", k + 1);
        assert!(lesson.lines().count() <= 90, "lesson {} has {} lines", k + 1, lesson.lines().count());
    }
}

/// Scripts in the book are laid out as `whorl fmt` does.
#[test]
fn code_in_the_book_is_formatted() {
    for path in pages() {
        let page = std::fs::read_to_string(&path).expect("a page");
        for fence in fences(&page).into_iter().filter(|f| f.info.starts_with("whorl")) {
            // What has errors of syntax is left alone.
            let formatted = whorl_syntax::format(&fence.body).unwrap_or(fence.body.clone());
            assert_eq!(formatted, fence.body, "{}:{}", path.display(), fence.first + 1);
        }
    }
}

/// The examples of builtins, as the doc comments of a script.
#[test]
fn examples_of_builtins() {
    let mut failures = Vec::new();
    for b in whorl_trace::prelude() {
        let lines = b.example.unwrap_or("").lines().map(|l| format!("/// {l}\n"));
        let text = format!("/// ```\n{}/// ```\nlet documented = 0\n", lines.collect::<String>());
        let found = pipeline::load_text(b.name, text.clone(), &[]).map(|s| s.script.tests().len());
        assert_eq!(found, Ok(1), "{text}");
        if let Err(e) = run(b.name, &text) {
            failures.push(e);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
