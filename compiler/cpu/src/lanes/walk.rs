//! The loops around a lane loop's body.
//!
//! Loops are numbered by their dimension; ops of depth `d` are emitted once inside loops `0..d`, before loop `d`. Inside the vector
//! dimension's loop, the body is there for several [`Copy`]s: neighbouring groups of up to four lanes.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

use super::normal::{rank, size};
use super::plan::{Plan, body_cost_at};
use super::reduce::Accumulator;
use crate::CpuError;
use crate::emit::arith::Arith;
use crate::emit::value::Lane4;
use crate::frame::Frame;

/// Where a loop is: `var + add`.
#[derive(Clone, Copy, Default, Debug)]
pub struct Index {
    pub var: Option<Value>,
    pub add: i64,
}

/// A group of neighbouring lanes that one body computes.
#[derive(Clone, Debug)]
pub struct Group {
    /// Lanes between the vector dimension's index and the first of the group.
    pub start: i64,
    /// 1–4 lanes.
    pub width: usize,
    /// Results of the ops that have been emitted.
    pub values: Vec<Option<Lane4>>,
    /// The other word of a Threefry block, at its first op.
    pub other_words: Vec<Option<Lane4>>,
}

pub struct Walker<'x, 'b, 'p> {
    pub builder: &'x mut FunctionBuilder<'b>,
    pub frame: &'x Frame<'p>,
    pub plan: &'x Plan,
    pub index: Vec<Index>,
    pub groups: Vec<Group>,
    /// The run-time part of each op's view, then of each reduction's, where there is one.
    pub dynamic: Vec<Option<Value>>,
    pub accumulators: Vec<Accumulator>,
}

/// Emits a whole lane loop at the builder's current place.
pub fn emit(builder: &mut FunctionBuilder, frame: &Frame, plan: &Plan) -> Result<(), CpuError> {
    if plan.lanes.dims.contains(&0) {
        return Ok(());
    }
    let ops = plan.lanes.ops.len();
    let first = Group { start: 0, width: 1, values: vec![None; ops], other_words: vec![None; ops] };
    let index = vec![Index::default(); rank(&plan.lanes)];
    let (dynamic, accumulators) = (Vec::new(), Vec::new());
    let mut walker = Walker { builder, frame, plan, index, groups: vec![first], dynamic, accumulators };
    walker.find_dynamic()?;
    walker.level(0)
}

impl<'b> Walker<'_, 'b, '_> {
    pub fn arith(&mut self) -> Arith<'_, 'b> {
        Arith { builder: self.builder, target: self.frame.target }
    }

    /// Everything inside loops `0..level`.
    fn level(&mut self, level: usize) -> Result<(), CpuError> {
        let reducing = level == self.plan.lanes.dims.len() && !self.plan.lanes.reductions.is_empty();
        if reducing {
            self.begin_reductions()?;
        }
        self.ops_of_depth(level)?;
        if level == rank(&self.plan.lanes) {
            self.fold()?;
        } else if self.plan.vector == Some(level) {
            self.vector_loop(level)?;
        } else {
            self.plain_loop(level)?;
        }
        if reducing {
            self.finish_reductions()?;
        }
        Ok(())
    }

    fn vector_loop(&mut self, level: usize) -> Result<(), CpuError> {
        let n = size(&self.plan.lanes, level);
        let outside = self.groups.clone();
        let Some(base) = outside.first() else { return Err(CpuError::internal("no group of lanes")) };
        let unroll = self.plan.unroll;
        let group = |k: usize, width: usize| Group { start: 4 * k as i64, width, ..base.clone() };
        let step = 4 * unroll;
        let whole = n / step * step;
        if whole > 0 {
            self.groups = (0..unroll).map(|k| group(k, 4)).collect();
            self.counted(level, whole, step)?;
        }
        let rest = n - whole;
        if rest > 0 {
            self.groups = (0..rest.div_ceil(4)).map(|k| group(k, (rest - 4 * k).min(4))).collect();
            self.index[level] = Index { var: None, add: whole as i64 };
            self.level(level + 1)?;
        }
        self.groups = outside;
        Ok(())
    }

    fn plain_loop(&mut self, level: usize) -> Result<(), CpuError> {
        let n = size(&self.plan.lanes, level);
        let cost = body_cost_at(self.plan, level) * self.groups.len();
        // A reduction's partial results stay in registers where positions mod 16 are known.
        let by_sixteen = self.by_sixteen(level);
        if n <= 4 && n * cost <= 64 || by_sixteen && n <= 32 && n * cost <= 400 {
            return (0..n).try_for_each(|k| {
                self.index[level] = Index { var: None, add: k as i64 };
                self.level(level + 1)
            });
        }
        if by_sixteen && self.registers() {
            let whole = n / 16 * 16;
            self.counted(level, whole, 16)?;
            return (whole..n).try_for_each(|k| {
                self.index[level] = Index { var: None, add: k as i64 };
                self.level(level + 1)
            });
        }
        self.counted(level, n, 1)
    }

    /// A loop of `level` over `0..n` in steps; in a plain loop, a step of several is as many bodies.
    fn counted(&mut self, level: usize, n: usize, step: usize) -> Result<(), CpuError> {
        if n == 0 {
            return Ok(());
        }
        let bodies = if self.plan.vector == Some(level) { 1 } else { step };
        if n == step {
            return self.bodies(level, None, bodies);
        }
        let (body, done) = (self.builder.create_block(), self.builder.create_block());
        let at = self.builder.append_block_param(body, I64);
        let zero = self.builder.ins().iconst(I64, 0);
        self.builder.ins().jump(body, &[BlockArg::Value(zero)]);
        self.builder.switch_to_block(body);
        self.bodies(level, Some(at), bodies)?;
        let next = self.builder.ins().iadd_imm_s(at, step as i64);
        let more = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, next, n as i64);
        self.builder.ins().brif(more, body, &[BlockArg::Value(next)], done, &[]);
        self.builder.seal_block(body);
        self.builder.seal_block(done);
        self.builder.switch_to_block(done);
        Ok(())
    }

    fn bodies(&mut self, level: usize, var: Option<Value>, bodies: usize) -> Result<(), CpuError> {
        (0..bodies).try_for_each(|k| {
            self.index[level] = Index { var, add: k as i64 };
            self.level(level + 1)
        })
    }
}
