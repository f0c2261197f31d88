//! Table `event`: events as they are stored.

use std::sync::LazyLock;

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, ToSql};

use super::written::must_be;
use crate::event::Event;
use crate::event::lane::LaneId;
use crate::event::stored::from_stored_form;
use crate::journal::connection::RunKey;
use crate::journal::error::JournalError;
use crate::journal::stamped::Stamped;
use crate::journal::stored::StoredEvent;

/// Columns of table `event`.
const EVENT_COLUMNS: usize = 9;

/// Events that one statement writes: SQLite puts the second and all others behind the one before without a search for their
/// place. One by one they cost 2.2 % of the instructions of a change (benches/README.md, "Instructions").
const MANY: usize = 16;

/// Writes stamped events, sixteen by sixteen and the rest one by one. Both statements are prepared once for a connection.
pub(in crate::journal) fn insert(conn: &Connection, run: RunKey, stamped: &Stamped) -> Result<(), JournalError> {
    static SQL: LazyLock<[String; 2]> = LazyLock::new(|| {
        let marks = |n: usize, of: &str| vec![of; n].join(", ");
        let values = format!("({})", marks(EVENT_COLUMNS, "?"));
        [1, MANY].map(|n_events| {
            let rows = marks(n_events, &values);
            format!("INSERT INTO event (run, lane, seq, at, kind, row, detail, prev, hash) VALUES {rows}")
        })
    });
    let mut events = stamped.iter();
    for (sql, n_events) in SQL.iter().zip([1, MANY]).rev() {
        if events.len() < n_events {
            continue;
        }
        let mut statement = conn.prepare_cached(sql)?;
        while events.len() >= n_events {
            for (at, event) in events.by_ref().take(n_events).enumerate() {
                bind(&mut statement, at, run, &event)?;
            }
            must_be(n_events, statement.raw_execute()?, "events")?;
        }
    }
    Ok(())
}

/// Binds the columns of the event at position `at` of its statement.
fn bind(
    statement: &mut CachedStatement<'_>,
    at: usize,
    run: RunKey,
    event: &StoredEvent<'_>,
) -> Result<(), JournalError> {
    let StoredEvent { lane, seq, at_ms, kind, row, detail, prev, hash } = event;
    let columns: [&dyn ToSql; EVENT_COLUMNS] = [&run.0, &lane.0, seq, at_ms, kind, row, detail, prev, hash];
    for (parameter, column) in (at * EVENT_COLUMNS + 1..).zip(columns) {
        statement.raw_bind_parameter(parameter, column)?;
    }
    Ok(())
}

/// Returns an event, selected as `lane, seq, at, kind, row, detail`.
pub(in crate::journal) fn event(columns: &rusqlite::Row<'_>) -> Result<Event, JournalError> {
    let (lane, seq): (u32, u64) = (columns.get(0)?, columns.get(1)?);
    let text = |at| columns.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
    let kind = from_stored_form(text(3)?, columns.get(4)?, text(5)?)
        .map_err(|error| JournalError::Damaged(format!("event {seq} of lane {lane}: {error}")))?;
    let at = Timestamp::from_millisecond(columns.get(2)?).map_err(|error| JournalError::Damaged(error.to_string()))?;
    Ok(Event { lane: LaneId(lane), seq, at, kind })
}
