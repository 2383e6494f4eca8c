//! Well-typed programs from a seed, for tests of what must hold of every program: passes and backends agree with the
//! interpreter, derivatives with finite differences.
//!
//! Programs are mostly of floats and nest all forms. They are *tame*: values stay finite and moderate, loops end, nothing depends
//! on rounding by a large factor. With [`Config::smooth`] what depends on a float does so smoothly, so that derivatives exist.
//! With [`Config::wild`] they are anything but tame: all primitives on all element types, axes without elements, and values at
//! which arithmetic breaks.
//!
//! A program follows from choices: those of a seed, or a list of them ([`program_of`]).

mod checks;
mod fill;
mod forms;
mod random;
mod values;
mod wild;
mod wild_arrays;

use random::Random;

use crate::builder::Builder;
use crate::ir::*;

/// What programs to make.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The type of all floats.
    pub float: DType,
    /// Statements in each body.
    pub statements: usize,
    /// How deep forms nest.
    pub depth: usize,
    /// The largest size of an axis.
    pub largest: usize,
    /// Only what has a derivative everywhere: no floor, no comparison of floats; sorts, extremes and branches on floats stay out.
    pub smooth: bool,
    /// `while` loops without a bound, too, and logs; else all loops can be differentiated in reverse.
    pub unbounded: bool,
    /// Some floats are rounded to 16 bits on their way; not if all is to be smooth.
    pub halves: bool,
    /// Checks, some of which fail.
    pub checks: bool,
    /// Any primitive of any element type on whatever values.
    pub wild: Option<Wild>,
}

/// What wild programs are made of.
#[derive(Clone, PartialEq, Debug)]
pub struct Wild {
    /// Sums of floats that passes may regroup: sums over axes, and accumulators. Without them every pass keeps every bit, but for the
    /// sign of zeros.
    pub float_sums: bool,
    /// A loop at the top may be one that the host paces.
    pub train: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            float: DType::F32,
            statements: 6,
            depth: 2,
            largest: 5,
            smooth: false,
            unbounded: false,
            halves: true,
            checks: false,
            wild: None,
        }
    }
}

impl Config {
    pub fn wild(float_sums: bool) -> Config {
        let wild = Some(Wild { float_sums, train: false });
        Config { wild, unbounded: true, largest: 4, ..Config::default() }
    }
}

/// The program of this seed: the same for the same configuration. Its parameters are float scalars and arrays, among
/// others; its results, all float. Those of wild programs are of any type.
pub fn program(seed: u64, config: &Config) -> Program {
    generated(Random::new(seed), config)
}

/// The program that follows from these choices, and its arguments.
pub fn program_of(choices: &[u32], config: &Config) -> (Program, Vec<ArrayData>) {
    // Every fourth is one of an argument, so that both have some, however few there are.
    let (of_arguments, of_program): (Vec<_>, Vec<_>) = choices.iter().enumerate().partition(|(k, _)| k % 4 == 3);
    let only = |part: Vec<(usize, &u32)>| part.into_iter().map(|(_, c)| *c).collect::<Vec<u32>>();
    let p = generated(Random::given(&only(of_program)), config);
    let args = wild_values(&mut Random::given(&only(of_arguments)), &p);
    (p, args)
}

fn generated(random: Random, config: &Config) -> Program {
    let (scope, palette) = (Vec::new(), Palette::default());
    let mut g = Generator { b: Builder::default(), random, config, scope, depth: 0, palette };
    if config.wild.is_some() {
        return g.wild_program();
    }
    let params: Vec<Var> = (0..2 + g.random.below(3)).map(|k| g.parameter(k)).collect();
    g.scope.extend(&params);
    g.b.begin();
    g.statements(config.statements);
    // What was made last uses most of what was made before.
    let mut results: Vec<Atom> =
        g.scope.iter().rev().filter(|v| g.b.vars.ty(**v).dtype == config.float).take(3).map(|v| (*v).into()).collect();
    let total = g.total();
    results.push(total);
    let body = g.b.end(results);
    Program { vars: g.b.vars, main: Function { params, body } }
}

