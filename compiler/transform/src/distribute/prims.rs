//! Primitives over levels: the same primitive on arrays with the levels' axes in front.

use smallvec::SmallVec;
use whorl_core::ir::*;
use whorl_core::prim::{Binary, Dot, Monoid, Prim, Reduce};

use super::access;
use super::levels::Levels;
use super::{Distributor, Value};

/// `ranks` are those of the operands in the source, without levels.
pub(crate) fn prim(d: &mut Distributor, prim: &Prim, args: &[Value], ranks: &[usize]) -> SmallVec<[Value; 2]> {
    let one = |v: Value| SmallVec::from_iter([v]);
    let levels = args.iter().fold(Levels::default(), |l, a| l.union(&a.levels));
    let accumulator = args.iter().any(|a| !a.sums.is_empty());
    match prim {
        Prim::Binary(Binary::Add) if accumulator => {
            let (acc, v) = if args[0].sums.is_empty() { (&args[1], &args[0]) } else { (&args[0], &args[1]) };
            one(access::accumulate(d, acc, v))
        }
        Prim::Index(window) => one(access::index(d, *window, args)),
        Prim::IndexAdd(window) => one(access::write(d, *window, true, args)),
        Prim::IndexSet(window) => one(access::write(d, *window, false, args)),
        Prim::Dot(dot) if !levels.is_empty() => one(product(d, dot, &args[0], &args[1], ranks)),
        _ if levels.is_empty() => {
            let atoms: Vec<Atom> = args.iter().map(|a| a.atom).collect();
            let outs = d.b.prim(prim.clone(), &atoms);
            if let (Prim::Dot(dot), Atom::Var(v)) = (prim, outs[0]) {
                d.dots.insert(v, (dot.clone(), atoms[0], atoms[1]));
            }
            outs.into_iter().map(Value::uniform).collect()
        }
        _ if prim.is_elementwise() => {
            let atoms = elementwise_operands(d, &levels, args, ranks);
            d.b.prim(prim.clone(), &atoms).into_iter().map(|a| Value::over(a, levels.clone())).collect()
        }
        Prim::Pad { .. } if !args[1].levels.is_empty() => one(pad_with_varying(d, prim, &levels, args)),
        Prim::Pad { .. } => {
            let atoms = [args[0].atom, args[1].atom];
            let lifted = lift(prim, &d.dims(&levels));
            one(Value::over(d.b.prim1(lifted, &atoms), levels))
        }
        _ => {
            let atoms: Vec<Atom> = args.iter().map(|a| d.spread(a, &levels)).collect();
            let lifted = lift(prim, &d.dims(&levels));
            d.b.prim(lifted, &atoms).into_iter().map(|a| Value::over(a, levels.clone())).collect()
        }
    }
}

/// Operands of one shape, or scalars.
fn elementwise_operands(d: &mut Distributor, levels: &Levels, args: &[Value], ranks: &[usize]) -> Vec<Atom> {
    let full = ranks.iter().max().copied().unwrap_or(0);
    let own: Shape = match ranks.iter().position(|&r| r == full) {
        Some(k) => d.b.ty(args[k].atom).shape[args[k].levels.len()..].into(),
        None => Shape::new(),
    };
    let spread = |d: &mut Distributor, a: &Value, rank: usize| {
        if a.levels.is_empty() && rank == 0 {
            return a.atom;
        }
        if rank == full {
            return d.spread(a, levels);
        }
        // A scalar of each lane beside arrays.
        let mut shape = d.dims(levels);
        shape.extend_from_slice(&own);
        let axes = a.levels.iter().map(|l| levels.place(l)).collect();
        d.b.prim1(Prim::Broadcast { shape, axes }, &[a.atom])
    };
    args.iter().zip(ranks).map(|(a, &r)| spread(d, a, r)).collect()
}

