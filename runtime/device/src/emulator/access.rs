//! Loads, stores, atomics and copies, with all that is checked of them.

use super::clock::{Judge, Ordering, synchronise_read, synchronise_write};
use super::code::*;
use super::decode::{SHARED_WINDOW, SHARED_WINDOW_BYTES};
use super::exec::{Machine, Shared, extend};
use super::finding::{Fault, FindingKind, ranges};
use super::memory::{Memory, Region};
use super::ptx::{Space, Type};
use super::shadow::{Conflict, Touch};
use super::warp::*;

type Result<T> = std::result::Result<T, Box<Fault>>;

/// A place in memory: the region, by its place among the device's, and the byte in it.
#[derive(Clone, Copy)]
enum Place {
    Shared(u64),
    Global(usize, u64),
}

impl Machine<'_> {
    pub fn load(&mut self, warp: &mut Warp, block: &mut Shared, active: u32, a: &Access, pc: u32) -> Result<()> {
        if self.usual(warp, block, active, a, pc, false)? {
            return Ok(());
        }
        let (size, strong) = (a.ty.bytes(), a.order != Order::Weak);
        let bytes = u64::from(size * a.count);
        let mut hint = 0;
        for lane in lanes(active) {
            let place = self.locate(warp, block, lane, a.space, a.address, bytes, "a load of", &mut hint)?;
            let touch = Touch { write: false, strong, lane, pc };
            self.check(warp, block, place, bytes, touch)?;
            if strong {
                let order = Ordering { acquire: a.order == Order::Acquire, release: false, cta: a.cta };
                self.synchronise(warp, block, place, lane, order, Sync::Read);
            }
            let (region, offset) = region(self.memory, block, place);
            for i in 0..a.count {
                let value = extend(region.load(offset + u64::from(i * size), size), a.ty);
                if a.values[i as usize] != NONE {
                    warp.set(a.values[i as usize], a.wide, lane, value);
                }
            }
        }
        let counter = match a.space {
            Space::Shared => &mut self.counters.shared_loaded,
            _ => &mut self.counters.global_loaded,
        };
        *counter += bytes * u64::from(active.count_ones());
        Ok(())
    }

    pub fn store(&mut self, warp: &mut Warp, block: &mut Shared, active: u32, a: &Access, pc: u32) -> Result<()> {
        if self.usual(warp, block, active, a, pc, true)? {
            return Ok(());
        }
        let (size, strong) = (a.ty.bytes(), a.order != Order::Weak);
        let bytes = u64::from(size * a.count);
        let mut hint = 0;
        for lane in lanes(active) {
            let place = self.locate(warp, block, lane, a.space, a.address, bytes, "a store of", &mut hint)?;
            let touch = Touch { write: true, strong, lane, pc };
            self.check(warp, block, place, bytes, touch)?;
            if strong {
                let order = Ordering { acquire: false, release: a.order == Order::Release, cta: a.cta };
                self.synchronise(warp, block, place, lane, order, Sync::Write);
            }
            let (region, offset) = region(self.memory, block, place);
            for i in 0..a.count {
                let value = warp.get(a.values[i as usize], a.wide, lane);
                region.store(offset + u64::from(i * size), size, value);
            }
        }
        self.progress += 1;
        let counter = match a.space {
            Space::Shared => &mut self.counters.shared_stored,
            _ => &mut self.counters.global_stored,
        };
        *counter += bytes * u64::from(active.count_ones());
        Ok(())
    }

    pub fn atomic(&mut self, warp: &mut Warp, block: &mut Shared, active: u32, a: &Access, pc: u32) -> Result<()> {
        let (size, mut hint) = (a.ty.bytes(), 0);
        self.counters.atomics += u64::from(active.count_ones());
        for lane in lanes(active) {
            let place = self.locate(warp, block, lane, a.space, a.address, size.into(), "an atomic of", &mut hint)?;
            // An atomic reads as well; but it is the write that races.
            let touch = Touch { write: true, strong: true, lane, pc };
            self.check_written(block, place, size.into(), lane)?;
            self.check(warp, block, place, size.into(), touch)?;
            let order = Ordering {
                acquire: matches!(a.order, Order::Acquire | Order::AcquireRelease),
                release: matches!(a.order, Order::Release | Order::AcquireRelease),
                cta: a.cta,
            };
            self.synchronise(warp, block, place, lane, order, Sync::Both);
            let value = |slot: Slot| if slot == NONE { 0 } else { warp.get(slot, a.wide, lane) };
            let (x, y) = (value(a.values[0]), value(a.values[1]));
            let (region, offset) = region(self.memory, block, place);
            let old = region.load(offset, size);
            let new = combine(a.atomic, a.ty, old, x, y);
            if new != old {
                region.store(offset, size, new);
                self.progress += 1;
            }
            if a.d != NONE {
                warp.set(a.d, a.wide, lane, old);
            }
        }
        Ok(())
    }

    /// Finds the memory of a lane's address, and checks bounds and alignment.
    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    fn locate(
        &self,
        warp: &Warp,
        block: &Shared,
        lane: u32,
        space: Space,
        address: Address,
        bytes: u64,
        what: &str,
        hint: &mut usize,
    ) -> Result<Place> {
        let mut at = warp.get(address.base, address.wide, lane).wrapping_add(address.offset as u64);
        let mut space = space;
        if space == Space::Generic && at.wrapping_sub(SHARED_WINDOW) < SHARED_WINDOW_BYTES {
            space = Space::Shared;
            at -= SHARED_WINDOW;
        }
        if !at.is_multiple_of(bytes) {
            return Err(Fault::at(
                FindingKind::Misaligned,
                lane,
                at,
                format!("{what} {bytes} bytes at an address that is not a multiple of {bytes}"),
            ));
        }
        if space == Space::Shared {
            if !address.wide {
                at &= 0xffff_ffff;
            }
            if !block.memory.contains(at, bytes) {
                return Err(self.out_of_shared(block, at, bytes, lane, what));
            }
            return Ok(Place::Shared(at));
        }
        let Some(place) = self.memory.find(at, bytes, *hint) else {
            return Err(self.memory.out_of_bounds(at, bytes, lane, what));
        };
        *hint = place;
        Ok(Place::Global(place, at))
    }

    fn out_of_shared(&self, block: &Shared, at: u64, bytes: u64, lane: u32, what: &str) -> Box<Fault> {
        let near = self.code.shared.iter().rev().find(|variable| u64::from(variable.offset) <= at);
        let near = near.map_or(String::new(), |v| format!(", byte {} of {}", at - u64::from(v.offset), v.name));
        let text = format!(
            "{what} {bytes} bytes out of the shared memory of the block, which has {} bytes{near}",
            block.memory.bytes
        );
        Fault::at(FindingKind::OutOfBounds, lane, at, text)
    }

    /// Checks what was written and who else was there, and notes the access.
    #[inline(always)]
    fn check(&mut self, warp: &Warp, block: &mut Shared, place: Place, bytes: u64, touch: Touch) -> Result<()> {
        let code = self.code;
        let (region, first, offset, id) = match place {
            Place::Shared(offset) => (&mut block.memory, block.order.interval, offset, 0),
            Place::Global(place, address) => {
                let region = self.memory.at(place);
                let (offset, id) = (address - region.base, region.base);
                (region, self.intervals.first, offset, id)
            }
        };
        if region.read_only && touch.write {
            let what = format!("a write to {}, which is constant", region.name);
            return Err(Fault::at(FindingKind::ReadOnly, touch.lane, region.base + offset, what));
        }
        if touch.write {
            region.mark(offset, bytes);
        } else if self.checks.uninitialised && !region.host && !region.is_written(offset, bytes) {
            return Err(unwritten(code, region, offset, bytes, touch.lane));
        }
        if self.checks.races && !region.host && !region.read_only {
            let own = if self.interleaved { u32::MAX } else { block.order.first };
            let judge = Judge { intervals: self.intervals, block: &block.order, warp: &warp.order, first, own };
            if let Err(conflict) = region.cells.touch(offset, bytes, touch, &judge, self.side, id) {
                let where_ = describe(code, region, conflict.byte);
                return Err(race(code, &judge, &conflict, touch, region.base + conflict.byte, where_));
            }
        }
        Ok(())
    }

    fn check_written(&mut self, block: &mut Shared, place: Place, bytes: u64, lane: u32) -> Result<()> {
        let code = self.code;
        let (region, offset) = region(self.memory, block, place);
        if self.checks.uninitialised && !region.host && !region.is_written(offset, bytes) {
            return Err(unwritten(code, region, offset, bytes, lane));
        }
        Ok(())
    }

    /// Follows what is released and acquired.
    fn synchronise(&mut self, warp: &mut Warp, block: &Shared, place: Place, lane: u32, order: Ordering, what: Sync) {
        if !self.checks.races {
            return;
        }
        let key = match place {
            Place::Shared(offset) => (u64::from(block.order.block), offset),
            Place::Global(_, address) => (u64::MAX, address),
        };
        if what != Sync::Write {
            synchronise_read(self.releases.get(&key), &mut warp.order, lane, &block.order, order);
        }
        if what != Sync::Read {
            let before = self.releases.remove(&key).filter(|_| what == Sync::Both);
            let now = synchronise_write(before, &mut warp.order, lane, &block.order, order, self.intervals);
            if let Some(now) = now {
                self.releases.insert(key, now);
            }
        }
    }

    /// `cp.async`: reads now, and writes when it is waited for, so that a missing wait is found.
    pub fn copy(&mut self, warp: &mut Warp, block: &mut Shared, active: u32, c: &Copy16, pc: u32) -> Result<()> {
        let (bytes, mut hint) = (u64::from(c.bytes), 0);
        for lane in lanes(active) {
            let read = if c.read == NONE { c.bytes } else { warp.narrow(c.read, lane).min(c.bytes) };
            let to = self.locate(warp, block, lane, Space::Shared, c.to, bytes, "a copy of", &mut 0)?;
            let Place::Shared(to) = to else { unreachable!("shared memory") };
            let mut data = vec![0; c.bytes as usize];
            if read > 0 {
                let from = self.locate(warp, block, lane, Space::Global, c.from, bytes, "a copy of", &mut hint)?;
                let Place::Global(place, address) = from else { unreachable!("global memory") };
                let touch = Touch { write: false, strong: false, lane, pc };
                for i in 0..read {
                    self.check(warp, block, Place::Global(place, address + u64::from(i)), 1, touch)?;
                }
                let region = self.memory.at(place);
                region.copy_out(address - region.base, &mut data[..read as usize]);
            }
            warp.pending.push(Pending { group: None, lane, to, data, pc });
        }
        self.counters.global_loaded += bytes * u64::from(active.count_ones());
        Ok(())
    }

    /// Does the copies of all groups but the last `left`.
    pub fn copy_wait(&mut self, warp: &mut Warp, block: &mut Shared, active: u32, left: u32) -> Result<()> {
        let groups = warp.groups;
        let due = |p: &Pending| {
            active >> p.lane & 1 == 1 && p.group.is_some_and(|group| group + left < groups[p.lane as usize])
        };
        let (now, later): (Vec<Pending>, Vec<Pending>) = std::mem::take(&mut warp.pending).into_iter().partition(due);
        warp.pending = later;
        for pending in now {
            let bytes = pending.data.len() as u64;
            let touch = Touch { write: true, strong: false, lane: pending.lane, pc: pending.pc };
            self.check(warp, block, Place::Shared(pending.to), bytes, touch)?;
            block.memory.copy_in(pending.to, &pending.data);
            self.counters.shared_stored += bytes;
            self.progress += 1;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sync {
    Read,
    Write,
    Both,
}

#[inline(always)]
fn region<'a>(memory: &'a mut Memory, block: &'a mut Shared, place: Place) -> (&'a mut Region, u64) {
    match place {
        Place::Shared(offset) => (&mut block.memory, offset),
        Place::Global(place, address) => {
            let region = memory.at(place);
            let offset = address - region.base;
            (region, offset)
        }
    }
}

/// Names a byte of a region.
pub(super) fn describe(code: &Code, region: &Region, byte: u64) -> String {
    if region.base != 0 {
        return format!("byte {byte} of {}", region.name);
    }
    let variable = code.shared.iter().rev().find(|variable| u64::from(variable.offset) <= byte);
    match variable {
        Some(variable) => format!("byte {} of shared {}", byte - u64::from(variable.offset), variable.name),
        None => format!("byte {byte} of shared memory"),
    }
}

#[cold]
pub(super) fn unwritten(code: &Code, region: &Region, offset: u64, bytes: u64, lane: u32) -> Box<Fault> {
    let byte = (offset..offset + bytes).find(|byte| !region.is_written(*byte, 1)).unwrap_or(offset);
    let what = format!("{} is read, and was never written", describe(code, region, byte));
    Fault::at(FindingKind::UninitialisedMemory, lane, region.base + byte, what)
}

#[cold]
pub(super) fn race(
    code: &Code,
    judge: &Judge<'_>,
    conflict: &Conflict,
    touch: Touch,
    address: u64,
    place: String,
) -> Box<Fault> {
    let when = super::clock::interval(conflict.stamp);
    let (block, _) = judge.intervals.get(when);
    let other = super::clock::thread(conflict.stamp);
    let mine = judge.warp.warp * 32 + touch.lane;
    let block = if block == judge.block.block { String::new() } else { format!(" of block {block}") };
    let many = if conflict.stamp & 3 != 0 { " and others" } else { "" };
    let did = |wrote: bool| if wrote { "writes" } else { "reads" };
    let what = format!(
        "race: thread {} {} {place}, which thread {}{many}{block} {} before, and nothing orders the two: {}",
        ranges(&[mine]),
        did(touch.write),
        ranges(&[other]),
        if conflict.wrote { "wrote" } else { "read" },
        code.describe(conflict.pc),
    );
    Fault::at(FindingKind::Race, touch.lane, address, what)
}

fn combine(atomic: Atomic, ty: Type, old: u64, x: u64, y: u64) -> u64 {
    let narrow = ty.bytes() == 4;
    let out = match (atomic, ty) {
        (Atomic::Add, Type::F32) => (f32::from_bits(old as u32) + f32::from_bits(x as u32)).to_bits().into(),
        (Atomic::Add, Type::F64) => (f64::from_bits(old) + f64::from_bits(x)).to_bits(),
        (Atomic::Add, _) => old.wrapping_add(x),
        (Atomic::Cas, _) => {
            if old == x {
                y
            } else {
                old
            }
        }
        (Atomic::Exch, _) => x,
        (Atomic::Min, Type::S32) => (old as i32).min(x as i32) as u32 as u64,
        (Atomic::Max, Type::S32) => (old as i32).max(x as i32) as u32 as u64,
        (Atomic::Min, Type::S64) => (old as i64).min(x as i64) as u64,
        (Atomic::Max, Type::S64) => (old as i64).max(x as i64) as u64,
        (Atomic::Min, _) => old.min(x),
        (Atomic::Max, _) => old.max(x),
        (Atomic::And, _) => old & x,
        (Atomic::Or, _) => old | x,
        (Atomic::Xor, _) => old ^ x,
        (Atomic::Inc, _) => {
            if old >= x {
                0
            } else {
                old + 1
            }
        }
        (Atomic::Dec, _) => {
            if old == 0 || old > x {
                x
            } else {
                old - 1
            }
        }
        (Atomic::None, _) => old,
    };
    if narrow { out & 0xffff_ffff } else { out }
}
