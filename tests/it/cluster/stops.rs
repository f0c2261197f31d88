//! Heads that stop or are cut off, and go on when somebody else has the run: nothing of theirs leaves any more.

use std::time::{Duration, Instant};

use super::hosts::Night;
use super::proxy::Proxy;
use super::server::until;
use crate::lab::machine::shared;

/// Eight changes and more wait for their pace, of which the intents are in the log.
const RUN: [&str; 6] = ["run", "plan.csv", "--rate", "20", "--concurrency", "16"];
/// Time for which the head is stopped.
const STOPPED: Duration = Duration::from_secs(30);

fn n_unsent(night: &Night) -> usize {
    let n_begun = night.first.journal().n_events("attempt_started");
    n_begun.saturating_sub(night.n_changes())
}

#[test]
fn a_head_that_was_stopped_sends_nothing_when_it_wakes_after_somebody_else_went_on() {
    let _machine = shared();
    let Some(night) = Night::new(200, "") else { return };
    let mut head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    let standby = night.second.stand_by(&run, &["--rate", "100", "--concurrency", "16"]);
    night.goes_on(10);
    until("eight intents are unsent", || {
        head.signal("STOP");
        (n_unsent(&night) >= 8).then_some(()).or_else(|| {
            head.signal("CONT");
            None
        })
    });
    let began = Instant::now();
    standby.end().exits(0);
    let n_changes = night.n_changes();
    std::thread::sleep(STOPPED.saturating_sub(began.elapsed()));
    assert!(head.is_running());
    head.signal("CONT");
    let ended = head.end();
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert_eq!(night.n_changes(), n_changes, "the head that was replaced sent more");
    night.is_done();
}

#[test]
fn a_head_that_is_cut_off_from_the_log_sends_nothing_more_and_somebody_else_goes_on() {
    let _machine = shared();
    let Some(mut night) = Night::new(200, "") else { return };
    let proxy = Proxy::before(night.servers[0].port);
    night.first.engine = format!("nats://127.0.0.1:{}", proxy.port);
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    let standby = night.second.stand_by(&run, &["--rate", "100", "--concurrency", "16"]);
    night.goes_on(10);
    proxy.swallow_all();
    // What was acknowledged before is sent within the second for which the run is held.
    std::thread::sleep(Duration::from_secs(3));
    let n_before = night.n_changes();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(night.n_changes(), n_before, "it sent what it could not have recorded");
    standby.end().exits(0);
    let n_changes = night.n_changes();
    proxy.swallow_nothing();
    let ended = head.end();
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert_eq!(night.n_changes(), n_changes, "the head that was replaced sent more");
    night.is_done();
}
