//! The inner loop: a warp executes until it has to wait.

use super::alu;
use super::clock::{BlockOrder, Intervals};
use super::code::*;
use super::convert::convert;
use super::counters::Counters;
use super::finding::{Fault, FindingKind};
use super::memory::{Memory, Region};
use super::shadow::Side;
use super::warp::*;
use crate::emulator::Checks;

/// Instructions of a warp before another has a turn.
const TURN: u64 = 50_000;

type Result<T> = std::result::Result<T, Box<Fault>>;

/// What releases at addresses, of a launch.
pub type Releases = rustc_hash::FxHashMap<(u64, u64), super::clock::Released>;

/// What all blocks of a launch share.
pub struct Machine<'a> {
    pub code: &'a Code,
    pub memory: &'a mut Memory,
    pub intervals: &'a mut Intervals,
    pub releases: &'a mut Releases,
    pub side: &'a mut Side,
    pub counters: &'a mut Counters,
    pub checks: Checks,
    pub params: &'a [u8],
    pub grid: u32,
    pub threads: u32,
    pub dynamic: u32,
    /// Blocks run in turns, not one after the other.
    pub interleaved: bool,
    /// Where the last access to global memory was.
    pub hint: usize,
    /// Warps' instructions so far, for clocks.
    pub clock: u64,
    /// Thread-instructions that are left.
    pub left: u64,
    /// Counts what other threads can see: as long as it stands still, nobody gets further.
    pub progress: u64,
}

/// What the threads of a block share.
pub struct Shared {
    pub memory: Region,
    pub order: BlockOrder,
}

