//! `eval`: what a script says of how its trained agent is tried out, beside `main`.
//!
//! ```text
//! fn main(key: Key) = for k in split(key, seeds) { ppo.train(cartpole.env, k) }
//! fn eval(agent, key: Key) = film(ppo.play(cartpole.env, agent, key), cartpole.render)
//! ```
//!
//! `eval` plays one episode of what one run of `main` gave. The program that is traced here plays many: every agent in every one
//! of the episodes, whose keys are `fold_in(key, number of the episode)`. What `main` gives is known by tracing `main`, whose
//! statements are then left away.

use std::rc::Rc;

use whorl_core::{Atom, DType, Form, Map, Prim, Stmt, Type};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{FnParam, ItemKind};
use whorl_transform::stages;

use crate::call::{arguments, param_name};
use crate::entry::{Traced, Tree, main_arguments, own_function};
use crate::random;
use crate::script::{Def, ModuleId, Script};
use crate::tracer::{Tracer, fail};
use crate::value::{Arg, Function, R, Record, Value};

/// The name of the entry point.
pub const EVAL: &str = "eval";
/// The fields of its result that mean something; other numbers are told under their names.
pub const RETURN: &str = "episode_return";
pub const LENGTH: &str = "length";
pub const FRAMES: &str = "frames";
pub const FPS: &str = "fps";

/// How much is played at once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Plays {
    /// Agents: the rows of what `main` gives, or the one that it is.
    pub agents: usize,
    pub episodes: usize,
    /// Whether the pictures are wanted; they are not computed else.
    pub frames: bool,
}

/// A program of the agents (an array of each part, with a row for each), the two words of a key, and the numbers of the episodes.
/// Its results are arrays of [agents, episodes].
#[derive(Clone, Debug)]
pub struct Evaluation {
    pub traced: Traced,
    /// The sizes of the axes of runs that what `main` gives has in front; without any it is one agent.
    pub runs: Vec<usize>,
}

impl Script {
    /// Whether the script says how its agent is tried out.
    pub fn has_eval(&self) -> bool {
        self.module(ModuleId::MAIN).values.contains_key(EVAL)
    }

    /// Whether `eval` is there for nothing else: no other function calls it.
    fn eval_is_an_entry(&self) -> bool {
        self.has_eval() && !self.calls_eval
    }

    pub fn trace_eval<'a>(&'a self, plays: Plays) -> Result<Evaluation, Vec<Diagnostic>> {
        if !self.has_eval() {
            let e = Diagnostic::error("E0415", "the script does not say how its agent is tried out: it has no `eval`");
            let e = e.note("`eval` plays one episode of what one run of `main` gives, and gives a record of it");
            return Err(vec![e.help(
                "fn eval(agent, key: Key) = film(ppo.play(cartpole.env, agent, key), cartpole.render)\n\
                 in general: a record with `episode_return`, and perhaps `length`, `frames` and `fps` (`std.env.play` makes one)",
            )]);
        }
        let key: &'a [Tree] = main_arguments(self)?;
        let mut runs = Vec::new();
        let traced = self.traced(|t| {
            t.b.begin();
            let (_, main) = t.entry("main", key)?;
            runs = t.runs_of(&main);
            t.b.end(Vec::new());
            // What `main` leaves and warns of is told when it runs.
            t.saves.list.clear();
            t.warnings.clear();
            t.evaluation(&main, &runs, plays)
        })?;
        Ok(Evaluation { traced, runs })
    }
}

impl<'a> Tracer<'a> {
    /// What is wrong with `eval` is told before the training, not behind it. The program stays as it was.
    pub fn check_eval(&mut self, main: &Value<'a>) -> R<()> {
        if !self.script.eval_is_an_entry() {
            return Ok(());
        }
        let runs = self.runs_of(main);
        let (vars, forbidden) = (self.b.vars.clone(), self.saves.forbidden);
        self.b.begin();
        let checked = self.evaluation(main, &runs, Plays { agents: 1, episodes: 1, frames: false });
        checked?;
        self.b.end(Vec::new());
        (self.b.vars, self.saves.forbidden) = (vars, forbidden);
        Ok(())
    }

