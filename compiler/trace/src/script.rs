//! A script and everything it imports: parsed, with names bound and settings applied.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use whorl_source::{Diagnostic, SourceMap, Span};
use whorl_syntax::ast::{self, ItemKind, PatternKind};

use crate::checks::examples::Example;
use crate::data::{Data, DataProblem, DataRequest, bind_sizes, request};
use crate::names::did_you_mean;
use crate::params;
use crate::parts::{self, Part};

/// Where the text of an imported module comes from: `std.…` from the library, other paths from files beside the importer.
pub trait Loader {
    /// The display name and the text of the module at `path`, imported by the file that is displayed as `from`.
    /// One module must always get the same display name. The error says why there is none, in a few words.
    fn load(&mut self, path: &[String], from: Option<&str>) -> Result<(String, String), String>;

    /// What a data file holds that the file displayed as `from` asks for.
    fn data(&mut self, request: &DataRequest, _from: Option<&str>) -> Result<Data, DataProblem> {
        Err(DataProblem::new("E0807", format!("there is no file `{}`", request.file), "no data is read here"))
    }

    /// Paths of modules that can be imported from anywhere, for guesses at what was meant.
    fn known(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A module, by its place in its script; the script's own file is the first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ModuleId(pub u32);

impl ModuleId {
    pub const MAIN: ModuleId = ModuleId(0);
}

pub(crate) struct Module {
    /// As `import` names it, such as `std.rl.ppo`; empty for the script itself.
    pub path: Vec<String>,
    /// What a diagnostic calls the file.
    pub display: String,
    pub tree: ast::Module,
    pub values: HashMap<String, Def>,
    pub types: HashMap<String, ItemId>,
    /// In its doc comments; only of the script itself.
    pub examples: Vec<Example>,
    /// Of each name at its top: whether other modules may use it, and where it is declared.
    pub public: HashMap<String, (bool, Span)>,
    /// What the files of its `data` items hold, by the place of the item.
    pub data: HashMap<usize, Data>,
}

/// An item of a module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ItemId {
    pub module: ModuleId,
    pub item: usize,
}

/// What a name at the top of a module stands for.
#[derive(Clone, Copy)]
pub(crate) enum Def {
    Item(ItemId),
    Module(ModuleId),
}

/// A script, loaded and ready to be traced.
pub struct Script {
    pub(crate) modules: Vec<Module>,
    pub(crate) map: SourceMap,
    pub(crate) settings: params::Settings,
    /// What is bound or declared, and never used.
    pub(crate) unused: Vec<Diagnostic>,
    /// Functions of the script itself that tracing has followed calls of, by their place in the text.
    pub(crate) called: Mutex<HashSet<Span>>,
    /// Whether another function of the script calls `eval`.
    pub(crate) calls_eval: bool,
}

impl Script {
    /// Parses the script and all it imports, binds names, applies `settings` (`seeds` = `16`, `ppo.lr` = `1e-3`) and checks
    /// the bounds of params and sizes. Every file read is added to `map`.
    pub fn load(
        loader: &mut dyn Loader,
        map: &mut SourceMap,
        name: &str,
        text: &str,
        settings: &[(String, String)],
    ) -> Result<Script, Vec<Diagnostic>> {
        Script::of_parts(loader, map, name, &[Part::items(name, text)], settings)
    }

    /// The same of a script in several texts, of which later ones replace what has their names in earlier ones. Modules and data are
    /// looked for as if all were the file `name`.
    pub fn of_parts(
        loader: &mut dyn Loader,
        map: &mut SourceMap,
        name: &str,
        parts: &[Part],
        settings: &[(String, String)],
    ) -> Result<Script, Vec<Diagnostic>> {
        let mut loading =
            Loading { loader, map, modules: Vec::new(), by_name: HashMap::new(), open: Vec::new(), errors: Vec::new() };
        loading.module(Vec::new(), name.to_string(), parts);
        let Loading { modules, errors, map, .. } = loading;
        if !errors.is_empty() {
            return Err(errors);
        }
        let modules: Vec<Module> = modules.into_iter().flatten().collect();
        let (map, unused) = (map.clone(), Vec::new());
        let (none, called) = (params::Settings::default(), Mutex::default());
        let mut script = Script { modules, map, settings: none, unused, called, calls_eval: false };
        let found = crate::resolve::resolve(&script);
        (script.unused, script.calls_eval) = (found.warnings, found.calls_eval);
        if !found.errors.is_empty() {
            return Err(script.with_traced(found.errors));
        }
        script.settings = params::Settings::resolve(&script, settings)?;
        script.check_params()?;
        Ok(script)
    }

