//! Findings of `audit verify` about a journal with several runs, and the evidence that it states for each.

use std::path::Path;

use cutover::event::lane::LaneId;
use cutover::journal::chain::{self, Hash};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::lab::home::Lab;
use super::lab::launch::Ended;
use super::lab::machine::shared;
use super::lab::plan;
use super::lab::served::Served;
use super::tools;

/// Makes three runs of one plan, and returns their ids, the oldest first.
fn three_runs() -> (Lab, Served, [String; 3]) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "cutovering,cutovering"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nsources = [\"vm-00003\"]\nkind = \"forbidden\"\ntimes = 99\n");
    for _ in 0..3 {
        lab.launch(&sandbox, &["run", "plan.csv", "--new", "--rate", "off"]).exits(1);
    }
    let journal = lab.journal();
    let ids = [1, 2, 3].map(|run| journal.text(&format!("SELECT id FROM run WHERE run = {run}")));
    (lab, sandbox, ids)
}

fn verify(lab: &Lab, args: &[&str]) -> Ended {
    lab.cutover(&[&["audit", "verify"], args].concat())
}

fn verified(lab: &Lab, args: &[&str]) -> Value {
    serde_json::from_str(&verify(lab, &[args, &["--json"]].concat()).stdout).unwrap()
}

/// Alters a journal like somebody who can write the file, with the triggers back in place afterwards.
pub(crate) fn tamper(path: &Path, by: impl FnOnce(&Connection)) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON").unwrap();
    let mut statement = conn.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let triggers: Vec<(String, String)> = found.collect::<Result<_, _>>().unwrap();
    for (name, _) in &triggers {
        conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    by(&conn);
    for (_, sql) in &triggers {
        conn.execute_batch(sql).unwrap();
    }
}

/// Makes every hash of a run right again, and its heads.
pub(crate) fn rechain(conn: &Connection, run: i64) {
    let id: String = conn.query_row("SELECT id FROM run WHERE run = ?1", [run], |row| row.get(0)).unwrap();
    for lane in [0, 1].map(LaneId) {
        let (mut prev, mut last) = (chain::genesis(&id, lane), 0);
        let sql = "SELECT seq, at, kind, row, detail FROM event WHERE run = ?1 AND lane = ?2 ORDER BY seq";
        let mut statement = conn.prepare(sql).unwrap();
        let found = statement.query_map(params![run, lane.0], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        });
        let events: Vec<(u64, i64, String, Option<u32>, String)> = found.unwrap().collect::<Result<_, _>>().unwrap();
        for (seq, at_ms, kind, row, detail) in events {
            let hash: Hash = chain::Link { prev: &prev, lane, seq, at_ms, kind: &kind, row, detail: &detail }.hash();
            let update = "UPDATE event SET prev = ?4, hash = ?5 WHERE run = ?1 AND lane = ?2 AND seq = ?3";
            conn.execute(update, params![run, lane.0, seq, prev, hash]).unwrap();
            (prev, last) = (hash, seq);
        }
        let update = "UPDATE lane SET seq = ?3, head = ?4 WHERE run = ?1 AND lane = ?2";
        conn.execute(update, params![run, lane.0, last, prev]).unwrap();
    }
}

/// Removes a run from every table.
pub(crate) fn remove(conn: &Connection, run: i64) {
    for table in ["event", "row", "lane", "control", "run"] {
        conn.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run]).unwrap();
    }
}

/// A journal as it was before any tampering.
struct Untouched<'a> {
    lab: &'a Lab,
    bytes: Vec<u8>,
}

impl<'a> Untouched<'a> {
    fn new(lab: &'a Lab) -> Self {
        let copy = lab.path("untouched.sqlite");
        let conn = Connection::open(lab.path("cutover.db")).unwrap();
        conn.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        Self { lab, bytes: std::fs::read(copy).unwrap() }
    }

    /// Writes a tampered copy over it and verifies the journal.
    fn but(&self, by: impl FnOnce(&Connection)) {
        for beside in ["cutover.db-wal", "cutover.db-shm"] {
            _ = std::fs::remove_file(self.lab.path(beside));
        }
        std::fs::write(self.lab.path("cutover.db"), &self.bytes).unwrap();
        tamper(&self.lab.path("cutover.db"), by);
    }
}

fn found(document: &Value) -> Vec<(Option<&str>, &str)> {
    let findings = document["findings"].as_array().unwrap();
    findings.iter().map(|found| (found["run"].as_str(), found["finding"].as_str().unwrap())).collect()
}

