//! Which buffers hold something that is still to be read, at every node.
//!
//! A buffer comes to life where its *home block* (the innermost that holds all its accesses) first touches it, if that is a
//! write; and anew wherever a node overwrites all of it. Everything else is the usual backward flow over structured code.

use rustc_hash::FxHashMap;

use crate::accesses::*;
use crate::array::injective;
use crate::loop_ir::*;

/// A set of buffers.
#[derive(Clone, PartialEq, Debug)]
pub struct BufferSet(Vec<u64>);

impl BufferSet {
    pub fn new(n: usize) -> BufferSet {
        BufferSet(vec![0; n.div_ceil(64)])
    }

    pub fn insert(&mut self, b: BufferId) {
        self.0[b.0 as usize / 64] |= 1 << (b.0 % 64);
    }

    pub fn remove(&mut self, b: BufferId) {
        self.0[b.0 as usize / 64] &= !(1 << (b.0 % 64));
    }

    pub fn contains(&self, b: BufferId) -> bool {
        self.0[b.0 as usize / 64] >> (b.0 % 64) & 1 == 1
    }

    fn union(&mut self, other: &BufferSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    pub fn iter(&self) -> impl Iterator<Item = BufferId> + '_ {
        self.0.iter().enumerate().flat_map(|(k, &word)| {
            (0..64).filter(move |i| word >> i & 1 == 1).map(move |i| BufferId((k * 64 + i) as u32))
        })
    }
}

/// For a node without bodies (by its address in the program): what lives when it is done.
pub struct Liveness {
    after: FxHashMap<*const Node, BufferSet>,
}

impl Liveness {
    pub fn after(&self, node: &Node) -> &BufferSet {
        &self.after[&(node as *const Node)]
    }

    pub fn of(p: &LoopProgram) -> Liveness {
        let mut flow = Flow { p, births: births(p), after: FxHashMap::default() };
        let mut live = BufferSet::new(p.buffers.len());
        p.outputs.iter().for_each(|b| live.insert(*b));
        for phase in p.phases.iter().rev() {
            match phase {
                Phase::Straight(body) => flow.block(body, &mut live),
                Phase::Train { index, body, .. } => {
                    flow.repeated(*index, body, &mut live);
                    flow.born(address(phase), &mut live);
                }
            }
        }
        Liveness { after: flow.after }
    }
}

struct Flow<'a> {
    p: &'a LoopProgram,
    births: FxHashMap<usize, Vec<BufferId>>,
    after: FxHashMap<*const Node, BufferSet>,
}

impl Flow<'_> {
    fn block(&mut self, nodes: &[Node], live: &mut BufferSet) {
        for node in nodes.iter().rev() {
            self.node(node, live);
            self.born(address(node), live);
        }
    }

    fn born(&self, at: usize, live: &mut BufferSet) {
        self.births.get(&at).into_iter().flatten().for_each(|b| live.remove(*b));
    }

    fn repeated(&mut self, index: BufferId, body: &[Node], live: &mut BufferSet) {
        let end = live.clone();
        loop {
            let mut at_end = end.clone();
            at_end.union(live);
            let mut begin = at_end.clone();
            self.block(body, &mut begin);
            begin.remove(index);
            begin.union(&end);
            if begin == *live {
                return;
            }
            *live = begin;
        }
    }

    fn node(&mut self, node: &Node, live: &mut BufferSet) {
        match node {
            Node::Loop { index, body, .. } => self.repeated(*index, body, live),
            Node::While { condition, test, body, .. } => {
                let end = live.clone();
                *live = BufferSet::new(self.p.buffers.len());
                loop {
                    // Behind the condition: either it is over, or the body and the condition come again.
                    let mut begin = live.clone();
                    self.block(body, &mut begin);
                    begin.union(&end);
                    begin.insert(*test);
                    self.block(condition, &mut begin);
                    if begin == *live {
                        return;
                    }
                    *live = begin;
                }
            }
            Node::Switch { which, arms } => {
                let end = live.clone();
                *live = BufferSet::new(self.p.buffers.len());
                for arm in arms {
                    let mut arm_live = end.clone();
                    self.block(arm, &mut arm_live);
                    live.union(&arm_live);
                }
                if let Scalar::Buffer(b) = which {
                    live.insert(*b);
                }
            }
            Node::Lanes(_)
            | Node::MatMul(_)
            | Node::Sort(_)
            | Node::Cumulative(_)
            | Node::Log { .. }
            | Node::Check(_) => {
                self.after.insert(node, live.clone());
                overwritten(self.p, node).into_iter().for_each(|b| live.remove(b));
                each_access(node, &mut |b, touch| {
                    if touch == Touch::Read {
                        live.insert(b);
                    }
                });
            }
        }
    }
}

