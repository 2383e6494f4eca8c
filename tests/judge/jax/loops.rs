//! Gathers, scatters, windows and convolutions against loops over single elements, written from XLA's definitions.

use whorl_core::ir::{ArrayData, Atom, DType, Function, Lit, Program, Type, Var};
use whorl_core::prim::Monoid;
use whorl_core::{Builder, interp, verify};

use super::convolution::{Convolution, conv_general_dilated};
use super::gather::{GatherDimensions, Mode, gather};
use super::scatter::{Combine, ScatterDimensions, scatter};
use super::windows::{Window, reduce_window, select_and_gather_add, select_and_scatter_add};

/// Runs what is written with the builder on these arguments.
fn run(args: &[ArrayData], f: impl FnOnce(&mut Builder, &[Atom]) -> Atom) -> ArrayData {
    let mut b = Builder::default();
    let params: Vec<Var> = args.iter().map(|a| b.fresh(a.ty.clone())).collect();
    let atoms: Vec<Atom> = params.iter().map(|v| Atom::Var(*v)).collect();
    b.begin();
    let result = f(&mut b, &atoms);
    let body = b.end(vec![result]);
    let program = Program { vars: b.vars, main: Function { params, body } };
    verify::verify(&program).unwrap_or_else(|e| panic!("{e}"));
    interp::run(&program, args).unwrap_or_else(|e| panic!("{e}")).results.remove(0)
}

/// An array of sizes, and its elements by indices.
#[derive(Clone, PartialEq, Debug)]
struct Loops {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Loops {
    fn filled(shape: &[usize], mut f: impl FnMut(&[usize]) -> f32) -> Loops {
        Loops { values: indices(shape).iter().map(|i| f(i)).collect(), shape: shape.to_vec() }
    }

    fn at(&mut self, index: &[usize]) -> &mut f32 {
        let place = index.iter().zip(&self.shape).fold(0, |p, (i, n)| p * n + i);
        &mut self.values[place]
    }

    fn data(&self) -> ArrayData {
        ArrayData::new(&self.shape, &self.values)
    }

    fn whole(&self) -> ArrayData {
        ArrayData::new(&self.shape, &self.values.iter().map(|x| *x as i32).collect::<Vec<_>>())
    }
}

fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![Vec::new()], |all, &n| {
        all.iter().flat_map(|i| (0..n).map(|k| [&i[..], &[k]].concat())).collect()
    })
}

/// Numbers that repeat nowhere near.
fn noise(seed: usize) -> impl FnMut(&[usize]) -> f32 {
    let mut state = seed as u32 * 2 + 1;
    move |_| {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 16) as f32 / 8192.0 - 4.0
    }
}

/// The index into the operand of each element of windows, and into the result or the updates; `None` outside.
fn reached(
    operand: &[usize],
    indices_of: &mut Loops,
    window_dims: &[usize],
    dropped: &[usize],
    starts: &[usize],
    along: &[(usize, usize)],
    sizes: &[usize],
    rank: usize,
    clip: bool,
    at: &[usize],
) -> Option<Vec<usize>> {
    let lane: Vec<usize> = (0..rank).filter(|k| !window_dims.contains(k)).map(|k| at[k]).collect();
    let mut place = vec![0i64; operand.len()];
    for (component, &axis) in starts.iter().enumerate() {
        let last = operand[axis] as i64 - sizes[axis] as i64;
        let start = *indices_of.at(&[&lane[..], &[component]].concat()) as i64;
        if !clip && !(0..=last).contains(&start) {
            return None;
        }
        place[axis] = start.clamp(0, last);
    }
    for &(axis, of) in along {
        place[axis] = lane[of] as i64;
    }
    let own = (0..operand.len()).filter(|k| !dropped.contains(k) && along.iter().all(|a| a.0 != *k));
    for (axis, &of) in own.zip(window_dims) {
        place[axis] += at[of] as i64;
    }
    Some(place.iter().map(|p| *p as usize).collect())
}