    /// Errors in names, and what else tracing `main` tells.
    fn with_traced(&self, mut errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let place = |d: &Diagnostic| d.labels.first().map(|l| (l.span.file, l.span.start));
        let traced =
            if self.module(ModuleId::MAIN).values.contains_key("main") { self.trace_main() } else { return errors };
        for e in traced.err().unwrap_or_default() {
            if !errors.iter().any(|known| known.code == e.code && place(known) == place(&e)) {
                errors.push(e);
            }
        }
        errors.sort_by_key(place);
        errors
    }

    /// The functions of the script itself: those that tracing has reached so far, and the others.
    pub fn reached(&self) -> (Vec<&str>, Vec<&str>) {
        let called = self.called.lock().unwrap_or_else(|e| e.into_inner());
        let items = self.module(ModuleId::MAIN).tree.items.iter();
        let functions = items.filter_map(|i| if let ItemKind::Fn(f) = &i.kind { Some(f) } else { None });
        let (reached, missed): (Vec<_>, Vec<_>) = functions.partition(|f| called.contains(&f.name.span));
        fn names(of: Vec<&ast::FnDef>) -> Vec<&str> {
            of.into_iter().map(|f| f.name.text.as_str()).collect()
        }
        (names(reached), names(missed))
    }

    /// Warnings of what is bound, imported or declared, and never used; tracing has others.
    pub fn unused(&self) -> &[Diagnostic] {
        &self.unused
    }

    /// The type or enum of a path.
    pub(crate) fn find_named_type(&self, path: &[(&str, Span)], mut module: ModuleId) -> Option<ItemId> {
        let (last, modules) = path.split_last()?;
        for (name, _) in modules {
            match self.module(module).values.get(*name)? {
                Def::Module(id) => module = *id,
                Def::Item(_) => return None,
            }
        }
        self.module(module).types.get(last.0).copied()
    }

    /// The files that were read, for rendering diagnostics.
    pub fn source_map(&self) -> &SourceMap {
        &self.map
    }

    pub(crate) fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.0 as usize]
    }

    pub(crate) fn item(&self, id: ItemId) -> &ast::Item {
        &self.module(id.module).tree.items[id.item]
    }
}

struct Loading<'l> {
    loader: &'l mut dyn Loader,
    map: &'l mut SourceMap,
    /// `None` while a module's imports are being read.
    modules: Vec<Option<Module>>,
    by_name: HashMap<String, ModuleId>,
    open: Vec<String>,
    errors: Vec<Diagnostic>,
}

