//! Watch over whoever leads a run: it is taken for gone when nothing was heard of it for long enough, in which it would have been heard.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::beat::{Beat, GONE_AFTER};
use super::server::{APART, NotLed};

/// Interval at which the log of the run is read. What is found in it counts as said just now, so that it is not longer.
const READ_EVERY: Duration = Duration::from_millis(500);
/// Largest time between two looks after which what was said in between may not have been heard: this process may have been stopped.
const DEAF: Duration = Duration::from_secs(3);
/// Beats in a row that are apart from the clock of this machine. One alone may have been on its way for long.
const N_APART: u32 = 3;
/// Smallest time between two of these: what waited somewhere comes at once.
const APART_EVERY: Duration = Duration::from_millis(500);

/// Signs of life of whoever leads a run, by the time since this machine was started.
pub(crate) struct HeadWatch {
    /// Time from which on nothing was heard, although it would have been.
    silent_since: Duration,
    looked_at: Duration,
    /// Number of the last beats in a row whose times were apart from the clock of this machine, and the time of the last one.
    apart: (u32, Duration),
}

impl HeadWatch {
    pub(crate) fn begin(now: Duration) -> Self {
        Self { silent_since: now, looked_at: now, apart: (0, now) }
    }

    /// Adds a beat. An error once it is certain that the clocks are apart.
    pub(crate) fn has_heard(&mut self, now: Duration, here: Timestamp, beat: &Beat) -> Result<(), NotLed> {
        (self.silent_since, self.looked_at) = (now, now);
        let (n, last) = self.apart;
        let most = SignedDuration::try_from(APART).expect("half a minute is a duration");
        if beat.at.duration_since(here).abs() <= most {
            self.apart = (0, now);
        } else if n == 0 || now.saturating_sub(last) >= APART_EVERY {
            self.apart = (n + 1, now);
        }
        if self.apart.0 < N_APART {
            return Ok(());
        }
        Err(NotLed::OtherClock { clock: format!("that of {} has", beat.host), there: beat.at, here })
    }

    /// Adds a reading of the log: whether something was recorded, or `None` if it was out of reach, as beats are then as well.
    pub(crate) fn has_read(&mut self, now: Duration, has_moved: Option<bool>) {
        let is_deaf = now.saturating_sub(self.looked_at) > DEAF;
        if is_deaf || has_moved != Some(false) {
            self.silent_since = now;
        }
        self.looked_at = now;
    }

    /// Time until the log is to be read again, or the launch is taken for gone, whichever comes first.
    pub(crate) fn listens_for(&self, now: Duration) -> Duration {
        if self.is_gone(now) { READ_EVERY } else { READ_EVERY.min(self.gone_at().saturating_sub(now)) }
    }

    /// Time at which the launch is taken for gone if nothing is heard until then.
    fn gone_at(&self) -> Duration {
        self.silent_since + GONE_AFTER
    }

    pub(crate) fn is_gone(&self, now: Duration) -> bool {
        now >= self.gone_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn beat_at(seconds: i64) -> Beat {
        let at = Timestamp::from_second(seconds).unwrap();
        Beat { at, ..Beat::of_launch(1, String::new()) }
    }

    /// Returns the second at which the launch is taken for gone, of so many.
    fn gone_after(mut looks: impl FnMut(&mut HeadWatch, u64)) -> Option<u64> {
        let mut watch = HeadWatch::begin(secs(0));
        (1..60).find(|second| {
            looks(&mut watch, *second);
            watch.is_gone(secs(*second))
        })
    }

    #[test]
    fn a_launch_is_gone_when_nothing_was_heard_of_it_for_seven_seconds_in_which_it_would_have_been() {
        let here = Timestamp::from_second(0).unwrap();
        let mut hears_until = |last: u64| {
            gone_after(move |watch, second| {
                if second <= last {
                    watch.has_heard(secs(second), here, &beat_at(0)).unwrap();
                }
                watch.has_read(secs(second), Some(false));
            })
        };
        assert_eq!([0, 1, 9].map(&mut hears_until), [Some(7), Some(8), Some(16)]);
        // What it records is a sign as well, and whoever is cut off hears nobody.
        for sign in [Some(true), None] {
            let read =
                gone_after(|watch, second| watch.has_read(secs(second), if second < 9 { sign } else { Some(false) }));
            assert_eq!(read, Some(15));
        }
        // Stopped from the fourth second to the fortieth.
        let stopped = gone_after(|watch, second| {
            if !(4..40).contains(&second) {
                watch.has_read(secs(second), Some(false));
            }
        });
        assert_eq!(stopped, Some(7), "a look while it is stopped is none of this process");
        let mut watch = HeadWatch::begin(secs(0));
        watch.has_read(secs(3), Some(false));
        watch.has_read(secs(40), Some(false));
        assert!(!watch.is_gone(secs(40)) && watch.is_gone(secs(47)));
    }

    #[test]
    fn three_beats_of_another_clock_are_certain_and_what_was_long_on_its_way_is_not() {
        let here = Timestamp::from_second(0).unwrap();
        let n_heard = |beats: &[(u64, i64)]| {
            let mut watch = HeadWatch::begin(secs(0));
            let heard = beats
                .iter()
                .position(|(ms, at)| watch.has_heard(Duration::from_millis(*ms), here, &beat_at(*at)).is_err());
            heard.map(|nth| nth + 1)
        };
        assert_eq!(n_heard(&[(1000, 3600), (2000, 3600), (3000, 3600)]), Some(3));
        assert_eq!(n_heard(&[(1000, -3600), (2000, -3600), (3000, -3600)]), Some(3));
        assert_eq!(n_heard(&[(1000, 30), (2000, 30), (3000, 30)]), None);
        assert_eq!(n_heard(&[(1000, -40), (1001, -39), (1002, -38), (1003, -31), (2000, 0)]), None, "they waited");
        assert_eq!(n_heard(&[(1000, 31), (2000, 31), (3000, 0), (4000, 31), (5000, 31)]), None);
    }
}
