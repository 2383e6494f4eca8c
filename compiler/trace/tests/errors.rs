//! Every file in `errors/` is a script with one mistake; beside it stands what the user is told.
//! `UPDATE_EXPECT=1 cargo test` writes the texts anew, to be read before they are kept.

mod common;

use std::path::Path;

#[test]
fn errors_read_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let mut scripts: Vec<_> =
        std::fs::read_dir(&folder).expect("the folder").map(|e| e.expect("an entry").path()).collect();
    scripts.retain(|p| p.extension().is_some_and(|e| e == "whorl"));
    scripts.sort();
    assert!(scripts.len() > 20);
    let mut wrong = Vec::new();
    for path in scripts {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let got = common::error(&std::fs::read_to_string(&path).expect("a script"));
        assert!(got.contains(&name[..5]), "{name} gives\n{got}");
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&expected, &got).expect("to write");
        }
        let want = std::fs::read_to_string(&expected).unwrap_or_default();
        if got != want {
            wrong.push(format!("{name} gives\n{got}\nnot\n{want}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_that_do_not_fit() {
    let text = "param rate: f32 = 0.5 in (0, 1)\nsize n = 4\nfn main() = rate * ones(n)\n";
    let of = |name: &str, value: &str| common::error_with(&[], text, &[(name, value)]);
    assert!(
        of("rte", "1").contains("error[E0404]: there is no param or size `rte` to set\n  help: did you mean `rate`?")
    );
    assert!(of("rate", "2").contains("error[E0405]: `rate` = 2.0 is out of its bounds"));
    assert!(of("rate", "fast").contains("error[E0406]: `fast` is not a value for `rate`"));
    assert!(of("n", "2.5").contains("E0105"));
}

#[test]
fn imports_go_round() {
    let files = [("a", "import b\nfn f() = b.g()\n"), ("b", "import a\nfn g() = a.f()\n")];
    let e = common::error_with(&files, "import a\nfn main() = a.f()\n", &[]);
    assert!(e.contains("error[E0408]: `a` imports itself"), "{e}");
    assert!(e.contains("a.whorl imports b.whorl imports a.whorl"), "{e}");
}

#[test]
fn files_import_files() {
    let files = [("lib", "param k: f32 = 2.0\npub type P = { x: f32 }\npub fn f(p: P) = k * p.x\npub let one = 1.0\n")];
    let text = "import lib\nimport lib { P, f }\nfn main() = f(P { x: lib.one }) + lib.k\n";
    let script = common::load_with(&files, text, &[("lib.k", "3")]).unwrap_or_else(|e| panic!("{e}"));
    let traced = common::shown(&script, script.trace_main()).unwrap_or_else(|e| panic!("{e}"));
    let out = whorl_core::interp::run(&traced.program, &[]).expect("it runs");
    assert_eq!(out.results[0].to_f64(), [6.0]);
}
