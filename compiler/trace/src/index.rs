//! `xs[i]`, `xs[a..b]`, `xs[i, j]`, `xs[indices]`, and `xs with [i] = v`.

use smallvec::SmallVec;
use whorl_core::{Atom, DType, Lit, Prim, Shape};
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::IndexArg;

use crate::keys::{Key, Pick};
use crate::tracer::{Tracer, fail};
use crate::tree::join;
use crate::value::{Arg, Env, R, Value};

/// What is taken of one axis.
#[derive(Clone, Copy)]
enum Place {
    All,
    /// One element, whose axis goes away; its number, if it is known while tracing.
    At(Atom, Option<usize>),
    Slice {
        start: usize,
        len: usize,
    },
    /// As `Slice`, from a start known when the program runs.
    Window {
        start: Atom,
        len: usize,
    },
    /// The elements that an array of numbers names; its axes take the place of this one.
    Gather(Atom),
}

impl<'a> Tracer<'a> {
    pub fn index(&mut self, v: &Value<'a>, of: Span, at: &'a [IndexArg], env: &Env<'a>, span: Span) -> R<Value<'a>> {
        let v = match v {
            Value::List(items) => {
                let v = self.settle(v, of)?;
                let places = self.places(&v, of, at, env)?;
                match places[..] {
                    [Place::At(_, Some(i))] => return Ok(items[i].clone()),
                    [Place::Slice { start, len }] => return Ok(Value::List(items[start..start + len].into())),
                    _ => return self.take_value(&v, &places, span),
                }
            }
            Value::Range(..) => self.settle(v, of)?,
            other => self.arrayed(other, at.len(), of)?,
        };
        let places = self.places(&v, of, at, env)?;
        self.take_value(&v, &places, span)
    }

    /// The elements of an array that an array of places names.
    pub fn take_places(&mut self, v: &Value<'a>, places: Atom, span: Span) -> R<Value<'a>> {
        self.take_value(v, &[Place::Gather(places)], span)
    }

    fn take_value(&mut self, v: &Value<'a>, places: &[Place], span: Span) -> R<Value<'a>> {
        let (sizes, inner) = v.outer(&self.b);
        let taken = inner.map_leaves(&mut |x| self.take(x, places, span))?;
        let left = self.sizes_left(&sizes, places);
        let loops = self.loops;
        let taken = match v {
            Value::Array { .. } => {
                let mut broken = false;
                let picked = taken.map_keys(&mut |k| {
                    let (key, clear) = picked_key(k, places, &sizes, loops);
                    broken |= !clear;
                    key
                });
                if broken { self.renew_keys(&picked) } else { picked }
            }
            _ => taken,
        };
        Ok(Value::within(&left, taken))
    }

    fn sizes_left(&self, sizes: &[usize], places: &[Place]) -> Vec<usize> {
        let mut left = Vec::new();
        for (k, &n) in sizes.iter().enumerate() {
            match places.get(k) {
                None | Some(Place::All) => left.push(n),
                Some(Place::At(..)) => {}
                Some(Place::Slice { len, .. } | Place::Window { len, .. }) => left.push(*len),
                Some(Place::Gather(i)) => left.extend_from_slice(&self.b.ty(*i).shape),
            }
        }
        left
    }

    fn places(&mut self, v: &Value<'a>, of: Span, at: &'a [IndexArg], env: &Env<'a>) -> R<Vec<Place>> {
        let (sizes, _) = v.outer(&self.b);
        if at.len() > sizes.len() {
            let what = v.describe(&self.b);
            let message = match sizes.len() {
                0 => format!("{} has no elements to index", self.text(of)),
                n => {
                    format!("{} indices into {what}, which has {n} {}", at.len(), if n == 1 { "axis" } else { "axes" })
                }
            };
            let e = Diagnostic::error("E0103", message).at(of, format!("this is {what}"));
            return fail(match v {
                Value::Tuple(_) => e.help("the parts of a tuple are `.0`, `.1`, …"),
                Value::Record(r) => match r.fields.first() {
                    Some((field, _)) => e.help(format!("the fields of a record are `.{field}`, …")),
                    None => e,
                },
                _ => e,
            });
        }
        at.iter().zip(&sizes).map(|(arg, &n)| self.place_of(arg, n, env)).collect()
    }

    fn place_of(&mut self, arg: &'a IndexArg, n: usize, env: &Env<'a>) -> R<Place> {
        match arg {
            IndexArg::At(e) => match self.expr(e, env)? {
                Value::Int(i) if i >= 0 && (i as usize) < n => {
                    Ok(Place::At(Lit::i32(i as i32).into(), Some(i as usize)))
                }
                Value::Int(i) => {
                    let e = Diagnostic::error("E0103", format!("there is no element {i}"));
                    let e = e.at(e_span(arg), format!("the axis has {n} elements, from 0 to {}", n.saturating_sub(1)));
                    fail(if i < 0 {
                        e.help(format!("the last element is `xs[len(xs) - 1]`, which is {} here", n.saturating_sub(1)))
                    } else {
                        e
                    })
                }
                Value::Range(from, to) if from >= 0 && to as usize <= n => {
                    Ok(Place::Slice { start: from as usize, len: (to - from) as usize })
                }
                v => {
                    let a = self.atom(&v, None, e.span)?;
                    let ty = self.b.ty(a);
                    if ty.dtype != DType::I32 {
                        let e = Diagnostic::error("E0206", "an index is an i32");
                        let d = e.at(e_span(arg), format!("this is {}", v.describe(&self.b)));
                        return fail(match ty.dtype {
                            DType::Bool => d.help(
                                "how many elements a condition leaves is not known before the program runs: `where(c, xs, 0.0)` keeps the length",
                            ),
                            _ => d.help(format!("`i32({})`", self.text(e_span(arg)).trim_matches('`'))),
                        });
                    }
                    if n > 0 {
                        self.check_index(a, n, e.span);
                    }
                    Ok(if ty.is_scalar() { Place::At(a, None) } else { Place::Gather(a) })
                }
            },
            IndexArg::Slice { start, end, span } => {
                let s = start.as_ref().map(|e| self.expr(e, env)).transpose()?;
                if let (Some(s @ Value::Leaf(_)), Some(start), Some(end)) = (&s, start, end) {
                    let a = self.atom(s, Some(DType::I32), start.span)?;
                    if self.b.ty(a) != whorl_core::Type::scalar(DType::I32) {
                        let e = Diagnostic::error("E0206", "a slice begins at an i32");
                        return fail(e.at(start.span, format!("this is {}", s.describe(&self.b))));
                    }
                    return match self.distance(start, end, env)? {
                        Some(len) if (0..=n as i64).contains(&len) => {
                            self.check_window(a, len as usize, n, *span);
                            Ok(Place::Window { start: a, len: len as usize })
                        }
                        Some(len) => {
                            let e = Diagnostic::error("E0103", format!("a slice of {len} elements"));
                            fail(e.at(*span, format!("the axis has {n}")))
                        }
                        None => fail(self.unknown_length(*span, start.span, s)),
                    };
                }
                let start_at = match (&s, start) {
                    (Some(s), Some(e)) => self.size(s, e.span)?,
                    _ => 0,
                };
                let end_at = match end {
                    Some(e) => {
                        let v = self.expr(e, env)?;
                        if let Value::Leaf(a) = v
                            && self.b.ty(a).dtype.is_int()
                        {
                            return fail(self.unknown_length(*span, e.span, &v));
                        }
                        self.size(&v, e.span)?
                    }
                    None => n,
                };
                if start_at > end_at || end_at > n {
                    let e = Diagnostic::error("E0103", format!("the slice {start_at}..{end_at} is out of range"));
                    return fail(e.at(*span, format!("the axis has {n} elements")));
                }
                Ok(if (start_at, end_at) == (0, n) {
                    Place::All
                } else {
                    Place::Slice { start: start_at, len: end_at - start_at }
                })
            }
        }
    }

    /// A slice whose length depends on what is known when the program runs.
    fn unknown_length(&self, slice: Span, at: Span, v: &Value<'a>) -> Diagnostic {
        let e = Diagnostic::error("E0105", "the length of a slice must be known before the program runs");
        let e = e.at(at, format!("this is {}, known when it runs", v.describe(&self.b)));
        let text = self.text(at).trim_matches('`').to_string();
        let text = if slice == at || text.contains(' ') { "i".to_string() } else { text };
        e.help(format!(
            "a window of known length may start anywhere: `xs[{text}..{text} + 4]`\n\
             where elements are to count or not: `where(arange(len(xs)) < {text}, xs, 0.0)`"
        ))
    }

    fn take(&mut self, x: Atom, places: &[Place], span: Span) -> R<Atom> {
        let leading = places.iter().take_while(|p| matches!(p, Place::At(..))).count();
        let mut operands = vec![x];
        operands.extend(places[..leading].iter().filter_map(|p| if let Place::At(i, _) = p { Some(*i) } else { None }));
        let (mut x, mut axis, mut rest) = (x, 0, &places[leading..]);
        if let [Place::Window { start, len }, after @ ..] = rest {
            operands.push(*start);
            x = self.prim(Prim::Index(Some(*len)), &operands, span)?;
            (axis, rest) = (1, after);
        } else if leading > 0 {
            x = self.prim(Prim::Index(None), &operands, span)?;
        }
        for place in rest {
            match *place {
                Place::All => axis += 1,
                Place::Slice { start, len } => {
                    x = self.slice_axis(x, axis, start, len, span)?;
                    axis += 1;
                }
                Place::At(_, Some(i)) => {
                    let row = self.slice_axis(x, axis, i, 1, span)?;
                    let mut shape = self.b.ty(row).shape;
                    shape.remove(axis);
                    x = self.prim(Prim::Reshape(shape), &[row], span)?;
                }
                Place::At(i, None) => {
                    let front = self.move_axis(x, axis, 0, span)?;
                    x = self.prim(Prim::Index(None), &[front, i], span)?;
                }
                Place::Window { start, len } => {
                    let front = self.move_axis(x, axis, 0, span)?;
                    let window = self.prim(Prim::Index(Some(len)), &[front, start], span)?;
                    x = self.move_axis(window, 0, axis, span)?;
                    axis += 1;
                }
                Place::Gather(i) => {
                    x = self.move_axis(x, axis, 0, span)?;
                    x = self.gather(x, i, span)?;
                    let rank = self.b.ty(i).rank();
                    // The axes of the numbers, front to back, each to its place behind the axes kept so far.
                    for _ in 0..if axis == 0 { 0 } else { rank } {
                        x = self.move_axis(x, 0, axis + rank - 1, span)?;
                    }
                    axis += rank;
                }
            }
        }
        Ok(x)
    }

    pub fn slice_axis(&mut self, x: Atom, axis: usize, start: usize, len: usize, span: Span) -> R<Atom> {
        let mut shape = self.b.ty(x).shape;
        if axis >= shape.len() {
            return fail(Diagnostic::error("E0107", format!("there is no axis {axis}")).at(span, ""));
        }
        let mut starts: Shape = SmallVec::from_elem(0, shape.len());
        let strides: Shape = SmallVec::from_elem(1, shape.len());
        (starts[axis], shape[axis]) = (start, len);
        self.prim(Prim::Slice { starts, shape, strides }, &[x], span)
    }

    /// The axis `from` at the place `to`; the others keep their order.
    pub fn move_axis(&mut self, x: Atom, from: usize, to: usize, span: Span) -> R<Atom> {
        if from == to {
            return Ok(x);
        }
        let mut perm: SmallVec<[usize; 4]> = (0..self.b.ty(x).rank()).filter(|&k| k != from).collect();
        perm.insert(to.min(perm.len()), from);
        self.prim(Prim::Transpose(perm), &[x], span)
    }

    /// The rows of `x` that `indices` names.
    pub fn gather(&mut self, x: Atom, indices: Atom, span: Span) -> R<Atom> {
        let ty = self.b.ty(indices);
        if self.b.ty(x).shape.first() == Some(&0) {
            return fail(Diagnostic::error("E0103", "an index into an array of no elements").at(span, ""));
        }
        Ok(gathered(&mut self.b, x, indices, ty.rank()))
    }

    /// `xs with [i] = v`: leading axes at one place each, then perhaps a slice.
    pub fn with_index(
        &mut self,
        of: &Arg<'a>,
        at: &'a [IndexArg],
        value: &Arg<'a>,
        env: &Env<'a>,
        span: Span,
    ) -> R<Value<'a>> {
        let v = self.settle(&of.value, of.span)?.arrayed(&self.b, at.len());
        let places = self.places(&v, of.span, at, env)?;
        let keep = places.iter().rposition(|p| !matches!(p, Place::All)).map_or(0, |k| k + 1);
        let places = &places[..keep];
        let (mut indices, mut window) = (Vec::new(), None);
        for (k, place) in places.iter().enumerate() {
            let last = k + 1 == places.len();
            match *place {
                Place::At(i, _) => indices.push(i),
                Place::Slice { start, len } if last => {
                    indices.push(Lit::i32(start as i32).into());
                    window = Some(len);
                }
                Place::Window { start, len } if last => {
                    indices.push(start);
                    window = Some(len);
                }
                Place::All | Place::Slice { .. } | Place::Window { .. } | Place::Gather(_) => {
                    let e = Diagnostic::error("E0103", "this place cannot be set").at(e_span(&at[k]), "");
                    return fail(e.help(
                        "set one element, or a slice of the last axis named; several places are set in a `scan`",
                    ));
                }
            }
        }
        // What stands there now has the type of what may come there; reading it is not part of the program.
        self.b.begin();
        let there = self.take_value(&v, places, span);
        self.b.end(Vec::new());
        let there = there?;
        let new = self.fill(&there, value)?;
        let new = match join(&self.b, &there, &new) {
            Ok((_, new)) => new,
            Err(m) => {
                let e = Diagnostic::error("E0201", "what is put into an array has another type than its place");
                let ([there, new], note) = self.mismatch(&m, of.span, value.span);
                let mut e = e.at(value.span, format!("{} is {new}", m.place()));
                e.notes.extend(note);
                return fail(e.at(of.span, format!("{} is {there} there", m.place())));
            }
        };
        self.use_keys_in(&new, value.span, "with")?;
        self.use_keys_in(&v, of.span, "with")?;
        if indices.is_empty() {
            return Ok(new);
        }
        let mut leaves = new.leaves().into_iter();
        let set = v.map_leaves(&mut |x| {
            let mut operands = vec![x, leaves.next().unwrap_or(x)];
            operands.extend(&indices);
            self.prim(Prim::IndexSet(window), &operands, span)
        })?;
        Ok(self.renew_keys(&set))
    }

    /// A number that is to fill a slice, repeated to its size.
    fn fill(&mut self, there: &Value<'a>, value: &Arg<'a>) -> R<Value<'a>> {
        let Value::Leaf(place) = there else { return self.settle_lists(&value.value, value.span) };
        let ty = self.b.ty(*place);
        let number = value.value.is_static_number() || matches!(value.value, Value::List(_) | Value::Range(..));
        let new = if number {
            Value::Leaf(self.atom(&value.value, Some(ty.dtype), value.span)?)
        } else {
            value.value.clone()
        };
        match new {
            Value::Leaf(a) if self.b.ty(a).is_scalar() && self.b.ty(a).dtype == ty.dtype => {
                Ok(Value::Leaf(self.b.broadcast(a, &ty.shape)))
            }
            other => Ok(other),
        }
    }
}

pub fn gathered(b: &mut whorl_core::Builder, x: Atom, indices: Atom, rank: usize) -> Atom {
    let (of, at) = (b.ty(x), b.ty(indices));
    if at.size() == 0 {
        let shape = at.shape.iter().chain(&of.shape[1..]).copied().collect();
        return b.zeros(&whorl_core::Type { dtype: of.dtype, shape });
    }
    if rank == 0 {
        return b.prim1(Prim::Index(None), &[x, indices]);
    }
    let n = b.ty(indices).shape[0];
    b.map(n, |b, i| {
        let inner = b.prim1(Prim::Index(None), &[indices, i]);
        vec![gathered(b, x, inner, rank - 1)]
    })[0]
}

/// Which key stands at these places; `false` where that cannot be told, and it counts as a new one.
fn picked_key(k: &Key, places: &[Place], sizes: &[usize], loops: usize) -> (Key, bool) {
    let mut key = k.clone();
    for (at, (place, &n)) in places.iter().zip(sizes).enumerate() {
        let last = at + 1 == places.len();
        key = match *place {
            Place::At(_, Some(i)) => key.picked(Pick::At(i), n, k.data, loops),
            Place::At(a, None) => key.picked(Pick::Computed(a), n, k.data, loops),
            Place::Slice { start, len } if last => key.sliced(start, start + len, k.data),
            Place::All if places[at..].iter().all(|p| matches!(p, Place::All)) => return (key, true),
            Place::All | Place::Slice { .. } | Place::Window { .. } | Place::Gather(_) => return (key, false),
        };
    }
    (key, true)
}

fn e_span(arg: &IndexArg) -> Span {
    match arg {
        IndexArg::At(e) => e.span,
        IndexArg::Slice { span, .. } => *span,
    }
}
