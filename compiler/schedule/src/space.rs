//! Changing the dimensions that a lane loop goes over: splitting, dropping ones, reordering.

use smallvec::SmallVec;
use whorl_core::ir::{DType, Lit, Shape};
use whorl_core::prim::Binary;

use crate::array::Strides;
use crate::lanes::{operands_mut, view_of_mut};
use crate::loop_ir::*;

/// New dimensions, and for each old one which of the new ones (outermost first) it is split into.
#[derive(Clone, PartialEq, Debug)]
pub struct Space {
    pub sizes: Shape,
    pub of: Vec<SmallVec<[usize; 2]>>,
}

/// The coarsest dimensions that two row-major loops over the same number of points can both go over; sizes of one disappear.
pub fn common(a: &[usize], b: &[usize]) -> Option<(Space, Space)> {
    if a.iter().product::<usize>() != b.iter().product::<usize>() || a.contains(&0) {
        return None;
    }
    let mut sizes = Vec::new();
    let mut of = [vec![SmallVec::new(); a.len()], vec![SmallVec::new(); b.len()]];
    // Innermost first.
    let (mut i, mut j) = (a.len(), b.len());
    let (mut x, mut y) = (1, 1);
    loop {
        while x == 1 && i > 0 {
            i -= 1;
            x = a[i];
        }
        while y == 1 && j > 0 {
            j -= 1;
            y = b[j];
        }
        if x == 1 && y == 1 {
            break;
        }
        let step = x.min(y);
        if x % step != 0 || y % step != 0 {
            return None;
        }
        of[0][i].push(sizes.len());
        of[1][j].push(sizes.len());
        sizes.push(step);
        (x, y) = (x / step, y / step);
    }
    let n = sizes.len();
    let flip = |of: Vec<SmallVec<[usize; 2]>>| {
        of.into_iter().map(|d| d.into_iter().rev().map(|k| n - 1 - k).collect()).collect()
    };
    let sizes: Shape = sizes.into_iter().rev().collect();
    let [of_a, of_b] = of;
    Some((Space { sizes: sizes.clone(), of: flip(of_a) }, Space { sizes, of: flip(of_b) }))
}

/// The loop over `space`; the first `dims` of its dimensions are lanes, the others reduced.
pub fn respaced(l: &Lanes, space: &Space, dims: usize) -> Lanes {
    let mut ops = Vec::new();
    let mut new: Vec<Value> = Vec::new();
    for op in &l.ops {
        let mut op = op.clone();
        operands_mut(&mut op.kind).into_iter().for_each(|v| *v = new[v.0 as usize]);
        if let Some(v) = view_of_mut(&mut op.kind) {
            v.strides = strides(&v.strides, space);
        }
        let value = match op.kind {
            LaneKind::Position(d) => position(&mut ops, &space.of[d], &space.sizes),
            _ => push(&mut ops, op),
        };
        new.push(value);
    }
    let own = l.dims.len();
    let reductions = l
        .reductions
        .iter()
        .map(|r| {
            let mut r = r.clone();
            r.value = new[r.value.0 as usize];
            let lanes = Space { sizes: space.sizes[..dims].into(), of: space.of[..own].to_vec() };
            r.into.strides = strides(&r.into.strides, &lanes);
            r
        })
        .collect();
    let (dims, reduced) = space.sizes.split_at(dims);
    Lanes { dims: dims.into(), reduced: reduced.into(), ops, reductions, spans: l.spans.clone() }
}

fn push(ops: &mut Vec<LaneOp>, op: LaneOp) -> Value {
    ops.push(op);
    Value(ops.len() as u32 - 1)
}

/// The strides of a view along the new dimensions.
pub fn strides(old: &[isize], space: &Space) -> Strides {
    let mut new = Strides::from_elem(0, space.sizes.len());
    for (&stride, parts) in old.iter().zip(&space.of) {
        let mut s = stride;
        for &k in parts.iter().rev() {
            new[k] = s;
            s *= space.sizes[k] as isize;
        }
    }
    new
}

/// The position along a dimension that is now several.
fn position(ops: &mut Vec<LaneOp>, parts: &[usize], sizes: &[usize]) -> Value {
    let int = |kind| LaneOp { kind, dtype: DType::I32 };
    let mut sum: Option<Value> = None;
    let mut factor = 1;
    for &k in parts.iter().rev() {
        let mut term = push(ops, int(LaneKind::Position(k)));
        if factor != 1 {
            let f = push(ops, int(LaneKind::Lit(Lit::i32(factor))));
            term = push(ops, int(LaneKind::Binary(Binary::Mul, term, f)));
        }
        sum = Some(match sum {
            Some(s) => push(ops, int(LaneKind::Binary(Binary::Add, term, s))),
            None => term,
        });
        factor *= sizes[k] as i32;
    }
    sum.unwrap_or_else(|| push(ops, int(LaneKind::Lit(Lit::i32(0)))))
}

/// All dimensions, lanes then reduced.
pub fn full(l: &Lanes) -> Shape {
    l.dims.iter().chain(&l.reduced).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_spaces() {
        let (a, b) = common(&[4, 1, 6], &[24]).unwrap();
        assert_eq!(a.sizes.as_slice(), [4, 6]);
        assert_eq!(a.of[1].len(), 0);
        assert_eq!(b.of[0].as_slice(), [0, 1]);
        assert!(common(&[4, 6], &[6, 4]).is_none());
        assert_eq!(common(&[2, 12], &[4, 6]).unwrap().0.sizes.as_slice(), [2, 2, 6]);
        assert!(common(&[1, 1], &[]).unwrap().0.sizes.is_empty());
    }
}
