//! Which primitives are elementary functions of `whorl_kernels::math`: one definition of each for every backend.

use whorl_kernels::math::{MathFn, MathFn2};

use crate::prim::{Binary, Unary};

macro_rules! as_primitives {
    ($($function:ident $name:literal $module:ident::$definition:ident $cost:literal;)*) => {
        /// The elementary functions, as primitives: `Unary::Exp` is `Unary::Math(MathFn::Exp)`, in expressions and in patterns.
        #[allow(non_upper_case_globals, reason = "they read as the other primitives do")]
        impl Unary {
            $(pub const $function: Unary = Unary::Math(MathFn::$function);)*
        }
    };
}

whorl_kernels::with_functions_of_one_float!(as_primitives);

impl Unary {
    /// The function, if it is one; the others are single operations of a machine.
    pub fn elementary(self) -> Option<MathFn> {
        match self {
            Unary::Math(f) => Some(f),
            Unary::Neg
            | Unary::Abs
            | Unary::Sign
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
