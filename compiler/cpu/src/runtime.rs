//! What generated code calls back: logs, assertions, kernels, and the few operations without an instruction.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use whorl_core::check::{Check, Fault, Step};
use whorl_core::ir::{DType, Lit, Shape, Spans};

use crate::ring::{LogElement, Ring};
use crate::team::Team;

/// A run's part of the host's world. Generated code writes `step`, at offset 0, and hands the whole to the functions below.
#[repr(C)]
#[derive(Debug)]
pub struct Context {
    /// Of the `train scan` that is the phase; 0 in a straight one.
    pub step: i64,
    pub ring: Ring,
    /// Which run it is, of a program of several.
    pub run: Option<usize>,
    pub failure: Option<Box<Fault>>,
    /// The threads that do large loops together, where the run has several.
    pub team: Option<Team>,
    /// Of a profile: for each node without bodies.
    pub laps: Vec<Lap>,
    /// When the last of these ended.
    pub last: u64,
}

/// Executions of a node, and ticks of the clock since the node before it ended.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lap {
    pub calls: u64,
    pub ticks: u64,
}

/// The machine's fastest clock, in ticks of its own.
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has a time-stamp counter that programs may read.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        use std::sync::OnceLock;
        use std::time::Instant;
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        BEGIN.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

/// A node is done.
///
/// # Safety
/// Called by generated code: with its run's context, and the number of a node that there is a lap for.
pub unsafe extern "C" fn lap(context: *mut Context, node: i64) {
    // SAFETY: the caller's promise.
    let context = unsafe { &mut *context };
    let now = ticks();
    if let Some(lap) = context.laps.get_mut(node as usize) {
        lap.calls += 1;
        lap.ticks += now.wrapping_sub(context.last);
    }
    context.last = now;
}

/// What one measurement costs, in ticks.
pub fn lap_ticks() -> f64 {
    const TIMES: u32 = 200_000;
    let (ring, laps) = (Ring::new(0), vec![Lap::default()]);
    let mut context = Context { step: 0, ring, run: None, failure: None, team: None, laps, last: 0 };
    let lap = std::hint::black_box(lap as unsafe extern "C" fn(*mut Context, i64));
    let begin = ticks();
    for _ in 0..TIMES {
        // SAFETY: the context is this one, which has a lap of number 0.
        unsafe { lap(&raw mut context, 0) };
    }
    (ticks() - begin) as f64 / f64::from(TIMES)
}

/// What a call needs to know that is fixed: generated code holds its address, the executable owns it.
pub type Site = Box<dyn std::any::Any + Send + Sync>;

/// Strides in elements.
pub type Strides = Vec<isize>;

#[derive(Serialize, Deserialize, Debug)]
pub struct LogSite {
    pub site: u32,
    pub dtype: DType,
    pub dims: Shape,
    pub value: Strides,
    pub mask: Option<Strides>,
    /// The steps of the loops around, outermost first.
    pub loops: Vec<usize>,
}

