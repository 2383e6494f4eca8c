//! Distribution keeps the meaning of programs and leaves no `Map` but gathers, scatters and runs.

use whorl_core::builder::Builder;
use whorl_core::interp;
use whorl_core::ir::*;
use whorl_core::prim::*;
use whorl_core::verify::verify;
use whorl_transform::distribute::distribute;
use whorl_transform::simplify::simplify;

/// A program of the parameters' types and the body that `f` writes.
fn program(params: &[Type], f: impl FnOnce(&mut Builder, &[Atom]) -> Vec<Atom>) -> Program {
    let mut b = Builder::default();
    let vars: Vec<Var> = params.iter().map(|t| b.fresh(t.clone())).collect();
    let atoms: Vec<Atom> = vars.iter().map(|v| (*v).into()).collect();
    b.begin();
    let results = f(&mut b, &atoms);
    let body = b.end(results);
    Program { vars: b.vars, main: Function { params: vars, body } }
}

fn f32s(shape: &[usize]) -> Type {
    Type::new(DType::F32, shape)
}

/// Some numbers of each type, all different.
fn arguments(program: &Program) -> Vec<ArrayData> {
    let data = |(k, v): (usize, &Var)| {
        let ty = program.vars.ty(*v);
        let lit = |i: usize| match ty.dtype {
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 => {
                Lit::of(ty.dtype, ((i * 7 + k * 3) % 11) as f64 * 0.25 - 1.0)
            }
            DType::I32 | DType::U32 | DType::U8 => Lit::of(ty.dtype, ((i * 5 + k) % 7) as f64),
            DType::Bool => Lit::bool((i + k).is_multiple_of(3)),
        };
        ArrayData::from_lits(ty.dtype, &ty.shape, &(0..ty.size()).map(lit).collect::<Vec<_>>())
    };
    program.main.params.iter().enumerate().map(data).collect()
}

/// Runs the program before and after simplification and distribution, compares, and gives the last form.
fn check(p: &Program) -> Program {
    verify(p).expect("a well-formed program");
    let args = arguments(p);
    let expected = interp::run(p, &args).expect("runs");
    let simple = simplify(p.clone());
    verify(&simple).expect("simplified");
    let flat = distribute(&simple);
    verify(&flat).unwrap_or_else(|e| panic!("distributed: {e:?}\n{}", whorl_core::print::print(&flat)));
    let flat = simplify(flat);
    verify(&flat).expect("simplified after distribution");
    for q in [&simple, &flat] {
        let got = interp::run(q, &args).expect("runs");
        for (g, e) in got.results.iter().zip(&expected.results) {
            assert_eq!(g.ty, e.ty);
            for (x, y) in g.to_f64().iter().zip(e.to_f64()) {
                assert!((x - y).abs() <= 1e-5 * (1.0 + y.abs()), "{x} is not {y} in\n{}", whorl_core::print::print(q));
            }
        }
        assert_eq!(got.logs.len(), expected.logs.len().min(got.logs.len()));
        let all = |o: &interp::Outcome| {
            let mut v: Vec<f64> = o.logs.iter().flat_map(|l| l.recorded()).collect();
            v.sort_by(f64::total_cmp);
            v
        };
        assert_eq!(all(&got), all(&expected));
    }
    flat
}

fn maps(body: &Body) -> usize {
    let inner = |f: &Form| matches!(f, Form::Map(_)) as usize + f.bodies().iter().map(|b| maps(b)).sum::<usize>();
    body.stmts.iter().map(|s| if let Op::Form(f) = &s.op { inner(f) } else { 0 }).sum()
}

fn index(b: &mut Builder, x: Atom, i: Atom) -> Atom {
    b.prim1(Prim::Index(None), &[x, i])
}

