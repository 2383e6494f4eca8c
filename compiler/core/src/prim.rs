//! The primitives of Core, and the type rule of each.
//!
//! What else is known of a primitive sits in tables of the same order: derivative and transpose in `whorl-transform`, values in
//! [`crate::interp`], emission in the backends.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
pub use whorl_kernels::math::MathFn;

use crate::ir::{DType, Function, Lit, Shape, Type};

/// Elementwise, one operand, same type out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Unary {
    Neg,
    Abs,
    /// -1, 0 or 1; NaN for NaN.
    Sign,
    Floor,
    Ceil,
    /// To the nearest, ties to even.
    Round,
    Sqrt,
    /// An elementary function, in one table for all machines; [`Unary::Exp`] and the others are short for these.
    Math(MathFn),
    /// Of a bool, the other; of an integer, its bits inverted.
    Not,
    /// Bits set in an integer.
    PopCount,
}

/// Elementwise, two operands of one element type, the same type out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    /// Integers: towards zero; by zero, all bits set.
    Div,
    /// The remainder of `Div` (sign of the dividend); by zero, the dividend.
    Rem,
    Pow,
    Atan2,
    /// `a < b or a is NaN ? a : b`: NaN in either operand gives NaN.
    Min,
    /// `a > b or a is NaN ? a : b`
    Max,
    /// Of bools or of bits.
    And,
    Or,
    Xor,
    /// Zero where the shift is not below the width.
    Shl,
    /// Arithmetic for `i32`, logical for unsigned.
    Shr,
    ShrLogical,
}

/// Elementwise, two operands of one element type, `bool` out. False where an operand is NaN, but `Ne`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// The monoids of reductions: [`Reduce`], cumulative operations and accumulations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Monoid {
    Sum,
    Prod,
    Max,
    Min,
    /// Of bools.
    All,
    Any,
}

impl Monoid {
    /// One step of it.
    pub fn binary(self) -> Binary {
        match self {
            Monoid::Sum => Binary::Add,
            Monoid::Prod => Binary::Mul,
            Monoid::Max => Binary::Max,
            Monoid::Min => Binary::Min,
            Monoid::All => Binary::And,
            Monoid::Any => Binary::Or,
        }
    }

    /// What changes nothing, of a type that it is for.
    pub fn identity(self, dtype: DType) -> Lit {
        match self {
            Monoid::Sum => Lit::zero(dtype),
            Monoid::Prod => Lit::of(dtype, 1.0),
            Monoid::Max => Lit::of(dtype, f64::NEG_INFINITY),
            Monoid::Min => Lit::of(dtype, f64::INFINITY),
            Monoid::All => Lit::bool(true),
            Monoid::Any => Lit::bool(false),
        }
    }
}

/// Reduction over `axes` (ascending, distinct), which disappear.
///
/// The order is part of the meaning. Number the reduced elements of one result row-major, r = 0, 1, ….
/// If the axes are the last ones of the operand (a suffix), there are 16 partial results, `p[l]` folding the elements with
/// r mod 16 = l upward from the identity, and then, for w = 8, 4, 2, 1, `p[l] = p[l] op p[l + w]` for l < w; the result is `p[0]`.
/// Otherwise they are folded upward from the identity, one after the other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reduce {
    pub op: Monoid,
    pub axes: SmallVec<[usize; 4]>,
}

/// The general product of arrays, `jax.lax.dot_general`: sums over pairs of contracted axes, keeps pairs of batch axes.
/// Result axes: batch, then the free axes of the left operand, then those of the right, each in order.
/// Every element is `fma`-accumulated from +0 over the contracted index, upward, row-major over several contracted axes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Dot {
    pub lhs_batch: SmallVec<[usize; 2]>,
    pub rhs_batch: SmallVec<[usize; 2]>,
    pub lhs_contract: SmallVec<[usize; 2]>,
    pub rhs_contract: SmallVec<[usize; 2]>,
}

/// A function with a reverse derivative of the user's: `(x…, y…, rest…) -> y…`, the y computed by other statements. Its
/// tangents are the same with `pull`, `(x'…, y…, rest…) -> y'…`, which only its transpose has a meaning for. Tracing takes both
/// out of finished programs.
#[derive(Clone, Debug)]
pub struct Custom {
    pub rule: Arc<CustomRule>,
    pub pull: bool,
}

/// How many x and y there are, and the cotangents of the x: a function of the rest and of the cotangents of the y, which
/// uses nothing from outside.
#[derive(Debug)]
pub struct CustomRule {
    pub inputs: usize,
    pub outputs: usize,
    pub backward: Function,
}