/// The primitive for operands with axes of sizes `dims` in front.
fn lift(prim: &Prim, dims: &[usize]) -> Prim {
    let u = dims.len();
    let front = |sizes: &Shape| -> Shape { dims.iter().chain(sizes).copied().collect() };
    let fill =
        |with: usize, sizes: &Shape| -> Shape { std::iter::repeat_n(with, u).chain(sizes.iter().copied()).collect() };
    let shift = |axes: &[usize]| axes.iter().map(|a| a + u).collect::<SmallVec<[usize; 4]>>();
    let all = |axes: &[usize]| (0..u).chain(axes.iter().map(|a| a + u)).collect::<SmallVec<[usize; 4]>>();
    match prim {
        Prim::Broadcast { shape, axes } => Prim::Broadcast { shape: front(shape), axes: all(axes) },
        Prim::Reshape(shape) => Prim::Reshape(front(shape)),
        Prim::Transpose(perm) => Prim::Transpose(all(perm)),
        Prim::Slice { starts, shape, strides } => {
            Prim::Slice { starts: fill(0, starts), shape: front(shape), strides: fill(1, strides) }
        }
        Prim::Pad { low, high, interior } => {
            Prim::Pad { low: fill(0, low), high: fill(0, high), interior: fill(0, interior) }
        }
        Prim::Reverse(axes) => Prim::Reverse(shift(axes)),
        Prim::Concat(axis) => Prim::Concat(axis + u),
        Prim::Reduce(Reduce { op, axes }) => Prim::Reduce(Reduce { op: *op, axes: shift(axes) }),
        Prim::ArgMax(axis) => Prim::ArgMax(axis + u),
        Prim::ArgMin(axis) => Prim::ArgMin(axis + u),
        Prim::Cumulative { op, axis, reverse } => Prim::Cumulative { op: *op, axis: axis + u, reverse: *reverse },
        Prim::Sort { axis, keys } => Prim::Sort { axis: axis + u, keys: *keys },
        Prim::Unary(_)
        | Prim::Binary(_)
        | Prim::Compare(_)
        | Prim::Select
        | Prim::MulAdd
        | Prim::Convert(_)
        | Prim::Bitcast(_)
        | Prim::StopGradient
        | Prim::Custom(_)
        | Prim::Threefry
        | Prim::Iota(_)
        | Prim::Index(_)
        | Prim::IndexSet(_)
        | Prim::IndexAdd(_)
        | Prim::Dot(_) => unreachable!("{prim:?} has a rule of its own"),
    }
}

/// Padding whose fill differs from lane to lane: pad with anything, then put each lane's fill where the padding is.
fn pad_with_varying(d: &mut Distributor, prim: &Prim, levels: &Levels, args: &[Value]) -> Value {
    let x = d.spread(&args[0], levels);
    let lifted = lift(prim, &d.dims(levels));
    let ty = d.b.ty(x);
    let padded = d.b.prim1(lifted.clone(), &[x, Lit::zero(ty.dtype).into()]);
    let inside = d.b.broadcast(Lit::bool(true).into(), &ty.shape);
    let inside = d.b.prim1(lifted, &[inside, Lit::bool(false).into()]);
    let mut shape = d.dims(levels);
    shape.extend_from_slice(&d.b.ty(padded).shape[levels.len()..]);
    let axes = args[1].levels.iter().map(|l| levels.place(l)).collect();
    let fill = d.b.prim1(Prim::Broadcast { shape, axes }, &[args[1].atom]);
    Value::over(d.b.prim1(Prim::Select, &[inside, padded, fill]), levels.clone())
}

