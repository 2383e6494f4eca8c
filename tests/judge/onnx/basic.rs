//! Operators on numbers one by one: arithmetic, comparison, logic, bits, elementary functions, conversion.

use whorl_core::ir::DType;

use super::Row;
use super::case::Case;
use super::script::{Excluded, Script, broadcast, element, float, scalar};

pub fn row(op: &str) -> Option<Row> {
    Some(match op {
        "Abs" => |c| of_one(c, "abs(x)"),
        "Acos" => |c| of_one(c, "acos(x)"),
        "Acosh" => |c| of_one(c, "acosh(x)"),
        "Add" => |c| of_two(c, "+"),
        "And" => |c| of_two(c, "and"),
        "Asin" => |c| of_one(c, "asin(x)"),
        "Asinh" => |c| of_one(c, "asinh(x)"),
        "Atan" => |c| of_one(c, "atan(x)"),
        "Atanh" => |c| of_one(c, "atanh(x)"),
        "BitShift" => bit_shift,
        "BitwiseAnd" => |c| of_all(c, &|e| format!("bit_and({}, {})", e[0], e[1])),
        "BitwiseNot" => |c| of_one(c, "bit_not(x)"),
        "BitwiseOr" => |c| of_all(c, &|e| format!("bit_or({}, {})", e[0], e[1])),
        "BitwiseXor" => |c| of_all(c, &|e| format!("bit_xor({}, {})", e[0], e[1])),
        "Cast" => |c| converted(element(c.int("to", 1))?),
        "CastLike" => |c| converted(c.dtype(1)?),
        "Ceil" => |c| of_one(c, "ceil(x)"),
        "Clip" => clip,
        "Cos" => |c| of_one(c, "cos(x)"),
        "Cosh" => |c| of_one(c, "cosh(x)"),
        "Div" => {
            |c| if c.dtype(0)?.is_float() { of_two(c, "/") } else { of_all(c, &|e| format!("div({}, {})", e[0], e[1])) }
        }
        "Equal" => |c| of_two(c, "=="),
        "Erf" => |c| of_one(c, "erf(x)"),
        "Exp" => |c| of_one(c, "exp(x)"),
        "Floor" => |c| of_one(c, "floor(x)"),
        "Greater" => |c| of_two(c, ">"),
        "GreaterOrEqual" => |c| of_two(c, ">="),
        "Identity" => |c| of_one(c, "x"),
        "IsInf" => is_inf,
        "IsNaN" => |c| of_one(c, "isnan(x)"),
        "Less" => |c| of_two(c, "<"),
        "LessOrEqual" => |c| of_two(c, "<="),
        "Log" => |c| of_one(c, "log(x)"),
        "Max" => |c| of_all(c, &|e| joined(e, "max")),
        "Mean" => |c| of_all(c, &|e| format!("({}) / {}", e.join(" + "), float(e.len() as f64))),
        "Min" => |c| of_all(c, &|e| joined(e, "min")),
        "Mod" => {
            |c| if c.int("fmod", 0) == 1 { of_two(c, "%") } else { of_all(c, &|e| format!("mod({}, {})", e[0], e[1])) }
        }
        "Mul" => |c| of_two(c, "*"),
        "Neg" => |c| of_one(c, "-x"),
        "Not" => |c| of_one(c, "not x"),
        "Or" => |c| of_two(c, "or"),
        "Pow" => pow,
        "Reciprocal" => |c| of_one(c, "1.0 / x"),
        "Round" => |c| of_one(c, "round(x)"),
        "Sign" => |c| of_one(c, "sign(x)"),
        "Sin" => |c| of_one(c, "sin(x)"),
        "Sinh" => |c| of_one(c, "sinh(x)"),
        "Sqrt" => |c| of_one(c, "sqrt(x)"),
        "Sub" => |c| of_two(c, "-"),
        "Sum" => |c| of_all(c, &|e| e.join(" + ")),
        "Tan" => |c| of_one(c, "tan(x)"),
        "Tanh" => |c| of_one(c, "tanh(x)"),
        "Where" => |c| of_all(c, &|e| format!("where({}, {}, {})", e[0], e[1], e[2])),
        "Xor" => |c| of_two(c, "!="),
        _ => return None,
    })
}

/// An expression of the one input, `x`.
fn of_one(_: &Case, text: &str) -> Result<Script, Excluded> {
    Ok(Script::of(text).line("let x = x0"))
}

fn of_two(c: &Case, operator: &str) -> Result<Script, Excluded> {
    of_all(c, &|e| format!("{} {operator} {}", e[0], e[1]))
}

/// An elementwise function of all inputs.
fn of_all(c: &Case, f: &dyn Fn(&[String]) -> String) -> Result<Script, Excluded> {
    let operands: Vec<_> = c.arguments().map(|(k, x)| (format!("x{k}"), x.ty.shape.to_vec())).collect();
    Ok(Script::of(broadcast(&operands, f)))
}

/// `f(f(a, b), c)`
fn joined(operands: &[String], f: &str) -> String {
    let (first, rest) = operands.split_first().expect("an operand");
    rest.iter().fold(first.clone(), |all, x| format!("{f}({all}, {x})"))
}

fn converted(to: DType) -> Result<Script, Excluded> {
    Ok(Script::of(format!("{}(x0)", to.name())))
}

fn clip(c: &Case) -> Result<Script, Excluded> {
    let mut text = "x0".to_string();
    if c.has(1) {
        text = format!("max({text}, x1)");
    }
    if c.has(2) {
        // Where the bounds are the wrong way round, the upper one holds.
        text = format!("min({text}, x2)");
    }
    Ok(Script::of(text))
}

fn is_inf(c: &Case) -> Result<Script, Excluded> {
    let infinity = scalar(f64::INFINITY, c.dtype(0)?);
    let sides = [("detect_positive", "=="), ("detect_negative", "== -")];
    let wanted = sides.iter().filter(|s| c.int(s.0, 1) == 1).map(|s| format!("x0 {}{infinity}", s.1));
    let text = wanted.collect::<Vec<_>>().join(" or ");
    Ok(Script::of(if text.is_empty() { "x0 != x0 and x0 == x0".to_string() } else { text }))
}

/// A shift by as many places as there are bits, or more, leaves none (or the sign, to the right); what is negative counts as that many.
fn bit_shift(c: &Case) -> Result<Script, Excluded> {
    let left = c.text("direction", "LEFT") == "LEFT";
    of_all(c, &|e| format!("{}({}, {})", if left { "shift_left" } else { "shift_right" }, e[0], e[1]))
}

/// The base says the type. Whole numbers by way of `f64`, which is exact as long as the power fits.
fn pow(c: &Case) -> Result<Script, Excluded> {
    let (base, exponent) = (c.dtype(0)?, c.dtype(1)?);
    if base.is_float() && base == exponent {
        return of_all(c, &|e| format!("pow({}, {})", e[0], e[1]));
    }
    let through = if base == DType::F32 { DType::F32 } else { DType::F64 }.name();
    of_all(c, &|e| format!("{}(pow({through}({}), {through}({})))", base.name(), e[0], e[1]))
}
