//! Where threads wait for each other: before a node that touches what another thread has touched since the last barrier, if one of the two writes.
//!
//! Where all that meets was touched by threads of the first warp alone, these wait for each other, and nobody else does; where it was touched by the first
//! block of several alone, the threads of each block wait for each other.
//!
//! Round a loop the walk is repeated until the accesses that are open at its head are known; a node that has got its barrier keeps it.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use whorl_schedule::loop_ir::*;
use whorl_schedule::{Touch, each_view, normal, view_of};

use crate::address::Space;
use crate::group::Team;
use crate::homes::{Home, Homes};
use crate::modes::{self, Mode};

/// Who waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Barrier {
    /// The threads of each warp for each other.
    Warp,
    /// Those of each block of several.
    Block,
    /// All threads.
    Team,
}

/// The nodes that a barrier stands before, by their address; and in which order they were found.
#[derive(Debug, Default)]
pub struct Barriers(FxHashMap<usize, (Barrier, usize)>);

impl Barriers {
    pub fn before(&self, node: &Node) -> Option<Barrier> {
        self.0.get(&key(node)).map(|(barrier, _)| *barrier)
    }

    fn insert(&mut self, node: &Node, barrier: Barrier) {
        let next = self.0.len();
        self.0.entry(key(node)).or_insert((barrier, next)).0 = barrier;
    }

    /// Of more than a warp.
    pub fn count(&self) -> usize {
        self.0.values().filter(|(b, _)| *b > Barrier::Warp).count()
    }

    /// For tests: without one of them.
    pub fn without(mut self, number: usize) -> Barriers {
        let of_many = self.0.iter().filter(|(_, (b, _))| *b > Barrier::Warp);
        let mut all: Vec<(usize, usize)> = of_many.map(|(key, (_, found))| (*found, *key)).collect();
        all.sort_unstable();
        if let Some((_, key)) = all.get(number) {
            self.0.remove(key);
        }
        self
    }
}

fn key(node: &Node) -> usize {
    node as *const Node as usize
}

/// Which thread touches which element.
#[derive(Clone, PartialEq, Debug)]
enum Who {
    /// Each of them all.
    All,
    /// Thread 0.
    First,
    /// Point p is thread p mod T's.
    Points(Way),
    /// The first of the sixteen threads of a point.
    Leaders(Way),
    /// Nothing is known.
    Other,
}

/// The elements of a view, point by point.
#[derive(Clone, PartialEq, Debug)]
struct Way {
    buffer: BufferId,
    offset: isize,
    dynamic: SmallVec<[Dynamic; 1]>,
    /// Sizes and strides, as few as can be.
    dims: SmallVec<[(usize, isize); 4]>,
}

#[derive(Clone, PartialEq, Debug)]
struct Access {
    space: Space,
    from: usize,
    to: usize,
    write: bool,
    who: Who,
    /// Only threads of the first warp do it, or of the first block, or any.
    by: Barrier,
    /// Who of them has waited for each other since.
    waited: Option<Barrier>,
}

impl Access {
    /// The barrier that must stand between the two.
    fn meets(&self, later: &Access) -> Option<Barrier> {
        let apart = self.space != later.space || self.to <= later.from || later.to <= self.from;
        if apart || !(self.write || later.write) || self.same_thread(later) {
            return None;
        }
        let wanted = self.by.max(later.by);
        (self.waited < Some(wanted)).then_some(wanted)
    }

    fn same_thread(&self, later: &Access) -> bool {
        match (&self.who, &later.who) {
            (Who::First, Who::First) => true,
            (Who::Points(a), Who::Points(b)) | (Who::Leaders(a), Who::Leaders(b)) => a == b,
            (_, _) => false,
        }
    }
}

impl Way {
    /// Nothing where two points may be one element, or where a run-time index may move them onto each other.
    fn of(view: &View, dims: &[usize]) -> Option<Way> {
        let mut merged: SmallVec<[(usize, isize); 4]> = SmallVec::new();
        for (n, stride) in dims.iter().zip(&view.strides).filter(|(n, _)| **n != 1) {
            match merged.last_mut() {
                Some((size, s)) if *s == stride * *n as isize => (*size, *s) = (*size * n, *stride),
                _ => merged.push((*n, *stride)),
            }
        }
        let mut order: Vec<(isize, isize)> = merged.iter().map(|(n, s)| (s.abs(), *n as isize)).collect();
        order.extend(view.dynamic.iter().map(|d| (d.stride.abs(), d.max as isize + 1)));
        order.sort_unstable();
        let mut reach = 0;
        for (stride, n) in order {
            if stride <= reach {
                return None;
            }
            reach += stride * (n - 1);
        }
        Some(Way { buffer: view.buffer, offset: view.offset, dynamic: view.dynamic.clone(), dims: merged })
    }
}

