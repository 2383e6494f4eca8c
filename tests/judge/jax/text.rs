//! Programs as JAX prints them (`str(jax.make_jaxpr(f)(*args))`, 0.10.2), read into plain structs.
//!
//! ```text
//! let clip = { lambda ; e:i32[] f:i32[]. let g:i32[] = max f e in (g,) } in
//! { lambda a:f32[3]; b:i32[]. let
//!     c:i32[] = jit[name=clip jaxpr=clip] b 7:i32[]
//!     d:f32[1] = dynamic_slice[slice_sizes=(1,)] a c
//!   in (d,) }
//! ```
//!
//! Programs that occur more than once stand in front, by name, in no order. What stands behind a `.` or `=` is whatever Python's `str` gave:
//! a value that is of no form known here is kept as its text, since most of those do not matter.

use std::collections::{HashMap, HashSet};

/// A text: its program, and those that it refers to by name.
#[derive(Debug)]
pub struct Text {
    pub shared: HashMap<String, Jaxpr>,
    pub main: Jaxpr,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Jaxpr {
    pub constvars: Vec<Binder>,
    pub invars: Vec<Binder>,
    pub eqns: Vec<Eqn>,
    pub outvars: Vec<Operand>,
}

/// `outs = prim[params] ins`
#[derive(Clone, PartialEq, Debug)]
pub struct Eqn {
    pub prim: String,
    pub params: Vec<(String, Value)>,
    pub ins: Vec<Operand>,
    pub outs: Vec<Binder>,
}

/// `name:f32[2,3]`; a result that no one uses has the name `_`.
#[derive(Clone, PartialEq, Debug)]
pub struct Binder {
    pub name: String,
    pub aval: Aval,
}

/// `f32[2,3]`, `key<fry>[]`; the element type as JAX abbreviates it.
#[derive(Clone, PartialEq, Debug)]
pub struct Aval {
    pub dtype: String,
    pub shape: Vec<usize>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Operand {
    Var(String),
    /// `-1.5:f32[]`
    Literal {
        value: Value,
        aval: Aval,
    },
}

/// A parameter of an equation.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// `float32`, `GatherScatterMode.CLIP`, the name of a function or of a program.
    Word(String),
    /// In quotes.
    Quoted(String),
    /// A tuple or a list; those of programs have no commas.
    List(Vec<Value>),
    /// `GatherDimensionNumbers(offset_dims=(0,), …)`; fields without a name have an empty one.
    Record(String, Vec<(String, Value)>),
    Jaxpr(Jaxpr),
    /// Of another form.
    Other(String),
}

/// Reads a text whole.
pub fn read(text: &str) -> Result<Text, String> {
    let mut r = Reader { rest: text.trim(), bound: HashSet::new() };
    let mut shared = HashMap::new();
    while r.word_is("let") {
        r.skip("let")?;
        let name = r.until(|c| c.is_whitespace()).to_string();
        r.skip("=")?;
        shared.insert(name, r.jaxpr()?);
        r.skip("in")?;
    }
    let main = r.jaxpr()?;
    match r.rest.trim() {
        "" => Ok(Text { shared, main }),
        more => Err(format!("text behind the program: {}", start(more))),
    }
}

impl Eqn {
    /// The parameter of a name, or `None` where it was not printed, as those at their defaults are not.
    pub fn param(&self, name: &str) -> &Value {
        self.params.iter().find(|(n, _)| n == name).map_or(&Value::None, |(_, v)| v)
    }
}

impl Value {
    pub fn is_none(&self) -> bool {
        *self == Value::None
    }

    pub fn bool(&self) -> Result<bool, String> {
        match self {
            Value::Bool(b) => Ok(*b),
            other => Err(format!("{other:?} is not True or False")),
        }
    }

    pub fn int(&self) -> Result<i64, String> {
        match self {
            Value::Int(n) => i64::try_from(*n).map_err(|_| format!("{n} is too large")),
            other => Err(format!("{other:?} is not a whole number")),
        }
    }

    pub fn size(&self) -> Result<usize, String> {
        usize::try_from(self.int()?).map_err(|_| format!("{self:?} is negative"))
    }

    /// A number as a float; `True` is 1.
    pub fn float(&self) -> Result<f64, String> {
        match self {
            Value::Int(n) => Ok(*n as f64),
            Value::Float(x) => Ok(*x),
            Value::Bool(b) => Ok(f64::from(*b)),
            other => Err(format!("{other:?} is not a number")),
        }
    }

    /// A word as it stands.
    pub fn word(&self) -> Result<&str, String> {
        match self {
            Value::Word(w) | Value::Quoted(w) => Ok(w),
            other => Err(format!("{other:?} is not a word")),
        }
    }

    pub fn list(&self) -> Result<&[Value], String> {
        match self {
            Value::List(all) => Ok(all),
            other => Err(format!("{other:?} is not a list")),
        }
    }

