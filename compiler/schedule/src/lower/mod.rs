//! Flat Core to naive Loop IR: a loop for every statement that computes, a buffer for every result, a copy wherever a value
//! changes its place. Rearrangements, ranges, constants and accesses at uniform places are no code at all ([`Array`]).
//!
//! Inside a `Map` every variable has the map's dimensions in front, so that a lane's statement is a loop over all lanes; the
//! statements outside are lanes of no dimensions. Every buffer is written by one node, before all that read it, but
//! carries (before the loop and at the end of its body), stacked results (a row a step), and arrays made in parts
//! (pads, joins, updated copies). The passes that follow rely on none of this; they look at what is read and written.

mod access;
mod check;
mod forms;
mod prims;
mod product;

use std::collections::HashMap;
use std::sync::Arc;

use whorl_core::ir::*;
use whorl_source::Span;

use crate::ScheduleError;
use crate::array::{Array, Content};
use crate::lanes::LaneBuilder;
use crate::loop_ir::*;

pub fn lower(program: &Program) -> Result<LoopProgram, ScheduleError> {
    let mut l = Lowerer::new(&program.vars);
    for &p in &program.main.params {
        let ty = program.vars.ty(p).clone();
        let buffer = l.buffer(ty.dtype, &ty.shape, l.name(p));
        l.program.inputs.push(buffer);
        l.bind(p, Array::whole(buffer, ty.dtype, &ty.shape));
    }
    let body = &program.main.body;
    match runs_of(&program.main) {
        Some(runs) => {
            l.top(&body.stmts[..body.stmts.len() - 1])?;
            let index = l.buffer(DType::I32, &[], l.name(runs.index));
            (l.program.runs, l.program.run_index) = (Some(runs.n), Some(index));
            l.bind(runs.index, Array::whole(index, DType::I32, &[]));
            l.top(&runs.body.stmts)?;
            let outs = &body.stmts.last().expect("the runs are a statement").outs;
            let place = |a: &Atom| outs.iter().position(|o| Atom::Var(*o) == *a).expect("checked by runs_of");
            let results: Vec<Atom> = body.results.iter().map(|a| runs.body.results[place(a)]).collect();
            let names: Vec<_> = body.results.iter().map(|a| a.var().and_then(|v| l.name(v))).collect();
            l.outputs(&results, names)?;
        }
        None => {
            l.top(&body.stmts)?;
            let names: Vec<_> = body.results.iter().map(|a| a.var().and_then(|v| l.name(v))).collect();
            l.outputs(&body.results, names)?;
        }
    }
    l.end_straight();
    Ok(l.program)
}

/// The outermost `Map` whose rows are the program's results, if it does more than one lane loop could.
fn runs_of(main: &Function) -> Option<&Map> {
    let last = main.body.stmts.last()?;
    let Op::Form(form) = &last.op else { return None };
    let Form::Map(map) = &**form else { return None };
    let results_are_rows = main.body.results.iter().all(|r| r.var().is_some_and(|v| last.outs.contains(&v)));
    (map.accs.is_empty() && results_are_rows && needs_control(&map.body)).then_some(map)
}

fn needs_control(body: &Body) -> bool {
    body.stmts.iter().any(|s| match &s.op {
        Op::Prim(..) | Op::Constant(_) => false,
        Op::Effect(_) => true,
        Op::Form(form) => match &**form {
            Form::Map(m) => needs_control(&m.body),
            Form::Scan(_) | Form::While(_) | Form::Switch(_) => true,
        },
    })
}

/// What a variable stands for.
#[derive(Clone)]
enum Bound {
    /// The elements, with the dimensions of the `depth` outermost maps in front.
    Array { depth: usize, array: Array },
    /// An accumulator of a map, by its place in `Lowerer::accumulators`.
    Accumulator(usize),
}

pub(super) struct Lowerer<'a> {
    vars: &'a Vars,
    program: LoopProgram,
    bound: HashMap<Var, Bound>,
    /// The sizes of the maps around, outermost first.
    lanes: Shape,
    accumulators: Vec<access::Accumulator>,
    blocks: Vec<Vec<Node>>,
    /// The loops around.
    steps: Vec<CheckStep>,
    /// Whether the outermost of them is a phase.
    in_train: bool,
    /// How many logs there are so far.
    log_sites: u32,
    /// Where the statement at hand comes from.
    spans: Spans,
}

