//! Params and sizes: defaults, settings, bounds, and the list of knobs.

use std::collections::HashMap;

use whorl_core::{Atom, DType};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{ItemKind, Param, TypeKind};

use crate::names::{did_you_mean, listed};
use crate::script::{ItemId, ModuleId, Script};
use crate::tracer::{Tracer, fail, own_dtype};
use crate::tree::static_lit;
use crate::value::{Env, R, Value};

/// A `param` or a `size`, as a command line or a form shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Knob {
    /// `seeds` for the script's own, `ppo.lr` for a module's.
    pub name: String,
    /// `f32`, `i32`, `bool`, …, or `size`.
    pub ty: String,
    /// As it is used.
    pub value: String,
    pub default: String,
    /// `(0, 1)`
    pub bounds: Option<String>,
    /// The text behind its declaration, and the `///` lines above it.
    pub about: String,
    pub is_size: bool,
}

/// What was set from outside.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Settings {
    set: HashMap<ItemId, Number>,
    /// Params that are inputs of the program: their values are given when it runs.
    pub inputs: Vec<ItemId>,
}

/// A number as the command line gives it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl Number {
    fn read(text: &str) -> Option<Number> {
        let plain = text.trim().replace('_', "");
        match plain.as_str() {
            "true" => Some(Number::Bool(true)),
            "false" => Some(Number::Bool(false)),
            t => t.parse().map(Number::Int).ok().or_else(|| t.parse().map(Number::Float).ok()),
        }
    }

    fn value<'a>(self) -> Value<'a> {
        match self {
            Number::Int(i) => Value::Int(i),
            Number::Float(x) => Value::Float(x),
            Number::Bool(b) => Value::Bool(b),
        }
    }
}

impl Settings {
    pub(crate) fn resolve(script: &Script, settings: &[(String, String)]) -> Result<Settings, Vec<Diagnostic>> {
        let (mut set, mut errors) = (HashMap::new(), Vec::new());
        for (name, text) in settings {
            match script.find_knob(name).and_then(|(id, p)| Ok((id, read(name, text, p)?))) {
                Ok((id, number)) => _ = set.insert(id, number),
                Err(e) => errors.push(*e),
            }
        }
        if errors.is_empty() { Ok(Settings { set, inputs: Vec::new() }) } else { Err(errors) }
    }

    /// The same with these params as inputs of the program.
    pub(crate) fn with_inputs(&self, inputs: &[ItemId]) -> Settings {
        Settings { set: self.set.clone(), inputs: inputs.to_vec() }
    }

    /// These values in the place of what was set before.
    pub(crate) fn with(&self, values: impl Iterator<Item = (ItemId, Number)>) -> Settings {
        let mut new = self.clone();
        new.set.extend(values);
        new
    }

    pub(crate) fn is_set(&self, id: ItemId) -> bool {
        self.set.contains_key(&id)
    }
}

/// The value that `text` is for the param.
pub(crate) fn read(name: &str, text: &str, param: &Param) -> Result<Number, Box<Diagnostic>> {
    Number::read(text).ok_or_else(|| {
        let e = Diagnostic::error("E0406", format!("`{text}` is not a value for `{name}`"));
        Box::new(e.at(param.name.span, "declared here").help("a number, `true` or `false`"))
    })
}

impl Script {
    /// The param or size of this name.
    pub(crate) fn find_knob(&self, name: &str) -> R<(ItemId, &Param)> {
        let known = self.param_items();
        if let Some(found) = known.iter().find(|(id, p)| self.knob_names(*id, p).iter().any(|n| n == name)) {
            return Ok(*found);
        }
        let names: Vec<String> = known.iter().map(|(id, p)| self.knob_names(*id, p).swap_remove(0)).collect();
        let mut e = Diagnostic::error("E0404", format!("there is no param or size `{name}` to set"));
        e.help = did_you_mean(name, names.iter().map(String::as_str));
        if e.help.is_none() && !names.is_empty() {
            let shown = listed(names.iter().take(12).map(String::as_str));
            e.notes.push(format!("there are {shown}"));
        }
        fail(e)
    }

    pub(crate) fn param_items(&self) -> Vec<(ItemId, &Param)> {
        let mut out = Vec::new();
        for (m, module) in self.modules.iter().enumerate() {
            for (item, it) in module.tree.items.iter().enumerate() {
                if let ItemKind::Param(p) | ItemKind::Size(p) = &it.kind {
                    out.push((ItemId { module: ModuleId(m as u32), item }, p));
                }
            }
        }
        out
    }

    /// What a param may be called from outside, the short name first.
    pub(crate) fn knob_names(&self, id: ItemId, p: &Param) -> Vec<String> {
        let path = &self.module(id.module).path;
        match path.last() {
            None => vec![p.name.text.clone()],
            Some(last) => vec![format!("{last}.{}", p.name.text), format!("{}.{}", path.join("."), p.name.text)],
        }
    }

