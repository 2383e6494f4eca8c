//! Access at positions: reading, writing and adding at indices that may differ from lane to lane.

use smallvec::SmallVec;
use whorl_core::ir::*;
use whorl_core::prim::{Binary, Prim};

use super::levels::Levels;
use super::{Distributor, Value};

/// `index(x, i…)`. The index of a level itself reads an axis as that level, for nothing; other positions make a gather.
pub(crate) fn index(d: &mut Distributor, window: Option<usize>, args: &[Value]) -> Value {
    let (mut x, mut at) = (args[0].clone(), &args[1..]);
    let mut axes: Vec<u32> = x.levels.iter().collect();
    let shape = d.b.ty(x.atom).shape;
    while let Some(level) = at.first().and_then(|i| i.index_of) {
        let whole = window.is_none() || at.len() > 1;
        if !whole || axes.contains(&level) || shape[axes.len()] != d.sizes[level as usize] {
            break;
        }
        axes.push(level);
        at = &at[1..];
    }
    if axes.len() > x.levels.len() {
        let levels = axes.iter().fold(Levels::default(), |l, &a| l.with(a));
        if axes.is_sorted() {
            x = Value::over(x.atom, levels);
        } else {
            let place = |l: u32| axes.iter().position(|&a| a == l).expect("the same levels");
            let perm = levels.iter().map(place).chain(axes.len()..shape.len()).collect();
            x = Value::over(d.b.prim1(Prim::Transpose(perm), &[x.atom]), levels);
        }
    }
    if at.is_empty() {
        return x;
    }
    let levels = at.iter().fold(x.levels.clone(), |l, i| l.union(&i.levels));
    let atom = nest(d, &levels, &mut |d, lanes| {
        let mut operands: Atoms = SmallVec::from_iter([x.atom]);
        operands.extend(x.levels.iter().map(|l| lanes.index(l)));
        for i in at {
            operands.push(lanes.scalar(d, i));
        }
        d.b.prim1(Prim::Index(window), &operands)
    });
    Value::over(atom, levels)
}

/// `index_add(x, v, i…)` or `index_set(x, v, i…)`.
pub(crate) fn write(d: &mut Distributor, window: Option<usize>, add: bool, args: &[Value]) -> Value {
    let (x, v, at) = (&args[0], &args[1], &args[2..]);
    if add && window.is_none() && !x.sums.is_empty() && writes_whole_axes(d, x, at) {
        // The levels whose lanes write apart are axes now; the others still sum.
        let apart = at.iter().filter_map(|i| i.index_of).fold(Levels::default(), |l, i| l.with(i));
        let v = levels_to_axes(d, v, at);
        return accumulate_over(d, x, &v, &x.sums.without(&apart));
    }
    let varying = at.iter().fold(v.levels.clone(), |l, i| l.union(&i.levels));
    let own = x.levels.union(&varying.without(&x.sums));
    let levels = own.union(&varying);
    let v = repeated(d, v, &x.sums.without(&levels));
    let prim = if add { Prim::IndexAdd(window) } else { Prim::IndexSet(window) };
    let start = d.spread(x, &own);
    let atom = nest_into(d, &levels, start, &mut |d, lanes, acc| {
        let value = lanes.element(d, &v);
        let mut operands: Atoms = SmallVec::from_iter([acc, value]);
        operands.extend(own.iter().map(|l| lanes.index(l)));
        for i in at {
            operands.push(lanes.scalar(d, i));
        }
        d.b.prim1(prim.clone(), &operands)
    });
    Value { atom, levels: own, sums: x.sums.clone(), index_of: None }
}

/// Whether the positions are the indices of levels that sum into x, each over its whole axis: then lanes write apart.
fn writes_whole_axes(d: &Distributor, x: &Value, at: &[Value]) -> bool {
    let shape = d.b.ty(x.atom).shape;
    let mut seen = Levels::default();
    at.iter().enumerate().all(|(k, i)| {
        i.index_of.is_some_and(|l| {
            let fresh = !seen.contains(l);
            seen = seen.with(l);
            fresh && x.sums.contains(l) && shape[x.levels.len() + k] == d.sizes[l as usize]
        })
    })
}

/// The value with the levels that `at` are the indices of as its first own axes, in that order.
fn levels_to_axes(d: &mut Distributor, v: &Value, at: &[Value]) -> Value {
    let moved: Vec<u32> = at.iter().filter_map(|i| i.index_of).collect();
    let all = moved.iter().fold(v.levels.clone(), |l, &m| l.with(m));
    let atom = d.spread(v, &all);
    let moved_set = moved.iter().fold(Levels::default(), |l, &m| l.with(m));
    let rest = all.without(&moved_set);
    let rank = d.b.ty(atom).rank();
    let perm: SmallVec<[usize; 4]> =
        rest.iter().map(|l| all.place(l)).chain(moved.iter().map(|&l| all.place(l))).chain(all.len()..rank).collect();
    let atom = if perm.iter().copied().eq(0..rank) { atom } else { d.b.prim1(Prim::Transpose(perm), &[atom]) };
    Value::over(atom, rest)
}

