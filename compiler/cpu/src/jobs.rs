//! The functions that a program becomes.
//!
//! Compile time grows faster than a function's size, so that long lists of nodes are cut into functions of about equal size.

use std::collections::HashMap;
use std::ops::Range;

use whorl_schedule::cost;
use whorl_schedule::loop_ir::{LoopProgram, Node, Phase};

use crate::Options;
use crate::lanes::{self, Plan};
use crate::share::{self, Share};

/// Which function.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct JobId(pub u32);

/// What a function does.
#[derive(Debug)]
pub enum Job<'p> {
    Lanes(Box<Plan>),
    /// Part of a list of nodes.
    Block(&'p [Node]),
    Phase(&'p Phase),
}

impl Job<'_> {
    /// Whether the function is told from where to where it is to go.
    pub fn has_range(&self) -> bool {
        match self {
            Job::Lanes(plan) => plan.range.is_some(),
            Job::Block(_) => false,
            Job::Phase(_) => true,
        }
    }
}

/// All functions of a program, and which node is where.
#[derive(Debug, Default)]
pub struct Jobs<'p> {
    pub jobs: Vec<Job<'p>>,
    /// Rough instructions of each.
    pub weights: Vec<usize>,
    /// The phases' functions, in order.
    pub phases: Vec<JobId>,
    /// Lane loops (and cumulative ones), by the address of their node.
    pub loops: HashMap<usize, Callee>,
    /// Lists that are cut, by their address and length.
    pub cuts: HashMap<(usize, usize), Vec<JobId>>,
    /// What is worth several threads, by the address of its node.
    pub shares: HashMap<usize, Share>,
    /// Where time is measured: the numbers of nodes without bodies, as [`cost::leaves`] counts them; empty where it is not.
    pub laps: HashMap<usize, u32>,
}

/// Where a lane loop's code is.
#[derive(Debug)]
pub enum Callee {
    Inline(Box<Plan>),
    Function(JobId),
}

/// A node's address, as its name.
pub fn node_key(node: &Node) -> usize {
    node as *const Node as usize
}

pub fn list_key(nodes: &[Node]) -> (usize, usize) {
    (nodes.as_ptr() as usize, nodes.len())
}

/// Rough instructions of a function of control flow, at most.
const CONTROL: usize = 1000;
/// What a scalar loop may cost to stand among control flow.
const INLINE: usize = 200;
const CALL: usize = 6;

impl<'p> Jobs<'p> {
    pub fn of(program: &'p LoopProgram, options: &Options) -> Jobs<'p> {
        let mut jobs = Jobs::default();
        if options.profile {
            let leaves = program.phases.iter().flat_map(|p| cost::leaves(program, p.body()));
            jobs.laps = leaves.enumerate().map(|(k, l)| (node_key(l.node), k as u32)).collect();
        }
        for phase in &program.phases {
            let (Phase::Straight(nodes) | Phase::Train { body: nodes, .. }) = phase;
            let weight = jobs.list(program, nodes, &share::in_phase(program, phase, options));
            let id = jobs.push(Job::Phase(phase), weight);
            jobs.phases.push(id);
        }
        jobs
    }

    fn push(&mut self, job: Job<'p>, weight: usize) -> JobId {
        self.jobs.push(job);
        self.weights.push(weight);
        JobId(self.jobs.len() as u32 - 1)
    }

    /// Gives every loop of the list its place, and returns what the list weighs where it stands.
    fn list(&mut self, program: &LoopProgram, nodes: &'p [Node], options: &Options) -> usize {
        let weights: Vec<usize> = nodes.iter().map(|node| self.node(program, node, options)).collect();
        let total = weights.iter().sum();
        if total <= CONTROL {
            return total;
        }
        let mut cuts: Vec<(Range<usize>, usize)> = Vec::new();
        for (k, &weight) in weights.iter().enumerate() {
            match cuts.last_mut() {
                Some((range, sum)) if *sum + weight <= CONTROL => {
                    range.end = k + 1;
                    *sum += weight;
                }
                _ => cuts.push((k..k + 1, weight)),
            }
        }
        if cuts.len() == 1 {
            return total;
        }
        let cuts: Vec<JobId> =
            cuts.into_iter().map(|(range, weight)| self.push(Job::Block(&nodes[range]), weight)).collect();
        let weight = CALL * cuts.len();
        self.cuts.insert(list_key(nodes), cuts);
        weight
    }

    fn node(&mut self, program: &LoopProgram, node: &'p Node, options: &Options) -> usize {
        let share = Share::of(program, node, options);
        let parts = share.map_or(1, |s| s.parts);
        self.shares.extend(share.map(|share| (node_key(node), share)));
        match node {
            Node::Loop { body, .. } => CALL + self.list(program, body, options),
            Node::While { condition, body, .. } => {
                2 * CALL + self.list(program, condition, options) + self.list(program, body, options)
            }
            Node::Switch { arms, .. } => arms.iter().map(|arm| CALL + self.list(program, arm, options)).sum(),
            Node::Lanes(l) => self.lane_loop(node, lanes::plan(program, l, options.vector, parts)),
            Node::Cumulative(c) => self.lane_loop(node, lanes::plan::cumulative(program, c, options.vector, parts)),
            Node::MatMul(_) | Node::Sort(_) | Node::Log { .. } | Node::Check(_) => 2 * CALL,
        }
    }

    fn lane_loop(&mut self, node: &'p Node, plan: Plan) -> usize {
        let cost = lanes::plan::size_of_code(&plan);
        let scalar = lanes::normal::rank(&plan.lanes) == 0;
        if scalar && cost <= INLINE && plan.range.is_none() {
            self.loops.insert(node_key(node), Callee::Inline(Box::new(plan)));
            return cost;
        }
        let id = self.push(Job::Lanes(Box::new(plan)), cost);
        self.loops.insert(node_key(node), Callee::Function(id));
        CALL
    }
}
