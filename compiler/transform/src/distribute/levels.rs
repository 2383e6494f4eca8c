//! Sets of levels: the enclosing `Map`s that a value varies over, outermost first.

use smallvec::SmallVec;

/// Numbers of levels, ascending.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Levels(SmallVec<[u32; 4]>);

impl Levels {
    pub fn of(level: u32) -> Levels {
        Levels(SmallVec::from_iter([level]))
    }

    /// The levels 0..n.
    pub fn all(n: usize) -> Levels {
        Levels((0..n as u32).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    pub fn contains(&self, level: u32) -> bool {
        self.0.contains(&level)
    }

    /// The axis of a level that is among them.
    pub fn place(&self, level: u32) -> usize {
        self.0.iter().position(|&l| l == level).expect("a level of the set")
    }

    pub fn union(&self, other: &Levels) -> Levels {
        let mut all = self.0.clone();
        all.extend_from_slice(&other.0);
        all.sort_unstable();
        all.dedup();
        Levels(all)
    }

    pub fn with(&self, level: u32) -> Levels {
        self.union(&Levels::of(level))
    }

    pub fn without(&self, other: &Levels) -> Levels {
        Levels(self.iter().filter(|l| !other.contains(*l)).collect())
    }

    pub fn common(&self, other: &Levels) -> Levels {
        Levels(self.iter().filter(|l| other.contains(*l)).collect())
    }
}
