//! The table of derivatives: the tangent of each primitive as a linear expression of the tangents of its operands.
//!
//! What is linear in a tangent is written with `neg`, `add`, `sub`, `mul`, `div` (above), `select` (between), `mul_add`, `convert`,
//! rearrangements, places, sums, `dot`, payloads of `sort`, and `scan`: what [`super::adjoint`] knows how to turn round.

use smallvec::{SmallVec, smallvec};
use whorl_core::prim::{self, Binary, Compare, Prim, Unary};
use whorl_core::{Atom, Builder, Var};

use super::activity::blocks;
use super::emit::{fit, number, or_zero, or_zeros};

mod elementary;
mod reductions;

/// The tangents of `outs = prim(args)`, for tangents `t` of the operands; `None` is zero. At least one of `t` is there.
pub(super) fn jvp(
    b: &mut Builder,
    prim: &Prim,
    args: &[Atom],
    outs: &[Var],
    t: &[Option<Atom>],
) -> SmallVec<[Option<Atom>; 2]> {
    use Prim::*;
    if blocks(prim) {
        return outs.iter().map(|_| None).collect();
    }
    let y = Atom::Var(outs[0]);
    let ty = b.ty(y);
    let only = |t: Option<Atom>| t.expect("an active operand");
    let tangent = match prim {
        Unary(op) => unary(b, *op, args[0], y, only(t[0])),
        Binary(op) => binary(b, *op, args[0], args[1], y, t[0], t[1]).map(|t| fit(b, t, &ty)),
        Select => {
            let (p, q) = (or_zero(b, t[1], y), or_zero(b, t[2], y));
            let chosen = b.prim1(Select, &[args[0], p, q]);
            Some(fit(b, chosen, &ty))
        }
        MulAdd => {
            let product = bilinear(b, args[0], args[1], t[0], t[1]);
            plus(b, product, t[2]).map(|t| fit(b, t, &ty))
        }
        Convert(d) => d.is_float().then(|| b.prim1(prim.clone(), &[only(t[0])])),
        Broadcast { .. } | Reshape(_) | Transpose(_) | Slice { .. } | Reverse(_) => {
            Some(b.prim1(prim.clone(), &[only(t[0])]))
        }
        Pad { .. } | Concat(_) => {
            let t: Vec<Atom> = args.iter().zip(t).map(|(a, t)| or_zeros(b, *t, *a)).collect();
            Some(b.prim1(prim.clone(), &t))
        }
        Index(_) => {
            let mut operands: SmallVec<[Atom; 4]> = args.into();
            operands[0] = only(t[0]);
            Some(b.prim1(prim.clone(), &operands))
        }
        IndexAdd(_) if t[1].is_none() => t[0],
        IndexSet(_) | IndexAdd(_) => {
            let mut operands: SmallVec<[Atom; 4]> = args.into();
            operands[0] = or_zeros(b, t[0], args[0]);
            operands[1] = or_zeros(b, t[1], args[1]);
            Some(b.prim1(prim.clone(), &operands))
        }
        Reduce(r) => reductions::reduce(b, r, args[0], y, only(t[0])),
        Cumulative { op, axis, reverse } => reductions::cumulative(b, *op, *axis, *reverse, args[0], y, only(t[0])),
        Dot(_) => {
            let left = t[0].map(|t| b.prim1(prim.clone(), &[t, args[1]]));
            let right = t[1].map(|t| b.prim1(prim.clone(), &[args[0], t]));
            plus(b, left, right)
        }
        Custom(c) => return custom(b, c, args, t),
        Sort { keys, .. } => return sort(b, prim, *keys, args, t),
        Compare(_) | Bitcast(_) | StopGradient | Threefry | Iota(_) | ArgMax(_) | ArgMin(_) => None,
    };
    smallvec![tangent]
}

/// The tangents of the user's function: a statement that only its transpose has a meaning for.
fn custom(b: &mut Builder, c: &prim::Custom, args: &[Atom], t: &[Option<Atom>]) -> SmallVec<[Option<Atom>; 2]> {
    let mut operands: SmallVec<[Atom; 4]> = args.into();
    for k in 0..c.rule.inputs {
        operands[k] = or_zeros(b, t[k], args[k]);
    }
    // What the y depend on otherwise is the user's to say.
    if !t[..c.rule.inputs].iter().any(Option::is_some) {
        return smallvec![None; c.rule.outputs];
    }
    let pull = prim::Custom { rule: c.rule.clone(), pull: true };
    let outs = b.prim(Prim::Custom(pull), &operands);
    outs.into_iter().map(|o| b.ty(o).dtype.is_float().then_some(o)).collect()
}

fn plus(b: &mut Builder, x: Option<Atom>, y: Option<Atom>) -> Option<Atom> {
    match (x, y) {
        (Some(x), Some(y)) => Some(b.add(x, y)),
        (x, y) => x.or(y),
    }
}

/// Of `x * y`: `x' * y + x * y'`.
fn bilinear(b: &mut Builder, x: Atom, y: Atom, tx: Option<Atom>, ty: Option<Atom>) -> Option<Atom> {
    let left = tx.map(|t| b.mul(t, y));
    match (left, ty) {
        (Some(left), Some(t)) => Some(b.prim1(Prim::MulAdd, &[t, x, left])),
        (left, t) => left.or_else(|| t.map(|t| b.mul(t, x))),
    }
}

