//! Names, before anything is traced: every function of a script is looked through, called or not.
//!
//! Tracing finds only what is wrong in functions that are called. Names need no types, so those that stand for nothing are
//! told for all functions here; so is what is bound and never used.

use std::collections::HashSet;

use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{
    Block, Case, CaseKind, Checkpoint, Expr, ExprKind, FnParam, IndexArg, ItemKind, Name, Pattern, PatternKind, Policy,
    StatementKind, Type, TypeArg, TypeKind,
};

use crate::evaluate::EVAL;
use crate::names::{self, did_you_mean};
use crate::script::{Def, Module, ModuleId, Script};
use crate::types::expr_path;
use crate::unused;

/// What was found in all modules.
#[derive(Default)]
pub struct Found {
    pub errors: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
    /// Whether the script itself calls its `eval`.
    pub calls_eval: bool,
}

/// A name that is bound around here.
struct Local<'s> {
    name: &'s str,
    span: Span,
    used: bool,
    bound: Bound,
}

/// How a name came into being, which says what to do if it is never used.
#[derive(Clone, Copy, PartialEq)]
pub enum Bound {
    Let,
    /// `let (k1, k2) = split(key)`
    Key,
    Element,
    /// A field that a pattern takes.
    Field,
    Parameter,
    /// May go unused: what a loop carries, sizes in annotations, parameters of functions that are passed on.
    Quiet,
}

/// What is known of a module's own names.
#[derive(Default)]
pub struct Uses<'s> {
    pub names: HashSet<&'s str>,
    /// Functions that are not only called: their parameters are not theirs to choose.
    pub passed_on: HashSet<&'s str>,
    /// Parameters of functions that nothing reads: the function, and the parameter.
    pub parameters: Vec<(&'s str, &'s str, Span)>,
}

struct Resolver<'s> {
    script: &'s Script,
    id: ModuleId,
    module: &'s Module,
    locals: Vec<Local<'s>>,
    /// Parameters of the generic type whose text this is.
    type_params: &'s [Name],
    /// The type whose text this is.
    type_name: &'s str,
    /// All names bound in the item so far.
    bound: Vec<(&'s str, Span)>,
    function: &'s str,
    uses: Uses<'s>,
    found: Found,
}

pub fn resolve(script: &Script) -> Found {
    let mut all = Found::default();
    for (k, module) in script.modules.iter().enumerate() {
        let mut r = Resolver {
            script,
            id: ModuleId(k as u32),
            module,
            locals: Vec::new(),
            type_params: &[],
            type_name: "",
            bound: Vec::new(),
            function: "",
            uses: Uses::default(),
            found: Found::default(),
        };
        for item in &module.tree.items {
            let known = r.found.errors.len();
            r.item(&item.kind);
            r.tell_elsewhere(known);
        }
        // What the library leaves unused is no matter of the user's.
        if k == 0 || !module.display.starts_with("std/") {
            r.found.warnings.extend(unused::in_module(module, &r.uses));
            all.warnings.extend(r.found.warnings);
        }
        all.calls_eval |= k == 0 && r.uses.names.contains(EVAL);
        all.errors.extend(r.found.errors);
    }
    let place = |d: &Diagnostic| d.labels.first().map(|l| (l.span.file, l.span.start));
    all.warnings.sort_by_key(place);
    all.errors.sort_by_key(place);
    all
}

impl<'s> Resolver<'s> {
    fn item(&mut self, item: &'s ItemKind) {
        match item {
            ItemKind::Import(_) | ItemKind::Error => {}
            ItemKind::Param(p) | ItemKind::Size(p) => {
                p.ty.iter().for_each(|t| self.ty(t, false));
                self.expr(&p.value);
                if let Some(bounds) = &p.bounds {
                    self.expr(&bounds.low);
                    self.expr(&bounds.high);
                }
            }
            ItemKind::Type(def) => {
                (self.type_params, self.type_name) = (&def.params, &def.name.text);
                self.ty(&def.ty, false);
                (self.type_params, self.type_name) = (&[], "");
            }
            ItemKind::Enum(def) => {
                self.type_params = &def.params;
                for field in def.variants.iter().flat_map(|v| &v.fields) {
                    self.ty(&field.ty, false);
                }
                self.type_params = &[];
            }
            ItemKind::Fn(def) => {
                self.function = &def.name.text;
                self.function(&def.params, def.result.as_ref(), &def.body, Bound::Parameter);
                self.function = "";
            }
            // What is loaded was seen to when it was.
            ItemKind::Data(def) => def.ty.iter().for_each(|t| self.ty(t, false)),
            ItemKind::Let { pattern: _, ty, value } => {
                self.expr(value);
                ty.iter().for_each(|t| self.ty(t, false));
            }
            ItemKind::Test { body, fails: None, .. } => self.block(body),
            // What is wrong in it is what it is for.
            ItemKind::Test { body, fails: Some(_), .. } => {
                let found = std::mem::take(&mut self.found);
                self.block(body);
                self.found = found;
            }
            ItemKind::Prop(def) => self.scope(|r| {
                for p in &def.params {
                    if let Some(bounds) = &p.bounds {
                        r.expr(&bounds.low);
                        r.expr(&bounds.high);
                    }
                    p.ty.iter().for_each(|t| r.ty(t, false));
                    let bound = if p.ty.is_some() { Bound::Let } else { Bound::Quiet };
                    r.bind_name(&p.name.text, p.name.span, bound);
                }
                r.block(&def.body);
            }),
        }
    }

