//! Row that a person means by a text: an id in any case, the beginning of one, or a name.

use rusqlite::params;

use super::search::escaped_for_like;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::ledger::standing::Standing;
use crate::model::Row;

/// Id and name of a row, by which people tell it from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) source_id: String,
    pub(crate) name: Option<String>,
}

/// Rows of a run that a text stands for.
#[derive(Debug)]
pub(crate) enum Meant {
    One(Box<(Row, Standing)>),
    /// Rows that the text fits equally.
    Several(Vec<Named>),
    Nothing {
        /// Similar ids, five at most.
        near: Vec<String>,
    },
}

impl Journal {
    /// Finds the row with this id in any case; or else the only row whose id begins so or that has this name.
    pub(crate) fn meant(&self, run: RunKey, text: &str) -> Result<Meant, JournalError> {
        if let Some(found) = self.row_of_source(run, text)? {
            return Ok(Meant::One(Box::new(found)));
        }
        let mut found = if text.is_empty() { Vec::new() } else { self.named_so(run, text)? };
        // A whole id goes before ids that only begin so.
        let whole = |named: &Named| named.source_id.eq_ignore_ascii_case(text);
        if found.iter().filter(|named| whole(named)).count() == 1 {
            found.retain(whole);
        }
        match &found[..] {
            [] => Ok(Meant::Nothing { near: self.sources_like(run, text)? }),
            [one] => {
                let row = self.row_of_source(run, &one.source_id)?;
                row.map_or_else(|| Ok(Meant::Nothing { near: Vec::new() }), |row| Ok(Meant::One(Box::new(row))))
            }
            _ => Ok(Meant::Several(found)),
        }
    }

    /// Returns up to five source ids that begin with the text, or else contain it, or else begin with its first half.
    pub fn sources_like(&self, run: RunKey, source: &str) -> Result<Vec<String>, JournalError> {
        let whole = escaped_for_like(source);
        let half: String = source.chars().take(source.chars().count().div_ceil(2)).collect();
        let mut statement = self.conn.prepare_cached(
            "SELECT source_id FROM row WHERE run = ?1 AND source_id LIKE ?2 ESCAPE '\\' ORDER BY row LIMIT 5",
        )?;
        for pattern in [format!("{whole}%"), format!("%{whole}%"), escaped_for_like(&half) + "%"] {
            let sources = statement.query_map(params![run.0, pattern], |row| row.get(0))?;
            let sources: Vec<String> = sources.collect::<Result<_, _>>()?;
            if !sources.is_empty() {
                return Ok(sources);
            }
        }
        Ok(Vec::new())
    }

    /// Returns up to 1000 rows whose id begins so or whose name is this, in plan order. ASCII letters are compared without case.
    fn named_so(&self, run: RunKey, text: &str) -> Result<Vec<Named>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT source_id, name FROM row
             WHERE run = ?1 AND (source_id LIKE ?2 ESCAPE '\\' OR name = ?3 COLLATE NOCASE) ORDER BY row LIMIT 1000",
        )?;
        let begins = escaped_for_like(text) + "%";
        let named = statement.query_map(params![run.0, begins, text], |columns| {
            Ok(Named { source_id: columns.get(0)?, name: columns.get(1)? })
        })?;
        named.collect::<Result<_, _>>().map_err(JournalError::from)
    }
}
