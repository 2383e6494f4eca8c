//! Where the buffers of a phase are while its kernel runs: in registers of every thread, in shared memory, or in the run's slab.
//!
//! Scalars that every thread can compute for itself are in registers. Shared memory goes to the buffers that are touched most often a byte, as
//! long as they fit together; they share bytes when they live at different times, as in the arena.

use rustc_hash::FxHashMap;
use whorl_core::ir::DType;
use whorl_schedule::arena::pack;
use whorl_schedule::loop_ir::*;
use whorl_schedule::{Interval, Touch, bodies, each_access, lifetimes};

use crate::elements::class;
use crate::modes::{self, Promoted};
use crate::ptx::{Reg, Text};

/// Where one is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Home {
    /// The same in all threads.
    Register(Reg),
    /// So many bytes from the start of dynamic shared memory.
    Shared(usize),
    /// So many bytes from the start of the run's slab.
    Slab(usize),
    /// So many bytes from the start of the constants.
    Constant(usize),
}

#[derive(Debug)]
pub struct Homes {
    pub of: Vec<Home>,
    pub shared_bytes: usize,
    /// Buffers that are somewhere else than in the slab, and hold something when the kernel starts.
    pub taken_in: Vec<BufferId>,
    /// … whose contents count when it ends.
    pub put_back: Vec<BufferId>,
    pub promoted: Promoted,
}

/// What a phase touches, and how often in all: in its own body each access counts as often as the loops around say.
fn touches(phase: &Phase) -> FxHashMap<BufferId, f64> {
    let mut counts = FxHashMap::default();
    if let Phase::Train { index, .. } = phase {
        counts.insert(*index, 1.0);
    }
    count(phase.body(), 1.0, &mut counts);
    counts
}

fn count(nodes: &[Node], times: f64, counts: &mut FxHashMap<BufferId, f64>) {
    for node in nodes {
        let inner = match node {
            Node::Loop { n, .. } => times * *n as f64,
            Node::While { max, .. } => times * max.map_or(16.0, |m| m as f64),
            Node::Switch { .. } => times * 0.5,
            Node::Lanes(_)
            | Node::MatMul(_)
            | Node::Sort(_)
            | Node::Cumulative(_)
            | Node::Log { .. }
            | Node::Check(_) => {
                let weight = times * weight(node);
                each_access(node, &mut |b, _| *counts.entry(b).or_default() += weight);
                continue;
            }
        };
        let mut own = |b: BufferId| *counts.entry(b).or_default() += times;
        match node {
            Node::Loop { index, .. } => own(*index),
            Node::While { test, .. } => own(*test),
            Node::Switch { which: Scalar::Buffer(b), .. } => own(*b),
            _ => {}
        }
        bodies(node).into_iter().for_each(|body| count(body, inner, counts));
    }
}

/// How often a node touches an element of what it touches, roughly.
fn weight(node: &Node) -> f64 {
    match node {
        Node::Lanes(l) => (l.dims.iter().product::<usize>() * l.reduced.iter().product::<usize>()) as f64,
        Node::MatMul(m) => (m.batch.iter().product::<usize>() * m.m * m.n * m.k) as f64 / 8.0,
        Node::Sort(s) => (s.rows.iter().product::<usize>() * s.n) as f64 * 8.0,
        Node::Cumulative(c) => (c.rows.iter().product::<usize>() * c.n) as f64,
        // Only read on the way out.
        Node::Log { .. } => 1.0,
        Node::Check(_) => 0.0,
        Node::Loop { .. } | Node::While { .. } | Node::Switch { .. } => 0.0,
    }
}

/// The buffers that hold something for the phase when it starts, and those that count behind it.
fn crossing(p: &LoopProgram, phase: usize) -> (Vec<BufferId>, Vec<BufferId>) {
    if let Phase::Train { state, .. } = &p.phases[phase] {
        return (state.clone(), state.clone());
    }
    let mut touched: Vec<FxHashMap<BufferId, ()>> = Vec::new();
    for other in &p.phases {
        let mut here = FxHashMap::default();
        if let Phase::Train { index, state, .. } = other {
            here.insert(*index, ());
            here.extend(state.iter().map(|b| (*b, ())));
        }
        let mut touch = |b: BufferId, _: Touch| {
            here.insert(b, ());
        };
        other.body().iter().for_each(|n| each_access(n, &mut touch));
        touched.push(here);
    }
    let among = |b: &BufferId, phases: &[FxHashMap<BufferId, ()>]| phases.iter().any(|t| t.contains_key(b));
    let mut own: Vec<BufferId> = touched[phase].keys().copied().collect();
    own.sort_by_key(|b| b.0);
    let before = |b: &BufferId| p.inputs.contains(b) || p.run_index == Some(*b) || among(b, &touched[..phase]);
    let behind = |b: &BufferId| p.outputs.contains(b) || among(b, &touched[phase + 1..]);
    (own.iter().copied().filter(before).collect(), own.iter().copied().filter(behind).collect())
}

