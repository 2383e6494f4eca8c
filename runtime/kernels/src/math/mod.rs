//! The elementary functions, each written once over [`Ops`]: no branches, no calls, and one table (of tanh).
//!
//! What is true of all of them: NaN gives NaN, infinities, signed zeros, subnormals, overflow and underflow come out as IEEE 754
//! asks, and a result is within the error bound that the tests print (at most 2 ulp in `f32` for those that training leans on,
//! 4 ulp else). The two widths share the code and differ in their [`Width`]: constants and polynomials.

pub mod erf;
pub mod exp;
pub mod gamma;
pub mod halves;
pub mod hyperbolic;
pub mod inverse;
pub mod log;
pub mod poly;
pub mod pow;
pub mod root;
pub mod scalar;
mod series;
pub mod tanh;
pub mod threefry;
pub mod trig;
pub mod width;

use crate::ops::Ops;
pub use threefry::threefry2x32;
pub use width::{F32, F64, Width};

/// The table of functions of one float: variant, name in programs, definition, rough number of instructions. `$then! { rows }` makes something of it: here
/// [`MathFn`], in Core the names of primitives. A function is a row, and its derivative in `whorl-transform`.
#[macro_export]
macro_rules! with_functions_of_one_float {
    ($then:ident) => {
        $then! {
            Exp "exp" exp::exp 30;
            Exp2 "exp2" exp::exp2 30;
            Expm1 "expm1" exp::expm1 30;
            Log "log" log::log 30;
            Log2 "log2" log::log2 30;
            Log1p "log1p" log::log1p 30;
            Sin "sin" trig::sin 50;
            Cos "cos" trig::cos 50;
            Tan "tan" trig::tan 50;
            Asin "asin" inverse::asin 30;
            Acos "acos" inverse::acos 30;
            Atan "atan" inverse::atan 30;
            Sinh "sinh" hyperbolic::sinh 50;
            Cosh "cosh" hyperbolic::cosh 40;
            Tanh "tanh" tanh::tanh 30;
            Asinh "asinh" hyperbolic::asinh 50;
            Acosh "acosh" hyperbolic::acosh 50;
            Atanh "atanh" hyperbolic::atanh 40;
            Sigmoid "sigmoid" exp::sigmoid 30;
            Erf "erf" erf::erf 30;
            Erfc "erfc" erf::erfc 60;
            ErfInv "erf_inv" erf::erf_inv 30;
            Cbrt "cbrt" root::cbrt 60;
            Lgamma "lgamma" gamma::lgamma 200;
            Digamma "digamma" gamma::digamma 150;
        }
    };
}

macro_rules! define {
    ($($function:ident $name:literal $module:ident::$definition:ident $cost:literal;)*) => {
        /// A function of one float.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
        pub enum MathFn {
            $($function),*
        }

        impl MathFn {
            pub const ALL: &[MathFn] = &[$(MathFn::$function),*];

            /// As in programs.
            pub fn name(self) -> &'static str {
                match self {
                    $(MathFn::$function => $name),*
                }
            }

            /// Roughly how many instructions it is.
            pub fn cost(self) -> usize {
                match self {
                    $(MathFn::$function => $cost),*
                }
            }

            #[inline(always)]
            fn apply<O: Ops, W: Width>(self, o: &mut O, x: O::F) -> O::F {
                match self {
                    $(MathFn::$function => $module::$definition::<O, W>(o, x)),*
                }
            }
        }
    };
}

with_functions_of_one_float!(define);

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

/// The tables that [`Ops::row`] is given.
pub fn tables() -> [&'static crate::ops::Table; 1] {
    [&tanh::ROWS]
}

impl MathFn {
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
