//! Programs by hand: one for each thing that lowering and the passes know.

use whorl_core::builder::Builder;
use whorl_core::check::{Check, CheckKind};
use whorl_core::ir::*;
use whorl_core::prim::*;

use super::*;

fn assertion(b: &mut Builder, text: &str, condition: Atom) {
    let check = std::sync::Arc::new(Check::new(CheckKind::Assert(None), text));
    b.effect(Effect::Check { check, values: Atoms::from_iter([condition]), mask: Lit::bool(true).into() });
}

fn f32s(shape: &[usize]) -> Type {
    Type::new(DType::F32, shape)
}

fn i32s(shape: &[usize]) -> Type {
    Type::new(DType::I32, shape)
}

fn unary(b: &mut Builder, op: Unary, x: Atom) -> Atom {
    b.unary(op, x)
}

#[test]
fn elementwise_chains() {
    let s = check(&[f32s(&[4, 6]), f32s(&[4, 6]), f32s(&[])], |b, x| {
        let sum = b.add(x[0], x[1]);
        let scaled = b.mul(sum, x[2]);
        let positive = b.prim1(Prim::Compare(Compare::Gt), &[scaled, Lit::f32(0.0).into()]);
        let y = b.prim1(Prim::Select, &[positive, scaled, x[0]]);
        let z = b.prim1(Prim::MulAdd, &[y, y, x[2]]);
        let n = b.prim1(Prim::Convert(DType::I32), &[z]);
        let bits = b.prim1(Prim::Bitcast(DType::U32), &[z]);
        vec![z, n, bits, positive]
    });
    assert_eq!(s.phases[0].body().len(), 1, "{}", print(&s, &|_| String::new()));
}

#[test]
fn random_words() {
    check(&[Type::scalar(DType::U32), Type::new(DType::U32, &[5])], |b, x| {
        let words = b.prim(Prim::Threefry, &[x[0], Lit::u32(7).into(), x[1], Lit::u32(1).into()]);
        let both = b.binary(Binary::Xor, words[0], words[1]);
        vec![words[0], both]
    });
}

#[test]
fn rearrangements_are_views() {
    check(&[f32s(&[3, 4])], |b, x| {
        let t = b.prim1(Prim::Transpose([1, 0].as_slice().into()), &[x[0]]);
        let flat = b.prim1(Prim::Reshape(Shape::from_slice(&[12])), &[t]);
        let split = b.prim1(Prim::Reshape(Shape::from_slice(&[2, 2, 3])), &[t]);
        let back = b.prim1(Prim::Reverse([0, 1].as_slice().into()), &[t]);
        let (starts, shape, strides) = ([1, 0], [2, 2], [2, 1]);
        let slice = Prim::Slice { starts: starts[..].into(), shape: shape[..].into(), strides: strides[..].into() };
        let slice = b.prim1(slice, &[back]);
        let wide = b.prim1(Prim::Broadcast { shape: [2, 5, 2][..].into(), axes: [0, 2][..].into() }, &[slice]);
        let wide = unary(b, Unary::Neg, wide);
        vec![flat, split, back, slice, wide, t]
    });
}

#[test]
fn pads_and_joins() {
    check(&[f32s(&[2, 3]), f32s(&[2, 2]), f32s(&[])], |b, x| {
        let pad = Prim::Pad { low: [1, 0][..].into(), high: [0, 2][..].into(), interior: [1, 2][..].into() };
        let padded = b.prim1(pad, &[x[0], x[2]]);
        let y = unary(b, Unary::Neg, x[1]);
        let joined = b.prim1(Prim::Concat(1), &[x[0], y, x[1]]);
        let sum = b.reduce(Monoid::Sum, &[1], x[0]);
        let row = b.prim1(Prim::Reshape([1, 2][..].into()), &[sum]);
        let stacked = b.prim1(Prim::Concat(0), &[row, x[1], row]);
        let double = b.add(joined, joined);
        vec![padded, joined, stacked, double]
    });
}

