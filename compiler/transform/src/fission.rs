//! Fission of loops: what the steps of a `scan` do without each other is done for all steps at once.
//!
//! ```text
//! scan i < 128 with s { n = noise(keys[i]); h = dot(s, w); … s' …; v = dot(s, u); yield v }
//!     ==>  N = map i < 128 { noise(keys[i]) }
//!          S = scan i < 128 with s { n = N[i]; h = dot(s, w); … s' …; yield s }
//!          V = map i < 128 { dot(S[i], u) }
//! ```
//!
//! Before the loop goes what depends on no carry, after it what no carry depends on: the random numbers of a rollout, the critic's values, the
//! first product of a recurrent network. It is worth an array of all steps only where a step by itself has too little to do: a product of few rows, or
//! an elementary function or a block of random numbers for few lanes.
//!
//! On flat Core; the `Map`s made here are for distribution to spread.

use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;
use whorl_core::ir::*;
use whorl_core::prim::{Binary, Dot, Prim, Unary};
use whorl_core::rewrite::{Substitution, free_vars};

use crate::distribute::distribute;
use crate::simplify::simplify;

/// A loop of fewer steps stays whole.
const STEPS: usize = 2;
/// Lanes of a step that fill vectors by themselves.
const LANES: usize = 64;
/// Rows of a product that use the machine well.
const ROWS: usize = 8;
/// What arrays of all steps may take, in bytes, elementwise work aside, which leaves none: they should stay in the cache.
const BYTES: usize = 2 << 20;

/// The program with its loops split, as far as that is worth it; flat again.
pub fn fission(mut program: Program) -> Program {
    let mut f = Fission { vars: &mut program.vars, changed: false };
    f.body(&mut program.main.body);
    if !f.changed {
        return program;
    }
    debug_assert_eq!(whorl_core::verify::verify(&program), Ok(()));
    simplify(distribute(&program))
}

struct Fission<'a> {
    vars: &'a mut Vars,
    changed: bool,
}

