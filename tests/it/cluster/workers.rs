//! Workers: a head without credentials leads a run, and workers on other hosts make its requests.

mod captured;
mod heads;
mod leaving;
mod lost;
mod reach;
mod strangers;

use std::time::{Duration, Instant};

use super::hosts::{Host, Night};
use super::server::until;
use crate::lab::journal::Journal;
use crate::lab::launch::Launch;

/// Time within which another worker makes the calls of one that is gone.
const TAKES_OVER: Duration = Duration::from_secs(4);

/// Makes a night whose heads have no credentials.
fn night(n_rows: usize, scenario: &str) -> Option<Night> {
    let mut night = Night::new(n_rows, scenario)?;
    night.first.credentials = &[];
    night.second.credentials = &[];
    Some(night)
}

/// Worker on a host of its own.
struct Worker {
    launch: Launch,
    _host: Host,
}

impl Worker {
    /// Begins to serve what the host has credentials for.
    fn on(host: Host) -> Self {
        let mut launch = Launch::start(host.reaching(&["worker"]));
        launch.tells("serving ");
        Self { launch, _host: host }
    }

    fn of(night: &Night) -> Self {
        Self::on(night.another_host())
    }

    /// Name by which a journal knows it.
    fn name(&self) -> String {
        name_of(&self.launch)
    }
}

fn name_of(launch: &Launch) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    format!("{}:{}", host.trim(), launch.pid())
}

/// Worker that made the last call that has an answer.
fn last_of(journal: &Journal) -> Option<String> {
    let last = "SELECT detail ->> '$.via' FROM event WHERE kind = 'attempt_ended' ORDER BY seq DESC LIMIT 1";
    journal.table(last).pop()?.pop().filter(|name| name != "null")
}

/// Splits workers into the one that is asked at present, and the others.
fn asked_now(night: &Night, mut workers: Vec<Worker>) -> (Worker, Vec<Worker>) {
    let name = until("a worker is asked", || last_of(&night.first.journal()));
    let position = workers.iter().position(|worker| worker.name() == name).expect("it is one of them");
    (workers.remove(position), workers)
}

/// Waits until the ledger has a change that another worker made than this one. Returns the time that this took.
fn is_followed(night: &Night, gone: &Worker) -> Duration {
    let began = Instant::now();
    let name = gone.name();
    let journal = night.first.journal();
    until("another worker goes on", || last_of(&journal).filter(|last| *last != name));
    began.elapsed()
}

/// Counts the attempts of a journal that ended in one of these ways.
fn n_ended(journal: &Journal, how: &str) -> usize {
    journal.count(&format!(
        "SELECT count(*) FROM event WHERE kind = 'attempt_ended' AND detail ->> '$.outcome.is' IN ({how})"
    ))
}

/// Asserts that the run is done, and that its journal is what the service saw.
fn is_done(night: &Night) {
    use crate::lab::books::{Balance, balance_the_books};
    let journal = night.first.journal();
    balance_the_books(&night.service, &journal, Balance::default());
    assert_eq!(journal.tally().get("applied").copied().unwrap_or(0), night.n_rows, "{:?}", journal.tally());
    night.first.anchor();
}
