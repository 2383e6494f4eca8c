//! `enum` and `match`.

use super::Parser;
use crate::ast::{
    Arm, Case, CaseKind, EnumDef, ExprKind, Name, Pattern, PatternKind, Type, TypeKind, Variant, VariantField,
};
use crate::codes;
use crate::lexer::{TokenKind, int_value, unescape};
use crate::tree::NodeKind;

impl Parser<'_> {
    /// At `enum`.
    pub(super) fn enum_def(&mut self) -> EnumDef {
        self.bump();
        let name = self.name("a name for the enum");
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
        EnumDef { name, variants }
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
        if self.at(TokenKind::Arrow) || self.at(TokenKind::Colon) {
            let message = format!("an arm is written with `=>`, not {}", self.found_token());
            let at = self.current_span();
            self.bump();
            let case = cases[0].span.to(cases[cases.len() - 1].span);
            let body = self.expr();
            let help = format!("{} => {}", self.source(case), self.written(&body));
            self.complain(codes::EXPECTED, at, message, help);
            self.close(mark, NodeKind::Arm);
            return Arm { cases, body };
        } else {
            self.expect(TokenKind::FatArrow, "=>", "after the case");
        }
        let body = self.expr();
        self.close(mark, NodeKind::Arm);
        Arm { cases, body }
    }

    fn case(&mut self) -> Case {
        let mark = self.mark();
        let kind = self.case_kind();
        Case { kind, span: self.close(mark, NodeKind::Pattern) }
    }

    fn case_kind(&mut self) -> CaseKind {
        let text = self.current_text();
        let kind = match self.kind() {
            TokenKind::Underscore => CaseKind::Rest,
            TokenKind::True => CaseKind::Bool(true),
            TokenKind::False => CaseKind::Bool(false),
            TokenKind::String => CaseKind::String(unescape(text)),
            TokenKind::Int => CaseKind::Int(int_value(text).and_then(|i| i64::try_from(i).ok()).unwrap_or(0)),
            TokenKind::Minus if self.nth(1) == TokenKind::Int => {
                let mark = self.mark();
                self.bump();
                let number = int_value(self.current_text()).and_then(|i| i64::try_from(i).ok());
                self.bump();
                self.close(mark, NodeKind::Unary);
                return CaseKind::Int(number.map_or(0, |i| -i));
            }
            TokenKind::Ident => {
                let path = self.path("a variant");
                let payload = match self.kind() {
                    TokenKind::LParen if !self.line_ended() => {
                        let mark = self.mark();
                        let parts = self.list(TokenKind::RParen, ")", |p| p.pattern());
                        Some(Pattern { kind: PatternKind::Tuple(parts), span: self.close(mark, NodeKind::Parameters) })
                    }
                    TokenKind::LBrace if !self.line_ended() => Some(self.pattern()),
                    _ => None,
                };
                return CaseKind::Variant { path, payload };
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
}