impl Fission<'_> {
    fn body(&mut self, body: &mut Body) {
        for mut stmt in std::mem::take(&mut body.stmts) {
            let Op::Form(form) = &mut stmt.op else {
                body.stmts.push(stmt);
                continue;
            };
            form.bodies_mut().into_iter().for_each(|b| self.body(b));
            match &mut **form {
                Form::Scan(s) if !s.train && s.n >= STEPS => {
                    let before = self.before(s, &stmt.spans);
                    let after = self.after(s, &mut stmt.outs, &stmt.spans);
                    self.changed |= before.is_some() || after.is_some();
                    body.stmts.extend(before);
                    body.stmts.push(stmt);
                    body.stmts.extend(after);
                }
                Form::Scan(_) | Form::Map(_) | Form::While(_) | Form::Switch(_) => body.stmts.push(stmt),
            }
        }
    }

    /// Takes out of the loop what depends on no carry; gives the `Map` that computes it.
    fn before(&mut self, s: &mut Scan, spans: &Spans) -> Option<Stmt> {
        let flow = Flow::of(s);
        let free = flow.without_carries(s);
        let stmts = &s.body.stmts;
        // What is worth it, and what is made of that.
        let mut moved = vec![false; stmts.len()];
        for (k, stmt) in stmts.iter().enumerate() {
            let of_moved = || flow.inputs[k].iter().any(|i| moved[*i]) && self.lanes(stmt) <= LANES * 4;
            moved[k] = free.at[k] && (of_moved() || free.varies[k] && self.is_lean(stmt, &free));
        }
        // What stays reads rows of what went.
        let gives: Vec<Var> = (0..stmts.len()).filter(|k| moved[*k]).flat_map(|k| stmts[k].outs.clone()).collect();
        let mut read = HashSet::new();
        for (_, stmt) in stmts.iter().enumerate().filter(|(k, _)| !moved[*k]) {
            read.extend(free_vars(stmt));
        }
        read.extend(s.body.results.iter().filter_map(|a| a.var()));
        let gives: Vec<Var> = gives.into_iter().filter(|v| read.contains(v)).collect();
        let more: usize = gives.iter().map(|v| self.size(*v) * s.n).sum();
        if gives.is_empty() || self.bytes(s.n, stmts, &moved) + more > BYTES {
            return None;
        }
        let all = flow.with_inputs(&moved);
        let (map, outs) = self.map(s, &all, &Substitution::default(), &gives);
        let rows = outs.iter().zip(&gives).map(|(array, row)| Stmt {
            outs: SmallVec::from_iter([*row]),
            op: Op::Prim(Prim::Index(None), Atoms::from_iter([Atom::Var(*array), s.index.into()])),
            spans: spans.clone(),
        });
        let kept = std::mem::take(&mut s.body.stmts).into_iter().zip(moved).filter(|(_, moved)| !moved);
        s.body.stmts = rows.chain(kept.map(|(stmt, _)| stmt)).collect();
        Some(Stmt { outs: outs.into(), op: Op::Form(Box::new(Form::Map(map))), spans: spans.clone() })
    }

    /// Takes out of the loop what no carry depends on; gives the `Map` that computes it from what the loop yields instead.
    fn after(&mut self, s: &mut Scan, outs: &mut SmallVec<[Var; 2]>, spans: &Spans) -> Option<Stmt> {
        let flow = Flow::of(s);
        let free = flow.without_carries(s);
        let needed = flow.needed(s);
        let stmts = &s.body.stmts;
        let mut moved = vec![false; stmts.len()];
        for (k, stmt) in stmts.iter().enumerate() {
            moved[k] = !needed[k] && (flow.inputs[k].iter().any(|i| moved[*i]) || self.is_lean(stmt, &free));
        }
        let count = s.carries.len();
        let is_moved = |a: &Atom| a.var().and_then(|v| flow.made.get(&v)).is_some_and(|k| moved[*k]);
        let (gone, stays): (Vec<usize>, Vec<usize>) =
            (count..s.body.results.len()).partition(|r| is_moved(&s.body.results[*r]));
        // What needs no carry is computed again, if that is cheap, in place of being kept.
        let again: Vec<bool> = (0..stmts.len()).map(|k| free.at[k] && !is_costly(&stmts[k]) && !moved[k]).collect();
        let all = flow.with_inputs_in(&moved, &again);
        let inputs = flow.read_by(&all, s);
        if gone.is_empty() {
            return None;
        }
        let yields: HashMap<Var, usize> = stays.iter().filter_map(|r| Some((s.body.results[*r].var()?, *r))).collect();
        let fresh: Vec<Var> = inputs.iter().copied().filter(|v| !yields.contains_key(v)).collect();
        let more: usize = fresh.iter().map(|v| self.size(*v) * s.n).sum();
        if self.bytes(s.n, stmts, &moved) + more > BYTES {
            return None;
        }
        // The loop yields what it yielded, less what is computed later, and what that is made of.
        let mut results: Vec<Atom> = s.body.results[..count].to_vec();
        let mut last: SmallVec<[Var; 2]> = outs[..count].iter().copied().collect();
        results.extend(stays.iter().map(|r| s.body.results[*r]));
        last.extend(stays.iter().map(|r| outs[*r]));
        let mut arrays: HashMap<Var, Var> = yields.iter().map(|(v, r)| (*v, outs[*r])).collect();
        for v in fresh {
            let array = self.vars.fresh(self.vars.ty(v).stacked(s.n));
            results.push(v.into());
            last.push(array);
            arrays.insert(v, array);
        }
        // In the map: rows of what the loop yields.
        let mut rename = Substitution::default();
        let index = rename.refresh(self.vars, s.index);
        let mut rows = Vec::new();
        for v in &inputs {
            let row = rename.refresh(self.vars, *v);
            rows.push(Stmt {
                outs: SmallVec::from_iter([row]),
                op: Op::Prim(Prim::Index(None), Atoms::from_iter([arrays[v].into(), index.into()])),
                spans: spans.clone(),
            });
        }
        let gives: Vec<Var> = gone.iter().filter_map(|r| s.body.results[*r].var()).collect();
        let (mut map, _) = self.map(s, &all, &rename, &gives);
        map.body.stmts.splice(0..0, rows);
        let given = gone.iter().map(|r| outs[*r]).collect();
        let mut k = 0;
        s.body.stmts.retain(|_| {
            k += 1;
            !moved[k - 1]
        });
        s.body.results = results;
        *outs = last;
        Some(Stmt { outs: given, op: Op::Form(Box::new(Form::Map(map))), spans: spans.clone() })
    }

    /// Copies of statements of the loop, for all of its steps; and arrays for what they give.
    fn map(&mut self, s: &Scan, which: &[bool], rename: &Substitution, gives: &[Var]) -> (Map, Vec<Var>) {
        let mut rename = rename.clone();
        let index = match rename.get(s.index.into()) {
            Atom::Var(v) if v != s.index => v,
            Atom::Var(_) | Atom::Lit(_) => rename.refresh(self.vars, s.index),
        };
        let stmts = s.body.stmts.iter().zip(which).filter(|(_, w)| **w);
        let stmts: Vec<Stmt> = stmts.map(|(stmt, _)| rename.stmt(self.vars, stmt)).collect();
        let results: Vec<Atom> = gives.iter().map(|v| rename.get((*v).into())).collect();
        let outs = gives.iter().map(|v| self.vars.fresh(self.vars.ty(*v).stacked(s.n))).collect();
        (Map { n: s.n, index, accs: Vec::new(), body: Body { stmts, results } }, outs)
    }

    fn lanes(&self, stmt: &Stmt) -> usize {
        stmt.outs.iter().map(|v| self.vars.ty(*v).size()).max().unwrap_or(0)
    }

    /// Of products' results in all steps.
    fn bytes(&self, n: usize, stmts: &[Stmt], moved: &[bool]) -> usize {
        let products = stmts.iter().zip(moved).filter(|(s, m)| **m && matches!(s.op, Op::Prim(Prim::Dot(_), _)));
        products.flat_map(|(s, _)| &s.outs).map(|v| self.size(*v) * n).sum()
    }

    fn size(&self, v: Var) -> usize {
        self.vars.ty(v).size() * self.vars.ty(v).dtype.bytes()
    }

    /// Whether a step has little to do here, of a kind that many steps together do better.
    fn is_lean(&self, stmt: &Stmt, free: &Free) -> bool {
        let Op::Prim(prim, args) = &stmt.op else { return false };
        match prim {
            Prim::Dot(dot) => {
                let [a, b] = &args[..] else { return false };
                let few = |x: &Atom, batch: &[usize], contract: &[usize]| {
                    let ty = self.vars.atom_type(x);
                    Dot::free(ty.rank(), batch, contract).iter().map(|k| ty.shape[*k]).product::<usize>() <= ROWS
                };
                dot.lhs_batch.is_empty()
                    && (free.is_same(*b) && !free.is_same(*a) && few(a, &dot.lhs_batch, &dot.lhs_contract)
                        || free.is_same(*a) && !free.is_same(*b) && few(b, &dot.rhs_batch, &dot.rhs_contract))
            }
            _ => is_costly(stmt) && self.lanes(stmt) <= LANES,
        }
    }
}

