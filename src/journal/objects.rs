//! Comparison of a journal's schema, object by object, with the one that our migrations make for its version.
//!
//! Texts are compared to the letter. SQLite keeps a statement as it was written, and what `ALTER TABLE` makes of it depends on
//! that text alone, so that a journal that was brought up to date has the same texts as one that is new. Anything less, such
//! as blanks that do not count, would let a comment swallow the line behind it.
//!
//! source: sqlite.org/schematab.html, sqlite.org/security.html (untrusted database files)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use rusqlite::Connection;

use super::altered::{Additions, Difference, Object, SchemaAltered};
use super::connection::Journal;
use super::error::JournalError;
use super::migrations::{STEPS, newest};
use super::schema::version;

#[derive(Debug, PartialEq, Eq)]
struct Made {
    table: String,
    sql: Option<String>,
}

type Objects = BTreeMap<Object, Made>;

static OF_NEWEST: LazyLock<rusqlite::Result<Objects>> = LazyLock::new(|| made_by(&STEPS));

/// Returns the objects that these migrations make.
fn made_by(steps: &[&str]) -> rusqlite::Result<Objects> {
    let conn = Connection::open_in_memory()?;
    steps.iter().try_for_each(|step| conn.execute_batch(step))?;
    found(&conn).map(|(objects, _)| objects)
}

/// Returns the objects that are there, and those that occur twice or share the root page of another.
fn found(conn: &Connection) -> rusqlite::Result<(Objects, Vec<Object>)> {
    let mut statement = conn.prepare("SELECT type, name, tbl_name, sql, rootpage FROM sqlite_schema ORDER BY rowid")?;
    let mut rows = statement.query([])?;
    let (mut objects, mut doubled, mut places) = (Objects::new(), Vec::new(), BTreeSet::new());
    while let Some(row) = rows.next()? {
        let object = Object { kind: row.get(0)?, name: row.get(1)? };
        let made = Made { table: row.get(2)?, sql: row.get(3)? };
        let place: i64 = row.get::<_, Option<i64>>(4)?.unwrap_or(0);
        // Views and triggers have no root page.
        let is_alone = place == 0 || places.insert(place);
        let is_first = objects.insert(object.clone(), made).is_none();
        if !(is_alone && is_first) {
            doubled.push(object);
        }
    }
    Ok((objects, doubled))
}

/// Returns every object that is not as its version makes it: tables first, then missing, changed and added ones.
pub(super) fn differences(conn: &Connection) -> Result<Vec<Difference>, JournalError> {
    // Read at one instant: another launch may be bringing it up to date.
    let snapshot = conn.is_autocommit().then(|| conn.unchecked_transaction()).transpose()?;
    let version = version(conn)?;
    let (found, doubled) = found(conn)?;
    drop(snapshot);
    if version == 0 && found.is_empty() {
        return Ok(Vec::new());
    }
    let n_steps = usize::try_from(version).unwrap_or(0).min(STEPS.len());
    let made;
    let expected = match &*OF_NEWEST {
        Ok(of_newest) if version == newest() => of_newest,
        Ok(_) | Err(_) => {
            made = made_by(&STEPS[..n_steps])?;
            &made
        }
    };
    let missing = expected.keys().filter(|object| !found.contains_key(object)).cloned().map(Difference::Missing);
    let differs = |object: &&Object| expected.get(object).is_some_and(|made| found.get(object) != Some(made));
    let changed = found.keys().filter(differs).cloned().chain(doubled).map(Difference::Changed);
    let added = found.keys().filter(|object| !expected.contains_key(object)).cloned().map(Difference::Added);
    let mut all: Vec<Difference> = missing.chain(changed).chain(added).collect();
    all.sort_by_key(|difference| !difference.is_of_our_tables());
    Ok(all)
}

fn refuse(conn: &Connection, differences: &[Difference]) -> Result<(), JournalError> {
    let version = version(conn)?;
    if let Some(additions) = Additions::from_differences(conn.path(), differences) {
        return Err(JournalError::Added(additions));
    }
    match differences {
        [] => Ok(()),
        // In the words of SQLite, which would not find it.
        [missing @ Difference::Missing(object), ..] if version == newest() && object.is_table() => {
            Err(JournalError::Damaged(missing.to_string()))
        }
        [first, rest @ ..] => {
            let path = conn.path().unwrap_or_default().into();
            Err(JournalError::Schema(SchemaAltered { path, version, first: first.clone(), rest: rest.to_vec() }))
        }
    }
}

