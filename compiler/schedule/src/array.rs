//! Where a variable's elements come from while a body is lowered: rearrangements of them are free.

use smallvec::SmallVec;
use whorl_core::ir::{DType, Lit, Shape};

use crate::loop_ir::*;

/// Elements by position. Its shape begins with the dimensions of the `Map`s around it.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    pub dtype: DType,
    pub shape: Shape,
    pub content: Content,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// Everywhere the same.
    Lit(Lit),
    /// An `i32` that is affine in the position: ranges and the numbers of lanes.
    Position {
        offset: isize,
        strides: Strides,
    },
    View(View),
}

pub type Strides = SmallVec<[isize; 4]>;

/// Row-major strides.
pub fn contiguous(shape: &[usize]) -> Strides {
    let mut strides: Strides = SmallVec::from_elem(1, shape.len());
    for k in (1..shape.len()).rev() {
        strides[k - 1] = strides[k] * shape[k] as isize;
    }
    strides
}

impl View {
    /// All of a buffer, row-major.
    pub fn whole(buffer: BufferId, shape: &[usize]) -> View {
        View { buffer, offset: 0, dynamic: SmallVec::new(), strides: contiguous(shape) }
    }

    /// The same element for every position of a loop of `rank` dimensions.
    pub fn scalar(buffer: BufferId, rank: usize) -> View {
        View { buffer, offset: 0, dynamic: SmallVec::new(), strides: SmallVec::from_elem(0, rank) }
    }
}

impl Array {
    pub fn lit(lit: Lit, shape: &[usize]) -> Array {
        Array { dtype: lit.dtype, shape: shape.into(), content: Content::Lit(lit) }
    }

