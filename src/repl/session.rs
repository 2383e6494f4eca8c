//! A script as it grows, without a terminal: what is typed joins it, or is run in it and gives a value.
//!
//! A definition that cannot be, or a value that cannot be computed, leaves the session as it was. The value of a `let` is computed
//! once and kept; where it holds functions, which have no value outside of a program, the `let` itself joins the script.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use whorl_source::{Diagnostic, FileId, Severity, SourceMap};
use whorl_syntax::EntryKind;
use whorl_syntax::ast::ItemKind;
use whorl_trace::{
    Data, DataProblem, DataRequest, Input, Kept, Loader, Named, Outline, Part, PartKind, Script, TestKind,
};

use super::evaluate::{Ran, Stopped, evaluate, stoppable};
use crate::pipeline::{Source, render};
use crate::standard_library::Modules;
use crate::test::{self, Trials};

/// What the last value is called.
pub const LAST: &str = "it";

/// What came of something typed.
#[derive(Default)]
pub struct Answer {
    /// Warnings, and what was logged.
    pub notes: Vec<String>,
    pub value: Option<Kept>,
    /// Words in place of a value.
    pub said: Option<String>,
    pub times: Option<Times>,
}

/// How long it took.
#[derive(Clone, Copy)]
pub struct Times {
    pub trace: Duration,
    pub compile: Duration,
    pub run: Duration,
}

pub struct Session {
    /// The file that was loaded.
    file: Option<PathBuf>,
    /// The file first, then what was typed.
    parts: Vec<Part>,
    settings: Vec<(String, String)>,
    modules: Cached,
    /// All parts, as they were last loaded.
    source: Arc<Source>,
    /// How much was typed.
    pub count: usize,
    /// Set from elsewhere, it ends what runs.
    pub stop: Arc<AtomicBool>,
}

impl Session {
    /// Without a file there is nothing but what is there without an import.
    pub fn new(file: Option<&Path>, settings: &[(String, String)]) -> Result<Session, String> {
        let empty = loaded(&mut Cached::default(), &None, &[], &[])?;
        let mut session = Session {
            file: None,
            parts: Vec::new(),
            settings: settings.to_vec(),
            modules: Cached::default(),
            source: Arc::new(empty),
            count: 0,
            stop: Arc::default(),
        };
        match file {
            Some(file) => session.load(file, settings)?,
            None => session.source = Arc::new(session.with(&[])?),
        }
        Ok(session)
    }

    /// All that is defined, as a script.
    pub fn script(&self) -> &Script {
        &self.source.script
    }

    /// Starts again from a file. What was typed or set is gone.
    pub fn load(&mut self, file: &Path, settings: &[(String, String)]) -> Result<(), String> {
        let text = read(file)?;
        let parts = vec![Part::items(file.display().to_string(), text)];
        let mut modules = Cached::default();
        let source = loaded(&mut modules, &Some(file.to_path_buf()), &parts, settings)?;
        (self.file, self.parts, self.modules) = (Some(file.to_path_buf()), parts, modules);
        (self.settings, self.source) = (settings.to_vec(), Arc::new(source));
        Ok(())
    }

    /// Reads the file, its modules and its data again. What was typed stays.
    pub fn reload(&mut self) -> Result<(), String> {
        let mut parts = self.parts.clone();
        if let (Some(file), Some(first)) = (&self.file, parts.first_mut()) {
            first.text = read(file)?;
        }
        let mut modules = Cached::default();
        let source = loaded(&mut modules, &self.file, &parts, &self.settings)?;
        (self.parts, self.modules, self.source) = (parts, modules, Arc::new(source));
        Ok(())
    }

    /// Forgets all but what is there without an import.
    pub fn reset(&mut self) -> Result<(), String> {
        *self = Session { count: self.count, stop: self.stop.clone(), ..Session::new(None, &[])? };
        Ok(())
    }

