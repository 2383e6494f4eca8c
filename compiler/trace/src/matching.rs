//! `match`: which arm each case leads to, and the arms as those of a `Switch`.

use whorl_core::prim::Compare;
use whorl_core::{Atom, Body, DType, Form, Lit, Prim, Switch};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Arm, Case, CaseKind, Expr, Pattern, PatternKind};

use crate::names::{did_you_mean, listed};
use crate::tracer::{Tracer, fail};
use crate::tree::join;
use crate::value::{EnumRef, Env, Of, R, Value};

/// The arm for one case of the value.
#[derive(Clone, Copy)]
struct Way<'a> {
    arm: usize,
    /// The fields of the variant.
    payload: Option<&'a Pattern>,
    /// The variant that the fields belong to.
    variant: usize,
    /// A name for the whole value.
    name: Option<(&'a str, Span)>,
    span: Span,
}

impl<'a> Tracer<'a> {
    pub fn match_on(&mut self, of: &'a Expr, arms: &'a [Arm], env: &Env<'a>, span: Span) -> R<Value<'a>> {
        let v = self.expr(of, env)?;
        match &v {
            Value::Record(r) => {
                if let Some(Of::Enum(e)) = r.name {
                    return self.match_enum(e, &v, of.span, arms, env, span);
                }
            }
            Value::Bool(_) => return self.match_bool(&v, of.span, arms, env, span),
            Value::Int(_) | Value::Str(_) => return self.match_known(&v, of.span, arms, env, span),
            Value::Leaf(a) => {
                let ty = self.b.ty(*a);
                if ty.is_scalar() && ty.dtype == DType::Bool {
                    return self.match_bool(&v, of.span, arms, env, span);
                }
                if ty.is_scalar() && ty.dtype.is_int() {
                    return self.match_number(*a, of.span, arms, env, span);
                }
            }
            _ => {}
        }
        let e = Diagnostic::error("E0213", "`match` is on an enum, a whole number, a bool or a string");
        let e = e.at(of.span, format!("this is {}", v.describe(&self.b)));
        let many = matches!(&v, Value::Array { .. }) || matches!(&v, Value::Leaf(a) if !self.b.ty(*a).is_scalar());
        fail(if many {
            e.help("one at a time: `for x in xs { match x { … } }`")
        } else {
            e.help("compare with `if … else if … else …`")
        })
    }

    fn match_enum(
        &mut self,
        e: EnumRef<'a>,
        v: &Value<'a>,
        of: Span,
        arms: &'a [Arm],
        env: &Env<'a>,
        span: Span,
    ) -> R<Value<'a>> {
        let mut ways: Vec<Option<Way<'a>>> = vec![None; e.def.variants.len()];
        self.each_case(arms, &mut |t, arm, case| {
            let way = |variant, payload, name| Way { arm, payload, variant, name, span: case.span };
            let CaseKind::Variant { path, payload } = &case.kind else {
                if matches!(case.kind, CaseKind::Rest) {
                    return take_rest(&mut ways, way(0, None, None));
                }
                return t.foreign_case(case, of, &e.def.name.text);
            };
            let Some((name, prefix)) = path.split_last() else { return Ok(()) };
            if prefix.is_empty() && payload.is_none() && !name.text.starts_with(char::is_uppercase) {
                return take_rest(&mut ways, way(0, None, Some((&name.text, name.span))));
            }
            if !prefix.is_empty() && !t.enum_of_path(path).is_some_and(|f| std::ptr::eq(f.def, e.def)) {
                return t.foreign_case(case, of, &e.def.name.text);
            }
            let k = t.variant_place(e, name)?;
            take(&mut ways, k, way(k, payload.as_ref(), None), &name.text)
        })?;
        let missing = ways.iter().zip(&e.def.variants).filter(|(w, _)| w.is_none());
        let missing: Vec<&str> = missing.map(|(_, v)| v.name.text.as_str()).collect();
        if !missing.is_empty() {
            let arms = if missing.len() == 1 { "arm" } else { "arms" };
            let d = Diagnostic::error("E0210", format!("this `match` has no {arms} for {}", listed(missing.clone())));
            let d = d.at(span, "").at(e.def.name.span, "declared here");
            return fail(d.help(format!("`{} => …`, or `_ => …` for all that are left", missing[0])));
        }
        let ways: Vec<Way<'a>> = ways.into_iter().flatten().collect();
        let tag = self.tag_of(v);
        if let Some(Value::Int(k)) = tag {
            let way = ways[k as usize];
            return self.take_way(way, v, arms, env);
        }
        // Variants that share an arm, and nothing else, share it in the program too.
        let mut kept: Vec<Way<'a>> = Vec::new();
        let mut places = Vec::new();
        for way in ways {
            let shared = way.payload.is_none();
            let known = kept.iter().position(|k| shared && k.payload.is_none() && k.arm == way.arm);
            places.push(known.unwrap_or(kept.len()));
            if known.is_none() {
                kept.push(way);
            }
        }
        if let [only] = kept[..] {
            return self.take_way(only, v, arms, env);
        }
        let Some(Value::Leaf(tag)) = tag else { return Ok(Value::Unit) };
        let which = if places.iter().copied().eq(0..kept.len()) {
            tag
        } else {
            let last = places.last().copied().unwrap_or(0);
            let mut which: Atom = Lit::i32(last as i32).into();
            for (k, &place) in places.iter().enumerate().filter(|(_, p)| **p != last) {
                which = self.select_place(tag, Lit::i32(k as i32), place, which, span)?;
            }
            which
        };
        self.switch(which, &kept, v, arms, env, span)
    }

