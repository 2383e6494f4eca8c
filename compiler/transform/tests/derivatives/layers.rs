//! Forms as wrappers of a function `f64[3], f64[3, 3] -> f64[3]`, to nest each in every other.

use whorl_core::prim::{Binary, Compare, Dot, Monoid, Prim, Unary};
use whorl_core::rewrite::Substitution;
use whorl_core::{Atom, Builder, Carry, Checkpoint, DType, Form, Function, Lit, Map, Program, Switch, Type, While};
use whorl_transform::ad::{jvp, vjp};

use super::{f64s, program};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// A sum over the stacked results of lanes, which read whole arrays and single elements.
    Map,
    /// A map with an accumulator that is added to as a whole and by the element.
    Accumulate,
    Scan,
    /// Downward, with yields, a carry that is an integer and one that stays.
    Reverse,
    Switch,
    While,
    /// A gradient.
    Grad,
    /// A directional derivative.
    Push,
}

impl Layer {
    pub const ALL: [Layer; 8] = [
        Layer::Map,
        Layer::Accumulate,
        Layer::Scan,
        Layer::Reverse,
        Layer::Switch,
        Layer::While,
        Layer::Grad,
        Layer::Push,
    ];
}

/// The program `(x, w) -> layers[0](layers[1](… leaf))`.
pub fn nest(layers: &[Layer]) -> Program {
    program(&[f64s(&[3]), f64s(&[3, 3])], |b, a| vec![apply(b, layers, a[0], a[1])])
}

fn apply(b: &mut Builder, layers: &[Layer], x: Atom, w: Atom) -> Atom {
    let Some((layer, rest)) = layers.split_first() else { return leaf(b, x, w) };
    match layer {
        Layer::Map => {
            let rows = b.map(2, |b, i| {
                let k = b.prim1(Prim::Convert(DType::F64), &[i]);
                let one = b.prim1(Prim::Index(None), &[x, i]);
                let moved = b.prim1(Prim::MulAdd, &[one, k, x]);
                let y = apply(b, rest, moved, w);
                vec![b.mul(y, one)]
            });
            b.reduce(Monoid::Sum, &[0], rows[0])
        }
        Layer::Accumulate => accumulate(b, rest, x, w),
        Layer::Scan => {
            let steps = b.scan(2, false, &[x], |b, i, c| {
                let y = apply(b, rest, c[0], w);
                let one = b.prim1(Prim::Index(None), &[x, i]);
                vec![b.add(y, one)]
            });
            steps[0]
        }
        Layer::Reverse => {
            let stay = b.unary(Unary::Sin, x);
            let steps = b.scan(2, true, &[x, Lit::i32(0).into(), stay], |b, i, c| {
                let y = apply(b, rest, c[0], w);
                let count = b.add(c[1], Lit::i32(1).into());
                let row = b.prim1(Prim::Index(None), &[w, c[1]]);
                let z = b.mul(row, c[2]);
                let y = b.prim1(Prim::MulAdd, &[z, Lit::f64(0.5).into(), y]);
                let one = b.prim1(Prim::Index(None), &[y, i]);
                vec![y, count, c[2], one, z]
            });
            let sum = b.reduce(Monoid::Sum, &[0], steps[4]);
            let total = b.reduce(Monoid::Sum, &[0], steps[3]);
            let y = b.prim1(Prim::MulAdd, &[sum, total, steps[0]]);
            b.add(y, steps[2])
        }
        Layer::Switch => {
            let sum = b.reduce(Monoid::Sum, &[0], x);
            let up = b.prim1(Prim::Compare(Compare::Gt), &[sum, Lit::f64(0.05).into()]);
            b.begin();
            let cos = b.unary(Unary::Cos, x);
            let low = b.end(vec![cos]);
            b.begin();
            let y = apply(b, rest, x, w);
            let high = b.end(vec![y]);
            let chosen = b.form(Form::Switch(Switch { which: up, arms: vec![low, high] }));
            b.mul(chosen[0], x)
        }
        Layer::While => bounded(b, rest, x, w),
        Layer::Grad => {
            let f = scalar_function(b, rest, w);
            let all = vjp(b, &f, &[x], &[true], |_, _| vec![Some(Lit::f64(1.0).into())]);
            all.expect("a derivative").gradients[0]
        }
        Layer::Push => {
            let (vx, vw) = (b.fresh(f64s(&[3])), b.fresh(f64s(&[3, 3])));
            b.begin();
            let y = apply(b, rest, vx.into(), vw.into());
            let f = Function { params: vec![vx, vw], body: b.end(vec![y]) };
            let direction = b.unary(Unary::Sin, x);
            let (y, t) = jvp(b, &f, &[x, w], &[Some(direction), None]).expect("a derivative");
            b.add(y[0], t[0].expect("an active result"))
        }
    }
}

