//! Distribution: inner `Map`s are spread over their bodies, so that what remains is uniform control flow around whole arrays.
//!
//! A policy applied in every lane becomes one matrix product, a scan in every lane becomes one scan that carries the batch.
//! Each enclosing `Map` is a *level*; a value that varies over some levels ([`Value::levels`]) is an array with those levels'
//! sizes in front, outermost first, and a value that varies over none is computed once. Nothing else is done to it: what the
//! lanes do at run-time positions stays as a small `Map` (see below), and the schedule makes lane loops of the rest.
//!
//! ```text
//! map b < 128 { h = dot(x[b], w); tanh(h) }      ==>     h = dot(x, w); tanh(h)
//! ```
//!
//! After this pass ("flat Core") these `Map`s remain, and no others:
//! - the *runs*: at most one, at the top level of the program, whose results are the program's results. Its lanes are whole
//!   training runs; they stay independent programs;
//! - *gathers*: nests without accumulators around one `index` at positions that differ from lane to lane;
//! - *scatters*: nests around one `index_add` or `index_set` into an accumulator.
//!
//! Branches. A `Switch` whose choice varies over lanes becomes selects. Arms that cost little are computed for all lanes; an arm
//! that costs more is computed only where some lane takes it (a uniform branch on `any`), so that resetting environments
//! costs nothing in steps where none is done; and one that costs much, of many lanes, for those that take it alone ([`compact`]).
//!
//! Accumulators (see `whorl_core::ir::Map`) stay as they are for the level of their `Map`: what lanes add is summed over that
//! level first. If it is a product of matrices with the level as a batch axis, the level becomes a contracted axis instead:
//! this is how the gradient of a layer becomes one matrix product.

mod access;
mod compact;
mod contract;
pub(crate) mod cost;
mod forms;
mod levels;
mod notes;
mod prims;

use std::collections::HashMap;

use smallvec::SmallVec;
use whorl_core::builder::Builder;
use whorl_core::ir::*;
use whorl_core::prim::{Dot, Prim};
use whorl_source::Span;

use levels::Levels;
pub use notes::{Became, BranchNote, Choice, ForNote, Notes};

/// The program with its inner `Map`s distributed.
pub fn distribute(program: &Program) -> Program {
    distributed(Distributor::new(program)).0
}

/// The same for machines with more lanes than most programs have: lanes that take a costly arm are not picked out for it. Values are the same.
pub fn distribute_whole(program: &Program) -> Program {
    distributed(Distributor { compacts: false, ..Distributor::new(program) }).0
}

/// The same as [`distribute`], with what was done, and marks on the statements for [`Notes`].
pub fn distribute_noted(program: &Program) -> (Program, Notes) {
    let mut d = Distributor::new(program);
    d.taking = Some(notes::Taking::default());
    distributed(d)
}

fn distributed(mut d: Distributor) -> (Program, Notes) {
    let program = d.source;
    let main = &program.main;
    let mut out = Function::default();
    for &p in &main.params {
        let new = d.b.fresh(program.vars.ty(p).clone());
        d.keep_name(p, new);
        d.bind(p, Value::uniform(new.into()));
        out.params.push(new);
    }
    d.b.begin();
    let results = match runs_of(&main.body) {
        Some((last, runs, order)) => {
            d.stmts(&main.body.stmts[..last]);
            let outs = d.runs(&main.body.stmts[last], runs);
            order.iter().map(|&k| outs[k]).collect()
        }
        None => {
            d.stmts(&main.body.stmts);
            main.body.results.iter().map(|a| d.value(*a).atom).collect()
        }
    };
    out.body = d.b.end(results);
    let notes = d.taking.map(|t| t.notes).unwrap_or_default();
    (contract::contract(Program { vars: d.b.vars, main: out }), notes)
}

/// The last statement, if it is a `Map` over whole runs: its place, itself, and which of its results each result is.
fn runs_of(body: &Body) -> Option<(usize, &Map, Vec<usize>)> {
    let last = body.stmts.len().checked_sub(1)?;
    let stmt = &body.stmts[last];
    let Op::Form(form) = &stmt.op else { return None };
    let Form::Map(m) = &**form else { return None };
    if !m.accs.is_empty() || m.n == 0 || !(cost::holds_train(&m.body) || (m.n <= 4096 && cost::holds_loop(&m.body))) {
        return None;
    }
    // What is before them happens in every run: a check again, with the same outcome, but a record would be there many times.
    if body.stmts[..last].iter().any(cost::records) {
        return None;
    }
    let place = |a: &Atom| stmt.outs.iter().position(|v| Atom::Var(*v) == *a);
    let order: Option<Vec<usize>> = body.results.iter().map(place).collect();
    Some((last, m, order?))
}

/// What a variable of the source has become.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub atom: Atom,
    /// The levels that it varies over: its leading axes.
    pub levels: Levels,
    /// The levels that sum into it, if it is an accumulator (or a carry that threads one).
    pub sums: Levels,
    /// The level whose index it is.
    pub index_of: Option<u32>,
}

