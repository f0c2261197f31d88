//! Logs that lost or changed something: whoever reads one finds it, or nothing is missing.

use std::path::Path;

use rand::seq::IndexedRandom as _;
use rustix::process::Signal;
use serde_json::Value;

use super::hosts::{Host, Night};
use super::n_rounds;
use super::nodes::{have_found_each_other, is_led_by};
use super::server::{Server, program, three, until};
use super::wire::{ask_stream, ask_stream_with};
use crate::lab::launch::Ended;
use crate::lab::machine::shared;

const RUN: [&str; 4] = ["run", "plan.csv", "--rate", "20"];

/// Night whose log is on three servers, and the id of its run, of which the head was killed.
fn left_by_its_head(program: &Path) -> (Night, String) {
    let night = Night::on(three(program), 60, "");
    have_found_each_other(&night);
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    night.goes_on(10);
    head.kill();
    (night, run)
}

fn collect(host: &Host, run: &str) -> Ended {
    host.lab.cutover(&["collect", run, "--engine", &host.engine])
}

/// Goes on with a run to its end, and asserts that all is as if nothing had been lost.
fn ends_whole(night: &Night, run: &str, args: &[&str]) {
    night.first.begin(args).end().exits(0);
    is_whole(night, run);
}

fn is_whole(night: &Night, run: &str) {
    collect(&night.second, run).exits(0);
    assert_eq!(night.first.anchor(), night.second.anchor());
    night.is_done();
}

/// Flips a bit of a change's intent, as a server that is stopped has stored it. Returns where.
fn flip_a_bit(night: &Night, nth: usize, run: &str) -> String {
    let block = night.servers[nth].store().join(format!("jetstream/$G/streams/cutover-{run}/msgs/1.blk"));
    let mut bytes = std::fs::read(&block).unwrap();
    let text = b" attempt_started ";
    let found: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
    let at = found.choose(&mut rand::rng()).unwrap() + rand::random_range(0..text.len());
    bytes[at] ^= 1 << rand::random_range(0..8);
    std::fs::write(&block, bytes).unwrap();
    format!("byte {at}")
}

#[test]
fn a_bit_that_flips_on_one_of_three_servers_is_named_by_whoever_misses_something_and_harms_nobody_once_another_leads() {
    let _machine = shared();
    let Some(program) = program() else { return };
    for _ in 0..n_rounds(1) {
        std::thread::scope(|scope| {
            for end in [Signal::TERM, Signal::KILL] {
                let program = &program;
                scope.spawn(move || a_bit_flips(program, end));
            }
        });
    }
}

/// Flips a bit while a server is down that was ended by this signal. One that was killed reads all when it starts, and may have the others
/// give it what it cannot read.
fn a_bit_flips(program: &Path, end: Signal) {
    let (mut night, run) = left_by_its_head(program);
    // The head may have been killed before it noted its last commit.
    collect(&night.first, &run).exits(0);
    let nth = rand::random_range(0..3);
    night.servers[nth].end_by(end);
    flip_a_bit(&night, nth, &run);
    night.servers[nth].start();
    assert!(is_led_by(&night, &run, nth));
    // Any of the servers may send what is read, and the one that leads is asked for what is missing.
    let n_missed = (0..6).filter(|_| !is_collected(&night, &run)).count();
    println!("{n_missed} of 6 readers missed something");
    assert!(is_led_by(&night, &run, (nth + 1) % 3));
    assert!((0..6).all(|_| is_collected(&night, &run)));
    ends_whole(&night, &run, &["resume", &run, "--rate", "off"]);
}

/// Collects the run on a further host. False: something is missing, which is named.
fn is_collected(night: &Night, run: &str) -> bool {
    let host = night.another_host();
    let collected = collect(&host, run);
    if collected.code == Some(0) {
        assert_eq!(host.anchor(), night.first.anchor());
        return true;
    }
    collected.exits(7).says(" of lane ").says("; nothing was sent");
    false
}

#[test]
fn servers_that_lost_everything_are_given_it_by_the_others_and_what_too_few_are_left_to_give_is_written_again() {
    let _machine = shared();
    let Some(program) = program() else { return };
    std::thread::scope(|scope| {
        for n_lost in 1..=3 {
            let program = &program;
            scope.spawn(move || so_many_lose_everything(program, n_lost));
        }
    });
}

fn so_many_lose_everything(program: &Path, n_lost: usize) {
    let (mut night, run) = left_by_its_head(program);
    for server in night.servers.iter_mut().take(n_lost) {
        server.kill();
        std::fs::remove_dir_all(server.store()).unwrap();
    }
    night.servers.iter_mut().take(n_lost).for_each(Server::start);
    if n_lost == 1 {
        assert!(is_led_by(&night, &run, 0));
    }
    let n_changes = night.n_changes();
    let resume = || Some(night.first.begin(&["resume", &run, "--rate", "off"]).end());
    let resumed = until("the servers answer", || resume().filter(|ended| ended.code != Some(8)));
    // The one that has all may lead the other two, or be outvoted by them.
    if n_lost < 3 && resumed.code == Some(0) {
        return is_whole(&night, &run);
    }
    assert!(n_lost > 1, "{}", resumed.stderr);
    let hint = format!("hint: `cutover resume {run} --restore-log`");
    assert!(resumed.exits(7).stderr.contains(&hint));
    assert_eq!(night.n_changes(), n_changes);
    if n_lost == 2 {
        ask_stream(&night.servers[0], "DELETE", &run, "\"success\":true").unwrap();
    }
    ends_whole(&night, &run, &["resume", &run, "--restore-log", "--rate", "off"]);
}

/// Has the server drop all but the last messages of a run.
fn drop_beginning(night: &Night, run: &str) {
    let server = &night.servers[0];
    let told = ask_stream(server, "INFO", run, "\"config\":").unwrap();
    let told = told.lines().find(|line| line.starts_with('{') && line.contains("\"config\":")).unwrap();
    let mut settings = serde_json::from_str::<Value>(told).unwrap()["config"].take();
    settings["max_msgs"] = 5.into();
    settings["discard"] = "old".into();
    ask_stream_with(server, "UPDATE", run, &settings.to_string(), "\"config\":").unwrap();
}

#[test]
fn a_log_whose_beginning_was_dropped_while_the_run_goes_on_or_does_not_is_found_and_made_anew_of_the_journal() {
    let _machine = shared();
    std::thread::scope(|scope| {
        for goes_on in [false, true] {
            scope.spawn(move || beginning_is_dropped(goes_on));
        }
    });
}

fn beginning_is_dropped(while_it_goes_on: bool) {
    let Some(night) = Night::new(100, "") else { return };
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    night.goes_on(10);
    if while_it_goes_on {
        drop_beginning(&night, &run);
        night.goes_on(10);
        head.kill();
    } else {
        head.kill();
        drop_beginning(&night, &run);
    }
    let n_changes = night.n_changes();
    let resume = ["resume", &run, "--rate", "off"];
    let restore = ["resume", &run, "--restore-log", "--rate", "off"];
    for args in [&resume[..], &restore] {
        let refused = night.first.begin(args).end().exits(7).says("cannot be gone on with: the log lost its beginning");
        assert!(refused.stderr.contains(&format!("`nats stream rm cutover-{run}`")), "{}", refused.stderr);
    }
    assert_eq!(night.n_changes(), n_changes);
    collect(&night.second, &run).exits(7).says("is not what it was: the log lost its beginning");
    ask_stream(&night.servers[0], "DELETE", &run, "\"success\":true").unwrap();
    ends_whole(&night, &run, &restore);
}
