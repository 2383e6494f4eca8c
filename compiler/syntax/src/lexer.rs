//! Text to tokens. Every byte is in exactly one token, and nothing fails: what is not understood is an `Error` token with
//! a diagnostic.

use whorl_source::{Diagnostic, FileId, Span};

use crate::codes;

/// The bytes `start..end` of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    pub kind: TokenKind,
    pub start: u32,
    pub end: u32,
}

/// `max`, `checkpoint`, `reverse`, `train`, `in`, `as`, `test`, `fails`, `prop`, `data`, `size`, `param` and `type` are `Ident`s: the parser
/// knows them by their place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenKind {
    Space,
    /// One line end.
    Newline,
    /// `// …`; also, after a diagnostic, `# …` and `/* … */`.
    Comment,
    /// `/// …`
    DocComment,
    Error,
    Ident,
    Underscore,
    Int,
    Float,
    String,
    Import,
    Pub,
    Fn,
    Let,
    If,
    Else,
    For,
    Scan,
    While,
    Yield,
    Assert,
    With,
    And,
    Or,
    Not,
    True,
    False,
    Match,
    Enum,
    LParen,
    RParen,
    LBracket,
    RBracket,
    LBrace,
    RBrace,
    Comma,
    Colon,
    Semicolon,
    Dot,
    DotDot,
    Arrow,
    /// `=>`
    FatArrow,
    Equals,
    EqualsEquals,
    BangEquals,
    Less,
    LessEquals,
    Greater,
    GreaterEquals,
    Plus,
    Minus,
    Star,
    StarStar,
    Slash,
    Percent,
    At,
    AmpersandAmpersand,
    PipePipe,
    Bang,
    /// `+=`, `-=`, `*=`, `/=`, `%=`, `@=`: not in the language, known so that the error can say what to write.
    AssignOperator,
    /// The end of the file; never in the list of tokens.
    End,
}

/// All tokens of a file, and what was wrong with them.
pub fn lex(file: FileId, text: &str) -> (Vec<Token>, Vec<Diagnostic>) {
    let mut lexer = Lexer { file, text, at: 0, tokens: Vec::new(), diagnostics: Vec::new() };
    while lexer.at < text.len() {
        let start = lexer.at;
        let kind = lexer.token();
        lexer.tokens.push(Token { kind, start: start as u32, end: lexer.at as u32 });
    }
    (lexer.tokens, lexer.diagnostics)
}

/// The value of a string token, its quotes and escapes resolved (an unknown escape stands for its character).
pub fn unescape(token: &str) -> String {
    let quote = token.chars().next().unwrap_or('"');
    let body = token.strip_prefix(quote).unwrap_or(token);
    let mut out = String::new();
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('u') => out.extend(unicode_escape(&mut chars)),
                Some(c) => out.push(simple_escape(c).unwrap_or(c)),
                None => {}
            },
            c if c == quote => break,
            c => out.push(c),
        }
    }
    out
}

/// The value of an `Int` token; `None` when it does not fit.
pub fn int_value(token: &str) -> Option<u64> {
    let digits = token.replace('_', "");
    match digits.get(..2) {
        Some("0x" | "0X") => u64::from_str_radix(&digits[2..], 16).ok(),
        Some("0b" | "0B") => u64::from_str_radix(&digits[2..], 2).ok(),
        Some(_) | None => digits.parse().ok(),
    }
}

/// The value of a `Float` token.
pub fn float_value(token: &str) -> f64 {
    token.replace('_', "").parse().unwrap_or(0.0)
}

fn simple_escape(c: char) -> Option<char> {
    Some(match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        '\\' | '"' | '\'' => c,
        _ => return None,
    })
}

/// After `\u`: `{1F600}`.
fn unicode_escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let rest = chars.as_str().strip_prefix('{')?;
    let (digits, after) = rest.split_once('}')?;
    let value = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?;
    *chars = after.chars();
    Some(value)
}

