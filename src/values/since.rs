//! Beginning of a stretch of time that lasts until now, as people write it.

use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, ToSpan as _};

/// Instant in the past. A time of day without a date is its last occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long ago; a day has 24 hours.
    Ago(SignedDuration),
    At(Timestamp),
    On(DateTime),
    Last(Time),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a duration such as 7d or 24h, nor a date such as 2026-11-24, nor a time such as 22:00, 2026-11-24T22:00 or \
     2026-11-24T22:00:00Z"
)]
pub struct BadSince(String);

impl FromStr for Since {
    type Err = BadSince;

    fn from_str(text: &str) -> Result<Self, BadSince> {
        let text = text.trim();
        let since = ago(text)
            .or_else(|| text.parse().ok().map(Since::At))
            .or_else(|| date(text).map(|date| Since::On(date.to_datetime(Time::midnight()))))
            .or_else(|| text.contains(':').then(|| text.parse().ok().map(Since::On)).flatten())
            .or_else(|| time(text).map(Since::Last));
        since.ok_or_else(|| BadSince(text.to_owned()))
    }
}

impl Since {
    /// Returns the instant, as the clocks of this zone showed it; the first of two. What lies before the first day of the calendar
    /// is its first instant.
    #[must_use]
    pub fn instant(self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        let shown = |at: DateTime| zone.to_ambiguous_timestamp(at).compatible().unwrap_or(Timestamp::MIN);
        match self {
            Since::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
            Since::At(at) => at,
            Since::On(at) => shown(at),
            Since::Last(time) => {
                let today = now.to_zoned_datetime(zone.clone()).date();
                let yesterday = today.checked_sub(1.day()).unwrap_or(Date::MIN);
                let at = shown(today.to_datetime(time));
                if at <= now { at } else { shown(yesterday.to_datetime(time)) }
            }
        }
    }

    /// Tells whether it is read off a clock, so that the zone has to be known.
    #[must_use]
    pub fn needs_zone(self) -> bool {
        match self {
            Since::Ago(_) | Since::At(_) => false,
            Since::On(_) | Since::Last(_) => true,
        }
    }
}

/// Parses `7d`, `2w` or `1h30m`. A bare number has no unit, and a month no fixed length; `22:00:00` is a time of day, although it
/// could be a duration.
fn ago(text: &str) -> Option<Since> {
    let span: Span = Some(text).filter(|text| !text.contains(':'))?.parse().ok()?;
    let ago = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    ago.is_positive().then_some(Since::Ago(ago))
}

/// Parses a date that stands alone: of a text with more in it, a part would be left out.
fn date(text: &str) -> Option<Date> {
    Date::strptime("%Y-%m-%d", text).ok()
}

/// Parses `22:00` or `22:00:30`.
fn time(text: &str) -> Option<Time> {
    Time::strptime("%H:%M", text).or_else(|_| Time::strptime("%H:%M:%S", text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::zone::Zone;

    fn instant(text: &str, now: &str) -> String {
        let berlin = Zone::from_name("Europe/Berlin").unwrap().rules;
        text.parse::<Since>().unwrap().instant(now.parse().unwrap(), &berlin).to_string()
    }

    #[test]
    fn durations_dates_and_times_are_instants_before_now() {
        for (text, at) in [
            ("7d", "2026-11-21T09:00:00Z"),
            ("2w", "2026-11-14T09:00:00Z"),
            ("24h", "2026-11-27T09:00:00Z"),
            ("1h30m", "2026-11-28T07:30:00Z"),
            ("90 minutes", "2026-11-28T07:30:00Z"),
            ("2026-11-24", "2026-11-23T23:00:00Z"),
            ("2026-07-24", "2026-07-23T22:00:00Z"),
            ("2026-11-24T22:00", "2026-11-24T21:00:00Z"),
            ("2026-11-24 22:00:30", "2026-11-24T21:00:30Z"),
            ("2026-11-24T22:00Z", "2026-11-24T22:00:00Z"),
            ("2026-11-24T22:00:00+08:00", "2026-11-24T14:00:00Z"),
            ("08:00", "2026-11-28T07:00:00Z"),
            ("22:00", "2026-11-27T21:00:00Z"),
            (" 22:00:01 ", "2026-11-27T21:00:01Z"),
        ] {
            assert_eq!(instant(text, "2026-11-28T09:00:00Z"), at, "{text}");
        }
        // Shown twice, it is the first of the two: what happened in between is wanted as well.
        assert_eq!(instant("2026-10-25T02:30", "2026-11-28T09:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(instant("7000000d", "2026-11-28T09:00:00Z"), Timestamp::MIN.to_string());
    }

    #[test]
    fn what_has_no_unit_no_length_or_no_past_is_refused() {
        for bad in
            ["", "7", "0d", "-7d", "7d ago", "1mo", "1y", "soon", "2026-11", "2026-11-24T", "25:00", "2026-13-01"]
        {
            assert!(bad.parse::<Since>().is_err(), "{bad}: {:?}", bad.parse::<Since>());
        }
    }

    #[test]
    fn only_what_is_read_off_a_clock_needs_a_zone() {
        let needs = |text: &str| text.parse::<Since>().unwrap().needs_zone();
        assert!(["22:00", "2026-11-24", "2026-11-24T22:00"].into_iter().all(needs));
        assert!(!["7d", "2026-11-24T22:00:00Z"].into_iter().any(needs));
    }
}
