//! Loops and kernels that a team does together: which are worth it, and how they are divided.
//!
//! A lane loop's function gets the range that it is to do; a product or sort is several, of fewer rows or columns each. Every element is
//! computed as it is by one thread, so that the bits do not depend on who does what.

use serde::{Deserialize, Serialize};
use whorl_core::ir::Shape;
use whorl_schedule::cost;
use whorl_schedule::loop_ir::{LoopProgram, MatMul, Node, Phase, Sort, View};

use crate::kernels::{MatMulSite, SortSite, matmul, sort};
use crate::lanes::plan::Range;
use crate::runtime::Context;
use crate::{CpuError, Options, VectorMode, team, wide};

/// Of a node that is worth several threads.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
pub struct Share {
    /// In how many parts it is done at most, one for each thread.
    pub parts: usize,
    /// What it takes on one thread, roughly.
    pub nanoseconds: u64,
}

impl Share {
    pub fn of(program: &LoopProgram, node: &Node, options: &Options) -> Option<Share> {
        let team = options.team;
        if team.threads < 2 || options.profile {
            return None;
        }
        let nanoseconds = nanoseconds(program, node, options.vector)?;
        if nanoseconds < team.worth {
            return None;
        }
        // Each part is worth half as much at least.
        let parts = (2 * nanoseconds).checked_div(team.worth).map_or(team::MOST, |n| n as usize);
        Some(Share { parts: parts.clamp(2, team.threads.min(team::MOST)), nanoseconds })
    }

    /// In how many parts a team does a lane loop: several for each thread where they are large, since one may come late or be slower.
    fn lane_parts(&self, size: usize) -> usize {
        let parts = self.parts.min(size);
        let each = self.nanoseconds as usize / (parts * PART);
        parts * each.clamp(1, (team::MOST / parts).min(MOST_EACH))
    }
}

/// What is worth it in a phase. Where most of the time is in large loops, what lies between them is better done where its arrays
/// are already, a part on each thread; where it is in small ones, arrays that go from core to core cost more than is won, and only
/// what is larger still pays for itself.
pub fn in_phase(program: &LoopProgram, phase: &Phase, options: &Options) -> Options {
    let mut options = options.clone();
    if options.team.threads > 1 && options.team.worth > 0 {
        let (mut large, mut all) = (0u64, 0u64);
        for leaf in cost::leaves(program, phase.body()) {
            let each = nanoseconds(program, leaf.node, options.vector).unwrap_or(leaf.each.weight() / 10);
            let time = each.saturating_mul(leaf.times);
            all = all.saturating_add(time);
            large = large.saturating_add(if each >= LARGE * options.team.worth { time } else { 0 });
        }
        if large < all / 2 {
            options.team.worth *= LONELY;
        }
    }
    options
}

/// A thread has several parts of a lane loop if they take so many nanoseconds each,
const PART: usize = 8_000;
/// but no more than so many.
const MOST_EACH: usize = 4;

/// Loops of so many times the worth are large.
const LARGE: u64 = 4;
/// What a loop among small ones is to be worth more.
const LONELY: u64 = 12;

/// What a node takes on one thread: a guess within a factor of three or so. Nothing for what is never shared.
pub fn nanoseconds(program: &LoopProgram, node: &Node, mode: VectorMode) -> Option<u64> {
    let cost = || cost::of_node(program, node);
    match node {
        Node::Lanes(_) | Node::Cumulative(_) => {
            // Operations a nanosecond, divisions, gathers and waiting for memory among them.
            let speed = match mode {
                VectorMode::Auto | VectorMode::Avx2 => match wide::Set::of(mode) {
                    Some(wide::Set::Avx512) => 16,
                    Some(wide::Set::Avx2) => 9,
                    None => 5,
                },
                VectorMode::Narrow => 5,
                VectorMode::Scalar => 2,
            };
            Some(cost().weight() / speed)
        }
        Node::MatMul(_) => Some(cost().flops / 100),
        // There is no way to divide a single row.
        Node::Sort(s) if s.rows.iter().any(|n| *n > 1) => Some(cost().other),
        Node::Sort(_)
        | Node::Loop { .. }
        | Node::While { .. }
        | Node::Switch { .. }
        | Node::Log { .. }
        | Node::Check(_) => None,
    }
}

/// `fn(arena, context, from, to) -> status` of a lane loop.
pub type RangeFunction = unsafe extern "C" fn(*mut u8, *mut Context, i64, i64) -> i64;

