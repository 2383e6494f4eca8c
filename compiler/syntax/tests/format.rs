//! The formatter keeps the program, and formatting twice is formatting once.

use proptest::prelude::*;
use whorl_source::FileId;
use whorl_syntax::{format, parse};

const PROGRAMS: [&str; 3] = [
    include_str!("programs/cartpole.whorl"),
    include_str!("programs/ppo.whorl"),
    include_str!("programs/script.whorl"),
];

/// The tokens that are not spaces.
fn words(text: &str) -> Vec<String> {
    let tree = parse(FileId(0), text).tree;
    let word = |t| tree.token_text(t).trim().to_string();
    tree.tokens().into_iter().map(word).filter(|w| !w.is_empty()).collect()
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let formatted = format(text).expect("the text has no errors");
    assert_eq!(formatted, expected);
    assert_eq!(format(&formatted).as_deref(), Some(expected));
}

#[test]
fn good_style_stays() {
    for program in PROGRAMS {
        check(program, program);
    }
}

#[test]
fn spaces_go_where_they_belong() {
    check("let x=a+b*-c [1 ,2 .. 3,..]  // why\n\n\n\n", "let x = a + b * -c[1, 2..3, ..]  // why\n");
    check("fn f(x:f32 [ n ],y=2)->f32=not x.y .0( a:1 )", "fn f(x: f32[n], y = 2) -> f32 = not x.y.0(a: 1)\n");
    check("let  g = fn (x)={x:1,y}  with {x:2}", "let  g = fn(x) = { x: 1, y } with { x: 2 }\n");
    check("type S [T]={a:fn (f32)->(T,T)}", "type S[T] = { a: fn(f32) -> (T, T) }\n");
    check("data  xs:f32 [n]=load( \"a.npy\" )", "data  xs: f32[n] = load(\"a.npy\")\n");
    check("let x = 2 .0.1", "let x = 2 .0.1\n");
    check("import a . b{c,d}", "import a.b { c, d }\n");
}

#[test]
fn lines_are_indented_by_what_they_stand_in() {
    let text = "fn f() {\n// note\nlet x =\nfor i in 0..3 {\ni\n}\nlet y = x\n.sum()\n+ 1\n-y; g(for k in x {\nk\n}, [\n1,\n2\n])\n}\n";
    let expected = "fn f() {\n  // note\n  let x =\n    for i in 0..3 {\n      i\n    }\n  let y = x\n    .sum()\n    + 1\n  -y; \
                    g(for k in x {\n    k\n  }, [\n    1,\n    2\n  ])\n}\n";
    check(text, expected);
}

#[test]
fn what_has_errors_is_left_alone() {
    assert_eq!(format("let = 1"), None);
    check("", "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Spaces changed at random, line ends kept.
    #[test]
    fn any_spacing_comes_to_the_same_words(program in 0..PROGRAMS.len(), widths in prop::collection::vec(0..4usize, 1..50)) {
        let text = PROGRAMS[program];
        let mut widths = widths.iter().cycle();
        let mut spaced = String::new();
        for (i, part) in text.split(' ').enumerate() {
            // One space at least: between two words it is needed.
            spaced += &if i == 0 { String::new() } else { " ".repeat(1 + widths.next().unwrap()) };
            spaced += part;
        }
        let formatted = format(&spaced).unwrap();
        prop_assert_eq!(words(&formatted), words(&spaced));
        prop_assert!(parse(FileId(0), &formatted).diagnostics.is_empty());
        prop_assert_eq!(format(&formatted).unwrap(), formatted);
    }
}

#[test]
fn enums_and_arms() {
    let text = "enum Shape { Empty, Square(f32), Circle { radius: f32 } }\n\nfn f(s) = match s {\n  Square(side) => match i { -1 or 3 => side, _ => 0.0 }\n  Empty or Circle { radius: _ } =>\n    0.0\n}\n";
    assert_eq!(whorl_syntax::format(text).as_deref(), Some(text));
}

#[test]
fn tests_and_properties() {
    let text = "test \"a\" fails E0101 \"b\" { 1 }\n\nprop \"c\" (size n in [1, 8], x: f32[n] in (-1, 1), k: Key) {\n  assert x < 2\n}\n\nprop \"d\" (\n  size n,\n  x: f32[n],\n) {\n}\n";
    check(text, text);
    check(
        "test \"a\"   fails{1}\nprop \"b\"(x:f32 in[0,1),  size   n){x}\n",
        "test \"a\" fails { 1 }\nprop \"b\" (x: f32 in [0, 1), size n) { x }\n",
    );
}
