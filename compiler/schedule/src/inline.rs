//! Computes again, where it is read, what costs less than an array: copies, ranges, comparisons of ranges, short expressions.
//!
//! A load of an array that one loop fills becomes that loop's expression at the load's position, if what the expression itself
//! loads is still there. [`crate::clean`] drops the array when its last load is gone.

use rustc_hash::FxHashMap;

use smallvec::SmallVec;
use whorl_core::ir::{DType, Lit, Shape};
use whorl_core::prim::Binary;

use crate::accesses::*;
use crate::array::contiguous;
use crate::fuse::is_heavy;
use crate::lanes::{operands, operands_mut, view_of, view_of_mut};
use crate::loop_ir::*;

pub fn run(p: &mut LoopProgram) {
    let definitions = Definitions::of(p);
    let mut at = Vec::new();
    let mut next_block = 1;
    let mut top = 0;
    for phase in &mut p.phases {
        match phase {
            Phase::Straight(body) => block(body, 0, &mut top, &mut at, &mut next_block, &definitions),
            Phase::Train { body, .. } => {
                at.push((0, top));
                inner(body, &mut at, &mut next_block, &definitions);
                at.pop();
                top += 1;
            }
        }
    }
}

fn inner(nodes: &mut [Node], at: &mut Place, next_block: &mut usize, d: &Definitions) {
    let id = *next_block;
    *next_block += 1;
    block(nodes, id, &mut 0, at, next_block, d);
}

fn block(nodes: &mut [Node], id: usize, index: &mut usize, at: &mut Place, next_block: &mut usize, d: &Definitions) {
    for node in nodes {
        at.push((id, *index));
        if let Node::Lanes(l) = node {
            expand(l, at, d);
        }
        bodies_mut(node).into_iter().for_each(|b| inner(b, at, next_block, d));
        at.pop();
        *index += 1;
    }
}

/// The blocks around a node, by number, outermost first, and the position in each.
type Place = Vec<(usize, usize)>;

/// What one loop stores into all of a buffer that nothing else writes.
struct Definition {
    place: Place,
    sizes: Shape,
    /// The ops that the value needs; it is the last.
    ops: Vec<LaneOp>,
    len: usize,
    /// How many nodes read it.
    readers: usize,
}

struct Definitions {
    of: FxHashMap<BufferId, Definition>,
    writes: FxHashMap<BufferId, Vec<Place>>,
}

impl Definitions {
    fn of(p: &LoopProgram) -> Definitions {
        let mut walk = Walk {
            p,
            next_block: 1,
            at: Vec::new(),
            candidates: Vec::new(),
            writes: FxHashMap::default(),
            reads: FxHashMap::default(),
        };
        let mut top = 0;
        for phase in &p.phases {
            match phase {
                Phase::Straight(body) => walk.block(body, 0, &mut top),
                Phase::Train { index, body, .. } => {
                    walk.at.push((0, top));
                    walk.writes.entry(*index).or_default().push(walk.at.clone());
                    walk.inner(body);
                    walk.at.pop();
                    top += 1;
                }
            }
        }
        let Walk { candidates, writes, reads, .. } = walk;
        let mut of = FxHashMap::default();
        for (b, mut definition) in candidates {
            let kept = p.inputs.contains(&b) || p.outputs.contains(&b);
            if writes[&b].len() == 1 && !kept {
                definition.readers = reads.get(&b).copied().unwrap_or(0);
                of.insert(b, definition);
            }
        }
        Definitions { of, writes }
    }

    /// Whether, when the node at `user` runs, `b` holds what it did when the definition at `place` ran.
    fn unchanged(&self, b: BufferId, place: &Place, user: &Place) -> bool {
        let &(block, from) = place.last().expect("a place");
        let Some(&(_, to)) = user.iter().find(|u| u.0 == block) else { return false };
        let between = |w: &Place| w.iter().any(|&(b, k)| b == block && from <= k && k <= to);
        from < to && !self.writes.get(&b).into_iter().flatten().any(between)
    }
}

