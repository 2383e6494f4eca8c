//! Generated programs: the verifier holds after every pass, and the interpreter, the evaluator and the CPU agree.

mod support;

use support::machines::{agree, exposed, flatten, same_bits};
use whorl_core::generate::{Config, arguments, program};
use whorl_core::ir::{ArrayData, Atom, DType, Form, Function, Map, Program, Type};
use whorl_core::{Builder, Prim, interp, print};

fn chosen(seeds: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|s| s.parse::<u64>().ok());
    let times = number("WHORL_SEEDS").unwrap_or(1);
    number("WHORL_SEED").map_or(seeds.start..seeds.start + times * (seeds.end - seeds.start), |s| s..s + 1)
}

/// Runs programs of many seeds; the first that fails is shown whole. `WHORL_SEED` runs one alone, `WHORL_SEEDS` many times
/// as many as usual.
#[track_caller]
fn hold(config: &Config, seeds: std::ops::Range<u64>) {
    for seed in chosen(seeds) {
        let traced = program(seed, config);
        let args = arguments(seed, &traced);
        let checked = agree(&traced, &args).and_then(|_| {
            let all = exposed(&flatten(traced.clone())?);
            same_bits(&all, &args).map_err(|e| format!("with all values kept: {e}"))
        });
        if let Err(e) = checked {
            panic!("seed {seed} of {config:?}: {e}\n{}", print::print(&traced));
        }
    }
}

#[test]
fn small_programs() {
    hold(&Config { statements: 4, depth: 1, unbounded: true, ..Config::default() }, 0..150);
}

#[test]
fn nested_programs() {
    hold(&Config { unbounded: true, ..Config::default() }, 0..60);
    hold(&Config { statements: 4, depth: 3, unbounded: true, ..Config::default() }, 1000..1030);
}

#[test]
fn wide_programs() {
    hold(&Config { statements: 5, depth: 2, largest: 19, ..Config::default() }, 2000..2030);
}

#[test]
fn doubles() {
    hold(&Config { float: DType::F64, unbounded: true, ..Config::default() }, 3000..3030);
}

/// `for i in 0..n { p(arguments[i]) }`
fn in_lanes(p: &Program, n: usize) -> Program {
    let mut b = Builder::new(p.vars.clone());
    let types: Vec<Type> = p.main.params.iter().map(|v| p.vars.ty(*v).stacked(n)).collect();
    let params: Vec<_> = types.into_iter().map(|t| b.fresh(t)).collect();
    b.begin();
    let index = b.fresh(Type::scalar(DType::I32));
    b.begin();
    let args: Vec<Atom> = params.iter().map(|v| b.prim1(Prim::Index(None), &[(*v).into(), index.into()])).collect();
    let results = b.inline(&p.main.body, &p.main.params, &args);
    let body = b.end(results);
    let outs = b.form(Form::Map(Map { n, index, accs: Vec::new(), body })).to_vec();
    let body = b.end(outs);
    Program { vars: b.vars, main: Function { params, body } }
}

/// Sums of products become products of matrices, which add in another order, only where lanes make an axis that one alone has not.
fn regroups(p: &Program) -> bool {
    let dots = |p: &Program| print::print(p).matches(" dot[").count();
    flatten(p.clone()).is_ok_and(|flat| dots(&flat) != dots(p))
}

fn bits(data: &ArrayData) -> Vec<u64> {
    // Which NaN it is does not matter, nor the sign of a zero, which a pass may drop.
    data.to_f64().into_iter().map(|x| if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() }).collect()
}

/// A lane is the body alone: as traced, to the bit, and flat, where all machines agree.
fn lanes_are_alone(config: &Config, seeds: std::ops::Range<u64>) {
    let n = 3;
    let (mut compared, mut regrouped) = (0, 0);
    for seed in chosen(seeds) {
        let p = program(seed, config);
        let given: Vec<Vec<ArrayData>> = (0..n as u64).map(|lane| arguments(seed * 7 + lane, &p)).collect();
        let stacked: Vec<ArrayData> = (0..p.main.params.len())
            .map(|k| ArrayData {
                ty: given[0][k].ty.stacked(n),
                bytes: given.iter().flat_map(|lane| lane[k].bytes.iter().copied()).collect(),
            })
            .collect();
        let all = in_lanes(&p, n);
        let row = |data: &ArrayData, lane: usize| {
            let size = data.bytes.len() / n;
            let ty = Type::new(data.ty.dtype, &data.ty.shape[1..]);
            ArrayData { ty, bytes: data.bytes[lane * size..(lane + 1) * size].to_vec() }
        };
        let compare = |what: &str, together: &[ArrayData], alone: &[ArrayData], lane: usize| {
            for (k, (t, a)) in together.iter().zip(alone).enumerate() {
                let (t, a) = (bits(&row(t, lane)), bits(a));
                assert!(t == a, "seed {seed}, {what}, lane {lane}, result {k}\n{}", print::print(&p));
            }
        };
        let traced = interp::run(&all, &stacked).expect("runs").results;
        let flat = flatten(all.clone()).unwrap_or_else(|e| panic!("{e}"));
        let together =
            same_bits(&flat, &stacked).and_then(|r| r).unwrap_or_else(|e| panic!("seed {seed}: {e}")).results;
        let same_order = !regroups(&all) && !regroups(&p);
        for (lane, args) in given.iter().enumerate() {
            compare("traced", &traced, &interp::run(&p, args).expect("runs").results, lane);
            if same_order {
                let flat = flatten(p.clone()).unwrap_or_else(|e| panic!("{e}"));
                let alone = same_bits(&flat, args).and_then(|r| r).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
                compare("on the machines", &together, &alone.results, lane);
            }
        }
        compared += usize::from(same_order);
        regrouped += usize::from(!same_order);
    }
    assert!(compared > regrouped, "{compared} programs compared, {regrouped} have sums that are regrouped");
}

#[test]
fn a_lane_is_the_body_alone() {
    lanes_are_alone(&Config { statements: 5, depth: 2, unbounded: true, ..Config::default() }, 5000..5040);
    lanes_are_alone(&Config { float: DType::F64, statements: 4, depth: 3, ..Config::default() }, 6000..6015);
}
