//! `whorl check`: errors, knobs, types, schedule, memory and cost of a script, without running it.

use std::process::ExitCode;

use serde_json::json;
use whorl_core::{Checkpoint, Type, print};
use whorl_schedule::loop_ir::{Buffer, LoopProgram, Place};
use whorl_source::{Diagnostic, SourceMap, Span};
use whorl_trace::{Knob, Leaf, Plays, Signature, Traced};
use whorl_transform::ad::kept::{Kept, kept};

use crate::args;
use crate::pipeline::{self, Source};
use crate::words::bytes;

pub mod analysis;
mod card;
pub mod cost;
pub mod layout;
mod library;
pub mod schedule;
pub mod warnings;

use analysis::{Part, parts};
use card::OnCard;
use layout::{described, section, type_lines};

/// Arrays of a memory table.
const LARGEST: usize = 8;
/// Lines of the table of costs.
const DEAREST: usize = 10;

pub fn check(options: &args::Check) -> Result<ExitCode, String> {
    let source = pipeline::load(&options.script)?;
    if !source.script.has_main() {
        return library::check(&source, options);
    }
    let (traced, signature) = source.script.trace_main_shown().map_err(|d| pipeline::render(&d, &source.map))?;
    let parts = parts(traced.program.clone(), &source.map)?;
    let costly = warnings::warnings(&parts, &source.map);
    let card = parts
        .first()
        .map(|part| OnCard::of(options.device, &part.core, options.fast_math, &source.map))
        .transpose()?
        .flatten();
    if options.json {
        say!("{}", as_json(&source, &traced, &signature, &parts, &costly, card.as_ref()));
        return Ok(ExitCode::SUCCESS);
    }
    pipeline::warn(&traced, &source.map);
    crate::put(section("params and sizes (--set name=value)", &knob_rows(&source.script.knobs())));
    let files: Vec<String> = source.script.data_files().iter().map(crate::data::described).collect();
    crate::put(section("data", &files));
    let mut types = type_rows(&signature, &traced);
    types.extend(eval_rows(&source));
    crate::put(section("types", &types));
    crate::put(section("schedule", &schedule_rows(&parts, &source.map)));
    if let Some(card) = &card {
        crate::put(section("card", &card.rows()));
    }
    crate::put(memory(&parts, &source.map));
    let mut rows = cost::rows(&parts, &source.map, DEAREST);
    let caveat = cost::caveat(&parts, &source.map).map(|c| layout::wrapped(c, layout::WIDTH - 2, 0));
    rows.extend(caveat.into_iter().flatten());
    crate::put(section("cost", &rows));
    if costly.is_empty() {
        say!("no errors");
    } else {
        say!("no errors; {} on the standard error", layout::counted(costly.len(), "warning"));
        eprintln!("{}", pipeline::render(&costly, &source.map));
    }
    Ok(ExitCode::SUCCESS)
}

/// Name, value and bounds; what it is for.
fn knob_rows(knobs: &[Knob]) -> Vec<String> {
    let name = knobs.iter().map(|k| k.name.len()).max().unwrap_or(0).min(28);
    let value = knobs.iter().map(|k| k.value.len()).max().unwrap_or(0).min(12);
    let bounds = knobs.iter().map(|k| k.bounds.as_deref().unwrap_or("").chars().count()).max().unwrap_or(0).min(14);
    let row = |k: &Knob| {
        let limits = k.bounds.as_ref().map_or(String::new(), |b| b.to_string());
        let left = format!("{:name$}  {:>value$}  {limits:bounds$}", k.name, k.value);
        described(&left, name + value + bounds + 4, &k.about.replace('\n', " "))
    };
    knobs.iter().flat_map(row).collect()
}

fn type_rows(signature: &Signature, traced: &Traced) -> Vec<String> {
    let params: Vec<String> = signature.params.iter().map(|(n, t)| format!("{n}: {}", t.text())).collect();
    let mut rows = type_lines(&format!("main({}) -> ", params.join(", ")), &signature.result, "");
    if !signature.sizes.is_empty() {
        let sizes: Vec<String> = signature.sizes.iter().map(|(n, k)| format!("{n} = {k}")).collect();
        rows.extend(layout::wrapped(&format!("where {}", sizes.join(", ")), layout::WIDTH - 2, 6));
    }
    let saves = traced.saves.iter().map(crate::save::described);
    rows.extend(saves.flat_map(|s| layout::wrapped(&s, layout::WIDTH - 2, 4)));
    rows
}

