//! One run's memory.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use crate::RunError;
use crate::ring::{Kept, LogElement, Sink};
use crate::runtime::{Context, Lap};
use crate::team::Team;

/// Zeroed bytes at a multiple of 64.
#[derive(Debug)]
pub struct Bytes {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the bytes have one owner, as a `Box<[u8]>` has.
unsafe impl Send for Bytes {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// `None` where there is not so much memory.
    pub fn new(len: usize) -> Option<Bytes> {
        let layout = Layout::from_size_align(len.max(64), 64).ok()?;
        // SAFETY: the layout's size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Bytes { start, layout })
    }

    /// No bytes. (Nothing is allocated.)
    pub fn none() -> Bytes {
        Bytes { start: NonNull::dangling(), layout: Layout::new::<()>() }
    }

    pub fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub fn get(&self) -> &[u8] {
        // SAFETY: the allocation has this size, is initialised, and is borrowed as `self` is.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }

    pub fn get_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: allocated with this layout, which only [`Bytes::none`] has without size.
            unsafe { dealloc(self.start.as_ptr(), self.layout) }
        }
    }
}

/// A run's memory, lent to runs one after the other.
#[derive(Debug)]
pub struct Arena(pub(crate) Bytes);

impl Arena {
    /// Overwrites all of it: what a run relies on is what was put there for it.
    pub fn fill(&mut self, byte: u8) {
        self.0.get_mut().fill(byte);
    }
}

/// A run between calls of its phases: its arena, what it has logged, and what stopped it.
#[derive(Debug)]
pub struct RunState {
    pub run: usize,
    pub(crate) arena: Bytes,
    pub(crate) context: Box<Context>,
}

impl RunState {
    /// Takes this memory and gives back what it had: a run without an arena gets one, and the other way round.
    pub fn exchange(&mut self, arena: &mut Arena) {
        std::mem::swap(&mut self.arena, &mut arena.0);
    }

    /// From now on, what is logged goes to `sink`; what is in the ring still went there before.
    pub fn set_sink(&mut self, sink: Box<dyn Sink>) {
        self.context.ring.set_sink(sink);
    }

    /// Where what is logged goes, all of it handed over: until [`RunState::set_sink`] a [`Kept`](crate::Kept).
    pub fn sink(&mut self) -> &mut dyn Sink {
        self.context.ring.drain()
    }

    /// What was logged since this was last asked, in order, of a run that keeps it: one without a sink of its own.
    pub fn take_logs(&mut self) -> Vec<LogElement> {
        let sink: &mut dyn std::any::Any = self.sink();
        sink.downcast_mut::<Kept>().map_or(Vec::new(), |kept| std::mem::take(&mut kept.0))
    }

    /// The ring holds so many elements; what is in it is handed over.
    pub fn set_ring(&mut self, capacity: usize) {
        self.context.ring.set_capacity(capacity);
    }

    /// From now on, so many threads do the large loops of the run together; the caller's own is one of them.
    pub(crate) fn set_team(&mut self, threads: usize, wake_after: u64) {
        let team = &mut self.context.team;
        if team.as_ref().map_or(1, Team::size) != threads.max(1) {
            *team = (threads > 1).then(|| Team::new(threads, wake_after));
        }
    }

    /// Of a profile: how often each node without bodies was executed, and how long that took, by the nodes' numbers in
    /// `whorl_schedule::cost::leaves` of all phases, one after the other.
    pub fn laps(&self) -> &[Lap] {
        &self.context.laps
    }

    /// What stopped the run, once it has.
    pub fn error(&self) -> Option<RunError> {
        self.context.failure.clone().map(RunError::Fault)
    }
}