#[test]
fn a_layer_in_every_lane_is_one_product() {
    let p = program(&[f32s(&[8, 4]), f32s(&[4, 3]), f32s(&[3])], |b, a| {
        let (x, w, bias) = (a[0], a[1], a[2]);
        let outs = b.map(8, |b, i| {
            let row = index(b, x, i);
            let z = b.prim1(Prim::Dot(Dot::matmul(1)), &[row, w]);
            let z = b.add(z, bias);
            let h = b.unary(Unary::Tanh, z);
            let s = b.reduce(Monoid::Sum, &[0], h);
            vec![h, s]
        });
        outs.to_vec()
    });
    let flat = check(&p);
    assert_eq!(maps(&flat.main.body), 0);
}

#[test]
fn weights_in_lanes_and_products_of_both_kinds() {
    let p = program(&[f32s(&[5, 4, 3]), f32s(&[4]), f32s(&[5, 4])], |b, a| {
        let (w, x, y) = (a[0], a[1], a[2]);
        let outs = b.map(5, |b, i| {
            let wi = index(b, w, i);
            let yi = index(b, y, i);
            let p = b.prim1(Prim::Dot(Dot::matmul(1)), &[x, wi]);
            let q = b.prim1(Prim::Dot(Dot::matmul(1)), &[yi, wi]);
            let outer = b.prim1(Prim::Dot(Dot::default()), &[x, yi]);
            let back = b.prim1(
                Prim::Dot(Dot {
                    lhs_contract: [1].into_iter().collect(),
                    rhs_contract: [0].into_iter().collect(),
                    ..Dot::default()
                }),
                &[wi, q],
            );
            vec![p, q, outer, back]
        });
        outs.to_vec()
    });
    assert_eq!(maps(&check(&p).main.body), 0);
}

#[test]
fn a_gradient_of_weights_is_one_product() {
    let p = program(&[f32s(&[8, 4]), f32s(&[8, 3]), f32s(&[4, 3]), f32s(&[3])], |b, a| {
        let index_var = b.fresh(Type::scalar(DType::I32));
        let accs: Vec<Var> = [2, 3].map(|k| b.fresh(b.ty(a[k]))).to_vec();
        b.begin();
        let (x, d) = (index(b, a[0], index_var.into()), index(b, a[1], index_var.into()));
        let outer = b.prim1(Prim::Dot(Dot::default()), &[x, d]);
        let w = b.add(accs[0].into(), outer);
        let bias = b.add(accs[1].into(), d);
        let body = b.end(vec![w, bias]);
        let accs = accs.iter().zip(&a[2..]).map(|(&var, &init)| Carry { var, init }).collect();
        b.form(Form::Map(Map { n: 8, index: index_var, accs, body })).to_vec()
    });
    let flat = check(&p);
    let contracts =
        |s: &Stmt| matches!(&s.op, Op::Prim(Prim::Dot(d), _) if d.lhs_contract.len() == 1 && d.lhs_batch.is_empty());
    assert!(flat.main.body.stmts.iter().any(contracts));
}

#[test]
fn loops_in_lanes_carry_the_batch() {
    let p = program(&[f32s(&[6]), f32s(&[6, 10])], |b, a| {
        b.map(6, |b, i| {
            let start = index(b, a[0], i);
            let row = index(b, a[1], i);
            let zero = Lit::f32(0.0).into();
            let outs = b.scan(10, true, &[start, zero], |b, t, c| {
                let x = index(b, row, t);
                let s = b.mul(c[0], Lit::f32(0.5).into());
                let s = b.add(s, x);
                let count = b.add(c[1], Lit::f32(1.0).into());
                vec![s, count, s]
            });
            outs.to_vec()
        })
        .to_vec()
    });
    check(&p);
}

