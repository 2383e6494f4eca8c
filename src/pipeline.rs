//! Text to machine code: the passes, in order.

use std::time::{Duration, Instant};

use whorl_core::Program;
use whorl_cpu::{Executable, Options, TeamOptions};
use whorl_schedule::loop_ir::LoopProgram;
use whorl_source::{Diagnostic, SourceMap, Span};
use whorl_trace::{Loader, Script, Traced};
pub use whorl_transform::flatten::{flatten, flatten_for_cards, flatten_noted};
use whorl_transform::nests;
use whorl_transform::ranges;
use whorl_transform::simplify::simplify;
use whorl_transform::stages;
use whorl_transform::trap::trap_nan;

use crate::args;
use crate::cache::{Cache, Key};
use crate::standard_library::Modules;

/// A script with the files it is made of.
pub struct Source {
    pub map: SourceMap,
    pub script: Script,
    pub text: String,
}

/// Reads and parses the script and all it imports; an error is the rendered text.
pub fn load(script: &args::Script) -> Result<Source, String> {
    let name = script.file.display().to_string();
    let text = std::fs::read_to_string(&script.file).map_err(|e| format!("error: {name}: {e}"))?;
    load_text(&name, text, &script.settings)
}

pub fn load_text(name: &str, text: String, settings: &[(String, String)]) -> Result<Source, String> {
    load_by(&mut Modules, name, text, settings)
}

/// The same with modules and data from where `loader` has them.
pub fn load_by(
    loader: &mut dyn Loader,
    name: &str,
    text: String,
    settings: &[(String, String)],
) -> Result<Source, String> {
    let mut map = SourceMap::new();
    match Script::load(loader, &mut map, name, &text, settings) {
        Ok(script) => Ok(Source { map, script, text }),
        Err(diagnostics) => Err(render(&diagnostics, &map)),
    }
}

pub fn render(diagnostics: &[Diagnostic], map: &SourceMap) -> String {
    diagnostics.iter().map(|d| d.render(map)).collect::<Vec<_>>().join("\n")
}

/// What a program is checked for when it runs, beside its own `assert`s.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checks {
    /// Indices out of range.
    pub index: bool,
    /// The first NaN or infinity.
    pub nan: bool,
}

impl Default for Checks {
    fn default() -> Checks {
        Checks { index: true, nan: false }
    }
}

/// The traced program with these checks and no others.
pub fn checked(mut program: Program, checks: Checks) -> Program {
    if !checks.index {
        ranges::remove_all(&mut program);
    }
    if checks.nan {
        // Behind simplification there is less to look at.
        program = trap_nan(simplify(program));
        debug_verify(&program, "trap_nan");
    }
    program
}

/// The program up to its runs, and what comes after them: see [`stages::cut`] and [`nests::join`].
pub fn cut(program: Program) -> (Program, Option<Program>) {
    let (first, after) = stages::cut(nests::join(program));
    for part in [Some(&first), after.as_ref()].into_iter().flatten() {
        debug_verify(part, "cut");
    }
    (first, after)
}

/// In debug builds, what a pass leaves is checked.
fn debug_verify(program: &Program, pass: &str) {
    if cfg!(debug_assertions)
        && let Err(e) = whorl_core::verify::verify(program)
    {
        panic!("{pass} made ill-formed Core: {e:?}\n{}", whorl_core::print::print(program));
    }
}

pub fn schedule(program: &Program, map: &SourceMap) -> Result<LoopProgram, String> {
    whorl_schedule::schedule(program).map_err(|e| {
        let place = e.span.map_or(String::new(), |s| format!("{}: ", map.line_name(s)));
        format!("error: {place}{}", e.message)
    })
}

/// A traced program, compiled.
pub struct Compiled {
    pub program: LoopProgram,
    pub executable: Executable,
    /// From the traced program to machine code.
    pub time: Duration,
    /// Whether it was compiled before.
    pub cached: bool,
}

/// For all runs together so many threads; anew.
pub fn compile(traced: Program, map: &SourceMap, threads: usize) -> Result<Compiled, String> {
    compile_swept(traced, map, threads, 1, &Cache::none())
}

/// The same for the runs at so many points of a sweep, unless the cache has it.
pub fn compile_swept(
    traced: Program,
    map: &SourceMap,
    threads: usize,
    points: usize,
    cache: &Cache,
) -> Result<Compiled, String> {
    let begin = Instant::now();
    let options = |runs: usize| Options { threads, team: TeamOptions::of(runs, threads), ..Options::default() };
    // How many runs there are follows from the program.
    let key =
        cache.folder().and_then(|_| Some(Key::of(&traced, ("cpu", whorl_cpu::features().ok()?, points, &options(1)))));
    let failed = |e: whorl_cpu::CpuError| format!("error: {e}");
    let found = key.and_then(|key| cache.get(key));
    let cached = found.is_some();
    let image = match found {
        Some(image) => image,
        None => {
            let program = schedule(&flatten(traced), map)?;
            let options = options(program.runs.unwrap_or(1) * points);
            let image = whorl_cpu::image(&program, &options).map_err(failed)?;
            if let Some(key) = key {
                cache.put(key, &image);
            }
            image
        }
    };
    let executable = whorl_cpu::load(image).map_err(failed)?;
    Ok(Compiled { program: executable.program().clone(), executable, time: begin.elapsed(), cached })
}

/// The lines that some code comes from, without repetition: `ppo.whorl:31, rl.whorl:7`.
pub fn lines(map: &SourceMap, spans: &[Span]) -> String {
    let mut names: Vec<String> = Vec::new();
    for span in spans.iter().filter(|s| s.marked().is_none()) {
        let name = map.line_name(*span);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// Prints warnings to standard error.
pub fn warn(traced: &Traced, map: &SourceMap) {
    if !traced.warnings.is_empty() {
        eprintln!("{}", render(&traced.warnings, map));
    }
}
