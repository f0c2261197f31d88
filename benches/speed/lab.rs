//! One launch of the program against a stub of its own, from an empty journal, with a check that it did its work.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::measure::{self, Sample, Took, float};
use crate::stub::{Manner, Running, Seen, source};

/// Plans and journals, on the disk that cargo builds on.
pub(crate) struct Lab {
    folder: TempDir,
    plans: RefCell<HashMap<u64, PathBuf>>,
}

/// Settings of a launch.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) n_rows: u64,
    pub(crate) concurrency: u32,
    pub(crate) rate: String,
    /// True if rows are looked at before and after their change.
    pub(crate) looks: bool,
    pub(crate) manner: Manner,
}

/// Folder with the journal of a single run.
pub(crate) struct Home(TempDir);

/// Result of a launch.
pub(crate) struct Ran {
    pub(crate) took: Took,
    pub(crate) seen: Seen,
    pub(crate) journal_bytes: u64,
}

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_cutover");
const JOURNAL: &str = "cutover.db";

impl Lab {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?, plans: RefCell::default() })
    }

    /// Makes a plan of this many rows, from the stub's first source on.
    pub(crate) fn plan(&self, n_rows: u64) -> Result<PathBuf, Box<dyn Error>> {
        if let Some(path) = self.plans.borrow().get(&n_rows) {
            return Ok(path.clone());
        }
        let mut text = String::from("source_id,copystate,migrationcycle\n");
        (0..usize::try_from(n_rows)?).try_for_each(|n| writeln!(text, "{},stopped,syncing", source(n)))?;
        let path = self.folder.path().join(format!("plan-{n_rows}.csv"));
        std::fs::write(&path, text)?;
        self.plans.borrow_mut().insert(n_rows, path.clone());
        Ok(path)
    }

    pub(crate) fn home(&self) -> Result<Home, Box<dyn Error>> {
        Ok(Home(tempfile::tempdir_in(self.folder.path())?))
    }
}

impl Home {
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(words).current_dir(self.0.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CUTOVER_") {
                command.env_remove(name);
            }
        }
        command.env("CUTOVER_AUTH_TOKEN", "x").env("XDG_STATE_HOME", self.0.path().join("state")).env("NO_PROXY", "*");
        command
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.path().join(JOURNAL)
    }

    /// Returns the bytes of the journal, with its log if anything is left in it.
    fn journal_bytes(&self) -> Result<u64, Box<dyn Error>> {
        let of = |ending: &str| self.0.path().join(format!("{JOURNAL}{ending}")).metadata().map(|data| data.len());
        Ok(of("")? + of("-wal").unwrap_or(0))
    }

    /// Returns the number of rows on target and of rows not settled, by the program's own word.
    pub(crate) fn standing(&self) -> Result<(u64, u64), Box<dyn Error>> {
        let status = self.status()?;
        let count = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        Ok((count("/on_target"), count("/unsettled/pending") + count("/unsettled/in_doubt")))
    }

    /// Describes the rows of a run that failed; its journal is kept.
    fn left_behind(&self) -> String {
        let status = self.status().unwrap_or_default();
        let name = self.0.path().file_name().unwrap_or_default().to_string_lossy();
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("failed{name}.db"));
        let kept =
            std::fs::copy(self.journal(), &kept).map_or_else(|error| error.to_string(), |_| kept.display().to_string());
        format!("\nverdicts {}, unsettled {}, its journal: {kept}", status["verdicts"], status["unsettled"])
    }

    fn status(&self) -> Result<Value, Box<dyn Error>> {
        let told = self.command(&["status", "--json"]).output()?;
        let bad = |error| format!("`status --json`: {error}: {}", String::from_utf8_lossy(&told.stderr));
        Ok(serde_json::from_slice(&told.stdout).map_err(bad)?)
    }
}

impl Launch {
    /// Makes the fastest launch: rows are looked at neither before nor after.
    pub(crate) fn unseen(n_rows: u64, concurrency: u32) -> Result<Self, Box<dyn Error>> {
        let manner = Manner { n_sources: usize::try_from(n_rows)?, ..Manner::default() };
        Ok(Self { n_rows, concurrency, rate: "off".to_owned(), looks: false, manner })
    }

    fn words<'a>(&'a self, verb: &[&'a str], url: &'a str, concurrency: &'a str) -> Vec<&'a str> {
        let mut words = verb.to_vec();
        words.extend(["--endpoint", url, "--rate", &self.rate, "--concurrency", concurrency]);
        words.extend(["--yes", "--no-progress", "-q"]);
        if !self.looks {
            words.extend(["--verify", "off", "--preflight", "off"]);
        }
        words
    }

    /// Runs the plan to its end. A row left undone, or done twice, is an error.
    pub(crate) fn run(&self, lab: &Lab) -> Result<Ran, Box<dyn Error>> {
        self.run_plan(&Running::start(&self.manner)?, &lab.plan(self.n_rows)?, &lab.home()?)
    }

    /// Runs a whole plan, at a stub that may have served other runs.
    pub(crate) fn run_plan(&self, stub: &Running, plan: &Path, home: &Home) -> Result<Ran, Box<dyn Error>> {
        let ran = self.against(stub, &["run", &plan.to_string_lossy()], home, 0)?;
        let standing = home.standing()?;
        if (ran.seen.n_changes, ran.seen.n_moved, standing) != (self.n_rows, self.n_rows, (self.n_rows, 0)) {
            return Err(format!(
                "{self:?}: the stub took {} changes of {} sources{}",
                ran.seen.n_changes,
                ran.seen.n_moved,
                home.left_behind()
            )
            .into());
        }
        Ok(ran)
    }

    /// Makes one launch, which may leave rows.
    pub(crate) fn against(
        &self,
        stub: &Running,
        verb: &[&str],
        home: &Home,
        wanted: i32,
    ) -> Result<Ran, Box<dyn Error>> {
        let (url, concurrency) = (stub.url(), self.concurrency.to_string());
        let mut command = home.command(&self.words(verb, &url, &concurrency));
        let took = measure::run(&mut command, wanted).map_err(|error| format!("{error}{}", home.left_behind()))?;
        Ok(Ran { took, seen: stub.seen()?, journal_bytes: home.journal_bytes()? })
    }
}

impl Ran {
    /// Returns the figures of every run that measures speed.
    pub(crate) fn sample(&self, n_rows: u64) -> Sample {
        let mut sample = vec![("sent_per_s", self.seen.sent_per_s())];
        sample.extend(self.took.of_rows(n_rows));
        sample.push(("journal_bytes_per_row", float(self.journal_bytes) / float(n_rows)));
        sample
    }

    /// Milliseconds from the start of the process to a time by the stub's clock.
    pub(crate) fn until_ms(&self, stub_us: u64) -> f64 {
        (float(self.seen.began_unix_us) + float(stub_us) - float(self.took.began_unix_us)) / 1e3
    }
}

impl Seen {
    /// Changes a second, from the first to the last.
    pub(crate) fn sent_per_s(&self) -> f64 {
        float(self.n_changes) * 1e6 / float(self.last_change_us.saturating_sub(self.first_change_us).max(1))
    }
}
