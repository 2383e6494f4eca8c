//! Simplification: what is computed twice is computed once, and what is no computation disappears.
//!
//! One forward pass. Statements with the same operation and operands share their results where the first is in scope (value
//! numbering along the nesting of bodies; `Map`s without accumulators are compared up to the names of what they bind). The
//! rules of [`rule`] hold in the arithmetic of the machine except that `x + 0` is taken as `x` also for `x = -0`.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use whorl_core::builder::Builder;
use whorl_core::interp;
use whorl_core::ir::*;
use whorl_core::prim::{Binary, Monoid, Prim, Reduce};
use whorl_core::rewrite::Substitution;

use crate::dce::dce;
use crate::ranges::remove_proven;

/// The same program, smaller.
pub fn simplify(program: Program) -> Program {
    let mut program = dce(program);
    remove_proven(&mut program);
    let mut s = Simplifier {
        vars: &mut program.vars,
        rename: Substitution::default(),
        defs: HashMap::new(),
        prims: vec![HashMap::new()],
        maps: vec![HashMap::new()],
    };
    s.body(&mut program.main.body);
    dce(program)
}

type Outs = SmallVec<[Var; 2]>;

struct Simplifier<'a> {
    vars: &'a mut Vars,
    rename: Substitution,
    /// How variables that primitives define were computed.
    defs: HashMap<Var, (Prim, Atoms)>,
    /// What is available, by scope, innermost last.
    prims: Vec<HashMap<(Prim, Atoms), Outs>>,
    maps: Vec<HashMap<String, Outs>>,
}

impl Simplifier<'_> {
    fn body(&mut self, body: &mut Body) {
        self.prims.push(HashMap::new());
        self.maps.push(HashMap::new());
        for stmt in std::mem::take(&mut body.stmts) {
            self.place(stmt, &mut body.stmts);
        }
        for r in &mut body.results {
            *r = self.rename.get(*r);
        }
        self.prims.pop();
        self.maps.pop();
    }

    /// Appends the statement, simplified; of a switch whose choice is known, its arm; of a loop without rounds, what it
    /// begins with and arrays of no elements, out of which distribution would take some.
    fn place(&mut self, stmt: Stmt, into: &mut Vec<Stmt>) {
        if let Op::Form(form) = &stmt.op
            && let Some(carries) = without_rounds(form)
        {
            for (k, out) in stmt.outs.iter().enumerate() {
                if let Some(carry) = carries.get(k) {
                    let init = self.rename.get(carry.init);
                    self.rename.insert(*out, init);
                    continue;
                }
                let nothing = ArrayData { ty: self.vars.ty(*out).clone(), bytes: Vec::new() };
                let op = Op::Constant(Arc::new(nothing));
                into.push(Stmt { outs: smallvec![*out], op, spans: stmt.spans.clone() });
            }
            return;
        }
        if let Op::Form(form) = &stmt.op
            && let Form::Switch(s) = &**form
            && let Atom::Lit(which) = self.rename.get(s.which)
        {
            let arm = s.arms[(which.to_f64().max(0.0) as usize).min(s.arms.len() - 1)].clone();
            arm.stmts.into_iter().for_each(|s| self.place(s, into));
            for (out, r) in stmt.outs.iter().zip(&arm.results) {
                let r = self.rename.get(*r);
                self.rename.insert(*out, r);
            }
            return;
        }
        into.extend(self.stmt(stmt));
    }

    /// The statement to keep, if any; its results are renamed otherwise.
    fn stmt(&mut self, mut stmt: Stmt) -> Option<Stmt> {
        match &mut stmt.op {
            Op::Prim(prim, args) => {
                args.iter_mut().for_each(|a| *a = self.rename.get(*a));
                if let Some(lit) = constant(prim, args) {
                    self.rename.insert(stmt.outs[0], lit.into());
                    return None;
                }
                if let Some(atom) = rule(self, prim, args, &stmt.outs) {
                    self.rename.insert(stmt.outs[0], atom);
                    return None;
                }
                let key = (prim.clone(), args.clone());
                if let Some(known) = self.prims.iter().rev().find_map(|scope| scope.get(&key)) {
                    let known = known.clone();
                    self.share(&stmt.outs, &known);
                    return None;
                }
                self.defs.insert(stmt.outs[0], key.clone());
                self.prims.last_mut().expect("a scope").insert(key, stmt.outs.clone());
            }
            Op::Constant(_) => {}
            Op::Form(form) => {
                for a in form.operands_mut() {
                    *a = self.rename.get(*a);
                }
                for body in form.bodies_mut() {
                    self.body(body);
                }
                if let Form::Map(m) = &**form
                    && m.accs.is_empty()
                    && is_small_map(m)
                {
                    let key = map_key(m);
                    if let Some(known) = self.maps.iter().rev().find_map(|scope| scope.get(&key)) {
                        let known = known.clone();
                        self.share(&stmt.outs, &known);
                        return None;
                    }
                    self.maps.last_mut().expect("a scope").insert(key, stmt.outs.clone());
                }
            }
            Op::Effect(effect) => effect.operands_mut().into_iter().for_each(|a| *a = self.rename.get(*a)),
        }
        Some(stmt)
    }

    fn share(&mut self, outs: &[Var], known: &[Var]) {
        for (new, old) in outs.iter().zip(known) {
            self.rename.insert(*new, (*old).into());
        }
    }

    /// The primitive and operands that define an atom.
    fn def(&self, a: Atom) -> Option<&(Prim, Atoms)> {
        self.defs.get(&a.var()?)
    }

    /// Whether every element of it is the literal zero (of either sign) or one, as `number` says.
    fn is_all(&self, a: Atom, number: f64) -> bool {
        match a {
            Atom::Lit(l) => l.to_f64() == number,
            Atom::Var(_) => match self.def(a) {
                Some((Prim::Broadcast { .. } | Prim::Reshape(_) | Prim::Transpose(_), args)) => {
                    self.is_all(args[0], number)
                }
                _ => false,
            },
        }
    }
}

