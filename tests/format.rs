//! The formatter keeps meaning: every script of the repository, laid out at random, is traced to the same Core when it is formatted.

mod support;

use std::path::PathBuf;

use whorl::pipeline::{self, Source};
use whorl_core::ir::{Body, Effect, Op};
use whorl_core::print::print;
use whorl_source::FileId;
use whorl_syntax::lexer::TokenKind;
use whorl_syntax::{format, parse};
use whorl_trace::TestKind;

/// All scripts that have no errors, by name.
fn all() -> Vec<(String, String)> {
    let modules = whorl::standard_library::modules().into_iter();
    let mut found: Vec<(String, String)> = modules.map(|(name, text)| (name, text.to_string())).collect();
    let paths = ["examples", "tests/programs", "tests/programs/lib"].into_iter().flat_map(support::scripts);
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).expect("a script"));
    found.extend(paths.map(read));
    assert!(found.len() > 20, "{} scripts", found.len());
    found
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }
}

/// The same words with other spaces: other indentation, wider gaps, further blank lines, and lines broken where a line goes on
/// anyway.
fn laid_out(text: &str, random: &mut Random) -> String {
    let tree = parse(FileId(0), text).tree;
    let tokens = tree.tokens();
    let (mut out, mut round) = (String::new(), 0usize);
    for (k, token) in tokens.iter().enumerate() {
        let word = tree.token_text(*token);
        match token.kind {
            TokenKind::Space => {
                let begins_line = k == 0 || tokens[k - 1].kind == TokenKind::Newline;
                out.extend(std::iter::repeat_n(' ', random.below(5) + usize::from(!begins_line)));
            }
            TokenKind::Newline => {
                out.push_str(word);
                if random.below(6) == 0 {
                    out.push_str("\n \n");
                }
            }
            kind => {
                out.push_str(word);
                match kind {
                    TokenKind::LParen | TokenKind::LBracket => round += 1,
                    TokenKind::RParen | TokenKind::RBracket => round = round.saturating_sub(1),
                    _ => {}
                }
                let open = matches!(kind, TokenKind::LParen | TokenKind::LBracket | TokenKind::Comma) && round > 0;
                let goes_on = matches!(kind, TokenKind::Plus | TokenKind::Star | TokenKind::Slash);
                if (open || goes_on) && random.below(8) == 0 {
                    out.push_str("\n   ");
                }
            }
        }
    }
    out
}

fn words(text: &str) -> Vec<String> {
    let tree = parse(FileId(0), text).tree;
    tree.tokens().into_iter().map(|t| tree.token_text(t).trim().to_string()).filter(|w| !w.is_empty()).collect()
}

/// Everything that the script computes, as Core but for the words of assertions, which say where they stand and how they are written.
fn traced(name: &str, text: &str) -> Vec<String> {
    let source: Source =
        pipeline::load_text(name, text.to_string(), &[]).unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
    // A blank line cuts a doc comment, and with it its example.
    let cases = source.script.tests().into_iter().enumerate().filter(|(_, t)| t.kind != TestKind::Example);
    let tests: Vec<_> = cases.map(|(k, _)| source.script.trace_test(k)).collect();
    let shown = tests.into_iter().chain([source.script.trace_main()]).map(|traced| match traced {
        Ok(mut t) => {
            without_words(&mut t.program.main.body);
            print(&t.program)
        }
        Err(d) => d.iter().map(|d| d.code).collect::<Vec<_>>().join(" "),
    });
    shown.collect()
}

fn without_words(body: &mut Body) {
    for stmt in &mut body.stmts {
        match &mut stmt.op {
            Op::Effect(Effect::Check { check, .. }) => {
                let check = std::sync::Arc::make_mut(check);
                check.text = "".into();
                check.calls.clear();
            }
            Op::Form(form) => form.bodies_mut().into_iter().for_each(without_words),
            Op::Prim(..) | Op::Constant(_) | Op::Effect(Effect::Log { .. }) => {}
        }
    }
}

#[test]
fn any_layout_comes_to_the_same_program() {
    let mut random = Random(7);
    for (name, text) in all() {
        let expected = traced(&name, &text);
        assert_eq!(format(&text).as_deref(), Some(text.as_str()), "{name} is in the standard style");
        for _ in 0..2 {
            let other = laid_out(&text, &mut random);
            let formatted = format(&other).unwrap_or_else(|| panic!("{name} has errors when laid out as\n{other}"));
            assert_eq!(format(&formatted).as_deref(), Some(formatted.as_str()), "{name}: twice is not once");
            assert_eq!(words(&formatted), words(&text), "{name}");
            assert!(traced(&name, &formatted) == expected, "{name} means something else when formatted:\n{formatted}");
        }
    }
}
