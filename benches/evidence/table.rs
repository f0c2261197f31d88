//! What was measured, for people and for scripts.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::measure::{Held, Peer, Took};
use super::night::Night;

pub(crate) struct Page<'a> {
    pub(crate) night: &'a Night,
    pub(crate) rounds: u32,
    pub(crate) results: &'a [Held],
}

struct Sum {
    median: Duration,
    min: Duration,
    max: Duration,
    peak_kib: u64,
}

impl Sum {
    fn of(rounds: &[Took]) -> Self {
        let mut times: Vec<Duration> = rounds.iter().map(|took| took.time).collect();
        times.sort();
        Self {
            median: median(&times),
            min: times.first().copied().unwrap_or_default(),
            max: times.last().copied().unwrap_or_default(),
            peak_kib: rounds.iter().map(|took| took.peak_kib).max().unwrap_or(0),
        }
    }

    fn json(&self, rounds: &[Took]) -> Value {
        let rounds: Vec<f64> = rounds.iter().map(|took| took.time.as_secs_f64()).collect();
        json!({
            "median_s": self.median.as_secs_f64(), "min_s": self.min.as_secs_f64(), "max_s": self.max.as_secs_f64(),
            "peak_rss_kib": self.peak_kib, "rounds_s": rounds,
        })
    }
}

/// Of sorted times.
fn median(times: &[Duration]) -> Duration {
    match times.len() {
        0 => Duration::ZERO,
        n if n % 2 == 1 => times[n / 2],
        n => (times[n / 2 - 1] + times[n / 2]) / 2,
    }
}

/// How many times the peer's time ours was: the median over the rounds, each held against its own peer.
fn ratio(ours: &[Took], peer: &[Took]) -> f64 {
    let times = |took: &Took| took.time.as_secs_f64();
    let mut ratios: Vec<f64> = ours.iter().zip(peer).map(|(ours, peer)| times(ours) / times(peer)).collect();
    ratios.sort_by(f64::total_cmp);
    let n = ratios.len();
    if n % 2 == 1 { ratios[n / 2] } else { ratios[n / 2 - 1].midpoint(ratios[n / 2]) }
}

#[expect(clippy::cast_precision_loss, reason = "a rate to three figures")]
fn per_second(held: &Held, time: Duration) -> f64 {
    held.n as f64 / time.as_secs_f64()
}

impl Page<'_> {
    pub(crate) fn text(&self) -> String {
        let Night { n_rows, n_events, n_bytes, .. } = self.night;
        let mut text = format!(
            "\n{n_rows} rows, {n_events} events, a journal of {} MiB; {} rounds, a {} build\n\n",
            n_bytes >> 20,
            self.rounds,
            build()
        );
        let title = ["", "median s", "min s", "max s", "peak MiB", "per s", "of peer"];
        let [what, median, min, max, peak, rate, of_peer] = title;
        _ = writeln!(text, "{what:<22} {median:>9} {min:>9} {max:>9} {peak:>9} {rate:>17} {of_peer:>9}");
        let mut peers = Vec::new();
        for held in self.results {
            let sum = Sum::of(&held.ours);
            let (of_peer, told) = match &held.peer {
                Peer::Took { command, rounds } => (format!("{:.2}", ratio(&held.ours, rounds)), command.clone()),
                Peer::Missing { tool } => ("-".to_owned(), format!("left out: no `{tool}` here")),
            };
            let rate = format!("{:.0} {}", per_second(held, sum.median), held.unit);
            line(&mut text, &held.name, &sum, &rate, &of_peer);
            if let Peer::Took { rounds, .. } = &held.peer {
                line(&mut text, "  peer", &Sum::of(rounds), "", "");
            }
            peers.push((&held.name, told));
        }
        text.push_str("\npeers\n");
        for (name, told) in peers {
            _ = writeln!(text, "  {name}: {told}");
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let Night { n_rows, n_events, n_bytes, seed, .. } = self.night;
        let results: Vec<Value> = self.results.iter().map(of).collect();
        json!({
            "schema": "cutover.bench.evidence.v1", "build": build(), "rows": n_rows, "events": n_events,
            "bytes": n_bytes, "seed": seed, "rounds": self.rounds, "results": results,
        })
    }
}

fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

fn line(text: &mut String, name: &str, sum: &Sum, rate: &str, of_peer: &str) {
    let [median, min, max] = [sum.median, sum.min, sum.max].map(|time| time.as_secs_f64());
    let peak = sum.peak_kib >> 10;
    _ = writeln!(text, "{name:<22} {median:>9.3} {min:>9.3} {max:>9.3} {peak:>9} {rate:>17} {of_peer:>9}");
}

fn of(held: &Held) -> Value {
    let sum = Sum::of(&held.ours);
    let peer = match &held.peer {
        Peer::Took { command, rounds } => {
            let mut peer = Sum::of(rounds).json(rounds);
            peer["command"] = command.clone().into();
            peer["ratio"] = ratio(&held.ours, rounds).into();
            peer
        }
        Peer::Missing { tool } => json!({"missing": tool}),
    };
    json!({
        "command": held.name, "unit": held.unit, "n": held.n, "per_second": per_second(held, sum.median),
        "ours": sum.json(&held.ours), "peer": peer,
    })
}
