//! How many threads and blocks a run gets: from the program's shape and the card's facts, and nothing that is measured. Results do not depend on it.
//!
//! The time of a run is the sum of its nodes' times. A node takes the longer of two: what one of its threads does, one instruction after the other, and what all of
//! them ask of their multiprocessors; and then the team waits. A group of blocks has more multiprocessors, waits longer, and has its arrays further away.

use std::fmt;

use whorl_device::Properties;
use whorl_schedule::cost;
use whorl_schedule::loop_ir::*;
use whorl_schedule::normal::normalise;

use crate::homes::{self, Homes};
use crate::modes::{self, Mode};
use crate::ptx::Text;
use crate::reduce::FAR_ROUNDS;
use crate::split::split;
use crate::{Options, group, staged};

/// What is asked of a card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Card {
    pub multiprocessors: usize,
    pub threads_a_multiprocessor: usize,
    /// Bytes of shared memory that a block can have.
    pub shared_a_block: usize,
    pub shared_a_multiprocessor: usize,
    /// Whether blocks can wait for each other.
    pub cooperative: bool,
}

impl From<&Properties> for Card {
    fn from(p: &Properties) -> Card {
        Card {
            multiprocessors: p.multiprocessors as usize,
            threads_a_multiprocessor: p.threads_a_multiprocessor as usize,
            shared_a_block: p.shared_a_block as usize,
            shared_a_multiprocessor: p.shared_a_multiprocessor as usize,
            cooperative: p.cooperative,
        }
    }
}

/// What a run gets, and why.
#[derive(Clone, PartialEq, Debug)]
pub struct Schedule {
    /// Of a block.
    pub threads: usize,
    /// Of a run.
    pub blocks: usize,
    /// Bytes that a block may have.
    pub shared: usize,
    pub why: String,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Schedule { threads, blocks, shared, why } = self;
        match blocks {
            1 => {
                write!(f, "block per run, of {threads} threads and at most {} KB of shared memory: {why}", shared >> 10)
            }
            _ => write!(f, "wide, {blocks} blocks of {threads} threads a run: {why}"),
        }
    }
}

/// Instructions of threads that a multiprocessor does in a cycle.
const ISSUED: f64 = 128.0;
/// Cycles from an instruction of a thread to the next.
const CHAIN: f64 = 6.0;
/// In a product, where many sums do not wait for each other.
const CHAIN_OF_PRODUCTS: f64 = 2.0;
/// What a multiplication and addition of a product costs besides: loads of its tile.
const LOADS: f64 = 1.5;
/// Cycles until the first of a node's loads is there, from shared memory and from global.
const LATENCY: (f64, f64) = (40.0, 400.0);
/// Bytes of it in a cycle, of a multiprocessor; of global memory those of the second cache.
const BANDWIDTH: (f64, f64) = (128.0, 32.0);
/// Cycles of a barrier, of a block and of a group.
const BARRIER: (f64, f64) = (40.0, 2000.0);
/// Registers of a multiprocessor, and about as many as a thread of a large kernel has.
const REGISTERS: (usize, usize) = (65536, 128);
/// Of each block, besides what it asks for.
const RESERVED: usize = 1024;
/// Threads of a block: the first, if others are not better.
const THREADS: [usize; 3] = [256, 128, 64];
/// What is better by less is as good.
const BETTER: f64 = 0.9;

/// What a node asks for.
struct Work {
    times: f64,
    /// Instructions of all of its threads.
    instructions: f64,
    bytes: f64,
    /// Threads that it can have.
    parallel: f64,
    /// Cycles from an instruction of a thread to the next.
    chain: f64,
    /// How often a thread waits for loads, in one of its points.
    loads: f64,
    /// Of its phase.
    phase: usize,
}

/// Who does it.
#[derive(Clone, Copy)]
struct Workers {
    threads: usize,
    blocks: usize,
    /// Of those that are on a multiprocessor at once.
    together: usize,
}

