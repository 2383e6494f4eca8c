//! What became of every loop of the script.

use whorl_core::ir::Spans;
use whorl_schedule::cost::{self, Leaf};
use whorl_schedule::loop_ir::{MatMul, Node};
use whorl_source::{SourceMap, Span};
use whorl_transform::distribute::{Became, Choice, ForNote};

use super::analysis::{self, Kind, Loop, Part, Source, place};
use super::layout::counted;

/// A loop or branch of the script, and what it became.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    pub span: Span,
    pub line: String,
    /// `for 8`, `scan 128`, `if`
    pub what: String,
    pub became: String,
}

/// In the order of the text, the script first. Loops of one line and size are one entry.
pub fn entries(parts: &[Part], map: &SourceMap) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    for part in parts {
        let report = Report { part, leaves: part.leaves().into_iter().map(|(_, l)| l).collect(), map };
        for source in analysis::sources(&part.core) {
            let entry = report.entry(&source);
            if !all.iter().any(|e| (&e.line, &e.what, &e.became) == (&entry.line, &entry.what, &entry.became)) {
                all.push(entry);
            }
        }
        all.extend(report.branches());
    }
    all.sort_by_key(|e| (e.span.file, e.span.start));
    all
}

struct Report<'a> {
    part: &'a Part,
    leaves: Vec<Leaf<'a>>,
    map: &'a SourceMap,
}

impl Report<'_> {
    fn entry(&self, source: &Source) -> Entry {
        let (what, became) = match source.kind {
            Kind::For => {
                let n = source.n.unwrap_or(0);
                (format!("{} {n}", self.word(source.span)), self.lanes(source, n))
            }
            Kind::Scan { train } => {
                let what = if train { "train scan" } else { self.word(source.span) };
                (format!("{what} {}", source.n.unwrap_or(0)), self.scan(source))
            }
            Kind::While => {
                let max = source.n.map_or(String::new(), |n| format!(" max {n}"));
                (format!("while{max}"), self.scan(source))
            }
        };
        Entry { span: source.span, line: self.map.line_name(source.span), what, became }
    }

    /// What the loop is written with: `for`, `scan`, or a function of the language that is one inside.
    fn word(&self, span: Span) -> &str {
        let text = self.map.file(span.file).and_then(|f| f.text.get(span.start as usize..span.end as usize));
        let text = text.unwrap_or("").trim_start();
        let word = &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(text.len())];
        match word {
            "" => "for",
            "let" | "log" | "yield" | "return" | "assert" | "if" => "loop in",
            other => other,
        }
    }

    fn lanes(&self, source: &Source, n: usize) -> String {
        let notes = self.part.notes.fors.iter().enumerate();
        let mine: Vec<(usize, &ForNote)> = notes.filter(|(_, f)| (f.span, f.n) == (source.span, n)).collect();
        if mine.is_empty() {
            return "gone: nothing uses what it gives, or it is known before the program runs".to_string();
        }
        if mine.iter().any(|(_, f)| f.became == Became::Runs) {
            return format!(
                "{}: the outermost `for` around a loop; independent programs, one a thread",
                counted(n, "run")
            );
        }
        let marks: Vec<u32> = mine.iter().map(|(k, _)| *k as u32).collect();
        let is_mine = |spans: &Spans| spans.iter().any(|s| s.marked().is_some_and(|m| marks.contains(&m)));
        let of = |l: &&Leaf| cost::spans_of(l.node).is_some_and(is_mine);
        let leaves: Vec<&Leaf> = self.leaves.iter().filter(of).collect();
        let loops = analysis::loops(&self.part.program).into_iter().filter(|l| is_mine(l.spans)).count();
        let mut parts = products(&leaves);
        let (mut lanes, mut alone, mut sorts) = (0, 0, 0);
        for leaf in &leaves {
            match leaf.node {
                Node::Lanes(l) => {
                    lanes += 1;
                    alone += usize::from(!self.shared(&l.spans, &marks));
                }
                Node::Cumulative(_) => lanes += 1,
                Node::Sort(_) => sorts += 1,
                Node::MatMul(_)
                | Node::Log { .. }
                | Node::Check(_)
                | Node::Loop { .. }
                | Node::While { .. }
                | Node::Switch { .. } => {}
            }
        }
        if lanes > 0 {
            let shared = if alone == 0 { ", all shared with other `for`s" } else { "" };
            parts.push(format!("{}{shared}", counted(lanes, "lane loop")));
        }
        if sorts > 0 {
            parts.push(counted(sorts, "sort"));
        }
        if parts.is_empty() {
            return "no code of its own: only where its elements lie, read by what follows".to_string();
        }
        let around =
            if loops > 0 { format!("; {} over all lanes at once", counted(loops, "loop")) } else { String::new() };
        format!("{}: {}{around}", counted(n, "lane"), parts.join(", "))
    }

    /// Whether a loop does the work of a `for` that stands neither in this one nor around it.
    fn shared(&self, spans: &Spans, marks: &[u32]) -> bool {
        let fors = &self.part.notes.fors;
        let nested = |a: u32, b: u32| fors[a as usize].inside.contains(&b) || fors[b as usize].inside.contains(&a);
        let others = spans.iter().filter_map(|s| s.marked());
        others.filter(|o| !marks.contains(o)).any(|o| !marks.iter().any(|m| nested(*m, o)))
    }

    fn scan(&self, source: &Source) -> String {
        let all = analysis::loops(&self.part.program);
        let mut mine: Vec<&Loop> = all.iter().filter(|l| l.spans.contains(&source.span)).collect();
        // One that is differentiated may have been cut into blocks.
        if mine.iter().any(|l| l.n == source.n) {
            mine.retain(|l| l.n == source.n);
        }
        if mine.iter().any(|l| l.train) {
            return "a loop that the host paces: between two steps are progress, metrics and checkpoints".to_string();
        }
        if mine.is_empty() {
            return "gone: nothing uses what it gives, or it is known before the program runs".to_string();
        }
        let reverse = mine.iter().filter(|l| l.reverse).count();
        let mut text = match (mine.len(), source.kind) {
            (1, Kind::While) => "a loop, as often as its condition says".to_string(),
            (1, Kind::For | Kind::Scan { .. }) => "a loop: each step needs what the one before it left".to_string(),
            (n, _) => format!("{n} loops: once for each place it is used from, and for derivatives once more"),
        };
        if mine.len() > 1 && reverse > 0 && reverse < mine.len() {
            text += &format!(" ({reverse} backward)");
        }
        let around = mine.iter().flat_map(|l| l.spans.iter().filter_map(|s| s.marked())).collect::<Vec<u32>>();
        let lanes = self.part.notes.fors.iter().enumerate();
        let lanes = lanes.filter(|(k, f)| around.contains(&(*k as u32)) && f.became == Became::Lanes);
        let lines: Vec<String> = lanes.map(|(_, f)| short(&self.map.line_name(f.span))).collect();
        if !lines.is_empty() {
            text += &format!("; a step does all lanes of {}", listed(lines));
        }
        text
    }

    /// Branches whose arms differ from lane to lane.
    fn branches(&self) -> Vec<Entry> {
        let mut found: Vec<Entry> = Vec::new();
        for b in &self.part.notes.branches {
            let became = match b.how {
                Choice::Selected { operations: 0 } => continue,
                Choice::Selected { operations } => {
                    format!("all arms in all lanes, one chosen: at most {} a lane", counted(operations, "operation"))
                }
                Choice::Guarded { operations, .. } => {
                    format!("a branch on whether any lane takes the arm of {}", counted(operations, "operation"))
                }
            };
            if b.span == Span::NONE {
                continue;
            }
            let what = match self.word(b.span) {
                word @ ("if" | "match") => word.to_string(),
                "loop in" => "if".to_string(),
                _ => continue,
            };
            let entry = Entry { span: b.span, line: self.map.line_name(b.span), what, became };
            if !found.contains(&entry) {
                found.push(entry);
            }
        }
        found
    }
}