#[test]
fn lanes_that_loop_differently() {
    let p = program(&[f32s(&[6])], |b, a| {
        b.map(6, |b, i| {
            let x = index(b, a[0], i);
            let (v, steps) = (b.fresh(Type::scalar(DType::F32)), b.fresh(Type::scalar(DType::I32)));
            b.begin();
            let test = b.prim1(Prim::Compare(Compare::Lt), &[v.into(), Lit::f32(3.0).into()]);
            let condition = b.end(vec![test]);
            b.begin();
            let next = b.add(v.into(), Lit::f32(0.75).into());
            let count = b.add(steps.into(), Lit::i32(1).into());
            let body = b.end(vec![next, count]);
            let carries = vec![Carry { var: v, init: x }, Carry { var: steps, init: Lit::i32(0).into() }];
            b.form(Form::While(While { carries, condition, body, max: None, checkpoint: Checkpoint::Carries })).to_vec()
        })
        .to_vec()
    });
    check(&p);
}

#[test]
fn branches_in_lanes_cheap_and_costly() {
    for costly in [false, true] {
        let p = program(&[f32s(&[6]), f32s(&[6, 9])], |b, a| {
            b.map(6, |b, i| {
                let (x, row) = (index(b, a[0], i), index(b, a[1], i));
                let positive = b.prim1(Prim::Compare(Compare::Gt), &[x, Lit::f32(0.0).into()]);
                b.begin();
                let same = b.add(x, Lit::f32(1.0).into());
                b.effect(Effect::Log { name: "no".into(), value: x, mask: Lit::bool(true).into() });
                let no = b.end(vec![same, row]);
                b.begin();
                let many = if costly { b.unary(Unary::Exp, row) } else { row };
                let many = if costly { b.unary(Unary::Tanh, many) } else { many };
                b.effect(Effect::Log { name: "row".into(), value: many, mask: Lit::bool(true).into() });
                let sum = b.reduce(Monoid::Sum, &[0], many);
                let yes = b.end(vec![sum, many]);
                b.form(Form::Switch(Switch { which: positive, arms: vec![no, yes] })).to_vec()
            })
            .to_vec()
        });
        check(&p);
    }
}

#[test]
fn three_arms_chosen_by_number() {
    let p = program(&[Type::new(DType::I32, &[7]), f32s(&[7])], |b, a| {
        b.map(7, |b, i| {
            let (k, x) = (index(b, a[0], i), index(b, a[1], i));
            let k = b.binary(Binary::Sub, k, Lit::i32(2).into());
            let arms = (0..3)
                .map(|arm| {
                    b.begin();
                    let y = b.mul(x, Lit::f32(arm as f32 + 1.0).into());
                    b.end(vec![y])
                })
                .collect();
            b.form(Form::Switch(Switch { which: k, arms })).to_vec()
        })
        .to_vec()
    });
    check(&p);
}

#[test]
fn positions_that_differ_from_lane_to_lane() {
    let p = program(&[f32s(&[7, 3]), Type::new(DType::I32, &[5]), f32s(&[5, 4]), f32s(&[7, 3])], |b, a| {
        let (x, at, own, acc) = (a[0], a[1], a[2], a[3]);
        let outs = b.map(5, |b, i| {
            let k = index(b, at, i);
            let row = index(b, x, k);
            let mine = index(b, own, i);
            let one = index(b, mine, k);
            let two = index(b, mine, Lit::i32(2).into());
            let window = b.prim1(Prim::Index(Some(2)), &[mine, k]);
            let set = b.prim1(Prim::IndexSet(None), &[mine, Lit::f32(9.0).into(), k]);
            let added = b.prim1(Prim::IndexAdd(Some(2)), &[mine, window, k]);
            vec![row, one, two, window, set, added]
        });
        let index_var = b.fresh(Type::scalar(DType::I32));
        let var = b.fresh(f32s(&[7, 3]));
        b.begin();
        let k = index(b, at, index_var.into());
        let row = index(b, x, k);
        let sum = b.prim1(Prim::IndexAdd(None), &[var.into(), row, k]);
        let body = b.end(vec![sum]);
        let accs = vec![Carry { var, init: acc }];
        let scattered = b.form(Form::Map(Map { n: 5, index: index_var, accs, body }));
        outs.into_iter().chain(scattered).collect()
    });
    check(&p);
}

