//! Tries of one notice, and the time that they share once the launch has ended.

use std::time::Duration;

use super::posting::LONGEST_TRY;

/// Tries of each notice.
pub(super) const TRIES: u32 = 3;
/// Pause between two tries while the launch goes on.
const PAUSE: Duration = Duration::from_secs(1);

/// Time for one try, and for the pause behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) longest: Duration,
    pub(super) pause: Duration,
}

impl Turn {
    /// Divides the time that is left among so many tries; without a deadline each has all the time of a try.
    pub(super) fn of_left(left: Option<Duration>, n_tries: u32) -> Self {
        let Some(left) = left else { return Self { longest: LONGEST_TRY, pause: PAUSE } };
        let share = left / n_tries.max(1);
        // A tenth is left for a busy machine.
        Self { longest: (share * 8 / 10).min(LONGEST_TRY), pause: (share / 10).min(PAUSE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tries_fit_into_the_time_that_is_left_however_many_notices_wait() {
        assert_eq!(Turn::of_left(None, 3), Turn { longest: LONGEST_TRY, pause: PAUSE });
        for n_notices in 1..=4 {
            let mut left = Duration::from_secs(10);
            for n_tries in (1..=n_notices * TRIES).rev() {
                let Turn { longest, pause } = Turn::of_left(Some(left), n_tries);
                assert!(longest > Duration::from_millis(500) && longest <= LONGEST_TRY);
                left = left.checked_sub(longest + pause).expect("there is time left");
            }
        }
    }
}
