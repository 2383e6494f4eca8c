//! Properties: what their parameters are drawn as, and how a case that fails is made simpler.
//!
//! Everything is decided by the seed and the number of the case, so that a failure comes again. The first cases are the simplest
//! one, the lowest and the highest; then come ordinary numbers, whole ones, many sizes of number, extremes, and ties.

use whorl_core::ir::{ArrayData, DType, Lit};
use whorl_source::Diagnostic;
use whorl_trace::{Drawn, Interval, Layout, SizeRange, Traced};

use crate::pipeline::Source;
use crate::test::Trials;

/// Cases of one program: more are several runs of it.
const MOST_LANES: usize = 128;
/// Ways to choose the sizes of a property: all lowest, all highest, and others between.
const SIZE_CHOICES: usize = 4;
/// How many smaller sizes are tried when a case fails.
const SMALLER_SIZES: usize = 12;
/// How often a failing case is tried in a simpler form.
const SIMPLER_TRIES: usize = 400;

/// The numbers of each array of one case, row-major.
pub type Case = Vec<Vec<f64>>;

/// A property for one choice of its sizes: a program of several cases side by side, and what to run it on.
pub struct Batch {
    /// Of the sizes.
    pub names: Vec<String>,
    pub sizes: Vec<usize>,
    pub traced: Traced,
    pub drawn: Vec<Drawn>,
    /// How many cases the program takes at once.
    pub lanes: usize,
    pub cases: Vec<Case>,
}

impl Batch {
    /// The arguments of each run of the program.
    pub fn inputs(&self) -> impl Iterator<Item = (Vec<ArrayData>, &[Case])> {
        self.cases.chunks(self.lanes).map(|cases| {
            let input = |(k, leaf): (usize, &whorl_trace::Leaf)| {
                let numbers = cases.iter().flat_map(|case| case[k].iter().copied());
                packed(leaf.ty.dtype, &leaf.ty.shape, numbers)
            };
            (self.traced.params.iter().enumerate().map(input).collect(), cases)
        })
    }
}

/// The property, which is test `k` of the script, for several choices of its sizes, with at least so many cases in all.
pub fn batches(source: &Source, k: usize, trials: Trials) -> Result<Vec<Batch>, Vec<Diagnostic>> {
    let ranges = source.script.size_ranges(k)?;
    let choices = size_choices(&ranges, trials.seed);
    let each = Trials { cases: trials.cases.max(1).div_ceil(choices.len()), ..trials };
    choices.into_iter().map(|sizes| batch(source, k, &ranges, sizes, each)).collect()
}

/// The property for sizes smaller than those of a batch, one by one, the smallest first: where it may fail as well.
pub fn smaller<'s>(
    source: &'s Source,
    k: usize,
    than: &Batch,
    trials: Trials,
) -> Result<impl Iterator<Item = Result<Batch, Vec<Diagnostic>>> + 's, Vec<Diagnostic>> {
    let ranges = source.script.size_ranges(k)?;
    let mut choices = Vec::new();
    // With all others as small as they go, and as they were.
    for k in 0..ranges.len() {
        for n in ranges[k].low..than.sizes[k] {
            let lowest = ranges.iter().map(|r| r.low).enumerate();
            choices.push(lowest.map(|(j, low)| if j == k { n } else { low }).collect::<Vec<usize>>());
            let same = than.sizes.iter().enumerate();
            choices.push(same.map(|(j, size)| if j == k { n } else { *size }).collect());
        }
    }
    choices.sort_by_key(|sizes| (sizes.iter().sum::<usize>(), sizes.clone()));
    choices.dedup();
    choices.truncate(SMALLER_SIZES);
    Ok(choices.into_iter().map(move |sizes| batch(source, k, &ranges, sizes, trials)))
}

