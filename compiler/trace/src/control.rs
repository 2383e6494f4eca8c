//! Branches and loops: bodies are traced once and become forms.

use std::rc::Rc;

use whorl_core::{Atom, Body, Carry, Checkpoint, DType, Form, Lit, Map, Prim, Scan, Switch, Type, While};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{self, Block, Expr, ExprKind, Pattern, PatternKind, Policy};

use crate::keys::Pick;
use crate::limits::LONGEST_AXIS;
use crate::origin::Over;
use crate::report::follows;
use crate::tracer::{Tracer, Yielded, fail};
use crate::tree::{Mismatch, NO_FIELD, join};
use crate::value::{Arg, Env, Function, R, Value};

/// What a loop goes over.
enum Source<'a> {
    /// The whole numbers from here.
    Range(i64),
    /// The elements along the first axis.
    Elements(Value<'a>),
}

impl<'a> Tracer<'a> {
    /// The value of an `if` without `else`, which has none.
    fn no_else(&self, v: &Value<'a>, then: &Block) -> R<()> {
        if matches!(v, Value::Unit) {
            return Ok(());
        }
        let end = Span { start: then.span.end.saturating_sub(1), ..then.span };
        let what = v.describe(&self.b);
        let here = then.result.as_ref().map_or(then.span, |r| crate::call::result_span(r));
        let other = match v {
            Value::Leaf(a) if self.b.ty(*a).is_scalar() => match self.b.ty(*a).dtype {
                DType::Bool => "false".to_string(),
                d if d.is_float() => "0.0".to_string(),
                _ => "0".to_string(),
            },
            Value::Leaf(_) => self.text(here).trim_matches('`').to_string(),
            Value::Int(_) => "0".to_string(),
            Value::Float(_) => "0.0".to_string(),
            Value::Bool(_) => "false".to_string(),
            _ => "…".to_string(),
        };
        let other = if matches!(v, Value::Leaf(a) if !self.b.ty(*a).is_scalar()) {
            format!("zeros_like({other})")
        } else {
            other
        };
        let e = Diagnostic::error("E0630", "an `if` without `else` has no value");
        let e = e.at(end, format!("`else` is missing here: it must give {} as well", kind_of(v, &what)));
        fail(e.at(here, format!("this is {what}")).help(format!("`else {{ {other} }}`, or what it should be instead")))
    }

