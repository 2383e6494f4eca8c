//! How primitives are written in the textual form: `name[attribute=…](operands)`. Each row is read in both directions.

use smallvec::SmallVec;

use crate::ir::{DType, Shape};
use crate::prim::*;

macro_rules! names {
    ($enum:ident { $($variant:ident: $name:literal),* $(,)? }) => {
        impl $enum {
            pub const ALL: &[$enum] = &[$($enum::$variant),*];

            /// As in the textual form.
            pub fn name(self) -> &'static str {
                match self { $($enum::$variant => $name),* }
            }

            pub fn from_name(name: &str) -> Option<$enum> {
                match name { $($name => Some($enum::$variant),)* _ => None }
            }
        }
    };
}

macro_rules! names_of_unary {
    ($($function:ident $name:literal $module:ident::$definition:ident $cost:literal;)*) => {
        names!(Unary {
            Neg: "neg",
            Abs: "abs",
            Sign: "sign",
            Floor: "floor",
            Ceil: "ceil",
            Round: "round",
            Sqrt: "sqrt",
            $($function: $name,)*
            Not: "not",
            PopCount: "pop_count",
        });
    };
}

whorl_kernels::with_functions_of_one_float!(names_of_unary);

names!(Binary {
    Add: "add",
    Sub: "sub",
    Mul: "mul",
    Div: "div",
    Rem: "rem",
    Pow: "pow",
    Atan2: "atan2",
    Min: "min",
    Max: "max",
    And: "and",
    Or: "or",
    Xor: "xor",
    Shl: "shl",
    Shr: "shr",
    ShrLogical: "shr_logical",
});

names!(Compare { Eq: "eq", Ne: "ne", Lt: "lt", Le: "le", Gt: "gt", Ge: "ge" });

names!(Monoid { Sum: "sum", Prod: "prod", Max: "max", Min: "min", All: "all", Any: "any" });

/// What stands behind an attribute's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attribute {
    Sizes(SmallVec<[usize; 4]>),
    DType(DType),
    Monoid(Monoid),
    /// There or not.
    Flag,
}

