//! Lane loops and kernels.

use whorl_core::ir::*;

use super::elements as e;
use super::{EvalError, Machine, defect};
use crate::loop_ir::*;

/// All positions of a loop, row-major.
pub fn indices(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<> {
    let dims = dims.to_vec();
    let total: usize = dims.iter().product();
    (0..total).map(move |mut k| {
        let mut index = vec![0; dims.len()];
        for (i, &n) in index.iter_mut().zip(&dims).rev() {
            (*i, k) = (k % n, k / n);
        }
        index
    })
}

impl Machine<'_> {
    pub fn lanes(&mut self, l: &Lanes) -> Result<(), EvalError> {
        let mut values = vec![0u64; l.ops.len()];
        for lane in indices(&l.dims) {
            let mut folded: Vec<Vec<u64>> = vec![Vec::new(); l.reductions.len()];
            for r in indices(&l.reduced) {
                let position = [lane.as_slice(), r.as_slice()].concat();
                for k in 0..l.ops.len() {
                    values[k] = self.lane_op(l, k, &values, &position)?;
                }
                for (f, reduction) in folded.iter_mut().zip(&l.reductions) {
                    f.push(values[reduction.value.0 as usize]);
                }
            }
            for (f, reduction) in folded.iter().zip(&l.reductions) {
                let dtype = l.ops[reduction.value.0 as usize].dtype;
                let result = e::reduce(reduction.kind, reduction.order, dtype, f);
                self.memory.store(&reduction.into, &lane, 0, result)?;
            }
        }
        Ok(())
    }

    fn lane_op(&mut self, l: &Lanes, k: usize, values: &[u64], position: &[usize]) -> Result<u64, EvalError> {
        let op = &l.ops[k];
        let get = |v: &Value| values[v.0 as usize];
        let of = |v: &Value| l.ops[v.0 as usize].dtype;
        let offset = |at: &[LaneIndex]| -> isize {
            at.iter().map(|i| (get(&i.index) as u32 as i32).clamp(0, i.max) as isize * i.stride).sum()
        };
        let later = crate::lanes::operands(&op.kind).iter().any(|v| v.0 as usize >= k);
        if later {
            return defect("an op uses a later one");
        }
        Ok(match &op.kind {
            LaneKind::Lit(lit) => lit.bits,
            LaneKind::Position(d) => position[*d] as u64,
            LaneKind::Load(v) => self.memory.load(v, position, 0)?,
            LaneKind::Gather(v, at) => self.memory.load(v, position, offset(at))?,
            LaneKind::Unary(u, x) => e::unary(*u, op.dtype, get(x)),
            LaneKind::Binary(b, x, y) => e::binary(*b, op.dtype, get(x), get(y)),
            LaneKind::Compare(c, x, y) => e::compare(*c, of(x), get(x), get(y)) as u64,
            LaneKind::Select(c, x, y) => {
                if get(c) != 0 {
                    get(x)
                } else {
                    get(y)
                }
            }
            LaneKind::MulAdd(x, y, z) => e::mul_add(op.dtype, get(x), get(y), get(z)),
            LaneKind::Convert(x) => e::convert(of(x), op.dtype, get(x)),
            LaneKind::Bitcast(x) => get(x),
            LaneKind::Threefry(word, x) => {
                e::threefry([get(&x[0]), get(&x[1]), get(&x[2]), get(&x[3])])[*word as usize]
            }
            LaneKind::Store(v, x) => {
                self.memory.store(v, position, 0, get(x))?;
                0
            }
            LaneKind::Scatter { view, at, value, add } => {
                let mut bits = get(value);
                if *add {
                    let old = self.memory.load(view, position, offset(at))?;
                    bits = e::binary(whorl_core::prim::Binary::Add, op.dtype, old, bits);
                }
                self.memory.store(view, position, offset(at), bits)?;
                0
            }
        })
    }

    pub fn matmul(&mut self, m: &MatMul) -> Result<(), EvalError> {
        let zero = Lit::zero(m.dtype).bits;
        let mut results = Vec::new();
        for batch in indices(&m.batch) {
            for (i, j) in (0..m.m).flat_map(|i| (0..m.n).map(move |j| (i, j))) {
                let at = |x: usize, y: usize| [batch.as_slice(), &[x, y]].concat();
                let mut sum = zero;
                for l in 0..m.k {
                    let (x, y) = (self.memory.load(&m.a, &at(i, l), 0)?, self.memory.load(&m.b, &at(l, j), 0)?);
                    sum = e::mul_add(m.dtype, x, y, sum);
                }
                if m.accumulate {
                    let old = self.memory.load(&m.c, &at(i, j), 0)?;
                    sum = e::binary(whorl_core::prim::Binary::Add, m.dtype, old, sum);
                }
                if let Some(Epilogue { bias, activation }) = &m.epilogue {
                    let bias = self.memory.load(bias, &at(i, j), 0)?;
                    sum = e::binary(whorl_core::prim::Binary::Add, m.dtype, sum, bias);
                    sum = match activation {
                        Activation::None => sum,
                        Activation::Tanh => e::unary(whorl_core::prim::Unary::Tanh, m.dtype, sum),
                        Activation::Relu => e::binary(whorl_core::prim::Binary::Max, m.dtype, sum, zero),
                    };
                }
                // Stored early, so that a product into its own operand shows.
                self.memory.store(&m.c, &at(i, j), 0, sum)?;
                results.push(sum);
            }
        }
        Ok(())
    }

    pub fn sort(&mut self, s: &Sort) -> Result<(), EvalError> {
        let types: Vec<DType> = s.from.iter().map(|v| self.p.buffer(v.buffer).dtype).collect();
        for row in indices(&s.rows) {
            let at = |k: usize| [row.as_slice(), &[k]].concat();
            let mut columns = Vec::new();
            for v in &s.from {
                columns
                    .push((0..s.n).map(|k| self.memory.load(v, &at(k), 0)).collect::<Result<Vec<u64>, EvalError>>()?);
            }
            let mut order: Vec<usize> = (0..s.n).collect();
            order.sort_by(|&a, &b| {
                let keys = columns[..s.keys].iter().zip(&types).map(|(c, t)| e::order(*t, c[a], c[b]));
                keys.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
            });
            for (v, column) in s.to.iter().zip(&columns) {
                for (k, &from) in order.iter().enumerate() {
                    self.memory.store(v, &at(k), 0, column[from])?;
                }
            }
        }
        Ok(())
    }

    pub fn cumulative(&mut self, c: &Cumulative) -> Result<(), EvalError> {
        for row in indices(&c.rows) {
            let mut sum = e::identity(c.op, c.dtype);
            for k in 0..c.n {
                let k = if c.reverse { c.n - 1 - k } else { k };
                let at = [row.as_slice(), &[k]].concat();
                sum = e::fold(c.op, c.dtype, sum, self.memory.load(&c.from, &at, 0)?);
                self.memory.store(&c.to, &at, 0, sum)?;
            }
        }
        Ok(())
    }
}
