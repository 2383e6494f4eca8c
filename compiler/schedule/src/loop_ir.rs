//! Loop IR: the program of one run, as a team executes it.
//!
//! Uniform control flow ([`Node`]) around data-parallel loops ([`Lanes`]) and team-wide kernels. Every value that outlives one lane
//! loop has a place in the run's arena, scalars included; a loop's index is such a scalar too. Addresses are [`View`]s: a buffer,
//! a constant offset, offsets by run-time scalars, and a stride for each loop dimension, all in elements.
//!
//! ```text
//! loop %i < 128 {                              Node::Loop
//!   lanes [4, 64] { h[d0, d1] = tanh(z[d0, d1] + b[d1]) }   Node::Lanes
//!   matmul c[4, 2] = h @ w                     Node::MatMul
//! }
//! ```
//!
//! Order is meaning: reductions have the order that `whorl_core::prim::Reduce` and `Dot` fix, and scatters run in row-major order of
//! their loop, so every backend computes the same bits.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use whorl_core::check::Check;
use whorl_core::ir::{ArrayData, DType, Lit, Shape, Spans};
use whorl_core::prim::{Binary, Compare, Monoid, Unary};
use whorl_source::Span;

/// The program of one run. Runs are independent; each has an arena of its own.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LoopProgram {
    /// How many runs there are (the outermost `for`), or `None` where the program has none.
    pub runs: Option<usize>,
    /// The `i32` scalar that the host sets to the run's number before the first phase; present iff `runs` is.
    pub run_index: Option<BufferId>,
    pub buffers: Vec<Buffer>,
    /// Bytes of one run's arena; every buffer begins at a multiple of 64.
    pub arena_bytes: usize,
    /// What the host writes before the first phase: the program's parameters, in order; row-major and contiguous.
    pub inputs: Vec<BufferId>,
    /// Where the results lie after the last phase, row-major and contiguous. With runs, each run has one row of the result.
    pub outputs: Vec<BufferId>,
    /// Names of the logs, by their number in [`Node::Log`].
    pub logs: Vec<Arc<str>>,
    pub phases: Vec<Phase>,
}

/// A stretch of the program between which the host may look in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Phase {
    Straight(Vec<Node>),
    /// `train scan`: the host calls it for stretches of steps `from..to`, in order. `state` is all that lives across steps (carries,
    /// yields, and whatever later steps or phases read), so that saving these buffers between two steps is a checkpoint.
    Train {
        n: usize,
        index: BufferId,
        state: Vec<BufferId>,
        body: Vec<Node>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct BufferId(pub u32);

/// An array's place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Buffer {
    pub dtype: DType,
    pub shape: Shape,
    pub place: Place,
    /// The user's name for what it holds first, for tables and dumps.
    pub name: Option<Arc<str>>,
    pub spans: Spans,
}

impl Buffer {
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.bytes()
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Place {
    /// So many bytes from the start of the arena. Buffers that live at different times may share bytes.
    Arena(usize),
    /// Not in the arena: read-only data that all runs share.
    Constant(Arc<ArrayData>),
}

/// Addresses of elements: `offset + sum(clamp(*d.index, 0, d.max) * d.stride) + sum(strides[k] * dim_k)`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct View {
    pub buffer: BufferId,
    pub offset: isize,
    pub dynamic: SmallVec<[Dynamic; 1]>,
    /// One for each dimension of the loop (or of the kernel's operand) that uses the view, outermost first.
    pub strides: SmallVec<[isize; 4]>,
}

/// An offset by a run-time index that is the same for the whole loop.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Dynamic {
    /// An `i32` scalar.
    pub index: BufferId,
    pub max: i32,
    pub stride: isize,
}

/// A scalar that the whole team agrees on.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Scalar {
    Lit(Lit),
    Buffer(BufferId),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Node {
    /// `index` runs over 0..n, or n - 1 down to 0.
    Loop {
        n: usize,
        reverse: bool,
        index: BufferId,
        body: Vec<Node>,
    },
    /// Runs `condition`; while the `bool` at `test` is true (and at most `max` times), runs `body` and `condition` again.
    While {
        condition: Vec<Node>,
        test: BufferId,
        max: Option<usize>,
        body: Vec<Node>,
    },
    /// Arm `which` (a `bool`: 0 or 1; an `i32`: clamped).
    Switch {
        which: Scalar,
        arms: Vec<Vec<Node>>,
    },
    Lanes(Lanes),
    MatMul(MatMul),
    Sort(Sort),
    Cumulative(Cumulative),
    /// Records the elements of `value` where `mask` holds; both have the strides of `dims`.
    Log {
        /// Another for each `Log` of the program: see `crate::log_sites`.
        site: u32,
        log: u32,
        dims: Shape,
        value: View,
        mask: Option<View>,
        /// The loops around, outermost first, but for the `train scan` that is its phase.
        steps: Vec<CheckStep>,
        spans: Spans,
    },
    /// Stops the run at the first element that the check does not hold of.
    Check(CheckNode),
}