    fn match_bool(&mut self, v: &Value<'a>, of: Span, arms: &'a [Arm], env: &Env<'a>, span: Span) -> R<Value<'a>> {
        let mut ways = [None, None];
        self.each_case(arms, &mut |t, arm, case| {
            let way = |name| Way { arm, payload: None, variant: 0, name, span: case.span };
            match &case.kind {
                CaseKind::Bool(x) => take(&mut ways, usize::from(*x), way(None), if *x { "true" } else { "false" }),
                CaseKind::Rest => take_rest(&mut ways, way(None)),
                kind => match bound(kind) {
                    Some(name) => take_rest(&mut ways, way(Some(name))),
                    None => t.foreign_case(case, of, "a bool"),
                },
            }
        })?;
        let [Some(no), Some(yes)] = ways else {
            let missing = if ways[0].is_none() { "false" } else { "true" };
            let e = Diagnostic::error("E0210", format!("this `match` has no arm for `{missing}`")).at(span, "");
            return fail(e.help(format!("`{missing} => …`")));
        };
        match v {
            Value::Bool(x) => self.take_way(if *x { yes } else { no }, v, arms, env),
            other => {
                let which = self.condition(other, of)?;
                self.switch(which, &[no, yes], v, arms, env, span)
            }
        }
    }

    /// A number or a string known while tracing: one arm is taken.
    fn match_known(&mut self, v: &Value<'a>, of: Span, arms: &'a [Arm], env: &Env<'a>, span: Span) -> R<Value<'a>> {
        let (ways, rest) = self.literal_ways(arms, of, matches!(v, Value::Str(_)), span)?;
        let hit = ways.into_iter().find(|(case, _)| match (&case.kind, v) {
            (CaseKind::Int(i), Value::Int(j)) => i == j,
            (CaseKind::String(s), Value::Str(t)) => **s == **t,
            _ => false,
        });
        self.take_way(hit.map_or(rest, |(_, way)| way), v, arms, env)
    }

    fn match_number(&mut self, a: Atom, of: Span, arms: &'a [Arm], env: &Env<'a>, span: Span) -> R<Value<'a>> {
        let (ways, rest) = self.literal_ways(arms, of, false, span)?;
        let dtype = self.b.ty(a).dtype;
        let mut kept = vec![rest];
        let mut which: Atom = Lit::i32(0).into();
        for (case, way) in ways {
            let CaseKind::Int(i) = case.kind else { continue };
            let lit = crate::tree::static_lit(&Value::Int(i), dtype)
                .or_else(|why| fail(Diagnostic::error("E0207", "a literal does not fit here").at(case.span, why)))?;
            let place = kept.iter().position(|k| k.arm == way.arm && k.name.is_none()).unwrap_or(kept.len());
            if place == kept.len() {
                kept.push(way);
            }
            which = self.select_place(a, lit, place, which, span)?;
        }
        if kept.len() == 1 {
            return self.take_way(rest, &Value::Leaf(a), arms, env);
        }
        self.switch(which, &kept, &Value::Leaf(a), arms, env, span)
    }

    /// `place` where `a` is `lit`, else `otherwise`.
    fn select_place(&mut self, a: Atom, lit: Lit, place: usize, otherwise: Atom, span: Span) -> R<Atom> {
        let hit = self.prim(Prim::Compare(Compare::Eq), &[a, lit.into()], span)?;
        self.prim(Prim::Select, &[hit, Lit::i32(place as i32).into(), otherwise], span)
    }

    /// The arms for literals, and the one for everything else.
    #[allow(clippy::type_complexity)]
    fn literal_ways(
        &mut self,
        arms: &'a [Arm],
        of: Span,
        strings: bool,
        span: Span,
    ) -> R<(Vec<(&'a Case, Way<'a>)>, Way<'a>)> {
        let mut ways: Vec<(&'a Case, Way<'a>)> = Vec::new();
        let mut rest = [None];
        self.each_case(arms, &mut |t, arm, case| {
            let way = |name| Way { arm, payload: None, variant: 0, name, span: case.span };
            match &case.kind {
                CaseKind::Rest => take_rest(&mut rest, way(None)),
                CaseKind::Int(_) | CaseKind::String(_) if strings == matches!(case.kind, CaseKind::String(_)) => {
                    let first = ways.iter().find(|(c, _)| c.kind == case.kind).map(|(_, w)| *w).or(rest[0]);
                    if let Some(first) = first {
                        return unreachable_arm(case.span, first.span);
                    }
                    ways.push((case, way(None)));
                    Ok(())
                }
                kind => match bound(kind) {
                    Some(name) => take_rest(&mut rest, way(Some(name))),
                    None => t.foreign_case(case, of, if strings { "a string" } else { "a whole number" }),
                },
            }
        })?;
        match rest[0] {
            Some(rest) => Ok((ways, rest)),
            None => {
                let e = Diagnostic::error("E0210", "this `match` has no arm for the other values").at(span, "");
                fail(e.help("`_ => …`"))
            }
        }
    }

    fn each_case(&mut self, arms: &'a [Arm], f: &mut dyn FnMut(&mut Tracer<'a>, usize, &'a Case) -> R<()>) -> R<()> {
        for (k, arm) in arms.iter().enumerate() {
            arm.cases.iter().try_for_each(|case| f(self, k, case))?;
        }
        Ok(())
    }

    fn foreign_case(&self, case: &Case, of: Span, is: &str) -> R<()> {
        let e = Diagnostic::error("E0214", format!("this case can never be: the value is {is}"));
        let mut e = e.at(case.span, "").at(of, format!("this is {is}"));
        if let CaseKind::Variant { path, .. } = &case.kind
            && let [name] = &path[..]
        {
            e.help = did_you_mean(&name.text, ["true", "false"]);
        }
        fail(e)
    }

    /// The value of an arm.
    fn take_way(&mut self, way: Way<'a>, v: &Value<'a>, arms: &'a [Arm], env: &Env<'a>) -> R<Value<'a>> {
        let mut inner = env.clone();
        if let Some((name, span)) = way.name {
            inner.bind(name, v.clone(), span);
        }
        if let Some(pattern) = way.payload {
            self.bind_payload(pattern, way.variant, v, &mut inner)?;
        }
        self.expr(&arms[way.arm].body, &inner)
    }

