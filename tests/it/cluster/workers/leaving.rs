//! Workers that are told to end: what is under way ends, and no call fails of it.

use std::time::Duration;

use super::{Worker, asked_now, is_done, is_followed, n_ended, night};
use crate::cluster::n_rounds;
use crate::lab::machine::shared;

const SLOW: &str = "latency_ms = [100, 300]\n";
const FAILED: &str = "'unsent', 'lost'";

#[test]
fn a_worker_that_is_told_to_end_leaves_without_a_failed_call() {
    let _machine = shared();
    for _ in 0..n_rounds(1) {
        let Some(night) = night(400, SLOW) else { return };
        let workers = vec![Worker::of(&night), Worker::of(&night)];
        let head = night.first.begin(&["run", "plan.csv", "--rate", "40", "--concurrency", "16"]);
        night.first.run_begun();
        night.goes_on(20);
        let (asked, others) = asked_now(&night, workers);
        asked.launch.signal("TERM");
        is_followed(&night, &asked);
        asked.launch.end().exits(0).says("leaving");
        // Each of them serves in its turn.
        let new = Worker::of(&night);
        let last = others.into_iter().next().unwrap();
        last.launch.signal("INT");
        is_followed(&night, &last);
        last.launch.end().exits(0);
        head.end().exits(0);
        drop(new);
        assert_eq!(n_ended(&night.first.journal(), FAILED), 0);
        is_done(&night);
    }
}

#[test]
fn a_lane_waits_while_nobody_serves_it_and_goes_on_when_somebody_comes() {
    let _machine = shared();
    // Several rows wait for their pace, of which the intents are in the log.
    for (rate, n_rows) in [("2", 24), ("40", 300)] {
        let Some(night) = night(n_rows, SLOW) else { return };
        let worker = Worker::of(&night);
        let mut head = night.first.begin(&["run", "plan.csv", "--rate", rate, "--concurrency", "16"]);
        night.first.run_begun();
        night.goes_on(5);
        worker.launch.signal("TERM");
        worker.launch.end().exits(0);
        let n_changes = night.n_changes();
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(night.n_changes(), n_changes);
        assert!(head.is_running());
        let _next = Worker::of(&night);
        night.goes_on(1);
        head.end().exits(0);
        assert_eq!(n_ended(&night.first.journal(), FAILED), 0, "at {rate} a second");
        is_done(&night);
    }
}

#[test]
fn a_run_that_is_asked_by_way_of_workers_waits_for_the_first_one() {
    let _machine = shared();
    let Some(night) = night(3, "") else { return };
    night.first.lab.write("cutover.toml", "via = \"worker\"\n");
    let mut head = night.first.begin(&["run", "plan.csv"]);
    head.tells("no worker that serves `default` at ");
    night.first.run_begun();
    let _worker = Worker::of(&night);
    head.end().exits(0);
    is_done(&night);
}
