//! The formatter: spaces and indentation in one style, everything else as written.
//!
//! Lines stay where the user broke them, comments stay where they are, at most one blank line stands between two lines, and
//! columns aligned by hand in `param`, `size` and `let` stay aligned. Formatting twice is formatting once.

use whorl_source::FileId;

use crate::lexer::{Token, TokenKind};
use crate::parser::continues_expression;
use crate::tree::{Element, Node, NodeKind, Tree};

const INDENT: usize = 2;

/// The text in the standard style; `None` where it has errors, which are to be repaired first.
///
/// ```
/// assert_eq!(whorl_syntax::format("fn f( x )={\nx+1 }").unwrap(), "fn f(x) = {\n  x + 1 }\n");
/// ```
pub fn format(text: &str) -> Option<String> {
    let parse = crate::parse(FileId(0), text);
    if !parse.diagnostics.is_empty() {
        return None;
    }
    let mut placed = Vec::new();
    collect(parse.tree.root(), &mut placed);
    let mut formatter =
        Formatter { tree: &parse.tree, out: String::new(), open: Vec::new(), previous: None, indent: 0 };
    formatter.run(&placed);
    Some(formatter.out)
}

/// A token and the node that it stands in.
#[derive(Clone, Copy)]
struct Placed {
    token: Token,
    node: NodeKind,
}

fn collect(node: &Node, out: &mut Vec<Placed>) {
    for child in &node.children {
        match child {
            Element::Node(inner) => collect(inner, out),
            Element::Token(token) => out.push(Placed { token: *token, node: node.kind }),
        }
    }
}

struct Formatter<'a> {
    tree: &'a Tree,
    out: String,
    /// For each open bracket: its kind, and the indentation of the line it stands on.
    open: Vec<(TokenKind, usize)>,
    /// The last token that is no space and no comment.
    previous: Option<Placed>,
    /// Of the current line.
    indent: usize,
}

impl Formatter<'_> {
    fn run(&mut self, tokens: &[Placed]) {
        let (mut newlines, mut spaces) = (0, 0);
        for placed in tokens {
            match placed.token.kind {
                TokenKind::Newline => newlines += 1,
                TokenKind::Space => spaces = self.tree.token_text(placed.token).len(),
                _ => {
                    self.separate(*placed, newlines, spaces);
                    self.write(*placed);
                    (newlines, spaces) = (0, 0);
                }
            }
        }
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    /// Writes what stands between the last token and `next`.
    fn separate(&mut self, next: Placed, newlines: usize, spaces: usize) {
        if newlines > 0 || self.out.is_empty() {
            if !self.out.is_empty() {
                self.out.push_str(if newlines > 1 { "\n\n" } else { "\n" });
            }
            self.indent = self.line_indent(next);
            self.out.extend(std::iter::repeat_n(' ', self.indent));
            return;
        }
        let width = match (is_comment(next.token.kind), self.previous) {
            (true, _) if spaces == 0 => 2,
            (true, _) => spaces,
            (false, Some(previous)) if !space_between(previous, next) => 0,
            (false, Some(previous)) if may_be_aligned(previous, next) => spaces.max(1),
            (false, _) => 1,
        };
        self.out.extend(std::iter::repeat_n(' ', width));
    }

    /// The indentation of a line that begins with `first`: a step more than the line of the bracket around it, and another
    /// where it goes on with an expression.
    fn line_indent(&self, first: Placed) -> usize {
        let closes = matches!(first.token.kind, TokenKind::RParen | TokenKind::RBracket | TokenKind::RBrace);
        let base = match self.open.last() {
            Some((_, indent)) if closes => return *indent,
            Some((_, indent)) => indent + INDENT,
            None => 0,
        };
        let in_braces = self.open.last().is_none_or(|(kind, _)| *kind == TokenKind::LBrace);
        let left_open = self.previous.is_some_and(|p| {
            matches!(p.token.kind, TokenKind::Equals | TokenKind::Arrow | TokenKind::FatArrow)
                || continues_expression(p.token.kind)
        });
        let new_statement = first.token.kind == TokenKind::Minus;
        let goes_on = first.token.kind == TokenKind::Dot || (continues_expression(first.token.kind) && !new_statement);
        if in_braces && (left_open || goes_on) { base + INDENT } else { base }
    }

    fn write(&mut self, placed: Placed) {
        self.out.push_str(self.tree.token_text(placed.token).trim_end());
        match placed.token.kind {
            kind @ (TokenKind::LParen | TokenKind::LBracket | TokenKind::LBrace) => self.open.push((kind, self.indent)),
            TokenKind::RParen | TokenKind::RBracket | TokenKind::RBrace => drop(self.open.pop()),
            kind if is_comment(kind) => return,
            _ => {}
        }
        self.previous = Some(placed);
    }
}

fn is_comment(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Comment | TokenKind::DocComment)
}

/// Whether a space belongs between two tokens on a line.
fn space_between(left: Placed, right: Placed) -> bool {
    use TokenKind::*;
    match (left.token.kind, right.token.kind) {
        // `2 .x` is not `2.x`, which is no number.
        (Int | Float, Dot) if left.node == NodeKind::Literal => true,
        (LParen | LBracket | Dot, _) | (_, RParen | RBracket | Comma | Semicolon | Dot | Colon) => false,
        (Comma | Semicolon | Colon, _) => true,
        (DotDot, _) | (_, DotDot) => false,
        (Minus | Bang, _) if left.node == NodeKind::Unary => false,
        (Fn, LParen) => false,
        (_, LParen) => !matches!(right.node, NodeKind::Call | NodeKind::Parameters),
        (_, LBracket) => !matches!(right.node, NodeKind::Index | NodeKind::Type | NodeKind::TypeDef | NodeKind::Enum),
        _ => true,
    }
}

/// Whether a wider gap here may be a column that the user aligned.
fn may_be_aligned(left: Placed, right: Placed) -> bool {
    let declares =
        |node| matches!(node, NodeKind::Param | NodeKind::Size | NodeKind::Let | NodeKind::Data | NodeKind::Bounds);
    declares(left.node) || declares(right.node)
}