impl Value {
    pub fn uniform(atom: Atom) -> Value {
        Value::over(atom, Levels::default())
    }

    pub fn over(atom: Atom, levels: Levels) -> Value {
        Value { atom, levels, sums: Levels::default(), index_of: None }
    }
}

pub(crate) struct Distributor<'a> {
    source: &'a Program,
    pub b: Builder,
    values: HashMap<Var, Value>,
    /// The size of each level, outermost first.
    pub sizes: Vec<usize>,
    /// Where the `Map` of each is written.
    pub spans: Vec<Span>,
    /// Where the lanes that execute the present statement are those that took a branch: which.
    mask: Option<Value>,
    /// Products as emitted, for [`Distributor::sum_levels`].
    dots: HashMap<Var, (Dot, Atom, Atom)>,
    taking: Option<notes::Taking>,
    /// Whether a costly arm is computed for the lanes that take it alone, where they are many.
    compacts: bool,
}

impl<'a> Distributor<'a> {
    fn new(source: &'a Program) -> Distributor<'a> {
        let (values, dots) = (HashMap::new(), HashMap::new());
        let (sizes, spans) = (Vec::new(), Vec::new());
        Distributor {
            source,
            b: Builder::default(),
            values,
            sizes,
            spans,
            mask: None,
            dots,
            taking: None,
            compacts: true,
        }
    }

    fn bind(&mut self, v: Var, value: Value) {
        self.values.insert(v, value);
    }

    fn keep_name(&mut self, from: Var, to: Var) {
        if let Some(name) = &self.source.vars.info(from).name {
            self.b.vars.set_name(to, name.clone());
        }
    }

    fn value(&self, a: Atom) -> Value {
        match a {
            Atom::Var(v) => self.values[&v].clone(),
            Atom::Lit(_) => Value::uniform(a),
        }
    }

    fn source_type(&self, a: Atom) -> Type {
        self.source.vars.atom_type(&a)
    }

    pub fn dims(&self, levels: &Levels) -> Shape {
        levels.iter().map(|l| self.sizes[l as usize]).collect()
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            let spans = stmt.spans.clone();
            let before = self.b.at_spans(match &self.taking {
                Some(taking) => taking.marked(spans),
                None => spans,
            });
            let values = self.stmt(stmt);
            for (&out, value) in stmt.outs.iter().zip(values) {
                if let Atom::Var(v) = value.atom {
                    self.keep_name(out, v);
                }
                self.bind(out, value);
            }
            self.b.at_spans(before);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) -> SmallVec<[Value; 2]> {
        match &stmt.op {
            Op::Prim(prim, args) => {
                let values: Vec<Value> = args.iter().map(|a| self.value(*a)).collect();
                let ranks: Vec<usize> = args.iter().map(|a| self.source_type(*a).rank()).collect();
                prims::prim(self, prim, &values, &ranks)
            }
            Op::Constant(data) => SmallVec::from_iter([Value::uniform(self.b.constant(data.clone()))]),
            Op::Form(form) => forms::form(self, form, &stmt.outs),
            Op::Effect(effect) => {
                forms::effect(self, effect);
                SmallVec::new()
            }
        }
    }

    /// The value over `levels` (a superset of its own), with its own axes behind them. Levels it lacked repeat it.
    pub fn spread(&mut self, v: &Value, levels: &Levels) -> Atom {
        if v.levels == *levels {
            return v.atom;
        }
        let ty = self.b.ty(v.atom);
        let own = &ty.shape[v.levels.len()..];
        let mut shape = self.dims(levels);
        shape.extend_from_slice(own);
        let at = v.levels.iter().map(|l| levels.place(l));
        let axes = at.chain(levels.len()..levels.len() + own.len()).collect();
        self.b.prim1(Prim::Broadcast { shape, axes }, &[v.atom])
    }

    /// Distributes a body and gives its results.
    fn body(&mut self, body: &Body) -> Vec<Value> {
        self.stmts(&body.stmts);
        body.results.iter().map(|a| self.value(*a)).collect()
    }

    /// The runs: their body is distributed as a program of its own, and they stay a `Map`.
    fn runs(&mut self, stmt: &Stmt, runs: &Map) -> SmallVec<[Atom; 2]> {
        let index = self.b.fresh(Type::scalar(DType::I32));
        self.keep_name(runs.index, index);
        self.bind(runs.index, Value::uniform(index.into()));
        let before = self.b.at_spans(stmt.spans.clone());
        if let Some(t) = &mut self.taking {
            t.open(self.b.spans(), runs.n, Became::Runs);
        }
        self.b.begin();
        let results = self.body(&runs.body).iter().map(|v| v.atom).collect();
        let body = self.b.end(results);
        if let Some(t) = &mut self.taking {
            t.close();
        }
        let outs = self.b.form(Form::Map(Map { n: runs.n, index, accs: Vec::new(), body }));
        self.b.at_spans(before);
        outs
    }
}
