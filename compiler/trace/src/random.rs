//! Random numbers, bit for bit those of JAX with `threefry2x32` and `jax_threefry_partitionable` on.
//!
//! A key is two `u32` scalars. Element k of an array of random bits is the Threefry block of (0, k) under the key, its two
//! words joined by xor; everything else is made from such bits. These are functions over a [`Builder`]: they know nothing of
//! the tracer. Arrays are made by statements on whole arrays, scalars by statements on scalars.
//!
//! The algorithms are those of `jax/_src/random` (0.10); the tests compare with values recorded from it.

use whorl_core::prim::{Binary, Compare, Prim, Unary};
use whorl_core::{Atom, Builder, DType, Lit};

/// The two words of a key.
pub type Key = [Atom; 2];

/// The key of a seed, a `u32` scalar.
pub fn key_data(_b: &mut Builder, seed: Atom) -> Key {
    [u32(0), seed]
}

/// `n` keys, as the arrays of their first and second words: `u32[n]` each.
pub fn split(b: &mut Builder, key: Key, n: usize) -> [Atom; 2] {
    let count = counts(b, &[n]);
    threefry(b, key, [u32(0), count])
}

/// Key `k` of a split, without making the others.
pub fn split_at(b: &mut Builder, key: Key, k: u32) -> Key {
    threefry(b, key, [u32(0), u32(k)])
}

/// The key of a key and a number, a `u32` scalar.
pub fn fold_in(b: &mut Builder, key: Key, data: Atom) -> Key {
    threefry(b, key, [u32(0), data])
}

/// `u32`s of this shape, all values equally likely.
pub fn bits(b: &mut Builder, key: Key, shape: &[usize]) -> Atom {
    let count = if shape.is_empty() { u32(0) } else { counts(b, shape) };
    let [x, y] = threefry(b, key, [u32(0), count]);
    b.binary(Binary::Xor, x, y)
}

/// `f32`s in [low, high): 23 random bits as the mantissa of a number in [1, 2). `low` and `high` are `f32`, scalars or of the
/// shape.
pub fn uniform(b: &mut Builder, key: Key, shape: &[usize], low: Atom, high: Atom) -> Atom {
    let random = bits(b, key, shape);
    let mantissa = b.binary(Binary::ShrLogical, random, u32(32 - 23));
    let in_1_to_2 = b.binary(Binary::Or, mantissa, u32(1f32.to_bits()));
    let x = b.prim1(Prim::Bitcast(DType::F32), &[in_1_to_2]);
    let x = b.binary(Binary::Sub, x, f32(1.0));
    let range = b.binary(Binary::Sub, high, low);
    // Rounded once, as XLA's code does.
    let moved = b.prim1(Prim::MulAdd, &[x, range, low]);
    b.binary(Binary::Max, low, moved)
}

/// Standard normal `f32`s: √2 erf⁻¹(u), u uniform in (-1, 1).
pub fn normal(b: &mut Builder, key: Key, shape: &[usize]) -> Atom {
    let u = uniform(b, key, shape, f32((-1f32).next_up()), f32(1.0));
    from_symmetric_uniform(b, u)
}

/// Standard Gumbel `f32`s: -log(-log u).
pub fn gumbel(b: &mut Builder, key: Key, shape: &[usize]) -> Atom {
    let u = uniform(b, key, shape, f32(f32::MIN_POSITIVE), f32(1.0));
    let log = b.unary(Unary::Log, u);
    let minus = b.unary(Unary::Neg, log);
    let log = b.unary(Unary::Log, minus);
    b.unary(Unary::Neg, log)
}

/// Exponential `f32`s of rate 1: -log(1 - u).
pub fn exponential(b: &mut Builder, key: Key, shape: &[usize]) -> Atom {
    let u = uniform(b, key, shape, f32(0.0), f32(1.0));
    let minus = b.unary(Unary::Neg, u);
    let log = b.unary(Unary::Log1p, minus);
    b.unary(Unary::Neg, log)
}

/// `bool`s that hold with probability `p`, an `f32` scalar or of the shape.
pub fn bernoulli(b: &mut Builder, key: Key, p: Atom, shape: &[usize]) -> Atom {
    let u = uniform(b, key, shape, f32(0.0), f32(1.0));
    b.prim1(Prim::Compare(Compare::Lt), &[u, p])
}

