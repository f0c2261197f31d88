//! Counts and durations, as people say them.

use std::time::Duration;

/// Formats a count: `1 row`, `2 rows`.
#[must_use]
pub(crate) fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Verb for a count: `is` for one, else `are`.
pub(crate) fn is_or_are(n: u64) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

/// Formats a number of bytes: `512 B`, `9.8 kB`, `12.3 MB`.
#[must_use]
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let (mut tenths, mut unit) = (n / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        (tenths, unit) = (tenths / 1000, unit + 1);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Formats milliseconds: `0.250 s`, `3 min 20 s`, `2 h 05 min`.
#[must_use]
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}.{:03} s", ms % 1000),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

/// Formats a limit that somebody gave exactly, in the largest unit of which it is a whole number: `1 h`, `90 min`, `300 ms`.
#[must_use]
pub(crate) fn limit(limit: Duration) -> String {
    const UNITS: [(u128, &str); 3] = [(3_600_000, "h"), (60_000, "min"), (1000, "s")];
    let ms = limit.as_millis();
    let (size, unit) = UNITS.into_iter().find(|(size, _)| ms.is_multiple_of(*size)).unwrap_or((1, "ms"));
    format!("{} {unit}", ms / size)
}

/// Largest number of names in one message; more would hide its point.
const MOST_NAMED: usize = 10;

/// Joins names with commas; of more than [`MOST_NAMED`], the first of them and the number of the others.
pub(crate) fn bounded(names: &[String]) -> String {
    let first = names.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMED) {
        0 => first,
        n_more => format!("{first} and {n_more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_people_say_them() {
        for (n, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (12_345_678, "12.3 MB"),
            (999_999, "999.9 kB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(duration(250), "0.250 s");
        assert_eq!(duration(59_999), "59.999 s");
        assert_eq!(duration(200_000), "3 min 20 s");
        assert_eq!(duration(7_500_000), "2 h 05 min");
    }

    #[test]
    fn limits_read_as_they_were_given() {
        let limits = [("1h", "1 h"), ("10m", "10 min"), ("1h30m", "90 min"), ("90", "90 s"), ("300ms", "300 ms")];
        for (given, told) in limits {
            assert_eq!(limit(crate::values::duration(given).unwrap()), told);
        }
    }
}