/// Whether the statement does work that is not to be done twice.
fn is_costly(stmt: &Stmt) -> bool {
    match &stmt.op {
        Op::Prim(prim, _) => match prim {
            Prim::Threefry | Prim::Dot(_) | Prim::Sort { .. } => true,
            Prim::Unary(op) => matches!(op, Unary::Math(_) | Unary::Sqrt),
            Prim::Binary(op) => matches!(op, Binary::Div | Binary::Rem | Binary::Pow | Binary::Atan2),
            Prim::Reduce(_) | Prim::ArgMax(_) | Prim::ArgMin(_) | Prim::Cumulative { .. } => true,
            Prim::Compare(_)
            | Prim::Select
            | Prim::MulAdd
            | Prim::Convert(_)
            | Prim::Bitcast(_)
            | Prim::StopGradient
            | Prim::Custom(_)
            | Prim::Iota(_)
            | Prim::Broadcast { .. }
            | Prim::Reshape(_)
            | Prim::Transpose(_)
            | Prim::Slice { .. }
            | Prim::Pad { .. }
            | Prim::Reverse(_)
            | Prim::Concat(_)
            | Prim::Index(_)
            | Prim::IndexSet(_)
            | Prim::IndexAdd(_) => false,
        },
        Op::Constant(_) => false,
        Op::Form(_) | Op::Effect(_) => true,
    }
}