fn leaf(b: &mut Builder, x: Atom, w: Atom) -> Atom {
    let y = b.prim1(Prim::Dot(Dot::matmul(1)), &[x, w]);
    let y = b.prim1(Prim::MulAdd, &[y, Lit::f64(0.4).into(), x]);
    b.unary(Unary::Tanh, y)
}

fn accumulate(b: &mut Builder, rest: &[Layer], x: Atom, w: Atom) -> Atom {
    let index = b.fresh(Type::scalar(DType::I32));
    let acc = b.fresh(f64s(&[3]));
    let total = b.fresh(f64s(&[]));
    let init = b.unary(Unary::Sin, x);
    b.begin();
    let one = b.prim1(Prim::Index(None), &[x, index.into()]);
    let moved = b.mul(x, one);
    let y = apply(b, rest, moved, w);
    let sum = b.add(acc.into(), y);
    let sum = b.prim1(Prim::IndexAdd(None), &[sum, one, index.into()]);
    let square = b.mul(one, one);
    let next = b.add(total.into(), square);
    let row = b.mul(y, one);
    let body = b.end(vec![sum, next, row]);
    let accs = vec![Carry { var: acc, init }, Carry { var: total, init: Lit::f64(0.0).into() }];
    let outs = b.form(Form::Map(Map { n: 2, index, accs, body }));
    let rows = b.reduce(Monoid::Sum, &[0], outs[2]);
    let y = b.prim1(Prim::MulAdd, &[outs[0], outs[1], rows]);
    b.unary(Unary::Sin, y)
}

/// Two steps of at most three.
fn bounded(b: &mut Builder, rest: &[Layer], x: Atom, w: Atom) -> Atom {
    let (c, k) = (b.fresh(f64s(&[3])), b.fresh(Type::scalar(DType::I32)));
    let carries = vec![Carry { var: c, init: x }, Carry { var: k, init: Lit::i32(0).into() }];
    b.begin();
    let more = b.prim1(Prim::Compare(Compare::Lt), &[k.into(), Lit::i32(2).into()]);
    let condition = b.end(vec![more]);
    b.begin();
    let y = apply(b, rest, c.into(), w);
    let y = b.mul(y, x);
    let next = b.binary(Binary::Add, k.into(), Lit::i32(1).into());
    let body = b.end(vec![y, next]);
    b.form(Form::While(While { carries, condition, body, max: Some(3), checkpoint: Checkpoint::Carries }))[0]
}

/// `x -> sum(sin(rest(x, w)))`, with `w` from outside.
fn scalar_function(b: &mut Builder, rest: &[Layer], w: Atom) -> Function {
    let x = b.fresh(f64s(&[3]));
    b.begin();
    let y = apply(b, rest, x.into(), w);
    let y = b.unary(Unary::Sin, y);
    let sum = b.reduce(Monoid::Sum, &[0], y);
    let body = b.end(vec![sum]);
    // A copy, so that nothing depends on the function's own variables being emitted nowhere else.
    let mut copy = Substitution::default();
    let param = copy.refresh(&mut b.vars, x);
    Function { params: vec![param], body: copy.body(&mut b.vars, &body) }
}