impl PartialEq for Custom {
    fn eq(&self, other: &Custom) -> bool {
        Arc::ptr_eq(&self.rule, &other.rule) && self.pull == other.pull
    }
}

impl Eq for Custom {}

impl std::hash::Hash for Custom {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (Arc::as_ptr(&self.rule) as usize, self.pull).hash(state);
    }
}

/// A primitive, with what is fixed at compile time. Operands are written behind each.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Prim {
    // Elementwise: equal shapes, or scalars, which broadcast.
    Unary(Unary),
    Binary(Binary),
    Compare(Compare),
    /// `(c: bool, a, b)`: a where c, else b.
    Select,
    /// `(a, b, c)`: a * b + c, rounded once.
    MulAdd,
    /// `(x)`: to another element type. Float to integer truncates and saturates, NaN gives 0; to bool is `x != 0`.
    Convert(DType),
    /// `(x)`: the same bits as an element type of the same width.
    Bitcast(DType),
    /// `(x)`: x, with no derivative.
    StopGradient,
    /// The user's own derivative, in programs that are being traced; see [`Custom`].
    Custom(Custom),
    /// `(k0, k1, c0, c1: u32) -> (u32, u32)`: the block of Threefry-2x32, 20 rounds (Salmon et al., 2011).
    Threefry,

    // Arrays from less.
    /// `()`: 0, 1, …, n - 1 as `i32[n]`.
    Iota(usize),
    /// `(x)`: to `shape`; axis k of x becomes axis `axes[k]` (ascending), the other axes repeat.
    Broadcast {
        shape: Shape,
        axes: SmallVec<[usize; 4]>,
    },

    // Rearrangement.
    /// `(x)`: the same elements in row-major order.
    Reshape(Shape),
    /// `(x)`: axis k of the result is axis `perm[k]` of x.
    Transpose(SmallVec<[usize; 4]>),
    /// `(x)`: from `starts`, `shape` elements, every `strides`-th, on each axis.
    Slice {
        starts: Shape,
        shape: Shape,
        strides: Shape,
    },
    /// `(x, fill)`: `low` and `high` elements of the scalar `fill` around each axis, and `interior` between neighbours.
    Pad {
        low: Shape,
        high: Shape,
        interior: Shape,
    },
    /// `(x)`: these axes run backward.
    Reverse(SmallVec<[usize; 4]>),
    /// `(x…)`: joined along an axis.
    Concat(usize),

    // Access by run-time positions: `i…` are `i32` scalars for the leading axes of x, each clamped into its axis. With
    // `Some(w)`, the last of them is the start of a window of w elements on its axis (clamped so that the window fits),
    // and that axis stays, of size w.
    /// `(x, i…)`
    Index(Option<usize>),
    /// `(x, v, i…)`: x with that place set to v.
    IndexSet(Option<usize>),
    /// `(x, v, i…)`: x with v added at that place.
    IndexAdd(Option<usize>),

    // Over whole axes.
    /// `(x)`
    Reduce(Reduce),
    /// `(x) -> i32`: the place of the first maximum along an axis (NaN counts as larger than all).
    ArgMax(usize),
    /// `(x) -> i32`: the place of the first minimum along an axis (NaN counts as smaller than all).
    ArgMin(usize),
    /// `(x)`: prefix results along an axis, from the end if `reverse`, one after the other.
    Cumulative {
        op: Monoid,
        axis: usize,
        reverse: bool,
    },
    /// `(a, b)`
    Dot(Dot),
    /// `(key_1, …, key_k, payload…)`, one shape: all reordered along `axis` so that the keys ascend lexicographically; stable.
    /// Floats are ordered -inf < … -0 = +0 … inf < NaN; all NaNs are equal, whatever their sign, which machines do not agree on.
    Sort {
        axis: usize,
        keys: usize,
    },
}

/// What is wrong with operands, for the compiler's own developers: tracing checks the user's program before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypeError(pub String);

macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition { return Err(TypeError(format!($($message)*))); }
    };
}

impl Prim {
    /// Whether it works on each element by itself, so that it means the same inside and around a `Map`.
    pub fn is_elementwise(&self) -> bool {
        use Prim::*;
        match self {
            Unary(_) | Binary(_) | Compare(_) | Select | MulAdd | Convert(_) | Bitcast(_) | StopGradient | Threefry => {
                true
            }
            Custom(_)
            | Iota(_)
            | Broadcast { .. }
            | Reshape(_)
            | Transpose(_)
            | Slice { .. }
            | Pad { .. }
            | Reverse(_)
            | Concat(_)
            | Index(_)
            | IndexSet(_)
            | IndexAdd(_)
            | Reduce(_)
            | ArgMax(_)
            | ArgMin(_)
            | Cumulative { .. }
            | Dot(_)
            | Sort { .. } => false,
        }
    }

