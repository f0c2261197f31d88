//! Altered journals: `audit verify` finds objects and values that this program did not make, and no verb that writes or sends
//! goes on with such a journal.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;

use crate::chained::tamper;
use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::served::Served;
use crate::lab::{id, plan};
use crate::tools;

/// Objects added to the schema, each with words of the finding.
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

/// Verbs of these that go on with an existing run.
const GO_ON: [&[&str]; 5] = [WRITE[0], WRITE[2], WRITE[3], WRITE[4], WRITE[5]];

/// Makes a run of twenty rows that was stopped half-way, with everything in one file.
fn interrupted() -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(20, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "20", "--concurrency", "2"]);
    assert!(launch.reaches_nth("attempt_ended", 6));
    launch.signal("TERM");
    launch.end().exits(143);
    keep(&lab);
    (lab, sandbox)
}

/// Makes the same run, killed instead of stopped.
fn cut_off() -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(20, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "20", "--concurrency", "2"]);
    assert!(launch.reaches_nth("attempt_ended", 6));
    launch.kill();
    keep(&lab);
    (lab, sandbox)
}

fn keep(lab: &Lab) {
    let journal = Connection::open(lab.path("cutover.db")).unwrap();
    journal.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(journal);
    fs::rename(lab.path("cutover.db"), lab.path("kept.db")).unwrap();
}

#[test]
fn a_run_that_was_cut_off_is_closed_only_if_it_is_what_its_events_say() {
    let _machine = shared();
    let (lab, sandbox) = cut_off();
    lab.write("other.csv", &plan(3, "stopped,syncing"));
    // By the table, nothing is left to do.
    let done =
        "UPDATE row SET verdict = 'applied', standing = 'settled', on_target = 1, settled_at = 1 WHERE verdict IS NULL";
    let others: [&[&str]; 3] =
        [&["run", "other.csv", "--yes"], &["run", "plan.csv", "--new", "--yes"], &["control", "drain"]];
    for edit in ["", "; UPDATE row SET verdict = 'no_effect', on_target = 0 WHERE row = 1"] {
        altered(&lab, &format!("{done}{edit}"));
        these_refuse(&lab, &sandbox, &others, "closed", "not what its events add up to");
        // The printed command lists the difference.
        let stderr = verb(&lab, &sandbox, others[0]).exits(7).stderr;
        let (_, command) = stderr.split_once("`cutover audit verify ").expect("it is printed");
        let verify = ["audit", "verify", command.split_once('`').unwrap().0];
        assert!(lab.cutover(&verify).exits(7).stdout.contains("not what its events add up to"));
    }
    altered(&lab, "");
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    assert_eq!(sandbox.changes().len(), 20);
}

/// SQL after which all of a run is done by the tables.
const SAID_TO_BE_DONE: &str = "UPDATE row SET verdict = 'applied', standing = 'settled', on_target = 1, settled_at = 1;
     UPDATE run SET running = 0, exit_code = 0, exit_name = 'done', ended_at = 1";

