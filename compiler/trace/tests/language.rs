//! The `test` blocks of the language's own programs, `tests/programs/lang_*.whorl`, by the interpreter.

mod common;

use std::path::Path;

#[test]
fn programs_of_the_language() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/programs");
    let mut failures = Vec::new();
    let mut found = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        if name.starts_with("lang_") && name.ends_with(".whorl") {
            found += 1;
            let text = std::fs::read_to_string(&path).expect("a script");
            failures.extend(common::run_tests(&text).into_iter().map(|f| format!("{name}: {f}")));
        }
    }
    assert!(found > 0 && failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn sums_of_products_are_matrix_products() {
    let by_rows = "for row in a { for column in transpose(b) { sum(row * column) } }";
    let by_places = "for i in 0..7 { for j in 0..6 { sum(for k in 0..5 { a[i, k] * b[k, j] }) } }";
    for body in [by_rows, by_places] {
        let text = format!("fn main() {{\n  let (a, b) = (normal(key(1), 7, 5), normal(key(2), 5, 6))\n  {body}\n}}\n");
        let program = whorl_transform::simplify::simplify(common::trace(&text).program);
        let flat = whorl_transform::flatten::flatten(program.clone());
        let shown = whorl_core::print::print(&flat);
        assert!(shown.contains("dot[") && !shown.contains("reduce["), "{body}\n{shown}");
    }
}
