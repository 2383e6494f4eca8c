//! Appends statements to a body in the making: what tracing and every transformation write with.

use std::sync::Arc;

use smallvec::SmallVec;
use whorl_source::Span;

use crate::ir::*;
use crate::prim::*;

/// Bodies in the making, innermost last, and the variables of the program.
///
/// ```
/// use whorl_core::{Builder, DType, Lit, Type, prim::{Binary, Prim}};
/// let mut b = Builder::default();
/// let x = b.fresh(Type::scalar(DType::F32));
/// b.begin();
/// let y = b.prim1(Prim::Binary(Binary::Mul), &[x.into(), Lit::f32(2.0).into()]);
/// let body = b.end(vec![y]);
/// assert_eq!(body.stmts.len(), 1);
/// ```
#[derive(Clone, Default, Debug)]
pub struct Builder {
    pub vars: Vars,
    stack: Vec<Vec<Stmt>>,
    spans: Spans,
}

impl Builder {
    pub fn new(vars: Vars) -> Builder {
        Builder { vars, stack: Vec::new(), spans: Spans::new() }
    }

    /// Opens a body; statements go to the innermost open one.
    pub fn begin(&mut self) {
        self.stack.push(Vec::new());
    }

    /// Closes the innermost body.
    pub fn end(&mut self, results: Vec<Atom>) -> Body {
        Body { stmts: self.stack.pop().expect("end without begin"), results }
    }

    /// The statements so far of all open bodies, outermost first.
    pub fn open_statements(&self) -> impl Iterator<Item = &Stmt> {
        self.stack.iter().flatten()
    }

    /// The statements so far of the innermost open body.
    pub fn here(&self) -> &[Stmt] {
        self.stack.last().map_or(&[], |s| s)
    }

    /// How many bodies are open.
    pub fn depth(&self) -> usize {
        self.stack.len()
    }

    /// The place that new statements come from; returns the one before, to be put back.
    pub fn at(&mut self, span: Span) -> Spans {
        std::mem::replace(&mut self.spans, SmallVec::from_iter([span]))
    }

    /// The place that new statements come from.
    pub fn spans(&self) -> &Spans {
        &self.spans
    }

    pub fn at_spans(&mut self, spans: Spans) -> Spans {
        std::mem::replace(&mut self.spans, spans)
    }

    pub fn fresh(&mut self, ty: Type) -> Var {
        self.vars.fresh(ty)
    }

    pub fn ty(&self, a: Atom) -> Type {
        self.vars.atom_type(&a)
    }

    /// Appends a finished statement.
    pub fn push(&mut self, stmt: Stmt) {
        self.stack.last_mut().expect("a statement outside of any body").push(stmt);
    }

    fn emit(&mut self, op: Op, types: impl IntoIterator<Item = Type>) -> SmallVec<[Var; 2]> {
        let outs: SmallVec<[Var; 2]> = types.into_iter().map(|t| self.vars.fresh(t)).collect();
        let spans = self.spans.clone();
        self.push(Stmt { outs: outs.clone(), op, spans });
        outs
    }

    /// Applies a primitive; arithmetic of halves becomes what it stands for ([`crate::halves`]). Operands that do not fit are a defect of the caller: tracing checks the user's program first.
    #[track_caller]
    pub fn prim(&mut self, prim: Prim, args: &[Atom]) -> SmallVec<[Atom; 2]> {
        let types: Vec<Type> = args.iter().map(|a| self.ty(*a)).collect();
        let outs = match prim.result_types(&types) {
            Ok(t) => t,
            Err(e) => panic!("ill-typed Core: {} in {prim:?}", e.0),
        };
        if let Some(results) = self.of_halves(&prim, args, &types, &outs) {
            return results;
        }
        self.emit(Op::Prim(prim, args.into()), outs).into_iter().map(Atom::Var).collect()
    }

    /// A primitive of one result.
    #[track_caller]
    pub fn prim1(&mut self, prim: Prim, args: &[Atom]) -> Atom {
        self.prim(prim, args)[0]
    }

    #[track_caller]
    pub fn unary(&mut self, op: Unary, x: Atom) -> Atom {
        self.prim1(Prim::Unary(op), &[x])
    }

    #[track_caller]
    pub fn binary(&mut self, op: Binary, x: Atom, y: Atom) -> Atom {
        self.prim1(Prim::Binary(op), &[x, y])
    }

    #[track_caller]
    pub fn add(&mut self, x: Atom, y: Atom) -> Atom {
        self.binary(Binary::Add, x, y)
    }

    #[track_caller]
    pub fn mul(&mut self, x: Atom, y: Atom) -> Atom {
        self.binary(Binary::Mul, x, y)
    }

    #[track_caller]
    pub fn reduce(&mut self, op: Monoid, axes: &[usize], x: Atom) -> Atom {
        self.prim1(Prim::Reduce(Reduce { op, axes: axes.into() }), &[x])
    }

    /// A scalar (or an array, put on the last axes) repeated to `shape`; the operand itself where nothing changes.
    #[track_caller]
    pub fn broadcast(&mut self, x: Atom, shape: &[usize]) -> Atom {
        let rank = self.ty(x).rank();
        if rank == shape.len() {
            return x;
        }
        let axes = (shape.len() - rank..shape.len()).collect();
        self.prim1(Prim::Broadcast { shape: shape.into(), axes }, &[x])
    }

    /// An array of `ty` filled with zeros: a literal if it is a scalar.
    pub fn zeros(&mut self, ty: &Type) -> Atom {
        self.broadcast(Lit::zero(ty.dtype).into(), &ty.shape)
    }

