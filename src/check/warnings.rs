//! What a small change of the script would save: warnings of copies and of work done again, where they are certain and a good
//! part of all there is to do.

use std::collections::{HashMap, HashSet};

use whorl_core::Prim;
use whorl_core::ir::{Atom, Body, Checkpoint, Form, Map, Op, Scan, Spans, Stmt, Var};
use whorl_schedule::cost::{self, Cost};
use whorl_schedule::loop_ir::{BufferId, LaneKind, LoopProgram, Node, Phase};
use whorl_schedule::{Touch, each_access};
use whorl_source::{Diagnostic, SourceMap, Span};
use whorl_transform::ad::kept::kept;

use super::analysis::{Part, place};
use super::layout::{amount, share};
use crate::words::bytes;

/// Of the work of its phase, what is worth a warning: one part in so many.
const WORTH: u64 = 8;
/// Less work than this in a whole phase is not worth one.
const LEAST: u64 = 1_000_000;
/// States that fit into so many bytes can all be kept.
const PLENTY: usize = 64 << 20;

/// In the order of the text.
pub fn warnings(parts: &[Part], map: &SourceMap) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for part in parts {
        copies(part, &mut found);
        repeated(part, map, &mut found);
        policies(part, &mut found);
    }
    found.sort_by_key(|d| d.labels.first().map(|l| (l.span.file, l.span.start)));
    found.dedup();
    found
}

/// What a phase costs in all: of a `train scan`, all its steps.
fn whole(p: &LoopProgram, phase: &Phase) -> Cost {
    let (cost, _) = cost::total(&cost::leaves(p, phase.body()));
    cost.times(steps_of(phase))
}

fn steps_of(phase: &Phase) -> u64 {
    match phase {
        Phase::Straight(_) => 1,
        Phase::Train { n, .. } => *n as u64,
    }
}

// ── Copies ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// An array that a loop carries is updated, and its old version is read behind that: so there have to be two.
fn copies(part: &Part, found: &mut Vec<Diagnostic>) {
    let mut updates = Vec::new();
    scans(&part.flat.main.body, &mut |stmt, scan| updates.extend(late_reads(part, stmt, scan)));
    for phase in &part.program.phases {
        let all = whole(&part.program, phase).bytes();
        for leaf in cost::leaves(&part.program, phase.body()) {
            let in_loop = matches!(phase, Phase::Train { .. }) || !leaf.around.is_empty();
            let moved = leaf.cost().bytes().saturating_mul(steps_of(phase));
            if !in_loop || moved < LEAST || moved.saturating_mul(WORTH) < all || !copies_only(leaf.node) {
                continue;
            }
            let Some(spans) = cost::spans_of(leaf.node) else { continue };
            let mine = |u: &&Update| u.bytes as u64 == leaf.each.written && u.spans.iter().any(|s| spans.contains(s));
            let Some(u) = updates.iter().find(mine) else { continue };
            let (Some(updated), Some(read)) = (place(&u.update), place(&u.read)) else { continue };
            let message = format!("{} are copied in each step of a loop", bytes(u.bytes));
            let mut e = Diagnostic::warning("W0020", message).at(updated, "updated here");
            if read != updated {
                e = e.at(read, "the array as it was before the update is read here");
            }
            let note = format!("{} of the bytes that are moved", share(moved, all));
            e = e.note(note).help(
                "read what you need of the old array first, and update it afterwards: then it is updated in place",
            );
            if !found.contains(&e) {
                found.push(e);
            }
        }
    }
}

struct Update {
    update: Spans,
    read: Spans,
    /// Of the update and of the loop, where its copy may be told to come from.
    spans: Spans,
    bytes: usize,
}

/// Updates of carries that are read behind the update.
fn late_reads(part: &Part, stmt: &Stmt, scan: &Scan) -> Vec<Update> {
    let mut found = Vec::new();
    for carry in &scan.carries {
        let is_update = |s: &Stmt| updates(&s.op, carry.var);
        let Some(at) = scan.body.stmts.iter().position(is_update) else { continue };
        let later = scan.body.stmts[at + 1..].iter().find(|s| reads(&s.op, carry.var));
        let (Some(later), update) = (later, &scan.body.stmts[at]) else { continue };
        let ty = part.flat.vars.ty(carry.var);
        let spans = update.spans.iter().chain(&stmt.spans).copied().filter(|s| s.marked().is_none()).collect();
        let (update, read) = (update.spans.clone(), later.spans.clone());
        found.push(Update { update, read, spans, bytes: ty.size() * ty.dtype.bytes() });
    }
    found
}

