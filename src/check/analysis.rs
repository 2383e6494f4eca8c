//! What the passes say of a program, joined by the places in the source.

use std::time::{Duration, Instant};

use whorl_core::Program;
use whorl_core::ir::{Body, Form, Op, Spans};
use whorl_schedule::cost::{self, Leaf};
use whorl_schedule::loop_ir::{LoopProgram, Node, Phase};
use whorl_source::{SourceMap, Span};
use whorl_transform::distribute::Notes;

use crate::pipeline;

/// One program: that of the runs, or what follows them.
pub struct Part {
    /// As it was traced.
    pub core: Program,
    pub flat: Program,
    pub notes: Notes,
    pub program: LoopProgram,
    /// Of distribution and simplification, and of the schedule.
    pub times: [Duration; 2],
}

/// The program of the runs, and what comes after them.
pub fn parts(program: Program, map: &SourceMap) -> Result<Vec<Part>, String> {
    let (first, after) = pipeline::cut(program);
    [Some(first), after].into_iter().flatten().map(|p| Part::new(p, map)).collect()
}

impl Part {
    pub fn new(core: Program, map: &SourceMap) -> Result<Part, String> {
        let begin = Instant::now();
        let (flat, notes) = pipeline::flatten_noted(core.clone());
        let flattened = begin.elapsed();
        let program = pipeline::schedule(&flat, map)?;
        Ok(Part { core, flat, notes, program, times: [flattened, begin.elapsed() - flattened] })
    }

    /// The nodes without bodies of all phases, with the number of times the phase is gone through.
    pub fn leaves(&self) -> Vec<(usize, Leaf<'_>)> {
        let all = self.program.phases.iter().enumerate();
        all.flat_map(|(k, p)| cost::leaves(&self.program, p.body()).into_iter().map(move |l| (k, l))).collect()
    }
}

/// A form of the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    For,
    Scan { train: bool },
    While,
}

/// A loop as the script has it, wherever it is traced.
#[derive(Clone, PartialEq, Debug)]
pub struct Source {
    pub kind: Kind,
    pub span: Span,
    /// Lanes or steps; the most, of a `while`.
    pub n: Option<usize>,
}

/// The loops of a traced program, each once, in the order of the text.
pub fn sources(program: &Program) -> Vec<Source> {
    fn body(of: &Body, found: &mut Vec<Source>) {
        for stmt in &of.stmts {
            let Op::Form(form) = &stmt.op else { continue };
            let source = match &**form {
                Form::Map(m) => Some((Kind::For, Some(m.n))),
                Form::Scan(s) => Some((Kind::Scan { train: s.train }, Some(s.n))),
                Form::While(w) => Some((Kind::While, w.max)),
                Form::Switch(_) => None,
            };
            if let (Some((kind, n)), Some(span)) = (source, place(&stmt.spans)) {
                let source = Source { kind, span, n };
                if !found.contains(&source) {
                    found.push(source);
                }
            }
            form.bodies().into_iter().for_each(|b| body(b, found));
        }
    }
    let mut found = Vec::new();
    body(&program.main.body, &mut found);
    found.sort_by_key(|s| (s.span.file, s.span.start));
    found
}

/// The first place in a file.
pub fn place(spans: &Spans) -> Option<Span> {
    spans.iter().copied().find(|s| s.marked().is_none() && *s != Span::NONE)
}

/// A loop of the schedule.
pub struct Loop<'a> {
    pub spans: &'a Spans,
    pub n: Option<usize>,
    pub reverse: bool,
    pub is_while: bool,
    pub train: bool,
}

/// The loops that were left, in the order of the text.
pub fn loops(p: &LoopProgram) -> Vec<Loop<'_>> {
    fn block<'a>(p: &'a LoopProgram, nodes: &'a [Node], found: &mut Vec<Loop<'a>>) {
        for node in nodes {
            match node {
                Node::Loop { n, reverse, index, .. } => found.push(Loop {
                    spans: &p.buffer(*index).spans,
                    n: Some(*n),
                    reverse: *reverse,
                    is_while: false,
                    train: false,
                }),
                Node::While { test, max, .. } => found.push(Loop {
                    spans: &p.buffer(*test).spans,
                    n: *max,
                    reverse: false,
                    is_while: true,
                    train: false,
                }),
                Node::Switch { .. }
                | Node::Lanes(_)
                | Node::MatMul(_)
                | Node::Sort(_)
                | Node::Cumulative(_)
                | Node::Log { .. }
                | Node::Check(_) => {}
            }
            whorl_schedule::bodies(node).into_iter().for_each(|b| block(p, b, found));
        }
    }
    let mut found = Vec::new();
    for phase in &p.phases {
        if let Phase::Train { n, index, .. } = phase {
            let spans = &p.buffer(*index).spans;
            found.push(Loop { spans, n: Some(*n), reverse: false, is_while: false, train: true });
        }
        block(p, phase.body(), &mut found);
    }
    found
}
