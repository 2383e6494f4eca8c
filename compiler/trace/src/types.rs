//! Annotations are promises, checked where a value meets them.
//!
//! A promise gives numbers known while tracing their type, gives records their name, and, in the parameters of a function,
//! binds the names of sizes that nothing else binds.

use std::rc::Rc;

use whorl_core::DType;
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Expr, ExprKind, ItemKind, Name, Type, TypeArg, TypeDef, TypeKind};

use crate::names::{did_you_mean, listed, unknown_type};
use crate::report::follows;
use crate::script::ModuleId;
use crate::tracer::{Tracer, fail};
use crate::value::{EnumRef, Env, Of, R, Record, Value};

/// What meets a promise: in words, and where.
pub struct Site {
    pub what: String,
    pub span: Span,
}

impl Site {
    pub fn new(what: impl Into<String>, span: Span) -> Site {
        Site { what: what.into(), span }
    }
}

/// Where the names in an annotation are looked up.
#[derive(Clone)]
struct Scope<'a> {
    module: ModuleId,
    /// Arguments of the generic type whose text this is.
    args: Rc<Vec<(&'a str, Option<Given<'a>>)>>,
    /// The text is the function's own, so its variables are sizes.
    local: bool,
}

#[derive(Clone)]
struct Given<'a> {
    arg: &'a TypeArg,
    scope: Scope<'a>,
}

/// A size of an array, yet to be compared.
#[derive(Clone)]
struct Size<'a> {
    expr: &'a Expr,
    scope: Scope<'a>,
}

struct Check<'c, 'a> {
    env: &'c mut Env<'a>,
    binds: bool,
    site: &'c Site,
    /// The whole annotation.
    promise: Span,
    /// The parts on the way to where we are.
    path: Vec<String>,
}