/// The result of an elementwise primitive of literals, as the interpreter has it.
fn constant(prim: &Prim, args: &[Atom]) -> Option<Lit> {
    let lits: Vec<Lit> =
        args.iter().map(|a| if let Atom::Lit(l) = a { Some(*l) } else { None }).collect::<Option<_>>()?;
    if lits.is_empty() || !prim.is_elementwise() || matches!(prim, Prim::Threefry) {
        return None;
    }
    let mut b = Builder::default();
    let params: Vec<Var> = lits.iter().map(|l| b.fresh(Type::scalar(l.dtype))).collect();
    b.begin();
    let result = b.prim1(prim.clone(), &params.iter().map(|v| (*v).into()).collect::<Vec<Atom>>());
    let body = b.end(vec![result]);
    let args: Vec<ArrayData> = lits.into_iter().map(ArrayData::from).collect();
    Some(interp::run_function(&b.vars, &Function { params, body }, &args).ok()?.results[0].element(0))
}

/// What a primitive's one result is known to be without computing it.
fn rule(s: &Simplifier, prim: &mut Prim, args: &mut Atoms, outs: &[Var]) -> Option<Atom> {
    let ty = s.vars.ty(outs[0]).clone();
    let fits = |a: Atom| s.vars.atom_type(&a) == ty;
    match prim {
        Prim::Binary(Binary::Add) => {
            if s.is_all(args[1], 0.0) && fits(args[0]) {
                return Some(args[0]);
            }
            (s.is_all(args[0], 0.0) && fits(args[1])).then_some(args[1])
        }
        Prim::Binary(Binary::Sub) => (s.is_all(args[1], 0.0) && fits(args[0])).then_some(args[0]),
        Prim::Binary(Binary::Mul) => {
            if s.is_all(args[1], 1.0) && fits(args[0]) {
                return Some(args[0]);
            }
            if s.is_all(args[0], 1.0) && fits(args[1]) {
                return Some(args[1]);
            }
            // Of floats, not: infinities, and the sign of the zero.
            let zero = args.iter().find(|a| !ty.dtype.is_float() && s.is_all(**a, 0.0))?;
            if fits(*zero) {
                return Some(*zero);
            }
            (*prim, *args) = (Prim::Broadcast { shape: ty.shape, axes: SmallVec::new() }, smallvec![*zero]);
            None
        }
        Prim::Binary(Binary::Div) => (s.is_all(args[1], 1.0) && fits(args[0])).then_some(args[0]),
        Prim::Binary(Binary::Rem) if matches!(ty.dtype, DType::U32 | DType::U8) => {
            let Atom::Lit(by) = args[1] else { return None };
            // What is left of what was left.
            if matches!(s.def(args[0]), Some((Prim::Binary(Binary::Rem), inner)) if inner[1] == args[1]) {
                return Some(args[0]);
            }
            if matches!(s.def(args[0]), Some((Prim::Binary(Binary::And), inner)) if inner[1] == mask_of(by).into()) {
                return Some(args[0]);
            }
            if by.bits.is_power_of_two() {
                (*prim, args[1]) = (Prim::Binary(Binary::And), mask_of(by).into());
            }
            None
        }
        Prim::Binary(Binary::And) if ty.dtype == DType::Bool => {
            if s.is_all(args[1], 1.0) && fits(args[0]) {
                return Some(args[0]);
            }
            (s.is_all(args[0], 1.0) && fits(args[1])).then_some(args[1])
        }
        Prim::Select => match args[0] {
            Atom::Lit(c) => Some(args[if c.bits != 0 { 1 } else { 2 }]).filter(|a| fits(*a)),
            Atom::Var(_) => (args[1] == args[2] && fits(args[1])).then_some(args[1]),
        },
        Prim::StopGradient => Some(args[0]),
        Prim::Convert(_) if fits(args[0]) => Some(args[0]),
        // A half that went through `f32` is still the half that it was.
        Prim::Convert(to) if to.is_half() => match s.def(args[0]) {
            Some((Prim::Convert(_), inner)) if fits(inner[0]) => Some(inner[0]),
            _ => None,
        },
        Prim::Convert(_) => None,
        Prim::Broadcast { .. } => fits(args[0]).then_some(args[0]),
        Prim::Reshape(_) => {
            while let Some((Prim::Reshape(_), inner)) = s.def(args[0]) {
                args[0] = inner[0];
            }
            fits(args[0]).then_some(args[0])
        }
        Prim::Transpose(perm) => {
            while let Some((Prim::Transpose(first), inner)) = s.def(args[0]) {
                *perm = perm.iter().map(|&k| first[k]).collect();
                args[0] = inner[0];
            }
            perm.iter().copied().eq(0..perm.len()).then_some(args[0])
        }
        Prim::Slice { .. } | Prim::Pad { .. } | Prim::Concat(_) => fits(args[0]).then_some(args[0]),
        Prim::Reverse(axes) => axes.is_empty().then_some(args[0]),
        Prim::Reduce(Reduce { op, axes }) => {
            (axes.is_empty() && matches!(op, Monoid::Max | Monoid::Min | Monoid::All | Monoid::Any)).then_some(args[0])
        }
        Prim::Unary(_)
        | Prim::Binary(_)
        | Prim::Compare(_)
        | Prim::MulAdd
        | Prim::Bitcast(_)
        | Prim::Custom(_)
        | Prim::Threefry
        | Prim::Iota(_)
        | Prim::Index(_)
        | Prim::IndexSet(_)
        | Prim::IndexAdd(_)
        | Prim::ArgMax(_)
        | Prim::ArgMin(_)
        | Prim::Cumulative { .. }
        | Prim::Dot(_)
        | Prim::Sort { .. } => None,
    }
}

