//! Heads that are killed or stop while their calls are at a worker: a standby goes on, by way of the same worker.

use std::time::{Duration, Instant};

use super::{Worker, night};
use crate::cluster::n_rounds;
use crate::lab::machine::shared;

const SLOW: &str = "latency_ms = [100, 300]\n";
const RUN: [&str; 6] = ["run", "plan.csv", "--rate", "20", "--concurrency", "16"];
const GOES_ON: [&str; 4] = ["--rate", "100", "--concurrency", "16"];

#[test]
fn a_head_that_is_killed_with_calls_at_a_worker_is_followed_and_nothing_is_sent_twice_unseen() {
    let _machine = shared();
    for _ in 0..n_rounds(1) {
        let Some(night) = night(200, SLOW) else { return };
        let _worker = Worker::of(&night);
        let head = night.first.begin(&RUN);
        let run = night.first.run_begun();
        let standby = night.second.stand_by(&run, &GOES_ON);
        night.goes_on(10);
        std::thread::sleep(Duration::from_millis(rand::random_range(0..500)));
        head.kill();
        standby.end().exits(0);
        night.is_done();
    }
}

#[test]
fn a_head_that_was_stopped_gives_no_leave_when_it_wakes_after_somebody_else_went_on() {
    let _machine = shared();
    for _ in 0..n_rounds(1) {
        let Some(night) = night(200, SLOW) else { return };
        let _worker = Worker::of(&night);
        let mut head = night.first.begin(&RUN);
        let run = night.first.run_begun();
        let standby = night.second.stand_by(&run, &GOES_ON);
        night.goes_on(10);
        std::thread::sleep(Duration::from_millis(rand::random_range(0..500)));
        head.signal("STOP");
        let began = Instant::now();
        standby.end().exits(0);
        let n_changes = night.n_changes();
        std::thread::sleep(Duration::from_secs(10).saturating_sub(began.elapsed()));
        assert!(head.is_running());
        head.signal("CONT");
        let ended = head.end();
        assert_eq!(ended.code, Some(4), "{}", ended.stderr);
        assert_eq!(night.n_changes(), n_changes, "the head that was replaced had more sent");
        night.is_done();
    }
}
