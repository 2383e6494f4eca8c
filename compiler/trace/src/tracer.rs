//! What is known while tracing: the program so far, and where we are in the user's.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use whorl_core::{ArrayData, Atom, Builder, DType, Lit, Prim, Type};
use whorl_source::{Diagnostic, Span};

use crate::keys::Uses;
use crate::origin::Origins;
use crate::report::{Call, OUTSIDE};
use crate::save::Saves;
use crate::script::{ItemId, ModuleId, Script};
use crate::tree::static_lit;
use crate::value::{Env, R, Value};

pub struct Tracer<'a> {
    pub script: &'a Script,
    pub b: Builder,
    /// The module whose text is being traced.
    pub module: ModuleId,
    /// The function whose body is being traced; empty for one without a name, [`OUTSIDE`] in none.
    pub function: &'a str,
    /// How many loops are open around here.
    pub loops: usize,
    /// Where the calls are written that lead here, outermost first.
    pub stack: Vec<Call<'a>>,
    /// How many calls were followed.
    pub calls: usize,
    /// How many of these are the compiler's own.
    pub own_calls: usize,
    /// Counts closures.
    pub serial: usize,
    pub keys: Uses,
    /// What the body of each open scan yielded; `None` in front of a function's body, out of which nothing is yielded.
    pub yields: Vec<Option<Yielded<'a>>>,
    /// Values of modules that needed no statement, by their `let`.
    pub lets: HashMap<ItemId, Env<'a>>,
    /// Values of modules and params being computed, to find circles.
    pub open: HashSet<ItemId>,
    /// Params are numbers known while tracing: while defaults and bounds are computed.
    pub plain_params: bool,
    /// Params that are inputs of the program.
    pub param_inputs: HashMap<ItemId, whorl_core::Var>,
    pub warnings: Vec<Diagnostic>,
    pub errors: Vec<Diagnostic>,
    pub origins: Origins,
    /// Counts what was recorded and asserted.
    pub effects: usize,
    pub saves: Saves,
}

pub struct Yielded<'a> {
    /// How many bodies are open in the scan's own body.
    pub depth: usize,
    pub value: Option<(Value<'a>, Span)>,
    /// What was to be yielded could not be traced.
    pub broken: bool,
}

pub fn fail<T>(e: Diagnostic) -> R<T> {
    Err(Box::new(e))
}

impl<'a> Tracer<'a> {
    pub fn new(script: &'a Script) -> Tracer<'a> {
        Tracer {
            script,
            b: Builder::default(),
            module: ModuleId::MAIN,
            function: OUTSIDE,
            loops: 0,
            stack: Vec::new(),
            calls: 0,
            own_calls: 0,
            serial: 0,
            keys: Uses::default(),
            yields: Vec::new(),
            lets: HashMap::new(),
            open: HashSet::new(),
            plain_params: false,
            param_inputs: HashMap::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
            origins: Origins::default(),
            effects: 0,
            saves: Saves::default(),
        }
    }

    /// A primitive on operands that the caller believes to fit; if they do not, an error rather than a panic.
    pub fn prim(&mut self, prim: Prim, args: &[Atom], span: Span) -> R<Atom> {
        let types: Vec<Type> = args.iter().map(|a| self.b.ty(*a)).collect();
        if let Err(e) = prim.result_types(&types) {
            return fail(Diagnostic::error("E0201", "these operands do not fit").at(span, e.0));
        }
        Ok(self.b.prim1(prim, args))
    }

    /// A number or an array of numbers as an operand; numbers known while tracing become `dtype`, or `i32` and `f32`.
    pub fn atom(&mut self, v: &Value<'a>, dtype: Option<DType>, span: Span) -> R<Atom> {
        match v {
            Value::Leaf(a) => Ok(*a),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                let dtype = dtype.unwrap_or(own_dtype(v));
                static_lit(v, dtype).map(Atom::Lit).or_else(|why| {
                    let e = Diagnostic::error("E0207", "a literal does not fit here").at(span, why);
                    fail(match (v, dtype.is_int()) {
                        (Value::Float(_), true) => e.help("convert the other first: `f32(i)`"),
                        _ => e,
                    })
                })
            }
            Value::List(items) => {
                let dtype = dtype.unwrap_or(items.iter().map(own_dtype).reduce(wider).unwrap_or(DType::F32));
                let lits: Result<Vec<Lit>, String> = items.iter().map(|v| static_lit(v, dtype)).collect();
                match lits {
                    Ok(lits) => Ok(self.b.constant(Arc::new(ArrayData::from_lits(dtype, &[lits.len()], &lits)))),
                    Err(why) => fail(Diagnostic::error("E0207", "a literal does not fit here").at(span, why)),
                }
            }
            Value::Range(from, to) => {
                let iota = self.b.prim1(Prim::Iota((to - from).max(0) as usize), &[]);
                let moved = if *from == 0 { iota } else { self.b.add(iota, Lit::i32(*from as i32).into()) };
                match dtype {
                    Some(d) if d != DType::I32 => self.prim(Prim::Convert(d), &[moved], span),
                    _ => Ok(moved),
                }
            }
            Value::Str(_)
            | Value::Unit
            | Value::Tuple(_)
            | Value::Record(_)
            | Value::Array { .. }
            | Value::Key(_)
            | Value::Function(_)
            | Value::Module(_) => {
                let e = Diagnostic::error("E0206", "a number is needed here");
                let e = e.at(span, format!("this is {}", v.describe(&self.b)));
                fail(match v {
                    Value::Function(f) => e.help(format!("a function is called with parentheses: `{}(…)`", f.name())),
                    Value::Str(_) => e.help("strings are names of what is logged, and are not computed with"),
                    Value::Tuple(parts) => {
                        let names = ["a", "b", "c", "d"][..parts.len().min(4)].join(", ");
                        e.help(format!("a tuple is taken apart: `let ({names}) = …`, or `.0`, `.1`"))
                    }
                    Value::Unit => {
                        e.help("the last line of a block is its value; a block that ends in a `let` has none")
                    }
                    Value::Key(_) => e.help("a key gives random numbers: `uniform(key)`, `normal(key, n)`"),
                    _ => e,
                })
            }
        }
    }

