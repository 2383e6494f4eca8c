//! A thread block: its warps run in turn, and its barriers open when all have come.

use super::clock::{BlockOrder, Clock, WarpOrder, partial_barrier};
use super::code::*;
use super::exec::{Machine, Shared};
use super::finding::{Fault, Finding, FindingKind, ranges};
use super::memory::Region;
use super::warp::*;

/// Why a block does not go on now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    Done,
    /// Some of its warps sleep, and the others wait.
    Sleeps,
    /// It has had its turn.
    Turn,
}

pub struct Block {
    shared: Shared,
    warps: Vec<Warp>,
    threads: u32,
}

/// A fragment at a barrier.
#[derive(Clone, Copy)]
struct Arrival {
    warp: usize,
    fragment: usize,
    pc: u32,
    mask: u32,
    id: u32,
    count: Option<u32>,
}

impl Block {
    pub fn new(machine: &mut Machine<'_>, index: u32) -> Block {
        let code = machine.code;
        let bytes = u64::from(code.static_shared + machine.dynamic);
        let warps = machine.threads.div_ceil(32);
        let order = BlockOrder { block: index, interval: 0, number: 0, first: 0, clock: Clock::default() };
        let shared = Shared { memory: Region::new(0, bytes, "shared memory".to_string()), order };
        let warps = (0..warps).map(|warp| Warp::new(code, warp, machine.threads)).collect();
        let mut block = Block { shared, warps, threads: machine.threads };
        block.begin(machine, index);
        block
    }

    /// The same memory and registers for another block.
    pub fn restart(&mut self, machine: &mut Machine<'_>, index: u32) {
        self.shared.memory.forget();
        for warp in &mut self.warps {
            warp.restart(machine.code, machine.threads);
        }
        self.begin(machine, index);
    }

    fn begin(&mut self, machine: &mut Machine<'_>, index: u32) {
        let interval = machine.intervals.begin(index, 0);
        self.shared.order = BlockOrder { block: index, interval, number: 0, first: interval, clock: Clock::default() };
    }

    /// Runs until all has ended, or what is left sleeps or has had its turn.
    pub fn run(&mut self, machine: &mut Machine<'_>) -> Result<Pause, Box<Finding>> {
        loop {
            let (mut sleeps, mut turns) = (false, false);
            for i in 0..self.warps.len() {
                if self.warps[i].done {
                    continue;
                }
                match machine.run(&mut self.warps[i], &mut self.shared) {
                    Ok(Stop::Done | Stop::Waits) => {}
                    Ok(Stop::Sleeps) => sleeps = true,
                    Ok(Stop::Turn) => turns = true,
                    Err((fault, pc)) => return Err(self.finding(machine, *fault, pc, i)),
                }
            }
            if self.warps.iter().all(|warp| warp.done) {
                return Ok(Pause::Done);
            }
            if turns {
                return Ok(Pause::Turn);
            }
            if !self.open(machine)? {
                if sleeps {
                    return Ok(Pause::Sleeps);
                }
                return Err(self.stuck(machine));
            }
        }
    }

    fn finding(&self, machine: &Machine<'_>, fault: Fault, pc: u32, warp: usize) -> Box<Finding> {
        Box::new(Finding::new(fault, machine.code, pc, self.shared.order.block, warp as u32))
    }

    fn arrivals(&self) -> Vec<Arrival> {
        let mut out = Vec::new();
        for (w, warp) in self.warps.iter().enumerate() {
            let alive = warp.alive();
            for (f, fragment) in warp.fragments.iter().enumerate() {
                let Wait::Barrier { id, count, aligned } = fragment.wait else { continue };
                // Lanes of a warp come to bar.sync together.
                if !aligned || fragment.mask == alive {
                    let (pc, mask) = (fragment.pc, fragment.mask);
                    out.push(Arrival { warp: w, fragment: f, pc, mask, id, count });
                }
            }
        }
        out
    }

    /// Opens the barriers to which all have come. Whether there was one.
    fn open(&mut self, machine: &mut Machine<'_>) -> Result<bool, Box<Finding>> {
        let arrivals = self.arrivals();
        let mut opened = false;
        for id in 0..16 {
            let here: Vec<Arrival> = arrivals.iter().filter(|arrival| arrival.id == id).copied().collect();
            let Some(first) = here.first().copied() else { continue };
            let threads: u32 = here.iter().map(|arrival| arrival.mask.count_ones()).sum();
            let wanted = first.count.unwrap_or(self.threads);
            if threads < wanted {
                continue;
            }
            let other = here.iter().find(|arrival| arrival.count != first.count);
            let elsewhere = here.iter().find(|arrival| first.count.is_none() && arrival.pc != first.pc);
            if threads > wanted || other.is_some() {
                let what = format!("{threads} threads come to barrier {id}, which is for {wanted}");
                let fault = Fault::new(FindingKind::Divergence, first.mask, what);
                return Err(self.finding(machine, *fault, first.pc, first.warp));
            }
            if let Some(elsewhere) = elsewhere {
                let what = format!(
                    "the threads of the block are at different barriers: those of warp {} at {}, those of warp {} at {}",
                    first.warp,
                    machine.code.describe(first.pc),
                    elsewhere.warp,
                    machine.code.describe(elsewhere.pc)
                );
                let fault = Fault::new(FindingKind::Divergence, first.mask, what);
                return Err(self.finding(machine, *fault, first.pc, first.warp));
            }
            self.pass(machine, &here, wanted);
            opened = true;
        }
        Ok(opened)
    }

