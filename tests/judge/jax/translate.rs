//! A program of JAX as a program of Core: one rule a primitive, each written with the public [`Builder`].
//!
//! A key (`key<fry>[n]`) is two arrays of words, `u32[n]` and `u32[n]`: what moves elements moves each, what draws takes both.

use std::collections::HashMap;

use whorl_core::ir::{Atom, Carry, Checkpoint, DType, Form, Function, Lit, Map, Program, Scan, Type, Var};
use whorl_core::{Builder, verify};

use super::text::{Aval, Binder, Eqn, Jaxpr, Operand, Text, Value};
use super::{arrays, control, elementwise, indexing, random, reductions};

/// What becomes of a primitive: its results, from its operands (of keys both words). The types that the equation declares are checked afterwards.
pub type Rule = fn(&mut Translator, &Eqn, &[Atom]) -> Result<Vec<Atom>, Refusal>;

/// All rules, by the primitive's name as JAX prints it.
const RULES: &[&[(&str, Rule)]] =
    &[elementwise::RULES, arrays::RULES, reductions::RULES, indexing::RULES, control::RULES, random::RULES];

/// Why there is no translation.
#[derive(Clone, PartialEq, Debug)]
pub enum Refusal {
    /// Whorl has no such thing on purpose; the reason names the kind.
    Excluded(String),
    /// It should have been translated.
    Failed(String),
}

impl From<String> for Refusal {
    fn from(what: String) -> Refusal {
        Refusal::Failed(what)
    }
}

/// What Whorl leaves out as a whole, by primitive.
const LEFT_OUT: &[(&str, &[&str])] = &[
    (
        "linear algebra",
        &[
            "cholesky",
            "cholesky_update",
            "custom_linear_solve",
            "linear_solve",
            "eig",
            "eigh",
            "geqrf",
            "geqp3",
            "hessenberg",
            "householder_product",
            "lu",
            "lu_pivots_to_permutation",
            "ormqr",
            "qr",
            "schur",
            "svd",
            "symmetric_product",
            "triangular_solve",
            "tridiagonal",
            "tridiagonal_solve",
        ],
    ),
    ("Fourier transforms", &["fft"]),
    (
        "Bessel functions, incomplete gamma and beta functions",
        &[
            "bessel_i0e",
            "bessel_i1e",
            "igamma",
            "igamma_grad_a",
            "igammac",
            "polygamma",
            "random_gamma",
            "random_gamma_grad",
            "regularized_incomplete_beta",
            "zeta",
        ],
    ),
    ("random numbers other than Threefry's", &["rng_bit_generator", "rng_uniform"]),
];

/// The program; its parameters are the constants and the arguments, of keys both words.
pub fn translate(text: &Text) -> Result<Program, Refusal> {
    for jaxpr in text.shared.values().chain([&text.main]) {
        applicable(jaxpr)?;
    }
    let mut t = Translator { b: Builder::default(), text };
    let mut params: Vec<Var> = Vec::new();
    let mut args: Vec<Atom> = Vec::new();
    for binder in text.main.constvars.iter().chain(&text.main.invars) {
        for ty in types(&binder.aval)? {
            let v = t.b.fresh(ty);
            params.push(v);
            args.push(v.into());
        }
    }
    t.b.begin();
    let results = t.inline(&text.main, &args)?;
    let body = t.b.end(results);
    let program = Program { vars: t.b.vars, main: Function { params, body } };
    verify::verify(&program).map_err(|e| format!("ill-formed Core: {e}"))?;
    Ok(program)
}

/// Whether all element types and primitives are such that Whorl has or could have them.
fn applicable(jaxpr: &Jaxpr) -> Result<(), Refusal> {
    let of_value = |v: &Value| match v {
        Value::Jaxpr(inner) => applicable(inner),
        Value::List(all) => all.iter().try_for_each(|v| match v {
            Value::Jaxpr(inner) => applicable(inner),
            _ => Ok(()),
        }),
        _ => Ok(()),
    };
    let avals = |all: &[Binder]| all.iter().try_for_each(|b| dtype(&b.aval).map(drop));
    avals(&jaxpr.constvars)?;
    avals(&jaxpr.invars)?;
    for eqn in &jaxpr.eqns {
        if let Some((why, _)) = LEFT_OUT.iter().find(|(_, prims)| prims.contains(&eqn.prim.as_str())) {
            return Err(Refusal::Excluded(why.to_string()));
        }
        avals(&eqn.outs)?;
        eqn.params.iter().try_for_each(|(_, v)| of_value(v))?;
    }
    for operand in jaxpr.outvars.iter().chain(jaxpr.eqns.iter().flat_map(|e| &e.ins)) {
        if let Operand::Literal { aval, .. } = operand {
            dtype(aval)?;
        }
    }
    Ok(())
}