impl Work {
    /// `near`: which part of its accesses is to registers and shared memory.
    fn cycles(&self, workers: Workers, near: f64) -> f64 {
        let mix = |(here, far): (f64, f64)| near * here + (1.0 - near) * far;
        let threads = self.parallel.min((workers.threads * workers.blocks) as f64).max(1.0);
        let blocks = (threads / workers.threads as f64).ceil();
        // Points with few loads are done several at once.
        let points = self.parallel / threads;
        let waits_for_loads = if self.loads > 1.0 { self.loads * points } else { (points / 4.0).max(1.0) };
        let alone = self.instructions / threads * self.chain + waits_for_loads * mix(LATENCY);
        let traffic = self.bytes * mix((1.0 / BANDWIDTH.0, 1.0 / BANDWIDTH.1));
        let together = (self.instructions / ISSUED).max(traffic) / blocks * workers.together as f64;
        let waits = match (self.parallel > 1.0, workers.blocks) {
            (false, _) => 0.0,
            (true, 1) => BARRIER.0,
            (true, _) => BARRIER.1,
        };
        self.times * (alone.max(together) + waits)
    }
}

/// The work of all phases, of a `train scan` that of all its steps.
fn work(p: &LoopProgram) -> Vec<Work> {
    let mut all = Vec::new();
    for (number, phase) in p.phases.iter().enumerate() {
        let steps = if let Phase::Train { n, .. } = phase { *n as f64 } else { 1.0 };
        let promoted = modes::promoted(p, phase);
        for leaf in cost::leaves(p, phase.body()) {
            let (each, times) = (leaf.each, leaf.times as f64 * steps);
            let bytes = each.bytes() as f64;
            let plain = (each.flops + each.other) as f64 + bytes / 4.0;
            let count = |sizes: &[usize]| sizes.iter().product::<usize>() as f64;
            let (mut instructions, mut chain) = (plain, CHAIN);
            let (parallel, loads) = match leaf.node {
                Node::Lanes(l) => {
                    let l = normalise(l);
                    let reduced = count(&l.reduced);
                    match modes::mode(p, &l, &promoted, THREADS[0]) {
                        Mode::Everyone | Mode::First => (1.0, 1.0),
                        Mode::Points => (count(&l.dims), reduced / 16.0),
                        Mode::Sixteens => (16.0 * count(&l.dims), reduced / 16.0 / FAR_ROUNDS as f64),
                        Mode::FirstSixteen => (16.0, reduced / 16.0 / FAR_ROUNDS as f64),
                        Mode::InOrder(keep) => (count(&l.dims[..keep]), count(&l.dims[keep..]) * reduced),
                    }
                }
                Node::MatMul(m) => {
                    instructions = each.other as f64 + each.flops as f64 / 2.0 * LOADS;
                    chain = CHAIN_OF_PRODUCTS;
                    (count(&m.batch) * (m.m * m.n) as f64, 1.0)
                }
                Node::Sort(s) => (count(&s.rows) * s.n as f64, 1.0),
                Node::Cumulative(c) => (count(&c.rows), c.n as f64 / 4.0),
                Node::Log { .. } => (32.0, 1.0),
                Node::Check(_) | Node::Loop { .. } | Node::While { .. } | Node::Switch { .. } => continue,
            };
            all.push(Work { times, instructions, bytes, parallel, chain, loads, phase: number });
        }
    }
    all
}

/// How long all runs take.
struct Estimate {
    cycles: f64,
    workers: Workers,
    shared: usize,
}

impl Estimate {
    /// `near`: of each phase.
    fn of(work: &[Work], runs: usize, card: &Card, workers: Workers, shared: usize, near: &[f64]) -> Estimate {
        let at_once = (card.multiprocessors * workers.together / workers.blocks).max(1);
        let turns = runs.div_ceil(at_once);
        let together = (runs.min(at_once) * workers.blocks).div_ceil(card.multiprocessors);
        let workers = Workers { together, ..workers };
        let of_a_run: f64 = work.iter().map(|w| w.cycles(workers, near[w.phase])).sum();
        Estimate { cycles: of_a_run * turns as f64, workers, shared }
    }
}

/// How many blocks a multiprocessor has at once, but for shared memory.
fn resident(card: &Card, threads: usize) -> usize {
    (card.threads_a_multiprocessor / threads).min(REGISTERS.0 / (REGISTERS.1 * threads)).min(32)
}

