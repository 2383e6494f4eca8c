//! Tokens to trees, by recursive descent over the tokens that are not trivia.
//!
//! One pass builds both trees: functions return the [`ast`] of what they read and leave its node in the [`TreeBuilder`].
//! This file holds what all of them share: looking ahead, moving on, complaining, recovering. After a complaint at a
//! token, further ones at the same token are dropped, so one mistake is told once; lists resume at their comma, statements
//! at their line end.

mod blocks;
mod checks;
mod choices;
mod entries;
mod expressions;
mod foreign;
mod forms;
mod habits;
mod items;
mod tokens;
mod types;

pub use entries::{Entry, EntryKind, is_incomplete, parse_entries, parse_statements};
pub(crate) use expressions::continues_expression;
use whorl_source::{Diagnostic, FileId, Span};

use self::tokens::{Significant, significant};
use crate::Parse;
use crate::ast::{Block, Module, Name};
use crate::codes::{self, Code};
use crate::lexer::{self, Token, TokenKind};
use crate::tree::{Checkpoint, NodeKind, TreeBuilder};

/// How far brackets, blocks and prefix operators may nest; what is deeper would need a deeper stack.
const MAX_DEPTH: usize = 128;
/// How high an expression's tree may grow, chains such as `a + b + …` and `f(x)(y)…` included, so that whoever walks it
/// may recurse.
const MAX_HEIGHT: usize = 400;

/// Reads a file. Never fails and never panics: what is wrong is in the diagnostics.
pub fn parse(file: FileId, text: &str) -> Parse {
    let (tokens, diagnostics) = lexer::lex(file, text);
    let mut parser = Parser::new(file, text, &tokens, diagnostics);
    let module = parser.module();
    parser.finish(module)
}

/// Reads a block, which begins with the text's first token. What follows it is not looked at.
pub fn parse_block(file: FileId, text: &str) -> (Block, Vec<Diagnostic>) {
    let (tokens, diagnostics) = lexer::lex(file, text);
    let mut parser = Parser::new(file, text, &tokens, diagnostics);
    let block = parser.block();
    (block, parser.finish(Module { doc: String::new(), items: Vec::new() }).diagnostics)
}

struct Parser<'a> {
    file: FileId,
    text: &'a str,
    tokens: &'a [Token],
    significant: Vec<Significant>,
    /// The current token, in `significant`.
    at: usize,
    /// How many of `tokens` are in the builder.
    emitted: usize,
    builder: TreeBuilder,
    diagnostics: Vec<Diagnostic>,
    /// Whether a line end ends a statement here: in braces, not in parentheses and brackets.
    newlines: bool,
    /// In the head of `if`, `for`, `scan` or `while`, where `{` after a path opens the body and not a record.
    head: bool,
    /// Among what a `prop` draws, where `size` begins no item.
    drawing: bool,
    depth: usize,
    /// In the default of a `param` or `size`, behind which `in (0, 1)` may stand.
    bounds_may_follow: bool,
    /// How many bodies of `for` and `while` are open in the current function.
    loops: usize,
    /// Of the highest expression read since the enclosing one began.
    height: usize,
    last_error: Option<usize>,
}

/// Where a node begins.
#[derive(Clone, Copy)]
struct Mark {
    checkpoint: Checkpoint,
    start: u32,
}

