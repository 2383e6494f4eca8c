//! From a loaded script to a Core program: `main`, or one function.

use whorl_core::{Atom, DType, Function as CoreFunction, Program, Type};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{FnDef, ItemKind, PatternKind};
use whorl_transform::ad::custom;

use crate::checks::Claim;
use crate::names::did_you_mean;
use crate::save::Save;
use crate::script::{Def, ModuleId, Script};
use crate::tracer::{Tracer, fail};
use crate::value::{Arg, R, Value};

/// Tracing follows calls on the stack: room for the deepest that is allowed, in a debug build.
const STACK: usize = 512 << 20;

/// A traced program, and what its parameters and results mean.
#[derive(Clone, Debug)]
pub struct Traced {
    pub program: Program,
    pub params: Vec<Leaf>,
    pub results: Vec<Leaf>,
    /// Files that the program leaves: their arrays are further results, behind those above.
    pub saves: Vec<Save>,
    pub warnings: Vec<Diagnostic>,
    /// Of an example: what its results must be.
    pub claims: Vec<Claim>,
}

/// One array of a structured value: its path (`state.x`, `0.net.w`; a key has `.0` and `.1`) and its type.
#[derive(Clone, PartialEq, Debug)]
pub struct Leaf {
    pub path: String,
    pub ty: Type,
}

/// The type of an argument to trace a function on.
#[derive(Clone, PartialEq, Debug)]
pub enum Tree {
    Leaf(Type),
    Key,
    /// A whole number known while tracing, such as a size.
    Size(i64),
    Tuple(Vec<Tree>),
    Record(Vec<(String, Tree)>),
    /// An array of records, tuples or keys; an array of numbers is a `Leaf`.
    Array(usize, Box<Tree>),
}

impl Script {
    /// `main(key: Key)` or `main()`. The key is the parameters `key.0` and `key.1`.
    pub fn trace_main(&self) -> Result<Traced, Vec<Diagnostic>> {
        let args = main_arguments(self)?;
        let mut traced = self.traced(|t| {
            let (params, result) = t.entry("main", args)?;
            t.check_eval(&result)?;
            Ok((params, result))
        })?;
        traced.warnings.splice(0..0, self.unused.iter().cloned());
        Ok(traced)
    }

    /// Whether the script has a `main`, which may be left out where it is a library.
    pub fn has_main(&self) -> bool {
        self.module(ModuleId::MAIN).values.contains_key("main")
    }

    /// Any function of the script itself, on arguments of these types. Parameters are named after the function's.
    pub fn trace_function<'a>(&'a self, name: &str, args: &'a [Tree]) -> Result<Traced, Vec<Diagnostic>> {
        self.traced(|t| t.entry(name, args))
    }

    pub(crate) fn traced<'a, F>(&'a self, f: F) -> Result<Traced, Vec<Diagnostic>>
    where
        F: FnOnce(&mut Tracer<'a>) -> R<(Vec<(String, Atom)>, Value<'a>)> + Send,
    {
        let work = || self.traced_here(f);
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("trace".to_string()).stack_size(STACK);
            match thread.spawn_scoped(scope, work) {
                Ok(handle) => handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(e) => Err(vec![Diagnostic::error("E0400", format!("no thread to trace on: {e}"))]),
            }
        })
    }

    fn traced_here<'a, F>(&'a self, f: F) -> Result<Traced, Vec<Diagnostic>>
    where
        F: FnOnce(&mut Tracer<'a>) -> R<(Vec<(String, Atom)>, Value<'a>)>,
    {
        let mut t = Tracer::new(self);
        t.b.begin();
        let traced = f(&mut t);
        let done = traced.map_err(|e| t.report(*e)).ok();
        let (Some((params, result)), true) = (done, t.errors.is_empty()) else {
            return Err(in_order(t.errors));
        };
        let mut results = Vec::new();
        result.leaf_paths("", &mut results);
        let mut all: Vec<Atom> = results.iter().map(|(_, a)| *a).collect();
        let mut saves = Vec::new();
        for (save, arrays) in std::mem::take(&mut t.saves.list) {
            saves.push(Save { first: all.len(), ..save });
            all.extend(arrays);
        }
        let body = t.b.end(all);
        if let Some(e) = crate::limits::too_large(&t.b.vars, &body) {
            return Err(vec![e]);
        }
        let leaf = |(path, a): &(String, Atom)| Leaf { path: path.clone(), ty: t.b.ty(*a) };
        let (param_leaves, result_leaves) = (params.iter().map(leaf).collect(), results.iter().map(leaf).collect());
        let vars = params.iter().filter_map(|(_, a)| a.var()).collect();
        Ok(Traced {
            program: custom::strip(Program { vars: t.b.vars, main: CoreFunction { params: vars, body } }),
            params: param_leaves,
            results: result_leaves,
            saves,
            warnings: t.warnings,
            claims: Vec::new(),
        })
    }
}

/// In the order of the text, file by file; without a place first.
fn in_order(mut errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    errors.sort_by_key(|e| e.labels.first().map(|l| (l.span.file, l.span.start)));
    errors
}

