//! What comes before what.
//!
//! The time of a block is cut into *intervals* by its barriers. Two accesses of one block in different intervals are
//! ordered; two in one interval are, if one thread made both, or lanes of a warp met at a `bar.warp.sync` between them, or
//! one was released and the release acquired before the other. Between blocks only release and acquire order. So a
//! clock is a number of intervals for each block, which are wholly past, and *points*: single threads of an interval
//! up to some moment, which is all that a thread can release of an interval that is not over.

use std::sync::Arc;

/// An access in time: interval (32 bits), thread (10), moment of its warp (18), flags (4).
pub type Stamp = u64;

pub const MANY_IN_WARP: u64 = 1;
pub const MANY_IN_BLOCK: u64 = 2;
/// Atomic, volatile, relaxed, acquire or release: does not race with its like.
pub const STRONG: u64 = 4;
/// Readers of other blocks are in the side table.
pub const SIDE: u64 = 8;
pub const FLAGS: u64 = 15;
pub const MOMENTS: u32 = 1 << 18;

pub fn stamp(interval: u32, thread: u32, moment: u32) -> Stamp {
    u64::from(interval) << 32 | u64::from(thread) << 22 | u64::from(moment) << 4
}

pub fn interval(stamp: Stamp) -> u32 {
    (stamp >> 32) as u32
}

pub fn thread(stamp: Stamp) -> u32 {
    (stamp >> 22) as u32 & 1023
}

pub fn moment(stamp: Stamp) -> u32 {
    (stamp >> 4) as u32 & (MOMENTS - 1)
}

/// Thread `thread` of interval `interval`, up to and with the moment.
#[derive(Clone, Copy, Debug)]
struct Point {
    interval: u32,
    thread: u32,
    moment: u32,
}

#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// For each block how many of its intervals are past.
    blocks: Vec<u32>,
    points: Vec<Point>,
}

impl Clock {
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.points.is_empty()
    }

    pub fn join(&mut self, other: &Clock) {
        if self.blocks.len() < other.blocks.len() {
            self.blocks.resize(other.blocks.len(), 0);
        }
        for (to, from) in self.blocks.iter_mut().zip(&other.blocks) {
            *to = (*to).max(*from);
        }
        for point in &other.points {
            self.add(*point);
        }
    }

    fn add(&mut self, point: Point) {
        let same = |other: &&mut Point| other.interval == point.interval && other.thread == point.thread;
        match self.points.iter_mut().find(same) {
            Some(found) => found.moment = found.moment.max(point.moment),
            None => self.points.push(point),
        }
    }

    pub fn set_block(&mut self, block: u32, past: u32) {
        if self.blocks.len() <= block as usize {
            self.blocks.resize(block as usize + 1, 0);
        }
        let to = &mut self.blocks[block as usize];
        *to = (*to).max(past);
    }

    pub fn add_point(&mut self, interval: u32, thread: u32, moment: u32) {
        self.add(Point { interval, thread, moment });
    }

    /// Forgets the points of intervals that are past as a whole.
    fn prune(&mut self, intervals: &Intervals) {
        let blocks = &self.blocks;
        self.points.retain(|point| {
            let (block, number) = intervals.get(point.interval);
            blocks.get(block as usize).is_none_or(|past| *past <= number)
        });
    }

    fn covers(&self, at: Stamp, block: u32, number: u32) -> bool {
        if self.blocks.get(block as usize).is_some_and(|past| *past > number) {
            return true;
        }
        // Of several readers only one is known: no point says that all of them are past.
        at & (MANY_IN_WARP | MANY_IN_BLOCK) == 0 && self.covers_point(at)
    }

    fn covers_point(&self, at: Stamp) -> bool {
        self.points
            .iter()
            .any(|point| point.interval == interval(at) && point.thread == thread(at) && point.moment >= moment(at))
    }
}

/// The intervals of a launch: of which block each is, and which of the block's.
#[derive(Default)]
pub struct Intervals {
    /// The first interval of the launch. Everything earlier is past.
    pub first: u32,
    table: Vec<(u32, u32)>,
}

impl Intervals {
    /// A new launch. Numbers go on, so that shadows need not be cleared (2^32 intervals, of all blocks of all launches,
    /// are more than an emulator does in days).
    pub fn launch(&mut self) {
        self.first = self.first.max(1) + self.table.len() as u32;
        self.table.clear();
    }

    pub fn begin(&mut self, block: u32, number: u32) -> u32 {
        self.table.push((block, number));
        self.first + self.table.len() as u32 - 1
    }

    pub fn get(&self, interval: u32) -> (u32, u32) {
        self.table[(interval - self.first) as usize]
    }
}

