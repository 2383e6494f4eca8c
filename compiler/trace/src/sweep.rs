//! A sweep: a script at every combination of some values of its params and sizes, in as few programs as there can be.
//!
//! What differs from point to point is an input of the program if it is a param, whatever it was that is swept: a default may
//! be made of other params. Sizes, and what sizes are made of, shape the program: there is one for each of their combinations.

use std::collections::{BTreeMap, HashSet};

use whorl_core::Lit;
use whorl_source::Diagnostic;
use whorl_syntax::ast::ItemKind;

use crate::params::{Number, Settings, read};
use crate::script::{ItemId, Script};
use crate::tracer::Tracer;
use crate::tree::static_lit;

/// The points of a sweep that one program can run.
#[derive(Clone, PartialEq, Debug)]
pub struct SweptProgram {
    /// The values swept that are the same at all of its points and that make it another than the other programs: the place among
    /// those swept, and the place of the value.
    pub fixed: Vec<(usize, usize)>,
    pub points: Vec<SweptPoint>,
    /// The params that are its inputs.
    inputs: Vec<ItemId>,
    /// What its first point sets; the inputs have values there, too.
    settings: Settings,
}

/// A point of a sweep.
#[derive(Clone, PartialEq, Debug)]
pub struct SweptPoint {
    /// The place of the value of each of those swept.
    pub at: Vec<usize>,
    /// What the program's inputs are, in the order of its parameters behind `main`'s own.
    pub inputs: Vec<Lit>,
}

/// What there is of a param or size at a point, as far as programs may differ by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Bits {
    dtype: &'static str,
    bits: u64,
}

/// The values of all params and sizes at a point.
struct Evaluated {
    at: Vec<usize>,
    settings: Settings,
    values: Vec<(Lit, Bits)>,
}

impl Script {
    /// The programs of a sweep over values of params and sizes, given as text; of several, all combinations, of which the last one
    /// goes fastest. All values are checked as `--set` checks them.
    pub fn sweep(
        &mut self,
        settings: &[(String, String)],
        swept: &[(String, Vec<String>)],
    ) -> Result<Vec<SweptProgram>, Vec<Diagnostic>> {
        let base = Settings::resolve(self, settings)?;
        let axes = self.axes(&base, swept)?;
        let before = std::mem::replace(&mut self.settings, base.clone());
        let points = self.evaluate(&base, &axes);
        self.settings = before;
        let points = points?;
        let items: Vec<(ItemId, bool)> =
            self.param_items().iter().map(|(id, _)| (*id, matches!(self.item(*id).kind, ItemKind::Size(_)))).collect();
        Ok(programs(&axes, &items, points))
    }

    /// What [`Script::trace_main`] gives from now on is this program.
    pub fn set_program(&mut self, program: &SweptProgram) {
        self.settings = program.settings.with_inputs(&program.inputs);
    }

    /// The short name of a param or size.
    pub fn knob_name(&self, name: &str) -> Option<String> {
        let (id, p) = self.find_knob(name).ok()?;
        Some(self.knob_names(id, p).swap_remove(0))
    }

    fn axes(
        &self,
        base: &Settings,
        swept: &[(String, Vec<String>)],
    ) -> Result<Vec<(ItemId, Vec<Number>)>, Vec<Diagnostic>> {
        let (mut axes, mut errors): (Vec<(ItemId, Vec<Number>)>, Vec<Diagnostic>) = (Vec::new(), Vec::new());
        for (name, texts) in swept {
            let (id, param) = match self.find_knob(name) {
                Ok(found) => found,
                Err(e) => {
                    errors.push(Diagnostic { message: e.message.replace(" to set", " to sweep"), ..*e });
                    continue;
                }
            };
            let clash = |what: String, help: &str| {
                Diagnostic::error("E0411", what).at(param.name.span, "declared here").help(help.to_string())
            };
            if base.is_set(id) {
                errors.push(clash(
                    format!("`{name}` is set and swept"),
                    "one or the other: which of the values is meant?",
                ));
            }
            if axes.iter().any(|(known, _)| *known == id) {
                errors.push(clash(format!("`{name}` is swept twice"), "one list with all the values"));
            }
            let mut numbers = Vec::new();
            for text in texts {
                match read(name, text, param) {
                    Ok(number) => numbers.push(number),
                    Err(e) => errors.push(*e),
                }
            }
            axes.push((id, numbers));
        }
        if errors.is_empty() { Ok(axes) } else { Err(errors) }
    }

