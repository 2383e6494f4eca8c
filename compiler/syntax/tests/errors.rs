//! What errors look like: a program with mistakes, and the whole text that the user reads.

use whorl_source::{FileId, SourceMap};
use whorl_syntax::parse;

fn errors(text: &str) -> String {
    let mut map = SourceMap::new();
    let file = map.add("t.whorl", text);
    parse(file, text).diagnostics.iter().map(|d| d.render(&map)).collect()
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let found = errors(text);
    assert!(found == expected.trim_start(), "found:\n{found}\nexpected:{expected}");
}

#[test]
fn powers() {
    check(
        r##"let a = x ** 2 + (x + 1) ** 3"##,
        r##"
error[E0040]: a power is the function `pow`
  ┌─ t.whorl:1:11
1 │ let a = x ** 2 + (x + 1) ** 3
  │           ^^
  help: x * x, or square(x)
error[E0040]: a power is the function `pow`
  ┌─ t.whorl:1:26
1 │ let a = x ** 2 + (x + 1) ** 3
  │                          ^^
  help: pow(x + 1, 3)
"##,
    );
}

#[test]
fn python_lambdas() {
    check(
        r##"let f = map(lambda x, y: x + y, xs)"##,
        r##"
error[E0041]: a function without a name begins with `fn`
  ┌─ t.whorl:1:13
1 │ let f = map(lambda x, y: x + y, xs)
  │             ^^^^^^
  help: fn(x, y) = x + y
"##,
    );
}

#[test]
fn assignments() {
    check(
        r##"fn f(x) {
  x += 1
  x = 2
  xs[i, 0] = v
  s.y.z -= 3
  let mut q = 1
  return q
}"##,
        r##"
error[E0042]: nothing changes in place: a new value gets a `let`
  ┌─ t.whorl:2:5
2 │   x += 1
  │     ^^
  help: let x = x + 1
error[E0043]: nothing changes in place: a new value gets a `let`
  ┌─ t.whorl:3:5
3 │   x = 2
  │     ^
  help: let x = 2
error[E0043]: nothing changes in place: a new value gets a `let`
  ┌─ t.whorl:4:12
4 │   xs[i, 0] = v
  │            ^
  help: let xs = xs with [i, 0] = v
error[E0042]: nothing changes in place: a new value gets a `let`
  ┌─ t.whorl:5:9
5 │   s.y.z -= 3
  │         ^^
  help: let s = s with { y: s.y with { z: s.y.z - 3 } }
error[E0056]: nothing changes in place, so there is no `mut`
  ┌─ t.whorl:6:7
6 │   let mut q = 1
  │       ^^^
  help: a later `let` of the same name takes its place
error[E0051]: there is no `return`: the last expression of a block is its value
  ┌─ t.whorl:7:3
7 │   return q
  │   ^^^^^^
  help: leave out `return`, and choose with `if … else …`
"##,
    );
}

#[test]
fn a_python_function() {
    check(
        r##"def f(x):
  if x > 0:
    y = 1
  elif x < 0 && !x:
    y = None
  return True

fn g(x) = x"##,
        r##"
error[E0044]: a function begins with `fn`
  ┌─ t.whorl:1:1
1 │ def f(x):
  │ ^^^
  help: fn f(x) = … or fn f(x) { … }
error[E0050]: a body stands in braces
  ┌─ t.whorl:1:9
1 │ def f(x):
  │         ^
  help: write `{` for the `:`, and `}` after the body
error[E0050]: a body stands in braces
  ┌─ t.whorl:2:11
2 │   if x > 0:
  │           ^
  help: write `{` for the `:`, and `}` after the body
error[E0043]: nothing changes in place: a new value gets a `let`
  ┌─ t.whorl:3:7
3 │     y = 1
  │       ^
  help: let y = 1
error[E0045]: `elif` is two words
  ┌─ t.whorl:4:3
4 │   elif x < 0 && !x:
  │   ^^^^
  help: else if
error[E0047]: `&&` is written `and`
  ┌─ t.whorl:4:14
4 │   elif x < 0 && !x:
  │              ^^
  help: and
error[E0048]: `!` is written `not`
  ┌─ t.whorl:4:17
4 │   elif x < 0 && !x:
  │                 ^
  help: not
error[E0050]: a body stands in braces
  ┌─ t.whorl:4:19
4 │   elif x < 0 && !x:
  │                   ^
  help: write `{` for the `:`, and `}` after the body
error[E0043]: nothing changes in place: a new value gets a `let`
  ┌─ t.whorl:5:7
5 │     y = None
  │       ^
  help: let y = None
error[E0046]: there is no `None`
  ┌─ t.whorl:5:9
5 │     y = None
  │         ^^^^
  help: write `()` for no value; a value that may be absent is a value and a bool
error[E0051]: there is no `return`: the last expression of a block is its value
  ┌─ t.whorl:6:3
6 │   return True
  │   ^^^^^^
  help: leave out `return`, and choose with `if … else …`
error[E0046]: there is no `True`
  ┌─ t.whorl:6:10
6 │   return True
  │          ^^^^
  help: true
"##,
    );
}

