//! Forward and reverse derivatives of the programs, against those that JAX recorded for the same arguments and directions.

use whorl_core::ir::{ArrayData, Atom, DType, Function, Program, Type, Var};
use whorl_core::{Builder, interp};
use whorl_transform::ad::{AdError, jvp, vjp};

use crate::support::machines::flatten;

/// A program, and what JAX has for it.
pub struct Recorded {
    pub program: Program,
    pub args: Vec<ArrayData>,
    /// The parameters that have tangents and get cotangents, and the results that have and get them.
    pub wrt: Vec<usize>,
    pub of: Vec<usize>,
    pub tangents: Vec<ArrayData>,
    pub jvps: Vec<ArrayData>,
    pub cotangents: Vec<ArrayData>,
    pub vjps: Vec<ArrayData>,
}

impl Recorded {
    /// On the interpreter and on the CPU.
    pub fn judged(&self) -> Vec<Result<(), String>> {
        let machines: [fn(&Program, &[ArrayData]) -> Result<Vec<ArrayData>, String>; 2] = [interpreted, on_cpu];
        let (forward, backward) = match self.forward().and_then(|f| Ok((f, self.backward()?))) {
            Ok(both) => both,
            Err(e) => return machines.iter().map(|_| Err(e.clone())).collect(),
        };
        let on = |run: &fn(&Program, &[ArrayData]) -> Result<Vec<ArrayData>, String>| {
            let tangents = run(&forward, &[&self.args[..], &self.tangents].concat())?;
            near("tangent", &tangents, &self.jvps)?;
            let gradients = run(&backward, &[&self.args[..], &self.cotangents].concat())?;
            near("cotangent", &gradients, &self.vjps)
        };
        machines.iter().map(on).collect()
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

fn interpreted(p: &Program, args: &[ArrayData]) -> Result<Vec<ArrayData>, String> {
    interp::run(p, args).map(|o| o.results).map_err(|e| e.to_string())
}

fn on_cpu(p: &Program, args: &[ArrayData]) -> Result<Vec<ArrayData>, String> {
    let loops = whorl_schedule::schedule(&flatten(p.clone())?).map_err(|e| e.to_string())?;
    let executable = whorl_cpu::compile(&loops, &whorl_cpu::Options::default()).map_err(|e| e.to_string())?;
    executable.run_to_end(args, 1).map_err(|e| e.to_string())
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

fn near(what: &str, got: &[ArrayData], wanted: &[ArrayData]) -> Result<(), String> {
    if got.len() != wanted.len() {
        return Err(format!("{what}: {} arrays, not {}", got.len(), wanted.len()));
    }
    for (k, (g, w)) in got.iter().zip(wanted).enumerate() {
        if g.ty != w.ty {
            return Err(format!("{what} {k}: {:?}, not {:?}", g.ty, w.ty));
        }
        for (at, (x, y)) in g.to_f64().into_iter().zip(w.to_f64()).enumerate() {
            let same = x == y || x.is_nan() && y.is_nan() || (x - y).abs() <= tolerance(w.ty.dtype) * (1.0 + y.abs());
            if !same {
                return Err(format!("{what} {k} at {at}: {x}, not {y}"));
            }
        }
    }
    Ok(())
}
