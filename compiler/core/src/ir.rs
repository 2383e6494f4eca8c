//! Core: the one intermediate language between the traced program and its schedule.
//!
//! A program is a [`Function`]: parameters, and a [`Body`] of statements, each binding the results of one operation.
//! Types are concrete: an element type and a shape of known sizes. Control flow is structured: a [`Form`] holds bodies.
//! Bodies are *open*: they use variables of the bodies around them by name, and every variable of a program is unique,
//! so that there is no capture list and no shadowing. A body that is copied gets fresh variables
//! ([`crate::rewrite::Substitution`]).
//!
//! ```text
//! { %0 : u32, %1 : u32 ->
//!   %2 : f32[4] = map %3 < 4 {
//!     %4 : f32 = index(%9, %3)
//!     %5 : f32 = tanh(%4)
//!     %5
//!   }
//!   %2
//! }
//! ```
//!
//! Semantics, in one paragraph. Everything is pure but `Log` and `Check`. Elementwise primitives take operands of equal shape,
//! or scalars, which broadcast; nothing else broadcasts by itself. An index out of range is clamped into it.
//! Integer arithmetic wraps. Sums have a fixed order: see [`crate::prim::Reduce`]. Keys are pairs of `u32`; Core knows no
//! keys, records or tuples: those are the tracer's.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use whorl_source::Span;

use crate::check::Check;
use crate::halves;
use crate::prim::Prim;

/// The element types.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum DType {
    F32,
    F64,
    /// Of 16 bits, and stored only: Core moves, chooses and converts these two, and computes in `F32` ([`crate::halves`]).
    F16,
    BF16,
    I32,
    U32,
    U8,
    /// Stored as one byte, 0 or 1.
    Bool,
}

impl DType {
    pub const ALL: [DType; 8] =
        [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I32, DType::U32, DType::U8, DType::Bool];

    pub fn bytes(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F16 | DType::BF16 => 2,
            DType::U8 | DType::Bool => 1,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }

    /// Whether it is one of the floats of 16 bits.
    pub fn is_half(self) -> bool {
        matches!(self, DType::F16 | DType::BF16)
    }

    pub fn is_int(self) -> bool {
        matches!(self, DType::I32 | DType::U32 | DType::U8)
    }

    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::I32 => "i32",
            DType::U32 => "u32",
            DType::U8 => "u8",
            DType::Bool => "bool",
        }
    }
}

/// The sizes of an array, outermost first; empty for a scalar.
pub type Shape = SmallVec<[usize; 4]>;

/// An array type; arrays are row-major.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Type {
    pub dtype: DType,
    pub shape: Shape,
}

impl Type {
    pub fn new(dtype: DType, shape: &[usize]) -> Type {
        Type { dtype, shape: shape.into() }
    }

    pub fn scalar(dtype: DType) -> Type {
        Type { dtype, shape: Shape::new() }
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_scalar(&self) -> bool {
        self.shape.is_empty()
    }

    /// This type with `n` in front of its sizes: the type of a `Map`'s result.
    pub fn stacked(&self, n: usize) -> Type {
        let mut shape = Shape::from_slice(&[n]);
        shape.extend_from_slice(&self.shape);
        Type { dtype: self.dtype, shape }
    }
}

/// A variable, by its place in the program's [`Vars`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Var(pub u32);

/// What is known of a variable.
#[derive(Clone, PartialEq, Debug, Hash)]
pub struct VarInfo {
    pub ty: Type,
    /// The user's name for it, for dumps and memory tables; no pass looks at it.
    pub name: Option<Arc<str>>,
}

/// All variables of a program.
#[derive(Clone, Default, PartialEq, Debug, Hash)]
pub struct Vars {
    infos: Vec<VarInfo>,
}

impl Vars {
    pub fn fresh(&mut self, ty: Type) -> Var {
        self.infos.push(VarInfo { ty, name: None });
        Var(self.infos.len() as u32 - 1)
    }

    pub fn ty(&self, v: Var) -> &Type {
        &self.infos[v.0 as usize].ty
    }

    pub fn info(&self, v: Var) -> &VarInfo {
        &self.infos[v.0 as usize]
    }

    pub fn set_name(&mut self, v: Var, name: impl Into<Arc<str>>) {
        self.infos[v.0 as usize].name.get_or_insert(name.into());
    }

