//! Items: what stands at the top of a file.

use super::Parser;
use crate::ast::{
    Bounds, DataDef, Expr, ExprKind, FnDef, FnParam, Import, Item, ItemKind, Module, Name, Param, Pattern, PatternKind,
    StatementKind, Type, TypeDef, TypeKind,
};
use crate::codes;
use crate::lexer::{TokenKind, unescape};
use crate::tree::NodeKind;

impl Parser<'_> {
    pub(super) fn module(&mut self) -> Module {
        let doc = self.module_doc();
        let mut items = Vec::new();
        loop {
            while self.eat(TokenKind::Semicolon) {}
            if self.at(TokenKind::End) {
                break;
            }
            let before = self.at;
            items.push(self.item());
            self.end_statement();
            if self.at == before {
                self.skip_line();
            }
        }
        Module { doc, items }
    }

    pub(super) fn item(&mut self) -> Item {
        let doc = self.doc_paragraphs().pop().unwrap_or_default();
        let mark = self.mark();
        let public = self.eat(TokenKind::Pub);
        if let Some(kind) = self.foreign_item() {
            let span = self.close(mark, NodeKind::Error);
            return Item { doc, public, span, kind };
        }
        let (kind, node) = match self.kind() {
            TokenKind::Import => (self.import(), NodeKind::Import),
            TokenKind::Fn => (self.fn_item(), NodeKind::Fn),
            TokenKind::Let => (self.let_item(), NodeKind::Let),
            TokenKind::RParen | TokenKind::RBracket | TokenKind::RBrace => (self.stray_bracket(), NodeKind::Error),
            TokenKind::Enum => (ItemKind::Enum(self.enum_def()), NodeKind::Enum),
            TokenKind::Ident => match (self.current_text(), self.nth(1)) {
                ("def", TokenKind::Ident) => {
                    self.complain_def();
                    (self.fn_item(), NodeKind::Fn)
                }
                ("from", TokenKind::Ident) => (self.python_import(), NodeKind::Import),
                ("param", TokenKind::Ident) => (ItemKind::Param(self.param()), NodeKind::Param),
                ("size", TokenKind::Ident) => (ItemKind::Size(self.param()), NodeKind::Size),
                ("data", TokenKind::Ident) => (self.data_item(), NodeKind::Data),
                ("type", TokenKind::Ident) => (self.type_item(), NodeKind::TypeDef),
                ("test", TokenKind::String) => (self.test(), NodeKind::Test),
                ("prop", TokenKind::String) => (self.prop(), NodeKind::Prop),
                _ => (self.not_an_item(), NodeKind::Error),
            },
            _ => (self.not_an_item(), NodeKind::Error),
        };
        let span = self.close(mark, node);
        Item { doc, public, span, kind }
    }

    /// A statement or less where an item belongs: read it, so that its own mistakes are told, and say where it belongs.
    fn not_an_item(&mut self) -> ItemKind {
        let (mark, known) = (self.mark(), self.diagnostics.len());
        let statement = self.statement();
        let span = self.span_from(mark);
        if self.diagnostics.len() == known {
            let message = "only items stand at the top of a file";
            let help = "items are `import`, `param`, `size`, `type`, `enum`, `fn`, `let`, `data`, `test` and `prop`; what runs stands in `fn main(key: Key)`";
            self.complain(codes::NOT_AN_ITEM, span, message, help);
        }
        match statement.map(|s| s.kind) {
            Some(StatementKind::Let { pattern, ty, value }) => ItemKind::Let { pattern, ty, value },
            Some(StatementKind::Yield(_) | StatementKind::Assert { .. } | StatementKind::Expr(_)) | None => {
                ItemKind::Error
            }
        }
    }

    pub(super) fn stray_bracket(&mut self) -> ItemKind {
        self.error(codes::STRAY_BRACKET, format!("{} closes nothing", self.found_token()), "");
        self.bump();
        ItemKind::Error
    }

    pub(super) fn found_token(&self) -> String {
        format!("`{}`", self.current_text())
    }

    // The kinds of items, each from its first word.

    fn import(&mut self) -> ItemKind {
        self.bump();
        let path = self.import_path();
        let alias = self.eat_word("as").then(|| self.name("a name for the module"));
        let names = self.at(TokenKind::LBrace).then(|| self.import_names());
        ItemKind::Import(Import { path, alias, names })
    }

    /// `a.b.c`; also `"a/b"` and `a/b`, which are complained about.
    fn import_path(&mut self) -> Vec<Name> {
        let start = self.current_span();
        if self.at(TokenKind::String) {
            let text = unescape(self.current_text());
            self.bump();
            let names = text.split(['/', '.']).filter(|n| !n.is_empty() && *n != "whorl");
            let path: Vec<Name> = names.map(|n| Name { text: n.to_string(), span: start }).collect();
            let help = format!("import {}", path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join("."));
            self.complain(codes::FROM_IMPORT, start, "a module is named without quotes", help);
            return path;
        }
        let mut path = self.path("a module to import");
        if self.at(TokenKind::Slash) && !self.line_ended() {
            let at = self.current_span();
            while self.at(TokenKind::Slash) && !self.line_ended() {
                self.bump();
                path.extend(self.path("a name after the slash"));
            }
            let help = format!("import {}", path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join("."));
            self.complain(codes::FROM_IMPORT, at, "the parts of a module's name stand with dots between", help);
        }
        path
    }

    fn import_names(&mut self) -> Vec<Name> {
        self.list(TokenKind::RBrace, "}", |p| p.name("a name to import"))
    }

    /// `a.b.c`, on one line.
    pub(super) fn path(&mut self, what: &str) -> Vec<Name> {
        let mut path = vec![self.name(what)];
        while self.at(TokenKind::Dot) && !self.line_ended() {
            self.bump();
            path.push(self.name("a name after the dot"));
        }
        path
    }

    /// `param` and `size` read the same; what each may lack is checked where it is used.
    fn param(&mut self) -> Param {
        let word = self.current_text();
        self.bump();
        let name = self.name(&format!("a name for the {word}"));
        let ty = self.eat(TokenKind::Colon).then(|| self.ty());
        let outer = std::mem::replace(&mut self.bounds_may_follow, true);
        let value = self.value_after_equals(&format!("and a default for the {word}"));
        self.bounds_may_follow = outer;
        let bounds = if self.at_word("in") { self.bounds() } else { None };
        let mut about = String::new();
        if self.at(TokenKind::String) && !self.line_ended() {
            about = unescape(self.current_text());
            self.bump();
        }
        Param { name, ty, value, bounds, about }
    }

    /// `in (0, 1]`
    pub(super) fn bounds(&mut self) -> Option<Bounds> {
        let mark = self.mark();
        self.bump();
        if !matches!(self.kind(), TokenKind::LParen | TokenKind::LBracket) {
            self.error(
                codes::EXPECTED,
                format!("expected bounds such as `(0, 1)` or `[0, 1]`, found {}", self.found()),
                "",
            );
            return None;
        }
        let low_inclusive = self.at(TokenKind::LBracket);
        let newlines = std::mem::replace(&mut self.newlines, false);
        self.bump();
        let low = self.expr();
        self.expect(TokenKind::Comma, ",", "between the bounds");
        let high = self.expr();
        self.newlines = newlines;
        let high_inclusive = self.at(TokenKind::RBracket);
        if !self.eat(TokenKind::RBracket) {
            self.expect(TokenKind::RParen, ")", "after the bounds");
        }
        self.close(mark, NodeKind::Bounds);
        Some(Bounds { low, low_inclusive, high, high_inclusive })
    }

    fn type_item(&mut self) -> ItemKind {
        self.bump();
        let name = self.name("a name for the type");
        let params = match self.kind() {
            TokenKind::LBracket => self.list(TokenKind::RBracket, "]", |p| p.name("a type parameter")),
            _ => Vec::new(),
        };
        let ty = if self.expect(TokenKind::Equals, "=", "after the type's name") {
            self.ty()
        } else {
            self.skip_line();
            Type { kind: TypeKind::Error, span: self.here() }
        };
        ItemKind::Type(TypeDef { name, params, ty })
    }

    fn let_item(&mut self) -> ItemKind {
        let (pattern, ty, value) = self.let_parts();
        ItemKind::Let { pattern, ty, value }
    }

    /// `data name: T = load("file")`
    fn data_item(&mut self) -> ItemKind {
        self.bump();
        let name = self.name("a name for the data");
        let ty = self.eat(TokenKind::Colon).then(|| self.ty());
        let value = self.value_after_equals("and `load(\"file.npz\")` after the name of the data");
        ItemKind::Data(DataDef { name, ty, value })
    }

    fn fn_item(&mut self) -> ItemKind {
        ItemKind::Fn(self.fn_def())
    }

    /// From `fn` (or `def`) on, with a name.
    pub(super) fn fn_def(&mut self) -> FnDef {
        self.bump();
        let name = self.name("a name for the function");
        let (params, result, body) = self.fn_tail();
        FnDef { name, params, result, body }
    }

    /// Parameters, result and body, of a function or a lambda.
    pub(super) fn fn_tail(&mut self) -> (Vec<FnParam>, Option<Type>, Expr) {
        let mut params = Vec::new();
        if self.at(TokenKind::LParen) {
            let mark = self.mark();
            params = self.list(TokenKind::RParen, ")", |p| p.fn_param());
            self.close(mark, NodeKind::Parameters);
        } else if self.at(TokenKind::LBrace) {
            let message = "a function has parameters in parentheses, if only `()`";
            let name = self.significant.get(self.at.wrapping_sub(1)).map_or("f", |s| self.text_of(s.token));
            self.complain(codes::EXPECTED, self.current_span(), message, format!("fn {name}() {{ … }}"));
        } else {
            self.error(codes::EXPECTED, format!("expected `(` before the parameters, found {}", self.found()), "");
        }
        // `): f32 = …`
        let colon = self.at(TokenKind::Colon)
            && self.nth(1) == TokenKind::Ident
            && !self.significant[self.at + 1].newline_before;
        let result = if colon && self.equals_on_line() {
            let at = self.current_span();
            self.bump();
            let ty = self.ty();
            let help = format!("-> {}", self.source(ty.span));
            self.complain(codes::RESULT_COLON, at, "the type of the result stands behind `->`", help);
            Some(ty)
        } else {
            self.eat(TokenKind::Arrow).then(|| self.ty())
        };
        let loops = std::mem::replace(&mut self.loops, 0);
        let body = if self.eat(TokenKind::Equals) {
            self.expr()
        } else if matches!(self.kind(), TokenKind::LBrace | TokenKind::Colon) {
            self.block_expr()
        } else {
            let message = format!("expected the function's body, `= …` or `{{ … }}`, found {}", self.found());
            self.error(codes::EXPECTED, message, "");
            self.error_expr()
        };
        self.loops = loops;
        (params, result, body)
    }

    fn fn_param(&mut self) -> FnParam {
        let pattern = self.pattern();
        let ty = self.eat(TokenKind::Colon).then(|| self.ty());
        let default = self.eat(TokenKind::Equals).then(|| self.expr());
        FnParam { pattern, ty, default }
    }

    /// `let pattern: T = value`
    pub(super) fn let_parts(&mut self) -> (Pattern, Option<Type>, Expr) {
        self.bump();
        self.complain_mut();
        let pattern = if self.at(TokenKind::Equals) {
            self.error(codes::EXPECTED_PATTERN, "expected a name after `let`", "");
            Pattern { kind: PatternKind::Error, span: self.here() }
        } else {
            self.pattern()
        };
        if self.at(TokenKind::Comma) && !self.line_ended() {
            let (pattern, value) = self.let_names(pattern);
            return (pattern, None, value);
        }
        let ty = self.eat(TokenKind::Colon).then(|| self.ty());
        let value = self.value_after_equals("after the pattern");
        (pattern, ty, value)
    }

    fn value_after_equals(&mut self, place: &str) -> Expr {
        if self.expect(TokenKind::Equals, "=", place) {
            self.expr()
        } else {
            let value = Expr { kind: ExprKind::Error, span: self.here() };
            if !self.line_ended() {
                self.skip_line();
            }
            value
        }
    }

    // Documentation.

    /// The text of the `///` lines before the current token, split at blank lines. The last paragraph touches the token.
    fn doc_paragraphs(&self) -> Vec<String> {
        let end = self.current().index.min(self.tokens.len());
        let mut paragraphs: Vec<Vec<&str>> = vec![Vec::new()];
        let mut blank = self.at == 0;
        for token in &self.tokens[self.emitted.min(end)..end] {
            match token.kind {
                TokenKind::Newline if blank => paragraphs.push(Vec::new()),
                TokenKind::Newline => blank = true,
                TokenKind::Space => {}
                TokenKind::DocComment => {
                    let line = &self.text_of(*token).trim_end()[3..];
                    paragraphs.last_mut().expect("never empty").push(line.strip_prefix(' ').unwrap_or(line));
                    blank = false;
                }
                _ => blank = false,
            }
        }
        paragraphs.into_iter().map(|lines| lines.join("\n")).collect()
    }

    fn module_doc(&self) -> String {
        let mut paragraphs = self.doc_paragraphs();
        if !self.at(TokenKind::End) {
            paragraphs.pop();
        }
        paragraphs.retain(|p| !p.is_empty());
        paragraphs.join("\n\n")
    }
}
