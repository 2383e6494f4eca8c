//! Expressions, blocks and names.

use std::rc::Rc;

use whorl_core::{Atom, Effect, Lit, Prim};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{self, BinaryOp, Block, Expr, ExprKind, ItemKind, Name, StatementKind, UnaryOp};

use crate::builtins;
use crate::limits::of_bearable_size;
use crate::names::{listed, no_member, unknown_name};
use crate::report::follows;
use crate::script::{Def, ItemId, ModuleId};
use crate::tracer::{Tracer, fail};
use crate::types::Site;
use crate::value::{Arg, Env, Function, Lambda, R, Record, Value};

impl<'a> Tracer<'a> {
    /// The value of an expression; what it computes is written down with its span.
    pub fn expr(&mut self, e: &'a Expr, env: &Env<'a>) -> R<Value<'a>> {
        let outer = self.b.at(e.span);
        let value = self.expr_here(e, env);
        self.b.at_spans(outer);
        value
    }

    pub fn arg(&mut self, e: &'a Expr, env: &Env<'a>) -> R<Arg<'a>> {
        Ok(Arg::new(self.expr(e, env)?, e.span))
    }

    fn expr_here(&mut self, e: &'a Expr, env: &Env<'a>) -> R<Value<'a>> {
        match &e.kind {
            ExprKind::Int(i) => match i64::try_from(*i) {
                Ok(i) => Ok(Value::Int(i)),
                Err(_) => fail(Diagnostic::error("E0207", "this number is too large").at(e.span, "")),
            },
            ExprKind::Float(x) => Ok(Value::Float(*x)),
            ExprKind::Bool(x) => Ok(Value::Bool(*x)),
            ExprKind::String(s) => Ok(Value::Str(s.as_str().into())),
            ExprKind::Name(name) => self.name(name, e.span, env),
            ExprKind::Tuple(items) if items.is_empty() => Ok(Value::Unit),
            ExprKind::Tuple(items) => {
                let items = self.each(items, |t, x| t.expr(x, env))?;
                of_bearable_size(Value::tuple(items), e.span)
            }
            ExprKind::Array(items) => {
                let items = self.each(items, |t, x| t.arg(x, env))?;
                self.array_of(items, e.span)
            }
            ExprKind::Record { ty, fields } => {
                of_bearable_size(self.record(ty.as_deref(), fields, e.span, env)?, e.span)
            }
            ExprKind::Block(block) => self.block(block, env),
            ExprKind::Field(of, name) => {
                if let Some((of, types)) = self.enum_with_types(of, env)? {
                    return self.member_of_enum(of, types, name);
                }
                let v = self.expr(of, env)?;
                self.field(&v, name, of.span)
            }
            ExprKind::TupleField(of, k, span) => {
                let v = self.expr(of, env)?;
                self.tuple_field(&v, *k as usize, *span)
            }
            ExprKind::Call { callee, args } => {
                let Some(f) = self.attempt(|t| t.expr(callee, env))? else {
                    self.each(args, |t, a| t.expr(&a.value, env))?;
                    return follows();
                };
                let Value::Function(f) = f else {
                    return fail(self.not_a_function(callee, &f, env));
                };
                let args = self.each(args, |t, a| {
                    let name = a.name.as_ref().map(|n| n.text.as_str());
                    Ok(Arg { name, ..t.arg(&a.value, env)? })
                })?;
                self.call(&f, args, e.span)
            }
            ExprKind::Index(of, at) => {
                let v = self.expr(of, env)?;
                self.index(&v, of.span, at, env, e.span)
            }
            ExprKind::Unary(UnaryOp::Neg, x) => {
                let v = self.expr(x, env)?;
                self.negate(&v, e.span)
            }
            ExprKind::Unary(UnaryOp::Not, x) => {
                let v = self.expr(x, env)?;
                self.invert(&v, e.span)
            }
            ExprKind::Binary(op, _, l, r) => {
                let Some(l) = self.attempt(|t| t.arg(l, env))? else {
                    self.expr(r, env)?;
                    return follows();
                };
                // What is decided while tracing leaves the other side alone, whatever it is.
                match (op, &l.value) {
                    (BinaryOp::And, Value::Bool(false)) | (BinaryOp::Or, Value::Bool(true)) => return Ok(l.value),
                    _ => {}
                }
                let r = self.arg(r, env)?;
                self.binary_op(*op, e.span, l, r)
            }
            ExprKind::Range(from, to) => {
                let (f, t) = (self.expr(from, env)?, self.expr(to, env)?);
                match (f, t) {
                    (Value::Int(f), Value::Int(t)) => Ok(Value::Range(f, t.max(f))),
                    (f, t) => {
                        let (bad, span) = if matches!(f, Value::Int(_)) { (t, to.span) } else { (f, from.span) };
                        self.size(&bad, span)?;
                        fail(Diagnostic::error("E0105", "a range goes from a whole number to another").at(span, ""))
                    }
                }
            }
            ExprKind::Lambda { params, result, body } => {
                self.serial += 1;
                let lambda = Lambda { params, result: result.as_ref(), body };
                let (module, serial) = (self.module, self.serial);
                Ok(Value::Function(Rc::new(Function::Closure { module, env: env.clone(), lambda, serial })))
            }
            ExprKind::If { condition, then, otherwise } => {
                self.branch(condition, then, otherwise.as_deref(), env, e.span, true)
            }
            ExprKind::Match { of, arms } => self.match_on(of, arms, env, e.span),
            ExprKind::For { pattern, iter, body } => self.for_loop(pattern, iter, body, env, e.span),
            ExprKind::Scan(scan) => self.scan(scan, env, e.span),
            ExprKind::While { pattern, init, condition, max, checkpoint, body } => {
                self.while_loop(pattern, init, condition, max.as_deref(), checkpoint.as_deref(), body, env, e.span)
            }
            ExprKind::WithFields(of, fields) => self.with_fields(of, fields, env),
            ExprKind::WithIndex(of, at, value) => {
                let of = self.arg(of, env)?;
                let value = self.arg(value, env)?;
                self.with_index(&of, at, &value, env, e.span)
            }
            ExprKind::Error => fail(Diagnostic::error("E0010", "this could not be read").at(e.span, "")),
        }
    }

    pub fn block(&mut self, block: &'a Block, env: &Env<'a>) -> R<Value<'a>> {
        let mut env = env.clone();
        for statement in &block.statements {
            self.statement(statement, &mut env)?;
        }
        match &block.result {
            Some(result) => self.expr(result, &env),
            None => Ok(Value::Unit),
        }
    }

    /// A statement, which may bind names for those that follow. After an error, tracing goes on behind it.
    pub fn statement(&mut self, statement: &'a ast::Statement, env: &mut Env<'a>) -> R<()> {
        match &statement.kind {
            StatementKind::Let { pattern, ty, value } => {
                let mut bound = env.clone();
                match self.attempt(|t| t.let_value(pattern, ty.as_ref(), value, &mut bound))? {
                    Some(()) => *env = bound,
                    None => self.break_names(pattern, env),
                }
            }
            StatementKind::Yield(value) => {
                let done = self.attempt(|t| t.yield_value(value, statement.span, env))?;
                if let (None, Some(Some(scan))) = (done, self.yields.last_mut()) {
                    scan.broken = true;
                }
            }
            StatementKind::Assert { condition, message } => {
                self.attempt(|t| t.assert(condition, message.as_deref(), statement.span, env))?;
            }
            StatementKind::Expr(e) => {
                let effects = self.effects;
                if let Some(v) = self.attempt(|t| t.unused_expr(e, env))? {
                    self.unused(&v, e, effects);
                }
            }
        }
        Ok(())
    }

    /// An expression whose value is not used, which an `if` without `else` may be.
    pub fn unused_expr(&mut self, e: &'a Expr, env: &Env<'a>) -> R<Value<'a>> {
        let ExprKind::If { condition, then, otherwise } = &e.kind else { return self.expr(e, env) };
        let outer = self.b.at(e.span);
        let value = self.branch(condition, then, otherwise.as_deref(), env, e.span, false);
        self.b.at_spans(outer);
        value
    }

    fn let_value(
        &mut self,
        pattern: &'a ast::Pattern,
        ty: Option<&'a ast::Type>,
        value: &'a Expr,
        env: &mut Env<'a>,
    ) -> R<()> {
        let v = self.expr(value, env)?;
        let v = match ty {
            Some(ty) => self.promise(&v, ty, env, &Site::new("the value", value.span))?,
            None => v,
        };
        self.bind(pattern, v, env)
    }

    fn not_a_function(&self, callee: &Expr, v: &Value<'a>, env: &Env<'a>) -> Diagnostic {
        let e = Diagnostic::error("E0603", format!("{} is not a function", self.text(callee.span)));
        let e = e.at(callee.span, format!("this is {}", v.describe(&self.b)));
        if let Value::Int(_) | Value::Float(_) = v
            && !matches!(callee.kind, ExprKind::Name(_))
        {
            return e.help(format!("a product is written with `*`: `{} * (…)`", self.plain_text(callee.span, "x")));
        }
        let ExprKind::Name(name) = &callee.kind else { return e };
        let e = match env.get(name) {
            Some(binding) => e.at(binding.span, "bound here"),
            None => e,
        };
        match builtins::find(name) {
            None if matches!(v, Value::Leaf(a) if !self.b.ty(*a).is_scalar())
                || matches!(v, Value::Array { .. } | Value::List(_)) =>
            {
                e.help(format!("an element is `{name}[i]`"))
            }
            Some(b) => e.help(format!("it hides the function `{}`: give the value another name", b.name)),
            None => e,
        }
    }

    /// Warns of a line whose value nobody has, and which did nothing else.
    fn unused(&mut self, v: &Value<'a>, e: &'a Expr, effects: usize) {
        let told = self.warnings.iter().any(|w| w.labels.first().is_some_and(|l| l.span == e.span));
        if matches!(e.kind, ExprKind::If { .. }) && matches!(v, Value::Unit) && self.effects == effects && !told {
            let w = Diagnostic::warning("W0001", "this `if` does nothing")
                .at(e.span, "it records nothing, and has no value");
            self.warnings.push(w.help("what a block computes comes out as its value: `let y = if c { … } else { … }`"));
            return;
        }
        if matches!(v, Value::Unit) || self.effects > effects || told {
            return;
        }
        let w = Diagnostic::warning("W0001", "the value of this line is not used");
        let w = w.at(e.span, format!("it gives {}", v.describe(&self.b)));
        self.warnings.push(w.help(match &e.kind {
            ExprKind::Binary(BinaryOp::Eq, ..) => "`assert a == b` checks; `let a = b` binds",
            ExprKind::Call { .. } => "nothing changes in place: `let x = …` keeps what a function gives",
            _ => "`let x = …` keeps it; only the last line of a block is its value",
        }));
    }

    fn yield_value(&mut self, value: &'a Expr, span: Span, env: &Env<'a>) -> R<()> {
        let v = self.expr(value, env)?;
        let v = self.settle(&v, value.span)?;
        let depth = self.b.depth();
        match self.yields.last_mut() {
            Some(Some(frame)) if frame.depth == depth => match &frame.value {
                None => {
                    frame.value = Some((v, span));
                    Ok(())
                }
                Some((_, first)) => {
                    let first = *first;
                    let e = Diagnostic::error("E0605", "a step yields one value").at(span, "a second one");
                    fail(e.at(first, "the first").help("yield a tuple: `yield (a, b)`"))
                }
            },
            Some(Some(_)) => {
                let e =
                    Diagnostic::error("E0605", "`yield` inside a branch or a loop in the body of a scan").at(span, "");
                fail(e.help("every step yields one value: let the branch give it, and yield that"))
            }
            Some(None) | None => {
                let e = Diagnostic::error("E0605", "`yield` outside of the body of a `scan`").at(span, "");
                fail(e.help("`scan s = s0 for x in xs { yield y; next }` collects one y a step; the last line of a `for` is its element already"))
            }
        }
    }

    fn assert(&mut self, condition: &'a Expr, message: Option<&str>, span: Span, env: &Env<'a>) -> R<()> {
        let v = self.expr(condition, env)?;
        let a = self.atom(&v, None, condition.span)?;
        if self.b.ty(a).dtype != whorl_core::DType::Bool {
            let e = Diagnostic::error("E0201", "`assert` takes a bool");
            let e = e.at(condition.span, format!("this is {}", v.describe(&self.b)));
            return fail(e.help(format!("compare it with something: `{} != 0`", self.plain_text(condition.span, "x"))));
        }
        let text = match message {
            Some(m) => format!("{m} ({})", self.script.map.line_name(span)),
            None => format!("{} ({})", self.text(condition.span).trim_matches('`'), self.script.map.line_name(span)),
        };
        self.effects += 1;
        let outer = self.b.at(span);
        self.b.effect(Effect::Assert { message: text.into(), condition: a, mask: Lit::bool(true).into() });
        self.b.at_spans(outer);
        Ok(())
    }

    fn name(&mut self, name: &'a str, span: Span, env: &Env<'a>) -> R<Value<'a>> {
        if let Some(binding) = env.get(name) {
            return if binding.broken { follows() } else { Ok(binding.value.clone()) };
        }
        if let Some(def) = self.script.module(self.module).values.get(name) {
            return self.def_value(*def, name, span);
        }
        if let Some(b) = builtins::find(name) {
            return Ok(Value::Function(Rc::new(Function::Builtin(b))));
        }
        fail(unknown_name(self.script, self.module, name, span, env.iter().map(|b| b.name)))
    }

    /// The value of a name at the top of a module.
    pub fn def_value(&mut self, def: Def, name: &str, span: Span) -> R<Value<'a>> {
        let id = match def {
            Def::Module(id) => return Ok(Value::Module(id)),
            Def::Item(id) => id,
        };
        match &self.script.item(id).kind {
            ItemKind::Param(_) | ItemKind::Size(_) => self.param_value(id, span),
            ItemKind::Fn(def) => Ok(Value::Function(Rc::new(Function::Item { module: id.module, def }))),
            ItemKind::Let { pattern, ty, value } => {
                let env = self.module_let(id, pattern, ty.as_ref(), value, span)?;
                match env.get(name) {
                    Some(b) => Ok(b.value.clone()),
                    None => fail(Diagnostic::error("E0401", format!("unknown name `{name}`")).at(span, "")),
                }
            }
            ItemKind::Data(def) => {
                let env = self.data_item(id, def, span)?;
                match env.get(name) {
                    Some(b) => Ok(b.value.clone()),
                    None => fail(Diagnostic::error("E0401", format!("unknown name `{name}`")).at(span, "")),
                }
            }
            ItemKind::Import(_)
            | ItemKind::Type(_)
            | ItemKind::Enum(_)
            | ItemKind::Test { .. }
            | ItemKind::Prop(_)
            | ItemKind::Error => fail(Diagnostic::error("E0401", format!("`{name}` is not a value")).at(span, "")),
        }
    }

    /// A `let` at the top of a module, run where it is used; kept if that took no statement.
    fn module_let(
        &mut self,
        id: ItemId,
        pattern: &'a ast::Pattern,
        ty: Option<&'a ast::Type>,
        value: &'a Expr,
        span: Span,
    ) -> R<Env<'a>> {
        if let Some(env) = self.lets.get(&id) {
            return Ok(env.clone());
        }
        if !self.open.insert(id) {
            return fail(
                Diagnostic::error("E0407", "this value needs itself").at(pattern.span, "").at(span, "used here"),
            );
        }
        let module = std::mem::replace(&mut self.module, id.module);
        self.yields.push(None);
        let vars = self.b.vars.len();
        let mut env = Env::default();
        let done = self.let_value(pattern, ty, value, &mut env);
        self.yields.pop();
        self.module = module;
        self.open.remove(&id);
        done?;
        if self.b.vars.len() == vars {
            self.lets.insert(id, env.clone());
        }
        Ok(env)
    }

    pub fn module_member(&mut self, id: ModuleId, name: &'a Name) -> R<Value<'a>> {
        let module = self.script.module(id);
        if let Some(def) = module.values.get(&name.text) {
            return self.def_value(*def, &name.text, name.span);
        }
        fail(no_member(module, &name.text, name.span))
    }

    fn tuple_field(&mut self, v: &Value<'a>, k: usize, span: Span) -> R<Value<'a>> {
        match v {
            Value::Tuple(items) if k < items.len() => Ok(items[k].clone()),
            Value::Tuple(items) => {
                let parts: Vec<String> = (0..items.len()).map(|i| format!(".{i}")).collect();
                let e = Diagnostic::error("E0202", format!("there is no `.{k}` in a tuple of {}", items.len()));
                fail(e.at(span, "").note(format!("its parts are {}", listed(parts.iter().map(String::as_str)))))
            }
            Value::Array { n, elem } => {
                let part = self.tuple_field(elem, k, span)?;
                Ok(Value::array(*n, part))
            }
            other => {
                let e = Diagnostic::error("E0202", format!("`.{k}` of something that is not a tuple"));
                fail(e.at(span, format!("this is {}", other.describe(&self.b))))
            }
        }
    }

    fn record(
        &mut self,
        ty: Option<&'a [Name]>,
        fields: &'a [(Name, Option<Expr>)],
        span: Span,
        env: &Env<'a>,
    ) -> R<Value<'a>> {
        let given = self.fields(fields, env)?;
        if let Some(path) = ty
            && let Some(of) = self.enum_of_path(path)
            && let Some(name) = path.last()
        {
            return self.variant_with_fields(of, name, given, span);
        }
        let v = Value::record(None, given);
        match ty {
            Some(path) => self.promise_path(&v, path, &mut env.clone(), &Site::new("the record", span)),
            None => Ok(v),
        }
    }

    fn fields(&mut self, fields: &'a [(Name, Option<Expr>)], env: &Env<'a>) -> R<Vec<(&'a str, Value<'a>)>> {
        let mut out: Vec<(&'a str, Value<'a>)> = Vec::with_capacity(fields.len());
        let values = self.each(fields, |t, (name, value)| match value {
            Some(e) => t.expr(e, env),
            None => t.name(&name.text, name.span, env),
        })?;
        for ((name, _), v) in fields.iter().zip(values) {
            if out.iter().any(|(n, _)| *n == name.text) {
                let e = Diagnostic::error("E0205", format!("the field `{}` is given twice", name.text));
                return fail(e.at(name.span, ""));
            }
            out.push((&name.text, v));
        }
        Ok(out)
    }

    /// `s with { x: 1.0 }`: of a record, or of every record in an array. Numbers known while tracing take the old type.
    fn with_fields(&mut self, of: &'a Expr, fields: &'a [(Name, Option<Expr>)], env: &Env<'a>) -> R<Value<'a>> {
        let mut v = self.expr(of, env)?;
        let new = self.fields(fields, env)?;
        for ((name, _), (_, value)) in fields.iter().zip(new) {
            let old = self.field(&v, name, of.span)?;
            let (value, same) = self.fitting(&old, value, name)?;
            if !same && matches!(v, Value::Array { .. }) {
                let e = Diagnostic::error("E0201", format!("the field `{}` would change its type", name.text));
                let e = e.at(name.span, format!("was {}, now {}", old.describe(&self.b), value.describe(&self.b)));
                return fail(e.help("in an array every record has one type: `for s in xs { s with { … } }`"));
            }
            // A record whose field is something else now is not of the type that it was declared as.
            v = with_field(&v, &name.text, &value, same);
        }
        Ok(v)
    }

    /// The new value of a field, of the type of the old one if it can be, and whether it is.
    fn fitting(&mut self, old: &Value<'a>, new: Value<'a>, name: &Name) -> R<(Value<'a>, bool)> {
        let new = if matches!(old, Value::Leaf(_)) && matches!(new, Value::List(_) | Value::Range(..)) {
            self.settle(&new, name.span)?
        } else {
            new
        };
        if let (Value::Function(_), Value::Function(_)) = (old, &new) {
            return Ok((new, true));
        }
        Ok(match crate::tree::join(&self.b, old, &new) {
            // A field known while tracing may get another value; it stays known.
            Ok((_, fitted)) if !old.is_static_number() => (fitted, true),
            Ok(_) => (new, true),
            Err(_) => (new, false),
        })
    }

    /// `[a, b, c]`: numbers known while tracing stay known; others are stacked, part by part.
    pub fn array_of(&mut self, items: Vec<Arg<'a>>, span: Span) -> R<Value<'a>> {
        if items.iter().all(|i| i.value.is_static_number()) {
            return Ok(Value::List(items.into_iter().map(|i| i.value).collect()));
        }
        self.stack(&items, 0, span)
    }

    /// Values of one structure along a new axis of every leaf.
    pub fn stack(&mut self, items: &[Arg<'a>], axis: usize, span: Span) -> R<Value<'a>> {
        let n = items.len();
        if let Some(f) = items.iter().find(|i| matches!(i.value, Value::Function(_))) {
            let e = Diagnostic::error("E0209", "functions are not stored in arrays").at(f.span, "this is a function");
            return fail(e.help("choose by a number: `match i { 0 => f(x), _ => g(x) }`"));
        }
        let mut keyed = false;
        let mut settled = Vec::with_capacity(n);
        for item in items {
            keyed |= matches!(item.value, Value::Key(_));
            settled.push(Arg {
                value: if item.value.is_tree() { self.settle(&item.value, item.span)? } else { item.value.clone() },
                ..item.clone()
            });
        }
        if keyed {
            return self.stack_keys(&settled, span);
        }
        let tree = settled.iter().any(|i| i.value.is_tree());
        let first_tree = settled.iter().find(|i| i.value.is_tree());
        if let (Some(tree), Some(other)) = (first_tree, settled.iter().find(|i| !i.value.is_tree())) {
            let e = Diagnostic::error("E0206", "the elements of an array are of one type");
            let e = e.at(other.span, format!("this is {}", other.value.describe(&self.b)));
            return fail(e.at(tree.span, format!("this is {}", tree.value.describe(&self.b))));
        }
        let elem = self.leafwise("an array", &settled, &mut |t, leaves| {
            let atoms = t.numbers("an array", span, leaves)?;
            let shapes: Vec<_> = atoms.iter().map(|a| t.b.ty(*a).shape).collect();
            if let Some(k) = shapes.iter().position(|s| *s != shapes[0]) {
                let e = Diagnostic::error("E0102", "the elements of an array have one shape");
                let label = |k: usize| crate::tree::type_text(&t.b.ty(atoms[k]));
                return fail(e.at(leaves[k].span, label(k)).at(leaves[0].span, label(0)));
            }
            if axis > shapes[0].len() {
                return fail(Diagnostic::error("E0107", format!("there is no axis {axis}")).at(span, ""));
            }
            let mut one = shapes[0].clone();
            one.insert(axis, 1);
            let rows = atoms.iter().map(|a| t.prim(Prim::Reshape(one.clone()), &[*a], span));
            let rows: Vec<Atom> = rows.collect::<R<_>>()?;
            Ok(Value::Leaf(t.prim(Prim::Concat(axis), &rows, span)?))
        })?;
        Ok(if tree { Value::array(n, elem) } else { elem })
    }

    fn stack_keys(&mut self, items: &[Arg<'a>], span: Span) -> R<Value<'a>> {
        let mut words: [Vec<Atom>; 2] = [Vec::new(), Vec::new()];
        for item in items {
            let Value::Key(k) = &item.value else {
                return fail(Diagnostic::error("E0206", "keys and other values in one array").at(item.span, ""));
            };
            self.use_key(k, item.span, "[…]")?;
            for (word, data) in words.iter_mut().zip(k.data) {
                word.push(self.b.broadcast(data, &[1]));
            }
        }
        let data = [self.prim(Prim::Concat(0), &words[0], span)?, self.prim(Prim::Concat(0), &words[1], span)?];
        let key = self.new_key(data);
        Ok(Value::array(items.len(), Value::Key(key)))
    }
}

/// The record, or the array of records, with a field replaced; `same`: by one of the old type.
fn with_field<'a>(v: &Value<'a>, name: &str, new: &Value<'a>, same: bool) -> Value<'a> {
    match v {
        Value::Record(r) => {
            let fields = r.fields.iter().map(|(n, old)| (*n, if *n == name { new.clone() } else { old.clone() }));
            let of = r.name.filter(|_| same);
            Value::Record(Rc::new(Record { name: of, fields: fields.collect() }))
        }
        Value::Array { n, elem } => {
            let inner = match new {
                Value::Array { elem: new, .. } => with_field(elem, name, new, same),
                other => with_field(elem, name, other, same),
            };
            Value::array(*n, inner)
        }
        other => other.clone(),
    }
}
