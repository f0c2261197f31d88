//! Search for rows by verdict and text, a page at a time.

use super::conditions::Conditions;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::row;
use crate::ledger::standing::Standing;
use crate::model::Row;

/// Conditions on the rows to find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    /// A verdict, `pending`, `in_doubt`, or [`Search::OFF_TARGET`].
    pub(crate) verdict: Option<String>,
    /// Text that id, name, wave, cause, error code or request id contains.
    pub(crate) text: Option<String>,
}

impl Search {
    /// Word for rows that are not on target, settled or not.
    pub(crate) const OFF_TARGET: &str = "off";

    fn conditions(&self, run: RunKey) -> Conditions {
        let conditions = Conditions::new(run);
        let conditions = match self.verdict.as_deref() {
            None => conditions,
            Some(Self::OFF_TARGET) => conditions.and(&format!("NOT {}", row::ON_TARGET)),
            Some("in_doubt") => conditions.and("verdict IS NULL AND standing IN ('open', 'in_doubt', 'accepted')"),
            Some("pending") => conditions.and("verdict IS NULL AND standing IN ('untried', 'due')"),
            Some(verdict) => conditions.and_with("verdict = ?", verdict.to_owned()),
        };
        let Some(text) = &self.text else { return conditions };
        let columns = ["source_id", "name", "wave", "reason", "error_msg", "error_code", "request_id"];
        let stands_in = columns.map(|column| format!("{column} LIKE ? ESCAPE '\\'")).join(" OR ");
        conditions.and_with(&format!("({stands_in})"), format!("%{}%", escaped_for_like(text)))
    }
}

impl Journal {
    pub(crate) fn count_found(&self, run: RunKey, search: &Search) -> Result<u64, JournalError> {
        let conditions = search.conditions(run);
        let sql = format!("SELECT count(*) FROM row WHERE {}", conditions.sql());
        self.conn.prepare_cached(&sql)?.query_row(conditions.values(), |row| row.get(0)).map_err(JournalError::from)
    }

    /// Returns the rows found, in plan order.
    pub(crate) fn found(
        &self,
        run: RunKey,
        search: &Search,
        from: u64,
        limit: u32,
    ) -> Result<Vec<(Row, Standing)>, JournalError> {
        let mut conditions = search.conditions(run);
        let (limit, from) = (conditions.value(limit), conditions.value(i64::try_from(from).unwrap_or(i64::MAX)));
        let sql = format!(
            "SELECT {}, {} FROM row WHERE {} ORDER BY row LIMIT {limit} OFFSET {from}",
            row::PLAN,
            row::STANDING,
            conditions.sql()
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let found = statement.query_map(conditions.values(), row::row_and_standing)?;
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
