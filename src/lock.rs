//! File locks that die with the process: one launch per run, one run per account and endpoint.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::report::plain::plain;

/// Who holds a lock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) pid: u32,
    pub(crate) host: String,
    pub(crate) since: jiff::Timestamp,
    /// The journal that it writes to. None: an earlier version, which did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) journal: Option<PathBuf>,
}

impl Owner {
    fn this_process(journal: &Path) -> Self {
        let journal = std::path::absolute(journal).unwrap_or_else(|_| journal.to_owned());
        Self { pid: std::process::id(), host: host(), since: jiff::Timestamp::now(), journal: Some(journal) }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} on {}, since {:.0}", self.pid, plain(&self.host), self.since)?;
        match &self.journal {
            Some(journal) => write!(f, ", with the journal `{}`", plain(&journal.display().to_string())),
            None => Ok(()),
        }
    }
}

/// The machine's name, as locks and journal tell it.
pub(crate) fn host() -> String {
    // source: proc_sys_kernel(5)
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
}

const A_MOMENT: Duration = Duration::from_millis(100);

/// A run's lock stands beside its journal, where everybody who could open the journal sees it: beside the file itself, by
/// whichever link it was named.
pub(crate) fn of_run(journal: &Path, run_id: &str) -> PathBuf {
    let file = std::fs::canonicalize(journal).unwrap_or_else(|_| journal.to_owned());
    let mut name = file.into_os_string();
    name.push(format!(".{run_id}.lock"));
    PathBuf::from(name)
}

/// None: it cannot be asked.
pub(crate) fn is_held(path: &Path) -> Option<bool> {
    match File::open(path) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("another launch holds {what}: {}", owner.as_ref().map_or_else(
        || "it does not say who it is".to_owned(),
        ToString::to_string))]
    Held { what: String, owner: Option<Owner> },
    #[error("the file system of `{}` does not keep locks, so that two launches could run at once", .0.display())]
    Unworkable(PathBuf),
    #[error("could not make the lock `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Held until it is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// `what` completes "another launch holds …"; whoever comes second is told of the journal.
    pub(crate) fn take(path: &Path, what: &str, journal: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let asked = Instant::now();
        loop {
            let mut file = open(path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => (),
                // Somebody may only be asking, see [`is_held`], and is gone in a moment.
                Err(TryLockError::WouldBlock) if asked.elapsed() < A_MOMENT => {
                    std::thread::sleep(A_MOMENT / 10);
                    continue;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held { what: what.to_owned(), owner: read_owner(&mut file) });
                }
                Err(TryLockError::Error(source)) if source.kind() == io::ErrorKind::Unsupported => {
                    return Err(LockError::Unworkable(path.to_owned()));
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // The one who held it may have removed the file between our opening and our locking it.
            if !is_still_at(&file, path) {
                continue;
            }
            // A file system without working locks lets a second handle have it too.
            if open(path).map_err(failed)?.try_lock().is_ok() {
                return Err(LockError::Unworkable(path.to_owned()));
            }
            write_owner(&mut file, journal).map_err(failed)?;
            return Ok(Self { path: path.to_owned(), _file: file });
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held, so that nobody else's is.
        _ = std::fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
        (_, _) => false,
    }
}

fn write_owner(file: &mut File, journal: &Path) -> io::Result<()> {
    let owner = serde_json::to_vec(&Owner::this_process(journal))?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&owner)
}

/// None in the moment between locking and writing.
fn read_owner(file: &mut File) -> Option<Owner> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_it_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        let lock = Lock::take(&path, "the run", Path::new("night.db")).unwrap();
        let text = Lock::take(&path, "the run", Path::new("night.db")).unwrap_err().to_string();
        assert!(text.starts_with(&format!("another launch holds the run: pid {}", std::process::id())), "{text}");
        assert!(text.ends_with("/night.db`"), "{text}");
        drop(lock);
        assert!(!path.exists());
        Lock::take(&path, "the run", Path::new("night.db")).unwrap();
    }

    #[test]
    fn a_file_that_a_dead_process_left_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        std::fs::write(&path, r#"{"pid":1,"host":"gone","since":"2026-01-01T00:00:00Z"}"#).unwrap();
        Lock::take(&path, "the run", Path::new("night.db")).unwrap();
    }
}
