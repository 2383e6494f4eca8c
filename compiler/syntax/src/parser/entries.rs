//! What is typed into a session: items and statements, one after the other, and whether more is to come.

use whorl_source::{Diagnostic, FileId, Span};

use super::Parser;
use super::blocks::block_of;
use crate::ast::{Block, Item, Module};
use crate::codes;
use crate::lexer::{self, TokenKind};
use crate::tree::NodeKind;

/// Something typed into a session, and the text that it is, with the comments above it.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    pub span: Span,
    pub kind: EntryKind,
}

#[derive(Clone, PartialEq, Debug)]
pub enum EntryKind {
    /// What stands at the top of a file.
    Item(Box<Item>),
    /// An expression, an `assert`, or less.
    Statement,
}

/// Reads what is typed: as [`super::parse`], but statements may stand between items.
pub fn parse_entries(file: FileId, text: &str) -> (Vec<Entry>, Vec<Diagnostic>) {
    let (tokens, diagnostics) = lexer::lex(file, text);
    let mut parser = Parser::new(file, text, &tokens, diagnostics);
    let (mut entries, mut start) = (Vec::new(), 0);
    loop {
        while parser.eat(TokenKind::Semicolon) {
            start = parser.previous_end();
        }
        if parser.at(TokenKind::End) {
            break;
        }
        let item = parser.at_item();
        let mut kind = EntryKind::Statement;
        parser.one(|p| match item {
            true => kind = EntryKind::Item(Box::new(p.item())),
            false => drop(p.statement()),
        });
        let span = Span { file, start, end: parser.previous_end() };
        start = span.end;
        entries.push(Entry { span, kind });
    }
    (entries, parser.finish(Module { doc: String::new(), items: Vec::new() }).diagnostics)
}

/// Reads statements up to the end of the text, as the inside of a block.
pub fn parse_statements(file: FileId, text: &str) -> (Block, Vec<Diagnostic>) {
    let (tokens, diagnostics) = lexer::lex(file, text);
    let mut parser = Parser::new(file, text, &tokens, diagnostics);
    let mark = parser.mark();
    let mut statements = Vec::new();
    loop {
        while parser.eat(TokenKind::Semicolon) {}
        if parser.at(TokenKind::End) {
            break;
        }
        if parser.at(TokenKind::RBrace) {
            parser.stray_bracket();
        } else {
            parser.one(|p| statements.extend(p.statement()));
        }
    }
    let span = parser.close(mark, NodeKind::Block);
    (block_of(statements, span), parser.finish(Module { doc: String::new(), items: Vec::new() }).diagnostics)
}

/// Whether what is typed goes on: a bracket is open, or the text ends where something must follow. An empty line ends what
/// has no open bracket.
pub fn is_incomplete(text: &str) -> bool {
    let file = FileId(0);
    let (tokens, lexical) = lexer::lex(file, text);
    let significant = tokens.iter().filter(|t| !t.kind.is_trivia());
    let Some(last) = significant.clone().next_back() else {
        // A doc comment waits for its item.
        return text.lines().next_back().is_some_and(|line| line.trim_start().starts_with("///"));
    };
    let mut open = Vec::new();
    for token in significant {
        let closing = match token.kind {
            TokenKind::LParen => TokenKind::RParen,
            TokenKind::LBracket => TokenKind::RBracket,
            TokenKind::LBrace => TokenKind::RBrace,
            TokenKind::RParen | TokenKind::RBracket | TokenKind::RBrace if open.pop() != Some(token.kind) => {
                return false;
            }
            _ => continue,
        };
        open.push(closing);
    }
    if !open.is_empty() {
        return lexical.is_empty();
    }
    if text.ends_with("\n\n") || text.ends_with("\n") && text.lines().next_back().is_some_and(|l| l.trim().is_empty()) {
        return false;
    }
    let (_, diagnostics) = parse_entries(file, text);
    let at_end = |d: &Diagnostic| d.labels.first().is_some_and(|l| l.span.start >= last.end);
    let awaits = |d: &Diagnostic| {
        matches!(d.code, codes::EXPECTED | codes::EXPECTED_EXPRESSION | codes::EXPECTED_TYPE | codes::EXPECTED_PATTERN)
    };
    diagnostics.first().is_some_and(|d| at_end(d) && awaits(d))
}

impl Parser<'_> {
    /// Reads something up to the end of its line, and never nothing.
    fn one(&mut self, read: impl FnOnce(&mut Self)) {
        let before = self.at;
        read(self);
        self.end_statement();
        if self.at == before {
            self.skip_line();
        }
    }

    /// An item, in this language or another.
    fn at_item(&self) -> bool {
        let foreign = || {
            let words =
                ["def", "from", "class", "struct", "interface", "trait", "record", "const", "var", "val", "static"];
            self.nth(1) == TokenKind::Ident && self.next_on_same_line() && words.contains(&self.current_text())
        };
        // Where nothing is open, `}` closes nothing, as an item.
        self.at(TokenKind::Let) || self.at(TokenKind::RBrace) || self.starts_item() || foreign()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(&str, bool)> {
        let (entries, diagnostics) = parse_entries(FileId(0), text);
        assert!(diagnostics.is_empty(), "{text}: {diagnostics:?}");
        let of =
            |e: &Entry| (text[e.span.start as usize..e.span.end as usize].trim(), matches!(e.kind, EntryKind::Item(_)));
        entries.iter().map(of).collect()
    }

    #[test]
    fn items_and_statements_stand_side_by_side() {
        assert_eq!(
            kinds("let x = 3; x + 1\n\n/// Twice.\nfn f(x) =\n  2 * x\nf(x)\n  + 1"),
            [("let x = 3", true), ("x + 1", false), ("/// Twice.\nfn f(x) =\n  2 * x", true), ("f(x)\n  + 1", false)]
        );
    }

    #[test]
    fn what_closes_nothing_is_told() {
        for text in ["}", "x }\n}", ") 1", "f(1))", "]", "} let x = 1"] {
            assert!(!parse_entries(FileId(0), text).1.is_empty(), "{text}");
            assert!(!parse_statements(FileId(0), text).1.is_empty(), "{text}");
        }
    }

    #[test]
    fn what_goes_on_is_told_from_what_is_wrong() {
        for text in
            ["let x =", "f(1,", "fn f(x) {", "1 +", "/// About f.", "if c {\n  1\n", "{ x: 1,", "fn f(x) =", "[1, 2"]
        {
            assert!(is_incomplete(text), "{text}");
        }
        for text in
            ["", "x", "f(1))", "(1]", "let = 3", "let x = \"open", "1 + * 2", "let x =\n\n", "// nothing", "(\"a"]
        {
            assert!(!is_incomplete(text), "{text}");
        }
    }
}