#[test]
fn a_run_is_passed_over_for_a_new_one_only_if_it_is_as_finished_as_its_events_say() {
    let _machine = shared();
    let (lab, sandbox) = cut_off();
    lab.write("other.csv", &plan(3, "stopped,syncing"));
    for edit in [
        SAID_TO_BE_DONE,
        "UPDATE row SET verdict = 'applied', standing = 'settled'; UPDATE run SET running = 0",
        "UPDATE row SET verdict = 'refused', standing = 'settled'; UPDATE run SET running = 0, exit_code = 1",
    ] {
        altered(&lab, edit);
        these_refuse(&lab, &sandbox, &GO_ON, "said to be done", "not what its events");
    }
    // A new run does not depend on it.
    altered(&lab, SAID_TO_BE_DONE);
    verb(&lab, &sandbox, &["run", "other.csv", "--yes", "--rate", "off"]).exits(0);
    altered(&lab, "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
    // A finished run is passed over.
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
    assert_eq!(lab.journal().count("SELECT count(*) FROM run"), 2);
}

#[test]
fn which_of_several_runs_is_meant_is_held_against_their_events() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("all.csv", &plan(40, "stopped,syncing"));
    let all = fs::read_to_string(lab.path("all.csv")).unwrap();
    let lines: Vec<&str> = all.lines().collect();
    lab.write("older.csv", &lines[..21].join("\n"));
    lab.write("newer.csv", &[&lines[..1], &lines[21..]].concat().join("\n"));
    let sandbox = lab.serve("all.csv", "");
    for plan in ["older.csv", "newer.csv"] {
        let launch = lab.begin(&sandbox, &["run", plan, "--rate", "20", "--concurrency", "2"]);
        assert!(launch.reaches_nth("attempt_ended", 3));
        launch.signal("TERM");
        launch.end().exits(143);
    }
    keep(&lab);
    let newer = "UPDATE row SET verdict = 'applied', standing = 'settled', on_target = 1, settled_at = 1 WHERE run = 2";
    let unfinished: [&[&str]; 2] = [&["resume", "--yes"], &["reconcile"]];
    let launched_last: [&[&str]; 2] = [&["retry", "--yes"], &["control", "skip", "vm-00019"]];
    let both = [unfinished, launched_last].concat();
    for (what, edit, verbs) in [
        ("the newer one is said to be done", newer, &unfinished[..]),
        ("it is said to be older", "UPDATE event SET at = 0 WHERE run = 2 AND kind = 'launch_began'", &both),
        (
            "it is said to have been refused",
            "UPDATE row SET verdict = NULL, standing = 'untried' WHERE run = 2; UPDATE run SET exit_code = 3 WHERE run = 2;
             DELETE FROM event WHERE run = 2 AND kind = 'stage_began'",
            &both,
        ),
    ] {
        altered(&lab, "");
        tamper(&lab.path("cutover.db"), |conn| conn.execute_batch(edit).unwrap());
        these_refuse(&lab, &sandbox, verbs, what, "the journal is not what it was");
        lab.cutover(&["rollback", "-o", "back.csv"]).exits(7);
    }
    assert!(!lab.path("back.csv").exists());
    altered(&lab, "");
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    assert_eq!(sandbox.changes().len(), 40);
}

/// Restores the journal, and then alters it with this SQL.
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

/// Checks that every verb that would write to it or send what it says refuses, without a request or a write.
#[track_caller]
fn nobody_goes_on_with_it(lab: &Lab, sandbox: &Served, what: &str, says: &str) {
    these_refuse(lab, sandbox, &WRITE, what, says);
}

#[track_caller]
fn these_refuse(lab: &Lab, sandbox: &Served, verbs: &[&[&str]], what: &str, says: &str) {
    let before = fs::read(lab.path("cutover.db")).unwrap();
    let n_asked = sandbox.ledger().len();
    for words in verbs {
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
        // Reading it is harmless.
        lab.cutover(&["status"]).exits(0);
    }
    altered(&lab, "");
    lab.cutover(&["audit", "verify"]).exits(0);
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    assert_eq!(sandbox.changes().len(), 20);
}

#[test]
fn what_a_tool_added_to_a_journal_is_no_damage_and_goes_as_it_is_said() {
    let _machine = shared();
    if tools::lack(&["sqlite3"]) {
        return;
    }
    let (lab, sandbox) = interrupted();
    altered(&lab, "ANALYZE; CREATE INDEX \"an auditor's\" ON event (at); CREATE TABLE notes (id UNIQUE, note)");
    let ended = lab.launch(&sandbox, &["resume"]).exits(7).says("is none of cutover's, and ");
    assert!(!ended.stderr.contains("damaged"), "{}", ended.stderr);
    let commands: Vec<&str> = ended.stderr.split('`').filter(|text| text.starts_with("sqlite3 ")).collect();
    assert_eq!(commands.len(), 2, "{}", ended.stderr);
    for command in commands {
        let command = command.replace("COPY", "copy.db");
        assert!(lab.command_of("sh", &["-c", &command]).status().unwrap().success(), "{command}");
    }
    lab.cutover(&["audit", "verify", "--journal", "copy.db"]).exits(7);
    lab.cutover(&["audit", "verify"]).exits(0);
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    assert_eq!(sandbox.changes().len(), 20);
    // An object that was active while others wrote cannot be removed and forgotten.
    altered(&lab, STRANGE[4].1);
    let ended = lab
        .launch(&sandbox, &["resume"])
        .exits(7)
        .says("the schema of the journal was altered: the trigger `z` is none");
    let ended = ended.says("keep the file as it is");
    assert!(!ended.stderr.contains("damaged") && !ended.stderr.contains(".recover"), "{}", ended.stderr);
    let commands: Vec<&str> = ended.stderr.split('`').filter(|text| text.starts_with("sqlite3 ")).collect();
    assert_eq!(commands.len(), 2, "{}", ended.stderr);
    for command in commands {
        let command = command.replace("COPY", "clean.db");
        assert!(lab.command_of("sh", &["-c", &command]).status().unwrap().success(), "{command}");
    }
    lab.cutover(&["audit", "verify"]).exits(7);
    lab.cutover(&["audit", "verify", "--journal", "clean.db"]).exits(0);
    // Nor is a changed or removed object something that could be taken out.
    for altered_by in ["DROP VIEW v_row", "DROP TRIGGER event_is_never_removed"] {
        altered(&lab, altered_by);
        let ended = lab.launch(&sandbox, &["resume"]).exits(7).says("the schema of the journal was altered: no such ");
        assert!(ended.stderr.contains("names each of them") && !ended.stderr.contains("sqlite3"), "{}", ended.stderr);
    }
}

