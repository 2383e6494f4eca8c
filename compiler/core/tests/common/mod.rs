//! One helper a boundary: programs in, values out.
#![allow(dead_code)] // Each test binary uses some.

use whorl_core::interp::{Outcome, RunError, run};
use whorl_core::{ArrayData, Program, print, read, verify};

#[track_caller]
pub fn program(text: &str) -> Program {
    read::read(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

#[track_caller]
pub fn outcome(text: &str, args: &[ArrayData]) -> Result<Outcome, RunError> {
    let p = program(text);
    verify::verify(&p).unwrap_or_else(|e| panic!("{e}\n{}", print::print(&p)));
    run(&p, args)
}

#[track_caller]
pub fn eval(text: &str, args: &[ArrayData]) -> Vec<ArrayData> {
    outcome(text, args).expect("no assertion fails").results
}

/// Applies one primitive to arguments; its result types must be what the type rule says.
#[track_caller]
pub fn apply(prim: &str, args: &[ArrayData]) -> Vec<ArrayData> {
    let types: Vec<_> = args.iter().map(|a| a.ty.clone()).collect();
    let probe = program(&format!("{{ -> %0 : f32 = {}() }}", prim));
    let whorl_core::Op::Prim(p, _) = &probe.main.body.stmts[0].op else { panic!("{prim} is no primitive") };
    let outs = p.result_types(&types).unwrap_or_else(|e| panic!("{prim}: {}", e.0));
    let params: Vec<String> =
        types.iter().enumerate().map(|(k, t)| format!("%{k} : {}", print::type_text(t))).collect();
    let operands: Vec<String> = (0..args.len()).map(|k| format!("%{k}")).collect();
    let binders: Vec<String> =
        outs.iter().enumerate().map(|(k, t)| format!("%{} : {}", k + 100, print::type_text(t))).collect();
    let results: Vec<String> = (0..outs.len()).map(|k| format!("%{}", k + 100)).collect();
    let text = format!(
        "{{ {} -> {} = {prim}({}) {} }}",
        params.join(", "),
        binders.join(", "),
        operands.join(", "),
        results.join(", ")
    );
    eval(&text, args)
}

#[track_caller]
pub fn apply1(prim: &str, args: &[ArrayData]) -> ArrayData {
    let mut all = apply(prim, args);
    assert_eq!(all.len(), 1, "{prim}");
    all.remove(0)
}
