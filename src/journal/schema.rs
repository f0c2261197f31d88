//! Version and mark of a journal's schema, and the settings of every connection.

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

use super::error::JournalError;
use super::migrations::{MIGRATIONS, newest};

/// `cutv`: tells `file(1)` and us that an SQLite file is a journal of ours.
const APPLICATION_ID: i32 = 0x6375_7476;

/// Size in bytes to which the log is cut when it restarts, which it does once it holds 4 MB and nobody reads in it.
///
/// source: `sqlite.org/pragma.html#pragma_journal_size_limit`
const LOG_KEPT: i64 = 8 << 20;

/// Applies the settings of a connection that writes. They belong to the connection, and so never to a migration.
pub(super) fn tune(conn: &Connection) -> rusqlite::Result<()> {
    // Another launch may be writing its own run into the same file; its transactions are short.
    conn.busy_timeout(std::time::Duration::from_secs(30))?;
    keep_log(conn)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    // A log that grew because of a reader is cut again.
    conn.pragma_update(None, "journal_size_limit", LOG_KEPT)?;
    conn.pragma_update(None, "foreign_keys", "ON")?;
    conn.pragma_update(None, "temp_store", "FILE")?;
    // The checks are for other programs: our values are of types that hold nothing else. A list of words, as in
    // `standing IN (…)`, costs a temporary table with each update.
    conn.pragma_update(None, "ignore_check_constraints", "ON")?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Gives the file a log. One that has none yet, such as a copy, is switched by one write to its first sector, of which nothing is kept
/// beside it: the rollback journal of a process that was killed there could not be told from one that somebody else wrote.
///
/// source: sqlite.org/fileformat2.html (section 1.3.3), `sqlite.org/pragma.html#pragma_journal_mode`
fn keep_log(conn: &Connection) -> rusqlite::Result<()> {
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        conn.pragma_update(None, "journal_mode", "MEMORY")?;
    }
    conn.pragma_update(None, "journal_mode", "WAL")
}

/// Longest value, in bytes, that is read or written: more than any of ours, and little enough to be held a few times over.
const LONGEST_VALUE: i32 = 16 << 20;

/// Hardens a connection before anything is read: the file may come from a stranger.
///
/// source: sqlite.org/security.html (untrusted database files)
pub(super) fn harden(conn: &Connection) -> rusqlite::Result<()> {
    for (config, on) in [
        // A statement is planned once, and not again whenever values are bound that a partial index might serve.
        // source: sqlite.org/queryplanner-ng.html (the query planner stability guarantee)
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        // Our triggers keep other programs from changing events. Our queries need neither triggers nor views, so none that somebody
        // added can take part in them.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        conn.set_db_config(config, on)?;
    }
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 10),
        (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    ] {
        conn.set_limit(limit, most)?;
    }
    conn.pragma_update(None, "cell_size_check", "ON")
}

/// Refuses a file that is not a journal, or is one from a newer version, before anything is written to it.
pub(super) fn recognise(conn: &Connection) -> Result<(), JournalError> {
    // In this order: a process that makes the journal at this moment marks it first, and then makes tables and version.
    let n_tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if n_tables > 0 && application != APPLICATION_ID {
        return Err(JournalError::NotAJournal);
    }
    let version = version(conn)?;
    if n_tables > 0 && version < 1 {
        return Err(JournalError::Damaged(format!("it has tables, and says that it is of version {version}")));
    }
    if version > newest() {
        return Err(JournalError::Newer { version, known: newest() });
    }
    Ok(())
}

/// Returns its version, if it has tables and that version is older than ours.
pub(super) fn older(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    let version = version(conn)?;
    Ok((version > 0 && version < newest()).then_some(version))
}

/// Tells whether it is of the newest version.
pub(super) fn is_of_newest(conn: &Connection) -> rusqlite::Result<bool> {
    Ok(version(conn)? == newest())
}

pub(super) fn migrate(conn: &mut Connection) -> Result<(), JournalError> {
    let before = version(conn)?;
    if before == newest() {
        return Ok(());
    }
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    let Err(error) = MIGRATIONS.to_latest(conn) else { return Ok(()) };
    // Another launch may have done it between our look at the version and our turn.
    if version(conn)? == newest() {
        return Ok(());
    }
    Err(match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => match JournalError::from(err) {
            JournalError::Damaged(found) => {
                JournalError::Damaged(format!("it says that it is of version {before}, and is not ({found})"))
            }
            other => other,
        },
        other => JournalError::Migration(other.to_string()),
    })
}

pub(super) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}