    pub fn len(&self) -> usize {
        self.infos.len()
    }

    pub fn is_empty(&self) -> bool {
        self.infos.is_empty()
    }

    pub fn atom_type(&self, a: &Atom) -> Type {
        match a {
            Atom::Var(v) => self.ty(*v).clone(),
            Atom::Lit(l) => Type::scalar(l.dtype),
        }
    }
}

/// A scalar constant: the bits of the value, little end first in the low bytes, zero above.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Lit {
    pub dtype: DType,
    pub bits: u64,
}

impl Lit {
    pub fn f32(x: f32) -> Lit {
        Lit { dtype: DType::F32, bits: x.to_bits() as u64 }
    }
    pub fn f64(x: f64) -> Lit {
        Lit { dtype: DType::F64, bits: x.to_bits() }
    }
    pub fn i32(x: i32) -> Lit {
        Lit { dtype: DType::I32, bits: x as u32 as u64 }
    }
    pub fn u32(x: u32) -> Lit {
        Lit { dtype: DType::U32, bits: x as u64 }
    }
    pub fn u8(x: u8) -> Lit {
        Lit { dtype: DType::U8, bits: x as u64 }
    }
    pub fn bool(x: bool) -> Lit {
        Lit { dtype: DType::Bool, bits: x as u64 }
    }
    /// `x` rounded to `dtype`, to one of 16 bits by way of `f32`; integers saturate, a bool is `x != 0`.
    pub fn of(dtype: DType, x: f64) -> Lit {
        match dtype {
            DType::F32 => Lit::f32(x as f32),
            DType::F64 => Lit::f64(x),
            DType::F16 | DType::BF16 => Lit { dtype, bits: halves::narrowed(dtype, x as f32) as u64 },
            DType::I32 => Lit::i32(x as i32),
            DType::U32 => Lit::u32(x as u32),
            DType::U8 => Lit::u8(x as u8),
            DType::Bool => Lit::bool(x != 0.0),
        }
    }
    pub fn to_f64(self) -> f64 {
        match self.dtype {
            DType::F32 => f32::from_bits(self.bits as u32) as f64,
            DType::F64 => f64::from_bits(self.bits),
            DType::F16 | DType::BF16 => halves::widened(self.dtype, self.bits as u16) as f64,
            DType::I32 => self.bits as u32 as i32 as f64,
            DType::U32 | DType::U8 | DType::Bool => self.bits as f64,
        }
    }
    pub fn zero(dtype: DType) -> Lit {
        Lit { dtype, bits: 0 }
    }
}

/// An operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Atom {
    Var(Var),
    Lit(Lit),
}

impl Atom {
    pub fn var(self) -> Option<Var> {
        match self {
            Atom::Var(v) => Some(v),
            Atom::Lit(_) => None,
        }
    }
}

impl From<Var> for Atom {
    fn from(v: Var) -> Atom {
        Atom::Var(v)
    }
}

impl From<Lit> for Atom {
    fn from(l: Lit) -> Atom {
        Atom::Lit(l)
    }
}

pub type Atoms = SmallVec<[Atom; 3]>;

/// The places in the user's program that a statement comes from; more than one after fusion.
pub type Spans = SmallVec<[Span; 1]>;

/// `outs = op`
#[derive(Clone, PartialEq, Debug, Hash)]
pub struct Stmt {
    pub outs: SmallVec<[Var; 2]>,
    pub op: Op,
    pub spans: Spans,
}

#[derive(Clone, PartialEq, Debug, Hash)]
pub enum Op {
    Prim(Prim, Atoms),
    /// An array known when the program was traced.
    Constant(Arc<ArrayData>),
    Form(Box<Form>),
    Effect(Effect),
}

/// The bytes of an array, row-major, native endian.
#[derive(Clone, PartialEq, Debug, Hash, Serialize, Deserialize)]
pub struct ArrayData {
    pub ty: Type,
    pub bytes: Vec<u8>,
}

/// Statements in order, and the values they are for.
#[derive(Clone, Default, PartialEq, Debug, Hash)]
pub struct Body {
    pub stmts: Vec<Stmt>,
    pub results: Vec<Atom>,
}

