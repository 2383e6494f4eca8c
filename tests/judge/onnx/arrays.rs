//! Operators that move, choose, repeat and make elements.

use whorl_core::ir::DType;

use super::Row;
use super::case::{Case, counted};
use super::reduce::filled;
use super::script::{Excluded, Script, element, expanded, list, permuted, reshaped, scalar, together};

pub fn row(op: &str) -> Option<Row> {
    Some(match op {
        "CenterCropPad" => center_crop_pad,
        "Compress" | "NonMaxSuppression" | "NonZero" | "StringSplit" | "Unique" => {
            |_| Err(Excluded::new("sizes that depend on values"))
        }
        "Concat" => concat,
        "Constant" => constant,
        "ConstantOfShape" => constant_of_shape,
        "DepthToSpace" => |c| {
            let (size, first) = (c.int("blocksize", 1), c.text("mode", "DCR") == "DCR");
            of_array(&format!("for x in x0 {{ array.depth_to_space(x, {size}, place_first: {first}) }}"))
        },
        "Expand" => |c| {
            let (from, to) = (c.shape(0)?, as_sizes(&c.known(1)?));
            Ok(Script::of(expanded("x0", &from, &together(&[from.clone(), to]))))
        },
        "EyeLike" => eye_like,
        "Flatten" => flatten,
        "Gather" => |c| of_array(&format!("array.take(x0, x1, axis: {})", c.axis("axis", 0, c.rank(0)?))),
        "GatherElements" => |c| of_array(&format!("array.take_along(x0, x1, axis: {})", c.axis("axis", 0, c.rank(0)?))),
        "GatherND" => |c| of_array(&format!("array.elements(x0, x1, batch: {})", c.int("batch_dims", 0))),
        "OneHot" => one_hot,
        "Pad" => pad,
        "Range" => range,
        "Reshape" => reshape,
        "ReverseSequence" => reverse_sequence,
        "Scatter" | "ScatterElements" => |c| {
            let (axis, f) = (c.axis("axis", 0, c.rank(0)?), combined(c)?);
            of_array(&format!("array.put_along(x0, x1, x2, {f}, axis: {axis})"))
        },
        "ScatterND" => |c| of_array(&format!("array.put(x0, x1, x2, {})", combined(c)?)),
        "Shape" => shape,
        "Size" => |c| Ok(Script::of(scalar(c.input(0)?.ty.size() as f64, DType::I32))),
        "Slice" => slice,
        "SpaceToDepth" => |c| {
            let (size, first) = (c.int("blocksize", 1), c.text("mode", "DCR") == "DCR");
            of_array(&format!("for x in x0 {{ array.space_to_depth(x, {size}, place_first: {first}) }}"))
        },
        "Split" => split,
        "Squeeze" | "Unsqueeze" => squeeze,
        "Tile" => |c| of_array(&format!("array.tile(x0, {})", list(&c.known(1)?))),
        "Transpose" => transpose,
        "Trilu" => |c| {
            let name = if c.int("upper", 1) == 1 { "triu" } else { "tril" };
            of_array(&format!("array.{name}(x0, k: {})", c.known_number(1)?.unwrap_or(0.0)))
        },
        _ => return None,
    })
}

fn of_array(text: &str) -> Result<Script, Excluded> {
    Ok(Script::of(text).import("std.array"))
}

fn as_sizes(numbers: &[i64]) -> Vec<usize> {
    numbers.iter().map(|n| *n as usize).collect()
}

/// What a value of a scatter does with what is there.
fn combined(c: &Case) -> Result<&'static str, Excluded> {
    match c.text("reduction", "none") {
        "none" => Ok("fn(_, b) = b"),
        "add" => Ok("fn(a, b) = a + b"),
        "mul" => Ok("fn(a, b) = a * b"),
        "max" => Ok("max"),
        "min" => Ok("min"),
        other => Err(Excluded(format!("a scatter by {other}"))),
    }
}

fn concat(c: &Case) -> Result<Script, Excluded> {
    let all: Vec<String> = c.arguments().map(|(k, _)| format!("x{k}")).collect();
    match &all[..] {
        [one] => Ok(Script::of(one.clone())),
        _ => Ok(Script::of(format!("concat({}, axis: {})", all.join(", "), c.axis("axis", 0, c.rank(0)?)))),
    }
}

fn constant(c: &Case) -> Result<Script, Excluded> {
    let wanted = c.outputs.first().and_then(Option::as_ref).ok_or_else(|| Excluded::new("no output"))?;
    let values = ["value", "value_float", "value_int", "value_floats", "value_ints"]
        .into_iter()
        .find_map(|name| c.floats(name).or_else(|| c.has_attr(name).then(|| vec![c.float(name, 0.0)])));
    let values = values.ok_or_else(|| Excluded::new("a constant of no numbers"))?;
    let all: Vec<String> = values.iter().map(|x| scalar(*x, wanted.ty.dtype)).collect();
    let vector = [values.len()];
    Ok(Script::of(reshaped(&format!("[{}]", all.join(", ")), &vector, &wanted.ty.shape)))
}

