//! `whorl test`: runs the `test` and `prop` blocks of scripts and the examples in their doc comments.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use whorl_core::ir::ArrayData;
use whorl_cpu::{Executable, RunError};
use whorl_source::{Diagnostic, SourceMap, Span};
use whorl_trace::{Claim, Expected, TestCase, TestKind};

use crate::args;
use crate::pipeline::{self, Checks, Source};
use crate::property::{self, Batch, Case};
use crate::standard_library;

/// How properties are tried.
#[derive(Clone, Copy, Debug)]
pub struct Trials {
    pub cases: usize,
    pub seed: u64,
    pub checks: Checks,
}

impl Default for Trials {
    fn default() -> Trials {
        Trials { cases: 100, seed: 0, checks: Checks::default() }
    }
}

pub fn test(options: &args::Test) -> Result<ExitCode, String> {
    let mut scripts = Vec::new();
    for path in &options.files {
        find(path, &mut scripts)?;
    }
    let (mut passed, mut failed, mut others) = (0, 0, 0);
    for (name, text) in scripts {
        let source = match pipeline::load_text(&name, text, &[]) {
            Ok(source) => source,
            Err(text) => {
                eprintln!("FAILED {name}\n{}", text.trim_end());
                failed += 1;
                continue;
            }
        };
        for (k, case) in source.script.tests().iter().enumerate() {
            if options.filter.as_ref().is_some_and(|f| !case.name.contains(f.as_str())) {
                others += 1;
                continue;
            }
            match check(&source, k, options.trials) {
                Ok(()) => passed += 1,
                Err(errors) => {
                    failed += 1;
                    let text = pipeline::render(&errors, &source.map);
                    eprintln!("FAILED {name}: {}\n{}", case.name, text.trim_end());
                }
            }
        }
    }
    if passed + failed == 0 {
        let what = options.files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(match &options.filter {
            Some(f) if others > 0 => format!("error: none of the {others} tests in {what} has `{f}` in its name"),
            Some(_) | None => format!("error: no tests in {what}; a test is `test \"name\" {{ assert … }}`"),
        });
    }
    say!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The script, the scripts in the folder, or those of the standard library: `std`, or one of its modules, as in `std.rl.ppo`.
fn find(path: &Path, found: &mut Vec<(String, String)>) -> Result<(), String> {
    let name = path.display().to_string();
    if !path.exists() && (name == "std" || name.starts_with("std.")) {
        let file = format!("{}.whorl", name.replace('.', "/"));
        let modules = standard_library::modules().into_iter();
        let modules: Vec<_> = modules.filter(|(n, _)| name == "std" || *n == file).collect();
        if modules.is_empty() {
            return Err(format!("error: the standard library has no module `{name}`"));
        }
        found.extend(modules.into_iter().map(|(n, t)| (n, t.to_string())));
        return Ok(());
    }
    let mut files: Vec<PathBuf> = Vec::new();
    crate::fmt::scripts(path, &mut files)?;
    for file in files {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(&file).map_err(|e| format!("error: {name}: {e}"))?;
        found.push((name, text));
    }
    Ok(())
}

/// Runs test `k` of the script; what is wrong, if it fails.
pub fn check(source: &Source, k: usize, trials: Trials) -> Result<(), Vec<Diagnostic>> {
    let case = source.script.tests().swap_remove(k);
    match &case.kind {
        TestKind::Test => {
            let traced = source.script.trace_test(k)?;
            let executable = compiled(traced.program, &source.map, case.span, trials.checks)?;
            let run = executable.run_to_end(&[], 1);
            run.map(|_| ()).map_err(|e| vec![failure(&e, &source.map, case.span)])
        }
        TestKind::Fails(expected) => fails(source, k, expected, case.span, trials.checks),
        TestKind::Prop => holds(source, k, trials, &case),
        TestKind::Example => {
            let traced = source.script.trace_test(k)?;
            let executable = compiled(traced.program, &source.map, case.span, trials.checks)?;
            let results = executable.run_to_end(&[], 1).map_err(|e| vec![failure(&e, &source.map, case.span)])?;
            let wrong = false_claims(&traced.claims, &results);
            if wrong.is_empty() { Ok(()) } else { Err(wrong) }
        }
    }
}

fn compiled(
    program: whorl_core::Program,
    map: &SourceMap,
    span: Span,
    checks: Checks,
) -> Result<Executable, Vec<Diagnostic>> {
    let compiled = pipeline::compile(pipeline::checked(program, checks), map, 1);
    compiled.map(|c| c.executable).map_err(|e| vec![Diagnostic::error("E0616", e).at(span, "")])
}

/// A check that failed, at its line.
fn failure(e: &RunError, map: &SourceMap, test: Span) -> Diagnostic {
    match e {
        RunError::Fault(fault) => whorl_core::fault::diagnostic(fault, None, map),
        RunError::Misuse(what) => Diagnostic::error("E0616", what).at(test, ""),
    }
}

/// A test that must not pass.
fn fails(source: &Source, k: usize, expected: &Expected, span: Span, checks: Checks) -> Result<(), Vec<Diagnostic>> {
    let at = expected.span.unwrap_or(span);
    let wanted = |e: &Diagnostic| {
        expected.code.as_ref().is_none_or(|c| c == e.code)
            && expected.message.as_ref().is_none_or(|m| e.message.contains(m.as_str()))
    };
    let said = match source.script.trace_test(k) {
        Err(errors) if errors.iter().any(wanted) => return Ok(()),
        Err(errors) => errors,
        Ok(traced) => match compiled(traced.program, &source.map, span, checks)?.run_to_end(&[], 1) {
            Ok(_) => {
                let e = Diagnostic::error("E0612", "this test should fail, and passes").at(at, "");
                return Err(vec![e]);
            }
            Err(e) => {
                let e = failure(&e, &source.map, span);
                if wanted(&e) {
                    return Ok(());
                }
                vec![e]
            }
        },
    };
    let parts = [expected.code.clone(), expected.message.as_ref().map(|m| format!("\"{m}\""))];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let e = Diagnostic::error("E0613", "this test fails in another way than it says");
    Err(std::iter::once(e.at(at, format!("expected {}, got what follows", parts.join(" ")))).chain(said).collect())
}

/// A property: on many cases at once, and where one fails, on it alone, made simpler.
fn holds(source: &Source, k: usize, trials: Trials, case: &TestCase) -> Result<(), Vec<Diagnostic>> {
    for batch in property::batches(source, k, trials)? {
        let Some(Failing { mut cases, error }) = first_failing(source, &batch, case.span, trials.checks)? else {
            continue;
        };
        let mut batch = batch;
        for smaller in property::smaller(source, k, &batch, Trials { cases: batch.cases.len(), ..trials })? {
            let smaller = smaller?;
            if let Some(failing) = first_failing(source, &smaller, case.span, trials.checks)?
                && same_check(&failing.error, &error)
            {
                (batch, cases) = (smaller, failing.cases);
                break;
            }
        }
        let e = counterexample(source, k, &batch, &cases, &error, trials.checks, case)?;
        let again = format!("`--seed {} --cases {}` draws it again", trials.seed, trials.cases);
        return Err(vec![if e.help.is_none() { e.help(again) } else { e }]);
    }
    Ok(())
}

/// Cases of which one or more fail.
struct Failing {
    cases: Vec<Case>,
    error: RunError,
}

/// Whether the same line of the script failed, on whatever values.
fn same_check(a: &RunError, b: &RunError) -> bool {
    match (a, b) {
        (RunError::Fault(a), RunError::Fault(b)) => a.spans == b.spans && a.check.text == b.check.text,
        (RunError::Misuse(a), RunError::Misuse(b)) => a == b,
        (RunError::Fault(_), RunError::Misuse(_)) | (RunError::Misuse(_), RunError::Fault(_)) => false,
    }
}

fn first_failing(
    source: &Source,
    batch: &Batch,
    span: Span,
    checks: Checks,
) -> Result<Option<Failing>, Vec<Diagnostic>> {
    let executable = compiled(batch.traced.program.clone(), &source.map, span, checks)?;
    let failing = batch.inputs().find_map(|(input, cases)| {
        let error = executable.run_to_end(&input, 1).err()?;
        Some(Failing { cases: cases.to_vec(), error })
    });
    Ok(failing)
}

/// The case that fails, as simple as it goes.
fn counterexample(
    source: &Source,
    k: usize,
    batch: &Batch,
    cases: &[Case],
    together: &RunError,
    checks: Checks,
    property: &TestCase,
) -> Result<Diagnostic, Vec<Diagnostic>> {
    let (name, span) = (&property.name, property.span);
    let (traced, drawn) = source.script.trace_prop(k, &batch.sizes, None)?;
    let executable = compiled(traced.program.clone(), &source.map, span, checks)?;
    let fails = |case: &Case| executable.run_to_end(&property::arguments(&traced, case), 1).err();
    let Some((case, first)) = cases.iter().find_map(|c| Some((c, fails(c)?))) else {
        let message = format!("the property `{name}` fails for many cases at once, and for none alone");
        let e = Diagnostic::error("E0614", message).at(span, "").note(together.to_string());
        return Ok(e.help("sums may be added in another order: compare with a tolerance"));
    };
    let best = property::simpler(&drawn, case, |c| fails(c).is_some_and(|e| same_check(&e, &first)));
    let said = failure(&fails(&best).unwrap_or(first), &source.map, span);
    let mut e = Diagnostic::error("E0611", format!("the property `{name}` does not hold: {}", said.message));
    e.labels = said.labels;
    let sizes = batch.names.iter().zip(&batch.sizes).map(|(name, n)| format!("{name} = {n}"));
    for line in sizes.chain(property::described(&drawn, &property::arguments(&traced, &best))) {
        e = e.note(line);
    }
    Ok(e)
}

/// What an example says it gives and does not.
pub fn false_claims(claims: &[Claim], results: &[ArrayData]) -> Vec<Diagnostic> {
    let mut rest = results;
    let mut wrong = Vec::new();
    for claim in claims {
        let n = claim.layout.arrays();
        let (got, others) = rest.split_at(n);
        let (want, others) = others.split_at(n);
        rest = others;
        if !got.iter().zip(want).all(|(a, b)| near(a, b)) {
            let e = Diagnostic::error("E0615", "the example gives something else than it says");
            let e = e.at(claim.spans[0], format!("gives {}", claim.layout.text(got)));
            let text = claim.layout.text(want);
            wrong.push(e.at(claim.spans[1], format!("not {text}")));
        }
    }
    wrong
}

/// Whether numbers are the same as far as one writes them out: in about five digits.
fn near(a: &ArrayData, b: &ArrayData) -> bool {
    let close = |(x, y): (f64, f64)| {
        x == y || x.is_nan() && y.is_nan() || a.ty.dtype.is_float() && (x - y).abs() <= 1e-5 * y.abs() + 1e-6
    };
    a.ty == b.ty && a.to_f64().into_iter().zip(b.to_f64()).all(close)
}
