//! What `whorl test` says of scripts whose tests, properties and examples fail or hold: `checks/NAME.whorl` and beside it
//! `checks/NAME.txt`. `UPDATE=1 cargo test --test checks` writes the texts anew; read them before you commit them.
//!
//! A first line `// whorl test NAME.whorl --cases 7` says how it is run.

mod support;

use std::process::Command;

#[test]
fn said_of_tests() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut failures = Vec::new();
    let scripts = support::scripts("tests/checks");
    assert!(scripts.len() >= 4, "only {} scripts", scripts.len());
    for path in &scripts {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        let line = text
            .lines()
            .next()
            .and_then(|l| l.strip_prefix("// whorl "))
            .map_or(format!("test {name}"), str::to_string);
        let output = Command::new(env!("CARGO_BIN_EXE_whorl"))
            .env("WHORL_CACHE", "off")
            .args(line.split_whitespace())
            .current_dir(support::root().join("tests/checks"))
            .output()
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}{}exit {}\n", of(&output.stderr), of(&output.stdout), output.status.code().unwrap_or(-1));
        let expected = path.with_extension("txt");
        if update {
            std::fs::write(&expected, &said).unwrap_or_else(|e| panic!("{}: {e}", expected.display()));
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != said {
            failures.push(format!("{name} is answered with another text than {}:\n{said}", expected.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
