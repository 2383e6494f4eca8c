//! Values as trees of arrays: their leaves, their types in words, and making two of them agree.

use whorl_core::{Atom, Builder, DType, Lit, Type};

use crate::keys::Key;
use crate::value::{Of, Record, Value};

impl<'a> Value<'a> {
    /// The same structure with every array replaced; numbers known while tracing stay.
    pub fn map_leaves<E>(&self, f: &mut dyn FnMut(Atom) -> Result<Atom, E>) -> Result<Value<'a>, E> {
        Ok(match self {
            Value::Leaf(a) => Value::Leaf(f(*a)?),
            Value::Key(k) => Value::Key(Key { data: [f(k.data[0])?, f(k.data[1])?], ..k.clone() }),
            Value::Tuple(items) => Value::tuple(items.iter().map(|v| v.map_leaves(f)).collect::<Result<_, E>>()?),
            Value::Record(r) => {
                let fields = r.fields.iter().map(|(n, v)| Ok((*n, v.map_leaves(f)?))).collect::<Result<_, E>>()?;
                Value::record(r.name, fields)
            }
            Value::Array { n, elem } => Value::Array { n: *n, elem: elem.map_leaves(f)?.into() },
            Value::Int(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Unit
            | Value::Function(_)
            | Value::Module(_)
            | Value::Range(..) => self.clone(),
        })
    }

    /// The same structure with every key replaced.
    pub fn map_keys(&self, f: &mut dyn FnMut(&Key) -> Key) -> Value<'a> {
        match self {
            Value::Key(k) => Value::Key(f(k)),
            Value::Tuple(items) => Value::tuple(items.iter().map(|v| v.map_keys(f)).collect()),
            Value::Record(r) => Value::record(r.name, r.fields.iter().map(|(n, v)| (*n, v.map_keys(f))).collect()),
            Value::Array { n, elem } => Value::Array { n: *n, elem: elem.map_keys(f).into() },
            Value::Leaf(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Unit
            | Value::Function(_)
            | Value::Module(_)
            | Value::Range(..) => self.clone(),
        }
    }

    /// The arrays, in the order of `map_leaves`; a key is two.
    pub fn leaves(&self) -> Vec<Atom> {
        let mut out = Vec::new();
        let Ok(_) = self.map_leaves::<std::convert::Infallible>(&mut |a| {
            out.push(a);
            Ok(a)
        });
        out
    }

