//! The verifier takes what is right and names what is wrong.

mod common;

use common::program;
use whorl_core::verify::verify;
use whorl_core::{ArrayData, Atom, Lit, Op, Program, Type, Var};

#[track_caller]
fn rejected(p: &Program, message: &str) {
    let e = verify(p).expect_err("the program is broken");
    assert!(e.to_string().contains(message), "{e}\ndoes not say {message:?}");
}

#[track_caller]
fn rejects(text: &str, message: &str) {
    rejected(&program(text), message);
}

#[test]
fn types() {
    rejects("{ %0 : f32[3], %1 : f32[4] -> %2 : f32[3] = add(%0, %1) %2 }", "elementwise operands of shapes");
    rejects("{ %0 : f32 -> %1 : f64 = neg(%0) %1 }", "%1 is f64, its value f32");
    rejects("{ %0 : f32 -> %1 : f32, %2 : f32 = neg(%0) %2 }", "2 variables for 1 results");
    rejects("{ %0 : bool[2] -> %1 : bool = dot[lhs_contract=0 rhs_contract=0](%0, %0) %1 }", "dot of bools");
    rejects("{ %0 : f32 -> %1 : f32 = select(%0, %0, %0) %1 }", "in `%1 : f32 = select(%0, %0, %0)`");
    rejects("{ -> %0 : i32[4] = iota[n=4294967295]() }", "too large");
}

#[test]
fn halves_are_not_computed_with() {
    rejects("{ %0 : f16 -> %1 : f16 = add(%0, %0) %1 }", "add of halves, which is a primitive of f32");
    rejects("{ %0 : bf16[3] -> %1 : bf16 = reduce[op=sum axes=0](%0) %1 }", "reduce of halves");
    rejects("{ %0 : f16 -> %1 : bool = lt(%0, 1.0f16) %1 }", "lt of halves");
    rejects("{ %0 : f16 -> %1 : bf16 = convert[to=bf16](%0) %1 }", "convert of halves");
    rejects("{ %0 : i32 -> %1 : f16 = convert[to=f16](%0) %1 }", "convert of halves");
    verify(&program("{ %0 : f32 -> %1 : f16 = convert[to=f16](%0) %2 : f32 = convert[to=f32](%1) %2 }")).unwrap();
}

#[test]
fn scope() {
    let mut p = program("{ %0 : f32 -> %1 : f32 = neg(%0) %2 : f32 = exp(%1) %2 }");
    p.main.body.stmts.swap(0, 1);
    rejected(&p, "%1 is used before it is bound\n  in `%2 : f32 = exp(%1)`");
    rejects("{ -> %0 : i32[2] = map %1 < 2 { %2 : i32 = neg(%1) %2 } %3 : i32 = neg(%2) %3 }", "%2 is used outside");
    rejects("{ -> %0 : i32[2] = map %1 < 2 { %1 } %3 : i32 = neg(%1) %3 }", "%1 is used outside");
    rejects(
        "{ -> %0 : f32 = while with %1 : f32 = 0.0f32 { %2 : bool = lt(%1, 1.0f32) %2 } { %2 } %0 }",
        "%2 is used outside",
    );
    let mut p = program("{ %0 : f32 -> %1 : f32 = neg(%0) %1 }");
    p.main.body.stmts[0].outs[0] = Var(0);
    rejected(&p, "%0 is bound twice");
    p.main.body.stmts[0].outs[0] = Var(9);
    rejected(&p, "%9 is not among");
    p.main.body.stmts[0].outs[0] = Var(1);
    p.main.body.results[0] = Atom::Var(Var(7));
    rejected(&p, "%7 is not among");
}

