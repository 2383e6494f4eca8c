//! Programs of JAX, as it prints them, in Core: straight lines of primitives, each of which is one of ours or a few.
//!
//! ```text
//! { lambda ; a:f32[7] b:i32[]. let c:f32[3] = dynamic_slice[slice_sizes=(3,)] a b in (c,) }
//! ```

use std::collections::HashMap;

use whorl_core::ir::{Atom, DType, Function, Lit, Program, Shape, Type};
use whorl_core::prim::{Binary, Compare, Dot, Monoid, Prim, Reduce, Unary};
use whorl_core::{Builder, verify};

/// `Err` says which primitive has no translation.
pub fn read(text: &str) -> Result<Program, String> {
    let (head, rest) = text.split_once(" let").ok_or("no `let`")?;
    let at = rest.rfind(" in (").or_else(|| rest.rfind("in (")).ok_or("no `in`")?;
    let (lines, end) = rest.split_at(at);
    let (mut b, mut names) = (Builder::default(), HashMap::new());
    let mut params = Vec::new();
    let declared = head.split_once(';').ok_or("no `;`")?.1.trim().trim_end_matches('.');
    for (name, ty) in declared.split_whitespace().map(typed) {
        let v = b.fresh(ty.ok_or_else(|| format!("a type of {name}"))?);
        names.insert(name.to_string(), Atom::Var(v));
        params.push(v);
    }
    b.begin();
    let mut left = lines.trim();
    while !left.is_empty() {
        left = equation(&mut b, &mut names, left)?.trim_start();
    }
    let results = end.trim().trim_start_matches("in").trim().trim_start_matches('(');
    let results = results.split(')').next().unwrap_or_default();
    let mut given: Vec<Atom> = Vec::new();
    for name in results.split([',', ' ']).filter(|n| !n.is_empty()) {
        given.push(*names.get(name).ok_or_else(|| format!("a result {name}"))?);
    }
    let body = b.end(given);
    let program = Program { vars: b.vars, main: Function { params, body } };
    verify::verify(&program).map_err(|e| format!("{e}"))?;
    Ok(program)
}

/// `a:f32[2,3]`
fn typed(word: &str) -> (&str, Option<Type>) {
    let Some((name, ty)) = word.split_once(':') else { return (word, None) };
    let (dtype, sizes) = ty.split_once('[').unwrap_or((ty, "]"));
    let dtype = DType::ALL.into_iter().find(|d| d.name() == dtype);
    (name, dtype.map(|d| Type::new(d, &whole(sizes).iter().map(|n| *n as usize).collect::<Vec<_>>())))
}

/// The whole numbers in a text.
fn whole(text: &str) -> Vec<i64> {
    text.split(|c: char| !c.is_ascii_digit() && c != '-').filter_map(|n| n.parse().ok()).collect()
}

/// What a primitive is told beside its operands.
struct Settings<'a>(&'a str);

impl Settings<'_> {
    fn text(&self, name: &str) -> &str {
        let from = self.0.find(&format!("{name}=")).map_or(self.0.len(), |k| k + name.len() + 1);
        let (mut depth, rest) = (0, &self.0[from..]);
        let end = rest.find(|c: char| {
            depth += i32::from(c == '(' || c == '[') - i32::from(c == ')' || c == ']');
            depth == 0 && c.is_whitespace()
        });
        &rest[..end.unwrap_or(rest.len())]
    }

    fn numbers(&self, name: &str) -> Vec<i64> {
        whole(self.text(name))
    }

    fn sizes(&self, name: &str) -> Shape {
        self.numbers(name).iter().map(|n| *n as usize).collect()
    }
}

