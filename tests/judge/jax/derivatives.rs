//! Forward and reverse derivatives of the programs, against those that JAX recorded for the same arguments and directions.

use std::collections::HashMap;

use serde_json::Value as Json;
use whorl_core::Builder;
use whorl_core::ir::{ArrayData, Atom, Body, DType, Form, Function, Op, Program, Type, Var};
use whorl_core::prim::{Monoid, Prim, Reduce};
use whorl_transform::ad::{AdError, jvp, vjp};

use super::case::{Case, cases};
use super::translate::Refusal;
use super::{MACHINES, compare, lanes, outcome, run, undefined};
use crate::report::{self, Bar, Outcome};
use crate::support::recorded::Recorded;

#[test]
fn jax_ad() {
    each("jax_ad", Derivatives::judged);
}

/// A `Map` around the derivatives, as in `for row in batch { grad(f)(row) }`, against its lanes one by one.
#[test]
fn jax_ad_lanes() {
    each("jax_ad_lanes", Derivatives::in_lanes);
}

fn each(report: &str, judge: impl Fn(&Derivatives) -> Vec<Result<(), String>> + Sync) {
    let Some(programs) = Recorded::open("jax_harness") else { return };
    let derivatives = Recorded::open("jax_ad").expect("recorded beside the programs");
    let texts: HashMap<u64, Case> = cases(&programs).into_iter().map(|c| (c.i, c)).collect();
    let about = derivatives.about.as_array().expect("a list of cases");
    let names: Vec<String> = about.iter().map(|c| c["name"].as_str().expect("a name").to_string()).collect();
    let bar = Bar { applicable: 0.95, passed: 1.0 };
    report::judge_as(report, "jax_ad", MACHINES, bar, &names, |k| {
        let case = &texts[&about[k]["i"].as_u64().expect("a number")];
        outcome(Derivatives::of(case, &about[k], &programs, &derivatives).map(|d| Outcome::Judged(judge(&d))))
    });
}

/// A program whose derivatives are not those of its value in JAX, or of another value than here, is excluded, with the reason.
fn comparable(case: &Case, program: &Program, args: &[ArrayData], programs: &Recorded) -> Result<(), Refusal> {
    if let Some(why) = undefined::kind(&case.text, args)? {
        return Err(Refusal::Excluded(why.into()));
    }
    let in_order = || compare::same(&run(MACHINES[0], program, args)?, &case.results(programs)?);
    match case.unordered().is_some() && in_order().is_err() {
        true => Err(Refusal::Excluded("a sort that leaves equal keys in an order of its own".into())),
        false => Ok(()),
    }
}

/// A program, and what JAX has for its derivatives.
struct Derivatives {
    program: Program,
    args: Vec<ArrayData>,
    /// The parameters that have tangents and get gradients, and the results that have tangents and cotangents.
    wrt: Vec<usize>,
    of: Vec<usize>,
    tangents: Vec<ArrayData>,
    jvps: Vec<ArrayData>,
    cotangents: Vec<ArrayData>,
    vjps: Vec<ArrayData>,
}

impl Derivatives {
    fn of(case: &Case, about: &Json, programs: &Recorded, recorded: &Recorded) -> Result<Derivatives, Refusal> {
        let (program, args) = (case.program()?, case.arguments(programs)?);
        comparable(case, &program, &args, programs)?;
        let constants = args.len() - case.text.main.invars.len();
        let wrt = about["wrt"].as_array().expect("a list").iter();
        let wrt: Vec<usize> = wrt.map(|k| k.as_u64().expect("a number") as usize + constants).collect();
        let is_float = |k: &usize| program.vars.atom_type(&program.main.body.results[*k]).dtype.is_float();
        let of: Vec<usize> = (0..program.main.body.results.len()).filter(is_float).collect();
        let all = |name: &str, n: usize| {
            let one = |k: usize| recorded.find(&format!("{}/{name}{k}", case.i)).cloned();
            (0..n).map(one).collect::<Option<_>>().ok_or_else(|| format!("no `{name}` is recorded"))
        };
        Ok(Derivatives {
            tangents: all("t", wrt.len())?,
            jvps: all("jvp", of.len())?,
            cotangents: all("ct", of.len())?,
            vjps: all("vjp", wrt.len())?,
            program,
            args,
            wrt,
            of,
        })
    }

    fn judged(&self) -> Vec<Result<(), String>> {
        let (forward, backward) = (self.forward(), self.backward());
        let on = |machine: &&str| {
            let (forward, backward) =
                (forward.as_ref().map_err(String::clone)?, backward.as_ref().map_err(String::clone)?);
            let tangents = run(machine, forward, &self.with(&self.tangents))?;
            near("tangent", forward, &tangents, &self.jvps)?;
            let gradients = run(machine, backward, &self.with(&self.cotangents))?;
            near("gradient", backward, &gradients, &self.vjps)
        };
        MACHINES.iter().map(on).collect()
    }

