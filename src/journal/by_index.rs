//! Indexes held against their tables. The engine asks by them alone, so that what an index does not lead to is never sent, never
//! waited for and never taken, and nothing else would tell.

use super::{Journal, JournalError};

/// Each index that is asked by its name, and what it leads to.
const ASKED: [(&str, &str); 3] = [
    ("row_open", "verdict IS NULL"),
    ("row_moved", "moved_copystate IS NOT NULL OR moved_migrationcycle IS NOT NULL"),
    ("row_source", "TRUE"),
];

impl Journal {
    /// That each index that a launch asks by leads to as many rows as its table has. `NOT INDEXED` means nothing where the
    /// primary key is the table, which therefore is named.
    ///
    /// source: `sqlite.org/lang_indexedby.html`, sqlite.org/withoutrowid.html
    pub(crate) fn check_counts_of_indexes(&self) -> Result<(), JournalError> {
        let counts = ASKED.map(|(_, are)| format!("count(*) FILTER (WHERE {are})")).join(", ");
        let sql = format!("SELECT {counts} FROM row INDEXED BY sqlite_autoindex_row_1");
        let expected: [u64; 3] = self.conn.query_row(&sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
        for ((index, are), expected) in ASKED.into_iter().zip(expected) {
            let sql = format!("SELECT count(*) FROM row INDEXED BY {index} WHERE {are}");
            must_lead_to_all(index, self.conn.query_row(&sql, [], |row| row.get(0))?, expected)?;
        }
        let open = |how: &str| {
            let sql = format!("SELECT count(*) FROM control {how} WHERE taken_at IS NULL");
            self.conn.query_row(&sql, [], |row| row.get(0))
        };
        must_lead_to_all("control_open", open("INDEXED BY control_open")?, open("NOT INDEXED")?)
    }

    /// That its tables and indexes are whole and say the same, entry by entry. Takes as long as reading all of both.
    ///
    /// source: sqlite.org/pragma.html (`integrity_check`)
    pub(crate) fn check_indexes(&self) -> Result<(), JournalError> {
        let found: String = self.conn.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(JournalError::Damaged(found)) }
    }
}

fn must_lead_to_all(index: &str, found: u64, expected: u64) -> Result<(), JournalError> {
    if found == expected {
        return Ok(());
    }
    Err(JournalError::Damaged(format!(
        "the index `{index}` leads to {found} entries of its table, which has {expected}"
    )))
}
