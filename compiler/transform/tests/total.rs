//! Derivatives are total: each primitive and each form, in the order of their enums, so that a new one cannot be left out.
//!
//! `check(…, 3)` takes all eight nestings of `jvp` and `vjp` to third order: each against central differences of the order below it,
//! and as ⟨c, J t⟩ = ⟨Jᵀ c, t⟩.

mod derivatives;

use std::sync::Arc;

use derivatives::layers::{Layer, nest};
use derivatives::{Numbers, check, f64s, program, results, vjp_program};
use smallvec::smallvec;
use whorl_core::prim::{self, Binary, Compare, Custom, CustomRule, Dot, MathFn, Monoid, Prim, Reduce, Unary};
use whorl_core::{ArrayData, Atom, Builder, DType, Form, Function, Lit, Program, Type};
use whorl_transform::ad::jvp;

/// What `check` is to do with a program.
enum Expected {
    /// Derivatives to third order, at values between these.
    Smooth(f64, f64),
    /// To third order backward; no forward derivative.
    Backward,
}

struct Case {
    program: Program,
    expected: Expected,
}

fn smooth(types: &[&[usize]], low: f64, high: f64, f: impl FnOnce(&mut Builder, &[Atom]) -> Vec<Atom>) -> Case {
    let types: Vec<Type> = types.iter().map(|s| f64s(s)).collect();
    Case { program: program(&types, f), expected: Expected::Smooth(low, high) }
}

/// `prim` of the squares of float operands of these shapes.
fn plain(prim: Prim, types: &[&[usize]], low: f64, high: f64) -> Case {
    smooth(types, low, high, |b, x| {
        let squares: Vec<Atom> = x.iter().map(|x| b.mul(*x, *x)).collect();
        b.prim(prim, &squares).to_vec()
    })
}

/// What is no float, or constant between its jumps, as a factor: the derivative is that of the other one.
fn factor(f: impl FnOnce(&mut Builder, Atom) -> Atom) -> Case {
    smooth(&[&[3]], 0.1, 0.4, |b, x| {
        let other = f(b, x[0]);
        let other = b.prim1(Prim::Convert(DType::F64), &[other]);
        let square = b.mul(x[0], x[0]);
        vec![b.mul(square, other)]
    })
}

fn whole(b: &mut Builder, x: Atom) -> Atom {
    let ten = b.mul(x, Lit::f64(10.0).into());
    b.prim1(Prim::Convert(DType::I32), &[ten])
}

fn unary(op: Unary) -> Case {
    use Unary::*;
    let prim = Prim::Unary(op);
    match op {
        Neg | Abs => plain(prim, &[&[3]], 0.2, 0.9),
        Sqrt => plain(prim, &[&[3]], 0.7, 1.4),
        Math(MathFn::Acosh) => plain(prim, &[&[3]], 1.3, 2.2),
        // Where all others are smooth.
        Math(_) => plain(prim, &[&[3]], 0.3, 0.8),
        Sign | Floor | Ceil | Round => factor(|b, x| b.unary(op, x)),
        Not => factor(|b, x| {
            let c = b.prim1(Prim::Compare(Compare::Lt), &[x, Lit::f64(0.25).into()]);
            b.unary(Not, c)
        }),
        PopCount => factor(|b, x| {
            let i = whole(b, x);
            b.unary(PopCount, i)
        }),
    }
}

fn binary(op: Binary) -> Case {
    use Binary::*;
    match op {
        Add | Sub | Mul | Div | Rem | Pow | Atan2 => plain(Prim::Binary(op), &[&[3], &[3]], 0.6, 1.3),
        // Apart from each other by more than a difference reaches.
        Min | Max => smooth(&[&[3]], -1.0, 1.0, |b, x| {
            let square = b.mul(x[0], x[0]);
            let moved = b.binary(Sub, square, Lit::f64(0.37).into());
            vec![b.binary(op, moved, x[0])]
        }),
        And | Or | Xor | Shl | Shr | ShrLogical => factor(|b, x| {
            let i = whole(b, x);
            b.binary(op, i, Lit::i32(1).into())
        }),
    }
}

fn dot() -> Prim {
    Prim::Dot(Dot {
        lhs_batch: smallvec![1],
        rhs_batch: smallvec![1],
        lhs_contract: smallvec![2, 0],
        rhs_contract: smallvec![0, 2],
    })
}

