//! The state of a warp: registers, and where its lanes are.

use super::clock::WarpOrder;
use super::code::Code;
use super::lanes::Slot;

/// Lanes that are at the same place.
#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    pub pc: u32,
    pub mask: u32,
    pub wait: Wait,
    /// Has had its turn: others go first.
    pub tired: bool,
    /// Instructions of this turn.
    pub turn: u64,
}

impl Fragment {
    pub fn ready(pc: u32, mask: u32) -> Fragment {
        Fragment { pc, mask, wait: Wait::Ready, tired: false, turn: 0 }
    }
}

/// What lanes wait for. The place is still that of the instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    Ready,
    /// A barrier of the block, with its number, how many threads it waits for, and whether lanes must be together.
    Barrier {
        id: u32,
        count: Option<u32>,
        aligned: bool,
    },
    /// Other lanes of the warp.
    Lanes {
        members: u32,
    },
}

/// Why a warp does not go on now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    Done,
    /// At a barrier, or for lanes.
    Waits,
    /// It sleeps: others have a turn.
    Sleeps,
    /// It has had its turn.
    Turn,
}

/// An asynchronous copy that is not done: bytes that stand at an address of shared memory after the wait.
pub struct Pending {
    pub group: Option<u32>,
    pub lane: u32,
    pub to: u64,
    pub data: Vec<u8>,
    pub pc: u32,
}

pub struct Warp {
    pub slots: Vec<Slot>,
    pub preds: Vec<u32>,
    /// For each doubtful register the lanes that have written it.
    pub defined: Vec<u32>,
    pub fragments: Vec<Fragment>,
    /// Lanes that the block has.
    pub present: u32,
    pub order: WarpOrder,
    pub pending: Vec<Pending>,
    /// Groups of copies that each lane has committed.
    pub groups: [u32; 32],
    pub done: bool,
    /// The last load that acquires: where, and the progress of the launch then.
    pub asked: Option<(u32, u64)>,
}

impl Warp {
    pub fn new(code: &Code, index: u32, threads: u32) -> Warp {
        let mut warp = Warp {
            slots: vec![Slot([0; 32]); code.slots as usize],
            preds: vec![0; code.preds as usize],
            defined: Vec::new(),
            fragments: Vec::new(),
            present: 0,
            order: WarpOrder::new(index),
            pending: Vec::new(),
            groups: [0; 32],
            done: false,
            asked: None,
        };
        for (slot, value, wide) in &code.constants {
            if *wide {
                // SAFETY: a constant of 64 bits has two slots.
                unsafe { *warp.wide_mut(*slot) = [*value; 32] };
            } else {
                warp.slots[*slot as usize].0 = [*value as u32; 32];
            }
        }
        warp.restart(code, threads);
        warp
    }

    /// Begins the kernel anew, for another block. Registers keep what they have; whoever reads it is found.
    pub fn restart(&mut self, code: &Code, threads: u32) {
        let lanes = (threads - self.order.warp * 32).min(32);
        self.present = if lanes == 32 { !0 } else { (1 << lanes) - 1 };
        self.defined = vec![0; code.doubtful.len()];
        self.fragments = vec![Fragment::ready(0, self.present)];
        self.order = WarpOrder::new(self.order.warp);
        self.pending.clear();
        self.groups = [0; 32];
        self.done = false;
        self.asked = None;
    }

    /// Lanes that have not ended.
    pub fn alive(&self) -> u32 {
        self.fragments.iter().fold(0, |mask, fragment| mask | fragment.mask)
    }

    #[inline(always)]
    pub fn narrow(&self, slot: u32, lane: u32) -> u32 {
        self.slots[slot as usize].0[lane as usize]
    }

    /// # Safety
    /// The slot must be of a register of 64 bits, which has a second slot.
    #[inline(always)]
    pub unsafe fn wide_mut(&mut self, slot: u32) -> &mut [u64; 32] {
        debug_assert!((slot as usize) + 1 < self.slots.len());
        // SAFETY: two slots are as large as 32 values of 64 bits, and better aligned.
        unsafe { &mut *self.slots.as_mut_ptr().add(slot as usize).cast::<[u64; 32]>() }
    }

    /// A value as 64 bits.
    #[inline(always)]
    pub fn get(&self, slot: u32, wide: bool, lane: u32) -> u64 {
        if wide {
            assert!((slot as usize) + 1 < self.slots.len());
            // SAFETY: as for `wide_mut`.
            unsafe { (*self.slots.as_ptr().add(slot as usize).cast::<[u64; 32]>())[lane as usize] }
        } else {
            self.narrow(slot, lane).into()
        }
    }

    #[inline(always)]
    pub fn set(&mut self, slot: u32, wide: bool, lane: u32, value: u64) {
        if wide {
            assert!((slot as usize) + 1 < self.slots.len());
            // SAFETY: as for `wide_mut`.
            unsafe { self.wide_mut(slot)[lane as usize] = value };
        } else {
            self.slots[slot as usize].0[lane as usize] = value as u32;
        }
    }
}

/// The lanes of a mask, lowest first.
#[inline(always)]
pub fn lanes(mask: u32) -> impl Iterator<Item = u32> {
    let mut left = mask;
    std::iter::from_fn(move || {
        (left != 0).then(|| {
            let lane = left.trailing_zeros();
            left &= left - 1;
            lane
        })
    })
}
