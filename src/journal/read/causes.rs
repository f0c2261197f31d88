//! Causes for which rows are not on target.

use std::collections::BTreeMap;

use rusqlite::params;
use serde::Serialize;

use crate::event::verdict::Ground;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::row::{ON_TARGET, ground_at};
use crate::ledger::cause;

/// Group of rows that are not on target for the same cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    pub verdict: String,
    /// Word for it: `retry --only VERDICT:CAUSE` reopens the rows that have it.
    pub cause: String,
    pub error_code: Option<String>,
    pub text: String,
    #[serde(rename = "rows")]
    pub n_rows: u64,
    /// Number of rows with its verdict and word, whatever their texts: a command for the cause takes all of them.
    #[serde(skip)]
    pub n_alike: u64,
    pub example: String,
    #[serde(skip)]
    pub ground: Option<Ground>,
}

impl Journal {
    /// Returns verdict, code and text of rows not on target, most frequent first, for a person to look at.
    pub fn causes(&self, run: RunKey, limit: u32) -> Result<Vec<Cause>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT verdict, error_code, coalesce(reason, error_msg, ''), count(*), min(source_id), ground, http_status
             FROM row
             WHERE run = ?1 AND verdict IS NOT NULL AND NOT {ON_TARGET}
             GROUP BY 1, 2, 3, 6, 7 ORDER BY 4 DESC, 1, 2, 3, 6, 7 LIMIT ?2"
        ))?;
        let causes = statement.query_map(params![run.0, limit], |row| {
            let (error_code, ground) = (row.get::<_, Option<String>>(1)?, ground_at(row, 5)?);
            Ok(Cause {
                n_alike: 0,
                verdict: row.get(0)?,
                cause: cause::word(ground, error_code.as_deref(), row.get(6)?),
                error_code,
                text: row.get(2)?,
                n_rows: row.get(3)?,
                example: row.get(4)?,
                ground,
            })
        })?;
        let mut causes: Vec<Cause> = causes.collect::<Result<_, _>>()?;
        let alike = self.n_alike(run)?;
        for cause in &mut causes {
            let of_word = alike.get(&(cause.verdict.clone(), cause.cause.clone()));
            cause.n_alike = of_word.copied().unwrap_or(cause.n_rows);
        }
        Ok(causes)
    }

    /// Counts rows not on target by verdict and word of their cause.
    fn n_alike(&self, run: RunKey) -> Result<BTreeMap<(String, String), u64>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT verdict, ground, error_code, http_status, count(*) FROM row
             WHERE run = ?1 AND verdict IS NOT NULL AND NOT {ON_TARGET} GROUP BY 1, 2, 3, 4"
        ))?;
        let mut found = statement.query([run.0])?;
        let mut alike = BTreeMap::new();
        while let Some(row) = found.next()? {
            let code = row.get_ref(2)?.as_str_or_null().map_err(rusqlite::Error::from)?;
            let word = cause::word(ground_at(row, 1)?, code, row.get(3)?);
            *alike.entry((row.get(0)?, word)).or_default() += row.get::<_, u64>(4)?;
        }
        Ok(alike)
    }
}
