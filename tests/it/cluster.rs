//! Runs with an engine: their log is on servers outside, which other machines can go on with. A host is a folder with a journal, and the
//! service that all of them reach has a ledger of what came.
//!
//! `CUTOVER_LONG=20` plays as many rounds of whatever comes at random; without it, there are few.

mod alone;
mod asked;
mod away;
mod by_hand;
mod collect;
mod damage;
mod doorway;
mod hosts;
mod kills;
mod leads;
mod nodes;
#[expect(dead_code, reason = "the tests of the crate use more of it")]
#[path = "../../src/cluster/tests/proxy.rs"]
mod proxy;
mod restores;
mod roles;
mod secured;
#[path = "../../src/cluster/tests/server.rs"]
mod server;
mod slots;
mod stalls;
mod standby;
mod stops;
mod wire;
mod workers;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::left_out;

use server::Server;

/// Makes a server that is alone; `None` where it is not installed, in which case the test is left out.
fn server() -> Option<Server> {
    server::program().map(|program| Server::alone(&program))
}

fn url(server: &Server) -> String {
    format!("nats://127.0.0.1:{}", server.port)
}

/// Returns the number of rounds of a test: that of the environment, or this.
fn n_rounds(unless_named: u64) -> u64 {
    match std::env::var("CUTOVER_LONG") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("`{text}` is no number of rounds")),
        Err(_) => unless_named,
    }
}

/// Plays rounds of a test, some at once, since they are mostly waiting. Prints the times that they return, by what takes them.
fn play_rounds(n: u64, n_at_once: u64, round: impl Fn() -> Vec<(&'static str, Duration)> + Sync) {
    let (next, times) = (AtomicU64::new(0), Mutex::new(BTreeMap::<_, Vec<Duration>>::new()));
    std::thread::scope(|scope| {
        for _ in 0..n_at_once.min(n) {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < n {
                    let took = round();
                    let mut times = times.lock().unwrap();
                    for (what, time) in took {
                        times.entry(what).or_default().push(time);
                    }
                }
            });
        }
    });
    for (what, mut times) in times.into_inner().unwrap() {
        times.sort_unstable();
        let (least, most) = (times[0], times[times.len() - 1]);
        println!(
            "{what}: {} times, {least:.1?} to {most:.1?}, half of them within {:.1?}",
            times.len(),
            times[times.len() / 2]
        );
    }
}
