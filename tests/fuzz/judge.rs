//! What must hold for any text whatever.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use whorl_core::{ArrayData, Body, Form, Op, Program, Vars};
use whorl_source::{Diagnostic, FileId, SourceMap};
use whorl_trace::{Loader, Script};
use whorl_transform::flatten::PASSES;

use crate::support::machines;

/// What is run on all machines takes no more steps, as far as can be told.
const MOST_STEPS: usize = 200_000;

/// How far a text came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reached {
    Read,
    Formatted,
    Traced,
    Scheduled,
    Compiled,
    /// The interpreter, the evaluator and the CPU gave the same bits.
    Run,
}

/// What went wrong: `kind` is the same for the same mistake of the compiler.
pub struct Failure {
    pub kind: String,
    pub detail: String,
}

fn fail<T>(kind: &str, detail: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { kind: kind.to_string(), detail: detail.into() })
}

/// Where the last panic was and what it said.
static PANIC: Mutex<Option<(String, String)>> = Mutex::new(None);

/// Panics are remembered in place of printed.
pub fn remember_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or("nowhere".to_string(), |l| format!("{}:{}", l.file(), l.line()));
        let payload = info.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        let mut panic = PANIC.lock().unwrap_or_else(|e| e.into_inner());
        // A thread that ends by a panic makes who waits for it panic too: the first is the one to know.
        panic.get_or_insert((place, text.unwrap_or("").to_string()));
    }));
}

/// Puts the text through the compiler; `thoroughly`, down to machine code.
pub fn judge(text: &str, thoroughly: bool) -> Result<Reached, Failure> {
    *PANIC.lock().unwrap_or_else(|e| e.into_inner()) = None;
    match catch_unwind(AssertUnwindSafe(|| stages(text, thoroughly))) {
        Ok(result) => result,
        Err(_) => {
            let panic = PANIC.lock().unwrap_or_else(|e| e.into_inner()).take();
            let (place, text) = panic.unwrap_or_default();
            fail(&format!("panic at {place}"), text)
        }
    }
}

fn stages(text: &str, thoroughly: bool) -> Result<Reached, Failure> {
    read(text)?;
    let Some(formatted) = whorl_syntax::format(text) else { return Ok(Reached::Read) };
    same_program(text, &formatted)?;
    traced(text, thoroughly)
}

/// The tree is the text, and every diagnostic has a place in it.
fn read(text: &str) -> Result<(), Failure> {
    let mut map = SourceMap::new();
    let file = map.add("fuzz.whorl", text);
    let parse = whorl_syntax::parse(file, text);
    if parse.tree.text() != text {
        return fail("the tree is not the text", parse.tree.text());
    }
    parse.diagnostics.iter().try_for_each(|d| placed(d, &map))
}

fn placed(d: &Diagnostic, map: &SourceMap) -> Result<(), Failure> {
    for label in &d.labels {
        if let Some(file) = map.file(label.span.file)
            && file.text.get(label.span.start as usize..label.span.end as usize).is_none()
        {
            return fail("a diagnostic points outside of the text", format!("{d:?}"));
        }
    }
    if d.render(map).is_empty() {
        return fail("a diagnostic says nothing", format!("{d:?}"));
    }
    Ok(())
}

/// The formatter moves lines and spaces, and nothing else.
fn same_program(text: &str, formatted: &str) -> Result<(), Failure> {
    let (before, after) = (whorl_syntax::parse(FileId(0), text), whorl_syntax::parse(FileId(0), formatted));
    if let Some(d) = after.diagnostics.first() {
        return fail("the formatter breaks the program", format!("{}\n{formatted}", d.message));
    }
    if before.tree.outline() != after.tree.outline() {
        return fail("the formatter changes the tree", formatted);
    }
    match whorl_syntax::format(formatted) {
        Some(again) if again == formatted => Ok(()),
        Some(again) => fail("formatting twice is not formatting once", format!("{formatted}\n--- and again\n{again}")),
        None => fail("the formatter breaks the program", formatted),
    }
}

/// The standard library, and no files.
struct Library;

