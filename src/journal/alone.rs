//! One run out of a journal that holds many, as a journal of its own.

use std::path::Path;

use rusqlite::Connection;

use super::{Journal, JournalError, RunKey};

impl Journal {
    /// A copy at one instant that holds this run, and nothing of the others: neither rows nor what is left of them in free pages.
    pub fn copy_run_to(&self, run: RunKey, path: &Path) -> Result<(), JournalError> {
        self.copy_to(path)?;
        let mut copy =
            Connection::open(path).map_err(|source| JournalError::Unopenable { path: path.to_owned(), source })?;
        // What refers to a run goes in any order, before the run.
        copy.pragma_update(None, "foreign_keys", false)?;
        let transaction = copy.transaction()?;
        // They keep events from being removed, and are there again afterwards, to the letter.
        let triggers = texts(&transaction, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?;
        for (name, _) in &triggers {
            transaction.execute_batch(&format!("DROP TRIGGER {}", quoted(name)))?;
        }
        let with_run = "SELECT name, '' FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
             AND EXISTS (SELECT 1 FROM pragma_table_info(sqlite_schema.name) AS found WHERE found.name = 'run')";
        for (table, _) in texts(&transaction, with_run)? {
            transaction.execute(&format!("DELETE FROM {} WHERE run <> ?1", quoted(&table)), [run.0])?;
        }
        transaction.execute("UPDATE journal SET excerpt = 1 WHERE n_runs > 1", [])?;
        for (_, sql) in &triggers {
            transaction.execute_batch(sql)?;
        }
        transaction.commit()?;
        Ok(copy.execute_batch("VACUUM")?)
    }
}

fn texts(conn: &Connection, query: &str) -> Result<Vec<(String, String)>, JournalError> {
    let mut statement = conn.prepare(query)?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.collect::<Result<_, _>>().map_err(JournalError::from)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