/// Whether values are keys of random numbers.
pub fn is_key(aval: &Aval) -> bool {
    aval.dtype == "key<fry>"
}

/// The element type; of keys, that of their words.
pub fn dtype(aval: &Aval) -> Result<DType, Refusal> {
    if let Some(d) = DType::ALL.into_iter().find(|d| d.name() == aval.dtype) {
        return Ok(d);
    }
    let reason = match aval.dtype.as_str() {
        "key<fry>" => return Ok(DType::U32),
        "c64" | "c128" => "complex numbers",
        "i64" | "u64" => "integers of 64 bits",
        "i8" | "i16" | "u16" => "integers of 16 bits, and of 8 with a sign",
        "i2" | "i4" | "u2" | "u4" | "i1" | "u1" => "integers of less than 8 bits",
        "float0" => "the type of no tangent",
        d if d.starts_with("f8") || d.starts_with("f4") || d.starts_with("f6") => "floats of less than 16 bits",
        d if d.starts_with("key<") => "random numbers other than Threefry's",
        other => return Err(Refusal::Failed(format!("an element type {other}"))),
    };
    Err(Refusal::Excluded(reason.into()))
}

/// The type of each array that a value is.
pub fn types(aval: &Aval) -> Result<Vec<Type>, Refusal> {
    let one = Type::new(dtype(aval)?, &aval.shape);
    Ok(vec![one; if is_key(aval) { 2 } else { 1 }])
}

/// How many arrays such values are.
pub fn width(binders: &[Binder]) -> usize {
    binders.iter().map(|b| if is_key(&b.aval) { 2 } else { 1 }).sum()
}

/// A program of Core in the making.
pub struct Translator<'t> {
    pub b: Builder,
    text: &'t Text,
}

/// The arrays that a value is.
type Words = Vec<Atom>;

