//! Products and sorts: what generated code hands to `whorl_kernels`.
//!
//! The kernels know one batch dimension. Where the leading dimensions do not walk as one, the last stays theirs and the
//! others are a loop here.

use whorl_core::ir::DType;
use whorl_kernels::elem::Elem;
use whorl_kernels::matmul::{Epilogue, MatmulDesc, Plan};
use whorl_kernels::sort::{SortDesc, SortOperand, sort_rows};
use whorl_schedule::loop_ir::{Activation, MatMul, Sort, View};

use crate::CpuError;

/// Leading dimensions as a loop around one dimension.
#[derive(Debug)]
struct Rows {
    /// The size of the inner dimension, and each operand's stride along it.
    inner: usize,
    strides: Vec<isize>,
    /// For each turn of the loop, each operand's offset.
    outer: Vec<Vec<isize>>,
}

/// `operands` are strides of at least these dimensions.
fn rows(sizes: &[usize], operands: &[&[isize]]) -> Rows {
    let mut dims: Vec<(usize, Vec<isize>)> = Vec::new();
    for (d, &n) in sizes.iter().enumerate().filter(|(_, n)| **n != 1) {
        let strides: Vec<isize> = operands.iter().map(|s| s[d]).collect();
        match dims.last_mut() {
            Some((m, outer)) if outer.iter().zip(&strides).all(|(o, s)| *o == s * n as isize) => {
                *m *= n;
                *outer = strides;
            }
            _ => dims.push((n, strides)),
        }
    }
    let (inner, strides) = dims.pop().unwrap_or((1, vec![0; operands.len()]));
    let mut outer = vec![vec![0; operands.len()]];
    for (n, strides) in dims {
        let step = |at: &Vec<isize>, k: usize| at.iter().zip(&strides).map(|(a, s)| a + s * k as isize).collect();
        outer = outer.iter().flat_map(|at| (0..n).map(move |k| step(at, k)).collect::<Vec<_>>()).collect();
    }
    Rows { inner, strides, outer }
}

#[derive(Debug)]
pub struct MatMulSite {
    plan: Planned,
    outer: Vec<Vec<isize>>,
}

#[derive(Debug)]
enum Planned {
    F32(Plan<f32>),
    F64(Plan<f64>),
}

impl MatMulSite {
    pub fn new(m: &MatMul) -> Result<MatMulSite, CpuError> {
        if !matches!(m.dtype, DType::F32 | DType::F64) {
            return Err(CpuError::ill_typed("matmul", m.dtype));
        }
        let Rows { inner, strides, outer } = rows(&m.batch, &[&m.a.strides, &m.b.strides, &m.c.strides]);
        let rank = m.batch.len();
        let steps = |v: &View| (v.strides[rank], v.strides[rank + 1]);
        let ((a_row, a_col), (b_row, b_col), (c_row, c_col)) = (steps(&m.a), steps(&m.b), steps(&m.c));
        let desc = MatmulDesc {
            batch: inner,
            m: m.m,
            n: m.n,
            k: m.k,
            a_batch: strides[0],
            a_row,
            a_col,
            b_batch: strides[1],
            b_row,
            b_col,
            c_batch: strides[2],
            c_row,
            c_col,
            accumulate: m.accumulate,
            epilogue: match m.epilogue.as_ref().map(|e| e.activation) {
                None => Epilogue::None,
                Some(Activation::None) => Epilogue::Bias,
                Some(Activation::Tanh) => Epilogue::BiasTanh,
                Some(Activation::Relu) => Epilogue::BiasRelu,
            },
        };
        let double = m.dtype == DType::F64;
        let plan = if double { Planned::F64(Plan::<f64>::new(&desc)) } else { Planned::F32(Plan::<f32>::new(&desc)) };
        Ok(MatMulSite { plan, outer })
    }
}

/// # Safety
/// Called by generated code: with a site of its executable and addresses in its arena (`bias`: of anything without an epilogue).
pub unsafe extern "C" fn matmul(site: *const MatMulSite, a: *const u8, b: *const u8, c: *mut u8, bias: *const u8) {
    // SAFETY: the views of a verified program stay within their buffers, and products write where nothing else is.
    unsafe {
        let site = &*site;
        for at in &site.outer {
            match &site.plan {
                Planned::F32(plan) => {
                    let (a, b, c) = (a.cast::<f32>(), b.cast::<f32>(), c.cast::<f32>());
                    plan.run(a.offset(at[0]), b.offset(at[1]), c.offset(at[2]), bias.cast());
                }
                Planned::F64(plan) => {
                    let (a, b, c) = (a.cast::<f64>(), b.cast::<f64>(), c.cast::<f64>());
                    plan.run(a.offset(at[0]), b.offset(at[1]), c.offset(at[2]), bias.cast());
                }
            }
        }
    }
}

#[derive(Debug)]
pub struct SortSite {
    rows: usize,
    n: usize,
    keys: usize,
    operands: Vec<SortOperand>,
    /// Offsets of the sources, then of the targets, in elements.
    outer: Vec<Vec<isize>>,
}

fn elem(dtype: DType) -> Result<Elem, CpuError> {
    Ok(match dtype {
        DType::F32 => Elem::F32,
        DType::F64 => Elem::F64,
        DType::I32 => Elem::I32,
        DType::U32 => Elem::U32,
        DType::U8 => Elem::U8,
        DType::Bool => Elem::Bool,
        DType::F16 | DType::BF16 => return Err(CpuError::ill_typed("sort", dtype)),
    })
}

impl SortSite {
    pub fn new(s: &Sort, dtypes: &[DType]) -> Result<SortSite, CpuError> {
        let views: Vec<&[isize]> = s.from.iter().chain(&s.to).map(|v| &v.strides[..]).collect();
        let count = dtypes.len();
        let Rows { inner, strides, outer } = rows(&s.rows, &views);
        let last = |k: usize| views[k].last().copied().unwrap_or(1);
        let operand = |(k, dtype): (usize, &DType)| {
            let (in_row, in_element) = (strides[k], last(k));
            let (out_row, out_element) = (strides[count + k], last(count + k));
            Ok(SortOperand { elem: elem(*dtype)?, in_row, in_element, out_row, out_element })
        };
        let operands = dtypes.iter().enumerate().map(operand).collect::<Result<_, CpuError>>()?;
        Ok(SortSite { rows: inner, n: s.n, keys: s.keys, operands, outer })
    }
}

/// `pointers`: of each operand's source, then of each operand's target.
///
/// # Safety
/// As [`matmul`].
pub unsafe extern "C" fn sort(site: *const SortSite, pointers: *const *mut u8) {
    // SAFETY: there are two pointers for each operand; the views of a verified program stay within their buffers.
    unsafe {
        let site = &*site;
        let count = site.operands.len();
        let starts = std::slice::from_raw_parts(pointers, 2 * count);
        let operand = site.operands.as_ptr();
        let desc = SortDesc { rows: site.rows, n: site.n, operands: count, keys: site.keys, operand };
        for at in &site.outer {
            let place = |k: usize| starts[k].offset(at[k] * site.operands[k % count].elem.bytes() as isize);
            let places: smallvec::SmallVec<[*mut u8; 8]> = (0..2 * count).map(place).collect();
            sort_rows(&desc, places.as_ptr().cast(), places[count..].as_ptr());
        }
    }
}
