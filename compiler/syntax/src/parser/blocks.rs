//! Blocks and the statements in them.

use super::{Mark, Parser};
use whorl_source::{Diagnostic, Span};

use crate::ast::{Block, Expr, ExprKind, Pattern, PatternKind, Statement, StatementKind};
use crate::codes;
use crate::lexer::{TokenKind, unescape};
use crate::tree::NodeKind;

impl Parser<'_> {
    /// A body: `{ … }`, with a translation of what else it might have been meant to be.
    pub(super) fn block(&mut self) -> Block {
        let mark = self.mark();
        if self.at(TokenKind::Colon) {
            return self.indented_block(mark);
        }
        if !self.at(TokenKind::LBrace) {
            self.error(codes::EXPECTED, format!("expected `{{` to open the body, found {}", self.found()), "");
            return Block { statements: Vec::new(), result: None, span: self.here() };
        }
        if self.looks_like_record() {
            return self.record_as_body(mark);
        }
        let open = self.current();
        let newlines = std::mem::replace(&mut self.newlines, true);
        let head = std::mem::replace(&mut self.head, false);
        self.bump();
        let mut statements = Vec::new();
        loop {
            while self.eat(TokenKind::Semicolon) {}
            if matches!(self.kind(), TokenKind::RBrace | TokenKind::End) {
                break;
            }
            if open.unclosed && self.current().newline_before && self.starts_item() {
                break;
            }
            let before = self.at;
            statements.extend(self.statement());
            self.end_statement();
            if self.at == before {
                self.skip_line();
            }
        }
        if !self.eat(TokenKind::RBrace) {
            self.unclosed(open.token, "}");
        }
        (self.newlines, self.head) = (newlines, head);
        let span = self.close(mark, NodeKind::Block);
        block_of(statements, span)
    }

    pub(super) fn block_expr(&mut self) -> Expr {
        let block = self.block();
        Expr { span: block.span, kind: ExprKind::Block(block) }
    }

    /// At `:` where a body belongs: the statements that are indented further than the line of the `:`, as in Python.
    fn indented_block(&mut self, mark: Mark) -> Block {
        let colon = self.current_span();
        let message = "a body stands in braces";
        self.complain(codes::COLON_BODY, colon, message, "write `{` for the `:`, and `}` after the body");
        let indentation = self.column_of_line(colon.start);
        let newlines = std::mem::replace(&mut self.newlines, true);
        let head = std::mem::replace(&mut self.head, false);
        self.bump();
        let mut statements = Vec::new();
        while !self.at_closing() {
            let current = self.current();
            let column = (current.token.start as usize) - self.line_start(current.token.start);
            if current.newline_before && column <= indentation {
                break;
            }
            let before = self.at;
            statements.extend(self.statement());
            self.end_statement();
            while self.eat(TokenKind::Semicolon) {}
            if self.at == before {
                self.skip_line();
            }
        }
        (self.newlines, self.head) = (newlines, head);
        let span = self.close(mark, NodeKind::Block);
        block_of(statements, span)
    }

    pub(super) fn line_start(&self, offset: u32) -> usize {
        self.text[..offset as usize].rfind('\n').map_or(0, |i| i + 1)
    }

    /// How many bytes of space the line of `offset` begins with.
    pub(super) fn column_of_line(&self, offset: u32) -> usize {
        let line = &self.text[self.line_start(offset)..];
        line.len() - line.trim_start_matches([' ', '\t']).len()
    }

    /// At `{` with `name:` or `name,` after it.
    pub(super) fn looks_like_record(&self) -> bool {
        let named = self.at(TokenKind::LBrace)
            && self.nth(1) == TokenKind::Ident
            && matches!(self.nth(2), TokenKind::Colon | TokenKind::Comma);
        named && !self.looks_like_binding()
    }

    /// At `{` with `a, b =`, `x: f32 =`, `x :=` or `try:` and a line's end after it: statements of other languages.
    fn looks_like_binding(&self) -> bool {
        let on_line = |k: usize| self.significant.get(self.at + k).is_some_and(|s| !s.newline_before);
        let mut k = 2;
        match self.nth(2) {
            TokenKind::Colon if self.nth(3) == TokenKind::Equals => true,
            TokenKind::Colon => {
                let word = self.significant.get(self.at + 1).map_or("", |s| self.text_of(s.token));
                if matches!(word, "try" | "except" | "finally") && !on_line(3) {
                    return true;
                }
                while on_line(k + 1)
                    && matches!(
                        self.nth(k + 1),
                        TokenKind::Ident | TokenKind::Dot | TokenKind::LBracket | TokenKind::RBracket | TokenKind::Int
                    )
                {
                    k += 1;
                }
                k > 2 && self.nth(k + 1) == TokenKind::Equals && on_line(k + 1)
            }
            _ => {
                while self.nth(k) == TokenKind::Comma && self.nth(k + 1) == TokenKind::Ident && on_line(k + 1) {
                    k += 2;
                }
                // `{ a, b = 1 }` on one line may be a record with a slip in it.
                self.nth(k) == TokenKind::Equals
                    && on_line(k)
                    && self.significant.get(self.at + 1).is_some_and(|s| s.newline_before)
            }
        }
    }

    /// At `{ x: …`, where a body belongs: a record meant as the body's value, or one that belongs to the head.
    fn record_as_body(&mut self, mark: Mark) -> Block {
        let open = self.current();
        let partner = self.significant.get(open.partner + 1).filter(|_| !open.unclosed);
        let in_head = partner.is_some_and(|s| s.token.kind == TokenKind::LBrace && !s.newline_before);
        let message = "`{` opens a body here, not a record";
        let help = match in_head {
            true => "put parentheses around a record in the head: `(State { … })`",
            false => "a record as the value of a body has braces of its own: `{ { x: 1.0 } }`",
        };
        self.complain(codes::RECORD_IN_HEAD, self.current_span(), message, help);
        let record = self.record(None);
        let span = self.close(mark, NodeKind::Record);
        if in_head {
            return self.block();
        }
        let result = Some(Box::new(Expr { kind: record, span }));
        Block { statements: Vec::new(), result, span }
    }

    /// The end of a statement or an item: a line end, `;`, or the end of what it stands in.
    pub(super) fn end_statement(&mut self) {
        if matches!(self.kind(), TokenKind::Semicolon | TokenKind::RBrace | TokenKind::End) || self.line_ended() {
            return;
        }
        if matches!(self.kind(), TokenKind::RParen | TokenKind::RBracket) {
            self.error(codes::STRAY_BRACKET, format!("{} closes nothing", self.found_token()), "");
        } else {
            let message = format!("expected the end of the line, found {}", self.found_token());
            let diagnostic = Diagnostic::error(codes::EXPECTED_LINE_END, message);
            let before = &self.significant[self.at.saturating_sub(1)];
            let number = matches!(before.token.kind, TokenKind::Int | TokenKind::Float)
                && matches!(self.kind(), TokenKind::Ident | TokenKind::LParen);
            let help = match number {
                true => format!("{} * {}", self.text_of(before.token), self.current_text()),
                false => "one statement a line, or `;` between them".to_string(),
            };
            self.report(diagnostic.at(self.here(), "").help(help));
        }
        self.skip_line();
    }

    /// `None` for what is no statement; the complaint is made.
    pub(super) fn statement(&mut self) -> Option<Statement> {
        let mark = self.mark();
        if let Some(foreign) = self.foreign_statement() {
            let span = self.close(mark, NodeKind::Error);
            return foreign.map(|kind| Statement { kind, span });
        }
        let (kind, node) = match self.kind() {
            TokenKind::Let => {
                let (pattern, ty, value) = self.let_parts();
                (StatementKind::Let { pattern, ty, value }, NodeKind::Let)
            }
            TokenKind::Yield => {
                self.bump();
                (StatementKind::Yield(self.expr()), NodeKind::Yield)
            }
            TokenKind::Assert => (self.assert(), NodeKind::Assert),
            TokenKind::Fn if self.nth(1) == TokenKind::Ident => (self.local_fn(), NodeKind::Fn),
            TokenKind::Ident if self.current_text() == "def" && self.nth(1) == TokenKind::Ident => {
                self.complain_def();
                (self.local_fn(), NodeKind::Fn)
            }
            TokenKind::RParen | TokenKind::RBracket => {
                self.error(codes::STRAY_BRACKET, format!("{} closes nothing", self.found_token()), "");
                self.bump();
                self.close(mark, NodeKind::Error);
                return None;
            }
            _ if self.starts_item() => {
                let span = self.current_span();
                let message = format!("{} stands at the top of a file, not in a block", self.found_token());
                self.complain(codes::ITEM_IN_BLOCK, span, message, "move it out of the braces");
                self.skip_line();
                return None;
            }
            _ => (self.expr_statement(mark), NodeKind::ExprStatement),
        };
        Some(Statement { kind, span: self.close(mark, node) })
    }

    /// `assert condition, "message"`
    fn assert(&mut self) -> StatementKind {
        self.bump();
        let condition = self.expr();
        let mut message = None;
        if self.eat(TokenKind::Comma) {
            if self.at(TokenKind::String) {
                message = Some(unescape(self.current_text()));
                self.bump();
            } else {
                self.error(codes::EXPECTED, format!("expected the assertion's message, found {}", self.found()), "");
            }
        }
        StatementKind::Assert { condition, message }
    }

    /// `fn f(x) = …` in a block, read as the `let` that it should be.
    fn local_fn(&mut self) -> StatementKind {
        let known = self.diagnostics.len();
        let mark = self.mark();
        let def = self.fn_def();
        let span = self.span_from(mark);
        if self.diagnostics.len() == known {
            let message = "a function in a block is a value with a name";
            let rest = &self.text[def.name.span.end as usize..span.end as usize];
            let rest = if rest.len() > 50 || rest.contains('\n') { "(…) …" } else { rest.trim_end() };
            let help = format!("let {} = fn{rest}", def.name.text);
            self.complain(codes::ITEM_IN_BLOCK, def.name.span, message, help);
        }
        let (params, result, body) = (def.params, def.result, Box::new(def.body));
        let pattern = Pattern { kind: PatternKind::Name(def.name.text), span: def.name.span };
        let value = Expr { kind: ExprKind::Lambda { params, result, body }, span };
        StatementKind::Let { pattern, ty: None, value }
    }

    fn expr_statement(&mut self, mark: Mark) -> StatementKind {
        self.complain_return();
        self.complain_minus_line();
        let target = self.expr();
        if self.line_ended() {
            return StatementKind::Expr(target);
        }
        match self.kind() {
            TokenKind::Equals => {
                let equals = self.current_span();
                self.bump();
                let value = self.expr();
                self.assignment(equals, target, value, codes::ASSIGNMENT)
            }
            TokenKind::AssignOperator => self.assign_operator(mark, target),
            TokenKind::Comma | TokenKind::Colon => match self.bare_binding(&target) {
                Some(binding) => binding,
                None => StatementKind::Expr(target),
            },
            TokenKind::Plus if self.nth(1) == TokenKind::Plus => {
                let at = self.current_span();
                self.bump();
                self.bump();
                let written = self.written(&target);
                let help = format!("let {written} = {written} + 1");
                self.complain(codes::ASSIGN_OPERATOR, at, "nothing changes in place: a new value gets a `let`", help);
                StatementKind::Expr(target)
            }
            _ => StatementKind::Expr(target),
        }
    }

    /// At a line that begins with `- x`: it was meant to go on with the line before, whose value would be lost.
    fn complain_minus_line(&mut self) {
        let (minus, next) = (self.current(), self.significant.get(self.at + 1));
        let spaced = next.is_some_and(|n| n.token.start > minus.token.end);
        let first = self.at == 0
            || matches!(self.significant[self.at - 1].token.kind, TokenKind::LBrace | TokenKind::Semicolon);
        if self.at(TokenKind::Minus) && spaced && self.line_ended() && !first {
            let message = "a line that begins with `-` does not go on with the line before";
            let help = "end the line before with the `-`, or put parentheses around the whole expression";
            self.complain(codes::MINUS_LINE, self.current_span(), message, help);
        }
    }

    /// `x += 1`, read as `let x = x + 1`.
    fn assign_operator(&mut self, mark: Mark, target: Expr) -> StatementKind {
        let operator = self.current_span();
        let binary = assign_operator(self.source(operator));
        self.bump();
        let value = self.expr();
        let span = self.span_from(mark);
        let updated = ExprKind::Binary(binary, operator, Box::new(target.clone()), Box::new(value));
        self.assignment(operator, target, Expr { kind: updated, span }, codes::ASSIGN_OPERATOR)
    }

    /// `target = value` without `let`: complains, and gives back the `let` that says the same.
    fn assignment(&mut self, equals: Span, target: Expr, value: Expr, code: codes::Code) -> StatementKind {
        let span = target.span;
        let written = self.written(&value);
        let state = match &target.kind {
            ExprKind::Name(name) if self.loops > 0 => Some(name.clone()),
            _ => None,
        };
        let function = match &target.kind {
            ExprKind::Call { callee, .. } => match &callee.kind {
                ExprKind::Name(name) => {
                    let params = &self.text[callee.span.end as usize..span.end as usize];
                    Some(format!("let {name} = fn{params} = {written}"))
                }
                _ => None,
            },
            _ => None,
        };
        let (pattern, value, mut help) = self.rebound(target, value, written);
        if let Some(name) = state {
            help += &format!(
                "\nfrom one round of a loop to the next, `scan {name} = start for x in xs {{ … }}` carries it"
            );
        }
        let help = function.unwrap_or(help);
        self.complain(code, equals, "nothing changes in place: a new value gets a `let`", help);
        StatementKind::Let { pattern: Pattern { kind: pattern, span }, ty: None, value }
    }

    /// What to bind, to what, and how to write it, so that `target` is `value` afterwards: `s.xs[i] = v` binds `s` to
    /// `s with { xs: s.xs with [i] = v }`.
    fn rebound(&self, target: Expr, value: Expr, written: String) -> (PatternKind, Expr, String) {
        let span = target.span;
        match target.kind {
            ExprKind::Name(name) => {
                let help = format!("let {name} = {written}");
                (PatternKind::Name(name), value, help)
            }
            ExprKind::Index(array, args) => {
                let indices = &self.text[array.span.end as usize..span.end as usize];
                let written = format!("{} with {indices} = {written}", self.written(&array));
                let kind = ExprKind::WithIndex(array.clone(), args, Box::new(value));
                self.rebound(*array, Expr { kind, span }, written)
            }
            ExprKind::Field(record, field) => {
                let written = format!("{} with {{ {}: {written} }}", self.written(&record), field.text);
                let kind = ExprKind::WithFields(record.clone(), vec![(field, Some(value))]);
                self.rebound(*record, Expr { kind, span }, written)
            }
            _ => (PatternKind::Error, value, "let … = …".to_string()),
        }
    }
}

fn assign_operator(text: &str) -> crate::ast::BinaryOp {
    use crate::ast::BinaryOp;
    match text {
        "-=" => BinaryOp::Sub,
        "*=" => BinaryOp::Mul,
        "/=" => BinaryOp::Div,
        "%=" => BinaryOp::Rem,
        "@=" => BinaryOp::MatMul,
        _ => BinaryOp::Add,
    }
}

/// The last statement is the block's result, if it is an expression.
pub(super) fn block_of(mut statements: Vec<Statement>, span: Span) -> Block {
    let result = match statements.pop() {
        Some(Statement { kind: StatementKind::Expr(e), .. }) => Some(Box::new(e)),
        last => {
            statements.extend(last);
            None
        }
    };
    Block { statements, result, span }
}