/// The first that is as good as the best, but for the estimate's error.
fn best(estimates: impl Iterator<Item = Estimate>) -> Option<Estimate> {
    let all: Vec<Estimate> = estimates.collect();
    let least = all.iter().map(|e| e.cycles).fold(f64::INFINITY, f64::min);
    all.into_iter().find(|e| e.cycles * BETTER <= least)
}

/// A block a run: the more shared memory, the fewer at once.
fn narrow(p: &LoopProgram, work: &[Work], runs: usize, card: &Card) -> Option<Estimate> {
    let most = resident(card, THREADS[2]);
    let fractions: Vec<(usize, Vec<f64>)> = (1..=most)
        .map(|together| {
            let limit = (card.shared_a_multiprocessor / together).saturating_sub(RESERVED).min(card.shared_a_block);
            (limit, (0..p.phases.len()).map(|phase| near(p, phase, limit)).collect())
        })
        .collect();
    let all = THREADS.iter().flat_map(|threads| {
        let fractions = &fractions;
        (1..=resident(card, *threads)).map(move |together| {
            let (limit, near) = &fractions[together - 1];
            Estimate::of(work, runs, card, Workers { threads: *threads, blocks: 1, together }, *limit, near)
        })
    });
    best(all)
}

/// Which part of a phase's accesses is to registers and to so much shared memory.
fn near(p: &LoopProgram, phase: usize, shared: usize) -> f64 {
    let homes = Homes::of(p, phase, &vec![0; p.buffers.len()], shared, &mut Text::default());
    homes::near(p, phase, &homes)
}

/// Several blocks a run, all of them on the card at once.
fn wide(p: &LoopProgram, work: &[Work], runs: usize, card: &Card) -> Option<Estimate> {
    if !card.cooperative {
        return None;
    }
    let threads = THREADS[0];
    let near: Vec<f64> = (0..p.phases.len()).map(|phase| near(p, phase, 0)).collect();
    let blocks = (1..).map(|k| 1 << k).take_while(|b| *b < card.multiprocessors).chain([card.multiprocessors]);
    let workers = |blocks: usize| Workers { threads, blocks, together: resident(card, threads) };
    best(blocks.map(|blocks| Estimate::of(work, runs, card, workers(blocks), staged::BYTES, &near)))
}

impl Schedule {
    /// For so many runs at once.
    pub fn choose(p: &LoopProgram, runs: usize, card: &Card) -> Schedule {
        let runs = runs.max(1);
        let team = |blocks: usize| group::Team { blocks, of_block: THREADS[0] };
        let (alone, shared) = (split(p, team(1)), split(p, team(2)));
        let one = narrow(&alone, &work(&alone), runs, card);
        let shared_work = work(&shared);
        let several = wide(&shared, &shared_work, runs, card);
        let runs_are = if runs == 1 { "there is 1 run".to_string() } else { format!("there are {runs} runs") };
        let card_has = format!("for {} multiprocessors", card.multiprocessors);
        let (chosen, why) = match (one, several) {
            (Some(one), Some(several)) if several.cycles < one.cycles * BETTER => {
                let largest = shared_work.iter().map(|w| w.parallel as u64).max().unwrap_or(1);
                let times = one.cycles / several.cycles;
                let why = format!(
                    "{runs_are} {card_has}, loops have up to {largest} points, and one block would take about {times:.1} times as long"
                );
                (Some(several), why)
            }
            (Some(one), Some(several)) => {
                let blocks = several.workers.blocks;
                let times = several.cycles / one.cycles;
                let why = format!(
                    "{runs_are} {card_has}, and {blocks} blocks a run would take about {times:.1} times as long"
                );
                (Some(one), why)
            }
            (one, _) => (one, format!("{runs_are} {card_has}, whose blocks cannot wait for each other")),
        };
        let (threads, blocks, shared) =
            chosen.map_or((THREADS[2], 1, 0), |e| (e.workers.threads, e.workers.blocks, e.shared));
        Schedule { threads, blocks, shared, why }
    }

    /// How to compile for it.
    pub fn options(&self, architecture: u32) -> Options {
        let Schedule { threads, blocks, shared, .. } = *self;
        Options { architecture, threads, blocks, shared, ..Options::default() }
    }
}
