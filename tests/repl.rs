//! Sessions: what is typed, what comes of it, and the tool with a pipe in front.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use support::tool::{Folder, Said};
use whorl::repl::session::Session;
use whorl::repl::{Desk, Flow, Said as Told};

/// A session and what it said, line by line.
struct Talk {
    desk: Desk,
}

impl Talk {
    fn new() -> Talk {
        Talk { desk: Desk { session: Session::new(None, &[]).expect("a session"), width: 80 } }
    }

    /// All that is answered, errors too.
    fn say(&mut self, text: &str) -> String {
        let mut out = Vec::new();
        let flow = self.desk.enter(text, &mut |told| match told {
            Told::Result(text) | Told::Note(text) | Told::Error(text) => out.push(text),
        });
        assert_eq!(flow, Flow::On);
        out.join("\n")
    }

    #[track_caller]
    fn gives(&mut self, text: &str, expected: &str) {
        assert_eq!(self.say(text), expected, "{text}");
    }

    #[track_caller]
    fn tells(&mut self, text: &str, part: &str) {
        let said = self.say(text);
        assert!(said.contains(part), "{text}: `{part}` is not in\n{said}");
    }
}

#[test]
fn expressions_give_values() {
    let mut t = Talk::new();
    t.gives("1 + 1", "2");
    t.gives("1.0 / 3.0", "0.33333334");
    t.gives("sqrt(2.0)", "1.4142135");
    t.gives("true and not false", "true");
    t.gives("arange(4)", "[0, 1, 2, 3]");
    t.gives("arange(1000)", "[0, 1, 2, …, 997, 998, 999] : i32[1000]");
    t.gives("{ a: 1.0, b: (2, key(3)) }", "{ a: 1.0, b: (2, key(3)) }");
    t.gives("zeros(2, 2)", "[[0.0, 0.0],\n [0.0, 0.0]]");
    t.gives("u8(7)", "7 : u8");
    t.gives("fn(x, y) = x + y", "fn(x, y)");
    t.gives("sum", "sum(x, axis?)");
    t.gives("log(\"loss\", 1.5)", "loss: 1.5");
    t.gives("assert 1 < 2", "");
    t.tells("assert 1 > 2", "error[E0701]");
    t.tells("[1.0, 2.0] + [1.0]", "error[E0102]");
    t.tells("arange(3)[i32(sum(arange(4)))]", "error[E0702]");
}

#[test]
fn enums_and_arrays_of_them() {
    let mut t = Talk::new();
    t.gives("enum Shape { Empty, Square(f32), Circle { centre: f32[2], radius: f32 } }", "");
    t.gives("Shape.Circle { centre: [1.0, 2.0], radius: 3.0 }", "Shape.Circle { centre: [1.0, 2.0], radius: 3.0 }");
    t.gives("let s = Shape.Square(2.0)", "");
    t.gives("s", "Shape.Square(2.0)");
    t.gives("match s { Empty => 0.0, Square(a) => a * a, Circle { radius } => radius }", "4.0");
    t.gives(
        "for i in 0..2 { if i == 1 { Shape.Square(f32(i)) } else { Shape.Empty } }",
        "[Shape.Empty, Shape.Square(1.0)]",
    );
    // A value of the old enum is none of the new one.
    t.gives("enum Shape { Square(f32) }", "");
    t.tells("s", "error[E0420]");
    t.gives("let s = Shape.Square(2.0); s", "Shape.Square(2.0)");
}

#[test]
fn definitions_join_and_replace() {
    let mut t = Talk::new();
    t.gives(
        "fn f(x) = 2 * g(x)",
        "error[E0401]: unknown name `g`\n  ┌─ [1]:1:15\n1 │ fn f(x) = 2 * g(x)\n  │               ^",
    );
    t.gives("fn g(x) = x + 1.0\nfn f(x) = 2 * g(x)", "");
    t.gives("f(3.0)", "8.0");
    t.gives("fn g(x) = x - 1.0", "");
    t.gives("f(3.0)", "4.0");
    // What fails changes nothing.
    t.tells("fn g(x) = y", "unknown name `y`");
    t.gives("f(3.0)", "4.0");
    t.gives("type State = { x: f32 }\nlet s = State { x: 1.0 }", "");
    t.gives("s", "State { x: 1.0 }");
    t.gives("test \"sums\" { assert f(3.0) == 4.0 }", "passed");
    t.tells("test \"sums\" { assert f(3.0) == 5.0 }", "error[E0701]");
    t.gives(":test", "passed");
    t.gives("size n = 3; param lr: f32 = 0.5", "");
    t.gives("lr * ones(n)", "[0.5, 0.5, 0.5]");
    t.gives(":set n 2", "");
    t.gives(":set lr 0.25", "");
    t.gives("lr * ones(n)", "[0.25, 0.25]");
    t.tells(":set lr wide", "error[E0406]");
    t.tells(":set rl 1", "did you mean `lr`?");
    t.gives(":reset", "");
    t.tells("f(1.0)", "unknown name `f`");
}

