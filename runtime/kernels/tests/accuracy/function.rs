//! What is tested, and how exact it must be.

use whorl_kernels::math::scalar::{binary_f64, unary_f64};
use whorl_kernels::math::{MathFn, MathFn2};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Function {
    One(MathFn),
    Two(MathFn2),
    Root,
    /// 1 / sqrt(x), as programs have it.
    InverseRoot,
}

/// In units in the last place.
pub const BAR_OF_F64: f64 = 4.0;

impl Function {
    pub fn all() -> impl Iterator<Item = Function> {
        let two = [MathFn2::Pow, MathFn2::Atan2].map(Function::Two);
        MathFn::ALL.iter().copied().map(Function::One).chain([Function::Root, Function::InverseRoot]).chain(two)
    }

    pub fn name(self) -> &'static str {
        match self {
            Function::One(f) => f.name(),
            Function::Two(MathFn2::Pow) => "pow",
            Function::Two(MathFn2::Atan2) => "atan2",
            Function::Two(MathFn2::Min) => "min",
            Function::Two(MathFn2::Max) => "max",
            Function::Root => "sqrt",
            Function::InverseRoot => "rsqrt",
        }
    }

    /// The largest error of `f32` that is allowed, in units in the last place.
    pub fn bar(self) -> f64 {
        match self {
            Function::One(
                MathFn::Exp
                | MathFn::Log
                | MathFn::Log1p
                | MathFn::Expm1
                | MathFn::Tanh
                | MathFn::Sigmoid
                | MathFn::Sin
                | MathFn::Cos,
            )
            | Function::Root
            | Function::InverseRoot => 2.0,
            Function::One(_) | Function::Two(_) => 4.0,
        }
    }

    pub fn of_f64(self, x: &[f64]) -> f64 {
        match self {
            Function::One(f) => unary_f64(f, x[0]),
            Function::Two(f) => binary_f64(f, x[0], x[1]),
            Function::Root => x[0].sqrt(),
            Function::InverseRoot => 1.0 / x[0].sqrt(),
        }
    }
}

/// What errors are counted in units of, if it is larger than the value itself: for negative x, lgamma and digamma are differences of two terms, of which
/// one is the value at the mirrored point, and they have zeros where all digits of these cancel. At least units of 1.
pub fn scale(f: MathFn, x: f64) -> f64 {
    let mirrored = match f {
        MathFn::Lgamma if x < 0.0 => unary_f64(f, -x),
        MathFn::Digamma if x < 0.0 => unary_f64(f, 1.0 - x),
        _ => return 0.0,
    };
    let other = match f {
        MathFn::Lgamma => mirrored + unary_f64(f, x),
        _ => mirrored - unary_f64(f, x),
    };
    mirrored.abs().max(other.abs()).max(1.0)
}