    fn in_lanes(&self) -> Vec<Result<(), String>> {
        let judged = |program: Result<Program, String>, directions: &[ArrayData]| match program {
            Ok(p) => lanes::judged(&p, &self.with(directions)),
            Err(e) => MACHINES.iter().map(|_| Err(e.clone())).collect(),
        };
        let (forward, backward) = (judged(self.forward(), &self.tangents), judged(self.backward(), &self.cotangents));
        forward.into_iter().zip(backward).map(|(f, b)| f.and(b)).collect()
    }

    fn with(&self, directions: &[ArrayData]) -> Vec<ArrayData> {
        [&self.args[..], directions].concat()
    }

    /// From arguments and tangents to the tangents of the results.
    fn forward(&self) -> Result<Program, String> {
        self.around(&self.tangents, |b, at, given| {
            let mut t = vec![None; at.len()];
            self.wrt.iter().zip(given).for_each(|(&k, a)| t[k] = Some(*a));
            let (primal, out) = jvp(b, &self.program.main, at, &t)?;
            Ok(self.of.iter().map(|&k| out[k].unwrap_or_else(|| b.zeros(&b.ty(primal[k])))).collect())
        })
    }

    /// From arguments and cotangents to the gradients.
    fn backward(&self) -> Result<Program, String> {
        self.around(&self.cotangents, |b, at, given| {
            let marks: Vec<bool> = (0..at.len()).map(|k| self.wrt.contains(&k)).collect();
            let seed = |_: &mut Builder, all: &[Atom]| {
                let mut ct = vec![None; all.len()];
                self.of.iter().zip(given).for_each(|(&k, a)| ct[k] = Some(*a));
                ct
            };
            Ok(vjp(b, &self.program.main, at, &marks, seed)?.gradients)
        })
    }

    /// A program of the arguments and of directions.
    fn around(
        &self,
        directions: &[ArrayData],
        f: impl FnOnce(&mut Builder, &[Atom], &[Atom]) -> Result<Vec<Atom>, AdError>,
    ) -> Result<Program, String> {
        let mut b = Builder::new(self.program.vars.clone());
        let own = self.program.main.params.iter().map(|v| self.program.vars.ty(*v).clone());
        let types: Vec<Type> = own.chain(directions.iter().map(|d| d.ty.clone())).collect();
        let params: Vec<Var> = types.into_iter().map(|t| b.fresh(t)).collect();
        let atoms: Vec<Atom> = params.iter().map(|v| Atom::Var(*v)).collect();
        b.begin();
        let (at, directions) = atoms.split_at(self.args.len());
        let results = f(&mut b, at, directions).map_err(|e| e.message)?;
        let body = b.end(results);
        Ok(Program { vars: b.vars, main: Function { params, body } })
    }
}

/// How far derivatives of this type may be apart, relative to them, or to 1 where they are small: some 150 units in the last place.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-12,
        DType::F16 => 1e-2,
        DType::BF16 => 5e-2,
        DType::F32 | DType::I32 | DType::U32 | DType::U8 | DType::Bool => 2e-5,
    }
}

/// Whether the program adds many numbers: then a small sum of large ones is as far off as they are.
fn sums(body: &Body) -> bool {
    let adds = |op: &Op| match op {
        Op::Prim(prim, _) => match prim {
            Prim::Dot(_) => true,
            Prim::Reduce(Reduce { op, .. }) | Prim::Cumulative { op, .. } => *op == Monoid::Sum,
            _ => false,
        },
        Op::Form(form) => {
            let into = matches!(&**form, Form::Map(m) if !m.accs.is_empty());
            into || form.bodies().into_iter().any(sums)
        }
        Op::Constant(_) | Op::Effect(_) => false,
    };
    body.stmts.iter().any(|s| adds(&s.op))
}

fn near(what: &str, of: &Program, got: &[ArrayData], wanted: &[ArrayData]) -> Result<(), String> {
    if got.len() != wanted.len() {
        return Err(format!("{what}: {} arrays, not {}", got.len(), wanted.len()));
    }
    for (k, (g, w)) in got.iter().zip(wanted).enumerate() {
        if g.ty != w.ty {
            return Err(format!("{what} {k}: {:?}, not {:?}", g.ty, w.ty));
        }
        let finite = w.to_f64().into_iter().filter(|y| y.is_finite());
        let scale = if sums(&of.main.body) { finite.fold(1.0f64, |m, y| m.max(y.abs())) } else { 1.0 };
        for (at, (x, y)) in g.to_f64().into_iter().zip(w.to_f64()).enumerate() {
            let allowed = tolerance(w.ty.dtype) * (scale + y.abs());
            if !(x == y || x.is_nan() && y.is_nan() || y.is_finite() && (x - y).abs() <= allowed) {
                return Err(format!("{what} {k} at {at}: {x}, not {y}"));
            }
        }
    }
    Ok(())
}