    /// Sets a param or a size.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let mut settings = self.settings.clone();
        settings.retain(|(n, _)| n != name);
        settings.push((name.to_string(), value.to_string()));
        let source = loaded(&mut self.modules, &self.file, &self.parts, &settings)?;
        (self.settings, self.source) = (settings, Arc::new(source));
        Ok(())
    }

    /// Takes in what was typed: items and statements. It ends at the first that fails, with the text to show; `answer` gets the
    /// others.
    pub fn enter(&mut self, text: &str, answer: &mut dyn FnMut(Answer)) -> Result<(), String> {
        let mut map = SourceMap::new();
        let file = map.add(self.next_name(), text);
        let (entries, errors) = whorl_syntax::parse_entries(file, text);
        if !errors.is_empty() {
            self.count += 1;
            return Err(render(&errors, &map));
        }
        for entry in entries {
            let text = &text[entry.span.start as usize..entry.span.end as usize];
            let text = text.trim_start_matches(['\n', '\r', ';', ' ', '\t']);
            let done = match &entry.kind {
                EntryKind::Statement => self.statement(text, true),
                EntryKind::Item(item) => self.item(&item.kind, text),
            };
            self.count += 1;
            answer(done?);
        }
        Ok(())
    }

    /// The value of an expression, which changes nothing.
    pub fn evaluate(&mut self, text: &str) -> Result<Answer, String> {
        let done = self.statement(text, false);
        self.count += 1;
        done
    }

    /// An expression as a program, with its files.
    pub fn traced(&mut self, text: &str) -> Result<(Input, Source), String> {
        let part = Part { name: self.next_name(), text: text.to_string(), kind: PartKind::Statements };
        let source = self.with(&[part])?;
        let input = source.script.trace_input().map_err(|e| render(&e, &source.map))?;
        Ok((input, source))
    }

    fn next_name(&self) -> String {
        format!("[{}]", self.count + 1)
    }

    /// The script with further parts.
    fn with(&mut self, more: &[Part]) -> Result<Source, String> {
        let parts: Vec<Part> = self.parts.iter().chain(more).cloned().collect();
        loaded(&mut self.modules, &self.file, &parts, &self.settings)
    }

    /// Adds a part for good. Parts of which nothing is left are dropped.
    fn join(&mut self, part: Part) -> Result<(), String> {
        let source = self.with(std::slice::from_ref(&part))?;
        if let PartKind::Values(values) = &part.kind {
            let again = |(name, _): &(String, Arc<Kept>)| values.iter().any(|(n, _)| n == name);
            for old in &mut self.parts {
                if let PartKind::Values(values) = &mut old.kind {
                    values.retain(|v| !again(v));
                }
            }
            self.parts.retain(|p| !matches!(&p.kind, PartKind::Values(values) if values.is_empty()));
        }
        self.parts.push(part);
        self.source = Arc::new(source);
        Ok(())
    }

    fn item(&mut self, item: &ItemKind, text: &str) -> Result<Answer, String> {
        let part = Part::items(self.next_name(), text);
        match item {
            ItemKind::Let { .. } => self.let_item(part),
            ItemKind::Test { .. } | ItemKind::Prop(_) => self.test(part),
            ItemKind::Import(_)
            | ItemKind::Param(_)
            | ItemKind::Size(_)
            | ItemKind::Type(_)
            | ItemKind::Enum(_)
            | ItemKind::Fn(_)
            | ItemKind::Data(_)
            | ItemKind::Error => {
                let name = part.name.clone();
                self.join(part)?;
                Ok(Answer {
                    notes: self.warnings(self.source.script.unused(), &name, &self.source.map),
                    ..Answer::default()
                })
            }
        }
    }

    fn let_item(&mut self, part: Part) -> Result<Answer, String> {
        let typed = Part { kind: PartKind::Statements, ..part.clone() };
        let (kept, answer) = self.run(&typed)?;
        let fields = kept.outline.fields();
        if !kept.outline.is_plain() {
            self.join(part)?;
            return Ok(answer);
        }
        let (mut values, mut arrays) = (Vec::new(), kept.arrays.as_slice());
        for (name, outline) in fields {
            let (own, rest) = arrays.split_at(outline.arrays());
            arrays = rest;
            values.push((name.clone(), Arc::new(Kept { outline: outline.clone(), arrays: own.to_vec() })));
        }
        self.join(Part { kind: PartKind::Values(values), ..part })?;
        Ok(answer)
    }

    fn statement(&mut self, text: &str, keep: bool) -> Result<Answer, String> {
        let part = Part { name: self.next_name(), text: text.to_string(), kind: PartKind::Statements };
        let (kept, answer) = self.run(&part)?;
        match &kept.outline {
            Outline::Unit => return Ok(answer),
            outline if keep && outline.is_plain() && !self.defines_last() => {
                let values = vec![(LAST.to_string(), Arc::new(kept.clone()))];
                self.join(Part { kind: PartKind::Values(values), ..part })?;
            }
            _ => {}
        }
        Ok(Answer { value: Some(kept), ..answer })
    }

    /// Whether the user has given [`LAST`] a meaning of their own.
    fn defines_last(&self) -> bool {
        let own = |p: &Part| match &p.kind {
            PartKind::Values(values) => values.iter().any(|(n, _)| n == LAST) && p.text.trim_start().starts_with("let"),
            PartKind::Items | PartKind::Statements => false,
        };
        let values =
            self.parts.iter().any(|p| matches!(&p.kind, PartKind::Values(v) if v.iter().any(|(n, _)| n == LAST)));
        self.parts.iter().any(own) || !values && self.names().iter().any(|n| n.name == LAST)
    }

    /// Runs statements as a program. Its value, and the rest of the answer.
    fn run(&mut self, part: &Part) -> Result<(Kept, Answer), String> {
        let begin = Instant::now();
        let source = self.with(std::slice::from_ref(part))?;
        let Input { traced, outline } = source.script.trace_input().map_err(|e| render(&e, &source.map))?;
        let trace = begin.elapsed();
        let mut notes = self.warnings(&traced.warnings, &part.name, &source.map);
        let Ran { results, logged, compile, run } = if outline.arrays() == 0
            && traced.program.main.body.stmts.is_empty()
        {
            // All of it was known while tracing.
            Ran { results: Vec::new(), logged: Vec::new(), compile: Duration::ZERO, run: Duration::ZERO }
        } else {
            evaluate(traced, source.map, &self.stop).map_err(|why| match why {
                Stopped::Failed(text) => text,
                Stopped::Interrupted => "interrupted".to_string(),
                Stopped::Abandoned => {
                    "interrupted; it does not stop, and is left to itself:\nit takes a core until it ends, or until you leave".to_string()
                }
            })?
        };
        notes.extend(logged);
        let arrays = results.into_iter().take(outline.arrays()).map(Arc::new).collect();
        let answer = Answer { notes, times: Some(Times { trace, compile, run }), ..Answer::default() };
        Ok((Kept { outline, arrays }, answer))
    }

    /// A test or a property, which runs at once and joins the script, so that it can be run again.
    fn test(&mut self, part: Part) -> Result<Answer, String> {
        let source = Arc::new(self.with(std::slice::from_ref(&part))?);
        let own = |span: whorl_source::Span| source.map.file(span.file).is_some_and(|f| f.name == part.name);
        let cases = source.script.tests();
        let mine = cases.iter().position(|c| own(c.span) && !matches!(c.kind, TestKind::Example));
        let said = match mine {
            Some(k) => self.tests(&source, &[k])?,
            None => String::new(),
        };
        self.join(part)?;
        Ok(Answer { said: Some(said), ..Answer::default() })
    }

    /// Runs all tests of the script.
    pub fn test_all(&mut self) -> Result<Answer, String> {
        let source = self.source.clone();
        let all: Vec<usize> = (0..source.script.tests().len()).collect();
        if all.is_empty() {
            return Err("there are no tests; one is `test \"name\" { assert … }`".to_string());
        }
        Ok(Answer { said: Some(self.tests(&source, &all)?), ..Answer::default() })
    }

    fn tests(&self, source: &Arc<Source>, which: &[usize]) -> Result<String, String> {
        let mut failed = Vec::new();
        for k in which {
            let (source, k) = (source.clone(), *k);
            let work = move || test::check(&source, k, Trials::default()).map_err(|e| render(&e, &source.map));
            match stoppable(&self.stop, work) {
                Ok(Ok(())) => {}
                Ok(Err(text)) => failed.push(text),
                Err(Stopped::Failed(text)) => failed.push(text),
                Err(Stopped::Interrupted | Stopped::Abandoned) => return Err("interrupted".to_string()),
            }
        }
        match (failed.is_empty(), which.len()) {
            (true, 1) => Ok("passed".to_string()),
            (true, n) => Ok(format!("{n} passed")),
            (false, n) => {
                let count = failed.len();
                let told = if n > 1 { format!("\n{} passed, {count} failed", n - count) } else { String::new() };
                Err(failed.join("\n") + &told)
            }
        }
    }

    /// Warnings of what was just typed. That a name is not used yet is no matter in a session.
    fn warnings(&self, all: &[Diagnostic], part: &str, map: &SourceMap) -> Vec<String> {
        let of_part = |d: &&Diagnostic| {
            let at = d.labels.first().and_then(|l| map.file(l.span.file));
            at.is_some_and(|f| f.name == part) && !matches!(d.code, "W0003" | "W0004" | "W0005")
        };
        all.iter().filter(of_part).filter(|d| d.severity == Severity::Warning).map(|d| d.render(map)).collect()
    }

    /// The names that are defined, in the order of their definition.
    pub fn names(&self) -> Vec<Named> {
        self.source.script.names()
    }

    /// The value that a `let` was kept with, or that was the last.
    pub fn value(&self, name: &str) -> Option<&Kept> {
        self.parts.iter().rev().find_map(|p| match &p.kind {
            PartKind::Values(values) => values.iter().find(|(n, _)| n == name).map(|(_, kept)| &**kept),
            PartKind::Items | PartKind::Statements => None,
        })
    }

    /// What an expression is, without running it; nothing where that is not known.
    pub fn outline(&mut self, text: &str) -> Option<Outline> {
        let part = Part { name: "[]".to_string(), text: text.to_string(), kind: PartKind::Statements };
        let source = self.with(&[part]).ok()?;
        Some(source.script.trace_input().ok()?.outline)
    }
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|e| format!("error: {}: {e}", file.display()))
}

