//! What cargo-fuzz's targets look at, over their corpora and with a stable compiler: the targets compile, and what they found
//! once stays mended. `fuzz_targets/README.md` says how they are run.

#[path = "fuzz_targets/src/lib.rs"]
mod targets;

use std::path::Path;

/// `target` for every text of a corpus, and for texts cut off at every so many bytes.
fn over(corpus: &str, target: impl Fn(&str)) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_targets/corpus").join(corpus);
    let mut tried = 0;
    for entry in std::fs::read_dir(&root).unwrap_or_else(|e| panic!("{}: {e}", root.display())) {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a text");
        let text = String::from_utf8_lossy(&bytes);
        target(&text);
        for end in (0..text.len()).step_by(7).filter(|end| text.is_char_boundary(*end)) {
            target(&text[..end]);
        }
        tried += 1;
    }
    assert!(tried > 30, "{tried} texts in {}", root.display());
}

#[test]
fn parser() {
    over("scripts", targets::parser);
}

#[test]
fn formatter() {
    over("scripts", targets::formatter);
}

#[test]
fn tracer() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
    over("scripts", |text| targets::tracer(text, &library));
}

#[test]
fn core_reader() {
    over("core", targets::core_reader);
}