/// What a block knows of time.
pub struct BlockOrder {
    pub block: u32,
    pub interval: u32,
    /// Which of the block's intervals this is.
    pub number: u32,
    /// The first interval of the block.
    pub first: u32,
    /// What is past for all of its threads, of other blocks.
    pub clock: Clock,
}

/// What a lane knows more than its block.
#[derive(Clone, Default)]
pub struct LaneOrder {
    pub acquired: Clock,
    /// Seen by relaxed reads; acquired by the next fence.
    pub pending: Clock,
    /// What was past at the last fence: relaxed writes release it.
    pub fenced: Option<Arc<Clock>>,
    fenced_cta: bool,
}

/// What a warp knows of time. `seen[j][i]`: moments of lane i before it are past for lane j.
pub struct WarpOrder {
    pub warp: u32,
    pub moment: u32,
    seen: Option<Box<[[u32; 32]; 32]>>,
    lanes: Option<Box<[LaneOrder; 32]>>,
}

impl WarpOrder {
    pub fn new(warp: u32) -> WarpOrder {
        WarpOrder { warp, moment: 0, seen: None, lanes: None }
    }

    fn lane(&mut self, lane: u32) -> &mut LaneOrder {
        &mut self.lanes.get_or_insert_with(Default::default)[lane as usize]
    }

    /// `bar.warp.sync`
    pub fn meet(&mut self, members: u32) {
        self.moment += 1;
        let seen = self.seen.get_or_insert_with(|| Box::new([[0; 32]; 32]));
        let lanes: Vec<usize> = (0..32).filter(|lane| members >> lane & 1 == 1).collect();
        let mut joined = [0; 32];
        for &lane in &lanes {
            for (to, from) in joined.iter_mut().zip(&seen[lane]) {
                *to = u32::max(*to, *from);
            }
        }
        for &lane in &lanes {
            joined[lane] = self.moment;
        }
        for &lane in &lanes {
            seen[lane] = joined;
        }
        if let Some(all) = &mut self.lanes {
            let mut clock = Clock::default();
            lanes.iter().for_each(|lane| clock.join(&all[*lane].acquired));
            if !clock.is_empty() {
                lanes.iter().for_each(|lane| all[*lane].acquired = clock.clone());
            }
        }
    }

    /// A barrier of the block: what lanes acquired is given to `clock`, and moments begin anew.
    pub fn barrier(&mut self, clock: &mut Clock) {
        self.moment = 0;
        self.seen = None;
        for lane in self.lanes.iter_mut().flat_map(|lanes| lanes.iter_mut()) {
            clock.join(&std::mem::take(&mut lane.acquired));
        }
    }

    /// All that is past for a lane now, its own accesses with it. What it does afterwards is not.
    fn release(&mut self, lane: u32, block: &BlockOrder) -> Clock {
        let mut clock = block.clock.clone();
        if let Some(lanes) = &self.lanes {
            clock.join(&lanes[lane as usize].acquired);
        }
        clock.set_block(block.block, block.number);
        clock.add_point(block.interval, self.warp * 32 + lane, self.moment);
        if let Some(seen) = &self.seen {
            for (other, seen) in seen[lane as usize].iter().enumerate().filter(|(_, seen)| **seen > 0) {
                clock.add_point(block.interval, self.warp * 32 + other as u32, seen - 1);
            }
        }
        self.moment += 1;
        clock
    }

    /// Whether lane has acquired something in this interval, or met lanes since a moment.
    fn alone_since(&self, lane: u32, moment: u32) -> bool {
        let met = self.seen.as_ref().is_some_and(|seen| seen[lane as usize].iter().any(|seen| *seen > moment));
        !met && !self.has_acquired(lane)
    }

    fn has_acquired(&self, lane: u32) -> bool {
        self.lanes.as_ref().is_some_and(|lanes| !lanes[lane as usize].acquired.is_empty())
    }
}

/// What was released at an address.
pub struct Released {
    clock: Clock,
    block: u32,
    /// Only for threads of the same block.
    cta: bool,
}

impl Released {
    fn for_block(&self, block: u32, cta: bool) -> Option<&Clock> {
        (self.block == block || !(self.cta || cta)).then_some(&self.clock)
    }
}

/// How a synchronising access is ordered, and within what.
#[derive(Clone, Copy)]
pub struct Ordering {
    pub acquire: bool,
    pub release: bool,
    pub cta: bool,
}

/// A lane reads from an address that others may have released at.
pub fn synchronise_read(
    released: Option<&Released>,
    warp: &mut WarpOrder,
    lane: u32,
    block: &BlockOrder,
    order: Ordering,
) {
    if let Some(clock) = released.and_then(|released| released.for_block(block.block, order.cta)) {
        let lane = warp.lane(lane);
        if order.acquire { lane.acquired.join(clock) } else { lane.pending.join(clock) }
    }
}

