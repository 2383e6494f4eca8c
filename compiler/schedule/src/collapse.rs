//! Writes each lane loop over as few dimensions as its views allow: long inner loops are what backends vectorise.

use smallvec::SmallVec;

use crate::accesses::*;
use crate::lanes::view_of;
use crate::loop_ir::*;
use crate::space::{Space, full, respaced};

pub fn run(p: &mut LoopProgram) {
    each_block_mut(p, &mut |nodes| {
        for node in nodes {
            if let Node::Lanes(l) = node
                && let Some(collapsed) = collapsed(l)
            {
                *l = collapsed;
            }
        }
    });
}

/// `None` where nothing merges.
fn collapsed(l: &Lanes) -> Option<Lanes> {
    let sizes = full(l);
    if sizes.contains(&0) {
        return None;
    }
    let positions: Vec<usize> = l
        .ops
        .iter()
        .filter_map(|op| match op.kind {
            LaneKind::Position(d) => Some(d),
            _ => None,
        })
        .collect();
    // Every view, and how many of the dimensions it has strides for.
    let views: Vec<&View> =
        l.ops.iter().filter_map(|op| view_of(&op.kind)).chain(l.reductions.iter().map(|r| &r.into)).collect();
    let merges = |outer: usize, inner: usize| {
        let free = !positions.contains(&outer) && !positions.contains(&inner);
        let stride = |v: &View, k: usize| v.strides.get(k).copied();
        let follows = |v: &&View| match (stride(v, outer), stride(v, inner)) {
            (Some(o), Some(i)) => o == i * sizes[inner] as isize,
            (None, _) | (_, None) => true,
        };
        free && views.iter().all(follows)
    };
    // Groups of neighbouring dimensions that become one. Ones are dropped, but a reduction keeps something to go over.
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let lanes = l.dims.len();
    let mut lane_groups = 0;
    for k in 0..sizes.len() {
        let last_chance = k >= lanes && sizes[lanes..].iter().all(|&n| n == 1);
        if sizes[k] == 1 && !(last_chance && k == lanes) {
            continue;
        }
        let same_part = groups.last().and_then(|g| g.last()).is_some_and(|&p| (p < lanes) == (k < lanes));
        match groups.last_mut() {
            Some(g) if same_part && merges(g[g.len() - 1], k) => g.push(k),
            Some(_) | None => {
                groups.push(vec![k]);
                lane_groups += (k < lanes) as usize;
            }
        }
    }
    if groups.len() == sizes.len() {
        return None;
    }
    Some(merge(l, &groups, lane_groups, &sizes))
}

fn merge(l: &Lanes, groups: &[Vec<usize>], lane_groups: usize, sizes: &[usize]) -> Lanes {
    let mut of: Vec<SmallVec<[usize; 2]>> = vec![SmallVec::new(); sizes.len()];
    for (new, group) in groups.iter().enumerate() {
        // The innermost stands for all: its stride is the merged one's.
        of[group[group.len() - 1]].push(new);
    }
    let merged = groups.iter().map(|g| g.iter().map(|&k| sizes[k]).product()).collect();
    respaced(l, &Space { sizes: merged, of }, lane_groups)
}
