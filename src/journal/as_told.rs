//! Rows held against their events as a later launch takes them in hand: what table `row` says of them decides what is sent, and
//! whoever can write the file can write that.

use rusqlite::{Connection, params};

use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::tables::event::event;
use crate::event::kind::EventKind;
use crate::event::rules::Rules;
use crate::ledger::standing::Standing;
use crate::model::RowId;

impl Journal {
    /// From here on no row that this connection did not take in hand itself is sent or settled before its events were added up
    /// again. Of a run that begins now nobody else can have written anything.
    pub(crate) fn mind_rows(&mut self) {
        self.minds_rows = true;
    }
}

/// The standing is what the events of its row add up to.
pub(super) fn check(
    conn: &Connection,
    run: RunKey,
    rules: Rules,
    row: RowId,
    standing: &Standing,
) -> Result<(), JournalError> {
    let mut statement = conn.prepare_cached(
        "SELECT lane, seq, at, kind, row, detail FROM event INDEXED BY event_row WHERE run = ?1 AND row = ?2 ORDER BY seq",
    )?;
    let mut found = statement.query(params![run.0, row.0])?;
    let mut told = Standing::untouched(rules);
    while let Some(columns) = found.next()? {
        let event = event(columns)?;
        let EventKind::Row(row, what) = event.kind else { continue };
        if let Err(step) = told.add(row, &what, event.at) {
            return Err(JournalError::NotAsTold {
                row,
                columns: format!("{} cannot follow {}", step.event, step.phase),
            });
        }
    }
    match &told.unlike(standing)[..] {
        [] => Ok(()),
        columns => Err(JournalError::NotAsTold { row, columns: columns.join(", ") }),
    }
}
