//! Device memory: regions that are far apart, so that what goes past the end of one meets no other.

use super::finding::{Fault, FindingKind};
use super::shadow::Cells;
use std::sync::Arc;

/// Addresses of device memory begin here.
const FIRST: u64 = 0x2_0000_0000;
/// Nothing lies between regions.
const GAP: u64 = 1 << 16;

/// Bytes that the host may see as well.
pub struct Block {
    words: Box<[u128]>,
}

impl Block {
    pub fn new(bytes: u64) -> Arc<Block> {
        Arc::new(Block { words: vec![0; bytes.div_ceil(16) as usize].into() })
    }

    pub fn start(&self) -> *mut u8 {
        // The bytes are only ever reached through this pointer.
        self.words.as_ptr().cast::<u8>().cast_mut()
    }
}

/// A piece of memory: an allocation, a variable, or the shared memory of a block.
pub struct Region {
    pub base: u64,
    pub bytes: u64,
    pub name: String,
    pub read_only: bool,
    /// The host writes here without our knowing: neither races nor first writes are followed.
    pub host: bool,
    pub cells: Cells,
    memory: Arc<Block>,
    /// A bit a byte: whether it was written.
    written: Vec<u64>,
}

// SAFETY: the bytes behind the pointer are owned by the `Arc`; all access goes through a `&Region` or `&mut Region` of the
// emulator's state, but for memory of the host, which both sides reach by volatile accesses.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Region {
    pub fn new(base: u64, bytes: u64, name: String) -> Region {
        let written = vec![0; bytes.div_ceil(64) as usize];
        let memory = Block::new(bytes);
        Region { base, bytes, name, read_only: false, host: false, cells: Cells::default(), memory, written }
    }

    pub fn memory(&self) -> &Arc<Block> {
        &self.memory
    }

    /// Forgets what was written, for a new block.
    pub fn forget(&mut self) {
        self.written.fill(0);
    }

    #[inline(always)]
    pub fn contains(&self, address: u64, bytes: u64) -> bool {
        let offset = address.wrapping_sub(self.base);
        offset < self.bytes && self.bytes - offset >= bytes
    }

    /// Reads `N` words for each lane, from offsets that are inside of the region and aligned to the `N` words.
    #[inline(always)]
    pub fn gather<const N: usize>(&self, offsets: &[u64; 32]) -> [[u32; 32]; N] {
        let start = self.memory.start();
        let mut out = [[0; 32]; N];
        for (lane, offset) in offsets.iter().enumerate() {
            debug_assert!(offset + 4 * N as u64 <= self.bytes && offset.is_multiple_of(4));
            // SAFETY: callers have checked bounds and alignment, and the memory is not the host's.
            let words = unsafe { start.add(*offset as usize).cast::<[u32; N]>().read() };
            for i in 0..N {
                out[i][lane] = words[i];
            }
        }
        out
    }

    /// Whether bytes of one aligned access, of at most 16, were written.
    #[inline(always)]
    pub fn is_written(&self, offset: u64, bytes: u64) -> bool {
        let mask = ((1u64 << bytes) - 1) << (offset % 64);
        self.written[offset as usize / 64] & mask == mask
    }

    #[inline(always)]
    pub fn mark(&mut self, offset: u64, bytes: u64) {
        self.written[offset as usize / 64] |= ((1u64 << bytes) - 1) << (offset % 64);
    }

    pub fn mark_range(&mut self, offset: u64, bytes: u64) {
        let (mut at, end) = (offset, offset + bytes);
        while at < end {
            if at.is_multiple_of(64) && end - at >= 64 {
                self.written[at as usize / 64] = u64::MAX;
                at += 64;
            } else {
                self.mark(at, 1);
                at += 1;
            }
        }
    }

    /// Reads 1, 2, 4 or 8 bytes.
    #[inline(always)]
    pub fn load(&self, offset: u64, bytes: u32) -> u64 {
        debug_assert!(offset + u64::from(bytes) <= self.bytes && offset.is_multiple_of(bytes.into()));
        // SAFETY: callers have checked bounds and alignment; the base is aligned to 16. Volatile, since the memory may
        // be the host's.
        unsafe {
            let at = self.memory.start().add(offset as usize);
            match bytes {
                1 => at.read_volatile().into(),
                2 => at.cast::<u16>().read_volatile().into(),
                4 => at.cast::<u32>().read_volatile().into(),
                _ => at.cast::<u64>().read_volatile(),
            }
        }
    }

    #[inline(always)]
    pub fn store(&mut self, offset: u64, bytes: u32, value: u64) {
        debug_assert!(offset + u64::from(bytes) <= self.bytes && offset.is_multiple_of(bytes.into()));
        // SAFETY: as for `load`.
        unsafe {
            let at = self.memory.start().add(offset as usize);
            match bytes {
                1 => at.write_volatile(value as u8),
                2 => at.cast::<u16>().write_volatile(value as u16),
                4 => at.cast::<u32>().write_volatile(value as u32),
                _ => at.cast::<u64>().write_volatile(value),
            }
        }
    }

    pub fn copy_in(&mut self, offset: u64, from: &[u8]) {
        assert!(offset + from.len() as u64 <= self.bytes);
        // SAFETY: in bounds, and `from` is not of the device.
        unsafe {
            let to = self.memory.start().add(offset as usize);
            std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len());
        }
        self.mark_range(offset, from.len() as u64);
    }

    pub fn copy_out(&self, offset: u64, to: &mut [u8]) {
        assert!(offset + to.len() as u64 <= self.bytes);
        // SAFETY: in bounds, and `to` is not of the device.
        unsafe {
            let from = self.memory.start().add(offset as usize);
            std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len());
        }
    }

    pub fn fill(&mut self, offset: u64, bytes: u64, value: u8) {
        assert!(offset + bytes <= self.bytes);
        // SAFETY: in bounds.
        unsafe { std::ptr::write_bytes(self.memory.start().add(offset as usize), value, bytes as usize) };
        self.mark_range(offset, bytes);
    }
}