/// Writes the first equation; gives what follows it.
fn equation<'t>(b: &mut Builder, names: &mut HashMap<String, Atom>, text: &'t str) -> Result<&'t str, String> {
    let (outs, rest) = text.split_once(" = ").ok_or("an equation without `=`")?;
    let rest = rest.trim_start();
    let word = rest.find(|c: char| c == '[' || c.is_whitespace()).unwrap_or(rest.len());
    let (name, mut rest) = rest.split_at(word);
    let mut settings = Settings("");
    if rest.starts_with('[') {
        let mut depth = 0;
        let end = rest.find(|c: char| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth == 0
        });
        let end = end.ok_or("brackets that do not close")?;
        settings = Settings(&rest[1..end]);
        rest = &rest[end + 1..];
    }
    let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
    let mut args = Vec::new();
    for word in line.split_whitespace() {
        args.push(match (names.get(word), typed(word)) {
            (Some(a), _) => *a,
            (None, (value, Some(ty))) if ty.is_scalar() => {
                Lit::of(ty.dtype, value.parse().map_err(|_| format!("a number {word}"))?).into()
            }
            _ => return Err(format!("an operand {word}")),
        });
    }
    let outs: Vec<(&str, Option<Type>)> = outs.split_whitespace().map(typed).collect();
    let ty = outs[0].1.clone().ok_or("a result without a type")?;
    for ((out, _), value) in outs.iter().zip(prim(b, name, &settings, &args, &ty)?) {
        names.insert(out.to_string(), value);
    }
    Ok(after)
}

/// `x` with the sizes of `ty`: axes of size 1 are repeated.
fn spread(b: &mut Builder, x: Atom, ty: &Type) -> Atom {
    let own = b.ty(x).shape;
    if own.is_empty() || own == ty.shape {
        return x;
    }
    let offset = ty.shape.len() - own.len();
    let axes: Vec<usize> = (0..own.len()).filter(|&k| own[k] == ty.shape[k + offset]).collect();
    let narrow: Shape = axes.iter().map(|&k| own[k]).collect();
    let x = b.prim1(Prim::Reshape(narrow), &[x]);
    b.prim1(Prim::Broadcast { shape: ty.shape.clone(), axes: axes.iter().map(|k| k + offset).collect() }, &[x])
}

