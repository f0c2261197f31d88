//! The journal through its public views.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::PATIENCE;
use super::served::Truth;

/// Journal, read through its public views.
pub(crate) struct Journal {
    conn: Connection,
}

/// Row of `v_row`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) source_id: String,
    pub(crate) copystate: Option<String>,
    pub(crate) migrationcycle: Option<String>,
    pub(crate) verdict: String,
    pub(crate) reason: String,
    pub(crate) attempts: u32,
}

impl Row {
    pub(crate) fn is_settled(&self) -> bool {
        self.verdict != "pending" && self.verdict != "in_doubt"
    }

    pub(crate) fn is_on_target(&self, truth: &Truth) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        same(&self.copystate, &truth.copystate) && same(&self.migrationcycle, &truth.migrationcycle)
    }
}

impl Journal {
    /// Opens the journal for reading only, so that the files of a killed process stay as they are.
    pub(crate) fn open(path: &Path) -> Self {
        let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        conn.busy_timeout(PATIENCE).unwrap();
        Self { conn }
    }

    /// Returns the rows of the latest run, in plan order.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut statement = self
            .conn
            .prepare(
                "SELECT source_id, copystate, migrationcycle, verdict, coalesce(reason, ''), attempts FROM v_row
                 WHERE run = (SELECT id FROM run ORDER BY run DESC LIMIT 1) ORDER BY row",
            )
            .unwrap();
        let rows = statement.query_map([], |row| {
            Ok(Row {
                source_id: row.get(0)?,
                copystate: row.get(1)?,
                migrationcycle: row.get(2)?,
                verdict: row.get(3)?,
                reason: row.get(4)?,
                attempts: row.get(5)?,
            })
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    pub(crate) fn row(&self, id: &str) -> Row {
        self.rows().into_iter().find(|row| row.source_id == id).unwrap()
    }

    #[track_caller]
    pub(crate) fn ends_in(&self, id: &str, verdict: &str) -> Row {
        let row = self.row(id);
        assert_eq!(row.verdict, verdict, "{id}: {}", row.reason);
        row
    }

    /// Counts the rows of each verdict.
    pub(crate) fn tally(&self) -> HashMap<String, usize> {
        let mut tally = HashMap::new();
        for row in self.rows() {
            *tally.entry(row.verdict).or_default() += 1;
        }
        tally
    }

    pub(crate) fn count(&self, sql: &str) -> usize {
        self.conn.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn text(&self, sql: &str) -> String {
        self.conn.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Returns one value as text, whatever its type.
    pub(crate) fn value(&self, sql: &str) -> String {
        shown(self.conn.query_row(sql, [], |row| row.get(0)).unwrap())
    }

    /// Returns every value of every line as text, whatever its type.
    pub(crate) fn table(&self, sql: &str) -> Vec<Vec<String>> {
        let mut statement = self.conn.prepare(sql).unwrap();
        let n_columns = statement.column_count();
        let lines = statement.query_map([], |row| (0..n_columns).map(|i| Ok(shown(row.get(i)?))).collect());
        lines.unwrap().map(Result::unwrap).collect()
    }

    pub(crate) fn n_events(&self, kind: &str) -> usize {
        self.count(&format!("SELECT count(*) FROM event WHERE kind = '{kind}'"))
    }

    /// Counts the attempts of the latest run that may have left, by source: each that began and did not end as unsent.
    pub(super) fn sent(&self) -> HashMap<String, usize> {
        let mut statement = self
            .conn
            .prepare(
                "SELECT source_id, count(*) FROM v_attempt WHERE outcome IS NOT 'unsent'
                 AND run = (SELECT id FROM run ORDER BY run DESC LIMIT 1) GROUP BY 1",
            )
            .unwrap();
        let sent = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        sent.unwrap().map(Result::unwrap).collect()
    }
}

fn shown(value: rusqlite::types::Value) -> String {
    match value {
        rusqlite::types::Value::Null => "null".to_owned(),
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Real(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Blob(bytes) => format!("{bytes:?}"),
    }
}

/// Locks a journal for writing for this long, from now on.
pub(crate) fn hold_up(journal: &Path, takes: Duration) {
    let (sender, held) = channel();
    let journal = journal.to_owned();
    std::thread::spawn(move || {
        let conn = Connection::open(journal).unwrap();
        conn.busy_timeout(Duration::from_secs(10)).unwrap();
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        sender.send(()).unwrap();
        std::thread::sleep(takes);
    });
    held.recv().unwrap();
}
