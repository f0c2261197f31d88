//! Runs and launches: begun, begun again, resumed, retried, reconciled, refused.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use rusqlite::Connection;

use crate::lab::home::{Lab, with_yes};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::served::{Served, TOKEN};
use crate::lab::{id, plan};

fn bench(n: usize, scenario: &str) -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(n, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", scenario);
    (lab, sandbox)
}

const RUN: [&str; 4] = ["run", "plan.csv", "--rate", "off"];

/// Begins a run and kills it once some rows were answered.
fn cut_short(lab: &Lab, sandbox: &Served) {
    let launch = lab.begin(sandbox, &["run", "plan.csv", "--rate", "100"]);
    assert!(launch.reaches_nth("attempt_ended", 10));
    launch.kill();
}

#[test]
fn an_unfinished_run_is_taken_up_unless_one_wants_a_new_one() {
    let _machine = shared();
    let (lab, sandbox) = bench(80, "");
    cut_short(&lab, &sandbox);
    let run = lab.journal().text("SELECT id FROM run");
    lab.launch(&sandbox, &RUN).exits(0).says(&format!("taking up run {run}"));
    assert_eq!(lab.journal().count("SELECT count(*) FROM run"), 1);
    // The run is finished: the same plan makes another run, which finds every row on target.
    lab.launch(&sandbox, &RUN).exits(0);
    assert_eq!(lab.journal().count("SELECT count(*) FROM run"), 2);
    assert_eq!(lab.journal().tally()["already"], 80);
}

#[test]
fn new_and_an_edited_plan_are_runs_of_their_own() {
    let _machine = shared();
    let (lab, sandbox) = bench(80, "");
    cut_short(&lab, &sandbox);
    lab.launch(&sandbox, &[&RUN[..], &["--new"]].concat()).exits(0);
    assert_eq!(lab.journal().count("SELECT count(*) FROM run"), 2);
    lab.write("plan.csv", &plan(79, "stopped,syncing"));
    lab.launch(&sandbox, &RUN).exits(0);
    assert_eq!(lab.journal().count("SELECT count(*) FROM run"), 3);
    assert_eq!(lab.journal().count("SELECT count(DISTINCT plan_digest) FROM run"), 2);
}

#[test]
fn a_run_is_resumed_without_its_plan() {
    let _machine = shared();
    let (lab, sandbox) = bench(80, "");
    cut_short(&lab, &sandbox);
    std::fs::remove_file(lab.path("plan.csv")).unwrap();
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    assert_eq!(lab.journal().tally()["applied"], 80);
}

#[test]
fn a_retry_opens_only_the_rows_that_are_named() {
    let _machine = shared();
    let scenario = r#"
[[fault]]
sources = ["vm-00001", "vm-00002"]
kind = "status"
status = 400
code = "SMS.1104"
[[fault]]
sources = ["vm-00003"]
kind = "silent"
[[moved]]
source = "vm-00004"
to = { copystate = "error" }
after = "change"
"#;
    let (lab, sandbox) = bench(6, scenario);
    let quick = ["--rate", "off", "--verify-timeout", "1s"];
    lab.launch(&sandbox, &[&["run", "plan.csv"], &quick[..]].concat()).exits(1);
    let before = lab.journal().tally();
    assert_eq!((before["refused"], before["no_effect"], before["overtaken"]), (2, 1, 1));
    lab.launch(&sandbox, &[&["retry", "--only", "refused"], &quick[..]].concat()).exits(1);
    assert_eq!(lab.journal().tally()["applied"], 4);
    for i in 1..=2 {
        lab.journal().ends_in(&id(i), "applied");
    }
    assert_eq!(lab.journal().ends_in("vm-00003", "no_effect").attempts, 1);
    // Overtaken rows are opened again only when they are named.
    lab.launch(&sandbox, &[&["retry"], &quick[..]].concat()).exits(1);
    lab.journal().ends_in("vm-00003", "applied");
    lab.journal().ends_in("vm-00004", "overtaken");
    lab.launch(&sandbox, &[&["retry", "--only", "overtaken"], &quick[..]].concat()).exits(0);
    lab.journal().ends_in("vm-00004", "applied");
}

