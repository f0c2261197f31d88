//! Two hosts, and all that both of them reach.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::server::{Server, program, until};
use super::url;
use crate::lab::books::{Balance, balance_the_books, nothing_is_sent_again_unseen};
use crate::lab::home::Lab;
use crate::lab::journal::Journal;
use crate::lab::launch::Launch;
use crate::lab::plan;
use crate::lab::served::{Served, TOKEN};

/// Time from a publish that was acknowledged, within which a change leaves that was held by it.
pub(super) const HELD: Duration = Duration::from_secs(3);

/// Host: a home of its own, which shares nothing with the others.
pub(super) struct Host {
    pub(super) lab: Lab,
    /// Addresses of the servers of the log, and of the service, as they are reached from here.
    pub(super) engine: String,
    pub(super) endpoint: String,
    /// Variables of its environment with the credentials that it has.
    pub(super) credentials: &'static [(&'static str, &'static str)],
}

impl Host {
    fn new(engine: &str, endpoint: &str) -> Self {
        let credentials = &[("CUTOVER_AUTH_TOKEN", TOKEN)];
        Self { lab: Lab::new(), engine: engine.to_owned(), endpoint: endpoint.to_owned(), credentials }
    }

    /// Makes a command that reaches the servers of the log and the service.
    pub(super) fn reaching(&self, args: &[&str]) -> Command {
        let mut command = self.lab.command(args);
        command.env_remove("CUTOVER_AUTH_TOKEN").env("CUTOVER_METADATA_ENDPOINT", "off");
        command.envs(self.credentials.iter().copied()).args(["--engine", &self.engine, "--endpoint", &self.endpoint]);
        command
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.reaching(args);
        command.args(["--yes", "--events", "--no-progress"]);
        command
    }

    pub(super) fn begin(&self, args: &[&str]) -> Launch {
        Launch::start(self.command(args))
    }

    pub(super) fn copy_from(&self, other: &Host) {
        self.copy_of(&other.lab.path("cutover.db"));
    }

    /// Has a copy of this journal from here on.
    pub(super) fn copy_of(&self, journal: &Path) {
        let to = self.lab.path("cutover.db");
        let made =
            std::process::Command::new("sqlite3").arg(journal).arg(format!("VACUUM INTO '{}'", to.display())).status();
        assert!(made.unwrap().success());
    }

    /// Begins to stand by, and waits until it follows the launch of the run.
    pub(super) fn stand_by(&self, run: &str, args: &[&str]) -> Launch {
        let mut standby = self.begin(&[&["resume", run, "--standby"], args].concat());
        standby.tells(&format!("standing by for run {run}"));
        standby
    }

    pub(super) fn journal(&self) -> Journal {
        self.lab.journal()
    }

    /// Counts the launches that the journal knows of, which may not be made yet.
    pub(super) fn n_launches(&self) -> usize {
        if self.is_made() { self.journal().n_events("launch_began") } else { 0 }
    }

    fn is_made(&self) -> bool {
        self.lab.path("cutover.db").exists()
            && self.journal().count("SELECT count(*) FROM sqlite_master WHERE name = 'event'") == 1
    }

    /// Waits until the launch of the run has begun, and returns the id of the run.
    pub(super) fn run_begun(&self) -> String {
        until("the launch begins", || (self.n_launches() > 0).then_some(()));
        self.journal().text("SELECT id FROM run")
    }

    /// Returns the short code of the run's heads, once the journal was audited.
    pub(super) fn anchor(&self) -> String {
        let told = self.lab.cutover(&["audit", "verify", "--json"]).exits(0).stdout;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        told["runs"][0]["anchor"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned()
    }
}

/// Night with a plan, a service, a server of the log, and two hosts.
pub(super) struct Night {
    pub(super) service: Served,
    pub(super) servers: Vec<Server>,
    pub(super) first: Host,
    pub(super) second: Host,
    pub(super) n_rows: usize,
    _home: Lab,
}

impl Night {
    /// Makes a night of so many rows; `None` on a machine without the server.
    pub(super) fn new(n_rows: usize, scenario: &str) -> Option<Self> {
        program().map(|program| Self::on(vec![Server::alone(&program)], n_rows, scenario))
    }

    /// Makes a night whose log is on these servers.
    pub(super) fn on(servers: Vec<Server>, n_rows: usize, scenario: &str) -> Self {
        let home = Lab::new();
        home.write("plan.csv", &plan(n_rows, "stopped,syncing"));
        let service = home.serve("plan.csv", scenario);
        let engine = servers.iter().map(url).collect::<Vec<_>>().join(",");
        let [first, second] = [(); 2].map(|()| Host::new(&engine, &service.url));
        first.lab.write("plan.csv", &plan(n_rows, "stopped,syncing"));
        Self { service, servers, first, second, n_rows, _home: home }
    }

    /// Makes a further host, which reaches what the first one reaches.
    pub(super) fn another_host(&self) -> Host {
        Host::new(&self.first.engine, &self.first.endpoint)
    }

    /// Waits until the service saw so many changes more than now. Returns the time that this took.
    pub(super) fn goes_on(&self, n: usize) -> Duration {
        let began = Instant::now();
        let n_before = self.n_changes();
        until("it goes on", || (self.n_changes() >= n_before + n).then_some(()));
        began.elapsed()
    }

    pub(super) fn n_changes(&self) -> usize {
        self.service.changes().len()
    }

    /// Returns the longest time between two changes that followed each other, from the one on that was the last of so many.
    pub(super) fn longest_gap(&self, n_before: usize) -> Duration {
        let times: Vec<u64> = self.service.changes()[n_before - 1..].iter().map(|change| change.at_us).collect();
        times.windows(2).map(|pair| Duration::from_micros(pair[1] - pair[0])).max().unwrap()
    }

    /// Asserts that all rows are on target, that nothing was sent twice unseen, and that the journal of the second host has all of it.
    pub(super) fn is_done(&self) {
        let journal = self.second.journal();
        balance_the_books(&self.service, &journal, Balance::default());
        nothing_is_sent_again_unseen(&self.service.ledger());
        assert_eq!(journal.tally().get("applied").copied().unwrap_or(0), self.n_rows, "{:?}", journal.tally());
        self.second.anchor();
        // What the first one has is a part of it, or all.
        self.first.anchor();
    }
}