pub type Attributes = Vec<(&'static str, Attribute)>;

impl Prim {
    /// As in the textual form, without attributes.
    pub fn name(&self) -> &'static str {
        match self {
            Prim::Unary(op) => op.name(),
            Prim::Binary(op) => op.name(),
            Prim::Compare(op) => op.name(),
            Prim::Select => "select",
            Prim::MulAdd => "mul_add",
            Prim::Convert(_) => "convert",
            Prim::Bitcast(_) => "bitcast",
            Prim::StopGradient => "stop_gradient",
            Prim::Custom(_) => "custom",
            Prim::Threefry => "threefry",
            Prim::Iota(_) => "iota",
            Prim::Broadcast { .. } => "broadcast",
            Prim::Reshape(_) => "reshape",
            Prim::Transpose(_) => "transpose",
            Prim::Slice { .. } => "slice",
            Prim::Pad { .. } => "pad",
            Prim::Reverse(_) => "reverse",
            Prim::Concat(_) => "concat",
            Prim::Index(_) => "index",
            Prim::IndexSet(_) => "index_set",
            Prim::IndexAdd(_) => "index_add",
            Prim::Reduce(_) => "reduce",
            Prim::ArgMax(_) => "argmax",
            Prim::ArgMin(_) => "argmin",
            Prim::Cumulative { .. } => "cumulative",
            Prim::Dot(_) => "dot",
            Prim::Sort { .. } => "sort",
        }
    }

    /// All that is fixed at compile time, by name.
    pub fn attributes(&self) -> Attributes {
        let sizes = |s: &[usize]| Attribute::Sizes(s.into());
        match self {
            Prim::Unary(_) | Prim::Binary(_) | Prim::Compare(_) => Vec::new(),
            Prim::Select | Prim::MulAdd | Prim::StopGradient | Prim::Custom(_) | Prim::Threefry => Vec::new(),
            Prim::Convert(to) | Prim::Bitcast(to) => vec![("to", Attribute::DType(*to))],
            Prim::Iota(n) => vec![("n", sizes(&[*n]))],
            Prim::Broadcast { shape, axes } => vec![("shape", sizes(shape)), ("axes", sizes(axes))],
            Prim::Reshape(shape) => vec![("shape", sizes(shape))],
            Prim::Transpose(perm) => vec![("perm", sizes(perm))],
            Prim::Slice { starts, shape, strides } => {
                vec![("starts", sizes(starts)), ("shape", sizes(shape)), ("strides", sizes(strides))]
            }
            Prim::Pad { low, high, interior } => {
                vec![("low", sizes(low)), ("high", sizes(high)), ("interior", sizes(interior))]
            }
            Prim::Reverse(axes) => vec![("axes", sizes(axes))],
            Prim::Concat(axis) | Prim::ArgMax(axis) | Prim::ArgMin(axis) => vec![("axis", sizes(&[*axis]))],
            Prim::Index(window) | Prim::IndexSet(window) | Prim::IndexAdd(window) => {
                window.iter().map(|w| ("window", sizes(&[*w]))).collect()
            }
            Prim::Reduce(r) => vec![("op", Attribute::Monoid(r.op)), ("axes", sizes(&r.axes))],
            Prim::Cumulative { op, axis, reverse } => {
                let mut all = vec![("op", Attribute::Monoid(*op)), ("axis", sizes(&[*axis]))];
                if *reverse {
                    all.push(("reverse", Attribute::Flag));
                }
                all
            }
            Prim::Dot(d) => {
                let axes = [
                    ("lhs_batch", &d.lhs_batch),
                    ("rhs_batch", &d.rhs_batch),
                    ("lhs_contract", &d.lhs_contract),
                    ("rhs_contract", &d.rhs_contract),
                ];
                axes.into_iter().filter(|(_, a)| !a.is_empty()).map(|(name, a)| (name, sizes(a))).collect()
            }
            Prim::Sort { axis, keys } => vec![("axis", sizes(&[*axis])), ("keys", sizes(&[*keys]))],
        }
    }

    /// The primitive of this name and these attributes; says what is wrong with them otherwise.
    pub fn from_text(name: &str, attributes: Vec<(String, Attribute)>) -> Result<Prim, String> {
        let mut a = Given(attributes);
        let prim = match name {
            "select" => Prim::Select,
            "mul_add" => Prim::MulAdd,
            "convert" => Prim::Convert(a.dtype("to")?),
            "bitcast" => Prim::Bitcast(a.dtype("to")?),
            "stop_gradient" => Prim::StopGradient,
            "threefry" => Prim::Threefry,
            "iota" => Prim::Iota(a.one("n")?),
            "broadcast" => Prim::Broadcast { shape: a.sizes("shape")?, axes: a.sizes("axes")? },
            "reshape" => Prim::Reshape(a.sizes("shape")?),
            "transpose" => Prim::Transpose(a.sizes("perm")?),
            "slice" => {
                Prim::Slice { starts: a.sizes("starts")?, shape: a.sizes("shape")?, strides: a.sizes("strides")? }
            }
            "pad" => Prim::Pad { low: a.sizes("low")?, high: a.sizes("high")?, interior: a.sizes("interior")? },
            "reverse" => Prim::Reverse(a.sizes("axes")?),
            "concat" => Prim::Concat(a.one("axis")?),
            "argmax" => Prim::ArgMax(a.one("axis")?),
            "argmin" => Prim::ArgMin(a.one("axis")?),
            "index" => Prim::Index(a.window()?),
            "index_set" => Prim::IndexSet(a.window()?),
            "index_add" => Prim::IndexAdd(a.window()?),
            "reduce" => Prim::Reduce(Reduce { op: a.monoid("op")?, axes: a.sizes("axes")? }),
            "cumulative" => {
                let (op, axis) = (a.monoid("op")?, a.one("axis")?);
                Prim::Cumulative { op, axis, reverse: a.take("reverse").is_some() }
            }
            "dot" => Prim::Dot(Dot {
                lhs_batch: a.axes("lhs_batch")?,
                rhs_batch: a.axes("rhs_batch")?,
                lhs_contract: a.axes("lhs_contract")?,
                rhs_contract: a.axes("rhs_contract")?,
            }),
            "sort" => Prim::Sort { axis: a.one("axis")?, keys: a.one("keys")? },
            _ => (Unary::from_name(name).map(Prim::Unary))
                .or(Binary::from_name(name).map(Prim::Binary))
                .or(Compare::from_name(name).map(Prim::Compare))
                .ok_or_else(|| format!("no primitive is called `{name}`"))?,
        };
        match a.0.first() {
            Some((extra, _)) => Err(format!("`{name}` has no attribute `{extra}`")),
            None => Ok(prim),
        }
    }
}

/// Attributes that were read and not used yet.
struct Given(Vec<(String, Attribute)>);

impl Given {
    fn take(&mut self, name: &str) -> Option<Attribute> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    fn sizes(&mut self, name: &str) -> Result<Shape, String> {
        match self.take(name) {
            Some(Attribute::Sizes(s)) => Ok(s),
            _ => Err(format!("sizes `{name}=` are missing")),
        }
    }

    fn one(&mut self, name: &str) -> Result<usize, String> {
        match self.sizes(name)?[..] {
            [n] => Ok(n),
            _ => Err(format!("`{name}=` takes one number")),
        }
    }

    fn dtype(&mut self, name: &str) -> Result<DType, String> {
        match self.take(name) {
            Some(Attribute::DType(d)) => Ok(d),
            _ => Err(format!("the type `{name}=` is missing")),
        }
    }

    fn monoid(&mut self, name: &str) -> Result<Monoid, String> {
        match self.take(name) {
            Some(Attribute::Monoid(op)) => Ok(op),
            _ => Err(format!("the operation `{name}=` is missing")),
        }
    }

    fn window(&mut self) -> Result<Option<usize>, String> {
        match self.0.iter().any(|(n, _)| n == "window") {
            true => self.one("window").map(Some),
            false => Ok(None),
        }
    }

    /// None, if they are not given.
    fn axes(&mut self, name: &str) -> Result<SmallVec<[usize; 2]>, String> {
        match self.take(name) {
            None => Ok(SmallVec::new()),
            Some(Attribute::Sizes(s)) => Ok(s.into_iter().collect()),
            Some(_) => Err(format!("`{name}=` takes axes")),
        }
    }
}
