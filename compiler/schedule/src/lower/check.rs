//! Checks: a flag that a lane loop folds, and behind a branch on it what tells where and on what the check failed.
//!
//! ```text
//! lanes [] over [512] { bad = i < 0 | i > 9; flag = all(!bad | !mask) }
//! switch flag { 0: check [512] i; 1: }
//! ```
//!
//! The loop is one like others, so that it joins the loop that makes the values, and is vectorised with it.

use std::sync::Arc;

use whorl_core::check::{Check, CheckKind};
use whorl_core::ir::*;
use whorl_core::prim::{Binary, Compare, Monoid, Unary};

use super::Lowerer;
use crate::ScheduleError;
use crate::array::{Array, Content};
use crate::lanes::LaneBuilder;
use crate::loop_ir::*;

impl Lowerer<'_> {
    pub(super) fn check(&mut self, check: &Arc<Check>, values: &[Atom], mask: Atom) -> Result<(), ScheduleError> {
        let values = values.iter().map(|v| self.get(*v)).collect::<Result<Vec<Array>, ScheduleError>>()?;
        let (dims, lanes) = (values[0].shape.clone(), self.lanes.len());
        if dims.contains(&0) {
            return Ok(());
        }
        let full = |a: Array| if a.rank() < dims.len() { a.repeated(lanes, &dims[lanes..]) } else { a };
        let values: Vec<Array> = values.into_iter().map(full).collect();
        let mask = full(self.get(mask)?);
        let mask = (mask.content != Content::Lit(Lit::bool(true))).then_some(mask);

        let flag = self.buffer(DType::Bool, &[], None);
        let mut b = LaneBuilder::default();
        let read: Vec<Value> = values.iter().map(|v| b.read(v)).collect();
        let mut holds = holds(&mut b, check.kind, &read);
        if let Some(mask) = &mask {
            let mask = b.read(mask);
            let out = b.op(LaneKind::Unary(Unary::Not, mask), DType::Bool);
            holds = b.op(LaneKind::Binary(Binary::Or, holds, out), DType::Bool);
        }
        let loop_over = if dims.iter().product::<usize>() == 1 {
            b.store(View::scalar(flag, dims.len()), holds);
            b.node(&dims, &self.spans)
        } else {
            let (kind, into) = (ReductionKind::Fold(Monoid::All), View::whole(flag, &[]));
            let all = Reduction { kind, value: holds, into, order: ReduceOrder::Interleaved };
            b.reduce(&[], &dims, vec![all], &self.spans)
        };
        self.emit(loop_over);

        let steps = self.steps.clone();
        let tell = self.block(&[], |l| {
            let values = values.iter().map(|v| l.view(v)).collect();
            let mask = mask.as_ref().map(|m| l.view(m));
            let (check, spans) = (check.clone(), l.spans.clone());
            let in_run = l.program.runs.is_some();
            l.emit(Node::Check(CheckNode { check, dims, values, mask, steps, in_run, spans }));
            Ok(())
        })?;
        self.emit(Node::Switch { which: Scalar::Buffer(flag), arms: vec![tell, Vec::new()] });
        Ok(())
    }
}

/// What [`CheckKind::holds`] says, for every lane.
fn holds(b: &mut LaneBuilder, kind: CheckKind, values: &[Value]) -> Value {
    let compare = |b: &mut LaneBuilder, op, x, y| b.op(LaneKind::Compare(op, x, y), DType::Bool);
    let either = |b: &mut LaneBuilder, x, y| b.op(LaneKind::Binary(Binary::Or, x, y), DType::Bool);
    let both = |b: &mut LaneBuilder, x, y| b.op(LaneKind::Binary(Binary::And, x, y), DType::Bool);
    match kind {
        CheckKind::Assert(_) => values[0],
        CheckKind::Index { width, len } => {
            let first = b.lit(Lit::i32(0));
            let last = b.lit(Lit::i32(len as i32 - width as i32));
            let (low, high) = (compare(b, Compare::Ge, values[0], first), compare(b, Compare::Le, values[0], last));
            both(b, low, high)
        }
        CheckKind::Finite => {
            let finite = |b: &mut LaneBuilder, x: Value| {
                let dtype = b.ops[x.0 as usize].dtype;
                let size = b.op(LaneKind::Unary(Unary::Abs, x), dtype);
                let infinite = b.lit(Lit::of(dtype, f64::INFINITY));
                compare(b, Compare::Lt, size, infinite)
            };
            // Halves are compared as what they stand for.
            let values: Vec<Value> = values
                .iter()
                .map(|&x| match b.ops[x.0 as usize].dtype.is_half() {
                    true => b.op(LaneKind::Convert(x), DType::F32),
                    false => x,
                })
                .collect();
            let result = values[0];
            let mut good = finite(b, result);
            for &x in &values[1..] {
                // An operand that is NaN excuses all, one that is infinite an infinite result.
                let nan = compare(b, Compare::Ne, x, x);
                good = either(b, good, nan);
                let infinite = finite(b, x);
                let infinite = b.op(LaneKind::Unary(Unary::Not, infinite), DType::Bool);
                let number = compare(b, Compare::Eq, result, result);
                let excused = both(b, infinite, number);
                good = either(b, good, excused);
            }
            good
        }
    }
}