    fn bind_payload(&mut self, pattern: &'a Pattern, variant: usize, v: &Value<'a>, env: &mut Env<'a>) -> R<()> {
        let (Value::Record(r), Some(of)) = (v, self.enum_in(v)) else { return Ok(()) };
        let variant = &of.def.variants[variant];
        let fields =
            variant.fields.iter().map(|f| (f.name.text.as_str(), r.get(&f.path).cloned().unwrap_or(Value::Unit)));
        match (&pattern.kind, variant.named) {
            (PatternKind::Tuple(parts), false) if parts.len() == variant.fields.len() => {
                let values: Vec<Value<'a>> = fields.map(|f| f.1).collect();
                parts.iter().zip(values).try_for_each(|(p, v)| self.bind(p, v, env))
            }
            (PatternKind::Record(_), true) => {
                let record = Value::record(None, fields.collect());
                self.bind(pattern, record, env)
            }
            _ => {
                let name = &variant.name.text;
                let e = Diagnostic::error("E0208", format!("this pattern does not fit `{name}`")).at(pattern.span, "");
                let names: Vec<&str> = variant.fields.iter().map(|f| f.name.text.as_str()).collect();
                fail(e.at(variant.name.span, "declared here").help(match (names.is_empty(), variant.named) {
                    (true, _) => format!("`{name}` has no fields"),
                    (false, true) => format!("`{name} {{ {} }}`", names.join(", ")),
                    (false, false) => format!("`{name}({})`", ["a", "b", "c", "d"][..names.len().min(4)].join(", ")),
                }))
            }
        }
    }

