//! Loops, branches and calls. Calls disappear: what they call stands in their place.

use whorl_core::ir::{Atom, Checkpoint, DType, Form, Switch, While};
use whorl_core::prim::Prim;

use super::text::Eqn;
use super::translate::{Refusal, Rule, Translator, types, width};

pub const RULES: &[(&str, Rule)] = &[
    ("checkpoint", call),
    ("closed_call", call),
    ("cond", cond),
    ("core_call", call),
    ("custom_jvp_call", call),
    ("custom_vjp_call", call),
    ("custom_vjp_call_jaxpr", call),
    ("jit", call),
    ("pjit", call),
    ("remat", call),
    ("remat2", call),
    ("scan", scan),
    ("while", while_loop),
];

type Results = Result<Vec<Atom>, Refusal>;

fn call(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let program = ["jaxpr", "call_jaxpr", "fun_jaxpr"].into_iter().map(|n| eqn.param(n)).find(|v| !v.is_none());
    let program = t.program(program.ok_or_else(|| format!("{} without a program", eqn.prim))?)?;
    t.inline(&program, x)
}

/// `which, operands…`: all branches take the same operands.
fn cond(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let which = match t.b.ty(x[0]).dtype {
        DType::Bool | DType::I32 => x[0],
        _ => super::arrays::index(&mut t.b, x[0]),
    };
    let mut arms = Vec::new();
    for branch in eqn.param("branches").list()? {
        let branch = t.program(branch)?;
        t.b.begin();
        let results = t.inline(&branch, &x[1..])?;
        arms.push(t.b.end(results));
    }
    Ok(t.b.form(Form::Switch(Switch { which, arms })).to_vec())
}

/// `constants of the condition…, constants of the body…, carries…`
fn while_loop(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let (condition, body) = (t.program(eqn.param("cond_jaxpr"))?, t.program(eqn.param("body_jaxpr"))?);
    let of_condition = width(&condition.invars[..eqn.param("cond_nconsts").size()?]);
    let of_body = width(&body.invars[..eqn.param("body_nconsts").size()?]);
    let (of_condition, rest) = x.split_at(of_condition);
    let (of_body, init) = rest.split_at(of_body);
    let (carries, vars) = t.carries(init);
    t.b.begin();
    let results = t.inline(&condition, &[of_condition, &vars].concat())?;
    let condition = t.b.end(results);
    t.b.begin();
    let results = t.inline(&body, &[of_body, &vars].concat())?;
    let body = t.b.end(results);
    let form = While { carries, condition, body, max: None, checkpoint: Checkpoint::Carries };
    Ok(t.b.form(Form::While(form)).to_vec())
}

/// `constants…, carries…, arrays whose rows the steps take…`
fn scan(t: &mut Translator, eqn: &Eqn, x: &[Atom]) -> Results {
    let body = t.program(eqn.param("jaxpr"))?;
    let (n, reverse) = (eqn.param("length").size()?, eqn.param("reverse").bool()?);
    let (constants, carried) = (eqn.param("num_consts").size()?, eqn.param("num_carry").size()?);
    let (constants, rest) = x.split_at(width(&body.invars[..constants]));
    let (init, rows) = rest.split_at(width(&eqn.outs[..carried]));
    if n == 0 {
        let mut results = init.to_vec();
        for out in &eqn.outs[carried..] {
            results.extend(types(&out.aval)?.iter().map(|ty| t.b.zeros(ty)).collect::<Vec<_>>());
        }
        return Ok(results);
    }
    t.scan(n, reverse, init, |t, step, carried| {
        let own: Vec<Atom> = rows.iter().map(|x| t.b.prim1(Prim::Index(None), &[*x, step])).collect();
        t.inline(&body, &[constants, carried, &own].concat())
    })
}