/// Returns a number that changes with every change of the schema.
///
/// source: `sqlite.org/pragma.html#pragma_schema_version`
pub(super) fn version_in_use(conn: &Connection) -> Result<i64, JournalError> {
    let mut statement = conn.prepare_cached("PRAGMA schema_version")?;
    statement.query_row([], |row| row.get(0)).map_err(JournalError::from)
}

/// Refuses to write to a journal whose schema has any other object than its version makes.
pub(super) fn must_all_be_ours(conn: &Connection) -> Result<(), JournalError> {
    refuse(conn, &differences(conn)?)
}

/// Refuses to read a journal whose tables are not those of its version.
pub(super) fn tables_must_be_ours(conn: &Connection) -> Result<(), JournalError> {
    let mut differences = differences(conn)?;
    differences.retain(Difference::is_of_our_tables);
    refuse(conn, &differences)
}

impl Journal {
    /// Returns all differences of its schema from the one that its version makes.
    pub fn foreign_objects(&self) -> Result<Vec<Difference>, JournalError> {
        differences(&self.conn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_version(n_steps: usize) -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        STEPS[..n_steps].iter().for_each(|step| conn.execute_batch(step).unwrap());
        conn.pragma_update(None, "user_version", i64::try_from(n_steps).unwrap()).unwrap();
        conn
    }

    #[test]
    fn a_journal_of_any_version_is_what_its_version_makes_and_no_other() {
        for version in 1..=STEPS.len() {
            let conn = of_version(version);
            assert_eq!(differences(&conn).unwrap(), []);
            for other in (1..=STEPS.len()).filter(|other| *other != version) {
                // What the two differ in may be no object at all.
                if made_by(&STEPS[..version]).unwrap() == made_by(&STEPS[..other]).unwrap() {
                    continue;
                }
                conn.pragma_update(None, "user_version", i64::try_from(other).unwrap()).unwrap();
                assert!(!differences(&conn).unwrap().is_empty(), "{version} for {other}");
            }
        }
    }

    #[test]
    fn whatever_is_there_besides_or_instead_is_named() {
        let object = |kind: &str, name: &str| Object { kind: kind.to_owned(), name: name.to_owned() };
        let guard = || object("trigger", "event_is_never_changed");
        let cases = [
            ("CREATE TABLE z (a)", vec![Difference::Added(object("table", "z"))]),
            ("CREATE VIEW z AS SELECT 1", vec![Difference::Added(object("view", "z"))]),
            ("CREATE INDEX z ON row (note)", vec![Difference::Added(object("index", "z"))]),
            (
                "CREATE TRIGGER z BEFORE INSERT ON event BEGIN SELECT raise(IGNORE); END",
                vec![Difference::Added(object("trigger", "z"))],
            ),
            ("ANALYZE", ["sqlite_stat1", "sqlite_stat4"].map(|name| Difference::Added(object("table", name))).to_vec()),
            ("DROP VIEW v_row", vec![Difference::Missing(object("view", "v_row"))]),
            ("DROP INDEX row_moved", vec![Difference::Missing(object("index", "row_moved"))]),
            (
                "DROP VIEW v_row; CREATE VIEW v_row AS SELECT 'applied' AS verdict",
                vec![Difference::Changed(object("view", "v_row"))],
            ),
            (
                "DROP TRIGGER event_is_never_changed; CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event WHEN 0
                 BEGIN SELECT RAISE(ABORT, 'the journal is append-only: an event is never changed'); END",
                vec![Difference::Changed(guard())],
            ),
            ("ALTER TABLE row ADD COLUMN z INT", vec![Difference::Changed(object("table", "row"))]),
            (
                "PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET sql = replace(sql, 'never changed', 'often changed') WHERE name LIKE 'event%'",
                vec![Difference::Changed(guard())],
            ),
        ];
        for (sql, expected) in cases {
            let conn = of_version(STEPS.len());
            conn.execute_batch(sql).unwrap();
            assert_eq!(differences(&conn).unwrap(), expected, "{sql}");
        }
    }

    #[test]
    fn two_objects_have_no_place_together() {
        let conn = of_version(STEPS.len());
        conn.execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'row_moved')
             WHERE name = 'row_open'",
        )
        .unwrap();
        assert!(matches!(differences(&conn).unwrap()[..], [Difference::Changed(_)]));
    }
}