/// `i32`s in low..high (`low` where that is empty): 64 random bits modulo the width of the range. `low` and `high` are `i32`,
/// scalars or of the shape.
pub fn randint(b: &mut Builder, key: Key, shape: &[usize], low: Atom, high: Atom) -> Atom {
    let (k_upper, k_lower) = (split_at(b, key, 0), split_at(b, key, 1));
    let (upper, lower) = (bits(b, k_upper, shape), bits(b, k_lower, shape));
    let width = b.binary(Binary::Sub, high, low);
    let width = b.prim1(Prim::Convert(DType::U32), &[width]);
    let empty = b.prim1(Prim::Compare(Compare::Le), &[high, low]);
    let width = b.prim1(Prim::Select, &[empty, u32(1), width]);
    // 2^32 modulo the width, as (2^16)^2.
    let root = b.binary(Binary::Rem, u32(1 << 16), width);
    let square = b.mul(root, root);
    let multiplier = b.binary(Binary::Rem, square, width);
    let upper = b.binary(Binary::Rem, upper, width);
    let upper = b.mul(upper, multiplier);
    let lower = b.binary(Binary::Rem, lower, width);
    let sum = b.add(upper, lower);
    let offset = b.binary(Binary::Rem, sum, width);
    let offset = b.prim1(Prim::Convert(DType::I32), &[offset]);
    b.add(low, offset)
}

/// Standard normal `f32`s, given that they lie between `low` and `high`: `f32`, scalars or of the shape.
pub fn truncated_normal(b: &mut Builder, key: Key, low: Atom, high: Atom, shape: &[usize]) -> Atom {
    let erf_at = |b: &mut Builder, x: Atom| {
        let x = b.binary(Binary::Div, x, f32(std::f32::consts::SQRT_2));
        b.unary(Unary::Erf, x)
    };
    let (erf_low, erf_high) = (erf_at(b, low), erf_at(b, high));
    let u = uniform(b, key, shape, erf_low, erf_high);
    let x = from_symmetric_uniform(b, u);
    // Rounding must not leave the open interval.
    let (low, high) = (b.prim1(Prim::StopGradient, &[low]), b.prim1(Prim::StopGradient, &[high]));
    let (low, high) = (next_after(b, low, true), next_after(b, high, false));
    let x = b.binary(Binary::Max, x, low);
    b.binary(Binary::Min, x, high)
}

/// `i32` places along the last axis of `logits` (`f32`), with probabilities softmax(logits): the largest of logits plus Gumbel
/// noise.
pub fn categorical(b: &mut Builder, key: Key, logits: Atom) -> Atom {
    let shape = b.ty(logits).shape;
    let noise = gumbel(b, key, &shape);
    let perturbed = b.add(noise, logits);
    b.prim1(Prim::ArgMax(shape.len() - 1), &[perturbed])
}

/// 0, 1, …, n - 1 as `i32[n]` in a random order: sorted by random bits, as often as makes ties unlikely.
pub fn permutation(b: &mut Builder, key: Key, n: usize) -> Atom {
    let mut order = b.prim1(Prim::Iota(n), &[]);
    let mut key = key;
    for _ in 0..permutation_rounds(n) {
        let subkey = split_at(b, key, 1);
        key = split_at(b, key, 0);
        let by = bits(b, subkey, &[n]);
        order = b.prim(Prim::Sort { axis: 0, keys: 1 }, &[by, order])[1];
    }
    order
}

/// 3 log n / log(2^32 - 1), rounded up.
fn permutation_rounds(n: usize) -> usize {
    (3.0 * (n.max(1) as f64).ln() / (u32::MAX as f64).ln()).ceil() as usize
}

/// √2 erf⁻¹(u)
fn from_symmetric_uniform(b: &mut Builder, u: Atom) -> Atom {
    let x = erf_inv(b, u);
    b.mul(f32(std::f32::consts::SQRT_2), x)
}