/// Name of an alteration, the alteration, and some of its findings, each with its run.
type Attack<'a> = (&'a str, Box<dyn Fn(&Connection) + 'a>, Vec<(Option<&'a str>, &'a str)>);

fn by_sql<'a>(sql: &'static str) -> Box<dyn Fn(&Connection) + 'a> {
    Box::new(move |conn: &Connection| conn.execute_batch(sql).unwrap())
}

pub(crate) fn renumber(conn: &Connection, from: i64, to: i64) {
    for table in ["event", "row", "lane", "control", "run"] {
        conn.execute(&format!("UPDATE {table} SET run = ?2 WHERE run = ?1"), [from, to]).unwrap();
    }
}

/// Alterations that remove, add or reorder runs.
fn on_the_order(ids: &[String; 3]) -> Vec<Attack<'_>> {
    let [first, second, third] = ids.each_ref().map(|id| Some(id.as_str()));
    vec![
        ("the first is removed", Box::new(|conn| remove(conn, 1)), vec![(None, "number_missing"), (second, "run_missing")]),
        ("one of the middle is removed", Box::new(|conn| remove(conn, 2)), vec![
            (None, "number_missing"),
            (third, "run_missing"),
            (third, "run_unnamed"),
        ]),
        ("the newest is removed", Box::new(|conn| remove(conn, 3)), vec![(None, "runs_missing")]),
        (
            "the first is removed and the others take its number",
            Box::new(move |conn| {
                remove(conn, 1);
                renumber(conn, 2, 1);
                renumber(conn, 3, 2);
                conn.execute_batch("UPDATE journal SET n_runs = 2").unwrap();
            }),
            vec![(second, "run_missing")],
        ),
        (
            "two change places",
            Box::new(move |conn| {
                renumber(conn, 1, 9);
                renumber(conn, 2, 1);
                renumber(conn, 9, 2);
            }),
            vec![(second, "run_moved"), (first, "run_unnamed"), (third, "run_unnamed")],
        ),
        ("only table run loses one", by_sql("DELETE FROM run WHERE run = 3"), vec![(None, "runs_missing")]),
        ("table run is emptied", by_sql("DELETE FROM run"), vec![(None, "runs_missing"), (None, "left_behind")]),
        (
            "all is emptied",
            by_sql("DELETE FROM run; DELETE FROM row; DELETE FROM lane; DELETE FROM event; DELETE FROM control"),
            vec![(None, "runs_missing")],
        ),
        (
            "one is added that never began",
            by_sql("INSERT INTO run SELECT 4, 'added', plan_path, plan_digest, 0, endpoint, account, settings, created_at, 0, 0, NULL, NULL,
                 NULL, NULL, 0, NULL, NULL, NULL, rules, NULL FROM run WHERE run = 3"),
            vec![(None, "runs_missing")],
        ),
        ("the journal is another one", by_sql("UPDATE journal SET id = '00'"), vec![(first, "other_journal")]),
        ("its count is another", by_sql("UPDATE journal SET n_runs = 9"), vec![(None, "runs_missing")]),
        ("its earlier runs are more", by_sql("UPDATE journal SET n_earlier = 3"), vec![(first, "earlier_differs")]),
    ]
}

/// Alterations that rewrite runs, with every hash made right again where needed.
fn on_the_content(ids: &[String; 3]) -> Vec<Attack<'_>> {
    let [first, second, third] = ids.each_ref().map(|id| Some(id.as_str()));
    vec![
        (
            "the newest names nothing before it",
            Box::new(|conn| {
                let strip = "UPDATE event SET detail = substr(detail, 1, instr(detail, ',\"after\"') - 1) || '}'
                     WHERE run = 3 AND lane = 0 AND seq = 1";
                assert_eq!(conn.execute(strip, []).unwrap(), 1);
                rechain(conn, 3);
            }),
            vec![(third, "not_chained")],
        ),
        (
            "the newest says that it is of an earlier version",
            Box::new(|conn| {
                let strip = "UPDATE event SET detail = replace(substr(detail, 1, instr(detail, ',\"after\"') - 1), 'third', 'second')
                     || '}' WHERE run = 3 AND lane = 0 AND seq = 1";
                assert_eq!(conn.execute(strip, []).unwrap(), 1);
                conn.execute_batch("UPDATE run SET rules = 'second' WHERE run = 3").unwrap();
                rechain(conn, 3);
            }),
            vec![(third, "not_chained")],
        ),
        (
            "the beginning of one is taken out",
            Box::new(|conn| {
                conn.execute_batch(
                    "DELETE FROM event WHERE run = 3 AND lane = 0 AND seq = 1;
                     UPDATE event SET seq = -seq WHERE run = 3 AND lane = 0; UPDATE event SET seq = -seq - 1 WHERE run = 3 AND lane = 0",
                )
                .unwrap();
                rechain(conn, 3);
            }),
            vec![(third, "not_begun")],
        ),
        (
            "an older one is written anew with all its hashes",
            Box::new(|conn| {
                conn.execute_batch(
                    "UPDATE event SET at = at + 1 WHERE run = 1 AND lane = 1 AND kind = 'row_settled' AND row = 3;
                     UPDATE row SET settled_at = settled_at + 1 WHERE run = 1 AND row = 3",
                )
                .unwrap();
                rechain(conn, 1);
            }),
            vec![(first, "not_as_named")],
        ),
        (
            "the newest is written anew with an event spelled otherwise",
            Box::new(|conn| {
                conn.execute_batch(
                    "UPDATE event SET detail = replace(detail, ':', ': ') WHERE run = 3 AND lane = 1 AND seq = 2",
                )
                .unwrap();
                rechain(conn, 3);
            }),
            vec![(third, "respelled")],
        ),
        (
            "a row of an older one",
            by_sql("UPDATE row SET verdict = 'already' WHERE run = 1 AND row = 1"),
            vec![(first, "row_differs")],
        ),
        (
            "what counts as on target",
            by_sql("UPDATE row SET on_target = 1 WHERE run = 2 AND row = 3"),
            vec![(second, "row_differs")],
        ),
    ]
}

