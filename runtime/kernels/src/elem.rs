//! Element types as kernels are told them.

/// The element type of an operand, as a byte.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Elem {
    F32 = 0,
    F64 = 1,
    I32 = 2,
    U32 = 3,
    U8 = 4,
    Bool = 5,
}

impl Elem {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Elem::F64 => 8,
            Elem::F32 | Elem::I32 | Elem::U32 => 4,
            Elem::U8 | Elem::Bool => 1,
        }
    }
}