#[test]
fn ranges_and_constants() {
    let data = std::sync::Arc::new(ArrayData::vector(&[3i32, 1, 2]));
    let same = std::sync::Arc::new(ArrayData::vector(&[2i32, 2, 2]));
    check(&[i32s(&[3])], |b, x| {
        let (c, s) = (b.constant(data), b.constant(same));
        let iota = b.prim1(Prim::Iota(3), &[]);
        let back = b.prim1(Prim::Reverse([0][..].into()), &[iota]);
        let sum = b.add(c, iota);
        let sum = b.mul(sum, s);
        let table = b.prim1(Prim::Broadcast { shape: [3, 3][..].into(), axes: [1][..].into() }, &[back]);
        let hot = b.prim1(Prim::Broadcast { shape: [3, 3][..].into(), axes: [0][..].into() }, &[x[0]]);
        let hot = b.prim1(Prim::Compare(Compare::Eq), &[hot, table]);
        let hot = b.prim1(Prim::Convert(DType::F32), &[hot]);
        vec![sum, back, table, hot, Lit::f32(1.5).into(), c, s]
    });
}

#[test]
fn reductions() {
    for shape in [[5, 7], [40, 3], [3, 40], [0, 3], [4, 0], [1, 1]] {
        check(&[f32s(&shape), Type::new(DType::Bool, &shape)], |b, x| {
            let y = unary(b, Unary::Neg, x[0]);
            let mut results = vec![y];
            for axes in [&[0usize][..], &[1], &[0, 1], &[]] {
                for op in [Monoid::Sum, Monoid::Prod, Monoid::Max, Monoid::Min] {
                    let r = b.reduce(op, axes, y);
                    results.push(b.add(r, Lit::f32(1.0).into()));
                }
                results.push(b.reduce(Monoid::All, axes, x[1]));
                results.push(b.reduce(Monoid::Any, axes, x[1]));
            }
            if shape.iter().all(|n| *n > 0) {
                results.push(b.prim1(Prim::ArgMax(1), &[y]));
                results.push(b.prim1(Prim::ArgMin(0), &[y]));
            }
            results
        });
    }
}

#[test]
fn softmax_over_few_columns() {
    check(&[f32s(&[6, 3]), i32s(&[6])], |b, x| {
        let top = b.reduce(Monoid::Max, &[1], x[0]);
        let wide = Prim::Broadcast { shape: [6, 3][..].into(), axes: [0][..].into() };
        let top = b.prim1(wide.clone(), &[top]);
        let shifted = b.binary(Binary::Sub, x[0], top);
        let e = b.mul(shifted, shifted);
        let sum = b.reduce(Monoid::Sum, &[1], e);
        let root = unary(b, Unary::Sqrt, sum);
        let root = b.prim1(wide, &[root]);
        let logits = b.binary(Binary::Sub, shifted, root);
        let chosen = b.map(6, |b, l| {
            let a = b.prim1(Prim::Index(None), &[x[1], l]);
            vec![b.prim1(Prim::Index(None), &[logits, l, a])]
        });
        let best = b.prim1(Prim::ArgMax(1), &[logits]);
        vec![chosen[0], best]
    });
}