impl Translator<'_> {
    /// The statements of a program on these arrays; gives its results.
    pub fn inline(&mut self, jaxpr: &Jaxpr, args: &[Atom]) -> Result<Vec<Atom>, Refusal> {
        let mut names: HashMap<&str, Words> = HashMap::new();
        let mut given = args.iter().copied();
        for binder in jaxpr.constvars.iter().chain(&jaxpr.invars) {
            let words: Words = given.by_ref().take(types(&binder.aval)?.len()).collect();
            names.insert(&binder.name, words);
        }
        if given.next().is_some() || names.values().any(|w| w.is_empty()) {
            let declared = jaxpr.constvars.len() + jaxpr.invars.len();
            return Err(format!("{} arguments for a program of {declared}", args.len()).into());
        }
        for eqn in &jaxpr.eqns {
            let ins = eqn.ins.iter().map(|o| operand(&names, o)).collect::<Result<Vec<Words>, Refusal>>()?;
            let outs = self.eqn(eqn, &ins)?;
            names.extend(eqn.outs.iter().map(|b| b.name.as_str()).zip(outs));
        }
        let mut results = Vec::new();
        for out in &jaxpr.outvars {
            results.extend(operand(&names, out)?);
        }
        Ok(results)
    }

    /// The program that a parameter is or names.
    pub fn program(&self, value: &Value) -> Result<Jaxpr, Refusal> {
        match value {
            Value::Jaxpr(jaxpr) => Ok(jaxpr.clone()),
            Value::Word(name) | Value::Other(name) => {
                let found = self.text.shared.get(name).cloned();
                found.ok_or_else(|| Refusal::Failed(format!("no program is named {name}")))
            }
            other => Err(format!("{other:?} is not a program").into()),
        }
    }

    /// The declared type of a result.
    pub fn out(&self, eqn: &Eqn, k: usize) -> Result<Type, Refusal> {
        let binder = eqn.outs.get(k).ok_or_else(|| format!("{} has no result {k}", eqn.prim))?;
        Ok(Type::new(dtype(&binder.aval)?, &binder.aval.shape))
    }

    /// `map index < n { f(index) }`
    pub fn map(
        &mut self,
        n: usize,
        f: impl FnOnce(&mut Self, Atom) -> Result<Vec<Atom>, Refusal>,
    ) -> Result<Vec<Atom>, Refusal> {
        let index = self.b.fresh(Type::scalar(DType::I32));
        self.b.begin();
        let results = f(self, index.into())?;
        let body = self.b.end(results);
        Ok(self.b.form(Form::Map(Map { n, index, accs: Vec::new(), body })).to_vec())
    }

    /// `f(index, carries)` gives the next carries, then what is stacked.
    pub fn scan(
        &mut self,
        n: usize,
        reverse: bool,
        init: &[Atom],
        f: impl FnOnce(&mut Self, Atom, &[Atom]) -> Result<Vec<Atom>, Refusal>,
    ) -> Result<Vec<Atom>, Refusal> {
        let index = self.b.fresh(Type::scalar(DType::I32));
        let (carries, vars) = self.carries(init);
        self.b.begin();
        let results = f(self, index.into(), &vars)?;
        let body = self.b.end(results);
        let form = Scan { n, reverse, train: false, checkpoint: Checkpoint::Carries, index, carries, body };
        Ok(self.b.form(Form::Scan(form)).to_vec())
    }

    /// Variables that start from these.
    pub fn carries(&mut self, init: &[Atom]) -> (Vec<Carry>, Vec<Atom>) {
        let carries: Vec<Carry> = init.iter().map(|&init| Carry { var: self.b.fresh(self.b.ty(init)), init }).collect();
        let vars = carries.iter().map(|c| c.var.into()).collect();
        (carries, vars)
    }

    fn eqn(&mut self, eqn: &Eqn, ins: &[Words]) -> Result<Vec<Words>, Refusal> {
        let rule = RULES.iter().copied().flatten().find(|(name, _)| *name == eqn.prim);
        let (_, rule) = rule.ok_or_else(|| format!("no translation of {}", eqn.prim))?;
        let of_keys = ins.iter().any(|w| w.len() == 2);
        let by_word = of_keys && !random::RULES.iter().chain(control::RULES).any(|(name, _)| *name == eqn.prim);
        let mut results: Vec<Words> = Vec::new();
        match by_word {
            false => {
                let flat: Vec<Atom> = ins.iter().flatten().copied().collect();
                let mut flat = rule(self, eqn, &flat)?.into_iter();
                for out in &eqn.outs {
                    results.push(flat.by_ref().take(types(&out.aval)?.len()).collect());
                }
            }
            true => {
                for word in 0..2 {
                    let flat: Vec<Atom> = ins.iter().map(|w| *w.get(word).unwrap_or(&w[0])).collect();
                    let each = rule(self, eqn, &flat)?;
                    results.resize(each.len(), Words::new());
                    results.iter_mut().zip(each).for_each(|(w, a)| w.push(a));
                }
            }
        }
        for (out, words) in eqn.outs.iter().zip(&results) {
            let declared = types(&out.aval)?;
            let made: Vec<Type> = words.iter().map(|a| self.b.ty(*a)).collect();
            if made != declared {
                return Err(format!("{} gives {made:?}, not {declared:?}", eqn.prim).into());
            }
        }
        Ok(results)
    }
}

fn operand(names: &HashMap<&str, Words>, o: &Operand) -> Result<Words, Refusal> {
    match o {
        Operand::Var(name) => {
            names.get(name.as_str()).cloned().ok_or_else(|| Refusal::Failed(format!("`{name}` is not bound")))
        }
        Operand::Literal { value, aval } => Ok(vec![literal(dtype(aval)?, value)?.into()]),
    }
}

/// A scalar constant. Whole numbers are taken modulo 2^32, as `4294967295:i32[]` would be.
pub fn literal(dtype: DType, value: &Value) -> Result<Lit, Refusal> {
    Ok(match (value, dtype) {
        (Value::Int(n), DType::I32 | DType::U32) => Lit { dtype, bits: *n as u32 as u64 },
        _ => Lit::of(dtype, value.float()?),
    })
}
