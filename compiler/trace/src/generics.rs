//! What types stand for in enums: zeros, for the fields of the variants that a value is not one of, and what the parameters of a
//! generic enum are, which its fields say where they are given.

use whorl_core::{DType, Lit, Type as CoreType};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Expr, ExprKind, IndexArg, Name, Type, TypeArg, TypeKind};

use crate::tracer::{Tracer, fail};
use crate::tree::join;
use crate::types::{Site, expr_path};
use crate::value::{Arg, EnumRef, Env, Of, R, TypeArgs, Value};

/// Types inside of one another in a payload; more is a type that contains itself.
const DEEPEST: usize = 32;

impl<'a> Tracer<'a> {
    /// An enum by its name, or, with arguments, as in `Option[f32].None`.
    pub fn enum_with_types(&mut self, e: &'a Expr, env: &Env<'a>) -> R<Option<(EnumRef<'a>, TypeArgs<'a>)>> {
        if let Some(of) = self.enum_named(e, env) {
            return Ok(Some((of, TypeArgs::new())));
        }
        let ExprKind::Index(inner, args) = &e.kind else { return Ok(None) };
        let Some(of) = self.enum_named(inner, env).filter(|of| !of.def.params.is_empty()) else { return Ok(None) };
        Ok(Some((of, self.types_written(of, args, env, e.span)?)))
    }

    fn types_written(&mut self, of: EnumRef<'a>, args: &'a [IndexArg], env: &Env<'a>, span: Span) -> R<TypeArgs<'a>> {
        if args.len() != of.def.params.len() {
            let takes =
                if of.def.params.len() == 1 { "1 type".into() } else { format!("{} types", of.def.params.len()) };
            let e = Diagnostic::error("E0201", format!("`{}` takes {takes}", of.def.name.text)).at(span, "");
            return fail(e.at(of.def.name.span, "declared here"));
        }
        let mut types = TypeArgs::new();
        for (param, arg) in of.def.params.iter().zip(args) {
            match arg {
                IndexArg::At(e) => types.push((&param.text, self.zero_of_expr(e, env)?)),
                IndexArg::Slice { span, .. } => return no_type(*span),
            }
        }
        Ok(types)
    }

    /// Of a type that is written where an expression may stand.
    fn zero_of_expr(&mut self, e: &'a Expr, env: &Env<'a>) -> R<Value<'a>> {
        if let Some(path) = expr_path(e) {
            return self.zero_of_path(&path, e.span, &TypeArgs::new(), 0);
        }
        match &e.kind {
            ExprKind::Tuple(items) => {
                Ok(Value::tuple(items.iter().map(|x| self.zero_of_expr(x, env)).collect::<R<_>>()?))
            }
            ExprKind::Index(inner, args) => {
                if let Some(of) = self.enum_named(inner, env).filter(|of| !of.def.params.is_empty()) {
                    let types = self.types_written(of, args, env, e.span)?;
                    return self.zero_of_enum(of, &types, 0);
                }
                let mut sizes = Vec::new();
                for arg in args {
                    let IndexArg::At(e) = arg else { return no_type(e.span) };
                    let n = self.expr(e, env)?;
                    sizes.push(self.size(&n, e.span)?);
                }
                let zero = self.zero_of_expr(inner, env)?;
                self.repeated_zero(zero, &sizes)
            }
            _ => no_type(e.span),
        }
    }

