//! Copy of one run out of a journal that holds many, as a journal of its own.
//!
//! The run's entries are copied into an empty journal, so that the others are neither read nor written, and the work is that of
//! one run. Nothing that stands in the journal is executed, such as triggers: a stranger may have written it.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::{making, objects, schema};

impl Journal {
    /// Copies one run as of one instant, and nothing of the others.
    pub fn copy_run_to(&self, run: RunKey, path: &Path) -> Result<(), JournalError> {
        self.at_one_instant(|| {
            objects::must_all_be_ours(&self.conn)?;
            let tables = tables_with_runs(&self.conn)?;
            let failed = |source| copy_failed(path, source);
            let mut copy = connect_to_copy(path)?;
            let empty = making::empty()?;
            Backup::new(&empty, &mut copy)?.run_to_completion(1_000, Duration::ZERO, None).map_err(failed)?;
            // Entries of a run are written in any order. Whoever needs the copy on disk syncs it.
            copy.pragma_update(None, "foreign_keys", false).map_err(failed)?;
            copy.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
            copy.pragma_update(None, "ignore_check_constraints", true).map_err(failed)?;
            let transaction = copy.transaction().map_err(failed)?;
            transaction.execute("DELETE FROM journal", []).map_err(failed)?;
            self.copy_entries(&transaction, "journal", "TRUE", &failed)?;
            transaction.execute("UPDATE journal SET excerpt = 1 WHERE n_runs > 1", []).map_err(failed)?;
            for table in tables {
                self.copy_entries(&transaction, &table, &format!("run = {}", run.0), &failed)?;
            }
            transaction.commit().map_err(failed)
        })
    }

    /// Copies entries of a table as they are, in the order in which they are stored.
    fn copy_entries(
        &self,
        copy: &Connection,
        table: &str,
        which: &str,
        failed: &dyn Fn(rusqlite::Error) -> JournalError,
    ) -> Result<(), JournalError> {
        let mut from = self.conn.prepare(&format!("SELECT * FROM {table} WHERE {which}"))?;
        let n_columns = from.column_count();
        let places = vec!["?"; n_columns].join(", ");
        let mut into = copy.prepare(&format!("INSERT INTO {table} VALUES ({places})")).map_err(failed)?;
        let mut found = from.query([])?;
        while let Some(entry) = found.next()? {
            let values = (0..n_columns).map(|at| entry.get_ref(at)).collect::<Result<Vec<ValueRef<'_>>, _>>()?;
            into.execute(params_from_iter(values.into_iter().map(Borrowed))).map_err(failed)?;
        }
        Ok(())
    }
}

/// Returns the error of a copy that could not be written. A value that its table does not take was written by somebody else.
pub(super) fn copy_failed(path: &Path, source: rusqlite::Error) -> JournalError {
    if source.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) {
        return JournalError::Damaged(source.to_string());
    }
    match JournalError::from(source) {
        JournalError::Full(source) | JournalError::FailingDisk(source) | JournalError::Sqlite(source) => {
            JournalError::Copy { path: path.to_owned(), source }
        }
        other => other,
    }
}

/// Value that is bound as it was read.
struct Borrowed<'a>(ValueRef<'a>);

impl rusqlite::ToSql for Borrowed<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(self.0))
    }
}

/// Opens a connection to a copy that is being made. The copy may hold anything that the journal holds.
pub(super) fn connect_to_copy(path: &Path) -> Result<Connection, JournalError> {
    let copy = Connection::open(path).map_err(|source| JournalError::Unopenable { path: path.to_owned(), source })?;
    schema::harden(&copy)?;
    Ok(copy)
}

/// Returns the names of the tables with entries of runs, in a journal whose schema is ours.
fn tables_with_runs(conn: &Connection) -> Result<Vec<String>, JournalError> {
    let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
         AND EXISTS (SELECT 1 FROM pragma_table_info(sqlite_schema.name) AS found WHERE found.name = 'run')";
    let mut statement = conn.prepare(query)?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect::<Result<_, _>>().map_err(JournalError::from)
}
