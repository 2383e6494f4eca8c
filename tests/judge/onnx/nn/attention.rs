//! Attention and rotary places. ONNX has all heads of all examples in one array, or side by side in rows.

use whorl_core::ir::DType;

use super::super::Row;
use super::super::case::Case;
use super::super::script::{Excluded, Script, expanded, float};

pub fn row(op: &str) -> Option<Row> {
    Some(match op {
        "Attention" => attention,
        "RotaryEmbedding" => rotary,
        _ => return None,
    })
}

/// An input [examples, heads, places, numbers], which may stand as [examples, places, heads × numbers], as `f32`.
fn headed(c: &Case, k: usize, heads: i64) -> Result<(String, Vec<usize>), Excluded> {
    let shape = c.shape(k)?;
    let x = if c.dtype(k)? == DType::F32 { format!("x{k}") } else { format!("f32(x{k})") };
    if shape.len() == 4 {
        return Ok((x, shape));
    }
    let heads = heads as usize;
    let sizes = vec![shape[0], heads, shape[1], shape[2] / heads];
    Ok((format!("transpose(reshape({x}, {}, {}, {heads}, -1), 0, 2, 1, 3)", shape[0], shape[1]), sizes))
}

fn attention(c: &Case) -> Result<Script, Excluded> {
    if c.wants(3) {
        return Err(Excluded::new("the scores inside of attention as an output"));
    }
    if c.dtype(0)? == DType::BF16 {
        return Err(Excluded::new("attention that rounds every step to 16 bits"));
    }
    let (query, of_query) = headed(c, 0, c.int("q_num_heads", 1))?;
    let (mut keys, of_keys) = headed(c, 1, c.int("kv_num_heads", 1))?;
    let (mut values, _) = headed(c, 2, c.int("kv_num_heads", 1))?;
    let [examples, heads, n, _] = of_query[..] else { return Err(Excluded::new("attention of other than 4 axes")) };
    let (mut m, mut first) = (of_keys[2], "0".to_string());
    if c.has(4) {
        let past = c.shape(4)?[2];
        (m, first) = (m + past, past.to_string());
        let whole = |k: usize| -> Result<String, Excluded> { Ok(headed(c, k, 1)?.0) };
        keys = format!("concat({}, {keys}, axis: 2)", whole(4)?);
        values = format!("concat({}, {values}, axis: 2)", whole(5)?);
    } else if c.has(6) {
        first = format!("x6[b] - {n}");
    }
    let causal = c.int("is_causal", 0) != 0;
    let mut set = format!("causal: {causal}, first: {first}, softcap: {}", float(c.float("softcap", 0.0)));
    if c.has_attr("scale") {
        set += &format!(", scale: {}", float(c.float("scale", 1.0)));
    }
    // Places that may be seen, by each reason there is.
    let mut seen: Vec<String> = Vec::new();
    if c.has(6) {
        seen.push(format!("(for _ in 0..{n} {{ arange({m}) < x6[b] }})"));
    }
    for (attribute, bound) in [("left_window_size", ">= i + first - "), ("right_window_size", "<= i + first + ")] {
        let size = c.int(attribute, -1);
        if size >= 0 {
            seen.push(format!("(for i in 0..{n} {{ let first = {first}\n arange({m}) {bound}{size} }})"));
        }
    }
    let mut script = Script::default().import("std.nn.attention");
    if c.has(3) {
        let dtype = c.dtype(3)?;
        let mut shape = c.shape(3)?;
        let mut mask =
            if dtype == DType::Bool || dtype == DType::F32 { "x3".to_string() } else { "f32(x3)".to_string() };
        let last = shape.len() - 1;
        if shape[last] != 1 && shape[last] < m {
            let none = if dtype == DType::Bool { "false" } else { "-1.0 / 0.0" };
            mask = format!("pad({mask}, 0, {}, axis: {last}, value: {none})", m - shape[last]);
            shape[last] = m;
        }
        script = script.line(format!("let mask = {}", expanded(&mask, &shape, &[examples, heads, n, m])));
        if dtype == DType::Bool {
            seen.push("mask[b, h]".to_string());
        } else {
            set += ", bias: mask[b, h]";
        }
    }
    if !seen.is_empty() {
        set += &format!(", mask: {}", seen.join(" and "));
    }
    let shared = heads / of_keys[1];
    let one = format!("attention.attend(query[b, h], keys[b, div(h, {shared})], values[b, div(h, {shared})], {set})");
    let mut y = format!("for b in 0..{examples} {{ for h in 0..{heads} {{ {one} }} }}");
    if c.rank(0)? == 3 {
        y = format!("reshape(transpose({y}, 0, 2, 1, 3), {examples}, {n}, -1)");
    }
    let back = |x: String, k: usize| -> Result<String, Excluded> {
        let dtype = c.dtype(k)?;
        Ok(if dtype == DType::F32 { x } else { format!("{}({x})", dtype.name()) })
    };
    script = script
        .line(format!("let query = {query}"))
        .line(format!("let keys = {keys}"))
        .line(format!("let values = {values}"));
    Ok(script.gives([back(y, 0)?, back("keys".to_string(), 1)?, back("values".to_string(), 2)?]))
}

fn rotary(c: &Case) -> Result<Script, Excluded> {
    let (x, shape) = headed(c, 0, c.int("num_heads", 1))?;
    let [examples, heads, n, d] = shape[..] else { return Err(Excluded::new("rotary places of other than 4 axes")) };
    let turned = match c.int("rotary_embedding_dim", 0) {
        0 => d,
        some => some as usize,
    };
    let interleaved = c.int("interleaved", 0) != 0;
    let at = |k: usize| if c.has(3) { format!("x{k}[x3]") } else { format!("x{k}") };
    let turn = format!("attention.turn(row[0..{turned}], cosines[b, i], sines[b, i], interleaved: {interleaved})");
    let row = if turned == d { turn } else { format!("concat({turn}, row[{turned}..{d}])") };
    let one = format!("for i in 0..{n} {{ let row = x[b, h, i]\n {row} }}");
    let mut y = format!("for b in 0..{examples} {{ for h in 0..{heads} {{ {one} }} }}");
    if c.rank(0)? == 3 {
        y = format!("reshape(transpose({y}, 0, 2, 1, 3), {examples}, {n}, -1)");
    }
    let script = Script::default().import("std.nn.attention").line(format!("let x = {x}"));
    Ok(script.line(format!("let cosines = {}", at(1))).line(format!("let sines = {}", at(2))).gives([y]))
}