#[test]
fn no_run_vanishes_from_a_journal_is_added_to_it_or_changes_its_place() {
    let _machine = shared();
    let (lab, sandbox, ids) = three_runs();
    let untouched = Untouched::new(&lab);
    untouched.but(|_| ());
    verify(&lab, &[]).exits(0);
    let on_the_order = on_the_order(&ids);
    let n_on_the_order = on_the_order.len();
    for (nth, (what, attack, expected)) in on_the_order.into_iter().chain(on_the_content(&ids)).enumerate() {
        untouched.but(attack);
        let ended = verify(&lab, &["--json"]);
        let document: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(ended.code, Some(7), "{what}: {document:#}");
        let findings = found(&document);
        assert!(expected.iter().all(|expected| findings.contains(expected)), "{what}: {findings:#?}");
        let text = verify(&lab, &[]).exits(7).stdout;
        assert!(text.contains("not what it was"), "{what}: {text}");
        if nth < n_on_the_order {
            // A new run is refused as well, and no verb writes to any of them.
            let n_asked = sandbox.ledger().len();
            for words in [&["run", "plan.csv", "--new"][..], &["run", "plan.csv"], &["retry"], &["reconcile"]] {
                let Ended { code, stderr, .. } = lab.launch(&sandbox, words);
                assert_eq!(code, Some(7), "{what}, {words:?}: {stderr}");
            }
            assert_eq!(lab.cutover(&["control", "drain"]).code, Some(7), "{what}");
            assert_eq!(sandbox.ledger().len(), n_asked, "{what}: something was asked or sent");
        }
    }
    // A complete rewrite is only found by evidence that was kept elsewhere.
    let anchor = {
        untouched.but(|_| ());
        verified(&lab, &[])["anchor"].as_str().unwrap().to_owned()
    };
    untouched.but(|conn| {
        remove(conn, 3);
        conn.execute_batch("UPDATE journal SET n_runs = 2").unwrap();
    });
    let text = verify(&lab, &[]).exits(0).stdout;
    assert!(text.contains("by itself alone") && text.contains("could have written all of it anew"), "{text}");
    assert_eq!(found(&verified(&lab, &["--anchor", &anchor])), [(None, "anchor_unknown")]);
}

#[test]
fn what_was_copied_out_for_others_is_written_to_by_nobody() {
    let _machine = shared();
    let (lab, sandbox, ids) = three_runs();
    lab.cutover(&["audit", "export", &ids[1], "-o", "bundle"]).exits(0);
    let excerpt = "bundle/journal.db";
    let before = std::fs::read(lab.path(excerpt)).unwrap();
    let n_asked = sandbox.ledger().len();
    for words in [
        &["run", "plan.csv", "--yes"][..],
        &["run", "plan.csv", "--yes", "--new"],
        &["resume", "--yes"],
        &["retry", "--yes"],
        &["reconcile"],
    ] {
        lab.cutover(&[words, &["--endpoint", &sandbox.url, "--journal", excerpt]].concat())
            .exits(7)
            .says("the journal is an excerpt")
            .says("go on in the journal that it was copied from");
    }
    lab.cutover(&["control", "drain", "--journal", excerpt]).exits(7).says("the journal is an excerpt");
    assert_eq!(sandbox.ledger().len(), n_asked, "something was asked or sent");
    assert!(std::fs::read(lab.path(excerpt)).unwrap() == before, "it was written to");
    // Reading is allowed.
    for words in [&["audit", "verify"][..], &["status"], &["report", "--format", "csv"]] {
        lab.cutover(&[words, &["--journal", excerpt]].concat()).exits(0);
    }
    lab.launch(&sandbox, &["retry"]).exits(1);
}

