//! Taking a run out of the journal: its tombstone, then its entries, then the space that they took.
//!
//! The tombstone is one short transaction, and from there on the run is gone. What is left of it goes in many more, so that
//! launches of other runs wait for none of them; a process that is killed meanwhile leaves the rest to the next one.

use std::collections::BTreeSet;

use rusqlite::limits::Limit;
use rusqlite::{Transaction, TransactionBehavior, params};

use super::chain::hex;
use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::succession::{LEFT_BEHIND, runs_with_entries};
use super::tombstone::Tombstone;
use super::tombstones;

/// Entries that are removed in one transaction: some tens of milliseconds.
const AT_ONCE: u32 = 2_000;
/// Pages that are given back in one transaction.
const PAGES_AT_ONCE: u32 = 2_000;
/// Value of the pragma `auto_vacuum` for a file whose free pages can be given back a few at a time.
///
/// source: `sqlite.org/pragma.html#pragma_auto_vacuum`
const INCREMENTAL: i64 = 2;

/// Size of a journal's file, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileSize {
    pub bytes: u64,
    /// Part of it that holds nothing.
    pub free: u64,
}

impl Journal {
    /// Takes a run out, if it still ends where its tombstone says: adds the tombstone, and removes the run's record.
    ///
    /// Its rows and events are left behind for [`Journal::clear_some_left`].
    pub(crate) fn bury(&mut self, run: RunKey, tombstone: &Tombstone) -> Result<(), JournalError> {
        // Foreign keys point from what is left behind to the record. Our connection fires no triggers.
        self.conn.pragma_update(None, "foreign_keys", "OFF")?;
        let identity = self.identity()?;
        let transaction = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)?;
        let heads = self.heads(run)?.into_iter().map(|(lane, seq, hash)| (lane, seq, hex(&hash)));
        let id = self.run(run)?.id;
        if id != tombstone.run.id || !heads.eq(tombstone.run.heads.iter().cloned()) {
            return Err(JournalError::NotOurs);
        }
        tombstones::add(&transaction, &identity.id, tombstone)?;
        for table in ["control", "lane", "notice", "run"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run.0])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Returns the numbers of runs that have a tombstone and of which something is left behind.
    pub fn left_of_pruned_runs(&self) -> Result<BTreeSet<i64>, JournalError> {
        let mut left = BTreeSet::new();
        for table in LEFT_BEHIND {
            left.extend(runs_with_entries(&self.conn, table, "run IN (SELECT run FROM tombstone)")?);
        }
        Ok(left)
    }

    /// Removes some of what is left of a run that has a tombstone. Returns false once nothing is left.
    pub(crate) fn clear_some_left(&mut self, number: i64) -> Result<bool, JournalError> {
        for (table, keys) in LEFT_BEHIND.into_iter().zip(["lane, seq", "row"]) {
            let n_removed = self.conn.execute(
                &format!(
                    "DELETE FROM {table} WHERE run = ?1 AND run IN (SELECT run FROM tombstone)
                         AND ({keys}) IN (SELECT {keys} FROM {table} WHERE run = ?1 ORDER BY {keys} LIMIT ?2)"
                ),
                params![number, AT_ONCE],
            )?;
            if n_removed > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn file_size(&self) -> Result<FileSize, JournalError> {
        let number = |pragma| self.conn.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0));
        let (page, n_pages, n_free) = (number("page_size")?, number("page_count")?, number("freelist_count")?);
        Ok(FileSize { bytes: page * n_pages, free: page * n_free })
    }

    /// Tells whether free pages can be given back a few at a time. A journal is made without that, because it costs every launch a
    /// little; [`Journal::pack`] changes it.
    pub(crate) fn gives_back_in_steps(&self) -> Result<bool, JournalError> {
        let mode: i64 = self.conn.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
        Ok(mode == INCREMENTAL)
    }

    /// Gives some free pages back. Returns false once there are none.
    ///
    /// source: `sqlite.org/pragma.html#pragma_incremental_vacuum`
    pub(crate) fn give_some_back(&mut self) -> Result<bool, JournalError> {
        let before = self.file_size()?.free;
        let mut statement = self.conn.prepare(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})"))?;
        let mut steps = statement.query([])?;
        while steps.next()?.is_some() {}
        drop(steps);
        drop(statement);
        let after = self.file_size()?.free;
        Ok(after > 0 && after < before)
    }

    /// Writes the whole journal anew, without free pages, and so that from then on they can be given back a few at a time. Nobody else
    /// can write meanwhile, and it takes as much room on the disk again as the journal needs.
    ///
    /// source: `sqlite.org/lang_vacuum.html`
    pub(crate) fn pack(&mut self) -> Result<(), JournalError> {
        self.conn.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
        // `VACUUM` attaches the database that it writes to.
        let most = self.conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
        let packed = self.conn.execute_batch("VACUUM");
        self.conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, most)?;
        Ok(packed?)
    }

    /// Writes the log back into the file and cuts both to what they need. Returns false if readers hold some of it: then the file
    /// gets shorter once they let go.
    pub(crate) fn write_back_and_cut(&self) -> Result<bool, JournalError> {
        let busy: i64 = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }
}
