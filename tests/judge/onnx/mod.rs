//! ONNX node tests as scripts that use the standard library, traced on the types of the inputs.
//!
//! A table says for each operator the text of a script; attributes, and inputs that must be known when a program is traced (axes, sizes,
//! counts), are literals in it. `ONNX=name cargo test --release --test judge onnx -- --nocapture` judges the cases whose names contain `name`
//! and prints their scripts.

mod arrays;
mod basic;
mod case;
mod nn;
mod reduce;
mod script;

use whorl::pipeline;
use whorl_core::interp;
use whorl_core::ir::ArrayData;
use whorl_trace::Tree;

use self::case::Case;
use self::script::{Excluded, Script};
use crate::report::{Bar, Outcome, judge};
use crate::support::machines::on_cpu;

/// What an operator is as a script.
type Row = fn(&Case) -> Result<Script, Excluded>;

fn row(op: &str) -> Option<Row> {
    [basic::row, reduce::row, arrays::row, nn::row].into_iter().find_map(|table| table(op))
}

const MACHINES: [&str; 2] = ["interpreter", "cpu"];

#[test]
fn onnx_cases() {
    let Some(cases) = case::read() else { return };
    if let Some(part) = std::env::var_os("ONNX") {
        return some(&cases, &part.to_string_lossy());
    }
    let names: Vec<String> = cases.iter().map(|c| c.0.clone()).collect();
    let bar = Bar { applicable: 0.9, passed: 1.0 };
    judge("onnx_cases", &MACHINES, bar, &names, |k| match &cases[k].1 {
        Ok(case) => judged(case),
        Err(Excluded(reason)) => Outcome::Excluded(reason.clone()),
    });
}

/// What becomes of the cases of such names, with their scripts.
fn some(cases: &case::Cases, part: &str) {
    let mut failures = 0;
    for (name, case) in cases.iter().filter(|c| c.0.contains(part)) {
        let outcome = case.as_ref().map_err(Excluded::clone).map(|case| (case, row(&case.op)));
        match outcome {
            Ok((case, Some(row))) => match row(case) {
                Ok(script) => {
                    println!("# {name}\n{}", script.text(case));
                    let results = on_machines(case, &script.text(case));
                    for (machine, result) in MACHINES.iter().zip(results) {
                        failures += usize::from(result.is_err());
                        println!("{machine}: {result:?}");
                    }
                }
                Err(Excluded(reason)) => println!("# {name}: excluded: {reason}"),
            },
            Ok((case, None)) => println!("# {name}: no row for {}", case.op),
            Err(Excluded(reason)) => println!("# {name}: excluded: {reason}"),
        }
    }
    assert_eq!(failures, 0, "failures");
}

fn judged(case: &Case) -> Outcome {
    let Some(row) = row(&case.op) else { return Outcome::Excluded(format!("no program of the operator {}", case.op)) };
    match row(case) {
        Ok(script) => Outcome::Judged(on_machines(case, &script.text(case))),
        Err(Excluded(reason)) => Outcome::Excluded(reason),
    }
}

fn on_machines(case: &Case, text: &str) -> Vec<Result<(), String>> {
    let program = match traced(case, text) {
        Ok(program) => program,
        Err(e) => return MACHINES.iter().map(|_| Err(format!("{e}\n{text}"))).collect(),
    };
    let args: Vec<ArrayData> = case.arguments().map(|(_, a)| a.clone()).collect();
    let interpreted = interp::run(&program, &args).map(|o| o.results).map_err(|e| e.to_string());
    let executed = on_cpu(program, &args);
    [interpreted, executed].into_iter().map(|r| compare(case, &r?).map_err(|e| format!("{e}\n{text}"))).collect()
}

fn traced(case: &Case, text: &str) -> Result<whorl_core::Program, String> {
    let source = pipeline::load_text("node.whorl", text.to_string(), &[])?;
    let trees: Vec<Tree> = case.arguments().map(|(_, a)| Tree::Leaf(a.ty.clone())).collect();
    let traced = source.script.trace_function("node", &trees);
    Ok(traced.map_err(|d| pipeline::render(&d, &source.map))?.program)
}

/// Types and sizes are the same; floats are near, by the tolerances of the case, and NaN is NaN.
fn compare(case: &Case, got: &[ArrayData]) -> Result<(), String> {
    let wanted: Vec<&ArrayData> = case.outputs.iter().flatten().collect();
    if got.len() != wanted.len() {
        return Err(format!("{} results, not {}", got.len(), wanted.len()));
    }
    for (k, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        if got.ty != wanted.ty {
            return Err(format!("result {k}: {:?}, not {:?}", got.ty, wanted.ty));
        }
        let exact = !wanted.ty.dtype.is_float();
        for (at, (x, y)) in got.to_f64().into_iter().zip(wanted.to_f64()).enumerate() {
            let near = !exact && y.is_finite() && (x - y).abs() <= case.atol + case.rtol * y.abs();
            if !(x == y || near || x.is_nan() && y.is_nan()) {
                return Err(format!("result {k} at {at} of {:?}: {x}, not {y}", got.ty));
            }
        }
    }
    Ok(())
}
