//! A launch: its blocks one after the other, or all together if it is cooperative.

use super::block::{Block, Pause};
use super::clock::Intervals;
use super::code::Code;
use super::counters::Counters;
use super::exec::{Machine, Releases};
use super::finding::Finding;
use super::memory::Memory;
use super::shadow::Side;
use crate::emulator::{Checks, Limits};
use std::sync::Arc;

/// A launch that was asked for.
pub struct Launched {
    pub code: Arc<Code>,
    pub params: Vec<u8>,
    pub grid: u32,
    pub threads: u32,
    pub dynamic: u32,
    pub cooperative: bool,
}

/// What launches share, and what outlives them.
#[derive(Default)]
pub struct World {
    pub memory: Memory,
    pub intervals: Intervals,
}

/// A launch that runs.
pub struct Run {
    launched: Launched,
    blocks: Vec<Option<Block>>,
    /// The next block to run, of those that run one after the other.
    next: u32,
    releases: Releases,
    side: Side,
    clock: u64,
    left: u64,
    progress: u64,
    /// Turns in which nothing happened.
    idle: u32,
    checks: Checks,
    limits: Limits,
}

/// How far a launch is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Done,
    Runs,
    /// Nothing happened in this turn: what changes memory has to come from the host.
    Idle,
}

impl Run {
    pub fn new(launched: Launched, world: &mut World, checks: Checks, limits: Limits) -> Run {
        world.intervals.launch();
        Run {
            launched,
            blocks: Vec::new(),
            next: 0,
            releases: Releases::default(),
            side: Side::default(),
            clock: 0,
            left: limits.instructions,
            progress: 0,
            idle: 0,
            checks,
            limits,
        }
    }

    pub fn kernel(&self) -> &str {
        &self.launched.code.name
    }

    /// Runs for some time.
    pub fn turn(&mut self, world: &mut World, counters: &mut Counters) -> Result<Status, Box<Finding>> {
        let launched = &self.launched;
        let mut machine = Machine {
            code: &launched.code,
            memory: &mut world.memory,
            intervals: &mut world.intervals,
            releases: &mut self.releases,
            side: &mut self.side,
            counters,
            checks: self.checks,
            params: &launched.params,
            grid: launched.grid,
            threads: launched.threads,
            dynamic: launched.dynamic,
            interleaved: launched.cooperative,
            hint: 0,
            clock: self.clock,
            left: self.left,
            progress: self.progress,
        };
        let result = if launched.cooperative {
            together(&mut machine, &mut self.blocks)
        } else {
            in_turn(&mut machine, &mut self.blocks, &mut self.next)
        };
        let happened = machine.progress != self.progress;
        let finding = |block: Option<&Block>, machine: &Machine<'_>| block.map(|block| block.asleep(machine));
        let pause = result?;
        let status = match pause {
            Pause::Done => Status::Done,
            Pause::Turn => Status::Runs,
            Pause::Sleeps if happened => Status::Runs,
            Pause::Sleeps => {
                self.idle += 1;
                if self.idle > self.limits.idle_turns
                    && let Some(finding) = finding(self.blocks.iter().flatten().next(), &machine)
                {
                    return Err(finding);
                }
                Status::Idle
            }
        };
        if status != Status::Idle {
            self.idle = 0;
        }
        (self.clock, self.left, self.progress) = (machine.clock, machine.left, machine.progress);
        Ok(status)
    }
}

/// Blocks that may wait for each other: each has a turn.
fn together(machine: &mut Machine<'_>, blocks: &mut Vec<Option<Block>>) -> Result<Pause, Box<Finding>> {
    if blocks.is_empty() {
        *blocks = (0..machine.grid).map(|index| Some(Block::new(machine, index))).collect();
    }
    let mut out = Pause::Done;
    for place in blocks.iter_mut() {
        let Some(block) = place else { continue };
        match (block.run(machine)?, out) {
            (Pause::Done, _) => {
                machine.progress += 1;
                *place = None;
            }
            (Pause::Turn, _) => out = Pause::Turn,
            (Pause::Sleeps, Pause::Done) => out = Pause::Sleeps,
            (Pause::Sleeps, _) => {}
        }
    }
    Ok(out)
}

/// Blocks one after the other, in the memory of the first.
fn in_turn(machine: &mut Machine<'_>, blocks: &mut Vec<Option<Block>>, next: &mut u32) -> Result<Pause, Box<Finding>> {
    let until = machine.clock + 2_000_000;
    loop {
        if blocks.is_empty() {
            blocks.push(Some(Block::new(machine, 0)));
        }
        let Some(Some(block)) = blocks.first_mut() else { return Ok(Pause::Done) };
        match block.run(machine)? {
            Pause::Done => {
                *next += 1;
                if *next >= machine.grid {
                    return Ok(Pause::Done);
                }
                block.restart(machine, *next);
            }
            pause @ Pause::Sleeps => return Ok(pause),
            Pause::Turn => {}
        }
        if machine.clock > until {
            return Ok(Pause::Turn);
        }
    }
}
