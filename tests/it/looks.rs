//! Looks before a change is sent again, and as the only proof.

use std::fmt::Write as _;

use crate::lab::books::nothing_is_sent_again_unseen;
use crate::lab::home::Lab;
use crate::lab::machine::shared;
use crate::lab::served::{Request, Served};
use crate::lab::{id, plan};

const QUICK: [&str; 6] = ["--rate", "off", "--timeout", "1s", "--verify-timeout", "2s"];

fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["run", "plan.csv"], &QUICK[..], more].concat()
}

/// Serves this many rows that go from syncing/syncing to a target, under a scenario.
fn bench(n: usize, target: &str, scenario: &str) -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(n, target));
    let sandbox = lab.serve("plan.csv", scenario);
    (lab, sandbox)
}

#[test]
fn a_lost_answer_is_followed_by_a_look_and_never_by_a_change() {
    let _machine = shared();
    let scenario = r#"
[[fault]]
sources = ["vm-00001"]
kind = "reset_before"
[[fault]]
sources = ["vm-00002"]
kind = "reset_after"
[[fault]]
sources = ["vm-00003"]
kind = "hang_before"
[[fault]]
sources = ["vm-00004"]
kind = "hang_after"
[[fault]]
sources = ["vm-00005"]
kind = "status"
status = 500
[[fault]]
sources = ["vm-00006"]
kind = "status"
status = 503
effect = true
[[fault]]
sources = ["vm-00007"]
kind = "status"
status = 200
body = "html"
[[fault]]
sources = ["vm-00008"]
kind = "status"
status = 200
body = "html"
effect = true
[[fault]]
sources = ["vm-00009"]
kind = "status"
status = 200
body = "huge"
"#;
    let (lab, sandbox) = bench(9, "stopped,syncing", scenario);
    let ended = lab.launch(&sandbox, &run(&[]));
    let ledger = sandbox.ledger();
    nothing_is_sent_again_unseen(&ledger);
    for i in 1..=9 {
        lab.journal().ends_in(&id(i), "applied");
        let n_changes = sandbox.story_of(&id(i)).iter().filter(|method| **method == "PUT").count();
        let had_effect_at_first = [2, 4, 6, 8].contains(&i);
        assert_eq!(n_changes, if had_effect_at_first { 1 } else { 2 }, "{}: {:?}", id(i), sandbox.story_of(&id(i)));
        assert_a_second_passes_before_the_look(&ledger, &id(i));
    }
    ended.exits(0);
}

#[test]
fn a_service_that_answers_slowly_still_gets_its_rows_done() {
    let _machine = shared();
    // A look that takes this long is stale when it returns.
    let scenario = r#"
latency_ms = [5500, 5500]
[[fault]]
share = 1.0
kind = "status"
status = 500
"#;
    let (lab, sandbox) = bench(2, "stopped,syncing", scenario);
    let args = ["run", "plan.csv", "--rate", "off", "--concurrency", "1", "--verify-timeout", "20s"];
    let ended = lab.launch(&sandbox, &args);
    nothing_is_sent_again_unseen(&sandbox.ledger());
    for i in 1..=2 {
        let story = sandbox.story_of(&id(i));
        assert_eq!(story.iter().filter(|method| **method == "PUT").count(), 2, "{story:?}");
        assert!(story.len() <= 6, "it is not looked at over and over: {story:?}");
    }
    ended.exits(0);
}

#[test]
fn a_row_whose_launch_was_killed_is_read_a_second_later_before_it_is_sent_again() {
    let _machine = shared();
    let (lab, sandbox) = bench(1, "stopped,syncing", "[[fault]]\nshare = 1.0\nkind = \"hang_before\"\n");
    let launch = lab.begin(&sandbox, &run(&[]));
    sandbox.reach(1);
    launch.kill();
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    nothing_is_sent_again_unseen(&sandbox.ledger());
    assert_a_second_passes_before_the_look(&sandbox.ledger(), &id(1));
    assert_eq!(sandbox.changes().len(), 2);
}

/// Checks that the deciding look leaves a second after the first of two changes, or after one lost change: a slow server may
/// still be processing it.
#[track_caller]
fn assert_a_second_passes_before_the_look(ledger: &[Request], id: &str) {
    let is_change = |request: &&Request| request.is_change() && request.source_id.as_deref() == Some(id);
    let first = ledger.iter().find(is_change).unwrap().at_us;
    let again = ledger.iter().filter(is_change).nth(1).map_or(u64::MAX, |change| change.at_us);
    let looks = ledger.iter().filter(|request| request.shows(id) && request.at_us > first && request.at_us < again);
    let last = looks.map(|look| look.at_us).max().unwrap();
    // Arrival times are compared, and the change may have been a moment longer on its way.
    assert!(last - first > 950_000, "{id} was looked at after {} ms", (last - first) / 1000);
}