    /// The types of the results for operands of these types.
    pub fn result_types(&self, args: &[Type]) -> Result<SmallVec<[Type; 2]>, TypeError> {
        use Prim::*;
        let arity = match self {
            Iota(_) => 0..=0,
            Unary(_)
            | Convert(_)
            | Bitcast(_)
            | StopGradient
            | Broadcast { .. }
            | Reshape(_)
            | Transpose(_)
            | Slice { .. }
            | Reverse(_)
            | Reduce(_)
            | ArgMax(_)
            | ArgMin(_)
            | Cumulative { .. } => 1..=1,
            Binary(_) | Compare(_) | Pad { .. } | Dot(_) => 2..=2,
            Select | MulAdd => 3..=3,
            Threefry => 4..=4,
            Custom(c) => c.rule.inputs + c.rule.outputs..=usize::MAX,
            Concat(_) | Index(_) => 1..=usize::MAX,
            IndexSet(_) | IndexAdd(_) => 2..=usize::MAX,
            Sort { keys, .. } => *keys..=usize::MAX,
        };
        ensure!(arity.contains(&args.len()), "{self:?} of {} operands", args.len());
        let one = |t: Type| Ok(SmallVec::from_iter([t]));
        match self {
            Unary(op) => {
                unary_dtype(*op, args[0].dtype)?;
                one(args[0].clone())
            }
            Binary(op) => {
                let shape = elementwise_shape(args)?;
                binary_dtype(*op, args[0].dtype)?;
                same_dtype(args)?;
                one(Type { dtype: args[0].dtype, shape })
            }
            Compare(_) => {
                same_dtype(args)?;
                one(Type { dtype: DType::Bool, shape: elementwise_shape(args)? })
            }
            Select => {
                ensure!(args[0].dtype == DType::Bool, "select by {}", args[0].dtype.name());
                same_dtype(&args[1..])?;
                one(Type { dtype: args[1].dtype, shape: elementwise_shape(args)? })
            }
            MulAdd => {
                same_dtype(args)?;
                ensure!(args[0].dtype.is_float(), "mul_add of {}", args[0].dtype.name());
                one(Type { dtype: args[0].dtype, shape: elementwise_shape(args)? })
            }
            Convert(d) => one(Type { dtype: *d, shape: args[0].shape.clone() }),
            Bitcast(d) => {
                ensure!(d.bytes() == args[0].dtype.bytes(), "bitcast {} to {}", args[0].dtype.name(), d.name());
                one(Type { dtype: *d, shape: args[0].shape.clone() })
            }
            StopGradient => one(args[0].clone()),
            Custom(c) => Ok(args[c.rule.inputs..c.rule.inputs + c.rule.outputs].iter().cloned().collect()),
            Threefry => {
                ensure!(args.iter().all(|t| t.dtype == DType::U32), "threefry takes u32");
                let t = Type { dtype: DType::U32, shape: elementwise_shape(args)? };
                Ok(SmallVec::from_iter([t.clone(), t]))
            }
            Iota(n) => one(Type::new(DType::I32, &[*n])),
            Broadcast { shape, axes } => {
                ensure!(axes.len() == args[0].rank(), "broadcast of {:?} by axes {axes:?}", args[0].shape);
                ensure!(axes.windows(2).all(|w| w[0] < w[1]), "broadcast axes {axes:?} do not ascend");
                for (k, &a) in axes.iter().enumerate() {
                    ensure!(
                        shape.get(a) == Some(&args[0].shape[k]),
                        "broadcast of {:?} to {shape:?} by {axes:?}",
                        args[0].shape
                    );
                }
                one(Type { dtype: args[0].dtype, shape: shape.clone() })
            }
            Reshape(shape) => {
                ensure!(shape.iter().product::<usize>() == args[0].size(), "reshape {:?} to {shape:?}", args[0].shape);
                one(Type { dtype: args[0].dtype, shape: shape.clone() })
            }
            Transpose(perm) => {
                let mut seen = perm.to_vec();
                seen.sort_unstable();
                ensure!(seen.iter().copied().eq(0..args[0].rank()), "transpose {:?} by {perm:?}", args[0].shape);
                one(Type { dtype: args[0].dtype, shape: perm.iter().map(|&a| args[0].shape[a]).collect() })
            }
            Slice { starts, shape, strides } => {
                let r = args[0].rank();
                ensure!(starts.len() == r && shape.len() == r && strides.len() == r, "slice of rank {r}");
                for k in 0..r {
                    let last = if shape[k] == 0 { 0 } else { starts[k] + (shape[k] - 1) * strides[k] + 1 };
                    ensure!(
                        last <= args[0].shape[k] && strides[k] > 0,
                        "slice axis {k} of {:?} out of range",
                        args[0].shape
                    );
                }
                one(Type { dtype: args[0].dtype, shape: shape.clone() })
            }
            Pad { low, high, interior } => {
                let r = args[0].rank();
                ensure!(
                    low.len() == r && high.len() == r && interior.len() == r && args[1].is_scalar(),
                    "pad of rank {r}"
                );
                same_dtype(args)?;
                let size = |k: usize| {
                    let n: usize = args[0].shape[k];
                    low[k] + n + n.saturating_sub(1) * interior[k] + high[k]
                };
                one(Type { dtype: args[0].dtype, shape: (0..r).map(size).collect() })
            }
            Reverse(axes) => {
                ensure!(axes.iter().all(|&a| a < args[0].rank()), "reverse axes {axes:?} of {:?}", args[0].shape);
                one(args[0].clone())
            }
            Concat(axis) => {
                same_dtype(args)?;
                let mut t = args[0].clone();
                ensure!(*axis < t.rank(), "concat along axis {axis} of {:?}", t.shape);
                for a in &args[1..] {
                    let fits = a.rank() == t.rank() && (0..t.rank()).all(|k| k == *axis || a.shape[k] == t.shape[k]);
                    ensure!(fits, "concat of {:?} and {:?}", t.shape, a.shape);
                    t.shape[*axis] += a.shape[*axis];
                }
                one(t)
            }
            Index(window) => one(place_type(&args[0], *window, &args[1..])?),
            IndexSet(window) | IndexAdd(window) => {
                let place = place_type(&args[0], *window, &args[2..])?;
                ensure!(place == args[1], "{self:?}: the place is {place:?}, the value {:?}", args[1]);
                one(args[0].clone())
            }
            Reduce(r) => {
                let bools = matches!(r.op, Monoid::All | Monoid::Any);
                ensure!(bools == (args[0].dtype == DType::Bool), "{:?} of {}", r.op, args[0].dtype.name());
                ensure!(r.axes.windows(2).all(|w| w[0] < w[1]), "reduce axes {:?} do not ascend", r.axes);
                ensure!(r.axes.iter().all(|&a| a < args[0].rank()), "reduce axes {:?} of {:?}", r.axes, args[0].shape);
                let keep = (0..args[0].rank()).filter(|k| !r.axes.contains(k));
                one(Type { dtype: args[0].dtype, shape: keep.map(|k| args[0].shape[k]).collect() })
            }
            ArgMax(axis) | ArgMin(axis) => {
                ensure!(*axis < args[0].rank() && args[0].shape[*axis] > 0, "{self:?} of {:?}", args[0].shape);
                let mut shape = args[0].shape.clone();
                shape.remove(*axis);
                one(Type { dtype: DType::I32, shape })
            }
            Cumulative { op, axis, .. } => {
                let bools = matches!(op, Monoid::All | Monoid::Any);
                ensure!(bools == (args[0].dtype == DType::Bool), "{op:?} of {}", args[0].dtype.name());
                ensure!(*axis < args[0].rank(), "cumulative axis {axis} of {:?}", args[0].shape);
                one(args[0].clone())
            }
            Dot(d) => {
                same_dtype(args)?;
                one(Type { dtype: args[0].dtype, shape: d.shape(&args[0].shape, &args[1].shape)? })
            }
            Sort { axis, keys } => {
                ensure!(*keys >= 1 && args.len() >= *keys, "sort by {keys} of {} operands", args.len());
                ensure!(*axis < args[0].rank(), "sort axis {axis} of {:?}", args[0].shape);
                ensure!(args.iter().all(|t| t.shape == args[0].shape), "sort of unequal shapes");
                Ok(args.iter().cloned().collect())
            }
        }
    }
}