/// Matrix products: the costliest with its sizes, and how many there are.
fn products(leaves: &[&Leaf]) -> Vec<String> {
    let mut products: Vec<&MatMul> = Vec::new();
    for leaf in leaves {
        if let Node::MatMul(m) = leaf.node {
            products.push(m);
        }
    }
    let work = |m: &&&MatMul| m.batch.iter().product::<usize>() * m.m * m.n * m.k;
    let Some(most) = products.iter().max_by_key(work) else { return Vec::new() };
    let batch: String = most.batch.iter().map(|b| format!("{b}×")).collect();
    let sizes = format!("{batch}[{}×{}] @ [{}×{}]", most.m, most.k, most.k, most.n);
    vec![match products.len() {
        1 => format!("one matrix product {sizes}"),
        n => format!("{n} matrix products, the largest {sizes}"),
    }]
}

/// Without the folders.
pub fn short(line: &str) -> String {
    line.rsplit('/').next().unwrap_or(line).to_string()
}

fn listed(mut lines: Vec<String>) -> String {
    lines.dedup();
    let more = lines.len().saturating_sub(3);
    lines.truncate(3);
    let text = lines.join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// The places that spans tell of, without repetition.
pub fn lines_of(map: &SourceMap, spans: &Spans) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for span in spans.iter().filter(|s| place(&Spans::from_iter([**s])).is_some()) {
        let line = map.line_name(*span);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}
