//! `test` and `prop`: what a script says of itself.

use whorl_source::Diagnostic;

use super::Parser;
use crate::ast::{Fails, ItemKind, PropDef, PropParam, Type, TypeKind};
use crate::codes;
use crate::lexer::{TokenKind, unescape};
use crate::tree::NodeKind;

impl Parser<'_> {
    /// `test "name" { … }` and `test "name" fails E0101 "message" { … }`
    pub(super) fn test(&mut self) -> ItemKind {
        self.bump();
        let name = unescape(self.current_text());
        self.bump();
        let fails = self.at_word("fails").then(|| self.fails());
        ItemKind::Test { name, fails, body: self.block() }
    }

    fn fails(&mut self) -> Fails {
        let mark = self.mark();
        self.bump();
        let mut code = None;
        if self.at(TokenKind::Ident) && !self.line_ended() {
            let name = self.name("a code");
            let digits = name.text.strip_prefix('E').unwrap_or("");
            if digits.len() == 4 && digits.chars().all(|c| c.is_ascii_digit()) {
                code = Some(name);
            } else {
                let message = format!("`{}` is not the code of an error", name.text);
                let help = "fails E0101, fails \"part of the message\", or fails alone";
                self.complain(codes::BAD_FAILS, name.span, message, help);
            }
        }
        let mut message = None;
        if self.at(TokenKind::String) && !self.line_ended() {
            message = Some(unescape(self.current_text()));
            self.bump();
        }
        Fails { code, message, span: self.span_from(mark) }
    }

    /// `prop "name" (size n in [1, 8], x: f32[n]) { … }`
    pub(super) fn prop(&mut self) -> ItemKind {
        self.bump();
        let (name, place) = (unescape(self.current_text()), self.current_span());
        self.bump();
        let mut params = Vec::new();
        let known = self.diagnostics.len();
        if self.at(TokenKind::LParen) {
            self.drawing = true;
            params = self.list(TokenKind::RParen, ")", |p| p.prop_param());
            self.drawing = false;
        }
        if params.is_empty() && self.diagnostics.len() == known {
            let e = Diagnostic::error(codes::NOTHING_DRAWN, "a property says what is drawn at random");
            let help = "prop \"…\" (x: f32, n: i32 in [0, 9]) { … }; what needs nothing is a `test`";
            self.diagnostics.push(e.at(place, "").help(help));
        }
        ItemKind::Prop(PropDef { name, params, body: self.block() })
    }

    fn prop_param(&mut self) -> PropParam {
        let mark = self.mark();
        let size = self.at_word("size") && self.nth(1) == TokenKind::Ident;
        if size {
            self.bump();
        }
        let name = self.name(if size { "a name for the size" } else { "a name for what is drawn" });
        let mut ty = None;
        if !size {
            ty = Some(match self.eat(TokenKind::Colon) {
                true => self.ty(),
                false => {
                    let message = format!("`{}` needs a type, of which it is drawn", name.text);
                    let e = Diagnostic::error(codes::DRAWN_WITHOUT_TYPE, message).at(name.span, "");
                    self.report(e.help(format!("{0}: f32, or {0}: f32 in (-1, 1)", name.text)));
                    Type { kind: TypeKind::Error, span: name.span }
                }
            });
        }
        let bounds = if self.at_word("in") { self.bounds() } else { None };
        self.close(mark, NodeKind::PropParam);
        PropParam { name, ty, bounds }
    }
}