#[test]
fn a_reconcile_settles_what_is_in_doubt_and_sends_no_change() {
    let _machine = shared();
    let (lab, sandbox) = bench(8, "[[fault]]\nshare = 1.0\nkind = \"hang_after\"\n");
    let launch = lab.begin(&sandbox, &[&RUN[..], &["--concurrency", "4"]].concat());
    sandbox.reach(4);
    launch.kill();
    let n_changes = sandbox.changes().len();
    // Rows that were never sent stay as they are.
    lab.launch(&sandbox, &["reconcile"]).exits(1);
    assert_eq!(sandbox.changes().len(), n_changes);
    let tally = lab.journal().tally();
    assert_eq!((tally.get("applied"), tally.get("in_doubt")), (Some(&n_changes), None), "{tally:?}");
}

#[test]
fn a_plan_may_come_from_standard_input() {
    let _machine = shared();
    let (lab, sandbox) = bench(5, "");
    let mut command = lab.command(&with_yes(&sandbox, &["run", "-", "--rate", "off"]));
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(plan(5, "stopped,syncing").as_bytes()).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(lab.journal().tally()["applied"], 5);
    // The same rows are the same plan, whatever file they come from, and all are on target.
    lab.launch(&sandbox, &RUN).exits(0);
    assert_eq!(lab.journal().count("SELECT count(DISTINCT plan_digest) FROM run"), 1);
}

#[test]
fn what_only_shows_sends_nothing_and_leaves_no_journal() {
    let _machine = shared();
    let (lab, sandbox) = bench(5, "");
    for args in [&["plan", "plan.csv"][..], &["run", "plan.csv", "--dry-run"]] {
        let ended = lab.cutover(&[args, &["--endpoint", &sandbox.url]].concat()).exits(0);
        assert!(ended.stdout.contains("5 to change"), "{}", ended.stdout);
    }
    assert!(sandbox.ledger().iter().all(|request| request.method == "GET"));
    assert!(!lab.path("cutover.db").exists());
}

#[test]
fn what_policy_forbids_is_refused_before_the_first_change() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "finished,cutovered"));
    let sandbox = lab.serve("plan.csv", "");
    lab.cutover(&["run", "plan.csv", "--endpoint", &sandbox.url]).exits(2).says("--yes");
    lab.launch(&sandbox, &RUN).exits(3).says("--allow-irreversible");
    lab.launch(&sandbox, &[&RUN[..], &["--allow-irreversible", "--max-changes", "4"]].concat())
        .exits(3)
        .says("--max-changes");
    assert_eq!(sandbox.changes().len(), 0);
    assert_eq!(lab.journal().n_events("attempt_started"), 0);
    lab.launch(&sandbox, &[&RUN[..], &["--allow-irreversible", "--max-changes", "5"]].concat()).exits(0);
}

#[test]
fn a_newer_journal_or_another_file_is_refused_in_those_words() {
    let _machine = shared();
    let (lab, sandbox) = bench(2, "");
    lab.launch(&sandbox, &RUN).exits(0);
    let n_requests = sandbox.ledger().len();
    Connection::open(lab.path("cutover.db")).unwrap().pragma_update(None, "user_version", 999).unwrap();
    for verb in [&RUN[..], &["resume"], &["reconcile"]] {
        lab.launch(&sandbox, verb).exits(2).says("newer");
    }
    lab.write("notes.db", "these are somebody's notes, and no database at all");
    Connection::open(lab.path("other.db")).unwrap().execute_batch("CREATE TABLE song (title TEXT)").unwrap();
    for file in ["notes.db", "other.db"] {
        let before = std::fs::read(lab.path(file)).unwrap();
        lab.launch(&sandbox, &[&RUN[..], &["--journal", file]].concat()).exits(7);
        assert_eq!(std::fs::read(lab.path(file)).unwrap(), before, "{file} is not ours to write");
    }
    assert_eq!(sandbox.ledger().len(), n_requests);
}

