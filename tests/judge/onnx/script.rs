//! The text of a script that does what an operator does, and pieces of text.
//!
//! ```text
//! import std.nn
//! fn node(x0, x1) {
//!   let y = for (a, b) in zip(x0, x1) { a + b }
//!   (y, sum(y))
//! }
//! ```

use whorl_core::ir::DType;

use super::case::Case;

/// Why an operator, or some of its cases, has no script: what Whorl does not have.
#[derive(Clone, Debug)]
pub struct Excluded(pub String);

impl Excluded {
    pub fn new(reason: &str) -> Excluded {
        Excluded(reason.to_string())
    }
}

/// A function of the inputs of a node, `x0`, `x1`, … by their places in ONNX's documentation.
#[derive(Default)]
pub struct Script {
    imports: Vec<String>,
    lines: Vec<String>,
    /// An expression for each output, in ONNX's order; those not asked for are left out of the text.
    results: Vec<String>,
}

impl Script {
    /// A script that gives the value of an expression.
    pub fn of(result: impl Into<String>) -> Script {
        Script { results: vec![result.into()], ..Script::default() }
    }

    /// A script that gives several values.
    pub fn giving(results: impl IntoIterator<Item = String>) -> Script {
        Script { results: results.into_iter().collect(), ..Script::default() }
    }

    /// With `import MODULE` at its top.
    pub fn import(mut self, module: &str) -> Script {
        self.imports.push(module.to_string());
        self
    }

    /// With a line in the body, before the results.
    pub fn line(mut self, line: impl Into<String>) -> Script {
        self.lines.push(line.into());
        self
    }

    /// Giving these values.
    pub fn gives(mut self, results: impl IntoIterator<Item = String>) -> Script {
        self.results = results.into_iter().collect();
        self
    }

    pub fn text(&self, case: &Case) -> String {
        let mut text: String = self.imports.iter().map(|m| format!("import {m}\n")).collect();
        let names: Vec<String> = case.arguments().map(|(k, _)| format!("x{k}")).collect();
        let wanted = self.results.iter().enumerate().filter(|(k, _)| case.wants(*k));
        let results: Vec<&str> = wanted.map(|(_, r)| r.as_str()).collect();
        text += &format!("fn node({}) {{\n", names.join(", "));
        self.lines.iter().for_each(|line| text += &format!("  {line}\n"));
        match results[..] {
            [one] => text += &format!("  {one}\n}}\n"),
            _ => text += &format!("  ({})\n}}\n", results.join(", ")),
        }
        text
    }
}

/// A number as a literal that takes the type of what it meets, where that is of floats.
pub fn float(x: f64) -> String {
    match x {
        x if x.is_nan() => "(0.0 / 0.0)".to_string(),
        x if x == f64::INFINITY => "(1.0 / 0.0)".to_string(),
        x if x == f64::NEG_INFINITY => "(-1.0 / 0.0)".to_string(),
        x => format!("{x:?}"),
    }
}

/// A literal of an element type, in front of which stands its conversion.
pub fn scalar(x: f64, dtype: DType) -> String {
    match dtype {
        DType::Bool => format!("{}", x != 0.0),
        d if d.is_float() => format!("{}({})", d.name(), float(x)),
        d => format!("{}({})", d.name(), x as i64),
    }
}

/// `[1, 2, 3]`
pub fn list(numbers: &[i64]) -> String {
    let all: Vec<String> = numbers.iter().map(i64::to_string).collect();
    format!("[{}]", all.join(", "))
}