#[test]
fn what_stands_behind_the_last_page_of_a_journal_is_found() {
    let _machine = shared();
    let (lab, _sandbox) = interrupted();
    altered(&lab, "PRAGMA wal_checkpoint(TRUNCATE)");
    lab.cutover(&["audit", "verify"]).exits(0);
    let mut journal = fs::OpenOptions::new().append(true).open(lab.path("cutover.db")).unwrap();
    journal.write_all(&[b'x'; 8192]).unwrap();
    let told = lab.cutover(&["audit", "verify"]).exits(7).stdout;
    assert!(told.contains("8192 bytes stand behind its last page"), "{told}");
}

#[test]
fn a_table_that_is_something_else_is_read_by_nobody() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    // Each would run forever or fill the memory if it were read.
    let for_ever = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT";
    let columns = "i AS run, 'r' || i AS id, 'p' AS plan_path, 'd' AS plan_digest, 1 AS n_rows, 'e' AS endpoint,
        'a' AS account, '{}' AS settings, 1 AS launches, 0 AS running, 1 AS pid, 'h' AS host, 1 AS started_at, 1 AS ended_at,
        1 AS elapsed_ms, 0 AS exit_code, 'x' AS exit_name, 'y' AS exit_reason, 1 AS created_at, 'first' AS rules, NULL AS run_key";
    let view = format!("DROP TABLE run; CREATE VIEW run AS {for_ever} {columns} FROM n");
    let grown = "ALTER TABLE run RENAME TO was; CREATE TABLE run AS SELECT * FROM was; DROP TABLE was;
        ALTER TABLE run ADD COLUMN big AS (hex(zeroblob(500000000)))";
    for (what, sql, says) in [
        ("a view", view.as_str(), "the journal is damaged"),
        ("a column that is made as it is read", grown, "the schema of the journal was altered"),
    ] {
        altered(&lab, sql);
        for words in [&["audit", "verify"][..], &["status"], &["runs"], &["report", "--format", "csv"]] {
            let Ended { code, stderr, .. } = lab.cutover(words);
            assert_eq!(code, Some(7), "{what}, {words:?}: {stderr}");
        }
        nobody_goes_on_with_it(&lab, &sandbox, what, says);
    }
}

#[test]
fn what_lies_beside_a_journal_and_is_not_of_it_is_refused_and_stays() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    // A change of another program that was cut off, which SQLite would roll back.
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
    // A log without a commit is harmless.
    for bytes in [&[][..], &[0; 32], &[0; 4_000]] {
        altered(&lab, "");
        fs::write(lab.path("cutover.db-wal"), bytes).unwrap();
        lab.cutover(&["audit", "verify"]).exits(0);
    }
}

