//! The tokens as the parser sees them: trivia left out, brackets matched.

use crate::lexer::{Token, TokenKind};

/// A token that is not trivia.
#[derive(Clone, Copy)]
pub(super) struct Significant {
    pub token: Token,
    /// In the list of all tokens.
    pub index: usize,
    pub newline_before: bool,
    /// The lexer complained about what stands right before it.
    pub error_before: bool,
    /// An opening bracket that is never closed.
    pub unclosed: bool,
    /// The position of the bracket that closes this one.
    pub partner: usize,
}

/// The tokens that are not trivia, with what the parser asks of their surroundings, and an `End`.
pub(super) fn significant(text: &str, tokens: &[Token]) -> Vec<Significant> {
    let mut out = Vec::new();
    let (mut newline_before, mut error_before) = (true, false);
    let end = Token { kind: TokenKind::End, start: text.len() as u32, end: text.len() as u32 };
    for (index, token) in tokens.iter().chain([&end]).enumerate() {
        newline_before |= token.kind == TokenKind::Newline;
        error_before |= token.kind == TokenKind::Error;
        if !token.kind.is_trivia() {
            out.push(Significant { token: *token, index, newline_before, error_before, unclosed: true, partner: 0 });
            (newline_before, error_before) = (false, false);
        }
    }
    match_brackets(&mut out);
    out
}

/// Finds each bracket's partner. One that is closed by a bracket of another kind further out has none.
fn match_brackets(tokens: &mut [Significant]) {
    let mut open: Vec<(usize, TokenKind)> = Vec::new();
    // Open parentheses and brackets in each open block, the file itself first: a stray `)` must not close a parenthesis
    // outside the block that it stands in.
    let mut blocks = vec![[0usize; 2]];
    for at in 0..tokens.len() {
        let innermost = blocks.len() - 1;
        let closes = match tokens[at].token.kind {
            TokenKind::LParen => {
                open.push((at, TokenKind::RParen));
                blocks[innermost][0] += 1;
                continue;
            }
            TokenKind::LBracket => {
                open.push((at, TokenKind::RBracket));
                blocks[innermost][1] += 1;
                continue;
            }
            TokenKind::LBrace => {
                open.push((at, TokenKind::RBrace));
                blocks.push([0, 0]);
                continue;
            }
            TokenKind::RParen => blocks[innermost][0] > 0,
            TokenKind::RBracket => blocks[innermost][1] > 0,
            TokenKind::RBrace => innermost > 0,
            _ => false,
        };
        while closes && let Some((partner, kind)) = open.pop() {
            match kind {
                TokenKind::RParen => blocks[innermost][0] -= 1,
                TokenKind::RBracket => blocks[innermost][1] -= 1,
                _ => drop(blocks.pop()),
            }
            if kind == tokens[at].token.kind {
                tokens[partner].unclosed = false;
                tokens[partner].partner = at;
                break;
            }
        }
    }
}