impl Dot {
    /// `[m, k] @ [k, n]`, or a vector on either side.
    pub fn matmul(lhs_rank: usize) -> Dot {
        Dot {
            lhs_contract: SmallVec::from_iter([lhs_rank - 1]),
            rhs_contract: SmallVec::from_iter([0]),
            ..Dot::default()
        }
    }

    /// The axes of an operand that are neither contracted nor batch, in order.
    pub fn free(rank: usize, batch: &[usize], contract: &[usize]) -> SmallVec<[usize; 4]> {
        (0..rank).filter(|k| !batch.contains(k) && !contract.contains(k)).collect()
    }

    pub fn shape(&self, lhs: &[usize], rhs: &[usize]) -> Result<Shape, TypeError> {
        let axes_fit =
            |axes: &[usize], other: &[usize], rank: usize| axes.iter().all(|a| *a < rank && !other.contains(a));
        let fits = self.lhs_batch.len() == self.rhs_batch.len()
            && self.lhs_contract.len() == self.rhs_contract.len()
            && axes_fit(&self.lhs_batch, &self.lhs_contract, lhs.len())
            && axes_fit(&self.rhs_batch, &self.rhs_contract, rhs.len())
            && axes_fit(&self.lhs_contract, &[], lhs.len())
            && axes_fit(&self.rhs_contract, &[], rhs.len());
        ensure!(fits, "dot of {lhs:?} and {rhs:?} with {self:?}");
        let pairs = self.lhs_batch.iter().zip(&self.rhs_batch).chain(self.lhs_contract.iter().zip(&self.rhs_contract));
        for (&l, &r) in pairs {
            ensure!(lhs[l] == rhs[r], "dot of {lhs:?} and {rhs:?}: axes {l} and {r} differ");
        }
        let batch = self.lhs_batch.iter().map(|&a| lhs[a]);
        let left = Dot::free(lhs.len(), &self.lhs_batch, &self.lhs_contract);
        let right = Dot::free(rhs.len(), &self.rhs_batch, &self.rhs_contract);
        Ok(batch.chain(left.iter().map(|&a| lhs[a])).chain(right.iter().map(|&a| rhs[a])).collect())
    }
}

