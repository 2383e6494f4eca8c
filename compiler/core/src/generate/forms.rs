//! One form, its bodies generated in turn.

use super::Generator;
use crate::ir::*;
use crate::prim::*;

impl Generator<'_> {
    pub fn form(&mut self) {
        let made = match self.random.below(6) {
            0 | 1 => self.map(),
            2 | 3 => self.scan(),
            4 => self.while_loop(),
            _ => self.switch(),
        };
        self.offer(made);
    }

    /// A body in which `bound` may be used; `results` are made at its end.
    fn body(&mut self, bound: &[Var], results: impl FnOnce(&mut Self) -> Vec<Atom>) -> Body {
        let outer = self.scope.len();
        self.scope.extend(bound);
        self.depth += 1;
        self.b.begin();
        self.statements(self.config.statements.div_ceil(2));
        let results = results(self);
        self.depth -= 1;
        self.scope.truncate(outer);
        self.b.end(results)
    }

    fn index(&mut self) -> Var {
        self.b.fresh(Type::scalar(DType::I32))
    }

    /// A variable of a value's type, starting from it.
    fn carry(&mut self) -> Carry {
        let init = self.value();
        Carry { var: self.b.fresh(self.b.ty(init)), init }
    }

    /// With no, one or two accumulators.
    fn map(&mut self) -> Vec<Atom> {
        let (n, index) = (self.size(), self.index());
        let accs: Vec<Carry> = (0..self.random.below(3))
            .map(|_| {
                let init = self.summand();
                Carry { var: self.b.fresh(self.b.ty(init)), init }
            })
            .collect();
        let body = self.body(&[index], |g| {
            let mut results: Vec<Atom> = accs.iter().map(|acc| g.accumulate(acc.var.into())).collect();
            let yielded = 1 + g.random.below(2);
            results.extend((0..yielded).map(|_| g.value()));
            results
        });
        self.b.form(Form::Map(Map { n, index, accs, body })).to_vec()
    }

    /// The accumulator with something added, in one of the ways that are allowed.
    fn accumulate(&mut self, acc: Atom) -> Atom {
        let ty = self.b.ty(acc);
        match self.random.below(4) {
            0 if ty.rank() > 0 && ty.shape[0] > 0 => {
                let i = self.place();
                let value = self.value_of(&Type::new(ty.dtype, &ty.shape[1..]));
                self.b.prim1(Prim::IndexAdd(None), &[acc, value, i])
            }
            1 => {
                let (n, index) = (self.size(), self.index());
                let inner = Carry { var: self.b.fresh(ty.clone()), init: acc };
                self.scope.push(index);
                self.b.begin();
                let value = self.value_of(&ty);
                let lane = self.b.prim1(Prim::Convert(ty.dtype), &[index.into()]);
                let value = self.b.mul(value, lane);
                let sum = self.b.add(inner.var.into(), value);
                let body = self.b.end(vec![sum]);
                self.scope.pop();
                let form = match self.random.below(2) {
                    0 => Form::Map(Map { n, index, accs: vec![inner], body }),
                    _ => {
                        let (reverse, train, checkpoint) = (false, false, Checkpoint::Carries);
                        Form::Scan(Scan { n, reverse, train, checkpoint, index, carries: vec![inner], body })
                    }
                };
                self.b.form(form)[0]
            }
            2 => acc,
            _ => {
                let value = self.value_of(&ty);
                self.b.add(acc, value)
            }
        }
    }

    /// Sometimes without a step.
    fn scan(&mut self) -> Vec<Atom> {
        let n = if self.random.below(8) == 0 { 0 } else { self.size() };
        let (reverse, index) = (self.random.below(3) == 0, self.index());
        let carries: Vec<Carry> = (0..1 + self.random.below(2)).map(|_| self.carry()).collect();
        let bound: Vec<Var> = carries.iter().map(|c| c.var).chain([index]).collect();
        let body = self.body(&bound, |g| {
            let mut results: Vec<Atom> = carries.iter().map(|c| g.next(c)).collect();
            results.extend((0..g.random.below(2)).map(|_| g.value()));
            results
        });
        let checkpoint = self.checkpoint();
        // The host paces one loop, from its first step to its last.
        let paced = self.depth == 0 && !reverse && self.config.wild.as_ref().is_some_and(|w| w.train);
        let train = paced && self.random.below(2) == 0;
        let mut made = self.b.form(Form::Scan(Scan { n, reverse, train, checkpoint, index, carries, body })).to_vec();
        // Tame programs have no arrays without elements.
        made.retain(|a| self.is_wild() || self.b.ty(*a).size() > 0);
        made
    }

    /// What is kept for derivatives: of no influence on anything.
    fn checkpoint(&mut self) -> Checkpoint {
        match self.depth {
            0 => self.random.pick(&[Checkpoint::Carries, Checkpoint::Every(2), Checkpoint::Sqrt]),
            _ => Checkpoint::Carries,
        }
    }

    /// A carry's next value: moderate, whatever it was.
    fn next(&mut self, c: &Carry) -> Atom {
        if self.is_wild() {
            return self.value_of(&self.b.ty(c.var.into()));
        }
        let shape = self.b.ty(c.var.into()).shape;
        let (x, old) = (self.float_of(&shape), c.var.into());
        let sum = self.b.add(x, old);
        self.b.unary(Unary::Tanh, sum)
    }

    /// Counts up to a bound that depends on a value; steps of a float decide it, unless all is to be smooth.
    fn while_loop(&mut self) -> Vec<Atom> {
        let limit: Atom = Lit::i32(self.random.below(self.config.largest) as i32).into();
        let count = Carry { var: self.index(), init: Lit::i32(0).into() };
        let state = self.carry();
        self.b.begin();
        let mut goes_on = self.b.prim1(Prim::Compare(Compare::Lt), &[count.var.into(), limit]);
        if self.is_wild() {
            let outer = self.scope.len();
            self.scope.extend([count.var, state.var]);
            let also = self.truth();
            self.scope.truncate(outer);
            goes_on = self.b.binary(Binary::And, goes_on, also);
        } else if !self.config.smooth {
            let mean = self.mean(state.var.into());
            let small = self.b.prim1(Prim::Compare(Compare::Lt), &[mean, Lit::of(self.config.float, 0.8).into()]);
            goes_on = self.b.binary(Binary::And, goes_on, small);
        }
        let condition = self.b.end(vec![goes_on]);
        let body = self.body(&[count.var, state.var], |g| {
            let next = g.next(&state);
            let counted = g.b.add(count.var.into(), Lit::i32(1).into());
            vec![counted, next]
        });
        let bounded = !self.config.unbounded || self.random.below(2) == 0;
        let max = bounded.then(|| match self.is_wild() {
            true => self.random.below(self.config.largest),
            false => self.config.largest + self.random.below(3),
        });
        let checkpoint = self.checkpoint();
        self.b.form(Form::While(While { carries: vec![count, state], condition, body, max, checkpoint })).to_vec()
    }

    fn switch(&mut self) -> Vec<Atom> {
        let by_bool = self.random.below(2) == 0;
        let which = match (by_bool, self.is_wild()) {
            (true, true) => self.truth(),
            (true, false) => self.condition(&[]),
            (false, _) => self.place(),
        };
        let arms = if by_bool { 2 } else { 1 + self.random.below(3) };
        let like = self.value();
        let ty = self.b.ty(like);
        let logs = self.config.unbounded;
        let arms = (0..arms)
            .map(|_| {
                self.body(&[], |g| {
                    let value = g.value_of(&ty);
                    if logs {
                        g.b.effect(Effect::Log { name: "value".into(), value, mask: Lit::bool(true).into() });
                    }
                    vec![value]
                })
            })
            .collect();
        self.b.form(Form::Switch(Switch { which, arms })).to_vec()
    }
}
