//! Primitives that work on each element by itself.

use whorl_core::Builder;
use whorl_core::ir::{Atom, DType, Lit, Shape, Type};
use whorl_core::prim::{Binary, Compare, MathFn, Prim, Unary};

use super::text::Eqn;
use super::translate::{Refusal, Rule, Translator};

pub const RULES: &[(&str, Rule)] = &[
    ("abs", |t, _, x| unary(t, Unary::Abs, x)),
    ("acos", |t, _, x| unary(t, Unary::Math(MathFn::Acos), x)),
    ("acosh", |t, _, x| unary(t, Unary::Math(MathFn::Acosh), x)),
    ("asin", |t, _, x| unary(t, Unary::Math(MathFn::Asin), x)),
    ("asinh", |t, _, x| unary(t, Unary::Math(MathFn::Asinh), x)),
    ("atan", |t, _, x| unary(t, Unary::Math(MathFn::Atan), x)),
    ("atanh", |t, _, x| unary(t, Unary::Math(MathFn::Atanh), x)),
    ("cbrt", |t, _, x| unary(t, Unary::Math(MathFn::Cbrt), x)),
    ("ceil", |t, _, x| unary(t, Unary::Ceil, x)),
    ("cos", |t, _, x| unary(t, Unary::Math(MathFn::Cos), x)),
    ("cosh", |t, _, x| unary(t, Unary::Math(MathFn::Cosh), x)),
    ("digamma", |t, _, x| unary(t, Unary::Math(MathFn::Digamma), x)),
    ("erf", |t, _, x| unary(t, Unary::Math(MathFn::Erf), x)),
    ("erf_inv", |t, _, x| unary(t, Unary::Math(MathFn::ErfInv), x)),
    ("erfc", |t, _, x| unary(t, Unary::Math(MathFn::Erfc), x)),
    ("exp", |t, _, x| unary(t, Unary::Math(MathFn::Exp), x)),
    ("exp2", |t, _, x| unary(t, Unary::Math(MathFn::Exp2), x)),
    ("expm1", |t, _, x| unary(t, Unary::Math(MathFn::Expm1), x)),
    ("floor", |t, _, x| unary(t, Unary::Floor, x)),
    ("lgamma", |t, _, x| unary(t, Unary::Math(MathFn::Lgamma), x)),
    ("log", |t, _, x| unary(t, Unary::Math(MathFn::Log), x)),
    ("log1p", |t, _, x| unary(t, Unary::Math(MathFn::Log1p), x)),
    ("logistic", |t, _, x| unary(t, Unary::Math(MathFn::Sigmoid), x)),
    ("neg", |t, _, x| unary(t, Unary::Neg, x)),
    ("not", |t, _, x| unary(t, Unary::Not, x)),
    ("population_count", |t, _, x| unary(t, Unary::PopCount, x)),
    ("sign", |t, _, x| unary(t, Unary::Sign, x)),
    ("sin", |t, _, x| unary(t, Unary::Math(MathFn::Sin), x)),
    ("sinh", |t, _, x| unary(t, Unary::Math(MathFn::Sinh), x)),
    ("sqrt", |t, _, x| unary(t, Unary::Sqrt, x)),
    ("tan", |t, _, x| unary(t, Unary::Math(MathFn::Tan), x)),
    ("tanh", |t, _, x| unary(t, Unary::Math(MathFn::Tanh), x)),
    ("add", |t, e, x| binary(t, e, Binary::Add, x)),
    ("add_any", |t, e, x| binary(t, e, Binary::Add, x)),
    ("and", |t, e, x| binary(t, e, Binary::And, x)),
    ("atan2", |t, e, x| binary(t, e, Binary::Atan2, x)),
    ("div", |t, e, x| binary(t, e, Binary::Div, x)),
    ("max", |t, e, x| extreme(t, e, (Binary::Max, Binary::Or), x)),
    ("min", |t, e, x| extreme(t, e, (Binary::Min, Binary::And), x)),
    ("mul", mul),
    ("or", |t, e, x| binary(t, e, Binary::Or, x)),
    ("pow", pow),
    ("rem", |t, e, x| binary(t, e, Binary::Rem, x)),
    ("shift_left", |t, e, x| binary(t, e, Binary::Shl, x)),
    ("shift_right_arithmetic", shift_right_arithmetic),
    ("shift_right_logical", |t, e, x| binary(t, e, Binary::ShrLogical, x)),
    ("sub", |t, e, x| binary(t, e, Binary::Sub, x)),
    ("xor", |t, e, x| binary(t, e, Binary::Xor, x)),
    ("eq", |t, e, x| compare(t, e, Compare::Eq, x)),
    ("ge", |t, e, x| compare(t, e, Compare::Ge, x)),
    ("gt", |t, e, x| compare(t, e, Compare::Gt, x)),
    ("le", |t, e, x| compare(t, e, Compare::Le, x)),
    ("lt", |t, e, x| compare(t, e, Compare::Lt, x)),
    ("ne", |t, e, x| compare(t, e, Compare::Ne, x)),
    ("bitcast_convert_type", bitcast),
    ("clamp", clamp),
    ("clz", clz),
    ("convert_element_type", convert),
    ("copy", same),
    ("copy_p", same),
    ("device_put", same),
    ("integer_pow", integer_pow),
    ("is_finite", is_finite),
    ("nextafter", nextafter),
    ("optimization_barrier", same),
    ("reduce_precision", reduce_precision),
    ("round", round),
    ("rsqrt", rsqrt),
    ("select_n", select_n),
    ("sharding_constraint", same),
    ("square", |t, _, x| Ok(vec![t.b.mul(x[0], x[0])])),
    ("stop_gradient", |t, _, x| Ok(vec![t.b.prim1(Prim::StopGradient, x)])),
];