    /// How many runs `main` is of, as far as what it gives has a row for each.
    fn runs_of(&self, main: &Value<'a>) -> Vec<usize> {
        let statements: Vec<&Stmt> = self.b.open_statements().collect();
        let (mut rows, mut inside) = (Vec::new(), main);
        for n in stages::runs(statements) {
            match inside {
                Value::Array { n: m, elem } if *m == n => inside = elem,
                Value::Leaf(a) if self.b.ty(*a).shape.get(rows.len()) == Some(&n) => {}
                Value::Array { .. }
                | Value::Leaf(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Bool(_)
                | Value::Str(_)
                | Value::List(_)
                | Value::Unit
                | Value::Tuple(_)
                | Value::Record(_)
                | Value::Key(_)
                | Value::Function(_)
                | Value::Module(_)
                | Value::Range(..) => break,
            }
            rows.push(n);
        }
        rows
    }

    /// Plays; gives the parameters and what is told of each episode.
    fn evaluation(&mut self, main: &Value<'a>, runs: &[usize], plays: Plays) -> R<(Vec<(String, Atom)>, Value<'a>)> {
        self.saves.forbidden = Some((
            "this is run by `whorl eval`",
            "pictures are its `frames`; what else is to be kept is saved by `main`",
        ));
        let f = self.eval_function()?;
        let span = self.function_span(&f);
        let row = self.row(main, runs)?;
        let agents = self.agents(&row, runs.len(), plays.agents);
        let word = Type::scalar(DType::U32);
        let key: [Atom; 2] = [self.b.fresh(word.clone()).into(), self.b.fresh(word.clone()).into()];
        let numbers: Atom = self.b.fresh(word.stacked(plays.episodes)).into();
        let mut params = Vec::new();
        agents.leaf_paths("agent", &mut params);
        params.extend((0..2).map(|i| (format!("key.{i}"), key[i])));
        params.push(("episodes".to_string(), numbers));

        let i32_scalar = Type::scalar(DType::I32);
        let (who, which) = (self.b.fresh(i32_scalar.clone()), self.b.fresh(i32_scalar));
        self.b.begin();
        self.loops += 2;
        let agent = agents.map_leaves(&mut |a| self.prim(Prim::Index(None), &[a, who.into()], span))?;
        self.b.begin();
        let number = self.prim(Prim::Index(None), &[numbers, which.into()], span)?;
        let own_key = random::fold_in(&mut self.b, key, number);
        let own_key = Value::Key(self.new_key(own_key));
        let agent = self.renew_keys(&agent);
        self.own_calls = 1;
        let result = self.call(&f, vec![Arg::new(agent, span), Arg::new(own_key, span)], span)?;
        let result = self.settle(&result, span)?;
        let told = self.told(&result, &f, plays.frames)?;
        self.loops -= 2;
        let leaves = told.leaves();
        let episode = Map { n: plays.episodes, index: which, accs: Vec::new(), body: self.b.end(leaves) };
        let outs = self.b.form(Form::Map(episode));
        let all = Map { n: plays.agents, index: who, accs: Vec::new(), body: self.b.end(outs.to_vec()) };
        let outs = self.b.form(Form::Map(all));
        Ok((params, told.with_leaves(&mut outs.into_iter())))
    }

    /// The function, which takes an agent and a key.
    fn eval_function(&mut self) -> R<Rc<Function<'a>>> {
        let module = self.script.module(ModuleId::MAIN);
        let example = "fn eval(agent, key: Key) = …";
        let (Some((known, def)), here) = (module.values.get_key_value(EVAL), self.eval_span()) else {
            return fail(Diagnostic::error("E0415", "there is no `eval`"));
        };
        let not_one = |e: Diagnostic| fail(e.at(here, "").help(example));
        let Value::Function(f) = self.def_value(*def, known, Span::NONE)? else {
            return not_one(Diagnostic::error("E0416", "`eval` is not a function"));
        };
        let params: &[FnParam] = match &*f {
            Function::Item { def, .. } => &def.params,
            Function::Closure { lambda, .. } => lambda.params,
            Function::Builtin(_)
            | Function::Variant { .. }
            | Function::VariantOf(_)
            | Function::Derivative(_)
            | Function::Custom(_) => return not_one(Diagnostic::error("E0416", "`eval` is a function of the script")),
        };
        let needed = params.iter().filter(|p| p.default.is_none()).count();
        if params.len() < 2 || needed > 2 {
            let takes = arguments(if params.len() < 2 { params.len() } else { needed });
            let e = Diagnostic::error("E0416", "`eval` takes an agent and a key");
            let e = e.at(here, format!("this takes {takes}"));
            let e = e.note("the agent is what one run of `main` gives; the key is another in every episode");
            let others: Vec<&str> = params.iter().skip(2).filter_map(param_name).collect();
            return fail(match others[..] {
                [] => e.help(example),
                _ => e.help(format!("{example}; what else it is to know is a param, or has a default")),
            });
        }
        Ok(f)
    }

    fn eval_span(&self) -> Span {
        match self.script.module(ModuleId::MAIN).values.get(EVAL) {
            Some(Def::Item(id)) => match &self.script.item(*id).kind {
                ItemKind::Fn(f) => f.name.span,
                ItemKind::Param(p) | ItemKind::Size(p) => p.name.span,
                ItemKind::Let { pattern, .. } => pattern.span,
                ItemKind::Data(d) => d.name.span,
                ItemKind::Import(_)
                | ItemKind::Type(_)
                | ItemKind::Enum(_)
                | ItemKind::Test { .. }
                | ItemKind::Prop(_)
                | ItemKind::Error => Span::NONE,
            },
            Some(Def::Module(_)) | None => Span::NONE,
        }
    }