#[derive(Serialize, Deserialize, Debug)]
pub struct CheckSite {
    pub check: Arc<Check>,
    pub spans: Spans,
    pub dims: Shape,
    pub values: Vec<(DType, Strides)>,
    pub mask: Option<Strides>,
    /// Where each is, is known at the time.
    pub steps: Vec<Step>,
    pub in_run: bool,
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
unsafe fn element(base: *const u8, dtype: DType, offset: isize) -> Lit {
    // SAFETY: the caller's promise; addresses of elements are multiples of their size.
    unsafe {
        let bits = match dtype {
            DType::F64 => base.cast::<u64>().offset(offset).read_unaligned(),
            DType::F32 | DType::I32 | DType::U32 => base.cast::<u32>().offset(offset).read_unaligned() as u64,
            DType::F16 | DType::BF16 => base.cast::<u16>().offset(offset).read_unaligned() as u64,
            DType::U8 | DType::Bool => base.offset(offset).read() as u64,
        };
        Lit { dtype, bits }
    }
}

/// Records what the mask lets through, row-major. The pointers are those of the value, of the mask if there is one, and of the
/// indices of the loops around.
///
/// # Safety
/// Called by generated code: with its run's context, a site of its executable, and addresses in its arena.
pub unsafe extern "C" fn log(context: *mut Context, site: *const LogSite, pointers: *const *const u8) {
    // SAFETY: the caller's promise; generated code stores as many pointers.
    let (context, site, pointers) = unsafe {
        let site = &*site;
        let count = 1 + site.mask.iter().len() + site.loops.len();
        (&mut *context, site, std::slice::from_raw_parts(pointers, count))
    };
    let (value, others) = (pointers[0], &pointers[1..]);
    let (mask, indices) = others.split_at(site.mask.iter().len());
    // SAFETY: an index is an `i32` scalar.
    let at = |k: usize| unsafe { element(indices[k], DType::I32, 0) }.bits;
    let loops = (0..site.loops.len()).fold(0u64, |all, k| all.wrapping_mul(site.loops[k] as u64).wrapping_add(at(k)));
    let step = context.step as u64;
    // Rows of the innermost dimension, in which offsets are multiples.
    let (rows, width) = site.dims.split_at(site.dims.len().saturating_sub(1));
    let width = width.first().copied().unwrap_or(1);
    let last = |strides: &Strides| strides.last().copied().unwrap_or(0);
    let mut place = 0;
    each_position(rows, |row| {
        let (from, by) = (offset(&site.value, row), last(&site.value));
        let masked = site.mask.as_ref().map(|m| (mask[0], offset(m, row), last(m)));
        for k in 0..width as isize {
            // SAFETY: the views of a verified program stay within their buffers.
            unsafe {
                let holds = masked.is_none_or(|(mask, from, by)| element(mask, DType::Bool, from + k * by).bits != 0);
                if holds {
                    let value = element(value, site.dtype, from + k * by).to_f64();
                    context.ring.push(LogElement { site: site.site, step, loops, place, value });
                }
            }
            place += 1;
        }
        true
    });
}

/// Returns 1, with the failure in the context, if there is an element that the check does not hold of. The pointers are those of the
/// values, of the mask if there is one, and of the indices of the loops around.
///
/// # Safety
/// As [`log`].
pub unsafe extern "C" fn check(context: *mut Context, site: *const CheckSite, pointers: *const *const u8) -> i64 {
    // SAFETY: the caller's promise; generated code stores as many pointers.
    let (context, site, pointers) = unsafe {
        let site = &*site;
        let count = site.values.len() + site.mask.iter().len() + site.steps.len();
        (&mut *context, site, std::slice::from_raw_parts(pointers, count))
    };
    let (values, others) = pointers.split_at(site.values.len());
    let (mask, indices) = others.split_at(site.mask.iter().len());
    let mut failure = None;
    each_position(&site.dims, |position| {
        // SAFETY: the views of a verified program stay within their buffers.
        let (asked, elements) = unsafe {
            let asked = |m: &Strides| element(mask[0], DType::Bool, offset(m, position)).bits != 0;
            let each = site.values.iter().zip(values);
            let elements: Vec<Lit> =
                each.map(|((dtype, strides), base)| element(*base, *dtype, offset(strides, position))).collect();
            (site.mask.as_ref().is_none_or(asked), elements)
        };
        if asked && !site.check.kind.holds(&elements) {
            failure = Some((position.to_vec(), elements));
        }
        failure.is_none()
    });
    let Some((place, values)) = failure else { return 0 };
    let step = |(step, index): (&Step, &*const u8)| {
        // SAFETY: an index is an `i32` scalar.
        let at = unsafe { element(*index, DType::I32, 0) }.bits as usize;
        Step { at, ..*step }
    };
    let steps = site.steps.iter().zip(indices).map(step).collect();
    let (check, spans) = (site.check.clone(), site.spans.clone());
    let maps = context.run.filter(|_| site.in_run).into_iter().collect();
    context.failure = Some(Box::new(Fault { check, spans, values, place, steps, maps }));
    1
}

pub extern "C" fn remainder_f32(a: f32, b: f32) -> f32 {
    a % b
}

pub extern "C" fn remainder_f64(a: f64, b: f64) -> f64 {
    a % b
}

pub use crate::kernels::{matmul, sort};
