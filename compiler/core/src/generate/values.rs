//! The values at which arithmetic breaks.

use super::random::Random;
use crate::ir::*;

/// A value of any kind: NaN, infinities, both zeros, subnormals, the ends of the integers, and plain numbers.
pub fn value(random: &mut Random, dtype: DType) -> Lit {
    match dtype {
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 => float(random, dtype),
        DType::I32 => {
            let plain = random.below(7) as i32 - 2;
            let far = random.next() as u32 as i32;
            Lit::i32(random.pick(&[plain, plain, plain, 0, 1, -1, i32::MIN, i32::MAX, i32::MAX - 1, 31, 32, far]))
        }
        DType::U32 => {
            let plain = random.below(5) as u32;
            let far = random.next() as u32;
            Lit::u32(random.pick(&[plain, plain, plain, 0, u32::MAX, 1 << 31, (1 << 31) - 1, 31, 32, 33, far]))
        }
        DType::U8 => {
            let plain = random.below(5) as u8;
            let far = random.next() as u8;
            Lit::u8(random.pick(&[plain, plain, 0, u8::MAX, 127, 128, 7, 8, 9, far]))
        }
        DType::Bool => Lit::bool(random.below(2) == 1),
    }
}

fn float(random: &mut Random, dtype: DType) -> Lit {
    // The least normal number, the largest finite one, and how the exponents of what lies between go.
    let (least, largest) = match dtype {
        DType::F64 => (f64::MIN_POSITIVE, f64::MAX),
        DType::F16 => (2f64.powi(-14), 65504.0),
        _ => (f32::MIN_POSITIVE as f64, f32::MAX as f64),
    };
    let plain = random.float();
    let whole = random.below(9) as f64 - 4.0;
    let sign = [1.0, -1.0][random.below(2)];
    // Of any exponent.
    let scaled = plain * 2f64.powi(random.below(300) as i32 - 150);
    let x = match random.below(16) {
        0..=3 => plain,
        4 | 5 => whole,
        6 => 0.0 * sign,
        7 => f64::INFINITY * sign,
        8 => f64::NAN,
        9 => least * sign,
        // Subnormal.
        10 => least * plain,
        11 => largest * sign,
        // Where integers of 32 bits end, and where floats stop to be exact.
        12 => random.pick(&[2147483648.0, -2147483648.0, 4294967296.0, 2147483520.0, 16777217.0, 255.5, 256.0, -0.75]),
        13 => whole + 0.5,
        _ => scaled,
    };
    Lit::of(dtype, x)
}
