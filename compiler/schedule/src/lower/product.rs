//! `Dot`: a matrix product if the axes can be merged into (batch…, m, n, k), after copies where they can not.

use std::ops::Range;

use whorl_core::ir::*;
use whorl_core::prim::{Binary, Dot, Monoid};

use super::Lowerer;
use crate::ScheduleError;
use crate::array::{Array, Content, Strides, reshape};
use crate::lanes::LaneBuilder;
use crate::loop_ir::*;

/// An operand with its axes in the order (batch…, free…, contracted…).
struct Operand {
    array: Array,
    batch: usize,
    free: usize,
}

impl Operand {
    fn new(x: &Array, lanes: usize, batch: &[usize], contract: &[usize]) -> Operand {
        let free = Dot::free(x.rank() - lanes, batch, contract);
        let own = batch.iter().chain(&free).chain(contract).map(|k| lanes + k);
        let perm: Vec<usize> = (0..lanes).chain(own).collect();
        Operand { array: x.clone().permuted(&perm), batch: lanes + batch.len(), free: free.len() }
    }

    fn sizes(&self) -> (&[usize], &[usize], &[usize]) {
        let (batch, rest) = self.array.shape.split_at(self.batch);
        let (free, contract) = rest.split_at(self.free);
        (batch, free, contract)
    }

    /// The least step of these axes.
    fn innermost(&self, axes: Range<usize>) -> usize {
        let strides = self.array.strides();
        let steps = axes.filter(|k| self.array.shape[*k] > 1).map(|k| strides[k].unsigned_abs());
        steps.filter(|s| *s > 0).min().unwrap_or(usize::MAX)
    }

    /// One stride for all free axes and one for all contracted ones.
    fn merged(&self) -> Option<(isize, isize)> {
        let strides = self.array.strides();
        let (_, free, contract) = self.sizes();
        let merge =
            |sizes: &[usize], strides: &[isize]| reshape(sizes, strides, &[sizes.iter().product()]).map(|s| s[0]);
        let (f, c) = strides[self.batch..].split_at(self.free);
        Some((merge(free, f)?, merge(contract, c)?))
    }
}

