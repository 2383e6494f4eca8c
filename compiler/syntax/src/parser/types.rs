//! Types and patterns.

use super::{MAX_DEPTH, Parser};
use crate::ast::{Name, Pattern, PatternKind, Type, TypeArg, TypeKind};
use crate::codes;
use crate::lexer::TokenKind;
use crate::tree::NodeKind;

impl Parser<'_> {
    pub(super) fn ty(&mut self) -> Type {
        if self.depth >= MAX_DEPTH {
            self.too_deep();
            return Type { kind: TypeKind::Error, span: self.here() };
        }
        self.depth += 1;
        let ty = self.applied_type();
        self.depth -= 1;
        ty
    }

    /// A type and the brackets after it.
    fn applied_type(&mut self) -> Type {
        let mark = self.mark();
        let kind = self.plain_type();
        let mut ty = Type { kind, span: self.close(mark, NodeKind::Type) };
        self.foreign_type_args(&ty);
        let mut applications = 0;
        while self.at(TokenKind::LBracket) && !self.line_ended() {
            applications += 1;
            if applications > MAX_DEPTH {
                self.too_deep();
                break;
            }
            let args = self.list(TokenKind::RBracket, "]", |p| p.type_arg());
            let span = self.close(mark, NodeKind::Type);
            ty = Type { kind: TypeKind::Apply(Box::new(ty), args), span };
        }
        ty
    }

    fn plain_type(&mut self) -> TypeKind {
        match self.kind() {
            TokenKind::Ident if !(self.current().newline_before && self.starts_item()) => {
                TypeKind::Path(self.path("a type"))
            }
            TokenKind::LParen => {
                let comma_after_one = self.one_element_tuple();
                let mut types = self.list(TokenKind::RParen, ")", |p| p.ty());
                match types.pop() {
                    Some(only) if types.is_empty() && !comma_after_one => only.kind,
                    last => {
                        types.extend(last);
                        TypeKind::Tuple(types)
                    }
                }
            }
            TokenKind::LBrace => TypeKind::Record(self.list(TokenKind::RBrace, "}", |p| p.field_type())),
            TokenKind::Fn => {
                self.bump();
                let params = if self.at(TokenKind::LParen) {
                    self.list(TokenKind::RParen, ")", |p| p.ty())
                } else {
                    self.expect(TokenKind::LParen, "(", "after `fn` in a type");
                    Vec::new()
                };
                self.expect(TokenKind::Arrow, "->", "and the type of the result");
                TypeKind::Fn(params, Box::new(self.ty()))
            }
            _ => {
                self.error(codes::EXPECTED_TYPE, format!("expected a type, found {}", self.found()), "");
                TypeKind::Error
            }
        }
    }

    fn field_type(&mut self) -> (Name, Type) {
        let mark = self.mark();
        let name = self.name("the name of a field");
        let ty = if self.expect(TokenKind::Colon, ":", "after the field's name") {
            self.ty()
        } else {
            Type { kind: TypeKind::Error, span: self.here() }
        };
        self.close(mark, NodeKind::Field);
        (name, ty)
    }

    /// A size or a type, told apart by looking ahead: only a type begins with `{` or `fn`, has brackets after a path, has a
    /// dot in it, or is a tuple.
    fn type_arg(&mut self) -> TypeArg {
        let is_type = match self.kind() {
            TokenKind::LBrace | TokenKind::Fn => true,
            TokenKind::LParen => self.is_tuple_type(),
            TokenKind::Ident => {
                let mut n = 1;
                while self.nth(n) == TokenKind::Dot && self.nth(n + 1) == TokenKind::Ident {
                    n += 2;
                }
                n > 1 || self.nth(n) == TokenKind::LBracket
            }
            _ => false,
        };
        if is_type { TypeArg::Type(self.ty()) } else { TypeArg::Size(self.expr()) }
    }

    /// At `(`: `()`, or a comma before it is closed.
    fn is_tuple_type(&self) -> bool {
        let last = self.current().partner;
        let mut at = self.at + 1;
        if self.current().unclosed || at == last {
            return true;
        }
        while at < last {
            let token = self.significant[at];
            match token.token.kind {
                TokenKind::Comma | TokenKind::Arrow => return true,
                TokenKind::LParen | TokenKind::LBracket | TokenKind::LBrace if !token.unclosed => at = token.partner,
                _ => {}
            }
            at += 1;
        }
        false
    }

    /// At `(`: the last thing before `)` is a comma, so `(x,)` is a tuple of one.
    pub(super) fn one_element_tuple(&self) -> bool {
        let current = self.current();
        !current.unclosed && self.significant[current.partner - 1].token.kind == TokenKind::Comma
    }

    pub(super) fn pattern(&mut self) -> Pattern {
        let mark = self.mark();
        if self.depth >= MAX_DEPTH {
            self.too_deep();
            return Pattern { kind: PatternKind::Error, span: self.here() };
        }
        self.depth += 1;
        let kind = self.pattern_kind();
        self.depth -= 1;
        Pattern { kind, span: self.close(mark, NodeKind::Pattern) }
    }

    fn pattern_kind(&mut self) -> PatternKind {
        match self.kind() {
            TokenKind::Ident => PatternKind::Name(self.name("a name").text),
            TokenKind::Underscore => {
                self.bump();
                PatternKind::Ignore
            }
            TokenKind::LParen => {
                let comma_after_one = self.one_element_tuple();
                let mut parts = self.list(TokenKind::RParen, ")", |p| p.pattern());
                match parts.pop() {
                    Some(only) if parts.is_empty() && !comma_after_one => only.kind,
                    last => {
                        parts.extend(last);
                        PatternKind::Tuple(parts)
                    }
                }
            }
            TokenKind::LBracket => PatternKind::Array(self.list(TokenKind::RBracket, "]", |p| p.pattern())),
            TokenKind::LBrace => PatternKind::Record(self.list(TokenKind::RBrace, "}", |p| {
                let name = p.name("the name of a field");
                let inner = p.eat(TokenKind::Colon).then(|| p.pattern());
                (name, inner)
            })),
            _ if self.current_text().starts_with(|c: char| c.is_ascii_lowercase()) && !self.line_ended() => {
                PatternKind::Name(self.name("a name").text)
            }
            _ => {
                let message = format!("expected a name or a pattern, found {}", self.found());
                let e = whorl_source::Diagnostic::error(codes::EXPECTED_PATTERN, message).at(self.here(), "");
                self.report(match self.kind() {
                    TokenKind::Star | TokenKind::StarStar => {
                        e.help("a function names each of its parameters; an array holds many values")
                    }
                    _ => e,
                });
                PatternKind::Error
            }
        }
    }
}
