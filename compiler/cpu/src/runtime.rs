//! What generated code calls back: logs, assertions, kernels, and the few operations without an instruction.

use whorl_core::ir::{DType, Lit, Shape, Spans};

/// One execution of a log.
#[derive(Clone, PartialEq, Debug)]
pub struct LogEvent {
    /// Which of the program's logs.
    pub log: u32,
    /// The train step it happened in: of the last train phase begun, 0 before any.
    pub step: u64,
    /// The elements that the mask let through, row-major.
    pub values: Vec<f64>,
}

/// A failed assertion.
#[derive(Clone, Debug)]
pub struct Failure {
    pub message: std::sync::Arc<str>,
    pub spans: Spans,
    pub step: Option<u64>,
}

/// A run's part of the host's world. Generated code writes `step`, at offset 0, and hands the whole to the functions below.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Context {
    pub step: i64,
    pub training: bool,
    pub logs: Vec<LogEvent>,
    pub failure: Option<Failure>,
}

/// What a call needs to know that is fixed: generated code holds its address, the executable owns it.
pub type Site = Box<dyn std::any::Any + Send + Sync>;

/// Strides in elements.
pub type Strides = Vec<isize>;

#[derive(Debug)]
pub struct LogSite {
    pub log: u32,
    pub dtype: DType,
    pub dims: Shape,
    pub value: Strides,
    pub mask: Option<Strides>,
}

#[derive(Debug)]
pub struct AssertSite {
    pub message: std::sync::Arc<str>,
    pub spans: Spans,
    pub dims: Shape,
    pub condition: Strides,
    pub mask: Option<Strides>,
}

/// All positions of `dims`, row-major, until `f` says no more.
fn each_position(dims: &[usize], mut f: impl FnMut(&[usize]) -> bool) {
    let mut position = vec![0; dims.len()];
    for _ in 0..dims.iter().product() {
        if !f(&position) {
            return;
        }
        for (at, &n) in position.iter_mut().zip(dims).rev() {
            *at += 1;
            if *at < n {
                break;
            }
            *at = 0;
        }
    }
}

fn offset(strides: &[isize], position: &[usize]) -> isize {
    strides.iter().zip(position).map(|(s, p)| s * *p as isize).sum()
}

/// # Safety
/// `base` must be the address of an array of such elements that has one at `offset`.
unsafe fn element(base: *const u8, dtype: DType, offset: isize) -> f64 {
    // SAFETY: the caller's promise; addresses of elements are multiples of their size.
    unsafe {
        let bits = match dtype {
            DType::F64 => base.cast::<u64>().offset(offset).read_unaligned(),
            DType::F32 | DType::I32 | DType::U32 => base.cast::<u32>().offset(offset).read_unaligned() as u64,
            DType::F16 | DType::BF16 => base.cast::<u16>().offset(offset).read_unaligned() as u64,
            DType::U8 | DType::Bool => base.offset(offset).read() as u64,
        };
        Lit { dtype, bits }.to_f64()
    }
}

/// # Safety
/// Called by generated code: with its run's context, a site of its executable, and addresses in its arena.
pub unsafe extern "C" fn log(context: *mut Context, site: *const LogSite, value: *const u8, mask: *const u8) {
    // SAFETY: the caller's promise.
    let (context, site) = unsafe { (&mut *context, &*site) };
    let mut values = Vec::new();
    each_position(&site.dims, |position| {
        // SAFETY: the views of a verified program stay within their buffers.
        unsafe {
            let holds = site.mask.as_ref().is_none_or(|m| element(mask, DType::Bool, offset(m, position)) != 0.0);
            if holds {
                values.push(element(value, site.dtype, offset(&site.value, position)));
            }
        }
        true
    });
    context.logs.push(LogEvent { log: site.log, step: context.step as u64, values });
}

/// Returns 1, with the failure in the context, where the condition fails.
///
/// # Safety
/// As [`log`].
pub unsafe extern "C" fn assert(
    context: *mut Context,
    site: *const AssertSite,
    condition: *const u8,
    mask: *const u8,
) -> i64 {
    // SAFETY: the caller's promise.
    let (context, site) = unsafe { (&mut *context, &*site) };
    let mut good = true;
    each_position(&site.dims, |position| {
        // SAFETY: the views of a verified program stay within their buffers.
        unsafe {
            let asked = site.mask.as_ref().is_none_or(|m| element(mask, DType::Bool, offset(m, position)) != 0.0);
            good = !asked || element(condition, DType::Bool, offset(&site.condition, position)) != 0.0;
        }
        good
    });
    if !good {
        let step = context.training.then_some(context.step as u64);
        context.failure = Some(Failure { message: site.message.clone(), spans: site.spans.clone(), step });
    }
    i64::from(!good)
}

pub extern "C" fn remainder_f32(a: f32, b: f32) -> f32 {
    a % b
}

pub extern "C" fn remainder_f64(a: f64, b: f64) -> f64 {
    a % b
}

pub use crate::kernels::{MatMulSite, SortSite, matmul, sort};
