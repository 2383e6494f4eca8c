//! The lossless tree: nodes over all tokens of a file, spaces and comments included.
//!
//! A formatter or an editor works on this; the compiler reads [`crate::ast`]. A node begins at its first token that is
//! not trivia, so spaces and comments before it belong to its parent.

use crate::lexer::{Token, TokenKind};

/// A file as a tree. Its tokens, laid end to end, are the file.
#[derive(Clone, PartialEq, Debug)]
pub struct Tree {
    source: String,
    root: Node,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    pub kind: NodeKind,
    pub children: Vec<Element>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Element {
    Node(Node),
    Token(Token),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NodeKind {
    Module,
    Import,
    Param,
    Size,
    TypeDef,
    Fn,
    Let,
    Data,
    Test,
    Prop,
    PropParam,
    Yield,
    Assert,
    ExprStatement,
    Block,
    Parameters,
    Bounds,
    Type,
    Pattern,
    Literal,
    Name,
    Tuple,
    Array,
    Record,
    Field,
    Access,
    Call,
    Index,
    Argument,
    Unary,
    Binary,
    Range,
    With,
    Lambda,
    If,
    For,
    Scan,
    While,
    Enum,
    Match,
    Arm,
    Error,
}

impl Tree {
    /// The whole file again, put together from the tokens.
    pub fn text(&self) -> String {
        self.tokens().iter().map(|t| self.token_text(*t)).collect()
    }

    pub fn root(&self) -> &Node {
        &self.root
    }

    /// All tokens from left to right.
    pub fn tokens(&self) -> Vec<Token> {
        let mut out = Vec::new();
        collect_tokens(&self.root, &mut out);
        out
    }

    pub fn token_text(&self, token: Token) -> &str {
        &self.source[token.start as usize..token.end as usize]
    }

    /// The structure, one node or token a line, trivia left out: for tests and for people.
    pub fn outline(&self) -> String {
        let mut out = String::new();
        self.outline_node(&self.root, 0, &mut out);
        out
    }

    fn outline_node(&self, node: &Node, depth: usize, out: &mut String) {
        *out += &format!("{:1$}{2:?}\n", "", depth * 2, node.kind);
        for child in &node.children {
            match child {
                Element::Node(n) => self.outline_node(n, depth + 1, out),
                Element::Token(t) if t.kind.is_trivia() => {}
                Element::Token(t) => *out += &format!("{:1$}{2}\n", "", depth * 2 + 2, self.token_text(*t)),
            }
        }
    }
}

fn collect_tokens(node: &Node, out: &mut Vec<Token>) {
    for child in &node.children {
        match child {
            Element::Node(n) => collect_tokens(n, out),
            Element::Token(t) => out.push(*t),
        }
    }
}

/// Builds a tree from the inside out: what was added since a [`Checkpoint`] can become a node afterwards, which is how an
/// operator takes the operand to its left.
#[derive(Default)]
pub(crate) struct TreeBuilder {
    /// Finished elements that no node has taken yet.
    elements: Vec<Element>,
}

#[derive(Clone, Copy)]
pub(crate) struct Checkpoint(usize);

impl TreeBuilder {
    pub fn token(&mut self, token: Token) {
        self.elements.push(Element::Token(token));
    }

    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.elements.len())
    }

    /// Makes one node of everything added since `from`.
    pub fn node(&mut self, from: Checkpoint, kind: NodeKind) {
        let children = self.elements.drain(from.0..).collect();
        self.elements.push(Element::Node(Node { kind, children }));
    }

    pub fn finish(self, source: &str) -> Tree {
        Tree { source: source.to_string(), root: Node { kind: NodeKind::Module, children: self.elements } }
    }
}

impl TokenKind {
    /// Spaces, line ends, comments, and characters that the lexer has already complained about: the parser looks past them.
    pub fn is_trivia(self) -> bool {
        use TokenKind::*;
        matches!(self, Space | Newline | Comment | DocComment | Error)
    }
}
