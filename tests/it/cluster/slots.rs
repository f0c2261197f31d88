//! Slots of a timetable and accounts, as several hosts want them: one run has each.

use std::time::Instant;

use super::hosts::{Host, Night};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;

const KEYED: [&str; 4] = ["run", "plan.csv", "--run-key", "nightly-2026-11-28"];

/// Ids of the runs on the servers.
fn runs_of(host: &Host) -> Vec<String> {
    let told = host.lab.cutover(&["runs", "--engine", &host.engine, "--json"]).exits(0).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    told["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect()
}

fn with_plan(night: &Night) -> Host {
    let host = night.another_host();
    host.lab.write("plan.csv", &plan(night.n_rows, "stopped,syncing"));
    host
}

#[test]
fn an_account_that_is_held_elsewhere_is_met_as_a_lock_of_this_machine_and_nothing_is_left_behind() {
    let _machine = shared();
    let Some(night) = Night::new(400, "") else { return };
    let (first, second) = (&night.first, &night.second);
    let head = first.begin(&["run", "plan.csv", "--rate", "10"]);
    let run = first.run_begun();
    second.lab.write("other.csv", &plan(3, "stopped,syncing"));
    let other = |args: &[&str]| second.begin(&[&["run", "other.csv", "--run-key", "other"][..], args].concat());
    other(&["--if-locked", "skip"]).end().exits(0).says("skipped: the account `").says(&run);
    other(&["--if-locked", "wait=1s"]).end().exits(6).says("waited 1 s: the account `");
    let begun = Instant::now();
    other(&["--if-locked", "wait=1h", "--start-within", "1s"]).end().exits(4).says("could not begin within 1 s");
    assert!(begun.elapsed().as_secs() < 30);
    other(&[]).end().exits(6).says("which goes on elsewhere (pid ");
    assert!(!second.lab.path("cutover.db").exists(), "a refused launch leaves no journal, and no run in it");
    assert_eq!(runs_of(second), [run], "and none on the servers");
    let mut waits = other(&["--if-locked", "wait=2m"]);
    waits.tells("waiting for at most 2 min: the account `");
    head.signal("TERM");
    head.end().exits(143);
    waits.end().exits(0);
    assert_eq!(runs_of(second).len(), 2);
}

#[test]
fn a_run_key_makes_one_run_whichever_host_comes_and_each_meets_it_as_one_machine_would() {
    let _machine = shared();
    let Some(night) = Night::new(60, "") else { return };
    let (first, third) = (&night.first, with_plan(&night));
    night.second.lab.write("plan.csv", &plan(night.n_rows, "stopped,syncing"));
    let head = first.begin(&[&KEYED[..], &["--rate", "10"]].concat());
    let run = first.run_begun();
    night.second.begin(&KEYED).end().exits(6).says(&format!("another launch leads run {run}: pid "));
    night
        .second
        .begin(&[&KEYED[..], &["--if-locked", "skip"]].concat())
        .end()
        .exits(0)
        .says("skipped: another launch leads");
    night.second.lab.write("other.csv", &plan(3, "stopped,syncing"));
    let other = ["run", "other.csv", "--run-key", KEYED[3]];
    night.second.begin(&other).end().exits(2).says("which has another plan");
    head.kill();
    // By its key, on a host that never saw it.
    let resumed = third.begin(&["resume", KEYED[3], "--rate", "10"]);
    assert_eq!(third.run_begun(), run);
    night.goes_on(2);
    resumed.kill();
    night.second.begin(&[&KEYED[..], &["--rate", "off"]].concat()).end().exits(0).says("taking up run");
    let n_changes = night.n_changes();
    let fourth = with_plan(&night);
    fourth
        .begin(&KEYED)
        .end()
        .exits(0)
        .says(&format!("run {run} of the key `{}` has ended: nothing is sent", KEYED[3]));
    assert_eq!((night.n_changes(), runs_of(first)), (n_changes, vec![run.clone()]));
    night.is_done();
    let forgotten = fourth.lab.cutover(&["collect", KEYED[3], "--forget", "--engine", &fourth.engine]).exits(0);
    assert!(forgotten.stdout.contains(&run), "{}", forgotten.stdout);
    with_plan(&night).begin(&KEYED).end().exits(0);
    let [again] = &runs_of(first)[..] else { panic!("the key is free, and makes one run") };
    assert_ne!(*again, run);
}

#[test]
fn of_two_hosts_that_begin_a_slot_at_once_one_makes_its_run_and_the_other_waits_for_it() {
    let _machine = shared();
    let Some(night) = Night::new(30, "") else { return };
    let hosts = [(); 3].map(|()| with_plan(&night));
    let wait = [&KEYED[..], &["--if-locked", "wait=2m"]].concat();
    let launches = hosts.each_ref().map(|host| host.begin(&wait));
    for ended in launches.map(Launch::end) {
        ended.exits(0);
    }
    assert_eq!(runs_of(&night.first).len(), 1);
    assert_eq!(night.n_changes(), 30);
}
