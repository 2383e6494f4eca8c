//! The language's random numbers against JAX's: bits exactly, floats to a few ulp.

use serde_json::Value as Json;
use whorl_core::ir::{ArrayData, DType, Lit, Type};
use whorl_trace::Tree;

use super::{MACHINES, run};
use crate::report::{self, Bar, Outcome};
use crate::support::recorded::Recorded;
use crate::support::{function, load_text};

/// A function of the language that draws what a case says, and its arguments behind the seed.
fn script(case: &Json, recorded: &Recorded) -> (String, Vec<ArrayData>) {
    let name = case["fn"].as_str().expect("a function");
    let settings = &case["args"];
    let sizes: Vec<String> = settings["shape"].as_array().into_iter().flatten().map(|n| format!(", {n}")).collect();
    let sizes = sizes.concat();
    let number = |dtype: DType, field: &str| {
        let x = settings[field].as_f64().unwrap_or_else(|| panic!("{field} of {case}"));
        ArrayData::from(Lit::of(dtype, x))
    };
    let range = |dtype: DType| vec![number(dtype, "low"), number(dtype, "high")];
    let of_range = |ty: &str| (format!("low: {ty}, high: {ty}"), format!("{name}(k{sizes}, low: low, high: high)"));
    let ((params, body), args) = match name {
        "key_data" => ((String::new(), "k".to_string()), Vec::new()),
        "split" | "permutation" => ((String::new(), format!("{name}(k, {})", settings["n"])), Vec::new()),
        "fold_in" => (("data: u32".to_string(), "fold_in(k, data)".to_string()), vec![number(DType::U32, "data")]),
        "uniform" | "truncated_normal" => (of_range("f32"), range(DType::F32)),
        "randint" => (of_range("i32"), range(DType::I32)),
        "bernoulli" => (("p: f32".to_string(), format!("bernoulli(k, p{sizes})")), vec![number(DType::F32, "p")]),
        "categorical" => {
            let logits = settings["logits"].as_str().expect("the name of an array");
            let logits = recorded.find(logits).expect("the array").clone();
            let shape: Vec<String> = logits.ty.shape.iter().map(|n| n.to_string()).collect();
            let params = format!("logits: f32[{}]", shape.join(", "));
            ((params, "categorical(k, logits)".to_string()), vec![logits])
        }
        _ => ((String::new(), format!("{name}(k{sizes})")), Vec::new()),
    };
    let params = if params.is_empty() { params } else { format!(", {params}") };
    (format!("fn draw(seed: u32{params}) = {{\n  let k = key(seed)\n  {body}\n}}\n"), args)
}

fn judged(case: &Json, recorded: &Recorded) -> Vec<Result<(), String>> {
    let (text, args) = script(case, recorded);
    let seed = ArrayData::scalar(case["seed"].as_u64().expect("a seed") as u32);
    let args = [vec![seed], args].concat();
    let types: Vec<Tree> = args.iter().map(|a| Tree::Leaf(Type::new(a.ty.dtype, &a.ty.shape))).collect();
    let program = function(&load_text("draw.whorl", &text, &[]), "draw", &types).program;
    let wanted = recorded.find(&format!("c{}", case["i"])).expect("the result");
    MACHINES.iter().map(|m| compare(&run(m, &program, &args)?, wanted)).collect()
}

fn compare(got: &[ArrayData], wanted: &ArrayData) -> Result<(), String> {
    if let [first, second] = got {
        let words = first.values::<u32>().into_iter().zip(second.values::<u32>()).flat_map(|(x, y)| [x, y]);
        let (words, wanted) = (words.collect::<Vec<u32>>(), wanted.values::<u32>());
        return if words == wanted { Ok(()) } else { Err(format!("words {words:?}, not {wanted:?}")) };
    }
    if got[0].ty != wanted.ty {
        return Err(format!("{:?}, not {:?}", got[0].ty, wanted.ty));
    }
    if wanted.ty.dtype == DType::F32 {
        let (got, wanted) = (got[0].values::<f32>(), wanted.values::<f32>());
        let far = got.iter().zip(&wanted).find(|(a, b)| distance(**a, **b) > 4);
        return far.map_or(Ok(()), |(a, b)| Err(format!("{a:?}, not {b:?}")));
    }
    if got[0] == *wanted { Ok(()) } else { Err(format!("{:?}, not {:?}", got[0].to_f64(), wanted.to_f64())) }
}

/// How many floats lie between; below 1, in ulp of 1: a logarithm of a number near 1 has no better.
fn distance(a: f32, b: f32) -> u64 {
    let ordered = |x: f32| {
        let bits = x.to_bits() as i32 as i64;
        if bits < 0 { i32::MIN as i64 - bits } else { bits }
    };
    match a.is_finite() && b.is_finite() {
        true if a.abs() < 1.0 => ((a - b).abs() / f32::EPSILON).ceil() as u64,
        true => ordered(a).abs_diff(ordered(b)),
        false => u64::from(a.to_bits() != b.to_bits()) * u64::MAX,
    }
}

#[test]
fn jax_prng() {
    let Some(recorded) = Recorded::open("jax_prng") else { return };
    let cases = recorded.about["cases"].as_array().expect("a list of cases");
    let name = |case: &Json| format!("{}: {} of seed {}, {}", case["i"], case["fn"], case["seed"], case["args"]);
    let names: Vec<String> = cases.iter().map(|c| name(c).replace('"', "")).collect();
    let bar = Bar { applicable: 1.0, passed: 1.0 };
    report::judge("jax_prng", MACHINES, bar, &names, |k| Outcome::Judged(judged(&cases[k], &recorded)));
}
