//! The elementary functions, each written once over [`Ops`]: no branches, no tables, no calls.
//!
//! What is true of all of them: NaN gives NaN, infinities, signed zeros, subnormals, overflow and underflow come out as IEEE 754
//! asks, and a result is within the error bound that the tests print (at most 2 ulp in `f32` for those that training leans on,
//! 4 ulp else). The two widths share the code and differ in their [`Width`]: constants and polynomials.

pub mod erf;
pub mod exp;
pub mod halves;
pub mod inverse;
pub mod log;
pub mod poly;
pub mod pow;
pub mod scalar;
pub mod threefry;
pub mod trig;
pub mod width;

use crate::ops::Ops;
pub use threefry::threefry2x32;
pub use width::{F32, F64, Width};

/// A function of one float.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum MathFn {
    Exp,
    Expm1,
    Log,
    Log1p,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    Erf,
    ErfInv,
    /// -1, x for a zero, or 1; NaN for NaN.
    Sign,
}

/// A function of two floats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum MathFn2 {
    /// x to the power y, as in IEEE 754 `pow`.
    Pow,
    /// The angle of the point (second operand, first operand).
    Atan2,
    /// `a < b or a is NaN ? a : b`
    Min,
    /// `a > b or a is NaN ? a : b`
    Max,
}

impl MathFn {
    pub const ALL: [MathFn; 15] = [
        MathFn::Exp,
        MathFn::Expm1,
        MathFn::Log,
        MathFn::Log1p,
        MathFn::Sin,
        MathFn::Cos,
        MathFn::Tan,
        MathFn::Asin,
        MathFn::Acos,
        MathFn::Atan,
        MathFn::Tanh,
        MathFn::Sigmoid,
        MathFn::Erf,
        MathFn::ErfInv,
        MathFn::Sign,
    ];

    /// Emits or computes the function on a machine of 32-bit floats.
    #[inline(always)]
    pub fn apply32<O: Ops>(self, o: &mut O, x: O::F) -> O::F {
        self.apply::<O, F32>(o, x)
    }

    /// Emits or computes the function on a machine of 64-bit floats.
    #[inline(always)]
    pub fn apply64<O: Ops>(self, o: &mut O, x: O::F) -> O::F {
        self.apply::<O, F64>(o, x)
    }

    #[inline(always)]
    fn apply<O: Ops, W: Width>(self, o: &mut O, x: O::F) -> O::F {
        match self {
            MathFn::Exp => exp::exp::<O, W>(o, x),
            MathFn::Expm1 => exp::expm1::<O, W>(o, x),
            MathFn::Log => log::log::<O, W>(o, x),
            MathFn::Log1p => log::log1p::<O, W>(o, x),
            MathFn::Sin => trig::sin::<O, W>(o, x),
            MathFn::Cos => trig::cos::<O, W>(o, x),
            MathFn::Tan => trig::tan::<O, W>(o, x),
            MathFn::Asin => inverse::asin::<O, W>(o, x),
            MathFn::Acos => inverse::acos::<O, W>(o, x),
            MathFn::Atan => inverse::atan::<O, W>(o, x),
            MathFn::Tanh => exp::tanh::<O, W>(o, x),
            MathFn::Sigmoid => exp::sigmoid::<O, W>(o, x),
            MathFn::Erf => erf::erf::<O, W>(o, x),
            MathFn::ErfInv => erf::erf_inv::<O, W>(o, x),
            MathFn::Sign => sign(o, x),
        }
    }
}

impl MathFn2 {
    pub const ALL: [MathFn2; 4] = [MathFn2::Pow, MathFn2::Atan2, MathFn2::Min, MathFn2::Max];

    /// Emits or computes the function on a machine of 32-bit floats.
    #[inline(always)]
    pub fn apply32<O: Ops>(self, o: &mut O, a: O::F, b: O::F) -> O::F {
        self.apply::<O, F32>(o, a, b)
    }

    /// Emits or computes the function on a machine of 64-bit floats.
    #[inline(always)]
    pub fn apply64<O: Ops>(self, o: &mut O, a: O::F, b: O::F) -> O::F {
        self.apply::<O, F64>(o, a, b)
    }

    #[inline(always)]
    fn apply<O: Ops, W: Width>(self, o: &mut O, a: O::F, b: O::F) -> O::F {
        match self {
            MathFn2::Pow => pow::pow::<O, W>(o, a, b),
            MathFn2::Atan2 => inverse::atan2::<O, W>(o, a, b),
            MathFn2::Min => min(o, a, b),
            MathFn2::Max => max(o, a, b),
        }
    }
}

/// `a < b or a is NaN ? a : b`: NaN in either operand gives NaN.
#[inline(always)]
pub fn min<O: Ops>(o: &mut O, a: O::F, b: O::F) -> O::F {
    let less = o.min(a, b);
    let number = o.eq(a, a);
    o.select(number, less, a)
}

/// `a > b or a is NaN ? a : b`: NaN in either operand gives NaN.
#[inline(always)]
pub fn max<O: Ops>(o: &mut O, a: O::F, b: O::F) -> O::F {
    let more = o.max(a, b);
    let number = o.eq(a, a);
    o.select(number, more, a)
}

/// -1 or 1; the operand itself if it is a zero or NaN.
#[inline(always)]
pub fn sign<O: Ops>(o: &mut O, x: O::F) -> O::F {
    let (zero, one, minus_one) = (o.f(0.0), o.f(1.0), o.f(-1.0));
    let positive = o.lt(zero, x);
    let negative = o.lt(x, zero);
    let y = o.select(negative, minus_one, x);
    o.select(positive, one, y)
}
