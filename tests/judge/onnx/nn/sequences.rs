//! Recurrent networks. ONNX keeps the gates of all directions in one array and the sequences of a batch in another.

use super::super::Row;
use super::super::case::Case;
use super::super::script::{Excluded, Script, float};

pub fn row(op: &str) -> Option<Row> {
    Some(match op {
        "RNN" => |c| recurrent(c, Cell::Rnn),
        "GRU" => |c| recurrent(c, Cell::Gru),
        "LSTM" => |c| recurrent(c, Cell::Lstm),
        _ => return None,
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Cell {
    Rnn,
    Gru,
    Lstm,
}

impl Cell {
    fn gates(self) -> i64 {
        match self {
            Cell::Rnn => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }

    /// Which of ONNX's gates each of the library's is.
    fn order(self) -> &'static [i64] {
        match self {
            Cell::Rnn => &[0],
            // z r h
            Cell::Gru => &[1, 0, 2],
            // i o f c
            Cell::Lstm => &[0, 2, 3, 1],
        }
    }

    /// The functions of a direction, by ONNX's names.
    fn activations(self) -> &'static [&'static str] {
        match self {
            Cell::Rnn => &["Tanh"],
            Cell::Gru => &["Sigmoid", "Tanh"],
            Cell::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

fn recurrent(c: &Case, cell: Cell) -> Result<Script, Excluded> {
    let units = c.int("hidden_size", c.shape(2)?[2] as i64);
    let batch_first = c.int("layout", 0) != 0;
    let directions = match c.text("direction", "forward") {
        "reverse" => vec![true],
        "bidirectional" => vec![false, true],
        _ => vec![false],
    };
    if c.int("input_forget", 0) != 0 {
        return Err(Excluded::new("input and forget gates that are one"));
    }
    let mut script = Script::default().import("std.nn").import("std.nn.recurrent");
    script = script.line(format!("let xs = {}", if batch_first { "x0" } else { "transpose(x0, 1, 0, 2)" }));
    script = script.line(format!("let length = {}", if c.has(4) { "x4" } else { "full(len(xs[0]), len(xs))" }));
    let (mut hidden, mut last, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for (d, &reverse) in directions.iter().enumerate() {
        script = script.line(format!("let layer{d} = {}", layer(c, cell, d, units)));
        let start = |k: usize| match (c.has(k), batch_first) {
            (false, _) => format!("zeros(len(xs), {units})"),
            (true, false) => format!("x{k}[{d}]"),
            (true, true) => format!("x{k}[.., {d}]"),
        };
        let starts = match cell {
            Cell::Rnn | Cell::Gru => start(5),
            Cell::Lstm => format!("(for (hidden, cell) in zip({}, {}) {{ {{ hidden, cell }} }})", start(5), start(6)),
        };
        let step = step(c, cell, d, directions.len())?;
        let unroll = format!("recurrent.unroll({step}, start, x, length: n, reverse: {reverse})");
        script = script.line(format!("let run{d} = for (x, n, start) in zip(xs, length, {starts}) {{ {unroll} }}"));
        let part = |of: &str, field: &str| match cell {
            Cell::Rnn | Cell::Gru => format!("run{d}.{of}"),
            Cell::Lstm => format!("run{d}.{of}.{field}"),
        };
        hidden.push(part("1", "hidden"));
        last.push(part("0", "hidden"));
        cells.push(part("0", "cell"));
    }
    // Of each direction [batch, time, units] and [batch, units].
    let all = |parts: &[String], axis: usize| format!("stack({}, axis: {axis})", parts.join(", "));
    let side = usize::from(batch_first);
    let y = if batch_first { all(&hidden, 2) } else { format!("transpose({}, 2, 0, 1, 3)", all(&hidden, 0)) };
    Ok(script.gives([y, all(&last, side), all(&cells, side)]))
}

fn layer(c: &Case, cell: Cell, d: usize, units: i64) -> String {
    let gates = cell.gates();
    let ordered = |x: &str| match cell.order() {
        [_] => x.to_string(),
        order => {
            let parts: Vec<String> = order.iter().map(|g| format!("{x}[{}..{}]", g * units, (g + 1) * units)).collect();
            format!("concat({})", parts.join(", "))
        }
    };
    let bias = if c.has(3) {
        // What GRU resets has a bias of its own.
        let behind = cell == Cell::Gru && c.int("linear_before_reset", 0) != 0;
        let memory = format!("x3[{d}, {}..{}]", gates * units, 2 * gates * units);
        let memory =
            if behind { format!("where(arange({}) < {}, {memory}, 0.0)", gates * units, 2 * units) } else { memory };
        format!("{{ let bias = x3[{d}, 0..{}] + {memory}\n {} }}", gates * units, ordered("bias"))
    } else {
        format!("zeros({})", gates * units)
    };
    let weight = |x: &str| format!("{{ let w = {x}[{d}]\n transpose({}) }}", ordered("w"));
    let mut layer = format!("{{ input: {{ weight: {}, bias: {bias} }}, memory: {}", weight("x1"), weight("x2"));
    if cell == Cell::Lstm && c.has(7) {
        let part = |k: i64| format!("x7[{d}, {}..{}]", k * units, (k + 1) * units);
        layer += &format!(", peephole: {{ input: {}, output: {}, forget: {} }}", part(0), part(1), part(2));
    } else if cell == Cell::Lstm {
        layer += &format!(", peephole: {{ input: zeros({units}), output: zeros({units}), forget: zeros({units}) }}");
    }
    if cell == Cell::Gru && c.has(3) {
        layer += &format!(", memory_bias: x3[{d}, {}..{}]", 5 * units, 6 * units);
    } else if cell == Cell::Gru {
        layer += ", memory_bias: 0.0";
    }
    layer + " }"
}

/// The cell as a function of state and input.
fn step(c: &Case, cell: Cell, d: usize, directions: usize) -> Result<String, Excluded> {
    let each = cell.activations().len();
    let names = c.texts("activations").unwrap_or(cell.activations().repeat(directions));
    // Parameters stand in the order of the functions that take some.
    let (alphas, betas) =
        (c.floats("activation_alpha").unwrap_or_default(), c.floats("activation_beta").unwrap_or_default());
    let mut functions = Vec::new();
    for k in 0..each {
        let at = d * each + k;
        functions.push(function(names[at], alphas.get(at).copied(), betas.get(at).copied(), c)?);
    }
    Ok(match cell {
        Cell::Rnn => format!("fn(s, x) = recurrent.rnn(layer{d}, s, x, activation: {})", functions[0]),
        Cell::Gru => {
            let set = format!("gate: {}, candidate: {}", functions[0], functions[1]);
            if c.int("linear_before_reset", 0) != 0 {
                format!("fn(s, x) = recurrent.gru(layer{d}, s, x, memory_bias: layer{d}.memory_bias, {set})")
            } else {
                format!("fn(s, x) = recurrent.gru_reset_first(layer{d}, s, x, {set})")
            }
        }
        Cell::Lstm => {
            let set = format!("gate: {}, candidate: {}, output: {}", functions[0], functions[1], functions[2]);
            format!("fn(s, x) = recurrent.lstm_peephole(layer{d}, s, x, {set})")
        }
    })
}

fn function(name: &str, alpha: Option<f64>, beta: Option<f64>, c: &Case) -> Result<String, Excluded> {
    let alpha = |default: f64| float(alpha.unwrap_or(default));
    let beta = |default: f64| float(beta.unwrap_or(default));
    let text = match name.to_lowercase().as_str() {
        "relu" => "nn.relu(x)".to_string(),
        "tanh" => "tanh(x)".to_string(),
        "sigmoid" => "sigmoid(x)".to_string(),
        "affine" => format!("({} * x + {})", alpha(1.0), beta(0.0)),
        "leakyrelu" => format!("nn.leaky_relu(x, slope: {})", alpha(0.01)),
        "thresholdedrelu" => format!("nn.thresholded_relu(x, threshold: {})", alpha(1.0)),
        "scaledtanh" => format!("({} * tanh({} * x))", alpha(1.0), beta(1.0)),
        "hardsigmoid" => format!("nn.hard_sigmoid(x, alpha: {}, beta: {})", alpha(0.2), beta(0.5)),
        "elu" => format!("nn.elu(x, alpha: {})", alpha(1.0)),
        "softsign" => "nn.softsign(x)".to_string(),
        "softplus" => "nn.softplus(x)".to_string(),
        other => return Err(Excluded(format!("the activation {other} of a recurrent network"))),
    };
    if c.has_attr("clip") {
        let clip = float(c.float("clip", 0.0));
        return Ok(format!("(fn(y) {{ let x = clamp(y, -{clip}, {clip})\n {text} }})"));
    }
    Ok(format!("(fn(x) = {text})"))
}