#[test]
fn slices_with_colons() {
    check(
        r##"let y = x[:, 0] + x[a:b, 1:] + x[::2] || y"##,
        r##"
error[E0049]: a slice is written with `..`
  ┌─ t.whorl:1:11
1 │ let y = x[:, 0] + x[a:b, 1:] + x[::2] || y
  │           ^
  help: `..` for the whole axis, as in `x[.., 0]`
error[E0049]: a slice is written with `..`
  ┌─ t.whorl:1:22
1 │ let y = x[:, 0] + x[a:b, 1:] + x[::2] || y
  │                      ^
  help: a..b
error[E0049]: a slice is written with `..`
  ┌─ t.whorl:1:27
1 │ let y = x[:, 0] + x[a:b, 1:] + x[::2] || y
  │                           ^
  help: 1..
error[E0049]: a slice is written with `..`
  ┌─ t.whorl:1:34
1 │ let y = x[:, 0] + x[a:b, 1:] + x[::2] || y
  │                                  ^
  help: a slice has no step: for i in 0..n { xs[2 * i] }
error[E0047]: `||` is written `or`
  ┌─ t.whorl:1:39
1 │ let y = x[:, 0] + x[a:b, 1:] + x[::2] || y
  │                                       ^^
  help: or
"##,
    );
}

#[test]
fn comments_and_strings() {
    check(
        r##"# a comment
let s = 'text' /* c */
let t = "abc
let u = "a\q" $ 3"##,
        r##"
error[E0007]: a comment begins with `//`
  ┌─ t.whorl:1:1
1 │ # a comment
  │ ^^^^^^^^^^^
  help: // a comment
error[E0006]: a string stands in double quotes
  ┌─ t.whorl:2:9
2 │ let s = 'text' /* c */
  │         ^^^^^^
  help: "text"
error[E0008]: a comment begins with `//` and ends with its line
  ┌─ t.whorl:2:16
2 │ let s = 'text' /* c */
  │                ^^^^^^^
  help: // c
error[E0002]: this string is not closed on its line
  ┌─ t.whorl:3:9
3 │ let t = "abc
  │         ^^^^
  help: put a `"` at its end
error[E0003]: unknown escape in a string
  ┌─ t.whorl:4:11
4 │ let u = "a\q" $ 3
  │           ^^
  help: there are \n \t \r \0 \\ \" \' and \u{1F600}
error[E0001]: unknown character `$`
  ┌─ t.whorl:4:15
4 │ let u = "a\q" $ 3
  │               ^
"##,
    );
}

