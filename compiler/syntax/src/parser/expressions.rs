//! Expressions, by precedence climbing.

use whorl_source::{Diagnostic, Span};

use super::{MAX_DEPTH, MAX_HEIGHT, Mark, Parser};
use crate::ast::{Arg, BinaryOp, Expr, ExprKind, IndexArg, Name, UnaryOp};
use crate::codes;
use crate::lexer::{self, TokenKind};
use crate::tree::NodeKind;

/// How tightly an operator binds.
const OR: u8 = 1;
const AND: u8 = 2;
const COMPARE: u8 = 3;
const WITH: u8 = 4;
const RANGE: u8 = 5;
const ADD: u8 = 6;
const MULTIPLY: u8 = 7;
const NEGATE: u8 = 8;
const POWER: u8 = 9;

/// What may follow an operand.
#[derive(Clone, Copy)]
enum Infix {
    Binary(BinaryOp),
    Compare(BinaryOp),
    Range,
    With,
    /// `**`, which is not in the language.
    Power,
}

/// An operator's meaning and how tightly it binds.
fn infix(kind: TokenKind) -> Option<(Infix, u8)> {
    Some(match kind {
        TokenKind::Or | TokenKind::PipePipe => (Infix::Binary(BinaryOp::Or), OR),
        TokenKind::And | TokenKind::AmpersandAmpersand => (Infix::Binary(BinaryOp::And), AND),
        TokenKind::EqualsEquals => (Infix::Compare(BinaryOp::Eq), COMPARE),
        TokenKind::BangEquals => (Infix::Compare(BinaryOp::Ne), COMPARE),
        TokenKind::Less => (Infix::Compare(BinaryOp::Lt), COMPARE),
        TokenKind::LessEquals => (Infix::Compare(BinaryOp::Le), COMPARE),
        TokenKind::Greater => (Infix::Compare(BinaryOp::Gt), COMPARE),
        TokenKind::GreaterEquals => (Infix::Compare(BinaryOp::Ge), COMPARE),
        TokenKind::With => (Infix::With, WITH),
        TokenKind::DotDot => (Infix::Range, RANGE),
        TokenKind::Plus => (Infix::Binary(BinaryOp::Add), ADD),
        TokenKind::Minus => (Infix::Binary(BinaryOp::Sub), ADD),
        TokenKind::Star => (Infix::Binary(BinaryOp::Mul), MULTIPLY),
        TokenKind::Slash => (Infix::Binary(BinaryOp::Div), MULTIPLY),
        TokenKind::Percent => (Infix::Binary(BinaryOp::Rem), MULTIPLY),
        TokenKind::At => (Infix::Binary(BinaryOp::MatMul), MULTIPLY),
        TokenKind::StarStar => (Infix::Power, POWER),
        _ => return None,
    })
}

