//! Table `event`: events as they are stored.

use std::sync::LazyLock;

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, ToSql};

use super::written::must_be;
use crate::event::stored::{Stored, from_stored_form, stored_form};
use crate::event::{Event, LaneId};
use crate::journal::chain::{self, Hash};
use crate::journal::connection::RunKey;
use crate::journal::error::JournalError;

/// Columns of table `event`.
const EVENT_COLUMNS: usize = 9;

/// Where the events of one transaction go.
pub(in crate::journal) struct EventSink<'a> {
    run: RunKey,
    one: CachedStatement<'a>,
    /// Takes [`Self::MANY`]: the second and all others are put behind the one before without a search for their place.
    many: CachedStatement<'a>,
    n_left: usize,
    /// Events that `many` holds and has not written yet.
    n_held: usize,
    /// Written anew for each event.
    text: String,
}

impl<'a> EventSink<'a> {
    const MANY: usize = 16;

    /// Takes so many events, no more and no less.
    pub(in crate::journal) fn new(conn: &'a Connection, run: RunKey, n_events: usize) -> Result<Self, JournalError> {
        static SQL: LazyLock<[String; 2]> = LazyLock::new(|| {
            let marks = |n: usize, of: &str| vec![of; n].join(", ");
            let values = format!("({})", marks(EVENT_COLUMNS, "?"));
            [1, EventSink::MANY].map(|n_events| {
                let rows = marks(n_events, &values);
                format!("INSERT INTO event (run, lane, seq, at, kind, row, detail, prev, hash) VALUES {rows}")
            })
        });
        let [one, many] = &*SQL;
        let (one, many) = (conn.prepare_cached(one)?, conn.prepare_cached(many)?);
        Ok(Self { run, one, many, n_left: n_events, n_held: 0, text: String::new() })
    }

    /// Its hash, which the next one of its lane carries.
    pub(in crate::journal) fn put(&mut self, event: &Event, prev: &Hash) -> Result<Hash, JournalError> {
        let Stored { kind, row, detail } = stored_form(&event.kind, &mut self.text);
        let (lane, seq, at_ms) = (event.lane, event.seq, event.at.as_millisecond());
        let hash = chain::Link { prev, lane, seq, at_ms, kind, row, detail }.hash();
        let is_of_many = self.n_held + self.n_left >= Self::MANY;
        let insert = if is_of_many { &mut self.many } else { &mut self.one };
        let columns: [&dyn ToSql; EVENT_COLUMNS] =
            [&self.run.0, &lane.0, &seq, &at_ms, &kind, &row, &detail, prev, &hash];
        for (at, column) in (self.n_held * EVENT_COLUMNS + 1..).zip(columns) {
            insert.raw_bind_parameter(at, column)?;
        }
        self.n_left -= 1;
        self.n_held += 1;
        if !is_of_many || self.n_held == Self::MANY {
            must_be(std::mem::take(&mut self.n_held), insert.raw_execute()?, "events")?;
        }
        Ok(hash)
    }
}

/// Selected as `lane, seq, at, kind, row, detail`.
pub(in crate::journal) fn event(columns: &rusqlite::Row<'_>) -> Result<Event, JournalError> {
    let (lane, seq): (u32, u64) = (columns.get(0)?, columns.get(1)?);
    let text = |at| columns.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
    let kind = from_stored_form(text(3)?, columns.get(4)?, text(5)?)
        .map_err(|error| JournalError::Damaged(format!("event {seq} of lane {lane}: {error}")))?;
    let at = Timestamp::from_millisecond(columns.get(2)?).map_err(|error| JournalError::Damaged(error.to_string()))?;
    Ok(Event { lane: LaneId(lane), seq, at, kind })
}
