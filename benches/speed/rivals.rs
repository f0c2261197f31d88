//! Other programs that send the same changes to the same stub: two load generators, which do nothing else, the least program
//! that journals them, and two clients in Python.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bare::{self, BODY};
use crate::contest::{Peer, Turn};
use crate::lab::Lab;
use crate::measure::{self, Sample};
use crate::stub::{Manner, Running, Seen, source};

/// Work of a rival.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) n_rows: u64,
    pub(crate) concurrency: u32,
}

impl Work {
    /// `wrk` takes no number of requests, only a time.
    pub(crate) fn wrk(self, seconds: u32) -> Peer<'static> {
        let turn = move || {
            let mut command = Command::new("wrk");
            let script = file("put.lua");
            let threads = self.concurrency.min(2);
            command.args([format!("-t{threads}"), format!("-c{}", self.concurrency), format!("-d{seconds}s")]);
            self.turn(command.arg("-s").arg(script), |url| vec![url], |seen| seen.n_changes > 0)
        };
        there("wrk", "wrk", Box::new(turn))
    }

    pub(crate) fn oha(self) -> Peer<'static> {
        let turn = move || {
            let mut command = Command::new("oha");
            command.args(["-n", &self.n_rows.to_string(), "-c", &self.concurrency.to_string(), "--no-tui"]);
            command.args(["--output-format", "json", "-m", "PUT", "-H", "X-Auth-Token: x"]);
            command.args(["-T", "application/json", "-d", BODY]);
            let url = |url| vec![format!("{url}/v3/sources/{}/changestate", source(0))];
            self.turn(&mut command, url, |seen| seen.n_changes == self.n_rows)
        };
        there("oha", "oha", Box::new(turn))
    }

    /// The HTTP library and the journal's tables alone.
    pub(crate) fn bare(self, lab: &Lab) -> Peer<'_> {
        let turn = move || {
            let home = lab.home()?;
            let mut command = Command::new(std::env::current_exe()?);
            let words = |url: String| {
                let address = url.trim_start_matches("http://").to_owned();
                let (concurrency, n_rows) = (self.concurrency.to_string(), self.n_rows.to_string());
                vec![bare::WORD.to_owned(), address, concurrency, n_rows, home.journal().display().to_string()]
            };
            self.turn(&mut command, words, |seen| (seen.n_changes, seen.n_moved) == (self.n_rows, self.n_rows))
        };
        Peer { name: "hyper and SQLite, bare".to_owned(), turn: Ok(Box::new(turn)) }
    }

    /// One event loop, no journal.
    pub(crate) fn aiohttp(self, lab: &Lab) -> Peer<'_> {
        self.python(lab, "aiohttp", "aiohttp_client.py", "aiohttp, no journal".to_owned())
    }

    /// The official SDK, with a thread for each request under way.
    pub(crate) fn sdk(self, lab: &Lab) -> Peer<'_> {
        let name = format!("huaweicloudsdksms, {} threads, {} rows", self.concurrency, self.n_rows);
        self.python(lab, "huaweicloudsdksms", "sdk_client.py", name)
    }

    fn python<'a>(self, lab: &'a Lab, module: &str, script: &'static str, name: String) -> Peer<'a> {
        let python = std::env::var("BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let found = Command::new(&python)
            .args(["-c", &format!("import {module}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            let shown = Path::new(&python).file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Peer { name, turn: Err(format!("`{shown}` has no {module}")) };
        }
        let turn = move || {
            let plan = lab.plan(self.n_rows)?;
            let mut command = Command::new(&python);
            command.arg(file(script)).env("PYTHONDONTWRITEBYTECODE", "1").env("NO_PROXY", "*");
            let words = |url| vec![url, self.concurrency.to_string(), plan.display().to_string()];
            self.turn(&mut command, words, |seen| (seen.n_changes, seen.n_moved) == (self.n_rows, self.n_rows))
        };
        Peer { name, turn: Ok(Box::new(turn)) }
    }

    fn turn(
        self,
        command: &mut Command,
        words: impl FnOnce(String) -> Vec<String>,
        did: impl FnOnce(&Seen) -> bool,
    ) -> Result<Sample, Box<dyn Error>> {
        let stub = Running::start(&Manner { n_sources: usize::try_from(self.n_rows)?, ..Manner::default() })?;
        let took = measure::run(command.args(words(stub.url())), 0)?;
        let seen = stub.seen()?;
        if !did(&seen) {
            return Err(
                format!("{command:?}: the stub took {} changes of {} sources", seen.n_changes, seen.n_moved).into()
            );
        }
        let mut sample = vec![("sent_per_s", seen.sent_per_s())];
        sample.extend(took.of_rows(seen.n_changes));
        Ok(sample)
    }
}

fn there<'a>(name: &str, program: &str, turn: Turn<'a>) -> Peer<'a> {
    let missing = format!("no `{program}` here");
    Peer { name: name.to_owned(), turn: if measure::is_there(program) { Ok(turn) } else { Err(missing) } }
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/speed/peers").join(name)
}