fn scans(body: &Body, f: &mut impl FnMut(&Stmt, &Scan)) {
    for stmt in &body.stmts {
        let Op::Form(form) = &stmt.op else { continue };
        if let Form::Scan(s) = &**form {
            f(stmt, s);
        }
        form.bodies().into_iter().for_each(|b| scans(b, f));
    }
}

/// Whether it sets or adds to places of this array: at once, or lane by lane.
fn updates(op: &Op, of: Var) -> bool {
    match op {
        Op::Prim(Prim::IndexSet(_) | Prim::IndexAdd(_), args) => args[0] == Atom::Var(of),
        Op::Prim(..) | Op::Constant(_) | Op::Effect(_) => false,
        Op::Form(form) => match &**form {
            Form::Map(Map { accs, .. }) => accs.iter().any(|c| c.init == Atom::Var(of)),
            Form::Scan(_) | Form::While(_) | Form::Switch(_) => false,
        },
    }
}

fn reads(op: &Op, of: Var) -> bool {
    let is = |a: &Atom| *a == Atom::Var(of);
    match op {
        Op::Prim(_, args) => args.iter().any(is),
        Op::Constant(_) | Op::Effect(_) => false,
        Op::Form(form) => {
            let inits = match &**form {
                Form::Map(m) => m.accs.iter().any(|c| is(&c.init)),
                Form::Scan(s) => s.carries.iter().any(|c| is(&c.init)),
                Form::While(w) => w.carries.iter().any(|c| is(&c.init)),
                Form::Switch(s) => is(&s.which),
            };
            let inside = |b: &&Body| b.results.iter().any(is) || b.stmts.iter().any(|s| reads(&s.op, of));
            inits || form.bodies().iter().any(inside)
        }
    }
}

/// A loop that moves elements and computes nothing.
fn copies_only(node: &Node) -> bool {
    let Node::Lanes(l) = node else { return false };
    let moves = |k: &LaneKind| matches!(k, LaneKind::Load(_) | LaneKind::Store(..));
    l.reductions.is_empty() && l.ops.iter().all(|op| moves(&op.kind))
}

// ── Work that is done again ─────────────────────────────────────────────────────────────────────────────────────────────

/// Nodes in a loop that read nothing that the loop changes compute the same in every step.
fn repeated(part: &Part, map: &SourceMap, found: &mut Vec<Diagnostic>) {
    let p = &part.program;
    for phase in &p.phases {
        let all = whole(p, phase).weight();
        let times: HashMap<*const Node, Cost> =
            cost::leaves(p, phase.body()).iter().map(|l| (std::ptr::from_ref(l.node), l.cost())).collect();
        let mut seen: HashSet<*const Node> = HashSet::new();
        let mut look = |spans: &Spans, n: usize, index: BufferId, body: &[Node]| {
            let Some(head) = place(spans) else { return };
            if n < 2 {
                return;
            }
            let mut by_line: HashMap<Span, u64> = HashMap::new();
            for node in constant_nodes(index, body) {
                if !seen.insert(std::ptr::from_ref(node)) {
                    continue;
                }
                let Some(span) = cost::spans_of(node).and_then(place) else { continue };
                let cost = times.get(&std::ptr::from_ref(node)).copied().unwrap_or_default();
                *by_line.entry(span).or_default() += cost.times(steps_of(phase)).weight();
            }
            for (span, weight) in by_line {
                // Of n times one is needed.
                let lost = weight - weight / n as u64;
                if lost < LEAST || lost.saturating_mul(WORTH) < all {
                    continue;
                }
                let message = format!("this gives the same in all {n} steps of a loop, and is computed in each");
                let e = Diagnostic::warning("W0021", message).at(span, "nothing here changes from step to step");
                let e = if head == span { e } else { e.at(head, "the loop") };
                let note = format!(
                    "{} of the work of the program: about {} operations",
                    share(lost, all),
                    amount(lost).trim()
                );
                let line = map.line_name(head);
                found.push(
                    e.note(note).help(format!("compute it in front of the loop of {line}, and use the result inside")),
                );
            }
        };
        if let Phase::Train { n, index, body, .. } = phase {
            look(&p.buffer(*index).spans, *n, *index, body);
        }
        each_loop(phase.body(), &mut |n, index, body| look(&p.buffer(index).spans, n, index, body));
    }
}