/// The one shape of elementwise operands: scalars fit all.
fn elementwise_shape(args: &[Type]) -> Result<Shape, TypeError> {
    let mut shape: &Shape = &args[0].shape;
    for a in args {
        if shape.is_empty() {
            shape = &a.shape;
        }
        ensure!(a.is_scalar() || a.shape == *shape, "elementwise operands of shapes {shape:?} and {:?}", a.shape);
    }
    Ok(shape.clone())
}

fn same_dtype(args: &[Type]) -> Result<(), TypeError> {
    for a in args {
        ensure!(a.dtype == args[0].dtype, "operands of types {} and {}", args[0].dtype.name(), a.dtype.name());
    }
    Ok(())
}

/// The type of the place that indices reach.
fn place_type(x: &Type, window: Option<usize>, indices: &[Type]) -> Result<Type, TypeError> {
    ensure!(indices.len() <= x.rank(), "{} indices into {:?}", indices.len(), x.shape);
    ensure!(indices.iter().all(|t| *t == Type::scalar(DType::I32)), "indices are i32 scalars, not {indices:?}");
    let mut shape: Shape = x.shape[indices.len()..].into();
    for (k, &n) in x.shape[..indices.len()].iter().enumerate() {
        let window = if k + 1 == indices.len() { window } else { None };
        ensure!(n >= window.unwrap_or(1), "index into axis {k} of {:?}", x.shape);
        if let Some(w) = window {
            shape.insert(0, w);
        }
    }
    ensure!(window.is_none() || !indices.is_empty(), "a window without a start");
    Ok(Type { dtype: x.dtype, shape })
}

fn unary_dtype(op: Unary, d: DType) -> Result<(), TypeError> {
    use Unary::*;
    let ok = match op {
        Neg | Abs | Sign => d.is_float() || d.is_int(),
        Floor | Ceil | Round | Sqrt | Math(_) => d.is_float(),
        Not => !d.is_float(),
        PopCount => d.is_int(),
    };
    ensure!(ok, "{op:?} of {}", d.name());
    Ok(())
}

fn binary_dtype(op: Binary, d: DType) -> Result<(), TypeError> {
    use Binary::*;
    let ok = match op {
        Add | Sub | Mul | Div | Rem | Min | Max => d != DType::Bool,
        Pow | Atan2 => d.is_float(),
        And | Or | Xor => !d.is_float(),
        Shl | Shr | ShrLogical => d.is_int(),
    };
    ensure!(ok, "{op:?} of {}", d.name());
    Ok(())
}