/// Edits of values that a launch relies on, each with words of the finding.
const EDITS: [(&str, &str, &str); 13] = [
    ("where it goes", "UPDATE lane SET endpoint = 'ELSEWHERE' WHERE lane = 1", "endpoint not what its events say"),
    (
        "where it goes, twice",
        "UPDATE lane SET endpoint = 'ELSEWHERE' WHERE lane = 1; UPDATE run SET endpoint = 'ELSEWHERE'",
        "endpoint",
    ),
    ("as whom it goes", "UPDATE lane SET account = 'other' WHERE lane = 1", "account not what its events say"),
    (
        "the target of a row",
        "UPDATE row SET copystate = 'deleting' WHERE row = 19",
        "the rows are not those of the plan",
    ),
    ("the id of a row", "UPDATE row SET source_id = 'vm-other' WHERE row = 19", "the rows are not those of the plan"),
    (
        "a row more",
        "INSERT INTO row (run, row, lane, wave_no, line, source_id, copystate) VALUES (1, 21, 1, 0, 22, 'x', 'deleting')",
        "21",
    ),
    ("the wave of a row", "UPDATE row SET wave_no = 7 WHERE row = 19", "are not as they were made"),
    ("a row that is to be sent again", "UPDATE row SET verdict = NULL, standing = 'untried' WHERE row = 1", "row 1"),
    (
        "a setting",
        "UPDATE run SET settings = replace(settings, '\"preflight\":\"on\"', '\"preflight\":\"off\"')",
        "settings",
    ),
    ("the spelling of its settings", "UPDATE run SET settings = replace(settings, ':', ': ')", "settings"),
    ("another plan's name", "UPDATE run SET plan_digest = 'sha256:0'", "plan_digest"),
    ("a key that it was not made with", "UPDATE run SET run_key = '2026-11-27'", "run_key"),
    ("a head", "UPDATE lane SET head = zeroblob(32) WHERE lane = 1", "the head is not the hash of event"),
];

#[test]
fn what_a_launch_would_believe_is_held_against_what_the_run_began_with() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let url = format!("http://{}", elsewhere.local_addr().unwrap());
    for (what, sql, says) in EDITS {
        altered(&lab, &sql.replace("ELSEWHERE", &url));
        lab.cutover(&["audit", "verify"]).exits(7);
        let verbs: [&[&str]; 5] = [WRITE[0], WRITE[2], WRITE[3], WRITE[4], &["rollback", "-o", "back.csv"]];
        these_refuse(&lab, &sandbox, &verbs[..4], what, says);
        lab.cutover(verbs[4]).exits(7);
        // Only the journal names the address.
        lab.cutover(&["resume", "--yes"]).exits(7).says(says);
        lab.cutover(&["reconcile"]).exits(7).says(says);
        assert!(elsewhere.accept().is_err(), "{what}: somebody asked there");
    }
    assert!(!lab.path("back.csv").exists());
}

#[test]
fn where_only_the_journal_says_a_run_goes_nobody_is_asked_unless_a_person_means_it() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    altered(&lab, "");
    let n_asked = sandbox.ledger().len();
    let says = format!("goes to `{}`; nothing was asked or sent", sandbox.url);
    let names = format!("the same command with `--endpoint {}`", sandbox.url);
    for words in
        [&["resume", "--yes"][..], &["retry", "--yes"], &["reconcile"], &["resume", "--yes", "--preflight", "off"]]
    {
        lab.cutover(words).exits(2).says(&says).says(&names);
    }
    // A plan is run against the endpoint that the user names, whatever the journal has.
    lab.cutover(&["run", "plan.csv", "--yes"]).exits(2).says("no endpoint is set");
    lab.cutover(&["resume", "--yes", "--region", "cn-north-4"]).exits(2);
    if !tools::lack(&["script"]) {
        let run = format!("exec {} resume --yes", env!("CARGO_BIN_EXE_cutover"));
        let mut command = lab.command_of("script", &["-qec", &run, "/dev/null"]);
        let mut child = command.stdin(Stdio::piped()).env("TERM", "xterm").spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"n\n").unwrap();
        let shown = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert!(shown.contains(&sandbox.url) && shown.contains("Go on? [y/N]"), "{shown}");
        assert!(shown.contains("not agreed to"), "{shown}");
    }
    assert_eq!(sandbox.ledger().len(), n_asked, "somebody asked there");
    // Flags name it, as in the printed command, and so do the environment and a settings file.
    lab.cutover(&["reconcile", "--endpoint", &sandbox.url]).exits(1);
    Launch::start({
        let mut command = lab.command(&["reconcile"]);
        command.env("CUTOVER_ENDPOINT", &sandbox.url);
        command
    })
    .end()
    .exits(1);
    lab.write("cutover.toml", &format!("endpoint = \"{}\"\n", sandbox.url));
    lab.cutover(&["resume", "--yes", "--rate", "off"]).exits(0);
    assert_eq!(sandbox.changes().len(), 20);
}

