//! `enum` and `match`.

use super::{MAX_DEPTH, Parser};
use crate::ast::{Arm, Case, CaseKind, EnumDef, ExprKind, Name, Type, TypeKind, Variant, VariantField};
use crate::codes;
use crate::lexer::{TokenKind, int_value, unescape};
use crate::tree::NodeKind;

impl Parser<'_> {
    /// At `enum`.
    pub(super) fn enum_def(&mut self) -> EnumDef {
        self.bump();
        let name = self.name("a name for the enum");
        let params = match self.kind() {
            TokenKind::LBracket => self.list(TokenKind::RBracket, "]", |p| p.name("a type parameter")),
            _ => Vec::new(),
        };
        let mut variants = Vec::new();
        if self.at(TokenKind::LBrace) {
            variants = self.list(TokenKind::RBrace, "}", |p| p.variant());
            if variants.is_empty() {
                self.complain(
                    codes::BAD_VARIANT,
                    name.span,
                    "an enum without variants",
                    "enum Cell { Empty, Wall, Goal }",
                );
            }
        } else {
            self.error(codes::EXPECTED, format!("expected `{{` and the variants, found {}", self.found()), "");
        }
        EnumDef { name, params, variants }
    }

    fn variant(&mut self) -> Variant {
        let mark = self.mark();
        let name = self.name("the name of a variant");
        if name.text.starts_with(|c: char| !c.is_uppercase()) {
            let mut letters = name.text.chars();
            let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
            let message = "a variant begins with a capital letter, which tells it from a name that an arm binds";
            self.complain(codes::BAD_VARIANT, name.span, message, capital);
        }
        let path = |field: &str| format!("{}.{field}", name.text);
        let (mut named, mut fields) = (false, Vec::new());
        if self.at(TokenKind::LBrace) {
            named = true;
            fields = self.list(TokenKind::RBrace, "}", |p| {
                let mark = p.mark();
                let field = p.name("the name of a field");
                let ty = if p.expect(TokenKind::Colon, ":", "after the field's name") {
                    p.ty()
                } else {
                    Type { kind: TypeKind::Error, span: p.here() }
                };
                p.close(mark, NodeKind::Field);
                VariantField { path: path(&field.text), name: field, ty }
            });
        } else if self.at(TokenKind::LParen) {
            let mark = self.mark();
            let types = self.list(TokenKind::RParen, ")", |p| p.ty());
            self.close(mark, NodeKind::Parameters);
            fields.extend(types.into_iter().enumerate().map(|(k, ty)| {
                let text = k.to_string();
                VariantField { path: path(&text), name: Name { text, span: ty.span }, ty }
            }));
        }
        self.close(mark, NodeKind::Field);
        Variant { name, named, fields }
    }

    /// At `match`.
    pub(super) fn match_expr(&mut self) -> ExprKind {
        self.bump();
        let of = Box::new(self.head_expr());
        let mut arms = Vec::new();
        if self.at(TokenKind::LBrace) {
            arms = self.list(TokenKind::RBrace, "}", |p| p.arm());
        } else {
            self.error(codes::EXPECTED, format!("expected `{{` and the arms, found {}", self.found()), "");
        }
        ExprKind::Match { of, arms }
    }

    fn arm(&mut self) -> Arm {
        let mark = self.mark();
        let mut cases = vec![self.case()];
        while self.eat(TokenKind::Or) {
            cases.push(self.case());
        }
        let guard = self.eat(TokenKind::If).then(|| self.expr());
        if self.at(TokenKind::Arrow) || self.at(TokenKind::Colon) {
            let message = format!("an arm is written with `=>`, not {}", self.found_token());
            let at = self.current_span();
            self.bump();
            let case = cases[0].span.to(cases[cases.len() - 1].span);
            let body = self.expr();
            let help = format!("{} => {}", self.source(case), self.written(&body));
            self.complain(codes::EXPECTED, at, message, help);
            self.close(mark, NodeKind::Arm);
            return Arm { cases, guard: None, body };
        } else {
            self.expect(TokenKind::FatArrow, "=>", "after the case");
        }
        let body = self.expr();
        self.close(mark, NodeKind::Arm);
        Arm { cases, guard, body }
    }

    fn case(&mut self) -> Case {
        let mark = self.mark();
        if self.depth >= MAX_DEPTH {
            self.too_deep();
            return Case { kind: CaseKind::Error, span: self.here() };
        }
        self.depth += 1;
        let kind = self.case_kind();
        self.depth -= 1;
        Case { kind, span: self.close(mark, NodeKind::Pattern) }
    }

    fn case_kind(&mut self) -> CaseKind {
        let text = self.current_text();
        let kind = match self.kind() {
            TokenKind::Underscore => CaseKind::Rest,
            TokenKind::True => CaseKind::Bool(true),
            TokenKind::False => CaseKind::Bool(false),
            TokenKind::String => CaseKind::String(unescape(text)),
            TokenKind::Int => return self.numbers(),
            TokenKind::Minus if self.nth(1) == TokenKind::Int => return self.numbers(),
            TokenKind::LParen => {
                let comma_after_one = self.one_element_tuple();
                let mut parts = self.list(TokenKind::RParen, ")", |p| p.case());
                return match parts.pop() {
                    Some(only) if parts.is_empty() && !comma_after_one => only.kind,
                    last => {
                        parts.extend(last);
                        CaseKind::Tuple(parts)
                    }
                };
            }
            TokenKind::LBracket => return CaseKind::Array(self.list(TokenKind::RBracket, "]", |p| p.case())),
            TokenKind::LBrace => return self.fields_of_case(),
            TokenKind::Ident => {
                let mut path = self.path("a variant");
                let payload = match self.kind() {
                    TokenKind::LParen if !self.line_ended() => {
                        let mark = self.mark();
                        let kind = CaseKind::Tuple(self.list(TokenKind::RParen, ")", |p| p.case()));
                        Some(Box::new(Case { kind, span: self.close(mark, NodeKind::Parameters) }))
                    }
                    TokenKind::LBrace if !self.line_ended() => {
                        let mark = self.mark();
                        let kind = self.fields_of_case();
                        Some(Box::new(Case { kind, span: self.close(mark, NodeKind::Pattern) }))
                    }
                    _ => None,
                };
                return match &mut path[..] {
                    [name] if payload.is_none() && !name.text.starts_with(char::is_uppercase) => {
                        CaseKind::Name(std::mem::take(&mut name.text))
                    }
                    _ => CaseKind::Variant { path, payload },
                };
            }
            _ => {
                let message = format!("expected a variant, a whole number, a bool or `_`, found {}", self.found());
                self.error(codes::EXPECTED_PATTERN, message, "");
                return CaseKind::Error;
            }
        };
        self.bump();
        kind
    }

    /// At `{`.
    fn fields_of_case(&mut self) -> CaseKind {
        CaseKind::Record(self.list(TokenKind::RBrace, "}", |p| {
            let name = p.name("the name of a field");
            let inner = p.eat(TokenKind::Colon).then(|| p.case());
            (name, inner)
        }))
    }

    /// `3`, `-3` or `-3..3`
    fn numbers(&mut self) -> CaseKind {
        let first = self.whole_number();
        if !self.at(TokenKind::DotDot) {
            return CaseKind::Int(first);
        }
        self.bump();
        let number = self.at(TokenKind::Int) || (self.at(TokenKind::Minus) && self.nth(1) == TokenKind::Int);
        if number && !self.line_ended() {
            return CaseKind::Range(first, self.whole_number());
        }
        let message = format!("expected the number that the range ends before, found {}", self.found());
        self.error(codes::EXPECTED_PATTERN, message, "0..10");
        CaseKind::Error
    }

    /// At a number or its sign.
    fn whole_number(&mut self) -> i64 {
        let mark = self.mark();
        let negative = self.eat(TokenKind::Minus);
        let number = int_value(self.current_text()).and_then(|i| i64::try_from(i).ok()).unwrap_or(0);
        self.bump();
        if negative {
            self.close(mark, NodeKind::Unary);
            return -number;
        }
        number
    }
}
