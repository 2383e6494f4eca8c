//! Which index checks are seen to hold, and that none is removed that may fail.

use whorl_core::ir::*;
use whorl_core::print::print;
use whorl_core::read::read;
use whorl_core::{interp, verify};
use whorl_transform::ranges::remove_proven;

/// The program with a check `bound n "" (%i, true)` in it; whether it is gone.
#[track_caller]
fn proven(text: &str) -> bool {
    let mut program = read(text).expect("readable");
    verify::verify(&program).expect("well-formed");
    assert!(print(&program).contains("bound"));
    remove_proven(&mut program);
    verify::verify(&program).expect("still");
    !print(&program).contains("bound")
}

#[test]
fn indices_of_loops() {
    assert!(proven("{ -> map %0 < 6 { bound 6 \"\" (%0, true) } }"));
    assert!(!proven("{ -> map %0 < 7 { bound 6 \"\" (%0, true) } }"));
    assert!(proven("{ -> scan %0 < 6 { %1 : i32 = add(%0, 2i32) bound 8 \"\" (%1, true) } }"));
    assert!(!proven("{ -> scan %0 < 6 { %1 : i32 = sub(%0, 1i32) bound 8 \"\" (%1, true) } }"));
    assert!(proven("{ -> map %0 < 6 { bound 8 width 3 \"\" (%0, true) } }"));
    assert!(!proven("{ -> map %0 < 6 { bound 8 width 4 \"\" (%0, true) } }"));
}

#[test]
fn places_of_elements() {
    assert!(proven("{ %0 : f32[4,5] -> %1 : i32[4] = argmax[axis=1](%0) bound 5 \"\" (%1, true) }"));
    assert!(!proven("{ %0 : f32[4,5] -> %1 : i32[4] = argmax[axis=1](%0) bound 4 \"\" (%1, true) }"));
    let sorted = "%2 : f32[5], %3 : i32[5] = sort[axis=0 keys=1](%0, %1) bound 5 \"\" (%3, true) }";
    assert!(proven(&format!("{{ %0 : f32[5] -> %1 : i32[5] = iota[n=5]() {sorted}")));
    assert!(!proven(&format!("{{ %0 : f32[5], %1 : i32[5] -> {sorted}")));
}

#[test]
fn arithmetic() {
    let with = |what: &str, n: usize| proven(&format!("{{ %0 : i32 -> {what} bound {n} \"\" (%9, true) }}"));
    let clamped = "%8 : i32 = max(%0, 0i32) %9 : i32 = min(%8, 7i32)";
    assert!(with(clamped, 8));
    assert!(!with(clamped, 7));
    assert!(!with("%9 : i32 = rem(%0, 7i32)", 7));
    // The remainder as Python has it.
    let modulo = "%1 : i32 = rem(%0, 7i32) %2 : bool = ne(%1, 0i32) %3 : bool = lt(%1, 0i32) %4 : bool = xor(%3, false)
                  %5 : bool = and(%2, %4) %6 : i32 = add(%1, 7i32) %9 : i32 = select(%5, %6, %1)";
    assert!(with(modulo, 7));
    assert!(!with(modulo, 6));
    // What may wrap may be anything.
    assert!(!with("%1 : i32 = max(%0, 0i32) %9 : i32 = add(%1, 1i32)", usize::MAX >> 12));
    assert!(with("%1 : i32 = and(%0, 15i32) %9 : i32 = shr(%1, 2i32)", 16));
    assert!(with("%1 : u32 = bitcast[to=u32](%0) %2 : u32 = rem(%1, 9u32) %9 : i32 = convert[to=i32](%2)", 9));
}

#[test]
fn floats_become_indices() {
    let with = |what: &str| {
        proven(&format!("{{ %0 : f32 -> {what} %9 : i32 = convert[to=i32](%8) bound 8 \"\" (%9, true) }}"))
    };
    assert!(with("%1 : f32 = max(%0, 0f32) %8 : f32 = min(%1, 7.5f32)"));
    assert!(!with("%1 : f32 = max(%0, 1f32) %8 : f32 = min(%1, 8.5f32)"));
    assert!(!with("%8 : f32 = min(%0, 7f32)"));
}

#[test]
fn what_conditions_say() {
    let guarded = |condition: &str, arm: usize| {
        let check = "bound 6 \"\" (%0, true)";
        let (no, yes) = if arm == 1 { ("", check) } else { (check, "") };
        proven(&format!("{{ %0 : i32 -> {condition} switch %9 {{ {no} }} {{ {yes} }} }}"))
    };
    let both = "%1 : bool = ge(%0, 0i32) %2 : bool = lt(%0, 6i32) %9 : bool = and(%1, %2)";
    assert!(guarded(both, 1));
    assert!(!guarded(both, 0));
    let outside = "%1 : bool = lt(%0, 0i32) %2 : bool = gt(%0, 5i32) %9 : bool = or(%1, %2)";
    assert!(guarded(outside, 0));
    assert!(!guarded("%9 : bool = lt(%0, 6i32)", 1));
}