    /// Lets the threads of a barrier go on.
    fn pass(&mut self, machine: &mut Machine<'_>, here: &[Arrival], wanted: u32) {
        machine.counters.barriers += 1;
        machine.counters.thread_instructions += u64::from(wanted);
        machine.progress += 1;
        self.reduce(machine.code, here);
        for arrival in here {
            let fragment = &mut self.warps[arrival.warp].fragments[arrival.fragment];
            fragment.pc += 1;
            fragment.wait = Wait::Ready;
        }
        if !machine.checks.races {
            return;
        }
        let order = &mut self.shared.order;
        if wanted == self.threads {
            for warp in &mut self.warps {
                warp.order.barrier(&mut order.clock);
            }
            order.number += 1;
            order.interval = machine.intervals.begin(order.block, order.number);
            order.prune(machine.intervals);
        } else {
            let mut masks = vec![0; self.warps.len()];
            here.iter().for_each(|arrival| masks[arrival.warp] |= arrival.mask);
            let mut warps: Vec<(&mut WarpOrder, u32)> =
                self.warps.iter_mut().zip(masks).map(|(warp, mask)| (&mut warp.order, mask)).collect();
            partial_barrier(order, &mut warps);
        }
    }

    /// `bar.red`
    fn reduce(&mut self, code: &Code, here: &[Arrival]) {
        let red = |arrival: &Arrival| match code.insts[arrival.pc as usize].op {
            Op::Barrier { red, .. } => red,
            _ => None,
        };
        let (mut ones, mut all) = (0, 0);
        for arrival in here {
            if let Some((_, p, _)) = red(arrival) {
                ones += (self.warps[arrival.warp].preds[p as usize] & arrival.mask).count_ones();
                all += arrival.mask.count_ones();
            }
        }
        for arrival in here {
            let Some((kind, _, d)) = red(arrival) else { continue };
            let warp = &mut self.warps[arrival.warp];
            let holds = match kind {
                Red::Popc => {
                    lanes(arrival.mask).for_each(|lane| warp.set(d, false, lane, ones.into()));
                    continue;
                }
                Red::And => ones == all,
                Red::Or => ones > 0,
            };
            let to = &mut warp.preds[d as usize];
            *to = (*to & !arrival.mask) | if holds { arrival.mask } else { 0 };
        }
    }

    /// Nobody can go on: says why.
    fn stuck(&self, machine: &Machine<'_>) -> Box<Finding> {
        let code = machine.code;
        // Where each fragment stands, the most telling first.
        let mut places: Vec<(u32, usize, Fragment)> = Vec::new();
        for (w, warp) in self.warps.iter().enumerate() {
            for fragment in &warp.fragments {
                let rank = match fragment.wait {
                    Wait::Lanes { .. } => 0,
                    Wait::Barrier { aligned: true, .. } if fragment.mask != warp.alive() => 1,
                    Wait::Barrier { count: None, .. } => 2,
                    Wait::Barrier { .. } => 3,
                    Wait::Ready => 4,
                };
                places.push((rank, w, *fragment));
            }
        }
        places.sort_by_key(|(rank, ..)| *rank);
        let (rank, w, first) = places[0];
        let number = |w: usize, mask: u32| lanes(mask).map(move |lane| w as u32 * 32 + lane);
        let mut what = match first.wait {
            Wait::Lanes { members } => {
                format!("lanes {} of the warp should be here together", ranges(&lanes(members).collect::<Vec<_>>()))
            }
            _ => "not all threads come to this barrier".to_string(),
        };
        let mut others: std::collections::BTreeMap<u32, Vec<u32>> = std::collections::BTreeMap::new();
        let mut ended = Vec::new();
        for (w, warp) in self.warps.iter().enumerate() {
            ended.extend(number(w, warp.present & !warp.alive()));
            for fragment in &warp.fragments {
                others.entry(fragment.pc).or_default().extend(number(w, fragment.mask));
            }
        }
        for (pc, mut threads) in others {
            threads.sort_unstable();
            let here = if pc == first.pc { "here".to_string() } else { format!("at {}", code.describe(pc)) };
            what += &format!("; threads {} are {here}", ranges(&threads));
        }
        if !ended.is_empty() {
            what += &format!("; threads {} have ended", ranges(&ended));
        }
        let kind = if rank < 3 { FindingKind::Divergence } else { FindingKind::Deadlock };
        self.finding(machine, *Fault::new(kind, first.mask, what), first.pc, w)
    }

    /// Everybody sleeps and nothing happens: says where.
    pub fn asleep(&self, machine: &Machine<'_>) -> Box<Finding> {
        let (w, fragment) = self
            .warps
            .iter()
            .enumerate()
            .find_map(|(w, warp)| warp.fragments.iter().find(|f| f.wait == Wait::Ready).map(|f| (w, *f)))
            .unwrap_or((0, Fragment::ready(0, 0)));
        let what = "threads sleep until something changes, and nothing does";
        // The place is behind the instruction that sleeps.
        let pc = fragment.pc.saturating_sub(1);
        self.finding(machine, *Fault::new(FindingKind::Deadlock, fragment.mask, what), pc, w)
    }
}
