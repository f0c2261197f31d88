//! A run is copied from the servers of its log into the journals of other machines, while it goes on and afterwards.

use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::Value;

use super::{server, url};
use crate::lab::home::Lab;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::schemas::{COLLECTED, SERVED};

/// Returns all cells of the events, rows and lanes of a run but its number.
fn entries(lab: &Lab, run: &str) -> Vec<(String, Vec<Cell>)> {
    let conn = Connection::open(lab.path("cutover.db")).unwrap();
    let mut all = Vec::new();
    for (table, order) in [("event", "lane, seq"), ("row", "row"), ("lane", "lane")] {
        let sql = format!("SELECT * FROM {table} WHERE run = (SELECT run FROM run WHERE id = ?1) ORDER BY {order}");
        let mut statement = conn.prepare(&sql).unwrap();
        let n_columns = statement.column_count();
        let mut found = statement.query([run]).unwrap();
        while let Some(entry) = found.next().unwrap() {
            all.push((table.to_owned(), (1..n_columns).map(|at| entry.get(at).unwrap()).collect()));
        }
    }
    all
}

fn is_same(head: &Lab, other: &Lab, run: &str) {
    let (ours, theirs) = (entries(head, run), entries(other, run));
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        assert_eq!(ours, theirs);
    }
}

/// Asserts that a document has the fields of one that is held against its schema.
fn has_fields_of(document: &Value, held: &Value) {
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(document), fields(held));
}

fn json(lab: &Lab, args: &[&str]) -> Value {
    serde_json::from_str(&lab.cutover(&[args, &["--json"]].concat()).exits(0).stdout).unwrap()
}

#[test]
fn a_run_is_the_same_in_each_journal_that_collects_it_while_it_goes_on_and_at_its_end() {
    let _machine = shared();
    let Some(server) = server() else { return };
    let (engine, [head, first, second]) = (url(&server), [(); 3].map(|()| Lab::new()));
    head.write("plan.csv", &plan(60, "stopped,syncing"));
    let sandbox = head.serve("plan.csv", "[[fault]]\nsources = [\"vm-00003\"]\nkind = \"forbidden\"\ntimes = 99\n");
    // The other has a run of its own, before and behind.
    second.write("own.csv", &plan(3, "stopped,syncing"));
    second.launch(&sandbox, &["run", "own.csv", "--rate", "off", "--new"]);
    let launch = head.begin(&sandbox, &["run", "plan.csv", "--rate", "20", "--engine", &engine]);
    sandbox.reach(5);
    let run = head.journal().text("SELECT id FROM run");
    let run = &*run;
    let part = first.cutover(&["collect", &run[..12], "--engine", &engine]).exits(0);
    assert!(part.stdout.starts_with(&format!("Run {run} is in cutover.db: 60 rows, ")), "{}", part.stdout);
    assert!(part.stdout.contains("  state   launch 1 has not ended, on "), "{}", part.stdout);
    // While it goes on, nothing is removed.
    let kept = first.cutover(&["collect", run, "--forget", "--engine", &engine]).exits(3);
    assert!(kept.stderr.contains("stays on the servers of its log: its last launch has not ended"), "{}", kept.stderr);
    let follow = Launch::start(second.command(&["collect", run, "--follow", "--engine", &engine]));
    let ended = launch.end().exits(1);
    let followed = follow.end().exits(0);
    assert!(followed.stdout.contains("  state   its last launch ended with 1 (not_on_target)"), "{}", followed.stdout);
    let again = json(&first, &["collect", run, "--engine", &engine]);
    second.launch(&sandbox, &["run", "own.csv", "--rate", "off", "--new"]);
    assert_eq!(
        (&again["run"], &again["rows"], &again["running"], &again["exit_name"]),
        (&Value::from(run), &Value::from(60), &Value::from(false), &Value::from("not_on_target"))
    );
    has_fields_of(&again, &serde_json::from_str(COLLECTED).unwrap());
    let anchor = again["anchor"].as_str().unwrap();
    assert!(ended.stdout.contains(anchor) || ended.stderr.contains(anchor), "{}{}", ended.stdout, ended.stderr);
    for other in [&first, &second] {
        is_same(&head, other, run);
        let verified = other.cutover(&["audit", "verify", run, "--anchor", anchor]).exits(0);
        assert!(verified.stdout.contains("  made    in another journal, "), "{}", verified.stdout);
        other.cutover(&["audit", "verify"]).exits(0);
        for args in
            [&["report", run, "--format", "csv"][..], &["explain", "vm-00003", "--run", run], &["rollback", run]]
        {
            let [ours, theirs] = [&head, other].map(|lab| lab.cutover(args).stdout);
            assert_eq!(ours, theirs, "{args:?}");
        }
        other.cutover(&["audit", "export", run, "-o", "bundle"]).exits(0);
        other.cutover(&["audit", "verify", "--bundle", "bundle"]).exits(0);
    }
}

#[test]
fn the_runs_on_the_servers_are_listed_and_forgotten_once_they_are_copied_and_settled() {
    let _machine = shared();
    let Some(server) = server() else { return };
    let (engine, [head, other]) = (url(&server), [(); 2].map(|()| Lab::new()));
    let none = other.cutover(&["runs", "--engine", &engine]).exits(0);
    assert!(none.stdout.is_empty() && none.stderr.contains("there is no run on the servers"), "{}", none.stderr);
    head.write("plan.csv", &plan(4, "stopped,syncing"));
    let sandbox = head.serve("plan.csv", "");
    head.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--engine", &engine]).exits(0);
    let run = head.journal().text("SELECT id FROM run");
    let listed = other.cutover(&["runs", "--engine", &engine]).exits(0).stdout;
    assert!(listed.contains(&run) && listed.contains("plan.csv") && listed.contains("ended with 0 (done)"), "{listed}");
    let document = json(&other, &["runs", "--engine", &engine]);
    assert_eq!(document["schema"], "cutover.served.v1");
    assert_eq!(
        (&document["runs"][0]["run"], &document["runs"][0]["state"], &document["runs"][0]["rows"]),
        (&Value::from(&*run), &Value::from("ended"), &Value::from(4))
    );
    let sample: Value = serde_json::from_str(SERVED).unwrap();
    has_fields_of(&document["runs"][0], &sample["runs"][0]);
    for (args, code, says) in [
        (&["collect", "2099"][..], 2, "there is no run `2099` on the servers of the log"),
        (&["collect", ""], 2, "there is no run `` on the servers of the log"),
    ] {
        let refused = other.cutover(&[args, &["--engine", &engine]].concat()).exits(code);
        assert!(refused.stderr.contains(says), "{}", refused.stderr);
    }
    let unnamed = other.cutover(&["collect", &run]).exits(2);
    assert!(unnamed.stderr.contains("hint: `--engine nats://HOST:4222`"), "{}", unnamed.stderr);
    assert!(!other.path("cutover.db").exists(), "what was refused has made no journal");
    let gone = other.cutover(&["collect", &run, "--forget", "--engine", &engine]).exits(0).stdout;
    assert!(gone.contains("servers have it no more"), "{gone}");
    is_same(&head, &other, &run);
    other.cutover(&["collect", &run, "--engine", &engine]).exits(2);
    assert!(other.cutover(&["runs", "--engine", &engine]).exits(0).stdout.is_empty());
}