#[test]
fn carries() {
    let scan = |init: &str, next: &str| {
        proven(&format!("{{ -> %5 : i32 = scan %0 < 9 with %1 : i32 = {init} {{ bound 6 \"\" (%1, true) {next} }} }}"))
    };
    assert!(scan("3i32", "%2 : i32 = add(%1, 1i32) %3 : i32 = min(%2, 5i32) %4 : i32 = max(%3, 0i32) %4"));
    assert!(!scan("3i32", "%2 : i32 = add(%1, 1i32) %3 : i32 = min(%2, 6i32) %4 : i32 = max(%3, 0i32) %4"));
    assert!(!scan("6i32", "%2 : i32 = min(%1, 5i32) %2"));
    assert!(!scan("0i32", "%2 : i32 = add(%1, 1i32) %2"));
    assert!(proven(
        "{ -> %5 : i32 = while with %1 : i32 = 0i32 { %2 : bool = lt(%1, 6i32) %2 } {
           bound 6 \"\" (%1, true) %3 : i32 = add(%1, 1i32) %3 } }"
    ));
    // The last of it is one too far.
    assert!(!proven(
        "{ -> %5 : i32 = while with %1 : i32 = 0i32 { %2 : bool = lt(%1, 6i32) %2 } { %3 : i32 = add(%1, 1i32) %3 }
           bound 6 \"\" (%5, true) }"
    ));
}

/// Random programs of whole numbers, each of whose values is checked against a bound: what the analysis removes never fails.
#[test]
fn nothing_is_removed_that_fails() {
    let mut state = 7u64;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % n
    };
    let (mut removed, mut kept) = (0, 0);
    for _ in 0..3000 {
        let mut body = String::new();
        let mut known = vec!["%0".to_string(), "%1".into(), "3i32".into(), "-2i32".into(), "5i32".into()];
        for k in 0..6 {
            let mut any = || known[below(known.len() as u64) as usize].clone();
            let (a, b, c, d) = (any(), any(), any(), any());
            let at = 10 + 10 * k;
            let op = ["add", "sub", "mul", "div", "rem", "min", "max", "and", "shr"][below(9) as usize];
            let compare = ["lt", "le", "gt", "ge", "eq", "ne"][below(6) as usize];
            let join = ["and", "or", "xor"][below(3) as usize];
            body += &match below(3) {
                0 => format!(
                    "%{} : bool = {compare}({a}, {b}) %{} : bool = lt({c}, {a}) %{} : bool = {join}(%{}, %{})
                     %{at} : i32 = select(%{}, {a}, {d}) ",
                    at + 1,
                    at + 2,
                    at + 3,
                    at + 1,
                    at + 2,
                    at + 3
                ),
                1 => format!(
                    "%{} : bool = {compare}({a}, {b}) %{at} : i32 = switch %{} {{ %{} : i32 = {op}({a}, {c}) %{} }} {{ {d} }} ",
                    at + 1,
                    at + 1,
                    at + 2,
                    at + 2
                ),
                _ => format!("%{at} : i32 = {op}({a}, {b}) "),
            };
            body += &format!("bound {} \"\" (%{at}, true) ", 1 + below(9));
            known.push(format!("%{at}"));
        }
        let last = known.last().expect("some").clone();
        let text = format!("{{ %2 : i32 -> %3 : i32 = scan %0 < 5 with %1 : i32 = %2 {{ {body} {last} }} %3 }}");
        let mut program = read(&text).expect("readable");
        let all = checks(&program.main.body);
        remove_proven(&mut program);
        let left = checks(&program.main.body);
        removed += all.len() - left.len();
        kept += left.len();
        // With only the removed checks, nothing fails.
        let gone: Vec<Stmt> = all.into_iter().filter(|s| !left.contains(s)).collect();
        let mut only = read(&text).expect("readable");
        keep_only(&mut only.main.body, &gone);
        for start in [-7, 0, 4, 1000] {
            let run = interp::run(&only, &[ArrayData::scalar(start)]);
            if let Err(fault) = run {
                panic!("{fault} from {start}: {}", print(&only));
            }
        }
    }
    assert!(removed > 500 && kept > 500, "{removed} removed, {kept} kept");
}

fn checks(body: &Body) -> Vec<Stmt> {
    let inner = |s: &Stmt| match &s.op {
        Op::Effect(_) => vec![s.clone()],
        Op::Form(f) => f.bodies().into_iter().flat_map(checks).collect(),
        Op::Prim(..) | Op::Constant(_) => Vec::new(),
    };
    body.stmts.iter().flat_map(inner).collect()
}

fn keep_only(body: &mut Body, kept: &[Stmt]) {
    body.stmts.retain(|s| !matches!(s.op, Op::Effect(_)) || kept.contains(s));
    for stmt in &mut body.stmts {
        if let Op::Form(form) = &mut stmt.op {
            form.bodies_mut().into_iter().for_each(|b| keep_only(b, kept));
        }
    }
}
