//! Maps, loops, branches and effects.

use std::collections::HashSet;

use whorl_core::ir::*;
use whorl_source::Span;

use super::Lowerer;
use crate::ScheduleError;
use crate::array::{Array, Content};
use crate::loop_ir::*;

impl Lowerer<'_> {
    pub(super) fn form(&mut self, form: &Form, outs: &[Var]) -> Result<(), ScheduleError> {
        let name = match form {
            Form::Map(m) => return self.map(m, outs),
            Form::Scan(_) => "scan",
            Form::While(_) => "while",
            Form::Switch(_) => "switch",
        };
        if !self.lanes.is_empty() {
            return Err(self.error(format!("a {name} inside of a map: the program is not flat")));
        }
        match form {
            Form::Map(_) => Ok(()),
            Form::Scan(s) => {
                let (index, body) = self.scan(s, outs)?;
                self.emit(Node::Loop { n: s.n, reverse: s.reverse, index, body });
                Ok(())
            }
            Form::While(w) => self.while_loop(w, outs),
            Form::Switch(s) => self.switch(s, outs),
        }
    }

    /// No code of its own: inside, everything has one dimension more.
    fn map(&mut self, m: &Map, outs: &[Var]) -> Result<(), ScheduleError> {
        let spans = self.spans.clone();
        let ids = self.begin_accumulators(&m.accs)?;
        let depth = self.lanes.len();
        self.lanes.push(m.n);
        let mut strides = crate::array::Strides::from_elem(0, depth + 1);
        strides[depth] = 1;
        let content = Content::Position { offset: 0, strides };
        self.bind(m.index, Array { dtype: DType::I32, shape: self.lanes.clone(), content });
        self.stmts(&m.body.stmts)?;
        self.spans = spans;
        let stacked = m.body.results[m.accs.len()..]
            .iter()
            .map(|r| self.get(*r))
            .collect::<Result<Vec<Array>, ScheduleError>>()?;
        self.lanes.pop();
        self.end_accumulators(&ids, &m.body.results, outs)?;
        for (out, array) in outs[ids.len()..].iter().zip(stacked) {
            self.bind(*out, array);
        }
        Ok(())
    }

    pub(super) fn train(&mut self, s: &Scan, outs: &[Var]) -> Result<(), ScheduleError> {
        self.in_train = true;
        let (index, body) = self.scan(s, outs)?;
        self.in_train = false;
        self.end_straight();
        // `arena::place` fills in the state, when it is known what lives across.
        self.program.phases.push(Phase::Train { n: s.n, index, state: Vec::new(), body });
        Ok(())
    }

    /// Buffers for carries that hold the initial values.
    fn carries(&mut self, carries: &[Carry]) -> Result<Vec<Array>, ScheduleError> {
        let inits = carries.iter().map(|c| self.get(c.init)).collect::<Result<Vec<Array>, ScheduleError>>()?;
        let mut arrays = Vec::new();
        for (c, init) in carries.iter().zip(&inits) {
            let (to, array) = self.fresh(c.var);
            self.copy(&to, init);
            self.bind(c.var, array.clone());
            arrays.push(array);
        }
        Ok(arrays)
    }

    pub(super) fn block(
        &mut self,
        stmts: &[Stmt],
        then: impl FnOnce(&mut Self) -> Result<(), ScheduleError>,
    ) -> Result<Vec<Node>, ScheduleError> {
        let spans = self.spans.clone();
        self.blocks.push(Vec::new());
        self.stmts(stmts)?;
        self.spans = spans;
        then(self)?;
        Ok(self.blocks.pop().expect("the block just opened"))
    }

    /// Sets all carries at once: none is overwritten before all new values that need it are read.
    fn set_carries(&mut self, carries: &[Array], next: &[Atom]) -> Result<(), ScheduleError> {
        let ids: HashSet<BufferId> = carries.iter().map(|c| buffer_of(c).expect("carries have buffers")).collect();
        let mut copies = Vec::new();
        for (carry, next) in carries.iter().zip(next) {
            let from = self.get(*next)?;
            if from == *carry {
                continue;
            }
            let reads_carry = match &from.content {
                Content::View(v) => ids.contains(&v.buffer) || v.dynamic.iter().any(|d| ids.contains(&d.index)),
                Content::Lit(_) | Content::Position { .. } => false,
            };
            let from = if reads_carry { self.materialised(&from) } else { from };
            copies.push((carry, from));
        }
        for (carry, from) in copies {
            let to = self.view(carry);
            self.copy(&to, &from);
        }
        Ok(())
    }

    /// Emits what comes before the loop; gives the index and the body.
    fn scan(&mut self, s: &Scan, outs: &[Var]) -> Result<(BufferId, Vec<Node>), ScheduleError> {
        let carries = self.carries(&s.carries)?;
        let index = self.buffer(DType::I32, &[], self.name(s.index));
        self.bind(s.index, Array::whole(index, DType::I32, &[]));
        let span = self.spans.first().copied().filter(|s| *s != Span::NONE);
        self.steps.push(CheckStep { index: View::whole(index, &[]), n: s.n, train: s.train, span });
        let rows: Vec<Array> = outs[carries.len()..].iter().map(|out| self.fresh(*out).1).collect();
        let (next, yields) = s.body.results.split_at(carries.len());
        // Of a loop without steps there is nothing to say.
        let stmts: &[Stmt] = if s.n == 0 { &[] } else { &s.body.stmts };
        let body = self.block(stmts, |l| {
            if s.n == 0 {
                return Ok(());
            }
            for (row, y) in rows.iter().zip(yields) {
                let from = l.get(*y)?;
                let mut to = l.view(&row.clone().at_first());
                to.dynamic.push(Dynamic { index, max: s.n as i32 - 1, stride: row.strides()[0] });
                l.copy(&to, &from);
            }
            l.set_carries(&carries, next)
        })?;
        self.steps.pop();
        for (out, array) in outs.iter().zip(carries.into_iter().chain(rows)) {
            self.bind(*out, array);
        }
        Ok((index, body))
    }

    fn while_loop(&mut self, w: &While, outs: &[Var]) -> Result<(), ScheduleError> {
        let carries = self.carries(&w.carries)?;
        let test = self.buffer(DType::Bool, &[], None);
        let condition = self.block(&w.condition.stmts, |l| {
            let from = l.get(w.condition.results[0])?;
            l.copy(&View::whole(test, &[]), &from);
            Ok(())
        })?;
        let body = self.block(&w.body.stmts, |l| l.set_carries(&carries, &w.body.results))?;
        self.emit(Node::While { condition, test, max: w.max, body });
        for (out, array) in outs.iter().zip(carries) {
            self.bind(*out, array);
        }
        Ok(())
    }

    fn switch(&mut self, s: &Switch, outs: &[Var]) -> Result<(), ScheduleError> {
        let which = match self.get(s.which)? {
            Array { content: Content::Lit(lit), .. } => Scalar::Lit(lit),
            array => Scalar::Buffer(self.scalar(&array)),
        };
        let results: Vec<(View, Array)> = outs.iter().map(|out| self.fresh(*out)).collect();
        let mut arms = Vec::new();
        for arm in &s.arms {
            arms.push(self.block(&arm.stmts, |l| {
                for (r, (to, _)) in arm.results.iter().zip(&results) {
                    let from = l.get(*r)?;
                    l.copy(to, &from);
                }
                Ok(())
            })?);
        }
        self.emit(Node::Switch { which, arms });
        for (out, (_, array)) in outs.iter().zip(results) {
            self.bind(*out, array);
        }
        Ok(())
    }

    pub(super) fn effect(&mut self, effect: &Effect) -> Result<(), ScheduleError> {
        match effect {
            Effect::Log { name, value, mask } => {
                let (value, mask) = (self.get(*value)?, self.get(*mask)?);
                let always = mask.content == Content::Lit(Lit::bool(true));
                let (lanes, dims) = (self.lanes.len(), value.shape.clone());
                let mask = if mask.rank() < dims.len() { mask.repeated(lanes, &dims[lanes..]) } else { mask };
                let mask = (!always).then(|| self.view(&mask));
                let value = self.view(&value);
                let (log, site, spans) = (self.log(name), self.log_sites, self.spans.clone());
                let steps = self.steps[usize::from(self.in_train)..].to_vec();
                self.log_sites += 1;
                self.emit(Node::Log { site, log, dims, value, mask, steps, spans });
                Ok(())
            }
            Effect::Check { check, values, mask } => self.check(check, values, *mask),
        }
    }

    fn log(&mut self, name: &std::sync::Arc<str>) -> u32 {
        let known = self.program.logs.iter().position(|l| l == name);
        known.unwrap_or_else(|| {
            self.program.logs.push(name.clone());
            self.program.logs.len() - 1
        }) as u32
    }
}

fn buffer_of(a: &Array) -> Option<BufferId> {
    match &a.content {
        Content::View(v) => Some(v.buffer),
        Content::Lit(_) | Content::Position { .. } => None,
    }
}

impl Array {
    /// Row 0, also of an array without rows.
    fn at_first(mut self) -> Array {
        self.remove(0);
        self
    }
}