#[test]
fn products() {
    let dot = |lb: &[usize], rb: &[usize], lc: &[usize], rc: &[usize]| {
        Prim::Dot(Dot { lhs_batch: lb.into(), rhs_batch: rb.into(), lhs_contract: lc.into(), rhs_contract: rc.into() })
    };
    for ty in [DType::F32, DType::F64, DType::I32] {
        let t = |shape: &[usize]| Type::new(ty, shape);
        check(&[t(&[3, 4]), t(&[4, 5]), t(&[2, 3, 4]), t(&[4])], |b, x| {
            let plain = b.prim1(dot(&[], &[], &[1], &[0]), &[x[0], x[1]]);
            let rows = b.prim1(dot(&[], &[], &[2], &[0]), &[x[2], x[1]]);
            let left = b.prim1(dot(&[], &[], &[0], &[2]), &[x[1], x[2]]);
            let gradient = b.prim1(dot(&[], &[], &[0, 1], &[0, 1]), &[x[2], rows]);
            let batch = b.prim1(dot(&[0], &[0], &[2], &[2]), &[x[2], x[2]]);
            let batch1 = b.prim1(dot(&[1], &[0], &[2], &[1]), &[x[2], x[0]]);
            let vector = b.prim1(dot(&[], &[], &[0], &[0]), &[x[3], x[1]]);
            let inner = b.prim1(dot(&[], &[], &[0], &[0]), &[x[3], x[3]]);
            let outer = b.prim1(dot(&[], &[], &[], &[]), &[x[3], vector]);
            let scaled = b.mul(x[1], inner);
            let deferred = b.prim1(dot(&[], &[], &[1], &[0]), &[x[0], scaled]);
            let sum = b.add(plain, deferred);
            let iota = b.prim1(Prim::Iota(4), &[]);
            let iota = b.prim1(Prim::Convert(ty), &[iota]);
            let ranged = b.prim1(dot(&[], &[], &[1], &[0]), &[x[0], iota]);
            vec![plain, rows, left, gradient, batch, batch1, vector, inner, outer, sum, ranged]
        });
    }
}

#[test]
fn cumulatives_and_sorts() {
    check(&[f32s(&[3, 5]), i32s(&[3, 5])], |b, x| {
        let y = unary(b, Unary::Neg, x[0]);
        let down = b.prim1(Prim::Cumulative { op: Monoid::Sum, axis: 0, reverse: true }, &[y]);
        let right = b.prim1(Prim::Cumulative { op: Monoid::Max, axis: 1, reverse: false }, &[x[1]]);
        let sorted = b.prim(Prim::Sort { axis: 1, keys: 1 }, &[x[1], y]);
        let both = b.prim(Prim::Sort { axis: 0, keys: 2 }, &[x[1], y, x[0]]);
        vec![down, right, sorted[0], sorted[1], both[0], both[1], both[2]]
    });
}

#[test]
fn accesses_by_uniform_positions() {
    check(&[f32s(&[4, 5]), i32s(&[3]), f32s(&[5]), f32s(&[2])], |b, x| {
        let i = b.prim1(Prim::Index(None), &[x[1], Lit::i32(1).into()]);
        let j = b.prim1(Prim::Index(None), &[x[1], i]);
        let row = b.prim1(Prim::Index(None), &[x[0], i]);
        let one = b.prim1(Prim::Index(None), &[x[0], i, j]);
        let window = b.prim1(Prim::Index(Some(2)), &[x[0], i, j]);
        let rows = b.prim1(Prim::Index(Some(2)), &[x[0], Lit::i32(9).into()]);
        let set = b.prim1(Prim::IndexSet(None), &[x[0], x[2], i]);
        let set1 = b.prim1(Prim::IndexSet(Some(2)), &[set, x[3], j, i]);
        let add = b.prim1(Prim::IndexAdd(None), &[x[0], row, j]);
        let add1 = b.prim1(Prim::IndexAdd(None), &[add, one, i, i]);
        let window1 = b.add(window, x[3]);
        vec![row, one, window1, rows, set, set1, add1]
    });
}

#[test]
fn gather_maps() {
    check(&[f32s(&[6, 4]), i32s(&[5]), i32s(&[5, 2])], |b, x| {
        let outs = b.map(5, |b, l| {
            let i = b.prim1(Prim::Index(None), &[x[1], l]);
            let v = b.prim1(Prim::Index(None), &[x[0], i]);
            let w = b.prim1(Prim::Index(None), &[x[0], l]);
            let s = b.add(v, w);
            let inner = b.map(2, |b, k| {
                let j = b.prim1(Prim::Index(None), &[x[2], l, k]);
                let e = b.prim1(Prim::Index(None), &[x[0], i, j]);
                let window = b.prim1(Prim::Index(Some(2)), &[x[0], l, j]);
                let scaled = b.mul(e, Lit::f32(2.0).into());
                vec![scaled, window, k]
            });
            let total = b.reduce(Monoid::Sum, &[0], s);
            vec![s, inner[0], inner[1], inner[2], total, l]
        });
        let after = b.add(outs[0], outs[0]);
        outs.iter().copied().chain([after]).collect()
    });
}

