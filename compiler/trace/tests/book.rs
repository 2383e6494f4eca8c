//! The page on the language lists every function that is there without an import; docs/builtins.md shows an example of each.
//! `UPDATE_EXPECT=1 cargo test` writes the list anew.

use std::path::Path;

const BEGIN: &str = "<!-- builtins -->\n";
const END: &str = "<!-- end -->";

#[test]
fn the_page_lists_the_prelude() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/language.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let mut rows: Vec<String> = whorl_trace::prelude()
        .map(|b| format!("- `{}({})`: {}\n", b.name, b.params.join(", ").replace('*', "…"), b.doc))
        .collect();
    rows.sort();
    let (start, end) = (page.find(BEGIN).expect("the mark") + BEGIN.len(), page.find(END).expect("the mark"));
    let list = rows.concat();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{}{list}{}", &page[..start], &page[end..])).expect("to write");
    } else {
        assert_eq!(&page[start..end], list, "run the test with UPDATE_EXPECT=1");
    }
}

#[test]
fn the_page_of_builtins_shows_an_example_of_each() {
    let mut rows: Vec<_> = whorl_trace::prelude().collect();
    rows.sort_by_key(|b| b.name);
    let without: Vec<&str> = rows.iter().filter(|b| b.example.is_none()).map(|b| b.name).collect();
    assert!(without.is_empty(), "add examples to builtins/examples.rs: {without:?}");
    let mut page = "# Functions that are there without an import\n\nWhat `x?` names may be left out, `x…` takes any number of arguments; \
                    what follows it goes by name. `e  // = value` says\nwhat an expression gives. This page is written by a test; its code is executed.\n"
        .to_string();
    for b in rows {
        let params = b.params.join(", ").replace('*', "…");
        page +=
            &format!("\n## {}\n\n`{}({params})`: {}\n\n```\n{}\n```\n", b.name, b.name, b.doc, b.example.unwrap_or(""));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/builtins.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, page).expect("to write");
    } else {
        assert!(std::fs::read_to_string(&path).unwrap_or_default() == page, "run the test with UPDATE_EXPECT=1");
    }
}
