//! Memory that a thread keeps for packed operands and sorts, so that nothing allocates once the largest has run.

use std::cell::Cell;

/// A cache line, which keeps the buffer aligned for every vector.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

thread_local! {
    static KEPT: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// A buffer taken from the thread; dropping it gives it back.
pub struct Scratch {
    lines: Vec<Line>,
}

impl Scratch {
    /// Room for `count` elements of T, of any content.
    pub fn take<T>(count: usize) -> Scratch {
        let mut lines = KEPT.take();
        let wanted = (count * size_of::<T>()).div_ceil(64);
        if lines.len() < wanted {
            lines.resize(wanted, Line([0; 64]));
        }
        Scratch { lines }
    }

    /// Where the elements are; T must have no invalid bit patterns, as numbers have none.
    pub fn pointer<T>(&mut self) -> *mut T {
        self.lines.as_mut_ptr().cast()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        KEPT.set(std::mem::take(&mut self.lines));
    }
}
