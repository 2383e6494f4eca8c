//! The cases of an arm beside a value: what they admit, the test for it when the program runs, and the names that they bind.

use whorl_core::prim::{Binary, Compare, Unary};
use whorl_core::{Atom, DType, Prim};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Case, CaseKind, Name};

use crate::names::did_you_mean;
use crate::tracer::{Tracer, fail};
use crate::tree::static_lit;
use crate::usefulness::{Head, Pat};
use crate::value::{EnumRef, Env, Of, R, Value};

/// Whether a case is met.
#[derive(Clone, Copy)]
pub enum Test {
    Never,
    Always,
    /// Where this bool holds.
    If(Atom),
}

/// What the value is that a case is compared with.
#[derive(Clone, Copy)]
struct Place {
    /// Where it is written.
    of: Span,
    /// Inside of how many other cases.
    depth: usize,
}

impl<'a> Tracer<'a> {
    /// What a case admits of a value that looks like `v`, if it fits at all.
    pub fn pattern_of(&mut self, case: &'a Case, v: &Value<'a>, of: Span) -> R<Pat<'a>> {
        self.admitted(case, v, Place { of, depth: 0 })
    }

    fn admitted(&mut self, case: &'a Case, v: &Value<'a>, at: Place) -> R<Pat<'a>> {
        let inside = Place { depth: at.depth + 1, ..at };
        let literal = |head| Ok(Pat::Of(head, Vec::new()));
        match &case.kind {
            CaseKind::Rest | CaseKind::Name(_) | CaseKind::Error => Ok(Pat::Any),
            CaseKind::Bool(x) => match self.is_scalar(v, |d| d == DType::Bool) || matches!(v, Value::Bool(_)) {
                true => literal(Head::Bool(*x)),
                false => self.foreign_case(case, v, at),
            },
            CaseKind::String(text) => match v {
                Value::Str(_) => literal(Head::Text(text)),
                _ => self.foreign_case(case, v, at),
            },
            CaseKind::Int(i) => self.whole(case, v, (*i, *i), at),
            CaseKind::Range(low, high) if low < high => self.whole(case, v, (*low, high - 1), at),
            CaseKind::Range(low, high) => {
                let e = Diagnostic::error("E0216", format!("there is no number in {low}..{high}")).at(case.span, "");
                fail(e.help("the range ends before its second number, which is the larger one"))
            }
            CaseKind::Variant { path, payload } => {
                let (Some(e), Some(name)) = (self.one_of(v), path.last()) else {
                    return self.foreign_case(case, v, at);
                };
                if path.len() > 1 && !self.enum_of_path(path).is_some_and(|f| std::ptr::eq(f.def, e.def)) {
                    return self.foreign_case(case, v, at);
                }
                let k = self.variant_place(e, name)?;
                let mut parts = vec![Pat::Any; e.def.variants[k].fields.len()];
                if let Some(payload) = payload {
                    for (part, inner, value) in self.payload(payload, e, k, v)? {
                        parts[part] = self.admitted(inner, &value, inside)?;
                    }
                }
                Ok(Pat::Of(Head::Variant(e.def, k), parts))
            }
            CaseKind::Tuple(cases) => {
                let values = self.tuple_parts(case.span, v, cases.len())?;
                let parts = cases.iter().zip(&values).map(|(c, v)| self.admitted(c, v, inside));
                Ok(Pat::Of(Head::Tuple(cases.len()), parts.collect::<R<_>>()?))
            }
            CaseKind::Array(cases) => {
                let values = self.array_parts(case.span, v, cases.len())?;
                let parts = cases.iter().zip(&values).map(|(c, v)| self.admitted(c, v, inside));
                Ok(Pat::Of(Head::Array(cases.len()), parts.collect::<R<_>>()?))
            }
            CaseKind::Record(fields) => {
                let names: Vec<&'a str> = match v.outer(&self.b).1 {
                    Value::Record(r) => r.fields.iter().map(|f| f.0).collect(),
                    _ => Vec::new(),
                };
                let mut parts = vec![Pat::Any; names.len()];
                for (name, inner) in fields {
                    let value = self.field(v, name, case.span)?;
                    let admitted = inner.as_ref().map_or(Ok(Pat::Any), |c| self.admitted(c, &value, inside))?;
                    if let Some(k) = names.iter().position(|n| *n == name.text) {
                        parts[k] = admitted;
                    }
                }
                Ok(Pat::Of(Head::Record(names), parts))
            }
        }
    }

    fn is_scalar(&self, v: &Value<'a>, of: impl Fn(DType) -> bool) -> bool {
        matches!(v, Value::Leaf(a) if self.b.ty(*a).is_scalar() && of(self.b.ty(*a).dtype))
    }

    /// The enum of a value, not of an array.
    fn one_of(&self, v: &Value<'a>) -> Option<EnumRef<'a>> {
        match v {
            Value::Record(r) => match r.name {
                Some(Of::Enum(e)) => Some(e),
                Some(Of::Type(_)) | None => None,
            },
            _ => None,
        }
    }

    /// The numbers from `low` to `high`, which are of the value's type.
    fn whole(&mut self, case: &'a Case, v: &Value<'a>, (low, high): (i64, i64), at: Place) -> R<Pat<'a>> {
        let of = match v {
            Value::Int(_) => (i64::MIN, i64::MAX),
            Value::Leaf(a) if self.is_scalar(v, DType::is_int) => {
                let dtype = self.b.ty(*a).dtype;
                for end in [low, high] {
                    if let Err(why) = static_lit(&Value::Int(end), dtype) {
                        return fail(Diagnostic::error("E0207", "a literal does not fit here").at(case.span, why));
                    }
                }
                match dtype {
                    DType::U8 => (0, u8::MAX as i64),
                    DType::U32 => (0, u32::MAX as i64),
                    _ => (i32::MIN as i64, i32::MAX as i64),
                }
            }
            _ => return self.foreign_case(case, v, at),
        };
        Ok(Pat::Of(Head::Whole { low, high, of }, Vec::new()))
    }

    fn foreign_case<T>(&self, case: &Case, v: &Value<'a>, at: Place) -> R<T> {
        let one = self.one_of(v);
        let is = match v {
            _ if one.is_some() => one.map_or(String::new(), |e| e.def.name.text.clone()),
            Value::Str(_) => "a string".to_string(),
            Value::Bool(_) => "a bool".to_string(),
            Value::Int(_) => "a whole number".to_string(),
            v if self.is_scalar(v, |d| d == DType::Bool) => "a bool".to_string(),
            v if self.is_scalar(v, DType::is_int) => "a whole number".to_string(),
            v if at.depth == 0 && !matches!(v, Value::Tuple(_) | Value::Record(_)) => {
                let e = Diagnostic::error("E0213", "`match` is on an enum, a whole number, a bool or a string");
                let e = e.at(at.of, format!("this is {}", v.describe(&self.b)));
                let many =
                    matches!(&v, Value::Array { .. }) || matches!(&v, Value::Leaf(a) if !self.b.ty(*a).is_scalar());
                return fail(if many {
                    e.help("one at a time: `for x in xs { match x { … } }`")
                } else {
                    e.help("compare with `if … else if … else …`")
                });
            }
            v => v.describe(&self.b),
        };
        let place = if at.depth == 0 { "the value" } else { "what stands here" };
        let e = Diagnostic::error("E0214", format!("this case can never be: {place} is {is}")).at(case.span, "");
        let mut e = e.at(at.of, if at.depth == 0 { format!("this is {is}") } else { "inside of this".to_string() });
        if let CaseKind::Variant { path, .. } = &case.kind
            && let [name] = &path[..]
        {
            e.help = did_you_mean(&name.text, ["true", "false"]);
        }
        fail(e)
    }

    /// The places, cases and values of the fields that a variant's case names.
    #[allow(clippy::type_complexity)]
    fn payload(
        &mut self,
        payload: &'a Case,
        e: EnumRef<'a>,
        k: usize,
        v: &Value<'a>,
    ) -> R<Vec<(usize, &'a Case, Value<'a>)>> {
        let variant = &e.def.variants[k];
        let field = |name: &str| match v {
            Value::Record(r) => r.get(name).cloned().unwrap_or(Value::Unit),
            _ => Value::Unit,
        };
        match (&payload.kind, variant.named) {
            (CaseKind::Tuple(parts), false) if parts.len() == variant.fields.len() => {
                let fields = parts.iter().zip(&variant.fields).enumerate();
                Ok(fields.map(|(i, (case, f))| (i, case, field(&f.path))).collect())
            }
            (CaseKind::Record(parts), true) => {
                let mut found = Vec::new();
                for (name, inner) in parts {
                    let k = self.field_of_variant(e, k, name)?;
                    found.extend(inner.as_ref().map(|inner| (k, inner, field(&variant.fields[k].path))));
                }
                Ok(found)
            }
            _ => {
                let name = &variant.name.text;
                let e = Diagnostic::error("E0208", format!("this pattern does not fit `{name}`")).at(payload.span, "");
                let names: Vec<&str> = variant.fields.iter().map(|f| f.name.text.as_str()).collect();
                fail(e.at(variant.name.span, "declared here").help(match (names.is_empty(), variant.named) {
                    (true, _) => format!("`{name}` has no fields"),
                    (false, true) => format!("`{name} {{ {} }}`", names.join(", ")),
                    (false, false) => format!("`{name}({})`", ["a", "b", "c", "d"][..names.len().min(4)].join(", ")),
                }))
            }
        }
    }

    fn field_of_variant(&self, e: EnumRef<'a>, k: usize, name: &Name) -> R<usize> {
        let variant = &e.def.variants[k];
        let names = || variant.fields.iter().map(|f| f.name.text.as_str());
        if let Some(k) = names().position(|n| n == name.text) {
            return Ok(k);
        }
        let mut e = Diagnostic::error("E0202", format!("`{}` has no field `{}`", variant.name.text, name.text));
        e = e.at(name.span, "").at(variant.name.span, "declared here");
        e.help = did_you_mean(&name.text, names());
        fail(e)
    }

    /// The test of a case that fits the value.
    pub fn test_of(&mut self, case: &'a Case, v: &Value<'a>) -> R<Test> {
        let span = case.span;
        match &case.kind {
            CaseKind::Rest | CaseKind::Name(_) | CaseKind::Error => Ok(Test::Always),
            CaseKind::Bool(x) => match v {
                Value::Bool(y) => Ok(known(x == y)),
                Value::Leaf(a) if *x => Ok(Test::If(*a)),
                Value::Leaf(a) => Ok(Test::If(self.prim(Prim::Unary(Unary::Not), &[*a], span)?)),
                _ => Ok(Test::Never),
            },
            CaseKind::String(text) => Ok(known(matches!(v, Value::Str(s) if **s == **text))),
            CaseKind::Int(i) => self.test_number(v, *i, *i, span),
            CaseKind::Range(low, high) => self.test_number(v, *low, high - 1, span),
            CaseKind::Variant { path, payload } => {
                let (Some(e), Some(name)) = (self.one_of(v), path.last()) else { return Ok(Test::Never) };
                let k = self.variant_place(e, name)?;
                let tag = self.tag_of(v).unwrap_or(Value::Int(0));
                let mut test = match e.def.variants.len() {
                    1 => Test::Always,
                    _ => self.test_number(&tag, k as i64, k as i64, span)?,
                };
                if let (Some(payload), false) = (payload, matches!(test, Test::Never)) {
                    for (_, inner, value) in self.payload(payload, e, k, v)? {
                        let part = self.test_of(inner, &value)?;
                        test = self.both(test, part, span)?;
                    }
                }
                Ok(test)
            }
            CaseKind::Tuple(cases) => {
                let values = self.tuple_parts(span, v, cases.len())?;
                self.all_of(cases.iter().zip(values), span)
            }
            // Elements that no test looks at are not read.
            CaseKind::Array(cases) if cases.iter().all(|c| matches!(c.kind, CaseKind::Rest | CaseKind::Name(_))) => {
                Ok(Test::Always)
            }
            CaseKind::Array(cases) => {
                let values = self.array_parts(span, v, cases.len())?;
                self.all_of(cases.iter().zip(values), span)
            }
            CaseKind::Record(fields) => {
                let mut test = Test::Always;
                for (name, inner) in fields {
                    if let Some(inner) = inner {
                        let value = self.field(v, name, span)?;
                        let part = self.test_of(inner, &value)?;
                        test = self.both(test, part, span)?;
                    }
                }
                Ok(test)
            }
        }
    }

    fn all_of(&mut self, parts: impl Iterator<Item = (&'a Case, Value<'a>)>, span: Span) -> R<Test> {
        let mut test = Test::Always;
        for (case, value) in parts {
            let part = self.test_of(case, &value)?;
            test = self.both(test, part, span)?;
        }
        Ok(test)
    }

    pub fn both(&mut self, a: Test, b: Test, span: Span) -> R<Test> {
        Ok(match (a, b) {
            (Test::Never, _) | (_, Test::Never) => Test::Never,
            (Test::Always, test) | (test, Test::Always) => test,
            (Test::If(a), Test::If(b)) => Test::If(self.prim(Prim::Binary(Binary::And), &[a, b], span)?),
        })
    }

    fn test_number(&mut self, v: &Value<'a>, low: i64, high: i64, span: Span) -> R<Test> {
        let a = match v {
            Value::Int(i) => return Ok(known((low..=high).contains(i))),
            Value::Leaf(a) => *a,
            _ => return Ok(Test::Never),
        };
        let dtype = self.b.ty(a).dtype;
        let lit = |i: i64| {
            static_lit(&Value::Int(i), dtype)
                .map(Atom::Lit)
                .or_else(|why| fail(Diagnostic::error("E0207", "a literal does not fit here").at(span, why)))
        };
        if low == high {
            return Ok(Test::If(self.prim(Prim::Compare(Compare::Eq), &[a, lit(low)?], span)?));
        }
        let above = self.prim(Prim::Compare(Compare::Ge), &[a, lit(low)?], span)?;
        let below = self.prim(Prim::Compare(Compare::Le), &[a, lit(high)?], span)?;
        Ok(Test::If(self.prim(Prim::Binary(Binary::And), &[above, below], span)?))
    }

    /// Binds the names of a case that the value meets.
    pub fn bind_case(&mut self, case: &'a Case, v: &Value<'a>, env: &mut Env<'a>) -> R<()> {
        match &case.kind {
            CaseKind::Name(name) => {
                self.bind_name(name, v.clone(), case.span, env);
                Ok(())
            }
            CaseKind::Variant { path, payload: Some(payload) } => {
                let (Some(e), Some(name)) = (self.one_of(v), path.last()) else { return Ok(()) };
                let k = self.variant_place(e, name)?;
                if let CaseKind::Record(fields) = &payload.kind {
                    for (name, _) in fields.iter().filter(|f| f.1.is_none()) {
                        let place = self.field_of_variant(e, k, name)?;
                        if let Value::Record(r) = v
                            && let Some(value) = r.get(&e.def.variants[k].fields[place].path)
                        {
                            env.bind(&name.text, value.clone(), name.span);
                        }
                    }
                }
                for (_, inner, value) in self.payload(payload, e, k, v)? {
                    self.bind_case(inner, &value, env)?;
                }
                Ok(())
            }
            CaseKind::Tuple(cases) => {
                let values = self.tuple_parts(case.span, v, cases.len())?;
                cases.iter().zip(&values).try_for_each(|(c, v)| self.bind_case(c, v, env))
            }
            CaseKind::Array(cases) => {
                let values = self.array_parts(case.span, v, cases.len())?;
                cases.iter().zip(&values).try_for_each(|(c, v)| self.bind_case(c, v, env))
            }
            CaseKind::Record(fields) => {
                for (name, inner) in fields {
                    let value = self.field(v, name, case.span)?;
                    match inner {
                        Some(inner) => self.bind_case(inner, &value, env)?,
                        None => env.bind(&name.text, value, name.span),
                    }
                }
                Ok(())
            }
            CaseKind::Variant { payload: None, .. }
            | CaseKind::Int(_)
            | CaseKind::Range(..)
            | CaseKind::Bool(_)
            | CaseKind::String(_)
            | CaseKind::Rest
            | CaseKind::Error => Ok(()),
        }
    }
}

fn known(holds: bool) -> Test {
    if holds { Test::Always } else { Test::Never }
}

/// Whether a case binds names of parts of the value: then its arm is one for this case alone.
pub fn binds_parts(case: &Case) -> bool {
    let any = |cases: &[Case]| cases.iter().any(|c| matches!(c.kind, CaseKind::Name(_)) || binds_parts(c));
    match &case.kind {
        CaseKind::Variant { payload, .. } => payload.as_ref().is_some_and(|p| binds_parts(p)),
        CaseKind::Tuple(cases) | CaseKind::Array(cases) => any(cases),
        CaseKind::Record(fields) => fields.iter().any(|(_, c)| c.as_ref().is_none_or(|c| any(std::slice::from_ref(c)))),
        CaseKind::Name(_)
        | CaseKind::Int(_)
        | CaseKind::Range(..)
        | CaseKind::Bool(_)
        | CaseKind::String(_)
        | CaseKind::Rest
        | CaseKind::Error => false,
    }
}
