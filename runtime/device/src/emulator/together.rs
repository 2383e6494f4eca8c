//! What lanes of a warp do together: warp barriers, shuffles, votes, and products of tiles.

use super::code::*;
use super::exec::Machine;
use super::finding::{Fault, FindingKind, ranges};
use super::mma::product;
use super::warp::*;

type Result<T> = std::result::Result<T, Box<Fault>>;

impl Machine<'_> {
    /// Does it, or says which lanes are still to come.
    pub fn together(&mut self, warp: &mut Warp, op: Op, active: u32) -> Result<Option<u32>> {
        let members = |warp: &Warp, slot: Slot, lane: u32| warp.narrow(slot, lane);
        // For each lane the lanes that it names.
        let mut named = [0u32; 32];
        for lane in lanes(active) {
            named[lane as usize] = match op {
                Op::WarpBarrier { members: m } | Op::Vote { members: m, .. } => members(warp, m, lane),
                Op::Shuffle(i) => members(warp, self.code.shuffles[i as usize].members, lane),
                _ => u32::MAX,
            };
            if named[lane as usize] >> lane & 1 == 0 {
                let what = format!("the lane is not in the lanes that it names, {:#010x}", named[lane as usize]);
                return Err(Fault::new(FindingKind::Divergence, 1 << lane, what));
            }
        }
        let wanted = lanes(active).fold(0, |all, lane| all | named[lane as usize]);
        let missing = wanted & !active;
        if missing != 0 {
            let gone = missing & !warp.alive();
            if gone != 0 {
                return Err(absent(active, gone, "have ended, or were never there"));
            }
            return Ok(Some(wanted));
        }
        for lane in lanes(active) {
            let other = lanes(named[lane as usize]).find(|other| named[*other as usize] != named[lane as usize]);
            if let Some(other) = other {
                let what = format!("lanes {lane} and {other} name different lanes to meet with");
                return Err(Fault::new(FindingKind::Divergence, 1 << lane | 1 << other, what));
            }
        }
        match op {
            Op::WarpBarrier { .. } => self.meet(warp, active, &named)?,
            Op::Shuffle(i) => {
                self.counters.shuffles += 1;
                self.shuffle(warp, active, &named, &self.code.shuffles[i as usize])?;
            }
            Op::Vote { kind, d, p, negated, .. } => {
                self.counters.shuffles += 1;
                vote(
                    warp,
                    active,
                    &named,
                    kind,
                    d,
                    if negated { !warp.preds[p as usize] } else { warp.preds[p as usize] },
                );
            }
            Op::Mma(i) => product(warp, &self.code.mmas[i as usize]),
            _ => unreachable!("not done together"),
        }
        Ok(None)
    }

    fn meet(&self, warp: &mut Warp, active: u32, named: &[u32; 32]) -> Result<()> {
        let mut left = active;
        while left != 0 {
            let members = named[left.trailing_zeros() as usize];
            if warp.order.moment + 2 >= super::clock::MOMENTS {
                let what = "more meetings of lanes between two barriers of the block than are followed";
                return Err(Fault::new(FindingKind::Limit, active, what));
            }
            warp.order.meet(members);
            left &= !members;
        }
        Ok(())
    }

    fn shuffle(&self, warp: &mut Warp, active: u32, named: &[u32; 32], s: &Shuffle) -> Result<()> {
        let values = warp.slots[s.a as usize].0;
        let (mut out, mut inside) = ([0u32; 32], 0u32);
        for lane in lanes(active) {
            let b = warp.narrow(s.b, lane) & 31;
            let c = warp.narrow(s.c, lane);
            let (clamp, segment) = (c & 31, c >> 8 & 31);
            let highest = (lane & segment) | (clamp & !segment);
            let lowest = lane & segment;
            let (from, valid) = match s.kind {
                ShuffleKind::Up => (lane.wrapping_sub(b), lane as i32 - b as i32 >= highest as i32),
                ShuffleKind::Down => (lane + b, lane + b <= highest),
                ShuffleKind::Butterfly => (lane ^ b, (lane ^ b) <= highest),
                ShuffleKind::Index => {
                    let from = lowest | (b & !segment);
                    (from, from <= highest)
                }
            };
            let from = if valid { from } else { lane };
            if self.checks.divergence && named[lane as usize] >> from & 1 == 0 {
                let what = format!("lane {lane} takes the value of lane {from}, which is not among the lanes named");
                return Err(Fault::new(FindingKind::Divergence, 1 << lane, what));
            }
            out[lane as usize] = values[from as usize];
            inside |= u32::from(valid) << lane;
        }
        for lane in lanes(active) {
            warp.set(s.d, false, lane, out[lane as usize].into());
        }
        if s.p != NONE {
            let p = &mut warp.preds[s.p as usize];
            *p = (*p & !active) | inside;
        }
        Ok(())
    }
}

/// Says which lanes are not there.
pub fn absent(here: u32, missing: u32, why: &str) -> Box<Fault> {
    let missing: Vec<u32> = lanes(missing).collect();
    let word = if missing.len() == 1 { "lane" } else { "lanes" };
    Fault::new(
        FindingKind::Divergence,
        here,
        format!("{word} {} of the warp should take part and {why}", ranges(&missing)),
    )
}

fn vote(warp: &mut Warp, active: u32, named: &[u32; 32], kind: Vote, d: u32, p: u32) {
    let mut result = 0u32;
    for lane in lanes(active) {
        let members = named[lane as usize];
        let holds = match kind {
            Vote::All => p & members == members,
            Vote::Any => p & members != 0,
            Vote::Uni => p & members == members || p & members == 0,
            Vote::Ballot => {
                warp.set(d, false, lane, (p & members).into());
                continue;
            }
        };
        result |= u32::from(holds) << lane;
    }
    if kind != Vote::Ballot {
        let to = &mut warp.preds[d as usize];
        *to = (*to & !active) | result;
    }
}
