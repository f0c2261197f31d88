//! Time in which changes may be sent: hours of the day in a time zone, and a deadline.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

use crate::values::zone::Zone;

/// Hours of a day; they end on the next day where `to` is the earlier time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    pub from: Time,
    pub to: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWindow {
    #[error("`{0}` is not a window such as 22:00-04:00")]
    Hours(String),
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

impl Hours {
    /// Formats them as people write them, with seconds where there are any.
    #[must_use]
    pub fn text(self) -> String {
        let one = |time: Time| time.strftime(if time.second() == 0 { "%H:%M" } else { "%H:%M:%S" }).to_string();
        format!("{}-{}", one(self.from), one(self.to))
    }

    /// Returns the hours that lie in both; `None` where there are none, or where they are not one stretch of the day.
    #[must_use]
    pub fn within(self, other: Self) -> Option<Self> {
        // Seconds since the first of them opens.
        let second =
            |time: Time| i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60 + i64::from(time.second());
        let since = |time: Time| (second(time) - second(self.from)).rem_euclid(DAY);
        let (closes, from, to) = (since(self.to), since(other.from), since(other.to));
        if from < to {
            // `other` opens and closes once in the day that begins as `self` opens.
            let ends = if to <= closes { other.to } else { self.to };
            return (from < closes).then_some(Self { from: other.from, to: ends });
        }
        // `other` is open as that day begins, and opens again at `from`.
        match (to > 0, from < closes) {
            (true, true) | (false, false) => None,
            (true, false) => Some(Self { from: self.from, to: if to < closes { other.to } else { self.to } }),
            (false, true) => Some(Self { from: other.from, to: self.to }),
        }
    }
}

/// Seconds in a day.
const DAY: i64 = 86_400;

/// Parses `22:00` or `22:00:30`.
fn time(text: &str) -> Option<Time> {
    let text = text.trim();
    let format = if text.matches(':').count() == 1 { "%H:%M" } else { "%H:%M:%S" };
    Time::strptime(format, text).ok()
}

/// Time by which everything has to be over, as people write it. A time without a date is its next occurrence.
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
        // A date alone is not a time, although it would be parsed as its midnight.
        if !text.contains(':') {
            return Err(BadWindow::Deadline(text.to_owned()));
        }
        let at = text.parse().map(Deadline::At);
        at.or_else(|_| text.parse().map(Deadline::On)).map_err(|_| BadWindow::Deadline(text.to_owned()))
    }
}

impl Deadline {
    /// Returns the instant, for a launch that begins now. Of a date and time that the clocks show twice, it is the first; a time
    /// without a date is the next instant at which the clocks show it.
    #[must_use]
    pub fn instant(self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        match self {
            Deadline::At(at) => at,
            Deadline::On(at) => ends_at(zone, at),
            Deadline::Next(time) => {
                let today = now.to_zoned_datetime(zone.clone()).date();
                let days = [today, tomorrow(today), tomorrow(tomorrow(today))].map(|day| day.to_datetime(time));
                let shown = days.into_iter().flat_map(|at| [ends_at(zone, at), begins_at(zone, at)]);
                shown.filter(|at| *at > now).min().unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Tells whether it is read off a clock, so that the zone has to be known.
    #[must_use]
    pub fn needs_zone(self) -> bool {
        match self {
            Deadline::At(_) => false,
            Deadline::On(_) | Deadline::Next(_) => true,
        }
    }
}

/// Time in which changes may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub hours: Option<Hours>,
    pub zone: Zone,
    pub deadline: Option<Timestamp>,
}

/// State of a window at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Open until then; `None` if it never closes.
    Open {
        until: Option<Timestamp>,
    },
    Opens {
        at: Timestamp,
    },
    /// Closed for good: it does not open again before the deadline.
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
        let Some(Night { opens, closes, .. }) = self.next_night(hours, now) else {
            return Opening::Over { since: now };
        };
        match self.deadline {
            _ if opens <= now => Opening::Open { until: Some(self.deadline.map_or(closes, |at| at.min(closes))) },
            Some(deadline) if deadline <= opens => Opening::Over { since: now },
            Some(_) | None => Opening::Opens { at: opens },
        }
    }