/// The user's own derivative of the square, which is right: `(x, y, kept) -> y`, backward `(kept, c) -> 2 kept c`.
fn custom() -> Program {
    program(&[f64s(&[3])], |b, x| {
        let (kept, c) = (b.fresh(f64s(&[3])), b.fresh(f64s(&[3])));
        b.begin();
        let twice = b.mul(kept.into(), Lit::f64(2.0).into());
        let back = b.mul(twice, c.into());
        let backward = Function { params: vec![kept, c], body: b.end(vec![back]) };
        let rule = Arc::new(CustomRule { inputs: 1, outputs: 1, backward });
        let inner = b.unary(Unary::Sin, x[0]);
        let y = b.mul(inner, inner);
        b.prim(Prim::Custom(Custom { rule, pull: false }), &[inner, y, inner]).to_vec()
    })
}

/// The primitive after this one in the enum: exhaustive, so that a new primitive stops this from compiling.
fn after(p: &Prim) -> Option<Prim> {
    Some(match p {
        Prim::Unary(_) => Prim::Binary(Binary::Add),
        Prim::Binary(_) => Prim::Compare(Compare::Lt),
        Prim::Compare(_) => Prim::Select,
        Prim::Select => Prim::MulAdd,
        Prim::MulAdd => Prim::Convert(DType::F64),
        Prim::Convert(_) => Prim::Bitcast(DType::I32),
        Prim::Bitcast(_) => Prim::StopGradient,
        Prim::StopGradient => match &custom().main.body.stmts.last().expect("a statement").op {
            whorl_core::Op::Prim(p, _) => p.clone(),
            _ => unreachable!("the last statement of `custom`"),
        },
        Prim::Custom(_) => Prim::Threefry,
        Prim::Threefry => Prim::Iota(3),
        Prim::Iota(_) => Prim::Broadcast { shape: smallvec![2, 3], axes: smallvec![1] },
        Prim::Broadcast { .. } => Prim::Reshape(smallvec![3, 2]),
        Prim::Reshape(_) => Prim::Transpose(smallvec![1, 0]),
        Prim::Transpose(_) => Prim::Slice { starts: smallvec![1], shape: smallvec![2], strides: smallvec![2] },
        Prim::Slice { .. } => Prim::Pad { low: smallvec![1], high: smallvec![2], interior: smallvec![1] },
        Prim::Pad { .. } => Prim::Reverse(smallvec![0]),
        Prim::Reverse(_) => Prim::Concat(0),
        Prim::Concat(_) => Prim::Index(None),
        Prim::Index(_) => Prim::IndexSet(None),
        Prim::IndexSet(_) => Prim::IndexAdd(None),
        Prim::IndexAdd(_) => Prim::Reduce(Reduce { op: Monoid::Sum, axes: smallvec![0] }),
        Prim::Reduce(_) => Prim::ArgMax(0),
        Prim::ArgMax(_) => Prim::ArgMin(0),
        Prim::ArgMin(_) => Prim::Cumulative { op: Monoid::Sum, axis: 0, reverse: false },
        Prim::Cumulative { .. } => dot(),
        Prim::Dot(_) => Prim::Sort { axis: 0, keys: 1 },
        Prim::Sort { .. } => return None,
    })
}