#[test]
fn what_somebody_else_moved_is_overtaken_and_left_alone() {
    let _machine = shared();
    let scenario = r#"
[[fault]]
sources = ["vm-00001"]
kind = "hang_before"
[[moved]]
source = "vm-00002"
to = { copystate = "error" }
after = "change"
"#;
    let (lab, sandbox) = bench(2, "stopped,syncing", scenario);
    let launch = lab.begin(&sandbox, &run(&[]));
    sandbox.reach(2);
    sandbox.move_to("vm-00001", "error", "syncing");
    launch.end().exits(1);
    for id in ["vm-00001", "vm-00002"] {
        lab.journal().ends_in(id, "overtaken");
        assert_eq!(sandbox.truth()[id].copystate, "error");
    }
    assert_eq!(sandbox.changes().len(), 2, "hands off");
}

#[test]
fn a_stale_read_is_no_failure() {
    let _machine = shared();
    let (lab, sandbox) = bench(5, "stopped,syncing", "stale_reads_ms = 1500");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--verify-timeout", "10s"]).exits(0);
    assert_eq!(lab.journal().tally()["applied"], 5);
    assert_eq!(sandbox.changes().len(), 5);
}

#[test]
fn no_effect_needs_a_look_at_the_end_of_the_window() {
    let _machine = shared();
    let scenario = r#"
[[fault]]
sources = ["vm-00001"]
kind = "silent"
times = 0
[[moved]]
source = "vm-00002"
to = { copystate = "syncing" }
after = "change"
"#;
    let (lab, sandbox) = bench(2, "cutovering,cutovering", scenario);
    lab.launch(&sandbox, &run(&[])).exits(1);
    let journal = lab.journal();
    journal.ends_in("vm-00001", "no_effect");
    let half = journal.ends_in("vm-00002", "no_effect");
    assert!(half.reason.contains("migrationcycle is on target, copystate is still `syncing`"), "{}", half.reason);
    let ledger = sandbox.ledger();
    assert_eq!(ledger.iter().filter(|request| request.is_change()).count(), 2);
    for id in ["vm-00001", "vm-00002"] {
        let change = ledger.iter().find(|r| r.is_change() && r.source_id.as_deref() == Some(id)).unwrap();
        let last_look = ledger.iter().rfind(|request| request.shows(id)).unwrap();
        assert!(last_look.at_us - change.at_us >= 2_000_000, "{id}: {}", last_look.at_us - change.at_us);
    }
}

#[test]
fn what_cannot_be_proven_is_unverified_and_only_fine_if_nobody_wants_proof() {
    let _machine = shared();
    let (lab, sandbox) = bench(3, "stopped,syncing", "");
    lab.launch(&sandbox, &run(&["--verify", "off"])).exits(0);
    assert_eq!(lab.journal().tally()["unverified"], 3);
    assert_eq!(sandbox.changes().len(), 3);

    let (lab, sandbox) = bench(3, "premiging,setting", "");
    lab.launch(&sandbox, &run(&[])).exits(1);
    assert_eq!(lab.journal().tally()["unverified"], 3);
    assert_eq!(sandbox.changes().len(), 3);

    let reads_fail = "[[fault]]\nshare = 1.0\non = \"read\"\nkind = \"status\"\nstatus = 500\ntimes = 0\n";
    let (lab, sandbox) = bench(1, "stopped,syncing", reads_fail);
    lab.launch(&sandbox, &run(&["--preflight", "off", "--attempts", "1"])).exits(1);
    lab.journal().ends_in("vm-00001", "unverified");
}

