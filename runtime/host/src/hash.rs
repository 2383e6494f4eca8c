//! Checksums: they tell whether bytes are the same or damaged, not who made them.

use crc::{CRC_64_XZ, Crc, Digest, Table};

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

/// CRC-64/XZ of pieces, each told apart from the next.
pub struct Checksum(Digest<'static, u64, Table<16>>);

impl Checksum {
    pub fn new() -> Checksum {
        Checksum(CRC.digest())
    }

    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(&(piece.len() as u64).to_le_bytes());
        self.0.update(piece);
    }

    /// 16 hexadecimal digits.
    pub fn text(self) -> String {
        format!("{:016x}", self.0.finalize())
    }
}

impl Default for Checksum {
    fn default() -> Checksum {
        Checksum::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[&str]) -> String {
        let mut sum = Checksum::new();
        pieces.iter().for_each(|p| sum.add(p.as_bytes()));
        sum.text()
    }

    #[test]
    fn pieces_are_told_apart() {
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ba"]));
        assert_eq!(of(&[]).len(), 16);
    }
}