#[derive(Serialize, Deserialize, Debug)]
pub struct LoopSite {
    pub range: Range,
    pub share: Share,
}

/// What threads may have at once that is read by all of them, and written by each at places of its own.
#[derive(Clone, Copy)]
struct Common<T>(T);

// SAFETY: see the uses: parts of a loop or kernel write different elements, and read none that another part writes.
unsafe impl<T> Sync for Common<T> {}

impl<T: Copy> Common<T> {
    fn get(&self) -> T {
        self.0
    }
}

/// Does a lane loop, in parts if the run has a team.
///
/// # Safety
/// Called by generated code: with its run's arena and context, a site of its executable, and the loop's function.
pub unsafe extern "C" fn lane_loop(
    arena: *mut u8,
    context: *mut Context,
    site: *const LoopSite,
    function: RangeFunction,
) {
    // SAFETY: the caller's promise; while the loop is done, nobody writes the context.
    let (site, team) = unsafe { (&*site, &(*context).team) };
    let Range { unit, whole, .. } = site.range;
    let common = Common((arena, context));
    let part = |k: usize, of: usize| {
        let (arena, context) = common.get();
        let turns = whole.div_ceil(unit);
        let at = |k: usize| (turns * k / of * unit).min(whole) as i64;
        // SAFETY: the function is the loop's, and such ranges are what it is made for: not empty, since there are at least as many
        // turns as parts. Lanes of different ranges write different elements, and read none that another lane writes; lane loops do
        // not look into the context.
        unsafe { function(arena, context, at(k), at(k + 1)) };
    };
    match team {
        Some(team) => {
            let parts = site.share.lane_parts(team.size()).min(whole.div_ceil(unit));
            team.fork(parts, site.share.nanoseconds, &|k| part(k, parts));
        }
        None => part(0, 1),
    }
}

/// A kernel's call, whole and in parts.
#[derive(Debug)]
pub struct Divided<S> {
    whole: S,
    /// Each with what it adds to the whole's addresses, in bytes.
    parts: Vec<(S, Vec<isize>)>,
    nanoseconds: u64,
}

/// In `parts` from 0 to `n`, at multiples of `unit`.
fn pieces(n: usize, unit: usize, parts: usize) -> impl Iterator<Item = (usize, usize)> {
    let turns = n.div_ceil(unit);
    let parts = parts.min(turns);
    let at = move |k: usize| (turns * k / parts * unit).min(n);
    (0..parts).map(move |k| (at(k), at(k + 1)))
}

/// A dimension that is divided: which, how long, and where.
struct Along {
    dimension: usize,
    n: usize,
    unit: usize,
}

/// The dimension in which most can be done at once.
fn longest(sizes: &[(usize, usize)], parts: usize) -> Option<Along> {
    let along = |(dimension, &(n, unit)): (usize, &(usize, usize))| {
        let unit = if n >= unit * parts { unit } else { 1 };
        Along { dimension, n, unit }
    };
    // Short of whole units for all, a dimension comes after others.
    let rank = |a: &Along| (a.unit == sizes[a.dimension].1, a.n / a.unit, std::cmp::Reverse(a.dimension));
    sizes.iter().enumerate().map(along).filter(|a| a.n > 1).max_by_key(rank)
}

/// What a product is divided along, if it is.
fn along_product(m: &MatMul, share: Share) -> Option<Along> {
    // Kernels do about eight rows, and vectors of sixteen columns at once.
    let sizes: Vec<(usize, usize)> = m.batch.iter().map(|n| (*n, 1)).chain([(m.m, 8), (m.n, 16)]).collect();
    longest(&sizes, share.parts)
}

fn along_sort(s: &Sort, share: Share) -> Option<Along> {
    let sizes: Vec<(usize, usize)> = s.rows.iter().map(|n| (*n, 1)).collect();
    longest(&sizes, share.parts)
}

pub fn divides_product(m: &MatMul, share: Share) -> bool {
    along_product(m, share).is_some()
}

pub fn divides_sort(s: &Sort, share: Share) -> bool {
    along_sort(s, share).is_some()
}