#[test]
fn numbers() {
    check(
        r##"let v = 1. + .5 + 12abc + 0x + 99999999999999999999999"##,
        r##"
error[E0004]: a digit must follow the point
  ┌─ t.whorl:1:9
1 │ let v = 1. + .5 + 12abc + 0x + 99999999999999999999999
  │         ^^
  help: 1.0
error[E0004]: a digit must stand before the point
  ┌─ t.whorl:1:14
1 │ let v = 1. + .5 + 12abc + 0x + 99999999999999999999999
  │              ^^
  help: 0.5
error[E0004]: `12abc` is not a number
  ┌─ t.whorl:1:19
1 │ let v = 1. + .5 + 12abc + 0x + 99999999999999999999999
  │                   ^^^^^
  help: 12 * abc is a product; a name begins with a letter
error[E0004]: `0x` is not a number
  ┌─ t.whorl:1:27
1 │ let v = 1. + .5 + 12abc + 0x + 99999999999999999999999
  │                           ^^
error[E0005]: `99999999999999999999999` does not fit in 64 bits
  ┌─ t.whorl:1:32
1 │ let v = 1. + .5 + 12abc + 0x + 99999999999999999999999
  │                                ^^^^^^^^^^^^^^^^^^^^^^^
  help: write it with an exponent if it is a float: 1e30
"##,
    );
}

#[test]
fn choices_and_comprehensions() {
    check(
        r##"let z = a if c else b
let w = [f(x) for x in xs]
let v = sum(f(x) for x in xs if x > 0)"##,
        r##"
error[E0052]: a choice begins with `if`
  ┌─ t.whorl:1:11
1 │ let z = a if c else b
  │           ^^
  help: if c { a } else { b }
error[E0053]: `for` comes first and has a body in braces
  ┌─ t.whorl:2:15
2 │ let w = [f(x) for x in xs]
  │               ^^^
  help: for x in xs { f(x) }
error[E0053]: `for` comes first and has a body in braces
  ┌─ t.whorl:3:18
3 │ let v = sum(f(x) for x in xs if x > 0)
  │                  ^^^
  help: for x in xs { f(x) }
        `for` keeps every element: choose the value with `if` in the body
"##,
    );
}

#[test]
fn names_with_equals() {
    check(
        r##"let q = f(a=1)
let r = { x: 1, y = 2 }"##,
        r##"
error[E0054]: a named argument is written with `:`
  ┌─ t.whorl:1:12
1 │ let q = f(a=1)
  │            ^
  help: a: 1
error[E0054]: a field is written with `:`
  ┌─ t.whorl:2:19
2 │ let r = { x: 1, y = 2 }
  │                   ^
  help: y: 2
"##,
    );
}

#[test]
fn imports_from() {
    check(
        r##"from std.rl import gae, shuffle"##,
        r##"
error[E0055]: an import begins with `import`
  ┌─ t.whorl:1:1
1 │ from std.rl import gae, shuffle
  │ ^^^^
  help: import std.rl { gae, shuffle }
"##,
    );
}

#[test]
fn chained_comparisons() {
    check(
        r##"let a = 1 < x <= 3"##,
        r##"
error[E0017]: comparisons do not chain
  ┌─ t.whorl:1:15
1 │ let a = 1 < x <= 3
  │               ^^
  help: 1 < x and x <= 3
"##,
    );
}

#[test]
fn enums_and_arms() {
    check(
        r##"enum T { }
enum U { a, B }
fn f(x) = match x { 1 -> 2, _ => 3 }"##,
        r##"
error[E0020]: an enum without variants
  ┌─ t.whorl:1:6
1 │ enum T { }
  │      ^
  help: enum Cell { Empty, Wall, Goal }
error[E0020]: a variant begins with a capital letter, which tells it from a name that an arm binds
  ┌─ t.whorl:2:10
2 │ enum U { a, B }
  │          ^
  help: A
error[E0010]: an arm is written with `=>`, not `->`
  ┌─ t.whorl:3:23
3 │ fn f(x) = match x { 1 -> 2, _ => 3 }
  │                       ^^
  help: 1 => 2
"##,
    );
}