impl Machine<'_> {
    /// Executes until the warp waits, ends, or has had its turn. A fault comes with the place of the instruction.
    pub fn run(&mut self, warp: &mut Warp, block: &mut Shared) -> std::result::Result<Stop, (Box<Fault>, u32)> {
        loop {
            let at = match pick(warp) {
                Ok(at) => at,
                Err(stop) => return Ok(stop),
            };
            match self.fragment(warp, block, at) {
                Ok(None) => {}
                Ok(Some(stop)) => return Ok(stop),
                Err(fault) => {
                    let pc = warp.fragments[at].pc;
                    return Err((fault, pc));
                }
            }
        }
    }

    /// Runs one fragment until it ends, splits, meets another, or waits. Its place is kept in the fragment whenever
    /// this returns.
    fn fragment(&mut self, warp: &mut Warp, block: &mut Shared, at: usize) -> Result<Option<Stop>> {
        let Fragment { mut pc, mask, .. } = warp.fragments[at];
        let alone = warp.fragments.len() == 1;
        let others = warp.fragments.iter().map(|fragment| fragment.pc).filter(|other| *other > pc);
        let stop = others.min().unwrap_or(u32::MAX);
        let code = self.code;
        let mut steps = 0u64;
        let out = loop {
            if pc == stop {
                break Ok(None);
            }
            let inst = &code.insts[pc as usize];
            steps += 1;
            let mut active = mask;
            if inst.guard != NONE {
                let p = warp.preds[inst.guard as usize];
                active &= if inst.negated { !p } else { p };
                if active == 0 {
                    pc += 1;
                    continue;
                }
            }
            match inst.op {
                // SAFETY: slots are below `code.slots`, which `warp.slots` has; `decode::slots` gave registers of 64 bits two.
                Op::One { f, d, a } => unsafe { f(warp.slots.as_mut_ptr(), d, a, active) },
                // SAFETY: as above.
                Op::Two { f, d, a, b } => unsafe { f(warp.slots.as_mut_ptr(), d, a, b, active) },
                // SAFETY: as above.
                Op::Three { f, d, a, b, c } => unsafe { f(warp.slots.as_mut_ptr(), d, a, b, c, active) },
                Op::Compare { f, d, not, a, b, with } => {
                    // SAFETY: as above.
                    let found = unsafe { f(warp.slots.as_mut_ptr(), a, b) };
                    let p = |p: Pred, negated: bool| {
                        let p = warp.preds[p as usize];
                        if negated { !p } else { p }
                    };
                    let (yes, no) = match with {
                        Combine::None => (found, !found),
                        Combine::And(q, negated) => (found & p(q, negated), !found & p(q, negated)),
                        Combine::Or(q, negated) => (found | p(q, negated), !found | p(q, negated)),
                        Combine::Xor(q, negated) => (found ^ p(q, negated), !found ^ p(q, negated)),
                    };
                    put(&mut warp.preds, d, active, yes);
                    put(&mut warp.preds, not, active, no);
                }
                Op::Select32 { d, a, b, p } => {
                    let p = warp.preds[p as usize];
                    let (a, b) = (warp.slots[a as usize].0, warp.slots[b as usize].0);
                    let out = &mut warp.slots[d as usize].0;
                    for i in 0..32 {
                        let value = if p >> i & 1 == 1 { a[i] } else { b[i] };
                        out[i] = if active >> i & 1 == 1 { value } else { out[i] };
                    }
                }
                Op::Load(i) => {
                    let access = &code.accesses[i as usize];
                    if let Err(fault) = self.load(warp, block, active, access, pc) {
                        break Err(fault);
                    }
                    // Who asks again, and nothing has changed since, lets others go first.
                    let now = Some((pc, self.progress));
                    if access.order == Order::Acquire && std::mem::replace(&mut warp.asked, now) == now {
                        pc += 1;
                        warp.fragments[at].tired = true;
                        break Ok(Some(Stop::Sleeps));
                    }
                }
                Op::Store(i) => {
                    if let Err(fault) = self.store(warp, block, active, &code.accesses[i as usize], pc) {
                        break Err(fault);
                    }
                }
                Op::Jump(to) => {
                    if active == mask {
                        let back = to <= pc;
                        pc = to;
                        if alone && !(back && steps > TURN) {
                            continue;
                        }
                        let fragment = &mut warp.fragments[at];
                        fragment.turn += steps;
                        fragment.tired = fragment.turn > TURN;
                        if fragment.tired {
                            fragment.turn = 0;
                            break Ok(Some(Stop::Turn));
                        }
                        break Ok(None);
                    }
                    let rest = Fragment::ready(pc + 1, mask & !active);
                    warp.fragments[at].mask = active;
                    warp.fragments.push(rest);
                    pc = to;
                    // The steps were made by all lanes.
                    self.account(steps, mask)?;
                    steps = 0;
                    break Ok(None);
                }
                Op::Exit => {
                    warp.fragments[at].mask = mask & !active;
                    self.account(steps, mask)?;
                    steps = 0;
                    if active == mask {
                        warp.fragments.swap_remove(at);
                        return Ok(None);
                    }
                    pc += 1;
                    break Ok(None);
                }
                Op::Barrier { .. } | Op::WarpBarrier { .. } | Op::Shuffle(_) | Op::Vote { .. } | Op::Mma(_)
                    if active != mask =>
                {
                    // Those for whom the guard does not hold go on; the others come back to it.
                    warp.fragments[at].mask = active;
                    let rest = Fragment::ready(pc + 1, mask & !active);
                    warp.fragments.push(rest);
                    steps -= 1;
                    self.account(steps, mask)?;
                    steps = 0;
                    break Ok(None);
                }
                Op::Barrier { id, count, aligned, .. } => {
                    let wait = match barrier(warp, active, id, count, aligned) {
                        Ok(wait) => wait,
                        Err(fault) => break Err(fault),
                    };
                    warp.fragments[at].wait = wait;
                    // Counted when the barrier opens.
                    steps -= 1;
                    break Ok(None);
                }
                Op::WarpBarrier { .. } | Op::Shuffle(_) | Op::Vote { .. } | Op::Mma(_) => {
                    match self.together(warp, inst.op, active) {
                        Ok(None) => {}
                        Ok(Some(members)) => {
                            warp.fragments[at].wait = Wait::Lanes { members };
                            steps -= 1;
                            break Ok(None);
                        }
                        Err(fault) => break Err(fault),
                    }
                }
                Op::Sleep => {
                    pc += 1;
                    warp.fragments[at].tired = true;
                    break Ok(Some(Stop::Sleeps));
                }
                Op::NeedsDefined(reg) => {
                    steps -= 1;
                    let missing = active & !warp.defined[reg as usize];
                    if missing != 0 && self.checks.uninitialised {
                        let what = format!("the register {} is read before it is written", code.doubtful[reg as usize]);
                        break Err(Fault::new(FindingKind::UninitialisedRegister, missing, what));
                    }
                }
                Op::Defines(reg) => {
                    steps -= 1;
                    warp.defined[reg as usize] |= active;
                }
                other => {
                    if let Err(fault) = self.other(warp, block, active, other, pc) {
                        break Err(fault);
                    }
                }
            }
            pc += 1;
        };
        warp.fragments[at].pc = pc;
        self.account(steps, mask)?;
        out
    }

    fn account(&mut self, steps: u64, mask: u32) -> Result<()> {
        let threads = steps * u64::from(mask.count_ones());
        self.clock += steps;
        self.counters.thread_instructions += threads;
        if threads > self.left {
            let what = "the launch used up its instructions: a loop does not end, or the budget is too small";
            return Err(Fault::new(FindingKind::Runaway, mask, what));
        }
        self.left -= threads;
        Ok(())
    }

    /// What is not in the innermost loops of programs.
    fn other(&mut self, warp: &mut Warp, block: &mut Shared, active: u32, op: Op, pc: u32) -> Result<()> {
        match op {
            Op::Rare { f, d, a, b, c, wide } => {
                let get = |warp: &Warp, slot: u32, wide: bool, lane: u32| {
                    if slot == NONE { 0 } else { warp.get(slot, wide, lane) }
                };
                for lane in lanes(active) {
                    let (a, b) = (get(warp, a, wide.a, lane), get(warp, b, wide.b, lane));
                    let value = f(a, b, get(warp, c, wide.c, lane));
                    warp.set(d, wide.d, lane, value);
                }
            }
            Op::Convert { d, a, to, from, round, saturate, wide, source_wide } => {
                for lane in lanes(active) {
                    let value = convert(warp.get(a, source_wide, lane), to, from, round, saturate);
                    warp.set(d, wide, lane, value);
                }
            }
            Op::Lop3 { table, d, a, b, c } => {
                for lane in lanes(active) {
                    let value = alu::lop3(table, warp.narrow(a, lane), warp.narrow(b, lane), warp.narrow(c, lane));
                    warp.set(d, false, lane, value.into());
                }
            }
            Op::Logic { table, d, a, b } => {
                let (a, b) = (warp.preds[a as usize], warp.preds[b as usize]);
                let bit = |i: u8, mask: u32| if table >> i & 1 == 1 { mask } else { 0 };
                let value = bit(0, !a & !b) | bit(1, a & !b) | bit(2, !a & b) | bit(3, a & b);
                put(&mut warp.preds, d, active, value);
            }
            Op::SetPred { d, value } => put(&mut warp.preds, d, active, if value { !0 } else { 0 }),
            Op::Select64 { d, a, b, p } => {
                let p = warp.preds[p as usize];
                for lane in lanes(active) {
                    let value = warp.get(if p >> lane & 1 == 1 { a } else { b }, true, lane);
                    warp.set(d, true, lane, value);
                }
            }
            Op::Special { which, d } => self.special(warp, block, active, which, d),
            Op::LoadParam { d, offset, ty, wide } => {
                let mut bytes = [0; 8];
                let size = ty.bytes() as usize;
                bytes[..size].copy_from_slice(&self.params[offset as usize..offset as usize + size]);
                let value = extend(u64::from_le_bytes(bytes), ty);
                lanes(active).for_each(|lane| warp.set(d, wide, lane, value));
            }
            Op::Atomic(i) => return self.atomic(warp, block, active, &self.code.accesses[i as usize], pc),
            Op::Copy(i) => return self.copy(warp, block, active, &self.code.copies[i as usize], pc),
            Op::CopyCommit => commit(warp, active),
            Op::CopyWait(left) => return self.copy_wait(warp, block, active, left),
            Op::Fence { cta } => {
                if self.checks.races {
                    for lane in lanes(active) {
                        super::clock::fence(&mut warp.order, lane, &block.order, cta);
                    }
                }
            }
            Op::ActiveMask { d } => lanes(active).for_each(|lane| warp.set(d, false, lane, active.into())),
            Op::Trap => return Err(Fault::new(FindingKind::Trap, active, "the kernel executed trap")),
            Op::Nothing => {}
            Op::One { .. }
            | Op::Two { .. }
            | Op::Three { .. }
            | Op::Compare { .. }
            | Op::Select32 { .. }
            | Op::Load(_)
            | Op::Store(_)
            | Op::Jump(_)
            | Op::Exit
            | Op::Barrier { .. }
            | Op::WarpBarrier { .. }
            | Op::Shuffle(_)
            | Op::Vote { .. }
            | Op::Mma(_)
            | Op::Sleep
            | Op::NeedsDefined(_)
            | Op::Defines(_) => unreachable!("done by the inner loop"),
        }
        Ok(())
    }

    fn special(&self, warp: &mut Warp, block: &Shared, active: u32, which: Special, d: u32) {
        let id = warp.order.warp;
        for lane in lanes(active) {
            let less = (1u64 << lane) - 1;
            let value = match which {
                Special::Tid => u64::from(id * 32 + lane),
                Special::Ntid => self.threads.into(),
                Special::Ctaid => block.order.block.into(),
                Special::Nctaid => self.grid.into(),
                Special::Lane => lane.into(),
                Special::Warp => id.into(),
                Special::Warps => self.threads.div_ceil(32).into(),
                Special::Multiprocessor => block.order.block.into(),
                Special::LaneLess => less,
                Special::LaneLessEqual => less << 1 | 1,
                Special::LaneEqual => 1 << lane,
                Special::LaneGreater => !(less << 1 | 1) & 0xffff_ffff,
                Special::LaneGreaterEqual => !less & 0xffff_ffff,
                Special::DynamicShared => self.dynamic.into(),
                Special::Clock | Special::Clock64 | Special::Time => self.clock,
                Special::Zero => 0,
                Special::One => 1,
            };
            warp.set(d, matches!(which, Special::Clock64 | Special::Time), lane, value);
        }
    }
}

