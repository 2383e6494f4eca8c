//! `--fast-math`: functions of `f32` by the card's own approximations. How far off they are, is what NVIDIA's PTX ISA (chapter 9.7.3) says of them.

use whorl_kernels::math::MathFn;

use crate::ptx::{Class, Operand, Text};

/// The function by few instructions, if the card has one for it that is good enough.
pub fn function(text: &mut Text, f: MathFn, x: Operand) -> Option<Operand> {
    Some(match f {
        // ex2: 2^-22 relative; the product is rounded, which is 1.2 units for each power of e.
        MathFn::Exp => exp(text, x),
        MathFn::Exp2 => one(text, "ex2.approx.f32", x),
        // lg2: 2^-22 absolute between 0.5 and 2, elsewhere relative.
        MathFn::Log => {
            let log = one(text, "lg2.approx.f32", x);
            two(text, "mul.rn.f32", log, Operand::f32(std::f32::consts::LN_2))
        }
        MathFn::Log2 => one(text, "lg2.approx.f32", x),
        // 2^-11 relative.
        MathFn::Tanh => one(text, "tanh.approx.f32", x),
        // That of ex2, and one unit of rcp.
        MathFn::Sigmoid => {
            let minus = one(text, "neg.f32", x);
            let power = exp(text, minus);
            let below = two(text, "add.rn.f32", power, Operand::f32(1.0));
            one(text, "rcp.approx.f32", below)
        }
        MathFn::Expm1
        | MathFn::Log1p
        | MathFn::Sin
        | MathFn::Cos
        | MathFn::Tan
        | MathFn::Asin
        | MathFn::Acos
        | MathFn::Atan
        | MathFn::Sinh
        | MathFn::Cosh
        | MathFn::Asinh
        | MathFn::Acosh
        | MathFn::Atanh
        | MathFn::Erf
        | MathFn::Erfc
        | MathFn::ErfInv
        | MathFn::Cbrt
        | MathFn::Lgamma
        | MathFn::Digamma => return None,
    })
}

/// 2^-23 relative.
pub fn sqrt(text: &mut Text, x: Operand) -> Operand {
    one(text, "sqrt.approx.f32", x)
}

/// Two units in the last place, over the whole range.
pub fn divide(text: &mut Text, a: Operand, b: Operand) -> Operand {
    two(text, "div.full.f32", a, b)
}

fn exp(text: &mut Text, x: Operand) -> Operand {
    let power = two(text, "mul.rn.f32", x, Operand::f32(std::f32::consts::LOG2_E));
    one(text, "ex2.approx.f32", power)
}

fn one(text: &mut Text, op: &str, x: Operand) -> Operand {
    text.one(op, Class::F32, x).into()
}

fn two(text: &mut Text, op: &str, a: Operand, b: Operand) -> Operand {
    text.two(op, Class::F32, a, b).into()
}