struct Walk<'a> {
    p: &'a LoopProgram,
    next_block: usize,
    at: Place,
    candidates: Vec<(BufferId, Definition)>,
    writes: FxHashMap<BufferId, Vec<Place>>,
    reads: FxHashMap<BufferId, usize>,
}

impl Walk<'_> {
    fn inner(&mut self, nodes: &[Node]) {
        let id = self.next_block;
        self.next_block += 1;
        self.block(nodes, id, &mut 0);
    }

    fn block(&mut self, nodes: &[Node], id: usize, index: &mut usize) {
        for node in nodes {
            self.at.push((id, *index));
            match node {
                Node::Loop { index, .. } => self.writes.entry(*index).or_default().push(self.at.clone()),
                Node::While { .. } | Node::Switch { .. } => {}
                Node::Lanes(_)
                | Node::MatMul(_)
                | Node::Sort(_)
                | Node::Cumulative(_)
                | Node::Log { .. }
                | Node::Check(_) => {
                    let at = &self.at;
                    each_access(node, &mut |b, t| match t {
                        Touch::Read => *self.reads.entry(b).or_default() += 1,
                        Touch::Write => self.writes.entry(b).or_default().push(at.clone()),
                    });
                }
            }
            if let Node::Lanes(l) = node {
                self.candidates(l);
            }
            bodies(node).into_iter().for_each(|b| self.inner(b));
            self.at.pop();
            *index += 1;
        }
    }

    fn candidates(&mut self, l: &Lanes) {
        if !l.reduced.is_empty() {
            return;
        }
        let sizes = &l.dims;
        for op in &l.ops {
            let LaneKind::Store(v, value) = &op.kind else { continue };
            let len = self.p.buffer(v.buffer).len();
            let row_major = contiguous(sizes);
            let fits = (0..sizes.len()).all(|k| sizes[k] == 1 || v.strides[k] == row_major[k]);
            if !v.dynamic.is_empty() || v.offset != 0 || !fits || sizes.iter().product::<usize>() != len || len == 0 {
                continue;
            }
            if let Some(ops) = slice(l, *value) {
                let (place, sizes) = (self.at.clone(), sizes.clone());
                self.candidates.push((v.buffer, Definition { place, sizes, ops, len, readers: 0 }));
            }
        }
    }
}

/// Longest expression that is computed again.
const MOST_OPS: usize = 10;

/// The ops that a value needs, it being the last; `None` if they are many or dear, or one of them reads what the loop writes.
fn slice(l: &Lanes, value: Value) -> Option<Vec<LaneOp>> {
    let mut used = vec![false; l.ops.len()];
    used[value.0 as usize] = true;
    for k in (0..=value.0 as usize).rev().filter(|k| used[*k]).collect::<Vec<_>>() {
        mark(l, k, &mut used);
    }
    let ops: Vec<usize> = (0..l.ops.len()).filter(|k| used[*k]).collect();
    let written = |b: BufferId| {
        l.ops.iter().any(|op| crate::lanes::writes(&op.kind) && view_of(&op.kind).is_some_and(|v| v.buffer == b))
    };
    let fine = |k: &usize| {
        let kind = &l.ops[*k].kind;
        !is_heavy(kind) && view_of(kind).is_none_or(|v| !written(v.buffer))
    };
    if ops.len() > MOST_OPS || !ops.iter().all(fine) {
        return None;
    }
    let mut result = Vec::new();
    for &k in &ops {
        let mut op = l.ops[k].clone();
        let place = |v: Value| Value(ops.iter().position(|o| *o == v.0 as usize).expect("marked") as u32);
        operands_mut(&mut op.kind).into_iter().for_each(|v| *v = place(*v));
        result.push(op);
    }
    Some(result)
}

fn mark(l: &Lanes, k: usize, used: &mut [bool]) {
    for v in operands(&l.ops[k].kind) {
        if !used[v.0 as usize] {
            used[v.0 as usize] = true;
            mark(l, v.0 as usize, used);
        }
    }
}