    /// What one run of `main` gives, with arrays still as they are in all of them.
    fn row(&self, main: &Value<'a>, runs: &[usize]) -> R<Value<'a>> {
        let here = self.main_span();
        if let Some((path, what)) = main.first_function("") {
            let e = Diagnostic::error("E0419", "what `main` gives cannot be kept for `eval`: a function is part of it");
            let place = if path.is_empty() { "this is".to_string() } else { format!("its `{path}` is") };
            let e = e.at(here, format!("{place} {}", what.describe(&self.b)));
            return fail(e.help("give the numbers that the function needs, and make the function in `eval`"));
        }
        if main.leaves().is_empty() {
            let e = Diagnostic::error("E0419", "`main` gives nothing that `eval` could try out").at(here, "");
            return fail(e.help("let `main` give the trained agent: what `train scan` ends with"));
        }
        Ok(runs.iter().fold(main.clone(), |v, _| match &v {
            Value::Array { elem, .. } => (**elem).clone(),
            _ => v,
        }))
    }

    /// Parameters for so many agents: of every array a row for each, in place of the axes of runs.
    fn agents(&mut self, row: &Value<'a>, axes: usize, n: usize) -> Value<'a> {
        let fresh = row.map_leaves::<std::convert::Infallible>(&mut |a| {
            let mut ty = self.b.ty(a);
            ty.shape.drain(..axes.min(ty.shape.len()));
            Ok(self.b.fresh(ty.stacked(n)).into())
        });
        let Ok(fresh) = fresh;
        fresh
    }

    fn main_span(&self) -> Span {
        own_function(self.script, "main").map_or(Span::NONE, |f| crate::call::result_span(&f.body))
    }

    /// The part of an episode's record that is told: single numbers, and the pictures if they are wanted.
    fn told(&self, result: &Value<'a>, f: &Rc<Function<'a>>, frames: bool) -> R<Value<'a>> {
        let span = match &**f {
            Function::Item { def, .. } => crate::call::result_span(&def.body),
            Function::Closure { lambda, .. } => crate::call::result_span(lambda.body),
            Function::Builtin(_)
            | Function::Variant { .. }
            | Function::VariantOf(_)
            | Function::Derivative(_)
            | Function::Custom(_) => Span::NONE,
        };
        let no = |what: String| {
            let e = Diagnostic::error("E0417", "`eval` gives a record with the number `episode_return`").at(span, what);
            fail(e.help("{ episode_return: …, length: … }; `std.env.play` plays an episode and gives such a record"))
        };
        let Value::Record(record) = result else {
            return no(format!("this is {}", result.describe(&self.b)));
        };
        match record.get(RETURN) {
            None => return no(format!("this is {}", result.describe(&self.b))),
            Some(Value::Leaf(a)) if is_number(&self.b.ty(*a)) => {}
            Some(other) => return no(format!("its `{RETURN}` is {}", other.describe(&self.b))),
        }
        for name in [LENGTH, FPS] {
            match record.get(name) {
                None => {}
                Some(Value::Leaf(a)) if is_number(&self.b.ty(*a)) => {}
                Some(other) => {
                    let e = Diagnostic::error("E0417", format!("`{name}` of what `eval` gives is a number"));
                    return fail(e.at(span, format!("its `{name}` is {}", other.describe(&self.b))));
                }
            }
        }
        let pictures = match record.get(FRAMES) {
            Some(v) => Some((FRAMES, self.film(v, span)?)),
            None if frames => {
                let e = Diagnostic::error("E0418", "there is nothing to draw: `eval` gives no `frames`");
                let e = e.at(span, format!("this is {}", result.describe(&self.b)));
                return fail(e.help(
                    "`std.env.film` draws an episode, with a function that draws a state: `film(ppo.play(env, agent, key), cartpole.render)`",
                ));
            }
            None => None,
        };
        let mut fields = self.single_numbers(record);
        fields.retain(|(name, _)| *name != FRAMES);
        fields.extend(pictures.filter(|_| frames));
        Ok(Value::record(None, fields))
    }

    /// The pictures of an episode.
    fn film(&self, v: &Value<'a>, span: Span) -> R<Value<'a>> {
        match self.picture(v, span, 1, 1) {
            Ok(()) => Ok(v.clone()),
            Err(mut e) => {
                let message = format!("`{FRAMES}` of what `eval` gives is no film");
                let said = std::mem::take(&mut e.message);
                fail(Diagnostic { code: "E0418", message, help: None, ..*e }.note(said))
            }
        }
    }

    /// The single numbers of a record, and of the records in it.
    fn single_numbers(&self, record: &Record<'a>) -> Vec<(&'a str, Value<'a>)> {
        let kept = record.fields.iter().filter_map(|(name, v)| match v {
            Value::Leaf(a) => self.b.ty(*a).is_scalar().then(|| (*name, v.clone())),
            Value::Record(inner) => {
                let fields = self.single_numbers(inner);
                (!fields.is_empty()).then(|| (*name, Value::record(None, fields)))
            }
            Value::Int(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Unit
            | Value::Tuple(_)
            | Value::Array { .. }
            | Value::Key(_)
            | Value::Function(_)
            | Value::Module(_)
            | Value::Range(..) => None,
        });
        kept.collect()
    }
}

fn is_number(ty: &Type) -> bool {
    ty.is_scalar() && ty.dtype != DType::Bool
}