/// An operator between two operands: a line that ends or begins with it is a part of a longer expression.
pub(crate) fn continues_expression(kind: TokenKind) -> bool {
    infix(kind).is_some()
}

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Expr {
        let e = self.binary(0);
        if self.at(TokenKind::If) && !self.current().newline_before && !matches!(e.kind, ExprKind::Error) {
            return self.conditional(e);
        }
        self.foreign_suffix(e)
    }

    pub(super) fn error_expr(&self) -> Expr {
        Expr { kind: ExprKind::Error, span: self.here() }
    }

    /// Runs `read` a level deeper, and accounts for the height of what it read.
    pub(super) fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Expr) -> Expr {
        if self.depth >= MAX_DEPTH {
            self.too_deep();
            return self.error_expr();
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.height, 0);
        let e = read(self);
        self.height = outer.max(self.height + 1);
        self.depth -= 1;
        e
    }

    /// Counts a node built on top of what was just read. False when it would be too high.
    fn grow(&mut self) -> bool {
        self.height += 1;
        let fits = self.height < MAX_HEIGHT;
        if !fits {
            self.too_deep();
        }
        fits
    }

    /// An operand and all operators after it that bind at least as tightly as `min`.
    pub(super) fn binary(&mut self, min: u8) -> Expr {
        self.deeper(|p| p.climb(min))
    }

    fn climb(&mut self, min: u8) -> Expr {
        let mark = self.mark();
        let mut left = self.prefix();
        while let Some((operator, level)) = infix(self.kind()) {
            // A line that begins with `-` is a statement of its own; any other operator goes on.
            let new_statement = self.at(TokenKind::Minus) && self.line_ended();
            if level < min || new_statement || !self.grow() {
                break;
            }
            // `i++`
            if self.at(TokenKind::Plus)
                && self.nth(1) == TokenKind::Plus
                && self
                    .significant
                    .get(self.at + 2)
                    .is_some_and(|s| s.newline_before || s.token.kind == TokenKind::RBrace)
            {
                break;
            }
            let at = self.current_span();
            let (kind, node) = match operator {
                Infix::Binary(op) => {
                    self.complain_symbolic_logic();
                    self.bump();
                    let right = self.binary(level + 1);
                    (ExprKind::Binary(op, at, Box::new(left), Box::new(right)), NodeKind::Binary)
                }
                Infix::Compare(op) => (self.comparison(left, op), NodeKind::Binary),
                // `a..` in an index has no end.
                Infix::Range if matches!(self.nth(1), TokenKind::Comma | TokenKind::RBracket) => break,
                Infix::Range => {
                    self.bump();
                    let right = self.binary(ADD);
                    (ExprKind::Range(Box::new(left), Box::new(right)), NodeKind::Range)
                }
                Infix::With => (self.with(left), NodeKind::With),
                Infix::Power => (self.power(left, |p| p.binary(NEGATE)), NodeKind::Binary),
            };
            left = Expr { kind, span: self.close(mark, node) };
        }
        left
    }

    fn complain_symbolic_logic(&mut self) {
        let word = match self.kind() {
            TokenKind::AmpersandAmpersand => "and",
            TokenKind::PipePipe => "or",
            _ => return,
        };
        let message = format!("{} is written `{word}`", self.found_token());
        self.complain(codes::SYMBOLIC_LOGIC, self.current_span(), message, word);
    }

    /// At the operator. `a < b < c` is complained about and read as `a < b and b < c`.
    fn comparison(&mut self, left: Expr, op: BinaryOp) -> ExprKind {
        let at = self.current_span();
        self.bump();
        let middle = self.binary(WITH);
        let Some((Infix::Compare(second), _)) = infix(self.kind()) else {
            return ExprKind::Binary(op, at, Box::new(left), Box::new(middle));
        };
        let second_at = self.current_span();
        self.bump();
        let right = self.binary(WITH);
        let (a, b, c) = (self.written(&left), self.written(&middle), self.written(&right));
        let (first_symbol, second_symbol) = (self.source(at), self.source(second_at));
        let help = format!("{a} {first_symbol} {b} and {b} {second_symbol} {c}");
        self.complain(codes::CHAINED_COMPARISON, second_at, "comparisons do not chain", help);
        let (first_span, second_span) = (left.span.to(middle.span), middle.span.to(right.span));
        let first = ExprKind::Binary(op, at, Box::new(left), Box::new(middle.clone()));
        let second = ExprKind::Binary(second, second_at, Box::new(middle), Box::new(right));
        let first = Expr { kind: first, span: first_span };
        let second = Expr { kind: second, span: second_span };
        ExprKind::Binary(BinaryOp::And, second_at, Box::new(first), Box::new(second))
    }

    /// At `with`: `{ fields }` or `[indices] = value`.
    fn with(&mut self, left: Expr) -> ExprKind {
        self.bump();
        match self.kind() {
            TokenKind::LBrace => ExprKind::WithFields(Box::new(left), self.fields()),
            TokenKind::LBracket => {
                let args = self.list(TokenKind::RBracket, "]", |p| p.index_arg());
                let value = match self.expect(TokenKind::Equals, "=", "and the new value") {
                    true => self.binary(RANGE),
                    false => self.error_expr(),
                };
                ExprKind::WithIndex(Box::new(left), args, Box::new(value))
            }
            _ => {
                let message =
                    format!("expected `{{ field: value }}` or `[index] = value` after `with`, found {}", self.found());
                self.error(codes::EXPECTED, message, "");
                ExprKind::Error
            }
        }
    }

    fn prefix(&mut self) -> Expr {
        let mark = self.mark();
        let (op, level) = match self.kind() {
            TokenKind::Not => (UnaryOp::Not, COMPARE),
            TokenKind::Minus => (UnaryOp::Neg, NEGATE),
            TokenKind::Bang => {
                self.complain(codes::BANG, self.current_span(), "`!` is written `not`", "not");
                (UnaryOp::Not, NEGATE)
            }
            _ => return self.postfix(mark),
        };
        self.bump();
        let operand = self.binary(level);
        Expr { kind: ExprKind::Unary(op, Box::new(operand)), span: self.close(mark, NodeKind::Unary) }
    }

    /// A primary, and the calls, indices, fields and braces after it.
    fn postfix(&mut self, mark: Mark) -> Expr {
        let (kind, node) = self.primary();
        if matches!(kind, ExprKind::Error) {
            return Expr { kind, span: self.here() };
        }
        let mut e = Expr { kind, span: self.close(mark, node) };
        loop {
            let same_line = !self.line_ended();
            let (kind, node) = match self.kind() {
                TokenKind::Dot => (self.field(e), NodeKind::Access),
                TokenKind::LParen if same_line => {
                    let args = self.list(TokenKind::RParen, ")", |p| p.arg());
                    (ExprKind::Call { callee: Box::new(e), args }, NodeKind::Call)
                }
                TokenKind::LBracket if same_line => {
                    let args = self.list(TokenKind::RBracket, "]", |p| p.index_arg());
                    (ExprKind::Index(Box::new(e), args), NodeKind::Index)
                }
                TokenKind::LBrace if same_line && !self.head && path_of(&e).is_some() => {
                    (self.record(path_of(&e)), NodeKind::Record)
                }
                _ => return e,
            };
            e = Expr { kind, span: self.close(mark, node) };
            if !self.grow() {
                return e;
            }
        }
    }

    /// At the dot.
    fn field(&mut self, e: Expr) -> ExprKind {
        self.bump();
        if self.at(TokenKind::Int) {
            let span = self.current_span();
            let index = lexer::int_value(self.current_text()).and_then(|i| u32::try_from(i).ok());
            if index.is_none() {
                self.error(codes::NUMBER_TOO_LARGE, "no tuple has that many parts", "");
            }
            self.bump();
            return ExprKind::TupleField(Box::new(e), index.unwrap_or(0), span);
        }
        let word = self.current_text();
        if !self.line_ended()
            && word.len() > 1
            && word.chars().all(|c| c.is_ascii_lowercase())
            && !self.at(TokenKind::Ident)
        {
            // A word of the language, as in `lax.scan`: there is no such field, which is told where that is known.
            let name = Name { text: word.to_string(), span: self.current_span() };
            self.bump();
            return ExprKind::Field(Box::new(e), name);
        }
        ExprKind::Field(Box::new(e), self.name("a field's name after the dot"))
    }

    /// `e` or `name: e`
    fn arg(&mut self) -> Arg {
        let mark = self.mark();
        let named = self.at(TokenKind::Ident)
            && matches!(self.nth(1), TokenKind::Colon | TokenKind::Equals)
            && !self.at_word("lambda");
        let name = named.then(|| self.name("an argument's name"));
        let separator = self.current_span();
        let equals = named && self.at(TokenKind::Equals);
        if named {
            self.bump();
        }
        let value = self.element();
        if let (true, Some(name)) = (equals, &name) {
            self.complain_equals(separator, name, &value, "a named argument is written with `:`");
        }
        self.close(mark, NodeKind::Argument);
        Arg { name, value }
    }

    /// An expression in a list, where Python would allow a comprehension.
    fn element(&mut self) -> Expr {
        let e = self.expr();
        if self.at(TokenKind::For) && !matches!(e.kind, ExprKind::Error) { self.comprehension(e) } else { e }
    }

    fn index_arg(&mut self) -> IndexArg {
        let mark = self.mark();
        let start = if matches!(self.kind(), TokenKind::DotDot | TokenKind::Colon) { None } else { Some(self.expr()) };
        if self.at(TokenKind::Colon) {
            return self.colon_slice(start);
        }
        if self.at(TokenKind::DotDot) && self.nth(1) == TokenKind::Dot {
            let at = self.current_span();
            self.bump();
            self.bump();
            let help = "`..` is one whole axis; axes behind the last index are taken whole";
            self.complain(codes::COLON_SLICE, at, "there is no `...`", help);
            return IndexArg::Slice { start, end: None, span: self.close(mark, NodeKind::Range) };
        }
        if self.eat(TokenKind::DotDot) {
            let ends = matches!(self.kind(), TokenKind::Comma | TokenKind::RBracket);
            let end = if ends { None } else { Some(self.binary(ADD)) };
            return IndexArg::Slice { start, end, span: self.close(mark, NodeKind::Range) };
        }
        match start {
            Some(Expr { kind: ExprKind::Range(start, end), span }) => {
                IndexArg::Slice { start: Some(*start), end: Some(*end), span }
            }
            Some(e) => IndexArg::At(e),
            None => IndexArg::At(self.error_expr()),
        }
    }

    /// At `{`, after the path of its type if it has one.
    pub(super) fn record(&mut self, ty: Option<Vec<Name>>) -> ExprKind {
        ExprKind::Record { ty, fields: self.fields() }
    }

    /// At `{`: `{ x, y: e }`
    fn fields(&mut self) -> Vec<(Name, Option<Expr>)> {
        self.list(TokenKind::RBrace, "}", |p| {
            let mark = p.mark();
            let name = p.name("the name of a field");
            let separator = p.current_span();
            let equals = p.eat(TokenKind::Equals);
            let value = (equals || p.eat(TokenKind::Colon)).then(|| p.expr());
            if let (true, Some(value)) = (equals, &value) {
                p.complain_equals(separator, &name, value, "a field is written with `:`");
            }
            p.close(mark, NodeKind::Field);
            (name, value)
        })
    }

    fn primary(&mut self) -> (ExprKind, NodeKind) {
        if self.current().newline_before && self.starts_item() {
            return (self.no_expression(), NodeKind::Error);
        }
        let text = self.current_text();
        let literal = match self.kind() {
            TokenKind::Int => ExprKind::Int(lexer::int_value(text).unwrap_or(0)),
            TokenKind::Float => ExprKind::Float(lexer::float_value(text)),
            TokenKind::String => ExprKind::String(lexer::unescape(text)),
            TokenKind::True => ExprKind::Bool(true),
            TokenKind::False => ExprKind::Bool(false),
            TokenKind::Ident => return self.name_expr(),
            TokenKind::LParen => return (self.parenthesis(), NodeKind::Tuple),
            TokenKind::LBracket => {
                let elements = self.list(TokenKind::RBracket, "]", |p| p.element());
                return (comprehended(elements), NodeKind::Array);
            }
            TokenKind::LBrace if self.nth(1) == TokenKind::String && self.nth(2) == TokenKind::Colon => {
                return (self.dictionary(), NodeKind::Error);
            }
            TokenKind::LBrace if self.looks_like_record() => return (self.record(None), NodeKind::Record),
            TokenKind::LBrace => return (ExprKind::Block(self.block()), NodeKind::Block),
            TokenKind::Fn => return (self.lambda(), NodeKind::Lambda),
            TokenKind::If => return (self.if_expr(), NodeKind::If),
            TokenKind::For => return (self.for_expr(), NodeKind::For),
            TokenKind::Scan => return (self.scan_expr(), NodeKind::Scan),
            TokenKind::While => return (self.while_expr(), NodeKind::While),
            TokenKind::Match => return (self.match_expr(), NodeKind::Match),
            TokenKind::Dot if self.nth(1) == TokenKind::Int => return (self.point_first(), NodeKind::Literal),
            _ => return (self.no_expression(), NodeKind::Error),
        };
        self.bump();
        (literal, NodeKind::Literal)
    }

    fn name_expr(&mut self) -> (ExprKind, NodeKind) {
        let text = self.current_text();
        match (text, self.nth(1)) {
            ("train", TokenKind::Scan) => (self.scan_expr(), NodeKind::Scan),
            ("lambda", TokenKind::Ident | TokenKind::Colon) => (self.python_lambda(), NodeKind::Lambda),
            ("None" | "True" | "False", _) => (self.python_constant(), NodeKind::Literal),
            (_, TokenKind::String) => match self.prefixed_string() {
                Some(kind) => (kind, NodeKind::Literal),
                None => {
                    self.bump();
                    (ExprKind::Name(text.to_string()), NodeKind::Name)
                }
            },
            _ => {
                self.bump();
                (ExprKind::Name(text.to_string()), NodeKind::Name)
            }
        }
    }

    /// `()`, `(e)`, `(a, b)`
    fn parenthesis(&mut self) -> ExprKind {
        let comma_after_one = self.one_element_tuple();
        let mut elements = self.list(TokenKind::RParen, ")", |p| p.element());
        match elements.pop() {
            Some(only) if elements.is_empty() && !comma_after_one => only.kind,
            last => {
                elements.extend(last);
                ExprKind::Tuple(elements)
            }
        }
    }

    /// `.5`
    fn point_first(&mut self) -> ExprKind {
        let start: Span = self.current_span();
        self.bump();
        let digits = self.current_text();
        let span = start.to(self.current_span());
        self.bump();
        self.complain(codes::MALFORMED_NUMBER, span, "a digit must stand before the point", format!("0.{digits}"));
        ExprKind::Float(lexer::float_value(&format!("0.{digits}")))
    }

    fn no_expression(&mut self) -> ExprKind {
        let underscore = self.at(TokenKind::Underscore) && !self.line_ended();
        let message = match underscore {
            true => "`_` has no value".to_string(),
            false => format!("expected an expression, found {}", self.found()),
        };
        self.report(Diagnostic::error(codes::EXPECTED_EXPRESSION, message).at(self.here(), ""));
        if underscore {
            self.bump();
        }
        ExprKind::Error
    }
}

/// `a.b.c` as the path of a type; `None` for any other expression.
fn path_of(e: &Expr) -> Option<Vec<Name>> {
    match &e.kind {
        ExprKind::Name(text) => Some(vec![Name { text: text.clone(), span: e.span }]),
        ExprKind::Field(base, name) => {
            let mut path = path_of(base)?;
            path.push(name.clone());
            Some(path)
        }
        _ => None,
    }
}

/// An array of one comprehension is the array that the `for` builds.
fn comprehended(mut elements: Vec<Expr>) -> ExprKind {
    match elements.pop() {
        Some(Expr { kind: ExprKind::For { pattern, iter, body }, .. })
            if elements.is_empty()
                && body.statements.is_empty()
                && body.result.as_ref().is_some_and(|r| r.span.end <= pattern.span.start) =>
        {
            ExprKind::For { pattern, iter, body }
        }
        last => {
            elements.extend(last);
            ExprKind::Array(elements)
        }
    }
}
