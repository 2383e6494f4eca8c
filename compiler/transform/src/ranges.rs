//! What values whole numbers can have: an interval for each variable, that all elements of the array lie in.
//!
//! Enough to see that an index from a loop, a draw, an `argmax`, a permutation or a `clamp` is in range, also after it went
//! through arrays, loops and branches. Of floats only bounds are followed (`clamp`, `min`, `max`, rounding), for `i32(…)` of them:
//! a NaN may hide in any, and becomes 0 there.

use std::collections::HashMap;

use whorl_core::check::CheckKind;
use whorl_core::ir::*;
use whorl_core::prim::{Binary, Compare, Monoid, Prim, Unary};

/// The program without the index checks that always hold.
pub fn remove_proven(program: &mut Program) {
    if !program.main.body.stmts.iter().any(checks_an_index) {
        return;
    }
    let mut r = Ranges { vars: &program.vars, known: HashMap::new(), defs: HashMap::new(), remove: true };
    r.body(&mut program.main.body);
}

/// The program without any index check.
pub fn remove_all(program: &mut Program) {
    fn go(body: &mut Body) {
        body.stmts.retain(|s| matches!(s.op, Op::Form(_)) || !checks_an_index(s));
        for stmt in &mut body.stmts {
            if let Op::Form(form) = &mut stmt.op {
                form.bodies_mut().into_iter().for_each(go);
            }
        }
    }
    go(&mut program.main.body);
}

fn checks_an_index(stmt: &Stmt) -> bool {
    match &stmt.op {
        Op::Prim(..) | Op::Constant(_) | Op::Effect(Effect::Log { .. }) => false,
        Op::Effect(Effect::Check { check, .. }) => matches!(check.kind, CheckKind::Index { .. }),
        Op::Form(f) => f.bodies().iter().any(|b| b.stmts.iter().any(checks_an_index)),
    }
}

/// From the first to the second, both included; whole numbers are exact in it.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Range(f64, f64);