/// The element type is that of the attribute `value`, of which the cases have the number only: that of the output.
fn constant_of_shape(c: &Case) -> Result<Script, Excluded> {
    let dtype = c.outputs.first().and_then(Option::as_ref).map_or(DType::F32, |o| o.ty.dtype);
    let value = c.floats("value").and_then(|v| v.first().copied()).unwrap_or(0.0);
    Ok(Script::of(filled(value, dtype, &as_sizes(&c.known(0)?))))
}

fn eye_like(c: &Case) -> Result<Script, Excluded> {
    let (shape, k) = (c.shape(0)?, c.int("k", 0));
    let dtype = if c.has_attr("dtype") { element(c.int("dtype", 1))? } else { c.dtype(0)? };
    let [n, m] = shape[..] else { return Err(Excluded::new("an identity of other than two axes")) };
    let name = dtype.name();
    Ok(Script::of(format!("for i in 0..{n} {{ for j in 0..{m} {{ {name}(j - i == {k}) }} }}")))
}

fn flatten(c: &Case) -> Result<Script, Excluded> {
    let shape = c.shape(0)?;
    let axis = c.axis("axis", 1, shape.len());
    let to = [shape[..axis].iter().product(), shape[axis..].iter().product()];
    Ok(Script::of(reshaped("x0", &shape, &to)))
}

/// Along a new axis of so many places, `on` at the place of each index and `off` elsewhere; no index is out of range.
fn one_hot(c: &Case) -> Result<Script, Excluded> {
    let (rank, n) = (c.rank(0)?, c.known(1)?[0]);
    let axis = c.axis("axis", -1, rank + 1);
    Ok(Script::of(format!("axes.move_axis(y, {rank}, {axis})"))
        .import("std.axes")
        .line(format!("let at = fn(i) = where(arange({n}) == where(i < 0, i + {n}, i), x2[1], x2[0])"))
        .line(format!("let y = axes.over(at, i32(x0), {rank})")))
}

/// How much goes before and behind each axis.
fn amounts(c: &Case) -> Result<Vec<(usize, i64, i64)>, Excluded> {
    let rank = c.rank(0)?;
    let pads = if c.has(1) { c.known(1)? } else { c.ints("pads").unwrap_or_default() };
    let axes = if c.has(3) { c.known(3)? } else { (0..rank as i64).collect() };
    let n = axes.len();
    Ok((0..n).map(|k| (counted(axes[k], rank), pads[k], pads[k + n])).filter(|p| p.1 != 0 || p.2 != 0).collect())
}

fn pad(c: &Case) -> Result<Script, Excluded> {
    let shape = c.shape(0)?;
    let mut x = "x0".to_string();
    let mode = c.text("mode", "constant");
    for (axis, low, high) in amounts(c)? {
        if mode != "constant" {
            x = format!("array.pad_{mode}({x}, {low}, {high}, axis: {axis})");
            continue;
        }
        // Negative amounts cut off.
        let (from, to) = ((-low).max(0), shape[axis] as i64 - (-high).max(0));
        let cut = if low < 0 || high < 0 { format!("{x}[{}{from}..{to}]", ".., ".repeat(axis)) } else { x };
        let value = match c.has(2) {
            true => reshaped("x2", &c.shape(2)?, &[]),
            false => scalar(c.float("value", 0.0), c.dtype(0)?),
        };
        x = format!("pad({cut}, {}, {}, axis: {axis}, value: {value})", low.max(0), high.max(0));
    }
    if mode == "constant" { Ok(Script::of(x)) } else { of_array(&x) }
}

fn center_crop_pad(c: &Case) -> Result<Script, Excluded> {
    let (shape, wanted) = (c.shape(0)?, c.known(1)?);
    let axes = c.ints("axes").unwrap_or_else(|| (0..shape.len() as i64).collect());
    let mut x = "x0".to_string();
    for (axis, to) in axes.iter().zip(wanted) {
        let axis = counted(*axis, shape.len());
        let (n, before) = (shape[axis] as i64, ".., ".repeat(axis));
        // The odd one goes behind.
        let low = (n - to).abs() / 2;
        x = match n >= to {
            true => format!("{x}[{before}{low}..{}]", low + to),
            false => format!("pad({x}, {low}, {}, axis: {axis})", to - n - low),
        };
    }
    Ok(Script::of(x))
}

/// The size is known when a program is traced, and so the three numbers are.
fn range(c: &Case) -> Result<Script, Excluded> {
    let number = |k: usize| Ok(c.known_number(k)?.unwrap_or(0.0));
    let n = ((number(1)? - number(0)?) / number(2)?).ceil().max(0.0) as usize;
    Ok(Script::of(format!("x0 + x2 * {}(arange({n}))", c.dtype(0)?.name())))
}

fn reshape(c: &Case) -> Result<Script, Excluded> {
    let shape = c.shape(0)?;
    let mut to = c.known(1)?;
    if c.int("allowzero", 0) == 0 {
        to.iter_mut().enumerate().filter(|(_, n)| **n == 0).for_each(|(k, n)| *n = shape[k] as i64);
    }
    let known: i64 = to.iter().filter(|n| **n >= 0).product();
    let all: usize = shape.iter().product();
    to.iter_mut().filter(|n| **n < 0).for_each(|n| *n = all as i64 / known.max(1));
    Ok(Script::of(reshaped("x0", &shape, &as_sizes(&to))))
}

