//! What wild programs do with whole arrays.

use smallvec::SmallVec;

use super::Generator;
use super::wild::MOST_AXES;
use crate::ir::*;
use crate::prim::*;

impl Generator<'_> {
    fn with_axes(&mut self) -> Atom {
        self.fitting(|t| t.rank() > 0)
    }

    fn some_axes(&mut self, rank: usize) -> SmallVec<[usize; 4]> {
        (0..rank).filter(|_| self.random.below(2) == 0).collect()
    }

    pub fn any_rearrangement(&mut self) -> Atom {
        let x = self.with_axes();
        let shape = self.b.ty(x).shape;
        let rank = shape.len();
        match self.random.below(9) {
            0 => {
                let n = self.size();
                self.b.prim1(Prim::Iota(n), &[])
            }
            1 | 2 => self.any_broadcast(),
            3 => {
                let x = self.anything();
                let shape = self.refactored(&self.b.ty(x).shape);
                self.b.prim1(Prim::Reshape(shape), &[x])
            }
            4 => {
                let mut left: Vec<usize> = (0..rank).collect();
                let perm = (0..rank).map(|_| left.remove(self.random.below(left.len()))).collect();
                self.b.prim1(Prim::Transpose(perm), &[x])
            }
            5 => {
                let strides: Shape = shape.iter().map(|_| 1 + self.random.below(3)).collect();
                let starts: Shape = shape.iter().map(|n| self.random.below(n + 1)).collect();
                let most = |k: usize| (shape[k] - starts[k]).div_ceil(strides[k]);
                let shape = (0..rank).map(|k| most(k) - self.random.below(most(k) + 1) / 2).collect();
                self.b.prim1(Prim::Slice { starts, shape, strides }, &[x])
            }
            6 => {
                let fill = self.of_type(&Type::scalar(self.b.ty(x).dtype));
                let mut few = |_: &usize| self.random.below(3);
                let (low, high) = (shape.iter().map(&mut few).collect(), shape.iter().map(&mut few).collect());
                let interior = shape.iter().map(&mut few).collect();
                self.b.prim1(Prim::Pad { low, high, interior }, &[x, fill])
            }
            7 => {
                let axes = self.some_axes(rank);
                self.b.prim1(Prim::Reverse(axes), &[x])
            }
            _ => {
                let axis = self.random.below(rank);
                let mut args = vec![x];
                for _ in 0..self.random.below(3) {
                    let mut ty = self.b.ty(x);
                    ty.shape[axis] = self.size();
                    args.push(self.of_type(&ty));
                }
                self.b.prim1(Prim::Concat(axis), &args)
            }
        }
    }

    fn any_broadcast(&mut self) -> Atom {
        let x = self.fitting(|t| t.rank() < MOST_AXES);
        let mut shape = self.b.ty(x).shape;
        let mut old: Vec<bool> = vec![true; shape.len()];
        for _ in 0..1 + self.random.below(MOST_AXES - shape.len()) {
            let (at, n) = (self.random.below(shape.len() + 1), self.size());
            if n * shape.iter().product::<usize>() > self.most_elements() {
                break;
            }
            shape.insert(at, n);
            old.insert(at, false);
        }
        let axes = (0..shape.len()).filter(|&k| old[k]).collect();
        self.b.prim1(Prim::Broadcast { shape, axes }, &[x])
    }

    /// Another shape of as many elements.
    fn refactored(&mut self, shape: &[usize]) -> Shape {
        let n: usize = shape.iter().product();
        let mut out = Shape::from_slice(&[n]);
        match self.random.below(4) {
            0 => {}
            1 => {
                // Split by its least divisor.
                if let Some(d) = (2..=n / 2).find(|d| n.is_multiple_of(*d)) {
                    out = Shape::from_slice(&[n / d, d]);
                }
            }
            2 if shape.len() < MOST_AXES => {
                out = shape.into();
                out.insert(self.random.below(shape.len() + 1), 1);
            }
            _ => {
                out = shape.iter().copied().filter(|n| *n != 1).collect();
            }
        }
        out
    }

    pub fn any_access(&mut self) -> Atom {
        let adds = self.random.below(3) == 2;
        let reads = !adds && self.random.below(2) == 0;
        let x = self.fitting(|t| t.rank() > 0 && t.shape[0] > 0 && !(adds && t.dtype == DType::Bool));
        let ty = self.b.ty(x);
        let most = ty.shape.iter().take_while(|n| **n > 0).count();
        let indices = 1 + self.random.below(most);
        let window = match self.random.below(3) {
            2 => Some(self.random.below(ty.shape[indices - 1] + 1)),
            _ => None,
        };
        let mut args = vec![x];
        for _ in 0..indices {
            args.push(self.place());
        }
        let types: Vec<Type> = args.iter().map(|a| self.b.ty(*a)).collect();
        if reads {
            return self.b.prim1(Prim::Index(window), &args);
        }
        let place = Prim::Index(window).result_types(&types).expect("a place")[0].clone();
        args.insert(1, self.of_type(&place));
        self.b.prim1(if adds { Prim::IndexAdd(window) } else { Prim::IndexSet(window) }, &args)
    }

    /// One of those that have a meaning for the type, and one result whatever the order.
    fn monoid(&mut self, dtype: DType, in_order: bool) -> Monoid {
        let regrouped = !in_order && !self.float_sums();
        match dtype {
            DType::Bool => self.random.pick(&[Monoid::All, Monoid::Any]),
            d if d.is_float() && regrouped => self.random.pick(&[Monoid::Max, Monoid::Min, Monoid::Prod]),
            _ => self.random.pick(&[Monoid::Sum, Monoid::Max, Monoid::Min, Monoid::Prod]),
        }
    }

    pub fn any_reduction(&mut self) -> Atom {
        let x = self.with_axes();
        let ty = self.b.ty(x);
        let axis = self.random.below(ty.rank());
        match self.random.below(6) {
            0..=2 => {
                let op = self.monoid(ty.dtype, false);
                let axes = self.some_axes(ty.rank());
                self.b.reduce(op, &axes, x)
            }
            3 | 4 => {
                let op = self.monoid(ty.dtype, true);
                let reverse = self.random.below(2) == 1;
                self.b.prim1(Prim::Cumulative { op, axis, reverse }, &[x])
            }
            _ if ty.shape[axis] > 0 => {
                let prim = if self.random.below(2) == 0 { Prim::ArgMax(axis) } else { Prim::ArgMin(axis) };
                self.b.prim1(prim, &[x])
            }
            _ => x,
        }
    }

    /// Any axes of one operand are contracted or kept together with any of the other.
    pub fn any_product(&mut self) -> Atom {
        let x = self.fitting(|t| t.rank() > 0 && t.dtype != DType::Bool);
        let ty = self.b.ty(x);
        let (mut dot, mut of_other) = (Dot::default(), Vec::new());
        for axis in 0..ty.rank() {
            match self.random.below(3) {
                0 => {
                    dot.lhs_contract.push(axis);
                    of_other.push((Some(true), ty.shape[axis]));
                }
                1 => {}
                _ => {
                    dot.lhs_batch.push(axis);
                    of_other.push((Some(false), ty.shape[axis]));
                }
            }
        }
        let room = MOST_AXES.saturating_sub(ty.rank());
        of_other.extend((0..self.random.below(room.min(1) + 1)).map(|_| (None, self.size())));
        // The other's axes in some order; pairs are in the order of the first operand's.
        let mut order: Vec<usize> = (0..of_other.len()).collect();
        let order: Vec<usize> = (0..of_other.len()).map(|_| order.remove(self.random.below(order.len()))).collect();
        for (k, (role, _)) in of_other.iter().enumerate() {
            let at = order.iter().position(|o| *o == k).expect("each is somewhere");
            match role {
                Some(true) => dot.rhs_contract.push(at),
                Some(false) => dot.rhs_batch.push(at),
                None => {}
            }
        }
        let other = Type { dtype: ty.dtype, shape: order.iter().map(|k| of_other[*k].1).collect() };
        if ty.size() * other.size() > 10 * self.most_elements() {
            return x;
        }
        let y = self.of_type(&other);
        let product = self.b.prim1(Prim::Dot(dot), &[x, y]);
        self.layer(product)
    }

    /// Perhaps what a layer does with a product: a bias for each column, and an activation.
    fn layer(&mut self, product: Atom) -> Atom {
        let ty = self.b.ty(product);
        let (true, Some(&n)) = (matches!(ty.dtype, DType::F32 | DType::F64), ty.shape.last()) else { return product };
        let mut out = product;
        if self.random.below(2) == 1 {
            let bias = self.of_type(&Type::new(ty.dtype, &[n]));
            let bias = self.b.broadcast(bias, &ty.shape);
            out = self.b.add(out, bias);
        }
        match self.random.below(4) {
            2 => self.b.binary(Binary::Max, out, Lit::zero(ty.dtype).into()),
            3 => self.b.unary(Unary::Tanh, out),
            _ => out,
        }
    }

    pub fn any_sort(&mut self) {
        let x = self.with_axes();
        let shape = self.b.ty(x).shape;
        let axis = self.random.below(shape.len());
        let keys = 1 + self.random.below(2);
        let mut args = vec![x];
        for _ in 1..keys + self.random.below(3) {
            let dtype = self.dtype();
            args.push(self.of_type(&Type { dtype, shape: shape.clone() }));
        }
        let sorted = self.b.prim(Prim::Sort { axis, keys }, &args);
        self.offer(sorted);
    }
}
