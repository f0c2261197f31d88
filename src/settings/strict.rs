//! The stricter of two values, for settings that an operator and a plan, which may come from anybody, can both set.
//!
//! A plan, a profile and a folder's file may make a limit tighter than the operator's own settings have it, and never wider; only
//! a flag does that, and says what it loosens. For every other setting the order of the layers decides.

use crate::values::share::Share;
use crate::values::{duration, on_off, positive, rate, share, unless_off, whole};
use crate::waves::window::{BadWindow, Hours};

/// Order in which one value of a setting is stricter than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stricter {
    /// Fewer requests in a second; `off` is no limit.
    LowerRate,
    /// The lower number.
    LowerNumber,
    /// Fewer failures; a number of rows and a percentage can be compared only if one of them is none or all.
    LowerShare,
    /// The shorter time before giving up.
    Shorter,
    /// The longer time of looking.
    Longer,
    /// Switched on.
    On,
    /// Hours that lie in both.
    Hours,
    /// The zone belongs to the hours and the deadline that it is named with.
    Zone,
    /// The earlier one; each is kept, because which it is depends on the clock.
    Earlier,
}

/// Result of comparing two limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    First,
    Second,
    /// Neither as it stands; this text keeps both.
    Both(String),
}

/// Two limits that cannot both be kept by keeping one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unlike;

impl Stricter {
    /// Picks the stricter of two texts; the first, where they are as strict. One that cannot be read is picked, and reported by
    /// whoever reads it.
    pub(super) fn pick(self, first: &str, second: &str) -> Result<Pick, Unlike> {
        let unlimited = |text: &str| rate(text).map(|rate| rate.per_second().unwrap_or(f64::INFINITY));
        let number = |text: &str| positive(text).map(u64::from).or_else(|_| whole(text));
        Ok(match self {
            Stricter::LowerRate => least(unlimited, first, second),
            Stricter::LowerNumber => least(number, first, second),
            Stricter::Shorter => least(duration, first, second),
            Stricter::Longer => least(|text| duration(text).map(std::cmp::Reverse), first, second),
            Stricter::On => least(|text| on_off(text).map(|on| !on), first, second),
            Stricter::LowerShare => return fewer(first, second),
            Stricter::Hours => return within_both(first, second),
            // Resolved in `hours`, which compares no texts of them.
            Stricter::Zone | Stricter::Earlier => Pick::First,
        })
    }

    /// Tells whether a flag makes the value wider that holds without it.
    pub(super) fn is_loosened(self, flag: &str, held: &str) -> bool {
        match self {
            Stricter::Zone | Stricter::Earlier => flag != held,
            Stricter::LowerRate
            | Stricter::LowerNumber
            | Stricter::LowerShare
            | Stricter::Shorter
            | Stricter::Longer
            | Stricter::On
            | Stricter::Hours => flag != held && self.pick(flag, held) != Ok(Pick::First),
        }
    }
}

fn least<T: PartialOrd>(read: impl Fn(&str) -> Result<T, String>, first: &str, second: &str) -> Pick {
    match (read(first), read(second)) {
        (Ok(one), Ok(other)) if other < one => Pick::Second,
        (Ok(_), Err(_)) => Pick::Second,
        (Ok(_) | Err(_), _) => Pick::First,
    }
}

/// Picks the lower share. No rows are the least, and 100 % or more is the most; else rows and a percentage are [`Unlike`].
fn fewer(first: &str, second: &str) -> Result<Pick, Unlike> {
    let (one, other) = match (share(first), share(second)) {
        (Err(_), _) => return Ok(Pick::First),
        (Ok(_), Err(_)) => return Ok(Pick::Second),
        (Ok(one), Ok(other)) => (one, other),
    };
    match (one, other) {
        (Share::Rows(one), Share::Rows(other)) => Ok(if other < one { Pick::Second } else { Pick::First }),
        (Share::Percent(one), Share::Percent(other)) => Ok(if other < one { Pick::Second } else { Pick::First }),
        (Share::Rows(0), Share::Percent(_)) => Ok(Pick::First),
        (Share::Percent(_), Share::Rows(0)) => Ok(Pick::Second),
        (Share::Rows(_), Share::Percent(all)) if all >= 100.0 => Ok(Pick::First),
        (Share::Percent(all), Share::Rows(_)) if all >= 100.0 => Ok(Pick::Second),
        (Share::Rows(_), Share::Percent(_)) | (Share::Percent(_), Share::Rows(_)) => Err(Unlike),
    }
}

