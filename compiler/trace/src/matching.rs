//! `match`: the arm that each value leads to, and the arms as those of a `Switch`.
//!
//! Every case of every arm is a row. Where the rows tell variants apart and look no deeper, the switch is by the tag. Otherwise
//! the rows are tested in order, and the first that holds is the switch's choice; a guard is computed where its row is reached.

use whorl_core::prim::{Binary, Compare, Unary};
use whorl_core::{Atom, Body, Form, Lit, Prim, Switch};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Arm, Case, CaseKind, Expr};

use crate::cases::{Test, binds_parts};
use crate::names::listed;
use crate::tracer::{Tracer, fail};
use crate::tree::join;
use crate::usefulness::{Head, Pat, TooMany, missing, useful};
use crate::value::{EnumRef, Env, Of, R, Value};

/// One case of one arm.
#[derive(Clone)]
struct Row<'a> {
    arm: &'a Arm,
    case: &'a Case,
    pattern: Pat<'a>,
}

impl<'a> Row<'a> {
    /// Whether both lead to the same value, of the same names.
    fn same_as(&self, other: &Row<'a>) -> bool {
        let nothing_bound = |r: &Row| !matches!(r.case.kind, CaseKind::Name(_)) && !binds_parts(r.case);
        std::ptr::eq(self.case, other.case)
            || (std::ptr::eq(self.arm, other.arm) && nothing_bound(self) && nothing_bound(other))
    }
}

/// What is matched, and where.
struct Match<'a, 'e> {
    v: Value<'a>,
    env: &'e Env<'a>,
    span: Span,
}

impl<'a> Tracer<'a> {
    pub fn match_on(&mut self, of: &'a Expr, arms: &'a [Arm], env: &Env<'a>, span: Span) -> R<Value<'a>> {
        let v = self.expr(of, env)?;
        let rows = self.rows(arms, &v, of.span)?;
        self.covered(&rows, &v, span)?;
        let m = Match { v, env, span };
        let of_enum = match &m.v {
            Value::Record(r) => match r.name {
                Some(Of::Enum(e)) => Some(e),
                Some(Of::Type(_)) | None => None,
            },
            _ => None,
        };
        let shallow = |row: &Row| match &row.pattern {
            Pat::Any => true,
            Pat::Of(Head::Variant(..), parts) => parts.iter().all(Pat::is_irrefutable),
            Pat::Of(..) => false,
        };
        match (of_enum, self.tag_of(&m.v)) {
            (Some(e), Some(Value::Leaf(tag))) if rows.iter().all(|r| r.arm.guard.is_none() && shallow(r)) => {
                self.match_tag(&m, e, tag, rows)
            }
            _ => self.match_in_order(&m, rows),
        }
    }

    fn rows(&mut self, arms: &'a [Arm], v: &Value<'a>, of: Span) -> R<Vec<Row<'a>>> {
        // To look at the types of parts, they are taken out; what that writes is dropped.
        self.b.begin();
        let cases = arms.iter().flat_map(|arm| arm.cases.iter().map(move |case| (arm, case)));
        let rows = cases.map(|(arm, case)| Ok(Row { arm, case, pattern: self.pattern_of(case, v, of)? })).collect();
        self.b.end(Vec::new());
        rows
    }

    /// Every value has an arm, and every case a value.
    fn covered(&self, rows: &[Row<'a>], v: &Value<'a>, span: Span) -> R<()> {
        let too_many = |_: TooMany| {
            let e =
                Diagnostic::error("E0217", "too many combinations of cases to tell whether all are there").at(span, "");
            Box::new(e.help("a `match` inside of an arm says the same with fewer"))
        };
        let mut before: Vec<&Row<'a>> = Vec::new();
        for row in rows {
            let patterns: Vec<Pat<'a>> = before.iter().map(|r| r.pattern.clone()).collect();
            if !useful(&patterns, &row.pattern).map_err(too_many)? {
                let alone = |first: &&&Row<'a>| {
                    useful(std::slice::from_ref(&first.pattern), &row.pattern).is_ok_and(|useful| !useful)
                };
                let last = before.last().map_or(row.case.span, |r| r.case.span);
                return never_taken(row, before.iter().find(alone).copied(), last);
            }
            if row.arm.guard.is_none() {
                before.push(row);
            }
        }
        let patterns: Vec<Pat<'a>> = before.iter().map(|r| r.pattern.clone()).collect();
        let left = missing(&patterns).map_err(too_many)?;
        if left.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = left.iter().map(Pat::text).collect();
        let guarded = rows.iter().any(|r| r.arm.guard.is_some());
        let by_guard = |e: Diagnostic| {
            if guarded { e.note("an arm with `if` may not be taken, and counts for no value") } else { e }
        };
        if let [.., Pat::Any | Pat::Of(Head::Whole { .. }, _)] = &left[..] {
            let example = match left.last() {
                Some(number @ Pat::Of(..)) => format!("`{}` is one of them", number.text()),
                Some(Pat::Any) | None => String::new(),
            };
            let e = Diagnostic::error("E0210", "this `match` has no arm for the other values").at(span, example);
            return fail(by_guard(e).help("`_ => …`"));
        }
        let arms = if texts.len() == 1 { "arm" } else { "arms" };
        let e = Diagnostic::error(
            "E0210",
            format!("this `match` has no {arms} for {}", listed(texts.iter().map(String::as_str))),
        );
        let mut e = e.at(span, "");
        if let Some(of) = self.enum_in(v) {
            e = e.at(of.def.name.span, "declared here");
        }
        let all =
            if matches!(left[0], Pat::Of(Head::Bool(_), _)) { "" } else { ", or `_ => …` for all that are left" };
        fail(by_guard(e).help(format!("`{} => …`{all}", texts[0])))
    }

