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

type Function2 = fn(f32, f32) -> f32;

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
    shape
        .iter()
        .fold(vec![Vec::new()], |all, &n| all.iter().flat_map(|i| (0..n).map(|k| [&i[..], &[k]].concat())).collect())
}

/// Numbers that repeat nowhere near.
fn noise(seed: usize) -> impl FnMut(&[usize]) -> f32 {
    let mut state = seed as u32 * 2 + 1;
    move |_| {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 16) as f32 / 8192.0 - 4.0
    }
}

/// Windows into an array at starts, as gathers and scatters have them.
struct Geometry {
    operand: &'static [usize],
    /// Of the starts, components last.
    starts: &'static [usize],
    /// Of what is gathered, or of the updates.
    given: &'static [usize],
    /// The axes of that which are a window's.
    window: &'static [usize],
    /// The axes of the operand that a window has none for.
    dropped: &'static [usize],
    /// The axis of each component of a start.
    map: &'static [usize],
    /// Axes of the operand and of the starts that go along.
    along: &'static [(usize, usize)],
    sizes: &'static [usize],
}

impl Geometry {
    fn lane(&self, at: &[usize]) -> Vec<usize> {
        (0..at.len()).filter(|k| !self.window.contains(k)).map(|k| at[k]).collect()
    }

    /// The index into the operand of an element of what is given; `None` where its window is outside.
    fn place(&self, starts: &mut Loops, mode: Mode, at: &[usize]) -> Option<Vec<usize>> {
        let lane = self.lane(at);
        let mut place = vec![0i64; self.operand.len()];
        for (component, &axis) in self.map.iter().enumerate() {
            let last = self.operand[axis] as i64 - self.sizes[axis] as i64;
            let start = *starts.at(&[&lane[..], &[component]].concat()) as i64;
            if mode == Mode::FillOrDrop && !(0..=last).contains(&start) {
                return None;
            }
            place[axis] = start.clamp(0, last);
        }
        for &(axis, of) in self.along {
            place[axis] = lane[of] as i64;
        }
        let has = |k: &usize| !self.dropped.contains(k) && self.along.iter().all(|a| a.0 != *k);
        for (axis, &of) in (0..self.operand.len()).filter(has).zip(self.window) {
            place[axis] += at[of] as i64;
        }
        Some(place.iter().map(|p| *p as usize).collect())
    }
}

fn geometries() -> Vec<Geometry> {
    type Row = [&'static [usize]; 7];
    let rows: [(Row, &[(usize, usize)]); 9] = [
        ([&[5], &[3, 1], &[3], &[], &[0], &[0], &[1]], &[]),
        ([&[5], &[1], &[], &[], &[0], &[0], &[1]], &[]),
        ([&[10], &[3, 1], &[3, 2], &[1], &[], &[0], &[2]], &[]),
        ([&[4, 6], &[2, 2], &[2, 3], &[1], &[0], &[0, 1], &[1, 3]], &[]),
        ([&[4, 6], &[2, 2], &[3, 2], &[0], &[1], &[1, 0], &[3, 1]], &[]),
        ([&[2, 3, 7], &[3, 2, 1], &[3, 2, 3], &[2], &[], &[2], &[1, 1, 3]], &[(0, 1), (1, 0)]),
        ([&[3, 4, 5], &[2, 3, 1], &[3, 2, 3, 5], &[0, 3], &[1], &[1], &[3, 1, 5]], &[]),
        ([&[3, 4, 5], &[2, 2], &[2, 2, 2, 2], &[1, 2, 3], &[], &[2, 1], &[2, 2, 2]], &[]),
        ([&[3, 4], &[0, 1], &[0, 4], &[1], &[0], &[0], &[1, 4]], &[]),
    ];
    let geometry = |(row, along): (Row, _)| {
        let [operand, starts, given, window, dropped, map, sizes] = row;
        Geometry { operand, starts, given, window, dropped, map, along, sizes }
    };
    rows.into_iter().map(geometry).collect()
}

/// The operand, starts of which some are out of range on either side and many meet, and updates.
fn arguments(g: &Geometry, seed: usize) -> [Loops; 3] {
    let mut far = noise(seed + 20);
    let starts = Loops::filled(g.starts, |i| far(i).trunc() + 1.0);
    [Loops::filled(g.operand, noise(seed)), starts, Loops::filled(g.given, noise(seed + 40))]
}

#[test]
fn gathers() {
    for (k, g) in geometries().into_iter().enumerate() {
        for mode in [Mode::Clip, Mode::FillOrDrop] {
            let [mut operand, mut starts, _] = arguments(&g, k);
            let expected = Loops::filled(g.given, |at| g.place(&mut starts, mode, at).map_or(7.5, |p| *operand.at(&p)));
            let dims = GatherDimensions {
                offset_dims: g.window.to_vec(),
                collapsed_slice_dims: g.dropped.to_vec(),
                start_index_map: g.map.to_vec(),
                operand_batching_dims: g.along.iter().map(|a| a.0).collect(),
                start_indices_batching_dims: g.along.iter().map(|a| a.1).collect(),
            };
            let args = [operand.data(), starts.whole()];
            let got = run(&args, |b, x| gather(b, x[0], x[1], &dims, g.sizes, mode, Lit::f32(7.5)));
            assert_eq!(got, expected.data(), "gather {k} {mode:?}");
        }
    }
}

#[test]
fn scatters() {
    let kinds: [(Combine, Function2); 6] = [
        (Combine::Set, |_, new| new),
        (Combine::Add, |old, new| old + new),
        (Combine::Sub, |old, new| old - new),
        (Combine::Mul, |old, new| old * new),
        (Combine::Min, f32::min),
        (Combine::Max, f32::max),
    ];
    for (k, g) in geometries().into_iter().enumerate() {
        for mode in [Mode::Clip, Mode::FillOrDrop] {
            let [operand, mut starts, mut updates] = arguments(&g, k);
            let dims = ScatterDimensions {
                update_window_dims: g.window.to_vec(),
                inserted_window_dims: g.dropped.to_vec(),
                scatter_dims_to_operand_dims: g.map.to_vec(),
                operand_batching_dims: g.along.iter().map(|a| a.0).collect(),
                scatter_indices_batching_dims: g.along.iter().map(|a| a.1).collect(),
            };
            // Window after window.
            let mut order = indices(g.given);
            order.sort_by_key(|at| g.lane(at));
            for (combine, f) in kinds {
                let mut expected = operand.clone();
                for at in &order {
                    if let Some(p) = g.place(&mut starts, mode, at) {
                        *expected.at(&p) = f(*expected.at(&p), *updates.at(at));
                    }
                }
                let args = [operand.data(), starts.whole(), updates.data()];
                let got = run(&args, |b, x| scatter(b, x[0], x[1], x[2], &dims, mode, combine));
                let near = got.values::<f32>().iter().zip(&expected.values).all(|(x, y)| (x - y).abs() < 1e-5);
                let same = got.ty.shape[..] == expected.shape;
                assert!(near && same, "scatter {combine:?} {k} {mode:?}: {got:?} {expected:?}");
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
        let ops: [(Monoid, f32, Function2); 4] = [
            (Monoid::Sum, 0.5, |a, x| a + x),
            (Monoid::Max, f32::NEG_INFINITY, f32::max),
            (Monoid::Min, 1.0, f32::min),
            (Monoid::Prod, 2.0, |a, x| a * x),
        ];
        for (op, init, f) in ops {
            let expected = Loops::filled(&count, |at| {
                let all = elements(&shape, &w, at);
                all.iter().flatten().fold(init, |a, e| f(a, *x.at(e)))
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