#[test]
fn brackets_left_open() {
    check(
        r##"fn f() {
  let x = (1 + 2
  let y = [3, 4
  foo(a, b
  bar(c)
}
fn g() = 1"##,
        r##"
error[E0012]: `(` is not closed
  ┌─ t.whorl:2:11
2 │   let x = (1 + 2
  │           ^     ^ expected `)`
  │           opened here
error[E0012]: `[` is not closed
  ┌─ t.whorl:3:11
3 │   let y = [3, 4
  │           ^    ^ expected `]`
  │           opened here
error[E0012]: `(` is not closed
  ┌─ t.whorl:4:6
4 │   foo(a, b
  │      ^    ^ expected `)`
  │      opened here
"##,
    );
}

#[test]
fn a_block_left_open() {
    check(
        r##"fn f() {
  if c {
    x

fn g() = 1"##,
        r##"
error[E0012]: `{` is not closed
  ┌─ t.whorl:2:8
2 │   if c {
  │        ^ opened here
3 │     x
  │      ^ expected `}`
"##,
    );
}

#[test]
fn stray_brackets() {
    check(
        r##"fn f() = 1 }
let x = 2)
let y = f(1], 2)"##,
        r##"
error[E0013]: `}` closes nothing
  ┌─ t.whorl:1:12
1 │ fn f() = 1 }
  │            ^
error[E0013]: `)` closes nothing
  ┌─ t.whorl:2:10
2 │ let x = 2)
  │          ^
error[E0013]: `]` closes nothing
  ┌─ t.whorl:3:12
3 │ let y = f(1], 2)
  │            ^
"##,
    );
}

#[test]
fn items_out_of_place() {
    check(
        r##"print(x)
fn f() {
  size n = 4
  fn g(x) = x
  g(n)
}"##,
        r##"
error[E0015]: only items stand at the top of a file
  ┌─ t.whorl:1:1
1 │ print(x)
  │ ^^^^^^^^
  help: items are `import`, `param`, `size`, `type`, `enum`, `fn`, `let`, `data`, `test` and `prop`; what runs stands in `fn main(key: Key)`
error[E0018]: `size` stands at the top of a file, not in a block
  ┌─ t.whorl:3:3
3 │   size n = 4
  │   ^^^^
  help: move it out of the braces
error[E0018]: a function in a block is a value with a name
  ┌─ t.whorl:4:6
4 │   fn g(x) = x
  │      ^
  help: let g = fn(x) = x
"##,
    );
}

#[test]
fn two_statements_on_a_line() {
    check(
        r##"fn f() {
  a b
}"##,
        r##"
error[E0014]: expected the end of the line, found `b`
  ┌─ t.whorl:2:5
2 │   a b
  │     ^
  help: one statement a line, or `;` between them
"##,
    );
}

#[test]
fn names_and_patterns() {
    check(
        r##"let fn = 3
let = 4
let x 5
let _ = _"##,
        r##"
error[E0022]: `fn` is a word of the language and cannot be a name
  ┌─ t.whorl:1:5
1 │ let fn = 3
  │     ^^
error[E0021]: expected a name after `let`
  ┌─ t.whorl:2:5
2 │ let = 4
  │     ^
error[E0010]: expected `=` after the pattern, found `5`
  ┌─ t.whorl:3:7
3 │ let x 5
  │       ^
error[E0011]: `_` has no value
  ┌─ t.whorl:4:9
4 │ let _ = _
  │         ^
"##,
    );
}

#[test]
fn missing_expressions() {
    check(
        r##"fn f() {
  let y =
  let z = 1 +
  yield
}"##,
        r##"
error[E0011]: expected an expression, found the end of the line
  ┌─ t.whorl:2:10
2 │   let y =
  │          ^
error[E0011]: expected an expression, found the end of the line
  ┌─ t.whorl:3:14
3 │   let z = 1 +
  │              ^
error[E0011]: expected an expression, found the end of the line
  ┌─ t.whorl:4:8
4 │   yield
  │        ^
"##,
    );
}

