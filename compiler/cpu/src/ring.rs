//! What a run logs, on its way out.
//!
//! ```text
//! generated code ─ log ─▶ ring ─ when full, and between calls of phases ─▶ sink
//! ```
//!
//! The ring is the run's own and is written and emptied on the run's thread, so it needs no locks, nothing is lost, and memory stays
//! bounded in a phase or a step of any length. What a sink makes of the elements may not depend on how many come at once.

use std::any::Any;

pub use whorl_schedule::LogElement;

/// Takes what a run logs, in order.
pub trait Sink: Any + Send {
    fn take(&mut self, elements: &[LogElement]);
}

/// The sink that keeps everything.
#[derive(Default)]
pub struct Kept(pub Vec<LogElement>);

impl Sink for Kept {
    fn take(&mut self, elements: &[LogElement]) {
        self.0.extend_from_slice(elements);
    }
}

/// The sink that keeps nothing.
pub struct Dropped;

impl Sink for Dropped {
    fn take(&mut self, _: &[LogElement]) {}
}

/// Elements that a run's ring holds: 20 KiB, which stay in the nearest caches.
pub const RING: usize = 512;

pub struct Ring {
    elements: Vec<LogElement>,
    capacity: usize,
    sink: Box<dyn Sink>,
}

impl Ring {
    pub fn new(capacity: usize) -> Ring {
        Ring { elements: Vec::with_capacity(capacity), capacity: capacity.max(1), sink: Box::new(Kept::default()) }
    }

    pub fn push(&mut self, element: LogElement) {
        if self.elements.len() >= self.capacity {
            self.drain();
        }
        self.elements.push(element);
    }

    /// Hands everything over.
    pub fn drain(&mut self) -> &mut dyn Sink {
        if !self.elements.is_empty() {
            self.sink.take(&self.elements);
            self.elements.clear();
        }
        &mut *self.sink
    }

    pub fn set_sink(&mut self, sink: Box<dyn Sink>) {
        self.drain();
        self.sink = sink;
    }

    pub fn set_capacity(&mut self, capacity: usize) {
        self.drain();
        self.capacity = capacity.max(1);
        self.elements = Vec::with_capacity(self.capacity);
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Ring").field("elements", &self.elements).finish_non_exhaustive()
    }
}
