//! Sum of a lane's waits: the time for which nothing may leave, whoever carries the lane meanwhile.

use std::time::Duration;

use jiff::Timestamp;

/// Longest wait that is believed of a service: one that asks for more has a wrong clock or a wrong unit. A longer one stays in the
/// journal and is not obeyed.
pub const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Waits that the events of a lane give. None of them is longer than it was recorded, whatever the clock did since: where the clock
/// shows less than when the wait began, time is what passed from event to event. Where it shows more, a wait goes on to its end by
/// the clock, although the clock may have been behind meanwhile and have been set ahead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoolDown {
    waits: Vec<RecordedWait>,
    /// Time that passed from event to event.
    passed: Duration,
    as_of: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RecordedWait {
    length: Duration,
    began: Timestamp,
    /// Time that had passed when it began.
    passed: Duration,
}

impl CoolDown {
    /// Adds the next event of the lane, with its wait if it gives one. Any other shows that time has passed.
    pub fn add(&mut self, at: Timestamp, wait_ms: Option<u64>) {
        self.passed = self.passed_at(at);
        self.as_of = Some(at);
        let length = wait_ms.map(Duration::from_millis).filter(|length| *length <= LONGEST_WAIT);
        self.waits.extend(length.map(|length| RecordedWait { length, began: at, passed: self.passed }));
    }

    /// Returns the rest of the waits at a time after the last event.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Duration {
        let passed = self.passed_at(now);
        let left = |wait: &RecordedWait| {
            let since = forward(wait.began, now).unwrap_or(passed.saturating_sub(wait.passed));
            wait.length.saturating_sub(since)
        };
        self.waits.iter().map(left).max().unwrap_or_default()
    }

    fn passed_at(&self, now: Timestamp) -> Duration {
        let since = self.as_of.and_then(|as_of| forward(as_of, now));
        self.passed.saturating_add(since.unwrap_or_default())
    }
}

/// Time from one time to another; `None` if the clock was set back in between.
fn forward(from: Timestamp, to: Timestamp) -> Option<Duration> {
    to.duration_since(from).try_into().ok()
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
            // Right again after it was behind, or ahead, in between: by the clock the wait goes on.
            (&[waits(0, 60), passes(-hour), passes(1 - hour)], 2, 58),
            (&[waits(0, 60), passes(-hour), passes(10)], 11, 49),
            (&[waits(0, 60), passes(hour)], 2, 58),
            (&[waits(0, 60), waits(hour, 5)], 2, 58),
            (&[waits(0, 60), passes(-hour), passes(61)], 61, 0),
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
            // Over once that has passed since the latest of the events.
            let latest = history.iter().map(|(second, _)| at(*second)).max().unwrap_or(at(now));
            let later = latest + SignedDuration::from_secs(longest.unwrap_or(0).try_into().unwrap());
            prop_assert_eq!(cool_down.left(later), Duration::ZERO);
        }
    }
}
