//! Values that people write in flags, files and plans, each parsed in one place: from there on the value is passed, and its text
//! is not parsed again.

use std::str::FromStr;
use std::time::Duration;

use rate::{BadRate, Rate};
use share::{BadShare, Share};
use since::{BadSince, Since};

pub mod age;
pub mod rate;
pub mod share;
pub mod since;
pub mod zone;

/// Parses a number of rows, or a percentage of them.
pub(crate) fn share(text: &str) -> Result<Share, String> {
    text.parse().map_err(|bad: BadShare| bad.to_string())
}

/// Parses a whole number, zero included.
pub(crate) fn whole(text: &str) -> Result<u64, String> {
    whole_number(text)
}

/// Parses a whole number of any type; one that does not fit is none.
pub(crate) fn whole_number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number"))
}

/// Parses a whole number from 1 to [`u32::MAX`].
pub(crate) fn positive_count(text: &str) -> Result<u64, String> {
    positive(text).map(u64::from)
}

/// Parses a whole number from 1 to [`u32::MAX`].
pub(crate) fn positive(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is not a whole number from 1 on")),
        Ok(number) => Ok(number),
    }
}

/// Parses `on` or `true`, `off` or `false`.
pub(crate) fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(format!("`{text}` is neither on nor off")),
    }
}

/// Parses requests per second, minute or hour, or `off` for no limit.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    text.parse().map_err(|bad: BadRate| bad.to_string())
}

/// Parses a time in the past: a duration from it until now, a date, or a time.
pub(crate) fn since(text: &str) -> Result<Since, String> {
    text.parse().map_err(|bad: BadSince| bad.to_string())
}

/// Longest duration that can be given.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Parses `30s`, `500ms`, `2m`, `1h30m`; a bare number is seconds. Refuses zero, and more than a week.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration such as 30s, 500ms or 2m");
    let parsed = if let Ok(seconds) = text.parse::<f64>() {
        Duration::try_from_secs_f64(seconds).map_err(|_| bad())?
    } else {
        let span: jiff::SignedDuration = text.parse().map_err(|_| bad())?;
        Duration::try_from(span).map_err(|_| bad())?
    };
    let size = match parsed {
        Duration::ZERO => "short",
        _ if parsed > LONGEST => "long",
        _ => return Ok(parsed),
    };
    Err(format!("`{text}` is too {size}: a duration is more than 0s and at most 168h, which is a week"))
}

/// Parses a value that `off` lifts: `None` cancels what the plan or an earlier launch set.
pub(crate) fn unless_off<T>(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.trim() == "off" { Ok(None) } else { read(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("168h"), Ok(LONGEST));
        for (bad, why) in [
            ("0", "`0` is too short: a duration is more than 0s and at most 168h, which is a week"),
            ("0s", "`0s` is too short"),
            ("169h", "`169h` is too long"),
            ("-3s", "`-3s` is not a duration such as 30s, 500ms or 2m"),
            ("soon", "is not a duration"),
            ("30 fortnights", "is not a duration"),
            ("8d", "is not a duration"),
            ("", "is not a duration"),
        ] {
            assert!(duration(bad).is_err_and(|problem| problem.contains(why)), "{bad}");
        }
    }
}
