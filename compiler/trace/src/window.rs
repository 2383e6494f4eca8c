//! The length of a slice whose start is known only when the program runs: `xs[i..i + 4]`, `xs[4 * i..4 * (i + 1)]`.

use std::collections::BTreeMap;

use whorl_syntax::ast::{BinaryOp, Expr, ExprKind, UnaryOp};

use crate::tracer::Tracer;
use crate::value::{Env, R, Value};

/// A sum of multiples of expressions, by their text, and of 1 (the empty text).
type Linear = BTreeMap<String, i64>;

impl<'a> Tracer<'a> {
    /// `end - start`, if it is the same whatever the program computes.
    pub fn distance(&mut self, start: &'a Expr, end: &'a Expr, env: &Env<'a>) -> R<Option<i64>> {
        let (start, end) = (self.linear(start, env)?, self.linear(end, env)?);
        let mut difference = sum(&end, &start, -1);
        let constant = difference.remove("").unwrap_or(0);
        Ok(difference.is_empty().then_some(constant))
    }

    fn linear(&mut self, e: &'a Expr, env: &Env<'a>) -> R<Linear> {
        let constant = |i: i64| Linear::from([(String::new(), i)]);
        match &e.kind {
            ExprKind::Int(i) => return Ok(constant(*i as i64)),
            ExprKind::Name(_) | ExprKind::Field(..) => {
                if let Value::Int(i) = self.expr(e, env)? {
                    return Ok(constant(i));
                }
            }
            ExprKind::Unary(UnaryOp::Neg, x) => return Ok(sum(&Linear::new(), &self.linear(x, env)?, -1)),
            ExprKind::Binary(BinaryOp::Add, _, l, r) => {
                return Ok(sum(&self.linear(l, env)?, &self.linear(r, env)?, 1));
            }
            ExprKind::Binary(BinaryOp::Sub, _, l, r) => {
                return Ok(sum(&self.linear(l, env)?, &self.linear(r, env)?, -1));
            }
            ExprKind::Binary(BinaryOp::Mul, _, l, r) => {
                let (l, r) = (self.linear(l, env)?, self.linear(r, env)?);
                for (a, b) in [(&l, &r), (&r, &l)] {
                    if a.keys().all(|k| k.is_empty()) {
                        return Ok(sum(&Linear::new(), b, a.get("").copied().unwrap_or(0)));
                    }
                }
            }
            _ => {}
        }
        let text =
            self.script.map.file(e.span.file).and_then(|f| f.text.get(e.span.start as usize..e.span.end as usize));
        Ok(Linear::from([(text.unwrap_or("?").to_string(), 1)]))
    }
}

fn sum(a: &Linear, b: &Linear, times: i64) -> Linear {
    let mut out = a.clone();
    for (k, v) in b {
        let entry = out.entry(k.clone()).or_insert(0);
        *entry = entry.wrapping_add(v.wrapping_mul(times));
    }
    out.retain(|_, v| *v != 0);
    out
}