struct Lexer<'a> {
    file: FileId,
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    diagnostics: Vec<Diagnostic>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        self.at += if found { prefix.len() } else { 0 };
        found
    }

    fn eat_while(&mut self, keep: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !keep(c)).unwrap_or(rest.len());
    }

    fn report(&mut self, code: codes::Code, start: usize, message: &str, label: &str, help: &str) {
        let span = Span::new(self.file, start, self.at);
        let diagnostic = Diagnostic::error(code, message).at(span, label);
        self.diagnostics.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    /// Reads one token; always moves forward.
    fn token(&mut self) -> TokenKind {
        let start = self.at;
        let Some(c) = self.peek() else { return TokenKind::End };
        match c {
            '\n' => {
                self.at += 1;
                TokenKind::Newline
            }
            c if c.is_whitespace() || c == '\u{feff}' => {
                self.eat_while(|c| c != '\n' && (c.is_whitespace() || c == '\u{feff}'));
                TokenKind::Space
            }
            c if c.is_alphabetic() || c == '_' => {
                self.eat_while(is_word);
                word(&self.text[start..self.at])
            }
            c if c.is_ascii_digit() => self.number(),
            '"' | '\'' => self.string(c),
            '#' => {
                self.eat_while(|c| c != '\n');
                let line = self.text[start..self.at].trim_start_matches('#').trim();
                let help = format!("// {line}");
                self.report(codes::HASH_COMMENT, start, "a comment begins with `//`", "", help.trim());
                TokenKind::Comment
            }
            _ => self.symbol(),
        }
    }

    fn symbol(&mut self) -> TokenKind {
        let start = self.at;
        if self.rest().starts_with("//") {
            let doc = self.rest().starts_with("///") && !self.rest().starts_with("////");
            self.eat_while(|c| c != '\n');
            self.complain_division(start);
            return if doc { TokenKind::DocComment } else { TokenKind::Comment };
        }
        if self.eat("/*") {
            let end = self.rest().find("*/").map_or(self.rest().len(), |i| i + 2);
            self.at += end;
            let inner = self.text[start..self.at].trim_start_matches('/').trim_end_matches('/');
            let lines = inner.lines().map(|l| l.trim_matches(['*', ' ', '\t'])).filter(|l| !l.is_empty());
            let help = lines.take(3).map(|l| format!("// {l}")).collect::<Vec<_>>().join("\n");
            self.report(codes::BLOCK_COMMENT, start, "a comment begins with `//` and ends with its line", "", &help);
            return TokenKind::Comment;
        }
        for (symbol, kind) in SYMBOLS {
            if self.eat(symbol) {
                return *kind;
            }
        }
        if let Some(params) = bars(self.rest()).map(str::to_string) {
            self.at += params.len() + 2;
            let help = format!("fn({}) = …", params.trim());
            self.report(codes::PYTHON_LAMBDA, start, "a function without a name begins with `fn`", "", &help);
            return TokenKind::Error;
        }
        let c = self.peek().unwrap_or(' ');
        self.at += c.len_utf8();
        let help = match c {
            '?' => "a choice is `if c { a } else { b }`",
            '^' => "write `pow(x, y)` for a power",
            '&' => "write `and`",
            '|' => "write `or`",
            '−' | '–' => "write `-`",
            '×' | '·' => "write `*`",
            '“' | '”' => "write `\"`",
            _ => "",
        };
        self.report(codes::UNKNOWN_CHARACTER, start, &format!("unknown character `{}`", c.escape_debug()), "", help);
        TokenKind::Error
    }

    /// `7 // 2`: a comment behind an expression that is only a number was meant to divide.
    fn complain_division(&mut self, start: usize) {
        let text = self.text[start..self.at].trim_start_matches('/').trim();
        let number = text.trim_end_matches([')', ']', '}', ',']);
        let divides = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
        let line = &self.text[self.text[..start].rfind('\n').map_or(0, |i| i + 1)..start];
        let operand = line.trim_end().ends_with(|c: char| is_word(c) || c == ')' || c == ']');
        if divides && operand {
            let help = format!("floor_div(a, {number}), or div(a, {number}), which drops what is behind the point");
            self.report(codes::DIVISION_COMMENT, start, "`//` begins a comment: it does not divide", "", &help);
        }
    }

    /// `"""text"""`, over several lines.
    fn doc_string(&mut self, quotes: &str) -> TokenKind {
        let start = self.at;
        let text: &str = self.text;
        let body = &text[start + 3..];
        let end = body.find(quotes);
        self.at += end.map_or(body.len() + 3, |i| i + 6);
        let lines = body[..end.unwrap_or(body.len())].lines().map(str::trim).filter(|l| !l.is_empty());
        let help = lines.take(3).map(|l| format!("/// {l}")).collect::<Vec<_>>().join("\n");
        self.report(
            codes::DOC_STRING,
            start,
            "what a function does is said above it, in lines that begin with `///`",
            "",
            &help,
        );
        TokenKind::Comment
    }

    fn string(&mut self, quote: char) -> TokenKind {
        let quotes = quote.to_string().repeat(3);
        if self.rest().starts_with(&quotes) {
            return self.doc_string(&quotes);
        }
        let start = self.at;
        self.at += 1;
        let mut closed = false;
        while let Some(c) = self.peek() {
            if c == '\n' {
                break;
            }
            let at = self.at;
            self.at += c.len_utf8();
            if c == quote {
                closed = true;
                break;
            }
            if c == '\\' {
                self.escape(at);
            }
        }
        if !closed {
            let message = "this string is not closed on its line";
            self.report(codes::UNCLOSED_STRING, start, message, "", &format!("put a `{quote}` at its end"));
        } else if quote == '\'' {
            let help = format!("\"{}\"", &self.text[start + 1..self.at - 1]);
            self.report(codes::SINGLE_QUOTES, start, "a string stands in double quotes", "", &help);
        }
        TokenKind::String
    }

    /// After a backslash at `start`.
    fn escape(&mut self, start: usize) {
        let Some(c) = self.peek().filter(|c| *c != '\n') else { return };
        self.at += c.len_utf8();
        let mut chars = self.text[self.at..].chars();
        if c == 'u' && unicode_escape(&mut chars).is_some() {
            self.at = self.text.len() - chars.as_str().len();
        } else if simple_escape(c).is_none() {
            let help = r#"there are \n \t \r \0 \\ \" \' and \u{1F600}"#;
            self.report(codes::UNKNOWN_ESCAPE, start, "unknown escape in a string", "", help);
        }
    }

    fn number(&mut self) -> TokenKind {
        let start = self.at;
        let digits = |c: char| c.is_ascii_digit() || c == '_';
        let after_dot = self.tokens.last().is_some_and(|t| t.kind == TokenKind::Dot);
        if after_dot {
            // `t.0.1` is a field of a field, not the number 0.1.
            self.eat_while(|c| c.is_ascii_digit());
            return TokenKind::Int;
        }
        if self.rest().starts_with("0x") || self.rest().starts_with("0b") {
            self.eat_while(is_word);
            let body = self.text[start + 2..self.at].replace('_', "");
            let radix = if self.text[start..].starts_with("0x") { 16 } else { 2 };
            return self.check_int(start, !body.is_empty() && body.chars().all(|c| c.is_digit(radix)));
        }
        self.eat_while(digits);
        let mut float = false;
        let mut after = self.rest().chars();
        if after.next() == Some('.') {
            match after.next() {
                Some(c) if c.is_ascii_digit() => {
                    self.at += 1;
                    self.eat_while(digits);
                    float = true;
                }
                Some(c) if c == '.' || c.is_alphabetic() || c == '_' => {}
                Some(_) | None => {
                    let whole = self.text[start..self.at].to_string();
                    self.at += 1;
                    let help = format!("{whole}.0");
                    self.report(codes::MALFORMED_NUMBER, start, "a digit must follow the point", "", &help);
                    return TokenKind::Float;
                }
            }
        }
        float |= self.exponent();
        if self.peek().is_some_and(is_word) {
            self.eat_while(is_word);
            let text = &self.text[start..self.at];
            let message = format!("`{text}` is not a number");
            let name = text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '_'));
            let help = match name {
                "f" | "f32" | "F" => format!("{}: numbers have no suffix", text.trim_end_matches(name)),
                _ => format!("{} * {name} is a product; a name begins with a letter", text.trim_end_matches(name)),
            };
            self.report(codes::MALFORMED_NUMBER, start, &message, "", &help);
            return if float { TokenKind::Float } else { TokenKind::Int };
        }
        if float { TokenKind::Float } else { self.check_int(start, true) }
    }

    /// `e-4` after the digits, if it is one.
    fn exponent(&mut self) -> bool {
        let rest = self.rest();
        let Some(after) = rest.strip_prefix(['e', 'E']) else { return false };
        let number = after.strip_prefix(['+', '-']).unwrap_or(after);
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return false;
        }
        self.at += rest.len() - number.len();
        self.eat_while(|c| c.is_ascii_digit() || c == '_');
        true
    }

    fn check_int(&mut self, start: usize, well_formed: bool) -> TokenKind {
        let text = &self.text[start..self.at];
        if !well_formed {
            let message = format!("`{text}` is not a number");
            self.report(codes::MALFORMED_NUMBER, start, &message, "", "");
        } else if int_value(text).is_none() {
            let message = format!("`{text}` does not fit in 64 bits");
            self.report(
                codes::NUMBER_TOO_LARGE,
                start,
                &message,
                "",
                "write it with an exponent if it is a float: 1e30",
            );
        }
        TokenKind::Int
    }
}

