//! Rows by verdict and by what stands in them, a page at a time.

use rusqlite::{Connection, params};

use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::row;
use crate::ledger::Standing;
use crate::model::Row;

/// What rows are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    /// A verdict, `pending`, `in_doubt`, or [`Search::OFF_TARGET`].
    pub(crate) verdict: Option<String>,
    /// Stands in the id, name, wave, cause, error code or request id.
    pub(crate) text: Option<String>,
}

impl Search {
    /// Every row that is not on target, settled or not.
    pub(crate) const OFF_TARGET: &str = "off";

    /// As SQL, with `?2` the verdict and `?3` the pattern.
    fn condition(&self) -> String {
        let off_target = format!("?2 IS NOT NULL AND NOT {}", row::ON_TARGET);
        let verdict = match self.verdict.as_deref() {
            None => "?2 IS NULL",
            Some(Self::OFF_TARGET) => &off_target,
            Some("in_doubt") => "?2 IS NOT NULL AND verdict IS NULL AND standing IN ('open', 'in_doubt', 'accepted')",
            Some("pending") => "?2 IS NOT NULL AND verdict IS NULL AND standing IN ('untried', 'due')",
            Some(_) => "verdict = ?2",
        };
        let text = if self.text.is_none() {
            "?3 IS NULL"
        } else {
            "(source_id LIKE ?3 ESCAPE '\\' OR name LIKE ?3 ESCAPE '\\' OR wave LIKE ?3 ESCAPE '\\'
              OR reason LIKE ?3 ESCAPE '\\' OR error_msg LIKE ?3 ESCAPE '\\' OR error_code LIKE ?3 ESCAPE '\\'
              OR request_id LIKE ?3 ESCAPE '\\')"
        };
        format!("run = ?1 AND {verdict} AND {text}")
    }

    fn pattern(&self) -> Option<String> {
        self.text.as_deref().map(|text| format!("%{}%", escaped_for_like(text)))
    }
}

impl Journal {
    pub(crate) fn count_found(&self, run: RunKey, search: &Search) -> Result<u64, JournalError> {
        let sql = format!("SELECT count(*) FROM row WHERE {}", search.condition());
        let conn: &Connection = &self.conn;
        conn.prepare_cached(&sql)?
            .query_row(params![run.0, search.verdict, search.pattern()], |row| row.get(0))
            .map_err(JournalError::from)
    }

    /// In plan order.
    pub(crate) fn found(
        &self,
        run: RunKey,
        search: &Search,
        from: u64,
        limit: u32,
    ) -> Result<Vec<(Row, Standing)>, JournalError> {
        let sql = format!(
            "SELECT {}, {} FROM row WHERE {} ORDER BY row LIMIT ?4 OFFSET ?5",
            row::PLAN,
            row::STANDING,
            search.condition()
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let values = params![run.0, search.verdict, search.pattern(), limit, from];
        let found = statement.query_map(values, row::row_and_standing)?;
        found.collect::<Result<_, _>>().map_err(JournalError::from)
    }
}

pub(in crate::journal) fn escaped_for_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::lab::night;

    fn ids(search: &Search) -> Vec<String> {
        let lab = night::night();
        let (journal, run) = lab.open();
        let found = journal.found(run.key, search, 0, 100).unwrap();
        assert_eq!(journal.count_found(run.key, search).unwrap(), u64::try_from(found.len()).unwrap());
        found.into_iter().map(|(row, _)| row.source_id.as_str().to_owned()).collect()
    }

    fn search(verdict: &str, text: &str) -> Search {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Search { verdict: some(verdict), text: some(text) }
    }

    #[test]
    fn rows_are_found_by_verdict_and_by_what_stands_in_them() {
        assert_eq!(ids(&Search::default()).len(), 12);
        assert_eq!(ids(&search("refused", "")), ["vm-refused", "vm-refused-too"]);
        assert_eq!(ids(&search("in_doubt", "")), ["vm-in-doubt"]);
        assert_eq!(ids(&search("pending", "")), ["vm-pending"]);
        assert_eq!(ids(&search(Search::OFF_TARGET, "")).len(), 10);
        assert_eq!(ids(&search("", "WEB-01")), ["vm-applied"]);
        assert_eq!(ids(&search("", "req-8-2")), Vec::<String>::new(), "only a row's last request is its own");
        assert_eq!(ids(&search("", "req-7")), ["vm-refused-too"]);
        assert_eq!(ids(&search("applied", "refused")), Vec::<String>::new());
        assert_eq!(ids(&search("'; DROP TABLE row; --", "")), Vec::<String>::new());
    }

    #[test]
    fn what_a_pattern_would_mean_is_taken_as_it_stands() {
        assert_eq!(ids(&search("", "%")), Vec::<String>::new());
        assert_eq!(ids(&search("", "vm_")), Vec::<String>::new());
        assert_eq!(ids(&search("", "| a | b |")).len(), 1);
    }
}
