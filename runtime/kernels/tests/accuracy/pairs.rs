//! Functions of two `f32`: pairs of every kind, since all are too many.

use whorl_kernels::math::MathFn2;
use whorl_kernels::math::scalar::{binary_f32, binary_f64};

use crate::whole::{Points, Worst, ulps};

pub fn worst(f: MathFn2, points: Points) -> Worst {
    let count = if points == Points::All { 1 << 25 } else { 1 << 19 };
    let mut worst = (0.0, (0.0, 0.0));
    for (a, b) in pairs(count) {
        let u = ulps(binary_f32(f, a, b), binary_f64(f, a as f64, b as f64), || 0.0);
        if u > worst.0 {
            worst = (u, (a, b));
        }
    }
    Worst { ulps: worst.0, at: format!("{:e} and {:e}", worst.1.0, worst.1.1) }
}

/// Special ones, any bits, and those whose power or angle is of every kind.
fn pairs(count: u32) -> impl Iterator<Item = (f32, f32)> {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        2.0,
        3.0,
        -3.0,
        1e-40,
        -2.5,
        1e30,
        f32::MAX,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    let specials = special.into_iter().flat_map(move |a| special.into_iter().map(move |b| (a, b)));
    let hash = |i: u32| i.wrapping_mul(0x9e37_79b9).rotate_left(13).wrapping_mul(0x85eb_ca6b) ^ (i >> 3);
    let anywhere = (0..count).map(move |i| (f32::from_bits(hash(i)), f32::from_bits(hash(!i))));
    // Exponents that bring the power into range.
    let inside = (0..count).map(move |i| {
        let x = f32::from_bits(hash(i) & 0x7fff_ffff);
        let span = 105.0 / (x.ln().abs() + 1e-3);
        (x, (hash(!i) as i32 as f32 / i32::MAX as f32) * span)
    });
    let beside_one = (0..count).map(move |i| {
        let x = 1.0 + (hash(i) as i32 as f32 / i32::MAX as f32) * 0.5;
        (x, (hash(!i) as i32 as f32 / i32::MAX as f32) * 105.0 / (x.ln().abs() + 1e-7))
    });
    let whole = (0..count).map(move |i| (-(hash(i) as f32) / 1e9, (hash(!i) % 81) as f32 - 40.0));
    let moderate = (0..count).map(move |i| (hash(i) as i32 as f32 / 1e9, hash(!i) as i32 as f32 / 1e9));
    specials.chain(anywhere).chain(inside).chain(beside_one).chain(whole).chain(moderate)
}