#[test]
fn as_whom_a_run_goes_is_said_by_more_than_its_journal() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.write("cutover.toml", &format!("endpoint = \"{0}\"\n[profiles.p]\nendpoint = \"{0}\"\n", sandbox.url));
    for (name, way, flag) in
        [("account", "as account `other`", "--account other"), ("profile", "in profile `p`", "--profile p")]
    {
        (1..=3).for_each(|i| sandbox.move_to(&id(i), "syncing", "syncing"));
        let journal = format!("{name}.db");
        let (of, word) = flag.split_once(' ').unwrap();
        let run = ["run", "plan.csv", "--yes", "--max-changes", "0", "--journal", &journal, of, word];
        let ended = lab.cutover(&run).exits(3);
        assert!(ended.stdout.contains(&format!("{flag} --journal")), "{}", ended.stdout);
        let n_asked = sandbox.ledger().len();
        let resume = ["resume", "--yes", "--rate", "off", "--journal", &journal];
        lab.cutover(&resume).exits(2).says(&format!("goes {way}; ")).says(&format!("with `{flag}`"));
        assert_eq!(sandbox.ledger().len(), n_asked, "somebody asked there");
        lab.cutover(&[&resume[..], &[of, word]].concat()).exits(0);
    }
}

/// Fills an index as if it were defined otherwise, with its recorded definition unchanged.
fn filled_as(name: &str, otherwise: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON;
         CREATE TEMP TABLE was AS SELECT sql FROM sqlite_master WHERE name = '{name}';
         UPDATE sqlite_master SET sql = {otherwise} WHERE name = '{name}';
         PRAGMA schema_version = 1000; REINDEX {name};
         UPDATE sqlite_master SET sql = (SELECT sql FROM was) WHERE name = '{name}';
         PRAGMA schema_version = 1001"
    )
}

/// Fills an index only with rows for which this holds.
fn filled_where(name: &str, holds: &str) -> String {
    filled_as(name, &format!("substr(sql, 1, instr(sql || ' WHERE ', ' WHERE ') - 1) || ' WHERE {holds}'"))
}

#[test]
fn an_index_that_leads_to_as_many_rows_and_to_others_is_found() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    let n_open = Connection::open(lab.path("kept.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM row WHERE verdict IS NULL", [], |row| row.get::<_, u32>(0))
        .unwrap();
    let id = "replace(sql, 'source_id COLLATE', '(source_id || ''x'') COLLATE')";
    let before = "UPDATE row SET moved_copystate = 'stopped' WHERE row = 3;
        INSERT INTO control (run, command, given_by, at) SELECT run, '{}', 'x', 0 FROM run;
        INSERT INTO control (run, command, given_by, at, taken_at) SELECT run, '{}', 'x', 0, 0 FROM run";
    for (name, sql, filled) in [
        ("row_source", "", filled_as("row_source", id)),
        ("row_open", "", filled_where("row_open", &format!("row <= {n_open}"))),
        ("row_moved", before, filled_where("row_moved", "row = 4")),
        ("control_open", before, filled_where("control_open", "taken_at IS NOT NULL")),
    ] {
        altered(&lab, sql);
        let journal = Connection::open(lab.path("cutover.db")).unwrap();
        journal.execute_batch(&filled).unwrap();
        drop(journal);
        these_refuse(&lab, &sandbox, &GO_ON, name, &format!("the index `{name}` leads to"));
        these_refuse(&lab, &sandbox, &GO_ON, name, "and not the same ones");
    }
}

