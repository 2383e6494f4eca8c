//! Operators along axes: sums and other reductions, running ones, places of the largest, order; products of matrices and einsum.

use whorl_core::ir::DType;

use super::Row;
use super::case::{Case, counted};
use super::script::{Excluded, Script, each, expanded, reshaped, scalar, sizes};

pub fn row(op: &str) -> Option<Row> {
    Some(match op {
        "ArgMax" => |c| extreme(c, "argmax"),
        "ArgMin" => |c| extreme(c, "argmin"),
        "CumProd" => |c| running(c, "cumprod", 1.0),
        "CumSum" => |c| running(c, "cumsum", 0.0),
        "Det" => |c| {
            let rank = c.rank(0)?;
            Ok(Script::of(format!("axes.over(linalg.det, x0, {})", rank - 2)).import("std.axes").import("std.linalg"))
        },
        "Einsum" => einsum,
        "Gemm" => gemm,
        "MatMul" => matmul,
        "ReduceL1" => |c| reduce(c, &|x| format!("abs({x})"), "sum", "_", 0.0),
        "ReduceL2" => |c| reduce(c, &|x| format!("square({x})"), "sum", "sqrt(_)", 0.0),
        "ReduceLogSum" => |c| reduce(c, &str::to_string, "sum", "log(_)", 0.0),
        "ReduceLogSumExp" => log_sum_exp,
        "ReduceMax" => |c| reduce(c, &str::to_string, "max", "_", f64::NEG_INFINITY),
        "ReduceMean" => |c| reduce(c, &str::to_string, "mean", "_", f64::NAN),
        "ReduceMin" => |c| reduce(c, &str::to_string, "min", "_", f64::INFINITY),
        "ReduceProd" => |c| reduce(c, &str::to_string, "prod", "_", 1.0),
        "ReduceSum" => |c| reduce(c, &str::to_string, "sum", "_", 0.0),
        "ReduceSumSquare" => |c| reduce(c, &|x| format!("square({x})"), "sum", "_", 0.0),
        "TopK" => top_k,
        _ => return None,
    })
}

/// The axes that a reduction goes over, sorted: an input since opset 18 (13 for sums), an attribute before. None given are all, or none at all.
fn axes(c: &Case) -> Result<Vec<usize>, Excluded> {
    let rank = c.rank(0)?;
    let given = if c.has(1) { c.known(1)? } else { c.ints("axes").unwrap_or_default() };
    if given.is_empty() && c.int("noop_with_empty_axes", 0) == 0 {
        return Ok((0..rank).collect());
    }
    let mut axes: Vec<usize> = given.iter().map(|a| counted(*a, rank)).collect();
    axes.sort();
    Ok(axes)
}

/// The sizes that are left, and those that are given: with `keepdims` reduced axes stay, of size 1.
fn left(c: &Case, axes: &[usize]) -> Result<(Vec<usize>, Vec<usize>), Excluded> {
    let shape = c.shape(0)?;
    let left: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).map(|a| shape[a]).collect();
    let kept = shape.iter().enumerate().map(|(a, n)| if axes.contains(&a) { 1 } else { *n }).collect();
    let given = if c.int("keepdims", 1) == 1 { kept } else { left.clone() };
    Ok((left, given))
}

fn axis_list(axes: &[usize]) -> String {
    format!("[{}]", sizes(axes))
}

/// `after(function(before(x)))` over the axes; `empty` is what nothing gives.
fn reduce(
    c: &Case,
    before: &dyn Fn(&str) -> String,
    function: &str,
    after: &str,
    empty: f64,
) -> Result<Script, Excluded> {
    let (axes, dtype, shape) = (axes(c)?, c.dtype(0)?, c.shape(0)?);
    let (left, given) = left(c, &axes)?;
    // Over no axes, there is nothing to add up.
    let reduced = match (function, dtype) {
        _ if axes.is_empty() => before("x0"),
        ("max" | "min" | "mean", _) if axes.iter().any(|a| shape[*a] == 0) => {
            return Ok(Script::of(filled(empty, dtype, &given)));
        }
        ("max", DType::Bool) => format!("any(x0, axis: {})", axis_list(&axes)),
        ("min", DType::Bool) => format!("all(x0, axis: {})", axis_list(&axes)),
        _ => format!("{function}({}, axis: {})", before("x0"), axis_list(&axes)),
    };
    Ok(Script::of(reshaped("y", &left, &given)).line(format!("let y = {}", after.replace('_', &reduced))))
}