fn batch(
    source: &Source,
    k: usize,
    ranges: &[SizeRange],
    sizes: Vec<usize>,
    trials: Trials,
) -> Result<Batch, Vec<Diagnostic>> {
    let runs = trials.cases.div_ceil(MOST_LANES);
    let lanes = trials.cases.div_ceil(runs);
    let (traced, drawn) = source.script.trace_prop(k, &sizes, Some(lanes)).map_err(|mut errors| {
        if let (Some(e), false) = (errors.first_mut(), ranges.is_empty()) {
            let named = ranges.iter().zip(&sizes).map(|(r, n)| format!("{} = {n}", r.name));
            e.notes.insert(0, format!("with {}", named.collect::<Vec<_>>().join(", ")));
        }
        errors
    })?;
    // What is drawn depends on the sizes, so that not all choices meet the same numbers.
    let place = sizes.iter().fold(0u64, |place, n| place.wrapping_mul(1009).wrapping_add(*n as u64));
    let case = |i: usize| {
        let mut random = Random::new(trials.seed, place.wrapping_mul(1 << 32).wrapping_add(i as u64));
        draw(&drawn, i, &mut random)
    };
    let cases = (0..lanes * runs).map(case).collect();
    let names = ranges.iter().map(|r| r.name.clone()).collect();
    Ok(Batch { names, sizes, traced, drawn, lanes, cases })
}

fn size_choices(ranges: &[SizeRange], seed: u64) -> Vec<Vec<usize>> {
    let mut random = Random::new(seed, u64::MAX);
    let mut choices: Vec<Vec<usize>> = Vec::new();
    for k in 0..SIZE_CHOICES {
        let choice = ranges.iter().map(|r| match k {
            0 => r.low,
            1 => r.high,
            _ => r.low + random.below(r.high - r.low + 1),
        });
        let choice = choice.collect();
        if !choices.contains(&choice) {
            choices.push(choice);
        }
    }
    choices
}

/// One case as the arguments of the program that takes one.
pub fn arguments(traced: &Traced, case: &Case) -> Vec<ArrayData> {
    let leaves = traced.params.iter().zip(case);
    leaves.map(|(leaf, numbers)| packed(leaf.ty.dtype, &leaf.ty.shape, numbers.iter().copied())).collect()
}

/// What was drawn, as the language writes it: `x = [1.0, 0.0]`.
pub fn described(drawn: &[Drawn], arguments: &[ArrayData]) -> Vec<String> {
    let mut rest = arguments;
    let each = drawn.iter().map(|d| {
        let (own, others) = rest.split_at(d.layout.arrays());
        rest = others;
        format!("{} = {}", d.name, d.layout.text(own))
    });
    each.collect()
}

/// The case, with numbers as simple as they go while it still `fails`.
pub fn simpler(drawn: &[Drawn], case: &Case, mut fails: impl FnMut(&Case) -> bool) -> Case {
    let numbers: Vec<Number> = drawn.iter().flat_map(numbers_of).collect();
    let mut tries = SIMPLER_TRIES;
    let mut best = case.clone();
    let mut attempt = |best: &mut Case, change: &dyn Fn(&mut Case)| {
        if tries == 0 {
            return false;
        }
        let mut candidate = best.clone();
        change(&mut candidate);
        if candidate == *best {
            return false;
        }
        tries -= 1;
        let good = fails(&candidate);
        if good {
            *best = candidate;
        }
        good
    };
    loop {
        let before = best.clone();
        // Whole parameters first.
        let mut first = 0;
        for d in drawn {
            let mut simplest = draw(std::slice::from_ref(d), 0, &mut Random::new(0, 0));
            for (k, array) in simplest.iter_mut().enumerate().filter(|(k, _)| numbers[first + k].role == Role::Word) {
                array.clone_from(&best[first + k]);
            }
            attempt(&mut best, &|c| c[first..first + simplest.len()].clone_from_slice(&simplest));
            first += simplest.len();
        }
        for (leaf, number) in numbers.iter().enumerate().filter(|(_, n)| n.role == Role::Value) {
            let simplest = number.simplest();
            attempt(&mut best, &|c| c[leaf].fill(simplest));
            for at in 0..best[leaf].len() {
                // Each step is to a shorter or smaller number, so this ends.
                loop {
                    let candidates = number.candidates(best[leaf][at]);
                    if !candidates.into_iter().any(|y| attempt(&mut best, &|c| c[leaf][at] = y)) {
                        break;
                    }
                }
            }
        }
        if best == before {
            return best;
        }
    }
}

