//! Who last wrote and read each byte.
//!
//! A cell stands for a word of four bytes as long as its page is only touched by whole words, else for one byte.

use super::clock::*;
use rustc_hash::FxHashMap;

const PAGE: u64 = 4096;

#[derive(Clone, Copy, Default)]
pub struct Cell {
    write: Stamp,
    read: Stamp,
    write_pc: u32,
    read_pc: u32,
}

enum Page {
    Words(Box<[Cell]>),
    Bytes(Box<[Cell]>),
}

/// The cells of a region, made where they are needed.
#[derive(Default)]
pub struct Cells {
    pages: Vec<Option<Page>>,
}

/// Readers of other blocks, by the address of the cell, with their places in the code.
pub type Side = FxHashMap<(u64, u64), Vec<(Stamp, u32)>>;

/// Two accesses that nothing orders: the earlier one.
pub struct Conflict {
    pub stamp: Stamp,
    pub pc: u32,
    pub wrote: bool,
    pub byte: u64,
}

#[derive(Clone, Copy)]
pub struct Touch {
    pub write: bool,
    pub strong: bool,
    pub lane: u32,
    pub pc: u32,
}

impl Cells {
    /// Notes an access to `bytes` bytes from `offset` on; the access is aligned. `region` tells regions apart.
    pub fn touch(
        &mut self,
        offset: u64,
        bytes: u64,
        touch: Touch,
        judge: &Judge<'_>,
        side: &mut Side,
        region: u64,
    ) -> Result<(), Conflict> {
        let page = (offset / PAGE) as usize;
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let place = &mut self.pages[page];
        if bytes < 4 && !matches!(place, Some(Page::Bytes(_))) {
            *place = Some(split(place.take()));
        }
        let slot = place.get_or_insert_with(|| Page::Words(vec![Cell::default(); PAGE as usize / 4].into()));
        let (cells, size) = match slot {
            Page::Words(cells) => (cells, 4),
            Page::Bytes(cells) => (cells, 1),
        };
        let first = (offset % PAGE) / size;
        let stamp = judge.stamp(touch.lane);
        for (i, cell) in cells[first as usize..(first + bytes.div_ceil(size)) as usize].iter_mut().enumerate() {
            let byte = offset + i as u64 * size;
            let key = (region, byte);
            if touch.write {
                cell.write(stamp, touch, judge, side, key)?;
            } else {
                cell.read(stamp, touch, judge, side, key)?;
            }
        }
        Ok(())
    }
}

impl Cells {
    /// Notes accesses of whole words by the lanes of a warp; all are of one size.
    #[inline]
    pub fn touch_words(
        &mut self,
        offsets: &[u64; 32],
        active: u32,
        words: usize,
        touch: Touch,
        (judge, side, region): (&Judge<'_>, &mut Side, u64),
    ) -> Result<(), (Conflict, u32)> {
        let (mut left, mut last, mut run) = (active, u64::MAX, 0);
        let interval_now = judge.block.interval;
        while left != 0 {
            let lane = left.trailing_zeros();
            left &= left - 1;
            let offset = offsets[lane as usize];
            run = if offset == last { run + 1 } else { 0 };
            last = offset;
            // Of many lanes that read one word, two are as good as all.
            if run >= 2 && !touch.write {
                continue;
            }
            let me = judge.stamp(lane);
            let touch = Touch { lane, ..touch };
            let Some(Some(Page::Words(cells))) = self.pages.get_mut((offset / PAGE) as usize) else {
                self.touch(offset, 4 * words as u64, touch, judge, side, region)
                    .map_err(|conflict| (conflict, lane))?;
                continue;
            };
            let first = (offset % PAGE / 4) as usize;
            for (i, cell) in cells[first..first + words].iter_mut().enumerate() {
                let (w, r) = (cell.write, cell.read);
                let mine = w >> 22 == me >> 22;
                if mine || judge.is_quickly_past(w) {
                    if touch.write && (r == 0 || r == me || judge.is_quickly_past(r & !SIDE) && r & SIDE == 0) {
                        (cell.write, cell.write_pc, cell.read) = (me, touch.pc, 0);
                        continue;
                    }
                    let known =
                        r == me || (interval(r) == interval_now && r & (MANY_IN_BLOCK | STRONG) == MANY_IN_BLOCK);
                    if !touch.write && known {
                        continue;
                    }
                    if !touch.write && r & SIDE == 0 && judge.is_quickly_past(r) {
                        (cell.read, cell.read_pc) = (me, touch.pc);
                        continue;
                    }
                }
                let key = (region, offset + 4 * i as u64);
                let result = if touch.write {
                    cell.write(me, touch, judge, side, key)
                } else {
                    cell.read(me, touch, judge, side, key)
                };
                result.map_err(|conflict| (conflict, lane))?;
            }
        }
        Ok(())
    }
}

fn split(page: Option<Page>) -> Page {
    match page {
        Some(Page::Words(words)) => Page::Bytes(words.iter().flat_map(|word| [*word; 4]).collect()),
        Some(bytes) => bytes,
        None => Page::Bytes(vec![Cell::default(); PAGE as usize].into()),
    }
}

impl Cell {
    #[inline(always)]
    fn check_write(&self, me: Stamp, touch: Touch, judge: &Judge<'_>, byte: u64) -> Result<(), Conflict> {
        let w = self.write;
        // The same thread in the same interval, or long past.
        if w >> 22 == me >> 22 || judge.is_quickly_past(w) || (touch.strong && w & STRONG != 0) {
            return Ok(());
        }
        if judge.past(w, touch.lane) {
            return Ok(());
        }
        Err(Conflict { stamp: w, pc: self.write_pc, wrote: true, byte })
    }