    /// Every point, checked and with the values of all params.
    fn evaluate(&mut self, base: &Settings, axes: &[(ItemId, Vec<Number>)]) -> Result<Vec<Evaluated>, Vec<Diagnostic>> {
        let (mut points, mut errors): (Vec<Evaluated>, Vec<Diagnostic>) = (Vec::new(), Vec::new());
        for at in places(&axes.iter().map(|(_, numbers)| numbers.len()).collect::<Vec<_>>()) {
            self.settings = base.with(axes.iter().zip(&at).map(|((id, numbers), &k)| (*id, numbers[k])));
            match self.check_params().and_then(|()| self.values()) {
                Ok(values) => points.push(Evaluated { at, settings: self.settings.clone(), values }),
                // What is wrong with one value is so at every point that has it.
                Err(new) => {
                    for e in new {
                        if !errors.iter().any(|known| known.message == e.message && known.labels == e.labels) {
                            errors.push(e);
                        }
                    }
                }
            }
        }
        if errors.is_empty() { Ok(points) } else { Err(errors) }
    }

    fn values(&self) -> Result<Vec<(Lit, Bits)>, Vec<Diagnostic>> {
        let mut tracer = Tracer::new(self);
        tracer.b.begin();
        let mut values = Vec::new();
        for (id, p) in self.param_items() {
            let (value, dtype) = tracer.typed_value(id).map_err(|e| vec![*e])?;
            let lit = static_lit(&value, dtype).map_err(|why| {
                vec![
                    Diagnostic::error("E0406", format!("the value of `{}` does not fit its type", p.name.text))
                        .at(p.name.span, why),
                ]
            })?;
            values.push((lit, Bits { dtype: dtype.name(), bits: lit.bits }));
        }
        Ok(values)
    }
}

/// All combinations of so many places; the last goes fastest.
fn places(sizes: &[usize]) -> Vec<Vec<usize>> {
    sizes.iter().fold(vec![Vec::new()], |all, &n| {
        let longer = |at: &Vec<usize>| (0..n).map(|k| at.iter().copied().chain([k]).collect()).collect::<Vec<_>>();
        all.iter().flat_map(longer).collect()
    })
}

/// The points by the values that shape a program.
fn programs(axes: &[(ItemId, Vec<Number>)], items: &[(ItemId, bool)], points: Vec<Evaluated>) -> Vec<SweptProgram> {
    // A param that is a whole number here and one with a point there has no type as an input.
    let changes_type = |k: usize| points.windows(2).any(|w| w[0].values[k].1.dtype != w[1].values[k].1.dtype);
    let shapes: Vec<usize> = (0..items.len()).filter(|&k| items[k].1 || changes_type(k)).collect();
    let shape = |p: &Evaluated| -> Vec<Bits> { shapes.iter().map(|&k| p.values[k].1).collect() };
    let fixed: Vec<usize> = (0..axes.len()).filter(|&axis| decides(&points, axis, &shape)).collect();
    let mut groups: BTreeMap<Vec<usize>, Vec<Evaluated>> = BTreeMap::new();
    for point in points {
        groups.entry(fixed.iter().map(|&axis| point.at[axis]).collect()).or_default().push(point);
    }
    let program = |(places, points): (Vec<usize>, Vec<Evaluated>)| {
        let differs = |k: &usize| points.iter().any(|p| p.values[*k].1 != points[0].values[*k].1);
        let inputs: Vec<usize> = (0..items.len()).filter(differs).collect();
        let point =
            |p: &Evaluated| SweptPoint { at: p.at.clone(), inputs: inputs.iter().map(|&k| p.values[k].0).collect() };
        SweptProgram {
            fixed: fixed.iter().copied().zip(places).collect(),
            points: points.iter().map(point).collect(),
            inputs: inputs.iter().map(|&k| items[k].0).collect(),
            settings: points[0].settings.clone(),
        }
    };
    groups.into_iter().map(program).collect()
}

/// Whether two points that differ along this axis alone are of programs of different shapes.
fn decides(points: &[Evaluated], axis: usize, shape: &impl Fn(&Evaluated) -> Vec<Bits>) -> bool {
    let mut seen: BTreeMap<Vec<usize>, HashSet<Vec<Bits>>> = BTreeMap::new();
    points.iter().any(|p| {
        let mut others = p.at.clone();
        others.remove(axis);
        let shapes = seen.entry(others).or_default();
        shapes.insert(shape(p));
        shapes.len() > 1
    })
}
