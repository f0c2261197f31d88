//! A log whose server goes away in the middle of a run: nothing is sent meanwhile, and the run goes on when it is back, by itself or with
//! the next launch.

use std::time::{Duration, Instant};

use super::hosts::Night;
use super::server::{Server, program, until};
use super::stalls::{Moment, Stalls, is_held_up};
use super::url;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;

const RUN: [&str; 8] = ["run", "plan.csv", "--rate", "20", "--concurrency", "4", "--log-file", "night.log"];

/// Time within which the second signal ends a launch. Whoever gave accounts back to the servers would take longer.
const END: Duration = Duration::from_secs(3);

/// Begins a run, and takes the server of its log away in the middle of it. Returns when the launch has told of that.
fn without_log(night: &mut Night) -> (Launch, String) {
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    night.goes_on(5);
    let log = night.first.lab.path("night.log");
    night.servers[0].kill();
    let told = format!("the log of run {run} cannot be reached (since 2");
    until("the launch tells of it", || std::fs::read_to_string(&log).unwrap_or_default().contains(&told).then_some(()));
    (head, run)
}

fn is_running_for(head: &mut Launch, time: Duration) {
    std::thread::sleep(time);
    assert!(head.is_running());
}

#[test]
fn a_launch_whose_log_is_away_ends_with_the_second_signal_and_the_next_one_goes_on() {
    let _machine = shared();
    let Some(mut night) = Night::new(60, "") else { return };
    let (mut head, run) = without_log(&mut night);
    let n_changes = night.n_changes();
    head.signal("INT");
    is_running_for(&mut head, Duration::from_millis(1500));
    assert_eq!(night.n_changes(), n_changes, "it sent what it could not record");
    let asked = Instant::now();
    head.signal("INT");
    let ended = head.end().exits(130);
    assert!(asked.elapsed() < END, "{:?}", asked.elapsed());
    let open = night.first.journal().count("SELECT count(*) FROM row WHERE standing = 'open'");
    let ended = ended
        .says(&format!("interrupted while the servers of the log of run {run} could not be reached: {open} change"));
    let ended = ended.says(&format!("`cutover resume {run} "));
    assert_eq!(ended.stderr.matches("cannot be reached").count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    night.servers[0].start();
    night.first.begin(&["resume", &run, "--rate", "off"]).end().exits(0);
    night.second.copy_from(&night.first);
    night.is_done();
}

#[test]
fn a_launch_whose_log_comes_back_goes_on_by_itself_and_is_read_and_not_steered_meanwhile() {
    let _machine = shared();
    let Some(mut night) = Night::new(60, "") else { return };
    let (mut head, run) = without_log(&mut night);
    let n_changes = night.n_changes();
    let host = &night.first.lab;
    let status = host.cutover(&["status", &run]).exits(0);
    assert!(status.stdout.contains("Running as process"), "{}", status.stdout);
    host.cutover(&["control", &run, "pause"]).exits(6).says("does not take the command, and it was withdrawn");
    assert!(head.is_running());
    assert_eq!(night.n_changes(), n_changes, "it sent what it could not record");
    night.servers[0].start();
    let ended = head.end().exits(0).says(&format!("the log of run {run} is reached again, after "));
    assert_eq!(ended.stderr.matches("cannot be reached").count(), 1, "{}", ended.stderr);
    assert_eq!(night.first.n_launches(), 1);
    assert_eq!(night.first.journal().n_events("controlled"), 0, "it was withdrawn");
    night.second.copy_from(&night.first);
    night.is_done();
}

#[test]
fn other_runs_of_the_journal_go_on_while_the_log_of_one_is_away() {
    let _machine = shared();
    let Some(mut night) = Night::new(60, "") else { return };
    let (mut head, run) = without_log(&mut night);
    let host = &night.first.lab;
    let other_log = Server::alone(&program().unwrap());
    for engine in [&[][..], &["--engine", &url(&other_log)]] {
        let plan_file = format!("other-{}.csv", engine.len());
        host.write(&plan_file, &plan(20, "stopped,syncing"));
        let service = host.serve(&plan_file, "");
        let began = Instant::now();
        host.launch(&service, &[&["run", &plan_file, "--rate", "off"], engine].concat()).exits(0);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
    assert!(head.is_running());
    night.servers[0].start();
    head.end().exits(0);
    host.cutover(&["audit", "verify", &run]).exits(0);
}

#[test]
fn a_launch_of_which_only_the_end_cannot_be_recorded_ends_with_the_second_signal() {
    let _machine = shared();
    let Some(mut night) = Night::new(20, "") else { return };
    let stalls = Stalls::before(night.servers[0].port);
    night.first.engine = format!("nats://127.0.0.1:{}", stalls.port);
    let ends = stalls.hold_up_at(Moment::Before(" launch_ended "));
    let mut head = night.first.begin(&["run", "plan.csv", "--rate", "off"]);
    is_held_up(&ends);
    night.servers[0].kill();
    head.signal("TERM");
    is_running_for(&mut head, Duration::from_millis(500));
    let asked = Instant::now();
    head.signal("TERM");
    head.end().exits(143).says("could not be reached: no change is open");
    assert!(asked.elapsed() < END, "{:?}", asked.elapsed());
    night.servers[0].start();
    night.first.begin(&["resume", "--rate", "off"]).end().exits(0);
    night.second.copy_from(&night.first);
    night.is_done();
}