/// `x` with the sizes of `ty`: axes of size 1 are repeated, a scalar stays one.
pub fn spread(b: &mut Builder, x: Atom, ty: &Type) -> Atom {
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

/// A scalar filled out to the shape: a primitive of scalars alone gives one.
pub fn filled(b: &mut Builder, x: Atom, shape: &[usize]) -> Atom {
    match b.ty(x).shape.is_empty() && !shape.is_empty() {
        true => b.prim1(Prim::Broadcast { shape: shape.into(), axes: Shape::new() }, &[x]),
        false => x,
    }
}

type Results = Result<Vec<Atom>, Refusal>;

fn same(_: &mut Translator, _: &Eqn, x: &[Atom]) -> Results {
    Ok(x.to_vec())
}

fn unary(t: &mut Translator, op: Unary, x: &[Atom]) -> Results {
    Ok(vec![t.b.unary(op, x[0])])
}

fn spread_all(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Result<Vec<Atom>, Refusal> {
    let ty = t.out(eqn, 0)?;
    Ok(x.iter().map(|a| spread(&mut t.b, *a, &ty)).collect())
}

fn binary(t: &mut Translator, eqn: &Eqn, op: Binary, x: &[Atom]) -> Results {
    let x = spread_all(t, eqn, x)?;
    Ok(vec![t.b.binary(op, x[0], x[1])])
}

/// With `out_dtype`, the product is of that type.
fn mul(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let dtype = t.out(eqn, 0)?.dtype;
    let convert = |a: &Atom| if t.b.ty(*a).dtype == dtype { *a } else { t.b.prim1(Prim::Convert(dtype), &[*a]) };
    let x: Vec<Atom> = x.iter().map(convert).collect();
    binary(t, eqn, Binary::Mul, &x)
}

/// The larger of two bools is their `or`.
fn extreme(t: &mut Translator, eqn: &Eqn, (op, of_bools): (Binary, Binary), x: &[Atom]) -> Results {
    let op = if t.b.ty(x[0]).dtype == DType::Bool { of_bools } else { op };
    binary(t, eqn, op, x)
}

fn compare(t: &mut Translator, eqn: &Eqn, op: Compare, x: &[Atom]) -> Results {
    let x = spread_all(t, eqn, x)?;
    Ok(vec![t.b.prim1(Prim::Compare(op), &x)])
}

fn number(dtype: DType, x: f64) -> Atom {
    Lit::of(dtype, x).into()
}

/// An exponent may be an integer where the base is a float; where both are integers it is repeated multiplication.
fn pow(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let x = spread_all(t, eqn, x)?;
    let (dtype, exponent) = (t.b.ty(x[0]).dtype, t.b.ty(x[1]).dtype);
    if dtype.is_float() {
        let y = if exponent == dtype { x[1] } else { t.b.prim1(Prim::Convert(dtype), &[x[1]]) };
        return Ok(vec![t.b.binary(Binary::Pow, x[0], y)]);
    }
    let (one, zero) = (number(dtype, 1.0), number(exponent, 0.0));
    let (mut product, mut square, mut left) = (one, x[0], x[1]);
    for _ in 0..8 * exponent.bytes() {
        let odd = t.b.binary(Binary::And, left, number(exponent, 1.0));
        let odd = t.b.prim1(Prim::Compare(Compare::Ne), &[odd, zero]);
        let more = t.b.mul(product, square);
        product = t.b.prim1(Prim::Select, &[odd, more, product]);
        square = t.b.mul(square, square);
        left = t.b.binary(Binary::ShrLogical, left, number(exponent, 1.0));
    }
    if exponent == DType::I32 {
        // 1 / x^-y, towards zero: the parity of y is that of -y.
        let power = t.b.binary(Binary::Div, one, product);
        let unit = t.b.unary(Unary::Abs, x[0]);
        let unit = t.b.prim1(Prim::Compare(Compare::Le), &[unit, one]);
        let power = t.b.prim1(Prim::Select, &[unit, power, number(dtype, 0.0)]);
        let negative = t.b.prim1(Prim::Compare(Compare::Lt), &[x[1], zero]);
        product = t.b.prim1(Prim::Select, &[negative, power, product]);
    }
    Ok(vec![product])
}

/// Unsigned integers, too, are shifted as if they had a sign.
fn shift_right_arithmetic(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let dtype = t.b.ty(x[0]).dtype;
    let x = spread_all(t, eqn, x)?;
    match dtype {
        DType::U32 => {
            let signed: Vec<Atom> = x.iter().map(|a| t.b.prim1(Prim::Bitcast(DType::I32), &[*a])).collect();
            let shifted = t.b.binary(Binary::Shr, signed[0], signed[1]);
            Ok(vec![t.b.prim1(Prim::Bitcast(dtype), &[shifted])])
        }
        DType::U8 => {
            let wide: Vec<Atom> = x.iter().map(|a| t.b.prim1(Prim::Convert(DType::I32), &[*a])).collect();
            let signed = t.b.binary(Binary::Shl, wide[0], number(DType::I32, 24.0));
            let signed = t.b.binary(Binary::Shr, signed, number(DType::I32, 24.0));
            let shifted = t.b.binary(Binary::Shr, signed, wide[1]);
            Ok(vec![t.b.prim1(Prim::Convert(dtype), &[shifted])])
        }
        _ => Ok(vec![t.b.binary(Binary::Shr, x[0], x[1])]),
    }
}

fn bitcast(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let (own, ty) = (t.b.ty(x[0]), t.out(eqn, 0)?);
    match own.dtype.bytes() == ty.dtype.bytes() {
        true => Ok(vec![t.b.prim1(Prim::Bitcast(ty.dtype), x)]),
        false => Err(Refusal::Excluded("bits as an element type of another width".into())),
    }
}

fn clamp(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let x = spread_all(t, eqn, x)?;
    let above = t.b.binary(Binary::Max, x[0], x[1]);
    Ok(vec![t.b.binary(Binary::Min, above, x[2])])
}

/// The highest bit that is set is spread downward; the others are counted.
fn clz(t: &mut Translator, _: &Eqn, x: &[Atom]) -> Results {
    let dtype = t.b.ty(x[0]).dtype;
    let mut all = x[0];
    for shift in [1, 2, 4, 8, 16].into_iter().filter(|s| *s < 8 * dtype.bytes()) {
        let moved = t.b.binary(Binary::ShrLogical, all, number(dtype, shift as f64));
        all = t.b.binary(Binary::Or, all, moved);
    }
    let above = t.b.unary(Unary::Not, all);
    Ok(vec![t.b.unary(Unary::PopCount, above)])
}

fn convert(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let dtype = t.out(eqn, 0)?.dtype;
    Ok(vec![if t.b.ty(x[0]).dtype == dtype { x[0] } else { t.b.prim1(Prim::Convert(dtype), x) }])
}

/// By squaring, as XLA does it; of a negative exponent the reciprocal.
fn integer_pow(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let (exponent, ty) = (eqn.param("y").int()?, t.b.ty(x[0]));
    let one = filled(&mut t.b, number(ty.dtype, 1.0), &ty.shape);
    let (mut product, mut square, mut left) = (None, x[0], exponent.unsigned_abs());
    while left > 0 {
        if left % 2 == 1 {
            product = Some(product.map_or(square, |p| t.b.mul(p, square)));
        }
        left /= 2;
        if left > 0 {
            square = t.b.mul(square, square);
        }
    }
    let power = product.unwrap_or(one);
    Ok(vec![if exponent < 0 { t.b.binary(Binary::Div, one, power) } else { power }])
}

fn is_finite(t: &mut Translator, _: &Eqn, x: &[Atom]) -> Results {
    let size = t.b.unary(Unary::Abs, x[0]);
    let infinity = number(t.b.ty(x[0]).dtype, f64::INFINITY);
    Ok(vec![t.b.prim1(Prim::Compare(Compare::Lt), &[size, infinity])])
}

/// Halves go away from zero (method 0) or to the even number (1).
fn round(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    match eqn.param("rounding_method").int()? {
        0 => {}
        1 => return unary(t, Unary::Round, x),
        other => return Err(format!("a rounding method {other}").into()),
    }
    let dtype = t.b.ty(x[0]).dtype;
    let size = t.b.unary(Unary::Abs, x[0]);
    let below = t.b.unary(Unary::Floor, size);
    let rest = t.b.binary(Binary::Sub, size, below);
    let up = t.b.prim1(Prim::Compare(Compare::Ge), &[rest, number(dtype, 0.5)]);
    let above = t.b.add(below, number(dtype, 1.0));
    let rounded = t.b.prim1(Prim::Select, &[up, above, below]);
    let negated = t.b.unary(Unary::Neg, rounded);
    let negative = t.b.prim1(Prim::Compare(Compare::Lt), &[x[0], number(dtype, 0.0)]);
    Ok(vec![t.b.prim1(Prim::Select, &[negative, negated, rounded])])
}

fn rsqrt(t: &mut Translator, _: &Eqn, x: &[Atom]) -> Results {
    let root = t.b.unary(Unary::Sqrt, x[0]);
    let one = number(t.b.ty(x[0]).dtype, 1.0);
    Ok(vec![t.b.binary(Binary::Div, one, root)])
}

/// `which, case 0, case 1, …`
fn select_n(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let ty = t.out(eqn, 0)?;
    let which = t.b.ty(x[0]).dtype;
    let mut chosen = x[1];
    for (k, &case) in x.iter().enumerate().skip(2) {
        let c = match which {
            DType::Bool => x[0],
            _ => t.b.prim1(Prim::Compare(Compare::Ge), &[x[0], number(which, (k - 1) as f64)]),
        };
        chosen = t.b.prim1(Prim::Select, &[c, case, chosen]);
    }
    Ok(vec![filled(&mut t.b, chosen, &ty.shape)])
}

/// The neighbour of x towards y; between zeros, y.
fn nextafter(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let dtype = t.b.ty(x[0]).dtype;
    if dtype != DType::F32 {
        return Err(Refusal::Excluded(format!("bits of an {}", dtype.name())));
    }
    let x = spread_all(t, eqn, x)?;
    let (from, to) = (x[0], x[1]);
    let b = &mut t.b;
    let compare = |b: &mut Builder, op, x, y| b.prim1(Prim::Compare(op), &[x, y]);
    let zero = number(dtype, 0.0);
    let bits = b.prim1(Prim::Bitcast(DType::I32), &[from]);
    // Bits grow with the distance from zero.
    let (up, positive) = (compare(b, Compare::Lt, from, to), compare(b, Compare::Gt, from, zero));
    let away = compare(b, Compare::Eq, up, positive);
    let step = b.prim1(Prim::Select, &[away, number(DType::I32, 1.0), number(DType::I32, -1.0)]);
    let stepped = b.add(bits, step);
    let stepped = b.prim1(Prim::Bitcast(dtype), &[stepped]);
    let least = f64::from(f32::from_bits(1));
    let least = b.prim1(Prim::Select, &[up, number(dtype, least), number(dtype, -least)]);
    let at_zero = compare(b, Compare::Eq, from, zero);
    let next = b.prim1(Prim::Select, &[at_zero, least, stepped]);
    let (there, sum) = (compare(b, Compare::Eq, from, to), b.add(from, to));
    let next = b.prim1(Prim::Select, &[there, to, next]);
    let is_number = compare(b, Compare::Eq, sum, sum);
    // The sum of opposite infinities is no number, though both are.
    let (first, second) = (compare(b, Compare::Eq, from, from), compare(b, Compare::Eq, to, to));
    let both = b.binary(Binary::And, first, second);
    let known = b.binary(Binary::Or, is_number, both);
    Ok(vec![b.prim1(Prim::Select, &[known, next, sum])])
}

/// As many bits of exponent and mantissa as another format has: rounded to the nearest, of two the even one; what is too large for the exponent is
/// infinite, what is too small is zero.
fn reduce_precision(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let (exponent, mantissa) = (eqn.param("exponent_bits").size()?, eqn.param("mantissa_bits").size()?);
    let dtype = t.b.ty(x[0]).dtype;
    if dtype == DType::F64 {
        return Err(Refusal::Excluded("bits of an f64".into()));
    }
    // A half is an f32 with fewer bits.
    let x = t.b.widen(x[0]);
    let b = &mut t.b;
    let word = |n: u32| Atom::from(Lit::u32(n));
    let bits = b.prim1(Prim::Bitcast(DType::U32), &[x]);
    let mut rounded = bits;
    if mantissa < 23 {
        let dropped = 23 - mantissa as u32;
        let last = b.binary(Binary::ShrLogical, bits, word(dropped));
        let odd = b.binary(Binary::And, last, word(1));
        let half = b.add(odd, word((1 << (dropped - 1)) - 1));
        let sum = b.add(bits, half);
        rounded = b.binary(Binary::And, sum, word(!((1 << dropped) - 1)));
    }
    if exponent < 8 {
        let bias = (1u32 << (exponent - 1)) - 1;
        let (largest, least) = (127 + bias, 127 - bias + 1);
        let sign = b.binary(Binary::And, bits, word(1 << 31));
        let power = b.binary(Binary::And, rounded, word(0xff << 23));
        let over = b.prim1(Prim::Compare(Compare::Gt), &[power, word(largest << 23)]);
        let under = b.prim1(Prim::Compare(Compare::Lt), &[power, word(least << 23)]);
        let infinite = b.binary(Binary::Or, sign, word(0xff << 23));
        let limited = b.prim1(Prim::Select, &[over, infinite, rounded]);
        rounded = b.prim1(Prim::Select, &[under, sign, limited]);
    }
    let number = b.prim1(Prim::Bitcast(DType::F32), &[rounded]);
    let is_number = b.prim1(Prim::Compare(Compare::Eq), &[x, x]);
    let kept = b.prim1(Prim::Select, &[is_number, number, x]);
    Ok(vec![if dtype == DType::F32 { kept } else { b.prim1(Prim::Convert(dtype), &[kept]) }])
}
