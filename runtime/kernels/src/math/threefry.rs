//! Threefry-2x32 with 20 rounds: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011), as JAX uses it.

/// The block of two random words for a key `(k0, k1)` and a counter `(c0, c1)`.
pub fn threefry2x32(k0: u32, k1: u32, c0: u32, c1: u32) -> (u32, u32) {
    // Rotations of the eight round kinds and the parity constant of the key schedule: table 2 and section 3.3 of the paper.
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let key = [k0, k1, 0x1bd1_1bda ^ k0 ^ k1];
    let (mut x, mut y) = (c0.wrapping_add(k0), c1.wrapping_add(k1));
    for group in 0..5 {
        for by in ROTATIONS[group % 2] {
            x = x.wrapping_add(y);
            y = y.rotate_left(by) ^ x;
        }
        x = x.wrapping_add(key[(group + 1) % 3]);
        y = y.wrapping_add(key[(group + 2) % 3]).wrapping_add(group as u32 + 1);
    }
    (x, y)
}

#[cfg(test)]
mod tests {
    use super::threefry2x32;

    /// Known answers of the Random123 distribution (`kat_vectors`, threefry 2x32, 20 rounds).
    #[test]
    fn known_answers() {
        assert_eq!(threefry2x32(0, 0, 0, 0), (0x6b20_0159, 0x99ba_4efe));
        assert_eq!(threefry2x32(!0, !0, !0, !0), (0x1cb9_96fc, 0xbb00_2be7));
        let pi = threefry2x32(0x1319_8a2e, 0x0370_7344, 0x243f_6a88, 0x85a3_08d3);
        assert_eq!(pi, (0xc492_3a9c, 0x483d_f7a0));
    }
}
