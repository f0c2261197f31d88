//! Cost of looking: every row is looked at before and after, compared with the same rows without looks.

use std::error::Error;

use serde_json::json;

use crate::Ask;
use crate::contest::{Contest, Peer};
use crate::lab::{Lab, Launch};
use crate::measure::float;
use crate::table::Part;

/// Rows in pages of the service, which end at the offset 65,535; further rows would be read one by one.
const N_ROWS: u64 = 60_000;

pub(crate) fn part(ask: &Ask) -> Result<Part, Box<dyn Error>> {
    let (n_rows, rounds) = (ask.rows(N_ROWS, 300).min(N_ROWS), ask.rounds(5));
    let lab = Lab::new()?;
    let unseen = Launch::unseen(n_rows, 64)?;
    let looking = Launch { looks: true, ..unseen.clone() };
    let turn = |launch: &Launch| {
        let ran = launch.run(&lab)?;
        let mut sample = ran.sample(n_rows);
        // From the first change to the last request: everything that was sent is also proven by then.
        let proven_us = ran.seen.last_us.saturating_sub(ran.seen.first_change_us);
        sample.push(("proven_per_s", float(n_rows) * 1e6 / float(proven_us.max(1))));
        sample.push(("reads", float(ran.seen.n_reads)));
        Ok(sample)
    };
    let contest = Contest {
        name: "looked at".to_owned(),
        lead: "sent_per_s",
        ours: Box::new(|| turn(&looking)),
        peers: vec![Peer { name: "unseen".to_owned(), turn: Ok(Box::new(|| turn(&unseen))) }],
    };
    let facts = vec![("rows", json!(n_rows)), ("concurrency", json!(unseen.concurrency))];
    let cases = vec![contest.held(rounds)?];
    Ok(Part::new("verified", rounds, facts, cases))
}
