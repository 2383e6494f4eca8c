//! Tokens of PTX.

use super::syntax::Refusal;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    /// Names with all their dots: `ld.global.f32`, `%tid.x`, `.reg`, `$L1`.
    Word(&'a str),
    Number(&'a str),
    Text(&'a str),
    Mark(char),
    End,
}

/// Splits text into tokens, each with its line.
pub fn lex(text: &str) -> Result<Vec<(Token<'_>, u32)>, Refusal> {
    let bytes = text.as_bytes();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b == b'%';
    while at < bytes.len() {
        let byte = bytes[at];
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        match byte {
            b'\n' => {
                line += 1;
                at += 1;
            }
            b' ' | b'\t' | b'\r' => at += 1,
            b'/' if next == b'/' => {
                while at < bytes.len() && bytes[at] != b'\n' {
                    at += 1;
                }
            }
            b'/' if next == b'*' => {
                let end = text[at..].find("*/").ok_or_else(|| Refusal::new(line, "a comment that does not end"))?;
                line += text[at..at + end].matches('\n').count() as u32;
                at += end + 2;
            }
            b'"' => {
                let end = text[at + 1..].find('"').ok_or_else(|| Refusal::new(line, "a string that does not end"))?;
                tokens.push((Token::Text(&text[at + 1..at + 1 + end]), line));
                at += end + 2;
            }
            b'0'..=b'9' => {
                let start = at;
                let hex = byte == b'0' && matches!(next, b'x' | b'X' | b'f' | b'F' | b'd' | b'D');
                while at < bytes.len() {
                    let exponent = !hex && at > start && matches!(bytes[at - 1], b'e' | b'E');
                    let part = bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.' || bytes[at] == b'_';
                    let sign = exponent && matches!(bytes[at], b'+' | b'-');
                    if !(part || sign) {
                        break;
                    }
                    at += 1;
                }
                tokens.push((Token::Number(&text[start..at]), line));
            }
            b'.' | b'%' | b'$' | b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let start = at;
                at += 1;
                while at < bytes.len() {
                    let follows = bytes.get(at + 1).is_some_and(|b| is_word(*b));
                    if is_word(bytes[at]) || (bytes[at] == b'.' && follows) {
                        at += 1;
                    } else if text[at..].starts_with("::") {
                        at += 2;
                    } else {
                        break;
                    }
                }
                tokens.push((Token::Word(&text[start..at]), line));
            }
            b'{' | b'}' | b'(' | b')' | b'[' | b']' | b'<' | b'>' | b',' | b';' | b':' | b'+' | b'-' | b'@' | b'!'
            | b'|' | b'=' => {
                tokens.push((Token::Mark(byte as char), line));
                at += 1;
            }
            _ => {
                let what = text[at..].chars().next().unwrap_or(' ');
                return Err(Refusal::new(line, format!("the character {what:?} has no place in PTX")));
            }
        }
    }
    tokens.push((Token::End, line));
    Ok(tokens)
}
