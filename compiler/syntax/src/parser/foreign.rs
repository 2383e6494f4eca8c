//! Whole constructs of other languages, each told once and skipped or read as what is written here instead.

use whorl_source::Span;

use super::Parser;
use crate::ast::{Expr, ExprKind, ItemKind, Pattern, PatternKind, StatementKind, Type, TypeKind};
use crate::codes;
use crate::lexer::TokenKind;

impl Parser<'_> {
    // At the top of a file.

    /// What begins with a word of another language, if it does.
    pub(super) fn foreign_item(&mut self) -> Option<ItemKind> {
        let word = self.current_text();
        let span = self.current_span();
        let same_line = self.next_on_same_line();
        match (self.kind(), word, self.nth(1)) {
            (TokenKind::Ident, "class", TokenKind::Ident) => {
                let help = "a record of values, and functions that take one:\ntype Net = { w: f32[4, 2] }\nfn forward(net: Net, x) = x @ net.w";
                self.complain(codes::FOREIGN_ITEM, span, "there are no classes", help);
                self.skip_indented();
            }
            (TokenKind::Ident, "struct" | "interface" | "trait" | "record", TokenKind::Ident) if same_line => {
                let name = self.significant.get(self.at + 1).map_or("S", |s| self.text_of(s.token));
                let help = format!("type {name} = {{ x: f32, n: i32 }}");
                self.complain(
                    codes::FOREIGN_ITEM,
                    span,
                    format!("there is no `{word}`: a type has a name and fields"),
                    help,
                );
                self.skip_indented();
            }
            (TokenKind::Ident, "const" | "var" | "val" | "static" | "def", TokenKind::Ident)
                if same_line && word != "def" =>
            {
                let line = self.rest_of_line();
                self.complain(
                    codes::FOREIGN_ITEM,
                    span,
                    format!("a value is named by `let`, not `{word}`"),
                    format!("let{line}"),
                );
                let (pattern, ty, value) = self.let_parts();
                return Some(ItemKind::Let { pattern, ty, value });
            }
            (TokenKind::Ident, "function" | "func" | "fun", TokenKind::Ident) if same_line => {
                let line = self.rest_of_line();
                self.complain(codes::PYTHON_DEF, span, "a function begins with `fn`", format!("fn{line}"));
                return Some(ItemKind::Fn(self.fn_def()));
            }
            (TokenKind::Ident, "test", TokenKind::LBrace) => {
                self.complain(codes::EXPECTED, span, "a test has a name", "test \"what must hold\" { … }");
                self.bump();
                return Some(ItemKind::Test { name: String::new(), fails: None, body: self.block() });
            }
            (TokenKind::At, ..) => {
                let help = "leave it out: everything is compiled, and `for` is the vectorisation";
                self.complain(codes::FOREIGN_ITEM, span, "functions are not decorated", help);
                self.skip_line();
            }
            (TokenKind::If, ..)
                if self.significant.get(self.at + 1).is_some_and(|s| self.text_of(s.token) == "__name__") =>
            {
                let help = "leave this out: `fn main(key: Key)` is what `whorl run` runs";
                self.complain(codes::FOREIGN_ITEM, span, "a script begins at `main`", help);
                self.skip_indented();
            }
            _ => return None,
        }
        Some(ItemKind::Error)
    }

    /// The rest of the line behind the current token, for a translation.
    fn rest_of_line(&self) -> String {
        let rest = &self.text[self.current().token.end as usize..];
        let line = rest.lines().next().unwrap_or("");
        if line.len() <= 40 { line.trim_end().to_string() } else { " …".to_string() }
    }

    /// Skips a line, and the lines after it that are indented further or closed by a brace that it opens.
    fn skip_indented(&mut self) {
        let indentation = self.column_of_line(self.current().token.start);
        loop {
            self.skip_group();
            let deeper = self.current().newline_before && self.column_of_line(self.current().token.start) > indentation;
            if self.at(TokenKind::End) || (self.current().newline_before && !deeper) {
                return;
            }
        }
    }

    // In a block.

    /// A statement of another language: `None` if this is not one, `Some(None)` if there is nothing to keep of it.
    pub(super) fn foreign_statement(&mut self) -> Option<Option<StatementKind>> {
        let (word, span) = (self.current_text(), self.current_span());
        let colon_ends_line =
            self.nth(1) == TokenKind::Colon && self.significant.get(self.at + 2).is_some_and(|s| s.newline_before);
        match (self.kind(), word, self.nth(1)) {
            (TokenKind::Ident, "try" | "except" | "finally", _)
                if colon_ends_line || self.nth(1) == TokenKind::LBrace =>
            {
                let help = "values tell what is wrong: `where(isfinite(x), x, 0.0)`; `assert c, \"why\"` stops the run";
                self.complain(codes::FOREIGN_STATEMENT, span, "there are no exceptions", help);
                self.bump();
                self.eat(TokenKind::Colon);
            }
            (TokenKind::With, ..) => {
                let help = "leave it out: `stop_gradient(x)` is without a derivative; `s with { x: 1.0 }` is a record with a field replaced";
                self.complain(codes::FOREIGN_STATEMENT, span, "nothing is opened by `with`", help);
                self.skip_line();
            }
            (TokenKind::Ident, "global" | "nonlocal" | "del", TokenKind::Ident) if self.next_on_same_line() => {
                let message =
                    format!("there is no `{word}`: names stand for values, and are seen in the blocks inside");
                self.complain(codes::FOREIGN_STATEMENT, span, message, "leave it out");
                self.skip_line();
            }
            (TokenKind::Ident, "raise" | "throw", TokenKind::Ident | TokenKind::String) if self.next_on_same_line() => {
                self.complain(codes::FOREIGN_STATEMENT, span, "there are no exceptions", "assert c, \"why\"");
                self.skip_line();
            }
            (TokenKind::Ident, "print", TokenKind::Ident | TokenKind::String) if self.next_on_same_line() => {
                let line = self.rest_of_line();
                let help = format!("log(\"{}\", {0})", line.trim().trim_matches(['"', '\'']));
                self.complain(codes::FOREIGN_STATEMENT, span, "`log` records a value under a name", help);
                self.skip_line();
            }
            (TokenKind::Ident, "const" | "var" | "val" | "auto" | "float" | "int" | "double", TokenKind::Ident)
                if self.next_on_same_line() =>
            {
                let line = self.rest_of_line();
                self.complain(
                    codes::FOREIGN_STATEMENT,
                    span,
                    format!("a value is named by `let`, not `{word}`"),
                    format!("let{line}"),
                );
                let (pattern, ty, value) = self.let_parts();
                return Some(Some(StatementKind::Let { pattern, ty, value }));
            }
            _ => return None,
        }
        Some(None)
    }

    /// After the first name of a statement: `a, b = …`, `x: f32 = …` and `x := …`, read as the `let` that they should be.
    pub(super) fn bare_binding(&mut self, target: &Expr) -> Option<StatementKind> {
        let ExprKind::Name(name) = &target.kind else { return None };
        let pattern = Pattern { kind: PatternKind::Name(name.clone()), span: target.span };
        match self.kind() {
            TokenKind::Comma if self.equals_after_names() => {
                let parts = self.more_names(pattern);
                self.expect(TokenKind::Equals, "=", "after the names");
                let value = self.values();
                Some(self.tuple_binding(parts, value, true))
            }
            TokenKind::Colon if self.equals_on_line() => {
                self.bump();
                let ty = if self.at(TokenKind::Equals) { None } else { Some(self.ty()) };
                self.expect(TokenKind::Equals, "=", "after the type");
                let value = self.expr();
                let written = self.written(&value);
                let of = ty.as_ref().map_or(String::new(), |t| format!(": {}", self.source(t.span)));
                self.complain(
                    codes::ASSIGNMENT,
                    target.span,
                    "a new value gets a `let`",
                    format!("let {name}{of} = {written}"),
                );
                Some(StatementKind::Let { pattern, ty, value })
            }
            _ => None,
        }
    }

    /// At the comma after the first name of `let a, b = …`.
    pub(super) fn let_names(&mut self, first: Pattern) -> (Pattern, Expr) {
        let parts = self.more_names(first);
        self.expect(TokenKind::Equals, "=", "after the names");
        let value = self.values();
        match self.tuple_binding(parts, value, false) {
            StatementKind::Let { pattern, value, .. } => (pattern, value),
            StatementKind::Yield(value)
            | StatementKind::Expr(value)
            | StatementKind::Assert { condition: value, .. } => {
                (Pattern { kind: PatternKind::Error, span: value.span }, value)
            }
        }
    }

    fn more_names(&mut self, first: Pattern) -> Vec<Pattern> {
        let mut parts = vec![first];
        while self.eat(TokenKind::Comma) {
            parts.push(self.pattern());
        }
        parts
    }

    /// `1, 2` behind the `=`.
    fn values(&mut self) -> Expr {
        let first = self.expr();
        if !self.at(TokenKind::Comma) {
            return first;
        }
        let mut values = vec![first];
        while self.eat(TokenKind::Comma) {
            values.push(self.expr());
        }
        let span = values[0].span.to(values[values.len() - 1].span);
        Expr { kind: ExprKind::Tuple(values), span }
    }

    fn tuple_binding(&mut self, parts: Vec<Pattern>, value: Expr, bare: bool) -> StatementKind {
        let names: Vec<&str> = parts.iter().map(|p| self.source(p.span)).collect();
        let mut written = self.written(&value);
        if matches!(value.kind, ExprKind::Tuple(_)) && !written.starts_with('(') {
            written = format!("({written})");
        }
        let help = format!("let ({}) = {written}", names.join(", "));
        let span = parts[0].span.to(parts[parts.len() - 1].span);
        let message = if bare {
            "a new value gets a `let`, and several stand in parentheses"
        } else {
            "several names stand in parentheses"
        };
        self.complain(codes::TUPLE_PATTERN, span, message, help);
        StatementKind::Let { pattern: Pattern { kind: PatternKind::Tuple(parts), span }, ty: None, value }
    }

    /// `, b, c =` on this line.
    fn equals_after_names(&self) -> bool {
        let mut k = 0;
        while self.nth(k) == TokenKind::Comma && matches!(self.nth(k + 1), TokenKind::Ident | TokenKind::Underscore) {
            k += 2;
        }
        k > 0 && self.nth(k) == TokenKind::Equals
    }

    /// An `=` follows on this line, and what stands before it may be a type.
    pub(super) fn equals_on_line(&self) -> bool {
        let mut k = 1;
        loop {
            let Some(s) = self.significant.get(self.at + k) else { return false };
            match s.token.kind {
                TokenKind::Equals => return true,
                TokenKind::Ident | TokenKind::Dot | TokenKind::LBracket | TokenKind::RBracket | TokenKind::Int => {}
                TokenKind::Comma if k > 2 => {}
                _ => return false,
            }
            if s.newline_before {
                return false;
            }
            k += 1;
        }
    }

    // In an expression.

    /// What follows a whole expression only in other languages: `x as f32`, `x in xs`, `x is y`, `x => e`.
    pub(super) fn foreign_suffix(&mut self, e: Expr) -> Expr {
        if self.current().newline_before || matches!(e.kind, ExprKind::Error) {
            return e;
        }
        let (word, at) = (self.current_text(), self.current_span());
        match (self.kind(), word, self.nth(1)) {
            (TokenKind::Ident, "as", TokenKind::Ident) => {
                self.bump();
                let ty = self.name("a type");
                let help = format!("{}({})", ty.text, self.written(&e));
                self.complain(codes::FOREIGN_EXPRESSION, at, "a conversion is a function", help);
                let span = e.span.to(ty.span);
                let callee = Box::new(Expr { kind: ExprKind::Name(ty.text), span: ty.span });
                Expr { kind: ExprKind::Call { callee, args: vec![crate::ast::Arg { name: None, value: e }] }, span }
            }
            (TokenKind::Ident, "is", _) => {
                self.bump();
                let not = self.eat(TokenKind::Not);
                let other = self.binary(0);
                let symbol = if not { "!=" } else { "==" };
                let help = format!("{} {symbol} {}", self.written(&e), self.written(&other));
                self.complain(codes::FOREIGN_EXPRESSION, at, format!("values are compared with `{symbol}`"), help);
                self.nothing_of(e, other)
            }
            (TokenKind::Ident, "in", _) if !self.bounds_may_follow => {
                self.bump();
                self.membership(e, at, false)
            }
            (TokenKind::Not, _, TokenKind::Ident)
                if self.significant.get(self.at + 1).is_some_and(|s| self.text_of(s.token) == "in") =>
            {
                self.bump();
                self.bump();
                self.membership(e, at, true)
            }
            (TokenKind::FatArrow, ..) if matches!(e.kind, ExprKind::Name(_)) => {
                self.bump();
                let body = self.expr();
                let help = format!("fn({}) = {}", self.written(&e), self.written(&body));
                self.complain(codes::PYTHON_LAMBDA, at, "a function without a name begins with `fn`", help);
                self.nothing_of(e, body)
            }
            _ => e,
        }
    }

    fn membership(&mut self, e: Expr, at: Span, not: bool) -> Expr {
        let list = self.binary(0);
        let inner = format!("any({} == {})", self.written(&list), self.written(&e));
        let help = if not { format!("not {inner}") } else { inner };
        self.complain(codes::FOREIGN_EXPRESSION, at, "whether a value is among others is computed", help);
        self.nothing_of(e, list)
    }

    fn nothing_of(&self, from: Expr, to: Expr) -> Expr {
        Expr { span: from.span.to(to.span), kind: ExprKind::Error }
    }

    /// At `f` or `r` right before a string.
    pub(super) fn prefixed_string(&mut self) -> Option<ExprKind> {
        let string = self.significant.get(self.at + 1)?;
        let touches = string.token.kind == TokenKind::String && string.token.start == self.current().token.end;
        if !touches || self.current_text().len() > 2 {
            return None;
        }
        let span = self.current_span();
        let help = "a name is a plain string: `log(\"loss\", loss)` records a value under it";
        self.complain(codes::FOREIGN_EXPRESSION, span, "strings have no values in them", help);
        self.bump();
        let text = crate::lexer::unescape(self.current_text());
        self.bump();
        Some(ExprKind::String(text))
    }

    /// At `{ "x": …`: a dictionary.
    pub(super) fn dictionary(&mut self) -> ExprKind {
        let key = self.significant.get(self.at + 1).map_or("x", |s| self.text_of(s.token));
        let help = format!("{{ {}: … }}", key.trim_matches(['"', '\'']));
        let span = self.significant.get(self.at + 1).map_or(self.current_span(), |s| self.token_span(s.token));
        self.complain(codes::FOREIGN_EXPRESSION, span, "the fields of a record are names, not strings", help);
        self.skip_group();
        ExprKind::Error
    }

    /// At `(`, in the head of a `for` as C has it.
    pub(super) fn counting_for(&mut self) -> bool {
        let counts = self.at(TokenKind::LParen)
            && !self.current().unclosed
            && self.significant[self.at..self.current().partner].iter().any(|s| s.token.kind == TokenKind::Semicolon);
        if counts {
            self.complain(
                codes::FOREIGN_STATEMENT,
                self.current_span(),
                "a loop goes over a range or an array",
                "for i in 0..n { … }",
            );
            self.skip_group();
        }
        counts
    }

    /// `Array<f32>`, `f32(3)`: sizes stand in brackets.
    pub(super) fn foreign_type_args(&mut self, ty: &Type) {
        if self.line_ended() || !matches!(ty.kind, TypeKind::Path(_)) {
            return;
        }
        let number = matches!(self.source(ty.span), "f32" | "f64" | "i32" | "u32" | "u8" | "bool" | "Key");
        if self.at(TokenKind::LParen) && number {
            let open = self.current();
            if open.unclosed {
                return;
            }
            let close = self.significant[open.partner].token;
            let inside = &self.text[open.token.end as usize..close.start as usize];
            let help = format!("{}[{}]", self.source(ty.span), inside.trim());
            self.complain(codes::EXPECTED_TYPE, self.current_span(), "the sizes of an array stand in brackets", help);
            self.skip_group();
        } else if self.at(TokenKind::Less) {
            let message = "what a type is of stands in brackets";
            self.complain(
                codes::EXPECTED_TYPE,
                self.current_span(),
                message,
                "f32[n] is an array, Step[State] a type of a type",
            );
            while !matches!(
                self.kind(),
                TokenKind::Greater | TokenKind::End | TokenKind::RParen | TokenKind::Equals | TokenKind::LBrace
            ) && !self.line_ended()
            {
                self.bump();
            }
            self.eat(TokenKind::Greater);
        }
    }
}
