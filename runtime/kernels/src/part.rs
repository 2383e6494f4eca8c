//! Words in two parts, by a flag each, both in the order that they came in: a stable sort by a `bool`.
//!
//! It is how lanes that take a branch are found among many; the vector code does sixteen at a time.

use crate::simd::Level;

/// Writes those of `n` words whose flag is zero, then the others; gives how many there are of the first.
///
/// # Safety
/// `flags` and `from` must be readable for n elements, `to` writable, and `to` apart from both.
pub unsafe fn part_words(level: Level, flags: *const u8, from: *const u32, n: usize, to: *mut u32) -> usize {
    // SAFETY: the caller's; the machine has its level.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if bytes_too() => return part_avx512(flags, from, n, to),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {}
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {}
            Level::Portable => {}
        }
        let first = zeros(std::slice::from_raw_parts(flags, n));
        part_plain(flags, from, 0..n, [to, to.add(first)]);
        first
    }
}

/// Whether the machine that has AVX-512 has it for bytes and shorter vectors, as all but the first have.
#[cfg(target_arch = "x86_64")]
fn bytes_too() -> bool {
    is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("bmi2")
}

/// How many are zero. Sums of bytes are what compilers make good vectors of.
fn zeros(flags: &[u8]) -> usize {
    flags.chunks(255).map(|some| usize::from(some.iter().map(|f| u8::from(*f == 0)).sum::<u8>())).sum()
}

/// # Safety
/// As [`part_words`]; each cursor must have room for as many words as have its flag.
unsafe fn part_plain(flags: *const u8, from: *const u32, range: std::ops::Range<usize>, mut cursors: [*mut u32; 2]) {
    for at in range {
        // SAFETY: the caller's.
        unsafe {
            let cursor = &mut cursors[usize::from(*flags.add(at) != 0)];
            **cursor = *from.add(at);
            *cursor = cursor.add(1);
        }
    }
}

/// # Safety
/// As [`part_words`], on a machine that has these.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt,bmi2")]
unsafe fn part_avx512(flags: *const u8, from: *const u32, n: usize, to: *mut u32) -> usize {
    use std::arch::x86_64::*;
    let (mut first, counted) = (0, n / 64 * 64);
    // SAFETY: the caller's; a store writes as many words as the mask has bits, which is what its cursor has room for.
    unsafe {
        for at in (0..counted).step_by(64) {
            let bytes = _mm512_loadu_si512(flags.add(at).cast());
            first += _mm512_testn_epi8_mask(bytes, bytes).count_ones() as usize;
        }
        first += zeros(std::slice::from_raw_parts(flags.add(counted), n - counted));
        let mut cursors = [to, to.add(first)];
        for at in (0..n / 16 * 16).step_by(16) {
            let bytes = _mm_loadu_si128(flags.add(at).cast());
            let set = _mm_test_epi8_mask(bytes, bytes);
            let words = _mm512_loadu_si512(from.add(at).cast());
            for (side, mask) in [(0, !set), (1, set)] {
                let count = mask.count_ones();
                let together = _mm512_maskz_compress_epi32(mask, words);
                _mm512_mask_storeu_epi32(cursors[side].cast(), _bzhi_u32(0xffff, count) as u16, together);
                cursors[side] = cursors[side].add(count as usize);
            }
        }
        part_plain(flags, from, n / 16 * 16..n, cursors);
    }
    first
}
