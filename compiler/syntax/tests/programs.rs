//! Whole programs: they parse without a word, to the tree they should.

use whorl_source::{FileId, SourceMap};
use whorl_syntax::ast::*;
use whorl_syntax::{Parse, parse};

fn clean(text: &str) -> Parse {
    let mut map = SourceMap::new();
    let file = map.add("t.whorl", text);
    let parse = parse(file, text);
    let errors: String = parse.diagnostics.iter().map(|d| d.render(&map)).collect();
    assert!(errors.is_empty(), "{text}\n{errors}");
    assert_eq!(parse.tree.text(), text);
    parse
}

/// An expression with its structure shown by parentheses.
fn show(e: &Expr) -> String {
    let all = |es: &[Expr]| es.iter().map(show).collect::<Vec<_>>().join(" ");
    match &e.kind {
        ExprKind::Int(i) => i.to_string(),
        ExprKind::Float(x) => format!("{x:?}"),
        ExprKind::Bool(b) => b.to_string(),
        ExprKind::String(s) => format!("{s:?}"),
        ExprKind::Name(n) => n.clone(),
        ExprKind::Tuple(es) => format!("(tuple {})", all(es)),
        ExprKind::Array(es) => format!("(array {})", all(es)),
        ExprKind::Record { ty, fields } => {
            let ty =
                ty.as_ref().map_or(String::new(), |p| p.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join("."));
            format!("(record {ty}{{{}}})", show_fields(fields))
        }
        ExprKind::Block(b) => show_block(b),
        ExprKind::Field(e, n) => format!("{}.{}", show(e), n.text),
        ExprKind::TupleField(e, i, _) => format!("{}.{i}", show(e)),
        ExprKind::Call { callee, args } => {
            let arg = |a: &Arg| a.name.as_ref().map_or(String::new(), |n| format!("{}:", n.text)) + &show(&a.value);
            format!("(call {} {})", show(callee), args.iter().map(arg).collect::<Vec<_>>().join(" "))
        }
        ExprKind::Index(e, args) => format!("(index {} {})", show(e), show_indices(args)),
        ExprKind::Unary(op, e) => format!("({op:?} {})", show(e)),
        ExprKind::Binary(op, _, a, b) => format!("({op:?} {} {})", show(a), show(b)),
        ExprKind::Range(a, b) => format!("(range {} {})", show(a), show(b)),
        ExprKind::Lambda { params, body, .. } => format!("(fn/{} {})", params.len(), show(body)),
        ExprKind::If { condition, then, otherwise } => {
            let otherwise = otherwise.as_ref().map_or("-".to_string(), |e| show(e));
            format!("(if {} {} {otherwise})", show(condition), show_block(then))
        }
        ExprKind::Match { of, arms } => {
            let arms = arms.iter().map(|a| format!("{}=>{}", a.cases.len(), show(&a.body)));
            format!("(match {} {})", show(of), arms.collect::<Vec<_>>().join(" "))
        }
        ExprKind::For { iter, body, .. } => format!("(for {} {})", show(iter), show_block(body)),
        ExprKind::Scan(s) => {
            let words = [(s.train, "train "), (s.reverse, "reverse ")];
            let words: String = words.iter().filter(|(on, _)| *on).map(|(_, w)| *w).collect();
            let init = s.init.as_ref().map_or("-".to_string(), show);
            let keep = s.checkpoint.as_ref().map_or(String::new(), show_checkpoint);
            format!("({words}scan {init} {} {keep}{})", show(&s.iter), show_block(&s.body))
        }
        ExprKind::While { init, condition, max, checkpoint, body, .. } => {
            let max = max.as_ref().map_or("-".to_string(), |e| show(e));
            let keep = checkpoint.as_ref().map_or(String::new(), |c| show_checkpoint(c));
            format!("(while {} {} {max} {keep}{})", show(init), show(condition), show_block(body))
        }
        ExprKind::WithFields(e, fields) => format!("(with {} {{{}}})", show(e), show_fields(fields)),
        ExprKind::WithIndex(e, args, v) => format!("(with {} [{}] {})", show(e), show_indices(args), show(v)),
        ExprKind::Error => "error".to_string(),
    }
}

