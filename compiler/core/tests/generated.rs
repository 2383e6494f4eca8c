//! What holds of every program, on generated ones.

use std::collections::{BTreeMap, BTreeSet};

use whorl_core::generate::{Config, arguments, program};
use whorl_core::interp::run;
use whorl_core::ir::{Body, Effect, Map, Scan, Vars};
use whorl_core::prim::{Binary, Compare, Unary};
use whorl_core::print::print;
use whorl_core::read::read;
use whorl_core::rewrite::Substitution;
use whorl_core::verify::verify;
use whorl_core::{DType, Form, Op, Prim, Program};

fn each(n: u64, check: impl Fn(u64, &Program)) {
    let configs = [
        Config::default(),
        Config { smooth: true, float: DType::F64, ..Config::default() },
        Config { unbounded: true, depth: 3, statements: 8, ..Config::default() },
    ];
    for config in &configs {
        for seed in 0..n {
            check(seed, &program(seed, config));
        }
    }
}

#[test]
fn they_verify_and_run_tamely() {
    each(300, |seed, p| {
        verify(p).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{}", print(p)));
        let out = run(p, &arguments(seed, p)).unwrap();
        for x in out.results.iter().flat_map(|r| r.to_f64()) {
            assert!(x.is_finite() && x.abs() < 1e6, "seed {seed} gives {x}\n{}", print(p));
        }
    });
}

