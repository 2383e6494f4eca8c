//! Equations of gathers, scatters, convolutions and windows: their parameters as the structs that are translated.

use whorl_core::Builder;
use whorl_core::ir::{Atom, DType, Lit, Type, Var};
use whorl_core::prim::Monoid;

use super::convolution::{Convolution, conv_general_dilated};
use super::gather::{GatherDimensions, Mode, default_fill, gather};
use super::scatter::{Combine, ScatterDimensions, scatter};
use super::text::{Eqn, Jaxpr, Operand, Value};
use super::translate::{Refusal, Rule, Translator};
use super::windows::{self, Window, reduce_window, reduce_window_by};

pub const RULES: &[(&str, Rule)] = &[
    ("gather", |t, eqn, args| one(gathered(&mut t.b, eqn, args))),
    ("scatter", |t, eqn, args| one(scattered(&mut t.b, eqn, args, Combine::Set))),
    ("scatter-add", |t, eqn, args| one(scattered(&mut t.b, eqn, args, Combine::Add))),
    ("scatter-sub", |t, eqn, args| one(scattered(&mut t.b, eqn, args, Combine::Sub))),
    ("scatter-mul", |t, eqn, args| one(scattered(&mut t.b, eqn, args, Combine::Mul))),
    ("scatter-min", |t, eqn, args| one(scattered(&mut t.b, eqn, args, Combine::Min))),
    ("scatter-max", |t, eqn, args| one(scattered(&mut t.b, eqn, args, Combine::Max))),
    ("scatter_add", |t, eqn, args| one(scattered(&mut t.b, eqn, args, Combine::Add))),
    ("scatter_sub", |t, eqn, args| one(scattered(&mut t.b, eqn, args, Combine::Sub))),
    ("scatter_mul", |t, eqn, args| one(scattered(&mut t.b, eqn, args, Combine::Mul))),
    ("scatter_min", |t, eqn, args| one(scattered(&mut t.b, eqn, args, Combine::Min))),
    ("scatter_max", |t, eqn, args| one(scattered(&mut t.b, eqn, args, Combine::Max))),
    ("conv_general_dilated", convolved),
    ("reduce_window_sum", |t, eqn, args| one(windowed(&mut t.b, eqn, args, Monoid::Sum))),
    ("reduce_window_max", |t, eqn, args| one(windowed(&mut t.b, eqn, args, Monoid::Max))),
    ("reduce_window_min", |t, eqn, args| one(windowed(&mut t.b, eqn, args, Monoid::Min))),
    ("reduce_window", reduced),
    ("select_and_gather_add", |t, eqn, x| {
        Ok(vec![windows::select_and_gather_add(&mut t.b, x[0], x[1], greatest(eqn)?, &window(eqn)?)])
    }),
    ("select_and_scatter_add", |t, eqn, x| {
        Ok(vec![windows::select_and_scatter_add(&mut t.b, x[0], x[1], greatest(eqn)?, &window(eqn)?)])
    }),
];

fn one(result: Result<Atom, String>) -> Result<Vec<Atom>, Refusal> {
    Ok(vec![result?])
}

fn gathered(b: &mut Builder, eqn: &Eqn, args: &[Atom]) -> Result<Atom, String> {
    let dims = eqn.param("dimension_numbers");
    let dims = GatherDimensions {
        offset_dims: dims.field("offset_dims")?.sizes()?,
        collapsed_slice_dims: dims.field("collapsed_slice_dims")?.sizes()?,
        start_index_map: dims.field("start_index_map")?.sizes()?,
        operand_batching_dims: dims.field("operand_batching_dims")?.sizes()?,
        start_indices_batching_dims: dims.field("start_indices_batching_dims")?.sizes()?,
    };
    let dtype = b.ty(args[0]).dtype;
    let fill = match eqn.param("fill_value") {
        Value::None => default_fill(dtype),
        given => Lit::of(dtype, given.float()?),
    };
    Ok(gather(b, args[0], args[1], &dims, &eqn.param("slice_sizes").sizes()?, mode(eqn)?, fill))
}

fn scattered(b: &mut Builder, eqn: &Eqn, args: &[Atom], combine: Combine) -> Result<Atom, String> {
    if combine == Combine::Set && !eqn.param("update_jaxpr").is_none() {
        return Err("a scatter of a function of one's own".into());
    }
    let dims = eqn.param("dimension_numbers");
    let dims = ScatterDimensions {
        update_window_dims: dims.field("update_window_dims")?.sizes()?,
        inserted_window_dims: dims.field("inserted_window_dims")?.sizes()?,
        scatter_dims_to_operand_dims: dims.field("scatter_dims_to_operand_dims")?.sizes()?,
        operand_batching_dims: dims.field("operand_batching_dims")?.sizes()?,
        scatter_indices_batching_dims: dims.field("scatter_indices_batching_dims")?.sizes()?,
    };
    Ok(scatter(b, args[0], args[1], args[2], &dims, mode(eqn)?, combine))
}