/// What the numbers of one array may be.
#[derive(Clone, Copy)]
struct Number {
    dtype: DType,
    bounds: Option<Interval>,
    role: Role,
}

/// What the numbers of an array stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Themselves.
    Value,
    /// The words of a key: as good as any others.
    Word,
    /// The variant of an enum, on which other arrays depend.
    Variant,
}

impl Number {
    fn fits(&self, x: f64) -> bool {
        x.is_finite() && self.bounds.is_none_or(|b| b.contains(x)) && Lit::of(self.dtype, x).to_f64() == x
    }

    /// `x` as a number of this type within the bounds, if it is near one.
    fn fitted(&self, x: f64) -> Option<f64> {
        let x = if self.dtype.is_float() { x } else { x.round() };
        let x = Lit::of(self.dtype, x).to_f64();
        self.fits(x).then_some(x)
    }

    fn simplest(&self) -> f64 {
        let inside = self.bounds.map_or(Vec::new(), |b| {
            vec![1.0, -1.0, b.low.ceil(), b.low.floor() + 1.0, b.high.floor(), 0.5 * (b.low + b.high), b.low, b.high]
        });
        std::iter::once(0.0).chain(inside).find_map(|x| self.fitted(x)).unwrap_or(0.0)
    }

    fn lowest(&self) -> f64 {
        let Some(b) = self.bounds else { return self.special(1) };
        [b.low, b.low + 1.0, b.low + 1e-3 * (b.high - b.low)]
            .into_iter()
            .find_map(|x| self.fitted(x))
            .unwrap_or(self.simplest())
    }

    fn highest(&self) -> f64 {
        let Some(b) = self.bounds else { return self.special(2) };
        [b.high, b.high - 1.0, b.high - 1e-3 * (b.high - b.low)]
            .into_iter()
            .find_map(|x| self.fitted(x))
            .unwrap_or(self.simplest())
    }

    /// Zero, extremes, and what is next to a corner.
    fn special(&self, k: usize) -> f64 {
        let floats = [0.0f64, -1e30, 1e30, 1.0, -1.0, 1e-30, -1e-30, 0.5, 2.0];
        // Lowest and highest of the type are where these saturate.
        let whole = [0.0, -1e30, 1e30, 1.0, -1.0, -1e30, 1e30, 2.0, 3.0];
        let x = if self.dtype.is_float() { floats[k % floats.len()] } else { whole[k % whole.len()] };
        match self.dtype {
            DType::Bool => f64::from(x > 0.0),
            // Small floats hold less.
            dtype => [x, x.signum() * 6e4]
                .into_iter()
                .map(|x| Lit::of(dtype, x).to_f64())
                .find(|x| x.is_finite())
                .unwrap_or(0.0),
        }
    }

    /// Numbers that are simpler than `x`, the simplest first.
    fn candidates(&self, x: f64) -> Vec<f64> {
        let halves = (1..8).map(|k| (x / f64::from(1 << k)).trunc());
        let digits = [1.0, 10.0, 100.0].map(|p| (x * p).round() / p);
        // One digit of what lies some powers of ten below.
        let below = [20, 10, 5, 3, 2, 1].map(|k| {
            let y = x / 10f64.powi(k);
            let unit = 10f64.powf(y.abs().log10().floor());
            if unit > 0.0 { (y / unit).round() * unit } else { 0.0 }
        });
        let all = [self.simplest(), x.abs(), x.trunc()].into_iter().chain(below).chain(halves);
        let all = all.chain([x - x.signum()]).chain(digits);
        let measure = |x: f64| (self.length(x), x.abs());
        let simplest = self.simplest();
        let better = |y: &f64| x != simplest && (*y == simplest || measure(*y) < measure(x));
        all.filter_map(|y| self.fitted(y)).filter(better).collect()
    }

