//! Convolution and pooling. ONNX has examples and channels first, the library one example with channels last.

use whorl_core::ir::DType;

use super::super::Row;
use super::super::case::Case;
use super::super::script::{Excluded, Script, list};

pub fn row(op: &str) -> Option<Row> {
    Some(match op {
        "Conv" => conv,
        "ConvTranspose" => conv_transpose,
        "MaxPool" => max_pool,
        "AveragePool" => average_pool,
        "LpPool" => lp_pool,
        "GlobalAveragePool" => |c| global(c, "pool.global_average(x)"),
        "GlobalMaxPool" => |c| global(c, "pool.global_max(x)"),
        "GlobalLpPool" => |c| {
            let sizes: Vec<i64> = c.shape(0)?[2..].iter().map(|n| *n as i64).collect();
            global(c, &format!("reshape(pool.lp_pool(x, {}, p: {:?}), -1)", list(&sizes), c.int("p", 2) as f64))
        },
        _ => return None,
    })
}

/// How windows lie over the dimensions behind examples and channels.
struct Windows {
    sizes: Vec<i64>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    low: Vec<i64>,
    high: Vec<i64>,
    auto: String,
}

impl Windows {
    fn of(c: &Case, sizes: Vec<i64>) -> Windows {
        let n = sizes.len();
        let pads = c.ints("pads").unwrap_or(vec![0; 2 * n]);
        Windows {
            strides: c.ints("strides").unwrap_or(vec![1; n]),
            dilations: c.ints("dilations").unwrap_or(vec![1; n]),
            low: pads[..n].to_vec(),
            high: pads[n..].to_vec(),
            auto: c.text("auto_pad", "NOTSET").to_string(),
            sizes,
        }
    }

    /// Named arguments.
    fn text(&self) -> String {
        let padding = match self.auto.as_str() {
            "SAME_UPPER" => "conv.same".to_string(),
            "SAME_LOWER" => "conv.same_lower".to_string(),
            "VALID" => "conv.valid".to_string(),
            _ => format!("conv.pads({}, {})", list(&self.low), list(&self.high)),
        };
        format!("stride: {}, dilation: {}, padding: {padding}", list(&self.strides), list(&self.dilations))
    }
}

fn kernel_sizes(c: &Case) -> Result<Vec<i64>, Excluded> {
    match c.ints("kernel_shape") {
        Some(sizes) => Ok(sizes),
        None => Ok(c.shape(1)?[2..].iter().map(|n| *n as i64).collect()),
    }
}

fn layer(c: &Case) -> String {
    format!("let layer = {{ kernel: move_axis(x1, 1, -1), bias: {} }}", if c.has(2) { "x2" } else { "0.0" })
}

fn script() -> Script {
    Script::default().import("std.axes { move_axis }").import("std.nn.conv")
}

/// A function of one example x, whose channels are last.
fn by_example(text: &str) -> String {
    format!("for x in move_axis(x0, 1, -1) {{ move_axis({text}, -1, 0) }}")
}

fn conv(c: &Case) -> Result<Script, Excluded> {
    let windows = Windows::of(c, kernel_sizes(c)?).text();
    let y = by_example(&format!("conv.conv(layer, x, {windows}, groups: {})", c.int("group", 1)));
    Ok(script().line(layer(c)).gives([y]))
}

