//! Events of a run: those of one row, of its lanes, and of its launches.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::run::RunEvent;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::event::event;
use crate::model::RowId;

impl Journal {
    /// Returns one row's events, in order.
    pub fn events_of_row(&self, run: RunKey, row: RowId) -> Result<Vec<Event>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event WHERE run = ?1 AND row = ?2 ORDER BY seq",
        )?;
        let mut found = statement.query(params![run.0, row.0])?;
        let mut events = Vec::new();
        while let Some(columns) = found.next()? {
            events.push(event(columns)?);
        }
        Ok(events)
    }

    /// Visits every event that is about no row, in the order of time.
    pub fn for_each_event_of_lanes(
        &self,
        run: RunKey,
        mut each: impl FnMut(Timestamp, &EventKind),
    ) -> Result<(), JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event WHERE run = ?1 AND row IS NULL ORDER BY at, lane, seq",
        )?;
        let mut found = statement.query([run.0])?;
        while let Some(columns) = found.next()? {
            let event = event(columns)?;
            each(event.at, &event.kind);
        }
        Ok(())
    }

    /// Returns the event with which the last launch began.
    pub fn last_launch(&self, run: RunKey) -> Result<Option<Event>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = 0 AND kind = 'launch_began' ORDER BY seq DESC LIMIT 1",
        )?;
        let mut found = statement.query([run.0])?;
        found.next()?.map(event).transpose()
    }

    /// Returns the events with which launches and stages began, the last one first.
    pub fn launches_back(&self, run: RunKey) -> Result<Vec<Event>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = 0 AND kind IN ('launch_began', 'stage_began') ORDER BY seq DESC",
        )?;
        let found = statement.query_and_then([run.0], event)?;
        found.collect()
    }

    /// Returns the settings given by hand to the launch that made a run, for runs of which no launch began. Journals of earlier
    /// versions did not record them: where none are recorded, the endpoint is returned if the run has a single account outside the
    /// sandbox.
    pub fn given_at_first(&self, run: RunKey) -> Result<BTreeMap<String, String>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event WHERE run = ?1 AND lane = 0 AND seq = 1",
        )?;
        let first = statement.query_and_then([run.0], event)?.next().transpose()?;
        let Some(EventKind::Run(RunEvent::Started { mut given, .. })) = first.map(|first| first.kind) else {
            return Ok(BTreeMap::new());
        };
        if let (true, [lane]) = (given.is_empty(), &self.lanes(run)?[..])
            && lane.endpoint != "sandbox"
        {
            given.insert("endpoint".to_owned(), lane.endpoint.clone());
        }
        Ok(given)
    }

    /// Returns the time of the newest event.
    pub fn last_event_at(&self, run: RunKey) -> Result<Option<Timestamp>, JournalError> {
        let ms: Option<i64> = self
            .conn
            .prepare_cached("SELECT max(event.at) FROM lane JOIN event USING (run, lane, seq) WHERE lane.run = ?1")?
            .query_row([run.0], |row| row.get(0))?;
        Ok(ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
    }
}
