//! Gradients of generated programs, through every pass: distribution regroups their sums, the backend keeps its bits.

mod common;

use common::check;
use whorl_core::builder::Builder;
use whorl_core::generate::{self, Config};
use whorl_core::interp;
use whorl_core::ir::*;
use whorl_core::verify::verify;
use whorl_schedule::schedule;
use whorl_transform::ad::vjp;
use whorl_transform::flatten::flatten;

/// The gradients of the sum of all float results by all float parameters.
fn gradient_program(p: &Program) -> Program {
    let mut b = Builder::new(p.vars.clone());
    let params: Vec<Var> = p.main.params.iter().map(|v| b.fresh(p.vars.ty(*v).clone())).collect();
    let args: Vec<Atom> = params.iter().map(|v| (*v).into()).collect();
    let wrt: Vec<bool> = params.iter().map(|v| b.vars.ty(*v).dtype.is_float()).collect();
    b.begin();
    let ones = |b: &mut Builder, results: &[Atom]| {
        let one = |r: &Atom| {
            let ty = b.ty(*r);
            ty.dtype.is_float().then(|| b.broadcast(Lit::of(ty.dtype, 1.0).into(), &ty.shape))
        };
        results.iter().map(one).collect()
    };
    let back = vjp(&mut b, &p.main, &args, &wrt, ones).expect("differentiable");
    let body = b.end(back.gradients);
    Program { vars: b.vars, main: Function { params, body } }
}

fn close(a: &ArrayData, b: &ArrayData) -> bool {
    let scale = a.to_f64().iter().filter(|x| x.is_finite()).fold(1.0f64, |m, x| m.max(x.abs()));
    // Where a number is not finite, or the whole is huge, regrouped sums may differ in anything.
    let near = |(x, y): (&f64, &f64)| !x.is_finite() || !y.is_finite() || scale > 1e12 || (x - y).abs() <= 1e-8 * scale;
    a.ty == b.ty && a.to_f64().iter().zip(&b.to_f64()).all(near)
}

#[test]
fn gradients_of_generated_programs() {
    let most = std::env::var("WHORL_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(150);
    let mut compared = 0;
    for seed in 0..most {
        let config = Config { float: DType::F64, smooth: true, ..Config::default() };
        let p = generate::program(seed, &config);
        let args = generate::arguments(seed, &p);
        let traced = gradient_program(&p);
        verify(&traced).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let expected = interp::run(&traced, &args).expect("runs");
        let flat = flatten(traced.clone());
        verify(&flat).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let got = interp::run(&flat, &args).expect("runs");
        for (k, (g, e)) in got.results.iter().zip(&expected.results).enumerate() {
            assert!(
                close(e, g),
                "seed {seed}, gradient {k}: {:?} is not {:?}\n{}",
                g.to_f64(),
                e.to_f64(),
                whorl_core::print::print(&p)
            );
            compared += 1;
        }
        let scheduled = schedule(&flat).expect("a flat program has a schedule");
        let outcome = std::panic::catch_unwind(|| check(&scheduled, &args));
        assert!(outcome.is_ok(), "seed {seed}:\n{}", whorl_core::print::print(&flat));
    }
    assert!(compared > most as usize / 2);
}
