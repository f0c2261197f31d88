//! Condition of a query, put together from parts that each bring their own value, so that no parameter is a dummy.

use rusqlite::types::Value;
use rusqlite::{ParamsFromIter, params_from_iter};

use crate::journal::connection::RunKey;

/// Parts joined by AND, and the values of their parameters. Each query has only a few different texts, so that its statements stay
/// prepared.
pub(in crate::journal) struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Makes the condition that selects one run.
    pub(in crate::journal) fn new(run: RunKey) -> Self {
        Self { sql: "run = ?1".to_owned(), values: vec![run.0.into()] }
    }

    pub(in crate::journal) fn and(mut self, condition: &str) -> Self {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self
    }

    /// Adds a part with one value, which takes the place of each `?`.
    pub(in crate::journal) fn and_with(mut self, condition: &str, value: impl Into<Value>) -> Self {
        let mark = self.value(value);
        self.and(&condition.replace('?', &mark))
    }

    /// Adds a value that is used outside of the condition. Returns its parameter.
    pub(in crate::journal) fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    pub(in crate::journal) fn sql(&self) -> &str {
        &self.sql
    }

    pub(in crate::journal) fn values(&self) -> ParamsFromIter<&Vec<Value>> {
        params_from_iter(&self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_the_mark_of_its_place() {
        let mut conditions =
            Conditions::new(RunKey(7)).and_with("(a = ? OR b = ?)", 5).and("c IS NULL").and_with("d > ?", 6);
        assert_eq!(conditions.value(8), "?4");
        assert_eq!(conditions.sql(), "run = ?1 AND (a = ?2 OR b = ?2) AND c IS NULL AND d > ?3");
        assert_eq!(conditions.values, [7, 5, 6, 8].map(Value::Integer));
    }
}
