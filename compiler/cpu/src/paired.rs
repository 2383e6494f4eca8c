//! A value of a group of lanes that one vector register holds, or two.

/// Two registers for an element type too wide for one; of others, and where both halves are known to be equal, the same register twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paired<R> {
    pub lo: R,
    /// The later lanes.
    pub hi: R,
}

impl<R: Copy + PartialEq> Paired<R> {
    pub fn one(v: R) -> Paired<R> {
        Paired { lo: v, hi: v }
    }

    pub fn map(self, mut f: impl FnMut(R) -> R) -> Paired<R> {
        let lo = f(self.lo);
        Paired { lo, hi: if self.hi == self.lo { lo } else { f(self.hi) } }
    }

    pub fn zip(self, other: Paired<R>, mut f: impl FnMut(R, R) -> R) -> Paired<R> {
        let lo = f(self.lo, other.lo);
        let same = self.hi == self.lo && other.hi == other.lo;
        Paired { lo, hi: if same { lo } else { f(self.hi, other.hi) } }
    }
}
