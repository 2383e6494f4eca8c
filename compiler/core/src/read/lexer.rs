//! Text to tokens.

use super::ReadError;

#[derive(Clone, PartialEq, Debug)]
pub enum Token {
    /// `%3`
    Var(u64),
    /// Letters, digits and `_`; also `-inf`.
    Word(String),
    /// From a digit or its sign to what cannot belong to it: `-1.5e-3f32`, `0x7f`.
    Number(String),
    /// Between quotes, without escapes.
    Text(String),
    /// `->`
    Arrow,
    Mark(char),
}

/// The tokens, each with its line; comments run from `//` to the line's end.
pub fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ReadError> {
    let mut lexer = Lexer { rest: text, line: 1 };
    let mut all = Vec::new();
    loop {
        lexer.skip_blanks();
        let line = lexer.line;
        match lexer.token()? {
            Some(token) => all.push((token, line)),
            None => return Ok(all),
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl Lexer<'_> {
    fn skip_blanks(&mut self) {
        loop {
            let trimmed = self.rest.trim_start();
            self.line += self.rest[..self.rest.len() - trimmed.len()].matches('\n').count();
            self.rest = trimmed;
            if !trimmed.starts_with("//") {
                return;
            }
            self.rest = trimmed.find('\n').map_or("", |end| &trimmed[end..]);
        }
    }

    /// Takes characters while they belong, given the one before.
    fn take(&mut self, mut belongs: impl FnMut(char, char) -> bool) -> String {
        let mut taken = String::new();
        for c in self.rest.chars() {
            if !taken.is_empty() && !belongs(taken.chars().next_back().unwrap_or(c), c) {
                break;
            }
            taken.push(c);
        }
        self.rest = &self.rest[taken.len()..];
        taken
    }

    fn token(&mut self) -> Result<Option<Token>, ReadError> {
        let mut chars = self.rest.chars();
        let Some(first) = chars.next() else { return Ok(None) };
        let second = chars.next().unwrap_or(' ');
        let in_word = |_, c: char| c.is_ascii_alphanumeric() || c == '_';
        let token = match first {
            '%' => {
                let text = self.take(|_, c| c.is_ascii_digit());
                match text[1..].parse() {
                    Ok(n) => Token::Var(n),
                    Err(_) => return self.fail("a variable is `%` and a number"),
                }
            }
            '"' => Token::Text(self.text()?),
            '-' if second == '>' => {
                self.rest = &self.rest[2..];
                Token::Arrow
            }
            '-' if second.is_ascii_alphabetic() => Token::Word(self.take(in_word)),
            '-' | '0'..='9' => {
                let hex = self.rest.starts_with("0x");
                Token::Number(self.take(|before, c| {
                    c.is_ascii_alphanumeric() || c == '.' || (!hex && before == 'e' && (c == '-' || c == '+'))
                }))
            }
            c if c.is_ascii_alphabetic() => Token::Word(self.take(in_word)),
            c if "{}()[],:=<".contains(c) => {
                self.rest = &self.rest[1..];
                Token::Mark(c)
            }
            c => return self.fail(&format!("unexpected {c:?}")),
        };
        Ok(Some(token))
    }

    fn text(&mut self) -> Result<String, ReadError> {
        let mut out = String::new();
        let mut chars = self.rest[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.line += out.matches('\n').count();
                    self.rest = &self.rest[1 + at + 1..];
                    return Ok(out);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, escaped)) => out.push(escaped),
                    None => break,
                },
                other => out.push(other),
            }
        }
        self.fail("a text without an end")
    }

    fn fail<T>(&self, message: &str) -> Result<T, ReadError> {
        Err(ReadError { line: self.line, message: message.into() })
    }
}
