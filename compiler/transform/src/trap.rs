//! Checks that every operation on finite floats gives finite ones, for `--trap-nan`.
//!
//! What an operation *makes* is looked at: a NaN of operands that are none, an infinity of finite ones. So infinities that a
//! program writes down (a mask of `-inf`, the start of a maximum) pass through everything.
//!
//! - What is only chosen between (`select(x > 0.0, log(x), 0.0)`) counts where it is chosen.
//! - Of a sum, a product of matrices and other folds the result is looked at, if all that goes in is finite. What is multiplied
//!   only to be summed, or only added to an accumulator, is looked at as that sum, so that the check does not make an array of
//!   what distribution has none of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use whorl_core::builder::Builder;
use whorl_core::check::{Check, CheckKind};
use whorl_core::ir::*;
use whorl_core::prim::{Binary, Compare, Monoid, Prim, Reduce, Unary};
use whorl_core::rewrite::each_use;

/// The program with these checks.
pub fn trap_nan(mut program: Program) -> Program {
    let mut t = Trap { b: Builder::new(std::mem::take(&mut program.vars)), accumulators: HashSet::new() };
    t.body(&mut program.main.body);
    program.vars = t.b.vars;
    program
}

struct Trap {
    b: Builder,
    /// Accumulators of maps at all stages: nothing may look at them.
    accumulators: HashSet<Var>,
}

/// A statement that makes floats, by its place in its body.
#[derive(Clone, Copy, PartialEq)]
enum Looked {
    /// Right behind it.
    Here,
    /// In front of the select at this place, where that chooses it.
    At(usize),
    /// As what is made of it.
    Later,
}

impl Trap {
    fn body(&mut self, body: &mut Body) {
        let stmts = std::mem::take(&mut body.stmts);
        let uses = Uses::of(&stmts, &body.results);
        self.spread_accumulators(&stmts);
        let mut waiting: HashMap<usize, Vec<usize>> = HashMap::new();
        self.b.begin();
        for k in 0..stmts.len() {
            let before = self.b.at_spans(stmts[k].spans.clone());
            for made in waiting.remove(&k).unwrap_or_default() {
                let guards = self.guards(&stmts, &uses, made);
                self.b.at_spans(stmts[made].spans.clone());
                self.look(&stmts, &uses, made, &guards);
            }
            let mut stmt = stmts[k].clone();
            if let Op::Form(form) = &mut stmt.op {
                self.form(form);
            }
            self.b.push(stmt);
            match self.looked(&stmts, &uses, k) {
                Looked::Here => {
                    self.b.at_spans(stmts[k].spans.clone());
                    self.look(&stmts, &uses, k, &[]);
                }
                Looked::At(select) => waiting.entry(select).or_default().push(k),
                Looked::Later => {}
            }
            self.b.at_spans(before);
        }
        *body = self.b.end(std::mem::take(&mut body.results));
    }

    fn form(&mut self, form: &mut Form) {
        if let Form::Map(m) = form {
            self.accumulators.extend(m.accs.iter().map(|a| a.var));
        }
        let carries: &[Carry] = match form {
            Form::Map(_) | Form::Switch(_) => &[],
            Form::Scan(s) => &s.carries,
            Form::While(w) => &w.carries,
        };
        for c in carries {
            if c.init.var().is_some_and(|v| self.accumulators.contains(&v)) {
                self.accumulators.insert(c.var);
            }
        }
        form.bodies_mut().into_iter().for_each(|b| self.body(b));
    }

    /// What is made of an accumulator is one.
    fn spread_accumulators(&mut self, stmts: &[Stmt]) {
        let is = |t: &Trap, a: &Atom| a.var().is_some_and(|v| t.accumulators.contains(&v));
        for stmt in stmts {
            match &stmt.op {
                Op::Prim(_, args) => {
                    if args.iter().any(|a| is(self, a)) {
                        self.accumulators.extend(&stmt.outs);
                    }
                }
                Op::Form(form) => {
                    let inits: Vec<Atom> = match &**form {
                        Form::Map(m) => m.accs.iter().map(|c| c.init).collect(),
                        Form::Scan(s) => s.carries.iter().map(|c| c.init).collect(),
                        Form::While(w) => w.carries.iter().map(|c| c.init).collect(),
                        Form::Switch(_) => Vec::new(),
                    };
                    for (out, init) in stmt.outs.iter().zip(inits) {
                        if is(self, &init) {
                            self.accumulators.insert(*out);
                        }
                    }
                }
                Op::Constant(_) | Op::Effect(_) => {}
            }
        }
    }

