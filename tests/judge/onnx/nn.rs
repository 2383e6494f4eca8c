//! Operators of networks: activations, losses, normalisation, optimisers; in files of their own convolution and pooling (`windows`),
//! recurrence (`sequences`) and attention.

mod attention;
mod sequences;
mod windows;

use super::Row;
use super::case::Case;
use super::script::{Excluded, Script, expanded, float, permuted};

pub fn row(op: &str) -> Option<Row> {
    Some(match op {
        "Relu" => |_| activation("nn.relu(x0)"),
        "LeakyRelu" => |c| activation(&format!("nn.leaky_relu(x0, slope: {})", float(c.float("alpha", 0.01)))),
        "PRelu" => |c| activation(&format!("nn.prelu(x0, {})", expanded("x1", &c.shape(1)?, &c.shape(0)?))),
        "Elu" => |c| activation(&format!("nn.elu(x0, alpha: {})", float(c.float("alpha", 1.0)))),
        "Celu" => |c| activation(&format!("nn.celu(x0, alpha: {})", float(c.float("alpha", 1.0)))),
        "Selu" => selu,
        "ThresholdedRelu" => {
            |c| activation(&format!("nn.thresholded_relu(x0, threshold: {})", float(c.float("alpha", 1.0))))
        }
        "Gelu" => {
            |c| activation(if c.text("approximate", "none") == "tanh" { "nn.gelu_tanh(x0)" } else { "nn.gelu(x0)" })
        }
        "Mish" => |_| activation("nn.mish(x0)"),
        "Swish" => |c| activation(&format!("nn.swish(x0, beta: {})", float(c.float("alpha", 1.0)))),
        "SwiGLU" => |c| activation(&format!("nn.swish(x0, beta: {}) * x1", float(c.float("alpha", 1.0)))),
        "Sigmoid" => |_| activation("sigmoid(x0)"),
        "HardSigmoid" => |c| activation(&hard_sigmoid(c)),
        "HardSwish" => |_| activation("nn.hard_swish(x0)"),
        "Softplus" => |_| activation("nn.softplus(x0)"),
        "Softsign" => |_| activation("nn.softsign(x0)"),
        "Shrink" => shrink,
        "Softmax" => |c| along_axis(c, "nn.softmax"),
        "LogSoftmax" => |c| along_axis(c, "nn.log_softmax"),
        "Hardmax" => |c| along_axis(c, "nn.hardmax"),
        "Dropout" => dropout,
        "SoftmaxCrossEntropyLoss" => softmax_cross_entropy,
        "NegativeLogLikelihoodLoss" => |c| Ok(Script::of(labels(c, "negative_log_likelihood")).import("std.loss")),
        "LayerNormalization" => layer_norm,
        "RMSNormalization" => rms_norm,
        "BatchNormalization" => batch_norm,
        "InstanceNormalization" => |c| Ok(by_example(&instance_norm(c))),
        "GroupNormalization" => group_norm,
        "LpNormalization" => |c| {
            let (p, axis) = (c.int("p", 2) as f64, c.int("axis", -1));
            Ok(Script::of(format!("norm.lp(x0, p: {}, axis: {axis})", float(p))).import("std.nn.norm"))
        },
        "LRN" => |c| Ok(by_example(&local_response(c))),
        "MeanVarianceNormalization" => mean_variance,
        "Momentum" => momentum,
        "Adagrad" => adagrad,
        "Adam" => adam,
        _ => return [windows::row, sequences::row, attention::row].into_iter().find_map(|table| table(op)),
    })
}

fn activation(text: &str) -> Result<Script, Excluded> {
    Ok(Script::of(text).import("std.nn"))
}

fn selu(c: &Case) -> Result<Script, Excluded> {
    let alpha = float(c.float("alpha", 1.6732631921768188));
    let gamma = float(c.float("gamma", 1.0507010221481323));
    activation(&format!("nn.selu(x0, alpha: {alpha}, gamma: {gamma})"))
}

fn hard_sigmoid(c: &Case) -> String {
    format!("nn.hard_sigmoid(x0, alpha: {}, beta: {})", float(c.float("alpha", 0.2)), float(c.float("beta", 0.5)))
}

fn shrink(c: &Case) -> Result<Script, Excluded> {
    let (threshold, bias) = (float(c.float("lambd", 0.5)), float(c.float("bias", 0.0)));
    activation(&format!("nn.shrink(x0, threshold: {threshold}, bias: {bias})"))
}

fn along_axis(c: &Case, function: &str) -> Result<Script, Excluded> {
    if c.opset < 13 {
        return Err(Excluded::new("the softmax of flattened axes, which ONNX had up to opset 12"));
    }
    activation(&format!("{function}(x0, axis: {})", c.int("axis", -1)))
}

/// Where nothing is left out by chance; ONNX leaves the generator open.
fn dropout(c: &Case) -> Result<Script, Excluded> {
    let rate = c.known_number(1)?.unwrap_or(0.5);
    let train = c.known_number(2)?.unwrap_or(0.0) != 0.0;
    if train && rate != 0.0 {
        return Err(Excluded::new("random numbers of a generator that is not said"));
    }
    Ok(Script::giving(["x0".to_string(), "x0 == x0".to_string()]))
}

