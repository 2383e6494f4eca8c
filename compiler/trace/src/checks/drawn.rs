//! The parameters of a property: values of a type, whose arrays are the parameters of the program.

use whorl_core::{Atom, DType, Form, Map, Type as CoreType};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Bounds, ItemKind, PropDef, PropParam, Type, TypeArg, TypeKind};

use super::Layout;
use crate::generics::named;
use crate::keys::Pick;
use crate::tracer::{Tracer, fail};
use crate::value::{Env, Of, R, Value};

/// One parameter of a property.
#[derive(Clone, PartialEq, Debug)]
pub struct Drawn {
    pub name: String,
    pub layout: Layout,
    /// Where every number of it lies, if the property says.
    pub bounds: Option<Interval>,
}

/// Numbers between two others.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Interval {
    pub low: f64,
    pub low_inclusive: bool,
    pub high: f64,
    pub high_inclusive: bool,
}

impl Interval {
    pub fn contains(&self, x: f64) -> bool {
        let above = if self.low_inclusive { x >= self.low } else { x > self.low };
        let below = if self.high_inclusive { x <= self.high } else { x < self.high };
        above && below
    }
}

/// A size of a property, which is drawn before the program is traced.
#[derive(Clone, PartialEq, Debug)]
pub struct SizeRange {
    pub name: String,
    pub low: usize,
    /// Included.
    pub high: usize,
}

/// Types inside of types; more is a type that contains itself.
const DEEPEST: usize = 40;
/// Elements of an array that is drawn, over all cases that run side by side.
const LARGEST: usize = 1 << 24;
/// The sizes of a property that says none.
const SIZES: (usize, usize) = (1, 8);

impl<'a> Tracer<'a> {
    pub(super) fn size_ranges(&mut self, def: &'a PropDef) -> R<Vec<SizeRange>> {
        let sizes = def.params.iter().filter(|p| p.ty.is_none());
        sizes
            .map(|p| {
                let (low, high) = match &p.bounds {
                    None => SIZES,
                    Some(b) => {
                        let i = self.interval(b, &Env::default())?;
                        let low = if i.low_inclusive { i.low.ceil() } else { i.low.floor() + 1.0 };
                        let high = if i.high_inclusive { i.high.floor() } else { i.high.ceil() - 1.0 };
                        if low < 0.0 || low > high {
                            let e = Diagnostic::error("E0607", "there is no such size");
                            return fail(e.at(b.low.span.to(b.high.span), "").help("size n in [1, 8]"));
                        }
                        (low as usize, high as usize)
                    }
                };
                Ok(SizeRange { name: p.name.text.clone(), low, high })
            })
            .collect()
    }

    /// Traces the property; gives the parameters of the program, by name.
    pub(super) fn property(
        &mut self,
        def: &'a PropDef,
        sizes: &[usize],
        cases: Option<usize>,
        drawn: &mut Vec<Drawn>,
    ) -> R<Vec<(String, Atom)>> {
        let mut env = Env::default();
        let of_sizes = def.params.iter().filter(|p| p.ty.is_none());
        for (p, n) in of_sizes.zip(sizes) {
            env.bind(&p.name.text, Value::Int(*n as i64), p.name.span);
        }
        let outer: &[usize] = cases.as_slice();
        let (mut params, mut given) = (Vec::new(), Vec::new());
        for p in &def.params {
            let Some(ty) = &p.ty else { continue };
            let value = Value::within(outer, self.drawn(ty, &env, outer, 0)?);
            drawn.push(self.described(p, &value, cases.is_some(), &env)?);
            value.leaf_paths(&p.name.text, &mut params);
            given.push((p, value));
        }
        let Some(n) = cases else {
            for (p, value) in given {
                env.bind(&p.name.text, value, p.name.span);
            }
            self.block(&def.body, &env)?;
            return Ok(params);
        };
        let index = self.b.fresh(CoreType::scalar(DType::I32));
        self.b.begin();
        self.loops += 1;
        for (p, value) in given {
            let one = self.pick(&value, index.into(), Pick::Among(0, n), p.name.span)?;
            env.bind(&p.name.text, one, p.name.span);
        }
        self.block(&def.body, &env)?;
        self.loops -= 1;
        let body = self.b.end(Vec::new());
        let outer = self.b.at(def.body.span);
        self.b.form(Form::Map(Map { n, index, accs: Vec::new(), body }));
        self.b.at_spans(outer);
        Ok(params)
    }