#[test]
fn what_the_engine_asks_an_index_is_what_the_table_has() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    let emptied = |name: &str| filled_where(name, "0 = 1");
    let before = "UPDATE row SET moved_copystate = 'stopped' WHERE row = 3;
        INSERT INTO control (run, command, given_by, at) SELECT run, '{}', 'x', 0 FROM run";
    for (name, sql) in [("row_open", ""), ("row_source", ""), ("row_moved", before), ("control_open", before)] {
        altered(&lab, sql);
        let journal = Connection::open(lab.path("cutover.db")).unwrap();
        journal.execute_batch(&emptied(name)).unwrap();
        drop(journal);
        let verified = lab.cutover(&["audit", "verify"]).exits(7);
        assert!(verified.stdout.contains(name), "{name}: {}", verified.stdout);
        these_refuse(&lab, &sandbox, &GO_ON, name, name);
        // Another run does not use these rows, and `audit verify` reads all.
        lab.launch(&sandbox, &["run", "plan.csv", "--new", "--rate", "off"]);
        assert_eq!(lab.journal().value("SELECT launches || ' ' || exit_code FROM run WHERE run = 2"), "1 0", "{name}");
        lab.cutover(&["audit", "verify"]).exits(7);
    }
}

#[test]
fn a_row_that_somebody_edits_while_a_launch_goes_on_is_not_sent() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    for edit in ["attempts = attempts + 1", "looked = 0", "before_copystate = 'x'", "standing = 'due'"] {
        altered(&lab, "");
        (7..=20).for_each(|i| sandbox.move_to(&id(i), "syncing", "syncing"));
        let n_changes = sandbox.changes().len();
        let launch = lab.begin(&sandbox, &["resume", "--rate", "8", "--concurrency", "1"]);
        assert!(launch.reaches_nth("attempt_started", 1));
        by_another(&lab, &format!("UPDATE row SET {edit} WHERE source_id = 'vm-00020'"));
        launch.end().exits(7).says("was altered while the run went on").says("row 20: ");
        let changes = sandbox.changes();
        assert!(changes[n_changes..].iter().all(|request| request.source_id.as_deref() != Some("vm-00020")), "{edit}");
    }
}

/// Writes to the journal like another process while a launch goes on.
fn by_another(lab: &Lab, sql: &str) {
    let journal = Connection::open(lab.path("cutover.db")).unwrap();
    journal.busy_timeout(Duration::from_secs(10)).unwrap();
    journal.execute_batch(sql).unwrap();
}

#[test]
fn what_somebody_adds_while_a_launch_goes_on_swallows_nothing() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    for (what, sql) in [
        ("a trigger", "CREATE TRIGGER z BEFORE INSERT ON event BEGIN SELECT raise(IGNORE); END"),
        ("one on heads", "CREATE TRIGGER z BEFORE UPDATE ON lane BEGIN SELECT raise(IGNORE); END"),
        ("one on rows", "CREATE TRIGGER z BEFORE UPDATE ON row BEGIN SELECT raise(IGNORE); END"),
        (
            "a view in the place of the table",
            "PRAGMA legacy_alter_table = ON; BEGIN IMMEDIATE; ALTER TABLE event RENAME TO was;
             CREATE VIEW event AS SELECT * FROM was;
             CREATE TRIGGER z INSTEAD OF INSERT ON event BEGIN SELECT 1; END; COMMIT",
        ),
    ] {
        altered(&lab, "");
        let n_changes = sandbox.changes().len();
        let launch = lab.begin(&sandbox, &["resume", "--rate", "4", "--concurrency", "1"]);
        assert!(launch.reaches_nth("attempt_started", 1));
        by_another(&lab, sql);
        launch.end().exits(70).says("was written over while the run went on").says("lists what this launch sent");
        let table = if what.starts_with("a view") { "was" } else { "event" };
        let journal = Connection::open(lab.path("cutover.db")).unwrap();
        let count = |of: &str, least: i64| -> usize {
            let sql = format!("SELECT count(*) FROM {of} WHERE kind = 'attempt_started' AND at >= {least}");
            journal.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        let began: i64 = journal
            .query_row(&format!("SELECT max(at) FROM {table} WHERE kind = 'launch_began'"), [], |row| row.get(0))
            .unwrap();
        let n_sent = sandbox.changes().len() - n_changes;
        assert!((1..14).contains(&n_sent), "{what}: {n_sent} were sent");
        assert_eq!(count(table, began), n_sent, "{what}: whatever was sent stands in the journal");
    }
}

