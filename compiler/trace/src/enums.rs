//! Values of enums: a record of a tag and the fields of all variants, so that arrays of them are arrays of numbers.

use std::rc::Rc;

use whorl_core::prim::{Binary, Compare, Monoid};
use whorl_core::{DType, Lit, Prim};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Expr, Name, Variant};

use crate::call::arguments;
use crate::names::{did_you_mean, listed};
use crate::tracer::{Tracer, fail};
use crate::types::{Site, expr_path};
use crate::value::{Arg, EnumRef, Env, Function, Of, R, TypeArgs, Value};

impl<'a> Tracer<'a> {
    /// The enum that an expression names, unless it names a value.
    pub fn enum_named(&self, e: &'a Expr, env: &Env<'a>) -> Option<EnumRef<'a>> {
        let path = expr_path(e)?;
        let first = path.first()?.0;
        if env.get(first).is_some() {
            return None;
        }
        self.find_enum(&path, self.module)
    }

    /// The enum of a variant's path, `Shape.Circle`.
    pub fn enum_of_path(&self, path: &'a [Name]) -> Option<EnumRef<'a>> {
        let (_, of) = path.split_last()?;
        let of: Vec<(&'a str, Span)> = of.iter().map(|n| (n.text.as_str(), n.span)).collect();
        self.find_enum(&of, self.module)
    }

    /// `Cell.Wall`, or `Cell.count` and `Cell.of`.
    pub fn member_of_enum(&mut self, of: EnumRef<'a>, types: TypeArgs<'a>, name: &'a Name) -> R<Value<'a>> {
        match name.text.as_str() {
            "count" => return Ok(Value::Int(of.def.variants.len() as i64)),
            "of" => return Ok(Value::Function(Rc::new(Function::VariantOf(of)))),
            _ => {}
        }
        let k = self.variant_place(of, name)?;
        let variant = &of.def.variants[k];
        if variant.fields.is_empty() {
            return self.variant_value(of, k, types, Vec::new(), name.span);
        }
        if variant.named {
            let e = Diagnostic::error("E0205", format!("`{}` has fields", variant.name.text)).at(name.span, "");
            return fail(e.help(written(of, variant)));
        }
        Ok(Value::Function(Rc::new(Function::Variant { of, variant: k, types })))
    }

    pub fn variant_place(&self, of: EnumRef<'a>, name: &Name) -> R<usize> {
        if let Some(k) = of.def.variants.iter().position(|v| v.name.text == name.text) {
            return Ok(k);
        }
        let e = Diagnostic::error("E0212", format!("`{}` has no variant `{}`", of.def.name.text, name.text));
        let mut e = e.at(name.span, "").at(of.def.name.span, "declared here");
        let names = || of.def.variants.iter().map(|v| v.name.text.as_str());
        e.help = did_you_mean(&name.text, names());
        fail(e.note(format!("its variants are {}", listed(names()))))
    }

    /// `Shape.Circle { centre, radius: 1.0 }`
    pub fn variant_with_fields(
        &mut self,
        of: EnumRef<'a>,
        name: &Name,
        given: Vec<(&'a str, Value<'a>)>,
        span: Span,
    ) -> R<Value<'a>> {
        let k = self.variant_place(of, name)?;
        let variant = &of.def.variants[k];
        let declared = || variant.fields.iter().map(|f| f.name.text.as_str());
        if !variant.named {
            let e = Diagnostic::error("E0205", format!("`{}` has no named fields", variant.name.text)).at(span, "");
            return fail(e.help(written(of, variant)));
        }
        if let Some((extra, _)) = given.iter().find(|(n, _)| !declared().any(|d| d == *n)) {
            let mut e = Diagnostic::error("E0205", format!("`{}` has no field `{extra}`", variant.name.text));
            e.help = did_you_mean(extra, declared());
            return fail(e.at(span, "").at(variant.name.span, "declared here"));
        }
        let mut values = Vec::new();
        for field in declared() {
            match given.iter().find(|(n, _)| *n == field) {
                Some((_, v)) => values.push(Arg::new(v.clone(), span)),
                None => {
                    let e = Diagnostic::error("E0205", format!("`{}` needs the field `{field}`", variant.name.text));
                    return fail(e.at(span, "not given here").at(variant.name.span, "declared here"));
                }
            }
        }
        self.variant_value(of, k, TypeArgs::new(), values, span)
    }

    /// `Shape.Square(2.0)`
    pub fn call_variant(
        &mut self,
        of: EnumRef<'a>,
        k: usize,
        types: TypeArgs<'a>,
        args: Vec<Arg<'a>>,
        span: Span,
    ) -> R<Value<'a>> {
        let variant = &of.def.variants[k];
        if args.len() != variant.fields.len() || args.iter().any(|a| a.name.is_some()) {
            let takes = format!("`{}` takes {}", variant.name.text, arguments(variant.fields.len()));
            return fail(Diagnostic::error("E0601", takes).at(span, "").help(written(of, variant)));
        }
        self.variant_value(of, k, types, args, span)
    }

    /// `Cell.of(i)`: the variant number `i`, which is clamped.
    pub fn variant_of(&mut self, of: EnumRef<'a>, args: Vec<Arg<'a>>, span: Span) -> R<Value<'a>> {
        let name = &of.def.name.text;
        if let Some(v) = of.def.variants.iter().find(|v| !v.fields.is_empty()) {
            let e = Diagnostic::error("E0206", format!("`{name}.of` is for enums without fields")).at(span, "");
            return fail(e.at(v.name.span, "this variant has fields").help("choose with `match i { 0 => …, _ => … }`"));
        }
        let [arg] = &args[..] else {
            return fail(Diagnostic::error("E0601", format!("`{name}.of` takes 1 argument")).at(span, ""));
        };
        let last = of.def.variants.len() as i64 - 1;
        let tag = match &arg.value {
            Value::Int(i) if (0..=last).contains(i) => Value::Int(*i),
            Value::Int(i) => {
                let e = Diagnostic::error("E0103", format!("`{name}` has no variant number {i}"));
                return fail(e.at(arg.span, format!("they are numbered from 0 to {last}")));
            }
            other => {
                let a = self.atom(other, None, arg.span)?;
                if self.b.ty(a).dtype != DType::I32 {
                    let e = Diagnostic::error("E0206", format!("`{name}.of` takes an i32"));
                    return fail(e.at(arg.span, format!("this is {}", other.describe(&self.b))));
                }
                let low = self.prim(Prim::Binary(Binary::Max), &[a, Lit::i32(0).into()], span)?;
                Value::Leaf(self.prim(Prim::Binary(Binary::Min), &[low, Lit::i32(last as i32).into()], span)?)
            }
        };
        let sizes = match &tag {
            Value::Leaf(a) => self.b.ty(*a).shape.to_vec(),
            _ => Vec::new(),
        };
        Ok(Value::within(&sizes, Value::record(Some(Of::Enum(of)), vec![("tag", tag)])))
    }

    fn variant_value(
        &mut self,
        of: EnumRef<'a>,
        k: usize,
        types: TypeArgs<'a>,
        given: Vec<Arg<'a>>,
        span: Span,
    ) -> R<Value<'a>> {
        let module = std::mem::replace(&mut self.module, of.module);
        let made = self.variant_fields(of, k, types, given, span);
        self.module = module;
        Ok(Value::record(Some(Of::Enum(of)), made?))
    }

    fn variant_fields(
        &mut self,
        of: EnumRef<'a>,
        k: usize,
        mut types: TypeArgs<'a>,
        given: Vec<Arg<'a>>,
        span: Span,
    ) -> R<Vec<(&'a str, Value<'a>)>> {
        let mut fields = vec![("tag", Value::Int(k as i64))];
        let mut values = Vec::new();
        for (field, arg) in of.def.variants[k].fields.iter().zip(&given) {
            let site = Site::new(format!("the field `{}`", field.name.text), arg.span);
            let v = match of.def.params.is_empty() {
                true => self.promise(&arg.value, &field.ty, &mut Env::default(), &site)?,
                false => self.field_of_generic(of, &field.ty, arg, &mut types, &site)?,
            };
            values.push(self.settle(&v, span)?);
        }
        self.all_types_known(of, k, &types, span)?;
        let mut values = values.into_iter();
        for (i, variant) in of.def.variants.iter().enumerate() {
            for field in &variant.fields {
                let value = match if i == k { values.next() } else { None } {
                    Some(value) => value,
                    None => self.zero_of(&field.ty, &types, 0)?,
                };
                fields.push((field.path.as_str(), value));
            }
        }
        Ok(fields)
    }

    /// The enum that a value is one of, or an array of.
    pub fn enum_in(&self, v: &Value<'a>) -> Option<EnumRef<'a>> {
        match v.outer(&self.b).1 {
            Value::Record(r) => match r.name {
                Some(Of::Enum(of)) => Some(of),
                Some(Of::Type(_)) | None => None,
            },
            _ => None,
        }
    }

    /// The numbers of the variants of a value, or of an array of values, of an enum.
    pub fn tag_of(&self, v: &Value<'a>) -> Option<Value<'a>> {
        self.enum_in(v)?;
        match v.outer(&self.b).1 {
            Value::Record(r) => r.get("tag").cloned(),
            _ => None,
        }
    }

    /// Arithmetic has no meaning for enums.
    pub fn no_enum(&self, what: &str, arg: &Arg<'a>) -> R<()> {
        let Some(of) = self.enum_in(&arg.value) else { return Ok(()) };
        let e = Diagnostic::error("E0206", format!("{what} of an enum"));
        let e = e.at(arg.span, format!("this is {}", arg.value.describe(&self.b)));
        let name = of.def.variants.first().map_or("", |v| &v.name.text);
        fail(e.help(format!(
            "`match` chooses by the variant, `== {}.{name}` compares, `i32(…)` numbers",
            of.def.name.text
        )))
    }

    /// `==` and `!=`: the variant and all its fields; element by element in arrays, beside one value too.
    pub fn compare_enums(&mut self, op: Compare, span: Span, l: &Arg<'a>, r: &Arg<'a>) -> R<Value<'a>> {
        let (left, right) = (self.enum_in(&l.value), self.enum_in(&r.value));
        let same = matches!((left, right), (Some(a), Some(b)) if std::ptr::eq(a.def, b.def));
        if !same {
            let e = Diagnostic::error("E0206", "a comparison of an enum with something else");
            let e = e.at(r.span, format!("this is {}", r.value.describe(&self.b)));
            return fail(e.at(l.span, format!("this is {}", l.value.describe(&self.b))));
        }
        if !matches!(op, Compare::Eq | Compare::Ne) {
            let e = Diagnostic::error("E0206", "the variants of an enum have no order").at(span, "");
            return fail(e.help("compare their numbers: `i32(a) < i32(b)`"));
        }
        if let (Some(Value::Int(a)), Some(Value::Int(b))) = (self.tag_of(&l.value), self.tag_of(&r.value))
            && (a != b || left.is_some_and(|e| e.def.variants[a as usize].fields.is_empty()))
        {
            return Ok(Value::Bool((a == b) == (op == Compare::Eq)));
        }
        let (x, y) = (self.settle(&l.value, l.span)?, self.settle(&r.value, r.span)?);
        let ((p, _), (q, _)) = (x.outer(&self.b), y.outer(&self.b));
        if p != q && !p.is_empty() && !q.is_empty() {
            let e = Diagnostic::error("E0102", "sizes do not agree in a comparison");
            return fail(e.at(l.span, l.value.describe(&self.b)).at(r.span, r.value.describe(&self.b)));
        }
        let outer = if p.is_empty() { q.clone() } else { p.clone() };
        let mut all = None;
        for (a, b) in x.leaves().into_iter().zip(y.leaves()) {
            let (a, b) = (self.repeated(a, &p, &outer, span)?, self.repeated(b, &q, &outer, span)?);
            let mut equal = self.prim(Prim::Compare(Compare::Eq), &[a, b], span)?;
            let rank = self.b.ty(equal).rank();
            if rank > outer.len() {
                let axes: Vec<usize> = (outer.len()..rank).collect();
                equal = self.b.reduce(Monoid::All, &axes, equal);
            }
            all = Some(match all {
                None => equal,
                Some(all) => self.prim(Prim::Binary(Binary::And), &[all, equal], span)?,
            });
        }
        let all = all.unwrap_or(Lit::bool(true).into());
        self.invert_if(op == Compare::Ne, all, span)
    }

    fn invert_if(&mut self, invert: bool, a: whorl_core::Atom, span: Span) -> R<Value<'a>> {
        if invert { self.invert(&Value::Leaf(a), span) } else { Ok(Value::Leaf(a)) }
    }

    /// A leaf of one value beside an array of `outer`: repeated in front.
    fn repeated(&mut self, a: whorl_core::Atom, own: &[usize], outer: &[usize], span: Span) -> R<whorl_core::Atom> {
        let ty = self.b.ty(a);
        if own.len() == outer.len() || ty.is_scalar() {
            return Ok(a);
        }
        let shape = outer.iter().copied().chain(ty.shape.iter().copied()).collect();
        let axes = (outer.len()..outer.len() + ty.rank()).collect();
        self.prim(Prim::Broadcast { shape, axes }, &[a], span)
    }
}

/// How a variant is written.
fn written(of: EnumRef, variant: &Variant) -> String {
    let fields = variant.fields.iter().map(|f| f.name.text.as_str());
    let name = format!("{}.{}", of.def.name.text, variant.name.text);
    match (variant.fields.is_empty(), variant.named) {
        (true, _) => name,
        (false, true) => format!("{name} {{ {} }}", fields.map(|f| format!("{f}: …")).collect::<Vec<_>>().join(", ")),
        (false, false) => format!("{name}({})", fields.map(|_| "…").collect::<Vec<_>>().join(", ")),
    }
}