impl Loading<'_> {
    fn module(&mut self, path: Vec<String>, display: String, parts: &[Part]) -> ModuleId {
        let id = ModuleId(self.modules.len() as u32);
        self.modules.push(None);
        self.by_name.insert(display.clone(), id);
        self.open.push(display.clone());
        let joined = parts::join(self.map, parts, id == ModuleId::MAIN);
        self.errors.extend(joined.errors);
        let mut module = Module {
            path,
            display,
            tree: ast::Module { doc: joined.doc, items: joined.items },
            values: HashMap::new(),
            types: HashMap::new(),
            examples: joined.examples,
            public: HashMap::new(),
            data: joined.data,
        };
        self.bind_items(&mut module, id);
        self.open.pop();
        self.modules[id.0 as usize] = Some(module);
        id
    }

    fn bind_items(&mut self, module: &mut Module, id: ModuleId) {
        let mut places: HashMap<String, Span> = HashMap::new();
        let mut types: HashMap<String, Span> = HashMap::new();
        let items = std::mem::take(&mut module.tree.items);
        for (k, item) in items.iter().enumerate() {
            let own = ItemId { module: id, item: k };
            match &item.kind {
                ItemKind::Import(import) => self.import(module, import, item.span, &mut places),
                ItemKind::Param(p) | ItemKind::Size(p) => self.value(module, &p.name, Def::Item(own), &mut places),
                ItemKind::Fn(f) => self.value(module, &f.name, Def::Item(own), &mut places),
                ItemKind::Type(ast::TypeDef { name, .. }) | ItemKind::Enum(ast::EnumDef { name, .. }) => {
                    if let Some(first) = types.insert(name.text.clone(), name.span) {
                        let message = format!("the type `{}` is defined twice", name.text);
                        let e = Diagnostic::error("E0402", message).at(name.span, "again here");
                        self.errors.push(e.at(first, "first here"));
                    }
                    module.types.insert(name.text.clone(), own);
                }
                ItemKind::Let { pattern, .. } => {
                    let mut names = Vec::new();
                    pattern_names(pattern, &mut names);
                    for name in names {
                        self.value(module, &name, Def::Item(own), &mut places);
                    }
                }
                ItemKind::Data(def) => {
                    self.value(module, &def.name, Def::Item(own), &mut places);
                    if !module.data.contains_key(&k) {
                        self.data(module, k, def);
                    }
                }
                ItemKind::Test { .. } | ItemKind::Prop(_) | ItemKind::Error => {}
            }
            // What other modules set is there for all.
            let open = item.public || matches!(item.kind, ItemKind::Param(_) | ItemKind::Size(_));
            for name in item_names(&item.kind) {
                module.public.insert(name.text, (open, name.span));
            }
        }
        bind_sizes(module, &items, id);
        module.tree.items = items;
    }

    /// Reads the file of a `data` item.
    fn data(&mut self, module: &mut Module, item: usize, def: &ast::DataDef) {
        if def.value.kind == ast::ExprKind::Error {
            // The parser has said what it did not understand.
            return;
        }
        let read = match request(def) {
            Ok((request, span)) => {
                let data = self.loader.data(&request, Some(&module.display));
                data.map_err(|p| Diagnostic { help: p.help, ..Diagnostic::error(p.code, p.message).at(span, p.label) })
            }
            Err(e) => Err(*e),
        };
        match read {
            Ok(data) => drop(module.data.insert(item, data)),
            Err(e) => self.errors.push(e),
        }
    }

    fn value(&mut self, module: &mut Module, name: &ast::Name, def: Def, places: &mut HashMap<String, Span>) {
        if let Some(first) = places.insert(name.text.clone(), name.span) {
            let message = format!("`{}` is defined twice", name.text);
            self.errors.push(Diagnostic::error("E0402", message).at(name.span, "again here").at(first, "first here"));
        }
        module.values.insert(name.text.clone(), def);
    }

    fn import(&mut self, module: &mut Module, import: &ast::Import, span: Span, places: &mut HashMap<String, Span>) {
        let path: Vec<String> = import.path.iter().map(|n| n.text.clone()).collect();
        let (Some(last), Some(first)) = (import.path.last(), import.path.first()) else { return };
        let from = module.display.clone();
        let target = self.find(&path, &from, first.span.to(last.span));
        let Some(names) = &import.names else {
            if let Some(target) = target.unwrap_or_else(|e| self.fail(*e)) {
                self.value(module, import.alias.as_ref().unwrap_or(last), Def::Module(target), places);
            }
            return;
        };
        for name in names {
            self.import_name(module, name, &path, &target, places, span);
        }
        if let Err(e) = target
            && names.is_empty()
        {
            self.errors.push(*e);
        }
    }

    /// One name in braces: an item of the module, or a module below it.
    fn import_name(
        &mut self,
        module: &mut Module,
        name: &ast::Name,
        path: &[String],
        target: &Result<Option<ModuleId>, Box<Diagnostic>>,
        places: &mut HashMap<String, Span>,
        span: Span,
    ) {
        if let Ok(Some(id)) = target
            && let Some(source) = &self.modules[id.0 as usize]
        {
            let (def, ty) = (source.values.get(&name.text).copied(), source.types.get(&name.text).copied());
            let private = crate::names::not_public(source, &name.text, name.span);
            if let Some(ty) = ty {
                module.types.insert(name.text.clone(), ty);
            }
            if let Some(def) = def {
                self.value(module, name, def, places);
            }
            if def.is_some() || ty.is_some() {
                self.errors.extend(private);
                return;
            }
        }
        let mut below = path.to_vec();
        below.push(name.text.clone());
        let from = module.display.clone();
        if let Ok(Some(id)) = self.find(&below, &from, name.span) {
            self.value(module, name, Def::Module(id), places);
            return;
        }
        match target {
            Err(e) => {
                if !self.errors.iter().any(|known| known.labels == e.labels) {
                    self.errors.push((**e).clone());
                }
            }
            Ok(None) => {}
            Ok(Some(id)) => {
                let source = self.modules[id.0 as usize].as_ref();
                let known: Vec<String> =
                    source.iter().flat_map(|m| m.values.keys().chain(m.types.keys())).cloned().collect();
                let message = format!("`{}` has no `{}`", path.join("."), name.text);
                let mut e = Diagnostic::error("E0403", message).at(name.span, "not found").at(span, "");
                e.labels.truncate(1);
                e.help = did_you_mean(&name.text, known.iter().map(String::as_str));
                self.errors.push(e);
            }
        }
    }

    fn fail(&mut self, e: Diagnostic) -> Option<ModuleId> {
        self.errors.push(e);
        None
    }

    /// The module at a path, read if it was not yet; `None` where reading it was already reported.
    fn find(&mut self, path: &[String], from: &str, span: Span) -> Result<Option<ModuleId>, Box<Diagnostic>> {
        let dotted = path.join(".");
        let (display, text) = self.loader.load(path, Some(from)).map_err(|why| {
            let mut e = Diagnostic::error("E0403", format!("there is no module `{dotted}`")).at(span, why);
            let known = self.loader.known();
            e.help = did_you_mean(&dotted, known.iter().map(String::as_str))
                .or_else(|| path.first().and_then(|p| crate::habits::of_name(p)).map(str::to_string));
            Box::new(e)
        })?;
        if let Some(start) = self.open.iter().position(|d| *d == display) {
            let mut ring = self.open[start..].to_vec();
            ring.push(display);
            let e =
                Diagnostic::error("E0408", format!("`{dotted}` imports itself")).at(span, "comes back to the start");
            return Err(Box::new(e.note(ring.join(" imports ")).help("move what both need into a third file")));
        }
        match self.by_name.get(&display) {
            Some(&id) => Ok(Some(id)),
            None => {
                let parts = [Part::items(display.clone(), text)];
                Ok(Some(self.module(path.to_vec(), display, &parts)))
            }
        }
    }
}

