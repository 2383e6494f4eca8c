//! Automatic differentiation of Core: linearise, then transpose, with accumulators.
//!
//! ```text
//! y = tanh(x)          walk       y  = tanh(x)          split, pull     y  = tanh(x)
//! z = mul(y, w)       ──────▶     c  = 1 - y * y       ────────────▶    c  = 1 - y * y
//!                                 y' = mul(x', c)                       z = mul(y, w)
//!                                 z = mul(y, w)                         ȳ = mul(z̄, w)
//!                                 z' = mul(y', w)                       x̄ = mul(ȳ, c)
//! ```
//!
//! `linearise` walks the statements and writes, behind each, the tangent of what it binds as a *linear* expression of the
//! tangents of its operands (`rules`). [`jvp`] stops there. [`vjp`] then splits what was written into the statements that do
//! not depend on a tangent, which are emitted, and those that do, which `transpose` turns round one after the other,
//! last first (`adjoint`).
//!
//! Nothing is packed for the way back. Straight-line primal values are in scope; the bodies of forms run their primal
//! statements again, from the carries that a `Scan` saved (recomputation after Griewank & Walther, 2008, chapter 12).
//! Cotangents of what a loop body uses from outside are added into accumulators (Paszke et al., "Getting to the point", 2021), so
//! that reading `x[i]` costs one element on the way back, not one array. All that comes out is ordinary Core:
//! derivatives of derivatives are the same pass again.
//!
//! Conventions where there is no derivative are JAX's: `abs'(0) = 0`; `max` and `min` of two equal operands give half to each;
//! a reduction to the maximum gives equal shares to all maxima. Rounding, integers, bools and `stop_gradient` have none.

mod activity;
mod adjoint;
mod checkpoint;
pub mod custom;
mod emit;
mod fused;
pub mod kept;
mod linearise;
mod rules;
mod transpose;

use std::collections::HashSet;

use whorl_core::prim::Prim;
use whorl_core::rewrite::{Substitution, free_vars_of};
use whorl_core::{Atom, Body, Builder, Function, Spans, Var};

pub use linearise::without_effects;
use linearise::{Mode, Tangents};

/// What [`vjp`] emitted.
#[derive(Clone, PartialEq, Debug)]
pub struct Vjp {
    /// The results of the function.
    pub results: Vec<Atom>,
    /// One for each argument with `wrt`, of its type; zeros where the results do not depend on it.
    pub gradients: Vec<Atom>,
}

/// Why there is no derivative, for the user. Codes are `E05xx`.
#[derive(Clone, PartialEq, Debug)]
pub struct AdError {
    pub code: &'static str,
    pub message: String,
    /// The statement of the user's program.
    pub spans: Spans,
    pub help: Option<String>,
}