#[test]
fn records_where_a_body_opens() {
    check(
        r##"fn f(c) = if c { x: 1, y: 2 } else { 3 }
fn g(c) = for s in State { x: 1 } { s }"##,
        r##"
error[E0023]: `{` opens a body here, not a record
  ┌─ t.whorl:1:16
1 │ fn f(c) = if c { x: 1, y: 2 } else { 3 }
  │                ^
  help: a record as the value of a body has braces of its own: `{ { x: 1.0 } }`
error[E0023]: `{` opens a body here, not a record
  ┌─ t.whorl:2:26
2 │ fn g(c) = for s in State { x: 1 } { s }
  │                          ^
  help: put parentheses around a record in the head: `(State { … })`
"##,
    );
}

#[test]
fn while_without_state() {
    check(
        r##"fn h(x) = while x < 3 { x + 1 }"##,
        r##"
error[E0057]: `while` carries a state: its body gives the next one
  ┌─ t.whorl:1:11
1 │ fn h(x) = while x < 3 { x + 1 }
  │           ^^^^^
  help: while s = s0; condition { … }
"##,
    );
}

#[test]
fn functions_half_written() {
    check(
        r##"fn k(x: f32[n, y) = 1
fn m x = 1
fn n(x)"##,
        r##"
error[E0012]: `[` is not closed
  ┌─ t.whorl:1:12
1 │ fn k(x: f32[n, y) = 1
  │            ^    ^ expected `]`
  │            opened here
error[E0010]: expected `(` before the parameters, found `x`
  ┌─ t.whorl:2:6
2 │ fn m x = 1
  │      ^
error[E0010]: expected the function's body, `= …` or `{ … }`, found the end of the file
  ┌─ t.whorl:3:8
3 │ fn n(x)
  │        ^
"##,
    );
}

#[test]
fn params_and_types_half_written() {
    check(
        r##"type T =
param p: f32
param q: f32 = 1 in 0, 1 "x"
import
let t: = 3"##,
        r##"
error[E0019]: expected a type, found the end of the line
  ┌─ t.whorl:1:9
1 │ type T =
  │         ^
error[E0010]: expected `=` and a default for the param, found the end of the line
  ┌─ t.whorl:2:13
2 │ param p: f32
  │             ^
error[E0010]: expected bounds such as `(0, 1)` or `[0, 1]`, found `0`
  ┌─ t.whorl:3:21
3 │ param q: f32 = 1 in 0, 1 "x"
  │                     ^
error[E0010]: expected a module to import, found the end of the line
  ┌─ t.whorl:4:7
4 │ import
  │       ^
error[E0019]: expected a type, found `=`
  ┌─ t.whorl:5:8
5 │ let t: = 3
  │        ^
"##,
    );
}

#[test]
fn heads_half_written() {
    check(
        r##"let r = if { 1 } else { 2 }
let s = for x xs { 1 }
let t = scan s = 0 { 1 }
let u = if c 1"##,
        r##"
error[E0011]: expected an expression before the body
  ┌─ t.whorl:1:12
1 │ let r = if { 1 } else { 2 }
  │            ^
error[E0010]: expected `in` after the pattern, found `xs`
  ┌─ t.whorl:2:15
2 │ let s = for x xs { 1 }
  │               ^^
  help: for x in xs { … }
error[E0010]: expected `for` after the state of the `scan`, found `{`
  ┌─ t.whorl:3:20
3 │ let t = scan s = 0 { 1 }
  │                    ^
error[E0010]: expected `{` to open the body, found `1`
  ┌─ t.whorl:4:14
4 │ let u = if c 1
  │              ^
"##,
    );
}

#[test]
fn a_missing_comma() {
    check(
        r##"let u = f(a b, c)
let v = [
  1
  2,
]"##,
        r##"
error[E0010]: expected `,` or `)`, found `b`
  ┌─ t.whorl:1:13
1 │ let u = f(a b, c)
  │             ^
error[E0010]: expected `,` or `]`, found the end of the line
  ┌─ t.whorl:3:4
3 │   1
  │    ^
"##,
    );
}

#[test]
fn lines_that_begin_with_minus() {
    check(
        "fn f() {\n  actor\n    + critic\n    - entropy\n}",
        r##"
error[E0024]: a line that begins with `-` does not go on with the line before
  ┌─ t.whorl:4:5
4 │     - entropy
  │     ^
  help: end the line before with the `-`, or put parentheses around the whole expression
"##,
    );
    check("fn f() {\n  let a = b\n  -a\n}", "");
}

#[test]
fn tests_and_properties() {
    check(
        "test \"a\" fails size { 1 }\nprop \"b\" { 1 }\nprop \"c\" (x, y: f32) { 1 }\nprop \"d\" (size n, x: f32[n] in 3) { 1 }\nlet z = 1",
        r##"
error[E0058]: `size` is not the code of an error
  ┌─ t.whorl:1:16
1 │ test "a" fails size { 1 }
  │                ^^^^
  help: fails E0101, fails "part of the message", or fails alone
error[E0059]: a property says what is drawn at random
  ┌─ t.whorl:2:6
2 │ prop "b" { 1 }
  │      ^^^
  help: prop "…" (x: f32, n: i32 in [0, 9]) { … }; what needs nothing is a `test`
error[E0060]: `x` needs a type, of which it is drawn
  ┌─ t.whorl:3:11
3 │ prop "c" (x, y: f32) { 1 }
  │           ^
  help: x: f32, or x: f32 in (-1, 1)
error[E0010]: expected bounds such as `(0, 1)` or `[0, 1]`, found `3`
  ┌─ t.whorl:4:32
4 │ prop "d" (size n, x: f32[n] in 3) { 1 }
  │                                ^
"##,
    );
    check(
        "prop \"a\" (x: f32\n\nsize n = 3\nfn f() = n\n",
        r##"
error[E0012]: `(` is not closed
  ┌─ t.whorl:1:10
1 │ prop "a" (x: f32
  │          ^      ^ expected `)`
  │          opened here
"##,
    );
}

#[test]
fn ten_mistakes_are_ten_errors() {
    let text = "import std.\nparam lr f32 = 1\nsize n = = 4\ntype S = { x f32 }\nfn a(x = 1\n\nfn b( { 2 }\nfn c() {\n  let x = )\n  \
                y z\n  f(1,, 2)\n  x[\n}\nfn d() = a == b == c\n";
    let errors = errors(text);
    let lines: Vec<&str> = errors.lines().filter_map(|l| l.split_once("t.whorl:")?.1.split(':').next()).collect();
    // `fn b( { 2 }` on line 7 is two: its `(`, and a pattern that is none.
    assert_eq!(lines.join(" "), "1 2 3 4 5 7 7 9 10 11 12 14");
}

#[test]
fn mistakes_do_not_touch_what_stands_beside_them() {
    let text = "fn a() = (1 + \n\nfn b(x) { let y = [x }\n\ntype T = 5\n\nfn c() = 3\n";
    let mut map = SourceMap::new();
    let file = map.add("t.whorl", text);
    let module = parse(file, text).module;
    let names: Vec<&str> = module
        .items
        .iter()
        .filter_map(|i| match &i.kind {
            whorl_syntax::ast::ItemKind::Fn(def) => Some(def.name.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
}

/// The table in `codes` and the constants agree.
#[test]
fn every_code_is_in_the_table() {
    let source = include_str!("../src/codes.rs");
    let quoted = |l: &str| l.split('"').nth(1).map(str::to_string);
    let constants: Vec<String> = source.lines().filter(|l| l.starts_with("pub const")).filter_map(quoted).collect();
    let table: Vec<String> =
        source.lines().filter_map(|l| l.strip_prefix("//! | E")).map(|l| format!("E{}", &l[..4])).collect();
    assert_eq!(constants, table);
}

#[test]
fn checkpoints() {
    check(
        r##"let a = scan s = 0 for x in xs checkpoint 10 { s }
let b = scan s = 0 for x in xs checkpoint { s }
let c = scan s = 0 for x in xs checkpoint every { s }
let d = scan s = 0 for x in xs checkpoint steps { s }
let e = 1"##,
        r##"
error[E0010]: expected `every k`, `sqrt` or `carries` after `checkpoint`, found `10`
  ┌─ t.whorl:1:43
1 │ let a = scan s = 0 for x in xs checkpoint 10 { s }
  │                                           ^^
  help: checkpoint every 10
error[E0010]: expected `every k`, `sqrt` or `carries` after `checkpoint`, found `{`
  ┌─ t.whorl:2:43
2 │ let b = scan s = 0 for x in xs checkpoint { s }
  │                                           ^
error[E0011]: expected an expression before the body
  ┌─ t.whorl:3:49
3 │ let c = scan s = 0 for x in xs checkpoint every { s }
  │                                                 ^
error[E0010]: expected `every k`, `sqrt` or `carries` after `checkpoint`, found `steps`
  ┌─ t.whorl:4:43
4 │ let d = scan s = 0 for x in xs checkpoint steps { s }
  │                                           ^^^^^
"##,
    );
}

#[test]
fn other_languages() {
    let says = |text: &str, code: &str, help: &str| {
        let file = FileId(0);
        let mut map = SourceMap::new();
        map.add("t.whorl", text);
        let told: Vec<String> = parse(file, text).diagnostics.iter().map(|d| d.render(&map)).collect();
        assert_eq!(told.len(), 1, "{text}: {}", told.join(""));
        assert!(told[0].contains(code) && told[0].contains(help), "{text}: {}", told[0]);
    };
    let block = |statement: &str| format!("fn f(x) {{\n  {statement}\n  x\n}}\n");
    says("class Net:\n    def f(self):\n        return 1\n\nfn f() = 1\n", "E0063", "type Net");
    says("struct S { x: f32 }\n", "E0063", "type S = {");
    says("const n = 4\n", "E0063", "let n = 4");
    says("function f(x) { x }\n", "E0044", "fn f(x) { x }");
    says("@jit\nfn f() = 1\n", "E0063", "leave it out");
    says("test { assert true }\n", "E0010", "test \"");
    says("import \"std/nn\"\n", "E0055", "import std.nn");
    says("import std/nn\n", "E0055", "import std.nn");
    says("fn f(x: f32): f32 = x\n", "E0062", "-> f32");
    says("fn f { 1 }\n", "E0010", "fn f() {");
    says("fn f(x: f32(3)) = x\n", "E0019", "f32[3]");
    says(&block("let a, b = (1, 2)"), "E0061", "let (a, b) = (1, 2)");
    says(&block("a, b = g(x)"), "E0061", "let (a, b) = g(x)");
    says(&block("y: f32 = 1.0"), "E0043", "let y: f32 = 1.0");
    says(&block("y := 1.0"), "E0043", "let y = 1.0");
    says(&block("x++"), "E0042", "let x = x + 1");
    says(&block("global y"), "E0064", "leave it out");
    says(&block("with torch.no_grad():"), "E0064", "stop_gradient");
    says(&block("print x"), "E0064", "log(\"x\", x)");
    says(&block("for (i = 0; i < 3; i++) { i }"), "E0064", "for i in 0..n");
    says(&block("let y = x as f32"), "E0065", "f32(x)");
    says(&block("let y = x in xs"), "E0065", "any(xs == x)");
    says(&block("let y = x is z"), "E0065", "x == z");
    says(&block("let y = |a, b| a + b"), "E0041", "fn(a, b) = …");
    says(&block("let y = a => a + 1"), "E0041", "fn(a) = a + 1");
    says(&block("let y = {\"a\": 1}"), "E0065", "{ a: … }");
    says(&block("log(f\"x\", x)"), "E0065", "plain string");
    says(&block("let y = x[..., 0]"), "E0049", "whole axis");
    says("fn f(x) = floor(x // 2)\n", "E0025", "floor_div(a, 2)");
    says(&block("\"\"\"Adds.\"\"\""), "E0026", "/// Adds.");
    // What only looks like them is read as it is written.
    for fine in ["let y = { a, b: 1 }", "let y = x  // 2 of them", "let print = x", "match x { a => a, _ => 1 }"] {
        let parsed = parse(FileId(0), &block(fine));
        assert!(parsed.diagnostics.is_empty(), "{fine}: {:?}", parsed.diagnostics);
    }
}
