//! Attempts: each change that was begun, with its end, in plan order or for one row.

use jiff::Timestamp;
use rusqlite::params;

use crate::event::kind::EventKind;
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::event::verdict::Verdict;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::event::event;
use crate::model::RowId;
use crate::model::state::TargetState;

/// Attempt at a row: the target that was sent, the time, and the ending.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub number: u32,
    pub sends: TargetState,
    pub began_at: Timestamp,
    /// `None` while the attempt is on the wire, or if its launch was cut off.
    pub ended: Option<Ended>,
    /// Verdict that followed before the row's next attempt, with its reason.
    pub settled: Option<(Verdict, Option<String>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub at: Timestamp,
    pub outcome: Outcome,
    pub request_id: Option<String>,
    pub took_ms: u64,
    /// Worker on another machine that made the request.
    pub via: Option<String>,
}

/// Row that an attempt was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptedRow {
    pub id: RowId,
    pub source_id: String,
    pub wave: Option<String>,
    pub target: Option<String>,
}

impl Journal {
    /// Returns one row's attempts, in order.
    pub fn attempts_of_row(&self, run: RunKey, row: RowId) -> Result<Vec<Attempt>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND row = ?2 AND kind IN ('attempt_started', 'attempt_ended', 'row_settled') ORDER BY seq",
        )?;
        let mut found = statement.query(params![run.0, row.0])?;
        let mut attempts: Vec<Attempt> = Vec::new();
        while let Some(columns) = found.next()? {
            let event = event(columns)?;
            if let Some(began) = began(&event.kind, event.at) {
                attempts.push(began);
            } else if let Some(attempt) = attempts.last_mut() {
                attempt.goes_on(event.kind, event.at);
            }
        }
        Ok(attempts)
    }

    /// Visits every attempt of a run, one at a time in plan order. Verdicts are not read.
    pub fn for_each_attempt<E: From<JournalError>>(
        &self,
        run: RunKey,
        mut each: impl FnMut(&AttemptedRow, &Attempt) -> Result<(), E>,
    ) -> Result<(), E> {
        // Names the order of the joins and the index: otherwise SQLite sorts every event.
        let mut statement = self
            .conn
            .prepare_cached(
                "SELECT event.lane, event.seq, event.at, event.kind, event.row, event.detail,
                     row.source_id, row.wave, row.target
                 FROM event INDEXED BY event_row CROSS JOIN row ON row.run = event.run AND row.row = event.row
                 WHERE event.run = ?1 AND event.row IS NOT NULL AND event.kind IN ('attempt_started', 'attempt_ended')
                 ORDER BY event.row, event.seq",
            )
            .map_err(JournalError::from)?;
        let mut found = statement.query(params![run.0]).map_err(JournalError::from)?;
        let mut open: Option<(AttemptedRow, Attempt)> = None;
        while let Some(columns) = found.next().map_err(JournalError::from)? {
            let event = event(columns)?;
            if let Some(began) = began(&event.kind, event.at) {
                let next = (attempted_row(columns).map_err(JournalError::from)?, began);
                if let Some((row, attempt)) = open.replace(next) {
                    each(&row, &attempt)?;
                }
            } else if let Some((_, attempt)) = &mut open {
                attempt.goes_on(event.kind, event.at);
            }
        }
        match open {
            Some((row, attempt)) => each(&row, &attempt),
            None => Ok(()),
        }
    }
}

impl Attempt {
    fn goes_on(&mut self, kind: EventKind, at: Timestamp) {
        if let EventKind::Row(_, RowEvent::AttemptEnded { outcome, request_id, took_ms, via, attempt: _ }) = kind {
            self.ended = Some(Ended { at, outcome, request_id, took_ms, via });
        } else if let EventKind::Row(_, RowEvent::Settled { verdict, reason, .. }) = kind {
            self.settled = Some((verdict, reason));
        }
    }
}

fn began(kind: &EventKind, at: Timestamp) -> Option<Attempt> {
    let EventKind::Row(_, RowEvent::AttemptStarted { attempt, sends }) = kind else { return None };
    Some(Attempt { number: *attempt, sends: sends.clone(), began_at: at, ended: None, settled: None })
}

fn attempted_row(columns: &rusqlite::Row<'_>) -> rusqlite::Result<AttemptedRow> {
    Ok(AttemptedRow {
        id: RowId(columns.get(4)?),
        source_id: columns.get(6)?,
        wave: columns.get(7)?,
        target: columns.get(8)?,
    })
}