#[test]
fn what_is_there_already_or_must_not_be_touched_is_not_sent() {
    let _machine = shared();
    let silent = ["unavailable", "stopping", "stopped", "deleting", "finished", "clearing", "clearfailed"];
    let rows = [
        // Id, target, expected state, and present state of the source.
        ("there", "stopped,syncing", ",", "stopped", "syncing"),
        ("in-other-words", "init,replicating", ",", "initialize", "replicating"),
        ("expects-state", "error,syncing", "replicate,", "syncing", "syncing"),
        ("expects-cycle", "error,syncing", ",cutovering", "syncing", "syncing"),
    ];
    let rows = rows.into_iter().chain(silent.map(|state| (state, "error,syncing", ",", state, "syncing")));
    let mut plan = String::from("source_id,copystate,migrationcycle,expect_copystate,expect_migrationcycle\n");
    let mut scenario = String::new();
    for (id, target, expected, copystate, cycle) in rows {
        writeln!(plan, "{id},{target},{expected}").unwrap();
        writeln!(scenario, "[[source]]\nid = '{id}'\ncopystate = '{copystate}'\nmigrationcycle = '{cycle}'").unwrap();
    }
    plan.push_str("unknown,error,syncing,,\n");
    scenario.push_str("[[source]]\nid = 'unknown'\nmissing = true\n");
    let lab = Lab::new();
    lab.write("plan.csv", &plan);
    let sandbox = lab.serve("plan.csv", &scenario);
    lab.launch(&sandbox, &run(&[])).exits(1);
    let journal = lab.journal();
    for state in silent {
        let row = journal.ends_in(state, "blocked");
        assert!(row.reason.contains(state), "{}", row.reason);
    }
    for id in ["there", "in-other-words"] {
        journal.ends_in(id, "already");
    }
    for id in ["expects-state", "expects-cycle", "unknown"] {
        journal.ends_in(id, "blocked");
    }
    assert_eq!(sandbox.changes().len(), 0);
    let unknown_by_id = sandbox.ledger().iter().any(|request| request.source_id.as_deref() == Some("unknown"));
    assert!(unknown_by_id, "absence from pages proves nothing");
}

#[test]
fn attempts_used_up_and_not_on_target_is_failed_after_a_last_look() {
    let _machine = shared();
    let scenario = "[[fault]]\nshare = 1.0\nkind = \"status\"\nstatus = 500\ntimes = 0\n";
    let (lab, sandbox) = bench(2, "stopped,syncing", scenario);
    lab.launch(&sandbox, &run(&["--attempts", "2"])).exits(1);
    for i in 1..=2 {
        assert_eq!(lab.journal().ends_in(&id(i), "failed").attempts, 2);
        assert_eq!(*sandbox.story_of(&id(i)).last().unwrap(), "GET");
    }
    nothing_is_sent_again_unseen(&sandbox.ledger());
}

#[test]
fn a_redirect_settles_nothing_and_is_not_followed() {
    let _machine = shared();
    let (lab, sandbox) = bench(1, "stopped,syncing", "[[fault]]\nshare = 1.0\nkind = \"redirect\"\n");
    lab.launch(&sandbox, &run(&[])).exits(0);
    lab.journal().ends_in("vm-00001", "applied");
    let strange: Vec<_> = sandbox.ledger().into_iter().filter(|r| !r.path.starts_with("/v3/sources")).collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert_eq!(sandbox.changes().len(), 2);
    nothing_is_sent_again_unseen(&sandbox.ledger());
}

#[test]
fn the_half_that_is_filled_in_is_the_one_seen_directly_before() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", "source_id,copystate\nvm-00001,error\n");
    let scenario = "latency_ms = [800, 800]\n[[fault]]\nshare = 1.0\nkind = \"status\"\nstatus = 500\n";
    let sandbox = lab.serve("plan.csv", scenario);
    let before = sandbox.truth()["vm-00001"].copystate.clone();
    let launch = lab.begin(&sandbox, &run(&[]));
    sandbox.reach(1);
    // The first change is refused with a 500; meanwhile the agent moves the half that the plan does not name.
    sandbox.move_to("vm-00001", &before, "cutovering");
    launch.end().exits(0);
    let half = |change: &Request| change.body.as_ref().unwrap().migrationcycle.clone().unwrap();
    let sent: Vec<String> = sandbox.changes().iter().map(half).collect();
    assert_eq!(sent, ["syncing", "cutovering"]);
    assert_eq!(sandbox.truth()["vm-00001"].migrationcycle, "cutovering", "the agent's move is not undone");
}

#[test]
fn what_the_plan_expects_is_looked_at_even_without_preflight() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", "source_id,copystate,migrationcycle,from_state\nvm-00001,stopped,syncing,waiting\n");
    let scenario = "[[source]]\nid = \"vm-00001\"\ncopystate = \"syncing\"\nmigrationcycle = \"syncing\"\n";
    let sandbox = lab.serve("plan.csv", scenario);
    lab.launch(&sandbox, &run(&["--preflight", "off"])).exits(1);
    assert_eq!(sandbox.changes().len(), 0);
    lab.journal().ends_in("vm-00001", "blocked");
}
