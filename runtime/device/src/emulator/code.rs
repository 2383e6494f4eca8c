//! Kernels as they are executed: one [`Inst`] a PTX instruction, registers as slots, labels as places.

use super::convert::Round;
use super::lanes::{F1, F2, F3, FTest};
use super::ptx::{Loc, Param, Space, Type};
use std::sync::Arc;

/// A register: while decoding its number, afterwards its first slot.
pub type Slot = u32;
/// A predicate's number.
pub type Pred = u32;
/// In place of a slot or a predicate: none.
pub const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
pub struct Inst {
    /// The predicate under which lanes execute it, or [`NONE`].
    pub guard: Pred,
    /// Executed where the guard is false.
    pub negated: bool,
    pub op: Op,
}

#[derive(Clone, Copy)]
pub enum Op {
    One {
        f: F1,
        d: Slot,
        a: Slot,
    },
    Two {
        f: F2,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Three {
        f: F3,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    /// Any function of values as bits: for what is rare.
    Rare {
        f: fn(u64, u64, u64) -> u64,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
        wide: Wide,
    },
    Compare {
        f: FTest,
        d: Pred,
        not: Pred,
        a: Slot,
        b: Slot,
        with: Combine,
    },
    /// `d = table[a, b]`: bit `a + 2 b` of `table`.
    Logic {
        table: u8,
        d: Pred,
        a: Pred,
        b: Pred,
    },
    Convert {
        d: Slot,
        a: Slot,
        to: Type,
        from: Type,
        round: Round,
        saturate: bool,
        wide: bool,
        source_wide: bool,
    },
    Lop3 {
        table: u8,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    /// `mov.pred d, 1`
    SetPred {
        d: Pred,
        value: bool,
    },
    Select32 {
        d: Slot,
        a: Slot,
        b: Slot,
        p: Pred,
    },
    Select64 {
        d: Slot,
        a: Slot,
        b: Slot,
        p: Pred,
    },
    Special {
        which: Special,
        d: Slot,
    },
    /// The place of a [`Access`] in [`Code::accesses`].
    Load(u32),
    Store(u32),
    Atomic(u32),
    /// The place of a [`Copy16`] in [`Code::copies`].
    Copy(u32),
    CopyCommit,
    CopyWait(u32),
    LoadParam {
        d: Slot,
        offset: u32,
        ty: Type,
        wide: bool,
    },
    Fence {
        cta: bool,
    },
    Jump(u32),
    Exit,
    Trap,
    Barrier {
        id: Slot,
        count: Slot,
        aligned: bool,
        red: Option<(Red, Pred, u32)>,
    },
    WarpBarrier {
        members: Slot,
    },
    /// The place of a [`Shuffle`] in [`Code::shuffles`].
    Shuffle(u32),
    Vote {
        kind: Vote,
        d: u32,
        p: Pred,
        negated: bool,
        members: Slot,
    },
    ActiveMask {
        d: Slot,
    },
    /// The place of a [`Mma`] in [`Code::mmas`].
    Mma(u32),
    Sleep,
    Nothing,
    /// Not of the PTX: refuses lanes in which the register (by its number among those that need it) was never written.
    NeedsDefined(u32),
    Defines(u32),
}

/// Which operands of a rare operation have 64 bits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Wide {
    pub d: bool,
    pub a: bool,
    pub b: bool,
    pub c: bool,
}

/// What a comparison is joined with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    None,
    And(Pred, bool),
    Or(Pred, bool),
    Xor(Pred, bool),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Red {
    Popc,
    And,
    Or,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vote {
    All,
    Any,
    Uni,
    Ballot,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    Tid,
    Ntid,
    Ctaid,
    Nctaid,
    Lane,
    Warp,
    Warps,
    Multiprocessor,
    LaneLess,
    LaneLessEqual,
    LaneEqual,
    LaneGreater,
    LaneGreaterEqual,
    DynamicShared,
    Clock,
    Clock64,
    Time,
    Zero,
    One,
}

/// How an access is ordered with others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    Weak,
    Relaxed,
    Acquire,
    Release,
    AcquireRelease,
}

/// An address: a register and what is added to it.
#[derive(Clone, Copy)]
pub struct Address {
    pub base: Slot,
    pub wide: bool,
    pub offset: i64,
}

#[derive(Clone, Copy)]
pub struct Access {
    pub space: Space,
    pub address: Address,
    /// Of one element.
    pub ty: Type,
    pub count: u32,
    /// What is loaded or stored; [`NONE`] for `_`.
    pub values: [Slot; 4],
    /// Whether the registers have 64 bits.
    pub wide: bool,
    pub order: Order,
    /// Only ordered within the block.
    pub cta: bool,
    /// For atomics.
    pub atomic: Atomic,
    pub d: Slot,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Atomic {
    None,
    Add,
    Cas,
    Exch,
    Min,
    Max,
    And,
    Or,
    Xor,
    Inc,
    Dec,
}

/// `cp.async` of 4, 8 or 16 bytes from global to shared memory.
#[derive(Clone, Copy)]
pub struct Copy16 {
    pub to: Address,
    pub from: Address,
    pub bytes: u32,
    /// How many bytes are read, the rest being zero, or [`NONE`].
    pub read: Slot,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShuffleKind {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Clone, Copy)]
pub struct Shuffle {
    pub kind: ShuffleKind,
    pub d: Slot,
    pub p: Pred,
    pub a: Slot,
    pub b: Slot,
    pub c: Slot,
    pub members: Slot,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MmaKind {
    Tf32K4,
    Tf32K8,
    F16K8,
    F16K16,
    Bf16K8,
    Bf16K16,
}

#[derive(Clone, Copy)]
pub struct Mma {
    pub kind: MmaKind,
    pub d: [Slot; 4],
    pub a: [Slot; 4],
    pub b: [Slot; 2],
    pub c: [Slot; 4],
}

/// A variable of shared memory, for reports.
#[derive(Clone, Debug)]
pub struct SharedVariable {
    pub name: String,
    pub offset: u32,
    pub bytes: u32,
}

/// A kernel.
pub struct Code {
    pub name: String,
    pub insts: Vec<Inst>,
    /// For each instruction its line of PTX and of the source.
    pub lines: Vec<u32>,
    pub locs: Vec<Option<Loc>>,
    pub accesses: Vec<Access>,
    pub copies: Vec<Copy16>,
    pub shuffles: Vec<Shuffle>,
    pub mmas: Vec<Mma>,
    /// Slots and predicates of a warp.
    pub slots: u32,
    pub preds: u32,
    /// Slots that hold the same value in all threads from the start: immediates and addresses. The flag says 64 bits.
    pub constants: Vec<(Slot, u64, bool)>,
    /// Registers that may be read before they are written, by name.
    pub doubtful: Vec<String>,
    pub params: Vec<Param>,
    pub param_bytes: u32,
    pub max_threads: Option<u32>,
    pub shared: Vec<SharedVariable>,
    pub static_shared: u32,
    /// Whether there is a dynamic shared array; it begins after the static ones.
    pub dynamic: bool,
    pub files: Arc<Vec<(u32, String)>>,
    pub text: Arc<Vec<String>>,
}
