//! Estimates of a stage's duration as a band, from the measurements so far, and its comparison with the time that is left.

use std::fmt;
use std::time::Duration;

/// Measurements of the run so far in one account; all zero before its first stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Rows that were sent and are settled.
    pub rows: u64,
    /// Requests, reads and repeats included.
    pub requests: u64,
    /// Seconds in which changes were being sent; mere waiting does not count.
    pub seconds: f64,
    /// Requests that the gate would have allowed in that time; zero where nothing limited them.
    pub allowed: f64,
}

impl Measured {
    pub fn add(&mut self, more: &Self) {
        self.rows += more.rows;
        self.requests += more.requests;
        self.seconds += more.seconds;
        self.allowed += more.allowed;
    }
}

/// Work that one account has ahead of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ahead {
    pub rows: u64,
    /// Rate that it will be allowed; `None` for no limit.
    pub per_second: Option<f64>,
    pub concurrency: u32,
    pub measured: Measured,
}

/// Shortest, likely and longest duration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Band {
    pub least: Duration,
    pub likely: Duration,
    pub most: Duration,
}

/// Number of settled rows from which on measurements are used.
const ENOUGH: u64 = 10;
/// Calls for a row on an ordinary night, until enough was measured: one look and one repeat for twenty changes.
const CALLS_PER_ROW: f64 = 1.1;
/// Calls for a row on a bad night, until enough was measured.
const CALLS_PER_ROW_AT_MOST: f64 = 2.0;
/// Seconds that an answer takes, assumed where nothing limits requests and nothing was measured.
const ANSWER: f64 = 0.25;

impl Band {
    /// Estimates accounts that run side by side. `of_all` is the rate limit that all of them share, if any; `settles` is the
    /// time in which the last change may take effect: all of it counts for the longest duration, up to a second for the likely
    /// one.
    #[must_use]
    pub fn side_by_side(lanes: &[Ahead], of_all: Option<f64>, settles: Duration) -> Self {
        let bands: Vec<(f64, f64, f64)> = lanes.iter().map(Ahead::seconds).collect();
        let longest = |of: fn(&(f64, f64, f64)) -> f64| bands.iter().map(of).fold(0.0, f64::max);
        let n_rows: u64 = lanes.iter().map(|lane| lane.rows).sum();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let shared = |calls: f64| of_all.map_or(0.0, |rate| n_rows as f64 * calls / rate);
        if n_rows == 0 {
            return Self::default();
        }
        let calls = lanes
            .iter()
            .map(Ahead::calls_per_row)
            .fold((0.0, 0.0), |(a, b): (f64, f64), (likely, most)| (a.max(likely), b.max(most)));
        Self {
            least: seconds(longest(|band| band.0).max(shared(1.0))),
            likely: seconds(longest(|band| band.1).max(shared(calls.0))) + settles.min(Duration::from_secs(1)),
            most: seconds(longest(|band| band.2).max(shared(calls.1))) + settles,
        }
    }

    /// Makes the band of a wait, which is certain.
    #[must_use]
    pub fn exactly(duration: Duration) -> Self {
        Self { least: duration, likely: duration, most: duration }
    }

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { least: self.least + other.least, likely: self.likely + other.likely, most: self.most + other.most }
    }

    /// Compares this with the time that is left.
    #[must_use]
    pub fn fits(self, left: Duration) -> Fit {
        if self.most <= left {
            Fit::Fits
        } else if self.likely <= left {
            Fit::Tight
        } else {
            Fit::DoesNotFit
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
}

impl Ahead {
    /// Calls for a row: likely, and at most.
    fn calls_per_row(&self) -> (f64, f64) {
        let Measured { rows, requests, .. } = self.measured;
        if rows < ENOUGH {
            return (CALLS_PER_ROW, CALLS_PER_ROW_AT_MOST);
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (rows, requests) = (rows as f64, requests as f64);
        let measured = (requests / rows).max(1.0);
        // The error of a mean is about its spread over the root of the sample's size; twice that, to be on the safe side.
        (measured, measured * (1.0 + 2.0 / rows.sqrt()))
    }

    fn seconds(&self) -> (f64, f64, f64) {
        let Measured { rows, requests, seconds, allowed } = self.measured;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (n_rows, requests) = (self.rows as f64, requests as f64);
        let top = self.per_second.unwrap_or(f64::from(self.concurrency) / ANSWER);
        // The part of the allowed rate that was reached is assumed of another rate, too.
        let pace = match self.per_second {
            _ if rows < ENOUGH => top,
            Some(top) if allowed > 0.0 => top * (requests / allowed).min(1.0),
            None if allowed <= 0.0 => requests / seconds.max(0.001),
            Some(_) | None => top,
        };
        let pace = pace.max(0.001);
        let (likely, most) = self.calls_per_row();
        (n_rows / top.max(pace), n_rows * likely / pace, n_rows * most / pace)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Fits,
    Tight,
    DoesNotFit,
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fit::Fits => "fits",
            Fit::Tight => "tight",
            Fit::DoesNotFit => "does not fit",
        })
    }
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "about {} ({} to {})", spoken(self.likely), spoken(self.least), spoken(self.most))
    }
}

