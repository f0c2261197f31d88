//! When changes may be sent: hours of the day in a time zone, and a deadline.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// From one time of the day to another, the next day's where that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    pub from: Time,
    pub to: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWindow {
    #[error("`{0}` is not a window such as 22:00-04:00")]
    Hours(String),
    #[error("`{0}` is no time zone such as Europe/Berlin or UTC")]
    Zone(String),
    #[error("`{0}` is not a time such as 04:00, 2026-11-24T04:00 or 2026-11-24T04:00:00Z")]
    Deadline(String),
}

impl FromStr for Hours {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        let bad = || BadWindow::Hours(text.to_owned());
        let (from, to) = text.split_once('-').ok_or_else(bad)?;
        let (from, to) = (time(from).ok_or_else(bad)?, time(to).ok_or_else(bad)?);
        if from == to { Err(bad()) } else { Ok(Self { from, to }) }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.strftime("%H:%M"), self.to.strftime("%H:%M"))
    }
}

/// `22:00` or `22:00:30`.
fn time(text: &str) -> Option<Time> {
    let text = text.trim();
    let format = if text.matches(':').count() == 1 { "%H:%M" } else { "%H:%M:%S" };
    Time::strptime(format, text).ok()
}

/// The zone of this name, or the machine's own.
pub fn zone(name: Option<&str>) -> Result<TimeZone, BadWindow> {
    match name {
        None => Ok(TimeZone::system()),
        Some(name) => TimeZone::get(name).map_err(|_| BadWindow::Zone(name.to_owned())),
    }
}

/// When all has to be over, as people write it. A time alone is its next occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    At(Timestamp),
    On(DateTime),
    Next(Time),
}

impl FromStr for Deadline {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        let text = text.trim();
        if let Some(time) = time(text) {
            return Ok(Deadline::Next(time));
        }
        // A date alone is not a time, though it could be read as its midnight.
        if !text.contains(':') {
            return Err(BadWindow::Deadline(text.to_owned()));
        }
        let at = text.parse().map(Deadline::At);
        at.or_else(|_| text.parse().map(Deadline::On)).map_err(|_| BadWindow::Deadline(text.to_owned()))
    }
}

impl Deadline {
    /// The instant, for a launch that begins now.
    #[must_use]
    pub fn instant(self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        match self {
            Deadline::At(at) => at,
            Deadline::On(at) => ends_at(zone, at),
            Deadline::Next(time) => {
                let today = now.to_zoned_datetime(zone.clone()).date();
                let days = [today, tomorrow(today), tomorrow(tomorrow(today))];
                let at = days.into_iter().map(|day| ends_at(zone, day.to_datetime(time))).find(|at| *at > now);
                at.unwrap_or(Timestamp::MAX)
            }
        }
    }
}

/// When changes may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub hours: Option<Hours>,
    pub zone: TimeZone,
    pub deadline: Option<Timestamp>,
}

/// How a window stands at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Until then, if it ever ends.
    Open {
        until: Option<Timestamp>,
    },
    Opens {
        at: Timestamp,
    },
    /// It does not open again before the deadline.
    Over {
        since: Timestamp,
    },
}

impl Window {
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Opening {
        if let Some(deadline) = self.deadline.filter(|deadline| *deadline <= now) {
            return Opening::Over { since: deadline };
        }
        let Some(hours) = self.hours else { return Opening::Open { until: self.deadline } };
        let today = now.to_zoned_datetime(self.zone.clone()).date();
        // Last night's window may be open still.
        let days = [yesterday(today), today, tomorrow(today), tomorrow(tomorrow(today))];
        let nights = days.into_iter().map(|day| self.night(hours, day));
        let Some((opens, closes)) = nights.filter(|(opens, closes)| opens < closes).find(|(_, closes)| now < *closes)
        else {
            return Opening::Over { since: now };
        };
        match self.deadline {
            _ if opens <= now => Opening::Open { until: Some(self.deadline.map_or(closes, |at| at.min(closes))) },
            Some(deadline) if deadline <= opens => Opening::Over { since: now },
            Some(_) | None => Opening::Opens { at: opens },
        }
    }