/// Sequences along `time_axis`, of which each has a row along `batch_axis`.
fn reverse_sequence(c: &Case) -> Result<Script, Excluded> {
    match (c.int("batch_axis", 1), c.int("time_axis", 0)) {
        (0, 1) => of_array("array.reverse_sequences(x0, x1)"),
        (1, 0) => {
            let rank = c.rank(0)?;
            let order: Vec<usize> = [1, 0].into_iter().chain(2..rank).collect();
            let turned = permuted("x0", &order);
            of_array(&permuted(&format!("array.reverse_sequences({turned}, x1)"), &order))
        }
        _ => Err(Excluded::new("sequences along other axes than the first two")),
    }
}

fn shape(c: &Case) -> Result<Script, Excluded> {
    let shape = c.shape(0)?;
    let rank = shape.len() as i64;
    let end = |name: &str, default: i64| {
        let at = c.int(name, default);
        (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize
    };
    let (from, to) = (end("start", 0), end("end", rank));
    let numbers: Vec<i64> = shape[from..to.max(from)].iter().map(|n| *n as i64).collect();
    Ok(Script::of(if numbers.is_empty() {
        "zeros(0, dtype: i32)".to_string()
    } else {
        format!("i32({})", list(&numbers))
    }))
}

/// Steps of one are slices, others places.
fn slice(c: &Case) -> Result<Script, Excluded> {
    let shape = c.shape(0)?;
    let (starts, ends) = match c.has(1) {
        true => (c.known(1)?, c.known(2)?),
        false => (c.ints("starts").unwrap_or_default(), c.ints("ends").unwrap_or_default()),
    };
    let axes =
        if c.has(3) { c.known(3)? } else { c.ints("axes").unwrap_or_else(|| (0..starts.len() as i64).collect()) };
    let steps = if c.has(4) { c.known(4)? } else { vec![1; starts.len()] };
    let mut cuts: Vec<String> = shape.iter().map(|_| "..".to_string()).collect();
    let mut x = "x0".to_string();
    for (k, axis) in axes.iter().enumerate() {
        let axis = counted(*axis, shape.len());
        let (n, step) = (shape[axis] as i64, steps[k]);
        let place = |at: i64| if at < 0 { at.saturating_add(n) } else { at };
        // From where to before where, as Python has it.
        let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
        let (start, end) = (place(starts[k]).clamp(low.max(0), high), place(ends[k]).clamp(low, high));
        let count = ((end - start + step - step.signum()) / step).max(0);
        if step == 1 {
            cuts[axis] = format!("{start}..{}", start + count);
        } else {
            x = format!("array.take({x}, {start} + {step} * arange({count}), axis: {axis})");
        }
    }
    if cuts.iter().any(|cut| cut != "..") {
        x = format!("{x}[{}]", cuts.join(", "));
    }
    of_array(&x)
}

fn split(c: &Case) -> Result<Script, Excluded> {
    let shape = c.shape(0)?;
    let axis = c.axis("axis", 0, shape.len());
    let n = c.outputs.len();
    let parts = match (c.has(1), c.ints("split")) {
        (true, _) => as_sizes(&c.known(1)?),
        (false, Some(given)) => as_sizes(&given),
        // As equal as can be: the last one is smaller.
        (false, None) => {
            let each = shape[axis].div_ceil(n);
            (0..n).map(|k| each.min(shape[axis].saturating_sub(k * each))).collect()
        }
    };
    let mut from = 0;
    Ok(Script::giving(parts.iter().map(|n| {
        from += n;
        format!("x0[{}{}..{from}]", ".., ".repeat(axis), from - n)
    })))
}

fn squeeze(c: &Case) -> Result<Script, Excluded> {
    let shape = c.shape(0)?;
    let given = if c.has(1) { Some(c.known(1)?) } else { c.ints("axes") };
    let to = if c.op == "Squeeze" {
        let axes: Option<Vec<usize>> = given.map(|all| all.iter().map(|a| counted(*a, shape.len())).collect());
        let goes = |k: usize| axes.as_ref().map_or(shape[k] == 1, |axes| axes.contains(&k));
        (0..shape.len()).filter(|k| !goes(*k)).map(|k| shape[k]).collect::<Vec<_>>()
    } else {
        let given = given.unwrap_or_default();
        let rank = shape.len() + given.len();
        let axes: Vec<usize> = given.iter().map(|a| counted(*a, rank)).collect();
        let mut rest = shape.iter().copied();
        (0..rank).map(|k| if axes.contains(&k) { 1 } else { rest.next().unwrap_or(1) }).collect()
    };
    Ok(Script::of(reshaped("x0", &shape, &to)))
}

fn transpose(c: &Case) -> Result<Script, Excluded> {
    let rank = c.rank(0)?;
    let order = c.ints("perm").map_or((0..rank).rev().collect(), |p| as_sizes(&p));
    Ok(Script::of(permuted("x0", &order)))
}
