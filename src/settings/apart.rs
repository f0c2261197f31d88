//! Files that one process writes: each is another one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::SettingsError;
use crate::files::identity::is_same_file;

const METRICS_FILE: &str = "--metrics-file";

/// Files that one process writes.
pub(crate) struct Outputs<'p> {
    pub(super) journal: &'p Path,
    pub(super) log_file: Option<&'p Path>,
    pub(super) metrics_file: Option<&'p Path>,
    /// File of the verb, with the flag that names it.
    pub(super) of_verb: Option<(&'static str, &'p Path)>,
}

/// Two outputs in one file, by their flags.
struct Clash {
    one: &'static str,
    other: &'static str,
    path: PathBuf,
}

impl Outputs<'_> {
    /// Refuses two of them in one file, where they would destroy each other.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        match self.clashes().into_iter().next() {
            Some(Clash { one, other, path }) => Err(SettingsError::SameFile { one, other, path }),
            None => Ok(()),
        }
    }

    /// Tells whether the metrics can be written, whatever else is wrong.
    pub(crate) fn has_metrics_apart(&self) -> bool {
        self.clashes().iter().all(|clash| ![clash.one, clash.other].contains(&METRICS_FILE))
    }

    fn clashes(&self) -> Vec<Clash> {
        let journal = of_journal(self.journal);
        let journal = journal.iter().map(|path| ("--journal", path.as_path()));
        let of_settings = [("--log-file", self.log_file), (METRICS_FILE, self.metrics_file)];
        let of_settings = of_settings.into_iter().filter_map(|(flag, path)| Some((flag, path?)));
        let all: Vec<_> = journal.chain(of_settings).chain(self.of_verb).collect();
        let behind = |n: usize| all[n + 1..].iter().copied();
        let pairs = all.iter().enumerate().flat_map(|(n, one)| behind(n).map(move |other| (*one, other)));
        let clashing = pairs.filter(|((one, path), (other, also))| one != other && is_same_file(path, also));
        clashing.map(|((one, _), (other, path))| Clash { one, other, path: path.to_owned() }).collect()
    }
}

/// Files of a journal: the database, and what SQLite keeps beside it.
fn of_journal(path: &Path) -> [PathBuf; 4] {
    ["", "-wal", "-shm", "-journal"].map(|end| {
        let mut name = OsString::from(path);
        name.push(end);
        name.into()
    })
}
