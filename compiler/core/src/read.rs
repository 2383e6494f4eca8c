//! Reads the textual form of [`crate::print`]. Never panics: what makes no sense is a [`ReadError`].
//!
//! Variables are numbered anew, in the order of their numbers in the text: a program whose numbers have no gaps keeps them. Types of operands are not checked here: see [`crate::verify`].

mod lexer;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use lexer::{Token, tokens};
use smallvec::SmallVec;

use crate::ir::*;
use crate::names::Attribute;
use crate::prim::{Monoid, Prim};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadError {
    /// From 1.
    pub line: usize,
    pub message: String,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ReadError {}

pub fn read(text: &str) -> Result<Program, ReadError> {
    let tokens = tokens(text)?;
    let numbers: BTreeSet<u64> =
        tokens.iter().filter_map(|(t, _)| if let Token::Var(n) = t { Some(*n) } else { None }).collect();
    let known: HashMap<u64, Var> = numbers.into_iter().zip((0..).map(Var)).collect();
    let mut r = Reader { tokens, at: 0, bound: vec![None; known.len()], known, depth: 0 };
    let main = r.function()?;
    if let Some(t) = r.peek() {
        return r.fail(format!("{t:?} after the program"));
    }
    let mut vars = Vars::default();
    for (ty, name) in r.bound.into_iter().flatten() {
        let v = vars.fresh(ty);
        if let Some(name) = name {
            vars.set_name(v, name);
        }
    }
    Ok(Program { vars, main })
}

/// Deeper than any program of ours; bodies are read by recursion.
const DEEPEST: usize = 100;

struct Reader {
    /// Each with its line.
    tokens: Vec<(Token, usize)>,
    at: usize,
    /// By the number in the text.
    known: HashMap<u64, Var>,
    /// By variable: type and name, once it is bound.
    bound: Vec<Option<(Type, Option<Arc<str>>)>>,
    depth: usize,
}

type Read<T> = Result<T, ReadError>;

/// What is to be bound: its number in the text, name and type.
type TypedVariable = (u64, Option<Arc<str>>, Type);

impl Reader {
    fn fail<T>(&self, message: impl Into<String>) -> Read<T> {
        let at = self.at.min(self.tokens.len().saturating_sub(1));
        Err(ReadError { line: self.tokens.get(at).map_or(1, |t| t.1), message: message.into() })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|t| &t.0)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    fn accept(&mut self, token: &Token) -> bool {
        let is = self.peek() == Some(token);
        self.at += is as usize;
        is
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Word(w)) if w == word);
        self.at += is as usize;
        is
    }

    fn expect(&mut self, token: Token) -> Read<()> {
        if self.accept(&token) { Ok(()) } else { self.fail(format!("{token:?} expected, not {:?}", self.peek())) }
    }

    fn mark(&mut self, c: char) -> bool {
        self.accept(&Token::Mark(c))
    }

    fn expect_mark(&mut self, c: char) -> Read<()> {
        self.expect(Token::Mark(c))
    }

    /// What `one` reads, zero or more times with commas between, to `end`.
    fn listed<T>(&mut self, end: char, mut one: impl FnMut(&mut Reader) -> Read<T>) -> Read<Vec<T>> {
        let mut all = Vec::new();
        while !self.mark(end) {
            if !all.is_empty() {
                self.expect_mark(',')?;
            }
            all.push(one(self)?);
        }
        Ok(all)
    }

    fn function(&mut self) -> Read<Function> {
        self.expect_mark('{')?;
        let mut params = Vec::new();
        while !self.accept(&Token::Arrow) {
            if !params.is_empty() {
                self.expect_mark(',')?;
            }
            params.push(self.binder()?);
        }
        Ok(Function { params, body: self.body_lines()? })
    }

    fn body(&mut self) -> Read<Body> {
        self.expect_mark('{')?;
        self.body_lines()
    }

    /// Statements and results, to the brace.
    fn body_lines(&mut self) -> Read<Body> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.fail("bodies nested too deep");
        }
        let mut stmts = Vec::new();
        while self.starts_statement() {
            stmts.push(self.statement()?);
        }
        let results = self.listed('}', Reader::atom)?;
        self.depth -= 1;
        Ok(Body { stmts, results })
    }

    fn starts_statement(&self) -> bool {
        match (self.peek(), self.tokens.get(self.at + 1).map(|t| &t.0)) {
            (Some(Token::Var(_)), Some(Token::Mark(':') | Token::Text(_))) => true,
            (Some(Token::Word(w)), _) => ["log", "assert", "map", "scan", "while", "switch"].contains(&w.as_str()),
            _ => false,
        }
    }

    fn statement(&mut self) -> Read<Stmt> {
        let mut outs: Vec<TypedVariable> = Vec::new();
        while matches!(self.peek(), Some(Token::Var(_))) {
            outs.push(self.typed_variable()?);
            if !self.mark(',') {
                self.expect_mark('=')?;
                break;
            }
        }
        let op = self.op(&outs)?;
        // Only now: an operation does not see what it binds.
        let outs = outs.into_iter().map(|(v, name, ty)| self.declare(v, name, ty)).collect::<Read<_>>()?;
        Ok(Stmt { outs, op, spans: Spans::new() })
    }

    fn op(&mut self, outs: &[TypedVariable]) -> Read<Op> {
        let Some(Token::Word(word)) = self.next() else {
            self.at -= 1;
            return self.fail(format!("an operation expected, not {:?}", self.peek()));
        };
        let effect = matches!(self.peek(), Some(Token::Text(_)));
        match word.as_str() {
            "log" if effect => {
                let (name, value, mask) = self.effect()?;
                Ok(Op::Effect(Effect::Log { name, value, mask }))
            }
            "assert" if effect => {
                let (message, condition, mask) = self.effect()?;
                Ok(Op::Effect(Effect::Assert { message, condition, mask }))
            }
            "map" => {
                let (index, n) = self.index_below()?;
                let accs = self.carries()?;
                Ok(Op::Form(Box::new(Form::Map(Map { n, index, accs, body: self.body()? }))))
            }
            "scan" => {
                let (reverse, train) = (self.accept_word("reverse"), self.accept_word("train"));
                let (index, n) = self.index_below()?;
                let checkpoint = self.checkpoint()?;
                let carries = self.carries()?;
                let body = self.body()?;
                Ok(Op::Form(Box::new(Form::Scan(Scan { n, reverse, train, checkpoint, index, carries, body }))))
            }
            "while" => {
                let max = if self.accept_word("max") { Some(self.count()?) } else { None };
                let checkpoint = self.checkpoint()?;
                let carries = self.carries()?;
                let (condition, body) = (self.body()?, self.body()?);
                Ok(Op::Form(Box::new(Form::While(While { carries, condition, body, max, checkpoint }))))
            }
            "switch" => {
                let which = self.atom()?;
                let mut arms = vec![self.body()?];
                while self.peek() == Some(&Token::Mark('{')) {
                    arms.push(self.body()?);
                }
                Ok(Op::Form(Box::new(Form::Switch(Switch { which, arms }))))
            }
            "constant" => match outs {
                [(_, _, ty)] => self.constant(ty),
                _ => self.fail("a constant has one result"),
            },
            name => {
                let attributes = if self.mark('[') { self.attributes()? } else { Vec::new() };
                let prim = Prim::from_text(name, attributes).or_else(|message| self.fail(message))?;
                self.expect_mark('(')?;
                Ok(Op::Prim(prim, self.listed(')', Reader::atom)?.into()))
            }
        }
    }

    /// `"name" (value, mask)`
    fn effect(&mut self) -> Read<(Arc<str>, Atom, Atom)> {
        let Some(Token::Text(name)) = self.next() else { return self.fail("a text expected") };
        self.expect_mark('(')?;
        let value = self.atom()?;
        self.expect_mark(',')?;
        let mask = self.atom()?;
        self.expect_mark(')')?;
        Ok((name.into(), value, mask))
    }

    /// `%3 "i" < 4`
    fn index_below(&mut self) -> Read<(Var, usize)> {
        let (v, name) = self.variable()?;
        let index = self.declare(v, name, Type::scalar(DType::I32))?;
        self.expect_mark('<')?;
        Ok((index, self.count()?))
    }

    /// `checkpoint every 10`
    fn checkpoint(&mut self) -> Read<Checkpoint> {
        if self.accept_word("kept") {
            let steps = self.count()?;
            let every = if self.accept_word("every") { self.count()? } else { 1 };
            return Ok(Checkpoint::Kept { steps, every });
        }
        if !self.accept_word("checkpoint") {
            return Ok(Checkpoint::Carries);
        }
        match self.accept_word("every") {
            true => Ok(Checkpoint::Every(self.count()?)),
            false if self.accept_word("sqrt") => Ok(Checkpoint::Sqrt),
            false => self.fail("`every` or `sqrt` expected"),
        }
    }

    /// `with %1 : f32 = %2, …`
    fn carries(&mut self) -> Read<Vec<Carry>> {
        let mut read: Vec<(TypedVariable, Atom)> = Vec::new();
        if self.accept_word("with") {
            loop {
                let variable = self.typed_variable()?;
                self.expect_mark('=')?;
                read.push((variable, self.atom()?));
                if !self.mark(',') {
                    break;
                }
            }
        }
        read.into_iter().map(|((v, name, ty), init)| Ok(Carry { var: self.declare(v, name, ty)?, init })).collect()
    }

    fn attributes(&mut self) -> Read<Vec<(String, Attribute)>> {
        let mut all = Vec::new();
        while !self.mark(']') {
            let Some(Token::Word(name)) = self.next() else { return self.fail("an attribute expected") };
            let attribute = if !self.mark('=') {
                Attribute::Flag
            } else if let Some(Token::Word(value)) = self.peek().cloned()
                && self.tokens.get(self.at + 1).map(|t| &t.0) != Some(&Token::Mark('='))
            {
                self.at += 1;
                match (dtype(&value), Monoid::from_name(&value)) {
                    (Some(d), _) => Attribute::DType(d),
                    (None, Some(op)) => Attribute::Monoid(op),
                    (None, None) => return self.fail(format!("`{value}` is no value of an attribute")),
                }
            } else {
                Attribute::Sizes(self.counts()?)
            };
            all.push((name, attribute));
        }
        Ok(all)
    }

    /// Numbers with commas between; perhaps none.
    fn counts(&mut self) -> Read<SmallVec<[usize; 4]>> {
        let mut all = SmallVec::new();
        while matches!(self.peek(), Some(Token::Number(_))) {
            all.push(self.count()?);
            if !self.mark(',') {
                break;
            }
        }
        Ok(all)
    }

    fn count(&mut self) -> Read<usize> {
        let Some(Token::Number(text)) = self.next() else {
            self.at -= 1;
            return self.fail(format!("a count expected, not {:?}", self.peek()));
        };
        text.parse().or_else(|_| self.fail(format!("`{text}` is no count")))
    }

    /// `%3` or `%3 "name"`, to be bound.
    fn variable(&mut self) -> Read<(u64, Option<Arc<str>>)> {
        let Some(Token::Var(v)) = self.next() else {
            self.at -= 1;
            return self.fail(format!("a variable expected, not {:?}", self.peek()));
        };
        let name = match self.peek().cloned() {
            Some(Token::Text(name)) => {
                self.at += 1;
                Some(name.into())
            }
            _ => None,
        };
        Ok((v, name))
    }

    fn typed_variable(&mut self) -> Read<TypedVariable> {
        let (v, name) = self.variable()?;
        self.expect_mark(':')?;
        Ok((v, name, self.ty()?))
    }

    fn binder(&mut self) -> Read<Var> {
        let (v, name, ty) = self.typed_variable()?;
        self.declare(v, name, ty)
    }

    fn declare(&mut self, v: u64, name: Option<Arc<str>>, ty: Type) -> Read<Var> {
        let var = self.known[&v];
        match self.bound[var.0 as usize].replace((ty, name)) {
            Some(_) => self.fail(format!("%{v} is bound twice")),
            None => Ok(var),
        }
    }

    fn ty(&mut self) -> Read<Type> {
        let Some(Token::Word(word)) = self.next() else {
            self.at -= 1;
            return self.fail(format!("a type expected, not {:?}", self.peek()));
        };
        let Some(dtype) = dtype(&word) else { return self.fail(format!("`{word}` is no type")) };
        let mut shape = Shape::new();
        if self.mark('[') {
            shape = self.counts()?;
            self.expect_mark(']')?;
        }
        let bytes = shape.iter().try_fold(dtype.bytes(), |n, s| n.checked_mul(*s));
        if bytes.is_none_or(|n| n > isize::MAX as usize) {
            return self.fail("the type is too large");
        }
        Ok(Type { dtype, shape })
    }

    fn atom(&mut self) -> Read<Atom> {
        match self.next() {
            Some(Token::Var(v)) => match self.known[&v] {
                var if self.bound[var.0 as usize].is_some() => Ok(Atom::Var(var)),
                _ => self.fail(format!("%{v} is not bound before")),
            },
            Some(Token::Number(n)) => {
                // The longest name that fits: `bf16` ends in `f16`.
                let typed = DType::ALL.into_iter().filter_map(|d| Some((d, n.strip_suffix(d.name())?)));
                let typed = typed.max_by_key(|(d, _)| d.name().len());
                match typed.and_then(|(d, digits)| element(d, digits)) {
                    Some(lit) => Ok(Atom::Lit(lit)),
                    None => self.fail(format!("`{n}` is no literal: `1.0f32`, `1i32`")),
                }
            }
            Some(Token::Word(w)) if w == "true" || w == "false" => Ok(Lit::bool(w == "true").into()),
            Some(Token::Word(w)) => {
                let Some(d) = dtype(&w) else { return self.fail(format!("`{w}` is no operand")) };
                self.expect_mark('(')?;
                let lit = self.element(d)?;
                self.expect_mark(')')?;
                Ok(Atom::Lit(lit))
            }
            other => self.fail(format!("an operand expected, not {other:?}")),
        }
    }

    /// A value whose type is known.
    fn element(&mut self, d: DType) -> Read<Lit> {
        let (Some(Token::Number(text)) | Some(Token::Word(text))) = self.next() else {
            self.at -= 1;
            return self.fail(format!("a {} expected, not {:?}", d.name(), self.peek()));
        };
        element(d, &text).map_or_else(|| self.fail(format!("`{text}` is no {}", d.name())), Ok)
    }

    fn constant(&mut self, ty: &Type) -> Read<Op> {
        self.expect_mark('[')?;
        let lits = self.listed(']', |r| r.element(ty.dtype))?;
        if lits.len() != ty.size() {
            return self.fail(format!("{} elements for a constant of {}", lits.len(), ty.size()));
        }
        Ok(Op::Constant(Arc::new(ArrayData::from_lits(ty.dtype, &ty.shape, &lits))))
    }
}

fn dtype(name: &str) -> Option<DType> {
    DType::ALL.into_iter().find(|d| d.name() == name)
}

fn element(d: DType, text: &str) -> Option<Lit> {
    if let Some(hex) = text.strip_prefix("0x") {
        let bits = u64::from_str_radix(hex, 16).ok()?;
        return (bits.checked_shr(d.bytes() as u32 * 8).unwrap_or(0) == 0 && d != DType::Bool)
            .then_some(Lit { dtype: d, bits });
    }
    match d {
        DType::F32 => text.parse().ok().map(Lit::f32),
        DType::F64 => text.parse().ok().map(Lit::f64),
        DType::F16 | DType::BF16 => text.parse::<f32>().ok().map(|x| Lit::of(d, x as f64)),
        DType::I32 => text.parse().ok().map(Lit::i32),
        DType::U32 => text.parse().ok().map(Lit::u32),
        DType::U8 => text.parse().ok().map(Lit::u8),
        DType::Bool => text.parse().ok().map(Lit::bool),
    }
}