/// The parameters between the bars of `|x, y| e`.
fn bars(text: &str) -> Option<&str> {
    let (params, rest) = text.strip_prefix('|')?.split_once('|')?;
    let names = !params.trim().is_empty() && params.chars().all(|c| is_word(c) || matches!(c, ' ' | ',' | ':'));
    (names && rest.starts_with(' ') && params.chars().all(|c| c != '\n')).then_some(params)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(text: &str) -> TokenKind {
    match text {
        "_" => TokenKind::Underscore,
        "import" => TokenKind::Import,
        "pub" => TokenKind::Pub,
        "fn" => TokenKind::Fn,
        "let" => TokenKind::Let,
        "if" => TokenKind::If,
        "else" => TokenKind::Else,
        "for" => TokenKind::For,
        "scan" => TokenKind::Scan,
        "while" => TokenKind::While,
        "yield" => TokenKind::Yield,
        "assert" => TokenKind::Assert,
        "with" => TokenKind::With,
        "and" => TokenKind::And,
        "or" => TokenKind::Or,
        "not" => TokenKind::Not,
        "true" => TokenKind::True,
        "false" => TokenKind::False,
        "match" => TokenKind::Match,
        "enum" => TokenKind::Enum,
        _ => TokenKind::Ident,
    }
}

/// Longer symbols before their prefixes.
const SYMBOLS: &[(&str, TokenKind)] = &[
    ("->", TokenKind::Arrow),
    ("=>", TokenKind::FatArrow),
    ("..", TokenKind::DotDot),
    ("==", TokenKind::EqualsEquals),
    ("!=", TokenKind::BangEquals),
    ("<=", TokenKind::LessEquals),
    (">=", TokenKind::GreaterEquals),
    ("+=", TokenKind::AssignOperator),
    ("-=", TokenKind::AssignOperator),
    ("*=", TokenKind::AssignOperator),
    ("/=", TokenKind::AssignOperator),
    ("%=", TokenKind::AssignOperator),
    ("@=", TokenKind::AssignOperator),
    ("**", TokenKind::StarStar),
    ("&&", TokenKind::AmpersandAmpersand),
    ("||", TokenKind::PipePipe),
    ("(", TokenKind::LParen),
    (")", TokenKind::RParen),
    ("[", TokenKind::LBracket),
    ("]", TokenKind::RBracket),
    ("{", TokenKind::LBrace),
    ("}", TokenKind::RBrace),
    (",", TokenKind::Comma),
    (":", TokenKind::Colon),
    (";", TokenKind::Semicolon),
    (".", TokenKind::Dot),
    ("=", TokenKind::Equals),
    ("<", TokenKind::Less),
    (">", TokenKind::Greater),
    ("+", TokenKind::Plus),
    ("-", TokenKind::Minus),
    ("*", TokenKind::Star),
    ("/", TokenKind::Slash),
    ("%", TokenKind::Percent),
    ("@", TokenKind::At),
    ("!", TokenKind::Bang),
];