/// The largest and smallest of a type stand for infinity where there is none.
pub fn filled(x: f64, dtype: DType, shape: &[usize]) -> String {
    let number = match dtype {
        DType::Bool => scalar(f64::from(x > 0.0), dtype),
        DType::I32 => scalar(x.clamp(i32::MIN as f64, i32::MAX as f64), dtype),
        DType::U32 => scalar(x.clamp(0.0, u32::MAX as f64), dtype),
        DType::U8 => scalar(x.clamp(0.0, 255.0), dtype),
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 => scalar(x, dtype),
    };
    if shape.is_empty() { number } else { format!("full({number}, {})", sizes(shape)) }
}

/// The axes together as the last one, of which there is a program.
fn log_sum_exp(c: &Case) -> Result<Script, Excluded> {
    let (axes, dtype, shape) = (axes(c)?, c.dtype(0)?, c.shape(0)?);
    let (left, given) = left(c, &axes)?;
    if axes.is_empty() {
        return Ok(Script::of("x0"));
    }
    let n: usize = axes.iter().map(|a| shape[*a]).product();
    if n == 0 {
        return Ok(Script::of(filled(f64::NEG_INFINITY, dtype, &given)));
    }
    let order: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).chain(axes.iter().copied()).collect();
    let turned = super::script::permuted("x0", &order);
    let together: Vec<usize> = left.iter().copied().chain([n]).collect();
    let from: Vec<usize> = order.iter().map(|a| shape[*a]).collect();
    let script = Script::of(reshaped("y", &left, &given)).import("std.nn");
    Ok(script.line(format!("let y = nn.logsumexp({})", reshaped(&turned, &from, &together))))
}

fn extreme(c: &Case, function: &str) -> Result<Script, Excluded> {
    let shape = c.shape(0)?;
    let axis = c.axis("axis", 0, shape.len());
    let (left, given) = left(c, &[axis])?;
    let y = match c.int("select_last_index", 0) {
        0 => format!("{function}(x0, axis: {axis})"),
        _ => format!("{} - {function}(reverse(x0, axis: {axis}), axis: {axis})", shape[axis] - 1),
    };
    Ok(Script::of(reshaped("y", &left, &given)).line(format!("let y = {y}")))
}

/// An exclusive one begins with the number that changes nothing, and leaves the last element out.
fn running(c: &Case, function: &str, neutral: f64) -> Result<Script, Excluded> {
    let shape = c.shape(0)?;
    let axis = counted(c.known(1)?.first().copied().unwrap_or(0), shape.len());
    let reverse = c.int("reverse", 0) == 1;
    let mut x = "x0".to_string();
    if c.int("exclusive", 0) == 1 && shape[axis] > 0 {
        let (from, to) = if reverse { (1, shape[axis]) } else { (0, shape[axis] - 1) };
        let (low, high) = if reverse { (0, 1) } else { (1, 0) };
        let value = scalar(neutral, c.dtype(0)?);
        x = format!("pad(x0[{}{from}..{to}], {low}, {high}, axis: {axis}, value: {value})", ".., ".repeat(axis));
    }
    Ok(Script::of(format!("{function}({x}, axis: {axis}, reverse: {reverse})")))
}

/// Of equal ones the first come first.
fn top_k(c: &Case) -> Result<Script, Excluded> {
    let rank = c.rank(0)?;
    let axis = c.axis("axis", -1, rank);
    let k = if c.has(1) { c.known(1)?[0] } else { c.int("k", 1) };
    let descending = c.int("largest", 1) == 1;
    let script = Script::giving(["values".to_string(), "places".to_string()]).import("std.array");
    Ok(script
        .line(format!("let order = argsort(x0, axis: {axis}, descending: {descending})"))
        .line(format!("let places = order[{}0..{k}]", ".., ".repeat(axis)))
        .line(format!("let values = array.take_along(x0, places, axis: {axis})")))
}

/// As NumPy's: a vector is a row on the left and a column on the right; what stands before the last two axes is broadcast.
fn matmul(c: &Case) -> Result<Script, Excluded> {
    let batch = |k: usize| Ok(c.shape(k)?[..c.rank(k)?.saturating_sub(2)].to_vec());
    let operands = [("x0".to_string(), batch(0)?), ("x1".to_string(), batch(1)?)];
    Ok(Script::of(each(&operands, &|e| format!("{} @ {}", e[0], e[1]))))
}

