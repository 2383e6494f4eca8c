//! What the run is checked for: `assert`s, and indices that are known only when it runs.

use std::sync::Arc;

use whorl_core::check::{Check, CheckKind};
use whorl_core::prim::Compare;
use whorl_core::{Atom, Atoms, DType, Effect, Lit, Spans};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{BinaryOp, Expr, ExprKind};

use crate::ops::comparison;
use crate::tracer::{Tracer, fail};
use crate::value::{Arg, Env, R, Value};

/// Calls that an error tells of; more explain nothing.
const MOST_CALLS: usize = 6;

/// What an `assert` asks: a condition, and the sides of a comparison.
struct Asked {
    condition: Atom,
    compared: Option<(Compare, [Atom; 2])>,
}

impl<'a> Tracer<'a> {
    /// `assert c, "message"`. Of a comparison of numbers, and of `all` of one, the sides are told when it fails; `a and b` is two.
    pub fn assert(&mut self, condition: &'a Expr, message: Option<&str>, span: Span, env: &Env<'a>) -> R<()> {
        self.effects += 1;
        let outer = self.b.at(span);
        let told = self.assert_each(condition, message, env);
        self.b.at_spans(outer);
        told.map(|_| ())
    }

    /// Gives `false` where the condition is known to be.
    fn assert_each(&mut self, e: &'a Expr, message: Option<&str>, env: &Env<'a>) -> R<bool> {
        match &e.kind {
            // As in `a and b`, what is decided while tracing leaves the other side alone.
            ExprKind::Binary(BinaryOp::And, _, left, right) => {
                Ok(self.assert_each(left, message, env)? && self.assert_each(right, message, env)?)
            }
            // Each element is asked for anyway.
            ExprKind::Call { callee, args }
                if args.len() == 1 && args[0].name.is_none() && self.is_all(callee, env) =>
            {
                self.assert_each(&args[0].value, message, env)
            }
            _ => self.assert_one(e, message, env),
        }
    }

    fn is_all(&self, callee: &'a Expr, env: &Env<'a>) -> bool {
        let ExprKind::Name(name) = &callee.kind else { return false };
        let known = self.script.module(self.module).values.contains_key(name.as_str());
        name == "all" && env.get(name).is_none() && !known
    }

    fn assert_one(&mut self, e: &'a Expr, message: Option<&str>, env: &Env<'a>) -> R<bool> {
        let Asked { condition, compared } = self.asked(e, env)?;
        let text = message.map_or_else(|| self.text(e.span).trim_matches('`').to_string(), str::to_string);
        let mut values: Atoms = [condition].into_iter().collect();
        values.extend(compared.iter().flat_map(|(_, sides)| *sides));
        self.emit_check(CheckKind::Assert(compared.map(|(op, _)| op)), &text, values, e.span);
        Ok(condition != Lit::bool(false).into())
    }

    fn asked(&mut self, e: &'a Expr, env: &Env<'a>) -> R<Asked> {
        let mut sides = None;
        let outer = self.b.at(e.span);
        let v = match &e.kind {
            ExprKind::Binary(op, _, left, right) if let Some(compare) = comparison(*op) => {
                let (left, right) = (self.arg(left, env)?, self.arg(right, env)?);
                let v = self.binary_op(*op, e.span, left.clone(), right.clone());
                if let Ok(Value::Leaf(condition)) = &v {
                    sides = self.sides(compare, *condition, &left, &right);
                }
                v
            }
            _ => self.expr(e, env),
        };
        self.b.at_spans(outer);
        let v = v?;
        let condition = self.atom(&v, None, e.span)?;
        if self.b.ty(condition).dtype != DType::Bool {
            let d = Diagnostic::error("E0201", "`assert` takes a bool");
            let d = d.at(e.span, format!("this is {}", v.describe(&self.b)));
            return fail(d.help(format!("compare it with something: `{} != 0`", self.plain_text(e.span, "x"))));
        }
        Ok(Asked { condition, compared: sides })
    }

    /// The sides of a comparison of numbers, as it was made.
    fn sides(&mut self, op: Compare, condition: Atom, left: &Arg<'a>, right: &Arg<'a>) -> Option<(Compare, [Atom; 2])> {
        let typed = |t: &Tracer<'a>, v: &Value<'a>| if let Value::Leaf(a) = v { Some(t.b.ty(*a)) } else { None };
        let known = typed(self, &left.value).or_else(|| typed(self, &right.value))?;
        let mut atom = |arg: &Arg<'a>| {
            let number = matches!(arg.value, Value::Leaf(_) | Value::Int(_) | Value::Float(_));
            let a = number.then(|| self.atom(&arg.value, Some(known.dtype), arg.span).ok()).flatten()?;
            let (own, whole) = (self.b.ty(a), self.b.ty(condition));
            (own.dtype != DType::Bool && (own.is_scalar() || own.shape == whole.shape)).then_some(a)
        };
        Some((op, [atom(left)?, atom(right)?]))
    }

    /// Checks that an index (or each of an array of them) is in range of an axis of so many elements.
    pub fn check_index(&mut self, index: Atom, len: usize, span: Span) {
        self.check_window(index, 1, len, span);
    }

    /// The same of the start of a slice of so many.
    pub fn check_window(&mut self, start: Atom, width: usize, len: usize, span: Span) {
        if width > 0 && len > 0 {
            self.emit_check(CheckKind::Index { width, len }, "", [start].into_iter().collect(), span);
        }
    }

    fn emit_check(&mut self, kind: CheckKind, text: &str, values: Atoms, span: Span) {
        let known = |s: &Span| self.script.map.file(s.file).is_some();
        let calls: Spans = self.stack.iter().skip(self.own_calls).map(|c| c.span).filter(known).collect();
        let calls = calls[calls.len().saturating_sub(MOST_CALLS)..].into();
        let check = Check { calls, ..Check::new(kind, text) };
        let outer = self.b.at(span);
        self.b.effect(Effect::Check { check: Arc::new(check), values, mask: Lit::bool(true).into() });
        self.b.at_spans(outer);
    }
}
