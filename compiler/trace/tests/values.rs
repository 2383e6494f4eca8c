//! Small programs, traced and evaluated.

mod common;
use common::{run, value};

#[track_caller]
fn close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{got:?}");
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?} is not {want:?}");
}

#[test]
fn literals_and_arithmetic() {
    close(&value("1 + 2 * 3"), &[7.0]);
    close(&value("f32(7) / 2"), &[3.5]);
    close(&value("div(7, 2) + 7 % 2"), &[4.0]);
    close(&value("2 * [1.0, 2.0]"), &[2.0, 4.0]);
    close(&value("-[1, 2] + 1"), &[0.0, -1.0]);
    close(&value("f32(3 > 2 and not false)"), &[1.0]);
    close(&value("i32([1.7, -1.7])"), &[1.0, -1.0]);
}

#[test]
fn records_and_tuples() {
    close(&run("fn main() {\n let r = { x: 1.0, y: 2.0 }\n let s = r with { x: 3.0 }\n s.x + r.y }\n"), &[5.0]);
    close(&run("fn main() {\n let (a, b) = (1.5, 2.0)\n a * b }\n"), &[3.0]);
    close(&run("fn main() {\n let { x, y: z } = { x: 1.0, y: 2.0 }\n x - z }\n"), &[-1.0]);
    close(
        &run("fn main() {\n let t = ({ w: [1.0, 2.0] }, 3.0)\n let u = 0.5 * (t + t)\n sum(u.0.w) + u.1 }\n"),
        &[6.0],
    );
}

#[test]
fn functions_and_closures() {
    close(&run("fn twice(f, x) = f(f(x))\nfn main() {\n let k = 3.0\n twice(fn(x) = x * k, 2.0) }\n"), &[18.0]);
    close(&run("fn f(x, y = 2.0 * x, z = 1.0) = x + y * z\nfn main() = f(1.0, z: 3.0)\n"), &[7.0]);
    close(&run("fn f(x: f32[n], y: f32[n]) = sum(x * y) + f32(n)\nfn main() = f([1.0, 2.0], [3, 4])\n"), &[13.0]);
    close(&run("fn adder(n) = fn(x) = x + n\nfn main() = adder(1.0)(2.0)\n"), &[3.0]);
}

#[test]
fn branches() {
    close(&run("fn main() {\n let x = sum([1.0])\n if x > 0.0 { x } else { 0 } }\n"), &[1.0]);
    close(
        &run(
            "fn f(x) = if x > 1.0 { { a: x, b: 1 } } else if x > 0.0 { { b: 2, a: 0.5 } } else { { a: 0.0, b: 3 } }\nfn main() {\n let r = for x in [2.0, 0.5, -1.0] { f(x) }\n r.a + f32(r.b) }\n",
        ),
        &[3.0, 2.5, 3.0],
    );
}

#[test]
fn maps() {
    close(&value("for i in 0..4 { i * i }"), &[0.0, 1.0, 4.0, 9.0]);
    close(&value("for i in 2..4 { for j in 0..2 { 10 * i + j } }"), &[20.0, 21.0, 30.0, 31.0]);
    close(
        &run(
            "fn main() {\n let s = for i in 0..3 { { x: f32(i), y: [1.0, f32(i)] } }\n let t = for p in s { p.x + sum(p.y) }\n t + s.x }\n",
        ),
        &[1.0, 4.0, 7.0],
    );
    close(&value("for (a, b) in zip([1.0, 2.0], [3.0, 4.0]) { a * b }"), &[3.0, 8.0]);
    close(&value("for (i, a) in enumerate([5.0, 6.0]) { a * f32(i) }"), &[0.0, 6.0]);
    close(
        &run("fn main() {\n let batch = { x: [1.0, 2.0], y: [3.0, 4.0] }\n for b in batch { b.x + b.y } }\n"),
        &[4.0, 6.0],
    );
}

#[test]
fn scans() {
    close(&value("scan s = 0 for i in 0..5 { s + i }"), &[10.0]);
    close(
        &run(
            "fn main() {\n let (last, ys) = scan s = 0.0 for x in [1.0, 2.0, 3.0] {\n yield s * 10\n s + x }\n ys + last }\n",
        ),
        &[6.0, 16.0, 36.0],
    );
    close(
        &run(
            "fn main() {\n let (_, ys) = scan reverse s = 0.0 for x in [1.0, 2.0, 3.0] {\n let n = s + x\n yield n\n n }\n ys }\n",
        ),
        &[6.0, 5.0, 3.0],
    );
    close(
        &run(
            "fn main() {\n let (a, b) = (0.0, 1.0)\n let (a, b) = scan (a, b) for _ in 0..5 { (b, a + b) }\n a + b }\n",
        ),
        &[13.0],
    );
}

#[test]
fn whiles() {
    close(&value("while s = 1; s < 100 { s * 2 }"), &[128.0]);
    close(&value("while s = 1.0; s < 100.0 max 3 { s * 2 }"), &[8.0]);
}

