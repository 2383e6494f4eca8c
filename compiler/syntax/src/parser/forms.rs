//! Expressions with a body: `if`, `for`, `scan`, `while`, lambdas.

use super::Parser;
use crate::ast::{Checkpoint, Expr, ExprKind, Pattern, PatternKind, Policy, Scan};
use crate::codes;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// An expression that `{` ends.
    pub(super) fn head_expr(&mut self) -> Expr {
        if self.at(TokenKind::LBrace) && !self.looks_like_record() {
            self.error(codes::EXPECTED_EXPRESSION, "expected an expression before the body", "");
            return self.error_expr();
        }
        self.head_value()
    }

    /// Like [`Self::head_expr`], where a record or a block may itself stand (`scan s = { x: 0.0, n: 0 } for …`).
    fn head_value(&mut self) -> Expr {
        let head = std::mem::replace(&mut self.head, true);
        let e = self.expr();
        self.head = head;
        e
    }

    /// From `if` (or `elif`) on.
    pub(super) fn if_expr(&mut self) -> ExprKind {
        self.bump();
        let condition = Box::new(self.head_expr());
        let then = self.block();
        let otherwise = self.else_branch().map(Box::new);
        ExprKind::If { condition, then, otherwise }
    }

    fn else_branch(&mut self) -> Option<Expr> {
        if self.at_word("elif") {
            self.complain(codes::ELIF, self.current_span(), "`elif` is two words", "else if");
            return Some(self.nested_if());
        }
        if !self.eat(TokenKind::Else) {
            return None;
        }
        Some(if self.at(TokenKind::If) { self.nested_if() } else { self.block_expr() })
    }

    /// At `if` or `elif` after an `if`: a level deeper.
    fn nested_if(&mut self) -> Expr {
        let mark = self.mark();
        self.deeper(|p| {
            let kind = p.if_expr();
            Expr { kind, span: p.close(mark, crate::tree::NodeKind::If) }
        })
    }

    pub(super) fn for_expr(&mut self) -> ExprKind {
        self.bump();
        if self.counting_for() {
            self.block();
            return ExprKind::Error;
        }
        let (pattern, iter) = self.element_in_iter();
        if self.at_word("until") {
            let help = "scan s = s0 for x in xs until c { … }";
            self.complain(
                codes::EXPECTED,
                self.current_span(),
                "`until` belongs to `scan`: every lane of a `for` runs",
                help,
            );
            self.bump();
            self.head_expr();
        }
        self.loops += 1;
        let body = self.block();
        self.loops -= 1;
        ExprKind::For { pattern, iter: Box::new(iter), body }
    }

    /// `pattern in iter`
    fn element_in_iter(&mut self) -> (Pattern, Expr) {
        let pattern = self.pattern();
        if !self.eat_word("in") {
            let message = format!("expected `in` after the pattern, found {}", self.found());
            let diagnostic = whorl_source::Diagnostic::error(codes::EXPECTED, message).at(self.here(), "");
            self.report(diagnostic.help("for x in xs { … }"));
        }
        (pattern, self.head_expr())
    }

    /// From `scan` or `train scan` on.
    pub(super) fn scan_expr(&mut self) -> ExprKind {
        let train = self.eat_word("train");
        self.bump();
        // `scan reverse = …` and `scan reverse for …` carry a variable of that name.
        let is_name = matches!(self.nth(1), TokenKind::Equals | TokenKind::For);
        let reverse = self.at_word("reverse") && !is_name && self.eat_word("reverse");
        let pattern = self.pattern();
        let init = self.eat(TokenKind::Equals).then(|| self.head_value());
        let (element, iter) = if self.expect(TokenKind::For, "for", "after the state of the `scan`") {
            self.element_in_iter()
        } else {
            let span = self.here();
            (Pattern { kind: PatternKind::Error, span }, Expr { kind: ExprKind::Error, span })
        };
        let until = self.eat_word("until").then(|| self.head_expr());
        let checkpoint = self.checkpoint();
        let body = self.block();
        ExprKind::Scan(Box::new(Scan { train, reverse, pattern, init, element, iter, until, checkpoint, body }))
    }

    pub(super) fn while_expr(&mut self) -> ExprKind {
        let at = self.current_span();
        self.bump();
        if !self.pattern_then_equals() {
            return self.while_without_state(at);
        }
        let pattern = self.pattern();
        self.expect(TokenKind::Equals, "=", "after the state of the `while`");
        let init = Box::new(self.head_value());
        if self.at(TokenKind::LBrace) {
            let message = "a `while` has a condition behind its first state";
            self.complain(codes::EXPECTED, self.here(), message, "while s = s0; condition { … }");
            let condition = Box::new(self.error_expr());
            let body = self.block();
            return ExprKind::While { pattern, init, condition, max: None, checkpoint: None, body };
        }
        self.expect(TokenKind::Semicolon, ";", "after the first state");
        let condition = Box::new(self.head_expr());
        let max = self.eat_word("max").then(|| Box::new(self.head_expr()));
        let checkpoint = self.checkpoint().map(Box::new);
        let body = self.block();
        ExprKind::While { pattern, init, condition, max, checkpoint, body }
    }

    /// `checkpoint every k`, `checkpoint sqrt` or `checkpoint carries`, if it stands here: what a derivative keeps of a loop.
    fn checkpoint(&mut self) -> Option<Checkpoint> {
        if !self.at_word("checkpoint") {
            return None;
        }
        let mark = self.mark();
        self.bump();
        let policy = if self.eat_word("every") {
            Policy::Every(self.head_expr())
        } else if self.eat_word("sqrt") {
            Policy::Sqrt
        } else if self.eat_word("carries") {
            Policy::Carries
        } else {
            let message = format!("expected `every k`, `sqrt` or `carries` after `checkpoint`, found {}", self.found());
            let number = self.at(TokenKind::Int);
            match number {
                true => {
                    let help = format!("checkpoint every {}", self.current_text());
                    self.complain(codes::EXPECTED, self.current_span(), message, help);
                }
                false => self.error(codes::EXPECTED, message, ""),
            }
            if number { Policy::Every(self.head_expr()) } else { Policy::Error }
        };
        Some(Checkpoint { policy, span: self.span_from(mark) })
    }

    fn while_without_state(&mut self, at: whorl_source::Span) -> ExprKind {
        let message = "`while` carries a state: its body gives the next one";
        self.complain(codes::WHILE_WITHOUT_STATE, at, message, "while s = s0; condition { … }");
        let init = Box::new(Expr { kind: ExprKind::Tuple(Vec::new()), span: at });
        let condition = Box::new(self.head_expr());
        self.loops += 1;
        let body = self.block();
        self.loops -= 1;
        let pattern = Pattern { kind: PatternKind::Ignore, span: at };
        ExprKind::While { pattern, init, condition, max: None, checkpoint: None, body }
    }

    /// A pattern stands here and `=` follows it.
    fn pattern_then_equals(&self) -> bool {
        let current = self.current();
        let last = match current.token.kind {
            TokenKind::Ident | TokenKind::Underscore => self.at,
            TokenKind::LParen | TokenKind::LBracket | TokenKind::LBrace if !current.unclosed => current.partner,
            _ => return false,
        };
        self.significant.get(last + 1).is_some_and(|s| s.token.kind == TokenKind::Equals)
    }

    pub(super) fn lambda(&mut self) -> ExprKind {
        self.bump();
        let (params, result, body) = self.fn_tail();
        ExprKind::Lambda { params, result, body: Box::new(body) }
    }
}