#[test]
fn loops_and_arms() {
    rejects("{ -> %0 : f32 = scan %1 < 2 with %2 : f32 = 0i32 { %2 } %0 }", "%2 is f32, it starts from i32");
    rejects("{ -> %0 : f32 = scan %1 < 2 with %2 : f32 = 0.0f32 { %1 } %0 }", "%2 is f32, its next value i32");
    rejects("{ -> %0 : f32 = scan %1 < 2 with %2 : f32 = 0.0f32 { } %0 }", "0 results for 1 carries");
    rejects("{ -> %0 : f32[3] = map %1 < 2 { 1.0f32 } %0 }", "%0 is f32[3], its value f32[2]");
    rejects("{ -> %0 : f32 = while with %1 : f32 = 0.0f32 { 1i32 } { %1 } %0 }", "the condition is not one bool");
    rejects("{ -> %0 : f32 = while with %1 : f32 = 0.0f32 { true } { %1, %1 } %0 }", "a while yields");
    rejects("{ %0 : i32 -> %1 : f32 = switch %0 { 1.0f32 } { 1i32 } %1 }", "arm 1 gives (i32), arm 0 (f32)");
    rejects("{ %0 : bool -> %1 : f32 = switch %0 { 1.0f32 } %1 }", "1 arms for a bool");
    rejects("{ %0 : f32 -> %1 : f32 = switch %0 { 1.0f32 } %1 }", "the choice %0 is f32");
}

#[test]
fn effects_literals_constants() {
    rejects(r#"{ %0 : f32[2], %1 : bool[3] -> log "x" (%0, %1) }"#, "the mask %1 is bool[3], the value f32[2]");
    rejects(r#"{ %0 : f32 -> log "x" (%0, %0) }"#, "the mask %0 is no bool");
    rejects(r#"{ %0 : f32 -> assert "x" (%0, true) }"#, "the condition %0 is no bool");
    let mut p = program("{ -> %0 : i32 = neg(1i32) %0 }");
    p.main.body.results[0] = Atom::Lit(Lit { dtype: whorl_core::DType::U8, bits: 256 });
    rejected(&p, "0x100");
    let mut p = program("{ -> %0 : i32[1] = constant [1] %0 }");
    let short = ArrayData { ty: Type::new(whorl_core::DType::I32, &[1]), bytes: vec![0] };
    p.main.body.stmts[0].op = Op::Constant(short.into());
    rejected(&p, "1 bytes for a constant of 4");
}

#[test]
fn accumulators() {
    let map = |body: &str| format!("{{ -> %0 : f32 = map %1 < 2 with %2 : f32 = 0.0f32 {{ {body} }} %0 }}");
    verify(&program(&map("%3 : f32 = add(1.0f32, %2) %3"))).unwrap();
    verify(&program(&map("%2"))).unwrap();
    rejects(&map("%3 : f32 = mul(%2, 2.0f32) %3"), "%2 is used other than by adding to it once");
    rejects(&map("%3 : f32 = add(%2, %2) %3"), "%2 is used other than");
    rejects(&map("%3 : f32 = add(%2, 1.0f32) %4 : f32 = add(%2, 1.0f32) %4"), "%2 is used other than");
    rejects(&map("%3 : f32 = add(%2, 1.0f32) %2"), "result 0 is not the accumulator %2");
    rejects(&map("1.0f32"), "result 0 is not the accumulator %2");
    rejects(&map("%3 : f32 = add(%2, 1.0f32) log \"x\" (%3, true) %3"), "%3 is used other than");
    rejects(&map("%3 : f32[2] = map %4 < 2 { %5 : f32 = add(%2, 1.0f32) %5 } %2"), "%2 is used other than");
    rejects(
        &map("%3 : f32 = scan %4 < 2 with %5 : f32 = %2 { %6 : f32 = mul(%5, 2.0f32) %6 } %3"),
        "%5 is used other than",
    );
    rejects(&map("%3 : f32 = switch true { %2 } { %2 } %3"), "%2 is used other than");
    rejects(
        "{ -> %0 : f32, %1 : f32 = map %2 < 2 with %3 : f32 = 0.0f32, %4 : f32 = 0.0f32 { %4, %3 } %0 }",
        "result 0 is not the accumulator %3",
    );
    rejects(
        "{ -> %0 : f32, %1 : f32[2] = map %2 < 2 with %3 : f32 = 0.0f32 { %4 : f32 = add(%3, 1.0f32) %4, %4 } %0 }",
        "reads an accumulator",
    );
}