    /// Whether this is the name of a param in a module.
    pub(crate) fn knob_at(&self, name: &str, module: ModuleId) -> bool {
        match self.module(module).values.get(name) {
            Some(crate::script::Def::Item(id)) => matches!(self.item(*id).kind, ItemKind::Param(_)),
            Some(crate::script::Def::Module(_)) | None => false,
        }
    }

    /// Every param and size of every module, those of the script first.
    pub fn knobs(&self) -> Vec<Knob> {
        let mut tracer = Tracer::new(self);
        tracer.b.begin();
        let items = self.param_items().into_iter();
        let knobs = items.map(|(id, p)| {
            let is_size = matches!(self.item(id).kind, ItemKind::Size(_));
            let text = |v: R<Value>| v.map_or_else(|_| "?".to_string(), |v| number_text(&v));
            let value = tracer.plain_value(id, true);
            let dtype = value.as_ref().ok().and_then(|v| param_dtype(p, v));
            let bounds = p.bounds.as_ref().map(|b| {
                let mut side = |e| text(tracer.plain_expr(id, e));
                let (low, high) = (side(&b.low), side(&b.high));
                let (open, close) = (if b.low_inclusive { '[' } else { '(' }, if b.high_inclusive { ']' } else { ')' });
                format!("{open}{low}, {high}{close}")
            });
            Knob {
                name: self.knob_names(id, p).swap_remove(0),
                ty: if is_size { "size".to_string() } else { dtype.map_or("?", DType::name).to_string() },
                default: text(tracer.plain_value(id, false)),
                value: text(value),
                bounds,
                about: [p.about.trim(), self.item(id).doc.trim()]
                    .iter()
                    .filter(|t| !t.is_empty())
                    .copied()
                    .collect::<Vec<_>>()
                    .join("\n"),
                is_size,
            }
        });
        knobs.collect()
    }

    pub(crate) fn check_params(&self) -> Result<(), Vec<Diagnostic>> {
        let mut tracer = Tracer::new(self);
        tracer.b.begin();
        for (id, p) in self.param_items() {
            if let Err(e) = tracer.check_param(id, p) {
                tracer.report(*e);
            }
        }
        if tracer.errors.is_empty() { Ok(()) } else { Err(tracer.errors) }
    }
}

