//! `whorl show`: the program after a stage, with the source's lines beside it.

use std::process::ExitCode;

use whorl_core::ir::{Body, Op, Spans};
use whorl_core::print::{print_function, print_with};
use whorl_core::{Function, Program, Vars};
use whorl_schedule::loop_ir::LoopProgram;
use whorl_source::{FileId, SourceMap, Span};

use crate::args::{self, Stage};
use crate::check::schedule::lines_of;
use crate::pipeline;

/// Where a line is asked for.
const NOTHING: &str =
    "nothing of this stage comes from the line itself; the functions that it calls have lines of their own\n";
/// Lines of which a comment tells; more make it longer than they explain.
const MOST_LINES: usize = 4;

pub fn show(options: &args::Show) -> Result<ExitCode, String> {
    let source = pipeline::load(&options.script)?;
    let view =
        View { map: &source.map, line: options.line.as_deref().map(|l| Line::find(l, &source.map)).transpose()? };
    if options.stage == Stage::Tree && view.line.as_ref().is_some_and(|l| l.file.0 != 0) {
        return Err("error: --stage tree is of the script itself: --line takes a number".to_string());
    }
    crate::put(view.heading());
    if options.stage == Stage::Tree {
        let (file, text) = (FileId(0), &source.text);
        let outline = whorl_syntax::parse(file, text).tree.outline();
        crate::put(view.tree(&outline)?);
        return Ok(ExitCode::SUCCESS);
    }
    if options.stage == Stage::Grad {
        let (vars, made) = source.script.derivatives().map_err(|d| pipeline::render(&d, &source.map))?;
        return view.derivatives(&vars, &made);
    }
    let traced = source.script.trace_main().map_err(|d| pipeline::render(&d, &source.map))?;
    if options.stage == Stage::Core {
        crate::put(view.core(&traced.program));
        return Ok(ExitCode::SUCCESS);
    }
    let (first, after) = pipeline::cut(traced.program);
    let cut = after.is_some();
    for (k, program) in [Some(first), after].into_iter().flatten().enumerate() {
        if cut {
            say!("{}# {}", if k == 0 { "" } else { "\n" }, ["the runs", "what follows the runs"][k]);
        }
        crate::put(view.late(program, options.stage)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// A line of the source.
struct Line {
    file: FileId,
    number: usize,
}

impl Line {
    /// `12` of the script itself, or `ppo.whorl:12`.
    fn find(text: &str, map: &SourceMap) -> Result<Line, String> {
        let (file, number) = text.rsplit_once(':').unwrap_or(("", text));
        let wrong = || format!("error: --line {text}: write the number of a line of the script, or file:number");
        let number: usize = number.parse().map_err(|_| wrong())?;
        let named = |name: &str| name == file || name.ends_with(&format!("/{file}"));
        let found = map.files().find(|(id, f)| if file.is_empty() { id.0 == 0 } else { named(&f.name) });
        let Some((id, f)) = found else {
            let names: Vec<&str> = map.files().map(|(_, f)| f.name.as_str()).collect();
            return Err(format!(
                "error: --line {text}: no such file is part of the program; there are {}",
                names.join(", ")
            ));
        };
        let lines = f.text.lines().count();
        if number == 0 || number > lines {
            return Err(format!("error: --line {text}: {} has {lines} lines", f.name));
        }
        Ok(Line { file: id, number })
    }

    fn holds(&self, span: Span, map: &SourceMap) -> bool {
        span.file == self.file && map.file(span.file).is_some_and(|f| f.position(span.start).0 == self.number)
    }
}

struct View<'a> {
    map: &'a SourceMap,
    line: Option<Line>,
}

impl View<'_> {
    /// The line that is asked for, as the source has it.
    fn heading(&self) -> String {
        let Some(line) = &self.line else { return String::new() };
        let Some(file) = self.map.file(line.file) else { return String::new() };
        format!("{}:{} │ {}\n\n", file.name, line.number, file.line(line.number))
    }

    fn keeps(&self, spans: &Spans) -> bool {
        self.line.as_ref().is_none_or(|l| spans.iter().any(|s| l.holds(*s, self.map)))
    }

    /// `ppo.whorl:31, rl.whorl:7`
    fn comment(&self, spans: &[Span]) -> String {
        let mut lines = lines_of(self.map, &Spans::from_slice(spans));
        let more = lines.len().saturating_sub(MOST_LINES);
        lines.truncate(MOST_LINES);
        let text = lines.join(", ");
        if more > 0 { format!("{text} and {more} more") } else { text }
    }

    fn said(&self, spans: &Spans) -> Option<String> {
        Some(self.comment(spans)).filter(|s| !s.is_empty())
    }

    fn core(&self, program: &Program) -> String {
        let mut program = program.clone();
        self.prune(&mut program.main.body);
        if self.line.is_some() && program.main.body.stmts.is_empty() {
            return NOTHING.to_string();
        }
        print_with(&program, &|spans| self.said(spans))
    }

    /// Keeps the statements of the line, and what stands around them.
    fn prune(&self, body: &mut Body) {
        if self.line.is_none() {
            return;
        }
        body.stmts.retain_mut(|stmt| {
            if self.keeps(&stmt.spans) {
                return true;
            }
            let Op::Form(form) = &mut stmt.op else { return false };
            form.bodies_mut().into_iter().for_each(|b| self.prune(b));
            form.bodies().iter().any(|b| !b.stmts.is_empty())
        });
    }

    /// The nodes of the tree that begin on the line, and what is in them.
    fn tree(&self, outline: &str) -> Result<String, String> {
        let Some(line) = &self.line else { return Ok(outline.to_string()) };
        let file = self.map.file(line.file).ok_or("error: the script has no text")?;
        let starts_here = |row: &str| {
            let at = row.split(|c: char| !c.is_ascii_digit() && c != '.').find(|w| w.contains("..") && w.len() > 2);
            let start = at.and_then(|w| w.split_once("..")).and_then(|(start, _)| start.parse::<u32>().ok());
            start.is_some_and(|s| file.position(s).0 == line.number)
        };
        let rows: Vec<&str> = outline.lines().filter(|row| starts_here(row)).collect();
        Ok(rows.iter().map(|row| format!("{row}\n")).collect())
    }

    fn derivatives(&self, vars: &Vars, made: &[whorl_trace::Made]) -> Result<ExitCode, String> {
        let wanted = |m: &&whorl_trace::Made| self.keeps(&Spans::from_slice(&[m.span]));
        let made: Vec<&whorl_trace::Made> = made.iter().filter(wanted).collect();
        if made.is_empty() {
            let place = if self.line.is_some() { "this line" } else { "the script" };
            say!("{place} makes no derivative");
        }
        for (k, m) in made.iter().enumerate() {
            let what = if m.reverse { "reverse" } else { "forward" };
            say!("# derivative {} of {}, {what} mode, at {}", k + 1, made.len(), self.map.line_name(m.span));
            say!("# of this function:");
            crate::put(print_function(vars, &m.of, &|spans| self.said(spans)));
            say!(
                "# the statements that differentiation wrote, and the {}:",
                if m.reverse { "gradients" } else { "tangents" }
            );
            let function = Function { params: Vec::new(), body: m.body.clone() };
            crate::put(print_function(vars, &function, &|spans| self.said(spans)));
            say!("");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// A stage behind the cut.
    fn late(&self, program: Program, stage: Stage) -> Result<String, String> {
        let flat = match stage {
            Stage::Ptx => pipeline::flatten_for_cards(program),
            Stage::Tree | Stage::Core | Stage::Grad | Stage::Fused | Stage::Loops | Stage::Memory | Stage::Asm => {
                pipeline::flatten(program)
            }
        };
        if stage == Stage::Fused {
            return Ok(self.core(&flat));
        }
        let program = pipeline::schedule(&flat, self.map)?;
        let line = |spans: &Spans| self.comment(spans);
        let keep = |spans: &Spans| self.keeps(spans);
        Ok(match stage {
            Stage::Tree | Stage::Core | Stage::Grad | Stage::Fused => String::new(),
            Stage::Loops if self.line.is_none() => whorl_schedule::print(&program, &line),
            Stage::Loops => {
                let text = whorl_schedule::print_some(&program, &line, &keep);
                if text.is_empty() { NOTHING.to_string() } else { text }
            }
            Stage::Memory => whorl_schedule::memory_map(&program, &line, &keep),
            Stage::Asm => self.assembly(&program)?,
            Stage::Ptx => self.ptx(&program)?,
        })
    }

    /// What a card would be given, with the script's lines.
    fn ptx(&self, program: &LoopProgram) -> Result<String, String> {
        let options = whorl_cuda::Options::default();
        let (files, line) = crate::cuda::lines(self.map);
        let module = whorl_cuda::compile(program, &options, &files, &line).map_err(|e| format!("error: {e}"))?;
        Ok(module.ptx)
    }

    fn assembly(&self, program: &LoopProgram) -> Result<String, String> {
        let options = whorl_cpu::Options { threads: 1, ..whorl_cpu::Options::default() };
        let executable = whorl_cpu::compile(program, &options).map_err(|e| format!("error: {e}"))?;
        let mut text = String::new();
        for function in executable.assembly().map_err(|e| format!("error: {e}"))? {
            if self.keeps(&function.spans) {
                let lines = self.comment(&function.spans);
                let comment = if lines.is_empty() { lines } else { format!("  # {lines}") };
                text += &format!("{}{comment}\n{}\n", function.head, function.code);
            }
        }
        Ok(text)
    }
}

/// A program after a stage that works on whole programs: `core` and those behind it.
pub fn text(program: Program, stage: Stage, map: &SourceMap) -> Result<String, String> {
    let view = View { map, line: None };
    if stage == Stage::Core { Ok(view.core(&program)) } else { view.late(program, stage) }
}
