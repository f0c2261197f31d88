//! Tries of one notice, and the time that they share once the launch has ended.

use std::time::Duration;

use super::posting::LONGEST_TRY;

/// Tries of each notice.
pub(super) const TRIES: u32 = 3;
/// Pause between two tries while the launch goes on.
const PAUSE: Duration = Duration::from_secs(1);

/// Shortest try that is begun.
const SHORTEST_TRY: Duration = Duration::from_millis(100);

/// Time for one try, and for the pause behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TryTime {
    pub(super) longest: Duration,
    pub(super) pause: Duration,
}

impl TryTime {
    /// Divides the time that is left among so many tries; without a deadline each has all the time of a try. `None` where there is too
    /// little for any answer.
    pub(super) fn of_left(left: Option<Duration>, n_tries: u32) -> Option<Self> {
        let Some(left) = left else { return Some(Self { longest: LONGEST_TRY, pause: PAUSE }) };
        let share = left / n_tries.max(1);
        // A tenth is left for a busy machine.
        let time = Self { longest: (share * 8 / 10).min(LONGEST_TRY), pause: (share / 10).min(PAUSE) };
        (time.longest >= SHORTEST_TRY).then_some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tries_fit_into_the_time_that_is_left_however_many_notices_wait() {
        assert_eq!(TryTime::of_left(None, 3), Some(TryTime { longest: LONGEST_TRY, pause: PAUSE }));
        for n_notices in 1..=4 {
            let mut left = Duration::from_secs(10);
            for n_tries in (1..=n_notices * TRIES).rev() {
                let TryTime { longest, pause } = TryTime::of_left(Some(left), n_tries).expect("there is time for it");
                assert!(longest > Duration::from_millis(500) && longest <= LONGEST_TRY);
                left = left.checked_sub(longest + pause).expect("there is time left");
            }
        }
    }

    #[test]
    fn a_try_in_which_nobody_could_answer_is_not_begun() {
        for left in [0, 20, 374] {
            assert_eq!(TryTime::of_left(Some(Duration::from_millis(left)), 3), None, "{left} ms");
        }
        assert!(TryTime::of_left(Some(Duration::from_millis(375)), 3).is_some());
    }
}