    #[inline(always)]
    fn read(
        &mut self,
        me: Stamp,
        touch: Touch,
        judge: &Judge<'_>,
        side: &mut Side,
        key: (u64, u64),
    ) -> Result<(), Conflict> {
        self.check_write(me, touch, judge, key.1)?;
        let r = self.read;
        let strong = if touch.strong { STRONG } else { 0 };
        if (r ^ me) >> 4 == 0 {
            self.read = r & (!STRONG | strong);
            return Ok(());
        }
        if interval(r) == interval(me) {
            if r & MANY_IN_BLOCK == 0 {
                self.read_again(me, strong, touch, judge);
            } else {
                self.read = r & (!STRONG | strong);
            }
            return Ok(());
        }
        if interval(r) >= judge.first && !judge.past(r, touch.lane) {
            let others = side.entry(key).or_default();
            let (block, _) = judge.intervals.get(interval(r));
            let same = |(other, _): &(Stamp, u32)| {
                interval(*other) < judge.intervals.first || judge.intervals.get(interval(*other)).0 == block
            };
            others.retain(|other| !same(other));
            others.push((r, self.read_pc));
            self.read = me | strong | SIDE;
        } else {
            self.read = me | strong | (r & SIDE);
        }
        self.read_pc = touch.pc;
        Ok(())
    }

    /// A further read in an interval: of the readers that no other follows one is kept, and that there are more.
    fn read_again(&mut self, me: Stamp, strong: u64, touch: Touch, judge: &Judge<'_>) {
        let r = self.read;
        let flags = (r & SIDE) | (r & strong);
        let (mine, other) = (thread(me), thread(r));
        if mine == other || (mine / 32 == other / 32 && judge.past(r, touch.lane)) {
            self.read = me | flags | if mine == other && moment(me) == moment(r) { r & MANY_IN_WARP } else { 0 };
            self.read_pc = touch.pc;
        } else if mine / 32 == other / 32 {
            self.read = (r & !FLAGS) | flags | MANY_IN_WARP;
        } else {
            self.read = (r & !FLAGS) | flags | MANY_IN_BLOCK;
        }
    }

    #[inline(always)]
    fn write(
        &mut self,
        me: Stamp,
        touch: Touch,
        judge: &Judge<'_>,
        side: &mut Side,
        key: (u64, u64),
    ) -> Result<(), Conflict> {
        self.check_write(me, touch, judge, key.1)?;
        let r = self.read;
        if r != 0 {
            let conflict = |stamp, pc| Err(Conflict { stamp, pc, wrote: false, byte: key.1 });
            if !(touch.strong && r & STRONG != 0) {
                if interval(r) == interval(me) {
                    let alone = thread(r) == thread(me) && r & (MANY_IN_BLOCK | MANY_IN_WARP) == 0;
                    if !alone && judge.many_not_past(r, touch.lane) {
                        return conflict(r, self.read_pc);
                    }
                } else if interval(r) >= judge.first && !judge.past(r, touch.lane) {
                    return conflict(r, self.read_pc);
                }
            }
            if r & SIDE != 0 {
                for (other, pc) in side.remove(&key).unwrap_or_default() {
                    let both_strong = touch.strong && other & STRONG != 0;
                    if !(both_strong || judge.past(other, touch.lane)) {
                        return conflict(other, pc);
                    }
                }
            }
            self.read = 0;
        }
        self.write = me | if touch.strong { STRONG } else { 0 };
        self.write_pc = touch.pc;
        Ok(())
    }
}