/// Emits `f` at `args` into the innermost open body of `b`, then the pullback of the cotangents that `cotangents(b, results)`
/// gives, one for each result (`None` is zero). Variables that `f` uses from outside are constants, even where
/// they are among `args`. Effects happen once.
///
/// ```
/// use whorl_core::{Builder, DType, Function, Lit, Type};
/// use whorl_transform::ad::vjp;
/// let mut b = Builder::default();
/// let x = b.fresh(Type::scalar(DType::F64));
/// b.begin();
/// let square = b.mul(x.into(), x.into());
/// let f = Function { params: vec![x], body: b.end(vec![square]) };
/// let at = b.fresh(Type::scalar(DType::F64));
/// b.begin();
/// let d = vjp(&mut b, &f, &[at.into()], &[true], |_, _| vec![Some(Lit::f64(1.0).into())]).unwrap();
/// let body = b.end([d.results, d.gradients].concat()); // at², 2 at
/// assert_eq!(body.results.len(), 2);
/// ```
pub fn vjp(
    b: &mut Builder,
    f: &Function,
    args: &[Atom],
    wrt: &[bool],
    cotangents: impl FnOnce(&mut Builder, &[Atom]) -> Vec<Option<Atom>>,
) -> Result<Vjp, AdError> {
    assert!(
        f.params.len() == args.len() && args.len() == wrt.len(),
        "vjp: one argument and one mark for each parameter"
    );
    let active: Vec<bool> = args.iter().zip(wrt).map(|(a, w)| *w && b.ty(*a).dtype.is_float()).collect();
    let (inputs, body) = enter(b, f, args, &active);
    let mut tangents = Tangents::new();
    let mut linear = HashSet::new();
    for &v in inputs.iter().flatten() {
        let t = b.fresh(b.vars.ty(v).clone());
        tangents.insert(v, t.into());
        linear.insert(t);
    }
    b.begin();
    let walked = balanced(b, |b| linearise::walk(b, body.stmts, &mut tangents, Mode::Linear));
    let written = b.end(Vec::new());
    walked?;
    let stmts = transpose::split(b, written.stmts, &mut linear);
    let mut cts = transpose::Cotangents::new(linear);
    for (result, ct) in body.results.iter().zip(cotangents(b, &body.results)) {
        if let (Some(t), Some(ct)) = (linearise::tangent(&tangents, *result), ct) {
            cts.add(b, t, ct);
        }
    }
    transpose::pull(b, stmts, &mut cts);
    let mut gradients = Vec::new();
    for k in (0..args.len()).filter(|&k| wrt[k]) {
        let t = inputs[k].and_then(|v| tangents[&v].var());
        let ty = b.ty(args[k]);
        gradients.push(match t.and_then(|t| cts.get(t)) {
            Some(ct) if ty.dtype.is_half() => b.prim1(Prim::Convert(ty.dtype), &[ct]),
            Some(ct) => ct,
            None => b.zeros(&ty),
        });
    }
    Ok(Vjp { results: body.results, gradients })
}

/// Emits `f` at `args` and its derivative in the direction `tangents` (`None` is zero), statement by statement side by side.
/// Gives the results and their tangents. Tangents of what is no float are ignored.
pub fn jvp(
    b: &mut Builder,
    f: &Function,
    args: &[Atom],
    tangents: &[Option<Atom>],
) -> Result<(Vec<Atom>, Vec<Option<Atom>>), AdError> {
    assert!(f.params.len() == args.len() && args.len() == tangents.len(), "jvp: one argument and tangent a parameter");
    let active: Vec<bool> = args.iter().zip(tangents).map(|(a, t)| t.is_some() && b.ty(*a).dtype.is_float()).collect();
    let (inputs, body) = enter(b, f, args, &active);
    let mut known = Tangents::new();
    for (input, tangent) in inputs.iter().zip(tangents) {
        if let (Some(v), Some(t)) = (input, tangent) {
            known.insert(*v, *t);
        }
    }
    balanced(b, |b| linearise::walk(b, body.stmts, &mut known, Mode::Fused))?;
    let tangents = body.results.iter().map(|r| linearise::tangent(&known, *r)).collect();
    Ok((body.results, tangents))
}

/// A fresh copy of the body of `f` at `args`, and for each active argument the variable that stands for it and nothing else:
/// the argument itself, or a copy where it is a literal, comes twice, or is also used by `f` as a constant.
fn enter(b: &mut Builder, f: &Function, args: &[Atom], active: &[bool]) -> (Vec<Option<Var>>, Body) {
    let free: HashSet<Var> = free_vars_of(&f.body).into_iter().filter(|v| !f.params.contains(v)).collect();
    let mut substitution = Substitution::default();
    let mut inputs = Vec::new();
    for k in 0..args.len() {
        let own = |v: &Var| !free.contains(v) && args.iter().filter(|a| **a == Atom::Var(*v)).count() == 1;
        let var = match args[k].var().filter(own) {
            Some(v) => Some(v),
            None if active[k] => {
                let same = Prim::Reshape(b.ty(args[k]).shape);
                b.prim1(same, &[args[k]]).var()
            }
            None => None,
        };
        substitution.insert(f.params[k], var.map_or(args[k], Atom::Var));
        inputs.push(var.filter(|_| active[k]));
    }
    (inputs, substitution.body(&mut b.vars, &f.body))
}

/// Runs `f`; where it fails, closes the bodies that it left open.
fn balanced(b: &mut Builder, f: impl FnOnce(&mut Builder) -> Result<(), AdError>) -> Result<(), AdError> {
    let depth = b.depth();
    let result = f(b);
    while b.depth() > depth {
        b.end(Vec::new());
    }
    result
}