/// Windows that move several elements at a time, as the library's convolutions cut them, are places in the array and no gathers; what
/// leaves the array is.
#[test]
fn multiples_of_positions_are_views() {
    let cut = |by: i32, from: i32| {
        let s = check(&[f32s(&[11, 3])], |b, x| {
            let iota = b.prim1(Prim::Iota(4), &[]);
            let scaled = b.mul(Lit::i32(by).into(), iota);
            let places = b.add(scaled, Lit::i32(from).into());
            let outs = b.map(4, |b, l| {
                let i = b.prim1(Prim::Index(None), &[places, l]);
                let third = b.prim1(Prim::Index(None), &[places, Lit::i32(2).into()]);
                let window = b.prim1(Prim::Index(Some(3)), &[x[0], i]);
                let row = b.prim1(Prim::Index(None), &[x[0], third]);
                let twice = b.mul(l, Lit::i32(2).into());
                let less = b.binary(Binary::Sub, twice, l);
                vec![window, row, less, i]
            });
            let sums = map_with(b, 4, &[x[0]], |b, l, acc| {
                let i = b.prim1(Prim::Index(None), &[places, l]);
                let window = b.prim1(Prim::Index(None), &[outs[0], l]);
                vec![b.prim1(Prim::IndexAdd(Some(3)), &[acc[0], window, i])]
            });
            let wraps = b.mul(scaled, Lit::i32(i32::MAX).into());
            outs.iter().copied().chain([sums[0], places, wraps]).collect()
        });
        print(&s, &|_| String::new())
    };
    for (by, from) in [(2, 0), (2, 2), (-2, 8), (1, 3)] {
        let text = cut(by, from);
        assert!(!text.contains("gather"), "{text}");
    }
    assert!(cut(3, 0).contains("gather"));
}

/// A layer and the derivative of its weights take the same copy of what is laid out for neither.
#[test]
fn products_share_copies() {
    let s = check(&[f32s(&[5, 2, 6, 3]), f32s(&[2, 3, 4]), f32s(&[5, 6, 4])], |b, x| {
        let patches = b.prim1(Prim::Transpose([0, 2, 1, 3].into()), &[x[0]]);
        let forward = Dot { lhs_contract: [2, 3].into(), rhs_contract: [0, 1].into(), ..Dot::default() };
        let back = Dot { lhs_contract: [0, 1].into(), rhs_contract: [0, 1].into(), ..Dot::default() };
        let y = b.prim1(Prim::Dot(forward), &[patches, x[1]]);
        vec![y, b.prim1(Prim::Dot(back), &[x[2], patches])]
    });
    let text = print(&s, &|_| String::new());
    assert_eq!(text.matches("store").count(), 1, "{text}");
}

/// A map with accumulators.
fn map_with(
    b: &mut Builder,
    n: usize,
    init: &[Atom],
    f: impl FnOnce(&mut Builder, Atom, &[Atom]) -> Vec<Atom>,
) -> Vec<Atom> {
    let index = b.fresh(Type::scalar(DType::I32));
    let accs: Vec<Carry> = init.iter().map(|&init| Carry { var: b.fresh(b.ty(init)), init }).collect();
    let vars: Vec<Atom> = accs.iter().map(|c| c.var.into()).collect();
    b.begin();
    let results = f(b, index.into(), &vars);
    let body = b.end(results);
    b.form(Form::Map(Map { n, index, accs, body })).to_vec()
}

