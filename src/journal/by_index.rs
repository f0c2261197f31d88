//! Comparison of indexes with their tables. The engine finds rows by indexes alone: a row that its index leaves out would never be
//! sent or waited for, and a command never taken, without any other sign.

use std::hash::{BuildHasher as _, Hash, RandomState};

use super::connection::{Journal, RunKey};
use super::error::JournalError;

/// Count and checksum of an index's entries, or of those that it should have, whatever their order. The checksum's key is random for
/// each check, so that nobody can choose entries that add up to the same.
#[derive(Default, PartialEq, Eq)]
struct IndexEntries {
    n: u64,
    sum: u64,
}

impl IndexEntries {
    fn add(&mut self, key: &RandomState, entry: impl Hash) {
        self.n += 1;
        self.sum = self.sum.wrapping_add(key.hash_one(entry));
    }
}

/// Entries of the indexes of table `row` that queries name.
#[derive(Default)]
struct OfRows {
    open: IndexEntries,
    moved: IndexEntries,
    source: IndexEntries,
}

const IS_OPEN: &str = "verdict IS NULL";
const IS_MOVED: &str = "(moved_copystate IS NOT NULL OR moved_migrationcycle IS NOT NULL)";
const IS_NOT_TAKEN: &str = "taken_at IS NULL";

impl Journal {
    /// Checks that each index that a launch uses has the entries of this run that its table has, and no others. Tables and indexes are
    /// read as of one instant, because a launch may be settling rows meanwhile.
    pub(crate) fn check_asked_indexes(&self, run: RunKey) -> Result<(), JournalError> {
        self.at_one_instant(|| {
            self.check_indexes_of_rows(run)?;
            self.check_index_of_commands(run)
        })
    }

    /// Compares with the table by its primary key, which is named: `NOT INDEXED` still uses it.
    ///
    /// source: `sqlite.org/lang_indexedby.html`, sqlite.org/withoutrowid.html
    fn check_indexes_of_rows(&self, run: RunKey) -> Result<(), JournalError> {
        let key = RandomState::new();
        let entries = |sql: &str, add: &dyn Fn(&rusqlite::Row<'_>, &mut IndexEntries) -> rusqlite::Result<()>| {
            self.entries(run, sql, add)
        };
        let mut expected = OfRows::default();
        let mut by_key = self.conn.prepare(&format!(
            "SELECT run, row, lane, wave_no, canary, source_id, {IS_OPEN}, {IS_MOVED}
             FROM row INDEXED BY sqlite_autoindex_row_1 WHERE run = ?1"
        ))?;
        let mut found = by_key.query([run.0])?;
        while let Some(columns) = found.next()? {
            let [run, row, lane, wave_no, canary] = numbers(columns)?;
            if columns.get(6)? {
                expected.open.add(&key, [run, row, lane, wave_no, canary]);
            }
            if columns.get(7)? {
                expected.moved.add(&key, [run, row]);
            }
            expected.source.add(&key, (run, row, columns.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?));
        }
        let of_row = |columns: &str, index: &str, are: &str| {
            format!("SELECT run, row{columns} FROM row INDEXED BY {index} WHERE run = ?1 AND {are}")
        };
        let open = entries(&of_row(", lane, wave_no, canary", "row_open", IS_OPEN), &|columns, entries| {
            entries.add(&key, numbers::<5>(columns)?);
            Ok(())
        })?;
        must_be_the_same("row_open", &open, &expected.open)?;
        let moved = entries(&of_row("", "row_moved", IS_MOVED), &|columns, entries| {
            entries.add(&key, numbers::<2>(columns)?);
            Ok(())
        })?;
        must_be_the_same("row_moved", &moved, &expected.moved)?;
        let source = entries(&of_row(", source_id", "row_source", "TRUE"), &|columns, entries| {
            let [run, row] = numbers(columns)?;
            entries.add(&key, (run, row, columns.get_ref(2)?.as_str()?));
            Ok(())
        })?;
        must_be_the_same("row_source", &source, &expected.source)
    }

    fn check_index_of_commands(&self, run: RunKey) -> Result<(), JournalError> {
        let key = RandomState::new();
        let waiting = |how: &str| {
            let sql = format!("SELECT run, control FROM control {how} WHERE run = ?1 AND {IS_NOT_TAKEN}");
            self.entries(run, &sql, &|columns, entries| {
                entries.add(&key, numbers::<2>(columns)?);
                Ok(())
            })
        };
        must_be_the_same("control_open", &waiting("INDEXED BY control_open")?, &waiting("NOT INDEXED")?)
    }

    fn entries(
        &self,
        run: RunKey,
        sql: &str,
        add: &dyn Fn(&rusqlite::Row<'_>, &mut IndexEntries) -> rusqlite::Result<()>,
    ) -> Result<IndexEntries, JournalError> {
        let mut statement = self.conn.prepare(sql)?;
        let mut found = statement.query([run.0])?;
        let mut entries = IndexEntries::default();
        while let Some(columns) = found.next()? {
            add(columns, &mut entries)?;
        }
        Ok(entries)
    }

    /// Checks that tables and indexes are intact and agree, entry by entry. Takes as long as reading all of both.
    ///
    /// source: sqlite.org/pragma.html (`integrity_check`)
    pub(crate) fn check_indexes(&self) -> Result<(), JournalError> {
        let found: String = self.conn.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(JournalError::Damaged(found)) }
    }
}

/// Returns the first `N` columns as numbers.
fn numbers<const N: usize>(columns: &rusqlite::Row<'_>) -> rusqlite::Result<[i64; N]> {
    let mut numbers = [0; N];
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = columns.get(at)?;
    }
    Ok(numbers)
}

fn must_be_the_same(index: &str, found: &IndexEntries, expected: &IndexEntries) -> Result<(), JournalError> {
    if found == expected {
        return Ok(());
    }
    let differ = if found.n == expected.n { ", and not the same ones" } else { "" };
    Err(JournalError::Damaged(format!(
        "the index `{index}` leads to {} entries of its table, which has {}{differ}",
        found.n, expected.n
    )))
}