#[test]
fn an_endpoint_that_a_flag_names_is_that_of_the_run_or_an_error() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    altered(&lab, "");
    lab.cutover(&["resume", "--yes", "--region", "ap-southeast-3"]).exits(2).says("and `--region` names");
    lab.cutover(&["resume", "--yes", "--endpoint", "http://127.0.0.1:9"]).exits(2).says("and `--endpoint` names");
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
}

#[test]
fn a_sealed_run_that_somebody_edited_is_not_what_was_agreed_to() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("rows.csv", &plan(20, "stopped,syncing"));
    lab.write("plan.toml", "files = [\"rows.csv\"]\nrequire_approvals = 1\n");
    let sandbox = lab.serve("rows.csv", "");
    lab.cutover(&["plan", "plan.toml", "-o", "sealed.plan", "--as", "Ada", "--endpoint", &sandbox.url]).exits(0);
    lab.launch(&sandbox, &["run", "sealed.plan"]).exits(3);
    lab.cutover(&["approve", "sealed.plan", "--as", "Bo"]).exits(0);
    let launch = lab.begin(&sandbox, &["run", "sealed.plan", "--rate", "20", "--concurrency", "2"]);
    assert!(launch.reaches_nth("attempt_ended", 6));
    launch.signal("TERM");
    launch.end().exits(143);
    fs::rename(lab.path("cutover.db"), lab.path("kept.db")).unwrap();
    for (what, sql, says) in [
        ("a target", "UPDATE row SET copystate = 'deleting' WHERE row = 19", "the rows are not those of the plan"),
        ("a state that was seen", "UPDATE row SET sealed_copystate = 'x' WHERE row = 19", "sealed states"),
        (
            "no approval is needed",
            "UPDATE run SET settings = json_remove(settings, '$.plan.require_approvals', '$.seal.approvals')",
            "settings",
        ),
    ] {
        altered(&lab, sql);
        these_refuse(&lab, &sandbox, &[&["resume", "--yes"], &["run", "sealed.plan", "--yes"]], what, says);
    }
    altered(&lab, "");
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    assert_eq!(sandbox.changes().len(), 20);
}

#[test]
fn what_a_journal_says_behind_its_schema_is_executed_by_nobody() {
    let _machine = shared();
    let (lab, sandbox) = interrupted();
    let other = Connection::open(lab.path("other.db")).unwrap();
    other.execute_batch("CREATE TABLE kept (a)").unwrap();
    // SQLite reads the first statement of each definition, and ignores the rest.
    let behind = |made: &str, what: &str| {
        let sql = format!("{made}; ATTACH '{}' AS a; {what}", lab.path("other.db").display()).replace('\'', "''");
        let name = made.split(' ').nth(2).unwrap();
        let kind = made.split(' ').nth(1).unwrap().to_lowercase();
        let of = if kind == "trigger" { "control" } else { name };
        format!(
            "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = '{name}';
             INSERT INTO sqlite_schema VALUES ('{kind}', '{name}', '{of}', 0, '{sql}')"
        )
    };
    let trigger = |name: &str| format!("CREATE TRIGGER {name} AFTER INSERT ON control BEGIN SELECT 1; END");
    for made in [trigger("z"), trigger("event_is_never_removed"), "CREATE VIEW v_row AS SELECT 1".to_owned()] {
        for what in ["DROP TABLE a.kept", "CREATE TABLE a.made (a)"] {
            altered(&lab, &behind(&made, what));
            for words in [&["audit", "export", "-o", "out"][..], &["audit", "export", "-o", "out.zip", "--all-runs"]] {
                let Ended { code, stdout, stderr } = lab.cutover(words);
                assert_eq!(code, Some(7), "{made}, {words:?}: {stdout}{stderr}");
                assert!(!lab.path(words[3]).exists());
            }
            nobody_goes_on_with_it(&lab, &sandbox, &made, "the schema of the journal was altered");
            let left: String =
                other.query_row("SELECT group_concat(name) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
            assert_eq!(left, "kept", "{made}, {what}");
        }
    }
}
