//! What is fixed of each log: what a record at run time need not carry.

use whorl_core::ir::{Shape, Spans};

use crate::accesses::bodies;
use crate::loop_ir::*;

/// A `log` of the program.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LogSite {
    /// Its name, by its number in `LoopProgram::logs`.
    pub log: u32,
    /// The steps of the loops around, outermost first, but for the `train scan` that is its phase.
    pub loops: Vec<usize>,
    /// The sizes of the lanes around, and of the value.
    pub dims: Shape,
    pub spans: Spans,
}

/// One element that was logged.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LogElement {
    /// Which `log` of the program: see [`log_sites`], which knows its name and the sizes below.
    pub site: u32,
    /// Of the `train scan` that is the phase; 0 in a straight one.
    pub step: u64,
    /// The indices of the loops around, as one row-major number.
    pub loops: u64,
    /// The place in the lanes around and in the value, as one row-major number.
    pub place: u64,
    pub value: f64,
}

/// All logs, by their `site`.
pub fn log_sites(p: &LoopProgram) -> Vec<LogSite> {
    let mut sites = Vec::new();
    p.phases.iter().flat_map(Phase::body).for_each(|n| gather(n, &mut sites));
    sites
}

fn gather(node: &Node, sites: &mut Vec<LogSite>) {
    bodies(node).into_iter().flatten().for_each(|n| gather(n, sites));
    if let Node::Log { site, log, dims, steps, spans, .. } = node {
        let at = *site as usize;
        // A log that was never reached is gone; its place stays empty.
        sites.resize_with(sites.len().max(at + 1), LogSite::default);
        let loops = steps.iter().map(|s| s.n).collect();
        sites[at] = LogSite { log: *log, loops, dims: dims.clone(), spans: spans.clone() };
    }
}