#[test]
fn gathers_and_scatters() {
    // Operand, indices, result or updates, window axes in it, dropped axes, starts, axes along, sizes.
    type Case = (&'static [usize], &'static [usize], &'static [usize], &'static [usize], &'static [usize], &'static [usize], &'static [(usize, usize)], &'static [usize]);
    let cases: [Case; 9] = [
        (&[5], &[3, 1], &[3], &[], &[0], &[0], &[], &[1]),
        (&[5], &[1], &[], &[], &[0], &[0], &[], &[1]),
        (&[10], &[3, 1], &[3, 2], &[1], &[], &[0], &[], &[2]),
        (&[4, 6], &[2, 2], &[2, 3], &[1], &[0], &[0, 1], &[], &[1, 3]),
        (&[4, 6], &[2, 2], &[3, 2], &[0], &[1], &[1, 0], &[], &[3, 1]),
        (&[2, 3, 7], &[3, 2, 1], &[3, 2, 3], &[2], &[], &[2], &[(0, 1), (1, 0)], &[1, 1, 3]),
        (&[3, 4, 5], &[2, 3, 1], &[3, 2, 3, 5], &[0, 3], &[1], &[1], &[], &[3, 1, 5]),
        (&[3, 4, 5], &[2, 2], &[2, 2, 2, 2], &[1, 2, 3], &[], &[2, 1], &[], &[2, 2, 2]),
        (&[3, 4], &[0, 1], &[0, 4], &[1], &[0], &[0], &[], &[1, 4]),
    ];
    for (k, (shape, of, given, window, dropped, starts, along, sizes)) in cases.into_iter().enumerate() {
        for mode in [Mode::Clip, Mode::FillOrDrop] {
            let mut operand = Loops::filled(shape, noise(k));
            let mut far = noise(k + 20);
            // Some are out of range on either side, many meet.
            let mut index = Loops::filled(of, |i| far(i).trunc() + 1.0);
            let mut place = |at: &[usize]| {
                let clip = mode == Mode::Clip;
                reached(shape, &mut index, window, dropped, starts, along, sizes, given.len(), clip, at)
            };
            let (along_operand, along_indices) = (along.iter().map(|a| a.0).collect::<Vec<_>>(), along.iter().map(|a| a.1).collect::<Vec<_>>());
            let expected = Loops::filled(given, |at| place(at).map_or(7.5, |p| *operand.at(&p)));
            let dims = GatherDimensions {
                offset_dims: window.to_vec(),
                collapsed_slice_dims: dropped.to_vec(),
                start_index_map: starts.to_vec(),
                operand_batching_dims: along_operand.clone(),
                start_indices_batching_dims: along_indices.clone(),
            };
            let mut updates = Loops::filled(given, noise(k + 40));
            let mut after = operand.clone();
            let mut sums = operand.clone();
            let mut largest = operand.clone();
            // In XLA's order: lanes, then what is in a window; that differs only where places differ.
            for at in indices(given) {
                if let Some(p) = place(&at) {
                    *sums.at(&p) += *updates.at(&at);
                    *largest.at(&p) = largest.at(&p).max(*updates.at(&at));
                }
            }
            let mut order: Vec<Vec<usize>> = indices(given);
            order.sort_by_key(|at| (0..at.len()).filter(|k| !window.contains(k)).map(|k| at[k]).collect::<Vec<_>>());
            for at in order {
                if let Some(p) = place(&at) {
                    *after.at(&p) = *updates.at(&at);
                }
            }
            let args = [operand.data(), index.whole(), updates.data()];
            let got = run(&args[..2], |b, x| gather(b, x[0], x[1], &dims, sizes, mode, Lit::f32(7.5)));
            assert_eq!(got, expected.data(), "gather {k} {mode:?}");
            let dims = ScatterDimensions {
                update_window_dims: window.to_vec(),
                inserted_window_dims: dropped.to_vec(),
                scatter_dims_to_operand_dims: starts.to_vec(),
                operand_batching_dims: along_operand,
                scatter_indices_batching_dims: along_indices,
            };
            for (combine, expected) in [(Combine::Set, &after), (Combine::Max, &largest), (Combine::Add, &sums)] {
                let got = run(&args, |b, x| scatter(b, x[0], x[1], x[2], &dims, mode, combine));
                let near = got.values::<f32>().iter().zip(&expected.values).all(|(x, y)| (x - y).abs() < 1e-5);
                assert!(near && got.ty.shape[..] == expected.shape, "scatter {combine:?} {k} {mode:?}: {got:?} {expected:?}");
            }
        }
    }
}

