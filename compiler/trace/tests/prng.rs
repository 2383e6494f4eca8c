//! Random numbers against those recorded from JAX: bits exactly, floats to a few ulp.
//!
//! The directory is `WHORL_DATA`, or `shared/data` beside the checkout; where there is none, nothing is compared.

mod npz;

use std::fs::File;
use std::path::PathBuf;

use npz::Npz;
use serde_json::Value as Json;
use whorl_core::interp::run;
use whorl_core::verify::verify;
use whorl_core::{ArrayData, Atom, Builder, DType, Function, Lit, Program, Type};
use whorl_trace::random;

struct Recorded {
    cases: Vec<Json>,
    arrays: Npz,
}

fn recorded() -> Option<Recorded> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let directory = std::env::var_os("WHORL_DATA").map_or_else(beside, PathBuf::from);
    if !directory.join("jax_prng.json").exists() {
        println!("skipped: no recorded values in {} (set WHORL_DATA)", directory.display());
        return None;
    }
    let list: Json = serde_json::from_reader(File::open(directory.join("jax_prng.json")).unwrap()).unwrap();
    let arrays = Npz::open(&directory.join("jax_prng.npz"));
    Some(Recorded { cases: list["cases"].as_array().unwrap().clone(), arrays })
}

/// What the functions of [`random`] make of a case: one result, or the two words of keys.
fn draw(b: &mut Builder, case: &Json, key: [Atom; 2], logits: Option<ArrayData>) -> Vec<Atom> {
    let args = &case["args"];
    let shape: Vec<usize> =
        args["shape"].as_array().into_iter().flatten().map(|n| n.as_u64().unwrap() as usize).collect();
    let number = |name: &str| args[name].as_f64().unwrap_or_else(|| panic!("{name} of {case}"));
    let f32 = |name: &str| Atom::Lit(Lit::f32(number(name) as f32));
    let i32 = |name: &str| Atom::Lit(Lit::i32(number(name) as i32));
    match case["fn"].as_str().unwrap() {
        "key_data" => key.to_vec(),
        "split" => random::split(b, key, number("n") as usize).to_vec(),
        "fold_in" => random::fold_in(b, key, Lit::u32(number("data") as u32).into()).to_vec(),
        "bits" => vec![random::bits(b, key, &shape)],
        "uniform" => vec![random::uniform(b, key, &shape, f32("low"), f32("high"))],
        "normal" => vec![random::normal(b, key, &shape)],
        "gumbel" => vec![random::gumbel(b, key, &shape)],
        "exponential" => vec![random::exponential(b, key, &shape)],
        "bernoulli" => vec![random::bernoulli(b, key, f32("p"), &shape)],
        "randint" => vec![random::randint(b, key, &shape, i32("low"), i32("high"))],
        "truncated_normal" => vec![random::truncated_normal(b, key, f32("low"), f32("high"), &shape)],
        "permutation" => vec![random::permutation(b, key, number("n") as usize)],
        "categorical" => {
            let logits = b.constant(logits.expect("logits").into());
            vec![random::categorical(b, key, logits)]
        }
        other => panic!("a case of `{other}`"),
    }
}

fn evaluate(case: &Json, logits: Option<ArrayData>) -> Vec<ArrayData> {
    let mut b = Builder::default();
    let seed = b.fresh(Type::scalar(DType::U32));
    b.begin();
    let key = random::key_data(&mut b, seed.into());
    let results = draw(&mut b, case, key, logits);
    let body = b.end(results);
    let program = Program { vars: b.vars, main: Function { params: vec![seed], body } };
    verify(&program).unwrap_or_else(|e| panic!("{case}: {e}"));
    run(&program, &[ArrayData::scalar(case["seed"].as_u64().unwrap() as u32)]).unwrap().results
}

/// How many floats lie between; both are finite.
fn ulps(a: f32, b: f32) -> u64 {
    let ordered = |x: f32| {
        let bits = x.to_bits() as i32 as i64;
        if bits < 0 { i32::MIN as i64 - bits } else { bits }
    };
    ordered(a).abs_diff(ordered(b))
}

/// The largest difference in ulp; below 1, in those of 1: a logarithm of a number near 1 has no better.
fn worst(name: &str, ours: &[f32], theirs: &[f32]) -> u64 {
    let far = |(a, b): (&f32, &f32)| {
        assert!(a.is_finite() && b.is_finite(), "{name}: {a} and {b}");
        if a.abs() < 1.0 { ((a - b).abs() / f32::EPSILON).ceil() as u64 } else { ulps(*a, *b) }
    };
    ours.iter().zip(theirs).map(far).max().unwrap_or(0)
}

#[test]
fn every_recorded_case() {
    let Some(recorded) = recorded() else { return };
    let cases = recorded.cases.clone();
    let mut worst_of: std::collections::BTreeMap<String, u64> = Default::default();
    for case in &cases {
        let name = case["fn"].as_str().unwrap();
        let want = recorded.arrays.array(&format!("c{}", case["i"]));
        let logits = case["args"]["logits"].as_str().map(|n| recorded.arrays.array(n));
        let got = evaluate(case, logits);
        if let [first, second] = &got[..] {
            let words = first.values::<u32>().into_iter().zip(second.values::<u32>());
            let words: Vec<u32> = words.flat_map(|(x, y)| [x, y]).collect();
            assert_eq!(words, want.values::<u32>(), "{case}");
        } else if want.ty.dtype == DType::F32 {
            assert_eq!(got[0].ty, want.ty, "{case}");
            let far = worst(name, &got[0].values::<f32>(), &want.values::<f32>());
            let so_far = worst_of.entry(name.into()).or_default();
            *so_far = far.max(*so_far);
        } else {
            assert_eq!(got[0], want, "{case}");
        }
    }
    println!("{} cases; worst ulp {worst_of:?}", cases.len());
    assert!(worst_of.values().all(|far| *far <= 4), "ulp {worst_of:?}");
}

/// Splitting one key off gives what splitting all gives.
#[test]
fn one_of_a_split() {
    let case = serde_json::json!({"fn": "split", "seed": 7, "args": {"n": 3}});
    let all = evaluate(&case, None);
    let mut b = Builder::default();
    b.begin();
    let key = random::key_data(&mut b, Lit::u32(7).into());
    let one = random::split_at(&mut b, key, 2).to_vec();
    let body = b.end(one);
    let program = Program { vars: b.vars, main: Function { params: vec![], body } };
    let one = run(&program, &[]).unwrap().results;
    assert_eq!(one[0].values::<u32>()[0], all[0].values::<u32>()[2]);
    assert_eq!(one[1].values::<u32>()[0], all[1].values::<u32>()[2]);
}