fn expand(l: &mut Lanes, at: &Place, definitions: &Definitions) {
    let sizes = crate::space::full(l);
    let points: usize = sizes.iter().product();
    let mut ops: Vec<LaneOp> = Vec::new();
    let mut new: Vec<Value> = Vec::new();
    for mut op in std::mem::take(&mut l.ops) {
        operands_mut(&mut op.kind).into_iter().for_each(|v| *v = new[v.0 as usize]);
        let expanded = match &op.kind {
            LaneKind::Load(v) => definitions.of.get(&v.buffer).and_then(|d| {
                if !worthwhile(d, points) || !still_there(d, at, definitions) {
                    return None;
                }
                inlined(d, v, &sizes, &mut ops)
            }),
            _ => None,
        };
        new.push(expanded.unwrap_or_else(|| {
            ops.push(op);
            Value(ops.len() as u32 - 1)
        }));
    }
    l.ops = ops;
    l.reductions.iter_mut().for_each(|r| r.value = new[r.value.0 as usize]);
}

fn worthwhile(d: &Definition, points: usize) -> bool {
    let loads = d.ops.iter().filter(|op| view_of(&op.kind).is_some()).count();
    let gathers = d.ops.iter().any(|op| matches!(op.kind, LaneKind::Gather(..)));
    let work = d.ops.iter().filter(|op| view_of(&op.kind).is_none() && !matches!(op.kind, LaneKind::Lit(_))).count();
    if d.ops.len() == 1 && !gathers {
        return true;
    }
    if gathers || points > 4 * d.len.max(1) && loads > 0 && d.len < 64 {
        // What is the same for many lanes is computed once.
        return false;
    }
    match loads {
        0 => work <= 8,
        1 => work <= 2 || d.readers == 1 && work <= 6,
        _ => d.readers == 1 && loads <= 2 && work <= 4 && points <= 2 * d.len,
    }
}

fn still_there(d: &Definition, at: &Place, definitions: &Definitions) -> bool {
    let &(block, from) = d.place.last().expect("a place");
    let in_scope = at.iter().any(|&(b, k)| b == block && from < k);
    in_scope
        && d.ops.iter().filter_map(|op| view_of(&op.kind)).all(|v| {
            let read = v.dynamic.iter().map(|i| i.index).chain([v.buffer]);
            read.into_iter().all(|b| definitions.unchanged(b, &d.place, at))
        })
}

/// Appends the definition's ops at the position that the view has in its array.
fn inlined(d: &Definition, view: &View, sizes: &[usize], ops: &mut Vec<LaneOp>) -> Option<Value> {
    let position = Position::of(view, sizes, &d.sizes)?;
    let mut appended: Vec<LaneOp> = Vec::new();
    let base = ops.len() as u32;
    let mut new: Vec<Value> = Vec::new();
    for op in &d.ops {
        let mut op = op.clone();
        operands_mut(&mut op.kind).into_iter().for_each(|v| *v = new[v.0 as usize]);
        if let Some(v) = view_of_mut(&mut op.kind) {
            *v = position.compose(v, &view.dynamic);
        }
        let value = match op.kind {
            LaneKind::Position(k) => position.value(k, base, &mut appended)?,
            _ => push(base, &mut appended, op),
        };
        new.push(value);
    }
    ops.append(&mut appended);
    new.last().copied()
}

fn push(base: u32, ops: &mut Vec<LaneOp>, op: LaneOp) -> Value {
    ops.push(op);
    Value(base + ops.len() as u32 - 1)
}

/// Where the points of a loop lie in a row-major array: on each axis, an offset and a factor for each of the loop's dimensions and each
/// of the view's run-time indices.
struct Position {
    offset: Vec<isize>,
    dims: Vec<Vec<isize>>,
    dynamic: Vec<Vec<isize>>,
}

