//! Programs of the repository with something changed in them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use whorl_source::FileId;
use whorl_syntax::lexer::TokenKind;
use whorl_syntax::tree::{Element, Node, NodeKind};

use crate::random::Random;

/// Numbers at which arithmetic breaks.
pub const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "7",
    "127",
    "128",
    "255",
    "256",
    "4095",
    "65536",
    "99999",
    "1000000000",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "0.0",
    "0.5",
    "1.0",
    "1e-45",
    "3.4e38",
    "1e39",
    "1e308",
];

const NOISE: &[&str] = &[
    "(", ")", "[", "]", "{", "}", ",", ":", ";", ".", "..", "->", "=>", "=", "==", "-", "*", "**", "@", "\"", "'", "#",
    "$", "é", "\n", "\r\n", "\t", " ", "//", "///", "/*", "\\", "0", "_", "\u{0}", "\u{202e}", "𝟙",
];

/// A program, and where its pieces are.
pub struct Text {
    pub text: String,
    /// What is not space.
    tokens: Vec<(TokenKind, Range<usize>)>,
    /// Every expression.
    expressions: Vec<Range<usize>>,
}

impl Text {
    pub fn new(text: String) -> Text {
        let tree = whorl_syntax::parse(FileId(0), &text).tree;
        let tokens = tree.tokens().into_iter().filter(|t| !t.kind.is_trivia());
        let tokens = tokens.map(|t| (t.kind, t.start as usize..t.end as usize)).collect();
        let mut expressions = Vec::new();
        collect(tree.root(), &mut expressions);
        Text { text, tokens, expressions }
    }
}

/// Puts the spans of all expressions in a node into `out`, and gives the node's own.
fn collect(node: &Node, out: &mut Vec<Range<usize>>) -> Option<Range<usize>> {
    let mut span: Option<Range<usize>> = None;
    for child in &node.children {
        let part = match child {
            Element::Node(inner) => collect(inner, out),
            Element::Token(t) => Some(t.start as usize..t.end as usize),
        };
        if let Some(part) = part {
            span = Some(span.map_or(part.clone(), |s| s.start..part.end));
        }
    }
    if let (Some(span), true) = (&span, is_expression(node.kind)) {
        out.push(span.clone());
    }
    span
}

fn is_expression(kind: NodeKind) -> bool {
    use NodeKind::*;
    match kind {
        Block | Literal | Name | Tuple | Array | Record | Access | Call | Index | Unary | Binary | Range | With
        | Lambda | If | For | Scan | While | Match => true,
        Module | Import | Param | Size | TypeDef | Fn | Let | Data | Test | Prop | PropParam | Yield | Assert
        | ExprStatement | Parameters | Bounds | Type | Pattern | Field | Argument | Enum | Arm | Error => false,
    }
}

/// Every script of the repository, in an order that is always the same.
pub fn corpus(root: &Path) -> Vec<Text> {
    let mut paths = Vec::new();
    for folder in ["stdlib", "examples", "tests", "compiler"] {
        walk(&root.join(folder), &mut paths);
    }
    paths.sort();
    paths.iter().filter_map(|p| Some(Text::new(std::fs::read_to_string(p).ok()?))).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "whorl") {
            found.push(path);
        }
    }
}

/// One program of the corpus with one to four changes.
pub fn mutate(corpus: &[Text], r: &mut Random) -> String {
    // Small programs are traced in no time.
    let mut of = r.pick(corpus);
    for _ in 0..3 {
        if of.text.len() > 3000 {
            of = r.pick(corpus);
        }
    }
    let mut text = of.text.clone();
    for _ in 0..1 + r.below(3) {
        let now = Text::new(text);
        text = change(&now, corpus, r);
    }
    text
}

fn change(of: &Text, corpus: &[Text], r: &mut Random) -> String {
    let mut text = of.text.clone();
    if of.tokens.is_empty() || of.expressions.is_empty() {
        text.push_str(&r.pick(corpus).text);
        return text;
    }
    match r.below(14) {
        // An expression where another stands: most of these still parse.
        0..=3 => replace(&mut text, r.pick(&of.expressions), &of.text[r.pick(&of.expressions).clone()]),
        4 => {
            let other = r.pick(corpus);
            if !other.expressions.is_empty() {
                replace(&mut text, r.pick(&of.expressions), &other.text[r.pick(&other.expressions).clone()]);
            }
        }
        5 => {
            let numbers: Vec<_> =
                of.tokens.iter().filter(|t| matches!(t.0, TokenKind::Int | TokenKind::Float)).collect();
            if !numbers.is_empty() {
                replace(&mut text, &r.pick(&numbers).1, r.pick::<&str>(NUMBERS));
            }
        }
        6 | 7 => {
            let (kind, at) = r.pick(&of.tokens);
            let alike: Vec<_> = of.tokens.iter().filter(|t| t.0 == *kind).collect();
            replace(&mut text, at, &of.text[r.pick(&alike).1.clone()]);
        }
        8 => {
            let from = r.below(of.tokens.len());
            let to = (from + r.below(4)).min(of.tokens.len() - 1);
            replace(&mut text, &(of.tokens[from].1.start..of.tokens[to].1.end), "");
        }
        9 => {
            let from = r.below(of.tokens.len());
            let to = (from + r.below(8)).min(of.tokens.len() - 1);
            let piece = of.text[of.tokens[from].1.start..of.tokens[to].1.end].to_string();
            let at = r.pick(&of.tokens).1.start;
            replace(&mut text, &(at..at), &format!("{piece} "));
        }
        10 => {
            let (a, b) = (r.below(of.tokens.len()), r.below(of.tokens.len()));
            let (a, b) = (&of.tokens[a.min(b)].1, &of.tokens[a.max(b)].1);
            let (first, second) = (of.text[a.clone()].to_string(), of.text[b.clone()].to_string());
            replace(&mut text, b, &first);
            replace(&mut text, a, &second);
        }
        11 => {
            let mut at = r.below(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            let end = text[at..].chars().next().filter(|_| r.once_in(2)).map_or(at, |c| at + c.len_utf8());
            replace(&mut text, &(at..end), r.pick::<&str>(NOISE));
        }
        12 => lines(&mut text, r),
        _ => {
            let other: Vec<&str> = r.pick(corpus).text.lines().collect();
            let from = r.below(other.len());
            let piece = other[from..(from + 1 + r.below(6)).min(other.len())].join("\n");
            let ends: Vec<usize> = text.match_indices('\n').map(|(i, _)| i + 1).collect();
            let at = if ends.is_empty() { text.len() } else { *r.pick(&ends) };
            replace(&mut text, &(at..at), &format!("{piece}\n"));
        }
    }
    text
}

/// A line left out, doubled, or exchanged for another.
fn lines(text: &mut String, r: &mut Random) {
    let mut lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return;
    }
    let (a, b) = (r.below(lines.len()), r.below(lines.len()));
    match r.below(3) {
        0 => drop(lines.remove(a)),
        1 => lines.insert(a, lines[a]),
        _ => lines.swap(a, b),
    }
    *text = lines.join("\n") + "\n";
}

fn replace(text: &mut String, at: &Range<usize>, by: &str) {
    text.replace_range(at.clone(), by);
}