    pub fn whole(buffer: BufferId, dtype: DType, shape: &[usize]) -> Array {
        Array { dtype, shape: shape.into(), content: Content::View(View::whole(buffer, shape)) }
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    fn affine_mut(&mut self) -> Option<(&mut isize, &mut Strides)> {
        match &mut self.content {
            Content::Lit(_) => None,
            Content::Position { offset, strides } => Some((offset, strides)),
            Content::View(v) => Some((&mut v.offset, &mut v.strides)),
        }
    }

    pub fn strides(&self) -> Strides {
        match &self.content {
            Content::Lit(_) => SmallVec::from_elem(0, self.rank()),
            Content::Position { strides, .. } => strides.clone(),
            Content::View(v) => v.strides.clone(),
        }
    }

    /// Axis `j` of the result is axis `from[j]` of this, or new (and repeats).
    pub fn with_axes(mut self, shape: &[usize], from: &[Option<usize>]) -> Array {
        debug_assert_eq!(shape.len(), from.len());
        if let Some((_, strides)) = self.affine_mut() {
            *strides = from.iter().map(|f| f.map_or(0, |k| strides[k])).collect();
        }
        self.shape = shape.into();
        self
    }

    /// New axes of these sizes at `at`, over which it repeats.
    pub fn repeated(self, at: usize, sizes: &[usize]) -> Array {
        if sizes.is_empty() {
            return self;
        }
        let rank = self.rank();
        let mut shape = self.shape.clone();
        shape.insert_from_slice(at, sizes);
        let from: Vec<Option<usize>> =
            (0..at).map(Some).chain(sizes.iter().map(|_| None)).chain((at..rank).map(Some)).collect();
        self.with_axes(&shape, &from)
    }

    pub fn permuted(self, perm: &[usize]) -> Array {
        let shape: Shape = perm.iter().map(|&k| self.shape[k]).collect();
        let from: Vec<Option<usize>> = perm.iter().map(|&k| Some(k)).collect();
        self.with_axes(&shape, &from)
    }

    /// From `start`, `n` elements, every `step`-th, on one axis.
    pub fn sliced(mut self, axis: usize, start: usize, n: usize, step: usize) -> Array {
        if let Some((offset, strides)) = self.affine_mut() {
            *offset += start as isize * strides[axis];
            strides[axis] *= step as isize;
        }
        self.shape[axis] = n;
        self
    }

    pub fn reversed(mut self, axis: usize) -> Array {
        let n = self.shape[axis] as isize;
        if let Some((offset, strides)) = self.affine_mut() {
            *offset += (n - 1).max(0) * strides[axis];
            strides[axis] = -strides[axis];
        }
        self
    }

    /// The axis disappears: the element at `at` of it is meant.
    pub fn at(self, axis: usize, at: usize) -> Array {
        let mut a = self.sliced(axis, at, 1, 1);
        a.remove(axis);
        a
    }

    pub fn remove(&mut self, axis: usize) {
        if let Some((_, strides)) = self.affine_mut() {
            strides.remove(axis);
        }
        self.shape.remove(axis);
    }

    /// The same elements in row-major order, where strides can say so.
    pub fn reshaped(mut self, shape: &[usize]) -> Option<Array> {
        let old = self.shape.clone();
        if let Some((_, strides)) = self.affine_mut() {
            *strides = reshape(&old, strides, shape)?;
        }
        self.shape = shape.into();
        Some(self)
    }
}

/// Strides of `to` over the elements that `from` with `strides` goes through in row-major order.
pub fn reshape(from: &[usize], strides: &[isize], to: &[usize]) -> Option<Strides> {
    let mut result: Strides = SmallVec::from_elem(0, to.len());
    if from.contains(&0) {
        return Some(result);
    }
    let old: Vec<(usize, isize)> = from.iter().copied().zip(strides.iter().copied()).filter(|d| d.0 != 1).collect();
    let new: Vec<usize> = (0..to.len()).filter(|&k| to[k] != 1).collect();
    let (mut i, mut j) = (0, 0);
    while i < old.len() && j < new.len() {
        let (mut o, mut n) = (old[i].0, to[new[j]]);
        let (first_i, first_j) = (i, j);
        (i, j) = (i + 1, j + 1);
        while o != n {
            if o < n {
                o *= old[i].0;
                i += 1;
            } else {
                n *= to[new[j]];
                j += 1;
            }
        }
        let merges = old[first_i..i].windows(2).all(|w| w[0].1 == w[1].1 * w[1].0 as isize);
        if !merges {
            return None;
        }
        let mut stride = old[i - 1].1;
        for &k in new[first_j..j].iter().rev() {
            result[k] = stride;
            stride *= to[k] as isize;
        }
    }
    Some(result)
}

/// Whether different positions have different addresses (as far as strides alone show it).
pub fn injective(shape: &[usize], strides: &[isize]) -> bool {
    let mut dims: Vec<(usize, usize)> =
        shape.iter().zip(strides).filter(|d| *d.0 > 1).map(|(&n, s)| (s.unsigned_abs(), n)).collect();
    dims.sort_unstable();
    let mut reach = 0;
    for (stride, n) in dims {
        if stride <= reach {
            return false;
        }
        reach += stride * (n - 1);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_of_reshapes() {
        assert_eq!(reshape(&[4, 6], &[6, 1], &[24]).as_deref(), Some(&[1isize][..]));
        assert_eq!(reshape(&[4, 6], &[6, 1], &[2, 2, 1, 6]).as_deref(), Some(&[12isize, 6, 0, 1][..]));
        assert_eq!(reshape(&[4, 6], &[1, 4], &[24]), None);
        assert_eq!(reshape(&[4, 6], &[1, 4], &[4, 2, 3]).as_deref(), Some(&[1isize, 12, 4][..]));
        assert_eq!(reshape(&[1, 3], &[7, 2], &[3, 1]).as_deref(), Some(&[2isize, 0][..]));
        assert!(injective(&[2, 3], &[3, 1]));
        assert!(!injective(&[2, 3], &[2, 1]));
        assert!(!injective(&[2, 3], &[0, 1]));
    }
}
