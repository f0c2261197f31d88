//! Standbys: whatever becomes of the launch that they follow, they go on with its run, or end with what it ended with.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::hosts::Night;
use super::stalls::{Moment, Stalls, is_held_up};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;

const RUN: [&str; 4] = ["run", "plan.csv", "--rate", "10"];
/// Time after which a launch of which nothing is heard is taken for gone.
const GONE_AFTER: Duration = Duration::from_secs(7);

/// Lets a standby find its servers away when it is to go on with the run. Returns it once it has told of that.
fn without_servers_in_its_turn(night: &mut Night) -> (Launch, String) {
    let stalls = Stalls::before(night.servers[0].port);
    night.second.engine = format!("nats://127.0.0.1:{}", stalls.port);
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    let mut standby = night.second.stand_by(&run, &["--rate", "50"]);
    night.goes_on(1);
    // What it asks first once it is to lead the run is whose the account is.
    let asked = stalls.hold_up_at(Moment::Before("account."));
    head.kill();
    is_held_up(&asked);
    night.servers[0].kill();
    standby.tells(&format!("run {run} is not gone on with yet: the servers of the log cannot be used"));
    (standby, run)
}

#[test]
fn a_standby_whose_servers_do_not_answer_when_it_is_to_go_on_stands_by_again() {
    let _machine = shared();
    let Some(mut night) = Night::new(100, "") else { return };
    let (standby, _) = without_servers_in_its_turn(&mut night);
    night.servers[0].start();
    let ended = standby.end().exits(0);
    assert_eq!(ended.stderr.matches("is not gone on with yet").count(), 1, "{}", ended.stderr);
    night.is_done();
}

#[test]
fn a_standby_whose_servers_are_away_when_it_is_to_go_on_is_stopped_by_one_signal() {
    let _machine = shared();
    let Some(mut night) = Night::new(100, "") else { return };
    let (standby, run) = without_servers_in_its_turn(&mut night);
    standby.signal("INT");
    standby.end().exits(130).says(&format!("interrupted while it stood by for run {run}; nothing was sent"));
}

#[test]
fn a_standby_beside_a_launch_that_was_stopped_goes_on_when_that_process_has_ended() {
    let _machine = shared();
    let Some(night) = Night::new(300, "") else { return };
    let head = night.first.begin(&["run", "plan.csv", "--rate", "20"]);
    let run = night.first.run_begun();
    let beside = |more: &[&str]| night.first.begin(&[&["resume", &run, "--standby", "--rate", "50"], more].concat());
    beside(&[]).end().exits(6).says("another launch holds run ").says("a standby has a journal of its own");
    for _ in 0..10 {
        night.first.begin(&["resume", &run]).end().exits(6).says("another launch holds ");
    }
    let mut standby = beside(&["--journal", "beside.db"]);
    standby.tells("a standby belongs on another machine");
    night.goes_on(1);
    head.signal("STOP");
    standby.tells("is heard of the launch of run");
    standby.tells("it is gone on with when that process has ended");
    std::thread::sleep(Duration::from_secs(1));
    assert!(standby.is_running());
    head.kill();
    let ended = standby.end().exits(0).says("any more: going on with it");
    assert_eq!(ended.stderr.matches("when that process has ended").count(), 2, "{}", ended.stderr);
    night.second.copy_of(&night.first.lab.path("beside.db"));
    night.is_done();
}

#[test]
fn a_run_whose_launch_had_a_fault_of_its_machine_is_gone_on_with() {
    let _machine = shared();
    let Some(night) = Night::new(60, "") else { return };
    // Credentials that the service does not take, on that machine.
    let mut refused = night.first.command(&RUN);
    refused.env("CUTOVER_AUTH_TOKEN", "of-somebody-else");
    Launch::start(refused).end().exits(5);
    let run = night.first.run_begun();
    let third = night.another_host();
    let head = third.stand_by(&run, &["--rate", "10"]);
    night.goes_on(3);
    // The journal of the next one is lost.
    let standby = night.second.stand_by(&run, &["--rate", "50"]);
    std::fs::remove_file(third.lab.path("cutover.db")).unwrap();
    head.end().exits(70).says(&format!("the launch of run {run} ended with 5 (credentials): going on with it"));
    standby.end().exits(0);
    night.is_done();
}

#[test]
fn a_standby_of_a_run_that_has_ended_says_so_and_with_what() {
    let _machine = shared();
    let Some(night) = Night::new(60, "") else { return };
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    night.goes_on(1);
    night.first.lab.cutover(&["control", "drain"]).exits(0);
    head.end().exits(4);
    // Without a word of where the run goes.
    let stand_by =
        || night.second.lab.cutover(&["resume", &run, "--standby", "--yes", "--engine", &night.second.engine]);
    let ended = stand_by().exits(4).says(&format!("run {run} has ended with 4 (halted), "));
    ended.says("there is nobody to stand by for; nothing was sent").says(&format!("hint: `cutover resume {run}"));
    night.first.begin(&["resume", &run, "--rate", "off"]).end().exits(0);
    stand_by().exits(0).says(&format!("run {run} has ended with 0 (done): there is nobody to stand by for"));
}

#[test]
fn a_launch_that_is_cut_off_while_it_listens_does_not_take_that_for_silence() {
    let _machine = shared();
    let Some(mut night) = Night::new(300, "") else { return };
    let stalls = Stalls::before(night.servers[0].port);
    night.second.engine = format!("nats://127.0.0.1:{}", stalls.port);
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    let listens = stalls.hold_up_at(Moment::AnswerTo(".beat "));
    let resumed = night.second.begin(&["resume", &run]);
    is_held_up(&listens);
    // Each further connection as well, for longer than a launch has to be silent.
    let until = Instant::now() + GONE_AFTER + Duration::from_secs(1);
    while Instant::now() < until {
        let connects = stalls.hold_up_at(Moment::Before("CONNECT "));
        assert_ne!(
            connects.recv_timeout(until.saturating_duration_since(Instant::now())),
            Err(RecvTimeoutError::Disconnected)
        );
    }
    resumed.end().exits(6).says(&format!("another launch leads run {run}: pid "));
    assert_eq!(night.second.n_launches(), 1);
    drop(head.kill());
}

#[test]
fn a_run_that_is_not_there_leaves_no_journal_behind() {
    let _machine = shared();
    let Some(night) = Night::new(1, "") else { return };
    for args in [&["resume", "nowhere", "--standby"][..], &["resume", "nowhere"]] {
        night.second.begin(args).end().exits(2).says("there is no run `nowhere` on the servers of the log");
        let left: Vec<_> =
            std::fs::read_dir(night.second.lab.path(".")).unwrap().map(|left| left.unwrap().file_name()).collect();
        assert_eq!(left, [""; 0], "{args:?}");
    }
}