    /// Returns the nights that are not over, beginning with last night's, which may still be open.
    fn nights(&self, hours: Hours, now: Timestamp) -> impl Iterator<Item = Night> {
        let today = now.to_zoned_datetime(self.zone.rules.clone()).date();
        let days = [yesterday(today), today, tomorrow(today), tomorrow(tomorrow(today))];
        days.into_iter()
            .map(move |day| Night::new(&self.zone.rules, hours, day))
            .filter(move |night| now < night.closes)
    }

    /// Returns the night that is open, or else the next one that opens.
    fn next_night(&self, hours: Hours, now: Timestamp) -> Option<Night> {
        self.nights(hours, now).find(Night::comes)
    }

    /// Formats an instant in the window's zone.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> String {
        self.zone.shows(at)
    }

    /// Describes when changes may be sent, and in which zone; one line for each fact.
    #[must_use]
    pub fn told(&self, now: Timestamp) -> Vec<String> {
        let offset = now.to_zoned_datetime(self.zone.rules.clone()).strftime("%:z").to_string();
        let mut lines = Vec::new();
        if let Some(hours) = self.hours {
            lines.push(format!("changes may be sent {hours} in the time zone {}, now {offset}", self.zone));
            let skipped = self.nights(hours, now).take_while(|night| !night.comes());
            lines.extend(skipped.map(|night| night.told_as_skipped()));
            lines.extend(self.next_night(hours, now).and_then(|night| self.told_of_change(&night)));
        }
        if let Some(deadline) = self.deadline {
            let zone = &self.zone;
            lines.push(format!("nothing is begun that would not end by {} ({zone})", self.local(deadline)));
        }
        lines
    }

    /// Describes a night with an edge that the clocks show twice, or not at all.
    fn told_of_change(&self, night: &Night) -> Option<String> {
        let shows = |at: DateTime| match self.zone.rules.to_ambiguous_timestamp(at).offset() {
            AmbiguousOffset::Unambiguous { .. } => None,
            AmbiguousOffset::Fold { .. } => Some(format!("the clocks show {} twice", at.strftime("%Y-%m-%d %H:%M"))),
            AmbiguousOffset::Gap { .. } => Some(format!("the clocks jump over {}", at.strftime("%Y-%m-%d %H:%M"))),
        };
        let changed: Vec<String> = [night.from, night.to].into_iter().filter_map(shows).collect();
        let (opens, closes) = (self.local(night.opens), self.local(night.closes));
        (!changed.is_empty()).then(|| format!("{}: it is open from {opens} to {closes}", changed.join(", and ")))
    }
}

/// One opening of a window: its edges as the clocks show them, and as instants.
struct Night {
    from: DateTime,
    to: DateTime,
    opens: Timestamp,
    closes: Timestamp,
}

impl Night {
    /// Computes the opening of a night. Where the clocks show an edge twice, only the time that lies within the hours by both
    /// readings counts: it opens at the second reading and closes at the first. If both edges are shown twice, that may leave
    /// nothing: then it opens at the first reading, too.
    fn new(zone: &TimeZone, hours: Hours, day: Date) -> Self {
        let last = if hours.to <= hours.from { tomorrow(day) } else { day };
        let (from, to) = (day.to_datetime(hours.from), last.to_datetime(hours.to));
        let (opens, closes) = (begins_at(zone, from), ends_at(zone, to));
        let opens = if opens < closes { opens } else { ends_at(zone, from) };
        Self { from, to, opens, closes }
    }

    /// Tells whether it opens at all.
    fn comes(&self) -> bool {
        self.opens < self.closes
    }

