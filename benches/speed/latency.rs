//! Cost of waiting: whether all slots are used when answers take their time, and how long it takes from the start of the
//! process to the first request.

use std::error::Error;
use std::process::Command;

use serde_json::json;

use crate::Ask;
use crate::contest::{Contest, Peer};
use crate::lab::{BINARY, Lab, Launch};
use crate::measure::{self, float};
use crate::stub::Manner;
use crate::table::{Case, Part};

const LATENCY_MS: u64 = 100;
const CONCURRENCY: u32 = 64;
const N_ROWS: u64 = 6_400;
const N_START_ROWS: u64 = 1_000;
const N_STARTS: u32 = 20;

pub(crate) fn part(ask: &Ask) -> Result<Part, Box<dyn Error>> {
    let (n_rows, rounds) = (ask.rows(N_ROWS, 2 * u64::from(CONCURRENCY)), ask.rounds(5));
    let lab = Lab::new()?;
    let cases = vec![
        late_answers(&lab, n_rows, rounds)?,
        first_request(&lab, ask, rounds)?,
        first_change(&lab, ask, rounds)?,
        version(ask.rounds(N_STARTS))?,
    ];
    let facts = vec![
        ("rows", json!(n_rows)),
        ("latency_ms", json!(LATENCY_MS)),
        ("concurrency", json!(CONCURRENCY)),
        ("version_rounds", json!(ask.rounds(N_STARTS))),
    ];
    Ok(Part::new("latency", rounds, facts, cases))
}

/// Measures late answers. The peer is computed: each slot sends one request per answer.
fn late_answers(lab: &Lab, n_rows: u64, rounds: u32) -> Result<Case, Box<dyn Error>> {
    let mut launch = Launch::unseen(n_rows, CONCURRENCY)?;
    launch.manner.latency_ms = LATENCY_MS;
    let possible = f64::from(CONCURRENCY) * 1e3 / float(LATENCY_MS);
    let ours = || {
        let ran = launch.run(lab)?;
        // Up to the last answer, not only the last request.
        let span_us = ran.seen.last_change_us - ran.seen.first_change_us + LATENCY_MS * 1000;
        let per_s = float(n_rows) * 1e6 / float(span_us);
        Ok(vec![("sent_per_s", per_s), ("of_possible", per_s / possible), ("whole_s", ran.took.time.as_secs_f64())])
    };
    let name = format!("answers after {LATENCY_MS} ms");
    Contest { name, lead: "sent_per_s", ours: Box::new(ours), peers: Vec::new() }.held(rounds)
}

fn first_request(lab: &Lab, ask: &Ask, rounds: u32) -> Result<Case, Box<dyn Error>> {
    let n_rows = ask.rows.unwrap_or(N_START_ROWS).min(N_START_ROWS);
    let launch = Launch::unseen(n_rows, CONCURRENCY)?;
    let ours = || {
        let ran = launch.run(lab)?;
        Ok(vec![("first_request_ms", ran.until_ms(ran.seen.first_us)), ("whole_s", ran.took.time.as_secs_f64())])
    };
    let name = format!("start to first request, {n_rows} rows");
    Contest { name, lead: "first_request_ms", ours: Box::new(ours), peers: Vec::new() }.held(rounds)
}

/// Measures the time to the first change, without the time that the service takes for looks.
fn first_change(lab: &Lab, ask: &Ask, rounds: u32) -> Result<Case, Box<dyn Error>> {
    let n_rows = ask.rows.unwrap_or(N_START_ROWS).min(N_START_ROWS);
    let manner = Manner { n_sources: usize::try_from(n_rows)?, ..Manner::default() };
    let launch = Launch { looks: true, manner, ..Launch::unseen(n_rows, CONCURRENCY)? };
    let ours = || {
        let ran = launch.run(lab)?;
        let to_look = ran.until_ms(ran.seen.first_us);
        let to_change = float(ran.seen.first_change_us.saturating_sub(ran.seen.looked_us)) / 1e3;
        Ok(vec![
            ("first_change_ms", to_look + to_change),
            ("start_to_look_ms", to_look),
            ("look_to_change_ms", to_change),
            ("whole_s", ran.took.time.as_secs_f64()),
        ])
    };
    let name = format!("start to first change, {n_rows} rows, less the looks");
    Contest { name, lead: "first_change_ms", ours: Box::new(ours), peers: Vec::new() }.held(rounds)
}

fn version(rounds: u32) -> Result<Case, Box<dyn Error>> {
    let ms = |program: &str, words: &[&str]| {
        Ok(vec![("time_ms", measure::run_unwatched(Command::new(program).args(words))?.as_secs_f64() * 1e3)])
    };
    let missing = || Err("no `true` here".to_owned());
    let turn = if measure::is_there("true") { Ok(Box::new(move || ms("true", &[])) as _) } else { missing() };
    let contest = Contest {
        name: "cutover --version".to_owned(),
        lead: "time_ms",
        ours: Box::new(move || ms(BINARY, &["--version"])),
        peers: vec![Peer { name: "true".to_owned(), turn }],
    };
    contest.held(rounds)
}