fn prim(b: &mut Builder, name: &str, s: &Settings, args: &[Atom], ty: &Type) -> Result<Vec<Atom>, String> {
    let number = |x: f64| Atom::from(Lit::of(ty.dtype, x));
    let monoid = |op| Prim::Reduce(Reduce { op, axes: s.sizes("axes").iter().copied().collect() });
    let running = |op| {
        let axis = s.numbers("axis")[0] as usize;
        Prim::Cumulative { op, axis, reverse: s.text("reverse").starts_with("True") }
    };
    let one = match name {
        "abs" => b.unary(Unary::Abs, args[0]),
        "sign" => b.unary(Unary::Sign, args[0]),
        "exp" => b.unary(Unary::Exp, args[0]),
        "log" => b.unary(Unary::Log, args[0]),
        "cos" => b.unary(Unary::Cos, args[0]),
        "tan" => b.unary(Unary::Tan, args[0]),
        "atan" => b.unary(Unary::Atan, args[0]),
        "erf" => b.unary(Unary::Erf, args[0]),
        "logistic" => b.unary(Unary::Sigmoid, args[0]),
        // Halves away from zero (0) or to the even number (1): none are among the arguments.
        "round" => b.unary(Unary::Round, args[0]),
        "rsqrt" => {
            let root = b.unary(Unary::Sqrt, args[0]);
            b.binary(Binary::Div, number(1.0), root)
        }
        "integer_pow" => b.binary(Binary::Pow, args[0], number(s.numbers("y")[0] as f64)),
        "add" | "sub" | "mul" | "div" | "rem" | "min" | "max" | "pow" | "atan2" | "lt" => {
            let (x, y) = (spread(b, args[0], ty), spread(b, args[1], ty));
            let op = match name {
                "add" => Binary::Add,
                "sub" => Binary::Sub,
                "mul" => Binary::Mul,
                "div" => Binary::Div,
                "rem" => Binary::Rem,
                "min" => Binary::Min,
                "max" => Binary::Max,
                "pow" => Binary::Pow,
                "atan2" => Binary::Atan2,
                _ => return Ok(vec![b.prim1(Prim::Compare(Compare::Lt), &[x, y])]),
            };
            b.binary(op, x, y)
        }
        "clamp" => {
            let (low, x, high) = (spread(b, args[0], ty), spread(b, args[1], ty), spread(b, args[2], ty));
            let above = b.binary(Binary::Max, low, x);
            b.binary(Binary::Min, above, high)
        }
        // `[c, of 0, of 1, …]`
        "select_n" => {
            let mut chosen = args[1];
            for (k, &arg) in args.iter().enumerate().skip(2) {
                let c = match b.ty(args[0]).dtype {
                    DType::Bool => args[0],
                    d => b.prim1(Prim::Compare(Compare::Ge), &[args[0], Lit::of(d, (k - 1) as f64).into()]),
                };
                chosen = b.prim1(Prim::Select, &[c, arg, chosen]);
            }
            chosen
        }
        "copy" => args[0],
        "bitcast_convert_type" => b.prim1(Prim::Bitcast(ty.dtype), &[args[0]]),
        "reshape" if !s.text("dimensions").starts_with("None") => {
            let x = b.prim1(Prim::Transpose(s.sizes("dimensions")), &[args[0]]);
            b.prim1(Prim::Reshape(ty.shape.clone()), &[x])
        }
        "reshape" | "squeeze" => b.prim1(Prim::Reshape(ty.shape.clone()), &[args[0]]),
        "transpose" => b.prim1(Prim::Transpose(s.sizes("permutation")), &[args[0]]),
        "rev" => b.prim1(Prim::Reverse(s.sizes("dimensions")), &[args[0]]),
        "broadcast_in_dim" => {
            let (axes, own) = (s.sizes("broadcast_dimensions"), b.ty(args[0]).shape);
            let same: Vec<usize> = (0..own.len()).filter(|&k| own[k] == ty.shape[axes[k]]).collect();
            let x = b.prim1(Prim::Reshape(same.iter().map(|&k| own[k]).collect()), &[args[0]]);
            let axes = same.iter().map(|&k| axes[k]).collect();
            b.prim1(Prim::Broadcast { shape: ty.shape.clone(), axes }, &[x])
        }
        "concatenate" => b.prim1(Prim::Concat(s.numbers("dimension")[0] as usize), args),
        "slice" => {
            let starts = s.sizes("start_indices");
            let strides =
                if s.text("strides") == "None" { starts.iter().map(|_| 1).collect() } else { s.sizes("strides") };
            b.prim1(Prim::Slice { starts, shape: ty.shape.clone(), strides }, &[args[0]])
        }
        "pad" => pad(b, &s.numbers("padding_config"), args),
        "dynamic_slice" => window(b, args[0], &ty.shape, &args[1..]),
        "dynamic_update_slice" => update(b, args[0], args[1], &args[2..], 0),
        "reduce_sum" => b.prim1(monoid(Monoid::Sum), args),
        "reduce_max" => b.prim1(monoid(Monoid::Max), args),
        "reduce_min" => b.prim1(monoid(Monoid::Min), args),
        "cumsum" => b.prim1(running(Monoid::Sum), args),
        "cumprod" => b.prim1(running(Monoid::Prod), args),
        "cummax" => b.prim1(running(Monoid::Max), args),
        "cummin" => b.prim1(running(Monoid::Min), args),
        "dot_general" => {
            let lists: Vec<Vec<i64>> = s.text("dimension_numbers").split('[').skip(1).map(whole).collect();
            let list = |k: usize| lists[k].iter().map(|a| *a as usize).collect();
            let (lhs_contract, rhs_contract) = (list(0), list(1));
            b.prim1(Prim::Dot(Dot { lhs_batch: list(2), rhs_batch: list(3), lhs_contract, rhs_contract }), args)
        }
        "sort" => {
            let (axis, keys) = (s.numbers("dimension")[0] as usize, s.numbers("num_keys")[0] as usize);
            return Ok(b.prim(Prim::Sort { axis, keys }, args).to_vec());
        }
        "top_k" => {
            let axis = s.numbers("axis")[0] as usize;
            let shape = b.ty(args[0]).shape;
            let places = b.prim1(Prim::Iota(shape[axis]), &[]);
            let axes = std::iter::once(axis).collect();
            let places = b.prim1(Prim::Broadcast { shape, axes }, &[places]);
            let negative = b.unary(Unary::Neg, args[0]);
            let sorted = b.prim(Prim::Sort { axis, keys: 1 }, &[negative, args[0], places]);
            let few = Prim::Slice {
                starts: ty.shape.iter().map(|_| 0).collect(),
                shape: ty.shape.clone(),
                strides: ty.shape.iter().map(|_| 1).collect(),
            };
            return Ok(sorted[1..].iter().map(|x| b.prim1(few.clone(), &[*x])).collect());
        }
        other => return Err(other.to_string()),
    };
    Ok(vec![one])
}

