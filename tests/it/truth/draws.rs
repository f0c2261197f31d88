//! Draws by which the mischief is decided: a number depends on what it decides, never on the order of requests.

use crate::dice::Dice;

impl Dice {
    /// Makes the sequence of one decision, such as (seed, server, kind, number of earlier ones).
    pub(crate) fn from_decision(decision: &[u64]) -> Self {
        let mut dice = Self(0);
        for part in decision {
            dice.0 = dice.roll() ^ part;
        }
        dice
    }

    /// Returns a number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low + 1)
    }

    pub(crate) fn percent(&mut self, share: u32) -> bool {
        self.below(100) < share
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.roll() % all.len() as u64).unwrap()]
    }

    /// Picks by weight.
    pub(crate) fn weighed<T: Copy>(&mut self, all: &[(u32, T)]) -> T {
        let total: u64 = all.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut at = self.roll() % total;
        for (weight, one) in all {
            match at.checked_sub(u64::from(*weight)) {
                Some(left) => at = left,
                None => return *one,
            }
        }
        unreachable!("the die shows less than the total")
    }
}