#[test]
fn values_are_computed_once_and_kept() {
    let mut t = Talk::new();
    t.gives("let x = arange(3)", "");
    t.gives("let x = x + 1", "");
    t.gives("x", "[1, 2, 3]");
    t.gives("let n = 2; let m = n + 1; let n = 5", "");
    // Known while tracing, as it was: a size.
    t.gives("zeros(m)", "[0.0, 0.0, 0.0]");
    t.gives("let (a, b) = (1.0, [2.0])", "");
    t.gives("let a = 3.0", "");
    t.gives("(a, b)", "(3.0, [2.0])");
    t.gives("10 + 1", "11");
    t.gives("it * 2", "22");
    t.gives("it", "22");
    // It logs when it is computed, and not again.
    t.gives("let y = { log(\"once\", 1.0); 2.0 }", "once: 1");
    t.gives("y + y", "4.0");
    t.gives("let k = key(1)", "");
    t.gives("uniform(k) == uniform(key(1))", "true");
    t.tells("(uniform(k), uniform(k))", "error[E0301]");
    // Functions stay text, and see what replaces what they use.
    t.gives("fn double(x) = 2 * x", "");
    t.gives("let ops = { once: double, by: 3.0 }", "");
    t.gives("ops.once(ops.by)", "6.0");
    t.gives("fn double(x) = 4 * x", "");
    t.gives("ops.once(ops.by)", "12.0");
    t.gives("let rows = for i in 0..2 { { i, key: key(i) } }", "");
    t.gives("rows[1]", "{ i: 1, key: key(1) }");
    t.gives("let xs = ones(4)", "");
    t.gives("grad(fn(y) = sum(y * xs))(xs)", "[1.0, 1.0, 1.0, 1.0]");
}

#[test]
fn commands_answer() {
    let mut t = Talk::new();
    t.say("import std.env.cartpole\nlet env = cartpole.env\n/// Twice as much.\nfn double(x: f32) -> f32 = 2 * x");
    t.gives(":type env.reset(key(0))", "State");
    t.gives(":type for k in split(key(0), 3) { env.reset(k).x }", "f32[3]");
    t.gives(":type double", "fn double(x: f32) -> f32");
    t.gives(":type 1 == 2", "bool");
    t.tells(":type zeros(2) + zeros(3)", "error[E0102]");
    t.tells(":show sum(ones(3) * 2.0)", "sum");
    t.tells(":show sum(ones(3) * 2.0) loops", "lanes");
    t.tells(":show sqrt(uniform(key(0))) asm", "ret");
    t.gives(":doc double", "fn double(x: f32) -> f32\nTwice as much.");
    t.tells(":doc cumsum", "sums of all up to each place");
    t.tells(":doc cartpole.gravity", "param gravity: f32");
    t.tells(":doc doubel", "did you mean `double`?");
    t.tells(":time 1.0 + uniform(key(0))", "compiled in");
    t.gives(
        ":names",
        "cartpole  the module std.env.cartpole\nenv       let env = cartpole.env\ndouble    fn double(x: f32) -> f32",
    );
    t.tells(":tpye 1", "did you mean `:type`?");
    t.tells(":fly", ":help");
    t.tells(":load nowhere.whorl", "nowhere.whorl");
    t.tells(":help", ":reload");
    let mut quit = |_: Told| {};
    assert_eq!(t.desk.enter(":quit", &mut quit), Flow::Quit);
}

#[test]
fn what_does_not_end_is_left() {
    let mut t = Talk::new();
    let stop = t.desk.session.stop.clone();
    let interrupt = |after: Duration| {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            std::thread::sleep(after);
            stop.store(true, Ordering::Relaxed);
        })
    };
    let thread = interrupt(Duration::from_millis(200));
    let begin = Instant::now();
    t.gives("train scan w = 1.0 for t in 0..2000000000 { w * 0.5 + f32(t) }", "interrupted");
    assert!(begin.elapsed() < Duration::from_secs(20));
    thread.join().expect("it slept");
    stop.store(false, Ordering::Relaxed);
    t.gives("1 + 1", "2");
    // Nothing in it looks at the wish to stop.
    let thread = interrupt(Duration::from_millis(200));
    t.tells("while i = 0; i < 10 { i * 1 }", "left to itself");
    thread.join().expect("it slept");
    stop.store(false, Ordering::Relaxed);
    t.gives("1 + 2", "3");
}