    fn described(&mut self, p: &'a PropParam, value: &Value<'a>, cases: bool, env: &Env<'a>) -> R<Drawn> {
        let layout = match Layout::of(value, &self.b) {
            Some(Layout::Array(_, one)) if cases => *one,
            Some(Layout::Numbers(ty)) if cases => {
                Layout::Numbers(CoreType { dtype: ty.dtype, shape: ty.shape[1..].into() })
            }
            Some(layout) => layout,
            None => Layout::Unit,
        };
        let bounds = match (&p.bounds, &layout) {
            (None, _) => None,
            (Some(b), Layout::Numbers(ty)) if ty.dtype != DType::Bool => {
                let interval = self.interval(b, env)?;
                let first = [interval.low.ceil(), interval.low.floor() + 1.0];
                if ty.dtype.is_int() && !first.into_iter().any(|i| interval.contains(i)) {
                    return fail(empty(b));
                }
                Some(interval)
            }
            (Some(b), _) => {
                let e = Diagnostic::error("E0607", "bounds are for numbers and arrays of them");
                return fail(e.at(b.low.span.to(b.high.span), format!("`{}` is something else", p.name.text)));
            }
        };
        Ok(Drawn { name: p.name.text.clone(), layout, bounds })
    }

    /// Bounds as numbers known while tracing, in which the sizes of the property may stand.
    fn interval(&mut self, b: &'a Bounds, env: &Env<'a>) -> R<Interval> {
        let mut side = |e: &'a whorl_syntax::ast::Expr| {
            let plain = std::mem::replace(&mut self.plain_params, true);
            let value = self.expr(e, env);
            self.plain_params = plain;
            match value? {
                Value::Int(i) => Ok(i as f64),
                Value::Float(x) => Ok(x),
                Value::Leaf(Atom::Lit(l)) => Ok(l.to_f64()),
                other => {
                    let e2 = Diagnostic::error("E0607", "a bound is a number known before the program runs");
                    fail(e2.at(e.span, format!("this is {}", other.describe(&self.b))))
                }
            }
        };
        let (low, high) = (side(&b.low)?, side(&b.high)?);
        let all = Interval { low, low_inclusive: b.low_inclusive, high, high_inclusive: b.high_inclusive };
        let middle = all.contains(low) || all.contains(high) || all.contains(0.5 * (low + high));
        if low <= high && middle { Ok(all) } else { fail(empty(b)) }
    }

    /// A value of this type, of fresh parameters, inside arrays of the sizes `outer`.
    fn drawn(&mut self, ty: &'a Type, env: &Env<'a>, outer: &[usize], depth: usize) -> R<Value<'a>> {
        let none = |what: &str| {
            let e = Diagnostic::error("E0606", format!("{what} cannot be drawn at random")).at(ty.span, "");
            fail(e.help("numbers, keys, and records, tuples, enums and arrays of them can"))
        };
        if depth > DEEPEST {
            return none("a type that contains itself");
        }
        match &ty.kind {
            TypeKind::Path(names) => {
                if let [name] = &names[..] {
                    if let Some(dtype) = DType::ALL.into_iter().find(|d| d.name() == name.text) {
                        return Ok(Value::Leaf(self.fresh(dtype, outer, ty)?));
                    }
                    if name.text == "Key" {
                        let data = [self.fresh(DType::U32, outer, ty)?, self.fresh(DType::U32, outer, ty)?];
                        return Ok(Value::Key(self.new_key(data)));
                    }
                    if matches!(name.text.as_str(), "size" | "string") {
                        let e = Diagnostic::error("E0606", format!("a {} cannot be drawn like this", name.text));
                        return fail(e.at(ty.span, "").help("a size is drawn with `size n in [1, 8]`"));
                    }
                }
                let path: Vec<(&'a str, Span)> = names.iter().map(|n| (n.text.as_str(), n.span)).collect();
                self.drawn_named(&path, ty, outer, depth)
            }
            TypeKind::Apply(of, args) => {
                if self.is_generic(of) {
                    return fail(open_type(ty));
                }
                let mut sizes = Vec::new();
                for arg in args {
                    match arg {
                        TypeArg::Size(e) => {
                            let n = self.expr(e, env).map_err(|mut e| {
                                if e.code == "E0401" {
                                    e.help = Some("a size of the property: `size n in [1, 8]`".to_string());
                                }
                                e
                            })?;
                            sizes.push(self.size(&n, e.span)?);
                        }
                        TypeArg::Type(_) => return none("a type with arguments"),
                    }
                }
                let inner = self.drawn(of, env, &[outer, &sizes].concat(), depth + 1)?;
                Ok(Value::within(&sizes, inner))
            }
            TypeKind::Tuple(parts) => {
                let parts = parts.iter().map(|p| self.drawn(p, env, outer, depth + 1));
                Ok(Value::tuple(parts.collect::<R<_>>()?))
            }
            TypeKind::Record(fields) => {
                let fields = fields.iter().map(|(n, t)| Ok((n.text.as_str(), self.drawn(t, env, outer, depth + 1)?)));
                Ok(Value::record(None, fields.collect::<R<_>>()?))
            }
            TypeKind::Fn(..) => none("a function"),
            TypeKind::Error => Ok(Value::Unit),
        }
    }

    /// A value of a type that has a name; what stands in its declaration knows nothing of the property.
    fn drawn_named(&mut self, path: &[(&'a str, Span)], ty: &'a Type, outer: &[usize], depth: usize) -> R<Value<'a>> {
        let Some(id) = self.script.find_named_type(path, self.module) else {
            let name = path.last().map_or("", |(n, _)| n);
            return fail(Diagnostic::error("E0401", format!("unknown type `{name}`")).at(ty.span, ""));
        };
        let module = std::mem::replace(&mut self.module, id.module);
        let value = match &self.script.item(id).kind {
            ItemKind::Enum(_) => self.drawn_enum(path, id.module, ty, outer, depth),
            ItemKind::Type(def) if def.params.is_empty() => {
                self.drawn(&def.ty, &Env::default(), outer, depth + 1).map(|v| named(v, &def.name.text))
            }
            ItemKind::Type(_)
            | ItemKind::Import(_)
            | ItemKind::Param(_)
            | ItemKind::Size(_)
            | ItemKind::Fn(_)
            | ItemKind::Let { .. }
            | ItemKind::Data(_)
            | ItemKind::Test { .. }
            | ItemKind::Prop(_)
            | ItemKind::Error => fail(open_type(ty)),
        };
        self.module = module;
        value
    }

    fn drawn_enum(
        &mut self,
        path: &[(&'a str, Span)],
        module: crate::script::ModuleId,
        ty: &'a Type,
        outer: &[usize],
        depth: usize,
    ) -> R<Value<'a>> {
        let last = &path[path.len() - 1..];
        let Some(of) = self.find_enum(last, module) else { return Ok(Value::Unit) };
        let mut fields = vec![("tag", Value::Leaf(self.fresh(DType::I32, outer, ty)?))];
        for field in of.def.variants.iter().flat_map(|v| &v.fields) {
            fields.push((&field.path, self.drawn(&field.ty, &Env::default(), outer, depth + 1)?));
        }
        Ok(Value::record(Some(Of::Enum(of)), fields))
    }

    fn is_generic(&self, ty: &'a Type) -> bool {
        let TypeKind::Path(names) = &ty.kind else { return false };
        let path: Vec<(&'a str, Span)> = names.iter().map(|n| (n.text.as_str(), n.span)).collect();
        self.find_type(&path, self.module).is_some_and(|(_, def)| !def.params.is_empty())
    }

    fn fresh(&mut self, dtype: DType, shape: &[usize], ty: &Type) -> R<Atom> {
        let size = shape.iter().try_fold(1usize, |size, n| size.checked_mul(*n));
        if size.is_none_or(|size| size > LARGEST) {
            let e = Diagnostic::error("E0606", "this is too large to be drawn many times").at(ty.span, "");
            return fail(e.help("smaller sizes find as much: `size n in [1, 8]`"));
        }
        Ok(self.b.fresh(CoreType { dtype, shape: shape.into() }).into())
    }
}

fn open_type(ty: &Type) -> Diagnostic {
    let e = Diagnostic::error("E0606", "a type with arguments cannot be drawn at random").at(ty.span, "");
    e.help("write out what it stands for: `{ field: f32, … }`")
}

fn empty(b: &Bounds) -> Diagnostic {
    let e = Diagnostic::error("E0607", "there is no number between these bounds").at(b.low.span.to(b.high.span), "");
    e.help("the lower bound comes first; `[` and `]` include their number")
}