/// What `eval` gives of an episode, where there is one: the fields and their types.
fn eval_fields(source: &Source) -> Option<Vec<(String, String)>> {
    if !source.script.has_eval() {
        return None;
    }
    let traced = |frames| source.script.trace_eval(Plays { agents: 1, episodes: 1, frames }).ok();
    // Without pictures, if it gives none.
    let evaluation = traced(true).or_else(|| traced(false))?;
    let field = |leaf: &Leaf| {
        // An axis of agents and one of episodes are in front.
        let own: Vec<String> = leaf.ty.shape.iter().skip(2).map(usize::to_string).collect();
        let own = if own.is_empty() { String::new() } else { format!("[{}]", own.join(", ")) };
        (leaf.path.clone(), format!("{}{own}", leaf.ty.dtype.name()))
    };
    Some(evaluation.traced.results.iter().map(field).collect())
}

fn eval_rows(source: &Source) -> Vec<String> {
    let Some(fields) = eval_fields(source) else { return Vec::new() };
    let fields: Vec<String> = fields.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
    layout::wrapped(&format!("eval(agent, key: Key) -> {{ {} }}", fields.join(", ")), layout::WIDTH - 2, 4)
}

fn schedule_rows(parts: &[Part], map: &SourceMap) -> Vec<String> {
    let entries = schedule::entries(parts, map);
    let line = entries.iter().map(|e| schedule::short(&e.line).chars().count()).max().unwrap_or(0).min(24);
    let what = entries.iter().map(|e| e.what.chars().count()).max().unwrap_or(0).min(16);
    let row = |e: &schedule::Entry| {
        let left = format!("{:line$}  {:what$}", cost::fitted(&schedule::short(&e.line), 24), e.what);
        described(&left, line + what + 2, &e.became)
    };
    entries.iter().flat_map(row).collect()
}

/// The arena, its largest arrays, what derivatives keep, and the sum beside what there is.
fn memory(parts: &[Part], map: &SourceMap) -> String {
    let lines = |spans: &[Span]| schedule::short(&pipeline::lines(map, spans));
    let mut rows = Vec::new();
    for (k, part) in parts.iter().enumerate() {
        let program = &part.program;
        let runs = program.runs.unwrap_or(1);
        let all = program.arena_bytes.saturating_mul(runs);
        let what = match (k, runs) {
            (0, 1) => bytes(all),
            (0, n) => format!("{} a run, {} for {n} runs", bytes(program.arena_bytes), bytes(all)),
            (_, _) => format!("{} for what follows the runs", bytes(all)),
        };
        let free = usize::try_from(crate::data::available_memory()).unwrap_or(usize::MAX);
        rows.push(if k == 0 { format!("{what}; {} are free", bytes(free)) } else { what });
        if all > free {
            rows.push("this does not fit, and `whorl run` refuses it: fewer runs, or smaller arrays".to_string());
        }
        if k == 0 {
            rows.extend(largest(program, map));
        }
        rows.extend(kept_table(&kept(&part.flat), &|spans| lines(spans)).lines().map(str::to_string));
    }
    section("memory", &rows)
}

/// The largest arrays of the arena: bytes, type, name and line.
fn largest(p: &LoopProgram, map: &SourceMap) -> Vec<String> {
    let mut all: Vec<&Buffer> = p.buffers.iter().filter(|b| matches!(b.place, Place::Arena(_))).collect();
    // The sort is stable: of equal ones, in the order of the text.
    all.sort_by_key(|b| std::cmp::Reverse(b.bytes()));
    let row = |b: &&Buffer| {
        let ty = print::type_text(&Type { dtype: b.dtype, shape: b.shape.clone() });
        let name = b.name.as_deref().unwrap_or("");
        let line = schedule::lines_of(map, &b.spans).iter().map(|l| schedule::short(l)).collect::<Vec<_>>().join(", ");
        format!("{:>11}  {ty:<18} {:<20} {}", b.bytes(), cost::fitted(name, 20), cost::fitted(&line, 24))
    };
    let mut rows: Vec<String> = all.iter().take(LARGEST).map(row).collect();
    if all.len() > LARGEST {
        let rest: usize = all[LARGEST..].iter().map(|b| b.bytes()).sum();
        rows.push(format!("{rest:>11}  in {} smaller arrays (arrays share places)", all.len() - LARGEST));
    }
    rows
}

