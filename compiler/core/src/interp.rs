//! The plain evaluator of Core: what every pass and every backend is compared with. Slow and obvious.
//!
//! One function a primitive, on typed arrays; statements run in order; loops are loops. The only care for speed is that an
//! array is written in place when no one else holds it, for which [`lifetimes`] says where a variable is used last.

mod access;
mod arrays;
mod axes;
mod elementwise;
mod lifetimes;
mod number;
mod prims;
mod value;

use std::sync::Arc;

use lifetimes::Lifetimes;
use smallvec::{SmallVec, smallvec};
use value::Value;
use whorl_source::Span;

use crate::check::{Fault, Step};
use crate::ir::*;

/// What a run of a program leaves.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    pub results: Vec<ArrayData>,
    /// In the order of execution; lanes of a `Map` in order 0, 1, ….
    pub logs: Vec<LogRecord>,
}

/// One execution of `Log`; also those whose mask holds nowhere.
#[derive(Clone, PartialEq, Debug)]
pub struct LogRecord {
    pub name: Arc<str>,
    pub value: ArrayData,
    /// Of the value's shape, or a scalar.
    pub mask: ArrayData,
    /// The loops around, outermost first.
    pub steps: Vec<Step>,
    /// The lanes of the `Map`s around, outermost first; in a program of runs the first is the run.
    pub maps: Vec<usize>,
}

impl LogRecord {
    /// The elements that the mask lets through, row-major.
    pub fn recorded(&self) -> Vec<f64> {
        self.elements().into_iter().map(|(_, x)| x).collect()
    }

    /// The same, each with its place in the value.
    pub fn elements(&self) -> Vec<(Vec<usize>, f64)> {
        let mask = self.mask.values::<bool>();
        let holds = |k: usize| if self.mask.ty.is_scalar() { mask[0] } else { mask[k] };
        let all = self.value.to_f64().into_iter().enumerate().filter(|(k, _)| holds(*k));
        all.map(|(k, x)| (position(k, &self.value.ty.shape), x)).collect()
    }
}

/// What stops a run: a check that failed.
pub type RunError = Box<Fault>;

/// Runs a program. Ill-typed programs ([`crate::verify`]) and wrong arguments panic.
#[track_caller]
pub fn run(program: &Program, args: &[ArrayData]) -> Result<Outcome, RunError> {
    run_function(&program.vars, &program.main, args)
}

/// Runs one function whose variables are in `vars`.
#[track_caller]
pub fn run_function(vars: &Vars, function: &Function, args: &[ArrayData]) -> Result<Outcome, RunError> {
    run_with(vars, function, args, Zeros::Signed)
}

/// The same in an arithmetic that has one zero: -0 becomes +0 wherever it is given or made. Here `x + 0` is `x`, so that what
/// simplification makes of a program must be the same to the bit.
#[track_caller]
pub fn run_with_one_zero(program: &Program, args: &[ArrayData]) -> Result<Outcome, RunError> {
    run_with(&program.vars, &program.main, args, Zeros::One)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Zeros {
    Signed,
    One,
}

#[track_caller]
fn run_with(vars: &Vars, function: &Function, args: &[ArrayData], zeros: Zeros) -> Result<Outcome, RunError> {
    assert_eq!(function.params.len(), args.len(), "number of arguments");
    let mut machine = Machine::new(vars, function);
    machine.zeros = zeros;
    for (v, arg) in function.params.iter().zip(args) {
        assert_eq!(*vars.ty(*v), arg.ty, "type of the argument for %{}", v.0);
        machine.set(*v, Value::from_data(arg));
    }
    let results = machine.body(&function.body)?;
    Ok(Outcome { results: results.iter().map(Value::to_data).collect(), logs: machine.logs })
}

struct Machine<'a> {
    vars: &'a Vars,
    /// By variable.
    values: Vec<Option<Value>>,
    lifetimes: Lifetimes,
    zeros: Zeros,
    logs: Vec<LogRecord>,
    /// The scans around, and the maps.
    steps: Vec<Step>,
    maps: Vec<usize>,
}

