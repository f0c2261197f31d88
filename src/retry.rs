//! Retry policy: when to try again, and when to stop. Arithmetic only; the caller draws the random number and sleeps.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use crate::event::outcome::Outcome;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Limit of the attempts that count, per row and launch.
    pub(crate) attempts: u32,
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
}

impl Patience {
    pub(crate) fn with_attempts(attempts: u32) -> Self {
        Self { attempts, base: Duration::from_millis(500), cap: Duration::from_secs(30) }
    }
}

/// Reason for which nothing more is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enough {
    Accepted,
    Refused,
    /// The answer is about us or the account: the lane stops, and the row stays due.
    NotTheRow,
    OutOfAttempts,
}

impl Patience {
    /// Decides what follows an attempt: a wait and another attempt, or the end. `counted` attempts of this launch count, this one
    /// included; `roll` is a random number from 0 to 1. A throttled attempt is not the row's fault and does not count: the gate waits
    /// instead, for all rows.
    pub(crate) fn after(&self, counted: u32, outcome: &Outcome, roll: f64) -> ControlFlow<Enough, Duration> {
        match outcome {
            Outcome::Accepted { .. } => Break(Enough::Accepted),
            Outcome::Rejected { .. } => Break(Enough::Refused),
            Outcome::Unauthenticated { .. } | Outcome::Barred { .. } => Break(Enough::NotTheRow),
            Outcome::Throttled { .. } => Continue(Duration::ZERO),
            Outcome::Unsent { .. } | Outcome::Disclaimed { .. } | Outcome::Lost { .. } if self.attempts <= counted => {
                Break(Enough::OutOfAttempts)
            }
            Outcome::Unsent { .. } | Outcome::Disclaimed { .. } | Outcome::Lost { .. } => {
                Continue(self.wait(counted, roll))
            }
        }
    }

    /// Full jitter: a wait between zero and the base, doubled for each attempt, up to the cap.
    pub(crate) fn wait(&self, counted: u32, roll: f64) -> Duration {
        let doublings = counted.saturating_sub(1).min(16);
        (self.base * 2_u32.pow(doublings)).min(self.cap).mul_f64(roll)
    }
}

/// Tells whether an attempt that ended so counts as one of the row's.
pub(crate) fn counts(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Throttled { .. } => false,
        Outcome::Accepted { .. }
        | Outcome::Rejected { .. }
        | Outcome::Unauthenticated { .. }
        | Outcome::Barred { .. }
        | Outcome::Unsent { .. }
        | Outcome::Disclaimed { .. }
        | Outcome::Lost { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_each_outcome() {
        let patience = Patience::with_attempts(5);
        let lost = Outcome::Lost { status: Some(500), code: None, cause: String::new() };
        let unsent = Outcome::Unsent { cause: String::new() };
        let rejected = Outcome::Rejected { status: 400, code: None, message: String::new() };
        let unauthenticated = Outcome::Unauthenticated { status: 401, code: None, message: String::new() };
        let barred = Outcome::Barred { status: 403, code: None, message: String::new() };
        let throttled = Outcome::Throttled { status: None, retry_after_ms: None, quota: None, message: String::new() };
        let ms = Duration::from_millis;
        let table = [
            (1, Outcome::Accepted { status: 200 }, 1.0, Break(Enough::Accepted)),
            (1, rejected, 1.0, Break(Enough::Refused)),
            (1, unauthenticated, 1.0, Break(Enough::NotTheRow)),
            (1, barred, 1.0, Break(Enough::NotTheRow)),
            (99, throttled, 1.0, Continue(Duration::ZERO)),
            (1, lost.clone(), 1.0, Continue(ms(500))),
            (1, lost.clone(), 0.0, Continue(ms(0))),
            (2, lost.clone(), 0.5, Continue(ms(500))),
            (4, unsent.clone(), 1.0, Continue(ms(4000))),
            (5, unsent, 1.0, Break(Enough::OutOfAttempts)),
            (6, lost, 1.0, Break(Enough::OutOfAttempts)),
        ];
        for (counted, outcome, roll, expected) in table {
            assert_eq!(patience.after(counted, &outcome, roll), expected, "{counted} {outcome}");
        }
    }

    #[test]
    fn waiting_is_capped_however_many_attempts_there_were() {
        let patience = Patience::with_attempts(u32::MAX);
        assert_eq!(patience.wait(1000, 1.0), Duration::from_secs(30));
        assert_eq!(patience.wait(6, 1.0), Duration::from_secs(16));
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn a_wait_grows_with_the_attempts_and_never_beyond_the_cap(
            counted in 1..1_000_u32, attempts in 1..1_000_u32, base_ms in 1..10_000_u64, cap_ms in 1..100_000_u64, roll in 0.0..=1.0_f64,
        ) {
            let (base, cap) = (Duration::from_millis(base_ms), Duration::from_millis(cap_ms));
            let patience = Patience { attempts, base, cap };
            let wait = patience.wait(counted, roll);
            prop_assert!(wait <= cap && wait <= patience.wait(counted + 1, roll));
            let lost = Outcome::Lost { status: None, code: None, cause: String::new() };
            let expected = if attempts <= counted { Break(Enough::OutOfAttempts) } else { Continue(wait) };
            prop_assert_eq!(patience.after(counted, &lost, roll), expected);
        }
    }
}