fn loaded(
    modules: &mut Cached,
    file: &Option<PathBuf>,
    parts: &[Part],
    settings: &[(String, String)],
) -> Result<Source, String> {
    let mut map = SourceMap::new();
    let name = file.as_ref().map_or("session".to_string(), |f| f.display().to_string());
    match Script::of_parts(modules, &mut map, &name, parts, settings) {
        Ok(script) => {
            let text = map.file(FileId(0)).map_or(String::new(), |f| f.text.clone());
            Ok(Source { map, script, text })
        }
        Err(errors) => Err(render(&errors, &map)),
    }
}

/// Modules and data as they were first read: a session reads them again when it is told to.
#[derive(Default)]
struct Cached {
    texts: HashMap<(Vec<String>, Option<String>), (String, String)>,
    data: HashMap<(String, bool, Option<String>), Data>,
}

impl Loader for Cached {
    fn load(&mut self, path: &[String], from: Option<&str>) -> Result<(String, String), String> {
        let key = (path.to_vec(), from.map(str::to_string));
        if let Some(known) = self.texts.get(&key) {
            return Ok(known.clone());
        }
        let read = Modules.load(path, from)?;
        self.texts.insert(key, read.clone());
        Ok(read)
    }

    fn data(&mut self, request: &DataRequest, from: Option<&str>) -> Result<Data, DataProblem> {
        let key = (request.file.clone(), request.header, from.map(str::to_string));
        if let Some(known) = self.data.get(&key) {
            return Ok(known.clone());
        }
        let read = Modules.data(request, from)?;
        self.data.insert(key, read.clone());
        Ok(read)
    }

    fn known(&self) -> Vec<String> {
        Modules.known()
    }
}
