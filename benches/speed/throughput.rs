//! Rate of changes against a stub that answers at once: rows are looked at neither before nor after.

use std::error::Error;

use serde_json::json;

use crate::Ask;
use crate::contest::Contest;
use crate::lab::{Lab, Launch};
use crate::rivals::Work;
use crate::table::Part;

const N_ROWS: u64 = 100_000;
/// Rows for the SDK, which is slow; its rate is the same over fewer rows.
const N_SDK_ROWS: u64 = 2_000;
const SDK_THREADS: u32 = 64;
const CONCURRENCY: [u32; 2] = [64, 256];

pub(crate) fn part(ask: &Ask) -> Result<Part, Box<dyn Error>> {
    let (n_rows, rounds) = (ask.rows(N_ROWS, 300), ask.rounds(5));
    let seconds = ask.seconds(5, 1);
    let concurrencies = if ask.is_smoke { &[16] } else { &CONCURRENCY[..] };
    let lab = Lab::new()?;
    let mut cases = Vec::new();
    for concurrency in concurrencies.iter().copied() {
        let launch = Launch::unseen(n_rows, concurrency)?;
        let work = Work { n_rows, concurrency };
        let mut peers = vec![work.wrk(seconds), work.oha(), work.bare(&lab), work.aiohttp(&lab)];
        if concurrency <= SDK_THREADS {
            peers.push(Work { n_rows: n_rows.min(N_SDK_ROWS), concurrency }.sdk(&lab));
        }
        let ours = || Ok(launch.run(&lab)?.sample(n_rows));
        let name = format!("{concurrency} at once");
        cases.push(Contest { name, lead: "sent_per_s", ours: Box::new(ours), peers }.held(rounds)?);
    }
    let facts = vec![("rows", json!(n_rows)), ("wrk_seconds", json!(seconds))];
    Ok(Part::new("throughput", rounds, facts, cases))
}