/// A lane writes to an address; `before` is what was released there, if the write goes on with that (an atomic does).
pub fn synchronise_write(
    before: Option<Released>,
    warp: &mut WarpOrder,
    lane: u32,
    block: &BlockOrder,
    order: Ordering,
    intervals: &Intervals,
) -> Option<Released> {
    let (clock, cta) = if order.release {
        (Some(warp.release(lane, block)), order.cta)
    } else {
        let lane = warp.lanes.as_ref().map(|lanes| &lanes[lane as usize]);
        let cta = order.cta || lane.is_some_and(|lane| lane.fenced_cta);
        (lane.and_then(|lane| lane.fenced.as_ref().map(|clock| (**clock).clone())), cta)
    };
    match (before, clock) {
        (before, None) => before,
        (None, Some(clock)) => Some(Released { clock, block: block.block, cta }),
        (Some(mut before), Some(clock)) => {
            before.clock.join(&clock);
            before.clock.prune(intervals);
            before.cta &= cta;
            before.block = block.block;
            Some(before)
        }
    }
}

/// A fence of a lane.
pub fn fence(warp: &mut WarpOrder, lane: u32, block: &BlockOrder, cta: bool) {
    let order = warp.lane(lane);
    let pending = std::mem::take(&mut order.pending);
    order.acquired.join(&pending);
    let clock = Arc::new(warp.release(lane, block));
    let order = warp.lane(lane);
    order.fenced = Some(clock);
    order.fenced_cta = cta;
}

/// A barrier of some of a block's threads: each learns of all.
pub fn partial_barrier(block: &BlockOrder, warps: &mut [(&mut WarpOrder, u32)]) {
    let mut all = Clock::default();
    for (warp, mask) in warps.iter_mut() {
        for lane in (0..32).filter(|lane| *mask >> lane & 1 == 1) {
            all.join(&warp.release(lane, block));
        }
    }
    for (warp, mask) in warps {
        for lane in (0..32).filter(|lane| *mask >> lane & 1 == 1) {
            warp.lane(lane).acquired.join(&all);
        }
    }
}

impl BlockOrder {
    pub fn prune(&mut self, intervals: &Intervals) {
        self.clock.prune(intervals);
    }
}

/// Decides for the lanes of a warp what is past.
pub struct Judge<'a> {
    pub intervals: &'a Intervals,
    pub block: &'a BlockOrder,
    pub warp: &'a WarpOrder,
    /// Intervals before this one are past, without a further look.
    pub first: u32,
    /// Intervals from this one on are the block's own: past, but for the one that is now.
    pub own: u32,
}

impl Judge<'_> {
    pub fn stamp(&self, lane: u32) -> Stamp {
        stamp(self.block.interval, self.warp.warp * 32 + lane, self.warp.moment)
    }

    /// Whether an access is past for a reason that is seen at once.
    #[inline(always)]
    pub fn is_quickly_past(&self, at: Stamp) -> bool {
        let when = interval(at);
        when < self.first || (when >= self.own && when != self.block.interval)
    }

    /// Whether an access of the launch is past for a lane.
    #[inline(never)]
    pub fn past(&self, at: Stamp, lane: u32) -> bool {
        let when = interval(at);
        if when < self.intervals.first {
            return true;
        }
        if when == self.block.interval {
            let who = thread(at);
            if who == self.warp.warp * 32 + lane {
                return true;
            }
            let seen = self.warp.seen.as_ref().filter(|_| who / 32 == self.warp.warp);
            if seen.is_some_and(|seen| moment(at) < seen[lane as usize][who as usize % 32]) {
                return true;
            }
            let lanes = self.warp.lanes.as_ref();
            return lanes.is_some_and(|lanes| lanes[lane as usize].acquired.covers_point(at));
        }
        let (block, number) = self.intervals.get(when);
        if block == self.block.block || self.block.clock.covers(at, block, number) {
            return true;
        }
        let lanes = self.warp.lanes.as_ref();
        lanes.is_some_and(|lanes| lanes[lane as usize].acquired.covers(at, block, number))
    }

    /// Whether reads of this interval, some of them by other threads, certainly are not past for a lane.
    pub fn many_not_past(&self, at: Stamp, lane: u32) -> bool {
        let mine = self.warp.warp * 32 + lane;
        if at & MANY_IN_BLOCK != 0 {
            return !self.warp.has_acquired(lane);
        }
        if at & MANY_IN_WARP != 0 && thread(at) == mine {
            return self.warp.alone_since(lane, moment(at));
        }
        !self.past(at, lane)
    }
}