#[test]
fn scatter_maps() {
    check(&[f32s(&[6, 4]), i32s(&[5]), f32s(&[5, 4]), f32s(&[5])], |b, x| {
        let outs = map_with(b, 5, &[x[0], x[0], x[3], x[0]], |b, l, acc| {
            let i = b.prim1(Prim::Index(None), &[x[1], l]);
            let v = b.prim1(Prim::Index(None), &[x[2], l]);
            let v2 = b.mul(v, v);
            let added = b.prim1(Prim::IndexAdd(None), &[acc[0], v2, i]);
            let set = b.prim1(Prim::IndexSet(None), &[acc[1], v, i]);
            let s = b.prim1(Prim::Index(None), &[v, i]);
            let affine = b.prim1(Prim::IndexAdd(None), &[acc[2], s, l]);
            let inner = map_with(b, 3, &[acc[3]], |b, k, acc| {
                let e = b.prim1(Prim::Index(None), &[v, k]);
                vec![b.prim1(Prim::IndexAdd(None), &[acc[0], e, i, k])]
            });
            vec![added, set, affine, inner[0], s]
        });
        let twice = map_with(b, 5, &[outs[0]], |b, l, acc| {
            let i = b.prim1(Prim::Index(None), &[x[1], l]);
            let s = b.prim1(Prim::Index(None), &[x[3], l]);
            let once = b.prim1(Prim::IndexSet(None), &[acc[0], s, i, i]);
            vec![b.prim1(Prim::IndexSet(None), &[once, Lit::f32(1.0).into(), l, i])]
        });
        let windows = map_with(b, 3, &[outs[0]], |b, l, acc| {
            let v = b.prim1(Prim::Index(Some(2)), &[x[2], l, l]);
            vec![b.prim1(Prim::IndexSet(Some(2)), &[acc[0], v, l, l])]
        });
        outs.into_iter().chain(twice).chain(windows).collect()
    });
}

#[test]
fn scans() {
    for reverse in [false, true] {
        check(&[f32s(&[3]), f32s(&[4, 3]), f32s(&[])], |b, x| {
            let outs = b.scan(4, reverse, &[x[0], x[2], x[2], Lit::i32(5).into()], |b, i, c| {
                let row = b.prim1(Prim::Index(None), &[x[1], i]);
                let next = b.prim1(Prim::MulAdd, &[c[0], row, c[1]]);
                let sum = b.reduce(Monoid::Sum, &[0], next);
                let n = b.add(c[3], i);
                // The two scalars change places.
                vec![next, c[2], c[1], n, next, sum, row, i, c[2]]
            });
            let z = b.add(outs[0], outs[0]);
            outs.iter().copied().chain([z]).collect()
        });
    }
}

#[test]
fn carries_that_are_rearranged() {
    check(&[f32s(&[3, 3]), f32s(&[4])], |b, x| {
        let outs = b.scan(3, false, &[x[0], x[1], x[0]], |b, i, c| {
            let t = b.prim1(Prim::Transpose([1, 0][..].into()), &[c[0]]);
            let r = b.prim1(Prim::Reverse([0][..].into()), &[c[1]]);
            let v = b.prim1(Prim::Index(None), &[c[2], i]);
            let m = b.prim1(Prim::IndexSet(None), &[c[2], v, Lit::i32(0).into()]);
            let y = b.add(t, c[0]);
            vec![t, r, m, y, v]
        });
        outs.to_vec()
    });
}

#[test]
fn replay_buffers_stay_in_place() {
    let s = check(&[f32s(&[64, 3]), f32s(&[3])], |b, x| {
        let outs = b.scan(10, false, &[x[0], x[1], Lit::i32(0).into()], |b, i, c| {
            let v = b.add(c[1], Lit::f32(1.0).into());
            let replay = b.prim1(Prim::IndexSet(None), &[c[0], v, c[2]]);
            let at = b.add(c[2], Lit::i32(7).into());
            let old = b.prim1(Prim::Index(None), &[replay, i]);
            let v = b.add(v, old);
            vec![replay, v, at, v]
        });
        outs.to_vec()
    });
    let text = print(&s, &|_| String::new());
    let big = s.buffers.iter().filter(|b| b.shape.as_slice() == [64, 3]).count();
    assert_eq!(big, 2, "an input and a result\n{text}");
}

