//! Where sizes come from: errors show an array as the user named its sizes, `f32[hidden, 64]`, and where that is written.
//!
//! Tracing notes a size only where the user writes one: in an annotation that is met, as an argument of what makes arrays, as
//! the range of a `for`. What follows for other arrays is found when an error is to be told, by going back through the
//! statements that made them.

use std::collections::HashMap;

use smallvec::SmallVec;
use whorl_core::prim::Prim;
use whorl_core::{Atom, DType, Form, Op, Stmt, Type, Var};
use whorl_source::Span;

use crate::names::listed_plain;
use crate::tracer::Tracer;
use crate::value::{Arg, Value};

/// Statements that are followed back; more would take time and tell little.
const FARTHEST: usize = 200;
/// Longer expressions say less than their value.
const LONGEST: usize = 24;

/// Where a size is written: innermost first, then as the argument that a caller gave for it.
#[derive(Clone)]
pub struct Written {
    places: SmallVec<[Site; 2]>,
    /// In an annotation.
    declared: bool,
}

#[derive(Clone, Copy)]
struct Site {
    span: Span,
    /// The calls that were open.
    depth: usize,
    call: Span,
}

#[derive(Clone)]
enum Origin {
    Unknown,
    Written(Written),
    /// The size of an axis of another array.
    Axis(Atom, usize),
}

#[derive(Clone)]
struct Note {
    depth: usize,
    call: Span,
    axes: SmallVec<[Origin; 3]>,
}

/// What was noted, by the array.
#[derive(Default)]
pub struct Origins {
    notes: HashMap<Var, SmallVec<[Note; 1]>>,
    /// What loops carry is of the sizes that it began with.
    carries: HashMap<Var, Atom>,
    /// What began as a whole number known while tracing, and where.
    whole: HashMap<Var, Span>,
}

/// A type as the user named it.
pub struct Named {
    pub text: String,
    /// `, declared at model.whorl:4`, or nothing.
    pub at: String,
    /// The axes' names, where they have one.
    pub axes: Vec<Option<String>>,
}

impl<'a> Tracer<'a> {
    fn site(&self, span: Span) -> Site {
        Site { span, depth: self.stack.len(), call: self.stack.last().map_or(Span::NONE, |c| c.span) }
    }

    /// A size at `span`; if it is a parameter, also what was given for it.
    fn written(&self, span: Span, declared: bool) -> Written {
        let mut places = SmallVec::from_iter([self.site(span)]);
        let (mut span, mut depth) = (span, self.stack.len());
        while depth > 0
            && let Some(text) = self.source_text(span)
            && let Some((_, given)) = self.stack[depth - 1].sizes.iter().find(|(name, _)| *name == text)
        {
            (span, depth) = (*given, depth - 1);
            let call = depth.checked_sub(1).map_or(Span::NONE, |d| self.stack[d].span);
            places.push(Site { span, depth, call });
        }
        Written { places, declared }
    }

    fn note(&mut self, var: Var, axes: SmallVec<[Origin; 3]>) {
        let site = self.site(Span::NONE);
        let notes = self.origins.notes.entry(var).or_default();
        notes.push(Note { depth: site.depth, call: site.call, axes });
    }

    /// The last axes of an array are promised to be of these sizes.
    pub fn note_promise(&mut self, atom: Atom, sizes: impl Iterator<Item = Span>) {
        let Atom::Var(var) = atom else { return };
        let written: Vec<Origin> = sizes.map(|s| Origin::Written(self.written(s, true))).collect();
        let rank = self.b.ty(atom).rank();
        let mut axes: SmallVec<[Origin; 3]> = SmallVec::from_elem(Origin::Unknown, rank.saturating_sub(written.len()));
        axes.extend(written);
        self.note(var, axes);
    }