impl Lowerer<'_> {
    pub(super) fn dot(&mut self, d: &Dot, a: &Array, b: &Array, out: Var) -> Result<Array, ScheduleError> {
        let lanes = self.lanes.len();
        let a = Operand::new(a, lanes, &d.lhs_batch, &d.lhs_contract);
        let b = Operand::new(b, lanes, &d.rhs_batch, &d.rhs_contract);
        let k: usize = a.sizes().2.iter().product();
        match a.array.dtype {
            DType::F32 | DType::F64 if k == 1 => Ok(self.outer(&a, &b, out)),
            DType::F32 | DType::F64 => Ok(self.matmul(a, b, k, out)),
            DType::I32 | DType::U32 | DType::U8 => Ok(self.integer_dot(&a, &b, out)),
            DType::F16 | DType::BF16 => Err(self.error("a product of halves")),
            DType::Bool => Err(self.error("a product of bools")),
        }
    }

    /// The operands over (batch…, m…, n…, k…).
    fn spread(a: &Operand, b: &Operand) -> (Array, Array) {
        let (m, n) = (a.sizes().1, b.sizes().1);
        (a.array.clone().repeated(a.batch + a.free, n), b.array.clone().repeated(b.batch, m))
    }

    /// Nothing is summed: a loop over the result, of `fma(a, b, +0)`, which differs from `a * b` in the sign of a zero.
    fn outer(&mut self, a: &Operand, b: &Operand, out: Var) -> Array {
        let (mut x, mut y) = Self::spread(a, b);
        let (to, array) = self.fresh(out);
        while x.rank() > array.rank() {
            x = x.clone().at(x.rank() - 1, 0);
            y = y.clone().at(y.rank() - 1, 0);
        }
        let mut lane = LaneBuilder::default();
        let (x, y, zero) = (lane.read(&x), lane.read(&y), lane.lit(Lit::zero(array.dtype)));
        let value = lane.op(LaneKind::MulAdd(x, y, zero), array.dtype);
        lane.store(to, value);
        let node = lane.node(&array.shape, &self.spans);
        self.emit(node);
        array
    }

    fn integer_dot(&mut self, a: &Operand, b: &Operand, out: Var) -> Array {
        let (x, y) = Self::spread(a, b);
        let (into, array) = self.fresh(out);
        let mut lane = LaneBuilder::default();
        let (vx, vy) = (lane.read(&x), lane.read(&y));
        let value = lane.op(LaneKind::Binary(Binary::Mul, vx, vy), array.dtype);
        let kind = ReductionKind::Fold(Monoid::Sum);
        let (dims, reduced) = x.shape.split_at(array.rank());
        let reduced: &[usize] = if reduced.is_empty() { &[1] } else { reduced };
        if x.rank() == array.rank() {
            // Views of a loop with `reduced` have strides for it.
            lane.ops
                .iter_mut()
                .filter_map(|op| crate::lanes::view_of_mut(&mut op.kind))
                .for_each(|v| v.strides.push(0));
        }
        let reduction = Reduction { kind, value, into, order: ReduceOrder::Sequential };
        let node = lane.reduce(dims, reduced, vec![reduction], &self.spans);
        self.emit(node);
        array
    }

    /// A copy, unless the axes merge as they are. What is innermost stays so in the copy: rows are copied as rows, and an array whose free
    /// axes one product sums over, as do a layer and its derivative, has the same copy in both.
    fn mergeable(&mut self, x: Operand) -> (Operand, isize, isize) {
        let is_view = matches!(x.array.content, Content::View(_));
        if let (true, Some((free, contract))) = (is_view, x.merged()) {
            return (x, free, contract);
        }
        let rank = x.array.rank();
        let (batch, free, contract) = (0..x.batch, x.batch..x.batch + x.free, x.batch + x.free..rank);
        let array = if x.innermost(free.clone()) < x.innermost(contract.clone()) {
            let perm: Vec<usize> = batch.clone().chain(contract.clone()).chain(free.clone()).collect();
            let copy = self.materialised(&x.array.permuted(&perm));
            let summed = contract.len();
            let behind = x.batch + summed..rank;
            copy.permuted(&batch.chain(behind).chain(x.batch..x.batch + summed).collect::<Vec<_>>())
        } else {
            self.materialised(&x.array)
        };
        let x = Operand { array, ..x };
        let (free, contract) = x.merged().expect("row-major axes merge");
        (x, free, contract)
    }

    fn matmul(&mut self, a: Operand, b: Operand, k: usize, out: Var) -> Array {
        let (_, array) = self.fresh(out);
        let (a, a_m, a_k) = self.mergeable(a);
        let (b, b_n, b_k) = self.mergeable(b);
        let mut m: usize = a.sizes().1.iter().product();
        let n: usize = b.sizes().1.iter().product();
        let mut batch: Shape = a.sizes().0.into();
        let (mut sa, mut sb): (Strides, Strides) =
            (a.array.strides()[..a.batch].into(), b.array.strides()[..b.batch].into());
        let mut a_m = a_m;
        // A batch axis that the right operand does not have is rows of the left one.
        while let (Some(&size), Some(&s), Some(&0)) = (batch.last(), sa.last(), sb.last()) {
            if m == 1 {
                a_m = s;
            } else if s != a_m * m as isize {
                break;
            }
            m *= size;
            batch.pop();
            sa.pop();
            sb.pop();
        }
        let mut sc = crate::array::contiguous(&batch);
        sc.iter_mut().for_each(|s| *s *= (m * n) as isize);
        sa.extend_from_slice(&[a_m, a_k]);
        sb.extend_from_slice(&[b_k, b_n]);
        sc.extend_from_slice(&[n as isize, 1]);
        let c = View { strides: sc, ..self.view(&array) };
        let (va, vb) = (View { strides: sa, ..self.view(&a.array) }, View { strides: sb, ..self.view(&b.array) });
        let (dtype, spans) = (array.dtype, self.spans.clone());
        self.emit(Node::MatMul(MatMul {
            dtype,
            batch,
            m,
            n,
            k,
            a: va,
            b: vb,
            c,
            accumulate: false,
            epilogue: None,
            spans,
        }));
        array
    }
}