impl Range {
    fn of_dtype(d: DType) -> Range {
        match d {
            DType::I32 => Range(i32::MIN as f64, i32::MAX as f64),
            DType::U32 => Range(0.0, u32::MAX as f64),
            DType::U8 => Range(0.0, 255.0),
            DType::Bool => Range(0.0, 1.0),
            _ => Range(f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    fn join(self, other: Range) -> Range {
        Range(self.0.min(other.0), self.1.max(other.1))
    }

    fn meet(self, other: Range) -> Range {
        Range(self.0.max(other.0), self.1.min(other.1))
    }

    fn within(self, other: Range) -> bool {
        self.0 >= other.0 && self.1 <= other.1
    }

    /// What arithmetic of whole numbers gives: all there are, where it may wrap.
    fn or_wrapped(self, d: DType) -> Range {
        let all = Range::of_dtype(d);
        if self.within(all) { self } else { all }
    }

    /// The smallest range with these numbers.
    fn around(numbers: &[f64]) -> Range {
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        Range(low, numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }
}

struct Ranges<'a> {
    vars: &'a Vars,
    /// Variables that are not here can be anything.
    known: HashMap<Var, Range>,
    /// How the variables that conditions are made of were computed.
    defs: HashMap<Var, (Prim, Atoms)>,
    /// Whether checks that hold are removed; not while a loop's carries are still being found.
    remove: bool,
}

impl Ranges<'_> {
    fn of(&self, a: Atom) -> Range {
        match a {
            Atom::Lit(l) if l.to_f64().is_nan() => Range::of_dtype(l.dtype),
            Atom::Lit(l) => Range(l.to_f64(), l.to_f64()),
            Atom::Var(v) => self.known.get(&v).copied().unwrap_or_else(|| Range::of_dtype(self.vars.ty(v).dtype)),
        }
    }

    fn body(&mut self, body: &mut Body) -> Vec<Range> {
        body.stmts.retain_mut(|stmt| self.keeps(stmt));
        body.results.iter().map(|a| self.of(*a)).collect()
    }

    /// Whether the statement stays; what it binds is known from here on.
    fn keeps(&mut self, stmt: &mut Stmt) -> bool {
        match &mut stmt.op {
            Op::Prim(prim, args) => {
                self.defs.insert(stmt.outs[0], (prim.clone(), args.clone()));
                for (k, &out) in stmt.outs.iter().enumerate() {
                    let range = self.prim(prim, args, k, self.vars.ty(out).dtype);
                    self.known.insert(out, range);
                }
            }
            Op::Constant(data) => {
                let range = if data.ty.dtype.is_float() || data.ty.size() == 0 {
                    Range::of_dtype(data.ty.dtype)
                } else {
                    Range::around(&data.to_f64())
                };
                self.known.insert(stmt.outs[0], range);
            }
            Op::Form(form) => {
                let ranges = self.form(form);
                self.known.extend(stmt.outs.iter().copied().zip(ranges));
            }
            Op::Effect(Effect::Check { check, values, .. }) => {
                if let CheckKind::Index { width, len } = check.kind {
                    return !(self.remove && self.of(values[0]).within(Range(0.0, len as f64 - width as f64)));
                }
            }
            Op::Effect(Effect::Log { .. }) => {}
        }
        true
    }

    fn form(&mut self, form: &mut Form) -> Vec<Range> {
        match form {
            Form::Map(m) => {
                self.known.insert(m.index, Range(0.0, m.n as f64 - 1.0));
                let accs = m.accs.len();
                let mut ranges = self.body(&mut m.body);
                // Sums of whole numbers may be anything.
                for (range, acc) in ranges[..accs].iter_mut().zip(&m.accs) {
                    *range = Range::of_dtype(self.vars.ty(acc.var).dtype);
                }
                ranges
            }
            Form::Scan(s) => {
                self.known.insert(s.index, Range(0.0, s.n as f64 - 1.0));
                let carries = std::mem::take(&mut s.carries);
                let mut ranges = self.looped(&carries, &mut |r| r.body(&mut s.body));
                for (range, c) in ranges.iter_mut().zip(&carries) {
                    *range = range.join(self.of(c.init));
                }
                s.carries = carries;
                ranges
            }
            Form::While(w) => {
                let carries = std::mem::take(&mut w.carries);
                let mut last = Vec::new();
                self.looped(&carries, &mut |r| {
                    r.body(&mut w.condition);
                    last = carries.iter().map(|c| r.of(c.var.into())).collect();
                    r.assuming(w.condition.results[0], true, |r| r.body(&mut w.body))
                });
                w.carries = carries;
                last
            }
            Form::Switch(s) => {
                let bool = self.vars.atom_type(&s.which).dtype == DType::Bool;
                let mut joined: Option<Vec<Range>> = None;
                for (k, arm) in s.arms.iter_mut().enumerate() {
                    let ranges = if bool { self.assuming(s.which, k == 1, |r| r.body(arm)) } else { self.body(arm) };
                    joined = Some(match joined {
                        None => ranges,
                        Some(before) => before.into_iter().zip(ranges).map(|(a, b)| a.join(b)).collect(),
                    });
                }
                joined.unwrap_or_default()
            }
        }
    }

    /// Finds ranges of carries that a step stays within, then goes through the body with them.
    fn looped(&mut self, carries: &[Carry], body: &mut dyn FnMut(&mut Self) -> Vec<Range>) -> Vec<Range> {
        let inits: Vec<Range> = carries.iter().map(|c| self.of(c.init)).collect();
        let all: Vec<Range> = carries.iter().map(|c| Range::of_dtype(self.vars.ty(c.var).dtype)).collect();
        let remove = std::mem::replace(&mut self.remove, false);
        let mut step = |r: &mut Self, ranges: &[Range]| {
            r.known.extend(carries.iter().map(|c| c.var).zip(ranges.iter().copied()));
            body(r)
        };
        let stays = |next: &[Range], ranges: &[Range]| ranges.iter().zip(next).all(|(r, next)| next.within(*r));
        let mut ranges = inits.clone();
        let mut next = step(self, &ranges);
        let mut round = 0;
        while !stays(&next, &ranges) {
            for ((range, next), all) in ranges.iter_mut().zip(&next).zip(&all) {
                if next.within(*range) {
                    continue;
                }
                // What still grows in the second round is taken to grow for ever.
                let (low, high) = (next.0 < range.0, next.1 > range.1);
                *range = match round {
                    0 => range.join(*next),
                    1 => Range(if low { all.0 } else { range.0 }, if high { all.1 } else { range.1 }),
                    _ => *all,
                };
            }
            next = step(self, &ranges);
            round += 1;
        }
        // That was too much where a step brings everything back.
        let narrow: Vec<Range> = inits.iter().zip(&next).map(|(init, next)| init.join(*next)).collect();
        if narrow != ranges {
            let again = step(self, &narrow);
            if stays(&again, &narrow) {
                (ranges, next) = (narrow, again);
            } else {
                next = step(self, &ranges);
            }
        }
        self.remove = remove;
        if remove { step(self, &ranges) } else { next }
    }

    /// What `f` gives where the condition is known to hold, or not.
    fn assuming<T>(&mut self, condition: Atom, holds: bool, f: impl FnOnce(&mut Self) -> T) -> T {
        let mut told = Vec::new();
        self.tell(condition, holds, &mut told);
        let before: Vec<(Var, Option<Range>)> = told.iter().map(|(v, _)| (*v, self.known.get(v).copied())).collect();
        for (v, range) in told {
            let range = self.of(v.into()).meet(range);
            self.known.insert(v, range);
        }
        let result = f(self);
        for (v, range) in before.into_iter().rev() {
            match range {
                Some(range) => self.known.insert(v, range),
                None => self.known.remove(&v),
            };
        }
        result
    }

    /// What a condition says: in which range what it compares is where it holds, or where it does not.
    fn tell(&self, condition: Atom, holds: bool, told: &mut Vec<(Var, Range)>) {
        let Some((prim, args)) = condition.var().and_then(|v| self.defs.get(&v)) else { return };
        match prim {
            Prim::Unary(Unary::Not) => self.tell(args[0], !holds, told),
            Prim::Binary(Binary::And) if holds => args.iter().for_each(|a| self.tell(*a, true, told)),
            Prim::Binary(Binary::Or) if !holds => args.iter().for_each(|a| self.tell(*a, false, told)),
            Prim::Binary(Binary::And | Binary::Or) => {
                // One of the two: what both say.
                let (mut one, mut other) = (Vec::new(), Vec::new());
                self.tell(args[0], holds, &mut one);
                self.tell(args[1], holds, &mut other);
                let with = |told: &[(Var, Range)], v: Var| {
                    told.iter().filter(|t| t.0 == v).fold(self.of(v.into()), |r, t| r.meet(t.1))
                };
                let both = one.iter().filter(|(v, _)| other.iter().any(|o| o.0 == *v));
                told.extend(both.map(|(v, _)| (*v, with(&one, *v).join(with(&other, *v)))));
            }
            Prim::Binary(Binary::Xor) => {
                for (a, b) in [(args[0], args[1]), (args[1], args[0])] {
                    let known = self.of(b);
                    if known.0 == known.1 {
                        self.tell(a, holds != (known.0 == 1.0), told);
                    }
                }
            }
            Prim::Compare(op) => {
                let (a, b) = (args[0], args[1]);
                // A NaN is neither below nor above: floats tell nothing where a comparison fails.
                if self.vars.atom_type(&a).dtype.is_float() {
                    return;
                }
                let op = if holds { *op } else { negated(*op) };
                let mut says = |x: Atom, op: Compare, y: Range| {
                    let Some(v) = x.var() else { return };
                    let none = Range(f64::NEG_INFINITY, f64::INFINITY);
                    told.push((
                        v,
                        match op {
                            Compare::Eq => y,
                            Compare::Ne => none,
                            Compare::Lt => Range(none.0, y.1 - 1.0),
                            Compare::Le => Range(none.0, y.1),
                            Compare::Gt => Range(y.0 + 1.0, none.1),
                            Compare::Ge => Range(y.0, none.1),
                        },
                    ));
                };
                says(a, op, self.of(b));
                says(b, swapped(op), self.of(a));
            }
            _ => {}
        }
    }

    fn prim(&mut self, prim: &Prim, args: &[Atom], out: usize, dtype: DType) -> Range {
        let all = Range::of_dtype(dtype);
        let arg = |k: usize| self.of(args[k]);
        match prim {
            Prim::Iota(n) => Range(0.0, *n as f64 - 1.0),
            Prim::StopGradient
            | Prim::Broadcast { .. }
            | Prim::Reshape(_)
            | Prim::Transpose(_)
            | Prim::Slice { .. }
            | Prim::Reverse(_)
            | Prim::Index(_) => arg(0),
            Prim::Pad { .. } | Prim::IndexSet(_) => arg(0).join(arg(1)),
            Prim::Concat(_) => (1..args.len()).fold(arg(0), |r, k| r.join(arg(k))),
            Prim::Sort { .. } => arg(out),
            Prim::ArgMax(axis) | Prim::ArgMin(axis) => {
                Range(0.0, self.vars.atom_type(&args[0]).shape[*axis] as f64 - 1.0)
            }
            Prim::Reduce(r) => match r.op {
                // Of nothing the largest is the smallest there is.
                Monoid::Max | Monoid::Min if self.vars.atom_type(&args[0]).size() > 0 => arg(0),
                _ => all,
            },
            Prim::Cumulative { op: Monoid::Max | Monoid::Min, .. } => arg(0),
            Prim::Select => {
                let yes = self.assuming(args[0], true, |r| r.again(args[1]));
                yes.join(self.assuming(args[0], false, |r| r.again(args[2])))
            }
            Prim::Convert(_) => {
                let from = self.vars.atom_type(&args[0]).dtype;
                let x = arg(0);
                match (from.is_float(), dtype.is_float()) {
                    (_, true) => all,
                    (true, false) if dtype == DType::Bool => all,
                    // Truncated and saturated; NaN gives 0.
                    (true, false) => Range(x.0.trunc(), x.1.trunc()).join(Range(0.0, 0.0)).meet(all),
                    (false, false) if dtype == DType::Bool => all,
                    (false, false) => x.or_wrapped(dtype),
                }
            }
            Prim::Unary(op) if dtype.is_float() => match op {
                Unary::Floor | Unary::Ceil | Unary::Round => {
                    // Rounding keeps order, so that it can be done to the ends.
                    let x = arg(0);
                    Range(x.0.floor(), x.1.ceil())
                }
                Unary::Neg => Range(-arg(0).1, -arg(0).0),
                _ => all,
            },
            Prim::Unary(op) => match op {
                Unary::Neg => Range(-arg(0).1, -arg(0).0).or_wrapped(dtype),
                Unary::Sign => Range(-1.0, 1.0).meet(all),
                Unary::PopCount => Range(0.0, 32.0),
                Unary::Abs => {
                    let x = arg(0);
                    let low = if x.0 <= 0.0 && x.1 >= 0.0 { 0.0 } else { x.0.abs().min(x.1.abs()) };
                    Range(low, x.0.abs().max(x.1.abs())).or_wrapped(dtype)
                }
                _ => all,
            },
            Prim::Binary(op) => self.binary(*op, arg(0), arg(1), dtype),
            _ => all,
        }
    }

    /// The range of what an atom was computed as, with what is assumed now.
    fn again(&mut self, a: Atom) -> Range {
        let range = self.of(a);
        let Some((Prim::Binary(op), args)) = a.var().and_then(|v| self.defs.get(&v)) else { return range };
        let dtype = self.vars.atom_type(&a).dtype;
        self.binary(*op, self.of(args[0]), self.of(args[1]), dtype).meet(range)
    }

    fn binary(&self, op: Binary, x: Range, y: Range, dtype: DType) -> Range {
        let all = Range::of_dtype(dtype);
        let corners = |f: fn(f64, f64) -> f64| Range::around(&[f(x.0, y.0), f(x.0, y.1), f(x.1, y.0), f(x.1, y.1)]);
        match op {
            Binary::Min => Range(x.0.min(y.0), x.1.min(y.1)),
            Binary::Max => Range(x.0.max(y.0), x.1.max(y.1)),
            _ if dtype.is_float() => all,
            Binary::Add => Range(x.0 + y.0, x.1 + y.1).or_wrapped(dtype),
            Binary::Sub => Range(x.0 - y.1, x.1 - y.0).or_wrapped(dtype),
            Binary::Mul => corners(|a, b| a * b).or_wrapped(dtype),
            Binary::Div if y.0 >= 1.0 => corners(|a, b| (a / b).trunc()),
            Binary::Rem if y.0 >= 1.0 => {
                let most = y.1 - 1.0;
                Range(if x.0 >= 0.0 { 0.0 } else { x.0.max(-most) }, if x.1 <= 0.0 { 0.0 } else { x.1.min(most) })
            }
            Binary::And if x.0 >= 0.0 && y.0 >= 0.0 => Range(0.0, x.1.min(y.1)),
            Binary::And if x.0 >= 0.0 => Range(0.0, x.1),
            Binary::And if y.0 >= 0.0 => Range(0.0, y.1),
            Binary::Shr | Binary::ShrLogical if x.0 >= 0.0 => Range(0.0, x.1),
            _ => all,
        }
    }
}

fn negated(op: Compare) -> Compare {
    match op {
        Compare::Eq => Compare::Ne,
        Compare::Ne => Compare::Eq,
        Compare::Lt => Compare::Ge,
        Compare::Le => Compare::Gt,
        Compare::Gt => Compare::Le,
        Compare::Ge => Compare::Lt,
    }
}

fn swapped(op: Compare) -> Compare {
    match op {
        Compare::Eq => Compare::Eq,
        Compare::Ne => Compare::Ne,
        Compare::Lt => Compare::Gt,
        Compare::Le => Compare::Ge,
        Compare::Gt => Compare::Lt,
        Compare::Ge => Compare::Le,
    }
}