/// Arguments of any value for a program.
pub fn wild_arguments(seed: u64, program: &Program) -> Vec<ArrayData> {
    wild_values(&mut Random::new(seed ^ 0x5A5A_5A5A), program)
}

fn wild_values(random: &mut Random, program: &Program) -> Vec<ArrayData> {
    let mut one = |ty: &Type| {
        let lits: Vec<Lit> = (0..ty.size()).map(|_| values::value(random, ty.dtype)).collect();
        ArrayData::from_lits(ty.dtype, &ty.shape, &lits)
    };
    program.main.params.iter().map(|v| one(program.vars.ty(*v))).collect()
}

/// Arguments for a program: moderate floats in (-1, 1), small integers.
pub fn arguments(seed: u64, program: &Program) -> Vec<ArrayData> {
    let mut random = Random::new(seed ^ 0xA5A5_A5A5);
    let mut one = |ty: &Type| {
        let lits: Vec<Lit> = (0..ty.size())
            .map(|_| match ty.dtype {
                DType::F32 | DType::F64 | DType::F16 | DType::BF16 => Lit::of(ty.dtype, random.float()),
                DType::I32 | DType::U32 | DType::U8 | DType::Bool => Lit::of(ty.dtype, random.below(2) as f64),
            })
            .collect();
        ArrayData::from_lits(ty.dtype, &ty.shape, &lits)
    };
    program.main.params.iter().map(|v| one(program.vars.ty(*v))).collect()
}

struct Generator<'a> {
    b: Builder,
    random: Random,
    config: &'a Config,
    /// What may be used here, oldest first. Accumulators are not among it.
    scope: Vec<Var>,
    depth: usize,
    palette: Palette,
}

/// The element types and sizes that a wild program mostly has: of few, so that what was made fits what comes.
#[derive(Default)]
struct Palette {
    dtypes: Vec<DType>,
    sizes: Vec<usize>,
}

impl Generator<'_> {
    fn parameter(&mut self, k: usize) -> Var {
        let shape = match k {
            0 => Shape::new(),
            1 => Shape::from_slice(&[self.size()]),
            _ => self.shape(2),
        };
        let dtype = if k == 4 { DType::I32 } else { self.config.float };
        self.b.fresh(Type { dtype, shape })
    }

    fn size(&mut self) -> usize {
        if self.is_wild() {
            return self.wild_size();
        }
        1 + self.random.below(self.config.largest)
    }

    fn shape(&mut self, most: usize) -> Shape {
        (0..self.random.below(most + 1)).map(|_| self.size()).collect()
    }

    fn statements(&mut self, n: usize) {
        for _ in 0..n {
            if self.is_wild() {
                self.wild_statement();
                continue;
            }
            if self.config.checks && self.random.below(5) == 0 {
                self.check();
            }
            if self.depth < self.config.depth && self.random.below(4) == 0 {
                self.form();
            } else {
                self.primitive();
            }
        }
    }

    /// Makes the results of what was appended usable.
    fn offer(&mut self, atoms: impl IntoIterator<Item = Atom>) {
        let small = |v: &Var| !self.is_wild() || self.b.vars.ty(*v).size() <= self.most_elements();
        let vars: Vec<Var> = atoms.into_iter().filter_map(Atom::var).filter(small).collect();
        self.scope.extend(vars);
    }

    fn is_wild(&self) -> bool {
        self.config.wild.is_some()
    }

    /// Something in scope that `fits`, the newer the likelier.
    fn find(&mut self, fits: impl Fn(&Type) -> bool) -> Option<Atom> {
        let found: Vec<Var> = self.scope.iter().copied().filter(|v| fits(self.b.vars.ty(*v))).collect();
        if found.is_empty() {
            return None;
        }
        let (i, j) = (self.random.below(found.len()), self.random.below(found.len()));
        Some(found[i.max(j)].into())
    }
}