impl<'a> Tracer<'a> {
    /// The value of a param or size in the program: a size is a number known while tracing; a param is a constant of its
    /// type, or an input of the program where it is swept.
    pub fn param_value(&mut self, id: ItemId, span: Span) -> R<Value<'a>> {
        if let (Some(var), false) = (self.param_inputs.get(&id), self.plain_params) {
            return Ok(Value::Leaf(Atom::Var(*var)));
        }
        let plain = self.plain_value(id, true)?;
        let (ItemKind::Param(p) | ItemKind::Size(p)) = &self.script.item(id).kind else {
            return fail(Diagnostic::error("E0401", "this is not a param").at(span, ""));
        };
        let is_size = matches!(self.script.item(id).kind, ItemKind::Size(_));
        match param_dtype(p, &plain) {
            Some(dtype) if !is_size && !self.plain_params => {
                Ok(Value::Leaf(static_lit(&plain, dtype).map_err(|why| Box::new(unfit(p, &why)))?.into()))
            }
            _ => Ok(plain),
        }
    }

    /// Makes the params that are swept inputs of the program; they come behind the other ones.
    pub fn declare_param_inputs(&mut self) -> R<Vec<(String, Atom)>> {
        let mut declared = Vec::new();
        for &id in &self.script.settings.inputs {
            let (ItemKind::Param(p) | ItemKind::Size(p)) = &self.script.item(id).kind else { continue };
            let dtype = self.typed_value(id)?.1;
            let var = self.b.fresh(whorl_core::Type::scalar(dtype));
            let name = self.script.knob_names(id, p).swap_remove(0);
            self.b.vars.set_name(var, name.as_str());
            self.param_inputs.insert(id, var);
            declared.push((name, var.into()));
        }
        Ok(declared)
    }

    /// A param's or size's value, and the type that it has in the program.
    pub(crate) fn typed_value(&mut self, id: ItemId) -> R<(Value<'a>, DType)> {
        let value = self.plain_value(id, true)?;
        let (ItemKind::Param(p) | ItemKind::Size(p)) = &self.script.item(id).kind else {
            return fail(Diagnostic::error("E0401", "this is not a param"));
        };
        let dtype = param_dtype(p, &value).unwrap_or(own_dtype(&value));
        Ok((value, dtype))
    }

    /// The number that a param or size has, as set or by default.
    fn plain_value(&mut self, id: ItemId, as_set: bool) -> R<Value<'a>> {
        let (ItemKind::Param(p) | ItemKind::Size(p)) = &self.script.item(id).kind else {
            return fail(Diagnostic::error("E0401", "this is not a param"));
        };
        let is_size = matches!(self.script.item(id).kind, ItemKind::Size(_));
        let value = match self.script.settings.set.get(&id) {
            Some(number) if as_set => number.value(),
            _ => {
                if !self.open.insert(id) {
                    return fail(
                        Diagnostic::error("E0407", format!("`{}` needs itself", p.name.text)).at(p.name.span, ""),
                    );
                }
                let value = self.plain_expr(id, &p.value);
                self.open.remove(&id);
                value?
            }
        };
        let whole = |x: f64| x.fract() == 0.0 && x.abs() < 9e15;
        let dtype = param_dtype(p, &value);
        Ok(match value {
            // `5e5` is a whole number as well.
            Value::Float(x) if whole(x) && (is_size || dtype.is_some_and(DType::is_int)) => Value::Int(x as i64),
            Value::Int(i) if !is_size && dtype.is_some_and(DType::is_float) => Value::Float(i as f64),
            other => other,
        })
    }

    /// A number in a declaration.
    fn plain_expr(&mut self, id: ItemId, e: &'a whorl_syntax::ast::Expr) -> R<Value<'a>> {
        let module = std::mem::replace(&mut self.module, id.module);
        let plain = std::mem::replace(&mut self.plain_params, true);
        self.yields.push(None);
        let value = self.expr(e, &Env::default());
        self.yields.pop();
        self.plain_params = plain;
        self.module = module;
        match value? {
            v if v.is_static_number() => Ok(v),
            Value::Leaf(Atom::Lit(l)) if l.dtype.is_float() => Ok(Value::Float(l.to_f64())),
            Value::Leaf(Atom::Lit(l)) if l.dtype.is_int() => Ok(Value::Int(l.to_f64() as i64)),
            other => {
                let what = match other {
                    Value::Leaf(_) => "this has to be computed".to_string(),
                    other => format!("this is {}", other.describe(&self.b)),
                };
                let e2 = Diagnostic::error("E0406", "a param or size is a number known before the program runs");
                fail(e2.at(e.span, what).help(
                    "literals, other params and sizes, and `+ - * /` of them; an array is a `let`: `let layers = [64, 64]`",
                ))
            }
        }
    }

    fn check_param(&mut self, id: ItemId, p: &'a Param) -> R<()> {
        let value = self.plain_value(id, true)?;
        let is_size = matches!(self.script.item(id).kind, ItemKind::Size(_));
        if is_size {
            let set = self.script.settings.set.contains_key(&id);
            self.size(&value, p.value.span).map_err(|mut e| {
                if set && let Some(label) = e.labels.first_mut() {
                    (label.span, label.text) =
                        (p.name.span, format!("`{}` is set to {}", p.name.text, number_text(&value)));
                }
                e
            })?;
        } else if let Some(ty) = &p.ty
            && param_dtype(p, &value).is_none()
        {
            let e = Diagnostic::error("E0406", "a param is a number or a bool").at(ty.span, "");
            return fail(e.help("`f32`, `i32`, `u32`, `f64` or `bool`"));
        } else if let Some(dtype) = param_dtype(p, &value) {
            static_lit(&value, dtype).map_err(|why| Box::new(unfit(p, &why)))?;
        }
        let Some(bounds) = &p.bounds else { return Ok(()) };
        let mut side = |e| self.plain_expr(id, e).map(|v| as_f64(&v));
        let (low, high, x) = (side(&bounds.low)?, side(&bounds.high)?, as_f64(&value));
        let above = if bounds.low_inclusive { x >= low } else { x > low };
        let below = if bounds.high_inclusive { x <= high } else { x < high };
        if above && below {
            return Ok(());
        }
        let e = Diagnostic::error("E0405", format!("`{}` = {} is out of its bounds", p.name.text, number_text(&value)));
        let above = if bounds.low_inclusive { "at least" } else { "more than" };
        let below = if bounds.high_inclusive { "at most" } else { "less than" };
        let number = |x: f64| if is_size || x.fract() != 0.0 { x.to_string() } else { format!("{x:.0}") };
        let must = format!("it must be {above} {} and {below} {}", number(low), number(high));
        let set = self.script.settings.set.contains_key(&id);
        let e = e.at(bounds.low.span.to(bounds.high.span), must);
        fail(e.at(p.name.span, if set { "set from outside" } else { "declared here" }))
    }
}

fn unfit(p: &Param, why: &str) -> Diagnostic {
    Diagnostic::error("E0406", format!("the value of `{}` does not fit its type", p.name.text)).at(p.name.span, why)
}

/// The element type of a param, declared or its value's own; `None` if what is declared is no element type.
fn param_dtype(p: &Param, value: &Value) -> Option<DType> {
    match p.ty.as_ref().map(|t| &t.kind) {
        None => Some(own_dtype(value)),
        Some(TypeKind::Path(path)) if path.len() == 1 => DType::ALL.into_iter().find(|d| d.name() == path[0].text),
        Some(_) => None,
    }
}

fn as_f64(v: &Value) -> f64 {
    match v {
        Value::Int(i) => *i as f64,
        Value::Float(x) => *x,
        Value::Bool(b) => f64::from(*b),
        _ => f64::NAN,
    }
}

fn number_text(v: &Value) -> String {
    match v {
        Value::Int(i) => i.to_string(),
        Value::Float(x) => format!("{x:?}"),
        Value::Bool(b) => b.to_string(),
        _ => "?".to_string(),
    }
}