/// All regions of a device, by address.
pub struct Memory {
    regions: Vec<Region>,
    next: u64,
    /// What was freed last, for reports.
    freed: Vec<(u64, u64, String)>,
    pub used: u64,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory { regions: Vec::new(), next: FIRST, freed: Vec::new(), used: 0 }
    }
}

impl Memory {
    /// Addresses are never given out twice.
    pub fn allocate(&mut self, bytes: u64, name: String) -> &mut Region {
        let base = self.next;
        self.next = (base + bytes + GAP).next_multiple_of(GAP);
        self.used += bytes;
        self.regions.push(Region::new(base, bytes, name));
        self.regions.last_mut().expect("just pushed")
    }

    pub fn free(&mut self, base: u64) -> bool {
        let Some(at) = self.regions.iter().position(|region| region.base == base) else { return false };
        let region = self.regions.remove(at);
        self.used -= region.bytes;
        self.freed.push((base, region.bytes, region.name));
        true
    }

    #[inline(always)]
    pub fn at(&mut self, place: usize) -> &mut Region {
        &mut self.regions[place]
    }

    /// The place of the region of an address; `hint` is tried first.
    #[inline(always)]
    pub fn find(&self, address: u64, bytes: u64, hint: usize) -> Option<usize> {
        if self.regions.get(hint).is_some_and(|region| region.contains(address, bytes)) {
            return Some(hint);
        }
        let after = self.regions.partition_point(|region| region.base <= address);
        let place = after.checked_sub(1)?;
        self.regions[place].contains(address, bytes).then_some(place)
    }

    /// Says what an address that is in no region is near to.
    pub fn out_of_bounds(&self, address: u64, bytes: u64, lane: u32, what: &str) -> Box<Fault> {
        let near = self.regions.partition_point(|region| region.base <= address).checked_sub(1);
        let near = near.map(|place| &self.regions[place]);
        let freed = self.freed.iter().find(|(base, size, _)| address.wrapping_sub(*base) < *size);
        let place = match (freed, near) {
            (Some((base, size, name)), _) => {
                format!("in {name}, byte {} of {size}, which was freed", address - base)
            }
            (None, Some(region)) if address < region.base + region.bytes + GAP => {
                format!("byte {} of {}, which has {} bytes", address - region.base, region.name, region.bytes)
            }
            _ => "in no allocation".to_string(),
        };
        Fault::at(FindingKind::OutOfBounds, lane, address, format!("{what} {bytes} bytes out of bounds: {place}"))
    }
}
