//! Words in two parts, by a flag each, both in the order that they came in: a stable sort by a `bool`.
//!
//! It is how lanes that take a branch are found among many; the vector code does sixteen at a time.

use crate::simd::Level;

/// Writes those of `n` words whose flag is zero, then the others; gives how many there are of the first.
///
/// # Safety
/// `flags` and `from` must be readable for n elements, `to` writable, and `to` apart from both.
pub unsafe fn part_words(level: Level, flags: *const u8, from: *const u32, n: usize, to: *mut u32) -> usize {
    // SAFETY: the caller's.
    let first = unsafe { std::slice::from_raw_parts(flags, n) }.iter().filter(|f| **f == 0).count();
    let cursors = [to, to.wrapping_add(first)];
    // SAFETY: the caller's; the cursors have room for as many words as have that flag, and the machine has its level.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => part_avx512(flags, from, n, cursors),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => part_plain(flags, from, 0..n, cursors),
            Level::Portable => part_plain(flags, from, 0..n, cursors),
        }
    }
    first
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
/// As [`part_plain`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn part_avx512(flags: *const u8, from: *const u32, n: usize, mut cursors: [*mut u32; 2]) {
    use std::arch::x86_64::*;
    // SAFETY: the caller's; a store writes as many words as the mask has bits, which is what its cursor has room for.
    unsafe {
        for at in (0..n / 16 * 16).step_by(16) {
            let wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(flags.add(at).cast()));
            let set = _mm512_test_epi32_mask(wide, wide);
            let words = _mm512_loadu_si512(from.add(at).cast());
            for (side, mask) in [(0, !set), (1, set)] {
                let count = mask.count_ones();
                let together = _mm512_maskz_compress_epi32(mask, words);
                _mm512_mask_storeu_epi32(cursors[side].cast(), ((1u32 << count) - 1) as u16, together);
                cursors[side] = cursors[side].add(count as usize);
            }
        }
        part_plain(flags, from, n / 16 * 16..n, cursors);
    }
}
