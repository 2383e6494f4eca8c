//! The evaluator of Loop IR against the interpreter of Core, to the bit, after every pass.

mod programs;
mod random;

use whorl_core::builder::Builder;
use whorl_core::interp;
use whorl_core::ir::*;

use crate::{EvalError, LoopProgram, evaluate, print, schedule, schedule_partly, verify};

/// A program of these parameters; `f` gives the results.
fn program(params: &[Type], f: impl FnOnce(&mut Builder, &[Atom]) -> Vec<Atom>) -> Program {
    let mut b = Builder::default();
    let vars: Vec<Var> = params.iter().map(|t| b.fresh(t.clone())).collect();
    let atoms: Vec<Atom> = vars.iter().map(|v| (*v).into()).collect();
    b.begin();
    let results = f(&mut b, &atoms);
    let body = b.end(results);
    Program { vars: b.vars, main: Function { params: vars, body } }
}

/// Arguments of these types: small numbers, different everywhere, some negative, exact in every type.
fn arguments(params: &[Type]) -> Vec<ArrayData> {
    let mut state = 12345u32;
    let mut element = |dtype: DType| {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        let x = (state >> 16) as f64;
        match dtype {
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 => Lit::of(dtype, (x % 64.0 - 32.0) / 8.0),
            DType::I32 => Lit::i32((x % 16.0) as i32 - 4),
            DType::U32 | DType::U8 => Lit::of(dtype, x % 16.0),
            DType::Bool => Lit::bool(x % 2.0 == 0.0),
        }
    };
    params
        .iter()
        .map(|t| {
            let lits: Vec<Lit> = (0..t.size()).map(|_| element(t.dtype)).collect();
            ArrayData::from_lits(t.dtype, &t.shape, &lits)
        })
        .collect()
}

/// After every pass, the program must be well-formed and compute what the interpreter does. Gives the last.
#[track_caller]
fn check_program(p: &Program, args: &[ArrayData]) -> LoopProgram {
    let expected = interp::run(p, args);
    for passes in 0.. {
        let Some(scheduled) = schedule_partly(p, passes) else { break };
        let (s, pass) = scheduled.unwrap_or_else(|e| panic!("{e}"));
        let which = format!("{pass} (pass {passes})");
        let text = || print(&s, &|_| String::new());
        if let Err(e) = verify(&s) {
            panic!("{which}: {e}\n{}", text());
        }
        let got = evaluate(&s, args);
        match (&expected, &got) {
            (Ok(e), Ok(g)) => {
                for (k, (e, g)) in e.results.iter().zip(&g.results).enumerate() {
                    assert!(e == g, "{which}: result {k}: {:?}\nexpected {:?}\n{}", g.to_f64(), e.to_f64(), text());
                }
                assert_eq!(e.results.len(), g.results.len());
                let runs = usize::from(s.runs.is_some());
                let steps = |l: &interp::LogRecord| l.steps.iter().map(|s| s.at).collect();
                let place = |l: &interp::LogRecord, at: &[usize]| l.maps.iter().skip(runs).chain(at).copied().collect();
                let elements = |l: &interp::LogRecord| {
                    l.elements().into_iter().map(|(at, x)| (place(l, &at), x)).collect::<Vec<(Vec<usize>, f64)>>()
                };
                let logged: Vec<(_, Vec<usize>, _)> =
                    e.logs.iter().map(|l| (l.name.clone(), steps(l), elements(l))).collect();
                let seen: Vec<_> =
                    g.logs.iter().map(|l| (l.name.clone(), l.steps.clone(), l.elements.clone())).collect();
                assert_eq!(logged, seen, "{which}: logs");
            }
            (Err(e), Err(EvalError::Fault(fault))) => assert_eq!(e, fault, "{which}"),
            (e, g) => panic!("{which}: {g:?}, expected {e:?}\n{}", text()),
        }
    }
    schedule(p).expect("as after the last pass")
}

/// [`check_program`] for a program built in place, on [`arguments`].
#[track_caller]
fn check(params: &[Type], f: impl FnOnce(&mut Builder, &[Atom]) -> Vec<Atom>) -> LoopProgram {
    check_program(&program(params, f), &arguments(params))
}
