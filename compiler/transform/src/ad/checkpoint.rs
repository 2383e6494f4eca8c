//! A loop of which not every state is kept: a loop over blocks of steps, whose body is the loop of one block.
//!
//! ```text
//! scan c = c0 for i < 10 checkpoint every 4 { body }      c = scan c = c0 for j < 2 {
//!                                                               scan c for l < 4 { i = 4 j + l; body }
//!                                                           }
//!                                                           scan c for j < 1 { scan c for l < 2 { i = 8 + l; body } }
//! ```
//!
//! Reverse mode keeps the states between blocks and runs a block again when it comes back to it, keeping the states of that block
//! alone. The steps are the same in the same order, and so are the sums of cotangents: policies agree to the bit.

use whorl_core::rewrite::Substitution;
use whorl_core::{Atom, Builder, Carry, Checkpoint, DType, Lit, Op, Prim, Scan, Stmt, Type, Var};

/// How the loop is to be cut, if it is.
pub(super) fn blocks_of(s: &Scan) -> Option<usize> {
    let every = s.checkpoint.every(s.n);
    (every > 1 && every < s.n && !s.train).then_some(every)
}

/// Statements that bind `outs` as the scan would, in blocks of `every` steps.
pub(super) fn nested(b: &mut Builder, outs: &[Var], s: Scan, every: usize) -> Vec<Stmt> {
    let count = s.carries.len();
    // What stays as it began is no state.
    let moves: Vec<bool> = (0..count).map(|k| s.body.results[k] != Atom::Var(s.carries[k].var)).collect();
    let mut state: Vec<Atom> = (0..count).filter(|&k| moves[k]).map(|k| s.carries[k].init).collect();
    let (whole, rest) = (s.n / every, s.n % every);
    let mut parts = vec![(whole, every, 0)];
    if rest > 0 {
        parts.push((1, rest, whole * every));
    }
    b.begin();
    let mut yields = vec![Vec::new(); parts.len()];
    for k in 0..parts.len() {
        let k = if s.reverse { parts.len() - 1 - k } else { k };
        let counted = if k == 0 { s.n } else { 0 };
        let mut made = blocks(b, &s, &moves, &state, parts[k], Checkpoint::Kept { steps: counted, every });
        yields[k] = made.split_off(state.len());
        state = made;
    }
    let mut last = state.into_iter();
    for (k, &out) in outs.iter().enumerate() {
        let same = Prim::Reshape(b.vars.ty(out).shape.clone());
        let (prim, args): (Prim, Vec<Atom>) = match moves.get(k) {
            Some(true) => (same, last.next().into_iter().collect()),
            Some(false) => (same, vec![s.carries[k].init]),
            None => (Prim::Concat(0), yields.iter().map(|y| y[k - count]).collect()),
        };
        let spans = b.at_spans(Default::default());
        b.push(Stmt { outs: [out].into_iter().collect(), op: Op::Prim(prim, args.into()), spans: spans.clone() });
        b.at_spans(spans);
    }
    b.end(Vec::new()).stmts
}

/// So many blocks of so many steps, the first of them `offset`: the states behind them, and what they yield, step after step.
fn blocks(
    b: &mut Builder,
    s: &Scan,
    moves: &[bool],
    state: &[Atom],
    (count, steps, offset): (usize, usize, usize),
    checkpoint: Checkpoint,
) -> Vec<Atom> {
    let (outer, inner) = (b.fresh(Type::scalar(DType::I32)), b.fresh(Type::scalar(DType::I32)));
    let mut copy = Substitution::default();
    let mut names = Substitution::default();
    let (mut between, mut within) = (Vec::new(), Vec::new());
    for (c, moves) in s.carries.iter().zip(moves) {
        if !moves {
            copy.insert(c.var, c.init);
            continue;
        }
        let var = names.refresh(&mut b.vars, c.var);
        within.push(Carry { var: copy.refresh(&mut b.vars, c.var), init: var.into() });
        between.push(Carry { var, init: state[between.len()] });
    }
    b.begin();
    let from = b.mul(outer.into(), Lit::i32(steps as i32).into());
    let from = b.add(from, Lit::i32(offset as i32).into());
    b.begin();
    let index = b.add(from, inner.into());
    copy.insert(s.index, index);
    let body = copy.body(&mut b.vars, &s.body);
    body.stmts.into_iter().for_each(|s| b.push(s));
    let stays = |k: usize| moves.get(k) == Some(&false);
    let results = body.results.iter().enumerate().filter(|(k, _)| !stays(*k)).map(|(_, r)| *r).collect();
    let body = b.end(results);
    let kept = Checkpoint::Kept { steps: 0, every: 1 };
    let block =
        Scan { n: steps, reverse: s.reverse, train: false, checkpoint: kept, index: inner, carries: within, body };
    let made = b.form(whorl_core::Form::Scan(block));
    let body = b.end(made.to_vec());
    let all = Scan { n: count, reverse: s.reverse, train: false, checkpoint, index: outer, carries: between, body };
    let made = b.form(whorl_core::Form::Scan(all));
    let flat = made.into_iter().enumerate().map(|(k, a)| {
        if k < state.len() {
            return a;
        }
        let mut shape = b.ty(a).shape;
        shape.remove(0);
        shape[0] = count * steps;
        b.prim1(Prim::Reshape(shape), &[a])
    });
    flat.collect()
}