impl Position {
    /// `None` where no such factors are.
    fn of(view: &View, sizes: &[usize], array: &[usize]) -> Option<Position> {
        let row_major = contiguous(array);
        // Digits of a distance; they are right if all sums of them stay within their axes.
        let digits = |distance: isize| -> Vec<isize> {
            let (sign, mut rest) = (distance.signum(), distance.abs());
            let digit = |k: usize| {
                if array[k] == 1 {
                    return 0;
                }
                let d = rest / row_major[k];
                rest %= row_major[k];
                d * sign
            };
            (0..array.len()).map(digit).collect()
        };
        let none = vec![0; array.len()];
        let dims: Vec<Vec<isize>> =
            view.strides.iter().zip(sizes).map(|(&s, &n)| if n == 1 { none.clone() } else { digits(s) }).collect();
        let dynamic: Vec<Vec<isize>> =
            view.dynamic.iter().map(|d| if d.max == 0 { none.clone() } else { digits(d.stride) }).collect();
        let offset = digits(view.offset);
        let reaches = sizes.iter().map(|&n| n as isize - 1).chain(view.dynamic.iter().map(|d| d.max as isize));
        let factors: Vec<(&Vec<isize>, isize)> = dims.iter().chain(&dynamic).zip(reaches).collect();
        let within = (0..array.len()).all(|k| {
            let sum = |sign: isize| -> isize {
                factors.iter().map(|(f, reach)| f[k] * reach).filter(|x| x * sign > 0).sum::<isize>() + offset[k]
            };
            sum(-1) >= 0 && sum(1) < array[k] as isize
        });
        within.then_some(Position { offset, dims, dynamic })
    }

    /// A view of the defining loop, as one of the loop that reads.
    fn compose(&self, v: &View, outer: &[Dynamic]) -> View {
        let dot = |x: &[isize]| -> isize { x.iter().zip(&v.strides).map(|(a, b)| a * b).sum() };
        let mut dynamic = v.dynamic.clone();
        for (d, factors) in outer.iter().zip(&self.dynamic) {
            let stride = dot(factors);
            if stride != 0 {
                dynamic.push(Dynamic { stride, ..*d });
            }
        }
        let strides: SmallVec<[isize; 4]> = self.dims.iter().map(|f| dot(f)).collect();
        View { buffer: v.buffer, offset: v.offset + dot(&self.offset), dynamic, strides }
    }

    /// The position along axis `k`.
    fn value(&self, k: usize, base: u32, ops: &mut Vec<LaneOp>) -> Option<Value> {
        if self.dynamic.iter().any(|f| f[k] != 0) {
            return None;
        }
        let int = |kind| LaneOp { kind, dtype: DType::I32 };
        let lit = |x: isize| int(LaneKind::Lit(Lit::i32(x as i32)));
        let mut sum: Option<Value> = None;
        for (j, factors) in self.dims.iter().enumerate().filter(|f| f.1[k] != 0) {
            let mut term = push(base, ops, int(LaneKind::Position(j)));
            if factors[k] != 1 {
                let factor = push(base, ops, lit(factors[k]));
                term = push(base, ops, int(LaneKind::Binary(Binary::Mul, term, factor)));
            }
            sum = Some(match sum {
                Some(s) => push(base, ops, int(LaneKind::Binary(Binary::Add, s, term))),
                None => term,
            });
        }
        match (sum, self.offset[k]) {
            (Some(s), 0) => Some(s),
            (Some(s), x) => {
                let x = push(base, ops, lit(x));
                Some(push(base, ops, int(LaneKind::Binary(Binary::Add, s, x))))
            }
            (None, x) => Some(push(base, ops, lit(x))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: isize, strides: &[isize]) -> View {
        View { buffer: BufferId(0), offset, dynamic: SmallVec::new(), strides: strides.into() }
    }

    #[test]
    fn positions_in_arrays() {
        let p = Position::of(&view(1, &[1, 6]), &[5, 4], &[4, 6]).unwrap();
        assert_eq!((p.offset, p.dims), (vec![0, 1], vec![vec![0, 1], vec![1, 0]]));
        assert!(Position::of(&view(0, &[1]), &[24], &[4, 6]).is_none());
        let p = Position::of(&view(23, &[-6]), &[4], &[4, 6]).unwrap();
        assert_eq!((p.offset, p.dims), (vec![3, 5], vec![vec![-1, 0]]));
    }
}