#[test]
fn nested_scans_and_while() {
    check(&[f32s(&[3]), f32s(&[])], |b, x| {
        let outs = b.scan(3, false, &[x[0]], |b, i, c| {
            let inner = b.scan(4, true, &[c[0]], |b, j, d| {
                let j = b.prim1(Prim::Convert(DType::F32), &[j]);
                let e = b.add(d[0], j);
                let m = b.mul(e, Lit::f32(0.5).into());
                vec![m, e]
            });
            let (v, n) = (b.fresh(f32s(&[3])), b.fresh(Type::scalar(DType::I32)));
            let carries = vec![Carry { var: v, init: inner[0] }, Carry { var: n, init: i }];
            b.begin();
            let test = b.prim1(Prim::Compare(Compare::Lt), &[n.into(), Lit::i32(2).into()]);
            let condition = b.end(vec![test]);
            b.begin();
            let next = b.add(v.into(), x[1]);
            let m = b.add(n.into(), Lit::i32(1).into());
            let body = b.end(vec![next, m]);
            let max = Some(5);
            let w = b.form(Form::While(While { carries, condition, body, max, checkpoint: Checkpoint::Carries }));
            vec![w[0], w[1], inner[1]]
        });
        outs.to_vec()
    });
}

#[test]
fn branches() {
    check(&[f32s(&[3]), i32s(&[4]), f32s(&[3])], |b, x| {
        let outs = b.scan(4, false, &[x[0], x[2]], |b, i, c| {
            let which = b.prim1(Prim::Index(None), &[x[1], i]);
            let mut arms = Vec::new();
            for k in 0..3 {
                b.begin();
                let y = match k {
                    0 => c[0],
                    1 => b.mul(c[0], c[1]),
                    _ => x[0],
                };
                let z = if k == 2 { b.reduce(Monoid::Sum, &[0], c[1]) } else { Lit::f32(2.0).into() };
                arms.push(b.end(vec![y, c[1], z]));
            }
            let r = b.form(Form::Switch(Switch { which, arms }));
            let c1 = b.add(r[1], r[2]);
            vec![r[0], c1, r[2]]
        });
        outs.to_vec()
    });
}

#[test]
fn logs_and_asserts() {
    let ty = [f32s(&[3]), Type::new(DType::Bool, &[3])];
    check(&ty, |b, x| {
        let y = b.add(x[0], Lit::f32(1.0).into());
        b.effect(Effect::Log { name: "loss".into(), value: y, mask: x[1] });
        b.effect(Effect::Log { name: "one".into(), value: Lit::i32(3).into(), mask: Lit::bool(true).into() });
        let outs = b.scan(2, false, &[y], |b, i, c| {
            b.effect(Effect::Log { name: "step".into(), value: i, mask: Lit::bool(true).into() });
            b.effect(Effect::Log { name: "loss".into(), value: c[0], mask: Lit::bool(true).into() });
            vec![b.add(c[0], c[0])]
        });
        let ok = b.prim1(Prim::Compare(Compare::Eq), &[y, y]);
        assertion(b, "equal", ok);
        outs.to_vec()
    });
    check(&ty, |b, x| {
        let bad = b.prim1(Prim::Compare(Compare::Ne), &[x[0], x[0]]);
        assertion(b, "differs", bad);
        vec![]
    });
}

