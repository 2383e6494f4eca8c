//! Floats of 16 bits to `f32` and back, on machines of 32-bit floats. Halves are integers in the low 16 bits, zeros above.
//!
//! Rounding is to nearest even; NaN becomes quiet and keeps the upper bits of its payload, which is also what `vcvtps2ph` and
//! `vcvtph2ps` do. Nothing here depends on how the machine treats subnormal operands.

use crate::ops::Ops;

/// `0x7f80_0000`: the bits of infinity.
const INFINITE: i64 = 0xff << 23;

fn sign_and_size<O: Ops>(o: &mut O, x: O::I, sign: i64) -> (O::I, O::I) {
    let (sign, rest) = (o.i(sign), o.i(sign - 1));
    (o.iand(x, sign), o.iand(x, rest))
}

/// IEEE 754 binary16, exactly.
#[inline(always)]
pub fn from_f16<O: Ops>(o: &mut O, x: O::I) -> O::F {
    let (sign, size) = sign_and_size(o, x, 0x8000);
    let sign = o.ishl(sign, 16);
    // Normal numbers: the exponent moves from bias 15 to bias 127; that of infinities and NaN all the way up.
    let shifted = o.ishl(size, 13);
    let bias = o.i(112 << 23);
    let normal = o.iadd(shifted, bias);
    let infinite = o.i(INFINITE);
    let special = o.ior(shifted, infinite);
    let largest = o.i(0x7bff);
    let is_special = o.ilt(largest, size);
    let normal = o.iselect(is_special, special, normal);
    // Subnormal numbers are so many times 2⁻²⁴.
    let count = o.to_float(size);
    let unit = o.f(0.5f64.powi(24));
    let small = o.mul(count, unit);
    let small = o.bits(small);
    let first_normal = o.i(0x400);
    let is_small = o.ilt(size, first_normal);
    let bits = o.iselect(is_small, small, normal);
    let quiet = o.i(1 << 22);
    let quieted = o.ior(bits, quiet);
    let infinity = o.i(0x7c00);
    let is_nan = o.ilt(infinity, size);
    let bits = o.iselect(is_nan, quieted, bits);
    let bits = o.ior(bits, sign);
    o.from_bits(bits)
}

/// The nearest binary16.
#[inline(always)]
pub fn to_f16<O: Ops>(o: &mut O, x: O::F) -> O::I {
    let bits = o.bits(x);
    let top = o.i(i32::MIN as i64);
    let rest = o.i(i32::MAX as i64);
    let sign = o.iand(bits, top);
    let sign = o.ishr(sign, 16);
    let size = o.iand(bits, rest);
    // Normal numbers: half a unit is added, less what makes ties even, and the carry goes where it should.
    let odd = o.ishr(size, 13);
    let one = o.i(1);
    let odd = o.iand(odd, one);
    let rebias = o.i(0xfff - (112 << 23));
    let rounded = o.iadd(size, rebias);
    let rounded = o.iadd(rounded, odd);
    let normal = o.ishr(rounded, 13);
    // Below 2⁻¹⁴ the unit is 2⁻²⁴, that of numbers in [0.5, 1): adding 0.5 rounds to it.
    let (magnitude, half) = (o.from_bits(size), o.f(0.5));
    let sum = o.add(magnitude, half);
    let sum = o.bits(sum);
    let half = o.bits(half);
    let small = o.isub(sum, half);
    let first_normal = o.i(113 << 23);
    let is_small = o.ilt(size, first_normal);
    let finite = o.iselect(is_small, small, normal);
    // From 2¹⁶ on, infinity; of NaN, what fits of the payload.
    let infinity = o.i(0x7c00);
    let last = o.i((143 << 23) - 1);
    let is_large = o.ilt(last, size);
    let result = o.iselect(is_large, infinity, finite);
    let payload = o.ishr(size, 13);
    let kept = o.i(0x3ff);
    let payload = o.iand(payload, kept);
    let quiet = o.i(0x7e00);
    let nan = o.ior(payload, quiet);
    let infinite = o.i(INFINITE);
    let is_nan = o.ilt(infinite, size);
    let result = o.iselect(is_nan, nan, result);
    o.ior(result, sign)
}

/// The upper half of an `f32`.
#[inline(always)]
pub fn from_bf16<O: Ops>(o: &mut O, x: O::I) -> O::F {
    let (_, size) = sign_and_size(o, x, 0x8000);
    let bits = o.ishl(x, 16);
    let quiet = o.i(1 << 22);
    let quieted = o.ior(bits, quiet);
    let infinity = o.i(0x7f80);
    let is_nan = o.ilt(infinity, size);
    let bits = o.iselect(is_nan, quieted, bits);
    o.from_bits(bits)
}

/// The nearest upper half.
#[inline(always)]
pub fn to_bf16<O: Ops>(o: &mut O, x: O::F) -> O::I {
    let bits = o.bits(x);
    let rest = o.i(i32::MAX as i64);
    let size = o.iand(bits, rest);
    let odd = o.ishr(bits, 16);
    let one = o.i(1);
    let odd = o.iand(odd, one);
    let below_half = o.i(0x7fff);
    let rounded = o.iadd(bits, below_half);
    let rounded = o.iadd(rounded, odd);
    let quiet = o.i(1 << 22);
    let nan = o.ior(bits, quiet);
    let infinite = o.i(INFINITE);
    let is_nan = o.ilt(infinite, size);
    let result = o.iselect(is_nan, nan, rounded);
    o.ishr(result, 16)
}

#[cfg(test)]
mod tests {
    use super::super::scalar::ScalarF32;
    use super::*;

    /// Every half against the crate of that name, which uses the machine's instructions or code of its own.
    #[test]
    fn all_halves_to_f32() {
        for bits in 0..=u16::MAX {
            let ours = from_f16(&mut ScalarF32, bits as i32).to_bits();
            assert_eq!(ours, half::f16::from_bits(bits).to_f32().to_bits(), "f16 {bits:#06x}");
            let ours = from_bf16(&mut ScalarF32, bits as i32).to_bits();
            assert_eq!(ours, half::bf16::from_bits(bits).to_f32().to_bits(), "bf16 {bits:#06x}");
        }
    }

    /// All upper halves of `f32` with lower halves around each place where rounding changes.
    #[test]
    fn f32_to_halves() {
        let mut lows: Vec<u32> = (0..=16).flat_map(|k| [(1u32 << k) - 1, 1 << k, (1 << k) + 1]).collect();
        lows.extend([0, 0x0fff, 0x1fff, 0x3000, 0x7000, 0x8fff, 0xa000, 0xb000, 0xe000, 0xf000]);
        for high in 0..=u16::MAX {
            for low in &lows {
                let x = f32::from_bits(((high as u32) << 16) | (low & 0xffff));
                let ours = to_f16(&mut ScalarF32, x) as u16;
                assert_eq!(ours, half::f16::from_f32(x).to_bits(), "f16 of {x:e}, {:#010x}", x.to_bits());
                let ours = to_bf16(&mut ScalarF32, x) as u16;
                assert_eq!(ours, half::bf16::from_f32(x).to_bits(), "bf16 of {x:e}, {:#010x}", x.to_bits());
            }
        }
    }
}