impl Homes {
    /// Constants begin where `constants` says; shared memory has so many bytes.
    pub fn of(p: &LoopProgram, phase: usize, constants: &[usize], shared: usize, text: &mut Text) -> Homes {
        let counts = touches(&p.phases[phase]);
        let promoted = modes::promoted(p, &p.phases[phase]);
        let slab = |(k, b): (usize, &Buffer)| match b.place {
            Place::Arena(at) => Home::Slab(at),
            Place::Constant(_) => Home::Constant(constants[k]),
        };
        let mut of: Vec<Home> = p.buffers.iter().enumerate().map(slab).collect();
        let mut registers: Vec<BufferId> = promoted.iter().copied().collect();
        registers.sort_by_key(|b| b.0);
        for b in registers {
            of[b.0 as usize] = Home::Register(text.reg(class(p.buffers[b.0 as usize].dtype)));
        }
        let shared_bytes = share(p, &counts, shared, &mut of);
        let (before, behind) = crossing(p, phase);
        let elsewhere = |b: &BufferId| matches!(of[b.0 as usize], Home::Register(_) | Home::Shared(_));
        let taken_in = before.into_iter().filter(elsewhere).collect();
        let put_back = behind.into_iter().filter(elsewhere).collect();
        Homes { of, shared_bytes, taken_in, put_back, promoted }
    }

    pub fn get(&self, b: BufferId) -> Home {
        self.of[b.0 as usize]
    }
}

/// Which part of a phase's accesses is to registers and shared memory.
pub fn near(p: &LoopProgram, phase: usize, homes: &Homes) -> f64 {
    let mut counts: Vec<(BufferId, f64)> = touches(&p.phases[phase]).into_iter().collect();
    // Sums of floats have an order.
    counts.sort_by_key(|(b, _)| b.0);
    let all: f64 = counts.iter().map(|(_, count)| count).sum();
    let is_near = |b: &BufferId| matches!(homes.get(*b), Home::Register(_) | Home::Shared(_));
    let here: f64 = counts.iter().filter(|(b, _)| is_near(b)).map(|(_, count)| count).sum();
    if all > 0.0 { here / all } else { 1.0 }
}

/// Moves into shared memory what is touched most often a byte.
fn share(p: &LoopProgram, counts: &FxHashMap<BufferId, f64>, limit: usize, of: &mut [Home]) -> usize {
    let lives = lifetimes(p);
    let mut wanted: Vec<(BufferId, f64)> = counts
        .iter()
        .filter(|(b, _)| matches!(of[b.0 as usize], Home::Slab(_)) && p.buffers[b.0 as usize].bytes() > 0)
        .map(|(b, count)| (*b, count / p.buffers[b.0 as usize].bytes() as f64))
        .collect();
    wanted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.0.cmp(&b.0.0)));
    let place = |count: usize| {
        let items: Vec<(usize, Interval)> = wanted[..count]
            .iter()
            .map(|(b, _)| {
                let whole = Interval { begin: 0, end: usize::MAX };
                (p.buffers[b.0 as usize].bytes(), lives[b.0 as usize].unwrap_or(whole))
            })
            .collect();
        pack(&items)
    };
    // The most that fit.
    let (mut fits, mut too_many) = (0, wanted.len() + 1);
    while too_many - fits > 1 {
        let middle = (fits + too_many) / 2;
        if place(middle).1 <= limit { fits = middle } else { too_many = middle }
    }
    let (places, bytes) = place(fits);
    for ((b, _), at) in wanted[..fits].iter().zip(places) {
        of[b.0 as usize] = Home::Shared(at);
    }
    bytes
}

/// Whether a buffer's elements are bytes, two, four or eight of them.
pub fn width(p: &LoopProgram, b: BufferId) -> i64 {
    let dtype: DType = p.buffers[b.0 as usize].dtype;
    dtype.bytes() as i64
}