impl<'a> Machine<'a> {
    fn new(vars: &'a Vars, function: &Function) -> Machine<'a> {
        let (values, lifetimes) = (vec![None; vars.len()], Lifetimes::of(function));
        let zeros = Zeros::Signed;
        Machine { vars, values, lifetimes, zeros, logs: Vec::new(), steps: Vec::new(), maps: Vec::new() }
    }

    fn get(&self, a: Atom) -> Value {
        match a {
            Atom::Var(v) => match &self.values[v.0 as usize] {
                Some(value) => value.clone(),
                None => panic!("ill-formed Core: %{} is used where it has no value", v.0),
            },
            Atom::Lit(l) if self.zeros == Zeros::One => Value::lit(l).with_one_zero(),
            Atom::Lit(l) => Value::lit(l),
        }
    }

    fn all(&self, atoms: impl IntoIterator<Item = Atom>) -> Vec<Value> {
        atoms.into_iter().map(|a| self.get(a)).collect()
    }

    fn set(&mut self, v: Var, mut value: Value) {
        if self.zeros == Zeros::One {
            value = value.with_one_zero();
        }
        debug_assert_eq!(*self.vars.ty(v), value.ty(), "ill-typed Core: the value of %{}", v.0);
        self.values[v.0 as usize] = Some(value);
    }

    fn body(&mut self, body: &Body) -> Result<Vec<Value>, RunError> {
        let deaths = self.lifetimes.deaths(body);
        for (stmt, dead) in body.stmts.iter().zip(deaths.iter()) {
            self.stmt(stmt, dead)?;
        }
        let results = self.all(body.results.iter().copied());
        // Whoever takes the results shall be the only one to hold them.
        for v in deaths.last().into_iter().flatten() {
            self.values[v.0 as usize] = None;
        }
        Ok(results)
    }

    fn stmt(&mut self, stmt: &Stmt, dead: &[Var]) -> Result<(), RunError> {
        let outs: SmallVec<[Value; 2]> = match &stmt.op {
            Op::Prim(prim, args) => {
                let args = args.iter().map(|a| self.get(*a)).collect();
                for v in dead {
                    self.values[v.0 as usize] = None;
                }
                prims::apply(prim, args)
            }
            Op::Constant(data) => smallvec![Value::from_data(data)],
            Op::Form(form) => {
                let outs = match &**form {
                    Form::Map(m) => self.map(m)?,
                    Form::Scan(s) => self.scan(s, stmt.spans.first().copied())?,
                    Form::While(w) => self.while_loop(w)?,
                    Form::Switch(s) => self.switch(s)?,
                };
                for v in dead {
                    self.values[v.0 as usize] = None;
                }
                outs.into()
            }
            Op::Effect(effect) => {
                self.effect(effect, &stmt.spans)?;
                SmallVec::new()
            }
        };
        assert_eq!(stmt.outs.len(), outs.len(), "ill-formed Core: number of results");
        for (v, value) in stmt.outs.iter().zip(outs) {
            self.set(*v, value);
        }
        Ok(())
    }

    fn map(&mut self, m: &Map) -> Result<Vec<Value>, RunError> {
        self.maps.push(0);
        let outs = self.steps(0..m.n, m.n, (m.index, &m.accs), &m.body, &mut |machine, i| {
            if let Some(at) = machine.maps.last_mut() {
                *at = i;
            }
        });
        self.maps.pop();
        outs
    }

    fn scan(&mut self, s: &Scan, span: Option<Span>) -> Result<Vec<Value>, RunError> {
        self.steps.push(Step { at: 0, n: s.n, train: s.train, span });
        let order: &mut dyn Iterator<Item = usize> = if s.reverse { &mut (0..s.n).rev() } else { &mut (0..s.n) };
        let outs = self.steps(order, s.n, (s.index, &s.carries), &s.body, &mut |machine, i| {
            if let Some(step) = machine.steps.last_mut() {
                step.at = i;
            }
        });
        self.steps.pop();
        outs
    }

    /// Threads `carries` through the body for each index and stacks its other results by index.
    fn steps(
        &mut self,
        order: impl Iterator<Item = usize>,
        n: usize,
        (index, carries): (Var, &[Carry]),
        body: &Body,
        at: &mut dyn FnMut(&mut Self, usize),
    ) -> Result<Vec<Value>, RunError> {
        let mut carried = self.all(carries.iter().map(|c| c.init));
        let yielded = &body.results[carries.len()..];
        let mut stacks: Vec<Value> = yielded.iter().map(|a| Value::zeros(&self.vars.atom_type(a).stacked(n))).collect();
        for i in order {
            at(self, i);
            self.set(index, Value::scalar(i as i32));
            for (carry, value) in carries.iter().zip(carried) {
                self.set(carry.var, value);
            }
            carried = self.body(body)?;
            for (stack, row) in stacks.iter_mut().zip(carried.split_off(carries.len())) {
                stack.write(i * row.size(), &row);
            }
        }
        carried.append(&mut stacks);
        Ok(carried)
    }

    fn while_loop(&mut self, w: &While) -> Result<Vec<Value>, RunError> {
        let mut carried = self.all(w.carries.iter().map(|c| c.init));
        let mut done = 0;
        while w.max.is_none_or(|max| done < max) {
            for (carry, value) in w.carries.iter().zip(&carried) {
                self.set(carry.var, value.clone());
            }
            if !self.body(&w.condition)?[0].one::<bool>() {
                break;
            }
            carried.clear();
            carried = self.body(&w.body)?;
            done += 1;
        }
        Ok(carried)
    }

    fn switch(&mut self, s: &Switch) -> Result<Vec<Value>, RunError> {
        let which = self.get(s.which);
        let arm = match which.dtype() {
            DType::Bool => which.one::<bool>() as i64,
            DType::I32 => which.one::<i32>() as i64,
            other => panic!("ill-typed Core: switch by {}", other.name()),
        };
        self.body(&s.arms[arm.clamp(0, s.arms.len() as i64 - 1) as usize])
    }

    fn effect(&mut self, effect: &Effect, spans: &Spans) -> Result<(), RunError> {
        match effect {
            Effect::Log { name, value, mask } => {
                let (value, mask) = (self.get(*value).to_data(), self.get(*mask).to_data());
                let (steps, maps) = (self.steps.clone(), self.maps.clone());
                self.logs.push(LogRecord { name: name.clone(), value, mask, steps, maps });
                Ok(())
            }
            Effect::Check { check, values, mask } => {
                let mask = self.get(*mask).to_data();
                let values: Vec<ArrayData> = values.iter().map(|v| self.get(*v).to_data()).collect();
                let shape = &values[0].ty.shape;
                let at = |data: &ArrayData, k: usize| data.element(if data.ty.is_scalar() { 0 } else { k });
                for k in (0..values[0].ty.size()).filter(|k| at(&mask, *k).bits != 0) {
                    let elements: Vec<Lit> = values.iter().map(|v| at(v, k)).collect();
                    if !check.kind.holds(&elements) {
                        return Err(Box::new(Fault {
                            check: check.clone(),
                            spans: spans.clone(),
                            values: elements,
                            place: position(k, shape),
                            steps: self.steps.clone(),
                            maps: self.maps.clone(),
                        }));
                    }
                }
                Ok(())
            }
        }
    }
}

/// The place of element `k`, row-major.
fn position(mut k: usize, shape: &[usize]) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    for (at, n) in place.iter_mut().zip(shape).rev() {
        (*at, k) = (k % n, k / n);
    }
    place
}