    /// Where what a statement makes is looked at.
    fn looked(&self, stmts: &[Stmt], uses: &Uses, k: usize) -> Looked {
        match uses.only(&stmts[k]) {
            None => Looked::Here,
            Some(user) => match &stmts[user].op {
                Op::Prim(Prim::Select, args) if !stmts[k].outs.contains(&args[0].var().unwrap_or(Var(u32::MAX))) => {
                    match self.looked(stmts, uses, user) {
                        Looked::At(outer) => Looked::At(outer),
                        Looked::Here | Looked::Later => Looked::At(user),
                    }
                }
                Op::Prim(prim, args)
                    if args.iter().any(|a| a.var().is_some_and(|v| self.accumulators.contains(&v))) =>
                {
                    debug_assert!(!matches!(prim, Prim::Select));
                    Looked::Later
                }
                Op::Prim(Prim::Reduce(Reduce { op: Monoid::Sum, .. }), _) if is_product(&stmts[k]) => Looked::Later,
                Op::Prim(prim, _) => match self.looked(stmts, uses, user) {
                    // Guards hold element by element.
                    Looked::At(select) if prim.is_elementwise() => Looked::At(select),
                    Looked::Later if matches!(prim, Prim::Reshape(_) | Prim::Transpose(_) | Prim::Broadcast { .. }) => {
                        Looked::Later
                    }
                    Looked::Here | Looked::At(_) | Looked::Later => Looked::Here,
                },
                Op::Form(_) | Op::Constant(_) | Op::Effect(_) => Looked::Here,
            },
        }
    }

    /// The conditions under which selects choose what a statement makes, and whether they hold there.
    fn guards(&self, stmts: &[Stmt], uses: &Uses, k: usize) -> Vec<(Atom, bool)> {
        let mut guards = Vec::new();
        let mut at = k;
        while let Some(user) = uses.only(&stmts[at]) {
            if let Op::Prim(Prim::Select, args) = &stmts[user].op {
                guards.push((args[0], args[1] == stmts[at].outs[0].into()));
            } else if self.looked(stmts, uses, at) == Looked::Here {
                break;
            }
            at = user;
        }
        guards
    }

    /// Appends the check of what statement `k` makes, if it makes floats.
    fn look(&mut self, stmts: &[Stmt], uses: &Uses, k: usize, guards: &[(Atom, bool)]) {
        let stmt = &stmts[k];
        if stmt.outs.iter().any(|v| self.accumulators.contains(v)) {
            return;
        }
        match &stmt.op {
            Op::Prim(prim, args) => {
                let out = stmt.outs[0];
                let ty = self.b.vars.ty(out).clone();
                if !ty.dtype.is_float() {
                    return;
                }
                match makes(prim) {
                    Makes::Nothing => {}
                    Makes::Elements => {
                        let values: Atoms = [Atom::Var(out)].into_iter().chain(args.iter().copied()).collect();
                        if values.iter().all(|v| self.b.ty(*v).dtype.is_float()) {
                            let mask = self.where_chosen(&ty, guards);
                            self.check(out, values, mask);
                        }
                    }
                    Makes::Folds => {
                        let mut from: Vec<Atom> =
                            args.iter().copied().filter(|a| self.b.ty(*a).dtype.is_float()).collect();
                        if let (Prim::Reduce(_), Some(product)) = (prim, uses.product_for(stmts, k)) {
                            from = product;
                        }
                        let mut mask = self.where_chosen(&ty, guards);
                        for a in from {
                            let finite = self.all_finite(a);
                            mask = self.and(mask, finite);
                        }
                        self.check(out, Atoms::from_iter([out.into()]), mask);
                    }
                }
            }
            Op::Form(form) => {
                let Form::Map(m) = &**form else { return };
                for (&out, acc) in stmt.outs.iter().zip(&m.accs) {
                    if self.b.vars.ty(out).dtype.is_float() {
                        let mask = self.all_finite(acc.init);
                        self.check(out, Atoms::from_iter([out.into()]), mask);
                    }
                }
            }
            Op::Constant(_) | Op::Effect(_) => {}
        }
    }

    fn check(&mut self, of: Var, values: Atoms, mask: Atom) {
        let name = self.b.vars.info(of).name.clone().unwrap_or_else(|| "".into());
        let check = Arc::new(Check::new(CheckKind::Finite, name));
        self.b.effect(Effect::Check { check, values, mask });
    }

    /// A mask of this type's shape, or `true`.
    fn where_chosen(&mut self, ty: &Type, guards: &[(Atom, bool)]) -> Atom {
        let mut mask: Atom = Lit::bool(true).into();
        for &(condition, holds) in guards {
            let c = if holds { condition } else { self.b.unary(Unary::Not, condition) };
            mask = self.and(mask, c);
        }
        let mask_type = self.b.ty(mask);
        if !mask_type.is_scalar() && ty.is_scalar() {
            // A scalar that is chosen for some elements.
            let all: Vec<usize> = (0..mask_type.rank()).collect();
            return self.b.reduce(Monoid::Any, &all, mask);
        }
        mask
    }