#[test]
fn each_run_is_proven_by_what_stands_for_it() {
    let _machine = shared();
    let (lab, sandbox, ids) = three_runs();
    let proofs = |args: &[&str]| {
        let document = verified(&lab, args);
        assert_eq!(document["ok"], true, "{document:#}");
        let runs = document["runs"].as_array().unwrap();
        runs.iter().map(|run| run["proven_by"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(proofs(&[]), ["itself", "itself", "itself"]);
    let document = verified(&lab, &[]);
    let (shown, whole) = (document["anchor"].as_str().unwrap(), document["anchor_hash"].as_str().unwrap());
    assert_eq!((shown.len(), whole.len(), document["run"].as_str()), (39, 64, Some(ids[2].as_str())));
    for code in [shown, whole, &shown.to_uppercase(), &whole[..40]] {
        assert_eq!(proofs(&["--anchor", code]), ["anchor", "anchor", "anchor"], "{code}");
    }
    let of_second = document["runs"][1]["anchor_hash"].as_str().unwrap();
    assert_eq!(proofs(&["--anchor", of_second]), ["anchor", "anchor", "itself"]);
    assert_eq!(proofs(&[&ids[2], "--anchor", shown]), ["anchor"]);
    // An anchor of the length of earlier versions is not enough for a run of this one, and a part of an anchor is no anchor.
    verify(&lab, &["--anchor", &whole[..20]]).exits(2).says("short anchor of earlier versions");
    verify(&lab, &["--anchor", &whole[..31]]).exits(2).says("an anchor has 32 hexadecimal digits");

    // A run that went on no longer has the heads that later runs name.
    lab.launch(&sandbox, &["retry", &ids[0]]).exits(1);
    assert_eq!(proofs(&["--anchor", shown]), ["itself", "anchor", "anchor"]);
    let text = verify(&lab, &["--anchor", shown]).exits(0).stdout;
    assert!(text.contains("by itself alone") && text.contains("by the anchor"), "{text}");

    if tools::lack(&["ssh-keygen"]) {
        return;
    }
    for key in ["mine", "other"] {
        lab.make_key(key);
    }
    lab.cutover(&["audit", "sign", &ids[2], "--key", "mine", "-o", "head"]).exits(0);
    let head = std::fs::read_to_string(lab.path("head")).unwrap();
    let id = lab.journal().text("SELECT id FROM journal");
    for line in [format!("journal {id}\nruns 3\ntime 2"), format!("anchor {whole}\nprevious {} {of_second}\n", ids[1])]
    {
        assert!(head.contains(&line), "{head}");
    }
    assert_eq!(proofs(&["--signature", "head.sig", "--signer", "mine.pub"]), ["itself", "signature", "signature"]);
    // A key that nobody vouches for may be anybody's.
    assert_eq!(proofs(&["--signature", "head.sig"]), ["itself", "itself", "itself"]);
    assert!(verify(&lab, &["--signature", "head.sig"]).exits(0).stdout.contains("signed  by SHA256:"));
    lab.write("elsewhere", &head);
    std::fs::rename(lab.path("head"), lab.path("moved")).unwrap();
    verify(&lab, &["--signature", "head.sig"]).exits(7);
    verify(&lab, &["--signature", "head.sig", "--head", "elsewhere"]).exits(0);
    lab.write("elsewhere", &head.replace("runs 3", "runs 4"));
    verify(&lab, &["--signature", "head.sig", "--head", "elsewhere"]).exits(7);
    // A head counts the runs, so that the newest cannot be removed.
    lab.cutover(&["audit", "sign", &ids[1], "--key", "mine", "-o", "second"]).exits(0);
    verify(&lab, &["--signature", "second.sig"]).exits(0);
    tamper(&lab.path("cutover.db"), |conn| {
        remove(conn, 3);
        conn.execute_batch("UPDATE journal SET n_runs = 2").unwrap();
    });
    verify(&lab, &[]).exits(0);
    let gone = verify(&lab, &["--signature", "second.sig"]).exits(7);
    assert!(gone.stdout.contains("3 runs had been made in the journal"), "{}", gone.stdout);
    let gone = verify(&lab, &["--signature", "head.sig", "--head", "moved"]).exits(7);
    assert!(gone.stdout.contains("is not in this journal"), "{}", gone.stdout);
}

#[test]
fn journals_of_earlier_versions_are_proven_as_they_were_and_chained_from_now_on() {
    let _machine = shared();
    for schema in ["schema-3", "schema-7", "schema-9", "schema-10"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals").join(schema);
        let lab = Lab::new();
        for (from, to) in [("journal.sqlite", "cutover.db"), ("head", "head"), ("head.sig", "head.sig")] {
            std::fs::copy(folder.join(from), lab.path(to)).unwrap();
        }
        std::fs::copy(folder.join("../signer.pub"), lab.path("signer.pub")).unwrap();
        let document = verified(&lab, &[]);
        assert_eq!(
            (&document["ok"], document["runs"].as_array().unwrap().len()),
            (&Value::from(true), 2),
            "{document:#}"
        );
        let anchors = std::fs::read_to_string(folder.join("anchors")).unwrap();
        for (place, anchor) in anchors.lines().enumerate() {
            let proven = &verified(&lab, &["--anchor", anchor])["runs"][place]["proven_by"];
            assert_eq!(proven, "anchor", "{schema} {anchor}");
        }
        // With the head that was signed, and without it: one that states no time can be made again from the journal.
        let states_a_time = std::fs::read_to_string(lab.path("head")).unwrap().contains("\ntime ");
        for args in [&["--signature", "head.sig", "--signer", "signer.pub"][..], &["--signature", "head.sig"]] {
            verify(&lab, args).exits(0);
            std::fs::rename(lab.path("head"), lab.path("kept")).unwrap();
            verify(&lab, args).exits(if states_a_time { 7 } else { 0 });
            std::fs::rename(lab.path("kept"), lab.path("head")).unwrap();
        }
        // Rows of the first run were not verified, by choice.
        let on_target =
            lab.journal().text("SELECT group_concat(on_target) FROM (SELECT on_target FROM v_run ORDER BY run)");
        let status: Value = serde_json::from_str(&lab.cutover(&["status", "--json"]).stdout).unwrap();
        assert_eq!((on_target.as_str(), status["on_target"].as_u64()), ("3,3", Some(3)), "{schema}");

        lab.write("plan.csv", &plan(2, "cutovering,cutovering"));
        let sandbox = lab.serve("plan.csv", "");
        lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
        let whole = verified(&lab, &[]);
        assert_eq!(whole["ok"], true, "{whole:#}");
        let anchor = whole["anchor"].as_str().unwrap();
        let proven = verified(&lab, &["--anchor", anchor]);
        let proofs: Vec<&Value> = proven["runs"].as_array().unwrap().iter().map(|run| &run["proven_by"]).collect();
        assert_eq!(proofs, ["anchor", "anchor", "anchor"], "{schema}");
        let untouched = Untouched::new(&lab);
        let older: [String; 2] = [1, 2].map(|run| lab.journal().text(&format!("SELECT id FROM run WHERE run = {run}")));
        for (place, run) in older.iter().zip(1..) {
            untouched.but(|conn| remove(conn, run));
            let text = verify(&lab, &[]).exits(7).stdout;
            assert!(text.contains(&format!("names run {place} before this one")), "{schema}: {text}");
        }
        untouched.but(|conn| {
            let strip = "UPDATE event SET detail = replace(substr(detail, 1, instr(detail, ',\"after\"') - 1), 'third', 'second') || '}'
                 WHERE run = 3 AND lane = 0 AND seq = 1";
            assert_eq!(conn.execute(strip, []).unwrap(), 1);
            conn.execute_batch("UPDATE run SET rules = 'second' WHERE run = 3").unwrap();
            rechain(conn, 3);
        });
        let text = verify(&lab, &[]).exits(7).stdout;
        assert!(text.contains("does not name the runs before this one"), "{schema}: {text}");
    }
}

#[test]
fn a_run_that_goes_on_or_was_killed_is_no_finding() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(40, "cutovering,cutovering"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--new", "--rate", "off"]).exits(0);
    let goes_on = lab.begin(&sandbox, &["run", "plan.csv", "--new", "--rate", "5", "--preflight", "off"]);
    sandbox.reach(45);
    verify(&lab, &[]).exits(0);
    goes_on.kill();
    verify(&lab, &[]).exits(0);
    // A run names the one before it in its state at that moment, whatever happened to it since.
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    lab.launch(&sandbox, &["run", "plan.csv", "--new", "--rate", "off"]).exits(0);
    verify(&lab, &[]).exits(0);
}

#[test]
fn rows_that_nobody_wanted_proven_are_on_target_wherever_one_looks() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "cutovering,cutovering"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--verify", "off", "--rate", "off"]).exits(0);
    let status: Value = serde_json::from_str(&lab.cutover(&["status", "--json"]).exits(0).stdout).unwrap();
    assert_eq!((status["on_target"].as_u64(), status["unproven"].as_u64()), (Some(3), Some(3)));
    let journal = lab.journal();
    for sql in ["SELECT on_target FROM v_run", "SELECT on_target FROM v_lane", "SELECT sum(on_target) FROM v_row"] {
        assert_eq!(journal.count(sql), 3, "{sql}");
    }
}

/// Removes the last events of a run's own lane, with their effect on its record, like a kill before them.
fn cut_off_behind(conn: &Connection, id: &str, seq: u64) {
    conn.execute("DELETE FROM event WHERE lane > 0 OR seq > ?1", [seq]).unwrap();
    for lane in [0, 1].map(LaneId) {
        let last = "SELECT hash FROM event WHERE lane = ?1 AND seq = ?2";
        let head: Option<Hash> = conn.query_row(last, params![lane.0, seq], |row| row.get(0)).optional().unwrap();
        let (seq, head) = head.map_or_else(|| (0, chain::genesis(id, lane)), |head| (seq, head));
        conn.execute("UPDATE lane SET seq = ?2, head = ?3 WHERE lane = ?1", params![lane.0, seq, head]).unwrap();
    }
    let of_launches =
        "UPDATE run SET launches = 0, running = 0, pid = NULL, host = NULL, started_at = NULL, elapsed_ms = 0,
         ended_at = NULL, exit_code = NULL, exit_name = NULL, exit_reason = NULL";
    conn.execute(of_launches, []).unwrap();
}

/// Makes a run of three rows in two waves, of which only the first `seq` events are recorded.
fn cut_off(seq: u64) -> (Lab, Served, String) {
    let lab = Lab::new();
    lab.write(
        "plan.csv",
        "id,copystate,cycle,wave\nvm-1,stopped,syncing,a\nvm-2,stopped,syncing,a\nvm-3,stopped,syncing,b\n",
    );
    let sandbox = lab.serve("plan.csv", "");
    let refused = ["run", "plan.csv", "--preflight", "off", "--max-changes", "1", "--endpoint", &sandbox.url, "--yes"];
    lab.cutover(&refused).exits(3);
    let id = lab.journal().value("SELECT id FROM run");
    tamper(&lab.path("cutover.db"), |conn| cut_off_behind(conn, &id, seq));
    (lab, sandbox, id)
}

/// A run and its first event are recorded together, so that nobody can edit the run before the event is there.
#[test]
fn a_run_that_was_cut_off_before_its_first_launch_goes_on_as_it_was_made_and_not_otherwise() {
    let _machine = shared();
    let (lab, sandbox, id) = cut_off(1);
    verify(&lab, &[]).exits(0);
    let untouched = Untouched::new(&lab);
    let way = ["--endpoint", &sandbox.url, "--rate", "off"];
    for edit in [
        "UPDATE row SET wave_no = 1 - wave_no",
        "UPDATE row SET canary = 1 WHERE row = 3",
        "UPDATE row SET sealed_copystate = 'syncing' WHERE row = 1",
        "UPDATE row SET standing = 'due', looked = 1 WHERE row = 2",
        "UPDATE run SET rules = 'second'",
        "UPDATE run SET settings = json_set(settings, '$.attempts', '1')",
        "UPDATE run SET settings = json_remove(settings, '$.max_changes')",
        "UPDATE run SET plan_path = 'other.csv'",
        "UPDATE run SET created_at = created_at + 1",
        "UPDATE lane SET name = 'other' WHERE lane = 1",
        "UPDATE lane SET throttled = 1 WHERE lane = 1",
        "UPDATE event SET at = at + 1",
        "DELETE FROM event",
    ] {
        untouched.but(by_sql(edit));
        verify(&lab, &[]).exits(7);
        for verb in [&["run", "plan.csv", "--yes"][..], &["resume", "--yes"], &["retry", "--yes"], &["reconcile"]] {
            let ended = lab.cutover(&[verb, &way].concat());
            assert_eq!(ended.code, Some(7), "{edit}, {verb:?}: {}", ended.stderr);
        }
    }
    assert!(sandbox.ledger().is_empty(), "something was asked or sent");
    untouched.but(|_| ());
    let ended = lab.cutover(&[&["resume", "--yes", "--events"][..], &way].concat()).exits(0);
    let told: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(told.iter().all(|event| event["kind"] != "run_started"), "{}", ended.stdout);
    assert_eq!(told[0]["kind"], "launch_began", "{}", ended.stdout);
    let kinds = "SELECT group_concat(kind) FROM (SELECT kind FROM event WHERE lane = 0 ORDER BY seq LIMIT 2)";
    assert_eq!(lab.journal().value(kinds), "run_started,launch_began");
    assert_eq!(lab.journal().value("SELECT id FROM run"), id);
    verify(&lab, &[]).exits(0);
}

#[test]
fn the_launch_that_makes_a_run_tells_that_it_began_and_nobody_else_does() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let told = |words: &[&str], code| {
        let ended = lab.launch(&sandbox, words).exits(code);
        let events = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        let of_run = |event: &Value| event["kind"] == "run_started";
        events.filter(of_run).collect::<Vec<Value>>()
    };
    let first = told(&["run", "plan.csv", "--max-changes", "1"], 3);
    let [began] = &first[..] else { panic!("{first:#?}") };
    let stored = lab.journal().value("SELECT lane || ' ' || seq || ' ' || kind FROM event WHERE lane = 0 AND seq = 1");
    assert_eq!(stored, format!("{} {} run_started", began["lane"], began["seq"]));
    assert!(told(&["run", "plan.csv"], 0).is_empty());
    assert!(told(&["resume"], 0).is_empty());
}

/// Removing everything that is recorded of a run leaves what a kill of an earlier version could leave: nothing proves then
/// that its rows are those of its plan, or that none of them was sent.
#[test]
fn a_run_of_which_nothing_is_recorded_is_gone_on_with_by_nobody() {
    let _machine = shared();
    let (lab, sandbox, id) = cut_off(0);
    lab.write("other.csv", &plan(2, "cutovering,cutovering"));
    let untouched = Untouched::new(&lab);
    let way = ["--endpoint", &sandbox.url, "--rate", "off"];
    let new =
        [&["run", "plan.csv", "--yes"][..], &["run", "plan.csv", "--new", "--yes"], &["run", "other.csv", "--yes"]];
    let goes_on = [&["resume", "--yes"][..], &["resume", &id, "--yes"], &["retry", "--yes"], &["reconcile"]];
    // The run's rules are those of this version, whatever the journal says about its age.
    for edit in [
        "",
        "UPDATE journal SET n_earlier = 1",
        "UPDATE journal SET n_earlier = 9",
        "UPDATE row SET source_id = 'vm-prod' WHERE row = 1",
    ] {
        untouched.but(|conn| conn.execute_batch(edit).unwrap());
        let document = serde_json::from_str(&verify(&lab, &["--json"]).exits(7).stdout).unwrap();
        assert_eq!(found(&document)[0], (Some(&*id), "missing"), "{edit}");
        for verb in new.into_iter().chain(goes_on) {
            lab.cutover(&[verb, &way].concat()).exits(7).says("events are missing");
        }
        for verb in [&["control", "drain"][..], &["rollback", "-o", "back.csv"]] {
            lab.cutover(verb).exits(7).says("events are missing");
        }
    }
    assert!(sandbox.ledger().is_empty() && !lab.path("back.csv").exists());
    // A journal of earlier versions may have such runs without any alteration.
    untouched.but(|conn| {
        conn.execute_batch("UPDATE journal SET n_earlier = 1; UPDATE run SET rules = 'second'").unwrap();
    });
    verify(&lab, &[]).exits(0);
    for verb in goes_on {
        let ended = lab.cutover(&[verb, &way].concat());
        ended.exits(7).says("nothing is recorded of run ").says("begin anew: `cutover run plan.csv --endpoint ");
    }
    let status = lab.cutover(&["status", &id]).exits(0).stdout;
    assert!(status.contains("cutover run plan.csv") && !status.contains("cutover resume"), "{status}");
    let ended = lab.cutover(&[new[0], &way].concat()).exits(0);
    assert!(!ended.stderr.contains("taking up"), "{}", ended.stderr);
    ended.says("not even that it began: left as it is");
    assert_eq!(lab.journal().value("SELECT group_concat(n_rows || ' ' || launches) FROM run"), "3 0,3 1");
    verify(&lab, &[]).exits(0);
}

/// Copies the first run as the newest one, with an id of its own and nothing recorded.
fn forge(conn: &Connection, id: &str) -> i64 {
    let run = conn.query_row("SELECT n_runs + 1 FROM journal", [], |row| row.get::<_, i64>(0)).unwrap();
    let copy = |table: &str, others: &[(&str, String)]| {
        let columns: Vec<String> = {
            let mut statement = conn.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
            statement.query_map([table], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let value = |column: &String| {
            let other = others.iter().find(|(name, _)| name == column);
            other.map_or_else(|| column.clone(), |(_, value)| value.clone())
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let sql = format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {table} WHERE run = 1",
            columns.join(", "),
            values.join(", ")
        );
        assert!(conn.execute(&sql, []).unwrap() > 0, "{sql}");
    };
    let number = ("run", run.to_string());
    copy("run", &[number.clone(), ("id", format!("'{id}'"))]);
    copy("lane", &[number.clone(), ("seq", "0".to_owned())]);
    copy("row", &[number]);
    conn.execute_batch(&format!(
        "UPDATE run SET launches = 0, running = 0, pid = NULL, host = NULL, started_at = NULL, elapsed_ms = 0,
             ended_at = NULL, exit_code = NULL, exit_name = NULL, exit_reason = NULL WHERE run = {run};
         UPDATE journal SET n_runs = {run}"
    ))
    .unwrap();
    for lane in [0, 1].map(LaneId) {
        let head = chain::genesis(id, lane);
        conn.execute("UPDATE lane SET head = ?3 WHERE run = ?1 AND lane = ?2", params![run, lane.0, head]).unwrap();
    }
    run
}

#[test]
fn a_run_that_nobody_made_is_gone_on_with_by_nobody() {
    let _machine = shared();
    let (lab, sandbox, _) = cut_off(1);
    lab.write("other.csv", &plan(2, "cutovering,cutovering"));
    let untouched = Untouched::new(&lab);
    let id = "20991231t235959-zzzz";
    let way = ["--endpoint", &sandbox.url, "--rate", "off"];
    for edit in ["", "UPDATE journal SET n_earlier = 2"] {
        untouched.but(|conn| {
            forge(conn, id);
            conn.execute_batch(edit).unwrap();
        });
        verify(&lab, &[]).exits(7);
        for verb in [
            &["run", "plan.csv", "--yes"][..],
            &["run", "other.csv", "--yes"],
            &["resume", "--yes"],
            &["resume", id, "--yes"],
            &["retry", "--yes"],
            &["reconcile"],
        ] {
            let ended = lab.cutover(&[verb, &way].concat());
            assert_eq!(ended.code, Some(7), "{edit}, {verb:?}: {}", ended.stderr);
        }
    }
    assert!(sandbox.ledger().is_empty(), "something was asked or sent");
}

type Edit<'a> = Box<dyn Fn(&Connection) + 'a>;

/// A lane without events is in no chain: only the run's first event proves that it exists.
#[test]
fn a_run_has_the_lanes_that_it_began_with() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
    let id = lab.journal().text("SELECT id FROM run");
    let untouched = Untouched::new(&lab);
    let with_another = |conn: &Connection| {
        let sql = "INSERT INTO lane (run, lane, name, seq, head, endpoint, account)
                   SELECT run, 2, 'other', 0, ?1, endpoint, 'other' FROM lane WHERE lane = 1";
        conn.execute(sql, [chain::genesis(&id, LaneId(2))]).unwrap();
    };
    untouched.but(with_another);
    let text = verify(&lab, &[]).exits(7).stdout;
    assert!(text.contains("run: lanes not what its events say") && text.contains("lane 2: name"), "{text}");
    lab.cutover(&["audit", "export", "-o", "with-another.zip"]).exits(7);

    let (lab, _sandbox, id) = cut_off(1);
    let untouched = Untouched::new(&lab);
    let edits: [(&str, Edit<'_>); 3] = [
        ("it is gone", by_sql("DELETE FROM lane WHERE lane = 1")),
        (
            "it has another number",
            Box::new(|conn: &Connection| {
                let sql = "UPDATE lane SET lane = 2, head = ?1 WHERE lane = 1";
                assert_eq!(conn.execute(sql, [chain::genesis(&id, LaneId(2))]).unwrap(), 1);
            }),
        ),
        (
            "there is another",
            Box::new(|conn: &Connection| {
                let sql = "INSERT INTO lane (run, lane, name, seq, head, endpoint, account)
                           SELECT run, 2, name, 0, ?1, endpoint, account FROM lane WHERE lane = 1";
                conn.execute(sql, [chain::genesis(&id, LaneId(2))]).unwrap();
            }),
        ),
    ];
    for (what, edit) in edits {
        untouched.but(edit);
        let ended = verify(&lab, &[]);
        assert_eq!(ended.code, Some(7), "{what}: {}", ended.stdout);
    }
}
