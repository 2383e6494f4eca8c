//! The rule of a `Map`'s accumulators: each is only ever added to, and handed on once.

use std::collections::{HashMap, HashSet};

use super::{Flaw, additive_operands, ensure};
use crate::ir::*;
use crate::prim::Prim;
use crate::rewrite::each_use;

/// Checks a map's own accumulators; those of inner maps are checked with these.
pub fn check(map: &Map) -> Result<(), Flaw> {
    additive(&map.body, &map.accs.iter().map(|c| Some(c.var)).collect::<Vec<_>>(), Some(map.index))
}

/// Checks that result k of the body is `params[k]` with things added, and that nothing else reads it on its way.
/// In a map, setting a place that is the lane's own counts as adding: one that its `index`, or what is made of that, is part of.
fn additive(body: &Body, params: &[Option<Var>], index: Option<Var>) -> Result<(), Flaw> {
    // A parameter's current sum, and which it is. A sum leaves when it is handed on.
    let mut sums: HashMap<Var, usize> = params.iter().enumerate().filter_map(|(k, v)| v.map(|v| (v, k))).collect();
    // The sums that were handed on already, which nobody may read any more.
    let mut spent: HashMap<Var, usize> = HashMap::new();
    let made = body.stmts.iter().filter(|_| index.is_some()).flat_map(|s| &s.outs);
    let lane: HashSet<Var> = index.iter().chain(made).copied().collect();
    for stmt in &body.stmts {
        let handed = handed_on(stmt, &sums, &lane)?;
        let mut uses = Vec::new();
        each_use(stmt, &mut |a| uses.extend(a.var().filter(|v| sums.contains_key(v) || spent.contains_key(v))));
        for used in &uses {
            let once = uses.iter().filter(|u| *u == used).count() == 1;
            let added = handed.iter().any(|(from, _)| from == used);
            ensure!(
                once && added && !spent.contains_key(used),
                "the accumulator %{} is used other than by adding to it once",
                used.0
            );
        }
        for (from, to) in handed {
            if let Some(k) = sums.remove(&from) {
                spent.insert(from, k);
                sums.insert(to, k);
            }
        }
    }
    for (k, result) in body.results.iter().enumerate() {
        let sum = result.var().and_then(|v| sums.get(&v).copied());
        let is_spent = result.var().is_some_and(|v| spent.contains_key(&v));
        let wanted = params.get(k).copied().flatten();
        match wanted {
            Some(v) => ensure!(sum == Some(k), "result {k} is not the accumulator %{} with things added", v.0),
            None => ensure!(sum.is_none() && !is_spent, "result {k} reads an accumulator"),
        }
    }
    Ok(())
}

/// Which sums the statement takes, and the variables that are those sums after it.
fn handed_on(stmt: &Stmt, sums: &HashMap<Var, usize>, lane: &HashSet<Var>) -> Result<Vec<(Var, Var)>, Flaw> {
    let sum = |a: &Atom| a.var().filter(|v| sums.contains_key(v));
    let carried = |carries: &[Carry]| -> Vec<(Var, Var)> {
        carries.iter().zip(&stmt.outs).filter_map(|(c, out)| Some((sum(&c.init)?, *out))).collect()
    };
    match &stmt.op {
        Op::Prim(Prim::IndexSet(_), args) if args[2..].iter().any(|a| a.var().is_some_and(|v| lane.contains(&v))) => {
            Ok(sum(&args[0]).into_iter().map(|v| (v, stmt.outs[0])).collect())
        }
        Op::Prim(prim, args) => {
            let taken = additive_operands(prim).iter().find_map(|k| args.get(*k).and_then(sum));
            Ok(taken.into_iter().map(|v| (v, stmt.outs[0])).collect())
        }
        Op::Form(form) => match &**form {
            Form::Map(m) => Ok(carried(&m.accs)),
            Form::Scan(s) => {
                let params: Vec<Option<Var>> = s.carries.iter().map(|c| sum(&c.init).map(|_| c.var)).collect();
                if params.iter().any(Option::is_some) {
                    additive(&s.body, &params, None)?;
                }
                Ok(carried(&s.carries))
            }
            Form::While(_) | Form::Switch(_) => Ok(Vec::new()),
        },
        Op::Constant(_) | Op::Effect(_) => Ok(Vec::new()),
    }
}
