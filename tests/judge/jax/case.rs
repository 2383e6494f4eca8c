//! A recorded program with its arrays, and what it is to give.

use serde_json::Value as Json;
use whorl_core::ir::{ArrayData, Lit, Program, Type};

use super::text::{self, Binder, Operand, Text, Value};
use super::translate::{self, Refusal, is_key, types};
use crate::support::recorded::Recorded;

/// A program of JAX.
pub struct Case {
    /// Its arrays are `{i}/a0`, `{i}/o0`, ….
    pub i: u64,
    pub name: String,
    pub text: Text,
}

/// The programs of a file, in order.
pub fn cases(recorded: &Recorded) -> Vec<Case> {
    let list = recorded.about.as_array().expect("a list of cases");
    let case = |about: &Json| {
        let name = about["name"].as_str().expect("a name").to_string();
        let text = text::read(about["jaxpr"].as_str().expect("a text")).unwrap_or_else(|e| panic!("{name}: {e}"));
        Case { i: about["i"].as_u64().expect("a number"), name, text }
    };
    list.iter().map(case).collect()
}

impl Case {
    pub fn program(&self) -> Result<Program, Refusal> {
        translate::translate(&self.text)
    }

    /// What the program's parameters are: its constants, then the arguments.
    pub fn arguments(&self, recorded: &Recorded) -> Result<Vec<ArrayData>, Refusal> {
        let mut all = Vec::new();
        for (k, binder) in self.text.main.constvars.iter().enumerate() {
            match recorded.find(&format!("{}/c{k}", self.i)) {
                Some(a) => all.extend(as_declared(a, binder)?),
                None => all.push(self.constant_by_name(binder)?),
            }
        }
        for (k, binder) in self.text.main.invars.iter().enumerate() {
            let found = recorded.find(&format!("{}/a{k}", self.i));
            all.extend(as_declared(found.ok_or_else(|| format!("there is no argument {k}"))?, binder)?);
        }
        Ok(all)
    }

    /// What it gives, of keys the words.
    pub fn results(&self, recorded: &Recorded) -> Result<Vec<ArrayData>, String> {
        let found = |k: usize| recorded.find(&format!("{}/o{k}", self.i)).ok_or_else(|| format!("no result {k}"));
        (0..self.text.main.outvars.len()).map(|k| found(k).cloned()).collect()
    }

    /// The axis along which the results are rows of one sort that does not say in which order it leaves equal keys.
    pub fn unordered(&self) -> Option<usize> {
        let main = &self.text.main;
        let sort = main.eqns.iter().find(|e| e.prim == "sort" && *e.param("is_stable") == Value::Bool(false))?;
        let outs = sort.outs.iter().map(|b| Operand::Var(b.name.clone()));
        let all = outs.eq(main.outvars.iter().cloned()) && sort.param("num_keys").size() != Ok(sort.ins.len());
        if all { sort.param("dimension").size().ok() } else { None }
    }

    /// The constants of programs were not recorded, but JAX's names of harnesses tell their parameters: `…_scatterindices_0_2_updateshape_…` has
    /// the indices 0 and 2, `special_0` is an array of zeros.
    fn constant_by_name(&self, binder: &Binder) -> Result<ArrayData, Refusal> {
        let unknown = || Refusal::Excluded("a constant of the program that was not recorded".into());
        let [ty] = &types(&binder.aval)?[..] else { return Err(unknown()) };
        if self.text.main.constvars.len() != 1 {
            return Err(unknown());
        }
        if self.name.contains("_special_0_") {
            return Ok(ArrayData::zeros(ty));
        }
        let (_, numbers) = self.name.split_once("_scatterindices_").ok_or_else(unknown)?;
        let (numbers, _) = numbers.split_once("_updateshape_").ok_or_else(unknown)?;
        let numbers: Option<Vec<f64>> = numbers.split('_').map(|n| n.parse().ok()).collect();
        let numbers = numbers.filter(|all| all.len() == ty.size()).ok_or_else(unknown)?;
        let lits: Vec<Lit> = numbers.iter().map(|n| Lit::of(ty.dtype, *n)).collect();
        Ok(ArrayData::from_lits(ty.dtype, &ty.shape, &lits))
    }
}

/// Of the type that the program says: JAX takes `int64` for `i32` and `float64` for `f32`. Keys are recorded as `u32[…, 2]`.
fn as_declared(a: &ArrayData, binder: &Binder) -> Result<Vec<ArrayData>, Refusal> {
    let all = types(&binder.aval)?;
    let parts = if is_key(&binder.aval) { words(a) } else { vec![a.clone()] };
    if parts.iter().zip(&all).any(|(a, ty)| a.ty.shape != ty.shape) {
        return Err(format!("{}: an array of {:?}, not {:?}", binder.name, a.ty.shape, binder.aval.shape).into());
    }
    Ok(parts.into_iter().zip(all).map(|(a, ty)| if a.ty == ty { a } else { converted(&a, &ty) }).collect())
}

fn converted(a: &ArrayData, ty: &Type) -> ArrayData {
    let lits: Vec<Lit> = a.to_f64().into_iter().map(|x| Lit::of(ty.dtype, x)).collect();
    ArrayData::from_lits(ty.dtype, &ty.shape, &lits)
}

/// The first and the second words of keys.
fn words(a: &ArrayData) -> Vec<ArrayData> {
    let shape = &a.ty.shape[..a.ty.rank() - 1];
    let word = |k: usize| {
        let own: Vec<Lit> = (0..a.ty.size() / 2).map(|at| a.element(2 * at + k)).collect();
        ArrayData::from_lits(a.ty.dtype, shape, &own)
    };
    vec![word(0), word(1)]
}