impl Divided<MatMulSite> {
    /// Nothing if there is nothing to divide.
    pub fn product(m: &MatMul, share: Share) -> Result<Option<Divided<MatMulSite>>, CpuError> {
        let Some(along) = along_product(m, share) else { return Ok(None) };
        let (rank, d) = (m.batch.len(), along.dimension);
        let width = m.dtype.bytes() as isize;
        let bias = m.epilogue.as_ref().map(|e| &e.bias);
        let mut parts = Vec::new();
        for (from, to) in pieces(along.n, along.unit, share.parts) {
            let mut part = m.clone();
            match d - d.min(rank) {
                _ if d < rank => part.batch[d] = to - from,
                0 => part.m = to - from,
                _ => part.n = to - from,
            }
            let moved =
                |view: &View, stride: Option<usize>| stride.map_or(0, |d| view.strides[d]) * from as isize * width;
            // The last two strides are of m, k; of k, n; of m, n; of m, n.
            let of_a = (d <= rank).then_some(d);
            let of_b = (d != rank).then_some(d);
            let moves = vec![
                moved(&m.a, of_a),
                moved(&m.b, of_b),
                moved(&m.c, Some(d)),
                bias.map_or(0, |bias| moved(bias, Some(d))),
            ];
            parts.push((MatMulSite::new(&part)?, moves));
        }
        Ok(Some(Divided { whole: MatMulSite::new(m)?, parts, nanoseconds: share.nanoseconds }))
    }
}

impl Divided<SortSite> {
    pub fn sort(
        s: &Sort,
        dtypes: &[whorl_core::ir::DType],
        share: Share,
    ) -> Result<Option<Divided<SortSite>>, CpuError> {
        let Some(along) = along_sort(s, share) else { return Ok(None) };
        let mut parts = Vec::new();
        for (from, to) in pieces(along.n, along.unit, share.parts) {
            let mut rows: Shape = s.rows.clone();
            rows[along.dimension] = to - from;
            let moved = |(view, dtype): (&View, &whorl_core::ir::DType)| {
                view.strides[along.dimension] * from as isize * dtype.bytes() as isize
            };
            let views = s.from.iter().zip(dtypes).chain(s.to.iter().zip(dtypes));
            parts.push((SortSite::new(&Sort { rows, ..s.clone() }, dtypes)?, views.map(moved).collect()));
        }
        Ok(Some(Divided { whole: SortSite::new(s, dtypes)?, parts, nanoseconds: share.nanoseconds }))
    }
}

/// A product, in parts if the run has a team.
///
/// # Safety
/// As [`matmul`], with the run's context.
pub unsafe extern "C" fn divided_matmul(
    context: *mut Context,
    site: *const Divided<MatMulSite>,
    a: *const u8,
    b: *const u8,
    c: *mut u8,
    bias: *const u8,
) {
    // SAFETY: the caller's promise; products do not write the context.
    let (site, team) = unsafe { (&*site, &(*context).team) };
    let Some(team) = team else {
        // SAFETY: the caller's promise.
        return unsafe { matmul(&site.whole, a, b, c, bias) };
    };
    let common = Common((a, b, c, bias));
    team.fork(site.parts.len(), site.nanoseconds, &|k| {
        let ((a, b, c, bias), (part, moved)) = (common.get(), &site.parts[k]);
        // SAFETY: the caller's promise: a part reads and writes some of what the whole does, and what it writes no other part touches.
        unsafe {
            let bias = bias.wrapping_offset(moved[3]);
            matmul(part, a.offset(moved[0]), b.offset(moved[1]), c.offset(moved[2]), bias)
        }
    });
}

/// A sort of several rows, in parts if the run has a team.
///
/// # Safety
/// As [`sort`], with the run's context.
pub unsafe extern "C" fn divided_sort(context: *mut Context, site: *const Divided<SortSite>, pointers: *const *mut u8) {
    // SAFETY: the caller's promise; sorts do not write the context.
    let (site, team) = unsafe { (&*site, &(*context).team) };
    let Some(team) = team else {
        // SAFETY: the caller's promise.
        return unsafe { sort(&site.whole, pointers) };
    };
    let common = Common(pointers);
    team.fork(site.parts.len(), site.nanoseconds, &|k| {
        let (pointers, (part, moved)) = (common.get(), &site.parts[k]);
        // SAFETY: the caller's promise: there are as many pointers as moves; rows of different parts are at different places.
        unsafe {
            let places: smallvec::SmallVec<[*mut u8; 8]> =
                moved.iter().enumerate().map(|(k, by)| (*pointers.add(k)).offset(*by)).collect();
            sort(part, places.as_ptr())
        }
    });
}
