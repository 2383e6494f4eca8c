//! What holds of every program, on generated ones.

use whorl_core::generate::{Config, arguments, program};
use whorl_core::interp::run;
use whorl_core::print::print;
use whorl_core::read::read;
use whorl_core::rewrite::Substitution;
use whorl_core::verify::verify;
use whorl_core::{DType, Form, Op, Program};

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

/// All forms occur, inside each other.
#[test]
fn they_nest_all_forms() {
    let mut seen = std::collections::BTreeSet::new();
    fn visit(
        body: &whorl_core::Body,
        around: &'static str,
        seen: &mut std::collections::BTreeSet<(&'static str, &'static str)>,
    ) {
        for stmt in &body.stmts {
            if let Op::Form(form) = &stmt.op {
                let kind = match &**form {
                    Form::Map(m) if m.accs.is_empty() => "map",
                    Form::Map(_) => "map with accumulators",
                    Form::Scan(_) => "scan",
                    Form::While(_) => "while",
                    Form::Switch(_) => "switch",
                };
                seen.insert((around, kind));
                form.bodies().iter().for_each(|b| visit(b, kind, seen));
            }
        }
    }
    for seed in 0..400 {
        visit(&program(seed, &Config::default()).main.body, "top", &mut seen);
    }
    assert_eq!(seen.len(), 30, "{seen:?}");
}