    /// The same structure around other arrays, in the order of `leaves`.
    pub fn with_leaves(&self, atoms: &mut dyn Iterator<Item = Atom>) -> Value<'a> {
        let Ok(v) = self.map_leaves::<std::convert::Infallible>(&mut |a| Ok(atoms.next().unwrap_or(a)));
        v
    }

    /// The arrays with their paths, such as `state.x` and `key.0`, under the name `path`.
    pub fn leaf_paths(&self, path: &str, out: &mut Vec<(String, Atom)>) {
        let below = |part: &str| if path.is_empty() { part.to_string() } else { format!("{path}.{part}") };
        match self {
            Value::Leaf(a) => out.push((path.to_string(), *a)),
            Value::Key(k) => (0..2).for_each(|i| out.push((below(&i.to_string()), k.data[i]))),
            Value::Tuple(items) => {
                items.iter().enumerate().for_each(|(i, v)| v.leaf_paths(&below(&i.to_string()), out))
            }
            Value::Record(r) => r.fields.iter().for_each(|(n, v)| v.leaf_paths(&below(n), out)),
            Value::Array { elem, .. } => elem.leaf_paths(path, out),
            Value::Int(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Unit
            | Value::Function(_)
            | Value::Module(_)
            | Value::Range(..) => {}
        }
    }

    /// The first part that cannot go through a loop or an array by itself: a function or a string, with its path.
    pub fn first_function(&self, path: &str) -> Option<(String, Value<'a>)> {
        let below = |part: &str| if path.is_empty() { part.to_string() } else { format!("{path}.{part}") };
        match self {
            Value::Function(_) => Some((path.to_string(), self.clone())),
            Value::Tuple(items) => items.iter().enumerate().find_map(|(i, v)| v.first_function(&below(&i.to_string()))),
            Value::Record(r) => r.fields.iter().find_map(|(n, v)| v.first_function(&below(n))),
            Value::Array { elem, .. } => elem.first_function(path),
            Value::Leaf(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Unit
            | Value::Key(_)
            | Value::Module(_)
            | Value::Range(..) => None,
        }
    }

    /// The type in words, as an annotation would say it.
    pub fn describe(&self, b: &Builder) -> String {
        describe(self, b, 0)
    }

    /// The sizes of the arrays around it, outermost first, and what they are of. Numbers have no inside: their own sizes.
    pub fn outer(&self, b: &Builder) -> (Vec<usize>, Value<'a>) {
        match self {
            Value::Leaf(a) => (b.ty(*a).shape.to_vec(), self.clone()),
            Value::Array { n, elem } => match &**elem {
                Value::Array { .. } => {
                    let (mut sizes, inner) = elem.outer(b);
                    sizes.insert(0, *n);
                    (sizes, inner)
                }
                inner => (vec![*n], inner.clone()),
            },
            other => (Vec::new(), other.clone()),
        }
    }

    /// A record of arrays of one length is an array of records: this value so, for up to `levels` axes that all its arrays
    /// share. Anything else as it is.
    pub fn arrayed(&self, b: &Builder, levels: usize) -> Value<'a> {
        let (mut sizes, mut elem) = (Vec::new(), self.clone());
        if !matches!(self, Value::Record(_)) {
            return elem;
        }
        while sizes.len() < levels
            && let Some((n, inner)) = peel(&elem, b, sizes.len())
        {
            sizes.push(n);
            elem = inner;
        }
        Value::within(&sizes, elem)
    }

    /// `elem` inside arrays of these sizes; the inverse of [`Value::outer`].
    pub fn within(sizes: &[usize], elem: Value<'a>) -> Value<'a> {
        sizes.iter().rev().fold(elem, |v, &n| Value::array(n, v))
    }
}

/// The first axis of a value inside `outer` arrays, and the value without it, where all its arrays have one.
fn peel<'a>(v: &Value<'a>, b: &Builder, outer: usize) -> Option<(usize, Value<'a>)> {
    match v {
        Value::Leaf(a) => Some((*b.ty(*a).shape.get(outer)?, v.clone())),
        Value::Array { n, elem } => Some((*n, (**elem).clone())),
        Value::Record(r) => {
            let mut fields = Vec::with_capacity(r.fields.len());
            let mut size = None;
            for (name, v) in &r.fields {
                let (n, inner) = peel(v, b, outer)?;
                if *size.get_or_insert(n) != n {
                    return None;
                }
                fields.push((*name, inner));
            }
            Some((size?, Value::record(r.name, fields)))
        }
        Value::Tuple(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::Str(_)
        | Value::List(_)
        | Value::Unit
        | Value::Key(_)
        | Value::Function(_)
        | Value::Module(_)
        | Value::Range(..) => None,
    }
}

fn describe(v: &Value, b: &Builder, outer: usize) -> String {
    // A part is told by its type alone.
    let inner = |v: &Value| match v {
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => crate::tracer::own_dtype(v).name().to_string(),
        other => describe(other, b, outer),
    };
    match v {
        Value::Leaf(a) => {
            let t = b.ty(*a);
            type_text(&Type { dtype: t.dtype, shape: t.shape.iter().skip(outer).copied().collect() })
        }
        Value::Int(i) => format!("the whole number {i}"),
        Value::Float(x) => format!("the number {x:?}"),
        Value::Bool(x) => format!("{x}"),
        Value::Str(_) => "a string".to_string(),
        Value::List(items) => format!("a list of {} numbers", items.len()),
        Value::Unit => "()".to_string(),
        Value::Tuple(items) => format!("({})", items.iter().map(inner).collect::<Vec<_>>().join(", ")),
        Value::Record(r) => match r.name {
            Some(of) => of.name().to_string(),
            None => {
                let fields: Vec<String> = r.fields.iter().map(|(n, v)| format!("{n}: {}", inner(v))).collect();
                format!("{{ {} }}", fields.join(", "))
            }
        },
        Value::Array { .. } => {
            let (mut sizes, mut elem) = (Vec::new(), v);
            while let Value::Array { n, elem: e } = elem {
                sizes.push(n.to_string());
                elem = e;
            }
            format!("{}[{}]", describe(elem, b, outer + sizes.len()), sizes.join(", "))
        }
        Value::Key(_) => "Key".to_string(),
        Value::Function(_) => "a function".to_string(),
        Value::Module(_) => "a module".to_string(),
        Value::Range(a, b) => format!("the range {a}..{b}"),
    }
}

pub fn type_text(t: &Type) -> String {
    if t.shape.is_empty() { t.dtype.name().to_string() } else { format!("{}{}", t.dtype.name(), shape_text(&t.shape)) }
}

pub fn shape_text(shape: &[usize]) -> String {
    format!("[{}]", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
}

/// Where two values differ: the path of the part, and what stands on either side.
pub struct Mismatch {
    pub path: String,
    pub left: String,
    pub right: String,
    /// Both are arrays of numbers.
    pub arrays: Option<(Atom, Atom)>,
}

/// Stands for a part that one side lacks.
pub const NO_FIELD: &str = "no such field";

impl Mismatch {
    fn new(left: impl Into<String>, right: impl Into<String>) -> Mismatch {
        Mismatch { path: String::new(), left: left.into(), right: right.into(), arrays: None }
    }

    fn below(mut self, part: &str) -> Mismatch {
        self.path = if self.path.is_empty() { part.to_string() } else { format!("{part}.{}", self.path) };
        self
    }

    /// "`state.x`", or "it" for the whole.
    pub fn place(&self) -> String {
        if self.path.is_empty() { "the value".to_string() } else { format!("`{}`", self.path) }
    }
}

/// Makes the two agree: the same structure, and numbers known while tracing take the type of what stands beside them.
pub fn join<'a>(b: &Builder, x: &Value<'a>, y: &Value<'a>) -> Result<(Value<'a>, Value<'a>), Mismatch> {
    let differ = || Mismatch::new(x.describe(b), y.describe(b));
    let same = || Ok((x.clone(), y.clone()));
    match (x, y) {
        (Value::Leaf(p), Value::Leaf(q)) if b.ty(*p) == b.ty(*q) => same(),
        (Value::Leaf(p), Value::Leaf(q)) => Err(Mismatch { arrays: Some((*p, *q)), ..differ() }),
        (Value::Leaf(p), s) if s.is_static_number() && b.ty(*p).is_scalar() => {
            let lit = static_lit(s, b.ty(*p).dtype).map_err(|_| differ())?;
            Ok((x.clone(), Value::Leaf(lit.into())))
        }
        (s, Value::Leaf(q)) if s.is_static_number() && b.ty(*q).is_scalar() => {
            let lit = static_lit(s, b.ty(*q).dtype).map_err(|_| differ())?;
            Ok((Value::Leaf(lit.into()), y.clone()))
        }
        (Value::Int(p), Value::Int(q)) if p == q => same(),
        (Value::Float(p), Value::Float(q)) if p.to_bits() == q.to_bits() => same(),
        (Value::Bool(p), Value::Bool(q)) if p == q => same(),
        (p, q) if p.is_static_number() && q.is_static_number() => {
            let dtype = match (p, q) {
                (Value::Bool(_), _) => DType::Bool,
                (Value::Int(_), Value::Int(_)) => DType::I32,
                _ => DType::F32,
            };
            let lit = |v| static_lit(v, dtype).map_err(|_| differ());
            Ok((Value::Leaf(lit(p)?.into()), Value::Leaf(lit(q)?.into())))
        }
        (Value::Str(p), Value::Str(q)) if p == q => same(),
        (Value::Unit, Value::Unit) => same(),
        (Value::Range(a, c), Value::Range(d, e)) if a == d && c == e => same(),
        (Value::Module(p), Value::Module(q)) if p == q => same(),
        (Value::Function(p), Value::Function(q)) if p.same(q) => same(),
        (Value::Function(p), Value::Function(q)) => {
            Err(Mismatch::new(format!("the function {}", p.name()), format!("another function, {}", q.name())))
        }
        (Value::List(p), Value::List(q)) if p.len() == q.len() => {
            let equal = p.iter().zip(q.iter()).all(|(p, q)| join(b, p, q).is_ok_and(|(p, _)| p.is_static_number()));
            if equal { same() } else { Err(differ()) }
        }
        (Value::Key(p), Value::Key(q)) if b.ty(p.data[0]) == b.ty(q.data[0]) => same(),
        (Value::Tuple(p), Value::Tuple(q)) if p.len() == q.len() => {
            let parts = p.iter().zip(q.iter()).enumerate();
            let parts: Result<Vec<_>, _> =
                parts.map(|(i, (p, q))| join(b, p, q).map_err(|m| m.below(&i.to_string()))).collect();
            let (p, q) = parts?.into_iter().unzip();
            Ok((Value::tuple(p), Value::tuple(q)))
        }
        (Value::Record(p), Value::Record(q)) => join_records(b, p, q),
        (Value::Array { n, elem: p }, Value::Array { n: m, elem: q }) if n == m => {
            let (p, q) = join(b, p, q)?;
            Ok((Value::array(*n, p), Value::array(*n, q)))
        }
        _ => Err(differ()),
    }
}

/// The fields of `q` in the order of `p`.
fn join_records<'a>(b: &Builder, p: &Record<'a>, q: &Record<'a>) -> Result<(Value<'a>, Value<'a>), Mismatch> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    if !Of::fits(p.name, q.name) {
        let said = |r: &Record<'a>| Value::record(r.name, r.fields.clone()).describe(b);
        return Err(Mismatch::new(said(p), said(q)));
    }
    for (name, v) in &p.fields {
        let w = q.get(name).ok_or_else(|| Mismatch::new(v.describe(b), NO_FIELD).below(name))?;
        let (v, w) = join(b, v, w).map_err(|m| m.below(name))?;
        left.push((*name, v));
        right.push((*name, w));
    }
    if let Some((name, w)) = q.fields.iter().find(|(name, _)| p.get(name).is_none()) {
        return Err(Mismatch::new(NO_FIELD, w.describe(b)).below(name));
    }
    let name = p.name.or(q.name);
    Ok((Value::record(name, left), Value::record(name, right)))
}

