//! A key is used once: which key is which, and what was done with each.
//!
//! Every key has a [`Path`]: where it came into being, and how it was picked out of an array of keys from there. Two uses
//! clash where their paths overlap. A key from outside of a loop, used in the loop's body, is used in every round.

use std::collections::HashMap;
use std::rc::Rc;

use whorl_core::Atom;
use whorl_source::{Diagnostic, Span};

use crate::tracer::{Tracer, fail};
use crate::value::{R, Value};

#[derive(Clone)]
pub struct Key {
    /// The two words: `u32`, scalars, or arrays of the sizes of the arrays the key is in.
    pub data: [Atom; 2],
    pub path: Rc<Path>,
    /// How many loops were open where it came into being.
    pub loops: usize,
}

#[derive(PartialEq, Debug)]
pub struct Path {
    root: u32,
    picks: Vec<Pick>,
    /// The part of the next axis that is left after a slice.
    window: Option<(usize, usize)>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pick {
    /// One of the keys from here up to there: every one in turn, as `for` does.
    Among(usize, usize),
    At(usize),
    /// At a place known when the program runs.
    Computed(Atom),
}

impl Pick {
    fn overlaps(self, other: Pick) -> bool {
        match (self, other) {
            (Pick::Among(a, b), Pick::Among(c, d)) => a < d && c < b,
            (Pick::Among(a, b), Pick::At(i)) | (Pick::At(i), Pick::Among(a, b)) => (a..b).contains(&i),
            (Pick::At(i), Pick::At(j)) => i == j,
            (Pick::Computed(a), Pick::Computed(b)) => a == b,
            // Whether a computed place meets another is not known before the run; the benefit of the doubt.
            (Pick::Computed(_), Pick::Among(..) | Pick::At(_)) | (Pick::Among(..) | Pick::At(_), Pick::Computed(_)) => {
                false
            }
        }
    }
}

impl Path {
    /// Whether `other` is this key, or one of these keys.
    fn holds(&self, other: &Path) -> bool {
        self.picks.len() <= other.picks.len() && self.overlaps(other)
    }

    fn overlaps(&self, other: &Path) -> bool {
        self.root == other.root && self.picks.iter().zip(&other.picks).all(|(a, b)| a.overlaps(*b))
    }
}

/// One use of a key.
pub struct Use {
    path: Rc<Path>,
    by: &'static str,
    /// The calls that lead there, and the place itself.
    places: Vec<Span>,
}

/// What was done with keys so far, on the way that leads here.
#[derive(Default)]
pub struct Uses {
    roots: u32,
    used: Vec<Use>,
    /// The keys that arrays of keys were split from, by the root of the array.
    splits: HashMap<u32, [Atom; 2]>,
    /// What keys were called, oldest first.
    names: Vec<Named>,
}

/// A name that a key was bound to.
struct Named {
    path: Rc<Path>,
    name: Rc<str>,
    span: Span,
    /// The calls that were open.
    depth: usize,
}

impl<'a> Tracer<'a> {
    /// A key that came into being here.
    pub fn new_key(&mut self, data: [Atom; 2]) -> Key {
        self.keys.roots += 1;
        let path = Path { root: self.keys.roots, picks: Vec::new(), window: None };
        Key { data, path: Rc::new(path), loops: self.loops }
    }

    /// Remembers what `keys` were split from, so that one of them can be made without the others.
    pub fn note_split(&mut self, keys: &Key, from: [Atom; 2]) {
        self.keys.splits.insert(keys.path.root, from);
    }

    /// What the array of keys was split from, if it is as `split` made it.
    pub fn split_from(&self, keys: &Key) -> Option<[Atom; 2]> {
        let whole = keys.path.picks.is_empty() && keys.path.window.is_none();
        self.keys.splits.get(&keys.path.root).copied().filter(|_| whole)
    }

    /// Marks a key as used; an error if it was before. `what` is the function that uses it.
    pub fn use_key(&mut self, key: &Key, span: Span, what: &'static str) -> R<()> {
        if key.loops < self.loops {
            return fail(self.same_key_each_round(key, span, what));
        }
        let places: Vec<Span> = self.stack.iter().map(|c| c.span).chain([span]).collect();
        if let Some(first) = self.keys.used.iter().find(|u| u.path.overlaps(&key.path)) {
            return fail(self.used_twice(key, first, &places, what));
        }
        self.keys.used.push(Use { path: key.path.clone(), by: what, places });
        Ok(())
    }

    fn used_twice(&self, key: &Key, first: &Use, places: &[Span], what: &str) -> Diagnostic {
        // Where the two ways to the uses part is what the user can change.
        let parting = first.places.iter().zip(places).take_while(|(a, b)| a == b).count();
        let pick = |p: &[Span]| p.get(parting).or(p.last()).copied().unwrap_or(Span::NONE);
        let (again, before) = (pick(places), pick(&first.places));
        let last = |p: &[Span]| p.last().copied().unwrap_or(Span::NONE);
        let (again_in, before_in) = (last(places), last(&first.places));
        // Behind a call, the function that uses the key stands elsewhere.
        let by = |place: Span, inside: Span, how: &str, by: &str| {
            let direct = place == inside || by.contains(' ');
            if direct { how.to_string() } else { format!("{how}: by `{by}`, {}", self.script.map.line_name(inside)) }
        };
        let (name, whole) = self.key_name(&key.path, parting);
        let message = match (&name, whole) {
            (Some(name), true) => format!("the key `{name}` is used twice"),
            (Some(name), false) => format!("a key of `{name}` is used twice"),
            (None, _) => "a key is used twice".to_string(),
        };
        let split_before = first.by == "split" && first.places.len() == parting + 1;
        let e = Diagnostic::error("E0301", message);
        let e = if split_before {
            e.at(again, by(again, again_in, "used again here", what))
                .at(before, "split here: what it gave is used from here on")
        } else {
            let e = e.at(again, by(again, again_in, "again here", what));
            e.at(before, by(before, before_in, "first used here", first.by))
        };
        let name = name.filter(|_| whole).or_else(|| self.first_argument(before)).unwrap_or("key".into());
        match (split_before, self.halves(before)) {
            (true, Some(halves)) => e.help(format!("use {halves} here; split into more keys if they are used already")),
            _ => e.help(format!("let (k1, k2) = split({name}), and use each once")),
        }
    }

