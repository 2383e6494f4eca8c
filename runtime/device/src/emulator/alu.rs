//! What arithmetic instructions compute where Rust's operators are not it, on one value.

/// The smaller; a number rather than a NaN; -0 before +0.
#[inline(always)]
pub fn min32(a: f32, b: f32) -> f32 {
    if a.is_nan() {
        return b;
    }
    let first = a < b || b.is_nan() || (a == b && a.is_sign_negative());
    if first { a } else { b }
}

#[inline(always)]
pub fn max32(a: f32, b: f32) -> f32 {
    if a.is_nan() {
        return b;
    }
    let first = a > b || b.is_nan() || (a == b && a.is_sign_positive());
    if first { a } else { b }
}

#[inline(always)]
pub fn min32_nan(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::NAN } else { min32(a, b) }
}

#[inline(always)]
pub fn max32_nan(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::NAN } else { max32(a, b) }
}

#[inline(always)]
pub fn min64(a: f64, b: f64) -> f64 {
    if a.is_nan() {
        return b;
    }
    let first = a < b || b.is_nan() || (a == b && a.is_sign_negative());
    if first { a } else { b }
}

#[inline(always)]
pub fn max64(a: f64, b: f64) -> f64 {
    if a.is_nan() {
        return b;
    }
    let first = a > b || b.is_nan() || (a == b && a.is_sign_positive());
    if first { a } else { b }
}

/// The upper word of `b:a` shifted to the left.
#[inline(always)]
pub fn funnel_left(a: u32, b: u32, shift: u32) -> u32 {
    (((u64::from(b) << 32 | u64::from(a)) << shift) >> 32) as u32
}

/// The lower word of `b:a` shifted to the right.
#[inline(always)]
pub fn funnel_right(a: u32, b: u32, shift: u32) -> u32 {
    ((u64::from(b) << 32 | u64::from(a)) >> shift) as u32
}

/// Ones in `length` bits from `start` on; both are taken modulo 256.
#[inline(always)]
pub fn field_mask(start: u32, length: u32, bits: u32) -> u64 {
    let (start, length) = (start & 255, length & 255);
    if start >= bits {
        return 0;
    }
    let ones = if length >= 64 { u64::MAX } else { (1 << length) - 1 };
    (ones << start) & if bits == 64 { u64::MAX } else { (1 << bits) - 1 }
}

fn field(value: u64, start: u64, length: u64, bits: u32, signed: bool) -> u64 {
    let (start, length) = ((start & 255) as u32, (length & 255) as u32);
    let msb = bits - 1;
    let sign = if !signed || length == 0 { 0 } else { (value >> msb.min(start + length - 1)) & 1 };
    let mut out = 0;
    for i in 0..bits {
        let bit = if i < length && start + i <= msb { (value >> (start + i)) & 1 } else { sign };
        out |= bit << i;
    }
    out
}

pub fn bfe_u32(value: u64, start: u64, length: u64) -> u64 {
    field(value, start, length, 32, false)
}

pub fn bfe_s32(value: u64, start: u64, length: u64) -> u64 {
    field(value, start, length, 32, true)
}

pub fn bfe_u64(value: u64, start: u64, length: u64) -> u64 {
    field(value, start, length, 64, false)
}

pub fn bfe_s64(value: u64, start: u64, length: u64) -> u64 {
    field(value, start, length, 64, true)
}

/// Four bytes out of the eight of `b:a`, each chosen by four bits; the highest of them repeats the byte's sign.
pub fn prmt(a: u64, b: u64, selector: u64) -> u64 {
    let bytes = (a & 0xffff_ffff) | b << 32;
    (0..4).fold(0, |out, i| {
        let choice = selector >> (4 * i);
        let byte = (bytes >> (8 * (choice & 7))) & 255;
        let byte = if choice & 8 == 0 { byte } else { (byte >> 7) * 255 };
        out | byte << (8 * i)
    })
}

/// The bitwise function of a table: bit `4 a + 2 b + c` of it.
#[inline(always)]
pub fn lop3(table: u8, a: u32, b: u32, c: u32) -> u32 {
    (0..8).fold(0, |out, i| {
        let pick = |x: u32, bit: u32| if i >> bit & 1 == 1 { x } else { !x };
        let take = if table >> i & 1 == 1 { u32::MAX } else { 0 };
        out | (pick(a, 2) & pick(b, 1) & pick(c, 0) & take)
    })
}