/// `add(acc, v)`: what the lanes add is summed over the levels that sum into the accumulator.
pub(crate) fn accumulate(d: &mut Distributor, acc: &Value, v: &Value) -> Value {
    accumulate_over(d, acc, v, &acc.sums)
}

/// Adds to the accumulator what the lanes of these levels add, all together.
fn accumulate_over(d: &mut Distributor, acc: &Value, v: &Value, over: &Levels) -> Value {
    let rank = |d: &Distributor, v: &Value| d.b.ty(v.atom).rank() - v.levels.len();
    let ranks = [rank(d, acc), rank(d, v)];
    let sum = d.sum_levels(v, over);
    let sum = repeated(d, &sum, &over.without(&v.levels));
    let plain = Value::over(acc.atom, acc.levels.clone());
    let sum = super::prims::prim(d, &Prim::Binary(Binary::Add), &[plain, sum], &ranks).remove(0);
    Value { sums: acc.sums.clone(), ..sum }
}

/// The value times the number of lanes of these levels: lanes of a level it does not vary over all add the same.
fn repeated(d: &mut Distributor, v: &Value, levels: &Levels) -> Value {
    let n: usize = d.dims(levels).iter().product();
    if n == 1 {
        return v.clone();
    }
    let factor = Lit::of(d.b.ty(v.atom).dtype, n as f64);
    Value { atom: d.b.mul(v.atom, factor.into()), ..v.clone() }
}

/// The variables of a nest of `Map`s over levels.
pub(crate) struct Lanes {
    levels: Levels,
    indices: Vec<Atom>,
}

impl Lanes {
    fn index(&self, level: u32) -> Atom {
        self.indices[self.levels.place(level)]
    }

    /// A lane's element of a value.
    fn element(&self, d: &mut Distributor, v: &Value) -> Atom {
        if v.levels.is_empty() {
            return v.atom;
        }
        let operands: Atoms = std::iter::once(v.atom).chain(v.levels.iter().map(|l| self.index(l))).collect();
        d.b.prim1(Prim::Index(None), &operands)
    }

    /// The same for a scalar, which may be a level's own index.
    fn scalar(&self, d: &mut Distributor, v: &Value) -> Atom {
        match v.index_of {
            Some(level) => self.index(level),
            None => self.element(d, v),
        }
    }
}

/// `map l0 < n0 { map l1 < n1 { … f(lanes) } }`
fn nest(d: &mut Distributor, levels: &Levels, f: &mut dyn FnMut(&mut Distributor, &Lanes) -> Atom) -> Atom {
    fn go(d: &mut Distributor, lanes: &mut Lanes, f: &mut dyn FnMut(&mut Distributor, &Lanes) -> Atom) -> Atom {
        let Some(level) = lanes.levels.iter().nth(lanes.indices.len()) else { return f(d, lanes) };
        let index = d.b.fresh(Type::scalar(DType::I32));
        lanes.indices.push(index.into());
        d.b.begin();
        let result = go(d, lanes, f);
        let body = d.b.end(vec![result]);
        d.b.form(Form::Map(Map { n: d.sizes[level as usize], index, accs: Vec::new(), body }))[0]
    }
    go(d, &mut Lanes { levels: levels.clone(), indices: Vec::new() }, f)
}

/// The same with an accumulator through all lanes.
fn nest_into(
    d: &mut Distributor,
    levels: &Levels,
    start: Atom,
    f: &mut dyn FnMut(&mut Distributor, &Lanes, Atom) -> Atom,
) -> Atom {
    type F<'f> = &'f mut dyn FnMut(&mut Distributor, &Lanes, Atom) -> Atom;
    fn go(d: &mut Distributor, lanes: &mut Lanes, acc: Atom, f: F) -> Atom {
        let Some(level) = lanes.levels.iter().nth(lanes.indices.len()) else { return f(d, lanes, acc) };
        let index = d.b.fresh(Type::scalar(DType::I32));
        let var = d.b.fresh(d.b.ty(acc));
        lanes.indices.push(index.into());
        d.b.begin();
        let result = go(d, lanes, var.into(), f);
        let body = d.b.end(vec![result]);
        let accs = vec![Carry { var, init: acc }];
        d.b.form(Form::Map(Map { n: d.sizes[level as usize], index, accs, body }))[0]
    }
    go(d, &mut Lanes { levels: levels.clone(), indices: Vec::new() }, start, f)
}