/// What `main` takes: a key, or nothing.
pub(crate) fn main_arguments(script: &Script) -> Result<&'static [Tree], Vec<Diagnostic>> {
    if !script.module(ModuleId::MAIN).values.contains_key("main") {
        let e = Diagnostic::error("E0409", "the script has no function `main`");
        return Err(vec![e.help("fn main(key: Key) = …")]);
    }
    let takes_key = own_function(script, "main").is_some_and(|f| !f.params.is_empty());
    Ok(if takes_key { &[Tree::Key] } else { &[] })
}

/// The declaration of a function of the script itself.
pub(crate) fn own_function<'a>(script: &'a Script, name: &str) -> Option<&'a FnDef> {
    match script.module(ModuleId::MAIN).values.get(name)? {
        Def::Module(_) => None,
        Def::Item(id) => match &script.item(*id).kind {
            ItemKind::Fn(f) => Some(f),
            ItemKind::Import(_)
            | ItemKind::Param(_)
            | ItemKind::Size(_)
            | ItemKind::Type(_)
            | ItemKind::Enum(_)
            | ItemKind::Let { .. }
            | ItemKind::Data(_)
            | ItemKind::Test { .. }
            | ItemKind::Prop(_)
            | ItemKind::Error => None,
        },
    }
}

impl<'a> Tracer<'a> {
    /// Calls a function of the script itself on fresh parameters; gives these and its result.
    pub(crate) fn entry(&mut self, name: &str, args: &'a [Tree]) -> R<(Vec<(String, Atom)>, Value<'a>)> {
        let module = self.script.module(ModuleId::MAIN);
        let Some((known, def)) = module.values.get_key_value(name) else {
            let mut e = Diagnostic::error("E0401", format!("there is no function `{name}`"));
            e.help = did_you_mean(name, module.values.keys().map(String::as_str));
            return fail(e);
        };
        let swept = if name == "main" { self.declare_param_inputs()? } else { Vec::new() };
        let Value::Function(f) = self.def_value(*def, known, Span::NONE)? else {
            return fail(Diagnostic::error("E0603", format!("`{name}` is not a function")));
        };
        let names = self.param_names(&f);
        let (mut params, mut given) = (Vec::new(), Vec::new());
        for (k, tree) in args.iter().enumerate() {
            let value = self.argument(tree, &[]);
            value.leaf_paths(&names.get(k).cloned().unwrap_or_else(|| k.to_string()), &mut params);
            given.push(Arg::new(value, self.function_span(&f)));
        }
        params.extend(swept);
        let span = self.function_span(&f);
        self.own_calls = 1;
        let result = self.call(&f, given, span)?;
        if let (true, Value::Function(_) | Value::Module(_)) = (name == "main", &result) {
            let e = Diagnostic::error("E0631", "`main` gives no numbers");
            let e = e.at(self.main_result(&f), format!("this is {}", result.describe(&self.b)));
            return fail(e.help("call it: what `main` gives are numbers, records and arrays"));
        }
        Ok((params, self.settle(&result, span)?))
    }

    /// Fresh parameters of the program in the shape of `tree`, inside arrays of the sizes `outer`.
    fn argument(&mut self, tree: &'a Tree, outer: &[usize]) -> Value<'a> {
        let stacked = |ty: &Type| outer.iter().rev().fold(ty.clone(), |t, &n| t.stacked(n));
        match tree {
            Tree::Leaf(ty) => Value::Leaf(self.b.fresh(stacked(ty)).into()),
            Tree::Key => {
                let word = stacked(&Type::scalar(DType::U32));
                let data = [self.b.fresh(word.clone()).into(), self.b.fresh(word).into()];
                Value::Key(self.new_key(data))
            }
            Tree::Size(i) => Value::Int(*i),
            Tree::Tuple(parts) => Value::tuple(parts.iter().map(|p| self.argument(p, outer)).collect()),
            Tree::Record(fields) => {
                let fields = fields.iter().map(|(n, t)| (n.as_str(), self.argument(t, outer)));
                Value::record(None, fields.collect())
            }
            Tree::Array(n, elem) => {
                let inner = [outer, &[*n]].concat();
                Value::array(*n, self.argument(elem, &inner))
            }
        }
    }

    fn param_names(&self, f: &crate::value::Function<'a>) -> Vec<String> {
        let crate::value::Function::Item { def, .. } = f else { return Vec::new() };
        let names = def.params.iter().enumerate().map(|(k, p)| match &p.pattern.kind {
            PatternKind::Name(name) => name.clone(),
            PatternKind::Ignore
            | PatternKind::Tuple(_)
            | PatternKind::Array(_)
            | PatternKind::Record(_)
            | PatternKind::Error => k.to_string(),
        });
        names.collect()
    }

    fn main_result(&self, f: &crate::value::Function<'a>) -> Span {
        match f {
            crate::value::Function::Item { def, .. } => crate::call::result_span(&def.body),
            _ => Span::NONE,
        }
    }

    pub(crate) fn function_span(&self, f: &crate::value::Function<'a>) -> Span {
        match f {
            crate::value::Function::Item { def, .. } => def.name.span,
            _ => Span::NONE,
        }
    }
}