/// The buffers of which a node (without bodies) writes every element.
fn overwritten(p: &LoopProgram, node: &Node) -> Vec<BufferId> {
    let covers = |v: &View, dims: &[usize]| {
        let b = p.buffer(v.buffer);
        v.dynamic.is_empty() && dims.iter().product::<usize>() == b.len() && injective(dims, &v.strides[..dims.len()])
    };
    let mut all = Vec::new();
    let mut check = |v: &View, dims: &[usize]| {
        if covers(v, dims) {
            all.push(v.buffer);
        }
    };
    match node {
        Node::Lanes(l) => {
            let full: Vec<usize> = l.dims.iter().chain(&l.reduced).copied().collect();
            for op in &l.ops {
                if let LaneKind::Store(v, _) = &op.kind {
                    check(v, &full);
                }
            }
            l.reductions.iter().for_each(|r| check(&r.into, &l.dims));
        }
        Node::MatMul(m) => {
            let full: Vec<usize> = m.batch.iter().chain([&m.m, &m.n]).copied().collect();
            check(&m.c, &full);
        }
        Node::Sort(s) => {
            let full: Vec<usize> = s.rows.iter().chain([&s.n]).copied().collect();
            s.to.iter().for_each(|v| check(v, &full));
        }
        Node::Cumulative(c) => {
            let full: Vec<usize> = c.rows.iter().chain([&c.n]).copied().collect();
            check(&c.to, &full);
        }
        Node::Log { .. } | Node::Check(_) | Node::Loop { .. } | Node::While { .. } | Node::Switch { .. } => {}
    }
    all
}

/// For each node or train scan (by address), the buffers whose home block it is in and touches first there, by a write.
fn births(p: &LoopProgram) -> FxHashMap<usize, Vec<BufferId>> {
    let mut births: FxHashMap<usize, Vec<BufferId>> = FxHashMap::default();
    let mut walk = Walk { home: vec![None; p.buffers.len()] };
    for b in p.inputs.iter().chain(&p.run_index) {
        walk.home[b.0 as usize] = Some(Home { path: Vec::new(), written_first: false });
    }
    let mut path = Vec::new();
    for phase in &p.phases {
        match phase {
            // Phases of straight code are one block.
            Phase::Straight(body) => walk.block(body, &mut path),
            Phase::Train { index, body, .. } => {
                path.push(Step::Node(address(phase)));
                walk.touch(*index, Touch::Write, &path);
                path.push(Step::Body(0));
                walk.block(body, &mut path);
                path.truncate(0);
            }
        }
    }
    p.outputs.iter().for_each(|b| walk.touch(*b, Touch::Read, &[]));
    for (k, home) in walk.home.iter().enumerate() {
        if let Some(Home { path, written_first: true }) = home
            && let Some(Step::Node(at)) = path.last()
        {
            births.entry(*at).or_default().push(BufferId(k as u32));
        }
    }
    births
}

fn address<T>(x: &T) -> usize {
    std::ptr::from_ref(x) as usize
}

/// On the way to a node: nodes, by address, and between two of them which body of the outer one holds the inner one.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Node(usize),
    Body(usize),
}

#[derive(Clone)]
struct Home {
    /// To the node of the home block (of the accesses so far) that touches the buffer first.
    path: Vec<Step>,
    written_first: bool,
}

struct Walk {
    home: Vec<Option<Home>>,
}

impl Walk {
    fn block(&mut self, nodes: &[Node], path: &mut Vec<Step>) {
        for node in nodes {
            path.push(Step::Node(address(node)));
            match node {
                Node::Loop { index, .. } => self.touch(*index, Touch::Write, path),
                Node::Switch { which: Scalar::Buffer(b), .. } => self.touch(*b, Touch::Read, path),
                Node::While { .. } | Node::Switch { which: Scalar::Lit(_), .. } => {}
                Node::Lanes(_)
                | Node::MatMul(_)
                | Node::Sort(_)
                | Node::Cumulative(_)
                | Node::Log { .. }
                | Node::Check(_) => each_access(node, &mut |b, t| self.touch(b, t, path)),
            }
            for (k, body) in bodies(node).into_iter().enumerate() {
                path.push(Step::Body(k));
                self.block(body, path);
                path.pop();
                if let (0, Node::While { test, .. }) = (k, node) {
                    self.touch(*test, Touch::Read, path);
                }
            }
            path.pop();
        }
    }

    fn touch(&mut self, b: BufferId, touch: Touch, path: &[Step]) {
        match &mut self.home[b.0 as usize] {
            Some(home) => {
                let same = home.path.iter().zip(path).take_while(|(a, b)| a == b).count();
                // Two nodes of one block: the earlier one stays. Two bodies of one node: that node is it.
                match home.path.get(same) {
                    Some(Step::Node(_)) => home.path.truncate(same + 1),
                    Some(Step::Body(_)) => home.path.truncate(same),
                    None => {}
                }
            }
            none => *none = Some(Home { path: path.to_vec(), written_first: touch == Touch::Write }),
        }
    }
}
