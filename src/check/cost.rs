//! What the program costs, in all and by line.

use std::collections::HashMap;

use whorl_schedule::cost::{self, Cost, Known, Leaf};
use whorl_schedule::loop_ir::Phase;
use whorl_source::SourceMap;

use super::analysis::Part;
use super::layout::{amount, share};
use super::schedule::lines_of;

/// A stretch of the program.
pub struct Stretch {
    /// Of a `train scan`, its steps.
    pub steps: Option<usize>,
    /// Of a step, or of all.
    pub cost: Cost,
    pub known: Known,
    /// By line, dearest first.
    pub lines: Vec<(String, Cost)>,
}

pub fn stretches(part: &Part, map: &SourceMap) -> Vec<Stretch> {
    let of = |phase: &Phase| {
        let leaves = cost::leaves(&part.program, phase.body());
        let (cost, known) = cost::total(&leaves);
        let steps = match phase {
            Phase::Straight(_) => None,
            Phase::Train { n, .. } => Some(*n),
        };
        Stretch { steps, cost, known, lines: by_line(&leaves, map) }
    };
    part.program.phases.iter().map(of).collect()
}

/// A loop that several lines were fused into counts for each of them in equal parts.
pub fn by_line(leaves: &[Leaf], map: &SourceMap) -> Vec<(String, Cost)> {
    let mut sums: HashMap<String, Cost> = HashMap::new();
    for leaf in leaves {
        let mut lines = cost::spans_of(leaf.node).map(|s| lines_of(map, s)).unwrap_or_default();
        if lines.is_empty() {
            lines.push("(no line)".to_string());
        }
        let (cost, n) = (leaf.cost(), lines.len() as u64);
        let part =
            Cost { flops: cost.flops / n, other: cost.other / n, read: cost.read / n, written: cost.written / n };
        for line in lines {
            *sums.entry(line).or_default() += part;
        }
    }
    let mut all: Vec<(String, Cost)> = sums.into_iter().filter(|(_, c)| *c != Cost::default()).collect();
    all.sort_by(|a, b| b.1.weight().cmp(&a.1.weight()).then(a.0.cmp(&b.0)));
    all
}

/// The section of `whorl check`.
pub fn rows(parts: &[Part], map: &SourceMap, most: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let runs = parts.first().and_then(|p| p.program.runs).unwrap_or(1);
    let all: Vec<(usize, Stretch)> =
        parts.iter().enumerate().flat_map(|(k, p)| stretches(p, map).into_iter().map(move |s| (k, s))).collect();
    let mut total = Cost::default();
    let trains = all.iter().any(|(_, s)| s.steps.is_some());
    let mut trained = false;
    rows.push(format!("{:<34}{:>12}{:>13}{:>13}", "", "FLOPs", "read", "written"));
    for (k, s) in &all {
        let what = match (s.steps, *k) {
            (Some(n), _) => format!("each of {n} steps of the train scan"),
            (None, 0) if !trains => "a run".to_string(),
            (None, 0) if trained => "behind the train scan".to_string(),
            (None, 0) => "in front of the train scan".to_string(),
            (None, _) => "what follows the runs".to_string(),
        };
        trained |= s.steps.is_some();
        rows.push(row(&what, s.cost));
        total += s.cost.times(s.steps.unwrap_or(1) as u64).times(if *k == 0 { runs as u64 } else { 1 });
    }
    if all.len() > 1 || runs > 1 {
        let of = if runs > 1 { format!("in all, {runs} runs") } else { "in all".to_string() };
        rows.push(row(&of, total));
    }
    // The dearest stretch is told by its lines.
    let dearest = all.iter().max_by_key(|(_, s)| s.cost.times(s.steps.unwrap_or(1) as u64).weight());
    if let Some((_, s)) = dearest.filter(|(_, s)| s.cost.weight() > 0) {
        rows.push(String::new());
        let of = if s.steps.is_some() { "of such a step, by line" } else { "of that, by line" };
        rows.push(format!("{of:<46}{:>10}{:>7}{:>9}", "FLOPs", "share", "bytes"));
        for (line, cost) in s.lines.iter().take(most) {
            let line = fitted(line, 45);
            let (flops, bytes) = (amount(cost.flops), amount(cost.bytes()));
            rows.push(format!("{line:<46}{flops:>10}{:>7}{bytes:>8}B", share(cost.flops, s.cost.flops)));
        }
        if s.lines.len() > most {
            let rest: Cost = s.lines[most..].iter().map(|(_, c)| *c).sum();
            let line = format!("{} lines more", s.lines.len() - most);
            let (flops, bytes) = (amount(rest.flops), amount(rest.bytes()));
            rows.push(format!("{line:<46}{flops:>10}{:>7}{bytes:>8}B", share(rest.flops, s.cost.flops)));
        }
    }
    rows
}

fn row(what: &str, c: Cost) -> String {
    format!("{what:<34}{:>12}{:>12}B{:>12}B", amount(c.flops), amount(c.read), amount(c.written))
}

/// What is said of counts that are not exact.
pub fn caveat(parts: &[Part], map: &SourceMap) -> Option<&'static str> {
    let known = parts.iter().flat_map(|p| stretches(p, map)).map(|s| s.known).max()?;
    match known {
        Known::Exactly => None,
        Known::AtMost => Some("at most: of a branch the costliest arm counts, of a bounded `while` all its rounds"),
        Known::ARound => Some("at least: of a `while` without `max`, whose rounds are not known, one round counts"),
    }
}

/// The end of a long text.
pub fn fitted(text: &str, width: usize) -> String {
    let n = text.chars().count();
    if n <= width { text.to_string() } else { format!("…{}", text.chars().skip(n - width + 1).collect::<String>()) }
}
