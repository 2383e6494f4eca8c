//! What a script says of itself: its `test` and `prop` blocks and the examples in its doc comments, ready to be run.
//!
//! A test is a program without parameters, whose `assert`s are effects. An example is one too, whose results are the values
//! that it claims, beside what it got. A property is traced twice: with its parameters in front of all cases, which are lanes of
//! one `for`, and, once a case has failed, on its own, to make the case simpler.

mod claims;
mod drawn;
pub(crate) mod examples;
mod layout;

pub use claims::Claim;
pub use drawn::{Drawn, Interval, SizeRange};
use examples::Example;
pub use layout::{Layout, VariantLayout};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Block, Fails, ItemKind, PropDef};

use crate::entry::Traced;
use crate::script::{ModuleId, Script};
use crate::value::{Env, Value};

/// Something that `whorl test` runs.
#[derive(Clone, PartialEq, Debug)]
pub struct TestCase {
    pub name: String,
    pub span: Span,
    pub kind: TestKind,
}

#[derive(Clone, PartialEq, Debug)]
pub enum TestKind {
    /// `test "…" { … }`: traces and runs.
    Test,
    /// `test "…" fails … { … }`: must not.
    Fails(Expected),
    /// `prop "…" (…) { … }`: to be run on what is drawn.
    Prop,
    /// Code in a doc comment.
    Example,
}

/// How a test must fail; in any way, where nothing is said.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Expected {
    pub code: Option<String>,
    /// Part of the message.
    pub message: Option<String>,
    pub span: Option<Span>,
}

enum Check<'a> {
    Test(Option<&'a Fails>, &'a Block),
    Prop(&'a PropDef),
    Example(&'a Example),
}

impl Script {
    fn checks(&self) -> Vec<(&str, Span, Check<'_>)> {
        let module = self.module(ModuleId::MAIN);
        let items = module.tree.items.iter().filter_map(|i| match &i.kind {
            ItemKind::Test { name, fails, body } => Some((name.as_str(), i.span, Check::Test(fails.as_ref(), body))),
            ItemKind::Prop(def) => Some((def.name.as_str(), i.span, Check::Prop(def))),
            ItemKind::Import(_)
            | ItemKind::Param(_)
            | ItemKind::Size(_)
            | ItemKind::Type(_)
            | ItemKind::Enum(_)
            | ItemKind::Fn(_)
            | ItemKind::Let { .. }
            | ItemKind::Data(_)
            | ItemKind::Error => None,
        });
        items.chain(module.examples.iter().map(|e| (e.name.as_str(), e.span, Check::Example(e)))).collect()
    }

    /// Tests and properties in the order of the text, then the examples.
    pub fn tests(&self) -> Vec<TestCase> {
        let case = |(name, span, check): (&str, Span, Check)| {
            let kind = match check {
                Check::Test(None, _) => TestKind::Test,
                Check::Test(Some(fails), _) => TestKind::Fails(Expected {
                    code: fails.code.as_ref().map(|n| n.text.clone()),
                    message: fails.message.clone(),
                    span: Some(fails.span),
                }),
                Check::Prop(_) => TestKind::Prop,
                Check::Example(_) => TestKind::Example,
            };
            TestCase { name: name.to_string(), span, kind }
        };
        self.checks().into_iter().map(case).collect()
    }

    /// The `i`-th of `tests`, as a program without parameters; of a property, one case with all sizes as small as they go
    /// would need parameters: that is [`Script::trace_prop`].
    pub fn trace_test(&self, i: usize) -> Result<Traced, Vec<Diagnostic>> {
        let example = match self.checks().into_iter().nth(i) {
            Some((_, _, Check::Test(_, body))) => {
                return self.traced(|t| {
                    t.function = "the test";
                    t.saves.forbidden = Some(("this is run by a test", "`assert` says what should hold of the value"));
                    t.block(body, &Env::default())?;
                    Ok((Vec::new(), Value::Unit))
                });
            }
            Some((_, _, Check::Example(example))) => example,
            Some((name, span, Check::Prop(_))) => {
                let e = Diagnostic::error("E0601", format!("`{name}` is a property and needs cases"));
                return Err(vec![e.at(span, "")]);
            }
            None => return Err(vec![Diagnostic::error("E0401", format!("there is no test number {i}"))]),
        };
        if !example.errors.is_empty() {
            return Err(example.errors.clone());
        }
        let mut claims = Vec::new();
        let traced = self.traced(|t| {
            t.function = "the example";
            let results = t.example(example, &mut claims)?;
            // An example shows how to save; it leaves no files.
            t.saves.list.clear();
            Ok((Vec::new(), results))
        })?;
        Ok(Traced { claims, ..traced })
    }

    /// What the sizes of the `i`-th test, a property, may be.
    pub fn size_ranges(&self, i: usize) -> Result<Vec<SizeRange>, Vec<Diagnostic>> {
        let def = self.property(i)?;
        let mut ranges = Vec::new();
        self.traced(|t| {
            ranges = t.size_ranges(def)?;
            Ok((Vec::new(), Value::Unit))
        })?;
        Ok(ranges)
    }

    /// The `i`-th test, a property, for these sizes, as a program whose parameters are what is drawn: for so many cases at
    /// once, or for one. Says what is drawn for each of its parameters, in order.
    pub fn trace_prop(
        &self,
        i: usize,
        sizes: &[usize],
        cases: Option<usize>,
    ) -> Result<(Traced, Vec<Drawn>), Vec<Diagnostic>> {
        let def = self.property(i)?;
        let mut drawn = Vec::new();
        let traced = self.traced(|t| {
            t.function = "the property";
            let params = t.property(def, sizes, cases, &mut drawn)?;
            Ok((params, Value::Unit))
        })?;
        Ok((traced, drawn))
    }

    fn property(&self, i: usize) -> Result<&PropDef, Vec<Diagnostic>> {
        match self.checks().into_iter().nth(i) {
            Some((_, _, Check::Prop(def))) => Ok(def),
            Some((name, span, Check::Test(..) | Check::Example(_))) => {
                Err(vec![Diagnostic::error("E0601", format!("`{name}` is not a property")).at(span, "")])
            }
            None => Err(vec![Diagnostic::error("E0401", format!("there is no test number {i}"))]),
        }
    }
}