/// What holds bodies.
#[derive(Clone, PartialEq, Debug, Hash)]
pub enum Form {
    Map(Map),
    Scan(Scan),
    While(While),
    Switch(Switch),
}

/// `for index in 0..n { body }`: lanes are independent.
///
/// `outs` are the final accumulators, then the remaining results stacked: lane `i`'s is row `i`.
/// An accumulator is a sum that lanes add to: the body's first results are the accumulators' new values, each reached from
/// its parameter only through `add(acc, v)`, `index_add(acc, v, i…)`, and accumulators of inner `Map`s or carries of
/// inner `Scan`s that obey the same rule. Lanes thread it in order 0, 1, …; a schedule may sum in another, fixed order.
/// In scatters, which distribution makes, `index_set(acc, v, i…)` counts as adding where a position is the lane's own: no two lanes set
/// one place.
#[derive(Clone, PartialEq, Debug, Hash)]
pub struct Map {
    pub n: usize,
    /// The lane's number: an `i32` scalar.
    pub index: Var,
    pub accs: Vec<Carry>,
    pub body: Body,
}

/// A variable that a loop carries, and what it starts from; both have one type.
#[derive(Clone, PartialEq, Debug, Hash)]
pub struct Carry {
    pub var: Var,
    pub init: Atom,
}

/// A loop of `n` steps with state. The body's results are the next carries, then what it yields;
/// `outs` are the last carries, then the yielded values stacked by `index` (also when `reverse`, where `index` runs down).
#[derive(Clone, PartialEq, Debug, Hash)]
pub struct Scan {
    pub n: usize,
    pub reverse: bool,
    /// The loop that the host paces (`train scan`).
    pub train: bool,
    pub checkpoint: Checkpoint,
    /// The step's number: an `i32` scalar.
    pub index: Var,
    pub carries: Vec<Carry>,
    pub body: Body,
}

/// Which states of a loop a reverse derivative keeps; between them it runs the loop again. Values do not depend on it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub enum Checkpoint {
    /// Those of all steps.
    #[default]
    Carries,
    /// Those of every so many steps, and of all steps between two of them.
    Every(usize),
    /// About as many as the square root of the number of steps.
    Sqrt,
    /// A derivative has been made: of a loop of `steps` steps the carries that this one yields are kept, of every so many.
    Kept { steps: usize, every: usize },
}

impl Checkpoint {
    /// How many steps of a loop of `n` lie between two states that are kept.
    pub fn every(self, n: usize) -> usize {
        match self {
            Checkpoint::Carries | Checkpoint::Kept { .. } => 1,
            Checkpoint::Every(k) => k.clamp(1, n.max(1)),
            Checkpoint::Sqrt => (1..).find(|k| k * k >= n).unwrap_or(1),
        }
    }
}

/// `while condition { body }`; both read the carries. The condition's one result is a `bool` scalar.
#[derive(Clone, PartialEq, Debug, Hash)]
pub struct While {
    pub carries: Vec<Carry>,
    pub condition: Body,
    pub body: Body,
    /// Stops after so many steps; what gives it a reverse derivative.
    pub max: Option<usize>,
    pub checkpoint: Checkpoint,
}

/// One of the arms, by a `bool` (arms: false, true) or an `i32` (clamped); arms have no parameters.
#[derive(Clone, PartialEq, Debug, Hash)]
pub struct Switch {
    pub which: Atom,
    pub arms: Vec<Body>,
}

/// What a statement does beside computing; no `outs`.
#[derive(Clone, PartialEq, Debug, Hash)]
pub enum Effect {
    /// Records `value` under `name`, where `mask` (a `bool` of the value's shape, or a scalar) holds.
    Log { name: Arc<str>, value: Atom, mask: Atom },
    /// Stops the run unless the check holds for every element of the first value, where `mask` does. The other values and the
    /// mask have its shape, or are scalars.
    Check { check: Arc<Check>, values: Atoms, mask: Atom },
}

/// Parameters and a body.
#[derive(Clone, Default, PartialEq, Debug, Hash)]
pub struct Function {
    pub params: Vec<Var>,
    pub body: Body,
}

/// A whole program: one function and its variables.
#[derive(Clone, Default, PartialEq, Debug, Hash)]
pub struct Program {
    pub vars: Vars,
    pub main: Function,
}
