//! Several hosts that would lead a run, or use its account: one of them does.

use super::hosts::{Host, Night};
use super::wire::{ask, ask_stream};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::tools;

const RUN: [&str; 4] = ["run", "plan.csv", "--rate", "10"];

#[test]
fn a_run_is_led_by_one_host_and_its_account_is_used_by_no_other_run() {
    let _machine = shared();
    let Some(night) = Night::new(300, "") else { return };
    let (first, second) = (&night.first, &night.second);
    let head = first.begin(&RUN);
    let run = first.run_begun();
    let refused = second.begin(&["resume", &run]).end().exits(6).says(&format!("another launch leads run {run}: pid "));
    assert!(refused.stderr.contains("nothing was sent"), "{}", refused.stderr);
    second.lab.write("other.csv", &plan(3, "stopped,syncing"));
    let other = || second.begin(&["run", "other.csv", "--journal", "other.db"]).end().exits(6);
    other().says(&format!("is that of run {run}, which goes on elsewhere (pid "));
    head.kill();
    other().says(&format!("hint: `cutover resume {run} --engine "));
    second.begin(&["resume", &run, "--rate", "off"]).end().exits(0);
    second.begin(&["run", "other.csv", "--journal", "other.db"]).end().exits(0);
    night.is_done();
}

#[test]
fn of_two_standbys_one_goes_on_and_the_other_follows_it_to_the_end() {
    let _machine = shared();
    let Some(night) = Night::new(150, "") else { return };
    let third = night.another_host();
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    let standbys = [&night.second, &third].map(|host| host.stand_by(&run, &["--rate", "30"]));
    night.goes_on(1);
    head.kill();
    for ended in standbys.map(Launch::end) {
        ended.exits(0);
    }
    assert_eq!([&night.second, &third].map(Host::n_launches), [2, 2]);
    assert_eq!(night.second.anchor(), third.anchor());
    night.is_done();
}

#[test]
fn a_standby_ends_with_what_a_person_did_to_the_run_and_with_what_a_person_does_to_it() {
    let _machine = shared();
    let Some(night) = Night::new(300, "") else { return };
    let third = night.another_host();
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    let [follows, left] = [&night.second, &third].map(|host| host.stand_by(&run, &[]));
    left.signal("INT");
    left.end().exits(130).says(&format!("interrupted while it stood by for run {run}; nothing was sent"));
    head.signal("TERM");
    head.end().exits(143);
    let n_changes = night.n_changes();
    follows.end().exits(143).says("was ended by its launch").says("terminated by a signal");
    assert_eq!(night.n_changes(), n_changes);
    assert_eq!(night.second.n_launches(), 1);
}

#[test]
fn a_standby_with_less_leave_than_the_launch_that_leads_is_refused_at_once_and_other_flags_are_told() {
    let _machine = shared();
    let Some(night) = Night::new(300, "") else { return };
    let head = night.first.begin(&[&RUN[..], &["--allow-irreversible", "--max-changes", "300"]].concat());
    let run = night.first.run_begun();
    let refused = night.second.begin(&["resume", &run, "--standby"]).end().exits(3);
    refused.says("was given leave for targets without a way back").says("--standby").says("--allow-irreversible");
    let standby = night.second.stand_by(&run, &["--allow-irreversible"]);
    night.first.lab.cutover(&["control", "drain"]).exits(0);
    head.end();
    standby.end().says("was given --max-changes 300").says("which will not hold for this one");
}

#[test]
fn a_standby_whose_clock_is_an_hour_off_does_not_lead_and_neither_does_a_launch_whose_clock_is_behind() {
    let _machine = shared();
    let Some(preload) = tools::faketime() else { return };
    let Some(night) = Night::new(300, "") else { return };
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    let with_clock = |by: &str, args: &[&str]| {
        let mut command = night.second.command(args);
        command.env("LD_PRELOAD", &preload).env("FAKETIME", by).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Launch::start(command).end().exits(3)
    };
    for by in ["+1h", "-1h"] {
        with_clock(by, &["resume", &run, "--standby"]).says("the clock of this machine has ");
    }
    head.kill();
    with_clock("-1h", &["resume", &run]).says("the last event of the run was recorded at ");
    assert_eq!(night.second.n_launches(), 1);
}

#[test]
fn a_log_that_a_newer_version_wrote_and_one_that_is_gone_are_refused_in_those_words() {
    let _machine = shared();
    let Some(night) = Night::new(100, "") else { return };
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    night.goes_on(2);
    head.kill();
    let headers = "NATS/1.0\r\nCutover-Format: 2\r\n\r\n";
    let length = headers.len();
    ask(&night.servers[0], &format!("HPUB cutover.{run}.log {length} {}\r\n{headers}?\r\n", length + 1), "PONG")
        .unwrap();
    let n_changes = night.n_changes();
    night.second.begin(&["resume", &run]).end().exits(7).says("written by a newer cutover");
    ask_stream(&night.servers[0], "DELETE", &run, "\"success\":true").unwrap();
    night.first.begin(&["resume", &run]).end().exits(7).says("the log of run ");
    assert_eq!(night.n_changes(), n_changes);
}

#[test]
fn a_message_that_no_cutover_wrote_ends_the_launch_and_its_journal_makes_the_log_anew() {
    let _machine = shared();
    let Some(night) = Night::new(100, "") else { return };
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    night.goes_on(2);
    ask(&night.servers[0], &format!("PUB cutover.{run}.log 1\r\n?\r\n"), "PONG").unwrap();
    head.end().exits(7).says("of the log of the run was written by no cutover");
    let n_changes = night.n_changes();
    let refused = night.first.begin(&["resume", &run]).end().exits(7).says("no cutover wrote it");
    refused.says(&format!("`nats stream rm cutover-{run}` then deletes it"));
    assert_eq!(night.n_changes(), n_changes);
    ask_stream(&night.servers[0], "DELETE", &run, "\"success\":true").unwrap();
    night.first.begin(&["resume", &run, "--restore-log", "--rate", "off"]).end().exits(0);
    night.second.lab.cutover(&["collect", &run, "--engine", &night.second.engine]).exits(0);
    night.is_done();
}

#[test]
fn a_launch_looks_whether_the_servers_have_its_run_as_it_was_made() {
    let _machine = shared();
    let Some(night) = Night::new(100, "") else { return };
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    head.kill();
    ask(&night.servers[0], &format!("PUB cutover.{run}.plan.1 1\r\n?\r\n"), "PONG").unwrap();
    let n_changes = night.n_changes();
    night.first.begin(&["resume", &run]).end().exits(7).says("is there 2 times, and not once");
    assert_eq!(night.n_changes(), n_changes);
}