    /// Of the number as it is written.
    fn length(&self, x: f64) -> usize {
        let texts = match self.dtype {
            DType::F32 => [format!("{}", x as f32), format!("{:e}", x as f32)],
            _ => [format!("{x}"), format!("{x:e}")],
        };
        texts.iter().map(String::len).min().unwrap_or(0)
    }
}

/// What each array of a parameter holds.
fn numbers_of(drawn: &Drawn) -> Vec<Number> {
    fn walk(layout: &Layout, bounds: Option<Interval>, out: &mut Vec<Number>) {
        match layout {
            Layout::Numbers(ty) => out.push(Number { dtype: ty.dtype, bounds, role: Role::Value }),
            Layout::Key => out.extend([Number { dtype: DType::U32, bounds: None, role: Role::Word }; 2]),
            Layout::Unit => {}
            Layout::Tuple(parts) => parts.iter().for_each(|p| walk(p, bounds, out)),
            Layout::Record(fields) => fields.iter().for_each(|(_, p)| walk(p, bounds, out)),
            Layout::Enum { variants, .. } => {
                out.push(Number { dtype: DType::I32, bounds: None, role: Role::Variant });
                variants.iter().flat_map(|v| &v.fields).for_each(|(_, p)| walk(p, bounds, out));
            }
            Layout::Array(_, inner) => walk(inner, bounds, out),
        }
    }
    let mut out = Vec::new();
    walk(&drawn.layout, drawn.bounds, &mut out);
    out
}

/// What the numbers of one array of one case are like.
#[derive(Clone, Copy)]
enum Manner {
    Simplest,
    Lowest,
    Highest,
    /// Around 0, mostly below so much.
    Ordinary(f64),
    Whole,
    /// From very small to very large.
    AllScales,
    Special,
    /// All the same.
    Ties(f64),
}

fn manner(number: &Number, case: usize, random: &mut Random) -> Manner {
    match (case, random.below(9)) {
        (0, _) => Manner::Simplest,
        (1, _) => Manner::Lowest,
        (2, _) => Manner::Highest,
        (_, 0..=2) => Manner::Ordinary(1.0),
        (_, 3) => Manner::Ordinary(10.0),
        (_, 4 | 5) => Manner::Whole,
        (_, 6) => Manner::AllScales,
        (_, 7) => Manner::Special,
        (_, _) => Manner::Ties(one(number, Manner::Ordinary(10.0), random)),
    }
}

fn one(number: &Number, manner: Manner, random: &mut Random) -> f64 {
    if let Some(b) = number.bounds {
        let between = match manner {
            Manner::Simplest => return number.simplest(),
            Manner::Lowest => return number.lowest(),
            Manner::Highest => return number.highest(),
            Manner::Ties(x) => return x,
            Manner::Special => match random.below(4) {
                0 => return number.lowest(),
                1 => return number.highest(),
                2 => return number.simplest(),
                _ => b.low + random.unit() * (b.high - b.low),
            },
            Manner::Whole => (b.low + random.unit() * (b.high - b.low)).round(),
            Manner::Ordinary(_) | Manner::AllScales => {
                // Every whole number is as likely as any other, the last included.
                let wide = if number.dtype.is_float() { 0.0 } else { 0.5 };
                b.low - wide + random.unit() * (b.high - b.low + 2.0 * wide)
            }
        };
        return number.fitted(between).unwrap_or_else(|| number.simplest());
    }
    let sign = if random.below(2) == 0 { 1.0 } else { -1.0 };
    let x = match manner {
        Manner::Simplest => number.simplest(),
        Manner::Lowest => number.lowest(),
        Manner::Highest => number.highest(),
        Manner::Ties(x) => x,
        // The sum of four uniform numbers is near enough to a normal one.
        Manner::Ordinary(scale) => scale * ((0..4).map(|_| random.unit()).sum::<f64>() - 2.0) * 1.73,
        Manner::Whole => (random.below(13) as f64) - 6.0,
        Manner::AllScales => sign * 10f64.powf(random.unit() * 12.0 - 6.0),
        Manner::Special => number.special(random.below(9)),
    };
    match (number.dtype, manner) {
        (DType::Bool, Manner::Ordinary(_) | Manner::Whole | Manner::AllScales) => random.below(2) as f64,
        (DType::U8 | DType::U32, Manner::Ordinary(_) | Manner::Whole | Manner::AllScales) => {
            number.fitted(x.abs()).unwrap_or(0.0)
        }
        _ => number.fitted(x).unwrap_or(0.0),
    }
}