/// Sizes as further arguments: `2, 3`.
pub fn sizes(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// `x` in other sizes, of as many elements.
pub fn reshaped(x: &str, from: &[usize], to: &[usize]) -> String {
    match (from, to) {
        (from, to) if from == to => x.to_string(),
        // A scalar has no list of sizes.
        (_, []) => format!("{x}[{}]", from.iter().map(|_| "0").collect::<Vec<_>>().join(", ")),
        ([], to) => to.iter().fold(x.to_string(), |x, _| format!("[{x}]")),
        (_, to) => format!("reshape({x}, {})", sizes(to)),
    }
}

/// The sizes that operands of these sizes have together.
pub fn together(shapes: &[Vec<usize>]) -> Vec<usize> {
    let rank = shapes.iter().map(Vec::len).max().unwrap_or(0);
    let size = |axis: usize| {
        let sizes = shapes.iter().filter_map(|s| s.get((axis + s.len()).checked_sub(rank)?).copied());
        sizes.fold(1, |n, m| if n == 1 { m } else { n })
    };
    (0..rank).map(size).collect()
}

/// An elementwise function of operands of different sizes: a `for` over each axis that only some have, until what is left are
/// arrays of one shape and scalars, for which nothing needs to be said.
pub fn broadcast(operands: &[(String, Vec<usize>)], f: &dyn Fn(&[String]) -> String) -> String {
    let shapes: Vec<Vec<usize>> = operands.iter().map(|o| o.1.clone()).collect();
    spread(operands, &together(&shapes), 0, true, f)
}

/// A function of what stands behind these axes of its operands: a `for` over every one of them.
pub fn each(operands: &[(String, Vec<usize>)], f: &dyn Fn(&[String]) -> String) -> String {
    let shapes: Vec<Vec<usize>> = operands.iter().map(|o| o.1.clone()).collect();
    spread(operands, &together(&shapes), 0, false, f)
}

fn spread(
    operands: &[(String, Vec<usize>)],
    whole: &[usize],
    depth: usize,
    elementwise: bool,
    f: &dyn Fn(&[String]) -> String,
) -> String {
    let some_whole = elementwise && operands.iter().any(|o| o.1 == whole);
    if whole.is_empty() || some_whole && operands.iter().all(|o| o.1 == whole || o.1.is_empty()) {
        let names: Vec<String> = operands.iter().map(|o| o.0.clone()).collect();
        return f(&names);
    }
    let (n, rest) = (whole[0], &whole[1..]);
    // Which operands have this axis, and which have it only once.
    let (mut inside, mut over) = (Vec::new(), Vec::new());
    for (k, (x, shape)) in operands.iter().enumerate() {
        if shape.len() < whole.len() {
            inside.push((x.clone(), shape.clone()));
        } else if shape[0] == n {
            let name = format!("e{k}_{depth}");
            over.push((name.clone(), x.clone()));
            inside.push((name, shape[1..].to_vec()));
        } else {
            inside.push((format!("{x}[0]"), shape[1..].to_vec()));
        }
    }
    let body = spread(&inside, rest, depth + 1, elementwise, f);
    match &over[..] {
        [] => format!("for _ in 0..{n} {{ {body} }}"),
        [(name, x)] => format!("for {name} in {x} {{ {body} }}"),
        _ => {
            let (names, all): (Vec<&str>, Vec<&str>) = over.iter().map(|(n, x)| (n.as_str(), x.as_str())).unzip();
            format!("for ({}) in zip({}) {{ {body} }}", names.join(", "), all.join(", "))
        }
    }
}

/// `x` with these sizes: what has no axis there, or one of size 1, is repeated.
pub fn expanded(x: &str, from: &[usize], to: &[usize]) -> String {
    if from == to {
        return x.to_string();
    }
    // The shape to come is an operand that the function does not use: only its sizes count.
    let whole = together(&[from.to_vec(), to.to_vec()]);
    expand(x, from, &whole, 0)
}

fn expand(x: &str, from: &[usize], to: &[usize], depth: usize) -> String {
    if from == to {
        return x.to_string();
    }
    let n = to[0];
    if from.len() < to.len() {
        format!("for _ in 0..{n} {{ {} }}", expand(x, from, &to[1..], depth))
    } else if from[0] == n {
        let name = format!("e{depth}");
        format!("for {name} in {x} {{ {} }}", expand(&name, &from[1..], &to[1..], depth + 1))
    } else {
        format!("for _ in 0..{n} {{ {} }}", expand(&format!("{x}[0]"), &from[1..], &to[1..], depth))
    }
}

pub fn permuted(x: &str, axes: &[usize]) -> String {
    if axes.iter().enumerate().all(|(k, a)| k == *a) {
        return x.to_string();
    }
    format!("transpose({x}, {})", sizes(axes))
}

/// The element type that ONNX has this number for.
pub fn element(code: i64) -> Result<DType, Excluded> {
    match code {
        1 => Ok(DType::F32),
        2 => Ok(DType::U8),
        // 64-bit integers as `i32`, as in `case`.
        6 | 7 => Ok(DType::I32),
        9 => Ok(DType::Bool),
        10 => Ok(DType::F16),
        11 => Ok(DType::F64),
        12 => Ok(DType::U32),
        16 => Ok(DType::BF16),
        8 => Err(Excluded::new("strings")),
        3..=5 => Err(Excluded::new("integers of 8 bits with a sign, or of 16 bits")),
        13 => Err(Excluded::new("64-bit integers without a sign")),
        14 | 15 => Err(Excluded::new("complex numbers")),
        other => Err(Excluded(format!("element type {other}"))),
    }
}
