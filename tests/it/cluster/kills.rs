//! Heads that are killed: a standby on another host goes on with the run.

use std::time::Duration;

use super::hosts::Night;
use super::stalls::{Moment, Stalls, is_held_up};
use super::{n_rounds, play_rounds};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;

const RUN: [&str; 4] = ["run", "plan.csv", "--rate", "20"];
/// Time within which a standby goes on with the run.
const GOES_ON: Duration = Duration::from_secs(15);

/// Link of the first host on which a moment comes.
#[derive(Clone, Copy, Debug)]
enum Link {
    ToLog,
    ToService,
}

#[test]
fn a_head_that_is_killed_at_each_step_of_a_change_is_followed_by_a_standby_and_nothing_is_sent_twice_unseen() {
    let _machine = shared();
    let change = "PUT /v3/sources/";
    let steps = [
        (Link::ToLog, Moment::Before(" attempt_started ")),
        (Link::ToLog, Moment::AnswerTo(" attempt_started ")),
        (Link::ToService, Moment::Before(change)),
        (Link::ToService, Moment::AnswerTo(change)),
        (Link::ToLog, Moment::Before(" attempt_ended ")),
        (Link::ToLog, Moment::AnswerTo(" attempt_ended ")),
    ];
    std::thread::scope(|scope| {
        for (link, moment) in steps {
            scope.spawn(move || killed_at(link, moment));
        }
    });
}

/// Kills the head at a moment on one of its links.
fn killed_at(link: Link, moment: Moment) {
    let Some(mut night) = Night::new(100, "") else { return };
    let server = match link {
        Link::ToLog => night.servers[0].port,
        Link::ToService => night.service.url.rsplit_once(':').unwrap().1.parse().unwrap(),
    };
    let stalls = Stalls::before(server);
    match link {
        Link::ToLog => night.first.engine = format!("nats://127.0.0.1:{}", stalls.port),
        // The run keeps its endpoint, so that both hosts go that way.
        Link::ToService => {
            for host in [&mut night.first, &mut night.second] {
                host.endpoint = format!("http://127.0.0.1:{}", stalls.port);
            }
        }
    }
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    let standby = night.second.stand_by(&run, &["--rate", "50"]);
    night.goes_on(3);
    is_held_up(&stalls.hold_up_at(moment));
    is_taken_over(&night, head, standby, &format!("{moment:?}"));
}

/// Kills a head, and asserts that a standby goes on with the run in time, and ends it. Returns the time for which nothing was sent.
fn is_taken_over(night: &Night, head: Launch, standby: Launch, what: &str) -> Duration {
    let n_before = night.n_changes();
    head.kill();
    let ended = standby.end();
    assert_eq!(ended.code, Some(0), "{what}: {}", ended.stderr);
    night.is_done();
    let took = night.longest_gap(n_before);
    assert!(took < GOES_ON, "{what}: {took:?}");
    took
}

#[test]
fn a_head_that_is_killed_at_any_moment_is_followed_by_a_standby() {
    let _machine = shared();
    play_rounds(n_rounds(5), 5, || {
        killed_anywhere().map(|took| ("a killed head is followed", took)).into_iter().collect()
    });
}

fn killed_anywhere() -> Option<Duration> {
    let night = Night::new(100, "latency_ms = [5, 40]\n[[fault]]\nshare = 0.1\nkind = \"reset_after\"\n")?;
    let head = night.first.begin(&[&RUN[..], &["--timeout", "2s"]].concat());
    let run = night.first.run_begun();
    let standby = night.second.stand_by(&run, &["--rate", "50", "--timeout", "2s"]);
    night.goes_on(1);
    std::thread::sleep(Duration::from_millis(rand::random_range(0..2000)));
    Some(is_taken_over(&night, head, standby, "at random"))
}
