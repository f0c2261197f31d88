//! Truth of messages: commands that work as printed, and statements that the journal confirms.

use std::ops::RangeInclusive;

use crate::lab::home::{Lab, with_yes};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::{id, plan};

/// Makes a fault for these rows: so many that the later launch looks at whole lists, and so at the other rows as well.
fn silent(which: RangeInclusive<usize>) -> String {
    let ids: Vec<String> = which.map(|i| format!("{:?}", id(i))).collect();
    format!("[[fault]]\nsources = [{}]\nkind = \"silent\"\n", ids.join(", "))
}

#[test]
fn the_sandbox_of_a_later_launch_begins_where_the_one_before_left_it() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(40, "cutovering,cutovering"));
    let begins = "[[source]]\nid = \"vm-00001\"\ncopystate = \"syncing\"\nmigrationcycle = \"syncing\"\n";
    lab.write("night.toml", &format!("{}{begins}", silent(21..=40)));
    let quick =
        ["--endpoint", "sandbox", "--scenario", "night.toml", "--rate", "off", "--verify-timeout", "1s", "--yes"];
    lab.cutover(&[&["run", "plan.csv"], &quick[..]].concat()).exits(1);
    assert_eq!(lab.journal().tally()["applied"], 20);
    for _ in 0..2 {
        // Longer ago than any stale read.
        let journal = rusqlite::Connection::open(lab.path("cutover.db")).unwrap();
        journal.execute("UPDATE row SET settled_at = settled_at - 120000", []).unwrap();
        drop(journal);
        let ended = lab.cutover(&[&["retry", "--only", "no_effect"], &quick[..]].concat());
        assert!(!ended.stderr.contains("somebody else"), "{}", ended.stderr);
        assert!(!ended.stdout.contains("somebody else"), "{}", ended.stdout);
        assert_eq!(lab.journal().n_events("row_moved"), 0);
        assert!(lab.journal().tally()["applied"] >= 20);
    }
}

#[test]
fn while_a_run_goes_on_what_is_printed_works_as_it_is_typed() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(400, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let mut command = lab.command(&with_yes(&sandbox, &["run", "plan.csv", "--rate", "10"]));
    command.env_remove("USER");
    let launch = Launch::start(command);
    assert!(launch.reaches_nth("attempt_ended", 3));
    let explained = lab.cutover(&["explain", "vm-00399"]).exits(0).stdout;
    assert!(explained.contains(" --watch") && !explained.contains("resume"), "{explained}");
    let runs = lab.cutover(&["runs"]).exits(0).stdout;
    assert!(runs.contains(" so far") && !runs.contains("0.000 s"), "{runs}");
    lab.cutover(&["control", "skip", "vm-00399", "--reason", "owner asked"]).exits(0);
    let explained = lab.cutover(&["explain", "vm-00399"]).exits(0).stdout;
    for said in ["skipped by", "owner asked", "when its turn comes"] {
        assert!(explained.contains(said), "{explained}");
    }
    let status = lab.cutover(&["status"]).exits(0).stdout;
    assert!(status.contains("1 row is skipped") && status.contains(" --watch\n"), "{status}");
    lab.cutover(&["control", "pause"]).exits(0);
    let status = lab.cutover(&["status"]).exits(0).stdout;
    assert!(status.contains(" continue\n") && !status.contains(" --watch\n"), "{status}");
    // Another launch learns who holds the account, and with which journal.
    let journal = lab.path("cutover.db").display().to_string();
    lab.launch(&sandbox, &["run", "plan.csv", "--journal", "other.db"])
        .exits(6)
        .says(&format!("with the journal `{journal}`"))
        .says(&format!("cutover status --journal {journal}"));
    let by = lab.journal().text("SELECT json_extract(detail, '$.user') FROM event WHERE kind = 'launch_began'");
    assert!(!by.is_empty() && by != "?", "{by}");
    launch.kill();
}

#[test]
fn a_launch_that_was_cut_off_counts_and_one_that_looks_passes_on_what_it_was_not_given() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(400, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "20"]);
    assert!(launch.reaches_nth("attempt_ended", 30));
    launch.kill();
    let took = lab.journal().count("SELECT max(at) - min(at) FROM event WHERE kind <> 'run_started'");
    assert!(took > 500, "{took}");
    lab.launch(&sandbox, &["reconcile"]).exits(1);
    let elapsed = lab.journal().count("SELECT elapsed_ms FROM run");
    assert!(elapsed >= took, "{elapsed} {took}");
    lab.cutover(&["audit", "verify"]).exits(0);
    let status = lab.cutover(&["status"]).exits(0).stdout;
    let (_, launch) = status.split_once("`reconcile`").unwrap();
    assert!(!launch.lines().next().unwrap().contains("--yes"), "{status}");
    // The printed command has the flags with which the run was begun.
    assert!(status.lines().any(|line| line.contains("cutover resume") && line.contains("--rate 20 --yes")), "{status}");
}
