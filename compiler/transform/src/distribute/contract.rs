//! Sums of products become products of matrices, however they were written.
//!
//! ```text
//! for row in a { for column in transpose(b) { sum(row * column) } }
//!
//! p = broadcast(a, [m, n, k], axes 0 2)
//! q = broadcast(c, [m, n, k], axes 1 2)
//! r = reduce(sum, axes 2, mul(p, q))          ==>     r = dot(a, c), the axes 1 of both contracted
//! ```
//!
//! Only where each operand has an axis that the other has not: anything less is a sum as cheap as it stands. And what was written as a product
//! but is only that becomes a sum: its elements are added in sixteen lanes, a product's one after the other.

use std::collections::HashMap;

use smallvec::SmallVec;
use whorl_core::prim::{Binary, Dot, Monoid, Reduce};
use whorl_core::rewrite::Substitution;
use whorl_core::{Atom, Body, Builder, Op, Prim, Program, Stmt, Var};

/// What an array repeats, and which axes of the array those of the source are, ascending.
struct Source {
    of: Atom,
    axes: Vec<usize>,
}

struct Contraction {
    builder: Builder,
    defs: HashMap<Var, (Prim, SmallVec<[Atom; 3]>)>,
}

pub(super) fn contract(mut program: Program) -> Program {
    let mut c = Contraction { builder: Builder::new(std::mem::take(&mut program.vars)), defs: HashMap::new() };
    c.body(&mut program.main.body);
    program.vars = c.builder.vars;
    program
}

impl Contraction {
    fn body(&mut self, body: &mut Body) {
        let mut rename = Substitution::default();
        self.builder.begin();
        for mut stmt in std::mem::take(&mut body.stmts) {
            // What a product takes the place of is only used from here on in this body and those inside of it.
            replace(&mut stmt, &rename);
            if let Op::Form(form) = &mut stmt.op {
                form.bodies_mut().into_iter().for_each(|b| self.body(b));
            }
            let before = self.builder.at_spans(stmt.spans.clone());
            let product = match &stmt.op {
                Op::Prim(Prim::Reduce(r), args) => self.product(r, args[0]),
                Op::Prim(Prim::Dot(d), args) => self.sum(d, args[0], args[1]),
                Op::Prim(..) | Op::Constant(_) | Op::Form(_) | Op::Effect(_) => None,
            };
            self.builder.at_spans(before);
            if let Op::Prim(prim, args) = &stmt.op
                && let [out] = stmt.outs[..]
            {
                self.defs.insert(out, (prim.clone(), args.iter().copied().collect()));
            }
            match product {
                Some(product) => rename.insert(stmt.outs[0], product),
                None => self.builder.push(stmt),
            }
        }
        let results = body.results.iter().map(|a| rename.get(*a)).collect();
        *body = self.builder.end(results);
    }

    fn def(&self, a: Atom) -> Option<&(Prim, SmallVec<[Atom; 3]>)> {
        self.defs.get(&a.var()?)
    }

    fn source(&self, a: Atom) -> Source {
        match self.def(a) {
            Some((Prim::Broadcast { axes, .. }, args)) => {
                let inner = self.source(args[0]);
                Source { of: inner.of, axes: inner.axes.iter().map(|&k| axes[k]).collect() }
            }
            _ => Source { of: a, axes: (0..self.builder.ty(a).rank()).collect() },
        }
    }

    fn product(&mut self, r: &Reduce, summed: Atom) -> Option<Atom> {
        let ty = self.builder.ty(summed);
        let Some((Prim::Binary(Binary::Mul), args)) = self.def(summed) else { return None };
        let (x, y) = (self.source(args[0]), self.source(args[1]));
        if r.op != Monoid::Sum || !ty.dtype.is_float() || ty.size() == 0 {
            return None;
        }
        let (in_x, in_y) = (|k: &usize| x.axes.contains(k), |k: &usize| y.axes.contains(k));
        let shared = r.axes.iter().all(|k| in_x(k) && in_y(k));
        let own_x = x.axes.iter().any(|k| !in_y(k));
        let own_y = y.axes.iter().any(|k| !in_x(k));
        let whole = (0..ty.rank()).all(|k| in_x(&k) || in_y(&k));
        if !(shared && own_x && own_y && whole) {
            return None;
        }
        let kept: Vec<usize> = (0..ty.rank()).filter(|k| !r.axes.contains(k)).collect();
        let batch: Vec<usize> = kept.iter().copied().filter(|k| in_x(k) && in_y(k)).collect();
        let place = |axes: &[usize], wanted: &[usize]| -> SmallVec<[usize; 2]> {
            wanted.iter().filter_map(|k| axes.iter().position(|a| a == k)).collect()
        };
        let dot = Dot {
            lhs_batch: place(&x.axes, &batch),
            rhs_batch: place(&y.axes, &batch),
            lhs_contract: place(&x.axes, &r.axes),
            rhs_contract: place(&y.axes, &r.axes),
        };
        let free_x = kept.iter().copied().filter(|k| in_x(k) && !in_y(k));
        let free_y = kept.iter().copied().filter(|k| in_y(k) && !in_x(k));
        let order: Vec<usize> = batch.iter().copied().chain(free_x).chain(free_y).collect();
        let perm: SmallVec<[usize; 4]> = kept.iter().filter_map(|k| order.iter().position(|o| o == k)).collect();
        let product = self.builder.prim1(Prim::Dot(dot), &[x.of, y.of]);
        let in_order = perm.iter().copied().eq(0..perm.len());
        Some(if in_order { product } else { self.builder.prim1(Prim::Transpose(perm), &[product]) })
    }
}

impl Contraction {
    /// The product of vectors, or of several pairs of them, as a sum.
    fn sum(&mut self, dot: &Dot, x: Atom, y: Atom) -> Option<Atom> {
        let (batch, summed) = (dot.lhs_batch.len(), dot.lhs_contract.len());
        let rank = |a: Atom, b: &Builder| b.ty(a).rank();
        if summed == 0 || [x, y].iter().any(|a| rank(*a, &self.builder) != batch + summed) {
            return None;
        }
        let mut ordered = |a: Atom, batch: &[usize], summed: &[usize]| {
            let perm: SmallVec<[usize; 4]> = batch.iter().chain(summed).copied().collect();
            let in_order = perm.iter().copied().eq(0..perm.len());
            if in_order { a } else { self.builder.prim1(Prim::Transpose(perm), &[a]) }
        };
        let x = ordered(x, &dot.lhs_batch, &dot.lhs_contract);
        let y = ordered(y, &dot.rhs_batch, &dot.rhs_contract);
        let products = self.builder.mul(x, y);
        let axes: Vec<usize> = (batch..batch + summed).collect();
        Some(self.builder.reduce(Monoid::Sum, &axes, products))
    }
}

/// The operands of the statement, and of what stands in its bodies, renamed.
fn replace(stmt: &mut Stmt, rename: &Substitution) {
    match &mut stmt.op {
        Op::Prim(_, args) => args.iter_mut().for_each(|a| *a = rename.get(*a)),
        Op::Constant(_) => {}
        Op::Form(form) => {
            form.operands_mut().into_iter().for_each(|a| *a = rename.get(*a));
            for body in form.bodies_mut() {
                body.stmts.iter_mut().for_each(|s| replace(s, rename));
                body.results.iter_mut().for_each(|a| *a = rename.get(*a));
            }
        }
        Op::Effect(effect) => effect.operands_mut().into_iter().for_each(|a| *a = rename.get(*a)),
    }
}
