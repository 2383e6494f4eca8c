//! Whatever the text: the tree is the text, nothing panics, and the stack is enough.

use proptest::prelude::*;
use whorl_source::{FileId, SourceMap};
use whorl_syntax::parse;

const PROGRAMS: [&str; 3] = [
    include_str!("programs/cartpole.whorl"),
    include_str!("programs/ppo.whorl"),
    include_str!("programs/script.whorl"),
];

const WORDS: &[&str] = &[
    "import", "pub", "fn", "let", "in", "if", "else", "for", "scan", "train", "reverse", "while", "max", "yield",
    "test", "prop", "fails", "E0101", "assert", "with", "and", "or", "not", "true", "match", "enum", "size", "param",
    "type", "data", "load", "as", "def", "elif", "lambda", "None", "return", "from", "mut", "x", "y", "f", "_", "0",
    "1.5", "1.", "0x", "\"s\"", "\"", "'", "#", "$", "é", "//c\n", "///d\n", "(", ")", "[", "]", "{", "}", "(", "[",
    "{", ",", ":", ";", ".", "..", "->", "=", "==", "!=", "<", "<=", "+", "-", "*", "**", "/", "%", "@", "&&", "||",
    "!", "+=", "\n", "\n", " ", "/*", "\r\n", "\t",
];

/// Parses, shows every diagnostic, and compares the tree's text.
fn survives(text: &str) {
    let mut map = SourceMap::new();
    let file = map.add("t.whorl", text);
    let parse = parse(file, text);
    assert_eq!(parse.tree.text(), text);
    for diagnostic in &parse.diagnostics {
        assert!(!diagnostic.labels.is_empty(), "{diagnostic:?}");
        for label in &diagnostic.labels {
            assert!(text.get(label.span.start as usize..label.span.end as usize).is_some(), "{diagnostic:?}");
        }
        diagnostic.render(&map);
    }
}

/// On a stack smaller than any thread's.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn soup_of_tokens(words in prop::collection::vec((0..WORDS.len(), any::<bool>()), 0..60)) {
        let text: String = words.iter().map(|(w, space)| format!("{}{}", WORDS[*w], if *space { " " } else { "" })).collect();
        survives(&text);
    }

    #[test]
    fn any_text(text in "\\PC{0,60}") {
        survives(&text);
    }

    /// Pieces of a program cut out, doubled, or replaced by other tokens.
    #[test]
    fn mutated_programs(
        program in 0..PROGRAMS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, 0..WORDS.len(), 0..3u8), 1..5),
    ) {
        let text = PROGRAMS[program];
        let tokens = parse(FileId(0), text).tree;
        let mut pieces: Vec<&str> = tokens.tokens().iter().map(|t| &text[t.start as usize..t.end as usize]).collect();
        for (at, length, word, how) in edits {
            let at = at.index(pieces.len());
            let end = (at + length).min(pieces.len());
            match how {
                0 => drop(pieces.drain(at..end)),
                1 => pieces.insert(at, WORDS[word]),
                _ => pieces[at] = WORDS[word],
            }
            if pieces.is_empty() {
                break;
            }
        }
        survives(&pieces.concat());
    }
}

#[test]
fn every_prefix_of_a_program() {
    let text = PROGRAMS[2];
    for end in (0..text.len()).filter(|i| text.is_char_boundary(*i)).step_by(3) {
        survives(&text[..end]);
    }
}

#[test]
fn deep_nesting_is_an_error_and_not_an_overflow() {
    on_a_small_stack(|| {
        for opening in [
            "(",
            "[",
            "{",
            "-",
            "not ",
            "f(",
            "x[",
            "if a {",
            "for x in ",
            "fn(x) = ",
            "if a {} else ",
            "S { x: ",
            "!",
            "{ let x = ",
            "1 + (",
            "x with [0] = ",
            "x ** ",
            "lambda x: ",
            "while s = ",
            "scan s = ",
            "match ",
            "a if ",
            "let (",
            "a: ",
            "\ndef f(x): ",
        ] {
            let text = format!("fn f() = {}", opening.repeat(20_000));
            survives(&text);
            let errors = parse(FileId(0), &text).diagnostics;
            assert!(!errors.is_empty(), "{opening}");
            survives(&format!("let x: {}", opening.repeat(20_000)));
            survives(&format!("let {}", opening.repeat(20_000)));
        }
        for chain in ["x + ", "x.y.", "x, ", "x with { a } ", "x and ", "f(x)", "x[0]", "x < ", "x..", "f(1)(2)", ".a"]
        {
            survives(&format!("let x = f{}", chain.repeat(20_000)));
            survives(&format!("let x: f{}", chain.repeat(20_000)));
        }
    });
}

#[test]
fn what_a_person_writes_is_not_too_deep() {
    let parentheses = format!("let x = {}1{}\n", "(".repeat(40), ")".repeat(40));
    let sum = format!("let x = 1{}\n", " + 1".repeat(300));
    let choices = format!("let x = if a {{ 1 }}{} else {{ 0 }}\n", " else if b { 2 }".repeat(40));
    for text in [parentheses, sum, choices] {
        assert!(parse(FileId(0), &text).diagnostics.is_empty(), "{text}");
    }
}

#[test]
fn a_long_file_takes_linear_time() {
    let text = PROGRAMS[0].repeat(200);
    let start = std::time::Instant::now();
    survives(&text);
    assert!(start.elapsed().as_secs() < 5);
}