    pub fn ints(&self) -> Result<Vec<i64>, String> {
        self.list()?.iter().map(Value::int).collect()
    }

    /// A list of numbers that are not negative.
    pub fn sizes(&self) -> Result<Vec<usize>, String> {
        self.list()?.iter().map(Value::size).collect()
    }

    /// A field of a record.
    pub fn field(&self, name: &str) -> Result<&Value, String> {
        let Value::Record(_, fields) = self else { return Err(format!("{self:?} is not a record")) };
        let found = fields.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v).ok_or_else(|| format!("{self:?} has no field {name}"))
    }
}

struct Reader<'t> {
    rest: &'t str,
    /// Names bound so far, anywhere: what tells an operand on a new line from an equation without results.
    bound: HashSet<&'t str>,
}

fn start(text: &str) -> &str {
    let end = text.char_indices().nth(60).map_or(text.len(), |(k, _)| k);
    &text[..end]
}

impl<'t> Reader<'t> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn starts(&mut self, what: &str) -> bool {
        self.space();
        self.rest.starts_with(what)
    }

    /// Whether the next word is `what`, which another may begin with.
    fn word_is(&mut self, what: &str) -> bool {
        self.starts(what) && self.rest[what.len()..].starts_with(char::is_whitespace)
    }

    fn skip(&mut self, what: &str) -> Result<(), String> {
        if !self.starts(what) {
            return Err(format!("expected `{what}` before {}", start(self.rest)));
        }
        self.rest = &self.rest[what.len()..];
        Ok(())
    }

    fn skipped(&mut self, what: &str) -> bool {
        let found = self.starts(what);
        if found {
            self.rest = &self.rest[what.len()..];
        }
        found
    }

    fn until(&mut self, end: impl Fn(char) -> bool) -> &'t str {
        self.space();
        let (word, rest) = self.rest.split_at(self.rest.find(end).unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    /// `{ lambda constvars; invars. let eqns in (outvars) }`
    fn jaxpr(&mut self) -> Result<Jaxpr, String> {
        self.skip("{")?;
        self.skip("lambda")?;
        let mut binders = |end: &str| {
            let mut all = Vec::new();
            while !self.skipped(end) {
                all.push(self.binder()?);
            }
            Ok::<_, String>(all)
        };
        let (constvars, invars) = (binders(";")?, binders(".")?);
        self.skip("let")?;
        let mut eqns = Vec::new();
        while !self.at_end() {
            eqns.push(self.eqn()?);
            self.skipped(";");
        }
        self.skip("in")?;
        self.skip("(")?;
        let mut outvars = Vec::new();
        while !self.skipped(")") {
            outvars.push(self.operand()?);
            self.skipped(",");
        }
        self.skip("}")?;
        Ok(Jaxpr { constvars, invars, eqns, outvars })
    }

    /// `in (`: a variable may be called `in`, too.
    fn at_end(&mut self) -> bool {
        self.starts("in") && self.rest[2..].trim_start().starts_with('(')
    }

    /// `name:type`, unless a literal or something else stands here.
    fn is_binder(&mut self) -> bool {
        self.space();
        let name = self.rest.split(|c: char| !c.is_ascii_alphabetic() && c != '_').next().unwrap_or_default();
        let is_word = !name.is_empty() && !["inf", "nan", "True", "False"].contains(&name);
        is_word && self.rest[name.len()..].starts_with(':')
    }

    fn binder(&mut self) -> Result<Binder, String> {
        if !self.is_binder() {
            return Err(format!("expected a variable with its type before {}", start(self.rest)));
        }
        let name = self.until(|c| c == ':');
        self.bound.insert(name);
        self.skip(":")?;
        Ok(Binder { name: name.to_string(), aval: self.aval()? })
    }

    /// `f32[2,3]`; memory spaces and shardings are not read.
    fn aval(&mut self) -> Result<Aval, String> {
        let dtype = self.until(|c| !c.is_ascii_alphanumeric() && !"_<>".contains(c)).to_string();
        self.skip("[")?;
        let sizes = self.until(|c| c == ']');
        self.skip("]")?;
        let size = |n: &str| n.parse().map_err(|_| format!("a size `{n}` of {dtype}[{sizes}]"));
        let shape = sizes.split(',').map(str::trim).filter(|n| !n.is_empty()).map(size).collect::<Result<_, _>>()?;
        Ok(Aval { dtype, shape })
    }

    fn eqn(&mut self) -> Result<Eqn, String> {
        let mut outs = Vec::new();
        while self.is_binder() {
            outs.push(self.binder()?);
        }
        if !outs.is_empty() {
            self.skip("=")?;
        }
        let prim = self.until(|c| c.is_whitespace() || c == '[' || c == ';').to_string();
        if prim.is_empty() {
            return Err(format!("expected a primitive before {}", start(self.rest)));
        }
        // A literal array `[...]` is an operand; parameters stand at the name.
        let params = if self.rest.starts_with('[') { self.params()? } else { Vec::new() };
        let mut ins = Vec::new();
        while self.is_operand() {
            ins.push(self.operand()?);
        }
        Ok(Eqn { prim, params, ins, outs })
    }

    fn is_operand(&mut self) -> bool {
        if self.at_end() || self.is_binder() || self.starts(";") || self.rest.is_empty() {
            return false;
        }
        let word = self.rest.split(|c: char| c.is_whitespace() || ",;)".contains(c)).next().unwrap_or_default();
        self.bound.contains(word) || word.contains(':')
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.space();
        if self.rest.starts_with("[...]") {
            return Err("an array constant that is not printed".into());
        }
        let word = self.until(|c| c.is_whitespace() || ",;:".contains(c) || c == ')');
        match self.rest.starts_with(':') {
            false => Ok(Operand::Var(word.to_string())),
            true => {
                self.skip(":")?;
                Ok(Operand::Literal { value: scalar(word), aval: self.aval()? })
            }
        }
    }

    /// `[name=value name=value]`
    fn params(&mut self) -> Result<Vec<(String, Value)>, String> {
        self.skip("[")?;
        let mut all = Vec::new();
        while !self.skipped("]") {
            let name = self.until(|c| c == '=' || c.is_whitespace() || c == ']').to_string();
            self.skip("=").map_err(|e| format!("parameter {name}: {e}"))?;
            let (text, rest) = self.rest.split_at(extent(self.rest)?);
            let mut inner = Reader { rest: text.trim(), bound: HashSet::new() };
            let value = match (inner.rest.starts_with('{'), inner.value()) {
                (_, Ok(value)) if inner.rest.trim().is_empty() => value,
                (true, Err(e)) if text.contains("lambda") => return Err(e),
                _ => Value::Other(text.trim().to_string()),
            };
            self.rest = rest;
            all.push((name, value));
        }
        Ok(all)
    }

    fn value(&mut self) -> Result<Value, String> {
        self.space();
        if self.rest.starts_with('{') {
            return Ok(Value::Jaxpr(self.jaxpr()?));
        }
        if let Some(quote) = self.rest.chars().next().filter(|c| "'\"".contains(*c)) {
            self.rest = &self.rest[1..];
            let text = self.until(|c| c == quote).to_string();
            self.rest = self.rest.strip_prefix(quote).ok_or("a quotation without an end")?;
            return Ok(Value::Quoted(text));
        }
        if self.skipped("(") {
            return Ok(Value::List(self.values(")")?.into_iter().map(|(_, v)| v).collect()));
        }
        if self.skipped("[") {
            return Ok(Value::List(self.values("]")?.into_iter().map(|(_, v)| v).collect()));
        }
        let word = self.until(|c| c.is_whitespace() || ",()[]{}=".contains(c));
        match word {
            "" => Err(format!("expected a value before {}", start(self.rest))),
            _ if self.rest.starts_with('(') => {
                self.skip("(")?;
                Ok(Value::Record(word.to_string(), self.values(")")?))
            }
            _ => Ok(scalar(word)),
        }
    }

    /// Values with or without names and commas, up to `end`.
    fn values(&mut self, end: &str) -> Result<Vec<(String, Value)>, String> {
        let mut all = Vec::new();
        while !self.skipped(end) {
            let value = self.value()?;
            all.push(match (value, self.rest.starts_with('=')) {
                (Value::Word(name), true) => {
                    self.skip("=")?;
                    (name, self.value()?)
                }
                (value, _) => (String::new(), value),
            });
            self.skipped(",");
        }
        Ok(all)
    }
}

