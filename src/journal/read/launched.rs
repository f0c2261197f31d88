//! Runs by the time of their last launch, with the facts that decide which is meant when none is named.

use rusqlite::OptionalExtension as _;

use super::runs::{RUN, RunRecord, run_record};
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;

/// Run with its progress.
#[derive(Clone, Debug)]
pub(crate) struct Launched {
    pub(crate) run: RunRecord,
    /// True if rows are without a verdict.
    pub(crate) is_open: bool,
    /// True if its last launch was refused and the run never began: no row has a verdict, and no stage began.
    pub(crate) is_refused: bool,
}

/// Returns the query for runs with their progress.
fn select() -> String {
    format!(
        "SELECT {RUN},
             EXISTS (SELECT 1 FROM row WHERE row.run = run.run AND verdict IS NULL) AS is_open,
             coalesce(exit_code, 0) = 3
                 AND NOT EXISTS (SELECT 1 FROM event WHERE event.run = run.run AND lane = 0 AND kind = 'stage_began')
                 AND n_rows = (SELECT count(*) FROM row WHERE row.run = run.run AND verdict IS NULL) AS is_refused
         FROM run"
    )
}

fn launched(columns: &rusqlite::Row<'_>) -> rusqlite::Result<Launched> {
    Ok(Launched { run: run_record(columns)?, is_open: columns.get("is_open")?, is_refused: columns.get("is_refused")? })
}

impl Journal {
    /// Returns all runs, the last launched first; a run that was never launched stands at the time at which it was made.
    pub(crate) fn launched(&self) -> Result<Vec<Launched>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "{}
             ORDER BY coalesce((SELECT max(at) FROM event
                                WHERE event.run = run.run AND lane = 0 AND kind = 'launch_began'), created_at) DESC,
                 run DESC",
            select()
        ))?;
        let runs = statement.query_map([], launched)?;
        runs.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Returns one run; `None` if it is not in the journal.
    pub(crate) fn launched_one(&self, run: RunKey) -> Result<Option<Launched>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!("{} WHERE run.run = ?1", select()))?;
        Ok(statement.query_row([run.number()], launched).optional()?)
    }

    /// Returns runs that were cut off between their last verdict and the record of their end.
    pub(crate) fn cut_off_complete(&self) -> Result<Vec<RunRecord>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {RUN} FROM run WHERE running = 1
                 AND NOT EXISTS (SELECT 1 FROM row WHERE row.run = run.run AND verdict IS NULL)"
        ))?;
        let runs = statement.query_map([], run_record)?;
        runs.collect::<Result<_, _>>().map_err(JournalError::from)
    }
}
