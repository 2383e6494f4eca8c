//! A `Map` around each program, against its lanes one by one.
//!
//! `for` on lane i is the body alone, to the bit (docs/architecture.md): the mapped program, distributed, on the interpreter, the evaluator and the
//! CPU gives in each lane what the program alone gives for the arguments of that lane, but for the sign of a zero and which NaN it is. Distribution may
//! regroup sums over lanes, which no program in a lane has, so that nothing is left to a tolerance.

use whorl_core::ir::{ArrayData, Atom, Function, Program, Var};
use whorl_core::prim::Prim;
use whorl_core::{Builder, Lit, interp};

use super::case::{Case, cases};
use super::translate::Refusal;
use super::{MACHINES, outcome};
use crate::report::{self, Bar, Outcome};
use crate::support::machines::{flatten, same_bits};
use crate::support::recorded::Recorded;

const LANES: usize = 3;

#[test]
fn jax_lanes() {
    let Some(recorded) = Recorded::open("jax_harness") else { return };
    let cases = cases(&recorded);
    let names: Vec<String> = cases.iter().map(|c| c.name.clone()).collect();
    let of = |case: &Case| -> Result<Outcome, Refusal> {
        Ok(Outcome::Judged(judged(&case.program()?, &case.arguments(&recorded)?)))
    };
    let bar = Bar { applicable: 0.9, passed: 1.0 };
    report::judge_as("jax_lanes", "jax_harness", MACHINES, bar, &names, |k| outcome(of(&cases[k])));
}

/// What the machines say of a program mapped over lanes of varied arguments: the interpreter, and those that run flat Core, which agree to the bit.
pub fn judged(p: &Program, args: &[ArrayData]) -> Vec<Result<(), String>> {
    let lanes: Vec<Vec<ArrayData>> = (0..LANES).map(|k| args.iter().map(|a| varied(a, k)).collect()).collect();
    let stacked: Vec<ArrayData> = (0..args.len()).map(|k| stack(lanes.iter().map(|l| &l[k]))).collect();
    let traced = || {
        let alone = each(&lanes, |args| interp::run(p, args).map(|o| o.results).map_err(|e| e.to_string()))?;
        let together = interp::run(&mapped(p, LANES, false), &stacked).map_err(|e| e.to_string())?.results;
        compare("a `Map`", &alone, &together)
    };
    let flat = || {
        let single = flatten(p.clone())?;
        let alone = each(&lanes, |args| Ok(same_bits(&single, args)??.results))?;
        for behind in [true, false] {
            let many = flatten(mapped(p, LANES, behind))?;
            // Training runs stay a `Map`: a program of another kind, where there is a loop inside.
            let runs = whorl_schedule::schedule(&many).map_err(|e| e.to_string())?.runs.is_some();
            if behind || runs {
                let mut together = same_bits(&many, &stacked)??.results;
                if behind {
                    together = together.iter().map(turned).collect();
                }
                let what = if behind { "lanes" } else { "runs" };
                compare(what, &alone, &together)?;
            }
        }
        Ok(())
    };
    vec![traced(), flat()]
}

fn each<T>(lanes: &[Vec<ArrayData>], f: impl Fn(&[ArrayData]) -> Result<T, String>) -> Result<Vec<T>, String> {
    lanes.iter().enumerate().map(|(k, args)| f(args).map_err(|e| format!("lane {k} alone: {e}"))).collect()
}

/// `map i < n { p(index(args, i)…) }`; `behind` the map, its results are turned round, so that it is not a map of training runs.
fn mapped(p: &Program, n: usize, behind: bool) -> Program {
    let mut b = Builder::new(p.vars.clone());
    let params: Vec<Var> = p.main.params.iter().map(|v| b.fresh(p.vars.ty(*v).stacked(n))).collect();
    b.begin();
    let outs = b.map(n, |b, i| {
        let own: Vec<Atom> = params.iter().map(|v| b.prim1(Prim::Index(None), &[(*v).into(), i])).collect();
        b.inline(&p.main.body, &p.main.params, &own)
    });
    let turn = Prim::Reverse([0].into_iter().collect());
    let results = if behind { outs.iter().map(|o| b.prim1(turn.clone(), &[*o])).collect() } else { outs.to_vec() };
    let body = b.end(results);
    Program { vars: b.vars, main: Function { params, body } }
}

/// Rows in the opposite order.
fn turned(x: &ArrayData) -> ArrayData {
    let row = x.bytes.len() / x.ty.shape[0];
    ArrayData { ty: x.ty.clone(), bytes: x.bytes.chunks(row.max(1)).rev().flatten().copied().collect() }
}

/// The argument of a lane: as it is, moved on by one element, and in a disorder with numbers a little greater; always made of what is in it,
/// so that indices stay indices.
fn varied(x: &ArrayData, lane: usize) -> ArrayData {
    let n = x.ty.size();
    let mut order: Vec<usize> = (0..n).collect();
    match lane {
        0 => {}
        1 => order.rotate_left(usize::from(n > 0)),
        _ => {
            let mut state = 12345u32;
            for k in (1..n).rev() {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                order.swap(k, (state >> 8) as usize % (k + 1));
            }
        }
    }
    let element = |k: usize| match x.element(k) {
        e if lane == 2 && e.dtype.is_float() => Lit::of(e.dtype, e.to_f64() * 1.0625),
        e => e,
    };
    let lits: Vec<Lit> = order.into_iter().map(element).collect();
    ArrayData::from_lits(x.ty.dtype, &x.ty.shape, &lits)
}

fn stack<'a>(lanes: impl Iterator<Item = &'a ArrayData> + Clone) -> ArrayData {
    let ty = lanes.clone().next().expect("a lane").ty.stacked(lanes.clone().count());
    ArrayData { ty, bytes: lanes.flat_map(|l| l.bytes.iter().copied()).collect() }
}

/// Each lane of the results against the results of the lane alone.
fn compare(what: &str, alone: &[Vec<ArrayData>], together: &[ArrayData]) -> Result<(), String> {
    for (lane, expected) in alone.iter().enumerate() {
        if expected.len() != together.len() {
            return Err(format!("{what}: {} results, not {}", together.len(), expected.len()));
        }
        for (k, (x, all)) in expected.iter().zip(together).enumerate() {
            if all.ty != x.ty.stacked(alone.len()) {
                return Err(format!("{what}: result {k} is {:?}, of lanes of {:?}", all.ty, x.ty));
            }
            let n = x.ty.size();
            for at in 0..n {
                let (a, b) = (x.element(at).to_f64(), all.element(lane * n + at).to_f64());
                if !(a == b || a.is_nan() && b.is_nan()) {
                    return Err(format!("{what}: result {k} of lane {lane} at {at}: {b:?}, alone {a:?}"));
                }
            }
        }
    }
    Ok(())
}