#[test]
fn indexing() {
    let xs = "fn main() {\n let xs = reshape(arange(12), 3, 4)\n let i = sum([1])\n ";
    let at = |e: &str| run(&format!("{xs}{e} }}\n"));
    close(&at("xs[1, 2]"), &[6.0]);
    close(&at("xs[i, 2] + xs[i][i]"), &[11.0]);
    close(&at("xs[2]"), &[8.0, 9.0, 10.0, 11.0]);
    close(&at("xs[.., 1]"), &[1.0, 5.0, 9.0]);
    close(&at("xs[.., i]"), &[1.0, 5.0, 9.0]);
    close(&at("xs[1.., ..2]"), &[4.0, 5.0, 8.0, 9.0]);
    close(&at("xs[i, i..i + 2]"), &[5.0, 6.0]);
    close(&at("xs[.., 2 * i..2 * (i + 1)]"), &[2.0, 3.0, 6.0, 7.0, 10.0, 11.0]);
    close(&at("xs[[2, 0], 1]"), &[9.0, 1.0]);
    close(&at("xs[.., [3, 0]]"), &[3.0, 0.0, 7.0, 4.0, 11.0, 8.0]);
    close(&at("(xs with [i] = [1, 1, 1, 1])[.., 0]"), &[0.0, 1.0, 8.0]);
    close(&at("(xs with [i, 1..3] = 7)[1]"), &[4.0, 7.0, 7.0, 7.0]);
    close(
        &run("fn main() {\n let s = for i in 0..3 { { x: f32(i) } }\n let t = s with [1] = { x: 9 }\n t[0..2].x }\n"),
        &[0.0, 9.0],
    );
}

#[test]
fn products() {
    close(&value("[1.0, 2.0] @ [3.0, 4.0]"), &[11.0]);
    close(&value("[[1.0, 2.0], [3.0, 4.0]] @ [1.0, 1.0]"), &[3.0, 7.0]);
    close(&value("[1.0, 1.0] @ [[1.0, 2.0], [3.0, 4.0]]"), &[4.0, 6.0]);
}

#[test]
fn reductions_and_friends() {
    close(&value("sum([[1.0, 2.0], [3.0, 4.0]], axis: 0)"), &[4.0, 6.0]);
    close(&value("mean([[1.0, 2.0], [3.0, 4.0]], axis: -1)"), &[1.5, 3.5]);
    close(&value("max([3, 1, 2]) + min(2, 5)"), &[5.0]);
    close(&value("argmax([3, 9, 2])"), &[1.0]);
    close(&value("sort([3, 1, 2])"), &[1.0, 2.0, 3.0]);
    close(&value("argsort([3, 1, 2])"), &[1.0, 2.0, 0.0]);
    close(&value("cumsum([1, 2, 3])"), &[1.0, 3.0, 6.0]);
    close(&value("one_hot(1, 3)"), &[0.0, 1.0, 0.0]);
    close(&value("concat([1, 2], [3])"), &[1.0, 2.0, 3.0]);
    close(&value("transpose([[1, 2], [3, 4]])"), &[1.0, 3.0, 2.0, 4.0]);
    close(&value("sum(eye(3)) + sum(ones(2, 2)) + len(zeros(5))"), &[12.0]);
    close(&value("norm({ a: [3.0, 0.0], b: 4.0 })"), &[5.0]);
    close(&value("select([true, false], 1.0, 2.0)"), &[1.0, 2.0]);
}

#[test]
fn gradients() {
    close(&value("grad(fn(x) = x * x * x)(2.0)"), &[12.0]);
    close(&value("grad(grad(fn(x) = x * x * x))(2.0)"), &[12.0]);
    close(
        &run(
            "fn loss(p, x) = sum(square(p.w * x + p.b))\nfn main() {\n let g = grad(loss)({ w: [1.0, 2.0], b: 1.0, n: 3 }, 2.0)\n g.w + g.b }\n",
        ),
        &[28.0, 36.0],
    );
    close(
        &run(
            "fn main() {\n let ((l, aux), g) = value_and_grad(fn(x) = (x * x, 3 * x), aux: true)(2.0)\n l + aux + g }\n",
        ),
        &[14.0],
    );
    close(&run("fn main() {\n let (y, t) = jvp(fn(x) = sin(x), 0.0, 2.0)\n y + t }\n"), &[2.0]);
    close(&value("grad(fn(x) = scan s = x for _ in 0..3 { s * x })(2.0)"), &[32.0]);
    close(&run("fn f(a, b) = a * b\nfn main() = grad(f, wrt: \"b\")(3.0, 4.0)\n"), &[3.0]);
}

#[test]
fn params_and_sizes() {
    let text = "size n = 2 * m\nsize m = 3\nparam rate: f32 = 0.5 in (0, 1) \"per step\"\nfn main() = rate * ones(n)\n";
    close(&run(text), &[0.5; 6]);
    let script = common::load_with(&[], text, &[("m", "1"), ("rate", "0.25")]).unwrap_or_else(|e| panic!("{e}"));
    let knobs = script.knobs();
    assert_eq!(
        knobs.iter().map(|k| (k.name.as_str(), k.value.as_str(), k.ty.as_str())).collect::<Vec<_>>(),
        [("n", "2", "size"), ("m", "1", "size"), ("rate", "0.25", "f32")]
    );
    assert_eq!(knobs[2].bounds.as_deref(), Some("(0, 1)"));
    assert_eq!(knobs[2].default, "0.5");
}