fn unary(b: &mut Builder, op: Unary, x: Atom, y: Atom, t: Atom) -> Option<Atom> {
    use Unary::*;
    let scale = match op {
        Neg => return Some(b.unary(Neg, t)),
        Abs => b.unary(Sign, x),
        Sign | Floor | Ceil | Round | Not | PopCount => return None,
        Sqrt => {
            let half = number(b, x, 0.5);
            b.binary(Binary::Div, half, y)
        }
        Math(f) => return Some(elementary::tangent(b, f, x, y, t)),
    };
    Some(b.mul(t, scale))
}

/// Of `z = op(x, y)`; a scalar where all operands in it are.
fn binary(b: &mut Builder, op: Binary, x: Atom, y: Atom, z: Atom, tx: Option<Atom>, ty: Option<Atom>) -> Option<Atom> {
    use Binary::*;
    match op {
        Add => plus(b, tx, ty),
        Sub => match (tx, ty) {
            (Some(tx), Some(ty)) => Some(b.binary(Sub, tx, ty)),
            (tx, ty) => tx.or_else(|| ty.map(|t| b.unary(Unary::Neg, t))),
        },
        Mul => bilinear(b, x, y, tx, ty),
        Div => {
            let left = tx.map(|t| b.binary(Div, t, y));
            let right = ty.map(|t| {
                let ratio = b.binary(Div, z, y);
                let scale = b.unary(Unary::Neg, ratio);
                b.mul(t, scale)
            });
            plus(b, left, right)
        }
        Rem => {
            // -trunc(x / y), which is infinite where y is zero.
            let right = ty.map(|t| {
                let ratio = b.binary(Div, x, y);
                let size = b.unary(Unary::Abs, ratio);
                let (times, sign) = (b.unary(Unary::Floor, size), b.unary(Unary::Sign, ratio));
                let whole = b.mul(sign, times);
                let scale = b.unary(Unary::Neg, whole);
                b.mul(t, scale)
            });
            plus(b, tx, right)
        }
        Pow => {
            let left = tx.and_then(|t| pow_base(b, x, y, t));
            let right = ty.map(|t| {
                let zero = number(b, x, 0.0);
                let one = number(b, x, 1.0);
                let at_zero = b.prim1(Prim::Compare(Compare::Eq), &[x, zero]);
                let safe = b.prim1(Prim::Select, &[at_zero, one, x]);
                let log = b.unary(Unary::Log, safe);
                let scale = b.mul(log, z);
                b.mul(t, scale)
            });
            plus(b, left, right)
        }
        Atan2 => {
            let (xx, yy) = (b.mul(x, x), b.mul(y, y));
            let square = b.add(xx, yy);
            let left = tx.map(|t| {
                let scale = b.binary(Div, y, square);
                b.mul(t, scale)
            });
            let right = ty.map(|t| {
                let ratio = b.binary(Div, x, square);
                let scale = b.unary(Unary::Neg, ratio);
                b.mul(t, scale)
            });
            plus(b, left, right)
        }
        Min | Max => {
            let wins = if op == Max { Compare::Gt } else { Compare::Lt };
            let left = tx.map(|t| {
                let weight = share(b, wins, x, y);
                b.mul(t, weight)
            });
            let right = ty.map(|t| {
                let weight = share(b, wins, y, x);
                b.mul(t, weight)
            });
            plus(b, left, right)
        }
        And | Or | Xor | Shl | Shr | ShrLogical => None,
    }
}

/// Of `x ^ y` by x: `y * x ^ (y - 1)`, and zero where y is zero, also at x = 0.
fn pow_base(b: &mut Builder, x: Atom, y: Atom, t: Atom) -> Option<Atom> {
    let scale = match y {
        Atom::Lit(l) if l.to_f64() == 0.0 => return None,
        Atom::Lit(l) if l.to_f64() == 1.0 => return Some(t),
        Atom::Lit(l) if l.to_f64() == 2.0 => b.mul(x, y),
        Atom::Lit(l) => {
            let less = number(b, y, l.to_f64() - 1.0);
            let power = b.binary(Binary::Pow, x, less);
            b.mul(power, y)
        }
        Atom::Var(_) => {
            let (zero, one) = (number(b, y, 0.0), number(b, y, 1.0));
            let flat = b.prim1(Prim::Compare(Compare::Eq), &[y, zero]);
            let less = b.binary(Binary::Sub, y, one);
            let safe = b.prim1(Prim::Select, &[flat, one, less]);
            let power = b.binary(Binary::Pow, x, safe);
            b.mul(power, y)
        }
    };
    Some(b.mul(t, scale))
}

/// How much of the tangent of `x` the winner of x and y has: 1, 0, or a half where they are equal.
fn share(b: &mut Builder, wins: Compare, x: Atom, y: Atom) -> Atom {
    let (one, half, zero) = (number(b, x, 1.0), number(b, x, 0.5), number(b, x, 0.0));
    let tie = b.prim1(Prim::Compare(Compare::Eq), &[x, y]);
    let rest = b.prim1(Prim::Select, &[tie, half, zero]);
    let first = b.prim1(Prim::Compare(wins), &[x, y]);
    b.prim1(Prim::Select, &[first, one, rest])
}

/// Tangents ride along as further payloads, those of keys too.
fn sort(b: &mut Builder, prim: &Prim, keys: usize, args: &[Atom], t: &[Option<Atom>]) -> SmallVec<[Option<Atom>; 2]> {
    let mut operands: Vec<Atom> = args[..keys].to_vec();
    operands.extend(t.iter().flatten());
    let sorted = b.prim(prim.clone(), &operands);
    let mut rest = sorted[keys..].iter();
    t.iter().map(|t| t.and_then(|_| rest.next().copied())).collect()
}
