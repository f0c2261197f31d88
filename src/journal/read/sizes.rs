//! Sizes of runs in the file.
//!
//! SQLite tells the size of a table, and not of a part of one. Entries of a run lie beside each other, so that its share of the pages
//! in use is that of its values, with what each entry costs besides.

use std::collections::BTreeMap;

use crate::journal::connection::Journal;
use crate::journal::error::JournalError;

/// Bytes of an event besides its texts: two hashes, numbers, and its entry in the index by rows.
const OF_EVENT: u64 = 100;
/// Bytes of a row besides its texts: numbers, and its entries in the indexes.
const OF_ROW: u64 = 90;

/// Size of a run in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunSize {
    pub n_events: u64,
    /// Estimate, in bytes of the file.
    pub bytes: u64,
}

impl Journal {
    /// Returns the size of each run, by its number. Reads the whole journal.
    pub fn sizes(&self) -> Result<BTreeMap<i64, RunSize>, JournalError> {
        let mut weights: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        // Of each: the run, its events, its entries, and the bytes of their texts.
        let queries = [
            ("SELECT run, count(*), count(*), sum(octet_length(detail) + octet_length(kind)) FROM event GROUP BY run", OF_EVENT),
            (
                "SELECT run, 0, count(*), sum(octet_length(source_id) * 2 + coalesce(octet_length(name), 0)
                     + coalesce(octet_length(note), 0) + coalesce(octet_length(extra), 0) + coalesce(octet_length(file), 0)
                     + coalesce(octet_length(reason), 0) + coalesce(octet_length(error_msg), 0)
                     + coalesce(octet_length(request_id), 0) + coalesce(octet_length(before_copystate), 0) * 4)
                 FROM row GROUP BY run",
                OF_ROW,
            ),
            ("SELECT run, 0, 1, octet_length(settings) FROM run", 0),
        ];
        for (sql, each) in queries {
            let mut statement = self.conn.prepare(sql)?;
            let mut found = statement.query([])?;
            while let Some(row) = found.next()? {
                let (n_events, weight) = weights.entry(row.get(0)?).or_default();
                *n_events += row.get::<_, u64>(1)?;
                *weight += row.get::<_, u64>(2)? * each + row.get::<_, u64>(3)?;
            }
        }
        let size = self.file_size()?;
        let all: u64 = weights.values().map(|(_, weight)| weight).sum();
        let used = size.bytes.saturating_sub(size.free + self.size_of_empty()?);
        let share = |weight: u64| u64::try_from(u128::from(used) * u128::from(weight) / u128::from(all.max(1)));
        let sizes = weights
            .into_iter()
            .map(|(run, (n_events, weight))| (run, RunSize { n_events, bytes: share(weight).unwrap_or(u64::MAX) }));
        Ok(sizes.collect())
    }

    /// Returns the size of a journal without runs: a page for each table and each index, and the schema.
    fn size_of_empty(&self) -> Result<u64, JournalError> {
        let page: u64 = self.conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let (n_roots, schema): (u64, u64) = self.conn.query_row(
            "SELECT count(*) FILTER (WHERE rootpage > 0), coalesce(sum(octet_length(sql)), 0) FROM sqlite_schema",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok((n_roots + 1) * page + schema.next_multiple_of(page))
    }
}
