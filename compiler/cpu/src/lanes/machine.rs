//! What a lane loop is emitted with: machines of vectors of so many lanes.

use whorl_core::ir::{DType, Lit};
use whorl_core::prim::{Binary, Compare, Monoid, Unary};
use whorl_schedule::loop_ir::View;

use crate::CpuError;

/// How a group's lanes lie in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Neighbours.
    Row,
    /// All lanes at one place.
    Same,
    /// So many bytes apart.
    Apart(i32),
}

/// An index that each lane has, clamped to `0..=max`, and the bytes that one step of it moves an address.
#[derive(Clone, Copy, Debug)]
pub struct LaneOffset<L> {
    pub index: L,
    pub max: i32,
    pub step: i64,
}

/// Emits loops, and what a group of up to [`Machine::lanes`] lanes does in them. The group's values are one `Lane`.
///
/// Operands and results have the meaning that `whorl_core::prim` gives them: the bits do not depend on the machine. Of a group of
/// `width` lanes only those are loaded and stored; the others hold whatever is harmless.
pub trait Machine {
    type Lane: Copy;
    /// A whole number of 64 bits: a loop's index, a distance in bytes.
    type Int: Copy;
    /// Where the group's first element is.
    type Address: Copy;
    /// A lane value that loops change.
    type Cell: Copy;
    /// Sixteen of them, in memory.
    type Slot: Copy;
    type Loop;
    type Branch;

    /// The most lanes of a group.
    fn lanes(&self) -> usize;

    /// `for index in (0..n).step_by(step)`, which runs at least once.
    fn begin_loop(&mut self, n: usize, step: usize) -> (Self::Loop, Self::Int);
    /// `for index in (from..to).step_by(step)` of the function's own range, in which there is something.
    fn begin_range(&mut self, step: usize) -> (Self::Loop, Self::Int);
    fn end_loop(&mut self, started: Self::Loop);
    /// What follows is done if the function's range ends at `at`.
    fn begin_last(&mut self, at: usize) -> Self::Branch;
    fn end_last(&mut self, begun: Self::Branch);
    fn scaled(&mut self, x: Self::Int, by: i64) -> Self::Int;
    fn plus(&mut self, x: Self::Int, y: Self::Int) -> Self::Int;

    /// The bytes that a view's run-time indices add to its address.
    fn dynamic(&mut self, view: &View) -> Result<Option<Self::Int>, CpuError>;
    /// The view's buffer, plus `dynamic`, plus the terms (so many times an index) and `bytes`.
    fn address(
        &mut self,
        view: &View,
        dynamic: Option<Self::Int>,
        terms: &[(Self::Int, i64)],
        bytes: i64,
    ) -> Result<Self::Address, CpuError>;
    /// Tells that addresses with these leading terms will be asked for within the loop that comes.
    fn expect(&mut self, view: &View, dynamic: Option<Self::Int>, terms: &[(Self::Int, i64)]) -> Result<(), CpuError>;

    fn load(&mut self, dtype: DType, at: Self::Address, layout: Layout, width: usize) -> Self::Lane;
    fn store(&mut self, dtype: DType, v: Self::Lane, at: Self::Address, layout: Layout, width: usize);
    /// Loads from where the offsets say; `each` if lanes have offsets of their own, and not all the same.
    fn gather(
        &mut self,
        dtype: DType,
        at: Self::Address,
        layout: Layout,
        offsets: &[LaneOffset<Self::Lane>],
        each: bool,
        width: usize,
    ) -> Self::Lane;
    /// Sets or adds to what is there, lane after lane.
    #[allow(clippy::too_many_arguments)]
    fn scatter(
        &mut self,
        dtype: DType,
        v: Self::Lane,
        at: Self::Address,
        layout: Layout,
        offsets: &[LaneOffset<Self::Lane>],
        each: bool,
        add: bool,
        width: usize,
    ) -> Result<(), CpuError>;

    fn literal(&mut self, lit: Lit) -> Self::Lane;
    /// `i32`: `var + add`, and if `along` so much more in each lane as there are lanes before it.
    fn position(&mut self, var: Option<Self::Int>, add: i64, along: bool) -> Self::Lane;
    fn unary(&mut self, op: Unary, dtype: DType, x: Self::Lane) -> Result<Self::Lane, CpuError>;
    /// `literal` is `b` where it is known, as in [`Lit`]; the first `width` lanes count.
    fn binary(
        &mut self,
        op: Binary,
        dtype: DType,
        a: Self::Lane,
        b: Self::Lane,
        literal: Option<u64>,
        width: usize,
    ) -> Result<Self::Lane, CpuError>;
    /// `a / b` of floats, where `b` is the same for all lanes of this group and several others.
    fn divide_by_one(
        &mut self,
        dtype: DType,
        a: Self::Lane,
        b: Self::Lane,
        literal: Option<u64>,
    ) -> Result<Self::Lane, CpuError> {
        self.binary(Binary::Div, dtype, a, b, literal, self.lanes())
    }
    /// Of operands of type `dtype`.
    fn compare(&mut self, op: Compare, dtype: DType, a: Self::Lane, b: Self::Lane) -> Self::Lane;
    fn select(&mut self, c: Self::Lane, dtype: DType, a: Self::Lane, b: Self::Lane) -> Self::Lane;
    fn mul_add(&mut self, dtype: DType, a: Self::Lane, b: Self::Lane, c: Self::Lane) -> Self::Lane;
    fn convert(&mut self, from: DType, to: DType, x: Self::Lane, width: usize) -> Self::Lane;
    fn bitcast(&mut self, from: DType, to: DType, x: Self::Lane) -> Self::Lane;
    fn threefry(&mut self, inputs: [Self::Lane; 4]) -> [Self::Lane; 2];
    /// `a` in the first `count` lanes, `b` in the others.
    fn first_lanes(&mut self, count: usize, dtype: DType, a: Self::Lane, b: Self::Lane) -> Self::Lane;
    /// The tree over the 16 lanes of as many groups as have them; the result is in the first lane.
    fn across_lanes(&mut self, op: Monoid, dtype: DType, v: &[Self::Lane]) -> Result<Self::Lane, CpuError>;

    fn new_cell(&mut self, dtype: DType, start: Lit) -> Self::Cell;
    fn read(&mut self, cell: Self::Cell) -> Self::Lane;
    fn set(&mut self, cell: Self::Cell, v: Self::Lane);
    fn new_slot(&mut self, dtype: DType, start: Lit) -> Self::Slot;
    /// Number `var + add` mod 16.
    fn read_slot(&mut self, slot: Self::Slot, dtype: DType, var: Option<Self::Int>, add: i64) -> Self::Lane;
    fn write_slot(&mut self, slot: Self::Slot, dtype: DType, var: Option<Self::Int>, add: i64, v: Self::Lane);

    /// One step of a reduction.
    fn fold(&mut self, op: Monoid, dtype: DType, a: Self::Lane, b: Self::Lane) -> Result<Self::Lane, CpuError> {
        self.binary(op.binary(), dtype, a, b, None, self.lanes())
    }
}