fn show_checkpoint(c: &Checkpoint) -> String {
    match &c.policy {
        Policy::Carries => "keep all ".to_string(),
        Policy::Every(e) => format!("keep every {} ", show(e)),
        Policy::Sqrt => "keep sqrt ".to_string(),
        Policy::Error => "keep ? ".to_string(),
    }
}

fn show_fields(fields: &[(Name, Option<Expr>)]) -> String {
    let field =
        |(n, e): &(Name, Option<Expr>)| e.as_ref().map_or(n.text.clone(), |e| format!("{}: {}", n.text, show(e)));
    fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

fn show_indices(args: &[IndexArg]) -> String {
    let end = |e: &Option<Expr>| e.as_ref().map_or(String::new(), show);
    let arg = |a: &IndexArg| match a {
        IndexArg::At(e) => show(e),
        IndexArg::Slice { start, end: last, .. } => format!("{}..{}", end(start), end(last)),
    };
    args.iter().map(arg).collect::<Vec<_>>().join(" ")
}

fn show_block(b: &Block) -> String {
    let statement = |s: &Statement| match &s.kind {
        StatementKind::Let { value, .. } => format!("let {}; ", show(value)),
        StatementKind::Yield(e) => format!("yield {}; ", show(e)),
        StatementKind::Assert { condition, .. } => format!("assert {}; ", show(condition)),
        StatementKind::Expr(e) => format!("{}; ", show(e)),
    };
    let statements: String = b.statements.iter().map(statement).collect();
    format!("{{{statements}{}}}", b.result.as_ref().map_or(String::new(), |e| show(e)))
}

fn check(expression: &str, expected: &str) {
    let parse = clean(&format!("fn f() = {expression}\n"));
    let [Item { kind: ItemKind::Fn(def), .. }] = &parse.module.items[..] else { panic!("one function expected") };
    assert_eq!(show(&def.body), expected, "{expression}");
}

#[test]
fn the_programs_of_the_language_parse() {
    let cartpole = clean(include_str!("programs/cartpole.whorl")).module;
    assert_eq!(cartpole.doc, "CartPole-v1: keep the pole upright (Barto, Sutton & Anderson, 1983).");
    assert_eq!(cartpole.items.len(), 10);
    assert_eq!(cartpole.items[8].doc, "What a learner needs to know.");
    let ItemKind::Param(gravity) = &cartpole.items[1].kind else { panic!() };
    assert_eq!((gravity.about.as_str(), show(&gravity.value).as_str()), ("m/s²", "9.8"));
    assert!(gravity.bounds.as_ref().is_some_and(|b| !b.low_inclusive && !b.high_inclusive));
    let ppo = clean(include_str!("programs/ppo.whorl")).module;
    assert_eq!(ppo.items.len(), 14);
    assert!(ppo.items[13].public);
    clean(include_str!("programs/script.whorl"));
}

#[test]
fn operators_bind_as_told() {
    check(
        "a or b and not c == d + e * -f.g(1)[2]",
        "(Or a (And b (Not (Eq c (Add d (Mul e (Neg (index (call f.g 1) 2))))))))",
    );
    check("a - b - c @ d / e % f", "(Sub (Sub a b) (Rem (Div (MatMul c d) e) f))");
    check("0..n + 1 == r", "(Eq (range 0 (Add n 1)) r)");
    check("a + b with { x: 1, y } == c", "(Eq (with (Add a b) {x: 1, y}) c)");
    check("xs with [i, 0..2] = v + 1 with [j] = w", "(with (with xs [i 0..2] (Add v 1)) [j] w)");
    check("-x @ w", "(MatMul (Neg x) w)");
    check("t.0.1.x", "t.0.1.x");
    check("0xff + 0b101 + 1_000 + 2.5e-4 + 1e3", "(Add (Add (Add (Add 255 5) 1000) 0.00025) 1000.0)");
    check(r#""a\n\u{e9}\"""#, r#""a\né\"""#);
}

#[test]
fn braces_are_told_apart() {
    check("{ }", "{}");
    check("{ x }", "{x}");
    check("{ x, y: 1 }", "(record {x, y: 1})");
    check("{ x: 1 }", "(record {x: 1})");
    check("a.B { x }", "(record a.B{x})");
    check("{\n  x: 1\n  y: 2,\n  z,\n}", "(record {x: 1, y: 2, z})");
    check("for x in xs { x }", "(for xs {x})");
    check("if a { b }\nelse if c { d } else { e }", "(if a {b} (if c {d} {e}))");
    check("scan s = { x: 0, n: 1 } for k in ks { s }", "(scan (record {x: 0, n: 1}) ks {s})");
    check("if (P { x }).x { 1 } else { 2 }", "(if (record P{x}).x {1} {2})");
    check("f(for x in xs { P { x } })", "(call f (for xs {(record P{x})}))");
    check("scan reverse = 0 for x in xs { reverse }", "(scan 0 xs {reverse})");
    check("scan reverse a for x in xs { a }", "(reverse scan - xs {a})");
    check("train scan a = 1 for x in xs { a }", "(train scan 1 xs {a})");
    check("scan a = 0 for x in xs checkpoint every 2 * k { a }", "(scan 0 xs keep every (Mul 2 k) {a})");
    check("scan a = 0 for x in xs until a checkpoint sqrt { a }", "(scan 0 xs keep sqrt {a})");
    check("scan checkpoint = 0 for x in xs checkpoint carries { checkpoint }", "(scan 0 xs keep all {checkpoint})");
    check("while s = 0; s < 3 max 9 checkpoint sqrt { s + 1 }", "(while 0 (Lt s 3) 9 keep sqrt {(Add s 1)})");
    check("while s = 0; s < 3 max 2 * n { s + 1 }", "(while 0 (Lt s 3) (Mul 2 n) {(Add s 1)})");
    check("fn(x, y: f32) -> f32 { x + y }", "(fn/2 {(Add x y)})");
    check("map(fn(x) = x + 1, xs)", "(call map (fn/1 (Add x 1)) xs)");
}

#[test]
fn lines_end_statements() {
    check("{ a\n b }", "{a; b}");
    check("{ a +\n b }", "{(Add a b)}");
    check("{ a\n + b\n * c }", "{(Add a (Mul b c))}");
    check("{ a\n -b }", "{a; (Neg b)}");
    check("(a\n -b)", "(Sub a b)");
    check("{ f\n (x) }", "{f; x}");
    check("{ a\n .b }", "{a.b}");
    check("{ let x =\n 1; x\n and y }", "{let 1; (And x y)}");
    check("[\n 1,\n 2\n]", "(array 1 2)");
    check("{ let f = fn(x) =\n x\n f }", "{let (fn/1 x); f}");
    check("(1,)", "(tuple 1)");
    check("()", "(tuple )");
}

#[test]
fn documentation_goes_to_what_it_stands_above() {
    let text = "/// The file.\n/// Two lines.\n\n// aside\n/// About f.\n/// - more\npub fn f() = 1 // no\n/// lost\n\n/// About x.\nlet x = 1\n";
    let module = clean(text).module;
    assert_eq!(module.doc, "The file.\nTwo lines.");
    assert_eq!(module.items[0].doc, "About f.\n- more");
    assert_eq!(module.items[1].doc, "About x.");
    assert_eq!(clean("/// Only this.\n").module.doc, "Only this.");
    let touching = clean("/// About x.\nlet x = 1\n").module;
    assert_eq!((touching.doc.as_str(), touching.items[0].doc.as_str()), ("", "About x."));
}

#[test]
fn tests_and_properties() {
    let text = "test \"a\" { 1 }\ntest \"b\" fails { 1 }\ntest \"c\" fails E0101 \"sizes\" { 1 }\n\
                prop \"d\" (\n  size n in [1, 4],\n  size m,\n  x: f32[n, m] in (0, n),\n  k: Key\n) { x }\n";
    let items = clean(text).module.items;
    let fails = |i: usize| match &items[i].kind {
        ItemKind::Test { fails, .. } => {
            fails.as_ref().map(|f| (f.code.as_ref().map(|c| c.text.as_str()), f.message.as_deref()))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(fails(0), None);
    assert_eq!(fails(1), Some((None, None)));
    assert_eq!(fails(2), Some((Some("E0101"), Some("sizes"))));
    let ItemKind::Prop(p) = &items[3].kind else { panic!() };
    let params: Vec<_> = p.params.iter().map(|p| (p.name.text.as_str(), p.ty.is_some(), p.bounds.is_some())).collect();
    assert_eq!(params, [("n", false, true), ("m", false, false), ("x", true, true), ("k", true, false)]);
}

#[test]
fn between_the_brackets_of_a_type() {
    let module = clean("fn f(a: f32[n, 2 * m], b: S[T], c: S[a.T, f32[3]], d: S[(A, B)], e: S[(n + 1)]) = 0").module;
    let ItemKind::Fn(def) = &module.items[0].kind else { panic!() };
    let kinds = |i: usize| match &def.params[i].ty.as_ref().unwrap().kind {
        TypeKind::Apply(_, args) => {
            args.iter().map(|a| if matches!(a, TypeArg::Size(_)) { "size" } else { "type" }).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(kinds(0), ["size", "size"]);
    assert_eq!(kinds(1), ["size"]);
    assert_eq!(kinds(2), ["type", "type"]);
    assert_eq!(kinds(3), ["type"]);
    assert_eq!(kinds(4), ["size"]);
}

#[test]
fn data_is_an_item_and_a_name() {
    let text = "data xs: { a: f32[n] } = load(\"a.npz\")\npub data ys = load(\"b.csv\", header: false)\nlet data = 1\nfn load(data) = data\n";
    let items = clean(text).module.items;
    let ItemKind::Data(xs) = &items[0].kind else { panic!() };
    assert_eq!(
        (xs.name.text.as_str(), xs.ty.is_some(), show(&xs.value)),
        ("xs", true, "(call load \"a.npz\")".to_string())
    );
    let ItemKind::Data(ys) = &items[1].kind else { panic!() };
    assert!(items[1].public && ys.ty.is_none());
    assert!(matches!(items[2].kind, ItemKind::Let { .. }) && matches!(items[3].kind, ItemKind::Fn(_)));
}

#[test]
fn spans_cover_what_was_written() {
    let text = "fn f() = a + g(b)[1]\n";
    let module = clean(text).module;
    let ItemKind::Fn(def) = &module.items[0].kind else { panic!() };
    let source = |e: &Expr| &text[e.span.start as usize..e.span.end as usize];
    assert_eq!(source(&def.body), "a + g(b)[1]");
    let ExprKind::Binary(BinaryOp::Add, at, left, right) = &def.body.kind else { panic!() };
    assert_eq!((source(left), source(right), at.start), ("a", "g(b)[1]", 11));
    assert_eq!(module.items[0].span.end as usize, text.len() - 1);
    assert_eq!(at.file, FileId(0));
}

#[test]
fn the_lossless_tree_has_the_structure() {
    let outline = clean("let x = 1 + f(2) // c\n").tree.outline();
    let expected = "Module\n  Let\n    let\n    Pattern\n      x\n    =\n    Binary\n      Literal\n        1\n      +\n      \
                    Call\n        Name\n          f\n        (\n        Argument\n          Literal\n            2\n        )\n";
    assert_eq!(outline, expected);
}