#[test]
fn files_are_loaded_and_reloaded() {
    let folder = Folder::new("repl-files");
    folder.write("lib.whorl", "pub fn three() = 3\n");
    folder.write("script.whorl", "import lib\nfn six() = 2 * lib.three()\nparam lr: f32 = 0.5\n");
    let file = folder.0.join("script.whorl");
    let mut t = Talk::new();
    t.gives(&format!(":load {}", file.display()), "");
    t.gives("fn typed(x) = x + six()", "");
    t.gives("typed(1)", "7");
    folder.write("lib.whorl", "pub fn three() = 4\n");
    t.gives("six()", "6");
    t.gives(":reload", "");
    t.gives("typed(1)", "9");
    folder.write("lib.whorl", "pub fn four() = 4\n");
    t.tells(":reload", "no `three`");
    // As it was.
    t.gives("typed(1)", "9");
    let session = Session::new(Some(&file), &[("lr".to_string(), "2".to_string())]);
    assert!(session.is_err_and(|e| e.contains("three")));
    folder.write("lib.whorl", "pub fn three() = 3\n");
    let session = Session::new(Some(&file), &[("lr".to_string(), "2".to_string())]).expect("a good script");
    t.desk.session = session;
    t.gives("lr", "2.0");
}

fn piped(folder: &Folder, arguments: &[&str], input: &str) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_whorl"))
        .env("WHORL_CACHE", "off")
        .args(arguments)
        .current_dir(&folder.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // What ends at once does not read.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    Said::new(&arguments.join(" "), child.wait_with_output().expect("it ends"))
}

#[test]
fn a_pipe_gets_results_alone() {
    let folder = Folder::new("repl-pipe");
    let input = "fn f(x) {\n  let y = x * x\n\n  y + 1.0\n}\nf(3.0)\nif f(1.0) > 5.0 { 1 }\nelse { 2 }\nlet z = f(1.0)\n  + 1.0\nz\nlog(\"n\", 3)\n";
    let said = piped(&folder, &["repl"], input).good();
    assert_eq!(said.out, "10.0\n2\n3.0\n");
    assert_eq!(said.err, "n: 3\n");
    let said = piped(&folder, &["repl"], "1 +\n\nnothing\n2\n");
    assert_eq!((said.out.as_str(), said.code), ("2\n", Some(1)), "{}", said.err);
    assert!(said.err.contains("error[E0011]") && said.err.contains("unknown name `nothing`"), "{}", said.err);
    folder.write("script.whorl", "param lr: f32 = 0.5 in (0, 1)\n");
    let said = piped(&folder, &["repl", "script.whorl", "--lr", "0.25"], "lr").good();
    assert_eq!(said.out, "0.25\n");
    piped(&folder, &["repl", "script.whorl", "--lr", "2"], "lr").bad(1, &["E0405"]);
    piped(&folder, &["repl", "none.whorl"], "").bad(1, &["none.whorl"]);
    let said = piped(&folder, &["repl"], "save(\"x.npy\", ones(3))\n:quit\n1\n").good();
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", "saved x.npy\n"));
    assert!(folder.0.join("x.npy").is_file());
}

/// A file typed line by line is never told to be wrong before its items are whole.
#[test]
fn the_library_can_be_typed() {
    for (name, text) in whorl::standard_library::modules() {
        let file = whorl_source::FileId(0);
        let (entries, errors) = whorl_syntax::parse_entries(file, text);
        assert!(errors.is_empty(), "{name}");
        for entry in entries {
            let item = text[entry.span.start as usize..entry.span.end as usize].trim();
            let mut typed = String::new();
            let mut lines = item.lines().peekable();
            while let Some(line) = lines.next() {
                typed += line;
                typed.push('\n');
                let (_, errors) = whorl_syntax::parse_entries(file, &typed);
                let incomplete = whorl_syntax::is_incomplete(&typed);
                if lines.peek().is_none() {
                    assert!(!incomplete, "{name}:\n{typed}");
                } else if !typed.trim_start().starts_with("//") || !errors.is_empty() {
                    assert!(incomplete || errors.is_empty(), "{name}:\n{typed}{errors:?}");
                }
            }
        }
    }
}