    /// A field's value, as its type promises it; what it says about the parameters is added to `types`.
    pub fn field_of_generic(
        &mut self,
        of: EnumRef<'a>,
        ty: &'a Type,
        arg: &Arg<'a>,
        types: &mut TypeArgs<'a>,
        site: &Site,
    ) -> R<Value<'a>> {
        let mut value = match &arg.value {
            Value::List(_) | Value::Range(..) => self.settle(&arg.value, arg.span)?,
            other => other.clone(),
        };
        if let TypeKind::Path(names) = &ty.kind
            && let [name] = &names[..]
            && let Some((_, zero)) = types.iter().find(|t| t.0 == name.text)
        {
            // A literal takes the type that is known.
            value = match join(&self.b, zero, &value) {
                Ok((_, value)) => value,
                Err(_) => return self.two_types(name, zero, &value, arg.span),
            };
        }
        let value = self.promise_open(&value, ty, &of.def.params, site)?;
        let value = self.settle(&value, arg.span)?;
        self.learn(&of.def.params, ty, &value, types, arg.span)?;
        Ok(value)
    }

    fn two_types<T>(&self, name: &Name, known: &Value<'a>, value: &Value<'a>, span: Span) -> R<T> {
        let (left, right) = (known.describe(&self.b), value.describe(&self.b));
        let e = Diagnostic::error("E0218", format!("`{}` cannot be two types", name.text));
        fail(e.at(span, format!("this is {right}")).at(name.span, format!("`{}` is {left} already", name.text)))
    }

    /// What the parameters are where a value is of type `ty`.
    fn learn(
        &mut self,
        params: &'a [Name],
        ty: &'a Type,
        v: &Value<'a>,
        types: &mut TypeArgs<'a>,
        span: Span,
    ) -> R<()> {
        let param = |ty: &'a Type| match &ty.kind {
            TypeKind::Path(names) => {
                names.first().filter(|n| names.len() == 1 && params.iter().any(|p| p.text == n.text))
            }
            _ => None,
        };
        match &ty.kind {
            TypeKind::Path(_) => match param(ty) {
                Some(name) => self.learned(name, v, 0, types, ty.span, span),
                None => Ok(()),
            },
            TypeKind::Apply(of, sizes) => match param(of) {
                Some(name) => self.learned(name, v, sizes.len(), types, ty.span, span),
                None => Ok(()),
            },
            TypeKind::Tuple(parts) => match v {
                Value::Tuple(items) => {
                    parts.iter().zip(items.iter()).try_for_each(|(t, v)| self.learn(params, t, v, types, span))
                }
                _ => Ok(()),
            },
            TypeKind::Record(fields) => match v {
                Value::Record(r) => fields.iter().try_for_each(|(name, t)| match r.get(&name.text) {
                    Some(v) => self.learn(params, t, v, types, span),
                    None => Ok(()),
                }),
                _ => Ok(()),
            },
            TypeKind::Fn(..) | TypeKind::Error => Ok(()),
        }
    }

    /// `name` is the type of what is inside of so many arrays in `v`.
    fn learned(
        &mut self,
        name: &'a Name,
        v: &Value<'a>,
        arrays: usize,
        types: &mut TypeArgs<'a>,
        ty: Span,
        span: Span,
    ) -> R<()> {
        let mut inner = v.arrayed(&self.b, arrays);
        let mut left = arrays;
        while let (Value::Array { elem, .. }, true) = (&inner, left > 0) {
            inner = (**elem).clone();
            left -= 1;
        }
        if holds_more_than_numbers(&inner) {
            return cannot_hold(ty, "a key or a function");
        }
        // Every leaf still has the sizes of the arrays that were taken away in front.
        let zero = inner.map_leaves::<Box<Diagnostic>>(&mut |a| {
            let own = self.b.ty(a);
            Ok(self.b.zeros(&CoreType { dtype: own.dtype, shape: own.shape[arrays.min(own.rank())..].into() }))
        })?;
        let Some((_, known)) = types.iter().find(|t| t.0 == name.text) else {
            types.push((&name.text, zero));
            return Ok(());
        };
        match join(&self.b, known, &zero) {
            Ok(_) => Ok(()),
            Err(_) => self.two_types(name, known, &zero, span),
        }
    }

    pub fn all_types_known(&self, of: EnumRef<'a>, k: usize, types: &TypeArgs<'a>, span: Span) -> R<()> {
        let Some(unknown) = of.def.params.iter().find(|p| !types.iter().any(|t| t.0 == p.text)) else { return Ok(()) };
        let (name, variant) = (&of.def.name.text, &of.def.variants[k].name.text);
        let message = format!("`{name}.{variant}` does not say what `{}` is", unknown.text);
        let e = Diagnostic::error("E0218", message).at(span, "").at(unknown.span, "declared here");
        let types = vec!["f32"; of.def.params.len()].join(", ");
        fail(e.help(format!("`{name}[{types}].{variant}`, with the type that is meant")))
    }

    /// What stands in the fields of the variants that a value is not one of.
    pub fn zero_of(&mut self, ty: &'a Type, types: &TypeArgs<'a>, depth: usize) -> R<Value<'a>> {
        if depth > DEEPEST {
            let e = Diagnostic::error("E0215", "a type that contains itself has no size").at(ty.span, "");
            return fail(e.help("keep the parts in an array, and refer to them by their place"));
        }
        match &ty.kind {
            TypeKind::Path(names) => {
                let path: Vec<(&'a str, Span)> = names.iter().map(|n| (n.text.as_str(), n.span)).collect();
                self.zero_of_path(&path, ty.span, types, depth)
            }
            TypeKind::Apply(of, args) => {
                if let Some(zero) = self.zero_of_generic(of, args, types, depth)? {
                    return Ok(zero);
                }
                let mut sizes = Vec::new();
                for arg in args {
                    match arg {
                        TypeArg::Size(e) => {
                            let n = self.expr(e, &Env::default())?;
                            sizes.push(self.size(&n, e.span)?);
                        }
                        TypeArg::Type(_) => return cannot_hold(ty.span, "a type with arguments"),
                    }
                }
                let zero = self.zero_of(of, types, depth + 1)?;
                self.repeated_zero(zero, &sizes)
            }
            TypeKind::Tuple(parts) => {
                Ok(Value::tuple(parts.iter().map(|p| self.zero_of(p, types, depth + 1)).collect::<R<_>>()?))
            }
            TypeKind::Record(fields) => {
                let zeros = fields.iter().map(|(n, t)| Ok((n.text.as_str(), self.zero_of(t, types, depth + 1)?)));
                Ok(Value::record(None, zeros.collect::<R<_>>()?))
            }
            TypeKind::Fn(..) => cannot_hold(ty.span, "a function"),
            TypeKind::Error => Ok(Value::Unit),
        }
    }

    fn zero_of_path(
        &mut self,
        path: &[(&'a str, Span)],
        span: Span,
        types: &TypeArgs<'a>,
        depth: usize,
    ) -> R<Value<'a>> {
        if let [(name, _)] = path {
            if let Some((_, zero)) = types.iter().find(|t| t.0 == *name) {
                return Ok(zero.clone());
            }
            if let Some(dtype) = DType::ALL.into_iter().find(|d| d.name() == *name) {
                return Ok(Value::Leaf(Lit::zero(dtype).into()));
            }
        }
        if let Some(of) = self.find_enum(path, self.module) {
            if !of.def.params.is_empty() {
                return cannot_hold(span, "an enum with arguments left open");
            }
            return self.zero_of_enum(of, &TypeArgs::new(), depth);
        }
        match self.find_type(path, self.module) {
            Some((id, def)) if def.params.is_empty() => {
                let module = std::mem::replace(&mut self.module, id);
                let zero = self.zero_of(&def.ty, &TypeArgs::new(), depth + 1);
                self.module = module;
                Ok(named(zero?, &def.name.text))
            }
            Some(_) => cannot_hold(span, "a type with arguments left open"),
            None if path.len() == 1 && path[0].0 == "Key" => cannot_hold(span, "a key"),
            None => {
                let name = path.last().map_or("", |n| n.0);
                fail(Diagnostic::error("E0401", format!("unknown type `{name}`")).at(span, ""))
            }
        }
    }

    fn zero_of_enum(&mut self, of: EnumRef<'a>, types: &TypeArgs<'a>, depth: usize) -> R<Value<'a>> {
        let module = std::mem::replace(&mut self.module, of.module);
        let mut fields = vec![("tag", Value::Leaf(Lit::i32(0).into()))];
        let mut made = Ok(());
        for field in of.def.variants.iter().flat_map(|v| &v.fields) {
            match self.zero_of(&field.ty, types, depth + 1) {
                Ok(zero) => fields.push((&field.path, zero)),
                Err(e) => {
                    made = Err(e);
                    break;
                }
            }
        }
        self.module = module;
        made.map(|()| Value::record(Some(Of::Enum(of)), fields))
    }

    /// `Option[T]`, `Step[S]`: a generic enum or type with its arguments; `None` where `of` is neither.
    fn zero_of_generic(
        &mut self,
        of: &'a Type,
        args: &'a [TypeArg],
        types: &TypeArgs<'a>,
        depth: usize,
    ) -> R<Option<Value<'a>>> {
        let TypeKind::Path(names) = &of.kind else { return Ok(None) };
        let path: Vec<(&'a str, Span)> = names.iter().map(|n| (n.text.as_str(), n.span)).collect();
        let of_enum = self.find_enum(&path, self.module);
        let of_type = self.find_type(&path, self.module);
        let params: &'a [Name] = match (&of_enum, &of_type) {
            (Some(e), _) => &e.def.params,
            (None, Some((_, def))) => &def.params,
            (None, None) => &[],
        };
        if params.is_empty() {
            return Ok(None);
        }
        if params.len() != args.len() {
            return cannot_hold(of.span, "a type with arguments left open");
        }
        let mut inner = TypeArgs::new();
        for (param, arg) in params.iter().zip(args) {
            let zero = match arg {
                TypeArg::Type(t) => self.zero_of(t, types, depth + 1)?,
                TypeArg::Size(e) => match expr_path(e) {
                    Some(path) => self.zero_of_path(&path, e.span, types, depth + 1)?,
                    None => return no_type(e.span),
                },
            };
            inner.push((&param.text, zero));
        }
        if let Some(e) = of_enum {
            return self.zero_of_enum(e, &inner, depth).map(Some);
        }
        let Some((id, def)) = of_type else { return Ok(None) };
        let module = std::mem::replace(&mut self.module, id);
        let zero = self.zero_of(&def.ty, &inner, depth + 1);
        self.module = module;
        Ok(Some(named(zero?, &def.name.text)))
    }

    fn repeated_zero(&mut self, zero: Value<'a>, sizes: &[usize]) -> R<Value<'a>> {
        let zero = zero.map_leaves::<Box<Diagnostic>>(&mut |a| {
            let own = self.b.ty(a);
            let shape = sizes.iter().copied().chain(own.shape.iter().copied()).collect();
            Ok(self.b.zeros(&CoreType { dtype: own.dtype, shape }))
        })?;
        Ok(Value::within(sizes, zero))
    }
}