#[test]
fn maps_in_maps_and_accumulators_through_them() {
    let p = program(&[f32s(&[4, 5]), f32s(&[5, 4]), f32s(&[4, 5])], |b, a| {
        let (x, y) = (a[0], a[1]);
        let crossed = b.map(4, |b, i| {
            b.map(5, |b, j| {
                let (p, q) = (index(b, x, i), index(b, y, j));
                let (p, q) = (index(b, p, j), index(b, q, i));
                vec![b.mul(p, q)]
            })
            .to_vec()
        });
        let (outer, inner) = (b.fresh(Type::scalar(DType::I32)), b.fresh(Type::scalar(DType::I32)));
        let (s0, s1) = (b.fresh(Type::scalar(DType::F32)), b.fresh(Type::scalar(DType::F32)));
        let (t0, t1) = (b.fresh(f32s(&[4, 5])), b.fresh(f32s(&[4, 5])));
        b.begin();
        b.begin();
        let e = b.prim1(Prim::Index(None), &[x, outer.into(), inner.into()]);
        let s = b.add(s1.into(), e);
        let s = b.add(s, Lit::f32(0.5).into());
        let t = b.prim1(Prim::IndexAdd(None), &[t1.into(), e, outer.into(), inner.into()]);
        let body = b.end(vec![s, t]);
        let accs = vec![Carry { var: s1, init: s0.into() }, Carry { var: t1, init: t0.into() }];
        let sums = b.form(Form::Map(Map { n: 5, index: inner, accs, body }));
        let body = b.end(sums.to_vec());
        let accs = vec![Carry { var: s0, init: Lit::f32(1.0).into() }, Carry { var: t0, init: a[2] }];
        let sums = b.form(Form::Map(Map { n: 4, index: outer, accs, body }));
        crossed.into_iter().chain(sums).collect()
    });
    assert_eq!(maps(&check(&p).main.body), 0);
}

#[test]
fn runs_stay_a_map() {
    let p = program(&[f32s(&[3])], |b, a| {
        b.map(3, |b, i| {
            let x = index(b, a[0], i);
            let last = b.scan(4, false, &[x], |b, _, c| vec![b.mul(c[0], Lit::f32(0.5).into())]);
            last.to_vec()
        })
        .to_vec()
    });
    assert_eq!(maps(&check(&p).main.body), 1);
}

#[test]
fn sorting_padding_and_prefixes_in_lanes() {
    let p = program(&[f32s(&[3, 5]), f32s(&[3])], |b, a| {
        b.map(3, |b, i| {
            let (x, fill) = (index(b, a[0], i), index(b, a[1], i));
            let sorted = b.prim1(Prim::Sort { axis: 0, keys: 1 }, &[x]);
            let sums = b.prim1(Prim::Cumulative { op: Monoid::Sum, axis: 0, reverse: true }, &[x]);
            let one = |n: usize| Shape::from_slice(&[n]);
            let padded = b.prim1(Prim::Pad { low: one(1), high: one(2), interior: one(1) }, &[x, fill]);
            let best = b.prim1(Prim::ArgMax(0), &[x]);
            let both = b.prim1(Prim::Concat(0), &[sorted, sums]);
            let back = b.prim1(Prim::Reverse([0].into_iter().collect()), &[x]);
            let grid = b.broadcast(back, &[2, 5]);
            vec![sorted, sums, padded, best, both, grid]
        })
        .to_vec()
    });
    assert_eq!(maps(&check(&p).main.body), 0);
}