/// Of a power of two, the bits below it.
fn mask_of(power: Lit) -> Lit {
    Lit { bits: power.bits.wrapping_sub(1), ..power }
}

/// The carries of a loop that never runs its body.
fn without_rounds(form: &Form) -> Option<&[Carry]> {
    match form {
        Form::Map(m) if m.n == 0 => Some(&m.accs),
        Form::Scan(s) if s.n == 0 && !s.train => Some(&s.carries),
        Form::Map(_) | Form::Scan(_) | Form::While(_) | Form::Switch(_) => None,
    }
}

/// Only maps of a few statements are compared: those that gather.
fn is_small_map(m: &Map) -> bool {
    m.body.stmts.len() <= 16
        && m.body.stmts.iter().all(|s| match &s.op {
            Op::Prim(..) => true,
            Op::Form(f) => matches!(&**f, Form::Map(m) if m.accs.is_empty() && is_small_map(m)),
            Op::Constant(_) | Op::Effect(_) => false,
        })
}

/// The map as text, with the variables that it binds numbered from the start: equal for equal maps.
fn map_key(m: &Map) -> String {
    fn write(m: &Map, names: &mut HashMap<Var, usize>, out: &mut String) {
        use std::fmt::Write;
        fn bind(names: &mut HashMap<Var, usize>, v: Var) {
            let next = names.len();
            names.insert(v, next);
        }
        let show = |names: &HashMap<Var, usize>, a: &Atom| match a {
            Atom::Var(v) => names.get(v).map_or(format!("%{}", v.0), |k| format!("#{k}")),
            Atom::Lit(l) => format!("{:?}{:x}", l.dtype, l.bits),
        };
        bind(names, m.index);
        let _ = write!(out, "map {} {{", m.n);
        for stmt in &m.body.stmts {
            match &stmt.op {
                Op::Prim(p, args) => {
                    let _ = write!(out, "{p:?}");
                    args.iter().for_each(|a| {
                        let _ = write!(out, ",{}", show(names, a));
                    });
                }
                Op::Form(f) => {
                    if let Form::Map(m) = &**f {
                        write(m, names, out);
                    }
                }
                Op::Constant(_) | Op::Effect(_) => {}
            }
            stmt.outs.iter().for_each(|v| bind(names, *v));
            out.push(';');
        }
        m.body.results.iter().for_each(|a| {
            let _ = write!(out, "->{}", show(names, a));
        });
        out.push('}');
    }
    let (mut names, mut out) = (HashMap::new(), String::new());
    write(m, &mut names, &mut out);
    out
}