/// erf⁻¹ as XLA computes it: Giles, "Approximating the erfinv function" (2010), in single precision. In the tails, where
/// 1 - u² has few bits left, it is up to 70 ulp from the true value, which [`Unary::ErfInv`] is close to: normal
/// numbers would not be those of JAX with it.
#[allow(clippy::excessive_precision)] // As published.
fn erf_inv(b: &mut Builder, u: Atom) -> Atom {
    const CENTRE: [f32; 9] = [
        2.81022636e-08,
        3.43273939e-07,
        -3.5233877e-06,
        -4.39150654e-06,
        0.00021858087,
        -0.00125372503,
        -0.00417768164,
        0.246640727,
        1.50140941,
    ];
    const TAIL: [f32; 9] = [
        -0.000200214257,
        0.000100950558,
        0.00134934322,
        -0.00367342844,
        0.00573950773,
        -0.0076224613,
        0.00943887047,
        1.00167406,
        2.83297682,
    ];
    let minus = b.unary(Unary::Neg, u);
    let square = b.mul(minus, u);
    let log = b.unary(Unary::Log1p, square);
    let w = b.unary(Unary::Neg, log);
    let in_centre = b.prim1(Prim::Compare(Compare::Lt), &[w, f32(5.0)]);
    let root = b.unary(Unary::Sqrt, w);
    let (centre, tail) = (b.binary(Binary::Sub, w, f32(2.5)), b.binary(Binary::Sub, root, f32(3.0)));
    let t = b.prim1(Prim::Select, &[in_centre, centre, tail]);
    let mut p = b.prim1(Prim::Select, &[in_centre, f32(CENTRE[0]), f32(TAIL[0])]);
    for (c, far) in CENTRE.into_iter().zip(TAIL).skip(1) {
        let coefficient = b.prim1(Prim::Select, &[in_centre, f32(c), f32(far)]);
        p = b.prim1(Prim::MulAdd, &[p, t, coefficient]);
    }
    let inside = b.mul(p, u);
    let distance = b.unary(Unary::Abs, u);
    let at_pole = b.prim1(Prim::Compare(Compare::Eq), &[distance, f32(1.0)]);
    let pole = b.mul(u, f32(f32::INFINITY));
    b.prim1(Prim::Select, &[at_pole, pole, inside])
}

/// The neighbour of `x: f32` towards +∞ if `up`, else -∞; `x` itself if there is none.
fn next_after(b: &mut Builder, x: Atom, up: bool) -> Atom {
    let end = if up { f32::INFINITY } else { f32::NEG_INFINITY };
    let from_zero = if up { f32::from_bits(1) } else { -f32::from_bits(1) };
    let bits = b.prim1(Prim::Bitcast(DType::I32), &[x]);
    // Bits grow with the distance from zero.
    let away = b.prim1(Prim::Compare(if up { Compare::Gt } else { Compare::Lt }), &[x, f32(0.0)]);
    let step = b.prim1(Prim::Select, &[away, Lit::i32(1).into(), Lit::i32(-1).into()]);
    let stepped = b.add(bits, step);
    let stepped = b.prim1(Prim::Bitcast(DType::F32), &[stepped]);
    let is_zero = b.prim1(Prim::Compare(Compare::Eq), &[x, f32(0.0)]);
    let next = b.prim1(Prim::Select, &[is_zero, f32(from_zero), stepped]);
    let is_end = b.prim1(Prim::Compare(Compare::Eq), &[x, f32(end)]);
    let is_nan = b.prim1(Prim::Compare(Compare::Ne), &[x, x]);
    let stays = b.binary(Binary::Or, is_end, is_nan);
    b.prim1(Prim::Select, &[stays, x, next])
}

/// 0, 1, … in row-major order.
fn counts(b: &mut Builder, shape: &[usize]) -> Atom {
    let count = b.prim1(Prim::Iota(shape.iter().product()), &[]);
    let count = if shape.len() == 1 { count } else { b.prim1(Prim::Reshape(shape.into()), &[count]) };
    b.prim1(Prim::Convert(DType::U32), &[count])
}

fn threefry(b: &mut Builder, key: Key, count: [Atom; 2]) -> [Atom; 2] {
    let out = b.prim(Prim::Threefry, &[key[0], key[1], count[0], count[1]]);
    [out[0], out[1]]
}

fn u32(x: u32) -> Atom {
    Lit::u32(x).into()
}

fn f32(x: f32) -> Atom {
    Lit::f32(x).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use whorl_core::{Function, Program, interp};

    /// Splitting one key off gives what splitting all gives. The values are compared with JAX's in `tests/judge`.
    #[test]
    fn one_of_a_split() {
        let mut b = Builder::default();
        b.begin();
        let key = key_data(&mut b, u32(7));
        let results = [split(&mut b, key, 3), split_at(&mut b, key, 2)].concat();
        let body = b.end(results);
        let program = Program { vars: b.vars, main: Function { params: vec![], body } };
        let all = interp::run(&program, &[]).expect("no checks").results;
        let words: Vec<Vec<u32>> = all.iter().map(|a| a.values()).collect();
        assert_eq!([words[0][2], words[1][2]], [words[2][0], words[3][0]]);
    }
}
