//! Data files: `data digits = load("digits.npz")` at the top of a file.
//!
//! The script's loader reads the file when the script is loaded; its arrays are constants of the program, and their sizes
//! are known while tracing. Nothing copies the elements: a program holds them by reference, once.

use std::sync::Arc;

use whorl_core::{ArrayData, DType, Type};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{self, DataDef, ExprKind, ItemKind, TypeArg, TypeKind};

use crate::entry::Leaf;
use crate::outline::Kept;
use crate::script::{Def, ItemId, Module, ModuleId, Script};
use crate::tracer::{Tracer, fail};
use crate::types::Site;
use crate::value::{Env, R, Value};

/// What a data file holds.
#[derive(Clone, Debug)]
pub enum Data {
    Array(Arc<ArrayData>),
    Tuple(Vec<Data>),
    /// Fields by name.
    Record(Vec<(String, Data)>),
    /// What an earlier program of a session gave.
    Kept(Arc<Kept>),
}

/// `load("table.csv", header: false)`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataRequest {
    /// As written: relative to the file that asks.
    pub file: String,
    /// Of a table: whether its first line names the columns.
    pub header: bool,
}

/// Why a data file could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataProblem {
    /// E0807: no such file; E0808: malformed; E0809: its elements; E0810: too large; E0812: no such format.
    pub code: &'static str,
    pub message: String,
    /// What stands under the name of the file.
    pub label: String,
    pub help: Option<String>,
}

impl DataProblem {
    pub fn new(code: &'static str, message: impl Into<String>, label: impl Into<String>) -> DataProblem {
        DataProblem { code, message: message.into(), label: label.into(), help: None }
    }
}

/// A data file of a script, for `whorl check`.
#[derive(Clone, PartialEq, Debug)]
pub struct DataFile {
    /// As the script calls it, with the module in front where it is another.
    pub name: String,
    pub file: String,
    pub arrays: Vec<Leaf>,
}

impl Script {
    /// All data files, in the order of the modules and their items.
    pub fn data_files(&self) -> Vec<DataFile> {
        let mut out = Vec::new();
        for module in &self.modules {
            for (k, item) in module.tree.items.iter().enumerate() {
                let ItemKind::Data(def) = &item.kind else { continue };
                let (Some(data), Ok((request, _))) = (module.data.get(&k), request(def)) else { continue };
                let mut arrays = Vec::new();
                data.arrays("", &mut arrays);
                let path: Vec<&str> = module.path.iter().chain([&def.name.text]).map(String::as_str).collect();
                out.push(DataFile { name: path.join("."), file: request.file, arrays });
            }
        }
        out
    }
}

impl Data {
    fn arrays(&self, path: &str, out: &mut Vec<Leaf>) {
        let below = |part: &str| if path.is_empty() { part.to_string() } else { format!("{path}.{part}") };
        match self {
            Data::Array(a) => out.push(Leaf { path: path.to_string(), ty: a.ty.clone() }),
            Data::Tuple(parts) => parts.iter().enumerate().for_each(|(k, d)| d.arrays(&below(&k.to_string()), out)),
            Data::Record(fields) => fields.iter().for_each(|(n, d)| d.arrays(&below(n), out)),
            Data::Kept(kept) => {
                out.extend(kept.arrays.iter().map(|a| Leaf { path: path.to_string(), ty: a.ty.clone() }));
            }
        }
    }
}

/// What the item asks for, and where it names the file.
pub(crate) fn request(def: &DataDef) -> R<(DataRequest, Span)> {
    let wrong = |span: Span, label: &str| {
        let e = Diagnostic::error("E0811", "`data` is what `load` gives of a file whose name is written there");
        fail(e.at(span, label).help(format!("data {} = load(\"file.npz\")", def.name.text)))
    };
    let ExprKind::Call { callee, args } = &def.value.kind else {
        return match &def.value.kind {
            ExprKind::String(file) => {
                let e = Diagnostic::error("E0811", "`data` is what `load` gives of a file");
                fail(e.at(def.value.span, "").help(format!("data {} = load({file:?})", def.name.text)))
            }
            _ => wrong(def.value.span, "this is no call of `load`"),
        };
    };
    if !matches!(&callee.kind, ExprKind::Name(name) if name == "load") {
        return wrong(callee.span, "this is not `load`");
    }
    let mut found = None;
    let mut header = true;
    for arg in args {
        match (arg.name.as_ref().map(|n| n.text.as_str()), &arg.value.kind) {
            (None, ExprKind::String(file)) if found.is_none() => found = Some((file.clone(), arg.value.span)),
            (None, ExprKind::String(_)) => return wrong(arg.value.span, "a second file: give it a `data` of its own"),
            (Some("header"), ExprKind::Bool(given)) => header = *given,
            (Some("header"), _) => return wrong(arg.value.span, "`header` is `true` or `false`"),
            (Some(other), _) => return wrong(arg.value.span, &format!("`load` has no option `{other}`")),
            (None, _) => return wrong(arg.value.span, "this is not the name of a file in quotes"),
        }
    }
    match found {
        Some((file, span)) => Ok((DataRequest { file, header }, span)),
        None => wrong(def.value.span, "no file is named"),
    }
}