#[test]
fn the_token_is_nowhere_in_output_journal_or_log() {
    let _machine = shared();
    let scenario = r#"
[[fault]]
share = 0.5
kind = "status"
status = 500
[[fault]]
share = 0.5
kind = "forbidden"
"#;
    let (lab, sandbox) = bench(100, scenario);
    let stored = || ["cutover.db", "cutover.db-wal"].map(|name| std::fs::read(lab.path(name)).unwrap_or_default());
    // Also in the files that a killed launch leaves beside the journal.
    cut_short(&lab, &sandbox);
    let mut files = stored().to_vec();
    assert!(!files[1].is_empty());
    let mut shown = String::new();
    for args in [
        with_yes(&sandbox, &["run", "plan.csv", "--rate", "off", "-v"]),
        with_yes(&sandbox, &["run", "plan.csv", "--rate", "off", "--new", "--log-format", "json"]),
        vec!["explain", "vm-00001"],
        vec!["status", "--json"],
        vec!["report", "--format", "json"],
    ] {
        let ended = lab.cutover(&args);
        shown.push_str(&ended.stdout);
        shown.push_str(&ended.stderr);
    }
    // Nor does a launch with a wrong token.
    let mut wrong = lab.command(&with_yes(&sandbox, &RUN));
    wrong.env("CUTOVER_AUTH_TOKEN", "a-wrong-and-secret-token");
    let ended = Launch::start(wrong).end().exits(5);
    shown.push_str(&ended.stdout);
    shown.push_str(&ended.stderr);
    files.extend(stored());
    for secret in [TOKEN, "a-wrong-and-secret-token"] {
        assert!(!shown.contains(secret), "{secret} is printed");
        for file in &files {
            assert!(!file.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{secret} is stored");
        }
    }
}

#[test]
fn waves_run_in_order() {
    let _machine = shared();
    let lab = Lab::new();
    let mut rows = String::from("source_id,copystate,migrationcycle,wave\n");
    // Waves go in the order of first appearance, however the rows are mixed.
    for i in 1..=60 {
        writeln!(rows, "{},stopped,syncing,{}", id(i), ["late", "early", "last"][i % 3]).unwrap();
    }
    lab.write("plan.csv", &rows);
    let sandbox =
        lab.serve("plan.csv", "latency_ms = [1, 60]\n[[fault]]\nshare = 0.1\nkind = \"status\"\nstatus = 500\n");
    lab.launch(&sandbox, &RUN).exits(0);
    let order = lab
        .journal()
        .text("SELECT group_concat(wave, ' ') FROM (SELECT wave FROM row GROUP BY wave ORDER BY min(row))");
    assert_eq!(order, "early last late");
    // In the order of commits: no attempt of a wave comes before the last verdict of the wave before it.
    let overlaps = lab.journal().count(
        "SELECT count(*) FROM event JOIN row USING (run, row)
         WHERE kind = 'attempt_started' AND wave_no > 0 AND event.seq <
           (SELECT max(e.seq) FROM event e JOIN row r ON r.run = e.run AND r.row = e.row
            WHERE e.kind = 'attempt_ended' AND r.wave_no = row.wave_no - 1)",
    );
    assert_eq!(overlaps, 0);
    let waves: Vec<usize> = sandbox.changes().iter().map(|change| number(change.source_id.as_deref()) % 3).collect();
    let is_sorted = waves.iter().map(|wave| (wave + 2) % 3).is_sorted();
    assert!(is_sorted, "{waves:?}");
}

fn number(id: Option<&str>) -> usize {
    id.unwrap().trim_start_matches("vm-").parse().unwrap()
}

#[test]
fn a_retry_that_does_not_go_ahead_leaves_the_verdicts() {
    let _machine = shared();
    let scenario = r#"
[[fault]]
share = 1.0
kind = "status"
status = 400
code = "SMS.1104"
times = 0
"#;
    let (lab, sandbox) = bench(3, scenario);
    lab.launch(&sandbox, &RUN).exits(1);
    let n_changes = sandbox.changes().len();
    lab.launch(&sandbox, &["retry", "--max-changes", "1"]).exits(3);
    assert_eq!(lab.journal().tally()["refused"], 3);
    assert_eq!(sandbox.changes().len(), n_changes);
    lab.cutover(&["audit", "verify"]).exits(0);
}

#[test]
fn what_showed_too_late_is_applied_when_it_is_looked_at_again() {
    let _machine = shared();
    let scenario = "[[fault]]\nshare = 1.0\nkind = \"slow_effect\"\nafter_ms = 2500\n";
    let (lab, sandbox) = bench(2, scenario);
    let before = sandbox.truth()["vm-00001"].copystate.clone();
    lab.launch(&sandbox, &[&RUN[..], &["--verify-timeout", "1s"]].concat()).exits(1);
    assert_eq!(lab.journal().tally()["no_effect"], 2);
    while sandbox.truth()["vm-00001"].copystate == before {
        std::thread::yield_now();
    }
    lab.launch(&sandbox, &["retry", "--rate", "off"]).exits(0);
    assert_eq!(lab.journal().tally()["applied"], 2);
    let was = lab.journal().text("SELECT before_copystate FROM v_row WHERE source_id = 'vm-00001'");
    assert_eq!(was, before, "what a roll-back would go to is not rewritten");
}

#[test]
fn what_nobody_wanted_proven_stays_on_target_for_later_launches() {
    let _machine = shared();
    let (lab, sandbox) = bench(3, "");
    lab.launch(&sandbox, &[&RUN[..], &["--verify", "off"]].concat()).exits(0);
    lab.launch(&sandbox, &["resume"]).exits(0);
    lab.launch(&sandbox, &["retry"]).exits(0);
    assert_eq!(sandbox.changes().len(), 3);
    assert_eq!(lab.journal().tally()["unverified"], 3);
}

#[test]
fn two_launches_that_make_one_journal_at_once_both_get_it() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("a.csv", &plan(2, "stopped,syncing"));
    lab.write("b.csv", &plan(3, "stopped,syncing"));
    for n in 0..6 {
        let journal = format!("{n}.db");
        let args = |plan: &'static str| {
            ["run", plan, "--endpoint", "sandbox", "--yes", "--journal", &journal].map(str::to_owned)
        };
        let [a, b] = ["a.csv", "b.csv"].map(|plan| {
            let args = args(plan);
            Launch::start(lab.command(&args.each_ref().map(String::as_str)))
        });
        a.end().exits(0);
        b.end().exits(0);
    }
}

#[test]
fn approvals_that_are_given_at_the_same_moment_are_all_kept() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "cutovering,cutovering"));
    lab.cutover(&["plan", "plan.csv", "--endpoint", "sandbox", "-o", "sealed.plan", "--as", "Ada"]).exits(0);
    let names: Vec<String> = (1..=8).map(|n| format!("P{n}")).collect();
    let all = names.iter().map(|name| Launch::start(lab.command(&["approve", "sealed.plan", "--as", name])));
    let all: Vec<Launch> = all.collect();
    for approving in all {
        approving.end().exits(0);
    }
    let sealed = std::fs::read_to_string(lab.path("sealed.plan")).unwrap();
    for name in &names {
        assert!(sealed.contains(&format!("{{\"approval\":{{\"as\":\"{name}\"")), "{name} is lost:\n{sealed}");
    }
    lab.cutover(&["check", "sealed.plan"]).exits(0);
}