fn conv_transpose(c: &Case) -> Result<Script, Excluded> {
    let mut windows = Windows::of(c, kernel_sizes(c)?);
    let n = windows.sizes.len();
    let mut extra = c.ints("output_padding").unwrap_or(vec![0; n]);
    let sizes: Vec<i64> = c.shape(0)?[2..].iter().map(|n| *n as i64).collect();
    let same = windows.auto.starts_with("SAME");
    let wanted = match c.ints("output_shape") {
        Some(all) => Some(all[all.len() - n..].to_vec()),
        None if same => Some((0..n).map(|k| sizes[k] * windows.strides[k]).collect()),
        None => None,
    };
    if let Some(wanted) = wanted {
        for k in 0..n {
            let span = windows.dilations[k] * (windows.sizes[k] - 1) + 1;
            let off = windows.strides[k] * (sizes[k] - 1) + extra[k] + span - wanted[k];
            // Sizes larger than what windows reach have more behind.
            extra[k] += (-off).max(0);
            let (less, more) = (off.max(0) / 2, off.max(0) - off.max(0) / 2);
            (windows.low[k], windows.high[k]) = if windows.auto == "SAME_UPPER" { (less, more) } else { (more, less) };
        }
    }
    windows.auto = "NOTSET".to_string();
    let set = format!("{}, groups: {}, extra: {}", windows.text(), c.int("group", 1), list(&extra));
    Ok(script().line(layer(c)).gives([by_example(&format!("conv.conv_transpose(layer, x, {set})"))]))
}

fn pool(c: &Case) -> Result<String, Excluded> {
    let windows = Windows::of(c, kernel_sizes(c)?);
    Ok(format!("{}, {}, ceil: {}", list(&windows.sizes), windows.text(), c.int("ceil_mode", 0) != 0))
}

fn max_pool(c: &Case) -> Result<Script, Excluded> {
    let dtype = c.dtype(0)?;
    let lowest = match dtype {
        d if d.is_float() => String::new(),
        DType::U8 | DType::U32 => format!(", lowest: {}(0)", dtype.name()),
        _ => return Err(Excluded(format!("the largest of {}", dtype.name()))),
    };
    let set = pool(c)?;
    let shape = c.shape(0)?;
    // Places count all elements of all examples, with channels first.
    let place = if c.int("storage_order", 0) == 0 { "p".to_string() } else { by_columns(&shape[2..]) };
    let count: usize = shape[2..].iter().product();
    let channels = shape[1];
    let one = by_example(&format!("pool.max_places(x, {set}{lowest})"));
    let map = format!("over(fn(p) = {place}, place, {})", shape.len() - 2);
    let places = format!(
        "for (n, example) in enumerate({one}) {{ for (c, place) in enumerate(example) {{ (n * {channels} + c) * {count} + {map} }} }}"
    );
    let y = by_example(&format!("pool.max_pool(x, {set}{lowest})"));
    let script = script().import("std.nn.pool").gives([y, places]);
    Ok(if c.wants(1) { script.import("std.axes { over }") } else { script })
}

/// The place p, counted row by row, as it is counted with the first dimension fastest.
fn by_columns(sizes: &[usize]) -> String {
    let (mut behind, mut before) = (sizes.iter().product::<usize>(), 1);
    let mut terms = Vec::new();
    for n in sizes {
        behind /= n;
        terms.push(format!("{before} * (div(p, {behind}) % {n})"));
        before *= n;
    }
    terms.join(" + ")
}

fn average_pool(c: &Case) -> Result<Script, Excluded> {
    let count = c.int("count_include_pad", 0) != 0;
    let y = by_example(&format!("pool.average_pool(x, {}, count_padding: {count})", pool(c)?));
    Ok(script().import("std.nn.pool").gives([y]))
}

fn lp_pool(c: &Case) -> Result<Script, Excluded> {
    let y = by_example(&format!("pool.lp_pool(x, {}, p: {:?})", pool(c)?, c.int("p", 2) as f64));
    Ok(script().import("std.nn.pool").gives([y]))
}

/// One number of every channel, with dimensions of size 1.
fn global(c: &Case, text: &str) -> Result<Script, Excluded> {
    let shape = c.shape(0)?;
    let ones = vec!["1"; shape.len() - 2].join(", ");
    let y = format!("reshape(for x in move_axis(x0, 1, -1) {{ {text} }}, {}, {}, {ones})", shape[0], shape[1]);
    Ok(Script::of(y).import("std.axes { move_axis }").import("std.nn.pool"))
}