    /// `s.key` of `normal(s.key, 3)`.
    fn first_argument(&self, call: Span) -> Option<Rc<str>> {
        let (_, rest) = self.source_text(call)?.split_once('(')?;
        let name = rest.split([',', ')']).next()?.trim();
        let path = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']'));
        path.then(|| name.into())
    }

    fn same_key_each_round(&self, key: &Key, span: Span, what: &str) -> Diagnostic {
        let (name, whole) = self.key_name(&key.path, self.stack.len());
        let name = name.filter(|_| whole);
        let told = name.as_ref().map_or("a key".to_string(), |n| format!("the key `{n}`"));
        let message = format!("{told} from outside of a loop is used in every round of it");
        let e = Diagnostic::error("E0301", message);
        let label = if what.contains(' ') {
            "the same key each time".to_string()
        } else {
            format!("`{what}` gets the same key each time")
        };
        let name = name.unwrap_or("key".into());
        e.at(span, label).help(format!(
            "go over keys: `for k in split({name}, n) {{ … }}`, beside other arrays `for (x, k) in zip(xs, split({name}, len(xs))) {{ … }}`,\n\
             or make one of the number of the round: `fold_in({name}, i)`"
        ))
    }

    /// Remembers what a key is called.
    pub fn name_key(&mut self, v: &Value<'a>, name: &str, span: Span) {
        let key = match v {
            Value::Key(k) => k,
            Value::Array { elem, .. } => match &**elem {
                Value::Key(k) => k,
                _ => return,
            },
            _ => return,
        };
        let (path, depth) = (key.path.clone(), self.stack.len());
        self.keys.names.push(Named { path, name: name.into(), span, depth });
    }

    /// What the user calls a key among so many open calls, and whether that is the key itself or an array that it is in.
    fn key_name(&self, path: &Path, depth: usize) -> (Option<Rc<str>>, bool) {
        let named = self.keys.names.iter().rev().filter(|n| n.depth == depth && n.path.holds(path));
        match named.max_by_key(|n| n.path.picks.len()) {
            Some(n) => (Some(n.name.clone()), n.path.picks.len() == path.picks.len()),
            None => (None, false),
        }
    }

    /// The names that a `let` gives to what was split at a place: "`k1` or `k2`".
    fn halves(&self, split: Span) -> Option<String> {
        let line = self.script.map.line_name(split);
        let halves =
            self.keys.names.iter().filter(|n| self.script.map.line_name(n.span) == line && n.span.start < split.start);
        let mut names: Vec<String> = Vec::new();
        for n in halves {
            let name = format!("`{}`", n.name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        (!names.is_empty()).then(|| names.join(" or "))
    }

    /// Keys that go into a loop or out of a body are used by that, and new ones come out on the other side.
    pub fn use_keys_in(&mut self, value: &Value<'a>, span: Span, what: &'static str) -> R<()> {
        match value {
            Value::Key(k) => self.use_key(k, span, what),
            Value::Tuple(items) => items.iter().try_for_each(|v| self.use_keys_in(v, span, what)),
            Value::Record(r) => r.fields.iter().try_for_each(|(_, v)| self.use_keys_in(v, span, what)),
            Value::Array { elem, .. } => self.use_keys_in(elem, span, what),
            Value::Leaf(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Unit
            | Value::Function(_)
            | Value::Module(_)
            | Value::Range(..) => Ok(()),
        }
    }

    /// The same value with keys that came into being here.
    pub fn renew_keys(&mut self, value: &Value<'a>) -> Value<'a> {
        value.map_keys(&mut |k| self.new_key(k.data))
    }

    /// Where the record of uses stands, to come back to for the other arm of a branch.
    pub fn key_mark(&self) -> usize {
        self.keys.used.len()
    }

    /// Takes back, and returns, what was used since the mark.
    pub fn take_key_uses(&mut self, mark: usize) -> Vec<Use> {
        self.keys.used.split_off(mark)
    }

    pub fn give_key_uses(&mut self, uses: Vec<Use>) {
        self.keys.used.extend(uses);
    }
}

impl Key {
    /// The key, or array of keys, at a place of the first axis, of `n`; `data` is what stands there.
    pub fn picked(&self, pick: Pick, n: usize, data: [Atom; 2], loops: usize) -> Key {
        let (from, to) = self.path.window.unwrap_or((0, n));
        let (pick, loops) = match pick {
            Pick::Among(..) => (Pick::Among(from, to), loops),
            Pick::At(i) => (Pick::At(from + i), self.loops),
            Pick::Computed(a) => (Pick::Computed(a), loops),
        };
        let mut picks = self.path.picks.clone();
        picks.push(pick);
        Key { data, path: Rc::new(Path { root: self.path.root, picks, window: None }), loops }
    }

    /// The keys from `start` up to `end` of the first axis.
    pub fn sliced(&self, start: usize, end: usize, data: [Atom; 2]) -> Key {
        let from = self.path.window.map_or(0, |w| w.0);
        let window = Some((from + start, from + end));
        let path = Path { root: self.path.root, picks: self.path.picks.clone(), window };
        Key { data, path: Rc::new(path), loops: self.loops }
    }
}
