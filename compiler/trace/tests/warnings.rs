//! Lines whose value nobody has.

mod common;

fn warnings(text: &str) -> String {
    let script = common::load(text);
    let traced = common::shown(&script, script.trace_main()).unwrap_or_else(|e| panic!("{e}"));
    common::render(&traced.warnings, script.source_map())
}

#[test]
fn values_that_are_not_used() {
    let text = warnings("fn main() {\n  let xs = [1.0, 2.0]\n  sort(xs)\n  sum(xs) == 3.0\n  xs[0]\n}\n");
    assert!(text.contains("warning[W0001]: the value of this line is not used"), "{text}");
    assert!(text.contains("nothing changes in place") && text.contains("`assert a == b` checks"), "{text}");
    assert_eq!(text.matches("W0001").count(), 2, "{text}");
}

#[test]
fn what_records_is_used() {
    let text =
        "fn f(x) {\n  log(\"x\", x)\n  x\n}\nfn main() {\n  f(1.0)\n  for i in 0..3 { assert i < 3 }\n  f(2.0)\n}\n";
    assert_eq!(warnings(text), "");
}
