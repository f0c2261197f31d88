//! Traffic of a run: changes sent in each second, times that answers took, and events of the lanes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::event::Event;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::event::event;

/// Number of a lane's last events among which recent ones are looked for.
const MOST_RECENT: i64 = 50_000;

/// Traffic of a run. Its size grows with the run's duration, not with its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Activity {
    /// By second since 1970; seconds in which nothing happened are left out.
    pub(crate) seconds: BTreeMap<i64, Second>,
    /// Number of answers by the milliseconds that they took.
    pub(crate) took_ms: BTreeMap<u64, u64>,
}

/// Counts of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Second {
    /// Changes that were sent for the first time.
    pub(crate) first: u64,
    /// Changes that were sent again.
    pub(crate) again: u64,
    /// Changes and reads that met the quota.
    pub(crate) throttled: u64,
    /// Changes whose answer was lost, unusable or a disclaimer.
    pub(crate) lost: u64,
    /// Changes that were begun and not sent.
    pub(crate) unsent: u64,
}

impl Second {
    pub(crate) fn add(&mut self, other: Second) {
        self.first += other.first;
        self.again += other.again;
        self.throttled += other.throttled;
        self.lost += other.lost;
        self.unsent += other.unsent;
    }
}

impl Journal {
    /// Counts changes and throttled reads of a run. Other reads leave no event.
    pub(crate) fn activity(&self, run: RunKey) -> Result<Activity, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT at / 1000, kind, row, json_extract(detail, '$.attempt'), json_extract(detail, '$.outcome.is'),
                 json_extract(detail, '$.outcome.status'), json_extract(detail, '$.took_ms')
             FROM event WHERE run = ?1 AND kind IN ('attempt_started', 'attempt_ended', 'read_throttled') ORDER BY lane, seq",
        )?;
        let mut found = statement.query([run.0])?;
        let mut activity = Activity::default();
        let mut departures = Departures::default();
        while let Some(columns) = found.next()? {
            let at = columns.get(0)?;
            let second = activity.seconds.entry(at).or_default();
            match columns.get_ref(1)?.as_str().map_err(rusqlite::Error::from)? {
                "attempt_started" => departures.begin(columns.get(2)?, columns.get(3)?, at),
                "read_throttled" => second.throttled += 1,
                _ => {
                    let outcome = columns.get_ref(4)?.as_str_or_null().map_err(rusqlite::Error::from)?;
                    match outcome {
                        Some("throttled") => second.throttled += 1,
                        Some("lost" | "disclaimed") => second.lost += 1,
                        Some("unsent") => second.unsent += 1,
                        Some(_) | None => (),
                    }
                    let answered = columns.get::<_, Option<u16>>(5)?.is_some() || outcome == Some("throttled");
                    if let (true, Some(took_ms)) = (answered, columns.get(6)?) {
                        *activity.took_ms.entry(took_ms).or_default() += 1;
                    }
                    departures.end(columns.get(2)?, outcome != Some("unsent"), &mut activity);
                }
            }
        }
        departures.end_all(&mut activity);
        Ok(activity)
    }

    /// Returns the run's own events, and those of other lanes about a quota or a stop, in the order of time.
    pub(crate) fn told_by_lanes(&self, run: RunKey) -> Result<Vec<Event>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND (lane = 0 OR kind IN ('quota_learned', 'lane_stopped')) ORDER BY lane, seq",
        )?;
        let mut found = statement.query([run.0])?;
        let mut events: Vec<(Timestamp, Event)> = Vec::new();
        while let Some(columns) = found.next()? {
            let event = event(columns)?;
            // A clock that was set back does not turn a lane's order around.
            let before = events.last().filter(|(_, before)| before.lane == event.lane).map(|(at, _)| *at);
            events.push((before.map_or(event.at, |before| before.max(event.at)), event));
        }
        // Stable: each lane stays in its order.
        events.sort_by_key(|(at, _)| *at);
        Ok(events.into_iter().map(|(_, event)| event).collect())
    }
}

/// Changes that were begun, until their events tell whether they were sent. Its size grows with the changes under way at once, and
/// with the rows of which no change was ever sent.
#[derive(Default)]
struct Departures {
    /// Number of each attempt that has not ended, and the second in which it was begun, by its row.
    begun: BTreeMap<u32, (u32, i64)>,
    /// Number of a row's attempts before the first that was sent.
    unsent: BTreeMap<u32, u32>,
}

impl Departures {
    fn begin(&mut self, row: u32, attempt: u32, second: i64) {
        self.begun.insert(row, (attempt, second));
    }

