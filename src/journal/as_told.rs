//! Comparison of a row with its events when a launch first sends or settles it: table `row` decides what is sent, and anybody who
//! can write the file can change it.

use rusqlite::{Connection, params};

use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::tables::event::event;
use crate::event::kind::EventKind;
use crate::event::rules::Rules;
use crate::ledger::standing::Standing;
use crate::model::RowId;

impl Journal {
    /// Compares from here on every row with its events before this connection first sends or settles it. Not needed for a run that
    /// this connection made, which nobody else can have written to.
    pub(crate) fn mind_rows(&mut self) {
        self.minds_rows = true;
    }
}

/// Fails if a standing is not the sum of its row's events.
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
