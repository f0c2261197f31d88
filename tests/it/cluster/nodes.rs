//! A run whose log is on three servers, of which some are killed or stop.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::hosts::{HELD, Night};
use super::server::{Server, program, three, until};
use super::wire::{ask, ask_stream, ask_stream_with};
use super::{n_rounds, play_rounds};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;

/// Time for which a leader stops.
const STOPPED: Duration = Duration::from_secs(8);
/// Time for which there is no majority.
const NO_MAJORITY: Duration = Duration::from_secs(20);

#[test]
fn a_run_goes_on_whichever_servers_of_its_log_die_and_nothing_is_sent_while_they_are_too_few() {
    let _machine = shared();
    let Some(program) = program() else { return };
    play_rounds(n_rounds(1), 3, || one_after_another_dies(&program));
}

/// Returns the times for which nothing was sent.
fn one_after_another_dies(program: &Path) -> Vec<(&'static str, Duration)> {
    let mut night = Night::on(three(program), 400, "");
    have_found_each_other(&night);
    let head = Launch::start(night.first.command(&["run", "plan.csv", "--rate", "10"]));
    let run = night.first.run_begun();
    night.goes_on(5);

    let leader = leader(&night, &run);
    let killed = outage(&mut night, |night| night.servers[leader].kill());
    night.servers[leader].start();

    let leader = self::leader(&night, &run);
    let stopped = outage(&mut night, |night| {
        night.servers[leader].signal(Signal::STOP);
        std::thread::sleep(STOPPED);
        night.servers[leader].signal(Signal::CONT);
    });

    let two_killed = outage(&mut night, |night| {
        night.servers.iter_mut().take(2).for_each(Server::kill);
        std::thread::sleep(HELD);
        let n_changes = night.n_changes();
        std::thread::sleep(NO_MAJORITY.saturating_sub(HELD));
        assert_eq!(night.n_changes(), n_changes, "what was not recorded was sent");
        night.servers.iter_mut().take(2).for_each(Server::start);
    });

    let all_killed = outage(&mut night, |night| {
        night.servers.iter_mut().for_each(Server::kill);
        night.servers.iter_mut().for_each(Server::start);
    });

    night.first.lab.cutover(&["control", "rate", "off"]).exits(0);
    head.end().exits(0);
    night.second.copy_from(&night.first);
    night.is_done();
    vec![
        ("the leader is killed", killed),
        ("the leader is stopped for 8 s", stopped),
        ("two of three are down for 20 s", two_killed),
        ("all three are killed", all_killed),
    ]
}

/// Does something to the servers, and waits until the run goes on. Returns the longest time for which nothing was sent.
fn outage(night: &mut Night, happens: impl FnOnce(&mut Night)) -> Duration {
    let (n_before, began) = (night.n_changes(), Instant::now());
    happens(night);
    // What was acknowledged before leaves without the log.
    std::thread::sleep(HELD.saturating_sub(began.elapsed()));
    night.goes_on(5);
    night.longest_gap(n_before)
}

/// Waits until the servers can keep a stream on all of them.
pub(super) fn have_found_each_other(night: &Night) {
    let settings = r#"{"name":"found","subjects":["found"],"num_replicas":3,"storage":"memory"}"#;
    let make = format!("PUB $JS.API.STREAM.CREATE.found answers {}\r\n{settings}\r\n", settings.len());
    until("the servers find each other", || ask(&night.servers[0], &make, "\"did_create\":true"));
}

/// Returns the position of the server that leads the stream of the run, once there is one.
pub(super) fn leader(night: &Night, run: &str) -> usize {
    until("the stream has a leader", || {
        let told = night.servers.iter().find_map(|server| ask_stream(server, "INFO", run, "\"leader\":\"n"))?;
        let (_, name) = told.split_once("\"leader\":\"n")?;
        name.get(..1)?.parse().ok()
    })
}

/// Has a server lead the stream of the run. False if it does not come to that.
pub(super) fn is_led_by(night: &Night, run: &str, nth: usize) -> bool {
    let wanted = format!(r#"{{"placement":{{"preferred":"n{nth}"}}}}"#);
    let until = Instant::now() + Duration::from_secs(20);
    while leader(night, run) != nth {
        if Instant::now() > until {
            return false;
        }
        for server in &night.servers {
            _ = ask_stream_with(server, "LEADER.STEPDOWN", run, &wanted, "\"success\":true");
        }
    }
    true
}
