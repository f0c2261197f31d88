//! Distinction between occasional 429s and an exceeded quota.
//!
//! A quota refuses a large part of what is beyond it, and goes on doing so; a fault of the gateway hits one request in
//! fifty, at any pace. Each refusal adds one to a score and each request that is let through takes a little away, so that
//! the score only rises where more than [`TOLERATED`] of the requests are refused. (This is a CUSUM test.)

/// Share of refusals up to which slowing down gains nothing.
const TOLERATED: f64 = 0.08;
/// Score from which on the pace is to blame, at slow paces.
const ENOUGH: f64 = 2.0;
/// Rate above which a higher score is needed: the more requests a second, the more often chance looks like evidence.
const ENOUGH_FOR: f64 = 16.0;
const ENOUGH_AT_MOST: f64 = 5.0;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Suspicion {
    score: f64,
    /// Counted since the score began to rise.
    n_let_through: u32,
    n_refused: u32,
}

/// Finding that the pace is to blame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Alarm {
    /// Some requests are let through and some are not: this share is accepted.
    Some { share: f64 },
    /// No request is let through any more: a quota that fell far, or an outage.
    All,
}

impl Suspicion {
    pub(super) fn refused(&mut self, per_second: f64) -> Option<Alarm> {
        self.score += 1.0;
        self.n_refused += 1;
        let enough = ENOUGH + (per_second / ENOUGH_FOR).log2().max(0.0) / 2.0;
        if self.score < enough.min(ENOUGH_AT_MOST) {
            return None;
        }
        let (n_let_through, n_refused) = (f64::from(self.n_let_through), f64::from(self.n_refused));
        *self = Self::default();
        // The count begins and ends with a refusal: one of the two is left out.
        let share = n_let_through / (n_let_through + n_refused - 1.0);
        Some(if n_let_through > 0.0 { Alarm::Some { share } } else { Alarm::All })
    }

    pub(super) fn let_through(&mut self) {
        self.score = (self.score - TOLERATED).max(0.0);
        if self.score > 0.0 {
            self.n_let_through += 1;
        } else {
            *self = Self::default();
        }
    }

    /// Tells whether a refusal is too recent to try more.
    pub(super) fn is_awake(self) -> bool {
        self.score > 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns after how many answers (`.` let through, `x` refused) the first alarm comes, and the share that is accepted.
    fn first(answers: &str, per_second: f64) -> Option<(usize, u32)> {
        let mut suspicion = Suspicion::default();
        answers.chars().enumerate().find_map(|(n, answer)| {
            if answer == '.' {
                suspicion.let_through();
                return None;
            }
            suspicion.refused(per_second).map(|alarm| match alarm {
                // In per cent; the cast is of a whole number below a hundred.
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
                Alarm::Some { share } => (n + 1, (share * 100.0).round() as u32),
                Alarm::All => (n + 1, 0),
            })
        })
    }

    #[test]
    fn what_is_the_pace_and_what_is_chance() {
        let one_in_twenty = "...................x".repeat(50);
        let one_in_five = "....x".repeat(10);
        let every_other = ".x".repeat(10);
        for (answers, per_second, expected) in [
            ("x", 10.0, None),
            ("xx", 10.0, Some((2, 0))),
            ("xx", 100.0, None),
            ("xxx......x", 50.0, Some((3, 0))),
            ("xxxxx", 500.0, Some((5, 0))),
            (one_in_twenty.as_str(), 10.0, None),
            (one_in_twenty.as_str(), 500.0, None),
            (one_in_five.as_str(), 10.0, Some((15, 80))),
            (one_in_five.as_str(), 50.0, Some((20, 80))),
            (every_other.as_str(), 10.0, Some((6, 50))),
            (every_other.as_str(), 500.0, Some((10, 50))),
        ] {
            assert_eq!(first(answers, per_second), expected, "{answers} at {per_second}");
        }
    }
}