    pub fn constant(&mut self, data: Arc<ArrayData>) -> Atom {
        let ty = data.ty.clone();
        Atom::Var(self.emit(Op::Constant(data), [ty])[0])
    }

    /// A constant of the outermost body, which every body inside may use: a large one is there once.
    pub fn outer_constant(&mut self, data: Arc<ArrayData>) -> Atom {
        let out = self.vars.fresh(data.ty.clone());
        let stmt = Stmt { outs: SmallVec::from_iter([out]), op: Op::Constant(data), spans: self.spans.clone() };
        self.stack.first_mut().expect("a statement outside of any body").push(stmt);
        Atom::Var(out)
    }

    /// Appends a form; the types of its results follow from it.
    pub fn form(&mut self, form: Form) -> SmallVec<[Atom; 2]> {
        let types = form.result_types(&self.vars);
        self.emit(Op::Form(Box::new(form)), types).into_iter().map(Atom::Var).collect()
    }

    pub fn effect(&mut self, effect: Effect) {
        self.emit(Op::Effect(effect), []);
    }

    /// `map index < n { f(index) }` without accumulators.
    pub fn map(&mut self, n: usize, f: impl FnOnce(&mut Builder, Atom) -> Vec<Atom>) -> SmallVec<[Atom; 2]> {
        let index = self.fresh(Type::scalar(DType::I32));
        self.begin();
        let results = f(self, index.into());
        let body = self.end(results);
        self.form(Form::Map(Map { n, index, accs: Vec::new(), body }))
    }

    /// A scan without marks: `f(builder, index, carries)` gives the next carries, then the yields.
    pub fn scan(
        &mut self,
        n: usize,
        reverse: bool,
        init: &[Atom],
        f: impl FnOnce(&mut Builder, Atom, &[Atom]) -> Vec<Atom>,
    ) -> SmallVec<[Atom; 2]> {
        let index = self.fresh(Type::scalar(DType::I32));
        let carries: Vec<Carry> = init.iter().map(|&init| Carry { var: self.fresh(self.ty(init)), init }).collect();
        let vars: Vec<Atom> = carries.iter().map(|c| c.var.into()).collect();
        self.begin();
        let results = f(self, index.into(), &vars);
        let body = self.end(results);
        self.form(Form::Scan(Scan { n, reverse, train: false, checkpoint: Checkpoint::Carries, index, carries, body }))
    }
}

impl Effect {
    /// The atoms that it reads.
    pub fn operands_mut(&mut self) -> SmallVec<[&mut Atom; 4]> {
        match self {
            Effect::Log { value, mask, .. } => SmallVec::from_iter([value, mask]),
            Effect::Check { values, mask, .. } => values.iter_mut().chain([mask]).collect(),
        }
    }
}

impl Form {
    /// The types of what the statement of this form binds.
    pub fn result_types(&self, vars: &Vars) -> Vec<Type> {
        let looped = |carries: &[Carry], body: &Body, n: usize| {
            let carried = carries.iter().map(|c| vars.ty(c.var).clone());
            let stacked = body.results.iter().skip(carries.len()).map(|a| vars.atom_type(a).stacked(n));
            carried.chain(stacked).collect()
        };
        match self {
            Form::Map(m) => looped(&m.accs, &m.body, m.n),
            Form::Scan(s) => looped(&s.carries, &s.body, s.n),
            Form::While(w) => w.carries.iter().map(|c| vars.ty(c.var).clone()).collect(),
            Form::Switch(s) => s.arms[0].results.iter().map(|a| vars.atom_type(a)).collect(),
        }
    }

    /// The bodies, in order.
    pub fn bodies(&self) -> SmallVec<[&Body; 2]> {
        match self {
            Form::Map(m) => SmallVec::from_iter([&m.body]),
            Form::Scan(s) => SmallVec::from_iter([&s.body]),
            Form::While(w) => SmallVec::from_iter([&w.condition, &w.body]),
            Form::Switch(s) => s.arms.iter().collect(),
        }
    }

    pub fn bodies_mut(&mut self) -> SmallVec<[&mut Body; 2]> {
        match self {
            Form::Map(m) => SmallVec::from_iter([&mut m.body]),
            Form::Scan(s) => SmallVec::from_iter([&mut s.body]),
            Form::While(w) => SmallVec::from_iter([&mut w.condition, &mut w.body]),
            Form::Switch(s) => s.arms.iter_mut().collect(),
        }
    }

    /// The variables that the form itself binds inside its bodies: index and carries.
    pub fn binders(&self) -> Vec<Var> {
        let of =
            |index: Option<Var>, carries: &[Carry]| index.into_iter().chain(carries.iter().map(|c| c.var)).collect();
        match self {
            Form::Map(m) => of(Some(m.index), &m.accs),
            Form::Scan(s) => of(Some(s.index), &s.carries),
            Form::While(w) => of(None, &w.carries),
            Form::Switch(_) => Vec::new(),
        }
    }

    /// The atoms that the form reads by itself: initial carries and the choice of an arm. Not what its bodies use.
    pub fn operands_mut(&mut self) -> SmallVec<[&mut Atom; 4]> {
        match self {
            Form::Map(m) => m.accs.iter_mut().map(|c| &mut c.init).collect(),
            Form::Scan(s) => s.carries.iter_mut().map(|c| &mut c.init).collect(),
            Form::While(w) => w.carries.iter_mut().map(|c| &mut c.init).collect(),
            Form::Switch(s) => SmallVec::from_iter([&mut s.which]),
        }
    }
}
