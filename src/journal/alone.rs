//! Copy of one run out of a journal that holds many, as a journal of its own.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::limits::Limit;

use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::{objects, schema};

impl Journal {
    /// Copies one run as of one instant, and nothing of the others: neither their rows nor remains of them in free pages.
    ///
    /// Executes nothing that the journal contains, such as triggers: a stranger may have written it.
    pub fn copy_run_to(&self, run: RunKey, path: &Path) -> Result<(), JournalError> {
        self.copy_to(path)?;
        let mut copy = connect_to_copy(path)?;
        // Checked in the copy, which nobody else can change.
        objects::must_all_be_ours(&copy)?;
        // Entries of a run are removed in any order, before the run. This connection fires no triggers, not even those that keep
        // events from being removed.
        copy.pragma_update(None, "foreign_keys", false)?;
        let transaction = copy.transaction()?;
        for table in tables_with_runs(&transaction)? {
            transaction.execute(&format!("DELETE FROM {table} WHERE run <> ?1"), [run.0])?;
        }
        transaction.execute("UPDATE journal SET excerpt = 1 WHERE n_runs > 1", [])?;
        transaction.commit()?;
        // `VACUUM` attaches the database that it writes to.
        // source: sqlite.org/lang_vacuum.html
        copy.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
        Ok(copy.execute_batch("VACUUM")?)
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