fn mode(eqn: &Eqn) -> Result<Mode, String> {
    match eqn.param("mode") {
        Value::None => Ok(Mode::FillOrDrop),
        given => match given.word()?.trim_start_matches("GatherScatterMode.") {
            "CLIP" => Ok(Mode::Clip),
            "FILL_OR_DROP" => Ok(Mode::FillOrDrop),
            "PROMISE_IN_BOUNDS" => Ok(Mode::PromiseInBounds),
            other => Err(format!("the mode {other}")),
        },
    }
}

fn convolved(t: &mut Translator, eqn: &Eqn, args: &[Atom]) -> Result<Vec<Atom>, Refusal> {
    let dims = eqn.param("dimension_numbers");
    let convolution = Convolution {
        window_strides: eqn.param("window_strides").sizes()?,
        padding: pairs(eqn.param("padding"))?,
        lhs_dilation: eqn.param("lhs_dilation").sizes()?,
        rhs_dilation: eqn.param("rhs_dilation").sizes()?,
        lhs_spec: dims.field("lhs_spec")?.sizes()?,
        rhs_spec: dims.field("rhs_spec")?.sizes()?,
        out_spec: dims.field("out_spec")?.sizes()?,
        feature_group_count: eqn.param("feature_group_count").size()?,
        batch_group_count: eqn.param("batch_group_count").size()?,
        preferred: Some(t.out(eqn, 0)?.dtype),
    };
    Ok(vec![conv_general_dilated(&mut t.b, args[0], args[1], &convolution)])
}

/// From the value that changes nothing.
fn windowed(b: &mut Builder, eqn: &Eqn, args: &[Atom], op: Monoid) -> Result<Atom, String> {
    let dtype = b.ty(args[0]).dtype;
    let op = match (op, dtype) {
        (Monoid::Max | Monoid::Sum, DType::Bool) => Monoid::Any,
        (Monoid::Min | Monoid::Prod, DType::Bool) => Monoid::All,
        (op, _) => op,
    };
    let init = op.identity(dtype);
    Ok(reduce_window(b, args[0], init.into(), &window(eqn)?, op))
}

/// By a program of two elements, or twice as many as there are arrays; the arrays come first, then what each starts from.
fn reduced(t: &mut Translator, eqn: &Eqn, args: &[Atom]) -> Result<Vec<Atom>, Refusal> {
    let step = t.program(eqn.param("jaxpr"))?;
    let (xs, inits) = args.split_at(args.len() / 2);
    if let Some(op) = monoid(&step, t.b.ty(xs[0]).dtype) {
        return Ok(vec![reduce_window(&mut t.b, xs[0], inits[0], &window(eqn)?, op)]);
    }
    let of = inits.iter().chain(inits);
    let params: Vec<Var> = of.map(|x| t.b.fresh(Type::scalar(t.b.ty(*x).dtype))).collect();
    let vars: Vec<Atom> = params.iter().map(|v| (*v).into()).collect();
    t.b.begin();
    let results = t.inline(&step, &vars)?;
    let body = t.b.end(results);
    Ok(reduce_window_by(&mut t.b, xs, inits, &window(eqn)?, |b, carries, now| {
        b.inline(&body, &params, &[carries, now].concat())
    }))
}

/// The operation that the program is, if it is nothing else.
fn monoid(step: &Jaxpr, dtype: DType) -> Option<Monoid> {
    let ([x, y], [eqn], [Operand::Var(result)]) = (&step.invars[..], &step.eqns[..], &step.outvars[..]) else {
        return None;
    };
    let of = |name: &str| eqn.ins.iter().any(|o| matches!(o, Operand::Var(v) if v == name));
    if !of(&x.name) || !of(&y.name) || eqn.outs[0].name != *result || !step.constvars.is_empty() {
        return None;
    }
    match (eqn.prim.as_str(), dtype) {
        ("and" | "mul" | "min", DType::Bool) => Some(Monoid::All),
        ("or" | "add" | "max", DType::Bool) => Some(Monoid::Any),
        ("add", _) => Some(Monoid::Sum),
        ("mul", _) => Some(Monoid::Prod),
        ("max", _) => Some(Monoid::Max),
        ("min", _) => Some(Monoid::Min),
        _ => None,
    }
}

/// The window of an equation; no dilation where it has no parameter for it.
pub fn window(eqn: &Eqn) -> Result<Window, String> {
    let dimensions = eqn.param("window_dimensions").sizes()?;
    let dilation = |name: &str| match eqn.param(name) {
        Value::None => Ok(vec![1; dimensions.len()]),
        given => given.sizes(),
    };
    Ok(Window {
        strides: eqn.param("window_strides").sizes()?,
        padding: pairs(eqn.param("padding"))?,
        base_dilation: dilation("base_dilation")?,
        window_dilation: dilation("window_dilation")?,
        dimensions,
    })
}

fn pairs(value: &Value) -> Result<Vec<(i64, i64)>, String> {
    let pair = |v: &Value| match v.ints()?[..] {
        [low, high] => Ok((low, high)),
        _ => Err(format!("{v:?} is not a pair")),
    };
    value.list()?.iter().map(pair).collect()
}

fn greatest(eqn: &Eqn) -> Result<bool, String> {
    match eqn.param("select_prim").word()? {
        "ge" => Ok(true),
        "le" => Ok(false),
        other => Err(format!("the choice by {other}")),
    }
}