/// The names that an item gives to its module.
pub(crate) fn item_names(item: &ItemKind) -> Vec<ast::Name> {
    match item {
        ItemKind::Import(import) => match &import.names {
            Some(names) => names.clone(),
            None => import.alias.iter().chain(import.path.last()).take(1).cloned().collect(),
        },
        ItemKind::Param(p) | ItemKind::Size(p) => vec![p.name.clone()],
        ItemKind::Type(ast::TypeDef { name, .. })
        | ItemKind::Enum(ast::EnumDef { name, .. })
        | ItemKind::Fn(ast::FnDef { name, .. }) => vec![name.clone()],
        ItemKind::Let { pattern, .. } => {
            let mut names = Vec::new();
            pattern_names(pattern, &mut names);
            names
        }
        ItemKind::Data(def) => vec![def.name.clone()],
        ItemKind::Test { .. } | ItemKind::Prop(_) | ItemKind::Error => Vec::new(),
    }
}

/// The names that a pattern binds.
pub(crate) fn pattern_names(pattern: &ast::Pattern, out: &mut Vec<ast::Name>) {
    match &pattern.kind {
        PatternKind::Name(text) => out.push(ast::Name { text: text.clone(), span: pattern.span }),
        PatternKind::Ignore | PatternKind::Error => {}
        PatternKind::Tuple(parts) | PatternKind::Array(parts) => parts.iter().for_each(|p| pattern_names(p, out)),
        PatternKind::Record(fields) => {
            for (name, pattern) in fields {
                match pattern {
                    Some(p) => pattern_names(p, out),
                    None => out.push(name.clone()),
                }
            }
        }
    }
}
