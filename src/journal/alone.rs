//! Copy of one run out of a journal that holds many, as a journal of its own.
//!
//! The run's entries are copied into an empty journal, so that the others are neither read nor written, and the work is that of
//! one run. Nothing that stands in the journal is executed, such as triggers: a stranger may have written it.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::{objects, schema};

impl Journal {
    /// Copies one run as of one instant, and nothing of the others.
    pub fn copy_run_to(&self, run: RunKey, path: &Path) -> Result<(), JournalError> {
        self.at_one_instant(|| {
            objects::must_all_be_ours(&self.conn)?;
            let mut copy = connect_to_copy(path)?;
            schema::migrate(&mut copy)?;
            // Entries of a run are written in any order. Whoever needs the copy on disk syncs it.
            copy.pragma_update(None, "foreign_keys", false)?;
            copy.pragma_update(None, "synchronous", "OFF")?;
            copy.pragma_update(None, "ignore_check_constraints", true)?;
            let transaction = copy.transaction()?;
            transaction.execute("DELETE FROM journal", [])?;
            self.copy_entries(&transaction, "journal", "TRUE")?;
            transaction.execute("UPDATE journal SET excerpt = 1 WHERE n_runs > 1", [])?;
            for table in tables_with_runs(&self.conn)? {
                self.copy_entries(&transaction, &table, &format!("run = {}", run.0))?;
            }
            Ok(transaction.commit()?)
        })
    }

    /// Copies entries of a table as they are, in the order in which they are stored.
    fn copy_entries(&self, copy: &Connection, table: &str, which: &str) -> Result<(), JournalError> {
        let mut from = self.conn.prepare(&format!("SELECT * FROM {table} WHERE {which}"))?;
        let places = vec!["?"; from.column_count()].join(", ");
        let mut into = copy.prepare(&format!("INSERT INTO {table} VALUES ({places})"))?;
        let n_columns = from.column_count();
        let mut found = from.query([])?;
        while let Some(entry) = found.next()? {
            let values = (0..n_columns).map(|at| entry.get_ref(at)).collect::<Result<Vec<ValueRef<'_>>, _>>()?;
            into.execute(params_from_iter(values.into_iter().map(Borrowed)))?;
        }
        Ok(())
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
