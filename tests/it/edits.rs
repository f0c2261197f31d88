//! Seeded edits of a journal: of any cell, any object of its schema, any spelling of its JSON, and any run. `audit verify`
//! finds each, or the next launch refuses it.

use std::fs;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::chained::{rechain, remove, renumber, tamper};
use crate::dice::Dice;
use crate::lab::home::Lab;
use crate::lab::launch::Ended;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::Served;

/// Tables of a journal, with the columns that identify a row. The time at which a command was given is stored only once, so
/// that an edit of it cannot be found.
const CELLS: [(&str, &str); 6] = [
    ("journal", "journal"),
    ("run", "run"),
    ("lane", "run, lane"),
    ("row", "run, row"),
    ("event", "run, lane, seq"),
    ("control", "control"),
];

pub(super) fn below(dice: &mut Dice, n: usize) -> usize {
    usize::try_from(dice.between(0, n as u64 - 1)).unwrap()
}

/// Changes one cell of the journal, and says how. `None` if this one cannot be changed.
fn cell(journal: &Connection, dice: &mut Dice) -> Option<String> {
    let (table, key) = CELLS[below(dice, CELLS.len())];
    let columns: Vec<(String, String)> = {
        let mut found = journal.prepare("SELECT name, type FROM pragma_table_info(?1)").unwrap();
        found.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let (column, of_type) = &columns[below(dice, columns.len())];
    if table == "control" && column == "at" {
        return None;
    }
    let n_rows: usize = journal.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    let nth = below(dice, n_rows.max(1));
    let asked = format!("SELECT {column}, {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {nth}");
    let keys: Vec<&str> = key.split(", ").collect();
    let (value, at): (Value, Vec<i64>) = journal
        .query_row(&asked, [], |row| Ok((row.get(0)?, (1..=keys.len()).map(|i| row.get(i)).collect::<Result<_, _>>()?)))
        .ok()?;
    let new = match value {
        Value::Integer(number) => Value::Integer(number + 1 + i64::try_from(below(dice, 3)).unwrap()),
        Value::Real(number) => Value::Real(number + 0.5),
        Value::Blob(mut bytes) => {
            let at = below(dice, bytes.len());
            bytes[at] ^= 1;
            Value::Blob(bytes)
        }
        Value::Null if of_type == "TEXT" => Value::Text("x".to_owned()),
        Value::Null => Value::Integer(7),
        Value::Text(text) => Value::Text(match below(dice, 3) {
            0 => format!("{text} "),
            1 if text.to_uppercase() != text => text.to_uppercase(),
            _ => format!("x{text}"),
        }),
    };
    let which: Vec<String> = keys.iter().zip(&at).map(|(key, at)| format!("{key} = {at}")).collect();
    let which = which.join(" AND ");
    let n = journal.execute(&format!("UPDATE {table} SET {column} = ?1 WHERE {which}"), [&new]).ok()?;
    (n == 1).then(|| format!("{table}.{column} = {new:?} where {which}"))
}

/// Edits some cell of a journal, past its triggers, and says how.
pub(super) fn one_cell(path: &std::path::Path, dice: &mut Dice) -> String {
    let mut edit = None;
    while edit.is_none() {
        tamper(path, |journal| edit = cell(journal, dice));
    }
    edit.unwrap()
}

/// Columns that hold JSON.
const JSON: [(&str, &str, &str); 5] = [
    ("event", "detail", "run, lane, seq"),
    ("run", "settings", "run"),
    ("row", "extra", "run, row"),
    ("control", "command", "control"),
    ("control", "given_by", "control"),
];

/// Rewrites one JSON text with the same meaning and another spelling, and makes every hash right again.
fn spelling(journal: &Connection, dice: &mut Dice) -> Option<String> {
    let (table, column, key) = JSON[below(dice, JSON.len())];
    let n_rows: usize = journal.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    let nth = below(dice, n_rows.max(1));
    let (text, run, at): (Option<String>, i64, String) = journal
        .query_row(
            &format!("SELECT {column}, run, concat_ws(' ', {key}) FROM {table} ORDER BY {key} LIMIT 1 OFFSET {nth}"),
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .ok()?;
    let other = respelled(&text?, dice)?;
    let which: Vec<String> = key.split(", ").zip(at.split(' ')).map(|(key, at)| format!("{key} = {at}")).collect();
    let which = which.join(" AND ");
    let update = format!("UPDATE {table} SET {column} = ?1 WHERE {which}");
    assert_eq!(journal.execute(&update, [&other]).unwrap(), 1);
    if table == "event" {
        rechain(journal, run);
    }
    Some(format!("{table}.{column} = {other} where {which}"))
}

/// Respells a text: with another blank, its fields in another order, an escaped character, a number in another form, or a
/// field twice.
fn respelled(text: &str, dice: &mut Dice) -> Option<String> {
    let mut in_string = false;
    let mut escaped = false;
    let (mut signs, mut letters, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            ':' | ',' if !in_string => signs.push(at + 1),
            letter if in_string && letter.is_ascii_alphabetic() => letters.push(at),
            digit if !in_string && digit.is_ascii_digit() && text[at + 1..].starts_with([',', '}', ']']) => {
                numbers.push(at + 1);
            }
            _ => (),
        }
    }
    let pick = |dice: &mut Dice, all: &[usize]| (!all.is_empty()).then(|| all[below(dice, all.len())]);
    let mut other = text.to_owned();
    match below(dice, 5) {
        0 => other.insert(pick(dice, &signs)?, ' '),
        1 => {
            let at = pick(dice, &letters)?;
            other.replace_range(at..=at, &format!("\\u{:04x}", text.as_bytes()[at]));
        }
        2 => other.insert_str(pick(dice, &numbers)?, ["e0", ".0", "E+0"][below(dice, 3)]),
        3 => {
            let all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
            let fields: Vec<String> =
                all.iter().rev().map(|(key, value)| format!("{}:{value}", serde_json::json!(key))).collect();
            other = format!("{{{}}}", fields.join(","));
        }
        _ => {
            let all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
            let (key, value) = all.iter().nth(below(dice, all.len().max(1)))?;
            other = format!("{{{}:{value},{}", serde_json::json!(key), text.strip_prefix('{')?);
        }
    }
    (other != text).then_some(other)
}

/// Drops, renames or rewrites one object of the schema, or adds another.
fn object(journal: &Connection, dice: &mut Dice) -> Option<String> {
    let objects: Vec<(String, String, String, String)> = {
        let sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
        let mut found = journal.prepare(sql).unwrap();
        let rows = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let (kind, name, of, text) = &objects[below(dice, objects.len())];
    let blanks: Vec<usize> = text.match_indices(' ').map(|(at, _)| at).collect();
    let written = |text: &str| {
        let text = text.replace('\'', "''");
        format!(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = '{text}' WHERE name = '{name}';
             PRAGMA schema_version = 4711"
        )
    };
    let sql = match below(dice, 9) {
        0 => format!("DROP {kind} {name}"),
        1 if kind == "table" => format!("ALTER TABLE {name} RENAME TO {name}_x"),
        1 => format!("DROP {kind} {name}; {}", text.replacen(name.as_str(), &format!("{name}_x"), 1)),
        2 => {
            let at = blanks[below(dice, blanks.len())];
            written(&format!("{} {}", &text[..at], &text[at..]))
        }
        3 => written(&format!("{text} -- as it was")),
        4 => written(&text.replacen("CREATE", "create", 1)),
        5 if kind == "view" => {
            format!("CREATE TRIGGER z INSTEAD OF {} ON {name} BEGIN SELECT 1; END", VERBS[below(dice, 3)])
        }
        5 if kind == "table" => format!(
            "CREATE TRIGGER z {} {} ON {name} BEGIN SELECT raise(IGNORE); END",
            ["BEFORE", "AFTER"][below(dice, 2)],
            VERBS[below(dice, 3)]
        ),
        6 => format!("CREATE VIEW z AS SELECT * FROM {of}"),
        7 if kind == "table" => {
            let columns = names(journal, name);
            format!("CREATE INDEX z ON {name} ({})", columns[below(dice, columns.len())])
        }
        8 => format!("CREATE TABLE z AS SELECT * FROM {of} WHERE 0"),
        _ => return None,
    };
    let done = journal.execute_batch(&format!("PRAGMA legacy_alter_table = ON; {sql}"));
    done.ok().map(|()| sql)
}

const VERBS: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];

fn names(journal: &Connection, table: &str) -> Vec<String> {
    let mut found = journal.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
    found.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Removes a run or moves it to another place, or removes a line of a table or copies it under another number.
fn run_or_line(journal: &Connection, dice: &mut Dice) -> Option<String> {
    match below(dice, 4) {
        0 => {
            let run = 1 + i64::try_from(below(dice, 2)).unwrap();
            remove(journal, run);
            Some(format!("run {run} removed"))
        }
        1 => {
            for (from, to) in [(1, 9), (2, 1), (9, 2)] {
                renumber(journal, from, to);
            }
            Some("the runs change places".to_owned())
        }
        n => {
            let (table, key) = CELLS[below(dice, CELLS.len())];
            let n_rows: usize =
                journal.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
            let nth = below(dice, n_rows.max(1));
            let which = format!("({key}) = (SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {nth})");
            let sql = if n == 2 {
                format!("DELETE FROM {table} WHERE {which}")
            } else {
                let last = key.split(", ").last().unwrap();
                let columns = names(journal, table);
                let copied: Vec<String> = columns
                    .iter()
                    .map(|column| {
                        let max = format!("(SELECT 1 + max({last}) FROM {table})");
                        if column == last { max } else { column.clone() }
                    })
                    .collect();
                format!("INSERT INTO {table} SELECT {} FROM {table} WHERE {which}", copied.join(", "))
            };
            // Anybody may give a command that no launch has taken.
            (table != "control" && journal.execute(&sql, []) == Ok(1)).then_some(sql)
        }
    }
}

#[test]
fn whatever_somebody_edits_in_a_journal_it_is_found_or_refused() {
    let _machine = shared();
    let (lab, sandbox) = twice();
    let kept = fs::read(lab.path("cutover.db")).unwrap();
    lab.cutover(&["audit", "verify"]).exits(0);
    let n_seeds: u64 = std::env::var("CUTOVER_EDITS").map_or(60, |n| n.parse().unwrap());
    let mut passed = Vec::new();
    let (mut n_found, mut n_refused) = (0, 0);
    for seed in 1..=n_seeds {
        for beside in ["-wal", "-shm", "-journal"] {
            _ = fs::remove_file(lab.path(&format!("cutover.db{beside}")));
        }
        fs::write(lab.path("cutover.db"), &kept).unwrap();
        let mut dice = Dice::from_decision(&[seed]);
        let mut edit = None;
        let path = lab.path("cutover.db");
        while edit.is_none() {
            match below(&mut dice, 10) {
                0..3 => tamper(&path, |journal| edit = cell(journal, &mut dice)),
                3..6 => edit = object(&Connection::open(&path).unwrap(), &mut dice),
                6..9 => tamper(&path, |journal| edit = spelling(journal, &mut dice)),
                _ => tamper(&path, |journal| edit = run_or_line(journal, &mut dice)),
            }
        }
        let edit = edit.unwrap();
        let Ended { code, stderr, .. } = lab.cutover(&["audit", "verify"]);
        if code == Some(7) {
            n_found += 1;
            continue;
        }
        let n_asked = sandbox.ledger().len();
        let launched = lab.cutover(&["retry", "--yes", "--endpoint", &sandbox.url]).code;
        if launched == Some(7) && sandbox.ledger().len() == n_asked {
            n_refused += 1;
        } else {
            passed.push(format!("seed {seed}: {edit}: {code:?}, then {launched:?}: {stderr}"));
        }
    }
    println!("{n_found} of {n_seeds} edits were found, {n_refused} refused");
    assert!(passed.is_empty(), "{} of {n_seeds} edits were not found:\n{}", passed.len(), passed.join("\n"));
}

/// Makes two runs of one plan with a column of its own; the first was stopped half-way and resumed, and took a command.
fn twice() -> (Lab, Served) {
    let lab = Lab::new();
    let owned: Vec<String> = plan(8, "stopped,syncing").lines().map(|line| format!("{line},owner")).collect();
    lab.write("plan.csv", &owned.join("\n"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "20", "--concurrency", "2"]);
    assert!(launch.reaches_nth("attempt_ended", 3));
    launch.signal("TERM");
    launch.end().exits(143);
    lab.cutover(&["control", "skip", "vm-00008", "--reason", "of the night"]).exits(0);
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(1);
    lab.launch(&sandbox, &["run", "plan.csv", "--new", "--rate", "off"]).exits(0);
    let journal = Connection::open(lab.path("cutover.db")).unwrap();
    journal.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(journal);
    (lab, sandbox)
}