/// Case number `i`.
fn draw(drawn: &[Drawn], i: usize, random: &mut Random) -> Case {
    let mut case = Case::new();
    for d in drawn {
        let numbers = numbers_of(d);
        let manners: Vec<Manner> = numbers.iter().map(|n| manner(n, i, random)).collect();
        let mut out = vec![Vec::new(); numbers.len()];
        fill(&d.layout, &numbers, &manners, true, random, &mut out);
        case.extend(out);
    }
    case
}

/// Draws one value: appends to each of its arrays. What is not `there` belongs to a variant that the value is not one of.
fn fill(
    layout: &Layout,
    numbers: &[Number],
    manners: &[Manner],
    there: bool,
    random: &mut Random,
    out: &mut [Vec<f64>],
) {
    match layout {
        Layout::Numbers(ty) => {
            for _ in 0..ty.size() {
                out[0].push(if there { one(&numbers[0], manners[0], random) } else { 0.0 });
            }
        }
        Layout::Key => {
            // As `key(seed)` makes them.
            out[0].push(0.0);
            out[1].push(f64::from(random.next() as u32));
        }
        Layout::Unit => {}
        Layout::Tuple(parts) => fill_parts(parts.iter(), numbers, manners, there, random, out),
        Layout::Record(fields) => fill_parts(fields.iter().map(|(_, l)| l), numbers, manners, there, random, out),
        Layout::Enum { variants, .. } => {
            let tag = match manners[0] {
                Manner::Simplest | Manner::Lowest => 0,
                Manner::Highest => variants.len() - 1,
                Manner::Ordinary(_) | Manner::Whole | Manner::AllScales | Manner::Special | Manner::Ties(_) => {
                    random.below(variants.len())
                }
            };
            out[0].push(if there { tag as f64 } else { 0.0 });
            let mut at = 1;
            for (k, variant) in variants.iter().enumerate() {
                for (_, field) in &variant.fields {
                    let own = there && k == tag;
                    fill(field, &numbers[at..], &manners[at..], own, random, &mut out[at..]);
                    at += field.arrays();
                }
            }
        }
        Layout::Array(n, inner) => {
            (0..*n).for_each(|_| fill(inner, numbers, manners, there, random, out));
        }
    }
}

fn fill_parts<'l>(
    parts: impl Iterator<Item = &'l Layout>,
    numbers: &[Number],
    manners: &[Manner],
    there: bool,
    random: &mut Random,
    out: &mut [Vec<f64>],
) {
    let mut at = 0;
    for part in parts {
        fill(part, &numbers[at..], &manners[at..], there, random, &mut out[at..]);
        at += part.arrays();
    }
}

fn packed(dtype: DType, shape: &[usize], numbers: impl Iterator<Item = f64>) -> ArrayData {
    let lits: Vec<Lit> = numbers.map(|x| Lit::of(dtype, x)).collect();
    ArrayData::from_lits(dtype, shape, &lits)
}

/// SplitMix64 (Steele, Lea & Flood, 2014).
struct Random(u64);

impl Random {
    fn new(seed: u64, case: u64) -> Random {
        let mut random = Random(seed ^ case.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of 0, 1, …, n - 1.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// From 0 up to but without 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