/// Outer loops first.
fn each_loop(nodes: &[Node], f: &mut impl FnMut(usize, BufferId, &[Node])) {
    for node in nodes {
        if let Node::Loop { n, index, body, .. } = node {
            f(*n, *index, body);
        }
        whorl_schedule::bodies(node).into_iter().for_each(|b| each_loop(b, f));
    }
}

/// The nodes without bodies that compute the same in every step of the loop. Arms of branches are left out: they may never be
/// taken.
fn constant_nodes(index: BufferId, body: &[Node]) -> Vec<&Node> {
    let mut writers: HashMap<BufferId, usize> = HashMap::from([(index, 1)]);
    for node in body {
        leaf_writes(node, &mut writers);
    }
    let mut constant: HashSet<BufferId> = HashSet::new();
    let mut found = Vec::new();
    constant_in(body, &writers, &mut constant, &mut found);
    found
}

/// How many nodes write each buffer.
fn leaf_writes(node: &Node, writers: &mut HashMap<BufferId, usize>) {
    let inner = whorl_schedule::bodies(node);
    if let Node::Loop { index, .. } = node {
        *writers.entry(*index).or_default() += 1;
    }
    if inner.is_empty() {
        let mut own: HashSet<BufferId> = HashSet::new();
        each_access(node, &mut |b, touch| {
            if touch == Touch::Write {
                own.insert(b);
            }
        });
        own.into_iter().for_each(|b| *writers.entry(b).or_default() += 1);
    }
    inner.into_iter().flatten().for_each(|n| leaf_writes(n, writers));
}

fn constant_in<'a>(
    nodes: &'a [Node],
    writers: &HashMap<BufferId, usize>,
    constant: &mut HashSet<BufferId>,
    found: &mut Vec<&'a Node>,
) {
    for node in nodes {
        match node {
            Node::Loop { body, .. } => constant_in(body, writers, constant, found),
            Node::While { .. } | Node::Switch { .. } | Node::Log { .. } | Node::Check(_) => {}
            Node::Lanes(_) | Node::MatMul(_) | Node::Sort(_) | Node::Cumulative(_) => {
                let (mut fixed, mut written) = (true, Vec::new());
                each_access(node, &mut |b, touch| match touch {
                    Touch::Read => fixed &= !writers.contains_key(&b) || constant.contains(&b),
                    Touch::Write => written.push(b),
                });
                // What other nodes write as well, this one may have to restore.
                if fixed && written.iter().all(|b| writers.get(b) == Some(&1)) {
                    constant.extend(written);
                    found.push(node);
                }
            }
        }
    }
}

// ── States that are computed again ──────────────────────────────────────────────────────────────────────────────────────

/// A loop of which few states are kept runs once more in reverse; if all would fit, that is for nothing.
fn policies(part: &Part, found: &mut Vec<Diagnostic>) {
    let runs = part.program.runs.unwrap_or(1);
    let all: u64 = part.program.phases.iter().map(|p| whole(&part.program, p).weight()).sum();
    for k in kept(&part.flat).into_iter().filter(|k| k.every > 1 && k.every < k.steps) {
        let Some(span) = place(&k.spans) else { continue };
        let needed = k.with(Checkpoint::Carries).saturating_mul(runs);
        let loops: u64 = part.program.phases.iter().map(|p| inside(part, p, span)).sum();
        // One of about three passes through its body.
        let lost = loops / 3;
        if needed > PLENTY || lost < LEAST || lost.saturating_mul(WORTH) < all {
            continue;
        }
        let message = format!("the derivative runs this loop again, to keep one state in {}", k.every);
        let e = Diagnostic::warning("W0022", message).at(span, format!("{} steps", k.steps));
        let note = format!("all {} states are {}, of all runs", k.steps, bytes(needed));
        found.push(e.note(note).help("leave out `checkpoint`: memory is plentiful, and all states are kept"));
    }
}

/// The work in the loops of a place.
fn inside(part: &Part, phase: &Phase, span: Span) -> u64 {
    let p = &part.program;
    let mine = |n: &Node| matches!(n, Node::Loop { index, .. } if p.buffer(*index).spans.contains(&span));
    let leaves = cost::leaves(p, phase.body());
    let work = leaves.iter().filter(|l| l.around.iter().any(|n| mine(n))).map(|l| l.cost().weight());
    work.sum::<u64>().saturating_mul(steps_of(phase))
}