    fn end(&mut self, row: u32, left: bool, activity: &mut Activity) {
        let Some((attempt, second)) = self.begun.remove(&row) else { return };
        if !left {
            *self.unsent.entry(row).or_default() += 1;
            return;
        }
        let second = activity.seconds.entry(second).or_default();
        if self.unsent.remove(&row).unwrap_or(0) + 1 == attempt {
            second.first += 1;
        } else {
            second.again += 1;
        }
    }

    /// Counts attempts without an end as sent: they may have been.
    fn end_all(mut self, activity: &mut Activity) {
        while let Some((&row, _)) = self.begun.first_key_value() {
            self.end(row, true, activity);
        }
    }
}

/// Counts of a recent period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lately {
    /// Changes that were sent, and whose end is known.
    pub(crate) sent: u64,
    pub(crate) settled: u64,
}

impl Journal {
    /// Counts changes and verdicts of a period, among the last 50,000 events of each lane.
    pub(crate) fn between(&self, run: RunKey, from: Timestamp, to: Timestamp) -> Result<Lately, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT count(*) FILTER (WHERE kind = 'attempt_ended' AND json_extract(detail, '$.outcome.is') <> 'unsent'),
                 count(*) FILTER (WHERE kind = 'row_settled')
             FROM lane JOIN event USING (run, lane)
             WHERE lane.run = ?1 AND event.seq > lane.seq - ?3 AND event.at BETWEEN ?2 AND ?4",
        )?;
        let counts = statement.query_row((run.0, from.as_millisecond(), MOST_RECENT, to.as_millisecond()), |row| {
            Ok(Lately { sent: row.get(0)?, settled: row.get(1)? })
        })?;
        Ok(counts)
    }

    /// Returns the number of a run's events.
    pub(crate) fn n_events(&self, run: RunKey) -> Result<u64, JournalError> {
        Ok(self.heads(run)?.into_iter().map(|(_, seq, _)| seq).sum())
    }

    /// Returns the last events of the run's own lane, in order.
    pub(crate) fn told_lately(&self, run: RunKey, limit: u32) -> Result<Vec<Event>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event WHERE run = ?1 AND lane = 0 ORDER BY seq DESC LIMIT ?2",
        )?;
        let mut found = statement.query((run.0, limit))?;
        let mut events = Vec::new();
        while let Some(columns) = found.next()? {
            events.push(event(columns)?);
        }
        events.reverse();
        Ok(events)
    }
}

impl Activity {
    /// Returns the milliseconds within which this share of the answers came; `None` without answers.
    pub(crate) fn took_within(&self, share: f64) -> Option<u64> {
        let n_answers: u64 = self.took_ms.values().sum();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank"
        )]
        let rank = (n_answers as f64 * share).ceil() as u64;
        let mut n_within = 0;
        self.took_ms.iter().find_map(|(took_ms, n)| {
            n_within += n;
            (n_within >= rank.max(1)).then_some(*took_ms)
        })
    }

    /// Returns the last second up to this time in which something happened.
    pub(crate) fn last_before(&self, at: Timestamp) -> Option<i64> {
        self.seconds.range(..=at.as_second()).next_back().map(|(second, _)| *second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_left_was_not_sent_and_what_left_behind_it_was_sent_first() {
        let mut activity = Activity::default();
        let mut departures = Departures::default();
        // Of row 1 the third attempt is the first to leave; row 2 is sent twice; row 3 never; row 4 was cut off.
        let attempts =
            [(1, 1, false), (1, 2, false), (1, 3, true), (1, 4, true), (2, 1, true), (2, 2, true), (3, 1, false)];
        for (row, attempt, left) in attempts {
            departures.begin(row, attempt, i64::from(10 * row + attempt));
            departures.end(row, left, &mut activity);
        }
        departures.begin(4, 1, 41);
        departures.end_all(&mut activity);
        let counts = activity.seconds.iter().map(|(second, happened)| (*second, happened.first, happened.again));
        assert_eq!(counts.collect::<Vec<_>>(), [(13, 1, 0), (14, 0, 1), (21, 1, 0), (22, 0, 1), (41, 1, 0)]);
    }

    #[test]
    fn so_many_of_the_answers_came_within() {
        let activity = Activity { took_ms: (1..=100).map(|ms| (ms, 1)).collect(), ..Activity::default() };
        let within = [0.0, 0.5, 0.95, 0.99, 1.0].map(|share| activity.took_within(share).unwrap());
        assert_eq!(within, [1, 50, 95, 99, 100]);
        assert_eq!(Activity::default().took_within(0.5), None);
    }
}