/// What has been touched since the last barrier.
#[derive(Clone, PartialEq, Debug, Default)]
struct Open(Vec<Access>);

impl Open {
    fn add(&mut self, access: Access) {
        if !self.0.contains(&access) {
            self.0.push(access);
        }
    }

    fn wait(&mut self, barrier: Barrier) {
        let all = std::mem::take(&mut self.0);
        if barrier == Barrier::Team {
            return;
        }
        let since = |a: &Access| if a.by <= barrier { a.waited.max(Some(barrier)) } else { a.waited };
        all.into_iter().for_each(|a| self.add(Access { waited: since(&a), ..a }));
    }

    fn join(&mut self, other: &Open) {
        other.0.iter().for_each(|a| self.add(a.clone()));
    }
}

struct Walk<'x> {
    p: &'x LoopProgram,
    homes: &'x Homes,
    team: Team,
    barriers: Barriers,
}

/// The barriers of a phase's body.
pub fn place(p: &LoopProgram, phase: &Phase, homes: &Homes, team: Team) -> Barriers {
    let mut walk = Walk { p, homes, team, barriers: Barriers::default() };
    match phase {
        Phase::Straight(body) => walk.list(body, &mut Open::default()),
        Phase::Train { index, body, .. } => walk.turns(Some(*index), &[body], None, &mut Open::default()),
    }
    walk.barriers
}

