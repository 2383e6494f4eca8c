//! Names that are bound and never used, and the order in which a script's errors are told.

mod common;

fn unused(text: &str) -> String {
    let script = common::load(text);
    common::render(script.unused(), script.source_map())
}

#[test]
fn what_is_never_used() {
    let text = "import std.rl { gae }\nparam lr: f32 = 0.1\nfn helper(x, y) = x\nfn idle(x) = x\nfn main(key: Key) {\n  let (k1, k2) = split(key)\n  let a = 1.0\n  let b = for i in 0..3 { helper(normal(k1), 2.0) }\n  match 3 { 0 => 1, other => 2 }\n}\n";
    let files = [("std.rl", "pub fn gae(x) = x\n")];
    let script = common::load_with(&files, text, &[]).unwrap_or_else(|e| panic!("{e}"));
    let told = common::render(script.unused(), script.source_map());
    let expected = [
        "W0003]: the import `gae`",
        "W0005]: the param `lr`",
        "W0007]: the parameter `y` of `helper`",
        "W0004]: the function `idle`",
        "W0002]: the key `k2`",
        "W0002]: `a`",
        "W0002]: `b`",
        "W0002]: `other`",
    ];
    for line in expected {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    assert_eq!(told.matches("warning[").count(), expected.len(), "{told}");
}

#[test]
fn what_may_go_unused() {
    // Functions that are passed on do not choose their parameters; `_` says that a name is not looked at.
    let text = "type Env = { step: fn(Key, f32) -> f32 }\nfn step(key: Key, x: f32) = x\nlet env = Env { step }\nfn main(key: Key) {\n  let (k, _) = split(key)\n  let _spare = 1.0\n  let s = scan s = 0.0 for _ in 0..3 { 1.0 }\n  env.step(k, s)\n}\n";
    assert_eq!(unused(text), "");
    assert_eq!(unused("fn main() {\n  let xs = [1.0]\n  let n = len(xs)\n  for x in xs { zeros(n) + x }\n}\n"), "");
}

#[test]
fn a_hidden_function() {
    let text = unused("fn max(a, b) = if a > b { a } else { b }\nfn main() = max(1.0, 2.0)\n");
    assert!(text.contains("warning[W0006]: this hides the function `max`"), "{text}");
}

#[test]
fn many_mistakes_give_as_many_errors() {
    let text = "fn never_called(x) = foo(x)\nfn f(x: f32) = x\nfn main(key: Key) {\n  let a = normal(key, 3) + zeros(4)\n  let b = uniform(key)\n  let c = f([1.0, 2.0])\n  let d = zeros(3)[5]\n  let e = bar + 1.0\n  let g = 1 / 2\n  let h = a + b + c + d + e + g\n  let i = f(1.0, 2.0)\n  let j = { x: 1.0 }.y\n  let l = sum(baz(h)) + zeros(2).shape\n  assert 3.0\n}\n";
    let told = common::error(text);
    assert_eq!(told.matches("error[").count(), 12, "{told}");
}