fn labels(c: &Case, function: &str) -> String {
    let weights = if c.has(2) { ", weights: x2" } else { "" };
    let ignore =
        if c.has_attr("ignore_index") { format!(", ignore: {}", c.int("ignore_index", 0)) } else { String::new() };
    let reduction = match c.text("reduction", "mean") {
        "none" => "loss.each",
        "sum" => "loss.total",
        _ => "loss.weighted_mean",
    };
    format!("loss.{function}(x0, x1{weights}{ignore}, axis: 1, reduction: {reduction})")
}

fn softmax_cross_entropy(c: &Case) -> Result<Script, Excluded> {
    let results = [labels(c, "cross_entropy"), "nn.log_softmax(x0, axis: 1)".to_string()];
    let script = Script::giving(results).import("std.loss");
    Ok(if c.wants(1) { script.import("std.nn") } else { script })
}

/// What a normalisation of the last axes is given for each of them: of all their sizes, or a number.
fn trained(c: &Case, k: usize, axis: usize, default: &str) -> Result<String, Excluded> {
    if !c.has(k) {
        return Ok(default.to_string());
    }
    Ok(expanded(&format!("x{k}"), &c.shape(k)?, &c.shape(0)?[axis..]))
}

fn layer_norm(c: &Case) -> Result<Script, Excluded> {
    let axis = c.axis("axis", -1, c.rank(0)?);
    let (gain, bias) = (trained(c, 1, axis, "1.0")?, trained(c, 2, axis, "0.0")?);
    let set = format!("axis: {axis}, epsilon: {}", float(c.float("epsilon", 1e-5)));
    let moments = |field: &str| format!("norm.moments(x0, {set}).{field}");
    let y = format!("norm.layer(x0, gain: {gain}, bias: {bias}, {set})");
    Ok(Script::giving([y, moments("mean"), moments("inverse_deviation")]).import("std.nn.norm"))
}

fn rms_norm(c: &Case) -> Result<Script, Excluded> {
    let axis = c.axis("axis", -1, c.rank(0)?);
    let (gain, epsilon) = (trained(c, 1, axis, "1.0")?, float(c.float("epsilon", 1e-5)));
    Ok(Script::of(format!("norm.rms(x0, gain: {gain}, axis: {axis}, epsilon: {epsilon})")).import("std.nn.norm"))
}

fn batch_norm(c: &Case) -> Result<Script, Excluded> {
    let epsilon = float(c.float("epsilon", 1e-5));
    let script = Script::default()
        .import("std.axes { move_axis }")
        .import("std.nn.norm")
        .line("let layer = { gain: x1, bias: x2, mean: x3, variance: x4 }")
        .line("let x = move_axis(x0, 1, -1)");
    Ok(if c.int("training_mode", 0) != 0 {
        let momentum = float(c.float("momentum", 0.9));
        let train = format!("norm.batch_train(layer, x, momentum: {momentum}, epsilon: {epsilon})");
        let results = ["move_axis(y, -1, 1)", "new.mean", "new.variance"].map(String::from);
        script.line(format!("let (y, new) = {train}")).gives(results)
    } else {
        script.gives([format!("move_axis(norm.batch(layer, x, epsilon: {epsilon}), -1, 1)")])
    })
}

/// A function of one example x, whose channels are last, of all examples, whose channels are first.
fn by_example(text: &str) -> Script {
    let all = format!("for x in move_axis(x0, 1, -1) {{ move_axis({text}, -1, 0) }}");
    Script::of(all).import("std.axes { move_axis }").import("std.nn.norm")
}

fn instance_norm(c: &Case) -> String {
    format!("norm.instance(x, gain: x1, bias: x2, epsilon: {})", float(c.float("epsilon", 1e-5)))
}

fn group_norm(c: &Case) -> Result<Script, Excluded> {
    let (groups, epsilon) = (c.int("num_groups", 1), float(c.float("epsilon", 1e-5)));
    let each = c.shape(0)?[1] as i64 / groups;
    // Up to opset 20 gain and bias were those of a group.
    let of_channels = |k: usize, x: &str| -> Result<String, Excluded> {
        let of_groups = c.shape(k)?[0] as i64 == groups && each != 1;
        Ok(if of_groups { format!("(for k in 0..{} {{ {x}[div(k, {each})] }})", groups * each) } else { x.to_string() })
    };
    let (gain, bias) = (of_channels(1, "x1")?, of_channels(2, "x2")?);
    Ok(by_example(&format!("norm.group(x, {groups}, gain: {gain}, bias: {bias}, epsilon: {epsilon})")))
}

fn local_response(c: &Case) -> String {
    let (alpha, beta, k) = (float(c.float("alpha", 1e-4)), float(c.float("beta", 0.75)), float(c.float("bias", 1.0)));
    format!("norm.local_response(x, {}, alpha: {alpha}, beta: {beta}, k: {k})", c.int("size", 1))
}