/// An unnamed record of the type that it was declared as.
pub(crate) fn named<'a>(v: Value<'a>, name: &'a str) -> Value<'a> {
    match v {
        Value::Record(r) if r.name.is_none() => Value::record(Some(Of::Type(name)), r.fields.clone()),
        other => other,
    }
}

fn cannot_hold<T>(span: Span, what: &str) -> R<T> {
    let e = Diagnostic::error("E0215", format!("a variant cannot hold {what}")).at(span, "");
    fail(e.help("its fields are numbers, and records, tuples, enums and arrays of them"))
}

fn no_type<T>(span: Span) -> R<T> {
    let e = Diagnostic::error("E0218", "a type is needed here").at(span, "this is none");
    fail(e.help("`f32`, `f32[4]`, the name of a type or an enum, or a tuple of types"))
}

fn holds_more_than_numbers(v: &Value) -> bool {
    match v {
        Value::Key(_) | Value::Function(_) | Value::Module(_) | Value::Str(_) => true,
        Value::Tuple(items) => items.iter().any(holds_more_than_numbers),
        Value::Record(r) => r.fields.iter().any(|(_, v)| holds_more_than_numbers(v)),
        Value::Array { elem, .. } => holds_more_than_numbers(elem),
        Value::Leaf(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::List(_)
        | Value::Unit
        | Value::Range(..) => false,
    }
}
