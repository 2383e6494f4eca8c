//! Whatever the text says, tracing gives a program or diagnostics: the library with a line left out, or two exchanged.

mod common;

fn traces(text: &str) {
    let Ok(script) = common::load_with(&[], text, &[]) else { return };
    for i in 0..script.tests().len() {
        if let Ok(traced) = script.trace_test(i) {
            common::check(&traced);
        }
        if let Ok(ranges) = script.size_ranges(i) {
            let sizes: Vec<usize> = ranges.iter().map(|r| r.low).collect();
            for cases in [None, Some(3)] {
                if let Ok((traced, _)) = script.trace_prop(i, &sizes, cases) {
                    common::check(&traced);
                }
            }
        }
    }
}

#[test]
fn broken_texts_give_diagnostics() {
    for path in
        ["stdlib/rl.whorl", "stdlib/nn.whorl", "stdlib/optim.whorl", "stdlib/env.whorl", "stdlib/env/cartpole.whorl"]
    {
        let text = std::fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).expect("a file");
        let lines: Vec<&str> = text.lines().collect();
        for k in (0..lines.len()).filter(|k| !lines[*k].starts_with("//")) {
            let mut less = lines.clone();
            less.remove(k);
            traces(&(less.join("\n") + "\n"));
            let mut swapped = lines.clone();
            swapped.swap(k, (k + 7) % lines.len());
            traces(&(swapped.join("\n") + "\n"));
        }
    }
}

/// Doc comments with a line left out, cut short, or with something else in it.
#[test]
fn broken_examples_give_diagnostics() {
    let text =
        std::fs::read_to_string(format!("{}/../../stdlib/nn.whorl", env!("CARGO_MANIFEST_DIR"))).expect("a file");
    let lines: Vec<&str> = text.lines().collect();
    let examples = |text: &str| {
        let script = common::load_with(&[], text, &[]).ok();
        script.map_or(0, |s| s.tests().iter().filter(|t| t.kind == whorl_trace::TestKind::Example).count())
    };
    assert!(examples(&text) > 15);
    assert_eq!(examples(&text.replace('\n', "\r\n")), examples(&text));
    traces(&text.replace('\n', "\r\n"));
    for k in (0..lines.len()).filter(|k| {
        lines[*k].starts_with("///") && (lines[k.saturating_sub(1)].contains("```") || lines[*k].contains("```"))
    }) {
        for other in [
            "",
            "/// ```",
            "/// }",
            "/// {",
            "/// é // = é",
            "///",
            "/// let x // = 1",
            "/// \"",
            "let é = 0",
            "\t/// ```whorl",
            "////",
        ] {
            let mut changed = lines.clone();
            changed[k] = other;
            let Ok(script) = common::load_with(&[], &(changed.join("\n") + "\n"), &[]) else { continue };
            // What is not near the change is as it was.
            for (i, case) in script.tests().iter().enumerate().filter(|(_, t)| t.kind == whorl_trace::TestKind::Example)
            {
                if let Err(errors) = script.trace_test(i) {
                    let rendered = common::render(&errors, script.source_map());
                    assert!(rendered.contains("error["), "{}: {rendered}", case.name);
                }
            }
        }
    }
    traces(&text[..text.rfind("/// ```").expect("an example")]);
    traces("/// ```");
    traces("/// ```\n/// 1");
    traces("/// ```\n/// 1 // =\n/// ```");
}

#[test]
fn odd_programs_give_diagnostics() {
    let odd = [
        "zeros(1000000, 1000000, 1000000, 1000000)",
        "0 - 9223372036854775807 - 1",
        "div(-9223372036854775807 - 1, -1)",
        "1 / 0",
        "5 % 0",
        "[][0]",
        "[] + [1]",
        "sum([])",
        "max(zeros(0))",
        "split(key(0), 0)",
        "normal(key(0), 0)",
        "permutation(key(0), 0)",
        "categorical(key(0), 1.0)",
        "transpose(ones(2, 3), 0, 0)",
        "reshape(ones(4), -1, -1)",
        "reshape(ones(0), -1, 0)",
        "ones(3)[-1]",
        "ones(3)[0.5]",
        "ones(3)[true]",
        "ones(3).x",
        "1.x",
        "sin",
        "sin(sin)",
        "grad(sin)",
        "grad(sin)()",
        "grad(3.0)(1.0)",
        "jvp(sin, 1.0, 1)",
        "log(\"x\")",
        "log(\"x\", sin)",
        "f32(\"x\")",
        "{ x: 1 } + { y: 1 }",
        "(1, 2) + (1, 2, 3)",
        "if 1 { 2 } else { 3 }",
        "for x in 3 { x }",
        "for x in (1, 2) { x }",
        "scan s = sin for i in 0..3 { cos }",
        "while s = 0; s { s }",
        "zip()",
        "stack()",
        "concat()",
        "concat(1, 2)",
        "one_hot(0.5, 3)",
        "eye(0)",
        "key(0.5)",
        "fold_in(key(0), 0.5)",
        "uniform(3, 4)",
        "full(sin, 3)",
        "tree_map(1, 2)",
        "tree_map(fn(x) = sum(x), for i in 0..3 { { a: i } })",
        "select(1, 2, 3)",
        "clamp(ones(3), ones(2), 1)",
        "bool(2.5)",
        "u8(300)",
        "u32(-1)",
        "i32(1e300)",
        "len(3)",
        "shape(3)",
        "ones(3) with [0..2] = ones(3)",
        "ones(3) with [9] = 1.0",
        "{ x: 1 } with { y: 2 }",
        "for i in 5..2 { i }",
        "arange(3)[0..1, 0]",
        "() + ()",
        "\"a\" + \"b\"",
        "\"a\" == \"b\"",
        "not 3",
        "-true",
        "true + 1",
        "1 and true",
        "linspace(0, 1, 0)",
        "cumsum(3)",
        "argmax(ones(2, 2))",
        "sort(ones(2), axis: 4)",
        "sum(1.0, axis: 0)",
        "mean([1, 2])",
        "any([1])",
        "save(1, 2)",
        "save(\"\", 2)",
        "save(\".npz\", 2)",
        "save(\"a/.b/npz\", 2)",
        "save(\"a.npz\", sin)",
        "save(\"a.npz\", ())",
        "save(\"a.npz\", { a: (\"x\", 1) })",
        "save(\"a.svg\", { x: 1.0 })",
        "save(\"a.svg\", { x: ones(3) })",
        "save(\"a.svg\", {})",
        "save(\"a.svg\", zeros(2, 2, 2))",
        "save(\"a.svg\", { x: ones(2, 3), a: ones(3), b: ones(3, 3), c: zeros(0) })",
        "save(\"a.svg\", { x: ones(3), a: { x: ones(2), low: 1.0, high: ones(3) } })",
        "save(\"a.svg\", { a: { b: { c: 1 } } }, title: 3)",
        "save(\"a.png\", zeros(0, 0))",
        "save(\"a.png\", zeros(1000000, 1000000), scale: 256)",
        "save(\"a.gif\", 1.0, fps: 0)",
        "save(\"a.csv\", zeros(2, 0))",
        "save(\"a.csv\", ({ x: 1 }, ones(3)))",
        "for i in 0..3 { save(\"a.npz\", i) }",
    ];
    for expression in odd {
        let text = format!("fn main() = {expression}\n");
        let Ok(script) = common::load_with(&[], &text, &[]) else { continue };
        if let Ok(traced) = script.trace_main() {
            common::check(&traced);
        }
    }
}
