//! The one helper of the tests of derivatives: [`check`].
#![allow(dead_code)] // Each test binary uses its part.

pub mod layers;

use whorl_core::interp::run;
use whorl_core::print::print;
use whorl_core::verify::verify;
use whorl_core::{ArrayData, Atom, Builder, DType, Function, Program, Type, Var};
use whorl_transform::ad::{jvp, vjp};

/// A program of parameters of these types.
pub fn program(types: &[Type], f: impl FnOnce(&mut Builder, &[Atom]) -> Vec<Atom>) -> Program {
    let mut b = Builder::default();
    let params: Vec<Var> = types.iter().map(|t| b.fresh(t.clone())).collect();
    let atoms: Vec<Atom> = params.iter().map(|v| Atom::Var(*v)).collect();
    b.begin();
    let results = f(&mut b, &atoms);
    let body = b.end(results);
    let program = Program { vars: b.vars, main: Function { params, body } };
    verified(&program);
    program
}

pub fn f64s(shape: &[usize]) -> Type {
    Type::new(DType::F64, shape)
}

fn verified(p: &Program) {
    if let Err(e) = verify(p) {
        panic!("{e}\n{}", print(p));
    }
}

pub fn floats(p: &Program, atoms: &[Atom]) -> Vec<usize> {
    (0..atoms.len()).filter(|&k| p.vars.atom_type(&atoms[k]).dtype.is_float()).collect()
}

fn params(p: &Program) -> Vec<Atom> {
    p.main.params.iter().map(|v| Atom::Var(*v)).collect()
}

/// A program with the parameters of `p` and more, whose body `f` writes.
fn around(p: &Program, more: Vec<Type>, f: impl FnOnce(&mut Builder, &[Atom], &[Atom]) -> Vec<Atom>) -> Program {
    let mut b = Builder::new(p.vars.clone());
    let own: Vec<Type> = p.main.params.iter().map(|v| p.vars.ty(*v).clone()).collect();
    let params: Vec<Var> = own.iter().chain(&more).map(|t| b.fresh(t.clone())).collect();
    let atoms: Vec<Atom> = params.iter().map(|v| Atom::Var(*v)).collect();
    b.begin();
    let results = f(&mut b, &atoms[..own.len()], &atoms[own.len()..]);
    let body = b.end(results);
    let program = Program { vars: b.vars, main: Function { params, body } };
    verified(&program);
    program
}

/// `(args, tangent of each float argument) -> tangent of each float result`
pub fn jvp_program(p: &Program) -> Program {
    let inputs = floats(p, &params(p));
    let more = inputs.iter().map(|&k| p.vars.ty(p.main.params[k]).clone()).collect();
    let results = floats(p, &p.main.body.results);
    around(p, more, |b, args, tangents| {
        let mut t = vec![None; args.len()];
        inputs.iter().zip(tangents).for_each(|(&k, a)| t[k] = Some(*a));
        let (primal, out) = jvp(b, &p.main, args, &t).expect("a derivative");
        let zeros = |b: &mut Builder, k: usize| b.zeros(&b.ty(primal[k]));
        results.iter().map(|&k| out[k].unwrap_or_else(|| zeros(b, k))).collect()
    })
}

/// `(args, cotangent of each float result) -> gradient by each float argument`
pub fn vjp_program(p: &Program) -> Program {
    let results = floats(p, &p.main.body.results);
    let more = results.iter().map(|&k| p.vars.atom_type(&p.main.body.results[k])).collect();
    let inputs = floats(p, &params(p));
    around(p, more, |b, args, cts| {
        let wrt: Vec<bool> = (0..args.len()).map(|k| inputs.contains(&k)).collect();
        let all = vjp(b, &p.main, args, &wrt, |_, primal| {
            let mut ct = vec![None; primal.len()];
            results.iter().zip(cts).for_each(|(&k, c)| ct[k] = Some(*c));
            ct
        });
        all.unwrap_or_else(|e| panic!("{}", e.message)).gradients
    })
}

/// Numbers between -1 and 1, the same every time.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn array(&mut self, ty: &Type) -> ArrayData {
        let values: Vec<f64> = (0..ty.size()).map(|_| self.next()).collect();
        ArrayData::new(&ty.shape, &values)
    }
}

fn moved(x: &ArrayData, t: &ArrayData, h: f64) -> ArrayData {
    let values: Vec<f64> = x.to_f64().iter().zip(t.to_f64()).map(|(x, t)| x + h * t).collect();
    ArrayData::new(&x.ty.shape, &values)
}

fn dot(a: &[ArrayData], b: &[ArrayData]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.to_f64().iter().zip(b.to_f64()).map(|(a, b)| a * b).sum::<f64>()).sum()
}

pub fn results(p: &Program, args: &[ArrayData]) -> Vec<ArrayData> {
    run(p, args).expect("no assertion fails").results
}

fn float_results(p: &Program, args: &[ArrayData]) -> Vec<ArrayData> {
    results(p, args).into_iter().filter(|r| r.ty.dtype.is_float()).collect()
}

/// At `args` (floats are `f64`): `jvp` agrees with central differences, and `vjp` with `jvp`; then the same of both
/// derivative programs, to `order`.
pub fn check(p: &Program, args: &[ArrayData], order: usize) {
    let mut numbers = Numbers(order as u64 + 17);
    let inputs = floats(p, &params(p));
    let t: Vec<ArrayData> = inputs.iter().map(|&k| numbers.array(&args[k].ty)).collect();
    let at = |h: f64| {
        let mut args = args.to_vec();
        inputs.iter().zip(&t).for_each(|(&k, t)| args[k] = moved(&args[k], t, h));
        float_results(p, &args)
    };
    let h = 1e-5;
    let forward = jvp_program(p);
    let jt = results(&forward, &[args, &t].concat());
    // With the step and with half of it: what they differ by says how well a difference can do here.
    let differences = |h: f64| -> Vec<f64> {
        let (above, below) = (at(h), at(-h));
        let flat = |all: &[ArrayData]| all.iter().flat_map(ArrayData::to_f64).collect::<Vec<f64>>();
        flat(&above).iter().zip(flat(&below)).map(|(a, b)| (a - b) / (2.0 * h)).collect()
    };
    let tangents: Vec<f64> = jt.iter().flat_map(ArrayData::to_f64).collect();
    let sizes: Vec<f64> = float_results(p, args).iter().flat_map(ArrayData::to_f64).collect();
    let (whole, half) = (differences(h), differences(h / 2.0));
    for (k, &d) in tangents.iter().enumerate() {
        let (fd, unsure) = ((4.0 * half[k] - whole[k]) / 3.0, (whole[k] - half[k]).abs());
        let close = (fd - d).abs() <= 3e-6 * (1.0 + d.abs() + sizes[k].abs()) + unsure;
        assert!(close, "order {order}: differences {fd}, jvp {d}, of\n{}", print(p));
    }
    let c: Vec<ArrayData> = jt.iter().map(|r| numbers.array(&r.ty)).collect();
    let backward = vjp_program(p);
    let grads = results(&backward, &[args, &c].concat());
    let (forth, back) = (dot(&c, &jt), dot(&grads, &t));
    let scale = 1.0 + forth.abs() + dot(&grads, &grads).sqrt() * dot(&t, &t).sqrt();
    assert!(
        (forth - back).abs() <= 1e-9 * scale,
        "order {order}: <c, J t> = {forth}, <Jt c, t> = {back}, of\n{}",
        print(p)
    );
    if order > 1 {
        check(&backward, &[args, &c].concat(), order - 1);
        check(&forward, &[args, &t].concat(), order - 1);
    }
}