/// Programs for a primitive in all its variants.
fn cases(p: &Prim) -> Vec<Case> {
    use Prim::*;
    let place = |prim: fn(Option<usize>) -> Prim| {
        let whole = smooth(&[&[3, 2], &[2]], -1.0, 1.0, |b, x| {
            let (y, v) = (b.mul(x[0], x[0]), b.unary(prim::Unary::Sin, x[1]));
            vec![b.prim1(prim(None), &[y, v, Lit::i32(1).into()])]
        });
        let window = smooth(&[&[5], &[2]], -1.0, 1.0, |b, x| {
            let (y, v) = (b.mul(x[0], x[0]), b.unary(prim::Unary::Sin, x[1]));
            vec![b.prim1(prim(Some(2)), &[y, v, Lit::i32(9).into()])]
        });
        vec![whole, window]
    };
    let monoids = [Monoid::Sum, Monoid::Prod, Monoid::Max, Monoid::Min];
    match p {
        Unary(_) => prim_all(prim::Unary::ALL, unary),
        Binary(_) => prim_all(prim::Binary::ALL, binary),
        Compare(_) => {
            prim_all(prim::Compare::ALL, |op| factor(|b, x| b.prim1(Compare(op), &[x, Lit::f64(0.25).into()])))
        }
        Select => vec![smooth(&[&[3], &[3]], -1.0, 1.0, |b, x| {
            let c = b.prim1(Compare(prim::Compare::Lt), &[x[0], x[1]]);
            let (y, z) = (b.mul(x[0], x[0]), b.unary(prim::Unary::Sin, x[1]));
            vec![b.prim1(Select, &[c, y, z])]
        })],
        MulAdd => vec![plain(MulAdd, &[&[3], &[3], &[3]], -1.0, 1.0), plain(MulAdd, &[&[3], &[], &[]], -1.0, 1.0)],
        Convert(_) => vec![plain(Convert(DType::F64), &[&[3]], -1.0, 1.0), factor(whole)],
        Bitcast(_) => vec![factor(|b, x| {
            let i = whole(b, x);
            let u = b.prim1(Bitcast(DType::U32), &[i]);
            b.prim1(Bitcast(DType::I32), &[u])
        })],
        // Held still, and what is multiplied by it: derivatives know only the other factor, differences both.
        StopGradient => vec![smooth(&[&[3]], 0.1, 0.4, |b, x| {
            let still = b.unary(prim::Unary::Floor, x[0]);
            let still = b.prim1(StopGradient, &[still]);
            let square = b.mul(x[0], x[0]);
            vec![b.add(square, still)]
        })],
        Custom(_) => vec![Case { program: custom(), expected: Expected::Backward }],
        Threefry => vec![factor(|b, x| {
            let i = whole(b, x);
            let u = b.prim1(Convert(DType::U32), &[i]);
            let bits = b.prim(Threefry, &[u, u, u, u])[0];
            b.binary(prim::Binary::And, bits, Lit::u32(3).into())
        })],
        Iota(n) => vec![factor(|b, _| b.prim1(Iota(*n), &[]))],
        Broadcast { .. } => vec![
            plain(p.clone(), &[&[3]], -1.0, 1.0),
            plain(Broadcast { shape: smallvec![2], axes: smallvec![] }, &[&[]], -1.0, 1.0),
        ],
        Reshape(_) | Transpose(_) => vec![plain(p.clone(), &[&[2, 3]], -1.0, 1.0)],
        Slice { .. } => vec![plain(p.clone(), &[&[4]], -1.0, 1.0)],
        Pad { .. } => vec![plain(p.clone(), &[&[3], &[]], -1.0, 1.0)],
        Reverse(_) => vec![plain(p.clone(), &[&[3]], -1.0, 1.0)],
        Concat(_) => vec![plain(p.clone(), &[&[3], &[1], &[2]], -1.0, 1.0)],
        Index(_) => [None, Some(2)]
            .map(|window| {
                smooth(&[&[4]], -1.0, 1.0, |b, x| {
                    let y = b.mul(x[0], x[0]);
                    vec![b.prim1(Index(window), &[y, Lit::i32(3).into()])]
                })
            })
            .into(),
        IndexSet(_) => place(IndexSet),
        IndexAdd(_) => place(IndexAdd),
        Reduce(_) => {
            let each = |op| {
                [&[0][..], &[1], &[0, 1]].map(|axes| {
                    let r = prim::Reduce { op, axes: axes.into() };
                    smooth(&[&[2, 3]], -1.0, 1.0, |b, x| vec![b.prim1(Reduce(r), &[x[0]])])
                })
            };
            monoids.into_iter().flat_map(each).collect()
        }
        ArgMax(_) | ArgMin(_) => vec![factor(|b, x| b.prim1(p.clone(), &[x]))],
        Cumulative { .. } => {
            let each = |op| {
                [false, true].map(|reverse| {
                    smooth(&[&[4]], -1.0, 1.0, |b, x| vec![b.prim1(Cumulative { op, axis: 0, reverse }, &[x[0]])])
                })
            };
            monoids.into_iter().flat_map(each).collect()
        }
        Dot(_) => vec![plain(p.clone(), &[&[2, 2, 3], &[3, 2, 2]], -1.0, 1.0)],
        Sort { .. } => vec![
            smooth(&[&[4], &[4]], -1.0, 1.0, |b, x| {
                let y = b.unary(prim::Unary::Sin, x[1]);
                b.prim(p.clone(), &[x[0], y]).to_vec()
            }),
            smooth(&[&[2, 3], &[2, 3], &[2, 3]], -1.0, 1.0, |b, x| b.prim(Sort { axis: 1, keys: 2 }, x).to_vec()),
        ],
    }
}

