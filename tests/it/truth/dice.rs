//! Random numbers that are the same in every test run: a number depends on what it decides, never on the order of requests.

/// Seeded sequence of numbers.
///
/// source: splitmix64, Steele, Lea and Flood, Fast splittable pseudorandom number generators (2014).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Makes the sequence of one decision, such as (seed, server, kind, number of earlier ones).
    pub(crate) fn of(decision: &[u64]) -> Self {
        let mut dice = Self(0);
        for part in decision {
            dice.0 = dice.next() ^ part;
        }
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(crate) fn percent(&mut self, share: u32) -> bool {
        self.next() % 100 < u64::from(share)
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.next() % all.len() as u64).unwrap()]
    }

    /// Picks by weight.
    pub(crate) fn weighed<T: Copy>(&mut self, all: &[(u32, T)]) -> T {
        let total: u64 = all.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut at = self.next() % total;
        for (weight, one) in all {
            match at.checked_sub(u64::from(*weight)) {
                Some(left) => at = left,
                None => return *one,
            }
        }
        unreachable!("the die shows less than the total")
    }
}