    fn switch(
        &mut self,
        which: Atom,
        ways: &[Way<'a>],
        v: &Value<'a>,
        arms: &'a [Arm],
        env: &Env<'a>,
        span: Span,
    ) -> R<Value<'a>> {
        let mark = self.key_mark();
        let (mut values, mut bodies, mut uses) = (Vec::new(), Vec::new(), Vec::new());
        for way in ways {
            let (value, body) = self.arm(span, |t| t.take_way(*way, v, arms, env))?;
            uses.extend(self.take_key_uses(mark));
            values.push(value);
            bodies.push(body);
        }
        self.give_key_uses(uses);
        let place = |k: usize| crate::call::result_span(&arms[ways[k].arm].body);
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

/// A name for the whole value.
fn bound(kind: &CaseKind) -> Option<(&str, Span)> {
    match kind {
        CaseKind::Variant { path, payload: None } => match &path[..] {
            [name] if !name.text.starts_with(char::is_uppercase) => Some((&name.text, name.span)),
            _ => None,
        },
        CaseKind::Variant { .. }
        | CaseKind::Int(_)
        | CaseKind::Bool(_)
        | CaseKind::String(_)
        | CaseKind::Rest
        | CaseKind::Error => None,
    }
}

fn take<'a>(ways: &mut [Option<Way<'a>>], k: usize, way: Way<'a>, what: &str) -> R<()> {
    match ways[k] {
        None => ways[k] = Some(way),
        Some(first) => {
            let e = Diagnostic::error("E0211", format!("`{what}` has an arm already")).at(way.span, "never taken");
            return fail(e.at(first.span, "taken here"));
        }
    }
    Ok(())
}

fn take_rest<'a>(ways: &mut [Option<Way<'a>>], way: Way<'a>) -> R<()> {
    if ways.iter().all(Option::is_some) {
        return unreachable_arm(way.span, ways.iter().flatten().next_back().map_or(way.span, |w| w.span));
    }
    for slot in ways {
        slot.get_or_insert(way);
    }
    Ok(())
}

fn unreachable_arm(here: Span, first: Span) -> R<()> {
    let e = Diagnostic::error("E0211", "this arm is never taken").at(here, "nothing is left for it");
    fail(e.at(first, "an arm before it takes what it would"))
}
