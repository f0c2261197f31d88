//! Columns of a plan that this program does not know.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;

impl Journal {
    /// Returns the names of a plan's unknown columns, in order of first appearance.
    pub fn extra_columns(&self, run: RunKey) -> Result<Vec<String>, JournalError> {
        let mut statement =
            self.conn.prepare_cached("SELECT row, extra FROM row WHERE run = ?1 AND extra IS NOT NULL ORDER BY row")?;
        let mut found = statement.query([run.0])?;
        // For each name, the first row that has it and the foremost position in any row.
        let mut names = BTreeMap::<String, (u32, usize)>::new();
        while let Some(columns) = found.next()? {
            let pairs = columns.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            let pairs: Vec<Pair<'_>> =
                serde_json::from_str(pairs).map_err(|error| JournalError::Damaged(error.to_string()))?;
            for (place, Pair(name, _)) in pairs.into_iter().enumerate() {
                match names.get_mut(&*name) {
                    Some((_, foremost)) => *foremost = place.min(*foremost),
                    None => _ = names.insert(name.into_owned(), (columns.get(0)?, place)),
                }
            }
        }
        let mut names: Vec<(String, (u32, usize))> = names.into_iter().collect();
        names.sort_by_key(|(_, appears)| *appears);
        Ok(names.into_iter().map(|(name, _)| name).collect())
    }
}

/// Name of an unknown column, and its value, which is skipped.
#[derive(Deserialize)]
struct Pair<'a>(#[serde(borrow)] Cow<'a, str>, IgnoredAny);