/// What derivatives keep of the states of loops, and what they would under other policies. Nothing, if they keep none.
fn kept_table(loops: &[Kept], line: &dyn Fn(&[Span]) -> String) -> String {
    if loops.is_empty() {
        return String::new();
    }
    let mut rows = vec![["steps", "a state", "kept", "carries", "sqrt", "loop"].map(String::from).to_vec()];
    for k in loops {
        let place = if k.every > 1 { format!("{}, every {}", line(&k.spans), k.every) } else { line(&k.spans) };
        let (all, sqrt) = (k.with(Checkpoint::Carries), k.with(Checkpoint::Sqrt));
        let sizes = [k.state_bytes, k.now(), all, sqrt].map(bytes);
        rows.push([k.steps.to_string()].into_iter().chain(sizes).chain([place]).collect());
    }
    let mut text =
        String::from("states of loops that derivatives keep, and would keep with\n`checkpoint carries` or `sqrt`:\n");
    for row in rows {
        let (place, sizes) = row.split_last().expect("six columns");
        sizes.iter().for_each(|s| text += &format!("{s:>11}"));
        text += &format!("  {}\n", cost::fitted(place, 20));
    }
    text
}

fn as_json(
    source: &Source,
    traced: &Traced,
    signature: &Signature,
    parts: &[Part],
    costly: &[Diagnostic],
    card: Option<&OnCard>,
) -> serde_json::Value {
    let map = &source.map;
    let knobs: Vec<_> = source.script.knobs().iter().map(|k| {
        json!({ "name": k.name, "type": k.ty, "value": k.value, "default": k.default, "bounds": k.bounds, "about": k.about })
    }).collect();
    let results: Vec<_> = traced
        .results
        .iter()
        .map(|leaf| json!({ "path": leaf.path, "type": leaf.ty.dtype.name(), "shape": leaf.ty.shape.as_slice() }))
        .collect();
    let schedule: Vec<_> = schedule::entries(parts, map)
        .into_iter()
        .map(|e| json!({ "line": e.line, "what": e.what, "became": e.became }))
        .collect();
    let programs: Vec<_> = parts.iter().map(|p| program_json(p, map)).collect();
    let warned: Vec<_> = traced.warnings.iter().chain(costly).map(|d| diagnostic_json(d, map)).collect();
    let sizes: serde_json::Map<_, _> = signature.sizes.iter().map(|(n, k)| (n.clone(), json!(k))).collect();
    json!({
        "file": map.files().next().map(|(_, f)| f.name.clone()),
        "knobs": knobs,
        "main": { "result": signature.result.text(), "sizes": sizes, "arrays": results },
        "eval": eval_fields(source).map(|f| f.into_iter().map(|(n, t)| (n, json!(t))).collect::<serde_json::Map<_, _>>()),
        "schedule": schedule,
        "card": card.map(OnCard::json),
        "programs": programs,
        "free_bytes": crate::data::available_memory(),
        "warnings": warned,
    })
}

fn program_json(part: &Part, map: &SourceMap) -> serde_json::Value {
    let program = &part.program;
    let stretches: Vec<_> = cost::stretches(part, map)
        .into_iter()
        .map(|s| {
            let lines: Vec<_> = s.lines.iter().map(|(line, c)| {
            json!({ "line": line, "flops": c.flops, "other": c.other, "read": c.read, "written": c.written })
        }).collect();
            json!({
                "train_steps": s.steps, "flops": s.cost.flops, "other": s.cost.other, "read": s.cost.read,
                "written": s.cost.written, "known": format!("{:?}", s.known).to_lowercase(), "lines": lines,
            })
        })
        .collect();
    let kept: Vec<_> = kept(&part.flat)
        .iter()
        .map(|k| {
            json!({
                "line": pipeline::lines(map, &k.spans), "steps": k.steps, "every": k.every,
                "state_bytes": k.state_bytes, "kept_bytes": k.now(),
            })
        })
        .collect();
    json!({ "runs": program.runs, "arena_bytes": program.arena_bytes, "kept": kept, "cost": stretches })
}

fn diagnostic_json(d: &Diagnostic, map: &SourceMap) -> serde_json::Value {
    let line = d.labels.first().map(|l| map.line_name(l.span));
    json!({ "code": d.code, "message": d.message, "line": line, "help": d.help })
}