fn windows() -> Vec<(Vec<usize>, Window)> {
    let window = |d: &[usize], s: &[usize], p: &[(i64, i64)], base: &[usize], far: &[usize]| Window {
        dimensions: d.to_vec(),
        strides: s.to_vec(),
        padding: p.to_vec(),
        base_dilation: base.to_vec(),
        window_dilation: far.to_vec(),
    };
    vec![
        (vec![7], window(&[3], &[2], &[(1, 1)], &[1], &[1])),
        (vec![4, 6], window(&[2, 3], &[1, 2], &[(0, 1), (2, 0)], &[1, 1], &[1, 1])),
        (vec![4, 5], window(&[2, 2], &[1, 1], &[(0, 0), (1, -2)], &[2, 3], &[1, 2])),
        (vec![5, 4], window(&[2, 1], &[3, 1], &[(-1, 2), (0, 0)], &[1, 1], &[2, 1])),
        (vec![2, 3, 3], window(&[1, 2, 2], &[1, 1, 2], &[(0, 0), (1, 0), (0, 1)], &[1, 1, 1], &[1, 1, 1])),
        (vec![2], window(&[3], &[1], &[(0, 0)], &[1], &[1])),
    ]
}

/// The indices of the elements of a window, `None` in the padding.
fn elements(shape: &[usize], w: &Window, at: &[usize]) -> Vec<Option<Vec<usize>>> {
    let element = |i: &Vec<usize>| {
        let one = |k: usize| {
            let place = (at[k] * w.strides[k] + i[k] * w.window_dilation[k]) as i64 - w.padding[k].0;
            let by = w.base_dilation[k] as i64;
            (place >= 0 && place % by == 0 && place / by < shape[k] as i64).then_some((place / by) as usize)
        };
        (0..shape.len()).map(one).collect()
    };
    indices(&w.dimensions).iter().map(element).collect()
}

#[test]
fn reductions_over_windows() {
    for (k, (shape, w)) in windows().into_iter().enumerate() {
        let mut x = Loops::filled(&shape, noise(k));
        let count = w.count(&shape);
        let ops: [(Monoid, f32, fn(f32, f32) -> f32); 4] = [
            (Monoid::Sum, 0.5, |a, x| a + x),
            (Monoid::Max, f32::NEG_INFINITY, f32::max),
            (Monoid::Min, 1.0, f32::min),
            (Monoid::Prod, 2.0, |a, x| a * x),
        ];
        for (op, init, f) in ops {
            let expected = Loops::filled(&count, |at| {
                let all = elements(&shape, &w, at);
                all.iter().fold(init, |a, e| f(a, e.as_ref().map_or(init, |e| *x.at(e))))
            });
            let got = run(&[x.data()], |b, a| reduce_window(b, a[0], Lit::f32(init).into(), &w, op));
            let near = got.values::<f32>().iter().zip(&expected.values).all(|(x, y)| x == y || (x - y).abs() < 1e-3);
            assert!(near && got.ty.shape[..] == count, "{op:?} {k}: {got:?} {expected:?}");
        }
        for greatest in [true, false] {
            let mut other = Loops::filled(&shape, noise(k + 9));
            let mut source = Loops::filled(&count, noise(k + 8));
            let mut sums = Loops::filled(&shape, |_| 0.0);
            let mut tangents = Loops::filled(&count, |_| 0.0);
            for at in indices(&count) {
                let better = |a: f32, b: f32| if greatest { a > b } else { a < b };
                let mut best: Option<Vec<usize>> = None;
                for e in elements(&shape, &w, &at).into_iter().flatten() {
                    if best.as_ref().is_none_or(|p| better(*x.at(&e), *x.at(p))) {
                        best = Some(e);
                    }
                }
                if let Some(e) = best {
                    *sums.at(&e) += *source.at(&at);
                    *tangents.at(&at) = *other.at(&e);
                }
            }
            let args = [other.data(), x.data()];
            let got = run(&args, |b, a| select_and_gather_add(b, a[0], a[1], greatest, &w));
            assert_eq!(got, tangents.data(), "select_and_gather_add {k}");
            let args = [source.data(), x.data()];
            let got = run(&args, |b, a| select_and_scatter_add(b, a[0], a[1], greatest, &w));
            let near = got.values::<f32>().iter().zip(&sums.values).all(|(x, y)| (x - y).abs() < 1e-5);
            assert!(near, "select_and_scatter_add {k}: {got:?} {sums:?}");
        }
    }
}