    fn told_as_skipped(&self) -> String {
        let (from, to) = (self.from.strftime("%Y-%m-%d %H:%M"), self.to.strftime("%H:%M"));
        format!("the clocks jump over {from} to {to}: it does not open that night")
    }
}

fn tomorrow(day: Date) -> Date {
    day.checked_add(1.day()).unwrap_or(Date::MAX)
}

fn yesterday(day: Date) -> Date {
    day.checked_sub(1.day()).unwrap_or(Date::MIN)
}

/// Returns the instant of a time, the second one where the clocks show it twice.
fn begins_at(zone: &TimeZone, at: DateTime) -> Timestamp {
    edge(zone, at, |_, after| after)
}

/// Returns the instant of a time, the first one where the clocks show it twice.
fn ends_at(zone: &TimeZone, at: DateTime) -> Timestamp {
    edge(zone, at, |before, _| before)
}

/// Returns the instant at which the clocks show a time; where they jump over it, the instant of the jump.
fn edge(zone: &TimeZone, at: DateTime, twice: fn(Timestamp, Timestamp) -> Timestamp) -> Timestamp {
    let by = |offset: jiff::tz::Offset| offset.to_timestamp(at).unwrap_or(Timestamp::MAX);
    match zone.to_ambiguous_timestamp(at).offset() {
        AmbiguousOffset::Unambiguous { offset } => by(offset),
        AmbiguousOffset::Fold { before, after } => twice(by(before), by(after)),
        AmbiguousOffset::Gap { before, .. } => {
            let late = by(before);
            // The jump is no later than `late`, and may be at that very instant.
            let jump = late.checked_add(1.nanosecond()).ok().and_then(|after| zone.preceding(after).next());
            jump.map_or(late, |jump| jump.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(hours: &str, zone_name: &str) -> Window {
        Window { hours: Some(hours.parse().unwrap()), zone: Zone::from_name(zone_name).unwrap(), deadline: None }
    }

    fn open_until(text: &str) -> Opening {
        Opening::Open { until: Some(at(text)) }
    }

    #[test]
    fn hours_within_both_are_one_stretch_or_none() {
        let hours = |text: &str| text.parse::<Hours>().unwrap();
        for (one, other, both) in [
            ("22:00-04:00", "22:00-04:00", Some("22:00-04:00")),
            ("22:00-04:00", "20:00-06:00", Some("22:00-04:00")),
            ("22:00-04:00", "23:00-01:00", Some("23:00-01:00")),
            ("22:00-04:00", "20:00-02:00", Some("22:00-02:00")),
            ("22:00-04:00", "02:00-08:00", Some("02:00-04:00")),
            ("22:00-04:00", "04:00-22:00", None),
            ("22:00-04:00", "08:00-12:00", None),
            ("08:00-20:00", "09:00-10:00:30", Some("09:00-10:00:30")),
            // Two stretches of a day are no window.
            ("08:00-20:00", "18:00-10:00", None),
            ("00:00-23:59:59", "22:00-04:00", None),
        ] {
            let expected = both.map(str::to_owned);
            assert_eq!(hours(one).within(hours(other)).map(Hours::text), expected, "{one} {other}");
            assert_eq!(hours(other).within(hours(one)).map(Hours::text), expected, "{other} {one}");
        }
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
        // 02:30 is shown twice: the window closes the first time, and opens the second.
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
        // The clocks jump over 02:30: the instant of the jump stands for it, at both ends.
        let closes = window("22:00-02:30", "Europe/Berlin");
        assert_eq!(closes.at(at("2026-03-29T00:59:59Z")), open_until("2026-03-29T01:00:00Z"));
        let opens = window("02:30-05:00", "Europe/Berlin");
        assert_eq!(opens.at(at("2026-03-29T00:59:59Z")), Opening::Opens { at: at("2026-03-29T01:00:00Z") });
        // A window that lies within the jump does not open that night.
        let inside = window("02:10-02:50", "Europe/Berlin");
        assert_eq!(inside.at(at("2026-03-29T00:30:00Z")), Opening::Opens { at: at("2026-03-30T00:10:00Z") });
    }

    /// Minutes for which a window is open within two days, and the number of its openings.
    fn open_within_two_days(window: &Window, from: &str) -> (i64, u32) {
        let (mut n_minutes, mut n_openings, mut was_open) = (0, 0, true);
        let begin = at(from);
        for minute in 0..2 * 24 * 60 {
            let is_open = matches!(window.at(begin + SignedDuration::from_mins(minute)), Opening::Open { .. });
            n_minutes += i64::from(is_open);
            n_openings += u32::from(is_open && !was_open);
            was_open = is_open;
        }
        (n_minutes, n_openings)
    }

    #[test]
    fn hours_that_the_clocks_show_twice_are_open_once() {
        // (zone, a time before the change, hours, minutes that they are open within two days; they open twice in that time)
        for (zone, from, hours, expected) in [
            // Berlin, 2026-10-25, 02:00 to 03:00 twice.
            ("Europe/Berlin", "2026-10-24T12:00:00Z", "02:10-02:50", 40 + 40),
            ("Europe/Berlin", "2026-10-24T12:00:00Z", "02:00-02:59", 59 + 59),
            ("Europe/Berlin", "2026-10-24T12:00:00Z", "01:30-02:30", 60 + 60),
            ("Europe/Berlin", "2026-10-24T12:00:00Z", "02:30-03:30", 60 + 60),
            ("Europe/Berlin", "2026-10-24T12:00:00Z", "02:00-03:00", 60 + 60),
            // The repeated hour lies between hours of the window, and so belongs to it both times.
            ("Europe/Berlin", "2026-10-24T12:00:00Z", "01:00-04:00", 240 + 180),
            // New York, 2026-11-01, 01:00 to 02:00 twice.
            ("America/New_York", "2026-10-31T12:00:00Z", "01:10-01:50", 40 + 40),
            ("America/New_York", "2026-10-31T12:00:00Z", "00:30-01:30", 60 + 60),
            ("America/New_York", "2026-10-31T12:00:00Z", "01:30-02:30", 60 + 60),
            // Lord Howe, 2026-04-05, 01:30 to 02:00 twice.
            ("Australia/Lord_Howe", "2026-04-04T03:00:00Z", "01:35-01:55", 20 + 20),
            ("Australia/Lord_Howe", "2026-04-04T03:00:00Z", "01:00-01:45", 45 + 45),
            ("Australia/Lord_Howe", "2026-04-04T03:00:00Z", "01:45-02:30", 45 + 45),
        ] {
            assert_eq!(open_within_two_days(&window(hours, zone), from), (expected, 2), "{zone} {hours}");
        }
    }

    #[test]
    fn hours_that_the_clocks_jump_over_are_open_for_what_is_left_of_them() {
        for (zone, from, hours, expected) in [
            // Berlin, 2027-03-28, from 02:00 to 03:00.
            ("Europe/Berlin", "2027-03-27T12:00:00Z", "01:30-02:30", (30 + 60, 2)),
            ("Europe/Berlin", "2027-03-27T12:00:00Z", "02:30-03:30", (30 + 60, 2)),
            ("Europe/Berlin", "2027-03-27T12:00:00Z", "02:10-02:50", (40, 1)),
            // New York, 2027-03-14, from 02:00 to 03:00; Lord Howe, 2026-10-04, from 02:00 to 02:30.
            ("America/New_York", "2027-03-13T12:00:00Z", "01:30-04:00", (90 + 150, 2)),
            ("Australia/Lord_Howe", "2026-10-03T03:00:00Z", "01:45-02:45", (30 + 60, 2)),
        ] {
            assert_eq!(open_within_two_days(&window(hours, zone), from), expected, "{zone} {hours}");
        }
    }

    #[test]
    fn a_night_whose_edges_change_is_told_and_so_is_the_zone() {
        let told = |hours: &str, now: &str| window(hours, "Europe/Berlin").told(at(now));
        assert_eq!(
            told("02:10-02:50", "2026-10-24T20:00:00Z"),
            [
                "changes may be sent 02:10-02:50 in the time zone Europe/Berlin, now +02:00",
                "the clocks show 2026-10-25 02:10 twice, and the clocks show 2026-10-25 02:50 twice: it is open from \
                 2026-10-25 02:10:00 +02:00 to 2026-10-25 02:50:00 +02:00"
            ]
        );
        assert_eq!(
            told("22:00-02:30", "2027-03-27T20:00:00Z")[1],
            "the clocks jump over 2027-03-28 02:30: it is open from 2027-03-27 22:00:00 +01:00 to 2027-03-28 03:00:00 +02:00"
        );
        assert_eq!(told("22:00-04:00", "2026-10-24T20:00:00Z").len(), 1);
        // Nights on which the window does not open are announced.
        for hours in ["02:00-03:00", "02:10-02:50", "02:00-02:30"] {
            let (from, to) = hours.split_once('-').unwrap();
            assert_eq!(
                told(hours, "2027-03-27T20:00:00Z")[1..],
                [format!("the clocks jump over 2027-03-28 {from} to {to}: it does not open that night")]
            );
            assert_eq!(told(hours, "2027-03-27T00:30:00Z").len(), 1, "it opens once before");
            assert_eq!(told(hours, "2027-03-28T01:00:00Z").len(), 1, "it is over");
        }
        let half_an_hour =
            |hours: &str| window(hours, "Australia/Lord_Howe").told(at("2026-10-03T12:00:00Z"))[1..].to_vec();
        assert_eq!(
            half_an_hour("02:00-02:30"),
            ["the clocks jump over 2026-10-04 02:00 to 02:30: it does not open that night"]
        );
        assert_eq!(
            half_an_hour("02:15-03:00"),
            [
                "the clocks jump over 2026-10-04 02:15: it is open from 2026-10-04 02:30:00 +11:00 to 2026-10-04 03:00:00 +11:00"
            ]
        );
        let deadline = Some(at("2026-10-25T01:30:00Z"));
        let by = Window { hours: None, deadline, ..window("22:00-04:00", "Europe/Berlin") };
        let says = "nothing is begun that would not end by 2026-10-25 02:30:00 +01:00 (Europe/Berlin)";
        assert_eq!(by.told(at("2026-10-24T20:00:00Z")), [says]);
    }

    #[test]
    fn a_deadline_that_the_clocks_show_twice_is_the_first_that_is_still_to_come() {
        let berlin = Zone::from_name("Europe/Berlin").unwrap().rules;
        let instant = |text: &str, now: &str| text.parse::<Deadline>().unwrap().instant(at(now), &berlin);
        assert_eq!(instant("02:30", "2026-10-24T22:00:00Z"), at("2026-10-25T00:30:00Z"));
        // 02:30 was shown fifteen minutes ago, and is shown again in three quarters of an hour.
        assert_eq!(instant("02:30", "2026-10-25T00:45:00Z"), at("2026-10-25T01:30:00Z"));
        assert_eq!(instant("02:30", "2026-10-25T01:30:00Z"), at("2026-10-26T01:30:00Z"));
        assert_eq!(instant("2026-10-25T02:30", "2026-10-24T22:00:00Z"), at("2026-10-25T00:30:00Z"));
        assert_eq!(instant("2026-10-25T02:30+01:00", "2026-10-24T22:00:00Z"), at("2026-10-25T01:30:00Z"));
        // A time that the clocks jump over is the instant of the jump.
        assert_eq!(instant("02:30", "2027-03-27T22:00:00Z"), at("2027-03-28T01:00:00Z"));
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
        let berlin = Zone::from_name("Europe/Berlin").unwrap().rules;
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
    }
}
