//! Ages, as people write them: `400d`, `13 months`, `12h`.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Time before now, in calendar units or hours, and as it was written.
#[derive(Clone, Debug)]
pub struct Age {
    span: Span,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an age such as 400d, 13 months or 12h")]
pub struct BadAge(String);

impl Age {
    /// Returns the time that was this long ago, by the calendar of UTC; the earliest of all if that is before it.
    #[must_use]
    pub fn before(&self, now: Timestamp) -> Timestamp {
        let zoned = now.to_zoned_datetime(TimeZone::UTC).checked_sub(self.span);
        zoned.map_or(Timestamp::MIN, |then| then.timestamp())
    }
}

impl FromStr for Age {
    type Err = BadAge;

    /// A number alone is refused: nobody could tell hours from days.
    fn from_str(text: &str) -> Result<Self, BadAge> {
        let bad = || BadAge(text.to_owned());
        let span: Span = text.trim().parse().map_err(|_| bad())?;
        if span.is_negative() { Err(bad()) } else { Ok(Self { span, text: text.trim().to_owned() }) }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_with_their_unit_and_go_by_the_calendar() {
        let now: Timestamp = "2026-03-31T12:00:00Z".parse().unwrap();
        for (text, then) in [
            ("400d", "2025-02-24T12:00:00Z"),
            ("0d", "2026-03-31T12:00:00Z"),
            ("12h", "2026-03-31T00:00:00Z"),
            ("2w", "2026-03-17T12:00:00Z"),
            ("1 month", "2026-02-28T12:00:00Z"),
            ("1y 1d", "2025-03-30T12:00:00Z"),
            ("19000y", "before all time"),
        ] {
            let age: Age = text.parse().unwrap();
            let expected = then.parse().unwrap_or(Timestamp::MIN);
            assert_eq!((age.before(now), age.to_string().as_str()), (expected, text));
        }
        for bad in ["", "400", "-1d", "3 days ago", "soon", "d", "99999999999999999999d"] {
            assert_eq!(bad.parse::<Age>().unwrap_err(), BadAge(bad.to_owned()));
        }
    }
}