/// Formats a duration: `40 s`, `12 min`, `3 h 20 min`.
#[must_use]
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() >= 500_000_000);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", (seconds + 30) / 60),
        _ => {
            let minutes = (seconds + 30) / 60;
            match (minutes / 60, minutes % 60) {
                (hours, 0) => format!("{hours} h"),
                (hours, minutes) => format!("{hours} h {minutes} min"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLES: Duration = Duration::from_secs(30);

    fn ahead(rows: u64, per_second: f64) -> Ahead {
        Ahead { rows, per_second: Some(per_second), concurrency: 8, measured: Measured::default() }
    }

    #[test]
    fn before_anything_was_measured_the_pace_and_an_ordinary_night_are_believed() {
        let band = Band::side_by_side(&[ahead(1_000, 10.0)], None, SETTLES);
        assert_eq!((band.least.as_secs(), band.likely.as_secs(), band.most.as_secs()), (100, 111, 230));
        assert_eq!(band.fits(Duration::from_mins(5)), Fit::Fits);
        assert_eq!(band.fits(Duration::from_secs(200)), Fit::Tight);
        assert_eq!(band.fits(Duration::from_secs(105)), Fit::DoesNotFit);
        assert_eq!(band.to_string(), "about 111 s (100 s to 4 min)");
    }

    #[test]
    fn what_was_measured_makes_the_band_narrower_and_a_slow_service_a_longer_night() {
        // Half of the allowed rate was reached, and each row took one and a half calls.
        let measured = Measured { rows: 400, requests: 600, seconds: 120.0, allowed: 1_200.0 };
        let lane = Ahead { rows: 1_000, per_second: Some(10.0), concurrency: 8, measured };
        let band = Band::side_by_side(&[lane], None, Duration::ZERO);
        assert_eq!((band.least.as_secs(), band.likely.as_secs(), band.most.as_secs()), (100, 300, 330));
    }

    #[test]
    fn what_was_slow_on_purpose_is_not_believed_of_a_faster_stage() {
        // A canary at 4/s, which reached all of that.
        let measured = Measured { rows: 12, requests: 12, seconds: 3.0, allowed: 12.0 };
        let rest = Ahead { rows: 400, per_second: Some(100.0), concurrency: 8, measured };
        assert_eq!(Band::side_by_side(&[rest], None, Duration::ZERO).likely.as_secs(), 4);
        // Without a limit of ours the measured pace counts, unless it was measured under one.
        let free = Ahead { per_second: None, ..rest };
        assert_eq!(Band::side_by_side(&[free], None, Duration::ZERO).likely.as_millis(), 12_500);
        let measured = Measured { rows: 100, requests: 100, seconds: 10.0, allowed: 0.0 };
        assert_eq!(Band::side_by_side(&[Ahead { measured, ..free }], None, Duration::ZERO).likely.as_secs(), 40);
    }

    #[test]
    fn accounts_go_side_by_side_unless_they_share_a_pace() {
        let lanes = [ahead(1_000, 10.0), ahead(100, 10.0)];
        assert_eq!(Band::side_by_side(&lanes, None, Duration::ZERO).least.as_secs(), 100);
        assert_eq!(Band::side_by_side(&lanes, Some(5.0), Duration::ZERO).least.as_secs(), 220);
        assert_eq!(Band::side_by_side(&[], None, SETTLES), Band::default());
    }
}