/// Lanes of the inner map do not differ in what they add at the outer one's place: each adds it.
#[test]
fn lanes_that_add_the_same_at_the_place_of_an_outer_lane() {
    let p = program(&[f32s(&[4])], |b, a| {
        let (outer, inner) = (b.fresh(Type::scalar(DType::I32)), b.fresh(Type::scalar(DType::I32)));
        let (t0, t1) = (b.fresh(f32s(&[4])), b.fresh(f32s(&[4])));
        b.begin();
        b.begin();
        let e = b.prim1(Prim::Index(None), &[a[0], outer.into()]);
        let t = b.prim1(Prim::IndexAdd(None), &[t1.into(), e, outer.into()]);
        let body = b.end(vec![t]);
        let accs = vec![Carry { var: t1, init: t0.into() }];
        let sums = b.form(Form::Map(Map { n: 5, index: inner, accs, body }));
        let body = b.end(sums.to_vec());
        let accs = vec![Carry { var: t0, init: a[0] }];
        b.form(Form::Map(Map { n: 4, index: outer, accs, body })).to_vec()
    });
    assert_eq!(maps(&check(&p).main.body), 0);
}

fn whiles(body: &Body) -> usize {
    let inner = |f: &Form| matches!(f, Form::While(_)) as usize + f.bodies().iter().map(|b| whiles(b)).sum::<usize>();
    body.stmts.iter().map(|s| if let Op::Form(f) = &s.op { inner(f) } else { 0 }).sum()
}

/// Lanes `[rows, columns]` (no columns: one level) where those with x above `above` take an arm of so many tanh.
fn few_of_many(rows: usize, columns: Option<usize>, above: f32, costly: usize, logs: bool) -> Program {
    let shape: Vec<usize> = std::iter::once(rows).chain(columns).collect();
    let wide: Vec<usize> = shape.iter().copied().chain([3]).collect();
    let lane = move |b: &mut Builder, x: Atom, row: Atom, i: Atom, weight: Atom| {
        let takes = b.prim1(Prim::Compare(Compare::Gt), &[x, Lit::f32(above).into()]);
        b.begin();
        let no = b.end(vec![x, row]);
        b.begin();
        let mut y = b.prim1(Prim::Dot(Dot::matmul(1)), &[row, weight]);
        for _ in 0..costly {
            y = b.unary(Unary::Tanh, y);
        }
        let place = b.prim1(Prim::Convert(DType::F32), &[i]);
        let sum = b.reduce(Monoid::Sum, &[0], y);
        let sum = b.add(sum, place);
        if logs {
            b.effect(Effect::Log { name: "sum".into(), value: sum, mask: Lit::bool(true).into() });
        }
        let yes = b.end(vec![sum, y]);
        b.form(Form::Switch(Switch { which: takes, arms: vec![no, yes] })).to_vec()
    };
    program(&[f32s(&shape), f32s(&wide), f32s(&[3, 3])], |b, a| {
        b.map(rows, |b, i| {
            let (x, row) = (index(b, a[0], i), index(b, a[1], i));
            match columns {
                None => lane(b, x, row, i, a[2]),
                Some(n) => b
                    .map(n, |b, j| {
                        let (x, row) = (index(b, x, j), index(b, row, j));
                        lane(b, x, row, i, a[2])
                    })
                    .to_vec(),
            }
        })
        .to_vec()
    })
}

#[test]
fn a_costly_arm_is_computed_for_the_lanes_that_take_it() {
    // The numbers lie between -1 and 1.5.
    for above in [9.0, 1.2, 0.0, -9.0] {
        for (rows, columns) in [(64, None), (100, None), (5000, None), (10, Some(13)), (7, Some(64))] {
            assert_eq!(whiles(&check(&few_of_many(rows, columns, above, 6, false)).main.body), 1);
        }
    }
}

#[test]
fn an_arm_that_logs_or_is_cheap_or_of_few_lanes_is_computed_for_all() {
    for p in [
        few_of_many(100, None, 1.2, 6, true),
        few_of_many(100, None, 1.2, 2, false),
        few_of_many(60, None, 1.2, 6, false),
    ] {
        assert_eq!(whiles(&check(&p).main.body), 0);
    }
}