#[test]
fn runs_and_train() {
    let p = program(&[f32s(&[3])], |b, x| {
        let seeds = b.add(x[0], Lit::f32(1.0).into());
        let outs = b.map(2, |b, run| {
            let r = b.prim1(Prim::Convert(DType::F32), &[run]);
            let start = b.add(seeds, r);
            let index = b.fresh(Type::scalar(DType::I32));
            let c = b.fresh(f32s(&[3]));
            b.begin();
            let next = b.mul(c.into(), Lit::f32(0.5).into());
            let loss = b.reduce(Monoid::Sum, &[0], next);
            b.effect(Effect::Log { name: "loss".into(), value: loss, mask: Lit::bool(true).into() });
            let body = b.end(vec![next, loss]);
            let carries = vec![Carry { var: c, init: start }];
            let scan =
                Scan { n: 4, reverse: false, train: true, checkpoint: Checkpoint::Carries, index, carries, body };
            let outs = b.form(Form::Scan(scan));
            let end = b.add(outs[0], start);
            vec![end, outs[1], run]
        });
        vec![outs[1], outs[0], outs[2]]
    });
    let s = check_program(&p, &arguments(&[f32s(&[3])]));
    assert_eq!(s.runs, Some(2));
    assert_eq!(s.phases.len(), 3);
    let crate::Phase::Train { state, .. } = &s.phases[1] else { panic!("the second phase is the train scan") };
    assert!(state.len() >= 3, "carry, yields and what the end reads: {state:?}");
}

#[test]
fn what_is_not_flat_is_an_error() {
    let p = program(&[f32s(&[3])], |b, x| {
        let outs = b.map(3, |b, i| {
            let v = b.prim1(Prim::Index(None), &[x[0], i]);
            let s = b.scan(2, false, &[v], |b, _, c| vec![b.add(c[0], c[0])]);
            vec![s[0]]
        });
        vec![b.add(outs[0], outs[0])]
    });
    assert!(schedule(&p).unwrap_err().message.contains("scan inside of a map"));
}

#[test]
fn products_are_added_in_place() {
    let s = check(&[f32s(&[4, 3]), f32s(&[5, 4]), f32s(&[5, 3])], |b, x| {
        let outs = b.scan(3, false, &[x[0]], |b, i, c| {
            let i = b.prim1(Prim::Convert(DType::F32), &[i]);
            let scaled = b.mul(x[1], i);
            let dot = Dot { lhs_contract: [0][..].into(), rhs_contract: [0][..].into(), ..Dot::default() };
            let g = b.prim1(Prim::Dot(dot), &[scaled, x[2]]);
            vec![b.add(c[0], g)]
        });
        outs.to_vec()
    });
    let text = print(&s, &|_| String::new());
    assert!(text.contains(" += "), "{text}");
}

#[test]
fn products_take_over_biases_and_activations() {
    let layer = |b: &mut Builder, x: Atom, w: Atom, bias: Atom, rows: &[usize]| {
        let dot = Dot { lhs_contract: [rows.len()][..].into(), rhs_contract: [0][..].into(), ..Dot::default() };
        let z = b.prim1(Prim::Dot(dot), &[x, w]);
        let shape: Shape = rows.iter().copied().chain([6]).collect();
        let wide = b.prim1(Prim::Broadcast { shape, axes: [rows.len()][..].into() }, &[bias]);
        b.add(z, wide)
    };
    for rows in [&[4][..], &[2, 3]] {
        let input: Vec<usize> = rows.iter().copied().chain([5]).collect();
        let s = check(&[f32s(&input), f32s(&[5, 6]), f32s(&[6]), f32s(&[6, 6]), f32s(&[6])], |b, x| {
            let z = layer(b, x[0], x[1], x[2], rows);
            let h = unary(b, Unary::Tanh, z);
            let z = layer(b, h, x[3], x[4], rows);
            let zero = Lit::f32(0.0).into();
            let relu = b.binary(Binary::Max, z, zero);
            let slope = b.mul(h, h);
            let last = layer(b, relu, x[3], x[4], rows);
            // What is used twice stays a loop.
            let twice = layer(b, relu, x[3], x[2], rows);
            let gated = unary(b, Unary::Tanh, twice);
            let gated = b.mul(gated, twice);
            vec![h, slope, last, gated]
        });
        let text = print(&s, &|_| String::new());
        assert!(text.contains(", tanh\n") && text.contains(", relu\n"), "{text}");
    }
}