impl<'a> Lowerer<'a> {
    fn new(vars: &'a Vars) -> Lowerer<'a> {
        let program = LoopProgram {
            runs: None,
            run_index: None,
            buffers: Vec::new(),
            arena_bytes: 0,
            inputs: Vec::new(),
            outputs: Vec::new(),
            logs: Vec::new(),
            phases: Vec::new(),
        };
        let (bound, lanes, spans) = (HashMap::new(), Shape::new(), Spans::new());
        Lowerer {
            vars,
            program,
            bound,
            lanes,
            accumulators: Vec::new(),
            blocks: vec![Vec::new()],
            steps: Vec::new(),
            in_train: false,
            log_sites: 0,
            spans,
        }
    }

    fn top(&mut self, stmts: &[Stmt]) -> Result<(), ScheduleError> {
        for stmt in stmts {
            self.spans = stmt.spans.clone();
            match &stmt.op {
                Op::Form(form) => match &**form {
                    Form::Scan(s) if s.train && !s.reverse => self.train(s, &stmt.outs)?,
                    Form::Map(_) | Form::Scan(_) | Form::While(_) | Form::Switch(_) => self.stmt(stmt)?,
                },
                Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => self.stmt(stmt)?,
            }
        }
        Ok(())
    }

    fn end_straight(&mut self) {
        let block = std::mem::take(self.blocks.last_mut().expect("the outermost block"));
        if !block.is_empty() {
            self.program.phases.push(Phase::Straight(block));
        }
    }

    fn outputs(&mut self, results: &[Atom], names: Vec<Option<Arc<str>>>) -> Result<(), ScheduleError> {
        for (r, name) in results.iter().zip(names) {
            let array = self.get(*r)?;
            let to = self.buffer(array.dtype, &array.shape, name);
            self.copy(&View::whole(to, &array.shape), &array);
            self.program.outputs.push(to);
        }
        Ok(())
    }

    fn stmts(&mut self, stmts: &[Stmt]) -> Result<(), ScheduleError> {
        stmts.iter().try_for_each(|s| self.stmt(s))
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), ScheduleError> {
        self.spans = stmt.spans.clone();
        match &stmt.op {
            Op::Prim(prim, args) => self.prim(prim, args, &stmt.outs),
            Op::Constant(data) => {
                let array = self.constant(data, stmt.outs[0]);
                self.bound.insert(stmt.outs[0], Bound::Array { depth: 0, array });
                Ok(())
            }
            Op::Effect(effect) => self.effect(effect),
            Op::Form(form) => self.form(form, &stmt.outs),
        }
    }

    fn error(&self, message: impl Into<String>) -> ScheduleError {
        ScheduleError { span: self.spans.first().copied().filter(|s| *s != Span::NONE), message: message.into() }
    }

    fn name(&self, v: Var) -> Option<Arc<str>> {
        self.vars.info(v).name.clone()
    }

    fn buffer(&mut self, dtype: DType, shape: &[usize], name: Option<Arc<str>>) -> BufferId {
        let (shape, spans) = (shape.into(), self.spans.clone());
        self.program.buffers.push(Buffer { dtype, shape, place: Place::Arena(0), name, spans });
        BufferId(self.program.buffers.len() as u32 - 1)
    }

    fn emit(&mut self, node: Node) {
        self.blocks.last_mut().expect("an open block").push(node);
    }

    /// Binds a variable at the depth of the maps around.
    fn bind(&mut self, v: Var, array: Array) {
        debug_assert_eq!(array.shape[self.lanes.len()..], self.vars.ty(v).shape[..], "shape of {v:?}");
        self.bound.insert(v, Bound::Array { depth: self.lanes.len(), array });
    }

    /// The elements of an operand, one array for each lane of the maps around: their sizes, then its own shape.
    fn get(&self, a: Atom) -> Result<Array, ScheduleError> {
        match a {
            Atom::Lit(lit) => Ok(Array::lit(lit, &self.lanes)),
            Atom::Var(v) => match self.bound.get(&v) {
                Some(Bound::Array { depth, array }) => Ok(array.clone().repeated(*depth, &self.lanes[*depth..])),
                Some(Bound::Accumulator(_)) => Err(self.error("an accumulator of a map is read inside it")),
                None => Err(self.error("a variable is used outside of the body that binds it")),
            },
        }
    }

    /// Stores the elements of `from` at `to`, which has strides for the same dimensions.
    fn copy(&mut self, to: &View, from: &Array) {
        let mut b = LaneBuilder::default();
        let value = b.read(from);
        b.store(to.clone(), value);
        let node = b.node(&from.shape, &self.spans);
        self.emit(node);
    }

    /// The elements in a buffer of their own, row-major.
    fn materialised(&mut self, a: &Array) -> Array {
        let to = self.buffer(a.dtype, &a.shape, None);
        self.copy(&View::whole(to, &a.shape), a);
        Array::whole(to, a.dtype, &a.shape)
    }

    /// A view of the elements, which are written somewhere if they are nowhere yet.
    fn view(&mut self, a: &Array) -> View {
        match &a.content {
            Content::View(v) => v.clone(),
            Content::Lit(_) => {
                let one = self.materialised(&Array { shape: Shape::new(), ..a.clone() });
                let Content::View(v) = one.content else { unreachable!("a materialised array is a view") };
                View::scalar(v.buffer, a.rank())
            }
            Content::Position { .. } => {
                let Content::View(v) = self.materialised(a).content else {
                    unreachable!("a materialised array is a view")
                };
                v
            }
        }
    }

    /// The buffer of a scalar that is the same for all lanes.
    fn scalar(&mut self, a: &Array) -> BufferId {
        debug_assert!(a.shape.is_empty());
        if let Content::View(v) = &a.content
            && v.dynamic.is_empty()
            && self.program.buffers[v.buffer.0 as usize].shape.is_empty()
            && matches!(self.program.buffers[v.buffer.0 as usize].place, Place::Arena(_))
        {
            return v.buffer;
        }
        let to = self.buffer(a.dtype, &[], None);
        self.copy(&View::whole(to, &[]), a);
        to
    }

    fn constant(&mut self, data: &Arc<ArrayData>, v: Var) -> Array {
        let first = (data.ty.size() > 0).then(|| data.element(0));
        match first {
            Some(lit) if (1..data.ty.size()).all(|k| data.element(k) == lit) => Array::lit(lit, &data.ty.shape),
            Some(_) | None => {
                let id = self.buffer(data.ty.dtype, &data.ty.shape, self.name(v));
                self.program.buffers[id.0 as usize].place = Place::Constant(data.clone());
                Array::whole(id, data.ty.dtype, &data.ty.shape)
            }
        }
    }
}
