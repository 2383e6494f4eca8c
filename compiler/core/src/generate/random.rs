//! Where a generator's choices come from: a seed, by SplitMix64 (Steele, Lea & Flood, 2014), or a list of them.

pub enum Random {
    Seed(u64),
    /// What is chosen next, last first. Where nothing is left, the first possibility of each, which is the simplest: a
    /// shorter list of smaller numbers makes a smaller program, which is how failures shrink.
    Given(Vec<u32>),
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random::Seed(seed)
    }

    pub fn given(choices: &[u32]) -> Random {
        Random::Given(choices.iter().rev().copied().collect())
    }

    pub fn next(&mut self) -> u64 {
        match self {
            Random::Seed(state) => {
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                z ^ (z >> 31)
            }
            Random::Given(choices) => choices.pop().unwrap_or(0) as u64,
        }
    }

    /// 0 … n - 1; n is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// In (-1, 1), of few digits.
    pub fn float(&mut self) -> f64 {
        (self.below(1999) as f64 - 999.0) / 1000.0
    }
}