    /// By the tag of an enum: the arm of each variant.
    fn match_tag(&mut self, m: &Match<'a, '_>, e: EnumRef<'a>, tag: Atom, rows: Vec<Row<'a>>) -> R<Value<'a>> {
        let admits = |row: &&Row<'a>, variant: usize| match &row.pattern {
            Pat::Of(Head::Variant(_, k), _) => *k == variant,
            Pat::Any | Pat::Of(..) => true,
        };
        let mut kept: Vec<Row<'a>> = Vec::new();
        let mut places = Vec::new();
        for k in 0..e.def.variants.len() {
            let Some(row) = rows.iter().find(|r| admits(r, k)) else { continue };
            let known = kept.iter().position(|other| other.same_as(row));
            places.push(known.unwrap_or(kept.len()));
            if known.is_none() {
                kept.push(row.clone());
            }
        }
        if let [only] = &kept[..] {
            return self.take_row(m, only);
        }
        let which = if places.iter().copied().eq(0..kept.len()) {
            tag
        } else {
            let last = places.last().copied().unwrap_or(0);
            let mut which: Atom = Lit::i32(last as i32).into();
            for (k, &place) in places.iter().enumerate().filter(|(_, p)| **p != last) {
                let hit = self.prim(Prim::Compare(Compare::Eq), &[tag, Lit::i32(k as i32).into()], m.span)?;
                which = self.prim(Prim::Select, &[hit, Lit::i32(place as i32).into(), which], m.span)?;
            }
            which
        };
        self.switch(which, m, &kept)
    }

    /// The first row that holds.
    fn match_in_order(&mut self, m: &Match<'a, '_>, rows: Vec<Row<'a>>) -> R<Value<'a>> {
        let mut reached: Vec<(Row<'a>, Option<Atom>)> = Vec::new();
        // Whether one of the rows so far holds; known as far as a guard behind them asks.
        let mut taken: Option<Atom> = None;
        for (k, row) in rows.iter().enumerate() {
            let mut test = self.test_of(row.case, &m.v)?;
            if let (Some(guard), false) = (&row.arm.guard, matches!(test, Test::Never)) {
                test = self.guarded(m, row, guard, test, taken)?;
            }
            match test {
                Test::Never => {}
                Test::Always => {
                    reached.push((row.clone(), None));
                    break;
                }
                Test::If(a) => {
                    if rows[k + 1..].iter().any(|r| r.arm.guard.is_some()) {
                        taken = Some(match taken {
                            Some(t) => self.prim(Prim::Binary(Binary::Or), &[t, a], m.span)?,
                            None => a,
                        });
                    }
                    reached.push((row.clone(), Some(a)));
                }
            }
        }
        // What none of the others takes is the last one's: all values have an arm.
        let Some((last, _)) = reached.pop() else { return Ok(Value::Unit) };
        if reached.is_empty() {
            return self.take_row(m, &last);
        }
        let mut kept = vec![last];
        let mut places = Vec::new();
        for (row, test) in reached {
            let known = kept.iter().position(|other| other.same_as(&row));
            places.push((known.unwrap_or(kept.len()), test));
            if known.is_none() {
                kept.push(row);
            }
        }
        if let [only] = &kept[..] {
            return self.take_row(m, only);
        }
        if let ([_, _], [(1, Some(test))]) = (&kept[..], &places[..]) {
            return self.switch(*test, m, &kept);
        }
        let mut which: Atom = Lit::i32(0).into();
        for (place, test) in places.into_iter().rev() {
            let place: Atom = Lit::i32(place as i32).into();
            which = match test {
                Some(test) => self.prim(Prim::Select, &[test, place, which], m.span)?,
                None => place,
            };
        }
        self.switch(which, m, &kept)
    }

    /// The test of a row and its guard, which is computed where the row is reached and nowhere else.
    fn guarded(
        &mut self,
        m: &Match<'a, '_>,
        row: &Row<'a>,
        guard: &'a Expr,
        test: Test,
        taken: Option<Atom>,
    ) -> R<Test> {
        let mut reached = test;
        if let Some(taken) = taken {
            let free = self.prim(Prim::Unary(Unary::Not), &[taken], guard.span)?;
            reached = self.both(reached, Test::If(free), guard.span)?;
        }
        let hit = |t: &mut Tracer<'a>| -> R<Value<'a>> {
            let mut inner = m.env.clone();
            t.bind_case(row.case, &m.v, &mut inner)?;
            match t.expr(guard, &inner)? {
                Value::Bool(x) => Ok(Value::Bool(x)),
                other => Ok(Value::Leaf(t.condition(&other, guard.span)?)),
            }
        };
        let Test::If(which) = reached else {
            return Ok(match hit(self)? {
                Value::Bool(true) => Test::Always,
                Value::Leaf(a) => Test::If(a),
                _ => Test::Never,
            });
        };
        let (value, body) = self.arm(guard.span, hit)?;
        let holds = match value {
            Value::Bool(true) => return Ok(test),
            Value::Leaf(a) => a,
            _ => return Ok(Test::Never),
        };
        let not_reached = Body { stmts: Vec::new(), results: vec![Lit::bool(false).into()] };
        let arms = vec![not_reached, Body { results: vec![holds], ..body }];
        Ok(Test::If(self.b.form(Form::Switch(Switch { which, arms }))[0]))
    }

    /// The value of an arm.
    fn take_row(&mut self, m: &Match<'a, '_>, row: &Row<'a>) -> R<Value<'a>> {
        let mut inner = m.env.clone();
        self.bind_case(row.case, &m.v, &mut inner)?;
        self.expr(&row.arm.body, &inner)
    }

    fn switch(&mut self, which: Atom, m: &Match<'a, '_>, rows: &[Row<'a>]) -> R<Value<'a>> {
        let mark = self.key_mark();
        let (mut values, mut bodies, mut uses) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let (value, body) = self.arm(m.span, |t| t.take_row(m, row))?;
            uses.extend(self.take_key_uses(mark));
            values.push(value);
            bodies.push(body);
        }
        self.give_key_uses(uses);
        let place = |k: usize| crate::call::result_span(&rows[k].arm.body);
        let mut common = values[0].clone();
        for (k, value) in values.iter().enumerate().skip(1) {
            common = match join(&self.b, &common, value) {
                Ok((common, _)) => common,
                Err(m) => {
                    let e = Diagnostic::error("E0203", "the arms of `match` give different types");
                    return fail(self.arms_differ(e, &m, place(0), place(k)));
                }
            };
        }
        let mut finished: Vec<Body> = Vec::new();
        for (value, body) in values.iter().zip(bodies) {
            let fitted = join(&self.b, &common, value).map_or_else(|_| value.clone(), |(_, fitted)| fitted);
            finished.push(Body { results: fitted.leaves(), ..body });
        }
        if finished.iter().all(|a| a.stmts.is_empty() && a.results.is_empty()) {
            return Ok(common);
        }
        let outs = self.b.form(Form::Switch(Switch { which, arms: finished }));
        let v = common.with_leaves(&mut outs.into_iter());
        Ok(self.renew_keys(&v))
    }
}

fn never_taken<'a>(row: &Row<'a>, first: Option<&Row<'a>>, last: Span) -> R<()> {
    if let Some(first) = first
        && let (Pat::Of(Head::Variant(..) | Head::Bool(_), _), Pat::Of(..)) = (&row.pattern, &first.pattern)
    {
        let e = Diagnostic::error("E0211", format!("`{}` has an arm already", row.pattern.text()));
        return fail(e.at(row.case.span, "never taken").at(first.case.span, "taken here"));
    }
    let e = Diagnostic::error("E0211", "this arm is never taken").at(row.case.span, "nothing is left for it");
    fail(match first {
        Some(first) => e.at(first.case.span, "an arm before it takes what it would"),
        None => e.at(last, "the arms before it take all that it would"),
    })
}