/// Low, high and interior for each axis; negative ones cut off.
fn pad(b: &mut Builder, config: &[i64], args: &[Atom]) -> Atom {
    let part = |k: usize| config.iter().skip(k).step_by(3).map(|n| (*n).max(0) as usize).collect::<Shape>();
    let x = b.prim1(Prim::Pad { low: part(0), high: part(1), interior: part(2) }, args);
    let shape = b.ty(x).shape;
    let cut = |k: usize, end: usize| (-config[3 * k + end]).max(0) as usize;
    let starts: Shape = (0..shape.len()).map(|k| cut(k, 0)).collect();
    let sizes = (0..shape.len()).map(|k| shape[k] - cut(k, 0) - cut(k, 1)).collect();
    b.prim1(Prim::Slice { strides: starts.iter().map(|_| 1).collect(), shape: sizes, starts }, &[x])
}

/// An axis to the front, and back from it.
fn to_front(b: &mut Builder, x: Atom, axis: usize, back: bool) -> Atom {
    let mut perm: Shape = (0..b.ty(x).rank()).collect();
    if back {
        // Axis `axis` of the result is the first of the operand.
        let first = perm.remove(0);
        perm.insert(axis, first);
        return b.prim1(Prim::Transpose(perm), &[x]);
    }
    let own = perm.remove(axis);
    perm.insert(0, own);
    b.prim1(Prim::Transpose(perm), &[x])
}

fn index(b: &mut Builder, i: Atom) -> Atom {
    b.prim1(Prim::Convert(DType::I32), &[i])
}

/// So many along each axis, from run-time places that are clamped.
fn window(b: &mut Builder, mut x: Atom, sizes: &[usize], starts: &[Atom]) -> Atom {
    for (axis, (&n, &at)) in sizes.iter().zip(starts).enumerate() {
        let (front, at) = (to_front(b, x, axis, false), index(b, at));
        let some = b.prim1(Prim::Index(Some(n)), &[front, at]);
        x = to_front(b, some, axis, true);
    }
    x
}

/// `x` with `part` put at run-time places, axis by axis.
fn update(b: &mut Builder, x: Atom, part: Atom, starts: &[Atom], axis: usize) -> Atom {
    let Some((&at, rest)) = starts.split_first() else { return part };
    let n = b.ty(part).shape[axis];
    let (front, at) = (to_front(b, x, axis, false), index(b, at));
    let slab = b.prim1(Prim::Index(Some(n)), &[front, at]);
    let slab = to_front(b, slab, axis, true);
    let slab = update(b, slab, part, rest, axis + 1);
    let slab = to_front(b, slab, axis, false);
    let whole = b.prim1(Prim::IndexSet(Some(n)), &[front, slab, at]);
    to_front(b, whole, axis, true)
}
