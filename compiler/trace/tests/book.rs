//! The page on the language lists every function that is there without an import.
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
