//! Sum of a lane's waits: the time for which nothing may leave, whoever carries the lane meanwhile.

use std::time::Duration;

use jiff::Timestamp;

/// Longest wait that is believed of a service. A longer one stays in the journal and is not obeyed.
pub const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Rest of the waits that the events of a lane give, as of the last of them. It is never longer than a wait that was recorded, whatever
/// the clock did since: time that passes shortens it, and a clock that is set back only stops that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoolDown {
    left: Duration,
    as_of: Option<Timestamp>,
}

impl CoolDown {
    /// Adds the next event of the lane, with its wait if it gives one. Any other shows that time has passed.
    pub fn add(&mut self, at: Timestamp, wait_ms: Option<u64>) {
        let wait = wait_ms.map(Duration::from_millis).filter(|wait| *wait <= LONGEST_WAIT);
        self.left = self.left(at).max(wait.unwrap_or_default());
        self.as_of = Some(at);
    }

    /// Returns the rest of the waits at a time after the last event.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Duration {
        let passed = self.as_of.map(|as_of| now.duration_since(as_of));
        self.left.saturating_sub(passed.and_then(|passed| passed.try_into().ok()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    /// An event by its second, and the seconds of its wait.
    type At = (i64, Option<u64>);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn waits(second: i64, wait_s: u64) -> At {
        (second, Some(wait_s))
    }

    fn passes(second: i64) -> At {
        (second, None)
    }

    fn cool_down(events: &[At]) -> CoolDown {
        let mut cool_down = CoolDown::default();
        for (second, wait_s) in events {
            cool_down.add(at(*second), wait_s.map(|wait_s| wait_s * 1000));
        }
        cool_down
    }

    #[test]
    fn a_wait_goes_on_after_its_launch_and_ends_in_its_time() {
        for (events, now, expected) in [
            (&[][..], 0, 0),
            (&[waits(0, 7)], 0, 7),
            (&[waits(0, 7)], 5, 2),
            (&[waits(0, 2)], 1, 1),
            (&[waits(0, 7)], 3_600, 0),
            // The longer of two, whichever came first.
            (&[waits(0, 60), waits(1, 2)], 2, 58),
            (&[waits(0, 2), waits(1, 60)], 2, 59),
            (&[waits(0, 24 * 3_600)], 0, 24 * 3_600),
            (&[waits(0, 24 * 3_600 + 1)], 0, 0),
        ] {
            assert_eq!(cool_down(events).left(at(now)).as_secs(), expected, "{events:?} at {now}");
        }
    }

    #[test]
    fn a_clock_that_is_set_makes_no_wait_longer() {
        let hour = 3_600;
        for (events, now, expected) in [
            // Set back after the wait was recorded; later events show that time goes on.
            (&[waits(0, 7)][..], -hour, 7),
            (&[waits(0, 7), passes(-hour), passes(5 - hour)], 6 - hour, 1),
            (&[waits(0, 7), passes(3), passes(-hour)], 2 - hour, 2),
            // Set back, and told again.
            (&[waits(0, 7), waits(-hour, 5)], 1 - hour, 6),
            // Set ahead, or right again after it was behind: by the clock the wait is over.
            (&[waits(-hour, 7)], 0, 0),
        ] {
            assert_eq!(cool_down(events).left(at(now)).as_secs(), expected, "{events:?} at {now}");
        }
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_one_that_was_recorded_whatever_the_clock_does(
            history in prop::collection::vec((-10_000_i64..10_000, prop::option::of(0_u64..100_000)), 0..20),
            now in -10_000_i64..10_000,
        ) {
            let cool_down = cool_down(&history);
            let longest = history.iter().filter_map(|(_, wait_s)| *wait_s).filter(|wait_s| *wait_s <= 86_400).max();
            prop_assert!(cool_down.left(at(now)).as_secs() <= longest.unwrap_or(0));
            // Over once that has passed since the last event.
            let last = history.last().map_or(at(now), |(second, _)| at(*second));
            let later = last + SignedDuration::from_secs(longest.unwrap_or(0).try_into().unwrap());
            prop_assert_eq!(cool_down.left(later), Duration::ZERO);
        }
    }
}