    fn night(&self, hours: Hours, day: Date) -> (Timestamp, Timestamp) {
        let last = if hours.to <= hours.from { tomorrow(day) } else { day };
        (begins_at(&self.zone, day.to_datetime(hours.from)), ends_at(&self.zone, last.to_datetime(hours.to)))
    }

    /// An instant as the window's people read their clocks.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }
}

fn tomorrow(day: Date) -> Date {
    day.checked_add(1.day()).unwrap_or(Date::MAX)
}

fn yesterday(day: Date) -> Date {
    day.checked_sub(1.day()).unwrap_or(Date::MIN)
}

/// Where the clocks show a time twice, a window opens the second time.
fn begins_at(zone: &TimeZone, at: DateTime) -> Timestamp {
    edge(zone, at, |_, after| after)
}

/// Where the clocks show a time twice, a window closes the first time.
fn ends_at(zone: &TimeZone, at: DateTime) -> Timestamp {
    edge(zone, at, |before, _| before)
}

/// The instant at which the clocks show a time; where they jump over it, the instant at which they do.
fn edge(zone: &TimeZone, at: DateTime, twice: fn(Timestamp, Timestamp) -> Timestamp) -> Timestamp {
    let by = |offset: jiff::tz::Offset| offset.to_timestamp(at).unwrap_or(Timestamp::MAX);
    match zone.to_ambiguous_timestamp(at).offset() {
        AmbiguousOffset::Unambiguous { offset } => by(offset),
        AmbiguousOffset::Fold { before, after } => twice(by(before), by(after)),
        AmbiguousOffset::Gap { before, .. } => {
            let late = by(before);
            // The jump itself is no later than that, and may be at that very instant.
            let jump = late.checked_add(1.nanosecond()).ok().and_then(|after| zone.preceding(after).next());
            jump.map_or(late, |jump| jump.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(hours: &str, zone_name: &str) -> Window {
        Window { hours: Some(hours.parse().unwrap()), zone: zone(Some(zone_name)).unwrap(), deadline: None }
    }

    fn open_until(text: &str) -> Opening {
        Opening::Open { until: Some(at(text)) }
    }

    #[test]
    fn a_night_goes_over_midnight() {
        let night = window("22:00-04:00", "UTC");
        assert_eq!(night.at(at("2026-11-23T21:59:59Z")), Opening::Opens { at: at("2026-11-23T22:00:00Z") });
        assert_eq!(night.at(at("2026-11-23T22:00:00Z")), open_until("2026-11-24T04:00:00Z"));
        assert_eq!(night.at(at("2026-11-24T03:59:59Z")), open_until("2026-11-24T04:00:00Z"));
        assert_eq!(night.at(at("2026-11-24T04:00:00Z")), Opening::Opens { at: at("2026-11-24T22:00:00Z") });
        let day = window("09:00-17:30", "Asia/Singapore");
        assert_eq!(day.at(at("2026-11-24T00:59:00Z")), Opening::Opens { at: at("2026-11-24T01:00:00Z") });
        assert_eq!(day.at(at("2026-11-24T01:00:00Z")), open_until("2026-11-24T09:30:00Z"));
    }

    #[test]
    fn the_night_on_which_clocks_go_back_is_an_hour_longer() {
        // Berlin, 2026-10-25: 03:00 summer time is 02:00 again.
        let night = window("22:00-04:00", "Europe/Berlin");
        assert_eq!(night.at(at("2026-10-24T20:00:00Z")), open_until("2026-10-25T03:00:00Z"));
        // 02:30 is there twice: it closes the first time, and opens the second.
        let closes = window("22:00-02:30", "Europe/Berlin");
        assert_eq!(closes.at(at("2026-10-25T00:29:59Z")), open_until("2026-10-25T00:30:00Z"));
        assert_eq!(closes.at(at("2026-10-25T00:30:00Z")), Opening::Opens { at: at("2026-10-25T21:00:00Z") });
        let opens = window("02:30-05:00", "Europe/Berlin");
        assert_eq!(opens.at(at("2026-10-25T00:30:00Z")), Opening::Opens { at: at("2026-10-25T01:30:00Z") });
        assert_eq!(opens.at(at("2026-10-25T01:30:00Z")), open_until("2026-10-25T04:00:00Z"));
    }

    #[test]
    fn the_night_on_which_clocks_go_forward_is_an_hour_shorter() {
        // Berlin, 2026-03-29: from 02:00 to 03:00 at 01:00 UTC.
        let night = window("22:00-04:00", "Europe/Berlin");
        assert_eq!(night.at(at("2026-03-28T21:00:00Z")), open_until("2026-03-29T02:00:00Z"));
        // 02:30 does not come: the jump stands for it, at both ends.
        let closes = window("22:00-02:30", "Europe/Berlin");
        assert_eq!(closes.at(at("2026-03-29T00:59:59Z")), open_until("2026-03-29T01:00:00Z"));
        let opens = window("02:30-05:00", "Europe/Berlin");
        assert_eq!(opens.at(at("2026-03-29T00:59:59Z")), Opening::Opens { at: at("2026-03-29T01:00:00Z") });
        // A window of which no minute comes does not open that night.
        let inside = window("02:10-02:50", "Europe/Berlin");
        assert_eq!(inside.at(at("2026-03-29T00:30:00Z")), Opening::Opens { at: at("2026-03-30T00:10:00Z") });
    }

    #[test]
    fn a_deadline_ends_what_is_open_and_what_would_open_later() {
        let mut night = window("22:00-04:00", "UTC");
        night.deadline = Some(at("2026-11-24T03:00:00Z"));
        assert_eq!(night.at(at("2026-11-23T23:00:00Z")), open_until("2026-11-24T03:00:00Z"));
        assert_eq!(night.at(at("2026-11-24T03:00:00Z")), Opening::Over { since: at("2026-11-24T03:00:00Z") });
        night.deadline = Some(at("2026-11-24T21:00:00Z"));
        assert_eq!(night.at(at("2026-11-24T05:00:00Z")), Opening::Over { since: at("2026-11-24T05:00:00Z") });
        let no_hours = Window { hours: None, ..night };
        assert_eq!(no_hours.at(at("2026-11-24T05:00:00Z")), open_until("2026-11-24T21:00:00Z"));
    }

    #[test]
    fn a_deadline_is_an_instant_a_local_time_or_the_next_of_its_name() {
        let berlin = zone(Some("Europe/Berlin")).unwrap();
        let now = at("2026-11-23T22:00:00Z");
        let instant = |text: &str| text.parse::<Deadline>().unwrap().instant(now, &berlin);
        assert_eq!(instant("2026-11-24T04:00:00Z"), at("2026-11-24T04:00:00Z"));
        assert_eq!(instant("2026-11-24T04:00"), at("2026-11-24T03:00:00Z"));
        assert_eq!(instant("04:00"), at("2026-11-24T03:00:00Z"));
        // 23:00 is now, so the next one is tomorrow's.
        assert_eq!(instant("23:00"), at("2026-11-24T22:00:00Z"));
        for bad in ["", "soon", "25:00", "2026-11-24", "4"] {
            assert!(bad.parse::<Deadline>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_window_is_told() {
        for bad in ["22:00", "22:00-", "22-04", "24:00-04:00", "04:00-04:00", "x-y"] {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
        assert_eq!("22:00 - 04:00".parse::<Hours>().unwrap().to_string(), "22:00-04:00");
        assert!(zone(Some("Europe/Berln")).is_err());
    }
}
