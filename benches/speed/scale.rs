//! Scaling of speed, memory and journal with the size of the plan, of the time to resume a large run, and of the time to
//! check a large plan.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::Ask;
use crate::contest::{Contest, Peer, Turn};
use crate::lab::{BINARY, Lab, Launch};
use crate::measure::{self, float};
use crate::stub::{Manner, Running};
use crate::table::{Case, Part};

const CONCURRENCY: u32 = 64;
const LEAST: u64 = 1_000;
const MOST: u64 = 1_000_000;
/// Rows that are left when a run is resumed.
const N_LEFT: u64 = 10;

pub(crate) fn part(ask: &Ask) -> Result<Part, Box<dyn Error>> {
    let (most, rounds) = (ask.rows(MOST, 300), ask.rounds(3));
    let lab = Lab::new()?;
    let cases = vec![sizes(&lab, most, rounds)?, resume(&lab, most, rounds)?, check(&lab, most, rounds)?];
    let facts = vec![("rows", json!(most)), ("concurrency", json!(CONCURRENCY))];
    Ok(Part::new("scale", rounds, facts, cases))
}

/// Measures the largest plan beside smaller ones.
fn sizes(lab: &Lab, most: u64, rounds: u32) -> Result<Case, Box<dyn Error>> {
    let turn = |n_rows: u64| {
        let launch = Launch::unseen(n_rows, CONCURRENCY)?;
        Ok::<Turn, Box<dyn Error>>(Box::new(move || Ok(launch.run(lab)?.sample(n_rows))))
    };
    let name = |n_rows: u64| format!("{n_rows} rows");
    let smaller = std::iter::successors(Some(LEAST), |n| n.checked_mul(10)).take_while(|n| *n < most);
    let peers = smaller.map(|n_rows| Ok(Peer { name: name(n_rows), turn: Ok(turn(n_rows)?) }));
    let peers = peers.collect::<Result<_, Box<dyn Error>>>()?;
    Contest { name: name(most), lead: "cpu_us_per_row", ours: turn(most)?, peers }.held(rounds)
}

/// Measures resuming: a run stops because its last rows are refused for their credentials; each round resumes a copy of its
/// journal.
fn resume(lab: &Lab, n_rows: u64, rounds: u32) -> Result<Case, Box<dyn Error>> {
    let n_sources = usize::try_from(n_rows)?;
    let manner = Manner { n_sources, refuses_from: Some(usize::try_from(n_rows - N_LEFT)?), ..Manner::default() };
    let launch = Launch { manner, ..Launch::unseen(n_rows, CONCURRENCY)? };
    let stub = Running::start(&launch.manner)?;
    let first = lab.home()?;
    let plan = lab.plan(n_rows)?;
    let ran = launch.against(&stub, &["run", &plan.to_string_lossy()], &first, CREDENTIALS)?;
    if (ran.seen.n_moved, first.standing()?) != (n_rows - N_LEFT, (n_rows - N_LEFT, N_LEFT)) {
        return Err(
            format!("of {n_rows} rows {:?} are settled and left, and not all but {N_LEFT}", first.standing()?).into()
        );
    }
    stub.heal()?;
    let ours = || {
        let home = lab.home()?;
        std::fs::copy(first.journal(), home.journal())?;
        let ran = launch.against(&stub, &["resume"], &home, 0)?;
        if (ran.seen.n_changes, home.standing()?) != (N_LEFT, (n_rows, 0)) {
            return Err(format!("a resume of {N_LEFT} rows sent {} changes", ran.seen.n_changes).into());
        }
        Ok(vec![
            ("first_request_ms", ran.until_ms(ran.seen.first_us)),
            ("whole_s", ran.took.time.as_secs_f64()),
            ("peak_mib", ran.took.peak_mib()),
        ])
    };
    let name = format!("resume with {N_LEFT} of {n_rows} rows left");
    Contest { name, lead: "first_request_ms", ours: Box::new(ours), peers: Vec::new() }.held(rounds)
}

/// Exit code of a launch with refused credentials.
const CREDENTIALS: i32 = 5;

fn check(lab: &Lab, n_rows: u64, rounds: u32) -> Result<Case, Box<dyn Error>> {
    let plan = lab.plan(n_rows)?;
    let turn = |program: &str, word: &str, plan: &Path| {
        let took = measure::run(Command::new(program).arg(word).arg(plan), 0)?;
        let time = took.time.as_secs_f64();
        Ok(vec![("rows_per_s", float(n_rows) / time), ("whole_s", time), ("peak_mib", took.peak_mib())])
    };
    let peer = if measure::is_there("wc") {
        Ok(Box::new(|| turn("wc", "-l", &plan)) as _)
    } else {
        Err("no `wc` here".to_owned())
    };
    let contest = Contest {
        name: format!("check {n_rows} rows"),
        lead: "rows_per_s",
        ours: Box::new(|| turn(BINARY, "check", &plan)),
        peers: vec![Peer { name: "wc -l".to_owned(), turn: peer }],
    };
    contest.held(rounds)
}