fn gemm(c: &Case) -> Result<Script, Excluded> {
    let turned = |k: usize, name: &str| if c.int(name, 0) == 1 { format!("transpose(x{k})") } else { format!("x{k}") };
    let size = |k: usize, name: &str, axis: usize| Ok(c.shape(k)?[if c.int(name, 0) == 1 { 1 - axis } else { axis }]);
    let shape = [size(0, "transA", 0)?, size(1, "transB", 1)?];
    let (a, b) = (turned(0, "transA"), turned(1, "transB"));
    let scaled = |by: &str, x: String| match c.float(by, 1.0) {
        1.0 => x,
        s => format!("{} * {x}", scalar(s, c.dtype(0).unwrap_or(DType::F32))),
    };
    let product = scaled("alpha", format!("({a} @ {b})"));
    if !c.has(2) {
        return Ok(Script::of(product));
    }
    let script = Script::of(format!("y + {}", scaled("beta", "bias".to_string())));
    Ok(script.line(format!("let y = {product}")).line(format!("let bias = {}", expanded("x2", &c.shape(2)?, &shape))))
}

/// A `for` over each index of the result, and the sum over the others, of a product of elements.
fn einsum(c: &Case) -> Result<Script, Excluded> {
    let equation: String = c.text("equation", "").chars().filter(|x| !x.is_whitespace()).collect();
    let (terms, result) = match equation.split_once("->") {
        Some((terms, result)) => (terms.to_string(), Some(result.to_string())),
        None => (equation.clone(), None),
    };
    let terms: Vec<&str> = terms.split(',').collect();
    // Axes of `...` have upper-case letters of the end of the alphabet, which count from the last one.
    let dots =
        |rank: usize, of: usize| -> Vec<String> { (0..rank).map(|k| format!("dots{}", of - rank + k)).collect() };
    let mut most = 0;
    for (k, term) in terms.iter().enumerate() {
        if term.contains("...") {
            most = most.max(c.rank(k)? + 3 - term.len());
        }
    }
    let indices = |term: &str, rank: usize| -> Vec<String> {
        let of = |part: &str| {
            part.chars().map(|l| format!("{}{l}", if l.is_uppercase() { "upper_" } else { "i_" })).collect()
        };
        match term.split_once("...") {
            None => of(term),
            Some((a, b)) => {
                let all: [Vec<String>; 3] = [of(a), dots(rank + 3 - term.len(), most), of(b)];
                all.concat()
            }
        }
    };
    let mut known: Vec<(String, usize)> = Vec::new();
    let (mut factors, mut count): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for (k, term) in terms.iter().enumerate() {
        let (all, shape) = (indices(term, c.rank(k)?), c.shape(k)?);
        let mut places = Vec::new();
        for (index, n) in all.iter().zip(&shape) {
            match known.iter_mut().find(|(name, _)| name == index) {
                Some((_, size)) => *size = (*size).max(*n),
                None => known.push((index.clone(), *n)),
            }
            places.push(if *n == 1 && index.starts_with("dots") { "0".to_string() } else { index.clone() });
            count.push(index.clone());
        }
        factors.push(if places.is_empty() { format!("x{k}") } else { format!("x{k}[{}]", places.join(", ")) });
    }
    // Without a result: all dots, then the indices that stand once, by alphabet.
    let wanted = match &result {
        Some(result) => indices(result, most + result.len().saturating_sub(3)),
        None => {
            let mut once: Vec<String> =
                count.iter().filter(|i| count.iter().filter(|j| j == i).count() == 1).cloned().collect();
            once.retain(|i| !i.starts_with("dots"));
            // Upper-case letters come first.
            once.sort_by_key(|i| i.rsplit('_').next().map(str::to_string));
            [dots(most, most), once].concat()
        }
    };
    let size = |index: &String| known.iter().find(|k| k.0 == *index).map_or(0, |k| k.1);
    let mut text = factors.join(" * ");
    for index in known.iter().map(|k| &k.0).rev().filter(|i| !wanted.contains(i)) {
        text = format!("sum(for {index} in 0..{} {{ {text} }}, axis: 0)", size(index));
    }
    for index in wanted.iter().rev() {
        text = format!("for {index} in 0..{} {{ {text} }}", size(index));
    }
    Ok(Script::of(text))
}