    fn and(&mut self, a: Atom, b: Atom) -> Atom {
        if a == Lit::bool(true).into() { b } else { self.b.binary(Binary::And, a, b) }
    }

    fn all_finite(&mut self, a: Atom) -> Atom {
        let ty = self.b.ty(a);
        let size = self.b.unary(Unary::Abs, a);
        let finite = self.b.prim1(Prim::Compare(Compare::Lt), &[size, Lit::of(ty.dtype, f64::INFINITY).into()]);
        let axes: Vec<usize> = (0..ty.rank()).collect();
        if axes.is_empty() { finite } else { self.b.reduce(Monoid::All, &axes, finite) }
    }
}

/// Who uses what a body binds.
struct Uses {
    /// By variable: the statements that read it, and how often all do. Results of the body count twice.
    of: HashMap<Var, (Option<usize>, usize)>,
    /// The statement that binds it.
    made: HashMap<Var, usize>,
}

impl Uses {
    fn of(stmts: &[Stmt], results: &[Atom]) -> Uses {
        let (mut of, mut made): (HashMap<Var, (Option<usize>, usize)>, _) = (HashMap::new(), HashMap::new());
        for (k, stmt) in stmts.iter().enumerate() {
            made.extend(stmt.outs.iter().map(|v| (*v, k)));
            let by_itself = matches!(stmt.op, Op::Prim(..));
            each_use(stmt, &mut |a| {
                if let Atom::Var(v) = a {
                    let use_ = of.entry(v).or_insert((None, 0));
                    *use_ = (Some(k), use_.1 + if by_itself { 1 } else { 2 });
                }
            });
        }
        results.iter().filter_map(|a| a.var()).for_each(|v| of.entry(v).or_insert((None, 0)).1 += 2);
        Uses { of, made }
    }

    /// The one statement that uses the one result of this one, once and by itself.
    fn only(&self, stmt: &Stmt) -> Option<usize> {
        match (&stmt.op, &stmt.outs[..]) {
            (Op::Prim(..), [out]) => match self.of.get(out) {
                Some((Some(user), 1)) => Some(*user),
                Some(_) | None => None,
            },
            _ => None,
        }
    }

    /// The factors of what statement `k` sums, if it is a product for it alone.
    fn product_for(&self, stmts: &[Stmt], k: usize) -> Option<Vec<Atom>> {
        let Op::Prim(_, args) = &stmts[k].op else { return None };
        let product = &stmts[*self.made.get(&args[0].var()?)?];
        let Op::Prim(_, factors) = &product.op else { return None };
        (is_product(product) && self.only(product) == Some(k)).then(|| factors.to_vec())
    }
}

fn is_product(stmt: &Stmt) -> bool {
    matches!(stmt.op, Op::Prim(Prim::Binary(Binary::Mul), _))
}

/// Whether an operation can make a float that is not finite of finite ones.
enum Makes {
    Nothing,
    /// Element by element.
    Elements,
    /// Of whole arrays.
    Folds,
}

fn makes(prim: &Prim) -> Makes {
    match prim {
        Prim::Unary(op) => match op {
            Unary::Neg
            | Unary::Abs
            | Unary::Sign
            | Unary::Floor
            | Unary::Ceil
            | Unary::Round
            | Unary::Not
            | Unary::PopCount => Makes::Nothing,
            Unary::Sqrt | Unary::Math(_) => Makes::Elements,
        },
        Prim::Binary(op) => match op {
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Rem | Binary::Pow | Binary::Atan2 => {
                Makes::Elements
            }
            Binary::Min
            | Binary::Max
            | Binary::And
            | Binary::Or
            | Binary::Xor
            | Binary::Shl
            | Binary::Shr
            | Binary::ShrLogical => Makes::Nothing,
        },
        // To a smaller type.
        Prim::MulAdd | Prim::Convert(_) => Makes::Elements,
        Prim::Reduce(r) => match r.op {
            Monoid::Sum | Monoid::Prod => Makes::Folds,
            _ => Makes::Nothing,
        },
        Prim::Cumulative { op: Monoid::Sum | Monoid::Prod, .. } | Prim::Dot(_) | Prim::IndexAdd(_) => Makes::Folds,
        Prim::Cumulative { .. }
        | Prim::Compare(_)
        | Prim::Select
        | Prim::Bitcast(_)
        | Prim::StopGradient
        | Prim::Custom(_)
        | Prim::Threefry
        | Prim::Iota(_)
        | Prim::Broadcast { .. }
        | Prim::Reshape(_)
        | Prim::Transpose(_)
        | Prim::Slice { .. }
        | Prim::Pad { .. }
        | Prim::Reverse(_)
        | Prim::Concat(_)
        | Prim::Index(_)
        | Prim::IndexSet(_)
        | Prim::ArgMax(_)
        | Prim::ArgMin(_)
        | Prim::Sort { .. } => Makes::Nothing,
    }
}
