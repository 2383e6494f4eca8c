//! Values, forward and reverse derivatives that JAX recorded for programs of its primitives.

mod support;

use support::jaxpr;
use support::recorded::Recorded;
use whorl_core::ir::{ArrayData, Atom, Function, Program, Type, Var};
use whorl_core::{Builder, interp};
use whorl_transform::ad::{jvp, vjp};

/// What is left out, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("acosh", "no such function: log(x + sqrt(x * x - 1))"),
    ("atanh", "no such function: 0.5 * log((1 + x) / (1 - x))"),
    ("sinh", "no such function: 0.5 * (exp(x) - exp(-x))"),
    ("erfc", "no such function: 1 - erf(x)"),
    ("cbrt", "no such function: pow(x, 1 / 3) of what is positive"),
    ("conv_general_dilated", "a convolution is a program, not a primitive"),
    ("gather", "its places are given by dimension numbers; ours by loops over `index`"),
    ("scatter", "likewise"),
    ("scatter-add", "likewise"),
];

/// Where ours differ on purpose.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "rem_singularity_negative_by_0",
        "by zero: the derivative by the divisor is not a number, as the value is, and not infinite",
    ),
    ("sort_edge_cases_num_arrays_1", "NaN with a sign comes first"),
    (
        "clamp_broadcasting",
        "where the low bound is above the high one: the derivative of the value that is given, and not 0",
    ),
];

fn around(p: &Program, more: &[Type], f: impl FnOnce(&mut Builder, &[Atom], &[Atom]) -> Vec<Atom>) -> Program {
    let mut b = Builder::new(p.vars.clone());
    let types: Vec<Type> = p.main.params.iter().map(|v| p.vars.ty(*v).clone()).chain(more.iter().cloned()).collect();
    let params: Vec<Var> = types.into_iter().map(|t| b.fresh(t)).collect();
    let atoms: Vec<Atom> = params.iter().map(|v| Atom::Var(*v)).collect();
    b.begin();
    let (own, more) = atoms.split_at(p.main.params.len());
    let results = f(&mut b, own, more);
    let body = b.end(results);
    Program { vars: b.vars, main: Function { params, body } }
}

fn near(what: &str, got: &[ArrayData], wanted: &[ArrayData]) -> Result<(), String> {
    if got.len() != wanted.len() {
        return Err(format!("{what}: {} arrays, not {}", got.len(), wanted.len()));
    }
    for (k, (g, w)) in got.iter().zip(wanted).enumerate() {
        if g.ty.shape != w.ty.shape {
            return Err(format!("{what} {k}: sizes {:?}, not {:?}", g.ty.shape, w.ty.shape));
        }
        for (at, (x, y)) in g.to_f64().into_iter().zip(w.to_f64()).enumerate() {
            let same = x == y || x.is_nan() && y.is_nan() || (x - y).abs() <= 2e-5 * (1.0 + y.abs());
            if !same {
                return Err(format!("{what} {k} at {at}: {x}, not {y}"));
            }
        }
    }
    Ok(())
}

fn run(p: &Program, args: &[ArrayData]) -> Result<Vec<ArrayData>, String> {
    interp::run(p, args).map(|o| o.results).map_err(|e| e.to_string())
}

#[test]
fn as_jax_has_them() {
    let Some(mut programs) = Recorded::open("jax_harness") else { return };
    let mut derivatives = Recorded::open("jax_ad").expect("recorded beside the programs");
    let texts = programs.about.as_array().expect("a list").clone();
    let (mut count, mut left_out, mut wrong, mut different) = (0, 0, Vec::new(), 0);
    for case in derivatives.about.as_array().expect("a list").clone() {
        let i = case["i"].as_u64().expect("a number");
        let about = texts.iter().find(|c| c["i"].as_u64() == Some(i)).expect("the program");
        let name = about["name"].as_str().expect("a name");
        let uses = |prim: &str| about["prims"].as_array().is_some_and(|all| all.iter().any(|p| p == prim));
        if LEFT_OUT.iter().any(|(prim, _)| uses(prim)) {
            left_out += 1;
            continue;
        }
        let p = match jaxpr::read(about["jaxpr"].as_str().expect("a text")) {
            Ok(p) => p,
            Err(e) => {
                wrong.push(format!("{name}: no translation of {e}"));
                continue;
            }
        };
        count += 1;
        let args: Vec<ArrayData> = (0..p.main.params.len()).map(|k| programs.array(&format!("{i}/a{k}"))).collect();
        let wanted: Vec<ArrayData> =
            (0..p.main.body.results.len()).map(|k| programs.array(&format!("{i}/o{k}"))).collect();
        let floats: Vec<usize> = (0..wanted.len()).filter(|&k| wanted[k].ty.dtype.is_float()).collect();
        let wrt: Vec<usize> =
            case["wrt"].as_array().expect("a list").iter().filter_map(|k| k.as_u64()).map(|k| k as usize).collect();
        let tangents: Vec<ArrayData> = (0..wrt.len()).map(|k| derivatives.array(&format!("{i}/t{k}"))).collect();
        let types: Vec<Type> = tangents.iter().map(|t| t.ty.clone()).collect();
        let forward = around(&p, &types, |b, at, given| {
            let mut t = vec![None; at.len()];
            wrt.iter().zip(given).for_each(|(&k, a)| t[k] = Some(*a));
            let (primal, out) = jvp(b, &p.main, at, &t).expect("a derivative");
            floats.iter().map(|&k| out[k].unwrap_or_else(|| b.zeros(&b.ty(primal[k])))).collect()
        });
        let cotangents: Vec<ArrayData> = (0..floats.len()).map(|k| derivatives.array(&format!("{i}/ct{k}"))).collect();
        let types: Vec<Type> = cotangents.iter().map(|t| t.ty.clone()).collect();
        let backward = around(&p, &types, |b, at, given| {
            let marks: Vec<bool> = (0..at.len()).map(|k| wrt.contains(&k)).collect();
            let seed = |_: &mut Builder, all: &[Atom]| {
                let mut ct = vec![None; all.len()];
                floats.iter().zip(given).for_each(|(&k, a)| ct[k] = Some(*a));
                ct
            };
            vjp(b, &p.main, at, &marks, seed).expect("a derivative").gradients
        });
        let jvps: Vec<ArrayData> = (0..floats.len()).map(|k| derivatives.array(&format!("{i}/jvp{k}"))).collect();
        let vjps: Vec<ArrayData> = (0..wrt.len()).map(|k| derivatives.array(&format!("{i}/vjp{k}"))).collect();
        let checked = run(&p, &args)
            .and_then(|got| near("value", &got, &wanted))
            .and_then(|()| run(&forward, &[&args[..], &tangents].concat()))
            .and_then(|got| near("tangent", &got, &jvps))
            .and_then(|()| run(&backward, &[&args[..], &cotangents].concat()))
            .and_then(|got| near("cotangent", &got, &vjps));
        if DIFFERENT.iter().any(|(start, _)| name.starts_with(start)) {
            different += usize::from(checked.is_err());
            continue;
        }
        if let Err(e) = checked {
            wrong.push(format!("{name}: {e}"));
        }
    }
    println!("{count} programs compared, {left_out} left out: {LEFT_OUT:?}");
    assert!(wrong.is_empty(), "{} of {count} differ\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(different, DIFFERENT.len());
    assert!(count >= 125, "{count} programs");
}
