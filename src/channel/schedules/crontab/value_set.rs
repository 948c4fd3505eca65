//! The values that a field allows, a bit for each: no field has more than sixty.

/// A set of small numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ValueSet(u64);

impl ValueSet {
    pub(super) fn insert(&mut self, value: u8) {
        self.0 |= 1 << value;
    }

    pub(super) fn contains(self, value: u8) -> bool {
        self.0 >> value & 1 == 1
    }

    /// How many there are.
    pub(super) fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The least one that is not less than this number, which is at most 63.
    pub(super) fn at_or_after(self, least: u8) -> Option<u8> {
        let rest = self.0 >> least;
        (rest != 0).then(|| least + rest.trailing_zeros() as u8)
    }

    /// All of them, the least first.
    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |value| self.contains(*value))
    }

    /// Those of either set.
    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<u8> for ValueSet {
    fn from_iter<I: IntoIterator<Item = u8>>(values: I) -> Self {
        let mut set = Self::default();
        values.into_iter().for_each(|value| set.insert(value));
        set
    }
}
