//! Programs that have a value in JAX, but whose derivatives there are not those of that value.
//!
//! Each kind is found by two readings of a program that agree wherever JAX's derivative is that of the value: if their values differ for the recorded
//! arguments, the program is of that kind.

use whorl_core::interp;
use whorl_core::ir::ArrayData;

use super::text::{Eqn, Jaxpr, Operand, Text, Value};
use super::translate::{Refusal, translate};

/// What the first and what the second reading has for an equation, or `None` if it is not concerned.
type Reading = fn(&Eqn, bool) -> Option<Vec<Eqn>>;

/// `GatherScatterMode.PROMISE_IN_BOUNDS`: XLA's gathers clamp an index that breaks the promise, and its scatters drop it. As each is the other's
/// transpose, JAX's gradients are those of another function.
const KINDS: [(&str, Reading); 3] = [
    ("indices out of bounds, where the program promises that there are none", promised),
    ("indices out of bounds in a scatter-min or -max that clips: JAX's derivative does not", moved),
    (
        "a clamp whose low bound is above the high one: JAX's gradient is of the low one, its value is the high one",
        clamped,
    ),
];

/// Primitives whose translations work on the bits of numbers, through which no derivative passes.
const OF_BITS: [&str; 1] = ["reduce_precision"];

/// Which kind the program is of, for these arguments.
pub fn kind(text: &Text, args: &[ArrayData]) -> Result<Option<&'static str>, Refusal> {
    if !every(text, &|eqn| !OF_BITS.contains(&eqn.prim.as_str())) {
        return Ok(Some("derivatives through the bits of numbers, which JAX rounds as it rounds the numbers"));
    }
    for (kind, reading) in KINDS {
        if !every(text, &|eqn| reading(eqn, false).is_none()) {
            let value = |second: bool| {
                let program = translate(&read_as(text, &|eqn| reading(eqn, second)))?;
                let results = interp::run(&program, args).map_err(|e| e.to_string())?.results;
                Ok::<_, Refusal>(results.iter().flat_map(ArrayData::to_f64).collect::<Vec<f64>>())
            };
            let (first, second) = (value(false)?, value(true)?);
            if !first.iter().zip(&second).all(|(x, y)| x == y || x.is_nan() && y.is_nan()) {
                return Ok(Some(kind));
            }
        }
    }
    Ok(None)
}

/// The rules of `scatter-min` and `scatter-max` read back what was scattered without the mode, and so not what was moved into bounds.
fn moved(eqn: &Eqn, second: bool) -> Option<Vec<Eqn>> {
    let extremal = ["scatter-min", "scatter-max", "scatter_min", "scatter_max"].contains(&eqn.prim.as_str());
    let clips = eqn.param("mode").word().is_ok_and(|w| w.ends_with("CLIP"));
    (extremal && clips).then(|| vec![in_mode(eqn, if second { "FILL_OR_DROP" } else { "CLIP" })])
}

fn promised(eqn: &Eqn, second: bool) -> Option<Vec<Eqn>> {
    let promise = |v: &Value| v.word().is_ok_and(|w| w.ends_with("PROMISE_IN_BOUNDS"));
    // A scatter without overlaps is transposed as sums are; else JAX finds out which updates were dropped.
    let transposed = match eqn.prim.as_str() {
        "scatter" => *eqn.param("unique_indices") == Value::Bool(true),
        _ => true,
    };
    (transposed && promise(eqn.param("mode"))).then(|| vec![in_mode(eqn, if second { "FILL_OR_DROP" } else { "CLIP" })])
}

fn in_mode(eqn: &Eqn, mode: &str) -> Eqn {
    let mut other = eqn.clone();
    let mode = Value::Word(format!("GatherScatterMode.{mode}"));
    other.params.iter_mut().filter(|(name, _)| name == "mode").for_each(|(_, v)| *v = mode.clone());
    other
}

/// Which of the bounds counts first.
fn clamped(eqn: &Eqn, second: bool) -> Option<Vec<Eqn>> {
    let [low, x, high] = &eqn.ins[..] else { return None };
    (eqn.prim == "clamp").then(|| {
        let mut between = eqn.outs[0].clone();
        between.name += "'";
        let (first, then) = if second { (("min", high), ("max", low)) } else { (("max", low), ("min", high)) };
        let step = |(prim, bound): (&str, &Operand), of: Operand, outs| Eqn {
            prim: prim.into(),
            params: Vec::new(),
            ins: vec![bound.clone(), of],
            outs,
        };
        let name = between.name.clone();
        vec![step(first, x.clone(), vec![between]), step(then, Operand::Var(name), eqn.outs.clone())]
    })
}

/// Whether this holds for all equations, those of inner programs too.
fn every(text: &Text, holds: &impl Fn(&Eqn) -> bool) -> bool {
    fn of_jaxpr(jaxpr: &Jaxpr, holds: &impl Fn(&Eqn) -> bool) -> bool {
        jaxpr.eqns.iter().all(|eqn| holds(eqn) && eqn.params.iter().all(|(_, v)| of_value(v, holds)))
    }
    fn of_value(value: &Value, holds: &impl Fn(&Eqn) -> bool) -> bool {
        match value {
            Value::Jaxpr(jaxpr) => of_jaxpr(jaxpr, holds),
            Value::List(all) => all.iter().all(|v| of_value(v, holds)),
            _ => true,
        }
    }
    text.shared.values().chain([&text.main]).all(|jaxpr| of_jaxpr(jaxpr, holds))
}

/// The text with other equations, in inner programs too.
fn read_as(text: &Text, other: &impl Fn(&Eqn) -> Option<Vec<Eqn>>) -> Text {
    fn of_jaxpr(jaxpr: &Jaxpr, other: &impl Fn(&Eqn) -> Option<Vec<Eqn>>) -> Jaxpr {
        let eqn = |eqn: &Eqn| {
            other(eqn).unwrap_or_else(|| {
                let params = eqn.params.iter().map(|(name, v)| (name.clone(), of_value(v, other))).collect();
                vec![Eqn { params, ..eqn.clone() }]
            })
        };
        Jaxpr { eqns: jaxpr.eqns.iter().flat_map(eqn).collect(), ..jaxpr.clone() }
    }
    fn of_value(value: &Value, other: &impl Fn(&Eqn) -> Option<Vec<Eqn>>) -> Value {
        match value {
            Value::Jaxpr(jaxpr) => Value::Jaxpr(of_jaxpr(jaxpr, other)),
            Value::List(all) => Value::List(all.iter().map(|v| of_value(v, other)).collect()),
            same => same.clone(),
        }
    }
    let shared = text.shared.iter().map(|(name, jaxpr)| (name.clone(), of_jaxpr(jaxpr, other))).collect();
    Text { shared, main: of_jaxpr(&text.main, other) }
}
