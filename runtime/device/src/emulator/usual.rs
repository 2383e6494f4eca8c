//! Loads and stores of whole words by a warp, where nothing is unusual: all that is checked at once for all lanes.
//!
//! Whatever is not usual (an address out of bounds, a byte never written, memory of the host) is left to the slow way, lane
//! by lane, which says what is wrong.

use super::access::{describe, race};
use super::clock::Judge;
use super::code::*;
use super::exec::{Machine, Shared};
use super::finding::Fault;
use super::memory::Region;
use super::ptx::Space;
use super::shadow::Touch;
use super::warp::*;

type Result<T> = std::result::Result<T, Box<Fault>>;

impl Machine<'_> {
    /// Does the access, or says that it is not usual: nothing has happened then.
    #[inline]
    pub fn usual(
        &mut self,
        warp: &mut Warp,
        block: &mut Shared,
        active: u32,
        a: &Access,
        pc: u32,
        write: bool,
    ) -> Result<bool> {
        let size = a.ty.bytes();
        let words = (size / 4 * a.count) as usize;
        let extends = a.wide && size != 8;
        if size < 4 || a.order != Order::Weak || extends || a.space == Space::Generic {
            return Ok(false);
        }
        if a.values[..a.count as usize].contains(&NONE) {
            return Ok(false);
        }
        let bytes = u64::from(size * a.count);
        let mut offsets = addresses(warp, a.address, active);
        let (region, first, id) = match a.space {
            Space::Shared => (&mut block.memory, block.order.interval, 0),
            _ => {
                let at = offsets[active.trailing_zeros() as usize];
                let Some(place) = self.memory.find(at, bytes, self.hint) else { return Ok(false) };
                self.hint = place;
                let region = self.memory.at(place);
                let id = region.base;
                (region, self.intervals.first, id)
            }
        };
        let (base, limit) = (region.base, region.bytes.wrapping_sub(bytes));
        let mut outside = region.bytes < bytes || region.host || (write && region.read_only);
        let mut odd = 0;
        for offset in &mut offsets {
            odd |= *offset;
            *offset = offset.wrapping_sub(base);
            outside |= *offset > limit;
        }
        if outside || odd & (bytes - 1) != 0 {
            return Ok(false);
        }
        if !write && self.checks.uninitialised && !offsets.iter().all(|offset| region.is_written(*offset, bytes)) {
            return Ok(false);
        }
        if self.checks.races && !region.read_only {
            let touch = Touch { write, strong: false, lane: 0, pc };
            let own = if self.interleaved { u32::MAX } else { block.order.first };
            let judge = Judge { intervals: self.intervals, block: &block.order, warp: &warp.order, first, own };
            let result = region.cells.touch_words(&offsets, active, words, touch, (&judge, self.side, id));
            if let Err((conflict, lane)) = result {
                let place = describe(self.code, region, conflict.byte);
                let touch = Touch { lane, ..touch };
                return Err(race(self.code, &judge, &conflict, touch, base + conflict.byte, place));
            }
        }
        let shared = a.space == Space::Shared;
        let moved = bytes * u64::from(active.count_ones());
        if write {
            store(warp, region, active, a, &offsets);
            self.progress += 1;
            let counter = if shared { &mut self.counters.shared_stored } else { &mut self.counters.global_stored };
            *counter += moved;
        } else {
            match words {
                1 => put(warp, active, a, region.gather::<1>(&offsets)),
                2 => put(warp, active, a, region.gather::<2>(&offsets)),
                _ => put(warp, active, a, region.gather::<4>(&offsets)),
            }
            let counter = if shared { &mut self.counters.shared_loaded } else { &mut self.counters.global_loaded };
            *counter += moved;
        }
        Ok(true)
    }
}

/// The addresses of all lanes; a lane that does not take part has that of one that does.
#[inline(always)]
fn addresses(warp: &Warp, address: Address, active: u32) -> [u64; 32] {
    let mut out = [0; 32];
    if address.wide {
        for (lane, out) in out.iter_mut().enumerate() {
            *out = warp.get(address.base, true, lane as u32).wrapping_add(address.offset as u64);
        }
    } else {
        let base = &warp.slots[address.base as usize].0;
        for (out, base) in out.iter_mut().zip(base) {
            *out = u64::from(base.wrapping_add(address.offset as u32));
        }
    }
    if active != !0 {
        let some = out[active.trailing_zeros() as usize];
        for (lane, out) in out.iter_mut().enumerate() {
            if active >> lane & 1 == 0 {
                *out = some;
            }
        }
    }
    out
}

/// Writes loaded words to registers.
#[inline(always)]
fn put<const N: usize>(warp: &mut Warp, active: u32, a: &Access, words: [[u32; 32]; N]) {
    if a.wide {
        for (value, words) in a.values.iter().zip(words.chunks_exact(2)) {
            for lane in lanes(active) {
                let bits = u64::from(words[0][lane as usize]) | u64::from(words[1][lane as usize]) << 32;
                warp.set(*value, true, lane, bits);
            }
        }
        return;
    }
    for (value, words) in a.values.iter().zip(&words) {
        let to = &mut warp.slots[*value as usize].0;
        if active == !0 {
            *to = *words;
        } else {
            lanes(active).for_each(|lane| to[lane as usize] = words[lane as usize]);
        }
    }
}

#[inline(always)]
fn store(warp: &Warp, region: &mut Region, active: u32, a: &Access, offsets: &[u64; 32]) {
    let size = a.ty.bytes();
    for lane in lanes(active) {
        let offset = offsets[lane as usize];
        region.mark(offset, u64::from(size * a.count));
        for (i, value) in a.values[..a.count as usize].iter().enumerate() {
            region.store(offset + u64::from(i as u32 * size), size, warp.get(*value, a.wide, lane));
        }
    }
}