fn prim_all<T: Copy>(all: &[T], case: impl Fn(T) -> Case) -> Vec<Case> {
    all.iter().map(|op| case(*op)).collect()
}

/// As [`check`], of reverse mode alone.
fn check_backward(p: &Program, args: &[ArrayData], order: usize) {
    let mut numbers = Numbers(order as u64 + 3);
    let back = vjp_program(p);
    let mut all = args.to_vec();
    all.extend(back.main.params[args.len()..].iter().map(|v| numbers.array(back.vars.ty(*v))));
    let gradients = results(&back, &all);
    let (c, h) = (&all[args.len()..], 1e-5);
    for (k, arg) in args.iter().enumerate() {
        for at in 0..arg.ty.size() {
            let loss = |h: f64| {
                let mut moved = args.to_vec();
                let mut values = arg.to_f64();
                values[at] += h;
                moved[k] = ArrayData::new(&arg.ty.shape, &values);
                let parts = results(p, &moved);
                let weighted = parts
                    .iter()
                    .zip(c)
                    .map(|(r, c)| r.to_f64().iter().zip(c.to_f64()).map(|(r, c)| r * c).sum::<f64>());
                weighted.sum::<f64>()
            };
            let (fd, g) = ((loss(h) - loss(-h)) / (2.0 * h), gradients[k].to_f64()[at]);
            assert!((fd - g).abs() <= 3e-6 * (1.0 + g.abs()), "backward, order {order}: differences {fd}, vjp {g}");
        }
    }
    if order > 1 {
        check_backward(&back, &all, order - 1);
    }
}

#[test]
fn every_primitive_to_third_order() {
    let mut next = Some(Prim::Unary(Unary::Neg));
    let mut count = 0;
    while let Some(prim) = next {
        for case in cases(&prim) {
            count += 1;
            let mut numbers = Numbers(11);
            let p = &case.program;
            let (low, high) = if let Expected::Smooth(low, high) = case.expected { (low, high) } else { (-1.0, 1.0) };
            let types = p.main.params.iter().map(|v| p.vars.ty(*v));
            let args: Vec<ArrayData> = types
                .map(|t| {
                    let values: Vec<f64> =
                        (0..t.size()).map(|_| low + (high - low) * (numbers.next() + 1.0) / 2.0).collect();
                    ArrayData::new(&t.shape, &values)
                })
                .collect();
            match case.expected {
                Expected::Smooth(..) => check(p, &args, 3),
                Expected::Backward => {
                    check_backward(p, &args, 3);
                    let mut b = Builder::new(p.vars.clone());
                    let at: Vec<Atom> = p.main.params.iter().map(|v| b.fresh(p.vars.ty(*v).clone()).into()).collect();
                    b.begin();
                    let error = jvp(&mut b, &p.main, &at, &[Some(at[0])]).expect_err("no forward derivative");
                    assert_eq!(error.code, "E0504");
                    assert!(error.help.is_some());
                }
            }
        }
        next = after(&prim);
    }
    assert!(count > 90, "{count} cases");
}

/// The layers of the nests that hold a form of this kind.
fn layers(form: &Form) -> &'static [Layer] {
    match form {
        Form::Map(_) => &[Layer::Map, Layer::Accumulate],
        Form::Scan(_) => &[Layer::Scan, Layer::Reverse],
        Form::While(_) => &[Layer::While],
        Form::Switch(_) => &[Layer::Switch],
    }
}

/// Each form in each other to third order, one of its layers for each.
#[test]
fn forms_in_forms_to_third_order() {
    let of = |layer: Layer| {
        let p = nest(&[layer]);
        p.main
            .body
            .stmts
            .iter()
            .find_map(|s| if let whorl_core::Op::Form(f) = &s.op { Some((**f).clone()) } else { None })
    };
    let outer = [Layer::Map, Layer::Reverse, Layer::While, Layer::Switch, Layer::Accumulate];
    for a in outer {
        let form = of(a).expect("a layer with a form");
        assert!(layers(&form).contains(&a));
        for b in [Layer::Scan, Layer::Switch, Layer::Accumulate, Layer::While] {
            let p = nest(&[a, b]);
            let mut numbers = Numbers(3);
            let w = numbers.array(&f64s(&[3, 3]));
            check(&p, &[ArrayData::vector(&[0.7f64, -0.3, 0.4]), w], 3);
        }
    }
}