fn scalar(word: &str) -> Value {
    match word {
        "None" => Value::None,
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "nan" => Value::Float(f64::NAN),
        "inf" => Value::Float(f64::INFINITY),
        "-inf" => Value::Float(f64::NEG_INFINITY),
        _ if !word.starts_with(|c: char| c.is_ascii_digit() || "-.".contains(c)) => Value::Word(word.to_string()),
        _ => match (word.parse(), word.parse()) {
            (Ok(n), _) => Value::Int(n),
            (_, Ok(x)) => Value::Float(x),
            _ => Value::Word(word.to_string()),
        },
    }
}

/// How long a parameter's value is: up to the bracket that closes the parameters, or to the space before the next `name=`.
fn extent(text: &str) -> Result<usize, String> {
    let (mut depth, mut quote) = (0, None);
    for (k, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') if !text[..k].ends_with(char::is_alphanumeric) => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ']') if depth == 0 => return Ok(k),
            (None, ')' | ']' | '}') => depth -= 1,
            (None, _) if depth == 0 && c.is_whitespace() && names_one(&text[k..]) => return Ok(k),
            (None, _) => {}
        }
    }
    Err(format!("parameters without an end: {}", start(text)))
}

/// ` name=`
fn names_one(text: &str) -> bool {
    let text = text.trim_start();
    let name = text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    !name.is_empty() && text[name.len()..].starts_with('=') && !text[name.len()..].starts_with("==")
}