#[test]
fn convolutions() {
    // Sizes as [batch, features, space…] and [out, in, space…], groups, and the axes of each in turn.
    for (k, (batch, features, out, by_feature, by_batch)) in
        [(2, 3, 4, 1, 1), (2, 4, 6, 2, 1), (4, 3, 6, 1, 2), (1, 3, 3, 3, 1)].into_iter().enumerate()
    {
        for (j, (space, w)) in windows().into_iter().enumerate() {
            let n = space.len();
            let rotated = |by: usize| -> Vec<usize> { (0..n + 2).map(|a| (a + by) % (n + 2)).collect() };
            let c = Convolution {
                window_strides: w.strides.clone(),
                padding: w.padding.clone(),
                lhs_dilation: w.base_dilation.clone(),
                rhs_dilation: w.window_dilation.clone(),
                lhs_spec: rotated(k),
                rhs_spec: rotated(j),
                out_spec: rotated(k + j),
                feature_group_count: by_feature,
                batch_group_count: by_batch,
                preferred: None,
            };
            let sizes = |spec: &[usize], own: &[usize]| {
                let mut s = vec![0; own.len()];
                spec.iter().zip(own).for_each(|(&axis, n)| s[axis] = *n);
                s
            };
            let place = |spec: &[usize], own: &[usize]| sizes(spec, own);
            let inner = features / by_feature;
            let mut lhs = Loops::filled(&sizes(&c.lhs_spec, &[&[batch, features], &space[..]].concat()), noise(k + j));
            let mut rhs = Loops::filled(&sizes(&c.rhs_spec, &[&[out, inner], &w.dimensions[..]].concat()), noise(j));
            let count = w.count(&space);
            let mut expected =
                Loops::filled(&sizes(&c.out_spec, &[&[batch / by_batch, out], &count[..]].concat()), |_| 0.0);
            for at in indices(&[&[batch / by_batch, out], &count[..]].concat()) {
                let mut sum = 0.0;
                let kernel = indices(&w.dimensions);
                for (e, i) in elements(&space, &w, &at[2..]).iter().zip(&kernel) {
                    let Some(e) = e else { continue };
                    let row = at[0] + at[1] / (out / by_batch) * (batch / by_batch);
                    for f in 0..inner {
                        let feature = f + at[1] / (out / by_feature) * inner;
                        let x = *lhs.at(&place(&c.lhs_spec, &[&[row, feature], &e[..]].concat()));
                        sum += x * *rhs.at(&place(&c.rhs_spec, &[&[at[1], f], &i[..]].concat()));
                    }
                }
                *expected.at(&place(&c.out_spec, &at)) = sum;
            }
            let got = run(&[lhs.data(), rhs.data()], |b, x| conv_general_dilated(b, x[0], x[1], &c));
            let near = got.values::<f32>().iter().zip(&expected.values).all(|(x, y)| (x - y).abs() < 1e-3);
            assert!(near && got.ty == Type::new(DType::F32, &expected.shape), "{k} {j}: {got:?} {expected:?}");
        }
    }
}