    /// The value with its numbers in the program: ready to go through a loop or into an array.
    pub fn settle(&mut self, v: &Value<'a>, span: Span) -> R<Value<'a>> {
        Ok(match v {
            Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::List(_) | Value::Range(..) => {
                Value::Leaf(self.atom(v, None, span)?)
            }
            Value::Tuple(items) => Value::tuple(items.iter().map(|v| self.settle(v, span)).collect::<R<_>>()?),
            Value::Record(r) => {
                let fields = r.fields.iter().map(|(n, v)| Ok((*n, self.settle(v, span)?))).collect::<R<_>>()?;
                Value::record(r.name, fields)
            }
            Value::Leaf(_)
            | Value::Str(_)
            | Value::Unit
            | Value::Array { .. }
            | Value::Key(_)
            | Value::Function(_)
            | Value::Module(_) => v.clone(),
        })
    }

    /// Lists become arrays, before a body ends in which they would have to be made.
    pub fn settle_lists(&mut self, v: &Value<'a>, span: Span) -> R<Value<'a>> {
        Ok(match v {
            Value::List(_) => Value::Leaf(self.atom(v, None, span)?),
            Value::Tuple(items) => Value::tuple(items.iter().map(|v| self.settle_lists(v, span)).collect::<R<_>>()?),
            Value::Record(r) => {
                let fields = r.fields.iter().map(|(n, v)| Ok((*n, self.settle_lists(v, span)?))).collect::<R<_>>()?;
                Value::record(r.name, fields)
            }
            Value::Int(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::Range(..)
            | Value::Leaf(_)
            | Value::Str(_)
            | Value::Unit
            | Value::Array { .. }
            | Value::Key(_)
            | Value::Function(_)
            | Value::Module(_) => v.clone(),
        })
    }

    /// [`Value::arrayed`], with lists in the fields made into arrays first.
    pub fn arrayed(&mut self, v: &Value<'a>, levels: usize, span: Span) -> R<Value<'a>> {
        let v = if matches!(v, Value::Record(_)) { self.settle_lists(v, span)? } else { v.clone() };
        Ok(v.arrayed(&self.b, levels))
    }

    /// A size or an axis: a whole number known while tracing.
    pub fn size(&mut self, v: &Value<'a>, span: Span) -> R<usize> {
        let what = match v {
            Value::Int(i) if *i >= 0 => return Ok(*i as usize),
            Value::Int(i) => format!("this is {i}"),
            Value::Leaf(a) => {
                let e = Diagnostic::error("E0105", "a size must be known before the program runs");
                let e = e.at(span, format!("this is {}, known when it runs", Value::Leaf(*a).describe(&self.b)));
                let param = self.script.knob_at(self.source_text(span).unwrap_or(""), self.module);
                return fail(e.help(if param {
                    "declare it with `size` in place of `param`".to_string()
                } else {
                    "a `size` is known, and so is what follows from sizes and literals (as a parameter: without a type, or `n: size`)\n\
                     of a number that the run computes, make room for the most and mask: `where(arange(most) < n, xs, 0.0)`"
                        .to_string()
                }));
            }
            Value::Float(x) => format!("this is {x:?}"),
            other => format!("this is {}", other.describe(&self.b)),
        };
        fail(Diagnostic::error("E0105", "a size is a whole number, 0 or more").at(span, what))
    }

    /// A string known while tracing.
    pub fn string(&self, v: &Value<'a>, span: Span) -> R<std::rc::Rc<str>> {
        match v {
            Value::Str(s) => Ok(s.clone()),
            other => {
                let e = Diagnostic::error("E0206", "a string is needed here");
                fail(e.at(span, format!("this is {}", other.describe(&self.b))))
            }
        }
    }

    /// `true` or `false`, known while tracing.
    pub fn flag(&self, v: &Value<'a>, span: Span) -> R<bool> {
        match v {
            Value::Bool(x) => Ok(*x),
            _ => fail(Diagnostic::error("E0206", "`true` or `false` is needed here").at(span, "")),
        }
    }
}

/// The element type of a number that nothing else decides.
pub fn own_dtype(v: &Value) -> DType {
    match v {
        Value::Float(_) => DType::F32,
        Value::Bool(_) => DType::Bool,
        _ => DType::I32,
    }
}

pub fn wider(a: DType, b: DType) -> DType {
    if a == DType::I32 { b } else { a }
}