    /// `if`: one arm, where the condition is known while tracing; else both, as the arms of a `Switch`.
    pub fn branch(
        &mut self,
        condition: &'a Expr,
        then: &'a Block,
        otherwise: Option<&'a Expr>,
        env: &Env<'a>,
        span: Span,
        wanted: bool,
    ) -> R<Value<'a>> {
        let arm_value = |t: &mut Tracer<'a>| {
            let v = t.block(then, env)?;
            match otherwise {
                Some(_) => Ok(v),
                None if wanted => t.no_else(&v, then).map(|()| Value::Unit),
                None => Ok(Value::Unit),
            }
        };
        let other_value = |t: &mut Tracer<'a>| match otherwise {
            Some(e) if wanted => t.expr(e, env),
            Some(e) => t.unused_expr(e, env),
            None => Ok(Value::Unit),
        };
        let which = match self.expr(condition, env)? {
            Value::Bool(true) => return arm_value(self),
            Value::Bool(false) => return other_value(self),
            other => self.condition(&other, condition.span)?,
        };
        let mark = self.key_mark();
        let yes = self.attempt(|t| t.arm(span, arm_value))?;
        let yes_keys = self.take_key_uses(mark);
        let (no, no_body) = self.arm(span, other_value)?;
        let Some((yes, yes_body)) = yes else { return follows() };
        self.give_key_uses(yes_keys);
        let (yes, no) = match join(&self.b, &yes, &no) {
            Ok(pair) => pair,
            Err(m) => {
                let e = Diagnostic::error("E0203", "the arms of `if` give different types");
                let there = otherwise.map_or(span, crate::call::result_span);
                let here = then.result.as_ref().map_or(then.span, |r| crate::call::result_span(r));
                return fail(self.arms_differ(e, &m, here, there));
            }
        };
        let arms = vec![Body { results: no.leaves(), ..no_body }, Body { results: yes.leaves(), ..yes_body }];
        if arms.iter().all(|a| a.stmts.is_empty() && a.results.is_empty()) {
            return Ok(yes);
        }
        let outs = self.b.form(Form::Switch(Switch { which, arms }));
        let v = yes.with_leaves(&mut outs.into_iter());
        Ok(self.renew_keys(&v))
    }

    /// The labels of two arms of which a part differs.
    pub fn arms_differ(&self, e: Diagnostic, m: &Mismatch, here: Span, there: Span) -> Diagnostic {
        let ([left, right], note) = self.mismatch(m, here, there);
        let part = if m.path.is_empty() { String::new() } else { format!("its `{}` is ", m.path) };
        let told = |side: String| match side.as_str() {
            NO_FIELD => format!("it has no field `{}`", m.path),
            _ if part.is_empty() => format!("this is {side}"),
            _ => format!("{part}{side}"),
        };
        let mut e = e.at(here, told(left)).at(there, told(right));
        e.notes.extend(note);
        e
    }

    /// What stands on either side, with the sizes as they are named.
    pub fn mismatch(&self, m: &Mismatch, left: Span, right: Span) -> ([String; 2], Option<String>) {
        match m.arrays {
            Some((l, r)) => self.named_pair((l, left), (r, right)),
            None => ([m.left.clone(), m.right.clone()], None),
        }
    }

    pub fn arm(&mut self, span: Span, f: impl FnOnce(&mut Tracer<'a>) -> R<Value<'a>>) -> R<(Value<'a>, Body)> {
        let serial = self.serial;
        self.b.begin();
        let v = f(self)?;
        let v = self.settle_lists(&v, span)?;
        self.no_new_functions(&v, serial, span, "a branch")?;
        self.use_keys_in(&v, span, "the arm of an `if`")?;
        Ok((v, self.b.end(Vec::new())))
    }

    /// A `bool` scalar.
    pub fn condition(&mut self, v: &Value<'a>, span: Span) -> R<Atom> {
        let a = self.atom(v, None, span)?;
        let ty = self.b.ty(a);
        if ty == Type::scalar(DType::Bool) {
            return Ok(a);
        }
        let e =
            Diagnostic::error("E0206", "a condition is one bool").at(span, format!("this is {}", v.describe(&self.b)));
        fail(if ty.dtype == DType::Bool {
            e.help("`select(c, a, b)` chooses element by element; `any(c)` and `all(c)` make one bool of many")
        } else {
            let text = self.text(span);
            let zero = if ty.dtype.is_float() { "0.0" } else { "0" };
            let text = if text.starts_with('`') { text.trim_matches('`').to_string() } else { "x".to_string() };
            e.help(format!("compare it with something: `{text} > {zero}`, `{text} != {zero}`"))
        })
    }

    /// `for`: a `Map`, whose results are stacked.
    pub fn for_loop(
        &mut self,
        pattern: &'a Pattern,
        iter: &'a Expr,
        body: &'a Block,
        env: &Env<'a>,
        span: Span,
    ) -> R<Value<'a>> {
        let (n, source) = self.source(iter, env)?;
        let (index, serial) = (self.b.fresh(Type::scalar(DType::I32)), self.serial);
        self.b.begin();
        self.loops += 1;
        let mut inner = env.clone();
        let element = self.element_of(&source, n, index.into(), iter.span)?;
        self.bind(pattern, element, &mut inner)?;
        let v = self.block(body, &inner)?;
        let v = self.loop_result(&v, serial, body)?;
        self.loops -= 1;
        let body = self.b.end(v.leaves());
        let outer = self.b.at(span);
        let outs = self.b.form(Form::Map(Map { n, index, accs: Vec::new(), body }));
        self.b.at_spans(outer);
        self.note_loop(&outs, over(iter, &source));
        let v = Value::array(n, v.with_leaves(&mut outs.into_iter()));
        Ok(self.renew_keys(&v))
    }

    /// A value that leaves the body of a loop.
    fn loop_result(&mut self, v: &Value<'a>, serial: usize, body: &Block) -> R<Value<'a>> {
        let span = body_span(body);
        let v = self.settle(v, span)?;
        self.no_new_functions(&v, serial, span, "a loop")?;
        self.use_keys_in(&v, span, "the result of a loop")?;
        Ok(v)
    }

    /// Functions may leave a body only if they were there before: one made inside may use what is inside.
    fn no_new_functions(&self, v: &Value<'a>, serial: usize, span: Span, what: &str) -> R<()> {
        let Some((path, Value::Function(f))) = v.first_function("") else { return Ok(()) };
        if !newer(&f, serial) {
            return Ok(());
        }
        let at = if path.is_empty() { "this is a function".to_string() } else { format!("`{path}` is a function") };
        let e = Diagnostic::error("E0209", format!("a function cannot come out of {what}")).at(span, at);
        fail(e.help("make the function outside, or return the values it needs"))
    }

    fn source(&mut self, iter: &'a Expr, env: &Env<'a>) -> R<(usize, Source<'a>)> {
        let v = self.expr(iter, env)?;
        self.source_of(&v, iter.span)
    }

    fn source_of(&mut self, v: &Value<'a>, span: Span) -> R<(usize, Source<'a>)> {
        if let &Value::Range(from, to) = v {
            let steps = to.saturating_sub(from).max(0) as usize;
            if steps > LONGEST_AXIS || steps > 0 && i32::try_from(from).and(i32::try_from(to - 1)).is_err() {
                let e = Diagnostic::error("E0105", "this range does not fit i32, which the numbers of a loop are");
                let e = e.at(span, format!("it has {steps} numbers, from {from} on"));
                return fail(e.help("`while` goes on for as long as a condition holds"));
            }
            return Ok((steps, Source::Range(from)));
        }
        let v = if matches!(v, Value::List(_)) { self.settle(v, span)? } else { self.arrayed(v, 1, span)? };
        let (sizes, _) = v.outer(&self.b);
        match sizes.first() {
            Some(0) => fail(Diagnostic::error("E0106", "there is nothing to go over").at(span, "this has no elements")),
            Some(&n) => Ok((n, Source::Elements(v))),
            None => {
                let e = Diagnostic::error("E0206", "a loop goes over a range or an array");
                let e = e.at(span, format!("this is {}", v.describe(&self.b)));
                fail(match v {
                    Value::Int(n) => e.help(format!("`0..{n}`")),
                    Value::Tuple(_) => e.help("`zip(a, b)` goes over arrays side by side"),
                    Value::Record(_) => {
                        e.help("a record is an array of records if all its fields are arrays of one length")
                    }
                    _ => e,
                })
            }
        }
    }

    fn element_of(&mut self, source: &Source<'a>, n: usize, index: Atom, span: Span) -> R<Value<'a>> {
        match source {
            Source::Range(0) => Ok(Value::Leaf(index)),
            Source::Range(from) => {
                let from = self.atom(&Value::Int(*from), Some(DType::I32), span)?;
                Ok(Value::Leaf(self.b.add(index, from)))
            }
            Source::Elements(v) => self.pick(v, index, Pick::Among(0, n), span),
        }
    }

    /// Element `i`, known while tracing, along the first axis.
    pub fn element(&mut self, v: &Value<'a>, i: usize, span: Span) -> R<Value<'a>> {
        self.pick(v, Lit::i32(i as i32).into(), Pick::At(i), span)
    }

    /// The element at `index` along the first axis; `how` says which keys that may be.
    pub fn pick(&mut self, v: &Value<'a>, index: Atom, how: Pick, span: Span) -> R<Value<'a>> {
        let (n, elem) = match v {
            Value::Array { n, elem } => (*n, (**elem).clone()),
            other => (0, other.clone()),
        };
        let outer = self.b.at(span);
        if let (Value::Key(keys), Pick::At(i)) = (&elem, how)
            && let Some(from) = self.split_from(keys)
        {
            // One key of a split needs no array of them.
            let data = crate::random::split_at(&mut self.b, from, i as u32);
            self.b.at_spans(outer);
            return Ok(Value::Key(keys.picked(how, n, data, self.loops)));
        }
        let elem = elem.map_leaves(&mut |x| self.prim(Prim::Index(None), &[x, index], span));
        self.b.at_spans(outer);
        let loops = self.loops;
        Ok(elem?.map_keys(&mut |k| k.picked(how, n, k.data, loops)))
    }

    /// `fold(f, init, xs)`: a scan whose step is `f(carry, x)`.
    pub fn fold_over(
        &mut self,
        f: &Rc<Function<'a>>,
        init: &Arg<'a>,
        xs: &Arg<'a>,
        checkpoint: Checkpoint,
        span: Span,
    ) -> R<Value<'a>> {
        let (n, source) = self.source_of(&xs.value, xs.span)?;
        let (init_value, carries, carry) = self.carry(&init.value, init.span)?;
        let index = self.b.fresh(Type::scalar(DType::I32));
        self.b.begin();
        self.loops += 1;
        let carry = self.renew_keys(&carry);
        let element = self.element_of(&source, n, index.into(), xs.span)?;
        let next = self.call(f, vec![Arg::new(carry.clone(), init.span), Arg::new(element, xs.span)], span)?;
        let next = self.next_carry(&carry, &next, span, init.span, "fold")?;
        self.loops -= 1;
        let body = self.b.end(next.leaves());
        let form = Scan { n, reverse: false, train: false, checkpoint, index, carries, body };
        let outs = self.b.form(Form::Scan(form));
        let last = init_value.with_leaves(&mut outs.into_iter());
        Ok(self.renew_keys(&last))
    }

    /// `f` of each element of arrays side by side: a `for`.
    pub fn map_over(&mut self, f: &Rc<Function<'a>>, arrays: &[Arg<'a>], span: Span) -> R<Value<'a>> {
        let (mut sources, mut length) = (Vec::new(), 0);
        for x in arrays {
            let (n, source) = self.source_of(&x.value, x.span)?;
            length = n;
            sources.push((source, x.span));
        }
        let (index, serial) = (self.b.fresh(Type::scalar(DType::I32)), self.serial);
        self.b.begin();
        self.loops += 1;
        let mut args = Vec::new();
        for (source, span) in &sources {
            args.push(Arg::new(self.element_of(source, length, index.into(), *span)?, *span));
        }
        let v = self.call(f, args, span)?;
        let v = self.settle(&v, span)?;
        self.no_new_functions(&v, serial, span, "a loop")?;
        self.use_keys_in(&v, span, "the result of a loop")?;
        self.loops -= 1;
        let body = self.b.end(v.leaves());
        let outs = self.b.form(Form::Map(Map { n: length, index, accs: Vec::new(), body }));
        let v = Value::array(length, v.with_leaves(&mut outs.into_iter()));
        Ok(self.renew_keys(&v))
    }

    pub fn scan(&mut self, scan: &'a ast::Scan, env: &Env<'a>, span: Span) -> R<Value<'a>> {
        let (n, source) = self.source(&scan.iter, env)?;
        let checkpoint = self.checkpoint(scan.checkpoint.as_ref(), scan.train, env)?;
        let init_span = scan.init.as_ref().map_or(scan.pattern.span, |e| e.span);
        let init = match &scan.init {
            Some(e) => self.expr(e, env)?,
            None => self.pattern_value(&scan.pattern, env)?,
        };
        let (init, carries, carry) = self.carry(&init, init_span)?;
        let (index, serial) = (self.b.fresh(Type::scalar(DType::I32)), self.serial);
        self.b.begin();
        self.loops += 1;
        self.yields.push(Some(Yielded { depth: self.b.depth(), value: None, broken: false }));
        let carry = self.renew_keys(&carry);
        let mut inner = env.clone();
        self.bind(&scan.pattern, carry.clone(), &mut inner)?;
        let element = self.element_of(&source, n, index.into(), scan.iter.span)?;
        self.bind(&scan.element, element, &mut inner)?;
        let (next, yielded) = match &scan.until {
            None => {
                let next = self.block(&scan.body, &inner)?;
                let next = self.next_carry(&carry, &next, body_span(&scan.body), init_span, "scan")?;
                (next, self.yielded()?)
            }
            Some(until) => self.step_until(scan, until, &carry, &inner, init_span)?,
        };
        let mut results = next.leaves();
        if let Some((y, span)) = &yielded {
            self.no_new_functions(y, serial, *span, "a loop")?;
            self.use_keys_in(y, *span, "yield")?;
            results.extend(y.leaves());
        }
        self.loops -= 1;
        let body = self.b.end(results);
        let outer = self.b.at(span);
        let (reverse, train) = (scan.reverse, scan.train);
        let form = Scan { n, reverse, train, checkpoint, index, carries, body };
        let mut outs = self.b.form(Form::Scan(form)).into_iter();
        self.b.at_spans(outer);
        let last = next.with_leaves(&mut outs);
        // The carry keeps the structure it began with, and its names.
        let last = init.with_leaves(&mut last.leaves().into_iter());
        let last = self.renew_keys(&last);
        match yielded {
            None => Ok(last),
            Some((y, _)) => {
                let rows: Vec<Atom> = outs.collect();
                self.note_loop(&rows, over(&scan.iter, &source));
                let mut outs = rows.into_iter();
                let ys = Value::array(n, y.with_leaves(&mut outs));
                let ys = self.renew_keys(&ys);
                Ok(Value::tuple(vec![last, ys]))
            }
        }
    }

    /// What the innermost scan yielded, whose body ends here.
    fn yielded(&mut self) -> R<Option<(Value<'a>, Span)>> {
        match self.yields.pop().flatten() {
            Some(scan) if scan.broken => follows(),
            Some(scan) => Ok(scan.value),
            None => Ok(None),
        }
    }

    /// What a derivative is to keep of a loop.
    fn checkpoint(&mut self, c: Option<&'a ast::Checkpoint>, train: bool, env: &Env<'a>) -> R<Checkpoint> {
        let Some(c) = c else { return Ok(Checkpoint::Carries) };
        if train {
            let e = Diagnostic::error("E0509", "the loop that the host paces keeps no states for a derivative");
            return fail(e.at(c.span, "").help("leave this out, or put it in the head of a loop inside"));
        }
        match &c.policy {
            Policy::Carries | Policy::Error => Ok(Checkpoint::Carries),
            Policy::Sqrt => Ok(Checkpoint::Sqrt),
            Policy::Every(e) => {
                let v = self.expr(e, env)?;
                self.checkpoint_every(&v, e.span)
            }
        }
    }

    pub fn checkpoint_every(&mut self, v: &Value<'a>, span: Span) -> R<Checkpoint> {
        match self.size(v, span)? {
            0 => {
                let e = Diagnostic::error("E0508", "`checkpoint every` takes a number of steps, at least 1");
                fail(e.at(span, "this is 0").help("`checkpoint sqrt` chooses the number itself"))
            }
            k => Ok(Checkpoint::Every(k)),
        }
    }

    /// A step of `scan … until c`: where c holds, the carry stays and zeros are yielded; else the body runs.
    fn step_until(
        &mut self,
        scan: &'a ast::Scan,
        until: &'a Expr,
        carry: &Value<'a>,
        env: &Env<'a>,
        init_span: Span,
    ) -> R<(Value<'a>, Option<(Value<'a>, Span)>)> {
        let mut before = env.clone();
        self.bind(&scan.pattern, carry.clone(), &mut before)?;
        let ended = self.expr(until, &before)?;
        let which = self.condition(&ended, until.span)?;
        if scan.train {
            let e = Diagnostic::error("E0206", "the loop that the host paces runs all its steps");
            return fail(e.at(until.span, "`until` in a `train scan`"));
        }
        self.b.begin();
        if let Some(Some(frame)) = self.yields.last_mut() {
            frame.depth = self.b.depth();
        }
        // A key of the carry is passed on by one of the arms.
        let mark = self.key_mark();
        let next = self.block(&scan.body, env)?;
        let next = self.next_carry(carry, &next, body_span(&scan.body), init_span, "scan")?;
        let yielded = self.yielded()?;
        let mut results = next.leaves();
        if let Some((y, span)) = &yielded {
            self.use_keys_in(y, *span, "yield")?;
            results.extend(y.leaves());
        }
        let step = self.b.end(results);
        let step_keys = self.take_key_uses(mark);
        self.b.begin();
        let carry = self.settle(carry, init_span)?;
        let mut held = carry.leaves();
        if let Some((y, _)) = &yielded {
            for a in y.leaves() {
                let ty = self.b.ty(a);
                held.push(self.b.zeros(&ty));
            }
        }
        let hold = self.b.end(held);
        self.give_key_uses(step_keys);
        let outs = self.b.form(Form::Switch(Switch { which, arms: vec![step, hold] }));
        let mut outs = outs.into_iter();
        let next = next.with_leaves(&mut outs);
        let next = self.renew_keys(&next);
        let yielded = yielded.map(|(y, span)| {
            let y = y.with_leaves(&mut outs);
            (self.renew_keys(&y), span)
        });
        Ok((next, yielded))
    }

    #[allow(clippy::too_many_arguments)]
    pub fn while_loop(
        &mut self,
        pattern: &'a Pattern,
        init: &'a Expr,
        condition: &'a Expr,
        max: Option<&'a Expr>,
        checkpoint: Option<&'a ast::Checkpoint>,
        body: &'a Block,
        env: &Env<'a>,
        span: Span,
    ) -> R<Value<'a>> {
        let max = match max {
            Some(e) => {
                let v = self.expr(e, env)?;
                Some(self.size(&v, e.span)?)
            }
            None => None,
        };
        let checkpoint = self.checkpoint(checkpoint, false, env)?;
        let start = self.expr(init, env)?;
        let (init_value, carries, carry) = self.carry(&start, init.span)?;
        self.loops += 1;
        let carry = self.renew_keys(&carry);
        let mut inner = env.clone();
        self.bind(pattern, carry.clone(), &mut inner)?;
        self.yields.push(None);
        self.b.begin();
        let c = self.expr(condition, &inner)?;
        let c = self.condition(&c, condition.span)?;
        let condition = self.b.end(vec![c]);
        self.b.begin();
        let next = self.block(body, &inner)?;
        let next = self.next_carry(&carry, &next, body_span(body), init.span, "while")?;
        self.loops -= 1;
        self.yields.pop();
        let body = self.b.end(next.leaves());
        let outer = self.b.at(span);
        let outs = self.b.form(Form::While(While { carries, condition, body, max, checkpoint }));
        self.b.at_spans(outer);
        let last = init_value.with_leaves(&mut outs.into_iter());
        Ok(self.renew_keys(&last))
    }

    /// What a loop carries: the settled start, fresh variables, and the value they make up.
    fn carry(&mut self, init: &Value<'a>, span: Span) -> R<(Value<'a>, Vec<Carry>, Value<'a>)> {
        let init = self.settle(init, span)?;
        self.use_keys_in(&init, span, "the start of a loop")?;
        let carries = init.leaves().into_iter().map(|a| {
            let var = self.b.fresh(self.b.ty(a));
            self.note_carry(var, a, span);
            Carry { var, init: a }
        });
        let carries: Vec<Carry> = carries.collect();
        let carry = init.with_leaves(&mut carries.iter().map(|c| Atom::Var(c.var)));
        Ok((init, carries, carry))
    }

    /// What a step gives, of the type of what it got.
    fn next_carry(&mut self, carry: &Value<'a>, next: &Value<'a>, span: Span, init: Span, what: &str) -> R<Value<'a>> {
        let next = self.settle_lists(next, span)?;
        let next = match join(&self.b, carry, &next) {
            Ok((_, next)) => next,
            Err(m) => return self.carry_changes(m, &next, span, init, what),
        };
        self.use_keys_in(&next, span, "the next step")?;
        Ok(next)
    }

    fn carry_changes<T>(&self, m: Mismatch, next: &Value<'a>, span: Span, init: Span, what: &str) -> R<T> {
        let e = Diagnostic::error("E0204", format!("a step of `{what}` gives something else than it got"));
        let ([left, right], note) = self.mismatch(&m, init, span);
        let now = match right.as_str() {
            NO_FIELD => format!("it has no field `{}` here", m.path),
            _ => format!("{} is {right} here", m.place()),
        };
        let began = match left.as_str() {
            NO_FIELD => format!("it began without `{}`", m.path),
            _ => format!("{} began as {left}", m.place()),
        };
        let mut e = e.at(span, now).at(init, began);
        e.notes.extend(note);
        fail(match next {
            Value::Unit => e.help("the last line of the body is the next state"),
            _ if m.left == "i32" && m.right == "f32" => e.help("begin with a number with a point: `0.0`"),
            _ if m.left.starts_with("the whole number") && m.right == "f32" => {
                e.help("begin with a number with a point: `0.0`")
            }
            _ if m.arrays.is_some() => e.help(
                "what a loop carries keeps its type and sizes; `yield x` collects one value a step into an array",
            ),
            _ => e,
        })
    }

    /// `scan s for …`: the pattern as an expression.
    fn pattern_value(&mut self, pattern: &'a Pattern, env: &Env<'a>) -> R<Value<'a>> {
        match &pattern.kind {
            PatternKind::Name(name) => match env.get(name) {
                Some(b) if b.broken => follows(),
                Some(b) => Ok(b.value.clone()),
                None => {
                    let e = Diagnostic::error("E0401", format!("unknown name `{name}`")).at(pattern.span, "");
                    fail(e.help(format!("`scan {name} = start for …` says what it begins with")))
                }
            },
            PatternKind::Tuple(parts) => {
                Ok(Value::tuple(parts.iter().map(|p| self.pattern_value(p, env)).collect::<R<_>>()?))
            }
            PatternKind::Ignore | PatternKind::Array(_) | PatternKind::Record(_) | PatternKind::Error => fail(
                Diagnostic::error("E0208", "say what the scan begins with")
                    .at(pattern.span, "")
                    .help("scan s = start for …"),
            ),
        }
    }
}

/// Where a body's value is written.
fn body_span(body: &Block) -> Span {
    body.result.as_ref().map_or(body.span, |r| crate::call::result_span(r))
}

/// Of a number known while tracing, its type.
fn kind_of<'w>(v: &Value, what: &'w str) -> &'w str {
    match v {
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => crate::tracer::own_dtype(v).name(),
        _ => what,
    }
}

/// What says how often a loop runs.
fn over(iter: &Expr, source: &Source) -> Over {
    match (&iter.kind, source) {
        (ExprKind::Range(_, to), Source::Range(0)) => Over::Written(to.span),
        (_, Source::Elements(v)) => v.leaves().first().map_or(Over::Unknown, |a| Over::Array(*a)),
        (_, Source::Range(_)) => Over::Unknown,
    }
}

fn newer(f: &Function, serial: usize) -> bool {
    match f {
        Function::Closure { serial: s, .. } => *s > serial,
        Function::Derivative(d) => newer(&d.of, serial),
        Function::Custom(c) => newer(&c.forward, serial) || newer(&c.backward, serial),
        Function::Item { .. } | Function::Builtin(_) | Function::Variant { .. } | Function::VariantOf(_) => false,
    }
}