impl<'a> Tracer<'a> {
    /// The value as `ty` promises it.
    pub fn promise(&mut self, v: &Value<'a>, ty: &'a Type, env: &mut Env<'a>, site: &Site) -> R<Value<'a>> {
        self.check(v, ty, env, site, false)
    }

    /// The same for a parameter, where unknown names are sizes that the argument decides.
    pub fn promise_param(&mut self, v: &Value<'a>, ty: &'a Type, env: &mut Env<'a>, site: &Site) -> R<Value<'a>> {
        self.check(v, ty, env, site, true)
    }

    /// The value as the text of a generic type promises it, whose parameters may be anything.
    pub fn promise_open(&mut self, v: &Value<'a>, ty: &'a Type, params: &'a [Name], site: &Site) -> R<Value<'a>> {
        let args = Rc::new(params.iter().map(|p| (p.text.as_str(), None)).collect());
        let scope = Scope { module: self.module, args, local: true };
        let mut c = Check { env: &mut Env::default(), binds: false, site, promise: ty.span, path: Vec::new() };
        self.check_type(v, ty, &scope, &[], Vec::new(), &mut c)
    }

    /// The value as the type of this name promises it; arguments of a generic type are left open.
    pub fn promise_path(&mut self, v: &Value<'a>, path: &'a [Name], env: &mut Env<'a>, site: &Site) -> R<Value<'a>> {
        let promise = path.first().map_or(site.span, |n| n.span);
        let scope = Scope { module: self.module, args: Rc::default(), local: true };
        let path: Vec<(&'a str, Span)> = path.iter().map(|n| (n.text.as_str(), n.span)).collect();
        let mut c = Check { env, binds: false, site, promise, path: Vec::new() };
        self.check_path(v, &path, &[], &scope, &[], Vec::new(), &mut c)
    }

    fn check(&mut self, v: &Value<'a>, ty: &'a Type, env: &mut Env<'a>, site: &Site, binds: bool) -> R<Value<'a>> {
        let scope = Scope { module: self.module, args: Rc::default(), local: true };
        let mut c = Check { env, binds, site, promise: ty.span, path: Vec::new() };
        self.check_type(v, ty, &scope, &[], Vec::new(), &mut c)
    }

    /// `outer`: sizes of the arrays that `v` is the inside of; `sizes`: those that are still to be found around it.
    fn check_type(
        &mut self,
        v: &Value<'a>,
        ty: &'a Type,
        scope: &Scope<'a>,
        outer: &[usize],
        mut sizes: Vec<Size<'a>>,
        c: &mut Check<'_, 'a>,
    ) -> R<Value<'a>> {
        match &ty.kind {
            TypeKind::Path(names) => {
                let path: Vec<(&'a str, Span)> = names.iter().map(|n| (n.text.as_str(), n.span)).collect();
                self.check_path(v, &path, &[], scope, outer, sizes, c)
            }
            TypeKind::Apply(of, args) => {
                if let TypeKind::Path(names) = &of.kind
                    && let path = names.iter().map(|n| (n.text.as_str(), n.span)).collect::<Vec<_>>()
                    && (self.find_type(&path, scope.module).is_some_and(|(_, def)| !def.params.is_empty())
                        || self.find_enum(&path, scope.module).is_some_and(|e| !e.def.params.is_empty()))
                {
                    return self.check_path(v, &path, args, scope, outer, sizes, c);
                }
                for arg in args {
                    match arg {
                        TypeArg::Size(expr) => sizes.push(Size { expr, scope: scope.clone() }),
                        TypeArg::Type(t) => {
                            return fail(
                                Diagnostic::error("E0105", "a size is needed here").at(t.span, "this is a type"),
                            );
                        }
                    }
                }
                self.check_type(v, of, scope, outer, sizes, c)
            }
            TypeKind::Tuple(parts) => {
                let (inner, all) = self.unwrap(v, outer, &sizes, c)?;
                let items = match &inner {
                    Value::Tuple(items) if items.len() == parts.len() => items.to_vec(),
                    Value::Unit if parts.is_empty() => return Ok(v.clone()),
                    _ => return self.broken(v, c),
                };
                let mut out = Vec::new();
                for (k, (item, part)) in items.iter().zip(parts).enumerate() {
                    c.path.push(k.to_string());
                    out.push(self.check_type(item, part, scope, &all, Vec::new(), c)?);
                    c.path.pop();
                }
                Ok(Value::within(&all[outer.len()..], Value::tuple(out)))
            }
            TypeKind::Record(fields) => self.check_record(v, None, fields, scope, outer, sizes, c),
            TypeKind::Fn(..) => match v {
                Value::Function(_) => Ok(v.clone()),
                _ => self.broken(v, c),
            },
            TypeKind::Error => Ok(v.clone()),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn check_path(
        &mut self,
        v: &Value<'a>,
        path: &[(&'a str, Span)],
        args: &'a [TypeArg],
        scope: &Scope<'a>,
        outer: &[usize],
        sizes: Vec<Size<'a>>,
        c: &mut Check<'_, 'a>,
    ) -> R<Value<'a>> {
        if let [(name, _)] = path {
            if let Some((_, given)) = scope.args.iter().find(|(n, _)| n == name) {
                return match given.clone() {
                    None if sizes.is_empty() => Ok(v.clone()),
                    None => {
                        let (inner, all) = self.unwrap_any(v, outer, &sizes, c)?;
                        Ok(Value::within(&all[outer.len()..], inner))
                    }
                    Some(Given { arg: TypeArg::Type(t), scope }) => self.check_type(v, t, &scope, outer, sizes, c),
                    Some(Given { arg: TypeArg::Size(e), scope }) => match expr_path(e) {
                        Some(path) => self.check_path(v, &path, &[], &scope, outer, sizes, c),
                        None => {
                            fail(Diagnostic::error("E0105", format!("`{name}` is a type")).at(e.span, "this is not"))
                        }
                    },
                };
            }
            if let Some(dtype) = DType::ALL.into_iter().find(|d| d.name() == *name) {
                return self.check_numbers(v, dtype, outer, &sizes, c);
            }
            match *name {
                "Key" => {
                    let (inner, all) = self.unwrap(v, outer, &sizes, c)?;
                    return match inner {
                        Value::Key(_) => Ok(Value::within(&all[outer.len()..], inner)),
                        _ => self.broken(v, c),
                    };
                }
                "size" => {
                    return match v {
                        Value::Int(_) => Ok(v.clone()),
                        Value::Leaf(_) => self.size(v, c.site.span).map(|_| v.clone()),
                        _ => self.broken(v, c),
                    };
                }
                "string" => {
                    return match v {
                        Value::Str(_) => Ok(v.clone()),
                        _ => self.broken(v, c),
                    };
                }
                _ => {}
            }
        }
        if let Some(of) = self.find_enum(path, scope.module) {
            let (inner, all) = self.unwrap(v, outer, &sizes, c)?;
            return match &inner {
                Value::Record(r) if Of::fits(r.name, Some(Of::Enum(of))) => {
                    if !args.is_empty() {
                        self.check_fields(of, r, args, scope, &all, c)?;
                    }
                    Ok(Value::within(&all[outer.len()..], inner.clone()))
                }
                _ => self.broken(v, c),
            };
        }
        let Some((module, def)) = self.find_type(path, scope.module) else {
            return self.unknown_type(path, scope);
        };
        if args.len() > def.params.len() {
            let e = Diagnostic::error("E0201", format!("`{}` takes {} arguments", def.name.text, def.params.len()));
            return fail(e.at(c.promise, "").at(def.name.span, "declared here"));
        }
        let given = def
            .params
            .iter()
            .enumerate()
            .map(|(k, p)| (p.text.as_str(), args.get(k).map(|arg| Given { arg, scope: scope.clone() })));
        let inside = Scope { module, args: Rc::new(given.collect()), local: false };
        match &def.ty.kind {
            TypeKind::Record(fields) => self.check_record(v, Some(&def.name.text), fields, &inside, outer, sizes, c),
            TypeKind::Path(_) | TypeKind::Apply(..) | TypeKind::Tuple(_) | TypeKind::Fn(..) | TypeKind::Error => {
                self.check_type(v, &def.ty, &inside, outer, sizes, c)
            }
        }
    }

    /// The fields of all variants of a generic enum, for these arguments.
    fn check_fields(
        &mut self,
        of: EnumRef<'a>,
        r: &Record<'a>,
        args: &'a [TypeArg],
        scope: &Scope<'a>,
        outer: &[usize],
        c: &mut Check<'_, 'a>,
    ) -> R<()> {
        if args.len() > of.def.params.len() {
            let e =
                Diagnostic::error("E0201", format!("`{}` takes {} arguments", of.def.name.text, of.def.params.len()));
            return fail(e.at(c.promise, "").at(of.def.name.span, "declared here"));
        }
        let given = of.def.params.iter().enumerate();
        let given = given.map(|(k, p)| (p.text.as_str(), args.get(k).map(|arg| Given { arg, scope: scope.clone() })));
        let inside = Scope { module: of.module, args: Rc::new(given.collect()), local: false };
        for field in of.def.variants.iter().flat_map(|v| &v.fields) {
            let Some(value) = r.get(&field.path) else { continue };
            c.path.push(field.path.clone());
            self.check_type(value, &field.ty, &inside, outer, Vec::new(), c)?;
            c.path.pop();
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn check_record(
        &mut self,
        v: &Value<'a>,
        name: Option<&'a str>,
        fields: &'a [(Name, Type)],
        scope: &Scope<'a>,
        outer: &[usize],
        sizes: Vec<Size<'a>>,
        c: &mut Check<'_, 'a>,
    ) -> R<Value<'a>> {
        let (inner, all) = self.unwrap(v, outer, &sizes, c)?;
        let Value::Record(record) = &inner else { return self.broken(v, c) };
        self.same_fields(record, name, fields, c)?;
        let mut out = Vec::with_capacity(fields.len());
        for (field, ty) in fields {
            let Some(value) = record.get(&field.text) else { continue };
            c.path.push(field.text.clone());
            out.push((field.text.as_str(), self.check_type(value, ty, scope, &all, Vec::new(), c)?));
            c.path.pop();
        }
        Ok(Value::within(&all[outer.len()..], Value::record(name.map(Of::Type), out)))
    }

    fn same_fields(&self, r: &Record<'a>, name: Option<&str>, fields: &[(Name, Type)], c: &Check<'_, 'a>) -> R<()> {
        let of = name.map_or("the type".to_string(), |n| format!("`{n}`"));
        let declared = || fields.iter().map(|(n, _)| n.text.as_str());
        if let Some((extra, _)) = r.fields.iter().find(|(n, _)| !declared().any(|d| d == *n)) {
            let mut e = Diagnostic::error("E0205", format!("{of} has no field `{extra}`")).at(c.site.span, "");
            let missing: Vec<&str> = declared().filter(|d| r.get(d).is_none()).collect();
            e.help = did_you_mean(extra, declared()).or_else(|| match missing[..] {
                [one] => Some(format!("the field `{one}` is missing: is that what `{extra}` is meant to be?")),
                _ => None,
            });
            return fail(e.note(format!("its fields are {}", listed(declared()))).at(c.promise, "promised here"));
        }
        let missing: Vec<&str> = declared().filter(|d| r.get(d).is_none()).collect();
        if !missing.is_empty() {
            let fields = if missing.len() == 1 { "the field" } else { "the fields" };
            let e = Diagnostic::error("E0205", format!("{of} needs {fields} {}", listed(missing)));
            return fail(e.at(c.site.span, "not given here").at(c.promise, "promised here"));
        }
        Ok(())
    }

    fn check_numbers(
        &mut self,
        v: &Value<'a>,
        dtype: DType,
        outer: &[usize],
        sizes: &[Size<'a>],
        c: &mut Check<'_, 'a>,
    ) -> R<Value<'a>> {
        let atom = match v {
            Value::Leaf(a) => *a,
            // A bool has no other type to take, and stays known.
            Value::Bool(_) if dtype == DType::Bool && sizes.is_empty() => return Ok(v.clone()),
            v if v.is_static_number() && sizes.is_empty() => match crate::tree::static_lit(v, dtype) {
                Ok(lit) => lit.into(),
                Err(_) => return self.broken(v, c),
            },
            Value::List(_) | Value::Range(..) => self.atom(v, Some(dtype), c.site.span)?,
            _ => return self.broken(v, c),
        };
        let ty = self.b.ty(atom);
        // A literal inside an array stands for all its elements.
        let outer = if ty.is_scalar() && v.is_static_number() { &[] } else { outer };
        if ty.dtype != dtype || ty.rank() != outer.len() + sizes.len() {
            return self.broken(v, c);
        }
        for (size, &n) in sizes.iter().zip(&ty.shape[outer.len()..]) {
            self.same_size(size, n, v, c)?;
        }
        if !sizes.is_empty() {
            self.note_promise(atom, sizes.iter().map(|s| s.expr.span));
        }
        Ok(Value::Leaf(atom))
    }

    /// Takes away the arrays that `sizes` speaks of; gives the inside, and all the sizes around it.
    fn unwrap(
        &mut self,
        v: &Value<'a>,
        outer: &[usize],
        sizes: &[Size<'a>],
        c: &mut Check<'_, 'a>,
    ) -> R<(Value<'a>, Vec<usize>)> {
        let inner = if outer.is_empty() { v.arrayed(&self.b, sizes.len()) } else { v.clone() };
        let (mut inner, mut all) = (inner, outer.to_vec());
        for size in sizes {
            let Value::Array { n, elem } = &inner else { return self.broken(v, c) };
            self.same_size(size, *n, v, c)?;
            all.push(*n);
            inner = (**elem).clone();
        }
        Ok((inner, all))
    }

    /// The same, where the inside may also be numbers.
    fn unwrap_any(
        &mut self,
        v: &Value<'a>,
        outer: &[usize],
        sizes: &[Size<'a>],
        c: &mut Check<'_, 'a>,
    ) -> R<(Value<'a>, Vec<usize>)> {
        let Value::Leaf(a) = v else { return self.unwrap(v, outer, sizes, c) };
        let shape = self.b.ty(*a).shape;
        if shape.len() < outer.len() + sizes.len() {
            return self.broken(v, c);
        }
        for (size, &n) in sizes.iter().zip(&shape[outer.len()..]) {
            self.same_size(size, n, v, c)?;
        }
        Ok((v.clone(), shape[..outer.len() + sizes.len()].to_vec()))
    }

    fn same_size(&mut self, size: &Size<'a>, n: usize, v: &Value<'a>, c: &mut Check<'_, 'a>) -> R<()> {
        if let ExprKind::Name(name) = &size.expr.kind {
            if let Some((_, given)) = size.scope.args.iter().find(|(a, _)| a == name) {
                return match given.clone() {
                    None | Some(Given { arg: TypeArg::Type(_), .. }) => Ok(()),
                    Some(Given { arg: TypeArg::Size(expr), scope }) => self.same_size(&Size { expr, scope }, n, v, c),
                };
            }
            if size.scope.local
                && let Some(binding) = c.env.get(name)
            {
                if binding.broken {
                    return follows();
                }
                let (bound, span) = (binding.value.clone(), binding.span);
                let m = self.size(&bound, size.expr.span)?;
                if m == n {
                    return Ok(());
                }
                let e = self.breach(v, c).note(format!("`{name}` = {m} here, but the array has {n}"));
                return fail(e.at(span, format!("`{name}` = {m} comes from here")));
            }
            let def = self.script.module(size.scope.module).values.get(name);
            let known = def.is_some_and(|def| !self.is_open_data(*def));
            if !known {
                if c.binds && size.scope.local {
                    c.env.bind(name, Value::Int(n as i64), size.expr.span);
                    return Ok(());
                }
                return fail(Diagnostic::error("E0401", format!("unknown size `{name}`")).at(size.expr.span, ""));
            }
        }
        let m = self.size_of(size, c)?;
        if m == n {
            return Ok(());
        }
        let text = self.text(size.expr.span);
        let text =
            if text.trim_matches('`') == m.to_string() { String::new() } else { format!("{text} = {m} here, but ") };
        fail(self.breach(v, c).note(format!("{text}the array has {n} where {m} is promised")))
    }

    fn size_of(&mut self, size: &Size<'a>, c: &mut Check<'_, 'a>) -> R<usize> {
        let mut env = if size.scope.local { c.env.clone() } else { Env::default() };
        for (name, given) in size.scope.args.iter() {
            if let Some(Given { arg: TypeArg::Size(expr), scope }) = given
                && let Ok(n) = self.size_of(&Size { expr, scope: scope.clone() }, c)
            {
                env.bind(name, Value::Int(n as i64), expr.span);
            }
        }
        let module = std::mem::replace(&mut self.module, size.scope.module);
        let value = self.expr(size.expr, &env);
        self.module = module;
        self.size(&value?, size.expr.span)
    }

    /// The enum of this name.
    pub fn find_enum(&self, path: &[(&'a str, Span)], module: ModuleId) -> Option<EnumRef<'a>> {
        let id = self.script.find_named_type(path, module)?;
        match &self.script.item(id).kind {
            ItemKind::Enum(def) => Some(EnumRef { module: id.module, def }),
            ItemKind::Type(_)
            | ItemKind::Import(_)
            | ItemKind::Param(_)
            | ItemKind::Size(_)
            | ItemKind::Fn(_)
            | ItemKind::Let { .. }
            | ItemKind::Data(_)
            | ItemKind::Test { .. }
            | ItemKind::Prop(_)
            | ItemKind::Error => None,
        }
    }

    /// The declaration of the type of this name.
    pub fn find_type(&self, path: &[(&'a str, Span)], module: ModuleId) -> Option<(ModuleId, &'a TypeDef)> {
        let id = self.script.find_named_type(path, module)?;
        match &self.script.item(id).kind {
            ItemKind::Type(def) => Some((id.module, def)),
            ItemKind::Import(_)
            | ItemKind::Param(_)
            | ItemKind::Size(_)
            | ItemKind::Fn(_)
            | ItemKind::Let { .. }
            | ItemKind::Enum(_)
            | ItemKind::Data(_)
            | ItemKind::Test { .. }
            | ItemKind::Prop(_)
            | ItemKind::Error => None,
        }
    }

    fn unknown_type<T>(&self, path: &[(&'a str, Span)], scope: &Scope<'a>) -> R<T> {
        fail(unknown_type(self.script, scope.module, path))
    }

    fn breach(&self, v: &Value<'a>, c: &Check<'_, 'a>) -> Diagnostic {
        let promise = self.text(c.promise);
        let e = Diagnostic::error("E0104", format!("{} is not {promise}, as promised", c.site.what));
        let part = if c.path.is_empty() { String::new() } else { format!("its `{}` ", c.path.join(".")) };
        let is = if part.is_empty() { "this is " } else { "is " };
        e.at(c.site.span, format!("{part}{is}{}", self.describe(v, c.site.span))).at(c.promise, "promised here")
    }

    fn broken<T>(&self, v: &Value<'a>, c: &Check<'_, 'a>) -> R<T> {
        fail(self.breach(v, c))
    }
}

/// `a.b` as a path.
pub fn expr_path(e: &Expr) -> Option<Vec<(&str, Span)>> {
    match &e.kind {
        ExprKind::Name(name) => Some(vec![(name, e.span)]),
        ExprKind::Field(of, name) => {
            let mut path = expr_path(of)?;
            path.push((&name.text, name.span));
            Some(path)
        }
        _ => None,
    }
}
