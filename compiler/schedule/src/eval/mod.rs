//! The plain evaluator of Loop IR, with every check that makes no difference to a right program: accesses stay within
//! their buffers, and a byte that is read was last written through the same buffer. (So that buffers whose bytes overlap while both
//! live are found, as are reads of what was never written.)

mod elements;
mod memory;
mod nodes;

pub use nodes::indices;

use std::sync::Arc;

use whorl_core::check::{Fault, Step};
use whorl_core::ir::*;

use crate::loop_ir::*;
use memory::Memory;

/// What all runs leave.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// With runs, one row for each.
    pub results: Vec<ArrayData>,
    /// By run, each in the order of execution.
    pub logs: Vec<LogEntry>,
}

/// One execution of `Log`.
#[derive(Clone, PartialEq, Debug)]
pub struct LogEntry {
    pub run: usize,
    pub name: Arc<str>,
    /// The steps of the loops around, outermost first.
    pub steps: Vec<usize>,
    /// The elements that its mask lets through, row-major, each with its place.
    pub elements: Vec<(Vec<usize>, f64)>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum EvalError {
    /// A check of the program failed.
    Fault(Box<Fault>),
    /// The schedule is wrong.
    Defect(String),
}

impl std::fmt::Display for EvalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EvalError::Fault(fault) => write!(f, "{fault}"),
            EvalError::Defect(what) => write!(f, "defect of the schedule: {what}"),
        }
    }
}

impl std::error::Error for EvalError {}

fn defect<T>(what: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError::Defect(what.into()))
}

/// Executes all runs, one after the other, every train scan from first to last step.
pub fn evaluate(p: &LoopProgram, args: &[ArrayData]) -> Result<Outcome, EvalError> {
    let runs = p.runs.unwrap_or(1);
    let mut rows: Vec<Vec<u8>> = vec![Vec::new(); p.outputs.len()];
    let mut logs = Vec::new();
    for run in 0..runs {
        let mut m = Machine { p, memory: Memory::new(p), logs: Vec::new(), run, train: None };
        m.start(args)?;
        for phase in &p.phases {
            m.phase(phase)?;
        }
        for (row, &out) in rows.iter_mut().zip(&p.outputs) {
            row.extend(m.memory.contents(out)?);
        }
        logs.append(&mut m.logs);
    }
    let result = |(bytes, out): (Vec<u8>, &BufferId)| {
        let b = p.buffer(*out);
        let ty = Type { dtype: b.dtype, shape: b.shape.clone() };
        ArrayData { ty: p.runs.map_or(ty.clone(), |n| ty.stacked(n)), bytes }
    };
    Ok(Outcome { results: rows.into_iter().zip(&p.outputs).map(result).collect(), logs })
}

struct Machine<'a> {
    p: &'a LoopProgram,
    memory: Memory<'a>,
    logs: Vec<LogEntry>,
    run: usize,
    /// The step of the `train scan` that is the phase.
    train: Option<usize>,
}

impl Machine<'_> {
    fn start(&mut self, args: &[ArrayData]) -> Result<(), EvalError> {
        if args.len() != self.p.inputs.len() {
            return defect("number of arguments");
        }
        for (&id, arg) in self.p.inputs.iter().zip(args) {
            for k in 0..arg.ty.size() {
                self.memory.write(id, k as isize, arg.element(k).bits)?;
            }
        }
        match self.p.run_index {
            Some(index) => self.memory.write(index, 0, self.run as u64),
            None => Ok(()),
        }
    }

    fn phase(&mut self, phase: &Phase) -> Result<(), EvalError> {
        match phase {
            Phase::Straight(nodes) => self.block(nodes),
            Phase::Train { n, index, body, state: _ } => {
                for i in 0..*n {
                    self.train = Some(i);
                    self.memory.write(*index, 0, i as u64)?;
                    self.block(body)?;
                }
                self.train = None;
                Ok(())
            }
        }
    }

    fn block(&mut self, nodes: &[Node]) -> Result<(), EvalError> {
        nodes.iter().try_for_each(|n| self.node(n))
    }

    fn node(&mut self, node: &Node) -> Result<(), EvalError> {
        match node {
            Node::Loop { n, reverse, index, body } => (0..*n).try_for_each(|i| {
                let i = if *reverse { n - 1 - i } else { i };
                self.memory.write(*index, 0, i as u64)?;
                self.block(body)
            }),
            Node::While { condition, test, max, body } => {
                let mut done = 0;
                while max.is_none_or(|max| done < max) {
                    self.block(condition)?;
                    if self.memory.read(*test, 0)? == 0 {
                        break;
                    }
                    self.block(body)?;
                    done += 1;
                }
                Ok(())
            }
            Node::Switch { which, arms } => {
                let (dtype, bits) = match which {
                    Scalar::Lit(lit) => (lit.dtype, lit.bits),
                    Scalar::Buffer(b) => (self.p.buffer(*b).dtype, self.memory.read(*b, 0)?),
                };
                let which = if dtype == DType::I32 { bits as u32 as i32 as i64 } else { bits as i64 };
                self.block(&arms[which.clamp(0, arms.len() as i64 - 1) as usize])
            }
            Node::Lanes(l) => self.lanes(l),
            Node::MatMul(m) => self.matmul(m),
            Node::Sort(s) => self.sort(s),
            Node::Cumulative(c) => self.cumulative(c),
            Node::Log { site: _, log, dims, value, mask, steps, spans: _ } => {
                let mut elements = Vec::new();
                let dtype = self.p.buffer(value.buffer).dtype;
                for index in nodes::indices(dims) {
                    if self.holds(mask, &index)? {
                        let bits = self.memory.load(value, &index, 0)?;
                        elements.push((index, Lit { dtype, bits }.to_f64()));
                    }
                }
                let at = |s: &CheckStep| Ok(self.memory.load(&s.index, &[], 0)? as usize);
                let steps = self.train.map(Ok).into_iter().chain(steps.iter().map(at));
                let steps = steps.collect::<Result<Vec<usize>, EvalError>>()?;
                let name = self.p.logs[*log as usize].clone();
                self.logs.push(LogEntry { run: self.run, name, steps, elements });
                Ok(())
            }
            Node::Check(c) => {
                for index in nodes::indices(&c.dims) {
                    if self.holds(&c.mask, &index)? {
                        self.check(c, index)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn check(&self, c: &CheckNode, place: Vec<usize>) -> Result<(), EvalError> {
        let element =
            |v: &View| Ok(Lit { dtype: self.p.buffer(v.buffer).dtype, bits: self.memory.load(v, &place, 0)? });
        let values = c.values.iter().map(element).collect::<Result<Vec<Lit>, EvalError>>()?;
        if c.check.kind.holds(&values) {
            return Ok(());
        }
        let step = |s: &CheckStep| {
            let at = self.memory.load(&s.index, &[], 0)? as usize;
            Ok(Step { at, n: s.n, train: s.train, span: s.span })
        };
        let steps = c.steps.iter().map(step).collect::<Result<Vec<Step>, EvalError>>()?;
        let (check, spans) = (c.check.clone(), c.spans.clone());
        let maps = if c.in_run { vec![self.run] } else { Vec::new() };
        Err(EvalError::Fault(Box::new(Fault { check, spans, values, place, steps, maps })))
    }

    fn holds(&self, mask: &Option<View>, index: &[usize]) -> Result<bool, EvalError> {
        mask.as_ref().map_or(Ok(true), |m| Ok(self.memory.load(m, index, 0)? != 0))
    }
}
