//! Which primitives are elementary functions of `whorl_kernels::math`: one definition of each for every backend.

use whorl_kernels::math::{MathFn, MathFn2};

use crate::prim::{Binary, Unary};

impl Unary {
    /// The function, if it is one; the others are single operations of a machine.
    pub fn elementary(self) -> Option<MathFn> {
        match self {
            Unary::Exp => Some(MathFn::Exp),
            Unary::Log => Some(MathFn::Log),
            Unary::Log1p => Some(MathFn::Log1p),
            Unary::Expm1 => Some(MathFn::Expm1),
            Unary::Sin => Some(MathFn::Sin),
            Unary::Cos => Some(MathFn::Cos),
            Unary::Tan => Some(MathFn::Tan),
            Unary::Asin => Some(MathFn::Asin),
            Unary::Acos => Some(MathFn::Acos),
            Unary::Atan => Some(MathFn::Atan),
            Unary::Tanh => Some(MathFn::Tanh),
            Unary::Sigmoid => Some(MathFn::Sigmoid),
            Unary::Erf => Some(MathFn::Erf),
            Unary::ErfInv => Some(MathFn::ErfInv),
            Unary::Sign => Some(MathFn::Sign),
            Unary::Neg
            | Unary::Abs
            | Unary::Floor
            | Unary::Ceil
            | Unary::Round
            | Unary::Sqrt
            | Unary::Not
            | Unary::PopCount => None,
        }
    }
}

impl Binary {
    /// The function, if it is one.
    pub fn elementary(self) -> Option<MathFn2> {
        match self {
            Binary::Pow => Some(MathFn2::Pow),
            Binary::Atan2 => Some(MathFn2::Atan2),
            Binary::Min => Some(MathFn2::Min),
            Binary::Max => Some(MathFn2::Max),
            Binary::Add
            | Binary::Sub
            | Binary::Mul
            | Binary::Div
            | Binary::Rem
            | Binary::And
            | Binary::Or
            | Binary::Xor
            | Binary::Shl
            | Binary::Shr
            | Binary::ShrLogical => None,
        }
    }
}