    // Scopes.

    fn bind(&mut self, pattern: &'s Pattern, bound: Bound) {
        match &pattern.kind {
            PatternKind::Name(name) => self.bind_name(name, pattern.span, bound),
            PatternKind::Ignore | PatternKind::Error => {}
            PatternKind::Tuple(parts) | PatternKind::Array(parts) => parts.iter().for_each(|p| self.bind(p, bound)),
            PatternKind::Record(fields) => {
                for (name, part) in fields {
                    match part {
                        Some(part) => self.bind(part, bound),
                        None if bound == Bound::Quiet => self.bind_name(&name.text, name.span, bound),
                        None => self.bind_name(&name.text, name.span, Bound::Field),
                    }
                }
            }
        }
    }

    /// Errors of this item in names that are bound in it, but not where they are used.
    fn tell_elsewhere(&mut self, known: usize) {
        for e in &mut self.found.errors[known..] {
            let Some(at) = e.labels.first().map(|l| l.span) else { continue };
            let name = self.script.map.file(at.file).and_then(|f| f.text.get(at.start as usize..at.end as usize));
            let Some((name, bound)) = self.bound.iter().rev().find(|(n, _)| Some(*n) == name) else { continue };
            let line = self.script.map.line_name(*bound);
            if *bound == at {
                continue;
            }
            e.help = Some(if bound.start > at.start {
                format!("`{name}` is bound below, at {line}")
            } else {
                format!(
                    "`{name}` of {line} is known only in the block that it is bound in: what a block computes comes out as its value, `let {name} = if c {{ … }} else {{ … }}`"
                )
            });
        }
        self.bound.clear();
    }

    fn bind_name(&mut self, name: &'s str, span: Span, bound: Bound) {
        self.bound.push((name, span));
        self.locals.push(Local { name, span, used: name.starts_with('_'), bound });
    }