/// A number known while tracing, as a literal of a type; the error says why it has none.
pub fn static_lit(v: &Value, dtype: DType) -> Result<Lit, String> {
    let whole = |i: i64, low: i64, high: i64| {
        let fits = (low..=high).contains(&i);
        if fits {
            Ok(i)
        } else {
            Err(format!("{i} does not fit into {}, which goes from {low} to {high}", dtype.name()))
        }
    };
    let half = |x: f64| {
        let lit = Lit::of(dtype, x);
        let fits = lit.to_f64().is_finite() || !x.is_finite();
        if fits { Ok(lit) } else { Err(format!("{x:?} is too large for {}", dtype.name())) }
    };
    match (v, dtype) {
        (Value::Int(i), DType::F32) => Ok(Lit::f32(*i as f32)),
        (Value::Int(i), DType::F64) => Ok(Lit::f64(*i as f64)),
        (Value::Int(i), DType::F16 | DType::BF16) => half(*i as f64),
        (Value::Int(i), DType::I32) => Ok(Lit::i32(whole(*i, i32::MIN as i64, i32::MAX as i64)? as i32)),
        (Value::Int(i), DType::U32) => Ok(Lit::u32(whole(*i, 0, u32::MAX as i64)? as u32)),
        (Value::Int(i), DType::U8) => Ok(Lit::u8(whole(*i, 0, u8::MAX as i64)? as u8)),
        (Value::Float(x), DType::F32) => Ok(Lit::f32(*x as f32)),
        (Value::Float(x), DType::F64) => Ok(Lit::f64(*x)),
        (Value::Float(x), DType::F16 | DType::BF16) => half(*x),
        (Value::Float(x), DType::I32 | DType::U32 | DType::U8) => {
            Err(format!("{x:?} is not a whole number, and the other is {}", dtype.name()))
        }
        (Value::Bool(x), DType::Bool) => Ok(Lit::bool(*x)),
        (Value::Bool(x), DType::F32 | DType::F64 | DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8) => {
            Err(format!("{x} is a bool, and the other is {}", dtype.name()))
        }
        (Value::Int(_) | Value::Float(_), DType::Bool) => Err("a number is not a bool".to_string()),
        (
            Value::Leaf(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Unit
            | Value::Tuple(_)
            | Value::Record(_)
            | Value::Array { .. }
            | Value::Key(_)
            | Value::Function(_)
            | Value::Module(_)
            | Value::Range(..),
            _,
        ) => Err("this is not a number".to_string()),
    }
}