/// The axes together at the end.
fn mean_variance(c: &Case) -> Result<Script, Excluded> {
    let rank = c.rank(0)?;
    let axes = c.ints("axes").unwrap_or(vec![0, 2, 3]);
    let axes: Vec<usize> = axes.iter().map(|&a| super::case::counted(a, rank)).collect();
    let order: Vec<usize> = (0..rank).filter(|a| !axes.contains(a)).chain(axes.iter().copied()).collect();
    let back: Vec<usize> = (0..rank).map(|a| order.iter().position(|o| *o == a).unwrap_or(a)).collect();
    let y = format!("norm.layer({}, axis: {}, epsilon: 1e-18)", permuted("x0", &order), rank - axes.len());
    Ok(Script::of(permuted(&y, &back)).import("std.nn.norm"))
}

/// Optimisers take a step size, the number of steps done and some arrays of each kind; a tuple of arrays is what `std.optim` takes.
fn kinds<const K: usize>(c: &Case) -> (usize, [String; K]) {
    let n = (c.arity() - 2) / K;
    let tuple = |kind: usize| {
        let all: Vec<String> = (0..n).map(|i| format!("x{}", 2 + kind * n + i)).collect();
        if n == 1 { all[0].clone() } else { format!("({})", all.join(", ")) }
    };
    (n, std::array::from_fn(tuple))
}

fn parts(name: &str, n: usize) -> Vec<String> {
    if n == 1 { vec![name.to_string()] } else { (0..n).map(|k| format!("{name}.{k}")).collect() }
}

/// A step of an optimiser, and what of its state is given.
fn step(c: &Case, n: usize, optimizer: &str, state: &str, [params, gradient]: [&str; 2], kept: &[&str]) -> Script {
    let norm = float(c.float("norm_coefficient", 0.0));
    let results: Vec<String> =
        [parts("next", n)].into_iter().chain(kept.iter().map(|k| parts(k, n))).flatten().collect();
    Script::default()
        .import("std.optim")
        .line(format!("let params = {params}"))
        .line(format!("let gradient = {gradient}"))
        .line(format!("let optimizer = optim.with_weight_decay({optimizer}, {norm})"))
        .line(format!("let (next, new) = optimizer.step(params, {state}, gradient)"))
        .gives(results)
}

/// Of the first gradient all goes into the velocity.
fn momentum(c: &Case) -> Result<Script, Excluded> {
    let (n, [params, gradient, velocity]) = kinds(c);
    let (alpha, beta) = (float(c.float("alpha", 0.0)), float(c.float("beta", 1.0)));
    let nesterov = c.text("mode", "standard") == "nesterov";
    let dampening = format!("if x1 > 0 {{ 1.0 - {beta} }} else {{ 0.0 }}");
    let sgd = format!("optim.sgd(optim.constant(x0), momentum: {alpha}, nesterov: {nesterov}, dampening: {dampening})");
    let state = format!("{{ velocity: {velocity}, count: x1 }}");
    Ok(step(c, n, &sgd, &state, [&params, &gradient], &["new.velocity"]))
}

fn adagrad(c: &Case) -> Result<Script, Excluded> {
    let (n, [params, gradient, sum]) = kinds(c);
    let (decay, epsilon) = (float(c.float("decay_factor", 0.0)), float(c.float("epsilon", 1e-6)));
    let optimizer = format!("optim.adagrad(optim.decayed(x0, {decay}), epsilon: {epsilon})");
    Ok(step(c, n, &optimizer, &format!("{{ sum: {sum}, count: x1 }}"), [&params, &gradient], &["new.sum"]))
}

/// ONNX corrects for starting at zero after the first step only, by the number of steps before this one, and adds ε to √v before it is
/// corrected (the last lines of section 2 of the paper), not after.
fn adam(c: &Case) -> Result<Script, Excluded> {
    let (n, [params, gradient, mean, square]) = kinds(c);
    let (alpha, beta) = (float(c.float("alpha", 0.9)), float(c.float("beta", 0.999)));
    let (epsilon, post) = (float(c.float("epsilon", 1e-6)), float(c.float("norm_coefficient_post", 0.0)));
    let epsilon = format!("if x1 > 0 {{ {epsilon} / sqrt(1.0 - pow({beta}, f32(x1))) }} else {{ {epsilon} }}");
    let optimizer = format!("optim.adam(optim.constant(x0), beta1: {alpha}, beta2: {beta}, epsilon: {epsilon})");
    // After so many steps nothing is corrected any more.
    let state = format!("{{ mean: {mean}, square: {square}, count: if x1 > 0 {{ x1 - 1 }} else {{ 1_000_000_000 }} }}");
    let script = step(c, n, &optimizer, &state, [&params, &gradient], &["new.mean", "new.square"]);
    Ok(if c.has_attr("norm_coefficient_post") {
        script.line(format!("let next = (1.0 - {post}) * next"))
    } else {
        script
    })
}
