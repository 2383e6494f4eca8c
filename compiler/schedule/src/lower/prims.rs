//! Primitives: rearrangements are views, everything else a node.

use smallvec::SmallVec;
use whorl_core::ir::*;
use whorl_core::prim::*;

use super::Lowerer;
use super::access::stays_within;
use crate::ScheduleError;
use crate::array::{Array, Content, Strides};
use crate::lanes::LaneBuilder;
use crate::loop_ir::*;

impl Lowerer<'_> {
    pub(super) fn prim(&mut self, prim: &Prim, args: &[Atom], outs: &[Var]) -> Result<(), ScheduleError> {
        use Prim::*;
        if let Some(result) = self.update_accumulator(prim, args)? {
            self.bound.insert(outs[0], result);
            return Ok(());
        }
        let lanes = self.lanes.len();
        let arrays = args.iter().map(|a| self.get(*a)).collect::<Result<Vec<Array>, ScheduleError>>()?;
        if let Binary(op) = prim
            && let Some(position) = self.position(*op, &arrays[0], &arrays[1], outs[0])
        {
            self.bind(outs[0], position);
            return Ok(());
        }
        let result = match prim {
            Unary(_) | Binary(_) | Compare(_) | Select | MulAdd | Convert(_) | Bitcast(_) | Threefry => {
                return self.elementwise(prim, &arrays, outs);
            }
            StopGradient => arrays[0].clone(),
            Custom(_) => unreachable!("tracing took it out"),
            Iota(n) => {
                let content = Content::Position { offset: 0, strides: SmallVec::from_iter([1]) };
                Array { dtype: DType::I32, shape: Shape::from_slice(&[*n]), content }.repeated(0, &self.lanes.clone())
            }
            Broadcast { shape, axes } => {
                let mut full = self.lanes.clone();
                full.extend_from_slice(shape);
                let source = |j: usize| axes.iter().position(|&a| a == j).map(|k| lanes + k);
                let from: Vec<Option<usize>> = (0..lanes).map(Some).chain((0..shape.len()).map(source)).collect();
                arrays[0].clone().with_axes(&full, &from)
            }
            Reshape(shape) => {
                let mut full = self.lanes.clone();
                full.extend_from_slice(shape);
                match arrays[0].clone().reshaped(&full) {
                    Some(a) => a,
                    None => self.materialised(&arrays[0]).reshaped(&full).expect("row-major arrays reshape"),
                }
            }
            Transpose(perm) => {
                let perm: Vec<usize> = (0..lanes).chain(perm.iter().map(|k| lanes + k)).collect();
                arrays[0].clone().permuted(&perm)
            }
            Slice { starts, shape, strides } => {
                (0..shape.len()).fold(arrays[0].clone(), |a, k| a.sliced(lanes + k, starts[k], shape[k], strides[k]))
            }
            Reverse(axes) => axes.iter().fold(arrays[0].clone(), |a, k| a.reversed(lanes + k)),
            Pad { low, interior, .. } => self.pad(&arrays, low, interior, outs[0]),
            Concat(axis) => self.concat(&arrays, lanes + axis, outs[0]),
            Index(window) => self.index(&arrays[0], *window, &arrays[1..], outs[0]),
            IndexSet(window) => self.index_update(&arrays, *window, false, outs[0]),
            IndexAdd(window) => self.index_update(&arrays, *window, true, outs[0]),
            Reduce(r) => {
                let rank = arrays[0].rank() - lanes;
                let suffix = r.axes.iter().copied().eq(rank - r.axes.len()..rank);
                let order = if suffix { ReduceOrder::Interleaved } else { ReduceOrder::Sequential };
                self.reduce(&arrays[0], &r.axes, ReductionKind::Fold(r.op), order, outs[0])
            }
            ArgMax(axis) => self.reduce(&arrays[0], &[*axis], ReductionKind::ArgMax, ReduceOrder::Sequential, outs[0]),
            ArgMin(axis) => self.reduce(&arrays[0], &[*axis], ReductionKind::ArgMin, ReduceOrder::Sequential, outs[0]),
            Cumulative { op, axis, reverse } => self.cumulative(&arrays[0], *op, lanes + axis, *reverse, outs[0]),
            Dot(d) => self.dot(d, &arrays[0], &arrays[1], outs[0])?,
            Sort { axis, keys } => {
                self.sort(&arrays, lanes + axis, *keys, outs);
                return Ok(());
            }
        };
        self.bind(outs[0], result);
        Ok(())
    }

    /// The lanes' sizes and the shape of a variable.
    fn full_shape(&self, v: Var) -> Shape {
        let mut shape = self.lanes.clone();
        shape.extend_from_slice(&self.vars.ty(v).shape);
        shape
    }

    /// A buffer for a variable, and all of it.
    pub(super) fn fresh(&mut self, v: Var) -> (View, Array) {
        let (shape, dtype) = (self.full_shape(v), self.vars.ty(v).dtype);
        let id = self.buffer(dtype, &shape, self.name(v));
        (View::whole(id, &shape), Array::whole(id, dtype, &shape))
    }

    /// Sums and multiples of positions are positions, so that what they index is a view.
    fn position(&self, op: Binary, x: &Array, y: &Array, out: Var) -> Option<Array> {
        let (shape, lanes) = (self.full_shape(out), self.lanes.len());
        let affine = |a: &Array| {
            let scalar = a.rank() == lanes && shape.len() > lanes;
            let a = if scalar { a.clone().repeated(lanes, &shape[lanes..]) } else { a.clone() };
            match a.content {
                Content::Lit(lit) if lit.dtype == DType::I32 => Some((lit.to_f64() as isize, a.strides(), true)),
                Content::Position { offset, ref strides } => Some((offset, strides.clone(), false)),
                Content::Lit(_) | Content::View(_) => None,
            }
        };
        let ((x, of_x, fixed_x), (y, of_y, fixed_y)) = (affine(x)?, affine(y)?);
        let combined = |by_x: isize, by_y: isize| -> Strides {
            let each = |(d, &n): (usize, &usize)| if n > 1 { of_x[d] * by_x + of_y[d] * by_y } else { 0 };
            shape.iter().enumerate().map(each).collect()
        };
        let (offset, strides) = if op == Binary::Add {
            (x + y, combined(1, 1))
        } else if op == Binary::Sub {
            (x - y, combined(1, -1))
        } else if op == Binary::Mul && (fixed_x || fixed_y) {
            (x * y, combined(if fixed_y { y } else { 0 }, if fixed_x { x } else { 0 }))
        } else {
            return None;
        };
        // Beyond, integers wrap.
        let fits =
            !(fixed_x && fixed_y) && stays_within(&shape, offset, &strides, i32::MIN as isize, i32::MAX as isize);
        fits.then_some(Array { dtype: DType::I32, shape, content: Content::Position { offset, strides } })
    }

    fn elementwise(&mut self, prim: &Prim, arrays: &[Array], outs: &[Var]) -> Result<(), ScheduleError> {
        let shape = self.full_shape(outs[0]);
        let lanes = self.lanes.len();
        let mut b = LaneBuilder::default();
        let x: SmallVec<[Value; 4]> = arrays
            .iter()
            .map(|a| {
                let scalar = a.rank() == lanes && shape.len() > lanes;
                let a = if scalar { a.clone().repeated(lanes, &shape[lanes..]) } else { a.clone() };
                b.read(&a)
            })
            .collect();
        let dtype = self.vars.ty(outs[0]).dtype;
        let kind = match prim {
            Prim::Unary(op) => LaneKind::Unary(*op, x[0]),
            Prim::Binary(op) => LaneKind::Binary(*op, x[0], x[1]),
            Prim::Compare(op) => LaneKind::Compare(*op, x[0], x[1]),
            Prim::Select => LaneKind::Select(x[0], x[1], x[2]),
            Prim::MulAdd => LaneKind::MulAdd(x[0], x[1], x[2]),
            Prim::Convert(d) if *d == arrays[0].dtype => {
                self.bind(outs[0], arrays[0].clone());
                return Ok(());
            }
            Prim::Convert(_) => LaneKind::Convert(x[0]),
            Prim::Bitcast(_) => LaneKind::Bitcast(x[0]),
            Prim::Threefry => {
                for (word, out) in outs.iter().enumerate() {
                    let (to, array) = self.fresh(*out);
                    let value = b.op(LaneKind::Threefry(word as u8, [x[0], x[1], x[2], x[3]]), DType::U32);
                    b.store(to, value);
                    self.bind(*out, array);
                }
                let node = b.node(&shape, &self.spans);
                self.emit(node);
                return Ok(());
            }
            other => return Err(self.error(format!("{other:?} is not elementwise"))),
        };
        let value = b.op(kind, dtype);
        let (to, array) = self.fresh(outs[0]);
        b.store(to, value);
        let node = b.node(&shape, &self.spans);
        self.emit(node);
        self.bind(outs[0], array);
        Ok(())
    }

    fn pad(&mut self, arrays: &[Array], low: &[usize], interior: &[usize], out: Var) -> Array {
        let lanes = self.lanes.len();
        let (to, array) = self.fresh(out);
        let fill = arrays[1].clone().repeated(lanes, &array.shape[lanes..]);
        self.copy(&to, &fill);
        let mut place = array.clone();
        for (k, (&low, &interior)) in low.iter().zip(interior).enumerate() {
            place = place.sliced(lanes + k, low, arrays[0].shape[lanes + k], interior + 1);
        }
        let place = self.view(&place);
        self.copy(&place, &arrays[0]);
        array
    }

    fn concat(&mut self, arrays: &[Array], axis: usize, out: Var) -> Array {
        let (_, array) = self.fresh(out);
        let mut start = 0;
        for part in arrays {
            let n = part.shape[axis];
            let place = self.view(&array.clone().sliced(axis, start, n, 1));
            self.copy(&place, part);
            start += n;
        }
        array
    }

    /// Reduces `axes` of `x` (counted without the lanes).
    fn reduce(&mut self, x: &Array, axes: &[usize], kind: ReductionKind, order: ReduceOrder, out: Var) -> Array {
        let lanes = self.lanes.len();
        let gone: Vec<usize> = axes.iter().map(|a| lanes + a).collect();
        let kept: Vec<usize> = (0..x.rank()).filter(|k| !gone.contains(k)).collect();
        let perm: Vec<usize> = kept.iter().chain(&gone).copied().collect();
        let mut x = x.clone().permuted(&perm);
        if axes.is_empty() {
            // Still a fold, from the identity, of one element.
            x = x.clone().repeated(x.rank(), &[1]);
        }
        let mut b = LaneBuilder::default();
        let value = b.read(&x);
        let (into, array) = self.fresh(out);
        let (dims, reduced) = x.shape.split_at(kept.len());
        let node = b.reduce(dims, reduced, vec![Reduction { kind, value, into, order }], &self.spans);
        self.emit(node);
        array
    }

    /// `x` with `axis` last.
    fn last(x: Array, axis: usize) -> Array {
        let perm: Vec<usize> = (0..x.rank()).filter(|&k| k != axis).chain([axis]).collect();
        x.permuted(&perm)
    }

    fn cumulative(&mut self, x: &Array, op: Monoid, axis: usize, reverse: bool, out: Var) -> Array {
        let (_, array) = self.fresh(out);
        let from = Self::last(x.clone(), axis);
        let (to, from_view) = (self.view(&Self::last(array.clone(), axis)), self.view(&from));
        let (n, rows) = from.shape.split_last().expect("an axis to go along");
        let (n, rows, spans) = (*n, rows.into(), self.spans.clone());
        self.emit(Node::Cumulative(Cumulative { op, dtype: x.dtype, rows, n, reverse, from: from_view, to, spans }));
        array
    }

    fn sort(&mut self, arrays: &[Array], axis: usize, keys: usize, outs: &[Var]) {
        let from: Vec<Array> = arrays.iter().map(|x| Self::last(x.clone(), axis)).collect();
        let (n, rows) = from[0].shape.split_last().expect("an axis to sort along");
        let (n, rows) = (*n, Shape::from_slice(rows));
        let from: Vec<View> = from.iter().map(|x| self.view(x)).collect();
        let mut to = Vec::new();
        for out in outs {
            let (_, array) = self.fresh(*out);
            to.push(self.view(&Self::last(array.clone(), axis)));
            self.bind(*out, array);
        }
        let spans = self.spans.clone();
        self.emit(Node::Sort(Sort { rows, n, keys, from, to, spans }));
    }
}