impl Walk<'_> {
    fn list(&mut self, nodes: &[Node], open: &mut Open) {
        nodes.iter().for_each(|node| self.node(node, open));
    }

    /// A loop of these lists; behind the first, `test` is read.
    fn turns(&mut self, index: Option<BufferId>, lists: &[&Vec<Node>], test: Option<BufferId>, open: &mut Open) {
        loop {
            let before = open.clone();
            let mut end = open.clone();
            // Where a `while` is left: behind its condition.
            let mut left = Open::default();
            if let Some(access) = index.and_then(|i| self.whole(i, Touch::Write, Who::First)) {
                // The index is set between two turns, with a barrier of its own where it is in memory.
                end.add(access);
            }
            for (k, list) in lists.iter().enumerate() {
                self.list(list, &mut end);
                if let (0, Some(test)) = (k, test) {
                    if let Some(access) = self.whole(test, Touch::Read, Who::All) {
                        end.add(access);
                    }
                    left = end.clone();
                }
            }
            open.join(&end);
            if *open == before {
                open.join(&left);
                return;
            }
        }
    }

    fn node(&mut self, node: &Node, open: &mut Open) {
        let accesses = self.accesses(node);
        let met = accesses.iter().flat_map(|new| open.0.iter().filter_map(|old| old.meets(new)));
        let known = self.barriers.before(node);
        // What a loop's later turns ask for may be more.
        if let Some(barrier) = known.into_iter().chain(met).max() {
            self.barriers.insert(node, barrier);
            open.wait(barrier);
        }
        accesses.into_iter().for_each(|a| open.add(a));
        match node {
            Node::Loop { index, body, .. } => self.turns(Some(*index), &[body], None, open),
            Node::While { condition, test, body, .. } => {
                self.turns(None, &[condition, body], Some(*test), open);
            }
            Node::Switch { arms, .. } => {
                let start = open.clone();
                for arm in arms {
                    let mut end = start.clone();
                    self.list(arm, &mut end);
                    open.join(&end);
                }
            }
            Node::Lanes(_)
            | Node::MatMul(_)
            | Node::Sort(_)
            | Node::Cumulative(_)
            | Node::Log { .. }
            | Node::Check(_) => {}
        }
    }

    /// Who does what so many threads do, from the first on.
    fn by(&self, threads: usize) -> Barrier {
        if threads <= 32 {
            Barrier::Warp
        } else if threads <= self.team.of_block && self.team.blocks > 1 {
            Barrier::Block
        } else {
            Barrier::Team
        }
    }

    /// All of a buffer, if it is in memory that is written.
    fn whole(&self, b: BufferId, touch: Touch, who: Who) -> Option<Access> {
        let (space, from) = match self.homes.get(b) {
            Home::Shared(at) => (Space::Shared, at),
            Home::Slab(at) => (Space::Slab, at),
            Home::Register(_) | Home::Constant(_) => return None,
        };
        let by = if who == Who::First { Barrier::Warp } else { Barrier::Team };
        let (to, write) = (from + self.p.buffer(b).bytes(), touch == Touch::Write);
        Some(Access { space, from, to, write, who, by, waited: None })
    }

    /// What a node itself touches, without its bodies.
    fn accesses(&self, node: &Node) -> Vec<Access> {
        let mut all = Vec::new();
        let mut add = |access: Option<Access>| all.extend(access);
        match node {
            Node::Loop { .. } | Node::While { .. } => {}
            Node::Switch { which, .. } => {
                if let Scalar::Buffer(b) = which {
                    add(self.whole(*b, Touch::Read, Who::All));
                }
            }
            Node::Lanes(l) => return self.lanes(&normal::normalise(l)),
            Node::Cumulative(c) => {
                let one = c.rows.iter().product::<usize>() == 1;
                let who = || if one { Who::First } else { Who::Other };
                add(self.whole(c.from.buffer, Touch::Read, who()));
                add(self.whole(c.to.buffer, Touch::Write, who()));
            }
            Node::MatMul(_) | Node::Sort(_) | Node::Log { .. } | Node::Check(_) => {
                each_view(node, &mut |v, touch| all.extend(self.whole(v.buffer, touch, Who::Other)));
            }
        }
        each_view(node, &mut |v, _| {
            for d in &v.dynamic {
                all.extend(self.whole(d.index, Touch::Read, Who::All));
            }
        });
        all
    }

    fn lanes(&self, l: &Lanes) -> Vec<Access> {
        let mode = modes::mode(self.p, l, &self.homes.promoted, self.team.threads());
        let dims = l.dims.len();
        let flat = |v: &View| v.strides[dims.min(v.strides.len())..].iter().all(|s| *s == 0);
        let way = |v: &View| {
            let v = View { strides: v.strides[..dims.min(v.strides.len())].into(), ..v.clone() };
            Way::of(&v, &l.dims)
        };
        let mut all = Vec::new();
        // Point p is thread p's, or that of thread p mod T; all of them read what is the same for all.
        let points = l.dims.iter().product::<usize>();
        let by = match mode {
            Mode::Points | Mode::InOrder(1..) => self.by(points),
            Mode::FirstSixteen => Barrier::Warp,
            Mode::Sixteens if points > 1 && self.team.blocks > 1 => self.by((points * 16).next_multiple_of(32)),
            Mode::Everyone | Mode::First | Mode::Sixteens | Mode::InOrder(0) => Barrier::Team,
        };
        let mut add = |v: &View, touch: Touch, who: Who| {
            for d in &v.dynamic {
                all.extend(self.whole(d.index, Touch::Read, Who::All));
            }
            let uniform = touch == Touch::Read && v.strides.iter().all(|s| *s == 0);
            let access = self.whole(v.buffer, touch, who);
            let by = if uniform && mode != Mode::FirstSixteen { Barrier::Team } else { by };
            all.extend(access.map(|a| Access { by: a.by.min(by), ..a }));
        };
        for op in &l.ops {
            let Some(v) = view_of(&op.kind) else { continue };
            let (write, plain) = match op.kind {
                LaneKind::Store(..) => (true, true),
                LaneKind::Scatter { .. } => (true, false),
                LaneKind::Gather(..) => (false, false),
                _ => (false, true),
            };
            let who = match mode {
                Mode::Everyone if write => Who::First,
                Mode::Everyone => Who::All,
                Mode::First => Who::First,
                Mode::Points if plain && flat(v) => match way(v) {
                    Some(way) => Who::Points(way),
                    None => Who::Other,
                },
                Mode::InOrder(0) => Who::First,
                Mode::Points | Mode::Sixteens | Mode::FirstSixteen | Mode::InOrder(_) => Who::Other,
            };
            add(v, if write { Touch::Write } else { Touch::Read }, who.clone());
            if let LaneKind::Scatter { add: true, .. } = op.kind {
                add(v, Touch::Read, who);
            }
        }
        for r in &l.reductions {
            let who = match mode {
                Mode::Everyone | Mode::First | Mode::FirstSixteen | Mode::InOrder(0) => Who::First,
                Mode::InOrder(_) => Who::Other,
                Mode::Sixteens if l.dims.is_empty() => Who::First,
                Mode::Points => way(&r.into).map_or(Who::Other, Who::Points),
                Mode::Sixteens => way(&r.into).map_or(Who::Other, Who::Leaders),
            };
            add(&r.into, Touch::Write, who);
        }
        all
    }
}