/// Whether many steps can do the statement together: it is straight-line work on arrays.
fn is_plain(stmt: &Stmt) -> bool {
    match &stmt.op {
        Op::Prim(..) | Op::Constant(_) => true,
        Op::Effect(_) => false,
        Op::Form(form) => match &**form {
            Form::Map(m) => m.accs.is_empty() && m.body.stmts.iter().all(is_plain),
            Form::Scan(_) | Form::While(_) | Form::Switch(_) => false,
        },
    }
}

/// Which statement of a loop's body reads which.
struct Flow {
    made: HashMap<Var, usize>,
    /// For each statement, those whose results it reads.
    inputs: Vec<Vec<usize>>,
    /// What it reads otherwise: carries, the index, and what is from outside.
    others: Vec<Vec<Var>>,
}

/// What depends on no carry.
struct Free {
    at: Vec<bool>,
    /// Whether it is another thing at each step.
    varies: Vec<bool>,
    /// Variables of the body that are not the same at each step.
    changing: HashSet<Var>,
}

impl Free {
    fn is_same(&self, a: Atom) -> bool {
        a.var().is_none_or(|v| !self.changing.contains(&v))
    }
}

impl Flow {
    fn of(s: &Scan) -> Flow {
        let mut made = HashMap::new();
        let (mut inputs, mut others) = (Vec::new(), Vec::new());
        for (k, stmt) in s.body.stmts.iter().enumerate() {
            let (mut from, mut other) = (Vec::new(), Vec::new());
            for v in free_vars(stmt) {
                match made.get(&v) {
                    Some(i) => from.push(*i),
                    None => other.push(v),
                }
            }
            inputs.push(from);
            others.push(other);
            made.extend(stmt.outs.iter().map(|v| (*v, k)));
        }
        Flow { made, inputs, others }
    }

    fn without_carries(&self, s: &Scan) -> Free {
        let carries: HashSet<Var> = s.carries.iter().map(|c| c.var).collect();
        let (mut at, mut varies) = (Vec::new(), Vec::new());
        let mut changing = carries.clone();
        changing.insert(s.index);
        for (k, stmt) in s.body.stmts.iter().enumerate() {
            let free = is_plain(stmt)
                && self.inputs[k].iter().all(|i| at[*i])
                && !self.others[k].iter().any(|v| carries.contains(v));
            let changes =
                self.inputs[k].iter().any(|i| varies[*i]) || self.others[k].iter().any(|v| changing.contains(v));
            at.push(free);
            varies.push(changes);
            if changes {
                changing.extend(&stmt.outs);
            }
        }
        Free { at, varies, changing }
    }

    /// What carries, effects, and statements that must stay depend on.
    fn needed(&self, s: &Scan) -> Vec<bool> {
        let stmts = &s.body.stmts;
        let mut needed: Vec<bool> = stmts.iter().map(|stmt| !is_plain(stmt)).collect();
        for v in s.body.results[..s.carries.len()].iter().filter_map(|a| a.var()) {
            if let Some(k) = self.made.get(&v) {
                needed[*k] = true;
            }
        }
        self.with_inputs(&needed)
    }

    /// These statements and all that they are made of.
    fn with_inputs(&self, which: &[bool]) -> Vec<bool> {
        self.with_inputs_in(which, &vec![true; which.len()])
    }

    /// The same as far as it is in `of`.
    fn with_inputs_in(&self, which: &[bool], of: &[bool]) -> Vec<bool> {
        let mut all = which.to_vec();
        for k in (0..all.len()).rev() {
            if all[k] {
                self.inputs[k].iter().filter(|i| of[**i]).for_each(|i| all[*i] = true);
            }
        }
        all
    }

    /// What these statements read of others in the body, and of carries; each once.
    fn read_by(&self, which: &[bool], s: &Scan) -> Vec<Var> {
        let carries = s.carries.iter().map(|c| c.var);
        let mut readable: HashSet<Var> = carries.collect();
        readable.extend(self.made.iter().filter(|(_, k)| !which[**k]).map(|(v, _)| *v));
        let read = s.body.stmts.iter().zip(which).filter(|(_, w)| **w).flat_map(|(stmt, _)| free_vars(stmt));
        let mut read: Vec<Var> = read.filter(|v| readable.contains(v)).collect();
        read.sort();
        read.dedup();
        read
    }
}
