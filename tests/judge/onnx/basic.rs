//! Operators on numbers one by one: arithmetic, comparison, logic, bits, elementary functions.

use whorl_core::ir::DType;

use super::Row;
use super::case::Case;
use super::script::{Excluded, Script, broadcast};

pub fn row(op: &str) -> Option<Row> {
    Some(match op {
        "Abs" => |c| of_one(c, "abs(_)"),
        "Acos" => |c| of_one(c, "acos(_)"),
        "Asin" => |c| of_one(c, "asin(_)"),
        "Atan" => |c| of_one(c, "atan(_)"),
        "Ceil" => |c| of_one(c, "ceil(_)"),
        "Cos" => |c| of_one(c, "cos(_)"),
        "Erf" => |c| of_one(c, "erf(_)"),
        "Exp" => |c| of_one(c, "exp(_)"),
        "Floor" => |c| of_one(c, "floor(_)"),
        "Identity" => |c| of_one(c, "_"),
        "IsNaN" => |c| of_one(c, "isnan(_)"),
        "Log" => |c| of_one(c, "log(_)"),
        "Neg" => |c| of_one(c, "-_"),
        "Not" => |c| of_one(c, "not _"),
        "Reciprocal" => |c| of_one(c, "1.0 / _"),
        "Round" => |c| of_one(c, "round(_)"),
        "Sign" => |c| of_one(c, "sign(_)"),
        "Sin" => |c| of_one(c, "sin(_)"),
        "Sqrt" => |c| of_one(c, "sqrt(_)"),
        "Tan" => |c| of_one(c, "tan(_)"),
        "Tanh" => |c| of_one(c, "tanh(_)"),
        "Add" => |c| of_two(c, "+"),
        "Sub" => |c| of_two(c, "-"),
        "Mul" => |c| of_two(c, "*"),
        "And" => |c| of_two(c, "and"),
        "Or" => |c| of_two(c, "or"),
        "Xor" => |c| of_two(c, "!="),
        "Equal" => |c| of_two(c, "=="),
        "Less" => |c| of_two(c, "<"),
        "LessOrEqual" => |c| of_two(c, "<="),
        "Greater" => |c| of_two(c, ">"),
        "GreaterOrEqual" => |c| of_two(c, ">="),
        "Div" => |c| if c.dtype(0)?.is_float() { of_two(c, "/") } else { of_all(c, &|e| format!("div({}, {})", e[0], e[1])) },
        "Where" => |c| of_all(c, &|e| format!("where({}, {}, {})", e[0], e[1], e[2])),
        _ => return None,
    })
}

/// An expression of the one input, which stands at `_`.
fn of_one(_: &Case, text: &str) -> Result<Script, Excluded> {
    Ok(Script::of(text.replace('_', "x0")))
}

fn of_two(c: &Case, operator: &str) -> Result<Script, Excluded> {
    of_all(c, &|e| format!("{} {operator} {}", e[0], e[1]))
}

/// An elementwise function of all inputs.
fn of_all(c: &Case, f: &dyn Fn(&[String]) -> String) -> Result<Script, Excluded> {
    let mut operands = Vec::new();
    for (k, x) in c.arguments() {
        operands.push((format!("x{k}"), x.ty.shape.to_vec()));
    }
    Ok(Script::of(broadcast(&operands, f)))
}