#[test]
fn reading_undoes_printing() {
    each(200, |_, p| {
        let text = print(p);
        let again = read(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(read(&print(&again)).as_ref(), Ok(&again));
        verify(&again).unwrap();
        let args = arguments(1, p);
        assert_eq!(run(&again, &args), run(p, &args));
    });
}

#[test]
fn the_same_seed_gives_the_same_program() {
    let config = Config::default();
    for seed in 0..20 {
        assert_eq!(program(seed, &config), program(seed, &config));
        assert_ne!(program(seed, &config), program(seed + 1, &config));
    }
}

#[test]
fn a_renamed_copy_is_the_same_function() {
    each(50, |seed, p| {
        let mut vars = p.vars.clone();
        let mut s = Substitution::default();
        let params = p.main.params.iter().map(|v| s.refresh(&mut vars, *v)).collect();
        let body = s.body(&mut vars, &p.main.body);
        let copy = Program { vars, main: whorl_core::Function { params, body } };
        verify(&copy).unwrap();
        assert_eq!(run(&copy, &arguments(seed, p)), run(p, &arguments(seed, p)));
    });
}

type Nesting = BTreeSet<(&'static str, &'static str)>;

/// Which form stands in which.
fn nesting(vars: &Vars, body: &Body, around: &'static str, seen: &mut Nesting) {
    for stmt in &body.stmts {
        if let Op::Form(form) = &stmt.op {
            let kind = match &**form {
                Form::Map(m) if m.accs.is_empty() => "map",
                Form::Map(_) => "map with accumulators",
                Form::Scan(s) if s.reverse => "reverse scan",
                Form::Scan(_) => "scan",
                Form::While(w) if w.max.is_some() => "bounded while",
                Form::While(_) => "while",
                Form::Switch(s) if vars.atom_type(&s.which).dtype == DType::Bool => "switch by a bool",
                Form::Switch(_) => "switch by a number",
            };
            seen.insert((around, kind));
            form.bodies().iter().for_each(|b| nesting(vars, b, kind, seen));
        }
    }
}

/// All eight forms occur, inside each other and at the top.
#[test]
fn they_nest_all_forms() {
    for config in [Config { unbounded: true, ..Config::default() }, Config { depth: 2, ..Config::wild(false) }] {
        let mut seen = Nesting::new();
        for seed in 0..3000 {
            let p = program(seed, &config);
            nesting(&p.vars, &p.main.body, "top", &mut seen);
        }
        assert_eq!(seen.len(), 72, "{seen:?}");
    }
}

/// Every primitive that a program may hold, each with the types of its first operand that occur, and what else a wild program
/// must have: axes without elements and of one, loops of no step and of one, logs, checks.
#[test]
fn wild_programs_have_everything() {
    let config = Config { checks: true, statements: 8, ..Config::wild(true) };
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut other: BTreeSet<String> = BTreeSet::new();
    fn visit(
        vars: &Vars,
        body: &Body,
        seen: &mut BTreeMap<&'static str, BTreeSet<&'static str>>,
        other: &mut BTreeSet<String>,
    ) {
        for stmt in &body.stmts {
            match &stmt.op {
                Op::Prim(prim, args) => {
                    other.extend(is_other(prim).then(|| format!("other {}", prim.name())));
                    let of = args.first().map_or("nothing", |a| vars.atom_type(a).dtype.name());
                    seen.entry(prim.name()).or_default().insert(of);
                }
                Op::Effect(Effect::Log { .. }) => {
                    other.insert("log".into());
                }
                Op::Effect(Effect::Check { check, .. }) => {
                    let kind = format!("{:?}", check.kind);
                    other.insert(kind.split_whitespace().next().unwrap_or("").trim_end_matches("(None)").into());
                }
                Op::Form(form) => {
                    if let Form::Map(Map { n, .. }) | Form::Scan(Scan { n, .. }) = &**form {
                        other.insert(format!("{} steps", n.min(&2)));
                    }
                    form.bodies().iter().for_each(|b| visit(vars, b, seen, other));
                }
                Op::Constant(_) => {}
            }
            for out in &stmt.outs {
                other.extend(vars.ty(*out).shape.iter().filter(|n| **n < 2).map(|n| format!("an axis of {n}")));
            }
        }
    }
    for seed in 0..3000 {
        let p = program(seed, &config);
        verify(&p).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{}", print(&p)));
        visit(&p.vars, &p.main.body, &mut seen, &mut other);
    }
    let types = |name: &str| seen.get(name).map_or(0, BTreeSet::len);
    let missing = |all: &[&'static str], n: usize| -> Vec<String> {
        let few = all.iter().filter(|name| types(name) < n);
        few.map(|name| format!("{name} of {:?}", seen.get(name))).collect()
    };
    let names = |ops: &[Unary]| -> Vec<&'static str> { ops.iter().map(|op| op.name()).collect() };
    let of_floats = |op: &&Unary| !matches!(op, Unary::Not | Unary::PopCount | Unary::Neg | Unary::Abs | Unary::Sign);
    let floats: Vec<Unary> = Unary::ALL.iter().filter(of_floats).copied().collect();
    let mut lacking = missing(&names(&floats), 2);
    // Those of halves are ones of f32: f32, f64 and the integers.
    lacking.extend(missing(&["neg", "abs", "sign", "add", "sub", "mul", "div", "rem", "min", "max"], 5));
    lacking.extend(missing(&["not", "and", "or", "xor"], 4));
    lacking.extend(missing(&["pop_count", "shl", "shr", "shr_logical"], 3));
    lacking.extend(missing(&["pow", "atan2", "mul_add"], 2));
    lacking
        .extend(missing(&["eq", "ne", "lt", "le", "gt", "ge", "sort", "reduce", "cumulative", "argmax", "argmin"], 6));
    lacking.extend(missing(&["dot", "index_add"], 5));
    lacking.extend(missing(&["convert", "stop_gradient", "broadcast", "reshape", "transpose"], 8));
    lacking.extend(missing(&["slice", "pad", "reverse", "concat", "index", "index_set"], 8));
    lacking.extend(missing(&["bitcast"], 7));
    lacking.extend(missing(&["select", "threefry", "iota"], 1));
    assert!(lacking.is_empty(), "too few types: {lacking:?}");
    for name in (Unary::ALL.iter().map(|op| op.name()))
        .chain(Binary::ALL.iter().map(|op| op.name()))
        .chain(Compare::ALL.iter().map(|op| op.name()))
    {
        assert!(types(name) > 0, "no {name}");
    }
    let others = other.iter().filter(|o| o.starts_with("other ")).count();
    assert_eq!(others, OTHERS, "{other:?}");
    for wanted in ["log", "Assert", "Finite", "Index", "0 steps", "1 steps", "2 steps", "an axis of 0", "an axis of 1"]
    {
        assert!(other.iter().any(|o| o.starts_with(wanted)), "no {wanted}: {other:?}");
    }
}

/// How many [`is_other`] knows.
const OTHERS: usize = 23;

/// Neither an elementwise operation of one or two numbers nor a comparison, which have lists. Whoever adds one here counts it above.
/// The user's own derivatives do not occur in finished programs.
fn is_other(prim: &Prim) -> bool {
    match prim {
        Prim::Unary(_) | Prim::Binary(_) | Prim::Compare(_) | Prim::Custom(_) => false,
        Prim::Select
        | Prim::MulAdd
        | Prim::Convert(_)
        | Prim::Bitcast(_)
        | Prim::StopGradient
        | Prim::Threefry
        | Prim::Iota(_)
        | Prim::Broadcast { .. }
        | Prim::Reshape(_)
        | Prim::Transpose(_)
        | Prim::Slice { .. }
        | Prim::Pad { .. }
        | Prim::Reverse(_)
        | Prim::Concat(_)
        | Prim::Index(_)
        | Prim::IndexSet(_)
        | Prim::IndexAdd(_)
        | Prim::Reduce(_)
        | Prim::ArgMax(_)
        | Prim::ArgMin(_)
        | Prim::Cumulative { .. }
        | Prim::Dot(_)
        | Prim::Sort { .. } => true,
    }
}