    /// What is bound in `f` is forgotten behind it.
    fn scope(&mut self, f: impl FnOnce(&mut Resolver<'s>)) {
        let outer = self.locals.len();
        f(self);
        for local in self.locals.split_off(outer) {
            match local.bound {
                Bound::Quiet => {}
                _ if local.used => {}
                Bound::Parameter => self.uses.parameters.push((self.function, local.name, local.span)),
                Bound::Let | Bound::Key | Bound::Element | Bound::Field => {
                    self.found.warnings.push(unused::local(local.name, local.span, local.bound));
                }
            }
        }
    }

    /// Whether the name is bound around here; then it is used.
    fn is_local(&mut self, name: &str) -> bool {
        let local = self.locals.iter_mut().rev().find(|l| l.name == name);
        local.map(|l| l.used = true).is_some()
    }

    // Names.

    fn name(&mut self, name: &'s str, span: Span, called: bool) {
        if self.is_local(name) || self.type_params.iter().any(|p| p.text == name) {
            return;
        }
        if self.module.values.contains_key(name) {
            self.uses.names.insert(name);
            if !called {
                self.uses.passed_on.insert(name);
            }
            return;
        }
        if crate::builtins::find(name).is_some() {
            return;
        }
        let locals = self.locals.iter().map(|l| l.name);
        let e = names::unknown_name(self.script, self.id, name, span, locals);
        self.found.errors.push(e);
    }

    /// `a.b.c` from a name on: what the modules on the way have.
    fn path(&mut self, e: &'s Expr, called: bool) -> bool {
        let Some(path) = expr_path(e) else { return false };
        let (first, span) = path[0];
        if self.is_local(first) {
            return true;
        }
        let Some(Def::Module(mut id)) = self.module.values.get(first).copied() else {
            let is_type = self.module.types.contains_key(first) && !self.module.values.contains_key(first);
            if is_type {
                self.uses.names.insert(first);
            }
            if is_type && path.len() > 1 {
                return true;
            }
            let known = self.found.errors.len();
            self.name(first, span, called && path.len() == 1);
            let names: Vec<&str> = path.iter().map(|p| p.0).collect();
            if let (Some(e), Some(help)) = (self.found.errors.get_mut(known), crate::habits::of_path(&names)) {
                e.help = Some(help);
            }
            return true;
        };
        self.uses.names.insert(first);
        for (name, span) in &path[1..] {
            let module = self.script.module(id);
            let value = module.values.get(*name).copied();
            if value.is_none() && !module.types.contains_key(*name) {
                self.found.errors.push(names::no_member(module, name, *span));
                return true;
            }
            self.visible(id, name, *span);
            match value {
                Some(Def::Module(next)) => id = next,
                Some(Def::Item(_)) | None => return true,
            }
        }
        true
    }

    /// Only what is `pub` is there for other modules.
    fn visible(&mut self, of: ModuleId, name: &str, span: Span) {
        let module = self.script.module(of);
        if of == self.id {
            return;
        }
        if let Some(e) = names::not_public(module, name, span) {
            self.found.errors.push(e);
        }
    }

    // Types.

    /// `binds`: in the parameters of a function, where a new name is a size that the argument decides.
    fn ty(&mut self, ty: &'s Type, binds: bool) {
        match &ty.kind {
            TypeKind::Path(path) => self.type_path(path),
            TypeKind::Apply(of, args) => {
                self.ty(of, binds);
                args.iter().for_each(|arg| self.type_arg(arg, binds));
            }
            TypeKind::Tuple(parts) => parts.iter().for_each(|t| self.ty(t, binds)),
            TypeKind::Record(fields) => fields.iter().for_each(|(_, t)| self.ty(t, binds)),
            TypeKind::Fn(params, result) => {
                params.iter().for_each(|t| self.ty(t, true));
                self.ty(result, true);
            }
            TypeKind::Error => {}
        }
    }

    fn type_arg(&mut self, arg: &'s TypeArg, binds: bool) {
        match arg {
            TypeArg::Type(t) => self.ty(t, binds),
            TypeArg::Size(e) => {
                let ExprKind::Name(name) = &e.kind else {
                    // `env.State` may be a type as well as a size.
                    match expr_path(e) {
                        Some(_) => _ = self.path(e, false),
                        None => self.expr(e),
                    }
                    return;
                };
                let is_type = self.is_type(name);
                if is_type || self.type_params.iter().any(|p| p.text == *name) || self.is_local(name) {
                    return;
                }
                if self.module.values.contains_key(name.as_str()) {
                    self.uses.names.insert(name);
                } else if binds {
                    self.bind_name(name, e.span, Bound::Quiet);
                } else {
                    let known = self.module.values.keys().map(String::as_str).chain(self.locals.iter().map(|l| l.name));
                    let mut d = Diagnostic::error("E0401", format!("unknown size `{name}`")).at(e.span, "");
                    d.help = did_you_mean(name, known).or_else(|| match self.type_name {
                        "" => Some(format!("`size {name} = 4` at the top of the file, or a parameter's type that binds it: `x: f32[{name}]`")),
                        ty => Some(format!("make it an argument of the type: `type {ty}[{name}] = …`, then `{ty}[4]`")),
                    });
                    self.found.errors.push(d);
                }
            }
        }
    }

    fn is_type(&mut self, name: &'s str) -> bool {
        let own = self.module.types.contains_key(name);
        if own {
            self.uses.names.insert(name);
        }
        own || names::is_primitive_type(name)
    }

    fn type_path(&mut self, path: &'s [Name]) {
        let Some((first, rest)) = path.split_first() else { return };
        if rest.is_empty() {
            let param = self.type_params.iter().any(|p| p.text == first.text);
            if !param && !self.is_type(&first.text) {
                let path = [(first.text.as_str(), first.span)];
                self.found.errors.push(names::unknown_type(self.script, self.id, &path));
            }
            return;
        }
        let Some(Def::Module(mut id)) = self.module.values.get(&first.text).copied() else {
            let path: Vec<(&str, Span)> = path.iter().map(|n| (n.text.as_str(), n.span)).collect();
            self.found.errors.push(names::unknown_type(self.script, self.id, &path));
            return;
        };
        self.uses.names.insert(&first.text);
        for (k, name) in rest.iter().enumerate() {
            let module = self.script.module(id);
            let last = k + 1 == rest.len();
            match module.values.get(&name.text).copied() {
                Some(Def::Module(next)) if !last => id = next,
                _ if last && module.types.contains_key(&name.text) => {}
                _ => {
                    self.found.errors.push(names::no_member(module, &name.text, name.span));
                    return;
                }
            }
            self.visible(id, &name.text, name.span);
        }
    }

    // Expressions.

    fn function(&mut self, params: &'s [FnParam], result: Option<&'s Type>, body: &'s Expr, bound: Bound) {
        self.scope(|r| {
            for p in params {
                p.default.iter().for_each(|e| r.expr(e));
                p.ty.iter().for_each(|t| r.ty(t, true));
                r.bind(&p.pattern, bound);
            }
            r.expr(body);
            result.iter().for_each(|t| r.ty(t, true));
        });
    }

    fn block(&mut self, block: &'s Block) {
        self.scope(|r| {
            for statement in &block.statements {
                match &statement.kind {
                    StatementKind::Let { pattern, ty, value } => {
                        r.expr(value);
                        ty.iter().for_each(|t| r.ty(t, false));
                        r.bind(pattern, if is_split(value) { Bound::Key } else { Bound::Let });
                    }
                    StatementKind::Yield(e) | StatementKind::Expr(e) => r.expr(e),
                    StatementKind::Assert { condition, message: _ } => r.expr(condition),
                }
            }
            block.result.iter().for_each(|e| r.expr(e));
        });
    }

    fn fields(&mut self, fields: &'s [(Name, Option<Expr>)]) {
        for (name, value) in fields {
            match value {
                Some(e) => self.expr(e),
                None => self.name(&name.text, name.span, false),
            }
        }
    }

    fn index(&mut self, at: &'s [IndexArg]) {
        for arg in at {
            match arg {
                IndexArg::At(e) => self.expr(e),
                IndexArg::Slice { start, end, span: _ } => start.iter().chain(end).for_each(|e| self.expr(e)),
            }
        }
    }

    fn expr(&mut self, e: &'s Expr) {
        match &e.kind {
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::String(_) | ExprKind::Error => {}
            ExprKind::Name(_) => _ = self.path(e, false),
            ExprKind::Tuple(items) | ExprKind::Array(items) => items.iter().for_each(|x| self.expr(x)),
            ExprKind::Record { ty, fields } => {
                self.fields(fields);
                ty.iter().for_each(|path| self.record_path(path));
            }
            ExprKind::Block(block) => self.block(block),
            ExprKind::Field(of, _) => {
                if !self.path(e, false) {
                    self.expr(of);
                }
            }
            ExprKind::TupleField(of, ..) => self.expr(of),
            ExprKind::Call { callee, args } => {
                if !self.path(callee, true) {
                    self.expr(callee);
                }
                args.iter().for_each(|a| self.expr(&a.value));
            }
            ExprKind::Index(of, at) => {
                let path = expr_path(of);
                if path.is_some_and(|path| self.script.find_named_type(&path, self.id).is_some()) {
                    self.type_in_expr(e);
                } else {
                    self.expr(of);
                    self.index(at);
                }
            }
            ExprKind::Unary(_, x) => self.expr(x),
            ExprKind::Binary(_, _, l, r) | ExprKind::Range(l, r) => {
                self.expr(l);
                self.expr(r);
            }
            ExprKind::Lambda { params, result, body } => {
                self.function(params, result.as_ref(), body, Bound::Quiet);
            }
            ExprKind::If { condition, then, otherwise } => {
                self.expr(condition);
                self.block(then);
                otherwise.iter().for_each(|e| self.expr(e));
            }
            ExprKind::Match { of, arms } => {
                self.expr(of);
                for arm in arms {
                    self.scope(|r| {
                        let outer = r.locals.len();
                        arm.cases.iter().for_each(|c| r.case(c, outer));
                        arm.guard.iter().for_each(|e| r.expr(e));
                        r.expr(&arm.body);
                    });
                }
            }
            ExprKind::For { pattern, iter, body } => {
                self.expr(iter);
                self.scope(|r| {
                    r.bind(pattern, element(iter));
                    r.block(body);
                });
            }
            ExprKind::Scan(scan) => {
                match &scan.init {
                    Some(init) => self.expr(init),
                    None => self.pattern_as_value(&scan.pattern),
                }
                self.expr(&scan.iter);
                self.kept(scan.checkpoint.as_ref());
                self.scope(|r| {
                    r.bind(&scan.pattern, Bound::Quiet);
                    scan.until.iter().for_each(|e| r.expr(e));
                    r.bind(&scan.element, element(&scan.iter));
                    r.block(&scan.body);
                });
            }
            ExprKind::While { pattern, init, condition, max, checkpoint, body } => {
                self.expr(init);
                max.iter().for_each(|e| self.expr(e));
                self.kept(checkpoint.as_deref());
                self.scope(|r| {
                    r.bind(pattern, Bound::Quiet);
                    r.expr(condition);
                    r.block(body);
                });
            }
            ExprKind::WithFields(of, fields) => {
                self.expr(of);
                self.fields(fields);
            }
            ExprKind::WithIndex(of, at, value) => {
                self.expr(of);
                self.index(at);
                self.expr(value);
            }
        }
    }

    /// `Env { … }`, or `Shape.Circle { … }`, whose last name is a variant.
    fn record_path(&mut self, path: &'s [Name]) {
        let names: Vec<(&str, Span)> = path.iter().map(|n| (n.text.as_str(), n.span)).collect();
        match names.split_last() {
            Some((_, of)) if !of.is_empty() && self.script.find_named_type(of, self.id).is_some() => {
                self.type_path(&path[..path.len() - 1]);
            }
            Some(_) | None => self.type_path(path),
        }
    }

    /// `scan s for …`: what the pattern's names stand for outside.
    fn pattern_as_value(&mut self, pattern: &'s Pattern) {
        match &pattern.kind {
            PatternKind::Name(name) => {
                if !self.is_local(name) {
                    let locals = self.locals.iter().map(|l| l.name);
                    let mut e = names::unknown_name(self.script, self.id, name, pattern.span, locals);
                    e.help = Some(format!("`scan {name} = start for …` says what it begins with"));
                    self.found.errors.push(e);
                }
            }
            PatternKind::Tuple(parts) => parts.iter().for_each(|p| self.pattern_as_value(p)),
            PatternKind::Ignore | PatternKind::Array(_) | PatternKind::Record(_) | PatternKind::Error => {}
        }
    }

    fn kept(&mut self, checkpoint: Option<&'s Checkpoint>) {
        match checkpoint.map(|c| &c.policy) {
            Some(Policy::Every(e)) => self.expr(e),
            Some(Policy::Carries | Policy::Sqrt | Policy::Error) | None => {}
        }
    }

    /// `Option[State]` where an expression may stand.
    fn type_in_expr(&mut self, e: &'s Expr) {
        match &e.kind {
            ExprKind::Name(name) if self.is_type(name) => {}
            ExprKind::Tuple(parts) => parts.iter().for_each(|p| self.type_in_expr(p)),
            ExprKind::Index(of, at) => {
                self.type_in_expr(of);
                for arg in at {
                    match arg {
                        IndexArg::At(e) => self.type_in_expr(e),
                        IndexArg::Slice { .. } => {}
                    }
                }
            }
            _ => self.expr(e),
        }
    }

    /// Binds the names of a case; those of several cases of one arm are the same.
    fn case(&mut self, case: &'s Case, arm: usize) {
        match &case.kind {
            CaseKind::Variant { path, payload } => {
                if let [of @ .., _] = &path[..]
                    && !of.is_empty()
                {
                    self.type_path(of);
                }
                payload.iter().for_each(|p| self.case(p, arm));
            }
            CaseKind::Name(name) => self.bind_in_arm(name, case.span, Bound::Let, arm),
            CaseKind::Tuple(parts) | CaseKind::Array(parts) => parts.iter().for_each(|p| self.case(p, arm)),
            CaseKind::Record(fields) => {
                for (name, part) in fields {
                    match part {
                        Some(part) => self.case(part, arm),
                        None => self.bind_in_arm(&name.text, name.span, Bound::Field, arm),
                    }
                }
            }
            CaseKind::Int(_)
            | CaseKind::Range(..)
            | CaseKind::Bool(_)
            | CaseKind::String(_)
            | CaseKind::Rest
            | CaseKind::Error => {}
        }
    }

    fn bind_in_arm(&mut self, name: &'s str, span: Span, bound: Bound, arm: usize) {
        if !self.locals[arm..].iter().any(|l| l.name == name) {
            self.bind_name(name, span, bound);
        }
    }
}

/// The number of a round, `for i in 0..n`, may go unused; an element hardly.
fn element(iter: &Expr) -> Bound {
    if matches!(iter.kind, ExprKind::Range(..)) { Bound::Quiet } else { Bound::Element }
}

/// `split(…)`
fn is_split(e: &Expr) -> bool {
    matches!(&e.kind, ExprKind::Call { callee, .. } if matches!(&callee.kind, ExprKind::Name(n) if n == "split"))
}
