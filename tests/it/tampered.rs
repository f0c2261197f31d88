//! Journals that somebody altered: what is in them besides what we make, or instead of it, is found by `audit verify`, and no
//! verb that writes or sends goes on with them.

use std::fs;

use rusqlite::Connection;

use crate::lab::{Ended, Lab, Served, plan, shared};

/// Schemas of strangers, each with words of the finding.
const STRANGE: [(&str, &str, &str); 11] = [
    ("a table", "CREATE TABLE z (a)", "the table `z` is none of cutover's"),
    ("a view", "CREATE VIEW z AS SELECT 1", "the view `z` is none of cutover's"),
    ("an index", "CREATE INDEX z ON row (note)", "the index `z` is none of cutover's"),
    (
        "a trigger that swallows what is recorded",
        "CREATE TRIGGER z BEFORE INSERT ON event BEGIN SELECT raise(IGNORE); END",
        "the trigger `z` is none of cutover's",
    ),
    (
        "a trigger that changes rows",
        "CREATE TRIGGER z AFTER INSERT ON event BEGIN UPDATE row SET copystate = 'deleting'; END",
        "the trigger `z` is none of cutover's",
    ),
    ("no view", "DROP VIEW v_row", "view"),
    (
        "a view that lies",
        "DROP VIEW v_row; CREATE VIEW v_row AS SELECT run, row, source_id, 'applied' AS verdict FROM row",
        "the view `v_row` is not as it was made",
    ),
    ("no index", "DROP INDEX row_moved", "row_moved"),
    ("no guard", "DROP TRIGGER event_is_never_removed", "event_is_never_removed"),
    (
        "a guard that is none",
        "DROP TRIGGER event_is_never_changed; CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event WHEN 0
         BEGIN SELECT RAISE(ABORT, 'the journal is append-only: an event is never changed'); END",
        "event_is_never_changed",
    ),
    ("statistics that lead queries astray", "ANALYZE", "the table `sqlite_stat1` is none of cutover's"),
];

/// Verbs that write to a journal, or send what it says.
const WRITE: [&[&str]; 6] = [
    &["run", "plan.csv", "--yes"],
    &["run", "plan.csv", "--yes", "--new"],
    &["resume", "--yes"],
    &["retry", "--yes"],
    &["reconcile"],
    &["control", "skip", "vm-00019"],
];

/// A run of twenty rows that was stopped half-way, with all of it in one file.
fn interrupted() -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(20, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "20", "--concurrency", "2"]);
    assert!(launch.reaches_nth("attempt_ended", 6));
    launch.signal("TERM");
    launch.end().exits(143);
    let journal = Connection::open(lab.path("cutover.db")).unwrap();
    journal.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(journal);
    fs::rename(lab.path("cutover.db"), lab.path("kept.db")).unwrap();
    (lab, sandbox)
}

/// The journal as it was, and then as somebody made it.
fn altered(lab: &Lab, sql: &str) {
    for beside in ["", "-wal", "-shm", "-journal"] {
        _ = fs::remove_file(lab.path(&format!("cutover.db{beside}")));
    }
    fs::copy(lab.path("kept.db"), lab.path("cutover.db")).unwrap();
    let journal = Connection::open(lab.path("cutover.db")).unwrap();
    journal.execute_batch(&format!("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {sql}")).unwrap();
}

fn verb(lab: &Lab, sandbox: &Served, words: &[&str]) -> Ended {
    let way: &[&str] = if words[0] == "control" { &[] } else { &["--endpoint", &sandbox.url] };
    lab.cutover(&[words, way].concat())
}

/// Every verb that would go on with it refuses, and neither the service nor the journal hears of it.
#[track_caller]
fn nobody_goes_on_with_it(lab: &Lab, sandbox: &Served, what: &str, says: &str) {
    let before = fs::read(lab.path("cutover.db")).unwrap();
    let n_asked = sandbox.ledger().len();
    for words in WRITE {
        let Ended { code, stderr, .. } = verb(lab, sandbox, words);
        assert_eq!(code, Some(7), "{what}, {words:?}:\n{stderr}");
        assert!(
            stderr.contains(says) && stderr.contains("\n\nhint: "),
            "{what}, {words:?}: `{says}` is not in\n{stderr}"
        );
        assert_eq!(sandbox.ledger().len(), n_asked, "{what}, {words:?}: something was asked or sent");
    }
    assert!(fs::read(lab.path("cutover.db")).unwrap() == before, "{what}: the journal was written to");
}

