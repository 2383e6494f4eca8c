//! Places in the arena, by the stretches of time in which buffers hold something, and the state of train scans.
//!
//! Time is the order of the text. A buffer lives from its first to its last access; if an access lies in a loop and another
//! outside of it, or if the loop's body reads it before it writes it, through the whole loop.

use crate::accesses::*;
use crate::loop_ir::*;

/// Buffers begin at multiples of a cache line, which is also the widest vector.
const ALIGN: usize = 64;

/// Inclusive.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Interval {
    pub begin: usize,
    pub end: usize,
}

impl Interval {
    fn overlaps(self, other: Interval) -> bool {
        self.begin <= other.end && other.begin <= self.end
    }

    fn holds(self, other: Interval) -> bool {
        self.begin <= other.begin && other.end <= self.end
    }
}

pub fn place(p: &mut LoopProgram) {
    let times = Times::of(p);
    let intervals = times.intervals(p);
    let mut train = times.train.iter();
    let crossing = |span: Interval| -> Vec<BufferId> {
        let held = |k: &usize| intervals[*k].is_some_and(|i| i.holds(span)) && in_arena(&p.buffers[*k]);
        (0..p.buffers.len()).filter(held).map(|k| BufferId(k as u32)).collect()
    };
    let states: Vec<Vec<BufferId>> = train.by_ref().map(|s| crossing(*s)).collect();
    let mut states = states.into_iter();
    for phase in &mut p.phases {
        if let Phase::Train { state, .. } = phase {
            *state = states.next().expect("a state for each train scan");
        }
    }
    assign(p, &intervals);
}

/// From when to when each buffer holds something, in accesses counted in the order of the text; `None` for what nothing touches.
pub fn lifetimes(p: &LoopProgram) -> Vec<Option<Interval>> {
    Times::of(p).intervals(p)
}

fn in_arena(b: &Buffer) -> bool {
    match b.place {
        Place::Arena(_) => true,
        Place::Constant(_) => false,
    }
}

/// Gives every buffer of the arena its place.
fn assign(p: &mut LoopProgram, intervals: &[Option<Interval>]) {
    let lives = |k: &usize| intervals[*k].filter(|_| in_arena(&p.buffers[*k])).map(|i| (*k, i));
    let living: Vec<(usize, Interval)> = (0..p.buffers.len()).filter_map(|k| lives(&k)).collect();
    let items: Vec<(usize, Interval)> = living.iter().map(|(k, i)| (p.buffers[*k].bytes(), *i)).collect();
    let (places, total) = pack(&items);
    for ((k, _), at) in living.iter().zip(places) {
        p.buffers[*k].place = Place::Arena(at);
    }
    p.arena_bytes = total;
}

/// Places for so many bytes each, that share bytes only if they live at different times; and how many bytes that takes. The largest first,
/// each at the lowest place where nothing lies that lives at the same time.
pub fn pack(items: &[(usize, Interval)]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&k| (std::cmp::Reverse(items[k].0), items[k].1.begin));
    // (begin, end, interval), by begin.
    let mut placed: Vec<(usize, usize, Interval)> = Vec::new();
    let (mut places, mut total) = (vec![0; items.len()], 0);
    for k in order {
        let (bytes, interval) = (items[k].0.next_multiple_of(ALIGN), items[k].1);
        let mut at = 0;
        for &(begin, end, other) in &placed {
            if begin >= at + bytes {
                break;
            }
            if end > at && other.overlaps(interval) {
                at = end;
            }
        }
        places[k] = at;
        if bytes > 0 {
            let position = placed.partition_point(|x| x.0 <= at);
            placed.insert(position, (at, at + bytes, interval));
        }
        total = total.max(at + bytes);
    }
    (places, total)
}

/// All accesses in the order of the text, and the stretches of the loops.
struct Times {
    now: usize,
    accesses: Vec<Vec<(usize, Touch)>>,
    /// Inner ones before those around.
    loops: Vec<Interval>,
    train: Vec<Interval>,
}

impl Times {
    fn of(p: &LoopProgram) -> Times {
        let mut t = Times { now: 1, accesses: vec![Vec::new(); p.buffers.len()], loops: Vec::new(), train: Vec::new() };
        for b in p.inputs.iter().chain(&p.run_index) {
            t.accesses[b.0 as usize].push((0, Touch::Write));
        }
        for phase in &p.phases {
            match phase {
                Phase::Straight(body) => t.block(body),
                Phase::Train { index, body, .. } => {
                    let span = t.repeated(Some(*index), &[body], None);
                    t.train.push(span);
                }
            }
        }
        // The host writes inputs when it likes to, and reads results at the end.
        for b in p.inputs.iter().chain(&p.run_index).chain(&p.outputs) {
            t.accesses[b.0 as usize].push((t.now, Touch::Read));
        }
        t
    }

    fn block(&mut self, nodes: &[Node]) {
        nodes.iter().for_each(|n| self.node(n));
    }

    fn touch(&mut self, b: BufferId, touch: Touch) {
        self.accesses[b.0 as usize].push((self.now, touch));
    }

    fn repeated(&mut self, index: Option<BufferId>, blocks: &[&Vec<Node>], test: Option<BufferId>) -> Interval {
        let begin = self.now;
        self.now += 1;
        if let Some(b) = index {
            self.touch(b, Touch::Write);
        }
        for (k, block) in blocks.iter().enumerate() {
            self.block(block);
            if let (0, Some(b)) = (k, test) {
                self.touch(b, Touch::Read);
                self.now += 1;
            }
        }
        // A loop's counter lives as long as the loop: the backend counts with it.
        if let Some(b) = index {
            self.touch(b, Touch::Read);
        }
        let span = Interval { begin, end: self.now };
        self.now += 1;
        self.loops.push(span);
        span
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Loop { index, body, .. } => {
                self.repeated(Some(*index), &[body], None);
            }
            Node::While { condition, test, body, .. } => {
                self.repeated(None, &[condition, body], Some(*test));
            }
            Node::Switch { which, arms } => {
                if let Scalar::Buffer(b) = which {
                    self.touch(*b, Touch::Read);
                }
                self.now += 1;
                arms.iter().for_each(|a| self.block(a));
            }
            Node::Lanes(_)
            | Node::MatMul(_)
            | Node::Sort(_)
            | Node::Cumulative(_)
            | Node::Log { .. }
            | Node::Check(_) => {
                each_access(node, &mut |b, t| self.touch(b, t));
                self.now += 1;
            }
        }
    }

    fn intervals(&self, p: &LoopProgram) -> Vec<Option<Interval>> {
        debug_assert_eq!(p.buffers.len(), self.accesses.len());
        self.accesses.iter().map(|a| self.interval(a)).collect()
    }

    fn interval(&self, accesses: &[(usize, Touch)]) -> Option<Interval> {
        let (begin, first) = *accesses.first()?;
        let mut i = Interval { begin, end: accesses.iter().map(|a| a.0).max()? };
        for &span in &self.loops {
            let inside = span.holds(i);
            let crosses = i.overlaps(span) && !inside;
            // In the text's order, an inner loop's own first read is the body's.
            let carried = inside && first == Touch::Read;
            if crosses || carried {
                i = Interval { begin: i.begin.min(span.begin), end: i.end.max(span.end) };
            }
        }
        Some(i)
    }
}
