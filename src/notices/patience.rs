//! Tries of one notice, and the time that they share once the launch has ended.

use std::time::Duration;

use super::posting::LONGEST_TRY;

/// Tries of each notice.
pub(super) const TRIES: u32 = 3;
/// Time behind the deadline of a command in which it is ended, so that its try is that much longer.
pub(super) const ENDING: Duration = Duration::from_secs(1);
/// Pause between two tries while the launch goes on.
const PAUSE: Duration = Duration::from_secs(1);

/// Shortest try that is begun.
const SHORTEST_TRY: Duration = Duration::from_millis(100);

/// Way in which the tries of a receiver share the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiverPatience {
    /// A try without an answer is followed by others, each of which has its part of the time.
    Requests,
    /// A try that is cut off is the last one, because it may have done half of its work: it has the time of all.
    Commands,
}

impl ReceiverPatience {
    /// Longest time of one try.
    pub(super) fn longest(self) -> Duration {
        match self {
            ReceiverPatience::Requests => LONGEST_TRY,
            ReceiverPatience::Commands => LONGEST_TRY + ENDING,
        }
    }

    /// Tries that share the time, with so many left of this notice, and so many notices behind it.
    fn sharing(self, n_tries: u32, n_behind: u32) -> u32 {
        match self {
            ReceiverPatience::Requests => n_tries.saturating_add(TRIES.saturating_mul(n_behind)),
            ReceiverPatience::Commands => n_behind.saturating_add(1),
        }
    }

    /// Returns the turn of the next of the tries that are left of a notice, with so many notices behind it.
    pub(super) fn turn(self, left: Option<Duration>, n_tries: u32, n_behind: u32) -> Option<TryTime> {
        TryTime::of_left(left, self.sharing(n_tries, n_behind), self.longest())
    }
}

/// Failure of one try, in words without secrets and on one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FailedTry {
    /// Another try may do better.
    ForNow(String),
    /// Command that was ended before it was done: a second one would do again what it did.
    CutOff(String),
}

/// Time for one try, and for the pause behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TryTime {
    pub(super) longest: Duration,
    pub(super) pause: Duration,
}

impl TryTime {
    /// Divides the time that is left among so many tries; without a deadline each has the longest time of a try. `None` where there is
    /// too little for any answer.
    fn of_left(left: Option<Duration>, n_tries: u32, longest: Duration) -> Option<Self> {
        let Some(left) = left else { return Some(Self { longest, pause: PAUSE }) };
        let share = left / n_tries.max(1);
        // A tenth is left for a busy machine.
        let turn = Self { longest: (share * 8 / 10).min(longest), pause: (share / 10).min(PAUSE) };
        (turn.longest >= SHORTEST_TRY).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tries_fit_into_the_time_that_is_left_however_many_notices_wait() {
        assert_eq!(ReceiverPatience::Requests.turn(None, 3, 0), Some(TryTime { longest: LONGEST_TRY, pause: PAUSE }));
        for n_behind in 0..4 {
            let mut left = Duration::from_secs(10);
            for (n_behind, n_tries) in (0..=n_behind).rev().flat_map(|n_behind| [3, 2, 1].map(|n| (n_behind, n))) {
                let time = ReceiverPatience::Requests.turn(Some(left), n_tries, n_behind);
                let TryTime { longest, pause } = time.expect("there is time for it");
                assert!(longest > Duration::from_millis(500) && longest <= LONGEST_TRY);
                left = left.checked_sub(longest + pause).expect("there is time left");
            }
        }
    }

    #[test]
    fn a_command_has_the_time_of_all_tries() {
        let longest = |left: Option<u64>, n_behind| {
            let turn = ReceiverPatience::Commands.turn(left.map(Duration::from_millis), 3, n_behind);
            turn.map(|turn| turn.longest.as_millis())
        };
        assert_eq!(longest(None, 1), Some(6_000));
        assert_eq!(longest(Some(8_500), 0), Some(6_000));
        assert_eq!(longest(Some(8_500), 1), Some(3_400));
    }

    #[test]
    fn a_try_in_which_nobody_could_answer_is_not_begun() {
        for left in [0, 20, 374] {
            assert_eq!(ReceiverPatience::Requests.turn(Some(Duration::from_millis(left)), 3, 0), None, "{left} ms");
        }
        assert!(ReceiverPatience::Requests.turn(Some(Duration::from_millis(375)), 3, 0).is_some());
    }
}
