//! Random numbers: Threefry's block function on keys, which are pairs of arrays of words (`jax_threefry_partitionable` is on).

use whorl_core::ir::{Atom, DType, Lit, Shape};
use whorl_core::prim::{Binary, Prim};

use super::text::Eqn;
use super::translate::{Refusal, Rule, Translator};

pub const RULES: &[(&str, Rule)] = &[
    ("iota_2x32_shape", iota_2x32_shape),
    ("random_bits", random_bits),
    ("random_clone", |_, _, x| Ok(x.to_vec())),
    ("random_fold_in", random_fold_in),
    ("random_seed", random_seed),
    ("random_split", random_split),
    ("random_unwrap", random_unwrap),
    ("random_wrap", random_wrap),
    ("threefry2x32", |t, _, x| Ok(t.b.prim(Prim::Threefry, x).to_vec())),
];

type Results = Result<Vec<Atom>, Refusal>;

fn zero() -> Atom {
    Lit::u32(0).into()
}

/// Of 32 bits: the upper word is none of the seed's.
fn random_seed(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    fry(eqn)?;
    let word = as_word(t, x[0]);
    let shape = t.b.ty(word).shape;
    Ok(vec![t.b.broadcast(zero(), &shape), word])
}

fn as_word(t: &mut Translator, x: Atom) -> Atom {
    if t.b.ty(x).dtype == DType::U32 { x } else { t.b.prim1(Prim::Convert(DType::U32), &[x]) }
}

fn fry(eqn: &Eqn) -> Result<(), Refusal> {
    match eqn.param("impl").word()? {
        "fry" => Ok(()),
        _ => Err(Refusal::Excluded("random numbers other than Threefry's".into())),
    }
}

/// `u32[…, 2]`
fn random_wrap(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    fry(eqn)?;
    let whole = t.b.ty(x[0]).shape;
    let last = whole.len() - 1;
    let word = |t: &mut Translator, k: usize| {
        let (mut starts, mut shape) = (Shape::from_elem(0, whole.len()), whole.clone());
        (starts[last], shape[last]) = (k, 1);
        let strides = Shape::from_elem(1, whole.len());
        let word = t.b.prim1(Prim::Slice { starts, shape, strides }, x);
        t.b.prim1(Prim::Reshape(whole[..last].into()), &[word])
    };
    Ok(vec![word(t, 0), word(t, 1)])
}

fn random_unwrap(t: &mut Translator, _: &Eqn, x: &[Atom]) -> Results {
    let mut shape = t.b.ty(x[0]).shape;
    let axis = shape.len();
    shape.push(1);
    let words: Vec<Atom> = x.iter().map(|w| t.b.prim1(Prim::Reshape(shape.clone()), &[*w])).collect();
    Ok(vec![t.b.prim1(Prim::Concat(axis), &words)])
}

/// Blocks of the numbers of the places in `shape`, under every key: `keys ++ shape`.
fn blocks(t: &mut Translator, key: &[Atom], shape: &[usize]) -> Vec<Atom> {
    let of_keys = t.b.ty(key[0]).shape;
    let whole: Shape = of_keys.iter().chain(shape).copied().collect();
    let n = shape.iter().product();
    let count = t.b.prim1(Prim::Iota(n), &[]);
    let count = t.b.prim1(Prim::Convert(DType::U32), &[count]);
    let count = t.b.prim1(Prim::Reshape(shape.into()), &[count]);
    let axes = (of_keys.len()..whole.len()).collect();
    let count = t.b.prim1(Prim::Broadcast { shape: whole.clone(), axes }, &[count]);
    let spread = |t: &mut Translator, word: Atom| {
        t.b.prim1(Prim::Broadcast { shape: whole.clone(), axes: (0..of_keys.len()).collect() }, &[word])
    };
    let (first, second) = (spread(t, key[0]), spread(t, key[1]));
    t.b.prim(Prim::Threefry, &[first, second, zero(), count]).to_vec()
}

/// The number of every place, as two words.
fn iota_2x32_shape(t: &mut Translator, eqn: &Eqn, _: &[Atom]) -> Results {
    let shape = t.out(eqn, 0)?.shape;
    let count = t.b.prim1(Prim::Iota(shape.iter().product()), &[]);
    let count = t.b.prim1(Prim::Convert(DType::U32), &[count]);
    let count = t.b.prim1(Prim::Reshape(shape.clone()), &[count]);
    Ok(vec![t.b.broadcast(zero(), &shape), count])
}

fn random_bits(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let words = blocks(t, x, &eqn.param("shape").sizes()?);
    let bits = t.b.binary(Binary::Xor, words[0], words[1]);
    let dtype = t.out(eqn, 0)?.dtype;
    // Of less than 32 bits the lowest.
    Ok(vec![if dtype == DType::U32 { bits } else { t.b.prim1(Prim::Convert(dtype), &[bits]) }])
}

fn random_split(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    Ok(blocks(t, x, &eqn.param("shape").sizes()?).to_vec())
}

/// `keys, numbers`
fn random_fold_in(t: &mut Translator, _: &Eqn, x: &[Atom]) -> Results {
    let number = as_word(t, x[2]);
    Ok(t.b.prim(Prim::Threefry, &[x[0], x[1], zero(), number]).to_vec())
}