#[test]
fn what_a_journal_has_besides_its_schema_or_instead_of_it_is_found_and_nobody_goes_on_with_it() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    for (what, sql, says) in STRANGE {
        altered(&lab, sql);
        let Ended { code, stdout, stderr } = lab.cutover(&["audit", "verify"]);
        assert_eq!(code, Some(7), "{what}: {stdout}{stderr}");
        assert!(stdout.contains(says), "{what}: `{says}` is not in\n{stdout}");
        nobody_goes_on_with_it(&lab, &sandbox, what, says);
        // Looking at it does no harm.
        lab.cutover(&["status"]).exits(0);
    }
    altered(&lab, "");
    lab.cutover(&["audit", "verify"]).exits(0);
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    assert_eq!(sandbox.changes().len(), 20);
}

#[test]
fn a_table_that_is_something_else_is_read_by_nobody() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    // Each would go on for ever, or fill the memory, if anybody read it.
    let for_ever = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT";
    let columns = "i AS run, 'r' || i AS id, 'p' AS plan_path, 'd' AS plan_digest, 1 AS n_rows, 'e' AS endpoint,
        'a' AS account, '{}' AS settings, 1 AS launches, 0 AS running, 1 AS pid, 'h' AS host, 1 AS started_at, 1 AS ended_at,
        1 AS elapsed_ms, 0 AS exit_code, 'x' AS exit_name, 'y' AS exit_reason, 1 AS created_at, 'first' AS rules";
    let view = format!("DROP TABLE run; CREATE VIEW run AS {for_ever} {columns} FROM n");
    let grown = "ALTER TABLE run RENAME TO was; CREATE TABLE run AS SELECT * FROM was; DROP TABLE was;
        ALTER TABLE run ADD COLUMN big AS (hex(zeroblob(500000000)))";
    for (what, sql) in [("a view", view.as_str()), ("a column that is made as it is read", grown)] {
        altered(&lab, sql);
        for words in [&["audit", "verify"][..], &["status"], &["runs"], &["report", "--format", "csv"]] {
            let Ended { code, stderr, .. } = lab.cutover(words);
            assert_eq!(code, Some(7), "{what}, {words:?}: {stderr}");
        }
        nobody_goes_on_with_it(&lab, &sandbox, what, "the journal is damaged");
    }
}

#[test]
fn what_lies_beside_a_journal_and_is_not_of_it_is_refused_and_stays() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    // A change of another program that was cut off, as SQLite would take it back.
    let half_written = {
        altered(&lab, "PRAGMA journal_mode = DELETE");
        let journal = Connection::open(lab.path("cutover.db")).unwrap();
        journal
            .execute_batch(
                "PRAGMA cache_size = 1; BEGIN; UPDATE row SET copystate = 'deleting'; UPDATE event SET at = at",
            )
            .ok();
        journal.cache_flush().unwrap();
        fs::read(lab.path("cutover.db-journal")).unwrap()
    };
    assert!(half_written.len() > 512);
    for (suffix, bytes) in [
        ("-journal", &half_written[..]),
        ("-journal", b"garbage\n"),
        ("-wal", b"garbage\n"),
        ("-wal", &[b'x'; 5_000]),
        ("-wal", &half_written),
    ] {
        altered(&lab, "");
        let beside = lab.path(&format!("cutover.db{suffix}"));
        fs::write(&beside, bytes).unwrap();
        for words in [&["audit", "verify"][..], &["status"], &["report", "--format", "csv"]] {
            lab.cutover(words).exits(7).says(suffix);
        }
        nobody_goes_on_with_it(&lab, &sandbox, suffix, suffix);
        assert!(fs::read(&beside).unwrap() == bytes, "it is evidence");
    }
    // What a log has before its first commit is no harm.
    for bytes in [&[][..], &[0; 32], &[0; 4_000]] {
        altered(&lab, "");
        fs::write(lab.path("cutover.db-wal"), bytes).unwrap();
        lab.cutover(&["audit", "verify"]).exits(0);
    }
}
