//! The loops around a lane loop's body.
//!
//! Loops are numbered by their dimension; ops of depth `d` are emitted once inside loops `0..d`, before loop `d`. Inside the vector
//! dimension's loop, the body is there for several [`Copy`]s: neighbouring groups of as many lanes as the machine has, or fewer.

use whorl_schedule::loop_ir::LoopProgram;

use super::machine::Machine;
use super::normal::{rank, size};
use super::plan::{Plan, body_cost_at};
use super::reduce::Accumulator;
use crate::CpuError;

/// Where a loop is: `var + add`.
pub struct Index<M: Machine> {
    pub var: Option<M::Int>,
    pub add: i64,
}

impl<M: Machine> Clone for Index<M> {
    fn clone(&self) -> Index<M> {
        *self
    }
}

impl<M: Machine> Copy for Index<M> {}

/// A group of neighbouring lanes that one body computes.
pub struct Group<M: Machine> {
    /// Lanes between the vector dimension's index and the first of the group.
    pub start: i64,
    /// How many.
    pub width: usize,
    /// Results of the ops that have been emitted.
    pub values: Vec<Option<M::Lane>>,
    /// The other word of a Threefry block, at its first op.
    pub other_words: Vec<Option<M::Lane>>,
}

impl<M: Machine> Clone for Group<M> {
    fn clone(&self) -> Group<M> {
        let Group { start, width, values, other_words } = self;
        Group { start: *start, width: *width, values: values.clone(), other_words: other_words.clone() }
    }
}

pub struct Walker<'x, 'p, M: Machine> {
    pub machine: &'x mut M,
    pub program: &'p LoopProgram,
    pub plan: &'x Plan,
    pub index: Vec<Index<M>>,
    pub groups: Vec<Group<M>>,
    /// The run-time part of each op's view, then of each reduction's, where there is one.
    pub dynamic: Vec<Option<M::Int>>,
    pub accumulators: Vec<Accumulator<M>>,
}

/// Emits a whole lane loop at the machine's current place.
pub fn emit<M: Machine>(machine: &mut M, program: &LoopProgram, plan: &Plan) -> Result<(), CpuError> {
    if plan.lanes.dims.contains(&0) {
        return Ok(());
    }
    let ops = plan.lanes.ops.len();
    let first = Group { start: 0, width: 1, values: vec![None; ops], other_words: vec![None; ops] };
    let index = vec![Index { var: None, add: 0 }; rank(&plan.lanes)];
    let (dynamic, accumulators) = (Vec::new(), Vec::new());
    let mut walker = Walker { machine, program, plan, index, groups: vec![first], dynamic, accumulators };
    walker.find_dynamic()?;
    walker.level(0)
}

impl<M: Machine> Walker<'_, '_, M> {
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
        let lanes = self.machine.lanes();
        let group = |k: usize, width: usize| Group { start: (lanes * k) as i64, width, ..base.clone() };
        let step = lanes * unroll;
        let whole = n / step * step;
        let ranged = self.plan.range.is_some_and(|r| r.level == level);
        if whole > 0 {
            self.groups = (0..unroll).map(|k| group(k, lanes)).collect();
            if ranged { self.ranged(level, step)? } else { self.counted(level, whole, step)? }
        }
        let rest = n - whole;
        if rest > 0 {
            let last = ranged.then(|| self.machine.begin_last(whole));
            self.groups = (0..rest.div_ceil(lanes)).map(|k| group(k, (rest - lanes * k).min(lanes))).collect();
            self.index[level] = Index { var: None, add: whole as i64 };
            self.level(level + 1)?;
            last.into_iter().for_each(|last| self.machine.end_last(last));
        }
        self.groups = outside;
        Ok(())
    }

    fn plain_loop(&mut self, level: usize) -> Result<(), CpuError> {
        if self.plan.range.is_some_and(|r| r.level == level) {
            return self.ranged(level, 1);
        }
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
        self.expect(level)?;
        let (started, at) = self.machine.begin_loop(n, step);
        self.bodies(level, Some(at), bodies)?;
        self.machine.end_loop(started);
        Ok(())
    }

    /// The loop of `level` over the function's own range.
    fn ranged(&mut self, level: usize, step: usize) -> Result<(), CpuError> {
        self.expect(level)?;
        let (started, at) = self.machine.begin_range(step);
        self.bodies(level, Some(at), 1)?;
        self.machine.end_loop(started);
        Ok(())
    }

    fn bodies(&mut self, level: usize, var: Option<M::Int>, bodies: usize) -> Result<(), CpuError> {
        (0..bodies).try_for_each(|k| {
            self.index[level] = Index { var, add: k as i64 };
            self.level(level + 1)
        })
    }
}