    /// An array was made, of sizes that are arguments; they stand from axis `first` on.
    pub fn note_made(&mut self, made: &Value<'a>, sizes: &[Arg<'a>], first: usize) {
        if !sizes.iter().all(|a| matches!(a.value, Value::Int(_))) {
            return;
        }
        let mut vars = Vec::new();
        made.leaves().into_iter().for_each(|a| vars.extend(a.var()));
        for var in vars {
            let mut axes: SmallVec<[Origin; 3]> = SmallVec::from_elem(Origin::Unknown, first);
            axes.extend(sizes.iter().map(|a| Origin::Written(self.written(a.span, false))));
            self.note(var, axes);
        }
    }

    /// The first axis of what a loop gives is of the size that it went over: as written, or that of an array.
    pub fn note_loop(&mut self, made: &[Atom], over: Over) {
        let origin = match over {
            Over::Written(span) => Origin::Written(self.written(span, false)),
            Over::Array(a) => Origin::Axis(a, 0),
            Over::Unknown => return,
        };
        for var in made.iter().filter_map(|a| a.var()) {
            self.note(var, SmallVec::from_iter([origin.clone()]));
        }
    }

    pub fn note_carry(&mut self, var: Var, init: Atom, span: Span) {
        match init {
            Atom::Var(_) => _ = self.origins.carries.insert(var, init),
            Atom::Lit(l) if l.dtype == DType::I32 => _ = self.origins.whole.insert(var, span),
            Atom::Lit(_) => {}
        }
    }

    /// Where a carried number began, if as a whole one.
    pub fn began_whole(&self, v: &Value<'a>) -> Option<Span> {
        match v {
            Value::Leaf(Atom::Var(var)) => self.origins.whole.get(var).copied(),
            _ => None,
        }
    }

    /// The type of an array as its sizes are named. `label`: the place that it is told at, which needs no mention.
    pub fn named(&self, atom: Atom, label: Span) -> Named {
        if self.b.ty(atom).is_scalar() {
            return self.named_by(&Makers::new(), atom, label);
        }
        self.named_by(&self.makers(), atom, label)
    }

    /// The same, with what made each array.
    pub fn named_by(&self, makers: &Makers, atom: Atom, label: Span) -> Named {
        let ty = self.b.ty(atom);
        let plain = || crate::tree::type_text(&ty);
        if ty.is_scalar() {
            return Named { text: plain(), at: String::new(), axes: Vec::new() };
        }
        let found: Vec<Option<(Site, bool)>> =
            (0..ty.rank()).map(|k| self.axis_site(makers, atom, k, FARTHEST)).collect();
        let axes: Vec<Option<String>> =
            found.iter().map(|f| f.and_then(|(site, _)| self.size_name(site.span))).collect();
        let sizes: Vec<String> =
            axes.iter().zip(&ty.shape).map(|(name, n)| name.clone().unwrap_or(n.to_string())).collect();
        let named = found.iter().zip(&axes).find(|(_, name)| name.is_some()).and_then(|(f, _)| *f);
        let at = match named {
            Some((site, declared)) if self.script.map.line_name(site.span) != self.script.map.line_name(label) => {
                let how = if declared { "declared" } else { "made" };
                format!(", {how} at {}", self.script.map.line_name(site.span))
            }
            Some(_) | None => String::new(),
        };
        Named { text: format!("{}[{}]", ty.dtype.name(), sizes.join(", ")), at, axes }
    }

    /// [`Value::describe`], with the sizes of an array as they are named.
    pub fn describe(&self, v: &Value<'a>, label: Span) -> String {
        match v {
            Value::Leaf(a) => {
                let named = self.named(*a, label);
                named.text + &named.at
            }
            other => other.describe(&self.b),
        }
    }

    /// Labels for two arrays whose sizes disagree, and what the names in them stand for.
    pub fn named_pair(&self, l: (Atom, Span), r: (Atom, Span)) -> ([String; 2], Option<String>) {
        let (tl, tr) = (self.b.ty(l.0), self.b.ty(r.0));
        let (mut x, mut y) = (self.named(l.0, l.1), self.named(r.0, r.1));
        let mut values: Vec<(String, usize)> = Vec::new();
        let sizes = x.axes.iter().zip(&tl.shape).chain(y.axes.iter().zip(&tr.shape));
        // Of equal ranks, only where they differ.
        let same_rank = tl.rank() == tr.rank();
        let differs = |k: usize| !same_rank || tl.shape[k % tl.rank()] != tr.shape[k % tr.rank()];
        let sizes = sizes.enumerate().filter(|(k, _)| differs(*k)).map(|(_, size)| size);
        for (name, n) in sizes.filter_map(|(name, n)| Some((name.clone()?, *n))) {
            if !values.contains(&(name.clone(), n)) {
                values.push((name, n));
            }
        }
        // One name for two sizes tells nothing: then the sizes stand in the types.
        let clash = values.iter().enumerate().any(|(k, (name, _))| values[..k].iter().any(|(other, _)| other == name));
        if clash {
            (x.text, y.text) = (crate::tree::type_text(&tl), crate::tree::type_text(&tr));
            for (named, ty) in [(&mut x, &tl), (&mut y, &tr)] {
                let names =
                    named.axes.iter().zip(&ty.shape).filter_map(|(name, n)| Some(format!("{} = {n}", name.as_ref()?)));
                let names: Vec<String> = names.collect();
                if !names.is_empty() {
                    named.text += &format!(" with {}", listed_plain(&names));
                }
            }
            values.clear();
        }
        let note = values.iter().map(|(name, n)| format!("{name} = {n}")).collect::<Vec<_>>();
        let note = (!note.is_empty()).then(|| listed_plain(&note));
        ([x.text + &x.at, y.text + &y.at], note)
    }

    /// A size as it is written, if that says more than its value.
    fn size_name(&self, span: Span) -> Option<String> {
        let text = self.source_text(span)?;
        let tells = text.len() <= LONGEST && !text.contains('\n') && text.contains(|c: char| c.is_alphabetic());
        tells.then(|| text.to_string())
    }

    pub fn source_text(&self, span: Span) -> Option<&'a str> {
        self.script.map.file(span.file)?.text.get(span.start as usize..span.end as usize)
    }

    /// Whether the call of a note is still open.
    fn is_open(&self, depth: usize, call: Span) -> bool {
        depth == 0 || self.stack.get(depth - 1).is_some_and(|c| c.span == call)
    }

    /// Where the size of an axis was written.
    fn axis_site(&self, makers: &Makers, atom: Atom, axis: usize, steps: usize) -> Option<(Site, bool)> {
        let (Atom::Var(var), Some(steps)) = (atom, steps.checked_sub(1)) else { return None };
        let notes = self.origins.notes.get(&var).map_or(&[][..], |n| n);
        let open = notes.iter().rev().filter(|n| self.is_open(n.depth, n.call));
        let rest = notes.iter().filter(|n| !self.is_open(n.depth, n.call));
        for note in open.chain(rest) {
            match note.axes.get(axis) {
                Some(Origin::Written(w)) => {
                    let here = w.places.iter().find(|s| self.is_open(s.depth, s.call));
                    return here.or(w.places.last()).map(|s| (*s, w.declared));
                }
                Some(Origin::Axis(other, k)) => return self.axis_site(makers, *other, *k, steps),
                Some(Origin::Unknown) | None => {}
            }
        }
        if let Some(init) = self.origins.carries.get(&var) {
            return self.axis_site(makers, *init, axis, steps);
        }
        let (stmt, out) = makers.get(&var)?;
        let (atom, axis) = self.maker_axis(stmt, *out, axis)?;
        self.axis_site(makers, atom, axis, steps)
    }

    /// Of which axis of what an axis of a statement's result is the size.
    fn maker_axis(&self, stmt: &Stmt, out: usize, axis: usize) -> Option<(Atom, usize)> {
        let ty = self.b.vars.ty(stmt.outs[out]);
        match &stmt.op {
            Op::Prim(prim, args) => self.prim_axis(prim, args, ty, axis),
            Op::Form(form) => match &**form {
                Form::Map(map) => Some((*map.body.results.get(out)?, axis.checked_sub(1)?)),
                Form::Scan(scan) => match scan.carries.get(out) {
                    Some(carry) => Some((carry.init, axis)),
                    None => Some((*scan.body.results.get(out)?, axis.checked_sub(1)?)),
                },
                Form::While(w) => Some((w.carries.get(out)?.init, axis)),
                Form::Switch(s) => Some((*s.arms.first()?.results.get(out)?, axis)),
            },
            Op::Constant(_) | Op::Effect(_) => None,
        }
    }

    fn prim_axis(&self, prim: &Prim, args: &[Atom], ty: &Type, axis: usize) -> Option<(Atom, usize)> {
        let of_same_rank = || args.iter().find(|a| self.b.ty(**a).rank() == ty.rank()).map(|a| (*a, axis));
        match prim {
            Prim::Unary(_)
            | Prim::Binary(_)
            | Prim::Compare(_)
            | Prim::Select
            | Prim::MulAdd
            | Prim::Convert(_)
            | Prim::Bitcast(_)
            | Prim::StopGradient
            | Prim::Threefry
            | Prim::Reverse(_)
            | Prim::Cumulative { .. }
            | Prim::Sort { .. }
            | Prim::IndexSet(_)
            | Prim::IndexAdd(_) => of_same_rank(),
            Prim::Custom(_) | Prim::Iota(_) | Prim::Pad { .. } => None,
            Prim::Concat(joined) => {
                if axis == *joined {
                    None
                } else {
                    of_same_rank()
                }
            }
            Prim::Broadcast { axes, .. } => Some((args[0], axes.iter().position(|a| *a == axis)?)),
            Prim::Transpose(perm) => Some((args[0], *perm.get(axis)?)),
            Prim::Slice { .. } => (self.b.ty(args[0]).shape[axis] == ty.shape[axis]).then_some((args[0], axis)),
            Prim::Reshape(_) => {
                // An axis that has the same elements before it is the same axis.
                let old = self.b.ty(args[0]).shape;
                let before = |shape: &[usize], k: usize| shape[..k].iter().product::<usize>();
                let k =
                    (0..old.len()).find(|&k| old[k] == ty.shape[axis] && before(&old, k) == before(&ty.shape, axis))?;
                Some((args[0], k))
            }
            Prim::Index(None) => Some((args[0], axis + args.len() - 1)),
            Prim::Index(Some(_)) => Some((args[0], axis.checked_sub(1)? + args.len() - 1)),
            Prim::Reduce(reduce) => {
                let kept = (0..self.b.ty(args[0]).rank()).filter(|k| !reduce.axes.contains(k));
                Some((args[0], kept.into_iter().nth(axis)?))
            }
            Prim::ArgMax(gone) | Prim::ArgMin(gone) => Some((args[0], if axis < *gone { axis } else { axis + 1 })),
            Prim::Dot(dot) => {
                let free = |k: usize, batch: &[usize], contract: &[usize]| -> Vec<(Atom, usize)> {
                    let axes = 0..self.b.ty(args[k]).rank();
                    axes.filter(|a| !batch.contains(a) && !contract.contains(a)).map(|a| (args[k], a)).collect()
                };
                let mut axes: Vec<(Atom, usize)> = dot.lhs_batch.iter().map(|a| (args[0], *a)).collect();
                axes.extend(free(0, &dot.lhs_batch, &dot.lhs_contract));
                axes.extend(free(1, &dot.rhs_batch, &dot.rhs_contract));
                axes.get(axis).copied()
            }
        }
    }

    /// The statement that made each array so far.
    pub fn makers(&self) -> Makers<'_> {
        let mut makers = Makers::new();
        self.b.open_statements().for_each(|s| collect(s, &mut makers));
        makers
    }
}

/// What a loop goes over.
pub enum Over {
    Written(Span),
    Array(Atom),
    Unknown,
}

pub type Makers<'b> = HashMap<Var, (&'b Stmt, usize)>;

fn collect<'b>(stmt: &'b Stmt, makers: &mut Makers<'b>) {
    for (k, out) in stmt.outs.iter().enumerate() {
        makers.insert(*out, (stmt, k));
    }
    if let Op::Form(form) = &stmt.op {
        for body in form.bodies() {
            body.stmts.iter().for_each(|s| collect(s, makers));
        }
    }
}