impl<'a> Parser<'a> {
    fn new(file: FileId, text: &'a str, tokens: &'a [Token], diagnostics: Vec<Diagnostic>) -> Parser<'a> {
        Parser {
            file,
            text,
            tokens,
            significant: significant(text, tokens),
            at: 0,
            emitted: 0,
            builder: TreeBuilder::default(),
            diagnostics,
            newlines: true,
            head: false,
            drawing: false,
            bounds_may_follow: false,
            loops: 0,
            depth: 0,
            height: 0,
            last_error: None,
        }
    }

    fn finish(mut self, module: Module) -> Parse {
        self.emit_up_to(self.tokens.len());
        let mut diagnostics = self.diagnostics;
        diagnostics.sort_by_key(|d| d.labels.first().map_or(0, |l| l.span.start));
        Parse { tree: self.builder.finish(self.text), module, diagnostics }
    }

    // Looking.

    fn current(&self) -> Significant {
        self.significant[self.at]
    }

    fn kind(&self) -> TokenKind {
        self.current().token.kind
    }

    /// The kind of the token `n` places on.
    fn nth(&self, n: usize) -> TokenKind {
        self.significant.get(self.at + n).map_or(TokenKind::End, |s| s.token.kind)
    }

    fn at(&self, kind: TokenKind) -> bool {
        self.kind() == kind
    }

    fn text_of(&self, token: Token) -> &'a str {
        &self.text[token.start as usize..token.end as usize]
    }

    fn current_text(&self) -> &'a str {
        self.text_of(self.current().token)
    }

    fn source(&self, span: Span) -> &'a str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// A word that is a keyword only in its place.
    fn at_word(&self, word: &str) -> bool {
        self.at(TokenKind::Ident) && self.current_text() == word
    }

    /// The current token begins a line, and line ends count here.
    fn line_ended(&self) -> bool {
        self.newlines && self.current().newline_before
    }

    fn next_on_same_line(&self) -> bool {
        self.significant.get(self.at + 1).is_some_and(|s| !s.newline_before && s.token.kind != TokenKind::End)
    }

    fn token_span(&self, token: Token) -> Span {
        Span { file: self.file, start: token.start, end: token.end }
    }

    fn current_span(&self) -> Span {
        self.token_span(self.current().token)
    }

    /// Where the last token that was read ends.
    fn previous_end(&self) -> u32 {
        if self.at == 0 { 0 } else { self.significant[self.at - 1].token.end }
    }

    /// Where something is missing: the current token, or the end of the line before it.
    fn here(&self) -> Span {
        let current = self.current();
        if self.at > 0 && (current.newline_before || current.token.kind == TokenKind::End) {
            let end = self.previous_end();
            Span { file: self.file, start: end, end }
        } else {
            self.current_span()
        }
    }

    /// The current token in words.
    fn found(&self) -> String {
        let current = self.current();
        match current.token.kind {
            TokenKind::End => "the end of the file".to_string(),
            _ if current.newline_before && self.at > 0 => "the end of the line".to_string(),
            _ => format!("`{}`", self.current_text().chars().take(24).collect::<String>()),
        }
    }

    // Moving.

    /// Takes the current token; at the end of the file, nothing.
    fn bump(&mut self) {
        if self.kind() != TokenKind::End {
            self.emit_up_to(self.current().index + 1);
            self.at += 1;
        }
    }

    fn eat(&mut self, kind: TokenKind) -> bool {
        let found = self.at(kind);
        if found {
            self.bump();
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.bump();
        }
        found
    }

    fn emit_up_to(&mut self, index: usize) {
        for token in &self.tokens[self.emitted.min(index)..index] {
            self.builder.token(*token);
        }
        self.emitted = self.emitted.max(index);
    }

    /// A node may begin at the current token.
    fn mark(&mut self) -> Mark {
        self.emit_up_to(self.current().index);
        Mark { checkpoint: self.builder.checkpoint(), start: self.current().token.start }
    }

    /// Ends the node that began at `mark`.
    fn close(&mut self, mark: Mark, kind: NodeKind) -> Span {
        self.builder.node(mark.checkpoint, kind);
        self.span_from(mark)
    }

    fn span_from(&self, mark: Mark) -> Span {
        Span { file: self.file, start: mark.start, end: self.previous_end().max(mark.start) }
    }

    // Complaining.

    /// Something is wrong at the current token, and what follows may be nonsense.
    fn report(&mut self, diagnostic: Diagnostic) {
        if self.last_error != Some(self.at) && !self.current().error_before {
            self.diagnostics.push(diagnostic);
        }
        self.last_error = Some(self.at);
    }

    fn error(&mut self, code: Code, message: impl Into<String>, label: &str) {
        let diagnostic = Diagnostic::error(code, message).at(self.here(), label);
        self.report(diagnostic);
    }

    /// Something is wrong but was understood: reading goes on as if it were right.
    fn complain(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, message).at(span, "").help(help));
    }

    /// Takes `kind`, written `symbol`, or says that it is missing `place` ("after the name").
    fn expect(&mut self, kind: TokenKind, symbol: &str, place: &str) -> bool {
        let found = self.eat(kind);
        if !found {
            self.error(codes::EXPECTED, format!("expected `{symbol}` {place}, found {}", self.found()), "");
        }
        found
    }

    /// A name, or a complaint and an empty one. `what` is said in the complaint: "a name for the function".
    fn name(&mut self, what: &str) -> Name {
        let span = self.current_span();
        let text = self.current_text().to_string();
        let same_line = self.at == 0 || !self.line_ended();
        let next_item = self.current().newline_before && self.starts_item();
        if self.at(TokenKind::Ident) && !next_item {
            self.bump();
            return Name { text, span };
        }
        if same_line && text.starts_with(|c: char| c.is_ascii_lowercase()) {
            let message = format!("`{text}` is a word of the language and cannot be {what}");
            self.error(codes::KEYWORD_AS_NAME, message, "");
            self.bump();
            return Name { text, span };
        }
        self.error(codes::EXPECTED, format!("expected {what}, found {}", self.found()), "");
        Name { text: String::new(), span: self.here() }
    }

    /// Nesting went past the limit. What follows cannot be read in any useful way: the rest of the file is skipped.
    fn too_deep(&mut self) {
        let span = self.here();
        let message = "this is nested too deeply";
        let help = "give parts of it names with `let`, or move them to functions";
        self.report(Diagnostic::error(codes::TOO_DEEP, message).at(span, "").help(help));
        self.emit_up_to(self.tokens.len());
        self.at = self.significant.len() - 1;
        self.last_error = Some(self.at);
    }

    // Recovering.

    /// Skips a bracket and all it holds, or one token.
    fn skip_group(&mut self) {
        let current = self.current();
        let opens = matches!(current.token.kind, TokenKind::LParen | TokenKind::LBracket | TokenKind::LBrace);
        let last = if opens && !current.unclosed { current.partner } else { self.at };
        while self.at <= last && !self.at(TokenKind::End) {
            self.bump();
        }
    }

    /// Skips what is left of a statement, whole brackets at a time.
    fn skip_line(&mut self) {
        let mark = self.mark();
        let start = self.at;
        while !matches!(self.kind(), TokenKind::End | TokenKind::RBrace | TokenKind::Semicolon)
            && (self.at == start || !self.current().newline_before)
        {
            self.skip_group();
        }
        if self.at > start {
            self.close(mark, NodeKind::Error);
        }
    }

    /// Skips to the comma or bracket that ends an element of a list.
    fn skip_element(&mut self) {
        let mark = self.mark();
        let start = self.at;
        loop {
            let separator = matches!(self.kind(), TokenKind::Comma | TokenKind::Semicolon);
            let next_line = self.line_ended() && self.at > start;
            if separator || next_line || self.at_closing() || self.starts_statement() {
                break;
            }
            self.skip_group();
        }
        if self.at > start {
            self.close(mark, NodeKind::Error);
        }
    }

    fn at_closing(&self) -> bool {
        matches!(self.kind(), TokenKind::End | TokenKind::RParen | TokenKind::RBracket | TokenKind::RBrace)
    }

    /// A word that cannot stand inside an expression.
    fn starts_statement(&self) -> bool {
        use TokenKind::{Assert, Import, Let, Pub, Yield};
        matches!(self.kind(), Let | Yield | Assert | Pub | Import)
            || (self.current().newline_before && self.starts_item())
    }

    /// An item, judged by its first two tokens (`let` may also be a statement and does not count).
    fn starts_item(&self) -> bool {
        match (self.kind(), self.nth(1)) {
            (TokenKind::Pub | TokenKind::Import | TokenKind::Enum, _) => true,
            (TokenKind::Fn, TokenKind::Ident) => true,
            (TokenKind::Ident, TokenKind::Ident) => {
                self.next_on_same_line()
                    && matches!(self.current_text(), "param" | "size" | "type" | "data")
                    && !(self.drawing && self.current_text() == "size")
            }
            (TokenKind::Ident, TokenKind::String) => matches!(self.current_text(), "test" | "prop"),
            _ => false,
        }
    }

    /// From an opening bracket to its partner `close`: elements with commas between and, in braces, line ends.
    fn list<T>(&mut self, close: TokenKind, symbol: &str, mut element: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let open = self.current();
        let newlines = std::mem::replace(&mut self.newlines, close == TokenKind::RBrace);
        let head = std::mem::replace(&mut self.head, false);
        let mut elements = Vec::new();
        self.bump();
        while !self.ends_list(open, close) {
            let before = self.at;
            elements.push(element(self));
            let moved = self.at > before;
            self.skip_stray(open, close);
            if self.eat(TokenKind::Comma) || self.at(close) || (moved && self.line_ended()) {
                continue;
            }
            if open.unclosed && (self.current().newline_before || self.at_closing()) {
                break;
            }
            self.error(codes::EXPECTED, format!("expected `,` or `{symbol}`, found {}", self.found()), "");
            if !moved || !self.current().newline_before {
                self.skip_element();
                self.eat(TokenKind::Comma);
            }
            if self.at == before {
                break;
            }
        }
        if !self.eat(close) {
            self.unclosed(open.token, symbol);
        }
        (self.newlines, self.head) = (newlines, head);
        elements
    }

    /// Nothing more belongs to the list that `open` began.
    fn ends_list(&mut self, open: Significant, close: TokenKind) -> bool {
        self.skip_stray(open, close);
        self.at_closing() || self.starts_statement() || self.at(TokenKind::Semicolon)
    }

    /// Skips brackets that close nothing, in the list that `open` began.
    fn skip_stray(&mut self, open: Significant, close: TokenKind) {
        while self.at_closing() && !self.at(close) && !open.unclosed && self.at < open.partner {
            self.error(codes::STRAY_BRACKET, format!("{} closes nothing", self.found_token()), "");
            self.bump();
        }
    }

    /// The bracket `open` should have been closed by `symbol` before the current token.
    fn unclosed(&mut self, open: Token, symbol: &str) {
        let message = format!("`{}` is not closed", self.text_of(open));
        let missing = self.here();
        let line = |span: Span| self.line_start(span.start);
        // A string or a comment that runs to the end of its line took the bracket with it.
        let string = |d: &Diagnostic| {
            matches!(d.code, codes::UNCLOSED_STRING | codes::DIVISION_COMMENT)
                && d.labels.iter().any(|l| line(l.span) == line(missing))
        };
        if self.diagnostics.iter().any(string) {
            return;
        }
        let diagnostic = Diagnostic::error(codes::UNCLOSED_BRACKET, message);
        if let Some((inner, taken)) = self.brace_meant(open) {
            let outer = self.current_line(open.start);
            let diagnostic = diagnostic.at(inner, "opened here");
            let told = format!("by its place this `}}` closes the `{{` of line {outer}, so one is missing before it");
            return self.report(diagnostic.at(taken, told));
        }
        let diagnostic = diagnostic.at(self.token_span(open), "opened here");
        self.report(diagnostic.at(missing, format!("expected `{symbol}`")));
    }

    /// The brace inside of `open` that was left open, as the indentation tells it: its partner stands further left than the
    /// line that it is on.
    fn brace_meant(&self, open: Token) -> Option<(Span, Span)> {
        let inside =
            self.significant.iter().filter(|s| s.token.kind == TokenKind::LBrace && s.token.start > open.start);
        let mut meant = inside.filter(|s| {
            let partner = self.significant[s.partner];
            !s.unclosed
                && partner.newline_before
                && self.column_of_line(partner.token.start) < self.column_of_line(s.token.start)
        });
        let inner = meant.next()?;
        Some((self.token_span(inner.token), self.token_span(self.significant[inner.partner].token)))
    }

    fn current_line(&self, offset: u32) -> usize {
        self.text[..offset as usize].matches('\n').count() + 1
    }
}
