//! What an example claims: `e // = value`.

use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Expr, StatementKind};

use super::Layout;
use super::examples::Example;
use crate::tracer::{Tracer, fail};
use crate::tree::join;
use crate::value::{Env, R, Value};

/// A value that an example got, and the one that it claims. Among the results of its program, the arrays of both come one after
/// the other.
#[derive(Clone, PartialEq, Debug)]
pub struct Claim {
    /// Of the expression, and of what is claimed.
    pub spans: [Span; 2],
    /// Of either.
    pub layout: Layout,
}

impl<'a> Tracer<'a> {
    /// Traces the example; its results are what was got and claimed.
    pub(super) fn example(&mut self, example: &'a Example, claims: &mut Vec<Claim>) -> R<Value<'a>> {
        let (mut env, mut results) = (Env::default(), Vec::new());
        for statement in &example.statements {
            match (&statement.kind, example.claims.get(&statement.span.end)) {
                (StatementKind::Expr(e), Some(claimed)) => {
                    let (got, want) = self.claim(e, claimed, &env)?;
                    let Some(layout) = Layout::of(&got, &self.b) else {
                        let error = Diagnostic::error("E0609", "only values of arrays can be compared");
                        return fail(error.at(e.span, format!("this is {}", got.describe(&self.b))));
                    };
                    claims.push(Claim { spans: [e.span, claimed.span], layout });
                    results.extend([got, want]);
                }
                (
                    StatementKind::Expr(_)
                    | StatementKind::Let { .. }
                    | StatementKind::Yield(_)
                    | StatementKind::Assert { .. },
                    _,
                ) => self.statement(statement, &mut env)?,
            }
        }
        Ok(Value::tuple(results))
    }

    /// Both values, settled and of one type.
    fn claim(&mut self, e: &'a Expr, claimed: &'a Expr, env: &Env<'a>) -> R<(Value<'a>, Value<'a>)> {
        let got = self.expr(e, env)?;
        let want = self.expr(claimed, env)?;
        let got = self.settle(&got, e.span)?;
        let want = self.like(&want, &got, claimed.span)?;
        let want = self.settle(&want, claimed.span)?;
        join(&self.b, &got, &want).map_err(|m| {
            let error = Diagnostic::error("E0609", "the example gives something else than it says");
            let error = error.at(e.span, format!("{} is {}", m.place(), m.left));
            Box::new(error.at(claimed.span, format!("{} is {}", m.place(), m.right)))
        })
    }

    /// Numbers known while tracing take the type of what they are compared with.
    fn like(&mut self, v: &Value<'a>, model: &Value<'a>, span: Span) -> R<Value<'a>> {
        match (v, model) {
            (Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::List(_), Value::Leaf(a)) => {
                let dtype = self.b.ty(*a).dtype;
                Ok(Value::Leaf(self.atom(v, Some(dtype), span)?))
            }
            (Value::Tuple(items), Value::Tuple(models)) if items.len() == models.len() => {
                let parts = items.iter().zip(models.iter()).map(|(v, m)| self.like(v, m, span));
                Ok(Value::tuple(parts.collect::<R<_>>()?))
            }
            (Value::Record(r), Value::Record(m)) => {
                let fields = r.fields.iter().map(|(n, v)| match m.get(n) {
                    Some(m) => Ok((*n, self.like(v, m, span)?)),
                    None => Ok((*n, v.clone())),
                });
                Ok(Value::record(r.name, fields.collect::<R<_>>()?))
            }
            _ => Ok(v.clone()),
        }
    }
}
