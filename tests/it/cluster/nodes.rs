//! A run whose log is on three servers, of which some are killed or stop.

use std::time::Duration;

use rustix::process::Signal;

use super::hosts::Night;
use super::n_rounds;
use super::server::{Server, program, three, until};
use super::wire::{ask, ask_stream};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;

/// Time after which nothing leaves of what was acknowledged before.
const LEFT: Duration = Duration::from_secs(4);
/// Time for which there is no majority.
const NO_MAJORITY: Duration = Duration::from_secs(20);

#[test]
fn a_run_goes_on_whichever_servers_of_its_log_die_and_nothing_is_sent_while_they_are_too_few() {
    let _machine = shared();
    let Some(program) = program() else { return };
    for _ in 0..n_rounds(1) {
        let mut night = Night::on(three(&program), 400, "");
        have_found_each_other(&night);
        let head = Launch::start(night.first.command(&["run", "plan.csv", "--rate", "10"]));
        let run = night.first.run_begun();
        night.goes_on(5);

        let leader = leader(&night, &run);
        night.servers[leader].kill();
        night.goes_on(5);
        night.servers[leader].start();

        let stopped = self::leader(&night, &run);
        night.servers[stopped].signal(Signal::STOP);
        std::thread::sleep(Duration::from_secs(8));
        night.servers[stopped].signal(Signal::CONT);
        night.goes_on(5);

        night.servers.iter_mut().take(2).for_each(Server::kill);
        std::thread::sleep(LEFT);
        let n_changes = night.n_changes();
        std::thread::sleep(NO_MAJORITY.saturating_sub(LEFT));
        assert_eq!(night.n_changes(), n_changes, "what was not recorded was sent");
        night.servers.iter_mut().take(2).for_each(Server::start);
        night.goes_on(5);

        night.servers.iter_mut().for_each(Server::kill);
        night.servers.iter_mut().for_each(Server::start);
        night.goes_on(5);

        night.first.lab.cutover(&["control", "rate", "off"]).exits(0);
        head.end().exits(0);
        night.second.copy_from(&night.first);
        night.is_done();
    }
}

/// Waits until the servers can keep a stream on all of them.
fn have_found_each_other(night: &Night) {
    let settings = r#"{"name":"found","subjects":["found"],"num_replicas":3,"storage":"memory"}"#;
    let make = format!("PUB $JS.API.STREAM.CREATE.found answers {}\r\n{settings}\r\n", settings.len());
    until("the servers find each other", || ask(&night.servers[0], &make, "\"did_create\":true"));
}

/// Returns the position of the server that leads the stream of the run, once there is one.
fn leader(night: &Night, run: &str) -> usize {
    until("the stream has a leader", || {
        let told = night.servers.iter().find_map(|server| ask_stream(server, "INFO", run, "\"leader\":\"n"))?;
        let (_, name) = told.split_once("\"leader\":\"n")?;
        name.get(..1)?.parse().ok()
    })
}