/// A product: levels of both operands are batch axes, levels of one are free axes of it.
fn product(d: &mut Distributor, dot: &Dot, lhs: &Value, rhs: &Value, ranks: &[usize]) -> Value {
    let both = lhs.levels.common(&rhs.levels);
    let lifted = |own: &[usize], v: &Value| -> SmallVec<[usize; 2]> {
        let batch = both.iter().map(|l| v.levels.place(l));
        batch.chain(own.iter().map(|a| a + v.levels.len())).collect()
    };
    let shifted = |own: &[usize], v: &Value| own.iter().map(|a| a + v.levels.len()).collect::<SmallVec<[usize; 2]>>();
    let full = Dot {
        lhs_batch: lifted(&dot.lhs_batch, lhs),
        rhs_batch: lifted(&dot.rhs_batch, rhs),
        lhs_contract: shifted(&dot.lhs_contract, lhs),
        rhs_contract: shifted(&dot.rhs_contract, rhs),
    };
    // Axes of the result, in the order the product gives them: levels and then the source's axes by number.
    let own_batch = dot.lhs_batch.len();
    let lhs_free = ranks[0] - own_batch - dot.lhs_contract.len();
    let rhs_free = ranks[1] - own_batch - dot.rhs_contract.len();
    #[derive(Clone, Copy, PartialEq)]
    enum Axis {
        Level(u32),
        Own(usize),
    }
    let axes = |levels: Levels, own: std::ops::Range<usize>| -> Vec<Axis> {
        levels.iter().map(Axis::Level).chain(own.map(Axis::Own)).collect()
    };
    let (free, end) = (own_batch + lhs_free, own_batch + lhs_free + rhs_free);
    let batch = axes(both.clone(), 0..own_batch);
    let left = axes(lhs.levels.without(&both), own_batch..free);
    let right = axes(rhs.levels.without(&both), free..end);
    let levels = lhs.levels.union(&rhs.levels);
    let wanted = axes(levels.clone(), 0..end);
    let straight = [&batch[..], &left, &right].concat();
    let swapped = [&batch[..], &right, &left].concat();
    // The operands may change places: a product of two numbers does not depend on their order.
    let swap = straight != wanted && swapped == wanted;
    let (given, full, atoms) = if swap {
        let Dot { lhs_batch, rhs_batch, lhs_contract, rhs_contract } = full;
        let dot =
            Dot { lhs_batch: rhs_batch, rhs_batch: lhs_batch, lhs_contract: rhs_contract, rhs_contract: lhs_contract };
        (swapped, dot, [rhs.atom, lhs.atom])
    } else {
        (straight, full, [lhs.atom, rhs.atom])
    };
    let out = d.b.prim1(Prim::Dot(full.clone()), &atoms);
    if given == wanted {
        if let Atom::Var(v) = out {
            d.dots.insert(v, (full, atoms[0], atoms[1]));
        }
        return Value::over(out, levels);
    }
    let place = |axis: &Axis| given.iter().position(|g| g == axis).expect("both list the same axes");
    let perm = wanted.iter().map(place).collect();
    Value::over(d.b.prim1(Prim::Transpose(perm), &[out]), levels)
}

impl Distributor<'_> {
    /// The value summed over some of its levels. A product that has the level as a batch axis contracts it instead.
    pub(crate) fn sum_levels(&mut self, v: &Value, over: &Levels) -> Value {
        let over = v.levels.common(over);
        if over.is_empty() {
            return v.clone();
        }
        let rest = v.levels.without(&over);
        let axes: SmallVec<[usize; 4]> = over.iter().map(|l| v.levels.place(l)).collect();
        let dot = v.atom.var().and_then(|v| self.dots.get(&v).cloned());
        if let Some((mut dot, lhs, rhs)) = dot
            && axes.iter().all(|&a| a < dot.lhs_batch.len())
        {
            for &a in axes.iter().rev() {
                dot.lhs_contract.insert(0, dot.lhs_batch.remove(a));
                dot.rhs_contract.insert(0, dot.rhs_batch.remove(a));
            }
            let out = self.b.prim1(Prim::Dot(dot.clone()), &[lhs, rhs]);
            if let Atom::Var(v) = out {
                self.dots.insert(v, (dot, lhs, rhs));
            }
            return Value::over(out, rest);
        }
        Value::over(self.b.prim1(Prim::Reduce(Reduce { op: Monoid::Sum, axes }), &[v.atom]), rest)
    }
}