/// Binds the names of sizes that only the annotations of `data` items name: `n` of `data x: f32[n] = …`.
pub(crate) fn bind_sizes(module: &mut Module, items: &[ast::Item], id: ModuleId) {
    for (item, kind) in items.iter().map(|i| &i.kind).enumerate() {
        let ItemKind::Data(DataDef { ty: Some(ty), .. }) = kind else { continue };
        let mut names = Vec::new();
        size_names(ty, &mut names);
        for name in names {
            let taken =
                DType::ALL.iter().any(|d| d.name() == name) || matches!(name.as_str(), "Key" | "size" | "string");
            if !taken && !module.types.contains_key(&name) && !module.values.contains_key(&name) {
                module.values.insert(name, Def::Item(ItemId { module: id, item }));
            }
        }
    }
}

/// The names that stand as sizes in a type.
fn size_names(ty: &ast::Type, out: &mut Vec<String>) {
    match &ty.kind {
        TypeKind::Apply(of, args) => {
            size_names(of, out);
            for arg in args {
                match arg {
                    TypeArg::Size(e) => {
                        if let ExprKind::Name(name) = &e.kind {
                            out.push(name.clone());
                        }
                    }
                    TypeArg::Type(t) => size_names(t, out),
                }
            }
        }
        TypeKind::Tuple(parts) => parts.iter().for_each(|t| size_names(t, out)),
        TypeKind::Record(fields) => fields.iter().for_each(|(_, t)| size_names(t, out)),
        TypeKind::Path(_) | TypeKind::Fn(..) | TypeKind::Error => {}
    }
}

impl<'a> Tracer<'a> {
    /// The names that a `data` item binds: its own, and sizes that its annotation names.
    pub fn data_item(&mut self, id: ItemId, def: &'a DataDef, span: Span) -> R<Env<'a>> {
        if let Some(env) = self.lets.get(&id) {
            return Ok(env.clone());
        }
        let script = self.script;
        let Some(data) = script.module(id.module).data.get(&id.item) else {
            return fail(Diagnostic::error("E0807", format!("`{}` was not read", def.name.text)).at(span, ""));
        };
        if !self.open.insert(id) {
            let e = Diagnostic::error("E0407", "this value needs itself").at(def.name.span, "");
            return fail(e.at(span, "used here"));
        }
        let outer = self.b.at(def.name.span);
        let value = self.data_value(data, def.name.span);
        self.b.at_spans(outer);
        let mut env = Env::default();
        let module = std::mem::replace(&mut self.module, id.module);
        let value = match (&def.ty, value) {
            (Some(ty), Ok(value)) => {
                let site = Site::new(format!("what is in the file of `{}`", def.name.text), def.value.span);
                self.promise_param(&value, ty, &mut env, &site)
            }
            (None, value) | (Some(_), value @ Err(_)) => value,
        };
        self.module = module;
        self.open.remove(&id);
        let value = value?;
        let mut arrays = Vec::new();
        value.leaf_paths(&def.name.text, &mut arrays);
        for (path, a) in arrays {
            if let Some(v) = a.var() {
                self.b.vars.set_name(v, path);
            }
        }
        env.bind(&def.name.text, value, def.name.span);
        self.lets.insert(id, env.clone());
        Ok(env)
    }

    fn data_value(&mut self, data: &'a Data, span: Span) -> R<Value<'a>> {
        Ok(match data {
            Data::Array(a) if a.ty == Type::scalar(a.ty.dtype) => Value::Leaf(a.element(0).into()),
            Data::Array(a) => Value::Leaf(self.b.outer_constant(a.clone())),
            Data::Tuple(parts) => Value::tuple(parts.iter().map(|d| self.data_value(d, span)).collect::<R<_>>()?),
            Data::Record(fields) => {
                let fields = fields.iter().map(|(n, d)| Ok((n.as_str(), self.data_value(d, span)?)));
                Value::record(None, fields.collect::<R<_>>()?)
            }
            Data::Kept(kept) => self.kept_value(&kept.outline, &mut kept.arrays.iter(), span)?,
        })
    }

    /// Whether a name belongs to a `data` item whose annotation is being checked, and so is yet to be bound.
    pub fn is_open_data(&self, def: Def) -> bool {
        match def {
            Def::Item(id) => self.open.contains(&id) && matches!(self.script.item(id).kind, ItemKind::Data(_)),
            Def::Module(_) => false,
        }
    }
}