impl Loader for Library {
    fn load(&mut self, path: &[String], from: Option<&str>) -> Result<(String, String), String> {
        match path.first() {
            Some(first) if first == "std" => whorl::standard_library::Modules.load(path, from),
            _ => Err("no file".to_string()),
        }
    }
}

fn traced(text: &str, thoroughly: bool) -> Result<Reached, Failure> {
    let mut map = SourceMap::new();
    let script = match Script::load(&mut Library, &mut map, "fuzz.whorl", text, &[]) {
        Ok(script) => script,
        Err(diagnostics) => return answered(&diagnostics, &map),
    };
    let mut reached = Reached::Formatted;
    let programs =
        std::iter::once(script.trace_main()).chain((0..script.tests().len().min(3)).map(|k| script.trace_test(k)));
    for program in programs {
        match program {
            Err(diagnostics) => {
                answered(&diagnostics, &map)?;
            }
            Ok(traced) => {
                traced.warnings.iter().try_for_each(|d| placed(d, &map))?;
                reached = reached.max(compiled(traced.program, thoroughly)?);
            }
        }
    }
    Ok(reached)
}

fn answered(diagnostics: &[Diagnostic], map: &SourceMap) -> Result<Reached, Failure> {
    if diagnostics.is_empty() {
        return fail("refused without a reason", "");
    }
    diagnostics.iter().try_for_each(|d| placed(d, map))?;
    Ok(Reached::Formatted)
}

fn compiled(program: Program, thoroughly: bool) -> Result<Reached, Failure> {
    let check = |program: &Program, pass: &str| match whorl_core::verify::verify(program) {
        Ok(()) => Ok(()),
        Err(e) => {
            fail(&format!("{pass} makes ill-formed Core"), format!("{e:?}\n{}", whorl_core::print::print(program)))
        }
    };
    check(&program, "tracing")?;
    let program = PASSES.iter().try_fold(program, |program, (name, pass)| {
        let program = pass(program);
        check(&program, name)?;
        Ok(program)
    })?;
    // What is too large to run is refused here, with a sentence.
    let Ok(loops) = whorl_schedule::schedule(&program) else { return Ok(Reached::Traced) };
    if let Err(e) = whorl_schedule::verify(&loops) {
        return fail("schedule makes ill-formed loops", e);
    }
    if !thoroughly {
        return Ok(Reached::Scheduled);
    }
    if steps(&program.vars, &program.main.body) <= MOST_STEPS {
        let key = [ArrayData::scalar(0u32), ArrayData::scalar(7u32)];
        return match machines::same_bits(&program, &key[..program.main.params.len()]) {
            Ok(_) => Ok(Reached::Run),
            Err(e) => fail(&format!("machines differ: {}", e.split(':').next().unwrap_or("")), e),
        };
    }
    match whorl_cpu::compile(&loops, &whorl_cpu::Options { threads: 1, ..Default::default() }) {
        Ok(_) => Ok(Reached::Compiled),
        Err(e) => fail("machine code cannot be made", e.to_string()),
    }
}

/// About how many elements are computed; as many as can be counted where nothing bounds them.
fn steps(vars: &Vars, body: &Body) -> usize {
    let of_statement = |stmt: &whorl_core::Stmt| {
        let elements = stmt.outs.iter().map(|v| vars.ty(*v).size()).fold(1, usize::saturating_add);
        let inner = match &stmt.op {
            Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => 0,
            Op::Form(form) => match &**form {
                Form::Map(m) => m.n.saturating_mul(steps(vars, &m.body)),
                Form::Scan(s) => s.n.saturating_mul(steps(vars, &s.body)),
                Form::While(w) => w
                    .max
                    .unwrap_or(usize::MAX)
                    .saturating_mul(steps(vars, &w.body).saturating_add(steps(vars, &w.condition)).max(1)),
                Form::Switch(s) => s.arms.iter().map(|b| steps(vars, b)).max().unwrap_or(0),
            },
        };
        elements.saturating_add(inner)
    };
    body.stmts.iter().map(of_statement).fold(0, usize::saturating_add)
}
