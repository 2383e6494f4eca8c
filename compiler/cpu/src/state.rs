//! One run's memory.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use crate::RunError;
use crate::runtime::{Context, Lap, LogEvent};

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
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
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
    /// The logs so far, in order.
    pub fn logs(&self) -> &[LogEvent] {
        &self.context.logs
    }

    /// The logs since they were last taken.
    pub fn take_logs(&mut self) -> Vec<LogEvent> {
        std::mem::take(&mut self.context.logs)
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