/// A check, element by element. Lowering puts it behind a branch on whether it fails anywhere, so that it is never fast.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CheckNode {
    pub check: Arc<Check>,
    pub dims: Shape,
    /// See `whorl_core::check::CheckKind`; they have strides for `dims`, as has the mask.
    pub values: SmallVec<[View; 3]>,
    pub mask: Option<View>,
    /// The loops around, outermost first.
    pub steps: Vec<CheckStep>,
    /// Whether it is of one run; what stands before the runs is of none, though each of them does it.
    pub in_run: bool,
    pub spans: Spans,
}

/// A loop around a check or a log: its index, an `i32` scalar, and what is told of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CheckStep {
    pub index: View,
    pub n: usize,
    pub train: bool,
    pub span: Option<Span>,
}

/// A data-parallel loop over `dims` (outermost first), and inside each of its lanes, in order, over `reduced`.
///
/// `ops` are evaluated once for every point of `dims` × `reduced`, in SSA order: a [`Value`] is the place of its op. Views have
/// strides for `dims` then `reduced`. No op reads what another lane of the same loop writes, unless it is the very element that
/// the lane itself writes later in its list (an in-place update).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Lanes {
    pub dims: Shape,
    /// Empty in loops without reductions.
    pub reduced: Shape,
    pub ops: Vec<LaneOp>,
    /// Results of reductions, one element for each point of `dims`. In a loop with `reduced`, only these and `Store`s write.
    pub reductions: Vec<Reduction>,
    pub spans: Spans,
}

/// The result of an op of the same [`Lanes`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Value(pub u32);

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LaneOp {
    pub kind: LaneKind,
    /// Of the result; of the stored value for stores.
    pub dtype: DType,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum LaneKind {
    Lit(Lit),
    /// The position along a dimension of `dims` ++ `reduced`, as `i32`.
    Position(usize),
    Load(View),
    /// A load at an offset that each lane computes: the view's address + sum(clamp(value, 0, max) * stride).
    Gather(View, Vec<LaneIndex>),
    Unary(Unary, Value),
    Binary(Binary, Value, Value),
    Compare(Compare, Value, Value),
    Select(Value, Value, Value),
    MulAdd(Value, Value, Value),
    /// To the op's `dtype`, from the operand's.
    Convert(Value),
    Bitcast(Value),
    /// One word (0 or 1) of Threefry-2x32 of `(k0, k1, c0, c1)`; both words of equal operands cost one block.
    Threefry(u8, [Value; 4]),
    Store(View, Value),
    /// Sets (or adds to) the element at an offset that the lane computes; lanes in row-major order, one after the other.
    Scatter {
        view: View,
        at: Vec<LaneIndex>,
        value: Value,
        add: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct LaneIndex {
    /// An `i32`.
    pub index: Value,
    pub max: i32,
    pub stride: isize,
}

/// Folds `value` over `reduced`, into an element for each point of `dims`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reduction {
    pub kind: ReductionKind,
    pub value: Value,
    /// Strides for `dims` only.
    pub into: View,
    pub order: ReduceOrder,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum ReductionKind {
    Fold(Monoid),
    /// The position (row-major in `reduced`) of the first largest value, as `i32`; NaN is larger than all.
    ArgMax,
    /// … smallest; NaN is smaller than all.
    ArgMin,
}

/// See `whorl_core::prim::Reduce`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum ReduceOrder {
    /// 16 partial results by position mod 16, then a tree.
    Interleaved,
    /// One after the other. Arg-reductions are always of this order.
    Sequential,
}

/// `c[b…, i, j] = sum over l of a[b…, i, l] * b[b…, l, j]`, `fma`-accumulated from +0 upward in l, then, if `accumulate`, added to c;
/// then goes through the epilogue. Strides of the views: a batch…, m, k; b batch…, k, n; c batch…, m, n. f32 or f64.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MatMul {
    pub dtype: DType,
    pub batch: Shape,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: View,
    pub b: View,
    pub c: View,
    pub accumulate: bool,
    pub epilogue: Option<Epilogue>,
    pub spans: Spans,
}

/// What becomes of a product's element before it is stored: `activation(element + bias[j])`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Epilogue {
    /// Strides: batch…, m (both of them zero), n.
    pub bias: View,
    pub activation: Activation,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Activation {
    /// The sum with the bias itself.
    None,
    Tanh,
    /// `max(x, +0)`.
    Relu,
}

/// Sorts each row of `n` elements: `rows` are the leading dimensions of the views' strides, the sorted axis is the last.
/// `to[k]` may be `from[k]`'s own place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sort {
    pub rows: Shape,
    pub n: usize,
    pub keys: usize,
    pub from: Vec<View>,
    pub to: Vec<View>,
    pub spans: Spans,
}

/// Prefix results along the last dimension of the views' strides.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Cumulative {
    pub op: Monoid,
    pub dtype: DType,
    pub rows: Shape,
    pub n: usize,
    pub reverse: bool,
    pub from: View,
    pub to: View,
    pub spans: Spans,
}