fn within_both(first: &str, second: &str) -> Result<Pick, Unlike> {
    let read = |text: &str| unless_off(text, |text| text.parse::<Hours>().map_err(|bad: BadWindow| bad.to_string()));
    match (read(first), read(second)) {
        (Err(_), _) | (Ok(_), Ok(None)) => Ok(Pick::First),
        (Ok(_), Err(_)) | (Ok(None), Ok(Some(_))) => Ok(Pick::Second),
        (Ok(Some(one)), Ok(Some(other))) => match one.within(other).ok_or(Unlike)? {
            both if both == one => Ok(Pick::First),
            both if both == other => Ok(Pick::Second),
            both => Ok(Pick::Both(both.text())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_the_stricter_holds() {
        let both = |text: &str| Ok(Pick::Both(text.to_owned()));
        for (how, first, second, expected) in [
            (Stricter::LowerRate, "10", "30/m", Ok(Pick::Second)),
            (Stricter::LowerRate, "2", "off", Ok(Pick::First)),
            (Stricter::LowerRate, "off", "off", Ok(Pick::First)),
            (Stricter::LowerRate, "2", "fast", Ok(Pick::Second)),
            (Stricter::LowerNumber, "1", "999999", Ok(Pick::First)),
            (Stricter::LowerNumber, "5", "0", Ok(Pick::Second)),
            (Stricter::Shorter, "10m", "1m", Ok(Pick::Second)),
            (Stricter::Longer, "1ms", "30s", Ok(Pick::Second)),
            (Stricter::On, "off", "on", Ok(Pick::Second)),
            (Stricter::On, "on", "false", Ok(Pick::First)),
            (Stricter::LowerShare, "5", "3", Ok(Pick::Second)),
            (Stricter::LowerShare, "5%", "10%", Ok(Pick::First)),
            (Stricter::LowerShare, "5", "10%", Err(Unlike)),
            (Stricter::LowerShare, "10%", "0", Ok(Pick::Second)),
            (Stricter::LowerShare, "100%", "7", Ok(Pick::Second)),
            (Stricter::Hours, "22:00-04:00", "off", Ok(Pick::First)),
            (Stricter::Hours, "off", "22:00-04:00", Ok(Pick::Second)),
            (Stricter::Hours, "20:00-06:00", "22:00-04:00", Ok(Pick::Second)),
            (Stricter::Hours, "22:00-04:00", "20:00-02:00", both("22:00-02:00")),
            (Stricter::Hours, "22:00-04:00", "08:00-12:00", Err(Unlike)),
        ] {
            assert_eq!(how.pick(first, second), expected, "{how:?} {first} {second}");
        }
    }

    #[test]
    fn what_a_flag_makes_wider_is_loosened() {
        for (how, flag, held, is) in [
            (Stricter::LowerNumber, "9", "1", true),
            (Stricter::LowerNumber, "1", "9", false),
            (Stricter::LowerRate, "off", "5", true),
            (Stricter::LowerShare, "5", "10%", true),
            (Stricter::On, "off", "on", true),
            (Stricter::Hours, "00:00-12:00", "22:00-04:00", true),
            (Stricter::Hours, "23:00-01:00", "22:00-04:00", false),
            (Stricter::Zone, "UTC", "UTC", false),
        ] {
            assert_eq!(how.is_loosened(flag, held), is, "{how:?} {flag} {held}");
        }
    }
}
