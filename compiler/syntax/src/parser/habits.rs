//! Habits from Python and Rust: each is understood, told apart, and translated.

use whorl_source::Span;

use super::Parser;
use crate::ast::{Arg, Block, Expr, ExprKind, FnParam, IndexArg, Name, Pattern, PatternKind};
use crate::codes;
use crate::lexer::TokenKind;

/// Longer translations would only repeat the program.
const LONGEST_QUOTE: usize = 40;

impl Parser<'_> {
    /// An expression's own text, or `…` when it is long.
    pub(super) fn written(&self, e: &Expr) -> String {
        let text = self.source(e.span);
        match &e.kind {
            // Made from `x += 1`, whose text is the whole statement.
            ExprKind::Binary(_, operator, left, right) if self.source(*operator).ends_with('=') => {
                let operator = self.source(*operator);
                if matches!(operator, "==" | "!=" | "<=" | ">=") {
                    return quote(text);
                }
                let symbol = operator.trim_end_matches('=');
                format!("{} {symbol} {}", self.written(left), self.written(right))
            }
            _ => quote(text),
        }
    }

    pub(super) fn complain_def(&mut self) {
        self.complain(
            codes::PYTHON_DEF,
            self.current_span(),
            "a function begins with `fn`",
            "fn f(x) = … or fn f(x) { … }",
        );
    }

    pub(super) fn complain_mut(&mut self) {
        if self.at_word("mut") && self.nth(1) == TokenKind::Ident {
            let message = "nothing changes in place, so there is no `mut`";
            self.complain(
                codes::LET_MUT,
                self.current_span(),
                message,
                "a later `let` of the same name takes its place",
            );
            self.bump();
        }
    }

    /// `name=value`, where `name: value` belongs; `equals` is the sign's place.
    pub(super) fn complain_equals(&mut self, equals: Span, name: &Name, value: &Expr, message: &str) {
        let help = format!("{}: {}", name.text, self.written(value));
        self.complain(codes::EQUALS_ARGUMENT, equals, message, help);
    }

    /// At the beginning of a statement: skips `return`.
    pub(super) fn complain_return(&mut self) {
        if !self.at_word("return") {
            return;
        }
        let alone = !self.next_on_same_line() || matches!(self.nth(1), TokenKind::RBrace | TokenKind::Semicolon);
        let begins_value = matches!(
            self.nth(1),
            TokenKind::Ident
                | TokenKind::Int
                | TokenKind::Float
                | TokenKind::LBrace
                | TokenKind::String
                | TokenKind::True
                | TokenKind::False
                | TokenKind::Not
                | TokenKind::If
                | TokenKind::For
                | TokenKind::Scan
        );
        let parenthesised =
            self.nth(1) == TokenKind::LParen && self.significant[self.at + 1].token.start > self.current().token.end;
        if !alone && (begins_value || parenthesised) {
            let message = "there is no `return`: the last expression of a block is its value";
            self.complain(
                codes::RETURN,
                self.current_span(),
                message,
                "leave out `return`, and choose with `if … else …`",
            );
            self.bump();
        }
    }

    /// `a if c else b` after `a`: read as `if c { a } else { b }`.
    pub(super) fn conditional(&mut self, value: Expr) -> Expr {
        let at = self.current_span();
        self.bump();
        let condition = self.binary(0);
        let otherwise = self.eat(TokenKind::Else).then(|| self.expr());
        let (a, c) = (self.written(&value), self.written(&condition));
        let b = otherwise.as_ref().map_or("…".to_string(), |e| self.written(e));
        let message = "a choice begins with `if`";
        self.complain(codes::PYTHON_CONDITIONAL, at, message, format!("if {c} {{ {a} }} else {{ {b} }}"));
        let span = value.span.to(otherwise.as_ref().map_or(condition.span, |e| e.span));
        let otherwise = otherwise.map(|e| Box::new(Expr { span: e.span, kind: ExprKind::Block(only(e)) }));
        Expr { kind: ExprKind::If { condition: Box::new(condition), then: only(value), otherwise }, span }
    }

    /// `f(x) for x in xs` after `f(x)`, in an array or a call: read as `for x in xs { f(x) }`.
    pub(super) fn comprehension(&mut self, value: Expr) -> Expr {
        let at = self.current_span();
        self.bump();
        let pattern = self.pattern();
        if !self.eat_word("in") {
            self.error(codes::EXPECTED, format!("expected `in` after the pattern, found {}", self.found()), "");
        }
        let iter = self.binary(0);
        let filter = self.eat(TokenKind::If).then(|| self.binary(0));
        let (element, list) = (quote(self.source(pattern.span)), self.written(&iter));
        let mut help = format!("for {element} in {list} {{ {} }}", self.written(&value));
        if filter.is_some() {
            help += "\n`for` keeps every element: choose the value with `if` in the body";
        }
        self.complain(codes::COMPREHENSION, at, "`for` comes first and has a body in braces", help);
        let span = value.span.to(iter.span);
        Expr { kind: ExprKind::For { pattern, iter: Box::new(iter), body: only(value) }, span }
    }

    /// At `lambda`: reads `lambda x, y: e` as `fn(x, y) = e`.
    pub(super) fn python_lambda(&mut self) -> ExprKind {
        let at = self.current_span();
        self.bump();
        let mut params = Vec::new();
        while self.at(TokenKind::Ident) {
            let name = self.name("a parameter");
            let pattern = Pattern { kind: PatternKind::Name(name.text), span: name.span };
            params.push(FnParam { pattern, ty: None, default: None });
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::Colon, ":", "after the parameters");
        let body = self.expr();
        let names: Vec<&str> = params.iter().map(|p| self.source(p.pattern.span)).collect();
        let help = format!("fn({}) = {}", names.join(", "), self.written(&body));
        self.complain(codes::PYTHON_LAMBDA, at, "a function without a name begins with `fn`", help);
        ExprKind::Lambda { params, result: None, body: Box::new(body) }
    }

    /// At `None`, `True` or `False`.
    pub(super) fn python_constant(&mut self) -> ExprKind {
        let word = self.current_text();
        let (kind, help) = match word {
            "True" => (ExprKind::Bool(true), "true"),
            "False" => (ExprKind::Bool(false), "false"),
            _ => (
                ExprKind::Tuple(Vec::new()),
                "write `()` for no value; a value that may be absent is a value and a bool",
            ),
        };
        self.complain(codes::PYTHON_CONSTANT, self.current_span(), format!("there is no `{word}`"), help);
        self.bump();
        kind
    }

    /// At `**` after `base`: reads `x ** y` as `pow(x, y)`.
    pub(super) fn power(&mut self, base: Expr, exponent: impl FnOnce(&mut Self) -> Expr) -> ExprKind {
        let at = self.current_span();
        self.bump();
        let exponent = exponent(self);
        let (x, y) = (self.written(&base), self.written(&exponent));
        let x = without_parentheses(&x);
        let help = match y == "2" {
            true if matches!(base.kind, ExprKind::Name(_)) => format!("{x} * {x}, or square({x})"),
            true => format!("square({x})"),
            false => format!("pow({x}, {y})"),
        };
        self.complain(codes::STAR_STAR, at, "a power is the function `pow`", help);
        let callee = Box::new(Expr { kind: ExprKind::Name("pow".to_string()), span: at });
        let args = [base, exponent].into_iter().map(|value| Arg { name: None, value }).collect();
        ExprKind::Call { callee, args }
    }

    /// At `:` in an index, after `start`: reads `a:b` as `a..b`.
    pub(super) fn colon_slice(&mut self, start: Option<Expr>) -> IndexArg {
        let mut span = start.as_ref().map_or(self.current_span(), |e| e.span).to(self.current_span());
        let at = self.current_span();
        self.bump();
        let ends =
            |p: &Self| matches!(p.kind(), TokenKind::Comma | TokenKind::RBracket | TokenKind::Colon | TokenKind::End);
        let end = if ends(self) { None } else { Some(self.binary(0)) };
        span = end.as_ref().map_or(span, |e| span.to(e.span));
        let text = |e: &Option<Expr>| e.as_ref().map_or(String::new(), |e| self.written(e));
        let mut help = format!("{}..{}", text(&start), text(&end));
        match (&start, &end) {
            (None, None) => help = "`..` for the whole axis, as in `x[.., 0]`".to_string(),
            (_, Some(Expr { kind: ExprKind::Unary(crate::ast::UnaryOp::Neg, last), .. })) => {
                help = format!("{}..len(xs) - {}: places are counted from the front", text(&start), self.written(last));
            }
            _ => {}
        }
        if self.eat(TokenKind::Colon) {
            help = "a slice has no step: for i in 0..n { xs[2 * i] }".to_string();
            if !ends(self) {
                self.binary(0);
            }
        }
        self.complain(codes::COLON_SLICE, at, "a slice is written with `..`", help);
        IndexArg::Slice { start, end, span }
    }

    /// `from m import a, b`, read as `import m { a, b }`.
    pub(super) fn python_import(&mut self) -> crate::ast::ItemKind {
        let at = self.current_span();
        self.bump();
        let path = self.path("a module to import");
        let mut names: Vec<Name> = Vec::new();
        if self.expect(TokenKind::Import, "import", "after the module") {
            loop {
                names.push(self.name("a name to import"));
                if !self.eat(TokenKind::Comma) {
                    break;
                }
            }
        }
        let join = |names: &[Name], by: &str| names.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(by);
        let help = format!("import {} {{ {} }}", join(&path, "."), join(&names, ", "));
        self.complain(codes::FROM_IMPORT, at, "an import begins with `import`", help);
        crate::ast::ItemKind::Import(crate::ast::Import { path, alias: None, names: Some(names) })
    }
}

/// One line of text, or `…`.
fn quote(text: &str) -> String {
    if text.len() > LONGEST_QUOTE || text.contains('\n') { "…".to_string() } else { text.to_string() }
}

/// `(a + b)` without its parentheses, as an argument.
fn without_parentheses(text: &str) -> &str {
    let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
    match inner {
        Some(t) if !t.contains(['(', ')']) => t,
        Some(_) | None => text,
    }
}

/// A block of one expression.
fn only(e: Expr) -> Block {
    let span: Span = e.span;
    Block { statements: Vec::new(), result: Some(Box::new(e)), span }
}