/// Extends a loaded value as its type says.
#[inline(always)]
pub fn extend(value: u64, ty: super::ptx::Type) -> u64 {
    if !ty.signed() {
        return value;
    }
    let unused = 64 - ty.bytes() * 8;
    ((value << unused) as i64 >> unused) as u64
}

#[inline(always)]
fn put(preds: &mut [u32], d: Pred, active: u32, value: u32) {
    if d != NONE {
        let to = &mut preds[d as usize];
        *to = (*to & !active) | (value & active);
    }
}

/// Joins fragments that are at the same place, and gives the one that goes on: the one furthest behind, so that lanes
/// come together again where their ways do.
fn pick(warp: &mut Warp) -> std::result::Result<usize, Stop> {
    if warp.fragments.len() > 1 {
        warp.fragments.sort_by_key(|fragment| fragment.pc);
        let mut i = 1;
        while i < warp.fragments.len() {
            if warp.fragments[i - 1].pc == warp.fragments[i].pc {
                let other = warp.fragments.remove(i);
                let to = &mut warp.fragments[i - 1];
                to.mask |= other.mask;
                to.wait = Wait::Ready;
                to.tired &= other.tired;
            } else {
                i += 1;
            }
        }
    }
    if warp.fragments.is_empty() {
        warp.done = true;
        return Err(Stop::Done);
    }
    for _ in 0..2 {
        if let Some(at) = warp.fragments.iter().position(|f| f.wait == Wait::Ready && !f.tired) {
            return Ok(at);
        }
        if !warp.fragments.iter().any(|f| f.wait == Wait::Ready) {
            return Err(Stop::Waits);
        }
        warp.fragments.iter_mut().for_each(|fragment| fragment.tired = false);
    }
    Err(Stop::Waits)
}

fn barrier(warp: &Warp, active: u32, id: Slot, count: Slot, aligned: bool) -> Result<Wait> {
    let first = active.trailing_zeros();
    let id = warp.narrow(id, first);
    let count = (count != NONE).then(|| warp.narrow(count, first));
    if id > 15 {
        return Err(Fault::new(FindingKind::Limit, active, format!("barriers are numbered 0 to 15, this one is {id}")));
    }
    if count.is_some_and(|count| count == 0 || count % 32 != 0) {
        return Err(Fault::new(FindingKind::Limit, active, "a barrier counts threads by whole warps"));
    }
    Ok(Wait::Barrier { id, count, aligned })
}

fn commit(warp: &mut Warp, active: u32) {
    for lane in lanes(active) {
        let group = warp.groups[lane as usize];
        warp.groups[lane as usize] += 1;
        for pending in warp.pending.iter_mut().filter(|p| p.lane == lane && p.group.is_none()) {
            pending.group = Some(group);
        }
    }
}
